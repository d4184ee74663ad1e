//! Filters of EC2's describe calls: all of them have to match, one value of
//! each is enough, `*` and `?` stand for any text and any character.

use crate::{
    state::{Answer, Refusal, Tags},
    wire::params::Input,
};

/// The filters of one call.
pub struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads the filters; `known` are the names that the call takes besides tags.
    pub fn read(input: &Input, known: &[&str]) -> Answer<Self> {
        let mut filters = Vec::new();
        let mut count = 0;
        for filter in input.list("Filter") {
            let name = filter.need("Name")?;
            let values = filter.texts("Value");
            let is_tag = name == "tag-key" || name.starts_with("tag:");
            if !is_tag && !known.contains(&name.as_str()) {
                return Err(Refusal::parameter(format!(
                    "The filter '{name}' is invalid"
                )));
            }
            count += values.len();
            filters.push((name, values));
        }
        if count > 200 {
            return Err(Refusal::new(
                "FilterLimitExceeded",
                "The maximum number of filter values specified on a single call is 200",
            ));
        }
        Ok(Self(filters))
    }

    /// Whether a resource with these tags and fields passes all filters.
    pub fn pass(&self, tags: Option<&Tags>, field: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let have: Vec<String> = if name == "tag-key" {
                tags.into_iter()
                    .flatten()
                    .map(|(key, _)| key.clone())
                    .collect()
            } else if let Some(key) = name.strip_prefix("tag:") {
                tags.and_then(|tags| tags.get(key))
                    .cloned()
                    .into_iter()
                    .collect()
            } else {
                field(name)
            };
            have.iter()
                .any(|value| patterns.iter().any(|pattern| matches(pattern, value)))
        })
    }
}

/// Whether a value matches a pattern; `\` takes the meaning from what follows.
fn matches(pattern: &str, value: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let value: Vec<char> = value.chars().collect();
    // Positions to go back to: after the last star, and how much it covers.
    let (mut p, mut v) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, v));
                p += 1;
                continue;
            }
            None => v == value.len(),
            Some('?') => v < value.len(),
            Some('\\') if p + 1 < pattern.len() => value.get(v) == pattern.get(p + 1),
            Some(c) => value.get(v) == Some(c),
        };
        if step && p >= pattern.len() {
            return true;
        }
        if step {
            p += if pattern[p] == '\\' && p + 1 < pattern.len() {
                2
            } else {
                1
            };
            v += 1;
        } else {
            let Some((after, covered)) = star else {
                return false;
            };
            if covered >= value.len() {
                return false;
            }
            star = Some((after, covered + 1));
            p = after;
            v = covered + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, value) in [
            ("", ""),
            ("a", "a"),
            ("*", ""),
            ("a*c", "abbc"),
            ("*bc", "abcbc"),
            ("a?c", "abc"),
            ("a\\*", "a*"),
            ("ip-*.internal", "ip-10-0-0-1.ec2.internal"),
        ] {
            assert!(matches(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in [
            ("", "a"),
            ("a", "A"),
            ("a?", "a"),
            ("a\\*", "ab"),
            ("a*c", "ab"),
        ] {
            assert!(!matches(pattern, value), "{pattern} {value}");
        }
    }
}
