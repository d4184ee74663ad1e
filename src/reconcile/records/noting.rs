//! What a look has found and done, written into the book.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::book::{Book, OfHost};
use super::findings::in_words;
use super::kept::Kept;
use super::parting::{self, Parting};
use super::{Looked, Records};
use crate::apply::dns::DnsApplied;
use crate::model::group::GroupId;
use crate::model::records::{ObservedRecords, Place, RecordState};
use crate::plan::dns::{held, names_unknown};
use crate::reconcile::lock;

/// When it is, and how long what takes.
pub(super) struct Times {
    /// Now.
    pub(super) now: Instant,
    /// How long a load balancer outlives its records.
    pub(super) grace: Duration,
    /// First and longest pause until what was refused is looked at again.
    pub(super) look_again: (Duration, Duration),
}

impl Records {
    /// Writes what was found and done into the book. Answers the groups that
    /// it is news for.
    pub(super) fn note(
        &self,
        kept: &mut Kept,
        looked: &Looked,
        applied: &DnsApplied,
    ) -> BTreeSet<GroupId> {
        let records = self.dns.remembered(&looked.asked.scope.hosts);
        let times = Times {
            now: Instant::now(),
            grace: self.grace,
            look_again: self.look_again,
        };
        let mut book = lock(&self.book);
        let news = book.note(kept, looked, applied, &records, &times);
        self.forget(&mut book, looked);
        news
    }
}

impl Book {
    /// Notes a look and what was done then. `records` is what is remembered of
    /// its hosts afterwards. Answers the groups that it is news for.
    pub(super) fn note(
        &mut self,
        kept: &mut Kept,
        looked: &Looked,
        applied: &DnsApplied,
        records: &ObservedRecords,
        times: &Times,
    ) -> BTreeSet<GroupId> {
        self.looked = true;
        let now = times.now;
        let held_now = held(records, &looked.context);
        self.note_parting(looked, applied, &held_now, times);
        let unread: BTreeSet<&String> = looked.failed.keys().map(|p| &p.host).collect();
        let failed: BTreeSet<&String> = applied.failed.keys().map(|p| &p.host).collect();
        let wanted = looked.asked.scope.wanted.iter();
        let sure = wanted.filter(|host| !unread.contains(host) && !failed.contains(host));
        self.looked_at.extend(sure.cloned());
        self.unstated.looked_at(&looked.asked.unstated, &unread);
        self.denied = looked.asked.denied;
        let mut concerned = BTreeSet::new();
        for (host, of_host) in self.of_hosts(looked, applied, records, held_now) {
            self.set(&host, of_host, &mut concerned);
        }
        let mut given_up = std::mem::take(&mut self.given_up);
        given_up.retain(|(group, place), parting| {
            let over = parting.until().is_some_and(|until| until <= now);
            // It came back: then it is a held one again.
            !over && self.holder(place) != Some(group)
        });
        self.given_up = given_up;
        let pause = self.look_again.map(|(_, pause)| pause);
        self.look_again = match (self.waits_for_others(), self.look_again) {
            (false, _) => None,
            (true, Some((due, pause))) if due > now => Some((due, pause)),
            (true, _) => {
                let (first, longest) = times.look_again;
                let pause = pause.map_or(first, |pause| (pause * 2).min(longest));
                Some((now + pause, pause))
            }
        };
        // What was written, or was not read, may be other than it was taken
        // for.
        let written = looked.plan.changes.iter().map(|change| &change.place.host);
        let again = written.chain(unread).chain(failed).cloned().collect();
        let all_again = !looked.asked.unstated.is_empty();
        kept.noted(self, &concerned, again, all_again);
        self.tell(concerned)
    }

    /// Notes the records that groups gave up, and what is being spread.
    fn note_parting(
        &mut self,
        looked: &Looked,
        applied: &DnsApplied,
        held_now: &BTreeMap<Place, GroupId>,
        times: &Times,
    ) {
        let held_before = held(&looked.records, &looked.context);
        let until = times.now + parting::after_a_start(times.grace);
        let private = &looked.asked.private_zones;
        self.meet(&looked.records, &held_before, &looked.left, private, until);
        for submitted in &applied.submitted {
            for place in &submitted.places {
                let holder = held_now.get(place);
                let before = held_before.get(place).or_else(|| self.holder(place));
                if let Some(group) = before.filter(|group| Some(*group) != holder) {
                    let given_up = (group.clone(), place.clone());
                    self.given_up.insert(given_up, Parting::Spreading);
                }
                // A later change is the one to wait for.
                for places in self.spreading.values_mut() {
                    places.remove(place);
                }
            }
            let places = submitted.places.iter().cloned().collect();
            self.spreading.insert(submitted.change.clone(), places);
            self.pause = None;
        }
        self.spreading.retain(|_, places| !places.is_empty());
    }

    /// What is known now of the hosts that were looked at.
    fn of_hosts(
        &self,
        looked: &Looked,
        applied: &DnsApplied,
        records: &ObservedRecords,
        held_now: BTreeMap<Place, GroupId>,
    ) -> BTreeMap<String, OfHost> {
        let scope = looked.asked.scope.hosts.iter();
        let mut hosts: BTreeMap<String, OfHost> = scope
            .map(|host| (host.clone(), OfHost::default()))
            .collect();
        let mut note = |host: &str, note: &mut dyn FnMut(&mut OfHost)| {
            if let Some(of_host) = hosts.get_mut(host) {
                note(of_host);
            }
        };
        for (Place { host, zone }, group) in held_now {
            note(&host, &mut |of_host| {
                of_host.held.insert(zone.clone(), group.clone());
            });
        }
        for (place, read) in records {
            // Else it is about to be forgotten.
            let is_asked = looked.asked.places.contains(place);
            let is_strange = is_asked && names_unknown(read, &looked.context);
            note(&place.host, &mut |of_host| of_host.is_strange |= is_strange);
        }
        for (group, host) in &looked.asked.homeless {
            note(host, &mut |of_host| {
                of_host.homeless.insert(group.clone());
            });
        }
        let not_allowed = looked.owners.not_allowed(&applied.failed, &looked.plan);
        for (host, findings) in looked.findings.iter().chain(&not_allowed) {
            note(host, &mut |of_host| {
                of_host.findings.extend(findings.iter().cloned());
            });
        }
        let spreading = self.spreading_now();
        let spreading: BTreeSet<&str> = spreading.iter().map(|p| p.host.as_str()).collect();
        for (host, (group, state)) in &looked.plan.states {
            let is_spreading = spreading.contains(host.as_str());
            let state = match state {
                RecordState::Pending if !is_spreading => &RecordState::InSync,
                RecordState::InSync if is_spreading => &RecordState::Pending,
                state => state,
            };
            note(host, &mut |of_host| {
                of_host.state = Some((group.clone(), state.clone()));
            });
        }
        for (Place { host, .. }, error) in looked.failed.iter().chain(&applied.failed) {
            note(host, &mut |of_host| {
                if let Some((_, state)) = &mut of_host.state {
                    *state = RecordState::Refused(in_words(error));
                }
            });
        }
        hosts
    }
}
