//! The health of targets changes only as AWS lets it (aws.md 3.5), and by the
//! thresholds of their group.

use std::collections::BTreeMap;

use super::{Draw, Game, Shown};
use crate::state::{HealthState, ProbeFailure, TargetHealth, TargetKey};

/// What has happened between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Time,
    Probe,
    Call,
}

/// Outcomes of the probes of each target, since it is checked.
pub(super) type Outcomes = BTreeMap<(String, TargetKey), Vec<bool>>;

impl Game {
    /// The health that every registered target shows.
    pub(super) fn shown(&self) -> Shown {
        let mut shown = Shown::new();
        for group in self.state.target_groups.values() {
            let health = self.state.group_health(group);
            for key in group.targets.keys() {
                shown.insert((group.arn.clone(), key.clone()), health.of(key));
            }
        }
        shown
    }

    /// Holds two looks against each other.
    pub(super) fn compare(&mut self, before: &Shown, event: Event) {
        let after = self.shown();
        for place in before.keys().chain(after.keys()) {
            let (old, new) = (before.get(place), after.get(place));
            let fine = old == new || may_become(event, old, new);
            self.hold(fine, || {
                format!("{event:?} turned {old:?} of {place:?} into {new:?}")
            });
            let counted = new.is_some_and(|new| {
                matches!(new.state, HealthState::Healthy | HealthState::Unhealthy)
                    || new.reason == Some("Elb.InitialHealthChecking")
            });
            if !counted {
                self.outcomes.remove(place);
            }
        }
    }

    /// Probes some of the targets that a load balancer would.
    pub(super) fn probe(&mut self, draw: &mut Draw) {
        let mut probed: Vec<(String, TargetKey)> = Vec::new();
        for group in self.state.target_groups.values() {
            let health = self.state.group_health(group);
            let keys = group.targets.keys().filter(|key| health.is_probed(key));
            probed.extend(keys.map(|key| (group.arn.clone(), key.clone())));
        }
        if probed.is_empty() {
            return;
        }
        let place = draw.pick(&probed).clone();
        for _ in 0..=draw.below(6) {
            let before = self.shown();
            let good = draw.below(2) == 0;
            let outcome = if good {
                Ok(())
            } else {
                Err(ProbeFailure::Timeout)
            };
            self.trace
                .push(format!("a probe of {place:?}: {outcome:?}"));
            self.state
                .record_probe(&place.0, &place.1, outcome, self.now);
            self.outcomes.entry(place.clone()).or_default().push(good);
            self.judge(&place, &before[&place]);
            self.compare(&before, Event::Probe);
        }
    }

    /// Whether the probes of a target, the last one counted, make it what it is.
    fn judge(&self, place: &(String, TargetKey), before: &TargetHealth) {
        let group = &self.state.target_groups[&place.0];
        let check = &group.health_check;
        let outcomes = &self.outcomes[place];
        let row = |good: bool| outcomes.iter().rev().take_while(|it| **it == good).count();
        let enough = |row: usize, threshold: u32| row >= usize::try_from(threshold).unwrap();
        let wanted = match (before.state, outcomes.last() == Some(&true)) {
            (HealthState::Initial | HealthState::Healthy, true) => HealthState::Healthy,
            (HealthState::Unhealthy, false) => HealthState::Unhealthy,
            (HealthState::Unhealthy, true) if enough(row(true), check.healthy_threshold) => {
                HealthState::Healthy
            }
            (_, false) if enough(row(false), check.unhealthy_threshold) => HealthState::Unhealthy,
            (state, _) => state,
        };
        let now = self.state.target_health(group, &place.1);
        self.hold(now.state == wanted, || {
            format!("{place:?} was {before:?}, is {now:?} after {outcomes:?}, not {wanted:?}")
        });
    }
}

/// Whether a target may go from one state to another; `None` is not registered.
// One arm for each arrow of the table.
#[allow(clippy::match_same_arms)]
fn may_become(event: Event, old: Option<&TargetHealth>, new: Option<&TargetHealth>) -> bool {
    use HealthState::{Draining, Healthy, Initial, Unavailable, Unhealthy, Unused};
    let state = |health: Option<&TargetHealth>| health.map(|health| health.state);
    let stopped = |health: Option<&TargetHealth>| {
        health.and_then(|health| health.reason) == Some("Target.InvalidState")
    };
    let in_use = |state: Option<HealthState>| {
        matches!(state, Some(Initial | Healthy | Unhealthy | Unavailable))
    };
    match (event, state(old), state(new)) {
        // The drained go; instances stop, start and go; nodes hear of targets.
        (Event::Time, Some(Draining), None) => true,
        (Event::Time, Some(Initial), Some(Initial | Unavailable)) => true,
        (Event::Time, Some(_), Some(Unused)) if stopped(new) => true,
        (Event::Time, Some(Unused), None | Some(Unused | Initial)) => stopped(old),
        (Event::Time, ..) => false,
        (Event::Probe, Some(Initial), Some(Initial | Healthy | Unhealthy)) => true,
        (Event::Probe, Some(Healthy | Unhealthy), Some(Healthy | Unhealthy)) => true,
        (Event::Probe, ..) => false,
        // Registered, or put to use.
        (Event::Call, None | Some(Draining | Unused), Some(Initial | Unavailable)) => true,
        (Event::Call, None, Some(Unused)) => true,
        // A draining one is registered anew where it is of no use, or stops.
        (Event::Call, Some(Draining), Some(Unused) | None) => true,
        (Event::Call, Some(Unused), None | Some(Unused)) => true,
        // Deregistered, or no longer used.
        (Event::Call, old, Some(Draining | Unused) | None) => in_use(old),
        (Event::Call, ..) => false,
    }
}
