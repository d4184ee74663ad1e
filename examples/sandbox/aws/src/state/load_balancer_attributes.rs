//! Attributes of load balancers by their type: keys, defaults, permitted
//! values, and where logs can go.

use std::collections::BTreeMap;

use super::{
    Answer, Refusal, Scheme, State,
    attributes::{Spec, Values, changed, defaults},
    load_balancer::LoadBalancerKind,
};

/// Attributes of every load balancer.
const COMMON: &[Spec] = &[
    ("access_logs.s3.bucket", "", Values::Text),
    ("access_logs.s3.enabled", "false", Values::Bool),
    ("access_logs.s3.prefix", "", Values::Text),
    ("deletion_protection.enabled", "false", Values::Bool),
    (DENY_GATEWAY, "false", Values::Bool),
    ("zonal_shift.config.enabled", "false", Values::Bool),
];

/// Attributes that only Application Load Balancers have, or that take other
/// values there.
const APPLICATION: &[Spec] = &[
    (
        "client_keep_alive.seconds",
        "3600",
        Values::Range(60, 604_800),
    ),
    ("connection_logs.s3.bucket", "", Values::Text),
    ("connection_logs.s3.enabled", "false", Values::Bool),
    ("connection_logs.s3.prefix", "", Values::Text),
    ("health_check_logs.s3.bucket", "", Values::Text),
    ("health_check_logs.s3.enabled", "false", Values::Bool),
    ("health_check_logs.s3.prefix", "", Values::Text),
    ("idle_timeout.timeout_seconds", "60", Values::Range(1, 4000)),
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
    ("routing.http.x_amzn_tls_kx.enabled", "false", Values::Bool),
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
];

/// Attributes that only Network Load Balancers have, or that take other values
/// there.
const NETWORK: &[Spec] = &[
    (
        "dns_record.client_routing_policy",
        "any_availability_zone",
        Values::OneOf(&[
            "any_availability_zone",
            "availability_zone_affinity",
            "partial_availability_zone_affinity",
        ]),
    ),
    ("load_balancing.cross_zone.enabled", "false", Values::Bool),
    (SECONDARY_ADDRESSES, "0", Values::Range(0, 7)),
];

const DENY_GATEWAY: &str = "ipv6.deny_all_igw_traffic";
const SECONDARY_ADDRESSES: &str = "secondary_ips.auto_assigned.per_subnet";
const DELETION_PROTECTION: &str = "deletion_protection.enabled";

/// Families of logs; those that a type does not have are not in its table.
const LOGS: [&str; 3] = ["access_logs", "connection_logs", "health_check_logs"];

fn tables(kind: LoadBalancerKind) -> [&'static [Spec]; 2] {
    match kind {
        LoadBalancerKind::Application => [COMMON, APPLICATION],
        LoadBalancerKind::Network => [COMMON, NETWORK],
    }
}

/// The attributes of a new load balancer.
pub(super) fn initial(kind: LoadBalancerKind, scheme: Scheme) -> BTreeMap<String, String> {
    let mut attributes = defaults(&tables(kind));
    if scheme == Scheme::Internal {
        attributes.insert(DENY_GATEWAY.to_owned(), "true".to_owned());
    }
    attributes
}

/// Whether attributes forbid a delete.
pub(super) fn is_protected(attributes: &BTreeMap<String, String>) -> bool {
    attributes
        .get(DELETION_PROTECTION)
        .is_some_and(|value| value == "true")
}

impl State {
    /// ModifyLoadBalancerAttributes: named attributes change, all or none.
    /// Logs can only go to a bucket that was declared.
    pub fn modify_load_balancer_attributes(
        &mut self,
        arn: &str,
        changes: &[(String, String)],
    ) -> Answer<()> {
        let balancer = self.load_balancer(arn)?;
        let kind = balancer.kind;
        if let Some((key, _)) = changes.iter().find(|(key, _)| is_foreign(kind, key)) {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!(
                    "Load balancer attribute key '{key}' is not supported on load balancers with type '{}'",
                    kind.as_str()
                ),
            ));
        }
        let after = changed(
            "load balancer",
            &tables(kind),
            &balancer.attributes,
            changes,
        )?;
        let number = |of: &BTreeMap<String, String>| {
            of.get(SECONDARY_ADDRESSES)
                .and_then(|value| value.parse::<u8>().ok())
        };
        if number(&after) < number(&balancer.attributes) {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("The value of '{SECONDARY_ADDRESSES}' cannot be decreased"),
            ));
        }
        for family in LOGS {
            let prefix = format!("{family}.s3.");
            if changes.iter().any(|(key, _)| key.starts_with(&prefix)) {
                self.check_logs(&prefix, &after)?;
            }
        }
        self.load_balancer_mut(arn)?.attributes = after;
        Ok(())
    }

    fn check_logs(&self, family: &str, after: &BTreeMap<String, String>) -> Answer<()> {
        let refuse = |text: String| Err(Refusal::new("InvalidConfigurationRequest", text));
        let value = |part: &str| {
            after
                .get(&format!("{family}{part}"))
                .map_or("", String::as_str)
        };
        if value("prefix").contains("AWSLogs") {
            return refuse(format!("'{family}prefix' must not contain 'AWSLogs'"));
        }
        if value("enabled") != "true" {
            return Ok(());
        }
        let bucket = value("bucket");
        if bucket.is_empty() {
            return refuse(format!(
                "A bucket must be specified in '{family}bucket' when '{family}enabled' is true"
            ));
        }
        if !self.outside.takes_logs(bucket, &self.region) {
            return refuse(format!(
                "Access Denied for bucket: {bucket}. Please check S3bucket permission"
            ));
        }
        Ok(())
    }
}

/// Whether a key is one of another type of load balancer.
fn is_foreign(kind: LoadBalancerKind, key: &str) -> bool {
    let knows = |kind| {
        tables(kind)
            .iter()
            .any(|table| table.iter().any(|(known, ..)| *known == key))
    };
    !knows(kind)
        && [LoadBalancerKind::Application, LoadBalancerKind::Network]
            .into_iter()
            .any(knows)
}
