//! What was called: counts and the calls in order.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::wire::incoming::is_read;

/// The most calls that are kept in order; older ones are only counted.
const KEPT: usize = 100_000;

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
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

/// A call as it is kept: with tens of thousands of them, most of their texts
/// are the same few names and ARNs, and each of those is kept once.
#[derive(Debug)]
struct Kept {
    number: u64,
    at: Timestamp,
    started: f64,
    ended: f64,
    service: Arc<str>,
    action: Arc<str>,
    status: u16,
    code: Option<Arc<str>>,
    caller: Option<Arc<str>>,
    request_id: Box<str>,
    denied: Option<Box<str>>,
    parameters: Box<[(Arc<str>, Arc<str>)]>,
    answer: Option<Box<str>>,
}

/// Texts of which there is one copy for all who keep it.
#[derive(Debug, Default)]
struct Texts(HashSet<Arc<str>>);

/// Longer texts are not looked for among the others.
const SHARED: usize = 200;

/// With more texts than this, those that nobody keeps are let go.
const TEXTS: usize = 50_000;

impl Texts {
    fn share(&mut self, text: String) -> Arc<str> {
        if text.len() > SHARED {
            return text.into();
        }
        if let Some(known) = self.0.get(text.as_str()) {
            return known.clone();
        }
        if self.0.len() >= TEXTS {
            self.0.retain(|text| Arc::strong_count(text) > 1);
            // Most of them are kept by somebody: begin anew, with few copies too many.
            if self.0.len() >= TEXTS / 2 {
                self.0.clear();
            }
        }
        let text: Arc<str> = text.into();
        self.0.insert(text.clone());
        text
    }
}

impl Kept {
    fn of(call: Call, texts: &mut Texts) -> Self {
        let mut share = |text: String| texts.share(text);
        Self {
            number: call.number,
            at: call.at,
            started: call.started,
            ended: call.ended,
            service: share(call.service),
            action: share(call.action),
            status: call.status,
            code: call.code.map(&mut share),
            caller: call.caller.map(&mut share),
            request_id: call.request_id.into(),
            denied: call.denied.map(String::into_boxed_str),
            parameters: call
                .parameters
                .into_iter()
                .map(|(name, value)| (share(name), share(value)))
                .collect(),
            answer: call.answer.map(String::into_boxed_str),
        }
    }

    fn call(&self) -> Call {
        let text = |text: &Arc<str>| String::from(&**text);
        let parameters = self.parameters.iter();
        Call {
            number: self.number,
            at: self.at,
            started: self.started,
            ended: self.ended,
            service: text(&self.service),
            action: text(&self.action),
            status: self.status,
            code: self.code.as_ref().map(text),
            caller: self.caller.as_ref().map(text),
            request_id: self.request_id.to_string(),
            denied: self.denied.as_deref().map(str::to_owned),
            parameters: parameters
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            answer: self.answer.as_deref().map(str::to_owned),
        }
    }
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
    last: VecDeque<Kept>,
    texts: Texts,
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
        let call = Kept::of(call, &mut calls.texts);
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
            calls.last.range(skipped..).map(Kept::call).collect(),
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
            .map(Kept::call)
            .collect();
        after.sort_by_key(|call| call.number);
        after
    }

    /// The operations of the answered calls that change something, in the order
    /// in which they came in.
    pub fn writes(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = calls.last.iter().filter(|call| !is_read(&call.action));
        let mut writes: Vec<_> = writes.map(|call| (call.number, &call.action)).collect();
        writes.sort_unstable();
        let names = writes.into_iter().map(|(_, action)| action.to_string());
        names.collect()
    }

    /// Service and operation of the call that was answered last, and how many
    /// were.
    pub fn last(&self) -> (Option<(String, String)>, u64) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let last = calls.last.back();
        let last = last.map(|call| (call.service.to_string(), call.action.to_string()));
        (last, calls.recorded)
    }

    /// Forgets counts and calls; numbers go on.
    pub fn clear(&self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.last.clear();
        calls.counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64, value: &str) -> Call {
        Call {
            number,
            at: Timestamp::UNIX_EPOCH,
            started: 1.0,
            ended: 2.5,
            service: "ec2".to_owned(),
            action: "DescribeVpcs".to_owned(),
            status: 200,
            code: Some("Code".to_owned()),
            caller: Some("arn".to_owned()),
            request_id: number.to_string(),
            denied: Some("why".to_owned()),
            parameters: [("VpcId.1".to_owned(), value.to_owned())].into(),
            answer: Some("<a/>".to_owned()),
        }
    }

    #[test]
    fn writes_are_told_in_the_order_in_which_they_came_in() {
        let journal = Journal::default();
        let named = |number: u64, action: &str| Call {
            action: action.to_owned(),
            ..call(number, "")
        };
        assert_eq!(journal.last(), (None, 0));
        for (number, action) in [(2, "CreateRule"), (1, "CreateListener"), (3, "GetChange")] {
            journal.record(named(number, action));
        }
        assert_eq!(journal.writes(), ["CreateListener", "CreateRule"]);
        let last = ("ec2".to_owned(), "GetChange".to_owned());
        assert_eq!(journal.last(), (Some(last), 3));
    }

    #[test]
    fn what_is_kept_is_the_call() {
        let journal = Journal::default();
        let calls = [call(1, "vpc-1"), call(2, &"long".repeat(100))];
        for call in &calls {
            journal.record(call.clone());
        }
        assert_eq!(journal.after(0), calls);
        assert_eq!(journal.after(1), calls[1..]);
        assert_eq!(journal.recorded_after(1), (vec![calls[1].clone()], 2));
        assert_eq!(journal.counts()[0].count, 2);
    }

    #[test]
    fn texts_are_kept_once_and_let_go() {
        let mut texts = Texts::default();
        let first = texts.share("same".to_owned());
        assert!(Arc::ptr_eq(&first, &texts.share("same".to_owned())));
        for number in 0..TEXTS {
            texts.share(number.to_string());
        }
        assert!(texts.0.len() < TEXTS);
        assert!(Arc::ptr_eq(&first, &texts.share("same".to_owned())));
        let kept: Vec<_> = (0..=TEXTS).map(|n| texts.share(n.to_string())).collect();
        assert!(texts.0.len() < TEXTS && kept.len() > TEXTS);
    }
}
