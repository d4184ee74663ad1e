//! The record of a group, for the process that comes after this one: what it
//! says before a change begins, and after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt as _;

use super::Reconciler;
use crate::apply::{self, Announced, unannounced};
use crate::model::applied::{SCHEMA, digest, targets_digest};
use crate::model::desired::{Desired, Intent};
use crate::model::snapshot::Snapshot;
use crate::model::spec::Observed;
use crate::plan::step::{Plan, Step};
use crate::plan::trust::{has_targets, live_target_groups};
use crate::report::{Applied, LastChange, Tried};

impl Reconciler {
    /// Hash of what a group should be.
    pub(super) fn digest(&self, desired: &Desired) -> String {
        digest(desired, &self.settings.vpc_id)
    }

    /// What the steps of a group's plan wait for: that its record says so. It
    /// is written when the first of them is about to begin.
    pub(super) fn announced(&self, desired: &Desired, plan: &Plan) -> Announced {
        if plan.is_empty() {
            return unannounced();
        }
        let digest = self.digest(desired);
        let begun = LastChange::begun(plan);
        let desired = desired.clone();
        let reporter = Arc::clone(&self.parts.reporter);
        let announce = async move {
            let announced = reporter.announce(&desired, &digest, &begun).await;
            announced
                .inspect_err(|error| {
                    tracing::warn!(group = %desired.group, %error, "the change does not begin");
                })
                .is_ok()
        };
        announce.boxed().shared()
    }

    /// Has the record of a group doubt the targets that a plan is about to
    /// change.
    pub(super) fn doubt_targets(&self, desired: &Desired, plan: &Plan) {
        let Intent::Serve(stack) = &desired.intent else {
            return;
        };
        let keys = plan.steps.iter().filter_map(|planned| match &planned.step {
            Step::RegisterTargets { key, .. } | Step::DeregisterTargets { key, .. } => Some(key),
            _ => None,
        });
        let wished = keys.filter_map(|key| stack.target_groups.get(key));
        let names = wished.map(|wished| wished.target_group.name.clone());
        let reporter = &self.parts.reporter;
        reporter.targets_change(&desired.group, names.collect());
    }

    /// A change that was noted, for people.
    pub(super) fn tried(&self, desired: &Desired, plan: &Plan, applied: &apply::Applied) -> Tried {
        Tried {
            digest: self.digest(desired),
            begun: LastChange::begun(plan),
            complete: applied.is_complete(),
        }
    }

    /// What the record of a group is to say after a plan has come to this. It
    /// says that a change is made only when every step of it was answered.
    pub(super) fn record_of(
        &self,
        desired: &Desired,
        observed: &Observed,
        applied: &apply::Applied,
        snapshot: &Snapshot,
    ) -> Option<Applied> {
        if desired.intent == Intent::LeaveAlone {
            return None;
        }
        let mut record = if applied.is_complete() {
            Applied {
                schema: SCHEMA,
                digest: Some(self.digest(desired)),
                ..Applied::default()
            }
        } else {
            let before = self.parts.reporter.record(&desired.group);
            before.unwrap_or_default()
        };
        record.targets = match &desired.intent {
            Intent::Serve(stack) => live_target_groups(stack, observed)
                .filter(|(wished, live)| has_targets(wished, live))
                .map(|(wished, _)| {
                    let name = wished.target_group.name.clone();
                    (name, targets_digest(wished, snapshot))
                })
                .collect(),
            _ => BTreeMap::new(),
        };
        Some(record)
    }
}
