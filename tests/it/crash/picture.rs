//! What is there, in words that are the same for two histories that came to
//! the same: ids and times are left out, names stand for ARNs.

use std::collections::BTreeMap;

use alb_ingress_controller::model::group::GroupId;
use alb_ingress_controller::model::spec::ObjectName;
use alb_ingress_controller::report::{IngressGroup, resource_name};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use sandbox_aws::State;
use sandbox_aws::audit::{Naming, audit};
use sandbox_aws::state::{Action, LoadBalancer, Peer, TargetGroup};

use crate::support::Scene;

/// The account: load balancers, target groups with their targets, security
/// groups, records, with all settings and tags, and what is wrong with them.
pub fn account(state: &State) -> Vec<String> {
    let names = Names::of(state);
    let mut lines = Vec::new();
    for balancer in state.load_balancers.values() {
        load_balancer(state, balancer, &names, &mut lines);
    }
    for group in state.target_groups.values() {
        let mut settings = group.clone();
        settings.arn.clear();
        let targets = std::mem::take(&mut settings.targets);
        let references = std::mem::take(&mut settings.references);
        lines.push(format!("{settings:?} {}", tags(state, &group.arn)));
        for (key, target) in targets {
            if target.draining_until.is_none() {
                lines.push(format!("{} sends to {}:{}", group.name, key.id, key.port));
            }
        }
        for by in references {
            lines.push(format!("{} is used by {}", group.name, names.short(&by)));
        }
    }
    for group in state.security_groups.values() {
        let (name, about) = (&group.name, &group.description);
        lines.push(format!("{name} {about} {}", tags(state, &group.id)));
        for rule in &group.rules {
            let permission = &rule.permission;
            let peer = match &permission.peer {
                Peer::Group(id) => names.short(id),
                other => other.to_string(),
            };
            lines.push(format!(
                "{name} egress {} {} {:?}-{:?} {peer} {:?}",
                permission.egress,
                permission.protocol,
                permission.from_port,
                permission.to_port,
                rule.description
            ));
        }
    }
    for zone in state.hosted_zones.values() {
        for record in zone.records.values() {
            lines.push(names.short(&format!("{record:?}")));
        }
    }
    for found in audit(&[state], &Naming::default()) {
        let (kind, resource) = (&found.kind, names.short(&found.resource));
        let detail = names.short(&found.detail);
        lines.push(format!("{:?} {kind} {resource}: {detail}", found.problem));
    }
    lines.sort();
    lines
}

fn load_balancer(state: &State, balancer: &LoadBalancer, names: &Names, lines: &mut Vec<String>) {
    let name = &balancer.name;
    let groups = balancer.security_groups.iter();
    let groups: Vec<String> = groups.map(|id| names.short(id)).collect();
    let settings = LoadBalancer {
        arn: String::new(),
        dns_name: String::new(),
        created: Timestamp::UNIX_EPOCH,
        security_groups: groups.into_iter().collect(),
        listeners: BTreeMap::new(),
        ..balancer.clone()
    };
    lines.push(format!("{settings:?} {}", tags(state, &balancer.arn)));
    let actions = |actions: &[Action]| names.short(&format!("{actions:?}"));
    for (port, listener) in &balancer.listeners {
        let mut settings = listener.clone();
        settings.arn.clear();
        settings.load_balancer_arn.clear();
        settings.default_rule_arn.clear();
        settings.rules.clear();
        let default = actions(&std::mem::take(&mut settings.default_actions));
        let tagged = tags(state, &listener.arn);
        lines.push(format!("{name} {settings:?} {default} {tagged}"));
        for (priority, rule) in &listener.rules {
            let (conditions, transforms) = (&rule.conditions, &rule.transforms);
            let done = actions(&rule.actions);
            let tagged = tags(state, &rule.arn);
            lines.push(format!(
                "{name}:{port} rule {priority} {conditions:?} {transforms:?} {done} {tagged}"
            ));
        }
    }
}

fn tags(state: &State, id: &str) -> String {
    let none = BTreeMap::new();
    format!("{:?}", state.tags.get(id).unwrap_or(&none))
}

/// Names for ARNs, ids and DNS names.
struct Names(Vec<(String, String)>);

impl Names {
    fn of(state: &State) -> Self {
        let mut names = Vec::new();
        for balancer in state.load_balancers.values() {
            let name = &balancer.name;
            for (port, listener) in &balancer.listeners {
                for (priority, rule) in &listener.rules {
                    names.push((rule.arn.clone(), format!("rule {name}:{port}:{priority}")));
                }
                names.push((listener.arn.clone(), format!("listener {name}:{port}")));
            }
            names.push((balancer.arn.clone(), format!("load balancer {name}")));
            let host = balancer.dns_name.to_ascii_lowercase();
            names.push((host, format!("address of {name}")));
        }
        let of_group = |group: &TargetGroup| (group.arn.clone(), group.name.clone());
        names.extend(state.target_groups.values().map(of_group));
        let groups = state.security_groups.values();
        names.extend(groups.map(|group| (group.id.clone(), group.name.clone())));
        Self(names)
    }

    fn short(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, name) in &self.0 {
            if text.contains(id.as_str()) {
                text = text.replace(id.as_str(), name);
            }
        }
        text
    }
}

/// The Ingresses of a scene with what the controller wrote on them, and the
/// custom resources of their groups, times and versions left out.
pub async fn cluster(scene: &Scene) -> Vec<String> {
    let names = scene.account(Names::of);
    let ingresses: Api<Ingress> = Api::namespaced(scene.client.clone(), &scene.name);
    let mut lines = Vec::new();
    let mut groups = vec![GroupId::Explicit(scene.name.clone())];
    for name in ["shop", "side"] {
        groups.push(GroupId::Implicit(ObjectName::new(&scene.name, name)));
    }
    for ingress in ingresses.list(&ListParams::default()).await.unwrap() {
        let name = ingress.name_any();
        let leaves = ingress.metadata.deletion_timestamp.is_some();
        let finalizers = ingress.finalizers();
        let status = serde_json::to_string(&ingress.status).unwrap();
        let status = names.short(&status);
        lines.push(format!("{name} leaves {leaves} {finalizers:?} {status}"));
    }
    let resources: Api<IngressGroup> = Api::all(scene.client.clone());
    for group in groups {
        let Some(resource) = resources.get_opt(&resource_name(&group)).await.unwrap() else {
            continue;
        };
        let mut status = resource.status.unwrap_or_default();
        // The way there differs, where it leads does not.
        status.last_change = None;
        if let Some(record) = &mut status.applied {
            // Versions are in them, and they are written up to a minute late.
            record.targets.clear();
        }
        let status = serde_json::to_string(&status).unwrap();
        lines.push(format!("{group} {}", names.short(&status)));
    }
    lines
}

/// What is in one and not in the other.
pub fn difference(held: &[String], expected: &[String]) -> String {
    let only = |a: &[String], b: &[String]| {
        let mut left = a.to_vec();
        for line in b {
            if let Some(at) = left.iter().position(|other| other == line) {
                left.remove(at);
            }
        }
        left.join("\n  ")
    };
    format!(
        "too much:\n  {}\nmissing:\n  {}",
        only(held, expected),
        only(expected, held)
    )
}
