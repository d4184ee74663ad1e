//! The control plane of the test run, and objects that a test plays.

use std::process::Stdio;
use std::sync::OnceLock;

use hyper::Request;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use sandbox::sandbox::{Options, Sandbox};
use sandbox_aws::WorldIds;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;

/// Region of every scene.
pub const REGION: &str = "us-west-2";

/// Private addresses of the nodes; their pods' addresses begin alike.
const NODES: [&str; 3] = ["10.0.48.4", "10.0.64.4", "10.0.80.4"];

static SANDBOX: OnceLock<&'static Sandbox> = OnceLock::new();
static SET_UP: OnceCell<()> = OnceCell::const_new();

/// The sandbox of the run, started by whoever asks first.
pub fn sandbox() -> &'static Sandbox {
    SANDBOX.get_or_init(|| {
        let options = Options {
            bare: true,
            ..Options::default()
        };
        Sandbox::start_for_process(options).expect("the control plane starts")
    })
}

/// A client for the calling test, after what all scenes share is there: the
/// CRD, the class `alb`, and Nodes for the instances that every account has.
pub async fn client(ids: &WorldIds) -> Client {
    let sandbox = tokio::task::spawn_blocking(sandbox).await.unwrap();
    let client = sandbox.control_plane.client().unwrap();
    SET_UP
        .get_or_init(|| async {
            let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
            kubectl(&["apply", "-k", &format!("{deploy}/crd")], "").await;
            kubectl(&["apply", "-f", &format!("{deploy}/ingressclass.yaml")], "").await;
            for (index, instance) in ids.nodes.iter().enumerate() {
                node(&client, index, instance).await;
            }
        })
        .await;
    client
}

async fn node(client: &Client, index: usize, instance: &str) {
    let zone = ["a", "b", "c"][index];
    let name = format!("node-{zone}");
    let api: Api<Node> = Api::all(client.clone());
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": format!("{REGION}{zone}") } },
        "spec": { "providerID": format!("aws:///{REGION}{zone}/{instance}") },
    });
    apply(&api, &name, &node).await;
    let status = json!({ "status": {
        "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        "addresses": [{ "type": "InternalIP", "address": NODES[index] }],
    }});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let how = PatchParams::apply("tests").force();
    api.patch(name, &how, &Patch::Apply(object)).await.unwrap();
}

/// See [`super::Scene::service`].
pub async fn service(client: &Client, namespace: &str, name: &str, addresses: &[&str]) {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
    });
    if services.get_opt(name).await.unwrap().is_none() {
        apply(&services, name, &object).await;
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let label = format!("app={name}");
    let old = pods
        .list(&ListParams::default().labels(&label))
        .await
        .unwrap();
    let pod_name = |address: &str| format!("{name}-{}", address.replace('.', "-"));
    for address in addresses {
        pod(&pods, name, &pod_name(address), address).await;
    }
    endpoints(client, namespace, name, addresses).await;
    for pod in old {
        let keep = addresses.iter().any(|a| pod_name(a) == pod.name_any());
        if !keep {
            let now = DeleteParams::default().grace_period(0);
            pods.delete(&pod.name_any(), &now).await.unwrap();
        }
    }
}

async fn pod(api: &Api<Pod>, app: &str, name: &str, address: &str) {
    if api.get_opt(name).await.unwrap().is_some() {
        return;
    }
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": app } },
        "spec": {
            "nodeName": node_of(address),
            "containers": [{ "name": "app", "image": "echo", "ports": [{ "containerPort": 8080 }] }],
        },
    });
    apply(api, name, &object).await;
    let ready = |kind: &str| json!({ "type": kind, "status": "True" });
    let status = json!({ "status": {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "conditions": [ready("ContainersReady"), ready("Ready")],
    }});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

async fn endpoints(client: &Client, namespace: &str, name: &str, addresses: &[&str]) {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let endpoint = |address: &&str| {
        json!({
            "addresses": [address],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": node_of(address),
            "targetRef": {
                "kind": "Pod",
                "namespace": namespace,
                "name": format!("{name}-{}", address.replace('.', "-")),
            },
        })
    };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
    });
    apply(&slices, name, &slice).await;
}

fn node_of(address: &str) -> &'static str {
    match address.split('.').nth(2) {
        Some("48") => "node-a",
        Some("64") => "node-b",
        _ => "node-c",
    }
}

/// An Ingress, if it is there.
pub async fn ingress(client: &Client, namespace: &str, name: &str) -> Option<Ingress> {
    let api: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    api.get_opt(name).await.unwrap()
}

/// All IngressGroups, as the API server has them: what is not in our type too.
pub async fn groups(client: &Client) -> Vec<Value> {
    let list = Request::get("/apis/ingress.k8s.aws/v1/ingressgroups");
    let list: Value = client
        .request(list.body(Vec::new()).unwrap())
        .await
        .unwrap();
    list["items"].as_array().unwrap().clone()
}

/// `reason: message` of the events on an Ingress, of one type or of all.
pub async fn events(
    client: &Client,
    namespace: &str,
    ingress: &str,
    kind: Option<&str>,
) -> Vec<String> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let events = api.list(&ListParams::default()).await.unwrap();
    let of_ingress = events.into_iter().filter(|event| {
        let regarding = event.regarding.as_ref();
        regarding.is_some_and(|object| object.name.as_deref() == Some(ingress))
            && (kind.is_none() || event.type_.as_deref() == kind)
    });
    of_ingress
        .map(|event| {
            let reason = event.reason.unwrap_or_default();
            format!("{reason}: {}", event.note.unwrap_or_default())
        })
        .collect()
}

/// Runs kubectl with standard input and answers its standard output; fails
/// with what it says.
pub async fn kubectl(arguments: &[&str], input: &str) -> String {
    let mut command = sandbox().control_plane.kubectl();
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(
        output.status.success(),
        "kubectl {arguments:?}: {}\n{input}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
