//! HTTP/2 and gRPC, from clients and to targets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, Response, Version};
use futures::SinkExt as _;
use futures::channel::mpsc;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::sockets::secure;
use super::world::{
    World, add_group, balancer_arn, eventually, forward, group_arn, register, serve, set_rule,
};
use crate::State;
use crate::dataplane::tls;
use crate::state::{HealthState, Matcher, ProbeFailure, Probed};

/// A connection that has to end ends within this time.
const LIMIT: Duration = Duration::from_secs(20);

type Body = BoxBody<Bytes, std::convert::Infallible>;

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

/// A TLS connection to a listener, and the protocol that was agreed on.
async fn connect(socket: SocketAddr) -> (tokio_rustls::client::TlsStream<TcpStream>, String) {
    let mut config = tls::client().unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(socket).await.unwrap();
    let name = ServerName::try_from("main.example.com").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = stream.await.unwrap();
    let agreed = stream.get_ref().1.alpn_protocol().unwrap().to_vec();
    (stream, String::from_utf8(agreed).unwrap())
}

/// A client that speaks HTTP/2 with a listener, and the end of its connection.
async fn client(socket: SocketAddr) -> (SendRequest<Body>, tokio::task::JoinHandle<()>) {
    let (stream, agreed) = connect(socket).await;
    assert_eq!(agreed, "h2");
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let ended = tokio::spawn(async move { connection.await.unwrap() });
    (sender, ended)
}

struct Got {
    status: u16,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

async fn read(answer: Response<Incoming>) -> Got {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    Got {
        status: parts.status.as_u16(),
        version: parts.version,
        headers: parts.headers,
        body: body.to_bytes(),
        trailers,
    }
}

async fn send(sender: &mut SendRequest<Body>, request: Request<Body>) -> Got {
    sender.ready().await.unwrap();
    read(sender.send_request(request).await.unwrap()).await
}

fn get(path: &str) -> Request<Body> {
    let uri = format!("https://main.example.com:20443{path}");
    Request::get(uri).body(whole("")).unwrap()
}

fn call(path: &str, message: &'static str) -> Request<Body> {
    let uri = format!("https://main.example.com{path}");
    Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(whole(framed(message)))
        .unwrap()
}

/// A message of gRPC.
fn framed(message: &str) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message.as_bytes()].concat()
}

/// A target that speaks HTTP/2 and nothing else, without TLS.
struct Target {
    socket: SocketAddr,
    /// `grpc-status` of the health check.
    health: Arc<AtomicU16>,
    /// Requests other than health checks.
    requests: Arc<AtomicUsize>,
}

/// Starts a target that tells the request and echoes its body, message by message.
async fn target() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target {
        socket: listener.local_addr().unwrap(),
        health: Arc::new(AtomicU16::new(12)),
        requests: Arc::default(),
    };
    let (health, requests) = (target.health.clone(), target.requests.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (health, requests) = (health.clone(), requests.clone());
            let service = service_fn(move |request| {
                let (health, requests) = (health.clone(), requests.clone());
                async move { Ok::<_, std::convert::Infallible>(echo(&health, &requests, request).await) }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    target
}

async fn echo(
    health: &AtomicU16,
    requests: &AtomicUsize,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let answer = Response::builder().header("content-type", "application/grpc");
    if parts.uri.path() == "/AWS.ALB/healthcheck" {
        assert_eq!(parts.method, Method::POST);
        assert_eq!(parts.headers["user-agent"], "ELB-HealthChecker/2.0");
        assert_eq!(parts.headers["te"], "trailers");
        assert_eq!(body.collect().await.unwrap().to_bytes(), &[0; 5][..]);
        let status = health.load(Ordering::SeqCst);
        // A call that fails has its status at once, one that succeeds at its end.
        if status != 0 {
            return answer
                .header("grpc-status", status)
                .body(whole(""))
                .unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        let body = whole(framed("")).with_trailers(async { Some(Ok(trailers)) });
        return answer.body(body.boxed()).unwrap();
    }
    requests.fetch_add(1, Ordering::SeqCst);
    if parts.uri.path() == "/echo.Echo/Fail" {
        let body = Empty::new().boxed();
        return answer.header("grpc-status", 9).body(body).unwrap();
    }
    if parts.uri.path() == "/plain" {
        let mut lines = vec![format!("{} {}", parts.method, parts.uri)];
        lines.extend(
            parts
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())),
        );
        return Response::new(whole(lines.join("\n")));
    }
    let (mut sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            sender.send(Ok(Frame::data(data))).await.unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
    });
    answer
        .body(BodyExt::boxed(StreamBody::new(receiver)))
        .unwrap()
}

/// The world of [`secure`] with a group for each protocol version; that of the
/// version `NAME` is behind `/NAME*` and has the target 10.0.48.11, in small letters.
fn versions() -> State {
    let mut state = secure();
    for (priority, name) in (10..).zip(["http1", "http2", "grpc"]) {
        add_group(&mut state, name, "web", 443);
        register(&mut state, name, "10.0.48.11");
        let group = state.target_groups.get_mut(&group_arn(name)).unwrap();
        group.protocol_version = Some(name.to_uppercase());
        group.health_check.enabled = name == "grpc";
        if name == "grpc" {
            group.health_check.path = Some("/AWS.ALB/healthcheck".to_owned());
            group.health_check.matcher = Some(Matcher::Grpc("12".to_owned()));
        }
        set_rule(
            &mut state,
            "web",
            443,
            (priority, &format!("/{name}*"), forward(&[(name, 1)])),
        );
    }
    set_rule(
        &mut state,
        "web",
        443,
        (20, "/plain", forward(&[("http2", 1)])),
    );
    set_rule(
        &mut state,
        "web",
        443,
        (21, "/echo.Echo/*", forward(&[("grpc", 1)])),
    );
    state
}

async fn with_target(state: State, socket: SocketAddr) -> (World, SocketAddr) {
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(socket)).unwrap();
    let endpoint = world.endpoint(443).await.socket;
    (world, endpoint)
}

fn set_attribute(state: &mut State, key: &str, value: &str) {
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    balancer.attributes.insert(key.to_owned(), value.to_owned());
}

#[tokio::test]
async fn clients_get_http2_where_it_is_enabled() {
    let world = World::of(secure());
    let socket = world.endpoint(443).await.socket;
    let (mut sender, _) = client(socket).await;
    let got = send(&mut sender, get("/")).await;
    assert_eq!((got.status, got.version), (200, Version::HTTP_2));
    assert_eq!(got.body, "over TLS");
    assert_eq!(got.headers["server"], "awselb/2.0");
    assert!(!got.headers.contains_key("connection"));
    assert!(got.headers.contains_key("date"));
    assert_eq!(send(&mut sender, get("/none")).await.status, 404);

    world.change(|state| set_attribute(state, "routing.http2.enabled", "false"));
    let (_, agreed) = connect(socket).await;
    assert_eq!(agreed, "http/1.1");
}

#[tokio::test]
async fn requests_over_http2_become_http1_for_a_group_that_speaks_it() {
    let server = serve("one").await;
    let (_world, socket) = with_target(versions(), server.socket).await;
    let (mut sender, _) = client(socket).await;
    let mut request = get("/http1?x=1");
    let headers = request.headers_mut();
    headers.append("cookie", "a=1".parse().unwrap());
    headers.append("cookie", "b=2".parse().unwrap());
    headers.insert("x_mine", "1".parse().unwrap());
    let got = send(&mut sender, request).await;
    assert_eq!(got.status, 200);
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["one", "GET /http1?x=1"]);
    for line in [
        "host: main.example.com",
        "cookie: a=1; b=2",
        "x-forwarded-proto: https",
        "x-forwarded-port: 443",
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
    assert!(!text.contains("x_mine"), "{text}");
    assert!(!got.headers.contains_key("connection"));
}

#[tokio::test]
async fn who_does_not_fit_gets_464() {
    let target = target().await;
    let (world, socket) = with_target(versions(), target.socket).await;
    let (mut sender, _) = client(socket).await;
    for (request, status) in [
        (call("/http1/x", "hi"), 464),
        (get("/grpc"), 464),
        (call("/grpc/x", "hi"), 200),
        (call("/http2/x", "hi"), 200),
        (get("/plain"), 200),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        assert_eq!(send(&mut sender, request).await.status, status, "{what}");
    }
    assert_eq!(target.requests.load(Ordering::SeqCst), 3);
    // The groups are known to the plain listener of another load balancer too.
    world.change(|state| {
        super::world::add_listener(state, "web", 8080, crate::state::Protocol::Http);
        let rule = (1, "/*", forward(&[("http2", 1)]));
        set_rule(state, "web", 8080, rule);
    });
    assert_eq!(world.get(8080, "/plain").await.status, 464);
}

#[tokio::test]
async fn targets_of_http2_see_the_request_as_http2_has_it() {
    let target = target().await;
    let (_world, socket) = with_target(versions(), target.socket).await;
    let (mut sender, _) = client(socket).await;
    let got = send(&mut sender, get("/plain")).await;
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "GET http://main.example.com/plain");
    assert!(lines.contains(&"x-forwarded-for: 127.0.0.1"), "{lines:?}");
    assert!(!text.contains("\nhost:"), "{text}");
}

#[tokio::test]
async fn a_unary_call_and_its_status_go_through() {
    let target = target().await;
    let (_world, socket) = with_target(versions(), target.socket).await;
    let (mut sender, _) = client(socket).await;
    let got = send(&mut sender, call("/echo.Echo/Say", "hello")).await;
    assert_eq!(
        (got.status, &got.headers["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    assert_eq!(got.body, framed("hello"));
    assert_eq!(got.trailers["grpc-status"], "0");
    assert!(!got.headers.contains_key("grpc-status"));
}

#[tokio::test]
async fn a_call_that_fails_ends_with_its_headers() {
    let target = target().await;
    let (_world, socket) = with_target(versions(), target.socket).await;
    let (mut sender, _) = client(socket).await;
    sender.ready().await.unwrap();
    let answer = sender.send_request(call("/echo.Echo/Fail", "hello")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "9");
    assert!(answer.body().is_end_stream());
}

#[tokio::test]
async fn messages_go_both_ways_while_a_call_is_open() {
    let target = target().await;
    let (_world, socket) = with_target(versions(), target.socket).await;
    let (mut sender, _) = client(socket).await;
    let (mut messages, body) = mpsc::channel::<Result<Frame<Bytes>, std::convert::Infallible>>(1);
    let request = call("/echo.Echo/Chat", "").map(|_| BodyExt::boxed(StreamBody::new(body)));
    sender.ready().await.unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    for message in ["one", "two", "three"] {
        let sent = Frame::data(Bytes::from(framed(message)));
        messages.send(Ok(sent)).await.unwrap();
        let came = answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(came.into_data().unwrap(), framed(message));
    }
    drop(messages);
    let last = answer.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(last.into_trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn gives_answers_of_http_to_calls_that_reach_nobody() {
    let target = target().await;
    let (world, socket) = with_target(versions(), target.socket).await;
    world
        .plane
        .addresses()
        .set("10.0.48.11:8080", None)
        .unwrap();
    let (mut sender, _) = client(socket).await;
    let got = send(&mut sender, call("/echo.Echo/Say", "hello")).await;
    assert_eq!(
        (got.status, &got.headers["content-type"]),
        (502, &"text/html".parse().unwrap())
    );
    assert!(!got.headers.contains_key("grpc-status"));
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("grpc")).unwrap();
        group.targets.clear();
    });
    let got = send(&mut sender, call("/echo.Echo/Say", "hello")).await;
    assert_eq!(got.status, 503);
}

#[tokio::test]
async fn an_http1_target_of_an_http2_group_is_a_bad_gateway() {
    let server = serve("one").await;
    let (_world, socket) = with_target(versions(), server.socket).await;
    let (mut sender, _) = client(socket).await;
    assert_eq!(send(&mut sender, get("/plain")).await.status, 502);
}

#[tokio::test]
async fn health_of_grpc_targets_goes_by_the_status_of_the_call() {
    let target = target().await;
    let (world, _) = with_target(versions(), target.socket).await;
    let health = || world.health("grpc", "10.0.48.11").state;
    eventually("healthy", || health() == HealthState::Healthy).await;
    target.health.store(0, Ordering::SeqCst);
    eventually("unhealthy", || health() == HealthState::Unhealthy).await;
    let found = world.health("grpc", "10.0.48.11");
    assert_eq!(found.reason, Some("Target.ResponseCodeMismatch"));
    assert_eq!(
        found.description.as_deref(),
        Some("Health checks failed with these codes: [0]")
    );
    world.change(|state| {
        let group = state.target_groups.get_mut(&group_arn("grpc")).unwrap();
        group.health_check.matcher = Some(Matcher::Grpc("0-5".to_owned()));
    });
    eventually("healthy again", || health() == HealthState::Healthy).await;
    target.health.store(13, Ordering::SeqCst);
    eventually("unhealthy again", || health() == HealthState::Unhealthy).await;
    let probed = world.state.read(|state| {
        let group = &state.target_groups[&group_arn("grpc")];
        group.targets.values().next().unwrap().probed.clone()
    });
    assert_eq!(
        probed,
        Probed::Unhealthy(ProbeFailure::ResponseCodeMismatch(13))
    );
}

#[tokio::test]
async fn health_of_http2_targets_is_asked_over_http2() {
    let target = target().await;
    let mut state = versions();
    let group = state.target_groups.get_mut(&group_arn("http2")).unwrap();
    group.health_check.enabled = true;
    group.health_check.path = Some("/plain".to_owned());
    let (world, _) = with_target(state, target.socket).await;
    let health = || world.health("http2", "10.0.48.11").state;
    eventually("healthy", || health() == HealthState::Healthy).await;
    assert!(target.requests.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn connections_say_goaway_when_their_time_is_over() {
    let server = serve("one").await;
    let mut state = versions();
    set_attribute(&mut state, "client_keep_alive.seconds", "4");
    let (world, socket) = with_target(state, server.socket).await;
    let (mut sender, ended) = client(socket).await;
    assert_eq!(send(&mut sender, get("/http1")).await.status, 200);
    tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();

    // The same for one that is not used.
    world.change(|state| {
        set_attribute(state, "client_keep_alive.seconds", "3600");
        set_attribute(state, "idle_timeout.timeout_seconds", "4");
    });
    let (mut sender, ended) = client(socket).await;
    assert_eq!(send(&mut sender, get("/http1")).await.status, 200);
    tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn headers_that_are_long_while_compressed_end_the_connection() {
    let server = serve("one").await;
    let (_world, socket) = with_target(versions(), server.socket).await;
    // HPACK has 13 bits for each of these.
    let with = |length: usize| {
        let mut request = get("/http1");
        let value = "~".repeat(length);
        let value = value.parse().unwrap();
        request.headers_mut().insert("x-long", value);
        request
    };
    let (mut sender, connection) = client(socket).await;
    assert_eq!(send(&mut sender, with(4_500)).await.status, 200);
    let (mut other, ending) = client(socket).await;
    let got = send(&mut other, with(5_500)).await;
    assert_eq!(got.status, 200, "what has begun goes on");
    tokio::time::timeout(LIMIT, ending).await.unwrap().unwrap();
    assert_eq!(send(&mut sender, get("/http1")).await.status, 200);
    drop(sender);
    tokio::time::timeout(LIMIT, connection)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn connections_take_ten_thousand_requests() {
    let world = World::of(secure());
    let socket = world.endpoint(443).await.socket;
    let (mut sender, ended) = client(socket).await;
    let mut answered = 0;
    while sender.ready().await.is_ok() {
        // Those that come while the load balancer says GOAWAY may be too late.
        let together = (0..100).map(|_| sender.send_request(get("/")));
        for answer in futures::future::join_all(together)
            .await
            .into_iter()
            .flatten()
        {
            assert_eq!(read(answer).await.status, 200);
            answered += 1;
        }
    }
    assert!((10_000..10_200).contains(&answered), "{answered}");
    tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn targets_are_told_of_tls_by_the_names_of_the_listener() {
    let server = serve("one").await;
    let mut state = versions();
    set_attribute(
        &mut state,
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        "true",
    );
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let listener = balancer.listeners.get_mut(&443).unwrap();
    listener.attributes.insert(
        "routing.http.request.x_amzn_tls_cipher_suite.header_name".to_owned(),
        "X-Suite".to_owned(),
    );
    let (_world, socket) = with_target(state, server.socket).await;
    let (mut sender, _) = client(socket).await;
    let got = send(&mut sender, get("/http1")).await;
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    assert!(text.contains("\nx-amzn-tls-version: TLSv1.3\n"), "{text}");
    assert!(text.contains("\nx-suite: TLS_"), "{text}");
    assert!(!text.contains("x-amzn-tls-cipher-suite"), "{text}");
}
