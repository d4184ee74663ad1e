//! Rules of web ACLs: capacity, and what is refused.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::super::Timing;
use super::*;

fn capacity(rules: &Value) -> Result<u64, String> {
    let state = State::new("123456789012", "us-east-1", Timing::default());
    let settings = json!({ "Rules": rules });
    let settings = settings.as_object().unwrap();
    state
        .check_waf_rules(settings, Scope::Regional, Place::WebAcl)
        .map_err(|refusal| format!("{}: {}", refusal.code, refusal.message))
}

fn rule(name: &str, priority: u32, statement: &Value) -> Value {
    json!({
        "Name": name, "Priority": priority, "Statement": statement,
        "Action": { "Block": {} },
        "VisibilityConfig": { "MetricName": name },
    })
}

fn host(transformation: &str) -> Value {
    json!({ "ByteMatchStatement": {
        "SearchString": "eA==", "PositionalConstraint": "EXACTLY",
        "FieldToMatch": { "SingleHeader": { "Name": "host" } },
        "TextTransformations": [{ "Priority": 0, "Type": transformation }],
    }})
}

fn geo() -> Value {
    json!({ "GeoMatchStatement": { "CountryCodes": ["NZ"] } })
}

#[test]
fn capacity_adds_up() {
    let both = json!({ "AndStatement": { "Statements": [host("LOWERCASE"), geo()] } });
    let rate = json!({ "RateBasedStatement": { "Limit": 1000, "AggregateKeyType": "IP" } });
    let rules = json!([rule("a", 0, &both), rule("b", 1, &rate)]);
    assert_eq!(capacity(&rules), Ok(15));
    assert_eq!(capacity(&json!([rule("a", 0, &host("NONE"))])), Ok(2));
    let body = json!({ "XssMatchStatement": {
        "FieldToMatch": { "JsonBody": { "MatchPattern": { "All": {} } } },
        "TextTransformations": [{ "Priority": 0, "Type": "NONE" }],
    }});
    assert_eq!(capacity(&json!([rule("a", 0, &body)])), Ok(80));
    let mut managed = rule(
        "m",
        0,
        &json!({ "ManagedRuleGroupStatement": {
            "VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet",
        }}),
    );
    managed["OverrideAction"] = json!({ "None": {} });
    managed.as_object_mut().unwrap().remove("Action");
    assert_eq!(capacity(&json!([managed])), Ok(700));
}

#[test]
fn bad_rules_are_refused() {
    let rate = json!({ "RateBasedStatement": { "Limit": 1000, "AggregateKeyType": "IP" } });
    let mut with_both = rule("a", 0, &geo());
    with_both["OverrideAction"] = json!({ "None": {} });
    let mut with_label = rule("a", 0, &geo());
    with_label["RuleLabels"] = json!([{ "Name": "aws:x" }]);
    let mut without_body = rule("a", 0, &geo());
    without_body["Action"] = json!({ "Block": { "CustomResponse": {
        "ResponseCode": 403, "CustomResponseBodyKey": "absent",
    }}});
    for (rules, part) in [
        (
            json!([rule("a", 0, &geo()), rule("a", 1, &geo())]),
            "WAFDuplicateItemException",
        ),
        (
            json!([rule("a", 0, &geo()), rule("b", 0, &geo())]),
            "field: RULE",
        ),
        (json!([rule("a", 0, &json!({}))]), "field: STATEMENT"),
        (
            json!([rule(
                "a",
                0,
                &json!({ "AndStatement": { "Statements": [geo()] } })
            )]),
            "AND_STATEMENT",
        ),
        (
            json!([rule(
                "a",
                0,
                &json!({ "NotStatement": { "Statement": rate } })
            )]),
            "RATE_BASED_STATEMENT",
        ),
        (
            json!([rule(
                "a",
                0,
                &json!({ "RateBasedStatement": { "AggregateKeyType": "CONSTANT" } })
            )]),
            "RATE_BASED_STATEMENT",
        ),
        (
            json!([rule(
                "a",
                0,
                &json!({ "RateBasedStatement": { "AggregateKeyType": "IP", "EvaluationWindowSec": 61 } })
            )]),
            "RATE_BASED_STATEMENT",
        ),
        (
            json!([rule(
                "a",
                0,
                &json!({ "IPSetReferenceStatement": { "ARN": "nonsense" } })
            )]),
            "RESOURCE_ARN",
        ),
        (
            json!([rule(
                "a",
                0,
                &json!({ "IPSetReferenceStatement": { "ARN": "arn:aws:wafv2:us-east-1:123456789012:regional/ipset/a/b" } })
            )]),
            "WAFNonexistentItemException",
        ),
        (
            json!([rule(
                "a",
                0,
                &json!({ "ManagedRuleGroupStatement": { "VendorName": "AWS", "Name": "Nothing" } })
            )]),
            "A reference in your rule statement",
        ),
        (json!([with_both]), "field: RULE"),
        (json!([with_label]), "label"),
        (json!([without_body]), "CUSTOM_RESPONSE_BODY"),
    ] {
        let refusal = capacity(&rules).unwrap_err();
        assert!(refusal.contains(part), "{refusal} lacks {part}");
    }
}
