//! `/_sim/audit`.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::Aws;

async fn audit(aws: &Aws, query: &str) -> Vec<Value> {
    let path = format!("audit{query}");
    let found = aws.sim(Method::GET, &path, "").await.ok().json();
    found.as_array().unwrap().clone()
}

/// The kinds and resources of one problem.
fn of(found: &[Value], problem: &str) -> Vec<(String, String)> {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    found
        .iter()
        .filter(|one| one["problem"] == problem)
        .map(|one| (text(one, "kind"), text(one, "resource")))
        .collect()
}

#[tokio::test]
async fn what_is_left_over_and_unowned() {
    let aws = Aws::start().await;
    assert!(
        audit(&aws, "").await.is_empty(),
        "a fresh world is in order"
    );
    let group = aws.group("web").await;
    let found = audit(&aws, "").await;
    let ours = ("target-group".to_owned(), group.clone());
    assert_eq!(of(&found, "left-over"), std::slice::from_ref(&ours));
    assert_eq!(of(&found, "unowned"), [ours]);
    assert_eq!(found[0]["detail"], "no listener and no rule names it");
    let balancer = aws.balancer("web").await;
    let listener = aws.listener(&balancer, "80").await;
    aws.rule(&listener, "1", "/a", &group).await.ok();
    let found = audit(&aws, "").await;
    assert!(of(&found, "left-over").is_empty());
    assert_eq!(of(&found, "unowned").len(), 4, "rule and listener too");
    let refused = aws.sim(Method::GET, "audit?colour=red", "").await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn records_outlive_what_they_are_for() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let described = aws.elb("DescribeLoadBalancers", &[]).await.ok();
    let (name, target) = (
        described.one("DNSName"),
        described.one("CanonicalHostedZoneId"),
    );
    let alias = format!(
        "<ResourceRecordSet><Name>app.example.com</Name><Type>A</Type><AliasTarget><HostedZoneId>{target}</HostedZoneId><DNSName>{name}</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>"
    );
    let owner = "<ResourceRecordSet><Name>a-app-own.example.com</Name><Type>TXT</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>\"heritage=external-dns,external-dns/owner=me\"</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>";
    let change =
        |action: &str, record: &str| format!("<Change><Action>{action}</Action>{record}</Change>");
    let zone = aws.world.hosted_zones[0].clone();
    let both = change("CREATE", &alias) + &change("CREATE", owner);
    aws.change(&zone, &both).await.ok();
    assert!(
        of(&audit(&aws, "?txt_suffix=-own").await, "left-over")
            .iter()
            .all(|(kind, _)| kind == "load-balancer")
    );
    assert!(of(&audit(&aws, "").await, "dangling").is_empty());
    let gone = [("LoadBalancerArn", balancer.as_str())];
    aws.elb("DeleteLoadBalancer", &gone).await.ok();
    let found = audit(&aws, "?txt_suffix=-own").await;
    let record = ("record".to_owned(), "app.example.com. A".to_owned());
    assert_eq!(of(&found, "dangling"), [record]);
    assert!(of(&found, "left-over").is_empty());
    aws.change(&zone, &change("DELETE", &alias)).await.ok();
    let found = audit(&aws, "?txt_suffix=-own").await;
    let left = json!([["owner-record", "a-app-own.example.com. TXT"]]);
    assert_eq!(json!(of(&found, "left-over")), left);
}

#[tokio::test]
async fn listeners_whose_certificate_is_of_no_use_dangle() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let certificate = aws.world.certificates[0].clone();
    let parameters = [
        ("LoadBalancerArn", balancer.as_str()),
        ("Protocol", "HTTPS"),
        ("Port", "443"),
        ("Certificates.member.1.CertificateArn", &certificate),
        ("DefaultActions.member.1.Type", "fixed-response"),
        (
            "DefaultActions.member.1.FixedResponseConfig.StatusCode",
            "404",
        ),
    ];
    let listener = aws.elb("CreateListener", &parameters).await.ok();
    let listener = listener.one("ListenerArn");
    assert!(of(&audit(&aws, "").await, "dangling").is_empty());
    // More than a year later it has expired.
    let years = r#"{"forward_ms": 63072000000}"#;
    aws.sim(Method::POST, "time", years).await.ok();
    let found = audit(&aws, "").await;
    assert_eq!(of(&found, "dangling"), [("listener".to_owned(), listener)]);
}
