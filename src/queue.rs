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
//! * keys run by lane, the most urgent first, and within a lane in the order in
//!   which they came: one that is woken all the time passes nobody. Lanes that
//!   nobody waits for have half of the places;
//! * a key that fails comes again after a random part of 1 s, 2 s, 4 s, … up
//!   to 5 minutes, and its count starts again with the first success.
//!
//! Knows nothing of what a key means.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use kube::runtime::scheduler::{ScheduleRequest, debounced_scheduler};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lane::{Lane, Promote, Turn};

/// How fast the queue goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Silence after a wake-up until its run starts, so that a burst is one
    /// run.
    pub debounce: Duration,
    /// A burst that does not end is run anyway after this time.
    pub longest_burst: Duration,
    /// Keys worked on at the same time; half of them may be of lanes that
    /// nobody waits for, half of those of groups found half-made.
    pub concurrency: usize,
    /// Upper bound of the wait after a first failure; it doubles with each
    /// further one.
    pub first_retry: Duration,
    /// Upper bound of the wait after any failure.
    pub last_retry: Duration,
    /// Upper bound of the wait after AWS throttled a run.
    pub throttled_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(30),
            longest_burst: Duration::from_millis(500),
            concurrency: 10,
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_mins(5),
            throttled_retry: Duration::from_secs(5),
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

/// Why a run comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It failed: again after a growing wait.
    BackOff,
    /// AWS was asked too often, by whomever: that is no failure of this key,
    /// whose wait does not grow.
    Throttled,
}

/// A key that was woken and does not run yet.
#[derive(Clone, Copy, Debug)]
struct Waits {
    /// The earliest time that was asked for.
    due: Instant,
    lane: Lane,
    /// Its place among those that are ready, once its silence is over.
    place: Option<u64>,
    /// Whether it waits for room, once it is ready.
    counts: bool,
}

/// Keys that are ready, in the order in which they run.
type Ready<K> = BTreeMap<(Lane, u64), K>;

struct State<K> {
    /// What runs, to make it more urgent.
    running: HashMap<K, Promote>,
    waiting: HashMap<K, Waits>,
    /// Keys that run as soon as there is room in their lane.
    ready: Ready<K>,
    /// Keys that run as soon as they do not run any more.
    free: Ready<K>,
    /// Keys that became ready so far.
    came: u64,
}

impl<K: Clone + Eq + Hash> State<K> {
    /// The key's silence is over. Without an entry it has run since.
    fn is_ready(&mut self, key: K, counts: bool) {
        if let Some(waits) = self.waiting.get_mut(&key)
            && waits.place.is_none()
        {
            self.came += 1;
            waits.place = Some(self.came);
            waits.counts = counts;
            let ready = if counts {
                &mut self.ready
            } else {
                &mut self.free
            };
            ready.insert((waits.lane, self.came), key);
        }
    }

    /// Begins with the next key, of those that wait for room one in whose lane
    /// there is some. Looks at no more keys than there are lanes and runs.
    fn next(&mut self, has_room: impl Fn(Lane) -> bool) -> Option<(K, Lane, Turn)> {
        let running = &self.running;
        let runs_not = |(_, key): &(&(Lane, u64), &K)| !running.contains_key(*key);
        let free = self.free.iter().find(runs_not);
        let lanes = Lane::ALL.into_iter().filter(|lane| has_room(*lane));
        let mut ready = lanes.filter_map(|lane| {
            let mut of_lane = self.ready.range((lane, 0)..=(lane, u64::MAX));
            of_lane.find(runs_not)
        });
        let (place, counts) = match (free, ready.next()) {
            (Some((free, _)), Some((ready, _))) if ready < free => (*ready, true),
            (Some((free, _)), _) => (*free, false),
            (None, Some((ready, _))) => (*ready, true),
            (None, None) => return None,
        };
        let ready = if counts {
            &mut self.ready
        } else {
            &mut self.free
        };
        let key = ready.remove(&place)?;
        // Before the run looks at anything: a wake-up from here on asks for
        // another run.
        self.waiting.remove(&key);
        let (turn, promote) = Turn::new(place.0);
        self.running.insert(key.clone(), promote);
        Some((key, place.0, turn))
    }
}

struct Shared<K> {
    state: Mutex<State<K>>,
    /// A key that is ready has moved to another lane.
    moved: Notify,
}

/// The end of the queue that wakes keys; cheap to clone.
pub struct Queue<K> {
    requests: mpsc::UnboundedSender<ScheduleRequest<K>>,
    shared: Arc<Shared<K>>,
    pace: Pace,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            shared: Arc::clone(&self.shared),
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
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    running: HashMap::new(),
                    waiting: HashMap::new(),
                    ready: Ready::new(),
                    free: Ready::new(),
                    came: 0,
                }),
                moved: Notify::new(),
            }),
            pace,
        };
        let work = Work {
            queue: queue.clone(),
            requests: receiver,
        };
        (queue, work)
    }

    /// Has a key worked on soon. A key that waits already is worked on in the
    /// more urgent lane of the two, and so is one that is worked on now: this
    /// must end first.
    pub fn wake(&self, key: K, lane: Lane) {
        self.wake_after(key, lane, Duration::ZERO);
    }

    /// Has keys worked on that are many maybe.
    pub fn wake_all(&self, keys: impl IntoIterator<Item = K>, lane: Lane) {
        for key in keys {
            self.wake(key, lane);
        }
    }

    /// Has a key worked on after a delay, or earlier if it is woken earlier.
    pub fn wake_after(&self, key: K, lane: Lane, delay: Duration) {
        let now = Instant::now();
        let run_at = now + delay;
        let mut state = self.state();
        let state = &mut *state;
        if delay.is_zero()
            && let Some(running) = state.running.get(&key)
        {
            running.to(lane);
        }
        match state.waiting.entry(key.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(Waits {
                    due: run_at,
                    lane,
                    place: None,
                    counts: true,
                });
            }
            Entry::Occupied(mut slot) => {
                let waits = slot.get_mut();
                let before = waits.lane;
                waits.lane = before.min(lane);
                if let Some(place) = waits.place {
                    if waits.lane != before {
                        let ready = if waits.counts {
                            &mut state.ready
                        } else {
                            &mut state.free
                        };
                        if let Some(key) = ready.remove(&(before, place)) {
                            ready.insert((waits.lane, place), key);
                        }
                        self.shared.moved.notify_one();
                    }
                    return;
                }
                // Each request that is passed on puts the run off by the
                // debounce time; so an endless burst is cut here.
                if now.saturating_duration_since(waits.due) >= self.pace.longest_burst {
                    return;
                }
                waits.due = waits.due.min(run_at);
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
        let state = self.state();
        state.waiting.values().filter(|w| w.due <= now).count()
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue that works.
pub struct Work<K> {
    queue: Queue<K>,
    requests: mpsc::UnboundedReceiver<ScheduleRequest<K>>,
}

impl Pace {
    /// Whether one more run may start in this lane.
    fn has_place(&self, taken: &[Lane], lane: Lane) -> bool {
        let low = taken.iter().filter(|l| !l.is_live()).count();
        let pending = taken.iter().filter(|l| **l == Lane::Pending).count();
        taken.len() < self.concurrency
            && (lane.is_live() || low < self.concurrency.div_ceil(2))
            && (lane != Lane::Pending || pending < self.concurrency.div_ceil(4))
    }
}

impl<K: Clone + Eq + Hash> Work<K> {
    /// Works on keys until `shutdown`, then lets the runs that are under way
    /// end, and returns.
    ///
    /// [`Pace::concurrency`] bounds the keys for which `counts` holds; the
    /// others, which those may wait for, run at once.
    ///
    /// `run` answers when the key should come again although nothing wakes it
    /// (`None`: not at all), or why it failed, which it has told to people
    /// already. It comes again in the lane that it ran in.
    pub async fn run<C, F, Fut>(self, shutdown: CancellationToken, counts: C, run: F)
    where
        C: Fn(&K) -> bool,
        F: Fn(K, Turn) -> Fut,
        Fut: Future<Output = Result<Option<Duration>, Failed>>,
    {
        // `queue` holds a sender: the scheduler would end with the last one.
        let Self { queue, requests } = self;
        let pace = queue.pace;
        let mut scheduler = pin!(debounced_scheduler(requests, pace.debounce));
        let mut failures: HashMap<K, u32> = HashMap::new();
        // Lanes of the runs that take a place.
        let mut taken: Vec<Lane> = Vec::new();
        let mut runs = FuturesUnordered::new();
        loop {
            loop {
                let next = queue.state().next(|lane| pace.has_place(&taken, lane));
                let Some((key, lane, turn)) = next else {
                    break;
                };
                if counts(&key) {
                    taken.push(lane);
                }
                let running = run(key.clone(), turn);
                runs.push(async move { (key, lane, running.await) });
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some((key, lane, result)) = runs.next(), if !runs.is_empty() => {
                    queue.state().running.remove(&key);
                    if counts(&key)
                        && let Some(place) = taken.iter().position(|l| *l == lane)
                    {
                        taken.swap_remove(place);
                    }
                    let again = match result {
                        Ok(again) => {
                            failures.remove(&key);
                            again
                        }
                        Err(Failed::BackOff) => {
                            let count = failures.entry(key.clone()).or_default();
                            *count = count.saturating_add(1);
                            Some(pace.retry_delay(*count, rand::random()))
                        }
                        Err(Failed::Throttled) => {
                            Some(pace.throttled_retry.mul_f64(rand::random()))
                        }
                    };
                    if let Some(delay) = again {
                        queue.wake_after(key, lane, delay);
                    }
                }
                key = scheduler.next() => {
                    let Some(key) = key else { break };
                    let counts = counts(&key);
                    queue.state().is_ready(key, counts);
                }
                () = queue.shared.moved.notified() => {}
            }
        }
        while runs.next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
