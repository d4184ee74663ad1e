//! The nodes of a load balancer: one in each enabled zone. One socket stands
//! for all of them here, and each connection comes to one node, as if DNS had
//! led it there.
//!
//! Pure. Source: "Cross-zone load balancing" and "Target group health" of the
//! guides.

use jiff::Timestamp;

use super::targets::{Threshold, standing};
use crate::chance::{Chance, Purpose};
use crate::state::{LoadBalancer, LoadBalancerKind, State, TargetGroup};

/// The node that a connection comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Any of those that DNS names, by this number.
    Drawn(u64),
    /// The one in this zone.
    In(String),
}

impl Node {
    /// A node by chance.
    pub(crate) fn any(chance: &Chance) -> Self {
        Self::Drawn(chance.below(Purpose::Node, u64::MAX))
    }
}

/// Whether the nodes of a load balancer send to targets in all zones: as the
/// group says, else as the load balancer does.
pub(crate) fn is_cross_zone(balancer: &LoadBalancer, group: &TargetGroup) -> bool {
    const KEY: &str = "load_balancing.cross_zone.enabled";
    let value = |attributes: &std::collections::BTreeMap<String, String>| {
        attributes.get(KEY).and_then(|value| value.parse().ok())
    };
    value(&group.attributes)
        .or_else(|| value(&balancer.attributes))
        .unwrap_or(balancer.kind == LoadBalancerKind::Application)
}

/// The zone whose targets a node sends to; `None` where it sends to all.
pub(crate) fn zone_of_node<'a>(
    state: &State,
    balancer: &'a LoadBalancer,
    group: &TargetGroup,
    node: &Node,
    now: Timestamp,
) -> Option<&'a str> {
    if is_cross_zone(balancer, group) {
        return None;
    }
    match node {
        Node::In(zone) => {
            let found = balancer.subnets.get_key_value(zone);
            found.map(|(zone, _)| zone.as_str())
        }
        Node::Drawn(number) => {
            let zones = in_dns(state, balancer, now);
            let count = u64::try_from(zones.len()).unwrap_or(u64::MAX);
            let place = number.checked_rem(count)?;
            zones.get(usize::try_from(place).ok()?).copied()
        }
    }
}

/// The zones whose nodes DNS names: those where every group that has targets
/// has enough healthy ones (`dns_failover`), or all if there is no such zone.
pub(crate) fn in_dns<'a>(
    state: &State,
    balancer: &'a LoadBalancer,
    now: Timestamp,
) -> Vec<&'a str> {
    let healthy = healthy_zones(state, balancer, now);
    if healthy.is_empty() {
        balancer.subnets.keys().map(String::as_str).collect()
    } else {
        healthy
    }
}

/// Whether an alias that evaluates the health of its target takes a load
/// balancer for healthy: one of its nodes can be named.
pub(crate) fn serves(state: &State, balancer: &LoadBalancer, now: Timestamp) -> bool {
    !healthy_zones(state, balancer, now).is_empty()
}

/// The zones where every group that has targets has enough healthy ones.
fn healthy_zones<'a>(state: &State, balancer: &'a LoadBalancer, now: Timestamp) -> Vec<&'a str> {
    let groups: Vec<&TargetGroup> = balancer
        .target_groups(None)
        .into_iter()
        .filter_map(|arn| state.target_groups.get(arn))
        .filter(|group| !group.targets.is_empty())
        .collect();
    let all = balancer.subnets.keys().map(String::as_str);
    all.filter(|zone| {
        groups.iter().all(|group| {
            let scope = (!is_cross_zone(balancer, group)).then_some(*zone);
            let standing = standing(state, group, scope, false, now);
            standing.healthy.len() >= standing.minimum(group, Threshold::Dns)
        })
    })
    .collect()
}
