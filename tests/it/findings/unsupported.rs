//! What an Ingress says and cannot be done: one Warning that says what and
//! why, nothing in AWS.

use super::{ingress, routes, settled, warnings};
use crate::support::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_once_and_made_for_nobody() {
    let scene = Scene::new("findings-bad").await;
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.51"]).await;
    let to_web = routes(&[("bad.example.com", "/", "web")]);
    let backend =
        |port: &str| format!("defaultBackend: {{service: {{name: web, port: {{{port}}}}}}}");
    let annotated = |name: &str, key, value| {
        ingress(
            "{ns}",
            name,
            &[("target-type", "ip"), (key, value)],
            &to_web,
        )
    };
    let cases: [(&str, String, &[&str]); 9] = [
        (
            "later",
            annotated("later", "inbound-cidrs", "10.0.0.0/8"),
            &[
                "NotSupportedYet",
                "alb.ingress.kubernetes.io/inbound-cidrs",
                "10.0.0.0/8",
                "remove it",
            ],
        ),
        (
            "action",
            annotated("action", "actions.pay", "{}"),
            &["NotSupportedYet", "alb.ingress.kubernetes.io/actions.pay"],
        ),
        (
            "use-annotation",
            ingress(
                "{ns}",
                "use-annotation",
                &[("target-type", "ip")],
                &backend("name: use-annotation"),
            ),
            &["NotSupportedYet", "spec.defaultBackend", "use-annotation"],
        ),
        (
            "no-certificate",
            annotated("no-certificate", "listen-ports", r#"[{"HTTPS":443}]"#),
            &[
                "NotSupportedYet",
                "port 443",
                "alb.ingress.kubernetes.io/certificate-arn",
            ],
        ),
        (
            "malformed",
            annotated("malformed", "healthcheck-interval-seconds", "often"),
            &[
                "InvalidAnnotation",
                "healthcheck-interval-seconds is \"often\"",
                "expected a whole number",
                "correct the value",
            ],
        ),
        (
            "no-port",
            ingress(
                "{ns}",
                "no-port",
                &[("target-type", "ip")],
                &backend("number: 81"),
            ),
            &[
                "ServicePortNotFound",
                "findings-bad/web has no port 81",
                "expected one of its ports",
                "80",
            ],
        ),
        (
            "no-subnets",
            annotated(
                "no-subnets",
                "subnets",
                "subnet-00000000000000001,subnet-00000000000000002",
            ),
            &[
                "SubnetsNotFound",
                "alb.ingress.kubernetes.io/subnets",
                "subnet-00000000000000001",
            ],
        ),
        (
            "no-group",
            annotated("no-group", "security-groups", "nobody"),
            &[
                "SecurityGroupNotFound",
                "alb.ingress.kubernetes.io/security-groups is \"nobody\"",
            ],
        ),
        (
            "no-node-port",
            ingress("{ns}", "no-node-port", &[], &to_web),
            &[
                "ServiceNotSuitable",
                "ClusterIP",
                "NodePort",
                "target-type to ip",
            ],
        ),
    ];
    let all: Vec<&str> = cases.iter().map(|(_, manifest, _)| &**manifest).collect();
    scene.apply(&all.concat()).await;
    for (name, _, parts) in &cases {
        scene.warned(&ns, name, parts).await;
    }
    for (name, ..) in &cases[..2] {
        settled(&scene, &controller, &ns, name).await;
    }
    for (name, ..) in &cases {
        let warnings = warnings(&scene, &ns, name).await;
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
    }
    assert_eq!(scene.ours(), [""; 0]);

    // Deletion is never frozen.
    scene.delete_ingresses(&ns).await;
    settled_without(&scene).await;
}

/// Nothing was made and nothing is asked any more.
async fn settled_without(scene: &Scene) {
    scene.quiet().await;
    assert_eq!(scene.ours(), [""; 0]);
}
