//! What neither a record nor a listing shows.

use serde_json::Value;

use super::left::{served, settled};
use super::{Leaders, count, ingress, insides, no_delays, record, written};
use crate::support::Scene;

/// Takes a tag off something, and answers its value.
fn untag(scene: &Scene, arn: &str, key: &str) -> String {
    scene
        .aws
        .state()
        .write(|state, _| state.tags.get_mut(arn).unwrap().remove(key).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_was_lost_is_missed_before_anything_is_written() {
    const RESOURCE: &str = "ingress.k8s.aws/resource";
    const STACK: &str = "ingress.k8s.aws/stack";
    let scene = Scene::new("restart-marks").await;
    let ns = scene.name.clone();
    let (mut leaders, controller) = served(&scene).await;
    controller.kill().await;
    let (lb, group) = scene.account(|state| {
        let lb = state.load_balancers.keys().next().unwrap();
        (
            lb.clone(),
            state.target_groups.keys().next().unwrap().clone(),
        )
    });
    let rules = super::rules(&scene);
    let mark = untag(&scene, &group, RESOURCE);

    // By its name it is ours, and nothing is to be done.
    let verified = [
        "--verify-interval=2s",
        "--verify-tags-interval=2s",
        // What is mended here is mended without it.
        "--first-verification=120s",
    ];
    let controller = leaders.settled(&scene, &verified).await;
    assert_eq!(insides(&scene), [""; 0]);
    assert_eq!(written(&scene), [""; 0]);
    // Before a write it is asked for its marks, and is not ours.
    scene.apply(&ingress("shop", &["/", "/more"], "")).await;
    scene.warned(&ns, "shop", &["NameTaken", &group]).await;
    assert!(count(&scene, "DescribeTags") > 0);
    let others = written(&scene);
    assert!(
        others.iter().all(|action| action == "CreateTargetGroup"),
        "{others:?}"
    );
    assert_eq!(super::rules(&scene), rules);
    // With its mark it is again.
    scene.aws.state().write(|state, _| {
        let tags = state.tags.get_mut(&group).unwrap();
        tags.insert(RESOURCE.to_owned(), mark);
    });
    scene
        .eventually("the second rule is there", async || {
            let there = super::rules(&scene).len();
            if there == 2 { Ok(()) } else { Err(there) }
        })
        .await;
    settled(&scene).await;
    controller.kill().await;

    // A load balancer that is not ours any more is not deleted.
    untag(&scene, &lb, STACK);
    scene.delete(&ingress("shop", &["/"], "")).await;
    scene.forget_calls();
    let controller = leaders.settled(&scene, &[]).await;
    assert!(scene.account(|state| state.load_balancers.contains_key(&lb)));
    assert_eq!(count(&scene, "DeleteLoadBalancer"), 0);
    drop(controller);
}

/// A Service at a port of every node, with an Ingress that has nodes for
/// targets.
const NODES: &str = "---
apiVersion: v1
kind: Service
metadata: {name: nodes, namespace: '{ns}'}
spec: {type: NodePort, ports: [{port: 80, targetPort: 8080}]}
";

/// Ids of the instances that are targets.
fn instances(scene: &Scene) -> Vec<String> {
    scene.account(|state| {
        let group = state.target_groups.values().next().unwrap();
        let targets = group.targets.iter();
        targets
            .filter(|(_, target)| target.draining_until.is_none())
            .map(|(key, _)| key.id.clone())
            .collect()
    })
}

/// Waits until so many instances are targets.
async fn has_instances(scene: &Scene, count: usize) {
    scene
        .eventually("the nodes are targets", async || {
            let there = instances(scene);
            if there.len() == count {
                Ok(())
            } else {
                Err(there)
            }
        })
        .await;
}

/// Has the last node be no target, or a target again.
async fn exclude(scene: &Scene, excluded: bool) {
    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    let label = label.to_owned() + if excluded { "=" } else { "-" };
    scene.kubectl(&["label", "node", "node-c", &label]).await;
}

/// What the record says of targets.
async fn hashes(scene: &Scene) -> Value {
    record(scene, &scene.name, "shop").await["targets"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_come_and_go_leave_no_target_behind_and_none_out() {
    let scene = Scene::alone("restart-nodes").await;
    let ns = scene.name.clone();
    let none = ["--disable-route53"];
    no_delays(&scene);
    scene.apply(NODES).await;
    let mut leaders = Leaders::default();
    let controller = leaders.next(&scene, &none).await;
    let shop = ingress("shop", &["/"], "")
        .replace("target-type: ip", "target-type: instance")
        .replace("name: web", "name: nodes");
    scene.apply(&shop).await;
    scene.address(&ns, "shop").await;
    has_instances(&scene, 3).await;
    settled(&scene).await;

    // There and back between two records, and back while nobody looks. A status
    // that is written anyway, as when the load balancer has become active
    // meanwhile, says what they are now.
    let before = hashes(&scene).await;
    exclude(&scene, true).await;
    has_instances(&scene, 2).await;
    scene
        .eventually("the record does not say what they were", async || {
            let hashes = hashes(&scene).await;
            if hashes == before {
                Err(hashes)
            } else {
                Ok(())
            }
        })
        .await;
    controller.kill().await;
    exclude(&scene, false).await;
    let controller = leaders.settled(&scene, &none).await;
    assert_eq!(written(&scene), ["RegisterTargets"]);
    assert_eq!(instances(&scene).len(), 3);
    controller.kill().await;

    // While nobody looks: that costs a read of the targets, and of the group
    // before it is written.
    exclude(&scene, true).await;
    let mut controller = leaders.settled(&scene, &none).await;
    assert_eq!(written(&scene), ["DeregisterTargets"]);
    assert_eq!(instances(&scene).len(), 2);
    assert!(controller.terminate().await.success());

    // There and back while nobody looks is nothing.
    exclude(&scene, false).await;
    exclude(&scene, true).await;
    let controller = leaders.settled(&scene, &none).await;
    assert_eq!(insides(&scene), [""; 0]);
    assert_eq!(written(&scene), [""; 0]);
    exclude(&scene, false).await;
    has_instances(&scene, 3).await;
    drop(controller);
}
