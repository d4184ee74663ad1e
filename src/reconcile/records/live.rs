//! What of load balancers matters for records.

use std::collections::{BTreeMap, BTreeSet};

use super::Reconciler;
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
use crate::model::records::AliasTarget;
use crate::model::spec::{LiveLoadBalancer, LoadBalancerState, Scheme};
use crate::plan::current;

/// What of the groups' load balancers matters for records.
pub(super) struct Live {
    /// Where records of a group lead to.
    pub targets: BTreeMap<GroupId, AliasTarget>,
    /// The scheme of each group's load balancer, which tells the zone.
    pub schemes: BTreeMap<GroupId, Scheme>,
    /// Groups that are about to have an active load balancer.
    pub coming: BTreeSet<GroupId>,
}

impl Live {
    /// As remembered: makes no call.
    pub fn of(cx: &Reconciler, all: &BTreeMap<GroupId, Desired>) -> Self {
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
            // Where nothing tells any more, a record that was left is in the
            // zone that everybody sees.
            let left = (desired.intent == Intent::Remove).then_some(Scheme::InternetFacing);
            let scheme = load_balancer.map(|lb| lb.spec.scheme);
            if let Some(scheme) = scheme.or(wished).or(left) {
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
