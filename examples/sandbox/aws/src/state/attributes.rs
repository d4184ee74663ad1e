//! Attributes of load balancers, and what attributes of target groups and
//! listeners have in common with them: keys, defaults, permitted values.
//! Attributes that only Network Load Balancers have are not in the table of
//! Application Load Balancers and therefore refused.

use std::collections::BTreeMap;

use super::{Answer, Refusal};

/// Which values a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// `true` or `false`.
    Bool,
    /// This value only.
    Fixed(&'static str),
    /// A number from, to.
    Range(u64, u64),
    /// 0, or a number from, to.
    ZeroOr(u64, u64),
    /// `off`, or a number from, to.
    OffOr(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
}

/// A key with its default and its values.
pub type Spec = (&'static str, &'static str, Values);

/// Attributes of an Application Load Balancer.
pub const LOAD_BALANCER: &[Spec] = &[
    ("access_logs.s3.bucket", "", Values::Text),
    ("access_logs.s3.enabled", "false", Values::Bool),
    ("access_logs.s3.prefix", "", Values::Text),
    (
        "client_keep_alive.seconds",
        "3600",
        Values::Range(60, 604_800),
    ),
    ("connection_logs.s3.bucket", "", Values::Text),
    ("connection_logs.s3.enabled", "false", Values::Bool),
    ("connection_logs.s3.prefix", "", Values::Text),
    ("deletion_protection.enabled", "false", Values::Bool),
    ("health_check_logs.s3.bucket", "", Values::Text),
    ("health_check_logs.s3.enabled", "false", Values::Bool),
    ("health_check_logs.s3.prefix", "", Values::Text),
    ("idle_timeout.timeout_seconds", "60", Values::Range(1, 4000)),
    ("ipv6.deny_all_igw_traffic", "false", Values::Bool),
    (
        "load_balancing.cross_zone.enabled",
        "true",
        Values::Fixed("true"),
    ),
    (
        "routing.http.desync_mitigation_mode",
        "defensive",
        Values::OneOf(&["monitor", "defensive", "strictest"]),
    ),
    (
        "routing.http.drop_invalid_header_fields.enabled",
        "false",
        Values::Bool,
    ),
    (
        "routing.http.preserve_host_header.enabled",
        "false",
        Values::Bool,
    ),
    (
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        "false",
        Values::Bool,
    ),
    (
        "routing.http.xff_client_port.enabled",
        "false",
        Values::Bool,
    ),
    (
        "routing.http.xff_header_processing.mode",
        "append",
        Values::OneOf(&["append", "preserve", "remove"]),
    ),
    ("routing.http2.enabled", "true", Values::Bool),
    ("waf.fail_open.enabled", "false", Values::Bool),
    ("zonal_shift.config.enabled", "false", Values::Bool),
];

/// The most attributes that one call may change.
const MOST_PER_CALL: usize = 20;

/// Every key with its default.
pub fn defaults(tables: &[&[Spec]]) -> BTreeMap<String, String> {
    tables
        .iter()
        .flat_map(|table| table.iter())
        .map(|(key, value, _)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The attributes after a change: named keys change, the others stay, and
/// either all changes are good or none is made. `what` is used in texts.
pub fn changed(
    what: &str,
    tables: &[&[Spec]],
    current: &BTreeMap<String, String>,
    changes: &[(String, String)],
) -> Answer<BTreeMap<String, String>> {
    if changes.is_empty() {
        return Err(Refusal::validation(
            "At least one attribute must be specified",
        ));
    }
    if changes.len() > MOST_PER_CALL {
        return Err(Refusal::validation(format!(
            "At most {MOST_PER_CALL} attributes may be modified in one call, got {}",
            changes.len()
        )));
    }
    let mut after = current.clone();
    for (key, value) in changes {
        let spec = tables
            .iter()
            .flat_map(|table| table.iter())
            .find(|(known, ..)| known == key);
        let Some((_, _, values)) = spec else {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("The provided {what} attribute '{key}' is not supported"),
            ));
        };
        if !values.permit(value) {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("The value '{value}' is not valid for the {what} attribute '{key}'"),
            ));
        }
        after.insert(key.clone(), value.clone());
    }
    Ok(after)
}

impl Values {
    /// Whether `value` is one of them.
    pub fn permit(self, value: &str) -> bool {
        let within = |from, to| value.parse::<u64>().is_ok_and(|n| (from..=to).contains(&n));
        match self {
            Self::Bool => matches!(value, "true" | "false"),
            Self::Fixed(only) => value == only,
            Self::Range(from, to) => within(from, to),
            Self::ZeroOr(from, to) => value == "0" || within(from, to),
            Self::OffOr(from, to) => value == "off" || within(from, to),
            Self::OneOf(words) => words.contains(&value),
            Self::Text => value.chars().count() <= 1024,
        }
    }
}

/// Refuses logs that are switched on without a bucket.
pub fn check_load_balancer(after: &BTreeMap<String, String>) -> Answer<()> {
    for family in ["access_logs", "connection_logs", "health_check_logs"] {
        let value = |part: &str| {
            after
                .get(&format!("{family}.s3.{part}"))
                .map(String::as_str)
        };
        if value("enabled") == Some("true") && value("bucket") == Some("") {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!(
                    "A bucket must be given in '{family}.s3.bucket' to enable '{family}.s3.enabled'"
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_are_partial_and_all_or_nothing() {
        let before = defaults(&[LOAD_BALANCER]);
        let change = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let after = changed(
            "load balancer",
            &[LOAD_BALANCER],
            &before,
            &[change("idle_timeout.timeout_seconds", "120")],
        )
        .unwrap();
        assert_eq!(after["idle_timeout.timeout_seconds"], "120");
        assert_eq!(after["routing.http2.enabled"], "true");
        for bad in [
            change("idle_timeout.timeout_seconds", "0"),
            change("routing.http2.enabled", "yes"),
            change("dns_record.client_routing_policy", "any_availability_zone"),
        ] {
            let refused = changed("load balancer", &[LOAD_BALANCER], &before, &[bad]);
            assert_eq!(refused.unwrap_err().code, "InvalidConfigurationRequest");
        }
    }
}
