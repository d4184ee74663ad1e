//! The Resource Groups Tagging API: the tags of all services in one list.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, Refusal, State, Tags,
    regions::partition,
    tags::{check_lengths, check_tag},
    wafv2::{ArnParts, arn_parts},
};

/// EC2 ids by the word in their ARN.
const EC2_KINDS: [(&str, &str); 18] = [
    ("coip-pool", "ipv4pool-coip"),
    ("egress-only-internet-gateway", "eigw"),
    ("elastic-ip", "eipalloc"),
    ("image", "ami"),
    ("instance", "i"),
    ("internet-gateway", "igw"),
    ("ipam-pool", "ipam-pool"),
    ("natgateway", "nat"),
    ("network-acl", "acl"),
    ("network-interface", "eni"),
    ("prefix-list", "pl"),
    ("route-table", "rtb"),
    ("security-group", "sg"),
    ("security-group-rule", "sgr"),
    ("subnet", "subnet"),
    ("volume", "vol"),
    ("vpc", "vpc"),
    ("vpc-peering-connection", "pcx"),
];

/// A condition on tags: the key is there, with one of the values if any are given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagFilter {
    /// Key.
    pub key: String,
    /// Values, of which one has to match; none match all.
    pub values: Vec<String>,
}

/// A resource with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged<'a> {
    /// ARN.
    pub arn: String,
    /// Tags, none if they were removed.
    pub tags: &'a Tags,
}

impl State {
    /// Every resource that has or had tags and fits all filters, by ARN. No
    /// resource types mean every type.
    pub fn tagged_resources(&self, filters: &[TagFilter], types: &[String]) -> Vec<Tagged<'_>> {
        let mut found: Vec<Tagged> = self
            .tags
            .ever_tagged()
            .filter(|(_, tags)| filters.iter().all(|filter| filter.fits(tags)))
            .filter_map(|(key, tags)| {
                let arn = self.arn_of_key(key)?;
                let wanted = types.is_empty() || types.iter().any(|kind| is_of_type(&arn, kind));
                wanted.then_some(Tagged { arn, tags })
            })
            .collect();
        found.sort_by(|a, b| a.arn.cmp(&b.arn));
        found
    }

    /// Resources by ARN; those that do not exist or never had tags are left out.
    pub fn tagged_resources_of(&self, arns: &[String]) -> Answer<Vec<Tagged<'_>>> {
        for arn in arns {
            self.checked_arn(arn)?;
        }
        let wanted: BTreeSet<&String> = arns.iter().collect();
        let all = self.tagged_resources(&[], &[]).into_iter();
        Ok(all.filter(|one| wanted.contains(&one.arn)).collect())
    }

    /// TagResources: sets tags on what can be tagged; answers the refusals of
    /// the others by ARN, those of `denied` as they are.
    pub fn tag_resources(
        &mut self,
        arns: &[String],
        tags: &[(String, String)],
        denied: &BTreeMap<String, Refusal>,
    ) -> Answer<BTreeMap<String, Refusal>> {
        for (key, value) in tags {
            check_lengths(key, value).map_err(|text| invalid(&text))?;
        }
        self.on_each(arns, denied, |state, arn, parts| {
            state.tag_one(arn, parts, tags)
        })
    }

    /// UntagResources: absent keys count as removed; answers the refusals by ARN,
    /// those of `denied` as they are.
    pub fn untag_resources(
        &mut self,
        arns: &[String],
        keys: &[String],
        denied: &BTreeMap<String, Refusal>,
    ) -> Answer<BTreeMap<String, Refusal>> {
        self.on_each(arns, denied, |state, arn, parts| {
            state.untag_one(arn, parts, keys)
        })
    }

    /// GetTagKeys.
    pub fn tag_keys(&self) -> BTreeSet<String> {
        let tags = self.tags_in_region();
        tags.flat_map(|tags| tags.keys().cloned()).collect()
    }

    /// GetTagValues.
    pub fn tag_values(&self, key: &str) -> BTreeSet<String> {
        let tags = self.tags_in_region();
        tags.filter_map(|tags| tags.get(key).cloned()).collect()
    }

    fn tags_in_region(&self) -> impl Iterator<Item = &Tags> {
        self.tags
            .iter()
            .filter(|(key, _)| self.arn_of_key(key).is_some())
            .map(|(_, tags)| tags)
    }

    fn on_each(
        &mut self,
        arns: &[String],
        denied: &BTreeMap<String, Refusal>,
        mut change: impl FnMut(&mut Self, &str, ArnParts<'_>) -> Answer<()>,
    ) -> Answer<BTreeMap<String, Refusal>> {
        for arn in arns {
            self.checked_arn(arn)?;
        }
        let mut failed = BTreeMap::new();
        for arn in arns {
            let parts = self.checked_arn(arn)?;
            let here = parts.region.is_empty() || parts.region == self.region;
            let ours = parts.account.is_empty() || parts.account == self.account;
            let done = if let Some(denial) = denied.get(arn) {
                Err(denial.clone())
            } else if here && ours {
                change(self, arn, parts)
            } else {
                Err(invalid(&format!(
                    "The resource {arn} does not lie in this account and region"
                )))
            };
            if let Err(refusal) = done {
                failed.insert(arn.clone(), refusal);
            }
        }
        Ok(failed)
    }

    fn tag_one(&mut self, arn: &str, parts: ArnParts<'_>, tags: &[(String, String)]) -> Answer<()> {
        let owned = [arn.to_owned()];
        match parts.service {
            "elasticloadbalancing" => self.add_tags(&owned, tags),
            "ec2" => self.create_ec2_tags(&[ec2_id(parts.resource)?], tags),
            "route53" => {
                let id = self.route53_key(parts.resource)?;
                self.put_tags(&id, tags)
            }
            "iam" => {
                let name = self.server_certificate_name(arn)?;
                self.tag_server_certificate(&name, tags)
            }
            "cognito-idp" => {
                self.check_user_pool(arn)?;
                self.put_tags(arn, tags)
            }
            "wafv2" | "waf-regional" => self.tag_waf(arn, tags),
            "shield" => self.tag_protection(arn, tags),
            "acm" => {
                self.certificate(arn)?;
                self.put_tags(arn, tags)
            }
            _ => Err(unsupported(arn)),
        }
    }

    fn untag_one(&mut self, arn: &str, parts: ArnParts<'_>, keys: &[String]) -> Answer<()> {
        let owned = [arn.to_owned()];
        match parts.service {
            "elasticloadbalancing" => self.remove_tags(&owned, keys),
            // EC2 takes an empty list for all tags, but the list is never empty here.
            "ec2" => {
                let keys: Vec<_> = keys.iter().map(|key| (key.clone(), None)).collect();
                self.delete_ec2_tags(&[ec2_id(parts.resource)?], &keys)
            }
            "route53" => {
                let id = self.route53_key(parts.resource)?;
                self.drop_tags(&id, keys);
                Ok(())
            }
            "iam" => {
                let name = self.server_certificate_name(arn)?;
                self.untag_server_certificate(&name, keys)
            }
            "cognito-idp" => {
                self.check_user_pool(arn)?;
                self.drop_tags(arn, keys);
                Ok(())
            }
            "wafv2" | "waf-regional" => self.untag_waf(arn, keys),
            "shield" => self.untag_protection(arn, keys),
            "acm" => {
                self.certificate(arn)?;
                self.drop_tags(arn, keys);
                Ok(())
            }
            _ => Err(unsupported(arn)),
        }
    }

    /// Sets tags by the rules that Route 53 and ACM share.
    fn put_tags(&mut self, key: &str, tags: &[(String, String)]) -> Answer<()> {
        let mut after = self.tags.get(key).cloned().unwrap_or_default();
        for (name, value) in tags {
            check_tag(name, value).map_err(|text| invalid(&text))?;
            after.insert(name.clone(), value.clone());
        }
        if after.len() > self.quotas.limit("tags-per-resource") {
            return Err(invalid("A resource can have at most 50 tags"));
        }
        self.tags.insert(key.to_owned(), after);
        Ok(())
    }

    fn drop_tags(&mut self, key: &str, keys: &[String]) {
        if let Some(tags) = self.tags.get_mut(key) {
            tags.retain(|key, _| !keys.contains(key));
        }
    }

    /// The id of the hosted zone or health check that an ARN names.
    fn route53_key(&self, resource: &str) -> Answer<String> {
        let known = match resource.split_once('/') {
            Some(("hostedzone", id)) => self.hosted_zones.contains_key(id).then_some(id),
            Some(("healthcheck", id)) => self.health_checks.contains_key(id).then_some(id),
            _ => None,
        };
        known.map(str::to_owned).ok_or_else(|| absent(resource))
    }

    /// The name of the server certificate that an ARN names.
    fn server_certificate_name(&self, arn: &str) -> Answer<String> {
        let mut certificates = self.server_certificates.values();
        let found = certificates.find(|one| one.arn == arn);
        found.map(|one| one.name.clone()).ok_or_else(|| absent(arn))
    }

    fn check_user_pool(&self, arn: &str) -> Answer<()> {
        let known = self.user_pools.values().any(|pool| pool.arn == arn);
        if known { Ok(()) } else { Err(absent(arn)) }
    }

    /// An ARN of this partition, taken apart.
    fn checked_arn<'a>(&self, arn: &'a str) -> Answer<ArnParts<'a>> {
        arn_parts(arn)
            .filter(|parts| parts.partition == partition(&self.region))
            .ok_or_else(|| invalid(&format!("{arn} is not a valid AmazonResourceName (ARN)")))
    }

    /// The ARN of what tags are kept for; `None` for a kind that the API does
    /// not list. What belongs to no region is listed by the one that holds it.
    fn arn_of_key(&self, key: &str) -> Option<String> {
        let partition = partition(&self.region);
        if arn_parts(key).is_some() {
            return Some(key.to_owned());
        }
        if key.starts_with('Z') && key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Some(format!("arn:{partition}:route53:::hostedzone/{key}"));
        }
        if self.health_checks.contains_key(key) {
            return Some(format!("arn:{partition}:route53:::healthcheck/{key}"));
        }
        if key.starts_with("ASCA") {
            let mut certificates = self.server_certificates.values();
            let found = certificates.find(|one| one.id == key);
            return found.map(|one| one.arn.clone());
        }
        let (prefix, _) = key.rsplit_once('-')?;
        let (kind, _) = EC2_KINDS.iter().find(|(_, known)| *known == prefix)?;
        Some(format!(
            "arn:{partition}:ec2:{}:{}:{kind}/{key}",
            self.region, self.account
        ))
    }
}

impl TagFilter {
    fn fits(&self, tags: &Tags) -> bool {
        tags.get(&self.key)
            .is_some_and(|found| self.values.is_empty() || self.values.contains(found))
    }
}

/// Whether an ARN is of a type such as `ec2`, `ec2:subnet` or
/// `elasticloadbalancing:loadbalancer/app`.
fn is_of_type(arn: &str, kind: &str) -> bool {
    let Some(parts) = arn_parts(arn) else {
        return false;
    };
    let (service, resource) = kind.split_once(':').unwrap_or((kind, ""));
    // The scope of WAFv2 stands before the kind.
    let path = parts
        .resource
        .strip_prefix("regional/")
        .or_else(|| parts.resource.strip_prefix("global/"))
        .filter(|_| parts.service == "wafv2")
        .unwrap_or(parts.resource);
    let below = |path: &str| {
        path.strip_prefix(resource)
            .is_some_and(|rest| resource.is_empty() || rest.starts_with(['/', ':']))
    };
    parts.service == service && (below(path) || below(parts.resource))
}

fn ec2_id(resource: &str) -> Answer<String> {
    let (kind, id) = resource.split_once('/').unwrap_or((resource, ""));
    let prefix = id.rsplit_once('-').map_or("", |(prefix, _)| prefix);
    if EC2_KINDS.contains(&(kind, prefix)) {
        return Ok(id.to_owned());
    }
    Err(invalid(&format!(
        "'{kind}' is not a recognized EC2ResourceType id {id}"
    )))
}

fn absent(resource: &str) -> Refusal {
    invalid(&format!("The resource {resource} does not exist"))
}

fn unsupported(arn: &str) -> Refusal {
    invalid(&format!("The resource {arn} can not be tagged"))
}

fn invalid(text: &str) -> Refusal {
    Refusal::new("InvalidParameterException", text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Timing;
    use super::*;

    #[test]
    fn types_are_services_kinds_and_families() {
        let balancer = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/0";
        for kind in [
            "elasticloadbalancing",
            "elasticloadbalancing:loadbalancer",
            "elasticloadbalancing:loadbalancer/app",
        ] {
            assert!(is_of_type(balancer, kind), "{kind}");
        }
        for kind in [
            "ec2",
            "elasticloadbalancing:load",
            "elasticloadbalancing:loadbalancer/net",
            "elasticloadbalancing:targetgroup",
        ] {
            assert!(!is_of_type(balancer, kind), "{kind}");
        }
        let acl = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/a/0";
        assert!(is_of_type(acl, "wafv2:webacl"));
        assert!(is_of_type(acl, "wafv2:regional/webacl"));
        assert!(!is_of_type(acl, "wafv2:ipset"));
        let rule = "arn:aws:ec2:us-east-1:123456789012:security-group-rule/sgr-0";
        assert!(!is_of_type(rule, "ec2:security-group"));
    }

    #[test]
    fn filters_are_anded_and_their_values_ored() {
        let tags: Tags = [("a", "1"), ("b", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let filter = |key: &str, values: &[&str]| TagFilter {
            key: key.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        assert!(filter("a", &["0", "1"]).fits(&tags));
        assert!(filter("b", &[]).fits(&tags));
        assert!(filter("b", &[""]).fits(&tags));
        assert!(!filter("a", &["2"]).fits(&tags));
        assert!(!filter("A", &[]).fits(&tags));
    }

    #[test]
    fn ids_and_arns_lead_to_each_other() {
        let state = State::new("123456789012", "eu-west-1", Timing::default());
        for (kind, prefix) in EC2_KINDS {
            let id = format!("{prefix}-0123456789abcdef0");
            let arn = state.arn_of_key(&id).unwrap();
            assert_eq!(
                arn,
                format!("arn:aws:ec2:eu-west-1:123456789012:{kind}/{id}")
            );
            assert_eq!(ec2_id(arn_parts(&arn).unwrap().resource), Ok(id));
        }
        let zone = state.arn_of_key("Z0123").unwrap();
        assert_eq!(zone, "arn:aws:route53:::hostedzone/Z0123");
        assert_eq!(state.arn_of_key("ami-0123456789abcdef0-x"), None);
        assert!(ec2_id("subnet/vpc-1").is_err());
    }

    #[test]
    fn failures_are_told_by_arn() {
        let mut state = State::new("123456789012", "eu-west-1", Timing::default());
        let none = BTreeMap::new();
        let tags = [("a".to_owned(), "1".to_owned())];
        let absent = "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-0123456789abcdef0".to_owned();
        let elsewhere = "arn:aws:ec2:eu-west-2:123456789012:vpc/vpc-0123456789abcdef0".to_owned();
        let failed = state
            .tag_resources(&[absent.clone(), elsewhere.clone()], &tags, &none)
            .unwrap();
        assert_eq!(failed[&absent].code, "InvalidVpcID.NotFound");
        assert_eq!(failed[&elsewhere].code, "InvalidParameterException");
        for whole in [
            "nonsense",
            "arn:aws-cn:ec2:eu-west-1:123456789012:vpc/vpc-1",
        ] {
            let refusal = state
                .tag_resources(&[whole.to_owned(), absent.clone()], &tags, &none)
                .unwrap_err();
            assert_eq!(refusal.code, "InvalidParameterException");
        }
        let reserved = [("aws:a".to_owned(), "1".to_owned())];
        assert!(state.tag_resources(&[absent], &reserved, &none).is_err());
    }
}
