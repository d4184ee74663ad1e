//! Which Pods there are and what they belong to. Pure.

use std::collections::BTreeMap;

use super::model::Controller;
use super::objects::Objects;
use crate::controller::NAME;

/// The label of an EndpointSlice that names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The Pod at an address, among those that are not over.
pub fn pods_by_address(objects: &Objects) -> BTreeMap<&str, &str> {
    let mut pods = BTreeMap::new();
    for (name, pod) in &objects.pods {
        let status = pod.status.as_ref();
        let over = status
            .and_then(|status| status.phase.as_deref())
            .is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
        if let Some(address) = status.and_then(|status| status.pod_ip.as_deref())
            && !over
        {
            pods.insert(address, name.as_str());
        }
    }
    pods
}

/// The Service, as `namespace/name`, that each Pod is an endpoint of.
pub fn services_of_pods(objects: &Objects) -> BTreeMap<String, String> {
    let mut services = BTreeMap::new();
    for slice in objects.slices.values() {
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_LABEL));
        let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
        let Some(service) = service else {
            continue;
        };
        let pods = slice
            .endpoints
            .iter()
            .filter_map(|it| it.target_ref.as_ref());
        for pod in pods.filter_map(|pod| pod.name.as_deref()) {
            services.insert(
                format!("{namespace}/{pod}"),
                format!("{namespace}/{service}"),
            );
        }
    }
    services
}

/// The Pods of the controller, and which one its Lease names.
pub fn controller(objects: &Objects) -> Controller {
    let prefix = format!("{NAME}/");
    let pods = objects.pods.keys().filter(|name| name.starts_with(&prefix));
    let pods: Vec<String> = pods.cloned().collect();
    let leases = objects.leases.values();
    let holders = leases.filter_map(|lease| lease.spec.as_ref()?.holder_identity.as_deref());
    let names = pods.iter().filter_map(|name| name.strip_prefix(&prefix));
    let leads = |name: &str| holders.clone().any(|holder| holder.contains(name));
    Controller {
        present: !pods.is_empty(),
        leader: names
            .into_iter()
            .find(|name| leads(name))
            .map(str::to_owned),
        pods,
    }
}
