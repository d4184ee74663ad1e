//! The objects of N groups: each an Ingress with two listeners, ten rules,
//! five Services and two Pods for each of them.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::controller::repository;
use crate::sandbox::Sandbox;

/// Where all objects are.
pub(super) const NAMESPACE: &str = "bench";
/// Services of a group.
pub(super) const SERVICES: usize = 5;
/// Rules of a group.
pub(super) const RULES: usize = 10;
/// Pods of a Service.
pub(super) const PODS: usize = 2;

/// Writes to the API server under way at the same time.
const AT_ONCE: usize = 48;
/// Who writes.
const MANAGER: &str = "sandbox-bench";
/// Pods are in the private subnets, of which these are the third bytes of the
/// addresses: 10.0.48.0/20 and so on.
const SUBNETS: [u8; 3] = [48, 64, 80];

/// Health checks of AWS come this much less often than usual: nobody looks at
/// health here, and the pods answer none.
const HEALTH_SCALE: f64 = 100.0;

/// Makes room in AWS, and all objects but the Ingresses.
pub(super) async fn set_up(
    sandbox: &Sandbox,
    groups: usize,
    latency_ms: u64,
) -> anyhow::Result<()> {
    sandbox.account.state().write(|state, _now| {
        for (quota, each) in [
            ("application-load-balancers", 1),
            ("target-groups", SERVICES),
            ("security-groups", 2),
        ] {
            let enough = state.quotas.limit(quota).max(each * groups + 100);
            let _ = state.quotas.set(quota, enough);
        }
        state.timing.latency_ms = latency_ms;
        state.timing.health_scale = HEALTH_SCALE;
    });
    let crd = repository().join("deploy/crd");
    let class = repository().join("deploy/ingressclass.yaml");
    for (flag, path) in [("-k", &crd), ("-f", &class)] {
        kubectl_apply(sandbox, flag, path).await?;
    }
    let client = sandbox.control_plane.client()?;
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    apply(
        &Api::<Namespace>::all(client.clone()),
        NAMESPACE,
        &namespace,
    )
    .await?;
    for node in sandbox.account.nodes() {
        let nodes: Api<Node> = Api::all(client.clone());
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": node.name,
                "labels": { "topology.kubernetes.io/zone": node.zone },
            },
            "spec": { "providerID": format!("aws:///{}/{}", node.zone, node.instance) },
        });
        apply(&nodes, &node.name, &object).await?;
        let status = json!({ "status": {
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
            "addresses": [{ "type": "InternalIP", "address": node.address }],
        }});
        status_of(&nodes, &node.name, &status).await?;
    }
    let nodes: Vec<String> = sandbox
        .account
        .nodes()
        .into_iter()
        .map(|n| n.name)
        .collect();
    let services = (0..groups * SERVICES).map(|number| {
        let (client, nodes) = (client.clone(), nodes.clone());
        async move { service(&client, number, &nodes).await }
    });
    stream::iter(services)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

/// Applies a file, for which `flag` is `-f`, or what `-k` makes of a folder.
pub(super) async fn kubectl_apply(
    sandbox: &Sandbox,
    flag: &str,
    path: &Path,
) -> anyhow::Result<()> {
    let mut kubectl = sandbox.control_plane.kubectl();
    // By the server, for whom no manifest is too large.
    kubectl.args(["apply", "--server-side", flag]).arg(path);
    let output = kubectl.output().await.context("cannot start kubectl")?;
    anyhow::ensure!(
        output.status.success(),
        "kubectl cannot apply {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The name of a Service, by its number among all.
fn service_name(number: usize) -> String {
    format!("g{:04}-s{}", number / SERVICES, number % SERVICES)
}

/// The address of a Pod, by its number among all.
fn address(number: usize) -> anyhow::Result<Ipv4Addr> {
    let subnet = SUBNETS[number % SUBNETS.len()];
    // The first addresses are the Nodes' and AWS's.
    let place = number / SUBNETS.len() + 16;
    let third = subnet + u8::try_from(place / 250)?;
    Ok(Ipv4Addr::new(10, 0, third, u8::try_from(place % 250)? + 2))
}

/// A Service with its Pods and its EndpointSlice.
async fn service(client: &Client, number: usize, nodes: &[String]) -> anyhow::Result<()> {
    let name = service_name(number);
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
    });
    apply(&services, &name, &object).await?;
    for pod in 0..PODS {
        self::pod(client, number, pod, nodes).await?;
    }
    endpoints(client, number, PODS, nodes).await
}

/// One Pod, running and ready.
pub(super) async fn pod(
    client: &Client,
    service: usize,
    pod: usize,
    nodes: &[String],
) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let name = format!("{}-{pod}", service_name(service));
    let address = pod_address(service, pod)?;
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": service_name(service) } },
        "spec": {
            "nodeName": nodes[pod % nodes.len()],
            "containers": [{
                "name": "app",
                "image": "app:1",
                "ports": [{ "containerPort": 8080 }],
                "env": [{ "name": "MODE", "value": "production" }],
                "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
            }],
        },
    });
    apply(&pods, &name, &object).await?;
    let ready = |kind: &str| json!({ "type": kind, "status": "True" });
    let status = json!({ "status": {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "conditions": [ready("ContainersReady"), ready("Ready")],
    }});
    status_of(&pods, &name, &status).await
}

/// One Pod more than [`PODS`] has an address behind those of all others.
fn pod_address(service: usize, pod: usize) -> anyhow::Result<Ipv4Addr> {
    if pod < PODS {
        address(service * PODS + pod)
    } else {
        // The nodes' first addresses end with .4; these are free.
        Ok(Ipv4Addr::new(10, 0, SUBNETS[0], 10 + u8::try_from(pod)?))
    }
}

/// The EndpointSlice of a Service with its first Pods.
pub(super) async fn endpoints(
    client: &Client,
    service: usize,
    pods: usize,
    nodes: &[String],
) -> anyhow::Result<()> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    let name = service_name(service);
    let endpoints: Vec<Value> = (0..pods)
        .map(|pod| {
            Ok(json!({
                "addresses": [pod_address(service, pod)?],
                "conditions": { "ready": true, "serving": true, "terminating": false },
                "nodeName": nodes[pod % nodes.len()],
                "targetRef": { "kind": "Pod", "namespace": NAMESPACE, "name": format!("{name}-{pod}") },
            }))
        })
        .collect::<anyhow::Result<_>>()?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints,
    });
    apply(&slices, &name, &slice).await
}

/// All Ingresses.
pub(super) async fn ingresses(
    client: &Client,
    groups: usize,
    certificate: &str,
) -> anyhow::Result<()> {
    let all = (0..groups).map(|group| ingress(client, group, RULES, certificate));
    stream::iter(all)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

/// The Ingress of a group, with so many rules.
pub(super) async fn ingress(
    client: &Client,
    group: usize,
    rules: usize,
    certificate: &str,
) -> anyhow::Result<()> {
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), NAMESPACE);
    let name = format!("g{group:04}");
    let paths: Vec<Value> = (0..rules)
        .map(|rule| {
            json!({
                "path": format!("/p{rule:02}"),
                "pathType": "Prefix",
                "backend": { "service": {
                    "name": service_name(group * SERVICES + rule % SERVICES),
                    "port": { "number": 80 },
                }},
            })
        })
        .collect();
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": name,
            "annotations": {
                "alb.ingress.kubernetes.io/target-type": "ip",
                "alb.ingress.kubernetes.io/scheme": "internet-facing",
                "alb.ingress.kubernetes.io/listen-ports": r#"[{"HTTP": 80}, {"HTTPS": 443}]"#,
                "alb.ingress.kubernetes.io/ssl-redirect": "443",
                "alb.ingress.kubernetes.io/certificate-arn": certificate,
            },
        },
        "spec": {
            "ingressClassName": "alb",
            "rules": [{ "host": format!("{name}.example.com"), "http": { "paths": paths } }],
        },
    });
    apply(&ingresses, &name, &object).await
}

/// Changes of the first group that mean nothing: a label on its Ingress, an
/// annotation on a Service and a label on a Node.
pub(super) async fn touch(client: &Client, nodes: &[String]) -> anyhow::Result<()> {
    let how = PatchParams::default();
    let label = Patch::Merge(json!({ "metadata": { "labels": { "bench": "touched" } } }));
    let note = Patch::Merge(json!({ "metadata": { "annotations": { "other.tool/seen": "1" } } }));
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), NAMESPACE);
    ingresses.patch("g0000", &how, &label).await?;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    services.patch(&service_name(0), &how, &note).await?;
    let api: Api<Node> = Api::all(client.clone());
    if let Some(node) = nodes.first() {
        api.patch(node, &how, &label).await?;
    }
    Ok(())
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value) -> anyhow::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    let how = PatchParams::apply(MANAGER).force();
    api.patch(name, &how, &Patch::Apply(object))
        .await
        .with_context(|| format!("cannot make {name}"))?;
    Ok(())
}

async fn status_of<K>(api: &Api<K>, name: &str, status: &Value) -> anyhow::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .with_context(|| format!("cannot write the status of {name}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::super::MOST_GROUPS;
    use super::*;

    #[test]
    fn every_pod_has_an_address_of_its_own_in_a_private_subnet() {
        let pods = MOST_GROUPS * SERVICES * PODS;
        let all: BTreeSet<Ipv4Addr> = (0..pods).map(|pod| address(pod).unwrap()).collect();
        assert_eq!(all.len(), pods);
        assert!(!all.contains(&pod_address(0, PODS).unwrap()));
        assert!(all.iter().all(|a| (48..96).contains(&a.octets()[2])));
    }
}
