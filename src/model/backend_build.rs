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
    Action, LiveTargetGroup, Observed, Permission, SecurityGroup, SecurityGroupRef, Source, Target,
    TargetGroup, TargetGroupRef, TargetType,
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
        Self::asked(&group.spec, &group.targets)
    }

    /// Where requests and health checks of a target group come to.
    fn asked(group: &TargetGroup, targets: &BTreeSet<Target>) -> Self {
        let mut ports: BTreeSet<u16> = targets.iter().map(|target| target.port).collect();
        ports.extend(group.health_check.port.parse::<u16>().ok());
        Self::new(group.target_type, targets, ports)
    }
}

/// Whether a load balancer of a group has the shared group.
fn is_carried(observed: &Observed) -> bool {
    let mut lbs = observed.load_balancers.iter();
    lbs.any(|lb| lb.spec.security_groups.contains(&SecurityGroupRef::Backend))
}

/// Whether requests go to a target group that is not known to be the group's, one
/// that has lost its mark, say: nobody can tell where these come to.
fn leads_elsewhere(observed: &Observed) -> bool {
    let lbs = observed.load_balancers.iter();
    let listeners = lbs.flat_map(|lb| lb.listeners.values());
    let mut actions = listeners.flat_map(|listener| {
        let rules = listener.rules.values().map(|rule| &rule.spec.action);
        rules.chain([&listener.spec.default_action])
    });
    actions.any(|action| match action {
        Action::Forward(TargetGroupRef::Arn(arn)) => {
            let mut groups = observed.target_groups.iter();
            groups.all(|group| group.arn != *arn)
        }
        _ => false,
    })
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
        incomplete: observed.map_or(keeps_live(desired), |observed| {
            is_carried(observed) && leads_elsewhere(observed)
        }),
        reached,
    }
}

/// What a run that is under way may make of a group, beside what is live: what
/// it wishes. While it runs, what is desired may become something else.
pub fn to_come(desired: &Desired, observed: &Observed) -> Reach {
    let mut reach = Reach::default();
    if let Intent::Serve(stack) = &desired.intent {
        let groups = &stack.load_balancer.security_groups;
        reach.needs_group = groups.contains(&SecurityGroupRef::Backend);
        let wished = stack.target_groups.values().map(Reached::wished);
        reach.reached.extend(wished);
    }
    if is_carried(observed) {
        // Until the load balancer gives the shared group up, too.
        reach.needs_group = true;
        let asked =
            |group: &DesiredTargetGroup| Reached::asked(&group.target_group, &group.targets);
        reach.reached.extend(desired.target_groups().map(asked));
    }
    if reach.needs_group {
        // What is live may get the shared group only by this run.
        let live = observed.target_groups.iter().map(Reached::live);
        reach.reached.extend(live);
    }
    reach.reached.retain(|reached| !reached.ports.is_empty());
    reach
}

impl Reach {
    /// Has it reach what another reaches, too.
    pub fn join(&mut self, other: &Self) {
        self.needs_group |= other.needs_group;
        self.incomplete |= other.incomplete;
        for reached in &other.reached {
            if !self.reached.contains(reached) {
                self.reached.push(reached.clone());
            }
        }
    }

    /// All ports that are reached, wherever.
    pub fn all_ports(&self) -> impl Iterator<Item = u16> {
        let reached = self.reached.iter();
        reached.flat_map(|reached| reached.ports.iter().copied())
    }

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
mod tests;
