//! Deletions that AWS does not allow yet: tried again at growing intervals,
//! however often their key of work is woken in between.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::{Reconciler, WorkOf, lock};
use crate::apply::{Applied, Failure};
use crate::aws::operations::DELETE_SECURITY_GROUP;
use crate::aws::{Class, Error};
use crate::plan::step::{Plan, Step, StepId};

/// Pause after the first refusal; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LAST: Duration = Duration::from_mins(5);
/// The interfaces of a load balancer hold its security groups for a while
/// after it is gone: nothing is tried before.
const INTERFACES: Duration = Duration::from_secs(2);

/// The deletions that wait, by ARN or id of what is to go.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<BTreeMap<String, Refused>>);

#[derive(Debug)]
struct Refused {
    /// What AWS said last.
    error: Error,
    times: u32,
    until: Instant,
}

/// Whether a failure of a plan is a deletion that is not allowed yet.
pub(super) fn is_held(plan: &Plan, failure: &Failure) -> bool {
    matches!(failure.error.class, Class::InUse | Class::Protected)
        && deleted(&plan.steps[failure.step].step).is_some()
}

impl Held {
    /// Steps of a plan whose time has not come, with what AWS said last.
    pub fn deferred(&self, plan: &Plan, now: Instant) -> BTreeMap<StepId, Error> {
        let held = lock(&self.0);
        let steps = plan.steps.iter().enumerate();
        steps
            .filter_map(|(id, planned)| {
                let refused = held.get(deleted(&planned.step)?)?;
                (refused.until > now).then(|| (id, refused.error.clone()))
            })
            .collect()
    }

    /// Has a security group wait whose load balancer went a moment ago.
    pub fn let_go(&self, id: &str, at: Instant) {
        let until = at + INTERFACES;
        let mut held = lock(&self.0);
        let refused = held.entry(id.to_owned()).or_insert_with(|| Refused {
            error: held_by_interfaces(),
            times: 0,
            until,
        });
        refused.until = refused.until.max(until);
    }

    /// Notes what became of a plan of which `deferred` was not tried.
    pub fn note(
        &self,
        plan: &Plan,
        deferred: &BTreeMap<StepId, Error>,
        applied: &Applied,
        now: Instant,
    ) {
        let mut held = lock(&self.0);
        for id in &applied.done {
            if let Some(gone) = deleted(&plan.steps[*id].step) {
                held.remove(gone);
            }
        }
        let tried =
            |failure: &&Failure| is_held(plan, failure) && !deferred.contains_key(&failure.step);
        for failure in applied.failed.iter().filter(tried) {
            let Some(name) = deleted(&plan.steps[failure.step].step) else {
                continue;
            };
            let times = held.get(name).map_or(1, |refused| refused.times + 1);
            let pause = FIRST.saturating_mul(1 << (times - 1).min(31)).min(LAST);
            let refused = Refused {
                error: failure.error.clone(),
                times,
                until: now + pause,
            };
            held.insert(name.to_owned(), refused);
        }
        // What nobody has tried for so long is not asked for any more.
        held.retain(|_, refused| refused.until + 2 * LAST > now);
    }

    /// When the first of the held deletions of a plan is to be tried again.
    pub fn next(&self, plan: &Plan, now: Instant) -> Option<Duration> {
        let held = lock(&self.0);
        let names = plan.steps.iter().filter_map(|p| deleted(&p.step));
        let pauses = names
            .filter_map(|name| held.get(name))
            .map(|refused| refused.until.saturating_duration_since(now));
        pauses.min()
    }
}

impl Reconciler {
    /// Steps of a plan that are not tried now: their pause is not over, or a
    /// load balancer has the security group that they delete, or had it a
    /// moment ago, as far as this is remembered.
    pub(super) fn deferred(&self, work: WorkOf<'_>, plan: &Plan) -> BTreeMap<StepId, Error> {
        let now = Instant::now();
        self.note_let_go(plan);
        if matches!(work, WorkOf::Backend) {
            for planned in &plan.steps {
                if let Step::DeleteSecurityGroup { id, .. } = &planned.step
                    && self.memory.is_backend_carried()
                {
                    self.held.let_go(id, now);
                }
            }
        }
        let mut deferred = self.held.deferred(plan, now);
        for (step, _) in carried(plan) {
            deferred.entry(step).or_insert_with(held_by_interfaces);
        }
        deferred
    }

    /// Notes when load balancers have gone that had the security groups that a
    /// plan deletes.
    pub(super) fn note_let_go(&self, plan: &Plan) {
        for planned in &plan.steps {
            if let Step::DeleteSecurityGroup { id, .. } = &planned.step
                && let Some(at) = self.memory.let_go_at(id)
            {
                self.held.let_go(id, at);
            }
        }
    }
}

fn held_by_interfaces() -> Error {
    let message = "the interfaces of a load balancer may have it still";
    Error::here(&DELETE_SECURITY_GROUP, Class::InUse, message)
}

/// Security groups that a plan deletes and that one of its load balancers has
/// until then: the deletion is left for another run.
pub(super) fn carried(plan: &Plan) -> impl Iterator<Item = (StepId, &str)> {
    let steps = plan.steps.iter().enumerate();
    steps.filter_map(|(id, planned)| {
        let lets_go =
            |before: &StepId| matches!(plan.steps[*before].step, Step::DeleteLoadBalancer { .. });
        match &planned.step {
            Step::DeleteSecurityGroup { id: group, .. } if planned.after.iter().any(lets_go) => {
                Some((id, group.as_str()))
            }
            _ => None,
        }
    })
}

/// What a step takes away that something else may hold.
fn deleted(step: &Step) -> Option<&str> {
    match step {
        Step::DeleteLoadBalancer { arn, .. } | Step::DeleteTargetGroup { arn, .. } => {
            Some(arn.as_str())
        }
        Step::DeleteSecurityGroup { id, .. } => Some(id),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;
    use crate::plan::step::Planned;

    fn plan() -> Plan {
        let step = Step::DeleteSecurityGroup {
            id: "sg-1".to_owned(),
            name: "front".to_owned(),
        };
        Plan {
            steps: vec![Planned {
                step,
                after: [].into(),
                needs: [].into(),
                low_priority: false,
            }],
            ..Plan::default()
        }
    }

    #[test]
    fn what_a_load_balancer_has_just_let_go_of_is_not_tried_yet() {
        let held = Held::default();
        let plan = plan();
        let now = Instant::now();
        held.let_go("sg-1", now);
        let deferred = held.deferred(&plan, now);
        assert_eq!(deferred[&0].class, Class::InUse);
        held.note(&plan, &deferred, &refused(), now);
        assert_eq!(held.next(&plan, now), Some(INTERFACES));
        let then = now + INTERFACES;
        assert!(held.deferred(&plan, then).is_empty());
        held.note(&plan, &BTreeMap::new(), &refused(), then);
        assert_eq!(held.next(&plan, then), Some(FIRST));
        assert_eq!(carried(&plan).count(), 0);
    }

    fn refused() -> Applied {
        Applied {
            failed: vec![Failure {
                step: 0,
                text: "- security group".to_owned(),
                error: Error::here(&DELETE_SECURITY_GROUP, Class::InUse, "held"),
            }],
            ..Applied::default()
        }
    }

    #[test]
    fn pauses_grow_and_a_step_is_not_tried_in_between() {
        let held = Held::default();
        let plan = plan();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..11 {
            assert!(held.deferred(&plan, now).is_empty());
            held.note(&plan, &BTreeMap::new(), &refused(), now);
            let pause = held.next(&plan, now).unwrap();
            pauses.push(pause.as_secs());
            // Woken meanwhile: nothing is tried, and the pause does not grow.
            now += pause / 2;
            let deferred = held.deferred(&plan, now);
            assert_eq!(deferred.len(), 1);
            held.note(&plan, &deferred, &refused(), now);
            now += held.next(&plan, now).unwrap();
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let done = Applied {
            done: vec![0],
            ..Applied::default()
        };
        held.note(&plan, &BTreeMap::new(), &done, now);
        assert_eq!(held.next(&plan, now), None);
    }
}
