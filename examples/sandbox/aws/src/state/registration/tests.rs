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
