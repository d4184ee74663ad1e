//! Listeners of Network Load Balancers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::shop;
use super::sockets::certificate;
use super::world::{
    World, add_balancer, add_group, add_listener, balancer_arn, eventually, fixed, forward,
    group_arn, key, register, send, serve, set_rule,
};
use crate::State;
use crate::dataplane::tls;
use crate::state::{HealthState, LoadBalancerKind, Protocol, Target, TargetKey, TargetType};

/// A Network Load Balancer `front` with a listener on `port` that forwards to a
/// group `back` of addresses.
fn front(state: &mut State, port: u16, protocol: Protocol) {
    add_balancer(state, "front");
    let balancer = state.load_balancers.get_mut(&balancer_arn("front"));
    balancer.unwrap().kind = LoadBalancerKind::Network;
    add_listener(state, "front", port, protocol);
    add_group(state, "back", "front", port);
    let group = state.target_groups.get_mut(&group_arn("back")).unwrap();
    group.protocol = Some(Protocol::Tcp);
    group.protocol_version = None;
    group.health_check.protocol = Protocol::Tcp;
    group.health_check.path = None;
    group.health_check.matcher = None;
    let balancer = state.load_balancers.get_mut(&balancer_arn("front"));
    let listener = balancer.unwrap().listeners.get_mut(&port).unwrap();
    listener.default_actions = vec![forward(&[("back", 1)])];
}

fn attribute(state: &mut State, key: &str, value: &str) {
    let group = state.target_groups.get_mut(&group_arn("back")).unwrap();
    group.attributes.insert(key.to_owned(), value.to_owned());
}

/// A target that sends back what it gets, after saying its name.
async fn echo(name: &'static str) -> SocketAddr {
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = listening.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listening.accept().await {
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let (mut from, mut to) = stream.split();
                // A health check, or a test that has seen enough, closes.
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    socket
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut read = vec![0; length];
    stream.read_exact(&mut read).await.unwrap();
    read
}

#[tokio::test]
async fn a_connection_goes_whole_to_one_target() {
    let mut state = shop();
    front(&mut state, 5432, Protocol::Tcp);
    register(&mut state, "back", "10.0.48.11");
    register(&mut state, "back", "10.0.48.12");
    attribute(&mut state, "stickiness.enabled", "true");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(echo("one").await))
        .unwrap();
    addresses
        .set("10.0.48.12:8080", Some(echo("two").await))
        .unwrap();
    let healthy = |id: &str| world.health("back", id).state == HealthState::Healthy;
    eventually("healthy", || healthy("10.0.48.11") && healthy("10.0.48.12")).await;

    let socket = world.endpoint(5432).await.socket;
    let mut client = TcpStream::connect(socket).await.unwrap();
    let first = read(&mut client, 3).await;
    client.write_all(b"\x00not http\xff").await.unwrap();
    assert_eq!(read(&mut client, 10).await, b"\x00not http\xff");
    // The client's end goes on to the target, whose end comes back.
    client.write_all(b"rest").await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"rest");
    for _ in 0..4 {
        let mut client = TcpStream::connect(socket).await.unwrap();
        assert_eq!(read(&mut client, 3).await, first, "sticky by address");
    }
    // Without stickiness connections spread over both.
    world.change(|state| attribute(state, "stickiness.enabled", "false"));
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut client = TcpStream::connect(socket).await.unwrap();
        names.insert(read(&mut client, 3).await);
        if names.len() == 2 {
            break;
        }
    }
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn in_front_of_an_application_load_balancer() {
    let server = serve("one").await;
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    set_rule(&mut state, "web", 80, (1, "/healthz", fixed(200, "here")));
    front(&mut state, 8443, Protocol::Tcp);
    let group = state.target_groups.get_mut(&group_arn("back")).unwrap();
    group.target_type = TargetType::Alb;
    group.health_check.protocol = Protocol::Http;
    group.health_check.path = Some("/healthz".to_owned());
    group.health_check.matcher = Some(crate::state::Matcher::Http("200-399".to_owned()));
    let web = TargetKey {
        id: balancer_arn("web"),
        port: 80,
    };
    let target = state.target_groups[&group_arn("shop")].targets[&key("10.0.48.11")].clone();
    let group = state.target_groups.get_mut(&group_arn("back")).unwrap();
    group.targets.insert(web.clone(), Target { ..target });
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let healthy = || {
        world.state.read(|state| {
            let group = &state.target_groups[&group_arn("back")];
            state.target_health(group, &web).state == HealthState::Healthy
        })
    };
    eventually("the load balancer healthy", healthy).await;
    let socket = world.endpoint(8443).await.socket;
    let got = send(socket, Request::get("/shop").body(Body::empty()).unwrap()).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.body.contains("\nx-forwarded-port: 80\n"), "{got:?}");
}

#[tokio::test]
async fn nobody_takes_it_and_somebody_hangs_up() {
    let mut state = shop();
    front(&mut state, 5433, Protocol::Tcp);
    let world = World::of(state);
    let socket = world.endpoint(5433).await.socket;
    let reset = async || {
        let mut client = TcpStream::connect(socket).await.unwrap();
        let error = client.read_u8().await.unwrap_err();
        error.kind()
    };
    assert_eq!(reset().await, std::io::ErrorKind::ConnectionReset);
    world.change(|state| register(state, "back", "10.0.48.11"));
    assert_eq!(
        reset().await,
        std::io::ErrorKind::ConnectionReset,
        "no socket is known"
    );

    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(echo("one").await))
        .unwrap();
    let healthy = || world.health("back", "10.0.48.11").state == HealthState::Healthy;
    eventually("healthy", healthy).await;
    let mut client = TcpStream::connect(socket).await.unwrap();
    assert_eq!(read(&mut client, 3).await, b"one");
    // It becomes unhealthy: its connections end.
    addresses.set("10.0.48.11:8080", None).unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    assert_eq!(
        world.health("back", "10.0.48.11").state,
        HealthState::Unhealthy
    );
}

#[tokio::test]
async fn deregistration_ends_connections_if_that_is_wanted() {
    let mut state = shop();
    front(&mut state, 5434, Protocol::Tcp);
    register(&mut state, "back", "10.0.48.11");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(echo("one").await))
        .unwrap();
    let socket = world.endpoint(5434).await.socket;
    let mut stays = TcpStream::connect(socket).await.unwrap();
    assert_eq!(read(&mut stays, 3).await, b"one");
    let ends = "deregistration_delay.connection_termination.enabled";
    world.change(|state| attribute(state, ends, "true"));
    let mut goes = TcpStream::connect(socket).await.unwrap();
    assert_eq!(read(&mut goes, 3).await, b"one");
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("back")).unwrap();
        group.targets.clear();
    });
    let mut rest = Vec::new();
    let _ = goes.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    stays.write_all(b"still here").await.unwrap();
    assert_eq!(read(&mut stays, 10).await, b"still here");
}

#[tokio::test]
async fn the_header_of_the_proxy_protocol_comes_first() {
    let mut state = shop();
    front(&mut state, 5435, Protocol::Tcp);
    register(&mut state, "back", "10.0.48.11");
    attribute(&mut state, "proxy_protocol_v2.enabled", "true");
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(echo("one").await))
        .unwrap();
    let socket = world.endpoint(5435).await.socket;
    let mut client = TcpStream::connect(socket).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let got = read(&mut client, 3 + 28 + 5).await;
    assert_eq!(got[3..15], *b"\r\n\r\n\0\r\nQUIT\n");
    let port = client.local_addr().unwrap().port().to_be_bytes();
    assert_eq!(got[27..29], port);
    assert_eq!(got[31..], *b"hello");
}

#[tokio::test]
async fn tls_ends_at_the_listener() {
    let mut state = shop();
    front(&mut state, 5436, Protocol::Tls);
    register(&mut state, "back", "10.0.48.11");
    let own = certificate("db.example.com");
    let balancer = state.load_balancers.get_mut(&balancer_arn("front"));
    let listener = balancer.unwrap().listeners.get_mut(&5436).unwrap();
    listener.certificate = Some(own.arn.clone());
    state.certificates.insert(own.arn.clone(), own);
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(echo("one").await))
        .unwrap();
    let socket = world.endpoint(5436).await.socket;
    let connector = TlsConnector::from(Arc::new(tls::client().unwrap()));
    let stream = TcpStream::connect(socket).await.unwrap();
    let name = ServerName::try_from("db.example.com").unwrap();
    let mut client = connector.connect(name, stream).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut got = [0; 8];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"onehello");
}
