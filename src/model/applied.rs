//! What the record of a group (`status.applied` of its `IngressGroup`) says:
//! hashes by which a new process knows that nothing has changed since the last
//! one.
//!
//! A hash only ever tells that something need not be read. No value is taken
//! out of the record, so a forged one cannot make anything.

use sha2::{Digest as _, Sha256};

use super::desired::{Desired, DesiredTargetGroup, Intent, Stack};
use super::endpoints::{EndpointSlice, Pod};
use super::snapshot::Snapshot;
use super::spec::{
    Action, Condition, HealthCheck, Listener, LoadBalancer, ObjectName, Permission, Rule,
    SecurityGroup, SecurityGroupRef, Source, Tags, TargetGroup, TargetGroupRef, TargetType,
};
use super::targets::Nodes;

/// What a record is written by. To be raised whenever an equal desired state
/// would be made differently, or hashed differently, than before: then every
/// group is read in full once.
pub const SCHEMA: i32 = 1;

/// Hash of all that a group should be but for its targets, with what was
/// resolved from AWS: subnets, security groups, the VPC.
pub fn digest(desired: &Desired, vpc: &str) -> String {
    let mut canon = Canon::default();
    canon.text(vpc);
    canon.text(&desired.group.to_string());
    canon.each(&desired.frozen, Canon::name);
    canon.each(&desired.held, Canon::name);
    match &desired.intent {
        Intent::Serve(stack) => {
            canon.text("serve");
            canon.stack(stack);
        }
        Intent::Remove => canon.text("remove"),
        Intent::Hold => canon.text("hold"),
        Intent::LeaveAlone => canon.text("leave alone"),
    }
    canon.finish(16)
}

/// The stack of a group that a record can speak for: one that is wholly known
/// from Kubernetes. Where somebody is frozen, held, or on the way out, what is
/// live counts too.
pub fn spoken_for(desired: &Desired) -> Option<&Stack> {
    let whole = !desired.keeps_live_parts()
        && desired.leavers.is_empty()
        && desired.blocks_creation.is_empty();
    match &desired.intent {
        Intent::Serve(stack) if whole => Some(stack),
        _ => None,
    }
}

/// Hash of what the targets of a target group were made from: the versions of
/// the EndpointSlices of its Service, or the nodes that are eligible. Versions
/// never come back, so an equal hash says that nothing happened in between.
///
/// A pod whose containers are ready is a target before its endpoint is, by a
/// condition that no slice shows: its last change counts too.
pub fn targets_digest(wished: &DesiredTargetGroup, snapshot: &Snapshot) -> String {
    let mut canon = Canon::default();
    canon.text(wished.target_group.target_type.as_str());
    match wished.target_group.target_type {
        TargetType::Ip => {
            let slices = snapshot.endpoint_slices.get(&wished.service);
            let mut slices: Vec<&EndpointSlice> =
                slices.into_iter().flatten().map(AsRef::as_ref).collect();
            slices.sort_by_key(|slice| (&slice.uid, &slice.name));
            canon.each(slices, |canon, slice| {
                canon.optional(slice.uid.as_deref());
                canon.optional(slice.version.as_deref());
                canon.each(waiting_pods(slice, snapshot), Canon::pod);
            });
        }
        TargetType::Instance => {
            canon.each(&Nodes::of(snapshot).instances, |canon, id| canon.text(id));
        }
    }
    canon.each(&wished.targets, |canon, target| {
        canon.text(&target.id);
        canon.number(target.port.into());
    });
    canon.finish(10)
}

/// The pods behind the endpoints of a slice that are not ready yet.
fn waiting_pods<'a>(slice: &'a EndpointSlice, snapshot: &'a Snapshot) -> Vec<&'a Pod> {
    let names = slice.waiting().filter_map(|endpoint| endpoint.pod.as_ref());
    let pods = names.filter_map(|name| snapshot.pods.get(name));
    pods.map(AsRef::as_ref).collect()
}

/// A hash over values in one fixed form: every text with its length before it,
/// every list with its count, so that no two inputs read the same.
#[derive(Default)]
struct Canon(Sha256);

impl Canon {
    /// The first bytes of the hash, in hexadecimal digits.
    fn finish(self, bytes: usize) -> String {
        hex::encode(&self.0.finalize()[..bytes])
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn each<T, I>(&mut self, items: I, mut one: impl FnMut(&mut Self, T))
    where
        I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    {
        let items = items.into_iter();
        self.count(items.len());
        for item in items {
            one(self, item);
        }
    }

    fn name(&mut self, name: &ObjectName) {
        self.text(&name.namespace);
        self.text(&name.name);
    }

    fn pod(&mut self, pod: &Pod) {
        self.optional(pod.uid.as_deref());
        let condition = pod.containers_ready;
        let status = condition.map(|ready| if ready.is_true { "True" } else { "False" });
        self.optional(status);
        let since = condition.and_then(|condition| condition.since);
        self.optional(since.map(|time| time.to_string()).as_deref());
    }

    fn stack(&mut self, stack: &Stack) {
        let Stack {
            load_balancer,
            subnets_discovered,
            frontend,
            listeners,
            target_groups,
            // Whom to blame is not what is made.
            origins: _,
        } = stack;
        self.load_balancer(load_balancer);
        self.count(usize::from(*subnets_discovered));
        self.each(frontend.as_slice(), Self::security_group);
        self.each(listeners.values(), |canon, wished| {
            canon.listener(&wished.listener);
            canon.each(&wished.rules, |canon, wished| canon.rule(&wished.rule));
        });
        self.each(target_groups.values(), |canon, wished| {
            canon.target_group(&wished.target_group);
        });
    }

    fn load_balancer(&mut self, load_balancer: &LoadBalancer) {
        let LoadBalancer {
            name,
            scheme,
            subnets,
            security_groups,
            tags,
        } = load_balancer;
        self.text(name);
        self.text(scheme.as_str());
        self.each(subnets, |canon, id| canon.text(id));
        self.each(security_groups, Self::security_group_ref);
        self.tags(tags);
    }

    fn security_group_ref(&mut self, group: &SecurityGroupRef) {
        self.text(match group {
            SecurityGroupRef::Id(_) => "id",
            SecurityGroupRef::Frontend => "frontend",
            SecurityGroupRef::Backend => "backend",
        });
        self.text(&group.to_string());
    }

    fn security_group(&mut self, group: &SecurityGroup) {
        let SecurityGroup {
            name,
            description,
            tags,
            ingress,
        } = group;
        self.text(name);
        self.text(description);
        self.tags(tags);
        self.each(ingress, Self::permission);
    }

    fn permission(&mut self, permission: &Permission) {
        let Permission {
            protocol,
            ports,
            source,
            description,
        } = permission;
        self.text(protocol);
        self.each(ports.as_slice(), |canon, (from, to)| {
            canon.number((*from).into());
            canon.number((*to).into());
        });
        match source {
            Source::Cidr(value) => {
                self.text("cidr");
                self.text(value);
            }
            Source::Group(group) => {
                self.text("group");
                self.security_group_ref(group);
            }
            Source::PrefixList(value) => {
                self.text("prefix list");
                self.text(value);
            }
        }
        self.text(description);
    }

    fn listener(&mut self, listener: &Listener) {
        let Listener {
            port,
            protocol,
            default_certificate,
            sni_certificates,
            ssl_policy,
            default_action,
            tags,
        } = listener;
        self.number((*port).into());
        self.text(protocol.as_str());
        self.optional(default_certificate.as_ref().map(|arn| arn.0.as_str()));
        self.each(sni_certificates, |canon, arn| canon.text(&arn.0));
        self.optional(ssl_policy.as_deref());
        self.action(default_action);
        self.tags(tags);
    }

    fn rule(&mut self, rule: &Rule) {
        let Rule {
            conditions,
            action,
            tags,
        } = rule;
        self.each(conditions, |canon, condition| {
            let (kind, values) = match condition {
                Condition::HostHeader(values) => ("host", values.as_slice()),
                Condition::PathPattern(values) => ("path", values.as_slice()),
                Condition::Other(text) => ("other", std::slice::from_ref(text)),
            };
            canon.text(kind);
            canon.each(values, |canon, value| canon.text(value));
        });
        self.action(action);
        self.tags(tags);
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Forward(TargetGroupRef::Key(key)) => {
                self.text("forward");
                self.text(&key.0);
            }
            Action::Forward(TargetGroupRef::Arn(arn)) => {
                self.text("forward to");
                self.text(&arn.0);
            }
            Action::RedirectHttps { port, status_code } => {
                self.text("redirect");
                self.number((*port).into());
                self.text(status_code);
            }
            Action::FixedResponse {
                status_code,
                content_type,
                body,
            } => {
                self.text("response");
                self.text(status_code);
                self.optional(content_type.as_deref());
                self.optional(body.as_deref());
            }
            Action::Other(text) => {
                self.text("other");
                self.text(text);
            }
        }
    }

    fn target_group(&mut self, group: &TargetGroup) {
        let TargetGroup {
            key,
            name,
            target_type,
            protocol,
            protocol_version,
            port,
            health_check,
            tags,
        } = group;
        self.text(&key.0);
        self.text(name);
        self.text(target_type.as_str());
        self.text(protocol.as_str());
        self.text(protocol_version);
        self.number((*port).into());
        self.health_check(health_check);
        self.tags(tags);
    }

    fn health_check(&mut self, check: &HealthCheck) {
        let HealthCheck {
            protocol,
            port,
            path,
            interval_seconds,
            timeout_seconds,
            healthy_threshold,
            unhealthy_threshold,
            success_codes,
        } = check;
        self.text(protocol.as_str());
        self.text(port);
        self.text(path);
        for number in [
            interval_seconds,
            timeout_seconds,
            healthy_threshold,
            unhealthy_threshold,
        ] {
            self.text(&number.to_string());
        }
        self.text(success_codes);
    }

    fn tags(&mut self, tags: &Tags) {
        self.count(tags.len());
        for (key, value) in tags {
            self.text(key);
            self.text(value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;
    use crate::model::fixtures::{desired, member, snapshot};

    fn stack(desired: &mut Desired) -> &mut Stack {
        let Intent::Serve(stack) = &mut desired.intent else {
            unreachable!("it is served");
        };
        stack
    }

    fn wished() -> Desired {
        desired(&[member("web", "")])
    }

    #[test]
    fn everything_that_is_made_changes_the_digest() {
        type Change = fn(&mut Stack);
        let changes: [Change; 10] = [
            |stack| stack.load_balancer.name.push('x'),
            |stack| drop(stack.load_balancer.subnets.pop_first()),
            |stack| drop(stack.load_balancer.security_groups.pop_first()),
            |stack| stack.load_balancer.tags.insert("team", "a"),
            |stack| stack.subnets_discovered ^= true,
            |stack| drop(stack.frontend.take()),
            |stack| drop(stack.listeners.pop_first()),
            |stack| {
                let mut listeners = stack.listeners.values_mut();
                drop(listeners.next().unwrap().rules.pop());
            },
            |stack| {
                let mut groups = stack.target_groups.values_mut();
                groups.next().unwrap().target_group.health_check.path = "/x".into();
            },
            |stack| drop(stack.target_groups.pop_first()),
        ];
        let mut seen = std::collections::BTreeSet::from([digest(&wished(), "vpc-1")]);
        assert!(seen.insert(digest(&wished(), "vpc-2")), "the VPC");
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = wished();
            change(stack(&mut changed));
            assert!(seen.insert(digest(&changed, "vpc-1")), "{number}");
        }
    }

    #[test]
    fn targets_are_no_part_of_the_digest() {
        let mut changed = wished();
        for group in stack(&mut changed).target_groups.values_mut() {
            group.targets.clear();
            group.backend_ports.clear();
        }
        stack(&mut changed).origins.clear();
        assert_eq!(digest(&changed, "vpc-1"), digest(&wished(), "vpc-1"));
    }

    #[test]
    fn a_record_speaks_for_what_kubernetes_alone_decides() {
        assert!(spoken_for(&wished()).is_some());
        let frozen = desired(&[member("web", ""), member("bad", "scheme: x")]);
        assert!(spoken_for(&frozen).is_none());
        let mut leaving = wished();
        leaving.leavers.push(crate::model::desired::Leaver {
            ingress: ObjectName::new("shop", "old"),
            deleted: true,
        });
        assert!(spoken_for(&leaving).is_none());
        let mut gone = wished();
        gone.intent = Intent::Remove;
        assert!(spoken_for(&gone).is_none());
    }

    /// A Service of `shop` with one slice, whose second pod is not ready.
    fn slice(version: &str, ready_since: &str) -> Snapshot {
        snapshot(&[format!(
            "---
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, uid: u1, resourceVersion: '{version}', labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints:
- {{addresses: [10.0.0.1], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: web-a}}}}
- {{addresses: [10.0.0.2], conditions: {{ready: false}}, targetRef: {{kind: Pod, name: web-b}}}}
---
kind: Pod
metadata: {{name: web-b, namespace: shop, uid: p2}}
status: {{conditions: [{{type: ContainersReady, status: 'True', lastTransitionTime: '{ready_since}'}}]}}
---
kind: Node
metadata: {{name: a}}
spec: {{providerID: 'aws:///eu-west-1a/i-2'}}
status: {{conditions: [{{type: Ready, status: 'True'}}]}}
"
        )])
    }

    #[test]
    fn versions_of_slices_and_eligible_nodes_are_what_targets_are_known_by() {
        const THEN: &str = "2026-01-01T00:00:00Z";
        let mut pods = stack(&mut wished())
            .target_groups
            .values()
            .next()
            .unwrap()
            .clone();
        pods.service = ObjectName::new("shop", "web");
        pods.target_group.target_type = TargetType::Ip;
        let known = targets_digest(&pods, &slice("7", THEN));
        assert_eq!(known, targets_digest(&pods, &slice("7", THEN)));
        assert_ne!(known, targets_digest(&pods, &slice("8", THEN)));
        let flipped = slice("7", "2026-01-01T00:00:09Z");
        assert_ne!(known, targets_digest(&pods, &flipped));
        assert_ne!(known, targets_digest(&pods, &snapshot(&[])));

        let mut nodes = pods.clone();
        nodes.target_group.target_type = TargetType::Instance;
        let known = targets_digest(&nodes, &slice("7", THEN));
        assert_eq!(known, targets_digest(&nodes, &slice("8", THEN)));
        assert_ne!(known, targets_digest(&nodes, &snapshot(&[])));
        nodes.targets.clear();
        assert_ne!(known, targets_digest(&nodes, &slice("7", THEN)));
    }
}
