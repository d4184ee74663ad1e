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
//!   to 5 minutes, and its count starts again with the first success;
//! * keys of a backlog ([`Queue::wake_behind`]) run in their order, a few at
//!   once, beside all others; one that is woken by itself comes out of it, and
//!   a run that is under way is told ([`Urgency`]).
//!
//! Knows nothing of what a key means.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use kube::runtime::scheduler::{ScheduleRequest, debounced_scheduler};
use tokio::sync::{Notify, watch};
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
    /// How many of them may be of a backlog: fewer, so that what comes in
    /// between finds a free place.
    pub of_backlog: usize,
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
            of_backlog: 4,
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

/// Whether somebody waits for a run: it becomes so when its key is woken by
/// itself, and stays so.
#[derive(Clone, Debug)]
pub struct Urgency(watch::Receiver<bool>);

impl Urgency {
    /// Whether somebody waits now.
    pub fn is_urgent(&self) -> bool {
        *self.0.borrow()
    }

    /// The same, to be waited for: it turns `true` and stays so.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}

/// A key that waits.
#[derive(Clone, Copy)]
struct Waiting {
    /// The earliest time that was asked for.
    due: Instant,
    /// Whether it came out of the backlog and nobody has woken it since.
    behind: bool,
}

struct State<K> {
    waiting: HashMap<K, Waiting>,
    /// In order; those that are not in `in_backlog` any more are skipped.
    backlog: VecDeque<K>,
    in_backlog: HashSet<K>,
    running: HashMap<K, watch::Sender<bool>>,
}

impl<K: Clone + Eq + Hash> State<K> {
    /// How many runs of the backlog are under way or about to begin.
    fn behind(&self, now: Instant) -> usize {
        let waiting = self.waiting.values();
        let waiting = waiting.filter(|w| w.behind && w.due <= now).count();
        let running = self.running.values();
        waiting + running.filter(|urgent| !*urgent.borrow()).count()
    }

    fn next_of_backlog(&mut self) -> Option<K> {
        while let Some(key) = self.backlog.pop_front() {
            if self.in_backlog.remove(&key) {
                return Some(key);
            }
        }
        None
    }
}

/// The end of the queue that wakes keys; cheap to clone.
pub struct Queue<K> {
    requests: mpsc::UnboundedSender<ScheduleRequest<K>>,
    state: Arc<Mutex<State<K>>>,
    /// Told when the backlog has grown, or has more places.
    backlog: Arc<Notify>,
    pace: Pace,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            state: Arc::clone(&self.state),
            backlog: Arc::clone(&self.backlog),
            pace: self.pace,
        }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// A queue, and the end of it that works.
    pub fn new(pace: Pace) -> (Self, Work<K>) {
        let (requests, receiver) = mpsc::unbounded();
        let state = State {
            waiting: HashMap::new(),
            backlog: VecDeque::new(),
            in_backlog: HashSet::new(),
            running: HashMap::new(),
        };
        let queue = Self {
            requests,
            state: Arc::new(Mutex::new(state)),
            backlog: Arc::default(),
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

    /// Has keys worked on one after the other, behind everything else. Those
    /// that wait or run already are left as they are.
    pub fn wake_behind(&self, keys: impl IntoIterator<Item = K>) {
        let mut state = self.state();
        for key in keys {
            let known = state.waiting.contains_key(&key) || state.running.contains_key(&key);
            if !known && state.in_backlog.insert(key.clone()) {
                state.backlog.push_back(key);
            }
        }
        drop(state);
        self.backlog.notify_one();
    }

    /// Has keys worked on soon, unless they are in the backlog or run out of
    /// it: then they come no sooner for this.
    pub fn wake_along(&self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            let behind = {
                let state = self.state();
                let running = state.running.get(&key);
                if state.in_backlog.contains(&key) {
                    continue;
                }
                let waits = state.waiting.get(&key).is_some_and(|w| w.behind);
                waits || running.is_some_and(|urgent| !*urgent.borrow())
            };
            self.schedule(key, Duration::ZERO, behind);
        }
    }

    /// Has a key worked on after a delay, or earlier if it is woken earlier.
    pub fn wake_after(&self, key: K, delay: Duration) {
        self.schedule(key, delay, false);
    }

    fn schedule(&self, key: K, delay: Duration, behind: bool) {
        let now = Instant::now();
        let run_at = now + delay;
        let mut state = self.state();
        state.in_backlog.remove(&key);
        if !behind && let Some(urgent) = state.running.get(&key) {
            urgent.send_replace(true);
            self.backlog.notify_one();
        }
        match state.waiting.entry(key.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(Waiting {
                    due: run_at,
                    behind,
                });
            }
            Entry::Occupied(mut slot) => {
                let waiting = slot.get_mut();
                waiting.behind &= behind;
                // Each request that is passed on puts the run off by the
                // debounce time; so an endless burst is cut here.
                if now.saturating_duration_since(waiting.due) >= self.pace.longest_burst {
                    return;
                }
                waiting.due = waiting.due.min(run_at);
            }
        }
        drop(state);
        // Fails only after the working end is gone, when nobody is left to
        // tell.
        let _ = self.requests.unbounded_send(ScheduleRequest {
            message: key,
            run_at,
        });
    }

    /// Takes keys out of the backlog while there are places for them.
    fn take_of_backlog(&self) {
        loop {
            let key = {
                let mut state = self.state();
                if state.behind(Instant::now()) >= self.pace.of_backlog {
                    return;
                }
                let Some(key) = state.next_of_backlog() else {
                    return;
                };
                key
            };
            self.schedule(key, Duration::ZERO, true);
        }
    }

    /// A run begins; a wake-up from here on asks for another one.
    fn begins(&self, key: &K) -> Urgency {
        let mut state = self.state();
        let waited = state.waiting.remove(key);
        let urgent = watch::Sender::new(!waited.is_some_and(|waited| waited.behind));
        let urgency = Urgency(urgent.subscribe());
        state.running.insert(key.clone(), urgent);
        urgency
    }

    /// A run has ended. Answers whether it was of the backlog to its end.
    fn ended(&self, key: &K) -> bool {
        let running = self.state().running.remove(key);
        running.is_some_and(|urgent| !*urgent.borrow())
    }

    /// Keys whose time has come and that do not run yet.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        let state = self.state();
        let due = state.waiting.values().filter(|waiting| waiting.due <= now);
        due.count() + state.in_backlog.len()
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        F: Fn(K, Urgency) -> Fut,
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
            queue.take_of_backlog();
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
                    let behind = queue.ended(&key);
                    if let Ok(again) = result {
                        failures.remove(&key);
                        if let Some(delay) = again {
                            queue.schedule(key, delay, behind);
                        }
                    } else {
                        let count = failures.entry(key.clone()).or_default();
                        *count = count.saturating_add(1);
                        let delay = pace.retry_delay(*count, rand::random());
                        queue.schedule(key, delay, behind);
                    }
                }
                key = next.next() => {
                    let Some(key) = key else { break };
                    // Before the run looks at anything.
                    let urgency = queue.begins(&key);
                    busy.insert(key.clone());
                    let running = run(key.clone(), urgency);
                    runs.push(async move { (key, running.await) });
                }
                () = queue.backlog.notified() => {}
            }
        }
        while runs.next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
