#![allow(clippy::unwrap_used)]
use super::*;
use crate::Timing;

fn state() -> (State, String) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
    (state, vpc)
}

#[test]
fn ranges_and_zones() {
    let (mut state, vpc) = state();
    state
        .create_subnet(&vpc, "10.0.0.0/24", Some("use1-az2"), &[])
        .unwrap();
    assert_eq!(
        state.subnets.values().next().unwrap().availability_zone,
        "us-east-1b"
    );
    for (cidr, zone, code) in [
        ("10.0.0.128/25", None, "InvalidSubnet.Conflict"),
        ("10.1.0.0/24", None, "InvalidSubnet.Range"),
        ("10.0.1.0/29", None, "InvalidSubnet.Range"),
        ("10.0.1.0", None, "InvalidParameterValue"),
        ("10.0.1.0/24", Some("us-east-1z"), "InvalidParameterValue"),
    ] {
        let refused = state.create_subnet(&vpc, cidr, zone, &[]).unwrap_err();
        assert_eq!(refused.code, code, "{cidr}");
    }
    let unknown = state.create_subnet("vpc-00000000000000000", "10.0.1.0/24", None, &[]);
    assert_eq!(unknown.unwrap_err().code, "InvalidVpcID.NotFound");
}

#[test]
fn a_small_subnet_runs_full() {
    let (mut state, vpc) = state();
    let id = state.create_subnet(&vpc, "10.0.0.0/28", None, &[]).unwrap();
    assert_eq!(state.subnets[&id].free_addresses(), 11);
    for _ in 0..11 {
        state.create_network_interface(&id, "", &[], &[]).unwrap();
    }
    assert_eq!(state.subnets[&id].free_addresses(), 0);
    let full = state.create_network_interface(&id, "", &[], &[]);
    assert_eq!(full.unwrap_err().code, "InsufficientFreeAddressesInSubnet");
    let blocked = state.delete_subnet(&id).unwrap_err();
    assert_eq!(blocked.code, "DependencyViolation");
}

#[test]
fn drawn_addresses_lie_at_the_end_until_it_is_full() {
    let (mut state, vpc) = state();
    let id = state.create_subnet(&vpc, "10.0.0.0/26", None, &[]).unwrap();
    let subnet = state.subnets.get_mut(&id).unwrap();
    let mut drawn = std::collections::BTreeSet::new();
    for number in [0, 7, 7, u64::MAX, 14, 15] {
        let address = subnet.take_drawn("eni-1", Some(number)).unwrap();
        assert!(address.octets()[3] >= 48, "{address}");
        assert!(drawn.insert(address), "{address} twice");
    }
    for number in 0..59 - 6 {
        subnet.take_drawn("eni-1", Some(number)).unwrap();
    }
    assert_eq!(subnet.free_addresses(), 0);
    let full = subnet.take_drawn("eni-1", Some(0)).unwrap_err();
    assert_eq!(full.code, "InsufficientFreeAddressesInSubnet");
}

#[test]
fn prefixes_are_whole_and_free() {
    let (mut state, vpc) = state();
    let id = state.create_subnet(&vpc, "10.0.0.0/26", None, &[]).unwrap();
    let subnet = state.subnets.get_mut(&id).unwrap();
    let prefix = subnet.take_prefix(None, "eni-1").unwrap();
    assert_eq!(prefix.to_string(), "10.0.0.16/28");
    assert_eq!(subnet.free_addresses(), 59 - 16);
    for (wish, code) in [
        ("10.0.0.16/28", "InvalidIPAddress.InUse"),
        ("10.0.0.40/28", "InvalidParameterValue"),
        ("10.0.0.0/27", "InvalidParameterValue"),
        ("10.9.0.0/28", "InvalidParameterValue"),
    ] {
        let wish = Some(wish.parse().unwrap());
        assert_eq!(subnet.take_prefix(wish, "eni-1").unwrap_err().code, code);
    }
}

#[test]
fn attributes_that_need_ipv6() {
    let (mut state, vpc) = state();
    let id = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
    let refused = state.modify_subnet(&id, SubnetChange::AssignIpv6(true));
    assert_eq!(refused.unwrap_err().code, "InvalidParameterValue");
    state
        .modify_subnet(&id, SubnetChange::MapPublicIp(true))
        .unwrap();
    assert!(state.subnets[&id].map_public_ip);
}
