//! HTTP/1.1 byte by byte: what the load balancer answers itself, and when it
//! closes a connection.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::control::{control, log};
use super::shop;
use super::world::{World, balancer_arn, eventually, group_arn, listener_arn, register, serve};
use crate::State;
use crate::state::TargetType;

/// A connection that has to end ends within this time.
const LIMIT: Duration = Duration::from_secs(20);

/// The page of an error, as an Application Load Balancer writes it.
fn page(title: &str) -> String {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
         <center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

fn set(state: &mut State, key: &str, value: &str) {
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    balancer.attributes.insert(key.to_owned(), value.to_owned());
}

fn set_of_listener(state: &mut State, key: &str, value: &str) {
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let listener = balancer.listeners.get_mut(&80).unwrap();
    assert_eq!(listener.arn, listener_arn("web", 80));
    listener.attributes.insert(key.to_owned(), value.to_owned());
}

/// Sends bytes and reads until the connection ends.
async fn raw(socket: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(socket).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let whole = tokio::time::timeout(LIMIT, stream.read_to_end(&mut got)).await;
    let so_far = String::from_utf8(got).unwrap();
    whole
        .unwrap_or_else(|_| panic!("the connection does not end after {so_far:?}"))
        .unwrap();
    so_far
}

/// Reads one answer that has a Content-Length.
async fn one(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        got.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(got).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    head + std::str::from_utf8(&body).unwrap()
}

fn status(answer: &str) -> u16 {
    answer[9..12]
        .parse()
        .unwrap_or_else(|_| panic!("{answer:?}"))
}

/// A world with one target.
async fn served(change: impl FnOnce(&mut State)) -> (World, super::world::Server, SocketAddr) {
    let server = serve("one").await;
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    change(&mut state);
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let socket = world.endpoint(80).await.socket;
    (world, server, socket)
}

/// A target that gives one answer, byte by byte, and keeps its connections.
async fn answering(world: &World, answer: impl Into<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = listener.local_addr().unwrap();
    let answer = answer.into();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(&answer).await.unwrap();
            kept.push(stream);
        }
    });
    let addresses = world.plane.addresses();
    addresses.set("10.0.48.11:8080", Some(socket)).unwrap();
}

#[tokio::test]
async fn refusals_have_the_pages_of_the_load_balancer() {
    let (world, server, socket) = served(|_| {}).await;
    let long = "x".repeat(16 * 1024);
    let many = ["192.0.2.1"; 31].join(", ");
    for (request, title) in [
        ("NONSENSE\r\n\r\n".to_owned(), "400 Bad Request"),
        (
            "GET /shop HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            "400 Bad Request",
        ),
        (
            format!("GET /shop HTTP/1.1\r\nHost: a.b\r\nx: {long}\r\n\r\n"),
            "400 Bad Request",
        ),
        (
            "POST /shop HTTP/1.1\r\nHost: a.b\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            "400 Bad Request",
        ),
        (
            "TRACE /shop HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n".to_owned(),
            "405 Method Not Allowed",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nHost: a.b\r\n\r\n"),
            "414 URI Too Long",
        ),
        (format!("GET /{long}"), "414 URI Too Long"),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a.b\r\nX-Forwarded-For: {many}\r\nConnection: close\r\n\r\n"
            ),
            "463",
        ),
        (
            "POST /shop HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
            "501 Not Implemented",
        ),
        (
            "PRI * HTTP/2.0\r\n\r\n".to_owned(),
            "505 HTTP Version Not Supported",
        ),
    ] {
        let got = raw(socket, &request).await;
        let shown: String = request.chars().take(80).collect();
        let (head, body) = got
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{shown}: {got:?}"));
        assert_eq!(body, page(title), "{shown}");
        let head = head.to_lowercase();
        assert!(
            head.starts_with(&format!("http/1.1 {}", &title[..3])),
            "{shown}: {head}"
        );
        for line in ["server: awselb/2.0", "content-type: text/html"] {
            assert!(head.lines().any(|it| it == line), "{line} is not in {head}");
        }
        assert!(head.contains("\r\ndate: "), "{head}");
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    let entries = log(control(&world).await, 0).await;
    assert_eq!(entries[0]["request"], "- http://-:80- -");
    assert_eq!(entries[0]["elb_status_code"], 400);
    assert_eq!(entries[0]["classification"], "Ambiguous");
    assert_eq!(entries[0]["classification_reason"], "MissingUri");
    assert_eq!(entries[3]["classification"], "Severe");
    assert_eq!(entries[3]["classification_reason"], "MultipleContentLength");
    assert_eq!(entries[4]["classification"], Value::Null);
}

#[tokio::test]
async fn requests_follow_one_another_on_one_connection() {
    let (_world, server, socket) = served(|_| {}).await;
    let mut stream = TcpStream::connect(socket).await.unwrap();
    // All at once, with bodies of both kinds.
    let requests = "\r\nPOST /shop/1 HTTP/1.1\r\nHost: a.b\r\nContent-Length: 5\r\n\r\nfirst\
        POST /shop/2 HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n\
        6;x=y\r\nsecond\r\n0\r\nTrailer: 1\r\n\r\n\
        GET /shop/3 HTTP/1.0\r\nHost: a.b\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let got = read(&mut stream).await;
    for part in [
        "POST /shop/1\n",
        "\nfirst",
        "POST /shop/2\n",
        "\nsecond",
        "GET /shop/3\n",
    ] {
        assert!(got.contains(part), "{part:?} is not in {got}");
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn ambiguous_requests_end_their_connection() {
    let (world, _server, socket) = served(|_| {}).await;
    let ask = "POST /shop HTTP/1.1\r\nHost: a.b\r\nContent-Length: 3\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    // It ends, or this would wait for ever.
    let got = raw(socket, ask).await;
    assert_eq!(status(&got), 200, "{got}");
    let lower = got.to_lowercase();
    assert!(lower.contains("\r\nconnection: close\r\n"), "{got}");
    assert!(
        !lower.contains("\ncontent-length: 3"),
        "one reading is gone: {got}"
    );
    assert!(got.ends_with("\nhi"), "{got}");

    let key = "routing.http.desync_mitigation_mode";
    world.change(|state| set(state, key, "strictest"));
    assert_eq!(status(&raw(socket, ask).await), 400);
    world.change(|state| set(state, key, "monitor"));
    let mut stream = TcpStream::connect(socket).await.unwrap();
    for _ in 0..2 {
        stream.write_all(ask.as_bytes()).await.unwrap();
        assert_eq!(status(&one(&mut stream).await), 200);
    }
}

#[tokio::test]
async fn invalid_header_names_are_dropped_on_demand() {
    let (world, _server, socket) = served(|_| {}).await;
    let ask =
        "GET /shop HTTP/1.1\r\nHost: a.b\r\nx_mine: 1\r\nX-Mine: 2\r\nConnection: close\r\n\r\n";
    let got = raw(socket, ask).await;
    assert!(got.contains("\nx_mine: 1"), "{got}");
    let key = "routing.http.drop_invalid_header_fields.enabled";
    world.change(|state| set(state, key, "true"));
    let got = raw(socket, ask).await;
    assert!(!got.contains("x_mine"), "{got}");
    assert!(got.contains("\nx-mine: 2"), "{got}");
}

#[tokio::test]
async fn a_client_that_stops_within_its_request_is_told_so() {
    let (_world, _server, socket) = served(|state| {
        set(state, "idle_timeout.timeout_seconds", "4");
    })
    .await;
    // It goes on listening, but says no more.
    for part in [
        "GET /shop HTTP/1.1\r\nHost: ",
        "POST /shop HTTP/1.1\r\nHost: a.b\r\nContent-Length: 10\r\n\r\nabc",
    ] {
        let got = raw(socket, part).await;
        assert_eq!(status(&got), 408, "{part:?}: {got:?}");
        assert!(got.ends_with(&page("408 Request Timeout")), "{got}");
    }
    // It closes its half.
    for part in [
        "GET /shop HTTP/1.1\r\nHost: ",
        "POST /shop HTTP/1.1\r\nHost: a.b\r\nContent-Length: 10\r\n\r\nabc",
    ] {
        let mut stream = TcpStream::connect(socket).await.unwrap();
        stream.write_all(part.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let got = read(&mut stream).await;
        assert_eq!(status(&got), 400, "{part:?}: {got:?}");
        assert!(got.ends_with(&page("400 Bad Request")), "{got}");
    }
    // Between requests the connection just ends.
    assert_eq!(raw(socket, "").await, "");
    let mut stream = TcpStream::connect(socket).await.unwrap();
    stream
        .write_all(b"GET /shop HTTP/1.1\r\nHost: a.b\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(status(&one(&mut stream).await), 200);
    assert_eq!(read(&mut stream).await, "");
}

#[tokio::test]
async fn the_last_answer_of_a_connection_says_so() {
    let (_world, _server, socket) = served(|state| {
        set(state, "client_keep_alive.seconds", "4");
    })
    .await;
    let mut stream = TcpStream::connect(socket).await.unwrap();
    let ask = b"GET /shop HTTP/1.1\r\nHost: a.b\r\n\r\n";
    let mut answers = 0;
    loop {
        stream.write_all(ask).await.unwrap();
        let got = one(&mut stream).await.to_lowercase();
        assert_eq!(status(&got), 200);
        answers += 1;
        if got.contains("\r\nconnection: close\r\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(answers > 1);
    assert_eq!(read(&mut stream).await, "");
}

#[tokio::test]
async fn bad_answers_of_targets_are_bad_gateways() {
    let (world, _server, socket) = served(|_| {}).await;
    let ask = "GET /shop HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n";
    let long = |length: usize| {
        let value = "x".repeat(length / 4);
        let header = |n: usize| format!("x{n}: {value}\r\n");
        let headers: String = (0..4).map(header).collect();
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{headers}\r\n")
    };
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned(),
            200,
        ),
        (long(31 * 1024), 200),
        (long(33 * 1024), 502),
        ("SSH-2.0-Target\r\n\r\n".to_owned(), 502),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_owned(),
            502,
        ),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_owned(), 502),
    ] {
        let shown: String = answer.chars().take(60).collect();
        answering(&world, answer).await;
        assert_eq!(status(&raw(socket, ask).await), expected, "{shown}");
    }
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_says_is_a_timeout() {
    let (world, _server, socket) = served(|state| {
        set(state, "idle_timeout.timeout_seconds", "4");
    })
    .await;
    answering(&world, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").await;
    let ask = "GET /shop HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n";
    let got = raw(socket, ask).await;
    assert_eq!(status(&got), 504, "{got}");
    assert!(got.ends_with(&page("504 Gateway Time-out")), "{got}");
    let entries = log(control(&world).await, 0).await;
    assert_eq!(entries[0]["elb_status_code"], 504);
    assert_eq!(entries[0]["target_status_code"], 200);
}

#[tokio::test]
async fn functions_take_bodies_up_to_a_megabyte() {
    let (_world, _server, socket) = served(|state| {
        let group = state.target_groups.get_mut(&group_arn("shop")).unwrap();
        group.target_type = TargetType::Lambda;
    })
    .await;
    let megabyte = 1024 * 1024;
    for (length, expected) in [(megabyte, 502), (megabyte + 1, 413)] {
        let body = "x".repeat(length);
        let head = "POST /shop HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n";
        let got = raw(
            socket,
            format!("{head}Content-Length: {length}\r\n\r\n{body}"),
        )
        .await;
        assert_eq!(status(&got), expected, "{length}");
        let chunked =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
        assert_eq!(
            status(&raw(socket, chunked).await),
            expected,
            "{length} in chunks"
        );
    }
}

#[tokio::test]
async fn listeners_change_the_headers_of_every_answer() {
    let (world, _server, socket) = served(|state| {
        let key = "routing.http.response.x_frame_options.header_value";
        set_of_listener(state, key, "DENY");
    })
    .await;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n");
    for (path, expected) in [("/shop", 200), ("/none", 404)] {
        let got = raw(socket, ask(path)).await.to_lowercase();
        assert_eq!(status(&got), expected);
        assert!(got.contains("\r\nx-frame-options: deny\r\n"), "{got}");
    }
    let got = raw(socket, "NONSENSE\r\n\r\n").await.to_lowercase();
    assert!(got.contains("\r\nx-frame-options: deny\r\n"), "{got}");
    assert!(got.contains("\r\nserver: awselb/2.0\r\n"), "{got}");

    world.change(|state| {
        set_of_listener(state, "routing.http.response.server.enabled", "false");
        set_of_listener(
            state,
            "routing.http.response.x_frame_options.header_value",
            "",
        );
    });
    let got = raw(socket, ask("/none")).await.to_lowercase();
    assert!(
        !got.contains("server:") && !got.contains("x-frame-options"),
        "{got}"
    );
    // What the target says of itself stays, and what the listener adds wins.
    let answer = "HTTP/1.1 200 OK\r\nserver: nginx\r\nx-frame-options: SAMEORIGIN\r\n\
        content-length: 0\r\n\r\n";
    answering(&world, answer).await;
    let got = raw(socket, ask("/shop")).await.to_lowercase();
    assert!(got.contains("\r\nserver: nginx\r\n"), "{got}");
    assert!(got.contains("\r\nx-frame-options: sameorigin\r\n"), "{got}");
    world.change(|state| {
        let key = "routing.http.response.x_frame_options.header_value";
        set_of_listener(state, key, "DENY");
    });
    let got = raw(socket, ask("/shop")).await.to_lowercase();
    assert_eq!(got.matches("x-frame-options").count(), 1, "{got}");
    assert!(got.contains("\r\nx-frame-options: deny\r\n"), "{got}");
}

#[tokio::test]
async fn a_switched_protocol_ends_when_nobody_speaks() {
    let (world, _server, socket) = served(|state| {
        set(state, "idle_timeout.timeout_seconds", "4");
    })
    .await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\n\r\nhello";
    answering(&world, switch).await;
    let ask =
        "GET /shop HTTP/1.1\r\nHost: a.b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // What is no head any more goes through too, and in the end it is closed.
    let got = raw(socket, format!("{ask}no head at all\r\n\r\n")).await;
    assert_eq!(status(&got), 101, "{got}");
    assert!(got.ends_with("\r\n\r\nhello"), "{got}");
    let control = control(&world).await;
    let kinds = log(control, 0).await;
    assert_eq!(kinds[0]["type"], json!("ws"));
}

#[tokio::test]
async fn a_refused_switch_leaves_the_connection_as_it_was() {
    let (_world, server, socket) = served(|_| {}).await;
    let mut stream = TcpStream::connect(socket).await.unwrap();
    let ask =
        b"GET /shop HTTP/1.1\r\nHost: a.b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
        GET /shop HTTP/1.1\r\nHost: a.b\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    assert_eq!(status(&one(&mut stream).await), 200);
    assert_eq!(status(&one(&mut stream).await), 200);
    stream.write_all(b"NONSENSE\r\n\r\n").await.unwrap();
    assert_eq!(status(&read(&mut stream).await), 400);
    let asked = || server.requests.load(Ordering::SeqCst) == 2;
    eventually("two requests", asked).await;
}
