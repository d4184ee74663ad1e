#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::{Timing, callers::Session};

const ELB: &str = "elasticloadbalancing";
const LB: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/0123456789abcdef";
const CLUSTER: &str = "elbv2.k8s.aws/cluster";

fn caller(policies: Vec<Value>) -> Caller {
    for policy in &policies {
        check_policy(policy).unwrap();
    }
    Caller {
        account: "123456789012".to_owned(),
        arn: "arn:aws:iam::123456789012:user/eve".to_owned(),
        user_id: "AIDA".to_owned(),
        key: None,
        session: None,
        policies,
    }
}

fn state() -> State {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let owned = [(CLUSTER.to_owned(), "one".to_owned())];
    state.tags.insert(LB.to_owned(), owned.clone().into());
    state.tags.insert("sg-0a".to_owned(), owned.into());
    state
}

/// The policy that a user of the controller attaches.
fn ours() -> Value {
    let text = include_str!("../../../../../deploy/iam-policy.json");
    serde_json::from_str(text).unwrap()
}

/// What is denied of a call: action and resource.
fn denied(
    caller: &Caller,
    service: &str,
    operation: &str,
    input: Value,
) -> Option<(String, String)> {
    let denial = authorize(caller, service, operation, &input, &state()).err()?;
    Some((denial.action, denial.resource))
}

fn tags(key: &str) -> Value {
    json!([{ "Key": key, "Value": "one" }])
}

#[test]
fn who_has_no_policy_may_do_everything() {
    let free = caller(Vec::new());
    assert_eq!(denied(&free, ELB, "DeleteLoadBalancer", json!({})), None);
}

#[test]
fn the_published_policy_lets_the_controller_work_on_what_is_tagged() {
    let ours = caller(vec![ours()]);
    let create = |tag: &str| json!({ "Name": "web", "Subnets": ["subnet-a"], "Tags": tags(tag) });
    assert_eq!(
        denied(&ours, ELB, "CreateLoadBalancer", create(CLUSTER)),
        None
    );
    let (action, resource) = denied(&ours, ELB, "CreateLoadBalancer", create("other")).unwrap();
    assert_eq!(action, "elasticloadbalancing:CreateLoadBalancer");
    assert!(resource.ends_with("loadbalancer/app/web/0000000000000000"));

    let delete = |arn: &str| json!({ "LoadBalancerArn": arn });
    assert_eq!(denied(&ours, ELB, "DeleteLoadBalancer", delete(LB)), None);
    let foreign = LB.replace("web", "foreign");
    let (_, resource) = denied(&ours, ELB, "DeleteLoadBalancer", delete(&foreign)).unwrap();
    assert_eq!(resource, foreign);

    // What is there is tagged again only without the protected tag.
    let add = |tag: &str| json!({ "ResourceArns": [LB], "Tags": tags(tag) });
    assert_eq!(denied(&ours, ELB, "AddTags", add("team")), None);
    assert!(denied(&ours, ELB, "AddTags", add(CLUSTER)).is_some());

    let group = |id: &str| json!({ "GroupId": id });
    assert_eq!(
        denied(&ours, "ec2", "DeleteSecurityGroup", group("sg-0a")),
        None
    );
    let (action, resource) = denied(&ours, "ec2", "DeleteSecurityGroup", group("sg-0b")).unwrap();
    assert_eq!(action, "ec2:DeleteSecurityGroup");
    assert_eq!(
        resource,
        "arn:aws:ec2:us-east-1:123456789012:security-group/sg-0b"
    );
    let make = json!({
        "GroupName": "x",
        "TagSpecification": [{ "ResourceType": "security-group", "Tag": tags(CLUSTER) }],
    });
    assert_eq!(denied(&ours, "ec2", "CreateSecurityGroup", make), None);
    assert!(denied(&ours, "ec2", "RunInstances", json!({})).is_some());
}

#[test]
fn conditions_of_each_kind() {
    let may = |condition: Value, input: Value| {
        let policy = json!({ "Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "route53:*", "Resource": "*", "Condition": condition,
        }});
        denied(
            &caller(vec![policy]),
            "route53",
            "ChangeResourceRecordSets",
            input,
        )
        .is_none()
    };
    let change = |name: &str, kind: &str| {
        json!({ "HostedZoneId": "Z1", "ChangeBatch": { "Changes": [
            { "Action": "CREATE", "ResourceRecordSet": { "Name": name, "Type": kind } },
        ]}})
    };
    let names = "route53:ChangeResourceRecordSetsNormalizedRecordNames";
    let kinds = "route53:ChangeResourceRecordSetsRecordTypes";
    let own = json!({ "ForAllValues:StringLike": { names: "*.example.com" } });
    assert!(may(own.clone(), change("A.Example.com.", "A")));
    assert!(!may(own, change("a.example.org", "A")));
    let both = json!({ "ForAnyValue:StringEquals": { kinds: ["A", "TXT"] },
        "StringEquals": { "aws:RequestedRegion": "us-east-1" } });
    assert!(may(both.clone(), change("a", "TXT")));
    assert!(!may(both, change("a", "MX")));
    assert!(may(
        json!({ "Null": { "aws:RequestTag/x": "true" } }),
        change("a", "A")
    ));
    assert!(!may(
        json!({ "Null": { "aws:RequestTag/x": "false" } }),
        change("a", "A")
    ));
    assert!(may(
        json!({ "StringNotEquals": { "aws:ResourceTag/x": "y" } }),
        change("a", "A")
    ));
    assert!(!may(
        json!({ "StringEquals": { "aws:ResourceTag/x": "y" } }),
        change("a", "A")
    ));
    assert!(may(
        json!({ "StringEqualsIfExists": { "aws:ResourceTag/x": "y" } }),
        change("a", "A")
    ));
}

#[test]
fn a_deny_wins_and_every_policy_binds() {
    let all = json!({ "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
    let mut but = all.clone();
    let deny = json!({ "Effect": "Deny", "NotAction": "ec2:Describe*", "Resource": "*" });
    but["Statement"].as_array_mut().unwrap().push(deny);
    let read = json!({});
    assert_eq!(
        denied(
            &caller(vec![but.clone()]),
            "ec2",
            "DescribeVpcs",
            read.clone()
        ),
        None
    );
    let denial = authorize(&caller(vec![but]), ELB, "DescribeRules", &read, &state()).unwrap_err();
    assert_eq!(denial.reason, Reason::Explicit);
    let encoded = encode(&denial);
    assert!(!encoded.contains("DescribeRules"));
    assert!(decode(&encoded).unwrap().contains("DescribeRules"));
    assert_eq!(decode("bm90aGluZw"), None);
    assert_eq!(
        denial.text(),
        "User: arn:aws:iam::123456789012:user/eve is not authorized to perform: \
         elasticloadbalancing:DescribeRules on resource: * with an explicit deny in an \
         identity-based policy"
    );

    let reads =
        json!({ "Statement": { "Effect": "Allow", "Action": "ec2:Desc*", "Resource": "*" } });
    let mut session = caller(vec![all, reads]);
    session.session = Some(Session {
        role: None,
        tags: [("team".to_owned(), "shop".to_owned())].into(),
        policy: None,
    });
    assert_eq!(denied(&session, "ec2", "DescribeVpcs", json!({})), None);
    assert!(denied(&session, "ec2", "CreateVpc", json!({})).is_some());
    let who = denied(&session, "sts", "GetCallerIdentity", json!({}));
    assert_eq!(who, None, "nobody needs a right for that");
}

#[test]
fn policies_that_cannot_be_judged_are_refused() {
    let allow = |condition: Value| json!({ "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition } });
    for (policy, part) in [
        (json!([]), "object"),
        (json!({}), "Statement"),
        (json!({ "Statement": [] }), "Statement"),
        (json!({ "Version": "2020-01-01" }), "Version"),
        (
            json!({ "Statement": { "Effect": "Maybe", "Action": "*", "Resource": "*" } }),
            "Effect",
        ),
        (
            json!({ "Statement": { "Effect": "Allow", "Action": "*" } }),
            "Resource",
        ),
        (
            json!({ "Statement": { "Effect": "Allow", "Action": [], "Resource": "*" } }),
            "Action",
        ),
        (
            allow(json!({ "StringLooksLike": { "a": "b" } })),
            "StringLooksLike",
        ),
        (
            allow(json!({ "NullIfExists": { "a": "true" } })),
            "NullIfExists",
        ),
    ] {
        let why = check_policy(&policy).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(
        check_policy(&allow(json!({ "Bool": { "aws:SecureTransport": false } }))),
        Ok(())
    );
}
