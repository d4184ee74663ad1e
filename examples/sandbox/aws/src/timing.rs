//! How long AWS takes for what it does later: the one table of knobs.
//!
//! Real durations are minutes; a simulator that waits as long is of no use on a
//! desk, one that does not wait at all hides the bugs that matter. The default
//! is therefore short but never zero.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::state::lag;

/// The delays of everything that AWS does after its answer, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// Every answer of the API is held back for this long, so that calls made
    /// side by side overlap in the log and calls made one after another do not.
    pub latency_ms: u64,
    /// A new load balancer is `provisioning` for this long (AWS: 1 to 4 minutes).
    pub provisioning_ms: u64,
    /// A Route 53 change is `PENDING` for this long (AWS: up to 60 s).
    pub insync_ms: u64,
    /// A zone takes no second change for this long after one, and at least for
    /// `latency_ms` (AWS: until the first has been taken in, milliseconds).
    pub zone_busy_ms: u64,
    /// The network interfaces of a deleted load balancer hold its security
    /// groups and addresses for this long (AWS: 1 to 5 minutes).
    pub eni_release_ms: u64,
    /// A deregistered target drains for at most this long, whatever
    /// `deregistration_delay.timeout_seconds` says; `null` lets the attribute hold.
    pub draining_ms: Option<u64>,
    /// A load balancer hears of a registered target, checks it and sends to it
    /// after this long (AWS: seconds).
    pub registration_lag_ms: u64,
    /// A load balancer goes on sending new requests to a deregistered target
    /// for this long, but never longer than it drains (AWS: about 5 s).
    pub deregistration_lag_ms: u64,
    /// The first health of a target shows this long after the check that has
    /// decided it; until then it is `initial` (AWS: seconds, until its nodes agree).
    pub first_health_ms: u64,
    /// Multiplies the intervals of health checks, so that 0.05 turns 30 s into 1.5 s.
    pub health_scale: f64,
    /// ACM finds the DNS records of a requested certificate this long after
    /// they were made (AWS: up to 30 minutes).
    pub certificate_issue_ms: u64,
    /// Deleted resources stay in the lists of the Resource Groups Tagging API
    /// for this long (AWS: minutes and more).
    pub tag_linger_ms: u64,
    /// An instance or a NAT gateway takes this long to start, to stop and to go
    /// (AWS: 10 s to 2 minutes).
    pub instance_ms: u64,
    /// A new trust store is `CREATING` for this long (AWS: seconds).
    pub trust_store_ms: u64,
    /// A capacity reservation is `pending` for this long (AWS: minutes).
    pub capacity_ms: u64,
    /// Multiplies every duration above but the latency and the intervals of
    /// health checks.
    pub scale: f64,
    /// Each of these durations is drawn from around its value: 0.5 is from half
    /// of it to one and a half times it, 0 is exactly it.
    pub spread: f64,
}

/// A table of knobs by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Nothing takes time.
    Instant,
    /// A second or so where AWS takes minutes.
    #[default]
    Quick,
    /// As AWS.
    Real,
}

impl Profile {
    /// The names, as on a command line.
    pub const NAMES: [&str; 3] = ["instant", "quick", "real"];

    /// The knobs of the profile.
    pub fn timing(self) -> Timing {
        match self {
            Self::Instant => Timing {
                provisioning_ms: 0,
                insync_ms: 0,
                eni_release_ms: 0,
                draining_ms: Some(0),
                registration_lag_ms: 0,
                deregistration_lag_ms: 0,
                first_health_ms: 0,
                health_scale: 0.01,
                certificate_issue_ms: 0,
                instance_ms: 0,
                tag_linger_ms: 0,
                trust_store_ms: 0,
                capacity_ms: 0,
                ..Timing::default()
            },
            Self::Quick => Timing::default(),
            Self::Real => Timing {
                provisioning_ms: 150_000,
                insync_ms: 30_000,
                zone_busy_ms: 500,
                eni_release_ms: 180_000,
                draining_ms: None,
                registration_lag_ms: 3_000,
                deregistration_lag_ms: 5_000,
                first_health_ms: 10_000,
                health_scale: 1.0,
                certificate_issue_ms: 300_000,
                instance_ms: 40_000,
                tag_linger_ms: 300_000,
                trust_store_ms: 10_000,
                capacity_ms: 300_000,
                spread: 0.6,
                ..Timing::default()
            },
        }
    }

    /// What later calls do not see at once.
    pub fn lags(self) -> lag::Settings {
        match self {
            Self::Instant | Self::Quick => lag::Settings::new(),
            Self::Real => lag::real(),
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "instant" => Ok(Self::Instant),
            "quick" => Ok(Self::Quick),
            "real" => Ok(Self::Real),
            other => Err(format!(
                "there is no profile '{other}'; there are {}",
                Self::NAMES.join(", ")
            )),
        }
    }
}

impl Timing {
    /// How long something takes that has a knob here: `drawn` is from 0 to 1.
    pub fn duration_ms(&self, knob_ms: u64, drawn: f64) -> u64 {
        let around = 1.0 + self.spread * (2.0 * drawn - 1.0);
        // Milliseconds of years fit.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss
        )]
        let duration = (knob_ms as f64 * self.scale * around).max(0.0) as u64;
        duration
    }

    /// Says what is wrong with it, for people.
    pub fn check(&self) -> Result<(), String> {
        if !(self.scale.is_finite() && self.scale >= 0.0) {
            return Err("scale has to be a number that is not below 0".to_owned());
        }
        if !(0.0..=1.0).contains(&self.spread) {
            return Err("spread has to be from 0 to 1".to_owned());
        }
        if !(self.health_scale.is_finite() && self.health_scale >= 0.0) {
            return Err("health_scale has to be a number that is not below 0".to_owned());
        }
        Ok(())
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            provisioning_ms: 1500,
            insync_ms: 1000,
            zone_busy_ms: 0,
            eni_release_ms: 1000,
            draining_ms: Some(1500),
            registration_lag_ms: 200,
            deregistration_lag_ms: 500,
            first_health_ms: 600,
            health_scale: 0.05,
            certificate_issue_ms: 500,
            tag_linger_ms: 1000,
            instance_ms: 800,
            trust_store_ms: 500,
            capacity_ms: 1000,
            scale: 1.0,
            spread: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_scaled_and_spread() {
        let real = Profile::Real.timing();
        assert_eq!(real.duration_ms(150_000, 0.5), 150_000);
        assert_eq!(real.duration_ms(150_000, 0.0), 60_000, "1 to 4 minutes");
        assert_eq!(real.duration_ms(150_000, 1.0), 240_000);
        let scaled = Timing {
            scale: 0.01,
            ..real
        };
        assert_eq!(scaled.duration_ms(150_000, 0.5), 1_500);
        assert_eq!(Profile::Quick.timing().duration_ms(1_500, 0.9), 1_500);
        let lags = |profile: Profile| {
            let timing = profile.timing();
            (timing.registration_lag_ms, timing.deregistration_lag_ms)
        };
        assert_eq!(lags(Profile::Instant), (0, 0));
        assert_eq!(lags(Profile::Quick), (200, 500));
        assert_eq!(lags(Profile::Real), (3_000, 5_000));
        let slow = |profile: Profile| {
            let timing = profile.timing();
            [
                timing.first_health_ms,
                timing.zone_busy_ms,
                timing.instance_ms,
            ]
        };
        assert_eq!(slow(Profile::Instant), [0, 0, 0]);
        assert_eq!(slow(Profile::Quick), [600, 0, 800]);
        assert_eq!(slow(Profile::Real), [10_000, 500, 40_000]);
        assert_eq!("real".parse(), Ok(Profile::Real));
        assert!("slow".parse::<Profile>().unwrap_err().contains("instant"));
    }
}
