//! What of a snapshot concerns which group, kept up to date from change to
//! change: so that a change costs what it concerns, and not what there is.
//!
//! Everything in it is told by the snapshot alone ([`Index::of`]); who changes
//! an object tells the index, too.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{Ingress, IngressBackend};

use super::arrivals::Arrivals;
use super::endpoints::{EndpointSlice, Pod};
use super::finding::{Finding, Reason};
use super::group::GroupId;
use super::map::Map;
use super::membership::{self, Place};
use super::settings::Settings;
use super::snapshot::{Snapshot, TargetGroupBinding, named};
use super::spec::ObjectName;

/// A snapshot with its index; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Indexed {
    /// What Kubernetes says.
    pub snapshot: Snapshot,
    index: Index,
    changes: Changes,
    arrivals: Arrivals,
    /// How many Ingresses have gone so far.
    removed: u64,
}

impl Deref for Indexed {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Indexed {
    /// A snapshot with an index that is made from scratch.
    pub fn of(snapshot: Snapshot, settings: &Settings) -> Self {
        let index = Index::of(&snapshot, settings);
        Self {
            snapshot,
            index,
            changes: Changes::default(),
            arrivals: Arrivals::default(),
            removed: 0,
        }
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// When which group changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The addresses that pods came to.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// How many Ingresses have gone since the process began.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Notes that what a group is built from has changed.
    pub fn changed(&mut self, group: &GroupId) {
        self.changes.note(group, self.index.groups.len());
    }

    /// An Ingress came, went or changed, and the snapshot has it so.
    pub fn ingress_changed(
        &mut self,
        old: Option<&Ingress>,
        new: Option<&Ingress>,
        settings: &Settings,
    ) {
        if let Some(old) = old {
            self.index.leave(old);
        }
        if let Some(new) = new {
            self.index.enter(new, &self.snapshot, settings);
        } else {
            self.removed += 1;
        }
    }

    /// An IngressClass changed: whose any Ingress is may be another now.
    pub fn classes_changed(&mut self, settings: &Settings) {
        let fresh = Index::of_ingresses(&self.snapshot, settings);
        self.index.groups = fresh.groups;
        self.index.of_ingress = fresh.of_ingress;
        self.index.users = fresh.users;
        self.index.strays = fresh.strays;
    }

    /// EndpointSlices of a Service changed.
    pub fn endpoints_changed(&mut self, service: &ObjectName) {
        let slices = self.snapshot.endpoint_slices.get(service);
        let slices = slices.map(Vec::as_slice).unwrap_or_default();
        self.index.endpoints(service, slices, &self.snapshot);
    }

    /// A pod came, went or changed, and the snapshot has it so.
    pub fn pod_changed(&mut self, name: &ObjectName, old: Option<&Pod>, new: Option<&Pod>) {
        let node = |pod: Option<&Pod>| pod.and_then(|pod| pod.node.clone());
        if node(old) != node(new) {
            let waiting: Vec<_> = self.index.waiting_for_pod(name).cloned().collect();
            for service in waiting {
                self.endpoints_changed(&service);
            }
        }
        if let Some(new) = new.filter(|new| new.has_come(old)) {
            self.arrivals.note(new.address);
        }
        let address = |pod: Option<&Pod>| pod.and_then(|pod| pod.address);
        let (old, new) = (address(old), address(new));
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.index.addresses.remove(&(old, name.clone()));
        }
        if let Some(new) = new {
            self.index.addresses.insert((new, name.clone()), ());
        }
    }

    /// A TargetGroupBinding came, went or changed.
    pub fn binding_changed(
        &mut self,
        old: Option<&TargetGroupBinding>,
        new: Option<&TargetGroupBinding>,
    ) {
        if let Some(group) = new.and_then(membership::group_of_binding) {
            self.index.left_alone.change(group, |count| *count += 1);
        }
        if let Some(group) = old.and_then(membership::group_of_binding)
            && let Some(count) = self.index.left_alone.get_mut(&group)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.index.left_alone.remove(&group);
            }
        }
    }
}

/// In order.
type Names = Arc<Vec<ObjectName>>;

/// What concerns which group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// The Ingresses that have to do with a group: its members and those that
    /// leave it.
    groups: Map<GroupId, Names>,
    /// The groups that an Ingress has to do with; without those of others.
    of_ingress: Map<ObjectName, Arc<BTreeSet<GroupId>>>,
    /// The Ingresses with groups that name a Service.
    users: Map<ObjectName, Names>,
    /// What is wrong with Ingresses that are in no group.
    strays: Map<ObjectName, Finding>,
    /// The pods and nodes of the endpoints of a Service that are not ready.
    waiting: Map<ObjectName, Arc<Waiting>>,
    /// The Services that have an endpoint of a pod which is not ready.
    of_pod: Map<ObjectName, Names>,
    /// The Services that have an endpoint which is not ready, by the node of
    /// its pod: a slice need not name nodes.
    of_node: Map<String, Names>,
    /// The pods by their addresses.
    addresses: Map<(IpAddr, ObjectName), ()>,
    /// Groups of another controller, with the number of their bindings.
    left_alone: Map<GroupId, usize>,
}

/// Pods and nodes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Waiting {
    pods: BTreeSet<ObjectName>,
    nodes: BTreeSet<String>,
}

impl Index {
    /// The index of a snapshot.
    pub fn of(snapshot: &Snapshot, settings: &Settings) -> Self {
        let mut index = Self::of_ingresses(snapshot, settings);
        for (service, slices) in snapshot.endpoint_slices.iter() {
            index.endpoints(service, slices, snapshot);
        }
        let pods = snapshot.pods.iter();
        let addresses = pods.filter_map(|(name, pod)| Some(((pod.address?, name.clone()), ())));
        index.addresses.extend(addresses);
        let bindings = snapshot.target_group_bindings.iter();
        for group in bindings.filter_map(membership::group_of_binding) {
            index.left_alone.change(group, |count| *count += 1);
        }
        index
    }

    fn of_ingresses(snapshot: &Snapshot, settings: &Settings) -> Self {
        let mut index = Self::default();
        for ingress in snapshot.ingresses.values() {
            index.enter(ingress, snapshot, settings);
        }
        index
    }

    fn enter(&mut self, ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) {
        let name = named(&ingress.metadata);
        let mut groups: BTreeSet<GroupId> =
            membership::finalizer_groups(ingress).into_iter().collect();
        match membership::group_of(ingress, snapshot, settings) {
            Place::Member(group, _) => {
                groups.insert(group);
            }
            Place::Unreadable(finding) if groups.is_empty() => {
                self.strays.insert(name.clone(), finding);
            }
            Place::Unreadable(_) | Place::Nowhere => {}
        }
        if groups.is_empty() {
            return;
        }
        for group in &groups {
            add(&mut self.groups, group, &name);
        }
        for service in services_of(ingress) {
            let service = ObjectName::new(&name.namespace, service);
            add(&mut self.users, &service, &name);
        }
        self.of_ingress.insert(name, Arc::new(groups));
    }

    fn leave(&mut self, ingress: &Ingress) {
        let name = named(&ingress.metadata);
        self.strays.remove(&name);
        let Some(groups) = self.of_ingress.remove(&name) else {
            return;
        };
        for group in groups.iter() {
            take(&mut self.groups, group, &name);
        }
        for service in services_of(ingress) {
            let service = ObjectName::new(&name.namespace, service);
            take(&mut self.users, &service, &name);
        }
    }

    fn endpoints(
        &mut self,
        service: &ObjectName,
        slices: &[Arc<EndpointSlice>],
        snapshot: &Snapshot,
    ) {
        if let Some(before) = self.waiting.remove(service) {
            for pod in &before.pods {
                take(&mut self.of_pod, pod, service);
            }
            for node in &before.nodes {
                take(&mut self.of_node, node, service);
            }
        }
        let mut now = Waiting::default();
        for endpoint in slices.iter().flat_map(|slice| slice.waiting()) {
            let pod = endpoint.pod.as_ref();
            let known = pod.and_then(|pod| snapshot.pods.get(pod));
            let node = known.and_then(|pod| pod.node.as_deref());
            now.nodes.extend(node.map(str::to_owned));
            now.pods.extend(pod.cloned());
        }
        if now == Waiting::default() {
            return;
        }
        for pod in &now.pods {
            add(&mut self.of_pod, pod, service);
        }
        for node in &now.nodes {
            add(&mut self.of_node, node, service);
        }
        self.waiting.insert(service.clone(), Arc::new(now));
    }

    /// The Ingresses that have to do with a group, in the order of their
    /// names.
    pub fn ingresses_of(&self, group: &GroupId) -> impl Iterator<Item = &ObjectName> {
        self.groups
            .get(group)
            .into_iter()
            .flat_map(|names| names.iter())
    }

    /// All groups that an Ingress has to do with.
    pub fn groups(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.keys()
    }

    /// Whether some Ingress has to do with a group.
    pub fn has_group(&self, group: &GroupId) -> bool {
        self.groups.contains_key(group)
    }

    /// The groups that an Ingress has to do with.
    pub fn groups_of(&self, ingress: &ObjectName) -> impl Iterator<Item = &GroupId> {
        let groups = self.of_ingress.get(ingress);
        groups.into_iter().flat_map(|groups| groups.iter())
    }

    /// The groups of the Ingresses that name a Service.
    pub fn groups_of_service(&self, service: &ObjectName) -> impl Iterator<Item = &GroupId> {
        let users = self.users.get(service).into_iter();
        let users = users.flat_map(|names| names.iter());
        users.flat_map(|ingress| self.groups_of(ingress))
    }

    /// Whether an Ingress with groups names a Service of a namespace.
    pub fn is_used(&self, namespace: &str) -> bool {
        // Before every name in it.
        let first = ObjectName::new(namespace, "");
        let next = self.users.after(&first).next();
        next.is_some_and(|(service, _)| service.namespace == namespace)
    }

    /// The Services that have an endpoint of this pod which is not ready.
    pub fn waiting_for_pod(&self, pod: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.of_pod
            .get(pod)
            .into_iter()
            .flat_map(|names| names.iter())
    }

    /// The Services that have an endpoint which is not ready, of a pod on this
    /// node.
    pub fn waiting_on_node(&self, node: &str) -> impl Iterator<Item = &ObjectName> {
        self.of_node
            .get(node)
            .into_iter()
            .flat_map(|names| names.iter())
    }

    /// The pods that have an address.
    pub fn pods_at(&self, address: IpAddr) -> impl Iterator<Item = &ObjectName> {
        // Before every pod's own name.
        let first = (address, ObjectName::new("", ""));
        let from_here = self.addresses.after(&first).map(|(entry, ())| entry);
        let here = from_here.take_while(move |(at, _)| *at == address);
        here.map(|(_, pod)| pod)
    }

    /// What is wrong with Ingresses that are in no group: nobody else reports
    /// them.
    pub fn strays(&self) -> impl Iterator<Item = &Finding> {
        self.strays.values()
    }

    /// Ingresses of ours that are in no group because the name of theirs
    /// cannot be read, each by the group that it would have alone.
    pub fn lost(&self) -> std::collections::BTreeMap<GroupId, &Finding> {
        self.strays()
            .filter(|finding| finding.reason == Reason::InvalidGroup)
            .map(|finding| (GroupId::Implicit(finding.ingress.clone()), finding))
            .collect()
    }

    /// Whether another controller manages a group with TargetGroupBindings.
    pub fn is_left_alone(&self, group: &GroupId) -> bool {
        self.left_alone.contains_key(group)
    }

    /// Groups that another controller manages. They need not have members.
    pub fn left_alone(&self) -> impl Iterator<Item = &GroupId> {
        self.left_alone.keys()
    }
}

fn add<K: Clone + Ord>(map: &mut Map<K, Names>, key: &K, name: &ObjectName) {
    map.change(key.clone(), |names| {
        if let Err(place) = names.binary_search(name) {
            Arc::make_mut(names).insert(place, name.clone());
        }
    });
}

fn take<K: Clone + Ord>(map: &mut Map<K, Names>, key: &K, name: &ObjectName) {
    let Some(names) = map.get_mut(key) else {
        return;
    };
    if let Ok(place) = names.binary_search(name) {
        Arc::make_mut(names).remove(place);
    }
    if names.is_empty() {
        map.remove(key);
    }
}

/// Names of the Services that an Ingress sends requests to.
pub fn services_of(ingress: &Ingress) -> impl Iterator<Item = &str> {
    let spec = ingress.spec.as_ref();
    let default = spec.and_then(|spec| spec.default_backend.as_ref());
    let rules = spec
        .into_iter()
        .flat_map(|spec| spec.rules.iter().flatten());
    let paths = rules.flat_map(|rule| rule.http.iter().flat_map(|http| &http.paths));
    let backends = default.into_iter().chain(paths.map(|path| &path.backend));
    backends.filter_map(|backend: &IngressBackend| {
        backend
            .service
            .as_ref()
            .map(|service| service.name.as_str())
    })
}

/// Which group changed when, counted in changes.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    last: u64,
    of: Map<GroupId, u64>,
    order: Map<u64, GroupId>,
    /// Changes up to this one are forgotten.
    forgotten: u64,
}

/// So many more changes are remembered than there are groups.
const MORE: usize = 1000;

impl Changes {
    fn note(&mut self, group: &GroupId, groups: usize) {
        self.last += 1;
        if let Some(before) = self.of.insert(group.clone(), self.last) {
            self.order.remove(&before);
        }
        self.order.insert(self.last, group.clone());
        // Groups come and go.
        if self.order.len() > groups + MORE {
            let first = self.order.iter().next();
            if let Some((first, gone)) = first.map(|(at, group)| (*at, group.clone())) {
                self.forgotten = first;
                self.order.remove(&first);
                self.of.remove(&gone);
            }
        }
    }

    /// The last change of all.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The last change of a group, or one that it did not come after.
    pub fn of(&self, group: &GroupId) -> u64 {
        self.of.get(group).copied().unwrap_or(self.forgotten)
    }

    /// The groups that changed after another change; `None` where that is so
    /// long ago that it cannot be told.
    pub fn since(&self, change: u64) -> Option<impl Iterator<Item = &GroupId>> {
        if change < self.forgotten {
            return None;
        }
        Some(self.order.after(&change).map(|(_, group)| group))
    }
}
