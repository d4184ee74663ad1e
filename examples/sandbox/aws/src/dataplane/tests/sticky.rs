//! Cookies that bind clients to groups and targets.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use serde_json::json;

use super::control::{control, post};
use super::shop;
use super::world::{
    Got, World, account, add_balancer, add_group, add_listener, balancer_arn, eventually, forward,
    group_arn, register, send, serve, set_rule,
};
use crate::state::{ActionKind, HealthState, Protocol, Stickiness};

/// The cookies that an answer sets, as a browser sends them back.
pub(super) fn cookies(got: &Got) -> String {
    let set = got.headers.get_all("set-cookie").iter();
    let pairs: Vec<&str> = set
        .map(|line| line.to_str().unwrap().split(';').next().unwrap())
        .collect();
    pairs.join("; ")
}

pub(super) async fn get(world: &World, path: &str, cookie: &str) -> Got {
    let socket = world.endpoint(80).await.socket;
    let request = Request::get(path).header("cookie", cookie);
    send(socket, request.body(Body::empty()).unwrap()).await
}

pub(super) fn name(got: &Got) -> &str {
    assert_eq!(got.status, 200, "{got:?}");
    got.body.lines().next().unwrap()
}

#[tokio::test]
async fn a_client_stays_with_its_target_while_that_is_healthy() {
    let (one, two) = (serve("one").await, serve("two").await);
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    register(&mut state, "shop", "10.0.48.12");
    let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
    for (key, value) in [
        ("stickiness.enabled", "true"),
        ("stickiness.lb_cookie.duration_seconds", "60"),
    ] {
        group.attributes.insert(key.to_owned(), value.to_owned());
    }
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(one.socket)).unwrap();
    addresses.set("10.0.48.12:8080", Some(two.socket)).unwrap();
    let healthy = |id: &str| world.health("shop", id).state == HealthState::Healthy;
    let both = || healthy("10.0.48.11") && healthy("10.0.48.12");
    eventually("healthy", both).await;

    let first = world.get(80, "/shop").await;
    let set: Vec<&str> = first
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|line| line.to_str().unwrap())
        .collect();
    assert!(set[0].starts_with("AWSALB="), "{set:?}");
    assert!(set[1].starts_with("AWSALBCORS="), "{set:?}");
    assert_eq!(set.len(), 2);
    let cookie = cookies(&first);
    for _ in 0..4 {
        let again = get(&world, "/shop", &cookie).await;
        assert_eq!(name(&again), name(&first));
        assert_eq!(again.headers.get_all("set-cookie").iter().count(), 2);
    }
    let forged = get(&world, "/shop", "AWSALB=abc").await;
    assert_ne!(name(&forged), name(&first), "its turn");

    // Simulated time ends the stickiness.
    world.state.forward(Duration::from_secs(61));
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(name(&get(&world, "/shop", &cookie).await).to_owned());
    }
    seen.sort_unstable();
    assert_eq!(seen, ["one", "two"]);

    let bound = world.get(80, "/shop").await;
    let (id, other) = if name(&bound) == "one" {
        ("10.0.48.11:8080", "two")
    } else {
        ("10.0.48.12:8080", "one")
    };
    let control = control(&world).await;
    let sick = json!({"target_group": group_arn("shop"), "target": id, "state": "unhealthy"});
    assert_eq!(post(control, "/_sim/health", &sick).await.status, 204);
    let moved = get(&world, "/shop", &cookies(&bound)).await;
    assert_eq!(name(&moved), other);
    let stays = get(&world, "/shop", &cookies(&moved)).await;
    assert_eq!(name(&stays), other);
}

#[tokio::test]
async fn a_client_stays_with_its_group_whatever_its_weight_becomes() {
    let (one, two) = (serve("one").await, serve("two").await);
    let mut state = account();
    add_balancer(&mut state, "web");
    add_listener(&mut state, "web", 80, Protocol::Http);
    for (name, id) in [("blue", "10.0.48.11"), ("green", "10.0.48.12")] {
        add_group(&mut state, name, "web", 80);
        register(&mut state, name, id);
    }
    let split = |blue, green, enabled| {
        let mut action = forward(&[("blue", blue), ("green", green)]);
        if let ActionKind::Forward(forward) = &mut action.kind {
            forward.stickiness = Stickiness {
                enabled,
                duration_seconds: Some(60),
            };
        }
        (1, "/*", action)
    };
    set_rule(&mut state, "web", 80, split(1, 0, true));
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(one.socket)).unwrap();
    addresses.set("10.0.48.12:8080", Some(two.socket)).unwrap();

    let first = world.get(80, "/").await;
    assert_eq!(name(&first), "one");
    let cookie = cookies(&first);
    assert!(cookie.starts_with("AWSALBTG="), "{cookie}");
    assert!(cookie.contains("; AWSALBTGCORS="), "{cookie}");

    world.change(|state| set_rule(state, "web", 80, split(0, 1, true)));
    assert_eq!(name(&get(&world, "/", &cookie).await), "one");
    assert_eq!(name(&world.get(80, "/").await), "two");
    let control = control(&world).await;
    let asked = json!({"listener": balancer_arn("web"), "headers": {"cookie": cookie}});
    let told = post(control, "/_sim/request", &asked).await.body;
    assert!(
        told.contains("the cookie AWSALBTG of the client names it"),
        "{told}"
    );

    world.change(|state| set_rule(state, "web", 80, split(0, 1, false)));
    let got = get(&world, "/", &cookie).await;
    assert_eq!(name(&got), "two");
    assert_eq!(cookies(&got), "");
}
