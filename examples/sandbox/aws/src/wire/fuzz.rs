//! Requests that nobody would send: random ones by the models of their
//! operations, good ones spoiled, and raw bytes. None of them panics, none is
//! answered with a fault of the server, and in a debug build every answer fits
//! its model (see [`super::model::answer`]).
#![allow(clippy::unwrap_used)]

use std::{fmt::Write, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::State as Extract,
    http::Request,
};
use jiff::Timestamp;
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Map, Value};

use super::{
    cbor,
    incoming::identify,
    model::{Kind, Model, NAMESPACE, Protocol, Shape, decode::decode},
    service::Service,
};
use crate::{
    SharedState, State, Timing, World, callers::Callers, control::Control, faults::Faults,
    journal::Journal,
};

/// Draws (xorshift), repeatable by seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % bound.max(1)
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const TEXTS: [&str; 26] = [
    "",
    "a",
    "web",
    "-",
    "*",
    "0",
    "1",
    "-1",
    "80",
    "443",
    "65536",
    "true",
    "HTTP",
    "HTTPS",
    "10.0.0.0/16",
    "10.0.1.0/24",
    "10.0.0.11",
    "::/0",
    "2001:db8::/32",
    "/x*",
    "a.example.com",
    "é\u{1F980}\u{0}",
    "traffic-port",
    "default",
    "arn:aws:x",
    "%00%",
];

/// An account to send requests to, and the names of what is in it.
struct Target {
    control: Control,
    names: Vec<String>,
}

impl Target {
    fn new() -> Self {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let now = Timestamp::now();
        World::default().build(&mut state, now).unwrap();
        let state = SharedState::new(state);
        let control = Control {
            state: state.clone(),
            faults: Arc::new(Faults::of(state.chance().clone())),
            journal: Arc::new(Journal::default()),
            callers: Arc::new(Callers::new("123456789012", "us-east-1", false)),
            throttle: Arc::default(),
        };
        let mut target = Self {
            control,
            names: Vec::new(),
        };
        target.learn();
        target
    }

    /// Takes the names of what there is now into the pool.
    fn learn(&mut self) {
        self.names = self.control.state.read(|state| {
            let mut names: Vec<String> = Vec::new();
            names.extend(state.vpcs.keys().cloned());
            names.extend(state.subnets.keys().cloned());
            names.extend(state.security_groups.keys().cloned());
            names.extend(state.route_tables.keys().cloned());
            names.extend(state.internet_gateways.keys().cloned());
            names.extend(state.instances.keys().cloned());
            names.extend(state.network_interfaces.keys().cloned());
            names.extend(state.hosted_zones.keys().cloned());
            names.extend(state.certificates.keys().cloned());
            names.extend(state.target_groups.keys().cloned());
            for balancer in state.load_balancers.values() {
                names.push(balancer.arn.clone());
                names.extend(balancer.listeners.values().map(|it| it.arn.clone()));
            }
            names
        });
    }

    /// Sends a request; its status and body.
    fn send(&self, request: Request<Body>) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let answer = super::serve(Extract(self.control.clone()), request).await;
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (status, String::from_utf8_lossy(&body).into_owned())
        })
    }
}

/// A value for a shape: mostly what the model asks for, sometimes not.
fn invent(dice: &mut Dice, model: &Model, names: &[String], shape: &Shape, depth: usize) -> Value {
    if dice.one_in(40) {
        return [
            Value::from("?"),
            Value::from(7),
            Value::Bool(true),
            Value::Array(vec![]),
        ][dice.below(4)]
        .clone();
    }
    let part = |name: &str| model.shape(name).unwrap();
    match shape.kind {
        Kind::Structure => {
            let mut fields = Map::new();
            for member in &shape.members {
                let required = shape.required.iter().any(|name| name == member.name());
                let chances = if depth > 3 { 12 } else { 3 };
                if (required && !dice.one_in(30)) || dice.one_in(chances) {
                    let value = invent(dice, model, names, part(&member.1), depth + 1);
                    fields.insert(member.name().to_owned(), value);
                }
            }
            Value::Object(fields)
        }
        Kind::List => {
            let length = if depth > 5 {
                0
            } else {
                [1, 1, 1, 2, 3, 0, 30][dice.below(7)]
            };
            let item = part(&shape.member);
            let items = (0..length).map(|_| invent(dice, model, names, item, depth + 1));
            Value::Array(items.collect())
        }
        Kind::Map => {
            let value = part(&shape.value);
            let value = invent(dice, model, names, value, depth + 1);
            Value::Object(
                [(TEXTS[dice.below(TEXTS.len())].to_owned(), value)]
                    .into_iter()
                    .collect(),
            )
        }
        Kind::Boolean => Value::Bool(dice.one_in(2)),
        Kind::Integer | Kind::Long => {
            let (min, max) = (shape.min.unwrap_or(0.0), shape.max.unwrap_or(100.0));
            let drawn = [
                min,
                max,
                min - 1.0,
                max + 1.0,
                f64::midpoint(min, max),
                80.0,
                2e9,
            ][dice.below(7)];
            #[allow(clippy::cast_possible_truncation)]
            Value::from(drawn as i64)
        }
        Kind::Float | Kind::Double => Value::from(0.5),
        Kind::Timestamp => Value::from(1_700_000_000),
        Kind::Blob => Value::from(["eA==", "!", ""][dice.below(3)]),
        Kind::String => {
            if !shape.values.is_empty() && !dice.one_in(20) {
                return Value::from(dice.pick(&shape.values).as_str());
            }
            match dice.below(8) {
                0 => Value::from("x".repeat(dice.below(300))),
                1..=3 => Value::from(dice.pick(names).as_str()),
                _ => Value::from(*dice.pick(&TEXTS)),
            }
        }
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02X}");
        out
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as a form writes it.
fn form(out: &mut String, model: &Model, shape: &Shape, place: &str, value: &Value) {
    let below = |name: &str| match place {
        "" => name.to_owned(),
        place => format!("{place}.{name}"),
    };
    let flat = model.protocol == Protocol::Ec2;
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(fields)) => {
            for member in &shape.members {
                if let (Some(value), Some(shape)) =
                    (fields.get(member.name()), model.shape(&member.1))
                {
                    form(out, model, shape, &below(member.request()), value);
                }
            }
        }
        (Kind::List, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let name = if flat {
                    String::new()
                } else {
                    format!("{}.", shape.item)
                };
                let place = below(&format!("{name}{}", index + 1));
                form(
                    out,
                    model,
                    model.shape(&shape.member).unwrap(),
                    &place,
                    item,
                );
            }
        }
        (_, value) => {
            let _ = write!(out, "&{place}={}", escaped(&plain(value)));
        }
    }
}

/// A value as XML writes it.
fn xml(out: &mut String, model: &Model, shape: &Shape, value: &Value) {
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(fields)) => {
            for member in shape
                .members
                .iter()
                .filter(|member| member.location().is_none())
            {
                if let (Some(value), Some(shape)) =
                    (fields.get(member.name()), model.shape(&member.1))
                {
                    let _ = write!(out, "<{}>", member.request());
                    xml(out, model, shape, value);
                    let _ = write!(out, "</{}>", member.request());
                }
            }
        }
        (Kind::List, Value::Array(items)) => {
            for item in items {
                let _ = write!(out, "<{}>", shape.item);
                xml(out, model, model.shape(&shape.member).unwrap(), item);
                let _ = write!(out, "</{}>", shape.item);
            }
        }
        (_, value) => {
            let text = plain(value).replace('&', "&amp;").replace('<', "&lt;");
            out.push_str(&text.replace('\0', ""));
        }
    }
}

/// A request for a random operation.
fn request(dice: &mut Dice, names: &[String]) -> (String, Request<Vec<u8>>) {
    let service = *dice.pick(&Service::ALL);
    let model = service.model();
    let mut actions: Vec<&String> = model.operations.keys().collect();
    actions.sort();
    let action = *dice.pick(&actions);
    let operation = &model.operations[action];
    let shape = operation
        .input
        .as_deref()
        .and_then(|name| model.shape(name));
    let value = shape.map_or(Value::Null, |shape| invent(dice, model, names, shape, 0));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=00",
        service.scope()
    );
    let request = Request::builder().header("authorization", authorization);
    if matches!(service, Service::Shield | Service::Tagging) && dice.one_in(2) {
        let uri = format!("/service/{}/operation/{action}", target_of(service));
        let body = cbor::write(&value, None);
        let request = request.method("POST").uri(uri).body(body);
        return (format!("{action} in CBOR {value}"), request.unwrap());
    }
    let (request, mut body) = match service.protocol() {
        Protocol::Json => {
            let target = target_of(service);
            let request = request.method("POST").uri("/");
            (
                request.header("x-amz-target", format!("{target}.{action}")),
                value.to_string(),
            )
        }
        Protocol::Query | Protocol::Ec2 => {
            let mut body = format!("Action={action}&Version={}", version_of(service));
            if let Some(shape) = shape {
                form(&mut body, model, shape, "", &value);
            }
            (request.method("POST").uri("/"), body)
        }
        Protocol::RestXml => {
            let (mut uri, mut query) = (operation.uri.clone(), String::new());
            for member in shape.into_iter().flat_map(|shape| &shape.members) {
                let Some(value) = value.get(member.name()) else {
                    continue;
                };
                match member.location() {
                    Some("uri") => {
                        let label = format!("{{{}}}", member.request());
                        uri = uri.replace(&label, &escaped(&plain(value)));
                    }
                    Some(_) => {
                        let _ = write!(query, "&{}={}", member.request(), escaped(&plain(value)));
                    }
                    None => {}
                }
            }
            let mut body = String::new();
            if let (Some(root), Some(shape)) = (&operation.root, shape) {
                let _ = write!(body, "<{root} xmlns=\"{NAMESPACE}\">");
                xml(&mut body, model, shape, &value);
                let _ = write!(body, "</{root}>");
            }
            let uri = uri.replace(['{', '}'], "");
            let uri = format!("{uri}?{}", query.trim_start_matches('&'));
            (request.method(operation.method.as_str()).uri(uri), body)
        }
    };
    if dice.one_in(10) {
        // Spoiled: a part is cut out or doubled.
        let cut: Vec<char> = body.chars().collect();
        let (from, to) = (dice.below(cut.len() + 1), dice.below(cut.len() + 1));
        body = cut[..from].iter().chain(&cut[to..]).collect();
    }
    let shown = format!("{action} {body}");
    (shown, request.body(body.into_bytes()).unwrap())
}

/// A call that fits the model of its operation, as a service reads it.
pub(super) fn call(dice: &mut Dice, names: &[String]) -> (Service, String, Value) {
    loop {
        let (_, request) = request(dice, names);
        let (parts, body) = request.into_parts();
        let body = Bytes::from(body);
        let Ok(incoming) = identify(&parts.method, &parts.uri, &parts.headers, &body, None) else {
            continue;
        };
        let service = incoming.service;
        let Some(operation) = service.model().operations.get(&incoming.action) else {
            continue;
        };
        let Ok((tree, violations)) = decode(service.model(), operation, &incoming.content) else {
            continue;
        };
        if service.complain(&violations).is_none() {
            return (service, incoming.action, tree);
        }
    }
}

fn target_of(service: Service) -> &'static str {
    match service {
        Service::Acm => "CertificateManager",
        Service::WafV2 => "AWSWAF_20190729",
        Service::WafRegional => "AWSWAF_Regional_20161128",
        Service::Shield => "AWSShield_20160616",
        Service::Tagging => "ResourceGroupsTaggingAPI_20170126",
        _ => "AWSCognitoIdentityProviderService",
    }
}

fn version_of(service: Service) -> &'static str {
    match service {
        Service::Elb => "2015-12-01",
        Service::Ec2 => "2016-11-15",
        Service::Sts => "2011-06-15",
        _ => "2010-05-08",
    }
}

#[test]
fn every_operation_of_the_models_is_carried_out() {
    let missing: Vec<String> = Service::ALL
        .into_iter()
        .flat_map(|service| {
            let actions = service.model().operations.keys();
            actions.map(move |action| (service, action))
        })
        .filter(|(service, action)| !super::exists(*service, action))
        .map(|(service, action)| format!("{}:{action}", service.scope()))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

proptest! {
    // A seed means other requests once an operation is added, so none is kept.
    #![proptest_config(Config { cases: 12, failure_persistence: None, ..Config::default() })]

    #[test]
    fn requests_by_the_models_are_never_a_fault_of_the_server(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let mut target = Target::new();
        for call in 0..250 {
            let (shown, request) = request(&mut dice, &target.names);
            let (status, body) = target.send(request.map(Body::from));
            let told = body.contains("InsufficientCapacity");
            prop_assert!(status < 500 || told, "{shown}\n{status} {body}");
            if call % 25 == 0 {
                target.learn();
            }
        }
    }

    #[test]
    fn raw_bytes_are_never_a_fault_of_the_server(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "\\PC{0,80}",
        path in "/[a-z0-9/%.-]{0,40}",
    ) {
        let target = Target::new();
        let forms = [
            bytes,
            format!("Action={text}&Version=2015-12-01").into_bytes(),
            format!("Action=DescribeVpcs&Version=2016-11-15&{text}").into_bytes(),
            format!("Action=DescribeVpcs&Version=2016-11-15&Filter.1.{text}=1").into_bytes(),
            format!("{{\"{text}\": {text}").into_bytes(),
            format!("<a{text}>").into_bytes(),
        ];
        let authorization = "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=00";
        for body in forms {
            for (uri, header) in [
                ("/", "CertificateManager.ListCertificates"),
                (path.as_str(), ""),
                ("/2013-04-01/hostedzone/Z1/rrset", ""),
                ("/service/AWSShield_20160616/operation/GetSubscriptionState", ""),
            ] {
                let mut request = Request::builder().method("POST").uri(uri);
                request = request.header("authorization", authorization);
                if !header.is_empty() {
                    request = request.header("x-amz-target", header);
                }
                let (status, body) = target.send(request.body(Body::from(body.clone())).unwrap());
                prop_assert!(status < 500, "{status} {body}");
            }
        }
    }
}
