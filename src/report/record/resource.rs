//! What is known of one group's custom resource, and what of it is to be
//! written.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::finding::Finding;
use crate::report::group::{Applied, FindingStatus, IngressGroupStatus};

/// Hashes of a group's targets are written no sooner than this after the last
/// time, or after the targets changed.
const TARGETS_AGAIN: Duration = Duration::from_mins(1);
/// Pause after hashes could not be written.
const RETRY: Duration = Duration::from_secs(10);

/// What is known of a group's custom resource.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Resource {
    /// What it says, as read at the start or written last.
    pub(in crate::report) written: Option<IngressGroupStatus>,
    /// Hashes of targets that it should say, if it says others.
    late: Option<BTreeMap<String, String>>,
    /// Target groups, by name, whose targets were changed since the hashes were
    /// written, and when.
    changed: BTreeMap<String, Instant>,
    /// When hashes of targets could not be written, if that was the last try.
    failed: Option<Instant>,
    /// When hashes of targets were last written.
    targets_written: Option<Instant>,
}

impl Resource {
    /// Whether it is there, as far as known.
    pub fn is_there(&self) -> bool {
        self.written.is_some()
    }

    /// Whether people can read there already what is wrong.
    pub fn says(&self, finding: &Finding) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|status| status.findings.contains(&FindingStatus::of(finding)))
    }

    /// What its record says.
    pub(super) fn record(&self) -> Option<&Applied> {
        self.written.as_ref()?.applied.as_ref()
    }

    fn targets(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.record()?.targets)
    }

    /// Takes in what was just written.
    pub(super) fn wrote(&mut self, status: IngressGroupStatus, now: Instant) {
        let before = self.targets().cloned();
        self.written = Some(status);
        self.late = None;
        self.changed.clear();
        if self.targets() != before.as_ref() {
            self.targets_written = Some(now);
        }
    }

    /// Whether a status must be written now. One that says nothing new but
    /// for hashes of targets can wait, and the steps of a change that is tried
    /// again are no news.
    pub(super) fn takes(&mut self, status: &IngressGroupStatus) -> bool {
        let Some(mut same) = self.written.clone() else {
            return true;
        };
        if let (Some(told), Some(wished)) = (&mut same.last_change, &status.last_change)
            && told.is_as(wished)
        {
            told.clone_from(wished);
        }
        if same == *status {
            // What is there may be about to be taken away.
            let said = self.targets().filter(|_| !self.changed.is_empty());
            self.late = said.cloned();
            return false;
        }
        let (Some(written), Some(wished)) = (&mut same.applied, &status.applied) else {
            return true;
        };
        written.targets.clone_from(&wished.targets);
        if same != *status {
            return true;
        }
        self.late = Some(wished.targets.clone());
        false
    }

    /// Whether hashes of targets may become due to be written although nothing
    /// else happens.
    pub fn is_late(&self) -> bool {
        !self.changed.is_empty() || self.late.is_some()
    }

    /// Notes that the targets of these target groups are about to change.
    pub(super) fn changes(&mut self, names: impl IntoIterator<Item = String>, now: Instant) {
        self.changed
            .extend(names.into_iter().map(|name| (name, now)));
    }

    /// Hashes that are due to be written; at the end (`all`) without a pause.
    ///
    /// The hash of targets that have just changed is taken away at once, and
    /// comes back when they have stayed the same for a minute: what a hash is
    /// made from may become what it was (nodes do), and the next process must
    /// not take that for nothing having happened.
    pub(super) fn due(&self, now: Instant, all: bool) -> Option<BTreeMap<String, String>> {
        if !self.is_late() {
            return None;
        }
        let since = |at: &Instant| now.saturating_duration_since(*at);
        let said = self.targets()?;
        if all && self.late.is_some() {
            return self.late.clone().filter(|late| late != said);
        }
        if self.failed.is_some_and(|at| !all && since(&at) < RETRY) {
            return None;
        }
        let settled = |name: &String| {
            let changed = self.changed.get(name);
            changed.is_none_or(|at| since(at) >= TARGETS_AGAIN)
        };
        let mut left = said.clone();
        left.retain(|name, _| settled(name));
        let is_pending = self.record().is_some_and(|record| record.pending.is_some());
        if left != *said && !is_pending {
            return Some(left);
        }
        if self
            .targets_written
            .is_some_and(|at| since(&at) < TARGETS_AGAIN)
        {
            return None;
        }
        let mut late = self.late.clone()?;
        late.retain(|name, _| settled(name));
        (late != *said).then_some(late)
    }

    /// Takes in hashes of targets that were just written.
    pub(super) fn wrote_targets(&mut self, targets: BTreeMap<String, String>, now: Instant) {
        self.targets_written = Some(now);
        self.failed = None;
        if self.late.as_ref() == Some(&targets) {
            self.late = None;
        }
        if let Some(record) = self.written.as_mut().and_then(|s| s.applied.as_mut()) {
            record.targets = targets;
        }
    }

    /// Notes that hashes of targets could not be written.
    pub(super) fn could_not_write_targets(&mut self, now: Instant) {
        self.failed = Some(now);
    }
}

#[cfg(test)]
pub(in crate::report) mod tests;
