//! Errors on demand: calls that fail although nothing is wrong with them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::chance::{Chance, Purpose};
use crate::wire::{incoming::is_read, service::Service};

/// The code of a fault that loses the answer: the connection is cut.
pub const CONNECTION_RESET: &str = "ConnectionReset";

/// A fault that waits for its calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Service as in the scope of signatures, `*` and `?` as in file names;
    /// absent for any.
    pub service: Option<String>,
    /// Operation, in the same way.
    pub action: Option<String>,
    /// Whether only calls that change something meet it, and count.
    pub writes: bool,
    /// How many calls meet it.
    pub times: u64,
    /// How likely each of its calls meets it: above 0, at most 1.
    pub probability: f64,
    /// Error code, or `ConnectionReset`; absent where the call is only slow.
    pub code: Option<String>,
    /// Text of the error; absent for the one that goes with the code.
    pub message: Option<String>,
    /// HTTP status; absent for the one that goes with the code.
    pub status: Option<u16>,
    /// The call is held up for this long before anything is done about it.
    pub delay_ms: u64,
    /// The body of the answer comes in pieces over this long.
    pub body_ms: u64,
    /// The call waits until it is [let go](Faults::let_go), and is carried out
    /// then although its caller may be gone: a write that comes late.
    pub held: bool,
    /// Whether the call is carried out before it fails.
    pub after: bool,
    /// How many calls pass first.
    pub skip: u64,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            service: None,
            action: None,
            writes: false,
            times: 1,
            probability: 1.0,
            code: None,
            message: None,
            status: None,
            delay_ms: 0,
            body_ms: 0,
            held: false,
            after: false,
            skip: 0,
        }
    }
}

impl Fault {
    /// Says what is wrong with it, for people.
    pub fn check(&self) -> Result<(), String> {
        if self.times == 0 {
            return Err("times has to be at least 1: no call would meet the fault".to_owned());
        }
        let scopes = || Service::ALL.into_iter().map(Service::scope);
        if let Some(service) = &self.service
            && !scopes().any(|scope| wildcard(service.as_bytes(), scope.as_bytes()))
        {
            let scopes: Vec<&str> = scopes().collect();
            return Err(format!(
                "there is no service '{service}' in signatures; there are {}",
                scopes.join(", ")
            ));
        }
        if self.status.is_some_and(|s| !(400..600).contains(&s)) {
            return Err("the status of a fault has to be from 400 to 599".to_owned());
        }
        if !(self.probability > 0.0 && self.probability <= 1.0) {
            return Err("the probability of a fault has to be above 0 and at most 1".to_owned());
        }
        if self.code.is_none() && self.delay_ms == 0 && self.body_ms == 0 && !self.held {
            return Err("a fault needs a code, delay_ms, body_ms or held".to_owned());
        }
        if self.code.is_some() && self.held {
            return Err("a held call is carried out as it is: held goes without a code".to_owned());
        }
        if self.code.is_none() && (self.after || self.status.is_some() || self.message.is_some()) {
            return Err("after, status and message go with a code".to_owned());
        }
        Ok(())
    }

    fn is_for(&self, service: &str, action: &str) -> bool {
        let matches = |glob: &Option<String>, name: &str| {
            glob.as_deref()
                .is_none_or(|glob| wildcard(glob.as_bytes(), name.as_bytes()))
        };
        matches(&self.service, service)
            && matches(&self.action, action)
            && !(self.writes && is_read(action))
    }
}

/// Whether a name is what a pattern with `*` and `?` stands for.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'*', pattern)), _) => {
            (0..=name.len()).any(|skipped| wildcard(pattern, &name[skipped..]))
        }
        (Some((b'?', pattern)), Some((_, name))) => wildcard(pattern, name),
        (Some((wanted, pattern)), Some((found, name))) => {
            wanted == found && wildcard(pattern, name)
        }
        (Some(_), None) => false,
    }
}

/// A call that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Service as in the scope of signatures.
    pub service: String,
    /// Operation.
    pub action: String,
}

/// All faults that wait, and all calls that are held.
#[derive(Debug)]
pub struct Faults {
    waiting: Mutex<Vec<Fault>>,
    held: Mutex<Vec<Holding>>,
    /// Draws for probabilities.
    chance: Chance,
}

#[derive(Debug)]
struct Holding {
    /// The call's number in the journal.
    number: u64,
    held: Held,
    /// Lets it go; `None` once it was.
    go: Option<oneshot::Sender<()>>,
}

impl Faults {
    /// None yet; likely ones will draw here.
    pub(crate) fn of(chance: Chance) -> Self {
        Self {
            waiting: Mutex::default(),
            held: Mutex::default(),
            chance,
        }
    }

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
        let drawn = || self.chance.fraction(Purpose::Fault);
        let mut met = None;
        for fault in faults.iter_mut().filter(|f| f.is_for(service, action)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if met.is_none()
                && fault.times > 0
                && (fault.probability >= 1.0 || drawn() < fault.probability)
            {
                fault.times -= 1;
                met = Some(fault.clone());
            }
        }
        faults.retain(|fault| fault.times > 0);
        met
    }

    /// Waits until a call is let go. Answers whether it was: those that are
    /// [given up](Self::give_up) are not carried out.
    pub(crate) async fn hold(&self, number: u64, service: &str, action: &str) -> bool {
        let (go, gone) = oneshot::channel();
        let held = Held {
            service: service.to_owned(),
            action: action.to_owned(),
        };
        lock(&self.held).push(Holding {
            number,
            held,
            go: Some(go),
        });
        gone.await.is_ok()
    }

    /// A call that was held has been carried out.
    pub(crate) fn carried_out(&self, number: u64) {
        lock(&self.held).retain(|holding| holding.number != number);
    }

    /// The calls that were held and are not carried out yet, in the order in
    /// which they came.
    pub fn held(&self) -> Vec<Held> {
        let held = lock(&self.held);
        held.iter().map(|holding| holding.held.clone()).collect()
    }

    /// Lets all held calls go: they are carried out soon after this returns.
    pub fn let_go(&self) {
        for holding in lock(&self.held).iter_mut() {
            if let Some(go) = holding.go.take() {
                // Nobody waits any more where the simulator ends.
                let _ = go.send(());
            }
        }
    }

    /// Gives all held calls up: they are never carried out.
    pub(crate) fn give_up(&self) {
        lock(&self.held).clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        lock(&self.waiting)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fault_skips_then_fails_as_often_as_asked() {
        let faults = Faults::of(Chance::of(1));
        let fault = r#"{"service":"ec2","action":"DescribeVpcs","times":2,"code":"X","skip":1}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.meet("ec2", "DescribeSubnets"), None);
        assert_eq!(faults.meet("ec2", "DescribeVpcs"), None);
        assert_eq!(
            faults.meet("ec2", "DescribeVpcs").unwrap().code.unwrap(),
            "X"
        );
        assert!(faults.meet("ec2", "DescribeVpcs").is_some());
        assert_eq!(faults.meet("ec2", "DescribeVpcs"), None);
        assert!(faults.all().is_empty());
        faults.add(serde_json::from_str(r#"{"code":"X","skip":1}"#).unwrap());
        assert_eq!(faults.meet("ec2", "DescribeVpcs"), None);
        assert!(faults.meet("route53", "GetChange").is_some());
    }

    #[test]
    fn names_may_be_patterns() {
        let fault = |service: &str, action: &str| Fault {
            service: Some(service.to_owned()),
            action: Some(action.to_owned()),
            ..Fault::default()
        };
        assert!(fault("elastic*", "Create*").is_for("elasticloadbalancing", "CreateRule"));
        assert!(fault("*", "*Tags").is_for("ec2", "DeleteTags"));
        assert!(!fault("ec?", "Create*").is_for("ec2", "DeleteTags"));
        assert!(!fault("ec2", "Describe").is_for("ec2", "DescribeVpcs"));
        assert!(Fault::default().is_for("acm", "ListCertificates"));
    }

    #[test]
    fn a_fault_of_writes_counts_no_reads() {
        let faults = Faults::of(Chance::of(1));
        faults.add(serde_json::from_str(r#"{"code":"X","writes":true,"skip":1}"#).unwrap());
        for read in ["DescribeVpcs", "ListHostedZones", "GetChange"] {
            assert_eq!(faults.meet("ec2", read), None);
        }
        assert_eq!(faults.meet("ec2", "CreateSecurityGroup"), None);
        assert_eq!(faults.meet("ec2", "DescribeVpcs"), None);
        assert!(faults.meet("ec2", "CreateTags").is_some());
    }

    #[test]
    fn a_likely_fault_is_met_about_as_often_and_alike_in_every_run() {
        let met = || {
            let faults = Faults::of(Chance::of(1));
            let fault = r#"{"code":"X","times":100000,"probability":0.25}"#;
            faults.add(serde_json::from_str(fault).unwrap());
            let calls = (0..1000).map(|_| faults.meet("ec2", "DescribeVpcs").is_some());
            calls.collect::<Vec<bool>>()
        };
        let first = met();
        assert_eq!(first, met());
        let count = first.iter().filter(|met| **met).count();
        assert!((200..300).contains(&count), "{count}");
    }

    #[test]
    fn a_fault_that_says_nothing_is_refused() {
        for text in [
            "{}",
            r#"{"code":"X","times":0}"#,
            r#"{"code":"X","service":"elbv2"}"#,
            r#"{"code":"X","probability":0}"#,
            r#"{"code":"X","status":200}"#,
            r#"{"delay_ms":5,"after":true}"#,
            r#"{"held":true,"code":"X"}"#,
        ] {
            let fault: Fault = serde_json::from_str(text).unwrap();
            assert!(fault.check().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Fault>(r#"{"cod":"X"}"#).is_err());
        let slow: Fault = serde_json::from_str(r#"{"delay_ms":5}"#).unwrap();
        assert_eq!(slow.check(), Ok(()));
    }
}
