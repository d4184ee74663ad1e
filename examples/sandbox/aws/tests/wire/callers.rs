//! Callers, accounts and regions, as far as no signature is needed. The rest
//! is in `conformance/test_callers.py`.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sandbox_aws::{Options, Simulator, World, dns::lookup};

use crate::support::until;

/// Sends a form or a target, signed by somebody whom nobody knows; status and body.
async fn send(
    simulator: &Simulator,
    (service, region): (&str, &str),
    (uri, target): (&str, Option<&str>),
    body: String,
) -> (u16, String) {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDNOBODY/20261123/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00"
    );
    let mut request = Request::builder()
        .method(if uri == "/" { "POST" } else { "GET" })
        .uri(format!("{}{uri}", simulator.endpoint()))
        .header("authorization", authorization);
    if let Some(target) = target {
        request = request.header("x-amz-target", target);
    }
    let request = request.body(Full::<Bytes>::from(body)).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn only_known_keys_are_taken_where_that_is_asked_for() {
    let options = Options {
        dns: None,
        only_known_keys: true,
        ..Options::default()
    };
    let simulator = Simulator::start(options).await.unwrap();
    for (service, uri, target, body, status, code) in [
        (
            "elasticloadbalancing",
            "/",
            None,
            "Action=DescribeLoadBalancers&Version=2015-12-01",
            403,
            "InvalidClientTokenId",
        ),
        (
            "sts",
            "/",
            None,
            "Action=GetCallerIdentity&Version=2011-06-15",
            403,
            "InvalidClientTokenId",
        ),
        (
            "ec2",
            "/",
            None,
            "Action=DescribeVpcs&Version=2016-11-15",
            401,
            "AuthFailure",
        ),
        (
            "route53",
            "/2013-04-01/hostedzone",
            None,
            "",
            403,
            "InvalidClientTokenId",
        ),
        (
            "acm",
            "/",
            Some("CertificateManager.ListCertificates"),
            "{}",
            400,
            "UnrecognizedClientException",
        ),
    ] {
        let scope = (service, "us-east-1");
        let (found, body) = send(&simulator, scope, (uri, target), body.to_owned()).await;
        assert_eq!(found, status, "{service} {body}");
        assert!(body.contains(code), "{body}");
    }
    simulator.stop().await;
}

async fn fetch(socket: SocketAddr) -> u16 {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .uri(format!("http://{socket}/"))
        .body(Full::<Bytes>::default())
        .unwrap();
    client.request(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn load_balancers_of_every_region_are_served_and_found_by_dns() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let there = simulator.state().at("123456789012", "eu-west-1");
    let world = there
        .write(|state, now| World::default().build(state, now))
        .unwrap();
    let scope = ("elasticloadbalancing", "eu-west-1");
    let call = |action: &str, parameters: String| {
        let body = format!("Action={action}&Version=2015-12-01&{parameters}");
        let simulator = &simulator;
        async move {
            let (status, body) = send(simulator, scope, ("/", None), body).await;
            assert_eq!(status, 200, "{body}");
            body
        }
    };
    let one = |body: &str, name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>")).unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    let subnets = &world.public_subnets;
    let made = call(
        "CreateLoadBalancer",
        format!(
            "Name=far&Subnets.member.1={}&Subnets.member.2={}",
            subnets[0], subnets[1]
        ),
    )
    .await;
    let (arn, name) = (one(&made, "LoadBalancerArn"), one(&made, "DNSName"));
    assert!(arn.contains(":eu-west-1:"), "{arn}");
    call(
        "CreateListener",
        format!(
            "LoadBalancerArn={arn}&Protocol=HTTP&Port=8091&DefaultActions.member.1.Type=fixed-response&DefaultActions.member.1.FixedResponseConfig.StatusCode=418"
        ),
    )
    .await;
    until("an open listener", || async {
        !simulator.plane().endpoints().is_empty()
    })
    .await;
    let endpoint = &simulator.plane().endpoints()[0];
    assert_eq!(endpoint.load_balancer, arn);
    assert_eq!(fetch(endpoint.socket).await, 418);
    let found = lookup(simulator.dns_address().unwrap(), &name, "A")
        .await
        .unwrap();
    assert_eq!(found.status(), "NOERROR");
    assert!(
        found
            .to_string()
            .contains(&endpoint.socket.ip().to_string())
    );
    // Home knows nothing of it.
    let home = ("elasticloadbalancing", "us-east-1");
    let ask = "Action=DescribeLoadBalancers&Version=2015-12-01".to_owned();
    let (_, body) = send(&simulator, home, ("/", None), ask).await;
    assert!(!body.contains(&arn), "{body}");
    simulator.stop().await;
}
