//! Target groups and their health checks.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ActionKind, Answer, HealthCheck, Protocol, Refusal, State, arn, attributes,
    placement::check_elb_name,
    target::{Target, TargetKey},
    target_group_attributes,
    target_health_check::{self, NewHealthCheck},
};

/// What the ids of targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetType {
    /// Instance ids.
    Instance,
    /// IP addresses.
    Ip,
    /// The ARN of a function.
    Lambda,
    /// The ARN of an Application Load Balancer, behind a Network Load Balancer.
    Alb,
}

impl TargetType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
            Self::Lambda => "lambda",
            Self::Alb => "alb",
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
    /// Protocol towards targets; `None` for functions.
    pub protocol: Option<Protocol>,
    /// Port of targets that are registered without one; `None` for functions.
    pub port: Option<u16>,
    /// `HTTP1`, `HTTP2` or `GRPC`; only of HTTP and HTTPS.
    pub protocol_version: Option<String>,
    /// VPC; `None` for functions.
    pub vpc_id: Option<String>,
    /// What its targets are.
    pub target_type: TargetType,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: String,
    /// Port on which targets speak with the target optimizer.
    pub target_control_port: Option<u16>,
    /// How targets are probed.
    pub health_check: HealthCheck,
    /// Attributes, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// ARNs of the listeners (default actions) and rules that name the group.
    pub references: BTreeSet<String>,
    /// Its targets; a target is an id with a port.
    pub targets: BTreeMap<TargetKey, Target>,
}

/// What CreateTargetGroup asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewTargetGroup {
    /// Name.
    pub name: String,
    /// Protocol towards targets.
    pub protocol: Option<String>,
    /// Default port.
    pub port: Option<u32>,
    /// `HTTP1`, `HTTP2`, `GRPC`.
    pub protocol_version: Option<String>,
    /// VPC.
    pub vpc_id: Option<String>,
    /// `instance`, `ip`, `lambda` or `alb`.
    pub target_type: Option<String>,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: Option<String>,
    /// Port for the target optimizer.
    pub target_control_port: Option<u32>,
    /// Health check.
    pub health_check: NewHealthCheck,
    /// Tags.
    pub tags: Vec<(String, String)>,
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
                && existing.target_control_port == group.target_control_port
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
        group.health_check =
            target_health_check::resolve(new, Some(&group.health_check), group.check_kind())?;
        Ok(())
    }

    /// ModifyTargetGroupAttributes.
    pub fn modify_target_group_attributes(
        &mut self,
        arn: &str,
        changes: &[(String, String)],
    ) -> Answer<()> {
        let group = self.target_group(arn)?;
        target_group_attributes::check_stickiness_type(group, changes)?;
        let after = attributes::changed(
            "target group",
            &target_group_attributes::tables(group),
            &group.attributes,
            changes,
        )?;
        target_group_attributes::check(&after)?;
        let turned = |key: &str, value: &str| {
            let now = after.get(key).map(String::as_str) == Some(value);
            now && group.attributes.get(key).map(String::as_str) != Some(value)
        };
        let everywhere = |target: &Target| target.availability_zone.as_deref() == Some("all");
        if turned("load_balancing.cross_zone.enabled", "false")
            && group.targets.values().any(everywhere)
        {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                "Cross-zone load balancing cannot be turned off while a target is registered for all Availability Zones",
            ));
        }
        if turned("stickiness.enabled", "true") && self.is_shared_without_stickiness(group) {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                "You must enable group-level stickiness on a rule if you enabled target stickiness on one of its target groups",
            ));
        }
        self.target_group_mut(arn)?.attributes = after;
        Ok(())
    }

    /// Whether an action chooses among this group and others afresh for each
    /// request.
    fn is_shared_without_stickiness(&self, group: &TargetGroup) -> bool {
        let Some(balancer) = self.load_balancer_of(group) else {
            return false;
        };
        let listeners = balancer.listeners.values();
        let actions = listeners.flat_map(|listener| {
            let rules = listener.rules.values().flat_map(|rule| &rule.actions);
            listener.default_actions.iter().chain(rules)
        });
        actions.into_iter().any(|action| match &action.kind {
            ActionKind::Forward(forward) => {
                !forward.stickiness.enabled
                    && forward.target_groups.len() > 1
                    && forward
                        .target_groups
                        .iter()
                        .any(|member| member.arn == group.arn)
            }
            _ => false,
        })
    }

    /// DeleteTargetGroup: refused while a listener or rule names it; one that
    /// is unknown counts as deleted.
    pub fn delete_target_group(&mut self, arn: &str) -> Answer<()> {
        check_kind(arn)?;
        let used = self
            .target_groups
            .get(arn)
            .is_some_and(|group| !group.references.is_empty());
        if used {
            return Err(in_use(arn));
        }
        self.target_groups.remove(arn);
        self.tags.remove(arn);
        Ok(())
    }

    /// The group that a call asks for, without its ARN.
    fn resolve_group(&self, new: &NewTargetGroup) -> Answer<TargetGroup> {
        let target_type = target_type(new.target_type.as_deref())?;
        let place = if target_type == TargetType::Lambda {
            Place::nowhere(new)?
        } else {
            self.place_of_group(new, target_type)?
        };
        let http = place.protocol.is_some_and(Protocol::is_http);
        let protocol_version = protocol_version(new.protocol_version.as_deref(), http)?;
        let ip_address_type = match new.ip_address_type.as_deref() {
            None => "ipv4",
            Some(known @ ("ipv4" | "ipv6")) => known,
            Some(other) => {
                return Err(Refusal::validation(format!(
                    "The IP address type '{other}' is not valid"
                )));
            }
        };
        let addressed = matches!(target_type, TargetType::Instance | TargetType::Ip);
        if ip_address_type == "ipv6" && !addressed {
            return Err(Refusal::validation(format!(
                "The IP address type 'ipv6' is not supported for target groups with target type '{}'",
                target_type.as_str()
            )));
        }
        let target_control_port = port(new.target_control_port)?;
        if target_control_port.is_some() && !(http && addressed) {
            return Err(Refusal::validation(
                "A target control port can only be specified for target groups with the HTTP or HTTPS protocol",
            ));
        }
        let kind = target_health_check::Kind {
            protocol: place.protocol,
            grpc: protocol_version.as_deref() == Some("GRPC"),
            target_type,
        };
        let mut group = TargetGroup {
            arn: String::new(),
            name: new.name.clone(),
            protocol: place.protocol,
            port: place.port,
            protocol_version,
            vpc_id: place.vpc_id,
            target_type,
            ip_address_type: ip_address_type.to_owned(),
            target_control_port,
            health_check: target_health_check::resolve(&new.health_check, None, kind)?,
            attributes: BTreeMap::new(),
            references: BTreeSet::new(),
            targets: BTreeMap::new(),
        };
        group.attributes = attributes::defaults(&target_group_attributes::tables(&group));
        Ok(group)
    }

    /// Protocol, port and VPC of a group whose targets have addresses.
    fn place_of_group(&self, new: &NewTargetGroup, target_type: TargetType) -> Answer<Place> {
        let Some(text) = new.protocol.as_deref() else {
            return Err(Refusal::validation("A protocol must be specified"));
        };
        let protocol = Protocol::named(text)
            .filter(|protocol| target_type != TargetType::Alb || *protocol == Protocol::Tcp)
            .ok_or_else(|| {
                Refusal::validation(format!(
                    "Protocol '{text}' is not valid for target groups with target type '{}'",
                    target_type.as_str()
                ))
            })?;
        let port =
            port(new.port)?.ok_or_else(|| Refusal::validation("A port must be specified"))?;
        if protocol == Protocol::Geneve && port != GENEVE_PORT {
            return Err(Refusal::validation(format!(
                "Port must be '{GENEVE_PORT}' for target groups with the GENEVE protocol"
            )));
        }
        let vpc_id = new
            .vpc_id
            .clone()
            .ok_or_else(|| Refusal::validation("A VPC ID must be specified"))?;
        if !self.vpcs.contains_key(&vpc_id) {
            return Err(Refusal::validation(format!(
                "The VPC ID '{vpc_id}' is not found"
            )));
        }
        Ok(Place {
            protocol: Some(protocol),
            port: Some(port),
            vpc_id: Some(vpc_id),
        })
    }
}

/// The port of GENEVE, the only one that its groups can have.
const GENEVE_PORT: u16 = 6081;

/// Where the targets of a group are reached.
struct Place {
    protocol: Option<Protocol>,
    port: Option<u16>,
    vpc_id: Option<String>,
}

impl Place {
    /// Functions are called, not reached.
    fn nowhere(new: &NewTargetGroup) -> Answer<Self> {
        let stray = [
            ("Protocol", new.protocol.is_some()),
            ("Port", new.port.is_some()),
            ("VpcId", new.vpc_id.is_some()),
        ];
        if let Some((name, _)) = stray.into_iter().find(|(_, given)| *given) {
            return Err(Refusal::validation(format!(
                "{name} cannot be specified for target groups with target type 'lambda'"
            )));
        }
        Ok(Self {
            protocol: None,
            port: None,
            vpc_id: None,
        })
    }
}

impl TargetGroup {
    /// Whether clients stay with their target.
    pub fn is_sticky(&self) -> bool {
        self.attributes
            .get("stickiness.enabled")
            .is_some_and(|value| value == "true")
    }

    /// What its health check depends on.
    fn check_kind(&self) -> target_health_check::Kind {
        target_health_check::Kind {
            protocol: self.protocol,
            grpc: self.protocol_version.as_deref() == Some("GRPC"),
            target_type: self.target_type,
        }
    }
}

/// The refusal to delete a target group that something names.
pub(super) fn in_use(arn: &str) -> Refusal {
    Refusal::new(
        "ResourceInUse",
        format!("Target group '{arn}' is currently in use by a listener or a rule"),
    )
}

fn target_type(text: Option<&str>) -> Answer<TargetType> {
    Ok(match text {
        None | Some("instance") => TargetType::Instance,
        Some("ip") => TargetType::Ip,
        Some("lambda") => TargetType::Lambda,
        Some("alb") => TargetType::Alb,
        Some(other) => {
            return Err(Refusal::validation(format!(
                "Target type '{other}' must be one of 'instance, ip, lambda, alb'"
            )));
        }
    })
}

fn protocol_version(text: Option<&str>, http: bool) -> Answer<Option<String>> {
    match text {
        None => Ok(http.then(|| "HTTP1".to_owned())),
        Some(_) if !http => Err(Refusal::validation(
            "A protocol version can only be specified for target groups with the HTTP or HTTPS protocol",
        )),
        Some(known @ ("HTTP1" | "HTTP2" | "GRPC")) => Ok(Some(known.to_owned())),
        Some(other) => Err(Refusal::validation(format!(
            "Protocol version '{other}' must be one of 'HTTP1, HTTP2, GRPC'"
        ))),
    }
}

fn port(port: Option<u32>) -> Answer<Option<u16>> {
    match port.map(u16::try_from) {
        None => Ok(None),
        Some(Ok(port)) if port > 0 => Ok(Some(port)),
        Some(_) => Err(Refusal::validation("The port must be from 1 to 65535")),
    }
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
