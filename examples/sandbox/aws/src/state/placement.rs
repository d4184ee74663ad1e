//! Where a load balancer may stand: checks on subnets, security groups, names
//! and address types.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Refusal, Scheme, State};

/// A set of subnets that passed all checks.
pub(super) struct Placement {
    /// Their VPC.
    pub vpc_id: String,
    /// Zone name to subnet id.
    pub subnets: BTreeMap<String, String>,
}

impl State {
    /// Checks a set of subnets as CreateLoadBalancer and SetSubnets do.
    /// `held` are those that the load balancer has already.
    pub(super) fn place(
        &self,
        ids: &[String],
        scheme: Scheme,
        address_type: &str,
        held: &BTreeMap<String, String>,
    ) -> Answer<Placement> {
        let configuration = |text: &str| Refusal::new("InvalidConfigurationRequest", text);
        let mut subnets = BTreeMap::new();
        let mut vpc_id: Option<&str> = None;
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let subnet = self.subnets.get(id).ok_or_else(|| {
                Refusal::new(
                    "SubnetNotFound",
                    format!("The subnet ID '{id}' does not exist"),
                )
            })?;
            if vpc_id.is_some_and(|vpc| vpc != subnet.vpc_id) {
                return Err(configuration("The subnets must all be in the same VPC"));
            }
            vpc_id = Some(&subnet.vpc_id);
            if subnets
                .insert(subnet.availability_zone.clone(), id.clone())
                .is_some()
            {
                return Err(configuration(
                    "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
                ));
            }
            if !held.values().any(|had| had == id) && subnet.free_addresses() < 8 {
                return Err(Refusal::new(
                    "InvalidSubnet",
                    format!(
                        "Not enough IP space available in {id}. ELB requires at least 8 free IP addresses in each subnet."
                    ),
                ));
            }
            if address_type != "ipv4" && subnet.ipv6_cidr.is_none() {
                return Err(no_ipv6());
            }
        }
        let vpc_id = vpc_id.unwrap_or_default().to_owned();
        if subnets.len() < 2 {
            return Err(Refusal::validation(
                "At least two subnets in two different Availability Zones must be specified",
            ));
        }
        let attached = self
            .internet_gateways
            .values()
            .any(|gateway| gateway.vpc_id.as_deref() == Some(vpc_id.as_str()));
        if scheme == Scheme::InternetFacing && !attached {
            return Err(Refusal::new(
                "InvalidSubnet",
                format!("VPC {vpc_id} has no internet gateway"),
            ));
        }
        Ok(Placement { vpc_id, subnets })
    }

    /// Security groups of a load balancer; the VPC's default one if none is given.
    pub(super) fn checked_groups(&self, ids: &[String], vpc_id: &str) -> Answer<BTreeSet<String>> {
        let mut groups: BTreeSet<String> = ids.iter().cloned().collect();
        if groups.is_empty() {
            groups.extend(
                self.vpcs
                    .get(vpc_id)
                    .map(|vpc| vpc.default_security_group.clone()),
            );
        }
        let most = self.quotas.limit("security-groups-per-network-interface");
        if groups.len() > most {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("A load balancer can have at most {most} security groups"),
            ));
        }
        for id in &groups {
            let group = self.security_groups.get(id).ok_or_else(|| {
                Refusal::new(
                    "InvalidSecurityGroup",
                    format!("One or more security groups are invalid: the security group '{id}' does not exist"),
                )
            })?;
            if group.vpc_id != vpc_id {
                return Err(Refusal::new(
                    "InvalidConfigurationRequest",
                    format!("The security group '{id}' does not belong to VPC '{vpc_id}'"),
                ));
            }
        }
        Ok(groups)
    }
}

/// The refusal of subnets without IPv6 range.
pub(super) fn no_ipv6() -> Refusal {
    Refusal::validation("You must specify subnets with an associated IPv6 CIDR block.")
}

/// Refuses unknown address types.
pub(super) fn check_address_type(text: &str) -> Answer<()> {
    match text {
        "ipv4" | "dualstack" | "dualstack-without-public-ipv4" => Ok(()),
        _ => Err(Refusal::validation(format!(
            "The IP address type '{text}' is not valid"
        ))),
    }
}

/// Refuses names that a load balancer cannot have.
pub(super) fn check_name(name: &str) -> Answer<()> {
    check_elb_name("load balancer", name)?;
    if name.starts_with("internal-") {
        return Err(Refusal::validation(format!(
            "The load balancer name '{name}' cannot begin with 'internal-'"
        )));
    }
    Ok(())
}

/// The rules that names of load balancers and target groups share.
pub(super) fn check_elb_name(what: &str, name: &str) -> Answer<()> {
    if name.chars().count() > 32 {
        return Err(Refusal::validation(format!(
            "The {what} name '{name}' cannot be longer than '32' characters"
        )));
    }
    let good = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !good || name.starts_with('-') || name.ends_with('-') {
        return Err(Refusal::validation(format!(
            "The {what} name '{name}' must contain only letters, digits and hyphens, and neither begin nor end with a hyphen"
        )));
    }
    Ok(())
}
