//! How many requests rate-based rules have seen of whom.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// Requests by whom they count for, and by the second in which they came.
type Counts = HashMap<String, BTreeMap<i64, u64>>;

/// So many are told apart before the forgotten ones are cleared away.
const MANY: usize = 10_000;

/// Remembers. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates(Arc<Mutex<Counts>>);

impl Rates {
    /// Counts a request of `whom`; answers how many there were in the latest
    /// `window` seconds, this one included. Where WAF looks every few seconds,
    /// it is looked at once here.
    pub(super) fn count(&self, whom: &str, window: i64, now: Timestamp) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.as_second();
        let oldest = second.saturating_sub(window.max(1) - 1);
        if counts.len() >= MANY {
            // Longer windows than of 600 seconds there are none.
            counts.retain(|_, of| of.range(second - 600..).next().is_some());
        }
        let of = counts.entry(whom.to_owned()).or_default();
        of.retain(|at, _| *at >= oldest);
        *of.entry(second).or_default() += 1;
        of.values().sum()
    }
}
