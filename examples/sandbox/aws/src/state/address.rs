//! Allocated (Elastic) addresses.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{
    Answer, InstanceState, Refusal, State,
    ec2_id::{Kind, combination},
};

/// An allocated address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `eipalloc-…`.
    pub id: String,
    /// The address.
    pub public_ip: Ipv4Addr,
    /// Out of what it was taken.
    pub pool: AddressPool,
    /// To what it is bound.
    pub association: Option<AddressAssociation>,
}

/// Where an allocated address comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressPool {
    /// Amazon's own addresses.
    Amazon,
    /// An IPAM pool, by id.
    Ipam(String),
    /// A pool of customer-owned addresses, by id; they are not public.
    CustomerOwned(String),
}

/// What an address is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressAssociation {
    /// `eipassoc-…`.
    pub id: String,
    /// Network interface.
    pub interface_id: String,
    /// The interface's private address.
    pub private_ip: Ipv4Addr,
}

/// To what AssociateAddress binds an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindTo {
    /// `eipalloc-…`.
    pub allocation_id: String,
    /// An instance, in whose stead its only interface is meant.
    pub instance: Option<String>,
    /// A network interface.
    pub interface: Option<String>,
    /// One of the interface's addresses; the primary one if absent.
    pub private_ip: Option<Ipv4Addr>,
    /// Whether it may be bound to something else now; allowed if absent.
    pub rebind: Option<bool>,
}

impl Address {
    /// The network interface to which it is bound.
    pub fn interface_id(&self) -> Option<&str> {
        self.association
            .as_ref()
            .map(|association| association.interface_id.as_str())
    }
}

impl State {
    /// A public address out of the benchmark range 198.18.0.0/15, which leads
    /// nowhere in the internet; no two are equal.
    pub(super) fn invent_public_address(&mut self) -> Ipv4Addr {
        loop {
            let bits = u32::from_str_radix(&self.ids.hex(4), 16).unwrap_or_default();
            let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + bits);
            let taken = self
                .addresses
                .values()
                .any(|other| other.public_ip == address)
                || self
                    .network_interfaces
                    .values()
                    .any(|interface| interface.public_ip == Some(address));
            if !taken {
                return address;
            }
        }
    }

    /// The name of a public address in a VPC; none where the VPC gives none.
    pub fn public_name(&self, vpc_id: &str, address: Ipv4Addr) -> String {
        let named = self
            .vpcs
            .get(vpc_id)
            .is_some_and(|vpc| vpc.attributes.dns_hostnames);
        if !named {
            return String::new();
        }
        let [a, b, c, d] = address.octets();
        let domain = if self.region == "us-east-1" {
            "compute-1".to_owned()
        } else {
            format!("{}.compute", self.region)
        };
        format!("ec2-{a}-{b}-{c}-{d}.{domain}.{}", self.dns_suffix())
    }

    /// An allocated address by its id, or `InvalidAllocationID.NotFound`.
    pub fn address(&self, id: &str) -> Answer<&Address> {
        Kind::Address.find(&self.addresses, id)
    }

    /// The allocated addresses of a network interface.
    pub fn addresses_of(&self, interface_id: &str) -> impl Iterator<Item = &Address> {
        self.addresses
            .values()
            .filter(move |address| address.interface_id() == Some(interface_id))
    }

    /// The public address that belongs to a private one of an interface.
    pub fn address_at(&self, interface_id: &str, private_ip: Ipv4Addr) -> Option<&Address> {
        self.addresses_of(interface_id).find(|address| {
            address
                .association
                .as_ref()
                .is_some_and(|association| association.private_ip == private_ip)
        })
    }

    /// AllocateAddress out of Amazon's own addresses; answers the allocation's id.
    pub fn allocate_address(&mut self, tags: &[(String, String)]) -> Answer<String> {
        let public_ip = self.invent_public_address();
        self.allocate_this(public_ip, AddressPool::Amazon, tags)
    }

    /// AllocateAddress out of a pool that was declared: the first free address
    /// of its ranges. A pool whose ranges nobody knows has them all.
    pub fn allocate_from_pool(
        &mut self,
        pool: AddressPool,
        tags: &[(String, String)],
    ) -> Answer<String> {
        let (known, id, code, text) = match &pool {
            AddressPool::Amazon => return self.allocate_address(tags),
            AddressPool::Ipam(id) => (
                &self.outside.ipam_pools,
                id,
                "InvalidIpamPoolId.NotFound",
                format!("The ipam-pool ID '{id}' does not exist"),
            ),
            AddressPool::CustomerOwned(id) => (
                &self.outside.coip_pools,
                id,
                "InvalidPoolID.NotFound",
                format!("The pool ID '{id}' does not exist"),
            ),
        };
        let declared = known
            .iter()
            .find(|known| known.id() == id)
            .ok_or_else(|| Refusal::new(code, text))?;
        if declared.cidrs().is_empty() {
            let any = self.invent_public_address();
            return self.allocate_this(any, pool, tags);
        }
        let free = declared
            .cidrs()
            .iter()
            .filter_map(|range| range.parse::<Ipv4Net>().ok())
            .flat_map(|range| range.hosts())
            .find(|address| self.addresses.values().all(|own| own.public_ip != *address))
            .ok_or_else(|| {
                Refusal::new(
                    "InsufficientAddressCapacity",
                    format!("The pool '{id}' has no free address."),
                )
            })?;
        self.allocate_this(free, pool, tags)
    }

    fn allocate_this(
        &mut self,
        public_ip: Ipv4Addr,
        pool: AddressPool,
        tags: &[(String, String)],
    ) -> Answer<String> {
        let tags = self.checked_ec2_tags(tags)?;
        if self.addresses.len() >= self.quotas.limit("elastic-ips") {
            return Err(Refusal::new(
                "AddressLimitExceeded",
                "The maximum number of addresses has been reached.",
            ));
        }
        let id = self.ids.ec2("eipalloc");
        let address = Address {
            id: id.clone(),
            public_ip,
            pool,
            association: None,
        };
        self.addresses.insert(id.clone(), address);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// ReleaseAddress: refused while it is bound.
    pub fn release_address(&mut self, id: &str) -> Answer<()> {
        let address = self.address(id)?;
        if address.association.is_some() {
            return Err(Refusal::new(
                "InvalidIPAddress.InUse",
                format!("Address {} is in use.", address.public_ip),
            ));
        }
        self.addresses.remove(id);
        self.tags.remove(id);
        Ok(())
    }

    /// Refuses an address that does not exist or is bound.
    pub fn check_free_address(&self, id: &str) -> Answer<()> {
        let address = self.address(id)?;
        match &address.association {
            None => Ok(()),
            Some(association) => Err(Refusal::new(
                "Resource.AlreadyAssociated",
                format!(
                    "resource {id} is already associated with associate-id {}",
                    association.id
                ),
            )),
        }
    }

    /// Binds an address to an interface without further checks; answers the
    /// association's id.
    pub(super) fn bind_address(
        &mut self,
        id: &str,
        interface_id: &str,
        private_ip: Ipv4Addr,
    ) -> Answer<String> {
        let association = self.ids.ec2("eipassoc");
        // A private address has one public address: another one goes.
        for other in self.addresses.values_mut() {
            let there = other.association.as_ref().is_some_and(|held| {
                held.interface_id == interface_id && held.private_ip == private_ip
            });
            if there {
                other.association = None;
            }
        }
        // So does the address that the interface was given for the while.
        if let Some(interface) = self.network_interfaces.get_mut(interface_id)
            && interface.private_ips.first() == Some(&private_ip)
        {
            interface.public_ip = None;
        }
        let address = Kind::Address.find_mut(&mut self.addresses, id)?;
        address.association = Some(AddressAssociation {
            id: association.clone(),
            interface_id: interface_id.to_owned(),
            private_ip,
        });
        Ok(association)
    }

    /// AssociateAddress; answers the association's id. To be bound again to
    /// what it is bound to already is no change.
    pub fn associate_address(&mut self, bind: &BindTo) -> Answer<String> {
        let address = self.address(&bind.allocation_id)?;
        let interface = match (&bind.interface, &bind.instance) {
            (Some(_), Some(_)) => {
                return Err(combination(
                    "Only one of 'instanceId' and 'networkInterfaceId' may be specified",
                ));
            }
            (None, None) => {
                return Err(Refusal::new(
                    "MissingParameter",
                    "Either 'instanceId' or 'networkInterfaceId' should be provided",
                ));
            }
            (Some(id), None) => self.network_interface(id)?,
            (None, Some(id)) => {
                if self.instance(id)?.state == InstanceState::Pending {
                    return Err(Refusal::new(
                        "IncorrectInstanceState",
                        format!(
                            "The pending instance '{id}' is not in a valid state for this operation."
                        ),
                    ));
                }
                self.only_interface(id)?
            }
        };
        if interface.requester.is_some() {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "The network interface '{}' is managed by a service",
                    interface.id
                ),
            ));
        }
        let private_ip = bind.private_ip.unwrap_or(interface.private_ips[0]);
        if !interface.private_ips.contains(&private_ip) {
            return Err(Refusal::parameter(format!(
                "The private IP address {private_ip} is not assigned to interface {}",
                interface.id
            )));
        }
        if self.internet_gateway_of(&interface.vpc_id).is_none() {
            return Err(Refusal::new(
                "Gateway.NotAttached",
                format!(
                    "Network {} is not attached to any internet gateway",
                    interface.vpc_id
                ),
            ));
        }
        let held = address.association.as_ref();
        if let Some(held) = held {
            if held.interface_id == interface.id && held.private_ip == private_ip {
                return Ok(held.id.clone());
            }
            let of_service = self
                .network_interfaces
                .get(&held.interface_id)
                .is_some_and(|interface| interface.requester.is_some());
            if bind.rebind == Some(false) || of_service {
                self.check_free_address(&bind.allocation_id)?;
            }
        }
        // A private address that has a public one already gives it up only on demand.
        if bind.rebind == Some(false)
            && let Some(other) = self.address_at(&interface.id, private_ip)
        {
            let id = other.id.clone();
            self.check_free_address(&id)?;
        }
        let interface_id = interface.id.clone();
        self.bind_address(&bind.allocation_id, &interface_id, private_ip)
    }

    /// DisassociateAddress.
    pub fn disassociate_address(&mut self, association_id: &str) -> Answer<()> {
        Kind::AddressAssociation.check_form(association_id)?;
        let found = self.addresses.values().find(|address| {
            address
                .association
                .as_ref()
                .is_some_and(|association| association.id == association_id)
        });
        let Some(address) = found else {
            return Err(Kind::AddressAssociation.not_found(association_id));
        };
        let id = address.id.clone();
        let of_service = address
            .interface_id()
            .and_then(|id| self.network_interfaces.get(id))
            .is_some_and(|interface| interface.requester.is_some());
        if of_service {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!("The address with allocation id [{id}] is in use by a service"),
            ));
        }
        if let Some(address) = self.addresses.get_mut(&id) {
            address.association = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    #[test]
    fn allocated_bound_and_released() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
        let a = state
            .create_network_interface(&subnet, "", &[], &[])
            .unwrap();
        let b = state
            .create_network_interface(&subnet, "", &[], &[])
            .unwrap();
        let id = state.allocate_address(&[]).unwrap();
        let to = |interface: &str, rebind| BindTo {
            allocation_id: id.clone(),
            interface: Some(interface.to_owned()),
            rebind,
            ..BindTo::default()
        };
        let refused = state.associate_address(&to(&a, None)).unwrap_err();
        assert_eq!(refused.code, "Gateway.NotAttached");
        let gateway = state.create_internet_gateway(&[]).unwrap();
        state.attach_internet_gateway(&gateway, &vpc).unwrap();
        let first = state.associate_address(&to(&a, None)).unwrap();
        assert_eq!(
            state.associate_address(&to(&a, Some(false))).unwrap(),
            first
        );
        let refused = state.associate_address(&to(&b, Some(false))).unwrap_err();
        assert_eq!(refused.code, "Resource.AlreadyAssociated");
        let second = state.associate_address(&to(&b, None)).unwrap();
        assert_eq!(
            state.disassociate_address(&first).unwrap_err().code,
            "InvalidAssociationID.NotFound"
        );
        let refused = state.release_address(&id).unwrap_err();
        assert_eq!(refused.code, "InvalidIPAddress.InUse");
        state.disassociate_address(&second).unwrap();
        state.release_address(&id).unwrap();
        let gone = state.release_address(&id).unwrap_err();
        assert_eq!(gone.code, "InvalidAllocationID.NotFound");
    }

    #[test]
    fn a_pool_gives_its_own_addresses() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        state.outside.ipam_pools = serde_json::from_str(
            r#"["ipam-pool-1", {"id": "ipam-pool-2", "cidrs": ["192.0.2.0/31"]}]"#,
        )
        .unwrap();
        state.outside.coip_pools =
            serde_json::from_str(r#"[{"id": "ipv4pool-coip-1", "cidrs": ["192.0.2.4/32"]}]"#)
                .unwrap();
        let mut from = |pool: AddressPool| {
            let id = state
                .allocate_from_pool(pool, &[])
                .map_err(|refusal| refusal.code)?;
            Ok::<_, std::borrow::Cow<'static, str>>(state.addresses[&id].public_ip.to_string())
        };
        let ipam = |id: &str| AddressPool::Ipam(id.to_owned());
        for address in ["192.0.2.0", "192.0.2.1"] {
            assert_eq!(from(ipam("ipam-pool-2")).unwrap(), address);
        }
        let empty = from(ipam("ipam-pool-2")).unwrap_err();
        assert_eq!(empty, "InsufficientAddressCapacity");
        from(ipam("ipam-pool-1")).unwrap();
        let unknown = from(ipam("ipam-pool-3")).unwrap_err();
        assert_eq!(unknown, "InvalidIpamPoolId.NotFound");
        let owned = |id: &str| AddressPool::CustomerOwned(id.to_owned());
        assert_eq!(from(owned("ipv4pool-coip-1")).unwrap(), "192.0.2.4");
        let unknown = from(owned("ipv4pool-coip-2")).unwrap_err();
        assert_eq!(unknown, "InvalidPoolID.NotFound");
    }

    #[test]
    fn an_interface_that_goes_lets_its_address_free() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let gateway = state.create_internet_gateway(&[]).unwrap();
        state.attach_internet_gateway(&gateway, &vpc).unwrap();
        let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
        let interface = state
            .create_network_interface(&subnet, "", &[], &[])
            .unwrap();
        let id = state.allocate_address(&[]).unwrap();
        let bind = BindTo {
            allocation_id: id.clone(),
            interface: Some(interface.clone()),
            ..BindTo::default()
        };
        state.associate_address(&bind).unwrap();
        state.delete_network_interface(&interface).unwrap();
        assert_eq!(state.addresses[&id].association, None);
    }
}
