//! VPC peering connections.

use super::{
    done,
    listing::{Listing, read_tags, write_tags},
    ready,
};
use crate::{
    state::{
        Answer, Peering, State,
        ec2_id::Kind,
        peering::{NewPeering, PeerVpc, Status},
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateVpcPeeringConnection" => create(input, state),
        "DescribeVpcPeeringConnections" => describe(input, state),
        "AcceptVpcPeeringConnection" => accept(input, state),
        "RejectVpcPeeringConnection" => reject(input, state),
        "DeleteVpcPeeringConnection" => delete(input, state),
        "ModifyVpcPeeringConnectionOptions" => modify(input, state),
        _ => return None,
    })
}

const PEERINGS: Listing = Listing {
    ids: "VpcPeeringConnectionId",
    kind: Kind::Peering,
    filters: &[
        ("accepter-vpc-info.cidr-block", "accepterVpcInfo/cidrBlock"),
        ("accepter-vpc-info.owner-id", "accepterVpcInfo/ownerId"),
        ("accepter-vpc-info.vpc-id", "accepterVpcInfo/vpcId"),
        ("expiration-time", "expirationTime"),
        (
            "requester-vpc-info.cidr-block",
            "requesterVpcInfo/cidrBlock",
        ),
        ("requester-vpc-info.owner-id", "requesterVpcInfo/ownerId"),
        ("requester-vpc-info.vpc-id", "requesterVpcInfo/vpcId"),
        ("status-code", "status/code"),
        ("status-message", "status/message"),
        ("vpc-peering-connection-id", "vpcPeeringConnectionId"),
    ],
    sizes: (5, 1000),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    PEERINGS.answer(
        input,
        state,
        &state.peerings,
        "vpcPeeringConnectionSet",
        |xml, peering| write(xml, state, peering, peering.status.as_str()),
    )
}

fn write(xml: &mut Xml, state: &State, peering: &Peering, code: &str) {
    let message = match peering.status {
        _ if code == "initiating-request" => {
            format!("Initiating Request to {}", peering.accepter.owner)
        }
        Status::PendingAcceptance => {
            format!("Pending Acceptance by {}", peering.accepter.owner)
        }
        Status::Active => "Active".to_owned(),
        Status::Rejected => format!("Rejected by {}", peering.accepter.owner),
        Status::Failed => {
            "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range".to_owned()
        }
        Status::Deleted => format!("Deleted by {}", state.account),
    };
    xml.leaf("vpcPeeringConnectionId", &peering.id);
    xml.nest("requesterVpcInfo", |xml| {
        write_side(xml, state, &peering.requester);
    });
    xml.nest("accepterVpcInfo", |xml| {
        write_side(xml, state, &peering.accepter);
    });
    xml.nest("status", |xml| {
        xml.leaf("code", code).leaf("message", message);
    });
    write_tags(xml, state.tags.get(&peering.id));
}

fn write_side(xml: &mut Xml, state: &State, side: &PeerVpc) {
    xml.leaf("vpcId", &side.vpc_id)
        .leaf("ownerId", &side.owner)
        .leaf("region", &side.region);
    let here = side.owner == state.account && side.region == state.region;
    if let Some(vpc) = state.vpcs.get(&side.vpc_id).filter(|_| here) {
        xml.leaf("cidrBlock", vpc.cidr);
        xml.list("cidrBlockSet", "item", &vpc.cidrs, |xml, own| {
            xml.leaf("cidrBlock", own.range);
        });
        xml.list("ipv6CidrBlockSet", "item", &vpc.ipv6, |xml, own| {
            xml.leaf("ipv6CidrBlock", own.range);
        });
    }
    xml.nest("peeringOptions", |xml| {
        xml.leaf("allowDnsResolutionFromRemoteVpc", side.dns_resolution)
            .leaf("allowEgressFromLocalClassicLinkToRemoteVpc", false)
            .leaf("allowEgressFromLocalVpcToRemoteClassicLink", false);
    });
}

fn shown(state: &State, id: &str, code: Option<&str>) -> Answer<Xml> {
    let peering = state.peering(id)?;
    let code = code.unwrap_or(peering.status.as_str());
    let mut xml = Xml::default();
    xml.nest("vpcPeeringConnection", |xml| {
        write(xml, state, peering, code);
    });
    Ok(xml)
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let new = NewPeering {
        vpc_id: input.need("VpcId")?,
        peer_vpc_id: input.need("PeerVpcId")?,
        peer_owner: input.text("PeerOwnerId"),
        peer_region: input.text("PeerRegion"),
        tags: read_tags(input, "vpc-peering-connection")?,
    };
    ready(input)?;
    let id = state.create_peering(&new)?;
    shown(state, &id, Some("initiating-request"))
}

fn accept(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("VpcPeeringConnectionId")?;
    ready(input)?;
    state.accept_peering(&id)?;
    shown(state, &id, Some("provisioning"))
}

fn reject(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("VpcPeeringConnectionId")?;
    ready(input)?;
    state.reject_peering(&id)?;
    Ok(done())
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("VpcPeeringConnectionId")?;
    ready(input)?;
    state.delete_peering(&id)?;
    Ok(done())
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("VpcPeeringConnectionId")?;
    let read = |name: &str| {
        let options = input.part(name);
        options.flag("AllowEgressFromLocalClassicLinkToRemoteVpc")?;
        options.flag("AllowEgressFromLocalVpcToRemoteClassicLink")?;
        options.flag("AllowDnsResolutionFromRemoteVpc")
    };
    let requester = read("RequesterPeeringConnectionOptions")?;
    let accepter = read("AccepterPeeringConnectionOptions")?;
    ready(input)?;
    state.modify_peering(&id, requester, accepter)?;
    let mut xml = Xml::default();
    for (name, on) in [
        ("requesterPeeringConnectionOptions", requester),
        ("accepterPeeringConnectionOptions", accepter),
    ] {
        if let Some(on) = on {
            xml.nest(name, |xml| {
                xml.leaf("allowDnsResolutionFromRemoteVpc", on);
            });
        }
    }
    Ok(xml)
}
