//! ELBv2: targets and their health, pages, attributes.

use crate::support::{Aws, until};

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
    aws.let_time_pass();
    until("unhealthy", || async {
        health().await.one("State") == "unhealthy"
    })
    .await;

    aws.elb("DeregisterTargets", &target).await.ok();
    assert_eq!(health().await.one("State"), "draining");
    aws.let_time_pass();
    assert!(health().await.all("State").is_empty());
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
