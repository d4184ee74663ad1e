//! A start with many groups: what is asked for meanwhile does not wait for it.

use std::collections::BTreeSet;

use sandbox_aws::faults::Fault;
use sandbox_aws::journal::Call;

use crate::support::Scene;

/// More than are read at once, so that the last is far behind.
const GROUPS: usize = 30;

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
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n:02}")).collect();
    let arguments = ["--disable-route53", "--aws-rate-limits=false"];
    let controller = scene.controller(&arguments).await;
    let manifests: String = names.iter().map(|name| ingress(name, &["/"])).collect();
    scene.apply(&manifests).await;
    for name in &names {
        scene.address(&ns, name).await;
    }
    scene.quiet().await;
    drop(controller);

    // Every read takes long, so that those of the restart are under way when
    // somebody changes something.
    scene.aws.faults().add(Fault {
        service: Some("elasticloadbalancing".to_owned()),
        action: Some("Describe*".to_owned()),
        times: u64::MAX,
        delay_ms: 500,
        ..Fault::default()
    });
    scene.forget_calls();
    let last = names.last().unwrap();
    let address = scene.address(&ns, last).await;
    let (its_arn, its_ids) = scene.account(|state| {
        let mut lbs = state.load_balancers.values();
        let lb = lbs.find(|lb| lb.dns_name.eq_ignore_ascii_case(&address));
        let arn = lb.unwrap().arn.clone();
        let id = arn.rsplit('/').next().unwrap().to_owned();
        let groups = state.target_groups.values();
        let names_it = |arn: &String| arn.contains(&id);
        let its_groups = groups.filter(|group| group.references.iter().any(names_it));
        let mut ids: Vec<String> = its_groups.map(|group| group.arn.clone()).collect();
        ids.push(id);
        (arn, ids)
    });
    // Killed, the first holds its Lease for a while.
    let lease = "--leader-election-id=second";
    let controller = scene.controller(&["--disable-route53", lease]).await;
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
    scene.apply(&ingress(last, &["/", "/more"])).await;
    let begun = scene.aws.journal().begun();
    let written = scene
        .eventually("the rule is made", async || {
            let mut calls = scene.calls().into_iter();
            let call = calls.find(|call| call.action == "CreateRule");
            call.map(|call| call.number).ok_or(())
        })
        .await;
    scene.aws.faults().clear();
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
    let names_its_own = |call: &Call| {
        let names = |value: &String| its_ids.iter().any(|id| value.contains(id));
        call.parameters.values().any(names)
    };
    let others = scene.calls().into_iter();
    let others: Vec<_> = others
        .filter(|call| (begun + 1..written).contains(&call.number))
        .filter(|call| !names_its_own(call))
        .map(|call| (call.number, call.action))
        .collect();
    // One at a time, and as many as the reads of the edit itself take one
    // after the other.
    assert!(others.len() <= 4, "{others:#?}");
    assert!(
        after.len() >= 3,
        "{} before, {} after",
        before.len(),
        after.len()
    );
    drop(controller);
}
