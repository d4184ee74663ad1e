//! `GET /_sim/resources`: what an account holds of what a load balancer is made
//! of, in one answer, for those who look from outside. It is no call: it is
//! neither counted nor throttled.

mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::Tags;

pub use self::read::resources;

/// What an account holds in a region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Twelve digits.
    pub account: String,
    /// Region name.
    pub region: String,
    /// Load balancers with listeners and rules, by ARN.
    pub load_balancers: Vec<LoadBalancerView>,
    /// Target groups with targets, by ARN.
    pub target_groups: Vec<TargetGroupView>,
    /// The security groups that load balancers or tags of ours name.
    pub security_groups: Vec<SecurityGroupView>,
    /// Hosted zones with their records, those of NS and SOA left out.
    pub zones: Vec<ZoneView>,
    /// Private DNS names of instances by id: the names of their Nodes.
    pub instances: BTreeMap<String, String>,
}

/// A load balancer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerView {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// DNS name.
    pub dns_name: String,
    /// `provisioning` or `active`.
    pub state: String,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    /// `application` or `network`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Ids.
    pub security_groups: Vec<String>,
    /// Subnets by zone.
    pub subnets: BTreeMap<String, String>,
    /// Attributes that were set.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
    /// By port.
    pub listeners: Vec<ListenerView>,
}

/// A listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerView {
    /// ARN.
    pub arn: String,
    /// Port.
    pub port: u16,
    /// `HTTP`, `HTTPS` and so on.
    pub protocol: String,
    /// ARNs, the default one first.
    pub certificates: Vec<String>,
    /// Security policy of TLS.
    pub ssl_policy: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// By priority, the default one last.
    pub rules: Vec<RuleView>,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleView {
    /// ARN.
    pub arn: String,
    /// A number, or `default`.
    pub priority: String,
    /// All have to be met.
    pub conditions: Vec<ConditionView>,
    /// In their order.
    pub actions: Vec<ActionView>,
    /// Tags.
    pub tags: Tags,
}

/// A condition of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionView {
    /// `host-header` and so on.
    pub field: String,
    /// Name of the header, where the condition is about one.
    pub header: Option<String>,
    /// One of them has to be met.
    pub values: Vec<String>,
    /// The values are regular expressions.
    pub regex: bool,
}

/// An action of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActionView {
    /// `forward`, `redirect`, `fixed-response` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it forwards to.
    pub target_groups: Vec<WeightView>,
    /// Status of a redirect or a fixed response.
    pub status: Option<u16>,
    /// Where a redirect leads, `#{protocol}://#{host}:#{port}/#{path}?#{query}`
    /// with what it replaces.
    pub location: Option<String>,
    /// Body of a fixed response.
    pub body: Option<String>,
}

/// A target group of a forward.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightView {
    /// ARN.
    pub arn: String,
    /// Share of the requests.
    pub weight: u32,
}

/// A target group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetGroupView {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// `ip`, `instance`, `lambda` or `alb`.
    pub target_type: String,
    /// Protocol; absent for functions.
    pub protocol: Option<String>,
    /// `HTTP1`, `HTTP2` or `GRPC`.
    pub protocol_version: Option<String>,
    /// Port; absent for functions.
    pub port: Option<u16>,
    /// How targets are probed.
    pub health_check: HealthCheckView,
    /// Attributes that were set.
    pub attributes: BTreeMap<String, String>,
    /// ARNs of the load balancers that use it.
    pub load_balancers: Vec<String>,
    /// Tags.
    pub tags: Tags,
    /// Targets with their health.
    pub targets: Vec<TargetView>,
}

/// How targets are probed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheckView {
    /// Whether they are.
    pub enabled: bool,
    /// `HTTP` and so on.
    pub protocol: String,
    /// A port, or `traffic-port`.
    pub port: String,
    /// Path; absent for TCP.
    pub path: Option<String>,
    /// Seconds from probe to probe.
    pub interval_seconds: u32,
    /// Seconds until a probe has failed.
    pub timeout_seconds: u32,
    /// Successes in a row.
    pub healthy_threshold: u32,
    /// Failures in a row.
    pub unhealthy_threshold: u32,
    /// Codes that count as success.
    pub codes: Option<String>,
}

/// A target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetView {
    /// Address or id of an instance.
    pub id: String,
    /// Port.
    pub port: u16,
    /// Its zone; absent where it counts for all.
    pub zone: Option<String>,
    /// `healthy`, `initial`, `unhealthy`, `draining`, `unused`, `unavailable`.
    pub health: String,
    /// As DescribeTargetHealth has it.
    pub reason: Option<String>,
    /// As DescribeTargetHealth has it.
    pub description: Option<String>,
    /// Its health is held by `POST /_sim/health`.
    pub held: bool,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityGroupView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// What comes in, in words: `tcp 80-80 from 0.0.0.0/0`.
    pub ingress: Vec<String>,
    /// Tags.
    pub tags: Tags,
}

/// A hosted zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneView {
    /// Id.
    pub id: String,
    /// Name with the dot at its end.
    pub name: String,
    /// Whether it is seen by its VPCs only.
    pub private: bool,
    /// Records.
    pub records: Vec<RecordView>,
}

/// A record set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordView {
    /// Name with the dot at its end.
    pub name: String,
    /// `A`, `TXT` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds; absent for an alias.
    pub ttl: Option<u32>,
    /// Values.
    pub values: Vec<String>,
    /// The name that it is an alias of.
    pub alias: Option<String>,
    /// What keeps apart records of one name and type.
    pub set_identifier: Option<String>,
}
