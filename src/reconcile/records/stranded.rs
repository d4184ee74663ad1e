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
        let goes = |host: &String| book.homeless.contains(&(group.clone(), host.clone()));
        let mut going = book.homeless.iter().filter(|(of, _)| of == group);
        let mut held = book.held.iter();
        let mut given_up = book.given_up.keys();
        !looked
            || going.any(|(_, host)| !book.looked_at.contains(host))
            || held.any(|(place, holder)| holder == group && goes(&place.host))
            || given_up.any(|(of, place)| of == group && goes(&place.host))
    }
}
