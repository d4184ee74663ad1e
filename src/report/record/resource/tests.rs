//! When the custom resource is written.

use super::*;

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
