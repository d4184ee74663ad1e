//! The echo: answers a request with a JSON description of it, in the form
//! that the public Ingress conformance suite reads (`path`, `host`, `method`,
//! `proto`, `headers`, `namespace`, `ingress`, `service`, `pod`).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, Version, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Identity;

/// A request as the app saw it, and who the app is.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Echo {
    /// Request target as it was sent: path and query.
    pub path: String,
    /// The host that was asked for.
    pub host: String,
    /// Method of the request.
    pub method: String,
    /// Protocol of the request, for example `HTTP/1.1`.
    pub proto: String,
    /// Headers by canonical name (`X-Forwarded-For`), `Host` left out.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Namespace of the pod.
    pub namespace: String,
    /// What the pod's environment gives as `INGRESS_NAME`.
    pub ingress: String,
    /// What the pod's environment gives as `SERVICE_NAME`.
    pub service: String,
    /// Name of the pod.
    pub pod: String,
}

/// Answers any request with its description.
pub fn answer(identity: &Identity, request: &Request) -> Response {
    Json(describe(identity, request)).into_response()
}

fn describe(identity: &Identity, request: &Request) -> Echo {
    let environment = |name: &str| identity.environment.get(name).cloned().unwrap_or_default();
    Echo {
        path: request
            .uri()
            .path_and_query()
            .map_or_else(|| request.uri().path().to_owned(), ToString::to_string),
        host: host(request),
        method: request.method().to_string(),
        proto: match request.version() {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
        .to_owned(),
        headers: headers(request.headers()),
        namespace: identity.namespace.clone(),
        ingress: environment("INGRESS_NAME"),
        service: environment("SERVICE_NAME"),
        pod: identity.pod.clone(),
    }
}

/// The host that a request asks for, from its target or its `Host` header.
pub fn host(request: &Request) -> String {
    request
        .uri()
        .authority()
        .map(ToString::to_string)
        .or_else(|| {
            let host = request.headers().get(header::HOST)?;
            Some(String::from_utf8_lossy(host.as_bytes()).into_owned())
        })
        .unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if name != header::HOST {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            all.entry(canonical(name.as_str())).or_default().push(value);
        }
    }
    all
}

/// `x-forwarded-for` as `X-Forwarded-For`, the spelling that clients of the
/// echo look for.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|letter| {
            let spelled = if upper {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            };
            upper = letter == '-';
            spelled
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde_json::json;

    #[test]
    fn an_echo_has_what_the_conformance_suite_reads() {
        let identity = Identity {
            pod: "web-1".to_owned(),
            namespace: "shop".to_owned(),
            environment: BTreeMap::from([
                ("INGRESS_NAME".to_owned(), "cart".to_owned()),
                ("SERVICE_NAME".to_owned(), "web".to_owned()),
            ]),
            ..Identity::default()
        };
        let request = Request::builder()
            .method("PUT")
            .uri("/a%20b?c=d")
            .header("host", "shop.example.com")
            .header("x-forwarded-for", "10.0.0.1")
            .header("accept", "text/html")
            .header("accept", "text/plain")
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            serde_json::to_value(describe(&identity, &request)).unwrap(),
            json!({
                "path": "/a%20b?c=d", "host": "shop.example.com", "method": "PUT",
                "proto": "HTTP/1.1", "namespace": "shop", "ingress": "cart",
                "service": "web", "pod": "web-1",
                "headers": {
                    "X-Forwarded-For": ["10.0.0.1"],
                    "Accept": ["text/html", "text/plain"],
                },
            })
        );
    }
}
