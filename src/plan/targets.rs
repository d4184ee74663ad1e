//! Targets: register what is missing, deregister what is surplus, as few
//! calls as AWS's limit allows.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::step::{Need, Step, StepId};
use crate::model::spec::{Arn, Target, TargetGroupKey, TargetGroupRef};

/// Targets of one call; the documented limit of the API is higher, this is
/// what aws-load-balancer-controller uses and AWS is known to take.
const TARGETS_OF_A_CALL: usize = 200;

/// Adds the calls that register targets, after these steps.
pub(super) fn register(
    target_group: &TargetGroupRef,
    key: &TargetGroupKey,
    targets: BTreeSet<Target>,
    after: &[StepId],
    needs: &BTreeSet<Need>,
    draft: &mut Draft,
) -> Vec<StepId> {
    batches(targets)
        .into_iter()
        .map(|targets| register_batch(target_group, key, targets, after, needs, draft))
        .collect()
}

fn register_batch(
    target_group: &TargetGroupRef,
    key: &TargetGroupKey,
    targets: BTreeSet<Target>,
    after: &[StepId],
    needs: &BTreeSet<Need>,
    draft: &mut Draft,
) -> StepId {
    let step = Step::RegisterTargets {
        target_group: target_group.clone(),
        key: key.clone(),
        targets,
    };
    draft.add_needing(step, after.iter().copied(), needs.clone())
}

/// What a live target group has too few and too many of.
#[derive(Debug)]
pub(super) struct Changes {
    missing: BTreeSet<Target>,
    surplus: BTreeSet<Target>,
}

impl Changes {
    /// Compares.
    pub(super) fn new(live: &BTreeSet<Target>, wished: &BTreeSet<Target>) -> Self {
        let live = by_identity(live);
        let wished = by_identity(wished);
        Self {
            missing: difference(&wished, &live),
            surplus: difference(&live, &wished),
        }
    }

    /// Adds the calls. Surplus targets go at once and wait for nothing: their
    /// pods are gone. New ones wait for that only where AWS has said that it
    /// takes no more (`full`); then they come in ever smaller batches, for one
    /// is refused as a whole, and what fits shall be registered.
    pub(super) fn add(
        self,
        arn: &Arn,
        key: &TargetGroupKey,
        needs: &BTreeSet<Need>,
        full: bool,
        draft: &mut Draft,
    ) {
        let name = TargetGroupRef::Arn(arn.clone());
        let Self { missing, surplus } = self;
        let deregister = |draft: &mut Draft| -> Vec<StepId> {
            let steps = batches(surplus)
                .into_iter()
                .map(|targets| Step::DeregisterTargets {
                    target_group: arn.clone(),
                    key: key.clone(),
                    targets,
                });
            steps.map(|step| draft.add(step, [])).collect()
        };
        if full {
            let gone = deregister(draft);
            for targets in halves(missing) {
                register_batch(&name, key, targets, &gone, needs, draft);
            }
        } else {
            register(&name, key, missing, &[], needs, draft);
            deregister(draft);
        }
    }
}

/// Targets by what makes them one: id and port.
fn by_identity(targets: &BTreeSet<Target>) -> BTreeMap<(&str, u16), &Target> {
    targets
        .iter()
        .map(|target| ((target.id.as_str(), target.port), target))
        .collect()
}

fn difference(
    a: &BTreeMap<(&str, u16), &Target>,
    b: &BTreeMap<(&str, u16), &Target>,
) -> BTreeSet<Target> {
    a.iter()
        .filter(|(identity, _)| !b.contains_key(*identity))
        .map(|(_, target)| (*target).clone())
        .collect()
}

fn batches(targets: BTreeSet<Target>) -> Vec<BTreeSet<Target>> {
    let targets: Vec<Target> = targets.into_iter().collect();
    targets
        .chunks(TARGETS_OF_A_CALL)
        .map(|chunk| chunk.iter().cloned().collect())
        .collect()
}

/// Half of the targets, half of what is left, and so on down to one: whatever
/// number fits, some of these batches add up to it.
fn halves(targets: BTreeSet<Target>) -> Vec<BTreeSet<Target>> {
    let mut left: Vec<Target> = targets.into_iter().collect();
    let mut batches = Vec::new();
    while !left.is_empty() {
        let half = left.len().div_ceil(2).min(TARGETS_OF_A_CALL);
        batches.push(left.drain(..half).collect());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::step::Plan;

    fn target(n: u16, outside_vpc: bool) -> Target {
        Target {
            id: format!("10.0.{}.{}", n / 250, n % 250),
            port: 8080,
            outside_vpc,
        }
    }

    fn planned(live: &BTreeSet<Target>, wished: &BTreeSet<Target>, full: bool) -> Plan {
        let mut draft = Draft::default();
        Changes::new(live, wished).add(
            &Arn::from("arn:tg"),
            &TargetGroupKey("a/b-c:80".to_owned()),
            &BTreeSet::new(),
            full,
            &mut draft,
        );
        draft.finish(BTreeMap::new())
    }

    #[test]
    fn a_zone_is_not_part_of_a_targets_identity() {
        let live = BTreeSet::from([target(1, false)]);
        let plan = planned(&live, &BTreeSet::from([target(1, true)]), false);
        assert!(plan.is_empty());
    }

    #[test]
    fn four_hundred_and_one_targets_take_three_calls() {
        let wished = (0..401).map(|n| target(n, false)).collect();
        assert_eq!(planned(&BTreeSet::new(), &wished, false).steps.len(), 3);
    }

    #[test]
    fn where_it_is_not_known_how_many_fit_the_batches_add_up_to_any_number() {
        for count in [1, 2, 3, 5, 200, 401] {
            let wished = (0..count).map(|n| target(n, false)).collect();
            let sizes: Vec<usize> = halves(wished).iter().map(BTreeSet::len).collect();
            assert_eq!(sizes.iter().sum::<usize>(), usize::from(count));
            for room in 0..=usize::from(count) {
                let taken = sizes.iter().fold(0, |taken, size| {
                    if taken + size <= room {
                        taken + size
                    } else {
                        taken
                    }
                });
                assert_eq!(taken, room, "{sizes:?}");
            }
        }
    }

    #[test]
    fn where_no_more_fit_those_that_go_go_first() {
        let live = BTreeSet::from([target(1, false), target(2, false)]);
        let wished = BTreeSet::from([target(2, false), target(3, false)]);
        let kinds = |plan: &Plan| -> Vec<&'static str> {
            plan.steps
                .iter()
                .map(|planned| planned.step.kind())
                .collect()
        };
        let plan = planned(&live, &wished, false);
        assert_eq!(kinds(&plan), ["register-targets", "deregister-targets"]);
        assert!(plan.steps[1].after.is_empty());
        let plan = planned(&live, &wished, true);
        assert_eq!(kinds(&plan), ["deregister-targets", "register-targets"]);
        assert!(plan.steps[1].after.contains(&0));
    }
}
