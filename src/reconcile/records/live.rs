//! What records need to know of load balancers.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Reconciler;
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
use crate::model::records::AliasTarget;
use crate::model::spec::{LiveLoadBalancer, LoadBalancerState, Scheme};
use crate::plan::current;

/// What of the groups' load balancers matters for records.
pub(super) struct Live {
    /// Where records are to point, by group.
    pub(super) targets: BTreeMap<GroupId, AliasTarget>,
    /// As live, else as desired.
    pub(super) schemes: BTreeMap<GroupId, Scheme>,
    /// Groups whose load balancer is being made.
    pub(super) coming: BTreeSet<GroupId>,
}

impl Live {
    pub(super) fn of(cx: &Reconciler, all: &BTreeMap<GroupId, Desired>) -> Self {
        let mut live = Self {
            targets: BTreeMap::new(),
            schemes: BTreeMap::new(),
            coming: BTreeSet::new(),
        };
        for (group, desired) in all {
            let observed = cx.memory.remembered(group);
            let wished = match &desired.intent {
                Intent::Serve(stack) => Some(stack.load_balancer.scheme),
                _ => None,
            };
            let load_balancer = current(desired, &observed);
            if let Some(scheme) = load_balancer.map(|lb| lb.spec.scheme).or(wished) {
                live.schemes.insert(group.clone(), scheme);
            }
            match load_balancer.filter(|lb| serves(lb)) {
                Some(lb) => {
                    let target = AliasTarget {
                        dns_name: lb.dns_name.trim_end_matches('.').to_ascii_lowercase(),
                        hosted_zone_id: lb.hosted_zone_id.clone(),
                    };
                    live.targets.insert(group.clone(), target);
                }
                None if wished.is_some() => {
                    live.coming.insert(group.clone());
                }
                None => {}
            }
        }
        live
    }
}

/// Whether a load balancer is active and has listeners and rules.
fn serves(lb: &LiveLoadBalancer) -> bool {
    let active = matches!(
        lb.state,
        LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
    );
    active
        && lb
            .listeners
            .values()
            .any(|listener| !listener.rules.is_empty())
}
