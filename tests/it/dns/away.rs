//! Hosts that went while no controller ran.

use super::*;
use crate::support::command;

/// Exit code and standard output of a dry run.
async fn dry_run(scene: &Scene) -> (Option<i32>, String) {
    let output = command(scene, &["--dry-run"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

/// Has the TXT of a host name another owner.
fn give_away(scene: &Scene, zone: &str, host: &str) {
    scene.aws.state().write(|state, _| {
        let zone = state.hosted_zones.get_mut(zone).unwrap();
        let name = format!("_albc-a.{host}.");
        let mut records = zone.records.values_mut();
        let txt = records.find(|r| r.kind == "TXT" && r.name == name).unwrap();
        for value in &mut txt.values {
            *value = value.replace("owner=albc/", "owner=another/");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_host_that_was_taken_out_while_nobody_looked_goes() {
    let scene = scene("dns-taken-out").await;
    let zone = scene.ids.hosted_zones[0].clone();
    let hosts = [
        "stays.example.com",
        "goes.example.com",
        "theirs.example.com",
    ];
    let mut controller = start(&scene, &[]).await;
    scene.apply(&public("web", &hosts)).await;
    for host in hosts {
        leads(&scene, &zone, host, "web").await;
    }
    controller.terminate().await;
    scene.apply(&public("web", &hosts[..1])).await;
    give_away(&scene, &zone, hosts[2]);

    // A dry run says so and does nothing.
    let (code, said) = dry_run(&scene).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("- record goes.example.com A"), "{said}");
    assert!(!said.contains("record theirs.example.com"), "{said}");
    assert!(record(&scene, &zone, hosts[1]).is_some());

    scene.forget_calls();
    let controller = start(&scene, &[]).await;
    becomes(&scene, "its record is gone", || {
        (record(&scene, &zone, hosts[1]), None)
    })
    .await;
    scene.quiet().await;
    assert!(record(&scene, &zone, hosts[0]).is_some());
    assert!(record(&scene, &zone, hosts[2]).is_some());
    let read = |action: &str| dns_calls(&scene).iter().filter(|a| *a == action).count();
    assert!(
        read("ListResourceRecordSets") <= 4,
        "{:?}",
        dns_calls(&scene)
    );
    assert_eq!(batches(&scene).len(), 1);

    // The next start finds nothing that is not stated, and looks at nothing else.
    let controller = restarted(&scene, controller).await;
    assert_eq!(
        dns_calls(&scene),
        ["ListHostedZones", "ListResourceRecordSets"]
    );
    scene.delete_ingresses(&scene.name).await;
    becomes(&scene, "what is ours is gone", || {
        (record(&scene, &zone, hosts[0]), None)
    })
    .await;
    assert!(record(&scene, &zone, hosts[2]).is_some());
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_host_goes_although_the_process_died_after_its_rule() {
    let scene = scene("dns-killed").await;
    let zone = scene.ids.hosted_zones[0].clone();
    let hosts = ["stays.example.com", "killed.example.com"];
    let controller = start(&scene, &[]).await;
    scene.apply(&public("web", &hosts)).await;
    for host in hosts {
        leads(&scene, &zone, host, "web").await;
        said(&scene, "web", host, "in sync").await;
    }
    scene.quiet().await;
    // Its rule goes, and the answer about its record does not come.
    scene.aws.faults().add(Fault {
        delay_ms: 60_000,
        ..fault("route53", "ChangeResourceRecordSets", "Throttling", 10)
    });
    scene.apply(&public("web", &hosts[..1])).await;
    let rules = || {
        scene.account(|state| {
            let listeners = state.load_balancers.values();
            let listeners = listeners.flat_map(|lb| lb.listeners.values());
            listeners.map(|listener| listener.rules.len()).sum()
        })
    };
    becomes(&scene, "its rule is gone", || (rules(), 1_usize)).await;
    scene.quiet().await;
    controller.kill().await;
    assert!(record(&scene, &zone, hosts[1]).is_some());
    scene.aws.faults().clear();
    // Another's, that people are shown as ours.
    let theirs = simple("theirs.example.com", "A", "192.0.2.1");
    edit(&scene, &zone, ChangeAction::Create, &[theirs]);
    let name = alb_ingress_controller::report::resource_name(
        &alb_ingress_controller::model::group::GroupId::Implicit(
            alb_ingress_controller::model::spec::ObjectName::new(&scene.name, "web"),
        ),
    );
    let shown = r#"[{"op": "add", "path": "/status/records/-", "value": {"host": "theirs.example.com", "state": "in sync"}}]"#;
    let patch = [
        "patch",
        "alb",
        &name,
        "--subresource=status",
        "--type=json",
        "-p",
        shown,
    ];
    scene.kubectl(&patch).await;

    let another = "--leader-election-id=another";
    let controller = start(&scene, &[another]).await;
    becomes(&scene, "its record is gone", || {
        (record(&scene, &zone, hosts[1]), None)
    })
    .await;
    scene.quiet().await;
    assert!(record(&scene, &zone, hosts[0]).is_some());
    assert!(record(&scene, &zone, "theirs.example.com").is_some());
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_that_lost_its_ingress_goes_after_its_records() {
    let scene = scene("dns-orphan").await;
    let (ns, host) = ("dns-orphan", "orphan.example.com");
    let zone = scene.ids.hosted_zones[0].clone();
    let mut controller = start(&scene, &[]).await;
    scene.apply(&public("web", &[host])).await;
    leads(&scene, &zone, host, "web").await;
    controller.terminate().await;
    // As people do who are told to "just remove the finalizer".
    let none = r#"{"metadata": {"finalizers": []}}"#;
    let patch = [
        "patch",
        "ingress",
        "web",
        "-n",
        ns,
        "--type=merge",
        "-p",
        none,
    ];
    scene.kubectl(&patch).await;
    scene.delete(&public("web", &[host])).await;
    scene.gone(ns, "web").await;

    scene.forget_calls();
    let controller = start(&scene, &[]).await;
    scene.empty().await;
    let change = first(&scene, "ChangeResourceRecordSets");
    let asked = first(&scene, "GetChange");
    assert!(change.is_some() && change < asked);
    assert!(asked < first(&scene, "DeleteLoadBalancer"));
    drop(controller);
}
