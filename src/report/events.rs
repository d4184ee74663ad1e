//! Events on Ingresses: one for each transition, so that `kubectl describe`
//! reads as a history and not as a drum.
//!
//! A finding that appears is a Warning with its reason; one that goes is said
//! once. A kind of failure is said when it comes and not again while it lasts,
//! whatever request ids its text carries. What the load balancer did and a
//! group that has become served are Normal.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::ResourceExt as _;
use kube::api::{Api, PostParams};

use super::{GroupReport, GroupState, Reporter, Told, WRITER, status};
use crate::api_error::{ApiError, is_of_dying_namespace};
use crate::model::finding::{Effect, Finding, Reason};
use crate::model::snapshot::Snapshot;
use crate::model::spec::{Arn, LoadBalancerState, ObjectName, Observed};

/// Longest note that the API server takes, in bytes.
const NOTE_LIMIT: usize = 1024;

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saying {
    about: ObjectName,
    warning: bool,
    reason: String,
    note: String,
}

/// What was said about a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    findings: BTreeSet<Finding>,
    /// What was found before somebody was frozen or deleted: whether it still
    /// holds nobody has looked at since.
    unsettled: BTreeSet<Finding>,
    failures: BTreeSet<String>,
    /// Load balancers that are there and have been active.
    active: BTreeSet<Arn>,
    /// Members that are served.
    served: BTreeSet<ObjectName>,
}

impl Said {
    /// Findings as last told.
    pub(super) fn findings(&self) -> &BTreeSet<Finding> {
        &self.findings
    }
}

impl Reporter {
    /// Says what changed since the last report.
    pub(super) async fn publish_events(
        &self,
        report: &GroupReport<'_>,
        snapshot: &Snapshot,
    ) -> usize {
        let addressed = status::addressed(report, snapshot);
        let sayings = {
            let mut memory = self.memory();
            let told = memory
                .groups
                .entry(report.desired.group.clone())
                .or_default();
            let (sayings, said) = transitions(told, report, &addressed);
            told.said = said;
            told.state = Some(report.state());
            sayings
        };
        self.tell(sayings, snapshot).await
    }

    /// Writes events about Ingresses that are still there. A failed event is
    /// logged and nothing else: it must not stop the work that it tells of.
    pub(super) async fn tell(&self, sayings: Vec<Saying>, snapshot: &Snapshot) -> usize {
        let mut writes = 0;
        for saying in sayings {
            let Some(ingress) = snapshot.ingresses.get(&saying.about) else {
                continue;
            };
            let api: Api<Event> = Api::namespaced(self.client.clone(), &saying.about.namespace);
            let event = Event {
                metadata: ObjectMeta {
                    namespace: Some(saying.about.namespace.clone()),
                    // A name has at most 253 characters.
                    name: Some(format!(
                        "{}.{:016x}",
                        cut(&saying.about.name, 236),
                        rand::random::<u64>()
                    )),
                    ..ObjectMeta::default()
                },
                event_time: Some(MicroTime(Timestamp::now())),
                reporting_controller: Some(WRITER.to_owned()),
                reporting_instance: Some(cut(&self.instance, 128).to_owned()),
                action: Some("Reconcile".to_owned()),
                reason: Some(saying.reason),
                note: Some(note(&saying.note)),
                type_: Some(if saying.warning { "Warning" } else { "Normal" }.to_owned()),
                regarding: Some(ObjectReference {
                    api_version: Some("networking.k8s.io/v1".to_owned()),
                    kind: Some("Ingress".to_owned()),
                    namespace: Some(saying.about.namespace.clone()),
                    name: Some(saying.about.name.clone()),
                    uid: ingress.uid(),
                    resource_version: ingress.resource_version(),
                    field_path: None,
                }),
                ..Event::default()
            };
            match api.create(&PostParams::default(), &event).await {
                Ok(_) => {
                    self.wrote("event");
                    writes += 1;
                }
                // Nothing new can be there, and nobody is to read it.
                Err(error) if is_of_dying_namespace(&error) => {
                    tracing::debug!(ingress = %saying.about, "no event: its namespace goes");
                }
                Err(error) => {
                    let error = ApiError::from(error);
                    tracing::warn!(ingress = %saying.about, %error, "cannot write an event");
                }
            }
        }
        writes
    }
}

impl Reporter {
    /// Tells Ingresses that what others had changed is as it was. Answers the
    /// number of writes.
    pub async fn tell_mended(
        &self,
        members: &[ObjectName],
        what: &str,
        snapshot: &Snapshot,
    ) -> usize {
        let saying = |about: &ObjectName| Saying {
            about: about.clone(),
            warning: false,
            reason: "DriftMended".to_owned(),
            note: format!("Changed by others and mended: {what}"),
        };
        self.tell(members.iter().map(saying).collect(), snapshot)
            .await
    }
}

/// Events of findings that came or went.
pub(super) fn of_findings(before: &BTreeSet<Finding>, now: &BTreeSet<Finding>) -> Vec<Saying> {
    let mut sayings: Vec<Saying> = now
        .difference(before)
        .map(|finding| Saying {
            about: finding.ingress.clone(),
            warning: true,
            reason: finding.reason.to_string(),
            note: finding.message.clone(),
        })
        .collect();
    // A finding whose words changed is not gone.
    let reasons = |findings: &BTreeSet<Finding>| -> BTreeSet<(ObjectName, Reason)> {
        let key = |finding: &Finding| (finding.ingress.clone(), finding.reason);
        findings.iter().map(key).collect()
    };
    sayings.extend(
        reasons(before)
            .difference(&reasons(now))
            .map(|(ingress, reason)| Saying {
                about: ingress.clone(),
                warning: false,
                reason: "Resolved".to_owned(),
                note: format!("{reason} no longer applies"),
            }),
    );
    sayings
}

/// What is to be said about a group, and what was said then. `addressed` are
/// the members whose status names the load balancer: when a process meets a
/// group, they have been told that they are served.
fn transitions(
    told: &Told,
    report: &GroupReport<'_>,
    addressed: &BTreeSet<ObjectName>,
) -> (Vec<Saying>, Said) {
    let mut sayings = Vec::new();
    let members = &report.desired.members;
    let normal = |about: &ObjectName, reason: &str, note: String| Saying {
        about: about.clone(),
        warning: false,
        reason: reason.to_owned(),
        note,
    };

    let names = |observed: &Observed| -> BTreeMap<String, String> {
        observed
            .load_balancers
            .iter()
            .map(|live| (live.arn.to_string(), live.spec.name.clone()))
            .collect()
    };
    let (before, now) = (names(report.before), names(report.observed));
    for (arn, name) in &now {
        if !before.contains_key(arn) {
            let note = format!("Created load balancer {name}");
            sayings.extend(
                members
                    .iter()
                    .map(|about| normal(about, "LoadBalancerCreated", note.clone())),
            );
        }
    }
    // Of a load balancer that was active when this process met it nothing is
    // said: that is no transition.
    let met = told.state.is_some() || before.is_empty();
    let mut active = told.said.active.clone();
    active.retain(|arn| now.contains_key(arn.as_str()));
    for live in &report.observed.load_balancers {
        let is_active = live.state == LoadBalancerState::Active;
        if is_active && active.insert(live.arn.clone()) && met {
            let note = format!("Load balancer {} is active", live.spec.name);
            sayings.extend(
                members
                    .iter()
                    .map(|about| normal(about, "LoadBalancerActive", note.clone())),
            );
        }
    }

    let findings: BTreeSet<Finding> = report.findings().cloned().collect();
    // What the last process told stands in the custom resource: events are
    // written after it no more often than before it.
    let met_told = || findings.iter().filter(|f| told.resource.says(f)).cloned();
    let found_before: BTreeSet<Finding> = match told.state {
        Some(_) => &told.said.findings | &told.said.unsettled,
        None => met_told().collect(),
    };
    let mut news = of_findings(&found_before, &findings);
    let looked_at = looked_at(report, &findings);
    news.retain(|saying| saying.warning || looked_at.contains(&saying.about));
    sayings.extend(news);

    let leavers = report.desired.leavers.iter().map(|leaver| &leaver.ingress);
    let concerned: BTreeSet<&ObjectName> = members.iter().chain(leavers).collect();
    let is_unsettled = |finding: &Finding| {
        concerned.contains(&finding.ingress) && !looked_at.contains(&finding.ingress)
    };
    let mut unsettled = &found_before - &findings;
    unsettled.retain(is_unsettled);
    let mut failures = BTreeSet::new();
    for failure in &report.failures {
        let new = failures.insert(failure.reason.clone());
        if new && !told.said.failures.contains(&failure.reason) {
            sayings.extend(concerned.iter().map(|about| Saying {
                about: (*about).clone(),
                warning: true,
                reason: failure.reason.clone(),
                note: failure.message.clone(),
            }));
        }
    }

    for (arn, name) in &before {
        if !now.contains_key(arn) {
            let note = format!("Deleted load balancer {name}");
            sayings.extend(
                concerned
                    .iter()
                    .map(|about| normal(about, "LoadBalancerDeleted", note.clone())),
            );
        }
    }

    // Said when a member becomes served, not while it still is.
    let served = served(report);
    let none = BTreeSet::new();
    let were_served = match told.state {
        Some(_) => &told.said.served,
        None if before.is_empty() => &none,
        None => addressed,
    };
    let note = format!("Load balancer group {} is served", report.desired.group);
    sayings.extend(
        served
            .difference(were_served)
            .map(|about| normal(about, "SuccessfullyReconciled", note.clone())),
    );
    let said = Said {
        findings,
        unsettled,
        failures,
        active,
        served,
    };
    (sayings, said)
}

/// Ingresses of which all is looked at, so that what is no longer found is
/// mended: not one that is frozen, nor one that is being deleted.
fn looked_at(report: &GroupReport<'_>, findings: &BTreeSet<Finding>) -> BTreeSet<ObjectName> {
    let frozen = findings.iter().filter(|f| f.effect == Effect::Frozen);
    let frozen: BTreeSet<&ObjectName> = frozen.map(|finding| &finding.ingress).collect();
    let leavers = report.desired.leavers.iter().filter(|l| !l.deleted);
    let leavers = leavers.map(|leaver| &leaver.ingress);
    let all = report.desired.members.iter().chain(leavers);
    all.filter(|name| !frozen.contains(name)).cloned().collect()
}

/// Members that are served as they wish. One that is not is in nobody else's
/// way.
fn served(report: &GroupReport<'_>) -> BTreeSet<ObjectName> {
    if !matches!(report.state(), GroupState::Serving | GroupState::Degraded) {
        return BTreeSet::new();
    }
    let hindered = report.findings().filter(|f| f.effect > Effect::Note);
    let hindered: BTreeSet<&ObjectName> = hindered.map(|finding| &finding.ingress).collect();
    let members = report.desired.members.iter();
    let served = members.filter(|member| !hindered.contains(member));
    served.cloned().collect()
}

/// A note that fits: at most 1 kB, cut between characters.
fn note(text: &str) -> String {
    const MARK: &str = " …";
    if text.len() <= NOTE_LIMIT {
        return text.to_owned();
    }
    format!("{}{MARK}", cut(text, NOTE_LIMIT - MARK.len()))
}

/// The longest start of a text that is at most so many bytes.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests;
