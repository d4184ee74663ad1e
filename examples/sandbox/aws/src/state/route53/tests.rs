//! Zones of the pure state.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::Timing;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn account() -> (State, String, String) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let one = state.create_vpc("10.0.0.0/16", &[]).unwrap();
    let other = state.create_vpc("10.1.0.0/16", &[]).unwrap();
    (state, one, other)
}

fn new(name: &str, vpc: Option<&str>) -> NewZone {
    NewZone {
        name: name.to_owned(),
        caller_reference: format!("{name} {vpc:?}"),
        vpc: vpc.map(|vpc| (vpc.to_owned(), "us-east-1".to_owned())),
        ..NewZone::default()
    }
}

fn code<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    answer.map_or_else(|refusal| refusal.code.to_string(), |_| String::new())
}

#[test]
fn names_of_zones() {
    let (mut state, vpc, _) = account();
    for (name, private, expected) in [
        ("example.com", false, ""),
        ("corp", true, ""),
        ("com", false, "InvalidDomainName"),
        ("a..b", false, "InvalidDomainName"),
        ("*.example.com", false, "InvalidDomainName"),
        ("a.*.example.com", false, ""),
        ("a b.com", false, "InvalidDomainName"),
        ("", false, "InvalidDomainName"),
    ] {
        let zone = new(name, private.then_some(vpc.as_str()));
        assert_eq!(
            code(state.create_hosted_zone(zone, NOW)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn zones_of_one_name_have_name_servers_of_their_own() {
    let (mut state, _, _) = account();
    let (one, _) = state
        .create_hosted_zone(new("example.com", None), NOW)
        .unwrap();
    let again = state.create_hosted_zone(new("example.com", None), NOW);
    assert_eq!(code(again), "HostedZoneAlreadyExists");
    let twin = NewZone {
        caller_reference: "other".to_owned(),
        ..new("example.com", None)
    };
    let (two, _) = state.create_hosted_zone(twin, NOW).unwrap();
    let servers = |id: &str| state.hosted_zone(id).unwrap().name_servers.clone();
    assert_eq!(servers(&one).len(), 4);
    assert!(
        servers(&one)
            .iter()
            .all(|server| !servers(&two).contains(server))
    );
    // The reference stays taken when the zone is gone.
    state.delete_hosted_zone(&one, NOW).unwrap();
    let again = state.create_hosted_zone(new("example.com", None), NOW);
    assert_eq!(code(again), "HostedZoneAlreadyExists");
}

#[test]
fn private_zones_and_their_vpcs() {
    let (mut state, vpc, other) = account();
    let region = "us-east-1";
    let unknown = new("in.example.com", Some("vpc-0"));
    assert_eq!(code(state.create_hosted_zone(unknown, NOW)), "InvalidVPCId");
    let (id, _) = state
        .create_hosted_zone(new("in.example.com", Some(&vpc)), NOW)
        .unwrap();
    let twin = NewZone {
        caller_reference: "twin".to_owned(),
        ..new("in.example.com", Some(&vpc))
    };
    assert_eq!(
        code(state.create_hosted_zone(twin, NOW)),
        "ConflictingDomainExists"
    );
    let mut associate =
        |vpc: &str, region: &str| code(state.associate_zone_vpc(&id, vpc, region, None, NOW));
    assert_eq!(associate(&vpc, region), "ConflictingDomainExists");
    assert_eq!(associate(&other, "eu-west-1"), "InvalidVPCId");
    assert_eq!(associate(&other, region), "");
    assert_eq!(state.zones_of_vpc(&other, region).unwrap().len(), 1);
    let mut leave = |vpc: &str| code(state.disassociate_zone_vpc(&id, vpc, region, None, NOW));
    assert_eq!(leave("vpc-0"), "VPCAssociationNotFound");
    assert_eq!(leave(&vpc), "");
    assert_eq!(leave(&vpc), "VPCAssociationNotFound");
    assert_eq!(leave(&other), "LastVPCAssociation");
    let (public, _) = state
        .create_hosted_zone(new("example.com", None), NOW)
        .unwrap();
    let wrong = state.associate_zone_vpc(&public, &vpc, region, None, NOW);
    assert_eq!(code(wrong), "PublicZoneVPCAssociation");
    assert_eq!(code(state.zones_of_vpc("vpc-0", region)), "InvalidInput");
}

#[test]
fn a_private_zone_needs_a_vpc_and_a_public_one_has_none() {
    let (mut state, vpc, _) = account();
    for (zone, private) in [
        (new("a.com", None), true),
        (new("b.com", Some(&vpc)), false),
    ] {
        let zone = NewZone {
            private: Some(private),
            ..zone
        };
        assert_eq!(code(state.create_hosted_zone(zone, NOW)), "InvalidInput");
    }
}

#[test]
fn authorizations() {
    let (mut state, vpc, _) = account();
    let (id, _) = state
        .create_hosted_zone(new("in.example.com", Some(&vpc)), NOW)
        .unwrap();
    let gone = state.deauthorize_zone_vpc(&id, "vpc-1", "eu-west-1");
    assert_eq!(code(gone), "VPCAssociationAuthorizationNotFound");
    for _ in 0..2 {
        state.authorize_zone_vpc(&id, "vpc-1", "eu-west-1").unwrap();
    }
    assert_eq!(state.hosted_zone(&id).unwrap().authorized.len(), 1);
    state
        .deauthorize_zone_vpc(&id, "vpc-1", "eu-west-1")
        .unwrap();
    assert_eq!(
        code(state.authorize_zone_vpc(&id, "x", "eu-west-1")),
        "InvalidVPCId"
    );
}

#[test]
fn tags_of_a_zone() {
    let (mut state, _, _) = account();
    let (id, _) = state
        .create_hosted_zone(new("example.com", None), NOW)
        .unwrap();
    let pairs = |from: usize, to: usize| {
        (from..to)
            .map(|n| (format!("k{n}"), "v".to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        code(state.change_route53_tags(&id, &[], &[])),
        "InvalidInput"
    );
    assert_eq!(
        code(state.change_route53_tags(&id, &pairs(0, 11), &[])),
        "InvalidInput"
    );
    for n in 0..5 {
        state
            .change_route53_tags(&id, &pairs(n * 10, n * 10 + 10), &[])
            .unwrap();
    }
    assert_eq!(
        code(state.change_route53_tags(&id, &pairs(50, 51), &[])),
        "InvalidInput"
    );
    let remove = ["k0".to_owned()];
    assert_eq!(
        code(state.change_route53_tags(&id, &pairs(0, 1), &remove)),
        "InvalidInput"
    );
    state
        .change_route53_tags(&id, &pairs(50, 51), &remove)
        .unwrap();
    assert_eq!(state.tags[&id].len(), 50);
}
