//! From the API to an answer: what is made over the wire is served.

use std::net::SocketAddr;

use axum::{Router, http::Request, routing::get};
use http_body_util::{BodyExt, Full};
use hyper::{Method, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::support::{Aws, until};

async fn fetch(socket: &str, path: &str) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .uri(format!("http://{socket}{path}"))
        .header("host", "shop.example.com")
        .body(Full::<Bytes>::default())
        .unwrap();
    let answer = client.request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A server that plays a pod.
async fn pod() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(|| async { "healthy" }))
        .route("/game", get(|| async { "2048" }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_page_is_served_through_what_the_api_made() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let listener = aws.listener(&balancer, "8090").await;
    let group = aws.group("pods").await;
    aws.rule(&listener, "1", "/game", &group).await.ok();
    let node = aws.world.nodes[0].clone();
    let address = aws
        .simulator
        .state()
        .write(|state, _| state.assign_pod_ip(&node))
        .unwrap()
        .to_string();
    let really = pod().await;
    let mapping = format!(r#"{{"{address}:8080": "{really}"}}"#);
    aws.sim(Method::POST, "addresses", &mapping).await.ok();
    let target = [
        ("TargetGroupArn", group.as_str()),
        ("Targets.member.1.Id", address.as_str()),
    ];
    aws.elb("RegisterTargets", &target).await.ok();
    until("healthy", || async {
        let health = aws.elb("DescribeTargetHealth", &target[..1]).await.ok();
        health.one("State") == "healthy"
    })
    .await;

    let endpoints = aws.sim(Method::GET, "endpoints", "").await.ok().json();
    let endpoint = &endpoints[0];
    assert_eq!(endpoint["loadBalancer"], balancer);
    assert_eq!(endpoint["port"], 8090);
    let socket = endpoint["socket"].as_str().unwrap();
    assert_eq!(fetch(socket, "/game").await, (200, "2048".to_owned()));
    assert_eq!(fetch(socket, "/elsewhere").await.0, 404);

    aws.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &balancer)])
        .await
        .ok();
    until("closed", || async {
        let endpoints = aws.sim(Method::GET, "endpoints", "").await.ok().json();
        endpoints.as_array().unwrap().is_empty()
    })
    .await;
    // Calls under /_sim are no calls to AWS.
    let counts = aws.sim(Method::GET, "calls", "").await.ok().json();
    let services = counts.as_array().unwrap().iter();
    assert!(
        services
            .into_iter()
            .all(|count| count["service"] == "elasticloadbalancing")
    );
    aws.simulator.stop().await;
}
