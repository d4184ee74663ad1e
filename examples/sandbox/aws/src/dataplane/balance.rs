//! Whose turn it is among the targets of a group: the algorithms of target
//! groups, and slow start.
//!
//! Pure but for what it remembers: the latest choice in each group and the
//! requests that are under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::targets::group_of;
use crate::state::{State, TargetGroup, TargetKey};

/// Shares in slow start are drawn in these parts.
const PARTS: u32 = 1_000_000;

/// Remembers, for each target group on its own. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balance(Arc<Mutex<HashMap<String, Remembered>>>);

#[derive(Debug, Default)]
struct Remembered {
    latest: Option<TargetKey>,
    /// Requests that are under way, of the targets that have any.
    outstanding: BTreeMap<TargetKey, usize>,
}

/// How a target was found among others, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Round robin.
    Turn,
    /// It has the fewest requests under way: so many.
    Fewest(usize),
    /// By chance.
    Drawn,
}

impl How {
    /// The words for it.
    pub(crate) fn tell(self) -> String {
        match self {
            Self::Turn => "its turn".to_owned(),
            Self::Fewest(outstanding) => {
                format!("fewest requests outstanding, {outstanding},")
            }
            Self::Drawn => "drawn".to_owned(),
        }
    }
}

/// A request that is under way to a target; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Outstanding {
    balance: Balance,
    group: String,
    target: TargetKey,
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        let mut groups = self.balance.lock();
        if let Some(remembered) = groups.get_mut(&self.group)
            && let Some(count) = remembered.outstanding.get_mut(&self.target)
        {
            *count -= 1;
            if *count == 0 {
                remembered.outstanding.remove(&self.target);
            }
        }
    }
}

impl Balance {
    /// Chooses among `candidates`, which are sorted, by the algorithm of the
    /// group. `draw` gives a number below its argument.
    pub(crate) fn choose(
        &self,
        group: &TargetGroup,
        candidates: &[TargetKey],
        now: Timestamp,
        draw: &mut dyn FnMut(u32) -> u32,
    ) -> Option<(TargetKey, How)> {
        let mut groups = self.lock();
        let remembered = match groups.get_mut(&group.arn) {
            Some(remembered) => remembered,
            None => groups.entry(group.arn.clone()).or_default(),
        };
        let algorithm = group.attributes.get("load_balancing.algorithm.type");
        let (chosen, how) = match algorithm.map(String::as_str) {
            Some("least_outstanding_requests") => remembered.fewest(candidates)?,
            Some("weighted_random") => {
                let below = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
                let drawn = usize::try_from(draw(below.max(1))).unwrap_or_default();
                (candidates.get(drawn)?, How::Drawn)
            }
            _ => (remembered.turn(group, candidates, now, draw)?, How::Turn),
        };
        remembered.latest = Some(chosen.clone());
        Some((chosen.clone(), how))
    }

    /// Counts a request until what is answered is dropped.
    pub(crate) fn begin(&self, group: &str, target: &TargetKey) -> Outstanding {
        let mut groups = self.lock();
        let remembered = groups.entry(group.to_owned()).or_default();
        *remembered.outstanding.entry(target.clone()).or_default() += 1;
        Outstanding {
            balance: self.clone(),
            group: group.to_owned(),
            target: target.clone(),
        }
    }

    /// Forgets the groups that are gone.
    pub(crate) fn retain(&self, states: &[&State]) {
        self.lock()
            .retain(|group, _| group_of(states, group).is_some());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// The candidates beginning after the one that was taken last.
    fn in_turn<'a>(&self, candidates: &'a [TargetKey]) -> impl Iterator<Item = &'a TargetKey> {
        let first = self.latest.as_ref().map_or(0, |latest| {
            candidates.partition_point(|candidate| candidate <= latest)
        });
        candidates[first..].iter().chain(&candidates[..first])
    }

    /// The next in turn; one in slow start is passed over as often as its
    /// share is below a whole one.
    fn turn<'a>(
        &self,
        group: &TargetGroup,
        candidates: &'a [TargetKey],
        now: Timestamp,
        draw: &mut dyn FnMut(u32) -> u32,
    ) -> Option<&'a TargetKey> {
        let taken = self.in_turn(candidates).find(|candidate| {
            let share = share(group, candidate, now);
            share >= PARTS || draw(PARTS) < share
        });
        // All are in slow start: passing over all of them helps nobody.
        taken.or_else(|| self.in_turn(candidates).next())
    }

    /// The one with the fewest requests under way, the next in turn of several.
    fn fewest<'a>(&self, candidates: &'a [TargetKey]) -> Option<(&'a TargetKey, How)> {
        let outstanding = |candidate: &TargetKey| {
            let count = self.outstanding.get(candidate);
            count.copied().unwrap_or_default()
        };
        let found = self
            .in_turn(candidates)
            .min_by_key(|candidate| outstanding(candidate))?;
        Some((found, How::Fewest(outstanding(found))))
    }
}

/// What a target gets of a whole share, in parts: it grows from nothing to all
/// of it over the duration of slow start.
fn share(group: &TargetGroup, target: &TargetKey, now: Timestamp) -> u32 {
    let began = group
        .targets
        .get(target)
        .and_then(|target| target.slow_start);
    let Some(began) = began else {
        return PARTS;
    };
    let whole_ms = group.slow_start_seconds() * 1000;
    let passed_ms = u64::try_from(now.duration_since(began).as_millis()).unwrap_or_default();
    if passed_ms >= whole_ms {
        return PARTS;
    }
    u32::try_from(passed_ms * u64::from(PARTS) / whole_ms).unwrap_or(PARTS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::dataplane::tests::world::{account, add_balancer, add_group, group_arn, register};

    fn keys(ids: &[&str]) -> Vec<TargetKey> {
        ids.iter()
            .map(|&id| TargetKey {
                id: id.to_owned(),
                port: 8080,
            })
            .collect()
    }

    fn group(algorithm: &str, targets: &[&str]) -> TargetGroup {
        let mut state = account();
        add_balancer(&mut state, "web");
        add_group(&mut state, "g", "web", 80);
        for target in targets {
            register(&mut state, "g", target);
        }
        let mut group = state.target_groups.remove(&group_arn("g")).unwrap();
        let key = "load_balancing.algorithm.type".to_owned();
        group.attributes.insert(key, algorithm.to_owned());
        group
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn round_robin_goes_on_when_targets_come_and_go() {
        let (balance, group) = (Balance::default(), group("round_robin", &[]));
        let next = |ids: &[&str]| {
            let chosen = balance.choose(&group, &keys(ids), NOW, &mut |_| 0);
            chosen.map(|(key, _)| key.id)
        };
        assert_eq!(next(&[]), None);
        assert_eq!(next(&["a", "b", "c"]).as_deref(), Some("a"));
        assert_eq!(next(&["a", "b", "c"]).as_deref(), Some("b"));
        assert_eq!(next(&["a", "c"]).as_deref(), Some("c"));
        assert_eq!(next(&["a", "c"]).as_deref(), Some("a"));
        assert_eq!(next(&["b"]).as_deref(), Some("b"));
        assert_eq!(next(&["b"]).as_deref(), Some("b"));
    }

    #[test]
    fn the_fewest_outstanding_requests_decide() {
        let balance = Balance::default();
        let group = group("least_outstanding_requests", &[]);
        let targets = keys(&["a", "b", "c"]);
        let next = || {
            let (key, how) = balance.choose(&group, &targets, NOW, &mut |_| 0).unwrap();
            (balance.begin(&group.arn, &key), key.id, how)
        };
        let (first, a, how) = next();
        assert_eq!((a.as_str(), how), ("a", How::Fewest(0)));
        let (_second, b, _) = next();
        let (_third, c, _) = next();
        assert_eq!((b.as_str(), c.as_str()), ("b", "c"));
        drop(first);
        let (_fourth, again, how) = next();
        assert_eq!((again.as_str(), how), ("a", How::Fewest(0)));
        let (_fifth, next, how) = next();
        assert_eq!((next.as_str(), how), ("b", How::Fewest(1)));
    }

    #[test]
    fn chance_decides() {
        let (balance, group) = (Balance::default(), group("weighted_random", &[]));
        let targets = keys(&["a", "b", "c"]);
        for (drawn, expected) in [(2, "c"), (2, "c"), (0, "a")] {
            let mut draw = |below| {
                assert_eq!(below, 3);
                drawn
            };
            let (key, how) = balance.choose(&group, &targets, NOW, &mut draw).unwrap();
            assert_eq!((key.id.as_str(), how), (expected, How::Drawn));
        }
    }

    #[test]
    fn a_share_grows_over_slow_start() {
        let mut group = group("round_robin", &["a", "b"]);
        let slow = "slow_start.duration_seconds".to_owned();
        group.attributes.insert(slow, "100".to_owned());
        let targets = keys(&["a", "b"]);
        let young = group.targets.get_mut(&targets[1]).unwrap();
        young.slow_start = Some(NOW);
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(share(&group, &targets[0], at(1)), PARTS);
        assert_eq!(share(&group, &targets[1], at(25)), PARTS / 4);
        assert_eq!(share(&group, &targets[1], at(100)), PARTS);
        // Of twenty turns it gets a quarter of its ten.
        let balance = Balance::default();
        let mut number = 0;
        let mut draw = |below| {
            number = (number + below / 4) % below;
            number
        };
        let chosen = (0..16).map(|_| {
            let chosen = balance.choose(&group, &targets, at(25), &mut draw);
            chosen.unwrap().0.id
        });
        assert_eq!(chosen.filter(|id| id == "b").count(), 3);
    }
}
