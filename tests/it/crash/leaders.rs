//! Two leaders for a moment: a process is stopped until its Lease is another's
//! and wakes up in the middle of its work.

use std::time::Duration;

use futures::future::join_all;
use sandbox_aws::faults::Fault;

use super::stories::Story;
use super::{SHORT_LEASE, Side, Stage};
use crate::support::Controller;

/// For how long the woken one is watched after the end of its process, should
/// anything of it be on the way.
const LATER: Duration = Duration::from_millis(500);

/// Stops the controller when a write of the way to the second wish has been
/// carried out, before it knows; with no number, before anything begins.
async fn stopped(story: Story, write: Option<u64>) {
    let label = write.map_or("idle".to_owned(), |write| format!("stopped-{write}"));
    let (mut stage, first) = Stage::set(story, &label, Side::Kubernetes).await;
    drop(first);
    let lease = ["--leader-election-id=shared", SHORT_LEASE];
    let old = stage.start(&lease);
    leads(&stage, &old).await;
    if let Some(skip) = write {
        stage.scene.aws.faults().add(Fault {
            writes: true,
            skip,
            body_ms: 300,
            ..Fault::default()
        });
        stage.wishes[1].utter(&stage.scene).await;
        let met = async || {
            let faults = stage.scene.aws.faults().all();
            if faults.is_empty() {
                Ok(())
            } else {
                Err(faults)
            }
        };
        stage.scene.eventually("the write comes", met).await;
        old.stop();
    } else {
        old.stop();
        stage.wishes[1].utter(&stage.scene).await;
    }

    // Not through the proxy: what goes through it is the old one's alone.
    let new = Controller::start(&stage.scene, &lease);
    let what = format!("{story:?} stopped at write {write:?}, another takes over");
    stage.settled(1, &what).await;
    stage.scene.quiet().await;
    let proxy = stage.proxy.as_ref().unwrap();
    let (to_aws, to_kubernetes) = (stage.writes().len(), proxy.writes().len());
    let mut old = old;
    old.wake();
    let ended = old.ended().await;
    assert!(!ended.success(), "{ended:?}\n{}", old.log());
    tokio::time::sleep(LATER).await;
    assert_eq!(stage.writes()[to_aws..], [""; 0], "{what}\n{}", old.log());
    let proxy = stage.proxy.as_ref().unwrap();
    assert_eq!(
        proxy.writes()[to_kubernetes..],
        [""; 0],
        "{what}\n{}",
        old.log()
    );
    stage.settled(1, "the old one has changed nothing").await;
    stage.end().await;
    drop(new);
}

async fn leads(stage: &Stage, controller: &Controller) {
    stage.scene.listed(controller).await;
    stage.scene.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_stopped_until_its_lease_was_anothers_writes_nothing_more() {
    let create = [None, Some(0), Some(4), Some(9)];
    let create = create.map(|write| stopped(Story::Made, write));
    let edit = [None, Some(0), Some(2)].map(|write| stopped(Story::Edited, write));
    let left = [None, Some(1)].map(|write| stopped(Story::Left, write));
    futures::join!(join_all(create), join_all(edit), join_all(left));
}
