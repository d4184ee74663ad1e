//! What is remembered of all groups, with what is looked up in it: what has
//! changed since when, what waits for AWS, what is to be read again. All of it
//! is kept up to date from change to change, so that no look goes over all
//! groups.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::belief::Belief;
use super::merge::Stamps;
use super::schedule::Schedule;
use super::shared::Shared;
use crate::model::changes::Changes;
use crate::model::group::GroupId;
use crate::model::spec::{Arn, LoadBalancerState, Observed};

/// One group.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    /// Shared with whoever works with it; never the same after a change.
    pub(super) observed: Arc<Observed>,
    /// When the last read of everything began; `None` while only a listing
    /// is known.
    pub(super) read: Option<Instant>,
    /// Since when what is remembered may be wrong.
    pub(super) doubt: Option<Instant>,
    /// Listeners, rules and targets were not read: the group's record says
    /// that they are as wished.
    pub(super) belief: Option<Belief>,
    pub(super) stamps: Stamps,
    /// Held while it is read, so that all who want it share the read.
    pub(super) reading: Arc<Shared>,
}

impl Remembered {
    pub(super) fn is_sure(&self) -> bool {
        self.read.is_some() && self.doubt.is_none() && self.belief.is_none()
    }

    /// Everything was read, after a listing that began at `listed`.
    pub(super) fn was_read(&mut self, begun: Instant, listed: Option<Instant>) {
        self.read = Some(begun);
        self.doubt = self.doubt.filter(|doubt| {
            // A doubt is answered by a listing that began after it.
            listed.is_none_or(|listed| listed <= *doubt)
        });
        self.belief = None;
    }

    /// When it was last read, where it is to be read again in the background:
    /// it is known or believed, and there is something. What is in doubt is
    /// read by whoever wants it.
    fn settled(&self) -> Option<Instant> {
        let observed = &self.observed;
        let is_there = !(observed.load_balancers.is_empty() && observed.target_groups.is_empty());
        self.read.filter(|_| self.doubt.is_none() && is_there)
    }
}

fn is_provisioning(observed: &Observed) -> bool {
    let mut lbs = observed.load_balancers.iter();
    lbs.any(|lb| lb.state == LoadBalancerState::Provisioning)
}

/// All groups.
#[derive(Debug)]
pub(super) struct Known {
    groups: BTreeMap<GroupId, Remembered>,
    /// When something else was observed of which group.
    changes: Changes<GroupId>,
    /// Groups with a load balancer that was provisioning when last seen.
    provisioning: BTreeSet<GroupId>,
    /// When what is read again.
    pub(super) schedule: Schedule,
}

impl Known {
    /// Nothing is known.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            groups: BTreeMap::new(),
            changes: Changes::default(),
            provisioning: BTreeSet::new(),
            schedule,
        }
    }

    /// What is remembered of a group.
    pub fn get(&self, group: &GroupId) -> Option<&Remembered> {
        self.groups.get(group)
    }

    /// Whether something is remembered of a group.
    pub fn contains_key(&self, group: &GroupId) -> bool {
        self.groups.contains_key(group)
    }

    /// All groups.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupId, &Remembered)> {
        self.groups.iter()
    }

    /// All groups.
    pub fn keys(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.keys()
    }

    /// What is remembered of all groups.
    pub fn values(&self) -> impl Iterator<Item = &Remembered> {
        self.groups.values()
    }

    /// Changes what is remembered of a group, of which nothing need be known.
    pub fn change<T>(&mut self, group: &GroupId, change: impl FnOnce(&mut Remembered) -> T) -> T {
        self.change_or(group, Remembered::default, change)
    }

    /// As [`Known::change`], with what to begin with where nothing is known.
    pub fn change_or<T>(
        &mut self,
        group: &GroupId,
        unknown: impl FnOnce() -> Remembered,
        change: impl FnOnce(&mut Remembered) -> T,
    ) -> T {
        let (before, made) = match self.groups.entry(group.clone()) {
            Entry::Vacant(place) => {
                let made = change(place.insert(unknown()));
                (Remembered::default(), made)
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                let before = Remembered {
                    observed: Arc::clone(&known.observed),
                    read: known.read,
                    doubt: known.doubt,
                    ..Remembered::default()
                };
                (before, change(known))
            }
        };
        self.look(group, &before);
        made
    }

    /// Keeps the groups for which this holds.
    pub fn retain(&mut self, mut stays: impl FnMut(&Remembered) -> bool) {
        let gone = self.groups.extract_if(.., |_, known| !stays(known));
        for (group, before) in gone.collect::<Vec<_>>() {
            self.look(&group, &before);
        }
    }

    /// Takes in that a group is not as it was before.
    fn look(&mut self, group: &GroupId, before: &Remembered) {
        let nothing = Remembered::default();
        let now = self.groups.get(group).unwrap_or(&nothing);
        let is_same = Arc::ptr_eq(&before.observed, &now.observed)
            || (before.observed.is_empty() && now.observed.is_empty());
        let is_other = !is_same;
        if is_other {
            self.changes.note(group, self.groups.len());
            if is_provisioning(&now.observed) {
                self.provisioning.insert(group.clone());
            } else {
                self.provisioning.remove(group);
            }
        }
        let (was_read, is_read) = (before.settled(), now.settled());
        if is_other || was_read != is_read {
            let arns = |of: &Remembered| -> BTreeSet<Arn> {
                let settled = of.settled().map(|_| &of.observed.target_groups);
                settled
                    .into_iter()
                    .flatten()
                    .map(|live| live.arn.clone())
                    .collect()
            };
            self.schedule
                .know(group, is_read, &arns(before), &arns(now));
        }
    }

    /// The last change of what is observed.
    pub fn last_change(&self) -> u64 {
        self.changes.last()
    }

    /// The groups of which something else is observed than at this change;
    /// `None` where that cannot be told.
    pub fn changed_since(&self, change: u64) -> Option<BTreeSet<GroupId>> {
        Some(self.changes.since(change)?.cloned().collect())
    }

    /// Groups with a load balancer that was provisioning when last seen.
    pub fn provisioning(&self) -> &BTreeSet<GroupId> {
        &self.provisioning
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::Periods;
    use super::super::tests::target_group;
    use super::*;
    use crate::model::spec::LiveTargetGroup;
    use crate::report::tests::live;

    /// What is made of a group.
    #[derive(Clone, Debug)]
    struct Step {
        group: u8,
        /// States of load balancers: whether they are being provisioned.
        load_balancers: Vec<bool>,
        target_groups: BTreeSet<u8>,
        is_read: bool,
        is_doubtful: bool,
        /// The observed is left as it is.
        is_same: bool,
    }

    fn step() -> impl Strategy<Value = Step> {
        let load_balancers = prop::collection::vec(any::<bool>(), 0..3);
        let target_groups = prop::collection::btree_set(0..4_u8, 0..3);
        let flags = any::<(bool, bool, bool)>();
        (0..5_u8, load_balancers, target_groups, flags).prop_map(
            |(group, load_balancers, target_groups, (is_read, is_doubtful, is_same))| Step {
                group,
                load_balancers,
                target_groups,
                is_read,
                is_doubtful,
                is_same,
            },
        )
    }

    fn observed(step: &Step) -> Observed {
        let lbs = step.load_balancers.iter().map(|is_provisioning| {
            if *is_provisioning {
                live(LoadBalancerState::Provisioning)
            } else {
                live(LoadBalancerState::Active)
            }
        });
        let tgs = step.target_groups.iter().map(|name| LiveTargetGroup {
            arn: Arn(format!("{} {name}", step.group)),
            spec: target_group("shop/web:80"),
            targets: BTreeSet::new(),
        });
        Observed {
            load_balancers: lbs.flat_map(|observed| observed.load_balancers).collect(),
            target_groups: tgs.collect(),
            security_groups: Vec::new(),
        }
    }

    fn schedule(now: Instant) -> Schedule {
        let hour = Some(Duration::from_hours(1));
        let periods = Periods {
            fast: None,
            tag: None,
            slow: hour,
            target: hour,
            network: None,
        };
        Schedule::new(periods, now, 1)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_looked_up_is_what_a_look_at_all_finds(
            steps in prop::collection::vec(prop_oneof![9 => step().prop_map(Some), 1 => Just(None)], 1..30)
        ) {
            let now = Instant::now();
            let mut known = Known::new(schedule(now));
            let mut seen = known.last_change();
            for step in steps {
                let before: BTreeMap<GroupId, Arc<Observed>> = known
                    .iter()
                    .map(|(group, known)| (group.clone(), Arc::clone(&known.observed)))
                    .collect();
                match step {
                    Some(step) => {
                        let group = GroupId::Explicit(step.group.to_string());
                        known.change(&group, |known| {
                            known.read = step.is_read.then_some(now);
                            known.doubt = step.is_doubtful.then_some(now);
                            if !step.is_same {
                                known.observed = Arc::new(observed(&step));
                            }
                        });
                    }
                    None => known.retain(|known| known.read.is_some()),
                }
                let mut others = BTreeSet::new();
                for (group, before) in &before {
                    let after = known.get(group).map(|known| Arc::clone(&known.observed));
                    let after = after.unwrap_or_default();
                    if !Arc::ptr_eq(before, &after) && *before != after {
                        others.insert(group.clone());
                    }
                }
                let new = known.iter().filter(|(group, known)| {
                    !before.contains_key(*group) && !known.observed.is_empty()
                });
                others.extend(new.map(|(group, _)| group.clone()));
                let told = known.changed_since(seen).unwrap_or_default();
                prop_assert!(others.is_subset(&told), "{:?} and {:?}", others, told);
                prop_assert!(told.len() <= 5);
                seen = known.last_change();
                let provisioning = known.iter().filter(|(_, known)| is_provisioning(&known.observed));
                prop_assert!(provisioning.map(|(group, _)| group).eq(known.provisioning()));
                let settled = known.iter().filter(|(_, known)| known.settled().is_some());
                let settled: Vec<_> = settled.collect();
                let groups: BTreeSet<&GroupId> = settled.iter().map(|(group, _)| *group).collect();
                prop_assert_eq!(known.schedule.groups(), groups);
                let arns = settled.iter().flat_map(|(_, known)| &known.observed.target_groups);
                let arns: BTreeSet<&Arn> = arns.map(|live| &live.arn).collect();
                prop_assert_eq!(known.schedule.target_groups(), arns);
            }
        }
    }

    #[test]
    fn of_many_groups_the_one_that_changed_is_told() {
        let mut known = Known::new(schedule(Instant::now()));
        let group = |number: usize| GroupId::Explicit(number.to_string());
        let there = |known: &mut Remembered| {
            known.observed = Arc::new(live(LoadBalancerState::Active));
        };
        for number in 0..100 {
            known.change(&group(number), there);
        }
        let seen = known.last_change();
        known.change(&group(7), |known| known.doubt = Some(Instant::now()));
        assert_eq!(known.changed_since(seen), Some(BTreeSet::new()));
        known.change(&group(7), there);
        assert_eq!(known.changed_since(seen), Some([group(7)].into()));
        known.retain(|known| known.doubt.is_some());
        assert_eq!(known.changed_since(seen).map(|all| all.len()), Some(100));
    }
}
