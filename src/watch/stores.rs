//! What is known of Kubernetes: one snapshot of all kinds, kept up to date.
//!
//! Readers get the snapshot as it is at one moment, for the price of a
//! reference count; a change copies it only while a reader still holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;

use super::kinds::Kind;
use crate::model::snapshot::Snapshot;
use crate::model::spec::ObjectName;

/// What is kept.
#[derive(Default)]
pub(super) struct Kept {
    /// What readers see.
    pub(super) snapshot: Arc<Snapshot>,
    /// EndpointSlices by their own names; the snapshot has them by Service.
    pub(super) slices: BTreeMap<ObjectName, Arc<EndpointSlice>>,
}

/// An object that came, went, or says something else now.
pub(super) struct Change<K> {
    pub(super) old: Option<Arc<K>>,
    pub(super) new: Option<Arc<K>>,
}

/// The stores of all kinds.
pub struct Stores {
    kept: Mutex<Kept>,
    /// Kinds whose first list is not in yet.
    pending: watch::Sender<BTreeSet<&'static str>>,
}

impl Stores {
    /// Empty stores that wait for the first list of these kinds.
    pub(super) fn waiting_for(kinds: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            kept: Mutex::default(),
            pending: watch::Sender::new(kinds.into_iter().collect()),
        }
    }

    /// All kinds at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.kept().snapshot)
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
    pub(super) fn find<K: Kind>(&self, id: &K::Id) -> Option<Arc<K>> {
        K::find(&self.kept(), id)
    }

    /// Takes in an object; answers the change if it says something else now.
    pub(super) fn keep<K: Kind>(&self, object: Arc<K>) -> Option<Change<K>> {
        keep(&mut self.kept(), object)
    }

    /// Drops an object; answers the change if it was there.
    pub(super) fn forget<K: Kind>(&self, id: &K::Id) -> Option<Change<K>> {
        forget(&mut self.kept(), id)
    }

    /// Takes in a whole list: what is not in it is gone.
    pub(super) fn replace<K: Kind>(&self, list: Vec<Arc<K>>) -> Vec<Change<K>> {
        let mut kept = self.kept();
        let there: BTreeSet<K::Id> = list.iter().map(|object| K::id(object.meta())).collect();
        let gone: Vec<K::Id> = K::ids(&kept).difference(&there).cloned().collect();
        let mut changes: Vec<Change<K>> =
            gone.iter().filter_map(|id| forget(&mut kept, id)).collect();
        changes.extend(
            list.into_iter()
                .filter_map(|object| keep(&mut kept, object)),
        );
        changes
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<K: Kind>(kept: &mut Kept, object: Arc<K>) -> Option<Change<K>> {
    let id = K::id(object.meta());
    let old = K::find(kept, &id);
    let differs = old.as_ref().is_none_or(|old| old.differs(&object));
    // Kept even if it says the same: its resource version and status are read.
    K::keep(kept, id, Arc::clone(&object));
    differs.then_some(Change {
        old,
        new: Some(object),
    })
}

fn forget<K: Kind>(kept: &mut Kept, id: &K::Id) -> Option<Change<K>> {
    let old = K::find(kept, id)?;
    K::forget(kept, id);
    Some(Change {
        old: Some(old),
        new: None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k8s_openapi::api::core::v1::{Node, Pod};
    use k8s_openapi::api::networking::v1::Ingress;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn object<K: Kind + DeserializeOwned>(value: Value) -> K {
        let mut object: K = serde_json::from_value(value).unwrap();
        object.trim();
        object
    }

    fn ingress(resource_version: &str, annotations: Value, address: Option<&str>) -> Arc<Ingress> {
        let entries: Vec<_> = address
            .iter()
            .map(|name| json!({ "hostname": name }))
            .collect();
        Arc::new(object(json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "generation": 1,
                "resourceVersion": resource_version, "annotations": annotations,
                "managedFields": [{ "manager": "x" }],
            },
            "spec": { "defaultBackend": { "service": { "name": "web", "port": { "number": 80 } } } },
            "status": { "loadBalancer": { "ingress": entries } },
        })))
    }

    #[test]
    fn our_own_status_write_is_kept_and_wakes_nobody() {
        let stores = Stores::waiting_for([]);
        assert!(stores.keep(ingress("1", json!({}), None)).is_some());
        assert!(stores.keep(ingress("2", json!({}), Some("lb"))).is_none());
        let name = ObjectName::new("shop", "web");
        let kept = Arc::clone(&stores.snapshot().ingresses[&name]);
        assert_eq!(kept.metadata.resource_version.as_deref(), Some("2"));
        assert_eq!(kept.metadata.managed_fields, None);
        let change = stores
            .keep(ingress("3", json!({ "a": "b" }), None))
            .unwrap();
        assert!(change.old.is_some() && change.new.is_some());
    }

    #[test]
    fn a_reader_keeps_the_moment_that_it_asked_for() {
        let stores = Stores::waiting_for([]);
        let before = stores.snapshot();
        stores.keep(ingress("1", json!({}), None));
        assert_eq!(before.ingresses.len(), 0);
        assert_eq!(stores.snapshot().ingresses.len(), 1);
    }

    #[test]
    fn a_list_drops_what_is_not_in_it_and_changes_only_what_differs() {
        let node = |name: &str, heartbeat: &str| -> Node {
            object(json!({
                "metadata": { "name": name },
                "status": { "conditions": [
                    { "type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat },
                    { "type": "DiskPressure", "status": "False" },
                ] },
            }))
        };
        let first = ["a", "b"].map(|name| Arc::new(node(name, "2026-01-01T00:00:00Z")));
        let stores = Stores::waiting_for(["Node"]);
        assert_eq!(stores.replace(first.to_vec()).len(), 2);
        stores.listed("Node");
        assert!(stores.pending().is_empty());
        let second = ["b", "c"].map(|name| Arc::new(node(name, "2026-01-01T00:05:00Z")));
        let changes = stores.replace(second.to_vec());
        let moved: Vec<_> = changes
            .iter()
            .map(|change| (change.old.is_some(), change.new.is_some()))
            .collect();
        assert_eq!(moved, [(true, false), (false, true)]);
        let nodes: Vec<_> = stores.snapshot().nodes.keys().cloned().collect();
        assert_eq!(nodes, ["b", "c"]);
    }

    #[test]
    fn slices_are_found_by_their_service_even_when_their_label_moves() {
        let slice = |name: &str, service: &str| -> Arc<EndpointSlice> {
            Arc::new(object(json!({
                "metadata": {
                    "name": name, "namespace": "shop",
                    "labels": { "kubernetes.io/service-name": service, "x": "y" },
                    "annotations": { "endpoints.kubernetes.io/last-change-trigger-time": "now" },
                },
                "addressType": "IPv4", "endpoints": [],
            })))
        };
        let stores = Stores::waiting_for([]);
        let names = |service: &str| {
            let slices = stores.snapshot().endpoint_slices.clone();
            slices.get(&ObjectName::new("shop", service)).map(Vec::len)
        };
        stores.keep(slice("web-1", "web"));
        stores.keep(slice("web-2", "web"));
        assert_eq!(names("web"), Some(2));
        stores.keep(slice("web-2", "api"));
        assert_eq!((names("web"), names("api")), (Some(1), Some(1)));
        stores.forget::<EndpointSlice>(&ObjectName::new("shop", "web-1"));
        assert_eq!(names("web"), None);
    }

    #[test]
    fn of_a_pod_only_what_is_needed_is_kept() {
        let pod: Pod = object(json!({
            "metadata": { "name": "web-1", "namespace": "shop", "labels": { "app": "web" } },
            "spec": {
                "nodeName": "a",
                "containers": [{ "name": "web", "image": "web:1", "ports": [{ "containerPort": 80 }] }],
                "volumes": [{ "name": "x", "emptyDir": {} }],
            },
            "status": {
                "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }], "phase": "Running",
                "conditions": [
                    { "type": "ContainersReady", "status": "True", "message": "m" },
                    { "type": "PodScheduled", "status": "True" },
                ],
            },
        }));
        assert_eq!(
            serde_json::to_value(&pod).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "web-1", "namespace": "shop" },
                "spec": {
                    "nodeName": "a",
                    "containers": [{ "name": "web", "ports": [{ "containerPort": 80 }] }],
                },
                "status": {
                    "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }],
                    "conditions": [{ "type": "ContainersReady", "status": "True" }],
                },
            })
        );
    }
}
