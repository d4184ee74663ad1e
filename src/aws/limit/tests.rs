//! The promises of the rate limits, in simulated time.

#![allow(clippy::expect_used)]

use std::sync::Arc;

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

fn turn(lane: Lane, run: u64) -> Turn {
    Turn { lane, run }
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
        let place = level.enter(turn(Lane::Edit, 1));
        assert_eq!(level.take(place, false, now), Ok(()));
    }
    let third = level.enter(turn(Lane::Edit, 1));
    let fourth = level.enter(turn(Lane::Edit, 1));
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
    let place = level.enter(turn(Lane::Edit, 1));
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
    let place = level.enter(turn(Lane::Targets, 1));
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
    level.enter(turn(Lane::Restart, 7));
    for _ in 0..3 {
        level.enter(turn(Lane::Edit, 1));
    }
    level.enter(turn(Lane::Edit, 2));
    level.enter(turn(Lane::Targets, 3));
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
    level.enter(turn(Lane::Verification, 8));
    level.enter(turn(Lane::Restart, 7));
    for _ in 0..30 {
        level.enter(turn(Lane::Edit, 1));
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
            let place = level.enter(turn(lane, 1));
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
    level.enter(turn(Lane::Restart, 7));
    for _ in 0..PASSED_AT_MOST {
        let place = level.enter(turn(Lane::Edit, 1));
        level.tokens += 1.0;
        assert_eq!(level.take(place, true, now), Ok(()));
    }
    level.tokens += 1.0;
    let place = level.enter(turn(Lane::Edit, 1));
    assert_eq!(level.take(place, false, now), Err(None));
    assert_eq!(level.take(place, true, now), Ok(()));
}

#[tokio::test]
async fn while_somebody_waits_the_others_make_one_call_at_a_time() {
    let limits = Arc::new(Limits::new(&Rates::unlimited()));
    let take = |lane, run| lane::within(turn(lane, run), limits.take(Bucket::ElbRead));
    let _first = take(Lane::Restart, 1).await;
    let second = take(Lane::Restart, 2).await;
    drop(second);
    let live = limits.live(turn(Lane::Edit, 3));
    let mut third = Box::pin(take(Lane::Restart, 2));
    assert!(futures::poll!(third.as_mut()).is_pending());
    // Its own calls do not wait.
    let own = take(Lane::Edit, 3).await;
    let _more = take(Lane::Edit, 3).await;
    drop(own);
    drop(live);
    let _third = third.await;
}

#[tokio::test]
async fn a_low_run_is_not_one_that_somebody_waits_for() {
    let limits = Limits::new(&Rates::unlimited());
    let _restart = limits.live(turn(Lane::Restart, 1));
    let made = limits.live(turn(Lane::Edit, 2));
    limits.no_longer_live(2);
    let take = |run| lane::within(turn(Lane::Creation, run), limits.take(Bucket::ElbWrite));
    let _one = take(2).await;
    let _two = take(2).await;
    drop(made);
}

#[tokio::test]
async fn who_gives_up_leaves_the_order() {
    let rate = Rate {
        burst: 1.0,
        per_second: 20.0,
    };
    let limits = Limits::new(&Rates(BTreeMap::from([(Bucket::ElbWrite, rate)])));
    drop(limits.take(Bucket::ElbWrite).await);
    let patience = Duration::from_millis(10);
    let gave_up = tokio::time::timeout(patience, limits.take(Bucket::ElbWrite)).await;
    assert!(gave_up.is_err());
    let next = lane::within(turn(Lane::Restart, 9), limits.take(Bucket::ElbWrite));
    drop(next.await);
}

#[test]
fn a_bucket_without_a_rate_is_free() {
    let limits = Limits::new(&Rates::unlimited());
    limits.charge(Bucket::ElbHeavy);
    assert_eq!(limits.with(Bucket::ElbHeavy, |_| ()), None);
}
