//! Transforms of rules: the host and URL that a target gets to see.
//!
//! Pure. Routing is decided before, by the request as it came. Of several
//! matches in a text the first is replaced: AWS does not say, and this is the
//! stricter reading.

use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use regex::{Captures, Regex, RegexBuilder};

use super::course::SeenRewrite;
use super::forwarded::{authority, without_port};
use crate::state::{Transform, transform::Subject};

/// What takes the place of parts of a request; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// The `Host` header, whatever the load balancer does to others.
    pub(crate) host: Option<HeaderValue>,
    /// Path and query.
    pub(crate) url: Option<Uri>,
}

/// Carries the transforms of a rule out, and says of each what it did.
///
/// Errors, in words, when a result cannot be sent; the load balancer then
/// answers 500.
pub(crate) fn rewrite(
    transforms: &[Transform],
    parts: &Parts,
    mut seen: impl FnMut(SeenRewrite),
) -> Result<Rewritten, String> {
    let mut rewritten = Rewritten::default();
    for transform in transforms {
        let from = match transform.subject {
            Subject::HostHeader => without_port(authority(parts)),
            Subject::Url => parts.uri.path_and_query().map_or("/", |url| url.as_str()),
        };
        let to = replace(transform, from);
        seen(SeenRewrite {
            transform: transform.subject.as_str(),
            from: from.to_owned(),
            to: to.clone(),
        });
        let Some(to) = to else { continue };
        let illegal = || format!("the {} gives '{to}'", transform.subject.as_str());
        match transform.subject {
            Subject::HostHeader => {
                let legal = !to.is_empty() && to.bytes().all(|byte| byte.is_ascii_graphic());
                let host = HeaderValue::try_from(&to).ok().filter(|_| legal);
                rewritten.host = Some(host.ok_or_else(illegal)?);
            }
            Subject::Url => {
                let url = to.parse::<Uri>().ok().filter(|_| to.starts_with('/'));
                rewritten.url = Some(url.ok_or_else(illegal)?);
            }
        }
    }
    Ok(rewritten)
}

/// The text after the transform; `None` where its expression matches nothing.
fn replace(transform: &Transform, text: &str) -> Option<String> {
    // Hosts have no letter case. One that does not compile matches nothing.
    let regex = RegexBuilder::new(&transform.regex)
        .case_insensitive(transform.subject == Subject::HostHeader)
        .build()
        .ok()?;
    let found = regex.captures(text)?;
    let whole = found.get(0)?;
    let filled = fill(&transform.replace, &found, &regex);
    Some(format!(
        "{}{filled}{}",
        &text[..whole.start()],
        &text[whole.end()..]
    ))
}

/// Puts the groups of a match where `$1` and so on stand. The longest number
/// that there is a group for counts, so that `$10` is the first group and a 0
/// where there are fewer than ten. Other dollar signs are themselves.
fn fill(template: &str, found: &Captures<'_>, regex: &Regex) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let group = (1..=digits.min(3)).rev().find_map(|length| {
            let number: usize = after[..length].parse().ok()?;
            (number < regex.captures_len()).then_some((number, length))
        });
        if let Some((number, length)) = group {
            out.push_str(found.get(number).map_or("", |group| group.as_str()));
            rest = &after[length..];
        } else {
            // A group that the expression does not have is empty.
            if digits == 0 {
                out.push('$');
            }
            rest = &after[digits..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn transform(subject: Subject, regex: &str, replace: &str) -> Transform {
        Transform {
            subject,
            regex: regex.to_owned(),
            replace: replace.to_owned(),
        }
    }

    fn rewritten(transforms: &[Transform]) -> Result<(String, String), String> {
        let request = Request::get("/api/v1/a%20b?x=1&y=/api/v1/z").header("host", "Shop.b:8080");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let done = rewrite(transforms, &parts, |_| {})?;
        let host = done
            .host
            .map(|host| host.to_str().unwrap().to_owned())
            .unwrap_or_default();
        Ok((
            host,
            done.url.map(|url| url.to_string()).unwrap_or_default(),
        ))
    }

    #[test]
    fn hosts_and_urls_are_rewritten() {
        use Subject::{HostHeader, Url};
        for (transforms, host, url) in [
            (vec![], "", ""),
            (
                vec![transform(Url, "^/api/(v[0-9])/(.*)$", "/$2&was=$1")],
                "",
                "/a%20b?x=1&y=/api/v1/z&was=v1",
            ),
            // The first match only.
            (
                vec![transform(Url, "/api/v1/", "/")],
                "",
                "/a%20b?x=1&y=/api/v1/z",
            ),
            (vec![transform(Url, "^/API", "/x")], "", ""),
            (
                vec![
                    transform(HostHeader, "^shop\\.(.+)$", "$10.c$2d$"),
                    transform(Url, "\\?.*$", ""),
                ],
                "b0.cd$",
                "/api/v1/a%20b",
            ),
        ] {
            let expected = Ok((host.to_owned(), url.to_owned()));
            assert_eq!(rewritten(&transforms), expected, "{transforms:?}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_an_error() {
        use Subject::{HostHeader, Url};
        for bad in [
            transform(Url, "^/api", "api"),
            transform(Url, "^/api", "/ "),
            transform(HostHeader, ".*", ""),
            transform(HostHeader, "shop", "a b"),
        ] {
            let why = rewritten(std::slice::from_ref(&bad)).unwrap_err();
            assert!(why.starts_with(&format!("the {}", bad.subject.as_str())));
        }
    }
}
