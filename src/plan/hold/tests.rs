#![allow(clippy::unwrap_used, clippy::panic)] // a test may fail loudly

use std::collections::{BTreeMap, BTreeSet};

use crate::model::desired::{Desired, DesiredRule, Intent, Leaver};
use crate::model::finding::{Effect, Finding, Reason};
use crate::model::ownership::target_group_key;
use crate::model::spec::{Arn, ObjectName, Observed, Protocol, Scheme, TargetType};
use crate::plan::diff;
use crate::plan::fixture::{
    cx, desired, fixed_rule, made, open, pod, rule, settle, stack, target_group,
};

fn two_members() -> Vec<DesiredRule> {
    vec![
        rule("api", "api.example", "/*", "api"),
        rule("web", "web.example", "/*", "web"),
        fixed_rule("web", "old.example", "410"),
    ]
}

/// As `model` says it when `web` is frozen: its parts are not wished.
fn web_frozen(rules: Vec<DesiredRule>) -> Desired {
    let web = ObjectName::new("shop", "web");
    let rules = rules.into_iter().filter(|rule| rule.owner != web).collect();
    let mut desired = desired(stack(&[(80, rules)]));
    desired.members = vec![ObjectName::new("shop", "api"), web.clone()];
    desired.frozen = BTreeSet::from([web]);
    desired
}

#[test]
fn what_is_live_for_a_frozen_member_stays() {
    let observed = made(&desired(stack(&[(80, two_members())])));
    assert!(diff(&web_frozen(two_members()), &observed, &cx()).is_empty());
}

#[test]
fn neighbours_of_a_frozen_member_change_and_add() {
    let mut observed = made(&desired(stack(&[(80, two_members())])));
    let rules = vec![
        rule("api", "new.example", "/*", "api"),
        rule("api", "api.example", "/v2", "api"),
    ];
    let mut wished = web_frozen(rules);
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    let mut added = stack.listeners[&80].clone();
    added.listener.port = 8080;
    stack.listeners.insert(8080, added);
    stack.frontend.as_mut().unwrap().ingress.insert(open(8080));
    let text = settle(&wished, &mut observed);
    assert!(text.contains("+ listener 8080"), "{text}");
    assert!(text.contains("+ access to security group frontend: tcp 8080"));
    assert!(
        !text.contains("\n- ") && !text.contains("web.example"),
        "{text}"
    );
    let rules = &observed.load_balancers[0].listeners[&80].rules;
    let hosts: Vec<String> = rules
        .values()
        .map(|r| r.spec.conditions[0].to_string())
        .collect();
    assert_eq!(
        hosts[hosts.len() - 2..],
        ["host web.example".to_owned(), "host old.example".to_owned()]
    );
    assert_eq!(rules.len(), 4);
}

#[test]
fn group_wide_values_stay_while_a_member_is_frozen() {
    let observed = made(&desired(stack(&[(80, two_members()), (443, vec![])])));
    let mut wished = web_frozen(two_members());
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    // 443 is wished no more, and everything of the load balancer differs.
    stack.load_balancer.scheme = Scheme::InternetFacing;
    stack.load_balancer.name = "k8s-other".to_owned();
    stack.load_balancer.subnets.clear();
    stack.load_balancer.tags.insert("team", "a");
    stack.load_balancer.security_groups.clear();
    stack.frontend = None;
    let listener = &mut stack.listeners.get_mut(&80).unwrap().listener;
    listener.protocol = Protocol::Https;
    listener.default_certificate = Some(Arn::from("arn:other"));
    listener.tags.insert("team", "a");
    let plan = diff(&wished, &observed, &cx());
    assert!(plan.is_empty(), "{plan}");
}

#[test]
fn a_certificate_may_be_added_while_a_member_is_frozen_and_none_removed() {
    let mut observed = made(&desired(stack(&[(443, two_members())])));
    let listener = observed.load_balancers[0].listeners.get_mut(&443).unwrap();
    listener.spec.sni_certificates.insert(Arn::from("arn:webs"));
    let mut wished = web_frozen(two_members());
    let Intent::Serve(held) = &mut wished.intent else {
        panic!("not served");
    };
    let mut listener = stack(&[(443, vec![two_members()[0].clone()])])
        .listeners
        .remove(&443)
        .unwrap();
    listener
        .listener
        .sni_certificates
        .insert(Arn::from("arn:new"));
    held.listeners = BTreeMap::from([(443, listener)]);
    assert_eq!(
        settle(&wished, &mut observed),
        "1. + certificate arn:new on listener 443\n"
    );
}

#[test]
fn a_leaver_is_cleaned_up_while_others_are_frozen() {
    let mut observed = made(&desired(stack(&[(80, two_members())])));
    let mut wished = web_frozen(vec![]);
    wished.members = vec![ObjectName::new("shop", "web")];
    wished.leavers = vec![Leaver {
        ingress: ObjectName::new("shop", "api"),
        deleted: true,
    }];
    wished.intent = Intent::Hold;
    let text = settle(&wished, &mut observed);
    assert!(text.contains("- rule 80/1 host api.example"), "{text}");
    assert!(text.contains("- target group shop/api-api:80"), "{text}");
    assert!(!text.contains("web-web"), "{text}");
    assert_eq!(observed.load_balancers[0].listeners[&80].rules.len(), 2);
}

/// `api` has left a group that `web` stays in; its target group as `api` would
/// have it now.
fn api_left() -> Desired {
    let api = ObjectName::new("shop", "api");
    let mut wished = desired(stack(&[(80, two_members()[1..].to_vec())]));
    wished.leavers = vec![Leaver {
        ingress: api.clone(),
        deleted: true,
    }];
    let key = target_group_key(&api, "api", "80");
    wished.parting = BTreeMap::from([(key.clone(), target_group(&key, &api))]);
    wished
}

/// The same while DNS may still lead people to `api`.
fn api_held() -> Desired {
    let mut held = api_left();
    held.held = BTreeSet::from([ObjectName::new("shop", "api")]);
    held
}

#[test]
fn a_leaver_is_held_until_it_is_let_go() {
    let mut observed = made(&desired(stack(&[(80, two_members())])));
    assert_eq!(settle(&api_held(), &mut observed), "");
    let text = settle(&api_left(), &mut observed);
    assert!(text.contains("host api.example"), "{text}");
    assert!(text.contains("- target group shop/api-api:80"), "{text}");
}

#[test]
fn targets_of_a_held_leaver_follow_its_pods() {
    let mut observed = made(&desired(stack(&[(80, two_members())])));
    let mut held = api_held();
    for group in held.parting.values_mut() {
        group.targets = [pod(2), pod(3)].into();
        // All else is as it was when it was served.
        group.target_group.health_check.path = "/other".to_owned();
    }
    let text = settle(&held, &mut observed);
    assert_eq!(
        text,
        "1. + targets of shop/api-api:80: 10.0.48.3:8080\n\
         2. - targets of shop/api-api:80: 10.0.48.1:8080\n"
    );
    // Its Service is gone: what is live stays.
    held.parting.clear();
    assert_eq!(settle(&held, &mut observed), "");
    // Another port or type of targets is a matter of the new group.
    let mut other = api_held();
    for group in other.parting.values_mut() {
        group.target_group.target_type = TargetType::Instance;
        group.targets.clear();
    }
    assert_eq!(settle(&other, &mut observed), "");
}

#[test]
fn a_group_on_its_way_out_serves_as_long_as_it_is_held() {
    let mut observed = made(&desired(stack(&[(80, two_members()[..1].to_vec())])));
    let mut held = api_held();
    held.members.clear();
    held.intent = Intent::Remove;
    assert_eq!(settle(&held, &mut observed), "");
    for group in held.parting.values_mut() {
        group.targets = [pod(1)].into();
    }
    assert_eq!(
        settle(&held, &mut observed),
        "1. - targets of shop/api-api:80: 10.0.48.2:8080\n"
    );
    held.held.clear();
    let text = settle(&held, &mut observed);
    assert!(text.starts_with("1. - load balancer"), "{text}");
    assert!(observed.is_empty());
}

#[test]
fn neighbours_of_a_held_leaver_change_and_group_wide_values_wait() {
    let mut observed = made(&desired(stack(&[(80, two_members())])));
    let mut held = api_held();
    let Intent::Serve(stack) = &mut held.intent else {
        panic!("not served");
    };
    stack.load_balancer.scheme = Scheme::InternetFacing;
    stack.listeners.get_mut(&80).unwrap().rules.truncate(1);
    let text = settle(&held, &mut observed);
    // The answer without a target group may be the leaver's.
    assert_eq!(text, "");
    let Intent::Serve(stack) = &mut held.intent else {
        panic!("not served");
    };
    let more = rule("web", "more.example", "/*", "web");
    stack.listeners.get_mut(&80).unwrap().rules.push(more);
    let text = settle(&held, &mut observed);
    assert!(text.contains("host more.example"), "{text}");
    assert!(!text.contains("- "), "{text}");
}

#[test]
fn what_may_be_a_frozen_members_stays() {
    // `shop/web` frozen; `shop/web-api` leaves: the names begin alike.
    let mut observed = made(&desired(stack(&[(
        80,
        vec![
            rule("web", "web.example", "/*", "web"),
            rule("web-api", "api.example", "/*", "x"),
        ],
    )])));
    let mut wished = web_frozen(vec![]);
    wished.members = vec![ObjectName::new("shop", "web")];
    wished.leavers = vec![Leaver {
        ingress: ObjectName::new("shop", "web-api"),
        deleted: true,
    }];
    wished.intent = Intent::Hold;
    assert_eq!(settle(&wished, &mut observed), "");
}

#[test]
fn a_group_that_waits_makes_nothing() {
    let mut wished = desired(stack(&[(80, two_members())]));
    wished.blocks_creation.push(Finding {
        ingress: ObjectName::new("shop", "web"),
        effect: Effect::Note,
        reason: Reason::WaitingForMember,
        message: "waits".to_owned(),
    });
    assert!(diff(&wished, &Observed::default(), &cx()).is_empty());
    // Where the load balancer is there already it means nothing.
    let mut observed = made(&desired(stack(&[(80, two_members())])));
    let Intent::Serve(served) = &mut wished.intent else {
        panic!("not served");
    };
    served.listeners.get_mut(&80).unwrap().rules.truncate(2);
    assert!(settle(&wished, &mut observed).contains("- rule 80/3"));
}
