//! Models of groups, built once for all keys that want them at about the same
//! time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::model;
use crate::model::desired::Desired;
use crate::model::facts::Facts;
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::settings::Settings;

/// The models of so many groups are left for others who want them too.
const FEW: usize = 8;
/// So many are kept: those of the groups that have just changed. All of them
/// would be most of the memory.
const KEPT: usize = 32;

/// What the models were built from that somebody looked at last.
#[derive(Clone, Debug)]
pub struct Seen {
    change: u64,
    facts: Arc<Facts>,
}

impl Seen {
    /// What is there now.
    pub fn now(snapshot: &Indexed, facts: &Arc<Facts>) -> Self {
        Self {
            change: snapshot.changes().last(),
            facts: Arc::clone(facts),
        }
    }

    /// The groups whose models may be others now; `None`: all of them.
    pub fn changed(&self, snapshot: &Indexed, facts: &Arc<Facts>) -> Option<BTreeSet<GroupId>> {
        let mut changed: BTreeSet<GroupId> =
            snapshot.changes().since(self.change)?.cloned().collect();
        if !Arc::ptr_eq(facts, &self.facts) {
            let index = snapshot.index();
            let concerned = facts.concern(&self.facts)?;
            let named = concerned.security_groups;
            let naming = named.then(|| index.naming_security_groups());
            for ingress in concerned
                .ingresses
                .iter()
                .chain(naming.into_iter().flatten())
            {
                changed.extend(index.groups_of(ingress).cloned());
            }
        }
        Some(changed)
    }
}

/// The models that were built last.
#[derive(Debug, Default)]
pub struct Models {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    models: BTreeMap<GroupId, Model>,
    /// The oldest first.
    order: VecDeque<GroupId>,
}

/// A model with what it was built from.
#[derive(Debug)]
struct Model {
    change: u64,
    facts: Arc<Facts>,
    desired: Arc<Desired>,
}

impl Models {
    /// What should be for one of so many groups that are looked at. Where they
    /// are few it is kept for others who want it too.
    pub fn one_of(
        &self,
        count: usize,
        group: &GroupId,
        snapshot: &Indexed,
        facts: &Arc<Facts>,
        settings: &Settings,
    ) -> Desired {
        if count <= FEW {
            Arc::unwrap_or_clone(self.of(group, snapshot, facts, settings))
        } else {
            model::build_indexed(group, snapshot, facts, settings)
        }
    }

    /// What should be for a group. It is built only where nothing that it is
    /// built from has stayed the same since the last time.
    pub fn of(
        &self,
        group: &GroupId,
        snapshot: &Indexed,
        facts: &Arc<Facts>,
        settings: &Settings,
    ) -> Arc<Desired> {
        let change = snapshot.changes().of(group);
        let fits = |model: &&Model| model.change == change && Arc::ptr_eq(&model.facts, facts);
        if let Some(model) = lock(&self.kept).models.get(group).filter(fits) {
            return Arc::clone(&model.desired);
        }
        let desired = Arc::new(model::build_indexed(group, snapshot, facts, settings));
        let model = Model {
            change,
            facts: Arc::clone(facts),
            desired: Arc::clone(&desired),
        };
        let mut kept = lock(&self.kept);
        if kept.models.insert(group.clone(), model).is_none() {
            kept.order.push_back(group.clone());
        }
        if kept.order.len() > KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.models.remove(&oldest);
        }
        desired
    }
}
