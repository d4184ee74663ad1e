//! Watches that are late, repeat their events and miss some, and an API server
//! that is away.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::stories::Story;
use super::{SHORT_LEASE, Side, Stage};
use crate::support::{Proxy, Scene, Watches};

/// The process gives up a [`SHORT_LEASE`], and ends, after so long without
/// Kubernetes.
const RENEW_DEADLINE: Duration = Duration::from_secs(4);
/// A time that it bears.
const MOMENT: Duration = Duration::from_secs(3);

/// Tells a story there and back while watches are unsound.
async fn told(story: Story, watches: Watches) {
    let label = format!("{watches:?}").to_lowercase();
    let (stage, controller) = Stage::set(story, &label, Side::Kubernetes).await;
    let proxy = stage.proxy.as_ref().unwrap();
    for to in [1, 0] {
        proxy.watches(watches);
        stage.wishes[to].utter(&stage.scene).await;
        if watches != Watches::Repeating {
            // What the process does of its own, if anything, it does by what
            // it knows.
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.watches(Watches::Sound);
        }
        stage
            .settled(to, &format!("{watches:?} to wish {to}"))
            .await;
    }
    proxy.watches(Watches::Sound);
    stage.end().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_late_repeat_and_miss_events() {
    let all = [Watches::Late, Watches::Repeating, Watches::Missing];
    let stories = [Story::Made, Story::Edited, Story::Replaced, Story::Left];
    for watches in all {
        join_all(stories.map(|story| told(story, watches))).await;
    }
}

/// Tells a story there and back, with Kubernetes away from its first write to
/// AWS on.
async fn away(story: Story, long: bool) {
    let label = if long { "away" } else { "moment" };
    let (mut stage, mut controller) = Stage::set(story, label, Side::Kubernetes).await;
    if long {
        drop(controller);
        stage.arguments = &[SHORT_LEASE];
        controller = stage.start(&[]);
        stage.scene.listed(&controller).await;
    }
    for to in [1, 0] {
        let before = stage.writes().len();
        stage.wishes[to].utter(&stage.scene).await;
        let what = "a first write";
        let first = async || {
            if stage.writes().len() > before {
                Ok(())
            } else {
                Err(())
            }
        };
        stage.scene.eventually(what, first).await;
        let proxy = stage.proxy.as_ref().unwrap();
        let began = Instant::now();
        proxy.away(true);
        if long {
            let ended = controller.ended().await;
            assert!(!ended.success(), "{ended:?}");
            assert!(began.elapsed() <= RENEW_DEADLINE + MOMENT * 4);
            // It begins anew while nobody answers.
            controller = stage.start(&[]);
        }
        tokio::time::sleep(MOMENT).await;
        stage.proxy.as_ref().unwrap().away(false);
        stage
            .settled(to, &format!("{label} on the way to wish {to}"))
            .await;
        // The one that lived through it is the one that goes on.
        assert!(
            controller.page("/healthz").await.is_some(),
            "{}",
            controller.log()
        );
    }
    stage.end().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_away_for_a_moment_and_for_longer_than_a_lease() {
    let stories = [Story::Made, Story::Edited, Story::Left];
    let short = stories.map(|story| away(story, false));
    let long = stories.map(|story| away(story, true));
    futures::join!(join_all(short), join_all(long));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_list_that_is_never_answered_is_asked_for_again() {
    let scene = Scene::new("crash-mute").await;
    let proxy = Proxy::start(scene.client.clone()).await;
    let flag = proxy.flag();
    let kinds = ["/namespaces", "/ingresses"];
    for (number, end) in kinds.into_iter().enumerate() {
        proxy.mute(end);
        let lease = format!("--leader-election-id=number-{number}");
        let controller = scene.controller(&[&flag, &lease]).await;
        assert!(!proxy.is_mute(), "{end}");
        let said = controller.log();
        assert!(said.contains("asking anew"), "{end}: {said}");
    }
}
