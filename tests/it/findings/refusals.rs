//! What only AWS knows: a verdict that is remembered, and planned with at
//! once.

use sandbox_aws::state::acm::NewCertificate;

use super::{has_rules, ingress, load_balancer, resolved, routes, rules, said, settled, warnings};
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
