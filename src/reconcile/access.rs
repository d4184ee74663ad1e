//! What runs of groups rely on while they are under way: the ports that the
//! shared backend security group is let in at.
//!
//! A run sends requests to what was wished when it began, whatever is wished
//! by now. So it says first what it may come to reach, and looks then which
//! ports are open; the backend key closes ports only after it has said that
//! they are not open any more, and only if no run has begun or ended since it
//! looked. Whichever of the two comes first, the other one knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tokio::sync::watch;

use super::{Reconciler, lock};
use crate::apply::BackendReady;
use crate::key::Key;
use crate::lane;
use crate::model::backend_build::{Reach, to_come};
use crate::model::desired::Desired;
use crate::model::group::GroupId;
use crate::model::spec::Observed;

/// Who relies on what, and what there is.
#[derive(Debug, Default)]
pub(super) struct Access {
    runs: Mutex<Runs>,
    ready: watch::Sender<BackendReady>,
}

#[derive(Debug, Default)]
struct Runs {
    /// How many have begun or ended.
    last: u64,
    /// How many had when somebody looked last.
    seen: u64,
    /// What those that run may come to reach, with the number of their
    /// beginning.
    under_way: BTreeMap<GroupId, (u64, Reach)>,
    /// The number of the last end of each that may have left something behind,
    /// until it was looked at.
    ended: BTreeMap<GroupId, u64>,
    /// The groups for which nothing could be taken away at the last look, since
    /// they were not read or are in doubt, and of which no run has ended since.
    unread: BTreeSet<GroupId>,
}

impl Runs {
    fn since(&self, number: u64) -> impl Iterator<Item = &GroupId> {
        let under_way = self.under_way.iter().map(|(group, (at, _))| (group, at));
        let all = under_way.chain(&self.ended);
        all.filter(move |(_, at)| **at > number)
            .map(|(group, _)| group)
    }
}

/// The runs at one moment.
#[derive(Debug)]
pub(super) struct Look {
    /// Which moment it was.
    pub at: u64,
    /// The groups of which a run has begun or ended since an earlier moment.
    pub others: BTreeSet<GroupId>,
    /// What those that run may come to reach.
    pub under_way: BTreeMap<GroupId, Reach>,
}

impl Access {
    /// A run of a group may come to reach this from now on, and what it said
    /// before is done or in doubt.
    fn begin(&self, group: &GroupId, reach: Reach) {
        let mut runs = lock(&self.runs);
        runs.last += 1;
        let number = runs.last;
        runs.under_way.insert(group.clone(), (number, reach));
    }

    /// A run has ended; all that it wrote is remembered. Answers whether it is
    /// time to look again: somebody has looked at it while it ran, or it was
    /// the last of those that had to be read.
    fn end(&self, group: &GroupId, wrote: bool) -> bool {
        let mut runs = lock(&self.runs);
        let Some((number, _)) = runs.under_way.remove(group) else {
            return false;
        };
        let was_last = runs.unread.remove(group) && runs.unread.is_empty();
        let is_seen = number <= runs.seen;
        if wrote || is_seen {
            runs.last += 1;
            let number = runs.last;
            runs.ended.insert(group.clone(), number);
        }
        is_seen || was_last
    }

    /// Looks at the runs, after an earlier look.
    pub fn look(&self, before: u64) -> Look {
        let mut runs = lock(&self.runs);
        runs.seen = runs.last;
        let under_way = runs.under_way.iter();
        Look {
            at: runs.last,
            others: runs.since(before).cloned().collect(),
            under_way: under_way
                .map(|(group, (_, reach))| (group.clone(), reach.clone()))
                .collect(),
        }
    }

    /// What was seen by then is worked in, but for what these groups have, as
    /// they were not read.
    pub fn noted(&self, at: u64, unread: &BTreeSet<GroupId>) {
        let mut runs = lock(&self.runs);
        runs.ended.retain(|_, number| *number > at);
        runs.unread.clone_from(unread);
    }

    /// What is open and made.
    pub fn ready(&self) -> BackendReady {
        self.ready.borrow().clone()
    }

    /// For those who wait for more of it.
    pub fn subscribe(&self) -> watch::Receiver<BackendReady> {
        self.ready.subscribe()
    }

    /// Says what is open and made.
    pub fn publish(&self, ready: BackendReady) {
        self.ready.send_replace(ready);
    }

    /// Says that no more than this stays open; nobody relies on the rest from
    /// now on. Answers `false`, and says nothing, where a run has begun or
    /// ended since the look that it comes from.
    pub fn close(&self, looked_at: u64, left: BackendReady) -> bool {
        let runs = lock(&self.runs);
        let is_old = runs.since(looked_at).next().is_some();
        if !is_old {
            self.ready.send_replace(left);
        }
        !is_old
    }
}

/// A run of a group that is under way, until it is dropped.
pub(super) struct UnderWay<'a> {
    of: &'a Reconciler,
    group: &'a GroupId,
    /// Whether it may have written something.
    pub wrote: bool,
}

impl Reconciler {
    /// Says what a run may come to reach, before it looks what is open.
    pub(super) fn under_way<'a>(
        &'a self,
        group: &'a GroupId,
        desired: &Desired,
        observed: &Observed,
    ) -> UnderWay<'a> {
        self.access.begin(group, to_come(desired, observed));
        UnderWay {
            of: self,
            group,
            wrote: false,
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.of.access.end(self.group, self.wrote) {
            // What was kept open for it may be closed.
            self.of.parts.queue.wake(Key::Backend, lane::current());
        }
    }
}

#[cfg(test)]
mod tests;
