//! Groups that aws-load-balancer-controller has TargetGroupBindings for.

use super::{ingress, routes, rules, said, settled};
use crate::support::Scene;

const CRD: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: targetgroupbindings.elbv2.k8s.aws
spec:
  group: elbv2.k8s.aws
  scope: Namespaced
  names: {kind: TargetGroupBinding, listKind: TargetGroupBindingList, plural: targetgroupbindings, singular: targetgroupbinding}
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const BINDING: &str = "
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata:
  name: theirs
  namespace: '{ns}'
  labels:
    ingress.k8s.aws/stack-namespace: '{ns}'
    ingress.k8s.aws/stack-name: web
spec:
  targetGroupARN: arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/theirs/0123456789abcdef
  serviceRef: {name: web, port: 80}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_bindings_is_left_alone_and_a_deleted_ingress_says_why_it_stays() {
    let scene = Scene::alone("findings-left").await;
    let ns = scene.name.clone();
    scene.apply(CRD).await;
    scene
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/targetgroupbindings.elbv2.k8s.aws",
        ])
        .await;
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.101"]).await;
    let web = |path| {
        ingress(
            "{ns}",
            "web",
            &[("target-type", "ip"), ("scheme", "internet-facing")],
            &routes(&[("left.example.com", path, "web")]),
        )
    };
    scene.apply(&web("/")).await;
    scene.address(&ns, "web").await;
    settled(&scene, &controller, &ns, "web").await;
    let live = rules(&scene, "findings-left/web", 80);

    scene.apply(BINDING).await;
    scene
        .warned(
            &ns,
            "web",
            &[
                "ManagedByTargetGroupBinding",
                "findings-left/web",
                "keeps its finalizer",
            ],
        )
        .await;
    scene.quiet().await;
    scene.forget_calls();
    scene.apply(&web("/other")).await;
    settled(&scene, &controller, &ns, "web").await;
    assert_eq!(rules(&scene, "findings-left/web", 80), live);
    let ours = scene.ours();
    let has_record = ours
        .iter()
        .any(|thing| thing.starts_with("A left.example.com"));
    assert!(has_record, "{ours:?}");

    // Its deletion is said in words of its own, and not again by a process
    // that meets it; nothing else is done.
    scene.delete(&web("/other")).await;
    let deleted = async |count: usize| {
        scene
            .eventually("the deletion is said", async || {
                let said = said(&scene, &ns, "web", "ManagedByTargetGroupBinding").await;
                let of_deletion = said.iter().filter(|said| said.contains("is deleted"));
                if of_deletion.count() == count {
                    Ok(())
                } else {
                    Err(said)
                }
            })
            .await;
    };
    deleted(1).await;
    settled(&scene, &controller, &ns, "web").await;
    controller.kill().await;
    let controller = scene.controller(&[]).await;
    scene
        .eventually("the next process has looked", async || {
            let log = controller.log();
            log.contains("the account is listed")
                .then_some(())
                .ok_or(log)
        })
        .await;
    scene.quiet().await;
    settled(&scene, &controller, &ns, "web").await;
    deleted(1).await;
    let there = scene.ingress(&ns, "web").await.unwrap();
    assert_eq!(
        there.metadata.finalizers.unwrap(),
        ["ingress.k8s.aws/resources"]
    );
    assert_eq!(scene.ours(), ours);

    scene.delete(BINDING).await;
    scene.gone(&ns, "web").await;
    scene.empty().await;
    no_definition(&scene).await;
    drop(controller);
}

/// Deletes the CRD and waits until it is gone.
async fn no_definition(scene: &Scene) {
    let crd = "crd/targetgroupbindings.elbv2.k8s.aws";
    scene.kubectl(&["delete", "--timeout=60s", crd]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_whose_crd_comes_later_are_seen_at_once() {
    let scene = Scene::alone("findings-late").await;
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    for name in ["first", "again"] {
        scene.apply(CRD).await;
        scene
            .kubectl(&[
                "wait",
                "--for=condition=Established",
                "crd/targetgroupbindings.elbv2.k8s.aws",
            ])
            .await;
        let binding = BINDING.replace("web", name);
        scene.apply(&binding).await;
        scene.service(&ns, name, &["10.0.48.101"]).await;
        let web = ingress(
            "{ns}",
            name,
            &[("target-type", "ip")],
            &routes(&[("late.example.com", "/", name)]),
        );
        scene.apply(&web).await;
        // A test waits less than it takes to find the CRD without being told.
        let reason = "ManagedByTargetGroupBinding";
        scene.warned(&ns, name, &[reason, "left as it is"]).await;
        scene.delete(&binding).await;
        scene.delete(&web).await;
        scene.gone(&ns, name).await;
        no_definition(&scene).await;
    }
    drop(controller);
}
