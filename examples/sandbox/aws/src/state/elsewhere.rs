//! What other regions and accounts hold, as far as a call can name it: load
//! balancers that aliases and protections point to, VPCs of private zones.
//! Present only while such a call is carried out.

use std::collections::BTreeMap;

use super::{HostedZone, LoadBalancer, State};

/// An account in a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// Region name.
    pub region: String,
}

/// The other states.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Elsewhere(pub(crate) BTreeMap<Place, State>);

impl Elsewhere {
    fn states(&self) -> impl Iterator<Item = &State> {
        self.0.values()
    }

    /// Whether an account has a VPC in a region.
    pub fn has_vpc(&self, account: &str, region: &str, vpc: &str) -> bool {
        self.states().any(|there| {
            there.account == account && there.region == region && there.vpcs.contains_key(vpc)
        })
    }

    /// A hosted zone by id, and its account.
    pub fn hosted_zone(&self, id: &str) -> Option<(&str, &HostedZone)> {
        self.states()
            .find_map(|there| Some((there.account.as_str(), there.hosted_zones.get(id)?)))
    }

    /// All hosted zones, each with its account.
    pub fn hosted_zones(&self) -> impl Iterator<Item = (&str, &HostedZone)> {
        self.states().flat_map(|there| {
            let zones = there.hosted_zones.values();
            zones.map(|zone| (there.account.as_str(), zone))
        })
    }

    /// Whether an account has a load balancer with this ARN.
    pub fn has_load_balancer(&self, account: &str, arn: &str) -> bool {
        self.states()
            .any(|there| there.account == account && there.load_balancers.contains_key(arn))
    }

    /// Whether an account has an allocated address in a region.
    pub fn has_address(&self, account: &str, region: &str, id: &str) -> bool {
        self.states().any(|there| {
            there.account == account && there.region == region && there.addresses.contains_key(id)
        })
    }

    /// The load balancer of a DNS name that aliases can lead to, compared without case and final dot.
    pub fn load_balancer_called(&self, name: &str) -> Option<&LoadBalancer> {
        let name = name.trim_end_matches('.');
        let name = name.strip_prefix("dualstack.").unwrap_or(name);
        self.states().find_map(|there| {
            let mut balancers = there.load_balancers.values();
            let named = balancers.find(|balancer| balancer.dns_name.eq_ignore_ascii_case(name));
            named.filter(|balancer| !there.lags.hide_name(&balancer.arn))
        })
    }

    /// ARNs of the load balancers that use a certificate.
    pub fn users_of_certificate(&self, arn: &str) -> Vec<String> {
        self.states()
            .flat_map(|there| there.own_users_of_certificate(arn))
            .collect()
    }

    /// Whether a CNAME record of this name and value stands in a public zone.
    pub fn is_proven(&self, proof: &(String, String)) -> bool {
        self.states().any(|there| there.holds_proof(proof))
    }
}
