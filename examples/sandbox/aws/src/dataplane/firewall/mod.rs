//! What the web ACL of a load balancer makes of a request, before any rule of
//! the listener sees it.
//!
//! Pure but for the rates that it remembers. Statements that need more than is
//! known here (bodies, places, managed rules, tokens) are not evaluated: their
//! rule decides nothing, and the trace says so. Source: "Web ACL rule and rule
//! group evaluation" of the developer guide of WAF.

mod field;
mod rates;
mod statement;

use std::borrow::Cow;
use std::net::IpAddr;

use axum::http::header::{HeaderName, HeaderValue};
use axum::http::request::Parts;
use jiff::Timestamp;
use serde_json::{Map, Value};

pub(crate) use self::rates::Rates;
use self::statement::{Sight, evaluate};
use super::answer::Answer;
use super::course::{SeenWafRule, SeenWebAcl};
use super::vouched::Vouched;
use crate::state::web_acl::{AssociatedAcl, WebAcl};
use crate::state::{LoadBalancer, State};

/// What is put before the name of a header that a rule adds.
const INSERTED: &str = "x-amzn-waf-";

/// What a web ACL says of a request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The answer to a request that is blocked.
    pub(crate) blocked: Option<Answer>,
    /// Headers that the rules add for the target.
    pub(crate) inserted: Vouched,
    /// Everything that was looked at.
    pub(crate) seen: SeenWebAcl,
}

/// The request as a firewall sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) peer: IpAddr,
    /// The simulated time.
    pub(crate) now: Timestamp,
    pub(crate) rates: &'a Rates,
}

/// What the web ACL of a load balancer says; `None` where it has none.
pub(crate) fn judged(
    state: &State,
    balancer: &LoadBalancer,
    visitor: Visitor<'_>,
) -> Option<Verdict> {
    match state.web_acl_associations.get(&balancer.arn)? {
        AssociatedAcl::V2(arn) => Some(by_rules(state, state.wafv2.web_acls.get(arn)?, visitor)),
        AssociatedAcl::Classic(id) => {
            let acl = state.waf_regional.web_acls.get(id)?;
            let blocks = acl.default_action == "BLOCK";
            Some(Verdict {
                blocked: blocks.then(|| refused(&acl.name, "its default action")),
                seen: SeenWebAcl {
                    name: acl.name.clone(),
                    rules: Vec::new(),
                    action: if blocks { "Block" } else { "Allow" }.to_owned(),
                },
                ..Verdict::default()
            })
        }
    }
}

fn refused(acl: &str, by: &str) -> Answer {
    Answer::error(403, format!("the web ACL {acl} blocks the request by {by}"))
}

/// What has been found while rules were looked at, one after the other.
#[derive(Default)]
struct Course {
    seen: Vec<SeenWafRule>,
    /// What rules have said of the request, with their namespaces.
    labels: Vec<String>,
    inserted: Vouched,
}

/// What ends the evaluation.
struct End {
    /// `Allow` or `Block`.
    action: String,
    /// The settings of the action.
    settings: Value,
    /// The bodies of custom answers.
    bodies: Value,
    rule: String,
}

impl End {
    fn of(action: &str, settings: &Value, holder: &Map<String, Value>, rule: String) -> Self {
        Self {
            action: action.to_owned(),
            settings: settings.clone(),
            bodies: holder
                .get("CustomResponseBodies")
                .cloned()
                .unwrap_or_default(),
            rule,
        }
    }
}

fn by_rules(state: &State, acl: &WebAcl, visitor: Visitor<'_>) -> Verdict {
    let name = acl.entity.name.as_str();
    let mut course = Course::default();
    let settings = &acl.settings;
    let namespace = format!("awswaf:{}:webacl:{name}:", state.account);
    let end = rules(
        state,
        &acl.entity.arn,
        settings,
        &namespace,
        visitor,
        &mut course,
    );
    let end = end.unwrap_or_else(|| {
        let default = settings.get("DefaultAction").and_then(only);
        let (action, inner) = default.unwrap_or(("Allow", &Value::Null));
        End::of(action, inner, settings, "its default action".to_owned())
    });
    let mut verdict = Verdict::default();
    if end.action == "Block" {
        verdict.blocked = Some(custom(&end, refused(name, &end.rule)));
    } else {
        insert(&end.settings, &mut course.inserted);
    }
    Verdict {
        inserted: course.inserted,
        seen: SeenWebAcl {
            name: name.to_owned(),
            rules: course.seen,
            action: format!("{} by {}", end.action, end.rule),
        },
        ..verdict
    }
}

/// Looks at the rules of a web ACL or of a rule group in the order of their
/// priorities, until one ends it. `counted` names what their rates are kept for.
fn rules(
    state: &State,
    counted: &str,
    settings: &Map<String, Value>,
    namespace: &str,
    visitor: Visitor<'_>,
    course: &mut Course,
) -> Option<End> {
    let mut ordered: Vec<&Value> = items(settings.get("Rules")).iter().collect();
    ordered.sort_by_key(|rule| rule.get("Priority").and_then(Value::as_i64));
    for rule in ordered {
        let name = text(rule, "Name");
        let statement = rule.get("Statement").unwrap_or(&Value::Null);
        if let Some(group) = statement.get("RuleGroupReferenceStatement") {
            if let Some(end) = of_group(state, group, rule, visitor, course) {
                return Some(end);
            }
            continue;
        }
        let sight = Sight {
            state,
            visitor,
            labels: &course.labels,
            counted: &format!("{counted} {name}"),
        };
        let matched = evaluate(statement, sight);
        let action = rule.get("Action").and_then(only);
        let (action, inner) = action.unwrap_or(("Count", &Value::Null));
        course.seen.push(SeenWafRule {
            name: name.to_owned(),
            matched,
            action: action.to_owned(),
        });
        if matched != Some(true) {
            continue;
        }
        for label in items(rule.get("RuleLabels")) {
            course
                .labels
                .push(format!("{namespace}{}", text(label, "Name")));
        }
        if matches!(action, "Allow" | "Block") {
            let rule = format!("its rule {name}");
            return Some(End::of(action, inner, settings, rule));
        }
        // It counts only. A captcha and a challenge would ask for a token that
        // no client here can have.
        insert(inner, &mut course.inserted);
    }
    None
}

/// The rules of a group that a rule of a web ACL refers to.
fn of_group(
    state: &State,
    reference: &Value,
    rule: &Value,
    visitor: Visitor<'_>,
    course: &mut Course,
) -> Option<End> {
    let group = state.wafv2.rule_groups.get(text(reference, "ARN"))?;
    let name = group.entity.name.as_str();
    let namespace = format!("awswaf:{}:rulegroup:{name}:", state.account);
    let overrides = items(reference.get("RuleActionOverrides"));
    let excluded = items(reference.get("ExcludedRules"));
    let mut settings = Cow::Borrowed(&group.settings);
    if !overrides.is_empty() || !excluded.is_empty() {
        // Here it is used otherwise than it stands.
        let own = settings.to_mut().get_mut("Rules");
        for rule in own.and_then(Value::as_array_mut)? {
            let own = text(rule, "Name").to_owned();
            let named = |one: &&Value| text(one, "Name") == own;
            if excluded.iter().any(|one| named(&one)) {
                rule["Action"] = serde_json::json!({ "Count": {} });
            } else if let Some(to) = overrides.iter().find(named) {
                rule["Action"] = to.get("ActionToUse").cloned().unwrap_or_default();
            }
        }
    }
    let before = course.seen.len();
    let arn = &group.entity.arn;
    let end = rules(state, arn, &settings, &namespace, visitor, course);
    for rule in &mut course.seen[before..] {
        rule.name = format!("{name}/{}", rule.name);
    }
    let counts = rule.get("OverrideAction").and_then(only);
    let counts = counts.is_some_and(|(action, _)| action == "Count");
    let end = end.filter(|_| !counts)?;
    let own = end.rule.trim_start_matches("its ");
    let rule = format!("the {own} of the group {name}");
    Some(End { rule, ..end })
}

/// The answer with what `CustomResponse` of an action makes of it.
fn custom(end: &End, answer: Answer) -> Answer {
    let Some(response) = end.settings.get("CustomResponse") else {
        return answer;
    };
    let status = response.get("ResponseCode").and_then(Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok());
    let mut answer = Answer {
        reason: answer.reason,
        ..Answer::error(status.unwrap_or(403), "")
    };
    let body = end.bodies.get(text(response, "CustomResponseBodyKey"));
    (answer.content_type, answer.body) = match body {
        Some(body) => {
            let content_type = match text(body, "ContentType") {
                "APPLICATION_JSON" => "application/json",
                "TEXT_HTML" => "text/html",
                _ => "text/plain",
            };
            let content = text(body, "Content").to_owned();
            (Some(content_type.to_owned()), content)
        }
        None => (None, String::new()),
    };
    for header in items(response.get("ResponseHeaders")) {
        let name = text(header, "Name").parse::<HeaderName>();
        let value = HeaderValue::from_str(text(header, "Value"));
        answer.headers.extend(name.ok().zip(value.ok()));
    }
    answer
}

/// Adds the headers that an action which does not block has for the target.
fn insert(settings: &Value, inserted: &mut Vouched) {
    let handling = settings.get("CustomRequestHandling");
    for header in items(handling.and_then(|handling| handling.get("InsertHeaders"))) {
        let name = format!("{INSERTED}{}", text(header, "Name")).to_ascii_lowercase();
        if let Ok(name) = name.parse::<HeaderName>() {
            inserted.replace(name, text(header, "Value"));
        }
    }
}

/// The only member of a structure, by its name.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let (name, inner) = value.as_object()?.iter().next()?;
    Some((name.as_str(), inner))
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
