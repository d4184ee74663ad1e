//! Deletion: the record first, then what it leads to.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_outlives_its_record_until_resolvers_have_forgotten_it() {
    let scene = scene("dns-parting").await;
    let (ns, host) = ("dns-parting", "parting.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let controller = start(&scene, &["--dns-delete-grace=2s"]).await;
    let manifest = public("web", &[host]);
    scene.apply(&manifest).await;
    leads(&scene, &zone, host, "web").await;
    said(&scene, "web", host, "in sync").await;
    let state = scene.aws.state();
    state.write(|state, _| state.timing.insync_ms = 3_600_000);

    scene.delete(&manifest).await;
    let waits = async |words: &str| {
        scene
            .eventually(words, async || {
                let status = status(&scene, "web").await;
                let waiting = status["waitingFor"].to_string();
                if waiting.contains(words) {
                    Ok(())
                } else {
                    Err(status)
                }
            })
            .await;
    };
    waits("Route 53 to have spread").await;
    assert_eq!(record(&scene, &zone, host), None);
    let still_there = async || {
        let there = scene.account(|state| state.load_balancers.len());
        let ingress = scene.ingress(ns, "web").await;
        assert_eq!(there, 1);
        assert!(ingress.is_some_and(|i| i.metadata.finalizers.is_some()));
    };
    still_there().await;
    state.write(|state, _| {
        for change in state.changes.values_mut() {
            change.insync = true;
        }
    });
    waits("--dns-delete-grace, 2 s").await;
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
