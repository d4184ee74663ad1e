#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    Timing,
    state::{peering::NewPeering, prefix_list::NewPrefixList},
};

fn world() -> (State, String, String) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
    let group = state.create_security_group("a", "a", &vpc, &[]).unwrap();
    (state, vpc, group)
}

fn tcp(from: i32, to: i32) -> NewPermission {
    NewPermission {
        protocol: "tcp".to_owned(),
        from_port: Some(from),
        to_port: Some(to),
        ..NewPermission::default()
    }
}

fn from(range: &str) -> NewPermission {
    NewPermission {
        ipv4: vec![(range.to_owned(), None)],
        ..tcp(80, 80)
    }
}

#[test]
fn malformed_permissions() {
    let (mut state, _, group) = world();
    let of = |protocol: &str, ports: Option<(i32, i32)>| NewPermission {
        protocol: protocol.to_owned(),
        from_port: ports.map(|p| p.0),
        to_port: ports.map(|p| p.1),
        ..from("10.0.0.0/8")
    };
    for (permission, code) in [
        (of("tcp", None), "InvalidParameterValue"),
        (of("tcp", Some((443, 80))), "InvalidParameterValue"),
        (of("tcp", Some((-1, 80))), "InvalidParameterValue"),
        (of("udp", Some((1, 65536))), "InvalidParameterValue"),
        (of("icmp", Some((256, -1))), "InvalidParameterValue"),
        (of("icmp", Some((-1, 3))), "InvalidParameterValue"),
        (of("sctpx", None), "InvalidParameterValue"),
        (of("256", None), "InvalidParameterValue"),
        (from("10.0.0.0"), "InvalidParameterValue"),
        (from("10.0.0.0/33"), "InvalidParameterValue"),
        (from("::/0"), "InvalidParameterValue"),
        (tcp(80, 80), "InvalidPermission.Malformed"),
    ] {
        let refused = state.authorize(&group, false, std::slice::from_ref(&permission), &[]);
        assert_eq!(refused.unwrap_err().code, code, "{permission:?}");
    }
    assert_eq!(state.security_groups[&group].rules.len(), 1);
}

#[test]
fn equal_rules_are_duplicates_however_spelt() {
    let (mut state, _, group) = world();
    state
        .authorize(&group, false, &[from("100.68.0.18/18")], &[])
        .unwrap();
    let mut again = from("100.68.0.0/18");
    again.protocol = "6".to_owned();
    again.ipv4[0].1 = Some("described".to_owned());
    let refused = state.authorize(&group, false, &[from("9.0.0.0/8"), again.clone()], &[]);
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, "InvalidPermission.Duplicate");
    assert_eq!(
        refused.message,
        "the specified rule \"peer: 100.68.0.0/18, TCP, from port: 80, to port: 80, ALLOW\" already exists"
    );
    assert_eq!(state.security_groups[&group].rules.len(), 2);
    // In the other direction it is another rule.
    state
        .authorize(&group, true, &[again.clone()], &[])
        .unwrap();
    let twice = state.authorize(&group, false, &[from("9.0.0.0/8"), from("9.1.0.0/8")], &[]);
    assert_eq!(twice.unwrap_err().code, "InvalidParameterValue");
    // The description need not match.
    state
        .revoke(&group, false, std::slice::from_ref(&again), &[])
        .unwrap();
    let gone = state.revoke(&group, false, &[again], &[]).unwrap_err();
    assert_eq!(gone.code, "InvalidPermission.NotFound");
}

#[test]
fn quotas_count_families_apart_and_lists_by_size() {
    let (mut state, _, group) = world();
    let ranges = |n: u8, count: u8| -> Vec<NewPermission> {
        (0..count)
            .map(|i| from(&format!("{n}.{i}.0.0/16")))
            .collect()
    };
    state
        .authorize(&group, false, &ranges(11, 59), &[])
        .unwrap();
    let mut list = NewPrefixList {
        name: "x".to_owned(),
        family: "IPv4".to_owned(),
        max_entries: 2,
        ..NewPrefixList::default()
    };
    let two = state.create_prefix_list(&list).unwrap();
    list.max_entries = 1;
    let one = state.create_prefix_list(&list).unwrap();
    let named = |id: &str| NewPermission {
        prefix_lists: vec![(id.to_owned(), None)],
        ..tcp(80, 80)
    };
    let refused = state
        .authorize(&group, false, &[named(&two)], &[])
        .unwrap_err();
    assert_eq!(refused.code, "RulesPerSecurityGroupLimitExceeded");
    state.authorize(&group, false, &[named(&one)], &[]).unwrap();
    let refused = state
        .authorize(&group, false, &ranges(12, 1), &[])
        .unwrap_err();
    assert_eq!(refused.code, "RulesPerSecurityGroupLimitExceeded");
    let ipv6 = NewPermission {
        ipv6: vec![("::/0".to_owned(), None)],
        ..tcp(80, 80)
    };
    state.authorize(&group, false, &[ipv6], &[]).unwrap();
    state.authorize(&group, true, &ranges(12, 1), &[]).unwrap();
    let bigger = super::super::prefix_list::PrefixListChange {
        max_entries: Some(2),
        ..super::super::prefix_list::PrefixListChange::default()
    };
    let refused = state.modify_prefix_list(&one, &bigger).unwrap_err();
    assert_eq!(refused.code, "RulesPerSecurityGroupLimitExceeded");
    let used = state.delete_prefix_list(&one).unwrap_err();
    assert_eq!(used.code, "DependencyViolation");
    state.delete_prefix_list(&two).unwrap();
    let unknown = state
        .authorize(&group, true, &[named(&two)], &[])
        .unwrap_err();
    assert_eq!(unknown.code, "InvalidPrefixListID.NotFound");
}

#[test]
fn groups_of_other_vpcs_need_a_peering() {
    let (mut state, vpc, group) = world();
    let other = state.create_vpc("10.1.0.0/16", &[]).unwrap();
    let far = state
        .create_security_group("far", "far", &other, &[])
        .unwrap();
    let named = NewPermission {
        groups: vec![(far.clone(), None)],
        ..tcp(80, 80)
    };
    let refused = state
        .authorize(&group, false, std::slice::from_ref(&named), &[])
        .unwrap_err();
    assert_eq!(refused.code, "InvalidGroup.NotFound");
    let id = state
        .create_peering(&NewPeering {
            vpc_id: vpc,
            peer_vpc_id: other,
            ..NewPeering::default()
        })
        .unwrap();
    state.accept_peering(&id).unwrap();
    state.authorize(&group, false, &[named], &[]).unwrap();
    let foreign = NewPermission {
        foreign_groups: vec![(far, "210987654321".to_owned(), None)],
        ..tcp(80, 80)
    };
    let refused = state.authorize(&group, false, &[foreign], &[]).unwrap_err();
    assert_eq!(refused.code, "InvalidGroup.NotFound");
}

#[test]
fn rules_are_modified_in_place() {
    let (mut state, _, group) = world();
    let made = state
        .authorize(
            &group,
            false,
            &[from("10.0.0.0/8"), from("11.0.0.0/8")],
            &[],
        )
        .unwrap();
    let [a, b] = [&made[0].id, &made[1].id];
    let change = |id: &str, new: NewPermission| vec![(id.to_owned(), new)];
    let ipv6 = NewPermission {
        ipv6: vec![("::/0".to_owned(), None)],
        ..tcp(80, 80)
    };
    for (changes, code) in [
        (change(a, from("11.0.0.0/8")), "InvalidPermission.Duplicate"),
        (change(a, ipv6), "InvalidParameterValue"),
        (
            change("sgr-00000000000000000", from("12.0.0.0/8")),
            "InvalidSecurityGroupRuleId.NotFound",
        ),
        (
            change("sgr-x", from("12.0.0.0/8")),
            "InvalidSecurityGroupRuleId.Malformed",
        ),
        (
            [change(a, from("12.0.0.0/8")), change(a, from("13.0.0.0/8"))].concat(),
            "InvalidParameterValue",
        ),
    ] {
        let refused = state.modify_rules(&group, &changes).unwrap_err();
        assert_eq!(refused.code, code, "{changes:?}");
    }
    let swap = [change(a, from("11.0.0.0/8")), change(b, from("10.0.0.0/8"))].concat();
    state.modify_rules(&group, &swap).unwrap();
    let rule = state.security_groups[&group]
        .rules
        .iter()
        .find(|r| r.id == *a)
        .unwrap();
    assert_eq!(rule.permission.peer.to_string(), "11.0.0.0/8");
    state
        .describe_rules_anew(&group, false, &[], &[(a.clone(), Some("new".to_owned()))])
        .unwrap();
    let bad = state.describe_rules_anew(&group, false, &[], &[(b.clone(), Some("a<b".to_owned()))]);
    assert_eq!(bad.unwrap_err().code, "InvalidParameterValue");
    let wrong_way = state.describe_rules_anew(&group, true, &[], &[(a.clone(), None)]);
    assert_eq!(
        wrong_way.unwrap_err().code,
        "InvalidSecurityGroupRuleId.NotFound"
    );
    let revoked = state
        .revoke(&group, false, &[], std::slice::from_ref(a))
        .unwrap();
    assert_eq!(revoked[0].description.as_deref(), Some("new"));
}
