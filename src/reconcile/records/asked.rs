//! Hosts that somebody asks for, and where their records would be.

use std::collections::BTreeSet;

use super::{Book, Looked, Records};
use crate::model::records::{DesiredRecords, Place};

/// Where the records of all wished hosts would be.
pub(super) fn wished_places(wished: &DesiredRecords) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for (host, claims) in wished {
        let zones = claims.iter().filter_map(|claim| claim.zone.as_ref());
        places.extend(zones.map(|zone| Place::new(host, zone)));
    }
    places
}

impl Records {
    /// Forgets hosts that nobody asks for, unless their records are ours or
    /// about to go.
    pub(super) fn forget(&self, book: &mut Book, looked: &Looked) {
        let (hosts, places) = &looked.asked;
        book.looked_at.retain(|host| hosts.contains(host));
        let changed: BTreeSet<&Place> = looked.plan.changes.iter().map(|c| &c.place).collect();
        self.dns.retain(|place| {
            places.contains(place) || changed.contains(place) || book.held.contains_key(place)
        });
    }
}
