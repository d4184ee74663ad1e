//! What a request has to pass before any rule is looked at.
//!
//! Pure. Source: aws.md 5.1, 5.8.

use axum::http::request::Parts;
use axum::http::{Method, Version};

use super::answer::Answer;
use super::forwarded::{authority, forwarding_addresses};
use super::head::{Class, LONGEST_HEADER, LONGEST_HEADERS, LONGEST_LINE, Screened};
use crate::state::LoadBalancer;

/// The load balancer answers 463 to a request with more addresses than this in
/// X-Forwarded-For.
const MOST_ADDRESSES: usize = 30;

/// `routing.http.desync_mitigation_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mitigation {
    Monitor,
    Defensive,
    Strictest,
}

impl Mitigation {
    fn of(balancer: &LoadBalancer) -> Self {
        let key = "routing.http.desync_mitigation_mode";
        match balancer.attributes.get(key).map(String::as_str) {
            Some("monitor") => Self::Monitor,
            Some("strictest") => Self::Strictest,
            _ => Self::Defensive,
        }
    }

    fn blocks(self, class: Class) -> bool {
        match self {
            Self::Monitor => false,
            Self::Defensive => class == Class::Severe,
            Self::Strictest => class > Class::Compliant,
        }
    }
}

/// What the head of the request has told; nothing where nobody has screened it.
pub(crate) fn screened(parts: &Parts) -> Option<&Screened> {
    parts.extensions.get()
}

/// Whether the connection ends with the answer, since its bytes may be
/// understood differently.
pub(crate) fn closes(balancer: &LoadBalancer, screened: &Screened) -> bool {
    Mitigation::of(balancer) != Mitigation::Monitor && screened.class() >= Class::Ambiguous
}

/// The answer of the load balancer to a request that no rule gets to see.
pub(crate) fn refusal(balancer: &LoadBalancer, parts: &Parts) -> Option<Answer> {
    let screened = screened(parts);
    if let Some(refused) = screened.and_then(|it| it.refused) {
        return Some(Answer::error(refused.status, refused.reason));
    }
    let refuse = |status, reason: &'static str| Some(Answer::error(status, reason));
    if let Some((status, reason)) = too_long(parts) {
        return refuse(status, reason);
    }
    if parts.method == Method::TRACE {
        return refuse(405, "the method TRACE is refused");
    }
    if parts.method == Method::CONNECT {
        return refuse(400, "the request target is not valid");
    }
    if authority(parts).is_empty() && parts.version >= Version::HTTP_11 {
        return refuse(400, "the request names no host");
    }
    let class = screened.map(Screened::class).unwrap_or_default();
    if Mitigation::of(balancer).blocks(class) {
        return refuse(
            400,
            "the desync mitigation mode blocks requests of this class",
        );
    }
    if forwarding_addresses(&parts.headers) > MOST_ADDRESSES {
        return refuse(463, "X-Forwarded-For has more than 30 addresses");
    }
    None
}

fn too_long(parts: &Parts) -> Option<(u16, &'static str)> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let line = parts.method.as_str().len() + path.len() + " ".len() + " HTTP/1.1".len();
    if line > LONGEST_LINE {
        return Some((414, "the request line is longer than 16 K"));
    }
    let mut all = 0;
    for (name, value) in &parts.headers {
        let header = name.as_str().len() + ": ".len() + value.len();
        if header > LONGEST_HEADER {
            return Some((400, "a header is longer than 16 K"));
        }
        all += header + "\r\n".len();
    }
    (all > LONGEST_HEADERS).then_some((400, "the headers are longer than 64 K"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::dataplane::head::Deviation;
    use crate::dataplane::tests::world::{account, add_balancer, balancer_arn};

    fn answered(mode: &str, deviations: &[Deviation]) -> (Option<u16>, bool) {
        let mut state = account();
        add_balancer(&mut state, "web");
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        let key = "routing.http.desync_mitigation_mode".to_owned();
        balancer.attributes.insert(key, mode.to_owned());
        let request = Request::get("/").header("host", "a.b").body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let screened = Screened {
            refused: None,
            deviations: deviations.to_vec(),
        };
        let closes = closes(balancer, &screened);
        parts.extensions.insert(screened);
        let refused = refusal(balancer, &parts);
        (refused.map(|answer| answer.status), closes)
    }

    #[test]
    fn each_mode_blocks_what_it_blocks() {
        let acceptable = [Deviation::GetHeadZeroContentLength];
        let ambiguous = [acceptable[0], Deviation::BothTeClPresent];
        let severe = [Deviation::BadContentLength];
        for (mode, expected) in [
            ("monitor", [(None, false); 4]),
            (
                "defensive",
                [
                    (None, false),
                    (None, false),
                    (None, true),
                    (Some(400), true),
                ],
            ),
            (
                "strictest",
                [
                    (None, false),
                    (Some(400), false),
                    (Some(400), true),
                    (Some(400), true),
                ],
            ),
        ] {
            let classes: [&[Deviation]; 4] = [&[], &acceptable, &ambiguous, &severe];
            let got = classes.map(|deviations| answered(mode, deviations));
            assert_eq!(got, expected, "{mode}");
        }
    }

    #[test]
    fn requests_are_checked_before_rules() {
        let mut state = account();
        add_balancer(&mut state, "web");
        let balancer = &state.load_balancers[&balancer_arn("web")];
        let long = "x".repeat(LONGEST_HEADER);
        let get = |path: &str| Request::get(path).header("host", "a.b");
        for (request, expected) in [
            (get("/"), None),
            (get(&format!("/{long}")), Some(414)),
            (get("/").header("x", &long), Some(400)),
            (
                (0..5).fold(get("/"), |it, n| {
                    it.header(format!("x{n}"), &long[..15_000])
                }),
                Some(400),
            ),
            (Request::builder().method("TRACE").uri("/"), Some(405)),
            (
                Request::builder().method("CONNECT").uri("a.b:443"),
                Some(400),
            ),
            (Request::get("/"), Some(400)),
            (Request::get("/").version(Version::HTTP_10), None),
            (
                get("/").header("x-forwarded-for", ["192.0.2.1"; 30].join(",")),
                None,
            ),
            (
                get("/")
                    .header("x-forwarded-for", ["192.0.2.1"; 30].join(", "))
                    .header("x-forwarded-for", "192.0.2.2"),
                Some(463),
            ),
        ] {
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let got = refusal(balancer, &parts).map(|answer| answer.status);
            assert_eq!(got, expected, "{parts:?}");
        }
    }
}
