//! Route tables.

use ipnet::IpNet;

use super::{
    done,
    listing::{Listing, read_tags, write_tags},
    once, ready,
};
use crate::{
    state::{
        Answer, Refusal, Route, RouteTable, State,
        ec2_id::{Kind, combination},
        route_table::{Destination, NewRoute, RouteTarget},
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateRouteTable" => create(input, state),
        "DescribeRouteTables" => describe(input, state),
        "DeleteRouteTable" => delete(input, state),
        "CreateRoute" => create_route(input, state),
        "ReplaceRoute" => replace_route(input, state),
        "DeleteRoute" => delete_route(input, state),
        "AssociateRouteTable" => associate(input, state),
        "DisassociateRouteTable" => disassociate(input, state),
        "ReplaceRouteTableAssociation" => replace(input, state),
        _ => return None,
    })
}

const TABLES: Listing = Listing {
    ids: "RouteTableId",
    kind: Kind::RouteTable,
    filters: &[
        ("association.gateway-id", "associationSet/gatewayId"),
        (
            "association.route-table-association-id",
            "associationSet/routeTableAssociationId",
        ),
        ("association.route-table-id", "associationSet/routeTableId"),
        ("association.subnet-id", "associationSet/subnetId"),
        ("association.main", "associationSet/main"),
        ("owner-id", "ownerId"),
        ("route-table-id", "routeTableId"),
        (
            "route.destination-cidr-block",
            "routeSet/destinationCidrBlock",
        ),
        (
            "route.destination-ipv6-cidr-block",
            "routeSet/destinationIpv6CidrBlock",
        ),
        (
            "route.destination-prefix-list-id",
            "routeSet/destinationPrefixListId",
        ),
        (
            "route.egress-only-internet-gateway-id",
            "routeSet/egressOnlyInternetGatewayId",
        ),
        ("route.gateway-id", "routeSet/gatewayId"),
        ("route.instance-id", "routeSet/instanceId"),
        ("route.nat-gateway-id", "routeSet/natGatewayId"),
        ("route.transit-gateway-id", "routeSet/transitGatewayId"),
        ("route.origin", "routeSet/origin"),
        ("route.state", "routeSet/state"),
        (
            "route.vpc-peering-connection-id",
            "routeSet/vpcPeeringConnectionId",
        ),
        ("vpc-id", "vpcId"),
    ],
    sizes: (5, 100),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    TABLES.answer(
        input,
        state,
        &state.route_tables,
        "routeTableSet",
        |xml, table| write(xml, state, table),
    )
}

fn write(xml: &mut Xml, state: &State, table: &RouteTable) {
    xml.leaf("routeTableId", &table.id)
        .leaf("vpcId", &table.vpc_id)
        .leaf("ownerId", &state.account);
    xml.nest("routeSet", |xml| {
        for range in state.local_ranges(&table.vpc_id) {
            xml.nest("item", |xml| {
                write_destination(xml, &Destination::Range(range));
                xml.leaf("gatewayId", "local")
                    .leaf("state", "active")
                    .leaf("origin", "CreateRouteTable");
            });
        }
        for route in &table.routes {
            xml.nest("item", |xml| write_route(xml, state, table, route));
        }
    });
    let main = state
        .vpcs
        .get(&table.vpc_id)
        .filter(|_| state.is_main(table))
        .map(|vpc| (vpc.main_association.as_str(), None));
    let others = table
        .associations
        .iter()
        .map(|(id, holder)| (id.as_str(), Some(holder)));
    xml.list(
        "associationSet",
        "item",
        main.into_iter().chain(others),
        |xml, (id, holder)| {
            xml.leaf("routeTableAssociationId", id)
                .leaf("routeTableId", &table.id)
                .leaf("main", holder.is_none());
            let name = match holder {
                Some(holder) if holder.starts_with("igw-") => "gatewayId",
                _ => "subnetId",
            };
            xml.maybe(name, holder);
            write_association_state(xml);
        },
    );
    xml.nest("propagatingVgwSet", |_| {});
    write_tags(xml, state.tags.get(&table.id));
}

fn write_association_state(xml: &mut Xml) {
    xml.nest("associationState", |xml| {
        xml.leaf("state", "associated");
    });
}

fn write_destination(xml: &mut Xml, destination: &Destination) {
    let name = match destination {
        Destination::Range(IpNet::V4(_)) => "destinationCidrBlock",
        Destination::Range(IpNet::V6(_)) => "destinationIpv6CidrBlock",
        Destination::PrefixList(_) => "destinationPrefixListId",
    };
    xml.leaf(name, destination);
}

fn write_route(xml: &mut Xml, state: &State, table: &RouteTable, route: &Route) {
    write_destination(xml, &route.destination);
    match &route.target {
        RouteTarget::Gateway(id) => xml.leaf("gatewayId", id),
        RouteTarget::NatGateway(id) => xml.leaf("natGatewayId", id),
        RouteTarget::EgressOnlyGateway(id) => xml.leaf("egressOnlyInternetGatewayId", id),
        RouteTarget::Peering(id) => xml.leaf("vpcPeeringConnectionId", id),
        RouteTarget::Interface(id) => {
            let instance = state
                .network_interfaces
                .get(id)
                .and_then(|interface| interface.attachment.as_ref())
                .and_then(|attachment| attachment.instance_id.as_ref());
            xml.leaf("networkInterfaceId", id)
                .maybe("instanceId", instance)
                .maybe("instanceOwnerId", instance.map(|_| &state.account))
        }
    };
    let active = state.is_active(route, &table.vpc_id);
    xml.leaf("state", if active { "active" } else { "blackhole" })
        .leaf("origin", "CreateRoute");
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let vpc = input.need("VpcId")?;
    let tags = read_tags(input, "route-table")?;
    let token = input.text("ClientToken");
    ready(input)?;
    let ids = once("CreateRouteTable", token.clone(), input, state, |state| {
        Ok(vec![state.create_route_table(&vpc, &tags)?])
    })?;
    let mut xml = Xml::default();
    xml.maybe("clientToken", token);
    if let Some(table) = ids.first().and_then(|id| state.route_tables.get(id)) {
        xml.nest("routeTable", |xml| write(xml, state, table));
    }
    Ok(xml)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("RouteTableId")?;
    ready(input)?;
    state.delete_route_table(&id)?;
    Ok(done())
}

/// Targets that routes can have in AWS and that do not exist here.
const STRANGE_TARGETS: [(&str, &str); 6] = [
    ("TransitGatewayId", "InvalidTransitGatewayID.NotFound"),
    ("LocalGatewayId", "InvalidLocalGatewayID.NotFound"),
    ("CarrierGatewayId", "InvalidCarrierGatewayID.NotFound"),
    ("VpcEndpointId", "InvalidVpcEndpointId.NotFound"),
    ("CoreNetworkArn", "InvalidCoreNetworkArn.NotFound"),
    ("OdbNetworkArn", "InvalidOdbNetworkArn.NotFound"),
];

fn read_route(input: &Input) -> Answer<NewRoute> {
    for (name, code) in STRANGE_TARGETS {
        if let Some(id) = input.text(name) {
            return Err(Refusal::new(code, format!("The ID '{id}' does not exist")));
        }
    }
    Ok(NewRoute {
        cidr: input.text("DestinationCidrBlock"),
        ipv6_cidr: input.text("DestinationIpv6CidrBlock"),
        prefix_list: input.text("DestinationPrefixListId"),
        gateway: input.text("GatewayId"),
        nat_gateway: input.text("NatGatewayId"),
        egress_only_gateway: input.text("EgressOnlyInternetGatewayId"),
        instance: input.text("InstanceId"),
        interface: input.text("NetworkInterfaceId"),
        peering: input.text("VpcPeeringConnectionId"),
    })
}

fn create_route(input: &Input, state: &mut State) -> Answer<Xml> {
    let table = input.need("RouteTableId")?;
    let new = read_route(input)?;
    ready(input)?;
    state.add_route(&table, &new)?;
    Ok(done())
}

fn replace_route(input: &Input, state: &mut State) -> Answer<Xml> {
    let table = input.need("RouteTableId")?;
    let new = read_route(input)?;
    if input.flag("LocalTarget")? == Some(true) {
        return Err(Refusal::new(
            "UnsupportedOperation",
            "Local routes keep their target here.",
        ));
    }
    ready(input)?;
    state.replace_route(&table, &new)?;
    Ok(done())
}

fn delete_route(input: &Input, state: &mut State) -> Answer<Xml> {
    let table = input.need("RouteTableId")?;
    let named = read_route(input)?;
    ready(input)?;
    state.delete_route(&table, &named)?;
    Ok(done())
}

fn associated(id: &str, name: &str) -> Xml {
    let mut xml = Xml::default();
    xml.leaf(name, id);
    write_association_state(&mut xml);
    xml
}

fn associate(input: &Input, state: &mut State) -> Answer<Xml> {
    let table = input.need("RouteTableId")?;
    let subnet = input.text("SubnetId");
    let gateway = input.text("GatewayId");
    ready(input)?;
    let holder = match (subnet, gateway) {
        (Some(holder), None) | (None, Some(holder)) => holder,
        (Some(_), Some(_)) => {
            return Err(combination(
                "Only one of SubnetId and GatewayId may be specified",
            ));
        }
        (None, None) => {
            return Err(Refusal::new(
                "MissingParameter",
                "Either 'subnetId' or 'gatewayId' should be provided",
            ));
        }
    };
    let id = state.associate_route_table(&table, &holder)?;
    Ok(associated(&id, "associationId"))
}

fn disassociate(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("AssociationId")?;
    ready(input)?;
    state.disassociate_route_table(&id)?;
    Ok(done())
}

fn replace(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("AssociationId")?;
    let table = input.need("RouteTableId")?;
    ready(input)?;
    let id = state.replace_association(&id, &table)?;
    Ok(associated(&id, "newAssociationId"))
}
