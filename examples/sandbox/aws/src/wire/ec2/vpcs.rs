//! VPCs, their ranges and attributes, and their network ACLs.

use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    done,
    listing::{Listing, read_tags, write_tags},
    ready,
};
use crate::{
    state::{
        Answer, Refusal, State, Subnet, Vpc,
        cidr::{Added, Association},
        ec2_id::{Kind, combination},
        vpc::{NewVpc, VpcAttribute},
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateVpc" => create(input, state),
        "CreateDefaultVpc" => create_default(input, state),
        "DescribeVpcs" => describe(input, state),
        "DeleteVpc" => delete(input, state),
        "DescribeVpcAttribute" => describe_attribute(input, state),
        "ModifyVpcAttribute" => modify_attribute(input, state),
        "AssociateVpcCidrBlock" => associate(input, state),
        "DisassociateVpcCidrBlock" => disassociate(input, state),
        "DescribeNetworkAcls" => describe_acls(input, state),
        _ => return None,
    })
}

const VPCS: Listing = Listing {
    ids: "VpcId",
    kind: Kind::Vpc,
    filters: &[
        ("cidr", "cidrBlock"),
        ("cidrBlock", "cidrBlock"),
        (
            "cidr-block-association.cidr-block",
            "cidrBlockAssociationSet/cidrBlock",
        ),
        (
            "cidr-block-association.association-id",
            "cidrBlockAssociationSet/associationId",
        ),
        (
            "cidr-block-association.state",
            "cidrBlockAssociationSet/cidrBlockState/state",
        ),
        ("dhcp-options-id", "dhcpOptionsId"),
        (
            "ipv6-cidr-block-association.ipv6-cidr-block",
            "ipv6CidrBlockAssociationSet/ipv6CidrBlock",
        ),
        (
            "ipv6-cidr-block-association.ipv6-pool",
            "ipv6CidrBlockAssociationSet/ipv6Pool",
        ),
        (
            "ipv6-cidr-block-association.association-id",
            "ipv6CidrBlockAssociationSet/associationId",
        ),
        (
            "ipv6-cidr-block-association.state",
            "ipv6CidrBlockAssociationSet/ipv6CidrBlockState/state",
        ),
        ("is-default", "isDefault"),
        ("isDefault", "isDefault"),
        ("owner-id", "ownerId"),
        ("state", "state"),
        ("vpc-id", "vpcId"),
    ],
    sizes: (5, 1000),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    VPCS.answer(input, state, &state.vpcs, "vpcSet", |xml, vpc| {
        write(xml, state, vpc, "available");
    })
}

fn write(xml: &mut Xml, state: &State, vpc: &Vpc, now: &str) {
    xml.leaf("vpcId", &vpc.id)
        .leaf("ownerId", &state.account)
        .leaf("state", now)
        .leaf("cidrBlock", vpc.cidr)
        .leaf("dhcpOptionsId", &vpc.dhcp_options)
        .leaf("instanceTenancy", &vpc.tenancy)
        .leaf("isDefault", vpc.is_default);
    xml.list("cidrBlockAssociationSet", "item", &vpc.cidrs, |xml, own| {
        write_ipv4(xml, own, "associated");
    });
    xml.list(
        "ipv6CidrBlockAssociationSet",
        "item",
        &vpc.ipv6,
        |xml, own| {
            write_ipv6(xml, state, own, "associated");
        },
    );
    write_tags(xml, state.tags.get(&vpc.id));
}

fn write_ipv4(xml: &mut Xml, own: &Association<Ipv4Net>, now: &str) {
    xml.leaf("cidrBlock", own.range)
        .leaf("associationId", &own.id);
    xml.nest("cidrBlockState", |xml| {
        xml.leaf("state", now);
    });
}

fn write_ipv6(xml: &mut Xml, state: &State, own: &Association<Ipv6Net>, now: &str) {
    xml.leaf("ipv6CidrBlock", own.range)
        .leaf("associationId", &own.id)
        .leaf("networkBorderGroup", &state.region)
        .leaf("ipv6Pool", "Amazon")
        .leaf("ipSource", "amazon");
    xml.nest("ipv6CidrBlockState", |xml| {
        xml.leaf("state", now);
    });
}

/// Refuses ranges out of pools, of which this AWS has none for VPCs.
fn no_pools(input: &Input, state: &State) -> Answer<()> {
    for name in ["Ipv4IpamPoolId", "Ipv6IpamPoolId"] {
        if let Some(id) = input.text(name) {
            if state.outside.has_ipam_pool(&id) {
                return Err(Refusal::new(
                    "UnsupportedOperation",
                    format!("The pool '{id}' gives no ranges to VPCs here."),
                ));
            }
            return Err(Refusal::new(
                "InvalidIpamPoolId.NotFound",
                format!("The ipam-pool ID '{id}' does not exist"),
            ));
        }
    }
    if let Some(id) = input.text("Ipv6Pool").or(input.text("Ipv6CidrBlock")) {
        return Err(Refusal::new(
            "InvalidPoolID.NotFound",
            format!("There is no IPv6 pool of yours for '{id}'"),
        ));
    }
    Ok(())
}

/// The border group, which can only be the region itself.
fn check_border_group(input: &Input, state: &State, amazon_ipv6: bool) -> Answer<()> {
    let Some(group) = input.text("Ipv6CidrBlockNetworkBorderGroup") else {
        return Ok(());
    };
    if !amazon_ipv6 {
        return Err(combination(
            "Ipv6CidrBlockNetworkBorderGroup needs AmazonProvidedIpv6CidrBlock",
        ));
    }
    if group != state.region {
        return Err(Refusal::parameter(format!(
            "Value ({group}) for parameter ipv6CidrBlockNetworkBorderGroup is invalid."
        )));
    }
    Ok(())
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    no_pools(input, state)?;
    let amazon_ipv6 = input.flag("AmazonProvidedIpv6CidrBlock")?.unwrap_or(false);
    check_border_group(input, state, amazon_ipv6)?;
    let new = NewVpc {
        cidr: input.need("CidrBlock")?,
        tenancy: input.text("InstanceTenancy"),
        amazon_ipv6,
        tags: read_tags(input, "vpc")?,
    };
    ready(input)?;
    let id = state.make_vpc(&new)?;
    created(state, &id)
}

/// A VPC that was just made is pending in the answer and available afterwards.
fn created(state: &State, id: &str) -> Answer<Xml> {
    let vpc = state.vpc(id)?;
    let mut xml = Xml::default();
    xml.nest("vpc", |xml| write(xml, state, vpc, "pending"));
    Ok(xml)
}

fn create_default(input: &Input, state: &mut State) -> Answer<Xml> {
    ready(input)?;
    let id = state.create_default_vpc()?;
    created(state, &id)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("VpcId")?;
    ready(input)?;
    state.delete_vpc(&id)?;
    Ok(done())
}

fn describe_attribute(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("VpcId")?;
    let attribute = input.need("Attribute")?;
    ready(input)?;
    let vpc = state.vpc(&id)?;
    let on = match attribute.as_str() {
        "enableDnsSupport" => vpc.attributes.dns_support,
        "enableDnsHostnames" => vpc.attributes.dns_hostnames,
        "enableNetworkAddressUsageMetrics" => vpc.attributes.usage_metrics,
        other => {
            return Err(Refusal::parameter(format!(
                "Value ({other}) for parameter attribute is invalid. Unknown attribute."
            )));
        }
    };
    let mut xml = Xml::default();
    xml.leaf("vpcId", &vpc.id).nest(&attribute, |xml| {
        xml.leaf("value", on);
    });
    Ok(xml)
}

fn modify_attribute(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("VpcId")?;
    let mut changes = Vec::new();
    for (name, attribute) in [
        ("EnableDnsSupport", VpcAttribute::DnsSupport),
        ("EnableDnsHostnames", VpcAttribute::DnsHostnames),
        (
            "EnableNetworkAddressUsageMetrics",
            VpcAttribute::UsageMetrics,
        ),
    ] {
        if let Some(on) = input.part(name).flag("Value")? {
            changes.push((attribute, on));
        }
    }
    ready(input)?;
    match changes.as_slice() {
        [(attribute, on)] => state.modify_vpc(&id, *attribute, *on)?,
        [] => return Err(combination("No attributes specified.")),
        _ => return Err(combination("Fields for multiple attribute types specified")),
    }
    Ok(done())
}

/// The answer about one range that comes or goes.
fn changed(state: &State, vpc_id: &str, range: &Added, now: &str) -> Xml {
    let mut xml = Xml::default();
    xml.leaf("vpcId", vpc_id);
    match range {
        Added::Ipv4(own) => xml.nest("cidrBlockAssociation", |xml| write_ipv4(xml, own, now)),
        Added::Ipv6(own) => xml.nest("ipv6CidrBlockAssociation", |xml| {
            write_ipv6(xml, state, own, now);
        }),
    };
    xml
}

fn associate(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("VpcId")?;
    no_pools(input, state)?;
    let cidr = input.text("CidrBlock");
    let amazon_ipv6 = input.flag("AmazonProvidedIpv6CidrBlock")?.unwrap_or(false);
    check_border_group(input, state, amazon_ipv6)?;
    ready(input)?;
    let added = state.associate_vpc_cidr(&id, cidr.as_deref(), amazon_ipv6)?;
    Ok(changed(state, &id, &added, "associating"))
}

fn disassociate(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("AssociationId")?;
    ready(input)?;
    let (vpc_id, gone) = state.disassociate_vpc_cidr(&id)?;
    Ok(changed(state, &vpc_id, &gone, "disassociating"))
}

const ACLS: Listing = Listing {
    ids: "NetworkAclId",
    kind: Kind::NetworkAcl,
    filters: &[
        (
            "association.association-id",
            "associationSet/networkAclAssociationId",
        ),
        ("association.network-acl-id", "associationSet/networkAclId"),
        ("association.subnet-id", "associationSet/subnetId"),
        ("default", "default"),
        ("entry.cidr", "entrySet/cidrBlock"),
        ("entry.egress", "entrySet/egress"),
        ("entry.icmp.code", "entrySet/icmpTypeCode/code"),
        ("entry.icmp.type", "entrySet/icmpTypeCode/type"),
        ("entry.ipv6-cidr", "entrySet/ipv6CidrBlock"),
        ("entry.port-range.from", "entrySet/portRange/from"),
        ("entry.port-range.to", "entrySet/portRange/to"),
        ("entry.protocol", "entrySet/protocol"),
        ("entry.rule-action", "entrySet/ruleAction"),
        ("entry.rule-number", "entrySet/ruleNumber"),
        ("network-acl-id", "networkAclId"),
        ("owner-id", "ownerId"),
        ("vpc-id", "vpcId"),
    ],
    sizes: (5, 1000),
};

/// The network ACLs: each VPC has the one that it was made with.
fn describe_acls(input: &Input, state: &State) -> Answer<Xml> {
    let all = state
        .vpcs
        .values()
        .map(|vpc| (vpc.network_acl.as_str(), vpc));
    let page = ACLS.select(input, state, all, |xml, vpc| write_acl(xml, state, vpc))?;
    let mut xml = Xml::default();
    xml.list("networkAclSet", "item", page.items, |xml, (_, vpc)| {
        write_acl(xml, state, vpc);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_acl(xml: &mut Xml, state: &State, vpc: &Vpc) {
    xml.leaf("networkAclId", &vpc.network_acl)
        .leaf("vpcId", &vpc.id)
        .leaf("ownerId", &state.account)
        .leaf("default", true);
    let families = 1 + usize::from(!vpc.ipv6.is_empty());
    let entries = [true, false].into_iter().flat_map(|egress| {
        [("cidrBlock", "0.0.0.0/0", 0), ("ipv6CidrBlock", "::/0", 1)]
            .into_iter()
            .take(families)
            .flat_map(move |(name, range, step)| {
                [(100 + step, "allow"), (32767 + step, "deny")]
                    .map(|(number, action)| (egress, name, range, number, action))
            })
    });
    xml.list(
        "entrySet",
        "item",
        entries,
        |xml, (egress, name, range, number, action)| {
            xml.leaf("ruleNumber", number)
                .leaf("protocol", "-1")
                .leaf("ruleAction", action)
                .leaf("egress", egress)
                .leaf(name, range);
        },
    );
    let subnets = state
        .subnets
        .values()
        .filter(|subnet: &&Subnet| subnet.vpc_id == vpc.id);
    xml.list("associationSet", "item", subnets, |xml, subnet| {
        xml.leaf("networkAclAssociationId", &subnet.acl_association)
            .leaf("networkAclId", &vpc.network_acl)
            .leaf("subnetId", &subnet.id);
    });
    write_tags(xml, state.tags.get(&vpc.network_acl));
}
