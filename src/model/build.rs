//! From a snapshot to the desired state of one group.
//!
//! In five steps: who belongs to it; what each member says on its own; who
//! must stand back because it disagrees with a member before it; the load
//! balancer with listeners, rules and target groups of those who are left;
//! what stands in the way of making it anew.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::desired::{
    Desired, DesiredListener, DesiredRule, DesiredTargetGroup, Intent, Leaver, Origin, Stack,
};
use super::facts::Facts;
use super::finding::{Effect, Finding, Reason};
use super::group::GroupId;
use super::index::Indexed;
use super::limits::{self, Counted, Limit, Limits};
use super::listeners;
use super::member::Member;
use super::membership::{self, GroupMembers};
use super::merge::Merged;
use super::names;
use super::ownership::{self, LOAD_BALANCER_RESOURCE};
use super::security_groups;
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::spec::{
    Action, LoadBalancer, ObjectName, Protocol, SecurityGroupRef, TargetGroupKey, TargetGroupRef,
};
use super::subnets;
use super::verdicts;

/// The desired state of a group. Total: what is wrong with an Ingress becomes
/// a finding of that Ingress, and the others are served.
///
/// Looks through all Ingresses; where many groups are built, an index saves
/// that ([`build_indexed`]).
pub fn build(group: &GroupId, snapshot: &Snapshot, facts: &Facts, settings: &Settings) -> Desired {
    let cx = Context::new(group, snapshot, facts, settings);
    let placed = membership::of_group(group, snapshot, settings);
    let left_alone = membership::groups_of_bindings(snapshot).contains(group);
    build_of(&cx, placed, left_alone)
}

/// As [`build()`], by an index: what it costs depends on the group alone.
pub fn build_indexed(
    group: &GroupId,
    indexed: &Indexed,
    facts: &Facts,
    settings: &Settings,
) -> Desired {
    let cx = Context::new(group, indexed, facts, settings);
    let ingresses = indexed.index().ingresses_of(group);
    let placed = membership::of_group_among(group, ingresses, indexed, settings);
    build_of(&cx, placed, indexed.index().is_left_alone(group))
}

/// From who is in a group to what should be for it.
fn build_of(
    cx: &Context<'_>,
    (placed, mut earlier): (GroupMembers, Vec<Finding>),
    left_alone: bool,
) -> Desired {
    let (group, snapshot, facts) = (cx.group, cx.snapshot, cx.facts);
    let mut desired = Desired {
        group: group.clone(),
        members: placed.members,
        leavers: placed.leavers,
        frozen: BTreeSet::new(),
        held: BTreeSet::new(),
        parting: BTreeMap::new(),
        findings: Vec::new(),
        blocks_creation: Vec::new(),
        intent: Intent::Remove,
    };
    if left_alone {
        leave_alone(&mut desired);
        return desired;
    }
    desired.parting = parting(&desired.leavers, cx);
    if desired.members.is_empty() {
        return desired;
    }
    let members: Vec<Member> = desired
        .members
        .iter()
        .filter_map(|name| {
            let ingress = snapshot.ingresses.get(name)?;
            let (own, others) = earlier.drain(..).partition(|f| f.ingress == *name);
            earlier = others;
            Some(Member::read(cx, ingress, own))
        })
        .collect();
    let settled = settle(&members);
    desired.frozen.clone_from(&settled.frozen);
    desired.findings = members
        .iter()
        .flat_map(|member| member.findings.clone())
        .chain(settled.findings)
        .collect();
    let served: Vec<&Member> = members
        .iter()
        .filter(|member| !settled.frozen.contains(&member.name))
        .collect();
    if served.is_empty() {
        desired.intent = Intent::Hold;
    } else {
        let mut work = Work {
            cx,
            merged: settled.merged,
            served,
            limits: Limits::said(&desired.members, &facts.verdicts),
            any_frozen: !settled.frozen.is_empty(),
            findings: Vec::new(),
            blocks_creation: waiting(&members, &settled.frozen, &settled.conflicted),
        };
        let stack = work.stack();
        desired.findings.extend(work.findings);
        desired.blocks_creation = work.blocks_creation;
        desired.intent = Intent::Serve(Box::new(stack));
    }
    desired.findings.sort();
    desired.findings.dedup();
    desired
}

/// Target groups as leavers would have them in this group, as far as it can be
/// said.
fn parting(leavers: &[Leaver], cx: &Context<'_>) -> BTreeMap<TargetGroupKey, DesiredTargetGroup> {
    leavers
        .iter()
        .filter_map(|leaver| cx.snapshot.ingresses.get(&leaver.ingress))
        .flat_map(|ingress| Member::read(cx, ingress, Vec::new()).target_groups)
        .collect()
}

fn leave_alone(desired: &mut Desired) {
    desired.intent = Intent::LeaveAlone;
    desired.frozen = desired.members.iter().cloned().collect();
    let group = desired.group.to_string();
    let finding = |ingress: &ObjectName, message: String| Finding {
        ingress: ingress.clone(),
        effect: Effect::Frozen,
        reason: Reason::ManagedByTargetGroupBinding,
        message,
    };
    let staying = desired.members.iter().map(|ingress| {
        let message = format!(
            "group {group} has TargetGroupBindings of aws-load-balancer-controller: its load \
             balancer is left as it is, and a deleted Ingress keeps its finalizer; let that \
             controller finish its work, or delete its TargetGroupBindings once it is gone"
        );
        finding(ingress, message)
    });
    // In words of its own, so that it is said when it happens.
    let leaving = desired.leavers.iter().map(|leaver| {
        let what = if leaver.deleted {
            "is deleted"
        } else {
            "leaves the group"
        };
        let message = format!(
            "the Ingress {what} and keeps the finalizer of group {group}, which has \
             TargetGroupBindings of aws-load-balancer-controller: its load balancer is left as it \
             is; let that controller finish its work, or delete its TargetGroupBindings once it \
             is gone, then the finalizer goes"
        );
        finding(&leaver.ingress, message)
    });
    desired.findings = staying.chain(leaving).collect();
}

/// Who is served and with which shared values.
struct Settled {
    merged: Merged,
    /// All that are not served.
    frozen: BTreeSet<ObjectName>,
    /// Those of them that only disagree with others.
    conflicted: BTreeSet<ObjectName>,
    findings: Vec<Finding>,
}

/// Merges until nobody must stand back any more: a member that is frozen takes
/// its listeners with it, which may leave a redirect without its target.
fn settle(members: &[Member]) -> Settled {
    let mut without_redirect: BTreeMap<ObjectName, Finding> = BTreeMap::new();
    loop {
        let mut settled = Settled {
            merged: Merged::default(),
            frozen: BTreeSet::new(),
            conflicted: BTreeSet::new(),
            findings: without_redirect.values().cloned().collect(),
        };
        for member in members {
            if member.is_frozen() || without_redirect.contains_key(&member.name) {
                settled.frozen.insert(member.name.clone());
                continue;
            }
            match settled.merged.admit(member) {
                Ok(notes) => settled.findings.extend(notes),
                Err(conflicts) => {
                    settled.frozen.insert(member.name.clone());
                    settled.conflicted.insert(member.name.clone());
                    settled.findings.extend(conflicts);
                }
            }
        }
        let found = listeners::redirects_to_nowhere(members, &settled.merged, &settled.frozen);
        if found.is_empty() {
            return settled;
        }
        without_redirect.extend(found.into_iter().map(|f| (f.ingress.clone(), f)));
    }
}

/// A group that is not made yet waits for frozen members that state what all
/// share, for making it without would be making it wrong. One that disagrees
/// with others was heard and lost: nobody waits for it.
fn waiting(
    members: &[Member],
    frozen: &BTreeSet<ObjectName>,
    conflicted: &BTreeSet<ObjectName>,
) -> Vec<Finding> {
    let awaited: Vec<String> = members
        .iter()
        .filter(|member| frozen.contains(&member.name) && !conflicted.contains(&member.name))
        .filter(|member| !member.states_group_wide.is_empty())
        .map(|member| {
            format!(
                "Ingress {} (it states {})",
                member.name,
                member.states_group_wide.join(", ")
            )
        })
        .collect();
    if awaited.is_empty() {
        return Vec::new();
    }
    members
        .iter()
        .filter(|member| !frozen.contains(&member.name))
        .map(|member| Finding {
            ingress: member.name.clone(),
            effect: Effect::Frozen,
            reason: Reason::WaitingForMember,
            message: format!(
                "the load balancer of the group is not made yet and waits for {}, which cannot be \
                 served and states what the whole group shares: correct or remove that Ingress",
                awaited.join(" and ")
            ),
        })
        .collect()
}

/// The stack while it is put together.
struct Work<'a> {
    cx: &'a Context<'a>,
    merged: Merged,
    served: Vec<&'a Member>,
    /// How many of a kind AWS allows, where it said so.
    limits: Limits,
    any_frozen: bool,
    findings: Vec<Finding>,
    blocks_creation: Vec<Finding>,
}

impl Work<'_> {
    fn stack(&mut self) -> Stack {
        let cx = self.cx;
        let settings = cx.settings;
        // Who asks for a redirect to a port that does not fit is not served in
        // plain text instead.
        let redirect = listeners::redirect(&self.merged);
        self.fit();
        let scheme = self.merged.scheme().unwrap_or(settings.default_scheme);
        let tags = self.merged.tags();
        let (subnets, subnets_discovered) = match self.merged.subnets() {
            Some(ids) => (ids.clone(), false),
            None => (self.discover(scheme), true),
        };
        let mut found: Vec<Origin> = Vec::new();
        if subnets_discovered {
            let members = self.served.iter();
            found.extend(members.map(|m| verdicts::subnets_origin(&m.name, &subnets)));
        }
        let given = self.merged.security_groups().cloned();
        let mut security_groups: BTreeSet<SecurityGroupRef> = given
            .iter()
            .flatten()
            .cloned()
            .map(SecurityGroupRef::Id)
            .collect();
        let frontend = given.is_none().then(|| {
            security_groups::frontend(cx.group, self.merged.ports.keys().copied(), &tags, settings)
        });
        if frontend.is_some() {
            security_groups.insert(SecurityGroupRef::Frontend);
        }
        let has_backend = frontend.is_some() || self.merged.manages_backend_rules();
        if has_backend {
            security_groups.insert(SecurityGroupRef::Backend);
        }
        let listeners = self.listeners(redirect);
        let away = listeners::redirected_away(&self.served, &self.merged, redirect);
        self.findings.extend(away);
        let mut target_groups = BTreeMap::new();
        for member in &self.served {
            target_groups.extend(member.target_groups.clone());
        }
        let used = targets_of(&listeners);
        target_groups.retain(|key, _| used.contains(&TargetGroupRef::Key(key.clone())));
        if !has_backend {
            for group in target_groups.values_mut() {
                group.backend_ports.clear();
            }
        }
        Stack {
            load_balancer: LoadBalancer {
                name: names::load_balancer(&settings.cluster_name, cx.group, scheme),
                scheme,
                subnets,
                security_groups,
                tags: ownership::tags(
                    &settings.cluster_name,
                    cx.group,
                    LOAD_BALANCER_RESOURCE,
                    &settings.default_tags,
                    &tags,
                ),
            },
            subnets_discovered,
            frontend,
            listeners,
            target_groups,
            origins: self
                .served
                .iter()
                .flat_map(|member| member.origins.clone())
                .chain(found)
                .collect(),
        }
    }

    /// Subnets by discovery. That it fails, or that AWS has refused what it
    /// found, matters only while there is no load balancer: a live one keeps
    /// its subnets.
    fn discover(&mut self, scheme: super::spec::Scheme) -> BTreeSet<String> {
        match subnets::discovered(scheme, &self.cx.settings.cluster_name, self.cx.facts) {
            Ok(ids) => {
                let refused = self.served.iter().filter_map(|member| {
                    verdicts::refused_subnets(&member.name, &ids, scheme, &self.cx.facts.verdicts)
                });
                self.blocks_creation.extend(refused);
                ids
            }
            Err(message) => {
                let found = self.served.iter().map(|member| Finding {
                    ingress: member.name.clone(),
                    effect: Effect::Frozen,
                    reason: Reason::SubnetsNotFound,
                    message: message.clone(),
                });
                self.blocks_creation.extend(found);
                BTreeSet::new()
            }
        }
    }

    /// Leaves out listeners and certificates that AWS has no room for.
    fn fit(&mut self) {
        if let Some(limit) = self.limits.listeners {
            let frozen = self.any_frozen;
            let found = limits::fit_ports(&mut self.merged, &self.served, limit, frozen);
            self.findings.extend(found);
        }
        if let Some(limit) = self.limits.certificates {
            let frozen = self.any_frozen;
            let found = limits::fit_certificates(&mut self.merged, &self.served, limit, frozen);
            self.findings.extend(found);
        }
    }

    fn listeners(&mut self, redirect: Option<u16>) -> BTreeMap<u16, DesiredListener> {
        let ports = &self.merged.ports;
        let counts = |port: &u16| {
            ports
                .get(port)
                .is_some_and(|merged| !(redirect.is_some() && merged.protocol() == Protocol::Http))
        };
        let mut room = Room::new(self.limits, self.any_frozen);
        for (_, merged) in ports.iter().filter(|(port, _)| counts(port)) {
            room.target_groups
                .extend(merged.default_action().and_then(target_of));
        }
        let mut rules: BTreeMap<u16, Vec<DesiredRule>> = BTreeMap::new();
        let mut dropped: BTreeMap<&ObjectName, usize> = BTreeMap::new();
        for member in &self.served {
            let ports: Vec<u16> = member.wishes.ports.keys().copied().filter(counts).collect();
            for rule in &member.rules {
                // Once one rule is dropped all later ones are: a later one
                // must not answer for one that is missing.
                if !ports.is_empty() && !room.take(ports.len(), &rule.action) {
                    *dropped.entry(&member.name).or_default() += 1;
                    continue;
                }
                for port in &ports {
                    let rules = rules.entry(*port).or_default();
                    let priority = u32::try_from(rules.len() + 1).unwrap_or(u32::MAX);
                    rules.push(listeners::rule(self.cx, member, rule, *port, priority));
                }
            }
        }
        if let Some((counted, limit)) = room.reached {
            let found = limits::rules_left_out(dropped, counted, limit, self.any_frozen);
            self.findings.extend(found);
        }
        let mut made = BTreeMap::new();
        for (port, merged) in &self.merged.ports {
            let listener = listeners::listener(self.cx, *port, merged, redirect);
            let rules = rules.remove(port).unwrap_or_default();
            made.insert(*port, DesiredListener { listener, rules });
        }
        made
    }
}

/// What is left of what AWS allows, while rules are given places.
struct Room {
    limits: Limits,
    any_frozen: bool,
    /// Those that something leads to so far.
    target_groups: BTreeSet<TargetGroupRef>,
    used: usize,
    /// The quota that the first rule to be dropped met, and what it allows.
    reached: Option<(Counted, Limit)>,
}

impl Room {
    fn new(limits: Limits, any_frozen: bool) -> Self {
        Self {
            limits,
            any_frozen,
            target_groups: BTreeSet::new(),
            used: 0,
            reached: None,
        }
    }

    /// Takes room for a rule on so many listeners; answers whether there is.
    fn take(&mut self, listeners: usize, action: &Action) -> bool {
        let target = target_of(action).filter(|target| !self.target_groups.contains(target));
        let groups = self.target_groups.len() + usize::from(target.is_some());
        if self.reached.is_none() {
            let over = |limit: Option<Limit>, count: usize| {
                limit.filter(|limit| count > limit.of_served(self.any_frozen))
            };
            let rules = over(self.limits.rules, self.used + listeners);
            let most_groups = self.limits.target_groups.filter(|_| target.is_some());
            let groups = over(most_groups, groups);
            self.reached = rules
                .map(|limit| (Counted::Rules, limit))
                .or(groups.map(|limit| (Counted::TargetGroups, limit)));
        }
        if self.reached.is_some() {
            return false;
        }
        self.used += listeners;
        self.target_groups.extend(target);
        true
    }
}

fn target_of(action: &Action) -> Option<TargetGroupRef> {
    match action {
        Action::Forward(target) => Some(target.clone()),
        _ => None,
    }
}

/// Target groups that some rule or listener leads to.
fn targets_of(listeners: &BTreeMap<u16, DesiredListener>) -> BTreeSet<TargetGroupRef> {
    listeners
        .values()
        .flat_map(|listener| {
            let rules = listener.rules.iter().map(|rule| &rule.rule.action);
            rules.chain([&listener.listener.default_action])
        })
        .filter_map(target_of)
        .collect()
}

#[cfg(test)]
mod tests;
