//! Rules of security groups.

use std::collections::BTreeSet;

use super::{
    Answer, Refusal, State,
    ec2_id::{Kind, combination},
    permission::{expand, kind_of},
    security_group::{SecurityGroup, check_rule_description},
};

pub use super::permission::{NewPermission, Peer, Permission};

/// One rule of a security group: one protocol, one range of ports, one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroupRule {
    /// `sgr-…`.
    pub id: String,
    /// What it allows.
    pub permission: Permission,
    /// Free text; takes no part in equality of rules.
    pub description: Option<String>,
}

/// The two families that quotas count apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
}

impl State {
    /// AuthorizeSecurityGroupIngress and …Egress: answers the new rules; one
    /// rule that exists already refuses the whole call.
    pub fn authorize(
        &mut self,
        id: &str,
        egress: bool,
        permissions: &[NewPermission],
        tags: &[(String, String)],
    ) -> Answer<Vec<SecurityGroupRule>> {
        let tags = self.checked_ec2_tags(tags)?;
        let group = self.security_group(id)?;
        let wanted = expand(egress, permissions)?;
        for (index, (permission, description)) in wanted.iter().enumerate() {
            if wanted[..index].iter().any(|(other, _)| other == permission) {
                return Err(Refusal::parameter(
                    "The same permission must not appear multiple times",
                ));
            }
            if let Some(text) = description {
                check_rule_description(text)?;
            }
            self.check_peer(group, &permission.peer)?;
        }
        for (permission, _) in &wanted {
            if group
                .rules
                .iter()
                .any(|rule| rule.permission == *permission)
            {
                return Err(duplicate(permission));
            }
        }
        let held = group.rules.iter().map(|rule| &rule.permission);
        let added = wanted.iter().map(|(permission, _)| permission);
        self.check_quota(held, added)?;
        let rules: Vec<SecurityGroupRule> = wanted
            .into_iter()
            .map(|(permission, description)| SecurityGroupRule {
                id: self.ids.ec2("sgr"),
                permission,
                description,
            })
            .collect();
        for rule in &rules {
            if !tags.is_empty() {
                self.tags.insert(rule.id.clone(), tags.clone());
            }
        }
        if let Some(group) = self.security_groups.get_mut(id) {
            group.rules.extend(rules.clone());
        }
        Ok(rules)
    }

    /// The other end exists, and the group's VPC reaches it.
    fn check_peer(&self, group: &SecurityGroup, peer: &Peer) -> Answer<()> {
        match peer {
            Peer::Ipv4(_) | Peer::Ipv6(_) => Ok(()),
            Peer::PrefixList(id) => self.prefix_list(id).map(|_| ()),
            Peer::Group(id) => {
                let other = self.security_group(id)?;
                if other.vpc_id == group.vpc_id || self.are_peers(&other.vpc_id, &group.vpc_id) {
                    return Ok(());
                }
                Err(Refusal::new(
                    "InvalidGroup.NotFound",
                    "You have specified two resources that belong to different networks.",
                ))
            }
            Peer::ForeignGroup { id, owner } => {
                Kind::SecurityGroup.check_form(id)?;
                match self.peering_with_account(&group.vpc_id, owner) {
                    Some(_) => Ok(()),
                    None => Err(Kind::SecurityGroup.not_found(id)),
                }
            }
        }
    }

    /// How much of the quota of a direction and family a rule takes.
    fn weight(&self, permission: &Permission, family: Family) -> usize {
        match &permission.peer {
            Peer::Ipv4(_) => usize::from(family == Family::Ipv4),
            Peer::Ipv6(_) => usize::from(family == Family::Ipv6),
            Peer::Group(_) | Peer::ForeignGroup { .. } => 1,
            Peer::PrefixList(id) => self.prefix_lists.get(id).map_or(0, |list| {
                let own = match list.family.as_str() {
                    "IPv4" => Family::Ipv4,
                    _ => Family::Ipv6,
                };
                if own == family { list.max_entries } else { 0 }
            }),
        }
    }

    /// Refuses more rules than a group can have in a direction and family.
    fn check_quota<'a>(
        &self,
        held: impl Iterator<Item = &'a Permission> + Clone,
        added: impl Iterator<Item = &'a Permission> + Clone,
    ) -> Answer<()> {
        let most = self.quotas.limit("rules-per-security-group");
        for family in [Family::Ipv4, Family::Ipv6] {
            for egress in [false, true] {
                let own = |permission: &&Permission| permission.egress == egress;
                let sum = |permissions: &mut dyn Iterator<Item = &'a Permission>| {
                    permissions
                        .filter(own)
                        .map(|permission| self.weight(permission, family))
                        .sum::<usize>()
                };
                let new = sum(&mut added.clone());
                if new > 0 && new + sum(&mut held.clone()) > most {
                    return Err(too_many_rules());
                }
            }
        }
        Ok(())
    }

    /// Refuses a size of a prefix list for which a group has no room.
    pub(super) fn check_weight(&self, list_id: &str, size: usize) -> Answer<()> {
        let Some(list) = self.prefix_lists.get(list_id) else {
            return Ok(());
        };
        let family = match list.family.as_str() {
            "IPv4" => Family::Ipv4,
            _ => Family::Ipv6,
        };
        let most = self.quotas.limit("rules-per-security-group");
        for group in self.security_groups.values() {
            for egress in [false, true] {
                let of_direction = || {
                    group
                        .rules
                        .iter()
                        .map(|rule| &rule.permission)
                        .filter(|permission| permission.egress == egress)
                };
                let names = of_direction()
                    .filter(|permission| permission.peer == Peer::PrefixList(list_id.to_owned()))
                    .count();
                let sum: usize = of_direction()
                    .map(|permission| self.weight(permission, family))
                    .sum();
                if names > 0 && sum + names * size.saturating_sub(list.max_entries) > most {
                    return Err(too_many_rules());
                }
            }
        }
        Ok(())
    }

    /// RevokeSecurityGroupIngress and …Egress, by permissions or by rule ids:
    /// all or none; answers the rules that went.
    pub fn revoke(
        &mut self,
        id: &str,
        egress: bool,
        permissions: &[NewPermission],
        rule_ids: &[String],
    ) -> Answer<Vec<SecurityGroupRule>> {
        let group = self.security_group(id)?;
        let mut gone: Vec<SecurityGroupRule> = Vec::new();
        for rule_id in rule_ids {
            gone.push(find_rule(group, rule_id, Some(egress))?.clone());
        }
        for (permission, _) in expand(egress, permissions)? {
            gone.push(find_permission(group, &permission)?.clone());
        }
        let ids: BTreeSet<&str> = gone.iter().map(|rule| rule.id.as_str()).collect();
        if ids.len() < gone.len() {
            return Err(Refusal::parameter(
                "The same permission must not appear multiple times",
            ));
        }
        if let Some(group) = self.security_groups.get_mut(id) {
            group
                .rules
                .retain(|rule| !gone.iter().any(|other| other.id == rule.id));
        }
        for rule in &gone {
            self.tags.remove(&rule.id);
        }
        Ok(gone)
    }

    /// ModifySecurityGroupRules: each rule keeps its id, direction and kind of
    /// source; all or none.
    pub fn modify_rules(&mut self, id: &str, changes: &[(String, NewPermission)]) -> Answer<()> {
        let group = self.security_group(id)?;
        let mut rules = group.rules.clone();
        let mut seen = BTreeSet::new();
        for (rule_id, new) in changes {
            let before = find_rule(group, rule_id, None)?;
            if !seen.insert(rule_id) {
                return Err(Refusal::parameter(format!(
                    "The security group rule ID '{rule_id}' was specified more than once"
                )));
            }
            let mut expanded = expand(before.permission.egress, std::slice::from_ref(new))?;
            let (Some((permission, description)), true) = (expanded.pop(), expanded.is_empty())
            else {
                return Err(combination(
                    "A security group rule has exactly one source or destination",
                ));
            };
            if kind_of(&permission.peer) != kind_of(&before.permission.peer) {
                return Err(Refusal::parameter(format!(
                    "The type of the source or destination of rule '{rule_id}' cannot be changed"
                )));
            }
            if let Some(text) = &description {
                check_rule_description(text)?;
            }
            self.check_peer(group, &permission.peer)?;
            for rule in &mut rules {
                if rule.id == *rule_id {
                    rule.permission = permission.clone();
                    rule.description.clone_from(&description);
                }
            }
        }
        for (index, rule) in rules.iter().enumerate() {
            if rules[..index]
                .iter()
                .any(|other| other.permission == rule.permission)
            {
                return Err(duplicate(&rule.permission));
            }
        }
        self.check_quota([].iter(), rules.iter().map(|rule| &rule.permission))?;
        Kind::SecurityGroup
            .find_mut(&mut self.security_groups, id)?
            .rules = rules;
        Ok(())
    }

    /// UpdateSecurityGroupRuleDescriptionsIngress and …Egress, by permissions
    /// or by rule ids; no description removes one. All or none.
    pub fn describe_rules_anew(
        &mut self,
        id: &str,
        egress: bool,
        permissions: &[NewPermission],
        by_id: &[(String, Option<String>)],
    ) -> Answer<()> {
        let group = self.security_group(id)?;
        let mut new: Vec<(String, Option<String>)> = Vec::new();
        for (rule_id, description) in by_id {
            let rule = find_rule(group, rule_id, Some(egress))?;
            new.push((rule.id.clone(), description.clone()));
        }
        for (permission, description) in expand(egress, permissions)? {
            let rule = find_permission(group, &permission)?;
            new.push((rule.id.clone(), description));
        }
        for text in new.iter().filter_map(|(_, text)| text.as_deref()) {
            check_rule_description(text)?;
        }
        let group = Kind::SecurityGroup.find_mut(&mut self.security_groups, id)?;
        for (rule_id, description) in new {
            for rule in &mut group.rules {
                if rule.id == rule_id {
                    rule.description = description.clone().filter(|text| !text.is_empty());
                }
            }
        }
        Ok(())
    }
}

/// A rule of a group by id; of a direction, if one is named.
fn find_rule<'a>(
    group: &'a SecurityGroup,
    rule_id: &str,
    egress: Option<bool>,
) -> Answer<&'a SecurityGroupRule> {
    Kind::SecurityGroupRule.check_form(rule_id)?;
    group
        .rules
        .iter()
        .find(|rule| {
            rule.id == rule_id && egress.is_none_or(|egress| rule.permission.egress == egress)
        })
        .ok_or_else(|| Kind::SecurityGroupRule.not_found(rule_id))
}

fn find_permission<'a>(
    group: &'a SecurityGroup,
    permission: &Permission,
) -> Answer<&'a SecurityGroupRule> {
    group
        .rules
        .iter()
        .find(|rule| rule.permission == *permission)
        .ok_or_else(|| {
            Refusal::new(
                "InvalidPermission.NotFound",
                "The specified rule does not exist in this security group.",
            )
        })
}

fn duplicate(permission: &Permission) -> Refusal {
    let ports = match (permission.from_port, permission.to_port) {
        (Some(from), Some(to)) => format!("from port: {from}, to port: {to}, "),
        _ => String::new(),
    };
    let protocol = match permission.protocol.as_str() {
        "-1" => "ALL".to_owned(),
        name => name.to_uppercase(),
    };
    Refusal::new(
        "InvalidPermission.Duplicate",
        format!(
            "the specified rule \"peer: {}, {protocol}, {ports}ALLOW\" already exists",
            permission.peer
        ),
    )
}

fn too_many_rules() -> Refusal {
    Refusal::new(
        "RulesPerSecurityGroupLimitExceeded",
        "The maximum number of rules per security group has been reached.",
    )
}

#[cfg(test)]
mod tests;
