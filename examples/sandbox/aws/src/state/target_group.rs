//! Target groups and their health checks.

use std::collections::{BTreeMap, BTreeSet};

use super::target::{Target, TargetKey};

/// What the ids of targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetType {
    /// Instance ids.
    Instance,
    /// IP addresses.
    Ip,
    /// Functions; accepted by the API, served by nobody here.
    Lambda,
}

impl TargetType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
            Self::Lambda => "lambda",
        }
    }
}

/// A target group with its targets.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetGroup {
    /// `arn:…:targetgroup/NAME/ID`.
    pub arn: String,
    /// Name, unique in account and region.
    pub name: String,
    /// HTTP or HTTPS; `None` for functions.
    pub protocol: Option<super::listener::Protocol>,
    /// Port of targets that are registered without one.
    pub port: Option<u16>,
    /// `HTTP1`, `HTTP2` or `GRPC`.
    pub protocol_version: Option<String>,
    /// VPC; `None` for functions.
    pub vpc_id: Option<String>,
    /// What its targets are.
    pub target_type: TargetType,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: String,
    /// How targets are probed.
    pub health_check: HealthCheck,
    /// Attributes, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// ARNs of the listeners (default actions) and rules that name the group.
    pub references: BTreeSet<String>,
    /// Its targets; a target is an id with a port.
    pub targets: BTreeMap<TargetKey, Target>,
}

/// The health check of a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Off only for functions.
    pub enabled: bool,
    /// HTTP or HTTPS.
    pub protocol: super::listener::Protocol,
    /// A port, or `None` for `traffic-port`.
    pub port: Option<u16>,
    /// Path, or the method for gRPC.
    pub path: String,
    /// Seconds from probe to probe, 5 to 300.
    pub interval_seconds: u32,
    /// Seconds until a probe has failed, 2 to 120.
    pub timeout_seconds: u32,
    /// Successes in a row that make an unhealthy target healthy, 2 to 10.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy, 2 to 10.
    pub unhealthy_threshold: u32,
    /// Codes that count as success.
    pub matcher: Matcher,
}

/// Codes of a successful probe, as the user spelled them (`200`, `200,302`, `200-399`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// HTTP status codes.
    Http(String),
    /// gRPC status codes.
    Grpc(String),
}

impl Matcher {
    /// Whether `code` is one of the codes.
    pub fn matches(&self, code: u16) -> bool {
        let (Self::Http(text) | Self::Grpc(text)) = self;
        text.split(',').any(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (from.trim().parse::<u16>(), to.trim().parse::<u16>()) {
                (Ok(from), Ok(to)) => (from..=to).contains(&code),
                _ => false,
            }
        })
    }
}
