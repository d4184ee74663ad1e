//! Whatever batches come, a zone holds what DNS can serve, and a batch that is
//! refused changes nothing.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::{
    Timing, World,
    state::record_set::{Routing, RoutingPolicy},
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn record() -> impl Strategy<Value = RecordSet> {
    let name = prop::sample::select(vec!["", "a.", "b.", "*.", "outside"]);
    let kind = prop::sample::select(vec!["A", "CNAME", "TXT", "NS", "SOA"]);
    let value = prop::sample::select(vec!["192.0.2.1", "x.example.org", "\"text\"", "192.0.2.2"]);
    let ttl = prop::sample::select(vec![60, 300]);
    let policy = prop::sample::select(vec![
        None,
        Some(RoutingPolicy::Weighted(1)),
        Some(RoutingPolicy::Latency("eu-west-1".to_owned())),
        Some(RoutingPolicy::Latency("us-east-1".to_owned())),
        Some(RoutingPolicy::MultiValue),
        Some(RoutingPolicy::Failover("PRIMARY".to_owned())),
    ]);
    let identifier = prop::sample::select(vec!["x", "y"]);
    let alias = prop::sample::select(vec![None, None, None, Some("a."), Some("b.")]);
    (name, kind, value, ttl, policy, identifier, alias).prop_map(
        |(name, kind, value, ttl, policy, identifier, alias)| RecordSet {
            name: format!("{name}example.com."),
            kind: kind.to_owned(),
            ttl: alias.is_none().then_some(ttl),
            values: match alias {
                None => vec![value.to_owned()],
                Some(_) => Vec::new(),
            },
            alias: alias.map(|target| AliasTarget {
                hosted_zone_id: String::new(),
                dns_name: format!("{target}example.com."),
                evaluate_target_health: true,
            }),
            routing: policy.map(|policy| Routing {
                set_identifier: identifier.to_owned(),
                policy,
            }),
            health_check_id: None,
        },
    )
}

fn batches() -> impl Strategy<Value = Vec<Vec<(ChangeAction, RecordSet)>>> {
    let action = prop::sample::select(vec![
        ChangeAction::Create,
        ChangeAction::Delete,
        ChangeAction::Upsert,
    ]);
    prop::collection::vec(prop::collection::vec((action, record()), 1..4), 1..30)
}

/// What is wrong with a zone.
fn wrong(zone: &HostedZone) -> Vec<String> {
    let mut wrong = Vec::new();
    let all: Vec<&RecordSet> = zone.records.values().collect();
    for kind in ["NS", "SOA"] {
        let of_kind = |record: &&&RecordSet| record.kind == kind && record.name == zone.name;
        if all.iter().filter(of_kind).count() != 1 {
            wrong.push(format!("the zone has no {kind} record of its own"));
        }
    }
    for (key, record) in &zone.records {
        if HostedZone::key_of(record) != *key {
            wrong.push(format!("{record:?} stands at {key:?}"));
        }
        if !dns_name::is_within(&record.name, &zone.name) {
            wrong.push(format!("{record:?} is not in the zone"));
        }
        if record.alias.is_some() == record.ttl.is_some() {
            wrong.push(format!("{record:?} is neither alias nor values, or both"));
        }
        for other in all.iter().filter(|other| other.name == record.name) {
            if (record.kind == "CNAME") != (other.kind == "CNAME") {
                wrong.push(format!("{record:?} beside {other:?}"));
            }
            let policy = |record: &RecordSet| {
                let routing = record.routing.as_ref();
                routing.map(|routing| std::mem::discriminant(&routing.policy))
            };
            if record.kind == other.kind && policy(record) != policy(other) {
                wrong.push(format!("{record:?} beside {other:?}"));
            }
        }
    }
    wrong
}

proptest! {
    #[test]
    fn zones_hold_what_dns_can_serve(batches in batches()) {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let id = World::default().build(&mut state, NOW).unwrap().hosted_zones[0].clone();
        for mut batch in batches {
            for (_, record) in &mut batch {
                if let Some(alias) = &mut record.alias {
                    alias.hosted_zone_id.clone_from(&id);
                }
            }
            let before = state.hosted_zone(&id).unwrap().records.clone();
            let answer = state.change_record_sets(&id, batch.clone(), None, NOW);
            let zone = state.hosted_zone(&id).unwrap();
            prop_assert_eq!(wrong(zone), Vec::<String>::new());
            match answer {
                Ok(change) => {
                    prop_assert!(state.change(&change).is_ok());
                    // What the last change of each record set says is what is there.
                    for (action, record) in &batch {
                        let key = HostedZone::key_of(record);
                        let last = batch.iter().rev().find(|(_, it)| HostedZone::key_of(it) == key);
                        if last == Some(&(*action, record.clone())) {
                            let there = zone.records.get(&key);
                            let wanted = (*action != ChangeAction::Delete).then_some(record);
                            prop_assert_eq!(there, wanted);
                        }
                    }
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal.code, "InvalidChangeBatch");
                    prop_assert_eq!(before, zone.records.clone());
                }
            }
        }
    }
}
