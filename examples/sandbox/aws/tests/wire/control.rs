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
async fn what_an_account_holds_is_told_without_a_call() {
    let aws = Aws::start().await;
    let arn = aws.balancer("web").await;
    let group = aws.group("shop").await;
    let listener = aws.listener(&arn, "80").await;
    aws.rule(&listener, "7", "/cart", &group).await.ok();
    let tags = [
        ("ResourceArns.member.1", group.as_str()),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "web"),
    ];
    aws.elb("AddTags", &tags).await.ok();
    let calls = aws.sim(Method::GET, "calls", "").await.ok().json();
    let held = aws.sim(Method::GET, "resources", "").await.ok().json();
    let again = aws.sim(Method::GET, "calls", "").await.ok().json();
    assert_eq!(calls, again);

    let balancer = &held["loadBalancers"][0];
    assert_eq!(balancer["arn"], arn.as_str());
    assert_eq!(balancer["state"], "provisioning");
    let rules = balancer["listeners"][0]["rules"].as_array().unwrap();
    let priorities: Vec<_> = rules.iter().map(|rule| &rule["priority"]).collect();
    assert_eq!(priorities, ["7", "default"]);
    assert_eq!(
        rules[0]["conditions"],
        json!([{ "field": "path-pattern", "header": null, "values": ["/cart"], "regex": false }])
    );
    assert_eq!(
        rules[0]["actions"][0]["targetGroups"][0]["arn"],
        group.as_str()
    );
    let groups = &held["targetGroups"];
    assert_eq!(groups[0]["tags"], json!({ "team": "web" }));
    assert_eq!(groups[0]["loadBalancers"], json!([arn]));
    assert_eq!(groups[0]["healthCheck"]["port"], "traffic-port");
    let zone = &held["zones"][0];
    assert_eq!(zone["records"], json!([]), "NS and SOA are every zone's");

    // Of another account, which nobody has called yet.
    let other = "resources?account=999999999999";
    let other = aws.sim(Method::GET, other, "").await.ok().json();
    assert_eq!(other["loadBalancers"], json!([]));
}

#[tokio::test]
async fn latency_shows_what_is_side_by_side() {
    let aws = Aws::start().await;
    aws.sim(
        Method::POST,
        "config",
        r#"{"timing": {"latency_ms": 2000}}"#,
    )
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
async fn faults_in_a_list_slow_ones_and_ones_that_make_no_sense() {
    let aws = Aws::start().await;
    let faults = json!([
        { "service": "ec*", "action": "Describe?pcs", "delay_ms": 40, "body_ms": 30 },
        { "service": "*", "action": "DescribeSubnets", "code": "InternalError", "message": "so" },
    ]);
    let told = aws.sim(Method::POST, "faults", &faults.to_string()).await;
    told.ok();
    aws.ec2("DescribeVpcs", &[]).await.ok();
    let refused = aws.ec2("DescribeSubnets", &[]).await;
    assert_eq!(refused.code(), "InternalError");
    assert!(refused.body.contains("<Message>so</Message>"));
    let log = aws.sim(Method::GET, "log", "").await;
    let log: serde_json::Value = serde_json::from_str(&log.body).unwrap();
    let of = |action: &str| {
        let mut calls = log.as_array().unwrap().iter();
        let call = calls.find(|call| call["action"] == action).unwrap();
        call["ended"].as_f64().unwrap() - call["started"].as_f64().unwrap()
    };
    assert!(of("DescribeVpcs") >= 40.0, "held up");

    let bad = json!([{ "code": "X" }, { "code": "Y", "probability": 2 }]);
    let told = aws.sim(Method::POST, "faults", &bad.to_string()).await;
    assert_eq!(told.status, 400);
    assert!(told.body.contains("probability"), "{}", told.body);
    assert_eq!(aws.sim(Method::GET, "faults", "").await.body, "[]");
}

#[tokio::test]
async fn a_held_call_is_carried_out_when_it_is_let_go_and_its_caller_is_gone() {
    let aws = Aws::start().await;
    let group = |name: &str| {
        let name = name.to_owned();
        let vpc = aws.world.vpc.clone();
        let aws = &aws;
        async move {
            let parameters = [
                ("GroupName", name.as_str()),
                ("GroupDescription", name.as_str()),
                ("VpcId", vpc.as_str()),
            ];
            aws.ec2("CreateSecurityGroup", &parameters).await
        }
    };
    let hold = json!({ "service": "ec2", "writes": true, "held": true }).to_string();
    let held = json!([{ "service": "ec2", "action": "CreateSecurityGroup" }]);
    let gone = async |name: &str| {
        aws.sim(Method::POST, "faults", &hold).await.ok();
        let is_held = async {
            while aws.sim(Method::GET, "held", "").await.json() != held {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = group(name) => panic!("it is not held: {}", answer.body),
            () = is_held => {}
        }
    };
    let names = async || {
        let groups = aws.ec2("DescribeSecurityGroups", &[]).await.ok();
        groups.all("groupName")
    };
    let let_go = async || aws.sim(Method::DELETE, "held", "").await.ok();

    gone("late").await;
    assert!(!names().await.contains(&"late".to_owned()));
    let_go().await;
    while aws.sim(Method::GET, "held", "").await.body != "[]" {
        tokio::task::yield_now().await;
    }
    assert!(names().await.contains(&"late".to_owned()));
    let log = aws.sim(Method::GET, "log", "").await.body;
    assert!(log.contains("CreateSecurityGroup"), "it is noted");

    // Who waits all the time is answered.
    aws.sim(Method::POST, "faults", &hold).await.ok();
    let let_go = async {
        while aws.sim(Method::GET, "held", "").await.json() != held {
            tokio::task::yield_now().await;
        }
        let_go().await;
    };
    let (answer, ()) = tokio::join!(group("patient"), let_go);
    answer.ok();

    // A reset gives up what is held.
    gone("never").await;
    aws.sim(Method::POST, "reset", "").await.ok();
    assert_eq!(aws.sim(Method::GET, "held", "").await.body, "[]");
    assert!(!names().await.contains(&"never".to_owned()));
}

#[tokio::test]
async fn calls_above_the_limits_are_throttled_and_have_no_effect() {
    let aws = Aws::start().await;
    let limits = json!({
        "mode": "real",
        "buckets": { "ec2:security-groups:*": { "burst": 2, "per_second": 0.001 } },
    });
    aws.sim(Method::POST, "limits", &limits.to_string())
        .await
        .ok();
    let mut codes = Vec::new();
    for name in ["a", "b", "c"] {
        let parameters = [
            ("GroupName", name),
            ("GroupDescription", name),
            ("VpcId", aws.world.vpc.as_str()),
        ];
        let reply = aws.ec2("CreateSecurityGroup", &parameters).await;
        let code = if reply.status == 200 {
            String::new()
        } else {
            reply.code()
        };
        codes.push((reply.status, code));
    }
    assert_eq!(codes[1], (200, String::new()));
    assert_eq!(codes[2], (503, "RequestLimitExceeded".to_owned()));
    let groups = aws.ec2("DescribeSecurityGroups", &[]).await.ok();
    let names = groups.all("groupName");
    assert!(names.contains(&"b".to_owned()) && !names.contains(&"c".to_owned()));

    let bad = json!({ "buckets": { "no-such": { "burst": 1, "per_second": 1 } } });
    let told = aws.sim(Method::POST, "limits", &bad.to_string()).await;
    assert_eq!(told.status, 400);
    assert!(told.body.contains("no-such") && told.body.contains("route53:account"));
    let shown = aws.sim(Method::GET, "limits", "").await;
    assert!(shown.body.contains("\"mode\":\"real\""), "{}", shown.body);
}

#[tokio::test]
async fn calls_and_changes_of_state_are_told_as_they_happen() {
    let aws = Aws::start().await;
    let arn = aws.balancer("web").await;
    let mut events = aws.events("?since=0").await;
    let call = events
        .next("call", |call| call["action"] == "CreateLoadBalancer")
        .await;
    assert_eq!(call["service"], "elasticloadbalancing");
    assert_eq!(call["parameters"]["Name"], "web");
    assert_eq!(call["caller"], "arn:aws:iam::123456789012:root");
    assert!(call["answer"].as_str().unwrap().contains(&arn));
    let body = r#"{"forward_ms": 3600000}"#;
    aws.sim(Method::POST, "time", body).await.ok();
    let change = events
        .next("state", |change| change["resource"] == arn)
        .await;
    assert_eq!(change["before"], "provisioning");
    assert_eq!(change["after"], "active");
    aws.elb("DescribeLoadBalancers", &[]).await.ok();
    let call = events
        .next("call", |call| call["action"] == "DescribeLoadBalancers")
        .await;
    assert_eq!(call["answer"], json!(null), "reads are not kept");
}

#[tokio::test]
async fn pages_of_others_change_nothing() {
    let aws = Aws::start().await;
    let own = aws.simulator.endpoint();
    for (headers, status) in [
        (vec![("origin", "http://example.com")], 403),
        (vec![("origin", "null")], 403),
        (vec![("host", "sim.example.com")], 403),
        (vec![("origin", own.as_str())], 204),
        (vec![], 204),
    ] {
        let reply = aws.send(Method::POST, "/_sim/reset", &headers, String::new());
        assert_eq!(reply.await.unwrap().status, status, "{headers:?}");
    }
    let headers = [("origin", "http://example.com")];
    let reply = aws.send(Method::GET, "/_sim/calls", &headers, String::new());
    assert_eq!(
        reply.await.unwrap().status,
        200,
        "reading is nobody's secret"
    );
}

#[tokio::test]
async fn time_has_profiles_and_can_be_moved_forward() {
    let aws = Aws::start().await;
    let told = aws.sim(
        Method::POST,
        "config",
        r#"{"time":"real","timing":{"spread":0}}"#,
    );
    told.await.ok();
    let config = aws.sim(Method::GET, "config", "").await;
    assert!(
        config.body.contains("\"provisioning_ms\":150000"),
        "{}",
        config.body
    );
    let arn = aws.balancer("web").await;
    let state = async || {
        let parameters = [("LoadBalancerArns.member.1", arn.as_str())];
        let answer = aws.elb("DescribeLoadBalancers", &parameters).await;
        answer.ok().all("Code").concat()
    };
    assert_eq!(state().await, "provisioning");
    let forward = async |ms: &str| {
        let body = format!("{{\"forward_ms\":{ms}}}");
        aws.sim(Method::POST, "time", &body).await
    };
    forward("100000").await.ok();
    assert_eq!(state().await, "provisioning");
    forward("51000").await.ok();
    assert_eq!(state().await, "active");
    assert!(
        aws.sim(Method::GET, "time", "")
            .await
            .body
            .contains("\"ahead_ms\":151000")
    );
    assert_eq!(forward("-1").await.status, 400);
    let told = aws
        .sim(Method::POST, "config", r#"{"timing":{"spread":2}}"#)
        .await;
    assert_eq!(told.status, 400);
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
