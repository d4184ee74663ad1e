//! Where the record of a group cannot be written: no change begins that the
//! next process would not know of, and what has no record is read in full.

use std::time::Duration;

use alb_ingress_controller::report::IngressGroup;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::left::{registered, served, settled};
use super::{count, forge, ingress, insides, record, resource, rules, written};
use crate::support::{Controller, Scene};

/// How long nothing must happen where something would take a moment.
const A_WHILE: Duration = Duration::from_secs(3);

/// Waits until the log says something.
async fn says(scene: &Scene, controller: &Controller, what: &str) {
    scene
        .eventually(what, async || {
            let log = controller.log();
            log.contains(what).then_some(()).ok_or(log)
        })
        .await;
}

/// Waits until AWS has so many rules.
async fn has_rules(scene: &Scene, count: usize) {
    scene
        .eventually("the rules are there", async || {
            let there = rules(scene).len();
            if there == count { Ok(()) } else { Err(there) }
        })
        .await;
    scene.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_crd_all_is_read_in_full_and_it_is_said_once() {
    const CRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd");
    let scene = Scene::alone("restart-crd").await;
    let ns = scene.name.clone();
    let (mut leaders, controller) = served(&scene).await;
    controller.kill().await;
    scene.kubectl(&["delete", "-k", CRD, "--wait=true"]).await;

    let mut controller = leaders.settled(&scene, &[]).await;
    assert_eq!(count(&scene, "DescribeListeners"), 1);
    assert_eq!(count(&scene, "DescribeTargetHealth"), 1);
    assert_eq!(written(&scene), [""; 0]);
    // All kinds of work go on.
    scene.forget_calls();
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    has_rules(&scene, 2).await;
    assert_eq!(written(&scene), ["CreateRule"]);
    scene
        .service(&ns, "web", &["10.0.48.71", "10.0.48.72"])
        .await;
    registered(&scene, "10.0.48.72").await;
    scene.apply(&ingress("other", &["/"], "")).await;
    scene.address(&ns, "other").await;
    scene.delete(&ingress("other", &["/"], "")).await;
    scene.gone(&ns, "other").await;
    let log = controller.log();
    assert!(controller.terminate().await.success());

    scene.kubectl(&["apply", "-k", CRD]).await;
    scene
        .eventually("the CRD is back", async || {
            let api: Api<IngressGroup> = Api::all(scene.client.clone());
            api.list(&ListParams::default()).await.map(|_| ())
        })
        .await;
    let told = log.matches("kubectl apply -k deploy/crd").count();
    assert_eq!(told, 1, "{log}");

    // The next process has no record yet, and the one after it has.
    let mut controller = leaders.settled(&scene, &[]).await;
    assert_eq!(count(&scene, "DescribeListeners"), 1);
    assert_eq!(written(&scene), [""; 0]);
    settled(&scene).await;
    assert!(controller.terminate().await.success());
    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(insides(&scene), [""; 0]);
    drop(controller);
}

/// Has the API server refuse to write the status of the scene's `IngressGroups`,
/// for a reason of the API, or not any more.
async fn refuse(scene: &Scene, reason: Option<&str>) {
    let name = &scene.name;
    let kinds = [
        "ValidatingAdmissionPolicyBinding",
        "ValidatingAdmissionPolicy",
    ];
    let Some(reason) = reason else {
        for kind in kinds {
            scene.kubectl(&["delete", kind, name]).await;
        }
        is_refused(scene, false).await;
        return;
    };
    let [binding, policy] = kinds;
    scene
        .apply(&format!(
            "---
apiVersion: admissionregistration.k8s.io/v1
kind: {policy}
metadata: {{name: {name}}}
spec:
  matchConstraints:
    resourceRules:
    - {{apiGroups: [ingress.k8s.aws], apiVersions: ['*'], operations: [UPDATE], resources: [ingressgroups/status]}}
  matchConditions:
  - {{name: ours, expression: \"object.spec.group.startsWith('{name}/')\"}}
  validations:
  - {{expression: 'false', message: not now, reason: {reason}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: {binding}
metadata: {{name: {name}}}
spec: {{policyName: {name}, validationActions: [Deny]}}
"
        ))
        .await;
    is_refused(scene, true).await;
}

/// Waits until a write of the status is refused, or is not.
async fn is_refused(scene: &Scene, wished: bool) {
    let api: Api<IngressGroup> = Api::all(scene.client.clone());
    let name = resource(&scene.name, "shop");
    let try_only = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({ "status": { "state": "Tried" } }));
    scene
        .eventually("the API server does as it was told", async || {
            let answer = api.patch_status(&name, &try_only, &patch).await;
            if answer.is_err() == wished {
                Ok(())
            } else {
                Err(answer.map(|_| "written"))
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_record_is_refused_does_not_begin_and_targets_go_on() {
    let scene = Scene::new("restart-refused").await;
    let ns = scene.name.clone();
    let (_, controller) = served(&scene).await;
    let before = record(&scene, &ns, "shop").await;
    refuse(&scene, Some("Invalid")).await;

    scene.forget_calls();
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    says(&scene, &controller, "the change does not begin").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(written(&scene), [""; 0]);
    // Not so targets.
    scene
        .service(&ns, "web", &["10.0.48.71", "10.0.48.72"])
        .await;
    registered(&scene, "10.0.48.72").await;
    assert_eq!(written(&scene), ["RegisterTargets"]);
    assert_eq!(record(&scene, &ns, "shop").await, before);

    refuse(&scene, None).await;
    has_rules(&scene, 2).await;
    settled(&scene).await;
    assert_eq!(written(&scene), ["RegisterTargets", "CreateRule"]);
    let after = record(&scene, &ns, "shop").await;
    assert_ne!(after["digest"], before["digest"]);
    assert_ne!(after["targets"], before["targets"]);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_records_goes_on_without_and_the_next_one_reads() {
    let scene = Scene::new("restart-forbidden").await;
    let ns = scene.name.clone();
    let (mut leaders, controller) = served(&scene).await;
    let before = record(&scene, &ns, "shop").await;
    refuse(&scene, Some("Forbidden")).await;
    scene.forget_calls();
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    has_rules(&scene, 2).await;
    assert_eq!(written(&scene), ["CreateRule"]);
    assert_eq!(record(&scene, &ns, "shop").await, before);
    controller.kill().await;

    refuse(&scene, None).await;
    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(count(&scene, "DescribeListeners"), 1);
    assert_eq!(written(&scene), [""; 0]);
    settled(&scene).await;
    assert_ne!(
        record(&scene, &ns, "shop").await["digest"],
        before["digest"]
    );
    drop(controller);
}

/// A way to the API server on which no request arrives while it is shut; what
/// the server sends still does.
struct Gate {
    open: watch::Sender<bool>,
    kubeconfig: tempfile::NamedTempFile,
}

impl Gate {
    async fn start() -> Self {
        const SERVER: &str = "https://127.0.0.1:";
        let text = std::fs::read_to_string(Scene::kubeconfig()).unwrap();
        let (_, rest) = text.split_once(SERVER).unwrap();
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let text = text.replace(&format!("{SERVER}{port}"), &format!("{SERVER}{own}"));
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kubeconfig.path(), text).unwrap();
        let (open, is_open) = watch::channel(true);
        let port: u16 = port.parse().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (from_client, mut to_client) = client.into_split();
                let (mut from_server, to_server) = server.into_split();
                tokio::spawn(
                    async move { tokio::io::copy(&mut from_server, &mut to_client).await },
                );
                tokio::spawn(pass(from_client, to_server, is_open.clone()));
            }
        });
        Self { open, kubeconfig }
    }

    fn flag(&self) -> String {
        format!("--kubeconfig={}", self.kubeconfig.path().display())
    }
}

/// Passes bytes on, while it is open.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut open: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if open.wait_for(|open| *open).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_an_api_server_that_does_not_answer() {
    let scene = Scene::new("restart-away").await;
    let ns = scene.name.clone();
    let (mut leaders, mut controller) = served(&scene).await;
    let before = record(&scene, &ns, "shop").await;
    assert!(controller.terminate().await.success());
    // Its record is whole, but another state's: so the group is read and then
    // remembered, and nothing but the record is between an edit and its write.
    forge(
        &scene,
        &ns,
        "shop",
        &json!({ "schema": 1, "digest": "other", "targets": {} }),
    )
    .await;
    let gate = Gate::start().await;
    // Its Lease cannot be renewed either while the gate is shut.
    let lease = "--leader-election-lease=60s";
    let controller = leaders.settled(&scene, &[&gate.flag(), lease]).await;
    settled(&scene).await;
    assert_eq!(record(&scene, &ns, "shop").await, before);

    scene.forget_calls();
    gate.open.send_replace(false);
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    says(&scene, &controller, "plan for restart-away/shop").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(scene.actions(), [""; 0]);
    assert_eq!(record(&scene, &ns, "shop").await, before);

    gate.open.send_replace(true);
    has_rules(&scene, 2).await;
    settled(&scene).await;
    assert_eq!(written(&scene), ["CreateRule"]);
    assert_ne!(
        record(&scene, &ns, "shop").await["digest"],
        before["digest"]
    );
    drop(controller);
}
