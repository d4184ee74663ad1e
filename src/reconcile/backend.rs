//! The key of the shared backend security group and its rules on the groups
//! of nodes and pods.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::shares::Shares;
use super::{Reconciler, WorkOf, lock, words};
use crate::apply::{BackendReady, Failure, unannounced};
use crate::aws::Class;
use crate::key::Key;
use crate::lane;
use crate::plan::backend::diff_backend;
use crate::plan::step::{Plan, Step};

/// So often the groups are looked at again in one run because others began or
/// ended meanwhile.
const LOOKS: usize = 5;
/// When it is tried again to take away what was not.
const SOON: Duration = Duration::from_secs(1);

impl Reconciler {
    /// Brings the shared group and its rules to what all groups need, and
    /// tells the groups that wait for it.
    pub(super) async fn backend(&self) -> anyhow::Result<Option<Duration>> {
        let begun = Instant::now();
        // One run of a key at a time: nobody waits here.
        let mut shares = self.shares.lock().await;
        let before = self.access.ready();
        let Decided { plan, is_restless } = self.look(&mut shares).await?;
        let applied = self.apply(WorkOf::Backend, &plan, unannounced()).await;
        self.note_mended_backend(begun, !applied.done.is_empty(), applied.is_complete());
        *lock(&self.backend_failures) = words::failures(&applied);
        let is_taken = |failed: &&Failure| failed.error.class == Class::NameTaken;
        let taken = applied.failed.iter().find(is_taken);
        *lock(&self.backend_name_taken) = taken.map(|failed| failed.error.message.clone());
        let observed = self.memory.recall_backend().await?;
        let ready = BackendReady {
            group: self.memory.backend_id(),
            ports: shares.union.open_ports(&observed),
        };
        if before != ready {
            let groups: BTreeSet<_> = if before.group == ready.group {
                let moved = before.ports.symmetric_difference(&ready.ports);
                shares.union.waiting_for(&moved.copied().collect())
            } else {
                shares.union.groups().cloned().collect()
            };
            self.access.publish(ready);
            let groups = groups.into_iter().map(Key::Group);
            self.parts.queue.wake_all(groups, lane::current());
        }
        // Of a group that is read and needs no change nobody tells.
        let waits = !applied.skipped.is_empty() || shares.are_unread();
        let again = self.again(&plan, &applied, waits)?;
        Ok(again.into_iter().chain(is_restless.then_some(SOON)).min())
    }

    /// What is to be done. Where something is to be taken away, nobody relies
    /// on it from now on.
    async fn look(&self, shares: &mut Shares) -> anyhow::Result<Decided> {
        let mut looks = LOOKS;
        loop {
            let snapshot = self.parts.stores.snapshot();
            self.look_at_shares(shares, &snapshot).await?;
            let mut desired = shares.union.desired(&snapshot, &self.settings);
            let observed = self.memory.recall_backend().await?;
            let plan = diff_backend(&desired, &observed);
            let left = BackendReady {
                group: (desired.group.is_some() || desired.add_only)
                    .then(|| self.memory.backend_id())
                    .flatten(),
                ports: shares.union.open_ports(&observed),
            };
            let is_restless = takes_away(&plan) && !self.access.close(shares.runs_at(), left);
            if !is_restless {
                return Ok(Decided { plan, is_restless });
            }
            looks -= 1;
            if looks == 0 {
                desired.add_only = true;
                let plan = diff_backend(&desired, &observed);
                return Ok(Decided { plan, is_restless });
            }
        }
    }
}

/// What the backend key has found to do.
struct Decided {
    plan: Plan,
    /// Whether runs of groups began and ended all the time, so that nothing
    /// can be taken away now.
    is_restless: bool,
}

fn takes_away(plan: &Plan) -> bool {
    let mut steps = plan.steps.iter();
    steps.any(|planned| {
        matches!(
            planned.step,
            Step::RevokeIngress { .. } | Step::DeleteSecurityGroup { .. }
        )
    })
}
