//! The life of a load balancer, by the calls of the API: nobody but the data
//! plane lets time go on.

use std::time::Duration;

use super::world::{Server, World, eventually, serve};
use crate::dns;
use crate::state::action::NewAction;
use crate::state::listener::NewListener;
use crate::state::load_balancer::NewLoadBalancer;
use crate::state::registration::NewTarget;
use crate::state::target_group::NewTargetGroup;
use crate::state::target_health_check::NewHealthCheck;
use crate::state::{HealthState, LoadBalancerState, TargetHealth, TargetKey};
use crate::{State, Timing};

/// ARNs of what `made` makes.
struct Made {
    balancer: String,
    group: String,
}

/// An internal load balancer over two zones that forwards all to one target.
fn made(world: &World) -> Made {
    world.state.write(|state, now| {
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let subnets = ["a", "b"].map(|zone| {
            let range = if zone == "a" {
                "10.0.48.0/24"
            } else {
                "10.0.49.0/24"
            };
            let zone = format!("us-east-1{zone}");
            state.create_subnet(&vpc, range, Some(&zone), &[]).unwrap()
        });
        let balancer = NewLoadBalancer {
            name: "web".to_owned(),
            subnets: subnets.to_vec(),
            scheme: Some("internal".to_owned()),
            ..NewLoadBalancer::default()
        };
        let balancer = state.create_load_balancer(balancer, now).unwrap();
        let group = NewTargetGroup {
            name: "shop".to_owned(),
            protocol: Some("HTTP".to_owned()),
            port: Some(80),
            vpc_id: Some(vpc),
            target_type: Some("ip".to_owned()),
            health_check: NewHealthCheck {
                path: Some("/healthz".to_owned()),
                ..NewHealthCheck::default()
            },
            ..NewTargetGroup::default()
        };
        let group = state.create_target_group(&group).unwrap();
        let listener = NewListener {
            load_balancer_arn: balancer.clone(),
            protocol: Some("HTTP".to_owned()),
            port: Some(80),
            default_actions: Some(vec![NewAction {
                kind: "forward".to_owned(),
                target_group_arn: Some(group.clone()),
                ..NewAction::default()
            }]),
            ..NewListener::default()
        };
        state.create_listener(&listener).unwrap();
        let targets = [target()];
        state.register_targets(&group, &targets, now).unwrap();
        Made { balancer, group }
    })
}

fn target() -> NewTarget {
    NewTarget {
        id: "10.0.48.11".to_owned(),
        port: Some(8080),
        ..NewTarget::default()
    }
}

fn health(world: &World, group: &str) -> TargetHealth {
    let key = TargetKey {
        id: "10.0.48.11".to_owned(),
        port: 8080,
    };
    world
        .state
        .read(|state| state.target_health(&state.target_groups[group], &key))
}

async fn started() -> (World, Server, Made) {
    let server = serve("one").await;
    let timing = Timing {
        provisioning_ms: 200,
        draining_ms: Some(60_000),
        deregistration_lag_ms: 20_000,
        health_scale: 0.005,
        ..Timing::default()
    };
    let world = World::of(State::new("123456789012", "us-east-1", timing));
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let made = made(&world);
    (world, server, made)
}

#[tokio::test]
async fn provisioning_active_draining_gone() {
    let (world, _server, made) = started().await;
    let first = health(&world, &made.group);
    assert_eq!(first.state, HealthState::Initial);
    assert_eq!(first.reason, Some("Elb.RegistrationInProgress"));
    let serves = || health(&world, &made.group).state == HealthState::Healthy;
    eventually("a healthy target", serves).await;
    let state = world
        .state
        .read(|state| state.load_balancers[&made.balancer].state);
    assert_eq!(state, LoadBalancerState::Active);
    assert_eq!(world.get(80, "/").await.status, 200);

    let deregister = |state: &mut State, now| {
        let targets = [target()];
        state
            .deregister_targets(&made.group, &targets, now)
            .unwrap();
    };
    world.state.write(deregister);
    assert_eq!(health(&world, &made.group).state, HealthState::Draining);
    // The load balancer has not heard of it yet.
    assert_eq!(world.get(80, "/").await.status, 200);
    // It hears of it 20 s after.
    world.state.forward(Duration::from_secs(21));
    assert_eq!(health(&world, &made.group).state, HealthState::Draining);
    assert_eq!(world.get(80, "/").await.status, 503);
    world.state.forward(Duration::from_mins(1));
    let gone = || health(&world, &made.group).state == HealthState::Unused;
    eventually("no target", gone).await;
    let health = health(&world, &made.group);
    assert_eq!(health.reason, Some("Target.NotRegistered"));

    world.state.write(|state, now| {
        state.delete_load_balancer(&made.balancer, now).unwrap();
    });
    eventually("no endpoints", || world.plane.endpoints().is_empty()).await;
}

#[tokio::test]
async fn its_name_leads_to_its_socket() {
    let (world, _server, made) = started().await;
    let here = "127.0.0.1:0".parse().unwrap();
    let loopbacks = world.plane.loopbacks().clone();
    let names = dns::serve(here, world.state.clone(), loopbacks)
        .await
        .unwrap();
    let name = world
        .state
        .read(|state| state.load_balancers[&made.balancer].dns_name.clone());
    let found = dns::lookup(names.address(), &name, "A").await.unwrap();
    let socket = world.endpoint(80).await.socket;
    assert_eq!(found.addresses(), [socket.ip()]);

    world.state.write(|state, now| {
        state.delete_load_balancer(&made.balancer, now).unwrap();
    });
    let found = dns::lookup(names.address(), &name, "A").await.unwrap();
    assert_eq!(found.status(), "NXDOMAIN");
}
