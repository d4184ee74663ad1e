//! Node ports: for each node and each port of a Service of type NodePort (or
//! LoadBalancer) a listener that passes connections on to the Service's pods
//! in turn, as kube-proxy does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::cloud::Cloud;
use super::node::PlayedNode;
use super::sockets::Sockets;

/// Label of an EndpointSlice that names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A port of a Service that is open on each node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct NodePort {
    namespace: String,
    service: String,
    /// Name of the port; empty for the only one without.
    port: String,
    number: u16,
    /// Only pods on the node itself are served (`externalTrafficPolicy: Local`).
    local: bool,
}

/// What the listeners need.
#[derive(Debug, Clone)]
pub struct NodePorts {
    /// The nodes that open ports.
    pub nodes: Vec<PlayedNode>,
    /// Where pods listen.
    pub sockets: Sockets,
    /// Where the node ports are entered.
    pub cloud: Cloud,
}

/// The listener of one node port on one node; closes when dropped.
struct Open {
    target: String,
    cloud: Cloud,
    _accepting: AbortOnDropHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.cloud.close(&self.target);
    }
}

impl NodePorts {
    /// Opens and closes node ports as Services come and go, for ever.
    pub async fn serve(self, client: Client) {
        let (services, writer) = reflector::store::<Service>();
        let service_events = watcher(Api::all(client.clone()), watcher::Config::default())
            .default_backoff()
            .reflect(writer);
        let (slices, writer) = reflector::store::<EndpointSlice>();
        let slice_events = watcher(Api::all(client), watcher::Config::default())
            .default_backoff()
            .reflect(writer);
        // Slices are looked up when a connection comes; their watch only has
        // to be driven.
        let endpoints = slice_events.for_each(|event| {
            if let Err(error) = event {
                tracing::debug!("watch of EndpointSlices: {error}");
            }
            std::future::ready(())
        });
        let open = async {
            let mut open: BTreeMap<NodePort, Vec<Open>> = BTreeMap::new();
            let mut events = std::pin::pin!(service_events);
            while let Some(event) = events.next().await {
                if let Err(error) = event {
                    tracing::debug!("watch of Services: {error}");
                    continue;
                }
                // Before the first list is complete the store is empty, which
                // would close nothing: nothing is open yet.
                let wanted: BTreeSet<NodePort> = services
                    .state()
                    .iter()
                    .flat_map(|service| node_ports(service))
                    .collect();
                self.open_and_close(&wanted, &mut open, &slices).await;
            }
        };
        tokio::join!(endpoints, open);
    }

    async fn open_and_close(
        &self,
        wanted: &BTreeSet<NodePort>,
        open: &mut BTreeMap<NodePort, Vec<Open>>,
        slices: &Store<EndpointSlice>,
    ) {
        open.retain(|port, _| wanted.contains(port));
        for port in wanted {
            if open.contains_key(port) {
                continue;
            }
            match self.open(port, slices).await {
                Ok(listeners) => {
                    open.insert(port.clone(), listeners);
                }
                Err(error) => tracing::warn!(
                    "cannot open node port {} of Service {}/{}: {error}",
                    port.number,
                    port.namespace,
                    port.service
                ),
            }
        }
    }

    async fn open(
        &self,
        port: &NodePort,
        slices: &Store<EndpointSlice>,
    ) -> std::io::Result<Vec<Open>> {
        let turn = Arc::new(AtomicUsize::new(0));
        let mut listeners = vec![];
        for node in &self.nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let socket = listener.local_addr()?;
            let target = format!("{}:{}", node.instance, port.number);
            let accepting = accept(
                listener,
                Backends {
                    port: port.clone(),
                    node: node.name.clone(),
                    slices: slices.clone(),
                    sockets: self.sockets.clone(),
                    turn: turn.clone(),
                },
            );
            listeners.push(Open {
                target: target.clone(),
                cloud: self.cloud.clone(),
                _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)),
            });
            self.cloud.open(&target, socket);
        }
        Ok(listeners)
    }
}

/// Where a node port leads.
#[derive(Clone)]
struct Backends {
    port: NodePort,
    node: String,
    slices: Store<EndpointSlice>,
    sockets: Sockets,
    turn: Arc<AtomicUsize>,
}

impl Backends {
    /// The next pod in turn; none when no pod of the Service can serve.
    fn next(&self) -> Option<SocketAddr> {
        let slices = self.slices.state();
        let pods = pods(&self.port, &self.node, slices.iter().map(AsRef::as_ref));
        let sockets: Vec<SocketAddr> = pods
            .into_iter()
            .filter_map(|(address, port)| self.sockets.of(address, port))
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        sockets.get(turn.checked_rem(sockets.len())?).copied()
    }
}

async fn accept(listener: TcpListener, backends: Backends) {
    loop {
        let mut client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                // Out of file descriptors, mostly: later there may be some.
                tracing::warn!("node port {}: {error}", backends.port.number);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        // Without a pod the connection is closed at once, in the place of
        // the refusal that kube-proxy gives.
        let Some(pod) = backends.next() else { continue };
        tokio::spawn(async move {
            if let Ok(mut pod) = TcpStream::connect(pod).await {
                // Either side may go away at any time; both are closed then.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut pod).await;
            }
        });
    }
}

/// The node ports that a Service wants.
fn node_ports(service: &Service) -> Vec<NodePort> {
    let Some(spec) = &service.spec else {
        return vec![];
    };
    if !matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer")) {
        return vec![];
    }
    let object = ObjectRef::from_obj(service);
    spec.ports
        .iter()
        .flatten()
        .filter_map(|port| {
            Some(NodePort {
                namespace: object.namespace.clone().unwrap_or_default(),
                service: object.name.clone(),
                port: port.name.clone().unwrap_or_default(),
                number: u16::try_from(port.node_port?).ok()?,
                local: spec.external_traffic_policy.as_deref() == Some("Local"),
            })
        })
        .collect()
}

/// The pods behind a node port, in a stable order: the ready ones, else those
/// that serve while they end.
fn pods<'a>(
    port: &NodePort,
    node: &str,
    slices: impl Iterator<Item = &'a EndpointSlice>,
) -> Vec<(Ipv4Addr, u16)> {
    let mut ready = BTreeSet::new();
    let mut ending = BTreeSet::new();
    for slice in slices {
        if slice.namespace().as_deref() != Some(&port.namespace)
            || slice.labels().get(SERVICE_LABEL) != Some(&port.service)
        {
            continue;
        }
        let number = slice
            .ports
            .iter()
            .flatten()
            .find(|entry| entry.name.as_deref().unwrap_or_default() == port.port)
            .and_then(|entry| u16::try_from(entry.port?).ok());
        let Some(number) = number else { continue };
        for endpoint in &slice.endpoints {
            if port.local && endpoint.node_name.as_deref() != Some(node) {
                continue;
            }
            let Some(conditions) = &endpoint.conditions else {
                continue;
            };
            let addresses = endpoint.addresses.iter();
            let addresses = addresses.filter_map(|address| Some((address.parse().ok()?, number)));
            if conditions.ready.unwrap_or(true) {
                ready.extend(addresses);
            } else if conditions.serving == Some(true) && conditions.terminating == Some(true) {
                ending.extend(addresses);
            }
        }
    }
    let pods = if ready.is_empty() { ending } else { ready };
    pods.into_iter().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(service: &str, endpoints: serde_json::Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {
                "name": "x", "namespace": "shop",
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}],
            "endpoints": endpoints,
        }))
        .unwrap()
    }

    fn endpoint(address: &str, node: &str, conditions: serde_json::Value) -> serde_json::Value {
        json!({"addresses": [address], "nodeName": node, "conditions": conditions})
    }

    fn addresses(port: &NodePort, node: &str, slices: &[EndpointSlice]) -> Vec<String> {
        pods(port, node, slices.iter())
            .into_iter()
            .map(|(address, port)| format!("{address}:{port}"))
            .collect()
    }

    #[test]
    fn a_service_opens_its_node_ports() {
        let service = |kind: &str| {
            let service = json!({
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"type": kind, "ports": [
                    {"name": "http", "port": 80, "nodePort": 30080},
                    {"name": "other", "port": 81},
                ]},
            });
            node_ports(&serde_json::from_value(service).unwrap())
        };
        assert!(service("ClusterIP").is_empty());
        let ports = service("NodePort");
        assert_eq!(ports.len(), 1);
        assert_eq!((ports[0].number, ports[0].port.as_str()), (30080, "http"));
    }

    #[test]
    fn ready_pods_first_then_those_that_end() {
        let mut port = NodePort {
            namespace: "shop".to_owned(),
            service: "web".to_owned(),
            port: "http".to_owned(),
            number: 30080,
            local: false,
        };
        let ready = json!({"ready": true});
        let ending = json!({"ready": false, "serving": true, "terminating": true});
        let slices = [
            slice(
                "web",
                json!([
                    endpoint("10.0.0.2", "a", ready.clone()),
                    endpoint("10.0.0.3", "b", ready.clone()),
                    endpoint("10.0.0.4", "b", ending.clone()),
                    endpoint("10.0.0.5", "a", json!({"ready": false})),
                ]),
            ),
            slice("other", json!([endpoint("10.0.0.6", "a", ready)])),
        ];
        assert_eq!(
            addresses(&port, "a", &slices),
            ["10.0.0.2:8080", "10.0.0.3:8080"]
        );
        port.local = true;
        assert_eq!(addresses(&port, "a", &slices), ["10.0.0.2:8080"]);
        let last = [slice("web", json!([endpoint("10.0.0.4", "b", ending)]))];
        assert_eq!(addresses(&port, "b", &last), ["10.0.0.4:8080"]);
        assert!(addresses(&port, "a", &last).is_empty());
    }
}
