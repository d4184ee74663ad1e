//! An edit during a restart: it passes what the restart has to do.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, Patch, PatchParams};
use sandbox_aws::faults::Fault;
use sandbox_aws::journal::Call;
use serde_json::json;

use super::{Leaders, forge, ingress, no_delays, record, writes};
use crate::support::Scene;

const PENDING: usize = 20;
/// Load balancers that a process may make at once.
const AT_ONCE: usize = 7;
/// How long reads are held: longer than a busy machine takes to begin with an
/// edit, for until then what waits may go on. Calls are given up after 8 s.
const HELD_MS: u64 = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_passes_groups_that_were_found_half_made() {
    let scene = Scene::alone("restart-order").await;
    let ns = scene.name.clone();
    no_delays(&scene);
    scene.service(&ns, "web", &["10.0.48.71"]).await;
    let mut leaders = Leaders::default();
    let mut names: Vec<String> = (0..PENDING).map(|n| format!("g{n:02}")).collect();
    names.push("live".to_owned());
    for names in names.chunks(AT_ONCE) {
        let mut controller = leaders.next(&scene, &["--disable-route53"]).await;
        let manifests: String = names.iter().map(|name| ingress(name, &["/"], "")).collect();
        scene.apply(&manifests).await;
        for name in names {
            scene.address(&ns, name).await;
        }
        scene.quiet().await;
        assert!(controller.terminate().await.success());
    }
    for name in &names[..PENDING] {
        let mut found = record(&scene, &ns, name).await;
        found["pending"] = json!("0123");
        forge(&scene, &ns, name, &found).await;
    }
    let stack = format!("{ns}/live");
    let its_own: BTreeSet<String> = scene.account(|state| {
        let tagged = state.tags.iter().filter(|(_, tags)| {
            let of = tags.get("ingress.k8s.aws/stack");
            of.is_some_and(|of| *of == stack)
        });
        // What is below a load balancer has the end of its ARN in its own.
        let ends = tagged.map(|(arn, _)| match arn.split_once(":loadbalancer/") {
            Some((_, end)) => end.to_owned(),
            None => arn.clone(),
        });
        ends.collect()
    });
    let of_live = |call: &Call| {
        let values = || call.parameters.values();
        its_own
            .iter()
            .any(|own| values().any(|value| value.contains(own)))
    };

    for action in [
        "DescribeListeners",
        "DescribeRules",
        "DescribeTags",
        "DescribeTargetHealth",
    ] {
        scene.aws.faults().add(Fault {
            action: Some(action.to_owned()),
            times: 10_000,
            delay_ms: HELD_MS,
            ..Fault::default()
        });
    }
    scene.forget_calls();
    let controller = leaders.next(&scene, &["--disable-route53"]).await;
    scene.listed(&controller).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Not by kubectl: what is read until that has started is not after the edit.
    let path = json!({
        "path": "/more",
        "pathType": "Exact",
        "backend": { "service": { "name": "web", "port": { "number": 80 } } },
    });
    let add = json!([{ "op": "add", "path": "/spec/rules/0/http/paths/-", "value": path }]);
    let add = Patch::<Ingress>::Json(serde_json::from_value(add).unwrap());
    let ingresses: Api<Ingress> = Api::namespaced(scene.client.clone(), &ns);
    let edited = scene.aws.journal().now();
    let parameters = PatchParams::default();
    ingresses.patch("live", &parameters, &add).await.unwrap();
    let written = scene
        .eventually("the rule is made", async || {
            let call = scene.calls().into_iter().find(writes);
            call.ok_or(())
        })
        .await;
    assert_eq!(written.action, "CreateRule");
    // A call is in the log once it is answered.
    tokio::time::sleep(Duration::from_millis(2 * HELD_MS)).await;
    let between: Vec<Call> = scene
        .calls()
        .into_iter()
        .filter(|call| call.started > edited && call.started < written.started)
        .collect();
    let (own, others): (Vec<_>, Vec<_>) = between.into_iter().partition(of_live);
    assert!(!own.is_empty() && own.len() <= 15, "{own:#?}");
    assert!(others.len() <= 4, "{others:#?}");

    // The restart goes on to its end, and finds nothing to do.
    scene.aws.faults().clear();
    scene
        .eventually("all groups have been read", async || {
            let calls = scene.calls();
            let read = calls.iter().filter(|c| c.action == "DescribeListeners");
            let read: BTreeSet<String> = read
                .map(|call| call.parameters["LoadBalancerArn"].clone())
                .collect();
            if read.len() == names.len() {
                Ok(())
            } else {
                Err(read.len())
            }
        })
        .await;
    scene.quiet().await;
    assert_eq!(super::written(&scene), ["CreateRule"]);
    for name in &names {
        let record = record(&scene, &ns, name).await;
        assert!(record["pending"].is_null(), "{name}: {record}");
    }
}
