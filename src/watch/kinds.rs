//! The kinds that are watched: what is kept of each object, where it stands in
//! the snapshot, and when two versions of it say the same.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{
    Container, Namespace, Node, NodeSpec, NodeStatus, Pod, PodSpec, PodStatus, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::routes::{self, View};
use super::stores::Kept;
use crate::key::Key;
use crate::lane::Lane;
use crate::model::snapshot::{SERVICE_NAME_LABEL, TargetGroupBinding};
use crate::model::spec::ObjectName;
use crate::model::writers::keep_writers_of_finalizers;

/// Annotation of `kubectl apply` that repeats the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A kind that is watched.
pub(super) trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + Default + DeserializeOwned + Send + Sync + 'static
{
    /// How urgent a change is.
    const LANE: Lane = Lane::Edit;

    /// What an object is found by.
    type Id: Clone + Debug + Ord + Send;

    /// What an object with this metadata is found by.
    fn id(metadata: &ObjectMeta) -> Self::Id;

    /// Drops what nothing depends on.
    fn trim(&mut self);

    /// Whether a change from one version to the other can change a decision.
    fn differs(&self, other: &Self) -> bool;

    /// All objects that are kept.
    fn ids(kept: &Kept) -> BTreeSet<Self::Id>;

    /// One object.
    fn find(kept: &Kept, id: &Self::Id) -> Option<Arc<Self>>;

    /// Keeps an object.
    fn keep(kept: &mut Kept, id: Self::Id, object: Arc<Self>);

    /// Drops an object.
    fn forget(kept: &mut Kept, id: &Self::Id);

    /// The keys that a change concerns.
    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key>;
}

/// Metadata with nothing but names and uid, and what else is asked for.
fn bare(metadata: &mut ObjectMeta, keep: impl FnOnce(&ObjectMeta, &mut ObjectMeta)) {
    let all = std::mem::take(metadata);
    keep(&all, metadata);
    metadata.name = all.name;
    metadata.namespace = all.namespace;
    metadata.uid = all.uid;
}

fn namespaced(metadata: &ObjectMeta) -> ObjectName {
    ObjectName::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

fn named(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// The store of a kind that is one map of the snapshot.
macro_rules! stored_in {
    ($map:ident, $id:ty, $named:path) => {
        type Id = $id;

        fn id(metadata: &ObjectMeta) -> Self::Id {
            $named(metadata)
        }

        fn ids(kept: &Kept) -> BTreeSet<Self::Id> {
            kept.snapshot.$map.keys().cloned().collect()
        }

        fn find(kept: &Kept, id: &Self::Id) -> Option<Arc<Self>> {
            kept.snapshot.$map.get(id).cloned()
        }

        fn keep(kept: &mut Kept, id: Self::Id, object: Arc<Self>) {
            Arc::make_mut(&mut kept.snapshot).$map.insert(id, object);
        }

        fn forget(kept: &mut Kept, id: &Self::Id) {
            Arc::make_mut(&mut kept.snapshot).$map.remove(id);
        }
    };
}

impl Kind for Ingress {
    stored_in!(ingresses, ObjectName, namespaced);

    fn trim(&mut self) {
        keep_writers_of_finalizers(&mut self.metadata);
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
    }

    /// Neither the status, which is ours to write, nor the resource version,
    /// which every write moves; nor `generation`, which annotations do not.
    fn differs(&self, other: &Self) -> bool {
        let said = |ingress: &Self| {
            let metadata = &ingress.metadata;
            (
                metadata.uid.clone(),
                metadata.deletion_timestamp.clone(),
                metadata.annotations.clone().unwrap_or_default(),
                metadata.labels.clone().unwrap_or_default(),
                metadata.finalizers.clone().unwrap_or_default(),
            )
        };
        self.spec != other.spec || said(self) != said(other)
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::ingress(old, new, view)
    }
}

impl Kind for IngressClass {
    stored_in!(ingress_classes, String, named);

    fn trim(&mut self) {
        bare(&mut self.metadata, |all, kept| {
            kept.annotations.clone_from(&all.annotations);
            if let Some(annotations) = &mut kept.annotations {
                annotations.remove(LAST_APPLIED);
            }
        });
    }

    fn differs(&self, other: &Self) -> bool {
        self != other
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::ingress_class(old, new, view)
    }
}

impl Kind for Service {
    stored_in!(services, ObjectName, namespaced);

    fn trim(&mut self) {
        bare(&mut self.metadata, |all, kept| {
            kept.annotations.clone_from(&all.annotations);
            if let Some(annotations) = &mut kept.annotations {
                annotations.remove(LAST_APPLIED);
            }
        });
        self.status = None;
    }

    fn differs(&self, other: &Self) -> bool {
        self != other
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::service(old.or(new), view)
    }
}

/// The Service that a slice belongs to.
fn service_of(slice: &EndpointSlice) -> Option<ObjectName> {
    let labels = slice.metadata.labels.as_ref()?;
    Some(ObjectName::new(
        slice.metadata.namespace.clone().unwrap_or_default(),
        labels.get(SERVICE_NAME_LABEL)?,
    ))
}

impl Kind for EndpointSlice {
    const LANE: Lane = Lane::Targets;

    type Id = ObjectName;

    fn id(metadata: &ObjectMeta) -> Self::Id {
        namespaced(metadata)
    }

    fn trim(&mut self) {
        bare(&mut self.metadata, |all, kept| {
            let service = all
                .labels
                .as_ref()
                .and_then(|labels| labels.get_key_value(SERVICE_NAME_LABEL));
            kept.labels = service.map(|(key, name)| [(key.clone(), name.clone())].into());
            // What targets were made from is told by it after a restart.
            kept.resource_version.clone_from(&all.resource_version);
        });
        for endpoint in &mut self.endpoints {
            endpoint.deprecated_topology = None;
            endpoint.hints = None;
            endpoint.hostname = None;
            if let Some(target) = &mut endpoint.target_ref {
                target.resource_version = None;
            }
        }
    }

    fn differs(&self, other: &Self) -> bool {
        self != other
    }

    fn ids(kept: &Kept) -> BTreeSet<Self::Id> {
        kept.slices.keys().cloned().collect()
    }

    fn find(kept: &Kept, id: &Self::Id) -> Option<Arc<Self>> {
        kept.slices.get(id).cloned()
    }

    fn keep(kept: &mut Kept, id: Self::Id, object: Arc<Self>) {
        // Its label may name another Service than before.
        Self::forget(kept, &id);
        if let Some(service) = service_of(&object) {
            let slices = &mut Arc::make_mut(&mut kept.snapshot).endpoint_slices;
            slices.entry(service).or_default().push(Arc::clone(&object));
        }
        kept.slices.insert(id, object);
    }

    fn forget(kept: &mut Kept, id: &Self::Id) {
        let Some(service) = kept.slices.remove(id).as_deref().and_then(service_of) else {
            return;
        };
        let slices = &mut Arc::make_mut(&mut kept.snapshot).endpoint_slices;
        if let Some(of_service) = slices.get_mut(&service) {
            of_service.retain(|slice| Self::id(&slice.metadata) != *id);
            if of_service.is_empty() {
                slices.remove(&service);
            }
        }
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        [old, new]
            .into_iter()
            .flatten()
            .filter_map(service_of)
            .flat_map(|service| routes::endpoints(&service, view))
            .collect()
    }
}

impl Kind for Pod {
    const LANE: Lane = Lane::Targets;

    stored_in!(pods, ObjectName, namespaced);

    /// A whole pod is large and there are many: what is kept is a fiftieth.
    fn trim(&mut self) {
        bare(&mut self.metadata, |all, kept| {
            kept.deletion_timestamp.clone_from(&all.deletion_timestamp);
        });
        self.spec = self.spec.take().map(|spec| PodSpec {
            node_name: spec.node_name,
            host_network: spec.host_network,
            containers: spec
                .containers
                .into_iter()
                .map(|container| Container {
                    name: container.name,
                    ports: container.ports,
                    ..Container::default()
                })
                .collect(),
            ..PodSpec::default()
        });
        self.status = self.status.take().map(|status| PodStatus {
            pod_ip: status.pod_ip,
            pod_ips: status.pod_ips,
            conditions: status.conditions.map(|mut conditions| {
                conditions.retain(|condition| {
                    matches!(condition.type_.as_str(), "ContainersReady" | "Ready")
                });
                for condition in &mut conditions {
                    condition.last_probe_time = None;
                    if condition.type_ != "ContainersReady" {
                        condition.last_transition_time = None;
                    }
                    condition.message = None;
                    condition.reason = None;
                }
                conditions
            }),
            ..PodStatus::default()
        });
    }

    fn differs(&self, other: &Self) -> bool {
        self != other
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        new.or(old)
            .map(|pod| routes::pod(&namespaced(&pod.metadata), view))
            .unwrap_or_default()
    }
}

impl Kind for Node {
    const LANE: Lane = Lane::Targets;

    stored_in!(nodes, String, named);

    fn trim(&mut self) {
        bare(&mut self.metadata, |all, kept| {
            kept.labels.clone_from(&all.labels);
        });
        self.spec = self.spec.take().map(|spec| NodeSpec {
            provider_id: spec.provider_id,
            taints: spec.taints.map(|mut taints| {
                for taint in &mut taints {
                    taint.time_added = None;
                }
                taints
            }),
            unschedulable: spec.unschedulable,
            ..NodeSpec::default()
        });
        self.status = self.status.take().map(|status| NodeStatus {
            addresses: status.addresses,
            conditions: status.conditions.map(|mut conditions| {
                conditions.retain(|condition| condition.type_ == "Ready");
                for condition in &mut conditions {
                    // Heartbeats move these.
                    condition.last_heartbeat_time = None;
                    condition.last_transition_time = None;
                    condition.message = None;
                    condition.reason = None;
                }
                conditions
            }),
            ..NodeStatus::default()
        });
    }

    fn differs(&self, other: &Self) -> bool {
        self != other
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        new.or(old)
            .map(|node| routes::node(&named(&node.metadata), view))
            .unwrap_or_default()
    }
}

impl Kind for Namespace {
    stored_in!(namespaces, String, named);

    fn trim(&mut self) {
        bare(&mut self.metadata, |all, kept| {
            kept.labels.clone_from(&all.labels);
        });
        self.spec = None;
        self.status = None;
    }

    fn differs(&self, other: &Self) -> bool {
        self != other
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        new.or(old)
            .map(|namespace| routes::namespace(&named(&namespace.metadata), view))
            .unwrap_or_default()
    }
}

/// A `TargetGroupBinding` of aws-load-balancer-controller: its metadata.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Binding {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl Resource for Binding {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        "TargetGroupBinding".into()
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        "elbv2.k8s.aws".into()
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        "v1beta1".into()
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        "targetgroupbindings".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Binding {
    /// What decisions see of it.
    pub(super) fn seen(&self) -> TargetGroupBinding {
        TargetGroupBinding {
            name: namespaced(&self.metadata),
            labels: self.metadata.labels.clone().unwrap_or_default(),
        }
    }
}

impl Kind for Binding {
    type Id = ObjectName;

    fn id(metadata: &ObjectMeta) -> Self::Id {
        namespaced(metadata)
    }

    fn trim(&mut self) {
        bare(&mut self.metadata, |all, kept| {
            kept.labels.clone_from(&all.labels);
        });
    }

    fn differs(&self, other: &Self) -> bool {
        self.metadata != other.metadata
    }

    fn ids(kept: &Kept) -> BTreeSet<Self::Id> {
        let bindings = &kept.snapshot.target_group_bindings;
        bindings
            .iter()
            .map(|binding| binding.name.clone())
            .collect()
    }

    fn find(kept: &Kept, id: &Self::Id) -> Option<Arc<Self>> {
        let bindings = &kept.snapshot.target_group_bindings;
        let binding = bindings.iter().find(|binding| binding.name == *id)?;
        Some(Arc::new(Self {
            metadata: ObjectMeta {
                name: Some(binding.name.name.clone()),
                namespace: Some(binding.name.namespace.clone()),
                labels: Some(binding.labels.clone()),
                ..ObjectMeta::default()
            },
        }))
    }

    fn keep(kept: &mut Kept, id: Self::Id, object: Arc<Self>) {
        Self::forget(kept, &id);
        let snapshot = Arc::make_mut(&mut kept.snapshot);
        snapshot.target_group_bindings.push(object.seen());
    }

    fn forget(kept: &mut Kept, id: &Self::Id) {
        let snapshot = Arc::make_mut(&mut kept.snapshot);
        snapshot
            .target_group_bindings
            .retain(|binding| binding.name != *id);
    }

    fn keys(old: Option<&Self>, new: Option<&Self>, view: View<'_>) -> BTreeSet<Key> {
        let seen: Vec<_> = [old, new].into_iter().flatten().map(Self::seen).collect();
        routes::bindings(seen, view)
    }
}
