//! The control plane serves, denies what a cluster denies, and ends.

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use sandbox::control_plane::{ControlPlane, Options};
use serde_json::json;

use crate::processes;

async fn start(bare: bool) -> ControlPlane {
    let options = Options {
        bare,
        ..Options::default()
    };
    ControlPlane::start(options).await.unwrap()
}

fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_one_runs_controllers_and_scheduler_and_gives_accounts_only_their_rights() {
    let control_plane = start(false).await;
    let client = control_plane.client().unwrap();

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let shop = object(json!({ "metadata": { "name": "shop" } }));
    namespaces
        .create(&PostParams::default(), &shop)
        .await
        .unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    let node = object(json!({ "metadata": { "name": "node-1" } }));
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let ready = json!({ "status": {
        "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" },
        "capacity": { "cpu": "4", "memory": "8Gi", "pods": "110" },
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "lastHeartbeatTime": jiff::Timestamp::now().to_string(),
        }],
    }});
    nodes
        .patch_status(
            "node-1",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(ready),
        )
        .await
        .unwrap();

    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "web" }] },
            },
        },
    });
    let file = control_plane.folder().join("deployment.json");
    std::fs::write(&file, deployment.to_string()).unwrap();
    let applied = control_plane
        .kubectl()
        .args(["apply", "-f"])
        .arg(&file)
        .output()
        .await
        .unwrap();
    assert!(applied.status.success(), "{applied:?}");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    processes::eventually("two Pods are on the Node", async || {
        let found = pods
            .list(&ListParams::default().labels("app=web"))
            .await
            .unwrap();
        found
            .iter()
            .filter(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("node-1"))
            .count()
            == 2
    })
    .await;

    let path = control_plane
        .kubeconfig_for_service_account("shop", "default")
        .await
        .unwrap();
    let config = Kubeconfig::read_from(&path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
        .await
        .unwrap();
    let as_account = Client::try_from(config).unwrap();
    let secrets: Api<Secret> = Api::namespaced(as_account, "shop");
    match secrets.list(&ListParams::default()).await.unwrap_err() {
        kube::Error::Api(status) => {
            assert_eq!(status.code, 403);
            assert!(
                status
                    .message
                    .contains("system:serviceaccount:shop:default")
            );
        }
        other => panic!("expected a refusal, got {other}"),
    }

    let folder = control_plane.folder().to_owned();
    assert_eq!(processes::that_name(&folder).len(), 4);
    control_plane.stop().await;
    assert_eq!(processes::that_name(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_one_leaves_nodes_and_pods_to_the_caller() {
    let control_plane = start(true).await;
    let client = control_plane.client().unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    let node = object(json!({ "metadata": { "name": "mine" } }));
    let node = nodes.create(&PostParams::default(), &node).await.unwrap();
    assert_eq!(node.spec.unwrap_or_default().taints, None);

    // Admission would refuse it, since nobody makes the ServiceAccount.
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = object(json!({
        "metadata": { "name": "mine" },
        "spec": { "nodeName": "mine", "containers": [{ "name": "web", "image": "web" }] },
    }));
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::all(client);
    assert_eq!(
        accounts
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    assert_eq!(processes::that_name(control_plane.folder()).len(), 2);
    control_plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_is_reported_with_its_log() {
    let control_plane = start(true).await;
    processes::kill_etcd_of(control_plane.folder());
    let message = control_plane.failure().await.to_string();
    assert!(
        message.starts_with("etcd ended (signal: 9 (SIGKILL))"),
        "{message}"
    );
    control_plane.stop().await;
}
