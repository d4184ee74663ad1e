//! Security groups and their rules.

use std::collections::BTreeMap;

use super::{
    done,
    filter::Filters,
    listing::{Listing, Paging, read_tags, write_tags},
    ready,
};
use crate::{
    state::{
        Answer, Peer, Permission, Refusal, SecurityGroup, SecurityGroupRule, State,
        regions::partition, security_group::NewPermission,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeSecurityGroups" => describe_groups(input, state),
        "DescribeSecurityGroupRules" => describe_rules(input, state),
        "CreateSecurityGroup" => create(input, state),
        "DeleteSecurityGroup" => delete(input, state),
        "AuthorizeSecurityGroupIngress" => authorize(input, state, false),
        "AuthorizeSecurityGroupEgress" => authorize(input, state, true),
        "RevokeSecurityGroupIngress" => revoke(input, state, false),
        "RevokeSecurityGroupEgress" => revoke(input, state, true),
        _ => return None,
    })
}

const GROUPS: Listing = Listing {
    ids: "GroupId",
    prefix: "sg",
    not_found: "InvalidGroup.NotFound",
    malformed: "InvalidGroupId.Malformed",
    what: "security group",
    filters: &[
        "vpc-id",
        "group-name",
        "group-id",
        "description",
        "owner-id",
    ],
    most: 1000,
};

fn describe_groups(input: &Input, state: &State) -> Answer<Xml> {
    let page = GROUPS.select(input, &state.security_groups, state, |group, name| {
        vec![match name {
            "vpc-id" => group.vpc_id.clone(),
            "group-name" => group.name.clone(),
            "group-id" => group.id.clone(),
            "description" => group.description.clone(),
            _ => state.account.clone(),
        }]
    })?;
    let mut xml = Xml::default();
    xml.list(
        "securityGroupInfo",
        "item",
        page.items,
        |xml, (_, group)| {
            write_group(xml, state, group);
        },
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn group_arn(state: &State, id: &str) -> String {
    format!(
        "arn:{}:ec2:{}:{}:security-group/{id}",
        partition(&state.region),
        state.region,
        state.account
    )
}

fn write_group(xml: &mut Xml, state: &State, group: &SecurityGroup) {
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
                    if leaf == "groupId" {
                        xml.leaf("userId", &state.account);
                    }
                    xml.leaf(leaf, &rule.permission.peer)
                        .maybe("description", rule.description.as_ref());
                });
            };
            write(xml, "groups", "groupId", |peer| {
                matches!(peer, Peer::Group(_))
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

fn describe_rules(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("SecurityGroupRuleId");
    let filters = Filters::read(input, &["group-id", "security-group-rule-id"])?;
    let paging = Paging::read(input, 1000)?;
    ready(input)?;
    paging.check_alone(&ids, "SecurityGroupRuleId")?;
    let all: BTreeMap<&str, (&SecurityGroup, &SecurityGroupRule)> = state
        .security_groups
        .values()
        .flat_map(|group| {
            group
                .rules
                .iter()
                .map(move |rule| (rule.id.as_str(), (group, rule)))
        })
        .collect();
    if let Some(unknown) = ids.iter().find(|id| !all.contains_key(id.as_str())) {
        return Err(Refusal::new(
            "InvalidSecurityGroupRuleId.NotFound",
            format!("The security group rule ID '{unknown}' does not exist"),
        ));
    }
    let wanted = all.into_values().filter(|(group, rule)| {
        (ids.is_empty() || ids.contains(&rule.id))
            && filters.pass(state.tags.get(&rule.id), |name| {
                vec![if name == "group-id" {
                    group.id.clone()
                } else {
                    rule.id.clone()
                }]
            })
    });
    let page = paging.cut(wanted, |(_, rule)| rule.id.clone())?;
    let mut xml = Xml::default();
    xml.list(
        "securityGroupRuleSet",
        "item",
        page.items,
        |xml, (group, rule)| {
            write_rule(xml, state, &group.id, rule);
        },
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_rule(xml: &mut Xml, state: &State, group: &str, rule: &SecurityGroupRule) {
    let permission = &rule.permission;
    xml.leaf("securityGroupRuleId", &rule.id)
        .leaf("groupId", group)
        .leaf("groupOwnerId", &state.account)
        .leaf("isEgress", permission.egress)
        .leaf("ipProtocol", &permission.protocol)
        .leaf("fromPort", permission.from_port.unwrap_or(-1))
        .leaf("toPort", permission.to_port.unwrap_or(-1));
    match &permission.peer {
        Peer::Ipv4(range) => {
            xml.leaf("cidrIpv4", range);
        }
        Peer::Ipv6(range) => {
            xml.leaf("cidrIpv6", range);
        }
        Peer::PrefixList(id) => {
            xml.leaf("prefixListId", id);
        }
        Peer::Group(id) => {
            xml.nest("referencedGroupInfo", |xml| {
                xml.leaf("groupId", id).leaf("userId", &state.account);
            });
        }
    }
    xml.maybe("description", rule.description.as_ref());
    write_tags(xml, state.tags.get(&rule.id));
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let name = input.need("GroupName")?;
    let description = input.need("GroupDescription")?;
    let vpc = input.need("VpcId")?;
    let tags = read_tags(input, "security-group")?;
    ready(input)?;
    let id = state.create_security_group(&name, &description, &vpc, &tags)?;
    let mut xml = Xml::default();
    xml.leaf("groupId", &id)
        .leaf("securityGroupArn", group_arn(state, &id));
    write_tags(&mut xml, state.tags.get(&id));
    Ok(xml)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("GroupId")?;
    ready(input)?;
    state.delete_security_group(&id)?;
    let mut xml = done();
    xml.leaf("groupId", id);
    Ok(xml)
}

fn read_permissions(input: &Input) -> Answer<Vec<NewPermission>> {
    let mut permissions = Vec::new();
    for part in input.list("IpPermissions") {
        let peers = |list: &str, key: &str| -> Answer<Vec<(String, Option<String>)>> {
            part.list(list)
                .iter()
                .map(|peer| {
                    // The owner of a referenced group is this account.
                    peer.text("UserId");
                    Ok((peer.need(key)?, peer.text("Description")))
                })
                .collect()
        };
        permissions.push(NewPermission {
            protocol: part.need("IpProtocol")?,
            from_port: part.number("FromPort")?,
            to_port: part.number("ToPort")?,
            ipv4: peers("IpRanges", "CidrIp")?,
            ipv6: peers("Ipv6Ranges", "CidrIpv6")?,
            groups: peers("Groups", "GroupId")?,
            prefix_lists: peers("PrefixListIds", "PrefixListId")?,
        });
    }
    // The short form: one permission beside the group.
    if let Some(protocol) = input.text("IpProtocol") {
        permissions.push(NewPermission {
            protocol,
            from_port: input.number("FromPort")?,
            to_port: input.number("ToPort")?,
            ipv4: input
                .text("CidrIp")
                .into_iter()
                .map(|cidr| (cidr, None))
                .collect(),
            ..NewPermission::default()
        });
    }
    Ok(permissions)
}

fn authorize(input: &Input, state: &mut State, egress: bool) -> Answer<Xml> {
    let id = input.need("GroupId")?;
    let permissions = read_permissions(input)?;
    let tags = read_tags(input, "security-group-rule")?;
    if permissions.is_empty() {
        input.need("IpPermissions")?;
    }
    ready(input)?;
    let rules = state.authorize(&id, egress, &permissions, &tags)?;
    let mut xml = done();
    xml.list("securityGroupRuleSet", "item", &rules, |xml, rule| {
        write_rule(xml, state, &id, rule);
    });
    Ok(xml)
}

fn revoke(input: &Input, state: &mut State, egress: bool) -> Answer<Xml> {
    let id = input.need("GroupId")?;
    let permissions = read_permissions(input)?;
    let rule_ids = input.texts("SecurityGroupRuleId");
    if permissions.is_empty() && rule_ids.is_empty() {
        input.need("IpPermissions")?;
    }
    ready(input)?;
    let rules = state.revoke(&id, egress, &permissions, &rule_ids)?;
    let mut xml = done();
    xml.list(
        "revokedSecurityGroupRuleSet",
        "item",
        &rules,
        |xml, rule| {
            write_rule(xml, state, &id, rule);
        },
    );
    Ok(xml)
}
