//! Ranges of VPCs and subnets, and their associations.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    Answer, Refusal, State,
    ec2_id::{Kind, combination},
};

/// Amazon's pool, from which each VPC gets a /56 of its own. No group of a
/// range is zero: people cut `00::/56` off its end to name their subnets.
const POOL: Ipv6Addr = Ipv6Addr::new(0x2600, 0x1f14, 0x0ad1, 0x0100, 0, 0, 0, 0);
/// Length of a VPC's IPv6 range.
const VPC_BITS: u8 = 56;

/// A range that belongs to a VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association<T> {
    /// `vpc-cidr-assoc-…`.
    pub id: String,
    /// The range.
    pub range: T,
}

/// What AssociateVpcCidrBlock adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// An IPv4 range.
    Ipv4(Association<Ipv4Net>),
    /// An IPv6 range of Amazon's.
    Ipv6(Association<Ipv6Net>),
}

/// The private blocks: a VPC in one of them takes no second range of another.
const PRIVATE: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/// A range in canonical form, as `CidrBlock` of a VPC or a subnet.
pub(super) fn parse_ipv4(text: &str) -> Answer<Ipv4Net> {
    let range = text.parse::<Ipv4Net>().map_err(|_| bad_cidr(text))?;
    Ok(range.trunc())
}

/// An IPv6 range, which has to be given in canonical form.
pub(super) fn parse_ipv6(text: &str) -> Answer<Ipv6Net> {
    let bad = || {
        Refusal::parameter(format!(
            "Value ({text}) for parameter ipv6CidrBlock is invalid. This is not a valid IPv6 CIDR block."
        ))
    };
    let range: Ipv6Net = text.parse().map_err(|_| bad())?;
    if range != range.trunc() {
        return Err(bad());
    }
    Ok(range)
}

/// The refusal of a text that is no range.
pub(super) fn bad_cidr(text: &str) -> Refusal {
    Refusal::parameter(format!(
        "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
    ))
}

/// The IPv4 range of a VPC: /16 to /28, and none that the internet reserves.
pub(super) fn vpc_range(text: &str) -> Answer<Ipv4Net> {
    let range = parse_ipv4(text)?;
    let first = range.network();
    let reserved = first.is_loopback()
        || first.is_link_local()
        || first.is_multicast()
        || first.octets()[0] == 0
        || first.octets()[0] >= 240;
    if !(16..=28).contains(&range.prefix_len()) || reserved {
        return Err(invalid_vpc_range(text));
    }
    Ok(range)
}

fn invalid_vpc_range(text: &str) -> Refusal {
    Refusal::new("InvalidVpc.Range", format!("The CIDR '{text}' is invalid."))
}

pub(super) fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

pub(super) fn overlap6(a: &Ipv6Net, b: &Ipv6Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// Whether a further range may stand beside the primary one.
fn restricted(primary: Ipv4Net, further: Ipv4Net) -> bool {
    let block = |range: Ipv4Net| {
        PRIVATE.iter().position(|text| {
            text.parse::<Ipv4Net>()
                .is_ok_and(|private| private.contains(&range))
        })
    };
    let benchmark = Ipv4Net::new(Ipv4Addr::new(198, 19, 0, 0), 16);
    match (block(primary), block(further)) {
        (_, None) => benchmark.is_ok_and(|range| overlap(range, further)),
        (own, other) => own != other,
    }
}

impl State {
    /// The next /56 of Amazon's pool that no VPC has.
    pub(super) fn next_ipv6(&self) -> Ipv6Net {
        let taken = self
            .vpcs
            .values()
            .flat_map(|vpc| vpc.ipv6.iter().map(|association| association.range));
        let first = Ipv6Net::new_assert(POOL, VPC_BITS);
        let step = 1_u128 << (128 - u32::from(VPC_BITS));
        let next = taken.map(|range| u128::from(range.network()) + step).max();
        next.map_or(first, |start| {
            Ipv6Net::new_assert(Ipv6Addr::from(start), VPC_BITS)
        })
    }

    /// Gives a VPC the next range of Amazon's pool.
    pub fn provide_ipv6(&mut self, vpc_id: &str) -> Answer<Association<Ipv6Net>> {
        let range = self.next_ipv6();
        let id = self.ids.ec2("vpc-cidr-assoc");
        let vpc = Kind::Vpc.find_mut(&mut self.vpcs, vpc_id)?;
        let added = Association { id, range };
        vpc.ipv6.push(added.clone());
        Ok(added)
    }

    /// AssociateVpcCidrBlock: an IPv4 range, or one of Amazon's IPv6 ranges.
    pub fn associate_vpc_cidr(
        &mut self,
        vpc_id: &str,
        cidr: Option<&str>,
        amazon_ipv6: bool,
    ) -> Answer<Added> {
        let vpc = Kind::Vpc.find(&self.vpcs, vpc_id)?;
        let Some(cidr) = cidr else {
            if !amazon_ipv6 {
                return Err(Refusal::new(
                    "MissingParameter",
                    "Either 'cidrBlock' or 'amazonProvidedIpv6CidrBlock' should be provided",
                ));
            }
            if vpc.ipv6.len() >= self.quotas.limit("ipv6-cidr-blocks-per-vpc") {
                return Err(too_many_ranges(vpc_id, vpc.ipv6.len()));
            }
            return self.provide_ipv6(vpc_id).map(Added::Ipv6);
        };
        if amazon_ipv6 {
            return Err(combination(
                "Only one of 'cidrBlock' and 'amazonProvidedIpv6CidrBlock' may be provided",
            ));
        }
        let range = vpc_range(cidr)?;
        if vpc.cidrs.iter().any(|own| overlap(own.range, range)) {
            return Err(Refusal::new(
                "InvalidVpc.Range",
                format!("The CIDR '{cidr}' conflicts with a CIDR of the VPC '{vpc_id}'."),
            ));
        }
        if restricted(vpc.cidr, range) {
            return Err(Refusal::new(
                "InvalidVpc.Range",
                format!(
                    "The CIDR '{cidr}' is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or use a publicly-routable CIDR."
                ),
            ));
        }
        if vpc.cidrs.len() >= self.quotas.limit("ipv4-cidr-blocks-per-vpc") {
            return Err(too_many_ranges(vpc_id, vpc.cidrs.len()));
        }
        let id = self.ids.ec2("vpc-cidr-assoc");
        let added = Association { id, range };
        let vpc = Kind::Vpc.find_mut(&mut self.vpcs, vpc_id)?;
        vpc.cidrs.push(added.clone());
        Ok(Added::Ipv4(added))
    }

    /// DisassociateVpcCidrBlock: answers the VPC and what it had.
    pub fn disassociate_vpc_cidr(&mut self, id: &str) -> Answer<(String, Added)> {
        let found = self.vpcs.values().find_map(|vpc| {
            let ipv4 = vpc.cidrs.iter().find(|own| own.id == id);
            let ipv6 = vpc.ipv6.iter().find(|own| own.id == id);
            let held = ipv4
                .cloned()
                .map(Added::Ipv4)
                .or(ipv6.cloned().map(Added::Ipv6))?;
            Some((vpc, held))
        });
        let Some((vpc, held)) = found else {
            return Err(Refusal::new(
                "InvalidVpcCidrBlockAssociationID.NotFound",
                format!("The vpc CIDR block association ID '{id}' does not exist"),
            ));
        };
        let vpc_id = vpc.id.clone();
        let primary = vpc.cidrs.first().is_some_and(|first| first.id == id);
        if primary {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "The vpc CIDR block with association ID {id} may not be disassociated. It is the primary IPv4 CIDR block of the VPC"
                ),
            ));
        }
        let used = self.subnets_of(&vpc_id).any(|subnet| match &held {
            Added::Ipv4(own) => own.range.contains(&subnet.cidr),
            Added::Ipv6(own) => subnet.ipv6_cidr.is_some_and(|r| own.range.contains(&r)),
        });
        if used {
            return Err(Refusal::new(
                "DependencyViolation",
                format!(
                    "The vpc CIDR block with association ID {id} is in use and cannot be disassociated."
                ),
            ));
        }
        if let Some(vpc) = self.vpcs.get_mut(&vpc_id) {
            vpc.cidrs.retain(|own| own.id != id);
            vpc.ipv6.retain(|own| own.id != id);
        }
        Ok((vpc_id, held))
    }

    /// The check of an IPv6 range for a subnet: a part of the VPC's that no
    /// other subnet has.
    pub(super) fn subnet_ipv6(&self, vpc_id: &str, cidr: &str) -> Answer<Ipv6Net> {
        let range = parse_ipv6(cidr)?;
        let vpc = Kind::Vpc.find(&self.vpcs, vpc_id)?;
        let inside = vpc.ipv6.iter().any(|own| own.range.contains(&range));
        let length = range.prefix_len();
        if !inside || !(44..=64).contains(&length) || length % 4 != 0 {
            return Err(Refusal::new(
                "InvalidSubnet.Range",
                format!("The CIDR '{cidr}' is invalid."),
            ));
        }
        let taken = self.subnets.values().any(|other| {
            other
                .ipv6_cidr
                .is_some_and(|range_of_other| overlap6(&range_of_other, &range))
        });
        if taken {
            return Err(conflict(cidr));
        }
        Ok(range)
    }

    /// AssociateSubnetCidrBlock: a part of the VPC's IPv6 range; answers the
    /// association's id.
    pub fn associate_subnet_ipv6(
        &mut self,
        subnet_id: &str,
        cidr: &str,
    ) -> Answer<Association<Ipv6Net>> {
        let subnet = Kind::Subnet.find(&self.subnets, subnet_id)?;
        if subnet.ipv6_cidr.is_some() {
            return Err(Refusal::new(
                "CidrLimitExceeded",
                format!("The subnet '{subnet_id}' has an IPv6 CIDR block already."),
            ));
        }
        let range = self.subnet_ipv6(&subnet.vpc_id.clone(), cidr)?;
        let id = self.ids.ec2("subnet-cidr-assoc");
        let subnet = Kind::Subnet.find_mut(&mut self.subnets, subnet_id)?;
        subnet.ipv6_cidr = Some(range);
        subnet.ipv6_association = Some(id.clone());
        Ok(Association { id, range })
    }

    /// DisassociateSubnetCidrBlock: answers the subnet and what it had.
    pub fn disassociate_subnet_ipv6(&mut self, id: &str) -> Answer<(String, Association<Ipv6Net>)> {
        let unknown = || {
            Refusal::new(
                "InvalidSubnetCidrBlockAssociationID.NotFound",
                format!("The subnet CIDR block association ID '{id}' does not exist"),
            )
        };
        let subnet = self
            .subnets
            .values_mut()
            .find(|subnet| subnet.ipv6_association.as_deref() == Some(id))
            .ok_or_else(unknown)?;
        let range = subnet.ipv6_cidr.ok_or_else(unknown)?;
        let used = self.network_interfaces.values().any(|interface| {
            interface.subnet_id == subnet.id
                && (!interface.ipv6_addresses.is_empty() || !interface.ipv6_prefixes.is_empty())
        });
        if used {
            return Err(Refusal::new(
                "DependencyViolation",
                format!(
                    "The subnet CIDR block with association ID {id} is in use and cannot be disassociated."
                ),
            ));
        }
        subnet.ipv6_cidr = None;
        subnet.ipv6_association = None;
        subnet.assign_ipv6 = false;
        let gone = Association {
            id: id.to_owned(),
            range,
        };
        Ok((subnet.id.clone(), gone))
    }
}

/// The refusal of a range that another subnet has.
pub(super) fn conflict(cidr: &str) -> Refusal {
    Refusal::new(
        "InvalidSubnet.Conflict",
        format!("The CIDR '{cidr}' conflicts with another subnet"),
    )
}

fn too_many_ranges(vpc_id: &str, count: usize) -> Refusal {
    Refusal::new(
        "CidrLimitExceeded",
        format!("This network '{vpc_id}' has met its maximum number of allowed CIDRs: {count}"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    #[test]
    fn ranges_of_a_vpc() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let mut add = |cidr: &str| state.associate_vpc_cidr(&vpc, Some(cidr), false);
        for (cidr, code) in [
            ("10.0.128.0/20", "InvalidVpc.Range"),
            ("192.168.0.0/16", "InvalidVpc.Range"),
            ("198.19.4.0/24", "InvalidVpc.Range"),
            ("10.2.0.0/12", "InvalidVpc.Range"),
            ("10.2.0.0", "InvalidParameterValue"),
        ] {
            assert_eq!(add(cidr).unwrap_err().code, code, "{cidr}");
        }
        for cidr in ["10.1.0.0/16", "100.64.0.0/16", "10.2.0.0/16", "10.3.0.0/16"] {
            add(cidr).unwrap();
        }
        assert_eq!(add("10.4.0.0/16").unwrap_err().code, "CidrLimitExceeded");

        let ids: Vec<String> = state.vpcs[&vpc]
            .cidrs
            .iter()
            .map(|a| a.id.clone())
            .collect();
        let subnet = state.create_subnet(&vpc, "10.1.1.0/24", None, &[]).unwrap();
        let mut drop = |id: &str| state.disassociate_vpc_cidr(id).map(|_| ());
        assert_eq!(drop(&ids[0]).unwrap_err().code, "OperationNotPermitted");
        assert_eq!(drop(&ids[1]).unwrap_err().code, "DependencyViolation");
        drop(&ids[2]).unwrap();
        assert_eq!(
            drop(&ids[2]).unwrap_err().code,
            "InvalidVpcCidrBlockAssociationID.NotFound"
        );
        state.delete_subnet(&subnet).unwrap();
        state.disassociate_vpc_cidr(&ids[1]).unwrap();
    }

    #[test]
    fn ipv6_of_vpc_and_subnet() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
        let other = state.create_subnet(&vpc, "10.0.1.0/24", None, &[]).unwrap();
        let refused = state.associate_subnet_ipv6(&subnet, "2600:1f14:ad1:100::/64");
        assert_eq!(refused.unwrap_err().code, "InvalidSubnet.Range");
        state.associate_vpc_cidr(&vpc, None, true).unwrap();
        let of_vpc = state.vpcs[&vpc].ipv6[0].clone();
        assert_eq!(of_vpc.range.to_string(), "2600:1f14:ad1:100::/56");
        let held = state
            .associate_subnet_ipv6(&subnet, "2600:1f14:ad1:100::/64")
            .unwrap();
        for (who, cidr, code) in [
            (&subnet, "2600:1f14:ad1:101::/64", "CidrLimitExceeded"),
            (&other, "2600:1f14:ad1:100::/64", "InvalidSubnet.Conflict"),
            (&other, "2600:1f15::/64", "InvalidSubnet.Range"),
            (&other, "2600:1f14:ad1:102::/63", "InvalidSubnet.Range"),
            (&other, "2600:1f14:ad1:100::1/64", "InvalidParameterValue"),
        ] {
            let refused = state.associate_subnet_ipv6(who, cidr).unwrap_err();
            assert_eq!(refused.code, code, "{cidr}");
        }
        let used = state.disassociate_vpc_cidr(&of_vpc.id).unwrap_err();
        assert_eq!(used.code, "DependencyViolation");
        state.disassociate_subnet_ipv6(&held.id).unwrap();
        state.disassociate_vpc_cidr(&of_vpc.id).unwrap();
        assert!(state.vpcs[&vpc].ipv6.is_empty());
    }
}
