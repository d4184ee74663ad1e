//! Hosts of Ingresses that come, stay and go.

use std::time::Duration;

use sandbox_aws::state::load_balancer::LoadBalancerState;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_made_when_the_load_balancer_serves_and_costs_one_read_and_one_change() {
    let scene = scene("dns-hosts").await;
    let zone = scene.ids.hosted_zones[0].clone();
    let state = scene.aws.state();
    state.write(|state, _| state.timing.provisioning_ms = 3_600_000);
    let controller = start(&scene, &[]).await;
    scene.apply(&public("one", &["one.example.com"])).await;
    scene.apply(&public("two", &["two.example.com"])).await;
    let has_rules = |state: &State| {
        let all = state.load_balancers.values();
        let ready = all.filter(|lb| lb.listeners.values().any(|l| !l.rules.is_empty()));
        ready.count()
    };
    becomes(&scene, "two load balancers with rules", || {
        (scene.account(has_rules), 2)
    })
    .await;
    said(
        &scene,
        "one",
        "one.example.com",
        "waits for the load balancer",
    )
    .await;
    scene.forget_calls();
    scene
        .eventually("one look at both load balancers", async || {
            let calls = scene.calls();
            let look = calls.iter().find(|c| c.action == "DescribeLoadBalancers");
            let look = look.ok_or("none yet")?;
            let arns = look.parameters.keys();
            let arns = arns.filter(|name| name.starts_with("LoadBalancerArns"));
            assert_eq!(arns.count(), 2);
            Ok::<_, &str>(())
        })
        .await;
    assert_eq!(batches(&scene), Vec::<Vec<String>>::new());
    state.write(|state, _| {
        state.timing.provisioning_ms = 500;
        for lb in state.load_balancers.values_mut() {
            lb.state = LoadBalancerState::Active;
        }
    });
    leads(&scene, &zone, "one.example.com", "one").await;
    leads(&scene, &zone, "two.example.com", "two").await;
    said(&scene, "one", "one.example.com", "in sync").await;

    scene.quiet().await;
    scene.forget_calls();
    scene
        .apply(&public("one", &["one.example.com", "new.example.com"]))
        .await;
    leads(&scene, &zone, "new.example.com", "one").await;
    let batch = [
        "CREATE A new.example.com",
        "CREATE TXT _albc-a.new.example.com",
    ];
    changed(&scene, &[&batch]).await;
    assert_eq!(
        dns_calls(&scene),
        ["ListResourceRecordSets", "ChangeResourceRecordSets"]
    );

    scene.quiet().await;
    scene.forget_calls();
    let hosts = ["one.example.com", "*.wild.example.com", "example.com"];
    scene.apply(&public("one", &hosts)).await;
    leads(&scene, &zone, "*.wild.example.com", "one").await;
    leads(&scene, &zone, "example.com", "one").await;
    becomes(&scene, "the host that was taken out has no record", || {
        (record(&scene, &zone, "new.example.com"), None)
    })
    .await;
    // Two reads for the two new hosts, nothing for the one that goes.
    let calls = dns_calls(&scene);
    assert!(calls.len() <= 5, "{calls:?}");
    // What goes does not wait for the rules of what comes.
    assert!(batches(&scene).len() <= 2, "{:?}", batches(&scene));

    said(&scene, "one", "example.com", "in sync").await;
    scene.quiet().await;
    scene.forget_calls();
    scene
        .kubectl(&["annotate", "ingress", "one", "-n", "{ns}", "note=nothing"])
        .await;
    scene.quiet().await;
    assert_eq!(scene.actions(), Vec::<String>::new());

    let controller = restarted(&scene, controller).await;
    let calls = dns_calls(&scene);
    let reads = |call: &String| call.starts_with("List");
    assert!(calls.iter().all(reads), "{calls:?}");
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_say_which_hosts_are_our_business() {
    let scene = scene("dns-filters").await;
    let zone_of = |name| zone(&scene, name, None);
    let (left_out, chosen) = (zone_of("eu.example.com"), zone_of("org.eu.example.com"));
    let domain = "--dns-domain-filter=eu.example.com";
    let id = format!("--dns-zone-id-filter={chosen}");
    let controller = start(&scene, &[domain, &id]).await;
    let hosts = ["a.example.com", "b.eu.example.com", "c.org.eu.example.com"];
    scene.apply(&public("web", &hosts)).await;
    leads(&scene, &chosen, "c.org.eu.example.com", "web").await;
    scene
        .warned("dns-filters", "web", &["NoHostedZone", "b.eu.example.com"])
        .await;
    scene.quiet().await;
    assert_eq!(record(&scene, &left_out, "b.eu.example.com"), None);
    let warnings = scene.warnings("dns-filters", "web").await;
    assert!(
        !warnings.iter().any(|w| w.contains("a.example.com")),
        "{warnings:?}"
    );
    assert_eq!(batches(&scene).len(), 1);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_route_53_is_never_called() {
    let scene = scene("dns-off").await;
    let controller = start(&scene, &["--disable-route53"]).await;
    let manifest = public("web", &["off.example.com"]);
    scene.apply(&manifest).await;
    scene.address("dns-off", "web").await;
    scene.quiet().await;
    scene.delete(&manifest).await;
    scene.gone("dns-off", "web").await;
    scene.empty().await;
    assert!(!scene.calls().iter().any(|call| call.service == "route53"));
    drop(controller);
}

/// Waits until zones could not be listed, and could not again.
async fn refused_twice(scene: &Scene) {
    scene
        .eventually("zones are listed again", async || {
            let calls = scene.calls().into_iter();
            let refused = calls.filter(|c| c.action == "ListHostedZones" && c.status != 200);
            let count = refused.count();
            if count > 1 { Ok(()) } else { Err(count) }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_list_zones_says_so_once_and_waits_for_nothing() {
    let scene = scene("dns-denied").await;
    let ns = "dns-denied";
    let denied = fault("route53", "ListHostedZones", "AccessDenied", u64::MAX);
    scene.aws.faults().add(denied.clone());
    let controller = start(&scene, &WATCHFUL).await;
    let manifest = public("web", &["denied.example.com"]);
    scene.apply(&manifest).await;
    scene.address(ns, "web").await;
    scene
        .warned(
            ns,
            "web",
            &["DNSDenied", "AccessDenied", "deploy/iam-policy.json"],
        )
        .await;
    refused_twice(&scene).await;
    let log = controller.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("hosted zones may not be listed"));
    assert_eq!(lines.count(), 1);
    let (_, metrics) = controller.page("/metrics").await.unwrap();
    let counted = |line: &str| line.contains("ListHostedZones") && line.contains("AccessDenied");
    assert!(metrics.lines().any(counted), "{metrics}");

    scene.delete(&manifest).await;
    scene.gone(ns, "web").await;
    scene.empty().await;
    let again = public("again", &["denied.example.com"]);
    scene.apply(&again).await;
    scene.address(ns, "again").await;
    scene.aws.faults().clear();
    leads(
        &scene,
        &scene.ids.hosted_zones[0],
        "denied.example.com",
        "again",
    )
    .await;

    // Denied later: what is there stays, and is still taken away by its zone.
    scene.forget_calls();
    scene.aws.faults().add(denied);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let more = public("again", &["denied.example.com", "more.example.com"]);
    scene.apply(&more).await;
    refused_twice(&scene).await;
    assert!(first(&scene, "ChangeResourceRecordSets").is_none());
    scene.delete(&again).await;
    scene.gone(ns, "again").await;
    scene.empty().await;
    drop(controller);
}
