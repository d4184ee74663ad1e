//! The vocabulary of both sides: what is desired and what AWS holds are said
//! in the same types, so that drift is `!=` and nothing else.
//!
//! Depends on nothing. `observe` normalises AWS's answers into these types
//! (defaults filled in, names lower-cased, sets sorted); `model` writes its
//! wishes in them; `plan` compares the two.

mod live;

use std::collections::BTreeSet;
use std::fmt;

pub use live::{
    Live, LiveListener, LiveLoadBalancer, LiveTargetGroup, LoadBalancerState, Observed,
};

pub use super::tags::Tags;

/// An Amazon Resource Name, as AWS answered it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn(pub String);

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Arn {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

/// Namespace and name of a Kubernetes object; ordered and printed as the
/// string `namespace/name`, which is also how a group orders its members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectName {
    /// `namespace/name` from its parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Ord for ObjectName {
    /// By the string `namespace/name`: `a-b/x` comes before `a/x`.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        fn bytes(o: &ObjectName) -> impl Iterator<Item = u8> {
            o.namespace
                .bytes()
                .chain(std::iter::once(b'/'))
                .chain(o.name.bytes())
        }
        bytes(self).cmp(bytes(other))
    }
}

impl PartialOrd for ObjectName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether a load balancer is reachable from the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Private addresses only; the default.
    Internal,
    /// Public addresses.
    InternetFacing,
}

impl Scheme {
    /// The value as AWS and the annotation spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::InternetFacing => "internet-facing",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Protocol of a listener, a target group or a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Protocol {
    /// The value as AWS and the annotations spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a step, a rule or a load balancer names a security group whose id may
/// not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityGroupRef {
    /// An existing group, by id (`sg-…`).
    Id(String),
    /// The managed frontend group of this load balancer group.
    Frontend,
    /// The backend group that all load balancers of the cluster share.
    Backend,
}

impl fmt::Display for SecurityGroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Frontend => f.write_str("frontend"),
            Self::Backend => f.write_str("backend"),
        }
    }
}

/// An Application Load Balancer, without its listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Name, at most 32 characters; unique in account and region. Never
    /// changed after creation.
    pub name: String,
    /// A change replaces the load balancer.
    pub scheme: Scheme,
    /// Subnet ids, one for each Availability Zone.
    pub subnets: BTreeSet<String>,
    /// Attached security groups.
    pub security_groups: BTreeSet<SecurityGroupRef>,
    /// All tags, tracking tags included.
    pub tags: Tags,
}

/// Where a security group rule lets traffic in from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An address range, canonical (`10.0.0.0/8`, `::/0`).
    Cidr(String),
    /// Members of another security group.
    Group(SecurityGroupRef),
    /// A managed prefix list (`pl-…`).
    PrefixList(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(value) | Self::PrefixList(value) => f.write_str(value),
            Self::Group(group) => group.fmt(f),
        }
    }
}

/// One inbound rule of a security group: one protocol, one port range, one
/// source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// `tcp`, `udp`, a protocol number, or `-1` for all.
    pub protocol: String,
    /// First and last port; `None` where the protocol has none.
    pub ports: Option<(u16, u16)>,
    /// Where from.
    pub source: Source,
    /// Description; empty when there is none.
    pub description: String,
}

impl Permission {
    /// Whether it lets in all that the other does, from the same source.
    pub fn covers(&self, other: &Self) -> bool {
        let all_ports = match (self.ports, other.ports) {
            (Some((from, to)), Some((first, last))) => from <= first && last <= to,
            (ports, others) => ports == others,
        };
        self.protocol == other.protocol && self.source == other.source && all_ports
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protocol)?;
        match self.ports {
            Some((from, to)) if from == to => write!(f, " {from}")?,
            Some((from, to)) => write!(f, " {from}-{to}")?,
            None => {}
        }
        write!(f, " from {}", self.source)
    }
}

/// A security group with its inbound rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Name, unique in the VPC.
    pub name: String,
    /// Description; cannot be changed.
    pub description: String,
    /// All tags.
    pub tags: Tags,
    /// Inbound rules.
    pub ingress: BTreeSet<Permission>,
}

/// A listener, without its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Port; the identity of a listener within its load balancer.
    pub port: u16,
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// HTTPS only: the certificate of clients without SNI.
    pub default_certificate: Option<Arn>,
    /// HTTPS only: the certificates in the SNI list (AWS allows the default
    /// one to stand there too).
    pub sni_certificates: BTreeSet<Arn>,
    /// HTTPS only: security policy.
    pub ssl_policy: Option<String>,
    /// What happens when no rule matches.
    pub default_action: Action,
    /// All tags.
    pub tags: Tags,
}

/// A condition of a rule; all conditions of a rule must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Host is one of these (`*` and `?` are wildcards).
    HostHeader(Vec<String>),
    /// Path is one of these (`*` and `?` are wildcards).
    PathPattern(Vec<String>),
    /// A kind that this version does not write, in canonical text: it is
    /// never equal to a desired one.
    Other(String),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostHeader(values) => write!(f, "host {}", values.join("|")),
            Self::PathPattern(values) => write!(f, "path {}", values.join("|")),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Logical id of a target group within its load balancer group, and the value
/// of its tag `ingress.k8s.aws/resource`:
/// `<namespace>/<ingress>-<service>:<port as spelled>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetGroupKey(pub String);

impl fmt::Display for TargetGroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an action or a step names a target group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetGroupRef {
    /// A wished one, by logical id. `plan` turns it into `Arn` where a live
    /// one is kept; what is left over is created by the same plan.
    Key(TargetGroupKey),
    /// An existing one.
    Arn(Arn),
}

impl fmt::Display for TargetGroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Arn(arn) => arn.fmt(f),
        }
    }
}

/// What a listener or a rule does with a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Send it to one target group.
    Forward(TargetGroupRef),
    /// Redirect to HTTPS on a port; host, path and query stay.
    RedirectHttps {
        /// The HTTPS port.
        port: u16,
        /// `HTTP_301` or `HTTP_302`.
        status_code: String,
    },
    /// Answer without a target.
    FixedResponse {
        /// HTTP status, as text (`404`).
        status_code: String,
        /// Content type; `text/plain` in all that this version writes.
        content_type: Option<String>,
        /// Body; at most 1024 characters.
        body: Option<String>,
    },
    /// A kind that this version does not write, in canonical text: it is
    /// never equal to a desired one.
    Other(String),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward(target) => write!(f, "forward {target}"),
            Self::RedirectHttps { port, status_code } => {
                write!(f, "redirect https:{port} ({status_code})")
            }
            Self::FixedResponse { status_code, .. } => write!(f, "fixed response {status_code}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A rule of a listener, without its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// At least one; in the order host, path.
    pub conditions: Vec<Condition>,
    /// What happens when they hold.
    pub action: Action,
    /// All tags. The tag `ingress.k8s.aws/resource` holds `<port>:<priority>`
    /// and follows a rule that is moved.
    pub tags: Tags,
}

impl Rule {
    /// Whether two rules do the same, tags aside.
    pub fn same_settings(&self, other: &Self) -> bool {
        self.conditions == other.conditions && self.action == other.action
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.conditions {
            write!(f, "{condition} ")?;
        }
        write!(f, "-> {}", self.action)
    }
}

/// What a target group's targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetType {
    /// EC2 instances, reached at a NodePort.
    Instance,
    /// Addresses of pods.
    Ip,
}

impl TargetType {
    /// The value as AWS and the annotation spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
        }
    }
}

impl fmt::Display for TargetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Health check of a target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// `traffic-port` or a port number.
    pub port: String,
    /// Path that is asked for.
    pub path: String,
    /// Seconds between two checks.
    pub interval_seconds: i32,
    /// Seconds until a check has failed.
    pub timeout_seconds: i32,
    /// Successes in a row that make a target healthy.
    pub healthy_threshold: i32,
    /// Failures in a row that make a target unhealthy.
    pub unhealthy_threshold: i32,
    /// HTTP codes that count as success (`200`, `200,201`, `200-299`).
    pub success_codes: String,
}

/// A target group, without its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Logical id, held in a tag.
    pub key: TargetGroupKey,
    /// Name, at most 32 characters. A live group keeps the name it has.
    pub name: String,
    /// A change replaces the group.
    pub target_type: TargetType,
    /// A change replaces the group.
    pub protocol: Protocol,
    /// `HTTP1`, `HTTP2` or `GRPC`; a change replaces the group.
    pub protocol_version: String,
    /// Port at creation; every target is registered with its own, and a
    /// difference is no drift.
    pub port: u16,
    /// Health check.
    pub health_check: HealthCheck,
    /// All tags.
    pub tags: Tags,
}

impl TargetGroup {
    /// Whether a live group can become the wished one by modification.
    pub fn replaces(&self, live: &Self) -> bool {
        self.target_type != live.target_type
            || self.protocol != live.protocol
            || self.protocol_version != live.protocol_version
    }
}

/// A target: an instance id or an address, with its port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// `i-…` or an IPv4 address.
    pub id: String,
    /// Port.
    pub port: u16,
    /// Address outside the VPC's ranges: registered with Availability Zone
    /// `all`. Not part of the identity of a target.
    pub outside_vpc: bool,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.port)
    }
}
