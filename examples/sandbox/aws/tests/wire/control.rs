//! `/_sim`, credentials, and what no service knows.

use hyper::Method;
use serde_json::json;

use crate::support::{Aws, signed};

#[tokio::test]
async fn calls_are_counted_and_logged_in_order() {
    let aws = Aws::start().await;
    aws.ec2("DescribeVpcs", &[]).await.ok();
    aws.ec2("DescribeVpcs", &[]).await.ok();
    aws.ec2("DescribeVpcs", &[("VpcId.1", "vpc-00000000000000000")])
        .await;
    aws.acm("ListCertificates", json!({})).await.ok();
    let counts = aws.sim(Method::GET, "calls", "").await.ok().json();
    assert_eq!(
        counts,
        json!([
            { "service": "acm", "action": "ListCertificates", "status": 200, "count": 1 },
            { "service": "ec2", "action": "DescribeVpcs", "status": 200, "count": 2 },
            { "service": "ec2", "action": "DescribeVpcs", "status": 400, "count": 1 },
        ])
    );
    let log = aws.sim(Method::GET, "log?after=2", "").await.ok().json();
    assert_eq!(log.as_array().unwrap().len(), 2);
    assert_eq!(log[0]["number"], 3);
    assert_eq!(log[0]["code"], "InvalidVpcID.NotFound");
    assert_eq!(log[0]["parameters"]["VpcId.1"], "vpc-00000000000000000");
    assert!(log[0]["started"].as_f64().unwrap() < log[0]["ended"].as_f64().unwrap());
    aws.sim(Method::DELETE, "calls", "").await.ok();
    assert_eq!(
        aws.sim(Method::GET, "calls", "").await.ok().json(),
        json!([])
    );
}

#[tokio::test]
async fn latency_shows_what_is_side_by_side() {
    let aws = Aws::start().await;
    aws.sim(Method::POST, "config", r#"{"timing": {"latency_ms": 50}}"#)
        .await
        .ok();
    let read = || aws.ec2("DescribeVpcs", &[]);
    let _ = futures::join!(read(), read(), read());
    read().await.ok();
    let log = aws.sim(Method::GET, "log", "").await.ok().json();
    let at = |index: usize, name: &str| log[index][name].as_f64().unwrap();
    for index in 0..3 {
        assert!(at(index, "started") < at(0, "ended"));
        assert!(at(3, "started") >= at(index, "ended"));
    }
}

#[tokio::test]
async fn faults_before_and_after_the_call() {
    let aws = Aws::start().await;
    let fault = |body: serde_json::Value| {
        let aws = &aws;
        async move { aws.sim(Method::POST, "faults", &body.to_string()).await }
    };
    let make = |name: &'static str| {
        let (aws, vpc) = (&aws, aws.world.vpc.clone());
        async move {
            let parameters = [
                ("GroupName", name),
                ("GroupDescription", name),
                ("VpcId", vpc.as_str()),
            ];
            aws.ec2("CreateSecurityGroup", &parameters).await
        }
    };
    fault(json!({ "service": "ec2", "action": "CreateSecurityGroup", "times": 2, "code": "RequestLimitExceeded", "skip": 1 }))
        .await
        .ok();
    make("a").await.ok();
    for _ in 0..2 {
        let reply = make("b").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "RequestLimitExceeded")
        );
    }
    make("b").await.ok();

    fault(json!({ "service": "ec2", "action": "CreateSecurityGroup", "times": 1, "code": "InternalError", "after": true }))
        .await
        .ok();
    let reply = make("c").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (500, "InternalError")
    );
    assert_eq!(make("c").await.code(), "InvalidGroup.Duplicate");

    fault(json!({ "service": "ec2", "times": 1, "code": "ConnectionReset" }))
        .await
        .ok();
    let authorization = signed("ec2");
    let lost = aws
        .send(
            Method::POST,
            "/",
            &[("authorization", &authorization)],
            "Action=DescribeVpcs&Version=2016-11-15".to_owned(),
        )
        .await;
    assert!(lost.is_err());

    fault(json!({ "service": "ec2", "times": 9, "code": "X", "status": 418 }))
        .await
        .ok();
    let reply = aws.ec2("DescribeVpcs", &[]).await;
    assert_eq!((reply.status, reply.code().as_str()), (418, "X"));
    aws.sim(Method::DELETE, "faults", "").await.ok();
    aws.ec2("DescribeVpcs", &[]).await.ok();
    assert_eq!(
        fault(json!({ "service": "ec2", "colour": "red", "code": "X" }))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_reset_empties_the_account() {
    let aws = Aws::start().await;
    aws.balancer("web").await;
    aws.sim(Method::POST, "reset", "").await.ok();
    assert!(
        aws.elb("DescribeLoadBalancers", &[])
            .await
            .ok()
            .all("LoadBalancerArn")
            .is_empty()
    );
    assert!(
        aws.ec2("DescribeVpcs", &[])
            .await
            .ok()
            .all("vpcId")
            .is_empty()
    );
    assert!(
        aws.route53(Method::GET, "hostedzone", "")
            .await
            .ok()
            .all("Id")
            .is_empty()
    );
}

#[tokio::test]
async fn knobs_are_turned_one_by_one() {
    let aws = Aws::start().await;
    aws.sim(
        Method::POST,
        "config",
        r#"{"timing": {"provisioning_ms": 600000}}"#,
    )
    .await
    .ok();
    let config = aws.sim(Method::GET, "config", "").await.ok().json();
    assert_eq!(config["timing"]["provisioning_ms"], 600_000);
    assert_eq!(config["timing"]["insync_ms"], 3_600_000);
    assert_eq!(config["quotas"]["application-load-balancers"], 50);
    for body in [
        r#"{"timing": {"speed": 1}}"#,
        r#"{"colour": "red"}"#,
        "nonsense",
    ] {
        assert_eq!(aws.sim(Method::POST, "config", body).await.status, 400);
    }
}

#[tokio::test]
async fn what_lies_outside_is_declared_kind_by_kind() {
    let aws = Aws::start().await;
    for body in [
        r#"{"buckets": ["logs"]}"#,
        r#"{"ipam_pools": ["ipam-pool-1"]}"#,
    ] {
        aws.sim(Method::POST, "outside", body).await.ok();
    }
    let outside = aws.sim(Method::GET, "outside", "").await.ok().json();
    assert_eq!(outside["buckets"], json!(["logs"]));
    assert_eq!(outside["ipam_pools"], json!(["ipam-pool-1"]));
    for body in [r#"{"planets": []}"#, r#"{"buckets": 1}"#, "[]"] {
        assert_eq!(aws.sim(Method::POST, "outside", body).await.status, 400);
    }
}

#[tokio::test]
async fn who_has_no_credentials_is_refused() {
    let aws = Aws::start().await;
    let body = "Action=DescribeLoadBalancers&Version=2015-12-01";
    let none = aws
        .send(Method::POST, "/", &[], body.to_owned())
        .await
        .unwrap();
    assert_eq!(
        (none.status, none.code().as_str()),
        (403, "MissingAuthenticationToken")
    );
    let query = "X-Amz-Credential=AKID%2F20261123%2Fus-east-1%2Felasticloadbalancing%2Faws4_request&X-Amz-Signature=00";
    let presigned = format!("/?{body}&{query}");
    aws.send(Method::GET, &presigned, &[], String::new())
        .await
        .unwrap()
        .ok();
    let authorization = signed("ec2");
    let headers = [("authorization", authorization.as_str())];
    let wrong = aws
        .send(Method::POST, "/", &headers, body.to_owned())
        .await
        .unwrap();
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (403, "SignatureDoesNotMatch")
    );
}

#[tokio::test]
async fn what_is_not_simulated_says_so() {
    let aws = Aws::start().await;
    let reply = aws.elb("CreateGateway", &[]).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "InvalidAction")
    );
    let reply = aws.acm("FrameCertificate", json!({})).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "UnknownOperationException")
    );
    let authorization = signed("wafv2");
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-amz-target", "AWSWAF_20190729.PaintWebACL"),
    ];
    let reply = aws
        .send(Method::POST, "/", &headers, "{}".to_owned())
        .await
        .unwrap();
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "UnknownOperationException")
    );
    let counts = aws.sim(Method::GET, "calls", "").await.ok().json();
    assert!(
        counts
            .as_array()
            .unwrap()
            .iter()
            .any(|count| count["service"] == "wafv2")
    );
    let reply = aws.sim(Method::POST, "inside", "{}").await;
    assert_eq!(reply.status, 404);
}
