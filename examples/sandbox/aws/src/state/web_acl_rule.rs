//! Rules of web ACLs and rule groups of WAFv2: what makes them valid, and the
//! capacity units that they cost.
//!
//! Rules are kept as the documents that were sent, since nothing but these
//! checks looks into them. Types, lengths and enumerations are checked before,
//! against the model; here stands what a model does not say.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Answer, State,
    ip_set::IpSet,
    regex_pattern_set::RegexPatternSet,
    rule_group::RuleGroup,
    wafv2::{Scope, duplicate, invalid, nonexistent, not_exactly_one},
};

/// Rule groups that AWS offers, with their capacity units.
const MANAGED: [(&str, u64); 15] = [
    ("AWSManagedRulesCommonRuleSet", 700),
    ("AWSManagedRulesAdminProtectionRuleSet", 100),
    ("AWSManagedRulesKnownBadInputsRuleSet", 200),
    ("AWSManagedRulesSQLiRuleSet", 200),
    ("AWSManagedRulesLinuxRuleSet", 200),
    ("AWSManagedRulesUnixRuleSet", 100),
    ("AWSManagedRulesWindowsRuleSet", 200),
    ("AWSManagedRulesPHPRuleSet", 100),
    ("AWSManagedRulesWordPressRuleSet", 100),
    ("AWSManagedRulesAmazonIpReputationList", 25),
    ("AWSManagedRulesAnonymousIpList", 50),
    ("AWSManagedRulesBotControlRuleSet", 50),
    ("AWSManagedRulesATPRuleSet", 50),
    ("AWSManagedRulesACFPRuleSet", 50),
    ("AWSManagedRulesAntiDDoSRuleSet", 50),
];
/// What a text transformation costs.
const TRANSFORMATION: u64 = 10;
/// What the choice of all query arguments costs.
const ALL_ARGUMENTS: u64 = 10;
/// What a custom key of a rate-based statement costs.
const CUSTOM_KEY: u64 = 30;
/// Words that a label may not contain as a part.
const RESERVED: [&str; 7] = [
    "aws",
    "waf",
    "managed",
    "rulegroup",
    "webacl",
    "regexpatternset",
    "ipset",
];

/// In what rules stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a web ACL.
    WebAcl,
    /// In a rule group, which cannot contain other groups.
    RuleGroup,
}

/// Where in a rule a statement stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The statement of the rule.
    Top(Place),
    /// Within another statement, where groups and rates cannot stand.
    Nested,
}

impl State {
    /// Checks the `Rules` of a web ACL or rule group; answers their capacity.
    pub(super) fn check_waf_rules(
        &self,
        settings: &Map<String, Value>,
        scope: Scope,
        place: Place,
    ) -> Answer<u64> {
        let (mut names, mut priorities) = (BTreeSet::new(), BTreeSet::new());
        let mut capacity = 0;
        for rule in items(settings.get("Rules")) {
            if !names.insert(text(rule, "Name")) {
                return Err(duplicate());
            }
            let priority = rule.get("Priority").and_then(Value::as_i64);
            if !priorities.insert(priority) {
                return Err(invalid(
                    "You have used the same priority for more than one rule.",
                    "RULE",
                    &priority.unwrap_or_default().to_string(),
                ));
            }
            capacity += self.check_rule(rule, settings, scope, place)?;
        }
        Ok(capacity)
    }

    fn check_rule(
        &self,
        rule: &Value,
        settings: &Map<String, Value>,
        scope: Scope,
        place: Place,
    ) -> Answer<u64> {
        let none = Value::Null;
        let statement = rule.get("Statement").unwrap_or(&none);
        let capacity = self.check_statement(statement, scope, Level::Top(place))?;
        let (kind, _) = only(statement).unwrap_or(("", &none));
        let group = matches!(
            kind,
            "ManagedRuleGroupStatement" | "RuleGroupReferenceStatement"
        );
        match (rule.get("Action"), rule.get("OverrideAction"), group) {
            (Some(action), None, false) => check_action(action, settings)?,
            (None, Some(action), true) => {
                only(action).ok_or_else(|| not_exactly_one("OVERRIDE_ACTION", "OverrideAction"))?;
            }
            _ => return Err(not_exactly_one("RULE", "Rule")),
        }
        for label in items(rule.get("RuleLabels")) {
            let name = text(label, "Name");
            let parts: Vec<&str> = name.split(':').collect();
            let reserved = parts.iter().any(|part| RESERVED.contains(part));
            let long = parts.len() > 6 || parts.iter().any(|part| part.len() > 128);
            if group || reserved || long || parts.contains(&"") {
                return Err(invalid("The label isn't valid.", "RULE", name));
            }
        }
        check_metric(rule)?;
        Ok(capacity)
    }

    fn check_statement(&self, statement: &Value, scope: Scope, level: Level) -> Answer<u64> {
        let (kind, body) =
            only(statement).ok_or_else(|| not_exactly_one("STATEMENT", "Statement"))?;
        Ok(match kind {
            "ByteMatchStatement" => {
                let base = match text(body, "PositionalConstraint") {
                    "CONTAINS" | "CONTAINS_WORD" => 10,
                    _ => 2,
                };
                check_field(base, body)?
            }
            "SqliMatchStatement" => {
                let high = text(body, "SensitivityLevel") == "HIGH";
                check_field(if high { 30 } else { 20 }, body)?
            }
            "XssMatchStatement" => check_field(40, body)?,
            "SizeConstraintStatement" => check_field(1, body)?,
            "RegexMatchStatement" => {
                let expression = text(body, "RegexString");
                if regex::Regex::new(expression).is_err() {
                    return Err(invalid(
                        "The parameter contains formatting that is not valid.",
                        "STATEMENT",
                        expression,
                    ));
                }
                check_field(3, body)?
            }
            "RegexPatternSetReferenceStatement" => {
                let set = self.waf_entity_of_arn::<RegexPatternSet>(text(body, "ARN"))?;
                same_scope(set.entity.scope, scope)?;
                check_field(25, body)?
            }
            "IPSetReferenceStatement" => {
                let set = self.waf_entity_of_arn::<IpSet>(text(body, "ARN"))?;
                same_scope(set.entity.scope, scope)?;
                let forwarded = body.get("IPSetForwardedIPConfig");
                match forwarded.map(|config| text(config, "Position")) {
                    Some("ANY") => 5,
                    _ => 1,
                }
            }
            "GeoMatchStatement" | "AsnMatchStatement" | "LabelMatchStatement" => 1,
            "AndStatement" | "OrStatement" => {
                let statements = items(body.get("Statements"));
                if statements.len() < 2 {
                    let field = if kind == "AndStatement" {
                        "AND_STATEMENT"
                    } else {
                        "OR_STATEMENT"
                    };
                    return Err(invalid(
                        "You haven't met a minimum requirement for a threshold setting.",
                        field,
                        kind,
                    ));
                }
                self.sum(statements, scope)?
            }
            "NotStatement" => {
                let inner = body.get("Statement").unwrap_or(&Value::Null);
                self.check_statement(inner, scope, Level::Nested)?
            }
            "RateBasedStatement" => self.check_rate(body, scope, level)?,
            "ManagedRuleGroupStatement" => {
                if level != Level::Top(Place::WebAcl) {
                    return Err(not_here("MANAGED_RULE_SET_STATEMENT", kind));
                }
                self.check_scope_down(body, scope)?;
                managed_capacity(text(body, "VendorName"), text(body, "Name"))
                    .ok_or_else(bad_reference)?
            }
            "RuleGroupReferenceStatement" => {
                if level != Level::Top(Place::WebAcl) {
                    return Err(not_here("RULE_GROUP_REFERENCE_STATEMENT", kind));
                }
                let group = self.waf_entity_of_arn::<RuleGroup>(text(body, "ARN"))?;
                same_scope(group.entity.scope, scope)?;
                group.capacity
            }
            _ => return Err(not_exactly_one("STATEMENT", "Statement")),
        })
    }

    fn sum(&self, statements: &[Value], scope: Scope) -> Answer<u64> {
        statements
            .iter()
            .map(|inner| self.check_statement(inner, scope, Level::Nested))
            .sum()
    }

    /// The statement that narrows down a rate or a managed group.
    fn check_scope_down(&self, body: &Value, scope: Scope) -> Answer<u64> {
        match body.get("ScopeDownStatement") {
            Some(inner) => self.check_statement(inner, scope, Level::Nested),
            None => Ok(0),
        }
    }

    fn check_rate(&self, body: &Value, scope: Scope, level: Level) -> Answer<u64> {
        const FIELD: &str = "RATE_BASED_STATEMENT";
        if level == Level::Nested {
            return Err(not_here(FIELD, "RateBasedStatement"));
        }
        let window = body.get("EvaluationWindowSec").and_then(Value::as_i64);
        if window.is_some_and(|seconds| ![60, 120, 300, 600].contains(&seconds)) {
            return Err(invalid(
                "The evaluation window must be 60, 120, 300 or 600 seconds.",
                FIELD,
                &window.unwrap_or_default().to_string(),
            ));
        }
        let keys = items(body.get("CustomKeys"));
        let kind = text(body, "AggregateKeyType");
        let complete = match kind {
            "CONSTANT" => body.get("ScopeDownStatement").is_some(),
            "CUSTOM_KEYS" => !keys.is_empty(),
            "FORWARDED_IP" => body.get("ForwardedIPConfig").is_some(),
            _ => true,
        };
        if !complete || (kind != "CUSTOM_KEYS" && !keys.is_empty()) {
            return Err(not_exactly_one(FIELD, kind));
        }
        for key in keys {
            let (_, inner) =
                only(key).ok_or_else(|| not_exactly_one("CUSTOM_KEYS", "CustomKeys"))?;
            transformations(inner)?;
        }
        let keys = CUSTOM_KEY * u64::try_from(keys.len()).unwrap_or_default();
        Ok(2 + keys + self.check_scope_down(body, scope)?)
    }
}

/// Checks the default action of a web ACL.
pub(super) fn check_default_action(settings: &Map<String, Value>) -> Answer<()> {
    let wrong = || not_exactly_one("DEFAULT_ACTION", "DefaultAction");
    let action = settings.get("DefaultAction").ok_or_else(wrong)?;
    match only(action).ok_or_else(wrong)? {
        ("Allow" | "Block", _) => check_response(action, settings),
        _ => Err(wrong()),
    }
}

/// Checks a metric name: two are reserved.
pub(super) fn check_metric(holder: &Value) -> Answer<()> {
    let config = holder.get("VisibilityConfig").unwrap_or(&Value::Null);
    let name = text(config, "MetricName");
    if matches!(name, "All" | "Default_Action") {
        return Err(invalid("The metric name is reserved.", "METRIC_NAME", name));
    }
    Ok(())
}

/// Whether a document contains a reference to an ARN.
pub(super) fn names(document: &Value, arn: &str) -> bool {
    match document {
        Value::Array(items) => items.iter().any(|item| names(item, arn)),
        Value::Object(members) => members.iter().any(|(name, value)| {
            (name == "ARN" && value.as_str() == Some(arn)) || names(value, arn)
        }),
        _ => false,
    }
}

fn check_action(action: &Value, settings: &Map<String, Value>) -> Answer<()> {
    only(action).ok_or_else(|| not_exactly_one("RULE_ACTION", "RuleAction"))?;
    check_response(action, settings)
}

/// Checks the answer of a blocking action: its body has to be defined.
fn check_response(action: &Value, settings: &Map<String, Value>) -> Answer<()> {
    let Some(response) = action
        .get("Block")
        .and_then(|block| block.get("CustomResponse"))
    else {
        return Ok(());
    };
    let key = text(response, "CustomResponseBodyKey");
    let bodies = settings.get("CustomResponseBodies");
    if !key.is_empty() && bodies.and_then(|bodies| bodies.get(key)).is_none() {
        return Err(invalid(
            "The custom response body isn't defined.",
            "CUSTOM_RESPONSE_BODY",
            key,
        ));
    }
    let mut headers = BTreeSet::new();
    for header in items(response.get("ResponseHeaders")) {
        let name = text(header, "Name").to_ascii_lowercase();
        if name == "content-type" || !headers.insert(name) {
            return Err(invalid(
                "The header isn't valid.",
                "CUSTOM_RESPONSE",
                text(header, "Name"),
            ));
        }
    }
    Ok(())
}

/// Checks what a statement looks at; answers the capacity with it.
fn check_field(base: u64, body: &Value) -> Answer<u64> {
    let field = body.get("FieldToMatch").unwrap_or(&Value::Null);
    let (name, inner) =
        only(field).ok_or_else(|| not_exactly_one("FIELD_TO_MATCH", "FieldToMatch"))?;
    let pattern = match name {
        "JsonBody" => "JSON_MATCH_PATTERN",
        "Headers" => "HEADER_MATCH_PATTERN",
        "Cookies" => "COOKIE_MATCH_PATTERN",
        _ => "",
    };
    if !pattern.is_empty() {
        let given = inner.get("MatchPattern").unwrap_or(&Value::Null);
        only(given).ok_or_else(|| not_exactly_one(pattern, "MatchPattern"))?;
    }
    let extra = match name {
        "JsonBody" => base,
        "AllQueryArguments" => ALL_ARGUMENTS,
        _ => 0,
    };
    Ok(base + extra + transformations(body)?)
}

/// Checks text transformations; answers their capacity.
fn transformations(body: &Value) -> Answer<u64> {
    let mut capacity = 0;
    let mut priorities = BTreeSet::new();
    for one in items(body.get("TextTransformations")) {
        let priority = one.get("Priority").and_then(Value::as_i64);
        if !priorities.insert(priority) {
            return Err(invalid(
                "You have used the same priority for more than one text transformation.",
                "TEXT_TRANSFORMATION",
                &priority.unwrap_or_default().to_string(),
            ));
        }
        if text(one, "Type") != "NONE" {
            capacity += TRANSFORMATION;
        }
    }
    Ok(capacity)
}

fn managed_capacity(vendor: &str, name: &str) -> Option<u64> {
    MANAGED
        .iter()
        .find(|(known, _)| vendor == "AWS" && *known == name)
        .map(|(_, capacity)| *capacity)
}

fn same_scope(found: Scope, wanted: Scope) -> Answer<()> {
    if found == wanted {
        Ok(())
    } else {
        Err(nonexistent())
    }
}

fn bad_reference() -> super::Refusal {
    invalid(
        "A reference in your rule statement is not valid.",
        "RULE",
        "Statement",
    )
}

fn not_here(field: &str, kind: &str) -> super::Refusal {
    invalid("The statement can't be nested here.", field, kind)
}

/// The only member of a structure; `None` when there is none or there are more.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let mut members = value.as_object()?.iter();
    let (name, inner) = members.next()?;
    members.next().is_none().then_some((name.as_str(), inner))
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
