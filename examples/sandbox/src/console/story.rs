//! What happened, in one time line: plans and their outcome, waits and
//! findings, Events, calls of AWS. Pure: it is told what is new and answers
//! the entries that are new or changed.

mod calls;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use alb_ingress_controller::model::ownership::STACK_TAG;
use alb_ingress_controller::report::{IngressGroup, IngressGroupStatus, LastChange};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use sandbox_aws::resources::Resources;

use super::model::{Entry, Picture};
use super::objects::{event_time, key_of};

/// Entries that are kept.
const KEPT: usize = 5_000;
/// Entries that a page begins with.
const SHOWN: usize = 500;
/// Names of things whose group is remembered.
const NAMES: usize = 50_000;
/// What belongs to no single group.
const SHARED: &str = "shared";

/// The story so far.
#[derive(Debug, Default)]
pub struct Story {
    /// In the order in which they came.
    entries: VecDeque<Entry>,
    /// Counts entries that have no number of their own.
    counter: u64,
    /// The group of a thing of AWS, by ARN or id: also of one that is gone.
    owners: BTreeMap<String, String>,
    /// The group of a host.
    hosts: BTreeMap<String, String>,
    /// The group of an object of Kubernetes, as `Kind/namespace/name`.
    objects: BTreeMap<String, String>,
    /// The first record of a change that Route 53 was asked for.
    changes: BTreeMap<String, String>,
    /// The Pod at an address: also of one that is gone.
    pods: BTreeMap<String, String>,
    /// What each IngressGroup said last, by key.
    groups: BTreeMap<String, IngressGroupStatus>,
    /// Ids of the entries about what still waits or is still wrong.
    open: BTreeMap<(String, String), String>,
    /// Entries of the plan of each group that is under way.
    plans: BTreeMap<String, String>,
    /// Times and kinds of the calls of the last minute.
    recent: VecDeque<Recent>,
}

#[derive(Debug, Clone, Copy)]
struct Recent {
    at: Timestamp,
    write: bool,
    throttled: bool,
}

impl Story {
    /// The newest entries, in the order in which they came.
    pub fn newest(&self) -> Vec<&Entry> {
        let skipped = self.entries.len().saturating_sub(SHOWN);
        self.entries.range(skipped..).collect()
    }

    /// Learns which Pod is at which address, and of which Service.
    pub fn meet(&mut self, pods: BTreeMap<&str, &str>, services: BTreeMap<String, String>) {
        if self.pods.len() > NAMES {
            self.pods.clear();
        }
        for (address, pod) in pods {
            if self.pods.get(address).is_none_or(|known| known != pod) {
                self.pods.insert(address.to_owned(), pod.to_owned());
            }
        }
        for (pod, service) in services {
            let group = self.objects.get(&format!("Service/{service}"));
            if let Some(group) = group.cloned() {
                self.objects.insert(format!("Pod/{pod}"), group);
            }
        }
    }

    /// A Pod is gone, if it is one of a group.
    pub fn pod_gone(&mut self, pod: &Pod, at: Timestamp) -> Vec<Entry> {
        let name = key_of(pod);
        let Some(group) = self.of_object(&format!("Pod/{name}")) else {
            return Vec::new();
        };
        let reason = pod.status.as_ref().and_then(|it| it.reason.as_deref());
        let why = match (&pod.metadata.deletion_timestamp, reason) {
            (_, Some(reason)) => reason.to_owned(),
            (Some(_), None) => "it was deleted".to_owned(),
            (None, None) => "it was removed at once".to_owned(),
        };
        let entry = Entry {
            id: format!("pod:{}", pod.metadata.uid.as_deref().unwrap_or(&name)),
            at: at.to_string(),
            kind: "event",
            group,
            title: format!("Pod {name} is gone: {why}"),
            outcome: "ok",
            resource: format!("Pod {name}"),
            ..Entry::default()
        };
        self.keep(vec![entry])
    }

    /// Another Pod of the controller leads, or none.
    pub fn leads(&mut self, leader: Option<&str>, at: Timestamp) -> Vec<Entry> {
        self.counter += 1;
        let title = match leader {
            Some(pod) => format!("Pod {pod} of the controller leads"),
            None => "No Pod of the controller leads".to_owned(),
        };
        let entry = Entry {
            id: format!("leader:{}", self.counter),
            at: at.to_string(),
            kind: "event",
            group: SHARED.to_owned(),
            title,
            outcome: "ok",
            ..Entry::default()
        };
        self.keep(vec![entry])
    }

    /// The group of an object of Kubernetes, as `Kind/namespace/name`.
    fn of_object(&self, object: &str) -> Option<String> {
        let known = self.objects.get(object);
        // Pods come and go: by the name that their owner gives them.
        let stem = || object.rsplit_once('-').map(|(stem, _)| stem);
        let sibling = || {
            let stem = object.starts_with("Pod/").then(stem).flatten()?;
            let begin = format!("{stem}-");
            let mut later = self.objects.range(begin.clone()..);
            later
                .next()
                .filter(|(name, _)| name.starts_with(&begin))
                .map(|(_, group)| group)
        };
        known.or_else(sibling).cloned()
    }

    /// Learns from the picture and what AWS holds whose a thing is.
    pub fn learn(&mut self, picture: &Picture, resources: &Resources) {
        for names in [&mut self.owners, &mut self.objects, &mut self.changes] {
            if names.len() > NAMES {
                names.clear();
            }
        }
        for group in &picture.groups {
            for ingress in &group.ingresses {
                let name = format!("{}/{}", ingress.namespace, ingress.name);
                self.objects
                    .insert(format!("Ingress/{name}"), group.key.clone());
                for host in &ingress.hosts {
                    self.hosts.insert(host.clone(), group.key.clone());
                }
                for path in &ingress.paths {
                    let service = format!("Service/{}/{}", ingress.namespace, path.service);
                    self.objects.insert(service, group.key.clone());
                }
            }
        }
        let balancers = resources.load_balancers.iter();
        for balancer in balancers {
            self.own(&balancer.arn, balancer.tags.get(STACK_TAG));
            self.own(&balancer.name, balancer.tags.get(STACK_TAG));
            for listener in &balancer.listeners {
                self.own(&listener.arn, balancer.tags.get(STACK_TAG));
                for rule in &listener.rules {
                    self.own(&rule.arn, balancer.tags.get(STACK_TAG));
                }
            }
        }
        for group in &resources.target_groups {
            self.own(&group.arn, group.tags.get(STACK_TAG));
            self.own(&group.name, group.tags.get(STACK_TAG));
        }
        for group in &resources.security_groups {
            self.own(&group.id, group.tags.get(STACK_TAG));
        }
    }

    fn own(&mut self, name: &str, group: Option<&String>) {
        if let Some(group) = group
            && self.owners.get(name) != Some(group)
        {
            self.owners.insert(name.to_owned(), group.clone());
        }
    }

    /// An IngressGroup says something.
    pub fn group(&mut self, group: &IngressGroup, at: Timestamp) -> Vec<Entry> {
        let key = group.spec.group.clone();
        let status = group.status.clone().unwrap_or_default();
        let before = self.groups.insert(key.clone(), status.clone());
        let told = Told {
            key: &key,
            name: group.metadata.name.as_deref().unwrap_or_default(),
            at,
        };
        let mut entries = Vec::new();
        let changed = before.as_ref().and_then(|it| it.last_change.as_ref());
        if let Some(change) = &status.last_change
            && changed != Some(change)
        {
            entries.extend(self.changed(&told, changed, change));
        }
        let before = before.unwrap_or_default();
        entries.extend(self.waits(&told, &before, &status));
        entries.extend(self.findings(&told, &status));
        self.keep(entries)
    }

    /// An IngressGroup is gone: so is what it waited for.
    pub fn group_gone(&mut self, group: &IngressGroup, at: Timestamp) -> Vec<Entry> {
        let key = group.spec.group.clone();
        self.groups.remove(&key);
        self.plans.remove(&key);
        self.open.retain(|(of, _), _| *of != key);
        self.counter += 1;
        let entry = Entry {
            id: format!("gone:{}", self.counter),
            at: at.to_string(),
            kind: "outcome",
            group: key.clone(),
            title: format!("Nothing of {key} is left: the group is gone."),
            outcome: "ok",
            ..Entry::default()
        };
        self.keep(vec![entry])
    }

    fn changed(
        &mut self,
        told: &Told<'_>,
        before: Option<&LastChange>,
        change: &LastChange,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        let began = change.outcome == "UnderWay";
        let (word, outcome) = match change.outcome.as_str() {
            "UnderWay" => ("under way", "pending"),
            "Done" | "Settled" => ("done", "ok"),
            "Waiting" => ("waits", "pending"),
            "Failed" => ("failed", "failed"),
            _ => ("stopped", "failed"),
        };
        let unseen = began || before.is_none_or(|before| before.plan != change.plan);
        if unseen && !change.plan.is_empty() {
            self.counter += 1;
            let mut lines = change.plan.clone();
            if change.more > 0 {
                lines.push(format!("… and {} more", change.more));
            }
            let steps = change.plan.len() + usize::try_from(change.more).unwrap_or_default();
            let id = format!("plan:{}:{}", told.key, self.counter);
            self.plans.insert(told.key.to_owned(), id.clone());
            entries.push(Entry {
                kind: "plan",
                title: format!("Plan for {}, steps: {steps}", told.key),
                lines,
                outcome,
                ..told.entry(id)
            });
        } else if let Some(plan) = self.plans.get(told.key)
            && let Some(mut entry) = self.entry(plan).cloned()
        {
            entry.outcome = outcome;
            entries.push(entry);
        }
        if !began {
            self.counter += 1;
            let title = match (change.outcome.as_str(), &change.detail) {
                ("Done", _) => "The plan is carried out.".to_owned(),
                ("Settled", _) => "Of the last plan nothing is left to do.".to_owned(),
                (_, Some(detail)) => format!("The plan {word}: {detail}"),
                (_, None) => format!("The plan {word} before all of its steps were done."),
            };
            entries.push(Entry {
                kind: "outcome",
                title,
                outcome,
                ..told.entry(format!("outcome:{}:{}", told.key, self.counter))
            });
        }
        entries
    }

    /// What is waited for, and failed, as entries that end when it does.
    fn waits(
        &mut self,
        told: &Told<'_>,
        before: &IngressGroupStatus,
        now: &IngressGroupStatus,
    ) -> Vec<Entry> {
        let of = |status: &IngressGroupStatus| -> BTreeSet<(bool, String)> {
            let waits = status.waiting_for.iter();
            let waits = waits.map(|it| (false, format!("Waits for {it}")));
            let failures = status.failures.iter().map(|it| (true, it.clone()));
            let records = status.records.iter().filter(|it| it.state != "in sync");
            let records = records.map(|it| {
                let text = format!("Record of {}: {}", it.host, it.state);
                (it.state.starts_with("refused"), text)
            });
            waits.chain(failures).chain(records).collect()
        };
        let (before, now) = (of(before), of(now));
        let mut entries = Vec::new();
        for (failed, text) in now.difference(&before) {
            self.counter += 1;
            let id = format!("wait:{}:{}", told.key, self.counter);
            self.open
                .insert((told.key.to_owned(), text.clone()), id.clone());
            entries.push(Entry {
                kind: "wait",
                title: text.clone(),
                outcome: if *failed { "failed" } else { "pending" },
                ..told.entry(id)
            });
        }
        for (failed, text) in before.difference(&now) {
            let Some(id) = self.open.remove(&(told.key.to_owned(), text.clone())) else {
                continue;
            };
            if let Some(mut entry) = self.entry(&id).cloned() {
                entry.outcome = "ok";
                let over = if *failed { "Over" } else { "Waited" };
                entry.lines = vec![format!("{over} until {}.", clock(told.at))];
                entries.push(entry);
            }
        }
        entries
    }

    fn findings(&mut self, told: &Told<'_>, now: &IngressGroupStatus) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut there = BTreeSet::new();
        for finding in &now.findings {
            let text = format!(
                "{} {}: {}",
                finding.ingress, finding.reason, finding.message
            );
            let open = (told.key.to_owned(), format!("finding {text}"));
            there.insert(open.clone());
            if self.open.contains_key(&open) {
                continue;
            }
            self.counter += 1;
            let id = format!("finding:{}:{}", told.key, self.counter);
            self.open.insert(open, id.clone());
            entries.push(Entry {
                kind: "finding",
                title: format!("{}: {}", finding.reason, finding.message),
                lines: vec![
                    format!("Ingress {}", finding.ingress),
                    format!("Effect: {}", finding.effect),
                ],
                outcome: if finding.effect == "Note" {
                    "ok"
                } else {
                    "failed"
                },
                resource: format!("Ingress {}", finding.ingress),
                ..told.entry(id)
            });
        }
        let is_over = |open: &&(String, String)| {
            open.0 == told.key && open.1.starts_with("finding ") && !there.contains(*open)
        };
        let over: Vec<(String, String)> = self.open.keys().filter(is_over).cloned().collect();
        for open in over {
            let Some(id) = self.open.remove(&open) else {
                continue;
            };
            if let Some(mut entry) = self.entry(&id).cloned() {
                entry.outcome = "ok";
                entry.lines.push(format!("Over since {}.", clock(told.at)));
                entries.push(entry);
            }
        }
        entries
    }

    /// An Event, if it is about something of a load balancer.
    pub fn event(&mut self, event: &Event) -> Vec<Entry> {
        let Some(about) = &event.regarding else {
            return Vec::new();
        };
        let kind = about.kind.as_deref().unwrap_or_default();
        let name = about.name.as_deref().unwrap_or_default();
        let object = match about.namespace.as_deref() {
            Some(namespace) => format!("{kind}/{namespace}/{name}"),
            None => format!("{kind}/{name}"),
        };
        let by_group = || {
            let mut keys = self.groups.keys();
            keys.find(|key| kind == "IngressGroup" && name.starts_with(&key.replace('/', "-")))
                .cloned()
        };
        let group = self.of_object(&object).or_else(by_group);
        let group = match group {
            Some(group) => group,
            None if kind == "Ingress" => SHARED.to_owned(),
            None => return Vec::new(),
        };
        let at = event_time(event);
        let times = event
            .series
            .as_ref()
            .map(|series| series.count)
            .or(event.deprecated_count)
            .filter(|count| *count > 1);
        let note = event.note.as_deref().unwrap_or_default();
        let reason = event.reason.as_deref().unwrap_or_default();
        let mut lines = Vec::new();
        let from = event
            .reporting_controller
            .as_deref()
            .filter(|it| !it.is_empty());
        lines.extend(from.map(|from| format!("Reported by {from}")));
        lines.extend(times.map(|times| format!("Seen {times} times")));
        let entry = Entry {
            id: format!("event:{}", event.metadata.uid.as_deref().unwrap_or(name)),
            at: at.to_string(),
            kind: "event",
            group,
            title: format!("{reason}: {note}"),
            lines,
            outcome: match event.type_.as_deref() {
                Some("Warning") => "failed",
                _ => "ok",
            },
            resource: object.replacen('/', " ", 1),
            call: None,
        };
        if self.entry(&entry.id) == Some(&entry) {
            return Vec::new();
        }
        self.keep(vec![entry])
    }

    fn entry(&self, id: &str) -> Option<&Entry> {
        // What changes is mostly new.
        self.entries.iter().rev().find(|entry| entry.id == id)
    }

    fn keep(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        for entry in &entries {
            let mut kept = self.entries.iter_mut().rev();
            // Calls come once only.
            let old = match entry.kind {
                "call" => None,
                _ => kept.find(|old| old.id == entry.id),
            };
            match old {
                Some(old) => old.clone_from(entry),
                None => self.entries.push_back(entry.clone()),
            }
        }
        while self.entries.len() > KEPT {
            self.entries.pop_front();
        }
        entries
    }
}

/// Who an entry is about, and when it was seen.
struct Told<'a> {
    key: &'a str,
    name: &'a str,
    at: Timestamp,
}

impl Told<'_> {
    fn entry(&self, id: String) -> Entry {
        Entry {
            id,
            at: self.at.to_string(),
            group: self.key.to_owned(),
            resource: format!("IngressGroup {}", self.name),
            ..Entry::default()
        }
    }
}

/// Time of day in UTC.
fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests;
