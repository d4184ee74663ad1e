//! Sessions, which their clients keep in cookies.
//!
//! Pure but for the wall's clock, which browsers go by.

use axum::http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::login::{Login, cookie};
use super::seal::{Letters, Seals};

/// Browsers keep cookies up to this size, in bytes, name and attributes included.
const LONGEST_COOKIE: usize = 4_096;

/// A session has at most so many cookies.
const MOST_COOKIES: usize = 4;

/// Claims and access token have at most so many bytes together.
const LARGEST: usize = 11 * 1024;

/// A user who has logged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UserSession {
    /// Issuer and client.
    pub(crate) realm: String,
    /// What the provider says of the user.
    pub(crate) claims: Map<String, Value>,
    pub(crate) access_token: String,
    /// Until when the access token is good, in seconds since 1970, if the
    /// provider says so.
    pub(crate) expires: Option<i64>,
    /// What further access tokens can be had for.
    pub(crate) refresh_token: Option<String>,
    /// Until when the session lasts, in seconds since 1970.
    pub(crate) ends: i64,
}

impl UserSession {
    /// The subject.
    pub(crate) fn subject(&self) -> &str {
        let subject = self.claims.get("sub").and_then(Value::as_str);
        subject.unwrap_or_default()
    }

    /// Whether it is larger than load balancers take.
    pub(super) fn is_too_large(&self) -> bool {
        let claims = serde_json::to_string(&self.claims).map_or(usize::MAX, |it| it.len());
        claims.saturating_add(self.access_token.len()) > LARGEST
    }

    /// Whether its claims are to be read anew.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        self.refresh_token.is_some() && self.expires.is_some_and(|end| end <= now.as_second())
    }

    /// The session that a client has at a login; `None` without, or when it is over.
    pub(super) fn of(
        headers: &HeaderMap,
        login: &Login,
        balancer: &str,
        seals: &Seals,
        now: Timestamp,
    ) -> Option<Self> {
        let name = &login.session.cookie_name;
        let parts: Vec<&str> = (0..MOST_COOKIES)
            .map_while(|part| cookie(headers, &format!("{name}-{part}")))
            .collect();
        let session: Self = seals.open(balancer, &parts.concat(), Letters::Cookie)?;
        let good = session.realm == login.realm() && session.ends > now.as_second();
        good.then_some(session)
    }

    /// The lines that set its cookies. `None` when they would be too many.
    pub(super) fn cookies(
        &self,
        login: &Login,
        balancer: &str,
        seals: &Seals,
        now: Timestamp,
    ) -> Option<Vec<String>> {
        let sealed = seals.seal(balancer, self, Letters::Cookie)?;
        // Browsers go by the clock on the wall.
        let left = SignedDuration::from_secs(self.ends.saturating_sub(now.as_second()));
        let expires = Timestamp::now().checked_add(left);
        let expires = expires.unwrap_or(Timestamp::MAX);
        let expires = expires.strftime("%a, %d %b %Y %H:%M:%S GMT");
        let attributes = format!("; Expires={expires}; Path=/; Secure; HttpOnly");
        let name = &login.session.cookie_name;
        let room = LONGEST_COOKIE
            .checked_sub(name.len() + "-0=".len() + attributes.len())
            .filter(|room| *room > 0)?;
        let parts = sealed.as_bytes().chunks(room);
        if parts.len() > MOST_COOKIES {
            return None;
        }
        let line = |(number, part): (usize, &[u8])| {
            format!(
                "{name}-{number}={}{attributes}",
                String::from_utf8_lossy(part)
            )
        };
        Some(parts.enumerate().map(line).collect())
    }
}

/// The lines that take back the cookies of a session that a client has sent.
pub(super) fn taken_back(name: &str, headers: &HeaderMap) -> Vec<String> {
    (0..MOST_COOKIES)
        .map(|number| format!("{name}-{number}"))
        .filter(|name| cookie(headers, name).is_some())
        .map(|name| {
            format!("{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; Secure; HttpOnly")
        })
        .collect()
}

/// Those of the lines that take cookies back whose cookies are not set.
pub(super) fn taken_back_after(set: &[String], back: &[String]) -> Vec<String> {
    let name = |line: &str| line.split_once('=').map(|(name, _)| name.to_owned());
    let back = back.iter();
    back.filter(|line| !set.iter().any(|other| name(other) == name(line)))
        .cloned()
        .collect()
}
