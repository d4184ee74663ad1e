//! When the custom resource is written.

use super::*;
use crate::model::applied::SCHEMA;
use crate::report::LastChange;

/// A resource that shows a finding, as the last process left it.
pub fn showing(finding: &Finding) -> Resource {
    Resource {
        written: Some(IngressGroupStatus::of_lost(finding)),
        ..Resource::default()
    }
}

fn status(state: &str, targets: &str) -> IngressGroupStatus {
    IngressGroupStatus {
        state: state.to_owned(),
        applied: Some(Applied {
            schema: SCHEMA,
            digest: Some("d".to_owned()),
            pending: None,
            targets: [("k8s-web".to_owned(), targets.to_owned())].into(),
        }),
        ..IngressGroupStatus::default()
    }
}

#[test]
fn hashes_of_targets_wait_for_a_minute_and_go_with_what_is_written_anyway() {
    let now = Instant::now();
    let mut resource = Resource::default();
    assert!(resource.takes(&status("Waiting", "1")), "not there yet");
    resource.wrote(status("Waiting", "1"), now);
    assert!(!resource.takes(&status("Waiting", "1")));
    assert_eq!(resource.due(now, true), None, "nothing is new");

    assert!(!resource.takes(&status("Waiting", "2")));
    assert_eq!(resource.due(now, false), None, "too early");
    assert!(resource.due(now, true).is_some(), "the process ends");
    let later = now + TARGETS_AGAIN;
    let due = resource.due(later, false).unwrap_or_default();
    resource.wrote_targets(due, later);
    assert_eq!(resource.due(later + TARGETS_AGAIN, true), None);
    assert!(!resource.takes(&status("Waiting", "2")));

    assert!(!resource.takes(&status("Waiting", "3")));
    assert!(resource.takes(&status("Serving", "3")));
    resource.wrote(status("Serving", "3"), later);
    assert_eq!(resource.due(later + TARGETS_AGAIN, true), None);
}

#[test]
fn a_record_that_comes_or_goes_is_written_at_once() {
    let mut resource = Resource::default();
    let without = IngressGroupStatus::default();
    resource.wrote(without.clone(), Instant::now());
    let mut with = without.clone();
    with.applied = Some(Applied::default());
    assert!(resource.takes(&with));
    resource.wrote(with, Instant::now());
    assert!(resource.takes(&without));
}

#[test]
fn a_hash_of_targets_that_change_goes_at_once_and_comes_back_when_they_stay() {
    let web = || ["k8s-web".to_owned()];
    let said = |resource: &Resource| resource.targets().cloned().unwrap_or_default();
    let mut now = Instant::now();
    let mut resource = Resource::default();
    resource.wrote(status("Serving", "1"), now);

    // What their hash is made from may become what it was: then it is the same.
    for hash in ["2", "1"] {
        now += Duration::from_secs(1);
        resource.changes(web(), now);
        resource.takes(&status("Serving", hash));
    }
    let due = resource.due(now, false).unwrap_or_default();
    assert!(due.is_empty(), "{due:?}");
    resource.wrote_targets(due, now);
    assert_eq!(resource.due(now, false), None);
    assert!(said(&resource).is_empty());

    // While they go on changing nothing is written.
    resource.takes(&status("Serving", "1"));
    now += TARGETS_AGAIN / 2;
    resource.changes(web(), now);
    resource.takes(&status("Serving", "3"));
    now += TARGETS_AGAIN / 2;
    assert_eq!(resource.due(now, false), None);
    now += TARGETS_AGAIN / 2;
    let due = resource.due(now, false).unwrap_or_default();
    assert_eq!(due["k8s-web"], "3");
    resource.wrote_targets(due, now);
    assert_eq!(resource.due(now, false), None);

    // What was written with all else is true.
    resource.changes(web(), now);
    resource.wrote(status("Serving", "4"), now);
    assert_eq!(resource.due(now, false), None);

    // A write that fails is tried again after a while, or at the end.
    resource.changes(web(), now);
    assert!(resource.due(now, false).is_some());
    resource.could_not_write_targets(now);
    assert_eq!(resource.due(now, false), None);
    assert!(resource.due(now, true).is_some());
    assert!(resource.due(now + RETRY, false).is_some());

    // Of a group that is being changed nothing is believed anyway.
    if let Some(record) = resource.written.as_mut().and_then(|s| s.applied.as_mut()) {
        record.pending = Some("p".to_owned());
    }
    assert_eq!(resource.due(now + RETRY, false), None);
}

#[test]
fn a_change_that_is_tried_again_is_written_once() {
    let change = |outcome: &str, plan: &str| LastChange {
        outcome: outcome.to_owned(),
        plan: vec![plan.to_owned()],
        ..LastChange::default()
    };
    let with = |change: LastChange| IngressGroupStatus {
        last_change: Some(change),
        ..status("Failing", "1")
    };
    let mut resource = Resource::default();
    resource.wrote(with(change("UnderWay", "1. + rule")), Instant::now());
    assert!(resource.takes(&with(change("Failed", "1. + rule"))));
    resource.wrote(with(change("Failed", "1. + rule")), Instant::now());
    assert!(!resource.takes(&with(change("Failed", "the rest of it"))));
    assert!(resource.takes(&with(change("Done", "the rest of it"))));
}
