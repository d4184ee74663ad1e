//! The queue of work: keyed, debounced, with back-off.
//!
//! Built on `kube`'s scheduler, which holds each key at most once. What is
//! promised on top of it:
//!
//! * a key is never worked on twice at the same time, and a key that is woken
//!   while it is worked on runs once more afterwards;
//! * a burst of wake-ups is one run, after a short silence, and never later
//!   than [`Pace::longest_burst`] after its first;
//! * no wake-up is lost: a run that starts after [`Queue::wake`] returned sees
//!   what was known then;
//! * a key that fails comes again after a random part of 1 s, 2 s, 4 s, … up
//!   to 5 minutes, and its count starts again with the first success.
//!
//! Knows nothing of what a key means.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use kube::runtime::scheduler::{ScheduleRequest, debounced_scheduler};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How fast the queue goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Silence after a wake-up until its run starts, so that a burst is one
    /// run.
    pub debounce: Duration,
    /// A burst that does not end is run anyway after this time.
    pub longest_burst: Duration,
    /// Keys worked on at the same time.
    pub concurrency: usize,
    /// Of many keys woken together, this many run at once.
    pub many_at_once: u32,
    /// The others follow, one after this time each: no faster than AWS lets
    /// groups be read, so that what comes in between finds a free place, and
    /// calls left to make.
    pub many_spacing: Duration,
    /// Upper bound of the wait after a first failure; it doubles with each
    /// further one.
    pub first_retry: Duration,
    /// Upper bound of the wait after any failure.
    pub last_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(30),
            longest_burst: Duration::from_millis(500),
            concurrency: 10,
            many_at_once: 8,
            many_spacing: Duration::from_millis(300),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_mins(5),
        }
    }
}

impl Pace {
    /// Wait after the `failures`th failure in a row (1 is the first); `jitter`
    /// in 0..=1 picks the point between no wait and the bound.
    fn retry_delay(&self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let bound = self
            .first_retry
            .saturating_mul(1 << doublings)
            .min(self.last_retry);
        bound.mul_f64(jitter.clamp(0.0, 1.0))
    }
}

/// The end of the queue that wakes keys; cheap to clone.
pub struct Queue<K> {
    requests: mpsc::UnboundedSender<ScheduleRequest<K>>,
    /// Keys that wait, with the earliest time that was asked for.
    waiting: Arc<Mutex<HashMap<K, Instant>>>,
    pace: Pace,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            waiting: Arc::clone(&self.waiting),
            pace: self.pace,
        }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// A queue, and the end of it that works.
    pub fn new(pace: Pace) -> (Self, Work<K>) {
        let (requests, receiver) = mpsc::unbounded();
        let queue = Self {
            requests,
            waiting: Arc::default(),
            pace,
        };
        let work = Work {
            queue: queue.clone(),
            requests: receiver,
        };
        (queue, work)
    }

    /// Has a key worked on soon.
    pub fn wake(&self, key: K) {
        self.wake_after(key, Duration::ZERO);
    }

    /// Has keys worked on that are many maybe, each earlier if it is woken by
    /// itself.
    pub fn wake_many(&self, keys: impl IntoIterator<Item = K>) {
        for (index, key) in (0_u32..).zip(keys) {
            let place = index.saturating_sub(self.pace.many_at_once.saturating_sub(1));
            self.wake_after(key, self.pace.many_spacing * place);
        }
    }

    /// Has a key worked on after a delay, or earlier if it is woken earlier.
    pub fn wake_after(&self, key: K, delay: Duration) {
        let now = Instant::now();
        let run_at = now + delay;
        match self.waiting().entry(key.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(run_at);
            }
            Entry::Occupied(mut slot) => {
                let due = *slot.get();
                // Each request that is passed on puts the run off by the
                // debounce time; so an endless burst is cut here.
                if now.saturating_duration_since(due) >= self.pace.longest_burst {
                    return;
                }
                slot.insert(due.min(run_at));
            }
        }
        // Fails only after the working end is gone, when nobody is left to
        // tell.
        let _ = self.requests.unbounded_send(ScheduleRequest {
            message: key,
            run_at,
        });
    }

    /// Keys whose time has come and that do not run yet.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        self.waiting().values().filter(|due| **due <= now).count()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue that works.
pub struct Work<K> {
    queue: Queue<K>,
    requests: mpsc::UnboundedReceiver<ScheduleRequest<K>>,
}

impl<K: Clone + Eq + Hash> Work<K> {
    /// Works on keys until `shutdown`, then lets the runs that are under way
    /// end, and returns.
    ///
    /// [`Pace::concurrency`] bounds the keys for which `counts` holds; the
    /// others, which those may wait for, run at once.
    ///
    /// `run` answers when the key should come again although nothing wakes it
    /// (`None`: not at all), or an error, which it has told to people already.
    pub async fn run<C, F, Fut, E>(self, shutdown: CancellationToken, counts: C, run: F)
    where
        C: Fn(&K) -> bool,
        F: Fn(K) -> Fut,
        Fut: Future<Output = Result<Option<Duration>, E>>,
    {
        // `queue` holds a sender: the scheduler would end with the last one.
        let Self { queue, requests } = self;
        let pace = queue.pace;
        let mut scheduler = pin!(debounced_scheduler(requests, pace.debounce));
        let mut busy: HashSet<K> = HashSet::new();
        let mut failures: HashMap<K, u32> = HashMap::new();
        let mut runs = FuturesUnordered::new();
        loop {
            let full = busy.iter().filter(|key| counts(key)).count() >= pace.concurrency;
            let next = scheduler
                .as_mut()
                .hold_unless(|key: &K| !(busy.contains(key) || full && counts(key)));
            let mut next = pin!(next);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some((key, result)) = runs.next(), if !runs.is_empty() => {
                    busy.remove(&key);
                    if let Ok(again) = result {
                        failures.remove(&key);
                        if let Some(delay) = again {
                            queue.wake_after(key, delay);
                        }
                    } else {
                        let count = failures.entry(key.clone()).or_default();
                        *count = count.saturating_add(1);
                        let delay = pace.retry_delay(*count, rand::random());
                        queue.wake_after(key, delay);
                    }
                }
                key = next.next() => {
                    let Some(key) = key else { break };
                    // Before the run looks at anything: a wake-up from here on
                    // asks for another run.
                    queue.waiting().remove(&key);
                    busy.insert(key.clone());
                    let running = run(key.clone());
                    runs.push(async move { (key, running.await) });
                }
            }
        }
        while runs.next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
