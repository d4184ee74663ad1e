//! The key of the shared backend security group and its rules on the groups
//! of nodes and pods.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::{Reconciler, WorkOf, lock, words};
use crate::apply::{BackendReady, Failure, unannounced};
use crate::aws::Class;
use crate::key::Key;
use crate::lane;
use crate::model;
use crate::model::backend::{DesiredBackend, ObservedBackend};
use crate::model::backend_build::{
    Endpoints, GroupPorts, build_backend, endpoints, group_ports, keeps_live,
};
use crate::model::desired::Desired;
use crate::model::group::GroupId;
use crate::model::snapshot::Snapshot;
use crate::model::spec::Observed;
use crate::model::targets::instance_id;
use crate::observe::PodAddress;
use crate::plan::backend::diff_backend;

/// Groups that are read at the same time: more would leave none of AWS's calls
/// to others.
const SIDE_BY_SIDE: usize = 4;
/// Annotation of a pod that has an interface of its own.
const POD_INTERFACE: &str = "vpc.amazonaws.com/pod-eni";

impl Reconciler {
    /// Brings the shared group and its rules to what all groups need, and
    /// tells the groups that wait for it.
    pub(super) async fn backend(&self) -> anyhow::Result<Option<Duration>> {
        let begun = Instant::now();
        let snapshot = self.parts.stores.snapshot();
        let membership = self.membership(&snapshot).await?;
        let mut all = self.all_desired(&membership, &snapshot).await?;
        all.extend(self.deserted(&all, &snapshot).await?);
        let left = all
            .values()
            .filter(|desired| !desired.leavers.is_empty())
            .collect();
        for (group, observed) in self.all_held_by_aws(left).await? {
            if let Some(desired) = all.get_mut(&group) {
                self.records_first(desired, &observed, &snapshot);
            }
        }
        let (desired, wished) = self.desired_backend(&all, &snapshot).await?;
        let observed = self.memory.recall_backend().await?;
        let plan = diff_backend(&desired, &observed);
        let applied = self.apply(WorkOf::Backend, &plan, unannounced()).await;
        self.note_mended_backend(begun, !applied.done.is_empty(), applied.is_complete());
        *lock(&self.backend_failures) = words::failures(&applied);
        let is_taken = |failed: &&Failure| failed.error.class == Class::NameTaken;
        let taken = applied.failed.iter().find(is_taken);
        *lock(&self.backend_name_taken) = taken.map(|failed| failed.error.message.clone());
        let observed = self.memory.recall_backend().await?;
        let ready = BackendReady {
            group: self.memory.backend_id(),
            ports: open_ports(&all, &wished, &observed),
        };
        let news = self.backend.send_if_modified(|before| {
            let news = *before != ready;
            *before = ready;
            news
        });
        if news {
            let groups = all.keys().cloned().map(Key::Group);
            self.parts.queue.wake_all(groups, lane::current());
        }
        self.again(&plan, &applied, !applied.skipped.is_empty())
    }

    /// What should be of groups that have no Ingress any more, not even one
    /// that leaves, and whose load balancer is still there: finalizers were
    /// torn off. It serves until it is gone.
    async fn deserted(
        &self,
        all: &BTreeMap<GroupId, Desired>,
        snapshot: &Snapshot,
    ) -> anyhow::Result<BTreeMap<GroupId, Desired>> {
        let mut groups = self.memory.groups().await?;
        groups.retain(|group| {
            !all.contains_key(group) && !self.memory.remembered(group).load_balancers.is_empty()
        });
        if groups.is_empty() {
            return Ok(BTreeMap::new());
        }
        let facts = self.memory.facts().await?;
        let build = |group: GroupId| {
            let desired = model::build(&group, snapshot, &facts, &self.settings);
            (group, desired)
        };
        Ok(groups.into_iter().map(build).collect())
    }

    /// What AWS holds for groups; those of which nothing is known or believed
    /// are read side by side, a few at a time.
    async fn all_held_by_aws(
        &self,
        groups: Vec<&Desired>,
    ) -> anyhow::Result<BTreeMap<GroupId, Observed>> {
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

    /// What should be, with what each group needs of it.
    pub(super) async fn desired_backend(
        &self,
        all: &BTreeMap<GroupId, Desired>,
        snapshot: &Snapshot,
    ) -> anyhow::Result<(DesiredBackend, Vec<GroupPorts>)> {
        let counts = |desired: &Desired| keeps_live(desired) || !desired.blocks_creation.is_empty();
        let counting = all.values().filter(|desired| counts(desired)).collect();
        let observed = self.all_held_by_aws(counting).await?;
        let mut asked = Endpoints::default();
        // What is not made yet needs nothing.
        let is_made = |group: &GroupId, desired: &Desired| {
            let of_group = observed.get(group);
            desired.blocks_creation.is_empty()
                || of_group.is_none_or(|observed| !observed.load_balancers.is_empty())
        };
        let made: Vec<(&Desired, Option<&Observed>)> = all
            .iter()
            .filter(|(group, desired)| is_made(group, desired))
            .map(|(group, desired)| (desired, observed.get(group)))
            .collect();
        for (desired, observed) in &made {
            let Endpoints {
                instances,
                addresses,
            } = endpoints(desired, *observed);
            asked.instances.extend(instances);
            asked.addresses.extend(addresses);
        }
        let pods = pods(&asked.addresses, snapshot);
        let facts = self.memory.backend_facts(&asked.instances, &pods).await?;
        let wished: Vec<GroupPorts> = made
            .into_iter()
            .map(|(desired, observed)| group_ports(desired, observed, &facts, &self.settings))
            .collect();
        let desired = build_backend(&wished, snapshot, &self.settings);
        Ok((desired, wished))
    }
}

/// The pods that have these addresses.
fn pods(addresses: &BTreeSet<String>, snapshot: &Snapshot) -> BTreeSet<PodAddress> {
    if addresses.is_empty() {
        return BTreeSet::new();
    }
    let with_address = snapshot.pods.values().filter_map(|pod| {
        let address = pod.status.as_ref()?.pod_ip.as_ref()?;
        addresses.contains(address).then_some((pod, address))
    });
    with_address
        .map(|(pod, address)| {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            let node = node.and_then(|node| snapshot.nodes.get(node));
            let annotations = pod.metadata.annotations.as_ref();
            PodAddress {
                address: address.clone(),
                instance: node.and_then(|node| instance_id(node).ok()),
                own_interface: annotations.is_some_and(|all| all.contains_key(POD_INTERFACE)),
            }
        })
        .collect()
}

/// The ports that nothing is missing for any more: each is open wherever it
/// should be.
fn open_ports(
    all: &BTreeMap<GroupId, Desired>,
    wished: &[GroupPorts],
    observed: &ObservedBackend,
) -> BTreeSet<u16> {
    let mut ports: BTreeSet<u16> = all
        .values()
        .flat_map(Desired::target_groups)
        .flat_map(|group| group.backend_ports.iter().copied())
        .collect();
    let is_open = |id: &str, port: u16| {
        observed.rules.get(id).is_some_and(|rules| {
            rules
                .iter()
                .filter_map(|rule| rule.ports)
                .any(|(from, to)| (from..=to).contains(&port))
        })
    };
    for (id, needed) in wished.iter().flat_map(|group| &group.ports) {
        for port in needed {
            if !is_open(id, *port) {
                ports.remove(port);
            }
        }
    }
    ports
}
