//! What belongs to no single group: facts of the VPC, the shared backend
//! security group with its rules on nodes and pods, and the verdicts that AWS
//! gave.

mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{try_join, try_join3};
use ipnet::Ipv4Net;
use tokio::time::Instant;

use super::ec2;
use super::interfaces::Instance;
use super::listing::is_backend;
use super::merge::TRUST;
use super::verdicts::Verdicts;
use super::{Memory, lock};
use crate::aws::Error;
use crate::model::backend::ObservedBackend;
use crate::model::facts::{Facts, KnownSecurityGroup, Subnet};
use crate::model::finding::Verdict;
use crate::model::group::GroupId;
use crate::model::map::Map;
use crate::model::ownership;
use crate::model::spec::{Live, Permission, SecurityGroup, SecurityGroupRef, Source};

pub use pods::PodAddress;

/// Facts are read again for somebody who misses something no sooner than
/// this after the last read.
const AGAIN: Duration = Duration::from_mins(1);

/// What is remembered of the account.
#[derive(Debug, Default)]
pub(super) struct Account {
    facts: Option<Arc<Facts>>,
    /// When the last read of facts began.
    read: Option<Instant>,
    /// Whether AWS has said that they are wrong.
    in_doubt: bool,
    instances: BTreeMap<String, (Instant, Instance)>,
    /// Security groups of pods by their addresses.
    pods: BTreeMap<String, Arc<BTreeSet<String>>>,
    /// All that pods have, each once.
    groups_of_pods: BTreeSet<Arc<BTreeSet<String>>>,
    backend: ObservedBackend,
    /// Since when the backend group or its rules may be wrong.
    backend_doubt: Option<Instant>,
    /// When the last read of security groups began.
    backend_read: Option<Instant>,
    /// When rules on which security group were last written.
    backend_stamps: BTreeMap<String, Instant>,
    backend_drifted: bool,
    /// Whether a read found what groups choose from to be other than before.
    facts_drifted: bool,
    verdicts: Verdicts,
}

impl Account {
    /// Facts with the verdicts as they are now.
    fn rebuild(&mut self, change: impl FnOnce(&mut Facts)) {
        if let Some(facts) = &mut self.facts {
            let facts = Arc::make_mut(facts);
            change(facts);
            facts.verdicts = self.verdicts.all();
        }
    }

    /// Puts a read of all security groups of the VPC beside what is
    /// remembered of the backend group.
    fn take_in(&mut self, cluster: &str, groups: &[Live<SecurityGroup>], begun: Instant) {
        // Listings and facts are read side by side.
        let is_late = self.backend_read.is_some_and(|read| read > begun);
        let facts = self.facts.as_ref();
        if is_late && facts.is_some_and(|facts| !facts.security_groups.is_empty()) {
            return;
        }
        let first = self.backend_read.is_none();
        let mut read = backend_in(cluster, groups);
        for (id, at) in &self.backend_stamps {
            if *at + TRUST > begun {
                // Our own write beats a read that may not show it yet.
                match self.backend.rules.get(id) {
                    Some(rules) => read.rules.insert(id.clone(), rules.clone()),
                    None => read.rules.remove(id),
                };
                if is_of_group(&self.backend, id) || is_of_group(&read, id) {
                    read.group.clone_from(&self.backend.group);
                }
            }
        }
        self.backend_drifted |= !first && read != self.backend;
        self.backend = read;
        self.backend_read = Some(begun);
        self.backend_doubt = self.backend_doubt.filter(|doubt| *doubt >= begun);
        let known = known_groups(groups);
        let mut others_differ = false;
        if let Some(facts) = &self.facts {
            let is_others = |(_, group): &(&String, &KnownSecurityGroup)| !is_of(cluster, group);
            let before = facts.security_groups.iter().filter(is_others);
            // A VPC is never without one.
            let first = facts.security_groups.is_empty();
            others_differ = !first && !before.eq(known.iter().filter(is_others));
        }
        self.facts_drifted |= others_differ;
        // Who holds the facts need not look whether they are others now.
        let same = |facts: &Arc<Facts>| facts.security_groups == known;
        if !self.facts.as_ref().is_some_and(same) {
            self.rebuild(|facts| facts.security_groups = known);
        }
    }

    /// Takes in a read of the VPC and its subnets.
    fn take_in_network(&mut self, vpc_cidrs: Vec<Ipv4Net>, subnets: Vec<Subnet>) {
        let first = self.facts.is_none();
        let facts = Arc::make_mut(self.facts.get_or_insert_default());
        let same = facts.vpc_cidrs == vpc_cidrs && are_alike(&facts.subnets, &subnets);
        facts.vpc_cidrs = vpc_cidrs;
        facts.subnets = subnets;
        self.facts_drifted |= !first && !same;
    }
}

/// Whether a security group is this very cluster's: these come and go.
fn is_of(cluster: &str, group: &KnownSecurityGroup) -> bool {
    let of = group.tags.get(ownership::CLUSTER_TAG);
    of.is_some_and(|of| of == cluster)
}

/// Whether decisions come out the same with these subnets; free addresses come
/// and go.
fn are_alike(a: &[Subnet], b: &[Subnet]) -> bool {
    let settled = |subnet: &Subnet| Subnet {
        available_addresses: 0,
        ..subnet.clone()
    };
    a.iter().map(settled).eq(b.iter().map(settled))
}

fn is_of_group(backend: &ObservedBackend, id: &str) -> bool {
    backend.group.as_ref().is_some_and(|g| g.arn.0 == id)
}

fn known_groups(groups: &[Live<SecurityGroup>]) -> Map<String, KnownSecurityGroup> {
    let known = |g: &Live<SecurityGroup>| KnownSecurityGroup {
        name: g.spec.name.clone(),
        tags: g.spec.tags.clone(),
    };
    groups.iter().map(|g| (g.arn.0.clone(), known(g))).collect()
}

/// The backend group and our marked rules, out of all groups of the VPC.
fn backend_in(cluster: &str, groups: &[Live<SecurityGroup>]) -> ObservedBackend {
    let group = groups.iter().find(|g| is_backend(cluster, g)).cloned();
    let id = group.as_ref().map(|g| g.arn.0.as_str());
    let mut rules: BTreeMap<String, BTreeSet<Permission>> = BTreeMap::new();
    for group in groups {
        let marked = group
            .spec
            .ingress
            .iter()
            .filter(|p| p.description == ownership::BACKEND_RULE_DESCRIPTION);
        for permission in marked {
            // The mark names no cluster: a rule is ours by its source too.
            if let Source::Group(SecurityGroupRef::Id(source)) = &permission.source
                && Some(source.as_str()) == id
            {
                rules
                    .entry(group.arn.0.clone())
                    .or_default()
                    .insert(Permission {
                        source: Source::Group(SecurityGroupRef::Backend),
                        ..permission.clone()
                    });
            }
        }
    }
    ObservedBackend { group, rules }
}

impl Memory {
    /// What decisions depend on besides the groups: read once, then
    /// remembered.
    pub async fn facts(&self) -> Result<Arc<Facts>, Error> {
        let now = Instant::now();
        let again = {
            let account = lock(&self.account);
            account.in_doubt && account.read.is_none_or(|read| read + AGAIN <= now)
        };
        self.read_facts(again.then_some(now)).await
    }

    /// AWS has said that a subnet or security group is not there: the facts
    /// are read again, at most once a minute.
    pub fn mark_facts_stale(&self) {
        lock(&self.account).in_doubt = true;
    }

    /// Reads the facts again for somebody who misses something in them;
    /// `None` when they were read within the last minute.
    pub async fn facts_again(&self) -> Result<Option<Arc<Facts>>, Error> {
        let now = Instant::now();
        let due = lock(&self.account)
            .read
            .is_none_or(|read| read + AGAIN <= now);
        if due {
            self.read_facts(Some(now)).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// Facts of a read that began at `since` or later.
    async fn read_facts(&self, since: Option<Instant>) -> Result<Arc<Facts>, Error> {
        let fresh = || {
            let account = lock(&self.account);
            let is_fresh = since.is_none_or(|since| account.read >= Some(since));
            // A listing alone does not make them whole.
            let whole = account.read.and(account.facts.as_ref());
            whole.filter(|_| is_fresh).map(Arc::clone)
        };
        if let Some(facts) = fresh() {
            return Ok(facts);
        }
        let reading = self.reading.begin().await;
        if let Some(facts) = fresh() {
            return Ok(facts);
        }
        let begun = Instant::now();
        let vpc = &self.scope.vpc;
        let read = try_join3(
            ec2::vpc_cidrs(&self.aws, vpc),
            ec2::subnets(&self.aws, vpc),
            ec2::security_groups(&self.aws, vpc, None),
        );
        let (vpc_cidrs, subnets, groups) = reading.run(read).await?;
        {
            let mut account = lock(&self.account);
            account.take_in_network(vpc_cidrs, subnets);
            account.read = Some(begun);
            account.in_doubt = false;
        }
        self.take_in_security_groups(&groups, begun);
        Ok(lock(&self.account).facts.clone().unwrap_or_default())
    }

    /// Reads the VPC and its subnets again, if they were read before.
    pub(super) async fn read_network(&self) -> Result<(), Error> {
        let reading = self.reading.begin().await;
        if lock(&self.account).read.is_none() {
            return Ok(());
        }
        let vpc = &self.scope.vpc;
        let read = try_join(ec2::vpc_cidrs(&self.aws, vpc), ec2::subnets(&self.aws, vpc));
        let (vpc_cidrs, subnets) = reading.run(read).await?;
        lock(&self.account).take_in_network(vpc_cidrs, subnets);
        Ok(())
    }

    /// Takes in a read of all security groups of the VPC.
    pub(super) fn take_in_security_groups(&self, groups: &[Live<SecurityGroup>], begun: Instant) {
        let mut account = lock(&self.account);
        account.take_in(&self.scope.cluster, groups, begun);
        let backend = account.backend.group.as_ref().map(|g| g.arn.0.clone());
        drop(account);
        self.note_backend(backend);
    }

    /// What AWS holds of the shared backend group.
    pub async fn recall_backend(&self) -> Result<ObservedBackend, Error> {
        self.facts().await?;
        let sure = || {
            let account = lock(&self.account);
            let is_sure = account.backend_doubt.is_none();
            is_sure.then(|| account.backend.clone())
        };
        if let Some(backend) = sure() {
            return Ok(backend);
        }
        let reading = self.reading.begin().await;
        if let Some(backend) = sure() {
            return Ok(backend);
        }
        let begun = Instant::now();
        let read = ec2::security_groups(&self.aws, &self.scope.vpc, None);
        let groups = reading.run(read).await?;
        self.take_in_security_groups(&groups, begun);
        Ok(lock(&self.account).backend.clone())
    }

    /// The backend group has this id now. Load balancers that have another
    /// one must not pass for having it.
    fn note_backend(&self, id: Option<String>) {
        let mut groups = lock(&self.groups);
        let before = std::mem::replace(&mut groups.backend, id);
        if before.is_some() && before != groups.backend {
            let now = Instant::now();
            let all: Vec<GroupId> = groups.known.keys().cloned().collect();
            for group in all {
                groups.known.change(&group, |known| known.doubt = Some(now));
            }
        }
    }

    /// Notes what an answered write has made of the backend group.
    pub fn remember_backend(&self, change: impl FnOnce(&mut ObservedBackend)) {
        let mut account = lock(&self.account);
        let before = account.backend.clone();
        change(&mut account.backend);
        let after = account.backend.clone();
        let now = Instant::now();
        let ids: BTreeSet<&String> = before.rules.keys().chain(after.rules.keys()).collect();
        for id in ids {
            if before.rules.get(id) != after.rules.get(id) {
                account.backend_stamps.insert(id.clone(), now);
            }
        }
        if before.group != after.group {
            for group in before.group.iter().chain(&after.group) {
                account.backend_stamps.insert(group.arn.0.clone(), now);
            }
        }
        drop(account);
        self.note_backend(after.group.map(|g| g.arn.0));
    }

    /// What is remembered of the backend group may be wrong, also where this
    /// process wrote it a moment ago.
    pub fn mark_backend_stale(&self) {
        let mut account = lock(&self.account);
        account.backend_doubt = Some(Instant::now());
        account.backend_stamps.clear();
    }

    /// Remembers what AWS refused for a group. One that says anew what an older
    /// one says [replaces](verdicts::replaces) it. Answers whether it is new.
    pub fn add_verdict(&self, group: &GroupId, verdict: Verdict) -> bool {
        let mut account = lock(&self.account);
        let interval = self.scope.verdict;
        let is_new = account
            .verdicts
            .add(group, verdict, interval, Instant::now());
        account.rebuild(|_| ());
        is_new
    }

    /// Forgets the verdicts about a group that is gone.
    pub fn forget_verdicts(&self, group: &GroupId) {
        let mut account = lock(&self.account);
        account.verdicts.forget(group);
        account.rebuild(|_| ());
    }

    /// All verdicts.
    pub fn verdicts(&self) -> Vec<Verdict> {
        lock(&self.account).verdicts.all()
    }

    /// Forgets verdicts whose time is over; answers their groups, which try
    /// again.
    pub(super) fn expire_verdicts(&self, now: Instant) -> BTreeSet<GroupId> {
        let mut account = lock(&self.account);
        let expired = account.verdicts.expire(now);
        if !expired.is_empty() {
            account.rebuild(|_| ());
        }
        expired
    }

    /// Whether a read found the backend group to differ since this was last
    /// asked.
    pub(super) fn take_backend_drift(&self) -> bool {
        std::mem::take(&mut lock(&self.account).backend_drifted)
    }

    /// Whether a read found what groups choose from to be other than before,
    /// since this was last asked.
    pub(super) fn take_facts_drift(&self) -> bool {
        std::mem::take(&mut lock(&self.account).facts_drifted)
    }
}
