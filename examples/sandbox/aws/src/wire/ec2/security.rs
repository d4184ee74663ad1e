//! Security groups.

use std::collections::BTreeMap;

use super::{
    done,
    filter::{Filters, Known},
    listing::{Paging, read_tags, write_tags},
    ready,
    rules::owner_of,
};
use crate::{
    state::{
        Answer, Peer, Permission, Refusal, SecurityGroup, SecurityGroupRule, State, ec2_id::Kind,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeSecurityGroups" => describe(input, state),
        "CreateSecurityGroup" => create(input, state),
        "DeleteSecurityGroup" => delete(input, state),
        "GetSecurityGroupsForVpc" => for_vpc(input, state),
        "DescribeSecurityGroupReferences" => references(input, state),
        _ => return None,
    })
}

/// Filters of DescribeSecurityGroups.
const FILTERS: &Known = &[
    ("description", "groupDescription"),
    (
        "egress.ip-permission.cidr",
        "ipPermissionsEgress/ipRanges/cidrIp",
    ),
    (
        "egress.ip-permission.from-port",
        "ipPermissionsEgress/fromPort",
    ),
    (
        "egress.ip-permission.group-id",
        "ipPermissionsEgress/groups/groupId",
    ),
    (
        "egress.ip-permission.group-name",
        "ipPermissionsEgress/groups/groupName",
    ),
    (
        "egress.ip-permission.ipv6-cidr",
        "ipPermissionsEgress/ipv6Ranges/cidrIpv6",
    ),
    (
        "egress.ip-permission.prefix-list-id",
        "ipPermissionsEgress/prefixListIds/prefixListId",
    ),
    (
        "egress.ip-permission.protocol",
        "ipPermissionsEgress/ipProtocol",
    ),
    ("egress.ip-permission.to-port", "ipPermissionsEgress/toPort"),
    (
        "egress.ip-permission.user-id",
        "ipPermissionsEgress/groups/userId",
    ),
    ("group-id", "groupId"),
    ("group-name", "groupName"),
    ("ip-permission.cidr", "ipPermissions/ipRanges/cidrIp"),
    ("ip-permission.from-port", "ipPermissions/fromPort"),
    ("ip-permission.group-id", "ipPermissions/groups/groupId"),
    ("ip-permission.group-name", "ipPermissions/groups/groupName"),
    (
        "ip-permission.ipv6-cidr",
        "ipPermissions/ipv6Ranges/cidrIpv6",
    ),
    (
        "ip-permission.prefix-list-id",
        "ipPermissions/prefixListIds/prefixListId",
    ),
    ("ip-permission.protocol", "ipPermissions/ipProtocol"),
    ("ip-permission.to-port", "ipPermissions/toPort"),
    ("ip-permission.user-id", "ipPermissions/groups/userId"),
    ("owner-id", "ownerId"),
    ("vpc-id", "vpcId"),
];

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let mut ids = input.texts("GroupId");
    let names = input.texts("GroupName");
    let filters = Filters::read(input, FILTERS, true)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    paging.check_alone(&ids, "GroupId")?;
    paging.check_alone(&names, "GroupName")?;
    for id in &ids {
        Kind::SecurityGroup.check_form(id)?;
    }
    for id in &ids {
        state.security_group(id)?;
    }
    for name in &names {
        ids.push(state.security_group_named(name)?.id.clone());
    }
    let wanted = state.security_groups.values().filter(|group| {
        (ids.is_empty() || ids.contains(&group.id))
            && filters.pass(state.tags.get(&group.id), || {
                let mut xml = Xml::default();
                write(&mut xml, state, group);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |group| group.id.clone())?;
    let mut xml = Xml::default();
    xml.list("securityGroupInfo", "item", page.items, |xml, group| {
        write(xml, state, group);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn group_arn(state: &State, id: &str) -> String {
    state.ec2_arn(&state.account, &format!("security-group/{id}"))
}

fn write(xml: &mut Xml, state: &State, group: &SecurityGroup) {
    xml.leaf("ownerId", &state.account)
        .leaf("groupId", &group.id)
        .leaf("groupName", &group.name)
        .leaf("groupDescription", &group.description)
        .leaf("vpcId", &group.vpc_id)
        .leaf("securityGroupArn", group_arn(state, &group.id));
    write_permissions(xml, state, "ipPermissions", group, false);
    write_permissions(xml, state, "ipPermissionsEgress", group, true);
    write_tags(xml, state.tags.get(&group.id));
}

/// Rules of one direction, grouped by protocol and ports.
fn write_permissions(
    xml: &mut Xml,
    state: &State,
    name: &str,
    group: &SecurityGroup,
    egress: bool,
) {
    type Ports<'a> = (&'a str, Option<i32>, Option<i32>);
    let mut permissions: BTreeMap<Ports, Vec<&SecurityGroupRule>> = BTreeMap::new();
    for rule in group
        .rules
        .iter()
        .filter(|rule| rule.permission.egress == egress)
    {
        let Permission {
            protocol,
            from_port,
            to_port,
            ..
        } = &rule.permission;
        permissions
            .entry((protocol.as_str(), *from_port, *to_port))
            .or_default()
            .push(rule);
    }
    xml.list(
        name,
        "item",
        permissions,
        |xml, ((protocol, from, to), rules)| {
            xml.leaf("ipProtocol", protocol)
                .maybe("fromPort", from)
                .maybe("toPort", to);
            let write = |xml: &mut Xml, list: &str, leaf: &str, wanted: fn(&Peer) -> bool| {
                let rules = rules.iter().filter(|rule| wanted(&rule.permission.peer));
                xml.list(list, "item", rules, |xml, rule| {
                    let peer = &rule.permission.peer;
                    if leaf == "groupId" {
                        xml.leaf("userId", owner_of(state, peer));
                    }
                    xml.leaf(leaf, peer)
                        .maybe("description", rule.description.as_ref());
                });
            };
            write(xml, "groups", "groupId", |peer| {
                matches!(peer, Peer::Group(_) | Peer::ForeignGroup { .. })
            });
            write(xml, "ipRanges", "cidrIp", |peer| {
                matches!(peer, Peer::Ipv4(_))
            });
            write(xml, "ipv6Ranges", "cidrIpv6", |peer| {
                matches!(peer, Peer::Ipv6(_))
            });
            write(xml, "prefixListIds", "prefixListId", |peer| {
                matches!(peer, Peer::PrefixList(_))
            });
        },
    );
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let name = input.need("GroupName")?;
    let description = input.need("GroupDescription")?;
    let vpc = input.text("VpcId").unwrap_or_default();
    let tags = read_tags(input, "security-group")?;
    ready(input)?;
    let id = state.create_security_group(&name, &description, &vpc, &tags)?;
    let mut xml = done();
    xml.leaf("groupId", &id)
        .leaf("securityGroupArn", group_arn(state, &id));
    write_tags(&mut xml, state.tags.get(&id));
    Ok(xml)
}

/// The group that a call names by id, or by its name in the default VPC.
pub(super) fn read_group(input: &Input, state: &State) -> Answer<String> {
    let id = input.text("GroupId");
    let name = input.text("GroupName");
    match (id, name) {
        (Some(id), _) => Ok(state.security_group(&id)?.id.clone()),
        (None, Some(name)) => Ok(state.security_group_named(&name)?.id.clone()),
        (None, None) => Err(Refusal::new(
            "MissingParameter",
            "The request must contain the parameter groupName or groupId",
        )),
    }
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = read_group(input, state)?;
    ready(input)?;
    state.delete_security_group(&id)?;
    let mut xml = done();
    xml.leaf("groupId", id);
    Ok(xml)
}

/// Filters of GetSecurityGroupsForVpc.
const FOR_VPC: &Known = &[
    ("group-id", "groupId"),
    ("description", "description"),
    ("group-name", "groupName"),
    ("owner-id", "ownerId"),
    ("primary-vpc-id", "primaryVpcId"),
];

fn for_vpc(input: &Input, state: &State) -> Answer<Xml> {
    let vpc_id = input.need("VpcId")?;
    let filters = Filters::read(input, FOR_VPC, true)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    state.vpc(&vpc_id)?;
    let write = |xml: &mut Xml, group: &SecurityGroup| {
        xml.leaf("description", &group.description)
            .leaf("groupName", &group.name)
            .leaf("ownerId", &state.account)
            .leaf("groupId", &group.id)
            .leaf("primaryVpcId", &group.vpc_id);
        write_tags(xml, state.tags.get(&group.id));
    };
    let wanted = state.security_groups.values().filter(|group| {
        group.vpc_id == vpc_id
            && filters.pass(state.tags.get(&group.id), || {
                let mut xml = Xml::default();
                write(&mut xml, group);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |group| group.id.clone())?;
    let mut xml = Xml::default();
    xml.list("securityGroupForVpcSet", "item", page.items, write);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// The VPCs on the other side of a peering whose groups name these groups.
fn references(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("GroupId");
    if ids.is_empty() {
        input.need("GroupId")?;
    }
    ready(input)?;
    let mut found = Vec::new();
    for id in &ids {
        let group = state.security_group(id)?;
        for other in state.namers_of_group(id) {
            if other.vpc_id == group.vpc_id {
                continue;
            }
            let peering = state.peerings.values().find(|peering| {
                let ends = [&peering.requester.vpc_id, &peering.accepter.vpc_id];
                ends.contains(&&other.vpc_id) && ends.contains(&&group.vpc_id)
            });
            let peering = peering.map(|peering| peering.id.clone());
            found.push((id, other.vpc_id.clone(), peering));
        }
    }
    let mut xml = Xml::default();
    xml.list(
        "securityGroupReferenceSet",
        "item",
        found,
        |xml, (id, vpc_id, peering)| {
            xml.leaf("groupId", id)
                .leaf("referencingVpcId", vpc_id)
                .maybe("vpcPeeringConnectionId", peering);
        },
    );
    Ok(xml)
}
