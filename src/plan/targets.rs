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
        .map(|targets| {
            draft.add_needing(
                Step::RegisterTargets {
                    target_group: target_group.clone(),
                    key: key.clone(),
                    targets,
                },
                after.iter().copied(),
                needs.clone(),
            )
        })
        .collect()
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
    /// takes no more (`full`).
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
            register(&name, key, missing, &gone, needs, draft);
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
