//! What the kinds of WAFv2 have in common: scope, name, id, ARN, lock token,
//! and the refusals.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Answer, Refusal, State, Tags, ip_set::IpSet, regex_pattern_set::RegexPatternSet,
    regions::partition, rule_group::RuleGroup, web_acl::WebAcl,
};

/// For what an entity is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// For resources of a region, such as load balancers.
    Regional,
    /// For CloudFront; lives in the partition's first region only.
    Cloudfront,
}

impl Scope {
    /// Reads the word on the wire.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "REGIONAL" => Some(Self::Regional),
            "CLOUDFRONT" => Some(Self::Cloudfront),
            _ => None,
        }
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regional => "REGIONAL",
            Self::Cloudfront => "CLOUDFRONT",
        }
    }

    fn in_arn(self) -> &'static str {
        match self {
            Self::Regional => "regional",
            Self::Cloudfront => "global",
        }
    }
}

/// Everything that an account has in WAFv2 in one region, by ARN.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wafv2 {
    /// Web ACLs.
    pub web_acls: BTreeMap<String, WebAcl>,
    /// Sets of addresses.
    pub ip_sets: BTreeMap<String, IpSet>,
    /// Sets of regular expressions.
    pub regex_pattern_sets: BTreeMap<String, RegexPatternSet>,
    /// Groups of rules.
    pub rule_groups: BTreeMap<String, RuleGroup>,
}

/// What every kind of WAFv2 has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Name, unique among the kind in its scope.
    pub name: String,
    /// A UUID.
    pub id: String,
    /// `arn:aws:wafv2:REGION:ACCOUNT:regional/webacl/NAME/ID` and the like.
    pub arn: String,
    /// Scope.
    pub scope: Scope,
    /// Empty when none was given.
    pub description: String,
    /// Changes with every write; a write has to name the present one.
    pub lock_token: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A kind of WAFv2.
pub trait Kind {
    /// The word of the kind in an ARN, such as `webacl`.
    const IN_ARN: &'static str;
    /// The quota for the number of entities of a scope.
    const QUOTA: &'static str;
    /// The common part.
    fn entity(&self) -> &Entity;
    /// All of the kind.
    fn all(wafv2: &Wafv2) -> &BTreeMap<String, Self>
    where
        Self: Sized;
}

/// The name, id and scope that every read and write of one entity gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Name.
    pub name: String,
    /// Scope.
    pub scope: Scope,
    /// Id.
    pub id: String,
}

/// What every create call gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntity {
    /// Name.
    pub name: String,
    /// Scope.
    pub scope: Scope,
    /// Description, if any.
    pub description: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// Refuses a scope that does not live in this region.
    pub fn check_scope(&self, scope: Scope) -> Answer<()> {
        let home = match partition(&self.region) {
            "aws-cn" => "cn-northwest-1",
            "aws-us-gov" => "us-gov-west-1",
            _ => "us-east-1",
        };
        if scope == Scope::Cloudfront && self.region != home {
            return Err(invalid(
                "The scope is not valid.",
                "SCOPE_VALUE",
                scope.as_str(),
            ));
        }
        Ok(())
    }

    /// Checks what every create call gives and makes the common part. Nothing
    /// is stored yet.
    pub(super) fn new_entity<K: Kind>(
        &mut self,
        new: &NewEntity,
        now: Timestamp,
    ) -> Answer<(Entity, Tags)> {
        self.check_scope(new.scope)?;
        let tags = self.checked_waf_tags(&new.tags)?;
        let mut count = 0;
        for one in K::all(&self.wafv2).values() {
            let entity = one.entity();
            if entity.scope == new.scope {
                count += 1;
                if entity.name == new.name {
                    return Err(duplicate());
                }
            }
        }
        if count >= self.quotas.limit(K::QUOTA) {
            return Err(limits_exceeded());
        }
        let id = self.ids.uuid();
        let arn = format!(
            "arn:{}:wafv2:{}:{}:{}/{}/{}/{id}",
            partition(&self.region),
            self.region,
            self.account,
            new.scope.in_arn(),
            K::IN_ARN,
            new.name,
        );
        let entity = Entity {
            name: new.name.clone(),
            id,
            arn,
            scope: new.scope,
            description: new.description.clone().unwrap_or_default(),
            lock_token: self.ids.uuid(),
            created: now,
        };
        Ok((entity, tags))
    }

    /// An entity by name, scope and id; all three have to fit.
    pub fn waf_entity<K: Kind>(&self, naming: &Naming) -> Answer<&K> {
        self.check_scope(naming.scope)?;
        K::all(&self.wafv2)
            .values()
            .find(|one| {
                let entity = one.entity();
                entity.id == naming.id && entity.name == naming.name && entity.scope == naming.scope
            })
            .ok_or_else(nonexistent)
    }

    /// An entity by ARN: `WAFInvalidParameterException` when the ARN is none
    /// of the kind, `WAFNonexistentItemException` when there is none.
    pub fn waf_entity_of_arn<K: Kind>(&self, arn: &str) -> Answer<&K> {
        let parts = arn_parts(arn).ok_or_else(|| invalid_arn(arn))?;
        let path: Vec<&str> = parts.resource.split('/').collect();
        match path.as_slice() {
            ["regional" | "global", kind, _, _]
                if parts.service == "wafv2" && *kind == K::IN_ARN => {}
            _ => return Err(invalid_arn(arn)),
        }
        K::all(&self.wafv2).get(arn).ok_or_else(nonexistent)
    }

    /// The entities of a scope, by ARN.
    pub fn waf_entities<K: Kind>(&self, scope: Scope) -> Answer<Vec<&K>> {
        self.check_scope(scope)?;
        let all = K::all(&self.wafv2).values();
        Ok(all.filter(|one| one.entity().scope == scope).collect())
    }

    /// The ARN of an entity that may be written: it exists and the lock token
    /// is the present one.
    pub(super) fn locked<K: Kind>(&self, naming: &Naming, lock_token: &str) -> Answer<String> {
        let entity = self.waf_entity::<K>(naming)?.entity();
        if entity.lock_token != lock_token {
            return Err(Refusal::new(
                "WAFOptimisticLockException",
                "AWS WAF couldn’t save your changes because someone changed the resource after you started to edit it. Reapply your changes.",
            ));
        }
        Ok(entity.arn.clone())
    }

    /// TagResource of WAFv2 and WAF Classic.
    pub fn tag_waf(&mut self, arn: &str, tags: &[(String, String)]) -> Answer<()> {
        self.check_waf_resource(arn)?;
        let tags = self.checked_waf_tags(tags)?;
        let mut after = self.tags.get(arn).cloned().unwrap_or_default();
        after.extend(tags);
        if after.len() > self.quotas.limit("tags-per-resource") {
            return Err(limits_exceeded());
        }
        self.tags.insert(arn.to_owned(), after);
        Ok(())
    }

    /// UntagResource of WAFv2 and WAF Classic: absent keys count as removed.
    pub fn untag_waf(&mut self, arn: &str, keys: &[String]) -> Answer<()> {
        self.check_waf_resource(arn)?;
        if let Some(tags) = self.tags.get_mut(arn) {
            tags.retain(|key, _| !keys.contains(key));
        }
        Ok(())
    }

    /// ListTagsForResource of WAFv2 and WAF Classic.
    pub fn tags_of_waf(&self, arn: &str) -> Answer<Tags> {
        self.check_waf_resource(arn)?;
        Ok(self.tags.get(arn).cloned().unwrap_or_default())
    }

    /// Checks that an ARN names something of WAFv2 or WAF Classic that exists.
    fn check_waf_resource(&self, arn: &str) -> Answer<()> {
        let parts = arn_parts(arn).ok_or_else(|| invalid_arn(arn))?;
        let known = match parts.service {
            "wafv2" => {
                let kinds = ["webacl", "ipset", "regexpatternset", "rulegroup"];
                let kind = parts.resource.split('/').nth(1).unwrap_or_default();
                if !kinds.contains(&kind) {
                    return Err(invalid_arn(arn));
                }
                self.wafv2.web_acls.contains_key(arn)
                    || self.wafv2.ip_sets.contains_key(arn)
                    || self.wafv2.regex_pattern_sets.contains_key(arn)
                    || self.wafv2.rule_groups.contains_key(arn)
            }
            "waf-regional" => self.classic_web_acl_of_arn(arn).is_some(),
            _ => return Err(invalid_arn(arn)),
        };
        if known { Ok(()) } else { Err(nonexistent()) }
    }

    /// Tags of a call of WAF, checked.
    pub(super) fn checked_waf_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        let mut checked = Tags::new();
        for (key, value) in tags {
            super::tags::check_tag(key, value)
                .map_err(|text| invalid(&format!("{text}."), "TAGS", key))?;
            if checked.insert(key.clone(), value.clone()).is_some() {
                return Err(invalid(
                    "The tag keys must be different from each other.",
                    "TAG_KEYS",
                    key,
                ));
            }
        }
        if checked.len() > self.quotas.limit("tags-per-resource") {
            return Err(limits_exceeded());
        }
        Ok(checked)
    }
}

/// An ARN, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArnParts<'a> {
    /// `aws`, `aws-cn`, …
    pub partition: &'a str,
    /// Service.
    pub service: &'a str,
    /// Region; empty for what is global.
    pub region: &'a str,
    /// Account; empty for some kinds.
    pub account: &'a str,
    /// The rest.
    pub resource: &'a str,
}

/// Takes an ARN apart; `None` when it is none.
pub fn arn_parts(arn: &str) -> Option<ArnParts<'_>> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    if next()? != "arn" {
        return None;
    }
    let found = ArnParts {
        partition: next()?,
        service: next()?,
        region: next()?,
        account: next()?,
        resource: next()?,
    };
    let account = found.account;
    let good = found.partition.starts_with("aws")
        && !found.service.is_empty()
        && !found.resource.is_empty()
        && (account.is_empty()
            || account == "aws"
            || (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())));
    good.then_some(found)
}

/// `WAFInvalidParameterException` in the form that AWS gives it.
pub(super) fn invalid(reason: &str, field: &str, parameter: &str) -> Refusal {
    Refusal::new(
        "WAFInvalidParameterException",
        format!("Error reason: {reason}, field: {field}, parameter: {parameter}"),
    )
}

/// The refusal of something that has to be given exactly once.
pub(super) fn not_exactly_one(field: &str, parameter: &str) -> Refusal {
    invalid(
        "You have used none or multiple values for a field that requires exactly one value.",
        field,
        parameter,
    )
}

pub(super) fn invalid_arn(arn: &str) -> Refusal {
    invalid(
        "The ARN isn't valid. A valid ARN begins with arn: and includes other information separated by colons or slashes.",
        "RESOURCE_ARN",
        arn,
    )
}

pub(super) fn nonexistent() -> Refusal {
    Refusal::new(
        "WAFNonexistentItemException",
        "AWS WAF couldn’t perform the operation because your resource doesn’t exist.",
    )
}

pub(super) fn duplicate() -> Refusal {
    Refusal::new(
        "WAFDuplicateItemException",
        "AWS WAF couldn’t perform the operation because some resource in your request is a duplicate of an existing one.",
    )
}

pub(super) fn associated() -> Refusal {
    Refusal::new(
        "WAFAssociatedItemException",
        "AWS WAF couldn’t perform the operation because your resource is being used by another resource or it’s associated with another resource.",
    )
}

pub(super) fn limits_exceeded() -> Refusal {
    Refusal::new(
        "WAFLimitsExceededException",
        "AWS WAF couldn’t perform the operation because you exceeded your resource limit.",
    )
}

pub(super) fn unavailable() -> Refusal {
    Refusal::new(
        "WAFUnavailableEntityException",
        "AWS WAF couldn’t retrieve the resource that you requested. Retry your request.",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arns_are_taken_apart() {
        let arn = "arn:aws:route53:::hostedzone/Z1";
        let parts = arn_parts(arn).unwrap();
        assert_eq!((parts.service, parts.account), ("route53", ""));
        assert_eq!(parts.resource, "hostedzone/Z1");
        let arn = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/a:b";
        assert_eq!(arn_parts(arn).unwrap().resource, "userpool/a:b");
        for wrong in [
            "",
            "arn",
            "arn:aws:wafv2:us-east-1:123456789012",
            "arn:aws:wafv2:us-east-1:1234:regional/webacl/a/b",
            "arn:google:wafv2:us-east-1:123456789012:x",
            "brn:aws:wafv2:us-east-1:123456789012:x",
            "arn:aws::us-east-1:123456789012:x",
        ] {
            assert_eq!(arn_parts(wrong), None, "{wrong}");
        }
    }
}
