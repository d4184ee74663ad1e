//! What the console's page is told, as JSON in camel case. Values only.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything that is there, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// Name of the cluster.
    pub cluster: String,
    /// Region of the AWS account.
    pub region: String,
    /// The controller of `deploy/`.
    pub controller: Controller,
    /// Groups that share a load balancer, by key.
    pub groups: Vec<Group>,
    /// Ingresses of no group.
    pub loose: Vec<Ingress>,
    /// DNS records of all zones.
    pub records: Vec<Record>,
}

/// The controller's Pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    /// Whether there are any.
    pub present: bool,
    /// The name of the one that leads.
    pub leader: Option<String>,
    /// `namespace/name` of each.
    pub pods: Vec<String>,
}

/// Ingresses that share a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The name of the group, or `namespace/name` of its only Ingress.
    pub key: String,
    /// Whether it was named.
    pub explicit: bool,
    /// In a word.
    pub state: String,
    /// In a sentence.
    pub state_text: String,
    /// Members, and those that are leaving.
    pub ingresses: Vec<Ingress>,
    /// What serves it.
    pub load_balancer: Option<LoadBalancer>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What failed and is tried again.
    pub failures: Vec<String>,
    /// What it waits for.
    pub waiting_for: Vec<String>,
    /// Records of its hosts.
    pub records: Vec<Record>,
}

/// An Ingress.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Class; absent where none is named and none is the default.
    pub class: Option<String>,
    /// Hosts of its rules.
    pub hosts: Vec<String>,
    /// Where its paths lead.
    pub paths: Vec<Path>,
    /// Whether a load balancer serves it.
    pub served: bool,
    /// In a sentence: served, or why not.
    pub served_text: String,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// The address in its status.
    pub address: Option<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Annotations but those of kubectl.
    pub annotations: BTreeMap<String, String>,
}

/// A path of an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// Host; empty for all.
    pub host: String,
    /// Path.
    pub path: String,
    /// Name of the Service; the annotation's name for an action.
    pub service: String,
    /// Port by number or name.
    pub port: String,
}

/// What is wrong with an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `namespace/name`.
    pub ingress: String,
    /// In a word.
    pub reason: String,
    /// `Note`, `Degraded` or `Frozen`.
    pub effect: String,
    /// What is wrong, what was expected, what to do.
    pub message: String,
}

/// A load balancer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// DNS name.
    pub dns_name: String,
    /// `provisioning` or `active`.
    pub state: String,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    /// `application` or `network`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Ids with names.
    pub security_groups: Vec<String>,
    /// How a browser on this machine reaches it.
    pub url: Option<String>,
    /// By port.
    pub listeners: Vec<Listener>,
    /// Of the group, also those that no rule leads to.
    pub target_groups: Vec<TargetGroup>,
}

/// A listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// ARN.
    pub arn: String,
    /// Protocol.
    pub protocol: String,
    /// Port.
    pub port: u16,
    /// ARNs.
    pub certificates: Vec<String>,
    /// By priority, the default one last.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// ARN.
    pub arn: String,
    /// A number, or `default`.
    pub priority: String,
    /// In words.
    pub conditions: Vec<String>,
    /// In words.
    pub action: String,
    /// Where it forwards to.
    pub target_groups: Vec<Weight>,
    /// The Ingress that it comes from, as far as that can be told.
    pub ingress: Option<String>,
}

/// A target group of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Weight {
    /// ARN.
    pub arn: String,
    /// Share of the requests.
    pub weight: u32,
}

/// A target group.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroup {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// `namespace/name:port` of its Service.
    pub service: Option<String>,
    /// `ip`, `instance` and so on.
    pub target_type: String,
    /// Protocol and its version.
    pub protocol: String,
    /// Port.
    pub port: Option<u16>,
    /// In words.
    pub health_check: String,
    /// Targets by health.
    pub counts: BTreeMap<String, usize>,
    /// Targets.
    pub targets: Vec<Target>,
}

/// A target.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Address, or id of an instance.
    pub id: String,
    /// Port.
    pub port: u16,
    /// Zone.
    pub zone: Option<String>,
    /// `healthy` and so on.
    pub health: String,
    /// As AWS has it.
    pub reason: Option<String>,
    /// As AWS has it.
    pub description: Option<String>,
    /// In a sentence: how it is, and what to look at.
    pub text: String,
    /// `namespace/name`.
    pub pod: Option<String>,
    /// Name of the Node.
    pub node: Option<String>,
    /// How the containers of the Pod are.
    pub container: Option<String>,
}

/// A DNS record.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Name of the zone.
    pub zone: String,
    /// Name of the record.
    pub name: String,
    /// `A` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it leads.
    pub value: String,
    /// Owner id of the TXT record beside it.
    pub owner: String,
    /// `namespace/name`.
    pub ingress: Option<String>,
    /// Key of the group.
    pub group: Option<String>,
    /// Whether this cluster's controller holds it.
    pub ours: bool,
    /// In a sentence: who owns it, and where it leads.
    pub text: String,
}

/// One line of the story.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The same for later versions of it.
    pub id: String,
    /// When.
    pub at: String,
    /// `plan`, `outcome`, `wait`, `finding`, `event` or `call`.
    pub kind: &'static str,
    /// Key of the group, or `shared`.
    pub group: String,
    /// One line.
    pub title: String,
    /// More of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// `ok`, `refused`, `failed` or `pending`.
    pub outcome: &'static str,
    /// What it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Of a call.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallDetails>,
}

/// What is known of a call of AWS.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallDetails {
    /// Service, as in the scope of signatures.
    pub service: String,
    /// Operation.
    pub action: String,
    /// Whether it changes something.
    pub write: bool,
    /// HTTP status; 0 where the answer was lost on purpose.
    pub status: u16,
    /// Error code.
    pub code: Option<String>,
    /// How long the answer took.
    pub milliseconds: f64,
    /// Without secrets.
    pub parameters: BTreeMap<String, String>,
    /// What a write was answered.
    pub answer: Option<String>,
    /// ARN of who called.
    pub caller: Option<String>,
}

/// Calls of the last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// All.
    pub per_minute: usize,
    /// Those that read.
    pub reads: usize,
    /// Those that change something.
    pub writes: usize,
    /// Those that were throttled.
    pub throttled: usize,
}
