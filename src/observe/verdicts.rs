//! What AWS refused, remembered for a while: then it is tried again, since a
//! certificate may have been issued or a quota raised.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::finding::{NAME_TAKEN, Verdict};
use crate::model::group::GroupId;
use crate::model::verdicts;

/// A name that is taken is looked at again after this; the pause doubles each
/// time, up to the verification interval. A person who has put the marks back
/// does not want to wait long, and one look costs three calls.
const NAME_TAKEN_AGAIN: Duration = Duration::from_mins(1);

/// All verdicts that count, and the pauses of those that have just ended.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    group: GroupId,
    verdict: Verdict,
    /// When it ends.
    until: Instant,
    /// How long it counts.
    pause: Duration,
    /// Whether it has ended: it is only known for its pause.
    ended: bool,
}

impl Verdicts {
    /// Adds one for at most `interval`. One that says anew what an older one
    /// says [replaces](verdicts::replaces) it. Answers whether it is new.
    pub fn add(
        &mut self,
        group: &GroupId,
        verdict: Verdict,
        interval: Duration,
        now: Instant,
    ) -> bool {
        let mut entries = self.0.iter();
        let place = entries.position(|e| verdicts::replaces(&verdict, &e.verdict));
        let before = place.map(|place| self.0.remove(place));
        let known = before
            .as_ref()
            .is_some_and(|before| !before.ended && before.verdict == verdict);
        let pause = match before {
            _ if verdict.code != NAME_TAKEN => interval,
            Some(before) if before.ended => (before.pause * 2).min(interval),
            Some(before) => before.pause,
            None => NAME_TAKEN_AGAIN.min(interval),
        };
        self.0.push(Entry {
            group: group.clone(),
            verdict,
            until: now + pause,
            pause,
            ended: false,
        });
        !known
    }

    /// Forgets those about a group that is gone.
    pub fn forget(&mut self, group: &GroupId) {
        self.0.retain(|entry| entry.group != *group);
    }

    /// All that count, the latest last.
    pub fn all(&self) -> Vec<Verdict> {
        let count = self.0.iter().filter(|entry| !entry.ended);
        count.map(|entry| entry.verdict.clone()).collect()
    }

    /// Ends those whose time is over; answers their groups.
    pub fn expire(&mut self, now: Instant) -> BTreeSet<GroupId> {
        let mut groups = BTreeSet::new();
        for entry in self.0.iter_mut().filter(|entry| !entry.ended) {
            if entry.until <= now {
                entry.ended = true;
                groups.insert(entry.group.clone());
            }
        }
        // What did not come back in as long again is over.
        self.0
            .retain(|entry| !entry.ended || entry.until + entry.pause > now);
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::ObjectName;

    const INTERVAL: Duration = Duration::from_mins(5);

    fn verdict(code: &str) -> Verdict {
        Verdict {
            ingress: ObjectName::new("shop", "web"),
            subject: "spec".to_owned(),
            value: "target group".to_owned(),
            code: code.to_owned(),
            message: "no".to_owned(),
        }
    }

    /// Adds a verdict each time that it ends; answers after how many seconds
    /// each did.
    fn pauses(code: &str, count: usize) -> Vec<u64> {
        let group = GroupId::Explicit("shop".to_owned());
        let mut verdicts = Verdicts::default();
        let mut now = Instant::now();
        (0..count)
            .map(|_| {
                assert!(verdicts.add(&group, verdict(code), INTERVAL, now));
                assert!(!verdicts.add(&group, verdict(code), INTERVAL, now));
                assert_eq!(verdicts.all().len(), 1);
                let pause = verdicts.0[0].pause;
                assert!(verdicts.expire(now + pause / 2).is_empty());
                now += pause;
                assert_eq!(verdicts.expire(now), [group.clone()].into());
                assert!(verdicts.all().is_empty());
                pause.as_secs()
            })
            .collect()
    }

    #[test]
    fn a_verdict_counts_for_one_interval() {
        assert_eq!(pauses("CertificateNotFound", 2), [300, 300]);
    }

    #[test]
    fn a_taken_name_is_looked_at_again_with_growing_pauses() {
        assert_eq!(pauses(NAME_TAKEN, 5), [60, 120, 240, 300, 300]);
    }

    #[test]
    fn what_has_healed_begins_anew() {
        let group = GroupId::Explicit("shop".to_owned());
        let mut verdicts = Verdicts::default();
        let mut now = Instant::now();
        verdicts.add(&group, verdict(NAME_TAKEN), INTERVAL, now);
        now += NAME_TAKEN_AGAIN;
        verdicts.expire(now);
        verdicts.expire(now + NAME_TAKEN_AGAIN);
        verdicts.add(&group, verdict(NAME_TAKEN), INTERVAL, now);
        assert_eq!(verdicts.0[0].pause, NAME_TAKEN_AGAIN);
    }
}
