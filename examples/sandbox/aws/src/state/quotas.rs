//! Quotas of the account, by the names that Service Quotas and
//! DescribeAccountLimits use.

use std::collections::BTreeMap;

/// Quota names with their defaults.
const DEFAULTS: [(&str, usize); 29] = [
    ("application-load-balancers", 50),
    ("target-groups", 3000),
    ("listeners-per-application-load-balancer", 50),
    ("rules-per-application-load-balancer", 100),
    ("certificates-per-application-load-balancer", 25),
    ("target-groups-per-application-load-balancer", 100),
    ("target-groups-per-action-on-application-load-balancer", 5),
    ("targets-per-application-load-balancer", 1000),
    ("targets-per-target-group", 1000),
    ("condition-values-per-alb-rule", 5),
    ("condition-wildcards-per-alb-rule", 5),
    ("tags-per-resource", 50),
    ("security-groups", 2500),
    ("security-groups-per-network-interface", 5),
    ("rules-per-security-group", 60),
    // AWS starts with 5 of these three; accounts that hold clusters have had
    // them raised, as this one.
    ("vpcs", 1000),
    ("elastic-ips", 1000),
    ("internet-gateways", 1000),
    ("subnets-per-vpc", 200),
    ("route-tables-per-vpc", 200),
    ("routes-per-route-table", 500),
    ("network-interfaces", 5000),
    ("ipv4-cidr-blocks-per-vpc", 5),
    ("ipv6-cidr-blocks-per-vpc", 5),
    ("prefix-lists", 100),
    ("nat-gateways", 100),
    ("certificates", 2500),
    ("hosted-zones", 500),
    ("records-per-hosted-zone", 10_000),
];

/// The quotas in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas(BTreeMap<String, usize>);

impl Default for Quotas {
    fn default() -> Self {
        Self(
            DEFAULTS
                .iter()
                .map(|(n, v)| ((*n).to_owned(), *v))
                .collect(),
        )
    }
}

impl Quotas {
    /// The value of a quota; a name that does not exist has the value 0.
    pub fn limit(&self, name: &str) -> usize {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Sets a quota; `false` when there is none of that name.
    pub fn set(&mut self, name: &str, value: usize) -> bool {
        self.0.get_mut(name).map(|slot| *slot = value).is_some()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
