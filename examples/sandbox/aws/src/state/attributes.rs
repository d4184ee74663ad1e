//! What attributes of load balancers, target groups and listeners have in
//! common: keys with defaults and permitted values, and how they change. A key
//! that is in no table of a resource is one that it does not have.

use std::collections::BTreeMap;

use super::{Answer, Refusal};

/// Which values a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// `true` or `false`.
    Bool,
    /// This value only.
    Fixed(&'static str),
    /// A number from, to.
    Range(u64, u64),
    /// 0, or a number from, to.
    ZeroOr(u64, u64),
    /// `off`, or a number from, to.
    OffOr(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
}

/// A key with its default and its values.
pub type Spec = (&'static str, &'static str, Values);

/// The most attributes that one call may change.
const MOST_PER_CALL: usize = 20;

/// Every key with its default.
pub fn defaults(tables: &[&[Spec]]) -> BTreeMap<String, String> {
    tables
        .iter()
        .flat_map(|table| table.iter())
        .map(|(key, value, _)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The attributes after a change: named keys change, the others stay, and
/// either all changes are good or none is made. `what` is used in texts.
pub fn changed(
    what: &str,
    tables: &[&[Spec]],
    current: &BTreeMap<String, String>,
    changes: &[(String, String)],
) -> Answer<BTreeMap<String, String>> {
    if changes.is_empty() {
        return Err(Refusal::validation(
            "At least one attribute must be specified",
        ));
    }
    if changes.len() > MOST_PER_CALL {
        return Err(Refusal::validation(format!(
            "At most {MOST_PER_CALL} attributes may be modified in one call, got {}",
            changes.len()
        )));
    }
    let mut after = current.clone();
    for (at, (key, value)) in changes.iter().enumerate() {
        if changes[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(Refusal::validation(format!(
                "The {what} attribute '{key}' was specified more than once"
            )));
        }
        let spec = tables
            .iter()
            .flat_map(|table| table.iter())
            .find(|(known, ..)| known == key);
        let Some((_, _, values)) = spec else {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("The provided {what} attribute is not supported: '{key}'"),
            ));
        };
        if !values.permit(value) {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("The value '{value}' is not valid for the {what} attribute '{key}'"),
            ));
        }
        after.insert(key.clone(), value.clone());
    }
    Ok(after)
}

impl Values {
    /// Whether `value` is one of them.
    pub fn permit(self, value: &str) -> bool {
        // A number with a sign or leading zeros is not the number that reads back.
        let within = |from, to| {
            value
                .parse::<u64>()
                .is_ok_and(|n| (from..=to).contains(&n) && n.to_string() == value)
        };
        match self {
            Self::Bool => matches!(value, "true" | "false"),
            Self::Fixed(only) => value == only,
            Self::Range(from, to) => within(from, to),
            Self::ZeroOr(from, to) => value == "0" || within(from, to),
            Self::OffOr(from, to) => value == "off" || within(from, to),
            Self::OneOf(words) => words.contains(&value),
            Self::Text => value.chars().count() <= 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_are_partial_and_all_or_nothing() {
        const TABLE: &[Spec] = &[
            ("idle", "60", Values::Range(1, 4000)),
            ("switch", "true", Values::Bool),
        ];
        let before = defaults(&[TABLE]);
        let change = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let after = changed("load balancer", &[TABLE], &before, &[change("idle", "120")]).unwrap();
        assert_eq!(after["idle"], "120");
        assert_eq!(after["switch"], "true");
        for bad in [
            change("idle", "0"),
            change("idle", "4001"),
            change("idle", "060"),
            change("idle", "+60"),
            change("idle", ""),
            change("switch", "yes"),
            change("other", "true"),
        ] {
            let refused = changed("load balancer", &[TABLE], &before, &[bad]);
            assert_eq!(refused.unwrap_err().code, "InvalidConfigurationRequest");
        }
        let twice = [change("idle", "61"), change("idle", "61")];
        let refused = changed("load balancer", &[TABLE], &before, &twice);
        assert_eq!(refused.unwrap_err().code, "ValidationError");
        let refused = changed("load balancer", &[TABLE], &before, &[]);
        assert_eq!(refused.unwrap_err().code, "ValidationError");
    }
}
