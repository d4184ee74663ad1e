//! Load balancers: their life from `provisioning` to the last network interface.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::listener::Listener;

/// Who can reach a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Public addresses; the VPC needs an internet gateway.
    InternetFacing,
    /// Private addresses only.
    Internal,
}

impl Scheme {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InternetFacing => "internet-facing",
            Self::Internal => "internal",
        }
    }
}

/// `State.Code` of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadBalancerState {
    /// Made, not serving yet.
    Provisioning,
    /// Serving.
    Active,
}

impl LoadBalancerState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
        }
    }
}

/// An Application Load Balancer with all that hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadBalancer {
    /// `arn:…:loadbalancer/app/NAME/ID`.
    pub arn: String,
    /// Name, unique in account and region.
    pub name: String,
    /// `[internal-]NAME-DIGITS.REGION.elb.amazonaws.com`, in the name's letter case.
    pub dns_name: String,
    /// Zone id for Route 53 aliases, one per region.
    pub canonical_hosted_zone_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// Public or private.
    pub scheme: Scheme,
    /// VPC of its subnets.
    pub vpc_id: String,
    /// Provisioning or active.
    pub state: LoadBalancerState,
    /// Enabled zones: zone name to subnet id.
    pub subnets: BTreeMap<String, String>,
    /// Attached security groups.
    pub security_groups: BTreeSet<String>,
    /// `ipv4`, `dualstack` or `dualstack-without-public-ipv4`.
    pub ip_address_type: String,
    /// Every attribute that an Application Load Balancer has, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// Listeners by port.
    pub listeners: BTreeMap<u16, Listener>,
}
