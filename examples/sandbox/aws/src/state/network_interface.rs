//! Network interfaces: made, attached, changed, deleted.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;

use super::{
    Answer, InstanceState, Refusal, State, ec2_id::Kind, instance_type,
    interface_addresses::Addresses,
};

/// A network interface.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkInterface {
    /// `eni-…`.
    pub id: String,
    /// Subnet.
    pub subnet_id: String,
    /// VPC of the subnet.
    pub vpc_id: String,
    /// Zone of the subnet.
    pub availability_zone: String,
    /// Free text; `ELB app/NAME/ID` for those of load balancers.
    pub description: String,
    /// Security groups.
    pub security_groups: BTreeSet<String>,
    /// Addresses, the primary one first.
    pub private_ips: Vec<Ipv4Addr>,
    /// Delegated /28 prefixes.
    pub ipv4_prefixes: Vec<Ipv4Net>,
    /// IPv6 addresses.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// Delegated /80 prefixes.
    pub ipv6_prefixes: Vec<Ipv6Net>,
    /// Public address that is not an allocated one, if any.
    pub public_ip: Option<Ipv4Addr>,
    /// To what it is attached.
    pub attachment: Option<Attachment>,
    /// When it was attached.
    pub attached_at: Option<Timestamp>,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
    /// Whether traffic from and to other addresses is dropped.
    pub source_dest_check: bool,
    /// `interface`, `nat_gateway`.
    pub kind: String,
    /// Hardware address.
    pub mac: String,
    /// `amazon-elb` for those of load balancers.
    pub requester: Option<String>,
}

/// An attachment of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `eni-attach-…`.
    pub id: String,
    /// The instance; none for those of services.
    pub instance_id: Option<String>,
    /// 0 is the primary interface.
    pub device_index: u32,
}

/// What a network interface of a service is to have.
#[derive(Debug, Clone)]
pub struct NewInterface {
    /// Subnet.
    pub subnet_id: String,
    /// Free text.
    pub description: String,
    /// Security groups.
    pub security_groups: BTreeSet<String>,
    /// Service that asked for it.
    pub requester: Option<String>,
    /// Whether it gets a public address.
    pub public: bool,
    /// Draws its private address with this number; the next free one if absent.
    pub drawn: Option<u64>,
}

/// What CreateNetworkInterface asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WantedInterface {
    /// Subnet.
    pub subnet_id: String,
    /// Free text.
    pub description: String,
    /// Security groups; the VPC's default one if empty.
    pub security_groups: Vec<String>,
    /// Primary address; one of AWS's choice if absent.
    pub primary: Option<Ipv4Addr>,
    /// Further addresses and prefixes.
    pub addresses: Addresses,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// One change of ModifyNetworkInterfaceAttribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChange {
    /// `Description`.
    Description(String),
    /// `SecurityGroupId`.
    Groups(Vec<String>),
    /// `SourceDestCheck`.
    SourceDestCheck(bool),
    /// `Attachment`: its id and whether the interface goes with the instance.
    DeleteOnTermination(String, bool),
}

impl State {
    /// A network interface by id, or `InvalidNetworkInterfaceID.NotFound`.
    pub fn network_interface(&self, id: &str) -> Answer<&NetworkInterface> {
        Kind::NetworkInterface.find(&self.network_interfaces, id)
    }

    /// Makes a network interface of a service with one address out of its subnet.
    pub(super) fn add_interface(&mut self, new: NewInterface) -> Answer<String> {
        let id = self.ids.ec2("eni");
        let public_ip = if new.public {
            Some(self.invent_public_address())
        } else {
            None
        };
        let mac = self.mac();
        let subnet = Kind::Subnet.find_mut(&mut self.subnets, &new.subnet_id)?;
        let address = subnet.take_drawn(&id, new.drawn)?;
        let interface = NetworkInterface {
            id: id.clone(),
            subnet_id: subnet.id.clone(),
            vpc_id: subnet.vpc_id.clone(),
            availability_zone: subnet.availability_zone.clone(),
            description: new.description,
            security_groups: new.security_groups,
            private_ips: vec![address],
            ipv4_prefixes: Vec::new(),
            ipv6_addresses: Vec::new(),
            ipv6_prefixes: Vec::new(),
            public_ip,
            attachment: None,
            attached_at: None,
            delete_on_termination: false,
            source_dest_check: true,
            kind: "interface".to_owned(),
            mac,
            requester: new.requester,
        };
        self.network_interfaces.insert(id.clone(), interface);
        Ok(id)
    }

    fn mac(&mut self) -> String {
        let hex = self.ids.hex(10);
        let pairs: Vec<&str> = (0..5).filter_map(|n| hex.get(n * 2..n * 2 + 2)).collect();
        format!("02:{}", pairs.join(":"))
    }

    /// Attaches an interface to the service that asked for it.
    pub(super) fn attach_to_service(&mut self, id: &str) {
        if let Some(interface) = self.network_interfaces.get_mut(id) {
            interface.attachment = Some(Attachment {
                id: id.replacen("eni-", "eni-attach-", 1),
                instance_id: None,
                device_index: 1,
            });
        }
    }

    /// Gives an interface that was just made another primary address.
    pub(super) fn replace_primary(&mut self, id: &str, wish: Ipv4Addr) -> Answer<()> {
        let interface = Kind::NetworkInterface.find_mut(&mut self.network_interfaces, id)?;
        let before = interface.private_ips[0];
        let subnet = Kind::Subnet.find_mut(&mut self.subnets, &interface.subnet_id)?;
        subnet.taken.remove(&before);
        if let Err(refusal) = subnet.take_this(wish, id) {
            subnet.taken.insert(before, id.to_owned());
            return Err(refusal);
        }
        interface.private_ips[0] = wish;
        Ok(())
    }

    /// Removes a network interface and gives its addresses back to the subnet.
    pub(super) fn release_interface(&mut self, id: &str) {
        let Some(interface) = self.network_interfaces.remove(id) else {
            return;
        };
        self.tags.remove(id);
        for address in self.addresses.values_mut() {
            if address.interface_id() == Some(id) {
                address.association = None;
            }
        }
        if let Some(subnet) = self.subnets.get_mut(&interface.subnet_id) {
            subnet.taken.retain(|_, holder| holder != id);
        }
    }

    /// CreateNetworkInterface with one address; answers the id.
    pub fn create_network_interface(
        &mut self,
        subnet_id: &str,
        description: &str,
        groups: &[String],
        tags: &[(String, String)],
    ) -> Answer<String> {
        self.make_interface(&WantedInterface {
            subnet_id: subnet_id.to_owned(),
            description: description.to_owned(),
            security_groups: groups.to_vec(),
            tags: tags.to_vec(),
            ..WantedInterface::default()
        })
    }

    /// CreateNetworkInterface; answers the id.
    pub fn make_interface(&mut self, wanted: &WantedInterface) -> Answer<String> {
        let subnet = self.subnet(&wanted.subnet_id)?;
        if wanted.description.chars().count() > 255 {
            return Err(Refusal::parameter(
                "Value for parameter description is invalid. It must have at most 255 characters.",
            ));
        }
        let assign_ipv6 = subnet.assign_ipv6;
        let vpc_id = subnet.vpc_id.clone();
        let groups = self.interface_groups(&wanted.security_groups, &vpc_id)?;
        let tags = self.checked_ec2_tags(&wanted.tags)?;
        if self.network_interfaces.len() >= self.quotas.limit("network-interfaces") {
            return Err(Refusal::new(
                "NetworkInterfaceLimitExceeded",
                "The maximum number of network interfaces has been reached.",
            ));
        }
        let id = self.add_interface(NewInterface {
            subnet_id: wanted.subnet_id.clone(),
            description: wanted.description.clone(),
            security_groups: groups,
            requester: None,
            public: false,
            drawn: None,
        })?;
        let mut addresses = wanted.addresses.clone();
        if assign_ipv6 && addresses.asks_no_ipv6() {
            addresses.ipv6_count = 1;
        }
        let made = match wanted.primary {
            Some(primary) => self.replace_primary(&id, primary),
            None => Ok(()),
        }
        .and_then(|()| self.assign_addresses(&id, &addresses));
        if let Err(refusal) = made {
            self.release_interface(&id);
            return Err(refusal);
        }
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// Security groups of an interface: those named, else the VPC's default one.
    pub(super) fn interface_groups(
        &self,
        ids: &[String],
        vpc_id: &str,
    ) -> Answer<BTreeSet<String>> {
        let mut groups = BTreeSet::new();
        for id in ids {
            let group = self.security_group(id)?;
            if group.vpc_id != vpc_id {
                return Err(Refusal::new(
                    "InvalidParameter",
                    format!("Security group {id} and the subnet belong to different networks."),
                ));
            }
            groups.insert(id.clone());
        }
        if groups.is_empty() {
            groups.extend(
                self.vpcs
                    .get(vpc_id)
                    .map(|vpc| vpc.default_security_group.clone()),
            );
        }
        if groups.len() > self.quotas.limit("security-groups-per-network-interface") {
            return Err(Refusal::new(
                "SecurityGroupsPerInterfaceLimitExceeded",
                "You have exceeded the maximum number of security groups allowed per network interface.",
            ));
        }
        Ok(groups)
    }

    /// DeleteNetworkInterface: refused while it is attached.
    pub fn delete_network_interface(&mut self, id: &str) -> Answer<()> {
        let interface = self.network_interface(id)?;
        if interface.attachment.is_some() || interface.requester.is_some() {
            return Err(Refusal::new(
                "InvalidNetworkInterface.InUse",
                format!("Network interface '{id}' is currently in use."),
            ));
        }
        self.release_interface(id);
        Ok(())
    }

    /// Refuses a change of an interface that a service manages.
    fn check_own(interface: &NetworkInterface) -> Answer<()> {
        if interface.requester.is_some() {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "The network interface '{}' is managed by a service and cannot be changed",
                    interface.id
                ),
            ));
        }
        Ok(())
    }

    /// ModifyNetworkInterfaceAttribute.
    pub fn modify_interface(&mut self, id: &str, change: InterfaceChange) -> Answer<()> {
        let interface = self.network_interface(id)?;
        Self::check_own(interface)?;
        let groups = match &change {
            InterfaceChange::Groups(ids) => {
                let foreign = ids.iter().find(|id| {
                    self.security_groups
                        .get(*id)
                        .is_some_and(|group| group.vpc_id != interface.vpc_id)
                });
                if foreign.is_some() {
                    return Err(Refusal::new(
                        "InvalidGroup.NotFound",
                        "You have specified two resources that belong to different networks.",
                    ));
                }
                if ids.is_empty() {
                    return Err(Refusal::new(
                        "MissingParameter",
                        "The request must contain the parameter SecurityGroupId",
                    ));
                }
                self.interface_groups(ids, &interface.vpc_id.clone())?
            }
            _ => BTreeSet::new(),
        };
        let interface = Kind::NetworkInterface.find_mut(&mut self.network_interfaces, id)?;
        match change {
            InterfaceChange::Description(text) => interface.description = text,
            InterfaceChange::Groups(_) => interface.security_groups = groups,
            InterfaceChange::SourceDestCheck(on) => interface.source_dest_check = on,
            InterfaceChange::DeleteOnTermination(attachment, on) => {
                Kind::Attachment.check_form(&attachment)?;
                let attached = interface.attachment.as_ref();
                if attached.is_none_or(|own| own.id != attachment) {
                    return Err(Kind::Attachment.not_found(&attachment));
                }
                interface.delete_on_termination = on;
            }
        }
        Ok(())
    }

    /// AttachNetworkInterface; answers the attachment's id.
    pub fn attach_interface(
        &mut self,
        id: &str,
        instance_id: &str,
        device_index: u32,
        now: Timestamp,
    ) -> Answer<String> {
        let interface = self.network_interface(id)?;
        let instance = self.instance(instance_id)?;
        if interface.attachment.is_some() || interface.requester.is_some() {
            return Err(Refusal::new(
                "InvalidNetworkInterface.InUse",
                format!("Interface: [{id}] in use."),
            ));
        }
        if !matches!(
            instance.state,
            InstanceState::Running | InstanceState::Stopped
        ) {
            return Err(Refusal::new(
                "IncorrectState",
                format!("Instance '{instance_id}' is not 'running' or 'stopped'."),
            ));
        }
        if interface.availability_zone != instance.availability_zone {
            return Err(Refusal::parameter(
                "You may not attach a network interface to an instance if they are not in the same availability zone",
            ));
        }
        let mut count = 0;
        for own in self.interfaces_of(instance_id) {
            count += 1;
            if own
                .attachment
                .as_ref()
                .is_some_and(|own| own.device_index == device_index)
            {
                return Err(Refusal::parameter(format!(
                    "Instance '{instance_id}' already has an interface attached at device index '{device_index}'."
                )));
            }
        }
        let most = instance_type::of(&instance.instance_type).interfaces;
        if count >= most {
            return Err(Refusal::new(
                "AttachmentLimitExceeded",
                format!(
                    "Interface count {} exceeds the limit for {}",
                    count + 1,
                    instance.instance_type
                ),
            ));
        }
        self.bind_interface(id, instance_id, device_index, now)
    }

    /// Attaches an interface without checks.
    pub(super) fn bind_interface(
        &mut self,
        id: &str,
        instance_id: &str,
        device_index: u32,
        now: Timestamp,
    ) -> Answer<String> {
        let attachment = self.ids.ec2("eni-attach");
        let interface = Kind::NetworkInterface.find_mut(&mut self.network_interfaces, id)?;
        interface.attachment = Some(Attachment {
            id: attachment.clone(),
            instance_id: Some(instance_id.to_owned()),
            device_index,
        });
        interface.attached_at = Some(now);
        Ok(attachment)
    }

    /// DetachNetworkInterface: the primary interface stays.
    pub fn detach_interface(&mut self, attachment_id: &str) -> Answer<()> {
        Kind::Attachment.check_form(attachment_id)?;
        let interface = self
            .network_interfaces
            .values_mut()
            .find(|interface| {
                interface
                    .attachment
                    .as_ref()
                    .is_some_and(|attachment| attachment.id == attachment_id)
            })
            .ok_or_else(|| Kind::Attachment.not_found(attachment_id))?;
        Self::check_own(interface)?;
        let primary = interface
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.device_index == 0);
        if primary {
            return Err(Refusal::new(
                "OperationNotPermitted",
                "The network interface at device index 0 cannot be detached.",
            ));
        }
        interface.attachment = None;
        interface.attached_at = None;
        interface.delete_on_termination = false;
        Ok(())
    }

    /// The network interfaces of an instance.
    pub fn interfaces_of(&self, instance_id: &str) -> impl Iterator<Item = &NetworkInterface> {
        self.network_interfaces.values().filter(move |interface| {
            interface
                .attachment
                .as_ref()
                .is_some_and(|attachment| attachment.instance_id.as_deref() == Some(instance_id))
        })
    }

    /// The interface of an instance that has just one.
    pub(super) fn only_interface(&self, instance_id: &str) -> Answer<&NetworkInterface> {
        self.instance(instance_id)?;
        let mut interfaces = self.interfaces_of(instance_id);
        match (interfaces.next(), interfaces.next()) {
            (Some(interface), None) => Ok(interface),
            _ => Err(Refusal::new(
                "InvalidInstanceID",
                format!(
                    "There are multiple interfaces attached to instance '{instance_id}'. Please specify an interface ID for the operation instead."
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
