//! What Kubernetes says, all kinds at one moment: the input of `model`.
//!
//! `watch` fills it from its stores; tests fill it from YAML.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{self as core, Namespace, Node, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::endpoints::{EndpointSlice, Pod};
use super::map::Map;
use super::membership::STACK_LABEL;
use super::spec::ObjectName;

/// All objects that decisions depend on; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Ingresses of the watched namespaces, ours and others'.
    pub ingresses: Map<ObjectName, Arc<Ingress>>,
    /// IngressClasses by name.
    pub ingress_classes: Map<String, Arc<IngressClass>>,
    /// Services.
    pub services: Map<ObjectName, Arc<Service>>,
    /// EndpointSlices by the Service that their label
    /// `kubernetes.io/service-name` names.
    pub endpoint_slices: Map<ObjectName, Vec<Arc<EndpointSlice>>>,
    /// Pods.
    pub pods: Map<ObjectName, Arc<Pod>>,
    /// Nodes by name.
    pub nodes: Map<String, Arc<Node>>,
    /// Namespaces by name.
    pub namespaces: Map<String, Arc<Namespace>>,
    /// TargetGroupBindings of aws-load-balancer-controller, where its CRD is
    /// installed.
    pub target_group_bindings: Map<ObjectName, Arc<TargetGroupBinding>>,
}

/// The part of a `TargetGroupBinding` (`elbv2.k8s.aws`) that says whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroupBinding {
    /// Its labels `ingress.k8s.aws/stack…`: they name the group that made it.
    pub labels: BTreeMap<String, String>,
}

impl TargetGroupBinding {
    /// What the metadata of one says.
    pub fn of(metadata: &ObjectMeta) -> Self {
        let labels = metadata.labels.iter().flatten();
        let counting = labels.filter(|(key, _)| key.starts_with(STACK_LABEL));
        Self {
            labels: counting
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

/// Label of an EndpointSlice that names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Why manifests could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not YAML.
    #[error("the manifests are not valid YAML")]
    Yaml(#[source] serde_saphyr::Error),
    /// A document is not the object that its `kind` says.
    #[error("{kind} {name} cannot be read")]
    Object {
        /// Its kind.
        kind: String,
        /// `namespace/name`, as far as it is given.
        name: String,
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
    /// A document has no `kind`.
    #[error("a document has no kind: expected a Kubernetes object in each document")]
    NoKind,
}

/// The snapshot that YAML manifests describe, one object for each document or
/// in a `List`: for tests and for plans without a cluster. Kinds that no
/// decision depends on are left out. Namespaced objects without a namespace
/// are in `default`.
pub fn snapshot_from_yaml(text: &str) -> Result<Snapshot, ManifestError> {
    // As kubectl reads it, a node may be called `n`.
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents: Vec<Option<Value>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(ManifestError::Yaml)?;
    let mut snapshot = Snapshot::default();
    for document in documents.into_iter().flatten() {
        snapshot.add_manifest(document)?;
    }
    Ok(snapshot)
}

impl Snapshot {
    fn add_manifest(&mut self, document: Value) -> Result<(), ManifestError> {
        let kind = document
            .get("kind")
            .and_then(Value::as_str)
            .ok_or(ManifestError::NoKind)?
            .to_owned();
        match kind.as_str() {
            "List" => {
                if let Some(Value::Array(items)) = document.get("items") {
                    for item in items.clone() {
                        self.add_manifest(item)?;
                    }
                }
            }
            "Ingress" => {
                let object: Ingress = read(&kind, document)?;
                self.ingresses
                    .insert(named(&object.metadata), object.into());
            }
            "IngressClass" => {
                let object: IngressClass = read(&kind, document)?;
                self.ingress_classes
                    .insert(named(&object.metadata).name, object.into());
            }
            "Service" => {
                let object: Service = read(&kind, document)?;
                self.services.insert(named(&object.metadata), object.into());
            }
            "EndpointSlice" => {
                let object: EndpointSlice = read(&kind, document)?;
                if let Some(service) = object.service.clone() {
                    self.endpoint_slices
                        .change(service, |slices| slices.push(object.into()));
                }
            }
            "Pod" => {
                let object: core::Pod = read(&kind, document)?;
                let name = named(&object.metadata);
                self.pods.insert(name, Arc::new(object.into()));
            }
            "Node" => {
                let object: Node = read(&kind, document)?;
                self.nodes
                    .insert(named(&object.metadata).name, object.into());
            }
            "Namespace" => {
                let object: Namespace = read(&kind, document)?;
                self.namespaces
                    .insert(named(&object.metadata).name, object.into());
            }
            "TargetGroupBinding" => {
                let metadata = document.get("metadata").cloned().unwrap_or_default();
                let metadata: ObjectMeta = read(&kind, metadata)?;
                let binding = TargetGroupBinding::of(&metadata);
                self.target_group_bindings
                    .insert(named(&metadata), binding.into());
            }
            _ => {}
        }
        Ok(())
    }
}

/// Namespace and name of an object.
pub fn named(metadata: &ObjectMeta) -> ObjectName {
    ObjectName::new(
        metadata.namespace.as_deref().unwrap_or("default"),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

fn read<T: DeserializeOwned>(kind: &str, document: Value) -> Result<T, ManifestError> {
    let metadata = |key| {
        document
            .get("metadata")
            .unwrap_or(&document)
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    let name = format!("{}/{}", metadata("namespace"), metadata("name"));
    serde_json::from_value(document).map_err(|source| ManifestError::Object {
        kind: kind.to_owned(),
        name,
        source,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_are_read() {
        let snapshot = snapshot_from_yaml(
            r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {a: "1"}}
spec: {ports: [{port: 80, targetPort: http}]}
---
---
apiVersion: v1
kind: List
items:
- {kind: Node, metadata: {name: a}}
- {kind: ConfigMap, metadata: {name: x, namespace: shop}}
- kind: EndpointSlice
  metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
  addressType: IPv4
  endpoints: []
- kind: TargetGroupBinding
  metadata: {name: t, namespace: shop, labels: {ingress.k8s.aws/stack: g}}
  spec: {targetGroupARN: x}
"#,
        )
        .unwrap();
        let web = ObjectName::new("shop", "web");
        assert!(snapshot.services.contains_key(&web));
        assert_eq!(snapshot.endpoint_slices[&web].len(), 1);
        assert!(snapshot.nodes.contains_key("a"));
        assert_eq!(
            snapshot.target_group_bindings[&ObjectName::new("shop", "t")].labels["ingress.k8s.aws/stack"],
            "g"
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = snapshot_from_yaml(
            "{kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: 80}}",
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "Service shop/web cannot be read");
        assert!(snapshot_from_yaml("{metadata: {}}").is_err());
        assert!(snapshot_from_yaml("{").is_err());
    }
}
