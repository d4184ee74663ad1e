//! What other regions and accounts hold, as far as a call can name it: load
//! balancers that aliases and protections point to, VPCs of private zones.
//! Present only while such a call is carried out.

use std::collections::{BTreeMap, BTreeSet};

use super::State;

/// The other states, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Load balancers by ARN.
    pub load_balancers: BTreeMap<String, FarLoadBalancer>,
    /// VPCs by id.
    pub vpcs: BTreeMap<String, FarVpc>,
    /// Allocated addresses by id.
    pub addresses: BTreeMap<String, FarAddress>,
    /// Hosted zones by id.
    pub hosted_zones: BTreeMap<String, FarZone>,
    /// Names and values of CNAME records that prove names to ACM.
    pub proofs: BTreeSet<(String, String)>,
}

/// A load balancer of another region or account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarLoadBalancer {
    /// Its DNS name.
    pub dns_name: String,
    /// The zone id under which Route 53 knows it.
    pub canonical_hosted_zone_id: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// ARNs of the certificates that its listeners use.
    pub certificates: BTreeSet<String>,
}

/// A VPC of another region or account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarVpc {
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
}

/// An allocated address of another region or account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarAddress {
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
}

/// A hosted zone that another state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarZone {
    /// Its account.
    pub account: String,
    /// Its name, with the final dot.
    pub name: String,
    /// Whether it is private.
    pub private: bool,
    /// VPCs of a private zone: VPC id and region.
    pub vpcs: Vec<(String, String)>,
    /// VPCs of others that may be associated: VPC id and region.
    pub authorized: BTreeSet<(String, String)>,
}

impl Elsewhere {
    /// What these states hold.
    pub fn of<'a>(states: impl Iterator<Item = &'a State>) -> Self {
        let mut elsewhere = Self::default();
        for state in states {
            let (account, region) = (&state.account, &state.region);
            for balancer in state.load_balancers.values() {
                elsewhere.load_balancers.insert(
                    balancer.arn.clone(),
                    FarLoadBalancer {
                        dns_name: balancer.dns_name.clone(),
                        canonical_hosted_zone_id: balancer.canonical_hosted_zone_id.clone(),
                        account: account.clone(),
                        region: region.clone(),
                        certificates: balancer
                            .listeners
                            .values()
                            .flat_map(|it| it.certificate.iter().chain(&it.sni_certificates))
                            .cloned()
                            .collect(),
                    },
                );
            }
            for id in state.vpcs.keys() {
                let (account, region) = (account.clone(), region.clone());
                elsewhere
                    .vpcs
                    .insert(id.clone(), FarVpc { account, region });
            }
            for id in state.addresses.keys() {
                let (account, region) = (account.clone(), region.clone());
                let there = FarAddress { account, region };
                elsewhere.addresses.insert(id.clone(), there);
            }
            for ((_, name), value) in &state.proofs {
                elsewhere.proofs.insert((name.clone(), value.clone()));
            }
            for zone in state.hosted_zones.values() {
                let zone_there = FarZone {
                    account: account.clone(),
                    name: zone.name.clone(),
                    private: zone.private,
                    vpcs: zone.vpcs.clone(),
                    authorized: zone.authorized.clone(),
                };
                elsewhere.hosted_zones.insert(zone.id.clone(), zone_there);
            }
        }
        elsewhere
    }

    /// The load balancer of a DNS name, compared without case and final dot.
    pub fn load_balancer_called(&self, name: &str) -> Option<&FarLoadBalancer> {
        let name = name.trim_end_matches('.');
        let name = name.strip_prefix("dualstack.").unwrap_or(name);
        self.load_balancers
            .values()
            .find(|balancer| balancer.dns_name.eq_ignore_ascii_case(name))
    }
}
