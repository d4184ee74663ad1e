//! A write that AWS carries out only when its caller is dead.

use futures::future::join_all;
use sandbox_aws::faults::Fault;

use super::stories::Story;
use super::{Side, Stage};
use crate::support::WATCHFUL;

/// When the write comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// When the next process has done its work, and the wish has turned back
    /// meanwhile: nobody wants what it does.
    Unwanted,
    /// Together with the first write of the next process, which has looked
    /// before, and wants the same.
    Meanwhile,
}

impl Stage {
    /// Has a write to come held.
    fn hold(&self, skip: u64) {
        self.scene.aws.faults().add(Fault {
            writes: true,
            held: true,
            skip,
            ..Fault::default()
        });
    }

    /// Waits until so many writes are held, or all is as a wish asks without.
    /// Answers how many are.
    async fn holds(&self, count: usize, to: usize, what: &str) -> usize {
        let faults = self.scene.aws.faults();
        self.until(what, async |glance| {
            if faults.held().len() >= count {
                Ok(())
            } else {
                glance.shows(&self.worlds[to], &self.scene).await
            }
        })
        .await;
        faults.clear();
        faults.held().len()
    }
}

/// Tells a story back and forth, and has another write come late each time.
/// Answers how many did on the way to each wish.
async fn told(story: Story, late: Late) -> [usize; 2] {
    let label = format!("late-{late:?}").to_lowercase();
    let (mut stage, first) = Stage::set(story, &label, Side::Aws).await;
    first.kill().await;
    stage.arguments = &WATCHFUL;
    let mut met = [0, 0];
    let mut controller = stage.start(&[]);
    for to in [1, 0] {
        let from = 1 - to;
        stage.wishes[from].utter(&stage.scene).await;
        stage.settled(from, "all is as before").await;
        for write in 0.. {
            stage.hold(write);
            stage.wishes[to].utter(&stage.scene).await;
            let what = format!("{late:?} write {write} on the way to wish {to}");
            if stage.holds(1, to, &what).await == 0 {
                break;
            }
            let held = stage.scene.aws.faults().held();
            let what = format!("{what}: {held:?} after {:?}", stage.writes());
            met[to] += 1;
            controller.kill().await;
            if late == Late::Meanwhile {
                stage.hold(0);
                controller = stage.start(&[]);
                stage.holds(2, to, &what).await;
                stage.let_go().await;
                stage.settled(to, &what).await;
                stage.wishes[from].utter(&stage.scene).await;
            } else if story == Story::Made && to == 0 {
                // What is on its way out goes, and comes anew.
                controller = stage.start(&[]);
                stage.wishes[from].utter(&stage.scene).await;
                stage.settled(from, &format!("before {what}")).await;
                stage.renew(&mut controller).await;
                stage.let_go().await;
            } else {
                stage.wishes[from].utter(&stage.scene).await;
                let before = stage.writes().len();
                controller = stage.start(&[]);
                stage.scene.listed(&controller).await;
                stage.settled(from, &format!("before {what}")).await;
                if stage.writes().len() > before {
                    stage.renew(&mut controller).await;
                }
                stage.let_go().await;
            }
            stage.settled(from, &what).await;
        }
    }
    stage.end().await;
    drop(controller);
    met
}

/// Tells stories side by side; each has at least so many writes on the way to
/// each wish.
async fn each(stories: &[(Story, [usize; 2])], late: Late) {
    let told = stories.iter().map(|(story, _)| told(*story, late));
    for ((story, least), met) in stories.iter().zip(join_all(told).await) {
        let enough = met[0] >= least[0] && met[1] >= least[1];
        assert!(enough, "{story:?} {late:?} meets only {met:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_create_and_a_deletion_that_nobody_wants_any_more_is_mended() {
    each(&[(Story::Made, [7, 13])], Late::Unwanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_an_edit_that_nobody_wants_any_more_is_mended() {
    let others = [
        (Story::Edited, [8, 10]),
        (Story::Moved, [2, 2]),
        (Story::Replaced, [2, 2]),
    ];
    each(&others, Late::Unwanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_member_that_leaves_and_that_nobody_wants_any_more_is_mended() {
    each(&[(Story::Left, [4, 6])], Late::Unwanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_with_those_of_the_next_process() {
    let stories = [(Story::Made, [7, 13]), (Story::Edited, [8, 10])];
    each(&stories, Late::Meanwhile).await;
}
