//! Which ports the shared backend security group must be let in at, on the
//! groups of nodes and pods.

use std::collections::{BTreeMap, BTreeSet};

use super::backend::DesiredBackend;
use super::desired::{Desired, DesiredTargetGroup, Intent};
use super::facts::{CLUSTER_TAG_PREFIX, Facts};
use super::names;
use super::ownership::{self, BACKEND_DESCRIPTION, BACKEND_RULE_DESCRIPTION};
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::spec::{
    LiveTargetGroup, Observed, Permission, SecurityGroup, SecurityGroupRef, Source, Target,
    TargetType,
};

/// What one load balancer group needs of the shared backend group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupPorts {
    /// Ports by the security group (id) of nodes or pods.
    pub ports: BTreeMap<String, BTreeSet<u16>>,
    /// Whether its load balancer has the shared group.
    pub needs_group: bool,
    /// Whether more may be needed than is known: a target's security group
    /// cannot be told, or AWS was not read yet.
    pub incomplete: bool,
}

/// Whether what is live counts beside what is desired: where members are
/// frozen, leavers are held or the group is left alone it stays, and where the
/// load balancer is to go, or to give the shared group up, it serves until it
/// has.
pub fn keeps_live(desired: &Desired) -> bool {
    match &desired.intent {
        Intent::Hold | Intent::LeaveAlone | Intent::Remove => true,
        Intent::Serve(stack) => {
            let groups = &stack.load_balancer.security_groups;
            desired.keeps_live_parts() || !groups.contains(&SecurityGroupRef::Backend)
        }
    }
}

/// Targets that the shared backend group must be let in to, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reached {
    target_type: TargetType,
    /// Those that can have a security group to write a rule on.
    inside: Vec<String>,
    ports: BTreeSet<u16>,
}

impl Reached {
    fn new(target_type: TargetType, targets: &BTreeSet<Target>, ports: BTreeSet<u16>) -> Self {
        let inside = targets.iter().filter(|target| !target.outside_vpc);
        Self {
            target_type,
            inside: inside.map(|target| target.id.clone()).collect(),
            ports,
        }
    }

    fn wished(group: &DesiredTargetGroup) -> Self {
        let target_type = group.target_group.target_type;
        Self::new(target_type, &group.targets, group.backend_ports.clone())
    }

    fn live(group: &LiveTargetGroup) -> Self {
        let mut ports: BTreeSet<u16> = group.targets.iter().map(|target| target.port).collect();
        ports.extend(group.spec.health_check.port.parse::<u16>().ok());
        Self::new(group.spec.target_type, &group.targets, ports)
    }
}

/// Whether a load balancer of a group has the shared group.
fn is_carried(observed: &Observed) -> bool {
    let mut lbs = observed.load_balancers.iter();
    lbs.any(|lb| lb.spec.security_groups.contains(&SecurityGroupRef::Backend))
}

/// Live target groups that are not as wished yet: requests go to them until
/// they are.
fn on_the_way<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a LiveTargetGroup> {
    let is_reached = move |live: &LiveTargetGroup| {
        let mut wished = desired.target_groups();
        wished.any(|wished| {
            let targets: BTreeSet<(&str, u16)> = wished.targets.iter().map(identity).collect();
            wished.target_group.name == live.spec.name
                && wished.target_group.health_check.port == live.spec.health_check.port
                && live.targets.iter().all(|t| targets.contains(&identity(t)))
        })
    };
    let live = observed.target_groups.iter();
    live.filter(move |live| !is_reached(live))
}

fn identity(target: &Target) -> (&str, u16) {
    (&target.id, target.port)
}

/// All that the shared group must reach for a group: what is desired, and what
/// is live: all of it where that [stays](keeps_live), else what is not as
/// desired yet, so that no port is closed that requests still go to. What is
/// left to know are the security groups of nodes and pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    needs_group: bool,
    incomplete: bool,
    reached: Vec<Reached>,
}

/// What the shared group must reach for a group. `observed` is `None` while
/// AWS was not read.
pub fn reach(desired: &Desired, observed: Option<&Observed>) -> Reach {
    let mut reached = Vec::new();
    let mut needs_group = false;
    if let Intent::Serve(stack) = &desired.intent {
        let groups = &stack.load_balancer.security_groups;
        needs_group = groups.contains(&SecurityGroupRef::Backend);
        reached.extend(stack.target_groups.values().map(Reached::wished));
    }
    if let Some(observed) = observed.filter(|observed| is_carried(observed)) {
        needs_group = true;
        if keeps_live(desired) {
            let held = desired.held_target_groups();
            reached.extend(held.map(|(_, group)| Reached::wished(group)));
            reached.extend(observed.target_groups.iter().map(Reached::live));
        } else {
            reached.extend(on_the_way(desired, observed).map(Reached::live));
        }
    }
    reached.retain(|reached| !reached.ports.is_empty());
    Reach {
        needs_group,
        incomplete: keeps_live(desired) && observed.is_none(),
        reached,
    }
}

impl Reach {
    /// The nodes and pods whose security groups [`Reach::ports`] looks up.
    pub fn endpoints(&self) -> Endpoints {
        let mut endpoints = Endpoints::default();
        for reached in &self.reached {
            let ids = reached.inside.iter().cloned();
            match reached.target_type {
                TargetType::Instance => endpoints.instances.extend(ids),
                TargetType::Ip => endpoints.addresses.extend(ids),
            }
        }
        endpoints
    }

    /// What the group needs. `facts` must tell of its [endpoints](Self::endpoints).
    pub fn ports(&self, facts: &Facts, settings: &Settings) -> GroupPorts {
        let mut needed = GroupPorts {
            needs_group: self.needs_group,
            incomplete: self.incomplete,
            ..GroupPorts::default()
        };
        for reached in &self.reached {
            needed.add(reached, facts, settings);
        }
        needed
    }
}

/// Nodes and pods whose security groups must be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Ids of instances.
    pub instances: BTreeSet<String>,
    /// Addresses of pods.
    pub addresses: BTreeSet<String>,
}

/// The nodes and pods that [`group_ports`] looks up for a group. `observed`
/// is `None` while AWS was not read.
pub fn endpoints(desired: &Desired, observed: Option<&Observed>) -> Endpoints {
    reach(desired, observed).endpoints()
}

/// What a group needs: of what is desired, and of what is live, as
/// [`reach`] says. `observed` is `None` while AWS was not read. `facts` must
/// tell of the group's [`endpoints`].
pub fn group_ports(
    desired: &Desired,
    observed: Option<&Observed>,
    facts: &Facts,
    settings: &Settings,
) -> GroupPorts {
    reach(desired, observed).ports(facts, settings)
}

impl GroupPorts {
    fn add(&mut self, reached: &Reached, facts: &Facts, settings: &Settings) {
        let known = match reached.target_type {
            TargetType::Instance => &facts.instance_security_groups,
            TargetType::Ip => &facts.pod_security_groups,
        };
        for target in &reached.inside {
            let group = known
                .get(target)
                .and_then(|groups| endpoint_group(groups, facts, settings));
            match group {
                Some(id) => {
                    let ports = self.ports.entry(id.clone()).or_default();
                    ports.extend(reached.ports.iter());
                }
                None => self.incomplete = true,
            }
        }
    }
}

/// The one security group of a network interface that takes the rules: the
/// only one, or the only one that is tagged for the cluster.
fn endpoint_group<'a>(
    groups: &'a BTreeSet<String>,
    facts: &Facts,
    settings: &Settings,
) -> Option<&'a String> {
    if groups.len() == 1 {
        return groups.first();
    }
    let tag = format!("{CLUSTER_TAG_PREFIX}{}", settings.cluster_name);
    let mut tagged = groups.iter().filter(|id| {
        facts
            .security_groups
            .get(*id)
            .is_some_and(|group| group.tags.contains_key(&tag))
    });
    let only = tagged.next()?;
    tagged.next().is_none().then_some(only)
}

/// The desired state of the shared group and its rules: the
/// [union](super::backend_union) over all groups.
pub fn build_backend(
    groups: &[GroupPorts],
    snapshot: &Snapshot,
    settings: &Settings,
) -> DesiredBackend {
    let needs = |of: fn(&GroupPorts) -> bool| groups.iter().any(of);
    let mut ranges = Ranges::new();
    for (id, ports) in groups.iter().flat_map(|group| &group.ports) {
        if let (Some(first), Some(last)) = (ports.first(), ports.last()) {
            let range = ranges.entry(id.clone()).or_insert((*first, *last));
            *range = (range.0.min(*first), range.1.max(*last));
        }
    }
    let incomplete = needs(|group| group.incomplete);
    let needed = needs(|group| group.needs_group);
    desired_of(needed, incomplete, ranges, snapshot, settings)
}

/// First and last port by the security group of nodes or pods.
pub(super) type Ranges = BTreeMap<String, (u16, u16)>;

/// The desired state for what all groups need together: one rule from the
/// lowest to the highest port for each security group of nodes or pods.
pub(super) fn desired_of(
    needed: bool,
    incomplete: bool,
    ranges: Ranges,
    snapshot: &Snapshot,
    settings: &Settings,
) -> DesiredBackend {
    let rule = |range| Permission {
        protocol: "tcp".to_owned(),
        ports: Some(range),
        source: Source::Group(SecurityGroupRef::Backend),
        description: BACKEND_RULE_DESCRIPTION.to_owned(),
    };
    let rules = ranges.into_iter();
    DesiredBackend {
        group: needed.then(|| SecurityGroup {
            name: names::backend_security_group(&settings.cluster_name),
            description: BACKEND_DESCRIPTION.to_owned(),
            tags: ownership::backend_tags(&settings.cluster_name, &settings.default_tags),
            ingress: BTreeSet::new(),
        }),
        rules: rules
            .map(|(id, range)| (id, BTreeSet::from([rule(range)])))
            .collect(),
        add_only: incomplete || !snapshot.target_group_bindings.is_empty(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;
    use crate::model::facts::KnownSecurityGroup;
    use crate::model::fixtures::{desired, facts, member, settings, snapshot};
    use crate::model::spec::{
        Arn, HealthCheck, LiveLoadBalancer, LiveTargetGroup, LoadBalancer, LoadBalancerState,
        Protocol, Scheme, Tags, TargetGroup, TargetGroupKey,
    };

    fn known() -> Facts {
        let mut facts = facts();
        facts
            .pod_security_groups
            .insert("10.0.48.11".into(), ["sg-nodes".to_owned()].into());
        facts
    }

    fn live() -> Observed {
        Observed {
            load_balancers: vec![LiveLoadBalancer {
                arn: Arn::from("lb"),
                spec: LoadBalancer {
                    name: "lb".into(),
                    scheme: Scheme::Internal,
                    subnets: BTreeSet::new(),
                    security_groups: [SecurityGroupRef::Backend].into(),
                    tags: Tags::new(),
                },
                dns_name: "lb.example".into(),
                hosted_zone_id: "Z".into(),
                state: LoadBalancerState::Active,
                listeners: BTreeMap::new(),
            }],
            target_groups: vec![LiveTargetGroup {
                arn: Arn::from("tg"),
                spec: TargetGroup {
                    key: TargetGroupKey("shop/old-old:80".into()),
                    name: "tg".into(),
                    target_type: TargetType::Ip,
                    protocol: Protocol::Http,
                    protocol_version: "HTTP1".into(),
                    port: 1,
                    health_check: HealthCheck {
                        protocol: Protocol::Http,
                        port: "9000".into(),
                        path: "/".into(),
                        interval_seconds: 15,
                        timeout_seconds: 5,
                        healthy_threshold: 2,
                        unhealthy_threshold: 2,
                        success_codes: "200".into(),
                    },
                    tags: Tags::new(),
                },
                targets: [Target {
                    id: "10.0.48.11".into(),
                    port: 7000,
                    outside_vpc: false,
                }]
                .into(),
            }],
            security_groups: Vec::new(),
        }
    }

    fn ports(needed: &GroupPorts) -> Vec<u16> {
        needed.ports.values().flatten().copied().collect()
    }

    #[test]
    fn what_is_desired_is_needed() {
        let desired = desired(&[member("web", "")]);
        let needed = group_ports(&desired, None, &known(), &settings());
        assert!(needed.needs_group && !needed.incomplete);
        assert_eq!(ports(&needed), [8080]);
        let given = self::desired(&[member("web", "security-groups: sg-1")]);
        assert_eq!(
            group_ports(&given, Some(&Observed::default()), &known(), &settings()),
            GroupPorts::default()
        );
    }

    #[test]
    fn a_pod_whose_security_group_is_not_known_makes_it_incomplete() {
        let desired = desired(&[member("web", "")]);
        let needed = group_ports(&desired, None, &facts(), &settings());
        assert!(needed.incomplete && needed.ports.is_empty());
    }

    #[test]
    fn of_several_security_groups_the_clusters_own_counts() {
        let desired = desired(&[member("web", "")]);
        let mut facts = facts();
        facts
            .pod_security_groups
            .insert("10.0.48.11".into(), ["sg-1".into(), "sg-9".into()].into());
        assert!(group_ports(&desired, None, &facts, &settings()).incomplete);
        let own = KnownSecurityGroup {
            name: "nodes".into(),
            tags: Tags::from([("kubernetes.io/cluster/harbor", "owned")]),
        };
        facts.security_groups.insert("sg-9".into(), own);
        let needed = group_ports(&desired, None, &facts, &settings());
        assert_eq!(needed.ports.keys().collect::<Vec<_>>(), ["sg-9"]);
    }

    #[test]
    fn frozen_groups_need_what_is_live() {
        let held = desired(&[member("web", "scheme: x")]);
        let needed = group_ports(&held, Some(&live()), &known(), &settings());
        assert!(needed.needs_group && !needed.incomplete);
        assert_eq!(ports(&needed), [7000, 9000]);
        assert!(group_ports(&held, None, &known(), &settings()).incomplete);
        let partly = desired(&[member("web", ""), member("bad", "scheme: x")]);
        let needed = group_ports(&partly, Some(&live()), &known(), &settings());
        assert_eq!(ports(&needed), [7000, 8080, 9000]);
    }

    #[test]
    fn whatever_is_looked_up_is_asked_for_before() {
        let mut known = known();
        let pod = |n: u8| format!("10.0.48.{n}");
        for n in 1..4 {
            let nodes = ["sg-nodes".to_owned()].into();
            known.pod_security_groups.insert(pod(n), nodes);
        }
        let mut observed = live();
        observed.target_groups[0].targets = [1, 2]
            .map(|n| Target {
                id: pod(n),
                port: 7000,
                outside_vpc: n == 2,
            })
            .into();
        let partly = desired(&[member("web", ""), member("bad", "scheme: x")]);
        let asked = endpoints(&partly, Some(&observed));
        let addresses: Vec<&str> = asked.addresses.iter().map(String::as_str).collect();
        assert_eq!(addresses, ["10.0.48.1", "10.0.48.11"]);
        let is_asked = |address: &String| asked.addresses.contains(address);
        known
            .pod_security_groups
            .retain(|address, _| is_asked(address));
        let needed = group_ports(&partly, Some(&observed), &known, &settings());
        assert!(!needed.incomplete);
        assert_eq!(ports(&needed), [7000, 8080, 9000]);
    }

    #[test]
    fn what_requests_go_to_is_let_in_until_it_is_as_wished() {
        let desired = desired(&[member("web", "")]);
        let ports_of = |live: &Observed| {
            let needed = group_ports(&desired, Some(live), &known(), &settings());
            assert!(needed.needs_group && !needed.incomplete);
            ports(&needed)
        };
        // Another target group: rules lead to it until they are changed.
        assert_eq!(ports_of(&live()), [7000, 8080, 9000]);
        let wished = desired.target_groups().next().unwrap();
        let mut live = live();
        live.target_groups[0].spec = wished.target_group.clone();
        // The same one, with a target that is to go.
        assert_eq!(ports_of(&live), [7000, 8080]);
        live.target_groups[0].targets.clone_from(&wished.targets);
        assert_eq!(ports_of(&live), [8080]);
        // Its health is asked at another port.
        live.target_groups[0].spec.health_check.port = "9000".to_owned();
        assert_eq!(ports_of(&live), [8080, 9000]);
        // Without the shared group nothing comes from it.
        live.load_balancers[0].spec.security_groups.clear();
        assert_eq!(ports_of(&live), [8080]);
    }

    #[test]
    fn what_a_load_balancer_has_is_needed_until_it_is_gone_or_has_given_it_up() {
        let mut removed = desired(&[member("web", "")]);
        removed.intent = Intent::Remove;
        let given = desired(&[member("web", "security-groups: sg-1")]);
        for desired in [removed, given] {
            let needed = group_ports(&desired, Some(&live()), &known(), &settings());
            assert!(needed.needs_group);
            assert_eq!(ports(&needed), [7000, 9000]);
            let mut after = live();
            after.load_balancers[0].spec.security_groups.clear();
            let needed = group_ports(&desired, Some(&after), &known(), &settings());
            assert_eq!(needed, GroupPorts::default());
        }
    }

    #[test]
    fn the_union_is_one_rule_from_the_lowest_to_the_highest_port() {
        let needed = |id: &str, ports: &[u16]| GroupPorts {
            ports: [(id.to_owned(), ports.iter().copied().collect())].into(),
            needs_group: true,
            incomplete: false,
        };
        let groups = [needed("sg-a", &[8080]), needed("sg-a", &[3000, 9000])];
        let backend = build_backend(&groups, &snapshot(&[]), &settings());
        assert!(!backend.add_only);
        let rules: Vec<_> = backend.rules["sg-a"].iter().collect();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].to_string(), "tcp 3000-9000 from backend");
        assert_eq!(
            rules[0].description,
            "elbv2.k8s.aws/targetGroupBinding=shared"
        );
        let group = backend.group.unwrap();
        assert_eq!(group.name, "k8s-traffic-harbor-c1d64b2d4c");
        assert_eq!(group.tags.get("elbv2.k8s.aws/resource"), Some("backend-sg"));
        assert!(group.ingress.is_empty());
    }

    #[test]
    fn rules_are_only_added_while_something_is_unknown() {
        let unknown = GroupPorts {
            incomplete: true,
            ..GroupPorts::default()
        };
        let backend = build_backend(&[unknown], &snapshot(&[]), &settings());
        assert!(backend.add_only);
        assert_eq!(backend.group, None);
        let binding = "---\nkind: TargetGroupBinding\nmetadata: {name: t, namespace: shop}\n";
        let snapshot = snapshot(&[binding.to_owned()]);
        assert!(build_backend(&[], &snapshot, &settings()).add_only);
        assert!(!build_backend(&[], &self::snapshot(&[]), &settings()).add_only);
    }
}
