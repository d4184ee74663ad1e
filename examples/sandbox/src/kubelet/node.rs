//! The Nodes that the played kubelet registers, and the Leases by which the
//! control plane sees that they live.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::control_plane::KUBELET_ADDRESS_TYPE;

/// Name under which the kubelet's writes are recorded.
const FIELD_MANAGER: &str = "sandbox-kubelet";
/// How often Leases are renewed; they hold four times as long.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A node to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayedNode {
    /// Name of the Node, such as `ip-10-0-48-10.us-west-2.compute.internal`.
    pub name: String,
    /// Id of the instance that it stands for.
    pub instance: String,
    /// Address of the instance in the VPC.
    pub address: Ipv4Addr,
    /// Zone of the instance.
    pub zone: String,
    /// Region of the instance.
    pub region: String,
}

/// Registers the nodes; `log_port` is where the kubelet serves logs.
///
/// # Errors
/// When the API server refuses one.
pub async fn register(client: &Client, nodes: &[PlayedNode], log_port: u16) -> anyhow::Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let params = PatchParams::apply(FIELD_MANAGER).force();
    // A kubelet of the API server's own version is one that it can work with.
    let version = client.apiserver_version().await?.git_version;
    for node in nodes {
        api.patch(&node.name, &params, &Patch::Apply(node.object()))
            .await
            .with_context(|| format!("cannot register node {}", node.name))?;
        renew(client, node).await?;
        // The status last: a node whose Lease is not there yet is not trusted.
        let status = node.status(log_port, &version, Timestamp::now());
        api.patch_status(&node.name, &params, &Patch::Apply(status))
            .await
            .with_context(|| format!("cannot report the status of node {}", node.name))?;
    }
    Ok(())
}

/// Renews the Leases of the nodes for ever.
pub async fn keep_alive(client: Client, nodes: Vec<PlayedNode>) {
    let mut ticks = tokio::time::interval(RENEW_EVERY);
    loop {
        ticks.tick().await;
        for node in &nodes {
            if let Err(error) = renew(&client, node).await {
                tracing::warn!("{error:#}");
            }
        }
    }
}

async fn renew(client: &Client, node: &PlayedNode) -> anyhow::Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node.name},
        "spec": {
            "holderIdentity": node.name,
            "leaseDurationSeconds": RENEW_EVERY.as_secs() * 4,
            "renewTime": format!("{:.6}", Timestamp::now()),
        },
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    leases
        .patch(&node.name, &params, &Patch::Apply(lease))
        .await
        .with_context(|| format!("cannot renew the Lease of node {}", node.name))?;
    Ok(())
}

impl PlayedNode {
    fn object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {
                    "kubernetes.io/hostname": self.name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "node.kubernetes.io/instance-type": "m5.large",
                    "topology.kubernetes.io/zone": self.zone,
                    "topology.kubernetes.io/region": self.region,
                },
            },
            "spec": {"providerID": format!("aws:///{}/{}", self.zone, self.instance)},
        })
    }

    fn status(&self, log_port: u16, version: &str, now: Timestamp) -> Value {
        let resources = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({
                "type": kind, "status": status, "reason": reason,
                "message": "played by the sandbox",
                "lastHeartbeatTime": format!("{now:.0}"),
                "lastTransitionTime": format!("{now:.0}"),
            })
        };
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name},
            "status": {
                "capacity": resources,
                "allocatable": resources,
                "addresses": [
                    {"type": "InternalIP", "address": self.address.to_string()},
                    {"type": "InternalDNS", "address": self.name},
                    {"type": "Hostname", "address": self.name},
                    // Where the API server finds the logs.
                    {"type": KUBELET_ADDRESS_TYPE, "address": "localhost"},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": log_port}},
                "nodeInfo": {
                    "architecture": "amd64", "operatingSystem": "linux",
                    "machineID": self.instance, "systemUUID": self.instance,
                    "bootID": self.instance, "kernelVersion": "sandbox",
                    "osImage": "sandbox", "containerRuntimeVersion": "sandbox://1",
                    "kubeletVersion": version, "kubeProxyVersion": "",
                },
                "conditions": [
                    condition("Ready", "True", "KubeletReady"),
                    condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                    condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                    condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                ],
            },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_one_of_its_instance() {
        let node = PlayedNode {
            name: "ip-10-0-48-10.us-west-2.compute.internal".to_owned(),
            instance: "i-0abc".to_owned(),
            address: Ipv4Addr::new(10, 0, 48, 10),
            zone: "us-west-2a".to_owned(),
            region: "us-west-2".to_owned(),
        };
        let object: Node = serde_json::from_value(node.object()).unwrap();
        let provider = object.spec.unwrap().provider_id;
        assert_eq!(provider.as_deref(), Some("aws:///us-west-2a/i-0abc"));
        let status = node.status(10250, "v1.36.3", Timestamp::from_second(0).unwrap());
        let status: Node = serde_json::from_value(status).unwrap();
        let status = status.status.unwrap();
        let endpoints = status.daemon_endpoints.unwrap().kubelet_endpoint.unwrap();
        assert_eq!(endpoints.port, 10250);
        let ready = &status.conditions.unwrap()[0];
        assert_eq!(
            (ready.type_.as_str(), ready.status.as_str()),
            ("Ready", "True")
        );
    }
}
