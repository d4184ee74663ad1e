//! Health checks of target groups: defaults and limits by kind of group.

use super::{Answer, Protocol, Refusal, TargetType};

/// The health check of a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Off only for functions.
    pub enabled: bool,
    /// HTTP, HTTPS or, where the group is not HTTP, TCP.
    pub protocol: Protocol,
    /// A port, or `None` for `traffic-port`.
    pub port: Option<u16>,
    /// Path, or the method for gRPC; none for TCP.
    pub path: Option<String>,
    /// Seconds from probe to probe, 5 to 300.
    pub interval_seconds: u32,
    /// Seconds until a probe has failed, 2 to 120.
    pub timeout_seconds: u32,
    /// Successes in a row that make an unhealthy target healthy, 2 to 10.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy, 2 to 10.
    pub unhealthy_threshold: u32,
    /// Codes that count as success; none for TCP.
    pub matcher: Option<Matcher>,
}

/// Codes of a successful probe, as the user spelled them (`200`, `200,302`, `200-399`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// HTTP status codes.
    Http(String),
    /// gRPC status codes.
    Grpc(String),
}

impl Matcher {
    /// Whether `code` is one of the codes.
    pub fn matches(&self, code: u16) -> bool {
        let (Self::Http(text) | Self::Grpc(text)) = self;
        ranges(text).any(|range| range.is_some_and(|(from, to)| (from..=to).contains(&code)))
    }
}

/// The fields of a health check as a caller spells them; absent ones keep
/// their default (on create) or their value (on modify).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewHealthCheck {
    /// On or off.
    pub enabled: Option<bool>,
    /// Protocol.
    pub protocol: Option<String>,
    /// Port or `traffic-port`.
    pub port: Option<String>,
    /// Path.
    pub path: Option<String>,
    /// Seconds.
    pub interval_seconds: Option<u32>,
    /// Seconds.
    pub timeout_seconds: Option<u32>,
    /// Count.
    pub healthy_threshold: Option<u32>,
    /// Count.
    pub unhealthy_threshold: Option<u32>,
    /// HTTP codes.
    pub http_code: Option<String>,
    /// gRPC codes.
    pub grpc_code: Option<String>,
}

/// What a health check depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Protocol of the group; none for functions.
    pub(super) protocol: Option<Protocol>,
    /// Whether the group speaks gRPC.
    pub(super) grpc: bool,
    /// Type of the targets.
    pub(super) target_type: TargetType,
}

impl Kind {
    /// Whether an Application Load Balancer sends to the group.
    fn is_application(self) -> bool {
        self.protocol.is_none_or(Protocol::is_http)
    }

    /// Protocols that checks of the group can have, the default one first.
    fn protocols(self) -> &'static [Protocol] {
        if self.is_application() || self.target_type == TargetType::Alb {
            &[Protocol::Http, Protocol::Https]
        } else {
            &[Protocol::Tcp, Protocol::Http, Protocol::Https]
        }
    }

    /// The codes that a matcher may name.
    fn codes(self) -> (u16, u16) {
        match self.protocol {
            _ if self.grpc => (0, 99),
            Some(Protocol::Geneve) => (200, 399),
            _ if self.is_application() => (200, 499),
            _ => (200, 599),
        }
    }

    /// The check of a group that says nothing but the protocol of its checks.
    fn defaults(self, protocol: Option<Protocol>) -> HealthCheck {
        let protocol = protocol.unwrap_or(self.protocols()[0]);
        let lambda = self.target_type == TargetType::Lambda;
        let geneve = self.protocol == Some(Protocol::Geneve);
        let (interval_seconds, timeout_seconds) = match protocol {
            _ if lambda => (35, 30),
            _ if geneve => (10, 5),
            _ if self.is_application() => (30, 5),
            Protocol::Http => (30, 6),
            _ => (30, 10),
        };
        HealthCheck {
            enabled: !lambda,
            protocol,
            port: geneve.then_some(80),
            path: self.default_path(protocol),
            interval_seconds,
            timeout_seconds,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: self.default_matcher(protocol),
        }
    }

    fn default_path(self, protocol: Protocol) -> Option<String> {
        let path = if self.grpc {
            "/AWS.ALB/healthcheck"
        } else {
            "/"
        };
        protocol.is_http().then(|| path.to_owned())
    }

    fn default_matcher(self, protocol: Protocol) -> Option<Matcher> {
        let matcher = match self {
            _ if !protocol.is_http() => return None,
            _ if self.grpc => Matcher::Grpc("12".to_owned()),
            _ if self.is_application() => Matcher::Http("200".to_owned()),
            _ => Matcher::Http("200-399".to_owned()),
        };
        Some(matcher)
    }
}

/// The check that a call asks for. `before` is the one that is changed; none
/// for a new group.
pub(super) fn resolve(
    new: &NewHealthCheck,
    before: Option<&HealthCheck>,
    kind: Kind,
) -> Answer<HealthCheck> {
    let lambda = kind.target_type == TargetType::Lambda;
    if new.enabled == Some(false) && !lambda {
        return Err(Refusal::validation(format!(
            "Health check enabled must be true for target groups with target type '{}'",
            kind.target_type.as_str()
        )));
    }
    if lambda && (new.protocol.is_some() || new.port.is_some()) {
        return Err(Refusal::validation(
            "Health check protocol and port cannot be specified for target groups with target type 'lambda'",
        ));
    }
    let asked = new
        .protocol
        .as_deref()
        .map(|text| protocol(text, kind))
        .transpose()?;
    let base = match before {
        Some(before) => before.clone(),
        None => kind.defaults(asked),
    };
    let protocol = asked.unwrap_or(base.protocol);
    let interval_seconds = within(
        "healthCheckIntervalSeconds",
        new.interval_seconds.unwrap_or(base.interval_seconds),
        5,
        300,
    )?;
    let timeout_seconds = within(
        "healthCheckTimeoutSeconds",
        new.timeout_seconds.unwrap_or(base.timeout_seconds),
        2,
        120,
    )?;
    let in_time = if kind.is_application() {
        timeout_seconds < interval_seconds
    } else {
        timeout_seconds <= interval_seconds
    };
    if !in_time {
        return Err(Refusal::validation(format!(
            "Health check timeout '{timeout_seconds}' must be smaller than the interval '{interval_seconds}'"
        )));
    }
    let codes = new.http_code.is_some() || new.grpc_code.is_some();
    if !protocol.is_http() && (new.path.is_some() || codes) {
        return Err(Refusal::new(
            "InvalidConfigurationRequest",
            format!(
                "Health check path and matcher are not supported for health checks with the {} protocol",
                protocol.as_str()
            ),
        ));
    }
    let becomes_http = protocol.is_http() && !base.protocol.is_http();
    let (path, matcher) = match (protocol.is_http(), becomes_http) {
        (false, _) => (None, None),
        (true, true) => (kind.default_path(protocol), kind.default_matcher(protocol)),
        (true, false) => (base.path.clone(), base.matcher.clone()),
    };
    Ok(HealthCheck {
        enabled: new.enabled.unwrap_or(base.enabled),
        protocol,
        port: match new.port.as_deref() {
            None => base.port,
            Some(text) => port(text)?,
        },
        path: match &new.path {
            None => path,
            Some(path) => Some(checked_path(path)?),
        },
        interval_seconds,
        timeout_seconds,
        healthy_threshold: within(
            "healthyThresholdCount",
            new.healthy_threshold.unwrap_or(base.healthy_threshold),
            2,
            10,
        )?,
        unhealthy_threshold: within(
            "unhealthyThresholdCount",
            new.unhealthy_threshold.unwrap_or(base.unhealthy_threshold),
            2,
            10,
        )?,
        matcher: if codes {
            Some(matcher_of(new, kind)?)
        } else {
            matcher
        },
    })
}

fn within(name: &str, value: u32, from: u32, to: u32) -> Answer<u32> {
    if (from..=to).contains(&value) {
        return Ok(value);
    }
    Err(Refusal::validation(format!(
        "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must be between {from} and {to}"
    )))
}

fn protocol(text: &str, kind: Kind) -> Answer<Protocol> {
    Protocol::named(text)
        .filter(|protocol| kind.protocols().contains(protocol))
        .ok_or_else(|| {
            let known: Vec<&str> = kind.protocols().iter().map(|p| p.as_str()).collect();
            Refusal::validation(format!(
                "Health check protocol '{text}' must be one of '{}'",
                known.join(", ")
            ))
        })
}

fn port(text: &str) -> Answer<Option<u16>> {
    if text == "traffic-port" {
        return Ok(None);
    }
    let digits = text.chars().all(|c| c.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(Some(port)),
        _ => Err(Refusal::validation(format!(
            "Health check port '{text}' must be 'traffic-port' or from 1 to 65535"
        ))),
    }
}

fn checked_path(path: &str) -> Answer<String> {
    let visible = path.chars().all(|c| c.is_ascii_graphic());
    if !path.starts_with('/') || path.len() > 1024 || !visible {
        return Err(Refusal::validation(format!(
            "Health check path '{path}' must begin with a '/' character, and can be no longer than 1024 characters"
        )));
    }
    Ok(path.to_owned())
}

fn matcher_of(new: &NewHealthCheck, kind: Kind) -> Answer<Matcher> {
    let (from, to) = kind.codes();
    let permitted = |codes: &str| {
        ranges(codes)
            .all(|range| range.is_some_and(|(low, high)| from <= low && low <= high && high <= to))
    };
    match (&new.http_code, &new.grpc_code) {
        (Some(codes), None) if !kind.grpc && permitted(codes) => Ok(Matcher::Http(codes.clone())),
        (None, Some(codes)) if kind.grpc && permitted(codes) => Ok(Matcher::Grpc(codes.clone())),
        _ => Err(Refusal::validation(format!(
            "Health check matcher must have {} codes from {from} to {to}",
            if kind.grpc { "gRPC" } else { "HTTP" }
        ))),
    }
}

/// The ranges of a list of codes, each `None` where it is not one.
fn ranges(text: &str) -> impl Iterator<Item = Option<(u16, u16)>> {
    let code = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    text.split(',').map(move |part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        code(from).zip(code(to))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn kind(protocol: Option<Protocol>, target_type: TargetType) -> Kind {
        Kind {
            protocol,
            grpc: false,
            target_type,
        }
    }

    fn shown(check: &HealthCheck) -> String {
        format!(
            "{} {} {:?} {:?} {}/{} {}/{} {:?}",
            check.enabled,
            check.protocol.as_str(),
            check.port,
            check.path.as_deref().unwrap_or("-"),
            check.interval_seconds,
            check.timeout_seconds,
            check.healthy_threshold,
            check.unhealthy_threshold,
            check.matcher
        )
    }

    #[test]
    fn defaults_by_kind_of_group() {
        let of = |kind| shown(&resolve(&NewHealthCheck::default(), None, kind).unwrap());
        let (http, https, tcp, geneve) = (
            Some(Protocol::Http),
            Some(Protocol::Https),
            Some(Protocol::Tcp),
            Some(Protocol::Geneve),
        );
        let application = r#"true HTTP None "/" 30/5 5/2 Some(Http("200"))"#;
        assert_eq!(of(kind(http, TargetType::Ip)), application);
        assert_eq!(of(kind(https, TargetType::Instance)), application);
        let grpc = Kind {
            grpc: true,
            ..kind(http, TargetType::Ip)
        };
        assert_eq!(
            of(grpc),
            r#"true HTTP None "/AWS.ALB/healthcheck" 30/5 5/2 Some(Grpc("12"))"#
        );
        assert_eq!(
            of(kind(None, TargetType::Lambda)),
            r#"false HTTP None "/" 35/30 5/2 Some(Http("200"))"#
        );
        assert_eq!(
            of(kind(tcp, TargetType::Ip)),
            r#"true TCP None "-" 30/10 5/2 None"#
        );
        assert_eq!(
            of(kind(tcp, TargetType::Alb)),
            r#"true HTTP None "/" 30/6 5/2 Some(Http("200-399"))"#
        );
        assert_eq!(
            of(kind(geneve, TargetType::Instance)),
            r#"true TCP Some(80) "-" 10/5 5/2 None"#
        );
    }

    #[test]
    fn a_check_may_change_its_protocol() {
        let tcp = kind(Some(Protocol::Tcp), TargetType::Ip);
        let before = resolve(&NewHealthCheck::default(), None, tcp).unwrap();
        let to = |protocol: &str, before: &HealthCheck| {
            let new = NewHealthCheck {
                protocol: Some(protocol.to_owned()),
                ..NewHealthCheck::default()
            };
            resolve(&new, Some(before), tcp).unwrap()
        };
        let http = to("HTTP", &before);
        assert_eq!(http.path.as_deref(), Some("/"));
        assert_eq!(http.matcher, Some(Matcher::Http("200-399".to_owned())));
        let back = to("TCP", &http);
        assert_eq!((back.path, back.matcher), (None, None));
    }

    #[test]
    fn what_is_refused() {
        let application = kind(Some(Protocol::Http), TargetType::Ip);
        let network = kind(Some(Protocol::Tcp), TargetType::Ip);
        let grpc = Kind {
            grpc: true,
            ..application
        };
        let code = |kind, change: fn(&mut NewHealthCheck)| {
            let mut new = NewHealthCheck::default();
            change(&mut new);
            resolve(&new, None, kind)
                .map_or_else(|refusal| refusal.code.into_owned(), |_| String::new())
        };
        let validation = "ValidationError";
        assert_eq!(
            code(application, |new| new.enabled = Some(false)),
            validation
        );
        assert_eq!(
            code(application, |new| new.protocol = Some("TCP".to_owned())),
            validation
        );
        assert_eq!(
            code(network, |new| new.protocol = Some("UDP".to_owned())),
            validation
        );
        assert_eq!(
            code(application, |new| new.interval_seconds = Some(5)),
            validation
        );
        assert_eq!(code(network, |new| new.interval_seconds = Some(10)), "");
        assert_eq!(
            code(network, |new| new.interval_seconds = Some(9)),
            validation
        );
        assert_eq!(
            code(application, |new| new.port = Some("0".to_owned())),
            validation
        );
        assert_eq!(
            code(application, |new| new.port = Some("+80".to_owned())),
            validation
        );
        assert_eq!(
            code(application, |new| new.path = Some("x".to_owned())),
            validation
        );
        assert_eq!(
            code(network, |new| new.path = Some("/".to_owned())),
            "InvalidConfigurationRequest"
        );
        for (codes, good) in [
            ("200", true),
            ("200,302", true),
            ("200-499", true),
            ("500", false),
            ("199", false),
            ("299-200", false),
            ("", false),
            ("200, 201", false),
            ("2xx", false),
        ] {
            let new = NewHealthCheck {
                http_code: Some(codes.to_owned()),
                ..NewHealthCheck::default()
            };
            assert_eq!(resolve(&new, None, application).is_ok(), good, "{codes}");
            assert!(resolve(&new, None, grpc).is_err());
        }
        assert_eq!(
            code(grpc, |new| new.grpc_code = Some("0-99".to_owned())),
            ""
        );
        assert_eq!(
            code(grpc, |new| new.grpc_code = Some("100".to_owned())),
            validation
        );
        assert_eq!(
            code(application, |new| new.grpc_code = Some("0".to_owned())),
            validation
        );
    }
}
