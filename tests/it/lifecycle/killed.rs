//! The controller dies in the middle of its work, and another one goes on.

use std::time::Duration;

use super::{holds, ingress, no_delays, picture};
use crate::support::{Controller, Scene};

/// Kills the controller as soon as it has made so many writes.
async fn kill_after(scene: &Scene, controller: Controller, writes: usize) {
    let reads = ["Describe", "List", "Get"];
    let made = || {
        let calls = scene.calls();
        let writes = calls
            .iter()
            .filter(|call| !reads.iter().any(|read| call.action.starts_with(read)));
        writes.count()
    };
    while made() < writes {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    controller.kill().await;
}

/// A controller that does not wait for the Lease of a dead one.
async fn next(scene: &Scene, number: &mut u32) -> Controller {
    *number += 1;
    let lease = format!("--leader-election-id=number-{number}");
    scene.controller(&[&lease]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_create_and_of_a_deletion() {
    let name = "lifecycle-killed";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    scene.service(name, "web", &["10.0.48.11"]).await;
    let web = ingress("web", &[]);
    let mut number = 0;
    let controller = next(&scene, &mut number).await;
    scene.apply(&web).await;
    scene.address(name, "web").await;
    scene
        .eventually("the record is written", async || {
            let ours = scene.ours();
            if ours.len() == 6 { Ok(()) } else { Err(ours) }
        })
        .await;
    scene.quiet().await;
    let expected = picture(&scene);
    scene.delete(&web).await;
    scene.gone(name, "web").await;
    scene.empty().await;
    drop(controller);

    // Calls last, so that the kill finds some of them under way.
    scene
        .aws
        .state()
        .write(|state, _| state.timing.latency_ms = 30);
    for (made, deleted) in [(1, 1), (3, 2), (5, 3), (7, 4), (9, 5)] {
        let controller = next(&scene, &mut number).await;
        scene.forget_calls();
        scene.apply(&web).await;
        kill_after(&scene, controller, made).await;
        let controller = next(&scene, &mut number).await;
        holds(&scene, &expected).await;
        scene.address(name, "web").await;

        scene.forget_calls();
        scene.delete(&web).await;
        kill_after(&scene, controller, deleted).await;
        let controller = next(&scene, &mut number).await;
        scene.gone(name, "web").await;
        scene.empty().await;
        drop(controller);
    }
}
