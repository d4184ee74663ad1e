//! A record that says what is not so. It can spare a read that should have
//! been made, or make one that need not; it never makes or deletes anything.

use serde_json::{Value, json};

use super::{Leaders, forge, ingress, no_delays, record, written};
use crate::support::{Controller, Scene};

/// Waits until the Ingress is served with so many rules, and recorded.
async fn served(scene: &Scene, rules: usize) -> Value {
    let found = scene
        .eventually("it is served", async || {
            let there = super::rules(scene).len();
            let found = record(scene, &scene.name, "shop").await;
            if there == rules && found["digest"].is_string() && found["pending"].is_null() {
                Ok(found)
            } else {
                Err((there, found))
            }
        })
        .await;
    scene.quiet().await;
    found
}

/// A scene with one group of one rule, served by nobody any more; its record,
/// and the one that it had while it had two rules.
async fn left(name: &str) -> (Scene, Leaders, Value, Value) {
    let scene = Scene::new(name).await;
    no_delays(&scene);
    scene.service(name, "web", &["10.0.48.71"]).await;
    let mut leaders = Leaders::default();
    let mut controller = leaders.next(&scene, &[]).await;
    scene.apply(&ingress("shop", &["/"], "")).await;
    scene.address(name, "shop").await;
    served(&scene, 1).await;
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    let two = served(&scene, 2).await;
    scene.apply(&ingress("shop", &["/"], "")).await;
    let one = served(&scene, 1).await;
    assert_ne!(one["digest"], two["digest"]);
    assert!(controller.terminate().await.success());
    (scene, leaders, one, two)
}

fn picture(scene: &Scene) -> String {
    scene.account(|state| format!("{:#?}{:#?}", state.load_balancers, state.target_groups))
}

async fn nothing_is_written(scene: &Scene, leaders: &mut Leaders, what: &str) -> Controller {
    let before = picture(scene);
    let controller = leaders.settled(scene, &[]).await;
    assert_eq!(written(scene), [""; 0], "{what}");
    assert_eq!(picture(scene), before, "{what}");
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn in_any_field_it_writes_and_deletes_nothing() {
    let (scene, mut leaders, whole, other) = left("restart-forged").await;
    let ns = scene.name.clone();
    let with = |key: &str, value: Value| {
        let mut changed = whole.clone();
        changed[key] = value;
        changed
    };
    let target_group = whole["targets"].as_object().unwrap().keys().next().unwrap();
    let mut more = whole["targets"].clone();
    more["k8s-of-somebody"] = json!("0123");
    let forged = [
        ("schema", with("schema", json!(7))),
        ("digest", with("digest", other["digest"].clone())),
        ("pending", with("pending", other["digest"].clone())),
        ("targets", with("targets", json!({ target_group: "0123" }))),
        ("more targets", with("targets", more)),
        (
            "all",
            json!({ "schema": 1, "digest": "d", "pending": "p", "targets": { "t": "h" } }),
        ),
    ];
    for (what, record) in forged {
        forge(&scene, &ns, "shop", &record).await;
        let mut controller = nothing_is_written(&scene, &mut leaders, what).await;
        assert!(controller.terminate().await.success());
    }
    assert_eq!(record(&scene, &ns, "shop").await, whole);

    // Nor is what people are told of the last change taken for anything.
    let told = json!({ "outcome": "UnderWay", "plan": ["1. - load balancer shop"], "more": 9 });
    let patch = json!([{ "op": "add", "path": "/status/lastChange", "value": told }]);
    let (name, patch) = (super::resource(&ns, "shop"), patch.to_string());
    let patch = [
        "patch",
        "alb",
        &name,
        "--subresource=status",
        "--type=json",
        "-p",
        &patch,
    ];
    scene.kubectl(&patch).await;
    let mut controller = nothing_is_written(&scene, &mut leaders, "last change").await;
    assert!(controller.terminate().await.success());

    // Even for a group that AWS holds nothing for.
    let address = scene.address(&ns, "shop").await;
    scene.delete(&ingress("shop", &["/"], "")).await;
    let mut controller = leaders.next(&scene, &[]).await;
    scene.gone(&ns, "shop").await;
    scene.empty().await;
    assert!(controller.terminate().await.success());
    scene.apply(&ingress("shop", &["/"], "")).await;
    let mut controller = leaders.next(&scene, &[]).await;
    served(&scene, 1).await;
    assert_ne!(scene.address(&ns, "shop").await, address);
    assert!(controller.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_says_what_was_wished_since_delays_it_until_the_next_verification() {
    let (scene, mut leaders, _, other) = left("restart-believed").await;
    let ns = scene.name.clone();
    // Nobody has made the second rule; the record says that somebody has.
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    forge(&scene, &ns, "shop", &other).await;
    let mut controller = nothing_is_written(&scene, &mut leaders, "believed").await;
    // The next edit finds it, for nothing is written without a read.
    scene
        .apply(&ingress("shop", &["/", "/more", "/third"], ""))
        .await;
    served(&scene, 3).await;
    assert_eq!(written(&scene), ["CreateRule", "CreateRule"]);
    assert!(controller.terminate().await.success());

    // And so does verification.
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    forge(&scene, &ns, "shop", &other).await;
    let soon = ["--verify-rules-interval=3s", "--first-verification=20s"];
    let controller = leaders.settled(&scene, &soon).await;
    assert_eq!(written(&scene), [""; 0]);
    served(&scene, 2).await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_that_say_that_targets_are_right_delay_them_until_then() {
    let (scene, mut leaders, whole, _) = left("restart-blind").await;
    let ns = scene.name.clone();
    // Somebody has taken the pod away, and put a machine of his own there.
    scene.aws.state().write(|state, _| {
        let group = state.target_groups.values_mut().next().unwrap();
        group.targets.clear();
    });
    forge(&scene, &ns, "shop", &whole).await;
    let soon = ["--verify-targets-interval=3s", "--first-verification=20s"];
    scene.forget_calls();
    let controller = leaders.settled(&scene, &soon).await;
    assert_eq!(written(&scene), [""; 0]);
    scene
        .eventually("the pod is a target again", async || {
            let made = written(&scene);
            if made == ["RegisterTargets"] {
                Ok(())
            } else {
                Err(made)
            }
        })
        .await;
    drop(controller);
}
