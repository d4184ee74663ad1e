//! Internet gateways, egress-only internet gateways, NAT gateways.

use jiff::Timestamp;

use super::{
    done,
    filter::Filters,
    listing::{Listing, Paging, read_tags, write_tags},
    once, parse, ready,
};
use crate::{
    state::{
        Answer, EgressOnlyGateway, InternetGateway, NatGateway, Refusal, State, ec2_id::Kind,
        gateway::NewNatGateway,
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
        "CreateInternetGateway" => create(input, state),
        "DescribeInternetGateways" => describe(input, state),
        "AttachInternetGateway" => attach(input, state),
        "DetachInternetGateway" => detach(input, state),
        "DeleteInternetGateway" => delete(input, state),
        "CreateEgressOnlyInternetGateway" => create_egress_only(input, state),
        "DescribeEgressOnlyInternetGateways" => describe_egress_only(input, state),
        "DeleteEgressOnlyInternetGateway" => delete_egress_only(input, state),
        "CreateNatGateway" => create_nat(input, state, now),
        "DescribeNatGateways" => describe_nat(input, state),
        "DeleteNatGateway" => delete_nat(input, state, now),
        _ => return None,
    })
}

const GATEWAYS: Listing = Listing {
    ids: "InternetGatewayId",
    kind: Kind::InternetGateway,
    filters: &[
        ("attachment.state", "attachmentSet/state"),
        ("attachment.vpc-id", "attachmentSet/vpcId"),
        ("internet-gateway-id", "internetGatewayId"),
        ("owner-id", "ownerId"),
    ],
    sizes: (5, 1000),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let all = &state.internet_gateways;
    GATEWAYS.answer(input, state, all, "internetGatewaySet", |xml, gateway| {
        write(xml, state, gateway);
    })
}

fn write(xml: &mut Xml, state: &State, gateway: &InternetGateway) {
    xml.leaf("internetGatewayId", &gateway.id)
        .leaf("ownerId", &state.account);
    xml.list(
        "attachmentSet",
        "item",
        gateway.vpc_id.iter(),
        |xml, vpc_id| {
            // The word that AWS shows here instead of `attached`.
            xml.leaf("vpcId", vpc_id).leaf("state", "available");
        },
    );
    write_tags(xml, state.tags.get(&gateway.id));
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let tags = read_tags(input, "internet-gateway")?;
    ready(input)?;
    let id = state.create_internet_gateway(&tags)?;
    let mut xml = Xml::default();
    if let Some(gateway) = state.internet_gateways.get(&id) {
        xml.nest("internetGateway", |xml| write(xml, state, gateway));
    }
    Ok(xml)
}

fn attach(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("InternetGatewayId")?;
    let vpc = input.need("VpcId")?;
    ready(input)?;
    state.attach_internet_gateway(&id, &vpc)?;
    Ok(done())
}

fn detach(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("InternetGatewayId")?;
    let vpc = input.need("VpcId")?;
    ready(input)?;
    state.detach_internet_gateway(&id, &vpc)?;
    Ok(done())
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("InternetGatewayId")?;
    ready(input)?;
    state.delete_internet_gateway(&id)?;
    Ok(done())
}

const EGRESS_ONLY: Listing = Listing {
    ids: "EgressOnlyInternetGatewayId",
    kind: Kind::EgressOnlyGateway,
    filters: &[],
    sizes: (5, 255),
};

fn describe_egress_only(input: &Input, state: &State) -> Answer<Xml> {
    let all = &state.egress_only_gateways;
    let name = "egressOnlyInternetGatewaySet";
    EGRESS_ONLY.answer(input, state, all, name, |xml, gateway| {
        write_egress_only(xml, state, gateway);
    })
}

fn write_egress_only(xml: &mut Xml, state: &State, gateway: &EgressOnlyGateway) {
    xml.leaf("egressOnlyInternetGatewayId", &gateway.id);
    xml.list("attachmentSet", "item", [&gateway.vpc_id], |xml, vpc_id| {
        xml.leaf("vpcId", vpc_id).leaf("state", "attached");
    });
    write_tags(xml, state.tags.get(&gateway.id));
}

fn create_egress_only(input: &Input, state: &mut State) -> Answer<Xml> {
    let vpc = input.need("VpcId")?;
    let tags = read_tags(input, "egress-only-internet-gateway")?;
    let token = input.text("ClientToken");
    ready(input)?;
    let action = "CreateEgressOnlyInternetGateway";
    let ids = once(action, token.clone(), input, state, |state| {
        Ok(vec![state.create_egress_only_gateway(&vpc, &tags)?])
    })?;
    let mut xml = Xml::default();
    xml.maybe("clientToken", token);
    if let Some(gateway) = ids
        .first()
        .and_then(|id| state.egress_only_gateways.get(id))
    {
        xml.nest("egressOnlyInternetGateway", |xml| {
            write_egress_only(xml, state, gateway);
        });
    }
    Ok(xml)
}

fn delete_egress_only(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("EgressOnlyInternetGatewayId")?;
    ready(input)?;
    state.delete_egress_only_gateway(&id)?;
    let mut xml = Xml::default();
    xml.leaf("returnCode", true);
    Ok(xml)
}

/// Filters of DescribeNatGateways.
const NAT_FILTERS: &super::filter::Known = &[
    ("nat-gateway-id", "natGatewayId"),
    ("state", "state"),
    ("subnet-id", "subnetId"),
    ("vpc-id", "vpcId"),
];

fn describe_nat(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("NatGatewayId");
    let filters = Filters::read(input, NAT_FILTERS, true)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    paging.check_alone(&ids, "NatGatewayId")?;
    for id in &ids {
        Kind::NatGateway.check_form(id)?;
        if !state.nat_gateways.contains_key(id) {
            return Err(Refusal::new(
                "NatGatewayNotFound",
                format!("The Nat Gateway {id} was not found"),
            ));
        }
    }
    let wanted = state.nat_gateways.values().filter(|gateway| {
        (ids.is_empty() || ids.contains(&gateway.id))
            && filters.pass(state.tags.get(&gateway.id), || {
                let mut xml = Xml::default();
                write_nat(&mut xml, state, gateway);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |gateway| gateway.id.clone())?;
    let mut xml = Xml::default();
    xml.list("natGatewaySet", "item", page.items, |xml, gateway| {
        write_nat(xml, state, gateway);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_nat(xml: &mut Xml, state: &State, gateway: &NatGateway) {
    xml.leaf("natGatewayId", &gateway.id)
        .leaf("vpcId", &gateway.vpc_id)
        .leaf("subnetId", &gateway.subnet_id)
        .leaf("state", gateway.state.as_str())
        .leaf(
            "connectivityType",
            if gateway.public { "public" } else { "private" },
        )
        .leaf("availabilityMode", "zonal")
        .leaf("createTime", time(gateway.created))
        .maybe("deleteTime", gateway.deleted.map(time));
    let address = state.address_at(&gateway.interface, gateway.private_ip);
    xml.list("natGatewayAddressSet", "item", [gateway], |xml, gateway| {
        xml.leaf("networkInterfaceId", &gateway.interface)
            .leaf("privateIp", gateway.private_ip)
            .leaf("isPrimary", true)
            .leaf("status", "succeeded")
            .maybe("publicIp", address.map(|address| address.public_ip))
            .maybe("allocationId", address.map(|address| &address.id));
        let association = address.and_then(|address| address.association.as_ref());
        xml.maybe(
            "associationId",
            association.map(|association| &association.id),
        );
    });
    write_tags(xml, state.tags.get(&gateway.id));
}

fn create_nat(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let new = NewNatGateway {
        subnet_id: input.need("SubnetId")?,
        private: match input.text("ConnectivityType").as_deref() {
            None | Some("public") => false,
            Some("private") => true,
            Some(other) => {
                return Err(Refusal::parameter(format!(
                    "Value ({other}) for parameter connectivityType is invalid."
                )));
            }
        },
        allocation_id: input.text("AllocationId"),
        private_ip: match input.text("PrivateIpAddress") {
            Some(text) => Some(parse("privateIpAddress", &text)?),
            None => None,
        },
        tags: read_tags(input, "natgateway")?,
    };
    let token = input.text("ClientToken");
    ready(input)?;
    let ids = once("CreateNatGateway", token.clone(), input, state, |state| {
        Ok(vec![state.create_nat_gateway(&new, now)?])
    })?;
    let mut xml = Xml::default();
    xml.maybe("clientToken", token);
    if let Some(gateway) = ids.first().and_then(|id| state.nat_gateways.get(id)) {
        xml.nest("natGateway", |xml| write_nat(xml, state, gateway));
    }
    Ok(xml)
}

fn delete_nat(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("NatGatewayId")?;
    ready(input)?;
    state.delete_nat_gateway(&id, now)?;
    let mut xml = Xml::default();
    xml.leaf("natGatewayId", id);
    Ok(xml)
}
