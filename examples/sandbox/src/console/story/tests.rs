//! The story of small changes.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use sandbox_aws::journal::Call;

use super::*;
use crate::console::model::Rate;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn says(status: Value) -> IngressGroup {
    serde_json::from_value(json!({
        "apiVersion": "ingress.k8s.aws/v1", "kind": "IngressGroup",
        "metadata": { "name": "arcade-1" }, "spec": { "group": "arcade" }, "status": status,
    }))
    .unwrap()
}

fn call(number: u64, action: &str, parameters: Value) -> Call {
    Call {
        number,
        at: at(100),
        started: 10.0,
        ended: 12.54,
        service: "elasticloadbalancing".to_owned(),
        action: action.to_owned(),
        status: 200,
        code: None,
        caller: None,
        request_id: number.to_string(),
        denied: None,
        parameters: serde_json::from_value(parameters).unwrap(),
        answer: None,
    }
}

const BALANCER: &str = "arn:aws:elasticloadbalancing:r:1:loadbalancer/app/k8s-arcade/0a";
const TARGETS: &str = "arn:aws:elasticloadbalancing:r:1:targetgroup/k8s-game/0b";

/// A story that knows a group with a load balancer and a host.
fn story() -> Story {
    let mut story = Story::default();
    let resources = serde_json::from_value(json!({
        "loadBalancers": [{ "arn": BALANCER, "name": "k8s-arcade", "tags": { STACK_TAG: "arcade" } }],
        "targetGroups": [{ "arn": TARGETS, "name": "k8s-game", "tags": { STACK_TAG: "arcade" } }],
    }))
    .unwrap();
    let picture = Picture {
        groups: vec![crate::console::model::Group {
            key: "arcade".to_owned(),
            ingresses: vec![crate::console::model::Ingress {
                namespace: "game".to_owned(),
                name: "game".to_owned(),
                hosts: vec!["game.example.com".to_owned(), "*.x.com".to_owned()],
                paths: vec![crate::console::model::Path {
                    service: "web".to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Picture::default()
    };
    story.learn(&picture, &resources);
    story.meet(
        [("10.0.0.1", "game/game-1-aa")].into(),
        [("game/game-1-aa".to_owned(), "game/web".to_owned())].into(),
    );
    story
}

#[test]
fn a_plan_comes_before_its_outcome_and_takes_it_over() {
    let mut story = story();
    let plan: Vec<String> = (1..=50).map(|number| format!("{number}. + rule")).collect();
    let change = |outcome: &str, detail: Option<&str>| {
        says(
            json!({ "lastChange": { "outcome": outcome, "detail": detail, "plan": plan, "more": 3 } }),
        )
    };
    let begun = story.group(&change("UnderWay", None), at(1));
    assert_eq!(begun.len(), 1);
    assert_eq!((begun[0].kind, begun[0].outcome), ("plan", "pending"));
    assert_eq!(begun[0].title, "Plan for arcade, steps: 53");
    assert_eq!(begun[0].lines.len(), 51);
    assert_eq!(begun[0].lines[50], "… and 3 more");
    assert_eq!(story.group(&change("UnderWay", None), at(2)), []);

    let failed = story.group(&change("Failed", Some("AccessDenied: no")), at(3));
    let kinds: Vec<_> = failed.iter().map(|it| (it.kind, it.outcome)).collect();
    assert_eq!(kinds, [("plan", "failed"), ("outcome", "failed")]);
    assert_eq!(failed[0].id, begun[0].id, "the same line");
    assert_eq!(failed[1].title, "The plan failed: AccessDenied: no");
    let done = story.group(&change("Done", None), at(4));
    assert_eq!(done[1].title, "The plan is carried out.");
    assert_eq!(story.newest().len(), 3);
}

#[test]
fn waits_and_findings_end() {
    let mut story = story();
    let waiting = says(json!({ "waitingFor": ["the load balancer to be active"] }));
    let wait = story.group(&waiting, at(1));
    assert_eq!(wait[0].title, "Waits for the load balancer to be active");
    assert_eq!(wait[0].outcome, "pending");
    let finding = json!({ "ingress": "game/game", "reason": "InvalidAnnotation",
                          "effect": "Frozen", "message": "often is no number" });
    let found = story.group(&says(json!({ "findings": [finding] })), at(2));
    let kinds: Vec<_> = found.iter().map(|it| (it.kind, it.outcome)).collect();
    assert_eq!(kinds, [("wait", "ok"), ("finding", "failed")]);
    assert_eq!(found[0].id, wait[0].id);
    assert_eq!(found[1].title, "InvalidAnnotation: often is no number");
    let over = story.group(&says(json!({})), at(3));
    assert_eq!(
        (over[0].id.as_str(), over[0].outcome),
        (found[1].id.as_str(), "ok")
    );
    let record = |state: &str| says(json!({ "records": [{ "host": "a.com", "state": state }] }));
    let waits = story.group(&record("waits for the load balancer"), at(3));
    assert_eq!(
        waits[0].title,
        "Record of a.com: waits for the load balancer"
    );
    let synced = story.group(&record("in sync"), at(3));
    assert_eq!((&synced[0].id, synced[0].outcome), (&waits[0].id, "ok"));
    assert_eq!(synced.len(), 1);
    // The same again is a new line.
    let again = story.group(&says(json!({ "findings": [finding] })), at(4));
    assert_ne!(again[0].id, found[1].id);
    assert_eq!(story.group_gone(&says(json!({})), at(5)).len(), 1);
}

#[test]
fn a_call_belongs_to_the_group_of_what_it_names_or_makes() {
    let mut story = story();
    let group = |story: &mut Story, call: &Call| story.call(call)[0].group.clone();
    let listener = BALANCER.replace(":loadbalancer/", ":listener/") + "/0c";
    let named = |value: &str| call(1, "DescribeTags", json!({ "ResourceArns.member.1": value }));
    for arn in [BALANCER, TARGETS, &listener] {
        assert_eq!(group(&mut story, &named(arn)), "arcade", "{arn}");
    }
    assert_eq!(
        group(&mut story, &named("arn:aws:elasticloadbalancing:r:1:x/y")),
        "shared"
    );
    assert_eq!(
        group(&mut story, &call(2, "DescribeLoadBalancers", json!({}))),
        "shared"
    );

    // What it makes is known by its tags, and afterwards by its name.
    let mut create = call(
        3,
        "CreateSecurityGroup",
        json!({ "TagSpecification.1.Tag.2.Key": STACK_TAG, "TagSpecification.1.Tag.2.Value": "new" }),
    );
    create.answer = Some("<a><groupId>sg-1</groupId></a>".to_owned());
    assert_eq!(group(&mut story, &create), "new");
    let authorize = call(
        4,
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": "sg-1" }),
    );
    assert_eq!(group(&mut story, &authorize), "new");
    // What it only uses is not its own.
    let mut balancer = call(
        4,
        "CreateLoadBalancer",
        json!({ "Tags.member.1.Key": STACK_TAG,
        "Tags.member.1.Value": "new" }),
    );
    balancer.answer = Some("<a><member>sg-shared</member></a>".to_owned());
    assert_eq!(group(&mut story, &balancer), "new");
    let used = call(
        4,
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": "sg-shared" }),
    );
    assert_eq!(group(&mut story, &used), "shared");
    // Two groups in one call.
    let both = json!({ "ResourceArns.member.1": TARGETS, "ResourceArns.member.2": "sg-1" });
    assert_eq!(group(&mut story, &call(5, "DescribeTags", both)), "shared");

    for (record, owner) in [
        ("CREATE A game.example.com.", "arcade"),
        ("CREATE TXT _albc-a.game.example.com", "arcade"),
        ("CREATE TXT _albc-a._wildcard.x.com.", "arcade"),
        ("CREATE A \\052.x.com.", "arcade"),
        ("CREATE A other.example.com.", "shared"),
    ] {
        let mut change = call(
            6,
            "ChangeResourceRecordSets",
            json!({ "change.001": record }),
        );
        change.service = "route53".to_owned();
        assert_eq!(group(&mut story, &change), owner, "{record}");
    }
}

#[test]
fn calls_of_route_53_are_named_by_their_records() {
    let mut story = story();
    let route53 = |number: u64, action: &str, parameters: Value| Call {
        service: "route53".to_owned(),
        ..call(number, action, parameters)
    };
    let mut told = |call: &Call| {
        let entry = story.call(call).remove(0);
        (entry.title, entry.group)
    };
    let arcade = |title: &str| (title.to_owned(), "arcade".to_owned());
    let shared = |title: &str| (title.to_owned(), SHARED.to_owned());
    let zone = "/2013-04-01/hostedzone/Z1/rrset";
    let read = |name: Option<&str>| {
        let mut parameters = json!({ "path": zone });
        if let Some(name) = name {
            parameters["name"] = name.into();
        }
        route53(1, "ListResourceRecordSets", parameters)
    };
    assert_eq!(
        told(&read(Some("game.example.com"))),
        arcade("ListResourceRecordSets game.example.com")
    );
    assert_eq!(told(&read(None)), shared("ListResourceRecordSets Z1"));
    let all = route53(
        2,
        "ListHostedZones",
        json!({ "path": "/2013-04-01/hostedzone" }),
    );
    assert_eq!(told(&all), shared("ListHostedZones"));

    let mut change = route53(
        3,
        "ChangeResourceRecordSets",
        json!({ "path": zone, "change.001": "CREATE A game.example.com",
                "change.002": "CREATE TXT _albc-a.game.example.com",
                "change.003": "CREATE A *.x.com" }),
    );
    change.answer = Some("<ChangeInfo><Id>/change/C1</Id></ChangeInfo>".to_owned());
    let title = "ChangeResourceRecordSets game.example.com and 1 more";
    assert_eq!(told(&change), arcade(title));
    let ask = |id: &str| {
        route53(
            4,
            "GetChange",
            json!({ "path": format!("/2013-04-01/change/{id}") }),
        )
    };
    assert_eq!(told(&ask("C1")), arcade("GetChange of game.example.com"));
    assert_eq!(told(&ask("C2")), shared("GetChange C2"));

    let both = json!({ "ResourceArns.member.1": BALANCER, "ResourceArns.member.2": TARGETS });
    let title = "DescribeTags k8s-arcade and 1 more";
    assert_eq!(told(&call(5, "DescribeTags", both)), arcade(title));
}

#[test]
fn who_leads_is_told() {
    let mut story = story();
    let told = story.leads(Some("web-1"), at(1)).remove(0);
    assert_eq!(told.title, "Pod web-1 of the controller leads");
    assert_eq!((told.group.as_str(), told.kind), (SHARED, "event"));
    let nobody = story.leads(None, at(2)).remove(0);
    assert_ne!(nobody.id, told.id);
    assert_eq!(story.newest().len(), 2);
}

#[test]
fn a_call_is_told_with_all_that_is_known_of_it() {
    let mut story = story();
    let mut register = call(
        7,
        "RegisterTargets",
        json!({ "TargetGroupArn": TARGETS, "Targets.member.1.Id": "10.0.0.1",
                "Targets.member.1.Port": "8080", "Targets.member.2.Id": "10.0.0.9" }),
    );
    register.status = 400;
    register.code = Some("Throttling".to_owned());
    let entry = &story.call(&register)[0];
    assert_eq!(
        entry.title,
        "RegisterTargets: 10.0.0.1:8080, pod game/game-1-aa; 10.0.0.9: Throttling"
    );
    assert_eq!(
        (entry.outcome, entry.resource.as_str()),
        ("refused", TARGETS)
    );
    let told = serde_json::to_value(entry).unwrap();
    assert_eq!(
        (&told["write"], &told["milliseconds"]),
        (&json!(true), &json!(2.5))
    );
    assert_eq!(told["kind"], "call");

    story.call(&call(8, "DescribeRules", json!({})));
    let rate = story.rate(at(130));
    assert_eq!(
        (rate.per_minute, rate.reads, rate.writes, rate.throttled),
        (2, 1, 1, 1)
    );
    assert_eq!(story.rate(at(161)), Rate::default());
}

#[test]
fn events_of_what_belongs_to_a_group() {
    let mut story = story();
    let event = |kind: &str, name: &str, count: Option<i32>| -> Event {
        serde_json::from_value(json!({
            "metadata": { "uid": format!("u-{name}") }, "eventTime": "2026-01-01T00:00:00.000000Z",
            "type": "Warning", "reason": "Why", "note": "what", "action": "Do",
            "deprecatedCount": count,
            "regarding": { "kind": kind, "namespace": "game", "name": name },
        }))
        .unwrap()
    };
    let first = story.event(&event("Ingress", "game", None));
    assert_eq!(
        (first[0].group.as_str(), first[0].outcome),
        ("arcade", "failed")
    );
    assert_eq!(first[0].title, "Why: what");
    assert_eq!(
        story.event(&event("Ingress", "game", None)),
        [],
        "told already"
    );
    let more = story.event(&event("Ingress", "game", Some(4)));
    assert_eq!(
        (more[0].id.as_str(), more[0].lines.as_slice()),
        (first[0].id.as_str(), &["Seen 4 times".to_owned()][..])
    );
    // A Pod that takes the place of another, and one of somebody else.
    assert_eq!(
        story.event(&event("Pod", "game-1-bb", None))[0].group,
        "arcade"
    );
    assert_eq!(story.event(&event("Pod", "other-1-cc", None)), []);
    assert_eq!(
        story.event(&event("Ingress", "unknown", None))[0].group,
        "shared"
    );

    let pod: Pod = serde_json::from_value(json!({ "metadata": {
        "name": "game-1-aa", "namespace": "game", "deletionTimestamp": "2026-01-01T00:00:00Z" } }))
    .unwrap();
    let gone = story.pod_gone(&pod, at(9));
    assert_eq!(gone[0].title, "Pod game/game-1-aa is gone: it was deleted");
    assert_eq!(gone[0].group, "arcade");
}
