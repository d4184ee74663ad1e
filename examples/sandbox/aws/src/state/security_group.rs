//! Security groups.

use super::{Answer, Peer, Permission, Refusal, SecurityGroupRule, State, ec2_id::Kind};

pub use super::security_group_rule::NewPermission;

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

/// Characters of names and descriptions, as AWS lists them.
const ALLOWED: &str = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*";

impl State {
    /// A security group by id, or `InvalidGroup.NotFound`.
    pub fn security_group(&self, id: &str) -> Answer<&SecurityGroup> {
        Kind::SecurityGroup.find(&self.security_groups, id)
    }

    /// A security group of the default VPC by name.
    pub fn security_group_named(&self, name: &str) -> Answer<&SecurityGroup> {
        let vpc = self.implied_vpc()?;
        self.security_groups
            .values()
            .find(|group| group.vpc_id == vpc.id && group.name == name)
            .ok_or_else(|| {
                Refusal::new(
                    "InvalidGroup.NotFound",
                    format!(
                        "The security group '{name}' does not exist in default VPC '{}'",
                        vpc.id
                    ),
                )
            })
    }

    /// CreateSecurityGroup in a VPC, or in the default one: answers the id; a
    /// repeat is refused.
    pub fn create_security_group(
        &mut self,
        name: &str,
        description: &str,
        vpc_id: &str,
        tags: &[(String, String)],
    ) -> Answer<String> {
        let vpc_id = if vpc_id.is_empty() {
            self.implied_vpc()?.id.clone()
        } else {
            self.vpc(vpc_id)?.id.clone()
        };
        // AWS cuts spaces at the end of names off.
        let name = name.trim_end_matches(' ');
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
        let id = self.add_security_group(name, description, &vpc_id);
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
                peer: Peer::Ipv4(ipnet::Ipv4Net::default()),
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
        if attached || self.namers_of_group(id).any(|other| other.id != id) {
            return Err(has_dependents(id));
        }
        if let Some(group) = self.security_groups.remove(id) {
            for rule in &group.rules {
                self.tags.remove(&rule.id);
            }
        }
        self.tags.remove(id);
        Ok(())
    }

    /// The groups with a rule that names a group.
    pub fn namers_of_group(&self, id: &str) -> impl Iterator<Item = &SecurityGroup> {
        let named = Peer::Group(id.to_owned());
        self.security_groups
            .values()
            .filter(move |group| group.rules.iter().any(|rule| rule.permission.peer == named))
    }
}

/// The refusal to delete a security group that something uses.
pub(super) fn has_dependents(id: &str) -> Refusal {
    Refusal::new(
        "DependencyViolation",
        format!("resource {id} has a dependent object"),
    )
}

/// Whether a text has only characters of AWS's set, 255 at most.
fn is_plain(text: &str) -> bool {
    text.chars().count() <= 255
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c))
}

fn check_text(what: &str, text: &str) -> Answer<()> {
    if text.is_empty() || !is_plain(text) {
        return Err(Refusal::parameter(format!(
            "Value ({text}) for parameter {what} is invalid. Valid values are strings less than 256 characters from the following set: {ALLOWED}"
        )));
    }
    Ok(())
}

/// Refuses descriptions that a rule cannot have; an empty one is none.
pub(super) fn check_rule_description(text: &str) -> Answer<()> {
    if !is_plain(text) {
        return Err(Refusal::parameter(format!(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: {ALLOWED}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    fn state() -> (State, String) {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        (state, vpc)
    }

    #[test]
    fn names_and_descriptions() {
        let (mut state, vpc) = state();
        let long = "x".repeat(256);
        for (name, description, code) in [
            ("", "x", "InvalidParameterValue"),
            ("x", "", "InvalidParameterValue"),
            (long.as_str(), "x", "InvalidParameterValue"),
            ("x", long.as_str(), "InvalidParameterValue"),
            ("sg-x", "x", "InvalidParameterValue"),
            ("SG-x", "x", "InvalidParameterValue"),
            ("naïve", "x", "InvalidParameterValue"),
            ("a<b", "x", "InvalidParameterValue"),
            ("x", "it's", "InvalidParameterValue"),
            ("Default", "x", "InvalidGroup.Reserved"),
        ] {
            let refused = state.create_security_group(name, description, &vpc, &[]);
            assert_eq!(refused.unwrap_err().code, code, "{name} {description}");
        }
        let every = "aZ0 ._-:/()#,@[]+=&;{}!$*";
        state
            .create_security_group(every, every, &vpc, &[])
            .unwrap();
        let id = state.create_security_group("web ", "x", &vpc, &[]).unwrap();
        assert_eq!(state.security_groups[&id].name, "web");
        let twice = state.create_security_group("WEB", "x", &vpc, &[]);
        assert_eq!(twice.unwrap_err().code, "InvalidGroup.Duplicate");
        let nowhere = state.create_security_group("web", "x", "", &[]);
        assert_eq!(nowhere.unwrap_err().code, "VPCIdNotSpecified");
        let other = state.create_vpc("10.1.0.0/16", &[]).unwrap();
        state
            .create_security_group("web", "x", &other, &[])
            .unwrap();
    }

    #[test]
    fn what_blocks_a_delete() {
        let (mut state, vpc) = state();
        let a = state.create_security_group("a", "a", &vpc, &[]).unwrap();
        let b = state.create_security_group("b", "b", &vpc, &[]).unwrap();
        let from = |id: &str| NewPermission {
            protocol: "-1".to_owned(),
            groups: vec![(id.to_owned(), None)],
            ..NewPermission::default()
        };
        state.authorize(&a, false, &[from(&a)], &[]).unwrap();
        state.authorize(&b, true, &[from(&a)], &[]).unwrap();
        let code = |state: &mut State, id: &str| state.delete_security_group(id).unwrap_err().code;
        assert_eq!(code(&mut state, &a), "DependencyViolation");
        let default = state.vpcs[&vpc].default_security_group.clone();
        assert_eq!(code(&mut state, &default), "CannotDelete");
        state.revoke(&b, true, &[from(&a)], &[]).unwrap();
        let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
        let interface = state
            .create_network_interface(&subnet, "", std::slice::from_ref(&a), &[])
            .unwrap();
        assert_eq!(code(&mut state, &a), "DependencyViolation");
        state.delete_network_interface(&interface).unwrap();
        // A rule that names the group itself is no hindrance.
        state.delete_security_group(&a).unwrap();
        assert_eq!(code(&mut state, &a), "InvalidGroup.NotFound");
        assert_eq!(code(&mut state, "sg-x"), "InvalidGroupId.Malformed");
    }
}
