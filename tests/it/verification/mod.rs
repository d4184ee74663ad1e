//! What others change in AWS is found and mended, tier by tier, and told.

mod counts;
mod live;
mod tiers;

use sandbox_aws::State;

use crate::support::{Controller, Scene};

/// Ingress `shop` with two rules to one Service each of one pod, HTTPS, and a
/// record where there are records.
const SHOP: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: '{ns}'
  annotations:
    kubernetes.io/ingress.class: '{class}'
    alb.ingress.kubernetes.io/target-type: ip
    alb.ingress.kubernetes.io/scheme: internet-facing
    alb.ingress.kubernetes.io/listen-ports: '[{\"HTTPS\": 443}]'
    alb.ingress.kubernetes.io/certificate-arn: '{certificate}'
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /a, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}
      - {path: /b, pathType: Prefix, backend: {service: {name: b, port: {number: 80}}}}
";

/// A scene in which the shop is served, and a controller that did not make it:
/// what a process wrote itself it believes for a while.
async fn served(name: &str, arguments: &[&str]) -> (Scene, Controller) {
    let scene = Scene::new(name).await;
    let ns = scene.name.clone();
    scene.aws.state().write(|state, _| {
        state.timing.provisioning_ms = 0;
        state.timing.insync_ms = 0;
        state.timing.zone_busy_ms = 0;
        state.timing.eni_release_ms = 0;
    });
    scene.service(&ns, "a", &["10.0.48.101"]).await;
    scene.service(&ns, "b", &["10.0.48.102"]).await;
    let mut maker = scene
        .controller(&["--leader-election-id=maker", "--default-tags=team=web"])
        .await;
    scene.apply(SHOP).await;
    scene.address(&ns, "shop").await;
    scene
        .eventually("all is made", async || {
            let made = scene.account(whole);
            if made == (1, 1, 2, 2) {
                Ok(())
            } else {
                Err(made)
            }
        })
        .await;
    scene
        .eventually("the host has its record", async || {
            let ours = scene.ours();
            let there = ours.iter().any(|thing| thing.starts_with("A shop."));
            if there { Ok(()) } else { Err(ours) }
        })
        .await;
    scene.quiet().await;
    assert!(maker.terminate().await.success());
    let mut all = vec!["--default-tags=team=web"];
    all.extend(arguments);
    scene.forget_calls();
    let controller = scene.controller(&all).await;
    scene.listed(&controller).await;
    (scene, controller)
}

/// Load balancers, listeners, rules, and targets that are registered.
fn whole(state: &State) -> (usize, usize, usize, usize) {
    let lbs = state.load_balancers.values();
    let listeners = lbs.flat_map(|lb| lb.listeners.values());
    let rules = listeners.clone().map(|listener| listener.rules.len());
    let targets = state.target_groups.values();
    let targets = targets.flat_map(|group| group.targets.values());
    let targets = targets.filter(|target| target.draining_until.is_none());
    (
        state.load_balancers.len(),
        listeners.count(),
        rules.sum(),
        targets.count(),
    )
}

/// The value of a metric with these labels; 0 where it was never counted.
async fn metric(controller: &Controller, line: &str) -> u64 {
    let (_, text) = controller.page("/metrics").await.unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(line));
    found.map_or(0, |value| value.trim().parse().unwrap())
}

/// Waits until something of this kind, found by this tier, is mended: as the
/// metrics, the log and an event with these words say.
async fn mended(scene: &Scene, controller: &Controller, tier: &str, kind: &str, words: &str) {
    let labels = format!("{{tier=\"{tier}\",kind=\"{kind}\"}}");
    scene
        .eventually(&format!("{words}: it is mended"), async || {
            let found = metric(
                controller,
                &format!("alb_ingress_drift_found_total{labels}"),
            )
            .await;
            let mended = metric(
                controller,
                &format!("alb_ingress_drift_mended_total{labels}"),
            )
            .await;
            if found > 0 && mended == found {
                Ok(())
            } else {
                Err((found, mended))
            }
        })
        .await;
    scene
        .eventually(&format!("{words}: an event says so"), async || {
            let events = scene.events(&scene.name, "shop").await;
            let told = events.iter().any(|event| {
                event.starts_with("DriftMended: Changed by others and mended: ")
                    && event.contains(words)
            });
            if told { Ok(()) } else { Err(events) }
        })
        .await;
    let log = controller.log();
    let said = |parts: &[&str]| {
        let mut lines = log.lines();
        lines.any(|line| parts.iter().all(|part| line.contains(part)))
    };
    let tier = format!("tier=\"{tier}\"");
    let found = ["AWS holds something else than was remembered", words, &tier];
    assert!(said(&found), "{found:?} not in {log}");
    let told = ["mended what verification found", words];
    assert!(said(&told), "{told:?} not in {log}");
}

/// The calls that change something, in words.
fn written(scene: &Scene) -> Vec<String> {
    let reads = ["Describe", "List", "Get"];
    let calls = scene.calls().into_iter().map(|call| call.action);
    calls
        .filter(|action| !reads.iter().any(|read| action.starts_with(read)))
        .collect()
}
