//! Listeners and the actions that they and their rules carry.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::Rule;

/// Protocol of a listener of an Application Load Balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Protocol {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        }
    }
}

/// A listener with its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// `arn:…:listener/app/NAME/LBID/ID`.
    pub arn: String,
    /// ARN of its load balancer.
    pub load_balancer_arn: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// TLS policy; only on HTTPS.
    pub ssl_policy: Option<String>,
    /// Default certificate; only on HTTPS.
    pub certificate: Option<String>,
    /// Certificates chosen by SNI, without the default one unless added to both.
    pub sni_certificates: BTreeSet<String>,
    /// What is done when no rule matches.
    pub default_actions: Vec<Action>,
    /// ARN under which the default rule is shown by DescribeRules.
    pub default_rule_arn: String,
    /// Attributes, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// Rules by priority, the default rule not among them.
    pub rules: BTreeMap<u32, Rule>,
}

/// One action of a listener or rule, in stored form (every default filled in).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Position among several actions, lowest first.
    pub order: Option<u32>,
    /// What is done.
    pub kind: ActionKind,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionKind {
    /// Sends the request to one of several target groups.
    Forward(Forward),
    /// Answers with another location.
    Redirect(Redirect),
    /// Answers by itself.
    FixedResponse(FixedResponse),
}

/// A weighted choice of target groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// One to five groups.
    pub target_groups: Vec<WeightedTargetGroup>,
    /// Seconds for which a client stays with its group; `None` is off.
    pub stickiness_seconds: Option<u32>,
}

/// A target group with its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedTargetGroup {
    /// ARN of the target group.
    pub arn: String,
    /// 0 to 999.
    pub weight: u32,
}

/// A redirect; the parts may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `HTTP`, `HTTPS` or `#{protocol}`.
    pub protocol: String,
    /// Port or `#{port}`.
    pub port: String,
    /// Host.
    pub host: String,
    /// Path with its leading slash.
    pub path: String,
    /// Query without the question mark.
    pub query: String,
    /// 301 or 302.
    pub status: u16,
}

/// An answer of the load balancer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedResponse {
    /// 2xx, 4xx or 5xx.
    pub status: u16,
    /// At most 1024 characters.
    pub body: Option<String>,
    /// One of five media types.
    pub content_type: Option<String>,
}
