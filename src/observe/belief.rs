//! What is believed at the start without being read: whose a thing is by its
//! name, and that the insides of a group are as its record says.
//!
//! Belief is enough to see that nothing is to be done. Before anything is
//! written, and in the background, it is replaced by a read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::try_join_all;

use super::known::Remembered;
use super::schedule::Tier;
use super::{Memory, elb, lock};
use crate::aws::Error;
use crate::model::group::GroupId;
use crate::model::spec::{Arn, LiveTargetGroup, LoadBalancer, Observed, Tags, TargetGroup};

/// Names of our formula, with the tags that go with them. A name holds a hash
/// over cluster, group and what it is for, so that no two are alike.
#[derive(Clone, Debug, Default)]
pub struct Names {
    load_balancers: BTreeMap<String, Tags>,
    target_groups: BTreeMap<String, Tags>,
}

impl Names {
    /// A load balancer that should be there.
    pub fn load_balancer(&mut self, wished: &LoadBalancer) {
        let (name, tags) = (wished.name.clone(), wished.tags.clone());
        self.load_balancers.insert(name, tags);
    }

    /// A target group that should be there.
    pub fn target_group(&mut self, wished: &TargetGroup) {
        let (name, tags) = (wished.name.clone(), wished.tags.clone());
        self.target_groups.insert(name, tags);
    }

    /// The tags of a load balancer, by its name.
    pub(super) fn of_load_balancer(&self, name: Option<&str>) -> Option<&Tags> {
        self.load_balancers.get(name?)
    }

    /// The tags of a target group, by its name.
    pub(super) fn of_target_group(&self, name: Option<&str>) -> Option<&Tags> {
        self.target_groups.get(name?)
    }
}

/// What is believed of one group.
#[derive(Clone, Debug)]
pub struct Believed {
    /// What AWS holds. ARNs of listeners and rules in it are made up.
    pub observed: Observed,
    /// Target groups whose targets may be others.
    pub other_targets: BTreeSet<Arn>,
}

/// How far what is remembered of a group is only believed.
#[derive(Clone, Debug, Default)]
pub(super) struct Belief {
    /// Target groups whose targets were not read and may be others.
    pub(super) other_targets: BTreeSet<Arn>,
}

impl Remembered {
    /// Takes in targets that were only believed. One that was not read is gone
    /// since the listing: that is read with all else.
    fn take_in_believed(&mut self, read: impl Iterator<Item = LiveTargetGroup>) {
        let Some(belief) = &mut self.belief else {
            return;
        };
        let observed = Arc::make_mut(&mut self.observed);
        for live in read {
            let mut known = observed.target_groups.iter_mut();
            if let Some(known) = known.find(|known| known.arn == live.arn) {
                known.targets = live.targets;
                belief.other_targets.remove(&live.arn);
            }
        }
        if !belief.other_targets.is_empty() {
            self.doubt = Some(tokio::time::Instant::now());
        }
    }
}

impl Memory {
    /// Lists the account once, if that was not done yet. Whose a thing of one
    /// of these names is, is not read; of everything else, the tags are.
    pub async fn list_by_name(&self, names: &Names) -> Result<(), Error> {
        self.list_with(None, names, Tier::Fast).await
    }

    /// Believes this of a group. To be called right after the account was
    /// listed.
    pub fn believe(&self, group: &GroupId, believed: Believed) {
        let mut groups = lock(&self.groups);
        let listed = groups.listed;
        groups.known.change(group, |known| {
            known.observed = Arc::new(believed.observed);
            // It is as old as the listing, for verification.
            known.read = listed;
            known.belief = Some(Belief {
                other_targets: believed.other_targets,
            });
        });
    }

    /// Whether what is remembered of a group is only believed.
    pub fn is_believed(&self, group: &GroupId) -> bool {
        let groups = lock(&self.groups);
        let known = groups.known.get(group);
        known.is_some_and(|known| known.belief.is_some())
    }

    /// What is believed of a group, after targets that may be others were
    /// read, once. `None` where nothing is, or there is doubt.
    pub async fn recall_believed(&self, group: &GroupId) -> Result<Option<Arc<Observed>>, Error> {
        let believed = || {
            let groups = lock(&self.groups);
            let known = groups.known.get(group)?;
            let belief = known.belief.as_ref().filter(|_| known.doubt.is_none())?;
            Some((Arc::clone(&known.observed), belief.other_targets.clone()))
        };
        let Some((observed, others)) = believed() else {
            return Ok(None);
        };
        if others.is_empty() {
            return Ok(Some(observed));
        }
        let unread = observed.target_groups.iter();
        let unread = unread.filter(|live| others.contains(&live.arn));
        let read = try_join_all(unread.map(|live| elb::targets(&self.aws, live))).await?;
        {
            let mut groups = lock(&self.groups);
            if groups.known.contains_key(group) {
                let read = read.into_iter().flatten();
                groups
                    .known
                    .change(group, |known| known.take_in_believed(read));
            }
        }
        Ok(believed().map(|(observed, _)| observed))
    }

    /// Target groups of a group whose targets need not be read with all else:
    /// the record says, or a read has said, what they are.
    pub(super) fn settled_targets(&self, group: &GroupId) -> BTreeSet<Arn> {
        let groups = lock(&self.groups);
        let Some(known) = groups.known.get(group) else {
            return BTreeSet::new();
        };
        match &known.belief {
            Some(belief) if known.doubt.is_none() => {
                let arns = known.observed.target_groups.iter().map(|live| &live.arn);
                let settled = arns.filter(|arn| !belief.other_targets.contains(arn));
                settled.cloned().collect()
            }
            _ => BTreeSet::new(),
        }
    }
}
