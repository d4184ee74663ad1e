//! Which targets may get a request, and whose turn it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::state::{HealthState, Probed, State, TargetGroup, TargetKey};

/// The targets of a group that may get a request now.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Sorted.
    pub(crate) targets: Vec<TargetKey>,
    /// How many are healthy or not checked.
    healthy: usize,
    /// How many have to be, or all that are in use are taken.
    minimum: usize,
}

impl Candidates {
    /// Why one of them is taken, in words.
    pub(crate) fn tell(&self) -> String {
        let (all, healthy, minimum) = (self.targets.len(), self.healthy, self.minimum);
        if healthy < minimum {
            format!(
                "its turn among {all} of any health: {healthy} are healthy, fewer than {minimum}, \
                 so the load balancer fails open"
            )
        } else {
            format!("its turn among {all} that are healthy")
        }
    }
}

/// Which targets may get a request now.
///
/// These are the healthy ones and those that are not checked. When fewer than
/// `unhealthy_state_routing.minimum_healthy_targets.count` are healthy, the
/// load balancer fails open and uses all that are in use, whatever their health.
/// Unused targets get nothing, nor do draining ones, except in the first moments
/// after they were deregistered: then they count as what they were before.
pub(crate) fn candidates(state: &State, group: &TargetGroup, now: Timestamp) -> Candidates {
    let mut healthy = Vec::new();
    let mut usable = Vec::new();
    let health = state.group_health(group);
    for (key, target) in &group.targets {
        match health.of(key).state {
            HealthState::Healthy | HealthState::Unavailable => {
                healthy.push(key.clone());
                usable.push(key.clone());
            }
            HealthState::Initial | HealthState::Unhealthy => usable.push(key.clone()),
            HealthState::Draining if target.served_until.is_some_and(|until| now < until) => {
                if target.probed == Probed::Healthy || !group.health_check.enabled {
                    healthy.push(key.clone());
                }
                usable.push(key.clone());
            }
            HealthState::Unused | HealthState::Draining => {}
        }
    }
    let minimum = group
        .attributes
        .get("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1);
    Candidates {
        healthy: healthy.len(),
        minimum,
        targets: if healthy.len() < minimum {
            usable
        } else {
            healthy
        },
    }
}

/// A target group, in whichever region and account it is.
fn group_of<'a>(states: &[&'a State], arn: &str) -> Option<&'a TargetGroup> {
    states.iter().find_map(|state| state.target_groups.get(arn))
}

/// Round robin, for each target group on its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rotation {
    latest: Arc<Mutex<HashMap<String, TargetKey>>>,
}

impl Rotation {
    /// The candidate after the one that was taken last; `candidates` are sorted.
    pub(crate) fn next(&self, group: &str, candidates: &[TargetKey]) -> Option<TargetKey> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let next = latest
            .get(group)
            .and_then(|last| candidates.iter().find(|key| *key > last))
            .or_else(|| candidates.first())?
            .clone();
        latest.insert(group.to_owned(), next.clone());
        Some(next)
    }

    /// Forgets the groups that are gone.
    pub(crate) fn retain(&self, states: &[&State]) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.retain(|group, _| group_of(states, group).is_some());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str]) -> Vec<TargetKey> {
        ids.iter()
            .map(|&id| TargetKey {
                id: id.to_owned(),
                port: 80,
            })
            .collect()
    }

    #[test]
    fn round_robin_goes_on_when_targets_come_and_go() {
        let rotation = Rotation::default();
        let next = |ids: &[&str]| rotation.next("g", &keys(ids)).map(|key| key.id);
        assert_eq!(next(&[]), None);
        assert_eq!(next(&["a", "b", "c"]).as_deref(), Some("a"));
        assert_eq!(next(&["a", "b", "c"]).as_deref(), Some("b"));
        assert_eq!(next(&["a", "c"]).as_deref(), Some("c"));
        assert_eq!(next(&["a", "c"]).as_deref(), Some("a"));
        assert_eq!(next(&["b"]).as_deref(), Some("b"));
        assert_eq!(next(&["b"]).as_deref(), Some("b"));
    }
}
