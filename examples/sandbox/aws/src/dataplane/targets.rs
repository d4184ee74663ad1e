//! Which targets may get a request, and which have left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::balance::How;
use crate::state::{HealthState, State, TargetGroup, TargetKey};

/// The targets of a group that may get a request now.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Sorted.
    pub(crate) targets: Vec<TargetKey>,
    /// How many are healthy or not checked.
    healthy: usize,
    /// How many have to be, or all that are in use are taken.
    minimum: usize,
    /// The zone of the node, where it sends only to targets there.
    zone: Option<String>,
}

impl Candidates {
    /// Why one of them is taken, in words.
    pub(crate) fn tell(&self, how: How) -> String {
        let (all, healthy, minimum) = (self.targets.len(), self.healthy, self.minimum);
        let how = how.tell();
        let zone = match &self.zone {
            Some(zone) => format!(" in {zone}"),
            None => String::new(),
        };
        if healthy < minimum {
            format!(
                "{how} among {all}{zone} of any health: {healthy} are healthy, fewer than \
                 {minimum}, so the load balancer fails open"
            )
        } else {
            format!("{how} among {all}{zone} that are healthy")
        }
    }
}

impl Candidates {
    /// Why there is none, in words.
    pub(crate) fn tell_none(&self, group: &TargetGroup) -> String {
        if group.targets.is_empty() {
            return "no target is registered in the target group".to_owned();
        }
        match &self.zone {
            Some(zone) => format!(
                "all targets of the target group in {zone} are draining or unused, and the node \
                 sends to no other zone"
            ),
            None => "all targets of the target group are draining or unused".to_owned(),
        }
    }
}

/// The targets of a group, or of it in one zone, by what can be expected of them.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Healthy, or not checked.
    pub(crate) healthy: Vec<TargetKey>,
    /// In use, whatever their health.
    usable: Vec<TargetKey>,
}

/// What happens when too few targets of a group are healthy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Threshold {
    /// All of them get requests (`unhealthy_state_routing`).
    Routing,
    /// DNS no longer names the node (`dns_failover`).
    Dns,
}

impl Standing {
    /// How many targets have to be healthy: the greater one of a count and of a
    /// share of those in use, as the group says.
    pub(crate) fn minimum(&self, group: &TargetGroup, threshold: Threshold) -> usize {
        let value = |unit: &str| {
            let threshold = match threshold {
                Threshold::Routing => "unhealthy_state_routing",
                Threshold::Dns => "dns_failover",
            };
            let key = format!("target_group_health.{threshold}.minimum_healthy_targets.{unit}");
            group.attributes.get(&key).map(String::as_str)
        };
        // `off` is no number.
        let count = value("count").map_or(1, |count| count.parse().unwrap_or(0));
        let share: usize = value("percentage")
            .and_then(|share| share.parse().ok())
            .unwrap_or(0);
        count.max((self.usable.len() * share).div_ceil(100))
    }
}

/// The targets of a group in a zone (`None`: in any) by their standing. `stale`
/// tells that the nodes still use a group that no listener names any more.
pub(crate) fn standing(
    state: &State,
    group: &TargetGroup,
    zone: Option<&str>,
    stale: bool,
    now: Timestamp,
) -> Standing {
    let mut standing = Standing::default();
    let health = state.group_health(group);
    for (key, target) in &group.targets {
        let elsewhere = zone.is_some_and(|zone| health.zone(key).is_some_and(|own| own != zone));
        if elsewhere || !target.announced {
            continue;
        }
        let probed_healthy = target.is_healthy() || !group.health_check.enabled;
        let unnamed = stale && group.references.is_empty() && target.draining_until.is_none();
        let healthy = match health.of(key).state {
            HealthState::Unused if unnamed => probed_healthy,
            HealthState::Healthy | HealthState::Unavailable => true,
            HealthState::Initial | HealthState::Unhealthy => false,
            // It counts as what it was before.
            HealthState::Draining if target.served_until.is_some_and(|until| now < until) => {
                probed_healthy
            }
            HealthState::Unused | HealthState::Draining => continue,
        };
        if healthy {
            standing.healthy.push(key.clone());
        }
        standing.usable.push(key.clone());
    }
    standing
}

/// Which targets may get a request now.
///
/// These are the healthy ones and those that are not checked. When too few are
/// healthy (`unhealthy_state_routing`), the load balancer fails open and uses
/// all that are in use, whatever their health. Unused targets get nothing, nor
/// do those that the nodes have not heard of, nor draining ones, except in the
/// first moments after they were deregistered.
pub(crate) fn candidates(
    state: &State,
    group: &TargetGroup,
    zone: Option<&str>,
    stale: bool,
    now: Timestamp,
) -> Candidates {
    let standing = standing(state, group, zone, stale, now);
    let minimum = standing.minimum(group, Threshold::Routing);
    let healthy = standing.healthy.len();
    Candidates {
        healthy,
        minimum,
        targets: if healthy < minimum {
            standing.usable
        } else {
            standing.healthy
        },
        zone: zone.map(str::to_owned),
    }
}

/// A target group, in whichever region and account it is.
pub(super) fn group_of<'a>(states: &[&'a State], arn: &str) -> Option<&'a TargetGroup> {
    states.iter().find_map(|state| state.target_groups.get(arn))
}

/// Tells requests in flight that their target is gone: its time to drain is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departures {
    tokens: Arc<Mutex<BTreeMap<(String, TargetKey), CancellationToken>>>,
}

impl Departures {
    /// A token that is cancelled once the target has left its group.
    pub(crate) fn watch(&self, group: &str, target: &TargetKey) -> CancellationToken {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .entry((group.to_owned(), target.clone()))
            .or_default()
            .clone()
    }

    /// Cancels the tokens of targets that are registered no more.
    pub(crate) fn follow(&self, states: &[&State]) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|(group, target), token| {
            let registered =
                group_of(states, group).is_some_and(|group| group.targets.contains_key(target));
            if !registered {
                token.cancel();
            }
            registered
        });
    }
}
