//! Targets and their health.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use super::{InstanceState, LoadBalancer, LoadBalancerState, State, TargetGroup, TargetType, arn};

/// Identity of a target: the same id on two ports is two targets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetKey {
    /// Instance id, IP address, or ARN of a function or load balancer.
    pub id: String,
    /// Port, the group's own if none was given; 0 for functions.
    pub port: u16,
}

/// A registered target.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Zone as given at registration (`all` for addresses outside the VPC).
    pub availability_zone: Option<String>,
    /// Server id, only of QUIC.
    pub quic_server_id: Option<String>,
    /// When it was registered last.
    pub registered: Timestamp,
    /// Whether load balancers have heard of it, and check and use it.
    pub announced: bool,
    /// Set while it is healthy: when it became so, if it then began slowly.
    pub slow_start: Option<Timestamp>,
    /// What the probes found; only looked at while the group is in use.
    pub probed: Probed,
    /// Probes in a row with the opposite outcome of `probed`.
    pub streak: u32,
    /// Whether somebody holds `probed` as it is, whatever the probes find.
    pub held: bool,
    /// Set when the target was deregistered: when it will be gone.
    pub draining_until: Option<Timestamp>,
    /// Set with it: until when load balancers have not heard of it and go on
    /// sending new requests.
    pub served_until: Option<Timestamp>,
}

/// What the probes of a target have come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// No probe has ended yet.
    Registering,
    /// Probes have failed, not often enough to decide.
    Checking,
    /// Serves.
    Healthy,
    /// Does not serve, and why.
    Unhealthy(ProbeFailure),
}

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFailure {
    /// Another code than the matcher wants.
    ResponseCodeMismatch(u16),
    /// No answer in time.
    Timeout,
    /// Connection refused, reset, or no HTTP.
    FailedHealthChecks,
}

/// `State` of a target's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// Registered, not decided yet.
    Initial,
    /// Serves.
    Healthy,
    /// Fails its checks.
    Unhealthy,
    /// Not checked: the group, zone or instance is not in use.
    Unused,
    /// Deregistered, finishing what it has.
    Draining,
    /// Used without being checked.
    Unavailable,
}

impl HealthState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unused => "unused",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A target's health as DescribeTargetHealth tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealth {
    /// The state.
    pub state: HealthState,
    /// Reason code such as `Target.Timeout`; none when healthy.
    pub reason: Option<&'static str>,
    /// The reason for people; none when healthy.
    pub description: Option<String>,
}

impl State {
    /// The load balancer that sends traffic to a group, if any does.
    pub fn load_balancer_of(&self, group: &TargetGroup) -> Option<&LoadBalancer> {
        let holder = group.references.first()?;
        self.load_balancers.get(&arn::load_balancer_of(holder)?)
    }

    /// Whether a zone could be shifted away from the targets of a group.
    pub fn has_zonal_shift(&self, group: &TargetGroup) -> bool {
        self.load_balancer_of(group).is_some_and(|balancer| {
            balancer
                .attributes
                .get("zonal_shift.config.enabled")
                .is_some_and(|value| value == "true")
        })
    }

    /// The health of a target as DescribeTargetHealth tells it. A target that
    /// is not registered is `unused`, not an error.
    pub fn target_health(&self, group: &TargetGroup, key: &TargetKey) -> TargetHealth {
        let Some(target) = group.targets.get(key) else {
            return unused(
                "Target.NotRegistered",
                "Target is not registered to the target group",
            );
        };
        if target.draining_until.is_some() {
            return TargetHealth {
                state: HealthState::Draining,
                reason: Some("Target.DeregistrationInProgress"),
                description: Some("Target deregistration is in progress".to_owned()),
            };
        }
        // Comes first: an instance that does not run says so in an unused group too.
        if group.target_type == TargetType::Instance
            && let Some(instance) = self.instances.get(&key.id)
            && instance.state != InstanceState::Running
        {
            let text = format!("Target is in the {} state", instance.state.as_str());
            return unused("Target.InvalidState", &text);
        }
        let Some(balancer) = self.load_balancer_of(group) else {
            return unused(
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            );
        };
        if self.is_load_balancer_address(group, key) {
            return unused(
                "Target.IpUnusable",
                "The IP address cannot be used as a target, as it is in use by a load balancer",
            );
        }
        if let Some(zone) = self.zone_of_target(group, key)
            && !balancer.subnets.contains_key(&zone)
        {
            return unused(
                "Target.NotInUse",
                "Target is in an Availability Zone that is not enabled for the load balancer",
            );
        }
        if balancer.state == LoadBalancerState::Provisioning {
            return initial(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            );
        }
        if !target.announced {
            return initial(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            );
        }
        if !group.health_check.enabled {
            return TargetHealth {
                state: HealthState::Unavailable,
                reason: Some("Target.HealthCheckDisabled"),
                description: Some("Health checks are not enabled for this target".to_owned()),
            };
        }
        match &target.probed {
            Probed::Registering => initial(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            ),
            Probed::Checking => initial(
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            ),
            Probed::Healthy => TargetHealth {
                state: HealthState::Healthy,
                reason: None,
                description: None,
            },
            Probed::Unhealthy(failure) => TargetHealth {
                state: HealthState::Unhealthy,
                reason: Some(failure.reason()),
                description: Some(failure.description()),
            },
        }
    }

    /// Whether health checks are to be sent to a target now: registered and
    /// known to load balancers, in use, in an enabled zone, behind an active
    /// load balancer.
    pub fn is_probed(&self, group: &TargetGroup, key: &TargetKey) -> bool {
        let active = self
            .load_balancer_of(group)
            .is_some_and(|balancer| balancer.state == LoadBalancerState::Active);
        let announced = |target: &Target| target.announced;
        active
            && group.targets.get(key).is_some_and(announced)
            && matches!(
                self.target_health(group, key).state,
                HealthState::Initial | HealthState::Healthy | HealthState::Unhealthy
            )
    }

    /// Takes in the outcome of one health check; tells whether the health that
    /// is shown has changed. The first success makes a new target healthy,
    /// later changes need the thresholds.
    pub fn record_probe(
        &mut self,
        group_arn: &str,
        key: &TargetKey,
        outcome: Result<(), ProbeFailure>,
        now: Timestamp,
    ) -> bool {
        let Some(group) = self.target_groups.get_mut(group_arn) else {
            return false;
        };
        let begins_slowly = group.begins_slowly(key, now);
        let check = &group.health_check;
        let Some(target) = group.targets.get_mut(key) else {
            return false;
        };
        if target.held {
            return false;
        }
        let before = target.probed.clone();
        match (&target.probed, outcome) {
            (Probed::Healthy, Ok(())) => target.streak = 0,
            (Probed::Registering | Probed::Checking, Ok(())) => {
                target.probed = Probed::Healthy;
                target.streak = 0;
            }
            (Probed::Unhealthy(_), Ok(())) => {
                target.streak += 1;
                if target.streak >= check.healthy_threshold {
                    target.probed = Probed::Healthy;
                    target.streak = 0;
                }
            }
            (Probed::Unhealthy(_), Err(failure)) => {
                target.probed = Probed::Unhealthy(failure);
                target.streak = 0;
            }
            (Probed::Registering | Probed::Checking | Probed::Healthy, Err(failure)) => {
                target.streak += 1;
                if target.streak >= check.unhealthy_threshold {
                    target.probed = Probed::Unhealthy(failure);
                    target.streak = 0;
                } else if target.probed == Probed::Registering {
                    target.probed = Probed::Checking;
                }
            }
        }
        if target.probed == before {
            return false;
        }
        let healthy = target.probed == Probed::Healthy;
        target.slow_start = (healthy && begins_slowly).then_some(now);
        true
    }

    /// Load balancers have heard of a target that was registered then.
    pub(super) fn announce_target(&mut self, group: &str, key: &TargetKey, registered: Timestamp) {
        if let Some(group) = self.target_groups.get_mut(group)
            && let Some(target) = group.targets.get_mut(key)
            && target.registered == registered
        {
            target.announced = true;
        }
    }

    /// Holds the health of a target as if the probes had found it, healthy or
    /// not, until it is let go with `None`: from then on the probes count again,
    /// by the thresholds. Registering the target anew lets it go too.
    ///
    /// # Errors
    /// In words, when there is no such target or its health is not checked.
    pub fn force_health(
        &mut self,
        group: &str,
        key: &TargetKey,
        healthy: Option<bool>,
    ) -> Result<(), String> {
        let Some(group) = self.target_groups.get_mut(group) else {
            return Err(format!("there is no target group '{group}'"));
        };
        if !group.health_check.enabled {
            return Err(format!(
                "the target group '{}' does not check the health of its targets",
                group.name
            ));
        }
        let Some(target) = group.targets.get_mut(key) else {
            let targets = group.targets.keys();
            let targets: Vec<String> = targets
                .map(|key| format!("{}:{}", key.id, key.port))
                .collect();
            return Err(format!(
                "'{}:{}' is not registered in the target group '{}', which has: {}",
                key.id,
                key.port,
                group.name,
                targets.join(", ")
            ));
        };
        target.held = healthy.is_some();
        target.announced = true;
        target.streak = 0;
        match healthy {
            Some(true) => target.probed = Probed::Healthy,
            Some(false) => target.probed = Probed::Unhealthy(ProbeFailure::FailedHealthChecks),
            None => {}
        }
        Ok(())
    }

    /// The zone that counts for a target: that of its instance, of the subnet
    /// that holds its address, or as given at registration (`all`: every zone).
    pub fn zone_of_target(&self, group: &TargetGroup, key: &TargetKey) -> Option<String> {
        match group.target_type {
            TargetType::Instance => self
                .instances
                .get(&key.id)
                .map(|instance| instance.availability_zone.clone()),
            TargetType::Ip => match self.subnet_of_address(group.vpc_id.as_deref()?, &key.id) {
                Some(subnet) => Some(subnet.availability_zone.clone()),
                None => group
                    .targets
                    .get(key)
                    .and_then(|target| target.availability_zone.clone())
                    .filter(|zone| zone != "all"),
            },
            TargetType::Lambda | TargetType::Alb => None,
        }
    }

    fn is_load_balancer_address(&self, group: &TargetGroup, key: &TargetKey) -> bool {
        let Ok(address) = key.id.parse::<Ipv4Addr>() else {
            return false;
        };
        let Some(vpc) = group.vpc_id.as_deref() else {
            return false;
        };
        self.subnet_of_address(vpc, &key.id)
            .and_then(|subnet| subnet.taken.get(&address))
            .and_then(|holder| self.network_interfaces.get(holder))
            .is_some_and(|interface| interface.requester.is_some())
    }

    /// Takes an instance that is gone out of its groups.
    pub(super) fn forget_target(&mut self, instance: &str) {
        let groups = self.target_groups.values_mut();
        for group in groups.filter(|group| group.target_type == TargetType::Instance) {
            group.targets.retain(|key, _| key.id != instance);
        }
    }

    pub(super) fn finish_draining(&mut self, group: &str, key: &TargetKey, now: Timestamp) {
        if let Some(group) = self.target_groups.get_mut(group)
            && let Some(target) = group.targets.get(key)
            && target.draining_until.is_some_and(|until| until <= now)
        {
            group.targets.remove(key);
        }
    }
}

impl TargetGroup {
    /// `slow_start.duration_seconds`.
    pub fn slow_start_seconds(&self) -> u64 {
        self.attributes
            .get("slow_start.duration_seconds")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0)
    }

    /// Whether a target that becomes healthy now begins slowly: only beside a
    /// healthy one that does not.
    fn begins_slowly(&self, key: &TargetKey, now: Timestamp) -> bool {
        let seconds = self.slow_start_seconds();
        let whole = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        seconds > 0
            && self.targets.iter().any(|(other, target)| {
                other != key
                    && target.probed == Probed::Healthy
                    && target.draining_until.is_none()
                    && target
                        .slow_start
                        .is_none_or(|began| now.duration_since(began) >= whole)
            })
    }
}

impl ProbeFailure {
    fn reason(&self) -> &'static str {
        match self {
            Self::ResponseCodeMismatch(_) => "Target.ResponseCodeMismatch",
            Self::Timeout => "Target.Timeout",
            Self::FailedHealthChecks => "Target.FailedHealthChecks",
        }
    }

    fn description(&self) -> String {
        match self {
            Self::ResponseCodeMismatch(code) => {
                format!("Health checks failed with these codes: [{code}]")
            }
            Self::Timeout => "Request timed out".to_owned(),
            Self::FailedHealthChecks => "Health checks failed".to_owned(),
        }
    }
}

fn unused(reason: &'static str, description: &str) -> TargetHealth {
    TargetHealth {
        state: HealthState::Unused,
        reason: Some(reason),
        description: Some(description.to_owned()),
    }
}

fn initial(reason: &'static str, description: &str) -> TargetHealth {
    TargetHealth {
        state: HealthState::Initial,
        reason: Some(reason),
        description: Some(description.to_owned()),
    }
}
