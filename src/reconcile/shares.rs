//! What each group needs of the shared backend security group: looked at again
//! only for those that something has changed for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::Reconciler;
use super::models::Seen;
use crate::model::backend_build::{Endpoints, Reach, keeps_live, reach};
use crate::model::backend_union::{Share, Union};
use crate::model::desired::Desired;
use crate::model::facts::Facts;
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::spec::Observed;
use crate::model::targets::instance_id;
use crate::observe::PodAddress;

/// Groups that are read at the same time: more would leave none of AWS's calls
/// to others.
const SIDE_BY_SIDE: usize = 4;

/// What is known of all groups.
#[derive(Debug, Default)]
pub struct Shares {
    /// What they need together.
    pub union: Union,
    seen: Option<Seen>,
    /// The last change of what AWS holds that was looked at.
    observed: Option<u64>,
    /// Groups that need what nobody tells of: an interface that was not found,
    /// or what their leavers wait for.
    open: BTreeSet<GroupId>,
    /// Groups whose insides were not read: they may need more than is known.
    unread: BTreeSet<GroupId>,
}

impl Shares {
    /// The groups that may need something else than they did, of which AWS
    /// holds something else for `others`; `None`: all of them.
    fn stale(
        &self,
        snapshot: &Indexed,
        facts: &Arc<Facts>,
        others: Option<BTreeSet<GroupId>>,
    ) -> Option<BTreeSet<GroupId>> {
        let mut stale = self.seen.as_ref()?.changed(snapshot, facts)?;
        stale.extend(others?);
        stale.extend(self.open.iter().cloned());
        Some(stale)
    }

    /// Whether some group may need more than is known because it was not read.
    pub fn are_unread(&self) -> bool {
        !self.unread.is_empty()
    }
}

/// A group, while it is looked at.
struct Looked {
    group: GroupId,
    reach: Reach,
    ports: BTreeSet<u16>,
    /// Whether somebody leaves it.
    has_leavers: bool,
    /// Whether what is live was not read.
    is_unread: bool,
}

fn counts(desired: &Desired) -> bool {
    keeps_live(desired) || !desired.blocks_creation.is_empty()
}

impl Looked {
    /// `observed` is `None` where it was not read.
    fn new(desired: &Desired, observed: Option<&Observed>) -> Self {
        // What is not made yet needs nothing.
        let is_made = desired.blocks_creation.is_empty()
            || observed.is_none_or(|observed| !observed.load_balancers.is_empty());
        let groups = desired.target_groups();
        Self {
            group: desired.group.clone(),
            reach: if is_made {
                reach(desired, observed)
            } else {
                Reach::default()
            },
            ports: groups
                .flat_map(|group| group.backend_ports.iter().copied())
                .collect(),
            has_leavers: !desired.leavers.is_empty(),
            is_unread: observed.is_none(),
        }
    }
}

impl Reconciler {
    /// Looks at the groups for which something has changed.
    pub(super) async fn look_at_shares(
        &self,
        shares: &mut Shares,
        snapshot: &Indexed,
    ) -> anyhow::Result<()> {
        let facts = self.memory.facts().await?;
        // Before anything is looked at: what comes meanwhile is for the next
        // time.
        let (change, others) = self.memory.others_since(shares.observed);
        let stale = if let Some(stale) = shares.stale(snapshot, &facts, others) {
            stale
        } else {
            let mut all = self.all_groups(snapshot).await?;
            all.extend(shares.union.groups().cloned());
            all
        };
        let mut looked = Vec::new();
        let mut special = Vec::new();
        for group in &stale {
            let (observed, is_read) = self.memory.live(group);
            let models = &self.models;
            let mut desired = models.one_of(stale.len(), group, snapshot, &facts, &self.settings);
            if !self.counts_in_all(&mut desired, snapshot) {
                continue;
            }
            if counts(&desired) || !desired.leavers.is_empty() {
                special.push(desired);
            } else {
                let observed = is_read.then_some(observed.as_ref());
                looked.push(Looked::new(&desired, observed));
            }
        }
        let held = self.all_held_by_aws(&special).await?;
        for mut desired in special {
            let observed = held.get(&desired.group).map(AsRef::as_ref);
            if let (Some(observed), false) = (observed, desired.leavers.is_empty()) {
                self.records_first(&mut desired, observed, snapshot);
            }
            looked.push(Looked::new(&desired, observed));
        }
        self.share(shares, &stale, looked, snapshot).await?;
        shares.observed = Some(change);
        shares.seen = Some(Seen::now(snapshot, &facts));
        Ok(())
    }

    /// Finds the security groups of what groups reach, and shares what they
    /// need. Of those that were looked at and are not among them nothing is
    /// left.
    async fn share(
        &self,
        shares: &mut Shares,
        stale: &BTreeSet<GroupId>,
        looked: Vec<Looked>,
        snapshot: &Indexed,
    ) -> anyhow::Result<()> {
        let mut asked = Endpoints::default();
        for Looked { reach, .. } in &looked {
            let endpoints = reach.endpoints();
            asked.instances.extend(endpoints.instances);
            asked.addresses.extend(endpoints.addresses);
        }
        let pods = pods(&asked.addresses, snapshot);
        let mut known = self.memory.backend_facts(&asked.instances, &pods).await?;
        self.memory
            .add_remembered_pods(&asked.addresses, &mut known);
        let instances: BTreeMap<&String, &String> = pods
            .iter()
            .filter_map(|pod| Some((&pod.address, pod.instance.as_ref()?)))
            .collect();
        let mut gone = Endpoints::default();
        let mut let_go = |endpoints: Endpoints| {
            gone.instances.extend(endpoints.instances);
            gone.addresses.extend(endpoints.addresses);
        };
        let mut left = stale.clone();
        shares.open.retain(|group| !stale.contains(group));
        shares.unread.retain(|group| !stale.contains(group));
        for Looked {
            group,
            reach,
            ports,
            has_leavers,
            is_unread,
        } in looked
        {
            let mut endpoints = reach.endpoints();
            let on = endpoints.addresses.iter();
            let on = on.filter_map(|address| instances.get(address));
            endpoints.instances.extend(on.map(|id| (*id).clone()));
            let mut needed = reach.ports(&known, &self.settings);
            if has_leavers || needed.incomplete {
                shares.open.insert(group.clone());
            }
            if is_unread {
                needed.incomplete = true;
                shares.unread.insert(group.clone());
            }
            left.remove(&group);
            let share = Share {
                needed,
                endpoints,
                ports,
            };
            let_go(shares.union.set(&group, Some(share)));
        }
        for group in left {
            let_go(shares.union.set(&group, None));
        }
        let gone = shares.union.without(gone);
        self.memory
            .forget_endpoints(&gone.instances, &gone.addresses);
        Ok(())
    }

    /// What AWS holds for groups; those of which nothing is known or believed
    /// are read side by side, a few at a time.
    async fn all_held_by_aws(
        &self,
        groups: &[Desired],
    ) -> anyhow::Result<BTreeMap<GroupId, Arc<Observed>>> {
        let mut reads = Vec::new();
        for desired in groups {
            reads.push(async move {
                let observed = self.held_by_aws(desired).await?;
                anyhow::Ok((desired.group.clone(), observed))
            });
        }
        let reads = stream::iter(reads).buffer_unordered(SIDE_BY_SIDE);
        reads.try_collect().await
    }
}

/// The pods that have these addresses.
fn pods(addresses: &BTreeSet<String>, snapshot: &Indexed) -> BTreeSet<PodAddress> {
    let mut pods = BTreeSet::new();
    for address in addresses {
        let Ok(parsed) = address.parse() else {
            continue;
        };
        let at = snapshot.index().pods_at(parsed);
        for pod in at.filter_map(|name| snapshot.pods.get(name)) {
            let node = pod.node.as_deref();
            let node = node.and_then(|node| snapshot.nodes.get(node));
            pods.insert(PodAddress {
                address: address.clone(),
                instance: node.and_then(|node| instance_id(node).ok()),
                own_interface: pod.own_interface,
            });
        }
    }
    pods
}
