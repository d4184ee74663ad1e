//! How far each record is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::live::LoadBalancerOf;
use super::parting::Parting;
use super::unstated::Unstated;
use crate::model::finding::{Finding, Reason};
use crate::model::group::GroupId;
use crate::model::records::{Place, RecordState};

/// How far each record is.
#[derive(Default)]
pub(super) struct Book {
    /// Whether the records were looked at since the process began.
    pub(super) looked: bool,
    /// Hosts that were looked at since the process began.
    pub(super) looked_at: BTreeSet<String>,
    /// Records that are ours, with the group that they are held for.
    pub(super) held: BTreeMap<Place, GroupId>,
    /// State of each wished record.
    pub(super) states: BTreeMap<String, (GroupId, RecordState)>,
    pub(super) findings: BTreeSet<(GroupId, Finding)>,
    /// What groups have been told.
    pub(super) told: View,
    /// Load balancers as they were at the last look.
    pub(super) live: BTreeMap<GroupId, LoadBalancerOf>,
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
    /// Hosts of groups that get no record as there is no zone for them.
    pub(super) homeless: BTreeSet<(GroupId, String)>,
    /// Hosts of rules that no Ingress states.
    pub(super) unstated: Unstated,
    /// Whether zones may not be listed.
    pub(super) denied: bool,
}

/// What is known of a group's records.
#[derive(Default)]
pub(in super::super) struct OfGroup {
    /// Hosts with the states of their records; `None` while nobody has looked.
    pub records: Option<Vec<(String, RecordState)>>,
    /// What is wrong with them.
    pub findings: Vec<Finding>,
}

/// What a group can see of the book.
pub(super) type View = BTreeMap<GroupId, BTreeSet<String>>;

impl Book {
    pub(super) fn spreading_now(&self) -> BTreeSet<Place> {
        self.spreading.values().flatten().cloned().collect()
    }

    /// Whether something stands in the way of a record that only others can
    /// take away.
    pub(super) fn waits_for_others(&self) -> bool {
        let zone = |f: &Finding| matches!(f.reason, Reason::NoHostedZone | Reason::AmbiguousZone);
        let refused =
            |(_, state): &(GroupId, RecordState)| matches!(state, RecordState::Refused(_));
        self.denied
            || self.findings.iter().any(|(_, finding)| zone(finding))
            || self.states.values().any(refused)
    }

    /// The records of a group with their states, and what is wrong with them.
    /// The former are `None` while nobody has looked. Those that are on their
    /// way out are among them until they are gone: the next process looks for
    /// what is shown.
    pub(super) fn of_group(&self, group: &GroupId) -> OfGroup {
        if !self.looked {
            return OfGroup::default();
        }
        let stated = self.states.iter().filter(|(_, (of, _))| of == group);
        let stated = stated.map(|(host, (_, state))| (host.clone(), state.clone()));
        let mut records: BTreeMap<String, RecordState> = stated.collect();
        let held = self.held.iter().filter(|(_, of)| *of == group);
        let going = held.map(|(place, _)| &place.host);
        let going = going.chain(self.unstated.of_group(group));
        for host in going.filter(|host| !self.states.contains_key(*host)) {
            records.insert(host.clone(), RecordState::Leaving);
        }
        let findings = self.findings.iter().filter(|(of, _)| of == group);
        OfGroup {
            records: Some(records.into_iter().collect()),
            findings: findings.map(|(_, finding)| finding.clone()).collect(),
        }
    }

    pub(super) fn view(&self) -> View {
        let mut view = View::new();
        let mut note = |group: &GroupId, text: String| {
            view.entry(group.clone()).or_default().insert(text);
        };
        for (place, group) in &self.held {
            note(group, format!("held {place}"));
        }
        for (host, (group, state)) in &self.states {
            note(group, format!("{host} {state}"));
        }
        for (group, finding) in &self.findings {
            note(group, finding.message.clone());
        }
        for ((group, place), parting) in &self.given_up {
            note(group, format!("given up {place} {parting:?}"));
        }
        view
    }
}
