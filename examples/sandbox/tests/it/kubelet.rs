//! The played kubelet on a real control plane, without an AWS.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use sandbox::control_plane::{ControlPlane, Options};
use sandbox::controller::ControllerProgram;
use sandbox::kubelet::cloud::{Cloud, Network};
use sandbox::kubelet::node::PlayedNode;
use sandbox::kubelet::{Controller, Kubelet, Settings};
use sandbox::web::{self, Listener};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::processes;

const NODE: &str = "ip-10-0-48-10.us-west-2.compute.internal";

/// A network that writes down what it is told.
#[derive(Debug, Clone, Default)]
struct Notebook {
    sockets: Arc<Mutex<BTreeMap<String, SocketAddr>>>,
    given: Arc<Mutex<u8>>,
}

impl Network for Notebook {
    fn assign_pod_address(&self, _instance: &str) -> Result<Ipv4Addr, String> {
        let mut given = self.given.lock().unwrap();
        *given += 1;
        Ok(Ipv4Addr::new(10, 0, 48, 100 + *given))
    }

    fn release_pod_address(&self, _instance: &str, _address: Ipv4Addr) {}

    fn map(&self, target: &str, socket: Option<SocketAddr>) {
        let mut sockets = self.sockets.lock().unwrap();
        match socket {
            Some(socket) => sockets.insert(target.to_owned(), socket),
            None => sockets.remove(target),
        };
    }
}

impl Notebook {
    fn of(&self, target: &str) -> Option<SocketAddr> {
        self.sockets.lock().unwrap().get(target).copied()
    }
}

/// A control plane with one played node.
struct Cluster {
    plane: ControlPlane,
    kubelet: Kubelet,
    network: Notebook,
}

impl Cluster {
    /// `script` runs in the place of the controller.
    async fn start(script: &str) -> Self {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        let program = plane.folder().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let network = Notebook::default();
        let settings = Settings {
            nodes: vec![PlayedNode {
                name: NODE.to_owned(),
                instance: "i-1".to_owned(),
                address: Ipv4Addr::new(10, 0, 48, 10),
                zone: "us-west-2a".to_owned(),
                region: "us-west-2".to_owned(),
            }],
            cloud: Cloud::new(network.clone()),
            controller: Some(Controller {
                program: ControllerProgram::binary(program),
                environment: BTreeMap::new(),
            }),
        };
        let kubelet = Kubelet::start(&plane, settings).await.unwrap();
        Self {
            plane,
            kubelet,
            network,
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.plane.client().unwrap(), "default")
    }

    async fn create(&self, name: &str, container: Value) {
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
        });
        let pod = serde_json::from_value(pod).unwrap();
        self.pods()
            .create(&PostParams::default(), &pod)
            .await
            .unwrap();
    }

    async fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.plane.kubectl().args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn until(&self, pod: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let seen = Mutex::new(Value::Null);
        processes::eventually(what, async || {
            let Ok(found) = self.pods().get(pod).await else {
                return false;
            };
            let status = serde_json::to_value(found.status).unwrap();
            let holds = holds(&status);
            *seen.lock().unwrap() = status;
            holds
        })
        .await;
        seen.into_inner().unwrap()
    }

    async fn stop(self) {
        self.kubelet.stop().await;
        self.plane.stop().await;
    }
}

fn is_ready(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_serves_until_its_graceful_end_and_node_ports_lead_to_it() {
    let cluster = Cluster::start("exit 0").await;
    let ready = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    cluster
        .create(
            "game",
            json!({
                "name": "game", "image": "example/2048:1",
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": ready,
                "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
            }),
        )
        .await;
    let status = cluster.until("game", "the pod is ready", is_ready).await;
    let address = status["podIP"].as_str().unwrap().to_owned();
    let pod = cluster.network.of(&format!("{address}:8080")).unwrap();
    let page = web::get(&Listener::plain(pod), "game", "/").await.unwrap();
    assert!(page.body.contains("<title>2048</title>"));
    assert_eq!(page.header("x-served-by"), "game");

    cluster
        .kubectl(&[
            "expose",
            "pod/game",
            "--type=NodePort",
            "--port=80",
            "--target-port=http",
        ])
        .await;
    let port = [
        "get",
        "service/game",
        "--output=jsonpath={.spec.ports[0].nodePort}",
    ];
    let node_port = format!("i-1:{}", cluster.kubectl(&port).await);
    processes::eventually("the node port leads to the pod", async || {
        let Some(socket) = cluster.network.of(&node_port) else {
            return false;
        };
        let answer = web::get(&Listener::plain(socket), "game", "/served-by").await;
        answer.is_ok_and(|answer| answer.body.contains("\"pod\":\"game\""))
    })
    .await;

    let logs = cluster.kubectl(&["logs", "pod/game"]).await;
    assert!(logs.contains("GET /served-by"), "{logs}");
    assert!(!logs.contains("/healthz"), "probes are left out: {logs}");

    let deleted = cluster
        .pods()
        .delete("game", &DeleteParams::default())
        .await;
    assert!(
        deleted.unwrap().is_left(),
        "the object stays while the pod ends"
    );
    let page = web::get(&Listener::plain(pod), "game", "/").await.unwrap();
    assert_eq!(page.status, 200, "the pod serves on while it ends");
    processes::eventually("the pod is gone", async || {
        cluster.pods().get_opt("game").await.unwrap().is_none()
    })
    .await;
    assert!(web::get(&Listener::plain(pod), "game", "/").await.is_err());
    assert_eq!(cluster.network.of(&format!("{address}:8080")), None);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controllers_pods_are_processes_with_the_rights_of_their_account() {
    // Says who it is, runs until its flag file is there, then fails.
    let script = r#"
        echo "args $*"; echo "pod $POD"; test -s "$KUBECONFIG" && echo "has kubeconfig"
        trap 'echo "told to end"; exit 0' TERM
        while ! [ -e "$HOME/fail" ]; do sleep 0.05; done
        rm "$HOME/fail"; exit 3"#;
    let cluster = Cluster::start(script).await;
    cluster
        .create(
            "controller",
            json!({
                "name": "c", "image": "example/alb-ingress-controller:1",
                "args": ["--pod=$(POD)", "--bind-address=0.0.0.0"],
                "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            }),
        )
        .await;
    cluster
        .until("controller", "the pod is ready", is_ready)
        .await;
    processes::eventually("the log is served", async || {
        let logs = cluster.kubectl(&["logs", "controller"]).await;
        logs.contains("args --pod=controller --bind-address=127.")
            && logs.contains("pod controller")
            && logs.contains("has kubeconfig")
    })
    .await;

    let mut follow = cluster.plane.kubectl();
    follow
        .args(["logs", "--follow", "controller"])
        .stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut followed = BufReader::new(follow.stdout.take().unwrap()).lines();
    let first = followed.next_line().await.unwrap().unwrap();
    assert!(first.starts_with("args "), "{first}");
    let uid = cluster
        .pods()
        .get("controller")
        .await
        .unwrap()
        .metadata
        .uid
        .unwrap();
    let folder = cluster.plane.folder().join("pods").join(uid);
    std::fs::write(folder.join("fail"), "").unwrap();
    let status = cluster
        .until("controller", "it runs again", |status| {
            status["containerStatuses"][0]["restartCount"] == 1 && is_ready(status)
        })
        .await;
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 3, "{status}");
    while followed.next_line().await.unwrap().is_some() {}
    let end = follow.wait().await.unwrap();
    assert!(end.success(), "a followed log ends with its run");
    let before = cluster.kubectl(&["logs", "--previous", "controller"]).await;
    assert!(before.contains("pod controller"), "{before}");

    // A second failure in a row is answered with a wait, and with an event.
    std::fs::write(folder.join("fail"), "").unwrap();
    cluster
        .until("controller", "it is waited for", |status| {
            let waiting = &status["containerStatuses"][0]["state"]["waiting"];
            waiting["reason"] == "CrashLoopBackOff"
        })
        .await;
    processes::eventually("an event tells", async || {
        let events = cluster.kubectl(&["get", "events"]).await;
        events.contains("CrashLoopBackOff") && events.contains("exited with code 3")
    })
    .await;
    cluster.stop().await;
}
