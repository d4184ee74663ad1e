#![allow(clippy::unwrap_used)]
use jiff::SignedDuration;

use super::*;
use crate::{Timing, state::instance_change::InstanceChange};

fn world() -> (State, NewInstance) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
    let subnet_id = state.create_subnet(&vpc, "10.0.0.0/28", None, &[]).unwrap();
    let new = NewInstance {
        image_id: image::FIRST.to_owned(),
        instance_type: Some("t3.micro".to_owned()),
        subnet_id,
        ..NewInstance::default()
    };
    (state, new)
}

#[test]
fn through_all_states() {
    let (mut state, new) = world();
    let mut now = Timestamp::UNIX_EPOCH;
    let ids = state.run_instances(&new, 1, now).unwrap();
    let is = |state: &State| state.instances[&ids[0]].state;
    assert_eq!(is(&state), InstanceState::Pending);
    let mut pass = |state: &mut State| {
        now += SignedDuration::from_secs(10);
        state.advance(now);
        now
    };
    let at = pass(&mut state);
    assert_eq!(is(&state), InstanceState::Running);
    let change = InstanceChange::Type("t3.small".to_owned());
    let refused = state.modify_instance(&ids[0], change.clone()).unwrap_err();
    assert_eq!(refused.code, "IncorrectInstanceState");
    let before = state.stop_instances(&ids, at).unwrap();
    assert_eq!(before[0].1, InstanceState::Running);
    assert_eq!(is(&state), InstanceState::Stopping);
    assert_eq!(
        state.start_instances(&ids, at).unwrap_err().code,
        "IncorrectInstanceState"
    );
    let at = pass(&mut state);
    assert_eq!(is(&state), InstanceState::Stopped);
    state.modify_instance(&ids[0], change).unwrap();
    state.start_instances(&ids, at).unwrap();
    let at = pass(&mut state);
    assert_eq!(is(&state), InstanceState::Running);
    let protect = |on| InstanceChange::TerminationProtected(on);
    state.modify_instance(&ids[0], protect(true)).unwrap();
    assert_eq!(
        state.terminate_instances(&ids, at).unwrap_err().code,
        "OperationNotPermitted"
    );
    state.modify_instance(&ids[0], protect(false)).unwrap();
    state.terminate_instances(&ids, at).unwrap();
    assert_eq!(is(&state), InstanceState::ShuttingDown);
    assert_eq!(state.network_interfaces.len(), 1);
    let at = pass(&mut state);
    assert_eq!(is(&state), InstanceState::Terminated);
    assert!(state.network_interfaces.is_empty());
    state.terminate_instances(&ids, at).unwrap();
    assert_eq!(
        state.stop_instances(&ids, at).unwrap_err().code,
        "IncorrectInstanceState"
    );
    state.advance(at + SignedDuration::from_hours(2));
    assert!(state.instances.is_empty());
}

#[test]
fn terminated_while_it_starts_it_is_still_shown() {
    let (mut state, new) = world();
    let now = Timestamp::UNIX_EPOCH;
    let ids = state.run_instances(&new, 1, now).unwrap();
    state.terminate_instances(&ids, now).unwrap();
    state.advance(now + SignedDuration::from_secs(60));
    let state_now = state.instances[&ids[0]].state;
    assert_eq!(state_now, InstanceState::Terminated);
}

#[test]
fn all_start_or_none() {
    let (mut state, new) = world();
    let refused = state.run_instances(&new, 12, Timestamp::UNIX_EPOCH);
    assert_eq!(
        refused.unwrap_err().code,
        "InsufficientFreeAddressesInSubnet"
    );
    assert!(state.instances.is_empty() && state.network_interfaces.is_empty());
    for (change, code) in [
        (
            ("ami-00000000000000000", "t3.micro"),
            "InvalidAMIID.NotFound",
        ),
        (("ami-x", "t3.micro"), "InvalidAMIID.Malformed"),
        ((image::FIRST, "large"), "InvalidParameterValue"),
        ((image::FIRST, "m6g.large"), "InvalidParameterValue"),
    ] {
        let bad = NewInstance {
            image_id: change.0.to_owned(),
            instance_type: Some(change.1.to_owned()),
            ..new.clone()
        };
        let refused = state.run_instances(&bad, 1, Timestamp::UNIX_EPOCH);
        assert_eq!(refused.unwrap_err().code, code, "{change:?}");
    }
    let nowhere = NewInstance {
        subnet_id: String::new(),
        ..new
    };
    let refused = state.run_instances(&nowhere, 1, Timestamp::UNIX_EPOCH);
    assert_eq!(refused.unwrap_err().code, "VPCIdNotSpecified");
}
