//! Attributes of instances and the options of their metadata service.

use super::{
    done,
    interfaces::write_groups,
    launch::{check_user_data, read_metadata},
    ready,
};
use crate::{
    state::{
        Answer, Instance, NetworkInterface, Refusal, State, ec2_id::combination,
        instance::Metadata, instance_change::InstanceChange,
    },
    wire::{
        params::Input,
        xml::{Xml, time},
    },
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeInstanceAttribute" => describe(input, state),
        "ModifyInstanceAttribute" => modify(input, state),
        "ModifyInstanceMetadataOptions" => modify_metadata(input, state),
        _ => return None,
    })
}

fn primary<'a>(state: &'a State, instance: &Instance) -> Option<&'a NetworkInterface> {
    state.interfaces_of(&instance.id).find(|interface| {
        interface
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.device_index == 0)
    })
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("InstanceId")?;
    let attribute = input.need("Attribute")?;
    ready(input)?;
    let instance = state.instance(&id)?;
    let settings = &instance.settings;
    let mut xml = Xml::default();
    xml.leaf("instanceId", &id);
    let value = |value: Option<String>| value;
    let text = match attribute.as_str() {
        "instanceType" => value(Some(instance.instance_type.clone())),
        "userData" => value(settings.user_data.clone()),
        "disableApiTermination" => value(Some(settings.termination_protected.to_string())),
        "disableApiStop" => value(Some(settings.stop_protected.to_string())),
        "instanceInitiatedShutdownBehavior" => value(Some(
            settings
                .shutdown_behavior
                .clone()
                .unwrap_or_else(|| "stop".to_owned()),
        )),
        "rootDeviceName" => value(Some("/dev/xvda".to_owned())),
        "ebsOptimized" => value(Some(settings.ebs_optimized.to_string())),
        "enaSupport" => value(Some(true.to_string())),
        "sourceDestCheck" => {
            value(primary(state, instance).map(|interface| interface.source_dest_check.to_string()))
        }
        "kernel" | "ramdisk" | "sriovNetSupport" => value(None),
        "productCodes" => {
            xml.nest("productCodes", |_| {});
            return Ok(xml);
        }
        "enclaveOptions" => {
            xml.nest("enclaveOptions", |xml| {
                xml.leaf("enabled", false);
            });
            return Ok(xml);
        }
        "groupSet" => {
            let groups = primary(state, instance)
                .into_iter()
                .flat_map(|interface| &interface.security_groups);
            write_groups(&mut xml, state, groups);
            return Ok(xml);
        }
        "blockDeviceMapping" => {
            write_devices(&mut xml, instance);
            return Ok(xml);
        }
        other => {
            return Err(Refusal::parameter(format!(
                "Value ({other}) for parameter attribute is invalid. Unknown attribute."
            )));
        }
    };
    xml.nest(&attribute, |xml| {
        xml.maybe("value", text);
    });
    Ok(xml)
}

fn write_devices(xml: &mut Xml, instance: &Instance) {
    xml.list("blockDeviceMapping", "item", [instance], |xml, instance| {
        xml.leaf("deviceName", "/dev/xvda").nest("ebs", |xml| {
            xml.leaf("volumeId", &instance.volume_id)
                .leaf("status", "attached")
                .leaf("attachTime", time(instance.launched))
                .leaf("deleteOnTermination", true);
        });
    });
}

/// One attribute as a text, the older way to name a change.
fn named(attribute: &str, value: String) -> Answer<InstanceChange> {
    let flag = |value: &str| {
        value.parse().map_err(|_| {
            Refusal::parameter(format!("Value ({value}) for parameter value is invalid."))
        })
    };
    Ok(match attribute {
        "instanceType" => InstanceChange::Type(value),
        "userData" => InstanceChange::UserData(value),
        "disableApiTermination" => InstanceChange::TerminationProtected(flag(&value)?),
        "disableApiStop" => InstanceChange::StopProtected(flag(&value)?),
        "instanceInitiatedShutdownBehavior" => InstanceChange::ShutdownBehavior(value),
        "ebsOptimized" => InstanceChange::EbsOptimized(flag(&value)?),
        "sourceDestCheck" => InstanceChange::SourceDestCheck(flag(&value)?),
        other => {
            return Err(Refusal::new(
                "UnsupportedInstanceAttribute",
                format!("The attribute '{other}' cannot be modified."),
            ));
        }
    })
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("InstanceId")?;
    let mut changes = Vec::new();
    if let Some(attribute) = input.text("Attribute") {
        changes.push(named(&attribute, input.need("Value")?)?);
    }
    let switch = |name: &str| input.part(name).flag("Value");
    let text = |name: &str| input.part(name).text("Value");
    changes.extend(
        [
            text("InstanceType").map(InstanceChange::Type),
            text("UserData").map(InstanceChange::UserData),
            text("InstanceInitiatedShutdownBehavior").map(InstanceChange::ShutdownBehavior),
            switch("DisableApiTermination")?.map(InstanceChange::TerminationProtected),
            switch("DisableApiStop")?.map(InstanceChange::StopProtected),
            switch("EbsOptimized")?.map(InstanceChange::EbsOptimized),
            switch("SourceDestCheck")?.map(InstanceChange::SourceDestCheck),
        ]
        .into_iter()
        .flatten(),
    );
    let groups = input.texts("GroupId");
    if !groups.is_empty() {
        changes.push(InstanceChange::Groups(groups));
    }
    ready(input)?;
    state.instance(&id)?;
    match (changes.pop(), changes.is_empty()) {
        (Some(change), true) => {
            if let InstanceChange::UserData(data) = &change {
                check_user_data(data)?;
            }
            state.modify_instance(&id, change)?;
        }
        (None, _) => return Err(combination("No attributes specified.")),
        _ => return Err(combination("Fields for multiple attribute types specified")),
    }
    Ok(done())
}

/// The options of the metadata service; `state` tells whether they hold already.
pub(super) fn write_metadata(xml: &mut Xml, metadata: &Metadata, state: &str) {
    xml.leaf("state", state)
        .leaf("httpTokens", &metadata.http_tokens)
        .leaf("httpPutResponseHopLimit", metadata.hop_limit)
        .leaf("httpEndpoint", &metadata.endpoint)
        .leaf("httpProtocolIpv6", &metadata.ipv6)
        .leaf("instanceMetadataTags", &metadata.tags);
}

fn modify_metadata(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("InstanceId")?;
    let mut wanted = state.instance(&id)?.settings.metadata.clone();
    read_metadata(input, &mut wanted)?;
    ready(input)?;
    let metadata = state.modify_metadata(&id, |metadata| *metadata = wanted)?;
    let mut xml = Xml::default();
    xml.leaf("instanceId", &id)
        .nest("instanceMetadataOptions", |xml| {
            write_metadata(xml, &metadata, "pending");
        });
    Ok(xml)
}
