//! Attributes of target groups: which keys a kind of group has, their
//! defaults, permitted values and couplings.

use std::collections::BTreeMap;

use super::{
    Answer, Protocol, Refusal, TargetGroup, TargetType,
    attributes::{Spec, Values},
};

/// Groups of instances, addresses and load balancers, whoever sends to them.
const COMMON: &[Spec] = &[
    (
        "deregistration_delay.timeout_seconds",
        "300",
        Values::Range(0, 3600),
    ),
    (
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
        Values::OneOf(&["true", "false", "use_load_balancer_configuration"]),
    ),
    ("stickiness.enabled", "false", Values::Bool),
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

/// Groups of an Application Load Balancer.
const APPLICATION: &[Spec] = &[
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
    ("slow_start.duration_seconds", "0", Values::ZeroOr(30, 900)),
    ("stickiness.app_cookie.cookie_name", "", Values::Text),
    (
        "stickiness.app_cookie.duration_seconds",
        "86400",
        Values::Range(1, 604_800),
    ),
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
];

/// Groups that are spoken to in HTTP/2.
const HTTP2: &[Spec] = &[
    RESETS,
    (
        "waf.http2.traffic_inspection_behavior",
        "inspect_immediately",
        Values::OneOf(&["inspect_immediately", "inspect_after_sufficient_data"]),
    ),
];

/// Groups that are spoken to in gRPC.
const GRPC: &[Spec] = &[RESETS];

/// Whether the error code of a reset stream goes on to the client.
const RESETS: Spec = (
    "routing.http2.rst_stream_error_forwarding.enabled",
    "false",
    Values::Bool,
);

/// Groups of functions.
const LAMBDA: &[Spec] = &[("lambda.multi_value_headers.enabled", "false", Values::Bool)];

/// Groups of a Network Load Balancer.
const NETWORK: &[Spec] = &[
    ("proxy_protocol_v2.enabled", "false", Values::Bool),
    (
        "stickiness.type",
        "source_ip",
        Values::OneOf(&["source_ip"]),
    ),
    (
        "target_health_state.unhealthy.draining_interval_seconds",
        "0",
        Values::Range(0, 360_000),
    ),
];

/// How groups of a Network Load Balancer without datagrams end connections.
const STREAMS: &[Spec] = &[
    (
        "deregistration_delay.connection_termination.enabled",
        "false",
        Values::Bool,
    ),
    (
        "target_health_state.unhealthy.connection_termination.enabled",
        "true",
        Values::Bool,
    ),
];

/// How groups of a Network Load Balancer with datagrams do it.
const DATAGRAMS: &[Spec] = &[
    (
        "deregistration_delay.connection_termination.enabled",
        "true",
        Values::Bool,
    ),
    (
        "target_health_state.unhealthy.connection_termination.enabled",
        "false",
        Values::Fixed("false"),
    ),
];

/// Whether targets see the address of the client: on, off, always on.
const CLIENT_IP: [&[Spec]; 3] = [
    &[("preserve_client_ip.enabled", "true", Values::Bool)],
    &[("preserve_client_ip.enabled", "false", Values::Bool)],
    &[("preserve_client_ip.enabled", "true", Values::Fixed("true"))],
];

/// Groups of a Gateway Load Balancer.
const GATEWAY: &[Spec] = &[
    (
        "deregistration_delay.timeout_seconds",
        "300",
        Values::Range(0, 3600),
    ),
    (
        "send_tcp_reset.on_deregistration.enabled",
        "false",
        Values::Bool,
    ),
    ("send_tcp_reset.on_unhealthy.enabled", "false", Values::Bool),
    ("stickiness.enabled", "false", Values::Bool),
    (
        "stickiness.type",
        "source_ip_dest_ip_proto",
        Values::OneOf(&["source_ip_dest_ip", "source_ip_dest_ip_proto"]),
    ),
    (
        "target_failover.on_deregistration",
        "no_rebalance",
        Values::OneOf(&["rebalance", "no_rebalance"]),
    ),
    (
        "target_failover.on_unhealthy",
        "no_rebalance",
        Values::OneOf(&["rebalance", "no_rebalance"]),
    ),
];

/// The tables of a group.
pub(super) fn tables(group: &TargetGroup) -> Vec<&'static [Spec]> {
    match group.protocol {
        None => vec![LAMBDA],
        Some(Protocol::Geneve) => vec![GATEWAY],
        Some(protocol) if protocol.is_http() => match group.protocol_version.as_deref() {
            Some("HTTP2") => vec![COMMON, APPLICATION, HTTP2],
            Some("GRPC") => vec![COMMON, APPLICATION, GRPC],
            _ => vec![COMMON, APPLICATION],
        },
        Some(protocol) => {
            let connections = if protocol.has_datagrams() {
                DATAGRAMS
            } else {
                STREAMS
            };
            let client_ip = match group.target_type {
                _ if protocol.has_datagrams() => 2,
                TargetType::Ip => 1,
                _ => 0,
            };
            vec![COMMON, NETWORK, connections, CLIENT_IP[client_ip]]
        }
    }
}

/// Refuses a kind of stickiness that the protocol does not have, in the words
/// that AWS has for it.
pub(super) fn check_stickiness_type(
    group: &TargetGroup,
    changes: &[(String, String)],
) -> Answer<()> {
    let kinds = [
        "lb_cookie",
        "app_cookie",
        "source_ip",
        "source_ip_dest_ip",
        "source_ip_dest_ip_proto",
    ];
    let Some(protocol) = group.protocol else {
        return Ok(());
    };
    let permitted = tables(group).into_iter().flatten().any(|(key, _, values)| {
        *key == "stickiness.type"
            && changes
                .iter()
                .filter(|(key, _)| key == "stickiness.type")
                .all(|(_, kind)| values.permit(kind))
    });
    match changes.iter().find(|(key, _)| key == "stickiness.type") {
        Some((_, kind)) if !permitted && kinds.contains(&kind.as_str()) => Err(Refusal::new(
            "InvalidConfigurationRequest",
            format!(
                "Stickiness type '{kind}' is not supported for target groups with the {} protocol",
                protocol.as_str()
            ),
        )),
        _ => Ok(()),
    }
}

/// Refuses combinations that a target group cannot have.
pub(super) fn check(after: &BTreeMap<String, String>) -> Answer<()> {
    let value = |key: &str| after.get(key).map_or("", String::as_str);
    let refuse = |text: &str| Err(Refusal::new("InvalidConfigurationRequest", text));
    let algorithm = value("load_balancing.algorithm.type");
    let slow_start = value("slow_start.duration_seconds");
    if !matches!(slow_start, "" | "0") && algorithm != "round_robin" {
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
    if value("target_health_state.unhealthy.connection_termination.enabled") == "true"
        && value("target_health_state.unhealthy.draining_interval_seconds") != "0"
    {
        return refuse(
            "A draining interval needs connection termination of unhealthy targets to be off",
        );
    }
    if value("target_failover.on_deregistration") != value("target_failover.on_unhealthy") {
        return refuse("Both attributes of target failover must have the same value");
    }
    for unit in ["count", "percentage"] {
        let minimum = |what: &str| {
            let key = format!("target_group_health.{what}.minimum_healthy_targets.{unit}");
            value(&key).parse::<u32>().ok()
        };
        let (failover, routing) = (minimum("dns_failover"), minimum("unhealthy_state_routing"));
        if failover
            .zip(routing)
            .is_some_and(|(failover, routing)| failover < routing)
        {
            return refuse(
                "The minimum of healthy targets for DNS failover must not be below the one for routing failover",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::attributes;

    #[test]
    fn couplings() {
        let good = |changes: &[(&str, &str)]| {
            let mut after = attributes::defaults(&[COMMON, APPLICATION]);
            for (key, value) in changes {
                after.insert((*key).to_owned(), (*value).to_owned());
            }
            check(&after).is_ok()
        };
        let sticky = ("stickiness.enabled", "true");
        let app = ("stickiness.type", "app_cookie");
        let random = ("load_balancing.algorithm.type", "weighted_random");
        let mitigation = ("load_balancing.algorithm.anomaly_mitigation", "on");
        let minimum = "minimum_healthy_targets.count";
        let routing = format!("target_group_health.unhealthy_state_routing.{minimum}");
        let failover = format!("target_group_health.dns_failover.{minimum}");
        assert!(good(&[]));
        assert!(!good(&[sticky, app]));
        assert!(good(&[
            sticky,
            app,
            ("stickiness.app_cookie.cookie_name", "session")
        ]));
        assert!(!good(&[("stickiness.app_cookie.cookie_name", "AWSALBTG1")]));
        assert!(!good(&[
            sticky,
            ("load_balancing.cross_zone.enabled", "false")
        ]));
        assert!(!good(&[mitigation]));
        assert!(good(&[mitigation, random]));
        assert!(!good(&[("slow_start.duration_seconds", "30"), random]));
        assert!(!good(&[(&routing, "2")]));
        assert!(good(&[(&routing, "2"), (&failover, "2")]));
        assert!(good(&[(&routing, "2"), (&failover, "off")]));
    }
}
