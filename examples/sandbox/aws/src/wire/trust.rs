//! Whether the trust policy of a role lets somebody assume it.

use std::collections::BTreeMap;

use serde_json::Value;

/// Somebody who wants to assume a role.
pub struct Wish<'a> {
    /// `sts:AssumeRole` and its kin.
    pub action: &'a str,
    /// `AWS` or `Federated`.
    pub kind: &'a str,
    /// The names under which a policy may call it: ARNs, the account, an issuer.
    pub names: Vec<String>,
    /// What conditions can ask for, by key.
    pub context: BTreeMap<String, Vec<String>>,
}

impl Wish<'_> {
    /// Whether a policy allows it: some statement allows it, none denies it.
    pub fn is_granted(&self, policy: &Value) -> bool {
        let all = statements(policy);
        let fitting: Vec<&Value> = all.into_iter().filter(|one| self.fits(one)).collect();
        let effect = |wanted: &str| fitting.iter().any(|one| one["Effect"] == wanted);
        effect("Allow") && !effect("Deny")
    }

    fn fits(&self, statement: &Value) -> bool {
        let actions = texts(&statement["Action"]);
        let action = actions.iter().any(|pattern| {
            like(
                &pattern.to_ascii_lowercase(),
                &self.action.to_ascii_lowercase(),
            )
        });
        action && self.is_principal(&statement["Principal"]) && self.meets(&statement["Condition"])
    }

    fn is_principal(&self, principal: &Value) -> bool {
        if principal == "*" {
            return true;
        }
        let named = texts(&principal[self.kind]);
        named
            .iter()
            .any(|name| name == "*" || self.names.contains(name))
    }

    fn meets(&self, condition: &Value) -> bool {
        let Some(operators) = condition.as_object() else {
            return true;
        };
        operators.iter().all(|(operator, tests)| {
            let tests = tests.as_object().into_iter().flatten();
            tests.into_iter().all(|(key, wanted)| {
                let have = self
                    .context
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(key))
                    .map(|(_, values)| values.as_slice());
                holds(operator, have, &texts(wanted))
            })
        })
    }
}

fn statements(policy: &Value) -> Vec<&Value> {
    match &policy["Statement"] {
        Value::Array(all) => all.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// A text, or all texts of a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Bool(flag) => vec![flag.to_string()],
        Value::Number(number) => vec![number.to_string()],
        _ => Vec::new(),
    }
}

/// One test of a condition. An operator that is not known holds for nobody.
fn holds(operator: &str, have: Option<&[String]>, wanted: &[String]) -> bool {
    let (operator, optional) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let operator = operator.rsplit(':').next().unwrap_or(operator);
    if operator == "Null" {
        return wanted
            .iter()
            .any(|wanted| (wanted == "true") == have.is_none());
    }
    let Some(have) = have else {
        return optional || operator.starts_with("StringNot");
    };
    let any = |fits: fn(&str, &str) -> bool| {
        have.iter()
            .any(|have| wanted.iter().any(|wanted| fits(wanted, have)))
    };
    match operator {
        "StringEquals" => any(|a, b| a == b),
        "StringEqualsIgnoreCase" => any(str::eq_ignore_ascii_case),
        "StringLike" | "ArnLike" | "ArnEquals" => any(like),
        "StringNotEquals" => !any(|a, b| a == b),
        "StringNotLike" => !any(like),
        _ => false,
    }
}

/// Whether a text fits a pattern with `*` and `?`.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, covered)) = star else {
                    return false;
                };
                star = Some((at, covered + 1));
                p = at + 1;
                t = covered + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wish(external: Option<&str>) -> Wish<'static> {
        let mut context = BTreeMap::new();
        if let Some(id) = external {
            context.insert("sts:ExternalId".to_owned(), vec![id.to_owned()]);
        }
        Wish {
            action: "sts:AssumeRole",
            kind: "AWS",
            names: vec![
                "123456789012".to_owned(),
                "arn:aws:iam::123456789012:root".to_owned(),
            ],
            context,
        }
    }

    #[test]
    fn principals_actions_and_conditions() {
        let allow = |principal: Value, condition: Value| json!({ "Statement": { "Effect": "Allow", "Action": "sts:Assume*", "Principal": principal, "Condition": condition } });
        let root = json!({ "AWS": ["arn:aws:iam::123456789012:root"] });
        assert!(wish(None).is_granted(&allow(root.clone(), Value::Null)));
        assert!(wish(None).is_granted(&allow(json!("*"), Value::Null)));
        assert!(!wish(None).is_granted(&allow(json!({ "AWS": "999999999999" }), Value::Null)));
        assert!(
            !wish(None).is_granted(&allow(json!({ "Federated": "123456789012" }), Value::Null))
        );
        assert!(!wish(None).is_granted(&json!({})));
        let external = json!({ "StringEquals": { "sts:ExternalId": "abc" } });
        let policy = allow(root.clone(), external);
        assert!(wish(Some("abc")).is_granted(&policy));
        assert!(!wish(Some("abd")).is_granted(&policy));
        assert!(!wish(None).is_granted(&policy));
        let mut denied = allow(root.clone(), Value::Null);
        denied["Statement"] = json!([
            denied["Statement"],
            { "Effect": "Deny", "Action": "*", "Principal": root },
        ]);
        assert!(!wish(None).is_granted(&denied));
    }

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("a*c", "abbc", true),
            ("*", "", true),
            ("a?", "ab", true),
            ("a?", "a", false),
            ("*:b", "a:b:c", false),
            (
                "system:serviceaccount:*:web",
                "system:serviceaccount:kube:web",
                true,
            ),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
