//! Hosts that a group serves, or was last said to have a record for, and that
//! none of its Ingresses states: taken out while no process ran, or by one that
//! was killed between the rule and the record, so that none remembers their
//! records.
//!
//! Each group's rules, and what its `IngressGroup` shows, are compared with
//! what its Ingresses state once, when the process meets it; where they agree,
//! as they do at most starts, nothing is read for it. A record found this way
//! goes only if its TXT names the very group, and only a few go at once: many
//! hosts without an Ingress rather are a snapshot that is not whole.

use std::collections::{BTreeMap, BTreeSet};

use super::super::lock;
use super::Records;
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
use crate::model::records::{ObservedRecords, Place, Zone};
use crate::model::records_build::{is_host, live_hosts, zones_that_may_hold};
use crate::model::settings::Settings;
use crate::model::snapshot::Snapshot;
use crate::model::spec::Observed;
use crate::plan::dns::{DnsContext, held};

use super::parting;

/// As many records go without a question whatever their share is.
const FEW: usize = 5;
/// The most that goes beyond that, as a share of all records that are ours.
const MOST_PERCENT: usize = 30;

/// Hosts by the group whose rules they stand in.
pub(super) type Hosts = BTreeMap<GroupId, BTreeSet<String>>;

/// What the book keeps of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Unstated {
    /// Groups that were compared.
    met: BTreeSet<GroupId>,
    /// What is to be looked at.
    hosts: Hosts,
}

impl Unstated {
    /// What is to be looked at.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// What a group's rules are for and nobody states, to be looked at.
    pub(super) fn of_group(&self, group: &GroupId) -> impl Iterator<Item = &String> {
        self.hosts.get(group).into_iter().flatten()
    }

    /// These hosts were looked at.
    pub(super) fn looked_at(&mut self, looked: &Hosts, failed: &BTreeSet<&String>) {
        for (group, hosts) in looked {
            if let Some(left) = self.hosts.get_mut(group) {
                left.retain(|host| !hosts.contains(host) || failed.contains(host));
            }
        }
        self.hosts.retain(|_, hosts| !hosts.is_empty());
    }

    /// Compares a group at the first meeting; answers whether there is
    /// something to look at.
    fn meet(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        shown: impl FnOnce() -> BTreeSet<String>,
        snapshot: &Snapshot,
    ) -> bool {
        // What is live may be a frozen member's; and of others nothing is ours.
        let is_kept = !desired.frozen.is_empty() || desired.intent == Intent::LeaveAlone;
        if is_kept || !self.met.insert(desired.group.clone()) {
            return false;
        }
        let leavers = desired.leavers.iter().map(|leaver| &leaver.ingress);
        let (kept, left) = parting::hosts(&desired.members, leavers, snapshot);
        let mut hosts = live_hosts(observed);
        // Anything may be written there.
        hosts.extend(shown().into_iter().filter(|host| is_host(host)));
        hosts.retain(|host| !kept.contains(host) && !left.contains(host));
        if hosts.is_empty() {
            return false;
        }
        self.hosts.insert(desired.group.clone(), hosts);
        true
    }
}

impl Records {
    /// Compares what a group's rules are for, and the hosts that it is shown to
    /// have records for, with what its Ingresses state, when this process meets
    /// it; `observed` is what AWS holds before the first write. Answers whether
    /// there are records to look at.
    pub(in super::super) fn meet_rules(
        &self,
        desired: &Desired,
        observed: &Observed,
        shown: impl FnOnce() -> BTreeSet<String>,
        snapshot: &Snapshot,
    ) -> bool {
        let mut book = lock(&self.book);
        book.unstated.meet(desired, observed, shown, snapshot)
    }

    /// The places to look at for them, apart from those that are asked for
    /// anyway.
    pub(super) fn places(
        hosts: &Hosts,
        asked: &BTreeSet<Place>,
        settings: &Settings,
        zones: &[Zone],
    ) -> BTreeSet<Place> {
        let hosts: BTreeSet<&String> = hosts.values().flatten().collect();
        let places = hosts.into_iter().flat_map(|host| {
            let zones = zones_that_may_hold(host, settings, zones);
            zones.into_iter().map(move |zone| Place::new(host, zone))
        });
        places.filter(|place| !asked.contains(place)).collect()
    }

    /// Forgets again what was read at `places` and is not to go: what is not
    /// the group's whose rules these are, and all of it where that is many.
    /// Answers what is left of the places.
    pub(super) fn only_what_may_go(
        &self,
        places: BTreeSet<Place>,
        hosts: &Hosts,
        records: &mut ObservedRecords,
        cx: &DnsContext,
    ) -> BTreeSet<Place> {
        if places.is_empty() {
            return places;
        }
        let may_go = may_go(&places, hosts, records, cx);
        let stays: BTreeSet<Place> = places.difference(&may_go).cloned().collect();
        records.retain(|place, _| !stays.contains(place));
        let hosts = stays.iter().map(|place| place.host.clone()).collect();
        self.dns.retain(&hosts, |place| !stays.contains(place));
        may_go
    }
}

/// Of these places those whose records are a group's that has rules for the
/// host; none where that would be a great part of all that is ours.
fn may_go(
    places: &BTreeSet<Place>,
    hosts: &Hosts,
    records: &ObservedRecords,
    cx: &DnsContext,
) -> BTreeSet<Place> {
    let ours = held(records, cx);
    let goes = |place: &&Place| {
        let of_group = ours.get(place).and_then(|group| hosts.get(group));
        of_group.is_some_and(|hosts| hosts.contains(&place.host))
    };
    let found: BTreeSet<Place> = places.iter().filter(goes).cloned().collect();
    if found.len() > FEW && found.len() * 100 > MOST_PERCENT * ours.len() {
        let names: Vec<String> = found.iter().map(ToString::to_string).collect();
        tracing::warn!(
            "{} of {} records of this cluster are for hosts that no Ingress states any more; so \
             many are not deleted at once on that sign alone: delete them if that is right, with \
             the TXT records beside them: {}",
            found.len(),
            ours.len(),
            names.join(", ")
        );
        return BTreeSet::new();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ownership::{record_resource, txt_name, txt_value};
    use crate::model::records::{HostRecords, RecordSet};

    fn group(name: &str) -> GroupId {
        GroupId::Explicit(name.to_owned())
    }

    fn context(groups: &[&str]) -> DnsContext {
        DnsContext {
            cluster: "demo".to_owned(),
            groups: groups.iter().map(|name| group(name)).collect(),
            sees_all: true,
            ..DnsContext::default()
        }
    }

    /// A record with the TXT of a group of this cluster.
    fn record(host: &str, of: &str) -> (Place, HostRecords) {
        let txt = RecordSet {
            name: txt_name(host),
            kind: "TXT".to_owned(),
            ttl: Some(300),
            values: vec![txt_value("demo", None, &group(of))],
            alias: None,
            set_identifier: None,
        };
        let records = HostRecords {
            at_host: Vec::new(),
            at_owner: vec![txt],
        };
        (Place::new(host, "Z1"), records)
    }

    fn of(name: &str, hosts: &[String]) -> Hosts {
        Hosts::from([(group(name), hosts.iter().cloned().collect())])
    }

    #[test]
    fn only_records_of_the_group_that_has_the_rule_go() {
        let records: ObservedRecords =
            [record("a.example", "web"), record("b.example", "other")].into();
        let places: BTreeSet<Place> = records.keys().cloned().collect();
        let hosts = of("web", &["a.example", "b.example"].map(str::to_owned));
        let cx = context(&["web", "other"]);
        let goes = may_go(&places, &hosts, &records, &cx);
        assert_eq!(goes, [Place::new("a.example", "Z1")].into());
        // A resource that nobody knows is no sign either.
        let cx = context(&["web"]);
        assert_eq!(may_go(&places, &hosts, &records, &cx), goes);
        assert_eq!(record_resource(&group("web")), "ingressgroup/web");
    }

    #[test]
    fn a_great_part_of_all_records_does_not_go() {
        let count = |gone: usize, stated: usize| {
            let name = |index: usize| format!("{index}.example");
            let gone: Vec<String> = (0..gone).map(name).collect();
            let stated = (100..100 + stated).map(name);
            let all = gone.iter().cloned().chain(stated);
            let records: ObservedRecords = all.map(|host| record(&host, "web")).collect();
            let places = gone.iter().map(|host| Place::new(host, "Z1")).collect();
            let hosts = of("web", &gone);
            may_go(&places, &hosts, &records, &context(&["web"])).len()
        };
        assert_eq!(count(5, 0), 5);
        assert_eq!(count(6, 0), 0);
        assert_eq!(count(6, 13), 0);
        assert_eq!(count(6, 14), 6);
    }

    #[test]
    fn a_look_that_failed_is_to_be_had_again() {
        let both = of("web", &["a.example", "b.example"].map(str::to_owned));
        let mut unstated = Unstated {
            hosts: both.clone(),
            ..Unstated::default()
        };
        let failed = "b.example".to_owned();
        unstated.looked_at(&both, &[&failed].into());
        let left: Vec<&String> = unstated.of_group(&group("web")).collect();
        assert_eq!(left, [&failed]);
        unstated.looked_at(&both, &BTreeSet::new());
        assert!(unstated.hosts().is_empty());
    }
}
