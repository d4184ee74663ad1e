//! What is deleted, and what is not.

use super::*;

fn deletion() -> Plan {
    plan(vec![
        planned(
            Step::DeleteLoadBalancer {
                arn: Arn::from(format!("{ARN}loadbalancer/app/k8s-a/1")),
                name: "k8s-a".to_owned(),
                scheme: Scheme::Internal,
            },
            &[],
        ),
        planned(
            Step::DeleteTargetGroup {
                arn: Arn::from(format!("{ARN}targetgroup/t/1")),
                key: key(),
            },
            &[0],
        ),
        planned(
            Step::DeleteSecurityGroup {
                id: "sg-new".to_owned(),
                name: "k8s-front".to_owned(),
            },
            &[0],
        ),
    ])
}

fn group_xml(tags: &Tags) -> String {
    let tags: Vec<String> = tags
        .iter()
        .map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>"))
        .collect();
    let tags = tags.concat();
    format!(
        "<securityGroupInfo><item><groupId>sg-new</groupId><groupName>k8s-front</groupName>\
         <groupDescription>d</groupDescription><tagSet>{tags}</tagSet></item></securityGroupInfo>"
    )
}

#[tokio::test]
async fn marks_are_read_once_before_the_first_deletion() {
    let bench = Bench::new(|request| match action(request) {
        "DescribeTags" => tags_answer(request, |_| marks("shop/web")),
        "DescribeSecurityGroups" => {
            ec2_answer("DescribeSecurityGroups", &group_xml(&marks("shop/web")))
        }
        _ => ok(request),
    })
    .await;
    let applied = bench.run(&deletion()).await;
    assert!(applied.is_complete(), "{applied:?}");
    assert_eq!(
        bench.server.actions(),
        [
            "DeleteLoadBalancer",
            "DeleteSecurityGroup",
            "DeleteTargetGroup",
            "DescribeSecurityGroups",
            "DescribeTags",
        ]
    );
}

#[tokio::test]
async fn what_is_not_ours_any_more_is_not_deleted() {
    let bench = Bench::new(|request| match action(request) {
        "DescribeTags" => tags_answer(request, |arn| {
            marks(if arn.contains("loadbalancer") {
                "somebody/else"
            } else {
                "shop/web"
            })
        }),
        "DescribeSecurityGroups" => ec2_answer("DescribeSecurityGroups", &group_xml(&Tags::new())),
        _ => ok(request),
    })
    .await;
    let mut plan = deletion();
    plan.steps[1].after.clear();
    plan.steps[2].after.clear();
    let applied = bench.run(&plan).await;
    assert_eq!(applied.done, [1]);
    assert_eq!(applied.failed.len(), 2);
    assert!(
        !bench
            .server
            .actions()
            .iter()
            .any(|a| a == "DeleteLoadBalancer" || a == "DeleteSecurityGroup")
    );
}

#[tokio::test]
async fn what_is_gone_already_counts_as_deleted() {
    let bench = Bench::new(|request| match action(request) {
        "DescribeTags" => (400, error_body("LoadBalancerNotFound", "gone")),
        "DescribeSecurityGroups" => ec2_answer("DescribeSecurityGroups", "<securityGroupInfo/>"),
        other => panic!("not expected: {other}"),
    })
    .await;
    assert!(bench.run(&deletion()).await.is_complete());
}

#[tokio::test]
async fn a_security_group_that_is_held_is_a_failure_without_waiting() {
    let bench = Bench::new(|request| match action(request) {
        "DescribeTags" => tags_answer(request, |_| marks("shop/web")),
        "DescribeSecurityGroups" => {
            ec2_answer("DescribeSecurityGroups", &group_xml(&marks("shop/web")))
        }
        "DeleteSecurityGroup" => {
            let body = "<Response><Errors><Error><Code>DependencyViolation</Code>\
                        <Message>has a dependent object</Message></Error></Errors></Response>";
            (400, body.to_owned())
        }
        _ => ok(request),
    })
    .await;
    let applied = bench.run(&deletion()).await;
    assert_eq!(applied.done.len(), 2);
    assert_eq!(applied.failed[0].error.class, Class::InUse);
    let tries = bench.server.actions();
    let tries = tries.iter().filter(|a| *a == "DeleteSecurityGroup");
    assert_eq!(tries.count(), 1);
}
