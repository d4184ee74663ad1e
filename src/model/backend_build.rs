//! Which ports the shared backend security group must be let in at, on the
//! groups of nodes and pods.

use std::collections::{BTreeMap, BTreeSet};

use super::backend::DesiredBackend;
use super::desired::{Desired, Intent};
use super::facts::Facts;
use super::names;
use super::ownership::{self, BACKEND_DESCRIPTION, BACKEND_RULE_DESCRIPTION};
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::spec::{
    Observed, Permission, SecurityGroup, SecurityGroupRef, Source, Target, TargetType,
};

/// Prefix of the tag that tells a node's own security group from others.
const CLUSTER_TAG_PREFIX: &str = "kubernetes.io/cluster/";

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

/// What a group needs: of what is desired, and, where members are frozen or
/// the group is left alone, of what is live. `observed` is `None` while AWS
/// was not read.
pub fn group_ports(
    desired: &Desired,
    observed: Option<&Observed>,
    facts: &Facts,
    settings: &Settings,
) -> GroupPorts {
    let mut needed = GroupPorts::default();
    if let Intent::Serve(stack) = &desired.intent {
        needed.needs_group = stack
            .load_balancer
            .security_groups
            .contains(&SecurityGroupRef::Backend);
        for group in stack.target_groups.values() {
            needed.add(
                group.target_group.target_type,
                &group.targets,
                &group.backend_ports,
                facts,
                settings,
            );
        }
    }
    let keeps_live =
        matches!(desired.intent, Intent::Hold | Intent::LeaveAlone) || !desired.frozen.is_empty();
    if keeps_live {
        match observed {
            Some(observed) => needed.add_live(observed, facts, settings),
            None => needed.incomplete = true,
        }
    }
    needed
}

impl GroupPorts {
    fn add_live(&mut self, observed: &Observed, facts: &Facts, settings: &Settings) {
        let has_backend = observed.load_balancers.iter().any(|live| {
            live.spec
                .security_groups
                .contains(&SecurityGroupRef::Backend)
        });
        if !has_backend {
            return;
        }
        self.needs_group = true;
        for live in &observed.target_groups {
            let mut ports: BTreeSet<u16> = live.targets.iter().map(|target| target.port).collect();
            ports.extend(live.spec.health_check.port.parse::<u16>().ok());
            self.add(
                live.spec.target_type,
                &live.targets,
                &ports,
                facts,
                settings,
            );
        }
    }

    fn add(
        &mut self,
        target_type: TargetType,
        targets: &BTreeSet<Target>,
        ports: &BTreeSet<u16>,
        facts: &Facts,
        settings: &Settings,
    ) {
        if ports.is_empty() {
            return;
        }
        let known = match target_type {
            TargetType::Instance => &facts.instance_security_groups,
            TargetType::Ip => &facts.pod_security_groups,
        };
        for target in targets.iter().filter(|target| !target.outside_vpc) {
            let group = known
                .get(&target.id)
                .and_then(|groups| endpoint_group(groups, facts, settings));
            match group {
                Some(id) => self.ports.entry(id.clone()).or_default().extend(ports),
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

/// The desired state of the shared group and its rules: the union over all
/// groups, made into one rule from the lowest to the highest port for each
/// security group of nodes or pods.
pub fn build_backend(
    groups: &[GroupPorts],
    snapshot: &Snapshot,
    settings: &Settings,
) -> DesiredBackend {
    let mut ports: BTreeMap<&String, BTreeSet<u16>> = BTreeMap::new();
    for (id, needed) in groups.iter().flat_map(|group| &group.ports) {
        ports.entry(id).or_default().extend(needed);
    }
    let rules = ports
        .into_iter()
        .filter_map(|(id, ports)| {
            let range = (*ports.first()?, *ports.last()?);
            let permission = Permission {
                protocol: "tcp".to_owned(),
                ports: Some(range),
                source: Source::Group(SecurityGroupRef::Backend),
                description: BACKEND_RULE_DESCRIPTION.to_owned(),
            };
            Some((id.clone(), BTreeSet::from([permission])))
        })
        .collect();
    DesiredBackend {
        group: groups
            .iter()
            .any(|group| group.needs_group)
            .then(|| SecurityGroup {
                name: names::backend_security_group(&settings.cluster_name),
                description: BACKEND_DESCRIPTION.to_owned(),
                tags: ownership::backend_tags(&settings.cluster_name, &settings.default_tags),
                ingress: BTreeSet::new(),
            }),
        rules,
        add_only: !snapshot.target_group_bindings.is_empty()
            || groups.iter().any(|group| group.incomplete),
    }
}
