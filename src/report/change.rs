//! The last change of a group, in words for people: its plan, and what has
//! become of it.
//!
//! It goes with writes that happen anyway, the one that says that a change
//! begins and the one that says how it went, and makes none of its own.
//! Nothing is ever decided by it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::group::{Applied, IngressGroupStatus};
use crate::plan::step::Plan;

/// Lines of a plan that are told.
const LINES: usize = 50;
/// Characters of a line that are told.
const LINE: usize = 300;
/// Characters of what has failed, or is waited for, that are told.
const DETAIL: usize = 500;

/// What the controller did last to make the group as wished, targets aside,
/// for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastChange {
    /// How it went, in a word: UnderWay, Done, Waiting, Failed, Stopped, or
    /// Settled: nothing of it is left to do.
    #[serde(default)]
    pub outcome: String,
    /// What it waits for, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The steps that were decided, one a line, as in the log: `+` makes, `~`
    /// changes, `-` takes away. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
    /// Steps beyond those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A change that was noted before it began, and has been tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Hash of what was to be made.
    pub digest: String,
    /// Its steps, as they are told.
    pub begun: LastChange,
    /// Whether all of them are done.
    pub complete: bool,
}

impl LastChange {
    /// A change that is about to begin.
    pub fn begun(plan: &Plan) -> Self {
        let text = plan.to_string();
        let lines = text.lines();
        Self {
            outcome: "UnderWay".to_owned(),
            detail: None,
            plan: lines.clone().take(LINES).map(|it| cut(it, LINE)).collect(),
            more: i32::try_from(lines.count().saturating_sub(LINES)).unwrap_or(i32::MAX),
        }
    }

    /// What is to be told now. `status` is what is told beside it, `written`
    /// what was told before.
    pub(super) fn now(
        tried: Option<&Tried>,
        status: &IngressGroupStatus,
        written: Option<&IngressGroupStatus>,
    ) -> Option<Self> {
        let before = written.and_then(|written| written.last_change.clone());
        let pending = written
            .and_then(|written| written.applied.as_ref())
            .and_then(|applied| applied.pending.as_ref());
        let Some(tried) = tried else {
            let settled = is_settled(status.applied.as_ref());
            return before.map(|mut before| {
                if pending.is_some() && settled {
                    "Settled".clone_into(&mut before.outcome);
                    before.detail = None;
                }
                before
            });
        };
        // What is tried again is still the change that was begun, whole.
        let mut change = match before {
            Some(before) if pending == Some(&tried.digest) => before,
            _ => tried.begun.clone(),
        };
        let (outcome, detail) = if tried.complete {
            ("Done", None)
        } else if let Some(failure) = status.failures.first() {
            ("Failed", Some(cut(failure, DETAIL)))
        } else if let Some(waits) = status.waiting_for.first() {
            ("Waiting", Some(cut(waits, DETAIL)))
        } else {
            ("Stopped", None)
        };
        outcome.clone_into(&mut change.outcome);
        change.detail = detail;
        Some(change)
    }

    /// Whether another is the same but for its steps: that alone is not worth
    /// a write.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.outcome == other.outcome && self.detail == other.detail
    }
}

fn is_settled(applied: Option<&Applied>) -> bool {
    applied.is_some_and(|applied| applied.pending.is_none() && applied.digest.is_some())
}

/// A text, cut where it is long.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.trim().to_owned();
    }
    let cut: String = text.trim().chars().take(most - 1).collect();
    format!("{cut}…")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::step::{Planned, Step};

    fn plan(steps: usize) -> Plan {
        let step = |number: usize| Planned {
            step: Step::DeleteSecurityGroup {
                id: format!("sg-{number}"),
                name: "x".repeat(400),
            },
            after: BTreeSet::new(),
            needs: BTreeSet::new(),
            low_priority: false,
        };
        Plan {
            steps: (1..=steps).map(step).collect(),
            ..Plan::default()
        }
    }

    fn written(pending: Option<&str>, change: LastChange) -> IngressGroupStatus {
        IngressGroupStatus {
            applied: Some(Applied {
                digest: pending.is_none().then(|| "d".to_owned()),
                pending: pending.map(str::to_owned),
                ..Applied::default()
            }),
            last_change: Some(change),
            ..IngressGroupStatus::default()
        }
    }

    #[test]
    fn a_plan_is_told_in_bounds() {
        let begun = LastChange::begun(&plan(70));
        assert_eq!((begun.plan.len(), begun.more), (50, 20));
        assert!(begun.plan[0].starts_with("1. - security group xxx"));
        assert!(begun.plan.iter().all(|line| line.chars().count() <= 300));
        assert_eq!(LastChange::begun(&plan(2)).more, 0);
    }

    #[test]
    fn an_outcome_comes_with_the_plan_that_was_begun() {
        let whole = LastChange::begun(&plan(3));
        let before = written(Some("new"), whole.clone());
        let mut tried = Tried {
            digest: "new".to_owned(),
            // The rest of it, in a second try.
            begun: LastChange::begun(&plan(1)),
            complete: false,
        };
        let mut status = IngressGroupStatus {
            waiting_for: vec!["the load balancer".to_owned()],
            ..IngressGroupStatus::default()
        };
        let now = |tried: Option<&Tried>, status: &IngressGroupStatus| {
            LastChange::now(tried, status, Some(&before)).unwrap()
        };
        let waiting = now(Some(&tried), &status);
        assert_eq!(waiting.outcome, "Waiting");
        assert_eq!(waiting.detail.as_deref(), Some("the load balancer"));
        assert_eq!(waiting.plan, whole.plan);
        status.failures.push("AccessDenied: no".to_owned());
        let failed = now(Some(&tried), &status);
        assert_eq!(failed.outcome, "Failed");
        tried.complete = true;
        let done = now(Some(&tried), &status);
        assert_eq!((done.outcome.as_str(), done.detail), ("Done", None));
        // Another wish has another plan.
        tried.digest = "newer".to_owned();
        assert_eq!(now(Some(&tried), &status).plan.len(), 1);
    }

    #[test]
    fn a_run_that_changes_nothing_keeps_what_was_told() {
        let done = LastChange {
            outcome: "Done".to_owned(),
            ..LastChange::begun(&plan(1))
        };
        let status = written(None, done.clone());
        let kept = LastChange::now(None, &status, Some(&status));
        assert_eq!(kept, Some(done));
        assert_eq!(LastChange::now(None, &status, None), None);
        // What another process left half made, or nobody wishes any more.
        let left = written(Some("p"), LastChange::begun(&plan(1)));
        let settled = LastChange::now(None, &status, Some(&left)).unwrap();
        assert_eq!(settled.outcome, "Settled");
        let still = LastChange::now(None, &left, Some(&left)).unwrap();
        assert_eq!(still.outcome, "UnderWay");
    }
}
