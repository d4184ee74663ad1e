//! Freezing: what is live for a frozen member stays, and with it every value
//! that the group shares.
//!
//! A leaver that is held is treated alike, until its records are gone; only
//! the targets of its target groups go on following its pods.
//!
//! It is done by writing what is live over what is desired, before the two
//! are compared: nothing differs, so nothing is done. Neighbours of a frozen
//! member still change their own rules, target groups and targets, and add
//! rules, listeners and certificates.
//!
//! A target group is attributed by its key, which begins with namespace and
//! name of its Ingress; a rule by the target group that it forwards to. Where
//! that leaves doubt (a redirect, a fixed response, two Ingresses whose names
//! begin alike), the thing stays.

use std::collections::{BTreeMap, BTreeSet};

use super::{load_balancer, security_groups, target_groups};
use crate::model::desired::{Desired, DesiredListener, DesiredRule, DesiredTargetGroup, Stack};
use crate::model::ownership::{RESOURCE_TAG, may_belong_to, rule_resource};
use crate::model::spec::{
    Action, Arn, Live, LiveListener, LiveLoadBalancer, ObjectName, Observed, Protocol, Rule,
    TargetGroupKey, TargetGroupRef,
};

/// What must not be taken away.
#[derive(Debug, Default)]
pub(super) struct Keep {
    /// Target groups that stay though nobody wishes them.
    pub(super) target_groups: BTreeSet<Arn>,
    /// Load balancers and security groups stay, all of them.
    pub(super) group_wide: bool,
}

/// What is desired, with all that is frozen as it is live. Without a stack
/// (every member is frozen) only what belongs to leavers is not in it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) stack: Stack,
    pub(super) keep: Keep,
}

/// The load balancer that serves most: under a freeze the one that counts.
pub(super) fn most_used(observed: &Observed) -> Option<&LiveLoadBalancer> {
    observed
        .load_balancers
        .iter()
        .max_by_key(|live| rule_count(live))
}

/// The load balancer that counts while a member of a served group is frozen.
pub(super) fn serving<'a>(stack: &Stack, observed: &'a Observed) -> Option<&'a LiveLoadBalancer> {
    let wished = load_balancer::matching(&stack.load_balancer, observed);
    match (wished, most_used(observed)) {
        (Some(wished), Some(used)) if rule_count(used) > rule_count(wished) => Some(used),
        (wished, used) => wished.or(used),
    }
}

/// Rules of a load balancer, all listeners together.
pub(super) fn rule_count(live: &LiveLoadBalancer) -> usize {
    live.listeners.values().map(|l| l.rules.len()).sum()
}

/// Rules of the load balancer that has most.
pub(super) fn most_rules(observed: &Observed) -> usize {
    most_used(observed).map_or(0, rule_count)
}

/// Rules of a load balancer that stay for frozen members.
pub(super) fn held_rules(
    stack: &Stack,
    desired: &Desired,
    live: &LiveLoadBalancer,
    observed: &Observed,
) -> usize {
    let held = overlay(Some(stack), desired, live, observed).stack;
    let rules = held.listeners.values().flat_map(|listener| &listener.rules);
    rules
        .filter(|rule| desired.frozen.contains(&rule.owner))
        .count()
}

/// What stays where no load balancer is live: target groups of frozen members
/// and of nobody known.
pub(super) fn unmade(desired: &Desired, waits: bool, observed: &Observed) -> Keep {
    let owners = Owners::new(desired, None, waits);
    if owners.frozen.is_empty() {
        return Keep::default();
    }
    Keep {
        target_groups: owners.kept_target_groups(observed),
        group_wide: true,
    }
}

/// Writes what is live over what is desired.
pub(super) fn overlay(
    stack: Option<&Stack>,
    desired: &Desired,
    live: &LiveLoadBalancer,
    observed: &Observed,
) -> Held {
    let owners = Owners::new(desired, stack, stack.is_none());
    let mut target_groups = own_target_groups(stack, &owners);
    for (key, held) in held_target_groups(desired, observed) {
        target_groups.entry(key).or_insert(held);
    }
    let mut keep = Keep {
        target_groups: owners.kept_target_groups(observed),
        group_wide: true,
    };
    let mut listeners = BTreeMap::new();
    for (port, live) in &live.listeners {
        let wished = stack.and_then(|stack| stack.listeners.get(port));
        let held = held_listener(live, wished, &owners, &target_groups, observed);
        for rule in &held.rules {
            keep.used_by(&rule.rule.action);
        }
        keep.used_by(&held.listener.default_action);
        listeners.insert(*port, held);
    }
    for (port, wished) in stack.iter().flat_map(|stack| &stack.listeners) {
        if !listeners.contains_key(port)
            && let Some(added) = added_listener(wished, &owners, &target_groups)
        {
            listeners.insert(*port, added);
        }
    }
    let mut frontend = security_groups::frontend(observed).map(|live| live.spec.clone());
    if let (Some(frontend), Some(wished)) = (
        &mut frontend,
        stack.and_then(|stack| stack.frontend.as_ref()),
    ) {
        let opens_added = wished.ingress.iter().filter(|permission| {
            permission.ports.is_some_and(|(from, to)| {
                from == to && listeners.contains_key(&from) && !live.listeners.contains_key(&from)
            })
        });
        frontend.ingress.extend(opens_added.cloned());
    }
    Held {
        stack: Stack {
            load_balancer: live.spec.clone(),
            subnets_discovered: true,
            frontend,
            listeners,
            target_groups,
            origins: stack.map(|stack| stack.origins.clone()).unwrap_or_default(),
        },
        keep,
    }
}

impl Keep {
    fn used_by(&mut self, action: &Action) {
        if let Action::Forward(TargetGroupRef::Arn(arn)) = action {
            self.target_groups.insert(arn.clone());
        }
    }
}

/// Who may own what.
#[derive(Debug)]
struct Owners<'a> {
    /// All members in the order of the group.
    order: Vec<&'a ObjectName>,
    /// Those whose live parts stay, held leavers included.
    frozen: BTreeSet<&'a ObjectName>,
    /// Members and leavers that are not: their parts are as desired.
    free: BTreeSet<&'a ObjectName>,
    /// Keys that a free member wishes.
    wished: BTreeSet<&'a TargetGroupKey>,
}

impl<'a> Owners<'a> {
    /// `all`: every member counts as frozen.
    fn new(desired: &'a Desired, stack: Option<&'a Stack>, all: bool) -> Self {
        let members = || desired.members.iter();
        let leavers = || desired.leavers.iter().map(|leaver| &leaver.ingress);
        let frozen: BTreeSet<_> = members()
            .filter(|_| all)
            .chain(&desired.frozen)
            .chain(&desired.held)
            .collect();
        let free = members()
            .chain(leavers())
            .filter(|ingress| !frozen.contains(ingress))
            .collect();
        let wished = stack
            .iter()
            .flat_map(|stack| &stack.target_groups)
            .filter(|(_, group)| !frozen.contains(&group.owner))
            .map(|(key, _)| key)
            .collect();
        Self {
            order: members().collect(),
            frozen,
            free,
            wished,
        }
    }

    /// Whether a target group surely belongs to a member that is not frozen,
    /// or to a leaver.
    fn is_free(&self, key: &TargetGroupKey) -> bool {
        let is_anyones =
            |who: &BTreeSet<&ObjectName>| who.iter().any(|ingress| may_belong_to(key, ingress));
        self.wished.contains(key) || (!is_anyones(&self.frozen) && is_anyones(&self.free))
    }

    fn kept_target_groups(&self, observed: &Observed) -> BTreeSet<Arn> {
        observed
            .target_groups
            .iter()
            .filter(|live| !self.is_free(&live.spec.key))
            .map(|live| live.arn.clone())
            .collect()
    }

    /// Whether a live rule stays though nobody wishes it.
    fn keeps(&self, rule: &Rule, observed: &Observed) -> bool {
        match &rule.action {
            Action::Forward(TargetGroupRef::Arn(arn)) => !observed
                .target_groups
                .iter()
                .any(|live| live.arn == *arn && self.is_free(&live.spec.key)),
            _ => true,
        }
    }

    /// The frozen member that a live rule belongs to, as far as its target
    /// group tells.
    fn of(&self, rule: &Rule, observed: &Observed) -> Option<&'a ObjectName> {
        let Action::Forward(TargetGroupRef::Arn(arn)) = &rule.action else {
            return None;
        };
        let group = observed
            .target_groups
            .iter()
            .find(|live| live.arn == *arn)?;
        let mut frozen = self.frozen.iter();
        frozen
            .find(|ingress| may_belong_to(&group.spec.key, ingress))
            .copied()
    }

    /// Whether one member comes before another in the order of the group.
    fn precedes(&self, a: &ObjectName, b: &ObjectName) -> bool {
        let rank = |name| self.order.iter().position(|member| *member == name);
        rank(a) < rank(b)
    }
}

/// The wished target groups of free members.
fn own_target_groups(
    stack: Option<&Stack>,
    owners: &Owners<'_>,
) -> BTreeMap<TargetGroupKey, DesiredTargetGroup> {
    let wished = stack.iter().flat_map(|stack| &stack.target_groups);
    wished
        .filter(|(_, group)| !owners.frozen.contains(&group.owner))
        .map(|(key, group)| (key.clone(), group.clone()))
        .collect()
}

/// The live target groups of held leavers, with the targets that they would
/// have now.
fn held_target_groups<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (TargetGroupKey, DesiredTargetGroup)> + 'a {
    desired.held_target_groups().filter_map(|(key, wished)| {
        let live = target_groups::matching(&wished.target_group, observed)?;
        let held = DesiredTargetGroup {
            target_group: live.spec.clone(),
            ..wished.clone()
        };
        Some((key.clone(), held))
    })
}

/// A live listener as it is, with the rules of free members as desired and
/// those of frozen ones at their place, and certificates added.
fn held_listener(
    live: &LiveListener,
    wished: Option<&DesiredListener>,
    owners: &Owners<'_>,
    target_groups: &BTreeMap<TargetGroupKey, DesiredTargetGroup>,
    observed: &Observed,
) -> DesiredListener {
    let mut listener = live.spec.clone();
    if let Some(wished) = wished
        && listener.protocol == Protocol::Https
        && wished.listener.protocol == Protocol::Https
    {
        let certificates = &wished.listener.sni_certificates;
        listener
            .sni_certificates
            .extend(certificates.iter().cloned());
        listener
            .sni_certificates
            .extend(wished.listener.default_certificate.clone());
    }
    let wished = wished.map_or(Vec::new(), |wished| free_rules(wished, owners));
    let rules = merge(&live.rules, wished, owners, target_groups, observed);
    let mut held = DesiredListener { listener, rules };
    number(&mut held);
    held
}

fn free_rules(wished: &DesiredListener, owners: &Owners<'_>) -> Vec<DesiredRule> {
    wished
        .rules
        .iter()
        .filter(|rule| !owners.frozen.contains(&rule.owner))
        .cloned()
        .collect()
}

/// A new listener with the rules of free members; none where its default
/// would need something new of a frozen one.
fn added_listener(
    wished: &DesiredListener,
    owners: &Owners<'_>,
    target_groups: &BTreeMap<TargetGroupKey, DesiredTargetGroup>,
) -> Option<DesiredListener> {
    if let Action::Forward(TargetGroupRef::Key(key)) = &wished.listener.default_action
        && !target_groups.contains_key(key)
    {
        return None;
    }
    let mut added = DesiredListener {
        listener: wished.listener.clone(),
        rules: free_rules(wished, owners),
    };
    number(&mut added);
    Some(added)
}

/// Live rules that stay, each behind the live rule that it is behind now and
/// behind those of earlier members, in the midst of what is wished.
fn merge(
    live: &BTreeMap<u32, Live<Rule>>,
    wished: Vec<DesiredRule>,
    owners: &Owners<'_>,
    target_groups: &BTreeMap<TargetGroupKey, DesiredTargetGroup>,
    observed: &Observed,
) -> Vec<DesiredRule> {
    // Which live rule each place of the result comes from.
    let mut left: Vec<(&Arn, &Rule)> = live.values().map(|l| (&l.arn, &l.spec)).collect();
    let mut merged: Vec<(Option<&Arn>, DesiredRule)> = Vec::new();
    for wished in wished {
        let mut rule = wished.rule.clone();
        if let Action::Forward(TargetGroupRef::Key(key)) = &rule.action
            && let Some(group) = target_groups.get(key)
            && let Some(live) = target_groups::matching(&group.target_group, observed)
        {
            rule.action = Action::Forward(TargetGroupRef::Arn(live.arn.clone()));
        }
        let twin = left.iter().position(|(_, live)| live.same_settings(&rule));
        merged.push((twin.map(|at| left.remove(at).0), wished));
    }
    let mut place = 0;
    for live in live.values() {
        if let Some(at) = merged.iter().position(|(arn, _)| *arn == Some(&live.arn)) {
            place = at + 1;
            continue;
        }
        let owner = owners.of(&live.spec, observed);
        let (Some(name), true) = (
            owner.or(owners.frozen.first().copied()),
            owners.keeps(&live.spec, observed),
        ) else {
            continue;
        };
        // Where its live predecessors are gone, the order of the group says
        // what it comes after.
        if let Some(owner) = owner {
            let earlier = |(_, rule): &(_, DesiredRule)| owners.precedes(&rule.owner, owner);
            place = place.max(merged.iter().rposition(earlier).map_or(0, |at| at + 1));
        }
        let kept = DesiredRule {
            owner: name.clone(),
            rule: live.spec.clone(),
        };
        merged.insert(place, (Some(&live.arn), kept));
        place += 1;
    }
    merged.into_iter().map(|(_, rule)| rule).collect()
}

/// Writes the priority that each rule gets into its tag.
fn number(listener: &mut DesiredListener) {
    let port = listener.listener.port;
    for (priority, rule) in (1u32..).zip(&mut listener.rules) {
        rule.rule
            .tags
            .insert(RESOURCE_TAG, &rule_resource(port, priority));
    }
}

#[cfg(test)]
mod tests;
