//! What verification has found, until it is mended: told in the log, in
//! metrics, and as an event on the Ingresses that it is of.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::{Reconciler, lock};
use crate::model::group::GroupId;
use crate::model::records::Place;
use crate::model::snapshot::Snapshot;
use crate::model::spec::ObjectName;
use crate::observe::{Found, Tier};

/// The tier of DNS records, which are read host by host.
const RECORD: &str = "record";
/// So much of what was found is named in an event.
const NAMED: usize = 5;

/// What was found and is not known to be mended.
#[derive(Debug, Default)]
pub(super) struct Unmended {
    groups: BTreeMap<GroupId, OfGroup>,
    /// When the shared backend group was found to differ.
    backend: Option<Instant>,
    records: BTreeMap<Place, Instant>,
}

#[derive(Debug)]
struct OfGroup {
    /// When the last of it was found.
    at: Instant,
    found: BTreeSet<Found>,
    /// Whether something was written since.
    is_written: bool,
}

impl Reconciler {
    /// Says what was found of a group, and remembers it until it is mended.
    pub(super) fn note_found(&self, group: &GroupId, found: BTreeSet<Found>) {
        if found.is_empty() {
            return;
        }
        for one in &found {
            tracing::info!(
                %group,
                tier = one.tier.as_str(),
                kind = one.kind,
                "AWS holds something else than was remembered: {}",
                one.what
            );
            let metrics = &self.parts.metrics;
            metrics.drift_found(one.tier.as_str(), one.kind);
        }
        let mut unmended = lock(&self.found);
        let now = Instant::now();
        let entry = unmended.groups.entry(group.clone());
        let entry = entry.or_insert_with(|| OfGroup {
            at: now,
            found: BTreeSet::new(),
            is_written: false,
        });
        entry.at = now;
        entry.found.extend(found);
    }

    /// A run of a group that began then has written something or not, and has
    /// done all that was to be done or not. Tells its members what is mended.
    pub(super) async fn note_mended(
        &self,
        group: &GroupId,
        members: &[ObjectName],
        begun: Instant,
        wrote: bool,
        complete: bool,
        snapshot: &Snapshot,
    ) {
        let mended = {
            let mut unmended = lock(&self.found);
            let Some(entry) = unmended.groups.get_mut(group) else {
                return;
            };
            entry.is_written |= wrote;
            // What was found while it ran is left for the next one.
            if !complete || entry.at > begun {
                return;
            }
            unmended.groups.remove(group)
        };
        let Some(OfGroup {
            found, is_written, ..
        }) = mended
        else {
            return;
        };
        if !is_written {
            tracing::debug!(%group, "what is other than remembered is as wished");
            return;
        }
        for one in &found {
            let metrics = &self.parts.metrics;
            metrics.drift_mended(one.tier.as_str(), one.kind);
        }
        let what = in_words(&found);
        tracing::info!(%group, "mended what verification found: {what}");
        let reporter = &self.parts.reporter;
        reporter.tell_mended(members, &what, snapshot).await;
    }

    /// The shared backend group, or its rules, are not as they were.
    pub(super) fn note_found_backend(&self) {
        tracing::info!("the backend security group is not as it was remembered");
        self.parts
            .metrics
            .drift_found(Tier::Fast.as_str(), "security-group");
        lock(&self.found).backend = Some(Instant::now());
    }

    /// As [`Reconciler::note_mended`], of the shared backend group.
    pub(super) fn note_mended_backend(&self, begun: Instant, wrote: bool, complete: bool) {
        let mut unmended = lock(&self.found);
        let is_over = complete && unmended.backend.is_some_and(|at| at <= begun);
        if !is_over {
            return;
        }
        unmended.backend = None;
        if wrote {
            tracing::info!("mended the backend security group or its rules");
            self.parts
                .metrics
                .drift_mended(Tier::Fast.as_str(), "security-group");
        }
    }

    /// The records of a host are not as they were.
    pub(super) fn note_found_record(&self, place: Place) {
        tracing::info!(%place, "the record is not as it was remembered");
        self.parts.metrics.drift_found(RECORD, RECORD);
        lock(&self.found).records.insert(place, Instant::now());
    }

    /// A look at all records that began then has written these. `owners` are
    /// the Ingresses of a host.
    pub(super) async fn note_mended_records(
        &self,
        begun: Instant,
        written: &BTreeSet<Place>,
        owners: impl Fn(&str) -> Vec<ObjectName>,
        snapshot: &Snapshot,
    ) {
        let over: Vec<Place> = {
            let mut unmended = lock(&self.found);
            let over = unmended.records.iter().filter(|(_, at)| **at <= begun);
            let over: Vec<Place> = over.map(|(place, _)| place.clone()).collect();
            unmended.records.retain(|place, _| !over.contains(place));
            over
        };
        for place in over.iter().filter(|place| written.contains(place)) {
            self.parts.metrics.drift_mended(RECORD, RECORD);
            tracing::info!(%place, "mended what verification found: the record");
            let what = format!("the DNS record of {} is not as it was", place.host);
            let owners = owners(&place.host);
            let reporter = &self.parts.reporter;
            reporter.tell_mended(&owners, &what, snapshot).await;
        }
    }

    /// Says that something was read again.
    pub(super) fn note_read_record(&self) {
        self.parts.metrics.verified(RECORD);
    }
}

/// The first few, and how many more there are.
fn in_words(found: &BTreeSet<Found>) -> String {
    let named: Vec<&str> = found.iter().take(NAMED).map(|f| f.what.as_str()).collect();
    let named = named.join("; ");
    match found.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_things_a_few_are_named() {
        let found = |count: usize| -> BTreeSet<Found> {
            let one = |n: usize| Found {
                tier: Tier::Slow,
                kind: "rule",
                what: format!("rule {n} of port 80 is gone"),
            };
            (1..=count).map(one).collect()
        };
        assert_eq!(in_words(&found(1)), "rule 1 of port 80 is gone");
        let many = in_words(&found(9));
        assert!(
            many.ends_with("rule 5 of port 80 is gone; and 4 more"),
            "{many}"
        );
    }
}
