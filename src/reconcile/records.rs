//! The key of all DNS records of the cluster, and the gate of deletions: a
//! load balancer goes only after its records are gone everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::{Reconciler, lock};
use crate::apply;
use crate::aws::Error;
use crate::key::Key;
use crate::model::desired::{Desired, Intent};
use crate::model::finding::{Effect, Finding, Reason};
use crate::model::group::GroupId;
use crate::model::membership::{self, Membership};
use crate::model::records::{AliasTarget, DesiredRecords, RecordState};
use crate::model::records_build::{RecordSources, build_records, hosts_of};
use crate::model::snapshot::Snapshot;
use crate::model::spec::{LiveLoadBalancer, LoadBalancerState, ObjectName, Scheme};
use crate::observe::{Dns, Recalled, Zones};
use crate::plan::current;
use crate::plan::dns::{DnsContext, DnsPlan, diff_records, held};

/// First and longest pause between two questions whether a change has been
/// spread.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Records that were refused because of others are looked at again after
/// this.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// The namespace whose UID tells clusters apart.
const SYSTEM_NAMESPACE: &str = "kube-system";

/// What is remembered of DNS, and how far each record is.
pub(super) struct Records {
    dns: Dns,
    grace: Duration,
    book: Mutex<Book>,
}

/// How far each record is.
#[derive(Default)]
struct Book {
    /// Hosts that were looked at since the process began.
    looked_at: BTreeSet<String>,
    /// Hosts whose records are ours, with the group that they are held for.
    held: BTreeMap<String, GroupId>,
    /// State of each wished record.
    states: BTreeMap<String, (GroupId, RecordState)>,
    findings: Vec<Finding>,
    /// Changes that are being spread, by id, with their hosts.
    spreading: BTreeMap<String, BTreeSet<String>>,
    /// Pause until it is asked again whether they have been.
    pause: Option<Duration>,
    /// Records that a group gave up: it waits for them.
    given_up: BTreeMap<(GroupId, String), Parting>,
    /// Whether zones may not be listed.
    denied: bool,
}

/// How far a record is that a group gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// The change is being spread.
    Spreading,
    /// It has been; resolvers may remember it until then.
    Remembered(Instant),
}

/// What one look at all records has found.
pub(super) struct Looked {
    /// What is to be done.
    pub plan: DnsPlan,
    /// What is wrong, the plan's findings included.
    pub findings: Vec<Finding>,
    /// Hosts that could not be read.
    failed: BTreeMap<String, Error>,
    /// Hosts that were looked at.
    hosts: BTreeSet<String>,
    context: DnsContext,
    denied: bool,
}

impl Records {
    /// Knows nothing yet and makes no call. `grace` is how long a load
    /// balancer outlives its records.
    pub fn new(dns: Dns, grace: Duration) -> Self {
        Self {
            dns,
            grace,
            book: Mutex::default(),
        }
    }

    /// What a group on its way out waits for: the records of its hosts. For a
    /// group that goes on, the hosts of its leavers that nobody of it wants
    /// any more.
    pub fn holding_up(&self, desired: &Desired, snapshot: &Snapshot) -> Vec<String> {
        let group = &desired.group;
        let kept: BTreeSet<String> = desired
            .members
            .iter()
            .flat_map(|member| hosts_of(member, snapshot))
            .collect();
        let book = lock(&self.book);
        if book.denied {
            return Vec::new();
        }
        let mut waits = Vec::new();
        for host in desired
            .leavers
            .iter()
            .flat_map(|leaver| hosts_of(&leaver.ingress, snapshot))
            .filter(|host| !kept.contains(host))
        {
            if !book.looked_at.contains(&host) {
                waits.push(format!("a look at the DNS record of {host}"));
            }
        }
        for (host, holder) in &book.held {
            if holder == group && !kept.contains(host) {
                waits.push(format!("the DNS record of {host} to be deleted"));
            }
        }
        for ((of, host), parting) in &book.given_up {
            if of == group {
                waits.push(match parting {
                    Parting::Spreading => {
                        format!("Route 53 to have spread the change of {host}")
                    }
                    Parting::Remembered(_) => format!(
                        "resolvers to have forgotten {host} (--dns-delete-grace, {} s)",
                        self.grace.as_secs()
                    ),
                });
            }
        }
        waits.sort();
        waits.dedup();
        waits
    }

    /// The records of a group with their states, and what is wrong with them.
    pub fn of_group(&self, desired: &Desired) -> (Vec<(String, RecordState)>, Vec<Finding>) {
        let book = lock(&self.book);
        let of_group = |(host, (group, state)): (&String, &(GroupId, RecordState))| {
            (*group == desired.group).then(|| (host.clone(), state.clone()))
        };
        let records = book.states.iter().filter_map(of_group).collect();
        let findings = book.findings.iter();
        let findings = findings.filter(|finding| desired.members.contains(&finding.ingress));
        (records, findings.cloned().collect())
    }

    /// Verification in the background; see [`Dns::verify_tick`].
    pub async fn verify(&self, now: Instant) -> Result<Option<String>, Error> {
        self.dns.verify_tick(now).await
    }

    /// Looks at all records and decides; writes nothing.
    pub async fn look(
        &self,
        cx: &Reconciler,
        all: &BTreeMap<GroupId, Desired>,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Looked> {
        let membership = membership::groups(snapshot, &cx.settings);
        let live = Live::of(cx, all);
        let frozen: BTreeSet<ObjectName> = all
            .values()
            .flat_map(|desired| desired.frozen.iter().cloned())
            .collect();
        // Those that leave are looked at like those that stay, so that what
        // they hold is found.
        let leaving = with_leavers(&membership);
        let wished: BTreeSet<String> = leaving
            .groups
            .values()
            .flat_map(|group| &group.members)
            .flat_map(|member| hosts_of(member, snapshot))
            .collect();
        let mut zones = self.dns.zones(&wished).await?;
        let build = |membership: &Membership, zones: &Zones| {
            let sources = RecordSources {
                zones: &zones.zones,
                targets: &live.targets,
                schemes: &live.schemes,
                frozen: &frozen,
            };
            build_records(snapshot, membership, &cx.settings, sources)
        };
        let (mut desired, mut findings) = build(&membership, &zones);
        if findings.iter().any(|f| f.reason == Reason::NoHostedZone) && zones.denied.is_none() {
            zones = self.dns.zones_again(&wished).await?;
            (desired, findings) = build(&membership, &zones);
        }
        if let Some(error) = &zones.denied {
            findings = denied(all, snapshot, error);
        }
        let hosts = self.hosts(&build(&leaving, &zones).0);
        let Recalled { records, failed } = self.dns.recall(&hosts).await;
        let context = DnsContext {
            cluster: cx.settings.cluster_name.clone(),
            cluster_uid: snapshot
                .namespaces
                .get(SYSTEM_NAMESPACE)
                .and_then(|namespace| namespace.metadata.uid.clone()),
            groups: membership.groups.keys().cloned().collect(),
            sees_all: cx.parts.settings.watch_namespace.is_none()
                && cx.settings.ingress_class == DEFAULT_CLASS,
            coming: live.coming,
        };
        let plan = diff_records(&desired, &records, &context);
        findings.extend(plan.findings.iter().cloned());
        let looked: BTreeSet<String> = wished
            .into_iter()
            .filter(|host| !failed.contains_key(host))
            .collect();
        Ok(Looked {
            plan,
            findings,
            failed,
            hosts: looked,
            context,
            denied: zones.denied.is_some(),
        })
    }

    /// Hosts to be read, with their zones: those that were read before, and
    /// those of Ingresses.
    fn hosts(&self, wished: &DesiredRecords) -> BTreeMap<String, String> {
        let known = self.dns.remembered().into_iter();
        let mut hosts: BTreeMap<String, String> =
            known.map(|(host, records)| (host, records.zone)).collect();
        let wished = wished.iter();
        hosts.extend(wished.map(|(host, claims)| (host.clone(), claims.zone.clone())));
        hosts
    }

    /// Asks whether the changes under way have been spread.
    async fn poll(&self, cx: &Reconciler) {
        let changes: Vec<String> = lock(&self.book).spreading.keys().cloned().collect();
        for change in changes {
            match apply::dns::in_sync(&cx.aws, &change).await {
                Ok(true) => self.spread(&change),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot ask whether a change is in sync"),
            }
        }
    }

    fn spread(&self, change: &str) {
        let mut book = lock(&self.book);
        let Some(hosts) = book.spreading.remove(change) else {
            return;
        };
        let until = Instant::now() + self.grace;
        for ((_, host), parting) in &mut book.given_up {
            if hosts.contains(host) && *parting == Parting::Spreading {
                *parting = Parting::Remembered(until);
            }
        }
    }

    /// Writes what was found and done into the book. Answers the groups that
    /// it is news for.
    fn note(&self, looked: &Looked, applied: &apply::dns::DnsApplied) -> BTreeSet<GroupId> {
        let records = self.dns.remembered();
        let mut book = lock(&self.book);
        let before = book.view();
        let now = Instant::now();
        let held_now = held(&records, &looked.context);
        for submitted in &applied.submitted {
            for host in &submitted.hosts {
                let holder = held_now.get(host);
                if let Some(group) = book.held.get(host).filter(|group| Some(*group) != holder) {
                    let given_up = (group.clone(), host.clone());
                    book.given_up.insert(given_up, Parting::Spreading);
                }
                // A later change of a host is the one to wait for.
                for hosts in book.spreading.values_mut() {
                    hosts.remove(host);
                }
            }
            let hosts = submitted.hosts.iter().cloned().collect();
            book.spreading.insert(submitted.change.clone(), hosts);
            book.pause = None;
        }
        book.spreading.retain(|_, hosts| !hosts.is_empty());
        book.given_up.retain(|(group, host), parting| {
            let over = matches!(parting, Parting::Remembered(until) if *until <= now);
            // It came back: then it is a held one again.
            !over && held_now.get(host) != Some(group)
        });
        book.held = held_now;
        book.looked_at.extend(looked.hosts.iter().cloned());
        book.denied = looked.denied;
        book.findings.clone_from(&looked.findings);
        let spreading: BTreeSet<String> = book.spreading.values().flatten().cloned().collect();
        book.states = looked
            .plan
            .states
            .iter()
            .map(|(host, (group, state))| {
                let state = match state {
                    RecordState::Pending if !spreading.contains(host) => RecordState::InSync,
                    RecordState::InSync if spreading.contains(host) => RecordState::Pending,
                    state => state.clone(),
                };
                (host.clone(), (group.clone(), state))
            })
            .collect();
        for (host, error) in looked.failed.iter().chain(&applied.failed) {
            if let Some((_, state)) = book.states.get_mut(host) {
                *state = RecordState::Refused(error.to_string());
            }
        }
        let after = book.view();
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
            if let Parting::Remembered(until) = parting {
                let left = until.saturating_duration_since(now);
                next = Some(next.map_or(left, |pause: Duration| pause.min(left)));
            }
        }
        let refused =
            |(_, state): &(GroupId, RecordState)| matches!(state, RecordState::Refused(_));
        if next.is_none() && (book.states.values().any(refused) || book.denied) {
            next = Some(LOOK_AGAIN);
        }
        next
    }
}

/// What a group can see of the book.
type View = BTreeMap<GroupId, BTreeSet<String>>;

impl Book {
    fn view(&self) -> View {
        let mut view = View::new();
        let mut note = |group: &GroupId, text: String| {
            view.entry(group.clone()).or_default().insert(text);
        };
        for (host, group) in &self.held {
            note(group, format!("held {host}"));
        }
        for (host, (group, state)) in &self.states {
            note(group, format!("{host} {state}"));
        }
        for ((group, host), parting) in &self.given_up {
            note(group, format!("given up {host} {parting:?}"));
        }
        view
    }
}

/// The value of `--ingress-class` that one installation in a cluster has.
const DEFAULT_CLASS: &str = "alb";

/// What of the groups' load balancers matters for records.
struct Live {
    targets: BTreeMap<GroupId, AliasTarget>,
    schemes: BTreeMap<GroupId, Scheme>,
    coming: BTreeSet<GroupId>,
}

impl Live {
    fn of(cx: &Reconciler, all: &BTreeMap<GroupId, Desired>) -> Self {
        let mut live = Self {
            targets: BTreeMap::new(),
            schemes: BTreeMap::new(),
            coming: BTreeSet::new(),
        };
        for (group, desired) in all {
            let observed = cx.memory.remembered(group);
            let wished = match &desired.intent {
                Intent::Serve(stack) => Some(stack.load_balancer.scheme),
                _ => None,
            };
            let load_balancer = current(desired, &observed);
            if let Some(scheme) = load_balancer.map(|lb| lb.spec.scheme).or(wished) {
                live.schemes.insert(group.clone(), scheme);
            }
            match load_balancer.filter(|lb| serves(lb)) {
                Some(lb) => {
                    let target = AliasTarget {
                        dns_name: lb.dns_name.trim_end_matches('.').to_ascii_lowercase(),
                        hosted_zone_id: lb.hosted_zone_id.clone(),
                    };
                    live.targets.insert(group.clone(), target);
                }
                None if wished.is_some() => {
                    live.coming.insert(group.clone());
                }
                None => {}
            }
        }
        live
    }
}

/// Whether a load balancer is active and has listeners and rules.
fn serves(lb: &LiveLoadBalancer) -> bool {
    let active = matches!(
        lb.state,
        LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
    );
    active
        && lb
            .listeners
            .values()
            .any(|listener| !listener.rules.is_empty())
}

/// The same groups, with those that leave counted as members.
fn with_leavers(membership: &Membership) -> Membership {
    let mut all = membership.clone();
    for group in all.groups.values_mut() {
        let leavers = group.leavers.iter().map(|leaver| leaver.ingress.clone());
        let leavers: Vec<ObjectName> = leavers.collect();
        group.members.extend(leavers);
    }
    all
}

/// A note on every Ingress with a host, since no record can be written.
fn denied(all: &BTreeMap<GroupId, Desired>, snapshot: &Snapshot, error: &Error) -> Vec<Finding> {
    let members = all.values().flat_map(|desired| &desired.members);
    members
        .filter(|member| !hosts_of(member, snapshot).is_empty())
        .map(|member| Finding {
            ingress: member.clone(),
            effect: Effect::Note,
            reason: Reason::DnsDenied,
            message: format!(
                "no DNS records are written: AWS answered {} to {}; allow the route53 actions of \
                 deploy/iam-policy.json to the controller's role, or switch records off with \
                 DISABLE_ROUTE53=true",
                error.code, error.operation
            ),
        })
        .collect()
}

impl Reconciler {
    /// Brings all records to what the Ingresses ask for, and tells the groups
    /// that it is news for.
    pub(super) async fn dns(&self) -> anyhow::Result<Option<Duration>> {
        let Some(records) = &self.records else {
            return Ok(None);
        };
        records.poll(self).await;
        let snapshot = self.parts.stores.snapshot();
        let all = self.all_desired(&snapshot).await?;
        let looked = records.look(self, &all, &snapshot).await?;
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
        let news = records.note(&looked, &applied);
        self.parts.queue.wake_many(news.into_iter().map(Key::Group));
        let next = records.next();
        let failed = looked.failed.into_iter().chain(applied.failed).next();
        match failed {
            Some((host, error)) => {
                Err(anyhow::Error::new(error).context(format!("the record of {host}")))
            }
            None => Ok(next),
        }
    }
}
