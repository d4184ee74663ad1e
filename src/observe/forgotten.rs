//! Records that carry this cluster's mark and that nobody asks for: left by a
//! process that was killed, or written by a call that came late.
//!
//! A zone that is listed for the sake of many hosts is looked through then. All
//! others are listed for this once in the interval of verification, a page at
//! a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::dns::{Page, Start, page, record_set};
use super::{Dns, lock};
use crate::aws::{Class, Error};
use crate::model::ownership::{self, TxtOwner};
use crate::model::records::{Place, RecordSet, Zone};

/// No page sooner than this part of the interval after the one before it: zones
/// with many pages, or many zones, take longer than one interval.
const PART: u32 = 60;

/// How far the zones are looked through.
#[derive(Debug)]
pub(super) struct Forgotten {
    /// What was found and nobody has asked for yet.
    found: BTreeMap<Place, TxtOwner>,
    /// Whether some of that was found since somebody was told.
    is_news: bool,
    /// When each zone was last looked through.
    whole: BTreeMap<String, Instant>,
    /// The zone that is being listed.
    under_way: Option<UnderWay>,
    /// When the next page is due.
    due: Instant,
}

#[derive(Clone, Debug)]
struct UnderWay {
    zone: String,
    next: Start,
    begun: Instant,
    /// What its pages so far have. It is told of when the zone is through: how
    /// many there are tells whether they may go.
    found: BTreeMap<Place, TxtOwner>,
}

impl Forgotten {
    /// Begins to list zones then.
    pub(super) fn from(due: Instant) -> Self {
        Self {
            found: BTreeMap::new(),
            is_news: false,
            whole: BTreeMap::new(),
            under_way: None,
            due,
        }
    }

    /// Notes what a whole zone has.
    fn add(&mut self, marked: BTreeMap<Place, TxtOwner>) {
        for (at, owner) in marked {
            self.is_news |= self.found.insert(at, owner).is_none();
        }
    }

    /// The zone to go on with: the one under way, else the one whose last look
    /// is the longest ago, if that is an interval ago.
    fn next(&self, zones: &[&Zone], interval: Duration, now: Instant) -> Option<UnderWay> {
        let is_there = |under_way: &&UnderWay| zones.iter().any(|zone| zone.id == under_way.zone);
        if let Some(under_way) = self.under_way.as_ref().filter(is_there) {
            return Some(under_way.clone());
        }
        let last = zones.iter().map(|zone| (self.whole.get(&zone.id), zone));
        let mut due = last.filter(|(last, _)| last.is_none_or(|last| *last + interval <= now));
        let first = due.next()?;
        let (_, zone) = due.fold(
            first,
            |oldest, other| {
                if other.0 < oldest.0 { other } else { oldest }
            },
        );
        Some(UnderWay {
            zone: zone.id.clone(),
            next: Start::default(),
            begun: now,
            found: BTreeMap::new(),
        })
    }
}

impl Dns {
    /// Lists a page of a zone, of those that `may_be_ours`, if one is due.
    /// Answers whether it did.
    ///
    /// # Errors
    /// Those of AWS; a zone that may not be read, or is gone, is passed over.
    pub async fn look_for_forgotten(
        &self,
        may_be_ours: impl Fn(&Zone) -> bool,
        now: Instant,
    ) -> Result<bool, Error> {
        let Some(interval) = self.verify_interval else {
            return Ok(false);
        };
        {
            let mut forgotten = lock(&self.forgotten);
            if forgotten.due > now {
                return Ok(false);
            }
            forgotten.due = now + interval / PART;
        }
        let zones = self.zones(&BTreeSet::new()).await?;
        let zones: Vec<&Zone> = zones.zones.iter().filter(|z| may_be_ours(z)).collect();
        let next = {
            let mut forgotten = lock(&self.forgotten);
            let is_there = |id: &String| zones.iter().any(|zone| zone.id == *id);
            forgotten.whole.retain(|zone, _| is_there(zone));
            forgotten.next(&zones, interval, now)
        };
        let Some(mut under_way) = next else {
            return Ok(false);
        };
        let zone = under_way.zone.clone();
        let read = page(&self.aws, &zone, &under_way.next).await;
        let next = match &read {
            Ok(page) => {
                let sets: Vec<_> = page.resource_record_sets().iter().map(record_set).collect();
                let marked = self.marked(&zone, &sets, &BTreeSet::new());
                under_way.found.extend(marked);
                next_page(page)
            }
            Err(error) if matches!(error.class, Class::Denied | Class::Gone) => {
                tracing::debug!(zone, %error, "records of a zone cannot be listed");
                under_way.found.clear();
                None
            }
            Err(_) => Some(under_way.next.clone()),
        };
        let mut forgotten = lock(&self.forgotten);
        if let Some(next) = next {
            forgotten.under_way = Some(UnderWay { next, ..under_way });
        } else {
            forgotten.add(under_way.found);
            forgotten.whole.insert(zone, under_way.begun);
            forgotten.under_way = None;
        }
        drop(forgotten);
        read.map(|_| true)
    }

    /// A zone was listed whole, for the sake of these hosts.
    pub(super) fn note_whole(
        &self,
        zone: &str,
        sets: &[RecordSet],
        asked: &BTreeSet<&str>,
        begun: Instant,
    ) {
        let marked = self.marked(zone, sets, asked);
        let mut forgotten = lock(&self.forgotten);
        forgotten.add(marked);
        forgotten.whole.insert(zone.to_owned(), begun);
    }

    /// What of these carries the cluster's mark, and neither is remembered nor
    /// was asked for.
    fn marked(
        &self,
        zone: &str,
        sets: &[RecordSet],
        asked: &BTreeSet<&str>,
    ) -> BTreeMap<Place, TxtOwner> {
        let marks = sets.iter().filter(|set| set.kind == "TXT");
        let marked = marks.filter_map(|set| {
            let host = ownership::host_of_txt(&set.name)?;
            let owner = set.values.iter().find_map(|value| TxtOwner::parse(value))?;
            let is_new = owner.is_ours(&self.cluster) && !asked.contains(host.as_str());
            is_new.then(|| (Place::new(&host, zone), owner))
        });
        let mut marked: BTreeMap<Place, TxtOwner> = marked.collect();
        let hosts = marked.keys().map(|at| at.host.clone()).collect();
        let known = self.remembered(&hosts);
        marked.retain(|at, _| !known.contains_key(at));
        marked
    }

    /// Whether something was found that nobody has taken yet.
    pub fn has_forgotten(&self) -> bool {
        !lock(&self.forgotten).found.is_empty()
    }

    /// Whether something was found since this was last asked: whoever fails to
    /// take it comes again when it is time, not at each look.
    pub fn has_news_of_forgotten(&self) -> bool {
        std::mem::take(&mut lock(&self.forgotten).is_news)
    }

    /// What was found since this was last asked.
    pub fn take_forgotten(&self) -> BTreeMap<Place, TxtOwner> {
        std::mem::take(&mut lock(&self.forgotten).found)
    }
}

fn next_page(page: &Page) -> Option<Start> {
    page.is_truncated().then(|| Start::next(page)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(10);

    fn zone(id: &str) -> Zone {
        Zone {
            id: id.to_owned(),
            name: "example.com".to_owned(),
            private_vpcs: None,
        }
    }

    #[test]
    fn zones_take_turns_and_none_comes_before_its_time() {
        let zones = [zone("A"), zone("B"), zone("C")];
        let zones: Vec<&Zone> = zones.iter().collect();
        let start = Instant::now();
        let mut forgotten = Forgotten::from(start);
        let next = |forgotten: &Forgotten, now| {
            let next = forgotten.next(&zones, INTERVAL, now);
            next.map(|next| next.zone)
        };
        for (minute, expected) in [(1, "A"), (2, "B"), (3, "C")] {
            let now = start + Duration::from_mins(minute);
            assert_eq!(next(&forgotten, now).as_deref(), Some(expected));
            forgotten.whole.insert(expected.to_owned(), now);
        }
        let at = |minute| start + Duration::from_mins(minute);
        assert_eq!(next(&forgotten, at(10)), None);
        assert_eq!(next(&forgotten, at(11)).as_deref(), Some("A"));
        // The others have waited for a long time too, and this one longer.
        forgotten.whole.insert("C".to_owned(), at(0));
        assert_eq!(next(&forgotten, at(20)).as_deref(), Some("C"));
        // What has begun is ended first.
        forgotten.under_way = forgotten.next(&zones, INTERVAL, at(20));
        forgotten.whole.insert("C".to_owned(), at(20));
        assert_eq!(next(&forgotten, at(21)).as_deref(), Some("C"));
        // A zone that is gone holds nobody up.
        let left = &zones[..2];
        let next = forgotten.next(left, INTERVAL, at(21));
        assert_eq!(next.map(|next| next.zone).as_deref(), Some("A"));
    }
}
