//! Each tier finds what it is there for, and what it found is mended and told.

use alb_ingress_controller::model::ownership::BACKEND_RULE_DESCRIPTION;
use sandbox_aws::faults::Fault;
use sandbox_aws::state::load_balancer::LoadBalancerState;
use sandbox_aws::state::security_group::SecurityGroup;
use sandbox_aws::state::security_group_rule::SecurityGroupRule;

use super::{mended, metric, served, whole, written};
use crate::support::{Scene, WATCHFUL};

const FAST: [&str; 3] = [
    "--first-verification=2s",
    "--verify-interval=2s",
    "--disable-route53",
];

/// Waits until all of the shop is there.
async fn complete(scene: &Scene, what: &str) {
    scene
        .eventually(what, async || {
            let there = scene.account(whole);
            if there == (1, 1, 2, 2) {
                Ok(())
            } else {
                Err(there)
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fast_tier_finds_what_a_listing_shows() {
    let (scene, controller) = served("verify-fast", &FAST).await;
    let state = scene.aws.state();
    let key = format!("{}/shop-a:80", scene.name);

    state.write(|state, _| {
        for group in state.target_groups.values_mut() {
            group.health_check.path = Some("/other".to_owned());
        }
    });
    let words = format!("target group {key} is not as it was");
    mended(&scene, &controller, "fast", "target-group", &words).await;
    scene.account(|state| {
        let groups = state.target_groups.values();
        for group in groups {
            assert_eq!(group.health_check.path.as_deref(), Some("/"));
        }
    });

    // Inbound rules of the load balancer's security group.
    let frontend = |state: &sandbox_aws::State| {
        let groups = state.security_groups.values();
        let mut ours = groups.filter(|group| group.name.starts_with("k8s-verify"));
        ours.next().unwrap().clone()
    };
    let before = scene.account(frontend);
    state.write(|state, _| {
        let group = state.security_groups.get_mut(&before.id).unwrap();
        group.rules.retain(|rule| rule.permission.egress);
    });
    let words = format!("security group {} is not as it was", before.name);
    mended(&scene, &controller, "fast", "security-group", &words).await;
    let ports = |group: &SecurityGroup| {
        let rules = group.rules.iter().filter(|rule| !rule.permission.egress);
        let rules = rules.map(|rule| format!("{:?}", rule.permission));
        rules.collect::<Vec<_>>()
    };
    assert_eq!(ports(&scene.account(frontend)), ports(&before));

    // The security groups that it has.
    state.write(|state, _| {
        let lb = state.load_balancers.values_mut().next().unwrap();
        lb.security_groups.remove(&before.id);
    });
    let name = scene.account(|state| state.load_balancers.values().next().unwrap().name.clone());
    let words = format!("load balancer {name} is not as it was");
    mended(&scene, &controller, "fast", "load-balancer", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fast_tier_finds_that_a_load_balancer_is_gone() {
    let (scene, controller) = served("verify-gone", &FAST).await;
    let state = scene.aws.state();
    let name = scene.account(|state| state.load_balancers.values().next().unwrap().name.clone());
    let (arn, address) = scene.account(|state| {
        let lb = state.load_balancers.values().next().unwrap();
        (lb.arn.clone(), lb.dns_name.clone())
    });
    state.write(|state, now| state.delete_load_balancer(&arn, now).unwrap());
    let words = format!("load balancer {name} is gone");
    mended(&scene, &controller, "fast", "load-balancer", &words).await;
    complete(&scene, "it is there again").await;
    scene.account(|state| {
        let lb = state.load_balancers.values().next().unwrap();
        assert_ne!(lb.dns_name, address);
        assert_eq!(lb.state, LoadBalancerState::Active);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fast_tier_opens_the_nodes_again() {
    let (scene, controller) = served("verify-nodes", &FAST).await;
    let state = scene.aws.state();
    let node = scene.ids.node_security_group.clone();
    let is_ours =
        |rule: &SecurityGroupRule| rule.description.as_deref() == Some(BACKEND_RULE_DESCRIPTION);
    let open = |state: &sandbox_aws::State| {
        let rules = state.security_groups[&node].rules.iter();
        rules.filter(|rule| is_ours(rule)).count()
    };
    let before = scene.account(open);
    assert!(before > 0);
    state.write(|state, _| {
        let group = state.security_groups.get_mut(&node).unwrap();
        group.rules.retain(|rule| !is_ours(rule));
    });
    scene
        .eventually("the nodes are open again", async || {
            let now = scene.account(open);
            if now == before { Ok(()) } else { Err(now) }
        })
        .await;
    let labels = "{tier=\"fast\",kind=\"security-group\"}";
    scene
        .eventually("it is counted", async || {
            let metric_of =
                async |name: &str| metric(&controller, &format!("{name}{labels}")).await;
            let found = metric_of("alb_ingress_drift_found_total").await;
            let mended = metric_of("alb_ingress_drift_mended_total").await;
            if (found, mended) == (1, 1) {
                Ok(())
            } else {
                Err((found, mended))
            }
        })
        .await;
    let log = controller.log();
    assert!(log.contains("mended the backend security group"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_tier_finds_tags_that_were_taken_away() {
    let arguments = [
        "--first-verification=2s",
        "--verify-interval=off",
        "--verify-tags-interval=2s",
        "--verify-rules-interval=2s",
        "--verify-targets-interval=off",
        "--disable-route53",
    ];
    let (scene, controller) = served("verify-tags", &arguments).await;
    let state = scene.aws.state();
    // Rules are read first: of what is only believed no tag is known.
    scene
        .eventually("the group is read", async || {
            let read = metric(
                &controller,
                "alb_ingress_verification_reads_total{tier=\"slow\"}",
            );
            let read = read.await;
            if read > 0 { Ok(()) } else { Err(read) }
        })
        .await;
    let group = scene.account(|state| {
        let group = state.target_groups.values().next().unwrap();
        group.arn.clone()
    });
    state.write(|state, _| state.tags.get_mut(&group).unwrap().remove("team"));
    let key = format!("target group {}/shop-", scene.name);
    mended(&scene, &controller, "tag", "target-group", &key).await;
    scene.account(|state| assert_eq!(state.tags[&group]["team"], "web"));
    assert!(
        scene
            .actions()
            .iter()
            .any(|call| call == "tagging GetResources")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_list_tags_reads_them_one_by_one() {
    let scene = Scene::new("verify-denied").await;
    let ns = scene.name.clone();
    scene.aws.faults().add(Fault {
        service: Some("tagging".to_owned()),
        code: Some("AccessDeniedException".to_owned()),
        times: u64::MAX,
        ..Fault::default()
    });
    scene.service(&ns, "a", &["10.0.48.103"]).await;
    scene.service(&ns, "b", &["10.0.48.104"]).await;
    let mut maker = scene
        .controller(&["--leader-election-id=maker", "--default-tags=team=web"])
        .await;
    scene.apply(super::SHOP).await;
    scene.address(&ns, "shop").await;
    complete(&scene, "all is made").await;
    scene.quiet().await;
    assert!(maker.terminate().await.success());
    let controller = scene
        .controller(&[
            "--default-tags=team=web",
            "--first-verification=2s",
            "--verify-interval=off",
            "--verify-tags-interval=2s",
        ])
        .await;
    let lb = scene.account(|state| state.load_balancers.keys().next().unwrap().clone());
    scene
        .aws
        .state()
        .write(|state, _| state.tags.get_mut(&lb).unwrap().remove("team"));
    mended(
        &scene,
        &controller,
        "tag",
        "load-balancer",
        "load balancer k8s-",
    )
    .await;
    let said = controller.log().matches("tags may not be listed").count();
    assert_eq!(said, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slow_tier_finds_what_is_inside_a_load_balancer() {
    let arguments = [
        "--first-verification=2s",
        "--verify-interval=off",
        "--verify-rules-interval=2s",
        "--verify-targets-interval=off",
        "--disable-route53",
    ];
    let (scene, controller) = served("verify-slow", &arguments).await;
    let state = scene.aws.state();
    let rule = scene.account(|state| {
        let lb = state.load_balancers.values().next().unwrap();
        let listener = lb.listeners.values().next().unwrap();
        listener.rules.values().next().unwrap().arn.clone()
    });
    state.write(|state, _| state.delete_rule(&rule).unwrap());
    mended(&scene, &controller, "slow", "rule", "of port 443 is gone").await;
    complete(&scene, "the rule is there again").await;

    // And what was added to a list of certificates.
    let more = scene.certificate("more.example.com");
    state.write(|state, _| {
        let lb = state.load_balancers.values_mut().next().unwrap();
        let listener = lb.listeners.values_mut().next().unwrap();
        listener.sni_certificates.insert(more.clone());
    });
    let words = "the listener of port 443 is not as it was";
    mended(&scene, &controller, "slow", "listener", words).await;
    assert!(written(&scene).contains(&"RemoveListenerCertificates".to_owned()));
    // Targets are another tier's.
    let targets = scene.actions().into_iter();
    assert_eq!(
        targets
            .filter(|a| a.ends_with("DescribeTargetHealth"))
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_tier_finds_targets_that_were_taken_away() {
    let arguments = [
        "--first-verification=2s",
        "--verify-interval=off",
        "--verify-rules-interval=off",
        "--verify-targets-interval=2s",
        "--disable-route53",
    ];
    let (scene, controller) = served("verify-targets", &arguments).await;
    scene.aws.state().write(|state, _| {
        let group = state.target_groups.values_mut().next().unwrap();
        group.targets.clear();
    });
    let words = format!("the targets of {}/shop-", scene.name);
    mended(&scene, &controller, "target", "targets", &words).await;
    complete(&scene, "the target is there again").await;
    assert!(written(&scene).contains(&"RegisterTargets".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_has_changed_nothing_is_written() {
    let (scene, controller) = served("verify-nothing", &WATCHFUL).await;
    let writes = crate::running::kubernetes_writes(&controller).await;
    for tier in ["fast", "tag", "slow", "target", "network", "record"] {
        let line = format!("alb_ingress_verification_reads_total{{tier=\"{tier}\"}}");
        scene
            .eventually(&format!("three reads of the {tier} tier"), async || {
                let reads = metric(&controller, &line).await;
                if reads >= 3 { Ok(()) } else { Err(reads) }
            })
            .await;
    }
    assert_eq!(written(&scene), [""; 0]);
    assert_eq!(crate::running::kubernetes_writes(&controller).await, writes);
    let (_, page) = controller.page("/metrics").await.unwrap();
    assert!(!page.contains("alb_ingress_drift_found_total{"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_others_changed_are_found_and_told() {
    let arguments = [
        "--first-verification=2s",
        "--verify-records-interval=2s",
        "--verify-interval=off",
    ];
    let (scene, controller) = served("verify-record", &arguments).await;
    scene
        .eventually("the record is read", async || {
            let line = "alb_ingress_verification_reads_total{tier=\"record\"}";
            let read = metric(&controller, line).await;
            if read > 0 { Ok(()) } else { Err(read) }
        })
        .await;
    scene.aws.state().write(|state, _| {
        for zone in state.hosted_zones.values_mut() {
            zone.records
                .retain(|_, record| !(record.kind == "A" && record.name.starts_with("shop.")));
        }
    });
    let labels = "{tier=\"record\",kind=\"record\"}";
    scene
        .eventually("it is mended", async || {
            let line = format!("alb_ingress_drift_mended_total{labels}");
            let mended = metric(&controller, &line).await;
            if mended == 1 { Ok(()) } else { Err(mended) }
        })
        .await;
    let ours = scene.ours();
    assert!(
        ours.iter().any(|thing| thing.starts_with("A shop.")),
        "{ours:?}"
    );
    scene
        .eventually("an event says so", async || {
            let events = scene.events(&scene.name, "shop").await;
            let told = "the DNS record of shop.example.com is not as it was";
            if events
                .iter()
                .any(|e| e.starts_with("DriftMended") && e.contains(told))
            {
                Ok(())
            } else {
                Err(events)
            }
        })
        .await;
}
