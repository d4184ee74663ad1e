//! Conditions and transforms of rules, read and written.

use crate::{
    state::{
        Answer, Condition, Patterns, QueryPair, Transform,
        condition::{NewCondition, NewPatterns},
        transform::{NewTransform, Subject},
    },
    wire::{params::Input, xml::Xml},
};

/// Reads a list of conditions.
pub fn read(input: &Input) -> Answer<Vec<NewCondition>> {
    input
        .list("Conditions")
        .iter()
        .map(read_condition)
        .collect()
}

fn read_condition(condition: &Input) -> Answer<NewCondition> {
    let patterns = |name: &str| {
        let part = condition.part(name);
        condition.has(name).then(|| NewPatterns {
            values: part.texts("Values"),
            regex_values: part.texts("RegexValues"),
        })
    };
    let texts = |name: &str| {
        condition
            .has(name)
            .then(|| condition.part(name).texts("Values"))
    };
    let http_header = patterns("HttpHeaderConfig").map(|patterns| {
        let name = condition.part("HttpHeaderConfig").text("HttpHeaderName");
        (name.unwrap_or_default(), patterns)
    });
    let query_string = if condition.has("QueryStringConfig") {
        let mut pairs = Vec::new();
        for pair in condition.part("QueryStringConfig").list("Values") {
            pairs.push(QueryPair {
                key: pair.text("Key"),
                value: pair.need("Value")?,
            });
        }
        Some(pairs)
    } else {
        None
    };
    Ok(NewCondition {
        field: condition.text("Field"),
        values: condition.texts("Values"),
        regex_values: condition.texts("RegexValues"),
        host_header: patterns("HostHeaderConfig"),
        path_pattern: patterns("PathPatternConfig"),
        http_header,
        http_request_method: texts("HttpRequestMethodConfig"),
        query_string,
        source_ip: texts("SourceIpConfig"),
        source_ip_address_type: condition.part("SourceIpConfig").text("IpAddressType"),
    })
}

/// Reads a list of transforms.
pub fn read_transforms(input: &Input) -> Answer<Vec<NewTransform>> {
    input
        .list("Transforms")
        .iter()
        .map(|transform| {
            Ok(NewTransform {
                kind: transform.need("Type")?,
                host_header: read_rewrites(transform, "HostHeaderRewriteConfig")?,
                url: read_rewrites(transform, "UrlRewriteConfig")?,
            })
        })
        .collect()
}

fn read_rewrites(transform: &Input, name: &str) -> Answer<Option<Vec<(String, String)>>> {
    if !transform.has(name) {
        return Ok(None);
    }
    let rewrites = transform.part(name).list("Rewrites");
    let pair = |rewrite: &Input| Ok((rewrite.need("Regex")?, rewrite.need("Replace")?));
    rewrites.iter().map(pair).collect::<Answer<_>>().map(Some)
}

/// Writes conditions; host and path also with their values in the older place.
pub fn write(xml: &mut Xml, conditions: &[Condition]) {
    xml.list("Conditions", "member", conditions, |xml, condition| {
        xml.leaf("Field", condition.field());
        match condition {
            Condition::HostHeader(patterns) => {
                write_patterns(xml, patterns);
                xml.nest("HostHeaderConfig", |xml| write_patterns(xml, patterns));
            }
            Condition::PathPattern(patterns) => {
                write_patterns(xml, patterns);
                xml.nest("PathPatternConfig", |xml| write_patterns(xml, patterns));
            }
            Condition::HttpHeader { name, patterns } => {
                xml.nest("HttpHeaderConfig", |xml| {
                    xml.leaf("HttpHeaderName", name);
                    write_patterns(xml, patterns);
                });
            }
            Condition::HttpRequestMethod(methods) => {
                xml.nest("HttpRequestMethodConfig", |xml| {
                    xml.texts("Values", "member", methods);
                });
            }
            Condition::QueryString(pairs) => {
                xml.nest("QueryStringConfig", |xml| {
                    xml.list("Values", "member", pairs, |xml, pair| {
                        xml.maybe("Key", pair.key.as_ref())
                            .leaf("Value", &pair.value);
                    });
                });
            }
            Condition::SourceIp(ranges) => {
                xml.nest("SourceIpConfig", |xml| {
                    xml.texts("Values", "member", ranges);
                });
            }
        }
    });
}

fn write_patterns(xml: &mut Xml, patterns: &Patterns) {
    match patterns {
        Patterns::Wildcards(values) => xml.texts("Values", "member", values),
        Patterns::Regexes(values) => xml.texts("RegexValues", "member", values),
    };
}

/// Writes transforms.
pub fn write_transforms(xml: &mut Xml, transforms: &[Transform]) {
    xml.list("Transforms", "member", transforms, |xml, transform| {
        let config = match transform.subject {
            Subject::HostHeader => "HostHeaderRewriteConfig",
            Subject::Url => "UrlRewriteConfig",
        };
        xml.leaf("Type", transform.subject.as_str());
        xml.nest(config, |xml| {
            xml.list("Rewrites", "member", [transform], |xml, rewrite| {
                xml.leaf("Regex", &rewrite.regex)
                    .leaf("Replace", &rewrite.replace);
            });
        });
    });
}
