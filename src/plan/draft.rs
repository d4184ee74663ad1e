//! A plan while it is being written down: steps are only ever added at the
//! end, so an edge always points to an earlier step.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Need, Plan, Planned, Step, StepId};
use crate::model::spec::{Action, Arn, TargetGroupKey, TargetGroupRef};

/// Steps so far, and what of them later steps must know.
#[derive(Debug, Default)]
pub(super) struct Draft {
    steps: Vec<Planned>,
    /// The step that makes the frontend security group.
    pub(super) frontend: Option<StepId>,
    /// The step that makes the load balancer.
    pub(super) load_balancer: Option<StepId>,
    /// The steps that make listeners, by port.
    pub(super) listeners: BTreeMap<u16, StepId>,
    /// How actions name each wished target group.
    pub(super) target_groups: BTreeMap<TargetGroupKey, TargetGroupRef>,
    /// The steps that make target groups.
    pub(super) made_target_groups: BTreeMap<TargetGroupKey, StepId>,
    /// The steps that fill the target groups made by this plan.
    pub(super) filled: BTreeMap<TargetGroupKey, Vec<StepId>>,
    /// Steps after which a rule, listener or load balancer no longer forwards
    /// to what it forwarded to.
    pub(super) released: BTreeMap<Arn, StepId>,
    /// The steps that delete listeners, with all their rules.
    pub(super) deleted_listeners: BTreeMap<Arn, StepId>,
    /// The step after which the load balancer no longer uses the security
    /// groups that it used.
    pub(super) detached: Option<StepId>,
    /// Live target groups that another load balancer must let go of before
    /// anything may forward to them, with the step that makes it do so.
    pub(super) taken: BTreeMap<Arn, StepId>,
}

impl Draft {
    /// Adds a step.
    pub(super) fn add(&mut self, step: Step, after: impl IntoIterator<Item = StepId>) -> StepId {
        self.push(step, after.into_iter().collect(), BTreeSet::new(), false)
    }

    /// Adds a step that needs what other keys of work make.
    pub(super) fn add_needing(
        &mut self,
        step: Step,
        after: impl IntoIterator<Item = StepId>,
        needs: BTreeSet<Need>,
    ) -> StepId {
        self.push(step, after.into_iter().collect(), needs, false)
    }

    /// Adds a step that can wait until nothing else is to be done.
    pub(super) fn add_late(
        &mut self,
        step: Step,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        self.push(step, after.into_iter().collect(), BTreeSet::new(), true)
    }

    fn push(
        &mut self,
        step: Step,
        after: BTreeSet<StepId>,
        needs: BTreeSet<Need>,
        low_priority: bool,
    ) -> StepId {
        self.steps.push(Planned {
            step,
            after,
            needs,
            low_priority,
        });
        self.steps.len() - 1
    }

    /// The action with its target group as steps name it.
    pub(super) fn resolve(&self, action: &Action) -> Action {
        match action {
            Action::Forward(TargetGroupRef::Key(key)) => Action::Forward(
                self.target_groups
                    .get(key)
                    .cloned()
                    .unwrap_or_else(|| TargetGroupRef::Key(key.clone())),
            ),
            other => other.clone(),
        }
    }

    /// Steps without which AWS refuses the action: the target group is made,
    /// and no other load balancer holds it.
    pub(super) fn before_action(&self, action: &Action) -> Vec<StepId> {
        match action {
            Action::Forward(TargetGroupRef::Key(key)) => self
                .made_target_groups
                .get(key)
                .copied()
                .into_iter()
                .collect(),
            Action::Forward(TargetGroupRef::Arn(arn)) => {
                self.taken.get(arn).copied().into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// As `before_action`, and the target group has its targets: what serves
    /// already is not switched to an empty target group.
    pub(super) fn before_switch(&self, action: &Action) -> Vec<StepId> {
        let mut before = self.before_action(action);
        if let Action::Forward(TargetGroupRef::Key(key)) = action {
            before.extend(self.filled.get(key).into_iter().flatten());
        }
        before
    }

    /// The finished plan.
    pub(super) fn finish(self, names: BTreeMap<Arn, String>) -> Plan {
        Plan {
            names: if self.steps.is_empty() {
                BTreeMap::new()
            } else {
                names
            },
            steps: self.steps,
        }
    }
}
