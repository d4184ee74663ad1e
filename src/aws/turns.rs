//! Whose turn it is: calls that nobody waits for give way to those that
//! somebody does.
//!
//! A run that nobody waits for makes its calls [`Turns::behind`]: few at the
//! same time, and none begins while a run that somebody waits for is under
//! way, but for a small share that keeps it from standing still.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Calls of runs that nobody waits for, at the same time.
const AT_ONCE: usize = 4;
/// Such a call waits no longer than this for others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether somebody waits for a run; it turns `true` and stays so.
pub type Urgent = watch::Receiver<bool>;

/// Waits until somebody does; for ever, where nobody will.
async fn turned(urgent: &mut Urgent) {
    if urgent.wait_for(|urgent| *urgent).await.is_err() {
        std::future::pending::<()>().await;
    }
}

tokio::task_local! {
    /// How urgent the run is that a call is made for; none: it is.
    static URGENCY: Option<Urgent>;
}

/// What the calls of a process agree by.
#[derive(Debug)]
pub struct Turns {
    /// How many runs are under way that somebody waits for.
    awaited: watch::Sender<usize>,
    share: Semaphore,
    patience: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            awaited: watch::Sender::default(),
            share: Semaphore::new(AT_ONCE),
            patience: PATIENCE,
        }
    }
}

/// One run that somebody waits for.
struct Awaited<'a>(&'a watch::Sender<usize>);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Turns {
    fn count(&self) -> Awaited<'_> {
        self.awaited.send_modify(|count| *count += 1);
        Awaited(&self.awaited)
    }

    /// A run: its calls give way as long as nobody waits for it.
    pub async fn run<T>(&self, urgent: Urgent, work: impl Future<Output = T>) -> T {
        let mut watched = urgent.clone();
        let count = async {
            turned(&mut watched).await;
            let _awaited = self.count();
            std::future::pending::<Infallible>().await
        };
        let mut count = pin!(count);
        let work = URGENCY.scope(Some(urgent), work);
        tokio::select! {
            done = work => done,
            never = &mut count => match never {},
        }
    }

    /// Work that others may wait for, whatever run it is made for.
    pub async fn ahead<T>(work: impl Future<Output = T>) -> T {
        URGENCY.scope(None, work).await
    }

    /// Waits for the turn of a call; what is answered is held while it is
    /// made.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        let urgent = URGENCY.try_with(Clone::clone).ok().flatten();
        let mut urgent = urgent.filter(|urgent| !*urgent.borrow())?;
        let turn = async {
            let permit = self.share.acquire().await.ok();
            let mut awaited = self.awaited.subscribe();
            // Fails only when the sender is gone, which `self` holds.
            let nobody = awaited.wait_for(|count| *count == 0);
            let _ = tokio::time::timeout(self.patience, nobody).await;
            permit
        };
        tokio::select! {
            permit = turn => permit,
            () = turned(&mut urgent) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;

    /// Whether a call's turn comes within a moment.
    async fn comes(turns: &Turns) -> bool {
        let moment = Duration::from_millis(50);
        tokio::time::timeout(moment, turns.take()).await.is_ok()
    }

    #[tokio::test]
    async fn calls_that_nobody_waits_for_are_few_and_give_way() {
        let turns = Turns {
            patience: Duration::from_millis(200),
            ..Turns::default()
        };
        assert!(comes(&turns).await, "outside of a run");
        let (urgent, nobody) = watch::channel(false);
        let behind = async {
            let mut held = Vec::new();
            for _ in 0..AT_ONCE {
                held.push(turns.take().await.unwrap());
            }
            assert!(!comes(&turns).await, "no more at the same time");
            assert!(Turns::ahead(comes(&turns)).await, "others may wait for it");
            held.clear();
            assert!(comes(&turns).await);

            let awaited = turns.count();
            assert!(!comes(&turns).await, "it gives way");
            // And does not stand still.
            drop(turns.take().await.unwrap());
            urgent.send_replace(true);
            assert!(comes(&turns).await, "somebody waits for it now");
            assert_eq!(*turns.awaited.borrow(), 1);
            tokio::task::yield_now().await;
            drop(awaited);
        };
        turns.run(nobody, behind).await;
        assert_eq!(*turns.awaited.borrow(), 0);
    }

    #[tokio::test]
    async fn a_run_that_somebody_waits_for_counts_until_it_ends() {
        let turns = Turns::default();
        let (_urgent, somebody) = watch::channel(true);
        let work = async {
            tokio::task::yield_now().await;
            assert_eq!(*turns.awaited.borrow(), 1);
            assert!(comes(&turns).await);
        };
        turns.run(somebody, work).await;
        assert_eq!(*turns.awaited.borrow(), 0);
    }
}
