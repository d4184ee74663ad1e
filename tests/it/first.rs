//! One Ingress from YAML to AWS and back.

use crate::support::Scene;

/// A host with one path, pods as targets.
pub const SHOP: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: {ns}
  annotations:
    kubernetes.io/ingress.class: '{class}'
    alb.ingress.kubernetes.io/target-type: ip
    alb.ingress.kubernetes.io/scheme: internet-facing
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_is_made_and_taken_away_again() {
    let scene = Scene::new("first").await;
    let controller = scene.controller(&[]).await;
    scene
        .service("first", "web", &["10.0.48.11", "10.0.64.11"])
        .await;
    scene.apply(SHOP).await;

    let address = scene.address("first", "web").await;
    scene.quiet().await;
    scene.account(|state| {
        let lb = state.load_balancers.values().next().unwrap();
        assert_eq!(lb.dns_name.to_lowercase(), address);
        let group = state.target_groups.values().next().unwrap();
        assert_eq!(group.targets.len(), 2);
    });
    scene
        .eventually("the host has a record and its owner's TXT", async || {
            let ours = scene.ours();
            let records = ours.iter().filter(|name| name.contains("shop.example.com"));
            if records.count() == 2 {
                Ok(())
            } else {
                Err(ours)
            }
        })
        .await;
    let ingress = scene.ingress("first", "web").await.unwrap();
    assert_eq!(
        ingress.metadata.finalizers.unwrap(),
        ["ingress.k8s.aws/resources"]
    );

    scene.delete(SHOP).await;
    scene.gone("first", "web").await;
    scene.empty().await;
    drop(controller);
}
