//! Making room: where AWS allows fewer of a kind than old and new ones would
//! be together, as many of the old ones as must go first do, the last ones of
//! all; and the new ones wait for them. What AWS allows is known once it has
//! refused one more; of rules its default counts until then.

use std::collections::{BTreeMap, BTreeSet};

use super::Current;
use super::draft::Draft;
use super::listeners::{
    delete_rule, extra_certificates, listed_certificates, surplus_certificates,
};
use super::load_balancer::targets_of;
use super::rules::RuleChanges;
use super::step::{ListenerRef, Step, StepId};
use crate::model::desired::DesiredListener;
use crate::model::limits::Limits;
use crate::model::spec::{Action, Arn, LiveListener, Protocol, TargetGroupRef};

/// Rules that one load balancer may have before AWS refuses more, unless the
/// quota was raised; default rules do not count.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>
const RULES_OF_A_LOAD_BALANCER: usize = 100;

/// What has gone early.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// What new listeners wait for.
    pub(super) listeners: Vec<StepId>,
    /// What new certificates wait for.
    pub(super) certificates: Vec<StepId>,
    /// Certificates that go early, by the listener's port.
    pub(super) removed: BTreeSet<(u16, Arn)>,
}

impl Room {
    /// Adds what must go before listeners and certificates come.
    pub(super) fn make(
        wished: &BTreeMap<u16, DesiredListener>,
        current: &Current<'_>,
        limits: Limits,
        draft: &mut Draft,
    ) -> Self {
        let mut room = Self::default();
        let Some(live) = current.load_balancer else {
            return room;
        };
        let live = &live.listeners;
        if let Some(limit) = limits.listeners {
            let new = wished.keys().filter(|port| !live.contains_key(port));
            let short = (live.len() + new.count()).saturating_sub(limit.allowed);
            let unwished = live.iter().rev();
            let unwished = unwished.filter(|(port, _)| !wished.contains_key(port));
            for (port, live) in unwished.take(short) {
                let step = Step::DeleteListener {
                    arn: live.arn.clone(),
                    port: *port,
                };
                let id = draft.add(step, []);
                draft.deleted_listeners.insert(live.arn.clone(), id);
                room.listeners.push(id);
            }
        }
        if let Some(limit) = limits.certificates {
            room.for_certificates(wished, live, limit.allowed, draft);
        }
        room
    }

    fn for_certificates(
        &mut self,
        wished: &BTreeMap<u16, DesiredListener>,
        live: &BTreeMap<u16, LiveListener>,
        allowed: usize,
        draft: &mut Draft,
    ) {
        let there: usize = live.values().map(|l| l.spec.sni_certificates.len()).sum();
        let secure = wished
            .iter()
            .filter(|(_, wished)| wished.listener.protocol == Protocol::Https);
        let new: usize = secure
            .clone()
            .map(|(port, wished)| {
                let listed = live
                    .get(port)
                    .map(|live| listed_certificates(&wished.listener, live));
                let listed = listed.unwrap_or_default();
                extra_certificates(&wished.listener)
                    .difference(&listed)
                    .count()
            })
            .sum();
        let short = (there + new).saturating_sub(allowed);
        let surplus = secure.rev().flat_map(|(port, wished)| {
            let live = live.get(port);
            live.into_iter().flat_map(move |live| {
                let surplus = surplus_certificates(&wished.listener, live).into_iter();
                surplus
                    .rev()
                    .map(move |certificate| (*port, live, certificate))
            })
        });
        for (port, live, certificate) in surplus.take(short) {
            let arn = live.arn.clone();
            let step = Step::RemoveListenerCertificate {
                listener: ListenerRef::Arn { arn, port },
                certificate: certificate.clone(),
            };
            self.certificates.push(draft.add(step, []));
            self.removed.insert((port, certificate));
        }
    }
}

/// What has gone early for rules.
#[derive(Debug)]
pub(super) struct RoomForRules {
    /// The deletions.
    early: Vec<StepId>,
    /// How many rules can be made without waiting for them.
    at_once: usize,
    /// Whether changed rules wait, too: they may lead to new target groups.
    all_wait: bool,
}

impl RoomForRules {
    /// Adds deletions that must come before creations.
    pub(super) fn make(
        all: &mut [(u16, RuleChanges, Option<StepId>)],
        current: &Current<'_>,
        limits: Limits,
        draft: &mut Draft,
    ) -> Self {
        let live: usize = current
            .load_balancer
            .iter()
            .flat_map(|lb| lb.listeners.values())
            .map(|listener| listener.rules.len())
            .sum();
        let creates: usize = all
            .iter()
            .map(|(_, changes, _)| changes.creates.len())
            .sum();
        let limit = limits.rules.map_or(RULES_OF_A_LOAD_BALANCER, |l| l.allowed);
        let mut at_once = limit.saturating_sub(live);
        let mut short = creates.saturating_sub(at_once);
        let all_wait = lacks_target_groups(all, current, limits);
        if all_wait {
            at_once = 0;
            short = usize::MAX;
        }
        let mut early = Vec::new();
        for (port, changes, moved) in all.iter_mut().rev() {
            while short > 0
                && let Some((priority, rule)) = changes.deletes.pop_last()
            {
                let parked = changes.moves.contains_key(&rule.arn);
                let after = parked.then_some(*moved).flatten();
                let id = draft.add(delete_rule(*port, priority, &rule.arn, &rule.spec), after);
                draft.released.insert(rule.arn, id);
                early.push(id);
                short -= 1;
            }
        }
        Self {
            early,
            at_once,
            all_wait,
        }
    }

    /// What the next rule that is made comes after, when so many were made.
    pub(super) fn before_create(&self, made: usize) -> &[StepId] {
        if made < self.at_once {
            &[]
        } else {
            &self.early
        }
    }

    /// What a rule that changes comes after.
    pub(super) fn before_change(&self) -> &[StepId] {
        if self.all_wait { &self.early } else { &[] }
    }
}

/// Whether old and new rules together lead to more target groups than AWS
/// allows.
fn lacks_target_groups(
    all: &[(u16, RuleChanges, Option<StepId>)],
    current: &Current<'_>,
    limits: Limits,
) -> bool {
    let (Some(limit), Some(live)) = (limits.target_groups, current.load_balancer) else {
        return false;
    };
    let mut used: BTreeSet<TargetGroupRef> = targets_of(&[live])
        .into_iter()
        .map(TargetGroupRef::Arn)
        .collect();
    let rules = all.iter().flat_map(|(_, changes, _)| {
        let kept = changes.kept.iter().map(|kept| &kept.wished);
        kept.chain(changes.creates.values())
    });
    used.extend(rules.filter_map(|rule| match &rule.action {
        Action::Forward(target) => Some(target.clone()),
        _ => None,
    }));
    used.len() > limit.allowed
}

#[cfg(test)]
mod tests;
