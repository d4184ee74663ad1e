//! ELBv2: what works and how it reads back.

use crate::support::{Aws, until};

#[tokio::test]
async fn a_load_balancer_from_provisioning_to_gone() {
    let aws = Aws::start().await;
    let arn = aws.balancer("Web").await;
    let shown = aws
        .elb(
            "DescribeLoadBalancers",
            &[("LoadBalancerArns.member.1", &arn)],
        )
        .await
        .ok();
    assert_eq!(shown.one("Scheme"), "internet-facing");
    assert_eq!(shown.one("CanonicalHostedZoneId"), "Z35SXDOTRQ7X7K");
    assert!(shown.one("DNSName").starts_with("Web-"));
    assert!(
        shown
            .one("DNSName")
            .ends_with(".us-east-1.elb.amazonaws.com")
    );
    assert_eq!(shown.all("ZoneName").len(), 3);
    assert!(!shown.body.contains("<Tags>"));
    assert!(shown.body.contains(&format!(
        "<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></DescribeLoadBalancersResponse>",
        shown.request_id.clone().unwrap()
    )));
    until("active", || async {
        let shown = aws.elb("DescribeLoadBalancers", &[]).await.ok();
        shown.body.contains("<State><Code>active</Code></State>")
    })
    .await;

    // The same call again answers what exists; with other settings it is refused.
    assert_eq!(aws.balancer("Web").await, arn);
    let other = aws
        .elb(
            "CreateLoadBalancer",
            &[
                ("Name", "Web"),
                ("Scheme", "internal"),
                ("Subnets.member.1", &aws.world.private_subnets[0]),
                ("Subnets.member.2", &aws.world.private_subnets[1]),
            ],
        )
        .await;
    assert_eq!(other.code(), "DuplicateLoadBalancerName");

    aws.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)])
        .await
        .ok();
    aws.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)])
        .await
        .ok();
    let gone = aws
        .elb(
            "DescribeLoadBalancers",
            &[("LoadBalancerArns.member.1", &arn)],
        )
        .await;
    assert_eq!(gone.code(), "LoadBalancerNotFound");
    aws.simulator.stop().await;
}

#[tokio::test]
async fn deletion_protection_holds() {
    let aws = Aws::start().await;
    let arn = aws.balancer("web").await;
    for (value, code) in [("true", "OperationNotPermitted"), ("false", "")] {
        aws.elb(
            "ModifyLoadBalancerAttributes",
            &[
                ("LoadBalancerArn", &arn),
                ("Attributes.member.1.Key", "deletion_protection.enabled"),
                ("Attributes.member.1.Value", value),
            ],
        )
        .await
        .ok();
        let deleted = aws
            .elb("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)])
            .await;
        assert_eq!(deleted.code(), code);
    }
}

#[tokio::test]
async fn a_security_group_is_held_by_a_deleted_load_balancer_for_a_while() {
    let aws = Aws::start().await;
    let group = aws
        .ec2(
            "CreateSecurityGroup",
            &[
                ("GroupName", "front"),
                ("GroupDescription", "front"),
                ("VpcId", &aws.world.vpc),
            ],
        )
        .await
        .ok()
        .one("groupId");
    let arn = aws.balancer("web").await;
    let set = aws
        .elb(
            "SetSecurityGroups",
            &[
                ("LoadBalancerArn", &arn),
                ("SecurityGroups.member.1", &group),
            ],
        )
        .await
        .ok();
    assert!(
        set.body
            .contains(&format!("<SecurityGroupIds><member>{group}</member>"))
    );
    let interfaces = aws
        .ec2(
            "DescribeNetworkInterfaces",
            &[
                ("Filter.1.Name", "description"),
                ("Filter.1.Value.1", "ELB app/web/*"),
            ],
        )
        .await
        .ok();
    assert_eq!(interfaces.all("requesterId"), ["amazon-elb"; 3]);
    aws.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)])
        .await
        .ok();
    let delete = async || aws.ec2("DeleteSecurityGroup", &[("GroupId", &group)]).await;
    assert_eq!(delete().await.code(), "DependencyViolation");
    until("deleted", || async { delete().await.status == 200 }).await;
    assert_eq!(delete().await.code(), "InvalidGroup.NotFound");
}

#[tokio::test]
async fn actions_and_conditions_read_back_in_aws_form() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let group = aws.group("pods").await;
    let listener = aws.listener(&balancer, "80").await;
    let rule = aws
        .elb(
            "CreateRule",
            &[
                ("ListenerArn", &listener),
                ("Priority", "7"),
                ("Conditions.member.1.Field", "host-header"),
                (
                    "Conditions.member.1.HostHeaderConfig.Values.member.1",
                    "a.example.com",
                ),
                ("Actions.member.1.Type", "forward"),
                ("Actions.member.1.TargetGroupArn", &group),
                ("Tags.member.1.Key", "owner"),
                ("Tags.member.1.Value", "me@you"),
            ],
        )
        .await
        .ok();
    assert_eq!(rule.one("Priority"), "7");
    assert_eq!(rule.one("IsDefault"), "false");
    let value = "<Values><member>a.example.com</member></Values>";
    assert!(rule.body.contains(&format!(
        "{value}<HostHeaderConfig>{value}</HostHeaderConfig>"
    )));
    assert!(rule.body.contains(&format!(
        "<TargetGroupArn>{group}</TargetGroupArn><ForwardConfig><TargetGroups><member><TargetGroupArn>{group}</TargetGroupArn><Weight>1</Weight>"
    )));
    assert!(
        rule.body
            .contains("<TargetGroupStickinessConfig><Enabled>false</Enabled>")
    );

    let rule_arn = rule.one("RuleArn");
    let tags = aws
        .elb("DescribeTags", &[("ResourceArns.member.1", &rule_arn)])
        .await
        .ok();
    assert_eq!(tags.one("Value"), "me@you");

    let redirect = aws
        .elb(
            "ModifyRule",
            &[
                ("RuleArn", &rule_arn),
                ("Actions.member.1.Type", "redirect"),
                ("Actions.member.1.RedirectConfig.Protocol", "HTTPS"),
                ("Actions.member.1.RedirectConfig.Port", "443"),
                ("Actions.member.1.RedirectConfig.StatusCode", "HTTP_301"),
            ],
        )
        .await
        .ok();
    assert!(redirect.body.contains(
        "<Protocol>HTTPS</Protocol><Port>443</Port><Host>#{host}</Host><Path>/#{path}</Path><Query>#{query}</Query><StatusCode>HTTP_301</StatusCode>"
    ));
    assert_eq!(redirect.all("Field"), ["host-header"]);

    let rules = aws
        .elb("DescribeRules", &[("ListenerArn", &listener)])
        .await
        .ok();
    assert_eq!(rules.all("Priority"), ["7", "default"]);
    let default = rules.all("RuleArn")[1].clone();
    let refused = aws.elb("DeleteRule", &[("RuleArn", &default)]).await;
    assert_eq!(refused.code(), "OperationNotPermitted");
}

#[tokio::test]
async fn target_groups_follow_their_references() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let group = aws.group("pods").await;
    assert_eq!(aws.group("pods").await, group);
    let listener = aws.listener(&balancer, "80").await;
    let rule = aws
        .rule(&listener, "1", "/a", &group)
        .await
        .ok()
        .one("RuleArn");
    let shown = async || {
        aws.elb("DescribeTargetGroups", &[("Names.member.1", "pods")])
            .await
    };
    let used = format!("<LoadBalancerArns><member>{balancer}</member></LoadBalancerArns>");
    assert!(shown().await.body.contains(&used));
    assert_eq!(shown().await.one("HealthCheckPort"), "traffic-port");
    assert!(
        shown()
            .await
            .body
            .contains("<Matcher><HttpCode>200</HttpCode></Matcher>")
    );
    let delete = async || {
        aws.elb("DeleteTargetGroup", &[("TargetGroupArn", &group)])
            .await
    };
    assert_eq!(delete().await.code(), "ResourceInUse");

    // A group serves one load balancer only.
    let other = aws.balancer("other").await;
    let elsewhere = aws.listener(&other, "80").await;
    let refused = aws.rule(&elsewhere, "1", "/a", &group).await;
    assert_eq!(refused.code(), "TargetGroupAssociationLimit");

    aws.elb("DeleteRule", &[("RuleArn", &rule)]).await.ok();
    assert!(
        shown()
            .await
            .body
            .contains("<LoadBalancerArns></LoadBalancerArns>")
    );
    delete().await.ok();
    delete().await.ok();
}

#[tokio::test]
async fn rules_change_places_in_one_call() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let group = aws.group("pods").await;
    let listener = aws.listener(&balancer, "80").await;
    let mut arns = Vec::new();
    for (priority, path) in [("1", "/a"), ("2", "/b"), ("3", "/c")] {
        arns.push(
            aws.rule(&listener, priority, path, &group)
                .await
                .ok()
                .one("RuleArn"),
        );
    }
    assert_eq!(
        aws.rule(&listener, "2", "/d", &group).await.code(),
        "PriorityInUse"
    );
    let swapped = [
        ("RulePriorities.member.1.RuleArn", arns[0].as_str()),
        ("RulePriorities.member.1.Priority", "2"),
        ("RulePriorities.member.2.RuleArn", arns[1].as_str()),
        ("RulePriorities.member.2.Priority", "1"),
    ];
    aws.elb("SetRulePriorities", &swapped).await.ok();
    let rules = aws
        .elb("DescribeRules", &[("ListenerArn", &listener)])
        .await
        .ok();
    assert_eq!(
        rules.all("RuleArn")[..2],
        [arns[1].clone(), arns[0].clone()]
    );
    let onto_third = [
        ("RulePriorities.member.1.RuleArn", arns[0].as_str()),
        ("RulePriorities.member.1.Priority", "3"),
    ];
    assert_eq!(
        aws.elb("SetRulePriorities", &onto_third).await.code(),
        "PriorityInUse"
    );
}

#[tokio::test]
async fn listeners_and_certificates() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let certificate = aws.world.certificates[0].clone();
    let fixed = [
        ("DefaultActions.member.1.Type", "fixed-response"),
        (
            "DefaultActions.member.1.FixedResponseConfig.StatusCode",
            "404",
        ),
    ];
    let create = |protocol: &'static str, port: &'static str, certificate: Option<String>| {
        let (aws, balancer) = (&aws, balancer.clone());
        async move {
            let mut parameters = vec![
                ("LoadBalancerArn", balancer.as_str()),
                ("Protocol", protocol),
                ("Port", port),
            ];
            if let Some(certificate) = &certificate {
                parameters.push(("Certificates.member.1.CertificateArn", certificate));
            }
            parameters.extend(fixed);
            aws.elb("CreateListener", &parameters).await
        }
    };
    let http = create("HTTP", "80", None).await.ok();
    assert!(!http.body.contains("SslPolicy") && !http.body.contains("Certificates"));
    assert_eq!(
        create("HTTP", "80", None).await.ok().one("ListenerArn"),
        http.one("ListenerArn")
    );
    assert_eq!(create("HTTPS", "443", None).await.code(), "ValidationError");
    assert_eq!(
        create("HTTP", "8080", Some(certificate.clone()))
            .await
            .code(),
        "ValidationError"
    );
    let missing = certificate.replace("certificate/", "certificate/0");
    assert_eq!(
        create("HTTPS", "443", Some(missing)).await.code(),
        "CertificateNotFound"
    );
    assert_eq!(
        create("HTTPS", "80", Some(certificate.clone()))
            .await
            .code(),
        "DuplicateListener"
    );
    let https = create("HTTPS", "443", Some(certificate.clone())).await.ok();
    assert_eq!(https.one("SslPolicy"), "ELBSecurityPolicy-2016-08");
    assert!(!https.body.contains("IsDefault"));

    let arn = https.one("ListenerArn");
    let moved = aws
        .elb("ModifyListener", &[("ListenerArn", &arn), ("Port", "80")])
        .await;
    assert_eq!(moved.code(), "ValidationError");
    let one = [
        ("ListenerArn", arn.as_str()),
        ("Certificates.member.1.CertificateArn", certificate.as_str()),
    ];
    aws.elb("AddListenerCertificates", &one).await.ok();
    aws.elb("AddListenerCertificates", &one).await.ok();
    let shown = aws
        .elb("DescribeListenerCertificates", &[("ListenerArn", &arn)])
        .await
        .ok();
    assert_eq!(shown.all("IsDefault"), ["true", "false"]);
    aws.elb("RemoveListenerCertificates", &one).await.ok();
    let refused = aws.elb("RemoveListenerCertificates", &one).await;
    assert_eq!(refused.code(), "OperationNotPermitted");
    let in_use = aws
        .acm(
            "DeleteCertificate",
            serde_json::json!({ "CertificateArn": certificate }),
        )
        .await;
    assert_eq!(in_use.code(), "ResourceInUseException");

    aws.elb("DeleteListener", &[("ListenerArn", &arn)])
        .await
        .ok();
    assert_eq!(
        aws.elb("DeleteListener", &[("ListenerArn", &arn)])
            .await
            .code(),
        "ListenerNotFound"
    );
}

#[tokio::test]
async fn targets_and_their_health() {
    let aws = Aws::start().await;
    let group = aws.group("pods").await;
    let node = aws.world.nodes[0].clone();
    let pod = aws
        .simulator
        .state()
        .write(|state, _| state.assign_pod_ip(&node))
        .unwrap()
        .to_string();
    let target = [
        ("TargetGroupArn", group.as_str()),
        ("Targets.member.1.Id", pod.as_str()),
        ("Targets.member.1.Port", "8080"),
    ];
    let health = async || {
        aws.elb("DescribeTargetHealth", &[("TargetGroupArn", &group)])
            .await
    };
    aws.elb("RegisterTargets", &target).await.ok();
    aws.elb("RegisterTargets", &target).await.ok();
    assert_eq!(health().await.one("Reason"), "Target.NotInUse");
    assert_eq!(health().await.one("HealthCheckPort"), "8080");

    let balancer = aws.balancer("web").await;
    let listener = aws.listener(&balancer, "80").await;
    aws.rule(&listener, "1", "/", &group).await.ok();
    let reply = health().await;
    assert_eq!(
        (reply.one("State"), reply.one("Reason")),
        ("initial".into(), "Elb.RegistrationInProgress".into())
    );
    // Nobody listens at the pod's address, so the checks fail.
    until("unhealthy", || async {
        health().await.one("State") == "unhealthy"
    })
    .await;

    aws.elb("DeregisterTargets", &target).await.ok();
    assert_eq!(health().await.one("State"), "draining");
    until("drained", || async {
        health().await.all("State").is_empty()
    })
    .await;
    let named = aws.elb("DescribeTargetHealth", &target).await.ok();
    assert_eq!(named.one("Reason"), "Target.NotRegistered");
    assert_eq!(
        aws.elb("DeregisterTargets", &target).await.code(),
        "InvalidTarget"
    );
}

#[tokio::test]
async fn pages_and_attributes() {
    let aws = Aws::start().await;
    for name in ["a", "b", "c"] {
        aws.group(name).await;
    }
    let first = aws
        .elb("DescribeTargetGroups", &[("PageSize", "2")])
        .await
        .ok();
    assert_eq!(first.all("TargetGroupName").len(), 2);
    let marker = first.one("NextMarker");
    let second = aws
        .elb(
            "DescribeTargetGroups",
            &[("PageSize", "2"), ("Marker", &marker)],
        )
        .await
        .ok();
    let mut names = first.all("TargetGroupName");
    names.extend(second.all("TargetGroupName"));
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(second.all("NextMarker").is_empty());
    let bad = aws.elb("DescribeTargetGroups", &[("Marker", "?")]).await;
    assert_eq!(bad.code(), "ValidationError");

    let arn = second.all("TargetGroupArn")[0].clone();
    let modified = aws
        .elb(
            "ModifyTargetGroupAttributes",
            &[
                ("TargetGroupArn", &arn),
                (
                    "Attributes.member.1.Key",
                    "deregistration_delay.timeout_seconds",
                ),
                ("Attributes.member.1.Value", "5"),
            ],
        )
        .await
        .ok();
    assert!(
        modified
            .body
            .contains("<Key>deregistration_delay.timeout_seconds</Key><Value>5</Value>")
    );
    let limits = aws.elb("DescribeAccountLimits", &[]).await.ok();
    assert!(
        limits
            .body
            .contains("<Name>application-load-balancers</Name><Max>50</Max>")
    );
    let policies = aws
        .elb(
            "DescribeSSLPolicies",
            &[("Names.member.1", "ELBSecurityPolicy-2016-08")],
        )
        .await
        .ok();
    assert!(policies.body.contains("<member>TLSv1.2</member>"));
}
