//! One host, several groups.

use std::time::Duration;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_gets_the_host_and_hands_it_over_in_one_batch() {
    let scene = scene("dns-claims").await;
    let (ns, host) = ("dns-claims", "shared.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    // Creation times have whole seconds: `b` is the older one for sure.
    scene.apply(&public("b", &[host])).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    scene.apply(&public("a", &[host])).await;
    let controller = start(&scene, &[]).await;
    leads(&scene, &zone, host, "b").await;
    scene
        .warned(ns, "a", &["HostClaimedByOther", host, "dns-claims/b"])
        .await;
    said(&scene, "b", host, "in sync").await;
    scene.address(ns, "a").await;
    scene.quiet().await;

    scene.forget_calls();
    scene.delete(&public("b", &[host])).await;
    scene.gone(ns, "b").await;
    leads(&scene, &zone, host, "a").await;
    let batch = [
        "DELETE A shared.example.com",
        "DELETE TXT _albc-a.shared.example.com",
        "CREATE A shared.example.com",
        "CREATE TXT _albc-a.shared.example.com",
    ];
    assert_eq!(batches(&scene), [batch]);
    comes(&scene, "DeleteLoadBalancer").await;
    assert!(first(&scene, "ChangeResourceRecordSets") < first(&scene, "DeleteLoadBalancer"));
    said(&scene, "a", host, "in sync").await;

    // The holder keeps it, however old the next one is: also after a restart.
    scene.apply(&public("b", &[host])).await;
    scene
        .warned(ns, "b", &["HostClaimedByOther", host, "dns-claims/a"])
        .await;
    let controller = restarted(&scene, controller).await;
    assert_eq!(batches(&scene), Vec::<Vec<String>>::new());
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_that_moves_is_served_by_its_old_group_until_dns_has_moved() {
    let scene = scene("dns-moves").await;
    let (ns, host) = ("dns-moves", "moves.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let in_group = |group: &str, name: &str, host: &str| {
        let group = format!("group.name: {ns}-{group}");
        ingress(name, &[host], &["scheme: internet-facing", &group])
    };
    let controller = start(&scene, &[]).await;
    scene
        .apply(&in_group("old", "stays", "stays.example.com"))
        .await;
    scene.apply(&in_group("old", "web", host)).await;
    let old = scene.address(ns, "web").await;
    let owner = |group: &str| format!("ingressgroup/{ns}-{group}");
    becomes(&scene, "the record of the old group", || {
        (
            record(&scene, &zone, host),
            Some((old.clone(), owner("old"))),
        )
    })
    .await;
    scene.quiet().await;
    scene.forget_calls();
    let rules = |address: &str| {
        let found = scene.account(|state| load_balancer(state, address));
        found.map_or(0, |lb| {
            lb.listeners.values().map(|l| l.rules.len()).sum::<usize>()
        })
    };
    assert_eq!(rules(&old), 2);

    scene.apply(&in_group("new", "web", host)).await;
    becomes(&scene, "the record of the new group", || {
        (
            record(&scene, &zone, host).map(|found| found.1),
            Some(owner("new")),
        )
    })
    .await;
    becomes(&scene, "the old group lets the rule go", || {
        (rules(&old), 1)
    })
    .await;
    comes(&scene, "DeleteRule").await;
    assert!(first(&scene, "ChangeResourceRecordSets") < first(&scene, "DeleteRule"));
    assert_eq!(batches(&scene).len(), 1);
    scene
        .eventually("only the new group's finalizer is left", async || {
            let ingress = scene.ingress(ns, "web").await.unwrap();
            let finalizers = ingress.metadata.finalizers.unwrap();
            if finalizers == [format!("group.ingress.k8s.aws/{ns}-new")] {
                Ok(())
            } else {
                Err(finalizers)
            }
        })
        .await;
    // The last one takes the load balancer with it, after its record.
    scene.forget_calls();
    scene
        .apply(&in_group("new", "stays", "stays.example.com"))
        .await;
    becomes(&scene, "the old load balancer is gone", || {
        let found = scene.account(|state| load_balancer(state, &old));
        (found.is_some(), false)
    })
    .await;
    let moved = record(&scene, &zone, "stays.example.com").unwrap();
    assert_eq!(moved.1, owner("new"));
    comes(&scene, "DeleteLoadBalancer").await;
    assert!(first(&scene, "ChangeResourceRecordSets") < first(&scene, "DeleteLoadBalancer"));
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_does_not_move_to_a_group_whose_rules_aws_refuses() {
    const UNKNOWN: &str =
        "arn:aws:acm:us-west-2:123456789012:certificate/00000000-0000-0000-0000-000000000000";
    let scene = scene("dns-refused").await;
    let (ns, host) = ("dns-refused", "refused.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &[]).await;
    scene.apply(&public("holder", &[host])).await;
    leads(&scene, &zone, host, "holder").await;
    scene.apply(&public("next", &["next.example.com"])).await;
    leads(&scene, &zone, "next.example.com", "next").await;
    scene.quiet().await;

    // Its load balancer serves; what AWS thinks of the certificate is not
    // known before it has answered, and it takes its time.
    scene.forget_calls();
    scene
        .aws
        .state()
        .write(|state, _| state.timing.latency_ms = 300);
    let with = |certificate: &str| {
        let certificate = format!("certificate-arn: {certificate}");
        let hosts = ["next.example.com", host];
        ingress("next", &hosts, &["scheme: internet-facing", &certificate])
    };
    scene.apply(&with(UNKNOWN)).await;
    scene.delete(&public("holder", &[host])).await;
    scene.gone(ns, "holder").await;
    scene
        .warned(ns, "next", &["CertificateNotFound", UNKNOWN])
        .await;
    assert_eq!(record(&scene, &zone, host), None);
    let changes = batches(&scene).concat();
    let gone = [
        format!("DELETE A {host}"),
        format!("DELETE TXT _albc-a.{host}"),
    ];
    assert_eq!(changes, gone);

    scene.apply(&with("{certificate}")).await;
    leads(&scene, &zone, host, "next").await;
    drop(controller);
}
