//! What of all groups matters for records, kept from look to look, and the
//! hosts that are to be looked at: those for which something has changed.
//!
//! What is decided for a host follows from the groups that state it, from the
//! zones, and from what Route 53 holds for it; so a change costs the hosts that
//! it concerns. All are looked at where it cannot be told which: at first,
//! when zones were listed, and where a decision goes by how many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Reconciler;
use super::super::models::Seen;
use super::live::LoadBalancerOf;
use super::unstated::Hosts;
use super::{Book, parting};
use crate::model::desired::Leaver;
use crate::model::facts::Facts;
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::membership::{self, GroupMembers, Membership, is_of_another};
use crate::model::records::{AliasTarget, DesiredRecords, HostFindings, Place, Zone};
use crate::model::records_build::{self, HostRules, RecordSources, build_records, hosts_of};
use crate::model::settings::Settings;
use crate::model::snapshot::Snapshot;
use crate::model::spec::{ObjectName, Scheme};
use crate::plan::dns::KnownGroups;

/// What of a group matters for records.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    /// Its Ingresses, those of other controllers left out.
    pub(super) placed: GroupMembers,
    /// Its load balancer.
    pub(super) load_balancer: Arc<LoadBalancerOf>,
    /// Ingresses whose records stay as they are.
    pub(super) keepers: BTreeSet<ObjectName>,
    /// Hosts that AWS serves for it, where it has frozen members.
    pub(super) live_hosts: Option<BTreeSet<String>>,
    /// Hosts that its Ingresses state, those that leave included.
    pub(super) stated: BTreeSet<String>,
}

impl Part {
    /// A part with the hosts that its Ingresses state.
    pub(super) fn new(placed: GroupMembers, snapshot: &Snapshot) -> Self {
        let leavers = placed.leavers.iter().map(|leaver| &leaver.ingress);
        let ingresses = placed.members.iter().chain(leavers);
        let stated = ingresses.flat_map(|name| hosts_of(name, snapshot));
        Self {
            stated: stated.collect(),
            placed,
            ..Self::default()
        }
    }

    fn hosts(&self) -> impl Iterator<Item = &String> {
        self.stated.iter().chain(self.live_hosts.iter().flatten())
    }

    fn ingresses(&self) -> impl Iterator<Item = &ObjectName> {
        let leavers = self.placed.leavers.iter().map(|leaver| &leaver.ingress);
        self.placed.members.iter().chain(leavers)
    }
}

/// What is to be looked at.
#[derive(Debug, Default)]
struct Due {
    all: bool,
    hosts: BTreeSet<String>,
}

/// Hosts that a look is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// All of them.
    pub(super) hosts: BTreeSet<String>,
    /// Those of them that somebody wants or is leaving, or that a group's
    /// rules are for.
    pub(super) wanted: BTreeSet<String>,
}

/// What is kept from look to look.
#[derive(Default)]
pub(in super::super) struct Kept {
    parts: BTreeMap<GroupId, Part>,
    /// The groups that a host is of.
    groups_of: BTreeMap<String, BTreeSet<GroupId>>,
    /// Groups with frozen members.
    frozen: BTreeSet<GroupId>,
    /// Groups that somebody leaves.
    leaving: BTreeSet<GroupId>,
    /// Groups that were looked at since that was last noted.
    unnoted: BTreeSet<GroupId>,
    /// All groups that there is something of.
    known: KnownGroups,
    due: Due,
    /// The listing of zones that was last looked at.
    listing: Option<u64>,
    /// What was being spread when it was last noted.
    spreading: BTreeSet<Place>,
    cluster_uid: Option<String>,
    seen: Option<Seen>,
    /// The last change of what AWS holds that was looked at.
    observed: Option<u64>,
    /// Groups with leavers that may be others'.
    unsure: BTreeSet<GroupId>,
}

impl Kept {
    /// What matters of a group now; `None`: nobody is in it. All its hosts are
    /// to be looked at, those that it had included.
    pub(super) fn set(&mut self, group: &GroupId, part: Option<Part>) {
        self.unnoted.insert(group.clone());
        if let Some(before) = self.parts.remove(group) {
            for host in before.hosts() {
                self.due.hosts.insert(host.clone());
                if let Some(groups) = self.groups_of.get_mut(host) {
                    groups.remove(group);
                    if groups.is_empty() {
                        self.groups_of.remove(host);
                    }
                }
            }
        }
        let is_left = part
            .as_ref()
            .is_some_and(|part| !part.placed.leavers.is_empty());
        let is_frozen = part.as_ref().is_some_and(|part| part.live_hosts.is_some());
        for (groups, is_in) in [(&mut self.leaving, is_left), (&mut self.frozen, is_frozen)] {
            if is_in {
                groups.insert(group.clone());
            } else {
                groups.remove(group);
            }
        }
        let Some(part) = part else {
            return;
        };
        for host in part.hosts() {
            self.due.hosts.insert(host.clone());
            let groups = self.groups_of.entry(host.clone()).or_default();
            groups.insert(group.clone());
        }
        self.parts.insert(group.clone(), part);
    }

    /// The hosts that AWS serves for a group with frozen members.
    fn set_live_hosts(&mut self, group: &GroupId, hosts: BTreeSet<String>) {
        let part = self.parts.get(group);
        let part = part.filter(|part| part.live_hosts.as_ref() != Some(&hosts));
        if let Some(mut part) = part.cloned() {
            part.live_hosts = Some(hosts);
            self.set(group, Some(part));
        }
    }

    /// All hosts are to be looked at.
    pub(super) fn all_are_due(&mut self) {
        self.due.all = true;
    }

    /// These hosts are to be looked at.
    pub(super) fn are_due(&mut self, hosts: impl IntoIterator<Item = String>) {
        self.due.hosts.extend(hosts);
    }

    /// Compares what the decisions for hosts depend on beside groups, zones
    /// and records.
    pub(super) fn compare(
        &mut self,
        book: &Book,
        unstated: &Hosts,
        spreading: &BTreeSet<Place>,
        uid: Option<&str>,
    ) {
        // How many records go at once is a question of all.
        self.due.all |= !unstated.is_empty();
        if self.cluster_uid.as_deref() != uid {
            self.cluster_uid = uid.map(str::to_owned);
            self.due.all = true;
        }
        let other = self.spreading.symmetric_difference(spreading);
        let other = other.map(|place| place.host.clone());
        self.due.hosts.extend(other);
        if self.due.all {
            let all = self.parts.keys().chain(unstated.keys());
            let all = all.chain(book.holders());
            self.known = all.cloned().collect();
            return;
        }
        let mut is_news = false;
        for group in &self.unnoted {
            // What has records stays known until they are gone.
            if self.parts.contains_key(group) || book.holds(group) {
                is_news |= self.known.insert(group);
            } else {
                self.known.remove(group);
            }
        }
        if is_news {
            self.due.hosts.extend(book.strange().iter().cloned());
        }
    }

    /// Zones are of this listing; answers whether that is another one than at
    /// the last look, so that all hosts are to be looked at.
    pub(super) fn is_other_listing(&mut self, listing: u64) -> bool {
        let is_other = self.listing.replace(listing) != Some(listing);
        self.due.all |= is_other;
        is_other
    }

    /// The hosts to look at. `remembered` are all of which Route 53's records
    /// are remembered.
    pub(super) fn scope(
        &self,
        book: &Book,
        unstated: &Hosts,
        remembered: impl FnOnce() -> BTreeSet<String>,
    ) -> Scope {
        let mut hosts = self.due.hosts.clone();
        let unstated: BTreeSet<&String> = unstated.values().flatten().collect();
        if self.due.all {
            hosts.extend(self.groups_of.keys().cloned());
            hosts.extend(book.hosts().chain(&book.looked_at).cloned());
            hosts.extend(unstated.iter().map(|host| (*host).clone()));
            hosts.append(&mut remembered());
        }
        let wanted = hosts.iter();
        let wanted = wanted.filter(|h| self.groups_of.contains_key(*h) || unstated.contains(h));
        let wanted = wanted.cloned().collect();
        Scope { hosts, wanted }
    }

    /// What these hosts depend on.
    pub(super) fn sources_of(&self, hosts: &BTreeSet<String>, snapshot: &Indexed) -> Sources {
        let of_hosts = hosts.iter().filter_map(|host| self.groups_of.get(host));
        let mut groups: BTreeSet<&GroupId> = of_hosts.flatten().collect();
        // An Ingress may be in more than one.
        let parts = groups
            .clone()
            .into_iter()
            .filter_map(|group| self.parts.get(group));
        let ingresses = parts.flat_map(Part::ingresses);
        groups.extend(ingresses.flat_map(|name| snapshot.index().groups_of(name)));
        let parts = groups.into_iter();
        let parts = parts.filter_map(|group| Some((group, self.parts.get(group)?)));
        let mut sources = Sources::default();
        for (group, part) in parts {
            sources.add(group, part);
        }
        sources
    }

    /// Whether an Ingress is of a group of ours, or on its way out of it.
    pub(super) fn has(&self, ingress: &ObjectName) -> bool {
        self.parts.values().any(|part| part.placed.has(ingress))
    }

    /// All groups that there is something of.
    pub(super) fn known(&self) -> &KnownGroups {
        &self.known
    }

    /// Groups that somebody leaves: they may have waited for a look.
    pub(super) fn leaving(&self) -> impl Iterator<Item = &GroupId> {
        self.leaving.iter()
    }

    /// A look was noted in the book, where something has changed for these
    /// groups; these hosts, or all, are to be looked at again.
    pub(super) fn noted(
        &mut self,
        book: &mut Book,
        concerned: &BTreeSet<GroupId>,
        again: BTreeSet<String>,
        all_again: bool,
    ) {
        for group in std::mem::take(&mut self.unnoted) {
            match self.parts.get(&group) {
                Some(part) => {
                    let load_balancer = Arc::clone(&part.load_balancer);
                    book.live.insert(group, load_balancer);
                }
                None => drop(book.live.remove(&group)),
            }
        }
        for group in concerned {
            if self.parts.contains_key(group) || book.holds(group) {
                self.known.insert(group);
            } else {
                self.known.remove(group);
            }
        }
        self.spreading = book.spreading_now();
        self.due = Due {
            all: all_again,
            hosts: again,
        };
    }

    /// The groups for which something has changed, of which AWS holds
    /// something else for `others`; `None`: all of them.
    fn stale(
        &self,
        snapshot: &Indexed,
        facts: &Arc<Facts>,
        others: Option<BTreeSet<GroupId>>,
    ) -> Option<BTreeSet<GroupId>> {
        let mut stale = self.seen.as_ref()?.changed(snapshot, facts)?;
        stale.extend(others?);
        // Of others' leavers AWS tells.
        stale.extend(self.unsure.iter().cloned());
        Some(stale)
    }
}

/// What some hosts depend on: all groups that state them.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The groups with their Ingresses.
    pub(super) membership: Membership,
    targets: BTreeMap<GroupId, AliasTarget>,
    rules: BTreeMap<GroupId, BTreeMap<String, HostRules>>,
    schemes: BTreeMap<GroupId, Scheme>,
    /// Load balancers that are about to replace others.
    pub(super) successors: BTreeMap<GroupId, (Scheme, AliasTarget)>,
    frozen: BTreeSet<ObjectName>,
    live_hosts: BTreeMap<GroupId, BTreeSet<String>>,
}

impl Sources {
    fn add(&mut self, group: &GroupId, part: &Part) {
        let LoadBalancerOf {
            target,
            scheme,
            rules,
            successor,
        } = part.load_balancer.as_ref();
        let group = || group.clone();
        self.membership.groups.insert(group(), part.placed.clone());
        self.targets.extend(target.clone().map(|of| (group(), of)));
        self.rules.insert(group(), rules.clone());
        self.schemes.extend(scheme.map(|of| (group(), of)));
        let successor = successor.clone().map(|of| (group(), of));
        self.successors.extend(successor);
        self.frozen.extend(part.keepers.iter().cloned());
        let live_hosts = part.live_hosts.clone().map(|of| (group(), of));
        self.live_hosts.extend(live_hosts);
    }

    /// What these hosts should be, and what is worth knowing about them.
    pub(super) fn build(
        &self,
        hosts: &BTreeSet<String>,
        zones: &[Zone],
        snapshot: &Snapshot,
        settings: &Settings,
    ) -> (DesiredRecords, HostFindings) {
        let sources = RecordSources {
            zones,
            targets: &self.targets,
            rules: &self.rules,
            successors: &self.successors,
            schemes: &self.schemes,
            frozen: &self.frozen,
            live_hosts: &self.live_hosts,
        };
        let (mut desired, mut findings) =
            build_records(snapshot, &self.membership, settings, sources);
        // Of other hosts not all groups are known here.
        desired.retain(|host, _| hosts.contains(host));
        findings.retain(|host, _| hosts.contains(host));
        (desired, findings)
    }

    /// Hosts that leavers state, of these.
    pub(super) fn of_leavers(
        &self,
        hosts: &BTreeSet<String>,
        snapshot: &Snapshot,
    ) -> BTreeSet<String> {
        let groups = self.membership.groups.values();
        let leavers = groups.flat_map(|placed| &placed.leavers);
        let mut of_leavers: BTreeSet<String> = leavers
            .flat_map(|leaver| hosts_of(&leaver.ingress, snapshot))
            .collect();
        of_leavers.retain(|host| hosts.contains(host));
        of_leavers
    }
}

impl Reconciler {
    /// Looks at the groups for which something has changed.
    pub(super) async fn look_at_groups(
        &self,
        kept: &mut Kept,
        snapshot: &Indexed,
    ) -> anyhow::Result<()> {
        let facts = self.memory.facts().await?;
        let seen = Seen::now(snapshot, &facts);
        // Before they are looked at: what comes meanwhile is for the next time.
        let (observed, others) = self.memory.others_since(kept.observed);
        let stale = kept.stale(snapshot, &facts, others);
        let stale = stale.unwrap_or_else(|| {
            kept.all_are_due();
            let groups = snapshot.index().groups().chain(kept.parts.keys());
            groups.cloned().collect()
        });
        let mut placed = Vec::new();
        for group in stale {
            let ingresses = snapshot.index().ingresses_of(&group);
            let (members, _) =
                membership::of_group_among(&group, ingresses, snapshot, &self.settings);
            placed.push((group, members));
        }
        let is_foreign = |leaver: &Leaver| {
            let ingress = snapshot.ingresses.get(&leaver.ingress);
            ingress.is_some_and(|i| is_of_another(i, snapshot, &self.settings))
        };
        let mut leavers = placed.iter().flat_map(|(_, members)| &members.leavers);
        if leavers.any(is_foreign) {
            // What AWS holds tells whose they are.
            self.memory.groups().await?;
        }
        let count = placed.len();
        for (group, mut members) in placed {
            let observed = self.memory.remembered(&group);
            let has_leavers = !members.leavers.is_empty();
            self.without_anothers(&group, &mut members, &observed, snapshot);
            let is_empty = members.members.is_empty() && members.leavers.is_empty();
            let part = (!is_empty).then(|| {
                let models = &self.models;
                let mut desired = models.one_of(count, &group, snapshot, &facts, &self.settings);
                desired.leavers.clone_from(&members.leavers);
                Part {
                    load_balancer: Arc::new(LoadBalancerOf::group(&desired, &observed)),
                    keepers: parting::keepers(&desired),
                    live_hosts: (!desired.frozen.is_empty()).then(BTreeSet::new),
                    ..Part::new(members, snapshot)
                }
            });
            kept.set(&group, part);
            if has_leavers {
                kept.unsure.insert(group);
            } else {
                kept.unsure.remove(&group);
            }
        }
        kept.seen = Some(seen);
        kept.observed = Some(observed);
        for group in kept.frozen.clone() {
            let observed = self.memory.recall(&group).await?;
            kept.set_live_hosts(&group, records_build::live_hosts(&observed));
        }
        Ok(())
    }
}
