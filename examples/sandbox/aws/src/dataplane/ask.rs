//! `POST /_sim/request`: asks a listener as a client would and tells what was
//! looked at on the way to the answer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::header::{HOST, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Shared;
use super::client_certificate::judged;
use super::course::{Arrival, Course, Trace};
use super::forwarded::without_port;
use super::route::listener_of;
use super::serve::{Reply, answer};
use super::tls;
use super::zones::Node;
use crate::chance::Chance;
use crate::state::{Listener, LoadBalancer, LoadBalancerState, Protocol, State};

/// So much of the body of an answer is told.
const TOLD: usize = 16 * 1024;

/// The body of an answer is read for this long.
const READING: Duration = Duration::from_secs(10);

/// What a request has to look like, for those who sent another.
const EXPECTED: &str = r#"expected {"listener": "arn:… of a listener, or name, DNS name or ARN of a load balancer", "port": 443, "method": "GET", "version": "HTTP/1.1" or "HTTP/2", "host": "shop.example.com", "path": "/cart?x=1", "headers": {"name": "value" or ["value", …]}, "body": "…", "source": "192.0.2.7", "zone": "us-east-1a", "client_certificate": "PEM"}; only the listener is needed, and of a load balancer with several listeners the port"#;

/// The request that is to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// ARN of a listener; or name, DNS name or ARN of a load balancer.
    listener: String,
    /// Port of the listener, where a load balancer is named that has several.
    port: Option<u16>,
    /// `GET` if absent.
    method: Option<String>,
    /// `HTTP/1.1` if absent, or `HTTP/2`.
    version: Option<String>,
    /// The DNS name of the load balancer if absent. On HTTPS listeners also
    /// the name that is asked for in the TLS handshake.
    host: Option<String>,
    /// Path and query; `/` if absent.
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    #[serde(default)]
    body: String,
    /// Address of the client, with or without port; 127.0.0.1 if absent.
    source: Option<String>,
    /// The certificates that the client shows, in PEM form, its own one first.
    client_certificate: Option<String>,
    /// Zone of the node that it comes to; any that DNS names if absent.
    zone: Option<String>,
}

/// The values of a header: one, or several lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    trace: Trace,
    /// Absent where no connection comes about.
    answer: Option<ToldAnswer>,
}

/// The answer as the client would get it.
#[derive(Debug, Serialize)]
struct ToldAnswer {
    status: u16,
    headers: BTreeMap<String, Values>,
    /// Its first 16 KiB; what is no UTF-8 is replaced.
    body: String,
    /// Whether this is all of the body.
    complete: bool,
}

type Refused = (StatusCode, String);

/// Sends the request the way that one takes which comes through a socket,
/// target and turn of the target included; it is not in the access log. The
/// body is read as JSON whatever its media type says.
pub(super) async fn ask(
    Extract(shared): Extract<Shared>,
    body: Bytes,
) -> Result<Json<Told>, Refused> {
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| bad(&format!("cannot read the request: {error}; {EXPECTED}")))?;
    let (arrival, dns_name) = shared
        .state
        .everywhere(|states| arrival(states, &asked, shared.state.chance()))
        .map_err(|why| bad(&why))?;
    let parts = parts(&asked, &dns_name).map_err(|why| bad(&why))?;
    let mut course = Course {
        trace: Some(Box::default()),
        ..Course::default()
    };
    let judged = shared.state.of_arn(&arrival.listener).read(|state| {
        let (_, listener) = listener_of(state, &arrival.listener)?;
        let certificate = listener
            .protocol
            .is_secure()
            .then(|| tls::chosen(state, listener, arrival.server_name.as_deref()));
        Some((certificate, judged(state, listener, &arrival.client_chain)?))
    });
    if let Some((certificate, seen)) = judged.filter(|(_, seen)| !seen.accepted) {
        let trace = Trace {
            certificate,
            reason: format!("the TLS handshake fails: {}", seen.why),
            client_certificate: Some(seen),
            ..Trace::default()
        };
        let answer = None;
        return Ok(Json(Told { trace, answer }));
    }
    let body = Full::new(Bytes::from(asked.body));
    let reply = answer(&shared, &arrival, parts, body, &mut course).await;
    Ok(Json(Told {
        answer: Some(told(reply).await),
        trace: course.trace.map(|trace| *trace).unwrap_or_default(),
    }))
}

fn bad(why: &str) -> Refused {
    (StatusCode::BAD_REQUEST, format!("{why}\n"))
}

/// How the request comes in, and the DNS name of its load balancer.
fn arrival(states: &[&State], asked: &Asked, chance: &Chance) -> Result<(Arrival, String), String> {
    let (balancer, listener) = find(states, asked)?;
    if balancer.state != LoadBalancerState::Active {
        return Err(format!(
            "load balancer '{}' is not active yet, so nothing listens",
            balancer.name
        ));
    }
    if !listener.protocol.is_http() {
        // Connections of a Network Load Balancer carry no requests that it knows of.
        return Err(format!(
            "the listener speaks {}, expected one that speaks HTTP or HTTPS",
            listener.protocol.as_str()
        ));
    }
    let node = match &asked.zone {
        None => Node::any(chance),
        Some(zone) if balancer.subnets.contains_key(zone) => Node::In(zone.clone()),
        Some(zone) => {
            let zones: Vec<&str> = balancer.subnets.keys().map(String::as_str).collect();
            return Err(format!(
                "load balancer '{}' has no node in '{zone}', expected \"zone\": one of {}",
                balancer.name,
                zones.join(", ")
            ));
        }
    };
    let host = asked.host.as_deref().unwrap_or(&balancer.dns_name);
    let arrival = Arrival {
        listener: listener.arn.clone(),
        balancer: balancer.arn.clone(),
        port: listener.port,
        protocol: listener.protocol,
        peer: source(asked.source.as_deref())?,
        node,
        server_name: (listener.protocol == Protocol::Https)
            .then(|| without_port(host).to_owned())
            .filter(|name| !name.is_empty()),
        certificate: None,
        session: None,
        client_chain: chain(asked.client_certificate.as_deref())?,
    };
    Ok((arrival, balancer.dns_name.clone()))
}

fn chain(pem: Option<&str>) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem.unwrap_or_default().as_bytes());
    let chain: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .map_err(|error| format!("\"client_certificate\": {error}"))?;
    if pem.is_some() && chain.is_empty() {
        return Err("\"client_certificate\" has no certificate in PEM form".to_owned());
    }
    Ok(chain)
}

fn find<'a>(
    states: &[&'a State],
    asked: &Asked,
) -> Result<(&'a LoadBalancer, &'a Listener), String> {
    let named = asked.listener.as_str();
    let all = || {
        states
            .iter()
            .flat_map(|state| state.load_balancers.values())
    };
    let by_listener = all().find_map(|balancer| {
        let mut listeners = balancer.listeners.values();
        Some((balancer, listeners.find(|it| it.arn == named)?))
    });
    if let Some(found) = by_listener {
        return Ok(found);
    }
    let balancer = all().find(|balancer| {
        [&balancer.name, &balancer.arn]
            .into_iter()
            .any(|it| it == named)
            || balancer.dns_name.eq_ignore_ascii_case(named)
    });
    let Some(balancer) = balancer else {
        let names: Vec<&str> = all().take(20).map(|it| it.name.as_str()).collect();
        return Err(format!(
            "there is no listener or load balancer '{named}'; expected the ARN of a listener, or \
             name, DNS name or ARN of a load balancer; there are: {}",
            names.join(", ")
        ));
    };
    let ports: Vec<String> = balancer.listeners.keys().map(u16::to_string).collect();
    let ports = ports.join(", ");
    let listener = match asked.port {
        Some(port) => balancer.listeners.get(&port),
        None if balancer.listeners.len() == 1 => balancer.listeners.values().next(),
        None => {
            return Err(format!(
                "load balancer '{}' has {} listeners, expected \"port\": one of {ports}",
                balancer.name,
                balancer.listeners.len()
            ));
        }
    };
    let listener = listener.ok_or_else(|| {
        format!(
            "load balancer '{}' has no listener on this port; expected \"port\": one of {ports}",
            balancer.name
        )
    })?;
    Ok((balancer, listener))
}

fn source(text: Option<&str>) -> Result<SocketAddr, String> {
    let Some(text) = text else {
        return Ok((Ipv4Addr::LOCALHOST, 40_000).into());
    };
    let address = text.parse::<IpAddr>().map(|ip| (ip, 40_000).into());
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("\"source\" is '{text}', expected an IP address such as 192.0.2.7, with or without a port")
    })
}

fn parts(asked: &Asked, dns_name: &str) -> Result<Parts, String> {
    let method = asked.method.as_deref().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| format!("\"method\" is '{method}', expected one such as GET"))?;
    let path = asked.path.as_deref().unwrap_or("/");
    let uri = path
        .parse::<Uri>()
        .ok()
        .filter(|_| path.starts_with('/'))
        .ok_or_else(|| format!("\"path\" is '{path}', expected one such as /cart?x=1"))?;
    let host = asked.host.as_deref().unwrap_or(dns_name);
    let mut headers = HeaderMap::new();
    let value = |name: &str, text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| format!("'{text}' cannot be the value of the header {name}"))
    };
    headers.insert(HOST, value("Host", host)?);
    for (name, values) in &asked.headers {
        let key: HeaderName = name
            .parse()
            .map_err(|_| format!("'{name}' cannot be the name of a header"))?;
        if key == HOST {
            return Err("the Host header is given as \"host\", expected no other".to_owned());
        }
        let values = match values {
            Values::One(one) => std::slice::from_ref(one),
            Values::Many(many) => many.as_slice(),
        };
        for text in values {
            headers.append(&key, value(name, text)?);
        }
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.version = match asked.version.as_deref() {
        None | Some("HTTP/1.1") => Version::HTTP_11,
        Some("HTTP/2") => Version::HTTP_2,
        Some(other) => {
            return Err(format!(
                "\"version\" is '{other}', expected HTTP/1.1 or HTTP/2"
            ));
        }
    };
    parts.uri = uri;
    parts.headers = headers;
    Ok(parts)
}

async fn told(reply: Reply) -> ToldAnswer {
    let (parts, mut body) = reply.into_parts();
    let mut read = Vec::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            if let Some(data) = frame.data_ref() {
                read.extend_from_slice(data);
            }
            if read.len() > TOLD {
                return false;
            }
        }
        true
    };
    let complete = timeout(READING, reading).await.unwrap_or(false);
    read.truncate(TOLD);
    let headers = parts.headers.keys().map(|name| {
        let lines = parts.headers.get_all(name).iter();
        let mut lines: Vec<String> = lines
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let values = if lines.len() == 1 {
            Values::One(lines.remove(0))
        } else {
            Values::Many(lines)
        };
        (name.to_string(), values)
    });
    ToldAnswer {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&read).into_owned(),
        complete,
    }
}
