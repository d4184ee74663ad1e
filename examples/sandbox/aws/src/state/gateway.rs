//! Gateways of VPCs: to the internet, outwards only, and NAT.

use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::{
    Answer, Refusal, State, Transition,
    ec2_id::{Kind, combination, dependency},
    network_interface::NewInterface,
};

/// An internet gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternetGateway {
    /// `igw-…`.
    pub id: String,
    /// VPC to which it is attached.
    pub vpc_id: Option<String>,
}

/// An egress-only internet gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressOnlyGateway {
    /// `eigw-…`.
    pub id: String,
    /// VPC to which it is attached.
    pub vpc_id: String,
}

/// A NAT gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatGateway {
    /// `nat-…`.
    pub id: String,
    /// VPC of its subnet.
    pub vpc_id: String,
    /// Subnet.
    pub subnet_id: String,
    /// Whether it leads to the internet.
    pub public: bool,
    /// State.
    pub state: NatState,
    /// Its network interface.
    pub interface: String,
    /// The interface's address.
    pub private_ip: Ipv4Addr,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
}

/// State of a NAT gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatState {
    /// Being made.
    Pending,
    /// Works.
    Available,
    /// Being deleted.
    Deleting,
    /// Gone; shown for about an hour.
    Deleted,
}

impl NatState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

/// What CreateNatGateway asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewNatGateway {
    /// Subnet.
    pub subnet_id: String,
    /// Whether it has no public address.
    pub private: bool,
    /// Allocated address; needed by a public one.
    pub allocation_id: Option<String>,
    /// Address in the subnet; one of AWS's choice if absent.
    pub private_ip: Option<Ipv4Addr>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// CreateInternetGateway; answers the id.
    pub fn create_internet_gateway(&mut self, tags: &[(String, String)]) -> Answer<String> {
        let tags = self.checked_ec2_tags(tags)?;
        if self.internet_gateways.len() >= self.quotas.limit("internet-gateways") {
            return Err(Refusal::new(
                "InternetGatewayLimitExceeded",
                "The maximum number of internet gateways has been reached.",
            ));
        }
        let id = self.ids.ec2("igw");
        let gateway = InternetGateway {
            id: id.clone(),
            vpc_id: None,
        };
        self.internet_gateways.insert(id.clone(), gateway);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// The internet gateway of a VPC.
    pub fn internet_gateway_of(&self, vpc_id: &str) -> Option<&InternetGateway> {
        self.internet_gateways
            .values()
            .find(|gateway| gateway.vpc_id.as_deref() == Some(vpc_id))
    }

    /// AttachInternetGateway: one gateway for a VPC, one VPC for a gateway.
    pub fn attach_internet_gateway(&mut self, id: &str, vpc_id: &str) -> Answer<()> {
        let gateway = Kind::InternetGateway.find(&self.internet_gateways, id)?;
        self.vpc(vpc_id)?;
        if let Some(other) = &gateway.vpc_id {
            return Err(Refusal::new(
                "Resource.AlreadyAssociated",
                format!("resource {id} is already attached to network {other}"),
            ));
        }
        if self.internet_gateway_of(vpc_id).is_some() {
            return Err(Refusal::parameter(format!(
                "Network {vpc_id} already has an internet gateway attached"
            )));
        }
        Kind::InternetGateway
            .find_mut(&mut self.internet_gateways, id)?
            .vpc_id = Some(vpc_id.to_owned());
        Ok(())
    }

    /// DetachInternetGateway: refused while the VPC has public addresses.
    pub fn detach_internet_gateway(&mut self, id: &str, vpc_id: &str) -> Answer<()> {
        let gateway = Kind::InternetGateway.find(&self.internet_gateways, id)?;
        self.vpc(vpc_id)?;
        if gateway.vpc_id.as_deref() != Some(vpc_id) {
            return Err(Refusal::new(
                "Gateway.NotAttached",
                format!("resource {id} is not attached to network {vpc_id}"),
            ));
        }
        let mapped = self.network_interfaces.values().any(|interface| {
            interface.vpc_id == vpc_id
                && (interface.public_ip.is_some() || self.addresses_of(&interface.id).count() > 0)
        });
        if mapped {
            return Err(Refusal::new(
                "DependencyViolation",
                format!(
                    "Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway."
                ),
            ));
        }
        Kind::InternetGateway
            .find_mut(&mut self.internet_gateways, id)?
            .vpc_id = None;
        Ok(())
    }

    /// DeleteInternetGateway: refused while it is attached.
    pub fn delete_internet_gateway(&mut self, id: &str) -> Answer<()> {
        let gateway = Kind::InternetGateway.find(&self.internet_gateways, id)?;
        if gateway.vpc_id.is_some() {
            return Err(dependency("internetGateway", id));
        }
        self.internet_gateways.remove(id);
        self.tags.remove(id);
        Ok(())
    }

    /// CreateEgressOnlyInternetGateway; answers the id.
    pub fn create_egress_only_gateway(
        &mut self,
        vpc_id: &str,
        tags: &[(String, String)],
    ) -> Answer<String> {
        self.vpc(vpc_id)?;
        let tags = self.checked_ec2_tags(tags)?;
        let id = self.ids.ec2("eigw");
        let gateway = EgressOnlyGateway {
            id: id.clone(),
            vpc_id: vpc_id.to_owned(),
        };
        self.egress_only_gateways.insert(id.clone(), gateway);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// DeleteEgressOnlyInternetGateway.
    pub fn delete_egress_only_gateway(&mut self, id: &str) -> Answer<()> {
        Kind::EgressOnlyGateway.find(&self.egress_only_gateways, id)?;
        self.egress_only_gateways.remove(id);
        self.tags.remove(id);
        Ok(())
    }

    /// CreateNatGateway; answers the id. A public one needs an allocated
    /// address and a way to the internet.
    pub fn create_nat_gateway(&mut self, new: &NewNatGateway, now: Timestamp) -> Answer<String> {
        let vpc_id = self.subnet(&new.subnet_id)?.vpc_id.clone();
        match (&new.allocation_id, new.private) {
            (None, false) => {
                return Err(Refusal::new(
                    "MissingParameter",
                    "The request must contain the parameter AllocationId",
                ));
            }
            (Some(_), true) => {
                return Err(combination(
                    "AllocationId may not be specified for a private NAT gateway",
                ));
            }
            (Some(allocation), false) => {
                self.check_free_address(allocation)?;
                if self.internet_gateway_of(&vpc_id).is_none() {
                    return Err(Refusal::new(
                        "Gateway.NotAttached",
                        format!("Network {vpc_id} has no Internet gateway attached"),
                    ));
                }
            }
            (None, true) => {}
        }
        let tags = self.checked_ec2_tags(&new.tags)?;
        let id = self.ids.ec2("nat");
        let interface = self.add_interface(NewInterface {
            subnet_id: new.subnet_id.clone(),
            description: format!("Interface for NAT Gateway {id}"),
            security_groups: std::collections::BTreeSet::new(),
            requester: Some(self.account.clone()),
            public: false,
            drawn: None,
        })?;
        if let Some(wish) = new.private_ip
            && let Err(refusal) = self.replace_primary(&interface, wish)
        {
            self.release_interface(&interface);
            return Err(refusal);
        }
        let Some(made) = self.network_interfaces.get_mut(&interface) else {
            return Err(Kind::NetworkInterface.not_found(&interface));
        };
        "nat_gateway".clone_into(&mut made.kind);
        let private_ip = made.private_ips[0];
        self.attach_to_service(&interface);
        if let Some(allocation) = &new.allocation_id {
            self.bind_address(allocation, &interface, private_ip)?;
        }
        let gateway = NatGateway {
            id: id.clone(),
            vpc_id,
            subnet_id: new.subnet_id.clone(),
            public: !new.private,
            state: NatState::Pending,
            interface,
            private_ip,
            created: now,
            deleted: None,
        };
        self.nat_gateways.insert(id.clone(), gateway);
        self.tags.insert(id.clone(), tags);
        let delay = self.timing.instance_ms;
        let move_on = Transition::NatGateway(id.clone(), NatState::Pending);
        self.schedule(now, delay, move_on);
        Ok(id)
    }

    /// DeleteNatGateway: its interface goes, its address stays allocated.
    pub fn delete_nat_gateway(&mut self, id: &str, now: Timestamp) -> Answer<()> {
        let gateway = Kind::NatGateway.find_mut(&mut self.nat_gateways, id)?;
        if matches!(gateway.state, NatState::Deleting | NatState::Deleted) {
            return Ok(());
        }
        gateway.state = NatState::Deleting;
        gateway.deleted = Some(now);
        let delay = self.timing.instance_ms;
        let move_on = Transition::NatGateway(id.to_owned(), NatState::Deleting);
        self.schedule(now, delay, move_on);
        Ok(())
    }

    /// The next state of a NAT gateway.
    pub(super) fn move_nat_gateway(&mut self, id: &str, from: NatState, now: Timestamp) {
        let Some(gateway) = self.nat_gateways.get_mut(id) else {
            return;
        };
        if gateway.state != from {
            return;
        }
        match gateway.state {
            NatState::Pending => gateway.state = NatState::Available,
            NatState::Deleting => {
                gateway.state = NatState::Deleted;
                let interface = gateway.interface.clone();
                self.release_interface(&interface);
                let forget = Transition::NatGateway(id.to_owned(), NatState::Deleted);
                self.schedule(now, super::SHOWN_MS, forget);
            }
            NatState::Deleted => {
                self.nat_gateways.remove(id);
                self.tags.remove(id);
            }
            NatState::Available => {}
        }
    }

    /// Makes a NAT gateway work at once.
    pub fn nat_gateway_at_once(&mut self, id: &str) {
        if let Some(gateway) = self.nat_gateways.get_mut(id)
            && gateway.state == NatState::Pending
        {
            gateway.state = NatState::Available;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    #[test]
    fn one_gateway_for_a_vpc() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let other = state.create_vpc("10.1.0.0/16", &[]).unwrap();
        let a = state.create_internet_gateway(&[]).unwrap();
        let b = state.create_internet_gateway(&[]).unwrap();
        let early = state.detach_internet_gateway(&a, &vpc).unwrap_err();
        assert_eq!(early.code, "Gateway.NotAttached");
        state.attach_internet_gateway(&a, &vpc).unwrap();
        let codes = [
            state.attach_internet_gateway(&a, &other).unwrap_err().code,
            state.attach_internet_gateway(&b, &vpc).unwrap_err().code,
            state.delete_internet_gateway(&a).unwrap_err().code,
            state.detach_internet_gateway(&a, &other).unwrap_err().code,
        ];
        assert_eq!(
            codes,
            [
                "Resource.AlreadyAssociated",
                "InvalidParameterValue",
                "DependencyViolation",
                "Gateway.NotAttached"
            ]
        );
        state.detach_internet_gateway(&a, &vpc).unwrap();
        state.delete_internet_gateway(&a).unwrap();
    }

    #[test]
    fn a_nat_gateway_lives_and_goes() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let start = Timestamp::UNIX_EPOCH;
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
        let allocation = state.allocate_address(&[]).unwrap();
        let mut new = NewNatGateway {
            subnet_id: subnet.clone(),
            ..NewNatGateway::default()
        };
        let refused = state.create_nat_gateway(&new, start).unwrap_err();
        assert_eq!(refused.code, "MissingParameter");
        new.allocation_id = Some(allocation.clone());
        let refused = state.create_nat_gateway(&new, start).unwrap_err();
        assert_eq!(refused.code, "Gateway.NotAttached");
        let gateway = state.create_internet_gateway(&[]).unwrap();
        state.attach_internet_gateway(&gateway, &vpc).unwrap();
        let id = state.create_nat_gateway(&new, start).unwrap();
        assert_eq!(state.nat_gateways[&id].state, NatState::Pending);
        let refused = state.create_nat_gateway(&new, start).unwrap_err();
        assert_eq!(refused.code, "Resource.AlreadyAssociated");
        let later = start + jiff::SignedDuration::from_secs(60);
        state.advance(later);
        assert_eq!(state.nat_gateways[&id].state, NatState::Available);
        assert_eq!(
            state.release_address(&allocation).unwrap_err().code,
            "InvalidIPAddress.InUse"
        );
        let blocked = state.detach_internet_gateway(&gateway, &vpc).unwrap_err();
        assert_eq!(blocked.code, "DependencyViolation");
        state.delete_nat_gateway(&id, later).unwrap();
        state.advance(later + jiff::SignedDuration::from_secs(60));
        assert_eq!(state.nat_gateways[&id].state, NatState::Deleted);
        state.release_address(&allocation).unwrap();
        state.delete_subnet(&subnet).unwrap();
        state.advance(later + jiff::SignedDuration::from_hours(2));
        assert!(state.nat_gateways.is_empty());
    }
}
