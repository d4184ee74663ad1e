//! The load balancer itself: made, changed in place, or replaced when its
//! scheme changes.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::hold::{self, Keep};
use super::security_groups::logical;
use super::step::{Need, Step};
use super::tags::{Carrier, TagChanges};
use super::{Current, PlanContext};
use crate::model::desired::{Desired, Intent, Stack};
use crate::model::spec::{
    Action, Arn, LiveLoadBalancer, LoadBalancer, LoadBalancerState, Observed, SecurityGroupRef,
    TargetGroupRef,
};

/// The load balancer that serves the group now: the one whose address belongs
/// into status and records. While one replaces another, it is the old one
/// until the new one is active and has the rules. Not always active itself:
/// the status names it from the first moment, a record waits.
pub fn current<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a LiveLoadBalancer> {
    let Intent::Serve(stack) = &desired.intent else {
        return hold::most_used(observed);
    };
    let wished = matching(&stack.load_balancer, observed);
    match wished {
        Some(live) if is_active(live) && hold::most_rules(observed) <= hold::rule_count(live) => {
            Some(live)
        }
        _ => observed
            .load_balancers
            .iter()
            .find(|live| is_active(live) && !live.listeners.is_empty())
            .or(wished)
            .or(observed.load_balancers.first()),
    }
}

/// The load balancer that is about to replace the others of its group: it is
/// active, and nothing else holds them.
pub fn successor<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a LiveLoadBalancer> {
    let Intent::Serve(stack) = &desired.intent else {
        return None;
    };
    let replaces = desired.frozen.is_empty() && observed.load_balancers.len() > 1;
    let wished = matching(&stack.load_balancer, observed);
    wished.filter(|live| replaces && is_active(live))
}

fn is_active(live: &LiveLoadBalancer) -> bool {
    matches!(
        live.state,
        LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
    )
}

/// The live load balancer that can become the wished one.
pub(super) fn matching<'a>(
    wished: &LoadBalancer,
    observed: &'a Observed,
) -> Option<&'a LiveLoadBalancer> {
    observed
        .load_balancers
        .iter()
        .filter(|live| live.spec.scheme == wished.scheme)
        .max_by_key(|live| (live.spec.name == wished.name, live.listeners.len()))
}

/// Adds what makes or changes the load balancer.
pub(super) fn diff(
    stack: &Stack,
    current: &Current<'_>,
    cx: &PlanContext,
    tags: &mut TagChanges,
    draft: &mut Draft,
) {
    let mut wished = stack.load_balancer.clone();
    wished.security_groups = logical_set(&wished.security_groups, current, cx);
    let needs: BTreeSet<Need> = (cx.backend.is_none()
        && wished.security_groups.contains(&SecurityGroupRef::Backend))
    .then_some(Need::BackendSecurityGroup)
    .into_iter()
    .collect();
    let frontend = wished
        .security_groups
        .contains(&SecurityGroupRef::Frontend)
        .then_some(draft.frontend)
        .flatten();
    let Some(live) = current.load_balancer else {
        let step = Step::CreateLoadBalancer(wished);
        draft.load_balancer = Some(draft.add_needing(step, frontend, needs));
        return;
    };
    let live_groups = logical_set(&live.spec.security_groups, current, cx);
    if wished.security_groups != live_groups {
        let mut needs = needs;
        let backend = SecurityGroupRef::Backend;
        if wished.security_groups.contains(&backend) && !live_groups.contains(&backend) {
            // The targets are registered: they must let it in before it is
            // what the load balancer comes with.
            let ports = stack.target_groups.values().flat_map(|g| &g.backend_ports);
            let closed = ports.filter(|port| !cx.open_ports.contains(port));
            needs.extend(closed.map(|port| Need::BackendPort(*port)));
        }
        let step = Step::SetSecurityGroups {
            load_balancer: live.arn.clone(),
            security_groups: wished.security_groups,
        };
        draft.detached = Some(draft.add_needing(step, frontend, needs));
    }
    if !stack.subnets_discovered && wished.subnets != live.spec.subnets {
        draft.add(
            Step::SetSubnets {
                load_balancer: live.arn.clone(),
                subnets: wished.subnets,
            },
            [],
        );
    }
    tags.compare(
        Carrier::LoadBalancer,
        &live.arn,
        &live.spec.name,
        &live.spec.tags,
        &wished.tags,
    );
}

fn logical_set(
    groups: &BTreeSet<SecurityGroupRef>,
    current: &Current<'_>,
    cx: &PlanContext,
) -> BTreeSet<SecurityGroupRef> {
    groups
        .iter()
        .map(|group| logical(group, current.frontend, cx))
        .collect()
}

/// Live load balancers that go once the current one is there.
pub(super) fn replaced<'a>(
    current: &Current<'_>,
    keep: &Keep,
    observed: &'a Observed,
) -> Vec<&'a LiveLoadBalancer> {
    if keep.group_wide {
        return Vec::new();
    }
    observed
        .load_balancers
        .iter()
        .filter(|live| {
            current
                .load_balancer
                .is_none_or(|kept| kept.arn != live.arn)
        })
        .collect()
}

/// Target groups that load balancers forward to.
pub(super) fn targets_of(load_balancers: &[&LiveLoadBalancer]) -> BTreeSet<Arn> {
    load_balancers
        .iter()
        .flat_map(|lb| lb.listeners.values())
        .flat_map(|listener| {
            let rules = listener.rules.values().map(|rule| &rule.spec.action);
            rules.chain([&listener.spec.default_action])
        })
        .filter_map(|action| match action {
            Action::Forward(TargetGroupRef::Arn(arn)) => Some(arn.clone()),
            _ => None,
        })
        .collect()
}

/// Adds the deletion of replaced load balancers: after the new one has its
/// listeners and is active.
pub(super) fn remove_replaced(
    stack: &Stack,
    replaced: &[&LiveLoadBalancer],
    current: &Current<'_>,
    cx: &PlanContext,
    draft: &mut Draft,
) {
    for live in replaced {
        let mut after: BTreeSet<_> = draft.listeners.values().copied().collect();
        after.extend(draft.load_balancer);
        let is_ready = current.load_balancer.is_some_and(is_active);
        let active = (!is_ready).then(|| Need::ActiveLoadBalancer {
            name: stack.load_balancer.name.clone(),
        });
        let records = cx.records_go_first.then_some(Need::RecordsGone);
        let needs: BTreeSet<Need> = active.into_iter().chain(records).collect();
        let step = Step::DeleteLoadBalancer {
            arn: live.arn.clone(),
            name: live.spec.name.clone(),
            scheme: live.spec.scheme,
        };
        let id = draft.add_needing(step, after, needs);
        draft.released.insert(live.arn.clone(), id);
        for arn in targets_of(&[live]) {
            draft.taken.insert(arn, id);
        }
    }
}
