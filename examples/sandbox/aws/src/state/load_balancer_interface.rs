//! The network interfaces that load balancers make in their subnets.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

use super::{
    Answer, LoadBalancer, LoadBalancerKind, Refusal, Scheme, State, Transition,
    network_interface::NewInterface,
};

impl LoadBalancer {
    /// Whether its nodes have public IPv4 addresses.
    fn has_public_ipv4(&self) -> bool {
        self.scheme == Scheme::InternetFacing
            && self.ip_address_type != "dualstack-without-public-ipv4"
    }
}

impl State {
    /// Makes the network interface of a load balancer in one of its zones.
    pub(super) fn add_balancer_interface(&mut self, balancer: &LoadBalancer, zone: &str) {
        let Some(subnet_id) = balancer.subnets.get(zone) else {
            return;
        };
        let asked = balancer.addresses.get(zone).cloned().unwrap_or_default();
        let drawn = self.draws.below(u64::MAX);
        let made = self.add_interface(NewInterface {
            subnet_id: subnet_id.clone(),
            description: description(&balancer.arn),
            security_groups: balancer.security_groups.clone(),
            requester: Some("amazon-elb".to_owned()),
            public: balancer.has_public_ipv4() && asked.allocated.is_none(),
            drawn: Some(drawn),
        });
        let Ok(id) = made else {
            return;
        };
        self.attach_to_service(&id);
        // All wishes were checked before.
        if let Some(address) = asked.private_ipv4 {
            let _ = self.replace_primary(&id, address);
        }
        let ipv6 = match (balancer.ip_address_type.as_str(), asked.ipv6) {
            ("ipv4", _) => None,
            (_, Some(address)) => Some(address),
            (_, None) => self.free_ipv6(subnet_id),
        };
        let Some(interface) = self.network_interfaces.get_mut(&id) else {
            return;
        };
        interface.ipv6_addresses.extend(ipv6);
        if balancer.kind == LoadBalancerKind::Network {
            "network_load_balancer".clone_into(&mut interface.kind);
        }
        let primary = interface.private_ips[0];
        if let Some((allocation, _)) = asked.allocated {
            let _ = self.bind_address(&allocation, &id, primary);
        }
    }

    /// An address of a subnet's IPv6 range that no network interface has.
    fn free_ipv6(&mut self, subnet_id: &str) -> Option<Ipv6Addr> {
        let range = self.subnets.get(subnet_id)?.ipv6_cidr?;
        loop {
            let host = u64::from_str_radix(&self.ids.hex(16), 16).ok()?;
            let address = Ipv6Addr::from(u128::from(range.network()) | u128::from(host));
            let taken = self
                .network_interfaces
                .values()
                .any(|interface| interface.ipv6_addresses.contains(&address));
            if !taken {
                return Some(address);
            }
        }
    }

    /// The ids of the network interfaces of a load balancer.
    pub(super) fn interfaces_of_balancer(&self, arn: &str) -> Vec<String> {
        let description = description(arn);
        self.network_interfaces
            .values()
            .filter(|interface| {
                interface.description == description
                    && interface.requester.is_some()
                    && interface.attachment.is_some()
            })
            .map(|interface| interface.id.clone())
            .collect()
    }

    /// Gives the network interfaces of a load balancer the addresses of an
    /// address type.
    pub(super) fn readdress_interfaces(&mut self, balancer: &LoadBalancer) {
        for id in self.interfaces_of_balancer(&balancer.arn) {
            let Some(interface) = self.network_interfaces.get(&id) else {
                continue;
            };
            let subnet = interface.subnet_id.clone();
            let asked = balancer
                .addresses
                .get(&interface.availability_zone)
                .and_then(|addresses| addresses.ipv6);
            let ipv6 = match balancer.ip_address_type.as_str() {
                "ipv4" => None,
                _ if asked.is_some() => asked,
                _ => match interface.ipv6_addresses.first() {
                    Some(address) => Some(*address),
                    None => self.free_ipv6(&subnet),
                },
            };
            let allocated = self.addresses_of(&id).next().is_some();
            let public = if balancer.has_public_ipv4() && !allocated {
                let fresh = self.invent_public_address();
                self.network_interfaces[&id].public_ip.or(Some(fresh))
            } else {
                None
            };
            if let Some(interface) = self.network_interfaces.get_mut(&id) {
                interface.ipv6_addresses = ipv6.into_iter().collect();
                interface.public_ip = public;
            }
        }
    }

    /// Detaches network interfaces; they are removed after a while.
    pub(super) fn let_go_of(&mut self, interfaces: &[String], now: Timestamp) {
        for id in interfaces {
            if let Some(interface) = self.network_interfaces.get_mut(id) {
                interface.attachment = None;
            }
            self.schedule(
                now,
                self.timing.eni_release_ms,
                Transition::InterfaceGone(id.clone()),
            );
        }
    }

    /// The address of an allocation that nothing uses, or
    /// `AllocationIdNotFound`, or `ResourceInUse`.
    pub(super) fn unused_allocation(&self, id: &str) -> Answer<Ipv4Addr> {
        let address = self.addresses.get(id).ok_or_else(|| {
            Refusal::new(
                "AllocationIdNotFound",
                format!("The allocation ID '{id}' does not exist"),
            )
        })?;
        if address.association.is_some() {
            return Err(Refusal::new(
                "ResourceInUse",
                format!("The allocation ID '{id}' is not available for use"),
            ));
        }
        Ok(address.public_ip)
    }
}

/// `ELB app/NAME/ID`, the description of the network interfaces.
fn description(arn: &str) -> String {
    let path = arn
        .split_once(":loadbalancer/")
        .map_or(arn, |(_, path)| path);
    format!("ELB {path}")
}
