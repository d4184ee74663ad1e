//! Our words in AWS's: what a step says, as the SDK wants it.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::types as sdk;

use crate::aws::operations::Operation;
use crate::aws::{Class, Error};
use crate::model::spec::{Arn, Condition, Protocol, Tags, Target};

/// An answer without what every answer has.
pub fn no_answer(operation: &Operation) -> Error {
    Error::here(
        operation,
        Class::Transient,
        "the answer does not say what was made",
    )
}

/// Something that is only ever read.
pub fn cannot_write(operation: &Operation, text: &str) -> Error {
    let message = format!("this version can read and not write: {text}");
    Error::here(operation, Class::Refused, message)
}

/// A priority as AWS wants it.
pub fn number(operation: &Operation, priority: u32) -> Result<i32, Error> {
    i32::try_from(priority).map_err(|_| {
        let message = format!("priority {priority} is out of range");
        Error::here(operation, Class::Refused, message)
    })
}

/// A protocol.
pub fn protocol(protocol: Protocol) -> sdk::ProtocolEnum {
    match protocol {
        Protocol::Http => sdk::ProtocolEnum::Http,
        Protocol::Https => sdk::ProtocolEnum::Https,
    }
}

/// Tags; AWS refuses an empty list.
pub fn tag_list(tags: &Tags) -> Option<Vec<sdk::Tag>> {
    let list: Vec<_> = tags
        .iter()
        .map(|(key, value)| sdk::Tag::builder().key(key).value(value).build())
        .collect();
    (!list.is_empty()).then_some(list)
}

/// A list of one certificate, or none.
pub fn certificates(certificate: Option<&Arn>) -> Option<Vec<sdk::Certificate>> {
    certificate.map(|arn| {
        vec![
            sdk::Certificate::builder()
                .certificate_arn(arn.as_str())
                .build(),
        ]
    })
}

/// Success codes.
pub fn matcher(protocol_version: &str, codes: &str) -> sdk::Matcher {
    let matcher = sdk::Matcher::builder();
    if protocol_version == "GRPC" {
        matcher.grpc_code(codes).build()
    } else {
        matcher.http_code(codes).build()
    }
}

/// Conditions of a rule.
pub fn conditions(
    operation: &Operation,
    conditions: &[Condition],
) -> Result<Vec<sdk::RuleCondition>, Error> {
    conditions
        .iter()
        .map(|condition| {
            let base = sdk::RuleCondition::builder();
            Ok(match condition {
                Condition::HostHeader(values) => base.field("host-header").host_header_config(
                    sdk::HostHeaderConditionConfig::builder()
                        .set_values(Some(values.clone()))
                        .build(),
                ),
                Condition::PathPattern(values) => base.field("path-pattern").path_pattern_config(
                    sdk::PathPatternConditionConfig::builder()
                        .set_values(Some(values.clone()))
                        .build(),
                ),
                Condition::Other(text) => return Err(cannot_write(operation, text)),
            }
            .build())
        })
        .collect()
}

/// Targets.
pub fn descriptions(targets: &BTreeSet<Target>) -> Vec<sdk::TargetDescription> {
    targets
        .iter()
        .map(|target| {
            sdk::TargetDescription::builder()
                .id(&target.id)
                .port(i32::from(target.port))
                .set_availability_zone(target.outside_vpc.then(|| "all".to_owned()))
                .build()
        })
        .collect()
}
