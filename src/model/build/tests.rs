#![allow(clippy::unwrap_used)] // a test may fail loudly

mod quotas;

use super::super::finding::Verdict;
use super::super::fixtures::{
    desired, facts, found, group, ingress, ingress_with, member, rules, secure_member, service,
    settings, shop, snapshot, stack,
};
use super::super::spec::{Arn, Scheme, TargetGroupKey};
use super::super::verdicts;
use super::*;

#[test]
fn one_ingress_becomes_a_load_balancer() {
    let desired = desired(&[member("web", "")]);
    assert_eq!(desired.members, [shop("web")]);
    assert!(desired.findings.is_empty(), "{:?}", desired.findings);
    assert!(desired.blocks_creation.is_empty());
    let stack = stack(&desired);
    assert_eq!(
        stack.load_balancer.name,
        names::load_balancer("harbor", &group(), Scheme::Internal)
    );
    assert!(stack.subnets_discovered);
    let subnets: Vec<_> = stack.load_balancer.subnets.iter().collect();
    assert_eq!(subnets, ["subnet-1", "subnet-2"]);
    assert_eq!(
        stack.load_balancer.security_groups,
        BTreeSet::from([SecurityGroupRef::Frontend, SecurityGroupRef::Backend])
    );
    assert_eq!(stack.frontend.as_ref().unwrap().ingress.len(), 1);
    assert_eq!(
        rules(&desired, 80),
        ["host web.example.com path /* -> forward shop/web-web:80"]
    );
    let tags = &stack.listeners[&80].rules[0].rule.tags;
    assert_eq!(tags.get("ingress.k8s.aws/resource"), Some("80:1"));
    let key = TargetGroupKey("shop/web-web:80".into());
    let made = &stack.target_groups[&key];
    assert_eq!(made.owner, shop("web"));
    assert_eq!(made.backend_ports, BTreeSet::from([8080]));
}

#[test]
fn a_tag_that_others_decide_is_said_to_have_no_effect() {
    let mut settings = settings();
    settings.default_tags = [("cost".to_owned(), "1".to_owned())].into();
    let tags = "tags: 'elbv2.k8s.aws/cluster=other, cost=2, team=web'";
    let on_service = "'alb.ingress.kubernetes.io/tags': 'ingress.k8s.aws/stack=mine'";
    let manifests = [member("web", tags), service("shop", "web", on_service)];
    let desired = build(&group(), &snapshot(&manifests), &facts(), &settings);
    let note = ("web", Effect::Note, Reason::InvalidAnnotation);
    assert_eq!(found(&desired), [note; 3]);
    let said = |part: &str| {
        let messages = desired.findings.iter().map(|finding| &finding.message);
        messages.filter(|message| message.contains(part)).count()
    };
    for part in [
        "tags gives elbv2.k8s.aws/cluster the value \"other\", which has no effect",
        "tags gives cost the value \"2\"",
        "tags of Service shop/web gives ingress.k8s.aws/stack",
    ] {
        assert_eq!(said(part), 1, "{:#?}", desired.findings);
    }
    let tags = &stack(&desired).load_balancer.tags;
    assert_eq!(tags.get("elbv2.k8s.aws/cluster"), Some("harbor"));
    assert_eq!(
        (tags.get("cost"), tags.get("team")),
        (Some("1"), Some("web"))
    );
    let same = [member(
        "web",
        "tags: 'elbv2.k8s.aws/cluster=harbor, cost=1'",
    )];
    let same = build(&group(), &snapshot(&same), &facts(), &settings);
    assert_eq!(same.findings, []);
}

#[test]
fn members_are_ordered_by_order_then_by_name() {
    let desired = desired(&[
        member("a", "group.order: '5'"),
        member("b", ""),
        member("c", "group.order: '-1'"),
        member("d", ""),
    ]);
    let names: Vec<_> = desired.members.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["c", "b", "d", "a"]);
    assert!(rules(&desired, 80)[0].starts_with("host c."));
    let priorities: Vec<_> = stack(&desired).listeners[&80]
        .rules
        .iter()
        .filter_map(|rule| rule.rule.tags.get("ingress.k8s.aws/resource"))
        .collect();
    assert_eq!(priorities, ["80:1", "80:2", "80:3", "80:4"]);
}

#[test]
fn a_bad_member_does_not_stop_its_neighbours() {
    let desired = desired(&[
        member("good", ""),
        member("bad", "healthcheck-interval-seconds: soon"),
    ]);
    assert_eq!(desired.frozen, BTreeSet::from([shop("bad")]));
    assert_eq!(rules(&desired, 80).len(), 1);
    assert!(desired.blocks_creation.is_empty());
    let finding = &desired.findings[0];
    assert_eq!(finding.reason, Reason::InvalidAnnotation);
    assert_eq!(
        finding.message,
        "annotation alb.ingress.kubernetes.io/healthcheck-interval-seconds is \"soon\": expected a \
         whole number from 5 to 300; correct the value, or remove the annotation"
    );
}

#[test]
fn a_new_group_waits_for_a_frozen_member_that_states_what_all_share() {
    let desired = desired(&[
        member("good", ""),
        member("bad", "scheme: public"),
        member("worse", "inbound-cidrs: 10.0.0.0/8"),
    ]);
    assert!(desired.frozen_states_group_wide());
    assert_eq!(desired.blocks_creation.len(), 1);
    let waits = &desired.blocks_creation[0];
    assert_eq!(waits.ingress, shop("good"));
    assert_eq!(waits.reason, Reason::WaitingForMember);
    assert!(
        waits.message.contains(
            "Ingress shop/bad (it states scheme) and Ingress shop/worse (it states inbound-cidrs)"
        ),
        "{}",
        waits.message
    );
}

#[test]
fn nobody_waits_for_a_member_that_only_disagrees() {
    let desired = desired(&[
        member("one", "scheme: internal"),
        member("two", "scheme: internet-facing"),
    ]);
    assert_eq!(desired.frozen, BTreeSet::from([shop("two")]));
    assert!(desired.blocks_creation.is_empty());
    assert_eq!(stack(&desired).load_balancer.scheme, Scheme::Internal);
}

#[test]
fn subnets_that_cannot_be_discovered_only_hinder_a_new_load_balancer() {
    let desired = desired(&[member("web", "scheme: internet-facing")]);
    assert!(desired.findings.is_empty());
    assert!(!desired.frozen_states_group_wide());
    assert_eq!(desired.blocks_creation[0].reason, Reason::SubnetsNotFound);
    assert!(stack(&desired).load_balancer.subnets.is_empty());
}

#[test]
fn what_is_not_built_yet_freezes() {
    for annotation in ["wafv2-acl-arn: x", "actions.pay: '{}'", "auth-type: none"] {
        let desired = desired(&[member("web", annotation)]);
        assert_eq!(desired.intent, Intent::Hold, "{annotation}");
        assert_eq!(
            found(&desired),
            [("web", Effect::Frozen, Reason::NotSupportedYet)],
            "{annotation}"
        );
    }
}

#[test]
fn an_unknown_annotation_is_a_note() {
    let desired = desired(&[member("web", "schema: internal")]);
    assert_eq!(
        found(&desired),
        [("web", Effect::Note, Reason::InvalidAnnotation)]
    );
    assert_eq!(rules(&desired, 80).len(), 1);
}

#[test]
fn https_needs_a_certificate() {
    let desired = desired(&[member("web", "listen-ports: '[{\"HTTPS\":443}]'")]);
    assert_eq!(
        found(&desired),
        [("web", Effect::Frozen, Reason::NotSupportedYet)]
    );
}

#[test]
fn given_security_groups_turn_the_managed_ones_off() {
    let given = desired(&[member("web", "security-groups: sg-1, sg-2")]);
    let ids = |ids: &[&str]| -> BTreeSet<SecurityGroupRef> {
        ids.iter()
            .map(|id| SecurityGroupRef::Id((*id).to_owned()))
            .collect()
    };
    let made = stack(&given);
    assert_eq!(made.frontend, None);
    assert_eq!(made.load_balancer.security_groups, ids(&["sg-1", "sg-2"]));
    let ports = |stack: &Stack| {
        let key = TargetGroupKey("shop/web-web:80".into());
        stack.target_groups[&key].backend_ports.len()
    };
    assert_eq!(ports(made), 0);
    let managed = desired(&[member(
        "web",
        "security-groups: sg-1\nmanage-backend-security-group-rules: 'true'",
    )]);
    let made = stack(&managed);
    let mut expected = ids(&["sg-1"]);
    expected.insert(SecurityGroupRef::Backend);
    assert_eq!(made.load_balancer.security_groups, expected);
    assert_eq!(ports(made), 1);
}

#[test]
fn a_redirect_takes_the_rules_of_http_listeners_of_all_members() {
    let desired = desired(&[
        secure_member("web", "ssl-redirect: '443'"),
        secure_member("api", ""),
    ]);
    let stack = stack(&desired);
    let http = &stack.listeners[&80];
    assert!(http.rules.is_empty());
    assert_eq!(
        http.listener.default_action.to_string(),
        "redirect https:443 (HTTP_301)"
    );
    assert_eq!(rules(&desired, 443).len(), 2);
    let https = &stack.listeners[&443].listener;
    assert_eq!(https.default_certificate, Some(Arn::from("arn:api")));
    assert_eq!(
        https.sni_certificates,
        BTreeSet::from([Arn::from("arn:web")])
    );
    assert_eq!(
        https.ssl_policy.as_deref(),
        Some("ELBSecurityPolicy-2016-08")
    );
    assert_eq!(stack.target_groups.len(), 2);
}

#[test]
fn a_redirect_to_nowhere_freezes_who_states_it() {
    let desired = desired(&[member("web", "ssl-redirect: '443'"), member("api", "")]);
    assert_eq!(desired.frozen, BTreeSet::from([shop("web")]));
    assert_eq!(rules(&desired, 80).len(), 1);
    // It states what all share, so a new group waits for it.
    assert!(desired.frozen_states_group_wide());
}

#[test]
fn a_redirect_to_a_port_of_a_frozen_member_is_that_members_fault() {
    let desired = desired(&[
        member("web", "ssl-redirect: '443'"),
        secure_member("api", "waf-acl-id: x"),
    ]);
    assert_eq!(desired.frozen, BTreeSet::from([shop("api")]));
    let http = &stack(&desired).listeners[&80];
    assert_eq!(http.rules.len(), 1);
    assert_eq!(
        http.listener.default_action.to_string(),
        "fixed response 404"
    );
}

#[test]
fn a_missing_service_is_answered_with_503() {
    let desired = desired(&[ingress("shop", "web", "group.name: g\ntarget-type: ip")]);
    assert_eq!(
        found(&desired),
        [("web", Effect::Degraded, Reason::ServiceNotFound)]
    );
    assert_eq!(
        rules(&desired, 80),
        ["host web.example.com path /* -> fixed response 503"]
    );
    assert!(stack(&desired).target_groups.is_empty());
}

#[test]
fn a_default_backend_answers_for_its_ports() {
    let spec = "defaultBackend: {service: {name: web, port: {name: http}}}";
    let annotations = "group.name: g\ntarget-type: ip";
    let desired = desired(&[
        service("shop", "web", ""),
        ingress_with("shop", "web", annotations, "", spec),
        ingress_with("shop", "xeb", annotations, "", spec),
    ]);
    let listener = &stack(&desired).listeners[&80].listener;
    assert_eq!(
        listener.default_action.to_string(),
        "forward shop/web-web:http"
    );
    assert_eq!(
        found(&desired),
        [("xeb", Effect::Frozen, Reason::InvalidSpec)]
    );
    assert!(desired.blocks_creation.is_empty());
}

#[test]
fn a_verdict_freezes_while_its_value_is_stated() {
    let manifests = [secure_member("web", ""), secure_member("api", "")];
    let verdict = |value: &str| Verdict {
        ingress: shop("api"),
        subject: "certificate-arn".into(),
        value: value.into(),
        code: "CertificateNotFound".into(),
        message: "not found".into(),
    };
    let with = |verdict: Verdict| {
        let facts = Facts {
            verdicts: vec![verdict],
            ..facts()
        };
        build(&group(), &snapshot(&manifests), &facts, &settings())
    };
    let refused = with(verdict("arn:api"));
    assert_eq!(
        found(&refused),
        [("api", Effect::Frozen, Reason::CertificateNotFound)]
    );
    let https = &stack(&refused).listeners[&443].listener;
    assert_eq!(https.default_certificate, Some(Arn::from("arn:web")));
    assert!(with(verdict("arn:older")).frozen.is_empty());
    assert_eq!(
        stack(&refused)
            .origins_of("certificate-arn", "arn:web")
            .count(),
        1
    );
}

#[test]
fn tags_of_members_are_united_where_they_share() {
    let desired = desired(&[
        member("a", "tags: dept=fin,app=a"),
        member("b", "tags: dept=hr,level=3"),
    ]);
    assert_eq!(
        found(&desired),
        [("b", Effect::Note, Reason::ConflictingAnnotation)]
    );
    let stack = stack(&desired);
    let shared = &stack.load_balancer.tags;
    assert_eq!(shared.get("dept"), Some("fin"));
    assert_eq!(shared.get("level"), Some("3"));
    let rule = &stack.listeners[&80].rules[1].rule.tags;
    assert_eq!(rule.get("dept"), Some("hr"));
    assert_eq!(rule.get("app"), None);
}

#[test]
fn without_members_nothing_may_be_left() {
    let gone = ingress_with(
        "shop",
        "web",
        "group.name: g",
        "deletionTimestamp: '2026-01-01T00:00:00Z'\n  finalizers: [group.ingress.k8s.aws/g]",
        "",
    );
    let desired = desired(&[gone]);
    assert_eq!(desired.intent, Intent::Remove);
    assert_eq!(desired.leavers.len(), 1);
    assert!(desired.leavers[0].deleted);
}

#[test]
fn a_group_with_bindings_of_another_controller_is_left_alone() {
    let binding = "---\nkind: TargetGroupBinding\nmetadata: {name: t, namespace: shop, \
                   labels: {ingress.k8s.aws/stack: g}}\n"
        .to_owned();
    let gone = ingress_with(
        "shop",
        "old",
        "group.name: g",
        "deletionTimestamp: '2026-01-01T00:00:00Z'\n  finalizers: [group.ingress.k8s.aws/g]",
        "",
    );
    let desired = desired(&[member("web", ""), gone, binding]);
    assert_eq!(desired.intent, Intent::LeaveAlone);
    assert_eq!(
        found(&desired),
        [
            ("web", Effect::Frozen, Reason::ManagedByTargetGroupBinding),
            ("old", Effect::Frozen, Reason::ManagedByTargetGroupBinding),
        ]
    );
}

#[test]
fn the_order_of_manifests_changes_nothing() {
    let forwards = [
        secure_member("a", "ssl-policy: P1"),
        secure_member("b", "ssl-policy: P2"),
        member("c", "scheme: internal"),
    ];
    let mut backwards = forwards.clone();
    backwards.reverse();
    assert_eq!(desired(&forwards), desired(&backwards));
}

#[test]
fn a_refused_target_group_is_forgiven_once_any_setting_changes() {
    let manifests = [member("web", ""), member("api", "healthcheck-path: /a")];
    let first = desired(&manifests);
    let refused = stack(&first).target_groups.values().next().unwrap();
    let origin = verdicts::target_group_origin(&refused.owner, &refused.target_group);
    let facts = Facts {
        verdicts: vec![Verdict {
            ingress: origin.ingress,
            subject: origin.subject,
            value: origin.value,
            code: "ValidationError".into(),
            message: "bad path".into(),
        }],
        ..facts()
    };
    let again = build(&group(), &snapshot(&manifests), &facts, &settings());
    assert_eq!(
        found(&again),
        [("api", Effect::Frozen, Reason::RefusedByAws)]
    );
    assert!(
        again.findings[0]
            .message
            .starts_with("AWS refused the target group shop/api-api:80: bad path"),
        "{}",
        again.findings[0].message
    );
    let mended = [member("web", ""), member("api", "healthcheck-path: /b")];
    let mended = build(&group(), &snapshot(&mended), &facts, &settings());
    assert!(mended.frozen.is_empty());
}
