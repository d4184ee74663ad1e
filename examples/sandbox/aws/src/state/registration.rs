//! RegisterTargets and DeregisterTargets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    Answer, HealthState, Probed, Protocol, Refusal, State, Target, TargetGroup, TargetKey,
    TargetType, Transition, listener::family,
};

/// A target as a caller spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTarget {
    /// Instance id, address, or ARN of a function or load balancer.
    pub id: String,
    /// Port; the group's own if absent.
    pub port: Option<u32>,
    /// Zone name or `all`.
    pub availability_zone: Option<String>,
    /// Server id of QUIC.
    pub quic_server_id: Option<String>,
}

impl State {
    /// RegisterTargets: all or none; a target that is registered already stays
    /// as it is, one that drains comes back. Load balancers hear of it a while
    /// later.
    pub fn register_targets(
        &mut self,
        arn: &str,
        targets: &[NewTarget],
        now: Timestamp,
    ) -> Answer<()> {
        let group = self.target_group(arn)?;
        if targets.is_empty() {
            return Err(Refusal::validation("At least one target must be specified"));
        }
        let mut registered: BTreeMap<TargetKey, &NewTarget> = BTreeMap::new();
        for target in targets {
            self.check_target(group, target)?;
            registered.insert(key_of(group, target)?, target);
        }
        check_server_ids(group, &registered)?;
        self.check_target_quotas(group, registered.keys())?;
        let lag = self.timing.registration_lag_ms;
        let everywhere = (group.target_type == TargetType::Lambda).then(|| "all".to_owned());
        let mut fresh = Vec::new();
        let group = self.target_group_mut(arn)?;
        for (key, new) in registered {
            let known = group
                .targets
                .get(&key)
                .is_some_and(|target| target.draining_until.is_none());
            if known {
                continue;
            }
            let zone = new.availability_zone.clone();
            let target = Target {
                availability_zone: zone.or_else(|| everywhere.clone()),
                quic_server_id: new.quic_server_id.clone(),
                registered: now,
                announced: lag == 0,
                slow_start: None,
                probed: Probed::Registering,
                settles: None,
                streak: 0,
                held: false,
                draining_until: None,
                served_until: None,
            };
            fresh.extend((lag > 0).then(|| key.clone()));
            group.targets.insert(key, target);
        }
        for key in fresh {
            let announced = Transition::TargetAnnounced(arn.to_owned(), key, now);
            self.schedule(now, lag, announced);
        }
        Ok(())
    }

    /// DeregisterTargets: a target in use drains for the group's delay, and
    /// for the first moments of it still gets new requests; one that is unused
    /// is gone at once, one that is unknown is refused.
    pub fn deregister_targets(
        &mut self,
        arn: &str,
        targets: &[NewTarget],
        now: Timestamp,
    ) -> Answer<()> {
        let group = self.target_group(arn)?;
        if targets.is_empty() {
            return Err(Refusal::validation("At least one target must be specified"));
        }
        let mut leaving = Vec::new();
        for target in targets {
            let key = key_of(group, target)?;
            if !group.targets.contains_key(&key) {
                return Err(Refusal::new(
                    "InvalidTarget",
                    format!(
                        "The following targets are not registered: '{}:{}'",
                        key.id, key.port
                    ),
                ));
            }
            leaving.push(key);
        }
        let health = self.group_health(group);
        let unused: BTreeSet<TargetKey> = leaving
            .iter()
            .filter(|key| health.of(key).state == HealthState::Unused)
            .cloned()
            .collect();
        let delay = group
            .attributes
            .get("deregistration_delay.timeout_seconds")
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .map_or(300_000, |seconds| seconds * 1000);
        let delay = self
            .timing
            .draining_ms
            .map_or(delay, |most| delay.min(most));
        for key in leaving {
            let draining = self
                .target_group(arn)?
                .targets
                .get(&key)
                .is_some_and(|target| target.draining_until.is_some());
            if draining {
                continue;
            }
            if unused.contains(&key) || delay == 0 {
                self.target_group_mut(arn)?.targets.remove(&key);
                continue;
            }
            let gone = Transition::TargetGone(arn.to_owned(), key.clone());
            let until = self.schedule(now, delay, gone);
            let drawn = self.draws.fraction();
            let lag = self
                .timing
                .duration_ms(self.timing.deregistration_lag_ms, drawn);
            let lag = SignedDuration::from_millis(i64::try_from(lag).unwrap_or(i64::MAX));
            let served = now.checked_add(lag).unwrap_or(Timestamp::MAX);
            if let Some(target) = self.target_group_mut(arn)?.targets.get_mut(&key) {
                target.draining_until = Some(until);
                target.served_until = Some(served);
            }
        }
        Ok(())
    }

    /// The targets that DescribeTargetHealth is asked for: those named, else all.
    pub fn described_targets(&self, arn: &str, named: &[NewTarget]) -> Answer<Vec<TargetKey>> {
        let group = self.target_group(arn)?;
        if named.is_empty() {
            return Ok(group.targets.keys().cloned().collect());
        }
        named.iter().map(|target| key_of(group, target)).collect()
    }

    fn check_target_quotas<'a>(
        &self,
        group: &TargetGroup,
        added: impl Iterator<Item = &'a TargetKey>,
    ) -> Answer<()> {
        let fresh: Vec<&str> = added
            .filter(|key| !group.targets.contains_key(key))
            .map(|key| key.id.as_str())
            .collect();
        let lone = matches!(group.target_type, TargetType::Lambda | TargetType::Alb);
        let most = if lone {
            1
        } else {
            self.quotas.limit("targets-per-target-group")
        };
        if group.targets.len() + fresh.len() > most {
            return Err(Refusal::new(
                "TooManyTargets",
                format!("The maximum number of targets per target group '{most}' has been reached"),
            ));
        }
        match self.load_balancer_of(group) {
            Some(balancer) => {
                let groups = balancer.target_groups(None);
                self.check_target_load(family(&balancer.arn), &groups, &fresh)
            }
            None => Ok(()),
        }
    }
}

/// Targets of QUIC groups, and only those, have server ids, each its own.
fn check_server_ids(group: &TargetGroup, targets: &BTreeMap<TargetKey, &NewTarget>) -> Answer<()> {
    let quic = group.protocol.is_some_and(Protocol::is_quic);
    let mut taken: BTreeMap<&str, &TargetKey> = group
        .targets
        .iter()
        .filter_map(|(key, target)| Some((target.quic_server_id.as_deref()?, key)))
        .collect();
    for (key, target) in targets {
        let Some(id) = target.quic_server_id.as_deref() else {
            if quic {
                return Err(Refusal::validation(format!(
                    "A QUIC server ID must be specified for the target '{}'",
                    key.id
                )));
            }
            continue;
        };
        let digits = id.strip_prefix("0x").unwrap_or_default();
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if !quic || digits.len() != 16 || !digits.chars().all(hex) {
            return Err(Refusal::validation(format!(
                "The QUIC server ID '{id}' is not valid"
            )));
        }
        if taken.insert(id, key).is_some_and(|other| other != key) {
            return Err(Refusal::validation(format!(
                "The QUIC server ID '{id}' is in use by another target"
            )));
        }
    }
    Ok(())
}

fn key_of(group: &TargetGroup, target: &NewTarget) -> Answer<TargetKey> {
    let port = match target.port.map(u16::try_from) {
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => {
            return Err(Refusal::validation(
                "The port of a target must be from 1 to 65535",
            ));
        }
        None => None,
    };
    Ok(TargetKey {
        id: target.id.clone(),
        // Functions have none, whatever is given.
        port: group.port.map_or(0, |own| port.unwrap_or(own)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        Timing, World,
        state::{
            HealthState, action::NewAction, listener::NewListener, load_balancer::NewLoadBalancer,
            target_group::NewTargetGroup,
        },
    };

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn later(seconds: i64) -> Timestamp {
        START
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap()
    }

    fn target(id: &str) -> NewTarget {
        NewTarget {
            id: id.to_owned(),
            ..NewTarget::default()
        }
    }

    /// An account with a load balancer whose only listener forwards to a group.
    fn serving(timing: Timing) -> (State, String) {
        let mut state = State::new("123456789012", "us-east-1", timing);
        let ids = World::default().build(&mut state, START).unwrap();
        let group = NewTargetGroup {
            name: "pods".to_owned(),
            protocol: Some("HTTP".to_owned()),
            port: Some(8080),
            vpc_id: Some(ids.vpc),
            target_type: Some("ip".to_owned()),
            ..NewTargetGroup::default()
        };
        let group = state.create_target_group(&group).unwrap();
        let balancer = NewLoadBalancer {
            name: "web".to_owned(),
            subnets: ids.public_subnets,
            ..NewLoadBalancer::default()
        };
        let listener = NewListener {
            load_balancer_arn: state.create_load_balancer(balancer, START).unwrap(),
            protocol: Some("HTTP".to_owned()),
            port: Some(80),
            default_actions: Some(vec![NewAction {
                kind: "forward".to_owned(),
                target_group_arn: Some(group.clone()),
                ..NewAction::default()
            }]),
            ..NewListener::default()
        };
        state.create_listener(&listener).unwrap();
        (state, group)
    }

    #[test]
    fn draining_lasts_as_long_as_the_attribute_says() {
        let timing = Timing {
            draining_ms: None,
            ..Timing::default()
        };
        let (mut state, group) = serving(timing);
        let delay = (
            "deregistration_delay.timeout_seconds".to_owned(),
            "60".to_owned(),
        );
        state
            .modify_target_group_attributes(&group, &[delay])
            .unwrap();
        let pods = [target("10.0.48.77"), target("10.0.48.78")];
        state.register_targets(&group, &pods, START).unwrap();
        state.deregister_targets(&group, &pods, START).unwrap();
        let health = |state: &State, id: &str| {
            let group = state.target_group(&group).unwrap();
            let key = TargetKey {
                id: id.to_owned(),
                port: 8080,
            };
            state.target_health(group, &key).state
        };
        state.advance(later(59));
        assert_eq!(health(&state, "10.0.48.77"), HealthState::Draining);
        // One comes back in time, the other is gone.
        state
            .register_targets(&group, &pods[..1], later(59))
            .unwrap();
        state.advance(later(61));
        assert_eq!(health(&state, "10.0.48.77"), HealthState::Initial);
        assert_eq!(health(&state, "10.0.48.78"), HealthState::Unused);
        assert_eq!(state.target_group(&group).unwrap().targets.len(), 1);
    }

    #[test]
    fn targets_are_counted_for_the_group_and_for_the_load_balancer() {
        let (mut state, group) = serving(Timing::default());
        state.quotas.set("targets-per-application-load-balancer", 2);
        let pods = [
            target("10.0.48.77"),
            target("10.0.48.78"),
            target("10.0.48.79"),
        ];
        let refused = state.register_targets(&group, &pods, START);
        assert_eq!(refused.unwrap_err().code, "TooManyTargets");
        state.register_targets(&group, &pods[..2], START).unwrap();
        state.register_targets(&group, &pods[..2], START).unwrap();
        state.quotas.set("targets-per-application-load-balancer", 9);
        let quota = "target-id-registrations-per-application-load-balancer";
        state.quotas.set(quota, 1);
        let again = NewTarget {
            port: Some(81),
            ..target("10.0.48.77")
        };
        let refused = state.register_targets(&group, &[again], START);
        let code = refused.unwrap_err().code;
        assert_eq!(code, "TooManyRegistrationsForTargetId");
    }

    #[test]
    fn an_instance_that_is_gone_leaves_its_groups() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let world = World {
            nodes: 2,
            ..World::default()
        };
        let ids = world.build(&mut state, START).unwrap();
        let group = NewTargetGroup {
            name: "nodes".to_owned(),
            protocol: Some("HTTP".to_owned()),
            port: Some(30080),
            vpc_id: Some(ids.vpc),
            ..NewTargetGroup::default()
        };
        let group = state.create_target_group(&group).unwrap();
        let both = [target(&ids.nodes[0]), target(&ids.nodes[1])];
        state.register_targets(&group, &both, START).unwrap();
        state.terminate_instances(&ids.nodes[..1], START).unwrap();
        // Shutting down, terminated, forgotten.
        for days in 1..=3 {
            state.advance(later(days * 24 * 3600));
        }
        let left: Vec<&str> = state.target_groups[&group]
            .targets
            .keys()
            .map(|key| key.id.as_str())
            .collect();
        assert_eq!(left, [ids.nodes[1].as_str()]);
    }

    #[test]
    fn load_balancers_hear_of_a_target_later() {
        let timing = Timing {
            provisioning_ms: 0,
            registration_lag_ms: 5_000,
            ..Timing::default()
        };
        let (mut state, group) = serving(timing);
        let pods = [target("10.0.48.77")];
        let key = key_of(&state.target_groups[&group], &pods[0]).unwrap();
        let is_probed = |state: &State| {
            let health = state.group_health(&state.target_groups[&group]);
            health.is_probed(&key)
        };
        state.advance(START);
        state.register_targets(&group, &pods, START).unwrap();
        state.advance(later(4));
        assert!(!is_probed(&state));
        let health = state.target_health(&state.target_groups[&group], &key);
        assert_eq!(health.reason, Some("Elb.RegistrationInProgress"));
        // What was registered anew counts from then on.
        state.deregister_targets(&group, &pods, later(4)).unwrap();
        state.register_targets(&group, &pods, later(4)).unwrap();
        state.advance(later(5));
        assert!(!is_probed(&state));
        state.advance(later(9));
        assert!(is_probed(&state));
    }

    #[test]
    fn the_first_health_takes_its_time_and_later_changes_do_not() {
        let timing = Timing {
            provisioning_ms: 0,
            registration_lag_ms: 1_000,
            first_health_ms: 5_000,
            ..Timing::default()
        };
        let (mut state, group) = serving(timing);
        let pods = [target("10.0.48.77")];
        let key = key_of(&state.target_groups[&group], &pods[0]).unwrap();
        let seen = |state: &mut State, second: i64| {
            state.advance(later(second));
            let health = state.target_health(&state.target_groups[&group], &key);
            (health.state, health.reason)
        };
        let probe = |state: &mut State, good: bool, second: i64| {
            let outcome = if good {
                Ok(())
            } else {
                Err(crate::state::ProbeFailure::Timeout)
            };
            state.advance(later(second));
            state.record_probe(&group, &key, outcome, later(second));
        };
        let registering = (HealthState::Initial, Some("Elb.RegistrationInProgress"));
        let checking = (HealthState::Initial, Some("Elb.InitialHealthChecking"));
        let healthy = (HealthState::Healthy, None);
        let timeout = (HealthState::Unhealthy, Some("Target.Timeout"));
        state.advance(START);
        state.register_targets(&group, &pods, START).unwrap();
        assert_eq!(seen(&mut state, 0), registering);
        probe(&mut state, true, 2);
        assert_eq!(seen(&mut state, 2), checking);
        let serves = |state: &State| state.target_groups[&group].targets[&key].is_healthy();
        assert!(!serves(&state));
        assert_eq!(seen(&mut state, 6), checking);
        assert_eq!(seen(&mut state, 7), healthy);
        assert!(serves(&state));
        // What comes later is told at once.
        for second in [8, 9] {
            probe(&mut state, false, second);
        }
        assert_eq!(seen(&mut state, 9), timeout);
        for second in 10..15 {
            probe(&mut state, true, second);
        }
        assert_eq!(seen(&mut state, 14), healthy);

        // The first verdict may also be the bad one, and another registration
        // is not settled by what was left of the one before.
        for second in [20, 22] {
            let pods = &pods;
            state
                .deregister_targets(&group, pods, later(second))
                .unwrap();
            state.register_targets(&group, pods, later(second)).unwrap();
            probe(&mut state, second == 20, second + 1);
        }
        probe(&mut state, false, 24);
        assert_eq!(seen(&mut state, 28), checking);
        assert_eq!(seen(&mut state, 29), timeout);
    }

    #[test]
    fn slow_start_needs_a_target_that_does_not() {
        let timing = Timing {
            first_health_ms: 0,
            ..Timing::default()
        };
        let (mut state, group) = serving(timing);
        let slow = ("slow_start.duration_seconds".to_owned(), "30".to_owned());
        state
            .modify_target_group_attributes(&group, &[slow])
            .unwrap();
        let ids = ["10.0.48.77", "10.0.48.78", "10.0.48.79"];
        let pods = ids.map(target);
        state.register_targets(&group, &pods, START).unwrap();
        let probe = |state: &mut State, at: usize, good: bool, second: i64| {
            let key = key_of(&state.target_groups[&group], &pods[at]).unwrap();
            let outcome = if good {
                Ok(())
            } else {
                Err(crate::state::ProbeFailure::Timeout)
            };
            state.record_probe(&group, &key, outcome, later(second));
            state.target_groups[&group].targets[&key].slow_start
        };
        assert_eq!(probe(&mut state, 0, true, 10), None, "the first one");
        let began = probe(&mut state, 1, true, 11);
        assert_eq!(began, Some(later(11)));
        // The first goes; the second is in slow start itself.
        for second in [12, 13] {
            assert_eq!(probe(&mut state, 0, false, second), None);
        }
        assert_eq!(probe(&mut state, 2, true, 14), None);
        for second in [15, 16] {
            probe(&mut state, 2, false, second);
        }
        // Now it no longer is.
        for second in 42..47 {
            let began = probe(&mut state, 2, true, second);
            assert_eq!(began, (second == 46).then(|| later(46)));
        }
        for second in [47, 48] {
            probe(&mut state, 1, false, second);
        }
        let left = state.target_groups[&group].targets.values();
        assert_eq!(left.filter(|one| one.slow_start.is_some()).count(), 1);
    }
}
