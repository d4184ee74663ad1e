//! The promises of the queue.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Short times, so that tests are quick; counts are what they assert.
fn quick() -> Pace {
    Pace {
        debounce: Duration::from_millis(5),
        longest_burst: Duration::from_millis(60),
        concurrency: 2,
        of_backlog: 1,
        first_retry: Duration::from_millis(1),
        last_retry: Duration::from_millis(4),
    }
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(condition(), "did not happen within 10 s");
}

#[test]
fn retries_double_up_to_the_bound_and_jitter_spans_all_of_it() {
    let pace = Pace::default();
    let at_most = |failures| pace.retry_delay(failures, 1.0).as_secs();
    assert_eq!([at_most(1), at_most(2), at_most(3)], [1, 2, 4]);
    assert_eq!(
        [at_most(9), at_most(10), at_most(u32::MAX)],
        [256, 300, 300]
    );
    assert_eq!(pace.retry_delay(5, 0.0), Duration::ZERO);
    assert_eq!(pace.retry_delay(2, 0.5), Duration::from_secs(1));
}

#[tokio::test]
async fn a_burst_is_one_run_and_a_wake_up_during_a_run_is_one_more() {
    let (queue, work) = Queue::new(quick());
    let shutdown = CancellationToken::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let together = Arc::new(AtomicUsize::new(0));
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let task = tokio::spawn({
        let (runs, together) = (Arc::clone(&runs), Arc::clone(&together));
        let (release, shutdown) = (Arc::clone(&release), shutdown.clone());
        work.run(
            shutdown,
            |_| true,
            move |_: &'static str, _| {
                let (runs, together) = (Arc::clone(&runs), Arc::clone(&together));
                let release = Arc::clone(&release);
                async move {
                    assert_eq!(together.fetch_add(1, Ordering::SeqCst), 0);
                    runs.fetch_add(1, Ordering::SeqCst);
                    release.acquire().await.unwrap().forget();
                    together.fetch_sub(1, Ordering::SeqCst);
                    Ok::<_, ()>(None)
                }
            },
        )
    });
    for _ in 0..20 {
        queue.wake("a");
    }
    until(|| runs.load(Ordering::SeqCst) == 1).await;
    for _ in 0..20 {
        queue.wake("a");
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(queue.depth(), 1);
    release.add_permits(1);
    until(|| runs.load(Ordering::SeqCst) == 2).await;
    release.add_permits(1);
    until(|| together.load(Ordering::SeqCst) == 0).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    shutdown.cancel();
    task.await.unwrap();
}

/// A queue whose runs last until they are let go, one by one; what ran, and
/// whether each run was urgent when it ended.
struct Held {
    queue: Queue<u32>,
    begun: Arc<Mutex<Vec<u32>>>,
    ended: Arc<Mutex<Vec<(u32, bool)>>>,
    release: Arc<tokio::sync::Semaphore>,
    shutdown: CancellationToken,
}

impl Held {
    fn new(pace: Pace) -> Self {
        let (queue, work) = Queue::new(pace);
        let held = Self {
            queue,
            begun: Arc::default(),
            ended: Arc::default(),
            release: Arc::new(tokio::sync::Semaphore::new(0)),
            shutdown: CancellationToken::new(),
        };
        let (begun, ended) = (Arc::clone(&held.begun), Arc::clone(&held.ended));
        let release = Arc::clone(&held.release);
        let run = move |key: u32, urgency: Urgency| {
            begun.lock().unwrap().push(key);
            let (ended, release) = (Arc::clone(&ended), Arc::clone(&release));
            async move {
                release.acquire().await.unwrap().forget();
                ended.lock().unwrap().push((key, urgency.is_urgent()));
                Ok::<_, ()>(None)
            }
        };
        tokio::spawn(work.run(held.shutdown.clone(), |_| true, run));
        held
    }

    fn begun(&self) -> Vec<u32> {
        self.begun.lock().unwrap().clone()
    }

    fn ended(&self) -> Vec<(u32, bool)> {
        self.ended.lock().unwrap().clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn a_backlog_goes_in_order_and_leaves_places_to_what_is_woken() {
    let held = Held::new(quick());
    held.queue.wake_behind(0..50);
    until(|| held.begun() == [0]).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(held.begun(), [0], "one place of two");
    assert_eq!(held.queue.depth(), 49);
    held.queue.wake(7);
    until(|| held.begun() == [0, 7]).await;
    held.release.add_permits(3);
    until(|| held.begun() == [0, 7, 1, 2]).await;
    held.release.add_permits(100);
    until(|| held.ended().len() == 50).await;
    let order: Vec<u32> = held.begun()[2..].to_vec();
    let rest: Vec<u32> = (1..50).filter(|key| *key != 7).collect();
    assert_eq!(order, rest, "each once, in order");
    let urgent: Vec<u32> = held.ended().iter().filter(|e| e.1).map(|e| e.0).collect();
    assert_eq!(urgent, [7]);
}

#[tokio::test]
async fn a_run_of_the_backlog_is_told_when_its_key_is_woken_and_makes_room() {
    let held = Held::new(Pace {
        concurrency: 3,
        ..quick()
    });
    held.queue.wake_behind(0..3);
    until(|| held.begun() == [0]).await;
    // News for many: they come no sooner for that.
    held.queue.wake_along([0, 2]);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(held.begun(), [0]);
    held.queue.wake(0);
    until(|| held.begun() == [0, 1]).await;
    held.release.add_permits(1);
    until(|| held.ended().len() == 1).await;
    held.release.add_permits(100);
    until(|| held.ended().len() == 4).await;
    // It was woken while it ran, so it runs once more.
    let mut ended = held.ended();
    ended.sort_unstable();
    assert_eq!(ended, [(0, true), (0, true), (1, false), (2, false)]);
    held.queue.wake_along([5]);
    until(|| held.ended().last() == Some(&(5, true))).await;
}

#[tokio::test]
async fn no_more_keys_run_at_once_than_allowed_and_all_get_their_turn() {
    let (queue, work) = Queue::new(quick());
    let shutdown = CancellationToken::new();
    let (now, most, total) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let task = tokio::spawn({
        let (now, most, total) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&total));
        work.run(
            shutdown.clone(),
            |_| true,
            move |_: u32, _| {
                let (now, most, total) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&total));
                async move {
                    let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(count, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    total.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, ()>(None)
                }
            },
        )
    });
    for key in 0..6 {
        queue.wake(key);
    }
    until(|| total.load(Ordering::SeqCst) == 6).await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn what_others_wait_for_runs_beside_a_full_house() {
    let (queue, work) = Queue::new(quick());
    let shutdown = CancellationToken::new();
    let shared = Arc::new(tokio::sync::Semaphore::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn({
        let (shared, ended) = (Arc::clone(&shared), Arc::clone(&ended));
        let counts = |key: &&str| *key != "shared";
        work.run(shutdown.clone(), counts, move |key: &'static str, _| {
            let (shared, ended) = (Arc::clone(&shared), Arc::clone(&ended));
            async move {
                if key == "shared" {
                    shared.add_permits(2);
                } else {
                    shared.acquire().await.unwrap().forget();
                }
                ended.fetch_add(1, Ordering::SeqCst);
                Ok::<_, ()>(None)
            }
        })
    });
    queue.wake("a");
    queue.wake("b");
    tokio::time::sleep(Duration::from_millis(30)).await;
    queue.wake("shared");
    until(|| ended.load(Ordering::SeqCst) == 3).await;
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_failure_comes_again_and_a_success_only_when_it_asks_for_it() {
    let (queue, work) = Queue::new(quick());
    let shutdown = CancellationToken::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn({
        let runs = Arc::clone(&runs);
        work.run(
            shutdown.clone(),
            |_| true,
            move |_: &'static str, _| {
                let run = runs.fetch_add(1, Ordering::SeqCst);
                async move {
                    match run {
                        0..3 => Err("refused"),
                        3 => Ok(Some(Duration::from_millis(1))),
                        _ => Ok(None),
                    }
                }
            },
        )
    });
    queue.wake("a");
    until(|| runs.load(Ordering::SeqCst) == 5).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 5);
    assert_eq!(queue.depth(), 0);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_wake_up_overtakes_a_far_retry_and_an_endless_burst_is_cut() {
    let (queue, work) = Queue::new(quick());
    let shutdown = CancellationToken::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn({
        let runs = Arc::clone(&runs);
        work.run(
            shutdown.clone(),
            |_| true,
            move |_: &'static str, _| {
                runs.fetch_add(1, Ordering::SeqCst);
                async { Ok::<_, ()>(None) }
            },
        )
    });
    queue.wake_after("far", Duration::from_hours(1));
    assert_eq!(queue.depth(), 0);
    queue.wake("far");
    until(|| runs.load(Ordering::SeqCst) == 1).await;
    // Shorter pauses than the debounce: without the cut it would not run
    // before the bursts end.
    let bursts = std::thread::spawn(move || {
        for _ in 0..400 {
            queue.wake("busy");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    until(|| runs.load(Ordering::SeqCst) >= 2).await;
    assert!(!bursts.is_finished());
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_the_running_end_and_starts_nothing_new() {
    let (queue, work) = Queue::new(Pace {
        concurrency: 1,
        ..quick()
    });
    let shutdown = CancellationToken::new();
    let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let task = tokio::spawn({
        let (started, ended) = (Arc::clone(&started), Arc::clone(&ended));
        work.run(
            shutdown.clone(),
            |_| true,
            move |_: u32, _| {
                started.fetch_add(1, Ordering::SeqCst);
                let ended = Arc::clone(&ended);
                async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, ()>(None)
                }
            },
        )
    });
    queue.wake(1);
    queue.wake(2);
    until(|| started.load(Ordering::SeqCst) == 1).await;
    shutdown.cancel();
    task.await.unwrap();
    assert_eq!(started.load(Ordering::SeqCst), 1);
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}
