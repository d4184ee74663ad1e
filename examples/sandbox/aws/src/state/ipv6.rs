//! IPv6 ranges of VPCs and subnets.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::{
    Answer, Refusal, State,
    vpc::{bad_cidr, subnet_not_found, vpc_not_found},
};

/// Amazon's pool, from which each VPC gets a /56 of its own.
const POOL: Ipv6Addr = Ipv6Addr::new(0x2600, 0x1f14, 0, 0, 0, 0, 0, 0);
/// Length of a VPC's range.
const VPC_BITS: u8 = 56;
/// Length of a subnet's range.
const SUBNET_BITS: u8 = 64;

impl State {
    /// The IPv6 part of CreateVpc: the next /56 of Amazon's pool.
    pub fn provide_ipv6(&mut self, vpc_id: &str) -> Answer<Ipv6Net> {
        let taken = self.vpcs.values().filter_map(|vpc| vpc.ipv6_cidr);
        let first = Ipv6Net::new_assert(POOL, VPC_BITS);
        let step = 1_u128 << (128 - u32::from(VPC_BITS));
        let next = taken.map(|range| u128::from(range.network()) + step).max();
        let range = next.map_or(first, |start| {
            Ipv6Net::new_assert(Ipv6Addr::from(start), VPC_BITS)
        });
        let vpc = self
            .vpcs
            .get_mut(vpc_id)
            .ok_or_else(|| vpc_not_found(vpc_id))?;
        vpc.ipv6_cidr = Some(range);
        Ok(range)
    }

    /// AssociateSubnetCidrBlock: a /64 out of the VPC's range.
    pub fn associate_subnet_ipv6(&mut self, subnet_id: &str, cidr: &str) -> Answer<Ipv6Net> {
        let range: Ipv6Net = cidr.parse().map_err(|_| bad_cidr(cidr))?;
        let subnet = self
            .subnets
            .get(subnet_id)
            .ok_or_else(|| subnet_not_found(subnet_id))?;
        let of_vpc = self
            .vpcs
            .get(&subnet.vpc_id)
            .and_then(|vpc| vpc.ipv6_cidr)
            .filter(|of_vpc| of_vpc.contains(&range));
        if of_vpc.is_none() || range.prefix_len() != SUBNET_BITS || range != range.trunc() {
            return Err(Refusal::new(
                "InvalidSubnet.Range",
                format!("The CIDR '{cidr}' is invalid."),
            ));
        }
        let conflicts = subnet.ipv6_cidr.is_some()
            || self
                .subnets
                .values()
                .any(|other| other.ipv6_cidr == Some(range));
        if conflicts {
            return Err(Refusal::new(
                "InvalidSubnet.Conflict",
                format!("The CIDR '{cidr}' conflicts with another subnet"),
            ));
        }
        if let Some(subnet) = self.subnets.get_mut(subnet_id) {
            subnet.ipv6_cidr = Some(range);
        }
        Ok(range)
    }
}
