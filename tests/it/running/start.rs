//! A start with many groups: what is asked for meanwhile does not wait for it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::Scene;

/// More than are read at once, so that the last is far behind.
const GROUPS: usize = 30;
/// Load balancers that a process may make at once.
const AT_ONCE: usize = 10;

/// An Ingress with a load balancer of its own and a rule for each path.
fn ingress(name: &str, paths: &[&str]) -> String {
    let path = |path: &&str| {
        format!(
            "{{path: {path}, pathType: Exact, backend: {{service: {{name: web, port: \
             {{number: 80}}}}}}}}"
        )
    };
    let paths: Vec<String> = paths.iter().map(path).collect();
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: {{ns}}
  annotations:
    kubernetes.io/ingress.class: '{{class}}'
    alb.ingress.kubernetes.io/target-type: ip
spec: {{rules: [{{http: {{paths: [{}]}}}}]}}
",
        paths.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_right_after_the_start_waits_for_no_other_group() {
    let scene = Scene::new("running-start").await;
    let ns = scene.name.clone();
    let state = scene.aws.state();
    state.write(|state, _| state.timing.provisioning_ms = 0);
    scene.service(&ns, "web", &["10.0.48.71"]).await;
    let process = async |number: usize| {
        let lease = format!("--leader-election-id=number-{number}");
        scene.controller(&["--disable-route53", &lease]).await
    };
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n:02}")).collect();
    // A process each, since each waits after the first few.
    for (number, names) in names.chunks(AT_ONCE).enumerate() {
        let controller = process(number).await;
        let manifests: String = names.iter().map(|name| ingress(name, &["/"])).collect();
        scene.apply(&manifests).await;
        for name in names {
            scene.address(&ns, name).await;
        }
        scene.quiet().await;
        drop(controller);
    }

    scene.forget_calls();
    let last = names.last().unwrap();
    let address = scene.address(&ns, last).await;
    let its_arn = scene.account(|state| {
        let mut lbs = state.load_balancers.values();
        let lb = lbs.find(|lb| lb.dns_name.eq_ignore_ascii_case(&address));
        lb.unwrap().arn.clone()
    });
    let controller = process(GROUPS).await;
    let read = || -> Vec<(u64, String)> {
        let calls = scene.calls().into_iter();
        let of_groups = calls.filter(|call| call.action == "DescribeListeners");
        of_groups
            .map(|call| (call.number, call.parameters["LoadBalancerArn"].clone()))
            .collect()
    };
    scene
        .eventually("it has begun to read", async || {
            if read().is_empty() { Err(()) } else { Ok(()) }
        })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.apply(&ingress(last, &["/", "/more"])).await;
    let written = scene
        .eventually("the rule is made", async || {
            let mut calls = scene.calls().into_iter();
            let call = calls.find(|call| call.action == "CreateRule");
            call.map(|call| call.number).ok_or(())
        })
        .await;
    scene
        .eventually("all groups have been read", async || {
            let read: BTreeSet<String> = read().into_iter().map(|(_, arn)| arn).collect();
            if read.len() == GROUPS {
                Ok(())
            } else {
                Err(read.len())
            }
        })
        .await;
    let (before, after): (Vec<_>, Vec<_>) = read().into_iter().partition(|(n, _)| *n < written);
    let its_own = before.iter().filter(|(_, arn)| *arn == its_arn).count();
    assert_eq!(its_own, 1, "{before:#?}");
    // Those that come one by one were still to come.
    assert!(
        after.len() >= 3,
        "{} before, {} after",
        before.len(),
        after.len()
    );
    drop(controller);
}
