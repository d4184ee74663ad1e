//! Instances and network interfaces.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::Ipv4Net;
use jiff::Timestamp;

use super::{Answer, Refusal, State, vpc};

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Runs.
    Running,
    /// Gone; shown for about an hour.
    Terminated,
}

impl InstanceState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Terminated => "terminated",
        }
    }

    /// The number that goes with the word.
    pub fn code(self) -> u16 {
        match self {
            Self::Running => 16,
            Self::Terminated => 48,
        }
    }
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// `r-…`, the call that made it.
    pub reservation_id: String,
    /// Running or terminated.
    pub state: InstanceState,
    /// Such as `m5.large`.
    pub instance_type: String,
    /// `ami-…`.
    pub image_id: String,
    /// Subnet of its first interface.
    pub subnet_id: String,
    /// VPC of that subnet.
    pub vpc_id: String,
    /// Zone of that subnet.
    pub availability_zone: String,
    /// Primary address of its first interface.
    pub private_ip: Ipv4Addr,
    /// `ip-10-0-1-2.REGION.compute.internal`.
    pub private_dns_name: String,
    /// When it was started.
    pub launched: Timestamp,
}

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
    /// Public address, if any.
    pub public_ip: Option<Ipv4Addr>,
    /// To what it is attached.
    pub attachment: Option<Attachment>,
    /// `amazon-elb` for those of load balancers.
    pub requester: Option<String>,
}

/// An attachment of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `eni-attach-…`.
    pub id: String,
    /// The instance; none for those of load balancers.
    pub instance_id: Option<String>,
    /// 0 is the primary interface.
    pub device_index: u32,
}

/// What a new network interface is to have.
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
}

impl State {
    /// Makes a network interface with one address out of its subnet.
    pub(super) fn add_interface(&mut self, new: NewInterface) -> Answer<String> {
        let id = self.ids.ec2("eni");
        let public_ip = if new.public {
            Some(self.invent_public_address())
        } else {
            None
        };
        let subnet = self
            .subnets
            .get_mut(&new.subnet_id)
            .ok_or_else(|| vpc::subnet_not_found(&new.subnet_id))?;
        let address = subnet.take(&id)?;
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
            public_ip,
            attachment: None,
            requester: new.requester,
        };
        self.network_interfaces.insert(id.clone(), interface);
        Ok(id)
    }

    /// An address of the documentation range 198.18.0.0/15.
    pub(super) fn invent_public_address(&mut self) -> Ipv4Addr {
        let octet = |text: String| u8::from_str_radix(&text, 16).unwrap_or_default();
        let (a, b) = (octet(self.ids.hex(2)), octet(self.ids.hex(2)));
        Ipv4Addr::new(198, 18, a, b)
    }

    /// Removes a network interface and gives its addresses back to the subnet.
    pub(super) fn release_interface(&mut self, id: &str) {
        let Some(interface) = self.network_interfaces.remove(id) else {
            return;
        };
        self.tags.remove(id);
        if let Some(subnet) = self.subnets.get_mut(&interface.subnet_id) {
            subnet.taken.retain(|_, holder| holder != id);
        }
    }
}

/// What RunInstances asks for, for each instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewInstance {
    /// Image.
    pub image_id: String,
    /// Type; `m5.large` if absent.
    pub instance_type: Option<String>,
    /// Subnet.
    pub subnet_id: String,
    /// Security groups; the VPC's default one if empty.
    pub security_groups: Vec<String>,
    /// Tags of the instance.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// RunInstances: answers the ids. The instances run at once.
    pub fn run_instances(
        &mut self,
        new: &NewInstance,
        count: usize,
        now: Timestamp,
    ) -> Answer<Vec<String>> {
        let subnet = self
            .subnets
            .get(&new.subnet_id)
            .ok_or_else(|| vpc::subnet_not_found(&new.subnet_id))?;
        let (vpc_id, zone) = (subnet.vpc_id.clone(), subnet.availability_zone.clone());
        let security_groups = self.interface_groups(&new.security_groups, &vpc_id)?;
        let tags = self.checked_ec2_tags(&new.tags)?;
        let reservation_id = self.ids.ec2("r");
        let mut ids = Vec::new();
        for _ in 0..count {
            let id = self.ids.ec2("i");
            let interface = self.add_interface(NewInterface {
                subnet_id: new.subnet_id.clone(),
                description: String::new(),
                security_groups: security_groups.clone(),
                requester: None,
                public: false,
            })?;
            let attachment = Attachment {
                id: self.ids.ec2("eni-attach"),
                instance_id: Some(id.clone()),
                device_index: 0,
            };
            let Some(interface) = self.network_interfaces.get_mut(&interface) else {
                continue;
            };
            interface.attachment = Some(attachment);
            let private_ip = interface.private_ips[0];
            let [a, b, c, d] = private_ip.octets();
            let instance = Instance {
                id: id.clone(),
                reservation_id: reservation_id.clone(),
                state: InstanceState::Running,
                instance_type: new
                    .instance_type
                    .clone()
                    .unwrap_or_else(|| "m5.large".to_owned()),
                image_id: new.image_id.clone(),
                subnet_id: new.subnet_id.clone(),
                vpc_id: vpc_id.clone(),
                availability_zone: zone.clone(),
                private_ip,
                private_dns_name: self.private_name(a, b, c, d),
                launched: now,
            };
            self.instances.insert(id.clone(), instance);
            self.tags.insert(id.clone(), tags.clone());
            ids.push(id);
        }
        Ok(ids)
    }

    fn private_name(&self, a: u8, b: u8, c: u8, d: u8) -> String {
        let domain = if self.region == "us-east-1" {
            "ec2.internal".to_owned()
        } else {
            format!("{}.compute.internal", self.region)
        };
        format!("ip-{a}-{b}-{c}-{d}.{domain}")
    }

    /// TerminateInstances: their network interfaces go, all or none.
    pub fn terminate_instances(&mut self, ids: &[String]) -> Answer<()> {
        for id in ids {
            self.instance(id)?;
        }
        for id in ids {
            let interfaces: Vec<String> = self
                .interfaces_of(id)
                .map(|interface| interface.id.clone())
                .collect();
            for interface in interfaces {
                self.release_interface(&interface);
            }
            if let Some(instance) = self.instances.get_mut(id) {
                instance.state = InstanceState::Terminated;
            }
        }
        Ok(())
    }

    /// An instance by id, or `InvalidInstanceID.NotFound`.
    pub fn instance(&self, id: &str) -> Answer<&Instance> {
        self.instances.get(id).ok_or_else(|| {
            Refusal::new(
                "InvalidInstanceID.NotFound",
                format!("The instance ID '{id}' does not exist"),
            )
        })
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

    /// CreateNetworkInterface: answers the id.
    pub fn create_network_interface(
        &mut self,
        subnet_id: &str,
        description: &str,
        groups: &[String],
        tags: &[(String, String)],
    ) -> Answer<String> {
        let subnet = self
            .subnets
            .get(subnet_id)
            .ok_or_else(|| vpc::subnet_not_found(subnet_id))?;
        let vpc_id = subnet.vpc_id.clone();
        let security_groups = self.interface_groups(groups, &vpc_id)?;
        let tags = self.checked_ec2_tags(tags)?;
        let id = self.add_interface(NewInterface {
            subnet_id: subnet_id.to_owned(),
            description: description.to_owned(),
            security_groups,
            requester: None,
            public: false,
        })?;
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// AssignPrivateIpAddresses: the addresses given, or `count` free ones.
    pub fn assign_private_ips(
        &mut self,
        interface_id: &str,
        addresses: &[Ipv4Addr],
        count: usize,
    ) -> Answer<Vec<Ipv4Addr>> {
        let interface = self
            .network_interfaces
            .get_mut(interface_id)
            .ok_or_else(|| {
                Refusal::new(
                    "InvalidNetworkInterfaceID.NotFound",
                    format!("The networkInterface ID '{interface_id}' does not exist"),
                )
            })?;
        let subnet = self
            .subnets
            .get_mut(&interface.subnet_id)
            .ok_or_else(|| vpc::subnet_not_found(&interface.subnet_id))?;
        let before = subnet.taken.clone();
        let taken = addresses
            .iter()
            .map(|address| subnet.take_this(*address, interface_id).map(|()| *address))
            .collect::<Answer<Vec<_>>>()
            .and_then(|mut taken| {
                for _ in 0..count {
                    taken.push(subnet.take(interface_id)?);
                }
                Ok(taken)
            });
        if taken.is_err() {
            subnet.taken = before;
        }
        let assigned = taken?;
        interface.private_ips.extend(&assigned);
        Ok(assigned)
    }

    /// An address for a pod on an instance: a secondary address of the
    /// instance's network interface, as the VPC CNI assigns it.
    pub fn assign_pod_ip(&mut self, instance_id: &str) -> Answer<Ipv4Addr> {
        self.instance(instance_id)?;
        let interface = self
            .interfaces_of(instance_id)
            .next()
            .map(|interface| interface.id.clone())
            .ok_or_else(|| {
                Refusal::new(
                    "InvalidInstanceID.NotFound",
                    format!("The instance '{instance_id}' has no network interface"),
                )
            })?;
        let assigned = self.assign_private_ips(&interface, &[], 1)?;
        assigned
            .first()
            .copied()
            .ok_or_else(|| Refusal::parameter("No address was assigned"))
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

    fn interface_groups(&self, ids: &[String], vpc_id: &str) -> Answer<BTreeSet<String>> {
        let mut groups = BTreeSet::new();
        for id in ids {
            let group = self.security_group(id)?;
            if group.vpc_id != vpc_id {
                return Err(Refusal::parameter(format!(
                    "The security group '{id}' and the subnet belong to different networks."
                )));
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
}
