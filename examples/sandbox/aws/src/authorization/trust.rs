//! Whether the trust policy of a role lets somebody assume it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Context,
    policy::{conditions_hold, like, statements, texts},
};

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
        let mut fitting = statements(policy);
        fitting.retain(|one| self.fits(one));
        let effect = |wanted: &str| {
            let mut effects = fitting.iter().filter_map(|one| one.get("Effect"));
            effects.any(|effect| effect == wanted)
        };
        effect("Allow") && !effect("Deny")
    }

    fn fits(&self, statement: &Map<String, Value>) -> bool {
        let actions = statement.get("Action").map(texts).unwrap_or_default();
        let action = self.action.to_lowercase();
        let mut actions = actions.iter();
        actions.any(|pattern| like(&pattern.to_lowercase(), &action))
            && statement
                .get("Principal")
                .is_some_and(|p| self.is_principal(p))
            && conditions_hold(statement, &self.context())
    }

    fn context(&self) -> Context {
        let context = self.context.iter();
        context
            .map(|(key, values)| (key.to_lowercase(), values.clone()))
            .collect()
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
