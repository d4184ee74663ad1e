//! Reports for tests of this stage, and of those that make them.

use super::*;
use crate::model::finding::{Effect, Reason};
use crate::model::spec::{LoadBalancer, Scheme};

/// A load balancer as AWS holds it.
pub(crate) fn live(state: LoadBalancerState) -> Observed {
    Observed {
        load_balancers: vec![LiveLoadBalancer {
            arn: "arn:lb".into(),
            spec: load_balancer(),
            dns_name: "Web-1.eu-west-1.elb.amazonaws.com".to_owned(),
            hosted_zone_id: "Z1".to_owned(),
            state,
            listeners: BTreeMap::new(),
        }],
        ..Observed::default()
    }
}

fn load_balancer() -> LoadBalancer {
    LoadBalancer {
        name: "k8s-shop-web-1".to_owned(),
        scheme: Scheme::Internal,
        subnets: BTreeSet::new(),
        security_groups: BTreeSet::new(),
        tags: crate::model::spec::Tags::new(),
    }
}

/// A group of `shop/web` that is served.
pub(crate) fn served() -> Desired {
    let web = ObjectName::new("shop", "web");
    Desired {
        group: GroupId::Implicit(web.clone()),
        members: vec![web],
        leavers: Vec::new(),
        frozen: BTreeSet::new(),
        held: BTreeSet::new(),
        parting: BTreeMap::new(),
        findings: Vec::new(),
        blocks_creation: Vec::new(),
        intent: Intent::Serve(Box::new(crate::model::desired::Stack {
            load_balancer: load_balancer(),
            subnets_discovered: true,
            frontend: None,
            listeners: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            origins: Vec::new(),
        })),
    }
}

/// A report about it without anything special.
pub(crate) fn report<'a>(
    desired: &'a Desired,
    before: &'a Observed,
    observed: &'a Observed,
) -> GroupReport<'a> {
    GroupReport {
        desired,
        before,
        observed,
        waiting: Vec::new(),
        records: Some(Vec::new()),
        failures: Vec::new(),
        more_findings: Vec::new(),
        applied: None,
        tried: None,
    }
}

#[test]
fn the_state_is_the_most_telling_word() {
    let desired = served();
    let active = live(LoadBalancerState::Active);
    let provisioning = live(LoadBalancerState::Provisioning);
    let nothing = Observed::default();
    let mut report = report(&desired, &active, &active);
    assert_eq!(report.state(), GroupState::Serving);
    report.observed = &provisioning;
    assert_eq!(report.state(), GroupState::Waiting);
    report.observed = &nothing;
    assert_eq!(report.state(), GroupState::Waiting);
    report.observed = &active;
    report.more_findings.push(Finding {
        ingress: ObjectName::new("shop", "web"),
        effect: Effect::Note,
        reason: Reason::NoHostedZone,
        message: "no zone".to_owned(),
    });
    assert_eq!(report.state(), GroupState::Serving);
    report.more_findings[0].effect = Effect::Degraded;
    assert_eq!(report.state(), GroupState::Degraded);
    report.waiting.push("port 8080".to_owned());
    assert_eq!(report.state(), GroupState::Waiting);
    report.failures.push(Failure {
        reason: "AccessDenied".to_owned(),
        message: "no".to_owned(),
    });
    assert_eq!(report.state(), GroupState::Failing);
}

#[test]
fn the_load_balancer_that_people_are_told_is_the_one_that_serves() {
    let mut desired = served();
    if let Intent::Serve(stack) = &mut desired.intent {
        stack.load_balancer.scheme = Scheme::InternetFacing;
    }
    let rule = crate::model::spec::Live {
        arn: "arn:rule".into(),
        spec: crate::model::spec::Rule {
            conditions: Vec::new(),
            action: crate::model::spec::Action::Other("forward".to_owned()),
            tags: crate::model::spec::Tags::new(),
        },
    };
    let mut observed = live(LoadBalancerState::Active);
    let mut listener = status::tests::listener(80);
    let mut new = observed.load_balancers[0].clone();
    new.arn = "arn:new".into();
    new.spec.scheme = Scheme::InternetFacing;
    new.listeners.insert(80, listener.clone());
    listener.rules.insert(1, rule);
    observed.load_balancers[0].listeners.insert(80, listener);
    observed.load_balancers.push(new);
    // Its target groups are still the old one's: so are the rules.
    let told = report(&desired, &observed, &observed);
    assert_eq!(told.load_balancer().unwrap().arn.0, "arn:lb");
    let mut then = observed.clone();
    then.load_balancers.remove(0);
    let told = report(&desired, &then, &then);
    assert_eq!(told.load_balancer().unwrap().arn.0, "arn:new");
}

#[test]
fn a_copy_from_before_our_own_write_is_told_from_one_after_it() {
    let at = |version: &str| Ingress {
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            resource_version: Some(version.to_owned()),
            ..Default::default()
        },
        ..Ingress::default()
    };
    let written = "100".to_owned();
    assert!(is_older(&at("99"), Some(&written)));
    assert!(!is_older(&at("100"), Some(&written)));
    assert!(!is_older(&at("1000"), Some(&written)));
    assert!(!is_older(&at("99"), None));
    assert!(!is_older(&at("x"), Some(&written)));
}
