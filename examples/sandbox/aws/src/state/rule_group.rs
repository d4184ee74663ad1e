//! Groups of rules of WAFv2.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Answer, Refusal, State,
    wafv2::{Entity, Kind, Naming, NewEntity, Wafv2, associated},
    web_acl_rule::{Place, names},
};

/// A group of rules that web ACLs can refer to.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleGroup {
    /// Name, id, ARN, …
    pub entity: Entity,
    /// Capacity units set aside for the rules; fixed when the group is made.
    pub capacity: u64,
    /// `Rules`, `VisibilityConfig` and `CustomResponseBodies`, as sent.
    pub settings: Map<String, Value>,
}

impl Kind for RuleGroup {
    const IN_ARN: &'static str = "rulegroup";
    const QUOTA: &'static str = "waf-rule-groups";

    fn entity(&self) -> &Entity {
        &self.entity
    }

    fn all(wafv2: &Wafv2) -> &BTreeMap<String, Self> {
        &wafv2.rule_groups
    }
}

impl State {
    /// CreateRuleGroup: refused when the rules need more than the capacity.
    pub fn create_rule_group(
        &mut self,
        new: &NewEntity,
        capacity: u64,
        settings: Map<String, Value>,
        now: Timestamp,
    ) -> Answer<&Entity> {
        self.check_scope(new.scope)?;
        let needed = self.check_waf_rules(&settings, new.scope, Place::RuleGroup)?;
        let most = u64::try_from(self.quotas.limit("waf-capacity-per-web-acl")).unwrap_or(u64::MAX);
        if needed > capacity || capacity > most {
            return Err(Refusal::new(
                "WAFLimitsExceededException",
                format!(
                    "AWS WAF couldn’t perform the operation because you exceeded your resource limit. Rules need {needed} units of {capacity}; a group may have {most}."
                ),
            ));
        }
        let (entity, tags) = self.new_entity::<RuleGroup>(new, now)?;
        let arn = entity.arn.clone();
        self.tags.insert(arn.clone(), tags);
        let group = RuleGroup {
            entity,
            capacity,
            settings,
        };
        Ok(&self.wafv2.rule_groups.entry(arn).or_insert(group).entity)
    }

    /// DeleteRuleGroup: refused while a web ACL names it.
    pub fn delete_rule_group(&mut self, naming: &Naming, lock_token: &str) -> Answer<()> {
        let arn = self.locked::<RuleGroup>(naming, lock_token)?;
        if self.waf_rules_name(&arn) {
            return Err(associated());
        }
        self.wafv2.rule_groups.remove(&arn);
        self.tags.remove(&arn);
        Ok(())
    }

    /// Whether a rule of a web ACL or of a rule group names an ARN.
    pub(super) fn waf_rules_name(&self, arn: &str) -> bool {
        let acls = self.wafv2.web_acls.values().map(|acl| &acl.settings);
        let groups = self.wafv2.rule_groups.values().map(|group| &group.settings);
        acls.chain(groups)
            .filter_map(|settings| settings.get("Rules"))
            .any(|rules| names(rules, arn))
    }
}
