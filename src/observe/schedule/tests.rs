//! The schedule over hours, second by second.

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn periods(of: impl Fn(&mut Periods)) -> Periods {
    let mut periods = Periods {
        fast: None,
        tag: None,
        slow: None,
        target: None,
        network: None,
    };
    of(&mut periods);
    periods
}

fn groups(count: usize) -> Vec<GroupId> {
    let group = |n: usize| GroupId::Explicit(format!("g{n:04}"));
    (0..count).map(group).collect()
}

fn arns(count: usize) -> Vec<Arn> {
    (0..count).map(|n| Arn::from(format!("tg{n}"))).collect()
}

/// All of these groups, last read at the same time.
fn read(schedule: &mut Schedule, groups: &[GroupId], at: Instant) {
    for group in groups {
        schedule.know(group, Some(at), &BTreeSet::new(), &BTreeSet::new());
    }
}

/// One group that has these target groups, last read then; `None`: it goes.
fn with_targets(schedule: &mut Schedule, arns: &[Arn], at: Option<Instant>) {
    let group = GroupId::Explicit("g".to_owned());
    let there: BTreeSet<Arn> = arns.iter().cloned().collect();
    let none = BTreeSet::new();
    match at {
        Some(_) => schedule.know(&group, at, &none, &there),
        None => schedule.know(&group, at, &there, &none),
    }
}

fn next_targets(schedule: &mut Schedule, now: Instant) -> Option<Arn> {
    schedule.next_targets(now).map(|(arn, _)| arn)
}

/// Looks each second for so long; the seconds in which something came.
fn run<K>(
    begun: Instant,
    how_long: Duration,
    mut next: impl FnMut(Instant) -> Option<K>,
) -> Vec<(u64, K)> {
    (0..how_long.as_secs())
        .filter_map(|second| Some((second, next(begun + Duration::from_secs(second))?)))
        .collect()
}

#[test]
fn all_groups_come_once_in_each_period_and_evenly_spread() {
    let begun = Instant::now();
    let slow = Duration::from_hours(10);
    for count in [1_usize, 7, 100, 1_000] {
        let mut schedule = Schedule::new(periods(|p| p.slow = Some(slow)), begun, 7);
        // All were read at the start, at the same time.
        let all = groups(count);
        read(&mut schedule, &all, begun);
        let came = run(begun, 3 * slow, |now| schedule.next_group(now));
        let spacing = slow.as_secs() / count as u64;
        for pair in came.windows(2) {
            let pause = pair[1].0 - pair[0].0;
            assert!(pause.abs_diff(spacing) <= 1, "{count}: {pause} s");
        }
        for group in &all {
            let of_group: Vec<u64> = came
                .iter()
                .filter(|(_, of)| of == group)
                .map(|(second, _)| *second)
                .collect();
            assert!(
                of_group[0] <= slow.as_secs() + spacing,
                "{count}: {of_group:?}"
            );
            for pair in of_group.windows(2) {
                let pause = pair[1] - pair[0];
                let late = pause.saturating_sub(slow.as_secs());
                assert!(late <= count as u64 + 1, "{count}: {of_group:?}");
            }
        }
    }
}

#[test]
fn each_process_begins_with_others() {
    let begun = Instant::now();
    let all = groups(50);
    let first = |seed| {
        let slow = periods(|p| p.slow = Some(Duration::from_hours(1)));
        let mut schedule = Schedule::new(slow, begun, seed);
        read(&mut schedule, &all, begun - DAY);
        schedule.next_group(begun)
    };
    let firsts: BTreeSet<_> = (0..20).map(first).collect();
    assert!(firsts.len() > 10, "{firsts:?}");
}

#[test]
fn who_was_read_for_another_reason_waits_longer_and_a_new_one_comes_in_turn() {
    let begun = Instant::now();
    let slow = Duration::from_secs(100);
    let mut schedule = Schedule::new(periods(|p| p.slow = Some(slow)), begun, 1);
    let names = groups(2);
    read(&mut schedule, &names[..1], begun - Duration::from_secs(1));
    read(&mut schedule, &names[1..], begun - DAY);
    assert_eq!(schedule.next_group(begun), Some(names[1].clone()));
    // The other one's turn comes after half of the period.
    let half = begun + slow / 2;
    assert_eq!(schedule.next_group(half - Duration::from_secs(1)), None);
    assert_eq!(schedule.next_group(half), Some(names[0].clone()));
    for name in &names {
        schedule.know(name, None, &BTreeSet::new(), &BTreeSet::new());
    }
    assert_eq!(schedule.next_group(half + slow), None);
}

#[test]
fn however_many_there_are_no_more_than_one_comes_in_a_second() {
    let begun = Instant::now();
    let target = Duration::from_secs(10);
    let mut schedule = Schedule::new(periods(|p| p.target = Some(target)), begun, 1);
    let all = arns(1_000);
    with_targets(&mut schedule, &all, Some(begun - DAY));
    let came = run(begun, Duration::from_mins(10), |now| {
        next_targets(&mut schedule, now)
    });
    let seconds: BTreeSet<u64> = came.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds.len(), came.len());
    let others: BTreeSet<&Arn> = came.iter().map(|(_, arn)| arn).collect();
    assert_eq!(others.len(), came.len(), "nobody twice before all came");
}

#[test]
fn targets_come_in_turn_however_often_the_rest_of_their_group_is_read() {
    let begun = Instant::now();
    let target = Duration::from_secs(4);
    let mut schedule = Schedule::new(periods(|p| p.target = Some(target)), begun, 1);
    let all = arns(2);
    with_targets(&mut schedule, &all, Some(begun));
    let came = run(begun, Duration::from_mins(1), |now| {
        let next = next_targets(&mut schedule, now);
        with_targets(&mut schedule, &all, Some(now));
        next
    });
    for arn in &all {
        let of_group = came.iter().filter(|(_, of)| of == arn).count();
        assert!(of_group >= 14, "{came:?}");
    }
}

#[test]
fn targets_that_changed_come_sooner_and_less_and_less_often() {
    let begun = Instant::now();
    let target = Duration::from_hours(10);
    let mut schedule = Schedule::new(periods(|p| p.target = Some(target)), begun, 1);
    let all = arns(3);
    with_targets(&mut schedule, &all, Some(begun));
    let changed = all[0].clone();
    schedule.changed(&changed, begun);
    // Once more: the count begins anew.
    schedule.changed(&changed, begun + Duration::from_secs(39));
    let came = run(begun, Duration::from_hours(3), |now| {
        next_targets(&mut schedule, now)
    });
    let came: Vec<u64> = came
        .iter()
        .inspect(|(_, arn)| assert_eq!(*arn, changed))
        .map(|(second, _)| *second)
        .collect();
    assert_eq!(came, [100, 100 + 480, 100 + 480 + 3_600]);
    // Then it is one of the idle ones, and they come in turn.
    let later = begun + Duration::from_hours(3);
    let came = run(later, 2 * target, |now| next_targets(&mut schedule, now));
    for arn in &all {
        let looks = came.iter().filter(|(_, of)| of == arn).count();
        assert!((2..=3).contains(&looks), "{arn}: {came:?}");
    }
}

#[test]
fn of_many_that_changed_one_comes_in_two_seconds_and_none_is_forgotten() {
    let begun = Instant::now();
    let target = Duration::from_hours(10);
    let mut schedule = Schedule::new(periods(|p| p.target = Some(target)), begun, 1);
    let all = arns(500);
    with_targets(&mut schedule, &all, Some(begun));
    for arn in &all {
        schedule.changed(arn, begun);
    }
    let came = run(begun, Duration::from_mins(20), |now| {
        next_targets(&mut schedule, now)
    });
    assert!(came.len() <= 600, "{}", came.len());
    let looked: BTreeSet<&Arn> = came.iter().map(|(_, arn)| arn).collect();
    assert_eq!(looked.len(), all.len());
    // One that is gone is not asked for.
    let later = begun + Duration::from_hours(2);
    with_targets(&mut schedule, &all, None);
    assert_eq!(next_targets(&mut schedule, later), None);
    assert!(schedule.soon.is_empty() && schedule.soon_order.is_empty());
}

#[test]
fn passes_come_once_in_a_period_and_again_soon_after_a_failure() {
    let begun = Instant::now();
    let fast = Duration::from_mins(5);
    let tiers = periods(|p| {
        p.fast = Some(fast);
        p.tag = Some(Duration::from_hours(1));
    });
    let mut schedule = Schedule::new(tiers, begun, 1);
    let mut next = |after: u64, ok: bool| {
        let now = begun + Duration::from_secs(after);
        let tier = schedule.next_pass(now);
        if let Some(tier) = tier.filter(|_| ok) {
            schedule.done(tier, now);
        }
        tier
    };
    assert_eq!(next(0, true), Some(Tier::Fast));
    assert_eq!(next(0, true), Some(Tier::Tag));
    assert_eq!(next(0, true), None);
    assert_eq!(next(299, true), None);
    assert_eq!(next(300, false), Some(Tier::Fast));
    assert_eq!(next(300, false), None);
    assert_eq!(next(359, false), None);
    assert_eq!(next(360, true), Some(Tier::Fast));
    assert_eq!(next(659, true), None);
    assert_eq!(next(660, true), Some(Tier::Fast));
    assert_eq!(next(3_600, true), Some(Tier::Fast));
    assert_eq!(next(3_600, true), Some(Tier::Tag));
}

#[test]
fn a_short_period_does_not_keep_the_others_out() {
    let begun = Instant::now();
    let short = Some(Duration::from_secs(1));
    let tiers = periods(|p| {
        p.fast = short;
        p.network = short;
        p.tag = short;
    });
    let mut schedule = Schedule::new(tiers, begun, 1);
    let came = run(begun, Duration::from_secs(30), |now| {
        let tier = schedule.next_pass(now);
        if let Some(tier) = tier {
            schedule.done(tier, now);
        }
        tier
    });
    for tier in [Tier::Fast, Tier::Network, Tier::Tag] {
        let count = came.iter().filter(|(_, of)| *of == tier).count();
        assert_eq!(count, 10, "{came:?}");
    }
}

#[test]
fn what_is_off_never_comes() {
    let begun = Instant::now();
    let mut schedule = Schedule::new(periods(|_| ()), begun, 1);
    let all = arns(3);
    with_targets(&mut schedule, &all, Some(begun - DAY));
    schedule.changed(&all[0], begun);
    let late = begun + DAY;
    assert_eq!(schedule.next_pass(late), None);
    assert_eq!(next_targets(&mut schedule, late), None);
    read(&mut schedule, &groups(3), begun);
    assert_eq!(schedule.next_group(late), None);
    assert!(schedule.groups().is_empty() && schedule.target_groups().is_empty());
}

#[test]
fn a_target_group_that_is_found_to_be_anothers_is_read_as_such() {
    let begun = Instant::now();
    let target = Duration::from_hours(10);
    let mut schedule = Schedule::new(periods(|p| p.target = Some(target)), begun, 1);
    let (none, one) = (BTreeSet::new(), BTreeSet::from([Arn::from("tg")]));
    let all = groups(2);
    let read = Some(begun - DAY);
    schedule.know(&all[1], read, &none, &one);
    schedule.know(&all[0], read, &none, &one);
    schedule.know(&all[1], read, &one, &none);
    let next = schedule.next_targets(begun);
    assert_eq!(next, Some((Arn::from("tg"), Arc::new(all[0].clone()))));
}

/// A round as it would be without an order that is kept.
struct Plain {
    period: Duration,
    due: Instant,
    known: BTreeMap<u8, Instant>,
    looked: BTreeMap<u8, Instant>,
}

impl Plain {
    fn next(&mut self, now: Instant, place: impl Fn(u8) -> u64) -> Option<u8> {
        if self.due > now {
            return None;
        }
        let count = u32::try_from(self.known.len()).unwrap_or(1).max(1);
        let spacing = (self.period / count).max(LEAST_SPACING);
        let next = self.due + spacing;
        self.due = if next > now { next } else { now + spacing };
        let last = |key: &u8, read: &Instant| {
            let looked = self.looked.get(key);
            looked.map_or(*read, |looked| *looked.max(read))
        };
        let all = self.known.iter();
        let all = all.map(|(key, read)| (last(key, read), place(*key), *key));
        let (read, _, key) = all.min()?;
        if read + spacing > now {
            return None;
        }
        self.looked.insert(key, now);
        Some(key)
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn the_next_is_the_one_that_a_look_at_all_finds(
        steps in proptest::collection::vec((0..6_u8, 0..4_u8, 1..90_u64), 1..80)
    ) {
        let begun = Instant::now();
        let period = Duration::from_secs(100);
        let mut round: Round<u8, ()> = Round::new(Some(period), begun, 3);
        let mut plain = Plain {
            period,
            due: begun,
            known: BTreeMap::new(),
            looked: BTreeMap::new(),
        };
        let mut now = begun;
        for (key, what, seconds) in steps {
            now += Duration::from_secs(seconds / 3);
            match what {
                0 => {
                    round.forget(&key);
                    plain.known.remove(&key);
                    plain.looked.remove(&key);
                }
                1 => {
                    let read = now - Duration::from_secs(seconds);
                    round.know(&key, &(), read);
                    plain.known.insert(key, read);
                }
                _ => {
                    let next = round.next(now).map(|(key, ())| key);
                    let expected = plain.next(now, |key| round.place(&key));
                    proptest::prop_assert_eq!(next, expected);
                }
            }
            proptest::prop_assert_eq!(round.known.len(), plain.known.len());
            proptest::prop_assert_eq!(round.order.len(), plain.known.len());
        }
    }
}
