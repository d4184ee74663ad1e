//! What AWS holds, in the words of both sides.

use std::collections::{BTreeMap, BTreeSet};

use super::{Arn, Listener, LoadBalancer, Rule, SecurityGroup, Target, TargetGroup};

/// A thing that AWS holds, with the ARN (or id) that AWS gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live<T> {
    /// ARN, or the id of an EC2 object.
    pub arn: Arn,
    /// What it is like.
    pub spec: T,
}

/// Provisioning state of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalancerState {
    /// Not serving yet.
    Provisioning,
    /// Serving.
    Active,
    /// Serving, but without capacity to grow.
    ActiveImpaired,
    /// Could not be set up.
    Failed,
}

/// A load balancer as AWS holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLoadBalancer {
    /// Its ARN.
    pub arn: Arn,
    /// Its settings; security groups are `Id` only, except where they are
    /// known to be the frontend or the backend group.
    pub spec: LoadBalancer,
    /// DNS name as AWS answers it.
    pub dns_name: String,
    /// Hosted zone id that an alias to it must name.
    pub hosted_zone_id: String,
    /// Provisioning state when last seen.
    pub state: LoadBalancerState,
    /// Listeners by port.
    pub listeners: BTreeMap<u16, LiveListener>,
}

/// A listener as AWS holds it, with its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveListener {
    /// Its ARN.
    pub arn: Arn,
    /// Its settings.
    pub spec: Listener,
    /// Its rules by priority, the default rule left out.
    pub rules: BTreeMap<u32, Live<Rule>>,
}

/// A target group as AWS holds it, with its targets (those that drain left
/// out).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTargetGroup {
    /// Its ARN.
    pub arn: Arn,
    /// Its settings.
    pub spec: TargetGroup,
    /// Its registered targets.
    pub targets: BTreeSet<Target>,
}

/// What AWS holds for one load balancer group: maybe stale, maybe partial,
/// never anything that does not carry the group's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Normally none or one; two while one replaces the other.
    pub load_balancers: Vec<LiveLoadBalancer>,
    /// Target groups.
    pub target_groups: Vec<LiveTargetGroup>,
    /// Managed frontend security groups; normally none or one.
    pub security_groups: Vec<Live<SecurityGroup>>,
}

impl Observed {
    /// Whether AWS holds nothing at all for the group.
    pub fn is_empty(&self) -> bool {
        self.load_balancers.is_empty()
            && self.target_groups.is_empty()
            && self.security_groups.is_empty()
    }
}
