//! What the load balancer changes in the headers of a request on its way to a
//! target, and of the answer on its way back.
//!
//! Pure. Source: "HTTP headers and Application Load Balancers" of the guide.

use std::net::SocketAddr;

use axum::http::header::{
    CONNECTION, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, StatusCode, request};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// Where a request is told from others, from hop to hop.
pub(crate) const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// `routing.http.xff_header_processing.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ForwardedFor {
    /// The client's address is added at the end.
    #[default]
    Append,
    /// The header goes on as it came.
    Preserve,
    /// The header is dropped.
    Remove,
}

/// Attributes of the load balancer that change headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Processing {
    pub(crate) forwarded_for: ForwardedFor,
    /// `routing.http.xff_client_port.enabled`
    pub(crate) client_port: bool,
    /// `routing.http.preserve_host_header.enabled`
    pub(crate) preserve_host: bool,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingress {
    pub(crate) peer: SocketAddr,
    /// Port of the listener as its state says.
    pub(crate) port: u16,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
}

/// The protocol that a message asks to switch to, if it does.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asks).cloned()
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

/// Removes what speaks of one connection only (RFC 9110, 7.6.1), except a wish to upgrade.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let upgrade = upgrade(headers);
    let named: Vec<HeaderName> = connection_options(headers)
        .filter_map(|option| option.parse().ok())
        .collect();
    let fixed = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in fixed.into_iter().chain(named) {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// The host that a request names: of an absolute request target, else of its
/// first `Host` header; empty if it names none.
pub(crate) fn authority(parts: &request::Parts) -> &str {
    match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
    }
}

/// The host of an authority, without its port.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A colon inside of an IPv6 address is not that of a port.
            if host.contains(':') && !host.ends_with(']') {
                authority
            } else {
                host
            }
        }
        _ => authority,
    }
}

/// The `Host` that a target sees.
fn host_for_target(authority: &str, port: u16) -> String {
    let host = without_port(authority);
    if matches!(port, 80 | 443) {
        host.to_owned()
    } else if host.len() == authority.len() {
        format!("{authority}:{port}")
    } else {
        authority.to_owned()
    }
}

/// Makes the headers of a client's request those that the target gets.
///
/// Errors with the status that the load balancer answers instead.
pub(crate) fn towards_target(
    parts: &mut request::Parts,
    ingress: Ingress,
    processing: Processing,
) -> Result<(), StatusCode> {
    if !processing.preserve_host {
        let host = host_for_target(authority(parts), ingress.port);
        if !host.is_empty() && !host.starts_with(':') {
            let host = HeaderValue::try_from(host).map_err(|_| StatusCode::BAD_REQUEST)?;
            parts.headers.insert(HOST, host);
        }
    }
    drop_hop_by_hop(&mut parts.headers);
    forwarded_for(&mut parts.headers, ingress.peer, processing)?;
    parts
        .headers
        .insert(FORWARDED_PROTO, HeaderValue::from_static(ingress.scheme));
    parts
        .headers
        .insert(FORWARDED_PORT, HeaderValue::from(ingress.port));
    trace(&mut parts.headers)
}

fn forwarded_for(
    headers: &mut HeaderMap,
    peer: SocketAddr,
    processing: Processing,
) -> Result<(), StatusCode> {
    let came: Vec<String> = headers
        .get_all(FORWARDED_FOR)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let came = came.join(", ");
    if came.split(',').count() > MAX_FORWARDED_FOR {
        return Err(StatusCode::from_u16(463).unwrap_or(StatusCode::BAD_REQUEST));
    }
    match processing.forwarded_for {
        ForwardedFor::Preserve => return Ok(()),
        ForwardedFor::Remove => {
            headers.remove(FORWARDED_FOR);
            return Ok(());
        }
        ForwardedFor::Append => {}
    }
    let client = if processing.client_port {
        peer.to_string()
    } else {
        peer.ip().to_string()
    };
    let value = if came.is_empty() {
        client
    } else {
        format!("{came}, {client}")
    };
    let value = HeaderValue::try_from(value).map_err(|_| StatusCode::BAD_REQUEST)?;
    headers.insert(FORWARDED_FOR, value);
    Ok(())
}

/// The load balancer answers 463 to a request with more addresses than this.
const MAX_FORWARDED_FOR: usize = 30;

fn trace(headers: &mut HeaderMap) -> Result<(), StatusCode> {
    let came = headers
        .get(TRACE_ID)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let seconds = jiff::Timestamp::now().as_second();
    let random: u128 = rand::random();
    let id = format!("1-{seconds:08x}-{:024x}", random >> 32);
    let kept: Vec<&str> = came
        .split(';')
        .map(str::trim)
        .filter(|field| !field.is_empty() && !field.starts_with("Self="))
        .collect();
    let value = if kept.iter().any(|field| field.starts_with("Root=")) {
        format!("Self={id};{}", kept.join(";"))
    } else {
        format!("Root={id}")
    };
    let value = HeaderValue::try_from(value).map_err(|_| StatusCode::BAD_REQUEST)?;
    headers.insert(TRACE_ID, value);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::Request;

    const PLAIN: Processing = Processing {
        forwarded_for: ForwardedFor::Append,
        client_port: false,
        preserve_host: false,
    };

    fn sent(request: request::Builder, port: u16, processing: Processing) -> HeaderMap {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let ingress = Ingress {
            peer: "192.0.2.7:5123".parse().unwrap(),
            port,
            scheme: "http",
        };
        towards_target(&mut parts, ingress, processing).unwrap();
        parts.headers
    }

    #[test]
    fn forwarded_headers() {
        let headers = sent(Request::get("/").header("host", "a.b"), 80, PLAIN);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-port"], "80");
        assert_eq!(headers["host"], "a.b");
        assert!(
            headers["x-amzn-trace-id"]
                .to_str()
                .unwrap()
                .starts_with("Root=1-")
        );

        let spoofed = || {
            Request::get("/")
                .header("x-forwarded-for", "198.51.100.1")
                .header("x-forwarded-proto", "https")
                .header("x-forwarded-port", "443")
        };
        let headers = sent(spoofed(), 8080, PLAIN);
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-port"], "8080");
        let client_port = Processing {
            client_port: true,
            ..PLAIN
        };
        assert_eq!(
            sent(spoofed(), 80, client_port)["x-forwarded-for"],
            "198.51.100.1, 192.0.2.7:5123"
        );
        let preserve = Processing {
            forwarded_for: ForwardedFor::Preserve,
            ..client_port
        };
        assert_eq!(
            sent(spoofed(), 80, preserve)["x-forwarded-for"],
            "198.51.100.1"
        );
        let remove = Processing {
            forwarded_for: ForwardedFor::Remove,
            ..client_port
        };
        assert!(!sent(spoofed(), 80, remove).contains_key("x-forwarded-for"));
    }

    #[test]
    fn host_by_port_of_the_listener() {
        for (host, port, expected) in [
            ("a.b", 80, "a.b"),
            ("a.b:20080", 80, "a.b"),
            ("a.b:20443", 443, "a.b"),
            ("a.b", 8080, "a.b:8080"),
            ("a.b:9", 8080, "a.b:9"),
            ("[::1]:9", 80, "[::1]"),
            ("[::1]", 80, "[::1]"),
        ] {
            let headers = sent(Request::get("/").header("host", host), port, PLAIN);
            assert_eq!(headers["host"], expected, "{host} on {port}");
        }
        let preserve = Processing {
            preserve_host: true,
            ..PLAIN
        };
        let headers = sent(Request::get("/").header("host", "a.b:20080"), 80, preserve);
        assert_eq!(headers["host"], "a.b:20080");
        let headers = sent(
            Request::get("http://abs.example/x").header("host", "a.b"),
            80,
            PLAIN,
        );
        assert_eq!(headers["host"], "abs.example");
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let headers = sent(
            Request::get("/")
                .header("connection", "close, X-Mine")
                .header("x-mine", "1")
                .header("te", "trailers")
                .header("keep-alive", "timeout=5")
                .header("upgrade", "h2c"),
            80,
            PLAIN,
        );
        for name in ["connection", "x-mine", "te", "keep-alive", "upgrade"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        let headers = sent(
            Request::get("/")
                .header("connection", "keep-alive, Upgrade")
                .header("upgrade", "websocket"),
            80,
            PLAIN,
        );
        assert_eq!(headers["connection"], "upgrade");
        assert_eq!(headers["upgrade"], "websocket");
    }

    #[test]
    fn trace_ids_are_carried_on() {
        let trace = |came: &str| {
            let headers = sent(Request::get("/").header("x-amzn-trace-id", came), 80, PLAIN);
            headers["x-amzn-trace-id"].to_str().unwrap().to_owned()
        };
        let carried = trace("Root=1-67891233-abcdef012345678912345678;CalledFrom=app");
        assert!(carried.starts_with("Self=1-"), "{carried}");
        assert!(
            carried.ends_with(";Root=1-67891233-abcdef012345678912345678;CalledFrom=app"),
            "{carried}"
        );
        let replaced = trace("Self=1-2-3;Root=1-67891233-abcdef012345678912345678");
        assert!(!replaced.contains("1-2-3"), "{replaced}");
        assert_eq!(replaced.matches("Self=").count(), 1);
    }

    #[test]
    fn too_many_forwarding_addresses_are_refused() {
        let many = vec!["192.0.2.1"; 31].join(", ");
        let request = Request::get("/").header("x-forwarded-for", many);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let ingress = Ingress {
            peer: "192.0.2.7:5123".parse().unwrap(),
            port: 80,
            scheme: "http",
        };
        assert_eq!(towards_target(&mut parts, ingress, PLAIN).unwrap_err(), 463);
    }
}
