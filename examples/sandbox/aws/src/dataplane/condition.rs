//! Whether a request meets a condition of a rule.
//!
//! Pure. All conditions of a rule have to be met, one value of each is enough.

use std::net::IpAddr;

use axum::http::header::HeaderName;
use axum::http::request::Parts;
use regex::RegexBuilder;

use super::course::SeenCondition;
use super::forwarded::{authority, without_port};
use super::pattern::{Backslash, Case, fits};
use crate::state::{Condition, Patterns, QueryPair};

/// Whether the request of `parts`, come from `peer`, meets `condition`.
pub(crate) fn met(condition: &Condition, parts: &Parts, peer: IpAddr) -> bool {
    match condition {
        Condition::HostHeader(patterns) => {
            any(patterns, without_port(authority(parts)), Case::Insensitive)
        }
        Condition::PathPattern(patterns) => any(patterns, parts.uri.path(), Case::Sensitive),
        Condition::HttpHeader { name, patterns } => {
            let Ok(name) = name.parse::<HeaderName>() else {
                return false;
            };
            parts
                .headers
                .get_all(name)
                .into_iter()
                .filter_map(|value| value.to_str().ok())
                .any(|value| any(patterns, value, Case::Insensitive))
        }
        Condition::HttpRequestMethod(methods) => {
            methods.iter().any(|method| method == parts.method.as_str())
        }
        Condition::QueryString(pairs) => query(pairs, parts.uri.query().unwrap_or_default()),
        Condition::SourceIp(ranges) => ranges.iter().any(|range| range.contains(&peer)),
    }
}

/// A condition and what a request has of it, for people.
pub(crate) fn seen(condition: &Condition, parts: &Parts, peer: IpAddr) -> SeenCondition {
    let own = |texts: &[String]| texts.to_vec();
    let (wanted, found) = match condition {
        Condition::HostHeader(patterns) => (
            own(patterns.values()),
            vec![without_port(authority(parts)).to_owned()],
        ),
        Condition::PathPattern(patterns) => {
            (own(patterns.values()), vec![parts.uri.path().to_owned()])
        }
        Condition::HttpHeader { name, patterns } => {
            let values = parts.headers.get_all(name.to_ascii_lowercase());
            let found = values.iter().map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes());
                format!("{name}: {text}")
            });
            (own(patterns.values()), found.collect())
        }
        Condition::HttpRequestMethod(methods) => (own(methods), vec![parts.method.to_string()]),
        Condition::QueryString(pairs) => {
            let wanted = pairs.iter().map(|pair| match &pair.key {
                Some(key) => format!("{key}={}", pair.value),
                None => pair.value.clone(),
            });
            let found = parts.uri.query().map(str::to_owned);
            (wanted.collect(), found.into_iter().collect())
        }
        Condition::SourceIp(ranges) => (
            ranges.iter().map(ToString::to_string).collect(),
            vec![peer.to_string()],
        ),
    };
    SeenCondition {
        field: condition.field(),
        wanted,
        found,
        met: met(condition, parts, peer),
    }
}

fn any(patterns: &Patterns, text: &str, case: Case) -> bool {
    match patterns {
        Patterns::Wildcards(values) => values
            .iter()
            .any(|pattern| fits(pattern, text, case, Backslash::Literal)),
        Patterns::Regexes(values) => values.iter().any(|pattern| {
            // One that does not compile meets nothing.
            RegexBuilder::new(pattern)
                .case_insensitive(case == Case::Insensitive)
                .build()
                .is_ok_and(|regex| regex.is_match(text))
        }),
    }
}

/// Compares with the raw text of the query: nothing is percent-decoded.
fn query(wanted: &[QueryPair], query: &str) -> bool {
    let like =
        |pattern: &str, text: &str| fits(pattern, text, Case::Insensitive, Backslash::Escape);
    query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .any(|(key, value)| {
            wanted.iter().any(|pair| {
                pair.key.as_deref().is_none_or(|wanted| like(wanted, key))
                    && like(&pair.value, value)
            })
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn words(values: &[&str]) -> Patterns {
        Patterns::Wildcards(values.iter().map(|&value| value.to_owned()).collect())
    }

    fn regexes(values: &[&str]) -> Patterns {
        Patterns::Regexes(values.iter().map(|&value| value.to_owned()).collect())
    }

    fn pair(key: Option<&str>, value: &str) -> Condition {
        Condition::QueryString(vec![QueryPair {
            key: key.map(str::to_owned),
            value: value.to_owned(),
        }])
    }

    #[test]
    fn each_kind_of_condition() {
        let header = |name: &str, patterns| Condition::HttpHeader {
            name: name.to_owned(),
            patterns,
        };
        let methods = |methods: &[&str]| {
            Condition::HttpRequestMethod(methods.iter().map(|&m| m.to_owned()).collect())
        };
        let from = |ranges: &[&str]| {
            Condition::SourceIp(ranges.iter().map(|range| range.parse().unwrap()).collect())
        };
        for (condition, expected) in [
            (Condition::HostHeader(words(&["shop.example.com"])), true),
            (
                Condition::HostHeader(words(&["x.y", "*.example.com"])),
                true,
            ),
            (Condition::HostHeader(words(&["example.com"])), false),
            (Condition::HostHeader(regexes(&["^SHOP\\."])), true),
            (Condition::HostHeader(regexes(&["^example"])), false),
            (Condition::PathPattern(words(&["/v2", "/v2/*"])), false),
            (Condition::PathPattern(words(&["/v2example"])), true),
            (Condition::PathPattern(words(&["/V2example"])), false),
            (Condition::PathPattern(words(&["/v2example\\?*"])), false),
            (Condition::PathPattern(regexes(&["^/v[0-9]"])), true),
            (Condition::PathPattern(regexes(&["^/V[0-9]"])), false),
            (Condition::PathPattern(regexes(&["("])), false),
            (header("x-kind", words(&["two*"])), true),
            (header("X-Kind", words(&["ONE"])), true),
            (header("x-kind", words(&["tw"])), false),
            (header("x-none", words(&["*"])), false),
            (methods(&["PUT", "GET"]), true),
            (methods(&["get"]), false),
            (pair(Some("version"), "V1"), true),
            (pair(Some("ver*"), "v?"), true),
            (pair(None, "*yes"), true),
            (pair(Some("flag"), ""), true),
            (pair(Some("version"), "v2"), false),
            (pair(Some("a\\*"), "b"), false),
            (pair(None, "v1&x"), false),
            (from(&["192.0.2.0/24"]), true),
            (from(&["198.51.100.0/24", "2001:db8::/32"]), false),
        ] {
            let (parts, ()) = Request::get("/v2example?version=v1&x=y%20yes&flag")
                .header("host", "Shop.Example.com:20080")
                .header("x-kind", "one")
                .header("x-kind", "two and three")
                .body(())
                .unwrap()
                .into_parts();
            let peer = "192.0.2.7".parse().unwrap();
            assert_eq!(met(&condition, &parts, peer), expected, "{condition:?}");
        }
    }
}
