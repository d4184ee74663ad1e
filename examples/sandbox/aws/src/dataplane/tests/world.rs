//! An account, its data plane, targets that answer, and a client.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use hyper::server::conn::http1;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::dataplane::{Endpoint, Plane};
use crate::state::{
    Action, ActionKind, Condition, FixedResponse, Forward, HealthCheck, Listener, LoadBalancer,
    LoadBalancerKind, LoadBalancerState, Matcher, Patterns, Probed, Protocol, Rule, Scheme,
    Stickiness, Target, TargetGroup, TargetHealth, TargetKey, TargetType, WeightedTargetGroup,
};
use crate::{SharedState, State, Timing};

const PREFIX: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012";

/// ARN of the load balancer `name`.
pub(crate) fn balancer_arn(name: &str) -> String {
    format!("{PREFIX}:loadbalancer/app/{name}/50dc6c495c0c9188")
}

/// ARN of the listener of the load balancer `name` on `port`.
pub(crate) fn listener_arn(name: &str, port: u16) -> String {
    format!("{PREFIX}:listener/app/{name}/50dc6c495c0c9188/{port:016x}")
}

/// ARN of the target group `name`.
pub(crate) fn group_arn(name: &str) -> String {
    format!("{PREFIX}:targetgroup/{name}/6d0ecf831eec9f09")
}

/// An empty account whose health checks run 200 times as fast as configured.
pub(crate) fn account() -> State {
    let timing = Timing {
        first_health_ms: 0,
        health_scale: 0.005,
        ..Timing::default()
    };
    State::new("123456789012", "us-east-1", timing)
}

/// Adds an active load balancer without listeners.
pub(crate) fn add_balancer(state: &mut State, name: &str) {
    let balancer = LoadBalancer {
        arn: balancer_arn(name),
        kind: LoadBalancerKind::Application,
        name: name.to_owned(),
        dns_name: format!("{name}-1234567890.us-east-1.elb.amazonaws.com"),
        canonical_hosted_zone_id: "Z35SXDOTRQ7X7K".to_owned(),
        created: Timestamp::UNIX_EPOCH,
        scheme: Scheme::Internal,
        vpc_id: "vpc-1".to_owned(),
        state: LoadBalancerState::Active,
        subnets: BTreeMap::new(),
        addresses: BTreeMap::new(),
        security_groups: BTreeSet::new(),
        private_link_rules: true,
        ip_address_type: "ipv4".to_owned(),
        source_nat: false,
        customer_owned_pool: None,
        ipam_pool: None,
        attributes: BTreeMap::new(),
        capacity: None,
        capacity_decreases: Vec::new(),
        listeners: BTreeMap::new(),
    };
    state.load_balancers.insert(balancer.arn.clone(), balancer);
}

/// Adds a listener whose default answer is a 404.
pub(crate) fn add_listener(state: &mut State, balancer: &str, port: u16, protocol: Protocol) {
    let listener = Listener {
        arn: listener_arn(balancer, port),
        load_balancer_arn: balancer_arn(balancer),
        port,
        protocol,
        ssl_policy: None,
        certificate: None,
        sni_certificates: BTreeSet::new(),
        alpn_policy: None,
        mutual_authentication: None,
        default_actions: vec![fixed(404, "nothing here")],
        default_rule_arn: String::new(),
        attributes: BTreeMap::new(),
        rules: BTreeMap::new(),
    };
    let balancer = state.load_balancers.get_mut(&balancer_arn(balancer));
    balancer.unwrap().listeners.insert(port, listener);
}

/// Sets the rule with this priority; it matches requests for `path`.
pub(crate) fn set_rule(state: &mut State, balancer: &str, port: u16, rule: (u32, &str, Action)) {
    let (priority, path, action) = rule;
    let rule = Rule {
        arn: String::new(),
        conditions: vec![Condition::PathPattern(Patterns::Wildcards(vec![
            path.to_owned(),
        ]))],
        actions: vec![action],
        transforms: Vec::new(),
    };
    let balancer = state.load_balancers.get_mut(&balancer_arn(balancer));
    let listener = balancer.unwrap().listeners.get_mut(&port).unwrap();
    listener.rules.insert(priority, rule);
}

/// Adds a target group that the listener of `balancer` on `port` refers to.
pub(crate) fn add_group(state: &mut State, name: &str, balancer: &str, port: u16) {
    let group = TargetGroup {
        arn: group_arn(name),
        name: name.to_owned(),
        protocol: Some(Protocol::Http),
        port: Some(80),
        protocol_version: Some("HTTP1".to_owned()),
        vpc_id: Some("vpc-1".to_owned()),
        target_type: TargetType::Ip,
        ip_address_type: "ipv4".to_owned(),
        target_control_port: None,
        health_check: HealthCheck {
            enabled: true,
            protocol: Protocol::Http,
            port: None,
            path: Some("/healthz".to_owned()),
            interval_seconds: 15,
            timeout_seconds: 5,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            matcher: Some(Matcher::Http("200".to_owned())),
        },
        attributes: BTreeMap::new(),
        references: BTreeSet::from([listener_arn(balancer, port)]),
        targets: BTreeMap::new(),
    };
    state.target_groups.insert(group.arn.clone(), group);
}

/// The target with this address on port 8080.
pub(crate) fn key(id: &str) -> TargetKey {
    TargetKey {
        id: id.to_owned(),
        port: 8080,
    }
}

/// Registers a target.
pub(crate) fn register(state: &mut State, group: &str, id: &str) {
    let target = Target {
        availability_zone: None,
        quic_server_id: None,
        registered: Timestamp::UNIX_EPOCH,
        announced: true,
        slow_start: None,
        probed: Probed::Registering,
        settles: None,
        streak: 0,
        held: false,
        draining_until: None,
        served_until: None,
    };
    let group = state.target_groups.get_mut(&group_arn(group)).unwrap();
    group.targets.insert(key(id), target);
}

/// An action that answers by itself.
pub(crate) fn fixed(status: u16, body: &str) -> Action {
    Action {
        order: None,
        kind: ActionKind::FixedResponse(FixedResponse {
            status,
            body: Some(body.to_owned()),
            content_type: Some("text/plain".to_owned()),
        }),
    }
}

/// An action that forwards to groups by weight.
pub(crate) fn forward(groups: &[(&str, u32)]) -> Action {
    Action {
        order: None,
        kind: ActionKind::Forward(Forward {
            target_groups: groups
                .iter()
                .map(|&(name, weight)| WeightedTargetGroup {
                    arn: group_arn(name),
                    weight,
                })
                .collect(),
            stickiness: Stickiness::default(),
        }),
    }
}

/// An account with its data plane.
pub(crate) struct World {
    pub(crate) state: SharedState,
    pub(crate) plane: Plane,
}

impl World {
    /// Serves an account.
    pub(crate) fn of(state: State) -> Self {
        let state = SharedState::new(state);
        let plane = Plane::start(state.clone());
        Self { state, plane }
    }

    /// Changes the account.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.write(|state, _| change(state));
    }

    /// The socket of a listener, once it is open.
    pub(crate) async fn endpoint(&self, port: u16) -> Endpoint {
        let find = || {
            self.plane
                .endpoints()
                .into_iter()
                .find(|it| it.port == port)
        };
        eventually("a socket for the listener", || find().is_some()).await;
        find().unwrap()
    }

    /// What a `GET` of `path` on the listener gives.
    pub(crate) async fn get(&self, port: u16, path: &str) -> Got {
        let socket = self.endpoint(port).await.socket;
        send(socket, Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// The health that the API would tell.
    pub(crate) fn health(&self, group: &str, id: &str) -> TargetHealth {
        self.state
            .read(|state| state.target_health(&state.target_groups[&group_arn(group)], &key(id)))
    }
}

/// An answer that has been read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Sends a request for `shop.example.com` to a socket.
pub(crate) async fn send(socket: SocketAddr, request: Request) -> Got {
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("http://{socket}{}", parts.uri).parse().unwrap();
    let host = "shop.example.com:20080".parse().unwrap();
    parts.headers.insert("host", host);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(Request::from_parts(parts, body)).await;
    let (parts, body) = answer.unwrap().into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
    Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// Waits until `so` is true; fails after a long while.
pub(crate) async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1_500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("did not come: {what}");
}

/// A target that answers.
pub(crate) struct Server {
    pub(crate) socket: SocketAddr,
    /// Status of `/healthz`.
    pub(crate) health: Arc<AtomicU16>,
    /// Requests other than health checks.
    pub(crate) requests: Arc<AtomicUsize>,
    /// Let one slow request go on.
    pub(crate) go_on: Arc<tokio::sync::Semaphore>,
}

/// Starts a target that says its name, the request and its body. `/slow` waits
/// before it answers, `/slow-body` after the first part of its answer. The query
/// `set-cookie=NAME%3DVALUE` makes it set a cookie.
pub(crate) async fn serve(name: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        socket: listener.local_addr().unwrap(),
        health: Arc::new(AtomicU16::new(200)),
        requests: Arc::default(),
        go_on: Arc::new(tokio::sync::Semaphore::new(0)),
    };
    let (health, requests) = (server.health.clone(), server.requests.clone());
    let go_on = server.go_on.clone();
    let answer = move |request: Request| {
        let (health, requests, go_on) = (health.clone(), requests.clone(), go_on.clone());
        async move { echo(name, &health, &requests, &go_on, request).await }
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move {
        // HTTP/1 alone: what `axum::serve` speaks depends on the features that
        // others ask of it.
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::spawn(connection);
        }
    });
    server
}

async fn echo(
    name: &str,
    health: &AtomicU16,
    requests: &AtomicUsize,
    go_on: &tokio::sync::Semaphore,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/healthz" {
        assert_eq!(parts.headers["user-agent"], "ELB-HealthChecker/2.0");
        let status = StatusCode::from_u16(health.load(Ordering::SeqCst)).unwrap();
        return status.into_response();
    }
    requests.fetch_add(1, Ordering::SeqCst);
    match parts.uri.path() {
        "/slow" => go_on.acquire().await.unwrap().forget(),
        "/slow-body" => {
            let first = stream::once(async { Ok::<_, std::io::Error>("first part") });
            return Body::from_stream(first.chain(stream::pending())).into_response();
        }
        _ => {}
    }
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let body = String::from_utf8_lossy(&body);
    let mut lines = vec![name.to_owned(), format!("{} {}", parts.method, parts.uri)];
    lines.extend(
        parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())),
    );
    lines.push(body.into_owned());
    let hop = [("connection", "x-hop"), ("x-hop", "1")];
    let mut answer = (hop, lines.join("\n")).into_response();
    if let Some((_, cookie)) = parts
        .uri
        .query()
        .and_then(|it| it.split_once("set-cookie="))
    {
        let cookie = cookie.replace("%3D", "=");
        let headers = answer.headers_mut();
        headers.append("set-cookie", cookie.parse().unwrap());
    }
    answer
}
