//! What goes, last and in reverse: load balancers (their listeners and rules
//! go with them), target groups that nothing forwards to any more, security
//! groups that no load balancer uses any more.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::hold::Keep;
use super::step::{Step, StepId};
use crate::model::spec::{Action, Arn, Observed, TargetGroupRef};

/// Adds the removal of all that AWS holds for the group.
pub(super) fn everything(observed: &Observed, draft: &mut Draft) {
    for live in &observed.load_balancers {
        let step = Step::DeleteLoadBalancer {
            arn: live.arn.clone(),
            name: live.spec.name.clone(),
            scheme: live.spec.scheme,
        };
        let id = draft.add(step, []);
        draft.released.insert(live.arn.clone(), id);
    }
    target_groups(&BTreeSet::new(), &Keep::default(), observed, draft);
    security_groups(false, observed, draft);
}

/// Adds the deletion of target groups that are not in use. One that something
/// still forwards to after this plan is left.
pub(super) fn target_groups(
    in_use: &BTreeSet<Arn>,
    keep: &Keep,
    observed: &Observed,
    draft: &mut Draft,
) {
    for live in &observed.target_groups {
        if in_use.contains(&live.arn) || keep.target_groups.contains(&live.arn) {
            continue;
        }
        let Some(after) = released(&live.arn, observed, draft) else {
            continue;
        };
        draft.add(
            Step::DeleteTargetGroup {
                arn: live.arn.clone(),
                key: live.spec.key.clone(),
            },
            after,
        );
    }
}

/// The steps after which nothing forwards to a target group; `None` where
/// something goes on doing so.
fn released(target_group: &Arn, observed: &Observed, draft: &Draft) -> Option<BTreeSet<StepId>> {
    let forwards =
        |action: &Action| *action == Action::Forward(TargetGroupRef::Arn(target_group.clone()));
    let mut after = BTreeSet::new();
    for load_balancer in &observed.load_balancers {
        let whole = draft.released.get(&load_balancer.arn);
        for listener in load_balancer.listeners.values() {
            let gone = draft.deleted_listeners.get(&listener.arn);
            if forwards(&listener.spec.default_action) {
                let changed = draft.released.get(&listener.arn);
                after.insert(*whole.or(gone).or(changed)?);
            }
            for rule in listener.rules.values() {
                if forwards(&rule.spec.action) {
                    let changed = draft.released.get(&rule.arn);
                    after.insert(*whole.or(gone).or(changed)?);
                }
            }
        }
    }
    Some(after)
}

/// Adds the deletion of frontend security groups that are not wished; of
/// several wished ones the first is in use.
pub(super) fn security_groups(wished: bool, observed: &Observed, draft: &mut Draft) {
    let mut after: BTreeSet<StepId> = observed
        .load_balancers
        .iter()
        .filter_map(|live| draft.released.get(&live.arn))
        .copied()
        .collect();
    after.extend(draft.detached);
    for live in observed.security_groups.iter().skip(usize::from(wished)) {
        draft.add(
            Step::DeleteSecurityGroup {
                id: live.arn.to_string(),
                name: live.spec.name.clone(),
            },
            after.iter().copied(),
        );
    }
}
