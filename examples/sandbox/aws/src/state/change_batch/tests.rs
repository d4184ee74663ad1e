//! Batches against a zone of the pure state.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    Timing, World,
    state::record_set::{Geoproximity, Routing},
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn zone() -> (State, String) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let ids = World::default().build(&mut state, NOW).unwrap();
    (state, ids.hosted_zones[0].clone())
}

fn record(name: &str, kind: &str, value: &str) -> RecordSet {
    RecordSet {
        name: format!("{name}."),
        kind: kind.to_owned(),
        ttl: Some(300),
        values: vec![value.to_owned()],
        alias: None,
        routing: None,
        health_check_id: None,
    }
}

fn routed(identifier: &str, policy: RoutingPolicy) -> RecordSet {
    RecordSet {
        routing: Some(Routing {
            set_identifier: identifier.to_owned(),
            policy,
        }),
        ..record("r.example.com", "A", "192.0.2.1")
    }
}

fn alias(name: &str, kind: &str, zone: &str, target: &str) -> RecordSet {
    RecordSet {
        ttl: None,
        values: Vec::new(),
        alias: Some(AliasTarget {
            hosted_zone_id: zone.to_owned(),
            dns_name: format!("{target}."),
            evaluate_target_health: false,
        }),
        ..record(name, kind, "")
    }
}

/// The message of the refusal, empty when there is none. A refused batch
/// leaves the zone as it was.
fn change(state: &mut State, zone: &str, changes: &[(ChangeAction, RecordSet)]) -> String {
    let before = state.hosted_zone(zone).unwrap().records.clone();
    match state.change_record_sets(zone, changes.to_vec(), None, NOW) {
        Ok(_) => String::new(),
        Err(refusal) => {
            assert_eq!(refusal.code, "InvalidChangeBatch", "{}", refusal.message);
            assert_eq!(before, state.hosted_zone(zone).unwrap().records);
            refusal.message
        }
    }
}

#[test]
fn a_batch_has_a_size_and_an_upsert_counts_twice() {
    let (mut state, zone) = zone();
    let batch = |action: ChangeAction, count: usize, length: usize| {
        (0..count)
            .map(|n| {
                let value = format!("\"{}\"", "x".repeat(length - 2));
                (action, record(&format!("h{n}.example.com"), "TXT", &value))
            })
            .collect::<Vec<_>>()
    };
    for (action, count, length, fits) in [
        (ChangeAction::Create, 1000, 32, true),
        (ChangeAction::Upsert, 500, 32, true),
        (ChangeAction::Upsert, 501, 4, false),
        (ChangeAction::Create, 1001, 4, false),
        (ChangeAction::Upsert, 500, 33, false),
    ] {
        let mut state = state.clone();
        let changes = batch(action, count, length);
        let answer = state.change_record_sets(&zone, changes, None, NOW);
        assert_eq!(answer.is_ok(), fits, "{action:?} {count} {length}");
    }
    state.quotas.set("records-per-hosted-zone", 3);
    let refused = change(&mut state, &zone, &batch(ChangeAction::Create, 2, 4));
    assert!(refused.contains("maximum number"));
}

#[test]
fn one_record_set_is_changed_once_or_made_anew() {
    use ChangeAction::{Create, Delete, Upsert};
    let (mut state, zone) = zone();
    let one = record("a.example.com", "A", "192.0.2.1");
    let two = record("a.example.com", "A", "192.0.2.2");
    assert_eq!(change(&mut state, &zone, &[(Create, one.clone())]), "");
    for (first, second, fault) in [
        ((Delete, &one), (Create, &two), ""),
        ((Delete, &two), (Upsert, &one), ""),
        ((Delete, &one), (Delete, &one), "but it was not found"),
        ((Upsert, &one), (Upsert, &two), "invalid set of changes"),
        ((Upsert, &one), (Delete, &one), "invalid set of changes"),
    ] {
        let changes = [first, second].map(|(action, record)| (action, record.clone()));
        let message = change(&mut state, &zone, &changes);
        assert!(
            message.contains(fault) && fault.is_empty() == message.is_empty(),
            "{message}"
        );
    }
    let new = record("b.example.com", "A", "192.0.2.1");
    let message = change(&mut state, &zone, &[(Create, new.clone()), (Delete, new)]);
    assert!(message.contains("invalid set of changes"));
}

#[test]
fn the_delegation_cannot_go() {
    use ChangeAction::{Create, Delete, Upsert};
    let (mut state, zone) = zone();
    let records = state.hosted_zone(&zone).unwrap().records.clone();
    let of_kind = |kind: &str| records.values().find(|r| r.kind == kind).unwrap().clone();
    let (ns, soa) = (of_kind("NS"), of_kind("SOA"));
    assert!(change(&mut state, &zone, &[(Delete, ns.clone())]).contains("at least one NS"));
    assert!(change(&mut state, &zone, &[(Delete, soa.clone())]).contains("exactly one SOA"));
    let second = RecordSet {
        name: "a.example.com.".to_owned(),
        ..soa.clone()
    };
    assert!(change(&mut state, &zone, &[(Create, second)]).contains("exactly one SOA"));
    let shorter = RecordSet {
        ttl: Some(60),
        ..ns.clone()
    };
    assert_eq!(change(&mut state, &zone, &[(Upsert, shorter.clone())]), "");
    let again = [(Delete, shorter), (Create, ns)];
    assert_eq!(change(&mut state, &zone, &again), "");
}

#[test]
fn record_sets_of_one_name_and_type_have_one_policy() {
    use ChangeAction::{Create, Upsert};
    let (mut state, zone) = zone();
    let weighted = |id: &str, weight| routed(id, RoutingPolicy::Weighted(weight));
    assert_eq!(change(&mut state, &zone, &[(Create, weighted("a", 1))]), "");
    let slower = RecordSet {
        ttl: Some(60),
        ..weighted("b", 1)
    };
    let latency = |id: &str, region: &str| routed(id, RoutingPolicy::Latency(region.to_owned()));
    let failover = |id: &str, role: &str| routed(id, RoutingPolicy::Failover(role.to_owned()));
    for (wrong, part) in [
        (
            record("r.example.com", "A", "192.0.2.9"),
            "as other RRSets exist",
        ),
        (slower, "must contain the same TTL"),
        (latency("b", "eu-west-1"), "as a non-latency set exists"),
        (failover("b", "PRIMARY"), "as a non-failover set exists"),
        (
            record("r.example.com", "CNAME", "x.example.org"),
            "conflicts with other records",
        ),
    ] {
        let message = change(&mut state, &zone, &[(Create, wrong)]);
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(change(&mut state, &zone, &[(Create, weighted("b", 0))]), "");
    // A lone record set of the group may change its policy.
    let (mut state, zone) = self::zone();
    assert_eq!(change(&mut state, &zone, &[(Create, weighted("a", 1))]), "");
    assert_eq!(
        change(&mut state, &zone, &[(Upsert, latency("a", "eu-west-1"))]),
        ""
    );
    let message = change(&mut state, &zone, &[(Create, latency("b", "eu-west-1"))]);
    assert!(message.contains("Region Name=eu-west-1 cannot be created because a latency RRSet"));
    assert_eq!(
        change(&mut state, &zone, &[(Create, latency("b", "eu-west-2"))]),
        ""
    );
}

#[test]
fn there_is_one_of_each_place_and_role() {
    let geolocation = |country: &str| RoutingPolicy::Geolocation {
        continent: None,
        country: Some(country.to_owned()),
        subdivision: None,
    };
    let region = |region: &str| {
        RoutingPolicy::Geoproximity(Geoproximity {
            region: Some(region.to_owned()),
            ..Geoproximity::default()
        })
    };
    let role = |role: &str| RoutingPolicy::Failover(role.to_owned());
    for (one, other) in [
        (geolocation("DE"), geolocation("*")),
        (region("eu-west-1"), region("eu-west-2")),
        (role("PRIMARY"), role("SECONDARY")),
    ] {
        let (mut state, zone) = zone();
        let create =
            |id: &str, policy: &RoutingPolicy| [(ChangeAction::Create, routed(id, policy.clone()))];
        assert_eq!(change(&mut state, &zone, &create("a", &one)), "");
        assert!(change(&mut state, &zone, &create("b", &one)).contains("already exists"));
        assert_eq!(change(&mut state, &zone, &create("b", &other)), "");
    }
}

#[test]
fn a_group_has_a_size() {
    let (mut state, zone) = zone();
    let many = |from: usize, to: usize| {
        (from..to)
            .map(|n| {
                (
                    ChangeAction::Create,
                    routed(&n.to_string(), RoutingPolicy::MultiValue),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(change(&mut state, &zone, &many(0, 100)), "");
    assert!(change(&mut state, &zone, &many(100, 101)).contains("more than 100"));
}

#[test]
fn aliases_stay_in_their_zone_and_point_at_what_is_there() {
    use ChangeAction::Create;
    let (mut state, zone) = zone();
    let a = record("a.example.com", "A", "192.0.2.1");
    let good = [
        (Create, a),
        (Create, alias("b.example.com", "A", &zone, "a.example.com")),
        (Create, alias("c.example.com", "A", &zone, "b.example.com")),
    ];
    assert_eq!(change(&mut state, &zone, &good), "");
    for (wrong, part) in [
        (
            alias("d.example.com", "AAAA", &zone, "a.example.com"),
            "that target was not found",
        ),
        (
            alias("d.example.com", "A", &zone, "d.example.com"),
            "that target was not found",
        ),
        (
            alias("d.example.com", "A", &zone, "x.example.com"),
            "that target was not found",
        ),
        (
            alias("d.example.com", "A", &zone, "a.example.org"),
            "does not lie within the target zone",
        ),
        (
            alias("d.example.com", "A", "Z2FDTNDATAQYW2", "d1.cloudfront.net"),
            "was not found",
        ),
        (
            alias("d.example.com", "NS", &zone, "example.com"),
            "cannot be an alias",
        ),
        (
            alias("example.com", "CNAME", &zone, "a.example.com"),
            "not permitted at apex",
        ),
    ] {
        let message = change(&mut state, &zone, &[(Create, wrong)]);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_health_check_has_to_exist() {
    let (mut state, zone) = zone();
    let checked = RecordSet {
        health_check_id: Some("11111111-2222-3333-4444-555555555555".to_owned()),
        ..routed("a", RoutingPolicy::Weighted(1))
    };
    let changes = vec![(ChangeAction::Create, checked)];
    let refusal = state
        .change_record_sets(&zone, changes, None, NOW)
        .unwrap_err();
    assert_eq!(refusal.code, "NoSuchHealthCheck");
}

#[test]
fn a_zone_that_is_busy_takes_no_second_change() {
    let (mut state, zone) = zone();
    state.timing.zone_busy_ms = 1_000;
    state.timing.scale = 0.1;
    let create = |n: u8| {
        let name = format!("h{n}.example.com");
        vec![(ChangeAction::Create, record(&name, "A", "192.0.2.1"))]
    };
    assert!(
        state
            .change_record_sets(&zone, create(1), None, NOW)
            .is_ok()
    );
    let refusal = state
        .change_record_sets(&zone, create(2), None, NOW)
        .unwrap_err();
    assert_eq!(refusal.code, "PriorRequestNotComplete");
    let later = Timestamp::from_millisecond(99).unwrap();
    let refusal = state.change_record_sets(&zone, create(2), None, later);
    assert_eq!(refusal.unwrap_err().code, "PriorRequestNotComplete");
    let later = Timestamp::from_millisecond(100).unwrap();
    assert!(
        state
            .change_record_sets(&zone, create(2), None, later)
            .is_ok()
    );
}
