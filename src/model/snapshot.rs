//! What Kubernetes says, all kinds at one moment: the input of `model`.
//!
//! `watch` fills it from its stores; tests fill it from YAML.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use super::spec::ObjectName;

/// All objects that decisions depend on; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Ingresses of the watched namespaces, ours and others'.
    pub ingresses: BTreeMap<ObjectName, Arc<Ingress>>,
    /// IngressClasses by name.
    pub ingress_classes: BTreeMap<String, Arc<IngressClass>>,
    /// Services.
    pub services: BTreeMap<ObjectName, Arc<Service>>,
    /// EndpointSlices by the Service that their label
    /// `kubernetes.io/service-name` names.
    pub endpoint_slices: BTreeMap<ObjectName, Vec<Arc<EndpointSlice>>>,
    /// Pods, trimmed to what is needed: names, `podIP(s)`, node, conditions,
    /// container ports.
    pub pods: BTreeMap<ObjectName, Arc<Pod>>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Arc<Node>>,
    /// Namespaces by name.
    pub namespaces: BTreeMap<String, Arc<Namespace>>,
    /// TargetGroupBindings of aws-load-balancer-controller, where its CRD is
    /// installed.
    pub target_group_bindings: Vec<TargetGroupBinding>,
}

/// The part of a `TargetGroupBinding` (`elbv2.k8s.aws`) that says whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroupBinding {
    /// Its name.
    pub name: ObjectName,
    /// Its labels; `ingress.k8s.aws/stack…` name the group that made it.
    pub labels: BTreeMap<String, String>,
}
