//! Rate limits of AWS calls: token buckets shaped like those of AWS, so that
//! the controller waits here and not in AWS's throttle.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What AWS charges a call to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// ELBv2: all `Describe…`.
    ElbRead,
    /// ELBv2: writes that are not in one of the other two.
    ElbWrite,
    /// ELBv2: `RegisterTargets`, `DeregisterTargets`.
    ElbTargets,
    /// ELBv2: `CreateLoadBalancer`, `SetSubnets`.
    ElbHeavy,
    /// EC2: `Describe…`.
    Ec2Read,
    /// EC2: security groups and their rules.
    Ec2Write,
    /// EC2: tags.
    Ec2Tags,
    /// Route 53: everything.
    Route53,
}

/// Burst and refill of one bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Calls that may be made at once.
    pub burst: f64,
    /// Calls for each second after that.
    pub per_second: f64,
}

/// Rates of all buckets; a bucket without an entry is not limited.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(pub BTreeMap<Bucket, Rate>);

impl Rates {
    /// AWS's published numbers, Route 53 below its five a second so that
    /// others of the account have a share.
    pub fn standard() -> Self {
        let rate = |burst, per_second| Rate { burst, per_second };
        Self(BTreeMap::from([
            (Bucket::ElbRead, rate(200.0, 50.0)),
            (Bucket::ElbWrite, rate(20.0, 3.0)),
            (Bucket::ElbTargets, rate(20.0, 4.0)),
            (Bucket::ElbHeavy, rate(10.0, 0.2)),
            (Bucket::Ec2Read, rate(100.0, 20.0)),
            (Bucket::Ec2Write, rate(50.0, 5.0)),
            (Bucket::Ec2Tags, rate(100.0, 10.0)),
            (Bucket::Route53, rate(5.0, 3.0)),
        ]))
    }

    /// No limit at all, for an AWS that has none.
    pub fn unlimited() -> Self {
        Self(BTreeMap::new())
    }
}

/// The buckets of one account and region, shared by all calls of the process.
#[derive(Debug)]
pub struct Limits {
    buckets: BTreeMap<Bucket, Mutex<Level>>,
}

#[derive(Debug)]
struct Level {
    full: Rate,
    /// What is refilled now: halved by each throttle, growing back.
    per_second: f64,
    /// May be negative: calls that wait have taken their token already.
    tokens: f64,
    at: Instant,
}

/// Seconds in which a rate that was cut grows back by the full rate.
const RECOVERY_SECONDS: f64 = 60.0;
/// A throttled bucket keeps at least this share of its rate.
const LEAST_SHARE: f64 = 0.1;

impl Level {
    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.full.burst);
        let grown = self.per_second + self.full.per_second * elapsed / RECOVERY_SECONDS;
        self.per_second = grown.min(self.full.per_second);
    }

    /// Takes a token and says how long to wait for it.
    fn take(&mut self, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.per_second)
        }
    }

    fn slow_down(&mut self, now: Instant) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        self.per_second = (self.per_second / 2.0).max(self.full.per_second * LEAST_SHARE);
    }
}

impl Limits {
    /// Full buckets.
    pub fn new(rates: &Rates) -> Self {
        let at = Instant::now();
        let level = |full: &Rate| {
            Mutex::new(Level {
                full: *full,
                per_second: full.per_second,
                tokens: full.burst,
                at,
            })
        };
        Self {
            buckets: rates.0.iter().map(|(b, r)| (*b, level(r))).collect(),
        }
    }

    /// Waits until a call may be made. Callers are served in the order in
    /// which they came.
    pub async fn take(&self, bucket: Bucket) {
        let wait = self.with(bucket, |level| level.take(Instant::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Charges a call that was made already (a retry inside the SDK).
    pub fn charge(&self, bucket: Bucket) {
        self.with(bucket, |level| level.take(Instant::now()));
    }

    /// AWS throttled a call: the bucket is empty and refills at half the rate.
    pub fn throttled(&self, bucket: Bucket) {
        self.with(bucket, |level| level.slow_down(Instant::now()));
    }

    fn with<T>(&self, bucket: Bucket, f: impl FnOnce(&mut Level) -> T) -> Option<T> {
        let level = self.buckets.get(&bucket)?;
        let mut level = level.lock().unwrap_or_else(PoisonError::into_inner);
        Some(f(&mut level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(now: Instant) -> Level {
        let full = Rate {
            burst: 2.0,
            per_second: 4.0,
        };
        Level {
            full,
            per_second: full.per_second,
            tokens: full.burst,
            at: now,
        }
    }

    #[test]
    fn a_burst_is_free_and_the_rest_queues() {
        let now = Instant::now();
        let mut level = level(now);
        assert_eq!(level.take(now), Duration::ZERO);
        assert_eq!(level.take(now), Duration::ZERO);
        assert_eq!(level.take(now), Duration::from_millis(250));
        assert_eq!(level.take(now), Duration::from_millis(500));
    }

    #[test]
    fn a_throttle_halves_the_rate_and_it_grows_back() {
        let now = Instant::now();
        let mut level = level(now);
        level.slow_down(now);
        assert_eq!(level.take(now), Duration::from_millis(500));
        for _ in 0..10 {
            level.slow_down(now);
        }
        assert!((level.per_second - 0.4).abs() < 1e-9, "a tenth is kept");
        level.refill(now + Duration::from_mins(2));
        assert!((level.per_second - 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_bucket_without_a_rate_is_free() {
        let limits = Limits::new(&Rates::unlimited());
        limits.charge(Bucket::ElbHeavy);
        assert_eq!(limits.with(Bucket::ElbHeavy, |_| ()), None);
    }
}
