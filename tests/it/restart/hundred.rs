//! A restart with a hundred groups, counted at the AWS end.

use std::collections::BTreeMap;

use super::{Leaders, ingress, insides, no_delays, record, written};
use crate::running::kubernetes_writes;
use crate::support::Scene;

const GROUPS: usize = 100;
/// Load balancers that a process may make at once.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn with_a_hundred_groups_and_nothing_changed_it_takes_thirty_calls() {
    let scene = Scene::new("restart-hundred").await;
    let ns = scene.name.clone();
    no_delays(&scene);
    scene.aws.state().write(|state, _| {
        assert!(state.quotas.set("application-load-balancers", GROUPS));
    });
    scene.service(&ns, "web", &["10.0.48.71"]).await;
    let mut leaders = Leaders::default();
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n:02}")).collect();
    // A process each, since each waits after the first few.
    for names in names.chunks(AT_ONCE) {
        let mut controller = leaders.next(&scene, &[]).await;
        let manifests: String = names.iter().map(|name| ingress(name, &["/"], "")).collect();
        scene.apply(&manifests).await;
        for name in names {
            scene.address(&ns, name).await;
        }
        scene.quiet().await;
        assert!(controller.terminate().await.success());
    }
    for name in &names {
        let record = record(&scene, &ns, name).await;
        assert!(record["digest"].is_string(), "{name}: {record}");
        assert!(record["pending"].is_null(), "{name}: {record}");
        assert_eq!(record["targets"].as_object().unwrap().len(), 1, "{record}");
    }

    let controller = leaders.settled(&scene, &[]).await;
    assert_eq!(written(&scene), [""; 0]);
    assert_eq!(insides(&scene), [""; 0]);
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for action in scene.actions() {
        *calls.entry(action).or_default() += 1;
    }
    let total: usize = calls.values().sum();
    assert!(total <= 30, "{total}: {calls:#?}");
    // Nothing is news to people either.
    assert_eq!(kubernetes_writes(&controller).await, 0);
}
