//! Route 53 that fails.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn failing_changes_hold_up_nothing_else_and_converge() {
    let scene = scene("dns-trouble").await;
    let (ns, host) = ("dns-trouble", "trouble.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let change = "ChangeResourceRecordSets";
    let forever = fault("route53", change, "Throttling", u64::MAX);
    scene.aws.faults().add(forever);
    let controller = start(&scene, &[]).await;
    let manifest = public("web", &[host]);
    scene.apply(&manifest).await;
    let address = scene.address(ns, "web").await;
    said(&scene, "web", host, "refused: ").await;
    // A pod more is registered all the same.
    scene
        .service(ns, "web", &["10.0.48.11", "10.0.64.11"])
        .await;
    let targets = |state: &State| {
        let groups = state.target_groups.values();
        groups.map(|group| group.targets.len()).sum::<usize>()
    };
    becomes(&scene, "a second target", || (scene.account(targets), 2)).await;
    let lb = scene
        .account(|state| load_balancer(state, &address))
        .unwrap();
    assert_eq!(lb.listeners[&80].rules.len(), 1);
    assert_eq!(record(&scene, &zone, host), None);

    scene.aws.faults().clear();
    for code in ["PriorRequestNotComplete", "InvalidChangeBatch"] {
        scene.aws.faults().add(fault("route53", change, code, 1));
    }
    leads(&scene, &zone, host, "web").await;
    said(&scene, "web", host, "in sync").await;

    // Done, but the answer is lost: what is in doubt is read again, and the
    // load balancer does not go before.
    let lost = sandbox_aws::faults::Fault {
        after: true,
        ..fault("route53", change, sandbox_aws::faults::CONNECTION_RESET, 1)
    };
    scene.aws.faults().add(lost);
    scene.delete(&manifest).await;
    scene.gone(ns, "web").await;
    scene.empty().await;
    drop(controller);
}
