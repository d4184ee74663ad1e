//! Changes of records.

use super::*;
use crate::model::records::{HostFindings, Place};

fn host_change(host: &str) -> HostChange {
    HostChange {
        place: Place::new(host, "Z1"),
        holder: Some(group()),
        changes: vec![RecordChange::Create(RecordSet {
            name: host.to_owned(),
            kind: "TXT".to_owned(),
            ttl: Some(300),
            values: vec!["\"v\"".to_owned()],
            alias: None,
            set_identifier: None,
        })],
        why: "new".to_owned(),
    }
}

fn change_info(element: &str, status: &str) -> (u16, String) {
    let body = format!(
        "<{element} xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeInfo>\
         <Id>/change/C1</Id><Status>{status}</Status>\
         <SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></{element}>"
    );
    (200, body)
}

#[tokio::test]
async fn one_host_that_is_refused_does_not_hold_up_its_neighbours() {
    let server = Server::start(|request| {
        if request.contains("/change/C1") {
            change_info("GetChangeResponse", "INSYNC")
        } else if request.contains("bad.example.com") {
            let body = error_body("InvalidChangeBatch", "[it already exists]");
            (400, body)
        } else {
            change_info("ChangeResourceRecordSetsResponse", "PENDING")
        }
    })
    .await;
    let dns = Dns::new(
        server.aws.clone(),
        "demo",
        Some(Duration::from_hours(1)),
        Duration::from_mins(5),
    );
    let plan = DnsPlan {
        changes: vec![
            host_change("bad.example.com"),
            host_change("good.example.com"),
        ],
        states: BTreeMap::new(),
        findings: HostFindings::new(),
    };
    let stop = CancellationToken::new();
    let applied = dns::run(&server.aws, &dns, &plan, &stop).await;
    assert_eq!(server.seen().len(), 3, "together, then one by one");
    assert_eq!(
        applied.failed.keys().collect::<Vec<_>>(),
        [&Place::new("bad.example.com", "Z1")]
    );
    let [submitted] = applied.submitted.as_slice() else {
        panic!("{applied:?}");
    };
    assert_eq!(submitted.change, "C1");
    assert_eq!(submitted.places, [Place::new("good.example.com", "Z1")]);
    assert!(dns::in_sync(&server.aws, "C1").await.unwrap());
}
