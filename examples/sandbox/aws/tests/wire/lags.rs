//! Eventual consistency: each rule by itself, as a client meets it.

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    acm::{import, requested},
    support::{Aws, Reply},
};

/// A simulator where one rule holds for ten seconds.
async fn lagging(lag: &str) -> Aws {
    let aws = Aws::start().await;
    switch(&aws, lag).await;
    aws
}

async fn switch(aws: &Aws, lag: &str) {
    let lags = json!({ "lags": { lag: { "ms": 10_000, "probability": 1 } } });
    aws.sim(Method::POST, "config", &lags.to_string())
        .await
        .ok();
}

/// Lets the rule's time pass.
async fn wait(aws: &Aws) {
    let body = r#"{"forward_ms": 10000}"#;
    aws.sim(Method::POST, "time", body).await.ok();
}

async fn tag(aws: &Aws, arn: &str) -> Reply {
    let parameters = [
        ("ResourceArns.member.1", arn),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "shop"),
    ];
    aws.elb("AddTags", &parameters).await
}

async fn elb(aws: &Aws, action: &str, name: &str, arn: &str) -> Reply {
    aws.elb(action, &[(name, arn)]).await
}

async fn security_group(aws: &Aws, name: &str) -> String {
    let parameters = [
        ("GroupName", name),
        ("GroupDescription", name),
        ("VpcId", aws.world.vpc.as_str()),
    ];
    let made = aws.ec2("CreateSecurityGroup", &parameters).await.ok();
    made.one("groupId")
}

#[tokio::test]
async fn rules_are_switched_on_one_by_one_and_shown() {
    let aws = lagging("create-target-group").await;
    let shown = aws.sim(Method::GET, "config", "").await.ok().json();
    let one = json!({ "create-target-group": { "ms": 10_000, "probability": 1.0 } });
    assert_eq!(shown["lags"], one);
    let real = aws.sim(Method::POST, "config", r#"{"time": "real"}"#);
    real.await.ok();
    let shown = aws.sim(Method::GET, "config", "").await.ok().json();
    assert_eq!(shown["lags"].as_object().unwrap().len(), 18);
    let off = r#"{"time": "quick", "lags": {"delete-rule": {"ms": 1}, "change-tags": null}}"#;
    aws.sim(Method::POST, "config", off).await.ok();
    let shown = aws.sim(Method::GET, "config", "").await.ok().json();
    assert_eq!(
        shown["lags"],
        json!({ "delete-rule": { "ms": 1, "probability": 1.0 } })
    );
    for bad in [
        r#"{"lags": {"create-moon": {"ms": 1}}}"#,
        r#"{"lags": {"delete-rule": {"ms": 1, "probability": 2}}}"#,
        r#"{"lags": {"delete-rule": {"probability": 1}}}"#,
    ] {
        let told = aws.sim(Method::POST, "config", bad).await;
        assert_eq!(told.status, 400, "{bad}");
    }
    let again = aws.sim(Method::GET, "config", "").await.ok().json();
    assert_eq!(again["lags"], shown["lags"], "nothing of it has changed");
}

#[tokio::test]
async fn a_new_load_balancer_is_not_found() {
    let aws = lagging("create-load-balancer").await;
    let arn = aws.balancer("web").await;
    let described = elb(
        &aws,
        "DescribeLoadBalancers",
        "LoadBalancerArns.member.1",
        &arn,
    )
    .await;
    assert_eq!(described.code(), "LoadBalancerNotFound");
    assert_eq!(tag(&aws, &arn).await.code(), "LoadBalancerNotFound");
    // The same name finds it, so that there are never two.
    assert_eq!(aws.balancer("web").await, arn);
    wait(&aws).await;
    tag(&aws, &arn).await.ok();
}

#[tokio::test]
async fn a_new_target_group_is_not_found() {
    let aws = lagging("create-target-group").await;
    let (balancer, group) = (aws.balancer("web").await, aws.group("web").await);
    let described = elb(&aws, "DescribeTargetGroups", "Names.member.1", "web").await;
    assert_eq!(described.code(), "TargetGroupNotFound");
    assert_eq!(tag(&aws, &group).await.code(), "TargetGroupNotFound");
    let listener = aws.listener(&balancer, "80").await;
    let ruled = aws.rule(&listener, "1", "/a", &group).await;
    assert_eq!(ruled.code(), "TargetGroupNotFound");
    wait(&aws).await;
    aws.rule(&listener, "1", "/a", &group).await.ok();
}

#[tokio::test]
async fn a_new_listener_is_not_found() {
    let aws = lagging("create-listener").await;
    let (balancer, group) = (aws.balancer("web").await, aws.group("web").await);
    let listener = aws.listener(&balancer, "80").await;
    let ruled = aws.rule(&listener, "1", "/a", &group).await;
    assert_eq!(ruled.code(), "ListenerNotFound");
    let all = elb(&aws, "DescribeListeners", "LoadBalancerArn", &balancer).await;
    assert!(all.ok().all("ListenerArn").is_empty());
    wait(&aws).await;
    aws.rule(&listener, "1", "/a", &group).await.ok();
}

#[tokio::test]
async fn a_new_security_group_is_not_found() {
    let aws = lagging("create-security-group").await;
    let group = security_group(&aws, "web").await;
    let named = [("GroupId.1", group.as_str())];
    let described = aws.ec2("DescribeSecurityGroups", &named);
    assert_eq!(described.await.code(), "InvalidGroup.NotFound");
    let tags = [
        ("ResourceId.1", group.as_str()),
        ("Tag.1.Key", "a"),
        ("Tag.1.Value", "b"),
    ];
    let tagged = aws.ec2("CreateTags", &tags).await;
    assert_eq!(tagged.code(), "InvalidGroup.NotFound");
    let balancer = [
        ("Name", "web"),
        ("Subnets.member.1", aws.world.public_subnets[0].as_str()),
        ("Subnets.member.2", aws.world.public_subnets[1].as_str()),
        ("SecurityGroups.member.1", group.as_str()),
    ];
    let made = aws.elb("CreateLoadBalancer", &balancer).await;
    assert_eq!(made.code(), "InvalidSecurityGroup");
    wait(&aws).await;
    aws.ec2("CreateTags", &tags).await.ok();
    aws.elb("CreateLoadBalancer", &balancer).await.ok();
}

#[tokio::test]
async fn a_target_group_is_in_use_after_its_last_rule() {
    let aws = lagging("release-target-group").await;
    let (balancer, group) = (aws.balancer("web").await, aws.group("web").await);
    let other = aws.group("other").await;
    let listener = aws.listener(&balancer, "80").await;
    let rule = aws.rule(&listener, "1", "/a", &group).await.ok();
    let rule = rule.one("RuleArn");
    let modify = [
        ("RuleArn", rule.as_str()),
        ("Actions.member.1.Type", "forward"),
        ("Actions.member.1.TargetGroupArn", other.as_str()),
    ];
    aws.elb("ModifyRule", &modify).await.ok();
    let delete = async |arn: &str| elb(&aws, "DeleteTargetGroup", "TargetGroupArn", arn).await;
    assert_eq!(delete(&group).await.code(), "ResourceInUse");
    wait(&aws).await;
    delete(&group).await.ok();
    elb(&aws, "DeleteListener", "ListenerArn", &listener)
        .await
        .ok();
    assert_eq!(delete(&other).await.code(), "ResourceInUse");
    wait(&aws).await;
    delete(&other).await.ok();
}

#[tokio::test]
async fn a_rule_counts_after_its_end() {
    let aws = lagging("delete-rule").await;
    let quota = r#"{"quotas": {"rules-per-application-load-balancer": 1}}"#;
    aws.sim(Method::POST, "config", quota).await.ok();
    let (balancer, group) = (aws.balancer("web").await, aws.group("web").await);
    let listener = aws.listener(&balancer, "80").await;
    let rule = aws.rule(&listener, "1", "/a", &group).await.ok();
    elb(&aws, "DeleteRule", "RuleArn", &rule.one("RuleArn"))
        .await
        .ok();
    let refused = aws.rule(&listener, "1", "/a", &group).await;
    assert_eq!(refused.code(), "TooManyRules");
    let config = aws.sim(Method::GET, "config", "").await.ok().json();
    assert_eq!(config["quotas"]["rules-per-application-load-balancer"], 1);
    wait(&aws).await;
    aws.rule(&listener, "1", "/a", &group).await.ok();
}

#[tokio::test]
async fn a_security_group_is_in_use_after_its_load_balancer() {
    let aws = lagging("release-security-group").await;
    let balancer = aws.balancer("web").await;
    let (a, b) = (
        security_group(&aws, "a").await,
        security_group(&aws, "b").await,
    );
    for group in [&a, &b] {
        let parameters = [
            ("LoadBalancerArn", balancer.as_str()),
            ("SecurityGroups.member.1", group.as_str()),
        ];
        aws.elb("SetSecurityGroups", &parameters).await.ok();
    }
    let delete = async || aws.ec2("DeleteSecurityGroup", &[("GroupId", &a)]).await;
    assert_eq!(delete().await.code(), "DependencyViolation");
    wait(&aws).await;
    delete().await.ok();
    // Apart from the interfaces, whose time is another knob.
    let at_once = r#"{"timing": {"eni_release_ms": 0}}"#;
    aws.sim(Method::POST, "config", at_once).await.ok();
    elb(&aws, "DeleteLoadBalancer", "LoadBalancerArn", &balancer)
        .await
        .ok();
    let delete = async || aws.ec2("DeleteSecurityGroup", &[("GroupId", &b)]).await;
    assert_eq!(delete().await.code(), "DependencyViolation");
    wait(&aws).await;
    delete().await.ok();
}

#[tokio::test]
async fn a_new_rule_of_a_security_group_is_not_shown() {
    let aws = lagging("authorize-security-group").await;
    let group = security_group(&aws, "web").await;
    let authorize = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "80"),
        ("IpPermissions.1.ToPort", "80"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "192.0.2.0/24"),
    ];
    let authorized = async || aws.ec2("AuthorizeSecurityGroupIngress", &authorize).await;
    authorized().await.ok();
    let seen = async || {
        let named = [("GroupId.1", group.as_str())];
        let described = aws.ec2("DescribeSecurityGroups", &named);
        described.await.ok().body.contains("192.0.2.0/24")
    };
    assert!(!seen().await);
    assert_eq!(authorized().await.code(), "InvalidPermission.Duplicate");
    wait(&aws).await;
    assert!(seen().await);
}

#[tokio::test]
async fn a_new_target_is_not_shown() {
    let aws = lagging("register-targets").await;
    let group = aws.group("web").await;
    let target = [
        ("TargetGroupArn", group.as_str()),
        ("Targets.member.1.Id", "10.0.48.9"),
    ];
    aws.elb("RegisterTargets", &target).await.ok();
    let all = async || elb(&aws, "DescribeTargetHealth", "TargetGroupArn", &group).await;
    assert!(all().await.ok().all("Id").is_empty());
    let named = aws.elb("DescribeTargetHealth", &target).await.ok();
    assert_eq!(named.one("Reason"), "Target.NotRegistered");
    wait(&aws).await;
    assert_eq!(all().await.ok().all("Id"), ["10.0.48.9"]);
}

#[tokio::test]
async fn changed_tags_read_as_before() {
    let aws = lagging("change-tags").await;
    let group = aws.group("web").await;
    tag(&aws, &group).await.ok();
    let tags = async || {
        let described = elb(&aws, "DescribeTags", "ResourceArns.member.1", &group).await;
        described.ok().all("Key")
    };
    assert!(tags().await.is_empty());
    wait(&aws).await;
    assert_eq!(tags().await, ["team"]);
    let vpc = aws.world.vpc.as_str();
    let named = [
        ("ResourceId.1", vpc),
        ("Tag.1.Key", "Name"),
        ("Tag.1.Value", "other"),
    ];
    aws.ec2("CreateTags", &named).await.ok();
    let described = async || aws.ec2("DescribeVpcs", &[("VpcId.1", vpc)]).await.ok();
    assert_eq!(described().await.all("value"), ["sandbox-vpc"]);
    wait(&aws).await;
    assert_eq!(described().await.all("value"), ["other"]);
}

async fn https(aws: &Aws, balancer: &str, certificate: &str) -> Reply {
    let parameters = [
        ("LoadBalancerArn", balancer),
        ("Protocol", "HTTPS"),
        ("Port", "443"),
        ("Certificates.member.1.CertificateArn", certificate),
        ("DefaultActions.member.1.Type", "fixed-response"),
        (
            "DefaultActions.member.1.FixedResponseConfig.StatusCode",
            "404",
        ),
    ];
    aws.elb("CreateListener", &parameters).await
}

#[tokio::test]
async fn a_new_certificate_is_unknown_to_load_balancers() {
    let aws = lagging("issue-certificate").await;
    let balancer = aws.balancer("web").await;
    let imported = aws.acm("ImportCertificate", import()).await.ok();
    let certificate = imported.json()["CertificateArn"]
        .as_str()
        .unwrap()
        .to_owned();
    let refused = https(&aws, &balancer, &certificate).await;
    assert_eq!(refused.code(), "CertificateNotFound");
    let body = json!({ "CertificateArn": certificate });
    aws.acm("DescribeCertificate", body).await.ok();
    wait(&aws).await;
    https(&aws, &balancer, &certificate).await.ok();
}

#[tokio::test]
async fn an_issued_certificate_seems_not_to_be() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let knob = r#"{"timing": {"certificate_issue_ms": 1000}}"#;
    aws.sim(Method::POST, "config", knob).await.ok();
    switch(&aws, "issue-certificate").await;
    let certificate = requested(&aws, "shop.example.com").await;
    aws.sim(Method::POST, "time", r#"{"forward_ms": 1000}"#)
        .await
        .ok();
    let refused = https(&aws, &balancer, &certificate).await;
    assert_eq!(refused.code(), "UnsupportedCertificate");
    wait(&aws).await;
    https(&aws, &balancer, &certificate).await.ok();
}

#[tokio::test]
async fn a_request_has_its_records_later() {
    let aws = lagging("request-certificate").await;
    let body = json!({ "DomainName": "shop.example.com", "ValidationMethod": "DNS" });
    let requested = aws.acm("RequestCertificate", body).await.ok().json();
    let record = async || {
        let described = aws.acm("DescribeCertificate", requested.clone()).await.ok();
        described.json()["Certificate"]["DomainValidationOptions"][0]["ResourceRecord"].clone()
    };
    assert_eq!(record().await, Value::Null);
    wait(&aws).await;
    assert_eq!(record().await["Type"], "CNAME");
}

#[tokio::test]
async fn a_new_web_acl_or_load_balancer_cannot_be_associated() {
    let aws = Aws::start().await;
    let old = aws.balancer("old").await;
    switch(&aws, "associate-web-acl").await;
    let made = aws
        .wafv2(
            "CreateWebACL",
            json!({
                "Name": "web",
                "Scope": "REGIONAL",
                "DefaultAction": { "Allow": {} },
                "VisibilityConfig": {
                    "SampledRequestsEnabled": false,
                    "CloudWatchMetricsEnabled": false,
                    "MetricName": "web",
                },
            }),
        )
        .await;
    let acl = made.ok().json()["Summary"]["ARN"].clone();
    let associate = async |balancer: &str| {
        let body = json!({ "WebACLArn": acl, "ResourceArn": balancer });
        aws.wafv2("AssociateWebACL", body).await
    };
    let codes = [
        "WAFUnavailableEntityException",
        "WAFNonexistentItemException",
    ];
    let refused = associate(&old).await;
    assert!(codes.contains(&refused.code().as_str()), "a new web ACL");
    wait(&aws).await;
    associate(&old).await.ok();
    let new = aws.balancer("new").await;
    let refused = associate(&new).await;
    assert!(codes.contains(&refused.code().as_str()), "a new balancer");
    wait(&aws).await;
    associate(&new).await.ok();
}

#[tokio::test]
async fn nodes_act_by_a_rule_later() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let group = aws.group("pods").await;
    let listener = aws.listener(&balancer, "8091").await;
    aws.let_time_pass();
    switch(&aws, "change-listener").await;
    let asked = json!({ "listener": listener, "path": "/game" }).to_string();
    let action = async || {
        let told = aws.sim(Method::POST, "request", &asked).await.ok().json();
        told["trace"]["action"].clone()
    };
    let made = aws.rule(&listener, "1", "/game", &group).await.ok();
    let rule = made.one("RuleArn");
    let shown = elb(&aws, "DescribeRules", "ListenerArn", &listener).await;
    assert!(shown.ok().body.contains(&rule), "the API knows it");
    assert_eq!(action().await, "fixed-response");
    wait(&aws).await;
    assert_eq!(action().await, "forward");
    elb(&aws, "DeleteRule", "RuleArn", &rule).await.ok();
    assert_eq!(action().await, "forward");
    wait(&aws).await;
    assert_eq!(action().await, "fixed-response");
    elb(&aws, "DeleteListener", "ListenerArn", &listener)
        .await
        .ok();
    let none = elb(&aws, "DescribeListeners", "LoadBalancerArn", &balancer).await;
    assert!(!none.ok().body.contains(&listener));
}

#[tokio::test]
async fn name_servers_hear_of_a_record_later() {
    let aws = lagging("change-records").await;
    let state = aws.simulator.state();
    let zone = state.read(|state| state.hosted_zones.keys().next().unwrap().clone());
    let name = state.read(|state| format!("late.{}", state.hosted_zones[&zone].name));
    let changes = format!(
        "<Change><Action>CREATE</Action><ResourceRecordSet><Name>{name}</Name><Type>A</Type>\
         <TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord>\
         </ResourceRecords></ResourceRecordSet></Change>"
    );
    aws.change(&zone, &changes).await.ok();
    let known = || {
        state.read(|state| {
            let zone = &state.hosted_zones[&zone];
            let there = |zone: &sandbox_aws::state::HostedZone| {
                zone.records.values().any(|set| set.name == name)
            };
            (there(zone), there(&state.served_zone(zone)))
        })
    };
    assert_eq!(known(), (true, false), "the API has it, DNS has not");
    wait(&aws).await;
    assert_eq!(known(), (true, true));
}

#[tokio::test]
async fn a_caller_is_judged_by_its_old_policy_for_a_while() {
    let aws = Aws::start().await;
    let role = async |effect: &str| {
        let policy = json!({ "Statement": [
            { "Effect": effect, "Action": "*", "Resource": "*" }
        ] });
        let arn = "arn:aws:iam::123456789012:role/web";
        let role = json!({ "arn": arn, "policy": policy }).to_string();
        aws.sim(Method::POST, "roles", &role).await.ok();
    };
    let callers = aws.simulator.callers();
    let effect = || {
        let now = aws.simulator.state().now();
        let role = callers.role("arn:aws:iam::123456789012:role/web", now);
        role.unwrap().policy.unwrap()["Statement"][0]["Effect"].clone()
    };
    switch(&aws, "change-policy").await;
    role("Allow").await;
    assert_eq!(effect(), "Allow", "who is new is known at once");
    role("Deny").await;
    assert_eq!(effect(), "Allow");
    wait(&aws).await;
    assert_eq!(effect(), "Deny");
}
