//! Attributes of target groups and listeners, and what attributes of load
//! balancers have in common with them: keys, defaults, permitted values.
//! Attributes that only Network Load Balancers have are not in the tables and
//! therefore refused.

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

/// Attributes of a target group of an Application Load Balancer.
pub const TARGET_GROUP: &[Spec] = &[
    (
        "deregistration_delay.timeout_seconds",
        "300",
        Values::Range(0, 3600),
    ),
    (
        "load_balancing.algorithm.anomaly_mitigation",
        "off",
        Values::OneOf(&["on", "off"]),
    ),
    (
        "load_balancing.algorithm.type",
        "round_robin",
        Values::OneOf(&[
            "round_robin",
            "least_outstanding_requests",
            "weighted_random",
        ]),
    ),
    (
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
        Values::OneOf(&["true", "false", "use_load_balancer_configuration"]),
    ),
    ("slow_start.duration_seconds", "0", Values::ZeroOr(30, 900)),
    ("stickiness.app_cookie.cookie_name", "", Values::Text),
    (
        "stickiness.app_cookie.duration_seconds",
        "86400",
        Values::Range(1, 604_800),
    ),
    ("stickiness.enabled", "false", Values::Bool),
    (
        "stickiness.lb_cookie.duration_seconds",
        "86400",
        Values::Range(1, 604_800),
    ),
    (
        "stickiness.type",
        "lb_cookie",
        Values::OneOf(&["lb_cookie", "app_cookie"]),
    ),
    (
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        "1",
        Values::OffOr(1, 1000),
    ),
    (
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "off",
        Values::OffOr(1, 100),
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "1",
        Values::Range(1, 1000),
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "off",
        Values::OffOr(1, 100),
    ),
];

/// Attributes of every listener of an Application Load Balancer.
pub const LISTENER: &[Spec] = &[
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

/// Attributes that only HTTPS listeners have besides.
pub const LISTENER_HTTPS: &[Spec] = &[
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
    for (at, (key, value)) in changes.iter().enumerate() {
        if changes[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(Refusal::validation(format!(
                "The {what} attribute '{key}' was specified more than once"
            )));
        }
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
    fn permit(self, value: &str) -> bool {
        // A number with a sign or leading zeros is not the number that reads back.
        let within = |from, to| {
            value
                .parse::<u64>()
                .is_ok_and(|n| (from..=to).contains(&n) && n.to_string() == value)
        };
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

/// Refuses combinations that a target group cannot have.
pub fn check_target_group(after: &BTreeMap<String, String>) -> Answer<()> {
    let value = |key: &str| after.get(key).map_or("", String::as_str);
    let refuse = |text: &str| Err(Refusal::new("InvalidConfigurationRequest", text));
    let algorithm = value("load_balancing.algorithm.type");
    if value("slow_start.duration_seconds") != "0" && algorithm != "round_robin" {
        return refuse("Slow start needs the routing algorithm 'round_robin'");
    }
    if value("load_balancing.algorithm.anomaly_mitigation") == "on"
        && algorithm != "weighted_random"
    {
        return refuse("Anomaly mitigation needs the routing algorithm 'weighted_random'");
    }
    let sticky = value("stickiness.enabled") == "true";
    if sticky && value("load_balancing.cross_zone.enabled") == "false" {
        return refuse("Stickiness cannot be enabled while cross-zone load balancing is off");
    }
    let cookie = value("stickiness.app_cookie.cookie_name");
    if sticky && value("stickiness.type") == "app_cookie" && cookie.is_empty() {
        return refuse("A cookie name is needed for stickiness of type 'app_cookie'");
    }
    if cookie.starts_with("AWSALB") {
        return refuse("The cookie names AWSALB, AWSALBAPP and AWSALBTG are reserved");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_are_partial_and_all_or_nothing() {
        const TABLE: &[Spec] = &[
            ("idle", "60", Values::Range(1, 4000)),
            ("switch", "true", Values::Bool),
        ];
        let before = defaults(&[TABLE]);
        let change = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let after = changed("load balancer", &[TABLE], &before, &[change("idle", "120")]).unwrap();
        assert_eq!(after["idle"], "120");
        assert_eq!(after["switch"], "true");
        for bad in [
            change("idle", "0"),
            change("idle", "4001"),
            change("idle", "060"),
            change("idle", "+60"),
            change("idle", ""),
            change("switch", "yes"),
            change("other", "true"),
        ] {
            let refused = changed("load balancer", &[TABLE], &before, &[bad]);
            assert_eq!(refused.unwrap_err().code, "InvalidConfigurationRequest");
        }
        let twice = [change("idle", "61"), change("idle", "61")];
        let refused = changed("load balancer", &[TABLE], &before, &twice);
        assert_eq!(refused.unwrap_err().code, "ValidationError");
        let refused = changed("load balancer", &[TABLE], &before, &[]);
        assert_eq!(refused.unwrap_err().code, "ValidationError");
    }

    #[test]
    fn couplings_of_target_groups() {
        let mut after = defaults(&[TARGET_GROUP]);
        assert!(check_target_group(&after).is_ok());
        after.insert("stickiness.enabled".to_owned(), "true".to_owned());
        after.insert("stickiness.type".to_owned(), "app_cookie".to_owned());
        assert!(check_target_group(&after).is_err());
        after.insert(
            "stickiness.app_cookie.cookie_name".to_owned(),
            "session".to_owned(),
        );
        assert!(check_target_group(&after).is_ok());
    }
}
