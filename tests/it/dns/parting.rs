//! Deletion: the record first, then what it leads to.

use std::collections::BTreeMap;

use sandbox_aws::state::{ActionKind, Condition};

use super::*;

/// Route 53 takes for ever to spread changes.
fn never_spread(scene: &Scene) {
    let state = scene.aws.state();
    state.write(|state, _| state.timing.insync_ms = 3_600_000);
}

/// Route 53 has spread all changes so far, and is quick from now on.
fn spread(scene: &Scene) {
    scene.aws.state().write(|state, _| {
        state.timing.insync_ms = 0;
        for change in state.changes.values_mut() {
            change.insync = true;
        }
    });
}

/// Hosts that rules are for, with the targets that requests come to; of all
/// load balancers.
fn served(scene: &Scene) -> BTreeMap<String, Vec<String>> {
    scene.account(|state| {
        let lbs = state.load_balancers.values();
        let listeners = lbs.flat_map(|lb| lb.listeners.values());
        let rules = listeners.flat_map(|listener| listener.rules.values());
        let mut served: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for rule in rules {
            let host = rule
                .conditions
                .iter()
                .find_map(|condition| match condition {
                    Condition::HostHeader(hosts) => Some(hosts.values()[0].clone()),
                    _ => None,
                });
            let groups = rule.actions.iter().filter_map(|action| match &action.kind {
                ActionKind::Forward(forward) => Some(&forward.target_groups[0].arn),
                _ => None,
            });
            let targets = groups.flat_map(|arn| &state.target_groups[arn].targets);
            let targets = targets.filter(|(_, target)| target.draining_until.is_none());
            let targets = targets.map(|(key, _)| key.id.clone());
            served.entry(host.unwrap()).or_default().extend(targets);
        }
        served
    })
}

/// Waits until these hosts are served by these targets.
async fn serves(scene: &Scene, wished: &[(&str, &[&str])]) {
    let owned = |(host, targets): &(&str, &[&str])| {
        let targets = targets.iter().map(|target| (*target).to_owned());
        ((*host).to_owned(), targets.collect::<Vec<_>>())
    };
    let wished: BTreeMap<_, _> = wished.iter().map(owned).collect();
    becomes(scene, "hosts have their targets", || {
        (served(scene), wished.clone())
    })
    .await;
}

/// A member of a group that sends requests to a Service of its own name.
fn member(name: &str, group: &str, host: &str) -> String {
    let group = format!("group.name: {group}");
    let made = ingress(name, &[host], &["scheme: internet-facing", &group]);
    made.replace("service: {name: web,", &format!("service: {{name: {name},"))
}

/// Waits until a host's record is a group's.
async fn is_of_group(scene: &Scene, zone: &str, host: &str, group: &str) {
    let wished = Some(format!("ingressgroup/{group}"));
    becomes(scene, &format!("the record of {host}"), || {
        let record = record(scene, zone, host);
        (record.map(|(_, resource)| resource), wished.clone())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_outlives_its_record_until_resolvers_have_forgotten_it() {
    let scene = scene("dns-parting").await;
    let (ns, host) = ("dns-parting", "parting.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &["--dns-delete-grace=6s"]).await;
    let manifest = public("web", &[host]);
    scene.apply(&manifest).await;
    leads(&scene, &zone, host, "web").await;
    said(&scene, "web", host, "in sync").await;
    let state = scene.aws.state();
    state.write(|state, _| state.timing.insync_ms = 3_600_000);

    scene.delete(&manifest).await;
    let group = "dns-parting/web";
    waits(&scene, group, "Route 53 to have spread").await;
    assert_eq!(record(&scene, &zone, host), None);
    let still_there = async || {
        let there = scene.account(|state| state.load_balancers.len());
        let ingress = scene.ingress(ns, "web").await;
        assert_eq!(there, 1);
        assert!(ingress.is_some_and(|i| i.metadata.finalizers.is_some()));
    };
    still_there().await;
    spread(&scene);
    waits(&scene, group, "--dns-delete-grace, 6 s").await;
    still_there().await;
    scene.gone(ns, "web").await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_nobody_looked_goes_record_first() {
    let scene = scene("dns-away").await;
    let (ns, host) = ("dns-away", "away.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let mut controller = start(&scene, &[]).await;
    let manifest = public("web", &[host]);
    scene.apply(&manifest).await;
    leads(&scene, &zone, host, "web").await;
    controller.terminate().await;
    scene.delete(&manifest).await;
    scene.forget_calls();
    let controller = start(&scene, &[]).await;
    scene.gone(ns, "web").await;
    scene.empty().await;
    let change = first(&scene, "ChangeResourceRecordSets");
    let asked = first(&scene, "GetChange");
    assert!(change.is_some() && change < asked);
    assert!(asked < first(&scene, "DeleteLoadBalancer"));
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_waits_for_what_the_one_before_has_just_deleted() {
    let scene = scene("dns-restart").await;
    let (ns, host) = ("dns-restart", "restart.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let state = scene.aws.state();
    state.write(|state, _| state.timing.eni_release_ms = 0);
    // A Lease each: nobody waits for that of a dead one.
    let grace = "--dns-delete-grace=10s";
    let controller = start(&scene, &[grace, "--leader-election-id=first"]).await;
    // An internal one has no zone here, and never had a record.
    let (web, plain) = (
        public("web", &[host]),
        ingress("plain", &["plain.example.com"], &[]),
    );
    scene.apply(&web).await;
    scene.apply(&plain).await;
    leads(&scene, &zone, host, "web").await;
    scene.address(ns, "plain").await;
    said(&scene, "web", host, "in sync").await;
    never_spread(&scene);
    scene.delete(&web).await;
    becomes(&scene, "the record is deleted", || {
        (record(&scene, &zone, host), None)
    })
    .await;
    controller.kill().await;
    spread(&scene);

    scene.delete(&plain).await;
    let controller = start(&scene, &[grace, "--leader-election-id=second"]).await;
    let group = "dns-restart/web";
    waits(&scene, group, "just before this process began (20 s").await;
    scene.gone(ns, "plain").await;
    assert_eq!(scene.account(|state| state.load_balancers.len()), 1);
    assert_eq!(served(&scene).len(), 1);
    let there = scene.ingress(ns, "web").await.unwrap();
    assert!(there.metadata.finalizers.is_some());
    scene.gone(ns, "web").await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_is_served_until_its_record_is_forgotten() {
    let scene = scene("dns-leaving").await;
    let (ns, group) = ("dns-leaving", "dns-leaving");
    let zone = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &["--dns-delete-grace=6s"]).await;
    let (stays, leaves) = ("stays.example.com", "leaves.example.com");
    scene.service(ns, "stays", &["10.0.48.21"]).await;
    scene.service(ns, "leaves", &["10.0.48.22"]).await;
    scene.apply(&member("stays", group, stays)).await;
    scene.apply(&member("leaves", group, leaves)).await;
    is_of_group(&scene, &zone, stays, group).await;
    is_of_group(&scene, &zone, leaves, group).await;
    serves(
        &scene,
        &[(stays, &["10.0.48.21"]), (leaves, &["10.0.48.22"])],
    )
    .await;
    scene.quiet().await;
    never_spread(&scene);
    scene.forget_calls();

    scene.delete(&member("leaves", group, leaves)).await;
    waits(&scene, group, "Route 53 to have spread").await;
    assert_eq!(record(&scene, &zone, leaves), None);
    // Its pods move, and its neighbour changes.
    scene.service(ns, "leaves", &["10.0.64.23"]).await;
    serves(
        &scene,
        &[(stays, &["10.0.48.21"]), (leaves, &["10.0.64.23"])],
    )
    .await;
    let more = "more.example.com";
    let both = ingress(
        "stays",
        &[stays, more],
        &["scheme: internet-facing", "group.name: dns-leaving"],
    );
    scene
        .apply(&both.replace("{name: web,", "{name: stays,"))
        .await;
    let moved: [(&str, &[&str]); 3] = [
        (stays, &["10.0.48.21"]),
        (more, &["10.0.48.21"]),
        (leaves, &["10.0.64.23"]),
    ];
    serves(&scene, &moved).await;
    // Its Service goes too: what is live stays.
    let service = ["delete", "service", "-n", ns, "leaves"];
    scene.kubectl(&service).await;
    scene.quiet().await;
    serves(&scene, &moved).await;

    spread(&scene);
    waits(&scene, group, "--dns-delete-grace, 6 s").await;
    serves(&scene, &moved).await;
    scene.gone(ns, "leaves").await;
    serves(&scene, &moved[..2]).await;
    let asked = first(&scene, "GetChange");
    assert!(asked.is_some() && asked < first(&scene, "DeleteRule"));
    scene.account(|state| assert_eq!(state.target_groups.len(), 1));
    scene.delete_ingresses(ns).await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_ingress_is_served_in_both_groups_until_the_record_has_moved() {
    let scene = scene("dns-moving").await;
    let (ns, host) = ("dns-moving", "moves.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &["--dns-delete-grace=2s"]).await;
    scene.service(ns, "moves", &["10.0.48.31"]).await;
    scene.service(ns, "stays", &["10.0.48.32"]).await;
    let (old, new) = ("dns-moving-old", "dns-moving-new");
    scene
        .apply(&member("stays", old, "stays.example.com"))
        .await;
    scene.apply(&member("moves", old, host)).await;
    is_of_group(&scene, &zone, host, old).await;
    scene.quiet().await;
    never_spread(&scene);

    scene.apply(&member("moves", new, host)).await;
    is_of_group(&scene, &zone, host, new).await;
    waits(&scene, old, "Route 53 to have spread").await;
    scene.service(ns, "moves", &["10.0.64.33"]).await;
    let here = |targets| [("stays.example.com", &["10.0.48.32"][..]), (host, targets)];
    serves(&scene, &here(&["10.0.64.33", "10.0.64.33"])).await;
    spread(&scene);
    serves(&scene, &here(&["10.0.64.33"])).await;
    scene.delete_ingresses(ns).await;
    scene.empty().await;
    drop(controller);
}
