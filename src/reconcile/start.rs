//! The start of a leader: the account is listed once, what should be is built
//! for all groups, and those whose record and listing agree are believed to be
//! as they were left. All others are read as if there were no record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tokio::sync::OnceCell;

use super::{Reconciler, lock};
use crate::lane::{self, Lane, Turn};
use crate::model;
use crate::model::applied::{SCHEMA, spoken_for, targets_digest};
use crate::model::desired::Desired;
use crate::model::group::GroupId;
use crate::model::limits::Limits;
use crate::model::snapshot::Snapshot;
use crate::observe::{Believed, Names};
use crate::plan::PlanContext;
use crate::plan::trust::{assumed, live_target_groups};
use crate::report::Applied;

/// What the start knows, until it is over.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// Records as the last process left them.
    records: Mutex<BTreeMap<GroupId, Applied>>,
    done: OnceCell<()>,
}

impl Reconciler {
    /// Reads the records of all groups. Answers those that were being changed.
    /// Where they cannot be read there are none: all groups are read.
    pub(super) async fn read_records(&self) -> BTreeSet<GroupId> {
        let snapshot = self.parts.stores.snapshot();
        // Those that are in no group are shown as groups too.
        let lost = snapshot.index().lost();
        let shown = snapshot.index().groups().chain(lost.keys());
        let records = match self.parts.reporter.read_resources(shown).await {
            Ok(records) => records,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(error, "cannot read the IngressGroups: all groups are read");
                BTreeMap::new()
            }
        };
        let pending = records
            .iter()
            .filter(|(_, record)| record.pending.is_some())
            .map(|(group, _)| group.clone())
            .collect();
        *lock(&self.start.records) = records;
        pending
    }

    /// Whether [`Reconciler::started`] has done its work.
    pub(super) fn is_started(&self) -> bool {
        self.start.done.initialized()
    }

    /// Makes sure that the account is listed and that what can be believed is.
    /// All keys come through here first; the first of them does it for all.
    pub(super) async fn started(&self) -> anyhow::Result<()> {
        // Whoever is first does it for all, so it is as urgent as any of them.
        let begin = || {
            let (turn, _) = Turn::new(Lane::Edit);
            lane::within(turn, self.begin_with_records())
        };
        self.start.done.get_or_try_init(begin).await?;
        Ok(())
    }

    async fn begin_with_records(&self) -> anyhow::Result<()> {
        let snapshot = self.parts.stores.snapshot();
        let facts = self.memory.facts().await?;
        let mut names = Names::default();
        let begun = std::time::Instant::now();
        // Twice, and none of them kept: all together they would be most of the
        // memory that this process ever has.
        let build = |group| model::build_indexed(group, &snapshot, &facts, &self.settings);
        for desired in snapshot.index().groups().map(build) {
            if let Some(stack) = spoken_for(&desired) {
                names.load_balancer(&stack.load_balancer);
                for wished in stack.target_groups.values() {
                    names.target_group(&wished.target_group);
                }
            }
        }
        let built = begun.elapsed();
        self.memory.list_by_name(&names).await?;
        drop(names);
        let records = std::mem::take(&mut *lock(&self.start.records));
        let mut believed = 0;
        for (group, record) in &records {
            if snapshot.index().has_group(group)
                && let Some(belief) = self.believed(&build(group), record, &snapshot)
            {
                self.memory.believe(group, belief);
                believed += 1;
            }
        }
        let groups = snapshot.index().groups().count();
        tracing::info!(
            groups,
            as_left = believed,
            model_ms = built.as_millis(),
            "the account is listed; groups that are not as they were left are read"
        );
        Ok(())
    }

    /// What is believed of a group: that the insides of its load balancer are
    /// as wished, and the targets of the target groups of which the record
    /// says so. `None` where the record does not say that this very state was
    /// made, or the listing shows another one.
    fn believed(
        &self,
        desired: &Desired,
        record: &Applied,
        snapshot: &Snapshot,
    ) -> Option<Believed> {
        let stack = spoken_for(desired)?;
        let made = record.schema == SCHEMA
            && record.pending.is_none()
            && record.digest.as_ref() == Some(&self.digest(desired));
        if !made {
            return None;
        }
        let listed = self.memory.remembered(&desired.group);
        let cx = PlanContext {
            backend: self.memory.backend_id(),
            open_ports: BTreeSet::new(),
            limits: Limits::default(),
            records_go_first: false,
        };
        let observed = assumed(desired, &listed, &cx)?;
        let other_targets = live_target_groups(stack, &observed)
            .filter(|(wished, _)| {
                let said = record.targets.get(&wished.target_group.name);
                said != Some(&targets_digest(wished, snapshot))
            })
            .map(|(_, live)| live.arn.clone())
            .collect();
        Some(Believed {
            observed,
            other_targets,
        })
    }
}
