//! The key of all DNS records of the cluster, and the gate of deletions: a
//! load balancer goes only after its records are gone everywhere.

mod asked;
mod book;
mod doubt;
mod findings;
mod live;
mod parting;
mod spreading;
mod stranded;
mod unstated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::{Reconciler, lock};
use crate::apply;
use crate::aws::Error;
use crate::key::Key;
use crate::lane::{self, Lane};
use crate::model::desired::{Desired, Intent};
use crate::model::finding::{Finding, Reason};
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::membership::Membership;
use crate::model::records::{ObservedRecords, Place, RecordState};
use crate::model::records_build::{RecordSources, build_records, hosts_of, zones_that_may_hold};
use crate::model::snapshot::Snapshot;
use crate::model::spec::Observed;
use crate::observe::{self, Dns, Recalled, Zones};
use crate::plan::dns::{DnsContext, DnsPlan, diff_records, held};
use book::Book;
pub(super) use book::OfGroup;
use findings::{Owners, by_group, denied, in_words};
use live::{Groups, Live, LoadBalancerOf, context, may_lead_to};
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
    groups: Mutex<Groups>,
}

/// Something in DNS that a group waits for.
pub(super) struct Wait {
    /// The host that it is about.
    pub host: String,
    /// What is waited for.
    pub words: String,
}

/// What one look at all records has found.
pub(super) struct Looked {
    /// What is to be done.
    pub plan: DnsPlan,
    /// What is wrong, the plan's findings and refused reads included, by group.
    pub findings: BTreeSet<(GroupId, Finding)>,
    /// What could not be read.
    failed: BTreeMap<Place, Error>,
    /// Hosts that were looked at.
    hosts: BTreeSet<String>,
    /// Hosts that somebody wants or is leaving, and where they are looked for.
    asked: (BTreeSet<String>, BTreeSet<Place>),
    /// Whose each host is.
    owners: Owners,
    homeless: BTreeSet<(GroupId, String)>,
    /// Hosts of rules that no Ingress states.
    unstated: unstated::Hosts,
    records: ObservedRecords,
    /// Groups with the hosts that their leavers state and nobody else of them.
    left: BTreeSet<(GroupId, String)>,
    /// Ids of private zones.
    private_zones: BTreeSet<String>,
    live: Live,
    context: DnsContext,
    denied: bool,
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
            groups: Mutex::default(),
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
        for (Place { host, .. }, holder) in &book.held {
            // What nobody states may be a frozen member's, and stays.
            let goes = left.contains(host) || desired.frozen.is_empty();
            if holder == group && goes && !kept.contains(host) {
                let words = format!("the DNS record of {host} to be deleted or handed over");
                wait(host, words);
            }
        }
        for ((of, Place { host, .. }), parting) in &book.given_up {
            let counts = match parting {
                Parting::Spreading | Parting::Remembered(_) => true,
                Parting::Perhaps(_, scheme) => {
                    left.contains(host) && may_lead_to(host, *scheme, observed)
                }
            };
            if of == group && counts {
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
            .map_or(is != LoadBalancerOf::default(), |was| *was != is)
    }

    /// Verification in the background; see [`Dns::verify_tick`].
    pub async fn verify(&self, now: Instant) -> Result<observe::Looked, Error> {
        self.dns.verify_tick(now).await
    }

    /// Looks at all records and decides; writes nothing.
    pub async fn look(
        &self,
        cx: &Reconciler,
        membership: &Membership,
        snapshot: &Indexed,
    ) -> anyhow::Result<Looked> {
        let facts = cx.memory.facts().await?;
        let (live, frozen, with_frozen) = {
            let mut groups = lock(&self.groups);
            groups.look(cx, membership, snapshot, &facts);
            (groups.live(), groups.keepers(), groups.with_frozen())
        };
        let (targets, rules, schemes) = (live.targets(), live.rules(), live.schemes());
        let successors = live.successors();
        let live_hosts = live::hosts_of_frozen(cx, with_frozen).await?;
        let leavers = membership.groups.values().flat_map(|group| &group.leavers);
        let of_leavers: BTreeSet<String> = leavers
            .flat_map(|leaver| hosts_of(&leaver.ingress, snapshot))
            .collect();
        let members = membership.groups.values().flat_map(|group| &group.members);
        let mut hosts = of_leavers.clone();
        hosts.extend(members.flat_map(|member| hosts_of(member, snapshot)));
        hosts.extend(live_hosts.values().flatten().cloned());
        let unstated = lock(&self.book).unstated.hosts().clone();
        hosts.extend(unstated.values().flatten().cloned());
        let mut zones = self.dns.zones(&hosts).await?;
        let build = |zones: &Zones| {
            let sources = RecordSources {
                zones: &zones.zones,
                targets: &targets,
                rules: &rules,
                successors: &successors,
                schemes: &schemes,
                frozen: &frozen,
                live_hosts: &live_hosts,
            };
            build_records(snapshot, membership, &cx.settings, sources)
        };
        let (mut desired, mut findings) = build(&zones);
        if findings.iter().any(|f| f.reason == Reason::NoHostedZone) && zones.denied.is_none() {
            zones = self.dns.zones_again(&hosts).await?;
            (desired, findings) = build(&zones);
        }
        if let Some(error) = &zones.denied {
            findings = denied(membership, snapshot, error);
        }
        let mut asked = asked::wished_places(&desired);
        let homeless = stranded::homeless(&desired);
        // What leavers hold is found, whatever their load balancer was; and
        // what leads to one that is about to go.
        let going = homeless
            .iter()
            .filter(|(of, _)| successors.contains_key(of));
        for host in of_leavers.iter().chain(going.map(|(_, host)| host)) {
            let zones = zones_that_may_hold(host, &cx.settings, &zones.zones);
            asked.extend(zones.into_iter().map(|zone| Place::new(host, zone)));
        }
        let mut places: BTreeSet<Place> = self.dns.remembered().into_keys().collect();
        places.extend(asked.iter().cloned());
        let more = self.places(&unstated, &places, &cx.settings, &zones.zones);
        places.extend(more.iter().cloned());
        let Recalled {
            mut records,
            failed,
        } = self.dns.recall(&places).await;
        let mut context = context(cx, snapshot, membership, BTreeSet::new());
        {
            let book = lock(&self.book);
            context.spreading = book.spreading_now();
            // Those that have rules and no Ingress, until their records are gone.
            context.groups.extend(unstated.keys().cloned());
            context.groups.extend(book.held.values().cloned());
        }
        asked.extend(self.only_what_may_go(more, &unstated, &mut records, &context));
        let plan = diff_records(&desired, &records, &context);
        findings.extend(plan.findings.iter().cloned());
        let owners = Owners::new(membership, snapshot);
        let mut findings = by_group(membership, findings);
        findings.extend(owners.not_allowed(&failed, &plan));
        let looked = hosts.iter();
        let looked = looked.filter(|host| !failed.keys().any(|place| place.host == **host));
        let looked = looked.cloned().collect();
        Ok(Looked {
            plan,
            findings,
            failed,
            hosts: looked,
            asked: (hosts, asked),
            owners,
            homeless,
            unstated,
            records,
            left: parting::left(membership, snapshot),
            private_zones: zones
                .zones
                .iter()
                .filter(|zone| zone.private_vpcs.is_some())
                .map(|zone| zone.id.clone())
                .collect(),
            live,
            context,
            denied: zones.denied.is_some(),
        })
    }

    /// Has what was refused read again when it is time.
    fn look_again(&self) {
        let book = lock(&self.book);
        if book.look_again.is_none_or(|(due, _)| due > Instant::now()) {
            return;
        }
        for place in self.dns.remembered().into_keys() {
            let state = book.states.get(&place.host);
            if matches!(state, Some((_, RecordState::Refused(_)))) {
                self.dns.mark_stale(&place);
            }
        }
    }

    /// Writes what was found and done into the book. Answers the groups that
    /// it is news for.
    fn note(&self, looked: &Looked, applied: &apply::dns::DnsApplied) -> BTreeSet<GroupId> {
        let records = self.dns.remembered();
        let mut book = lock(&self.book);
        book.looked = true;
        let now = Instant::now();
        let held_now = held(&records, &looked.context);
        let held_before = held(&looked.records, &looked.context);
        let until = now + parting::after_a_start(self.grace);
        let private = &looked.private_zones;
        book.meet(&looked.records, &held_before, &looked.left, private, until);
        for submitted in &applied.submitted {
            for place in &submitted.places {
                let holder = held_now.get(place);
                let held_before = held_before.get(place).or_else(|| book.held.get(place));
                if let Some(group) = held_before.filter(|group| Some(*group) != holder) {
                    let given_up = (group.clone(), place.clone());
                    book.given_up.insert(given_up, Parting::Spreading);
                }
                // A later change is the one to wait for.
                for places in book.spreading.values_mut() {
                    places.remove(place);
                }
            }
            let places = submitted.places.iter().cloned().collect();
            book.spreading.insert(submitted.change.clone(), places);
            book.pause = None;
        }
        book.spreading.retain(|_, places| !places.is_empty());
        book.given_up.retain(|(group, place), parting| {
            let over = parting.until().is_some_and(|until| until <= now);
            // It came back: then it is a held one again.
            !over && held_now.get(place) != Some(group)
        });
        book.held = held_now;
        book.live.clone_from(&looked.live.0);
        let failed: BTreeSet<&String> = applied.failed.keys().map(|p| &p.host).collect();
        let sure = looked.hosts.iter().filter(|host| !failed.contains(host));
        book.looked_at.extend(sure.cloned());
        book.homeless.clone_from(&looked.homeless);
        let unread = looked.failed.keys().map(|place| &place.host).collect();
        book.unstated.looked_at(&looked.unstated, &unread);
        book.denied = looked.denied;
        book.findings.clone_from(&looked.findings);
        let not_allowed = looked.owners.not_allowed(&applied.failed, &looked.plan);
        book.findings.extend(not_allowed);
        let spreading = book.spreading_now();
        let spreading: BTreeSet<&str> = spreading.iter().map(|p| p.host.as_str()).collect();
        book.states = looked
            .plan
            .states
            .iter()
            .map(|(host, (group, state))| {
                let state = match state {
                    RecordState::Pending if !spreading.contains(host.as_str()) => {
                        RecordState::InSync
                    }
                    RecordState::InSync if spreading.contains(host.as_str()) => {
                        RecordState::Pending
                    }
                    state => state.clone(),
                };
                (host.clone(), (group.clone(), state))
            })
            .collect();
        for (Place { host, .. }, error) in looked.failed.iter().chain(&applied.failed) {
            if let Some((_, state)) = book.states.get_mut(host) {
                *state = RecordState::Refused(in_words(error));
            }
        }
        let pause = book.look_again.map(|(_, pause)| pause);
        book.look_again = match (book.waits_for_others(), book.look_again) {
            (false, _) => None,
            (true, Some((due, pause))) if due > now => Some((due, pause)),
            (true, _) => {
                let (first, longest) = self.look_again;
                let pause = pause.map_or(first, |pause| (pause * 2).min(longest));
                Some((now + pause, pause))
            }
        };
        self.forget(&mut book, looked);
        let after = book.view();
        let before = std::mem::replace(&mut book.told, after.clone());
        let groups = before.keys().chain(after.keys());
        groups
            .filter(|group| before.get(group) != after.get(group))
            .cloned()
            .collect()
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
        let membership = self.membership(&snapshot).await?;
        self.take_forgotten(records, &membership, &snapshot).await?;
        let looked = records.look(self, &membership, &snapshot).await?;
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
        let mut news = records.note(&looked, &applied);
        news.extend(looked.unstated.into_keys());
        if records.looked_at() > known {
            news.extend(doubt::with_leavers(&membership));
        }
        let lane = lane::current();
        self.parts
            .queue
            .wake_all(news.into_iter().map(Key::Group), lane);
        if records.dns.has_forgotten() {
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
