//! Conditions as they are asked for and the checks on them.

use ipnet::IpNet;

use super::{
    Answer, Condition, Patterns, QueryPair, Quotas, Refusal,
    condition_value::{
        check_header_name, check_host, check_length, check_path, check_source, check_text,
    },
    regular_expression,
};

/// A condition as a caller spells it: the field and one of the configurations,
/// or the older form with values beside the field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewCondition {
    /// `host-header`, `path-pattern`, …
    pub field: Option<String>,
    /// Older form of values of host and path.
    pub values: Vec<String>,
    /// Older form of regular expressions of host and path.
    pub regex_values: Vec<String>,
    /// `HostHeaderConfig`.
    pub host_header: Option<NewPatterns>,
    /// `PathPatternConfig`.
    pub path_pattern: Option<NewPatterns>,
    /// `HttpHeaderConfig`: name and patterns.
    pub http_header: Option<(String, NewPatterns)>,
    /// `HttpRequestMethodConfig`.
    pub http_request_method: Option<Vec<String>>,
    /// `QueryStringConfig`.
    pub query_string: Option<Vec<QueryPair>>,
    /// `SourceIpConfig`: its values, or an address type, which only Network
    /// Load Balancers know.
    pub source_ip: Option<Vec<String>>,
    /// `IpAddressType` of `SourceIpConfig`.
    pub source_ip_address_type: Option<String>,
}

/// Values or regular expressions as a caller spells them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewPatterns {
    /// Wildcard patterns.
    pub values: Vec<String>,
    /// Regular expressions.
    pub regex_values: Vec<String>,
}

/// Checks the conditions of a rule.
pub(super) fn resolve(conditions: &[NewCondition], quotas: &Quotas) -> Answer<Vec<Condition>> {
    if conditions.is_empty() {
        return Err(Refusal::validation(
            "A rule must have at least one condition",
        ));
    }
    let resolved: Vec<Condition> = conditions.iter().map(resolve_one).collect::<Answer<_>>()?;
    for (index, condition) in resolved.iter().enumerate() {
        let repeatable = matches!(
            condition,
            Condition::HttpHeader { .. } | Condition::QueryString(_)
        );
        if !repeatable
            && resolved[..index]
                .iter()
                .any(|other| other.field() == condition.field())
        {
            return Err(Refusal::validation(format!(
                "A rule can only have one '{}' condition",
                condition.field()
            )));
        }
    }
    let most = quotas.limit("condition-values-per-alb-rule");
    if resolved.iter().map(Condition::len).sum::<usize>() > most {
        return Err(Refusal::validation(format!(
            "A rule can only have '{most}' condition values"
        )));
    }
    let most = quotas.limit("condition-wildcards-per-alb-rule");
    if resolved.iter().map(Condition::wildcards).sum::<usize>() > most {
        return Err(Refusal::validation(format!(
            "A rule can only have '{most}' condition wildcards"
        )));
    }
    Ok(resolved)
}

fn resolve_one(new: &NewCondition) -> Answer<Condition> {
    let field = new
        .field
        .as_deref()
        .ok_or_else(|| Refusal::validation("A condition field must be specified"))?;
    let given = [
        ("host-header", new.host_header.is_some()),
        ("path-pattern", new.path_pattern.is_some()),
        ("http-header", new.http_header.is_some()),
        ("http-request-method", new.http_request_method.is_some()),
        ("query-string", new.query_string.is_some()),
        ("source-ip", new.source_ip.is_some()),
    ];
    if let Some((other, _)) = given.iter().find(|(name, given)| *given && *name != field) {
        return Err(Refusal::validation(format!(
            "The condition with the field '{field}' has the configuration of '{other}'"
        )));
    }
    let older = NewPatterns {
        values: new.values.clone(),
        regex_values: new.regex_values.clone(),
    };
    if older.values.len() > 1 {
        return Err(Refusal::validation(format!(
            "The condition with the field '{field}' can have one value in Values; several need its own configuration"
        )));
    }
    let has_older = older != NewPatterns::default();
    let either = |config: &Option<NewPatterns>| match config {
        Some(config) if has_older && *config != NewPatterns::default() => {
            let config = if field == "host-header" {
                "HostHeaderConfig"
            } else {
                "PathPatternConfig"
            };
            Err(Refusal::validation(format!(
                "You cannot provide both Values and '{config}' for a condition of type '{field}'"
            )))
        }
        Some(config) if !has_older => Ok(config.clone()),
        _ => Ok(older.clone()),
    };
    let plain = !older.values.is_empty() && !matches!(field, "host-header" | "path-pattern");
    let regex = !older.regex_values.is_empty()
        && !matches!(field, "host-header" | "path-pattern" | "http-header");
    if plain || regex {
        return Err(Refusal::validation(format!(
            "The condition with the field '{field}' needs its own configuration"
        )));
    }
    match field {
        "host-header" => Ok(Condition::HostHeader(patterns(
            either(&new.host_header)?,
            field,
            check_host,
        )?)),
        "path-pattern" => Ok(Condition::PathPattern(patterns(
            either(&new.path_pattern)?,
            field,
            check_path,
        )?)),
        "http-header" => {
            let (name, values) = new.http_header.clone().ok_or_else(|| empty(field))?;
            check_header_name(&name)?;
            let patterns = patterns(either(&Some(values))?, field, check_text)?;
            Ok(Condition::HttpHeader { name, patterns })
        }
        "http-request-method" => {
            let methods = new.http_request_method.clone().unwrap_or_default();
            for method in &methods {
                let good = method
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c == '-' || c == '_');
                if !good || method.is_empty() || method.len() > 40 {
                    return Err(Refusal::validation(format!(
                        "The method '{method}' is not valid"
                    )));
                }
            }
            some(methods, field).map(Condition::HttpRequestMethod)
        }
        "query-string" => {
            let pairs = new.query_string.clone().unwrap_or_default();
            for text in pairs
                .iter()
                .flat_map(|pair| pair.key.iter().chain([&pair.value]))
            {
                check_length(text)?;
                check_text(text)?;
            }
            some(pairs, field).map(Condition::QueryString)
        }
        "source-ip" => {
            if new.source_ip_address_type.is_some() {
                return Err(Refusal::validation(
                    "An IP address type in a source-ip condition is supported by network load balancers only",
                ));
            }
            let sources = new.source_ip.clone().unwrap_or_default();
            let ranges: Vec<IpNet> = sources
                .iter()
                .map(|s| check_source(s))
                .collect::<Answer<_>>()?;
            some(ranges, field).map(Condition::SourceIp)
        }
        other => Err(Refusal::validation(format!(
            "Condition field '{other}' must be one of '[path-pattern, host-header, http-header, http-request-method, query-string, source-ip]'"
        ))),
    }
}

fn patterns(new: NewPatterns, field: &str, check: fn(&str) -> Answer<()>) -> Answer<Patterns> {
    match (new.values.is_empty(), new.regex_values.is_empty()) {
        (true, true) => Err(empty(field)),
        (false, false) => Err(Refusal::validation(format!(
            "The condition with the field '{field}' cannot have both values and regular expressions"
        ))),
        (false, true) => {
            for value in &new.values {
                check_length(value)?;
                check(value)?;
            }
            Ok(Patterns::Wildcards(new.values))
        }
        (true, false) => {
            for value in &new.regex_values {
                check_length(value)?;
                if let Some(fault) = regular_expression::fault(value) {
                    return Err(Refusal::validation(format!(
                        "The regular expression '{value}' is not valid: {fault}"
                    )));
                }
            }
            Ok(Patterns::Regexes(new.regex_values))
        }
    }
}

fn some<T>(values: Vec<T>, field: &str) -> Answer<Vec<T>> {
    if values.is_empty() {
        return Err(empty(field));
    }
    Ok(values)
}

fn empty(field: &str) -> Refusal {
    Refusal::validation(format!(
        "A condition with the field '{field}' must have at least one value"
    ))
}

impl Condition {
    /// The name of the field on the wire.
    pub fn field(&self) -> &'static str {
        match self {
            Self::HostHeader(_) => "host-header",
            Self::PathPattern(_) => "path-pattern",
            Self::HttpHeader { .. } => "http-header",
            Self::HttpRequestMethod(_) => "http-request-method",
            Self::QueryString(_) => "query-string",
            Self::SourceIp(_) => "source-ip",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::HostHeader(patterns)
            | Self::PathPattern(patterns)
            | Self::HttpHeader { patterns, .. } => patterns.values().len(),
            Self::HttpRequestMethod(values) => values.len(),
            Self::QueryString(pairs) => pairs.len(),
            Self::SourceIp(ranges) => ranges.len(),
        }
    }

    fn wildcards(&self) -> usize {
        let count = |text: &str| text.chars().filter(|c| matches!(c, '*' | '?')).count();
        // In a query string a backslash takes their meaning away.
        let escaped = |text: &str| count(&text.replace("\\*", "").replace("\\?", ""));
        match self {
            Self::HostHeader(patterns)
            | Self::PathPattern(patterns)
            | Self::HttpHeader { patterns, .. } => match patterns {
                Patterns::Wildcards(values) => values.iter().map(|value| count(value)).sum(),
                Patterns::Regexes(_) => 0,
            },
            Self::QueryString(pairs) => pairs
                .iter()
                .map(|pair| escaped(&pair.value) + pair.key.as_deref().map_or(0, escaped))
                .sum(),
            Self::HttpRequestMethod(_) | Self::SourceIp(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn host(values: &[&str]) -> NewCondition {
        NewCondition {
            field: Some("host-header".to_owned()),
            host_header: Some(NewPatterns {
                values: values.iter().map(|v| (*v).to_owned()).collect(),
                regex_values: Vec::new(),
            }),
            ..NewCondition::default()
        }
    }

    fn owned(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn path(values: &[&str]) -> NewCondition {
        NewCondition {
            field: Some("path-pattern".to_owned()),
            path_pattern: Some(NewPatterns {
                values: owned(values),
                regex_values: Vec::new(),
            }),
            ..NewCondition::default()
        }
    }

    fn regex(expression: &str) -> NewCondition {
        NewCondition {
            path_pattern: Some(NewPatterns {
                values: Vec::new(),
                regex_values: vec![expression.to_owned()],
            }),
            ..path(&[])
        }
    }

    /// The older spelling of a path condition.
    fn older(value: &str) -> NewCondition {
        NewCondition {
            field: Some("path-pattern".to_owned()),
            values: vec![value.to_owned()],
            ..NewCondition::default()
        }
    }

    fn header(name: &str, values: &[&str]) -> NewCondition {
        let patterns = NewPatterns {
            values: owned(values),
            regex_values: Vec::new(),
        };
        NewCondition {
            field: Some("http-header".to_owned()),
            http_header: Some((name.to_owned(), patterns)),
            ..NewCondition::default()
        }
    }

    fn method(values: &[&str]) -> NewCondition {
        NewCondition {
            field: Some("http-request-method".to_owned()),
            http_request_method: Some(owned(values)),
            ..NewCondition::default()
        }
    }

    fn query(pairs: &[(Option<&str>, &str)]) -> NewCondition {
        let pair = |(key, value): &(Option<&str>, &str)| QueryPair {
            key: key.map(str::to_owned),
            value: (*value).to_owned(),
        };
        NewCondition {
            field: Some("query-string".to_owned()),
            query_string: Some(pairs.iter().map(pair).collect()),
            ..NewCondition::default()
        }
    }

    fn source(ranges: &[&str]) -> NewCondition {
        NewCondition {
            field: Some("source-ip".to_owned()),
            source_ip: Some(owned(ranges)),
            ..NewCondition::default()
        }
    }

    #[test]
    fn what_a_rule_may_match() {
        let quotas = Quotas::default();
        let ok = |conditions: &[NewCondition]| resolve(conditions, &quotas).is_ok();
        assert!(ok(&[
            host(&["www.example.com", "*.example.com"]),
            path(&["/a", "/a/*"])
        ]));
        assert!(ok(&[path(&["/a", "/b", "/c", "/d", "/e"])]));
        assert!(ok(&[older("/a")]));
        assert!(ok(&[header("X-Env", &["a b*"]), header("X-Env", &["c"])]));
        assert!(ok(&[query(&[
            (Some("v"), "1"),
            (None, "\\*\\*\\*\\*\\*\\*")
        ])]));
        assert!(ok(&[regex("^/api/v[0-9]+/")]));
        assert!(ok(&[
            method(&["GET", "M-SEARCH"]),
            source(&["10.0.0.0/8", "2001:db8::/32"])
        ]));
        for bad in [
            vec![],
            vec![host(&["*"])],
            vec![host(&["localhost"])],
            vec![host(&["10.0.0.1"])],
            vec![host(&["a_b.example.com"])],
            vec![host(&[])],
            vec![path(&["/ä"])],
            vec![path(&["/a"]), path(&["/b"])],
            vec![path(&["/a", "/b", "/c", "/d", "/e", "/f"])],
            vec![path(&["/*/*/*/*/*/*"])],
            vec![path(&[&"a".repeat(129)])],
            vec![path(&[""])],
            vec![NewCondition {
                values: vec!["/a".to_owned(), "/b".to_owned()],
                ..older("/a")
            }],
            vec![NewCondition {
                path_pattern: path(&["/b"]).path_pattern,
                ..older("/a")
            }],
            vec![NewCondition {
                field: Some("cookie".to_owned()),
                ..older("/a")
            }],
            vec![NewCondition {
                field: Some("source-ip".to_owned()),
                ..older("10.0.0.0/8")
            }],
            vec![NewCondition {
                field: None,
                ..host(&["a.example.com"])
            }],
            vec![NewCondition {
                field: Some("path-pattern".to_owned()),
                ..host(&["a.example.com"])
            }],
            vec![NewCondition {
                path_pattern: Some(NewPatterns {
                    values: vec!["/a".to_owned()],
                    regex_values: vec!["^/a".to_owned()],
                }),
                ..path(&[])
            }],
            vec![regex("(?=a)")],
            vec![regex(&"a".repeat(129))],
            vec![header("Host", &["a"])],
            vec![header("X Env", &["a"])],
            vec![header("X-*", &["a"])],
            vec![header(&"x".repeat(41), &["a"])],
            vec![header("X-Env", &[])],
            vec![header("X-Env", &["a\u{7f}"])],
            vec![query(&[])],
            vec![query(&[(None, "")])],
            vec![query(&[(Some("a"), &"b".repeat(129))])],
            vec![method(&["get"])],
            vec![method(&[&"A".repeat(41)])],
            vec![method(&["GET"]), method(&["PUT"])],
            vec![source(&["10.0.0.1"])],
            vec![source(&["255.255.255.255/32"])],
            vec![source(&["10.0.0.0/33"])],
            vec![source(&["10.0.0.0/8"]), source(&["11.0.0.0/8"])],
            vec![NewCondition {
                source_ip_address_type: Some("ipv4".to_owned()),
                ..source(&[])
            }],
        ] {
            assert_eq!(
                resolve(&bad, &quotas).unwrap_err().code,
                "ValidationError",
                "{bad:?}"
            );
        }
    }
}
