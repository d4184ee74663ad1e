//! OBSERVED. What AWS holds, as remembered.
//!
//! May use: `aws`, `model` (its types). Reads AWS only where something is not
//! known or in doubt, and promises: nothing enters [`Observed`] that does not
//! carry the marks of this cluster and of a group (listeners and rules belong
//! to whom their load balancer belongs); a read never undoes what this
//! process wrote since the read began; readers of one thing share one read.
//!
//! * [`Memory`] (here and in `listing`): the groups, which `known` keeps; `belief`: what of them is not
//!   read at a start; `verify`: what is read again, when `schedule` says so, and
//!   what it has `found`.
//! * `account`: facts of the VPC and the shared backend group; `verdicts`.
//! * [`Dns`]: hosted zones and records.
//! * `elb`, `ec2`, `interfaces`, `tagging`, `normal`: the reads, and AWS's words turned
//!   into ours; `shared`: those that many wait for.
//! * `merge`: a read beside what is remembered.

mod account;
mod belief;
mod dns;
pub mod ec2;
pub mod elb;
mod found;
mod interfaces;
mod known;
mod listing;
mod merge;
pub mod normal;
mod schedule;
mod shared;
mod tagging;
#[cfg(test)]
pub(crate) mod tests;
mod verdicts;
mod verify;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use account::PodAddress;
pub use belief::{Believed, Names};
pub use dns::{Dns, Looked, Recalled};
pub use found::Found;
pub use listing::is_backend;
pub use schedule::{Periods, Tier};
pub use verify::Drift;
pub use zones::Zones;

use crate::aws::{Aws, Class, Error};
use crate::model::group::GroupId;
use crate::model::spec::{
    Arn, LiveLoadBalancer, LoadBalancerState, Observed, SecurityGroupRef, Tags,
};
use known::{Known, Remembered};
use merge::Depth;
use schedule::Schedule;
use shared::Shared;

/// What the memory must know of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Cluster name, as in tags.
    pub cluster: String,
    /// The VPC.
    pub vpc: String,
    /// How often what is read again in the background.
    pub periods: Periods,
    /// Verdicts of AWS are forgotten after this at the latest.
    pub verdict: Duration,
    /// The first background pass comes no sooner than this after the start.
    pub first_verification: Duration,
}

/// What AWS holds, remembered in the process.
#[derive(Debug)]
pub struct Memory {
    aws: Aws,
    scope: Scope,
    groups: Mutex<Groups>,
    /// Held while the account is listed, so that all who want it share it.
    listing: Shared,
    account: Mutex<account::Account>,
    /// Held while facts are read.
    reading: Shared,
    /// Whether it was said that tags may not be listed.
    tags_denied: AtomicBool,
}

/// All groups, and what the account listing left behind.
#[derive(Debug)]
struct Groups {
    known: Known,
    /// When the last complete listing began.
    listed: Option<Instant>,
    /// Tags of load balancers and target groups of the VPC, ours or not.
    tags: BTreeMap<Arn, Tags>,
    /// Those whose tags were not read: their names say whose they are.
    by_name: BTreeSet<Arn>,
    /// Id of the shared backend security group.
    backend: Option<String>,
    /// When the last load balancer went that had a security group, by the
    /// group's id.
    let_go: BTreeMap<String, Instant>,
    /// Groups that a listing or a read in the background found to differ from
    /// what was remembered, and how, for the next tick of verification.
    drifted: BTreeMap<GroupId, BTreeSet<Found>>,
    /// Groups whose load balancer was found in another provisioning state by
    /// whatever read, until somebody was told.
    other_state: BTreeSet<GroupId>,
}

impl Groups {
    /// Nothing is known; what is read again when, the schedule says.
    fn new(schedule: Schedule) -> Self {
        Self {
            known: Known::new(schedule),
            listed: None,
            tags: BTreeMap::new(),
            by_name: BTreeSet::new(),
            backend: None,
            let_go: BTreeMap::new(),
            drifted: BTreeMap::new(),
            other_state: BTreeSet::new(),
        }
    }
}

/// How long it is remembered that a load balancer has gone.
const LET_GO: Duration = Duration::from_mins(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// Knows nothing yet and makes no call.
    pub fn new(aws: Aws, scope: Scope) -> Self {
        let first = Instant::now() + scope.first_verification;
        let schedule = Schedule::new(scope.periods, first, rand::random());
        Self {
            aws,
            scope,
            groups: Mutex::new(Groups::new(schedule)),
            listing: Shared::default(),
            account: Mutex::default(),
            reading: Shared::default(),
            tags_denied: AtomicBool::new(false),
        }
    }

    /// What AWS holds for a group. Makes no call when it is known; one
    /// listing of the account, shared by all, when nothing is; and the reads
    /// of this group where AWS holds something for it. What is only believed
    /// is not known.
    pub async fn recall(&self, group: &GroupId) -> Result<Arc<Observed>, Error> {
        let mut since = {
            let groups = lock(&self.groups);
            match groups.known.get(group) {
                Some(known) if known.is_sure() => return Ok(Arc::clone(&known.observed)),
                Some(known) => known.doubt,
                None => None,
            }
        };
        loop {
            self.list_since(since).await?;
            let reading = lock(&self.groups)
                .known
                .get(group)
                .map(|known| Arc::clone(&known.reading));
            let Some(reading) = reading else {
                // The listing is complete: AWS holds nothing.
                return Ok(Arc::default());
            };
            let reading = reading.begin().await;
            // Whoever had its turn has read it for all.
            let is_sure = lock(&self.groups)
                .known
                .get(group)
                .is_some_and(Remembered::is_sure);
            if is_sure {
                return Ok(self.remembered(group));
            }
            let settled = self.settled_targets(group);
            if reading.run(self.read_group(group, &settled)).await? {
                return Ok(self.remembered(group));
            }
            since = Some(Instant::now());
        }
    }

    /// Reads all of a group that a listing has found something for, but for
    /// the targets of these target groups. Answers `false` where something
    /// that the group has by its name is not its own: then the account is to
    /// be listed again.
    async fn read_group(&self, group: &GroupId, settled: &BTreeSet<Arn>) -> Result<bool, Error> {
        let (held, by_name, begun) = {
            let mut groups = lock(&self.groups);
            let listed = groups.listed;
            let begun = Instant::now();
            let Some(known) = groups.known.get(group) else {
                // The listing is complete: AWS holds nothing.
                return Ok(true);
            };
            let held = Arc::clone(&known.observed);
            if held.load_balancers.is_empty() && held.target_groups.is_empty() {
                let known = &mut groups.known;
                known.change(group, |known| known.was_read(begun, listed));
                return Ok(true);
            }
            let by_name = groups.of_those_by_name(&held);
            (held, by_name, begun)
        };
        let read = elb::group(&self.aws, &held, &by_name, settled).await?;
        let mut groups = lock(&self.groups);
        if !groups.names_were_right(&self.scope.cluster, group, &held, &read) {
            return Ok(false);
        }
        let listed = groups.listed;
        let other_state = groups.known.change(group, |known| {
            let merged = merge::merge(&known.observed, &read, Depth::Full, &known.stamps, begun);
            let other_state = merge::other_state(&merged, &known.observed);
            known.observed = Arc::new(merged);
            known.was_read(begun, listed);
            other_state
        });
        if other_state {
            groups.other_state.insert(group.clone());
        }
        Ok(true)
    }

    /// Notes what an answered write has made of a group.
    pub fn remember(&self, group: &GroupId, change: impl FnOnce(&mut Observed)) {
        let mut groups = lock(&self.groups);
        let now = Instant::now();
        let backend = groups.backend.clone();
        let groups = &mut *groups;
        // A listing was complete before anybody planned this write, so AWS held
        // nothing.
        let unknown = || Remembered {
            read: Some(now),
            ..Remembered::default()
        };
        let (before, after) = groups.known.change_or(group, unknown, |known| {
            let before = Arc::clone(&known.observed);
            change(Arc::make_mut(&mut known.observed));
            known.stamps.note(&before, &known.observed, now);
            (before, Arc::clone(&known.observed))
        });
        for live in &after.target_groups {
            let mut old = before.target_groups.iter();
            let old = old.find(|old| old.arn == live.arn);
            if old.is_none_or(|old| old.targets != live.targets) {
                groups.known.schedule.changed(&live.arn, now);
            }
        }
        let left = |lb: &&LiveLoadBalancer| {
            let mut left = after.load_balancers.iter();
            left.any(|left| left.arn == lb.arn)
        };
        let gone = before.load_balancers.iter().filter(|lb| !left(lb));
        let let_go = carried(gone, &before, backend.as_deref()).into_iter();
        groups.let_go.extend(let_go.map(|id| (id, now)));
        groups.let_go.retain(|_, at| *at + LET_GO > now);
    }

    /// When this process last deleted a load balancer that had a security
    /// group, if that is not long ago: its interfaces outlive it.
    pub fn let_go_at(&self, security_group: &str) -> Option<Instant> {
        lock(&self.groups).let_go.get(security_group).copied()
    }

    /// Whether a load balancer of some group has the shared backend security
    /// group, as far as known.
    pub fn is_backend_carried(&self) -> bool {
        let groups = lock(&self.groups);
        let mut known = groups.known.values();
        known.any(|known| {
            let mut lbs = known.observed.load_balancers.iter();
            lbs.any(|lb| lb.spec.security_groups.contains(&SecurityGroupRef::Backend))
        })
    }

    /// What is remembered of a group may be wrong: it is read before it is
    /// used again.
    pub fn mark_stale(&self, group: &GroupId) {
        self.distrust(group, &[]);
    }

    /// As [`Memory::mark_stale`], where a write to some parts has failed
    /// without telling how far it came: about those, a read is right even
    /// when this process wrote them a moment ago.
    pub fn distrust(&self, group: &GroupId, parts: &[Arn]) {
        let mut groups = lock(&self.groups);
        groups.known.change(group, |known| {
            known.doubt = Some(Instant::now());
            known.stamps.distrust(parts);
        });
        // Whose they are is read again, too.
        for part in parts {
            groups.tags.remove(part);
        }
    }

    /// Whose a thing is, is read again with the next listing.
    pub fn forget_tags(&self, arn: &Arn) {
        lock(&self.groups).tags.remove(arn);
    }

    /// What is remembered of a group, sure or not; makes no call.
    pub fn remembered(&self, group: &GroupId) -> Arc<Observed> {
        let groups = lock(&self.groups);
        let known = groups.known.get(group);
        known.map(|k| Arc::clone(&k.observed)).unwrap_or_default()
    }

    /// As [`Memory::remembered`], with whether the insides of load balancers
    /// and target groups are known, read or believed.
    pub fn live(&self, group: &GroupId) -> (Arc<Observed>, bool) {
        let groups = lock(&self.groups);
        let Some(known) = groups.known.get(group) else {
            return (Arc::default(), true);
        };
        let observed = &known.observed;
        let has_none = observed.load_balancers.is_empty() && observed.target_groups.is_empty();
        (Arc::clone(observed), has_none || known.read.is_some())
    }

    /// The groups of which something else is remembered than when this was
    /// last answered, with what to ask by the next time; `None` of them: that
    /// cannot be told, or nothing was answered before.
    pub fn others_since(&self, seen: Option<u64>) -> (u64, Option<BTreeSet<GroupId>>) {
        let groups = lock(&self.groups);
        let others = seen.and_then(|seen| groups.known.changed_since(seen));
        (groups.known.last_change(), others)
    }

    /// Whether some load balancer was provisioning when last seen.
    pub fn is_provisioning(&self) -> bool {
        !lock(&self.groups).known.provisioning().is_empty()
    }

    /// Id of the shared backend security group, as far as known.
    pub fn backend_id(&self) -> Option<String> {
        lock(&self.groups).backend.clone()
    }

    /// Cluster and VPC that this memory is of.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// All groups that AWS holds something for, those whose Ingresses are
    /// gone included.
    pub async fn groups(&self) -> Result<BTreeSet<GroupId>, Error> {
        self.list_since(None).await?;
        let groups = lock(&self.groups);
        Ok(groups
            .known
            .iter()
            .filter(|(_, known)| !known.observed.is_empty())
            .map(|(group, _)| group.clone())
            .collect())
    }

    /// Groups whose load balancer has come into another provisioning state
    /// since this was last asked, whichever read has seen it.
    pub fn take_other_state(&self) -> BTreeSet<GroupId> {
        std::mem::take(&mut lock(&self.groups).other_state)
    }

    /// Asks for the state of all load balancers that were not active when
    /// last seen, 20 in one call. What has changed is told by
    /// [`Memory::take_other_state`].
    pub async fn poll_load_balancers(&self) -> Result<(), Error> {
        let waiting: Vec<(GroupId, Arn)> = {
            let groups = lock(&self.groups);
            let waiting = groups.known.provisioning().iter();
            let waiting = waiting.filter_map(|group| Some((group, groups.known.get(group)?)));
            waiting
                .flat_map(|(group, known)| {
                    let waits = known
                        .observed
                        .load_balancers
                        .iter()
                        .filter(|lb| lb.state == LoadBalancerState::Provisioning);
                    waits.map(move |lb| (group.clone(), lb.arn.clone()))
                })
                .collect()
        };
        for chunk in waiting.chunks(elb::CHUNK) {
            let arns: Vec<Arn> = chunk.iter().map(|(_, arn)| arn.clone()).collect();
            let answer = match elb::load_balancers_by_arn(&self.aws, &arns).await {
                // One is gone, or not visible yet: no telling which, so all
                // of them are read before they are used again.
                Err(error) if error.class == Class::Gone => {
                    for (group, _) in chunk {
                        self.mark_stale(group);
                    }
                    let gone = chunk.iter().map(|(group, _)| group.clone());
                    lock(&self.groups).other_state.extend(gone);
                    continue;
                }
                answer => answer?,
            };
            let states: BTreeMap<Arn, LoadBalancerState> = answer
                .iter()
                .filter_map(|lb| {
                    let arn = Arn::from(lb.load_balancer_arn()?);
                    Some((arn, normal::load_balancer_state(lb)))
                })
                .collect();
            let mut groups = lock(&self.groups);
            for (group, arn) in chunk {
                let Some(state) = states.get(arn) else {
                    continue;
                };
                let other = |lb: &LiveLoadBalancer| lb.arn == *arn && lb.state != *state;
                let place = |known: &Remembered| {
                    let mut lbs = known.observed.load_balancers.iter();
                    lbs.position(other)
                };
                if let Some(place) = groups.known.get(group).and_then(place) {
                    groups.known.change(group, |known| {
                        Arc::make_mut(&mut known.observed).load_balancers[place].state = *state;
                    });
                    groups.other_state.insert(group.clone());
                }
            }
        }
        Ok(())
    }
}

/// Ids of the security groups that these load balancers of a group have.
fn carried<'a>(
    load_balancers: impl Iterator<Item = &'a LiveLoadBalancer>,
    observed: &Observed,
    backend: Option<&str>,
) -> BTreeSet<String> {
    let groups = load_balancers.flat_map(|lb| &lb.spec.security_groups);
    let frontend = || observed.security_groups.first().map(|g| g.arn.0.clone());
    groups
        .filter_map(|group| match group {
            SecurityGroupRef::Id(id) => Some(id.clone()),
            SecurityGroupRef::Frontend => frontend(),
            SecurityGroupRef::Backend => backend.map(str::to_owned),
        })
        .collect()
}
