//! Structures that several operations of ELBv2 read or answer.

use crate::{
    state::{
        Action, ActionKind, Answer, Condition, Patterns, QueryPair,
        action::{NewAction, NewFixedResponse, NewForward, NewRedirect},
        condition::{NewCondition, NewPatterns},
    },
    wire::{params::Input, xml::Xml},
};

/// Reads a list of actions.
pub fn read_actions(input: &Input, name: &str) -> Answer<Vec<NewAction>> {
    input.list(name).iter().map(read_action).collect()
}

fn read_action(action: &Input) -> Answer<NewAction> {
    Ok(NewAction {
        kind: action.need("Type")?,
        order: action.number("Order")?,
        target_group_arn: action.text("TargetGroupArn"),
        forward: if action.has("ForwardConfig") {
            Some(read_forward(&action.part("ForwardConfig"))?)
        } else {
            None
        },
        redirect: if action.has("RedirectConfig") {
            let redirect = action.part("RedirectConfig");
            Some(NewRedirect {
                protocol: redirect.text("Protocol"),
                port: redirect.text("Port"),
                host: redirect.text("Host"),
                path: redirect.text("Path"),
                query: redirect.text("Query"),
                status_code: redirect.need("StatusCode")?,
            })
        } else {
            None
        },
        fixed_response: if action.has("FixedResponseConfig") {
            let fixed = action.part("FixedResponseConfig");
            Some(NewFixedResponse {
                status_code: fixed.need("StatusCode")?,
                message_body: fixed.text("MessageBody"),
                content_type: fixed.text("ContentType"),
            })
        } else {
            None
        },
    })
}

fn read_forward(forward: &Input) -> Answer<NewForward> {
    let mut target_groups = Vec::new();
    for group in forward.list("TargetGroups") {
        target_groups.push((group.need("TargetGroupArn")?, group.number("Weight")?));
    }
    let stickiness = if forward.has("TargetGroupStickinessConfig") {
        let config = forward.part("TargetGroupStickinessConfig");
        let enabled = config.flag("Enabled")?.unwrap_or(false);
        Some((enabled, config.number("DurationSeconds")?))
    } else {
        None
    };
    Ok(NewForward {
        target_groups,
        stickiness,
    })
}

/// Reads a list of conditions.
pub fn read_conditions(input: &Input) -> Answer<Vec<NewCondition>> {
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
    })
}

/// `Key` and `Value` pairs of attributes, both needed.
pub fn read_attributes(input: &Input) -> Answer<Vec<(String, String)>> {
    input
        .list("Attributes")
        .iter()
        .map(|pair| Ok((pair.need("Key")?, pair.need("Value")?)))
        .collect()
}

/// Writes attributes.
pub fn write_attributes<'a>(
    xml: &mut Xml,
    attributes: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    xml.list("Attributes", "member", attributes, |xml, (key, value)| {
        xml.leaf("Key", key).leaf("Value", value);
    });
}

/// Writes actions in the form in which AWS answers them: a forward to one
/// group in both of its spellings, redirects with every part.
pub fn write_actions(xml: &mut Xml, name: &str, actions: &[Action]) {
    xml.list(name, "member", actions, |xml, action| {
        match &action.kind {
            ActionKind::Forward(forward) => {
                xml.leaf("Type", "forward");
                if let [only] = forward.target_groups.as_slice() {
                    xml.leaf("TargetGroupArn", &only.arn);
                }
                xml.nest("ForwardConfig", |xml| {
                    xml.list(
                        "TargetGroups",
                        "member",
                        &forward.target_groups,
                        |xml, group| {
                            xml.leaf("TargetGroupArn", &group.arn)
                                .leaf("Weight", group.weight);
                        },
                    );
                    xml.nest("TargetGroupStickinessConfig", |xml| {
                        xml.leaf("Enabled", forward.stickiness_seconds.is_some());
                        xml.maybe("DurationSeconds", forward.stickiness_seconds);
                    });
                });
            }
            ActionKind::Redirect(redirect) => {
                xml.leaf("Type", "redirect");
                xml.nest("RedirectConfig", |xml| {
                    xml.leaf("Protocol", &redirect.protocol)
                        .leaf("Port", &redirect.port)
                        .leaf("Host", &redirect.host)
                        .leaf("Path", &redirect.path)
                        .leaf("Query", &redirect.query)
                        .leaf("StatusCode", format!("HTTP_{}", redirect.status));
                });
            }
            ActionKind::FixedResponse(fixed) => {
                xml.leaf("Type", "fixed-response");
                xml.nest("FixedResponseConfig", |xml| {
                    xml.leaf("StatusCode", fixed.status)
                        .maybe("MessageBody", fixed.body.as_ref())
                        .maybe("ContentType", fixed.content_type.as_ref());
                });
            }
        }
        xml.maybe("Order", action.order);
    });
}

/// Writes conditions; host and path also with their values in the older place.
pub fn write_conditions(xml: &mut Xml, conditions: &[Condition]) {
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
