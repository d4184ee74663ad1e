//! Sets of regular expressions of WAFv2.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Answer, State,
    wafv2::{Entity, Kind, Naming, NewEntity, Wafv2, associated, invalid, limits_exceeded},
};

/// A set of regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexPatternSet {
    /// Name, id, ARN, …
    pub entity: Entity,
    /// The expressions, as sent.
    pub expressions: Vec<String>,
}

impl Kind for RegexPatternSet {
    const IN_ARN: &'static str = "regexpatternset";
    const QUOTA: &'static str = "waf-regex-pattern-sets";

    fn entity(&self) -> &Entity {
        &self.entity
    }

    fn all(wafv2: &Wafv2) -> &BTreeMap<String, Self> {
        &wafv2.regex_pattern_sets
    }
}

impl State {
    /// CreateRegexPatternSet.
    pub fn create_regex_pattern_set(
        &mut self,
        new: &NewEntity,
        expressions: Vec<String>,
        now: Timestamp,
    ) -> Answer<&Entity> {
        for expression in &expressions {
            if regex::Regex::new(expression).is_err() {
                return Err(invalid(
                    "The parameter contains formatting that is not valid.",
                    "REGEX_PATTERN_SET",
                    expression,
                ));
            }
        }
        if expressions.len() > self.quotas.limit("waf-expressions-per-regex-pattern-set") {
            return Err(limits_exceeded());
        }
        let (entity, tags) = self.new_entity::<RegexPatternSet>(new, now)?;
        let arn = entity.arn.clone();
        self.tags.insert(arn.clone(), tags);
        let set = RegexPatternSet {
            entity,
            expressions,
        };
        Ok(&self
            .wafv2
            .regex_pattern_sets
            .entry(arn)
            .or_insert(set)
            .entity)
    }

    /// DeleteRegexPatternSet: refused while a rule names it.
    pub fn delete_regex_pattern_set(&mut self, naming: &Naming, lock_token: &str) -> Answer<()> {
        let arn = self.locked::<RegexPatternSet>(naming, lock_token)?;
        if self.waf_rules_name(&arn) {
            return Err(associated());
        }
        self.wafv2.regex_pattern_sets.remove(&arn);
        self.tags.remove(&arn);
        Ok(())
    }
}
