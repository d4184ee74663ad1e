//! Reads that many share: one of them reads, the others wait for it, and it is
//! as urgent as the most urgent of those who wait. So a read that began in the
//! background holds nobody up.

use std::future::Future;
use std::sync::Mutex;

use super::lock;
use crate::lane::{self, Lane, Promote, Turn};

/// A read that is made by one at a time.
#[derive(Debug, Default)]
pub(super) struct Shared {
    turn: tokio::sync::Mutex<()>,
    urgency: Mutex<Urgency>,
}

#[derive(Debug, Default)]
struct Urgency {
    /// Lanes of those who wait.
    waiting: Vec<Lane>,
    /// Makes the read that is under way more urgent.
    reader: Option<Promote>,
}

/// One who waits; not any more when it is dropped.
struct Waits<'a> {
    shared: &'a Shared,
    lane: Lane,
}

impl<'a> Waits<'a> {
    fn new(shared: &'a Shared, lane: Lane) -> Self {
        let mut urgency = lock(&shared.urgency);
        urgency.waiting.push(lane);
        if let Some(reader) = &urgency.reader {
            reader.to(lane);
        }
        drop(urgency);
        Self { shared, lane }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut urgency = lock(&self.shared.urgency);
        let place = urgency.waiting.iter().position(|lane| *lane == self.lane);
        if let Some(place) = place {
            urgency.waiting.swap_remove(place);
        }
    }
}

/// The caller's turn to read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    shared: &'a Shared,
    turn: Turn,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        lock(&self.shared.urgency).reader = None;
    }
}

impl Shared {
    /// Waits for the caller's turn. What it wanted to read may have been read
    /// meanwhile.
    pub async fn begin(&self) -> Reading<'_> {
        let mut turn = lane::turn();
        let mut waits = Waits::new(self, turn.lane());
        let mut first = std::pin::pin!(self.turn.lock());
        let guard = loop {
            tokio::select! {
                biased;
                guard = &mut first => break guard,
                () = turn.promoted() => waits = Waits::new(self, turn.lane()),
            }
        };
        drop(waits);
        let (turn, promote) = turn.shared();
        let mut urgency = lock(&self.urgency);
        if let Some(most) = urgency.waiting.iter().min() {
            promote.to(*most);
        }
        urgency.reader = Some(promote);
        drop(urgency);
        Reading {
            shared: self,
            turn,
            _turn: guard,
        }
    }
}

impl Reading<'_> {
    /// Reads.
    pub async fn run<F: Future>(&self, read: F) -> F::Output {
        lane::within(self.turn.clone(), read).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_read_is_as_urgent_as_the_most_urgent_who_waits_for_it() {
        let shared = Arc::new(Shared::default());
        let (verification, _kept) = Turn::new(Lane::Verification);
        let go_on = Arc::new(Notify::new());
        let begun = Arc::new(Notify::new());
        let reader = tokio::spawn({
            let (shared, go_on, begun) = (shared.clone(), go_on.clone(), begun.clone());
            lane::within(verification, async move {
                let reading = shared.begin().await;
                let read = async {
                    let mut turn = lane::turn();
                    assert_eq!(turn.lane(), Lane::Verification);
                    begun.notify_one();
                    turn.promoted().await;
                    let promoted = lane::current();
                    go_on.notified().await;
                    promoted
                };
                reading.run(read).await
            })
        });
        begun.notified().await;
        let waiter = |lane: Lane| {
            let shared = shared.clone();
            let (turn, promote) = Turn::new(lane);
            let waits = tokio::spawn(lane::within(turn, async move {
                let reading = shared.begin().await;
                reading.run(async { lane::current() }).await
            }));
            (waits, promote)
        };
        let (edit, _edit) = waiter(Lane::Edit);
        let settled = async |count: usize| {
            while lock(&shared.urgency).waiting.len() < count {
                tokio::task::yield_now().await;
            }
        };
        settled(1).await;
        // Who came earlier reads first, and is as urgent as who came later.
        let (targets, _targets) = waiter(Lane::Targets);
        settled(2).await;
        go_on.notify_one();
        assert_eq!(reader.await.ok(), Some(Lane::Edit));
        assert_eq!(edit.await.ok(), Some(Lane::Targets));
        assert_eq!(targets.await.ok(), Some(Lane::Targets));
        assert!(lock(&shared.urgency).waiting.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_makes_nobody_urgent() {
        let shared = Shared::default();
        let (turn, _kept) = Turn::new(Lane::Restart);
        lane::within(turn.clone(), async {
            let reading = shared.begin().await;
            let (edit, _edit) = Turn::new(Lane::Edit);
            let gave_up = lane::within(edit, shared.begin());
            let waited = tokio::time::timeout(std::time::Duration::from_millis(5), gave_up).await;
            assert!(waited.is_err());
            drop(reading);
            let reading = shared.begin().await;
            assert_eq!(reading.run(async { lane::current() }).await, Lane::Restart);
        })
        .await;
    }
}
