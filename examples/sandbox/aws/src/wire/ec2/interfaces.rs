//! Network interfaces.

use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::{
    done, filters,
    listing::{Listing, read_tags, write_tags},
    once, parse, parse_all, ready,
};
use crate::{
    state::{
        Answer, NetworkInterface, Refusal, State,
        address::AddressPool,
        ec2_id::{Kind, combination},
        interface_addresses::Addresses,
        network_interface::{InterfaceChange, WantedInterface},
    },
    wire::{
        params::Input,
        xml::{Xml, time},
    },
};

pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateNetworkInterface" => create(input, state),
        "DescribeNetworkInterfaces" => describe(input, state),
        "DeleteNetworkInterface" => delete(input, state),
        "AttachNetworkInterface" => attach(input, state, now),
        "DetachNetworkInterface" => detach(input, state),
        "DescribeNetworkInterfaceAttribute" => describe_attribute(input, state),
        "ModifyNetworkInterfaceAttribute" => modify(input, state),
        _ => return None,
    })
}

const INTERFACES: Listing = Listing {
    ids: "NetworkInterfaceId",
    kind: Kind::NetworkInterface,
    filters: filters::INTERFACES,
    sizes: (5, 1000),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    input.flag("IncludeManagedResources")?;
    INTERFACES.answer(
        input,
        state,
        &state.network_interfaces,
        "networkInterfaceSet",
        |xml, interface| write(xml, state, interface),
    )
}

fn status(interface: &NetworkInterface) -> &'static str {
    if interface.attachment.is_some() {
        "in-use"
    } else {
        "available"
    }
}

/// Where an interface is shown: its instance around it leaves a little out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// By itself.
    Alone,
    /// As a part of its instance.
    InInstance,
}

/// The part that an interface shows alone and as a part of its instance alike.
pub(super) fn write_common(
    xml: &mut Xml,
    state: &State,
    interface: &NetworkInterface,
    shown: Shown,
) {
    let name = interface
        .private_ips
        .first()
        .map(|ip| state.private_name(*ip));
    xml.leaf("networkInterfaceId", &interface.id)
        .leaf("subnetId", &interface.subnet_id)
        .leaf("vpcId", &interface.vpc_id)
        .leaf("description", &interface.description)
        .leaf("ownerId", &state.account)
        .leaf("status", status(interface))
        .leaf("macAddress", &interface.mac)
        .leaf("sourceDestCheck", interface.source_dest_check)
        .leaf("interfaceType", &interface.kind)
        .maybe("privateIpAddress", interface.private_ips.first())
        .maybe("privateDnsName", name);
    write_groups(xml, state, &interface.security_groups);
    if let Some(first) = interface.private_ips.first() {
        write_association(xml, state, interface, *first, shown);
    }
    write_addresses(xml, state, interface, shown);
}

pub(super) fn write(xml: &mut Xml, state: &State, interface: &NetworkInterface) {
    write_common(xml, state, interface, Shown::Alone);
    let zone = state
        .availability_zones
        .iter()
        .find(|zone| zone.name == interface.availability_zone);
    xml.leaf("availabilityZone", &interface.availability_zone)
        .maybe("availabilityZoneId", zone.map(|zone| &zone.id))
        .maybe("requesterId", interface.requester.as_ref())
        .leaf("requesterManaged", interface.requester.is_some());
    xml.nest("operator", |xml| {
        xml.leaf("managed", false);
    });
    write_attachment(xml, state, interface, Shown::Alone);
    write_tags(xml, state.tags.get(&interface.id));
}

pub(super) fn write_groups<'a>(
    xml: &mut Xml,
    state: &State,
    ids: impl IntoIterator<Item = &'a String>,
) {
    xml.list("groupSet", "item", ids, |xml, id| {
        let name = state.security_groups.get(id).map(|group| &group.name);
        xml.leaf("groupId", id).maybe("groupName", name);
    });
}

pub(super) fn write_attachment(
    xml: &mut Xml,
    state: &State,
    interface: &NetworkInterface,
    shown: Shown,
) {
    let Some(attachment) = &interface.attachment else {
        return;
    };
    xml.nest("attachment", |xml| {
        xml.leaf("attachmentId", &attachment.id)
            .leaf("deviceIndex", attachment.device_index)
            .leaf("status", "attached")
            .leaf("deleteOnTermination", interface.delete_on_termination)
            .leaf("networkCardIndex", 0)
            .maybe("attachTime", interface.attached_at.map(time));
        if shown == Shown::Alone {
            let owner = interface.requester.as_ref().unwrap_or(&state.account);
            xml.maybe("instanceId", attachment.instance_id.as_ref())
                .leaf("instanceOwnerId", owner);
        }
    });
}

/// The public address of one private address.
fn write_association(
    xml: &mut Xml,
    state: &State,
    interface: &NetworkInterface,
    private: Ipv4Addr,
    shown: Shown,
) {
    let address = state.address_at(&interface.id, private);
    let primary = interface.private_ips.first() == Some(&private);
    let public = address
        .map(|address| address.public_ip)
        .or(interface.public_ip.filter(|_| primary));
    let Some(public) = public else {
        return;
    };
    xml.nest("association", |xml| {
        let own = address.map_or("amazon", |_| state.account.as_str());
        let owner = interface.requester.as_deref().filter(|_| address.is_none());
        let pool = address.map(|address| &address.pool);
        if matches!(pool, Some(AddressPool::CustomerOwned(_))) {
            xml.leaf("customerOwnedIp", public);
        } else {
            let name = state.public_name(&interface.vpc_id, public);
            xml.leaf("publicIp", public).leaf("publicDnsName", name);
        }
        xml.leaf("ipOwnerId", owner.unwrap_or(own));
        if shown == Shown::InInstance {
            return;
        }
        xml.maybe("allocationId", address.map(|address| &address.id));
        let association = address.and_then(|address| address.association.as_ref());
        xml.maybe(
            "associationId",
            association.map(|association| &association.id),
        );
    });
}

fn write_addresses(xml: &mut Xml, state: &State, interface: &NetworkInterface, shown: Shown) {
    let addresses = interface.private_ips.iter().zip(0..);
    xml.list(
        "privateIpAddressesSet",
        "item",
        addresses,
        |xml, (address, place)| {
            xml.leaf("privateIpAddress", address)
                .leaf("privateDnsName", state.private_name(*address))
                .leaf("primary", place == 0);
            write_association(xml, state, interface, *address, shown);
        },
    );
    xml.list(
        "ipv4PrefixSet",
        "item",
        &interface.ipv4_prefixes,
        |xml, prefix| {
            xml.leaf("ipv4Prefix", prefix);
        },
    );
    xml.list(
        "ipv6AddressesSet",
        "item",
        &interface.ipv6_addresses,
        |xml, address| {
            xml.leaf("ipv6Address", address)
                .leaf("isPrimaryIpv6", false);
        },
    );
    xml.list(
        "ipv6PrefixSet",
        "item",
        &interface.ipv6_prefixes,
        |xml, prefix| {
            xml.leaf("ipv6Prefix", prefix);
        },
    );
}

/// The texts in one field of a list of structures.
pub(super) fn fields(input: &Input, list: &str, name: &str) -> Answer<Vec<String>> {
    input
        .list(list)
        .iter()
        .map(|part| part.need(name))
        .collect()
}

/// A number of things that cannot be negative.
pub(super) fn count(input: &Input, name: &str) -> Answer<usize> {
    let given = input.number::<i64>(name)?.unwrap_or_default();
    usize::try_from(given).map_err(|_| {
        Refusal::parameter(format!("Value ({given}) for parameter {name} is invalid."))
    })
}

/// The primary address and the others of `PrivateIpAddresses`.
pub(super) fn read_private(input: &Input, list: &str) -> Answer<(Option<Ipv4Addr>, Vec<Ipv4Addr>)> {
    let mut primary = match input.text("PrivateIpAddress") {
        Some(text) => Some(parse("privateIpAddress", &text)?),
        None => None,
    };
    let mut others = Vec::new();
    for part in input.list(list) {
        let address = parse("privateIpAddress", &part.need("PrivateIpAddress")?)?;
        if part.flag("Primary")? != Some(true) {
            others.push(address);
        } else if primary.replace(address).is_some() {
            return Err(combination(
                "Only one primary private IP address can be specified",
            ));
        }
    }
    Ok((primary, others))
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    if let Some(kind) = input.text("InterfaceType")
        && kind != "interface"
    {
        return Err(Refusal::new(
            "UnsupportedOperation",
            format!("Network interfaces of type '{kind}' are not supported here."),
        ));
    }
    let (primary, ipv4) = read_private(input, "PrivateIpAddresses")?;
    let addresses = Addresses {
        ipv4,
        ipv4_count: count(input, "SecondaryPrivateIpAddressCount")?,
        ipv4_prefixes: parse_all("ipv4Prefix", &fields(input, "Ipv4Prefix", "Ipv4Prefix")?)?,
        ipv4_prefix_count: count(input, "Ipv4PrefixCount")?,
        ipv6: parse_all(
            "ipv6Address",
            &fields(input, "Ipv6Addresses", "Ipv6Address")?,
        )?,
        ipv6_count: count(input, "Ipv6AddressCount")?,
        ipv6_prefixes: parse_all("ipv6Prefix", &fields(input, "Ipv6Prefix", "Ipv6Prefix")?)?,
        ipv6_prefix_count: count(input, "Ipv6PrefixCount")?,
    };
    addresses.check()?;
    let wanted = WantedInterface {
        subnet_id: input.need("SubnetId")?,
        description: input.text("Description").unwrap_or_default(),
        security_groups: input.texts("SecurityGroupId"),
        primary,
        addresses,
        tags: read_tags(input, "network-interface")?,
    };
    let token = input.text("ClientToken");
    input.flag("EnablePrimaryIpv6")?;
    ready(input)?;
    let action = "CreateNetworkInterface";
    let ids = once(action, token.clone(), input, state, |state| {
        Ok(vec![state.make_interface(&wanted)?])
    })?;
    let mut xml = Xml::default();
    xml.maybe("clientToken", token);
    if let Some(interface) = ids.first().and_then(|id| state.network_interfaces.get(id)) {
        xml.nest("networkInterface", |xml| write(xml, state, interface));
    }
    Ok(xml)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    ready(input)?;
    state.delete_network_interface(&id)?;
    Ok(done())
}

fn attach(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let instance = input.need("InstanceId")?;
    let index: u32 = input.need_number("DeviceIndex")?;
    if let Some(card) = input.number::<u32>("NetworkCardIndex")?
        && card != 0
    {
        return Err(Refusal::parameter(format!(
            "Value ({card}) for parameter networkCardIndex is invalid."
        )));
    }
    ready(input)?;
    let attachment = state.attach_interface(&id, &instance, index, now)?;
    let mut xml = Xml::default();
    xml.leaf("attachmentId", attachment)
        .leaf("networkCardIndex", 0);
    Ok(xml)
}

fn detach(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("AttachmentId")?;
    input.flag("Force")?;
    ready(input)?;
    state.detach_interface(&id)?;
    Ok(done())
}

fn describe_attribute(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let attribute = input.need("Attribute")?;
    ready(input)?;
    let interface = state.network_interface(&id)?;
    let mut xml = Xml::default();
    xml.leaf("networkInterfaceId", &id);
    match attribute.as_str() {
        "description" => {
            xml.nest("description", |xml| {
                xml.leaf("value", &interface.description);
            });
        }
        "groupSet" => write_groups(&mut xml, state, &interface.security_groups),
        "sourceDestCheck" => {
            xml.nest("sourceDestCheck", |xml| {
                xml.leaf("value", interface.source_dest_check);
            });
        }
        "attachment" => write_attachment(&mut xml, state, interface, Shown::Alone),
        "associatePublicIpAddress" => {
            xml.leaf("associatePublicIpAddress", interface.public_ip.is_some());
        }
        other => {
            return Err(Refusal::parameter(format!(
                "Value ({other}) for parameter attribute is invalid. Unknown attribute."
            )));
        }
    }
    Ok(xml)
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let mut changes = Vec::new();
    changes.extend(
        input
            .part("Description")
            .text("Value")
            .map(InterfaceChange::Description),
    );
    let groups = input.texts("SecurityGroupId");
    if !groups.is_empty() {
        changes.push(InterfaceChange::Groups(groups));
    }
    changes.extend(
        input
            .part("SourceDestCheck")
            .flag("Value")?
            .map(InterfaceChange::SourceDestCheck),
    );
    let attachment = input.part("Attachment");
    if let Some(on) = attachment.flag("DeleteOnTermination")? {
        let id = attachment.need("AttachmentId")?;
        changes.push(InterfaceChange::DeleteOnTermination(id, on));
    }
    ready(input)?;
    state.network_interface(&id)?;
    match (changes.pop(), changes.is_empty()) {
        (Some(change), true) => state.modify_interface(&id, change)?,
        (None, _) => return Err(combination("No attributes specified.")),
        _ => return Err(combination("Fields for multiple attribute types specified")),
    }
    Ok(done())
}
