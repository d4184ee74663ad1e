//! The kinds that are watched: what is kept of each object, where it stands in
//! the snapshot, and when two versions of it say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{
    Namespace, Node, NodeSpec, NodeStatus, Pod, Service, ServiceSpec,
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
use crate::model::annotations::{CLASS_ANNOTATION, PREFIX};
use crate::model::endpoints;
use crate::model::index::Indexed;
use crate::model::settings::Settings;
use crate::model::snapshot::TargetGroupBinding;
use crate::model::spec::ObjectName;
use crate::model::targets;
use crate::model::writers::keep_writers_of_finalizers;

/// Annotation of `kubectl apply` that repeats the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A kind that is watched.
pub(super) trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + Default + DeserializeOwned + Send + Sync + 'static
{
    /// How urgent a change is.
    const LANE: Lane = Lane::Edit;

    /// What is kept of an object.
    type Kept: Clone + Debug + Send + Sync;

    /// What an object is found by.
    type Id: Clone + Debug + Ord + Send;

    /// What an object with this metadata is found by.
    fn id(metadata: &ObjectMeta) -> Self::Id;

    /// What decisions depend on.
    fn kept(self) -> Self::Kept;

    /// Whether a change from one version to the other can change a decision.
    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool;

    /// All objects that are kept.
    fn ids(kept: &Kept) -> BTreeSet<Self::Id>;

    /// One object.
    fn find(kept: &Kept, id: &Self::Id) -> Option<Arc<Self::Kept>>;

    /// Keeps an object.
    fn keep(kept: &mut Kept, id: Self::Id, object: Arc<Self::Kept>);

    /// Drops an object.
    fn forget(kept: &mut Kept, id: &Self::Id);

    /// Whether a change may concern other keys than before, even if the
    /// object itself says nothing of them.
    const MOVES: bool = false;

    /// Tells the index of a change that the snapshot has in it already.
    fn index(_known: &mut Indexed, _of: &Of<'_, Self>, _settings: &Settings) {}

    /// The keys that a change concerns.
    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key>;
}

/// One object before and after a change.
pub(super) struct Of<'a, K: Kind> {
    /// Which.
    pub(super) id: &'a K::Id,
    /// `None`: it has come.
    pub(super) old: Option<&'a K::Kept>,
    /// `None`: it has gone.
    pub(super) new: Option<&'a K::Kept>,
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
    ($map:ident, $id:ty, $named:path, $kept:ty) => {
        type Kept = $kept;
        type Id = $id;

        fn id(metadata: &ObjectMeta) -> Self::Id {
            $named(metadata)
        }

        fn ids(kept: &Kept) -> BTreeSet<Self::Id> {
            kept.known.$map.keys().cloned().collect()
        }

        fn find(kept: &Kept, id: &Self::Id) -> Option<Arc<Self::Kept>> {
            kept.known.$map.get(id).cloned()
        }

        fn keep(kept: &mut Kept, id: Self::Id, object: Arc<Self::Kept>) {
            Arc::make_mut(&mut kept.known)
                .snapshot
                .$map
                .insert(id, object);
        }

        fn forget(kept: &mut Kept, id: &Self::Id) {
            Arc::make_mut(&mut kept.known).snapshot.$map.remove(id);
        }
    };
}

impl Kind for Ingress {
    stored_in!(ingresses, ObjectName, namespaced, Self);

    fn kept(mut self) -> Self {
        keep_writers_of_finalizers(&mut self.metadata);
        self.metadata.labels = None;
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.retain(|key, _| key.starts_with(PREFIX) || key == CLASS_ANNOTATION);
        }
        self
    }

    /// Neither the status, which is ours to write, nor the resource version,
    /// which every write moves; nor `generation`, which annotations do not.
    fn differs(old: &Self, new: &Self) -> bool {
        let said = |ingress: &Self| {
            let metadata = &ingress.metadata;
            (
                metadata.uid.clone(),
                metadata.deletion_timestamp.clone(),
                metadata.annotations.clone().unwrap_or_default(),
                metadata.finalizers.clone().unwrap_or_default(),
            )
        };
        old.spec != new.spec || said(old) != said(new)
    }

    fn index(known: &mut Indexed, of: &Of<'_, Self>, settings: &Settings) {
        known.ingress_changed(of.old, of.new, settings);
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::ingress(of.old, of.new, view)
    }
}

impl Kind for IngressClass {
    const MOVES: bool = true;

    stored_in!(ingress_classes, String, named, Self);

    fn kept(mut self) -> Self {
        bare(&mut self.metadata, |all, kept| {
            kept.annotations.clone_from(&all.annotations);
            if let Some(annotations) = &mut kept.annotations {
                annotations.remove(LAST_APPLIED);
            }
        });
        self
    }

    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool {
        old != new
    }

    fn index(known: &mut Indexed, of: &Of<'_, Self>, settings: &Settings) {
        known.class_changed(of.old, of.new, settings);
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::ingress_class(of.old, of.new, view)
    }
}

impl Kind for Service {
    stored_in!(services, ObjectName, namespaced, Self);

    fn kept(mut self) -> Self {
        bare(&mut self.metadata, |all, kept| {
            let annotations = all.annotations.iter().flatten();
            let ours = annotations.filter(|(key, _)| key.starts_with(PREFIX));
            let ours: BTreeMap<_, _> = ours
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            kept.annotations = Some(ours).filter(|ours| !ours.is_empty());
        });
        self.spec = self.spec.take().map(|spec| ServiceSpec {
            type_: spec.type_,
            ports: spec.ports,
            ip_families: spec.ip_families,
            ..ServiceSpec::default()
        });
        self.status = None;
        self
    }

    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool {
        old != new
    }

    fn index(known: &mut Indexed, of: &Of<'_, Self>, settings: &Settings) {
        known.service_changed(of.id, settings);
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::endpoints(of.id, view)
    }
}

/// The Services that a slice belongs, or belonged, to.
fn services_of<'a>(of: &Of<'a, EndpointSlice>) -> BTreeSet<&'a ObjectName> {
    let versions = [of.old, of.new].into_iter().flatten();
    versions
        .filter_map(|slice| slice.service.as_ref())
        .collect()
}

impl Kind for EndpointSlice {
    const LANE: Lane = Lane::Targets;

    type Kept = endpoints::EndpointSlice;
    type Id = ObjectName;

    fn id(metadata: &ObjectMeta) -> Self::Id {
        namespaced(metadata)
    }

    fn kept(self) -> Self::Kept {
        self.into()
    }

    /// The version counts: what targets were made from is told by it after a
    /// restart.
    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool {
        old != new
    }

    fn ids(kept: &Kept) -> BTreeSet<Self::Id> {
        kept.slices.keys().cloned().collect()
    }

    fn find(kept: &Kept, id: &Self::Id) -> Option<Arc<Self::Kept>> {
        kept.slices.get(id).cloned()
    }

    fn keep(kept: &mut Kept, id: Self::Id, object: Arc<Self::Kept>) {
        // Its label may name another Service than before.
        Self::forget(kept, &id);
        if let Some(service) = object.service.clone() {
            let known = Arc::make_mut(&mut kept.known);
            let slices = &mut known.snapshot.endpoint_slices;
            slices.change(service, |slices| slices.push(Arc::clone(&object)));
        }
        kept.slices.insert(id, object);
    }

    fn forget(kept: &mut Kept, id: &Self::Id) {
        let Some(slice) = kept.slices.remove(id) else {
            return;
        };
        let slices = &mut Arc::make_mut(&mut kept.known).snapshot.endpoint_slices;
        if let Some(service) = &slice.service
            && let Some(of_service) = slices.get_mut(service)
        {
            of_service.retain(|other| other.name != slice.name);
            if of_service.is_empty() {
                slices.remove(service);
            }
        }
    }

    fn index(known: &mut Indexed, of: &Of<'_, Self>, _: &Settings) {
        for service in services_of(of) {
            known.endpoints_changed(service);
        }
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        let services = services_of(of).into_iter();
        services
            .flat_map(|service| routes::endpoints(service, view))
            .collect()
    }
}

impl Kind for Pod {
    const LANE: Lane = Lane::Targets;

    stored_in!(pods, ObjectName, namespaced, endpoints::Pod);

    fn kept(self) -> Self::Kept {
        self.into()
    }

    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool {
        old != new
    }

    fn index(known: &mut Indexed, of: &Of<'_, Self>, _: &Settings) {
        known.pod_changed(of.id, of.old, of.new);
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::pod(of.id, of.old, of.new, view)
    }
}

impl Kind for Node {
    const LANE: Lane = Lane::Targets;

    stored_in!(nodes, String, named, Self);

    fn kept(mut self) -> Self {
        bare(&mut self.metadata, |all, kept| {
            let labels = all.labels.iter().flatten();
            let counting = labels.filter(|(key, _)| targets::counts(key));
            let counting = counting.map(|(key, value)| (key.clone(), value.clone()));
            kept.labels = Some(counting.collect());
        });
        self.spec = self.spec.take().map(|spec| NodeSpec {
            provider_id: spec.provider_id,
            taints: spec.taints.map(|mut taints| {
                for taint in &mut taints {
                    taint.time_added = None;
                }
                taints
            }),
            ..NodeSpec::default()
        });
        self.status = self.status.take().map(|status| NodeStatus {
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
        self
    }

    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool {
        old != new
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::node(of.id, view)
    }
}

impl Kind for Namespace {
    stored_in!(namespaces, String, named, Self);

    fn kept(mut self) -> Self {
        bare(&mut self.metadata, |all, kept| {
            kept.labels.clone_from(&all.labels);
        });
        self.spec = None;
        self.status = None;
        self
    }

    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool {
        old != new
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        routes::namespace(of.id, view)
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

impl Kind for Binding {
    stored_in!(
        target_group_bindings,
        ObjectName,
        namespaced,
        TargetGroupBinding
    );

    fn kept(self) -> Self::Kept {
        TargetGroupBinding::of(&self.metadata)
    }

    fn differs(old: &Self::Kept, new: &Self::Kept) -> bool {
        old != new
    }

    fn index(known: &mut Indexed, of: &Of<'_, Self>, _: &Settings) {
        known.binding_changed(of.old, of.new);
    }

    fn keys(of: &Of<'_, Self>, view: View<'_>) -> BTreeSet<Key> {
        let versions = [of.old, of.new].into_iter().flatten();
        routes::bindings(versions, view)
    }
}
