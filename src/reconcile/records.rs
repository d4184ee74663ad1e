//! The key of all DNS records of the cluster, and the gate of deletions: a
//! load balancer goes only after its records are gone everywhere.

mod asked;
mod book;
mod doubt;
mod findings;
mod kept;
mod live;
mod noting;
mod parting;
mod spreading;
mod stranded;
mod unstated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Reconciler, lock};
use crate::apply;
use crate::aws::Error;
use crate::key::Key;
use crate::lane::{self, Lane};
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::records::{ObservedRecords, Place};
use crate::model::snapshot::Snapshot;
use crate::model::spec::Observed;
use crate::observe::{self, Dns, Recalled, Zones};
use crate::plan::dns::{DnsContext, DnsPlan, diff_records};
use asked::Asked;
use book::Book;
pub(super) use book::OfGroup;
use findings::{Found, Owners, by_group};
use kept::{Kept, Scope};
use live::{LoadBalancerOf, context, may_lead_to};
use parting::Parting;

/// First and longest pause between two questions whether a change has been
/// spread.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// First and longest pause until what stands in the way of a record is looked
/// at again: a foreign record, a missing zone, a missing permission. It heals
/// without anything that would wake us, and a look costs a call or two. The
/// verification interval where that is shorter.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(10));
/// What is remembered of DNS, and how far each record is.
pub(super) struct Records {
    dns: Dns,
    grace: Duration,
    /// First and longest pause until what was refused is looked at again.
    look_again: (Duration, Duration),
    book: Mutex<Book>,
    kept: tokio::sync::Mutex<Kept>,
}

/// Something in DNS that a group waits for.
pub(super) struct Wait {
    /// The host that it is about.
    pub host: String,
    /// What is waited for.
    pub words: String,
}

/// What one look at records has found.
#[derive(Debug)]
pub(super) struct Looked {
    /// What is to be done.
    pub plan: DnsPlan,
    /// What is wrong, the plan's findings and refused reads included, by host
    /// and group.
    pub findings: Found,
    /// What could not be read.
    failed: BTreeMap<Place, Error>,
    /// What the look was about.
    asked: Asked,
    /// Whose each host is.
    owners: Owners,
    records: ObservedRecords,
    /// Groups with the hosts that their leavers state and nobody else of them.
    left: BTreeSet<(GroupId, String)>,
    context: DnsContext,
}

impl Looked {
    /// Decides by what was read.
    fn new(
        mut asked: Asked,
        records: ObservedRecords,
        failed: BTreeMap<Place, Error>,
        context: DnsContext,
        snapshot: &Snapshot,
    ) -> Self {
        let membership = &asked.sources.membership;
        let plan = diff_records(&asked.desired, &records, &context);
        let owners = Owners::new(membership, snapshot);
        let mut findings = by_group(membership, std::mem::take(&mut asked.findings));
        let of_plan = by_group(membership, plan.findings.clone());
        let not_allowed = owners.not_allowed(&failed, &plan);
        for (host, found) in of_plan.into_iter().chain(not_allowed) {
            findings.entry(host).or_default().extend(found);
        }
        Self {
            left: parting::left(membership, snapshot),
            plan,
            findings,
            failed,
            asked,
            owners,
            records,
            context,
        }
    }
}

impl Records {
    /// Knows nothing yet and makes no call. `grace` is how long a load
    /// balancer outlives its records.
    pub fn new(dns: Dns, grace: Duration, verify_interval: Option<Duration>) -> Self {
        let most = verify_interval.unwrap_or(LOOK_AGAIN.1);
        Self {
            dns,
            grace,
            look_again: (LOOK_AGAIN.0.min(most), LOOK_AGAIN.1.min(most)),
            book: Mutex::default(),
            kept: tokio::sync::Mutex::default(),
        }
    }

    /// What a group on its way out waits for: the records of its hosts. For a
    /// group that goes on, the hosts of its leavers that nobody of it wants
    /// any more. `observed` is what AWS holds for it.
    pub fn holding_up(
        &self,
        desired: &Desired,
        observed: &Observed,
        snapshot: &Snapshot,
    ) -> Vec<Wait> {
        let group = &desired.group;
        if desired.intent == Intent::LeaveAlone {
            // Its records are left alone with it.
            return Vec::new();
        }
        let leavers = desired.leavers.iter().map(|leaver| &leaver.ingress);
        let (kept, left) = parting::hosts(&desired.members, leavers, snapshot);
        let book = lock(&self.book);
        let mut waits = Vec::new();
        let mut wait = |host: &String, words: String| {
            let host = host.clone();
            waits.push(Wait { host, words });
        };
        for host in &left {
            // Who may not look would wait for ever.
            if !book.denied && !book.looked_at.contains(host) {
                wait(host, format!("a look at the DNS record of {host}"));
            }
        }
        if desired.intent == Intent::Remove && !book.denied {
            for host in book.unstated.of_group(group) {
                wait(host, format!("a look at the DNS record of {host}"));
            }
        }
        for host in book.held_for(group) {
            // What nobody states may be a frozen member's, and stays.
            let goes = left.contains(host) || desired.frozen.is_empty();
            if goes && !kept.contains(host) {
                let words = format!("the DNS record of {host} to be deleted or handed over");
                wait(host, words);
            }
        }
        for (Place { host, .. }, parting) in book.given_up_by(group) {
            let counts = match parting {
                Parting::Spreading | Parting::Remembered(_) => true,
                Parting::Perhaps(_, scheme) => {
                    left.contains(host) && may_lead_to(host, scheme, observed)
                }
            };
            if counts {
                wait(host, parting.in_words(host, self.grace));
            }
        }
        waits
    }

    /// What is known of the records of a group.
    pub fn of_group(&self, desired: &Desired) -> OfGroup {
        lock(&self.book).of_group(&desired.group)
    }

    /// Whether a group's load balancer is other than at the last look at
    /// records: it was read, or has become active.
    pub fn is_news(&self, desired: &Desired, observed: &Observed) -> bool {
        let is = LoadBalancerOf::group(desired, observed);
        lock(&self.book)
            .live
            .get(&desired.group)
            .map_or(is != LoadBalancerOf::default(), |was| **was != is)
    }

    /// Verification in the background; see [`Dns::verify_tick`].
    pub async fn verify(&self, now: Instant) -> Result<observe::Looked, Error> {
        self.dns.verify_tick(now).await
    }

    /// What is kept of groups from look to look; there is one look at a time.
    pub async fn kept(&self) -> tokio::sync::MutexGuard<'_, Kept> {
        self.kept.lock().await
    }

    /// Looks at the records for which something has changed and decides;
    /// writes nothing.
    pub async fn look(
        &self,
        cx: &Reconciler,
        kept: &mut Kept,
        snapshot: &Indexed,
    ) -> anyhow::Result<Looked> {
        cx.look_at_groups(kept, snapshot).await?;
        cx.take_forgotten(self, kept, snapshot).await?;
        kept.are_due(self.dns.take_changed());
        let (spreading, unstated) = {
            let book = lock(&self.book);
            let spreading = book.spreading_now();
            let unstated = book.unstated.hosts().clone();
            let uid = live::cluster_uid(snapshot);
            kept.compare(&book, &unstated, &spreading, uid);
            (spreading, unstated)
        };
        let ask = |kept: &Kept, scope: Scope, zones: &Zones| {
            let unstated = unstated.clone();
            Asked::new(kept, scope, unstated, zones, snapshot, &cx.settings)
        };
        let (scope, mut zones) = self.zones(kept, &unstated, false).await?;
        let mut asked = ask(kept, scope, &zones);
        let lacks_zone =
            asked.lacks_zone() || lock(&self.book).lacks_zone_beside(&asked.scope.hosts);
        if lacks_zone && zones.denied.is_none() {
            let (scope, again) = self.zones(kept, &unstated, true).await?;
            zones = again;
            asked = ask(kept, scope, &zones);
        }
        let mut places = self.dns.places(&asked.scope.hosts);
        places.extend(asked.places.iter().cloned());
        let more = self.places(&unstated, &places, &cx.settings, &zones.zones);
        places.extend(more.iter().cloned());
        let Recalled {
            mut records,
            failed,
        } = self.dns.recall(&places).await;
        let context = context(cx, snapshot, kept.known().clone(), spreading);
        let may_go = self.only_what_may_go(more, &unstated, &mut records, &context);
        asked.places.extend(may_go);
        Ok(Looked::new(asked, records, failed, context, snapshot))
    }

    /// The hosts to look at, and the zones. Where these were listed anew, all
    /// hosts are looked at. `again`: where some host lies in none.
    async fn zones(
        &self,
        kept: &mut Kept,
        unstated: &unstated::Hosts,
        again: bool,
    ) -> Result<(Scope, Arc<Zones>), Error> {
        let scope = self.scope(kept, unstated);
        let zones = if again {
            self.dns.zones_again(&scope.wanted).await?
        } else {
            self.dns.zones(&scope.wanted).await?
        };
        if !kept.is_other_listing(zones.listing) && zones.denied.is_none() {
            return Ok((scope, zones));
        }
        kept.all_are_due();
        let scope = self.scope(kept, unstated);
        let zones = self.dns.zones(&scope.wanted).await?;
        Ok((scope, zones))
    }

    fn scope(&self, kept: &Kept, unstated: &unstated::Hosts) -> Scope {
        kept.scope(&lock(&self.book), unstated, || self.dns.hosts())
    }

    /// Has what was refused read again when it is time.
    fn look_again(&self) {
        let book = lock(&self.book);
        if book.look_again.is_none_or(|(due, _)| due > Instant::now()) {
            return;
        }
        for place in self.dns.places(&book.refused()) {
            self.dns.mark_stale(&place);
        }
    }

    /// When the key should come again although nothing wakes it.
    fn next(&self) -> Option<Duration> {
        let mut book = lock(&self.book);
        let now = Instant::now();
        let mut next = None;
        if book.spreading.is_empty() {
            book.pause = None;
        } else {
            let pause = book.pause.map_or(POLL.0, |pause| (pause * 2).min(POLL.1));
            book.pause = Some(pause);
            next = Some(pause);
        }
        for parting in book.given_up.values() {
            if let Some(until) = parting.until() {
                let left = until.saturating_duration_since(now);
                next = Some(next.map_or(left, |pause: Duration| pause.min(left)));
            }
        }
        if let Some((due, _)) = book.look_again {
            let left = due.saturating_duration_since(now);
            next = Some(next.map_or(left, |pause: Duration| pause.min(left)));
        }
        next
    }
}

impl Reconciler {
    /// Brings all records to what the Ingresses ask for, and tells the groups
    /// that it is news for.
    pub(super) async fn dns(&self) -> anyhow::Result<Option<Duration>> {
        let Some(records) = &self.records else {
            return Ok(None);
        };
        let begun = Instant::now();
        records.poll(self).await;
        records.look_again();
        let snapshot = self.parts.stores.snapshot();
        let mut kept = records.kept().await;
        let looked = records.look(self, &mut kept, &snapshot).await?;
        records.in_doubt(&looked.plan);
        let known = records.looked_at();
        let mut applied = apply::dns::DnsApplied::default();
        if !looked.plan.is_empty() {
            let text = looked.plan.to_string();
            tracing::info!(
                "plan for DNS records, hosts: {}\n{}",
                looked.plan.changes.len(),
                text.trim_end()
            );
            applied =
                apply::dns::run(&self.aws, &records.dns, &looked.plan, &self.parts.stopping).await;
            for _ in &applied.submitted {
                self.parts.metrics.plan_step("change-records");
            }
        }
        let mut news = records.note(&mut kept, &looked, &applied);
        news.extend(looked.asked.unstated.into_keys());
        if records.looked_at() > known {
            // They may have waited for a look.
            news.extend(kept.leaving().cloned());
        }
        drop(kept);
        let lane = lane::current();
        self.parts
            .queue
            .wake_all(news.into_iter().map(Key::Group), lane);
        if records.dns.has_news_of_forgotten() {
            // A zone was listed whole.
            self.parts.queue.wake(Key::Dns, Lane::Restart);
        }
        let next = records.next();
        let written = applied.submitted.iter().flat_map(|change| &change.places);
        let written = written.cloned().collect();
        let owners = |host: &str| looked.owners.of(host);
        self.note_mended_records(begun, &written, owners, &snapshot)
            .await;
        let failed = looked.failed.into_iter().chain(applied.failed).next();
        match failed {
            Some((place, error)) => {
                // What goes well is not put off with what fails.
                if let Some(next) = next {
                    self.parts.queue.wake_after(Key::Dns, lane, next);
                }
                Err(anyhow::Error::new(error).context(format!("the record of {place}")))
            }
            None => Ok(next),
        }
    }
}

#[cfg(test)]
mod tests;
