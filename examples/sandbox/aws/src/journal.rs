//! What was called: counts and the calls in order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use serde::Serialize;

/// The most calls that are kept in order; older ones are only counted.
const KEPT: usize = 100_000;

/// One call.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Call {
    /// Running number from 1.
    pub number: u64,
    /// Milliseconds from the start of the simulator to the request.
    pub started: u64,
    /// Milliseconds from the start of the simulator to the answer.
    pub ended: u64,
    /// Service as in the scope of signatures.
    pub service: String,
    /// Operation.
    pub action: String,
    /// HTTP status; 0 when the answer was lost on purpose.
    pub status: u16,
    /// Error code, if it was refused.
    pub code: Option<String>,
    /// Parameters, secrets left out.
    pub parameters: BTreeMap<String, String>,
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
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    number: u64,
    last: VecDeque<Call>,
    counts: BTreeMap<(String, String, u16), u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            calls: Mutex::default(),
        }
    }
}

impl Journal {
    /// Milliseconds since the start of the simulator.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes a call down; its number is given here.
    pub fn record(&self, mut call: Call) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.number += 1;
        call.number = calls.number;
        let key = (call.service.clone(), call.action.clone(), call.status);
        *calls.counts.entry(key).or_default() += 1;
        calls.last.push_back(call);
        if calls.last.len() > KEPT {
            calls.last.pop_front();
        }
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

    /// The calls after a number, in the order of their answers.
    pub fn after(&self, number: u64) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .last
            .iter()
            .filter(|call| call.number > number)
            .cloned()
            .collect()
    }

    /// Forgets counts and calls; numbers go on.
    pub fn clear(&self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.last.clear();
        calls.counts.clear();
    }
}
