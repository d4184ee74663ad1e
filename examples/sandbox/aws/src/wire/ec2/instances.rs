//! Instances and network interfaces.

use std::{collections::BTreeMap, net::Ipv4Addr};

use jiff::Timestamp;

use super::{
    listing::{Listing, read_tags, write_tags},
    once, ready,
};
use crate::{
    state::{
        Answer, Instance, InstanceState, NetworkInterface, Refusal, State, instance::NewInstance,
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
        "DescribeImages" => describe_images(input),
        "DescribeInstances" => describe(input, state),
        "RunInstances" => run(input, state, now),
        "TerminateInstances" => terminate(input, state),
        "DescribeNetworkInterfaces" => describe_interfaces(input, state),
        "CreateNetworkInterface" => create_interface(input, state),
        "AssignPrivateIpAddresses" => assign(input, state),
        _ => return None,
    })
}

const INSTANCES: Listing = Listing {
    ids: "InstanceId",
    prefix: "i",
    not_found: "InvalidInstanceID.NotFound",
    malformed: "InvalidInstanceID.Malformed",
    what: "instance ID",
    filters: &[
        "vpc-id",
        "subnet-id",
        "instance-id",
        "private-dns-name",
        "private-ip-address",
        "instance-state-name",
        "availability-zone",
    ],
    most: 1000,
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let page = INSTANCES.select(input, &state.instances, state, |instance, name| {
        vec![match name {
            "vpc-id" => instance.vpc_id.clone(),
            "subnet-id" => instance.subnet_id.clone(),
            "instance-id" => instance.id.clone(),
            "private-dns-name" => instance.private_dns_name.clone(),
            "private-ip-address" => instance.private_ip.to_string(),
            "instance-state-name" => instance.state.as_str().to_owned(),
            _ => instance.availability_zone.clone(),
        }]
    })?;
    let mut reservations: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for (_, instance) in page.items {
        reservations
            .entry(&instance.reservation_id)
            .or_default()
            .push(instance);
    }
    let mut xml = Xml::default();
    xml.list(
        "reservationSet",
        "item",
        reservations,
        |xml, (id, instances)| {
            xml.leaf("reservationId", id)
                .leaf("ownerId", &state.account);
            xml.list("instancesSet", "item", instances, |xml, instance| {
                write(xml, state, instance);
            });
        },
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_state(xml: &mut Xml, name: &str, state: InstanceState) {
    xml.nest(name, |xml| {
        xml.leaf("code", state.code()).leaf("name", state.as_str());
    });
}

fn write(xml: &mut Xml, state: &State, instance: &Instance) {
    xml.leaf("instanceId", &instance.id)
        .leaf("imageId", &instance.image_id);
    write_state(xml, "instanceState", instance.state);
    xml.leaf("instanceType", &instance.instance_type)
        .leaf("launchTime", time(instance.launched))
        .leaf("privateDnsName", &instance.private_dns_name);
    xml.nest("placement", |xml| {
        xml.leaf("availabilityZone", &instance.availability_zone);
    });
    if instance.state == InstanceState::Running {
        xml.leaf("subnetId", &instance.subnet_id)
            .leaf("vpcId", &instance.vpc_id)
            .leaf("privateIpAddress", instance.private_ip);
    }
    let interfaces: Vec<&NetworkInterface> = state.interfaces_of(&instance.id).collect();
    let groups = interfaces
        .iter()
        .flat_map(|interface| &interface.security_groups);
    write_groups(xml, state, groups);
    xml.list(
        "networkInterfaceSet",
        "item",
        interfaces,
        |xml, interface| {
            xml.leaf("networkInterfaceId", &interface.id)
                .leaf("subnetId", &interface.subnet_id)
                .leaf("vpcId", &interface.vpc_id)
                .leaf("status", "in-use");
            xml.maybe("privateIpAddress", interface.private_ips.first());
            write_groups(xml, state, &interface.security_groups);
            // The instance is around it here, and stands in it elsewhere.
            write_attachment(xml, interface, false);
            write_addresses(xml, interface);
        },
    );
    write_tags(xml, state.tags.get(&instance.id));
}

fn write_groups<'a>(xml: &mut Xml, state: &State, ids: impl IntoIterator<Item = &'a String>) {
    xml.list("groupSet", "item", ids, |xml, id| {
        let name = state.security_groups.get(id).map(|group| &group.name);
        xml.leaf("groupId", id).maybe("groupName", name);
    });
}

fn write_attachment(xml: &mut Xml, interface: &NetworkInterface, alone: bool) {
    if let Some(attachment) = &interface.attachment {
        xml.nest("attachment", |xml| {
            xml.leaf("attachmentId", &attachment.id);
            if alone {
                xml.maybe("instanceId", attachment.instance_id.as_ref())
                    .maybe("instanceOwnerId", interface.requester.as_ref());
            }
            xml.leaf("deviceIndex", attachment.device_index)
                .leaf("status", "attached");
        });
    }
}

fn write_addresses(xml: &mut Xml, interface: &NetworkInterface) {
    let addresses = interface.private_ips.iter().zip(0..);
    xml.list(
        "privateIpAddressesSet",
        "item",
        addresses,
        |xml, (address, place)| {
            xml.leaf("privateIpAddress", address)
                .leaf("primary", place == 0);
            if place == 0
                && let Some(public) = interface.public_ip
            {
                xml.nest("association", |xml| {
                    xml.leaf("publicIp", public);
                });
            }
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
            xml.leaf("ipv6Address", address);
        },
    );
    xml.nest("ipv6PrefixSet", |_| {});
}

fn run(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let new = NewInstance {
        image_id: input.need("ImageId")?,
        instance_type: input.text("InstanceType"),
        subnet_id: input.need("SubnetId")?,
        security_groups: input.texts("SecurityGroupId"),
        tags: read_tags(input, "instance")?,
    };
    let least: usize = input.need_number("MinCount")?;
    let most: usize = input.need_number("MaxCount")?;
    let token = input.text("ClientToken");
    ready(input)?;
    if least < 1 || most < least || most > 100 {
        return Err(Refusal::parameter(
            "MinCount and MaxCount must be from 1 to 100, and MinCount at most MaxCount",
        ));
    }
    let ids = once(token, input, state, |state| {
        state.run_instances(&new, most, now)
    })?;
    let instances: Vec<&Instance> = ids
        .iter()
        .filter_map(|id| state.instances.get(id))
        .collect();
    let mut xml = Xml::default();
    xml.maybe(
        "reservationId",
        instances.first().map(|instance| &instance.reservation_id),
    );
    xml.leaf("ownerId", &state.account);
    xml.list("instancesSet", "item", instances, |xml, instance| {
        write(xml, state, instance);
    });
    Ok(xml)
}

/// The one public image there is, as a stand-in for Amazon Linux.
fn describe_images(input: &Input) -> Answer<Xml> {
    const ID: &str = "ami-0123456789abcdef0";
    let ids = input.texts("ImageId");
    let owners = input.texts("Owner");
    ready(input)?;
    if let Some(id) = ids.iter().find(|id| *id != ID) {
        return Err(Refusal::new(
            "InvalidAMIID.NotFound",
            format!("The image id '[{id}]' does not exist"),
        ));
    }
    let listed = owners.is_empty() || owners.iter().any(|owner| owner == "amazon");
    let mut xml = Xml::default();
    xml.list("imagesSet", "item", listed.then_some(ID), |xml, id| {
        xml.leaf("imageId", id)
            .leaf("imageState", "available")
            .leaf("imageOwnerAlias", "amazon")
            .leaf("isPublic", true)
            .leaf("architecture", "x86_64")
            .leaf("name", "al2023-ami-x86_64");
    });
    Ok(xml)
}

fn terminate(input: &Input, state: &mut State) -> Answer<Xml> {
    let ids = input.texts("InstanceId");
    if ids.is_empty() {
        input.need("InstanceId")?;
    }
    ready(input)?;
    let before: Vec<InstanceState> = ids
        .iter()
        .map(|id| state.instance(id).map(|instance| instance.state))
        .collect::<Answer<_>>()?;
    state.terminate_instances(&ids)?;
    let mut xml = Xml::default();
    xml.list(
        "instancesSet",
        "item",
        ids.iter().zip(before),
        |xml, (id, before)| {
            xml.leaf("instanceId", id);
            write_state(xml, "currentState", InstanceState::Terminated);
            write_state(xml, "previousState", before);
        },
    );
    Ok(xml)
}

const INTERFACES: Listing = Listing {
    ids: "NetworkInterfaceId",
    prefix: "eni",
    not_found: "InvalidNetworkInterfaceID.NotFound",
    malformed: "InvalidNetworkInterfaceId.Malformed",
    what: "networkInterface ID",
    filters: &[
        "vpc-id",
        "subnet-id",
        "network-interface-id",
        "addresses.private-ip-address",
        "private-ip-address",
        "ipv6-addresses.ipv6-address",
        "attachment.instance-id",
        "group-id",
        "description",
        "requester-id",
        "status",
    ],
    most: 1000,
};

fn describe_interfaces(input: &Input, state: &State) -> Answer<Xml> {
    let page = INTERFACES.select(
        input,
        &state.network_interfaces,
        state,
        |interface, name| {
            let texts =
                |addresses: &[Ipv4Addr]| addresses.iter().map(ToString::to_string).collect();
            match name {
                "vpc-id" => vec![interface.vpc_id.clone()],
                "subnet-id" => vec![interface.subnet_id.clone()],
                "network-interface-id" => vec![interface.id.clone()],
                "addresses.private-ip-address" => texts(&interface.private_ips),
                "private-ip-address" => texts(&interface.private_ips[..1]),
                "ipv6-addresses.ipv6-address" => interface
                    .ipv6_addresses
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                "attachment.instance-id" => interface
                    .attachment
                    .iter()
                    .filter_map(|attachment| attachment.instance_id.clone())
                    .collect(),
                "group-id" => interface.security_groups.iter().cloned().collect(),
                "description" => vec![interface.description.clone()],
                "requester-id" => interface.requester.iter().cloned().collect(),
                _ => vec![status(interface).to_owned()],
            }
        },
    )?;
    let mut xml = Xml::default();
    xml.list(
        "networkInterfaceSet",
        "item",
        page.items,
        |xml, (_, interface)| {
            write_interface(xml, state, interface);
        },
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn status(interface: &NetworkInterface) -> &'static str {
    if interface.attachment.is_some() {
        "in-use"
    } else {
        "available"
    }
}

fn write_interface(xml: &mut Xml, state: &State, interface: &NetworkInterface) {
    xml.leaf("networkInterfaceId", &interface.id)
        .leaf("subnetId", &interface.subnet_id)
        .leaf("vpcId", &interface.vpc_id)
        .leaf("availabilityZone", &interface.availability_zone)
        .leaf("description", &interface.description)
        .leaf("ownerId", &state.account)
        .maybe("requesterId", interface.requester.as_ref())
        .leaf("requesterManaged", interface.requester.is_some())
        .leaf("status", status(interface))
        .leaf("interfaceType", "interface");
    xml.maybe("privateIpAddress", interface.private_ips.first());
    write_groups(xml, state, &interface.security_groups);
    write_attachment(xml, interface, true);
    write_addresses(xml, interface);
    write_tags(xml, state.tags.get(&interface.id));
}

fn create_interface(input: &Input, state: &mut State) -> Answer<Xml> {
    let subnet = input.need("SubnetId")?;
    let description = input.text("Description").unwrap_or_default();
    let groups = input.texts("SecurityGroupId");
    let tags = read_tags(input, "network-interface")?;
    ready(input)?;
    let id = state.create_network_interface(&subnet, &description, &groups, &tags)?;
    let mut xml = Xml::default();
    if let Some(interface) = state.network_interfaces.get(&id) {
        xml.nest("networkInterface", |xml| {
            write_interface(xml, state, interface);
        });
    }
    Ok(xml)
}

fn assign(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let addresses: Vec<Ipv4Addr> = input
        .texts("PrivateIpAddress")
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                Refusal::parameter(format!("Invalid value '{text}' for PrivateIpAddress"))
            })
        })
        .collect::<Answer<_>>()?;
    let count: usize = input
        .number("SecondaryPrivateIpAddressCount")?
        .unwrap_or_default();
    ready(input)?;
    if addresses.is_empty() == (count == 0) {
        return Err(Refusal::new(
            "InvalidParameterCombination",
            "Either addresses or a number of addresses must be specified",
        ));
    }
    let assigned = state.assign_private_ips(&id, &addresses, count)?;
    let mut xml = Xml::default();
    xml.leaf("networkInterfaceId", &id);
    xml.list(
        "assignedPrivateIpAddressesSet",
        "item",
        assigned,
        |xml, address| {
            xml.leaf("privateIpAddress", address);
        },
    );
    xml.leaf("return", true);
    Ok(xml)
}
