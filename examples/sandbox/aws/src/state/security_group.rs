//! Security groups and their rules.

use ipnet::{Ipv4Net, Ipv6Net};

use super::{Answer, Refusal, State, vpc};

/// A security group of a VPC.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Name, unique in the VPC without regard to letter case.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// VPC that it belongs to.
    pub vpc_id: String,
    /// Ingress and egress rules, one source each.
    pub rules: Vec<SecurityGroupRule>,
}

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

/// What a rule allows; two rules with equal permissions are duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Direction.
    pub egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `-1`, or a protocol number.
    pub protocol: String,
    /// First port (or ICMP type); none for protocol `-1`.
    pub from_port: Option<i32>,
    /// Last port (or ICMP code).
    pub to_port: Option<i32>,
    /// The other end.
    pub peer: Peer,
}

/// The other end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// IPv4 range in canonical form.
    Ipv4(Ipv4Net),
    /// IPv6 range in canonical form.
    Ipv6(Ipv6Net),
    /// Members of a security group.
    Group(String),
    /// A managed prefix list.
    PrefixList(String),
}

/// A permission as a caller spells it: one range of ports with many peers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewPermission {
    /// Protocol name or number.
    pub protocol: String,
    /// First port.
    pub from_port: Option<i32>,
    /// Last port.
    pub to_port: Option<i32>,
    /// IPv4 ranges with descriptions.
    pub ipv4: Vec<(String, Option<String>)>,
    /// IPv6 ranges with descriptions.
    pub ipv6: Vec<(String, Option<String>)>,
    /// Security groups with descriptions.
    pub groups: Vec<(String, Option<String>)>,
    /// Prefix lists with descriptions.
    pub prefix_lists: Vec<(String, Option<String>)>,
}

impl State {
    /// A security group by id, or `InvalidGroup.NotFound`.
    pub fn security_group(&self, id: &str) -> Answer<&SecurityGroup> {
        self.security_groups.get(id).ok_or_else(|| not_found(id))
    }

    /// CreateSecurityGroup: answers the id; a repeat is refused.
    pub fn create_security_group(
        &mut self,
        name: &str,
        description: &str,
        vpc_id: &str,
        tags: &[(String, String)],
    ) -> Answer<String> {
        if !self.vpcs.contains_key(vpc_id) {
            return Err(vpc::vpc_not_found(vpc_id));
        }
        check_text("GroupName", name)?;
        check_text("GroupDescription", description)?;
        if name.to_ascii_lowercase().starts_with("sg-") {
            return Err(Refusal::parameter(format!(
                "Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*."
            )));
        }
        if name.eq_ignore_ascii_case("default") {
            return Err(Refusal::new(
                "InvalidGroup.Reserved",
                format!("The security group '{name}' is reserved"),
            ));
        }
        let taken = self
            .security_groups
            .values()
            .any(|group| group.vpc_id == vpc_id && group.name.eq_ignore_ascii_case(name));
        if taken {
            return Err(Refusal::new(
                "InvalidGroup.Duplicate",
                format!("The security group '{name}' already exists for VPC '{vpc_id}'"),
            ));
        }
        if self.security_groups.len() >= self.quotas.limit("security-groups") {
            return Err(Refusal::new(
                "SecurityGroupLimitExceeded",
                "The maximum number of security groups has been reached.",
            ));
        }
        let tags = self.checked_ec2_tags(tags)?;
        let id = self.add_security_group(name, description, vpc_id);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// Makes a group with the one egress rule that every new group has.
    pub(super) fn add_security_group(
        &mut self,
        name: &str,
        description: &str,
        vpc_id: &str,
    ) -> String {
        let id = self.ids.ec2("sg");
        let everything = SecurityGroupRule {
            id: self.ids.ec2("sgr"),
            permission: Permission {
                egress: true,
                protocol: "-1".to_owned(),
                from_port: None,
                to_port: None,
                peer: Peer::Ipv4(Ipv4Net::default()),
            },
            description: None,
        };
        let group = SecurityGroup {
            id: id.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            vpc_id: vpc_id.to_owned(),
            rules: vec![everything],
        };
        self.security_groups.insert(id.clone(), group);
        id
    }

    /// DeleteSecurityGroup: refused while a network interface or a rule of
    /// another group needs it.
    pub fn delete_security_group(&mut self, id: &str) -> Answer<()> {
        let group = self.security_group(id)?;
        if group.name == "default" {
            return Err(Refusal::new(
                "CannotDelete",
                format!(
                    "the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"
                ),
            ));
        }
        let attached = self
            .network_interfaces
            .values()
            .any(|interface| interface.security_groups.contains(id));
        let named = self.security_groups.values().any(|other| {
            other.id != id
                && other
                    .rules
                    .iter()
                    .any(|rule| rule.permission.peer == Peer::Group(id.to_owned()))
        });
        if attached || named {
            return Err(Refusal::new(
                "DependencyViolation",
                format!("resource {id} has a dependent object"),
            ));
        }
        if let Some(group) = self.security_groups.remove(id) {
            for rule in &group.rules {
                self.tags.remove(&rule.id);
            }
        }
        self.tags.remove(id);
        Ok(())
    }

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
        let wanted = self.expand(egress, permissions)?;
        for (index, (permission, _)) in wanted.iter().enumerate() {
            if wanted[..index].iter().any(|(other, _)| other == permission) {
                return Err(Refusal::parameter(
                    "The same permission must not appear multiple times",
                ));
            }
            if group
                .rules
                .iter()
                .any(|rule| rule.permission == *permission)
            {
                return Err(Refusal::new(
                    "InvalidPermission.Duplicate",
                    format!(
                        "the specified rule \"peer: {}, {}, from port: {}, to port: {}, ALLOW\" already exists",
                        permission.peer,
                        permission.protocol,
                        permission.from_port.unwrap_or(-1),
                        permission.to_port.unwrap_or(-1),
                    ),
                ));
            }
        }
        let most = self.quotas.limit("rules-per-security-group");
        for skip in [false, true] {
            let counts = |permission: &Permission| {
                permission.egress == egress
                    && match permission.peer {
                        Peer::Ipv4(_) => !skip,
                        Peer::Ipv6(_) => skip,
                        Peer::Group(_) | Peer::PrefixList(_) => true,
                    }
            };
            let held = group
                .rules
                .iter()
                .filter(|rule| counts(&rule.permission))
                .count();
            let added = wanted
                .iter()
                .filter(|(permission, _)| counts(permission))
                .count();
            if added > 0 && held + added > most {
                return Err(Refusal::new(
                    "RulesPerSecurityGroupLimitExceeded",
                    "The maximum number of rules per security group has been reached.",
                ));
            }
        }
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
            let rule = group
                .rules
                .iter()
                .find(|rule| rule.id == *rule_id && rule.permission.egress == egress)
                .ok_or_else(|| {
                    Refusal::new(
                        "InvalidSecurityGroupRuleId.NotFound",
                        format!("The security group rule ID '{rule_id}' does not exist"),
                    )
                })?;
            gone.push(rule.clone());
        }
        for (permission, _) in expand_named(egress, permissions)? {
            let rule = group
                .rules
                .iter()
                .find(|rule| rule.permission == permission)
                .ok_or_else(|| {
                    Refusal::new(
                        "InvalidPermission.NotFound",
                        "The specified rule does not exist in this security group.",
                    )
                })?;
            gone.push(rule.clone());
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

    /// One rule for each peer, groups checked to exist.
    fn expand(
        &self,
        egress: bool,
        permissions: &[NewPermission],
    ) -> Answer<Vec<(Permission, Option<String>)>> {
        let rules = expand_named(egress, permissions)?;
        for (permission, description) in &rules {
            if let Peer::Group(id) = &permission.peer {
                self.security_group(id)?;
            }
            if let Some(text) = description {
                check_text("Description", text)?;
            }
        }
        Ok(rules)
    }
}

/// One rule for each peer.
fn expand_named(
    egress: bool,
    permissions: &[NewPermission],
) -> Answer<Vec<(Permission, Option<String>)>> {
    let mut rules = Vec::new();
    for new in permissions {
        let (protocol, from_port, to_port) = normalised(new)?;
        let before = rules.len();
        let mut add = |peer, description: &Option<String>| {
            let permission = Permission {
                egress,
                protocol: protocol.clone(),
                from_port,
                to_port,
                peer,
            };
            rules.push((
                permission,
                description.clone().filter(|text| !text.is_empty()),
            ));
        };
        for (range, description) in &new.ipv4 {
            let net: Ipv4Net = range.parse().map_err(|_| malformed(range))?;
            add(Peer::Ipv4(net.trunc()), description);
        }
        for (range, description) in &new.ipv6 {
            let net: Ipv6Net = range.parse().map_err(|_| malformed(range))?;
            add(Peer::Ipv6(net.trunc()), description);
        }
        for (id, description) in &new.groups {
            add(Peer::Group(id.clone()), description);
        }
        for (id, description) in &new.prefix_lists {
            add(Peer::PrefixList(id.clone()), description);
        }
        if rules.len() == before {
            return Err(Refusal::new(
                "InvalidPermission.Malformed",
                "A permission must have at least one source or destination",
            ));
        }
    }
    Ok(rules)
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ipv4(range) => range.fmt(f),
            Self::Ipv6(range) => range.fmt(f),
            Self::Group(id) | Self::PrefixList(id) => id.fmt(f),
        }
    }
}

/// Protocol by name and ports as AWS stores them.
fn normalised(new: &NewPermission) -> Answer<(String, Option<i32>, Option<i32>)> {
    let protocol = match new.protocol.to_ascii_lowercase().as_str() {
        "6" | "tcp" => "tcp",
        "17" | "udp" => "udp",
        "1" | "icmp" => "icmp",
        "58" | "icmpv6" => "icmpv6",
        "-1" | "all" => return Ok(("-1".to_owned(), None, None)),
        number if number.parse::<u8>().is_ok() => return Ok((number.to_owned(), None, None)),
        other => {
            return Err(Refusal::parameter(format!(
                "Invalid value '{other}' for IP protocol. Unknown protocol."
            )));
        }
    };
    if matches!(protocol, "icmp" | "icmpv6") {
        return Ok((
            protocol.to_owned(),
            new.from_port.or(Some(-1)),
            new.to_port.or(Some(-1)),
        ));
    }
    match (new.from_port, new.to_port) {
        (Some(from), Some(to)) if (0..=65535).contains(&from) && (from..=65535).contains(&to) => {
            Ok((protocol.to_owned(), Some(from), Some(to)))
        }
        (Some(from), Some(to)) => Err(Refusal::parameter(format!(
            "Invalid value '{from}-{to}' for portRange."
        ))),
        _ => Err(Refusal::parameter(
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
        )),
    }
}

fn malformed(range: &str) -> Refusal {
    Refusal::parameter(format!("CIDR block {range} is malformed"))
}

fn check_text(what: &str, text: &str) -> Answer<()> {
    let good = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c));
    if text.is_empty() || text.chars().count() > 255 || !good {
        return Err(Refusal::parameter(format!(
            "Value ({text}) for parameter {what} is invalid. Character sets beyond ASCII are not supported."
        )));
    }
    Ok(())
}

fn not_found(id: &str) -> Refusal {
    Refusal::new(
        "InvalidGroup.NotFound",
        format!("The security group '{id}' does not exist"),
    )
}
