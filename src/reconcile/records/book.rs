//! How far each record is.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::live::LoadBalancerOf;
use super::parting::Parting;
use super::unstated::Unstated;
use crate::model::finding::{Finding, Reason};
use crate::model::group::GroupId;
use crate::model::records::{Place, RecordState};

/// How far each record is.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Book {
    /// Whether the records were looked at since the process began.
    pub(super) looked: bool,
    /// Hosts that were looked at since the process began.
    pub(super) looked_at: BTreeSet<String>,
    /// What is known of each host.
    hosts: BTreeMap<String, OfHost>,
    /// The hosts that something is known of that concerns a group.
    of_group: BTreeMap<GroupId, BTreeSet<String>>,
    /// Hosts whose records only others can bring further.
    obstructed: BTreeSet<String>,
    /// Hosts whose owner records name a group that is not known.
    strange: BTreeSet<String>,
    /// What groups have been told, in short.
    told: BTreeMap<GroupId, u64>,
    /// Groups that had given up something when they were told.
    parted: BTreeSet<GroupId>,
    /// Load balancers as they were at the last look.
    pub(super) live: BTreeMap<GroupId, Arc<LoadBalancerOf>>,
    /// Changes that are being spread, by id, with what they are about.
    pub(super) spreading: BTreeMap<String, BTreeSet<Place>>,
    /// Pause until it is asked again whether they have been.
    pub(super) pause: Option<Duration>,
    /// Records that a group gave up: it waits for them.
    pub(super) given_up: BTreeMap<(GroupId, Place), Parting>,
    /// Places that were read since the process began.
    pub(super) met: BTreeSet<Place>,
    /// When what was refused is looked at again, and the pause before that.
    pub(super) look_again: Option<(Instant, Duration)>,
    /// Hosts of rules that no Ingress states.
    pub(super) unstated: Unstated,
    /// Whether zones may not be listed.
    pub(super) denied: bool,
}

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OfHost {
    /// Zones that have a record of ours, with the group that it is held for.
    pub(super) held: BTreeMap<String, GroupId>,
    /// The group that holds the wished record or is to get it, and how far
    /// that is.
    pub(super) state: Option<(GroupId, RecordState)>,
    /// What is wrong with it.
    pub(super) findings: BTreeSet<(GroupId, Finding)>,
    /// Groups that get no record as there is no zone for it.
    pub(super) homeless: BTreeSet<GroupId>,
    /// Whether an owner record names a group that is not known.
    pub(super) is_strange: bool,
}

impl OfHost {
    fn groups(&self) -> BTreeSet<GroupId> {
        let held = self.held.values();
        let stated = self.state.iter().map(|(group, _)| group);
        let found = self.findings.iter().map(|(group, _)| group);
        let groups = held.chain(stated).chain(found).chain(&self.homeless);
        groups.cloned().collect()
    }

    fn has(&self, reason: Reason) -> bool {
        self.findings
            .iter()
            .any(|(_, finding)| finding.reason == reason)
    }

    fn is_refused(&self) -> bool {
        matches!(&self.state, Some((_, RecordState::Refused(_))))
    }
}

/// What is known of a group's records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct OfGroup {
    /// Hosts with the states of their records; `None` while nobody has looked.
    pub records: Option<Vec<(String, RecordState)>>,
    /// What is wrong with them.
    pub findings: Vec<Finding>,
}

impl Book {
    /// Notes what is known of a host now. The groups that it is news for are
    /// added to `concerned`.
    pub(super) fn set(&mut self, host: &str, now: OfHost, concerned: &mut BTreeSet<GroupId>) {
        let before = self.hosts.remove(host).unwrap_or_default();
        if before != now {
            let (old, new) = (before.groups(), now.groups());
            for group in old.difference(&new) {
                if let Some(hosts) = self.of_group.get_mut(group) {
                    hosts.remove(host);
                    if hosts.is_empty() {
                        self.of_group.remove(group);
                    }
                }
            }
            for group in new.difference(&old) {
                let hosts = self.of_group.entry(group.clone()).or_default();
                hosts.insert(host.to_owned());
            }
            concerned.extend(old);
            concerned.extend(new);
            mark(&mut self.strange, host, now.is_strange);
            let has_no_zone = now.has(Reason::NoHostedZone) || now.has(Reason::AmbiguousZone);
            let is_obstructed = has_no_zone || now.is_refused();
            mark(&mut self.obstructed, host, is_obstructed);
        }
        if now != OfHost::default() {
            self.hosts.insert(host.to_owned(), now);
        }
    }

    /// All hosts that something is known of.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &String> {
        self.hosts.keys()
    }

    /// All groups that something is held for.
    pub(super) fn holders(&self) -> impl Iterator<Item = &GroupId> {
        self.hosts
            .values()
            .flat_map(|of_host| of_host.held.values())
    }

    /// Hosts whose owner records name a group that is not known.
    pub(super) fn strange(&self) -> &BTreeSet<String> {
        &self.strange
    }

    /// Hosts whose records are refused.
    pub(super) fn refused(&self) -> BTreeSet<String> {
        let refused = |host: &&String| self.hosts.get(*host).is_some_and(OfHost::is_refused);
        self.obstructed.iter().filter(refused).cloned().collect()
    }

    /// Whether there is no zone for some host beside these.
    pub(super) fn lacks_zone_beside(&self, these: &BTreeSet<String>) -> bool {
        let mut others = self.obstructed.difference(these);
        let lacks = |of_host: &OfHost| of_host.has(Reason::NoHostedZone);
        others.any(|host| self.hosts.get(host).is_some_and(lacks))
    }

    /// What is known of the hosts that concern a group.
    fn hosts_of(&self, group: &GroupId) -> impl Iterator<Item = (&String, &OfHost)> {
        let hosts = self.of_group.get(group).into_iter().flatten();
        hosts.filter_map(|host| self.hosts.get_key_value(host))
    }

    /// The group that the record of a place is held for.
    pub(super) fn holder(&self, place: &Place) -> Option<&GroupId> {
        self.hosts.get(&place.host)?.held.get(&place.zone)
    }

    /// Whether a record is held for a group.
    pub(super) fn holds(&self, group: &GroupId) -> bool {
        self.held_for(group).next().is_some()
    }

    /// The hosts whose records are held for a group.
    pub(super) fn held_for(&self, group: &GroupId) -> impl Iterator<Item = &String> {
        let hosts = self.hosts_of(group);
        let held = hosts.filter(move |(_, of_host)| of_host.held.values().any(|of| of == group));
        held.map(|(host, _)| host)
    }

    /// Hosts of a group that get no record as there is no zone for them.
    pub(super) fn homeless(&self, group: &GroupId) -> BTreeSet<&String> {
        let hosts = self.hosts_of(group);
        let homeless = hosts.filter(|(_, of_host)| of_host.homeless.contains(group));
        homeless.map(|(host, _)| host).collect()
    }

    /// What a group gave up.
    pub(super) fn given_up_by(&self, group: &GroupId) -> impl Iterator<Item = (&Place, Parting)> {
        let from_here = self.given_up.range((group.clone(), Place::new("", ""))..);
        let of_group = from_here.take_while(move |((of, _), _)| of == group);
        of_group.map(|((_, place), parting)| (place, *parting))
    }

    pub(super) fn spreading_now(&self) -> BTreeSet<Place> {
        self.spreading.values().flatten().cloned().collect()
    }

    /// Whether something stands in the way of a record that only others can
    /// take away.
    pub(super) fn waits_for_others(&self) -> bool {
        self.denied || !self.obstructed.is_empty()
    }

    /// The records of a group with their states, and what is wrong with them.
    /// The former are `None` while nobody has looked. Those that are on their
    /// way out are among them until they are gone: the next process looks for
    /// what is shown.
    pub(super) fn of_group(&self, group: &GroupId) -> OfGroup {
        if !self.looked {
            return OfGroup::default();
        }
        let mut records = BTreeMap::new();
        let mut findings = BTreeSet::new();
        for (host, of_host) in self.hosts_of(group) {
            match &of_host.state {
                Some((of, state)) if of == group => {
                    records.insert(host.clone(), state.clone());
                }
                None if of_host.held.values().any(|of| of == group) => {
                    records.insert(host.clone(), RecordState::Leaving);
                }
                _ => {}
            }
            let found = of_host.findings.iter().filter(|(of, _)| of == group);
            findings.extend(found.map(|(_, finding)| finding.clone()));
        }
        let has_state = |host: &&String| {
            let of_host = self.hosts.get(*host);
            of_host.is_some_and(|of_host| of_host.state.is_some())
        };
        let unstated = self.unstated.of_group(group);
        for host in unstated.filter(|host| !has_state(host)) {
            records.insert(host.clone(), RecordState::Leaving);
        }
        OfGroup {
            records: Some(records.into_iter().collect()),
            findings: findings.into_iter().collect(),
        }
    }

    /// Tells what has changed for groups: of these, and of those that have
    /// given up something, the ones for which it has.
    pub(super) fn tell(&mut self, mut concerned: BTreeSet<GroupId>) -> BTreeSet<GroupId> {
        concerned.append(&mut self.parted);
        self.parted = self
            .given_up
            .keys()
            .map(|(group, _)| group.clone())
            .collect();
        concerned.extend(self.parted.iter().cloned());
        concerned.retain(|group| {
            let now = self.view(group);
            let before = match now {
                Some(now) => self.told.insert(group.clone(), now),
                None => self.told.remove(group),
            };
            before != now
        });
        concerned
    }

    /// What a group can see of the book, in short; `None`: nothing.
    fn view(&self, group: &GroupId) -> Option<u64> {
        let mut lines = BTreeSet::new();
        for (host, of_host) in self.hosts_of(group) {
            let held = of_host.held.iter().filter(|(_, of)| *of == group);
            lines.extend(held.map(|(zone, _)| format!("held {host} in zone {zone}")));
            let state = of_host.state.iter().filter(|(of, _)| of == group);
            lines.extend(state.map(|(_, state)| format!("{host} {state}")));
            let found = of_host.findings.iter().filter(|(of, _)| of == group);
            lines.extend(found.map(|(_, finding)| finding.message.clone()));
        }
        for (place, parting) in self.given_up_by(group) {
            lines.insert(format!("given up {place} {parting:?}"));
        }
        if lines.is_empty() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        lines.hash(&mut hasher);
        Some(hasher.finish())
    }
}

fn mark(hosts: &mut BTreeSet<String>, host: &str, is_marked: bool) {
    if is_marked {
        hosts.insert(host.to_owned());
    } else {
        hosts.remove(host);
    }
}
