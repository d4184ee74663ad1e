//! The key of the shared backend security group and its rules on the groups
//! of nodes and pods.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Reconciler, WorkOf, lock, words};
use crate::apply::{BackendReady, Failure, unannounced};
use crate::aws::Class;
use crate::key::Key;
use crate::lane;
use crate::plan::backend::diff_backend;

impl Reconciler {
    /// Brings the shared group and its rules to what all groups need, and
    /// tells the groups that wait for it.
    pub(super) async fn backend(&self) -> anyhow::Result<Option<Duration>> {
        let begun = Instant::now();
        let snapshot = self.parts.stores.snapshot();
        // One run of a key at a time: nobody waits here.
        let mut shares = self.shares.lock().await;
        self.look_at_shares(&mut shares, &snapshot).await?;
        let desired = shares.union.desired(&snapshot, &self.settings);
        let observed = self.memory.recall_backend().await?;
        let plan = diff_backend(&desired, &observed);
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
        let before = self.backend.borrow().clone();
        if before != ready {
            let groups: BTreeSet<_> = if before.group == ready.group {
                let moved = before.ports.symmetric_difference(&ready.ports);
                shares.union.waiting_for(&moved.copied().collect())
            } else {
                shares.union.groups().cloned().collect()
            };
            self.backend.send_replace(ready);
            let groups = groups.into_iter().map(Key::Group);
            self.parts.queue.wake_all(groups, lane::current());
        }
        // Of a group that is read and needs no change nobody tells.
        let waits = !applied.skipped.is_empty() || shares.are_unread();
        self.again(&plan, &applied, waits)
    }
}
