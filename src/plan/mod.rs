//! DECIDE. What is to be done, as data.
//!
//! May use: `model::{spec, desired, ownership, finding, limits, records, backend}`.
//! Pure: knows no clock, no client, no environment, no Kubernetes type.
//!
//! # The order of a plan
//!
//! Security group, target groups with their targets, load balancer,
//! listeners, rules; then what goes, the other way round. Steps stand in an
//! order that is safe one by one; the edges between them are as thin as AWS
//! and continuity allow, so that what is ready runs side by side and what
//! fails holds up only what builds on it.
//!
//! # When the scheme changes
//!
//! A load balancer cannot change its scheme, and a target group can belong to
//! one load balancer only; its name, which does not depend on the scheme,
//! forbids a second one beside it. So there is a moment in which the target
//! groups change hands. It is kept as short as can be: the new load balancer
//! is made with its listeners and all rules that need no target group; once
//! AWS says that it is active (a matter of minutes, in which the old one
//! serves), the old one is deleted and the remaining rules follow at once.
//! Where no hosted zone is for the new scheme, the records that lead to the
//! old one go before it does.
//! (aws-load-balancer-controller deletes the old one first.)

pub mod backend;
pub mod blame;
pub mod dns;
mod draft;
pub mod effect;
#[cfg(test)]
mod fixture;
mod hold;
mod listeners;
mod load_balancer;
mod overlap;
mod removal;
mod room;
mod rules;
mod security_groups;
pub mod step;
mod tags;
mod target_groups;
mod targets;
#[cfg(test)]
mod tests;
mod text;
pub mod trust;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::{Desired, Intent, Stack};
use crate::model::limits::Limits;
use crate::model::spec::{
    Action, Arn, Live, LiveLoadBalancer, Observed, SecurityGroup, TargetGroupRef,
};
use draft::Draft;
use hold::Keep;
use room::Room;
use step::Plan;
use tags::TagChanges;

pub use load_balancer::{current, successor};

/// What a plan depends on beside its group: what other keys of work have made
/// so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanContext {
    /// Id of the shared backend security group, once it exists.
    pub backend: Option<String>,
    /// Ports that the shared backend security group is let in at, on all
    /// groups of nodes and pods that matter.
    pub open_ports: BTreeSet<u16>,
    /// How many of a kind the load balancer may have, where AWS has refused one
    /// more.
    pub limits: Limits,
    /// Whether records lead to a load balancer that is to be replaced by one
    /// that gets none: then it stays until they are gone.
    pub records_go_first: bool,
}

/// The live things that a stack is compared with.
#[derive(Debug)]
struct Current<'a> {
    load_balancer: Option<&'a LiveLoadBalancer>,
    frontend: Option<&'a Live<SecurityGroup>>,
}

/// Decides what makes AWS hold what is desired.
///
/// Parts of frozen members, and of leavers that are held, stay as they are, and
/// with them every group-wide value; see `hold` for what their neighbours may
/// still do.
pub fn diff(desired: &Desired, observed: &Observed, cx: &PlanContext) -> Plan {
    match &desired.intent {
        Intent::LeaveAlone => Plan::default(),
        Intent::Remove if !desired.held.is_empty() => keep(desired, observed, cx),
        Intent::Remove => {
            let mut draft = Draft::default();
            removal::everything(observed, &mut draft);
            draft.finish(names(observed))
        }
        Intent::Serve(stack) => {
            let fitting = load_balancer::matching(&stack.load_balancer, observed);
            let blocked = fitting.is_none() && !desired.blocks_creation.is_empty();
            let held = blocked || desired.keeps_live_parts();
            match held.then(|| hold::serving(stack, observed)).flatten() {
                Some(live) => {
                    let held = hold::overlay(Some(stack), desired, live, observed);
                    serve(&held.stack, Some(live), &held.keep, observed, cx)
                }
                None if blocked => unmade(desired, observed),
                None => {
                    let keep = hold::unmade(desired, false, observed);
                    serve(stack, fitting, &keep, observed, cx)
                }
            }
        }
        Intent::Hold => keep(desired, observed, cx),
    }
}

/// The plan for a group of which everything is kept, but for what belongs to
/// leavers that are not held.
fn keep(desired: &Desired, observed: &Observed, cx: &PlanContext) -> Plan {
    match hold::most_used(observed) {
        Some(live) => {
            let held = hold::overlay(None, desired, live, observed);
            serve(&held.stack, Some(live), &held.keep, observed, cx)
        }
        None => unmade(desired, observed),
    }
}

/// The plan for a group that waits and has no load balancer: only what is
/// left of leavers goes.
fn unmade(desired: &Desired, observed: &Observed) -> Plan {
    let mut draft = Draft::default();
    let keep = hold::unmade(desired, true, observed);
    removal::target_groups(&BTreeSet::new(), &keep, observed, &mut draft);
    draft.finish(names(observed))
}

/// Compares a stack with what is live.
fn serve(
    stack: &Stack,
    live: Option<&LiveLoadBalancer>,
    keep: &Keep,
    observed: &Observed,
    cx: &PlanContext,
) -> Plan {
    let current = Current {
        load_balancer: live,
        frontend: security_groups::frontend(observed),
    };
    let mut draft = Draft::default();
    let mut tags = TagChanges::default();

    let revoke = security_groups::diff(stack.frontend.as_ref(), &current, cx, &mut draft);
    let in_use = target_groups::diff(&stack.target_groups, observed, cx, &mut tags, &mut draft);
    load_balancer::diff(stack, &current, cx, &mut tags, &mut draft);

    let replaced = load_balancer::replaced(&current, keep, observed);
    let held_elsewhere = load_balancer::targets_of(&replaced);
    let (late, early): (BTreeMap<_, _>, BTreeMap<_, _>) =
        stack.listeners.iter().partition(|(_, wished)| {
            let action = draft.resolve(&wished.listener.default_action);
            matches!(&action, Action::Forward(TargetGroupRef::Arn(arn)) if held_elsewhere.contains(arn))
        });
    let room = Room::make(&stack.listeners, &current, cx.limits, &mut draft);
    let mut leftovers = listeners::diff(&early, &current, &room, &mut tags, &mut draft);
    load_balancer::remove_replaced(stack, &replaced, &current, cx, &mut draft);
    leftovers.append(listeners::diff(
        &late, &current, &room, &mut tags, &mut draft,
    ));
    listeners::diff_rules(
        &stack.listeners,
        &current,
        cx.limits,
        &mut leftovers,
        &mut tags,
        &mut draft,
    );
    tags.write(&mut draft);

    leftovers.find_unwished(&stack.listeners, &current, &draft);
    listeners::remove(leftovers, &mut draft);
    removal::target_groups(&in_use, keep, observed, &mut draft);
    if let Some((revoke, opened)) = revoke {
        draft.add(revoke, opened);
    }
    if !keep.group_wide {
        removal::security_groups(stack.frontend.is_some(), observed, &mut draft);
    }
    tags.write_moved(&mut draft);
    draft.finish(names(observed))
}

/// What people call the live things that steps name by ARN.
fn names(observed: &Observed) -> BTreeMap<Arn, String> {
    let mut names = BTreeMap::new();
    for group in &observed.target_groups {
        names.insert(group.arn.clone(), group.spec.key.to_string());
    }
    for load_balancer in &observed.load_balancers {
        names.insert(load_balancer.arn.clone(), load_balancer.spec.name.clone());
        for listener in load_balancer.listeners.values() {
            for (priority, rule) in &listener.rules {
                names.insert(rule.arn.clone(), priority.to_string());
            }
        }
    }
    names
}
