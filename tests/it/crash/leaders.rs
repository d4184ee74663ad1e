//! Two leaders for a moment: a process is stopped until its Lease is another's
//! and wakes up in the middle of its work.

use std::time::Duration;

use futures::future::join_all;
use sandbox_aws::faults::Fault;

use super::stories::Story;
use super::{Side, Stage};
use crate::support::{Blow, Controller, Write};

/// For how long the woken one is watched after the end of its process, should
/// anything of it be on the way.
const LATER: Duration = Duration::from_millis(500);

/// When a process is stopped.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Before anything begins.
    Idle,
    /// When this write to AWS has been carried out, before it knows.
    Aws(u64),
    /// The same with a write to Kubernetes.
    Kubernetes(u64),
}

/// Stops the controller on the way to the second wish, and wakes it up when
/// another has fulfilled it.
async fn stopped(story: Story, when: When) {
    let label = match when {
        When::Idle => "idle".to_owned(),
        When::Aws(write) => format!("aws-{write}"),
        When::Kubernetes(write) => format!("kube-{write}"),
    };
    let (mut stage, first) = Stage::set(story, &label, Side::Kubernetes).await;
    drop(first);
    let lease = ["--leader-election-id=shared"];
    let old = stage.start(&lease);
    leads(&stage, &old).await;
    let utter = async || stage.wishes[1].utter(&stage.scene).await;
    let proxy = stage.proxy.as_ref().unwrap();
    match when {
        When::Idle => {
            old.stop();
            utter().await;
        }
        When::Aws(skip) => {
            stage.scene.aws.faults().add(Fault {
                writes: true,
                skip,
                body_ms: 300,
                ..Fault::default()
            });
            utter().await;
            stage.scene.faults_met("the write comes").await;
            old.stop();
        }
        When::Kubernetes(skip) => {
            proxy.strike(Write::Any, Blow::After, skip);
            utter().await;
            let met = async || proxy.met().ok_or("no write");
            stage.scene.eventually("the write comes", met).await;
            old.stop();
            // It reads the answer when it wakes up.
            proxy.let_go();
        }
    }

    // Not through the proxy: what goes through it is the old one's alone.
    let new = Controller::start(&stage.scene, &lease);
    let what = format!("{story:?} stopped at {when:?}, another takes over");
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
    use When::{Aws, Idle, Kubernetes};
    let create = [Idle, Aws(0), Aws(4), Aws(9), Kubernetes(0), Kubernetes(2)];
    let create = create.map(|when| stopped(Story::Made, when));
    let edit = [Idle, Aws(0), Aws(2), Kubernetes(0), Kubernetes(1)];
    let edit = edit.map(|when| stopped(Story::Edited, when));
    let left = [Idle, Aws(1), Kubernetes(1)].map(|when| stopped(Story::Left, when));
    futures::join!(join_all(create), join_all(edit), join_all(left));
}
