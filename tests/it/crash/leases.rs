//! Killed at a write of the Lease, or its answer lost: the next process takes
//! over, and nobody writes before it leads.

use std::time::Duration;

use sandbox_aws::faults::Fault;

use super::blows::{BLOWS, HELD_MS};
use super::stories::Story;
use super::{SHORT_LEASE, Side, Stage};
use crate::support::{Blow, Controller, Write};

/// For how long what a killed process has sent may be on its way.
const ON_THE_WAY: Duration = Duration::from_millis(500);

impl Stage {
    /// A process that wants a Lease that others want too.
    fn candidate(&mut self, lease: &str) -> Controller {
        let lease = format!("--leader-election-id={lease}");
        self.start(&[&lease, SHORT_LEASE])
    }

    /// Waits until a process leads. Nobody may write meanwhile: no other lives.
    async fn takes_over(&self, controller: &Controller, what: &str) {
        let written = || {
            let proxy = self.proxy.as_ref().unwrap();
            (self.writes().len(), proxy.writes().len())
        };
        // Until then it is not noted.
        tokio::time::sleep(ON_THE_WAY).await;
        let before = written();
        self.scene
            .eventually(&format!("it leads: {what}"), async || {
                // In this order: what was written by now was not by a leader,
                // if the log does not say that it leads after that.
                let now = written();
                let log = controller.log();
                if log.contains(" leading ") {
                    return Ok(());
                }
                assert_eq!(now, before, "{what}: written before it leads: {log}");
                Err(log)
            })
            .await;
    }

    /// Waits until the write that is struck comes.
    async fn comes(&self, what: &str) {
        let proxy = self.proxy.as_ref().unwrap();
        let met = async || proxy.met().map(|_| ()).ok_or("not met");
        self.scene.eventually(what, met).await;
    }

    fn strike_lease(&self, write: Write, blow: Blow) {
        let proxy = self.proxy.as_ref().unwrap();
        proxy.strike(write, blow, 0);
    }
}

async fn set(label: &str) -> Stage {
    let (stage, first) = Stage::set(Story::Edited, label, Side::Kubernetes).await;
    first.kill().await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_writes_by_which_a_lease_is_made_and_renewed() {
    let mut stage = set("lease-made").await;
    let mut to = 0;
    for blow in BLOWS {
        to = 1 - to;
        let lease = format!("made-{blow:?}").to_lowercase();
        let what = format!("{blow:?} when the Lease is made");
        stage.strike_lease(Write::Lease, blow);
        let first = stage.candidate(&lease);
        stage.comes(&what).await;
        stage.wishes[to].utter(&stage.scene).await;
        let mut controller = if blow == Blow::Lost {
            first
        } else {
            first.kill().await;
            stage.candidate(&lease)
        };
        stage.takes_over(&controller, &what).await;
        stage.settled(to, &what).await;

        to = 1 - to;
        let what = format!("{blow:?} when the Lease is renewed");
        let standby = stage.candidate(&lease);
        stage.strike_lease(Write::Lease, blow);
        stage.wishes[to].utter(&stage.scene).await;
        stage.comes(&what).await;
        if blow == Blow::Lost {
            stage.settled(to, &what).await;
            // Who has renewed it without being told has it all the same.
            assert!(controller.page("/healthz").await.is_some(), "{what}");
            assert!(!standby.log().contains(" leading "), "{what}");
            standby.kill().await;
        } else {
            std::mem::replace(&mut controller, standby).kill().await;
            stage.takes_over(&controller, &what).await;
            stage.settled(to, &what).await;
        }
        controller.kill().await;
    }
    let last = stage.start(&[]);
    stage.end().await;
    drop(last);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_last_writes_of_a_process_that_ends() {
    let mut stage = set("lease-given-back").await;
    let mut to = 0;
    for write in [Write::Release, Write::Any] {
        for blow in BLOWS {
            let lease = format!("{write:?}-{blow:?}").to_lowercase();
            let what = format!("{blow:?} at a write of {write:?} at the end");
            let mut first = stage.candidate(&lease);
            stage.takes_over(&first, &what).await;
            stage.settled(to, &what).await;
            if write == Write::Any {
                // Its record of the targets is a minute late, or comes at the
                // end.
                let pods = ["10.0.48.71", "10.0.80.73"];
                stage.scene.service(&stage.scene.name, "web", &pods).await;
                let comes = async || {
                    let is_target = stage.scene.account(|state| {
                        let groups = state.target_groups.values();
                        let mut targets = groups.flat_map(|group| group.targets.keys());
                        targets.any(|target| target.id == pods[1])
                    });
                    is_target.then_some(()).ok_or("not yet")
                };
                stage.scene.eventually("the pod is a target", comes).await;
                stage.scene.quiet().await;
            }
            stage.strike_lease(write, blow);
            if blow == Blow::Lost {
                let ended = first.terminate().await;
                assert!(ended.success(), "{what}: {ended:?}\n{}", first.log());
            } else {
                first.told_to_end();
                stage.comes(&what).await;
                first.kill().await;
            }
            to = 1 - to;
            stage.wishes[to].utter(&stage.scene).await;
            let next = stage.candidate(&lease);
            stage.takes_over(&next, &what).await;
            stage.settled(to, &what).await;
            next.kill().await;
        }
    }
    let last = stage.start(&[]);
    stage.end().await;
    drop(last);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_take_over_of_a_standby() {
    let mut stage = set("lease-taken").await;
    let mut to = 0;
    let at_the_lease = BLOWS.map(|blow| (Some(blow), 0));
    let at_a_call = [0, 2, 5, 9].map(|call| (None, call));
    for (blow, call) in at_the_lease.into_iter().chain(at_a_call) {
        let lease = format!("taken-{blow:?}-{call}").to_lowercase();
        let lease = lease.replace(['(', ')'], "");
        let what = format!("a standby takes over: {blow:?} at the Lease, or at call {call}");
        let first = stage.candidate(&lease);
        stage.takes_over(&first, &what).await;
        stage.settled(to, &what).await;
        let mut standby = stage.candidate(&lease);
        standby.ready().await;
        first.kill().await;
        to = 1 - to;
        stage.wishes[to].utter(&stage.scene).await;
        if let Some(blow) = blow {
            stage.strike_lease(Write::Lease, blow);
            stage.comes(&what).await;
        } else {
            stage.scene.aws.faults().add(Fault {
                skip: call,
                delay_ms: HELD_MS,
                ..Fault::default()
            });
            stage.scene.faults_met(&what).await;
        }
        if blow != Some(Blow::Lost) {
            let third = stage.candidate(&lease);
            std::mem::replace(&mut standby, third).kill().await;
        }
        stage.takes_over(&standby, &what).await;
        stage.settled(to, &what).await;
        standby.kill().await;
    }
    let last = stage.start(&[]);
    stage.end().await;
    drop(last);
}
