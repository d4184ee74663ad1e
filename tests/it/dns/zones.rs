//! Which zone a record goes into.

use std::time::Duration;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_zone_and_a_double_one_are_notes_that_heal() {
    let scene = scene("dns-zones").await;
    let ns = "dns-zones";
    let example = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &WATCHFUL).await;
    let hosts = ["web.example.com", "web.missing.org"];
    scene.apply(&public("web", &hosts)).await;
    leads(&scene, &example, hosts[0], "web").await;
    scene
        .warned(ns, "web", &["NoHostedZone", hosts[1], "public"])
        .await;
    let missing = zone(&scene, "missing.org", None);
    leads(&scene, &missing, hosts[1], "web").await;

    // A second zone of the name: what is there stays, a new host waits.
    scene.forget_calls();
    let twin = zone(&scene, "example.com", None);
    let more = ["web.example.com", "more.example.com", "web.missing.org"];
    // Zones are listed again when there is something to do, once they are old.
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.apply(&public("web", &more)).await;
    scene
        .warned(ns, "web", &["AmbiguousZone", hosts[0], &example, &twin])
        .await;
    scene.warned(ns, "web", &["AmbiguousZone", more[1]]).await;
    leads(&scene, &example, hosts[0], "web").await;
    assert_eq!(batches(&scene), Vec::<Vec<String>>::new());
    let state = scene.aws.state();
    state
        .write(|state, now| state.delete_hosted_zone(&twin, now))
        .unwrap();
    leads(&scene, &example, more[1], "web").await;

    // A zone that is gone has taken its records along.
    state.write(|state, _| state.hosted_zones.remove(&missing));
    scene.delete(&public("web", &more)).await;
    scene.gone(ns, "web").await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internal_load_balancer_is_named_in_the_private_zone_and_moves_without_a_gap() {
    let scene = scene("dns-private").await;
    let host = "inner.example.com";
    let public_zone = scene.ids.hosted_zones[0].clone();
    let vpc = scene.ids.vpc.clone();
    let private_zone = zone(&scene, "example.com", Some(&vpc));
    let foreign_vpc = scene
        .aws
        .state()
        .write(|state, _| state.create_vpc("10.9.0.0/16", &[]))
        .unwrap();
    zone(&scene, "example.com", Some(&foreign_vpc));
    let controller = start(&scene, &[]).await;
    scene
        .apply(&ingress("web", &[host], &["scheme: internal"]))
        .await;
    leads(&scene, &private_zone, host, "web").await;
    assert_eq!(record(&scene, &public_zone, host), None);
    said(&scene, "web", host, "in sync").await;

    scene.forget_calls();
    scene.apply(&public("web", &[host])).await;
    becomes(&scene, "the record is in the public zone alone", || {
        let has = |zone| record(&scene, zone, host).is_some();
        ((has(&public_zone), has(&private_zone)), (true, false))
    })
    .await;
    let made = [
        "CREATE A inner.example.com",
        "CREATE TXT _albc-a.inner.example.com",
    ];
    let gone = [
        "DELETE A inner.example.com",
        "DELETE TXT _albc-a.inner.example.com",
    ];
    changed(&scene, &[&made, &gone]).await;
    scene.delete(&public("web", &[host])).await;
    scene.gone("dns-private", "web").await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_new_scheme_has_no_zone_the_record_goes_before_the_old_load_balancer() {
    let scene = scene("dns-scheme").await;
    let (ns, host) = ("dns-scheme", "scheme.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &["--dns-delete-grace=2s"]).await;
    scene.apply(&public("web", &[host])).await;
    leads(&scene, &zone, host, "web").await;
    scene.quiet().await;
    let old = scene.address(ns, "web").await;
    let there = |scene: &Scene| scene.account(|state| load_balancer(state, &old).is_some());

    scene.forget_calls();
    let internal = ingress("web", &[host], &["scheme: internal"]);
    scene.apply(&internal).await;
    becomes(&scene, "the record is gone", || {
        (record(&scene, &zone, host), None)
    })
    .await;
    // Whoever remembers the address is served on.
    assert!(there(&scene));
    becomes(&scene, "the old one is gone", || (there(&scene), false)).await;
    comes(&scene, "DeleteLoadBalancer").await;
    assert!(first(&scene, "GetChange") < first(&scene, "DeleteLoadBalancer"));
    scene
        .warned(ns, "web", &["NoHostedZone", host, "private"])
        .await;
    let serves = |state: &State| {
        let mut lbs = state.load_balancers.values();
        lbs.any(|lb| lb.listeners.values().any(|l| !l.rules.is_empty()))
    };
    becomes(&scene, "the new one has the rules", || {
        (scene.account(serves), true)
    })
    .await;
    scene.delete(&internal).await;
    scene.gone(ns, "web").await;
    scene.empty().await;
    drop(controller);
}
