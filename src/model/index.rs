//! What of a snapshot concerns which group, kept up to date from change to
//! change: so that a change costs what it concerns, and not what there is.
//!
//! Everything in it is told by the snapshot alone ([`Index::of`]); who changes
//! an object tells the index, too.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressClass};

use super::annotations;
use super::changes::Changes;
use super::endpoints::{EndpointSlice, Pod};
use super::finding::{Finding, Reason};
use super::group::GroupId;
use super::map::Map;
use super::membership::{self, ClassOf, Place};
use super::relation::Relation;
use super::settings::Settings;
use super::snapshot::{Snapshot, TargetGroupBinding, named};
use super::spec::{ObjectName, TargetType};

/// A snapshot with its index; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Indexed {
    /// What Kubernetes says.
    pub snapshot: Snapshot,
    index: Index,
    changes: Changes<GroupId>,
    /// Ingresses that have gone.
    removed: Changes<ObjectName>,
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
            removed: Changes::default(),
        }
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// When which group changed.
    pub fn changes(&self) -> &Changes<GroupId> {
        &self.changes
    }

    /// Which Ingresses have gone since the process began, and when. One of the
    /// same name may have come since.
    pub fn removed(&self) -> &Changes<ObjectName> {
        &self.removed
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
        } else if let Some(old) = old {
            self.removed.note(&named(&old.metadata), 0);
        }
    }

    /// An IngressClass changed: whose the Ingresses of it are may be another
    /// now.
    pub fn class_changed(
        &mut self,
        old: Option<&IngressClass>,
        new: Option<&IngressClass>,
        settings: &Settings,
    ) {
        let concerned = self.index.of_classes(old, new);
        let concerned: Vec<ObjectName> = concerned.cloned().collect();
        for name in concerned {
            if let Some(ingress) = self.snapshot.ingresses.get(&name) {
                self.index.leave(ingress);
                self.index.enter(ingress, &self.snapshot, settings);
            }
        }
    }

    /// A Service came, went or changed: what the targets of its users are may
    /// be another now.
    pub fn service_changed(&mut self, service: &ObjectName, settings: &Settings) {
        let users: Vec<ObjectName> = self.index.users.of(service).cloned().collect();
        for name in users {
            if let Some(ingress) = self.snapshot.ingresses.get(&name) {
                let index = &mut self.index;
                index.look_at_nodes(name, ingress, &self.snapshot, settings);
            }
        }
    }

    /// EndpointSlices of a Service changed.
    pub fn endpoints_changed(&mut self, service: &ObjectName) {
        let slices = self.snapshot.endpoint_slices.get(service);
        let slices = slices.map(Vec::as_slice).unwrap_or_default();
        self.index.endpoints(service, slices);
    }

    /// A pod came, went or changed.
    pub fn pod_changed(&mut self, name: &ObjectName, old: Option<&Pod>, new: Option<&Pod>) {
        let address = |pod: Option<&Pod>| pod.and_then(|pod| pod.address);
        let (old, new) = (address(old), address(new));
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.index.addresses.take(old, name.clone());
        }
        if let Some(new) = new {
            self.index.addresses.add(new, name.clone());
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
    users: Relation<ObjectName>,
    /// All Ingresses by the IngressClass that tells whose they are.
    of_class: Relation<ClassOf>,
    /// The Ingresses with groups that have nodes for targets.
    on_nodes: Map<ObjectName, ()>,
    /// The Ingresses with groups that name security groups.
    choosy: Map<ObjectName, ()>,
    /// What is wrong with Ingresses that are in no group.
    strays: Map<ObjectName, Finding>,
    /// The pods and nodes of the endpoints of a Service that are not ready.
    waiting: Map<ObjectName, Arc<Waiting>>,
    /// The Services that have an endpoint of a pod which is not ready.
    of_pod: Relation<ObjectName>,
    /// The Services that have an endpoint on a node which is not ready.
    of_node: Relation<String>,
    /// The pods by their addresses.
    addresses: Relation<IpAddr>,
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
        let mut index = Self::default();
        for ingress in snapshot.ingresses.values() {
            index.enter(ingress, snapshot, settings);
        }
        for (service, slices) in snapshot.endpoint_slices.iter() {
            index.endpoints(service, slices);
        }
        for (name, pod) in snapshot.pods.iter() {
            if let Some(address) = pod.address {
                index.addresses.add(address, name.clone());
            }
        }
        let bindings = snapshot.target_group_bindings.values();
        for group in bindings.filter_map(|binding| membership::group_of_binding(binding)) {
            index.left_alone.change(group, |count| *count += 1);
        }
        index
    }

    fn enter(&mut self, ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) {
        let name = named(&ingress.metadata);
        if let Some(class) = membership::asked_class(ingress) {
            self.of_class.add(class, name.clone());
        }
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
            self.users.add(service, name.clone());
        }
        self.of_ingress.insert(name.clone(), Arc::new(groups));
        if names_security_groups(ingress) {
            self.choosy.insert(name.clone(), ());
        }
        self.look_at_nodes(name, ingress, snapshot, settings);
    }

    /// Notes whether an Ingress with groups has nodes for targets.
    fn look_at_nodes(
        &mut self,
        name: ObjectName,
        ingress: &Ingress,
        snapshot: &Snapshot,
        settings: &Settings,
    ) {
        let has = has_instance_targets(&name, ingress, snapshot, settings);
        if has == self.on_nodes.contains_key(&name) {
            return;
        }
        if has {
            self.on_nodes.insert(name, ());
        } else {
            self.on_nodes.remove(&name);
        }
    }

    fn leave(&mut self, ingress: &Ingress) {
        let name = named(&ingress.metadata);
        if let Some(class) = membership::asked_class(ingress) {
            self.of_class.take(class, name.clone());
        }
        self.strays.remove(&name);
        self.on_nodes.remove(&name);
        self.choosy.remove(&name);
        let Some(groups) = self.of_ingress.remove(&name) else {
            return;
        };
        for group in groups.iter() {
            take(&mut self.groups, group, &name);
        }
        for service in services_of(ingress) {
            let service = ObjectName::new(&name.namespace, service);
            self.users.take(service, name.clone());
        }
    }

    fn endpoints(&mut self, service: &ObjectName, slices: &[Arc<EndpointSlice>]) {
        if let Some(before) = self.waiting.remove(service) {
            for pod in &before.pods {
                self.of_pod.take(pod.clone(), service.clone());
            }
            for node in &before.nodes {
                self.of_node.take(node.clone(), service.clone());
            }
        }
        let mut now = Waiting::default();
        for endpoint in slices.iter().flat_map(|slice| slice.waiting()) {
            now.nodes
                .extend(endpoint.node.as_deref().map(str::to_owned));
            now.pods.extend(endpoint.pod.clone());
        }
        if now == Waiting::default() {
            return;
        }
        for pod in &now.pods {
            self.of_pod.add(pod.clone(), service.clone());
        }
        for node in &now.nodes {
            self.of_node.add(node.clone(), service.clone());
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
        let users = self.users.of(service);
        users.flat_map(|ingress| self.groups_of(ingress))
    }

    /// The Ingresses whose that are, a class may tell that was as `old` and is
    /// as `new`: those that name it, and those that name none where it is, or
    /// was, the default one.
    pub fn of_classes(
        &self,
        old: Option<&IngressClass>,
        new: Option<&IngressClass>,
    ) -> impl Iterator<Item = &ObjectName> + use<'_> {
        let versions = || [old, new].into_iter().flatten();
        let name = versions().next().map(|class| named(&class.metadata).name);
        let naming = name.map(|name| self.of_class.of(&ClassOf::Named(name)));
        let is_default = versions().any(membership::is_default_class);
        let nameless = is_default.then(|| self.of_class.of(&ClassOf::Default));
        naming
            .into_iter()
            .flatten()
            .chain(nameless.into_iter().flatten())
    }

    /// The Ingresses with groups that have nodes for targets.
    pub fn on_nodes(&self) -> impl Iterator<Item = &ObjectName> {
        self.on_nodes.keys()
    }

    /// The Ingresses with groups that name security groups.
    pub fn naming_security_groups(&self) -> impl Iterator<Item = &ObjectName> {
        self.choosy.keys()
    }

    /// Whether an Ingress with groups names a Service of a namespace.
    pub fn is_used(&self, namespace: &str) -> bool {
        // Before every name in it.
        let next = self.users.next_from(ObjectName::new(namespace, ""));
        next.is_some_and(|service| service.namespace == namespace)
    }

    /// The Services that have an endpoint of this pod which is not ready.
    pub fn waiting_for_pod(&self, pod: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.of_pod.of(pod)
    }

    /// The Services that have an endpoint on this node which is not ready.
    pub fn waiting_on_node(&self, node: &str) -> impl Iterator<Item = &ObjectName> + use<'_> {
        self.of_node.of(&node.to_owned())
    }

    /// The pods that have an address.
    pub fn pods_at(&self, address: IpAddr) -> impl Iterator<Item = &ObjectName> {
        self.addresses.of(&address)
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

/// Whether any Service of an Ingress is reached through instances. A value
/// that cannot be read counts: to wake a group too often is harmless.
fn has_instance_targets(
    name: &ObjectName,
    ingress: &Ingress,
    snapshot: &Snapshot,
    settings: &Settings,
) -> bool {
    let ip = TargetType::Ip.as_str();
    let of_ingress = annotations::value(ingress.metadata.annotations.as_ref(), "target-type");
    services_of(ingress).any(|service| {
        let service = ObjectName::new(name.namespace.clone(), service);
        let of_service = snapshot.services.get(&service).and_then(|service| {
            annotations::value(service.metadata.annotations.as_ref(), "target-type")
        });
        of_service
            .or(of_ingress)
            .unwrap_or(settings.default_target_type.as_str())
            != ip
    })
}

/// Whether an Ingress says which security groups its load balancer has.
fn names_security_groups(ingress: &Ingress) -> bool {
    annotations::value(ingress.metadata.annotations.as_ref(), "security-groups").is_some()
}
