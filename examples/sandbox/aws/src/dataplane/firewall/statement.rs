//! Whether a request meets a statement of a rule.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use regex::bytes::Regex;
use serde_json::Value;

use super::field::{arguments, cookies, header, transformed, values};
use super::{Visitor, items, only, text};
use crate::state::State;

/// What a rate-based statement looks back on where it does not say, in seconds.
const WINDOW: i64 = 300;

/// What statements are evaluated against.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) state: &'a State,
    pub(super) visitor: Visitor<'a>,
    /// What rules before have said of the request.
    pub(super) labels: &'a [String],
    /// What the rates of the rule are kept for.
    pub(super) counted: &'a str,
}

/// Whether a request meets a statement; `None` where that cannot be told.
pub(super) fn evaluate(statement: &Value, sight: Sight<'_>) -> Option<bool> {
    let (kind, body) = only(statement)?;
    match kind {
        "ByteMatchStatement" => {
            let wanted = STANDARD.decode(text(body, "SearchString")).ok()?;
            let how = text(body, "PositionalConstraint");
            any(body, sight, |value| stands(&wanted, value, how))
        }
        "SizeConstraintStatement" => {
            let size = body.get("Size").and_then(Value::as_u64)?;
            let how = text(body, "ComparisonOperator");
            any(body, sight, |value| {
                let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
                match how {
                    "EQ" => length == size,
                    "NE" => length != size,
                    "LE" => length <= size,
                    "LT" => length < size,
                    "GE" => length >= size,
                    _ => length > size,
                }
            })
        }
        "RegexMatchStatement" => {
            let expression = Regex::new(text(body, "RegexString")).ok()?;
            any(body, sight, |value| expression.is_match(value))
        }
        "RegexPatternSetReferenceStatement" => {
            let sets = &sight.state.wafv2.regex_pattern_sets;
            let all = sets.get(text(body, "ARN"))?.expressions.iter();
            let all: Result<Vec<Regex>, _> = all.map(|it| Regex::new(it)).collect();
            let all = all.ok()?;
            any(body, sight, |value| all.iter().any(|it| it.is_match(value)))
        }
        "IPSetReferenceStatement" => {
            let set = sight.state.wafv2.ip_sets.get(text(body, "ARN"))?;
            let ranges = set.addresses.iter().filter_map(|it| it.parse().ok());
            let ranges: Vec<IpNet> = ranges.collect();
            let among = |address: &IpAddr| ranges.iter().any(|range| range.contains(address));
            Some(match body.get("IPSetForwardedIPConfig") {
                None => among(&sight.visitor.peer),
                Some(config) => match forwarded(config, sight) {
                    Ok(addresses) => addresses.iter().any(among),
                    Err(fallback) => fallback,
                },
            })
        }
        "LabelMatchStatement" => {
            let key = text(body, "Key");
            let namespace = text(body, "Scope") == "NAMESPACE";
            let mut labels = sight.labels.iter();
            Some(labels.any(|label| {
                if namespace {
                    label.starts_with(key) || label.contains(&format!(":{key}"))
                } else {
                    label == key || label.ends_with(&format!(":{key}"))
                }
            }))
        }
        "NotStatement" => evaluate(body.get("Statement")?, sight).map(|met| !met),
        "AndStatement" => all(items(body.get("Statements")), sight, false),
        "OrStatement" => all(items(body.get("Statements")), sight, true),
        "RateBasedStatement" => rate(body, sight),
        // Places, managed rules and what searches for attacks.
        _ => None,
    }
}

/// What statements come to together: one that is `decisive` decides, else all
/// have to be known.
fn all(statements: &[Value], sight: Sight<'_>, decisive: bool) -> Option<bool> {
    let mut known = true;
    for statement in statements {
        match evaluate(statement, sight) {
            Some(met) if met == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

/// Whether one of the values that a statement looks at is met.
fn any(body: &Value, sight: Sight<'_>, met: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let field = body.get("FieldToMatch")?;
    for value in values(field, sight.visitor.parts)? {
        if met(&transformed(body, value)?) {
            return Some(true);
        }
    }
    Some(false)
}

fn stands(wanted: &[u8], value: &[u8], how: &str) -> bool {
    let mut places = value.windows(wanted.len().max(1)).enumerate();
    let word = |byte: Option<&u8>| byte.is_some_and(|it| it.is_ascii_alphanumeric() || *it == b'_');
    match how {
        "EXACTLY" => value == wanted,
        "STARTS_WITH" => value.starts_with(wanted),
        "ENDS_WITH" => value.ends_with(wanted),
        "CONTAINS_WORD" => places.any(|(at, part)| {
            let before = at.checked_sub(1).and_then(|before| value.get(before));
            part == wanted && !word(before) && !word(value.get(at + wanted.len()))
        }),
        _ => wanted.is_empty() || places.any(|(_, part)| part == wanted),
    }
}

/// The addresses that a header names, or what is to be taken for the result
/// where it names none.
fn forwarded(config: &Value, sight: Sight<'_>) -> Result<Vec<IpAddr>, bool> {
    let fallback = text(config, "FallbackBehavior") == "MATCH";
    let lines = header(sight.visitor.parts, text(config, "HeaderName"));
    if lines.is_empty() {
        // Without the header the statement does not apply.
        return Err(false);
    }
    let text_of = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
    let joined = lines.iter().map(text_of).collect::<Vec<_>>().join(",");
    let found = joined.split(',').map(|one| one.trim().parse::<IpAddr>());
    let found: Result<Vec<IpAddr>, _> = found.collect();
    let found = found.map_err(|_| fallback)?;
    let picked = match text(config, "Position") {
        "LAST" => found.last().copied().into_iter().collect(),
        "ANY" => found,
        _ => found.first().copied().into_iter().collect(),
    };
    Ok(picked)
}

fn rate(body: &Value, sight: Sight<'_>) -> Option<bool> {
    if let Some(narrower) = body.get("ScopeDownStatement")
        && !evaluate(narrower, sight)?
    {
        return Some(false);
    }
    let peer = || sight.visitor.peer.to_string();
    let far = || match forwarded(body.get("ForwardedIPConfig")?, sight) {
        Ok(addresses) => Some(Ok(addresses.first()?.to_string())),
        Err(fallback) => Some(Err(fallback)),
    };
    let whom = match text(body, "AggregateKeyType") {
        "IP" => peer(),
        "CONSTANT" => String::new(),
        "FORWARDED_IP" => match far()? {
            Ok(address) => address,
            Err(fallback) => return Some(fallback),
        },
        _ => {
            let mut parts = Vec::new();
            for key in items(body.get("CustomKeys")) {
                let (kind, inner) = only(key)?;
                let request = sight.visitor.parts;
                let name = text(inner, "Name");
                let value = match kind {
                    "IP" => Some(peer().into_bytes()),
                    "ForwardedIP" => far()?.ok().map(String::into_bytes),
                    "HTTPMethod" => Some(request.method.as_str().into()),
                    "UriPath" => Some(request.uri.path().into()),
                    "QueryString" => request.uri.query().map(Into::into),
                    "Header" => header(request, name).into_iter().next(),
                    "QueryArgument" => {
                        let mut all = arguments(request).into_iter();
                        let found = all.find(|(own, _)| own.eq_ignore_ascii_case(name));
                        found.map(|(_, value)| value.into())
                    }
                    "Cookie" => {
                        let mut all = cookies(request).into_iter();
                        let found = all.find(|(own, _)| own.eq_ignore_ascii_case(name));
                        found.map(|(_, value)| value)
                    }
                    _ => return None,
                };
                // Who lacks a part of the key is not counted.
                let Some(value) = value else {
                    return Some(false);
                };
                parts.push(hex::encode(transformed(inner, value)?));
            }
            parts.join(" ")
        }
    };
    let limit = body.get("Limit").and_then(Value::as_u64)?;
    let window = body.get("EvaluationWindowSec").and_then(Value::as_i64);
    let whom = format!("{} {whom}", sight.counted);
    let rates = sight.visitor.rates;
    let count = rates.count(&whom, window.unwrap_or(WINDOW), sight.visitor.now);
    Some(count > limit)
}
