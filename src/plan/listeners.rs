//! Listeners by port, their certificates, and the steps for their rules.
//!
//! A protocol changes in place. A certificate is added before a surplus one
//! is removed. The default certificate counts as listed for SNI whether or
//! not AWS shows it there, so it never costs a call of its own.
//!
//! What a listener does by default changes between its new rules and the
//! removal of old ones: a request that a rule takes over from the default, or
//! the default from a rule, is never without an answer.

use std::collections::{BTreeMap, BTreeSet};

use super::Current;
use super::draft::Draft;
use super::room::{Room, RoomForRules};
use super::rules::{self, RuleChanges};
use super::step::{ListenerRef, LoadBalancerRef, Step, StepId};
use super::tags::{Carrier, TagChanges};
use crate::model::desired::DesiredListener;
use crate::model::limits::Limits;
use crate::model::spec::{Arn, Listener, LiveListener, Protocol, Rule};

/// What is left to do once new rules or everything that is wished is there.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Listeners that do something else by default, with what comes before.
    defaults: BTreeMap<u16, (Step, Vec<StepId>)>,
    /// Certificates that go, with the port and what comes before.
    certificates: Vec<(u16, Step, Vec<StepId>)>,
    listeners: Vec<(Arn, u16)>,
    /// The steps that have changed listeners.
    modified: BTreeMap<u16, StepId>,
}

/// Adds what makes and changes listeners; hands back what takes away.
pub(super) fn diff(
    wished: &BTreeMap<&u16, &DesiredListener>,
    current: &Current<'_>,
    room: &Room,
    tags: &mut TagChanges,
    draft: &mut Draft,
) -> Leftovers {
    let mut leftovers = Leftovers::default();
    for (port, wished) in wished {
        let mut wished = wished.listener.clone();
        wished.default_action = draft.resolve(&wished.default_action);
        match current.listener(**port) {
            None => create(&wished, current, room, draft),
            Some(live) => {
                tags.compare(
                    Carrier::Listener,
                    &live.arn,
                    &port.to_string(),
                    &live.spec.tags,
                    &wished.tags,
                );
                change(&wished, live, room, &mut leftovers, draft);
            }
        }
    }
    leftovers
}

impl Leftovers {
    /// Takes over what another part of the listeners left.
    pub(super) fn append(&mut self, other: Self) {
        self.defaults.extend(other.defaults);
        self.certificates.extend(other.certificates);
        self.modified.extend(other.modified);
    }

    /// Adds what changes the default of a listener, after its new rules.
    fn change_default(
        &mut self,
        port: u16,
        arrivals: impl Iterator<Item = StepId>,
        draft: &mut Draft,
    ) -> Option<StepId> {
        let (step, mut after) = self.defaults.remove(&port)?;
        after.extend(arrivals);
        let arn = match &step {
            Step::ModifyListener { arn, .. } => Some(arn.clone()),
            _ => None,
        };
        let id = draft.add(step, after);
        self.modified.insert(port, id);
        draft.released.extend(arn.map(|arn| (arn, id)));
        Some(id)
    }

    /// Notes the live listeners that nobody wishes, those that went early
    /// aside.
    pub(super) fn find_unwished(
        &mut self,
        wished: &BTreeMap<u16, DesiredListener>,
        current: &Current<'_>,
        draft: &Draft,
    ) {
        let live = current.load_balancer.iter().flat_map(|lb| &lb.listeners);
        self.listeners = live
            .filter(|(port, _)| !wished.contains_key(*port))
            .filter(|(_, live)| !draft.deleted_listeners.contains_key(&live.arn))
            .map(|(port, live)| (live.arn.clone(), *port))
            .collect();
    }
}

/// The certificates that only SNI needs.
pub(super) fn extra_certificates(listener: &Listener) -> BTreeSet<Arn> {
    let mut extra = listener.sni_certificates.clone();
    if let Some(default) = &listener.default_certificate {
        extra.remove(default);
    }
    extra
}

/// The certificates that a live listener has for what is wished, beside the
/// default one.
pub(super) fn listed_certificates(wished: &Listener, live: &LiveListener) -> BTreeSet<Arn> {
    let mut listed = live.spec.sni_certificates.clone();
    if wished.default_certificate == live.spec.default_certificate {
        listed.extend(live.spec.default_certificate.clone());
    }
    listed
}

/// The certificates that a live listener lists and nobody wishes.
pub(super) fn surplus_certificates(wished: &Listener, live: &LiveListener) -> Vec<Arn> {
    let extra = extra_certificates(wished);
    let surplus = live.spec.sni_certificates.difference(&extra);
    surplus
        .filter(|certificate| wished.default_certificate.as_ref() != Some(*certificate))
        .cloned()
        .collect()
}

fn create(wished: &Listener, current: &Current<'_>, room: &Room, draft: &mut Draft) {
    let mut after: Vec<StepId> = draft.load_balancer.into_iter().collect();
    after.extend(&room.listeners);
    after.extend(draft.before_action(&wished.default_action));
    let step = Step::CreateListener {
        load_balancer: current.reference(),
        listener: wished.clone(),
    };
    let made = draft.add(step, after);
    draft.listeners.insert(wished.port, made);
    for certificate in extra_certificates(wished) {
        let listener = ListenerRef::New(wished.port);
        let step = Step::AddListenerCertificate {
            listener,
            certificate,
        };
        draft.add(step, room.certificates.iter().copied().chain([made]));
    }
}

/// Adds the changes of a live listener, as far as they can come before those
/// of its rules.
fn change(
    wished: &Listener,
    live: &LiveListener,
    room: &Room,
    leftovers: &mut Leftovers,
    draft: &mut Draft,
) {
    let listener = || ListenerRef::Arn {
        arn: live.arn.clone(),
        port: wished.port,
    };
    let becomes_https = live.spec.protocol == Protocol::Http && wished.protocol == Protocol::Https;
    let other_default = wished.default_action != live.spec.default_action;
    let differs = wished.protocol != live.spec.protocol
        || other_default
        || (wished.protocol == Protocol::Https
            && (wished.default_certificate != live.spec.default_certificate
                || (wished.ssl_policy.is_some() && wished.ssl_policy != live.spec.ssl_policy)));

    let extra = extra_certificates(wished);
    let listed = listed_certificates(wished, live);
    let modify = Step::ModifyListener {
        arn: live.arn.clone(),
        listener: wished.clone(),
    };
    let before = draft.before_switch(&wished.default_action);
    // The list of certificates exists only with HTTPS; and a default
    // certificate that stays for SNI is listed before another one becomes the
    // default.
    let mut added: Vec<StepId> = Vec::new();
    if differs && becomes_https {
        let id = draft.add(modify.clone(), before.iter().copied());
        leftovers.modified.insert(wished.port, id);
    }
    if wished.protocol == Protocol::Https {
        for certificate in extra.difference(&listed) {
            let step = Step::AddListenerCertificate {
                listener: listener(),
                certificate: certificate.clone(),
            };
            let modified = leftovers.modified.get(&wished.port);
            let after = modified.into_iter().chain(&room.certificates).copied();
            added.push(draft.add(step, after));
        }
    }
    if differs && !becomes_https {
        let after = before.into_iter().chain(added.iter().copied());
        if other_default {
            let after = after.collect();
            leftovers.defaults.insert(wished.port, (modify, after));
        } else {
            let id = draft.add(modify, after);
            leftovers.modified.insert(wished.port, id);
        }
    }
    if let Some(id) = leftovers.modified.get(&wished.port)
        && other_default
    {
        draft.released.insert(live.arn.clone(), *id);
    }
    if wished.protocol == Protocol::Http {
        return;
    }
    for certificate in surplus_certificates(wished, live) {
        if room.removed.contains(&(wished.port, certificate.clone())) {
            continue;
        }
        let step = Step::RemoveListenerCertificate {
            listener: listener(),
            certificate,
        };
        leftovers
            .certificates
            .push((wished.port, step, added.clone()));
    }
}

/// Adds the steps for the rules of all wished listeners: order, then new and
/// changed ones, then what the listener does by default, then those that go.
///
/// Where the load balancer would hold more rules than the quota allows while
/// both old and new ones are there, as many of the old ones as must go first
/// do; the last of the new ones wait for them.
pub(super) fn diff_rules(
    wished: &BTreeMap<u16, DesiredListener>,
    current: &Current<'_>,
    limits: Limits,
    leftovers: &mut Leftovers,
    tags: &mut TagChanges,
    draft: &mut Draft,
) {
    let none = BTreeMap::new();
    let mut all: Vec<(u16, RuleChanges, Option<StepId>)> = Vec::new();
    for (port, listener) in wished {
        let rules: Vec<Rule> = listener
            .rules
            .iter()
            .map(|wished| Rule {
                action: draft.resolve(&wished.rule.action),
                ..wished.rule.clone()
            })
            .collect();
        let live = current.listener(*port).map_or(&none, |live| &live.rules);
        let changes = rules::compare(live, &rules);
        let moved = (!changes.moves.is_empty()).then(|| {
            draft.add(
                Step::SetRulePriorities {
                    port: *port,
                    priorities: changes.moves.clone(),
                },
                [],
            )
        });
        all.push((*port, changes, moved));
    }
    let room = RoomForRules::make(&mut all, current, limits, draft);
    let mut created = 0;
    for (port, changes, moved) in &all {
        let live = current.listener(*port).map_or(&none, |live| &live.rules);
        let mut arrivals: Vec<(StepId, &Rule)> = Vec::new();
        for kept in &changes.kept {
            let name = format!("{port}/{}", kept.to);
            let follows = changes.moves.contains_key(&kept.arn).then_some(*moved);
            tags.compare_rule(
                &kept.arn,
                &name,
                &kept.live.tags,
                &kept.wished.tags,
                follows.flatten(),
            );
            if kept.live.same_settings(&kept.wished) {
                continue;
            }
            let step = Step::ModifyRule {
                arn: kept.arn.clone(),
                port: *port,
                priority: kept.to,
                rule: kept.wished.clone(),
            };
            let mut after = draft.before_switch(&kept.wished.action);
            after.extend(room.before_change());
            let id = draft.add(step, after);
            if kept.live.action != kept.wished.action {
                draft.released.insert(kept.arn.clone(), id);
            }
            arrivals.push((id, &kept.wished));
        }
        for (priority, rule) in &changes.creates {
            let mut after = draft.before_action(&rule.action);
            after.extend(draft.listeners.get(port));
            if live.contains_key(priority) {
                after.extend(moved);
            }
            after.extend(room.before_create(created));
            created += 1;
            let step = Step::CreateRule {
                listener: current.listener_reference(*port),
                priority: *priority,
                rule: rule.clone(),
            };
            arrivals.push((draft.add(step, after), rule));
        }
        let default = leftovers.change_default(*port, arrivals.iter().map(|(id, _)| *id), draft);
        for (priority, rule) in &changes.deletes {
            let overlapping = arrivals
                .iter()
                .filter(|(_, new)| rules_share_requests(new, &rule.spec))
                .map(|(id, _)| *id);
            let mut after: Vec<StepId> = overlapping.chain(default).collect();
            if changes.moves.contains_key(&rule.arn) {
                after.extend(moved);
            }
            let step = delete_rule(*port, *priority, &rule.arn, &rule.spec);
            let id = draft.add(step, after);
            draft.released.insert(rule.arn.clone(), id);
        }
    }
}

fn rules_share_requests(a: &Rule, b: &Rule) -> bool {
    super::overlap::may_overlap(&a.conditions, &b.conditions)
}

pub(super) fn delete_rule(port: u16, priority: u32, arn: &Arn, rule: &Rule) -> Step {
    Step::DeleteRule {
        arn: arn.clone(),
        port,
        priority,
        rule: rule.clone(),
    }
}

/// Adds what takes certificates and listeners away, listeners after every new
/// one is there.
pub(super) fn remove(leftovers: Leftovers, draft: &mut Draft) {
    for (port, step, after) in leftovers.certificates {
        let modified = leftovers.modified.get(&port).copied();
        draft.add(step, after.into_iter().chain(modified));
    }
    let made: Vec<StepId> = draft.listeners.values().copied().collect();
    for (arn, port) in leftovers.listeners {
        let step = Step::DeleteListener {
            arn: arn.clone(),
            port,
        };
        let id = draft.add(step, made.iter().copied());
        draft.deleted_listeners.insert(arn, id);
    }
}

impl Current<'_> {
    /// The live listener on a port.
    pub(super) fn listener(&self, port: u16) -> Option<&LiveListener> {
        self.load_balancer?.listeners.get(&port)
    }

    /// How steps name the load balancer.
    pub(super) fn reference(&self) -> LoadBalancerRef {
        match self.load_balancer {
            Some(live) => LoadBalancerRef::Arn(live.arn.clone()),
            None => LoadBalancerRef::New,
        }
    }

    /// How steps name the listener on a port.
    fn listener_reference(&self, port: u16) -> ListenerRef {
        match self.listener(port) {
            Some(live) => ListenerRef::Arn {
                arn: live.arn.clone(),
                port,
            },
            None => ListenerRef::New(port),
        }
    }
}
