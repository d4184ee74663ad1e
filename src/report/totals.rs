//! Numbers of groups and findings, for metrics.

use std::collections::BTreeMap;

use super::{GroupState, Reporter};
use crate::model::finding::Reason;

impl Reporter {
    /// Groups by state and findings by reason, as last told.
    pub fn totals(&self) -> (BTreeMap<String, i64>, BTreeMap<String, i64>) {
        let memory = self.memory();
        let states = memory.groups.values().filter_map(|told| told.state);
        let of_groups = memory.groups.values().flat_map(|told| told.said.findings());
        let reasons = of_groups.chain(&memory.strays).map(|found| found.reason);
        (
            counted(
                GroupState::ALL.map(GroupState::as_str),
                states.map(GroupState::as_str),
            ),
            counted(Reason::ALL.map(Reason::as_str), reasons.map(Reason::as_str)),
        )
    }
}

/// How often each word occurs; those that may occur and do not are there with
/// zero, so that what asks for them tells none from unknown.
fn counted(
    words: impl IntoIterator<Item = &'static str>,
    occur: impl Iterator<Item = &'static str>,
) -> BTreeMap<String, i64> {
    let words = words.into_iter().map(|word| (word.to_owned(), 0));
    let mut counts: BTreeMap<String, i64> = words.collect();
    for word in occur {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_does_not_occur_is_counted_as_zero() {
        let states = GroupState::ALL.map(GroupState::as_str);
        let serving = GroupState::Serving.as_str();
        let counts = counted(states, [serving, serving].into_iter());
        assert_eq!(counts.len(), states.len());
        assert_eq!((counts["Serving"], counts["Failing"]), (2, 0));
        let reasons: BTreeSet<&str> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!(reasons.len(), Reason::ALL.len());
    }
}
