//! Pods and EndpointSlices as far as decisions depend on them. There are many
//! of both, and whole ones are thirty times as large.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use serde::Deserialize;

use super::snapshot::SERVICE_NAME_LABEL;
use super::spec::ObjectName;

/// Annotation of a pod that has an interface of its own.
const POD_INTERFACE: &str = "vpc.amazonaws.com/pod-eni";

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "core::Pod")]
pub struct Pod {
    /// Its UID.
    pub uid: Option<Box<str>>,
    /// Its first address. One that has finished for good keeps it in its status
    /// and has it no more: it is another's, maybe.
    pub address: Option<IpAddr>,
    /// Name of its node.
    pub node: Option<Box<str>>,
    /// The condition of this name.
    pub containers_ready: Option<ContainersReady>,
    /// Whether it has a network interface of its own, apart from its node's.
    pub own_interface: bool,
}

/// Whether all containers of a pod are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainersReady {
    /// Whether they are.
    pub is_true: bool,
    /// Since when this is so.
    pub since: Option<Timestamp>,
}

impl Pod {
    /// Whether it is reached somewhere, and the pod that had its name before
    /// was not there or was another one.
    pub fn has_come(&self, before: Option<&Self>) -> bool {
        let place = |pod: &Self| (pod.address, pod.own_interface);
        let is_same = |before: &Self| {
            place(before) == place(self) && before.node == self.node && before.uid == self.uid
        };
        self.address.is_some() && !before.is_some_and(is_same)
    }
}

impl From<core::Pod> for Pod {
    fn from(pod: core::Pod) -> Self {
        let annotations = pod.metadata.annotations.as_ref();
        let status = pod.status.unwrap_or_default();
        let has_finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let address = status.pod_ip.filter(|_| !has_finished);
        let mut conditions = status.conditions.into_iter().flatten();
        let ready = conditions.find(|condition| condition.type_ == "ContainersReady");
        Self {
            uid: pod.metadata.uid.map(Into::into),
            address: address.and_then(|address| address.parse().ok()),
            node: pod.spec.and_then(|spec| spec.node_name).map(Into::into),
            containers_ready: ready.map(|condition| ContainersReady {
                is_true: condition.status == "True",
                since: condition.last_transition_time.map(|time| time.0),
            }),
            own_interface: annotations.is_some_and(|all| all.contains_key(POD_INTERFACE)),
        }
    }
}

/// Some of the endpoints of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "discovery::EndpointSlice")]
pub struct EndpointSlice {
    /// Name of the object.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Option<Box<str>>,
    /// Its version: every write moves it.
    pub version: Option<Box<str>>,
    /// The Service that its label names.
    pub service: Option<ObjectName>,
    /// Whether the addresses are IPv4 ones.
    pub is_ipv4: bool,
    /// Names and numbers of ports; an unnamed one has an empty name.
    pub ports: Box<[(Box<str>, u16)]>,
    /// The endpoints.
    pub endpoints: Box<[Endpoint]>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its first address; without one it is none.
    pub address: Option<Box<str>>,
    /// The pod behind it.
    pub pod: Option<ObjectName>,
    /// Whether it is ready; unknown counts as that.
    pub is_ready: bool,
    /// Whether it is on its way out.
    pub is_terminating: bool,
}

impl EndpointSlice {
    /// The endpoints that are not ready.
    pub fn waiting(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| !endpoint.is_ready)
    }
}

impl From<discovery::EndpointSlice> for EndpointSlice {
    fn from(slice: discovery::EndpointSlice) -> Self {
        let metadata = slice.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        let labels = metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL));
        let port = |port: discovery::EndpointPort| {
            let number = u16::try_from(port.port?).ok()?;
            Some((port.name.unwrap_or_default().into(), number))
        };
        let endpoint = |endpoint: discovery::Endpoint| {
            let conditions = endpoint.conditions.unwrap_or_default();
            let target = endpoint.target_ref;
            let pod = target.filter(|target| target.kind.as_deref() == Some("Pod"));
            Endpoint {
                address: endpoint.addresses.into_iter().next().map(Into::into),
                pod: pod.map(|pod| {
                    let namespace = pod.namespace.unwrap_or_else(|| namespace.to_owned());
                    ObjectName::new(namespace, pod.name.unwrap_or_default())
                }),
                is_ready: conditions.ready.unwrap_or(true),
                is_terminating: conditions.terminating.unwrap_or(false),
            }
        };
        Self {
            service: service.map(|service| ObjectName::new(namespace, service)),
            is_ipv4: slice.address_type == "IPv4",
            ports: slice.ports.into_iter().flatten().filter_map(port).collect(),
            endpoints: slice.endpoints.into_iter().map(endpoint).collect(),
            name: metadata.name.unwrap_or_default().into(),
            uid: metadata.uid.map(Into::into),
            version: metadata.resource_version.map(Into::into),
        }
    }
}
