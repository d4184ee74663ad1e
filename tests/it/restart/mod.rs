//! What a new leader does: whom it believes, what it reads, and in which order.

mod forged;
mod hundred;
mod left;
mod order;
mod unseen;
mod unwritten;

use alb_ingress_controller::model::group::GroupId;
use alb_ingress_controller::model::spec::ObjectName;
use alb_ingress_controller::report::resource_name;
use sandbox_aws::journal::Call;
use serde_json::{Value, json};

use crate::support::{Controller, Scene};

/// An Ingress with a load balancer of its own, its host's record, and a rule
/// for each path. `more` are lines of annotations.
fn ingress(name: &str, paths: &[&str], more: &str) -> String {
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
    alb.ingress.kubernetes.io/scheme: internet-facing
{more}spec: {{rules: [{{host: {name}.example.com, http: {{paths: [{}]}}}}]}}
",
        paths.join(", ")
    )
}

/// Nothing that AWS does later takes time.
fn no_delays(scene: &Scene) {
    scene.aws.state().write(|state, _| {
        state.timing.provisioning_ms = 0;
        state.timing.insync_ms = 0;
        state.timing.zone_busy_ms = 0;
        state.timing.eni_release_ms = 0;
    });
}

/// Controllers one after the other, each with a Lease of its own, so that none
/// waits for that of a dead one.
#[derive(Default)]
struct Leaders(u32);

impl Leaders {
    async fn next(&mut self, scene: &Scene, arguments: &[&str]) -> Controller {
        self.0 += 1;
        let lease = format!("--leader-election-id=number-{}", self.0);
        let mut all = vec![lease.as_str()];
        all.extend(arguments);
        scene.controller(&all).await
    }

    /// The next one, once it has listed the account and come to rest. Only its
    /// calls are counted.
    async fn settled(&mut self, scene: &Scene, arguments: &[&str]) -> Controller {
        scene.forget_calls();
        let controller = self.next(scene, arguments).await;
        scene.listed(&controller).await;
        scene.quiet().await;
        controller
    }
}

/// Name of the IngressGroup of an Ingress that is alone.
fn resource(namespace: &str, ingress: &str) -> String {
    resource_name(&GroupId::Implicit(ObjectName::new(namespace, ingress)))
}

/// What the record of an Ingress that is alone says; null where it has none.
async fn record(scene: &Scene, namespace: &str, ingress: &str) -> Value {
    let mut found = scene.group(&format!("{namespace}/{ingress}")).await;
    found["status"]["applied"].take()
}

/// Writes a record, as whoever may write it can; null takes it away.
async fn forge(scene: &Scene, namespace: &str, ingress: &str, record: &Value) {
    let name = resource(namespace, ingress);
    let patch = if record.is_null() {
        json!([{ "op": "remove", "path": "/status/applied" }])
    } else {
        json!([{ "op": "add", "path": "/status/applied", "value": record }])
    };
    let patch = patch.to_string();
    scene
        .kubectl(&[
            "patch",
            "alb",
            &name,
            "--subresource=status",
            "--type=json",
            "-p",
            &patch,
        ])
        .await;
}

/// Whether a call changes anything.
fn writes(call: &Call) -> bool {
    let reads = ["Describe", "List", "Get"];
    !reads.iter().any(|read| call.action.starts_with(read))
}

/// The calls that change something, in words.
fn written(scene: &Scene) -> Vec<String> {
    let calls = scene.calls().into_iter().filter(writes);
    calls.map(|call| call.action).collect()
}

/// How often each of these was called.
fn count(scene: &Scene, action: &str) -> usize {
    let calls = scene.calls();
    calls.iter().filter(|call| call.action == action).count()
}

/// Calls that read the insides of groups.
fn insides(scene: &Scene) -> Vec<String> {
    let inside = [
        "DescribeListeners",
        "DescribeRules",
        "DescribeListenerCertificates",
        "DescribeTargetHealth",
        "DescribeTags",
    ];
    let calls = scene.calls().into_iter().map(|call| call.action);
    calls
        .filter(|action| inside.contains(&action.as_str()))
        .collect()
}

/// ARNs of all rules, the default ones left out.
fn rules(scene: &Scene) -> Vec<String> {
    scene.account(|state| {
        let listeners = state.load_balancers.values();
        let listeners = listeners.flat_map(|lb| lb.listeners.values());
        let rules = listeners.flat_map(|listener| listener.rules.values());
        rules.map(|rule| rule.arn.clone()).collect()
    })
}
