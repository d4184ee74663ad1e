//! What a target group's targets are: pods by their addresses, nodes by their
//! instances.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Node;

use super::endpoints::{Endpoint, EndpointSlice, Pod};
use super::facts::Facts;
use super::services::ServicePort;
use super::snapshot::Snapshot;
use super::spec::{ObjectName, Target};

/// Labels that keep a node from being a target.
const EXCLUDED_LABELS: [&str; 3] = [
    "node-role.kubernetes.io/master",
    "node.kubernetes.io/exclude-from-external-load-balancers",
    "alpha.service-controller.kubernetes.io/exclude-balancer",
];
const COMPUTE_TYPE_LABEL: &str = "eks.amazonaws.com/compute-type";
const FARGATE: &str = "fargate";
/// Taints of nodes that are about to go: key and effect, where one counts.
const EXCLUDED_TAINTS: [(&str, Option<&str>); 2] = [
    ("ToBeDeletedByClusterAutoscaler", None),
    ("karpenter.sh/disrupted", Some("NoSchedule")),
];

/// Whether a label of a node counts.
pub fn counts(label: &str) -> bool {
    EXCLUDED_LABELS.contains(&label) || label == COMPUTE_TYPE_LABEL
}

/// The nodes that may be targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Nodes {
    /// Instance ids of the eligible nodes.
    pub instances: BTreeSet<String>,
    /// Eligible nodes that are no EC2 instances, each with why.
    pub unsuitable: Vec<String>,
}

impl Nodes {
    /// All nodes of the cluster that are eligible and ready. Cordoned nodes
    /// stay; a node whose instance is not known is left out and named.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut nodes = Self::default();
        for (name, node) in snapshot.nodes.iter() {
            if !is_eligible(node) {
                continue;
            }
            match instance_id(node) {
                Ok(id) => {
                    nodes.instances.insert(id);
                }
                Err(why) => nodes.unsuitable.push(format!("node {name} {why}")),
            }
        }
        nodes
    }

    /// The nodes as targets at a NodePort.
    pub fn targets(&self, node_port: u16) -> BTreeSet<Target> {
        self.instances
            .iter()
            .map(|id| Target {
                id: id.clone(),
                port: node_port,
                outside_vpc: false,
            })
            .collect()
    }
}

fn is_eligible(node: &Node) -> bool {
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|l| l.get(key));
    if EXCLUDED_LABELS.iter().any(|key| label(key).is_some())
        || label(COMPUTE_TYPE_LABEL).is_some_and(|value| value == FARGATE)
    {
        return false;
    }
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    let leaving = taints.into_iter().any(|taint| {
        EXCLUDED_TAINTS
            .iter()
            .any(|(key, effect)| taint.key == *key && effect.is_none_or(|e| taint.effect == e))
    });
    !leaving && is_ready_node(node)
}

fn is_ready_node(node: &Node) -> bool {
    node.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The id of a node's EC2 instance, which is the last part of its provider id.
pub fn instance_id(node: &Node) -> Result<String, String> {
    let provider_id = node
        .spec
        .as_ref()
        .and_then(|spec| spec.provider_id.as_deref())
        .unwrap_or_default();
    let id = provider_id.rsplit('/').next().unwrap_or_default();
    if id.starts_with("i-") {
        Ok(id.to_owned())
    } else {
        Err(format!(
            "has spec.providerID \"{provider_id}\": expected one that ends in an EC2 instance id \
             (aws:///ZONE/i-...)"
        ))
    }
}

/// The pods behind a port of a Service that should get requests: the ready
/// ones, and those that wait for nothing but a readiness gate (which may be
/// the load balancer's own health check).
pub(super) fn pods(
    service: &ObjectName,
    port: &ServicePort,
    snapshot: &Snapshot,
    facts: &Facts,
) -> BTreeSet<Target> {
    let slices = snapshot.endpoint_slices.get(service).into_iter().flatten();
    let mut targets = BTreeSet::new();
    for slice in slices.filter(|slice| slice.is_ipv4) {
        for number in slice_ports(slice, port) {
            for endpoint in &slice.endpoints {
                if serves(endpoint, snapshot)
                    && let Some(address) = &endpoint.address
                    && let Ok(parsed) = address.parse()
                {
                    targets.insert(Target {
                        id: address.to_string(),
                        port: number,
                        outside_vpc: is_outside(parsed, facts),
                    });
                }
            }
        }
    }
    targets
}

/// The numbers of a Service port in a slice, where named target ports are
/// resolved already. An unnamed Service port is all ports of the slice.
fn slice_ports(slice: &EndpointSlice, port: &ServicePort) -> BTreeSet<u16> {
    let name = port.name.as_deref().unwrap_or_default();
    let ports = slice.ports.iter();
    ports
        .filter(|(named, _)| name.is_empty() || **named == *name)
        .map(|(_, number)| *number)
        .collect()
}

fn serves(endpoint: &Endpoint, snapshot: &Snapshot) -> bool {
    let Some(pod) = &endpoint.pod else {
        return false;
    };
    if endpoint.is_ready {
        return true;
    }
    let is_ready = |pod: &Pod| {
        pod.containers_ready.is_some_and(|ready| ready.is_true) && is_on_ready_node(pod, snapshot)
    };
    !endpoint.is_terminating && snapshot.pods.get(pod).is_some_and(|pod| is_ready(pod))
}

fn is_on_ready_node(pod: &Pod, snapshot: &Snapshot) -> bool {
    let node = pod.node.as_deref();
    node.and_then(|node| snapshot.nodes.get(node))
        .is_some_and(|node| is_ready_node(node))
}

/// Whether an address is outside of the VPC. While the VPC's ranges are not
/// known, none is.
fn is_outside(address: Ipv4Addr, facts: &Facts) -> bool {
    !facts.vpc_cidrs.is_empty() && !facts.vpc_cidrs.iter().any(|cidr| cidr.contains(&address))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;
    use crate::model::snapshot::snapshot_from_yaml;

    fn node(name: &str, extra: &str, ready: &str) -> String {
        format!(
            "---\nkind: Node\nmetadata: {{name: {name}{extra}}}\nstatus: {{conditions: [{{type: Ready, status: '{ready}'}}]}}\n"
        )
    }

    #[test]
    fn eligible_nodes() {
        let provider = |id: &str| format!("spec: {{providerID: 'aws:///eu-west-1a/{id}'}}\n");
        let yaml = [
            node("plain", "", "True") + &provider("i-1"),
            node("down", "", "False") + &provider("i-2"),
            node("unknown", "", "Unknown") + &provider("i-3"),
            node("master", ", labels: {node-role.kubernetes.io/master: ''}", "True")
                + &provider("i-4"),
            node("plane", ", labels: {node-role.kubernetes.io/control-plane: ''}", "True")
                + &provider("i-5"),
            node("fargate", ", labels: {eks.amazonaws.com/compute-type: fargate}", "True")
                + &provider("i-6"),
            node("cordoned", "", "True")
                + "spec: {providerID: 'aws:///eu-west-1a/i-7', unschedulable: true}\n",
            node("leaving", "", "True")
                + "spec: {providerID: 'aws:///a/i-8', taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}\n",
            node("disrupted", "", "True")
                + "spec: {providerID: 'aws:///a/i-9', taints: [{key: karpenter.sh/disrupted, effect: NoExecute}]}\n",
            node("foreign", "", "True") + "spec: {providerID: 'gce://x/y'}\n",
            node("bare", "", "True"),
        ]
        .concat();
        let nodes = Nodes::of(&snapshot_from_yaml(&yaml).unwrap());
        let instances: Vec<_> = nodes.instances.iter().map(String::as_str).collect();
        assert_eq!(instances, ["i-1", "i-5", "i-7", "i-9"]);
        assert_eq!(nodes.unsuitable.len(), 2);
        assert!(nodes.unsuitable[0].starts_with("node bare has spec.providerID \"\""));
        assert_eq!(nodes.targets(30080).len(), 4);
    }

    const SLICES: &str = r"
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: probe, port: 9000}]
endpoints:
- {addresses: [10.0.0.1, 10.0.0.99], targetRef: {kind: Pod, name: a}}
- {addresses: [10.0.0.2], conditions: {ready: false}, targetRef: {kind: Pod, name: gated}}
- {addresses: [10.0.0.3], conditions: {ready: false, terminating: true}, targetRef: {kind: Pod, name: gated}}
- {addresses: [10.0.0.4], conditions: {ready: false}, targetRef: {kind: Pod, name: starting}}
- {addresses: [10.0.0.5], conditions: {ready: true}}
- {addresses: [192.168.0.6], conditions: {ready: true}, targetRef: {kind: Pod, name: far}}
---
kind: EndpointSlice
metadata: {name: web-2, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ['fd00::1'], targetRef: {kind: Pod, name: a}}]
---
kind: Pod
metadata: {name: gated, namespace: shop}
spec: {nodeName: n, containers: []}
status: {conditions: [{type: ContainersReady, status: 'True'}, {type: Ready, status: 'False'}]}
---
kind: Pod
metadata: {name: starting, namespace: shop}
spec: {nodeName: n, containers: []}
status: {conditions: [{type: ContainersReady, status: 'False'}]}
---
kind: Node
metadata: {name: n}
status: {conditions: [{type: Ready, status: 'True'}]}
";

    fn facts() -> Facts {
        Facts {
            vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            ..Facts::default()
        }
    }

    fn named(name: Option<&str>) -> ServicePort {
        ServicePort {
            name: name.map(Into::into),
            port: 80,
            ..ServicePort::default()
        }
    }

    #[test]
    fn ready_pods_and_those_that_wait_for_a_gate() {
        let snapshot = snapshot_from_yaml(SLICES).unwrap();
        let web = ObjectName::new("shop", "web");
        let targets = pods(&web, &named(Some("http")), &snapshot, &facts());
        let texts: Vec<_> = targets.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["10.0.0.1:8080", "10.0.0.2:8080", "192.168.0.6:8080"]
        );
        let outside: Vec<_> = targets.iter().map(|target| target.outside_vpc).collect();
        assert_eq!(outside, [false, false, true]);
    }

    #[test]
    fn an_unnamed_port_is_every_port_of_the_slice() {
        let snapshot = snapshot_from_yaml(SLICES).unwrap();
        let web = ObjectName::new("shop", "web");
        assert_eq!(pods(&web, &named(None), &snapshot, &facts()).len(), 6);
        assert!(pods(&web, &named(Some("grpc")), &snapshot, &facts()).is_empty());
        let other = ObjectName::new("shop", "other");
        assert!(pods(&other, &named(None), &snapshot, &facts()).is_empty());
    }

    #[test]
    fn while_the_vpc_is_not_known_no_address_is_outside() {
        let snapshot = snapshot_from_yaml(SLICES).unwrap();
        let web = ObjectName::new("shop", "web");
        let targets = pods(&web, &named(None), &snapshot, &Facts::default());
        assert!(targets.iter().all(|target| !target.outside_vpc));
    }
}
