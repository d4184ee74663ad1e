//! Two controllers of different classes that see the same Ingresses, and whose
//! finalizers have the same names.

use super::{count, ingress, no_delays};
use crate::running::kubernetes_writes;
use crate::support::Scene;

/// What freezes an Ingress, so that it has a finalizer and nothing in AWS.
const FREEZES: &str = "alb.ingress.kubernetes.io/scheme: sideways";

async fn finalizers(scene: &Scene, name: &str) -> Vec<String> {
    let ingress = scene.ingress(&scene.name, name).await.unwrap();
    ingress.metadata.finalizers.unwrap_or_default()
}

async fn has_finalizers(scene: &Scene, name: &str, wished: &[&str]) {
    scene
        .eventually("the Ingress has these finalizers", async || {
            let is = finalizers(scene, name).await;
            if is == wished { Ok(()) } else { Err(is) }
        })
        .await;
}

/// An Ingress that is frozen, of a class. It states subnets: those of the
/// account are tagged for one of the two clusters.
fn frozen(scene: &Scene, name: &str, class: &str) -> String {
    let subnets = scene.ids.public_subnets.join(",");
    let subnets = format!("alb.ingress.kubernetes.io/subnets: {subnets}");
    let public = "alb.ingress.kubernetes.io/scheme: internet-facing";
    ingress(name, &[&subnets])
        .replace(public, FREEZES)
        .replace("{class}", class)
}

async fn classify(scene: &Scene, name: &str, class: &str) {
    let class = format!("kubernetes.io/ingress.class={class}");
    let annotate = ["annotate", "--overwrite", "ingress", "-n", "{ns}", name];
    scene.kubectl(&[&annotate[..], &[&class]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalizer_is_taken_off_by_whom_it_was_put_on_and_by_nobody_else() {
    let name = "lifecycle-whose";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    scene.service(name, "web", &["10.0.48.11"]).await;
    let ours = ["--leader-election-id=ours"];
    let controller = scene.controller(&ours).await;
    let theirs = ["--ingress-class=theirs", "--cluster-name=theirs"];
    let lease = ["--leader-election-id=theirs"];
    let another = scene.controller(&[&theirs[..], &lease].concat()).await;
    scene.apply(&frozen(&scene, "ours", name)).await;
    scene.apply(&frozen(&scene, "theirs", "theirs")).await;
    let put = ["ingress.k8s.aws/resources"];
    has_finalizers(&scene, "ours", &put).await;
    has_finalizers(&scene, "theirs", &put).await;
    let mut writes = kubernetes_writes(&controller).await;
    for round in 0.. {
        scene.quiet().await;
        let now = kubernetes_writes(&controller).await;
        if std::mem::replace(&mut writes, now) == now {
            break;
        }
        assert!(round < 5, "{now} writes, and no end:\n{}", controller.log());
    }

    // What one of them does costs the other nothing.
    scene.forget_calls();
    for index in 0..3 {
        let label = format!("seen={index}");
        let arguments = [
            "label",
            "--overwrite",
            "ingress",
            "-n",
            name,
            "theirs",
            &label,
        ];
        scene.kubectl(&arguments).await;
    }
    scene.quiet().await;
    assert_eq!(scene.actions(), [""; 0]);
    assert_eq!(kubernetes_writes(&controller).await, writes);
    let events = scene.events(name, "theirs").await;
    assert_eq!(events.len(), 1, "{events:#?}");

    // Its class is taken away while its controller is down: the other one,
    // which sees it, leaves it alone.
    controller.kill().await;
    classify(&scene, "ours", "nobodys").await;
    scene.quiet().await;
    assert_eq!(finalizers(&scene, "ours").await, put);
    // Its own lets it go, and touches nothing else, records included.
    drop(another);
    scene.forget_calls();
    let controller = scene.controller(&["--leader-election-id=again"]).await;
    has_finalizers(&scene, "ours", &[]).await;
    scene.quiet().await;
    assert_eq!(finalizers(&scene, "theirs").await, put);
    let calls = scene.actions();
    assert_eq!(
        count(&calls, "route53 ListResourceRecordSets"),
        1,
        "{calls:#?}"
    );

    // Theirs, served by us, and back: each serves it in its turn.
    let lease = ["--leader-election-id=theirs-again"];
    let another = scene.controller(&[&theirs[..], &lease].concat()).await;
    classify(&scene, "theirs", name).await;
    let right = "alb.ingress.kubernetes.io/scheme=internet-facing";
    let annotate = [
        "annotate",
        "--overwrite",
        "ingress",
        "-n",
        name,
        "theirs",
        right,
    ];
    scene.kubectl(&annotate).await;
    let first = scene.address(name, "theirs").await;
    has_finalizers(&scene, "theirs", &put).await;
    classify(&scene, "theirs", "theirs").await;
    scene
        .eventually("the other one serves it", async || {
            let address = scene.address(name, "theirs").await;
            let count = scene.account(|state| state.load_balancers.len());
            if address != first && count == 1 {
                Ok(())
            } else {
                Err((address, count))
            }
        })
        .await;
    has_finalizers(&scene, "theirs", &put).await;
    scene.delete_ingresses(name).await;
    scene.empty().await;
    drop((controller, another));
}
