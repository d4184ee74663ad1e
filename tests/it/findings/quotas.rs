//! What AWS has no room for, or does not take, on one load balancer: as much
//! as fits is served, and one Ingress is told.

use sandbox_aws::faults::Fault;
use sandbox_aws::state::instance::InstanceState;

use super::{has_rules, ingress, resolved, routes, said, settled, targets, warnings};
use crate::support::Scene;

fn quota(scene: &Scene, name: &str, value: usize) {
    let state = scene.aws.state();
    state.write(|state, _| state.quotas.set(name, value));
}

/// Waits until a target group has these targets.
async fn has_targets(scene: &Scene, resource: &str, wished: &[&str]) {
    scene
        .eventually("the target group has its targets", async || {
            let registered = targets(scene, resource);
            if registered == wished {
                Ok(())
            } else {
                Err(registered)
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_quota_of_targets_as_many_as_fit_are_registered() {
    let scene = Scene::new("findings-targets").await;
    let ns = scene.name.clone();
    quota(&scene, "targets-per-target-group", 2);
    // A target that drains counts.
    let state = scene.aws.state();
    state.write(|state, _| state.timing.draining_ms = Some(0));
    let controller = scene.controller(&[]).await;
    let all = ["10.0.48.61", "10.0.64.61", "10.0.80.61"];
    scene.service(&ns, "web", &all).await;
    let rules = routes(&[("targets.example.com", "/", "web")]);
    let web = ingress("{ns}", "web", &[("target-type", "ip")], &rules);
    scene.apply(&web).await;
    let told = [
        "QuotaExceeded",
        "1 of the 3 targets of target group findings-targets/web-web:80",
        "AWS allows 2",
        "TooManyTargets",
        "raise it",
    ];
    scene.warned(&ns, "web", &told).await;
    let resource = "findings-targets/web-web:80";
    has_targets(&scene, resource, &["10.0.48.61:8080", "10.0.64.61:8080"]).await;
    // The Ingress is served with these.
    let rule = format!("1 targets.example.com /* -> {resource}");
    has_rules(&scene, "findings-targets/web", 80, &[&rule]).await;
    settled(&scene, &controller, &ns, "web").await;
    assert_eq!(warnings(&scene, &ns, "web").await.len(), 1);

    // Where one goes, the one that was left out comes.
    scene.service(&ns, "web", &all[1..]).await;
    resolved(&scene, &ns, "web", "QuotaExceeded").await;
    has_targets(&scene, resource, &["10.0.64.61:8080", "10.0.80.61:8080"]).await;
    settled(&scene, &controller, &ns, "web").await;
    assert_eq!(warnings(&scene, &ns, "web").await.len(), 1);
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_whose_targets_are_too_many_comes_when_others_have_fewer() {
    let scene = Scene::new("findings-room").await;
    let ns = scene.name.clone();
    quota(&scene, "targets-per-application-load-balancer", 2);
    let state = scene.aws.state();
    state.write(|state, _| state.timing.draining_ms = Some(0));
    let controller = scene.controller(&[]).await;
    let pods = ["10.0.48.63", "10.0.64.63"];
    scene.service(&ns, "web", &pods).await;
    scene.service(&ns, "more", &["10.0.80.63"]).await;
    let member = |name: &str, service: &str| {
        let annotations = [("group.name", "findings-room"), ("target-type", "ip")];
        let rules = routes(&[(&format!("{name}.example.com"), "/", service)]);
        ingress("{ns}", name, &annotations, &rules)
    };
    let rule = |at: u8, name: &str, service: &str| {
        format!("{at} {name}.example.com /* -> {ns}/{name}-{service}:80")
    };
    scene.apply(&member("a", "web")).await;
    has_rules(&scene, "findings-room", 80, &[&rule(1, "a", "web")]).await;
    scene.apply(&member("b", "more")).await;
    let told = ["QuotaExceeded", "TooManyTargets", "tried again"];
    scene.warned(&ns, "b", &told).await;

    // It is the pods of another Ingress that there are too many of, and
    // nobody touches this one.
    scene.service(&ns, "web", &pods[..1]).await;
    let both = [rule(1, "a", "web"), rule(2, "b", "more")];
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-room", 80, &both).await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_aws_does_not_take_is_left_out_and_the_others_serve() {
    let scene = Scene::new("findings-target").await;
    let ns = scene.name.clone();
    let nodes = scene.ids.nodes.clone();
    let becomes = |state: InstanceState| {
        scene.aws.state().write(|account, _| {
            account.instances.get_mut(&nodes[1]).unwrap().state = state;
        });
    };
    // Its Node is Ready: only AWS knows.
    becomes(InstanceState::Stopped);
    let controller = scene.controller(&["--verify-interval=3s"]).await;
    scene
        .apply(
            "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: '{ns}'}
spec: {type: NodePort, ports: [{port: 80, targetPort: 8080}]}
",
        )
        .await;
    let port = "jsonpath={.spec.ports[0].nodePort}";
    let port = scene
        .kubectl(&["get", "service", "web", "-n", "{ns}", "-o", port])
        .await;
    let rules = routes(&[("target.example.com", "/", "web")]);
    scene.apply(&ingress("{ns}", "web", &[], &rules)).await;
    let told = [
        "RefusedByAWS",
        &format!("target {}", nodes[1]),
        "InvalidTarget",
        "tried again",
    ];
    scene.warned(&ns, "web", &told).await;
    let resource = "findings-target/web-web:80";
    let registered = |nodes: &[&String]| {
        let mut all: Vec<String> = nodes.iter().map(|id| format!("{id}:{port}")).collect();
        all.sort();
        all
    };
    let wished = registered(&[&nodes[0], &nodes[2]]);
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_targets(&scene, resource, &wished).await;
    let rule = format!("1 target.example.com /* -> {resource}");
    has_rules(&scene, "findings-target/web", 80, &[&rule]).await;

    // It is tried again, and nobody touches the Ingress.
    becomes(InstanceState::Running);
    resolved(&scene, &ns, "web", "RefusedByAWS").await;
    let wished = registered(&nodes.iter().collect::<Vec<_>>());
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_targets(&scene, resource, &wished).await;
    assert_eq!(said(&scene, &ns, "web", "RefusedByAWS").await.len(), 1);
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_quota_of_target_groups_the_last_rules_in_group_order_are_refused() {
    let scene = Scene::new("findings-groups").await;
    let ns = scene.name.clone();
    quota(&scene, "target-groups-per-application-load-balancer", 2);
    let controller = scene.controller(&[]).await;
    for (index, service) in ["one", "two", "three"].iter().enumerate() {
        scene
            .service(&ns, service, &[&format!("10.0.48.{}", 62 + index)])
            .await;
    }
    let member = |name: &str, order: &str, services: &[&str]| {
        let annotations = [
            ("group.name", "findings-groups"),
            ("group.order", order),
            ("target-type", "ip"),
        ];
        let host = format!("{name}.example.com");
        let paths: Vec<String> = services.iter().map(|s| format!("/{s}")).collect();
        let rules = paths.iter().zip(services);
        let rules: Vec<_> = rules.map(|(path, s)| (&*host, &**path, *s)).collect();
        ingress("{ns}", name, &annotations, &routes(&rules))
    };
    let both = [
        member("b", "2", &["three"]),
        member("a", "1", &["one", "two"]),
    ];
    scene.apply(&both.concat()).await;
    let rule = |at: u8, name: &str, service: &str| {
        format!("{at} {name}.example.com /{service}|/{service}/* -> {ns}/{name}-{service}:80")
    };
    let wished = [rule(1, "a", "one"), rule(2, "a", "two")];
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-groups", 80, &wished).await;
    let told = [
        "QuotaExceeded",
        "AWS allows 2 target groups",
        "1 of this Ingress",
        "use fewer Services",
    ];
    scene.warned(&ns, "b", &told).await;
    settled(&scene, &controller, &ns, "b").await;
    assert_eq!(warnings(&scene, &ns, "a").await, [""; 0]);
    assert_eq!(warnings(&scene, &ns, "b").await.len(), 1);

    // Where one goes there is room for the other.
    scene.apply(&member("a", "1", &["one"])).await;
    let wished = [rule(1, "a", "one"), rule(2, "b", "three")];
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-groups", 80, &wished).await;
    resolved(&scene, &ns, "b", "QuotaExceeded").await;
    settled(&scene, &controller, &ns, "b").await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_quota_of_rules_those_of_a_frozen_member_stay_and_count() {
    let scene = Scene::new("findings-held").await;
    let ns = scene.name.clone();
    quota(&scene, "rules-per-application-load-balancer", 4);
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.72"]).await;
    let member = |name: &str, order: &str, more: &[(&str, &str)], count: u8| {
        let mut annotations = vec![
            ("group.name", "findings-held"),
            ("group.order", order),
            ("target-type", "ip"),
        ];
        annotations.extend(more);
        let host = format!("{name}.example.com");
        let paths: Vec<String> = (1..=count).map(|path| format!("/{path}")).collect();
        let rules: Vec<_> = paths.iter().map(|path| (&*host, &**path, "web")).collect();
        ingress("{ns}", name, &annotations, &routes(&rules))
    };
    let rule = |at: u8, name: &str, path: u8| {
        format!("{at} {name}.example.com /{path}|/{path}/* -> {ns}/{name}-web:80")
    };
    scene.apply(&member("a", "1", &[], 2)).await;
    scene.apply(&member("b", "2", &[], 1)).await;
    let wished = [rule(1, "a", 1), rule(2, "a", 2), rule(3, "b", 1)];
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-held", 80, &wished).await;
    settled(&scene, &controller, &ns, "a").await;

    // The first is frozen, and would have fewer; the second wants more than fit.
    let bad = [("healthcheck-interval-seconds", "often")];
    scene.apply(&member("a", "1", &bad, 1)).await;
    scene
        .warned(&ns, "a", &["InvalidAnnotation", "often"])
        .await;
    scene.apply(&member("b", "2", &[], 3)).await;
    let wished = [
        rule(1, "a", 1),
        rule(2, "a", 2),
        rule(3, "b", 1),
        rule(4, "b", 2),
    ];
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-held", 80, &wished).await;
    let told = [
        "QuotaExceeded",
        "AWS allows 4 rules",
        "2 of which are held for frozen Ingresses",
        "1 of this Ingress",
    ];
    scene.warned(&ns, "b", &told).await;
    settled(&scene, &controller, &ns, "b").await;
    has_rules(&scene, "findings-held", 80, &wished).await;
    assert_eq!(said(&scene, &ns, "a", "QuotaExceeded").await, [""; 0]);
    assert_eq!(said(&scene, &ns, "b", "QuotaExceeded").await.len(), 1);

    // Mended, it gives up a rule, and all have room.
    scene.apply(&member("a", "1", &[], 1)).await;
    let wished = [
        rule(1, "a", 1),
        rule(2, "b", 1),
        rule(3, "b", 2),
        rule(4, "b", 3),
    ];
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-held", 80, &wished).await;
    resolved(&scene, &ns, "b", "QuotaExceeded").await;
    settled(&scene, &controller, &ns, "b").await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subnets_that_were_found_and_refused_are_not_tried_for_ever() {
    let scene = Scene::new("findings-found").await;
    let ns = scene.name.clone();
    scene.aws.faults().add(Fault {
        service: Some("elasticloadbalancing".to_owned()),
        action: Some("CreateLoadBalancer".to_owned()),
        code: Some("InvalidSubnet".to_owned()),
        ..Fault::default()
    });
    let controller = scene.controller(&["--verify-interval=20s"]).await;
    scene.service(&ns, "web", &["10.0.48.73"]).await;
    let rules = routes(&[("found.example.com", "/", "web")]);
    let web = ingress("{ns}", "web", &[("target-type", "ip")], &rules);
    scene.apply(&web).await;
    let told = [
        "SubnetsNotFound",
        &scene.ids.private_subnets[0],
        "InvalidSubnet",
        "found by their tags",
        "kubernetes.io/role/internal-elb",
        "alb.ingress.kubernetes.io/subnets",
    ];
    scene.warned(&ns, "web", &told).await;
    scene.quiet().await;
    let tries = || {
        let calls = scene.calls().into_iter();
        calls.filter(|c| c.action == "CreateLoadBalancer").count()
    };
    assert_eq!(tries(), 1);

    // Looked at again after the interval, though nobody touches the Ingress.
    scene.address(&ns, "web").await;
    assert_eq!(tries(), 2);
    resolved(&scene, &ns, "web", "SubnetsNotFound").await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    drop(controller);
}
