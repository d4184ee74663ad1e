//! What is known of Kubernetes: one snapshot of all kinds, kept up to date.
//!
//! Readers get the snapshot as it is at one moment, for the price of a
//! reference count; a change copies it only while a reader still holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::kinds::{Kind, Of};
use super::routes::View;
use crate::key::Key;
use crate::model::endpoints::EndpointSlice;
use crate::model::index::Indexed;
use crate::model::settings::Settings;
use crate::model::spec::ObjectName;

/// What is kept.
#[derive(Default)]
pub(super) struct Kept {
    /// What readers see.
    pub(super) known: Arc<Indexed>,
    /// EndpointSlices by their own names; the snapshot has them by Service.
    pub(super) slices: BTreeMap<ObjectName, Arc<EndpointSlice>>,
}

/// The keys that are concerned by an object that came, went, or says something
/// else now.
pub(super) type Change = BTreeSet<Key>;

/// The stores of all kinds.
pub struct Stores {
    kept: Mutex<Kept>,
    settings: Arc<Settings>,
    /// Kinds whose first list is not in yet.
    pending: watch::Sender<BTreeSet<&'static str>>,
}

impl Stores {
    /// Empty stores that wait for the first list of these kinds.
    pub(super) fn waiting_for(
        kinds: impl IntoIterator<Item = &'static str>,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            kept: Mutex::default(),
            settings,
            pending: watch::Sender::new(kinds.into_iter().collect()),
        }
    }

    /// All kinds at this moment.
    pub fn snapshot(&self) -> Arc<Indexed> {
        Arc::clone(&self.kept().known)
    }

    /// Kinds whose first list is not in yet. Nothing may be decided before
    /// there are none: an empty store looks like "delete everything".
    pub fn pending(&self) -> BTreeSet<&'static str> {
        self.pending.borrow().clone()
    }

    /// Waits until the first list of every kind is in.
    pub async fn wait_until_ready(&self) {
        let mut pending = self.pending.subscribe();
        // Fails only when the sender is gone, which `self` holds.
        let _ = pending.wait_for(BTreeSet::is_empty).await;
    }

    /// The first list of a kind is in (or there is no such kind).
    pub(super) fn listed(&self, kind: &'static str) {
        self.pending
            .send_if_modified(|pending| pending.remove(kind));
    }

    /// One object as it is known.
    pub(super) fn find<K: Kind>(&self, id: &K::Id) -> Option<Arc<K::Kept>> {
        K::find(&self.kept(), id)
    }

    /// Takes in an object; answers the change if it says something else now.
    pub(super) fn keep<K: Kind>(&self, id: K::Id, object: Arc<K::Kept>) -> Option<Change> {
        keep::<K>(&mut self.kept(), id, object, &self.settings)
    }

    /// Drops an object; answers the change if it was there.
    pub(super) fn forget<K: Kind>(&self, id: &K::Id) -> Option<Change> {
        forget::<K>(&mut self.kept(), id, &self.settings)
    }

    /// Takes in a whole list: what is not in it is gone.
    pub(super) fn replace<K: Kind>(&self, list: Vec<(K::Id, Arc<K::Kept>)>) -> Vec<Change> {
        let mut kept = self.kept();
        let there: BTreeSet<&K::Id> = list.iter().map(|(id, _)| id).collect();
        let mut gone = K::ids(&kept);
        gone.retain(|id| !there.contains(id));
        let gone = gone.iter();
        let gone = gone.filter_map(|id| forget::<K>(&mut kept, id, &self.settings));
        let mut changes: Vec<Change> = gone.collect();
        for (id, object) in list {
            changes.extend(keep::<K>(&mut kept, id, object, &self.settings));
        }
        changes
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<K: Kind>(
    kept: &mut Kept,
    id: K::Id,
    object: Arc<K::Kept>,
    settings: &Settings,
) -> Option<Change> {
    let old = K::find(kept, &id);
    let differs = old.as_ref().is_none_or(|old| K::differs(old, &object));
    // Kept even if it says the same: its resource version and status are read.
    K::keep(kept, id.clone(), Arc::clone(&object));
    let of = Of {
        id: &id,
        old: old.as_deref(),
        new: Some(object.as_ref()),
    };
    differs.then(|| changed::<K>(kept, &of, settings))
}

fn forget<K: Kind>(kept: &mut Kept, id: &K::Id, settings: &Settings) -> Option<Change> {
    let old = K::find(kept, id)?;
    K::forget(kept, id);
    let of = Of {
        id,
        old: Some(old.as_ref()),
        new: None,
    };
    Some(changed::<K>(kept, &of, settings))
}

/// What has changed, in the index too.
fn changed<K: Kind>(kept: &mut Kept, of: &Of<'_, K>, settings: &Settings) -> Change {
    let known = Arc::make_mut(&mut kept.known);
    let concerned = |known: &Indexed| K::keys(of, View { known, settings });
    // Whom it concerned while it was as before counts as well.
    let mut keys = if K::MOVES {
        concerned(known)
    } else {
        Change::new()
    };
    K::index(known, of, settings);
    keys.extend(concerned(known));
    for key in &keys {
        if let Key::Group(group) = key {
            known.changed(group);
        }
    }
    keys
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    mod changes;

    use k8s_openapi::api::core::v1::{Node, Pod};
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use k8s_openapi::api::networking::v1::Ingress;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::endpoints;

    fn settings() -> Arc<Settings> {
        Arc::new(Settings::new("demo", "vpc-1"))
    }

    fn object<K: Kind + DeserializeOwned>(value: Value) -> (K::Id, Arc<K::Kept>) {
        let object: K = serde_json::from_value(value).unwrap();
        (K::id(object.meta()), Arc::new(object.kept()))
    }

    fn keep<K: Kind>(stores: &Stores, (id, object): (K::Id, Arc<K::Kept>)) -> Option<Change> {
        stores.keep::<K>(id, object)
    }

    type Object<K> = (<K as Kind>::Id, Arc<<K as Kind>::Kept>);

    fn ingress(
        resource_version: &str,
        annotations: Value,
        address: Option<&str>,
    ) -> Object<Ingress> {
        let entries: Vec<_> = address
            .iter()
            .map(|name| json!({ "hostname": name }))
            .collect();
        object::<Ingress>(json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "generation": 1,
                "resourceVersion": resource_version, "annotations": annotations,
                "managedFields": [{ "manager": "x" }],
            },
            "spec": { "defaultBackend": { "service": { "name": "web", "port": { "number": 80 } } } },
            "status": { "loadBalancer": { "ingress": entries } },
        }))
    }

    #[test]
    fn our_own_status_write_is_kept_and_wakes_nobody() {
        let stores = Stores::waiting_for([], settings());
        assert!(keep::<Ingress>(&stores, ingress("1", json!({}), None)).is_some());
        assert!(keep::<Ingress>(&stores, ingress("2", json!({}), Some("lb"))).is_none());
        let name = ObjectName::new("shop", "web");
        let kept = Arc::clone(&stores.snapshot().ingresses[&name]);
        assert_eq!(kept.metadata.resource_version.as_deref(), Some("2"));
        assert_eq!(kept.metadata.managed_fields, None);
        let annotated = ingress(
            "3",
            json!({ "alb.ingress.kubernetes.io/scheme": "b" }),
            None,
        );
        assert!(keep::<Ingress>(&stores, annotated).is_some());
    }

    #[test]
    fn a_reader_keeps_the_moment_that_it_asked_for() {
        let stores = Stores::waiting_for([], settings());
        let before = stores.snapshot();
        keep::<Ingress>(&stores, ingress("1", json!({}), None));
        assert_eq!(before.ingresses.len(), 0);
        assert_eq!(stores.snapshot().ingresses.len(), 1);
    }

    #[test]
    fn a_list_drops_what_is_not_in_it_and_changes_only_what_differs() {
        let node = |name: &str, heartbeat: &str| {
            object::<Node>(json!({
                "metadata": { "name": name },
                "status": { "conditions": [
                    { "type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat },
                    { "type": "DiskPressure", "status": "False" },
                ] },
            }))
        };
        let first = ["a", "b"].map(|name| node(name, "2026-01-01T00:00:00Z"));
        let stores = Stores::waiting_for(["Node"], settings());
        assert_eq!(stores.replace::<Node>(first.to_vec()).len(), 2);
        stores.listed("Node");
        assert!(stores.pending().is_empty());
        let second = ["b", "c"].map(|name| node(name, "2026-01-01T00:05:00Z"));
        assert_eq!(stores.replace::<Node>(second.to_vec()).len(), 2);
        let nodes: Vec<_> = stores.snapshot().nodes.keys().cloned().collect();
        assert_eq!(nodes, ["b", "c"]);
    }

    #[test]
    fn slices_are_found_by_their_service_even_when_their_label_moves() {
        let slice = |name: &str, service: &str| {
            object::<EndpointSlice>(json!({
                "metadata": {
                    "name": name, "namespace": "shop",
                    "labels": { "kubernetes.io/service-name": service, "x": "y" },
                    "annotations": { "endpoints.kubernetes.io/last-change-trigger-time": "now" },
                },
                "addressType": "IPv4", "endpoints": [],
            }))
        };
        let stores = Stores::waiting_for([], settings());
        let names = |service: &str| {
            let slices = stores.snapshot().endpoint_slices.clone();
            slices.get(&ObjectName::new("shop", service)).map(Vec::len)
        };
        keep::<EndpointSlice>(&stores, slice("web-1", "web"));
        keep::<EndpointSlice>(&stores, slice("web-2", "web"));
        assert_eq!(names("web"), Some(2));
        keep::<EndpointSlice>(&stores, slice("web-2", "api"));
        assert_eq!((names("web"), names("api")), (Some(1), Some(1)));
        stores.forget::<EndpointSlice>(&ObjectName::new("shop", "web-1"));
        assert_eq!(names("web"), None);
    }

    #[test]
    fn of_a_pod_only_what_is_needed_is_kept() {
        let (_, pod) = object::<Pod>(json!({
            "metadata": { "name": "web-1", "namespace": "shop", "uid": "u",
                "labels": { "app": "web" },
                "annotations": { "vpc.amazonaws.com/pod-eni": "[]" } },
            "spec": {
                "nodeName": "a",
                "containers": [{ "name": "web", "image": "web:1", "ports": [{ "containerPort": 80 }] }],
            },
            "status": {
                "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }], "phase": "Running",
                "conditions": [
                    { "type": "PodScheduled", "status": "True" },
                    { "type": "ContainersReady", "status": "True", "message": "m",
                        "lastTransitionTime": "1970-01-01T00:00:00Z" },
                ],
            },
        }));
        let expected = endpoints::Pod {
            uid: Some("u".into()),
            address: "10.0.0.1".parse().ok(),
            node: Some("a".into()),
            containers_ready: Some(endpoints::ContainersReady {
                is_true: true,
                since: Some(jiff::Timestamp::UNIX_EPOCH),
            }),
            own_interface: true,
        };
        assert_eq!(*pod, expected);
        for phase in ["Succeeded", "Failed"] {
            let (_, finished) = object::<Pod>(json!({
                "metadata": { "name": "job-1", "namespace": "shop" },
                "status": { "podIP": "10.0.0.1", "phase": phase },
            }));
            assert_eq!(finished.address, None, "{phase}");
        }
        // There are many.
        assert!(
            size_of::<endpoints::Pod>() <= 120,
            "{}",
            size_of::<endpoints::Pod>()
        );
    }
}
