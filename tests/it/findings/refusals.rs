//! What only AWS knows: a verdict that is remembered, and planned with at
//! once.

use sandbox_aws::state::acm::NewCertificate;
use sandbox_aws::state::security_group::NewPermission;

use super::{
    has_rules, ingress, load_balancer, resolved, routes, rules, said, settled, targets, warnings,
};
use crate::support::Scene;

const UNKNOWN: &str =
    "arn:aws:acm:us-west-2:123456789012:certificate/00000000-0000-0000-0000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_certificate_freezes_its_ingress_until_the_value_changes() {
    let scene = Scene::new("findings-certificate").await;
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.61"]).await;
    let member = |name: &str, more: &[(&'static str, &str)]| {
        let mut all = vec![("group.name", "findings-tls"), ("target-type", "ip")];
        all.extend(more);
        let host = format!("{name}.example.com");
        ingress("{ns}", name, &all, &routes(&[(&host, "/", "web")]))
    };
    let both = [
        member("plain", &[]),
        member("secure", &[("certificate-arn", UNKNOWN)]),
    ];
    scene.apply(&both.concat()).await;
    scene
        .warned(
            &ns,
            "secure",
            &[
                "CertificateNotFound",
                UNKNOWN,
                "alb.ingress.kubernetes.io/certificate-arn",
                "expected",
            ],
        )
        .await;
    let plain = "1 plain.example.com /* -> findings-certificate/plain-web:80";
    has_rules(&scene, "findings-tls", 80, &[plain]).await;
    scene.address(&ns, "plain").await;
    settled(&scene, &controller, &ns, "secure").await;
    assert_eq!(warnings(&scene, &ns, "secure").await.len(), 1);
    assert_eq!(warnings(&scene, &ns, "plain").await, [""; 0]);
    // What was made before AWS refused is told too, once.
    let alone = [("target-type", "ip"), ("certificate-arn", UNKNOWN)];
    let to_web = routes(&[("alone.example.com", "/", "web")]);
    scene
        .apply(&ingress("{ns}", "alone", &alone, &to_web))
        .await;
    scene.warned(&ns, "alone", &["CertificateNotFound"]).await;
    settled(&scene, &controller, &ns, "alone").await;
    let mut events = scene.events(&ns, "alone").await;
    events.retain(|event| event.starts_with("LoadBalancerCreated: "));
    assert_eq!(events.len(), 1, "{events:#?}");

    scene
        .apply(&member("secure", &[("certificate-arn", "{certificate}")]))
        .await;
    let secure = "1 secure.example.com /* -> findings-certificate/secure-web:80";
    has_rules(&scene, "findings-tls", 443, &[secure]).await;
    resolved(&scene, &ns, "secure", "CertificateNotFound").await;
    settled(&scene, &controller, &ns, "secure").await;

    // One more that is unknown: what is live stays.
    let more = format!("{{certificate}},{UNKNOWN}");
    scene
        .apply(&member("secure", &[("certificate-arn", &more)]))
        .await;
    scene
        .eventually("it is said again", async || {
            let said = said(&scene, &ns, "secure", "CertificateNotFound").await;
            if said.len() == 2 { Ok(()) } else { Err(said) }
        })
        .await;
    settled(&scene, &controller, &ns, "secure").await;
    assert_eq!(rules(&scene, "findings-tls", 443), [secure]);
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_quota_of_rules_the_last_in_group_order_are_refused() {
    let scene = Scene::new("findings-rules").await;
    let ns = scene.name.clone();
    let quota = |rules: usize| {
        scene.aws.state().write(|state, _| {
            state
                .quotas
                .set("rules-per-application-load-balancer", rules)
        });
    };
    quota(3);
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.71"]).await;
    let member = |name: &str, order: &str, paths: &[&str]| {
        let annotations = [
            ("group.name", "findings-many"),
            ("group.order", order),
            ("target-type", "ip"),
        ];
        let host = format!("{name}.example.com");
        let paths: Vec<_> = paths.iter().map(|path| (&*host, *path, "web")).collect();
        ingress("{ns}", name, &annotations, &routes(&paths))
    };
    let both = [
        member("b", "2", &["/1", "/2"]),
        member("c", "3", &["/1", "/2", "/3"]),
    ];
    scene.apply(&both.concat()).await;
    let rule = |at: u8, name: &str, path: u8| {
        format!("{at} {name}.example.com /{path}|/{path}/* -> findings-rules/{name}-web:80")
    };
    let wished = [rule(1, "b", 1), rule(2, "b", 2), rule(3, "c", 1)];
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-many", 80, &wished).await;
    scene
        .warned(
            &ns,
            "c",
            &[
                "QuotaExceeded",
                "allows 3 rules",
                "2 of this Ingress",
                "raise the quota",
            ],
        )
        .await;
    scene.address(&ns, "c").await;
    settled(&scene, &controller, &ns, "c").await;
    assert_eq!(warnings(&scene, &ns, "b").await, [""; 0]);
    assert_eq!(warnings(&scene, &ns, "c").await.len(), 1);

    // One that comes first moves another out.
    scene.apply(&member("a", "1", &["/1", "/2"])).await;
    let wished = [rule(1, "a", 1), rule(2, "a", 2), rule(3, "b", 1)];
    let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
    has_rules(&scene, "findings-many", 80, &wished).await;
    scene
        .warned(
            &ns,
            "b",
            &["QuotaExceeded", "allows 3 rules", "1 of this Ingress"],
        )
        .await;
    settled(&scene, &controller, &ns, "b").await;
    assert_eq!(rules(&scene, "findings-many", 80), wished);
    assert_eq!(warnings(&scene, &ns, "a").await, [""; 0]);
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_quota_of_listeners_the_last_ports_in_group_order_are_refused() {
    let scene = Scene::new("findings-ports").await;
    let ns = scene.name.clone();
    let quota = |count: usize| {
        scene.aws.state().write(|state, _| {
            state
                .quotas
                .set("listeners-per-application-load-balancer", count)
        });
    };
    quota(2);
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.74"]).await;
    let member = |name: &str, order: &str, port: u16| {
        let ports = format!("[{{\"HTTP\": {port}}}]");
        let annotations = [
            ("group.name", "findings-ports"),
            ("group.order", order),
            ("listen-ports", &ports),
            ("target-type", "ip"),
        ];
        let host = format!("{name}.example.com");
        ingress("{ns}", name, &annotations, &routes(&[(&host, "/", "web")]))
    };
    let all = [
        member("c", "3", 8083),
        member("a", "1", 8081),
        member("b", "2", 8082),
    ];
    scene.apply(&all.concat()).await;
    let rule = |name: &str| format!("1 {name}.example.com /* -> findings-ports/{name}-web:80");
    has_rules(&scene, "findings-ports", 8081, &[&rule("a")]).await;
    has_rules(&scene, "findings-ports", 8082, &[&rule("b")]).await;
    let told = [
        "QuotaExceeded",
        "port 8083 of annotation alb.ingress.kubernetes.io/listen-ports",
        "AWS allows 2 listeners",
        "raise the quota",
    ];
    scene.warned(&ns, "c", &told).await;
    settled(&scene, &controller, &ns, "c").await;
    assert_eq!(rules(&scene, "findings-ports", 8083), [""; 0]);
    assert_eq!(warnings(&scene, &ns, "c").await.len(), 1);
    assert_eq!(warnings(&scene, &ns, "a").await, [""; 0]);
    assert_eq!(warnings(&scene, &ns, "b").await, [""; 0]);

    // One that comes before them moves another out, which goes first.
    scene.apply(&member("d", "0", 8084)).await;
    has_rules(&scene, "findings-ports", 8084, &[&rule("d")]).await;
    scene
        .warned(&ns, "b", &["QuotaExceeded", "port 8082"])
        .await;
    settled(&scene, &controller, &ns, "d").await;
    assert_eq!(rules(&scene, "findings-ports", 8082), [""; 0]);
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_quota_of_certificates_the_last_in_group_order_are_refused() {
    let scene = Scene::new("findings-certificates").await;
    let ns = scene.name.clone();
    scene.aws.state().write(|state, _| {
        state
            .quotas
            .set("certificates-per-application-load-balancer", 1)
    });
    let certificates: Vec<String> = ["b", "c"]
        .map(|name| scene.certificate(&format!("{name}.example.com")))
        .into();
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.75"]).await;
    let member = |name: &str, order: &str, certificate: &str| {
        let annotations = [
            ("group.name", "findings-certificates"),
            ("group.order", order),
            ("certificate-arn", certificate),
            ("target-type", "ip"),
        ];
        let host = format!("{name}.example.com");
        ingress("{ns}", name, &annotations, &routes(&[(&host, "/", "web")]))
    };
    let all = [
        member("a", "1", "{certificate}"),
        member("c", "3", &certificates[1]),
        member("b", "2", &certificates[0]),
    ];
    scene.apply(&all.concat()).await;
    let told = [
        "QuotaExceeded",
        &certificates[1],
        "alb.ingress.kubernetes.io/certificate-arn",
        "AWS allows 1 certificates",
        "raise the quota",
    ];
    scene.warned(&ns, "c", &told).await;
    settled(&scene, &controller, &ns, "c").await;
    assert_eq!(rules(&scene, "findings-certificates", 443).len(), 3);
    let listed = scene.account(|state| {
        let lb = load_balancer(state, "findings-certificates").unwrap();
        lb.listeners[&443].sni_certificates.clone()
    });
    assert_eq!(listed.into_iter().collect::<Vec<_>>(), certificates[..1]);
    assert_eq!(warnings(&scene, &ns, "c").await.len(), 1);
    assert_eq!(warnings(&scene, &ns, "b").await, [""; 0]);
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_quota_of_load_balancers_one_ingress_is_told_and_not_tried_for_ever() {
    let scene = Scene::new("findings-quota").await;
    let ns = scene.name.clone();
    let quota = |count: usize| {
        scene
            .aws
            .state()
            .write(|state, _| state.quotas.set("application-load-balancers", count));
    };
    quota(1);
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.81"]).await;
    let one = |name: &str| {
        let host = format!("{name}.example.com");
        ingress(
            "{ns}",
            name,
            &[("target-type", "ip")],
            &routes(&[(&host, "/", "web")]),
        )
    };
    scene.apply(&one("fits")).await;
    scene.address(&ns, "fits").await;
    scene.apply(&one("over")).await;
    scene
        .warned(
            &ns,
            "over",
            &["QuotaExceeded", "load balancer", "TooManyLoadBalancers"],
        )
        .await;
    settled(&scene, &controller, &ns, "over").await;
    assert_eq!(warnings(&scene, &ns, "over").await.len(), 1);
    assert_eq!(warnings(&scene, &ns, "fits").await, [""; 0]);

    // What was refused is forgotten with the process, and tried again.
    quota(2);
    controller.kill().await;
    let controller = scene.controller(&[]).await;
    scene.address(&ns, "over").await;
    settled(&scene, &controller, &ns, "over").await;
    let served = |group: &str| scene.account(|state| load_balancer(state, group).is_some());
    assert!(served(&format!("{ns}/fits")) && served(&format!("{ns}/over")));
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_the_shared_group_is_said_to_who_waits_for_it() {
    let scene = Scene::new("findings-shared").await;
    let ns = scene.name.clone();
    let nodes = scene.ids.node_security_group.clone();
    let quota = |more: usize| {
        scene.aws.state().write(|state, _| {
            let rules = state.security_groups[&nodes].rules.iter();
            let held = rules.filter(|rule| !rule.permission.egress).count();
            state.quotas.set("rules-per-security-group", held + more)
        });
    };
    // The group of the nodes is full.
    scene.aws.state().write(|state, _| {
        let theirs = NewPermission {
            protocol: "tcp".to_owned(),
            from_port: Some(22),
            to_port: Some(22),
            ipv4: vec![("10.0.0.0/8".to_owned(), None)],
            ..NewPermission::default()
        };
        state.authorize(&nodes, false, &[theirs], &[]).unwrap();
    });
    quota(0);
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.76"]).await;
    let annotations = [("target-type", "ip")];
    let rules = routes(&[("shared.example.com", "/", "web")]);
    scene
        .apply(&ingress("{ns}", "web", &annotations, &rules))
        .await;
    let told = [
        "QuotaExceeded",
        &nodes,
        "RulesPerSecurityGroupLimitExceeded",
        "tried again",
    ];
    scene.warned(&ns, "web", &told).await;
    let resource = "findings-shared/web-web:80";
    assert_eq!(targets(&scene, resource), [""; 0]);

    quota(1);
    scene
        .eventually("the target is registered", async || {
            match targets(&scene, resource) {
                registered if registered == ["10.0.48.76:8080"] => Ok(()),
                other => Err(other),
            }
        })
        .await;
    assert_eq!(said(&scene, &ns, "web", "QuotaExceeded").await.len(), 1);
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_tried_again_after_the_verification_interval() {
    let scene = Scene::new("findings-again").await;
    let ns = scene.name.clone();
    let certificate = scene.aws.state().write(|state, now| {
        state.timing.certificate_issue_ms = 3_600_000;
        let new = NewCertificate {
            domain_name: "again.example.com".to_owned(),
            ..NewCertificate::default()
        };
        state.request_certificate(&new, now).unwrap()
    });
    let controller = scene.controller(&["--verify-interval=3s"]).await;
    scene.service(&ns, "web", &["10.0.48.91"]).await;
    let annotations = [("certificate-arn", &*certificate), ("target-type", "ip")];
    let routes = routes(&[("again.example.com", "/", "web")]);
    scene
        .apply(&ingress("{ns}", "web", &annotations, &routes))
        .await;
    let parts = [
        "CertificateNotFound",
        &certificate,
        "UnsupportedCertificate",
    ];
    scene.warned(&ns, "web", &parts).await;
    // Refused once more, which is not said again.
    let refused = || {
        let calls = scene.calls().into_iter();
        calls.filter(|c| c.action == "CreateListener").count()
    };
    scene
        .eventually("it is tried again", async || {
            let refused = refused();
            if refused >= 3 { Ok(()) } else { Err(refused) }
        })
        .await;
    assert_eq!(
        said(&scene, &ns, "web", "CertificateNotFound").await.len(),
        1
    );
    // It is issued, and nobody touches the Ingress.
    let state = scene.aws.state();
    state.write(|state, now| state.issue_certificate(&certificate, now));
    resolved(&scene, &ns, "web", "CertificateNotFound").await;
    let group = format!("{ns}/web");
    let rule = "1 again.example.com /* -> findings-again/web-web:80";
    has_rules(&scene, &group, 443, &[rule]).await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    drop(controller);
}
