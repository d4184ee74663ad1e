//! Target groups and their health checks.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, Protocol, Refusal, State, arn, attributes,
    placement::check_elb_name,
    target::{Target, TargetKey},
};

/// What the ids of targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetType {
    /// Instance ids.
    Instance,
    /// IP addresses.
    Ip,
}

impl TargetType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
        }
    }
}

/// A target group with its targets.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetGroup {
    /// `arn:…:targetgroup/NAME/ID`.
    pub arn: String,
    /// Name, unique in account and region.
    pub name: String,
    /// HTTP or HTTPS; `None` for functions.
    pub protocol: Option<Protocol>,
    /// Port of targets that are registered without one.
    pub port: Option<u16>,
    /// `HTTP1`, `HTTP2` or `GRPC`.
    pub protocol_version: Option<String>,
    /// VPC; `None` for functions.
    pub vpc_id: Option<String>,
    /// What its targets are.
    pub target_type: TargetType,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: String,
    /// How targets are probed.
    pub health_check: HealthCheck,
    /// Attributes, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// ARNs of the listeners (default actions) and rules that name the group.
    pub references: BTreeSet<String>,
    /// Its targets; a target is an id with a port.
    pub targets: BTreeMap<TargetKey, Target>,
}

/// The health check of a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Off only for functions.
    pub enabled: bool,
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// A port, or `None` for `traffic-port`.
    pub port: Option<u16>,
    /// Path, or the method for gRPC.
    pub path: String,
    /// Seconds from probe to probe, 5 to 300.
    pub interval_seconds: u32,
    /// Seconds until a probe has failed, 2 to 120.
    pub timeout_seconds: u32,
    /// Successes in a row that make an unhealthy target healthy, 2 to 10.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy, 2 to 10.
    pub unhealthy_threshold: u32,
    /// Codes that count as success.
    pub matcher: Matcher,
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
        text.split(',').any(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (from.trim().parse::<u16>(), to.trim().parse::<u16>()) {
                (Ok(from), Ok(to)) => (from..=to).contains(&code),
                _ => false,
            }
        })
    }
}

/// What CreateTargetGroup asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewTargetGroup {
    /// Name.
    pub name: String,
    /// `HTTP` or `HTTPS`.
    pub protocol: Option<String>,
    /// Default port.
    pub port: Option<u32>,
    /// `HTTP1`, `HTTP2`, `GRPC`.
    pub protocol_version: Option<String>,
    /// VPC.
    pub vpc_id: Option<String>,
    /// `instance` or `ip`.
    pub target_type: Option<String>,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: Option<String>,
    /// Health check.
    pub health_check: NewHealthCheck,
    /// Tags.
    pub tags: Vec<(String, String)>,
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

impl State {
    /// A target group by ARN, or `TargetGroupNotFound`.
    pub fn target_group(&self, arn: &str) -> Answer<&TargetGroup> {
        check_kind(arn)?;
        self.target_groups.get(arn).ok_or_else(|| not_found(arn))
    }

    pub(super) fn target_group_mut(&mut self, arn: &str) -> Answer<&mut TargetGroup> {
        check_kind(arn)?;
        self.target_groups
            .get_mut(arn)
            .ok_or_else(|| not_found(arn))
    }

    /// CreateTargetGroup: answers the ARN. The same call again answers the
    /// group that exists.
    pub fn create_target_group(&mut self, new: &NewTargetGroup) -> Answer<String> {
        check_elb_name("target group", &new.name)?;
        let group = self.resolve_group(new)?;
        let tags = self.checked_tags(&new.tags)?;
        if let Some(existing) = self.target_groups.values().find(|g| g.name == new.name) {
            let same = existing.protocol == group.protocol
                && existing.port == group.port
                && existing.protocol_version == group.protocol_version
                && existing.vpc_id == group.vpc_id
                && existing.target_type == group.target_type
                && existing.ip_address_type == group.ip_address_type
                && existing.health_check == group.health_check
                && self.tags.get(&existing.arn).cloned().unwrap_or_default() == tags;
            if same {
                return Ok(existing.arn.clone());
            }
            return Err(Refusal::new(
                "DuplicateTargetGroupName",
                format!(
                    "A target group with the same name '{}' exists, but with different settings",
                    new.name
                ),
            ));
        }
        if self.target_groups.len() >= self.quotas.limit("target-groups") {
            return Err(Refusal::new(
                "TooManyTargetGroups",
                "The maximum number of target groups has been reached",
            ));
        }
        let id = self.ids.hex(16);
        let arn = self.elb_arn(&format!("targetgroup/{}/{id}", new.name));
        let group = TargetGroup {
            arn: arn.clone(),
            ..group
        };
        self.target_groups.insert(arn.clone(), group);
        self.tags.insert(arn.clone(), tags);
        Ok(arn)
    }

    /// ModifyTargetGroup: the health check.
    pub fn modify_target_group(&mut self, arn: &str, new: &NewHealthCheck) -> Answer<()> {
        let group = self.target_group_mut(arn)?;
        let grpc = group.protocol_version.as_deref() == Some("GRPC");
        group.health_check = resolve_check(new, &group.health_check, grpc)?;
        Ok(())
    }

    /// ModifyTargetGroupAttributes.
    pub fn modify_target_group_attributes(
        &mut self,
        arn: &str,
        changes: &[(String, String)],
    ) -> Answer<()> {
        let group = self.target_group_mut(arn)?;
        let after = attributes::changed(
            "target group",
            &[attributes::TARGET_GROUP],
            &group.attributes,
            changes,
        )?;
        attributes::check_target_group(&after)?;
        group.attributes = after;
        Ok(())
    }

    /// DeleteTargetGroup: refused while a listener or rule names it; one that
    /// is unknown counts as deleted.
    pub fn delete_target_group(&mut self, arn: &str) -> Answer<()> {
        check_kind(arn)?;
        let in_use = self
            .target_groups
            .get(arn)
            .is_some_and(|group| !group.references.is_empty());
        if in_use {
            return Err(Refusal::new(
                "ResourceInUse",
                format!("Target group '{arn}' is currently in use by a listener or a rule"),
            ));
        }
        self.target_groups.remove(arn);
        self.tags.remove(arn);
        Ok(())
    }

    /// The group that a call asks for, without its ARN.
    fn resolve_group(&self, new: &NewTargetGroup) -> Answer<TargetGroup> {
        let target_type = match new.target_type.as_deref() {
            None | Some("instance") => TargetType::Instance,
            Some("ip") => TargetType::Ip,
            Some(other) => {
                return Err(Refusal::validation(format!(
                    "The target type '{other}' is not simulated"
                )));
            }
        };
        let protocol = match new.protocol.as_deref() {
            Some("HTTP") => Protocol::Http,
            Some("HTTPS") => Protocol::Https,
            Some(other) => {
                return Err(Refusal::validation(format!(
                    "The target group protocol '{other}' is not simulated"
                )));
            }
            None => return Err(Refusal::validation("A protocol must be specified")),
        };
        let port = match new.port.map(u16::try_from) {
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(Refusal::validation("The port must be from 1 to 65535")),
            None => return Err(Refusal::validation("A port must be specified")),
        };
        let vpc_id = new
            .vpc_id
            .clone()
            .ok_or_else(|| Refusal::validation("A VPC ID must be specified"))?;
        if !self.vpcs.contains_key(&vpc_id) {
            return Err(Refusal::validation(format!(
                "The VPC ID '{vpc_id}' is not found"
            )));
        }
        let version = new
            .protocol_version
            .clone()
            .unwrap_or_else(|| "HTTP1".to_owned());
        if !matches!(version.as_str(), "HTTP1" | "HTTP2" | "GRPC") {
            return Err(Refusal::validation(format!(
                "The protocol version '{version}' is not valid"
            )));
        }
        let ip_address_type = new
            .ip_address_type
            .clone()
            .unwrap_or_else(|| "ipv4".to_owned());
        if !matches!(ip_address_type.as_str(), "ipv4" | "ipv6") {
            return Err(Refusal::validation(format!(
                "The IP address type '{ip_address_type}' is not valid"
            )));
        }
        let grpc = version == "GRPC";
        Ok(TargetGroup {
            arn: String::new(),
            name: new.name.clone(),
            protocol: Some(protocol),
            port: Some(port),
            protocol_version: Some(version),
            vpc_id: Some(vpc_id),
            target_type,
            ip_address_type,
            health_check: resolve_check(&new.health_check, &default_check(grpc), grpc)?,
            attributes: attributes::defaults(&[attributes::TARGET_GROUP]),
            references: BTreeSet::new(),
            targets: BTreeMap::new(),
        })
    }
}

fn default_check(grpc: bool) -> HealthCheck {
    HealthCheck {
        enabled: true,
        protocol: Protocol::Http,
        port: None,
        path: if grpc { "/AWS.ALB/healthcheck" } else { "/" }.to_owned(),
        interval_seconds: 30,
        timeout_seconds: 5,
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: if grpc {
            Matcher::Grpc("12".to_owned())
        } else {
            Matcher::Http("200".to_owned())
        },
    }
}

fn resolve_check(new: &NewHealthCheck, before: &HealthCheck, grpc: bool) -> Answer<HealthCheck> {
    if new.enabled == Some(false) {
        return Err(Refusal::validation(
            "Health checks cannot be disabled for target groups of type 'instance' or 'ip'",
        ));
    }
    let within = |name: &str, value: Option<u32>, before: u32, from: u32, to: u32| {
        let value = value.unwrap_or(before);
        if (from..=to).contains(&value) {
            return Ok(value);
        }
        Err(Refusal::validation(format!(
            "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must be between {from} and {to}"
        )))
    };
    let interval_seconds = within(
        "healthCheckIntervalSeconds",
        new.interval_seconds,
        before.interval_seconds,
        5,
        300,
    )?;
    let timeout_seconds = within(
        "healthCheckTimeoutSeconds",
        new.timeout_seconds,
        before.timeout_seconds,
        2,
        120,
    )?;
    if timeout_seconds >= interval_seconds {
        return Err(Refusal::validation(format!(
            "Health check interval must be greater than the timeout, got interval {interval_seconds} and timeout {timeout_seconds}"
        )));
    }
    let protocol = match new.protocol.as_deref() {
        None => before.protocol,
        Some("HTTP") => Protocol::Http,
        Some("HTTPS") => Protocol::Https,
        Some(other) => {
            return Err(Refusal::validation(format!(
                "Health check protocol '{other}' must be one of 'HTTP, HTTPS'"
            )));
        }
    };
    let port = match new.port.as_deref() {
        None => before.port,
        Some("traffic-port") => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => {
                return Err(Refusal::validation(format!(
                    "Health check port '{text}' must be 'traffic-port' or from 1 to 65535"
                )));
            }
        },
    };
    let path = new.path.clone().unwrap_or_else(|| before.path.clone());
    if !path.starts_with('/') || path.chars().count() > 1024 {
        return Err(Refusal::validation(format!(
            "Health check path '{path}' must begin with a '/' character, and can be no longer than 1024 characters"
        )));
    }
    let matcher = match (&new.http_code, &new.grpc_code) {
        (None, None) => before.matcher.clone(),
        (Some(codes), None) if !grpc && codes_within(codes, 200, 499) => {
            Matcher::Http(codes.clone())
        }
        (None, Some(codes)) if grpc && codes_within(codes, 0, 99) => Matcher::Grpc(codes.clone()),
        _ => {
            return Err(Refusal::validation(
                "Health check matcher must be HTTP codes from 200 to 499, or for gRPC codes from 0 to 99",
            ));
        }
    };
    Ok(HealthCheck {
        enabled: true,
        protocol,
        port,
        path,
        interval_seconds,
        timeout_seconds,
        healthy_threshold: within(
            "healthyThresholdCount",
            new.healthy_threshold,
            before.healthy_threshold,
            2,
            10,
        )?,
        unhealthy_threshold: within(
            "unhealthyThresholdCount",
            new.unhealthy_threshold,
            before.unhealthy_threshold,
            2,
            10,
        )?,
        matcher,
    })
}

fn codes_within(text: &str, from: u16, to: u16) -> bool {
    let good = |code: &str| {
        code.parse::<u16>()
            .is_ok_and(|code| (from..=to).contains(&code))
    };
    text.split(',').all(|part| match part.split_once('-') {
        Some((low, high)) => good(low) && good(high),
        None => good(part),
    })
}

fn check_kind(arn: &str) -> Answer<()> {
    if arn::kind(arn) == Some(arn::Kind::TargetGroup) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "'{arn}' is not a valid target group ARN"
    )))
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new(
        "TargetGroupNotFound",
        format!("Target group '{arn}' not found"),
    )
}
