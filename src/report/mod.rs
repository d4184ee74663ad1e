//! KUBERNETES OUT. What people read: finalizers, status, events, and the
//! custom resource `IngressGroup`, with the record that it keeps for the next
//! process.
//!
//! May use: `kube`, `model`, `plan`. Promises: nothing is written when nothing
//! changed. For status and finalizers the store's copy is the truth, for the
//! custom resource and events what this process read at its start or wrote
//! last. A failed event never stops the work; a failed finalizer does, and so
//! does a change that cannot be noted in the record before it begins.
//!
//! Finalizers bracket all work on AWS: [`Reporter::claim`] before anything
//! exists there, [`Reporter::release`] after all of it is gone.

mod change;
mod events;
mod finalizers;
mod group;
mod lost;
mod record;
mod status;
mod totals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::networking::v1::Ingress;
use kube::Client;

pub use change::{LastChange, Tried};
pub use group::{
    Applied, IngressGroup, IngressGroupSpec, IngressGroupStatus, installation, resource_name,
};

use crate::api_error::ApiError;
use crate::model::desired::{Desired, Intent};
use crate::model::finding::Finding;
use crate::model::group::GroupId;
use crate::model::records::RecordState;
use crate::model::snapshot::Snapshot;
use crate::model::spec::{LiveLoadBalancer, LoadBalancerState, ObjectName, Observed};
use crate::plan;

use self::events::Said;
use self::record::Resource;

/// The name that this product gives itself as the writer of fields and events;
/// the same for ever.
const WRITER: &str = "alb-ingress-controller";
/// The same for finalizers, before the name of the installation.
const FINALIZER_WRITER: &str = "alb-ingress-controller-";

/// HTTP status of what is not there. The code and not the reason, which the
/// answer about a kind that is not installed does not have.
const NOT_FOUND: u16 = 404;

/// A write to Kubernetes that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused it, or could not be reached.
    #[error("cannot {operation} of {object}")]
    Write {
        /// What was tried, as `write the status`.
        operation: &'static str,
        /// What it was tried on.
        object: String,
        /// What the API server says.
        #[source]
        source: ApiError,
    },
    /// The object is not what it was when it was looked at. The watch brings
    /// the news; the work is done again then.
    #[error("{object} changed meanwhile")]
    Changed {
        /// Which.
        object: String,
    },
}

impl Error {
    fn write(operation: &'static str, object: &impl ToString, source: kube::Error) -> Self {
        Self::Write {
            operation,
            object: object.to_string(),
            source: source.into(),
        }
    }
}

/// A kind of failure of a group's work, as people should see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// Why in a word, the reason of the event: the same for all failures that
    /// one event should stand for (`AccessDenied`, `Throttled`, …).
    pub reason: String,
    /// What failed and what AWS said.
    pub message: String,
}

/// What became of a group's work, in the terms of people.
#[derive(Clone, Debug)]
pub struct GroupReport<'a> {
    /// What was wished.
    pub desired: &'a Desired,
    /// What AWS held before the work.
    pub before: &'a Observed,
    /// What AWS holds after it, as far as is known.
    pub observed: &'a Observed,
    /// What the group waits for, in words.
    pub waiting: Vec<String>,
    /// Hosts with the state of their records; `None` while nobody has looked
    /// at records since the start: then what was told of them stays.
    pub records: Option<Vec<(String, RecordState)>>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Findings that came after `desired` was made: records, deletion
    /// protection, and `desired.blocks_creation` where it counts.
    pub more_findings: Vec<Finding>,
    /// What the record is to say; `None` where the group is another's.
    pub applied: Option<Applied>,
    /// The change that was noted and tried; `None` where there was none.
    pub tried: Option<Tried>,
}

/// State of a group in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    /// All is as wished.
    Serving,
    /// The load balancer is not active yet, or a step waits for something.
    Waiting,
    /// A member is frozen or degraded; the rest is as wished.
    Degraded,
    /// Something failed and is tried again.
    Failing,
    /// Nothing is made, since every member is frozen or one holds the group
    /// up.
    Held,
    /// Another controller's.
    LeftAlone,
    /// On its way out.
    Deleting,
}

impl GroupState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Serving,
        Self::Waiting,
        Self::Degraded,
        Self::Failing,
        Self::Held,
        Self::LeftAlone,
        Self::Deleting,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::Waiting => "Waiting",
            Self::Degraded => "Degraded",
            Self::Failing => "Failing",
            Self::Held => "Held",
            Self::LeftAlone => "LeftAlone",
            Self::Deleting => "Deleting",
        }
    }
}

impl GroupReport<'_> {
    /// The state: the first that holds of left alone, deleting, failing, held,
    /// waiting, degraded, serving.
    pub fn state(&self) -> GroupState {
        use crate::model::finding::Effect;

        match self.desired.intent {
            Intent::LeaveAlone => return GroupState::LeftAlone,
            _ if !self.failures.is_empty() => return GroupState::Failing,
            Intent::Remove => return GroupState::Deleting,
            Intent::Hold => return GroupState::Held,
            Intent::Serve(_) => {}
        }
        let active = self.load_balancer().is_some_and(|live| {
            matches!(
                live.state,
                LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
            )
        });
        if !active || !self.waiting.is_empty() {
            GroupState::Waiting
        } else if self.findings().any(|finding| finding.effect > Effect::Note) {
            GroupState::Degraded
        } else {
            GroupState::Serving
        }
    }

    /// The load balancer that serves the group. While one replaces another it
    /// is the old one until the new one has the rules, as for the records.
    fn load_balancer(&self) -> Option<&LiveLoadBalancer> {
        plan::current(self.desired, self.observed)
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.desired.findings.iter().chain(&self.more_findings)
    }
}

/// Called with each write to Kubernetes: `status`, `finalizer`, `event` or
/// `group`.
pub type OnWrite = Box<dyn Fn(&'static str) + Send + Sync>;

/// Writes what people read, and remembers what it wrote.
pub struct Reporter {
    client: Client,
    /// This process, in events.
    instance: String,
    /// This installation, in a label of custom resources.
    installation: String,
    /// This installation, as the writer of finalizers.
    finalizer_writer: String,
    on_write: OnWrite,
    memory: Mutex<Memory>,
}

/// What was written last.
#[derive(Default)]
struct Memory {
    /// By group: what people were told.
    groups: BTreeMap<GroupId, Told>,
    /// Those of them of which hashes of targets may be due to be written.
    late: BTreeSet<GroupId>,
    /// Findings told about Ingresses that are in no group.
    strays: BTreeSet<Finding>,
    /// Those of them that are shown as groups.
    lost: BTreeSet<GroupId>,
    /// By Ingress: the status, and the version of the Ingress with it.
    statuses: BTreeMap<ObjectName, (Option<String>, status::Address)>,
    /// By Ingress and finalizer: the version of the Ingress with, or without
    /// it.
    finalizers: BTreeMap<ObjectName, BTreeMap<String, String>>,
    /// When the custom resource was last found not to be installed.
    not_installed: Option<std::time::Instant>,
}

/// Whether the store's copy of an object is older than the one that this
/// process wrote: then the watch has not brought our own write back yet, and
/// what was written is the truth. Versions that are no numbers tell nothing.
fn is_older(store: &Ingress, written: Option<&String>) -> bool {
    let number = |version: Option<&String>| version?.parse::<u64>().ok();
    match (
        number(store.metadata.resource_version.as_ref()),
        number(written),
    ) {
        (Some(store), Some(written)) => store < written,
        _ => false,
    }
}

/// What people were told about a group.
#[derive(Clone, Debug, Default)]
struct Told {
    state: Option<GroupState>,
    said: Said,
    resource: Resource,
}

impl Reporter {
    /// A reporter that has told nothing yet. `installation` is from
    /// [`installation`].
    pub fn new(client: Client, instance: String, installation: String, on_write: OnWrite) -> Self {
        Self {
            client,
            instance,
            finalizer_writer: format!("{FINALIZER_WRITER}{installation}"),
            installation,
            on_write,
            memory: Mutex::default(),
        }
    }

    /// Puts the group's finalizer on every member that lacks it, before
    /// anything is made for it. Answers the number of writes.
    pub async fn claim(&self, desired: &Desired, snapshot: &Snapshot) -> Result<usize, Error> {
        match desired.intent {
            // What is another's is not touched; what goes is not claimed.
            Intent::LeaveAlone | Intent::Remove => return Ok(0),
            Intent::Serve(_) | Intent::Hold => {}
        }
        let finalizer = desired.group.finalizer();
        let mut writes = 0;
        for member in &desired.members {
            if let Some(ingress) = snapshot.ingresses.get(member) {
                writes += usize::from(self.add_finalizer(ingress, &finalizer).await?);
            }
        }
        Ok(writes)
    }

    /// Tells people what became of the work: the status of the Ingresses that
    /// are served, events on transitions, the custom resource. Answers the
    /// number of writes.
    pub async fn publish(
        &self,
        report: &GroupReport<'_>,
        snapshot: &Snapshot,
    ) -> Result<usize, Error> {
        let mut writes = self.publish_events(report, snapshot).await;
        writes += self.publish_resource(report).await;
        writes += self.publish_statuses(report, snapshot).await?;
        Ok(writes)
    }

    /// Tells people what is wrong with Ingresses that are in no group.
    pub async fn publish_strays(
        &self,
        findings: impl IntoIterator<Item = &Finding>,
        snapshot: &Snapshot,
    ) -> usize {
        let now: BTreeSet<Finding> = findings.into_iter().cloned().collect();
        let before = std::mem::replace(&mut self.memory().strays, now.clone());
        self.tell(events::of_findings(&before, &now), snapshot)
            .await
    }

    /// Takes the group's finalizer off Ingresses that left it, after nothing
    /// of theirs is left in AWS. When they are the last, the custom resource
    /// goes first. Answers the number of writes.
    pub async fn release(
        &self,
        desired: &Desired,
        released: &[ObjectName],
        snapshot: &Snapshot,
    ) -> Result<usize, Error> {
        let mut writes = 0;
        let last = desired.members.is_empty()
            && desired
                .leavers
                .iter()
                .all(|leaver| released.contains(&leaver.ingress));
        if last {
            let told = self.memory().groups.remove(&desired.group);
            // A group that has neither leavers nor a resource of this process
            // has none: strays are removed at the start.
            if !desired.leavers.is_empty() || told.is_some_and(|told| told.resource.is_there()) {
                writes += self.delete_resource(&desired.group).await?;
            }
        }
        let finalizer = desired.group.finalizer();
        for name in released {
            if let Some(ingress) = snapshot.ingresses.get(name) {
                writes += usize::from(self.remove_finalizer(ingress, &finalizer).await?);
            }
        }
        Ok(writes)
    }

    /// Forgets what was written about Ingresses that are no more, so that
    /// memory does not grow with their number.
    pub fn forget_missing(&self, snapshot: &Snapshot) {
        let mut memory = self.memory();
        let there = |name: &ObjectName| snapshot.ingresses.contains_key(name);
        memory.statuses.retain(|name, _| there(name));
        memory.finalizers.retain(|name, _| there(name));
    }

    /// Forgets what was written about one Ingress, which is no more.
    pub fn forget(&self, ingress: &ObjectName) {
        let mut memory = self.memory();
        memory.statuses.remove(ingress);
        memory.finalizers.remove(ingress);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, what: &'static str) {
        (self.on_write)(what);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests;
