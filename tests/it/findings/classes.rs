//! Which Ingresses are ours.

use super::{object, routes, settled};
use crate::support::Scene;

const CLASSES: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: findings-foreign}
spec: {controller: example.com/other}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: findings-parameters}
spec:
  controller: ingress.k8s.aws/alb
  parameters: {apiGroup: elbv2.k8s.aws, kind: IngressClassParams, name: shared}
";

const IP: &str = "    alb.ingress.kubernetes.io/target-type: ip\n";

fn of_class(namespace: &str, name: &str, class: &str) -> String {
    let host = format!("{name}.example.com");
    let routes = routes(&[(&host, "/", "web")]);
    object(
        namespace,
        name,
        IP,
        &format!("ingressClassName: {class}, {routes}"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_are_told_from_others_by_class_annotation_default_and_namespace() {
    let scene = Scene::alone("findings-classes").await;
    let ns = scene.name.clone();
    scene.namespace("findings-classes-2").await;
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.21"]).await;
    scene.apply(CLASSES).await;
    let routed = |name: &str| routes(&[(&format!("{name}.example.com"), "/", "web")]);
    let annotated = |name: &str, class: &str| {
        let class = format!("{IP}    kubernetes.io/ingress.class: '{class}'\n");
        object(&ns, name, &class, &routed(name))
    };
    let all = [
        of_class(&ns, "by-class", "alb"),
        annotated("by-annotation", "{class}"),
        // The annotation counts, the class beside it is not looked at.
        annotated("foreign-annotation", "nginx"),
        of_class(&ns, "foreign-class", "findings-foreign"),
        of_class(&ns, "no-such-class", "findings-missing"),
        of_class(&ns, "parameters", "findings-parameters"),
        object(&ns, "classless", IP, &routed("classless")),
        of_class("findings-classes-2", "elsewhere", "alb"),
    ];
    scene.apply(&all.concat()).await;

    scene.address(&ns, "by-class").await;
    scene.address(&ns, "by-annotation").await;
    scene
        .warned(
            &ns,
            "no-such-class",
            &["InvalidIngressClass", "findings-missing", "create it"],
        )
        .await;
    scene
        .warned(
            &ns,
            "parameters",
            &[
                "NotSupportedYet",
                "findings-parameters",
                "IngressClassParams shared",
            ],
        )
        .await;
    settled(&scene, &controller, &ns, "by-class").await;
    settled(&scene, &controller, &ns, "parameters").await;
    let untouched = async |namespace: &str, name: &str| {
        let there = scene.ingress(namespace, name).await.unwrap();
        assert_eq!(there.metadata.finalizers, None, "{name}");
        assert_eq!(scene.events(namespace, name).await, [""; 0]);
    };
    untouched(&ns, "foreign-annotation").await;
    untouched(&ns, "foreign-class").await;
    untouched(&ns, "classless").await;
    untouched("findings-classes-2", "elsewhere").await;
    assert_eq!(scene.account(|state| state.load_balancers.len()), 2);

    let default = "ingressclass.kubernetes.io/is-default-class";
    scene
        .kubectl(&[
            "annotate",
            "ingressclass",
            "alb",
            &format!("{default}=true"),
        ])
        .await;
    scene.address(&ns, "classless").await;
    // No longer ours: taken away, and the Ingress itself stays.
    scene
        .kubectl(&["annotate", "ingressclass", "alb", &format!("{default}-")])
        .await;
    scene
        .eventually("the finalizer is gone", async || {
            let there = scene.ingress(&ns, "classless").await.unwrap();
            match there.metadata.finalizers {
                None => Ok(()),
                some => Err(some),
            }
        })
        .await;
    assert_eq!(scene.account(|state| state.load_balancers.len()), 2);

    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    scene.delete_ingresses("findings-classes-2").await;
    scene.delete(CLASSES).await;
}
