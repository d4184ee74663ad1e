//! The data plane through real sockets.
#![allow(clippy::unwrap_used, clippy::panic)]

mod balancing;
mod bearer;
mod browser;
mod control;
mod health;
mod http2;
mod life;
mod logins;
mod mutual_tls;
mod network;
mod sockets;
mod sticky;
mod wire;
pub(crate) mod world;

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::Request;
use futures::stream;

use self::world::{
    World, account, add_balancer, add_group, add_listener, balancer_arn, eventually, fixed,
    forward, group_arn, register, send, serve, set_rule,
};
use crate::state::{Action, ActionKind, HealthState, Protocol, Redirect};

/// A load balancer `web` with a listener on port 80 and a group `shop` behind `/shop*`.
fn shop() -> crate::State {
    let mut state = account();
    add_balancer(&mut state, "web");
    add_listener(&mut state, "web", 80, Protocol::Http);
    add_group(&mut state, "shop", "web", 80);
    let rule = (5, "/shop*", forward(&[("shop", 1)]));
    set_rule(&mut state, "web", 80, rule);
    state
}

#[tokio::test]
async fn forwards_with_headers_and_body() {
    let server = serve("one").await;
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();

    let socket = world.endpoint(80).await.socket;
    let chunks = stream::iter(["a".repeat(70_000), "b".to_owned()].map(Ok::<_, std::io::Error>));
    let request = Request::post("/shop/cart?x=1%20y")
        .header("x-forwarded-for", "198.51.100.1")
        .header("X-Mine", "kept")
        .header("te", "trailers")
        .body(Body::from_stream(chunks))
        .unwrap();
    let got = send(socket, request).await;
    assert_eq!(got.status, 200, "{got:?}");
    let lines: Vec<&str> = got.body.lines().collect();
    assert_eq!(lines[..2], ["one", "POST /shop/cart?x=1%20y"]);
    for line in [
        "host: shop.example.com",
        "x-forwarded-for: 198.51.100.1, 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-port: 80",
        "x-mine: kept",
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
    assert!(!got.body.contains("\nte: "));
    assert_eq!(lines.last().unwrap().len(), 70_001);
    assert!(!got.headers.contains_key("x-hop"));
}

#[tokio::test]
async fn answers_itself_by_the_rules_of_the_moment() {
    let mut state = shop();
    set_rule(&mut state, "web", 80, (2, "/a*", fixed(418, "second")));
    set_rule(&mut state, "web", 80, (1, "/a", fixed(200, "first")));
    let to_https = Action {
        order: None,
        kind: ActionKind::Redirect(Redirect {
            protocol: "HTTPS".to_owned(),
            port: "443".to_owned(),
            host: "#{host}".to_owned(),
            path: "/#{path}".to_owned(),
            query: "#{query}".to_owned(),
            status: 301,
        }),
    };
    set_rule(&mut state, "web", 80, (3, "/go/*", to_https));
    let world = World::of(state);

    let got = world.get(80, "/a").await;
    assert_eq!((got.status, got.body.as_str()), (200, "first"));
    assert_eq!(got.headers["server"], "awselb/2.0");
    assert_eq!(got.headers["content-type"], "text/plain");
    let got = world.get(80, "/ab").await;
    assert_eq!((got.status, got.body.as_str()), (418, "second"));
    let got = world.get(80, "/A").await;
    assert_eq!((got.status, got.body.as_str()), (404, "nothing here"));
    let got = world.get(80, "/go/there?x=1").await;
    assert_eq!(got.status, 301);
    assert_eq!(
        got.headers["location"],
        "https://shop.example.com:443/go/there?x=1"
    );
    assert_eq!(got.body.len(), 134);

    world.change(|state| set_rule(state, "web", 80, (1, "/a", fixed(503, "changed"))));
    let got = world.get(80, "/a").await;
    assert_eq!((got.status, got.body.as_str()), (503, "changed"));

    let socket = world.endpoint(80).await.socket;
    let trace = Request::builder().method("TRACE").uri("/a");
    let got = send(socket, trace.body(Body::empty()).unwrap()).await;
    assert_eq!(got.status, 405);
}

#[tokio::test]
async fn errors_when_no_target_answers() {
    let world = World::of(shop());
    let got = world.get(80, "/shop").await;
    assert_eq!(got.status, 503, "no target is registered");
    assert!(got.body.contains("503 Service Temporarily Unavailable"));

    world.change(|state| register(state, "shop", "10.0.48.11"));
    let got = world.get(80, "/shop").await;
    assert_eq!(got.status, 502, "the target has no address");

    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = gone.local_addr().unwrap();
    drop(gone);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(socket)).unwrap();
    let got = world.get(80, "/shop").await;
    assert_eq!(got.status, 502, "the target refuses");

    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = mute.local_addr().unwrap();
    addresses.set("10.0.48.11:8080", Some(socket)).unwrap();
    let hang_up = tokio::spawn(async move {
        loop {
            drop(mute.accept().await);
        }
    });
    let got = world.get(80, "/shop").await;
    assert_eq!(got.status, 502, "the target hangs up");
    hang_up.abort();
}

#[tokio::test]
async fn a_silent_target_is_a_timeout() {
    let server = serve("slow").await;
    let mut state = shop();
    set_rule(&mut state, "web", 80, (6, "/slow", forward(&[("shop", 1)])));
    register(&mut state, "shop", "10.0.48.11");
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let idle = "idle_timeout.timeout_seconds".to_owned();
    balancer.attributes.insert(idle, "1".to_owned());
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    assert_eq!(world.get(80, "/slow").await.status, 504);
}

#[tokio::test]
async fn takes_turns_and_keeps_to_weights() {
    let (one, two, other) = (serve("one").await, serve("two").await, serve("other").await);
    let mut state = shop();
    add_group(&mut state, "other", "web", 80);
    register(&mut state, "shop", "10.0.48.11");
    register(&mut state, "shop", "10.0.48.12");
    register(&mut state, "other", "10.0.48.13");
    let rule = (6, "/weighted", forward(&[("shop", 0), ("other", 7)]));
    set_rule(&mut state, "web", 80, rule);
    let rule = (7, "/none", forward(&[("shop", 0), ("other", 0)]));
    set_rule(&mut state, "web", 80, rule);
    let world = World::of(state);
    for (target, server) in [
        ("10.0.48.11:8080", &one),
        ("10.0.48.12:8080", &two),
        ("10.0.48.13:8080", &other),
    ] {
        let addresses = world.plane.addresses();
        addresses.set(target, Some(server.socket)).unwrap();
    }
    for (group, id) in [
        ("shop", "10.0.48.11"),
        ("shop", "10.0.48.12"),
        ("other", "10.0.48.13"),
    ] {
        let healthy = || world.health(group, id).state == HealthState::Healthy;
        eventually("healthy", healthy).await;
    }
    for _ in 0..6 {
        assert_eq!(world.get(80, "/shop").await.status, 200);
        assert_eq!(world.get(80, "/weighted").await.status, 200);
    }
    assert_eq!(world.get(80, "/none").await.status, 503);
    assert_eq!(one.requests.load(Ordering::SeqCst), 3);
    assert_eq!(two.requests.load(Ordering::SeqCst), 3);
    assert_eq!(other.requests.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_group_of_another_protocol_version_is_464() {
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
    group.protocol_version = Some("GRPC".to_owned());
    let world = World::of(state);
    assert_eq!(world.get(80, "/shop").await.status, 464);
}
