//! Where AWS has said that it takes no more: the last in group order stand
//! back.

use super::*;

#[test]
fn over_the_quota_the_last_rules_in_group_order_are_left_out() {
    let manifests = [
        secure_member("a", ""),
        secure_member("b", ""),
        member("c", ""),
    ];
    let facts = Facts {
        verdicts: vec![Verdict {
            ingress: shop("a"),
            subject: "rules".into(),
            value: "3".into(),
            code: "TooManyRules".into(),
            message: "too many".into(),
        }],
        ..facts()
    };
    let desired = build(&group(), &snapshot(&manifests), &facts, &settings());
    // Two listeners hold two rules of `a`; those of `b` would be four, and
    // what comes after it is left out with it.
    assert_eq!(rules(&desired, 80).len(), 1);
    assert_eq!(rules(&desired, 443).len(), 1);
    assert_eq!(
        found(&desired),
        [
            ("b", Effect::Degraded, Reason::QuotaExceeded),
            ("c", Effect::Degraded, Reason::QuotaExceeded),
        ]
    );
    assert_eq!(stack(&desired).target_groups.len(), 1);
    assert!(desired.frozen.is_empty());
}

/// What is desired where AWS has refused something, said of `a`.
fn with_verdict(manifests: &[String], subject: &str, value: &str) -> Desired {
    let facts = Facts {
        verdicts: vec![Verdict {
            ingress: shop("a"),
            subject: subject.into(),
            value: value.into(),
            code: "TooMany".into(),
            message: "no more".into(),
        }],
        ..facts()
    };
    build(&group(), &snapshot(manifests), &facts, &settings())
}

#[test]
fn while_a_member_is_frozen_the_others_have_what_it_leaves_them() {
    let of = |bad: &str| {
        let manifests = [member("a", ""), member("b", ""), member("z", bad)];
        with_verdict(&manifests, "rules", "3/2")
    };
    assert_eq!(rules(&of(""), 80).len(), 3);
    let frozen = of("healthcheck-interval-seconds: soon");
    assert_eq!(frozen.frozen, BTreeSet::from([shop("z")]));
    assert_eq!(rules(&frozen, 80).len(), 1);
    assert!(found(&frozen).contains(&("b", Effect::Degraded, Reason::QuotaExceeded)));
}

#[test]
fn over_the_quota_the_last_ports_in_group_order_are_left_out() {
    let ports = |name: &str, ports: &str| member(name, &format!("listen-ports: '[{ports}]'"));
    let manifests = [
        ports("a", "{\"HTTP\":8080}"),
        ports("b", "{\"HTTP\":8080},{\"HTTP\":90}"),
        member("c", ""),
    ];
    let desired = with_verdict(&manifests, "listeners", "1");
    let stack = stack(&desired);
    assert_eq!(stack.listeners.keys().collect::<Vec<_>>(), [&8080]);
    assert_eq!(rules(&desired, 8080).len(), 2);
    assert_eq!(stack.frontend.as_ref().unwrap().ingress.len(), 1);
    assert_eq!(
        found(&desired),
        [
            ("b", Effect::Degraded, Reason::QuotaExceeded),
            ("c", Effect::Degraded, Reason::QuotaExceeded),
        ]
    );
    let message = &desired.findings[0].message;
    for part in [
        "port 90 of annotation alb.ingress.kubernetes.io/listen-ports is not listened on",
        "AWS allows 1 listeners",
        "raise the quota",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(
        desired.findings[1]
            .message
            .starts_with("port 80 (no annotation")
    );
}

#[test]
fn a_redirect_to_a_port_that_does_not_fit_stays_a_redirect() {
    let manifests = [secure_member("a", "ssl-redirect: '443'")];
    let desired = with_verdict(&manifests, "listeners", "1");
    let listener = &stack(&desired).listeners[&80];
    assert!(matches!(
        listener.listener.default_action,
        Action::RedirectHttps { port: 443, .. }
    ));
    assert!(listener.rules.is_empty());
}

#[test]
fn over_the_quota_the_last_certificates_in_group_order_are_left_out() {
    let manifests = [
        secure_member("a", ""),
        secure_member("b", ""),
        secure_member("c", ""),
    ];
    let desired = with_verdict(&manifests, "certificates", "1");
    let listener = &stack(&desired).listeners[&443].listener;
    assert_eq!(listener.default_certificate, Some(Arn::from("arn:a")));
    assert_eq!(listener.sni_certificates, [Arn::from("arn:b")].into());
    assert_eq!(
        found(&desired),
        [("c", Effect::Degraded, Reason::QuotaExceeded)]
    );
    let message = &desired.findings[0].message;
    let start = "arn:c of annotation alb.ingress.kubernetes.io/certificate-arn is not added";
    assert!(message.starts_with(start), "{message}");
    assert_eq!(rules(&desired, 443).len(), 3);
}

#[test]
fn over_the_quota_of_target_groups_the_last_rules_are_left_out() {
    let manifests = [member("a", ""), member("b", ""), member("c", "")];
    let desired = with_verdict(&manifests, "target groups", "2");
    assert_eq!(rules(&desired, 80).len(), 2);
    assert_eq!(
        found(&desired),
        [("c", Effect::Degraded, Reason::QuotaExceeded)]
    );
    assert!(
        desired.findings[0]
            .message
            .contains("AWS allows 2 target groups")
    );
}

#[test]
fn targets_that_aws_does_not_take_are_left_out() {
    let targets = |desired: &Desired| {
        let key = TargetGroupKey("shop/a-a:80".into());
        stack(desired).target_groups[&key].targets.len()
    };
    let manifests = [member("a", ""), member("b", "")];
    let refused = with_verdict(&manifests, "target", "shop/a-a:80 10.0.48.11");
    assert_eq!(targets(&refused), 0);
    assert_eq!(
        found(&refused),
        [("a", Effect::Degraded, Reason::RefusedByAws)]
    );
    assert!(refused.findings[0].message.contains("target 10.0.48.11"));
    let full = with_verdict(&manifests, "targets", "shop/a-a:80 0");
    assert_eq!(targets(&full), 0);
    assert_eq!(
        found(&full),
        [("a", Effect::Degraded, Reason::QuotaExceeded)]
    );
    let elsewhere = with_verdict(&manifests, "targets", "shop/a-a:8 0");
    assert_eq!(targets(&elsewhere), 1);
    assert!(elsewhere.findings.is_empty());
}
