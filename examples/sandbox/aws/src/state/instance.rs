//! Instances: what they are, and how they are run.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

use super::{
    Answer, Refusal, State, Transition, ec2_id::Kind, image, instance_type,
    interface_addresses::Addresses, network_interface::WantedInterface,
};

pub use super::network_interface::{Attachment, NetworkInterface, NewInterface};

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Starts.
    Pending,
    /// Runs.
    Running,
    /// Is being terminated.
    ShuttingDown,
    /// Gone; shown for about an hour.
    Terminated,
    /// Is being stopped.
    Stopping,
    /// Stopped.
    Stopped,
}

impl InstanceState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The number that goes with the word.
    pub fn code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Whether it is gone or going.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// `r-…`, the call that made it.
    pub reservation_id: String,
    /// Its number among those that one call made.
    pub launch_index: usize,
    /// State.
    pub state: InstanceState,
    /// Whether it gets a public address whenever it starts.
    pub public: bool,
    /// Why it is in a state that a user asked for.
    pub reason: Option<&'static str>,
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
    /// Root volume.
    pub volume_id: String,
    /// Token of the call that made it.
    pub client_token: Option<String>,
    /// What can be changed.
    pub settings: Settings,
}

/// Settings of an instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Whether it cannot be terminated by the API.
    pub termination_protected: bool,
    /// Whether it cannot be stopped by the API.
    pub stop_protected: bool,
    /// What a shutdown from inside does: `stop` or `terminate`.
    pub shutdown_behavior: Option<String>,
    /// User data in base64.
    pub user_data: Option<String>,
    /// Whether it is optimised for volumes.
    pub ebs_optimized: bool,
    /// Whether it is watched in detail.
    pub monitoring: bool,
    /// Instance profile as given: an ARN or a name.
    pub profile: Option<String>,
    /// How the metadata service answers.
    pub metadata: Metadata,
}

/// Options of the metadata service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// `optional` or `required`.
    pub http_tokens: String,
    /// 1 to 64.
    pub hop_limit: u32,
    /// `enabled` or `disabled`.
    pub endpoint: String,
    /// `enabled` or `disabled`.
    pub ipv6: String,
    /// `enabled` or `disabled`.
    pub tags: String,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            http_tokens: "optional".to_owned(),
            hop_limit: 1,
            endpoint: "enabled".to_owned(),
            ipv6: "disabled".to_owned(),
            tags: "disabled".to_owned(),
        }
    }
}

/// What RunInstances asks for, for each instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewInstance {
    /// Image.
    pub image_id: String,
    /// Type; `m1.small` if absent.
    pub instance_type: Option<String>,
    /// Subnet; one of the default VPC if empty.
    pub subnet_id: String,
    /// Security groups; the VPC's default one if empty.
    pub security_groups: Vec<String>,
    /// Primary address; one of AWS's choice if absent.
    pub private_ip: Option<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// As many free IPv6 addresses.
    pub ipv6_count: usize,
    /// Whether it gets a public address; what the subnet says if absent.
    pub public: Option<bool>,
    /// An interface that is there already, instead of a new one.
    pub interface: Option<String>,
    /// Description of the interface.
    pub interface_description: String,
    /// Whether the interface stays when the instance is terminated.
    pub keep_interface: bool,
    /// Zone that the subnet has to be in.
    pub zone: Option<String>,
    /// Settings.
    pub settings: Settings,
    /// Token of the call.
    pub client_token: Option<String>,
    /// Tags of the instance.
    pub tags: Vec<(String, String)>,
    /// Tags of its volume.
    pub volume_tags: Vec<(String, String)>,
    /// Tags of its interface.
    pub interface_tags: Vec<(String, String)>,
}

impl State {
    /// An instance by id, or `InvalidInstanceID.NotFound`.
    pub fn instance(&self, id: &str) -> Answer<&Instance> {
        Kind::Instance.find(&self.instances, id)
    }

    /// RunInstances: answers the ids. All are started or none.
    pub fn run_instances(
        &mut self,
        new: &NewInstance,
        count: usize,
        now: Timestamp,
    ) -> Answer<Vec<String>> {
        Self::check_image(new)?;
        let subnet_id = self.launch_subnet(new)?;
        let tags = self.checked_ec2_tags(&new.tags)?;
        let volume_tags = self.checked_ec2_tags(&new.volume_tags)?;
        let reservation_id = self.ids.ec2("r");
        let mut made: Vec<String> = Vec::new();
        for launch_index in 0..count {
            match self.start_one(new, &subnet_id, (&reservation_id, launch_index), now) {
                Ok(id) => made.push(id),
                Err(refusal) => {
                    for id in made {
                        self.drop_instance(&id);
                    }
                    return Err(refusal);
                }
            }
        }
        let delay = self.timing.instance_ms;
        for id in &made {
            self.tags.insert(id.clone(), tags.clone());
            let volume = self.instances.get(id).map(|made| made.volume_id.clone());
            if let Some(volume) = volume {
                self.tags.insert(volume, volume_tags.clone());
            }
            let move_on = Transition::Instance(id.clone(), InstanceState::Pending);
            self.schedule(now, delay, move_on);
        }
        Ok(made)
    }

    /// The image exists and fits the type.
    fn check_image(new: &NewInstance) -> Answer<()> {
        Kind::Image.check_form(&new.image_id)?;
        let image = image::find(&new.image_id).ok_or_else(|| {
            Refusal::new(
                "InvalidAMIID.NotFound",
                format!("The image id '[{}]' does not exist", new.image_id),
            )
        })?;
        let name = new.instance_type.as_deref().unwrap_or("m1.small");
        let valid = name
            .split_once('.')
            .is_some_and(|(family, size)| !family.is_empty() && !size.is_empty());
        if !valid {
            return Err(Refusal::parameter(format!(
                "Invalid value '{name}' for InstanceType."
            )));
        }
        if let Some(kind) = instance_type::known(name)
            && kind.architecture != image.architecture
        {
            return Err(Refusal::parameter(format!(
                "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI.",
                kind.architecture, image.architecture
            )));
        }
        Ok(())
    }

    /// The subnet: that of the interface, the one named, or one of the default VPC.
    fn launch_subnet(&self, new: &NewInstance) -> Answer<String> {
        if let Some(id) = &new.interface {
            let interface = self.network_interface(id)?;
            if interface.attachment.is_some() || interface.requester.is_some() {
                return Err(Refusal::new(
                    "InvalidNetworkInterface.InUse",
                    format!("Interface: [{id}] in use."),
                ));
            }
            return Ok(interface.subnet_id.clone());
        }
        let subnet = if new.subnet_id.is_empty() {
            let vpc = self.implied_vpc()?;
            let wanted = new.zone.as_deref();
            self.subnets
                .values()
                .find(|subnet| {
                    subnet.vpc_id == vpc.id
                        && subnet.default_for_az
                        && wanted.is_none_or(|zone| zone == subnet.availability_zone)
                })
                .ok_or_else(|| {
                    Refusal::new(
                        "MissingInput",
                        format!(
                            "No default subnet for availability zone: '{}'.",
                            wanted.unwrap_or("null")
                        ),
                    )
                })?
        } else {
            self.subnet(&new.subnet_id)?
        };
        if let Some(zone) = &new.zone
            && *zone != subnet.availability_zone
        {
            return Err(Refusal::parameter(format!(
                "The availability zone '{zone}' of the instance does not match that of the subnet '{}'",
                subnet.id
            )));
        }
        Ok(subnet.id.clone())
    }

    fn start_one(
        &mut self,
        new: &NewInstance,
        subnet_id: &str,
        (reservation_id, launch_index): (&str, usize),
        now: Timestamp,
    ) -> Answer<String> {
        let id = self.ids.ec2("i");
        let interface_id = match &new.interface {
            Some(interface) => interface.clone(),
            None => self.make_interface(&WantedInterface {
                subnet_id: subnet_id.to_owned(),
                description: new.interface_description.clone(),
                security_groups: new.security_groups.clone(),
                primary: new.private_ip,
                addresses: Addresses {
                    ipv6: new.ipv6.clone(),
                    ipv6_count: new.ipv6_count,
                    ..Addresses::default()
                },
                tags: new.interface_tags.clone(),
            })?,
        };
        self.bind_interface(&interface_id, &id, 0, now)?;
        let subnet = self.subnet(subnet_id)?;
        let (zone, maps) = (subnet.availability_zone.clone(), subnet.map_public_ip);
        let public = new.interface.is_none() && new.public.unwrap_or(maps);
        let public_ip = public.then(|| self.invent_public_address());
        let Some(interface) = self.network_interfaces.get_mut(&interface_id) else {
            return Err(Kind::NetworkInterface.not_found(&interface_id));
        };
        interface.delete_on_termination = new.interface.is_none() && !new.keep_interface;
        if new.interface.is_none() {
            interface.public_ip = public_ip;
        }
        let private_ip = interface.private_ips[0];
        let vpc_id = interface.vpc_id.clone();
        let instance = Instance {
            id: id.clone(),
            reservation_id: reservation_id.to_owned(),
            launch_index,
            state: InstanceState::Pending,
            public,
            reason: None,
            instance_type: new
                .instance_type
                .clone()
                .unwrap_or_else(|| "m1.small".to_owned()),
            image_id: new.image_id.clone(),
            subnet_id: subnet_id.to_owned(),
            vpc_id,
            availability_zone: zone,
            private_ip,
            private_dns_name: self.private_name(private_ip),
            launched: now,
            volume_id: self.ids.ec2("vol"),
            client_token: new.client_token.clone(),
            settings: new.settings.clone(),
        };
        self.instances.insert(id.clone(), instance);
        Ok(id)
    }

    /// Undoes a start that was part of a call that failed.
    fn drop_instance(&mut self, id: &str) {
        self.free_interfaces(id);
        self.instances.remove(id);
    }

    /// The name of a private address.
    pub fn private_name(&self, address: Ipv4Addr) -> String {
        let [a, b, c, d] = address.octets();
        let domain = if self.region == "us-east-1" {
            "ec2.internal".to_owned()
        } else {
            format!("{}.compute.internal", self.region)
        };
        format!("ip-{a}-{b}-{c}-{d}.{domain}")
    }
}

#[cfg(test)]
mod tests;
