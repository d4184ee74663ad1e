//! Stickiness: cookies that bind a client to a target group or to a target.
//!
//! Pure but for the key, which is drawn at the start. The value of a cookie
//! holds until when it is good and a code over that and over what it names; it
//! is never read back, only compared with what it could name.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use ring::hmac;

use crate::state::{Forward, TargetGroup, TargetKey};

/// The cookie that names a target group.
pub(crate) const GROUP: &str = "AWSALBTG";

/// The cookie that names a target.
pub(crate) const TARGET: &str = "AWSALB";

/// How the cookies begin that name a target beside a cookie of the
/// application; a number follows.
pub(crate) const APPLICATION: &str = "AWSALBAPP-";

/// A long value is cut into this many cookies at most.
const SHARDS: usize = 4;

/// How long browsers keep the cookies, whatever the stickiness.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Bytes of the time in a cookie.
const TIME: usize = 8;

/// Makes and recognises the values of cookies. Cheap to clone; all clones know
/// each other's values.
#[derive(Clone, Debug)]
pub(crate) struct Pins(Arc<hmac::Key>);

impl Default for Pins {
    fn default() -> Self {
        let secret: [u8; 32] = rand::random();
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }
}

impl Pins {
    /// A value that names `what` until then.
    fn value(&self, what: &str, until: Timestamp) -> String {
        let mut bytes = until.as_millisecond().to_be_bytes().to_vec();
        bytes.extend_from_slice(what.as_bytes());
        let code = hmac::sign(&self.0, &bytes);
        bytes.truncate(TIME);
        bytes.extend_from_slice(code.as_ref());
        BASE64_STANDARD.encode(bytes)
    }

    /// Whether one of the values names `what` and is good now.
    pub(crate) fn names(&self, values: &[impl AsRef<str>], what: &str, now: Timestamp) -> bool {
        values.iter().any(|value| {
            let Ok(bytes) = BASE64_STANDARD.decode(value.as_ref()) else {
                return false;
            };
            let Some((time, code)) = bytes.split_first_chunk::<TIME>() else {
                return false;
            };
            if i64::from_be_bytes(*time) <= now.as_millisecond() {
                return false;
            }
            let mut signed = time.to_vec();
            signed.extend_from_slice(what.as_bytes());
            hmac::verify(&self.0, &signed, code).is_ok()
        })
    }

    /// The two lines that set a cookie: itself, and its copy for requests from
    /// other sites.
    pub(crate) fn set(
        &self,
        cookie: &str,
        what: &str,
        now: Timestamp,
        good: Duration,
    ) -> Vec<HeaderValue> {
        let rest = self.rest(what, now, good);
        let lines = [
            format!("{cookie}={rest}"),
            format!("{cookie}CORS={rest}; SameSite=None; Secure"),
        ];
        let lines = lines.iter();
        lines
            .filter_map(|line| HeaderValue::from_str(line).ok())
            .collect()
    }

    /// What stands behind the name of a cookie in a line that sets it.
    fn rest(&self, what: &str, now: Timestamp, good: Duration) -> String {
        let good = SignedDuration::try_from(good).unwrap_or(SignedDuration::MAX);
        let value = self.value(what, now.checked_add(good).unwrap_or(Timestamp::MAX));
        // Browsers go by the clock on the wall.
        let expires = Timestamp::now().checked_add(KEPT);
        let expires = expires.unwrap_or(Timestamp::MAX);
        let expires = expires.strftime("%a, %d %b %Y %H:%M:%S GMT");
        format!("{value}; Expires={expires}; Path=/")
    }

    /// What binds a client to a target of a group.
    pub(crate) fn bind(
        &self,
        sticky: Sticky<'_>,
        group: &str,
        target: &TargetKey,
        now: Timestamp,
    ) -> Bound {
        let what = sticky.name_of(group, target);
        match sticky {
            Sticky::LoadBalancer(good) => Bound {
                lines: self.set(TARGET, &what, now, good),
                beside: None,
            },
            Sticky::Application(cookie, good) => {
                // The value is short: it needs the first of the cookies only.
                let line = format!("{APPLICATION}0={}", self.rest(&what, now, good));
                Bound {
                    lines: HeaderValue::from_str(&line).into_iter().collect(),
                    beside: Some(cookie.to_owned()),
                }
            }
        }
    }
}

/// Lines that bind a client once its answer is there.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    lines: Vec<HeaderValue>,
    /// A cookie that the target has to set for it.
    beside: Option<String>,
}

impl Bound {
    /// Adds the lines to an answer.
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        let bound = self.beside.is_none_or(|cookie| sets(headers, &cookie));
        for line in self.lines.into_iter().filter(|_| bound) {
            headers.append(SET_COOKIE, line);
        }
    }
}

/// The cookies of a request, names and values.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// The values of a cookie in a request, those of its copy too.
pub(crate) fn sent<'a>(headers: &'a HeaderMap, cookie: &str) -> Vec<&'a str> {
    cookies(headers)
        .filter(|(name, _)| name.strip_suffix("CORS").unwrap_or(name) == cookie)
        .map(|(_, value)| value)
        .collect()
}

/// How long a client stays with its group; `None` where it does not, or where
/// there is only one.
pub(crate) fn of_groups(forward: &Forward) -> Option<Duration> {
    let sticky = forward.stickiness.enabled && forward.target_groups.len() > 1;
    let seconds = forward.stickiness.duration_seconds.unwrap_or(3_600);
    sticky.then(|| Duration::from_secs(seconds.into()))
}

/// What binds a client to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sticky<'a> {
    /// The cookie of the load balancer alone, for this long.
    LoadBalancer(Duration),
    /// A cookie of the application with this name, and beside it one of the
    /// load balancer, for this long.
    Application(&'a str, Duration),
}

impl Sticky<'_> {
    /// What the cookie of a target names.
    pub(crate) fn name_of(self, group: &str, target: &TargetKey) -> String {
        let beside = match self {
            Self::LoadBalancer(_) => "",
            Self::Application(cookie, _) => cookie,
        };
        format!("{group} {}:{} {beside}", target.id, target.port)
    }

    /// What begins the names of the cookies.
    pub(crate) fn cookie(self) -> &'static str {
        match self {
            Self::LoadBalancer(_) => TARGET,
            Self::Application(..) => APPLICATION,
        }
    }

    /// The values of a request that may name its target.
    pub(crate) fn sent(self, headers: &HeaderMap) -> Vec<String> {
        match self {
            Self::LoadBalancer(_) => sent(headers, TARGET)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            // Without the application's own cookie the other one counts for nothing.
            Self::Application(cookie, _) if cookies(headers).any(|(name, _)| name == cookie) => {
                let shard = |number: usize| {
                    let wanted = format!("{APPLICATION}{number}");
                    let mut found = cookies(headers).filter(|(name, _)| *name == wanted);
                    found.next().map(|(_, value)| value)
                };
                let whole: String = (0..SHARDS).map_while(shard).collect();
                vec![whole]
            }
            Self::Application(..) => Vec::new(),
        }
    }
}

/// How clients stay with their targets in a group; `None` where they do not.
/// Beside other groups of an action the application's cookie has no effect.
pub(crate) fn of_targets(group: &TargetGroup, alone: bool) -> Option<Sticky<'_>> {
    let value = |key: &str| group.attributes.get(key).map(String::as_str);
    if value("stickiness.enabled") != Some("true") {
        return None;
    }
    let good = |key: &str| {
        let seconds = value(key).and_then(|seconds| seconds.parse().ok());
        Duration::from_secs(seconds.unwrap_or(86_400))
    };
    match value("stickiness.type").unwrap_or("lb_cookie") {
        "lb_cookie" => {
            let good = good("stickiness.lb_cookie.duration_seconds");
            Some(Sticky::LoadBalancer(good))
        }
        "app_cookie" if alone => {
            let good = good("stickiness.app_cookie.duration_seconds");
            let cookie = value("stickiness.app_cookie.cookie_name")?;
            Some(Sticky::Application(cookie, good))
        }
        _ => None,
    }
}

/// Whether an answer sets a cookie.
fn sets(headers: &HeaderMap, cookie: &str) -> bool {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .filter_map(|line| line.split_once('='))
        .any(|(name, _)| name.trim() == cookie)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_name_one_thing_for_a_time() {
        let pins = Pins::default();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let value = pins.value("a", at(10));
        assert!(pins.names(&["x", &value], "a", at(9)));
        assert!(!pins.names(&[&value], "a", at(10)));
        assert!(!pins.names(&[&value], "b", at(9)));
        assert!(!Pins::default().names(&[&value], "a", at(9)), "another key");
        let mut later = BASE64_STANDARD.decode(&value).unwrap();
        later[0] = 1;
        let later = BASE64_STANDARD.encode(later);
        assert!(!pins.names(&[&later], "a", at(9)), "forged time");
        assert!(!pins.names(&["", "AAAA"], "a", at(9)));
    }

    #[test]
    fn cookies_are_found_by_name() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=1; AWSALB=x==; AWSALBTG=y"),
        );
        headers.append(COOKIE, HeaderValue::from_static("AWSALBCORS=z"));
        assert_eq!(sent(&headers, TARGET), ["x==", "z"]);
        assert_eq!(sent(&headers, GROUP), ["y"]);
    }

    #[test]
    fn a_cookie_of_the_application_and_one_beside_it() {
        let pins = Pins::default();
        let sticky = Sticky::Application("JSESSIONID", Duration::from_mins(1));
        let target = TargetKey {
            id: "10.0.0.1".to_owned(),
            port: 80,
        };
        let bound = || pins.bind(sticky, "g", &target, Timestamp::UNIX_EPOCH);
        let mut answer = HeaderMap::new();
        answer.append(SET_COOKIE, HeaderValue::from_static("other=JSESSIONID=1"));
        bound().add_to(&mut answer);
        assert_eq!(answer.get_all(SET_COOKIE).iter().count(), 1);
        let own = HeaderValue::from_static("JSESSIONID=1; Path=/");
        answer.append(SET_COOKIE, own);
        bound().add_to(&mut answer);
        let lines: Vec<&str> = answer
            .get_all(SET_COOKIE)
            .iter()
            .map(|line| line.to_str().unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        let pair = lines[2].split(';').next().unwrap();
        assert!(pair.starts_with("AWSALBAPP-0="), "{lines:?}");

        let named = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
            let what = sticky.name_of("g", &target);
            pins.names(&sticky.sent(&headers), &what, Timestamp::UNIX_EPOCH)
        };
        assert!(named(&format!("JSESSIONID=2; {pair}")));
        assert!(!named(pair), "both have to come back");
        // A long value comes in several cookies.
        let value = pair.strip_prefix("AWSALBAPP-0=").unwrap();
        let (first, second) = value.split_at(10);
        assert!(named(&format!(
            "AWSALBAPP-1={second}; JSESSIONID=2; AWSALBAPP-0={first}"
        )));
        let by_itself = Sticky::LoadBalancer(Duration::from_mins(1));
        assert_ne!(
            sticky.name_of("g", &target),
            by_itself.name_of("g", &target)
        );
    }

    #[test]
    fn two_lines_are_set() {
        let set = Pins::default().set(TARGET, "a", Timestamp::UNIX_EPOCH, Duration::from_secs(1));
        let lines: Vec<&str> = set.iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("AWSALB=") && lines[0].ends_with(" GMT; Path=/"));
        assert!(lines[1].starts_with("AWSALBCORS="), "{lines:?}");
        assert!(lines[1].ends_with(" GMT; Path=/; SameSite=None; Secure"));
    }
}
