//! Transforms of rules: how a request is rewritten before it goes to a target.

use super::{Answer, Refusal, regular_expression};

/// A transform of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// What is rewritten.
    pub subject: Subject,
    /// What is looked for.
    pub regex: String,
    /// What takes its place, with `$1` and so on for groups.
    pub replace: String,
}

/// What a transform rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The `Host` header.
    HostHeader,
    /// Path and query.
    Url,
}

impl Subject {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostHeader => "host-header-rewrite",
            Self::Url => "url-rewrite",
        }
    }
}

/// A transform as a caller spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTransform {
    /// `host-header-rewrite` or `url-rewrite`.
    pub kind: String,
    /// `HostHeaderRewriteConfig`: expressions and what takes their place.
    pub host_header: Option<Vec<(String, String)>>,
    /// `UrlRewriteConfig`: the same.
    pub url: Option<Vec<(String, String)>>,
}

/// The longest expression and replacement.
const LONGEST: usize = 1024;

/// Checks the transforms of a rule.
pub(super) fn resolve(new: &[NewTransform]) -> Answer<Vec<Transform>> {
    let mut transforms: Vec<Transform> = Vec::new();
    for transform in new {
        let transform = resolve_one(transform)?;
        if transforms
            .iter()
            .any(|other| other.subject == transform.subject)
        {
            return Err(Refusal::validation(format!(
                "A rule can only have one '{}' transform",
                transform.subject.as_str()
            )));
        }
        transforms.push(transform);
    }
    Ok(transforms)
}

fn resolve_one(new: &NewTransform) -> Answer<Transform> {
    let (subject, own, other) = match new.kind.as_str() {
        "host-header-rewrite" => (Subject::HostHeader, &new.host_header, &new.url),
        "url-rewrite" => (Subject::Url, &new.url, &new.host_header),
        kind => {
            return Err(Refusal::validation(format!(
                "Transform type '{kind}' must be one of 'host-header-rewrite, url-rewrite'"
            )));
        }
    };
    if other.is_some() {
        return Err(Refusal::validation(format!(
            "The transform of type '{}' has the configuration of another type",
            new.kind
        )));
    }
    let Some([(regex, replace)]) = own.as_deref() else {
        return Err(Refusal::validation(format!(
            "The transform of type '{}' must have exactly one rewrite",
            new.kind
        )));
    };
    let length = |text: &str| text.chars().count();
    if !(1..=LONGEST).contains(&length(regex)) || length(replace) > LONGEST {
        return Err(Refusal::validation(format!(
            "The regular expression and the replacement of a transform must have at most {LONGEST} characters"
        )));
    }
    if let Some(fault) = regular_expression::fault(regex) {
        return Err(Refusal::validation(format!(
            "The regular expression '{regex}' is not valid: {fault}"
        )));
    }
    if replace.chars().any(char::is_control) {
        return Err(Refusal::validation(
            "The replacement of a transform must not have control characters",
        ));
    }
    Ok(Transform {
        subject,
        regex: regex.clone(),
        replace: replace.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(rewrites: &[(&str, &str)]) -> NewTransform {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        NewTransform {
            kind: "url-rewrite".to_owned(),
            host_header: None,
            url: Some(rewrites.iter().map(owned).collect()),
        }
    }

    #[test]
    fn one_of_each_type_with_one_rewrite() {
        let good = url(&[("^/api/(.*)$", "/$1")]);
        let host = NewTransform {
            kind: "host-header-rewrite".to_owned(),
            host_header: Some(vec![("^a\\.(.+)$".to_owned(), "b.$1".to_owned())]),
            url: None,
        };
        assert!(resolve(&[good.clone(), host.clone()]).is_ok());
        assert!(resolve(&[]).is_ok());
        let mixed = NewTransform {
            url: good.url.clone(),
            ..host
        };
        for bad in [
            vec![good.clone(), good],
            vec![url(&[])],
            vec![url(&[("a", "b"), ("c", "d")])],
            vec![url(&[("(?=a)", "b")])],
            vec![url(&[("", "b")])],
            vec![url(&[("a", &"b".repeat(1025))])],
            vec![mixed],
            vec![NewTransform {
                kind: "path-rewrite".to_owned(),
                ..NewTransform::default()
            }],
        ] {
            let refused = resolve(&bad).err();
            assert!(
                refused.is_some_and(|refusal| refusal.code == "ValidationError"),
                "{bad:?}"
            );
        }
    }
}
