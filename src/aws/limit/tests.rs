//! The promises of the rate limits, in simulated time.

#![allow(clippy::expect_used)]

use super::*;

/// A level with two tokens, four a second after that.
fn level(now: Instant, reads: bool, burst: f64) -> Level {
    let full = Rate {
        burst,
        per_second: 4.0,
    };
    Level {
        full,
        reads,
        per_second: full.per_second,
        tokens: full.burst,
        at: now,
        waiting: BTreeSet::new(),
        came: 0,
        passed: 0,
    }
}

/// The order in which those who wait are served, time going on as needed.
fn served(level: &mut Level, mut now: Instant) -> Vec<(Lane, u64)> {
    let mut order = Vec::new();
    'next: while !level.waiting.is_empty() {
        let all: Vec<Waiting> = level.waiting.iter().copied().collect();
        let mut pause = None;
        for place in all {
            match level.take(place, false, now) {
                Ok(()) => {
                    order.push((place.lane, place.run));
                    continue 'next;
                }
                Err(wait) => pause = pause.or(wait),
            }
        }
        now += pause.expect("somebody is next");
    }
    order
}

#[test]
fn a_burst_is_free_and_the_rest_waits_for_its_token() {
    let now = Instant::now();
    let mut level = level(now, true, 2.0);
    for _ in 0..2 {
        let place = level.enter(1, Lane::Edit);
        assert_eq!(level.take(place, false, now), Ok(()));
    }
    let third = level.enter(1, Lane::Edit);
    let fourth = level.enter(1, Lane::Edit);
    assert_eq!(
        level.take(third, false, now),
        Err(Some(Duration::from_millis(250)))
    );
    assert_eq!(
        level.take(fourth, false, now),
        Err(None),
        "the third is in front"
    );
    assert_eq!(
        level.take(third, false, now + Duration::from_millis(250)),
        Ok(())
    );
}

#[test]
fn a_throttle_halves_the_rate_and_it_grows_back() {
    let now = Instant::now();
    let mut level = level(now, true, 2.0);
    level.slow_down(now);
    let place = level.enter(1, Lane::Edit);
    assert_eq!(
        level.take(place, false, now),
        Err(Some(Duration::from_millis(500)))
    );
    for _ in 0..10 {
        level.slow_down(now);
    }
    assert!((level.per_second - 0.4).abs() < 1e-9, "a tenth is kept");
    level.refill(now + Duration::from_mins(2));
    assert!((level.per_second - 4.0).abs() < 1e-9);
}

#[test]
fn retries_are_charged_although_nobody_could_ask() {
    let now = Instant::now();
    let mut level = level(now, true, 2.0);
    for _ in 0..4 {
        level.charge(now);
    }
    let place = level.enter(1, Lane::Targets);
    assert_eq!(
        level.take(place, false, now),
        Err(Some(Duration::from_millis(750)))
    );
}

#[test]
fn who_waits_is_served_by_lane_and_the_runs_of_a_lane_in_turn() {
    let now = Instant::now();
    let mut level = level(now, false, 1.0);
    level.tokens = 0.0;
    level.enter(7, Lane::Restart);
    for _ in 0..3 {
        level.enter(1, Lane::Edit);
    }
    level.enter(2, Lane::Edit);
    level.enter(3, Lane::Targets);
    assert_eq!(
        served(&mut level, now),
        [
            (Lane::Targets, 3),
            (Lane::Edit, 1),
            (Lane::Edit, 2),
            (Lane::Edit, 1),
            (Lane::Edit, 1),
            (Lane::Restart, 7),
        ]
    );
}

#[test]
fn one_token_in_ten_goes_to_whoever_waits_longest() {
    let now = Instant::now();
    let mut level = level(now, true, 5.0);
    level.tokens = 0.0;
    level.enter(8, Lane::Verification);
    level.enter(7, Lane::Restart);
    for _ in 0..30 {
        level.enter(1, Lane::Edit);
    }
    let order = served(&mut level, now);
    let place = |lane| order.iter().position(|(l, _)| *l == lane);
    assert_eq!(place(Lane::Restart), Some(9), "{order:?}");
    assert_eq!(place(Lane::Verification), Some(31), "{order:?}");
}

#[test]
fn low_lanes_leave_a_part_of_the_reads_and_verification_half_of_all() {
    let now = Instant::now();
    let free = |lane, reads| {
        let mut level = level(now, reads, 11.0);
        let mut taken = 0;
        loop {
            let place = level.enter(1, lane);
            if level.take(place, false, now).is_err() {
                return taken;
            }
            taken += 1;
        }
    };
    assert_eq!(free(Lane::Targets, true), 11);
    assert_eq!(free(Lane::Restart, true), 9);
    assert_eq!(free(Lane::Creation, false), 11);
    assert_eq!(free(Lane::Verification, true), 6);
    assert_eq!(free(Lane::Verification, false), 6);
}

#[test]
fn nobody_is_preferred_who_is_held() {
    let now = Instant::now();
    let mut level = level(now, true, 30.0);
    level.tokens = 0.0;
    level.enter(7, Lane::Restart);
    for _ in 0..PASSED_AT_MOST {
        let place = level.enter(1, Lane::Edit);
        level.tokens += 1.0;
        assert_eq!(level.take(place, true, now), Ok(()));
    }
    level.tokens += 1.0;
    let place = level.enter(1, Lane::Edit);
    assert_eq!(level.take(place, false, now), Err(None));
    assert_eq!(level.take(place, true, now), Ok(()));
}

async fn take<'a>(limits: &'a Limits, turn: &Turn) -> Permit<'a> {
    lane::within(turn.clone(), limits.take(Bucket::ElbRead)).await
}

#[tokio::test]
async fn while_somebody_waits_the_others_make_one_call_at_a_time() {
    let limits = Limits::new(&Rates::unlimited());
    let (restart, _) = Turn::new(Lane::Restart);
    let (edit, _) = Turn::new(Lane::Edit);
    let _first = take(&limits, &restart).await;
    drop(take(&limits, &restart).await);
    let run = limits.begin(&edit);
    let mut third = Box::pin(take(&limits, &restart));
    assert!(futures::poll!(third.as_mut()).is_pending());
    // Its own calls do not wait.
    let own = take(&limits, &edit).await;
    let _more = take(&limits, &edit).await;
    drop(own);
    assert!(futures::poll!(third.as_mut()).is_pending());
    drop(run);
    let _third = third.await;
}

#[tokio::test]
async fn what_a_run_does_in_a_low_lane_makes_way_too_and_holds_up_nobody() {
    let limits = Limits::new(&Rates::unlimited());
    let (edit, _) = Turn::new(Lane::Edit);
    let making = edit.at_most(Lane::Creation);
    let _run = limits.begin(&edit);
    let part = limits.begin(&making);
    let _one = take(&limits, &making).await;
    let _two = take(&limits, &making).await;
    drop(part);
    let mut other = Box::pin(take(&limits, &making));
    assert!(futures::poll!(other.as_mut()).is_pending());
}

#[tokio::test]
async fn a_run_that_somebody_comes_to_wait_for_waits_no_longer_itself() {
    let limits = Limits::new(&Rates::unlimited());
    let (edit, _) = Turn::new(Lane::Edit);
    let (restart, promote) = Turn::new(Lane::Restart);
    let _edit = limits.begin(&edit);
    let _restart = limits.begin(&restart);
    let _held = take(&limits, &restart).await;
    let mut more = Box::pin(take(&limits, &restart));
    assert!(futures::poll!(more.as_mut()).is_pending());
    promote.to(Lane::Verification);
    assert!(futures::poll!(more.as_mut()).is_pending());
    promote.to(Lane::Edit);
    let _more = more.await;
}

#[tokio::test]
async fn who_gives_up_leaves_the_order() {
    let rate = Rate {
        burst: 1.0,
        per_second: 1.0,
    };
    let limits = Limits::new(&Rates(BTreeMap::from([(Bucket::ElbWrite, rate)])));
    drop(limits.take(Bucket::ElbWrite).await);
    let mut gives_up = Box::pin(limits.take(Bucket::ElbWrite));
    assert!(futures::poll!(gives_up.as_mut()).is_pending());
    drop(gives_up);
    drop(limits.take(Bucket::ElbWrite).await);
}

#[test]
fn a_bucket_without_a_rate_is_free() {
    let limits = Limits::new(&Rates::unlimited());
    limits.charge(Bucket::ElbHeavy);
    assert_eq!(limits.with(Bucket::ElbHeavy, |_| ()), None);
}
