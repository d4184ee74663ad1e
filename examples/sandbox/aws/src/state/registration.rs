//! RegisterTargets and DeregisterTargets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    Answer, HealthState, Probed, Protocol, Refusal, State, Target, TargetGroup, TargetKey,
    TargetType, Transition, listener::family,
};

/// A target as a caller spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTarget {
    /// Instance id, address, or ARN of a function or load balancer.
    pub id: String,
    /// Port; the group's own if absent.
    pub port: Option<u32>,
    /// Zone name or `all`.
    pub availability_zone: Option<String>,
    /// Server id of QUIC.
    pub quic_server_id: Option<String>,
}

impl State {
    /// RegisterTargets: all or none; a target that is registered already stays
    /// as it is, one that drains comes back. Load balancers hear of it a while
    /// later.
    pub fn register_targets(
        &mut self,
        arn: &str,
        targets: &[NewTarget],
        now: Timestamp,
    ) -> Answer<()> {
        let group = self.target_group(arn)?;
        if targets.is_empty() {
            return Err(Refusal::validation("At least one target must be specified"));
        }
        let mut registered: BTreeMap<TargetKey, &NewTarget> = BTreeMap::new();
        for target in targets {
            self.check_target(group, target)?;
            registered.insert(key_of(group, target)?, target);
        }
        check_server_ids(group, &registered)?;
        self.check_target_quotas(group, registered.keys())?;
        let lag = self.timing.registration_lag_ms;
        let everywhere = (group.target_type == TargetType::Lambda).then(|| "all".to_owned());
        let mut fresh = Vec::new();
        let group = self.target_group_mut(arn)?;
        for (key, new) in registered {
            let known = group
                .targets
                .get(&key)
                .is_some_and(|target| target.draining_until.is_none());
            if known {
                continue;
            }
            let zone = new.availability_zone.clone();
            let target = Target {
                availability_zone: zone.or_else(|| everywhere.clone()),
                quic_server_id: new.quic_server_id.clone(),
                registered: now,
                announced: lag == 0,
                slow_start: None,
                probed: Probed::Registering,
                settles: None,
                streak: 0,
                held: false,
                draining_until: None,
                served_until: None,
            };
            fresh.extend((lag > 0).then(|| key.clone()));
            group.targets.insert(key, target);
        }
        for key in fresh {
            let announced = Transition::TargetAnnounced(arn.to_owned(), key, now);
            self.schedule(now, lag, announced);
        }
        Ok(())
    }

    /// DeregisterTargets: a target in use drains for the group's delay, and
    /// for the first moments of it still gets new requests; one that is unused
    /// is gone at once, one that is unknown is refused.
    pub fn deregister_targets(
        &mut self,
        arn: &str,
        targets: &[NewTarget],
        now: Timestamp,
    ) -> Answer<()> {
        let group = self.target_group(arn)?;
        if targets.is_empty() {
            return Err(Refusal::validation("At least one target must be specified"));
        }
        let mut leaving = Vec::new();
        for target in targets {
            let key = key_of(group, target)?;
            if !group.targets.contains_key(&key) {
                return Err(Refusal::new(
                    "InvalidTarget",
                    format!(
                        "The following targets are not registered: '{}:{}'",
                        key.id, key.port
                    ),
                ));
            }
            leaving.push(key);
        }
        let health = self.group_health(group);
        let unused: BTreeSet<TargetKey> = leaving
            .iter()
            .filter(|key| health.of(key).state == HealthState::Unused)
            .cloned()
            .collect();
        let delay = group
            .attributes
            .get("deregistration_delay.timeout_seconds")
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .map_or(300_000, |seconds| seconds * 1000);
        let delay = self
            .timing
            .draining_ms
            .map_or(delay, |most| delay.min(most));
        for key in leaving {
            let draining = self
                .target_group(arn)?
                .targets
                .get(&key)
                .is_some_and(|target| target.draining_until.is_some());
            if draining {
                continue;
            }
            if unused.contains(&key) || delay == 0 {
                self.target_group_mut(arn)?.targets.remove(&key);
                continue;
            }
            let gone = Transition::TargetGone(arn.to_owned(), key.clone());
            let until = self.schedule(now, delay, gone);
            let drawn = self.draws.fraction();
            let lag = self
                .timing
                .duration_ms(self.timing.deregistration_lag_ms, drawn);
            let lag = SignedDuration::from_millis(i64::try_from(lag).unwrap_or(i64::MAX));
            let served = now.checked_add(lag).unwrap_or(Timestamp::MAX);
            if let Some(target) = self.target_group_mut(arn)?.targets.get_mut(&key) {
                target.draining_until = Some(until);
                target.served_until = Some(served);
            }
        }
        Ok(())
    }

    /// The targets that DescribeTargetHealth is asked for: those named, else all.
    pub fn described_targets(&self, arn: &str, named: &[NewTarget]) -> Answer<Vec<TargetKey>> {
        let group = self.target_group(arn)?;
        if named.is_empty() {
            return Ok(group.targets.keys().cloned().collect());
        }
        named.iter().map(|target| key_of(group, target)).collect()
    }

    fn check_target_quotas<'a>(
        &self,
        group: &TargetGroup,
        added: impl Iterator<Item = &'a TargetKey>,
    ) -> Answer<()> {
        let fresh: Vec<&str> = added
            .filter(|key| !group.targets.contains_key(key))
            .map(|key| key.id.as_str())
            .collect();
        let lone = matches!(group.target_type, TargetType::Lambda | TargetType::Alb);
        let most = if lone {
            1
        } else {
            self.quotas.limit("targets-per-target-group")
        };
        if group.targets.len() + fresh.len() > most {
            return Err(Refusal::new(
                "TooManyTargets",
                format!("The maximum number of targets per target group '{most}' has been reached"),
            ));
        }
        match self.load_balancer_of(group) {
            Some(balancer) => {
                let groups = balancer.target_groups(None);
                self.check_target_load(family(&balancer.arn), &groups, &fresh)
            }
            None => Ok(()),
        }
    }
}

/// Targets of QUIC groups, and only those, have server ids, each its own.
fn check_server_ids(group: &TargetGroup, targets: &BTreeMap<TargetKey, &NewTarget>) -> Answer<()> {
    let quic = group.protocol.is_some_and(Protocol::is_quic);
    let mut taken: BTreeMap<&str, &TargetKey> = group
        .targets
        .iter()
        .filter_map(|(key, target)| Some((target.quic_server_id.as_deref()?, key)))
        .collect();
    for (key, target) in targets {
        let Some(id) = target.quic_server_id.as_deref() else {
            if quic {
                return Err(Refusal::validation(format!(
                    "A QUIC server ID must be specified for the target '{}'",
                    key.id
                )));
            }
            continue;
        };
        let digits = id.strip_prefix("0x").unwrap_or_default();
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if !quic || digits.len() != 16 || !digits.chars().all(hex) {
            return Err(Refusal::validation(format!(
                "The QUIC server ID '{id}' is not valid"
            )));
        }
        if taken.insert(id, key).is_some_and(|other| other != key) {
            return Err(Refusal::validation(format!(
                "The QUIC server ID '{id}' is in use by another target"
            )));
        }
    }
    Ok(())
}

fn key_of(group: &TargetGroup, target: &NewTarget) -> Answer<TargetKey> {
    let port = match target.port.map(u16::try_from) {
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => {
            return Err(Refusal::validation(
                "The port of a target must be from 1 to 65535",
            ));
        }
        None => None,
    };
    Ok(TargetKey {
        id: target.id.clone(),
        // Functions have none, whatever is given.
        port: group.port.map_or(0, |own| port.unwrap_or(own)),
    })
}

#[cfg(test)]
mod tests;
