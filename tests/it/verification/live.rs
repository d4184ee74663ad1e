//! Verification makes nobody wait.

use sandbox_aws::faults::Fault;

use super::{metric, served, whole};
use crate::support::WATCHFUL;

/// A read of each tier.
const READS: [(&str, &str); 6] = [
    ("fast", "DescribeTargetGroups"),
    ("tag", "GetResources"),
    ("slow", "DescribeRules"),
    ("target", "DescribeTargetHealth"),
    ("network", "DescribeRouteTables"),
    ("record", "ListResourceRecordSets"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_does_not_wait_for_a_read_that_is_under_way() {
    let (scene, controller) = served("verify-live", &WATCHFUL).await;
    let ns = scene.name.clone();
    // What is only believed is read before the first write.
    scene
        .eventually("the group is read", async || {
            let line = "alb_ingress_verification_reads_total{tier=\"slow\"}";
            let read = metric(&controller, line).await;
            if read > 0 { Ok(()) } else { Err(read) }
        })
        .await;
    for (number, (tier, action)) in READS.into_iter().enumerate() {
        // The answer to the next one takes longer than all that follows.
        scene.aws.faults().add(Fault {
            action: Some(action.to_owned()),
            delay_ms: 30_000,
            ..Fault::default()
        });
        scene.faults_met(&format!("the {tier} tier reads")).await;
        scene.forget_calls();
        let address = format!("10.0.48.{}", 111 + number);
        scene.service(&ns, "a", &["10.0.48.101", &address]).await;
        let before = scene
            .eventually(&format!("{tier}: the pod is a target"), async || {
                let calls = scene.calls();
                let found = calls.iter().position(|c| c.action == "RegisterTargets");
                let before = found.map(|place| calls[..place].to_vec());
                before.ok_or_else(|| scene.actions())
            })
            .await;
        // What was under way came to its end, and no answer was waited for.
        let before: Vec<&str> = before.iter().map(|call| call.action.as_str()).collect();
        assert!(before.len() <= 4, "{tier}: {before:#?}");
        assert!(!before.contains(&action), "{tier}: {before:#?}");
        scene.service(&ns, "a", &["10.0.48.101"]).await;
        scene
            .eventually("the pod is gone", async || {
                let there = scene.account(whole);
                if there == (1, 1, 2, 2) {
                    Ok(())
                } else {
                    Err(there)
                }
            })
            .await;
    }
}
