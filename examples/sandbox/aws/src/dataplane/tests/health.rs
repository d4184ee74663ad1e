//! Health checks and draining.

use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::control::{control, post};
use super::shop;
use super::world::{World, eventually, forward, group_arn, key, register, serve, set_rule};
use crate::state::HealthState;

#[tokio::test]
async fn health_turns_and_turns_back() {
    let (one, two) = (serve("one").await, serve("two").await);
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    register(&mut state, "shop", "10.0.48.12");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(one.socket)).unwrap();
    addresses.set("10.0.48.12:8080", Some(two.socket)).unwrap();
    let is = |id: &'static str, state| {
        let world = &world;
        move || world.health("shop", id).state == state
    };
    eventually("first healthy", is("10.0.48.11", HealthState::Healthy)).await;
    eventually("second healthy", is("10.0.48.12", HealthState::Healthy)).await;

    one.health.store(500, Ordering::SeqCst);
    eventually("unhealthy", is("10.0.48.11", HealthState::Unhealthy)).await;
    let health = world.health("shop", "10.0.48.11");
    assert_eq!(health.reason, Some("Target.ResponseCodeMismatch"));
    assert_eq!(
        health.description.as_deref(),
        Some("Health checks failed with these codes: [500]")
    );
    for _ in 0..4 {
        assert_eq!(world.get(80, "/shop").await.status, 200);
    }
    assert_eq!(one.requests.load(Ordering::SeqCst), 0);
    assert_eq!(two.requests.load(Ordering::SeqCst), 4);

    // Both unhealthy: the load balancer uses them all the same.
    addresses.set("10.0.48.12:8080", None).unwrap();
    eventually("refused", is("10.0.48.12", HealthState::Unhealthy)).await;
    let health = world.health("shop", "10.0.48.12");
    assert_eq!(health.reason, Some("Target.FailedHealthChecks"));
    let mut statuses = [
        world.get(80, "/shop").await.status,
        world.get(80, "/shop").await.status,
    ];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);

    one.health.store(200, Ordering::SeqCst);
    eventually("healthy again", is("10.0.48.11", HealthState::Healthy)).await;
    addresses.set("10.0.48.12:8080", Some(two.socket)).unwrap();
    eventually("healthy too", is("10.0.48.12", HealthState::Healthy)).await;
}

#[tokio::test]
async fn health_is_held_until_it_is_let_go() {
    let (one, two) = (serve("one").await, serve("two").await);
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    register(&mut state, "shop", "10.0.48.12");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(one.socket)).unwrap();
    addresses.set("10.0.48.12:8080", Some(two.socket)).unwrap();
    let is = |id: &'static str, state| {
        let world = &world;
        move || world.health("shop", id).state == state
    };
    eventually("first healthy", is("10.0.48.11", HealthState::Healthy)).await;
    eventually("second healthy", is("10.0.48.12", HealthState::Healthy)).await;

    let control = control(&world).await;
    let force = |state: serde_json::Value| async move {
        let target = "10.0.48.11:8080";
        let forced = json!({"target_group": group_arn("shop"), "target": target, "state": state});
        let got = post(control, "/_sim/health", &forced).await;
        assert_eq!(got.status, 204, "{got:?}");
    };
    force(json!("unhealthy")).await;
    let health = world.health("shop", "10.0.48.11");
    assert_eq!(health.state, HealthState::Unhealthy);
    assert_eq!(health.reason, Some("Target.FailedHealthChecks"));
    // Longer than the probes need to find it healthy.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(
        world.health("shop", "10.0.48.11").state,
        HealthState::Unhealthy
    );
    for _ in 0..3 {
        assert_eq!(world.get(80, "/shop").await.status, 200);
    }
    assert_eq!(one.requests.load(Ordering::SeqCst), 0);
    force(json!(null)).await;
    eventually("healthy again", is("10.0.48.11", HealthState::Healthy)).await;

    one.health.store(500, Ordering::SeqCst);
    force(json!("healthy")).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(
        world.health("shop", "10.0.48.11").state,
        HealthState::Healthy
    );
    force(json!(null)).await;
    eventually("unhealthy", is("10.0.48.11", HealthState::Unhealthy)).await;

    let shop = group_arn("shop");
    for (forced, expected) in [
        (
            json!({"target_group": shop, "target": "10.0.48.11:8080"}),
            "expected {",
        ),
        (
            json!({"target_group": shop, "target": "10.0.48.11", "state": null}),
            "is no target",
        ),
        (
            json!({"target_group": shop, "target": "10.0.48.11:80", "state": null}),
            "which has: 10.0.48.11:8080, 10.0.48.12:8080",
        ),
        (
            json!({"target_group": "shop", "target": "10.0.48.11:8080", "state": null}),
            "there is no target group 'shop'",
        ),
        (
            json!({"target_group": shop, "target": "10.0.48.11:8080", "state": "sick"}),
            "expected {",
        ),
    ] {
        let got = post(control, "/_sim/health", &forced).await;
        assert_eq!(got.status, 400, "{forced}");
        assert!(got.body.contains(expected), "{forced}: {}", got.body);
    }
}

#[tokio::test]
async fn a_target_that_nobody_uses_is_not_probed() {
    let server = serve("one").await;
    server.health.store(500, Ordering::SeqCst);
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let health = || world.health("shop", "10.0.48.11").state;
    eventually("unhealthy", || health() == HealthState::Unhealthy).await;
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        group.references.clear();
    });
    assert_eq!(health(), HealthState::Unused);
    assert_eq!(world.get(80, "/shop").await.status, 503);
}

/// Starts a request to `/slow`, waits until the target has it, and begins to
/// drain that target.
async fn drain_with_one_in_flight() -> (World, super::world::Server, Slow) {
    let server = serve("one").await;
    let mut state = shop();
    set_rule(&mut state, "web", 80, (6, "/slow", forward(&[("shop", 1)])));
    register(&mut state, "shop", "10.0.48.11");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let socket = world.endpoint(80).await.socket;
    let request = axum::extract::Request::get("/slow");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let slow = tokio::spawn(super::world::send(socket, request));
    let arrived = || server.requests.load(Ordering::SeqCst) == 1;
    eventually("the request at the target", arrived).await;
    let until = Timestamp::now() + SignedDuration::from_hours(1);
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        let target = group.targets.get_mut(&key("10.0.48.11")).unwrap();
        target.draining_until = Some(until);
    });
    (world, server, slow)
}

type Slow = tokio::task::JoinHandle<super::world::Got>;

#[tokio::test]
async fn a_draining_target_finishes_what_it_has() {
    let (world, server, slow) = drain_with_one_in_flight().await;
    assert_eq!(world.get(80, "/shop").await.status, 503);
    server.go_on.add_permits(1);
    assert_eq!(slow.await.unwrap().status, 200);
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_outlasts_the_draining_is_cut() {
    let (world, _server, slow) = drain_with_one_in_flight().await;
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        group.targets.clear();
    });
    assert_eq!(slow.await.unwrap().status, 502);
}

#[tokio::test]
async fn an_answer_that_outlasts_the_draining_breaks_off() {
    let server = serve("one").await;
    let mut state = shop();
    let rule = (6, "/slow-body", forward(&[("shop", 1)]));
    set_rule(&mut state, "web", 80, rule);
    register(&mut state, "shop", "10.0.48.11");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let socket = world.endpoint(80).await.socket;
    let mut client = TcpStream::connect(socket).await.unwrap();
    let ask = b"GET /slow-body HTTP/1.1\r\nHost: a.b\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"first part\r\n") {
        got.push(client.read_u8().await.unwrap());
    }
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        group.targets.clear();
    });
    let mut rest = Vec::new();
    // Closed or reset, but not ended as a whole answer ends.
    let _ = client.read_to_end(&mut rest).await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
}
