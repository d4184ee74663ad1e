//! Dry runs, what Kubernetes shows, and what verification finds.

use std::collections::BTreeMap;

use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::first::SHOP;
use crate::support::{Scene, command};

/// Exit code and standard output of a dry run.
async fn dry_run(scene: &Scene) -> (Option<i32>, String) {
    let output = command(scene, &["--dry-run"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

/// Version and status of every object of the scene, whatever its kind, by kind
/// and name: a dry run could have written any of them.
async fn objects(scene: &Scene) -> BTreeMap<String, Value> {
    let kinds = "--namespaced --verbs=list,get -o name";
    let arguments: Vec<&str> = ["api-resources"]
        .into_iter()
        .chain(kinds.split(' '))
        .collect();
    let kinds = scene.kubectl(&arguments).await;
    let kinds = kinds.lines().collect::<Vec<_>>().join(",");
    let there = scene
        .kubectl(&["get", &kinds, "-n", "{ns}", "-o", "json"])
        .await;
    let of_scene = |group: &Value| {
        let name = group["spec"]["group"].as_str().unwrap();
        name.starts_with(&format!("{}/", scene.name))
    };
    let mut there: Value = serde_json::from_str(&there).unwrap();
    let mut all: Vec<Value> = serde_json::from_value(there["items"].take()).unwrap();
    all.extend(scene.groups().await.into_iter().filter(of_scene));
    all.into_iter()
        .map(|mut object| {
            let kind = object["kind"].as_str().unwrap();
            let name = format!("{kind} {}", object["metadata"]["name"].as_str().unwrap());
            let version = object["metadata"]["resourceVersion"].take();
            (name, json!([version, object["status"]]))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_all_and_writes_nothing() {
    let scene = Scene::new("running-dry").await;
    let ns = scene.name.clone();
    scene.service(&ns, "web", &["10.0.48.61"]).await;
    scene.apply(SHOP).await;
    let before = objects(&scene).await;
    for kind in ["Ingress web", "Service web", "EndpointSlice web"] {
        assert!(before.contains_key(kind), "{before:#?}");
    }
    let (code, text) = dry_run(&scene).await;
    println!("{text}");
    assert_eq!(code, Some(2), "{text}");
    for line in [
        "+ load balancer k8s-runningd-web-",
        "+ listener 80 HTTP -> fixed response 404",
        "+ rule 80/1 host shop.example.com path /* -> forward",
        "+ targets of running-dry/web-web:80: 10.0.48.61:8080",
        "+ security group k8s-traffic-runningdry-",
        "later: record shop.example.com, waits for the load balancer",
        "Nothing was written.",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    let is_numbered = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let (above, end) = text.trim_end().rsplit_once('\n').unwrap();
    let steps = above.lines().filter(is_numbered).count();
    assert!(
        end.starts_with(&format!("{steps} steps would be taken")),
        "{text}"
    );
    assert_eq!(objects(&scene).await, before);
    let writes: Vec<String> = scene.actions();
    let reads = |action: &&String| action.contains(" Describe") || action.contains(" List");
    assert_eq!(
        writes.iter().filter(reads).count(),
        writes.len(),
        "{writes:#?}"
    );
    assert_eq!(scene.ours(), [""; 0]);

    // Beside a live controller, nothing to do.
    let controller = scene.controller(&[]).await;
    scene.address(&ns, "web").await;
    scene
        .eventually("a dry run finds nothing to do", async || {
            let (code, text) = dry_run(&scene).await;
            if code == Some(0) { Ok(()) } else { Err(text) }
        })
        .await;
    // All is written by now but the Lease, which its leader renews.
    scene.quiet().await;
    let but_leases = async || {
        let mut all = objects(&scene).await;
        all.retain(|name, _| !name.starts_with("Lease "));
        all
    };
    let before = but_leases().await;
    assert!(before.keys().any(|name| name.starts_with("IngressGroup ")));
    let (code, text) = dry_run(&scene).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(but_leases().await, before);
    assert_eq!(controller.page("/healthz").await.unwrap().0, 200);
}

async fn group(scene: &Scene) -> Option<Value> {
    let found = scene.group(&format!("{}/web", scene.name)).await;
    (!found.is_null()).then_some(found)
}

/// Compares what `kubectl describe alb` shows of a group with a file here, but
/// for what is another each time. `UPDATE_DOCS=1` writes the file anew.
async fn described(scene: &Scene, name: &str, address: &str, file: &str) {
    let text = scene.kubectl(&["describe", "alb", name]).await;
    let varies = ["Creation Timestamp:", "Resource Version:", "UID:"];
    // Hashes are nothing for people, and a plan has ids; what is below them is
    // further to the right.
    let mut hidden = false;
    let lines = text.lines().filter(|line| {
        let depth = line.len() - line.trim_start().len();
        let begins = matches!(line.trim(), "Applied:" | "Last Change:");
        hidden = begins || (hidden && depth > 2);
        !hidden
    });
    let lines = lines.map(|line| {
        let label = varies
            .iter()
            .find(|label| line.trim_start().starts_with(**label));
        match label.and_then(|label| line.split_once(label).map(|(indent, _)| (indent, label))) {
            Some((indent, label)) => format!("{indent}{label} …"),
            None => line.replace(address, "ADDRESS").trim_end().to_owned(),
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/running");
    let file = format!("{folder}/describe-{file}.txt");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let wished = std::fs::read_to_string(&file).unwrap_or_default();
    // How wide a column is depends on the hashes beside it.
    let words = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::split_whitespace);
        lines
            .map(|line| line.collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(
        words(&text),
        words(&wished),
        "run the test again with UPDATE_DOCS=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_what_it_does() {
    let scene = Scene::new("running-words").await;
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    // Without its Service first.
    scene.apply(SHOP).await;
    let address = scene.address(&ns, "web").await;
    scene.warned(&ns, "web", &["ServiceNotFound", "web"]).await;
    let degraded = scene
        .eventually("the group shows its finding", async || {
            match group(&scene).await {
                Some(group) if group["status"]["state"] == "Degraded" => Ok(group),
                other => Err(other),
            }
        })
        .await;
    let name = degraded["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("running-words-web-"), "{name}");
    assert!(degraded["metadata"]["finalizers"].is_null(), "{degraded}");
    assert!(
        degraded["metadata"]["ownerReferences"].is_null(),
        "{degraded}"
    );
    let table = scene.kubectl(&["get", "alb", &name]).await;
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    let columns = [
        "NAME", "GROUP", "STATE", "DNS-NAME", "MEMBERS", "FINDINGS", "AGE",
    ];
    assert_eq!(head, columns);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row[1..6],
        ["running-words/web", "Degraded", &address, "1", "1"]
    );

    scene
        .eventually("the record is there", async || match group(&scene).await {
            Some(group) if group["status"]["records"][0]["state"] == "in sync" => Ok(()),
            other => Err(other),
        })
        .await;
    described(&scene, &name, &address, "degraded").await;

    // Then all is well, and said once.
    scene.service(&ns, "web", &["10.0.48.62"]).await;
    scene
        .eventually("the group serves", async || match group(&scene).await {
            Some(group)
                if group["status"]["state"] == "Serving"
                    && group["status"]["records"][0]["state"] == "in sync" =>
            {
                Ok(())
            }
            other => Err(other),
        })
        .await;
    described(&scene, &name, &address, "serving").await;
    scene.quiet().await;
    // What was done for it is there to read.
    let change = group(&scene).await.unwrap()["status"]["lastChange"].clone();
    assert_eq!(change["outcome"], "Done", "{change}");
    let plan = change["plan"].as_array().unwrap();
    let says = |text: &str| {
        plan.iter()
            .any(|line| line.as_str().unwrap().contains(text))
    };
    assert!(says("+ target group ") && says("rule 80/1"), "{change}");
    let events = scene.events(&ns, "web").await;
    let mut once = events.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), events.len(), "{events:#?}");
    let status = scene.ingress(&ns, "web").await.unwrap().status.unwrap();
    let status = serde_json::to_value(status.load_balancer).unwrap();
    let port: Value = serde_json::json!({ "ingress": [{
        "hostname": address,
        "ports": [{ "port": 80, "protocol": "" }],
    }]});
    assert_eq!(status, port);

    // It goes with the last Ingress.
    scene.delete(SHOP).await;
    scene.gone(&ns, "web").await;
    assert_eq!(group(&scene).await, None);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn strays_go_at_the_start_and_without_the_crd_all_else_works() {
    let scene = Scene::alone("running-crd").await;
    let ns = scene.name.clone();
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd");
    let mut controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.63"]).await;
    scene.apply(SHOP).await;
    scene.address(&ns, "web").await;
    scene
        .eventually("the group is there", async || group(&scene).await.ok_or(()))
        .await;
    assert!(controller.terminate().await.success());
    // A copy under a name that no group has.
    let mut stray = group(&scene).await.unwrap();
    let labels = stray["metadata"]["labels"].clone();
    stray["metadata"] = serde_json::json!({ "name": "stray", "labels": labels });
    scene.apply(&stray.to_string()).await;
    let mut controller = scene.controller(&[]).await;
    scene
        .eventually("the stray is gone", async || {
            let all = scene.kubectl(&["get", "alb", "-o", "name"]).await;
            if all.contains("/stray") {
                Err(all)
            } else {
                Ok(())
            }
        })
        .await;
    assert!(group(&scene).await.is_some());
    assert!(controller.terminate().await.success());

    scene.kubectl(&["delete", "-k", crd, "--wait=true"]).await;
    let controller = scene.controller(&[]).await;
    scene
        .service(&ns, "web", &["10.0.48.63", "10.0.64.63"])
        .await;
    scene
        .eventually("the target is registered", async || {
            let live =
                scene.account(|state| state.target_groups.values().next().unwrap().targets.len());
            if live == 2 { Ok(()) } else { Err(live) }
        })
        .await;
    scene.delete(SHOP).await;
    scene.gone(&ns, "web").await;
    scene.empty().await;
    let log = controller.log();
    drop(controller);
    scene.kubectl(&["apply", "-k", crd]).await;
    scene
        .eventually("the CRD is back", async || {
            let api: Api<alb_ingress_controller::report::IngressGroup> =
                Api::all(scene.client.clone());
            api.list(&ListParams::default()).await.map(|_| ())
        })
        .await;
    let told = log.matches("kubectl apply -k deploy/crd").count();
    assert_eq!(told, 1, "{log}");
}
