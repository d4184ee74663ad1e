//! Ingresses on their way out of a group: whose they are, and which of them
//! serve on until their records are gone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Reconciler, lock};
use crate::key::Key;
use crate::lane;
use crate::model::desired::{Desired, Intent, Leaver};
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::membership::{GroupMembers, is_of_another};
use crate::model::ownership::may_belong_to;
use crate::model::records_build::hosts_of;
use crate::model::snapshot::Snapshot;
use crate::model::spec::{ObjectName, Observed};
use crate::model::writers::writer_of_finalizer;

/// Ingresses that this process has served, or found something of in AWS, with
/// their groups.
pub(super) type Ours = BTreeMap<ObjectName, BTreeSet<GroupId>>;

impl Reconciler {
    /// Takes out of what should be the leavers that are another controller's.
    /// Members are ours from now on, whatever becomes of their class.
    pub(super) fn drop_anothers(
        &self,
        desired: &mut Desired,
        observed: &Observed,
        snapshot: &Snapshot,
    ) {
        if desired.intent != Intent::LeaveAlone {
            let mut ours = lock(&self.ours);
            for member in &desired.members {
                note(&mut ours, &desired.group, member);
            }
        }
        let is_left = desired.members.is_empty();
        let is_anothers =
            |leaver: &Leaver| self.is_anothers(&desired.group, is_left, leaver, observed, snapshot);
        let (others, ours): (Vec<Leaver>, Vec<Leaver>) =
            desired.leavers.drain(..).partition(is_anothers);
        desired.leavers = ours;
        let of_others =
            |ingress: &ObjectName| others.iter().any(|leaver| leaver.ingress == *ingress);
        desired
            .findings
            .retain(|finding| !of_others(&finding.ingress));
    }

    /// Whether an Ingress that carries a group's finalizer is another
    /// controller's, of another class and maybe another cluster's name: both
    /// have finalizers of the same names, and it is not ours to take off.
    ///
    /// aws-load-balancer-controller takes it off whatever is not of its class.
    /// Here an Ingress of another class counts as ours only where there is a
    /// sign: this process has served it, AWS holds something of it under our
    /// marks, or the finalizer was put there by this installation, which the
    /// API server has noted. So one that lost its class while nobody looked is
    /// let go, and no installation takes what another has put.
    ///
    /// `is_left`: whether the group has no member any more.
    fn is_anothers(
        &self,
        group: &GroupId,
        is_left: bool,
        leaver: &Leaver,
        observed: &Observed,
        snapshot: &Snapshot,
    ) -> bool {
        let Some(ingress) = snapshot.ingresses.get(&leaver.ingress) else {
            return false;
        };
        if !is_of_another(ingress, snapshot, &self.settings) {
            return false;
        }
        let mut ours = lock(&self.ours);
        let has_target_group = || {
            let mut keys = observed.target_groups.iter().map(|live| &live.spec.key);
            keys.any(|key| may_belong_to(key, &leaver.ingress))
        };
        let in_aws = (is_left && !observed.is_empty()) || has_target_group();
        if in_aws {
            // It stays so when that is gone.
            note(&mut ours, group, &leaver.ingress);
            return false;
        }
        let of_ingress = ours.get(&leaver.ingress);
        if of_ingress.is_some_and(|groups| groups.contains(group)) {
            return false;
        }
        let writer = writer_of_finalizer(&ingress.metadata, &group.finalizer());
        writer != Some(self.parts.reporter.finalizer_writer())
    }

    /// Takes out of what should be the leavers that are another controller's,
    /// as far as is remembered. Answers whether anybody is left, or a load
    /// balancer: whose finalizers were torn off serves until it is gone.
    pub(super) fn counts_in_all(&self, desired: &mut Desired, snapshot: &Snapshot) -> bool {
        let group = desired.group.clone();
        let observed = self.memory.remembered(&group);
        let is_left = desired.members.is_empty();
        desired
            .leavers
            .retain(|leaver| !self.is_anothers(&group, is_left, leaver, &observed, snapshot));
        let is_deserted = is_left && desired.leavers.is_empty();
        !is_deserted || !observed.load_balancers.is_empty()
    }

    /// Takes the leavers that are another controller's out of a group's
    /// Ingresses, by what AWS holds for it.
    pub(super) fn without_anothers(
        &self,
        group: &GroupId,
        placed: &mut GroupMembers,
        observed: &Observed,
        snapshot: &Snapshot,
    ) {
        let is_left = placed.members.is_empty();
        placed
            .leavers
            .retain(|leaver| !self.is_anothers(group, is_left, leaver, observed, snapshot));
    }

    /// What the group's Ingresses that leave still wait for in DNS. As long as
    /// requests may come to what is live for them, it is held: of a group that
    /// goes on what belongs to those whose hosts are waited for, else all.
    pub(super) fn records_first(
        &self,
        desired: &mut Desired,
        observed: &Observed,
        snapshot: &Snapshot,
    ) -> Vec<String> {
        let Some(records) = &self.records else {
            return Vec::new();
        };
        let shown = || self.parts.reporter.shown_hosts(&desired.group);
        if records.meet_rules(desired, observed, shown, snapshot) {
            self.parts.queue.wake(Key::Dns, lane::current());
        }
        let waits = records.holding_up(desired, observed, snapshot);
        let waited_for: BTreeSet<&String> = waits.iter().map(|wait| &wait.host).collect();
        let goes = desired.intent == Intent::Remove;
        let serves = !observed.load_balancers.is_empty();
        let is_held = |ingress: &ObjectName| {
            goes || (serves
                && hosts_of(ingress, snapshot)
                    .iter()
                    .any(|h| waited_for.contains(h)))
        };
        if !waits.is_empty() {
            let leavers = desired.leavers.iter().map(|leaver| &leaver.ingress);
            desired.held = leavers.filter(|name| is_held(name)).cloned().collect();
        }
        let mut words: Vec<String> = waits.into_iter().map(|wait| wait.words).collect();
        words.sort();
        words.dedup();
        words
    }

    /// These are no longer in a group.
    pub(super) fn let_go(&self, group: &GroupId, gone: &[ObjectName]) {
        let mut ours = lock(&self.ours);
        for ingress in gone {
            if let Some(groups) = ours.get_mut(ingress) {
                groups.remove(group);
                if groups.is_empty() {
                    ours.remove(ingress);
                }
            }
        }
    }

    /// Forgets Ingresses that are no more. Those that were forgotten the last
    /// time are looked at once more: a run that was under way then may have
    /// noted something of them.
    pub(super) fn forget_removed(&self, snapshot: &Indexed) {
        let removed = snapshot.removed();
        let seen = {
            let mut seen = lock(&self.removed);
            let [last, before] = *seen;
            if last == removed.last() {
                return;
            }
            *seen = [removed.last(), last];
            before
        };
        let reporter = &self.parts.reporter;
        let Some(gone) = removed.since(seen) else {
            // They are so many that they were not all remembered.
            reporter.forget_missing(snapshot);
            lock(&self.ours).retain(|ingress, _| snapshot.ingresses.contains_key(ingress));
            return;
        };
        for name in gone.filter(|name| !snapshot.ingresses.contains_key(*name)) {
            reporter.forget(name);
            lock(&self.ours).remove(name);
        }
    }
}

/// Notes that an Ingress of a group is ours.
fn note(ours: &mut Ours, group: &GroupId, ingress: &ObjectName) {
    if let Some(groups) = ours.get_mut(ingress) {
        if !groups.contains(group) {
            groups.insert(group.clone());
        }
    } else {
        ours.insert(ingress.clone(), BTreeSet::from([group.clone()]));
    }
}
