//! Web ACLs of WAFv2 and what they are associated with.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Answer, State, arn,
    wafv2::{
        Entity, Kind, Naming, NewEntity, Scope, Wafv2, arn_parts, associated, invalid, invalid_arn,
        limits_exceeded, nonexistent,
    },
    web_acl_rule::{Place, check_default_action, check_metric},
};

/// A web ACL.
#[derive(Debug, Clone, PartialEq)]
pub struct WebAcl {
    /// Name, id, ARN, …
    pub entity: Entity,
    /// `DefaultAction`, `Rules`, `VisibilityConfig` and all else that a write
    /// replaces, as sent.
    pub settings: Map<String, Value>,
    /// Capacity units that the rules cost.
    pub capacity: u64,
}

impl Kind for WebAcl {
    const IN_ARN: &'static str = "webacl";
    const QUOTA: &'static str = "web-acls";

    fn entity(&self) -> &Entity {
        &self.entity
    }

    fn all(wafv2: &Wafv2) -> &BTreeMap<String, Self> {
        &wafv2.web_acls
    }
}

/// The web ACL of a resource. A resource has at most one, of the one WAF or of
/// the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssociatedAcl {
    /// The ARN of a web ACL of WAFv2.
    V2(String),
    /// The id of a web ACL of WAF Classic Regional.
    Classic(String),
}

impl State {
    /// CreateWebACL of WAFv2.
    pub fn create_web_acl(
        &mut self,
        new: &NewEntity,
        settings: Map<String, Value>,
        now: Timestamp,
    ) -> Answer<&Entity> {
        self.check_scope(new.scope)?;
        let capacity = self.check_web_acl_settings(&settings, new.scope)?;
        let (entity, tags) = self.new_entity::<WebAcl>(new, now)?;
        let arn = entity.arn.clone();
        self.tags.insert(arn.clone(), tags);
        let acl = WebAcl {
            entity,
            settings,
            capacity,
        };
        Ok(&self.wafv2.web_acls.entry(arn).or_insert(acl).entity)
    }

    /// UpdateWebACL: replaces everything that can change, application
    /// attributes excepted; answers the next lock token.
    pub fn update_web_acl(
        &mut self,
        naming: &Naming,
        lock_token: &str,
        description: Option<String>,
        mut settings: Map<String, Value>,
    ) -> Answer<String> {
        const KEPT: &str = "ApplicationConfig";
        let arn = self.locked::<WebAcl>(naming, lock_token)?;
        let capacity = self.check_web_acl_settings(&settings, naming.scope)?;
        let next = self.ids.uuid();
        if let Some(acl) = self.wafv2.web_acls.get_mut(&arn) {
            let kept = acl.settings.get(KEPT);
            match (kept, settings.get(KEPT)) {
                (Some(kept), None) => {
                    settings.insert(KEPT.to_owned(), kept.clone());
                }
                (Some(kept), Some(sent)) if kept != sent => {
                    return Err(invalid(
                        "Application attributes can't be changed.",
                        "WEB_ACL",
                        KEPT,
                    ));
                }
                _ => {}
            }
            acl.settings = settings;
            acl.capacity = capacity;
            acl.entity.description = description.unwrap_or_default();
            acl.entity.lock_token.clone_from(&next);
        }
        Ok(next)
    }

    /// DeleteWebACL: refused while it is associated.
    pub fn delete_web_acl(&mut self, naming: &Naming, lock_token: &str) -> Answer<()> {
        let arn = self.locked::<WebAcl>(naming, lock_token)?;
        if !self
            .resources_of_acl(&AssociatedAcl::V2(arn.clone()))
            .is_empty()
        {
            return Err(associated());
        }
        self.wafv2.web_acls.remove(&arn);
        self.tags.remove(&arn);
        Ok(())
    }

    /// CheckCapacity: what rules would cost.
    pub fn check_capacity(&self, settings: &Map<String, Value>, scope: Scope) -> Answer<u64> {
        self.check_scope(scope)?;
        self.check_waf_rules(settings, scope, Place::WebAcl)
    }

    fn check_web_acl_settings(&self, settings: &Map<String, Value>, scope: Scope) -> Answer<u64> {
        check_default_action(settings)?;
        if let Some(config) = settings.get("VisibilityConfig") {
            check_metric(&serde_json::json!({ "VisibilityConfig": config }))?;
        }
        let capacity = self.check_waf_rules(settings, scope, Place::WebAcl)?;
        let most = self.quotas.limit("waf-capacity-per-web-acl");
        if usize::try_from(capacity).map_or(true, |capacity| capacity > most) {
            return Err(limits_exceeded());
        }
        Ok(capacity)
    }

    /// AssociateWebACL of WAFv2: takes the place of another web ACL, also of
    /// one of WAF Classic; the same again changes nothing.
    pub fn associate_web_acl(&mut self, acl_arn: &str, resource: &str) -> Answer<()> {
        let acl = self.waf_entity_of_arn::<WebAcl>(acl_arn)?;
        if acl.entity.scope == Scope::Cloudfront {
            return Err(invalid_arn(acl_arn));
        }
        self.check_associable(resource)?;
        self.associate(resource, AssociatedAcl::V2(acl_arn.to_owned()))
    }

    /// DisassociateWebACL of WAFv2: without an association nothing happens.
    pub fn disassociate_web_acl(&mut self, resource: &str) -> Answer<()> {
        self.check_associable(resource)?;
        if matches!(
            self.web_acl_associations.get(resource),
            Some(AssociatedAcl::V2(_))
        ) {
            self.web_acl_associations.remove(resource);
        }
        Ok(())
    }

    /// GetWebACLForResource of WAFv2: `None` when there is none.
    pub fn web_acl_of(&self, resource: &str) -> Answer<Option<&WebAcl>> {
        self.check_associable(resource)?;
        Ok(match self.web_acl_associations.get(resource) {
            Some(AssociatedAcl::V2(arn)) => self.wafv2.web_acls.get(arn),
            _ => None,
        })
    }

    /// ListResourcesForWebACL of WAFv2: load balancers only, since no other
    /// kind of resource can be associated here.
    pub fn resources_of_web_acl(&self, acl_arn: &str, kind: Option<&str>) -> Answer<Vec<String>> {
        let acl = self.waf_entity_of_arn::<WebAcl>(acl_arn)?;
        if acl.entity.scope == Scope::Cloudfront {
            return Err(invalid_arn(acl_arn));
        }
        if kind.is_some_and(|kind| kind != "APPLICATION_LOAD_BALANCER") {
            return Ok(Vec::new());
        }
        Ok(self.resources_of_acl(&AssociatedAcl::V2(acl_arn.to_owned())))
    }

    /// The load balancers of a web ACL that still exist.
    pub(super) fn resources_of_acl(&self, acl: &AssociatedAcl) -> Vec<String> {
        self.web_acl_associations
            .iter()
            .filter(|(resource, found)| {
                *found == acl && self.load_balancers.contains_key(*resource)
            })
            .map(|(resource, _)| resource.clone())
            .collect()
    }

    /// Makes the association, within the quota of load balancers per web ACL.
    pub(super) fn associate(&mut self, resource: &str, acl: AssociatedAcl) -> Answer<()> {
        if self.web_acl_associations.get(resource) == Some(&acl) {
            return Ok(());
        }
        if self.resources_of_acl(&acl).len() >= self.quotas.limit("waf-load-balancers-per-web-acl")
        {
            return Err(limits_exceeded());
        }
        let balancers = &self.load_balancers;
        self.web_acl_associations
            .retain(|resource, _| balancers.contains_key(resource));
        self.web_acl_associations.insert(resource.to_owned(), acl);
        Ok(())
    }

    /// Checks that a web ACL can be associated with a resource: an Application
    /// Load Balancer that exists. Of the other kinds that AWS knows none
    /// exists here.
    pub(super) fn check_associable(&self, resource: &str) -> Answer<()> {
        const OTHERS: [&str; 7] = [
            "apigateway",
            "appsync",
            "cognito-idp",
            "apprunner",
            "ec2",
            "amplify",
            "bedrock-agentcore",
        ];
        let parts = arn_parts(resource).ok_or_else(|| invalid_arn(resource))?;
        if OTHERS.contains(&parts.service)
            && (parts.service != "ec2" || parts.resource.starts_with("verified-access-instance/"))
        {
            return Err(nonexistent());
        }
        let balancer = arn::kind(resource) == Some(arn::Kind::LoadBalancer)
            && parts.resource.starts_with("loadbalancer/app/");
        if !balancer {
            return Err(invalid_arn(resource));
        }
        if !self.load_balancers.contains_key(resource) {
            return Err(nonexistent());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::{load_balancer::NewLoadBalancer, waf_regional::NewClassicWebAcl};
    use super::*;
    use crate::{Timing, World};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// An account with a load balancer, whose ARN is answered.
    fn world(timing: Timing) -> (State, String) {
        let mut state = State::new("123456789012", "us-east-1", timing);
        let ids = World::default().build(&mut state, NOW).unwrap();
        let new = NewLoadBalancer {
            name: "web".to_owned(),
            subnets: ids.public_subnets,
            ..NewLoadBalancer::default()
        };
        let balancer = state.create_load_balancer(new, NOW).unwrap();
        (state, balancer)
    }

    fn acl(state: &mut State, name: &str, scope: Scope) -> Answer<(Naming, String, String)> {
        let settings = json!({ "DefaultAction": { "Allow": {} } });
        let new = NewEntity {
            name: name.to_owned(),
            scope,
            description: None,
            tags: Vec::new(),
        };
        let entity = state.create_web_acl(&new, settings.as_object().unwrap().clone(), NOW)?;
        let naming = Naming {
            name: entity.name.clone(),
            scope,
            id: entity.id.clone(),
        };
        Ok((naming, entity.arn.clone(), entity.lock_token.clone()))
    }

    #[test]
    fn a_balancer_has_one_web_acl() {
        let (mut state, balancer) = world(Timing::default());
        let (naming, first, token) = acl(&mut state, "a", Scope::Regional).unwrap();
        let (_, second, _) = acl(&mut state, "b", Scope::Regional).unwrap();
        for arn in [&first, &first, &second, &first] {
            state.associate_web_acl(arn, &balancer).unwrap();
            assert_eq!(
                state.web_acl_of(&balancer).unwrap().unwrap().entity.arn,
                *arn
            );
        }
        let refusal = state.delete_web_acl(&naming, &token).unwrap_err();
        assert_eq!(refusal.code, "WAFAssociatedItemException");
        let change = state.change_token();
        let classic = NewClassicWebAcl {
            name: "old".to_owned(),
            metric_name: "old".to_owned(),
            default_action: "ALLOW".to_owned(),
            tags: Vec::new(),
        };
        let id = state.create_classic_web_acl(classic, &change, NOW).unwrap();
        let id = id.id.clone();
        state.associate_classic_web_acl(&id, &balancer).unwrap();
        assert_eq!(state.web_acl_of(&balancer), Ok(None));
        // It is not the one of the other WAF that is taken away.
        state.disassociate_web_acl(&balancer).unwrap();
        assert_eq!(state.classic_web_acl_of(&balancer).unwrap().unwrap().id, id);
        state.delete_web_acl(&naming, &token).unwrap();
        state.delete_load_balancer(&balancer, NOW).unwrap();
        let change = state.change_token();
        state.delete_classic_web_acl(&id, &change, NOW).unwrap();
    }

    #[test]
    fn who_can_be_associated() {
        let (mut state, balancer) = world(Timing::default());
        let (_, regional, _) = acl(&mut state, "a", Scope::Regional).unwrap();
        let (_, global, _) = acl(&mut state, "a", Scope::Cloudfront).unwrap();
        let absent = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/0123456789abcdef";
        let other = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/a/0123456789abcdef";
        let gone = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/a/0";
        let (unknown, wrong) = (
            "WAFNonexistentItemException",
            "WAFInvalidParameterException",
        );
        for (acl, resource, code) in [
            (regional.as_str(), absent, unknown),
            (gone, balancer.as_str(), unknown),
            (
                &regional,
                "arn:aws:apigateway:us-east-1::/restapis/a/stages/b",
                unknown,
            ),
            (&regional, other, wrong),
            (
                &regional,
                "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1",
                wrong,
            ),
            (&regional, &regional, wrong),
            (&global, &balancer, wrong),
            (&balancer, &balancer, wrong),
        ] {
            let refusal = state.associate_web_acl(acl, resource).unwrap_err();
            assert_eq!(refusal.code, code, "{acl} {resource}");
        }
        assert!(state.web_acl_associations.is_empty());
    }

    #[test]
    fn the_scope_of_cloudfront_has_one_home() {
        let mut state = State::new("123456789012", "eu-west-1", Timing::default());
        let refusal = acl(&mut state, "a", Scope::Cloudfront).unwrap_err();
        assert!(refusal.message.contains("SCOPE_VALUE"), "{refusal}");
    }
}
