//! The scheme changes: what people are told while one load balancer replaces
//! another, and who joins meanwhile.

use serde_json::Value;

use super::{ingress, no_delays};
use crate::support::Scene;

const GROUP: &str = "alb.ingress.kubernetes.io/group.name: lifecycle-schemes";

async fn state(scene: &Scene, wished: &str) -> Value {
    scene
        .eventually("the group has its state", async || {
            let shown = scene.group("lifecycle-schemes").await["status"].take();
            if shown["state"] == wished {
                Ok(shown)
            } else {
                Err(shown)
            }
        })
        .await
}

async fn load_balancers(scene: &Scene, count: usize) {
    scene
        .eventually("the load balancers are there", async || {
            let live = scene.account(|state| {
                let lbs = state.load_balancers.values();
                lbs.filter(|lb| !lb.listeners.is_empty()).count()
            });
            if live == count { Ok(()) } else { Err(live) }
        })
        .await;
    scene.quiet().await;
}

/// Texts of one reason.
async fn said(scene: &Scene, name: &str, reason: &str) -> Vec<String> {
    let mut events = scene.events(&scene.name, name).await;
    events.retain(|event| event.starts_with(&format!("{reason}: ")));
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_load_balancer_is_replaced_people_are_told_of_the_one_that_serves() {
    let name = "lifecycle-schemes";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let controller = scene.controller(&[]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    let a = |scheme| ingress("a", &[GROUP]).replace("internet-facing", scheme);
    scene.apply(&a("internet-facing")).await;
    let old = scene.address(name, "a").await;
    state(&scene, "Serving").await;

    // The new one never comes to be active.
    scene
        .aws
        .state()
        .write(|state, _| state.timing.provisioning_ms = 3_600_000);
    scene.apply(&a("internal")).await;
    load_balancers(&scene, 2).await;
    let waiting = state(&scene, "Waiting").await;
    assert_eq!(waiting["dnsName"], *old, "{waiting:#}");
    assert_eq!(scene.address(name, "a").await, old);

    // And back.
    scene.apply(&a("internet-facing")).await;
    load_balancers(&scene, 1).await;
    state(&scene, "Serving").await;
    assert_eq!(scene.address(name, "a").await, old);
    let active = said(&scene, "a", "LoadBalancerActive").await;
    assert_eq!(active.len(), 1, "{active:#?}");

    // One joins that cannot be served, and one that can.
    let bad = "alb.ingress.kubernetes.io/healthcheck-interval-seconds: soon";
    scene.apply(&ingress("bad", &[GROUP, bad])).await;
    scene.warned(name, "bad", &["InvalidAnnotation"]).await;
    let served = said(&scene, "a", "SuccessfullyReconciled").await.len();
    scene.apply(&ingress("b", &[GROUP])).await;
    scene
        .eventually("who joins is told", async || {
            let said = said(&scene, "b", "SuccessfullyReconciled").await;
            if said.len() == 1 { Ok(()) } else { Err(said) }
        })
        .await;
    scene.quiet().await;
    let again = said(&scene, "a", "SuccessfullyReconciled").await;
    assert_eq!(again.len(), served, "{again:#?}");
    let degraded = state(&scene, "Degraded").await;
    let records = degraded["records"].as_array().unwrap();
    let records: Vec<_> = records
        .iter()
        .map(|record| format!("{}: {}", record["host"], record["state"]).replace('"', ""))
        .collect();
    assert_eq!(
        records,
        [
            "a.example.com: in sync",
            "b.example.com: in sync",
            "bad.example.com: not made while Ingress lifecycle-schemes/bad is frozen",
        ]
    );
    scene.delete_ingresses(name).await;
    scene.empty().await;
    drop(controller);
}
