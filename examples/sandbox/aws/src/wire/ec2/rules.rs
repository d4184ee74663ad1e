//! Rules of security groups.

use std::collections::BTreeMap;

use super::{
    done,
    filter::{Filters, Known},
    listing::{Paging, read_tags, write_tags},
    ready,
    security::read_group,
};
use crate::{
    state::{
        Answer, Peer, Refusal, SecurityGroup, SecurityGroupRule, State,
        ec2_id::{Kind, combination},
        security_group::NewPermission,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeSecurityGroupRules" => describe(input, state),
        "AuthorizeSecurityGroupIngress" => authorize(input, state, false),
        "AuthorizeSecurityGroupEgress" => authorize(input, state, true),
        "RevokeSecurityGroupIngress" => revoke(input, state, false),
        "RevokeSecurityGroupEgress" => revoke(input, state, true),
        "ModifySecurityGroupRules" => modify(input, state),
        "UpdateSecurityGroupRuleDescriptionsIngress" => redescribe(input, state, false),
        "UpdateSecurityGroupRuleDescriptionsEgress" => redescribe(input, state, true),
        _ => return None,
    })
}

/// Filters of DescribeSecurityGroupRules.
const FILTERS: &Known = &[
    ("group-id", "groupId"),
    ("security-group-rule-id", "securityGroupRuleId"),
];

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("SecurityGroupRuleId");
    let filters = Filters::read(input, FILTERS, true)?;
    let paging = Paging::read(input, (5, 1000))?;
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
    for id in &ids {
        Kind::SecurityGroupRule.check_form(id)?;
        if !all.contains_key(id.as_str()) {
            return Err(Kind::SecurityGroupRule.not_found(id));
        }
    }
    let wanted = all.into_values().filter(|(group, rule)| {
        (ids.is_empty() || ids.contains(&rule.id))
            && filters.pass(state.tags.get(&rule.id), || {
                let mut xml = Xml::default();
                write(&mut xml, state, &group.id, rule);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |(_, rule)| rule.id.clone())?;
    let mut xml = Xml::default();
    xml.list(
        "securityGroupRuleSet",
        "item",
        page.items,
        |xml, (group, rule)| write(xml, state, &group.id, rule),
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// The account of a group that is the other end of a rule.
pub(super) fn owner_of<'a>(state: &'a State, peer: &'a Peer) -> &'a str {
    match peer {
        Peer::ForeignGroup { owner, .. } => owner,
        _ => &state.account,
    }
}

fn write(xml: &mut Xml, state: &State, group: &str, rule: &SecurityGroupRule) {
    let permission = &rule.permission;
    let arn = state.ec2_arn(&state.account, &format!("security-group-rule/{}", rule.id));
    xml.leaf("securityGroupRuleId", &rule.id)
        .leaf("securityGroupRuleArn", arn)
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
        peer @ (Peer::Group(id) | Peer::ForeignGroup { id, .. }) => {
            xml.nest("referencedGroupInfo", |xml| {
                xml.leaf("groupId", id)
                    .leaf("userId", owner_of(state, peer));
            });
        }
    }
    xml.maybe("description", rule.description.as_ref());
    write_tags(xml, state.tags.get(&rule.id));
}

/// The groups of one permission: of this account by id or by their name in the
/// default VPC, and of other accounts by id.
fn read_groups(part: &Input, state: &State, permission: &mut NewPermission) -> Answer<()> {
    for peer in part.list("Groups") {
        let description = peer.text("Description");
        let owner = peer.text("UserId");
        // Which VPC and peering are meant follows from the group.
        peer.text("VpcId");
        peer.text("VpcPeeringConnectionId");
        peer.text("PeeringStatus");
        let id = match (peer.text("GroupId"), peer.text("GroupName")) {
            (Some(id), _) => id,
            (None, Some(name)) => state.security_group_named(&name)?.id.clone(),
            (None, None) => {
                return Err(Refusal::new(
                    "MissingParameter",
                    "The request must contain the parameter groupId",
                ));
            }
        };
        match owner.filter(|owner| *owner != state.account) {
            None => permission.groups.push((id, description)),
            Some(owner) => permission.foreign_groups.push((id, owner, description)),
        }
    }
    Ok(())
}

fn read_permission(part: &Input, state: &State) -> Answer<NewPermission> {
    let peers = |list: &str, key: &str| -> Answer<Vec<(String, Option<String>)>> {
        part.list(list)
            .iter()
            .map(|peer| Ok((peer.need(key)?, peer.text("Description"))))
            .collect()
    };
    let mut permission = NewPermission {
        protocol: part.need("IpProtocol")?,
        from_port: part.number("FromPort")?,
        to_port: part.number("ToPort")?,
        ipv4: peers("IpRanges", "CidrIp")?,
        ipv6: peers("Ipv6Ranges", "CidrIpv6")?,
        prefix_lists: peers("PrefixListIds", "PrefixListId")?,
        ..NewPermission::default()
    };
    read_groups(part, state, &mut permission)?;
    Ok(permission)
}

/// The permissions of a call: the list, or the short form of one beside the group.
fn read_permissions(input: &Input, state: &State) -> Answer<Vec<NewPermission>> {
    let mut permissions = Vec::new();
    for part in input.list("IpPermissions") {
        permissions.push(read_permission(&part, state)?);
    }
    let protocol = input.text("IpProtocol");
    let cidr = input.text("CidrIp");
    let source = input.text("SourceSecurityGroupName");
    let owner = input.text("SourceSecurityGroupOwnerId");
    let ports = (input.number("FromPort")?, input.number("ToPort")?);
    let short = protocol.is_some()
        || cidr.is_some()
        || source.is_some()
        || owner.is_some()
        || ports != (None, None);
    if !short {
        return Ok(permissions);
    }
    if !permissions.is_empty() {
        return Err(combination(
            "The parameter 'ipPermissions' may not be used in combination with 'ipProtocol', 'cidrIp', 'fromPort', 'toPort' and 'sourceSecurityGroupName'",
        ));
    }
    let mut permission = NewPermission {
        from_port: ports.0,
        to_port: ports.1,
        ..NewPermission::default()
    };
    match (source, protocol) {
        // A group as source lets everything in.
        (Some(name), None) => {
            "-1".clone_into(&mut permission.protocol);
            let id = state.security_group_named(&name)?.id.clone();
            permission.groups.push((id, None));
        }
        (Some(_), Some(_)) => {
            return Err(combination(
                "The parameter 'ipProtocol' may not be used in combination with 'sourceSecurityGroupName'",
            ));
        }
        (None, Some(protocol)) => {
            permission.protocol = protocol;
            permission.ipv4.extend(cidr.map(|cidr| (cidr, None)));
        }
        (None, None) => {
            return Err(Refusal::new(
                "MissingParameter",
                "The request must contain the parameter ipProtocol",
            ));
        }
    }
    Ok(vec![permission])
}

fn no_permissions() -> Refusal {
    Refusal::new(
        "MissingParameter",
        "The request must contain the parameter ipPermissions",
    )
}

fn authorize(input: &Input, state: &mut State, egress: bool) -> Answer<Xml> {
    let id = read_group(input, state)?;
    let permissions = read_permissions(input, state)?;
    let tags = read_tags(input, "security-group-rule")?;
    ready(input)?;
    if permissions.is_empty() {
        return Err(no_permissions());
    }
    let rules = state.authorize(&id, egress, &permissions, &tags)?;
    let mut xml = done();
    xml.list("securityGroupRuleSet", "item", &rules, |xml, rule| {
        write(xml, state, &id, rule);
    });
    Ok(xml)
}

fn revoke(input: &Input, state: &mut State, egress: bool) -> Answer<Xml> {
    let id = read_group(input, state)?;
    let permissions = read_permissions(input, state)?;
    let rule_ids = input.texts("SecurityGroupRuleId");
    ready(input)?;
    match (permissions.is_empty(), rule_ids.is_empty()) {
        (true, true) => return Err(no_permissions()),
        (false, false) => {
            return Err(combination(
                "The parameter 'ipPermissions' may not be used in combination with 'securityGroupRuleIds'",
            ));
        }
        _ => {}
    }
    let rules = state.revoke(&id, egress, &permissions, &rule_ids)?;
    let mut xml = done();
    xml.list(
        "revokedSecurityGroupRuleSet",
        "item",
        &rules,
        |xml, rule| write_revoked(xml, &id, rule),
    );
    Ok(xml)
}

/// A rule that went, in the form that only the revoking calls have.
fn write_revoked(xml: &mut Xml, group: &str, rule: &SecurityGroupRule) {
    let permission = &rule.permission;
    xml.leaf("securityGroupRuleId", &rule.id)
        .leaf("groupId", group)
        .leaf("isEgress", permission.egress)
        .leaf("ipProtocol", &permission.protocol)
        .leaf("fromPort", permission.from_port.unwrap_or(-1))
        .leaf("toPort", permission.to_port.unwrap_or(-1));
    let name = match &permission.peer {
        Peer::Ipv4(_) => "cidrIpv4",
        Peer::Ipv6(_) => "cidrIpv6",
        Peer::PrefixList(_) => "prefixListId",
        Peer::Group(_) | Peer::ForeignGroup { .. } => "referencedGroupId",
    };
    xml.leaf(name, &permission.peer)
        .maybe("description", rule.description.as_ref());
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("GroupId")?;
    let mut changes = Vec::new();
    for change in input.list("SecurityGroupRule") {
        let rule_id = change.need("SecurityGroupRuleId")?;
        let rule = change.part("SecurityGroupRule");
        let description = rule.text("Description");
        let one = |name: &str| -> Vec<(String, Option<String>)> {
            rule.text(name)
                .map(|text| (text, description.clone()))
                .into_iter()
                .collect()
        };
        let new = NewPermission {
            protocol: rule.need("IpProtocol")?,
            from_port: rule.number("FromPort")?,
            to_port: rule.number("ToPort")?,
            ipv4: one("CidrIpv4"),
            ipv6: one("CidrIpv6"),
            groups: one("ReferencedGroupId"),
            prefix_lists: one("PrefixListId"),
            ..NewPermission::default()
        };
        changes.push((rule_id, new));
    }
    if changes.is_empty() {
        input.need("SecurityGroupRule")?;
    }
    ready(input)?;
    state.modify_rules(&id, &changes)?;
    Ok(done())
}

fn redescribe(input: &Input, state: &mut State, egress: bool) -> Answer<Xml> {
    let id = read_group(input, state)?;
    let mut permissions = Vec::new();
    for part in input.list("IpPermissions") {
        permissions.push(read_permission(&part, state)?);
    }
    let mut by_id = Vec::new();
    for part in input.list("SecurityGroupRuleDescription") {
        by_id.push((part.need("SecurityGroupRuleId")?, part.text("Description")));
    }
    ready(input)?;
    match (permissions.is_empty(), by_id.is_empty()) {
        (true, true) => return Err(no_permissions()),
        (false, false) => {
            return Err(combination(
                "The parameter 'ipPermissions' may not be used in combination with 'securityGroupRuleDescriptions'",
            ));
        }
        _ => {}
    }
    state.describe_rules_anew(&id, egress, &permissions, &by_id)?;
    Ok(done())
}
