//! Killed at each write to AWS, or its answer lost.

use std::time::Duration;

use futures::future::join_all;
use sandbox_aws::faults::{CONNECTION_RESET, Fault};

use super::Stage;
use super::stories::Story;
use crate::support::Controller;

/// How long a held call is held: longer than any test.
const HELD_MS: u64 = 600_000;

/// What happens at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// Killed while the call has been sent and nothing has been done.
    Before,
    /// Killed while the call has been carried out and the answer is on its
    /// way.
    After,
    /// The answer is lost; the process lives on.
    Lost,
}

impl Blow {
    fn fault(self, skip: u64) -> Fault {
        let fault = Fault {
            writes: true,
            skip,
            ..Fault::default()
        };
        match self {
            Self::Before => Fault {
                delay_ms: HELD_MS,
                ..fault
            },
            Self::After => Fault {
                body_ms: HELD_MS,
                ..fault
            },
            Self::Lost => Fault {
                code: Some(CONNECTION_RESET.to_owned()),
                after: true,
                ..fault
            },
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Lost => "lost",
        }
    }
}

/// Tells a story again and again, each time with a blow at another write, and
/// answers how many writes there and back met one.
async fn told(story: Story, blow: Blow) -> (Story, Blow, [u64; 2]) {
    let (mut stage, mut controller) = Stage::set(story, blow.label()).await;
    let mut met = [0, 0];
    let mut over = [false, false];
    for write in 0.. {
        for to in [1, 0] {
            if over[to] {
                stage.wishes[to].utter(&stage.scene).await;
                stage.settled(to, "told without a blow").await;
            } else if struck(&mut stage, &mut controller, to, blow, write).await {
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
    (story, blow, met)
}

/// Goes to a wish with a blow at a write. Answers whether there are so many.
async fn struck(
    stage: &mut Stage,
    controller: &mut Controller,
    to: usize,
    blow: Blow,
    write: u64,
) -> bool {
    let before = stage.writes().len();
    stage.scene.aws.faults().add(blow.fault(write));
    stage.wishes[to].utter(&stage.scene).await;
    let scene = &stage.scene;
    let world = &stage.worlds[to];
    let met = scene
        .eventually("the write comes, or there are no more", async || {
            if scene.aws.faults().all().is_empty() {
                return Ok(true);
            }
            world.is(scene).await.map(|()| false)
        })
        .await;
    scene.aws.faults().clear();
    if !met {
        return false;
    }
    if blow == Blow::After {
        // It is carried out in the moment in which it is met.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let made = &stage.writes()[before..];
    let what = format!("{blow:?} write {write} on the way to wish {to}, after {made:?}");
    if blow != Blow::Lost {
        let next = stage.start(&[]);
        std::mem::replace(controller, next).kill().await;
    }
    stage.settled(to, &what).await;
    true
}

/// Tells stories side by side, with each kind of blow.
async fn all(stories: &[Story], blows: &[Blow]) {
    let told = stories.iter().flat_map(|story| {
        let told = |blow: &Blow| told(*story, *blow);
        blows.iter().map(told)
    });
    for (story, blow, met) in join_all(told).await {
        println!("{story:?} {blow:?}: {met:?}");
    }
}

const BLOWS: [Blow; 3] = [Blow::Before, Blow::After, Blow::Lost];

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_of_a_create_and_a_deletion() {
    all(&[Story::Made], &BLOWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_of_an_edit() {
    all(&[Story::Edited], &BLOWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_of_a_member_that_leaves_and_comes_back() {
    all(&[Story::Left], &BLOWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_of_rules_that_move_and_of_pods_that_are_replaced() {
    all(&[Story::Moved, Story::Replaced], &BLOWS).await;
}
