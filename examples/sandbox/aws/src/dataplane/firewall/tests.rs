#![allow(clippy::unwrap_used)]

use axum::http::Request;
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::dataplane::tests::world::{account, add_balancer, balancer_arn};
use crate::state::wafv2::{NewEntity, Scope};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn entity(name: &str) -> NewEntity {
    NewEntity {
        name: name.to_owned(),
        scope: Scope::Regional,
        description: None,
        tags: Vec::new(),
    }
}

/// An account whose load balancer `web` has a web ACL with these settings.
fn with_acl(settings: &Value, prepare: impl FnOnce(&mut State)) -> State {
    let mut state = account();
    add_balancer(&mut state, "web");
    prepare(&mut state);
    let settings = settings.as_object().unwrap().clone();
    let made = state.create_web_acl(&entity("acl"), settings, NOW);
    let arn = made.unwrap().arn.clone();
    state.associate_web_acl(&arn, &balancer_arn("web")).unwrap();
    state
}

fn rule(priority: u32, action: &str, statement: Value) -> Value {
    json!({
        "Name": format!("r{priority}"),
        "Priority": priority,
        "Action": { action: {} },
        "Statement": statement,
        "VisibilityConfig": { "MetricName": "m" },
    })
}

fn bytes(field: Value, how: &str, wanted: &str) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    json!({ "ByteMatchStatement": {
        "SearchString": STANDARD.encode(wanted),
        "PositionalConstraint": how,
        "FieldToMatch": field,
        "TextTransformations": [{ "Priority": 0, "Type": "LOWERCASE" }],
    }})
}

fn regex(field: Value, expression: &str) -> Value {
    json!({ "RegexMatchStatement": {
        "RegexString": expression,
        "FieldToMatch": field,
        "TextTransformations": [{ "Priority": 0, "Type": "NONE" }],
    }})
}

fn judge(state: &State, rates: &Rates, uri: &str, at: Timestamp) -> Verdict {
    let request = Request::get(uri)
        .header("host", "shop.example.com")
        .header("cookie", "a=1; session=Evil")
        .header("x-forwarded-for", "198.51.100.7, 192.0.2.1");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let visitor = Visitor {
        parts: &parts,
        peer: "192.0.2.9".parse().unwrap(),
        now: at,
        rates,
    };
    judged(state, &state.load_balancers[&balancer_arn("web")], visitor).unwrap()
}

/// Whether a statement blocks a request for `/Admin/x?User=bob`; `None` where
/// it is not evaluated.
fn meets(statement: Value, prepare: impl FnOnce(&mut State)) -> Option<bool> {
    let settings = json!({
        "DefaultAction": { "Allow": {} },
        "Rules": [rule(0, "Block", statement)],
    });
    let state = with_acl(&settings, prepare);
    let verdict = judge(&state, &Rates::default(), "/Admin/x?User=bob", NOW);
    let matched = verdict.seen.rules[0].matched;
    assert_eq!(verdict.blocked.is_some(), matched == Some(true));
    matched
}

#[test]
fn statements() {
    let path = || json!({ "UriPath": {} });
    let header = |name: &str| json!({ "SingleHeader": { "Name": name } });
    let not = |inner: Value| json!({ "NotStatement": { "Statement": inner } });
    let geo = || json!({ "GeoMatchStatement": { "CountryCodes": ["DE"] } });
    let yes = || bytes(path(), "STARTS_WITH", "/admin");
    let no = || bytes(path(), "EXACTLY", "/admin");
    let both = |kind: &str, one: Value, two: Value| json!({ kind: { "Statements": [one, two] } });
    let size = |how: &str, size: u64| {
        json!({ "SizeConstraintStatement": {
            "ComparisonOperator": how, "Size": size, "FieldToMatch": { "QueryString": {} },
            "TextTransformations": [{ "Priority": 0, "Type": "NONE" }],
        }})
    };
    let cookies = json!({ "Cookies": {
        "MatchPattern": { "IncludedCookies": ["session"] },
        "MatchScope": "VALUE", "OversizeHandling": "MATCH",
    }});
    for (statement, expected) in [
        (yes(), Some(true)),
        (no(), Some(false)),
        (bytes(path(), "ENDS_WITH", "/x"), Some(true)),
        (bytes(path(), "CONTAINS", "min"), Some(true)),
        (bytes(path(), "CONTAINS_WORD", "min"), Some(false)),
        (bytes(path(), "CONTAINS_WORD", "admin"), Some(true)),
        (
            bytes(header("HOST"), "EXACTLY", "shop.example.com"),
            Some(true),
        ),
        (bytes(header("x-none"), "CONTAINS", "a"), Some(false)),
        (
            bytes(
                json!({ "SingleQueryArgument": { "Name": "user" } }),
                "EXACTLY",
                "bob",
            ),
            Some(true),
        ),
        (bytes(json!({ "Method": {} }), "EXACTLY", "get"), Some(true)),
        (bytes(cookies, "EXACTLY", "evil"), Some(true)),
        (bytes(json!({ "Body": {} }), "CONTAINS", "x"), None),
        (regex(path(), "^/Ad.*x$"), Some(true)),
        (regex(path(), "^/ad"), Some(false)),
        (size("EQ", 8), Some(true)),
        (size("GT", 8), Some(false)),
        (geo(), None),
        (not(no()), Some(true)),
        (not(geo()), None),
        (both("AndStatement", yes(), no()), Some(false)),
        (both("AndStatement", geo(), no()), Some(false)),
        (both("AndStatement", geo(), yes()), None),
        (both("OrStatement", geo(), yes()), Some(true)),
        (both("OrStatement", no(), no()), Some(false)),
    ] {
        assert_eq!(meets(statement.clone(), |_| ()), expected, "{statement}");
    }
}

#[test]
fn sets_of_addresses_look_at_the_peer_or_at_a_header() {
    let named = |addresses: &[&str], more: Value| {
        let arn = "arn:aws:wafv2:us-east-1:123456789012:regional/ipset/bad/1";
        let mut statement = json!({ "ARN": arn });
        statement
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let set = crate::state::ip_set::IpSet {
            entity: crate::state::wafv2::Entity {
                name: "bad".to_owned(),
                id: "1".to_owned(),
                arn: arn.to_owned(),
                scope: Scope::Regional,
                description: String::new(),
                lock_token: String::new(),
                created: NOW,
            },
            version: "IPV4".to_owned(),
            addresses: addresses.iter().map(|&it| it.to_owned()).collect(),
        };
        meets(json!({ "IPSetReferenceStatement": statement }), |state| {
            state.wafv2.ip_sets.insert(arn.to_owned(), set);
        })
    };
    let by = |header: &str, position: &str| {
        json!({ "IPSetForwardedIPConfig": {
            "HeaderName": header, "Position": position, "FallbackBehavior": "MATCH",
        }})
    };
    for (range, more, expected) in [
        ("192.0.2.8/31", json!({}), true),
        ("192.0.2.0/32", json!({}), false),
        ("198.51.100.0/24", by("X-Forwarded-For", "FIRST"), true),
        ("198.51.100.0/24", by("X-Forwarded-For", "LAST"), false),
        ("192.0.2.1/32", by("X-Forwarded-For", "ANY"), true),
        ("192.0.2.1/32", by("X-Absent", "ANY"), false),
        ("203.0.113.1/32", by("Cookie", "ANY"), true),
    ] {
        assert_eq!(
            named(&[range], more.clone()),
            Some(expected),
            "{range} {more}"
        );
    }
}

#[test]
fn the_first_rule_that_ends_it_decides_and_labels_go_on() {
    let path = || json!({ "UriPath": {} });
    let label =
        |scope: &str, key: &str| json!({ "LabelMatchStatement": { "Scope": scope, "Key": key } });
    let mut counts = rule(1, "Count", bytes(path(), "STARTS_WITH", "/admin"));
    counts["RuleLabels"] = json!([{ "Name": "part:admin" }]);
    counts["Action"] = json!({ "Count": { "CustomRequestHandling": { "InsertHeaders": [
        { "Name": "Seen", "Value": "yes" },
    ]}}});
    let mut blocks = rule(3, "Block", label("LABEL", "part:admin"));
    blocks["Action"] = json!({ "Block": { "CustomResponse": {
        "ResponseCode": 418, "CustomResponseBodyKey": "tea",
        "ResponseHeaders": [{ "Name": "X-Why", "Value": "tea" }],
    }}});
    let settings = json!({
        "DefaultAction": { "Block": {} },
        "CustomResponseBodies": { "tea": { "ContentType": "TEXT_PLAIN", "Content": "short" } },
        // Not in their order.
        "Rules": [
            blocks,
            counts,
            rule(2, "Allow", regex(path(), "^/admin/open$")),
            rule(4, "Allow", label("NAMESPACE", "part:")),
            rule(5, "Allow", regex(path(), "^/public")),
        ],
    });
    let state = with_acl(&settings, |_| ());
    let rates = Rates::default();
    let at = |uri: &str| judge(&state, &rates, uri, NOW);
    let open = at("/admin/open");
    assert!(open.blocked.is_none());
    let mut headers = axum::http::HeaderMap::new();
    open.inserted.tell(&mut headers);
    assert_eq!(headers["x-amzn-waf-seen"], "yes");
    assert_eq!(open.seen.action, "Allow by its rule r2");
    let tea = at("/admin/x").blocked.unwrap();
    assert_eq!((tea.status, tea.body.as_str()), (418, "short"));
    assert_eq!(tea.content_type.as_deref(), Some("text/plain"));
    assert_eq!(tea.headers[0].1, "tea");
    assert_eq!(
        tea.reason,
        "the web ACL acl blocks the request by its rule r3"
    );
    assert!(at("/public").blocked.is_none());
    let refused = at("/").blocked.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.reason.ends_with("by its default action"));
    assert_eq!(at("/").seen.rules.len(), 5);
}

#[test]
fn rates_count_within_their_window() {
    let settings = json!({
        "DefaultAction": { "Allow": {} },
        "Rules": [rule(0, "Block", json!({ "RateBasedStatement": {
            "Limit": 10, "EvaluationWindowSec": 60, "AggregateKeyType": "CUSTOM_KEYS",
            "CustomKeys": [{ "QueryArgument": {
                "Name": "user", "TextTransformations": [{ "Priority": 0, "Type": "NONE" }],
            }}],
        }}))],
    });
    let state = with_acl(&settings, |_| ());
    let rates = Rates::default();
    let blocked = |uri: &str, second: i64| {
        let at = NOW + SignedDuration::from_secs(second);
        judge(&state, &rates, uri, at).blocked.is_some()
    };
    for _ in 0..10 {
        assert!(!blocked("/?user=a", 0));
    }
    assert!(blocked("/?user=a", 59));
    assert!(!blocked("/?user=b", 59), "somebody else");
    assert!(!blocked("/", 59), "nobody");
    assert!(
        !blocked("/?user=a", 60),
        "those of the first second are over"
    );
}

#[test]
fn rule_groups_and_their_overrides() {
    let path = || json!({ "UriPath": {} });
    let group = json!({ "Rules": [
        rule(0, "Block", bytes(path(), "STARTS_WITH", "/admin")),
        rule(1, "Block", bytes(path(), "STARTS_WITH", "/hidden")),
    ]});
    let verdict = |more: Value, overridden: &str, uri: &str| {
        let mut arn = String::new();
        let settings = |arn: &str| {
            let mut reference = json!({ "ARN": arn });
            reference
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let mut rule = rule(
                0,
                "Block",
                json!({ "RuleGroupReferenceStatement": reference }),
            );
            rule.as_object_mut().unwrap().remove("Action");
            rule["OverrideAction"] = json!({ overridden: {} });
            json!({ "DefaultAction": { "Allow": {} }, "Rules": [rule] })
        };
        let mut state = account();
        add_balancer(&mut state, "web");
        let own = group.as_object().unwrap().clone();
        let made = state.create_rule_group(&entity("group"), 50, own, NOW);
        arn.clone_from(&made.unwrap().arn);
        let settings = settings(&arn).as_object().unwrap().clone();
        let acl = state.create_web_acl(&entity("acl"), settings, NOW);
        let acl = acl.unwrap().arn.clone();
        state.associate_web_acl(&acl, &balancer_arn("web")).unwrap();
        let blocked = judge(&state, &Rates::default(), uri, NOW).blocked;
        blocked.map(|answer| answer.reason.into_owned())
    };
    let counting = json!({ "RuleActionOverrides": [
        { "Name": "r0", "ActionToUse": { "Count": {} } },
    ]});
    let why = "the web ACL acl blocks the request by the rule r0 of the group group";
    assert_eq!(verdict(json!({}), "None", "/admin").as_deref(), Some(why));
    assert_eq!(verdict(json!({}), "None", "/x"), None);
    assert_eq!(verdict(json!({}), "Count", "/admin"), None);
    assert_eq!(verdict(counting.clone(), "None", "/admin"), None);
    assert!(verdict(counting, "None", "/hidden").is_some());
}

#[test]
fn the_older_firewall_has_a_default_action_only() {
    let mut state = account();
    add_balancer(&mut state, "web");
    for (action, blocks) in [("BLOCK", true), ("ALLOW", false)] {
        let token = state.change_token();
        let new = crate::state::waf_regional::NewClassicWebAcl {
            name: "old".to_owned(),
            metric_name: "old".to_owned(),
            default_action: action.to_owned(),
            tags: Vec::new(),
        };
        let made = state.create_classic_web_acl(new, &token, NOW);
        let id = made.unwrap().id.clone();
        state
            .associate_classic_web_acl(&id, &balancer_arn("web"))
            .unwrap();
        let blocked = judge(&state, &Rates::default(), "/", NOW).blocked;
        assert_eq!(blocked.is_some(), blocks);
    }
}
