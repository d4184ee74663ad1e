//! Errors on demand: calls that fail although nothing is wrong with them.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The code of a fault that loses the answer: the connection is cut.
pub const CONNECTION_RESET: &str = "ConnectionReset";

/// A fault that waits for its calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Service as in the scope of signatures; absent for any.
    #[serde(default)]
    pub service: Option<String>,
    /// Operation; absent for any.
    #[serde(default)]
    pub action: Option<String>,
    /// How many calls fail.
    #[serde(default = "once")]
    pub times: u64,
    /// Error code, or `ConnectionReset`.
    pub code: String,
    /// HTTP status; absent for the one that goes with the code.
    #[serde(default)]
    pub status: Option<u16>,
    /// Whether the call is carried out before it fails.
    #[serde(default)]
    pub after: bool,
    /// How many calls pass first.
    #[serde(default)]
    pub skip: u64,
}

fn once() -> u64 {
    1
}

/// All faults that wait.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds a fault.
    pub fn add(&self, fault: Fault) {
        self.lock().push(fault);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The faults that still wait.
    pub fn all(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// The fault that a call meets; counts it.
    pub fn meet(&self, service: &str, action: &str) -> Option<Fault> {
        let mut faults = self.lock();
        let mut met = None;
        for fault in faults.iter_mut() {
            let of_service = fault
                .service
                .as_deref()
                .is_none_or(|wanted| wanted == service);
            let matches = of_service
                && fault
                    .action
                    .as_deref()
                    .is_none_or(|wanted| wanted == action);
            if !matches {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if met.is_none() && fault.times > 0 {
                fault.times -= 1;
                met = Some(fault.clone());
            }
        }
        faults.retain(|fault| fault.times > 0);
        met
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fault_skips_then_fails_as_often_as_asked() {
        let faults = Faults::default();
        let fault = r#"{"service":"ec2","action":"DescribeVpcs","times":2,"code":"X","skip":1}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.meet("ec2", "DescribeSubnets"), None);
        assert_eq!(faults.meet("ec2", "DescribeVpcs"), None);
        assert_eq!(faults.meet("ec2", "DescribeVpcs").unwrap().code, "X");
        assert!(faults.meet("ec2", "DescribeVpcs").is_some());
        assert_eq!(faults.meet("ec2", "DescribeVpcs"), None);
        assert!(faults.all().is_empty());
        faults.add(serde_json::from_str(r#"{"code":"X","skip":1}"#).unwrap());
        assert_eq!(faults.meet("ec2", "DescribeVpcs"), None);
        assert!(faults.meet("route53", "GetChange").is_some());
    }
}
