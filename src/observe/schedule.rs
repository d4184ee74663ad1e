//! When which tier of verification is due.
//!
//! Pure: the time comes in as an argument. A pass over the whole account comes
//! once in its period. Of what is read one by one, the one whose last look is
//! the longest ago comes next, so many in a period as there are, so that all
//! come in every period and none at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
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

/// Things that are looked at one by one, kept in the order in which they come,
/// so that it costs the same however many there are.
#[derive(Debug)]
struct Round<K, V> {
    period: Option<Duration>,
    /// The next comes no sooner than this.
    due: Instant,
    /// All that there are.
    known: BTreeMap<Arc<K>, Placed<V>>,
    /// By the last look at each and its [place](Self::place).
    order: BTreeSet<(Instant, u64, Arc<K>)>,
    /// Sets the order of those that were never looked at, which is another one
    /// in each process: who restarts often does not see the same few only.
    seed: u64,
}

/// One of a round.
#[derive(Debug)]
struct Placed<V> {
    /// What it is of.
    of: V,
    /// When it was last read for another reason, as far as that is told.
    read: Instant,
    /// When it was last looked at in this round.
    looked: Option<Instant>,
}

impl<V> Placed<V> {
    fn last(&self) -> Instant {
        self.looked
            .map_or(self.read, |looked| self.read.max(looked))
    }
}

impl<K: Clone + Ord + std::hash::Hash, V: Clone> Round<K, V> {
    fn new(period: Option<Duration>, due: Instant, seed: u64) -> Self {
        Self {
            period,
            due,
            known: BTreeMap::new(),
            order: BTreeSet::new(),
            seed,
        }
    }

    fn place(&self, key: &K) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, key).hash(&mut hasher);
        hasher.finish()
    }

    /// There is this one, last read then.
    fn know(&mut self, key: &K, of: &V, read: Instant) {
        self.meet(key, of, read);
        self.change(key, |placed| placed.read = read);
    }

    /// There is this one; a new one was last read then. Nothing is kept of what
    /// is off.
    fn meet(&mut self, key: &K, of: &V, read: Instant) {
        if self.period.is_none() {
            return;
        }
        if self.known.contains_key(key) {
            self.change(key, |placed| placed.of = of.clone());
            return;
        }
        let place = self.place(key);
        let key = Arc::new(key.clone());
        let placed = Placed {
            of: of.clone(),
            read,
            looked: None,
        };
        self.order.insert((placed.last(), place, Arc::clone(&key)));
        self.known.insert(key, placed);
    }

    /// There is not this one any more.
    fn forget(&mut self, key: &K) {
        if let Some((key, placed)) = self.known.remove_entry(key) {
            let place = self.place(&key);
            self.order.remove(&(placed.last(), place, key));
        }
    }

    /// It is looked at now.
    fn look(&mut self, key: &K, now: Instant) {
        self.change(key, |placed| placed.looked = Some(now));
    }

    fn change(&mut self, key: &K, change: impl FnOnce(&mut Placed<V>)) {
        let place = self.place(key);
        let Some((key, _)) = self.known.get_key_value(key) else {
            return;
        };
        let key = Arc::clone(key);
        let Some(placed) = self.known.get_mut(&key) else {
            return;
        };
        let before = placed.last();
        change(placed);
        let after = placed.last();
        if before != after {
            self.order.remove(&(before, place, Arc::clone(&key)));
            self.order.insert((after, place, key));
        }
    }

    /// The next of those that there are, if one is due.
    fn next(&mut self, now: Instant) -> Option<(K, V)> {
        let period = self.period.filter(|_| self.due <= now)?;
        let count = u32::try_from(self.known.len()).unwrap_or(u32::MAX).max(1);
        let spacing = (period / count).max(LEAST_SPACING);
        // Who asks a little late does not make the round longer.
        self.due = Some(self.due + spacing)
            .filter(|next| *next > now)
            .unwrap_or(now + spacing);
        let (read, _, key) = self.order.first()?;
        // Each was read a moment ago maybe.
        if *read + spacing > now {
            return None;
        }
        let key = K::clone(key);
        let of = self.known.get(&key)?.of.clone();
        self.look(&key, now);
        Some((key, of))
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
    groups: Round<GroupId, ()>,
    targets: Round<Arn, Arc<GroupId>>,
    /// Target groups that this process has changed.
    soon: BTreeMap<Arc<Arn>, Soon>,
    /// Those by when they are due.
    soon_order: BTreeSet<(Instant, Arc<Arn>)>,
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
            soon_order: BTreeSet::new(),
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

    /// A group was last read then, with these target groups, as all that it has
    /// had ones until now; `None`: it is not to be read again.
    pub fn know(
        &mut self,
        group: &GroupId,
        read: Option<Instant>,
        before: &BTreeSet<Arn>,
        now: &BTreeSet<Arn>,
    ) {
        for gone in before.difference(now) {
            // It may have been found to be another group's.
            let placed = self.targets.known.get(gone);
            if placed.is_some_and(|placed| *placed.of == *group) {
                self.targets.forget(gone);
            }
        }
        let Some(read) = read else {
            self.groups.forget(group);
            return;
        };
        self.groups.know(group, &(), read);
        if self.targets.period.is_some() && !now.is_empty() {
            let of = Arc::new(group.clone());
            for arn in now {
                // A later read of the group may be one of its inside alone.
                self.targets.meet(arn, &of, read);
            }
        }
    }

    /// The group whose inside is to be read now, if any.
    pub fn next_group(&mut self, now: Instant) -> Option<GroupId> {
        self.groups.next(now).map(|(group, ())| group)
    }

    /// The target group whose targets are to be read now, if any, with its
    /// group: first those that changed lately, then all in turn.
    pub fn next_targets(&mut self, now: Instant) -> Option<(Arn, Arc<GroupId>)> {
        if self.soon_due <= now
            && let Some(next) = self.next_soon(now)
        {
            self.soon_due = now + SOON_SPACING;
            self.look_later(&next.0, now);
            self.targets.look(&next.0, now);
            return Some(next);
        }
        self.targets.next(now)
    }

    /// The first of those that changed lately and are due.
    fn next_soon(&mut self, now: Instant) -> Option<(Arn, Arc<GroupId>)> {
        loop {
            let (_, arn) = self.soon_order.first().filter(|(due, _)| *due <= now)?;
            if let Some(placed) = self.targets.known.get(arn) {
                return Some((Arn::clone(arn), Arc::clone(&placed.of)));
            }
            // It is gone, or in doubt and read by whoever wants it.
            let arn = Arc::clone(arn);
            self.take_soon(&arn);
        }
    }

    /// A target group that changed is looked at once more, later.
    fn look_later(&mut self, arn: &Arn, now: Instant) {
        let looks = self.take_soon(arn).map_or(0, |soon| soon.looks) + 1;
        if let Some(pause) = SOON.get(looks) {
            let due = now + *pause;
            self.put_soon(arn, Soon { due, looks });
        }
    }

    fn take_soon(&mut self, arn: &Arn) -> Option<Soon> {
        let (arn, soon) = self.soon.remove_entry(arn)?;
        self.soon_order.remove(&(soon.due, arn));
        Some(soon)
    }

    fn put_soon(&mut self, arn: &Arn, soon: Soon) {
        let known = self.targets.known.get_key_value(arn);
        let arn = known.map_or_else(|| Arc::new(arn.clone()), |(arn, _)| Arc::clone(arn));
        self.soon_order.insert((soon.due, Arc::clone(&arn)));
        self.soon.insert(arn, soon);
    }

    /// This process has changed the targets of a target group.
    pub fn changed(&mut self, arn: &Arn, now: Instant) {
        if self.targets.period.is_none() {
            return;
        }
        self.take_soon(arn);
        let due = now + SOON[0];
        self.put_soon(arn, Soon { due, looks: 0 });
    }

    /// The groups that are read again.
    #[cfg(test)]
    pub fn groups(&self) -> BTreeSet<&GroupId> {
        self.groups.known.keys().map(AsRef::as_ref).collect()
    }

    /// The target groups that are read again.
    #[cfg(test)]
    pub fn target_groups(&self) -> BTreeSet<&Arn> {
        self.targets.known.keys().map(AsRef::as_ref).collect()
    }
}

#[cfg(test)]
mod tests;
