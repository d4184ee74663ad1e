#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Timing, state::instance::NewInstance};

fn world() -> (State, String, String, String) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let now = Timestamp::UNIX_EPOCH;
    let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
    let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
    let new = NewInstance {
        image_id: crate::state::image::FIRST.to_owned(),
        instance_type: Some("t3.micro".to_owned()),
        subnet_id: subnet.clone(),
        ..NewInstance::default()
    };
    let instance = state.run_instances(&new, 1, now).unwrap().remove(0);
    state.instances_at_once();
    (state, vpc, subnet, instance)
}

#[test]
fn attached_detached_deleted() {
    let (mut state, _, subnet, instance) = world();
    let now = Timestamp::UNIX_EPOCH;
    let a = state
        .create_network_interface(&subnet, "a", &[], &[])
        .unwrap();
    let b = state
        .create_network_interface(&subnet, "b", &[], &[])
        .unwrap();
    let taken = state.attach_interface(&a, &instance, 0, now).unwrap_err();
    assert_eq!(taken.code, "InvalidParameterValue");
    let attachment = state.attach_interface(&a, &instance, 1, now).unwrap();
    for (refused, code) in [
        (
            state.attach_interface(&a, &instance, 2, now).map(|_| ()),
            "InvalidNetworkInterface.InUse",
        ),
        (
            state.attach_interface(&b, &instance, 2, now).map(|_| ()),
            "AttachmentLimitExceeded",
        ),
        (
            state.delete_network_interface(&a),
            "InvalidNetworkInterface.InUse",
        ),
    ] {
        assert_eq!(refused.unwrap_err().code, code);
    }
    let primary = state
        .interfaces_of(&instance)
        .find_map(|i| i.attachment.clone().filter(|a| a.device_index == 0))
        .unwrap();
    let refused = state.detach_interface(&primary.id).unwrap_err();
    assert_eq!(refused.code, "OperationNotPermitted");
    state.detach_interface(&attachment).unwrap();
    let gone = state.detach_interface(&attachment).unwrap_err();
    assert_eq!(gone.code, "InvalidAttachmentID.NotFound");
    state.delete_network_interface(&a).unwrap();
    let gone = state.delete_network_interface(&a).unwrap_err();
    assert_eq!(gone.code, "InvalidNetworkInterfaceID.NotFound");
}

#[test]
fn groups_are_of_the_same_network() {
    let (mut state, vpc, subnet, _) = world();
    let other = state.create_vpc("10.1.0.0/16", &[]).unwrap();
    let foreign = state.create_security_group("x", "x", &other, &[]).unwrap();
    let refused = state.create_network_interface(&subnet, "", std::slice::from_ref(&foreign), &[]);
    assert_eq!(refused.unwrap_err().code, "InvalidParameter");
    let own = state.create_security_group("x", "x", &vpc, &[]).unwrap();
    let id = state
        .create_network_interface(&subnet, "", &[own], &[])
        .unwrap();
    let refused = state.modify_interface(&id, InterfaceChange::Groups(vec![foreign]));
    assert_eq!(refused.unwrap_err().code, "InvalidGroup.NotFound");
}

#[test]
fn a_refused_create_leaves_nothing() {
    let (mut state, _, subnet, _) = world();
    let free = state.subnets[&subnet].free_addresses();
    let wanted = WantedInterface {
        subnet_id: subnet.clone(),
        primary: Some("10.0.0.50".parse().unwrap()),
        addresses: Addresses {
            ipv4: vec!["10.0.0.50".parse().unwrap()],
            ..Addresses::default()
        },
        ..WantedInterface::default()
    };
    let refused = state.make_interface(&wanted).unwrap_err();
    assert_eq!(refused.code, "InvalidIPAddress.InUse");
    assert_eq!(state.subnets[&subnet].free_addresses(), free);
    assert_eq!(state.network_interfaces.len(), 1);
}
