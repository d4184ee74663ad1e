#![allow(clippy::unwrap_used)] // a test may fail loudly

use super::*;
use crate::model::limits::Limit;
use crate::model::spec::{Arn, Protocol};
use crate::plan::fixture::{self, host_rule};
use crate::plan::step::{ListenerRef, LoadBalancerRef};

const WEB: (&str, &str) = ("shop", "web");

fn desired(origins: &[(&str, &str)]) -> Desired {
    let mut stack = fixture::stack(&[(80, vec![host_rule("a.example", "web")])]);
    stack.origins = origins
        .iter()
        .map(|(subject, value)| Origin {
            ingress: ObjectName::new(WEB.0, WEB.1),
            subject: (*subject).to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    fixture::desired(stack)
}

fn said(step: &Step, code: &str, message: &str, desired: &Desired) -> Vec<(String, String)> {
    let refusal = Refusal {
        step,
        code,
        message,
    };
    let nothing = Observed::default();
    blame(refusal, desired, Limits::default(), &nothing, &nothing)
        .into_iter()
        .map(|verdict| (verdict.subject, verdict.value))
        .collect()
}

#[test]
fn a_certificate_is_blamed_on_those_who_state_it() {
    let desired = desired(&[("certificate-arn", "arn:1"), ("certificate-arn", "arn:2")]);
    let step = Step::AddListenerCertificate {
        listener: ListenerRef::New(443),
        certificate: Arn::from("arn:2"),
    };
    assert_eq!(
        said(&step, "CertificateNotFound", "no", &desired),
        [("certificate-arn".to_owned(), "arn:2".to_owned())]
    );
}

#[test]
fn a_message_that_names_a_subnet_blames_that_one() {
    let desired = desired(&[("subnets", "subnet-a"), ("subnets", "subnet-b")]);
    let step = Step::SetSubnets {
        load_balancer: Arn::from("arn:lb"),
        subnets: ["subnet-a".to_owned(), "subnet-b".to_owned()].into(),
    };
    let named = said(&step, "InvalidSubnet", "subnet-b is full", &desired);
    assert_eq!(named, [("subnets".to_owned(), "subnet-b".to_owned())]);
    assert_eq!(said(&step, "InvalidSubnet", "no", &desired).len(), 2);
}

#[test]
fn a_refused_tag_is_blamed_on_those_who_state_it() {
    let desired = desired(&[
        ("tags", "note=a,b"),
        ("tags", "owner=y"),
        ("scheme", "owner=y"),
    ]);
    let adding = |tags: &[(&str, &str)]| Step::AddTags {
        resources: BTreeSet::new(),
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        what: "load balancer".to_owned(),
    };
    let stated = |value: &str| ("tags".to_owned(), value.to_owned());
    let step = adding(&[("note", "a,b"), ("owner", "y"), ("cluster", "z")]);
    let message = "Value 'a,b' at 'tags.1.member.value' failed to satisfy constraint";
    let named = said(&step, "ValidationError", message, &desired);
    assert_eq!(named, [stated("note=a,b")]);
    let any = said(&step, "TooManyTags", "no", &desired);
    assert_eq!(any, [stated("note=a,b"), stated("owner=y")]);
    let ours = adding(&[("cluster", "z")]);
    assert!(said(&ours, "TooManyTags", "no", &desired).is_empty());
}

/// What AWS is said to allow when it refuses a step with this code.
fn allowed(
    step: &Step,
    code: &str,
    desired: &Desired,
    before: &Observed,
    after: &Observed,
) -> Vec<(String, String, String)> {
    let refusal = Refusal {
        step,
        code,
        message: "no",
    };
    blame(refusal, desired, Limits::default(), before, after)
        .into_iter()
        .map(|v| (v.ingress.name, v.subject, v.value))
        .collect()
}

fn said_once(ingress: &str, subject: &str, value: &str) -> Vec<(String, String, String)> {
    vec![(ingress.to_owned(), subject.to_owned(), value.to_owned())]
}

fn one_rule_more() -> Step {
    Step::CreateRule {
        listener: ListenerRef::New(80),
        priority: 1,
        rule: host_rule("a.example", "web").rule,
    }
}

#[test]
fn a_quota_on_rules_says_how_many_there_may_be() {
    let desired = desired(&[]);
    let observed = fixture::made(&desired);
    assert_eq!(
        allowed(
            &one_rule_more(),
            "TooManyRules",
            &desired,
            &observed,
            &observed
        ),
        said_once("web", "rules", "1")
    );
}

#[test]
fn what_the_same_run_deleted_counts_as_allowed() {
    let desired = desired(&[]);
    let before = fixture::made(&fixture::desired(fixture::stack(&[(
        80,
        vec![host_rule("a.example", "web"), host_rule("b.example", "web")],
    )])));
    let mut after = before.clone();
    let listener = after.load_balancers[0].listeners.get_mut(&80).unwrap();
    listener.rules.remove(&2);
    assert_eq!(
        allowed(&one_rule_more(), "TooManyRules", &desired, &before, &after),
        said_once("web", "rules", "2")
    );
    // What is known already is never raised by that.
    let refusal = Refusal {
        step: &one_rule_more(),
        code: "TooManyRules",
        message: "no",
    };
    let known = Limits {
        rules: Some(Limit {
            allowed: 1,
            held: 0,
        }),
        ..Limits::default()
    };
    let verdicts = blame(refusal, &desired, known, &before, &after);
    assert_eq!(verdicts[0].value, "1");
}

#[test]
fn rules_that_are_live_for_a_frozen_member_are_told_apart() {
    let wished = fixture::stack(&[(80, vec![host_rule("a.example", "web")])]);
    let frozen = fixture::rule("old", "b.example", "/*", "old");
    let both = fixture::stack(&[(80, vec![host_rule("a.example", "web"), frozen])]);
    let mut observed = fixture::made(&fixture::desired(both));
    let mut desired = fixture::desired(wished);
    let old = ObjectName::new("shop", "old");
    desired.members.push(old.clone());
    desired.frozen.insert(old);
    let told = |observed: &Observed| {
        allowed(
            &one_rule_more(),
            "TooManyRules",
            &desired,
            observed,
            observed,
        )
    };
    assert_eq!(told(&observed), said_once("web", "rules", "2/1"));
    let listener = observed.load_balancers[0].listeners.get_mut(&80).unwrap();
    listener.rules.remove(&2);
    assert_eq!(told(&observed), said_once("web", "rules", "1"));
}

#[test]
fn a_listener_too_many_is_told_to_the_last_who_listens_there() {
    let mut desired = desired(&[]);
    let observed = fixture::made(&desired);
    let zed = ObjectName::new("shop", "zed");
    desired.members.push(zed.clone());
    let Intent::Serve(stack) = &mut desired.intent else {
        unreachable!("the fixture serves");
    };
    for (owner, stated) in [(zed, true), (ObjectName::new(WEB.0, WEB.1), false)] {
        let origin = listener_origin(&owner, 80, Protocol::Http, stated);
        stack.origins.push(origin);
    }
    let step = Step::CreateListener {
        load_balancer: LoadBalancerRef::New,
        listener: stack.listeners[&80].listener.clone(),
    };
    assert_eq!(
        allowed(&step, "TooManyListeners", &desired, &observed, &observed),
        said_once("zed", "listeners", "1")
    );
    // A refusal that names nothing is everybody's who listens there.
    let told = said(&step, "ValidationError", "no", &desired);
    let stated = ("listen-ports".to_owned(), "HTTP:80".to_owned());
    let by_default = ("spec".to_owned(), "listener HTTP:80".to_owned());
    assert_eq!(told, [stated, by_default]);
}

#[test]
fn a_certificate_too_many_is_a_quota_and_not_unknown() {
    let mut wished = fixture::stack(&[(443, vec![host_rule("a.example", "web")])]);
    let listener = &mut wished.listeners.get_mut(&443).unwrap().listener;
    listener.sni_certificates.insert(Arn::from("arn:more"));
    let desired = fixture::desired(wished);
    let observed = fixture::made(&desired);
    let step = Step::AddListenerCertificate {
        listener: ListenerRef::New(443),
        certificate: Arn::from("arn:2"),
    };
    assert_eq!(
        allowed(&step, "TooManyCertificates", &desired, &observed, &observed),
        said_once("web", "certificates", "1")
    );
}

#[test]
fn target_groups_of_a_load_balancer_are_counted() {
    let desired = desired(&[]);
    let observed = fixture::made(&desired);
    let code = "TooManyUniqueTargetGroupsPerLoadBalancer";
    assert_eq!(
        allowed(&one_rule_more(), code, &desired, &observed, &observed),
        said_once("web", "target groups", "1")
    );
}

#[test]
fn access_that_is_refused_as_a_whole_is_one_too_many() {
    let desired = desired(&[]);
    let step = Step::AuthorizeIngress {
        group: SecurityGroupRef::Frontend,
        permissions: [fixture::open(80), fixture::open(81)].into(),
    };
    let nothing = Observed::default();
    let code = "RulesPerSecurityGroupLimitExceeded";
    assert_eq!(
        allowed(&step, code, &desired, &nothing, &nothing),
        said_once("web", "listeners", "1")
    );
}

#[test]
fn targets_too_many_and_targets_that_aws_does_not_take() {
    let desired = desired(&[]);
    let observed = fixture::made(&desired);
    let Intent::Serve(stack) = &desired.intent else {
        unreachable!("the fixture serves");
    };
    let key = stack.target_groups.keys().next().unwrap();
    let step = Step::RegisterTargets {
        target_group: TargetGroupRef::Key(key.clone()),
        key: key.clone(),
        targets: [fixture::pod(1), fixture::pod(11)].into(),
    };
    assert_eq!(
        allowed(&step, "TooManyTargets", &desired, &observed, &observed),
        said_once("web", "targets", "shop/web-web:80 2")
    );
    let message = "The IP address '10.0.48.11' is not valid.";
    let named = said(&step, "InvalidTarget", message, &desired);
    let target = ("target".to_owned(), "shop/web-web:80 10.0.48.11".to_owned());
    assert_eq!(named, [target]);
}

#[test]
fn a_rule_is_not_blamed_for_targets_of_all() {
    let mut desired = desired(&[]);
    let Intent::Serve(stack) = &mut desired.intent else {
        unreachable!("the fixture serves");
    };
    let wished = stack.listeners[&80].rules[0].clone();
    stack.origins.push(Origin {
        ingress: wished.owner,
        subject: "rule".to_owned(),
        value: format!("rule {}", wished.rule),
    });
    let step = Step::CreateRule {
        listener: ListenerRef::New(80),
        priority: 1,
        rule: wished.rule,
    };
    assert_eq!(said(&step, "TooManyActions", "no", &desired).len(), 1);
    assert!(said(&step, "TooManyTargets", "no", &desired).is_empty());
}

#[test]
fn tags_too_many_are_told_to_the_last_who_states_some() {
    let mut desired = desired(&[("tags", "owner=x")]);
    let zed = ObjectName::new("shop", "zed");
    desired.members.push(zed.clone());
    let Intent::Serve(stack) = &mut desired.intent else {
        unreachable!("the fixture serves");
    };
    stack.origins.push(Origin {
        ingress: zed,
        subject: "tags".to_owned(),
        value: "note=y".to_owned(),
    });
    let tags = [("owner", "x"), ("note", "y")];
    let step = Step::AddTags {
        resources: BTreeSet::new(),
        tags: tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        what: "load balancer".to_owned(),
    };
    let told = said(&step, "TooManyTags", "no", &desired);
    assert_eq!(told, [("tags".to_owned(), "note=y".to_owned())]);
}

#[test]
fn a_quota_on_load_balancers_is_told_to_all_who_are_served_by_it() {
    let mut desired = desired(&[("subnets", "subnet-a")]);
    let origin = load_balancer_origin(&ObjectName::new(WEB.0, WEB.1), &desired.group);
    let Intent::Serve(stack) = &mut desired.intent else {
        unreachable!("the fixture serves");
    };
    stack.origins.push(origin.clone());
    let step = Step::CreateLoadBalancer(stack.load_balancer.clone());
    let told = said(&step, "TooManyLoadBalancers", "no", &desired);
    assert_eq!(told, [(origin.subject, origin.value)]);
}

#[test]
fn nobody_is_blamed_for_what_nobody_states() {
    let desired = desired(&[]);
    let step = Step::AddListenerCertificate {
        listener: ListenerRef::New(443),
        certificate: Arn::from("arn:2"),
    };
    assert!(said(&step, "CertificateNotFound", "no", &desired).is_empty());
}
