//! `IngressGroup`: a group's state for people, as a custom resource.
//!
//! `kubectl get alb` prints one line for each group; the status says in words
//! what the group waits for, why something is not served, and how each host's
//! record is. Beside that it keeps [`Applied`], the record, which the next
//! process reads at its start; what is written when is in `record`. It has no
//! finalizer and no owner; it goes before the last Ingress finalizer of its
//! group. Where its CRD is not installed, all else works.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{GroupReport, GroupState, LastChange};
use crate::model::finding::{Effect, Finding};
use crate::model::group::GroupId;

/// Which load balancer group this is about.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ingress.k8s.aws",
    version = "v1",
    kind = "IngressGroup",
    plural = "ingressgroups",
    shortname = "alb",
    status = "IngressGroupStatus",
    doc = "The state of a load balancer group, written by alb-ingress-controller for people to read. Editing or deleting it changes nothing that is served: what it keeps for the controller's next start saves reads, and is never written to AWS.",
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
    /// What the controller did last to make the group as wished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<LastChange>,
    /// What the controller knows the group by after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
}

/// The record: by hashes alone it says that nothing has changed since it was
/// written. Nothing that is made or deleted is taken from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// What it is written by; one of another schema counts as none.
    #[serde(default)]
    pub schema: i32,
    /// Hash of the desired state that AWS holds, targets aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Hash of the desired state that is being made; it may be half made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// By name of the target group: hash of what its targets were made from,
    /// versions of EndpointSlices or eligible nodes. None while they change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, String>,
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
    pub(super) fn of(finding: &Finding) -> Self {
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

    pub(super) fn of(report: &GroupReport<'_>) -> Self {
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
                .flatten()
                .map(|(host, state)| RecordStatus {
                    host: host.clone(),
                    state: state.to_string(),
                })
                .collect(),
            // What was told before belongs to it.
            last_change: None,
            applied: report.applied.clone(),
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
        report.records = Some(vec![(
            "shop.example".to_owned(),
            RecordState::WaitingForLoadBalancer,
        )]);
        let status = IngressGroupStatus::of(&report);
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            serde_json::json!({
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
