//! Tags of every kind of resource, in one place, keyed by ARN or EC2 id.

use std::collections::BTreeMap;

use super::{Answer, Refusal, State, arn};

/// The tags of one resource.
pub type Tags = BTreeMap<String, String>;

impl State {
    /// Tags of a create or AddTags call of ELBv2, checked.
    pub(super) fn checked_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        let mut checked = Tags::new();
        for (key, value) in tags {
            check_tag(key, value).map_err(Refusal::validation)?;
            if checked.insert(key.clone(), value.clone()).is_some() {
                return Err(Refusal::new(
                    "DuplicateTagKeys",
                    format!("The tag key '{key}' was specified more than once"),
                ));
            }
        }
        if checked.len() > self.quotas.limit("tags-per-resource") {
            return Err(too_many());
        }
        Ok(checked)
    }

    /// Checks that an ARN of Elastic Load Balancing names something that exists.
    pub fn check_elb_resource(&self, resource: &str) -> Answer<()> {
        match arn::kind(resource) {
            Some(arn::Kind::LoadBalancer) => self.load_balancer(resource).map(|_| ()),
            Some(arn::Kind::Listener) => self.listener(resource).map(|_| ()),
            Some(arn::Kind::Rule) => self.check_rule_exists(resource),
            Some(arn::Kind::TargetGroup) => self.target_group(resource).map(|_| ()),
            Some(arn::Kind::TrustStore) => self.trust_store(resource).map(|_| ()),
            None => Err(Refusal::validation(format!(
                "'{resource}' is not a valid ARN"
            ))),
        }
    }

    /// AddTags of ELBv2: sets tags on several resources, on all or on none.
    pub fn add_tags(&mut self, resources: &[String], tags: &[(String, String)]) -> Answer<()> {
        if resources.is_empty() || tags.is_empty() {
            return Err(Refusal::validation(
                "At least one resource ARN and one tag must be specified",
            ));
        }
        let tags = self.checked_tags(tags)?;
        let most = self.quotas.limit("tags-per-resource");
        for resource in resources {
            self.check_elb_resource(resource)?;
            let mut after = self.tags.get(resource).cloned().unwrap_or_default();
            after.extend(tags.clone());
            if after.len() > most {
                return Err(too_many());
            }
        }
        for resource in resources {
            self.tags
                .entry(resource.clone())
                .or_default()
                .extend(tags.clone());
        }
        Ok(())
    }

    /// RemoveTags of ELBv2: a key that is not there counts as removed.
    pub fn remove_tags(&mut self, resources: &[String], keys: &[String]) -> Answer<()> {
        if resources.is_empty() || keys.is_empty() {
            return Err(Refusal::validation(
                "At least one resource ARN and one tag key must be specified",
            ));
        }
        for resource in resources {
            self.check_elb_resource(resource)?;
        }
        for resource in resources {
            if let Some(tags) = self.tags.get_mut(resource) {
                tags.retain(|key, _| !keys.contains(key));
            }
        }
        Ok(())
    }

    /// CreateTags of EC2.
    pub fn create_ec2_tags(&mut self, ids: &[String], tags: &[(String, String)]) -> Answer<()> {
        if ids.len() > 1000 {
            return Err(Refusal::parameter(
                "At most 1000 resources can be tagged in one call",
            ));
        }
        let tags = self.checked_ec2_tags(tags)?;
        let most = self.quotas.limit("tags-per-resource");
        for id in ids {
            self.check_ec2_resource(id)?;
            let mut after = self.tags.get(id).cloned().unwrap_or_default();
            after.extend(tags.clone());
            if after.len() > most {
                return Err(Refusal::new(
                    "TagLimitExceeded",
                    format!("The maximum number of tags of '{id}' has been reached"),
                ));
            }
        }
        for id in ids {
            self.tags
                .entry(id.clone())
                .or_default()
                .extend(tags.clone());
        }
        Ok(())
    }

    /// DeleteTags of EC2: a key without value removes any value, one with a
    /// value only that value; no keys at all remove every tag.
    pub fn delete_ec2_tags(
        &mut self,
        ids: &[String],
        keys: &[(String, Option<String>)],
    ) -> Answer<()> {
        for id in ids {
            self.check_ec2_resource(id)?;
        }
        for id in ids {
            let Some(tags) = self.tags.get_mut(id) else {
                continue;
            };
            if keys.is_empty() {
                tags.clear();
            }
            tags.retain(|key, value| {
                !keys.iter().any(|(gone, only)| {
                    gone == key && only.as_ref().is_none_or(|only| only == value)
                })
            });
        }
        Ok(())
    }

    /// Tags of an EC2 call, checked.
    pub(super) fn checked_ec2_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        let mut checked = Tags::new();
        for (key, value) in tags {
            check_lengths(key, value).map_err(Refusal::parameter)?;
            if checked.insert(key.clone(), value.clone()).is_some() {
                return Err(Refusal::parameter(format!(
                    "Duplicate tag key '{key}' specified."
                )));
            }
        }
        if checked.len() > self.quotas.limit("tags-per-resource") {
            return Err(Refusal::new(
                "TagLimitExceeded",
                "The maximum number of tags for a resource has been reached",
            ));
        }
        Ok(checked)
    }

    fn check_ec2_resource(&self, id: &str) -> Answer<()> {
        let prefix = id.split('-').next().unwrap_or_default();
        let (known, code) = match prefix {
            "vpc" => (self.vpcs.contains_key(id), "InvalidVpcID.NotFound"),
            "subnet" => (self.subnets.contains_key(id), "InvalidSubnetID.NotFound"),
            "sg" => (
                self.security_groups.contains_key(id),
                "InvalidGroup.NotFound",
            ),
            "sgr" => (
                self.security_groups
                    .values()
                    .any(|group| group.rules.iter().any(|rule| rule.id == id)),
                "InvalidSecurityGroupRuleId.NotFound",
            ),
            "i" => (
                self.instances.contains_key(id),
                "InvalidInstanceID.NotFound",
            ),
            "eni" => (
                self.network_interfaces.contains_key(id),
                "InvalidNetworkInterfaceID.NotFound",
            ),
            "igw" => (
                self.internet_gateways.contains_key(id),
                "InvalidInternetGatewayID.NotFound",
            ),
            "rtb" => (
                self.route_tables.contains_key(id),
                "InvalidRouteTableID.NotFound",
            ),
            _ => (false, "InvalidID"),
        };
        if known {
            return Ok(());
        }
        Err(Refusal::new(code, format!("The ID '{id}' does not exist")))
    }
}

fn too_many() -> Refusal {
    Refusal::new(
        "TooManyTags",
        "The maximum number of tags for a resource has been reached",
    )
}

/// The rules for one tag of ELBv2, Route 53 and ACM: few characters beside
/// letters and digits. EC2 takes all characters.
pub(super) fn check_tag(key: &str, value: &str) -> Result<(), String> {
    check_lengths(key, value)?;
    for text in [key, value] {
        let good = text
            .chars()
            .all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c));
        if !good {
            return Err(format!("The tag key or value '{text}' is not valid"));
        }
    }
    Ok(())
}

/// The rules for one tag that hold in all services.
pub(super) fn check_lengths(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() || key.chars().count() > 128 {
        return Err(format!("The tag key '{key}' must have 1 to 128 characters"));
    }
    if value.chars().count() > 256 {
        return Err(format!(
            "The tag value '{value}' must have at most 256 characters"
        ));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(format!(
            "The tag key '{key}' uses the reserved prefix 'aws:'"
        ));
    }
    Ok(())
}
