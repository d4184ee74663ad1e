//! Background verification: with few calls, spread over time, it finds what
//! somebody else changed, in tiers of different pace ([`Tier`]).
//!
//! All of it is made in the lowest lane, one call after the other, and is
//! called off for nobody: who wants what is being read waits for it, and makes
//! it as urgent as itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::found::{Found, differences};
use super::known::Remembered;
use super::merge::{self, Kind};
use super::schedule::Tier;
use super::{Groups, Memory, Names, elb, lock, tagging};
use crate::aws::{Class, Error};
use crate::model::group::GroupId;
use crate::model::ownership;
use crate::model::spec::{Arn, LiveTargetGroup, Observed, Tags};

/// What is to be planned again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Groups of which AWS holds something else than was remembered, and what.
    pub groups: BTreeMap<GroupId, BTreeSet<Found>>,
    /// Groups of which AWS refused something so long ago that it is tried
    /// again.
    pub expired: BTreeSet<GroupId>,
    /// The shared backend security group, or its rules on other groups.
    pub backend: bool,
    /// All groups, for what they choose from has changed: subnets, or
    /// security groups of others.
    pub facts: bool,
    /// What was read.
    pub read: Vec<Tier>,
    /// What could not be read, and why.
    pub failed: Vec<(Tier, Error)>,
}

impl Drift {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.expired.is_empty() && !self.backend && !self.facts
    }
}

impl Memory {
    /// Does what is due, of each kind at most one; call it every second or so.
    /// Answers what has drifted and must be planned again.
    pub async fn verify_tick(&self, now: Instant) -> Drift {
        let mut drift = Drift {
            expired: self.expire_verdicts(now),
            ..Drift::default()
        };
        let pass = lock(&self.groups).known.schedule.next_pass(now);
        if let Some(tier) = pass {
            let read = match tier {
                Tier::Tag => self.verify_tags().await,
                Tier::Network => self.read_network().await,
                _ => self.list_since(Some(Instant::now())).await,
            };
            if read.is_ok() {
                lock(&self.groups).known.schedule.done(tier, now);
            }
            drift.note(tier, read);
        }
        if let Some(group) = self.next_group(now) {
            drift.note(Tier::Slow, self.verify_inside(&group).await);
        }
        if let Some((arn, group)) = self.next_targets(now) {
            drift.note(Tier::Target, self.verify_targets(&arn, &group).await);
        }
        drift.groups = std::mem::take(&mut lock(&self.groups).drifted);
        drift.backend = self.take_backend_drift();
        drift.facts = self.take_facts_drift();
        drift
    }

    fn next_group(&self, now: Instant) -> Option<GroupId> {
        lock(&self.groups).known.schedule.next_group(now)
    }

    fn next_targets(&self, now: Instant) -> Option<(Arn, Arc<GroupId>)> {
        lock(&self.groups).known.schedule.next_targets(now)
    }

    /// Reads listeners, rules and certificates of a group, and targets that
    /// nobody has read yet.
    async fn verify_inside(&self, group: &GroupId) -> Result<(), Error> {
        let Some((before, belief)) = ({
            let groups = lock(&self.groups);
            let known = groups.known.get(group);
            known.map(|known| (known.observed.clone(), known.belief.clone()))
        }) else {
            return Ok(());
        };
        let others = belief.as_ref().map(|belief| &belief.other_targets);
        let arns = before.target_groups.iter().map(|live| &live.arn);
        let settled = arns.filter(|arn| others.is_none_or(|others| !others.contains(*arn)));
        let settled = settled.cloned().collect();
        if !self.read_group(group, &settled).await? {
            // Whose some of it is, the next look at the group finds out.
            self.mark_stale(group);
            lock(&self.groups).drifted.entry(group.clone()).or_default();
            return Ok(());
        }
        let mut groups = lock(&self.groups);
        let after = groups.known.get(group).map(|known| &known.observed);
        let after = after.cloned().unwrap_or_default();
        let found = if belief.is_some() {
            let (before, after) = (merge::with_places(&before), merge::with_places(&after));
            differences(Tier::Slow, &before, &after)
        } else {
            differences(Tier::Slow, &before, &after)
        };
        groups.drifted_by(group, found);
        Ok(())
    }

    /// Reads the targets of one target group.
    async fn verify_targets(&self, arn: &Arn, group: &GroupId) -> Result<(), Error> {
        let Some(live) = lock(&self.groups).target_group(arn, group) else {
            return Ok(());
        };
        let begun = Instant::now();
        let read = elb::targets(&self.aws, &live).await?;
        let mut groups = lock(&self.groups);
        if !groups.known.contains_key(group) {
            return Ok(());
        }
        let Some(read) = read else {
            // Nobody has listed the account since: all else is looked at too.
            groups.known.change(group, |known| {
                known.doubt.get_or_insert(begun);
            });
            let what = format!("target group {} is gone", live.spec.key.0);
            let kind = Kind::TargetGroup.as_str();
            let tier = Tier::Target;
            groups.drifted_by(group, BTreeSet::from([Found { tier, kind, what }]));
            return Ok(());
        };
        let found = groups.known.change(group, |known| {
            let before = Arc::clone(&known.observed);
            known.take_in_targets(arn, read.targets, begun);
            differences(Tier::Target, &before, &known.observed)
        });
        groups.drifted_by(group, found);
        Ok(())
    }

    /// Compares the tags of all that carries the cluster's with what is
    /// remembered. What lists them lags behind, so what differs is read.
    async fn verify_tags(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let cluster = &self.scope.cluster;
        let listed = tagging::resources(&self.aws, ownership::CLUSTER_TAG, cluster).await;
        let listed = match listed {
            Err(error) if error.class == Class::Denied => {
                if !self.tags_denied.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        "tags may not be listed: those of load balancers and target groups are \
                         read one by one"
                    );
                }
                None
            }
            listed => Some(listed?),
        };
        let doubtful = lock(&self.groups).other_tags(cluster, listed.as_ref(), begun);
        let mut moved = false;
        for chunk in doubtful.chunks(elb::CHUNK) {
            let read = elb::tags(&self.aws, chunk).await?;
            moved |= lock(&self.groups).take_in_tags(read);
        }
        if moved {
            let now = Some(Instant::now());
            self.list_with(now, &Names::default(), Tier::Tag).await?;
        }
        Ok(())
    }
}

impl Drift {
    fn note(&mut self, tier: Tier, read: Result<(), Error>) {
        match read {
            Ok(()) => self.read.push(tier),
            Err(error) => self.failed.push((tier, error)),
        }
    }
}

impl Remembered {
    /// Targets of one target group, as they were read. What this process wrote
    /// a moment ago stays.
    fn take_in_targets(
        &mut self,
        arn: &Arn,
        targets: BTreeSet<crate::model::spec::Target>,
        begun: Instant,
    ) {
        if self.stamps.beats(Kind::Targets, arn, begun) {
            return;
        }
        let differs = |live: &LiveTargetGroup| live.arn == *arn && live.targets != targets;
        let mut groups = self.observed.target_groups.iter();
        if let Some(place) = groups.position(differs) {
            Arc::make_mut(&mut self.observed).target_groups[place].targets = targets;
        }
        if let Some(belief) = &mut self.belief {
            belief.other_targets.remove(arn);
        }
    }
}

impl Remembered {
    /// Tags of listeners and rules, as they were read.
    fn take_in_tags_of_insides(&mut self, read: &BTreeMap<Arn, Tags>) {
        let lbs = Arc::make_mut(&mut self.observed).load_balancers.iter_mut();
        for listener in lbs.flat_map(|lb| lb.listeners.values_mut()) {
            if let Some(tags) = read.get(&listener.arn) {
                listener.spec.tags.clone_from(tags);
            }
            for rule in listener.rules.values_mut() {
                if let Some(tags) = read.get(&rule.arn) {
                    rule.spec.tags.clone_from(tags);
                }
            }
        }
    }
}

impl Groups {
    fn target_group(&self, arn: &Arn, group: &GroupId) -> Option<LiveTargetGroup> {
        let known = self.known.get(group)?;
        let mut live = known.observed.target_groups.iter();
        live.find(|live| live.arn == *arn).cloned()
    }

    fn drifted_by(&mut self, group: &GroupId, found: BTreeSet<Found>) {
        if !found.is_empty() {
            self.drifted.entry(group.clone()).or_default().extend(found);
        }
    }

    /// What is remembered with other tags than are listed, what this process
    /// wrote a moment ago left out. Without a list, all load balancers and
    /// target groups of ours.
    fn other_tags(
        &mut self,
        cluster: &str,
        listed: Option<&BTreeMap<Arn, Tags>>,
        begun: Instant,
    ) -> Vec<Arn> {
        let known = self.known.values();
        let young: BTreeSet<&Arn> = known.flat_map(|known| known.stamps.young(begun)).collect();
        let is_ours = |tags: &Tags| {
            let of = tags.get(ownership::CLUSTER_TAG);
            of.is_some_and(|of| of == cluster)
        };
        let mut other = Vec::new();
        let mut right = Vec::new();
        for (arn, tags) in &self.tags {
            let now = listed.and_then(|listed| listed.get(arn));
            if now == Some(tags) {
                right.push(arn.clone());
            } else if (now.is_some() || is_ours(tags)) && !young.contains(arn) {
                other.push(arn.clone());
            }
        }
        if let Some(listed) = listed {
            let read = |known: &&Remembered| {
                known.read.is_some() && known.doubt.is_none() && known.belief.is_none()
            };
            let read = self.known.values().filter(read);
            let insides = read.flat_map(|known| insides(&known.observed));
            let differs = |(arn, tags): &(&Arn, &Tags)| {
                listed.get(*arn) != Some(*tags) && !young.contains(*arn)
            };
            other.extend(insides.filter(differs).map(|(arn, _)| arn.clone()));
        }
        for arn in right {
            self.by_name.remove(&arn);
        }
        other
    }

    /// Takes in tags that were read. Those of load balancers and target groups
    /// say whose they are: answers whether the account is to be listed again.
    fn take_in_tags(&mut self, read: BTreeMap<Arn, Tags>) -> bool {
        let mut moved = false;
        let mut of_insides = BTreeMap::new();
        for (arn, tags) in read {
            match self.tags.get_mut(&arn) {
                Some(known) => {
                    moved |= *known != tags;
                    *known = tags;
                    self.by_name.remove(&arn);
                }
                None => {
                    of_insides.insert(arn, tags);
                }
            }
        }
        if of_insides.is_empty() {
            return moved;
        }
        let is_concerned = |(_, known): &(&GroupId, &Remembered)| {
            insides(&known.observed).any(|(arn, _)| of_insides.contains_key(arn))
        };
        let concerned = self.known.iter().filter(is_concerned);
        let concerned: Vec<GroupId> = concerned.map(|(group, _)| group.clone()).collect();
        for group in concerned {
            let found = self.known.change(&group, |known| {
                let before = Arc::clone(&known.observed);
                known.take_in_tags_of_insides(&of_insides);
                differences(Tier::Tag, &before, &known.observed)
            });
            self.drifted_by(&group, found);
        }
        moved
    }
}

/// Listeners and rules with their tags.
fn insides(observed: &Observed) -> impl Iterator<Item = (&Arn, &Tags)> {
    let listeners = observed
        .load_balancers
        .iter()
        .flat_map(|lb| lb.listeners.values());
    listeners.flat_map(|listener| {
        let rules = listener.rules.values();
        let rules = rules.map(|rule| (&rule.arn, &rule.spec.tags));
        std::iter::once((&listener.arn, &listener.spec.tags)).chain(rules)
    })
}
