//! What a read has found to be other than was remembered, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::merge::{self, Kind};
use super::schedule::Tier;
use crate::model::spec::{Arn, Observed};

/// One thing that somebody else has changed, made or taken away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Which read has found it.
    pub tier: Tier,
    /// What it is: `load-balancer`, `listener`, `rule`, `target-group`,
    /// `targets`, `security-group`.
    pub kind: &'static str,
    /// What of it and how, for people.
    pub what: String,
}

impl Kind {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "load-balancer",
            Self::Listener => "listener",
            Self::Rule => "rule",
            Self::TargetGroup => "target-group",
            Self::Targets => "targets",
            Self::SecurityGroup => "security-group",
        }
    }

    /// The name before that of the thing.
    fn in_words(self) -> &'static str {
        match self {
            Self::LoadBalancer => "load balancer",
            Self::Listener => "the listener of",
            Self::Rule => "rule",
            Self::TargetGroup => "target group",
            Self::Targets => "the targets of",
            Self::SecurityGroup => "security group",
        }
    }
}

/// What differs between two observations of a group. Of what is gone or new
/// its parts are not named too.
pub(super) fn differences(tier: Tier, before: &Observed, after: &Observed) -> BTreeSet<Found> {
    let (before, after) = (common(before, after), common(after, before));
    let (old, new) = (merge::parts(&before), merge::parts(&after));
    let names = names(&before, &after);
    let found = |(kind, arn): (Kind, &Arn), how: &str| {
        let name = names.get(arn).map_or(arn.as_str(), String::as_str);
        Found {
            tier,
            kind: kind.as_str(),
            what: format!("{} {name} {how}", kind.in_words()),
        }
    };
    // Targets are there as long as their target group is.
    let is_thing = |key: &&(Kind, &Arn)| key.0 != Kind::Targets;
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let come = new.keys().filter(|key| !old.contains_key(*key));
    let changed = new
        .iter()
        .filter(|(key, part)| old.get(key).is_some_and(|before| before != *part))
        .map(|(key, _)| match key.0 {
            Kind::Targets => found(*key, "are not as they were"),
            _ => found(*key, "is not as it was"),
        });
    let gone = gone.filter(is_thing).map(|key| found(*key, "is gone"));
    let come = come.filter(is_thing).map(|key| found(*key, "is new"));
    gone.chain(come).chain(changed).collect()
}

/// An observation without the parts of what the other one does not have.
fn common(observed: &Observed, other: &Observed) -> Observed {
    let mut observed = observed.clone();
    for lb in &mut observed.load_balancers {
        let others = other.load_balancers.iter().find(|o| o.arn == lb.arn);
        let Some(others) = others else {
            lb.listeners.clear();
            continue;
        };
        for listener in lb.listeners.values_mut() {
            let mut there = others.listeners.values();
            if there.all(|there| there.arn != listener.arn) {
                listener.rules.clear();
            }
        }
    }
    observed
}

/// What people call things.
fn names(before: &Observed, after: &Observed) -> BTreeMap<Arn, String> {
    let mut names = BTreeMap::new();
    for observed in [before, after] {
        for lb in &observed.load_balancers {
            names.insert(lb.arn.clone(), lb.spec.name.clone());
            for (port, listener) in &lb.listeners {
                names.insert(listener.arn.clone(), format!("port {port}"));
                for (priority, rule) in &listener.rules {
                    names.insert(rule.arn.clone(), format!("{priority} of port {port}"));
                }
            }
        }
        for group in &observed.target_groups {
            names.insert(group.arn.clone(), group.spec.key.0.clone());
        }
        for group in &observed.security_groups {
            names.insert(group.arn.clone(), group.spec.name.clone());
        }
    }
    names
}
