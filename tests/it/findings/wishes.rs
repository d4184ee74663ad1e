//! What is made for an Ingress and for a group.

use sandbox_aws::state::Protocol;

use super::{has_rules, ingress, load_balancer, resolved, routes, said, settled, targets, what};
use crate::support::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_over_namespaces_has_one_load_balancer_in_its_order() {
    let scene = Scene::alone("findings-group").await;
    let other = "findings-group-2";
    scene.namespace(other).await;
    let controller = scene.controller(&["--watch-namespace="]).await;
    scene
        .service("findings-group", "web", &["10.0.48.31"])
        .await;
    scene.service(other, "web", &["10.0.64.31"]).await;
    let ports = r#"[{"HTTP":80},{"HTTPS":443}]"#;
    let shared = |order| {
        [
            ("group.name", "findings-shop"),
            ("group.order", order),
            ("target-type", "ip"),
            ("listen-ports", ports),
            ("certificate-arn", "{certificate}"),
        ]
    };
    let with = |order, more: &[(&'static str, &'static str)]| {
        let mut all = shared(order).to_vec();
        all.extend(more);
        all
    };
    let first = ingress(
        other,
        "z-first",
        &with("-5", &[("ssl-redirect", "443"), ("tags", "team=front")]),
        &routes(&[("first.example.com", "/", "web")]),
    );
    let middle = ingress(
        "{ns}",
        "middle",
        &with("0", &[]),
        &routes(&[
            ("middle.example.com", "/long/path", "web"),
            ("middle.example.com", "/", "web"),
        ]),
    );
    let last = ingress(
        "{ns}",
        "a-last",
        &with(
            "7",
            &[
                ("scheme", "internet-facing"),
                ("tags", "team=back,tier=web"),
            ],
        ),
        &routes(&[("last.example.com", "/", "web")]),
    );
    scene.apply(&[&*last, &middle, &first].concat()).await;

    let wished = [
        "1 first.example.com /* -> findings-group-2/z-first-web:80",
        "2 middle.example.com /long/path|/long/path/* -> findings-group/middle-web:80",
        "3 middle.example.com /* -> findings-group/middle-web:80",
        "4 last.example.com /* -> findings-group/a-last-web:80",
    ];
    has_rules(&scene, "findings-shop", 443, &wished).await;
    let address = scene.address(other, "z-first").await;
    scene.quiet().await;
    scene.account(|state| {
        assert_eq!(state.load_balancers.len(), 1);
        let lb = load_balancer(state, "findings-shop").unwrap();
        assert!(lb.name.starts_with("k8s-findingsshop-"), "{}", lb.name);
        assert_eq!(lb.scheme.as_str(), "internet-facing");
        let mut public = scene.ids.public_subnets.clone();
        public.sort();
        let mut subnets: Vec<_> = lb.subnets.values().cloned().collect();
        subnets.sort();
        assert_eq!(subnets, public);
        let tags = &state.tags[&lb.arn];
        assert_eq!(tags["elbv2.k8s.aws/cluster"], "findings-group");
        assert_eq!(tags["ingress.k8s.aws/resource"], "LoadBalancer");
        // What members share keeps the earlier value of a key.
        assert_eq!((&*tags["team"], &*tags["tier"]), ("front", "web"));
        let http = &lb.listeners[&80];
        assert!(http.rules.is_empty());
        assert_eq!(what(state, &http.default_actions[0].kind), "HTTPS:443");
        let https = &lb.listeners[&443];
        assert_eq!(https.protocol, Protocol::Https);
        assert_eq!(https.certificate.as_ref(), Some(&scene.ids.certificates[0]));
        assert_eq!(what(state, &https.default_actions[0].kind), "404");
        let rule = &https.rules[&4];
        assert_eq!(state.tags[&rule.arn]["ingress.k8s.aws/resource"], "443:4");
        assert_eq!(state.tags[&rule.arn]["team"], "back");
    });
    for (namespace, name) in [
        (other, "z-first"),
        (&*scene.name, "middle"),
        (&*scene.name, "a-last"),
    ] {
        assert_eq!(scene.address(namespace, name).await, address);
        let there = scene.ingress(namespace, name).await.unwrap();
        let finalizers = there.metadata.finalizers.clone().unwrap();
        assert_eq!(finalizers, ["group.ingress.k8s.aws/findings-shop"]);
        let status = there
            .status
            .unwrap()
            .load_balancer
            .unwrap()
            .ingress
            .unwrap();
        let ports: Vec<_> = status[0]
            .ports
            .iter()
            .flatten()
            .map(|p| (p.port, &*p.protocol))
            .collect();
        assert_eq!(ports, [(80, ""), (443, "")]);
    }
    let note = said(&scene, "findings-group", "a-last", "ConflictingAnnotation").await;
    assert_eq!(note.len(), 1, "{note:?}");
    settled(&scene, &controller, "findings-group", "a-last").await;

    scene.delete(&middle).await;
    scene.gone("findings-group", "middle").await;
    let wished = [
        "1 first.example.com /* -> findings-group-2/z-first-web:80",
        "2 last.example.com /* -> findings-group/a-last-web:80",
    ];
    has_rules(&scene, "findings-shop", 443, &wished).await;
    settled(&scene, &controller, other, "z-first").await;
    scene.delete(&[&*first, &last].concat()).await;
    scene.gone(other, "z-first").await;
    scene.gone("findings-group", "a-last").await;
    scene.empty().await;
}

const NODE_PORT: &str = "
apiVersion: v1
kind: Service
metadata: {name: nodes, namespace: '{ns}'}
spec:
  type: NodePort
  ports: [{name: http, port: 80, targetPort: 8080}]
";

#[tokio::test(flavor = "multi_thread")]
async fn paths_hosts_backends_and_targets() {
    let scene = Scene::new("findings-paths").await;
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    scene
        .service(&ns, "pods", &["10.0.48.41", "10.0.80.41"])
        .await;
    scene.apply(NODE_PORT).await;
    let ip = "alb.ingress.kubernetes.io/target-type=ip";
    scene
        .kubectl(&["annotate", "service", "-n", "{ns}", "pods", ip])
        .await;
    let path = |path: &str, kind: &str, service: &str, port: &str| {
        format!(
            "{{path: '{path}', pathType: {kind}, backend: {{service: {{name: {service}, port: {{{port}}}}}}}}}"
        )
    };
    let spec = format!(
        "defaultBackend: {{service: {{name: nodes, port: {{name: http}}}}}}, rules: [{{host: '*.example.com', http: \
         {{paths: [{}, {}, {}, {}]}}}}, {{http: {{paths: [{}]}}}}]",
        path("/img/*", "ImplementationSpecific", "nodes", "number: 80"),
        path("/", "Prefix", "pods", "number: 80"),
        path("/cart/", "Prefix", "nodes", "number: 80"),
        path("/login", "Exact", "pods", "name: http"),
        path("/late", "Exact", "ghost", "number: 80"),
    );
    scene
        .apply(&ingress(
            "{ns}",
            "web",
            &[("success-codes", "200-399")],
            &spec,
        ))
        .await;
    let group = format!("{ns}/web");
    let wished = |late| {
        [
            "1 *.example.com /login -> findings-paths/web-pods:http",
            "2 *.example.com /cart|/cart/* -> findings-paths/web-nodes:80",
            "3 *.example.com /* -> findings-paths/web-pods:80",
            "4 *.example.com /img/* -> findings-paths/web-nodes:80",
            late,
        ]
    };
    has_rules(&scene, &group, 80, &wished("5 /late -> 503")).await;
    scene
        .warned(
            &ns,
            "web",
            &[
                "ServiceNotFound",
                "findings-paths/ghost",
                "503",
                "create it",
            ],
        )
        .await;
    settled(&scene, &controller, &ns, "web").await;
    assert_eq!(said(&scene, &ns, "web", "ServiceNotFound").await.len(), 1);
    let node_port = scene
        .kubectl(&[
            "get",
            "service",
            "-n",
            "{ns}",
            "nodes",
            "-o",
            "jsonpath={.spec.ports[0].nodePort}",
        ])
        .await;
    let mut nodes: Vec<_> = scene
        .ids
        .nodes
        .iter()
        .map(|id| format!("{id}:{node_port}"))
        .collect();
    nodes.sort();
    assert_eq!(targets(&scene, "findings-paths/web-nodes:80"), nodes);
    let pods = ["10.0.48.41:8080", "10.0.80.41:8080"];
    assert_eq!(targets(&scene, "findings-paths/web-pods:80"), pods);
    assert_eq!(targets(&scene, "findings-paths/web-pods:http"), pods);
    scene.account(|state| {
        let lb = load_balancer(state, &group).unwrap();
        assert_eq!(lb.scheme.as_str(), "internal");
        let default = &lb.listeners[&80].default_actions[0].kind;
        assert_eq!(what(state, default), "findings-paths/web-nodes:http");
        let name =
            |group: &&sandbox_aws::state::TargetGroup| group.name.starts_with("k8s-findings-");
        assert_eq!(state.target_groups.values().filter(name).count(), 4);
    });

    scene.service(&ns, "ghost", &["10.0.64.41"]).await;
    scene
        .kubectl(&["annotate", "service", "-n", "{ns}", "ghost", ip])
        .await;
    has_rules(
        &scene,
        &group,
        80,
        &wished("5 /late -> findings-paths/web-ghost:80"),
    )
    .await;
    resolved(&scene, &ns, "web", "ServiceNotFound").await;
    settled(&scene, &controller, &ns, "web").await;
    assert_eq!(
        targets(&scene, "findings-paths/web-ghost:80"),
        ["10.0.64.41:8080"]
    );
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}
