//! Policy documents: whether statements allow or deny an action.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::Context;

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// No statement is about it.
    NotAllowed,
    /// A statement denies it.
    Denied,
}

/// Judges one action on one resource.
pub(super) fn decide(policy: &Value, action: &str, resource: &str, context: &Context) -> Decision {
    let mut decision = Decision::NotAllowed;
    for statement in statements(policy) {
        if !applies(statement, action, resource, context) {
            continue;
        }
        if statement.get("Effect").and_then(Value::as_str) == Some("Deny") {
            return Decision::Denied;
        }
        decision = Decision::Allowed;
    }
    decision
}

/// Says what is wrong with a policy document, for people.
///
/// # Errors
/// What IAM would not take, and what this simulator does not understand: a
/// condition that it cannot judge must not pass for met or unmet.
pub fn check(policy: &Value) -> Result<(), String> {
    let document = policy.as_object().ok_or("a policy is an object")?;
    let version = document.get("Version").map(Value::as_str);
    if !matches!(version, None | Some(Some("2012-10-17" | "2008-10-17"))) {
        return Err("the Version of a policy is 2012-10-17 or 2008-10-17".to_owned());
    }
    let all = statements(policy);
    let complete = match document.get("Statement") {
        Some(Value::Array(listed)) => !listed.is_empty() && listed.len() == all.len(),
        Some(Value::Object(_)) => true,
        _ => false,
    };
    if !complete {
        return Err(
            "the Statement of a policy is an object or a list of one or more objects".to_owned(),
        );
    }
    for (statement, number) in all.into_iter().zip(1..) {
        let at = |what: String| format!("statement {number}: {what}");
        let effect = statement.get("Effect").and_then(Value::as_str);
        if !matches!(effect, Some("Allow" | "Deny")) {
            return Err(at("Effect has to be Allow or Deny".to_owned()));
        }
        for (one, other) in [("Action", "NotAction"), ("Resource", "NotResource")] {
            if statement.contains_key(one) == statement.contains_key(other) {
                return Err(at(format!("needs either {one} or {other}")));
            }
        }
        for known in ["Action", "NotAction", "Resource", "NotResource"] {
            if statement
                .get(known)
                .is_some_and(|value| texts(value).is_empty())
            {
                return Err(at(format!("{known} has to be a text or a list of texts")));
            }
        }
        for (operator, keys) in conditions(statement) {
            if Operator::parse(operator).is_none() {
                return Err(at(format!(
                    "the condition operator '{operator}' is not known"
                )));
            }
            if !keys.is_object() {
                return Err(at(format!("the condition {operator} has to be an object")));
            }
        }
    }
    Ok(())
}

pub(super) fn statements(policy: &Value) -> Vec<&Map<String, Value>> {
    match policy.get("Statement") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_object).collect(),
        Some(Value::Object(one)) => vec![one],
        _ => Vec::new(),
    }
}

fn conditions(statement: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let conditions = statement.get("Condition").and_then(Value::as_object);
    conditions.into_iter().flatten()
}

/// A text or a list of texts; numbers and booleans as their text.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(all) => all.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

fn applies(
    statement: &Map<String, Value>,
    action: &str,
    resource: &str,
    context: &Context,
) -> bool {
    let action = action.to_lowercase();
    let any_action = |name: &str| {
        let patterns = statement.get(name).map(texts);
        patterns.map(|all| all.iter().any(|p| like(&p.to_lowercase(), &action)))
    };
    let any_resource = |name: &str| {
        let patterns = statement.get(name).map(texts);
        patterns.map(|all| all.iter().any(|p| like(&filled(p, context), resource)))
    };
    let about = any_action("Action").unwrap_or_else(|| !any_action("NotAction").unwrap_or(true))
        && any_resource("Resource").unwrap_or_else(|| !any_resource("NotResource").unwrap_or(true));
    about && conditions_hold(statement, context)
}

/// Whether all conditions of a statement are met; one that is not known is
/// not.
pub(super) fn conditions_hold(statement: &Map<String, Value>, context: &Context) -> bool {
    conditions(statement).all(|(operator, keys)| {
        Operator::parse(operator).is_some_and(|operator| {
            let mut keys = keys.as_object().into_iter().flatten();
            keys.all(|(key, wanted)| operator.holds(key, &texts(wanted), context))
        })
    })
}

/// A pattern with `${aws:…}` filled in.
fn filled(pattern: &str, context: &Context) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((key, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        if let Some([value]) = context.get(&key.to_lowercase()).map(Vec::as_slice) {
            out.push_str(value);
        } else {
            out.push_str("${");
            out.push_str(key);
            out.push('}');
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether a text is what a pattern with `*` and `?` stands for.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, stretched)) = star else {
                    return false;
                };
                star = Some((at, stretched + 1));
                p = at + 1;
                t = stretched + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How a key with several values is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Many {
    /// The key has one value.
    One,
    /// Each value of the key is one of those wanted; none is fine.
    All,
    /// Some value of the key is one of those wanted.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equals,
    EqualsIgnoreCase,
    Like,
    Number(std::cmp::Ordering, bool),
    Bool,
    Address,
    Null,
}

/// A condition operator, such as `ForAllValues:StringNotLikeIfExists`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    many: Many,
    test: Test,
    not: bool,
    if_exists: bool,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        use std::cmp::Ordering::{Equal, Greater, Less};

        let (many, name) = match name.split_once(':') {
            Some(("ForAllValues", name)) => (Many::All, name),
            Some(("ForAnyValue", name)) => (Many::Any, name),
            Some(_) => return None,
            None => (Many::One, name),
        };
        let (if_exists, name) = match name.strip_suffix("IfExists") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let (test, not) = match name {
            "StringEquals" => (Test::Equals, false),
            "StringNotEquals" => (Test::Equals, true),
            "StringEqualsIgnoreCase" => (Test::EqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Test::EqualsIgnoreCase, true),
            "StringLike" | "ArnEquals" | "ArnLike" => (Test::Like, false),
            "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => (Test::Like, true),
            "NumericEquals" => (Test::Number(Equal, false), false),
            "NumericNotEquals" => (Test::Number(Equal, false), true),
            "NumericLessThan" => (Test::Number(Less, false), false),
            "NumericLessThanEquals" => (Test::Number(Less, true), false),
            "NumericGreaterThan" => (Test::Number(Greater, false), false),
            "NumericGreaterThanEquals" => (Test::Number(Greater, true), false),
            "Bool" => (Test::Bool, false),
            "IpAddress" => (Test::Address, false),
            "NotIpAddress" => (Test::Address, true),
            "Null" if !if_exists && many == Many::One => (Test::Null, false),
            _ => return None,
        };
        Some(Self {
            many,
            test,
            not,
            if_exists,
        })
    }

    fn holds(self, key: &str, wanted: &[String], context: &Context) -> bool {
        let values = context.get(&key.to_lowercase());
        if self.test == Test::Null {
            let absent = values.is_none_or(Vec::is_empty);
            return wanted
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case("true") == absent);
        }
        let Some(values) = values.filter(|values| !values.is_empty()) else {
            // What is not there equals nothing; all of no values is true.
            return self.if_exists
                || self.many == Many::All
                || (self.not && self.many == Many::One);
        };
        let one = |value: &String| {
            let mut wanted = wanted.iter();
            let met = wanted.any(|wanted| self.test.met(&filled(wanted, context), value));
            met != self.not
        };
        match self.many {
            Many::All => values.iter().all(one),
            // A key of many values is compared as a set.
            Many::One if self.not => values.iter().all(one),
            Many::Any | Many::One => values.iter().any(one),
        }
    }
}

impl Test {
    fn met(self, wanted: &str, value: &str) -> bool {
        match self {
            Self::Equals => wanted == value,
            Self::EqualsIgnoreCase | Self::Bool => wanted.eq_ignore_ascii_case(value),
            Self::Like => like(wanted, value),
            Self::Number(order, or_equal) => {
                let numbers = (value.parse::<f64>(), wanted.parse::<f64>());
                let (Ok(value), Ok(wanted)) = numbers else {
                    return false;
                };
                let found = value.partial_cmp(&wanted);
                found == Some(order) || (or_equal && found == Some(std::cmp::Ordering::Equal))
            }
            Self::Address => {
                let Ok(address) = value.parse::<IpAddr>() else {
                    return false;
                };
                let range = wanted.parse::<IpNet>();
                range.map_or_else(
                    |_| {
                        wanted
                            .parse::<IpAddr>()
                            .is_ok_and(|wanted| wanted == address)
                    },
                    |range| range.contains(&address),
                )
            }
            Self::Null => false,
        }
    }
}
