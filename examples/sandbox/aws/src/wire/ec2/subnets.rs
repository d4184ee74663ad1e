//! Subnets.

use ipnet::Ipv6Net;

use super::{
    done,
    listing::{Listing, read_tags, write_tags},
    ready,
};
use crate::{
    state::{
        Answer, Refusal, State, Subnet,
        cidr::Association,
        ec2_id::{Kind, combination},
        subnet::{NewSubnet, SubnetChange},
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateSubnet" => create(input, state),
        "CreateDefaultSubnet" => create_default(input, state),
        "DescribeSubnets" => describe(input, state),
        "DeleteSubnet" => delete(input, state),
        "ModifySubnetAttribute" => modify(input, state),
        "AssociateSubnetCidrBlock" => associate(input, state),
        "DisassociateSubnetCidrBlock" => disassociate(input, state),
        _ => return None,
    })
}

const SUBNETS: Listing = Listing {
    ids: "SubnetId",
    kind: Kind::Subnet,
    filters: &[
        ("availability-zone", "availabilityZone"),
        ("availabilityZone", "availabilityZone"),
        ("availability-zone-id", "availabilityZoneId"),
        ("availabilityZoneId", "availabilityZoneId"),
        ("available-ip-address-count", "availableIpAddressCount"),
        ("cidr-block", "cidrBlock"),
        ("cidr", "cidrBlock"),
        ("cidrBlock", "cidrBlock"),
        ("customer-owned-ipv4-pool", "customerOwnedIpv4Pool"),
        ("default-for-az", "defaultForAz"),
        ("defaultForAz", "defaultForAz"),
        ("enable-dns64", "enableDns64"),
        ("enable-lni-at-device-index", "enableLniAtDeviceIndex"),
        (
            "ipv6-cidr-block-association.ipv6-cidr-block",
            "ipv6CidrBlockAssociationSet/ipv6CidrBlock",
        ),
        (
            "ipv6-cidr-block-association.association-id",
            "ipv6CidrBlockAssociationSet/associationId",
        ),
        (
            "ipv6-cidr-block-association.state",
            "ipv6CidrBlockAssociationSet/ipv6CidrBlockState/state",
        ),
        ("ipv6-native", "ipv6Native"),
        (
            "map-customer-owned-ip-on-launch",
            "mapCustomerOwnedIpOnLaunch",
        ),
        ("map-public-ip-on-launch", "mapPublicIpOnLaunch"),
        ("outpost-arn", "outpostArn"),
        ("owner-id", "ownerId"),
        (
            "private-dns-name-options-on-launch.hostname-type",
            "privateDnsNameOptionsOnLaunch/hostnameType",
        ),
        (
            "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
            "privateDnsNameOptionsOnLaunch/enableResourceNameDnsARecord",
        ),
        (
            "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
            "privateDnsNameOptionsOnLaunch/enableResourceNameDnsAAAARecord",
        ),
        ("state", "state"),
        ("subnet-arn", "subnetArn"),
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
    ],
    sizes: (5, 1000),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    SUBNETS.answer(input, state, &state.subnets, "subnetSet", |xml, subnet| {
        write(xml, state, subnet);
    })
}

fn zone_id<'a>(state: &'a State, subnet: &Subnet) -> &'a str {
    state
        .availability_zones
        .iter()
        .find(|zone| zone.name == subnet.availability_zone)
        .map_or("", |zone| zone.id.as_str())
}

fn write(xml: &mut Xml, state: &State, subnet: &Subnet) {
    let arn = state.ec2_arn(&state.account, &format!("subnet/{}", subnet.id));
    xml.leaf("subnetId", &subnet.id)
        .leaf("subnetArn", arn)
        .leaf("state", "available")
        .leaf("ownerId", &state.account)
        .leaf("vpcId", &subnet.vpc_id)
        .leaf("cidrBlock", subnet.cidr)
        .leaf("availableIpAddressCount", subnet.free_addresses())
        .leaf("availabilityZone", &subnet.availability_zone)
        .leaf("availabilityZoneId", zone_id(state, subnet))
        .leaf("defaultForAz", subnet.default_for_az)
        .leaf("mapPublicIpOnLaunch", subnet.map_public_ip)
        .leaf(
            "mapCustomerOwnedIpOnLaunch",
            subnet.customer_owned_pool.is_some(),
        )
        .maybe("customerOwnedIpv4Pool", subnet.customer_owned_pool.as_ref())
        .maybe("outpostArn", subnet.outpost_arn.as_ref())
        .leaf("assignIpv6AddressOnCreation", subnet.assign_ipv6)
        .leaf("enableDns64", subnet.dns64)
        .leaf("ipv6Native", false);
    xml.nest("privateDnsNameOptionsOnLaunch", |xml| {
        xml.leaf("hostnameType", &subnet.hostnames.kind)
            .leaf("enableResourceNameDnsARecord", subnet.hostnames.a_record)
            .leaf(
                "enableResourceNameDnsAAAARecord",
                subnet.hostnames.aaaa_record,
            );
    });
    xml.nest("blockPublicAccessStates", |xml| {
        xml.leaf("internetGatewayBlockMode", "off");
    });
    let ipv6 = subnet.ipv6_cidr.zip(subnet.ipv6_association.clone());
    xml.list(
        "ipv6CidrBlockAssociationSet",
        "item",
        ipv6.map(|(range, id)| Association { id, range }),
        |xml, own| write_ipv6(xml, &own, "associated"),
    );
    write_tags(xml, state.tags.get(&subnet.id));
}

fn write_ipv6(xml: &mut Xml, own: &Association<Ipv6Net>, now: &str) {
    xml.leaf("ipv6CidrBlock", own.range)
        .leaf("associationId", &own.id)
        .leaf("ipSource", "amazon");
    xml.nest("ipv6CidrBlockState", |xml| {
        xml.leaf("state", now);
    });
}

fn created(state: &State, id: &str) -> Answer<Xml> {
    let subnet = state.subnet(id)?;
    let mut xml = Xml::default();
    xml.nest("subnet", |xml| write(xml, state, subnet));
    Ok(xml)
}

/// The zone by name or by id, but not both.
fn read_zone(input: &Input) -> Answer<Option<String>> {
    let name = input.text("AvailabilityZone");
    let id = input.text("AvailabilityZoneId");
    if name.is_some() && id.is_some() {
        return Err(combination(
            "Only one of AvailabilityZone and AvailabilityZoneId may be specified",
        ));
    }
    Ok(name.or(id))
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    if input.flag("Ipv6Native")? == Some(true) {
        return Err(Refusal::new(
            "UnsupportedOperation",
            "IPv6-only subnets are not supported here.",
        ));
    }
    let new = NewSubnet {
        vpc_id: input.need("VpcId")?,
        cidr: input.need("CidrBlock")?,
        ipv6_cidr: input.text("Ipv6CidrBlock"),
        zone: read_zone(input)?,
        outpost_arn: input.text("OutpostArn"),
        tags: read_tags(input, "subnet")?,
    };
    ready(input)?;
    let id = state.make_subnet(&new)?;
    created(state, &id)
}

fn create_default(input: &Input, state: &mut State) -> Answer<Xml> {
    let zone = read_zone(input)?;
    input.flag("Ipv6Native")?;
    ready(input)?;
    let Some(zone) = zone else {
        return Err(Refusal::new(
            "MissingParameter",
            "The request must contain the parameter AvailabilityZone",
        ));
    };
    let id = state.create_default_subnet(&zone)?;
    created(state, &id)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("SubnetId")?;
    ready(input)?;
    state.delete_subnet(&id)?;
    Ok(done())
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("SubnetId")?;
    let switch = |name: &str| input.part(name).flag("Value");
    let mut changes: Vec<SubnetChange> = [
        switch("MapPublicIpOnLaunch")?.map(SubnetChange::MapPublicIp),
        switch("AssignIpv6AddressOnCreation")?.map(SubnetChange::AssignIpv6),
        switch("EnableDns64")?.map(SubnetChange::Dns64),
        input
            .text("PrivateDnsHostnameTypeOnLaunch")
            .map(SubnetChange::HostnameType),
        switch("EnableResourceNameDnsARecordOnLaunch")?.map(SubnetChange::ARecord),
        switch("EnableResourceNameDnsAAAARecordOnLaunch")?.map(SubnetChange::AaaaRecord),
    ]
    .into_iter()
    .flatten()
    .collect();
    let pool = input.text("CustomerOwnedIpv4Pool");
    if let Some(on) = switch("MapCustomerOwnedIpOnLaunch")? {
        changes.push(SubnetChange::CustomerOwned(on, pool));
    }
    ready(input)?;
    state.subnet(&id)?;
    match (changes.pop(), changes.is_empty()) {
        (Some(change), true) => state.modify_subnet(&id, change)?,
        (None, _) => return Err(combination("No attributes specified.")),
        _ => return Err(combination("Fields for multiple attribute types specified")),
    }
    Ok(done())
}

fn changed(subnet_id: &str, own: &Association<Ipv6Net>, now: &str) -> Xml {
    let mut xml = Xml::default();
    xml.leaf("subnetId", subnet_id)
        .nest("ipv6CidrBlockAssociation", |xml| write_ipv6(xml, own, now));
    xml
}

fn associate(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("SubnetId")?;
    let cidr = input.need("Ipv6CidrBlock")?;
    ready(input)?;
    let added = state.associate_subnet_ipv6(&id, &cidr)?;
    Ok(changed(&id, &added, "associating"))
}

fn disassociate(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("AssociationId")?;
    ready(input)?;
    let (subnet, gone) = state.disassociate_subnet_ipv6(&id)?;
    Ok(changed(&subnet, &gone, "disassociating"))
}
