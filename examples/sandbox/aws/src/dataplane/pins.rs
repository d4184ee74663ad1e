//! Stickiness: cookies that bind a client to a target group or to a target.
//!
//! Pure but for the key, which is drawn at the start. The value of a cookie
//! holds until when it is good and a code over that and over what it names; it
//! is never read back, only compared with what it could name.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use ring::hmac;

use crate::state::{Forward, TargetGroup, TargetKey};

/// The cookie that names a target group.
pub(crate) const GROUP: &str = "AWSALBTG";

/// The cookie that names a target.
pub(crate) const TARGET: &str = "AWSALB";

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
    pub(crate) fn names(&self, values: &[&str], what: &str, now: Timestamp) -> bool {
        values.iter().any(|value| {
            let Ok(bytes) = BASE64_STANDARD.decode(value) else {
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
        let good = SignedDuration::try_from(good).unwrap_or(SignedDuration::MAX);
        let value = self.value(what, now.checked_add(good).unwrap_or(Timestamp::MAX));
        // Browsers go by the clock on the wall.
        let expires = Timestamp::now().checked_add(KEPT);
        let expires = expires.unwrap_or(Timestamp::MAX);
        let expires = expires.strftime("%a, %d %b %Y %H:%M:%S GMT");
        let lines = [
            format!("{cookie}={value}; Expires={expires}; Path=/"),
            format!("{cookie}CORS={value}; Expires={expires}; Path=/; SameSite=None; Secure"),
        ];
        let lines = lines.iter();
        lines
            .filter_map(|line| HeaderValue::from_str(line).ok())
            .collect()
    }
}

/// The values of a cookie in a request, those of its copy too.
pub(crate) fn sent<'a>(headers: &'a HeaderMap, cookie: &str) -> Vec<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
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

/// How long a client stays with its target by the cookie of the load balancer;
/// `None` where it does not.
pub(crate) fn of_targets(group: &TargetGroup) -> Option<Duration> {
    let value = |key: &str| group.attributes.get(key).map(String::as_str);
    let kind = value("stickiness.type").unwrap_or("lb_cookie");
    let sticky = value("stickiness.enabled") == Some("true") && kind == "lb_cookie";
    let seconds = value("stickiness.lb_cookie.duration_seconds")
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(86_400);
    sticky.then(|| Duration::from_secs(seconds))
}

/// What the cookie of a target names.
pub(crate) fn name_of(group: &str, target: &TargetKey) -> String {
    format!("{group} {}:{}", target.id, target.port)
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
    fn two_lines_are_set() {
        let set = Pins::default().set(TARGET, "a", Timestamp::UNIX_EPOCH, Duration::from_secs(1));
        let lines: Vec<&str> = set.iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("AWSALB=") && lines[0].ends_with(" GMT; Path=/"));
        assert!(lines[1].starts_with("AWSALBCORS="), "{lines:?}");
        assert!(lines[1].ends_with(" GMT; Path=/; SameSite=None; Secure"));
    }
}
