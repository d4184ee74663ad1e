//! The parts of a request that statements look at, and what is done to them before.

use axum::http::header::HeaderName;
use axum::http::request::Parts;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{items, only, text};
use crate::dataplane::forwarded::authority;

/// The values of a `FieldToMatch`; `None` where they are not known here.
pub(super) fn values(field: &Value, parts: &Parts) -> Option<Vec<Vec<u8>>> {
    let (kind, inner) = only(field)?;
    let bytes = |text: &str| vec![text.as_bytes().to_vec()];
    Some(match kind {
        "Method" => bytes(parts.method.as_str()),
        "UriPath" => bytes(parts.uri.path()),
        "QueryString" => bytes(parts.uri.query().unwrap_or_default()),
        "SingleHeader" => header(parts, text(inner, "Name")),
        "SingleQueryArgument" => {
            let wanted = text(inner, "Name");
            let all = arguments(parts).into_iter();
            let named = all.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, value)| value.into()).collect()
        }
        "AllQueryArguments" => {
            let all = arguments(parts).into_iter();
            all.map(|(_, value)| value.into()).collect()
        }
        "Headers" => {
            let all = parts.headers.iter();
            let all = all.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            scoped(inner, "Headers", all.collect())
        }
        "Cookies" => scoped(inner, "Cookies", cookies(parts)),
        "HeaderOrder" => {
            let names = parts.headers.keys().map(HeaderName::as_str);
            bytes(&names.collect::<Vec<_>>().join(":"))
        }
        _ => return None,
    })
}

/// The values of a header; the host may stand in the request target.
pub(super) fn header(parts: &Parts, name: &str) -> Vec<Vec<u8>> {
    let name = name.to_ascii_lowercase();
    if name == "host" {
        return vec![authority(parts).as_bytes().to_vec()];
    }
    let all = parts.headers.get_all(name).iter();
    all.map(|value| value.as_bytes().to_vec()).collect()
}

/// Names and values of the query, as they were sent.
pub(super) fn arguments(parts: &Parts) -> Vec<(&str, &str)> {
    let query = parts.uri.query().unwrap_or_default();
    let all = query.split('&').filter(|one| !one.is_empty());
    all.map(|one| one.split_once('=').unwrap_or((one, "")))
        .collect()
}

/// Names and values of the cookies.
pub(super) fn cookies(parts: &Parts) -> Vec<(String, Vec<u8>)> {
    let lines = parts.headers.get_all("cookie").iter();
    let all = lines.flat_map(|line| {
        let text = String::from_utf8_lossy(line.as_bytes()).into_owned();
        let each = text.split(';').map(str::trim).map(|one| {
            let (name, value) = one.split_once('=').unwrap_or((one, ""));
            (name.to_owned(), value.as_bytes().to_vec())
        });
        each.collect::<Vec<_>>()
    });
    all.filter(|(name, _)| !name.is_empty()).collect()
}

/// Of named values those that `MatchPattern` and `MatchScope` speak of.
fn scoped(settings: &Value, kind: &str, all: Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
    let pattern = settings.get("MatchPattern").unwrap_or(&Value::Null);
    let named = |list: &str, name: &str| {
        let names = items(pattern.get(format!("{list}{kind}"))).iter();
        names
            .filter_map(Value::as_str)
            .any(|one| one.eq_ignore_ascii_case(name))
    };
    let wanted = |name: &str| {
        pattern.get("All").is_some()
            || named("Included", name)
            || pattern.get(format!("Excluded{kind}")).is_some() && !named("Excluded", name)
    };
    let scope = text(settings, "MatchScope");
    let mut found = Vec::new();
    for (name, value) in all.into_iter().filter(|(name, _)| wanted(name)) {
        if scope != "VALUE" {
            found.push(name.into_bytes());
        }
        if scope != "KEY" {
            found.push(value);
        }
    }
    found
}

/// A value after the `TextTransformations` of a statement, in their order;
/// `None` where one of them is not known here.
pub(super) fn transformed(statement: &Value, value: Vec<u8>) -> Option<Vec<u8>> {
    let mut ordered: Vec<&Value> = items(statement.get("TextTransformations")).iter().collect();
    ordered.sort_by_key(|one| one.get("Priority").and_then(Value::as_i64));
    let names = ordered.into_iter().map(|one| text(one, "Type"));
    names.into_iter().try_fold(value, transform)
}

fn transform(value: Vec<u8>, name: &str) -> Option<Vec<u8>> {
    Some(match name {
        "NONE" => value,
        "LOWERCASE" => value.to_ascii_lowercase(),
        "URL_DECODE" => url_decoded(&value),
        "COMPRESS_WHITE_SPACE" => {
            let mut out: Vec<u8> = Vec::with_capacity(value.len());
            for byte in value {
                let white = byte.is_ascii_whitespace() || matches!(byte, 0x0b | 0xa0);
                match (white, out.last()) {
                    (true, Some(b' ')) => {}
                    (true, _) => out.push(b' '),
                    (false, _) => out.push(byte),
                }
            }
            out
        }
        "REMOVE_NULLS" => value.into_iter().filter(|byte| *byte != 0).collect(),
        "REPLACE_NULLS" => {
            let spaced = |byte| if byte == 0 { b' ' } else { byte };
            value.into_iter().map(spaced).collect()
        }
        // What cannot be decoded stays as it is.
        "BASE64_DECODE" => STANDARD.decode(&value).unwrap_or(value),
        "HEX_DECODE" => hex::decode(&value).unwrap_or(value),
        "NORMALIZE_PATH" => normalized(&value),
        _ => return None,
    })
}

fn url_decoded(value: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        let code = digit(value.get(at + 1)).zip(digit(value.get(at + 2)));
        match (byte, code) {
            (b'%', Some((high, low))) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    out
}

/// A path without doubled slashes, `.` and `..`.
fn normalized(value: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends = false;
    for part in value.split(|byte| *byte == b'/') {
        ends = matches!(part, b"" | b"." | b"..");
        match part {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let mut out = Vec::with_capacity(value.len());
    if value.first() == Some(&b'/') {
        out.push(b'/');
    }
    out.extend(kept.join(&b'/'));
    if ends && out.last().is_some_and(|byte| *byte != b'/') {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn transformations() {
        for (name, from, to) in [
            ("NONE", "A b", "A b"),
            ("LOWERCASE", "A b", "a b"),
            ("URL_DECODE", "a%2Fb+c%2", "a/b c%2"),
            ("COMPRESS_WHITE_SPACE", "a \t\n b", "a b"),
            ("REMOVE_NULLS", "a\0b", "ab"),
            ("REPLACE_NULLS", "a\0b", "a b"),
            ("BASE64_DECODE", "YWRtaW4=", "admin"),
            ("BASE64_DECODE", "%", "%"),
            ("HEX_DECODE", "61646d", "adm"),
            ("NORMALIZE_PATH", "/a//b/../c/./d", "/a/c/d"),
            ("NORMALIZE_PATH", "/a/b/..", "/a/"),
        ] {
            let got = transform(from.as_bytes().to_vec(), name).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), to, "{name}");
        }
        assert_eq!(transform(Vec::new(), "JS_DECODE"), None);
    }
}
