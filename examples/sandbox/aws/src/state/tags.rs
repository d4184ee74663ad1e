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
        for key in keys {
            check_lengths(key, "").map_err(Refusal::validation)?;
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
