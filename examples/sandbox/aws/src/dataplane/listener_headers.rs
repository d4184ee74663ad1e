//! Headers that the attributes of a listener rename, add or take away.
//!
//! Pure. Source: "HTTP header modification" of the guide; aws.md 3.4.

use axum::http::HeaderMap;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::state::Listener;

/// The headers that can be added to answers, by the middle of their attribute.
const ADDED: [(&str, HeaderName); 10] = [
    (
        "access_control_allow_credentials",
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ),
    ("access_control_allow_headers", ACCESS_CONTROL_ALLOW_HEADERS),
    ("access_control_allow_methods", ACCESS_CONTROL_ALLOW_METHODS),
    ("access_control_allow_origin", ACCESS_CONTROL_ALLOW_ORIGIN),
    (
        "access_control_expose_headers",
        ACCESS_CONTROL_EXPOSE_HEADERS,
    ),
    ("access_control_max_age", ACCESS_CONTROL_MAX_AGE),
    ("content_security_policy", CONTENT_SECURITY_POLICY),
    ("strict_transport_security", STRICT_TRANSPORT_SECURITY),
    ("x_content_type_options", X_CONTENT_TYPE_OPTIONS),
    ("x_frame_options", X_FRAME_OPTIONS),
];

/// The name under which targets get a header about TLS or the client's
/// certificate, whose own name is `own`.
pub(crate) fn request_header(listener: &Listener, own: &HeaderName) -> HeaderName {
    let key = own.as_str().replace('-', "_");
    let named = listener
        .attributes
        .get(&format!("routing.http.request.{key}.header_name"));
    let named = named.and_then(|name| name.parse().ok());
    named.unwrap_or_else(|| own.clone())
}

/// What a listener makes of the headers of every answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswerHeaders {
    added: Vec<(HeaderName, HeaderValue)>,
    /// Whether the load balancer's own answers name their server.
    pub(crate) server: bool,
}

impl AnswerHeaders {
    /// By the attributes of the listener.
    pub(crate) fn of(listener: &Listener) -> Self {
        let mut added = Vec::new();
        let mut server = true;
        for (key, value) in &listener.attributes {
            let Some(key) = key.strip_prefix("routing.http.response.") else {
                continue;
            };
            if key == "server.enabled" {
                server = value != "false";
            }
            let header = key
                .strip_suffix(".header_value")
                .filter(|_| !value.is_empty());
            let header = header.and_then(|key| ADDED.iter().find(|(it, _)| *it == key));
            if let Some(((_, name), value)) = header.zip(HeaderValue::from_str(value).ok()) {
                added.push((name.clone(), value));
            }
        }
        Self { added, server }
    }

    /// Adds the headers; they take the place of what the target has set.
    pub(crate) fn add(self, headers: &mut HeaderMap) {
        for (name, value) in self.added {
            headers.insert(name, value);
        }
    }
}
