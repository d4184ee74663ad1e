//! Hosts that somebody asks for, and where their records would be.

use std::collections::BTreeSet;

use super::findings::denied;
use super::kept::{Kept, Scope, Sources};
use super::{Book, Looked, Records, stranded, unstated};
use crate::model::finding::Reason;
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::records::{DesiredRecords, HostFindings, Place, Zone};
use crate::model::records_build::zones_that_may_hold;
use crate::model::settings::Settings;
use crate::observe::Zones;

/// What is wished for the hosts that a look is about.
#[derive(Debug)]
pub(super) struct Asked {
    /// The hosts.
    pub(super) scope: Scope,
    /// The groups that they are of.
    pub(super) sources: Sources,
    /// What should be.
    pub(super) desired: DesiredRecords,
    /// What is worth knowing about hosts that get no record.
    pub(super) findings: HostFindings,
    /// Where they are looked for.
    pub(super) places: BTreeSet<Place>,
    /// Groups with the hosts that get no record as there is no zone for them.
    pub(super) homeless: BTreeSet<(GroupId, String)>,
    /// Hosts of rules that no Ingress states.
    pub(super) unstated: unstated::Hosts,
    /// Ids of private zones.
    pub(super) private_zones: BTreeSet<String>,
    /// Whether zones may not be listed.
    pub(super) denied: bool,
}

impl Asked {
    pub(super) fn new(
        kept: &Kept,
        scope: Scope,
        unstated: unstated::Hosts,
        zones: &Zones,
        snapshot: &Indexed,
        settings: &Settings,
    ) -> Self {
        let sources = kept.sources_of(&scope.hosts, snapshot);
        let (desired, mut findings) = sources.build(&scope.hosts, &zones.zones, snapshot, settings);
        if let Some(error) = &zones.denied {
            findings = denied(&sources.membership, snapshot, error);
        }
        let mut places = wished_places(&desired);
        let homeless = stranded::homeless(&desired);
        // What leavers hold is found, whatever their load balancer was; and
        // what leads to one that is about to go.
        let going = homeless
            .iter()
            .filter(|(of, _)| sources.successors.contains_key(of));
        let of_leavers = sources.of_leavers(&scope.hosts, snapshot);
        for host in of_leavers.iter().chain(going.map(|(_, host)| host)) {
            let zones = zones_that_may_hold(host, settings, &zones.zones);
            places.extend(zones.into_iter().map(|zone| Place::new(host, zone)));
        }
        let private = |zone: &&Zone| zone.private_vpcs.is_some();
        let private_zones = zones.zones.iter().filter(private);
        Self {
            private_zones: private_zones.map(|zone| zone.id.clone()).collect(),
            denied: zones.denied.is_some(),
            scope,
            sources,
            desired,
            findings,
            places,
            homeless,
            unstated,
        }
    }

    /// Whether there is no zone for some host.
    pub(super) fn lacks_zone(&self) -> bool {
        let mut findings = self.findings.values().flatten();
        findings.any(|finding| finding.reason == Reason::NoHostedZone)
    }
}

/// Where the records of all wished hosts would be.
fn wished_places(wished: &DesiredRecords) -> BTreeSet<Place> {
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
        book.forget(looked);
        self.dns
            .retain(&looked.asked.scope.hosts, stays(book, looked));
    }
}

impl Book {
    /// Forgets hosts that nobody asks for.
    pub(super) fn forget(&mut self, looked: &Looked) {
        let Scope { hosts, wanted } = &looked.asked.scope;
        for host in hosts.difference(wanted) {
            self.looked_at.remove(host);
        }
    }
}

/// Whether it stays remembered what stands at a place that was looked at.
pub(super) fn stays<'a>(book: &'a Book, looked: &'a Looked) -> impl Fn(&Place) -> bool + 'a {
    let changes = looked.plan.changes.iter();
    let changed: BTreeSet<&Place> = changes.map(|change| &change.place).collect();
    move |place| {
        looked.asked.places.contains(place)
            || changed.contains(place)
            || book.holder(place).is_some()
    }
}
