//! Records: what Route 53 holds at a host and at the name of its owner TXT,
//! remembered.

mod reads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::forgotten::Forgotten;
use super::{lock, zones};
use crate::aws::{Aws, Class, Error};
use crate::model::records::{HostRecords, ObservedRecords, Place};
pub(super) use reads::{Page, Start, page, plain_name, record_set};
use reads::{list, read, records_of};

/// Hosted zones and records, remembered in the process.
#[derive(Debug)]
pub struct Dns {
    pub(super) aws: Aws,
    /// Name of the cluster.
    pub(super) cluster: String,
    pub(super) zones: Mutex<zones::Known>,
    /// Held while zones are read, so that all who want them share it.
    pub(super) reading_zones: tokio::sync::Mutex<()>,
    records: Mutex<Records>,
    pub(super) forgotten: Mutex<Forgotten>,
    /// `None`: records are not read again.
    pub(super) verify_interval: Option<Duration>,
}

#[derive(Debug)]
struct Records {
    known: ObservedRecords,
    /// When each was last read or written.
    at: BTreeMap<Place, Instant>,
    /// Known ones that are to be read before they are believed again.
    stale: BTreeSet<Place>,
    /// Those that are other than they were when that was last asked, or in
    /// doubt since.
    changed: BTreeSet<Place>,
    next_verification: Instant,
    /// Zones that are longer to list than their hosts are to ask for.
    long_zones: BTreeSet<String>,
}

impl Records {
    /// What is known of a host, in all zones.
    fn of_host<'a>(&'a self, host: &'a str) -> impl Iterator<Item = (&'a Place, &'a HostRecords)> {
        let from_here = self.known.range(Place::new(host, "")..);
        from_here.take_while(move |(place, _)| place.host == host)
    }

    /// Where something is known of a host.
    fn places_of(&self, host: &str) -> Vec<Place> {
        self.of_host(host).map(|(place, _)| place.clone()).collect()
    }

    fn forget(&mut self, place: &Place) {
        self.known.remove(place);
        self.at.remove(place);
        self.stale.remove(place);
    }

    /// Known hosts of a zone, if they are so many that the zone is listed.
    fn many_in(&self, zone: &str) -> BTreeSet<String> {
        if self.long_zones.contains(zone) {
            return BTreeSet::new();
        }
        let places = self.at.keys().filter(|place| place.zone == zone);
        let hosts: BTreeSet<String> = places.map(|place| place.host.clone()).collect();
        if hosts.len() > MANY {
            hosts
        } else {
            BTreeSet::new()
        }
    }
}

/// What a look in the background has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Whether anything was due.
    pub is_read: bool,
    /// Hosts whose records are other than remembered.
    pub differ: Vec<Place>,
}

/// What is known of hosts, and of which it cannot be known now.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    /// Records.
    pub records: ObservedRecords,
    /// What could not be read.
    pub failed: BTreeMap<Place, Error>,
}

impl Dns {
    /// Knows nothing yet and makes no call. Records are read again in the
    /// background once in `verify_interval`, no sooner than
    /// `first_verification` after the start.
    pub fn new(
        aws: Aws,
        cluster: &str,
        verify_interval: Option<Duration>,
        first_verification: Duration,
    ) -> Self {
        let first = Instant::now() + first_verification;
        Self {
            aws,
            cluster: cluster.to_owned(),
            zones: Mutex::default(),
            reading_zones: tokio::sync::Mutex::default(),
            records: Mutex::new(Records {
                known: ObservedRecords::new(),
                at: BTreeMap::new(),
                stale: BTreeSet::new(),
                changed: BTreeSet::new(),
                next_verification: first,
                long_zones: BTreeSet::new(),
            }),
            forgotten: Mutex::new(Forgotten::from(first)),
            verify_interval,
        }
    }

    /// What Route 53 holds for hosts: one call for a host that is not known
    /// (two in a crowded zone), none for others. Where many of one zone are not
    /// known, as after a start, the zone is listed instead, 300 record sets a
    /// call. A zone that is gone has no records.
    pub async fn recall(&self, places: &BTreeSet<Place>) -> Recalled {
        let mut recalled = Recalled::default();
        let mut by_zone: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        {
            let records = lock(&self.records);
            for place in places {
                match records.known.get(place) {
                    Some(known) if !records.stale.contains(place) => {
                        recalled.records.insert(place.clone(), known.clone());
                    }
                    _ => {
                        let hosts = by_zone.entry(&place.zone).or_default();
                        hosts.insert(&place.host);
                    }
                }
            }
        }
        let begun = Instant::now();
        let zones = by_zone.into_iter().map(|(zone, hosts)| async move {
            let mut found = if hosts.len() > MANY {
                self.list(zone, &hosts).await
            } else {
                BTreeMap::new()
            };
            let rest = hosts.iter().filter(|host| !found.contains_key(**host));
            let reads = rest.map(|host| async move { (*host, read(&self.aws, zone, host).await) });
            let read = join_all(reads).await;
            found.extend(read.into_iter().map(|(host, read)| (host.to_owned(), read)));
            found
                .into_iter()
                .map(|(host, read)| (Place::new(host, zone), read))
                .collect::<Vec<_>>()
        });
        for (place, read) in join_all(zones).await.into_iter().flatten() {
            match read {
                Ok(read) => {
                    let read = self.take_in(&place, read, begun, true).0;
                    recalled.records.insert(place, read);
                }
                Err(error) if error.class == Class::Gone => {
                    self.zone_is_gone(&place.zone);
                    recalled.failed.insert(place, error);
                }
                Err(error) => {
                    recalled.failed.insert(place, error);
                }
            }
        }
        recalled
    }

    /// Notes what an accepted change has made of the records of a host.
    pub fn remember(&self, place: &Place, change: impl FnOnce(&mut HostRecords)) {
        let mut records = lock(&self.records);
        change(records.known.entry(place.clone()).or_default());
        records.at.insert(place.clone(), Instant::now());
        records.changed.insert(place.clone());
    }

    /// A host is read before its records are used again. Until then it counts
    /// as it was known: what may be ours is not forgotten.
    pub fn mark_stale(&self, place: &Place) {
        let mut records = lock(&self.records);
        records.stale.insert(place.clone());
        records.changed.insert(place.clone());
    }

    /// Forgets of these hosts what nobody asks for any more; it is not read
    /// again in the background.
    pub fn retain(&self, hosts: &BTreeSet<String>, keep: impl Fn(&Place) -> bool) {
        let mut records = lock(&self.records);
        for host in hosts {
            for place in records.places_of(host) {
                if !keep(&place) {
                    records.forget(&place);
                }
            }
        }
    }

    /// A zone does not exist any more, and so none of its records does; zones
    /// are listed before one is chosen again.
    pub fn zone_is_gone(&self, zone: &str) {
        {
            let mut records = lock(&self.records);
            let gone = records.known.keys().chain(&records.stale);
            let gone: BTreeSet<Place> = gone.filter(|p| p.zone == zone).cloned().collect();
            for place in gone {
                records.forget(&place);
                records.changed.insert(place);
            }
        }
        lock(&self.zones).forget();
    }

    /// Background verification: reads at most one host, the one whose last
    /// read is the oldest, if that is an interval ago; and with it all hosts of
    /// its zone, where it takes fewer calls to list the zone than to ask for
    /// each.
    pub async fn verify_tick(&self, now: Instant) -> Result<Looked, Error> {
        let mut looked = Looked::default();
        let Some(interval) = self.verify_interval else {
            return Ok(looked);
        };
        let due = {
            let mut records = lock(&self.records);
            if records.next_verification > now {
                return Ok(looked);
            }
            let count = u32::try_from(records.at.len()).unwrap_or(u32::MAX).max(1);
            records.next_verification = now + interval / count;
            let oldest = records.at.iter().min_by_key(|(_, at)| **at);
            let due = oldest.filter(|(_, at)| **at + interval <= now);
            due.map(|(place, _)| (place.clone(), records.many_in(&place.zone)))
        };
        let Some((place, together)) = due else {
            return Ok(looked);
        };
        looked.is_read = true;
        let zone = &place.zone.clone();
        let begun = Instant::now();
        let hosts = together.iter().map(String::as_str).collect();
        let listed = self.list(zone, &hosts).await;
        if listed.is_empty() {
            if !together.is_empty() {
                lock(&self.records).long_zones.insert(zone.clone());
            }
            match read(&self.aws, zone, &place.host).await {
                Ok(read) => self.compare(place, read, begun, &mut looked),
                Err(error) if error.class == Class::Gone => {
                    self.zone_is_gone(zone);
                    looked.differ.push(place);
                }
                Err(error) => return Err(error),
            }
        }
        for (host, read) in listed {
            self.compare(Place::new(&host, zone), read?, begun, &mut looked);
        }
        Ok(looked)
    }

    fn compare(&self, place: Place, read: HostRecords, begun: Instant, looked: &mut Looked) {
        if self.take_in(&place, read, begun, false).1 {
            looked.differ.push(place);
        }
    }

    /// Remembers a read, unless the host was written since it began; answers
    /// what is remembered now and whether it is other than before. `asked`:
    /// whether the one who works with it has asked for it.
    fn take_in(
        &self,
        place: &Place,
        read: HostRecords,
        begun: Instant,
        asked: bool,
    ) -> (HostRecords, bool) {
        let mut records = lock(&self.records);
        if asked {
            records.changed.remove(place);
        }
        let written = records.at.get(place).is_some_and(|at| *at > begun);
        if written && let Some(known) = records.known.get(place) {
            return (known.clone(), false);
        }
        let was_stale = records.stale.remove(place);
        records.at.insert(place.clone(), begun);
        let before = records.known.insert(place.clone(), read.clone());
        if !asked && (was_stale || before.as_ref() != Some(&read)) {
            records.changed.insert(place.clone());
        }
        let differs = before.is_some_and(|before| before != read);
        (read, differs)
    }

    /// What is remembered of hosts; makes no call.
    pub fn remembered(&self, hosts: &BTreeSet<String>) -> ObservedRecords {
        let records = lock(&self.records);
        let known = hosts.iter().flat_map(|host| records.of_host(host));
        known.map(|(p, read)| (p.clone(), read.clone())).collect()
    }

    /// Where something is remembered of hosts.
    pub fn places(&self, hosts: &BTreeSet<String>) -> BTreeSet<Place> {
        let records = lock(&self.records);
        let places = hosts.iter().flat_map(|host| records.places_of(host));
        places.collect()
    }

    /// All hosts of which something is remembered.
    pub fn hosts(&self) -> BTreeSet<String> {
        let records = lock(&self.records);
        let hosts = records.known.keys().map(|place| &place.host);
        hosts.cloned().collect()
    }

    /// Hosts of which something else is remembered than when this was last
    /// asked, whichever read or write has come to it, or of which something is
    /// in doubt since.
    pub fn take_changed(&self) -> BTreeSet<String> {
        let changed = std::mem::take(&mut lock(&self.records).changed);
        changed.into_iter().map(|place| place.host).collect()
    }

    /// Lists a zone for the sake of many hosts: what [`list`] answers.
    async fn list(
        &self,
        zone: &str,
        hosts: &BTreeSet<&str>,
    ) -> BTreeMap<String, Result<HostRecords, Error>> {
        let begun = Instant::now();
        let Some(sets) = list(&self.aws, zone, hosts.len()).await else {
            return BTreeMap::new();
        };
        self.note_whole(zone, &sets, hosts, begun);
        let of_host = |host: &&str| ((*host).to_owned(), Ok(records_of(host, &sets)));
        hosts.iter().map(of_host).collect()
    }
}

/// From more unknown hosts than this on, their zone is listed.
const MANY: usize = 3;
