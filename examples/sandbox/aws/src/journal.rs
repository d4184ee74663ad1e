//! What was called: counts and the calls in order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// The most calls that are kept in order; older ones are only counted.
const KEPT: usize = 100_000;

/// One call.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Call {
    /// Running number from 1, in the order in which calls came in.
    pub number: u64,
    /// When it came in, by the clock on the wall.
    pub at: Timestamp,
    /// Milliseconds from the start of the simulator to the request.
    pub started: f64,
    /// Milliseconds from the start of the simulator to the answer.
    pub ended: f64,
    /// Service as in the scope of signatures.
    pub service: String,
    /// Operation.
    pub action: String,
    /// HTTP status; 0 when the answer was lost on purpose.
    pub status: u16,
    /// Error code, if it was refused.
    pub code: Option<String>,
    /// ARN of who called; absent where that could not be told.
    pub caller: Option<String>,
    /// The id in the answer.
    pub request_id: String,
    /// What policies denied, in plain words also where the answer hides it.
    pub denied: Option<String>,
    /// Parameters, secrets left out.
    pub parameters: BTreeMap<String, String>,
    /// The body of the answer to a write, its beginning where it is long;
    /// absent for reads and where there may be secrets in it.
    pub answer: Option<String>,
}

/// Bytes of an answer that are kept.
const ANSWER: usize = 2_000;

/// The beginning of an answer that is kept.
pub fn kept(answer: &str) -> String {
    let mut end = answer.len().min(ANSWER);
    while !answer.is_char_boundary(end) {
        end -= 1;
    }
    answer[..end].to_owned()
}

/// How often something was called with which outcome.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Count {
    /// Service as in the scope of signatures.
    pub service: String,
    /// Operation.
    pub action: String,
    /// HTTP status.
    pub status: u16,
    /// Calls.
    pub count: u64,
}

/// All calls since the start or the last `clear`.
#[derive(Debug)]
pub struct Journal {
    start: Instant,
    begun: AtomicU64,
    calls: Mutex<Calls>,
    recorded: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Calls {
    last: VecDeque<Call>,
    /// How many were recorded since the start.
    recorded: u64,
    counts: BTreeMap<(String, String, u16), u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            begun: AtomicU64::new(0),
            calls: Mutex::default(),
            recorded: watch::Sender::new(0),
        }
    }
}

impl Journal {
    /// Milliseconds since the start of the simulator, with their fraction.
    pub fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1000.0
    }

    /// A call comes in: its number and its time.
    pub fn begin(&self) -> (u64, f64) {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        (number, self.now())
    }

    /// How many calls have come in.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Writes a call down that has been answered.
    pub fn record(&self, call: Call) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (call.service.clone(), call.action.clone(), call.status);
        *calls.counts.entry(key).or_default() += 1;
        calls.last.push_back(call);
        if calls.last.len() > KEPT {
            calls.last.pop_front();
        }
        calls.recorded += 1;
        let recorded = calls.recorded;
        drop(calls);
        self.recorded.send_replace(recorded);
    }

    /// How many calls were recorded; wait on it to follow them.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.recorded.subscribe()
    }

    /// The calls that were recorded after the first `count`, in the order of
    /// their answers, as far as they are kept; and how many there are now.
    pub fn recorded_after(&self, count: u64) -> (Vec<Call>, u64) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = calls.recorded.saturating_sub(count);
        let missed = usize::try_from(missed).unwrap_or(usize::MAX);
        let skipped = calls.last.len().saturating_sub(missed);
        (
            calls.last.range(skipped..).cloned().collect(),
            calls.recorded,
        )
    }

    /// The counts, by service, action and status.
    pub fn counts(&self) -> Vec<Count> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .counts
            .iter()
            .map(|((service, action, status), count)| Count {
                service: service.clone(),
                action: action.clone(),
                status: *status,
                count: *count,
            })
            .collect()
    }

    /// The answered calls after a number, in the order in which they came in.
    pub fn after(&self, number: u64) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after: Vec<Call> = calls
            .last
            .iter()
            .filter(|call| call.number > number)
            .cloned()
            .collect();
        after.sort_by_key(|call| call.number);
        after
    }

    /// Forgets counts and calls; numbers go on.
    pub fn clear(&self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.last.clear();
        calls.counts.clear();
    }
}
