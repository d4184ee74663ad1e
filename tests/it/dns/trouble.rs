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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_said_once_with_what_to_do() {
    let scene = scene("dns-forbidden").await;
    let (ns, host) = ("dns-forbidden", "denied.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let tried = |action: &str| {
        let calls = scene.calls().into_iter();
        calls.filter(|call| call.action == action).count()
    };
    let controller = start(&scene, &[]).await;
    for (name, action) in [
        ("web", "ChangeResourceRecordSets"),
        ("api", "ListResourceRecordSets"),
    ] {
        let host = format!("{name}.{host}");
        let denied = fault("route53", action, "AccessDenied", u64::MAX);
        scene.aws.faults().add(denied);
        scene.forget_calls();
        scene.apply(&public(name, &[&host])).await;
        let parts = ["DNSDenied", &host, action, "deploy/iam-policy.json"];
        scene.warned(ns, name, &parts).await;
        becomes(&scene, "it is tried again", || (tried(action) >= 3, true)).await;
        let mut said = scene.warnings(ns, name).await;
        said.retain(|warning| warning.starts_with("DNSDenied: "));
        assert_eq!(said.len(), 1, "{said:#?}");
        scene.aws.faults().clear();
        leads(&scene, &zone, &host, name).await;
    }
    // One that is deleted is told what it waits for.
    let host = format!("web.{host}");
    let denied = fault(
        "route53",
        "ChangeResourceRecordSets",
        "AccessDenied",
        u64::MAX,
    );
    scene.aws.faults().add(denied);
    scene.delete(&public("web", &[&host])).await;
    scene
        .eventually("it is told again", async || {
            let mut said = scene.warnings(ns, "web").await;
            said.retain(|warning| warning.starts_with("DNSDenied: "));
            if said.len() == 2 { Ok(()) } else { Err(said) }
        })
        .await;
    scene.aws.faults().clear();
    scene.gone(ns, "web").await;
    drop(controller);
}
