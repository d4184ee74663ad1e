//! Quotas of the account, by the names that Service Quotas and
//! DescribeAccountLimits use.

use std::collections::BTreeMap;

/// Quota names with their defaults. Those of Elastic Load Balancing that
/// DescribeAccountLimits does not show are named after Service Quotas.
const DEFAULTS: &[(&str, usize)] = &[
    // Elastic Load Balancing, in the order of DescribeAccountLimits.
    ("target-groups", 3000),
    ("targets-per-application-load-balancer", 1000),
    ("listeners-per-application-load-balancer", 50),
    ("rules-per-application-load-balancer", 100),
    ("network-load-balancers", 50),
    ("targets-per-network-load-balancer", 3000),
    (
        "targets-per-availability-zone-per-network-load-balancer",
        500,
    ),
    ("listeners-per-network-load-balancer", 50),
    ("condition-values-per-alb-rule", 5),
    ("condition-wildcards-per-alb-rule", 5),
    ("target-groups-per-application-load-balancer", 100),
    ("target-groups-per-action-on-application-load-balancer", 5),
    ("target-groups-per-action-on-network-load-balancer", 1),
    ("certificates-per-application-load-balancer", 25),
    ("certificates-per-network-load-balancer", 25),
    ("targets-per-target-group", 1000),
    (
        "target-id-registrations-per-application-load-balancer",
        1000,
    ),
    ("network-load-balancer-enis-per-vpc", 1200),
    ("application-load-balancers", 50),
    ("gateway-load-balancers", 100),
    ("gateway-load-balancers-per-vpc", 100),
    ("geneve-target-groups", 100),
    (
        "targets-per-availability-zone-per-gateway-load-balancer",
        300,
    ),
    // Elastic Load Balancing, not shown.
    (
        "mutual-authentication-listeners-per-application-load-balancer",
        2,
    ),
    ("trust-stores", 20),
    ("ca-certificates-per-trust-store", 25),
    ("revocation-lists-per-trust-store", 30),
    ("revocation-entries-per-trust-store", 500_000),
    ("capacity-units-per-application-load-balancer", 15_000),
    ("capacity-units-per-network-load-balancer", 45_000),
    // All services.
    ("tags-per-resource", 50),
    // EC2. Those of what every test makes anew are as high as AWS grants.
    ("vpcs", 1000),
    ("ipv4-cidr-blocks-per-vpc", 5),
    ("ipv6-cidr-blocks-per-vpc", 5),
    ("subnets-per-vpc", 200),
    ("internet-gateways", 1000),
    ("nat-gateways", 100),
    ("route-tables-per-vpc", 200),
    ("routes-per-route-table", 500),
    ("elastic-ips", 1000),
    ("prefix-lists", 100),
    ("network-interfaces", 5000),
    ("security-groups", 2500),
    ("security-groups-per-network-interface", 5),
    ("rules-per-security-group", 60),
    // ACM and IAM.
    ("certificates", 2500),
    ("imported-certificates", 2500),
    ("domain-names-per-certificate", 10),
    ("server-certificates", 20),
    // Cognito.
    ("user-pools", 1000),
    // Route 53.
    ("hosted-zones", 500),
    ("records-per-hosted-zone", 10_000),
    ("values-per-record-set", 400),
    ("record-sets-per-name-and-type", 100),
    ("vpcs-per-hosted-zone", 300),
    ("health-checks", 200),
    // WAF and Shield.
    ("web-acls", 100),
    ("waf-ip-sets", 100),
    ("waf-addresses-per-ip-set", 10_000),
    ("waf-regex-pattern-sets", 10),
    ("waf-expressions-per-regex-pattern-set", 10),
    ("waf-rule-groups", 100),
    ("waf-capacity-per-web-acl", 5000),
    ("waf-load-balancers-per-web-acl", 100),
    ("waf-classic-web-acls", 50),
    ("shield-protections-per-resource-type", 1000),
];

/// How many of the quotas DescribeAccountLimits shows: the first ones.
const SHOWN: usize = 23;

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

    /// The quotas that DescribeAccountLimits shows, with their values.
    pub fn account_limits(&self) -> impl Iterator<Item = (&'static str, usize)> {
        DEFAULTS
            .iter()
            .take(SHOWN)
            .map(|(name, _)| (*name, self.limit(name)))
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_limits_are_those_of_load_balancing() {
        let mut quotas = Quotas::default();
        assert!(quotas.set("application-load-balancers", 2000));
        assert!(!quotas.set("application-load-balancer", 2000));
        let limits: BTreeMap<_, _> = quotas.account_limits().collect();
        assert_eq!(limits.len(), SHOWN);
        assert_eq!(limits["application-load-balancers"], 2000);
        assert_eq!(
            limits["targets-per-availability-zone-per-gateway-load-balancer"],
            300
        );
        assert!(!limits.contains_key("trust-stores"));
        assert!(!limits.contains_key("security-groups"));
    }
}
