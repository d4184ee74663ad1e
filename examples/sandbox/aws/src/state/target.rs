//! Targets and their health.

use jiff::{SignedDuration, Timestamp};

use super::{LoadBalancer, State, TargetGroup, TargetType, Transition, arn};

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
    /// Set when the first health is decided: from when on it shows. Until then
    /// the target is `initial`, whatever `probed` says.
    pub settles: Option<Timestamp>,
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
        let check = group.health_check.clone();
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
        if target.settles.is_some() {
            return false;
        }
        let first = matches!(before, Probed::Registering | Probed::Checking);
        let decided = !matches!(target.probed, Probed::Registering | Probed::Checking);
        let lag = self.timing.first_health_ms;
        if first && decided && lag > 0 {
            let settled = Transition::TargetSettled(group_arn.to_owned(), key.clone());
            let at = self.schedule(now, lag, settled);
            if let Some(target) = self.target_mut(group_arn, key) {
                target.settles = Some(at);
            }
            return true;
        }
        let healthy = target.probed == Probed::Healthy;
        target.slow_start = (healthy && begins_slowly).then_some(now);
        true
    }

    /// The first health of a target shows from now on.
    pub(super) fn settle_target(&mut self, group_arn: &str, key: &TargetKey, now: Timestamp) {
        let Some(group) = self.target_groups.get_mut(group_arn) else {
            return;
        };
        let begins_slowly = group.begins_slowly(key, now);
        // Not that of an earlier registration.
        if let Some(target) = group.targets.get_mut(key)
            && target.settles == Some(now)
        {
            target.settles = None;
            let healthy = target.probed == Probed::Healthy;
            target.slow_start = (healthy && begins_slowly).then_some(now);
        }
    }

    fn target_mut(&mut self, group: &str, key: &TargetKey) -> Option<&mut Target> {
        self.target_groups.get_mut(group)?.targets.get_mut(key)
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
        target.settles = None;
        target.streak = 0;
        match healthy {
            Some(true) => target.probed = Probed::Healthy,
            Some(false) => target.probed = Probed::Unhealthy(ProbeFailure::FailedHealthChecks),
            None => {}
        }
        Ok(())
    }

    /// Lets the targets of some groups that are unused now begin anew when they
    /// are used again: nobody has checked them meanwhile.
    pub(super) fn forget_probes_of_unused(&mut self, groups: &[String]) {
        for arn in groups {
            let Some(group) = self.target_groups.get(arn) else {
                continue;
            };
            let health = self.group_health(group);
            let unused: Vec<TargetKey> = group
                .targets
                .keys()
                .filter(|key| health.of(key).state == HealthState::Unused)
                .cloned()
                .collect();
            let Some(group) = self.target_groups.get_mut(arn) else {
                continue;
            };
            for key in unused {
                if let Some(target) = group.targets.get_mut(&key) {
                    target.forget_probes();
                }
            }
        }
    }

    /// As [`forget_probes_of_unused`](Self::forget_probes_of_unused), of an
    /// instance that does not run any more.
    pub(super) fn forget_probes_of_instance(&mut self, id: &str) {
        for group in self.target_groups.values_mut() {
            if group.target_type != TargetType::Instance {
                continue;
            }
            for (key, target) in &mut group.targets {
                if key.id == id {
                    target.forget_probes();
                }
            }
        }
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

impl Target {
    /// Nothing is known of its health any more.
    pub(super) fn forget_probes(&mut self) {
        self.probed = Probed::Registering;
        self.settles = None;
        self.streak = 0;
        self.slow_start = None;
    }

    /// Whether it serves by its health checks, as far as load balancers know.
    pub fn is_healthy(&self) -> bool {
        self.probed == Probed::Healthy && self.settles.is_none()
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
                    && target.is_healthy()
                    && target.draining_until.is_none()
                    && target
                        .slow_start
                        .is_none_or(|began| now.duration_since(began) >= whole)
            })
    }
}

impl ProbeFailure {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::ResponseCodeMismatch(_) => "Target.ResponseCodeMismatch",
            Self::Timeout => "Target.Timeout",
            Self::FailedHealthChecks => "Target.FailedHealthChecks",
        }
    }

    pub(super) fn description(&self) -> String {
        match self {
            Self::ResponseCodeMismatch(code) => {
                format!("Health checks failed with these codes: [{code}]")
            }
            Self::Timeout => "Request timed out".to_owned(),
            Self::FailedHealthChecks => "Health checks failed".to_owned(),
        }
    }
}
