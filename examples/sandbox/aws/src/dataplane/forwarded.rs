//! What the load balancer changes in the headers of a request on its way to a
//! target, and of the answer on its way back.
//!
//! Pure. Source: "HTTP headers and Application Load Balancers" of the guide.

use std::net::SocketAddr;

use axum::http::header::{COOKIE, HOST, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Version, request};

use super::course::Session;
use super::hop_by_hop::drop_hop_by_hop;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// Where a request is told from others, from hop to hop.
pub(crate) const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// Tells a target of the TLS that its client speaks.
pub(crate) const TLS_VERSION: HeaderName = HeaderName::from_static("x-amzn-tls-version");
pub(crate) const TLS_CIPHER_SUITE: HeaderName = HeaderName::from_static("x-amzn-tls-cipher-suite");

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Processing {
    pub(crate) forwarded_for: ForwardedFor,
    /// `routing.http.xff_client_port.enabled`
    pub(crate) client_port: bool,
    /// `routing.http.preserve_host_header.enabled`
    pub(crate) preserve_host: bool,
    /// `routing.http.drop_invalid_header_fields.enabled`
    pub(crate) drop_invalid: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`: the names
    /// of the two headers, as the listener has them.
    pub(crate) tls: Option<(HeaderName, HeaderName)>,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingress {
    pub(crate) peer: SocketAddr,
    /// Port of the listener as its state says.
    pub(crate) port: u16,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// What TLS has agreed on.
    pub(crate) session: Option<Session>,
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
    processing: &Processing,
) -> Result<(), StatusCode> {
    let host = if !processing.preserve_host {
        host_for_target(authority(parts), ingress.port)
    } else if parts.headers.contains_key(HOST) {
        String::new()
    } else {
        // Over HTTP/2 the host stands in the request target.
        authority(parts).to_owned()
    };
    if !host.is_empty() && !host.starts_with(':') {
        let host = HeaderValue::try_from(host).map_err(|_| StatusCode::BAD_REQUEST)?;
        parts.headers.insert(HOST, host);
    }
    drop_hop_by_hop(&mut parts.headers);
    if processing.drop_invalid || parts.version == Version::HTTP_2 {
        drop_invalid(&mut parts.headers);
    }
    if parts.version == Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    forwarded_for(&mut parts.headers, ingress.peer, processing)?;
    if let Some((session, (version, suite))) = ingress.session.zip(processing.tls.as_ref()) {
        let value = HeaderValue::from_static;
        parts.headers.insert(version, value(session.version));
        parts.headers.insert(suite, value(session.suite));
    }
    parts
        .headers
        .insert(FORWARDED_PROTO, HeaderValue::from_static(ingress.scheme));
    parts
        .headers
        .insert(FORWARDED_PORT, HeaderValue::from(ingress.port));
    trace(&mut parts.headers)
}

/// Removes headers whose names have other characters than letters, digits and
/// hyphens.
fn drop_invalid(headers: &mut HeaderMap) {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let invalid: Vec<HeaderName> = headers
        .keys()
        .filter(|name| !name.as_str().bytes().all(valid))
        .cloned()
        .collect();
    for name in invalid {
        headers.remove(name);
    }
}

/// Makes one line of the cookies, which come apart over HTTP/2 (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(b"; ".as_slice()))
    {
        headers.insert(COOKIE, joined);
    }
}

fn forwarding_lines(headers: &HeaderMap) -> String {
    let lines = headers.get_all(FORWARDED_FOR).into_iter();
    let lines: Vec<&str> = lines.filter_map(|value| value.to_str().ok()).collect();
    lines.join(", ")
}

/// How many addresses X-Forwarded-For has, as the client sent it.
pub(crate) fn forwarding_addresses(headers: &HeaderMap) -> usize {
    let lines = forwarding_lines(headers);
    let addresses = lines
        .split(',')
        .filter(|address| !address.trim().is_empty());
    addresses.count()
}

fn forwarded_for(
    headers: &mut HeaderMap,
    peer: SocketAddr,
    processing: &Processing,
) -> Result<(), StatusCode> {
    let came = forwarding_lines(headers);
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

/// A trace header that is longer is made anew.
const LONGEST_TRACE: usize = 7 * 1024;

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
    let root = kept.iter().find(|field| field.starts_with("Root="));
    let value = match root {
        // What the application has put into it is too much to be carried on.
        Some(root) if came.len() > LONGEST_TRACE => (*root).to_owned(),
        Some(_) => format!("Self={id};{}", kept.join(";")),
        None => format!("Root={id}"),
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
        drop_invalid: false,
        tls: None,
    };

    fn sent(request: request::Builder, port: u16, processing: Processing) -> HeaderMap {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let ingress = Ingress {
            peer: "192.0.2.7:5123".parse().unwrap(),
            port,
            scheme: "http",
            session: None,
        };
        towards_target(&mut parts, ingress, &processing).unwrap();
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
            sent(spoofed(), 80, client_port.clone())["x-forwarded-for"],
            "198.51.100.1, 192.0.2.7:5123"
        );
        let preserve = Processing {
            forwarded_for: ForwardedFor::Preserve,
            ..client_port.clone()
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
        let headers = sent(Request::get("/").header("te", "trailers"), 80, PLAIN);
        assert!(!headers.contains_key("te"));
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
    fn a_trace_that_is_too_long_keeps_its_root_only() {
        let root = "Root=1-67891233-abcdef012345678912345678";
        let long = format!("{root};Own={}", "x".repeat(7 * 1024));
        let headers = sent(Request::get("/").header("x-amzn-trace-id", long), 80, PLAIN);
        assert_eq!(headers["x-amzn-trace-id"], root);
    }

    #[test]
    fn invalid_names_are_dropped_on_demand_and_over_http2() {
        let request = || {
            Request::get("http://a.b/")
                .header("x_mine", "1")
                .header("x.mine", "2")
                .header("x-mine", "3")
        };
        let dropping = Processing {
            drop_invalid: true,
            ..PLAIN
        };
        let http2 = request().version(Version::HTTP_2);
        for (request, processing, kept) in [
            (request(), PLAIN, true),
            (request(), dropping, false),
            (http2, PLAIN, false),
        ] {
            let headers = sent(request, 80, processing);
            assert_eq!(headers.contains_key("x_mine"), kept);
            assert_eq!(headers.contains_key("x.mine"), kept);
            assert_eq!(headers["x-mine"], "3");
        }
    }

    #[test]
    fn cookies_that_came_apart_are_one_line() {
        let request = Request::get("http://a.b:8443/")
            .version(Version::HTTP_2)
            .header("cookie", "a=1")
            .header("cookie", "b=2; c=3");
        let preserve = Processing {
            preserve_host: true,
            ..PLAIN
        };
        let headers = sent(request, 443, preserve);
        assert_eq!(headers.get_all("cookie").iter().count(), 1);
        assert_eq!(headers["cookie"], "a=1; b=2; c=3");
        assert_eq!(headers["host"], "a.b:8443");
    }

    #[test]
    fn targets_are_told_of_tls() {
        let request = Request::get("/").header("x-amzn-tls-version", "SSLv2");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let name = HeaderName::from_static;
        let processing = Processing {
            tls: Some((name("x-amzn-tls-version"), name("x-suite"))),
            ..PLAIN
        };
        let ingress = Ingress {
            peer: "192.0.2.7:5123".parse().unwrap(),
            port: 443,
            scheme: "https",
            session: Some(Session {
                version: "TLSv1.3",
                suite: "TLS_AES_128_GCM_SHA256",
            }),
        };
        towards_target(&mut parts, ingress, &processing).unwrap();
        assert_eq!(parts.headers["x-amzn-tls-version"], "TLSv1.3");
        assert_eq!(parts.headers["x-suite"], "TLS_AES_128_GCM_SHA256");
    }

    #[test]
    fn addresses_are_counted_over_all_lines() {
        let request = Request::get("/")
            .header("x-forwarded-for", "192.0.2.1, 192.0.2.2,")
            .header("x-forwarded-for", "2001:db8::1");
        let headers = request.body(()).unwrap().into_parts().0.headers;
        assert_eq!(forwarding_addresses(&headers), 3);
        assert_eq!(forwarding_addresses(&HeaderMap::new()), 0);
    }
}
