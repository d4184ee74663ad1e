//! Rules of one listener: which live rule becomes which wished one, at the
//! least number of calls and without a moment in which a path that is wished
//! and was served has no rule.
//!
//! Matching is aws-load-balancer-controller's (equal content first, whatever
//! its priority; then what stands at the priority), with two differences that
//! leave the same rules behind:
//!
//! * Between the two, rules with equal conditions and another action are
//!   matched: changed and moved, where the other controller would overwrite
//!   two neighbours one after the other.
//! * A rule is overwritten by the wished one of its priority only if no other
//!   rule that is still to come shares a request with it. Else it is parked
//!   at the end, and deleted once the others are there.
//!
//! Priorities are dense, 1 to n, so a rule in the middle costs one call that
//! moves those behind it. Rules to be deleted that stand in the way are parked
//! by the same call, from 50,000 downwards.

use std::collections::{BTreeMap, BTreeSet};

use super::overlap::may_overlap;
use crate::model::spec::{Arn, Live, Rule};

/// The highest priority that AWS knows.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html>
const LAST_PRIORITY: u32 = 50_000;

/// A live rule and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) arn: Arn,
    /// Priority that it has.
    pub(super) from: u32,
    /// Priority that it gets.
    pub(super) to: u32,
    pub(super) live: Rule,
    pub(super) wished: Rule,
}

/// What is to be done about the rules of one listener.
#[derive(Debug, Default)]
pub(super) struct RuleChanges {
    /// Live rules that stay, changed or not.
    pub(super) kept: Vec<Kept>,
    /// New priorities, all in one call; parked rules included.
    pub(super) moves: BTreeMap<Arn, u32>,
    /// Rules to make, by priority.
    pub(super) creates: BTreeMap<u32, Rule>,
    /// Rules to delete, by the priority that they have.
    pub(super) deletes: BTreeMap<u32, Live<Rule>>,
}

/// Compares; `wished` is in order, the first gets priority 1.
pub(super) fn compare(live: &BTreeMap<u32, Live<Rule>>, wished: &[Rule]) -> RuleChanges {
    let mut open: BTreeMap<u32, &Rule> = (1..).zip(wished).collect();
    let mut left: BTreeMap<u32, &Live<Rule>> = live.iter().map(|(p, rule)| (*p, rule)).collect();
    let mut changes = RuleChanges::default();

    // Those that need not even move go first, so that twins keep their places.
    pair(
        &mut open,
        &mut left,
        &mut changes,
        |to, from, wished, live| to == from && wished.same_settings(live),
    );
    pair(&mut open, &mut left, &mut changes, |_, _, wished, live| {
        wished.same_settings(live)
    });
    pair(&mut open, &mut left, &mut changes, |_, _, wished, live| {
        wished.conditions == live.conditions
    });
    let still_open: Vec<(u32, &Rule)> = open.iter().map(|(p, rule)| (*p, *rule)).collect();
    pair(&mut open, &mut left, &mut changes, |to, from, _, live| {
        to == from
            && !still_open
                .iter()
                .any(|(p, other)| *p != to && may_overlap(&other.conditions, &live.conditions))
    });

    changes.creates = open.iter().map(|(p, rule)| (*p, (*rule).clone())).collect();
    changes.deletes = left.iter().map(|(p, rule)| (*p, (*rule).clone())).collect();
    changes.moves = changes
        .kept
        .iter()
        .filter(|kept| kept.from != kept.to)
        .map(|kept| (kept.arn.clone(), kept.to))
        .collect();
    park(&mut changes, live);
    changes
}

/// Pairs what is left where `fits(to, from, wished, live)`.
fn pair(
    open: &mut BTreeMap<u32, &Rule>,
    left: &mut BTreeMap<u32, &Live<Rule>>,
    changes: &mut RuleChanges,
    fits: impl Fn(u32, u32, &Rule, &Rule) -> bool,
) {
    let wanted: Vec<(u32, &Rule)> = open.iter().map(|(p, rule)| (*p, *rule)).collect();
    for (to, wished) in wanted {
        let found = left
            .iter()
            .find(|(from, live)| fits(to, **from, wished, &live.spec))
            .map(|(from, _)| *from);
        let Some((from, live)) = found.and_then(|from| left.remove_entry(&from)) else {
            continue;
        };
        open.remove(&to);
        changes.kept.push(Kept {
            arn: live.arn.clone(),
            from,
            to,
            live: live.spec.clone(),
            wished: wished.clone(),
        });
    }
}

/// Moves rules that are to be deleted out of the way of those that need their
/// priority.
fn park(changes: &mut RuleChanges, live: &BTreeMap<u32, Live<Rule>>) {
    let needed: BTreeSet<u32> = changes
        .moves
        .values()
        .chain(changes.creates.keys())
        .copied()
        .collect();
    let mut taken: BTreeSet<u32> = live.keys().copied().collect();
    taken.extend(&needed);
    let mut free = (1..=LAST_PRIORITY).rev().filter(|p| !taken.contains(p));
    for (priority, rule) in &changes.deletes {
        if needed.contains(priority)
            && let Some(place) = free.next()
        {
            changes.moves.insert(rule.arn.clone(), place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{Action, Condition, Tags};

    fn rule(host: &str, answer: &str) -> Rule {
        Rule {
            conditions: vec![Condition::HostHeader(vec![host.to_owned()])],
            action: Action::FixedResponse {
                status_code: answer.to_owned(),
                content_type: None,
                body: None,
            },
            tags: Tags::new(),
        }
    }

    fn live(rules: &[Rule]) -> BTreeMap<u32, Live<Rule>> {
        (1..)
            .zip(rules)
            .map(|(p, spec)| {
                let arn = Arn::from(format!("arn:{p}"));
                let spec = spec.clone();
                (p, Live { arn, spec })
            })
            .collect()
    }

    #[test]
    fn a_rule_at_the_end_moves_nothing() {
        let changes = compare(
            &live(&[rule("a", "200")]),
            &[rule("a", "200"), rule("b", "200")],
        );
        assert!(changes.moves.is_empty());
        assert_eq!(changes.creates.keys().collect::<Vec<_>>(), [&2]);
    }

    #[test]
    fn a_rule_in_front_moves_the_others_in_one_call() {
        let changes = compare(
            &live(&[rule("a", "200"), rule("b", "200")]),
            &[rule("c", "200"), rule("a", "200"), rule("b", "200")],
        );
        assert_eq!(changes.moves.len(), 2);
        assert_eq!(changes.creates.keys().collect::<Vec<_>>(), [&1]);
        assert!(changes.deletes.is_empty());
    }

    #[test]
    fn a_rule_in_the_way_is_parked_and_one_at_the_end_is_not() {
        let changes = compare(
            &live(&[rule("a", "200"), rule("b", "200"), rule("c", "200")]),
            &[rule("b", "200")],
        );
        assert_eq!(
            changes.moves,
            BTreeMap::from([(Arn::from("arn:2"), 1), (Arn::from("arn:1"), 50_000)])
        );
        assert_eq!(changes.deletes.len(), 2);
    }

    #[test]
    fn a_changed_answer_is_one_modification() {
        let changes = compare(&live(&[rule("a", "200")]), &[rule("a", "404")]);
        assert_eq!(changes.kept.len(), 1);
        assert!(changes.moves.is_empty() && changes.creates.is_empty());
    }

    #[test]
    fn a_changed_host_takes_the_place_of_the_old_one() {
        let changes = compare(&live(&[rule("a", "200")]), &[rule("b", "200")]);
        assert_eq!(changes.kept.len(), 1);
        assert!(changes.deletes.is_empty() && changes.creates.is_empty());
    }

    #[test]
    fn two_rules_that_swap_answers_and_places_keep_their_hosts() {
        let changes = compare(
            &live(&[rule("a", "200"), rule("b", "200")]),
            &[rule("b", "404"), rule("a", "404")],
        );
        assert!(
            changes
                .kept
                .iter()
                .all(|kept| kept.live.conditions == kept.wished.conditions)
        );
        assert_eq!(changes.moves.len(), 2);
    }

    #[test]
    fn what_another_new_rule_is_to_serve_is_not_overwritten() {
        let mut both = rule("a", "200");
        both.conditions = vec![Condition::HostHeader(vec!["a".into(), "b".into()])];
        let changes = compare(
            &live(std::slice::from_ref(&both)),
            &[rule("a", "200"), rule("b", "200")],
        );
        assert!(changes.kept.is_empty());
        assert_eq!(changes.creates.len(), 2);
        assert_eq!(changes.moves.get(&Arn::from("arn:1")), Some(&50_000));
    }
}
