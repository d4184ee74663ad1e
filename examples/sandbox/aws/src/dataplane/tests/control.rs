//! What can be asked of the data plane: traces and the access log.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::shop;
use super::sockets::secure;
use super::world::{
    Got, World, add_group, balancer_arn, eventually, fixed, forward, group_arn, listener_arn,
    register, send, serve, set_rule,
};
use crate::state::transform::Subject;
use crate::state::wafv2::{NewEntity, Scope};
use crate::state::{Condition, HealthState, QueryPair, Transform};

/// The socket of the routes under `/_sim`.
pub(super) async fn control(world: &World) -> SocketAddr {
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = control.local_addr().unwrap();
    let router = world.plane.router();
    tokio::spawn(async move { axum::serve(control, router).await });
    socket
}

/// Posts JSON.
pub(super) async fn post(control: SocketAddr, path: &str, body: &Value) -> Got {
    let request = Request::post(path).body(Body::from(body.to_string()));
    send(control, request.unwrap()).await
}

async fn ask(control: SocketAddr, body: Value) -> Value {
    let got = post(control, "/_sim/request", &body).await;
    assert_eq!(got.status, 200, "{got:?}");
    serde_json::from_str(&got.body).unwrap()
}

pub(super) async fn log(control: SocketAddr, after: u64) -> Vec<Value> {
    let path = format!("/_sim/requests?after={after}");
    let got = send(control, Request::get(path).body(Body::empty()).unwrap()).await;
    assert_eq!(got.status, 200, "{got:?}");
    serde_json::from_str(&got.body).unwrap()
}

#[tokio::test]
async fn a_web_acl_answers_before_the_rules() {
    let server = serve("one").await;
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    let settings = json!({ "DefaultAction": { "Allow": {} }, "Rules": [{
        "Name": "admin",
        "Priority": 0,
        "Action": { "Block": {} },
        "Statement": { "RegexMatchStatement": {
            "RegexString": "/admin",
            "FieldToMatch": { "UriPath": {} },
            "TextTransformations": [{ "Priority": 0, "Type": "NONE" }],
        }},
        "VisibilityConfig": { "MetricName": "m" },
    }]});
    let new = NewEntity {
        name: "acl".to_owned(),
        scope: Scope::Regional,
        description: None,
        tags: Vec::new(),
    };
    let settings = settings.as_object().unwrap().clone();
    let made = state.create_web_acl(&new, settings, jiff::Timestamp::UNIX_EPOCH);
    let arn = made.unwrap().arn.clone();
    state.associate_web_acl(&arn, &balancer_arn("web")).unwrap();
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let blocked = world.get(80, "/shop/admin").await;
    assert_eq!(blocked.status, 403);
    assert!(
        blocked.body.contains("<h1>403 Forbidden</h1>"),
        "{blocked:?}"
    );
    assert_eq!(blocked.headers["server"], "awselb/2.0");
    assert_eq!(world.get(80, "/shop").await.status, 200);
    assert_eq!(world.get(80, "/else").await.status, 404);

    let control = control(&world).await;
    let told = ask(control, json!({ "listener": "web", "path": "/shop/admin" })).await;
    assert_eq!(told["answer"]["status"], 403);
    let seen = json!({
        "name": "acl",
        "rules": [{ "name": "admin", "matched": true, "action": "Block" }],
        "action": "Block by its rule admin",
    });
    assert_eq!(told["trace"]["web_acl"], seen);
    assert_eq!(told["trace"]["rules"], json!([]), "no rule has seen it");
    let log = log(control, 0).await;
    let executed: Vec<_> = log
        .iter()
        .map(|it| it["actions_executed"].clone())
        .collect();
    assert_eq!(executed, ["waf", "waf,forward", "waf,fixed-response"]);
    let why = "the web ACL acl blocks the request by its rule admin";
    assert_eq!(log[0]["error_reason"], why);
}

#[tokio::test]
async fn a_trace_tells_what_decided() {
    let server = serve("one").await;
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    set_rule(&mut state, "web", 80, (1, "/other", fixed(200, "x")));
    set_rule(&mut state, "web", 80, (2, "/shop*", fixed(200, "x")));
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let rule = balancer.listeners.get_mut(&80).unwrap().rules.get_mut(&2);
    rule.unwrap()
        .conditions
        .push(Condition::QueryString(vec![QueryPair {
            key: Some("beta".to_owned()),
            value: "yes".to_owned(),
        }]));
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let healthy = || world.health("shop", "10.0.48.11").state == HealthState::Healthy;
    eventually("healthy", healthy).await;
    let control = control(&world).await;

    let asked = json!({
        "listener": "web", "method": "POST", "host": "a.example.com", "path": "/shop/1?beta=no",
        "headers": {"x-mine": ["1", "2"]}, "body": "hello", "source": "192.0.2.7",
    });
    let told = ask(control, asked).await;
    let trace = &told["trace"];
    assert_eq!(trace["listener"]["arn"], listener_arn("web", 80));
    assert_eq!(trace["listener"]["load_balancer"], balancer_arn("web"));
    assert_eq!(trace["certificate"], Value::Null);
    assert_eq!(
        trace["rules"],
        json!([
            {"priority": "1", "arn": "", "matched": false, "conditions": [{
                "field": "path-pattern", "wanted": ["/other"], "found": ["/shop/1"], "met": false,
            }]},
            {"priority": "2", "arn": "", "matched": false, "conditions": [{
                "field": "path-pattern", "wanted": ["/shop*"], "found": ["/shop/1"], "met": true,
            }, {
                "field": "query-string", "wanted": ["beta=yes"], "found": ["beta=no"], "met": false,
            }]},
            {"priority": "5", "arn": "", "matched": true, "conditions": [{
                "field": "path-pattern", "wanted": ["/shop*"], "found": ["/shop/1"], "met": true,
            }]},
        ])
    );
    assert_eq!(trace["action"], "forward");
    assert_eq!(trace["target_group"]["arn"], group_arn("shop"));
    assert_eq!(
        trace["target"],
        json!({
            "target": "10.0.48.11:8080", "socket": server.socket.to_string(),
            "why": "its turn among 1 that are healthy",
        })
    );
    assert_eq!(trace["reason"], "the target has answered");
    assert_eq!(told["answer"]["status"], 200);
    assert_eq!(told["answer"]["complete"], true);
    let body = told["answer"]["body"].as_str().unwrap();
    for line in [
        "POST /shop/1?beta=no",
        "host: a.example.com",
        "x-forwarded-for: 192.0.2.7",
        "x-mine: 2",
        "hello",
    ] {
        assert!(body.lines().any(|it| it == line), "{line} not in {body}");
    }
    assert!(log(control, 0).await.is_empty(), "nobody has really asked");
}

#[tokio::test]
async fn a_trace_tells_why_the_load_balancer_answers_itself() {
    let mut state = shop();
    add_group(&mut state, "other", "web", 80);
    let halves = forward(&[("shop", 0), ("other", 7)]);
    set_rule(&mut state, "web", 80, (6, "/halves", halves));
    let world = World::of(state);
    let control = control(&world).await;
    let path = |path: &str| json!({"listener": listener_arn("web", 80), "path": path});

    let told = ask(control, path("/none")).await;
    assert_eq!(told["answer"]["status"], 404);
    assert_eq!(told["answer"]["body"], "nothing here");
    assert_eq!(told["answer"]["headers"]["server"], "awselb/2.0");
    assert_eq!(told["trace"]["rules"][2]["priority"], "default");
    assert_eq!(
        told["trace"]["reason"],
        "the action of the rule is a fixed response"
    );

    let told = ask(control, path("/halves")).await;
    assert_eq!(told["answer"]["status"], 503);
    let why = told["trace"]["target_group"]["why"].as_str().unwrap();
    assert!(
        why.ends_with("was drawn below 7, the sum of the weights 0, 7"),
        "{why}"
    );
    assert_eq!(
        told["trace"]["reason"],
        "no target is registered in the target group"
    );

    world.change(|state| register(state, "shop", "10.0.48.11"));
    let told = ask(control, path("/shop")).await;
    assert_eq!(told["answer"]["status"], 502);
    let why = told["trace"]["target"]["why"].as_str().unwrap();
    assert!(why.contains("fails open"), "{why}");
    let reason = told["trace"]["reason"].as_str().unwrap();
    assert!(reason.contains("no socket is known"), "{reason}");
}

#[tokio::test]
async fn transforms_change_what_the_target_sees() {
    let server = serve("one").await;
    let mut state = shop();
    register(&mut state, "shop", "10.0.48.11");
    let transform = |subject, regex: &str, replace: &str| Transform {
        subject,
        regex: regex.to_owned(),
        replace: replace.to_owned(),
    };
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let preserve = "routing.http.preserve_host_header.enabled".to_owned();
    balancer.attributes.insert(preserve, "true".to_owned());
    let rules = &mut balancer.listeners.get_mut(&80).unwrap().rules;
    rules.get_mut(&5).unwrap().transforms = vec![
        transform(Subject::Url, "^/shop/(.*)$", "/$1"),
        transform(Subject::HostHeader, "^[a-z]+\\.(.*)$", "in.$1"),
    ];
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();

    let got = world.get(80, "/shop/a?x=1").await;
    let lines: Vec<&str> = got.body.lines().collect();
    assert_eq!(lines[..2], ["one", "GET /a?x=1"]);
    assert!(lines.contains(&"host: in.example.com"), "{lines:?}");
    let lines = world.get(80, "/shop").await.body;
    assert!(
        lines.contains("GET /shop\n"),
        "no match, no change: {lines}"
    );

    world.change(|state| {
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        let rules = &mut balancer.listeners.get_mut(&80).unwrap().rules;
        rules.get_mut(&5).unwrap().transforms = vec![transform(Subject::Url, "^/shop", "x")];
    });
    assert_eq!(world.get(80, "/shop/a").await.status, 500);
    let control = control(&world).await;
    let told = ask(control, json!({"listener": "web", "path": "/shop/a"})).await;
    assert_eq!(
        told["trace"]["rewrites"],
        json!([{"transform": "url-rewrite", "from": "/shop/a", "to": "x/a"}])
    );
    assert_eq!(told["trace"]["reason"], "the url-rewrite gives 'x/a'");
}

#[tokio::test]
async fn a_trace_tells_the_certificate() {
    let world = World::of(secure());
    let control = control(&world).await;
    for (host, name, why) in [
        ("main.example.com", "main.example.com", "it covers"),
        ("a.example.org:443", "*.example.org", "it covers"),
        ("unknown.net", "main.example.com", "no certificate covers"),
    ] {
        let told = ask(control, json!({"listener": "web", "host": host})).await;
        assert_eq!(told["answer"]["body"], "over TLS");
        let shown = &told["trace"]["certificate"];
        let arn = format!("arn:aws:acm:us-east-1:123456789012:certificate/{name}");
        assert_eq!(shown["arn"], arn);
        assert!(shown["why"].as_str().unwrap().starts_with(why), "{shown}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_was_expected() {
    let mut state = shop();
    super::world::add_listener(&mut state, "web", 8081, crate::state::Protocol::Http);
    let world = World::of(state);
    let control = control(&world).await;
    let web = |name: &str, value: Value| {
        let mut asked = json!({"listener": "web", "port": 80});
        asked[name] = value;
        asked
    };
    for (asked, expected) in [
        (json!({}), "expected {\"listener\""),
        (json!({"listener": "shop"}), "there are: web"),
        (json!({"listener": "web"}), "one of 80, 8081"),
        (web("port", json!(81)), "one of 80, 8081"),
        (web("source", json!("here")), "expected an IP address"),
        (web("path", json!("cart")), "expected one such as /cart"),
        (web("method", json!("G T")), "expected one such as GET"),
        (web("headers", json!({"a b": "c"})), "the name of a header"),
        (
            web("headers", json!({"a": "b\n"})),
            "the value of the header a",
        ),
        (web("headers", json!({"Host": "a"})), "given as \"host\""),
        (web("paths", json!("/")), "unknown field"),
    ] {
        let got = post(control, "/_sim/request", &asked).await;
        assert_eq!(got.status, 400, "{asked}");
        assert!(got.body.contains(expected), "{asked}: {}", got.body);
    }
}

#[tokio::test]
async fn the_access_log_tells_of_requests_and_of_clients_that_left() {
    let server = serve("one").await;
    let mut state = shop();
    set_rule(&mut state, "web", 80, (6, "/slow", forward(&[("shop", 1)])));
    register(&mut state, "shop", "10.0.48.11");
    let world = World::of(state);
    let control = control(&world).await;
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let socket = world.endpoint(80).await.socket;
    let request = Request::get("/shop?x=1").header("user-agent", "test/1");
    send(socket, request.body(Body::empty()).unwrap()).await;
    world.get(80, "/none").await;

    let entries = log(control, 0).await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    let first = &entries[0];
    for (field, value) in [
        ("number", json!(1)),
        ("type", json!("http")),
        ("elb", json!("app/web/50dc6c495c0c9188")),
        ("target", json!("10.0.48.11:8080")),
        ("elb_status_code", json!(200)),
        ("target_status_code", json!(200)),
        (
            "request",
            json!("GET http://shop.example.com:80/shop?x=1 HTTP/1.1"),
        ),
        ("user_agent", json!("test/1")),
        ("target_group_arn", json!(group_arn("shop"))),
        ("matched_rule_priority", json!(5)),
        ("actions_executed", json!("forward")),
        ("error_reason", Value::Null),
        ("domain_name", Value::Null),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert!(first["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(first["trace_id"].as_str().unwrap().starts_with("Root=1-"));
    assert!(first["target_processing_time"].as_f64().unwrap() >= 0.0);
    let second = &entries[1];
    assert_eq!(second["elb_status_code"], 404);
    assert_eq!(second["target_status_code"], Value::Null);
    assert_eq!(second["target_processing_time"], -1.0);
    assert_eq!(second["matched_rule_priority"], 0);
    assert_eq!(second["actions_executed"], "fixed-response");
    assert_eq!(log(control, 1).await, entries[1..]);

    let mut client = TcpStream::connect(socket).await.unwrap();
    let ask = b"GET /slow HTTP/1.1\r\nhost: a.b\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let reached = || server.requests.load(std::sync::atomic::Ordering::SeqCst) == 2;
    eventually("the target is asked", reached).await;
    drop(client);
    let left = async {
        loop {
            if let Some(entry) = log(control, 2).await.pop() {
                return entry;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    let left = tokio::time::timeout(limit, left).await.unwrap();
    assert_eq!(left["elb_status_code"], 460);
    assert_eq!(left["target"], "10.0.48.11:8080");
    let reason = left["error_reason"].as_str().unwrap();
    assert!(reason.starts_with("the client closed"), "{reason}");
}
