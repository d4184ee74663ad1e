#![allow(clippy::unwrap_used)] // a test may fail loudly

use super::super::fixtures::{
    desired, facts, found, group, ingress, ingress_with, service, settings, snapshot, stack,
};
use super::*;
use crate::model::spec::HealthCheck;

const IP: &str = "group.name: g\ntarget-type: ip";

/// The target group of an Ingress `web` with these annotations on itself and
/// on its Service.
fn made(on_ingress: &str, on_service: &str) -> DesiredTargetGroup {
    let desired = desired(&[
        service("shop", "web", on_service),
        ingress("shop", "web", &format!("group.name: g\n{on_ingress}")),
    ]);
    let key = TargetGroupKey("shop/web-web:80".into());
    stack(&desired).target_groups[&key].clone()
}

fn findings_of(manifests: &[String]) -> Vec<(Effect, Reason)> {
    found(&desired(manifests))
        .into_iter()
        .map(|(_, effect, reason)| (effect, reason))
        .collect()
}

#[test]
fn defaults_are_instances_at_the_node_port() {
    let made = made("", "");
    let group = &made.target_group;
    assert_eq!(group.target_type, TargetType::Instance);
    assert_eq!(group.port, 30080);
    assert_eq!(group.protocol_version, "HTTP1");
    assert_eq!(
        group.health_check,
        HealthCheck {
            protocol: Protocol::Http,
            port: "traffic-port".into(),
            path: "/".into(),
            interval_seconds: 15,
            timeout_seconds: 5,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            success_codes: "200".into(),
        }
    );
    let targets: Vec<_> = made.targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["i-1:30080"]);
}

#[test]
fn the_service_wins_annotation_by_annotation() {
    let made = made(
        "target-type: instance\nhealthcheck-path: /ingress\nsuccess-codes: '204'",
        "alb.ingress.kubernetes.io/target-type: ip, \
         alb.ingress.kubernetes.io/healthcheck-path: /service",
    );
    let group = &made.target_group;
    assert_eq!(group.target_type, TargetType::Ip);
    assert_eq!(group.port, 8080);
    assert_eq!(group.health_check.path, "/service");
    assert_eq!(group.health_check.success_codes, "204");
    let targets: Vec<_> = made.targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["10.0.48.11:8080"]);
}

#[test]
fn what_is_wrong_on_the_ingress_is_said_also_while_its_service_is_missing() {
    for bad in [
        "target-type: pod",
        "backend-protocol: FTP",
        "healthcheck-protocol: TCP",
        "healthcheck-interval-seconds: abc",
        "success-codes: '600'",
    ] {
        let desired = desired(&[ingress("shop", "web", &format!("group.name: g\n{bad}"))]);
        let mut reasons: Vec<Reason> = desired.findings.iter().map(|f| f.reason).collect();
        reasons.sort();
        assert_eq!(
            reasons,
            [Reason::InvalidAnnotation, Reason::ServiceNotFound],
            "{bad}"
        );
        assert_eq!(desired.frozen.len(), 1, "{bad}");
    }
    let named = "group.name: g\nhealthcheck-port: named";
    let desired = desired(&[ingress("shop", "web", named)]);
    assert!(
        desired.frozen.is_empty(),
        "its Service may have such a port"
    );
}

#[test]
fn numbers_of_health_checks_are_within_what_aws_takes() {
    let with = |annotations: &str, on_service: &str| {
        desired(&[
            service("shop", "web", on_service),
            ingress("shop", "web", &format!("{IP}\n{annotations}")),
        ])
    };
    for (name, bad, good, range) in [
        (
            "healthcheck-interval-seconds",
            ["5.5", "301"],
            "300",
            "5 to 300",
        ),
        ("healthcheck-timeout-seconds", ["1", "121"], "2", "2 to 120"),
        ("healthy-threshold-count", ["1", "11"], "10", "2 to 10"),
        ("unhealthy-threshold-count", ["0", "11"], "2", "2 to 10"),
    ] {
        for bad in bad {
            let desired = with(&format!("{name}: '{bad}'"), "");
            let [finding] = desired.findings.as_slice() else {
                unreachable!("one finding: {:?}", desired.findings);
            };
            assert_eq!(finding.reason, Reason::InvalidAnnotation);
            let said = format!(
                "annotation {PREFIX}{name} is \"{bad}\": expected a whole number from {range}"
            );
            assert!(finding.message.starts_with(&said), "{}", finding.message);
        }
        let desired = with(&format!("{name}: '{good}'"), "");
        assert!(desired.findings.is_empty(), "{:?}", desired.findings);
    }
    // AWS wants the timeout to be over before the next check.
    let desired = with(
        "healthcheck-timeout-seconds: '10'",
        "alb.ingress.kubernetes.io/healthcheck-interval-seconds: '10'",
    );
    assert_eq!(
        desired.findings[0].message,
        format!(
            "annotation {PREFIX}healthcheck-timeout-seconds is \"10\" and annotation \
             {PREFIX}healthcheck-interval-seconds of Service shop/web is \"10\": expected a \
             timeout that is shorter than the interval; make one of them fit"
        )
    );
    let desired = with("healthcheck-interval-seconds: '5'", "");
    let by_default = format!("{PREFIX}healthcheck-timeout-seconds is 5 by default and annotation");
    assert!(desired.findings[0].message.starts_with(&by_default));
}

#[test]
fn health_checks_follow_the_backend_protocol() {
    let check = made("backend-protocol: HTTPS", "")
        .target_group
        .health_check;
    assert_eq!(check.protocol, Protocol::Https);
    let check = made("backend-protocol: HTTPS\nhealthcheck-protocol: HTTP", "")
        .target_group
        .health_check;
    assert_eq!(check.protocol, Protocol::Http);
}

#[test]
fn a_health_check_port_of_its_own_is_let_in_too() {
    let made = made("target-type: ip\nhealthcheck-port: '9000'", "");
    assert_eq!(made.target_group.health_check.port, "9000");
    assert_eq!(made.backend_ports, BTreeSet::from([8080, 9000]));
}

#[test]
fn tags_of_the_service_win_key_by_key() {
    let made = made(
        "tags: a=ingress,b=ingress",
        "alb.ingress.kubernetes.io/tags: b=service",
    );
    let tags = &made.target_group.tags;
    assert_eq!(tags.get("a"), Some("ingress"));
    assert_eq!(tags.get("b"), Some("service"));
    assert_eq!(
        tags.get("ingress.k8s.aws/resource"),
        Some("shop/web-web:80")
    );
}

#[test]
fn a_named_target_port_has_the_numbers_of_the_pods() {
    let service = "---
kind: Service
metadata: {name: web, namespace: shop, uid: u}
spec: {ports: [{name: http, port: 80, targetPort: web}]}
---
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8088}]
endpoints: [{addresses: [10.0.48.11], targetRef: {kind: Pod, name: p}}]
"
    .to_owned();
    let desired = desired(&[service, ingress("shop", "web", IP)]);
    let made = stack(&desired).target_groups.values().next().unwrap();
    assert_eq!(made.target_group.port, 1);
    assert_eq!(made.backend_ports, BTreeSet::from([8088]));
}

#[test]
fn a_port_by_name_and_by_number_are_two_groups() {
    let path = |path: &str, port: &str| {
        format!(
            "{{path: {path}, pathType: Prefix, backend: {{service: {{name: web, port: {{{port}}}}}}}}}"
        )
    };
    let spec = format!(
        "rules: [{{http: {{paths: [{}, {}, {}]}}}}]",
        path("/a", "number: 80"),
        path("/b", "name: http"),
        path("/c", "number: 80")
    );
    let desired = desired(&[
        service("shop", "web", ""),
        ingress_with("shop", "web", IP, "", &spec),
    ]);
    let keys: Vec<_> = stack(&desired)
        .target_groups
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(keys, ["shop/web-web:80", "shop/web-web:http"]);
}

#[test]
fn backends_that_cannot_be_served_freeze() {
    let with = |backend: &str| {
        let spec = format!(
            "rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {backend}}}]}}}}]"
        );
        findings_of(&[
            service("shop", "web", ""),
            ingress_with("shop", "web", IP, "", &spec),
        ])
    };
    let frozen = |reason| vec![(Effect::Frozen, reason)];
    assert_eq!(
        with("{resource: {kind: Bucket, name: b}}"),
        frozen(Reason::InvalidSpec)
    );
    assert_eq!(with("{service: {name: web}}"), frozen(Reason::InvalidSpec));
    assert_eq!(
        with("{service: {name: pay, port: {name: use-annotation}}}"),
        frozen(Reason::NotSupportedYet)
    );
    assert_eq!(
        with("{service: {name: web, port: {number: 81}}}"),
        frozen(Reason::ServicePortNotFound)
    );
}

#[test]
fn services_that_do_not_fit_freeze() {
    let with = |spec: &str, annotations: &str| {
        let service =
            format!("---\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec: {spec}\n");
        findings_of(&[service, ingress("shop", "web", annotations)])
    };
    assert_eq!(
        with("{ports: [{port: 80}]}", "group.name: g"),
        [(Effect::Frozen, Reason::ServiceNotSuitable)]
    );
    assert_eq!(with("{ports: [{port: 80}]}", IP), []);
    assert_eq!(
        with("{ports: [{port: 80}], ipFamilies: [IPv4, IPv6]}", IP),
        [(Effect::Frozen, Reason::NotSupportedYet)]
    );
}

#[test]
fn annotations_of_a_service_in_use_are_looked_at() {
    let with = |annotations: &str| {
        findings_of(&[
            service("shop", "web", annotations),
            ingress("shop", "web", IP),
        ])
    };
    assert_eq!(
        with("alb.ingress.kubernetes.io/target-group-attributes: a=b"),
        [(Effect::Frozen, Reason::NotSupportedYet)]
    );
    assert_eq!(
        with("alb.ingress.kubernetes.io/healthcheck-timeout-seconds: long"),
        [(Effect::Frozen, Reason::InvalidAnnotation)]
    );
    assert_eq!(
        with("alb.ingress.kubernetes.io/helthcheck-path: /"),
        [(Effect::Note, Reason::InvalidAnnotation)]
    );
    // Read on an Ingress only: without effect here.
    assert_eq!(with("alb.ingress.kubernetes.io/scheme: public"), []);
}

#[test]
fn one_bad_node_is_a_note() {
    let bad = "---\nkind: Node\nmetadata: {name: bad}\nspec: {providerID: 'gce://x'}\nstatus: \
               {conditions: [{type: Ready, status: 'True'}]}\n"
        .to_owned();
    let manifests = [
        service("shop", "web", ""),
        ingress("shop", "web", "group.name: g"),
        bad,
    ];
    let desired =
        super::super::build::build(&group(), &snapshot(&manifests), &facts(), &settings());
    assert_eq!(
        found(&desired),
        [("web", Effect::Note, Reason::NodeNotSuitable)]
    );
    assert_eq!(
        stack(&desired)
            .target_groups
            .values()
            .next()
            .unwrap()
            .targets
            .len(),
        1
    );
}
