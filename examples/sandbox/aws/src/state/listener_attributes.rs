//! Attributes of listeners: keys, defaults, permitted values.

use std::collections::BTreeMap;

use super::{
    Answer, Protocol, Refusal,
    attributes::{Spec, Values},
};

/// Listeners of Application Load Balancers.
const APPLICATION: &[Spec] = &[
    (
        "routing.http.response.access_control_allow_credentials.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.access_control_allow_headers.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.access_control_allow_methods.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.access_control_allow_origin.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.access_control_expose_headers.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.access_control_max_age.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.content_security_policy.header_value",
        "",
        Values::Text,
    ),
    ("routing.http.response.server.enabled", "true", Values::Bool),
    (
        "routing.http.response.strict_transport_security.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.x_content_type_options.header_value",
        "",
        Values::Text,
    ),
    (
        "routing.http.response.x_frame_options.header_value",
        "",
        Values::Text,
    ),
];

/// What HTTPS listeners have besides.
const HTTPS: &[Spec] = &[
    (
        "routing.http.request.x_amzn_mtls_clientcert.header_name",
        "X-Amzn-Mtls-Clientcert",
        Values::Text,
    ),
    (
        "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
        "X-Amzn-Mtls-Clientcert-Issuer",
        Values::Text,
    ),
    (
        "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
        "X-Amzn-Mtls-Clientcert-Leaf",
        Values::Text,
    ),
    (
        "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
        "X-Amzn-Mtls-Clientcert-Serial-Number",
        Values::Text,
    ),
    (
        "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
        "X-Amzn-Mtls-Clientcert-Subject",
        Values::Text,
    ),
    (
        "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
        "X-Amzn-Mtls-Clientcert-Validity",
        Values::Text,
    ),
    (
        "routing.http.request.x_amzn_tls_cipher_suite.header_name",
        "X-Amzn-Tls-Cipher-Suite",
        Values::Text,
    ),
    (
        "routing.http.request.x_amzn_tls_version.header_name",
        "X-Amzn-Tls-Version",
        Values::Text,
    ),
];

/// Listeners of Network Load Balancers whose connections have a timeout that
/// can be set.
const NETWORK: &[Spec] = &[("tcp.idle_timeout.seconds", "350", Values::Range(60, 6000))];

/// The methods that may be named in `Access-Control-Allow-Methods`.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// The longest header name and header value.
const LONGEST: (usize, usize) = (40, 1024);

/// The tables of a listener.
pub(super) fn tables(protocol: Protocol) -> &'static [&'static [Spec]] {
    match protocol {
        Protocol::Http => &[APPLICATION],
        Protocol::Https => &[APPLICATION, HTTPS],
        Protocol::Tcp | Protocol::TcpUdp | Protocol::Tls => &[NETWORK],
        _ => &[],
    }
}

/// Refuses header names and values that cannot stand in HTTP, and values that
/// the header in question does not have.
pub(super) fn check(after: &BTreeMap<String, String>) -> Answer<()> {
    for (key, value) in after {
        let good = if key.ends_with(".header_name") {
            let character = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            (1..=LONGEST.0).contains(&value.len()) && value.chars().all(character)
        } else if let Some(header) = key.strip_suffix(".header_value") {
            let printable = value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
            let header = header.rsplit('.').next().unwrap_or_default();
            // An empty value takes the header away again.
            value.is_empty() || (printable && value.len() <= LONGEST.1 && fits(header, value))
        } else {
            true
        };
        if !good {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("The value '{value}' is not valid for the listener attribute '{key}'"),
            ));
        }
    }
    Ok(())
}

/// Whether a response header can have this value.
fn fits(header: &str, value: &str) -> bool {
    match header {
        "access_control_allow_credentials" => value == "true",
        "access_control_allow_methods" => {
            value == "*"
                || value
                    .split(',')
                    .all(|method| METHODS.contains(&method.trim()))
        }
        "access_control_max_age" => value.parse::<u32>().is_ok_and(|age| age <= 86_400),
        "x_content_type_options" => value == "nosniff",
        "x_frame_options" => {
            matches!(value, "DENY" | "SAMEORIGIN") || value.starts_with("ALLOW-FROM ")
        }
        "strict_transport_security" => value.to_ascii_lowercase().contains("max-age="),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::attributes;

    #[test]
    fn header_values_fit_their_header() {
        let change = |part: &str, value: &str| {
            let before = attributes::defaults(tables(Protocol::Https));
            let key = format!("routing.http.{part}");
            let change = [(key, value.to_owned())];
            attributes::changed("listener", tables(Protocol::Https), &before, &change)
                .and_then(|after| check(&after))
                .is_ok()
        };
        for (part, value, good) in [
            ("response.x_frame_options.header_value", "DENY", true),
            ("response.x_frame_options.header_value", "", true),
            ("response.x_frame_options.header_value", "MAYBE", false),
            (
                "response.access_control_max_age.header_value",
                "86400",
                true,
            ),
            (
                "response.access_control_max_age.header_value",
                "86401",
                false,
            ),
            (
                "response.access_control_allow_methods.header_value",
                "GET, PUT",
                true,
            ),
            (
                "response.access_control_allow_methods.header_value",
                "FETCH",
                false,
            ),
            (
                "response.content_security_policy.header_value",
                "default-src 'self'",
                true,
            ),
            (
                "response.content_security_policy.header_value",
                "a\nb",
                false,
            ),
            ("request.x_amzn_tls_version.header_name", "X-Tls", true),
            ("request.x_amzn_tls_version.header_name", "", false),
            ("request.x_amzn_tls_version.header_name", "X Tls", false),
            ("response.server.enabled", "no", false),
        ] {
            assert_eq!(change(part, value), good, "{part} {value:?}");
        }
    }

    #[test]
    fn each_protocol_has_its_own() {
        let has = |protocol, key: &str| attributes::defaults(tables(protocol)).contains_key(key);
        let renamed = "routing.http.request.x_amzn_tls_version.header_name";
        assert!(has(Protocol::Https, renamed) && !has(Protocol::Http, renamed));
        let idle = "tcp.idle_timeout.seconds";
        assert!(
            has(Protocol::Tcp, idle) && !has(Protocol::Http, idle) && !has(Protocol::Udp, idle)
        );
    }
}
