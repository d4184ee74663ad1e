//! Rate limits of AWS calls: token buckets shaped like those of AWS, so that
//! the controller waits here and not in AWS's throttle, and in an order of its
//! own choice.
//!
//! Who waits is served by lane; within a lane all runs in turn. What low lanes
//! may take is bounded:
//!
//! * a part of each read bucket is left to lanes where somebody waits, and
//!   verification takes from a bucket that is at least half full only;
//! * while a run of such a lane is under way, the others make one call at a
//!   time;
//! * so that nobody starves, one token in ten goes to whoever waits longest
//!   (verification aside, which may wait).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lane::{self, Lane, Turn};

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
    /// Resource Groups Tagging API: everything.
    Tagging,
}

impl Bucket {
    fn is_of_reads(self) -> bool {
        matches!(
            self,
            Self::ElbRead | Self::Ec2Read | Self::Route53 | Self::Tagging
        )
    }
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
    /// others of the account have a share. For the tagging API there is none.
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
            (Bucket::Tagging, rate(10.0, 5.0)),
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
    now: Mutex<UnderWay>,
    /// A token, or a place, may have become free.
    changed: Notify,
}

/// What is under way.
#[derive(Debug, Default)]
struct UnderWay {
    /// Runs that somebody may wait for, or come to.
    runs: BTreeMap<u64, Turn>,
    /// Calls of lanes that nobody waits for.
    background: usize,
}

impl UnderWay {
    /// Whether low lanes make one call at a time.
    fn is_live(&self) -> bool {
        self.runs.values().any(|turn| turn.lane().is_live())
    }
}

#[derive(Debug)]
struct Level {
    full: Rate,
    reads: bool,
    /// What is refilled now: halved by each throttle, growing back.
    per_second: f64,
    /// Negative after retries that nobody could ask for.
    tokens: f64,
    at: Instant,
    waiting: BTreeSet<Waiting>,
    /// Waiters so far.
    came: u64,
    /// Tokens taken past somebody who came earlier.
    passed: u32,
}

/// A place in the order of those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    lane: Lane,
    /// How many calls of its run waited already when it came.
    nth: usize,
    came: u64,
    run: u64,
}

/// Seconds in which a rate that was cut grows back by the full rate.
const RECOVERY_SECONDS: f64 = 60.0;
/// A throttled bucket keeps at least this share of its rate.
const LEAST_SHARE: f64 = 0.1;
/// Of a read bucket, this share is left to those that somebody waits for.
const LIVE_SHARE: f64 = 0.2;
/// Verification takes only from a bucket that is fuller than this.
const VERIFICATION_SHARE: f64 = 0.5;
/// After so many tokens that passed somebody by, one goes to whoever waits
/// longest.
const PASSED_AT_MOST: u32 = 9;

impl Level {
    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.full.burst);
        let grown = self.per_second + self.full.per_second * elapsed / RECOVERY_SECONDS;
        self.per_second = grown.min(self.full.per_second);
    }

    fn charge(&mut self, now: Instant) {
        self.refill(now);
        self.tokens -= 1.0;
    }

    fn slow_down(&mut self, now: Instant) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        self.per_second = (self.per_second / 2.0).max(self.full.per_second * LEAST_SHARE);
    }

    fn enter(&mut self, run: u64, lane: Lane) -> Waiting {
        let same = |w: &&Waiting| w.run == run && w.lane == lane;
        let place = Waiting {
            lane,
            nth: self.waiting.iter().filter(same).count(),
            came: self.came,
            run,
        };
        self.came += 1;
        self.waiting.insert(place);
        place
    }

    /// Who has waited longest of those that must not starve, once it was
    /// passed by often enough.
    fn passed_by(&self) -> Option<Waiting> {
        let may_wait = |w: &&Waiting| w.lane == Lane::Verification;
        let patient = self.waiting.iter().filter(|w| !may_wait(w));
        (self.passed >= PASSED_AT_MOST)
            .then(|| patient.min_by_key(|w| w.came).copied())
            .flatten()
    }

    /// What must be in the bucket for a call of this lane.
    fn least(&self, lane: Lane) -> f64 {
        let kept = match lane {
            Lane::Verification => VERIFICATION_SHARE,
            Lane::Pending | Lane::Creation | Lane::Restart if self.reads => LIVE_SHARE,
            _ => 0.0,
        };
        1.0 + kept * (self.full.burst - 1.0).max(0.0)
    }

    /// Takes a token if it is this one's turn and there is one; else says how
    /// long to wait for it, or `None` for those that are in front.
    ///
    /// `held` are low lanes as a whole; who was passed by is not preferred then,
    /// for all would wait for what holds it.
    fn take(&mut self, place: Waiting, held: bool, now: Instant) -> Result<(), Option<Duration>> {
        self.refill(now);
        let preferred = if held { None } else { self.passed_by() };
        let next = preferred.or_else(|| self.waiting.first().copied());
        if next != Some(place) {
            return Err(None);
        }
        let least = match preferred {
            Some(_) => 1.0,
            None => self.least(place.lane),
        };
        let missing = least - self.tokens;
        // Sums of parts of tokens are not exact.
        if missing > 1e-9 {
            return Err(Some(Duration::from_secs_f64(missing / self.per_second)));
        }
        self.tokens -= 1.0;
        self.waiting.remove(&place);
        let earlier = |w: &Waiting| w.came < place.came && w.lane != Lane::Verification;
        self.passed = if self.waiting.iter().any(earlier) {
            self.passed + 1
        } else {
            0
        };
        Ok(())
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Permit<'a> {
    limits: &'a Limits,
    is_background: bool,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_background {
            self.limits.under_way().background -= 1;
            self.limits.changed.notify_waiters();
        }
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Run<'a> {
    limits: &'a Limits,
    number: u64,
    /// What was said of the run before.
    before: Option<Turn>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let mut under_way = self.limits.under_way();
        match self.before.take() {
            Some(turn) => under_way.runs.insert(self.number, turn),
            None => under_way.runs.remove(&self.number),
        };
        drop(under_way);
        self.limits.changed.notify_waiters();
    }
}

/// A place among those that wait; given up when the caller gives up.
struct Place<'a> {
    limits: &'a Limits,
    bucket: Bucket,
    waiting: Option<Waiting>,
}

impl Place<'_> {
    /// Comes to wait, or waits in another lane from now on.
    fn move_to(&mut self, run: u64, lane: Lane) {
        if self.waiting.is_none_or(|waiting| waiting.lane != lane) {
            let left = self.waiting.take();
            self.waiting = self.limits.with(self.bucket, |level| {
                if let Some(left) = left {
                    level.waiting.remove(&left);
                }
                level.enter(run, lane)
            });
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting {
            self.limits
                .with(self.bucket, |level| level.waiting.remove(&waiting));
            self.limits.changed.notify_waiters();
        }
    }
}

impl Limits {
    /// Full buckets.
    pub fn new(rates: &Rates) -> Self {
        let at = Instant::now();
        let level = |bucket: &Bucket, full: &Rate| {
            Mutex::new(Level {
                full: *full,
                reads: bucket.is_of_reads(),
                per_second: full.per_second,
                tokens: full.burst,
                at,
                waiting: BTreeSet::new(),
                came: 0,
                passed: 0,
            })
        };
        Self {
            buckets: rates.0.iter().map(|(b, r)| (*b, level(b, r))).collect(),
            now: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Waits until a call may be made; it is under way until the permit is
    /// dropped. How long, depends on the lane of the caller.
    pub async fn take(&self, bucket: Bucket) -> Permit<'_> {
        let mut turn = lane::turn();
        let mut place = Place {
            limits: self,
            bucket,
            waiting: None,
        };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let wait = match self.attempt(&mut place, &turn, Instant::now()) {
                Ok(permit) => return permit,
                Err(wait) => wait.unwrap_or(Duration::MAX),
            };
            tokio::select! {
                () = changed => {}
                () = turn.promoted() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn attempt<'a>(
        &'a self,
        place: &mut Place<'a>,
        turn: &Turn,
        now: Instant,
    ) -> Result<Permit<'a>, Option<Duration>> {
        let lane = turn.lane();
        place.move_to(turn.run(), lane);
        let mut under_way = self.under_way();
        let held = under_way.background > 0 && under_way.is_live();
        if held && !lane.is_live() {
            return Err(None);
        }
        if let Some(waiting) = place.waiting {
            self.with(place.bucket, |level| level.take(waiting, held, now))
                .unwrap_or(Ok(()))?;
            place.waiting = None;
        }
        if !lane.is_live() {
            under_way.background += 1;
        }
        drop(under_way);
        // The next in the order.
        self.changed.notify_waiters();
        Ok(Permit {
            limits: self,
            is_background: !lane.is_live(),
        })
    }

    /// Says that this run is under way, until what is answered is dropped:
    /// while somebody waits for it, the calls of low lanes make way. Of a part
    /// of a run it can be said otherwise meanwhile.
    pub fn begin(&self, turn: &Turn) -> Run<'_> {
        let before = self.under_way().runs.insert(turn.run(), turn.clone());
        // Who waits behind it may go on if it is less urgent than before.
        self.changed.notify_waiters();
        Run {
            limits: self,
            number: turn.run(),
            before,
        }
    }

    /// Charges a call that was made already (a retry inside the SDK).
    pub fn charge(&self, bucket: Bucket) {
        self.with(bucket, |level| level.charge(Instant::now()));
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

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
