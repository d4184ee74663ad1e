//! Filters of EC2's describe calls: all of them have to match, one value of
//! each is enough, `*` and `?` stand for any text and any character.
//!
//! A filter looks at what the call answers: each name stands for a path into
//! the answer's XML, so that a filter can never disagree with what is shown.

use std::borrow::Cow;

use crate::{
    state::{Answer, Refusal, Tags},
    wire::params::Input,
};

/// The most values of all filters of one call.
const MOST_VALUES: usize = 200;

/// Names of filters, each with the path of what it compares: elements without
/// the `item` levels, with slashes between. Several paths may share a name.
pub type Known = [(&'static str, &'static str)];

/// One filter.
struct Filter {
    what: What,
    patterns: Vec<String>,
}

enum What {
    /// Keys of tags.
    TagKey,
    /// The value of the tag with this key.
    Tag(String),
    /// What stands at one of these paths.
    Paths(Vec<&'static str>),
}

/// The filters of one call.
pub struct Filters(Vec<Filter>);

impl Filters {
    /// Reads the filters; `known` are the names that the call takes besides
    /// tags, and tags only where resources have some.
    pub fn read(input: &Input, known: &Known, tagged: bool) -> Answer<Self> {
        let mut filters = Vec::new();
        let mut count = 0;
        for filter in input.list("Filter") {
            let name = filter.need("Name")?;
            let patterns = filter.texts("Value");
            let paths: Vec<&'static str> = known
                .iter()
                .filter(|(known, _)| *known == name)
                .map(|(_, path)| *path)
                .collect();
            let what = match name.strip_prefix("tag:") {
                _ if !paths.is_empty() => What::Paths(paths),
                Some(key) if tagged => What::Tag(key.to_owned()),
                None if tagged && name == "tag-key" => What::TagKey,
                _ => {
                    return Err(Refusal::parameter(format!(
                        "The filter '{name}' is invalid"
                    )));
                }
            };
            if patterns.is_empty() {
                return Err(Refusal::parameter(format!(
                    "The filter '{name}' must have at least one value"
                )));
            }
            count += patterns.len();
            filters.push(Filter { what, patterns });
        }
        if count > MOST_VALUES {
            return Err(Refusal::new(
                "FilterLimitExceeded",
                format!(
                    "The maximum number of filter values specified on a single call is {MOST_VALUES}"
                ),
            ));
        }
        Ok(Self(filters))
    }

    /// Whether a resource with these tags, which `show` would write, passes
    /// all filters. It is written only if a filter looks at it.
    pub fn pass(&self, tags: Option<&Tags>, show: impl FnOnce() -> String) -> bool {
        let matches_any = |patterns: &[String], value: &str| {
            patterns.iter().any(|pattern| matches(pattern, value))
        };
        let by_tags = self.0.iter().all(|filter| match &filter.what {
            What::TagKey => tags
                .into_iter()
                .flat_map(Tags::keys)
                .any(|key| matches_any(&filter.patterns, key)),
            What::Tag(key) => tags
                .and_then(|tags| tags.get(key))
                .is_some_and(|value| matches_any(&filter.patterns, value)),
            What::Paths(_) => true,
        });
        let mut by_fields = self
            .0
            .iter()
            .filter_map(|filter| match &filter.what {
                What::Paths(paths) => Some((paths, &filter.patterns)),
                _ => None,
            })
            .peekable();
        if !by_tags || by_fields.peek().is_none() {
            return by_tags;
        }
        let shown = show();
        by_fields.all(|(paths, patterns)| {
            paths.iter().any(|path| {
                values(&shown, path)
                    .iter()
                    .any(|value| matches_any(patterns, value))
            })
        })
    }
}

/// The texts at a path of a written answer, `item` levels left out.
fn values<'a>(xml: &'a str, path: &str) -> Vec<Cow<'a, str>> {
    let mut found = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>').map(|end| start + end) else {
            break;
        };
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if name != "item" {
                open.pop();
            }
            continue;
        }
        if tag != "item" {
            open.push(tag);
        }
        // A leaf is an element whose text ends with its own closing tag.
        let text = &rest[..rest.find('<').unwrap_or(rest.len())];
        let leaf = rest[text.len()..].starts_with("</");
        if leaf && open.iter().copied().eq(path.split('/')) {
            found.push(unescape(text));
        }
    }
    found
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#xD;", "\r"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escaped, plain)| {
        text.replace(escaped, plain)
    });
    Cow::Owned(plain)
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

    #[test]
    fn paths_lead_into_the_answer() {
        let xml = "<id>a</id><set><item><id>b</id><in><id>c &amp; d</id></in></item><item><id>e</id></item></set><none></none>";
        assert_eq!(values(xml, "id"), ["a"]);
        assert_eq!(values(xml, "set/id"), ["b", "e"]);
        assert_eq!(values(xml, "set/in/id"), ["c & d"]);
        assert_eq!(values(xml, "none"), [""]);
        assert!(values(xml, "set/x").is_empty());
    }
}
