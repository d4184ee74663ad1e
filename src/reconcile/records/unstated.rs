//! Hosts that a group serves, was last said to have a record for, or has one
//! for by its mark in Route 53, and that none of its Ingresses states: taken out
//! while no process ran, or by one that was killed between the rule and the
//! record, so that none remembers their records.
//!
//! Each group's rules, and what its `IngressGroup` shows, are compared with
//! what its Ingresses state once, when the process meets it; where they agree,
//! as they do at most starts, nothing is read for it. Marks in Route 53 that
//! nobody asks for are looked for in the background (`observe::forgotten`). A
//! record found in one of these ways goes only if its TXT names the very group,
//! and only a few go at once: many hosts without an Ingress rather are a
//! snapshot that is not whole.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::super::{Reconciler, lock};
use super::Records;
use super::kept::Kept;
use crate::aws::Error;
use crate::key::Key;
use crate::lane::Lane;
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::ownership::{TxtOwner, group_of_resource};
use crate::model::records::{ObservedRecords, Place, Zone};
use crate::model::records_build::{
    is_host, is_of_our_domains, live_hosts, may_be_ours, zones_that_may_hold,
};
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
    /// Where records of theirs were found by their mark.
    marked: BTreeSet<Place>,
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
        let hosts: BTreeSet<&String> = self.hosts.values().flatten().collect();
        self.marked.retain(|place| hosts.contains(&place.host));
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
        if is_kept(desired) || !self.met.insert(desired.group.clone()) {
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
        let of_group = self.hosts.entry(desired.group.clone()).or_default();
        of_group.extend(hosts);
        true
    }
}

/// Whether what is live may be a frozen member's; and of others nothing is
/// ours.
fn is_kept(desired: &Desired) -> bool {
    !desired.frozen.is_empty() || desired.intent == Intent::LeaveAlone
}

/// The group that a mark names, if its records are this process's to look
/// after: those of a group that it knows; and of one that is no more only where
/// no other installation can have it, which might not say the same.
fn group_of(
    mark: &TxtOwner,
    kept: &Kept,
    snapshot: &Indexed,
    cx: &DnsContext,
    watched: Option<&str>,
) -> Option<GroupId> {
    // A mark without the cluster's UID may be that of another cluster of the same
    // name.
    if mark.cluster_uid.is_none() || mark.cluster_uid != cx.cluster_uid {
        return None;
    }
    let resource = mark.resource.as_deref()?;
    if let Some(group) = cx.groups.of(resource) {
        return Some(group.clone());
    }
    let group = group_of_resource(resource)?;
    let is_nobodys = match &group {
        _ if snapshot.index().is_left_alone(&group) => false,
        _ if cx.sees_all => true,
        GroupId::Explicit(_) => false,
        GroupId::Implicit(ingress) => {
            let is_there = snapshot.ingresses.contains_key(ingress);
            let is_ours = || kept.has(ingress);
            watched.is_none_or(|watched| watched == ingress.namespace) && (!is_there || is_ours())
        }
    };
    is_nobodys.then_some(group)
}

impl Reconciler {
    /// Looks through a part of the zones for records that carry our mark and
    /// that nobody asks for, if one is due.
    pub(in super::super) async fn look_for_forgotten(&self, records: &Records, now: Instant) {
        let may_be_ours = |zone: &Zone| may_be_ours(zone, &self.settings);
        let looked = records.dns.look_for_forgotten(may_be_ours, now).await;
        if let Err(error) = looked {
            tracing::warn!(tier = "record", %error, "verification failed");
        }
        if records.dns.has_news_of_forgotten() {
            self.parts.queue.wake(Key::Dns, Lane::Restart);
        }
    }

    /// Has the next look at records look at those too that were found by their
    /// mark.
    pub(super) async fn take_forgotten(
        &self,
        records: &Records,
        kept: &Kept,
        snapshot: &Indexed,
    ) -> Result<(), Error> {
        if !records.dns.has_forgotten() {
            return Ok(());
        }
        let facts = self.memory.facts().await?;
        let mut found = records.dns.take_forgotten();
        found.retain(|place, _| is_of_our_domains(&place.host, &self.settings));
        let cx = super::live::context(self, snapshot, kept.known().clone(), BTreeSet::new());
        let watched = self.parts.settings.watch_namespace.as_deref();
        for (place, mark) in found {
            let Some(group) = group_of(&mark, kept, snapshot, &cx, watched) else {
                continue;
            };
            let desired = self.models.of(&group, snapshot, &facts, &self.settings);
            if is_kept(&desired) {
                continue;
            }
            tracing::info!(%place, %group, "a record carries our mark and nobody asks for it");
            let mut book = lock(&records.book);
            let hosts = book.unstated.hosts.entry(group).or_default();
            hosts.insert(place.host.clone());
            book.unstated.marked.insert(place);
        }
        Ok(())
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
        &self,
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
        let marked = lock(&self.book).unstated.marked.clone();
        // Their zones may be gone by now.
        let is_there = |place: &Place| zones.iter().any(|zone| zone.id == place.zone);
        let places = places.chain(marked.into_iter().filter(is_there));
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
    use std::sync::Arc;

    use super::super::kept::Part;
    use super::*;
    use crate::model::membership::GroupMembers;
    use crate::model::ownership::{record_owner, txt_name, txt_value};
    use crate::model::records::{HostRecords, RecordSet};
    use crate::model::spec::ObjectName;

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
    }

    #[test]
    fn a_mark_of_a_group_that_is_no_more_counts_where_nobody_else_can_have_it() {
        let ingress = |name: &str| ObjectName::new("shop", name);
        let members = GroupMembers {
            members: vec![ingress("member")],
            ..GroupMembers::default()
        };
        let mut snapshot = Snapshot::default();
        for name in ["member", "anothers"] {
            snapshot.ingresses.insert(ingress(name), Arc::default());
        }
        let mut kept = Kept::default();
        kept.set(&group("web"), Some(Part::new(members, &snapshot)));
        let snapshot = Indexed::of(snapshot, &Settings::new("demo", "vpc-1"));
        let of = |resource: &str, sees_all: bool, watched: Option<&str>| {
            let cx = DnsContext {
                sees_all,
                cluster_uid: Some("u1".to_owned()),
                ..context(&["web"])
            };
            let mark = |uid: Option<&str>| TxtOwner {
                owner: record_owner("demo"),
                resource: Some(resource.to_owned()),
                cluster_uid: uid.map(str::to_owned),
            };
            for uid in [Some("u2"), None] {
                let other = group_of(&mark(uid), &kept, &snapshot, &cx, watched);
                assert_eq!(other, None, "of another cluster, or it may be");
            }
            group_of(&mark(Some("u1")), &kept, &snapshot, &cx, watched).is_some()
        };
        for (resource, narrow, wide) in [
            ("ingressgroup/web", true, true),
            ("ingressgroup/gone", false, true),
            ("ingress/shop/gone", true, true),
            // It is in another group now.
            ("ingress/shop/member", true, true),
            ("ingress/shop/anothers", false, true),
            ("ingress/elsewhere/gone", false, true),
            ("service/shop/web", false, false),
        ] {
            assert_eq!(of(resource, false, Some("shop")), narrow, "{resource}");
            assert_eq!(of(resource, true, None), wide, "{resource}");
        }
        assert!(
            of("ingress/elsewhere/gone", false, None),
            "of a class alone"
        );
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
