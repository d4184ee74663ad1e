//! What things cost, counted at the AWS end. Times are not asserted.

use sandbox_aws::journal::Call;

use super::shop::{self, Of, TEN, counted, depth, kubernetes_writes, of, services, shared};
use crate::support::Scene;

/// Each answer is held back, so that calls side by side overlap; longer where it
/// is asserted that they do.
const LATENCY_MS: u64 = 150;
const LONG_LATENCY_MS: u64 = 600;

fn answers_take(scene: &Scene, ms: u64) {
    let state = scene.aws.state();
    state.write(|state, _| state.timing.latency_ms = ms);
}

/// Waits until nothing more comes after a call that is counted so.
async fn done(scene: &Scene, shared: &[String], what: Of, action: &str) {
    scene
        .eventually(&format!("{action} comes"), async || {
            let counted = counted(scene, shared, what);
            if counted.iter().any(|call| call == action) {
                Ok(())
            } else {
                Err(counted)
            }
        })
        .await;
    scene.quiet().await;
}

/// All calls but polling, in words that fit a failure.
fn all(scene: &Scene, shared: &[String]) -> Vec<String> {
    let calls = scene.calls();
    let calls = calls.iter().filter(|call| of(call, shared) != Of::Polling);
    calls
        .map(|call| {
            format!(
                "{:?} {} {:?} {:?}",
                of(call, shared),
                call.action,
                call.code,
                call.parameters
            )
        })
        .collect()
}

async fn recorded(scene: &Scene) {
    scene
        .eventually("the host has its record", async || {
            let group = scene.group(&format!("{}/shop", scene.name)).await;
            let state = &group["status"]["records"][0]["state"];
            if state == "in sync" {
                Ok(())
            } else {
                Err(state.clone())
            }
        })
        .await;
    scene.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_from_creation_to_deletion() {
    let scene = Scene::alone("running-budget").await;
    let second = scene.certificate("other.example.com");
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    services(&scene, &ns).await;
    scene.quiet().await;

    // Created. The shared things come with the first group.
    answers_take(&scene, LONG_LATENCY_MS);
    scene.apply(&shop::ingress(&TEN, "")).await;
    scene.address(&ns, "shop").await;
    recorded(&scene).await;
    answers_take(&scene, LATENCY_MS);
    let shared = shared(&scene);
    let calls = scene.calls();
    let began = calls
        .iter()
        .position(|call| call.action == "CreateSecurityGroup");
    let made: Vec<&Call> = calls[began.unwrap()..]
        .iter()
        .filter(|call| matches!(of(call, &shared), Of::Group | Of::Once))
        .collect();
    assert!(
        depth(&made) <= 6,
        "{} in a row: {:#?}",
        depth(&made),
        all(&scene, &shared)
    );
    let group = counted(&scene, &shared, Of::Group);
    assert!(group.len() <= 30, "{group:#?}");
    let once = counted(&scene, &shared, Of::Once);
    assert!(once.len() <= 10, "{once:#?}");
    let dns = counted(&scene, &shared, Of::Dns);
    assert_eq!(dns, ["ListResourceRecordSets", "ChangeResourceRecordSets"]);

    // Events that change nothing.
    let writes = kubernetes_writes(&controller).await;
    scene.forget_calls();
    scene
        .kubectl(&["label", "ingress", "shop", "-n", &ns, "team=web"])
        .await;
    scene
        .kubectl(&[
            "annotate",
            "ingress",
            "shop",
            "-n",
            &ns,
            "other.tool/seen=1",
        ])
        .await;
    scene
        .kubectl(&["annotate", "service", "s0", "-n", &ns, "other.tool/seen=1"])
        .await;
    scene
        .kubectl(&["label", "node", "node-a", "--overwrite", "rack=running"])
        .await;
    scene.quiet().await;
    assert_eq!(all(&scene, &shared), [""; 0]);
    assert_eq!(kubernetes_writes(&controller).await, writes);

    // A rule at the end, and one elsewhere.
    scene
        .apply(&shop::ingress(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ""))
        .await;
    done(&scene, &shared, Of::Group, "CreateRule").await;
    assert_eq!(counted(&scene, &shared, Of::Group), ["CreateRule"]);
    assert_eq!(all(&scene, &shared).len(), 1);
    scene.forget_calls();
    let middle = [0, 1, 2, 3, 15, 4, 5, 6, 7, 8, 9, 10];
    scene.apply(&shop::ingress(&middle, "")).await;
    done(&scene, &shared, Of::Group, "SetRulePriorities").await;
    let mut two = counted(&scene, &shared, Of::Group);
    two.sort();
    assert_eq!(two, ["CreateRule", "SetRulePriorities"]);
    let tags = counted(&scene, &shared, Of::MovedTags).len();
    assert_eq!(all(&scene, &shared).len(), 2 + tags);
    // As many as moved: each has a tag of its own.
    assert!((1..=7).contains(&tags), "{tags}");

    // A certificate.
    scene.forget_calls();
    scene
        .apply(&shop::ingress(&middle, &format!(", {second}")))
        .await;
    done(&scene, &shared, Of::Group, "AddListenerCertificates").await;
    let calls = all(&scene, &shared);
    assert!((1..=2).contains(&calls.len()), "{calls:#?}");

    // A pod more, a pod less.
    scene.forget_calls();
    scene
        .service(&ns, "s0", &["10.0.48.20", "10.0.64.20", "10.0.48.60"])
        .await;
    done(&scene, &shared, Of::Group, "RegisterTargets").await;
    assert_eq!(counted(&scene, &shared, Of::Group), ["RegisterTargets"]);
    scene
        .service(&ns, "s0", &["10.0.48.20", "10.0.64.20"])
        .await;
    done(&scene, &shared, Of::Group, "DeregisterTargets").await;
    assert_eq!(
        counted(&scene, &shared, Of::Group),
        ["RegisterTargets", "DeregisterTargets"]
    );
    assert_eq!(all(&scene, &shared).len(), 2);

    // A restart with nothing changed.
    controller.kill().await;
    scene.forget_calls();
    let controller = scene.controller(&[]).await;
    // The Lease of the dead one must run out first.
    scene
        .eventually("it reads AWS", async || {
            let read = scene.calls().len();
            if read > 0 { Ok(()) } else { Err(read) }
        })
        .await;
    scene.quiet().await;
    let reads = counted(&scene, &shared, Of::Group);
    assert!(reads.len() <= 15, "{reads:#?}");
    assert!(
        reads.iter().all(|action| action.starts_with("Describe")),
        "{reads:#?}"
    );
    let once = counted(&scene, &shared, Of::Once);
    assert!(once.len() <= 10, "{once:#?}");
    assert_eq!(
        counted(&scene, &shared, Of::Dns),
        ["ListResourceRecordSets"]
    );

    // The first edit after it reads the group, once.
    scene.forget_calls();
    scene.apply(&shop::ingress(&TEN, "")).await;
    done(&scene, &shared, Of::Group, "DeleteRule").await;
    let edited = counted(&scene, &shared, Of::Group);
    let reads = edited
        .iter()
        .filter(|action| action.starts_with("Describe"));
    assert!((1..=15).contains(&reads.count()), "{edited:#?}");

    // Deleted; the network interfaces let go at once.
    scene
        .aws
        .state()
        .write(|state, _| state.timing.eni_release_ms = 0);
    scene.forget_calls();
    scene.delete(&shop::ingress(&middle, "")).await;
    scene.gone(&ns, "shop").await;
    scene.empty().await;
    let deleted = counted(&scene, &shared, Of::Group);
    assert!(deleted.len() <= 10, "{deleted:#?}");
    let once = counted(&scene, &shared, Of::Once);
    assert!(once.len() <= 6, "{:#?}", all(&scene, &shared));
    let dns = counted(&scene, &shared, Of::Dns);
    assert!(dns.len() <= 2, "{dns:#?}");
    drop(controller);
}
