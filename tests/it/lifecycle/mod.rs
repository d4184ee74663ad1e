//! From the first call of a create to the last of a deletion: security
//! groups, the order in which things go, and what faults do in between.

mod deletion;
mod faults;
mod installations;
mod killed;
mod namespaces;
mod schemes;
mod security_groups;

use std::collections::{BTreeMap, BTreeSet};

use sandbox_aws::State;
use sandbox_aws::state::{ActionKind, Peer};

use crate::support::Scene;

/// An Ingress with one path for a host, on pods, for everybody, with further
/// annotations.
pub fn ingress(name: &str, more: &[&str]) -> String {
    let more: Vec<String> = more.iter().map(|line| format!("    {line}\n")).collect();
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: {{ns}}
  annotations:
    kubernetes.io/ingress.class: '{{class}}'
    alb.ingress.kubernetes.io/target-type: ip
    alb.ingress.kubernetes.io/scheme: internet-facing
{}spec:
  rules:
  - host: {name}.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: web, port: {{number: 80}}}}}}
",
        more.concat()
    )
}

/// Everything of ours in the account, in words without ids: two accounts
/// that hold the same have the same picture, and what is there twice is in it
/// twice.
pub fn picture(scene: &Scene) -> Vec<String> {
    scene.account(|state| {
        let mut lines = load_balancers(state);
        for group in state.target_groups.values() {
            let targets: Vec<_> = group
                .targets
                .iter()
                .filter(|(_, target)| target.draining_until.is_none())
                .map(|(key, _)| format!("{}:{}", key.id, key.port))
                .collect();
            let uses = group.references.len();
            lines.push(format!("{} {targets:?} used {uses}", group.name));
            lines.push(format!("{} {}", group.name, tags(state, &group.arn)));
        }
        for group in state.security_groups.values() {
            lines.push(format!("{} {}", group.name, tags(state, &group.id)));
            for rule in group.rules.iter().filter(|rule| !rule.permission.egress) {
                let permission = &rule.permission;
                let peer = match &permission.peer {
                    Peer::Group(id) => state.security_groups[id].name.clone(),
                    other => other.to_string(),
                };
                let (from, to) = (permission.from_port, permission.to_port);
                lines.push(format!("{} from {peer} {from:?}-{to:?}", group.name));
            }
        }
        for zone in state.hosted_zones.values() {
            for record in zone.records.values() {
                let values = &record.values;
                lines.push(format!("{} {} {values:?}", record.kind, record.name));
            }
        }
        lines.sort();
        lines
    })
}

fn load_balancers(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for lb in state.load_balancers.values() {
        let name = &lb.name;
        let groups: BTreeSet<&str> = lb
            .security_groups
            .iter()
            .map(|id| state.security_groups[id].name.as_str())
            .collect();
        lines.push(format!("{name} {} {groups:?}", lb.scheme.as_str()));
        lines.push(format!("{name} {}", tags(state, &lb.arn)));
        for (port, listener) in &lb.listeners {
            lines.push(format!("{name} {port} {}", tags(state, &listener.arn)));
            for (priority, rule) in &listener.rules {
                let conditions = &rule.conditions;
                let targets: Vec<&str> = rule
                    .actions
                    .iter()
                    .filter_map(|action| match &action.kind {
                        ActionKind::Forward(forward) => Some(&forward.target_groups),
                        _ => None,
                    })
                    .flatten()
                    .map(|target| state.target_groups[&target.arn].name.as_str())
                    .collect();
                let tags = tags(state, &rule.arn);
                lines.push(format!(
                    "{name} {port} {priority} {conditions:?} {targets:?} {tags}"
                ));
            }
        }
    }
    lines
}

fn tags(state: &State, id: &str) -> String {
    let none = BTreeMap::new();
    format!("{:?}", state.tags.get(id).unwrap_or(&none))
}

/// Waits until the account holds what `expected` says.
pub async fn holds(scene: &Scene, expected: &[String]) {
    scene
        .eventually("the account holds what it should", async || {
            let held = picture(scene);
            if held == expected {
                Ok(())
            } else {
                Err(difference(&held, expected))
            }
        })
        .await;
}

fn difference(held: &[String], expected: &[String]) -> String {
    let only = |a: &[String], b: &[String]| {
        let mut left = a.to_vec();
        for line in b {
            if let Some(at) = left.iter().position(|other| other == line) {
                left.remove(at);
            }
        }
        left.join("\n")
    };
    format!(
        "too much:\n{}\nmissing:\n{}",
        only(held, expected),
        only(expected, held)
    )
}

/// Makes AWS as quick as it can be.
pub fn no_delays(scene: &Scene) {
    scene.aws.state().write(|state, _| {
        state.timing.provisioning_ms = 0;
        state.timing.insync_ms = 0;
        state.timing.eni_release_ms = 0;
        state.timing.draining_ms = Some(0);
    });
}

/// `expected` stand in `actions` in this order, others between them.
pub fn assert_in_order(actions: &[String], expected: &[&str]) {
    let mut rest = actions.iter();
    for wanted in expected {
        assert!(
            rest.any(|action| action == wanted),
            "{wanted} is not in its place of {expected:?}: {actions:#?}"
        );
    }
}

/// How often an operation is in a list of calls.
pub fn count(actions: &[String], operation: &str) -> usize {
    actions.iter().filter(|a| *a == operation).count()
}
