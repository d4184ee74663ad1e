//! What the last process left, and what happened since: what is read of it,
//! and what is written.

use sandbox_aws::faults::Fault;
use serde_json::{Value, json};

use super::{
    Leaders, count, forge, ingress, insides, no_delays, record, resource, writes, written,
};
use crate::support::{Controller, Scene};

/// Has one group served and recorded; answers its controller.
pub(super) async fn served(scene: &Scene) -> (Leaders, Controller) {
    no_delays(scene);
    scene.service(&scene.name, "web", &["10.0.48.71"]).await;
    let mut leaders = Leaders::default();
    let controller = leaders.next(scene, &[]).await;
    scene.apply(&ingress("shop", &["/"], "")).await;
    scene.address(&scene.name, "shop").await;
    has_record(scene, "shop").await;
    settled(scene).await;
    (leaders, controller)
}

/// Waits until the host of an Ingress has its DNS record.
async fn has_record(scene: &Scene, ingress: &str) {
    let record = format!("A {ingress}.");
    scene
        .eventually("the host has its record", async || {
            let ours = scene.ours();
            let there = ours.iter().any(|thing| thing.starts_with(&record));
            if there { Ok(()) } else { Err(ours) }
        })
        .await;
}

/// Waits until the record says that all is made.
pub(super) async fn settled(scene: &Scene) {
    scene
        .eventually("the record is whole", async || {
            let found = record(scene, &scene.name, "shop").await;
            let targets = found["targets"].as_object().map_or(0, serde_json::Map::len);
            if found["digest"].is_string() && found["pending"].is_null() && targets == 1 {
                Ok(())
            } else {
                Err(found)
            }
        })
        .await;
    scene.quiet().await;
}

/// Waits until a target is registered.
pub(super) async fn registered(scene: &Scene, address: &str) {
    scene
        .eventually("the pod is a target", async || {
            let calls = scene.calls();
            let mut register = calls.iter().filter(|c| c.action == "RegisterTargets");
            let found = register.any(|c| c.parameters.values().any(|value| value == address));
            if found { Ok(()) } else { Err(scene.actions()) }
        })
        .await;
    scene.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_pending_before_its_first_write_and_made_after_its_last() {
    let scene = Scene::new("restart-pending").await;
    let (_, controller) = served(&scene).await;
    let ns = scene.name.clone();
    let before = record(&scene, &ns, "shop").await;
    assert_eq!(before["schema"], 1, "{before}");
    let keys: Vec<&String> = before.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["digest", "schema", "targets"], "and nothing else");

    // The first write is held, before anything is done.
    scene.aws.faults().add(Fault {
        action: Some("CreateRule".to_owned()),
        held: true,
        ..Fault::default()
    });
    scene.forget_calls();
    let writes_before = crate::running::kubernetes_writes(&controller).await;
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    let during = scene
        .eventually("the change is pending", async || {
            let found = record(&scene, &ns, "shop").await;
            if found["pending"].is_string() {
                Ok(found)
            } else {
                Err(found)
            }
        })
        .await;
    assert_eq!(during["digest"], before["digest"]);
    scene.faults_met("the write comes").await;
    assert_eq!(written(&scene), [""; 0]);
    scene.aws.faults().let_go();
    settled(&scene).await;
    assert_eq!(written(&scene), ["CreateRule"]);
    let after = record(&scene, &ns, "shop").await;
    assert_eq!(after["digest"], during["pending"]);
    assert_eq!(after["targets"], before["targets"]);
    let writes = crate::running::kubernetes_writes(&controller).await - writes_before;
    assert_eq!(writes, 2, "pending, and made");
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_targets_are_written_at_most_once_a_minute_and_at_the_end() {
    let scene = Scene::new("restart-targets").await;
    let (mut leaders, mut controller) = served(&scene).await;
    let ns = scene.name.clone();
    let before = record(&scene, &ns, "shop").await;
    let writes_before = crate::running::kubernetes_writes(&controller).await;
    scene.forget_calls();
    for address in ["10.0.48.72", "10.0.48.73", "10.0.48.74"] {
        scene.service(&ns, "web", &["10.0.48.71", address]).await;
        registered(&scene, address).await;
    }
    let writes = crate::running::kubernetes_writes(&controller).await - writes_before;
    assert!(writes <= 1, "{writes}");
    assert!(controller.terminate().await.success());
    let after = record(&scene, &ns, "shop").await;
    assert_eq!(after["digest"], before["digest"]);
    assert_ne!(after["targets"], before["targets"]);

    // So the next process knows them without a read.
    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(insides(&scene), [""; 0]);
    assert_eq!(written(&scene), [""; 0]);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_edit_after_a_restart_reads_its_group_and_the_second_nothing() {
    let scene = Scene::new("restart-edit").await;
    let (mut leaders, controller) = served(&scene).await;
    controller.kill().await;
    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(insides(&scene), [""; 0]);

    scene.forget_calls();
    scene.apply(&ingress("shop", &["/", "/a"], "")).await;
    settled(&scene).await;
    assert_eq!(written(&scene), ["CreateRule"]);
    let calls = scene.calls();
    let place = calls.iter().position(writes).unwrap();
    assert!(place <= 15, "{:#?}", scene.actions());
    assert_eq!(place + 1, calls.len(), "nothing is read after the write");
    // Targets are as their hash says.
    assert_eq!(count(&scene, "DescribeTargetHealth"), 0);

    scene.forget_calls();
    scene.apply(&ingress("shop", &["/", "/a", "/b"], "")).await;
    settled(&scene).await;
    assert_eq!(scene.actions(), ["elasticloadbalancing CreateRule"]);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_changed_while_nobody_looked_cost_one_read_of_their_target_group() {
    let scene = Scene::new("restart-pods").await;
    let (mut leaders, controller) = served(&scene).await;
    let ns = scene.name.clone();
    scene.service(&ns, "other", &["10.0.48.81"]).await;
    let other = ingress("other", &["/"], "").replace("name: web", "name: other");
    scene.apply(&other).await;
    scene.address(&ns, "other").await;
    has_record(&scene, "other").await;
    scene.quiet().await;
    controller.kill().await;

    // One pod is replaced; and one comes and goes, so that all is as before.
    scene.service(&ns, "web", &["10.0.48.72"]).await;
    scene
        .service(&ns, "other", &["10.0.48.81", "10.0.48.82"])
        .await;
    scene.service(&ns, "other", &["10.0.48.81"]).await;
    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(count(&scene, "DescribeTargetHealth"), 2);
    let mut targets = written(&scene);
    targets.sort();
    assert_eq!(targets, ["DeregisterTargets", "RegisterTargets"]);
    // The group that is written is read before; the other is not.
    assert_eq!(count(&scene, "DescribeListeners"), 1);
    drop(controller);

    // Hashes that did not match were written, or are at the next end.
    let mut controller = leaders.next(&scene, &[]).await;
    scene.quiet().await;
    assert!(controller.terminate().await.success());
    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(insides(&scene), [""; 0]);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_made_or_has_no_record_is_read_in_full() {
    let scene = Scene::new("restart-full").await;
    let (mut leaders, mut controller) = served(&scene).await;
    let ns = scene.name.clone();
    let whole = record(&scene, &ns, "shop").await;
    let with = |key: &str, value: Value| {
        let mut changed = whole.clone();
        changed[key] = value;
        changed
    };
    let records = [
        ("lost", Value::Null),
        ("half made", with("pending", json!("0123"))),
        ("of another schema", with("schema", json!(0))),
        ("of another state", with("digest", json!("0123"))),
        ("without a digest", with("digest", Value::Null)),
    ];
    for (what, record_then) in records {
        assert!(controller.terminate().await.success());
        let record_then = match record_then {
            Value::Object(mut object) => {
                object.retain(|_, value| !value.is_null());
                Value::Object(object)
            }
            other => other,
        };
        forge(&scene, &ns, "shop", &record_then).await;
        controller = leaders.settled(&scene, &[]).await;
        assert_eq!(count(&scene, "DescribeListeners"), 1, "{what}");
        assert_eq!(count(&scene, "DescribeTargetHealth"), 1, "{what}");
        assert_eq!(written(&scene), [""; 0], "{what}");
        // And is whole again.
        assert_eq!(record(&scene, &ns, "shop").await, whole, "{what}");
    }

    // The resource itself is gone.
    assert!(controller.terminate().await.success());
    let name = resource(&ns, "shop");
    scene.kubectl(&["delete", "alb", &name]).await;
    controller = leaders.settled(&scene, &[]).await;
    assert_eq!(count(&scene, "DescribeListeners"), 1);
    assert_eq!(record(&scene, &ns, "shop").await, whole);

    // A member that is frozen: what is live for it counts.
    let bad = ingress("shop", &["/"], "").replace("scheme: internet-facing", "scheme: no-scheme");
    scene.apply(&bad).await;
    scene.warned(&ns, "shop", &["no-scheme"]).await;
    scene.quiet().await;
    assert!(controller.terminate().await.success());
    let controller = leaders.settled(&scene, &[]).await;
    assert!(count(&scene, "DescribeListeners") >= 1);
    assert!(count(&scene, "DescribeTargetHealth") >= 1);
    assert_eq!(written(&scene), [""; 0]);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_the_listing_shows_is_read_and_mended_at_once() {
    let scene = Scene::new("restart-listing").await;
    let (mut leaders, controller) = served(&scene).await;
    controller.kill().await;
    scene.aws.state().write(|state, _| {
        let group = state.target_groups.values_mut().next().unwrap();
        group.health_check.path = Some("/other".to_owned());
    });
    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(written(&scene), ["ModifyTargetGroup"]);
    assert_eq!(count(&scene, "DescribeListeners"), 1);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_it_does_not_show_is_mended_by_verification() {
    let scene = Scene::new("restart-verified").await;
    let (mut leaders, controller) = served(&scene).await;
    controller.kill().await;
    let rule = super::rules(&scene).remove(0);
    let delete = |state: &mut sandbox_aws::State| state.delete_rule(&rule).unwrap();
    scene.aws.state().write(|state, _| delete(state));
    let soon = ["--verify-rules-interval=3s", "--first-verification=6s"];
    scene.forget_calls();
    let controller = leaders.next(&scene, &soon).await;
    scene
        .eventually("the rule is back", async || {
            let made = written(&scene);
            if made == ["CreateRule"] {
                Ok(())
            } else {
                Err(made)
            }
        })
        .await;
    let log = controller.log();
    assert!(
        log.contains("AWS holds something else than was remembered"),
        "{log}"
    );
}
