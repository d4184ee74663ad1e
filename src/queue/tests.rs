//! The promises of the queue.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use std::collections::HashSet;

use super::*;

/// Short times, so that tests are quick; counts are what they assert.
fn quick() -> Pace {
    Pace {
        debounce: Duration::from_millis(5),
        longest_burst: Duration::from_millis(60),
        concurrency: 2,
        first_retry: Duration::from_millis(1),
        last_retry: Duration::from_millis(4),
        throttled_retry: Duration::from_millis(4),
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
                    Ok(None)
                }
            },
        )
    });
    for _ in 0..20 {
        queue.wake("a", Lane::Edit);
    }
    until(|| runs.load(Ordering::SeqCst) == 1).await;
    for _ in 0..20 {
        queue.wake("a", Lane::Edit);
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

/// A queue whose runs note their key and wait to be let go.
struct Gate {
    queue: Queue<u32>,
    ran: Arc<Mutex<Vec<(u32, Lane)>>>,
    turns: Arc<Mutex<Vec<Turn>>>,
    go: Arc<tokio::sync::Semaphore>,
    shutdown: CancellationToken,
}

impl Gate {
    fn new(concurrency: usize) -> Self {
        let (queue, work) = Queue::new(Pace {
            concurrency,
            ..quick()
        });
        let gate = Self {
            queue,
            ran: Arc::default(),
            turns: Arc::default(),
            go: Arc::new(tokio::sync::Semaphore::new(0)),
            shutdown: CancellationToken::new(),
        };
        let (ran, go) = (Arc::clone(&gate.ran), Arc::clone(&gate.go));
        let turns = Arc::clone(&gate.turns);
        tokio::spawn(work.run(
            gate.shutdown.clone(),
            |_| true,
            move |key: u32, turn| {
                ran.lock().unwrap().push((key, turn.lane()));
                turns.lock().unwrap().push(turn);
                let go = Arc::clone(&go);
                async move {
                    go.acquire().await.unwrap().forget();
                    Ok(None)
                }
            },
        ));
        gate
    }

    fn count(&self) -> usize {
        self.ran.lock().unwrap().len()
    }

    /// Waits until keys have a place among those that are ready.
    async fn ready(&self, keys: &[u32]) {
        let has_place = |key| {
            let state = self.queue.state();
            state.waiting.get(key).is_some_and(|w| w.place.is_some())
        };
        until(|| keys.iter().all(has_place)).await;
    }

    /// Waits until so many runs have started, and a little for one too many.
    async fn started(&self, count: usize) -> Vec<(u32, Lane)> {
        until(|| self.count() >= count).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let ran = self.ran.lock().unwrap().clone();
        assert_eq!(ran.len(), count, "{ran:?}");
        ran
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn a_restart_takes_half_of_the_places_and_what_is_half_made_a_quarter() {
    let gate = Gate::new(8);
    gate.queue.wake_all(0..100, Lane::Pending);
    gate.started(2).await;
    gate.queue.wake_all(100..200, Lane::Restart);
    let ran = gate.started(4).await;
    assert_eq!(ran[2].1, Lane::Restart);
    // Whoever changes something finds a place at once.
    gate.queue.wake(77, Lane::Edit);
    assert_eq!(gate.started(5).await[4], (77, Lane::Edit));
    gate.queue.wake_all(300..400, Lane::Targets);
    gate.started(8).await;
}

#[tokio::test]
async fn the_most_urgent_lane_runs_first_and_nobody_passes_in_a_lane() {
    let gate = Gate::new(1);
    gate.queue.wake(0, Lane::Edit);
    gate.started(1).await;
    gate.queue.wake(1, Lane::Restart);
    gate.queue.wake(2, Lane::Edit);
    gate.ready(&[1, 2]).await;
    gate.queue.wake(3, Lane::Edit);
    // Woken all the time: in front of nobody that came before.
    gate.queue.wake(0, Lane::Edit);
    gate.queue.wake(4, Lane::Targets);
    gate.ready(&[3, 4]).await;
    for _ in 0..5 {
        gate.queue.wake(0, Lane::Edit);
    }
    gate.go.add_permits(10);
    let ran = gate.started(6).await;
    assert_eq!(ran[1], (4, Lane::Targets));
    assert_eq!(ran[2], (2, Lane::Edit));
    assert_eq!(ran[5], (1, Lane::Restart));
}

#[tokio::test]
async fn a_key_that_waits_moves_to_a_more_urgent_lane() {
    let gate = Gate::new(2);
    gate.queue.wake_all(0..20, Lane::Restart);
    gate.started(1).await;
    gate.queue.wake(13, Lane::Edit);
    let ran = gate.started(2).await;
    assert_eq!(ran[1], (13, Lane::Edit));
    gate.go.add_permits(100);
    let ran = gate.started(20).await;
    let keys: HashSet<u32> = ran.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys.len(), 20);
}

#[tokio::test]
async fn a_run_that_is_woken_again_is_as_urgent_as_that() {
    let gate = Gate::new(2);
    gate.queue.wake(1, Lane::Restart);
    gate.started(1).await;
    gate.queue
        .wake_after(1, Lane::Targets, Duration::from_hours(1));
    assert_eq!(gate.turns.lock().unwrap()[0].lane(), Lane::Restart);
    gate.queue.wake(1, Lane::Edit);
    assert_eq!(gate.turns.lock().unwrap()[0].lane(), Lane::Edit);
}

#[tokio::test]
async fn a_throttle_is_no_failure_of_the_key() {
    let (queue, work) = Queue::new(Pace {
        first_retry: Duration::from_hours(1),
        ..quick()
    });
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
                        0..20 => Err(Failed::Throttled),
                        _ => Ok(None),
                    }
                }
            },
        )
    });
    queue.wake("a", Lane::Edit);
    until(|| runs.load(Ordering::SeqCst) == 21).await;
    shutdown.cancel();
    task.await.unwrap();
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
                    Ok(None)
                }
            },
        )
    });
    for key in 0..6 {
        queue.wake(key, Lane::Edit);
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
                Ok(None)
            }
        })
    });
    queue.wake("a", Lane::Edit);
    queue.wake("b", Lane::Edit);
    tokio::time::sleep(Duration::from_millis(30)).await;
    queue.wake("shared", Lane::Edit);
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
                        0..3 => Err(Failed::BackOff),
                        3 => Ok(Some(Duration::from_millis(1))),
                        _ => Ok(None),
                    }
                }
            },
        )
    });
    queue.wake("a", Lane::Edit);
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
                async { Ok(None) }
            },
        )
    });
    queue.wake_after("far", Lane::Edit, Duration::from_hours(1));
    assert_eq!(queue.depth(), 0);
    queue.wake("far", Lane::Edit);
    until(|| runs.load(Ordering::SeqCst) == 1).await;
    // Shorter pauses than the debounce: without the cut it would not run
    // before the bursts end.
    let bursts = std::thread::spawn(move || {
        for _ in 0..400 {
            queue.wake("busy", Lane::Edit);
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
                    Ok(None)
                }
            },
        )
    });
    queue.wake(1, Lane::Edit);
    queue.wake(2, Lane::Edit);
    until(|| started.load(Ordering::SeqCst) == 1).await;
    shutdown.cancel();
    task.await.unwrap();
    assert_eq!(started.load(Ordering::SeqCst), 1);
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

fn nothing() -> State<u16> {
    State {
        running: HashMap::new(),
        waiting: HashMap::new(),
        ready: Ready::new(),
        free: Ready::new(),
        came: 0,
    }
}

fn woken(state: &mut State<u16>, key: u16, lane: Lane, counts: bool) {
    let waits = Waits {
        due: Instant::now(),
        lane,
        place: None,
        counts: true,
    };
    state.waiting.insert(key, waits);
    state.is_ready(key, counts);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn the_next_is_the_one_that_a_look_at_all_that_wait_finds(
        keys in proptest::collection::vec((0..6_usize, proptest::bool::ANY, proptest::bool::ANY), 1..40),
        room in proptest::collection::vec(proptest::bool::ANY, 6),
    ) {
        let mut state = nothing();
        let mut all: Vec<(Lane, u16, bool)> = Vec::new();
        for (key, (lane, counts, runs)) in (0..).zip(keys) {
            let lane = Lane::ALL[lane];
            woken(&mut state, key, lane, counts);
            if runs {
                state.running.insert(key, Turn::new(lane).1);
            } else {
                all.push((lane, key, counts));
            }
        }
        // Within a lane they came in the order of their keys.
        all.sort_unstable();
        let has_room = |lane: Lane| room[Lane::ALL.iter().position(|l| *l == lane).unwrap_or(0)];
        let may = |(lane, _, counts): &(Lane, u16, bool)| !counts || has_room(*lane);
        while let Some(place) = all.iter().position(may) {
            let (lane, key, _) = all.remove(place);
            let next = state.next(has_room).map(|(key, lane, _)| (key, lane));
            proptest::prop_assert_eq!(next, Some((key, lane)));
        }
        proptest::prop_assert!(state.next(has_room).is_none());
    }
}

#[test]
fn who_finds_no_room_is_not_asked_one_by_one() {
    let mut state = nothing();
    for key in 0..1000 {
        woken(&mut state, key, Lane::Restart, true);
    }
    woken(&mut state, 1000, Lane::Restart, false);
    let asked = AtomicUsize::new(0);
    let next = |state: &mut State<u16>| {
        let has_room = |lane| {
            asked.fetch_add(1, Ordering::Relaxed);
            lane != Lane::Restart
        };
        state.next(has_room).map(|(key, ..)| key)
    };
    assert_eq!(next(&mut state), Some(1000));
    assert_eq!(next(&mut state), None);
    assert_eq!(asked.load(Ordering::Relaxed), 2 * Lane::ALL.len());
}
