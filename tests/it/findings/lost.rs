//! An Ingress whose group's name cannot be read is in no group; people find it
//! all the same where they look for groups.

use serde_json::Value;

use super::{ingress, routes, said};
use crate::support::Scene;

/// Groups of the scene: state, members, findings.
async fn groups(scene: &Scene) -> Vec<String> {
    let all = scene.groups().await;
    let of_scene = all.iter().filter(|item| {
        let group = item["spec"]["group"].as_str().unwrap();
        group.starts_with("findings-lost")
    });
    let line = |item: &Value| {
        let status = &item["status"];
        format!(
            "{}: {} {} {}",
            item["spec"]["group"].as_str().unwrap(),
            status["state"].as_str().unwrap_or_default(),
            status["members"],
            status["findings"][0]["reason"]
        )
    };
    of_scene.map(line).collect()
}

/// The objects that these are.
async fn ids(scene: &Scene) -> Vec<String> {
    let wished = ["a", "b"].map(|name| format!("findings-lost/{name}"));
    let all = scene.groups().await;
    let named = all
        .iter()
        .filter(|item| wished.iter().any(|w| item["spec"]["group"] == w.as_str()));
    named
        .map(|item| item["metadata"]["uid"].to_string())
        .collect()
}

async fn has(scene: &Scene, wished: &[&str]) {
    scene
        .eventually("the groups are shown", async || {
            let groups = groups(scene).await;
            if groups == wished {
                Ok(())
            } else {
                Err(groups)
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_whose_group_cannot_be_told_is_shown_until_it_can() {
    let scene = Scene::new("findings-lost").await;
    let ns = scene.name.clone();
    let mut controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.31"]).await;
    let in_group = |name: &str, group: &str| {
        let host = format!("{name}.example.com");
        let annotations = [("target-type", "ip"), ("group.name", group)];
        ingress("{ns}", name, &annotations, &routes(&[(&host, "/", "web")]))
    };
    scene
        .apply(&[in_group("a", "Not_One"), in_group("b", "Nor_This")].concat())
        .await;
    let lost = |name: &str| {
        format!("findings-lost/{name}: Held [\"findings-lost/{name}\"] \"InvalidGroup\"")
    };
    let (a, b) = (lost("a"), lost("b"));
    has(&scene, &[&a, &b]).await;
    scene.warned(&ns, "a", &["InvalidGroup", "Not_One"]).await;
    assert_eq!(scene.ours(), [""; 0]);

    // Another process shows the same objects.
    let before = ids(&scene).await;
    assert!(controller.terminate().await.success());
    let controller = scene.controller(&[]).await;
    scene
        .eventually("it is said again", async || {
            let said = said(&scene, &ns, "b", "InvalidGroup").await;
            if said.len() == 2 { Ok(()) } else { Err(said) }
        })
        .await;
    assert_eq!(ids(&scene).await, before);

    // Put right, one is in that group; the other is deleted.
    scene.apply(&in_group("a", "findings-lost-one")).await;
    let found = "findings-lost-one: Serving [\"findings-lost/a\"] \"NoHostedZone\"";
    has(&scene, &[&b, found]).await;
    scene.delete(&in_group("b", "Nor_This")).await;
    has(&scene, &[found]).await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    has(&scene, &[]).await;
    drop(controller);
}
