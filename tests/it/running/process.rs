//! One process and two: the Lease, signals, pages, log, command line.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::first::SHOP;
use crate::support::{Controller, Scene};

async fn metric(controller: &Controller, line: &str) -> Option<String> {
    let (_, text) = controller.page("/metrics").await?;
    let found = text.lines().find_map(|l| l.strip_prefix(line));
    found.map(|value| value.trim().to_owned())
}

async fn leads(scene: &Scene, controller: &Controller) {
    scene
        .eventually("it leads", async || {
            match metric(controller, "alb_ingress_leader").await {
                Some(value) if value == "1" => Ok(()),
                other => Err(other),
            }
        })
        .await;
}

async fn targets(scene: &Scene, count: usize) {
    scene
        .eventually("the targets are registered", async || {
            let live = scene.account(|state| {
                let groups = state.target_groups.values();
                groups.map(|g| g.targets.len()).sum::<usize>()
            });
            if live == count { Ok(()) } else { Err(live) }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_one_writes_and_the_other_takes_over() {
    let scene = Scene::new("running-two").await;
    let ns = scene.name.clone();
    let first = scene.controller(&[]).await;
    leads(&scene, &first).await;
    let mut second = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.51"]).await;
    scene.apply(SHOP).await;
    scene.address(&ns, "web").await;
    targets(&scene, 1).await;
    // A standby is ready, writes nothing to Kubernetes and calls no AWS; no
    // work waits for it.
    for idle in ["alb_ingress_leader", "alb_ingress_queue_depth"] {
        assert_eq!(metric(&second, idle).await.unwrap(), "0", "{idle}");
    }
    let (_, page) = second.page("/metrics").await.unwrap();
    assert!(!page.contains("alb_ingress_aws_requests_total{"), "{page}");
    assert!(
        !page.contains("alb_ingress_kubernetes_writes_total{"),
        "{page}"
    );

    // Killed: the other goes on.
    first.kill().await;
    scene
        .service(&ns, "web", &["10.0.48.51", "10.0.64.51"])
        .await;
    leads(&scene, &second).await;
    targets(&scene, 2).await;

    // Told to end: the Lease is free, and the exit is a success.
    assert!(second.terminate().await.success());
    let leases: Api<Lease> = Api::namespaced(scene.client.clone(), &ns);
    let lease = leases.get("alb-ingress-controller-leader").await.unwrap();
    let holder = lease.spec.unwrap().holder_identity;
    assert_eq!(holder.unwrap_or_default(), "");

    // Lost to another: the process ends, and not as if all were well.
    let mut third = scene.controller(&[]).await;
    leads(&scene, &third).await;
    let thief = json!({ "spec": {
        "holderIdentity": "thief",
        "renewTime": "2030-01-01T00:00:00.000000Z",
    }});
    leases
        .patch(
            "alb-ingress-controller-leader",
            &PatchParams::default(),
            &Patch::Merge(thief),
        )
        .await
        .unwrap();
    assert_eq!(third.ended().await.code(), Some(1));
    assert!(third.log().contains("lost the lease"), "{}", third.log());
    assert!(third.log().contains("thief"), "{}", third.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_log_tell_what_it_does() {
    let scene = Scene::new("running-pages").await;
    let ns = scene.name.clone();
    let controller = scene
        .controller(&["--aws-debug", "--log-format=json", "--log-level=debug"])
        .await;
    scene.service(&ns, "web", &["10.0.48.52"]).await;
    scene.apply(SHOP).await;
    scene.address(&ns, "web").await;
    targets(&scene, 1).await;
    let health = controller.page("/healthz").await.unwrap();
    assert_eq!(health, (200, "ok\n".to_owned()));
    assert_eq!(controller.page("/readyz").await.unwrap().0, 200);
    // The run is counted after all that it writes.
    let page = scene
        .eventually("the run is counted", async || {
            let (_, page) = controller.page("/metrics").await.unwrap();
            if page.contains("reconcile_seconds_count{kind=\"group\",result=\"ok\"}") {
                Ok(page)
            } else {
                Err(page)
            }
        })
        .await;
    for line in [
        "alb_ingress_reconcile_seconds_count{kind=\"backend\",result=\"ok\"} ",
        "alb_ingress_plan_steps_total{kind=\"create-load-balancer\"} 1",
        "alb_ingress_aws_requests_total{service=\"elasticloadbalancing\",operation=\"CreateRule\",code=\"ok\"} 1",
        "alb_ingress_aws_request_seconds_count{service=\"ec2\",operation=\"DescribeVpcs\"} 1",
        "alb_ingress_kubernetes_writes_total{kind=\"finalizer\"} 1",
        "alb_ingress_queue_depth ",
        "alb_ingress_groups{state=\"Failing\"} 0",
        "alb_ingress_findings{reason=\"InvalidAnnotation\"} 0",
        "alb_ingress_leader 1",
        "alb_ingress_build_info{version=",
    ] {
        assert!(
            page.lines().any(|l| l.starts_with(line)),
            "{line} not in {page}"
        );
    }
    // Each family has its help.
    let families = page.lines().filter(|l| l.starts_with("# TYPE ")).count();
    let helps = page.lines().filter(|l| l.starts_with("# HELP ")).count();
    assert!(families >= 9 && families == helps, "{page}");

    let log = controller.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let call = lines
        .iter()
        .find(|line| line["operation"] == "CreateLoadBalancer")
        .expect("the call is in the log");
    assert_eq!(call["service"], "elasticloadbalancing");
    assert_eq!(call["outcome"], "ok");
    assert!(call["milliseconds"].is_u64(), "{call}");
    assert!(call["request_id"].as_str().unwrap().len() > 8, "{call}");
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"));
    assert!(!log.contains("test-secret"), "the log holds a secret");
    assert!(!log.contains("Signature="), "the log holds a signature");
}
