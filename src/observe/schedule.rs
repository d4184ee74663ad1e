//! When which tier of verification is due.
//!
//! Pure: the time comes in as an argument. A pass over the whole account comes
//! once in its period. Of what is read one by one, the one whose last look is
//! the longest ago comes next, so many in a period as there are, so that all
//! come in every period and none at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::group::GroupId;
use crate::model::spec::Arn;

/// What is read again in the background, each at its own pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The listing of load balancers, target groups and security groups.
    Fast,
    /// Tags of all that carries the cluster's.
    Tag,
    /// Listeners, rules and certificates of one group.
    Slow,
    /// Targets of one target group.
    Target,
    /// Ranges of the VPC, its subnets, their routes and zones.
    Network,
}

impl Tier {
    /// The name in logs, metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Tag => "tag",
            Self::Slow => "slow",
            Self::Target => "target",
            Self::Network => "network",
        }
    }
}

/// How often each tier has read everything; `None` switches it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// The listing.
    pub fast: Option<Duration>,
    /// Tags.
    pub tag: Option<Duration>,
    /// Listeners, rules and certificates of all groups.
    pub slow: Option<Duration>,
    /// Targets of all target groups that did not change lately.
    pub target: Option<Duration>,
    /// VPC and subnets.
    pub network: Option<Duration>,
}

/// A pass that failed is tried again after this, or after its period if that
/// is shorter.
const RETRY: Duration = Duration::from_mins(1);
/// One after the other come no sooner than this, however many there are: so
/// verification keeps to one call a second.
const LEAST_SPACING: Duration = Duration::from_secs(1);
/// The same for target groups that changed lately.
const SOON_SPACING: Duration = Duration::from_secs(2);
/// When a target group that this process has changed is looked at, after the
/// change and then after each look: no sooner than what AWS shows is believed
/// over our own write. After the last it is one of those that are idle.
const SOON: [Duration; 3] = [
    Duration::from_secs(61),
    Duration::from_mins(8),
    Duration::from_hours(1),
];

/// A pass over everything.
#[derive(Debug)]
struct Pass {
    period: Option<Duration>,
    due: Instant,
}

impl Pass {
    /// Whether it is due; it counts as tried then.
    fn begin(&mut self, now: Instant) -> bool {
        let Some(period) = self.period.filter(|_| self.due <= now) else {
            return false;
        };
        self.due = now + RETRY.min(period);
        true
    }

    fn done(&mut self, begun: Instant) {
        if let Some(period) = self.period {
            self.due = begun + period;
        }
    }
}

/// Things that are looked at one by one.
#[derive(Debug)]
struct Round<K> {
    period: Option<Duration>,
    /// The next comes no sooner than this.
    due: Instant,
    /// When each was last looked at.
    looked: BTreeMap<K, Instant>,
    /// Sets the order of those that were never looked at, which is another one
    /// in each process: who restarts often does not see the same few only.
    seed: u64,
}

impl<K: Clone + Ord + std::hash::Hash> Round<K> {
    fn new(period: Option<Duration>, due: Instant, seed: u64) -> Self {
        Self {
            period,
            due,
            looked: BTreeMap::new(),
            seed,
        }
    }

    /// The next of those that there are, if one is due. `known` are those with
    /// the time of their last read for whatever reason.
    fn next(&mut self, known: &[(&K, Instant)], now: Instant) -> Option<K> {
        let period = self.period.filter(|_| self.due <= now)?;
        if self.looked.len() > known.len() {
            let there: BTreeSet<&K> = known.iter().map(|(key, _)| *key).collect();
            self.looked.retain(|key, _| there.contains(key));
        }
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX).max(1);
        let spacing = (period / count).max(LEAST_SPACING);
        // Who asks a little late does not make the round longer.
        self.due = Some(self.due + spacing)
            .filter(|next| *next > now)
            .unwrap_or(now + spacing);
        let place = |key: &K| {
            let mut hasher = DefaultHasher::new();
            (self.seed, key).hash(&mut hasher);
            hasher.finish()
        };
        let last = |key: &K, read: Instant| {
            let looked = self.looked.get(key);
            looked.map_or(read, |looked| read.max(*looked))
        };
        let all = known.iter();
        let all = all.map(|(key, read)| (last(key, *read), place(key), *key));
        let (read, _, key) = all.min()?;
        // Each was read a moment ago maybe.
        if read + spacing > now {
            return None;
        }
        let key = key.clone();
        self.looked.insert(key.clone(), now);
        Some(key)
    }
}

/// A target group that changed lately.
#[derive(Debug)]
struct Soon {
    due: Instant,
    /// Looks since the change.
    looks: usize,
}

/// When what is due next.
#[derive(Debug)]
pub(super) struct Schedule {
    fast: Pass,
    tag: Pass,
    network: Pass,
    groups: Round<GroupId>,
    targets: Round<Arn>,
    /// Target groups that this process has changed.
    soon: BTreeMap<Arn, Soon>,
    /// The next of those comes no sooner than this.
    soon_due: Instant,
}

impl Schedule {
    /// Nothing is due before `first`. `seed` sets the order of what is read
    /// one by one.
    pub fn new(periods: Periods, first: Instant, seed: u64) -> Self {
        let pass = |period| Pass { period, due: first };
        Self {
            fast: pass(periods.fast),
            tag: pass(periods.tag),
            network: pass(periods.network),
            groups: Round::new(periods.slow, first, seed),
            targets: Round::new(periods.target, first, seed),
            soon: BTreeMap::new(),
            soon_due: first,
        }
    }

    /// The pass over everything that is due, if any: tried again soon unless
    /// it is said to be [done](Self::done).
    pub fn next_pass(&mut self, now: Instant) -> Option<Tier> {
        let mut passes = [
            (Tier::Fast, &mut self.fast),
            (Tier::Network, &mut self.network),
            (Tier::Tag, &mut self.tag),
        ];
        // Who waits longest comes first, so that a short period starves nobody.
        passes.sort_by_key(|(_, pass)| pass.due);
        let mut passes = passes.into_iter();
        passes.find_map(|(tier, pass)| pass.begin(now).then_some(tier))
    }

    /// A pass that began then has succeeded.
    pub fn done(&mut self, tier: Tier, begun: Instant) {
        match tier {
            Tier::Fast => self.fast.done(begun),
            Tier::Tag => self.tag.done(begun),
            Tier::Network => self.network.done(begun),
            Tier::Slow | Tier::Target => {}
        }
    }

    /// The group whose inside is to be read now, if any. `known` are the
    /// groups, each with the time of its last full read.
    pub fn next_group(&mut self, known: &[(&GroupId, Instant)], now: Instant) -> Option<GroupId> {
        self.groups.next(known, now)
    }

    /// Whether a group, or a target group, may be due: `known` is worth being
    /// made.
    pub fn is_round_due(&self, now: Instant) -> bool {
        let due = |period: Option<Duration>, due: Instant| period.is_some() && due <= now;
        due(self.groups.period, self.groups.due)
            || due(self.targets.period, self.targets.due)
            || self.is_soon_due(now)
    }

    fn is_soon_due(&self, now: Instant) -> bool {
        self.soon_due <= now && self.soon.values().any(|soon| soon.due <= now)
    }

    /// The target group whose targets are to be read now, if any: first those
    /// that changed lately, then all in turn. `known` are all, each with the
    /// time of the last full read of its group.
    pub fn next_targets(&mut self, known: &[(&Arn, Instant)], now: Instant) -> Option<Arn> {
        if self.is_soon_due(now) {
            let there: BTreeSet<&Arn> = known.iter().map(|(arn, _)| *arn).collect();
            self.soon.retain(|arn, _| there.contains(arn));
            let due = self.soon.iter().filter(|(_, soon)| soon.due <= now);
            let first = due.min_by_key(|(arn, soon)| (soon.due, (*arn).clone()));
            if let Some(arn) = first.map(|(arn, _)| arn.clone()) {
                self.soon_due = now + SOON_SPACING;
                self.look_later(&arn, now);
                self.targets.looked.insert(arn.clone(), now);
                return Some(arn);
            }
        }
        self.targets.next(known, now)
    }

    /// A target group that changed is looked at once more, later.
    fn look_later(&mut self, arn: &Arn, now: Instant) {
        let Some(soon) = self.soon.get_mut(arn) else {
            return;
        };
        soon.looks += 1;
        match SOON.get(soon.looks) {
            Some(pause) => soon.due = now + *pause,
            None => {
                self.soon.remove(arn);
            }
        }
    }

    /// This process has changed the targets of a target group.
    pub fn changed(&mut self, arn: &Arn, now: Instant) {
        if self.targets.period.is_none() {
            return;
        }
        let soon = Soon {
            due: now + SOON[0],
            looks: 0,
        };
        self.soon.insert(arn.clone(), soon);
    }
}

#[cfg(test)]
mod tests;
