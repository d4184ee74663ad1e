//! Further addresses and prefixes of network interfaces.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    Answer, Refusal, State,
    cidr::overlap6,
    ec2_id::{Kind, combination},
};

/// Length of a delegated IPv6 prefix.
const PREFIX_BITS: u8 = 80;

/// As many IPv4 addresses and prefixes can an interface have on the largest types.
const MAX_ADDRESSES: usize = 50;

/// Addresses and prefixes that an interface is to get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// These IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// As many free IPv4 addresses.
    pub ipv4_count: usize,
    /// These /28 prefixes.
    pub ipv4_prefixes: Vec<Ipv4Net>,
    /// As many free /28 prefixes.
    pub ipv4_prefix_count: usize,
    /// These IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// As many free IPv6 addresses.
    pub ipv6_count: usize,
    /// These /80 prefixes.
    pub ipv6_prefixes: Vec<Ipv6Net>,
    /// As many free /80 prefixes.
    pub ipv6_prefix_count: usize,
}

/// What an interface got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assigned {
    /// IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// /28 prefixes.
    pub ipv4_prefixes: Vec<Ipv4Net>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// /80 prefixes.
    pub ipv6_prefixes: Vec<Ipv6Net>,
}

impl Addresses {
    /// Whether no IPv6 address or prefix is asked for.
    pub(super) fn asks_no_ipv6(&self) -> bool {
        self.ipv6.is_empty()
            && self.ipv6_count == 0
            && self.ipv6_prefixes.is_empty()
            && self.ipv6_prefix_count == 0
    }

    /// Refuses addresses beside numbers of addresses, and the like.
    pub fn check(&self) -> Answer<()> {
        let one = |given: [bool; 4], what: &str| {
            if given.iter().filter(|given| **given).count() > 1 {
                return Err(combination(format!(
                    "{what} addresses, their number, prefixes and their number cannot be specified together"
                )));
            }
            Ok(())
        };
        one(
            [
                !self.ipv4.is_empty(),
                self.ipv4_count > 0,
                !self.ipv4_prefixes.is_empty(),
                self.ipv4_prefix_count > 0,
            ],
            "IPv4",
        )?;
        one(
            [
                !self.ipv6.is_empty(),
                self.ipv6_count > 0,
                !self.ipv6_prefixes.is_empty(),
                self.ipv6_prefix_count > 0,
            ],
            "IPv6",
        )
    }
}

impl State {
    /// AssignPrivateIpAddresses: the addresses given, or `count` free ones.
    pub fn assign_private_ips(
        &mut self,
        interface_id: &str,
        addresses: &[Ipv4Addr],
        count: usize,
    ) -> Answer<Vec<Ipv4Addr>> {
        let wanted = Addresses {
            ipv4: addresses.to_vec(),
            ipv4_count: count,
            ..Addresses::default()
        };
        let Assigned { ipv4, .. } = self.assign_addresses(interface_id, &wanted)?;
        Ok(ipv4)
    }

    /// AssignPrivateIpAddresses and AssignIpv6Addresses: all or nothing.
    pub fn assign_addresses(&mut self, id: &str, wanted: &Addresses) -> Answer<Assigned> {
        let interface = self.network_interface(id)?;
        self.check_room(id, wanted)?;
        let subnet_id = interface.subnet_id.clone();
        // The subnet is changed as a whole or not at all.
        let mut subnet = self.subnet(&subnet_id)?.clone();
        let mut got = Assigned::default();
        for address in &wanted.ipv4 {
            subnet.take_this(*address, id)?;
            got.ipv4.push(*address);
        }
        for _ in 0..wanted.ipv4_count {
            got.ipv4.push(subnet.take(id)?);
        }
        for prefix in &wanted.ipv4_prefixes {
            got.ipv4_prefixes
                .push(subnet.take_prefix(Some(*prefix), id)?);
        }
        for _ in 0..wanted.ipv4_prefix_count {
            got.ipv4_prefixes.push(subnet.take_prefix(None, id)?);
        }
        if !wanted.asks_no_ipv6() {
            self.find_ipv6(&subnet_id, wanted, &mut got)?;
        }
        self.subnets.insert(subnet_id, subnet);
        let interface = Kind::NetworkInterface.find_mut(&mut self.network_interfaces, id)?;
        interface.private_ips.extend(&got.ipv4);
        interface.ipv4_prefixes.extend(&got.ipv4_prefixes);
        interface.ipv6_addresses.extend(&got.ipv6);
        interface.ipv6_prefixes.extend(&got.ipv6_prefixes);
        Ok(got)
    }

    /// Refuses more than an interface of any type of instance can have.
    ///
    /// AWS has a smaller limit for most types, which `DescribeInstanceTypes`
    /// tells. It is not held against an interface here, so that a world with
    /// few nodes can have many pods.
    fn check_room(&self, id: &str, wanted: &Addresses) -> Answer<()> {
        let interface = self.network_interface(id)?;
        let attachment = interface.attachment.as_ref();
        if attachment.is_none_or(|attachment| attachment.instance_id.is_none()) {
            return Ok(());
        }
        let held = interface.private_ips.len() + interface.ipv4_prefixes.len();
        let added = wanted.ipv4.len()
            + wanted.ipv4_count
            + wanted.ipv4_prefixes.len()
            + wanted.ipv4_prefix_count;
        if added > 0 && held + added > MAX_ADDRESSES {
            return Err(Refusal::new(
                "PrivateIpAddressLimitExceeded",
                "Number of private addresses will exceed limit.",
            ));
        }
        Ok(())
    }

    /// The IPv6 part of an assignment.
    fn find_ipv6(&mut self, subnet_id: &str, wanted: &Addresses, got: &mut Assigned) -> Answer<()> {
        let range = self.subnet(subnet_id)?.need_ipv6()?;
        let siblings = || {
            self.network_interfaces
                .values()
                .filter(|interface| interface.subnet_id == subnet_id)
        };
        let mut held: Vec<Ipv6Addr> = siblings()
            .flat_map(|interface| interface.ipv6_addresses.iter().copied())
            .collect();
        let mut prefixes: Vec<Ipv6Net> = siblings()
            .flat_map(|interface| interface.ipv6_prefixes.iter().copied())
            .collect();
        for address in &wanted.ipv6 {
            if !range.contains(address) {
                return Err(Refusal::parameter(format!(
                    "Address {address} does not fall within the subnet's address range"
                )));
            }
            if held.contains(address) || prefixes.iter().any(|prefix| prefix.contains(address)) {
                return Err(Refusal::new(
                    "InvalidIPAddress.InUse",
                    format!("Address {address} is in use."),
                ));
            }
            held.push(*address);
            got.ipv6.push(*address);
        }
        for prefix in &wanted.ipv6_prefixes {
            if prefix.prefix_len() != PREFIX_BITS || !range.contains(prefix) {
                return Err(Refusal::parameter(format!(
                    "The prefix {prefix} is not a /80 of the subnet's address range"
                )));
            }
            let taken = prefixes.iter().any(|other| overlap6(other, prefix))
                || held.iter().any(|address| prefix.contains(address));
            if taken {
                return Err(Refusal::new(
                    "InvalidIPAddress.InUse",
                    format!("The prefix {prefix} is in use."),
                ));
            }
            prefixes.push(*prefix);
            got.ipv6_prefixes.push(*prefix);
        }
        for _ in 0..wanted.ipv6_prefix_count {
            let free = range
                .subnets(PREFIX_BITS)
                .ok()
                .and_then(|mut all| {
                    all.find(|prefix| {
                        !prefixes.contains(prefix)
                            && !held.iter().any(|address| prefix.contains(address))
                    })
                })
                .ok_or_else(|| {
                    Refusal::new(
                        "InsufficientFreeAddressesInSubnet",
                        format!("The subnet '{subnet_id}' has no free prefix."),
                    )
                })?;
            prefixes.push(free);
            got.ipv6_prefixes.push(free);
        }
        for _ in 0..wanted.ipv6_count {
            let seed = u64::from_str_radix(&self.ids.hex(15), 16).unwrap_or_default();
            let subnet = self.subnet(subnet_id)?;
            let address = subnet.ipv6_address(seed, &held, &prefixes)?;
            held.push(address);
            got.ipv6.push(address);
        }
        Ok(())
    }

    /// UnassignPrivateIpAddresses: the primary address stays; all or nothing.
    pub fn unassign_ipv4(
        &mut self,
        id: &str,
        addresses: &[Ipv4Addr],
        prefixes: &[Ipv4Net],
    ) -> Answer<()> {
        let interface = self.network_interface(id)?;
        for address in addresses {
            if interface.private_ips.first() == Some(address) {
                return Err(Refusal::parameter(format!(
                    "The primary address {address} of '{id}' cannot be unassigned"
                )));
            }
            if !interface.private_ips.contains(address) {
                return Err(Refusal::parameter(format!(
                    "Some of {address} are not assigned to interface {id}"
                )));
            }
        }
        if let Some(prefix) = prefixes
            .iter()
            .find(|prefix| !interface.ipv4_prefixes.contains(prefix))
        {
            return Err(Refusal::parameter(format!(
                "The prefix {prefix} is not assigned to interface {id}"
            )));
        }
        for address in self.addresses.values_mut() {
            let released = address.association.as_ref().is_some_and(|association| {
                association.interface_id == id && addresses.contains(&association.private_ip)
            });
            if released {
                address.association = None;
            }
        }
        let interface = Kind::NetworkInterface.find_mut(&mut self.network_interfaces, id)?;
        interface.private_ips.retain(|own| !addresses.contains(own));
        interface
            .ipv4_prefixes
            .retain(|own| !prefixes.contains(own));
        if let Some(subnet) = self.subnets.get_mut(&interface.subnet_id) {
            subnet.taken.retain(|address, _| {
                !addresses.contains(address)
                    && !prefixes.iter().any(|prefix| prefix.contains(address))
            });
        }
        Ok(())
    }

    /// UnassignIpv6Addresses: all or nothing.
    pub fn unassign_ipv6(
        &mut self,
        id: &str,
        addresses: &[Ipv6Addr],
        prefixes: &[Ipv6Net],
    ) -> Answer<()> {
        let interface = Kind::NetworkInterface.find_mut(&mut self.network_interfaces, id)?;
        let strange = addresses
            .iter()
            .find(|address| !interface.ipv6_addresses.contains(address))
            .map(ToString::to_string)
            .or(prefixes
                .iter()
                .find(|prefix| !interface.ipv6_prefixes.contains(prefix))
                .map(ToString::to_string));
        if let Some(strange) = strange {
            return Err(Refusal::parameter(format!(
                "{strange} is not assigned to interface {id}"
            )));
        }
        interface
            .ipv6_addresses
            .retain(|own| !addresses.contains(own));
        interface
            .ipv6_prefixes
            .retain(|own| !prefixes.contains(own));
        Ok(())
    }

    /// An address for a pod on an instance: a secondary address of the
    /// instance's network interface, as the VPC CNI assigns it. The CNI adds
    /// interfaces when one is full; here one holds them all.
    pub fn assign_pod_ip(&mut self, instance_id: &str) -> Answer<Ipv4Addr> {
        self.instance(instance_id)?;
        let interface = self
            .interfaces_of(instance_id)
            .next()
            .map(|interface| (interface.id.clone(), interface.subnet_id.clone()));
        let Some((interface, subnet)) = interface else {
            return Err(Refusal::new(
                "InvalidInstanceID.NotFound",
                format!("The instance '{instance_id}' has no network interface"),
            ));
        };
        let subnet = Kind::Subnet.find_mut(&mut self.subnets, &subnet)?;
        let address = subnet.take(&interface)?;
        Kind::NetworkInterface
            .find_mut(&mut self.network_interfaces, &interface)?
            .private_ips
            .push(address);
        Ok(address)
    }

    /// Gives a pod's address back; one that no interface has is ignored.
    pub fn release_pod_ip(&mut self, address: Ipv4Addr) {
        for interface in self.network_interfaces.values_mut() {
            let secondary = interface
                .private_ips
                .iter()
                .skip(1)
                .any(|held| *held == address);
            if secondary {
                interface.private_ips.retain(|held| *held != address);
                if let Some(subnet) = self.subnets.get_mut(&interface.subnet_id) {
                    subnet.taken.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    fn world() -> (State, String, String) {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let range = state.provide_ipv6(&vpc).unwrap().range;
        let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
        let first = range.subnets(64).unwrap().next().unwrap().to_string();
        state.associate_subnet_ipv6(&subnet, &first).unwrap();
        let id = state
            .create_network_interface(&subnet, "", &[], &[])
            .unwrap();
        (state, subnet, id)
    }

    #[test]
    fn assigned_and_given_back() {
        let (mut state, subnet, id) = world();
        let free = state.subnets[&subnet].free_addresses();
        let wanted = Addresses {
            ipv4_count: 2,
            ipv4_prefix_count: 1,
            ipv6_count: 1,
            ipv6_prefix_count: 1,
            ..Addresses::default()
        };
        let got = state.assign_addresses(&id, &wanted).unwrap();
        assert_eq!(state.subnets[&subnet].free_addresses(), free - 18);
        assert_eq!(got.ipv6.len() + got.ipv6_prefixes.len(), 2);
        let primary = state.network_interfaces[&id].private_ips[0];
        let refused = state.unassign_ipv4(&id, &[primary], &[]).unwrap_err();
        assert_eq!(refused.code, "InvalidParameterValue");
        state
            .unassign_ipv4(&id, &got.ipv4, &got.ipv4_prefixes)
            .unwrap();
        state
            .unassign_ipv6(&id, &got.ipv6, &got.ipv6_prefixes)
            .unwrap();
        assert_eq!(state.subnets[&subnet].free_addresses(), free);
        let again = state.unassign_ipv6(&id, &got.ipv6, &[]).unwrap_err();
        assert_eq!(again.code, "InvalidParameterValue");
    }

    #[test]
    fn one_bad_address_assigns_none() {
        let (mut state, subnet, id) = world();
        let free = state.subnets[&subnet].free_addresses();
        for (bad, code) in [
            ("10.0.0.1", "InvalidParameterValue"),
            ("10.0.1.9", "InvalidParameterValue"),
            ("10.0.0.4", "InvalidIPAddress.InUse"),
        ] {
            let addresses = ["10.0.0.77".parse().unwrap(), bad.parse().unwrap()];
            let refused = state.assign_private_ips(&id, &addresses, 0).unwrap_err();
            assert_eq!(refused.code, code, "{bad}");
        }
        assert_eq!(state.subnets[&subnet].free_addresses(), free);
    }
}
