//! Instances: run, stopped, started, terminated.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use jiff::Timestamp;

use super::{
    Answer, Refusal, State, Transition,
    ec2_id::{Kind, combination},
    image, instance_type,
    interface_addresses::Addresses,
    network_interface::WantedInterface,
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

/// One change of ModifyInstanceAttribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceChange {
    /// `InstanceType`; only while it is stopped.
    Type(String),
    /// `UserData`; only while it is stopped.
    UserData(String),
    /// `DisableApiTermination`.
    TerminationProtected(bool),
    /// `DisableApiStop`.
    StopProtected(bool),
    /// `InstanceInitiatedShutdownBehavior`.
    ShutdownBehavior(String),
    /// `EbsOptimized`; only while it is stopped.
    EbsOptimized(bool),
    /// `SourceDestCheck` of its only interface.
    SourceDestCheck(bool),
    /// `GroupId`: the security groups of its first interface.
    Groups(Vec<String>),
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
        self.check_image(new)?;
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
    fn check_image(&self, new: &NewInstance) -> Answer<()> {
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

    /// Lets the interfaces of an instance go or stay, as each says.
    fn free_interfaces(&mut self, id: &str) {
        let interfaces: Vec<(String, bool)> = self
            .interfaces_of(id)
            .map(|interface| (interface.id.clone(), interface.delete_on_termination))
            .collect();
        for (interface, goes) in interfaces {
            if goes {
                self.release_interface(&interface);
            } else if let Some(interface) = self.network_interfaces.get_mut(&interface) {
                interface.attachment = None;
                interface.attached_at = None;
            }
        }
    }

    /// Makes every instance that starts run at once.
    pub fn instances_at_once(&mut self) {
        for instance in self.instances.values_mut() {
            if instance.state == InstanceState::Pending {
                instance.state = InstanceState::Running;
            }
        }
    }

    /// The next state of an instance.
    pub(super) fn move_instance(&mut self, id: &str, from: InstanceState, now: Timestamp) {
        let Some(instance) = self.instances.get_mut(id) else {
            return;
        };
        // What has moved on by another call since is not on this way any more.
        if instance.state != from {
            return;
        }
        match instance.state {
            InstanceState::Pending => instance.state = InstanceState::Running,
            InstanceState::Stopping => {
                instance.state = InstanceState::Stopped;
                // A public address that is not allocated goes when it stops.
                for interface in self.network_interfaces.values_mut() {
                    let own = interface
                        .attachment
                        .as_ref()
                        .is_some_and(|attached| attached.instance_id.as_deref() == Some(id));
                    if own {
                        interface.public_ip = None;
                    }
                }
            }
            InstanceState::ShuttingDown => {
                instance.state = InstanceState::Terminated;
                let volume = instance.volume_id.clone();
                self.tags.remove(&volume);
                self.free_interfaces(id);
                let forget = Transition::Instance(id.to_owned(), InstanceState::Terminated);
                self.schedule(now, super::SHOWN_MS, forget);
            }
            InstanceState::Terminated => {
                self.instances.remove(id);
                self.tags.remove(id);
                self.forget_target(id);
            }
            InstanceState::Running | InstanceState::Stopped => {}
        }
    }

    /// Checks instances before a change of state: they exist, and each is in
    /// a state from which it can be `done`.
    fn check_states(&self, ids: &[String], done: &str, allowed: &[InstanceState]) -> Answer<()> {
        for id in ids {
            let instance = self.instance(id)?;
            if !allowed.contains(&instance.state) {
                return Err(Refusal::new(
                    "IncorrectInstanceState",
                    format!("The instance '{id}' is not in a state from which it can be {done}."),
                ));
            }
        }
        Ok(())
    }

    /// Puts instances into a passing state; answers the states before.
    fn pass(
        &mut self,
        ids: &[String],
        state: InstanceState,
        keep: &[InstanceState],
        now: Timestamp,
    ) -> Vec<(String, InstanceState)> {
        let mut before = BTreeMap::new();
        let delay = self.timing.instance_ms;
        for id in ids {
            let Some(instance) = self.instances.get_mut(id) else {
                continue;
            };
            if before.contains_key(id) {
                continue;
            }
            before.insert(id.clone(), instance.state);
            if keep.contains(&instance.state) {
                continue;
            }
            instance.state = state;
            instance.reason = match state {
                InstanceState::Pending => None,
                _ => Some("Client.UserInitiatedShutdown"),
            };
            if state == InstanceState::Pending {
                instance.launched = now;
            }
            self.schedule(now, delay, Transition::Instance(id.clone(), state));
        }
        before.into_iter().collect()
    }

    /// StopInstances; answers the states before.
    pub fn stop_instances(
        &mut self,
        ids: &[String],
        now: Timestamp,
    ) -> Answer<Vec<(String, InstanceState)>> {
        let passing = [InstanceState::Stopping, InstanceState::Stopped];
        let mut allowed = vec![InstanceState::Running, InstanceState::Pending];
        allowed.extend(passing);
        self.check_states(ids, "stopped", &allowed)?;
        if let Some(id) = self.protected(ids, |settings| settings.stop_protected) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "The instance '{id}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."
                ),
            ));
        }
        Ok(self.pass(ids, InstanceState::Stopping, &passing, now))
    }

    /// StartInstances; answers the states before.
    pub fn start_instances(
        &mut self,
        ids: &[String],
        now: Timestamp,
    ) -> Answer<Vec<(String, InstanceState)>> {
        let passing = [InstanceState::Pending, InstanceState::Running];
        let mut allowed = vec![InstanceState::Stopped];
        allowed.extend(passing);
        self.check_states(ids, "started", &allowed)?;
        Ok(self.pass(ids, InstanceState::Pending, &passing, now))
    }

    /// RebootInstances: nothing of it shows.
    pub fn reboot_instances(&self, ids: &[String]) -> Answer<()> {
        let allowed = [InstanceState::Running, InstanceState::Pending];
        self.check_states(ids, "rebooted", &allowed)
    }

    /// TerminateInstances, all or none; answers the states before.
    pub fn terminate_instances(
        &mut self,
        ids: &[String],
        now: Timestamp,
    ) -> Answer<Vec<(String, InstanceState)>> {
        for id in ids {
            self.instance(id)?;
        }
        if let Some(id) = self.protected(ids, |settings| settings.termination_protected) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
                ),
            ));
        }
        let passing = [InstanceState::ShuttingDown, InstanceState::Terminated];
        Ok(self.pass(ids, InstanceState::ShuttingDown, &passing, now))
    }

    fn protected(&self, ids: &[String], is: impl Fn(&Settings) -> bool) -> Option<String> {
        ids.iter()
            .find(|id| {
                self.instances
                    .get(*id)
                    .is_some_and(|instance| is(&instance.settings))
            })
            .cloned()
    }

    /// ModifyInstanceAttribute.
    pub fn modify_instance(&mut self, id: &str, change: InstanceChange) -> Answer<()> {
        let instance = self.instance(id)?;
        let only_stopped = matches!(
            change,
            InstanceChange::Type(_) | InstanceChange::UserData(_) | InstanceChange::EbsOptimized(_)
        );
        if only_stopped && instance.state != InstanceState::Stopped {
            return Err(Refusal::new(
                "IncorrectInstanceState",
                format!("The instance '{id}' is not in the 'stopped' state."),
            ));
        }
        match change {
            InstanceChange::Groups(groups) => {
                let first = self
                    .interfaces_of(id)
                    .find(|interface| {
                        interface
                            .attachment
                            .as_ref()
                            .is_some_and(|attachment| attachment.device_index == 0)
                    })
                    .map(|interface| interface.id.clone())
                    .ok_or_else(|| Kind::Instance.not_found(id))?;
                let change = super::network_interface::InterfaceChange::Groups(groups);
                return self.modify_interface(&first, change);
            }
            InstanceChange::SourceDestCheck(on) => {
                let only = self.only_interface(id)?.id.clone();
                let change = super::network_interface::InterfaceChange::SourceDestCheck(on);
                return self.modify_interface(&only, change);
            }
            _ => {}
        }
        let instance = Kind::Instance.find_mut(&mut self.instances, id)?;
        let settings = &mut instance.settings;
        match change {
            InstanceChange::Type(name) => {
                if instance_type::known(&name).is_none() && !name.contains('.') {
                    return Err(Refusal::new(
                        "InvalidInstanceAttributeValue",
                        format!("Invalid value '{name}' for InstanceType."),
                    ));
                }
                instance.instance_type = name;
            }
            InstanceChange::UserData(data) => settings.user_data = Some(data),
            InstanceChange::TerminationProtected(on) => settings.termination_protected = on,
            InstanceChange::StopProtected(on) => settings.stop_protected = on,
            InstanceChange::EbsOptimized(on) => settings.ebs_optimized = on,
            InstanceChange::ShutdownBehavior(what) => {
                if !matches!(what.as_str(), "stop" | "terminate") {
                    return Err(Refusal::parameter(format!(
                        "Value ({what}) for parameter instanceInitiatedShutdownBehavior is invalid."
                    )));
                }
                settings.shutdown_behavior = Some(what);
            }
            InstanceChange::Groups(_) | InstanceChange::SourceDestCheck(_) => {}
        }
        Ok(())
    }

    /// ModifyInstanceMetadataOptions: what is not given stays.
    pub fn modify_metadata(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Metadata),
    ) -> Answer<Metadata> {
        let instance = Kind::Instance.find_mut(&mut self.instances, id)?;
        if instance.state.is_ending() {
            return Err(Refusal::new(
                "IncorrectInstanceState",
                format!("The instance '{id}' is not in a state in which it can be modified."),
            ));
        }
        let mut metadata = instance.settings.metadata.clone();
        change(&mut metadata);
        check_metadata(&metadata)?;
        instance.settings.metadata = metadata.clone();
        Ok(metadata)
    }
}

/// Refuses options of the metadata service that do not exist or go together.
pub fn check_metadata(metadata: &Metadata) -> Answer<()> {
    if !(1..=64).contains(&metadata.hop_limit) {
        return Err(Refusal::parameter(format!(
            "Value ({}) for parameter httpPutResponseHopLimit is invalid. It must be from 1 to 64.",
            metadata.hop_limit
        )));
    }
    if metadata.endpoint == "disabled" && metadata.http_tokens == "required" {
        return Err(combination(
            "HttpTokens may not be set to 'required' while HttpEndpoint is 'disabled'",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::*;
    use crate::Timing;

    fn world() -> (State, NewInstance) {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let subnet_id = state.create_subnet(&vpc, "10.0.0.0/28", None, &[]).unwrap();
        let new = NewInstance {
            image_id: image::FIRST.to_owned(),
            instance_type: Some("t3.micro".to_owned()),
            subnet_id,
            ..NewInstance::default()
        };
        (state, new)
    }

    #[test]
    fn through_all_states() {
        let (mut state, new) = world();
        let mut now = Timestamp::UNIX_EPOCH;
        let ids = state.run_instances(&new, 1, now).unwrap();
        let is = |state: &State| state.instances[&ids[0]].state;
        assert_eq!(is(&state), InstanceState::Pending);
        let mut pass = |state: &mut State| {
            now = now + SignedDuration::from_secs(10);
            state.advance(now);
            now
        };
        let at = pass(&mut state);
        assert_eq!(is(&state), InstanceState::Running);
        let change = InstanceChange::Type("t3.small".to_owned());
        let refused = state.modify_instance(&ids[0], change.clone()).unwrap_err();
        assert_eq!(refused.code, "IncorrectInstanceState");
        let before = state.stop_instances(&ids, at).unwrap();
        assert_eq!(before[0].1, InstanceState::Running);
        assert_eq!(is(&state), InstanceState::Stopping);
        assert_eq!(
            state.start_instances(&ids, at).unwrap_err().code,
            "IncorrectInstanceState"
        );
        let at = pass(&mut state);
        assert_eq!(is(&state), InstanceState::Stopped);
        state.modify_instance(&ids[0], change).unwrap();
        state.start_instances(&ids, at).unwrap();
        let at = pass(&mut state);
        assert_eq!(is(&state), InstanceState::Running);
        let protect = |on| InstanceChange::TerminationProtected(on);
        state.modify_instance(&ids[0], protect(true)).unwrap();
        assert_eq!(
            state.terminate_instances(&ids, at).unwrap_err().code,
            "OperationNotPermitted"
        );
        state.modify_instance(&ids[0], protect(false)).unwrap();
        state.terminate_instances(&ids, at).unwrap();
        assert_eq!(is(&state), InstanceState::ShuttingDown);
        assert_eq!(state.network_interfaces.len(), 1);
        let at = pass(&mut state);
        assert_eq!(is(&state), InstanceState::Terminated);
        assert!(state.network_interfaces.is_empty());
        state.terminate_instances(&ids, at).unwrap();
        assert_eq!(
            state.stop_instances(&ids, at).unwrap_err().code,
            "IncorrectInstanceState"
        );
        state.advance(at + SignedDuration::from_hours(2));
        assert!(state.instances.is_empty());
    }

    #[test]
    fn terminated_while_it_starts_it_is_still_shown() {
        let (mut state, new) = world();
        let now = Timestamp::UNIX_EPOCH;
        let ids = state.run_instances(&new, 1, now).unwrap();
        state.terminate_instances(&ids, now).unwrap();
        state.advance(now + SignedDuration::from_secs(60));
        let state_now = state.instances[&ids[0]].state;
        assert_eq!(state_now, InstanceState::Terminated);
    }

    #[test]
    fn all_start_or_none() {
        let (mut state, new) = world();
        let refused = state.run_instances(&new, 12, Timestamp::UNIX_EPOCH);
        assert_eq!(
            refused.unwrap_err().code,
            "InsufficientFreeAddressesInSubnet"
        );
        assert!(state.instances.is_empty() && state.network_interfaces.is_empty());
        for (change, code) in [
            (
                ("ami-00000000000000000", "t3.micro"),
                "InvalidAMIID.NotFound",
            ),
            (("ami-x", "t3.micro"), "InvalidAMIID.Malformed"),
            ((image::FIRST, "large"), "InvalidParameterValue"),
            ((image::FIRST, "m6g.large"), "InvalidParameterValue"),
        ] {
            let bad = NewInstance {
                image_id: change.0.to_owned(),
                instance_type: Some(change.1.to_owned()),
                ..new.clone()
            };
            let refused = state.run_instances(&bad, 1, Timestamp::UNIX_EPOCH);
            assert_eq!(refused.unwrap_err().code, code, "{change:?}");
        }
        let nowhere = NewInstance {
            subnet_id: String::new(),
            ..new
        };
        let refused = state.run_instances(&nowhere, 1, Timestamp::UNIX_EPOCH);
        assert_eq!(refused.unwrap_err().code, "VPCIdNotSpecified");
    }
}
