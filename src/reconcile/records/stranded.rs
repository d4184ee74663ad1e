//! Records that lead to a load balancer which one replaces that gets none.

use std::collections::BTreeSet;

use super::super::lock;
use super::{LoadBalancerOf, Records};
use crate::model::desired::Desired;
use crate::model::group::GroupId;
use crate::model::records::DesiredRecords;
use crate::model::spec::Observed;

/// Hosts that a group wants and for which there is no zone.
pub(super) fn homeless(wished: &DesiredRecords) -> BTreeSet<(GroupId, String)> {
    let claims = wished.iter().flat_map(|(host, claims)| {
        let homeless = claims.iter().filter(|claim| claim.zone.is_none());
        homeless.map(move |claim| (claim.group.clone(), host.clone()))
    });
    claims.collect()
}

impl Records {
    /// Whether the load balancers that another one is about to replace are to
    /// stay for now: it has not been looked whether their records go, or those
    /// that do are not forgotten everywhere.
    pub(in super::super) fn strands(&self, desired: &Desired, observed: &Observed) -> bool {
        let group = &desired.group;
        let now = LoadBalancerOf::group(desired, observed);
        if now.successor.is_none() {
            return false;
        }
        let book = lock(&self.book);
        // Who may not look would wait for ever.
        if book.denied {
            return false;
        }
        let looked = book.live.get(group);
        let looked = looked.is_some_and(|then| then.successor == now.successor);
        let going = book.homeless(group);
        let mut given_up = book.given_up_by(group);
        !looked
            || going.iter().any(|host| !book.looked_at.contains(*host))
            || book.held_for(group).any(|host| going.contains(host))
            || given_up.any(|(place, _)| going.contains(&place.host))
    }
}
