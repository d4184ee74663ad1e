//! A namespace is deleted with all that is in it.

use super::{ingress, no_delays};
use crate::support::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn in_a_namespace_that_goes_no_event_is_missed() {
    let name = "lifecycle-namespace";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let controller = scene.controller(&[]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    scene.apply(&ingress("web", &[])).await;
    scene.address(name, "web").await;
    scene.quiet().await;
    scene
        .kubectl(&["delete", "namespace", "--wait=false", name])
        .await;
    scene.delete(&ingress("web", &[])).await;
    scene.gone(name, "web").await;
    scene.empty().await;
    // The API server takes none there, and that is nothing to warn of.
    let events = scene.events(name, "web").await;
    let deleted = |event: &String| event.starts_with("LoadBalancerDeleted");
    assert!(!events.iter().any(deleted), "{events:#?}");
    let log = controller.log();
    assert!(!log.contains("cannot write an event"), "{log}");
}
