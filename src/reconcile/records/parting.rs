//! Records that groups gave up, and how long each group waits for that to be
//! known everywhere.
//!
//! How far a deletion is stands in this process alone. One that begins while
//! an Ingress is on its way out does not know whether the process before it
//! has deleted the record a moment ago, so it waits once for a time after
//! which resolvers have surely forgotten, counted from its first look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Book;
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
use crate::model::membership::Membership;
use crate::model::records::{ObservedRecords, Place};
use crate::model::records_build::hosts_of;
use crate::model::snapshot::Snapshot;
use crate::model::spec::{ObjectName, Scheme};

/// Route 53 says that changes are everywhere within this time.
/// <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>
const SPREAD: Duration = Duration::from_mins(1);

/// How far a record is that a group gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The change is being spread.
    Spreading,
    /// It has been; resolvers may remember it until then.
    Remembered(Instant),
    /// It is not there, and may have been deleted by the process before this
    /// one: resolvers may remember it until then. It can have led to load
    /// balancers of the scheme only that its zone is for.
    Perhaps(Instant, Scheme),
}

impl Parting {
    /// When it is over, where that is known.
    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Self::Spreading => None,
            Self::Remembered(until) | Self::Perhaps(until, _) => Some(until),
        }
    }

    /// What is waited for.
    pub(super) fn in_words(self, host: &str, grace: Duration) -> String {
        match self {
            Self::Spreading => format!("Route 53 to have spread the change of {host}"),
            Self::Remembered(_) => format!(
                "resolvers to have forgotten {host} (--dns-delete-grace, {} s)",
                grace.as_secs()
            ),
            Self::Perhaps(..) => format!(
                "resolvers to have forgotten {host}, whose record may have been deleted just \
                 before this process began ({} s after its first look, by --dns-delete-grace)",
                after_a_start(grace).as_secs()
            ),
        }
    }
}

/// How long a process waits for a record that the one before it may have
/// deleted: as long as Route 53 may take to spread that, and the grace. Who
/// asks for a short grace, or none, does not want to wait longer for the first
/// than for the second.
pub(super) fn after_a_start(grace: Duration) -> Duration {
    grace + grace.min(SPREAD)
}

/// The hosts that members state, and those that leavers state and no member.
pub(super) fn hosts<'a>(
    members: &[ObjectName],
    leavers: impl Iterator<Item = &'a ObjectName>,
    snapshot: &Snapshot,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let members = members.iter();
    let kept: BTreeSet<String> = members.flat_map(|name| hosts_of(name, snapshot)).collect();
    let left = leavers
        .flat_map(|name| hosts_of(name, snapshot))
        .filter(|host| !kept.contains(host))
        .collect();
    (kept, left)
}

/// Ingresses whose records stay as they are: the frozen ones, and the deleted
/// ones of a group that is left alone.
pub(super) fn keepers(desired: &Desired) -> BTreeSet<ObjectName> {
    let mut keepers = desired.frozen.clone();
    if desired.intent == Intent::LeaveAlone {
        let deleted = desired.leavers.iter().filter(|leaver| leaver.deleted);
        keepers.extend(deleted.map(|leaver| leaver.ingress.clone()));
    }
    keepers
}

/// Groups with the hosts that their leavers state and no member of theirs.
pub(super) fn left(membership: &Membership, snapshot: &Snapshot) -> BTreeSet<(GroupId, String)> {
    let mut all = BTreeSet::new();
    for (group, members) in &membership.groups {
        let leavers = members.leavers.iter().map(|leaver| &leaver.ingress);
        let (_, left) = hosts(&members.members, leavers, snapshot);
        all.extend(left.into_iter().map(|host| (group.clone(), host)));
    }
    all
}

impl Book {
    /// Notes the places that this process has read for the first time. Where
    /// nothing stands at the host of somebody who left, or the record of
    /// another group of ours, it may have been that group's until a moment
    /// ago.
    pub(super) fn meet(
        &mut self,
        records: &ObservedRecords,
        held: &BTreeMap<Place, GroupId>,
        left: &BTreeSet<(GroupId, String)>,
        private_zones: &BTreeSet<String>,
        until: Instant,
    ) {
        for (place, records) in records {
            if !self.met.insert(place.clone()) {
                continue;
            }
            let holder = held.get(place);
            let nothing = records.at_host.is_empty() && records.at_owner.is_empty();
            if holder.is_none() && !nothing {
                // Somebody else's: had it been ours, it would have been in
                // their way.
                continue;
            }
            let scheme = if private_zones.contains(&place.zone) {
                Scheme::Internal
            } else {
                Scheme::InternetFacing
            };
            let groups = left.iter().filter(|(_, host)| *host == place.host);
            for (group, _) in groups.filter(|(group, _)| Some(group) != holder) {
                let given_up = (group.clone(), place.clone());
                self.given_up
                    .entry(given_up)
                    .or_insert(Parting::Perhaps(until, scheme));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::records::{HostRecords, RecordSet};

    fn group(name: &str) -> GroupId {
        GroupId::Explicit(name.to_owned())
    }

    fn place(host: &str) -> Place {
        Place::new(host, "Z1")
    }

    fn someones() -> HostRecords {
        HostRecords {
            at_host: vec![RecordSet {
                name: "a.example".to_owned(),
                kind: "A".to_owned(),
                ttl: Some(60),
                values: vec!["192.0.2.1".to_owned()],
                alias: None,
                set_identifier: None,
            }],
            at_owner: Vec::new(),
        }
    }

    /// What a book says after a first look at one host that a group left.
    fn met(records: HostRecords, holder: Option<&str>, private: &[&str]) -> Book {
        let mut book = Book::default();
        let held = holder.map(|holder| (place("a.example"), group(holder)));
        book.meet(
            &[(place("a.example"), records)].into(),
            &held.into_iter().collect(),
            &[(group("old"), "a.example".to_owned())].into(),
            &private.iter().map(|zone| (*zone).to_owned()).collect(),
            Instant::now(),
        );
        book
    }

    #[test]
    fn a_record_that_is_not_there_at_the_first_look_may_just_have_gone() {
        for (private, scheme) in [
            (&[][..], Scheme::InternetFacing),
            (&["Z1"], Scheme::Internal),
        ] {
            let book = met(HostRecords::default(), None, private);
            let parting = book.given_up[&(group("old"), place("a.example"))];
            assert!(matches!(parting, Parting::Perhaps(_, of) if of == scheme));
        }
        // Handed over to another group.
        let book = met(someones(), Some("new"), &[]);
        assert_eq!(book.given_up.len(), 1);
    }

    #[test]
    fn one_that_is_there_or_somebody_elses_is_not_waited_for_like_this() {
        assert!(met(someones(), Some("old"), &[]).given_up.is_empty());
        assert!(met(someones(), None, &[]).given_up.is_empty());
    }

    #[test]
    fn only_the_first_look_is_in_doubt() {
        let mut book = met(HostRecords::default(), None, &[]);
        book.given_up.clear();
        let again = |book: &mut Book, host: &str| {
            book.meet(
                &[(place(host), HostRecords::default())].into(),
                &BTreeMap::new(),
                &[(group("old"), host.to_owned())].into(),
                &BTreeSet::new(),
                Instant::now(),
            );
        };
        again(&mut book, "a.example");
        assert!(book.given_up.is_empty());
        again(&mut book, "b.example");
        assert_eq!(book.given_up.len(), 1);
        // Nobody has left this one.
        book.meet(
            &[(place("c.example"), HostRecords::default())].into(),
            &BTreeMap::new(),
            &BTreeSet::new(),
            &BTreeSet::new(),
            Instant::now(),
        );
        assert_eq!(book.given_up.len(), 1);
    }

    #[test]
    fn the_wait_after_a_start_is_bounded_and_none_without_a_grace() {
        let seconds = |grace| after_a_start(Duration::from_secs(grace)).as_secs();
        assert_eq!([seconds(0), seconds(2), seconds(60)], [0, 4, 120]);
        assert_eq!(seconds(300), 360);
    }
}
