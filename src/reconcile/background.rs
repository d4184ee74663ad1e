//! What is done beside the keys: at the start, about once a second, and when
//! verification finds something.

use std::time::Duration;

use tokio::time::Instant;

use super::{Reconciler, lock};
use crate::key::Key;
use crate::lane::Lane;

/// First and longest pause between two looks at load balancers that are being
/// provisioned.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// Pause after the account could not be listed.
const SWEEP_AGAIN: Duration = Duration::from_secs(15);

/// What is due when.
#[derive(Debug, Default)]
pub struct Background {
    /// Load balancers that are being provisioned are looked at then; the
    /// pause grows while nothing changes.
    poll: Option<(Instant, Duration)>,
    /// Whether groups that AWS holds something for and that have no Ingress
    /// any more were woken.
    swept: bool,
    sweep_at: Option<Instant>,
}

impl Reconciler {
    /// Called about once a second by the leader.
    pub(super) async fn look_after(&self) {
        if !self.is_started() {
            return;
        }
        self.parts.reporter.write_late(false).await;
        self.sweep().await;
        self.poll_provisioning().await;
    }

    /// Wakes, once, the groups that AWS holds something for and that no Ingress
    /// is in any more, so that what was left while nobody looked is taken away.
    async fn sweep(&self) {
        let now = Instant::now();
        {
            let background = lock(&self.background);
            if background.swept || background.sweep_at.is_some_and(|at| at > now) {
                return;
            }
        }
        let groups = self.memory.groups().await;
        let mut background = lock(&self.background);
        match groups {
            Ok(groups) => {
                background.swept = true;
                let snapshot = self.parts.stores.snapshot();
                let index = snapshot.index();
                // Those of Ingresses are woken at the start.
                let left = groups.into_iter().filter(|g| !index.has_group(g));
                self.parts
                    .queue
                    .wake_all(left.map(Key::Group), Lane::Restart);
            }
            Err(error) => {
                background.sweep_at = Some(now + SWEEP_AGAIN);
                tracing::warn!(%error, "cannot list what AWS holds; trying again");
            }
        }
    }

    /// Looks at the state of all load balancers that are being provisioned,
    /// in one call, and wakes what waits for them. Another read may have been
    /// faster.
    async fn poll_provisioning(&self) {
        if self.poll_is_due(Instant::now())
            && let Err(error) = self.memory.poll_load_balancers().await
        {
            tracing::warn!(%error, "cannot look at load balancers");
        }
        let changed = self.memory.take_other_state();
        if changed.is_empty() {
            return;
        }
        lock(&self.background).poll = None;
        for group in changed {
            self.parts.queue.wake(Key::Group(group), Lane::Creation);
        }
        self.parts.queue.wake(Key::Dns, Lane::Creation);
    }

    fn poll_is_due(&self, now: Instant) -> bool {
        let mut background = lock(&self.background);
        if !self.memory.is_provisioning() {
            background.poll = None;
            return false;
        }
        let (due, pause) = *background.poll.get_or_insert((now + POLL.0, POLL.0));
        if due > now {
            return false;
        }
        let pause = (pause * 2).min(POLL.1);
        background.poll = Some((now + pause, pause));
        true
    }

    /// Reads a little of what is remembered again, and wakes what is not as
    /// it was.
    pub(super) async fn verify_a_little(&self) {
        let now = Instant::now();
        let drift = self.memory.verify_tick(now).await;
        for tier in &drift.read {
            self.parts.metrics.verified(tier.as_str());
        }
        for (tier, error) in &drift.failed {
            tracing::warn!(tier = tier.as_str(), %error, "verification failed");
        }
        for group in drift.expired {
            tracing::debug!(%group, "what AWS refused is tried again");
            self.parts.queue.wake(Key::Group(group), Lane::Restart);
        }
        for (group, found) in drift.groups {
            self.note_found(&group, found);
            self.parts.queue.wake(Key::Group(group), Lane::Restart);
        }
        if drift.facts {
            tracing::info!("subnets or security groups of the VPC are not as they were remembered");
            // Those too that wait for a subnet and have nothing in AWS yet.
            match self.all_groups(&self.parts.stores.snapshot()).await {
                Ok(groups) => {
                    let keys = groups.into_iter().map(Key::Group).chain([Key::Backend]);
                    self.parts.queue.wake_all(keys, Lane::Restart);
                }
                Err(error) => tracing::warn!(error = format!("{error:#}"), "verification failed"),
            }
        }
        if drift.backend {
            self.note_found_backend();
            self.parts.queue.wake(Key::Backend, Lane::Restart);
        }
        let Some(records) = &self.records else {
            return;
        };
        match records.verify(now).await {
            Ok(looked) => {
                if looked.is_read {
                    self.note_read_record();
                }
                for place in looked.differ {
                    self.note_found_record(place);
                    self.parts.queue.wake(Key::Dns, Lane::Restart);
                }
            }
            Err(error) => tracing::warn!(tier = "record", %error, "verification failed"),
        }
    }
}
