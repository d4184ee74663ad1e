//! `IngressGroup`: a group's state for people, as a custom resource.
//!
//! `kubectl get alb` prints one line for each group; the status says in words
//! what the group waits for, why something is not served, and how each host's
//! record is. Written, never read: nothing is decided by it. It has no
//! finalizer and no owner; it goes before the last Ingress finalizer of its
//! group. Where its CRD is not installed, all else works.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kube::CustomResource;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Error, GroupReport, GroupState, NOT_FOUND, Reporter, WRITER};
use crate::api_error::ApiError;
use crate::model::desired::Intent;
use crate::model::finding::{Effect, Finding};
use crate::model::group::GroupId;

/// Label of custom resources: the installation that writes them.
const INSTALLATION_LABEL: &str = "ingress.k8s.aws/installation";

/// A CRD that is not installed is looked for again after this time.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// Which load balancer group this is about.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ingress.k8s.aws",
    version = "v1",
    kind = "IngressGroup",
    plural = "ingressgroups",
    shortname = "alb",
    status = "IngressGroupStatus",
    doc = "The state of a load balancer group, written by alb-ingress-controller for people to read. Nothing is decided by it; editing or deleting it changes nothing.",
    printcolumn = r#"{"name":"Group","type":"string","jsonPath":".spec.group"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"DNS-Name","type":"string","jsonPath":".status.dnsName"}"#,
    printcolumn = r#"{"name":"Members","type":"integer","jsonPath":".status.memberCount"}"#,
    printcolumn = r#"{"name":"Findings","type":"integer","jsonPath":".status.findingCount"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct IngressGroupSpec {
    /// The group: its name, or `namespace/name` of the only Ingress in it.
    pub group: String,
}

/// How the group is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressGroupStatus {
    /// The state in a word: Serving, Waiting, Degraded, Failing, Held,
    /// LeftAlone or Deleting.
    #[serde(default)]
    pub state: String,
    /// DNS name of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_name: Option<String>,
    /// Ingresses of the group as namespace/name, in the order of their rules.
    #[serde(default)]
    pub members: Vec<String>,
    /// Number of members.
    #[serde(default)]
    pub member_count: i32,
    /// Ingresses that carry the group's finalizer and no longer belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<String>,
    /// What the group waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// What is wrong with which Ingress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingStatus>,
    /// Number of findings.
    #[serde(default)]
    pub finding_count: i32,
    /// What failed and is tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Hosts with the state of their DNS records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordStatus>,
}

/// What is wrong with one Ingress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// The Ingress as namespace/name.
    pub ingress: String,
    /// The reason in a word, as events have it.
    pub reason: String,
    /// What it does: Note (all goes on), Degraded (one rule or record is not
    /// as wished) or Frozen (nothing new is made for the Ingress, what is live
    /// for it stays).
    pub effect: String,
    /// What is wrong, what was expected, what to do.
    pub message: String,
}

/// The DNS record of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// The host.
    pub host: String,
    /// Its state in words.
    pub state: String,
}

impl FindingStatus {
    fn of(finding: &Finding) -> Self {
        Self {
            ingress: finding.ingress.to_string(),
            reason: finding.reason.to_string(),
            effect: match finding.effect {
                Effect::Note => "Note",
                Effect::Degraded => "Degraded",
                Effect::Frozen => "Frozen",
            }
            .to_owned(),
            message: finding.message.clone(),
        }
    }
}

impl IngressGroupStatus {
    /// An Ingress that is in no group, for what is wrong with it.
    pub(super) fn of_lost(finding: &Finding) -> Self {
        Self {
            state: GroupState::Held.as_str().to_owned(),
            members: vec![finding.ingress.to_string()],
            member_count: 1,
            findings: vec![FindingStatus::of(finding)],
            finding_count: 1,
            ..Self::default()
        }
    }

    fn of(report: &GroupReport<'_>) -> Self {
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let desired = report.desired;
        let findings: Vec<FindingStatus> = report.findings().map(FindingStatus::of).collect();
        Self {
            state: report.state().as_str().to_owned(),
            dns_name: report
                .load_balancer()
                .map(|live| live.dns_name.to_ascii_lowercase()),
            members: desired.members.iter().map(ToString::to_string).collect(),
            member_count: count(desired.members.len()),
            leaving: desired
                .leavers
                .iter()
                .map(|leaver| leaver.ingress.to_string())
                .collect(),
            waiting_for: report.waiting.clone(),
            finding_count: count(findings.len()),
            findings,
            failures: report
                .failures
                .iter()
                .map(|failure| format!("{}: {}", failure.reason, failure.message))
                .collect(),
            records: report
                .records
                .iter()
                .map(|(host, state)| RecordStatus {
                    host: host.clone(),
                    state: state.to_string(),
                })
                .collect(),
        }
    }
}

/// Name of a group's custom resource: a readable start, and a hash that keeps
/// apart what reads the same. A group's name may hold characters that an
/// object's name may not.
pub fn resource_name(group: &GroupId) -> String {
    const READABLE: usize = 40;
    let identity = match group {
        GroupId::Explicit(name) => format!("group\0{name}"),
        GroupId::Implicit(ingress) => format!("ingress\0{ingress}"),
    };
    let hash = hex::encode(&Sha256::digest(identity)[..5]);
    let readable: String = group
        .to_string()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(READABLE)
        .collect();
    match readable.trim_matches('-') {
        "" => format!("group-{hash}"),
        readable => format!("{readable}-{hash}"),
    }
}

/// Tells apart installations that share a cluster, each with a class or a
/// namespace of its own, so that none takes away what another wrote.
pub fn installation(ingress_class: &str, watch_namespace: Option<&str>) -> String {
    let identity = format!("{ingress_class}\0{}", watch_namespace.unwrap_or_default());
    hex::encode(&Sha256::digest(identity)[..5])
}

impl Reporter {
    /// Writes the custom resource when it would say something else than what
    /// this process wrote last. A failure is logged and nothing else; the next
    /// report writes it.
    pub(super) async fn publish_resource(&self, report: &GroupReport<'_>) -> usize {
        let group = &report.desired.group;
        let empty = report.desired.members.is_empty() && report.desired.leavers.is_empty();
        // A group that nobody is in is not one for people: it is cleaned up or
        // another's.
        if empty && matches!(report.desired.intent, Intent::Remove | Intent::LeaveAlone) {
            return 0;
        }
        self.show(group, IngressGroupStatus::of(report)).await
    }

    /// Writes a status when it is another than what this process wrote last.
    pub(super) async fn show(&self, group: &GroupId, status: IngressGroupStatus) -> usize {
        {
            let memory = self.memory();
            let written = memory
                .groups
                .get(group)
                .and_then(|told| told.resource.as_ref());
            let missing = memory
                .not_installed
                .is_some_and(|since| since.elapsed() < LOOK_AGAIN);
            if missing || written == Some(&status) {
                return 0;
            }
        }
        match self.write_resource(group, &status).await {
            Ok(writes) => {
                let mut memory = self.memory();
                memory.not_installed = None;
                memory.groups.entry(group.clone()).or_default().resource = Some(status);
                writes
            }
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                if self
                    .memory()
                    .not_installed
                    .replace(Instant::now())
                    .is_none()
                {
                    tracing::info!(
                        "the CRD ingressgroups.ingress.k8s.aws is not installed, so groups are \
                         not shown by kubectl get alb; install it with kubectl apply -k deploy/crd"
                    );
                }
                0
            }
            Err(error) => {
                let error = ApiError::from(error);
                tracing::warn!(%group, %error, "cannot write the IngressGroup");
                0
            }
        }
    }

    /// Creates the resource when it is not there, then writes its status.
    async fn write_resource(
        &self,
        group: &GroupId,
        status: &IngressGroupStatus,
    ) -> kube::Result<usize> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        let name = resource_name(group);
        let parameters = PatchParams {
            field_manager: Some(WRITER.to_owned()),
            ..PatchParams::default()
        };
        // A JSON patch replaces the whole status: fields that went must go.
        let whole = json!([{ "op": "add", "path": "/status", "value": status }]);
        let whole = serde_json::from_value(whole).map_err(kube::Error::SerdeError)?;
        let whole = Patch::<IngressGroup>::Json(whole);
        let mut writes = 0;
        match api.patch_status(&name, &parameters, &whole).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                let spec = IngressGroupSpec {
                    group: group.to_string(),
                };
                let mut new = IngressGroup::new(&name, spec);
                let label = (INSTALLATION_LABEL.to_owned(), self.installation.clone());
                new.metadata.labels = Some(BTreeMap::from([label]));
                api.create(&PostParams::default(), &new).await?;
                self.wrote("group");
                writes += 1;
                api.patch_status(&name, &parameters, &whole).await?;
            }
            Err(error) => return Err(error),
        }
        self.wrote("group");
        Ok(writes + 1)
    }

    /// Deletes the resource of a group that is no more; one that is not there
    /// is fine.
    pub(super) async fn delete_resource(&self, group: &GroupId) -> Result<usize, Error> {
        self.delete_named(&resource_name(group)).await
    }

    /// Deletes resources of this installation's groups that are no more: of a group that went
    /// while its resource could not be deleted. Called once, at the start of
    /// leading. Answers the number of writes.
    pub async fn remove_strays(&self, groups: &BTreeSet<GroupId>) -> Result<usize, Error> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        let ours = format!("{INSTALLATION_LABEL}={}", self.installation);
        let ours = ListParams::default().labels(&ours);
        let there = match api.list_metadata(&ours).await {
            Ok(list) => list,
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => return Ok(0),
            Err(error) => return Err(Error::write("list the names", &"IngressGroups", error)),
        };
        let known: BTreeSet<String> = groups.iter().map(resource_name).collect();
        let mut writes = 0;
        for stray in there {
            match stray.metadata.name {
                Some(name) if !known.contains(&name) => writes += self.delete_named(&name).await?,
                _ => {}
            }
        }
        Ok(writes)
    }

    async fn delete_named(&self, name: &str) -> Result<usize, Error> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {
                self.wrote("group");
                Ok(1)
            }
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => Ok(0),
            // A role without the custom resource must not keep finalizers.
            Err(kube::Error::Api(answer)) if answer.is_forbidden() => {
                let error = ApiError::from(kube::Error::Api(answer));
                tracing::warn!(name, %error, "cannot delete the IngressGroup");
                Ok(0)
            }
            Err(error) => Err(Error::write("delete the IngressGroup", &name, error)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use kube::CustomResourceExt as _;

    use super::super::tests::{live, report, served};
    use super::*;
    use crate::model::records::RecordState;
    use crate::model::spec::{LoadBalancerState, ObjectName};

    #[test]
    fn a_name_is_readable_valid_and_unlike_any_other() {
        let explicit = |name: &str| resource_name(&GroupId::Explicit(name.to_owned()));
        let alone = |namespace: &str, name: &str| {
            resource_name(&GroupId::Implicit(ObjectName::new(namespace, name)))
        };
        assert!(alone("shop", "web").starts_with("shop-web-"));
        assert_eq!(alone("shop", "web"), alone("shop", "web"));
        assert_ne!(alone("shop", "web"), alone("shop-web", "web"));
        assert_ne!(alone("a", "b-c"), alone("a-b", "c"));
        assert_ne!(explicit("shop.web"), explicit("shop-web"));
        for name in [explicit(&"x.".repeat(60)), explicit(".-."), explicit("ÄÖ")] {
            assert!(name.len() <= 63, "{name}");
            let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(valid), "{name}");
            assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
        }
    }

    #[test]
    fn the_status_says_in_words_how_the_group_is() {
        let desired = served();
        let observed = live(LoadBalancerState::Provisioning);
        let mut report = report(&desired, &observed, &observed);
        report
            .waiting
            .push("the load balancer to be active".to_owned());
        report.records.push((
            "shop.example".to_owned(),
            RecordState::WaitingForLoadBalancer,
        ));
        let status = IngressGroupStatus::of(&report);
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            json!({
                "state": "Waiting",
                "dnsName": "web-1.eu-west-1.elb.amazonaws.com",
                "members": ["shop/web"],
                "memberCount": 1,
                "waitingFor": ["the load balancer to be active"],
                "findingCount": 0,
                "records": [{ "host": "shop.example", "state": "waits for the load balancer" }],
            })
        );
    }

    /// `UPDATE=1 cargo test --lib crd_in_deploy` writes the file afresh.
    #[test]
    fn the_crd_in_deploy_is_the_one_in_the_code() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crd/ingressgroups.yaml");
        let mut crd = serde_json::to_value(IngressGroup::crd()).unwrap();
        crd["status"].take();
        crd.as_object_mut().unwrap().remove("status");
        let yaml = format!(
            "# Made from the code by a test; do not edit.\n{}",
            serde_saphyr::to_string(&crd).unwrap()
        );
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &yaml).unwrap();
        }
        let there = std::fs::read_to_string(&file).unwrap();
        assert!(
            there == yaml,
            "{} is not what the code says; run the test with UPDATE=1",
            file.display()
        );
    }
}
