//! Signatures of version 4, in the header and in the query string.

use std::{collections::BTreeMap, fmt::Write};

use axum::http::{HeaderMap, Method, Uri};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use ring::hmac;
use sha2::{Digest, Sha256};

use super::params::decode_form;
use crate::url_encoding::{pairs, percent_encode};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A signature as it stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Access key id.
    pub key: String,
    /// `DATE/REGION/SERVICE/aws4_request`.
    pub scope: String,
    /// Region; empty in SigV4A, whose scope has none.
    pub region: String,
    /// Service.
    pub service: String,
    /// Session token.
    pub token: Option<String>,
    algorithm: String,
    /// Names of the signed headers.
    signed: Vec<String>,
    digest: String,
    /// When it was signed, as written.
    date: Option<String>,
    /// Seconds for which it is good, in a query string.
    expires: Option<i64>,
    in_query: bool,
}

/// Why a signature is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It is not the right one.
    Wrong,
    /// The clocks differ, or it is too old.
    Stale(String),
}

/// The parts of a request that a signature covers.
pub struct Signed<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body.
    pub body: &'a [u8],
}

impl Signature {
    /// Reads the signature from the header, else from the query string; `None`
    /// when there is none in either.
    pub fn of(headers: &HeaderMap, query: Option<&str>) -> Option<Self> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(authorization) = header("authorization") {
            let (algorithm, fields) = authorization.split_once(' ')?;
            let fields: BTreeMap<&str, &str> = fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='))
                .collect();
            return Self {
                algorithm: algorithm.to_owned(),
                token: header("x-amz-security-token").map(str::to_owned),
                signed: names(fields.get("SignedHeaders").copied().unwrap_or_default()),
                digest: (*fields.get("Signature").unwrap_or(&"")).to_owned(),
                date: header("x-amz-date").or(header("date")).map(str::to_owned),
                ..Self::empty(false)
            }
            .scoped(fields.get("Credential")?);
        }
        let mut query = decode_form(query?);
        let credential = query.remove("X-Amz-Credential")?;
        Self {
            algorithm: query.remove("X-Amz-Algorithm").unwrap_or_default(),
            token: query.remove("X-Amz-Security-Token"),
            signed: names(&query.remove("X-Amz-SignedHeaders").unwrap_or_default()),
            digest: query.remove("X-Amz-Signature").unwrap_or_default(),
            date: query.remove("X-Amz-Date"),
            expires: query.remove("X-Amz-Expires").and_then(|s| s.parse().ok()),
            ..Self::empty(true)
        }
        .scoped(&credential)
    }

    fn empty(in_query: bool) -> Self {
        Self {
            key: String::new(),
            scope: String::new(),
            region: String::new(),
            service: String::new(),
            token: None,
            algorithm: String::new(),
            signed: Vec::new(),
            digest: String::new(),
            date: None,
            expires: None,
            in_query,
        }
    }

    /// With the key and scope of a credential. The service is counted from the end.
    fn scoped(mut self, credential: &str) -> Option<Self> {
        let (key, scope) = credential.split_once('/')?;
        let parts: Vec<&str> = scope.split('/').collect();
        let (region, service) = match parts.as_slice() {
            [_, region, service, "aws4_request"] => (*region, *service),
            [_, service, "aws4_request"] => ("", *service),
            _ => return None,
        };
        if key.is_empty() {
            return None;
        }
        (self.region, self.service) = (region.to_owned(), service.to_owned());
        (self.key, self.scope) = (key.to_owned(), scope.to_owned());
        Some(self)
    }

    /// Checks time and signature.
    ///
    /// # Errors
    /// When one of them is not right.
    pub fn check(&self, secret: &str, request: &Signed, now: Timestamp) -> Result<(), Flaw> {
        let date = self.date.as_deref().ok_or(Flaw::Wrong)?;
        let at = moment(date).ok_or(Flaw::Wrong)?;
        // The date of the scope is the day of the signature.
        let day = self.scope.split('/').next().unwrap_or_default();
        let written = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d").to_string();
        if self.algorithm != ALGORITHM || day != written {
            return Err(Flaw::Wrong);
        }
        let age = now.duration_since(at).as_secs();
        let (oldest, newest) = match self.expires {
            Some(seconds) => (seconds, -15 * 60),
            None => (15 * 60, -15 * 60),
        };
        if age > oldest {
            return Err(Flaw::Stale(format!(
                "Signature expired: {date} is now earlier than it may be"
            )));
        }
        if age < newest {
            return Err(Flaw::Stale(format!(
                "Signature not yet current: {date} is still later than it may be"
            )));
        }
        // What is signed has to include the host.
        if !self.signed.iter().any(|name| name == "host") {
            return Err(Flaw::Wrong);
        }
        let stamp = at.to_zoned(TimeZone::UTC);
        let stamp = stamp.strftime("%Y%m%dT%H%M%SZ");
        let canonical = hex::encode(Sha256::digest(self.canonical(request)));
        let text = format!("{ALGORITHM}\n{stamp}\n{}\n{canonical}", self.scope);
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        for part in self.scope.split('/') {
            let tag = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        let digest = hex::decode(&self.digest).map_err(|_| Flaw::Wrong)?;
        hmac::verify(&key, text.as_bytes(), &digest).map_err(|_| Flaw::Wrong)
    }

    /// The canonical request.
    fn canonical(&self, request: &Signed) -> String {
        let mut canonical = format!(
            "{}\n{}\n{}\n",
            request.method,
            percent_encode(&normal(request.uri.path()), b"/"),
            self.canonical_query(request.uri.query().unwrap_or_default()),
        );
        for name in &self.signed {
            let values: Vec<String> = request
                .headers
                .get_all(name)
                .iter()
                .map(|value| {
                    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    text.split_whitespace().collect::<Vec<_>>().join(" ")
                })
                .collect();
            let _ = writeln!(canonical, "{name}:{}", values.join(","));
        }
        let payload = hex::encode(Sha256::digest(request.body));
        let _ = write!(canonical, "\n{}\n{payload}", self.signed.join(";"));
        canonical
    }

    fn canonical_query(&self, query: &str) -> String {
        let clean = |text: String| percent_encode(&text, b"");
        // A plus sign is a space in forms; encoded it is itself.
        let mut pairs: Vec<(String, String)> = pairs(query)
            .into_iter()
            .map(|(name, value)| (clean(name), clean(value)))
            .filter(|(name, _)| !(self.in_query && name == "X-Amz-Signature"))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(';').map(str::to_owned).collect()
}

/// `20261123T084457Z`, or the date of HTTP.
fn moment(text: &str) -> Option<Timestamp> {
    let compact = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok();
    match compact {
        Some(at) => Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp()),
        None => jiff::fmt::rfc2822::parse(text)
            .ok()
            .map(|at| at.timestamp()),
    }
}

/// A path without empty segments and dots.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of AWS's documentation of Signature Version 4 (ListUsers).
    fn example(signature: &str) -> (HeaderMap, Uri, Method) {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
        );
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", authorization.as_str()),
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ] {
            headers.insert(
                axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let uri = "/?Action=ListUsers&Version=2010-05-08".parse().unwrap();
        (headers, uri, Method::GET)
    }

    fn check(signature: &str, secret: &str, now: &str) -> Result<(), Flaw> {
        let (headers, uri, method) = example(signature);
        let found = Signature::of(&headers, uri.query()).unwrap();
        let request = Signed {
            method: &method,
            uri: &uri,
            headers: &headers,
            body: b"",
        };
        found.check(secret, &request, now.parse().unwrap())
    }

    #[test]
    fn the_documented_example_is_right() {
        let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let now = "2015-08-30T12:40:00Z";
        assert_eq!(check(signature, secret, now), Ok(()));
        assert_eq!(check(signature, "other", now), Err(Flaw::Wrong));
        let other = signature.replace('5', "6");
        assert_eq!(check(&other, secret, now), Err(Flaw::Wrong));
        for now in ["2015-08-30T12:52:00Z", "2015-08-30T12:20:00Z"] {
            let stale = check(signature, secret, now);
            assert!(matches!(stale, Err(Flaw::Stale(_))), "{stale:?}");
        }
    }

    #[test]
    fn the_scope_names_key_region_and_service() {
        assert_eq!(Signature::of(&HeaderMap::new(), None), None);
        let (headers, uri, _) = example("00");
        let found = Signature::of(&headers, uri.query()).unwrap();
        assert_eq!(
            (
                found.key.as_str(),
                found.region.as_str(),
                found.service.as_str()
            ),
            ("AKIDEXAMPLE", "us-east-1", "iam")
        );
        let query = "X-Amz-Credential=AKID%2F20261123%2Fs3%2Faws4_request&X-Amz-Signature=00";
        let found = Signature::of(&HeaderMap::new(), Some(query)).unwrap();
        assert_eq!((found.region.as_str(), found.service.as_str()), ("", "s3"));
    }

    #[test]
    fn paths_are_made_normal() {
        assert_eq!(
            normal("/2013-04-01//hostedzone/./a/../b/"),
            "/2013-04-01/hostedzone/b/"
        );
        assert_eq!(normal("//"), "/");
    }
}
