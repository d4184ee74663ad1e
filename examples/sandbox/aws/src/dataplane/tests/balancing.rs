//! How a group's targets share requests: algorithms, slow start, zones,
//! thresholds of health, and what nodes hear late.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::control::{control, post};
use super::shop;
use super::sticky::{cookies, get, name};
use super::world::{
    Server, World, balancer_arn, eventually, forward, group_arn, key, listener_arn, register, send,
    serve, set_rule,
};
use crate::dataplane::{tls, zones};
use crate::state::lag::{Call, Lag, Setting};
use crate::state::{Answer, HealthState, ProbeFailure, Probed, State};

fn attribute(state: &mut State, key: &str, value: &str) {
    let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
    group.attributes.insert(key.to_owned(), value.to_owned());
}

/// Puts the load balancer in two zones, with one target in the first and two in
/// the second.
fn zoned(state: &mut State) {
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    for zone in ["us-east-1a", "us-east-1b"] {
        balancer.subnets.insert(zone.to_owned(), String::new());
    }
    for (id, zone) in [
        ("10.9.0.1", "us-east-1a"),
        ("10.9.1.1", "us-east-1b"),
        ("10.9.1.2", "us-east-1b"),
    ] {
        register(state, "shop", id);
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        let target = group.targets.get_mut(&key(id)).unwrap();
        target.availability_zone = Some(zone.to_owned());
        target.probed = Probed::Healthy;
        target.held = true;
    }
}

fn sicken(state: &mut State, id: &str) {
    let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
    let target = group.targets.get_mut(&key(id)).unwrap();
    target.probed = Probed::Unhealthy(ProbeFailure::Timeout);
}

/// How often each target is chosen in some requests, and why the last was.
async fn chosen(world: &World, asked: Value, times: usize) -> (BTreeMap<String, usize>, String) {
    let control = control(world).await;
    let mut found = BTreeMap::new();
    let mut why = String::new();
    for _ in 0..times {
        let got = post(control, "/_sim/request", &asked).await;
        assert_eq!(got.status, 200, "{got:?}");
        let told: Value = serde_json::from_str(&got.body).unwrap();
        let target = &told["trace"]["target"];
        let id = target["target"].as_str().unwrap_or("none").to_owned();
        *found.entry(id).or_default() += 1;
        let told = target["why"].as_str().or(told["trace"]["reason"].as_str());
        told.unwrap_or_default().clone_into(&mut why);
    }
    (found, why)
}

#[tokio::test]
async fn the_fewest_outstanding_requests_decide() {
    let (one, two) = (serve("one").await, serve("two").await);
    let mut state = shop();
    set_rule(&mut state, "web", 80, (6, "/slow", forward(&[("shop", 1)])));
    attribute(
        &mut state,
        "load_balancing.algorithm.type",
        "least_outstanding_requests",
    );
    register(&mut state, "shop", "10.0.48.11");
    register(&mut state, "shop", "10.0.48.12");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(one.socket)).unwrap();
    addresses.set("10.0.48.12:8080", Some(two.socket)).unwrap();
    let healthy = |id: &str| world.health("shop", id).state == HealthState::Healthy;
    eventually("healthy", || healthy("10.0.48.11") && healthy("10.0.48.12")).await;

    let socket = world.endpoint(80).await.socket;
    let slow = Request::get("/slow").body(Body::empty()).unwrap();
    let slow = tokio::spawn(send(socket, slow));
    let count = |server: &Server| server.requests.load(Ordering::SeqCst);
    eventually("the slow request at a target", || {
        count(&one) + count(&two) == 1
    })
    .await;
    let (busy, idle) = if count(&one) == 1 {
        (&one, "two")
    } else {
        (&two, "one")
    };
    for _ in 0..4 {
        assert_eq!(name(&world.get(80, "/shop").await), idle);
    }
    let (_, why) = chosen(&world, json!({"listener": "web", "path": "/shop"}), 1).await;
    assert!(why.starts_with("fewest requests outstanding, 0,"), "{why}");
    busy.go_on.add_permits(1);
    assert_eq!(slow.await.unwrap().status, 200);
    let mut both = Vec::new();
    for _ in 0..2 {
        both.push(name(&world.get(80, "/shop").await).to_owned());
    }
    both.sort_unstable();
    assert_eq!(both, ["one", "two"], "the same load: by turns");
}

#[tokio::test]
async fn nodes_keep_to_their_zone_without_cross_zone() {
    let mut state = shop();
    zoned(&mut state);
    let world = World::of(state);
    let in_zone = |zone: &str| json!({"listener": "web", "path": "/shop", "zone": zone});
    let (found, why) = chosen(&world, in_zone("us-east-1a"), 6).await;
    assert_eq!(
        found.len(),
        3,
        "an Application Load Balancer uses all zones"
    );
    assert_eq!(why, "its turn among 3 that are healthy");

    world.change(|state| attribute(state, "load_balancing.cross_zone.enabled", "false"));
    let (found, why) = chosen(&world, in_zone("us-east-1a"), 3).await;
    assert_eq!(found, [("10.9.0.1:8080".to_owned(), 3)].into());
    assert_eq!(why, "its turn among 1 in us-east-1a that are healthy");
    let (found, _) = chosen(&world, in_zone("us-east-1b"), 4).await;
    assert_eq!(found.values().copied().collect::<Vec<_>>(), [2, 2]);

    // The only one there is unhealthy: this node fails open, the other does not.
    world.change(|state| sicken(state, "10.9.0.1"));
    let (found, why) = chosen(&world, in_zone("us-east-1a"), 1).await;
    assert_eq!(found, [("10.9.0.1:8080".to_owned(), 1)].into());
    assert!(why.contains("fails open"), "{why}");
    // DNS names the other one only.
    let anywhere = json!({"listener": "web", "path": "/shop"});
    let (found, _) = chosen(&world, anywhere.clone(), 12).await;
    assert_eq!(found.values().copied().collect::<Vec<_>>(), [6, 6]);
    let in_dns = |world: &World| {
        world.state.read(|state| {
            let balancer = &state.load_balancers[&balancer_arn("web")];
            zones::in_dns(state, balancer, Timestamp::now())
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(in_dns(&world), ["us-east-1b"]);

    // Nobody there at all: the node has nothing to send to.
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        group.targets.remove(&key("10.9.0.1"));
    });
    let (found, why) = chosen(&world, in_zone("us-east-1a"), 1).await;
    assert_eq!(found, [("none".to_owned(), 1)].into());
    assert!(why.contains("sends to no other zone"), "{why}");

    // All zones bad: DNS names all of them.
    world.change(|state| {
        sicken(state, "10.9.1.1");
        sicken(state, "10.9.1.2");
    });
    assert_eq!(in_dns(&world), ["us-east-1a", "us-east-1b"]);
    let wrong = json!({"listener": "web", "zone": "us-east-1c"});
    let got = post(control(&world).await, "/_sim/request", &wrong).await;
    assert_eq!(got.status, 400);
    assert!(
        got.body.contains("one of us-east-1a, us-east-1b"),
        "{got:?}"
    );
}

#[tokio::test]
async fn thresholds_decide_when_it_fails_open() {
    let mut state = shop();
    zoned(&mut state);
    sicken(&mut state, "10.9.0.1");
    let world = World::of(state);
    let asked = json!({"listener": "web", "path": "/shop"});
    let (found, _) = chosen(&world, asked.clone(), 6).await;
    assert_eq!(found.len(), 2, "one healthy target is enough");
    let routing = "target_group_health.unhealthy_state_routing.minimum_healthy_targets";
    world.change(|state| attribute(state, &format!("{routing}.count"), "3"));
    let (found, why) = chosen(&world, asked.clone(), 6).await;
    assert_eq!(found.len(), 3);
    assert!(why.contains("2 are healthy, fewer than 3"), "{why}");
    world.change(|state| {
        attribute(state, &format!("{routing}.count"), "1");
        attribute(state, &format!("{routing}.percentage"), "66");
    });
    let (found, _) = chosen(&world, asked.clone(), 6).await;
    assert_eq!(found.len(), 2, "66 % of three are two");
    world.change(|state| attribute(state, &format!("{routing}.percentage"), "67"));
    let (found, _) = chosen(&world, asked, 6).await;
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn an_application_binds_its_clients() {
    let (one, two) = (serve("one").await, serve("two").await);
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    register(&mut state, "shop", "10.0.48.12");
    for (key, value) in [
        ("stickiness.enabled", "true"),
        ("stickiness.type", "app_cookie"),
        ("stickiness.app_cookie.cookie_name", "session"),
        ("stickiness.app_cookie.duration_seconds", "60"),
    ] {
        attribute(&mut state, key, value);
    }
    let rule = (4, "/shop/split", forward(&[("shop", 1), ("shop", 1)]));
    set_rule(&mut state, "web", 80, rule);
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(one.socket)).unwrap();
    addresses.set("10.0.48.12:8080", Some(two.socket)).unwrap();
    let healthy = |id: &str| world.health("shop", id).state == HealthState::Healthy;
    eventually("healthy", || healthy("10.0.48.11") && healthy("10.0.48.12")).await;

    let plain = world.get(80, "/shop").await;
    assert_eq!(cookies(&plain), "", "the application has set none");
    let first = world.get(80, "/shop?set-cookie=session%3D7").await;
    let bound = cookies(&first);
    assert!(bound.starts_with("session=7; AWSALBAPP-0="), "{bound}");
    assert!(!bound.contains("CORS"), "{bound}");
    for _ in 0..3 {
        let again = get(&world, "/shop", &bound).await;
        assert_eq!(name(&again), name(&first));
    }
    let (alone, _) = bound.split_once("; ").unwrap();
    for half in [alone, bound.split_once("; ").unwrap().1] {
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.push(name(&get(&world, "/shop", half).await).to_owned());
        }
        seen.sort_unstable();
        assert_eq!(seen, ["one", "two"], "{half} alone binds nobody");
    }
    let split = world.get(80, "/shop/split?set-cookie=session%3D7").await;
    assert_eq!(cookies(&split), "session=7", "not among several groups");
    world.state.forward(Duration::from_secs(61));
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(name(&get(&world, "/shop", &bound).await).to_owned());
    }
    seen.sort_unstable();
    assert_eq!(seen, ["one", "two"], "its time is over");
}

#[tokio::test]
async fn nodes_hear_of_a_target_later() {
    let mut state = shop();
    register(&mut state, "shop", "10.9.0.1");
    let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
    let target = group.targets.get_mut(&key("10.9.0.1")).unwrap();
    target.announced = false;
    let world = World::of(state);
    let asked = json!({"listener": "web", "path": "/shop"});
    let health = world.health("shop", "10.9.0.1");
    assert_eq!(health.reason, Some("Elb.RegistrationInProgress"));
    let (found, _) = chosen(&world, asked.clone(), 1).await;
    assert_eq!(found, [("none".to_owned(), 1)].into());
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        group.targets.get_mut(&key("10.9.0.1")).unwrap().announced = true;
    });
    let (found, _) = chosen(&world, asked, 1).await;
    assert_eq!(found, [("10.9.0.1:8080".to_owned(), 1)].into());
}

/// Carries out a change of the listener as a call of the API.
fn change(world: &World, action: &str, mut change: impl FnMut(&mut State)) {
    world.state.write(|state, now| {
        let named = json!({ "ListenerArn": listener_arn("web", 80) });
        let call = Call::new("elasticloadbalancing", action, &named, false);
        state.with_lags(&call, now, |state| {
            change(state);
            Some(Answer::Ok(()))
        });
    });
}

#[tokio::test]
async fn nodes_hear_of_rules_and_listeners_later() {
    let mut state = shop();
    let setting = Setting {
        ms: 60_000,
        probability: 1.0,
    };
    state.lags.settings.insert(Lag::ChangeListener, setting);
    let world = World::of(state);
    assert_eq!(world.get(80, "/new").await.status, 404);
    change(&world, "CreateRule", |state| {
        set_rule(state, "web", 80, (1, "/new", super::world::fixed(200, "a")));
    });
    change(&world, "CreateListener", |state| {
        super::world::add_listener(state, "web", 8082, crate::state::Protocol::Http);
    });
    assert_eq!(world.get(80, "/new").await.status, 404, "not yet");
    world.state.forward(Duration::from_secs(30));
    change(&world, "ModifyRule", |state| {
        set_rule(state, "web", 80, (1, "/new", super::world::fixed(201, "b")));
    });
    world.state.forward(Duration::from_secs(31));
    assert_eq!(world.get(80, "/new").await.status, 200, "one by one");
    assert_eq!(world.get(8082, "/").await.status, 404);
    world.state.forward(Duration::from_secs(30));
    assert_eq!(world.get(80, "/new").await.status, 201);

    change(&world, "DeleteListener", |state| {
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        balancer.listeners.remove(&80);
    });
    assert_eq!(world.get(80, "/new").await.status, 201, "still open");
    let speaks_tls = world
        .state
        .read(|state| tls::server(state, &listener_arn("web", 80)).is_ok());
    assert!(speaks_tls, "handshakes go by the same listener");
    world.state.forward(Duration::from_secs(61));
    let closed = || world.plane.endpoints().iter().all(|it| it.port != 80);
    eventually("the listener closed", closed).await;
}
