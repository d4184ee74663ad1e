//! Which Ingresses are served, what is made for them, and what becomes of bad
//! input: one Ingress is told and its neighbours go on.

mod classes;
mod freezing;
mod left_alone;
mod lost;
mod marks;
mod quotas;
mod refusals;
mod unsupported;
mod wishes;

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use sandbox_aws::State;
use sandbox_aws::state::{ActionKind, Condition, LoadBalancer, Rule};
use serde_json::json;

use crate::support::{Controller, Scene};

/// An Ingress by annotations (without their prefix) and spec; its class is the
/// scene's.
fn ingress(namespace: &str, name: &str, annotations: &[(&str, &str)], spec: &str) -> String {
    let mut all = "    kubernetes.io/ingress.class: '{class}'\n".to_owned();
    for (key, value) in annotations {
        all.extend(["    alb.ingress.kubernetes.io/", key, ": '", value, "'\n"]);
    }
    object(namespace, name, &all, spec)
}

/// An Ingress by the lines of its annotations, and its spec.
fn object(namespace: &str, name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: '{namespace}'
  annotations:
    test/kind: played
{annotations}spec: {{{spec}}}
"
    )
}

/// A spec of rules, each `host path service` with port 80 and type Prefix.
fn routes(rules: &[(&str, &str, &str)]) -> String {
    let rule = |(host, path, service): &(&str, &str, &str)| {
        format!(
            "{{host: '{host}', http: {{paths: [{{path: {path}, pathType: Prefix, backend: \
             {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}}}"
        )
    };
    let rules: Vec<String> = rules.iter().map(rule).collect();
    format!("rules: [{}]", rules.join(", "))
}

/// The load balancer of a group.
fn load_balancer<'a>(state: &'a State, group: &str) -> Option<&'a LoadBalancer> {
    state.load_balancers.values().find(|lb| {
        let tags = state.tags.get(&lb.arn);
        tags.and_then(|tags| tags.get("ingress.k8s.aws/stack"))
            .is_some_and(|stack| stack == group)
    })
}

/// Rules on a listener of a group: `priority host path -> what`, where what is
/// the tag of a target group or the code of an answer.
fn rules(scene: &Scene, group: &str, port: u16) -> Vec<String> {
    scene.account(|state| {
        let listener = load_balancer(state, group).and_then(|lb| lb.listeners.get(&port));
        let rules = listener.iter().flat_map(|listener| &listener.rules);
        rules
            .map(|(priority, rule)| format!("{priority} {}", text(state, rule)))
            .collect()
    })
}

fn text(state: &State, rule: &Rule) -> String {
    let conditions = rule.conditions.iter().map(|condition| match condition {
        Condition::HostHeader(patterns) | Condition::PathPattern(patterns) => {
            patterns.values().join("|")
        }
        other => format!("{other:?}"),
    });
    let conditions: Vec<String> = conditions.collect();
    let actions = rule.actions.iter().map(|action| what(state, &action.kind));
    let actions: Vec<String> = actions.collect();
    format!("{} -> {}", conditions.join(" "), actions.join(", "))
}

fn what(state: &State, action: &ActionKind) -> String {
    match action {
        ActionKind::Forward(forward) => {
            let arn = &forward.target_groups[0].arn;
            let tags = &state.tags[arn];
            tags["ingress.k8s.aws/resource"].clone()
        }
        ActionKind::Redirect(redirect) => format!("{}:{}", redirect.protocol, redirect.port),
        ActionKind::FixedResponse(answer) => answer.status.to_string(),
        other => panic!("not made by the controller: {other:?}"),
    }
}

/// Targets of the target group with a tag, as `id:port`; none where there is
/// no such group.
fn targets(scene: &Scene, resource: &str) -> Vec<String> {
    scene.account(|state| {
        let tagged = |arn: &String| {
            let tags = state.tags.get(arn);
            tags.and_then(|tags| tags.get("ingress.k8s.aws/resource"))
                .is_some_and(|tag| tag == resource)
        };
        let group = state
            .target_groups
            .values()
            .find(|group| tagged(&group.arn));
        let targets = group.iter().flat_map(|group| &group.targets);
        targets
            .filter(|(_, target)| target.draining_until.is_none())
            .map(|(key, _)| format!("{}:{}", key.id, key.port))
            .collect()
    })
}

/// Waits until the rules on a listener are these.
async fn has_rules(scene: &Scene, group: &str, port: u16, wished: &[&str]) {
    scene
        .eventually("the listener has its rules", async || {
            let rules = rules(scene, group, port);
            if rules == wished { Ok(()) } else { Err(rules) }
        })
        .await;
}

/// Sum of a metric over all its labels.
async fn total(controller: &Controller, metric: &str) -> u64 {
    let (_, page) = controller.page("/metrics").await.unwrap();
    page.lines()
        .filter(|line| line.starts_with(metric))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Waits until nothing happens any more, then wakes the group of an Ingress
/// with a change that means nothing: no call to AWS and no write to Kubernetes
/// may follow, and it may not run again and again.
async fn settled(scene: &Scene, controller: &Controller, namespace: &str, name: &str) {
    const RUNS: &str = "alb_ingress_reconcile_seconds_count";
    const WRITES: &str = "alb_ingress_kubernetes_writes_total";
    scene
        .eventually("load balancers are active", async || {
            let made = scene.account(|state| !state.load_balancers.is_empty());
            let waiting = total(controller, "alb_ingress_groups{state=\"Waiting\"").await;
            if made && waiting > 0 {
                Err(waiting)
            } else {
                Ok(())
            }
        })
        .await;
    let mut seen = u64::MAX;
    loop {
        scene.quiet().await;
        let now = total(controller, WRITES).await;
        if now == seen {
            break;
        }
        seen = now;
    }
    let (runs, writes) = (
        total(controller, RUNS).await,
        total(controller, WRITES).await,
    );
    scene.forget_calls();
    nudge(scene, namespace, name).await;
    scene
        .eventually("the change is looked at", async || {
            let now = total(controller, RUNS).await;
            if now > runs { Ok(()) } else { Err(now) }
        })
        .await;
    scene.quiet().await;
    assert_eq!(scene.actions(), [""; 0], "{namespace}/{name}");
    let (_, page) = controller.page("/metrics").await.unwrap();
    let now: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with(WRITES))
        .collect();
    assert_eq!(
        total(controller, WRITES).await,
        writes,
        "writes of {namespace}/{name}: {now:#?}"
    );
    let more = total(controller, RUNS).await - runs;
    assert!(
        more <= 8,
        "{more} runs after one change of {namespace}/{name}"
    );
}

/// States a default on an Ingress, or states it no longer: a change that is
/// looked at and means nothing.
async fn nudge(scene: &Scene, namespace: &str, name: &str) {
    const DEFAULT: &str = "alb.ingress.kubernetes.io/unhealthy-threshold-count";
    let ingresses: Api<Ingress> = Api::namespaced(scene.client.clone(), namespace);
    let there = ingresses.get(name).await.unwrap();
    let is_stated = there.annotations().contains_key(DEFAULT);
    let value = (!is_stated).then_some("2");
    let patch = json!({ "metadata": { "annotations": { DEFAULT: value } } });
    let patch = Patch::Merge(patch);
    let parameters = PatchParams::default();
    ingresses.patch(name, &parameters, &patch).await.unwrap();
}

/// Warnings about an Ingress with one reason.
async fn said(scene: &Scene, namespace: &str, name: &str, reason: &str) -> Vec<String> {
    let mut warnings = scene.warnings(namespace, name).await;
    warnings.retain(|warning| warning.starts_with(&format!("{reason}: ")));
    warnings
}

/// Waits for the Normal event that says that a finding is gone.
async fn resolved(scene: &Scene, namespace: &str, name: &str, reason: &str) {
    let wished = format!("Resolved: {reason} no longer applies");
    scene
        .eventually("the finding is gone", async || {
            let events = scene.events(namespace, name).await;
            if events.contains(&wished) {
                Ok(())
            } else {
                Err(events)
            }
        })
        .await;
}

/// Warnings about an Ingress, those of records left out: there is no private
/// zone in the account.
async fn warnings(scene: &Scene, namespace: &str, name: &str) -> Vec<String> {
    let mut warnings = scene.warnings(namespace, name).await;
    warnings.retain(|warning| !warning.starts_with("NoHostedZone: "));
    warnings
}
