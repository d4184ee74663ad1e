//! Target groups: matched by key, kept where they can become what is wished,
//! else replaced: the new one is made and filled first, the old one goes when
//! nothing forwards to it.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::step::{Need, Step};
use super::tags::{Carrier, TagChanges};
use super::{PlanContext, targets};
use crate::model::desired::DesiredTargetGroup;
use crate::model::spec::{
    Action, Arn, LiveTargetGroup, Observed, TargetGroup, TargetGroupKey, TargetGroupRef,
};

/// The live target group that serves a wished one, if any can.
///
/// Where AWS holds several of one key, the one that something forwards to is
/// taken, so that nothing moves; then the one with the wished name.
pub(super) fn matching<'a>(
    wished: &TargetGroup,
    observed: &'a Observed,
) -> Option<&'a LiveTargetGroup> {
    let used = forwarded_to(observed);
    observed
        .target_groups
        .iter()
        .filter(|live| live.spec.key == wished.key && !wished.replaces(&live.spec))
        .max_by_key(|live| {
            (
                used.contains(&live.arn),
                live.spec.name == wished.name,
                live.arn.clone(),
            )
        })
}

/// Target groups that some rule or listener forwards to.
pub(super) fn forwarded_to(observed: &Observed) -> BTreeSet<Arn> {
    let mut used = BTreeSet::new();
    for listener in observed
        .load_balancers
        .iter()
        .flat_map(|lb| lb.listeners.values())
    {
        let rules = listener.rules.values().map(|rule| &rule.spec.action);
        for action in rules.chain([&listener.spec.default_action]) {
            if let Action::Forward(TargetGroupRef::Arn(arn)) = action {
                used.insert(arn.clone());
            }
        }
    }
    used
}

/// Adds what makes and changes target groups and their targets; returns those
/// that are in use from now on.
pub(super) fn diff(
    wished: &BTreeMap<TargetGroupKey, DesiredTargetGroup>,
    observed: &Observed,
    cx: &PlanContext,
    tags: &mut TagChanges,
    draft: &mut Draft,
) -> BTreeSet<Arn> {
    let mut in_use = BTreeSet::new();
    for (key, group) in wished {
        let needs: BTreeSet<Need> = group
            .backend_ports
            .iter()
            .filter(|port| !cx.open_ports.contains(port))
            .map(|port| Need::BackendPort(*port))
            .collect();
        let Some(live) = matching(&group.target_group, observed) else {
            let made = draft.add(Step::CreateTargetGroup(group.target_group.clone()), []);
            let name = TargetGroupRef::Key(key.clone());
            let filled =
                targets::register(&name, key, group.targets.clone(), &[made], &needs, draft);
            draft.target_groups.insert(key.clone(), name);
            draft.made_target_groups.insert(key.clone(), made);
            draft.filled.insert(key.clone(), filled);
            continue;
        };
        draft
            .target_groups
            .insert(key.clone(), TargetGroupRef::Arn(live.arn.clone()));
        in_use.insert(live.arn.clone());
        if live.spec.health_check != group.target_group.health_check {
            let port = group.target_group.health_check.port.parse().ok();
            let asked = port.map(Need::BackendPort);
            let asked = asked.filter(|need| needs.contains(need));
            let step = Step::ModifyTargetGroup {
                arn: live.arn.clone(),
                key: key.clone(),
                health_check: group.target_group.health_check.clone(),
            };
            // Targets that nobody can ask are not healthy for long.
            draft.add_needing(step, [], asked.into_iter().collect());
        }
        let changes = targets::Changes::new(&live.targets, &group.targets);
        changes.add(&live.arn, key, &needs, cx.limits.targets, draft);
        tags.compare(
            Carrier::TargetGroup,
            &live.arn,
            &key.0,
            &live.spec.tags,
            &group.target_group.tags,
        );
    }
    in_use
}
