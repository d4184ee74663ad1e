//! Which transitions are told.

use super::super::Failure;
use super::super::record::resource::tests::showing;
use super::super::tests::{live, report, served};
use super::*;
use crate::model::desired::{Intent, Leaver};
use crate::model::spec::Scheme;

fn reasons(sayings: &[Saying]) -> Vec<&str> {
    sayings
        .iter()
        .map(|saying| saying.reason.as_str())
        .collect()
}

/// Reports as [`Reporter::publish_events`] does, without the writes.
fn tell(told: &mut Told, report: &GroupReport<'_>) -> Vec<Saying> {
    tell_with(told, report, &[("shop", "web")])
}

/// So, with the Ingresses whose status names the load balancer.
fn tell_with(told: &mut Told, report: &GroupReport<'_>, addressed: &[(&str, &str)]) -> Vec<Saying> {
    let addressed = addressed
        .iter()
        .map(|(ns, name)| ObjectName::new(*ns, *name));
    let (sayings, said) = transitions(told, report, &addressed.collect());
    told.said = said;
    told.state = Some(report.state());
    sayings
}

fn finding(message: &str) -> Finding {
    Finding {
        ingress: ObjectName::new("shop", "web"),
        effect: Effect::Note,
        reason: Reason::ServiceNotFound,
        message: message.to_owned(),
    }
}

#[test]
fn a_group_that_is_made_tells_its_story_once() {
    let desired = served();
    let (nothing, provisioning, active) = (
        Observed::default(),
        live(LoadBalancerState::Provisioning),
        live(LoadBalancerState::Active),
    );
    let mut told = Told::default();
    let first = tell(&mut told, &report(&desired, &nothing, &provisioning));
    assert_eq!(reasons(&first), ["LoadBalancerCreated"]);
    let still = tell(&mut told, &report(&desired, &provisioning, &provisioning));
    assert_eq!(reasons(&still), [""; 0]);
    let then = tell(&mut told, &report(&desired, &provisioning, &active));
    assert_eq!(
        reasons(&then),
        ["LoadBalancerActive", "SuccessfullyReconciled"]
    );
    let again = tell(&mut told, &report(&desired, &active, &active));
    assert_eq!(reasons(&again), [""; 0]);
    let gone = tell(&mut told, &report(&desired, &active, &nothing));
    assert_eq!(reasons(&gone), ["LoadBalancerDeleted"]);
}

#[test]
fn what_the_last_process_has_told_is_not_told_again() {
    let desired = served();
    let active = live(LoadBalancerState::Active);
    let mut told = Told {
        resource: showing(&finding("Service shop/a does not exist")),
        ..Told::default()
    };
    let mut now = report(&desired, &active, &active);
    now.more_findings = vec![
        finding("Service shop/a does not exist"),
        finding("Service shop/b does not exist"),
    ];
    let sayings = tell(&mut told, &now);
    assert_eq!(reasons(&sayings), ["ServiceNotFound"]);
    assert!(sayings[0].note.contains("shop/b"), "{sayings:?}");
    assert_eq!(tell(&mut told, &now), []);
    now.more_findings.clear();
    assert_eq!(reasons(&tell(&mut told, &now)), ["Resolved"]);
}

#[test]
fn what_was_mended_while_an_ingress_was_frozen_is_said_when_it_is_looked_at_again() {
    let desired = served();
    let active = live(LoadBalancerState::Active);
    let mut told = Told::default();
    let mut now = report(&desired, &active, &active);
    now.more_findings = vec![finding("Service shop/a does not exist")];
    tell(&mut told, &now);
    let mut frozen = finding("Service shop/a has no NodePort");
    frozen.reason = Reason::ServiceNotSuitable;
    frozen.effect = Effect::Frozen;
    now.more_findings = vec![frozen];
    assert_eq!(reasons(&tell(&mut told, &now)), ["ServiceNotSuitable"]);
    now.more_findings.clear();
    let mended = tell(&mut told, &now);
    let of = |reason: &str| mended.iter().any(|saying| saying.note.contains(reason));
    assert!(of("ServiceNotFound no longer applies"), "{mended:?}");
    assert!(of("ServiceNotSuitable no longer applies"), "{mended:?}");
    assert_eq!(tell(&mut told, &now), []);
}

/// Beside one load balancer another one that is to replace it.
fn replaced(old: LoadBalancerState, new: LoadBalancerState) -> Observed {
    let mut observed = live(old);
    let mut other = live(new).load_balancers.remove(0);
    other.arn = "arn:other".into();
    other.spec.name = "k8s-shop-web-2".to_owned();
    other.spec.scheme = Scheme::InternetFacing;
    observed.load_balancers.push(other);
    observed
}

#[test]
fn a_load_balancer_becomes_active_once_however_often_the_scheme_changes() {
    use LoadBalancerState::{Active, Provisioning};
    let there = served();
    let mut back = served();
    if let Intent::Serve(stack) = &mut back.intent {
        stack.load_balancer.scheme = Scheme::InternetFacing;
    }
    let (one, two, both) = (
        live(Active),
        replaced(Active, Provisioning),
        replaced(Active, Active),
    );
    let mut told = Told::default();
    assert_eq!(tell(&mut told, &report(&there, &one, &one)), []);
    let made = tell(&mut told, &report(&back, &one, &two));
    assert_eq!(reasons(&made), ["LoadBalancerCreated"]);
    let again = tell(&mut told, &report(&there, &two, &one));
    let served_again = ["LoadBalancerDeleted", "SuccessfullyReconciled"];
    assert_eq!(reasons(&again), served_again);
    tell(&mut told, &report(&back, &one, &two));
    let active = tell(&mut told, &report(&back, &two, &both));
    let expected = ["LoadBalancerActive", "SuccessfullyReconciled"];
    assert_eq!(reasons(&active), expected);
    assert!(active[0].note.contains("k8s-shop-web-2"), "{active:?}");
}

#[test]
fn who_joins_a_served_group_is_told_and_nobody_else() {
    let active = live(LoadBalancerState::Active);
    let mut told = Told::default();
    let alone = served();
    assert_eq!(tell(&mut told, &report(&alone, &active, &active)), []);
    let mut joined = served();
    let other = ObjectName::new("shop", "other");
    joined.members.push(other.clone());
    // A neighbour that is not served is not told, and in nobody's way.
    let bad = ObjectName::new("shop", "bad");
    joined.members.push(bad.clone());
    joined.findings.push(Finding {
        ingress: bad.clone(),
        effect: Effect::Frozen,
        ..finding("missing")
    });
    let sayings = tell(&mut told, &report(&joined, &active, &active));
    let about = |reason: &str| -> Vec<&ObjectName> {
        let told = sayings.iter().filter(|saying| saying.reason == reason);
        told.map(|saying| &saying.about).collect()
    };
    assert_eq!(about("SuccessfullyReconciled"), [&other]);
    joined.findings.clear();
    let mended = tell(&mut told, &report(&joined, &active, &active));
    let mended = mended.iter().find(|s| s.reason == "SuccessfullyReconciled");
    assert_eq!(mended.map(|saying| &saying.about), Some(&bad));
}

#[test]
fn a_restart_that_changes_nothing_says_nothing() {
    let desired = served();
    let active = live(LoadBalancerState::Active);
    let mut told = Told::default();
    assert_eq!(tell(&mut told, &report(&desired, &active, &active)), []);
    // But for an Ingress that came while nobody looked.
    let sayings = tell_with(
        &mut Told::default(),
        &report(&desired, &active, &active),
        &[],
    );
    assert_eq!(reasons(&sayings), ["SuccessfullyReconciled"]);
}

#[test]
fn a_finding_is_said_when_it_comes_when_its_words_change_and_when_it_goes() {
    let none = BTreeSet::new();
    let one = BTreeSet::from([finding("service web is missing")]);
    let other = BTreeSet::from([finding("service api is missing")]);
    let came = of_findings(&none, &one);
    assert_eq!(reasons(&came), ["ServiceNotFound"]);
    assert!(came[0].warning);
    assert_eq!(of_findings(&one, &one), []);
    assert_eq!(reasons(&of_findings(&one, &other)), ["ServiceNotFound"]);
    let went = of_findings(&one, &none);
    assert_eq!(reasons(&went), ["Resolved"]);
    assert_eq!(went[0].note, "ServiceNotFound no longer applies");
}

#[test]
fn of_what_is_no_longer_looked_at_nothing_is_said_to_be_mended() {
    let active = live(LoadBalancerState::Active);
    let mut noted = served();
    noted.findings.push(finding("service web is missing"));
    let frozen = Finding {
        effect: Effect::Frozen,
        reason: Reason::InvalidAnnotation,
        ..finding("a typo")
    };
    let mut told = Told::default();
    tell(&mut told, &report(&noted, &active, &active));
    let mut stuck = served();
    stuck.findings.push(frozen);
    let sayings = tell(&mut told, &report(&stuck, &active, &active));
    assert_eq!(reasons(&sayings), ["InvalidAnnotation"]);

    let mut told = Told::default();
    tell(&mut told, &report(&noted, &active, &active));
    let mut deleted = served();
    deleted.intent = Intent::Remove;
    deleted.leavers = vec![Leaver {
        ingress: deleted.members.remove(0),
        deleted: true,
    }];
    assert_eq!(tell(&mut told, &report(&deleted, &active, &active)), []);
    // One that is taken out of the group, and stays, is told.
    let mut told = Told::default();
    tell(&mut told, &report(&noted, &active, &active));
    deleted.leavers[0].deleted = false;
    let sayings = tell(&mut told, &report(&deleted, &active, &active));
    assert_eq!(reasons(&sayings), ["Resolved"]);
}

#[test]
fn a_failure_that_lasts_is_said_once_whatever_its_request_ids() {
    let desired = served();
    let active = live(LoadBalancerState::Active);
    let mut told = Told::default();
    let failing = |id: &str| {
        let mut failing = report(&desired, &active, &active);
        failing.failures.push(Failure {
            reason: "AccessDenied".to_owned(),
            message: format!("AWS refused CreateRule (request {id})"),
        });
        failing
    };
    assert_eq!(reasons(&tell(&mut told, &failing("1"))), ["AccessDenied"]);
    assert_eq!(tell(&mut told, &failing("2")), []);
    let well = tell(&mut told, &report(&desired, &active, &active));
    assert_eq!(reasons(&well), ["SuccessfullyReconciled"]);
    assert_eq!(reasons(&tell(&mut told, &failing("3"))), ["AccessDenied"]);
}

#[test]
fn a_note_is_cut_between_characters_and_says_so() {
    let short = "ü".repeat(512);
    assert_eq!(note(&short), short);
    let long = note(&"ü".repeat(513));
    assert!(long.len() <= NOTE_LIMIT && long.ends_with("ü …"), "{long}");
    assert_eq!(cut("aü", 2), "a");
}
