//! Shield Advanced: the subscription of an account and what it protects.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Refusal, State, Tags, arn, regions::partition, wafv2::arn_parts};

/// A subscription binds for a year.
const COMMITMENT_S: i64 = 365 * 24 * 60 * 60;
/// Automatic renewal can be changed in this last part of the year.
const CHANGEABLE_S: i64 = 30 * 24 * 60 * 60;

/// Everything that an account has in Shield.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shield {
    /// The subscription, if there is one.
    pub subscription: Option<Subscription>,
    /// Protections by id.
    pub protections: BTreeMap<String, Protection>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// When it began.
    pub start: Timestamp,
    /// When it ends or renews.
    pub end: Timestamp,
    /// Seconds for which it binds.
    pub commitment_s: i64,
    /// Whether it renews by itself.
    pub auto_renew: bool,
}

/// A protected resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// A UUID.
    pub id: String,
    /// Name; need not be unique.
    pub name: String,
    /// ARN of what is protected.
    pub resource_arn: String,
}

/// What can be protected, by the words of filters.
pub const RESOURCE_TYPES: [&str; 6] = [
    "CLOUDFRONT_DISTRIBUTION",
    "ROUTE_53_HOSTED_ZONE",
    "ELASTIC_IP_ALLOCATION",
    "CLASSIC_LOAD_BALANCER",
    "APPLICATION_LOAD_BALANCER",
    "GLOBAL_ACCELERATOR",
];

/// Which protections ListProtections asks for; absent means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProtectionFilter {
    /// ARN of the resource.
    pub resource_arn: Option<String>,
    /// Name of the protection.
    pub name: Option<String>,
    /// One of [`RESOURCE_TYPES`].
    pub resource_type: Option<String>,
}

impl State {
    /// CreateSubscription.
    pub fn create_subscription(&mut self, now: Timestamp) -> Answer<()> {
        if self.shield.subscription.is_some() {
            return Err(Refusal::new(
                "ResourceAlreadyExistsException",
                "The subscription already exists.",
            ));
        }
        let end = now
            .checked_add(SignedDuration::from_secs(COMMITMENT_S))
            .unwrap_or(Timestamp::MAX);
        self.shield.subscription = Some(Subscription {
            start: now,
            end,
            commitment_s: COMMITMENT_S,
            auto_renew: true,
        });
        Ok(())
    }

    /// DescribeSubscription, and the check that all other calls begin with.
    pub fn subscription(&self) -> Answer<&Subscription> {
        self.shield.subscription.as_ref().ok_or_else(|| {
            Refusal::new(
                "ResourceNotFoundException",
                "The subscription does not exist.",
            )
        })
    }

    /// UpdateSubscription: automatic renewal changes only in the last 30 days.
    pub fn update_subscription(&mut self, auto_renew: Option<bool>, now: Timestamp) -> Answer<()> {
        let subscription = self.subscription()?;
        let left = subscription.end.duration_since(now).as_secs();
        let changed = auto_renew.filter(|wanted| *wanted != subscription.auto_renew);
        if changed.is_some() && left > CHANGEABLE_S {
            return Err(locked());
        }
        if let (Some(wanted), Some(subscription)) = (changed, &mut self.shield.subscription) {
            subscription.auto_renew = wanted;
        }
        Ok(())
    }

    /// DeleteSubscription: not before its end. Its protections end with it.
    pub fn delete_subscription(&mut self, now: Timestamp) -> Answer<()> {
        if self.subscription()?.end > now {
            return Err(locked());
        }
        self.shield.subscription = None;
        for id in std::mem::take(&mut self.shield.protections).into_keys() {
            let arn = self.protection_arn(&id);
            self.tags.remove(&arn);
        }
        Ok(())
    }

    /// CreateProtection; answers the id.
    pub fn create_protection(
        &mut self,
        name: &str,
        resource: &str,
        tags: &[(String, String)],
    ) -> Answer<String> {
        self.subscription()?;
        let tags = self.checked_shield_tags(tags)?;
        let kind = self.check_protectable(resource)?;
        let protections = self.shield.protections.values();
        if protections.clone().any(|one| one.resource_arn == resource) {
            return Err(Refusal::new(
                "ResourceAlreadyExistsException",
                "The referenced protection already exists.",
            ));
        }
        let most = self.quotas.limit("shield-protections-per-resource-type");
        if protections
            .filter(|one| type_of(&one.resource_arn) == Some(kind))
            .count()
            >= most
        {
            return Err(Refusal::new(
                "LimitsExceededException",
                format!("At most {most} protections of type {kind} can exist."),
            ));
        }
        let id = self.ids.uuid();
        let arn = self.protection_arn(&id);
        self.tags.insert(arn, tags);
        let protection = Protection {
            id: id.clone(),
            name: name.to_owned(),
            resource_arn: resource.to_owned(),
        };
        self.shield.protections.insert(id.clone(), protection);
        Ok(id)
    }

    /// DescribeProtection by id or by ARN of the resource, one of them.
    pub fn protection(&self, id: Option<&str>, resource: Option<&str>) -> Answer<&Protection> {
        let found = match (id, resource) {
            (Some(id), None) => {
                self.subscription()?;
                self.shield.protections.get(id)
            }
            (None, Some(resource)) => {
                self.subscription()?;
                let mut protections = self.shield.protections.values();
                protections.find(|one| one.resource_arn == resource)
            }
            _ => {
                return Err(Refusal::new(
                    "InvalidParameterException",
                    "Exactly one of ProtectionId and ResourceArn has to be given.",
                ));
            }
        };
        found.ok_or_else(no_protection)
    }

    /// DeleteProtection.
    pub fn delete_protection(&mut self, id: &str) -> Answer<()> {
        self.subscription()?;
        if self.shield.protections.remove(id).is_none() {
            return Err(no_protection());
        }
        let arn = self.protection_arn(id);
        self.tags.remove(&arn);
        Ok(())
    }

    /// ListProtections, by id.
    pub fn protections(&self, filter: &ProtectionFilter) -> Answer<Vec<&Protection>> {
        self.subscription()?;
        let fits = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        let all = self.shield.protections.values();
        Ok(all
            .filter(|one| {
                fits(&filter.resource_arn, Some(&one.resource_arn))
                    && fits(&filter.name, Some(&one.name))
                    && fits(&filter.resource_type, type_of(&one.resource_arn))
            })
            .collect())
    }

    /// `arn:aws:shield::ACCOUNT:protection/ID`.
    pub fn protection_arn(&self, id: &str) -> String {
        format!(
            "arn:{}:shield::{}:protection/{id}",
            partition(&self.region),
            self.account
        )
    }

    /// `arn:aws:shield::ACCOUNT:subscription`.
    pub fn subscription_arn(&self) -> String {
        let partition = partition(&self.region);
        format!("arn:{partition}:shield::{}:subscription", self.account)
    }

    /// TagResource of Shield.
    pub fn tag_protection(&mut self, arn: &str, tags: &[(String, String)]) -> Answer<()> {
        self.check_protection_arn(arn)?;
        let tags = self.checked_shield_tags(tags)?;
        let mut after = self.tags.get(arn).cloned().unwrap_or_default();
        after.extend(tags);
        if after.len() > self.quotas.limit("tags-per-resource") {
            return Err(bad_tag("A protection can have at most 50 tags."));
        }
        self.tags.insert(arn.to_owned(), after);
        Ok(())
    }

    /// UntagResource of Shield: absent keys count as removed.
    pub fn untag_protection(&mut self, arn: &str, keys: &[String]) -> Answer<()> {
        self.check_protection_arn(arn)?;
        if let Some(tags) = self.tags.get_mut(arn) {
            tags.retain(|key, _| !keys.contains(key));
        }
        Ok(())
    }

    /// ListTagsForResource of Shield.
    pub fn tags_of_protection(&self, arn: &str) -> Answer<Tags> {
        self.check_protection_arn(arn)?;
        Ok(self.tags.get(arn).cloned().unwrap_or_default())
    }

    /// Checks that an ARN names a protection that exists.
    fn check_protection_arn(&self, arn: &str) -> Answer<()> {
        let parts = arn_parts(arn).filter(|parts| parts.service == "shield");
        let id = parts.and_then(|parts| parts.resource.strip_prefix("protection/"));
        let id = id.ok_or_else(|| {
            Refusal::new(
                "InvalidResourceException",
                format!("The ARN {arn} does not name a protection."),
            )
        })?;
        let known = self.shield.protections.contains_key(id) && self.protection_arn(id) == arn;
        if known { Ok(()) } else { Err(no_protection()) }
    }

    fn checked_shield_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        let mut checked = Tags::new();
        for (key, value) in tags {
            super::tags::check_tag(key, value).map_err(|text| bad_tag(&text))?;
            if checked.insert(key.clone(), value.clone()).is_some() {
                return Err(bad_tag("The tag keys must be different from each other."));
            }
        }
        if checked.len() > self.quotas.limit("tags-per-resource") {
            return Err(bad_tag("A protection can have at most 50 tags."));
        }
        Ok(checked)
    }

    /// Checks that a resource can be protected and exists; answers its type.
    fn check_protectable(&self, resource: &str) -> Answer<&'static str> {
        let kind = type_of(resource).ok_or_else(|| {
            Refusal::new(
                "InvalidResourceException",
                format!("The resource {resource} can not be protected."),
            )
        })?;
        let id = resource.rsplit('/').next().unwrap_or_default();
        let known = match kind {
            "APPLICATION_LOAD_BALANCER" => {
                self.load_balancers.contains_key(resource)
                    || self.elsewhere.has_load_balancer(&self.account, resource)
            }
            "ROUTE_53_HOSTED_ZONE" => {
                let far = self.elsewhere.hosted_zone(id);
                self.hosted_zones.contains_key(id)
                    || far.is_some_and(|(account, _)| account == self.account)
            }
            "ELASTIC_IP_ALLOCATION" => {
                // Its whole ARN has to be right, for it has one in each region.
                let arn = arn_parts(resource);
                arn.filter(|arn| arn.account == self.account)
                    .is_some_and(|arn| {
                        (arn.region == self.region && self.addresses.contains_key(id))
                            || self.elsewhere.has_address(arn.account, arn.region, id)
                    })
            }
            _ => false,
        };
        if known {
            return Ok(kind);
        }
        Err(Refusal::new(
            "InvalidResourceException",
            format!("The resource {resource} does not exist."),
        ))
    }
}

/// The type of a resource, by its ARN; `None` when it cannot be protected.
fn type_of(resource: &str) -> Option<&'static str> {
    let parts = arn_parts(resource)?;
    let path: Vec<&str> = parts.resource.split('/').collect();
    Some(match (parts.service, path.as_slice()) {
        ("elasticloadbalancing", ["loadbalancer", _]) => RESOURCE_TYPES[3],
        ("elasticloadbalancing", ["loadbalancer", "app", ..])
            if arn::kind(resource) == Some(arn::Kind::LoadBalancer) =>
        {
            RESOURCE_TYPES[4]
        }
        ("cloudfront", ["distribution", _]) => RESOURCE_TYPES[0],
        ("route53", ["hostedzone", _]) => RESOURCE_TYPES[1],
        ("ec2", ["eip-allocation", _]) => RESOURCE_TYPES[2],
        ("globalaccelerator", ["accelerator", _]) => RESOURCE_TYPES[5],
        _ => return None,
    })
}

fn no_protection() -> Refusal {
    Refusal::new(
        "ResourceNotFoundException",
        "The referenced protection does not exist.",
    )
}

fn locked() -> Refusal {
    Refusal::new(
        "LockedSubscriptionException",
        "The subscription has not come to the end of its commitment.",
    )
}

fn bad_tag(text: &str) -> Refusal {
    Refusal::new("InvalidParameterException", text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Timing;
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const ZONE: &str = "arn:aws:route53:::hostedzone/Z1";

    fn state() -> State {
        State::new("123456789012", "us-east-1", Timing::default())
    }

    #[test]
    fn nothing_works_without_subscription() {
        let mut state = state();
        let refusals = [
            state.subscription().cloned().err(),
            state.create_protection("a", ZONE, &[]).err(),
            state.protection(None, Some(ZONE)).cloned().err(),
            state.delete_protection("a").err(),
            state.protections(&ProtectionFilter::default()).err(),
            state.update_subscription(None, NOW).err(),
            state.delete_subscription(NOW).err(),
        ];
        for refusal in refusals {
            let refusal = refusal.unwrap();
            assert_eq!(refusal.code, "ResourceNotFoundException");
            assert_eq!(refusal.message, "The subscription does not exist.");
        }
        state.create_subscription(NOW).unwrap();
        let twice = state.create_subscription(NOW).unwrap_err();
        assert_eq!(twice.code, "ResourceAlreadyExistsException");
    }

    #[test]
    fn the_commitment_binds() {
        let mut state = state();
        state.create_subscription(NOW).unwrap();
        let early = state.update_subscription(Some(false), NOW).unwrap_err();
        assert_eq!(early.code, "LockedSubscriptionException");
        state.update_subscription(Some(true), NOW).unwrap();
        let december = NOW + SignedDuration::from_hours(24 * 340);
        state.update_subscription(Some(false), december).unwrap();
        assert!(state.delete_subscription(december).is_err());
        let next = NOW + SignedDuration::from_hours(24 * 366);
        state.delete_subscription(next).unwrap();
    }

    #[test]
    fn only_some_kinds_can_be_protected() {
        let mut state = state();
        state.create_subscription(NOW).unwrap();
        for resource in [
            "nonsense",
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/a/0123456789abcdef",
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/0123456789abcdef",
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/0123456789abcdef",
            "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
            ZONE,
        ] {
            let refusal = state.create_protection("a", resource, &[]).unwrap_err();
            assert_eq!(refusal.code, "InvalidResourceException", "{resource}");
        }
    }

    #[test]
    fn addresses_are_protected_where_they_are() {
        let mut state = state();
        state.create_subscription(NOW).unwrap();
        let here = state.allocate_address(&[]).unwrap();
        let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let mut far = |account: &str| {
            let mut there = State::new(account, "eu-west-1", Timing::default());
            there.ids = super::super::ids::Ids::named(account);
            let id = there.allocate_address(&[]).unwrap();
            let place = super::super::elsewhere::Place {
                account: account.to_owned(),
                region: "eu-west-1".to_owned(),
            };
            state.elsewhere.0.insert(place, there);
            id
        };
        let (ours, theirs) = (far("123456789012"), far("999999999999"));
        for (region, id, there) in [
            ("us-east-1", here.as_str(), true),
            ("eu-west-1", &here, false),
            ("eu-west-1", &ours, true),
            ("us-east-1", &ours, false),
            ("eu-west-1", &theirs, false),
            // It has tags, but is no address.
            ("us-east-1", &vpc, false),
        ] {
            let arn = format!("arn:aws:ec2:{region}:123456789012:eip-allocation/{id}");
            let made = state.create_protection("a", &arn, &[]);
            assert_eq!(made.is_ok(), there, "{arn}");
        }
    }
}
