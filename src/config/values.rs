//! What stands behind a flag's `=`: text to domain types, with errors that say
//! what was expected.

use std::fmt;
use std::time::Duration;

use crate::model::spec::{Scheme, Tags, TargetType};
use crate::telemetry::{LogFilter, LogFilterError};

/// A length of time, written as `90s`, `10m`, `1h30m` or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}

pub(super) fn time(text: &str) -> Result<Time, String> {
    if text == "0" {
        return Ok(Time(Duration::ZERO));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .map(Time)
        .ok_or_else(|| "expected a length of time such as 90s, 10m, 1h30m or 0".to_owned())
}

/// How often something is done; `None` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period(pub(super) Option<Duration>);

/// The shortest period.
const SHORTEST: Duration = Duration::from_secs(1);

pub(super) fn period(text: &str) -> Result<Period, String> {
    if text == "off" {
        return Ok(Period(None));
    }
    match time(text) {
        Ok(Time(Duration::ZERO)) => Ok(Period(None)),
        Ok(Time(period)) if period < SHORTEST => Err("expected at least 1s, or off".to_owned()),
        Ok(Time(period)) => Ok(Period(Some(period))),
        Err(_) => Err("expected a length of time such as 90s, 10m, 1h30m, or off".to_owned()),
    }
}

pub(super) fn nonempty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it must not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn vpc_id(text: &str) -> Result<String, String> {
    // Empty is not set: see `given` above.
    if text.is_empty() || text.starts_with("vpc-") {
        Ok(text.to_owned())
    } else {
        Err("expected an id such as vpc-0123456789abcdef0".to_owned())
    }
}

pub(super) fn scheme(text: &str) -> Result<Scheme, String> {
    [Scheme::Internal, Scheme::InternetFacing]
        .into_iter()
        .find(|scheme| scheme.as_str() == text)
        .ok_or_else(|| "expected internal or internet-facing".to_owned())
}

pub(super) fn target_type(text: &str) -> Result<TargetType, String> {
    [TargetType::Instance, TargetType::Ip]
        .into_iter()
        .find(|target_type| target_type.as_str() == text)
        .ok_or_else(|| "expected instance or ip".to_owned())
}

pub(super) fn log_filter(text: &str) -> Result<LogFilter, String> {
    let text = if text.is_empty() { "info" } else { text };
    text.parse()
        .map_err(|error: LogFilterError| error.to_string())
}

pub(super) fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim().trim_matches('.').to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if domain.is_empty() || !domain.chars().all(allowed) {
        Err("expected a domain such as example.org".to_owned())
    } else {
        Ok(domain)
    }
}

pub(super) fn zone_id(text: &str) -> Result<String, String> {
    let id = text.trim().trim_start_matches("/hostedzone/");
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        Err("expected the id of a hosted zone such as Z0123456789ABCDEFGHIJ".to_owned())
    } else {
        Ok(id.to_owned())
    }
}

/// `key=value,key=value`.
pub(super) fn tags(text: &str) -> Result<Tags, String> {
    const TRACKING: [&str; 3] = [
        "elbv2.k8s.aws/cluster",
        "ingress.k8s.aws/stack",
        "ingress.k8s.aws/resource",
    ];
    let mut tags = Tags::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair:?} is no tag; expected key=value"))?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(format!(
                "{pair:?} is no tag; a key has 1 to 128 characters and a value at most 256"
            ));
        }
        if TRACKING.contains(&key) || key.starts_with("aws:") {
            return Err(format!("the tag key {key} is reserved; choose another one"));
        }
        if tags.contains_key(key) {
            return Err(format!("the tag key {key} is given twice"));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}
