//! Services as far as decisions depend on them: whole ones are five times as
//! large.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

use super::annotations::PREFIX;

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "core::Service")]
pub struct Service {
    /// Its UID.
    pub uid: Option<Box<str>>,
    /// Its annotations that are ours to read; `None` where it has none.
    pub annotations: Option<Box<BTreeMap<String, String>>>,
    /// Its type as it is spelled; without one it is a `ClusterIP`.
    pub type_: Option<Box<str>>,
    /// Whether it has addresses of IPv6.
    pub has_ipv6: bool,
    /// Its ports.
    pub ports: Box<[ServicePort]>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServicePort {
    /// Its name; only one alone has none.
    pub name: Option<Box<str>>,
    /// Its number.
    pub port: i32,
    /// Number or name of the port of the pods; none where it is the same.
    pub target_port: Option<IntOrString>,
    /// Number of the port of the nodes, where it has one.
    pub node_port: Option<i32>,
}

impl From<core::Service> for Service {
    fn from(service: core::Service) -> Self {
        let mut annotations = service.metadata.annotations.unwrap_or_default();
        annotations.retain(|key, _| key.starts_with(PREFIX));
        let spec = service.spec.unwrap_or_default();
        let mut families = spec.ip_families.iter().flatten();
        Self {
            uid: service.metadata.uid.map(Into::into),
            annotations: (!annotations.is_empty()).then(|| annotations.into()),
            type_: spec.type_.map(Into::into),
            has_ipv6: families.any(|family| family == "IPv6"),
            ports: spec.ports.into_iter().flatten().map(Into::into).collect(),
        }
    }
}

impl From<core::ServicePort> for ServicePort {
    fn from(port: core::ServicePort) -> Self {
        Self {
            name: port.name.map(Into::into),
            port: port.port,
            target_port: port.target_port,
            node_port: port.node_port,
        }
    }
}
