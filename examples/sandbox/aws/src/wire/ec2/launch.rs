//! RunInstances.

use jiff::Timestamp;

use super::{
    instances::write_instance,
    interfaces::{count, fields, read_private},
    listing::read_tags_of,
    once, parse_all, ready,
};
use crate::{
    state::{
        Answer, Instance, InstanceState, Refusal, State,
        ec2_id::combination,
        instance::{Metadata, NewInstance, Settings},
        instance_change::check_metadata,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    (action == "RunInstances").then(|| run(input, state, now))
}

/// The most instances of one call.
const MOST: usize = 100;

/// The longest user data, before base64.
const USER_DATA: usize = 16 * 1024;

/// Types of resources that RunInstances makes and tags.
const TAGGED: [&str; 5] = [
    "instance",
    "volume",
    "network-interface",
    "spot-instances-request",
    "elastic-gpu",
];

fn run(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let new = read(input, state)?;
    let least = input.need_number::<i64>("MinCount")?;
    let most = input.need_number::<i64>("MaxCount")?;
    ready(input)?;
    let number = usize::try_from(most).unwrap_or_default();
    if least < 1 {
        return Err(Refusal::parameter(format!(
            "Value ({least}) for parameter minCount is invalid. It must be at least 1."
        )));
    }
    if most < least {
        return Err(Refusal::parameter(format!(
            "Value ({most}) for parameter maxCount is invalid. It must be at least minCount."
        )));
    }
    if number > MOST {
        return Err(Refusal::new(
            "InstanceLimitExceeded",
            format!(
                "You have requested more instances ({number}) than your current limit of {MOST} allows."
            ),
        ));
    }
    if number > 1 && (new.private_ip.is_some() || new.interface.is_some()) {
        return Err(combination(
            "A private IP address or a network interface may not be specified when more than one instance is launched",
        ));
    }
    let ids = once(
        "RunInstances",
        new.client_token.clone(),
        input,
        state,
        |state| state.run_instances(&new, number, now),
    )?;
    let instances: Vec<&Instance> = ids
        .iter()
        .filter_map(|id| state.instances.get(id))
        .collect();
    let gone = instances
        .iter()
        .all(|instance| instance.state == InstanceState::Terminated);
    if gone {
        return Err(Refusal::new(
            "IdempotentInstanceTerminated",
            "The instances that were launched with this client token have been terminated.",
        ));
    }
    let mut xml = Xml::default();
    xml.maybe(
        "reservationId",
        instances.first().map(|instance| &instance.reservation_id),
    );
    xml.leaf("ownerId", &state.account).nest("groupSet", |_| {});
    xml.list("instancesSet", "item", instances, |xml, instance| {
        write_instance(xml, state, instance);
    });
    Ok(xml)
}

/// Parameters that make no difference to what the simulator shows.
const NO_MATTER: [&str; 10] = [
    "CapacityReservationSpecification",
    "CpuOptions",
    "HibernationOptions",
    "EnclaveOptions",
    "MaintenanceOptions",
    "PrivateDnsNameOptions",
    "LicenseSpecification",
    "NetworkPerformanceOptions",
    "CreditSpecification",
    "AdditionalInfo",
];

/// Launch templates do not exist here, so that none is found.
fn no_template(input: &Input) -> Answer<()> {
    let template = input.part("LaunchTemplate");
    if let Some(id) = template.text("LaunchTemplateId") {
        return Err(Refusal::new(
            "InvalidLaunchTemplateId.NotFound",
            format!("The specified launch template, with template ID {id}, does not exist."),
        ));
    }
    if let Some(name) = template.text("LaunchTemplateName") {
        return Err(Refusal::new(
            "InvalidLaunchTemplateName.NotFoundException",
            format!("The specified launch template, with template name {name}, does not exist."),
        ));
    }
    Ok(())
}

fn read(input: &Input, state: &State) -> Answer<NewInstance> {
    input.skip(&NO_MATTER);
    no_template(input)?;
    if let Some(name) = input.text("KeyName") {
        return Err(Refusal::new(
            "InvalidKeyPair.NotFound",
            format!("The key pair '{name}' does not exist"),
        ));
    }
    let mut tags = read_tags_of(input, &TAGGED)?;
    let mut groups = input.texts("SecurityGroupId");
    for name in input.texts("SecurityGroup") {
        groups.push(state.security_group_named(&name)?.id.clone());
    }
    let placement = input.part("Placement");
    let mut new = NewInstance {
        image_id: input.need("ImageId")?,
        instance_type: input.text("InstanceType"),
        subnet_id: input.text("SubnetId").unwrap_or_default(),
        security_groups: groups,
        private_ip: match input.text("PrivateIpAddress") {
            Some(text) => Some(super::parse("privateIpAddress", &text)?),
            None => None,
        },
        ipv6: parse_all("ipv6Address", &fields(input, "Ipv6Address", "Ipv6Address")?)?,
        ipv6_count: count(input, "Ipv6AddressCount")?,
        zone: placement.text("AvailabilityZone"),
        settings: read_settings(input)?,
        client_token: input.text("ClientToken"),
        tags: tags.remove("instance").unwrap_or_default(),
        volume_tags: tags.remove("volume").unwrap_or_default(),
        interface_tags: tags.remove("network-interface").unwrap_or_default(),
        ..NewInstance::default()
    };
    placement.text("Tenancy");
    placement.text("GroupName");
    read_volumes(input)?;
    read_interfaces(input, &mut new)?;
    Ok(new)
}

fn read_settings(input: &Input) -> Answer<Settings> {
    let user_data = input.text("UserData");
    if let Some(data) = &user_data {
        check_user_data(data)?;
    }
    let profile = input.part("IamInstanceProfile");
    let (arn, name) = (profile.text("Arn"), profile.text("Name"));
    if arn.is_some() && name.is_some() {
        return Err(combination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'",
        ));
    }
    let shutdown_behavior = input.text("InstanceInitiatedShutdownBehavior");
    Ok(Settings {
        termination_protected: input.flag("DisableApiTermination")?.unwrap_or(false),
        stop_protected: input.flag("DisableApiStop")?.unwrap_or(false),
        shutdown_behavior,
        user_data,
        ebs_optimized: input.flag("EbsOptimized")?.unwrap_or(false),
        monitoring: input.part("Monitoring").flag("Enabled")?.unwrap_or(false),
        profile: arn.or(name),
        metadata: {
            let mut metadata = Metadata::default();
            read_metadata(&input.part("MetadataOptions"), &mut metadata)?;
            check_metadata(&metadata)?;
            metadata
        },
    })
}

/// Refuses user data that is no base64 or too long.
pub(super) fn check_user_data(data: &str) -> Answer<()> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let plain = STANDARD.decode(data.trim()).map_err(|_| {
        Refusal::new(
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if plain.len() > USER_DATA {
        return Err(Refusal::parameter(format!(
            "User data is limited to {USER_DATA} bytes"
        )));
    }
    Ok(())
}

/// Options of the metadata service: what is given replaces what was.
pub(super) fn read_metadata(input: &Input, metadata: &mut Metadata) -> Answer<()> {
    let switch = |name: &str, slot: &mut String| -> Answer<()> {
        if let Some(text) = input.text(name) {
            if !matches!(text.as_str(), "enabled" | "disabled") {
                return Err(Refusal::parameter(format!(
                    "Value ({text}) for parameter {name} is invalid."
                )));
            }
            *slot = text;
        }
        Ok(())
    };
    switch("HttpEndpoint", &mut metadata.endpoint)?;
    switch("HttpProtocolIpv6", &mut metadata.ipv6)?;
    switch("InstanceMetadataTags", &mut metadata.tags)?;
    if let Some(text) = input.text("HttpTokens") {
        if !matches!(text.as_str(), "optional" | "required") {
            return Err(Refusal::parameter(format!(
                "Value ({text}) for parameter HttpTokens is invalid."
            )));
        }
        metadata.http_tokens = text;
    }
    if let Some(limit) = input.number("HttpPutResponseHopLimit")? {
        metadata.hop_limit = limit;
    }
    Ok(())
}

/// Reads the wishes about volumes, of which only the root one exists here.
fn read_volumes(input: &Input) -> Answer<()> {
    for mapping in input.list("BlockDeviceMapping") {
        mapping.text("DeviceName");
        mapping.text("NoDevice");
        mapping.text("VirtualName");
        let ebs = mapping.part("Ebs");
        ebs.flag("DeleteOnTermination")?;
        ebs.flag("Encrypted")?;
        for name in ["SnapshotId", "VolumeType", "KmsKeyId"] {
            ebs.text(name);
        }
        for name in ["VolumeSize", "Iops", "Throughput"] {
            ebs.number::<u32>(name)?;
        }
    }
    Ok(())
}

/// The first interface as a structure of its own, instead of parameters of the
/// instance.
fn read_interfaces(input: &Input, new: &mut NewInstance) -> Answer<()> {
    let interfaces = input.list("NetworkInterface");
    let Some(first) = interfaces.first() else {
        return Ok(());
    };
    if interfaces.len() > 1 {
        return Err(Refusal::new(
            "UnsupportedOperation",
            "Instances are launched with one network interface here; attach others afterwards.",
        ));
    }
    if !new.subnet_id.is_empty() || !new.security_groups.is_empty() || new.private_ip.is_some() {
        return Err(combination(
            "Network interfaces and an instance-level subnet ID, security groups or private IP address may not be specified on the same request",
        ));
    }
    let index = first.number::<u32>("DeviceIndex")?;
    if index.is_some_and(|index| index != 0) {
        return Err(Refusal::parameter(
            "The first network interface of an instance must have device index 0",
        ));
    }
    first.number::<u32>("NetworkCardIndex")?;
    first.text("InterfaceType");
    let (primary, others) = read_private(first, "PrivateIpAddresses")?;
    if !others.is_empty() {
        return Err(Refusal::new(
            "UnsupportedOperation",
            "Secondary addresses are assigned after the launch here.",
        ));
    }
    new.interface = first.text("NetworkInterfaceId");
    new.subnet_id = first.text("SubnetId").unwrap_or_default();
    new.security_groups = first.texts("SecurityGroupId");
    new.private_ip = primary;
    new.public = first.flag("AssociatePublicIpAddress")?;
    new.interface_description = first.text("Description").unwrap_or_default();
    new.keep_interface = first.flag("DeleteOnTermination")? == Some(false);
    new.ipv6_count = count(first, "Ipv6AddressCount")?;
    new.ipv6 = parse_all(
        "ipv6Address",
        &fields(first, "Ipv6Addresses", "Ipv6Address")?,
    )?;
    let own = !new.subnet_id.is_empty() || !new.security_groups.is_empty();
    if new.interface.is_some() && (own || new.public.is_some()) {
        return Err(combination(
            "A network interface ID and a subnet ID, security groups or a public IP address may not be specified for the same interface",
        ));
    }
    Ok(())
}
