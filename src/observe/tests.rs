//! What tests of this side share.

use crate::model::spec::{HealthCheck, Protocol, Tags, TargetGroup, TargetGroupKey, TargetType};

/// A target group as AWS makes one by default.
pub(crate) fn target_group(key: &str) -> TargetGroup {
    TargetGroup {
        key: TargetGroupKey(key.to_owned()),
        name: "k8s-ns-web-0123456789".to_owned(),
        target_type: TargetType::Ip,
        protocol: Protocol::Http,
        protocol_version: "HTTP1".to_owned(),
        port: 80,
        health_check: HealthCheck {
            protocol: Protocol::Http,
            port: "traffic-port".to_owned(),
            path: "/".to_owned(),
            interval_seconds: 15,
            timeout_seconds: 5,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            success_codes: "200".to_owned(),
        },
        tags: Tags::new(),
    }
}
