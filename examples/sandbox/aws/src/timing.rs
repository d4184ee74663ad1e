//! How long AWS takes for what it does later: the one table of knobs.
//!
//! Real durations are minutes; a simulator that waits as long is of no use on a
//! desk, one that does not wait at all hides the bugs that matter. The default
//! is therefore short but never zero.

use serde::{Deserialize, Serialize};

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
    /// Multiplies the intervals of health checks, so that 0.05 turns 30 s into 1.5 s.
    pub health_scale: f64,
    /// ACM finds the DNS records of a requested certificate this long after
    /// they were made (AWS: up to 30 minutes).
    pub certificate_issue_ms: u64,
    /// An instance or a NAT gateway takes this long to start, to stop and to go
    /// (AWS: 10 s to 2 minutes).
    pub instance_ms: u64,
    /// A new trust store is `CREATING` for this long (AWS: seconds).
    pub trust_store_ms: u64,
    /// A capacity reservation is `pending` for this long (AWS: minutes).
    pub capacity_ms: u64,
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
            health_scale: 0.05,
            certificate_issue_ms: 500,
            instance_ms: 800,
            trust_store_ms: 500,
            capacity_ms: 1000,
        }
    }
}
