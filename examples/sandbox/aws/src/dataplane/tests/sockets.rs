//! Sockets, the control routes, TLS, and switched protocols.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::shop;
use super::world::{
    World, account, add_balancer, add_group, add_listener, balancer_arn, eventually, fixed,
    forward, group_arn, listener_arn, register, send, set_rule,
};
use crate::authority;
use crate::dataplane::tls;
use crate::state::acm::{Details, Pem};
use crate::state::server_certificate::NewServerCertificate;
use crate::state::{Certificate, CertificateStatus, LoadBalancerState, Protocol};

async fn refused(socket: std::net::SocketAddr) {
    for _ in 0..500 {
        if TcpStream::connect(socket).await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{socket} still accepts");
}

#[tokio::test]
async fn sockets_follow_the_listeners() {
    let mut state = shop();
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    balancer.state = LoadBalancerState::Provisioning;
    let world = World::of(state);
    world.change(|state| add_listener(state, "web", 8081, Protocol::Http));
    assert_eq!(
        world.plane.endpoints(),
        [],
        "nothing serves before it is active"
    );

    world.change(|state| {
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        balancer.state = LoadBalancerState::Active;
    });
    let (first, second) = (world.endpoint(80).await, world.endpoint(8081).await);
    assert_eq!(first.socket.ip(), second.socket.ip());
    assert_eq!(
        first.socket.ip(),
        world.plane.loopbacks().of(&balancer_arn("web"))
    );
    assert!([80, 20_080].contains(&first.socket.port()), "{first:?}");
    assert_eq!(second.socket.port(), 8081);
    assert_eq!(world.get(8081, "/").await.status, 404);

    world.change(|state| {
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        balancer.listeners.remove(&8081);
    });
    refused(second.socket).await;
    assert_eq!(world.get(80, "/").await.status, 404);

    world.change(|state| state.load_balancers.clear());
    refused(first.socket).await;
    eventually("no endpoints", || world.plane.endpoints().is_empty()).await;

    world.change(|state| {
        add_balancer(state, "web");
        add_listener(state, "web", 80, Protocol::Http);
    });
    let socket = world.endpoint(80).await.socket;
    world.plane.stop().await;
    assert!(TcpStream::connect(socket).await.is_err());
}

#[tokio::test]
async fn addresses_and_endpoints_over_http() {
    let world = World::of(shop());
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = control.local_addr().unwrap();
    let router = world.plane.router();
    tokio::spawn(async move { axum::serve(control, router).await });
    let post = |body: Value| {
        let request = Request::post("/_sim/addresses").body(Body::from(body.to_string()));
        send(socket, request.unwrap())
    };
    let get = |path: &'static str| async move {
        let got = send(socket, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(got.status, 200);
        serde_json::from_str::<Value>(&got.body).unwrap()
    };
    let both = json!({"10.0.48.11:8080": "127.0.0.1:40001", "i-0abc:30080": "127.0.0.1:40002"});
    assert_eq!(post(both.clone()).await.status, 200);
    assert_eq!(get("/_sim/addresses").await, both);
    let wrong = json!({"10.0.48.11:8080": null, "10.0.48.12": "127.0.0.1:40001"});
    let got = post(wrong).await;
    assert_eq!(got.status, 400);
    assert!(got.body.contains("'10.0.48.12' is no target"), "{got:?}");
    let got = post(json!({"10.0.48.11:8080": "pod"})).await;
    assert_eq!(got.status, 400);
    assert!(got.body.contains("cannot read the addresses"), "{got:?}");
    assert_eq!(get("/_sim/addresses").await, both, "all or nothing");
    assert_eq!(post(json!({"i-0abc:30080": null})).await.status, 200);
    assert_eq!(
        get("/_sim/addresses").await,
        json!({"10.0.48.11:8080": "127.0.0.1:40001"})
    );

    let endpoint = world.endpoint(80).await;
    assert_eq!(
        get("/_sim/endpoints").await,
        json!([{
            "loadBalancer": balancer_arn("web"),
            "name": "web",
            "dnsName": "web-1234567890.us-east-1.elb.amazonaws.com",
            "port": 80,
            "protocol": "HTTP",
            "socket": endpoint.socket.to_string(),
        }])
    );
}

pub(super) fn certificate(name: &str) -> Certificate {
    Certificate {
        arn: format!("arn:aws:acm:us-east-1:123456789012:certificate/{name}"),
        domain_name: name.to_owned(),
        names: vec![name.to_owned()],
        status: CertificateStatus::Issued,
        imported: false,
        key_algorithm: "RSA_2048".to_owned(),
        created: Timestamp::UNIX_EPOCH,
        issued: None,
        not_before: Timestamp::UNIX_EPOCH,
        not_after: "2040-01-01T00:00:00Z".parse().unwrap(),
        pem: None,
        details: Details::default(),
        validation: None,
        exportable: false,
        exported: false,
        idempotency_token: None,
    }
}

/// A listener on 443 with a default certificate and one by SNI.
pub(super) fn secure() -> crate::State {
    let mut state = account();
    add_balancer(&mut state, "web");
    add_listener(&mut state, "web", 443, Protocol::Https);
    set_rule(&mut state, "web", 443, (1, "/", fixed(200, "over TLS")));
    let (main, other) = (
        certificate("main.example.com"),
        certificate("*.example.org"),
    );
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let listener = balancer.listeners.get_mut(&443).unwrap();
    listener.certificate = Some(main.arn.clone());
    listener.sni_certificates.insert(other.arn.clone());
    state.certificates.insert(main.arn.clone(), main);
    state.certificates.insert(other.arn.clone(), other);
    state
}

#[tokio::test]
async fn https_listeners_choose_certificates_by_name() {
    let world = World::of(secure());
    let socket = world.endpoint(443).await.socket;
    let connector = TlsConnector::from(Arc::new(tls::client().unwrap()));
    let mut seen = Vec::new();
    for name in ["main.example.com", "a.example.org", "unknown.example.net"] {
        let stream = TcpStream::connect(socket).await.unwrap();
        let server = ServerName::try_from(name).unwrap();
        let mut stream = connector.connect(server, stream).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        seen.push(shown);
        let request = format!("GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("over TLS"), "{answer}");
    }
    assert_ne!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_trusts_what_it_issued() {
    let world = World::of(secure());
    let socket = world.endpoint(443).await.socket;
    let mut roots = rustls::RootCertStore::empty();
    let authority = authority::pem().unwrap();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    for (name, trusted) in [
        ("main.example.com", true),
        ("a.example.org", true),
        ("unknown.example.net", false),
    ] {
        let stream = TcpStream::connect(socket).await.unwrap();
        let server = ServerName::try_from(name).unwrap();
        let connected = connector.connect(server, stream).await;
        assert_eq!(connected.is_ok(), trusted, "{name}");
    }
}

#[tokio::test]
async fn a_server_certificate_of_iam_is_shown_itself() {
    let mut state = secure();
    let names = ["main.example.com".to_owned()];
    let signed = rcgen::generate_simple_self_signed(names).unwrap();
    let new = NewServerCertificate {
        name: "main".to_owned(),
        path: None,
        pem: Pem {
            certificate: signed.cert.pem(),
            private_key: signed.signing_key.serialize_pem(),
            chain: None,
        },
        tags: Vec::new(),
    };
    let now = Timestamp::now();
    state.upload_server_certificate(new, now).unwrap();
    let arn = state.server_certificate("main").unwrap().arn.clone();
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    balancer.listeners.get_mut(&443).unwrap().certificate = Some(arn);
    let world = World::of(state);
    let socket = world.endpoint(443).await.socket;
    let connector = TlsConnector::from(Arc::new(tls::client().unwrap()));
    let stream = TcpStream::connect(socket).await.unwrap();
    let server = ServerName::try_from("main.example.com").unwrap();
    let stream = connector.connect(server, stream).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    assert_eq!(&shown[0], signed.cert.der());
}

#[tokio::test]
async fn an_imported_certificate_is_shown_itself() {
    let mut state = secure();
    let names = ["main.example.com".to_owned()];
    let signed = rcgen::generate_simple_self_signed(names).unwrap();
    let arn = certificate("main.example.com").arn;
    state.certificates.get_mut(&arn).unwrap().pem = Some(Pem {
        certificate: signed.cert.pem(),
        private_key: signed.signing_key.serialize_pem(),
        chain: None,
    });
    let world = World::of(state);
    let socket = world.endpoint(443).await.socket;
    let connector = TlsConnector::from(Arc::new(tls::client().unwrap()));
    let stream = TcpStream::connect(socket).await.unwrap();
    let server = ServerName::try_from("main.example.com").unwrap();
    let stream = connector.connect(server, stream).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    assert_eq!(&shown[0], signed.cert.der());
}

#[tokio::test]
async fn speaks_tls_with_targets_of_an_https_group() {
    // The target is another load balancer of the same account.
    let mut state = secure();
    add_balancer(&mut state, "front");
    add_listener(&mut state, "front", 8080, Protocol::Http);
    add_group(&mut state, "secure", "front", 8080);
    let group = state.target_groups.get_mut(&group_arn("secure")).unwrap();
    group.protocol = Some(Protocol::Https);
    group.health_check.protocol = Protocol::Https;
    group.health_check.path = Some("/".to_owned());
    register(&mut state, "secure", "10.0.48.11");
    let rule = (1, "/*", forward(&[("secure", 1)]));
    set_rule(&mut state, "front", 8080, rule);
    let world = World::of(state);
    let socket = world.endpoint(443).await.socket;
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(socket)).unwrap();
    let got = world.get(8080, "/").await;
    assert_eq!((got.status, got.body.as_str()), (200, "over TLS"));
    eventually("a healthy target", || {
        world.health("secure", "10.0.48.11").state == crate::state::HealthState::Healthy
    })
    .await;
}

#[tokio::test]
async fn carries_a_switched_protocol_both_ways() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    // No probes: this target takes one connection only.
    let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
    group.health_check.enabled = false;
    let world = World::of(state);
    let addresses = world.plane.addresses();
    let socket = target.local_addr().unwrap();
    addresses.set("10.0.48.11:8080", Some(socket)).unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = target.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let switch = "HTTP/1.1 101 Switching Protocols\r\n\
                      connection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(b"pong").await.unwrap();
        (String::from_utf8(head).unwrap().to_lowercase(), word)
    });

    let socket = world.endpoint(80).await.socket;
    let mut client = TcpStream::connect(socket).await.unwrap();
    let ask = "GET /shop/ws HTTP/1.1\r\nHost: a.b\r\nConnection: keep-alive, Upgrade\r\n\
               Upgrade: websocket\r\n\r\n";
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    client.write_all(b"ping").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "pong");
    let (head, word) = served.await.unwrap();
    assert_eq!(&word, b"ping");
    assert!(head.contains("connection: upgrade"), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    assert!(head.contains("x-forwarded-for: 127.0.0.1"), "{head}");
}

#[tokio::test]
async fn a_listener_that_changes_its_protocol_keeps_its_port() {
    let world = World::of(shop());
    world.change(|state| add_listener(state, "web", 8443, Protocol::Http));
    let before = world.endpoint(8443).await.socket;
    world.change(|state| {
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        let listener = balancer.listeners.get_mut(&8443).unwrap();
        assert_eq!(listener.arn, listener_arn("web", 8443));
        listener.protocol = Protocol::Https;
    });
    eventually("an HTTPS endpoint", || {
        let endpoints = world.plane.endpoints();
        endpoints
            .iter()
            .any(|it| it.port == 8443 && it.protocol == "HTTPS")
    })
    .await;
    assert_eq!(world.endpoint(8443).await.socket, before);
}
