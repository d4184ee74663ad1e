//! What goes, in which order, and what stays.

use std::collections::BTreeSet;

use super::{assert_in_order, count, ingress, no_delays, picture};
use crate::support::Scene;

const NO_DNS: &str = "--disable-route53";

/// Finalizers of an Ingress that is there.
async fn finalizers(scene: &Scene, name: &str) -> Vec<String> {
    let ingress = scene.ingress(&scene.name, name).await.unwrap();
    ingress.metadata.finalizers.unwrap_or_default()
}

/// Host names that rules are for, by the name of the load balancer.
fn hosts(scene: &Scene) -> BTreeSet<(String, String)> {
    scene.account(|state| {
        let lbs = state.load_balancers.values();
        lbs.flat_map(|lb| {
            let rules = lb.listeners.values().flat_map(|l| l.rules.values());
            let conditions = rules.flat_map(|rule| &rule.conditions);
            conditions.filter_map(|condition| match condition {
                sandbox_aws::state::Condition::HostHeader(host) => {
                    let prefix = lb.name.rsplit_once('-').unwrap().0.to_owned();
                    Some((prefix, host.values()[0].clone()))
                }
                _ => None,
            })
        })
        .collect()
    })
}

async fn serves(scene: &Scene, expected: &[(&str, &str)]) {
    let pair = |(lb, host): &(&str, &str)| ((*lb).to_owned(), format!("{host}.example.com"));
    let expected: BTreeSet<_> = expected.iter().map(pair).collect();
    scene
        .eventually("the hosts are served where they should be", async || {
            let hosts = hosts(scene);
            if hosts == expected {
                Ok(())
            } else {
                Err(hosts)
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_first_and_the_finalizer_last() {
    let name = "lifecycle-order";
    let scene = Scene::new(name).await;
    let controller = scene.controller(&["--dns-delete-grace=2s"]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    let web = ingress("web", &[]);
    scene.apply(&web).await;
    scene.address(name, "web").await;
    scene
        .eventually("the host has its record", async || {
            let ours = scene.ours();
            let records = ours.iter().filter(|name| name.contains("web.example.com"));
            if records.count() == 2 {
                Ok(())
            } else {
                Err(ours)
            }
        })
        .await;
    scene.quiet().await;
    let before = picture(&scene);

    scene.forget_calls();
    scene.delete(&web).await;
    scene
        .eventually("the record is gone", async || {
            let ours = scene.ours();
            let left = ours.iter().any(|name| name.contains("web.example.com"));
            if left { Err(ours) } else { Ok(()) }
        })
        .await;
    // Whoever remembers the address is served on: all else is as it was.
    let of_dns = |line: &&String| !line.contains("web.example.com.");
    let after: Vec<String> = picture(&scene);
    let kept: Vec<&String> = before.iter().filter(of_dns).collect();
    assert_eq!(after.iter().filter(of_dns).collect::<Vec<_>>(), kept);
    assert_eq!(
        finalizers(&scene, "web").await,
        ["ingress.k8s.aws/resources"]
    );

    scene.gone(name, "web").await;
    let ours = scene.ours();
    let not_shared = ours.iter().filter(|n| !n.starts_with("k8s-traffic-"));
    assert_eq!(not_shared.count(), 0, "{ours:?}");
    scene.empty().await;
    scene.quiet().await;
    let calls = scene.actions();
    let elb = |action: &str| format!("elasticloadbalancing {action}");
    assert_in_order(
        &calls,
        &[
            "route53 ChangeResourceRecordSets",
            "route53 GetChange",
            &elb("DescribeTags"),
            &elb("DeleteLoadBalancer"),
            &elb("DeleteTargetGroup"),
        ],
    );
    assert_in_order(
        &calls,
        &[
            &elb("DeleteLoadBalancer"),
            "ec2 DescribeSecurityGroups",
            "ec2 DeleteSecurityGroup",
        ],
    );
    assert_eq!(count(&calls, "route53 ChangeResourceRecordSets"), 1);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_security_group_holds_up_nothing_else() {
    let name = "lifecycle-held";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    scene
        .aws
        .state()
        .write(|state, _| state.timing.eni_release_ms = 6000);
    let controller = scene.controller(&[NO_DNS]).await;
    // A controller of another class and cluster does not take it for its own.
    let another = [
        NO_DNS,
        "--ingress-class=another",
        "--cluster-name=another",
        "--leader-election-id=another",
    ];
    let another = scene.controller(&another).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    for which in ["web", "other"] {
        scene.apply(&ingress(which, &[])).await;
        scene.address(name, which).await;
    }
    scene.quiet().await;

    scene.forget_calls();
    scene.delete(&ingress("web", &[])).await;
    scene
        .eventually("all but the security group is gone", async || {
            let left =
                scene.account(|state| (state.load_balancers.len(), state.target_groups.len()));
            if left == (1, 1) { Ok(()) } else { Err(left) }
        })
        .await;
    assert_eq!(
        finalizers(&scene, "web").await,
        ["ingress.k8s.aws/resources"]
    );
    // Changes go on, those that wake the held group included.
    scene.apply(&ingress("new", &[])).await;
    for addresses in [&["10.0.48.11", "10.0.64.12"][..], &["10.0.64.12"]] {
        scene.service(name, "web", addresses).await;
    }
    scene.address(name, "new").await;
    scene
        .eventually("the pods are targets", async || {
            let targets = scene.account(|state| {
                let groups = state.target_groups.values();
                groups
                    .map(|g| g.targets.keys().map(|k| k.id.clone()).collect())
                    .collect()
            });
            let expected = vec![vec!["10.0.64.12".to_owned()]; 2];
            if targets == expected {
                Ok(())
            } else {
                Err::<(), Vec<Vec<String>>>(targets)
            }
        })
        .await;
    scene.gone(name, "web").await;
    let tries = count(&scene.actions(), "ec2 DeleteSecurityGroup");
    // At 0, 1, 3 and 7 seconds.
    assert!((2..=5).contains(&tries), "{tries}");
    drop(another);

    scene.delete_ingresses(name).await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_lost_its_marks_is_not_deleted() {
    let name = "lifecycle-marks";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let controller = scene.controller(&[NO_DNS]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    for which in ["web", "other"] {
        scene.apply(&ingress(which, &[])).await;
        scene.address(name, which).await;
    }
    scene.quiet().await;
    let (lb, group) = scene.account(|state| {
        let lbs = state.load_balancers.values();
        let lb = lbs
            .into_iter()
            .find(|lb| lb.name.contains("-other-"))
            .unwrap();
        let group = state.target_groups.values().find(|group| {
            let user = group.references.first().unwrap();
            !user.contains(&lb.name)
        });
        (lb.arn.clone(), group.unwrap().arn.clone())
    });
    scene.aws.state().write(|state, _| {
        for arn in [&lb, &group] {
            let keys = ["ingress.k8s.aws/stack".to_owned()];
            state.remove_tags(std::slice::from_ref(arn), &keys).unwrap();
        }
    });

    scene.forget_calls();
    scene.delete(&ingress("web", &[])).await;
    scene.gone(name, "web").await;
    scene.account(|state| {
        assert!(state.target_groups.contains_key(&group));
        assert_eq!(state.load_balancers.len(), 1);
    });
    scene.forget_calls();
    scene.delete(&ingress("other", &[])).await;
    scene.quiet().await;
    assert!(scene.account(|state| state.load_balancers.contains_key(&lb)));
    let calls = scene.actions();
    assert_eq!(count(&calls, "elasticloadbalancing DeleteLoadBalancer"), 0);
    drop(controller);
    // Nobody is left who could let it go.
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    if scene.ingress(name, "other").await.is_some() {
        let patch = [
            "patch",
            "ingress",
            "-n",
            name,
            "other",
            "--type=merge",
            "-p",
            patch,
        ];
        scene.kubectl(&patch).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_protection_is_never_switched_off() {
    let name = "lifecycle-protected";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let controller = scene.controller(&[NO_DNS]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    let group = "alb.ingress.kubernetes.io/group.name: lifecycle-protected";
    for which in ["a", "b"] {
        scene.apply(&ingress(which, &[group])).await;
        scene.address(name, which).await;
    }
    scene.quiet().await;
    let protect = |on: &str| {
        scene.aws.state().write(|state, _| {
            let arn = state.load_balancers.keys().next().unwrap().clone();
            let attribute = ("deletion_protection.enabled".to_owned(), on.to_owned());
            state
                .modify_load_balancer_attributes(&arn, &[attribute])
                .unwrap();
        });
    };
    protect("true");

    // A member that leaves others behind goes: the load balancer stays.
    scene.delete(&ingress("a", &[group])).await;
    scene.gone(name, "a").await;
    serves(&scene, &[("k8s-lifecycleprotecte", "b")]).await;

    scene.quiet().await;
    scene.forget_calls();
    scene.delete(&ingress("b", &[group])).await;
    let parts = [
        "DeletionProtected",
        "deletion_protection.enabled",
        "modify-load-balancer-attributes",
    ];
    scene.warned(name, "b", &parts).await;
    assert_eq!(
        finalizers(&scene, "b").await,
        ["group.ingress.k8s.aws/lifecycle-protected"]
    );
    serves(&scene, &[("k8s-lifecycleprotecte", "b")]).await;
    // The group goes on for whoever joins it.
    scene.apply(&ingress("c", &[group])).await;
    scene.address(name, "c").await;
    serves(&scene, &[("k8s-lifecycleprotecte", "c")]).await;
    scene.gone(name, "b").await;

    scene.quiet().await;
    scene.forget_calls();
    scene.delete(&ingress("c", &[group])).await;
    scene.warned(name, "c", &parts[..1]).await;
    for index in 0..5 {
        // Whatever wakes the group meanwhile, AWS is not asked each time.
        let label = format!("woken={index}");
        let arguments = ["label", "--overwrite", "ingress", "-n", name, "c", &label];
        scene.kubectl(&arguments).await;
    }
    let calls = scene.actions();
    assert!(
        (1..=4).contains(&count(&calls, "elasticloadbalancing DeleteLoadBalancer")),
        "{calls:?}"
    );
    assert_eq!(
        count(&calls, "elasticloadbalancing ModifyLoadBalancerAttributes"),
        0
    );
    protect("false");
    scene.gone(name, "c").await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_while_the_controller_was_down() {
    let name = "lifecycle-down";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let mut controller = scene.controller(&[]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    for (which, scheme) in [("web", "internet-facing"), ("torn", "internal")] {
        // No zone is for an internal one: it has no record.
        let manifest = ingress(which, &[]).replace("internet-facing", scheme);
        scene.apply(&manifest).await;
        scene.address(name, which).await;
    }
    scene.quiet().await;
    controller.terminate().await;

    scene.delete(&ingress("web", &[])).await;
    // Somebody takes an Ingress away without waiting for us.
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let patch = [
        "patch",
        "ingress",
        "-n",
        name,
        "torn",
        "--type=merge",
        "-p",
        patch,
    ];
    scene.kubectl(&patch).await;
    scene.delete(&ingress("torn", &[])).await;
    assert!(scene.ingress(name, "torn").await.is_none());

    let controller = scene.controller(&[]).await;
    scene.gone(name, "web").await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_moves_from_group_to_group() {
    let name = "lifecycle-moves";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let controller = scene.controller(&[]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    let in_group = |which: &str, group: &str| {
        let line = format!("alb.ingress.kubernetes.io/group.name: {group}");
        ingress(which, &[&line])
    };
    for which in ["a", "b"] {
        scene.apply(&in_group(which, "lifecycle-one")).await;
        scene.address(name, which).await;
    }
    serves(
        &scene,
        &[("k8s-lifecycleone", "a"), ("k8s-lifecycleone", "b")],
    )
    .await;
    let first = scene.address(name, "a").await;

    scene.apply(&in_group("a", "lifecycle-two")).await;
    serves(
        &scene,
        &[("k8s-lifecycletwo", "a"), ("k8s-lifecycleone", "b")],
    )
    .await;
    let moved = async |which: &str, finalizer: &str| {
        scene
            .eventually("the finalizers are those of the new group", async || {
                let finalizers = finalizers(&scene, which).await;
                if finalizers == [finalizer] {
                    Ok(())
                } else {
                    Err(finalizers)
                }
            })
            .await;
    };
    moved("a", "group.ingress.k8s.aws/lifecycle-two").await;
    scene
        .eventually("the status names the new load balancer", async || {
            let address = scene.address(name, "a").await;
            if address == first {
                Err(address)
            } else {
                Ok(())
            }
        })
        .await;
    assert_eq!(scene.account(|state| state.target_groups.len()), 2);

    // The last of a group leaves it: the group goes.
    scene.apply(&in_group("b", "lifecycle-two")).await;
    moved("b", "group.ingress.k8s.aws/lifecycle-two").await;
    serves(
        &scene,
        &[("k8s-lifecycletwo", "a"), ("k8s-lifecycletwo", "b")],
    )
    .await;
    assert_eq!(scene.account(|state| state.load_balancers.len()), 1);

    // Out of every group.
    let groups = "alb.ingress.kubernetes.io/group.name-";
    scene
        .kubectl(&["annotate", "ingress", "-n", name, "b", groups])
        .await;
    moved("b", "ingress.k8s.aws/resources").await;
    serves(
        &scene,
        &[("k8s-lifecycletwo", "a"), ("k8s-lifecycl-b", "b")],
    )
    .await;

    // Another scheme: another load balancer, the same target group. There
    // and back again.
    let groups = |scene: &Scene| {
        scene.account(|state| state.target_groups.keys().cloned().collect::<Vec<_>>())
    };
    let before = groups(&scene);
    for scheme in ["internal", "internet-facing"] {
        scene.quiet().await;
        let annotation = format!("alb.ingress.kubernetes.io/scheme={scheme}");
        let annotate = ["annotate", "--overwrite", "ingress", "-n", name, "b"];
        scene
            .kubectl(&[&annotate[..], &[&annotation]].concat())
            .await;
        scene
            .eventually("the new load balancer has taken over", async || {
                let lbs: Vec<_> = scene.account(|state| {
                    let lbs = state.load_balancers.values();
                    let of_b = lbs.filter(|lb| lb.name.contains("-b-"));
                    of_b.map(|lb| lb.scheme.as_str()).collect()
                });
                if lbs == [scheme] { Ok(()) } else { Err(lbs) }
            })
            .await;
        serves(
            &scene,
            &[("k8s-lifecycletwo", "a"), ("k8s-lifecycl-b", "b")],
        )
        .await;
        assert_eq!(groups(&scene), before);
        scene
            .eventually("status and record name the new one", async || {
                let address = scene.address(name, "b").await;
                let record = scene.account(|state| {
                    let zones = state.hosted_zones.values();
                    let mut records = zones.flat_map(|zone| zone.records.values());
                    let record = records.find(|r| r.kind == "A" && r.name == "b.example.com.");
                    record.and_then(|r| Some(r.alias.as_ref()?.dns_name.clone()))
                });
                // An internal one has no place in a public zone.
                let right = match &record {
                    None => address.starts_with("internal-"),
                    Some(name) => name.contains(&address),
                };
                if right && (scheme == "internal") == record.is_none() {
                    Ok(())
                } else {
                    Err((address, record))
                }
            })
            .await;
    }

    scene.delete_ingresses(name).await;
    scene.empty().await;
    drop(controller);
}
