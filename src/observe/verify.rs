//! Background verification: with few calls, spread over time, it finds what
//! somebody else changed.
//!
//! Once in an interval the account listing and the facts are read again; and
//! one group at a time is read in full, so that all have been within an
//! interval.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::merge;
use super::{Memory, Scope, lock};
use crate::aws::Error;
use crate::model::facts::{Facts, KnownSecurityGroup, Subnet};
use crate::model::group::GroupId;
use crate::model::ownership;

/// What is to be planned again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Groups of which AWS holds something else than was remembered.
    pub groups: BTreeSet<GroupId>,
    /// Groups of which AWS refused something so long ago that it is tried
    /// again.
    pub expired: BTreeSet<GroupId>,
    /// The shared backend security group.
    pub backend: bool,
    /// All groups, for what they choose from has changed: subnets, or
    /// security groups of others.
    pub facts: bool,
}

impl Drift {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.expired.is_empty() && !self.backend && !self.facts
    }
}

/// When the next passes are due.
#[derive(Debug)]
pub(super) struct Schedule {
    listing: Instant,
    group: Instant,
}

impl Schedule {
    pub(super) fn new(scope: &Scope, now: Instant) -> Self {
        let first = now + scope.first_verification;
        Self {
            listing: first,
            group: first,
        }
    }
}

/// Whether decisions come out the same; free addresses in subnets come and go,
/// and so do security groups that this very cluster makes.
fn same_facts(cluster: &str, a: &Facts, b: &Facts) -> bool {
    let subnets = |facts: &Facts| {
        let subnets = facts.subnets.iter().map(|s| Subnet {
            available_addresses: 0,
            ..s.clone()
        });
        subnets.collect::<Vec<_>>()
    };
    let of_others = |facts: &Facts| -> BTreeMap<String, KnownSecurityGroup> {
        let groups = facts.security_groups.iter();
        let is_ours = |group: &KnownSecurityGroup| {
            let of = group.tags.get(ownership::CLUSTER_TAG);
            of.is_some_and(|of| of == cluster)
        };
        groups
            .filter(|(_, group)| !is_ours(group))
            .map(|(id, group)| (id.clone(), group.clone()))
            .collect()
    };
    a.vpc_cidrs == b.vpc_cidrs && of_others(a) == of_others(b) && subnets(a) == subnets(b)
}

/// A pass that failed is tried again after this.
const RETRY: Duration = Duration::from_mins(1);
/// A full read of one group comes no sooner than this after the one before.
const LEAST_SPACING: Duration = Duration::from_secs(1);

impl Memory {
    /// Does what is due, at most one pass; call it every second or so.
    /// Answers what has drifted and must be planned again.
    pub async fn verify_tick(&self, now: Instant) -> Result<Drift, Error> {
        let mut drift = Drift {
            expired: self.expire_verdicts(now),
            ..Drift::default()
        };
        let (listing, group) = {
            let schedule = lock(&self.schedule);
            (schedule.listing <= now, schedule.group <= now)
        };
        if listing {
            // Moved on only when it succeeds; until then it is tried again.
            lock(&self.schedule).listing = now + RETRY;
            self.list_since(Some(Instant::now())).await?;
            let before = self.facts().await?;
            let after = self.read_facts(Some(Instant::now())).await?;
            drift.facts = !same_facts(&self.scope.cluster, &before, &after);
            lock(&self.schedule).listing = now + self.scope.verify_interval;
        } else if group {
            self.verify_one(now).await?;
        }
        drift
            .groups
            .extend(std::mem::take(&mut lock(&self.groups).drifted));
        drift.backend = self.take_backend_drift();
        Ok(drift)
    }

    /// Reads the group in full whose last full read is the oldest, if that is
    /// an interval ago.
    async fn verify_one(&self, now: Instant) -> Result<(), Error> {
        let interval = self.scope.verify_interval;
        let (oldest, spacing) = {
            let groups = lock(&self.groups);
            let count = u32::try_from(groups.known.len()).unwrap_or(u32::MAX).max(1);
            let oldest = groups
                .known
                .iter()
                .filter(|(_, known)| known.doubt.is_none())
                .filter_map(|(group, known)| Some((known.read?, group)))
                .min()
                .filter(|(read, _)| *read + interval <= now)
                .map(|(_, group)| group.clone());
            (oldest, (interval / count).max(LEAST_SPACING))
        };
        lock(&self.schedule).group = now + spacing;
        let Some(group) = oldest else {
            return Ok(());
        };
        let remembered = |groups: &super::Groups| {
            groups
                .known
                .get(&group)
                .map(|known| known.observed.clone())
                .unwrap_or_default()
        };
        let before = remembered(&lock(&self.groups));
        let believed = self.is_believed(&group);
        if !self.read_group(&group, &BTreeSet::new()).await? {
            // Whose some of it is, the next look at the group finds out.
            self.mark_stale(&group);
        }
        let mut groups = lock(&self.groups);
        let after = remembered(&groups);
        let same = if believed {
            // What was believed has ARNs of its own.
            merge::same_settings(&before, &after)
        } else {
            merge::same(&before, &after)
        };
        if !same {
            groups.drifted.insert(group);
        }
        Ok(())
    }
}
