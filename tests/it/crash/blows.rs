//! Killed at each write to AWS and to Kubernetes, or its answer lost.

use std::time::Duration;

use futures::future::join_all;
use sandbox_aws::faults::{CONNECTION_RESET, Fault};

use super::stories::Story;
use super::{Side, Stage};
use crate::support::{Blow, Controller, Proxy, Write};

/// How long a held call is held: longer than any test.
pub const HELD_MS: u64 = 600_000;

pub const BLOWS: [Blow; 3] = [Blow::Before, Blow::After, Blow::Lost];

impl Stage {
    /// The proxy, where it is what deals blows.
    fn struck_proxy(&self) -> Option<&Proxy> {
        self.proxy
            .as_ref()
            .filter(|_| self.struck == Side::Kubernetes)
    }

    /// Deals a blow to a write to come.
    fn strike(&self, blow: Blow, skip: u64) {
        let fault = Fault {
            writes: true,
            skip,
            ..Fault::default()
        };
        let fault = match blow {
            Blow::Before => Fault {
                delay_ms: HELD_MS,
                ..fault
            },
            Blow::After => Fault {
                body_ms: HELD_MS,
                ..fault
            },
            Blow::Lost => Fault {
                code: Some(CONNECTION_RESET.to_owned()),
                after: true,
                ..fault
            },
        };
        match self.struck_proxy() {
            None => self.scene.aws.faults().add(fault),
            Some(proxy) => proxy.strike(Write::Any, blow, skip),
        }
    }

    /// The write that met the last blow, in words.
    fn met(&self, before: usize) -> Option<String> {
        match self.struck_proxy() {
            None if self.scene.aws.faults().all().is_empty() => {
                Some(format!("after {:?}", &self.writes()[before..]))
            }
            None => None,
            Some(proxy) => proxy.met(),
        }
    }

    /// Whether the last blow still waits for its write.
    fn waits(&self) -> bool {
        match self.struck_proxy() {
            None => !self.scene.aws.faults().all().is_empty(),
            Some(proxy) => proxy.waits(),
        }
    }

    /// Takes back a blow that nobody met.
    fn spare(&self) {
        match self.struck_proxy() {
            None => self.scene.aws.faults().clear(),
            Some(proxy) => proxy.spare(),
        }
    }

    /// Goes to a wish with a blow at a write. Answers whether there are so
    /// many.
    async fn struck(
        &mut self,
        controller: &mut Controller,
        to: usize,
        blow: Blow,
        write: u64,
    ) -> bool {
        let uttered = async |stage: &Self| stage.wishes[to].utter(&stage.scene).await;
        self.struck_after(uttered, controller, to, blow, write)
            .await
    }

    /// The same after something else than an uttered wish.
    pub async fn struck_after(
        &mut self,
        happens: impl AsyncFnOnce(&Self),
        controller: &mut Controller,
        to: usize,
        blow: Blow,
        write: u64,
    ) -> bool {
        let before = self.writes().len();
        self.strike(blow, write);
        happens(self).await;
        let what = format!("write {write} on the way to wish {to} comes, or there is none");
        let mut met = None;
        self.until(&what, async |glance| {
            met = self.met(before);
            if met.is_some() {
                return Ok(());
            }
            glance.shows(&self.worlds[to], &self.scene).await?;
            // The last write may have met it right before it was seen.
            if self.waits() {
                Ok(())
            } else {
                Err("a write was met".to_owned())
            }
        })
        .await;
        self.spare();
        let Some(met) = met else {
            return false;
        };
        if blow == Blow::After && self.struck == Side::Aws {
            // It is carried out in the moment in which it is met.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if blow != Blow::Lost {
            let next = self.start(&[]);
            std::mem::replace(controller, next).kill().await;
        }
        let what = format!("{blow:?} write {write} on the way to wish {to}: {met}");
        self.settled(to, &what).await;
        true
    }
}

/// Tells a story again and again, each time with a blow at another write, and
/// answers how many writes back and there met one.
async fn told(story: Story, side: Side, blow: Blow) -> [u64; 2] {
    let label = format!("{side:?}-{blow:?}").to_lowercase();
    let (stage, controller) = Stage::set(story, &label, side).await;
    told_on(stage, controller, blow).await
}

/// The same on a stage that is set.
pub async fn told_on(mut stage: Stage, mut controller: Controller, blow: Blow) -> [u64; 2] {
    let mut met = [0, 0];
    let mut over = [false, false];
    for write in 0.. {
        for to in [1, 0] {
            if over[to] {
                stage.wishes[to].utter(&stage.scene).await;
                stage.settled(to, "told without a blow").await;
            } else if stage.struck(&mut controller, to, blow, write).await {
                met[to] += 1;
            } else {
                over[to] = true;
            }
        }
        if over == [true, true] {
            break;
        }
    }
    stage.end().await;
    drop(controller);
    met
}

/// Tells a story while no process runs, and kills each that starts at another
/// of its calls, questions among them. Answers how many calls the last ones
/// made.
async fn told_to_the_next(story: Story) -> [u64; 2] {
    let (mut stage, controller) = Stage::set(story, "started", Side::Aws).await;
    controller.kill().await;
    let mut calls = [0, 0];
    let mut over = [false, false];
    while over != [true, true] {
        for to in [1, 0] {
            stage.wishes[to].utter(&stage.scene).await;
            let faults = stage.scene.aws.faults();
            faults.add(Fault {
                skip: calls[to],
                delay_ms: HELD_MS,
                ..Fault::default()
            });
            let first = stage.start(&[]);
            let call = calls[to];
            let what = format!("call {call} of a process that starts with wish {to}");
            stage
                .until(&what, async |glance| {
                    if stage.waits() {
                        glance.shows(&stage.worlds[to], &stage.scene).await
                    } else {
                        Ok(())
                    }
                })
                .await;
            let met = !stage.waits();
            stage.spare();
            first.kill().await;
            over[to] |= !met;
            calls[to] += u64::from(met);
            let second = stage.start(&[]);
            let what = format!("killed at {what}");
            stage.settled(to, &what).await;
            second.kill().await;
        }
    }
    let last = stage.start(&[]);
    stage.end().await;
    drop(last);
    calls
}

/// Tells a story with each kind of blow, side by side. Each kind meets at
/// least so many writes back and there.
async fn each(story: Story, side: Side, least: [u64; 2]) {
    let told = BLOWS.iter().map(|blow| told(story, side, *blow));
    for (blow, met) in BLOWS.iter().zip(join_all(told).await) {
        let enough = met[0] >= least[0] && met[1] >= least[1];
        assert!(enough, "{story:?} {blow:?} meets only {met:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_aws_of_a_create_and_a_deletion() {
    each(Story::Made, Side::Aws, [7, 13]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_aws_of_an_edit() {
    each(Story::Edited, Side::Aws, [8, 10]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_aws_of_a_member_that_leaves_and_comes_back() {
    each(Story::Left, Side::Aws, [4, 6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_aws_of_a_rule_that_moves_and_of_a_pod_that_is_replaced() {
    let moved = each(Story::Moved, Side::Aws, [2, 2]);
    let replaced = each(Story::Replaced, Side::Aws, [2, 2]);
    tokio::join!(moved, replaced);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_kubernetes_of_a_create_and_a_deletion() {
    each(Story::Made, Side::Kubernetes, [2, 4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_kubernetes_of_an_edit_and_of_a_rule_that_moves() {
    let edited = each(Story::Edited, Side::Kubernetes, [1, 1]);
    let moved = each(Story::Moved, Side::Kubernetes, [1, 1]);
    tokio::join!(edited, moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_to_kubernetes_of_a_member_that_leaves_and_comes_back() {
    each(Story::Left, Side::Kubernetes, [2, 4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_call_of_a_start() {
    let calls = told_to_the_next(Story::Edited).await;
    assert!(calls.iter().all(|calls| *calls >= 10), "{calls:?}");
}
