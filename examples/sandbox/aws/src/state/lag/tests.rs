#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::{
    Timing, World,
    state::{security_group::NewPermission, target_group::NewTargetGroup},
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const ELB: &str = "elasticloadbalancing";

fn later(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

/// An account where one rule holds for ten seconds.
fn world(lag: Lag) -> (State, String) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let ids = World::default().build(&mut state, NOW).unwrap();
    let setting = Setting {
        ms: 10_000,
        probability: 1.0,
    };
    state.lags.settings.insert(lag, setting);
    (state, ids.vpc)
}

/// Carries out a change that names texts.
fn change<T>(
    state: &mut State,
    (service, action): (&str, &str),
    names: &[&str],
    now: Timestamp,
    mut carry_out: impl FnMut(&mut State) -> Answer<T>,
) -> Answer<T> {
    let parameters = json!({ "Names": names });
    let call = Call::new(service, action, &parameters, false);
    let answered = state.with_lags(&call, now, |state| Some(carry_out(state)));
    answered.unwrap()
}

fn read<T>(state: &mut State, action: &str, now: Timestamp, look: impl Fn(&State) -> T) -> T {
    let parameters = json!({});
    let call = Call::new(ELB, action, &parameters, true);
    let answered = state.with_lags(&call, now, |state| Some(Ok(look(state))));
    answered.unwrap().unwrap()
}

fn group(state: &mut State, name: &str, vpc: &str) -> String {
    change(state, (ELB, "CreateTargetGroup"), &[name], NOW, |state| {
        let new = NewTargetGroup {
            name: name.to_owned(),
            protocol: Some("HTTP".to_owned()),
            port: Some(80),
            vpc_id: Some(vpc.to_owned()),
            ..NewTargetGroup::default()
        };
        state.create_target_group(&new)
    })
    .unwrap()
}

fn tag(state: &mut State, arn: &str, now: Timestamp) -> Answer<()> {
    change(state, (ELB, "AddTags"), &[arn], now, |state| {
        state.add_tags(&[arn.to_owned()], &[("a".to_owned(), "1".to_owned())])
    })
}

#[test]
fn what_was_just_made_is_not_found_for_a_while() {
    let (mut state, vpc) = world(Lag::CreateTargetGroup);
    let arn = group(&mut state, "web", &vpc);
    let refusal = tag(&mut state, &arn, later(9)).unwrap_err();
    assert_eq!(refusal.code, "TargetGroupNotFound");
    let seen = |state: &State| state.target_groups.contains_key(&arn);
    assert!(!read(&mut state, "DescribeTargetGroups", later(9), seen));
    assert!(seen(&state), "it is there all the same");
    assert!(state.tags[&arn].is_empty(), "nothing has changed");
    tag(&mut state, &arn, later(10)).unwrap();
    assert!(read(&mut state, "DescribeTargetGroups", later(10), seen));
    assert!(state.lags.news.is_empty());
}

#[test]
fn a_repeated_create_finds_what_is_hidden() {
    let (mut state, vpc) = world(Lag::CreateTargetGroup);
    let arn = group(&mut state, "web", &vpc);
    assert_eq!(group(&mut state, "web", &vpc), arn);
    assert_eq!(state.lags.news.len(), 1, "the repeat made nothing");
    let delete = |state: &mut State| state.delete_target_group(&arn);
    let what = (ELB, "DeleteTargetGroup");
    change(&mut state, what, &[&arn], NOW, delete).unwrap();
    assert!(state.target_groups.is_empty(), "no success without effect");
}

#[test]
fn a_read_leaves_the_state_as_it_was() {
    let (mut state, vpc) = world(Lag::CreateTargetGroup);
    state.lags.settings = real();
    for setting in state.lags.settings.values_mut() {
        setting.probability = 1.0;
    }
    let web = group(&mut state, "web", &vpc);
    let rest = |state: &mut State, action: &str, names: &[&str]| {
        change(state, ("ec2", action), names, NOW, |state| {
            if action == "CreateSecurityGroup" {
                return state.create_security_group("g", "g", &vpc, &[]);
            }
            let all = NewPermission {
                protocol: "-1".to_owned(),
                ipv4: vec![("10.0.0.0/8".to_owned(), None)],
                ..NewPermission::default()
            };
            let made = state.authorize(names[0], false, &[all], &[])?;
            Ok(made[0].id.clone())
        })
        .unwrap()
    };
    let security_group = rest(&mut state, "CreateSecurityGroup", &["g"]);
    state.lags.news.clear();
    let rule = rest(
        &mut state,
        "AuthorizeSecurityGroupIngress",
        &[&security_group],
    );
    group(&mut state, "other", &vpc);
    tag(&mut state, &web, NOW).unwrap();
    assert_eq!(state.lags.news.len(), 3);
    let before = format!("{state:?}");
    read(&mut state, "DescribeAll", NOW, |state| {
        let rules = &state.security_groups[&security_group].rules;
        assert!(rules.iter().all(|one| one.id != rule));
        assert_eq!(state.target_groups.len(), 1);
        assert!(state.tags[&web].is_empty(), "the old tags");
    });
    assert_eq!(format!("{state:?}"), before);
}

#[test]
fn draws_decide_and_are_repeatable() {
    let (mut state, vpc) = world(Lag::CreateTargetGroup);
    let set = |state: &mut State, probability| {
        let setting = Setting {
            ms: 10_000,
            probability,
        };
        state.lags.settings.insert(Lag::CreateTargetGroup, setting);
    };
    set(&mut state, 0.0);
    group(&mut state, "never", &vpc);
    assert!(state.lags.news.is_empty());
    set(&mut state, 0.5);
    let mut again = state.clone();
    for number in 0..40 {
        let name = format!("web-{number}");
        assert_eq!(
            group(&mut state, &name, &vpc),
            group(&mut again, &name, &vpc)
        );
    }
    assert_eq!(state.lags, again.lags);
    let hidden = state.lags.news.len();
    assert!((5..35).contains(&hidden), "{hidden} of 40");
}

#[test]
fn the_scale_of_the_timing_holds() {
    let (mut state, vpc) = world(Lag::CreateTargetGroup);
    state.timing.scale = 0.1;
    let arn = group(&mut state, "web", &vpc);
    tag(&mut state, &arn, NOW).unwrap_err();
    tag(&mut state, &arn, later(1)).unwrap();
}

#[test]
fn every_rule_is_on_where_time_is_real() {
    let all = crate::Profile::Real.lags();
    assert_eq!(all.len(), REAL.len(), "each is named once");
    assert!(
        all.values()
            .all(|setting| setting.check().is_ok() && setting.ms > 0)
    );
    for name in ["instant", "quick"] {
        let profile: crate::Profile = name.parse().unwrap();
        assert!(profile.lags().is_empty(), "{name}");
    }
    let bad = Setting {
        ms: 1,
        probability: f64::NAN,
    };
    assert!(bad.check().unwrap_err().contains("0 to 1"));
}

#[test]
fn nodes_know_a_listener_as_it_was_for_a_while() {
    use crate::dataplane::tests::world::{
        account, add_balancer, add_listener, balancer_arn, listener_arn,
    };
    let mut state = account();
    add_balancer(&mut state, "web");
    add_listener(&mut state, "web", 80, crate::state::Protocol::Http);
    let setting = Setting {
        ms: 10_000,
        probability: 1.0,
    };
    state.lags.settings.insert(Lag::ChangeListener, setting);
    let arn = listener_arn("web", 80);
    let alpn = |state: &mut State, action: &str, at: Timestamp, to: Option<&str>| {
        change(state, (ELB, action), &[&arn], at, |state| {
            let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
            match to {
                Some(to) => {
                    let listener = balancer.listeners.get_mut(&80).unwrap();
                    listener.alpn_policy = Some(to.to_owned());
                }
                None => balancer.listeners.clear(),
            }
            Ok(())
        })
        .unwrap();
    };
    let served = |state: &State| -> Vec<Option<String>> {
        let balancer = &state.load_balancers[&balancer_arn("web")];
        let listeners = state.served_listeners(balancer).into_iter();
        let all: Vec<_> = listeners.map(|it| it.alpn_policy.clone()).collect();
        let one = state.served_listener(balancer, &arn);
        assert_eq!(one.is_some(), !all.is_empty());
        all
    };
    alpn(&mut state, "DescribeListeners", NOW, Some("zero"));
    assert!(!state.is_stale(&arn), "only changes are late");
    alpn(&mut state, "ModifyListener", NOW, Some("one"));
    alpn(&mut state, "ModifyRule", later(5), Some("two"));
    alpn(&mut state, "DeleteListener", later(8), None);
    let mut seen = Vec::new();
    for second in [0, 9, 10, 15, 18] {
        state.advance(later(second));
        seen.push(served(&state));
    }
    let one = |text: &str| vec![Some(text.to_owned())];
    assert_eq!(
        seen,
        [one("zero"), one("zero"), one("one"), one("two"), vec![]]
    );
    assert!(state.lags.news.is_empty(), "and nobody called");
}

#[test]
fn an_alias_does_not_find_a_new_load_balancer() {
    use crate::state::{
        AliasTarget, RecordSet, change_batch::ChangeAction, load_balancer::NewLoadBalancer,
    };
    let (mut state, _) = world(Lag::AliasLoadBalancer);
    state.timing.insync_ms = 0;
    let subnets: Vec<String> = state.subnets.keys().take(2).cloned().collect();
    let arn = change(
        &mut state,
        (ELB, "CreateLoadBalancer"),
        &["web"],
        NOW,
        |state| {
            let new = NewLoadBalancer {
                name: "web".to_owned(),
                scheme: Some("internal".to_owned()),
                subnets: subnets.clone(),
                ..NewLoadBalancer::default()
            };
            state.create_load_balancer(new, NOW)
        },
    )
    .unwrap();
    let zone = state.hosted_zones.values().next().cloned().unwrap();
    let balancer = state.load_balancers[&arn].clone();
    let upsert = |state: &mut State, at: Timestamp| {
        state.advance(at);
        let record = RecordSet {
            name: format!("x.{}", zone.name),
            kind: "A".to_owned(),
            ttl: None,
            values: Vec::new(),
            routing: None,
            health_check_id: None,
            alias: Some(AliasTarget {
                hosted_zone_id: balancer.canonical_hosted_zone_id.clone(),
                dns_name: format!("{}.", balancer.dns_name.to_ascii_lowercase()),
                evaluate_target_health: true,
            }),
        };
        let changes = vec![(ChangeAction::Upsert, record)];
        state.change_record_sets(&zone.id, changes, None, at)
    };
    let refused = upsert(&mut state, later(9)).unwrap_err();
    assert_eq!(refused.code, "InvalidChangeBatch");
    let why = "that target was not found";
    assert!(refused.message.contains(why), "{refused}");
    upsert(&mut state, later(10)).unwrap();
}

#[test]
fn dns_knows_a_record_as_it_was_until_it_is_in_sync() {
    use crate::state::{RecordKey, RecordSet, dns_name};
    let (mut state, _) = world(Lag::ChangeRecords);
    state.timing.insync_ms = 6_000;
    let zone = state.hosted_zones.keys().next().cloned().unwrap();
    let name = format!("x.{}", state.hosted_zones[&zone].name);
    let key = RecordKey {
        reversed: dns_name::reversed(&name),
        kind: "A".to_owned(),
        set_identifier: String::new(),
    };
    let to = |state: &mut State, address: Option<&str>, at: Timestamp| {
        let what = ("route53", "ChangeResourceRecordSets");
        change(state, what, &[&zone], at, |state| {
            let records = &mut state.hosted_zones.get_mut(&zone).unwrap().records;
            match address {
                Some(address) => {
                    let set = RecordSet {
                        name: name.clone(),
                        kind: "A".to_owned(),
                        ttl: Some(60),
                        values: vec![address.to_owned()],
                        alias: None,
                        routing: None,
                        health_check_id: None,
                    };
                    records.insert(key.clone(), set)
                }
                None => records.remove(&key),
            };
            Ok(state.add_change(&zone, None, at))
        })
        .unwrap();
    };
    let served = |state: &State| {
        let served = state.served_zone(&state.hosted_zones[&zone]);
        let set = served.records.get(&key);
        set.map_or_else(String::new, |set| set.values.join(" "))
    };
    to(&mut state, Some("192.0.2.1"), NOW);
    to(&mut state, Some("192.0.2.2"), later(3));
    to(&mut state, None, later(4));
    let mut seen = Vec::new();
    for second in [4, 5, 6, 8, 9, 10] {
        state.advance(later(second));
        seen.push(served(&state));
    }
    // In sync after 6 s, though the rule would hold for 10.
    assert_eq!(seen, ["", "", "192.0.2.1", "192.0.2.1", "192.0.2.2", ""]);
}
