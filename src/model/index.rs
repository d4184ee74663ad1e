//! What of a snapshot concerns which group, kept up to date from change to
//! change: so that a change costs what it concerns, and not what there is.
//!
//! Everything in it is told by the snapshot alone ([`Index::of`]); who changes
//! an object tells the index, too ([`Indexed`]).

mod indexed;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressClass};

use super::annotations;
use super::endpoints::EndpointSlice;
use super::finding::{Finding, Reason};
use super::group::GroupId;
use super::map::Map;
use super::membership::{self, ClassOf, Place};
use super::relation::Relation;
use super::settings::Settings;
use super::snapshot::{Snapshot, named};
use super::spec::{ObjectName, TargetType};

pub use indexed::Indexed;

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
    /// The Services that have an endpoint which is not ready, by the node of
    /// its pod: a slice need not name nodes.
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
            index.endpoints(service, slices, snapshot);
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

    fn endpoints(
        &mut self,
        service: &ObjectName,
        slices: &[Arc<EndpointSlice>],
        snapshot: &Snapshot,
    ) {
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

    /// The Services that have an endpoint which is not ready, of a pod on this
    /// node.
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
        let of_service = snapshot
            .services
            .get(&service)
            .and_then(|service| annotations::value(service.annotations.as_deref(), "target-type"));
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
