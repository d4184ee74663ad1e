//! Targets: register what is missing, deregister what is surplus, as few
//! calls as AWS's limit allows.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::step::{Need, Step, StepId};
use crate::model::spec::{Arn, Target, TargetGroupKey, TargetGroupRef};

/// Targets of one call; the documented limit of the API is higher, this is
/// what aws-load-balancer-controller uses and AWS is known to take.
const TARGETS_OF_A_CALL: usize = 200;

/// Adds the calls that fill a target group that `made` creates, or one that
/// is live.
pub(super) fn register(
    target_group: &TargetGroupRef,
    key: &TargetGroupKey,
    targets: BTreeSet<Target>,
    made: Option<StepId>,
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
                made,
                needs.clone(),
            )
        })
        .collect()
}

/// Adds the calls that bring a live target group from what it has to what is
/// wished. Surplus targets go at once and wait for nothing: their pods are
/// gone.
pub(super) fn diff(
    arn: &Arn,
    key: &TargetGroupKey,
    live: &BTreeSet<Target>,
    wished: &BTreeSet<Target>,
    needs: &BTreeSet<Need>,
    draft: &mut Draft,
) {
    let live = by_identity(live);
    let wished = by_identity(wished);
    let missing = difference(&wished, &live);
    let surplus = difference(&live, &wished);
    register(
        &TargetGroupRef::Arn(arn.clone()),
        key,
        missing,
        None,
        needs,
        draft,
    );
    for targets in batches(surplus) {
        draft.add(
            Step::DeregisterTargets {
                target_group: arn.clone(),
                key: key.clone(),
                targets,
            },
            [],
        );
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

    fn target(n: u16, outside_vpc: bool) -> Target {
        Target {
            id: format!("10.0.{}.{}", n / 250, n % 250),
            port: 8080,
            outside_vpc,
        }
    }

    #[test]
    fn a_zone_is_not_part_of_a_targets_identity() {
        let mut draft = Draft::default();
        diff(
            &Arn::from("arn:tg"),
            &TargetGroupKey("a/b-c:80".to_owned()),
            &BTreeSet::from([target(1, false)]),
            &BTreeSet::from([target(1, true)]),
            &BTreeSet::new(),
            &mut draft,
        );
        assert!(draft.finish(BTreeMap::new()).is_empty());
    }

    #[test]
    fn four_hundred_and_one_targets_take_three_calls() {
        let mut draft = Draft::default();
        diff(
            &Arn::from("arn:tg"),
            &TargetGroupKey("a/b-c:80".to_owned()),
            &BTreeSet::new(),
            &(0..401).map(|n| target(n, false)).collect(),
            &BTreeSet::new(),
            &mut draft,
        );
        assert_eq!(draft.finish(BTreeMap::new()).steps.len(), 3);
    }
}
