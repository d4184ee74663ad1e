//! What things cost, counted at the AWS end. Times are not asserted.

use sandbox_aws::journal::Call;

use super::shop::{self, Of, TEN, counted, depth, kubernetes_writes, of, services, shared};
use crate::support::Scene;

/// Each answer is held back, so that calls side by side overlap.
const LATENCY_MS: u64 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_from_creation_to_deletion() {
    let scene = Scene::new("running-budget").await;
    scene
        .aws
        .state()
        .write(|state, _| state.timing.latency_ms = LATENCY_MS);
    let controller = scene.controller(&[]).await;
    services(&scene, &scene.name).await;
    scene.quiet().await;
    scene.apply(&shop::ingress(&TEN, "")).await;
    scene.address(&scene.name, "shop").await;
    scene.quiet().await;
    let shared = shared(&scene);
    for call in scene.calls() {
        println!("{:>7.0} {:>7.0} {:?} {} {}", call.started, call.ended, of(&call, &shared), call.service, call.action);
    }
    let calls = scene.calls();
    let group: Vec<&Call> = calls.iter().filter(|c| of(c, &shared) == Of::Group).collect();
    println!("group {} depth {}", group.len(), depth(&group));
    println!("{}", kubernetes_writes(&controller).await);
    println!("{}", counted(&scene, &shared, Of::Once).len());
    drop(controller);
    panic!();
}
