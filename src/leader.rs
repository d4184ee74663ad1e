//! Leader election: one of several replicas writes.
//!
//! Everyone watches and keeps its stores warm; only the holder of the Lease
//! reconciles and reports. AWS knows no fencing, so three things keep two
//! replicas from writing at once: the holder stops starting writes when it has
//! not renewed for [`Timing::renew_deadline`] (see [`Leadership::valid`]),
//! which is earlier than others may take the Lease; it ends the process then;
//! and others count [`Timing::lease`] by their own clock from the renewal that
//! they saw, so clocks need not agree.

use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;

/// Times of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a Lease holds after its last renewal.
    pub lease: Duration,
    /// The holder gives up when it has not renewed for this long.
    pub renew_deadline: Duration,
    /// Pause between two attempts, to acquire or to renew.
    pub retry: Duration,
}

impl Timing {
    /// The times that go with how long a Lease holds, in the proportions of
    /// Kubernetes' own components (15, 10 and 2 s).
    pub fn of(lease: Duration) -> Self {
        Self {
            lease,
            renew_deadline: lease * 2 / 3,
            retry: lease * 2 / 15,
        }
    }
}

/// Whether this process may write, for everyone who must ask.
#[derive(Debug)]
pub struct Leadership {
    renewed: Mutex<Option<Instant>>,
    renew_deadline: Duration,
}

impl Leadership {
    /// Leadership of nobody yet.
    pub fn none(timing: Timing) -> Self {
        Self {
            renewed: Mutex::new(None),
            renew_deadline: timing.renew_deadline,
        }
    }

    /// Whether a write may be started now: the Lease is held and was renewed
    /// within the deadline. Asked before every attempt of a write, to AWS and
    /// to Kubernetes.
    pub fn valid(&self) -> bool {
        self.renewed_at()
            .is_some_and(|at| at.elapsed() < self.renew_deadline)
    }

    fn renewed_at(&self) -> Option<Instant> {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time until [`Leadership::valid`] ends.
    fn remaining(&self) -> Duration {
        self.renewed_at().map_or(Duration::ZERO, |at| {
            self.renew_deadline.saturating_sub(at.elapsed())
        })
    }

    fn set(&self, renewed: Option<Instant>) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
    }
}

/// Why the election ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another replica holds the Lease.
    #[error("lost the lease {name} to {holder}; another replica goes on")]
    Lost {
        /// The Lease.
        name: String,
        /// Its holder.
        holder: String,
    },
    /// The Lease could not be renewed in time.
    #[error("could not renew the lease {name} for {} s: {why}", .after.as_secs())]
    NotRenewed {
        /// The Lease.
        name: String,
        /// How long it was tried.
        after: Duration,
        /// The last error.
        why: String,
    },
}

/// A candidate for the Lease.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    leadership: Arc<Leadership>,
    /// The renewal of another holder as last seen, and when it was first seen.
    seen: Option<(Renewal, Instant)>,
}

/// What changes with each renewal.
type Renewal = (Option<String>, Option<MicroTime>);

impl Election {
    /// A candidate with a name that no other process has.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: String,
        timing: Timing,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity,
            timing,
            leadership: Arc::new(Leadership::none(timing)),
            seen: None,
        }
    }

    /// What this candidate has, to ask about at any time.
    pub fn leadership(&self) -> Arc<Leadership> {
        Arc::clone(&self.leadership)
    }

    /// Waits until the Lease is ours. Errors of the API server are logged and
    /// tried again.
    pub async fn acquire(&mut self) {
        let mut told = false;
        loop {
            let started = Instant::now();
            match self.attempt(self.timing.renew_deadline / 2).await {
                Ok(None) => {
                    self.leadership.set(Some(started));
                    tracing::info!(lease = self.name, identity = self.identity, "leading");
                    return;
                }
                Ok(Some(holder)) if !told => {
                    tracing::info!(lease = self.name, holder, "standing by");
                    told = true;
                }
                Ok(Some(_)) => {}
                Err(why) => {
                    tracing::warn!(lease = self.name, error = why, "cannot acquire the lease");
                }
            }
            let jitter = self.timing.retry.mul_f64(rand::random::<f64>() * 0.2);
            tokio::time::sleep(self.timing.retry + jitter).await;
        }
    }

    /// Renews until `released`, then gives the Lease back so that another
    /// replica need not wait for it to run out. Ends with an error when the
    /// Lease is lost; the process must end then.
    pub async fn hold(&mut self, released: CancellationToken) -> Result<(), Error> {
        let mut why = String::from("no answer");
        loop {
            tokio::select! {
                () = released.cancelled() => break,
                () = tokio::time::sleep(self.timing.retry) => {}
            }
            let started = Instant::now();
            // An attempt that hangs must leave time for another, and must not
            // last beyond the deadline.
            let limit = self
                .leadership
                .remaining()
                .min(self.timing.renew_deadline / 2);
            match self.attempt(limit).await {
                Ok(None) => self.leadership.set(Some(started)),
                Ok(Some(holder)) => {
                    self.leadership.set(None);
                    return Err(Error::Lost {
                        name: self.name.clone(),
                        holder,
                    });
                }
                Err(error) => {
                    tracing::warn!(lease = self.name, error, "cannot renew the lease");
                    why = error;
                }
            }
            if !self.leadership.valid() {
                self.leadership.set(None);
                return Err(Error::NotRenewed {
                    name: self.name.clone(),
                    after: self.timing.renew_deadline,
                    why,
                });
            }
        }
        self.leadership.set(None);
        if let Err(error) = self.release().await {
            tracing::warn!(lease = self.name, error, "cannot release the lease");
        }
        Ok(())
    }

    /// One attempt to have the Lease: `None` when it is ours, else its holder.
    async fn attempt(&mut self, limit: Duration) -> Result<Option<String>, String> {
        match tokio::time::timeout(limit, self.try_once()).await {
            Ok(answer) => answer.map_err(|error| ApiError::from(error).to_string()),
            Err(_) => Err(format!("no answer within {} s", limit.as_secs_f32())),
        }
    }

    async fn try_once(&mut self) -> kube::Result<Option<String>> {
        let live = self.api.get_opt(&self.name).await?;
        let spec = live.as_ref().and_then(|lease| lease.spec.as_ref());
        let unchanged_for = self.unchanged_for(spec);
        let spec = match decide(
            spec,
            &self.identity,
            unchanged_for,
            self.timing.lease,
            Timestamp::now(),
        ) {
            Decision::Wait(holder) => return Ok(Some(holder)),
            Decision::Write(spec) => spec,
        };
        let written = if let Some(mut lease) = live {
            // With the resource version that was read: of two candidates one
            // is refused.
            lease.spec = Some(*spec);
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
        } else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(*spec),
            };
            self.api.create(&PostParams::default(), &lease).await
        };
        written.map(|_| None)
    }

    /// How long the Lease has looked as it looks now, by our own clock.
    fn unchanged_for(&mut self, spec: Option<&LeaseSpec>) -> Duration {
        let Some(spec) = spec else {
            self.seen = None;
            return Duration::ZERO;
        };
        let renewal = (spec.holder_identity.clone(), spec.renew_time.clone());
        match &self.seen {
            Some((last, since)) if *last == renewal => since.elapsed(),
            _ => {
                self.seen = Some((renewal, Instant::now()));
                Duration::ZERO
            }
        }
    }

    async fn release(&self) -> Result<(), String> {
        let give_back = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(|_| ())
        };
        match tokio::time::timeout(self.timing.retry, give_back).await {
            Ok(result) => result.map_err(|error: kube::Error| ApiError::from(error).to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

/// What to do about a Lease.
#[derive(Debug, PartialEq)]
enum Decision {
    /// It is held by this one.
    Wait(String),
    /// Write this: it is free, has run out, or is ours.
    Write(Box<LeaseSpec>),
}

/// Decides about a Lease that has looked like this for `unchanged_for`.
fn decide(
    live: Option<&LeaseSpec>,
    identity: &str,
    unchanged_for: Duration,
    lease: Duration,
    now: Timestamp,
) -> Decision {
    let holder = live
        .and_then(|spec| spec.holder_identity.as_deref())
        .filter(|holder| !holder.is_empty());
    let ours = holder == Some(identity);
    if let (Some(holder), Some(spec), false) = (holder, live, ours) {
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        if unchanged_for < Duration::from_secs(u64::try_from(seconds).unwrap_or_default()) {
            return Decision::Wait(holder.to_owned());
        }
    }
    let transitions = live.and_then(|spec| spec.lease_transitions);
    let acquired = live
        .and_then(|spec| spec.acquire_time.clone())
        .filter(|_| ours);
    Decision::Write(Box::new(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(lease.as_secs()).ok(),
        acquire_time: acquired.or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: match transitions {
            Some(count) if !ours => Some(count.saturating_add(1)),
            count => count.or(Some(0)),
        },
        ..LeaseSpec::default()
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held_by(holder: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            acquire_time: Some(MicroTime(at(100))),
            renew_time: Some(MicroTime(at(200))),
            lease_transitions: Some(4),
            ..LeaseSpec::default()
        }
    }

    fn write(decision: Decision) -> LeaseSpec {
        match decision {
            Decision::Write(spec) => *spec,
            Decision::Wait(holder) => panic!("waits for {holder}"),
        }
    }

    #[test]
    fn a_held_lease_is_left_alone_until_it_has_run_out_by_our_own_clock() {
        let live = held_by("other");
        let after = |seconds| {
            // Wall clocks say something else on purpose: they do not count.
            decide(
                Some(&live),
                "me",
                Duration::from_secs(seconds),
                LEASE,
                at(9_999),
            )
        };
        assert_eq!(after(0), Decision::Wait("other".into()));
        assert_eq!(after(14), Decision::Wait("other".into()));
        let taken = write(after(15));
        assert_eq!(taken.holder_identity.as_deref(), Some("me"));
        assert_eq!(taken.lease_transitions, Some(5));
        assert_eq!(taken.acquire_time, Some(MicroTime(at(9_999))));
    }

    #[test]
    fn a_renewal_keeps_the_time_of_acquisition() {
        let renewed = write(decide(
            Some(&held_by("me")),
            "me",
            Duration::ZERO,
            LEASE,
            at(210),
        ));
        assert_eq!(renewed.acquire_time, Some(MicroTime(at(100))));
        assert_eq!(renewed.renew_time, Some(MicroTime(at(210))));
        assert_eq!(renewed.lease_transitions, Some(4));
    }

    #[test]
    fn a_missing_and_a_released_lease_are_taken_at_once() {
        let new = write(decide(None, "me", Duration::ZERO, LEASE, at(1)));
        assert_eq!(new.lease_duration_seconds, Some(15));
        assert_eq!(new.lease_transitions, Some(0));
        let released = write(decide(
            Some(&held_by("")),
            "me",
            Duration::ZERO,
            LEASE,
            at(1),
        ));
        assert_eq!(released.lease_transitions, Some(5));
    }

    #[test]
    fn leadership_ends_with_the_renew_deadline_not_with_the_lease() {
        let timing = Timing::of(LEASE);
        let times = [timing.lease, timing.renew_deadline, timing.retry];
        assert_eq!(times.map(|time| time.as_secs()), [15, 10, 2]);
        let leadership = Leadership::none(timing);
        assert!(!leadership.valid());
        leadership.set(Some(Instant::now()));
        assert!(leadership.valid());
        leadership.set(Instant::now().checked_sub(Duration::from_secs(10)));
        assert!(!leadership.valid());
    }
}
