//! VPCs, subnets, zones, route tables, internet gateways.

use ipnet::{IpNet, Ipv6Net};

use super::{
    done,
    filter::Filters,
    listing::{Listing, read_tags, write_tags},
    once, ready,
};
use crate::{
    state::{Answer, InternetGateway, Refusal, RouteTable, State, Subnet, Vpc},
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeVpcs" => describe_vpcs(input, state),
        "DescribeSubnets" => describe_subnets(input, state),
        "DescribeAvailabilityZones" => describe_zones(input, state),
        "DescribeRouteTables" => describe_route_tables(input, state),
        "DescribeInternetGateways" => describe_gateways(input, state),
        "CreateVpc" => create_vpc(input, state),
        "CreateSubnet" => create_subnet(input, state),
        "CreateInternetGateway" => create_gateway(input, state),
        "AttachInternetGateway" => attach_gateway(input, state),
        "CreateRouteTable" => create_route_table(input, state),
        "CreateRoute" => create_route(input, state),
        "AssociateRouteTable" => associate_route_table(input, state),
        "AssociateSubnetCidrBlock" => associate_subnet_range(input, state),
        _ => return None,
    })
}

const VPCS: Listing = Listing {
    ids: "VpcId",
    prefix: "vpc",
    not_found: "InvalidVpcID.NotFound",
    malformed: "InvalidVpcId.Malformed",
    what: "vpc ID",
    filters: &["vpc-id", "cidr", "is-default", "state"],
    most: 1000,
};

fn describe_vpcs(input: &Input, state: &State) -> Answer<Xml> {
    let page = VPCS.select(input, &state.vpcs, state, |vpc, name| {
        vec![match name {
            "vpc-id" => vpc.id.clone(),
            "cidr" => vpc.cidr.to_string(),
            "is-default" => "false".to_owned(),
            _ => "available".to_owned(),
        }]
    })?;
    let mut xml = Xml::default();
    xml.list("vpcSet", "item", page.items, |xml, (_, vpc)| {
        write_vpc(xml, state, vpc);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_vpc(xml: &mut Xml, state: &State, vpc: &Vpc) {
    xml.leaf("vpcId", &vpc.id)
        .leaf("ownerId", &state.account)
        .leaf("state", "available")
        .leaf("cidrBlock", vpc.cidr)
        .leaf("isDefault", false);
    xml.list(
        "cidrBlockAssociationSet",
        "item",
        [vpc.cidr],
        |xml, cidr| {
            xml.leaf("cidrBlock", cidr).leaf(
                "associationId",
                vpc.id.replacen("vpc-", "vpc-cidr-assoc-", 1),
            );
            xml.nest("cidrBlockState", |xml| {
                xml.leaf("state", "associated");
            });
        },
    );
    xml.list(
        "ipv6CidrBlockAssociationSet",
        "item",
        vpc.ipv6_cidr,
        |xml, cidr| write_ipv6(xml, &vpc.id, cidr),
    );
    write_tags(xml, state.tags.get(&vpc.id));
}

/// The association of an IPv6 range with a VPC or a subnet.
fn write_ipv6(xml: &mut Xml, holder: &str, cidr: Ipv6Net) {
    xml.leaf("ipv6CidrBlock", cidr)
        .leaf("associationId", holder.replacen('-', "-cidr-assoc-", 1));
    xml.nest("ipv6CidrBlockState", |xml| {
        xml.leaf("state", "associated");
    });
}

const SUBNETS: Listing = Listing {
    ids: "SubnetId",
    prefix: "subnet",
    not_found: "InvalidSubnetID.NotFound",
    malformed: "InvalidSubnetId.Malformed",
    what: "subnet ID",
    filters: &[
        "vpc-id",
        "availability-zone",
        "availability-zone-id",
        "subnet-id",
        "cidr-block",
        "state",
    ],
    most: 1000,
};

fn zone_id<'a>(state: &'a State, subnet: &Subnet) -> &'a str {
    state
        .availability_zones
        .iter()
        .find(|zone| zone.name == subnet.availability_zone)
        .map_or("", |zone| zone.id.as_str())
}

fn describe_subnets(input: &Input, state: &State) -> Answer<Xml> {
    let page = SUBNETS.select(input, &state.subnets, state, |subnet, name| {
        vec![match name {
            "vpc-id" => subnet.vpc_id.clone(),
            "availability-zone" => subnet.availability_zone.clone(),
            "availability-zone-id" => zone_id(state, subnet).to_owned(),
            "subnet-id" => subnet.id.clone(),
            "cidr-block" => subnet.cidr.to_string(),
            _ => "available".to_owned(),
        }]
    })?;
    let mut xml = Xml::default();
    xml.list("subnetSet", "item", page.items, |xml, (_, subnet)| {
        write_subnet(xml, state, subnet);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_subnet(xml: &mut Xml, state: &State, subnet: &Subnet) {
    xml.leaf("subnetId", &subnet.id)
        .leaf("state", "available")
        .leaf("ownerId", &state.account)
        .leaf("vpcId", &subnet.vpc_id)
        .leaf("cidrBlock", subnet.cidr)
        .leaf("availableIpAddressCount", subnet.free_addresses())
        .leaf("availabilityZone", &subnet.availability_zone)
        .leaf("availabilityZoneId", zone_id(state, subnet))
        .leaf("defaultForAz", false)
        .leaf("mapPublicIpOnLaunch", false);
    xml.list(
        "ipv6CidrBlockAssociationSet",
        "item",
        subnet.ipv6_cidr,
        |xml, cidr| write_ipv6(xml, &subnet.id, cidr),
    );
    write_tags(xml, state.tags.get(&subnet.id));
}

fn describe_zones(input: &Input, state: &State) -> Answer<Xml> {
    let names = input.texts("ZoneName");
    let ids = input.texts("ZoneId");
    // Every zone here is opted in, so asking for all of them changes nothing.
    input.flag("AllAvailabilityZones")?;
    let filters = Filters::read(
        input,
        &["zone-name", "zone-id", "region-name", "state", "zone-type"],
    )?;
    ready(input)?;
    let zones = &state.availability_zones;
    for name in &names {
        if !zones.iter().any(|zone| zone.name == *name) {
            return Err(Refusal::parameter(format!(
                "Invalid availability zone: [{name}]"
            )));
        }
    }
    for id in &ids {
        if !zones.iter().any(|zone| zone.id == *id) {
            return Err(Refusal::parameter(format!(
                "Invalid availability zone-id: [{id}]"
            )));
        }
    }
    let wanted = zones.iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.name))
            && (ids.is_empty() || ids.contains(&zone.id))
            && filters.pass(None, |name| {
                vec![match name {
                    "zone-name" => zone.name.clone(),
                    "zone-id" => zone.id.clone(),
                    "region-name" => state.region.clone(),
                    "zone-type" => "availability-zone".to_owned(),
                    _ => "available".to_owned(),
                }]
            })
    });
    let mut xml = Xml::default();
    xml.list("availabilityZoneInfo", "item", wanted, |xml, zone| {
        xml.leaf("optInStatus", "opt-in-not-required")
            .leaf("zoneName", &zone.name)
            .leaf("zoneId", &zone.id)
            .leaf("zoneType", "availability-zone")
            .leaf("zoneState", "available")
            .leaf("regionName", &state.region)
            .leaf("groupName", &state.region)
            .leaf("networkBorderGroup", &state.region);
        xml.nest("messageSet", |_| {});
    });
    Ok(xml)
}

const ROUTE_TABLES: Listing = Listing {
    ids: "RouteTableId",
    prefix: "rtb",
    not_found: "InvalidRouteTableID.NotFound",
    malformed: "InvalidRouteTableId.Malformed",
    what: "routeTable ID",
    filters: &[
        "vpc-id",
        "association.subnet-id",
        "association.main",
        "route-table-id",
    ],
    most: 100,
};

fn is_main(state: &State, table: &RouteTable) -> bool {
    state
        .vpcs
        .get(&table.vpc_id)
        .is_some_and(|vpc| vpc.main_route_table == table.id)
}

fn describe_route_tables(input: &Input, state: &State) -> Answer<Xml> {
    let page = ROUTE_TABLES.select(
        input,
        &state.route_tables,
        state,
        |table, name| match name {
            "vpc-id" => vec![table.vpc_id.clone()],
            "association.subnet-id" => table
                .associations
                .iter()
                .map(|(_, subnet)| subnet.clone())
                .collect(),
            "association.main" => vec![is_main(state, table).to_string()],
            _ => vec![table.id.clone()],
        },
    )?;
    let mut xml = Xml::default();
    xml.list("routeTableSet", "item", page.items, |xml, (_, table)| {
        write_table(xml, state, table);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_table(xml: &mut Xml, state: &State, table: &RouteTable) {
    xml.leaf("routeTableId", &table.id)
        .leaf("vpcId", &table.vpc_id)
        .leaf("ownerId", &state.account);
    let local = state
        .vpcs
        .get(&table.vpc_id)
        .map(|vpc| {
            let ranges = [Some(IpNet::from(vpc.cidr)), vpc.ipv6_cidr.map(IpNet::from)];
            ranges.into_iter().flatten()
        })
        .into_iter()
        .flatten()
        .map(|range| (range, "local", "CreateRouteTable"));
    let routes = table
        .routes
        .iter()
        .map(|route| (route.destination, route.gateway_id.as_str(), "CreateRoute"));
    xml.list(
        "routeSet",
        "item",
        local.chain(routes),
        |xml, (to, gateway, origin)| {
            let name = if gateway.starts_with("nat-") {
                "natGatewayId"
            } else {
                "gatewayId"
            };
            let destination = match to {
                IpNet::V4(_) => "destinationCidrBlock",
                IpNet::V6(_) => "destinationIpv6CidrBlock",
            };
            xml.leaf(destination, to)
                .leaf(name, gateway)
                .leaf("state", "active")
                .leaf("origin", origin);
        },
    );
    let main = is_main(state, table).then(|| (table.id.replacen("rtb-", "rtbassoc-", 1), None));
    let others = table
        .associations
        .iter()
        .map(|(id, subnet)| (id.clone(), Some(subnet)));
    xml.list(
        "associationSet",
        "item",
        main.into_iter().chain(others),
        |xml, (id, subnet)| {
            xml.leaf("routeTableAssociationId", id)
                .leaf("routeTableId", &table.id)
                .maybe("subnetId", subnet)
                .leaf("main", subnet.is_none());
            xml.nest("associationState", |xml| {
                xml.leaf("state", "associated");
            });
        },
    );
    write_tags(xml, state.tags.get(&table.id));
}

const GATEWAYS: Listing = Listing {
    ids: "InternetGatewayId",
    prefix: "igw",
    not_found: "InvalidInternetGatewayID.NotFound",
    malformed: "InvalidInternetGatewayId.Malformed",
    what: "internetGateway ID",
    filters: &[
        "attachment.vpc-id",
        "attachment.state",
        "internet-gateway-id",
    ],
    most: 1000,
};

fn describe_gateways(input: &Input, state: &State) -> Answer<Xml> {
    let page = GATEWAYS.select(
        input,
        &state.internet_gateways,
        state,
        |gateway, name| match name {
            "attachment.vpc-id" => gateway.vpc_id.clone().into_iter().collect(),
            "attachment.state" => gateway
                .vpc_id
                .iter()
                .map(|_| "available".to_owned())
                .collect(),
            _ => vec![gateway.id.clone()],
        },
    )?;
    let mut xml = Xml::default();
    xml.list(
        "internetGatewaySet",
        "item",
        page.items,
        |xml, (_, gateway)| {
            write_gateway(xml, state, gateway);
        },
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_gateway(xml: &mut Xml, state: &State, gateway: &InternetGateway) {
    xml.leaf("internetGatewayId", &gateway.id)
        .leaf("ownerId", &state.account);
    xml.list("attachmentSet", "item", &gateway.vpc_id, |xml, vpc| {
        xml.leaf("vpcId", vpc).leaf("state", "available");
    });
    write_tags(xml, state.tags.get(&gateway.id));
}

fn create_vpc(input: &Input, state: &mut State) -> Answer<Xml> {
    let cidr = input.need("CidrBlock")?;
    let with_ipv6 = input.flag("AmazonProvidedIpv6CidrBlock")?.unwrap_or(false);
    let tags = read_tags(input, "vpc")?;
    ready(input)?;
    let id = state.create_vpc(&cidr, &tags)?;
    if with_ipv6 {
        state.provide_ipv6(&id)?;
    }
    let mut xml = Xml::default();
    if let Some(vpc) = state.vpcs.get(&id) {
        xml.nest("vpc", |xml| write_vpc(xml, state, vpc));
    }
    Ok(xml)
}

fn create_subnet(input: &Input, state: &mut State) -> Answer<Xml> {
    let vpc = input.need("VpcId")?;
    let cidr = input.need("CidrBlock")?;
    let zone = input
        .text("AvailabilityZone")
        .or(input.text("AvailabilityZoneId"));
    let tags = read_tags(input, "subnet")?;
    ready(input)?;
    let id = state.create_subnet(&vpc, &cidr, zone.as_deref(), &tags)?;
    let mut xml = Xml::default();
    if let Some(subnet) = state.subnets.get(&id) {
        xml.nest("subnet", |xml| write_subnet(xml, state, subnet));
    }
    Ok(xml)
}

fn create_gateway(input: &Input, state: &mut State) -> Answer<Xml> {
    let tags = read_tags(input, "internet-gateway")?;
    ready(input)?;
    let id = state.create_internet_gateway(&tags)?;
    let mut xml = Xml::default();
    if let Some(gateway) = state.internet_gateways.get(&id) {
        xml.nest("internetGateway", |xml| write_gateway(xml, state, gateway));
    }
    Ok(xml)
}

fn attach_gateway(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("InternetGatewayId")?;
    let vpc = input.need("VpcId")?;
    ready(input)?;
    state.attach_internet_gateway(&id, &vpc)?;
    Ok(done())
}

fn create_route_table(input: &Input, state: &mut State) -> Answer<Xml> {
    let vpc = input.need("VpcId")?;
    let tags = read_tags(input, "route-table")?;
    let token = input.text("ClientToken");
    ready(input)?;
    let ids = once(token, input, state, |state| {
        Ok(vec![state.create_route_table(&vpc, &tags)?])
    })?;
    let mut xml = Xml::default();
    if let Some(table) = ids.first().and_then(|id| state.route_tables.get(id)) {
        xml.nest("routeTable", |xml| write_table(xml, state, table));
    }
    Ok(xml)
}

fn create_route(input: &Input, state: &mut State) -> Answer<Xml> {
    let table = input.need("RouteTableId")?;
    let destination = match input.text("DestinationIpv6CidrBlock") {
        Some(destination) => destination,
        None => input.need("DestinationCidrBlock")?,
    };
    let gateway = match input.text("NatGatewayId") {
        Some(gateway) => gateway,
        None => input.need("GatewayId")?,
    };
    ready(input)?;
    state.create_route(&table, &destination, &gateway)?;
    Ok(done())
}

fn associate_route_table(input: &Input, state: &mut State) -> Answer<Xml> {
    let table = input.need("RouteTableId")?;
    let subnet = input.need("SubnetId")?;
    ready(input)?;
    let id = state.associate_route_table(&table, &subnet)?;
    let mut xml = Xml::default();
    xml.leaf("associationId", id);
    xml.nest("associationState", |xml| {
        xml.leaf("state", "associated");
    });
    Ok(xml)
}

fn associate_subnet_range(input: &Input, state: &mut State) -> Answer<Xml> {
    let subnet = input.need("SubnetId")?;
    let cidr = input.need("Ipv6CidrBlock")?;
    ready(input)?;
    let range = state.associate_subnet_ipv6(&subnet, &cidr)?;
    let mut xml = Xml::default();
    xml.leaf("subnetId", &subnet);
    xml.nest("ipv6CidrBlockAssociation", |xml| {
        write_ipv6(xml, &subnet, range);
    });
    Ok(xml)
}
