//! What can be changed of an instance: attributes, one at a time, and the
//! options of its metadata service.

use super::{
    Answer, InstanceState, Refusal, State,
    ec2_id::{Kind, combination},
    instance::Metadata,
    instance_type,
    network_interface::InterfaceChange,
};

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
                let change = InterfaceChange::Groups(groups);
                return self.modify_interface(&first, change);
            }
            InstanceChange::SourceDestCheck(on) => {
                let only = self.only_interface(id)?.id.clone();
                let change = InterfaceChange::SourceDestCheck(on);
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
