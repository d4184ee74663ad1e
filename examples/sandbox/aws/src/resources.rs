//! `GET /_sim/resources`: what an account holds of what a load balancer is made
//! of, in one answer, for those who look from outside. It is no call: it is
//! neither counted nor throttled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::{
    Action, ActionKind, Condition, HealthCheck, HostedZone, Listener, LoadBalancer, Patterns,
    RecordSet, SecurityGroup, State, Tags, TargetGroup, target_health_check::Matcher,
};

/// What an account holds in a region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Twelve digits.
    pub account: String,
    /// Region name.
    pub region: String,
    /// Load balancers with listeners and rules, by ARN.
    pub load_balancers: Vec<LoadBalancerView>,
    /// Target groups with targets, by ARN.
    pub target_groups: Vec<TargetGroupView>,
    /// The security groups that load balancers or tags of ours name.
    pub security_groups: Vec<SecurityGroupView>,
    /// Hosted zones with their records, those of NS and SOA left out.
    pub zones: Vec<ZoneView>,
    /// Private DNS names of instances by id: the names of their Nodes.
    pub instances: BTreeMap<String, String>,
}

/// A load balancer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerView {
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
    /// Ids.
    pub security_groups: Vec<String>,
    /// Subnets by zone.
    pub subnets: BTreeMap<String, String>,
    /// Attributes that were set.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
    /// By port.
    pub listeners: Vec<ListenerView>,
}

/// A listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerView {
    /// ARN.
    pub arn: String,
    /// Port.
    pub port: u16,
    /// `HTTP`, `HTTPS` and so on.
    pub protocol: String,
    /// ARNs, the default one first.
    pub certificates: Vec<String>,
    /// Security policy of TLS.
    pub ssl_policy: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// By priority, the default one last.
    pub rules: Vec<RuleView>,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleView {
    /// ARN.
    pub arn: String,
    /// A number, or `default`.
    pub priority: String,
    /// All have to be met.
    pub conditions: Vec<ConditionView>,
    /// In their order.
    pub actions: Vec<ActionView>,
    /// Tags.
    pub tags: Tags,
}

/// A condition of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionView {
    /// `host-header` and so on.
    pub field: String,
    /// Name of the header, where the condition is about one.
    pub header: Option<String>,
    /// One of them has to be met.
    pub values: Vec<String>,
    /// The values are regular expressions.
    pub regex: bool,
}

/// An action of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActionView {
    /// `forward`, `redirect`, `fixed-response` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it forwards to.
    pub target_groups: Vec<WeightView>,
    /// Status of a redirect or a fixed response.
    pub status: Option<u16>,
    /// Where a redirect leads, `#{protocol}://#{host}:#{port}/#{path}?#{query}`
    /// with what it replaces.
    pub location: Option<String>,
    /// Body of a fixed response.
    pub body: Option<String>,
}

/// A target group of a forward.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightView {
    /// ARN.
    pub arn: String,
    /// Share of the requests.
    pub weight: u32,
}

/// A target group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetGroupView {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// `ip`, `instance`, `lambda` or `alb`.
    pub target_type: String,
    /// Protocol; absent for functions.
    pub protocol: Option<String>,
    /// `HTTP1`, `HTTP2` or `GRPC`.
    pub protocol_version: Option<String>,
    /// Port; absent for functions.
    pub port: Option<u16>,
    /// How targets are probed.
    pub health_check: HealthCheckView,
    /// Attributes that were set.
    pub attributes: BTreeMap<String, String>,
    /// ARNs of the load balancers that use it.
    pub load_balancers: Vec<String>,
    /// Tags.
    pub tags: Tags,
    /// Targets with their health.
    pub targets: Vec<TargetView>,
}

/// How targets are probed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheckView {
    /// Whether they are.
    pub enabled: bool,
    /// `HTTP` and so on.
    pub protocol: String,
    /// A port, or `traffic-port`.
    pub port: String,
    /// Path; absent for TCP.
    pub path: Option<String>,
    /// Seconds from probe to probe.
    pub interval_seconds: u32,
    /// Seconds until a probe has failed.
    pub timeout_seconds: u32,
    /// Successes in a row.
    pub healthy_threshold: u32,
    /// Failures in a row.
    pub unhealthy_threshold: u32,
    /// Codes that count as success.
    pub codes: Option<String>,
}

/// A target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetView {
    /// Address or id of an instance.
    pub id: String,
    /// Port.
    pub port: u16,
    /// Its zone; absent where it counts for all.
    pub zone: Option<String>,
    /// `healthy`, `initial`, `unhealthy`, `draining`, `unused`, `unavailable`.
    pub health: String,
    /// As DescribeTargetHealth has it.
    pub reason: Option<String>,
    /// As DescribeTargetHealth has it.
    pub description: Option<String>,
    /// Its health is held by `POST /_sim/health`.
    pub held: bool,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityGroupView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// What comes in, in words: `tcp 80-80 from 0.0.0.0/0`.
    pub ingress: Vec<String>,
    /// Tags.
    pub tags: Tags,
}

/// A hosted zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneView {
    /// Id.
    pub id: String,
    /// Name with the dot at its end.
    pub name: String,
    /// Whether it is seen by its VPCs only.
    pub private: bool,
    /// Records.
    pub records: Vec<RecordView>,
}

/// A record set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordView {
    /// Name with the dot at its end.
    pub name: String,
    /// `A`, `TXT` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds; absent for an alias.
    pub ttl: Option<u32>,
    /// Values.
    pub values: Vec<String>,
    /// The name that it is an alias of.
    pub alias: Option<String>,
    /// What keeps apart records of one name and type.
    pub set_identifier: Option<String>,
}

/// What an account holds, as it is at this moment.
pub fn resources(state: &State) -> Resources {
    let used: std::collections::BTreeSet<&String> = state
        .load_balancers
        .values()
        .flat_map(|balancer| &balancer.security_groups)
        .collect();
    let shown = |group: &&SecurityGroup| {
        used.contains(&group.id)
            || state
                .tags
                .get(&group.id)
                .is_some_and(|tags| !tags.is_empty())
    };
    Resources {
        account: state.account.clone(),
        region: state.region.clone(),
        load_balancers: state
            .load_balancers
            .values()
            .map(|balancer| load_balancer(state, balancer))
            .collect(),
        target_groups: state
            .target_groups
            .values()
            .map(|group| target_group(state, group))
            .collect(),
        security_groups: state
            .security_groups
            .values()
            .filter(shown)
            .map(|group| security_group(state, group))
            .collect(),
        zones: state.hosted_zones.values().map(zone).collect(),
        instances: state
            .instances
            .values()
            .map(|instance| (instance.id.clone(), instance.private_dns_name.clone()))
            .collect(),
    }
}

fn tags(state: &State, key: &str) -> Tags {
    state.tags.get(key).cloned().unwrap_or_default()
}

fn load_balancer(state: &State, balancer: &LoadBalancer) -> LoadBalancerView {
    LoadBalancerView {
        arn: balancer.arn.clone(),
        name: balancer.name.clone(),
        dns_name: balancer.dns_name.clone(),
        state: balancer.state.as_str().to_owned(),
        scheme: balancer.scheme.as_str().to_owned(),
        kind: balancer.kind.as_str().to_owned(),
        security_groups: balancer.security_groups.iter().cloned().collect(),
        subnets: balancer.subnets.clone(),
        attributes: balancer.attributes.clone(),
        tags: tags(state, &balancer.arn),
        listeners: balancer
            .listeners
            .values()
            .map(|it| listener(state, it))
            .collect(),
    }
}

fn listener(state: &State, listener: &Listener) -> ListenerView {
    let ruled = listener.rules.iter().map(|(priority, rule)| RuleView {
        arn: rule.arn.clone(),
        priority: priority.to_string(),
        conditions: rule.conditions.iter().map(condition).collect(),
        actions: rule.actions.iter().map(action).collect(),
        tags: tags(state, &rule.arn),
    });
    let default = RuleView {
        arn: listener.default_rule_arn.clone(),
        priority: "default".to_owned(),
        conditions: Vec::new(),
        actions: listener.default_actions.iter().map(action).collect(),
        tags: tags(state, &listener.default_rule_arn),
    };
    let certificates = listener
        .certificate
        .iter()
        .chain(&listener.sni_certificates);
    ListenerView {
        arn: listener.arn.clone(),
        port: listener.port,
        protocol: listener.protocol.as_str().to_owned(),
        certificates: certificates.cloned().collect(),
        ssl_policy: listener.ssl_policy.clone(),
        tags: tags(state, &listener.arn),
        rules: ruled.chain([default]).collect(),
    }
}

fn condition(condition: &Condition) -> ConditionView {
    let patterns = |patterns: &Patterns| {
        let regex = matches!(patterns, Patterns::Regexes(_));
        (patterns.values().to_vec(), regex)
    };
    let mut header = None;
    let (values, regex) = match condition {
        Condition::HostHeader(values) | Condition::PathPattern(values) => patterns(values),
        Condition::HttpHeader {
            name,
            patterns: values,
        } => {
            header = Some(name.clone());
            patterns(values)
        }
        Condition::HttpRequestMethod(methods) => (methods.clone(), false),
        Condition::QueryString(pairs) => {
            let pair = |pair: &crate::state::QueryPair| match &pair.key {
                Some(key) => format!("{key}={}", pair.value),
                None => pair.value.clone(),
            };
            (pairs.iter().map(pair).collect(), false)
        }
        Condition::SourceIp(nets) => (nets.iter().map(ToString::to_string).collect(), false),
    };
    ConditionView {
        field: condition.field().to_owned(),
        header,
        values,
        regex,
    }
}

fn action(action: &Action) -> ActionView {
    let mut view = ActionView {
        kind: action.kind.as_str().to_owned(),
        ..ActionView::default()
    };
    match &action.kind {
        ActionKind::Forward(forward) => {
            let groups = forward.target_groups.iter().map(|group| WeightView {
                arn: group.arn.clone(),
                weight: group.weight,
            });
            view.target_groups = groups.collect();
        }
        ActionKind::Redirect(redirect) => {
            view.status = Some(redirect.status);
            view.location = Some(format!(
                "{}://{}:{}{}?{}",
                redirect.protocol, redirect.host, redirect.port, redirect.path, redirect.query
            ));
        }
        ActionKind::FixedResponse(answer) => {
            view.status = Some(answer.status);
            view.body.clone_from(&answer.body);
        }
        ActionKind::AuthenticateOidc(_)
        | ActionKind::AuthenticateCognito(_)
        | ActionKind::JwtValidation(_) => {}
    }
    view
}

fn target_group(state: &State, group: &TargetGroup) -> TargetGroupView {
    let health_of = state.group_health(group);
    let targets = group.targets.iter().map(|(key, target)| {
        let health = health_of.of(key);
        TargetView {
            id: key.id.clone(),
            port: key.port,
            zone: health_of.zone(key).map(str::to_owned),
            health: health.state.as_str().to_owned(),
            reason: health.reason.map(str::to_owned),
            description: health.description,
            held: target.held,
        }
    });
    TargetGroupView {
        arn: group.arn.clone(),
        name: group.name.clone(),
        target_type: group.target_type.as_str().to_owned(),
        protocol: group.protocol.map(|protocol| protocol.as_str().to_owned()),
        protocol_version: group.protocol_version.clone(),
        port: group.port,
        health_check: health_check(&group.health_check),
        attributes: group.attributes.clone(),
        load_balancers: group.references.iter().cloned().collect(),
        tags: tags(state, &group.arn),
        targets: targets.collect(),
    }
}

fn health_check(check: &HealthCheck) -> HealthCheckView {
    HealthCheckView {
        enabled: check.enabled,
        protocol: check.protocol.as_str().to_owned(),
        port: check
            .port
            .map_or_else(|| "traffic-port".to_owned(), |port| port.to_string()),
        path: check.path.clone(),
        interval_seconds: check.interval_seconds,
        timeout_seconds: check.timeout_seconds,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        codes: check.matcher.as_ref().map(|matcher| match matcher {
            Matcher::Http(codes) | Matcher::Grpc(codes) => codes.clone(),
        }),
    }
}

fn security_group(state: &State, group: &SecurityGroup) -> SecurityGroupView {
    let incoming = group.rules.iter().map(|rule| &rule.permission);
    let incoming = incoming.filter(|permission| !permission.egress);
    SecurityGroupView {
        id: group.id.clone(),
        name: group.name.clone(),
        description: group.description.clone(),
        ingress: incoming
            .map(|permission| {
                let ports = match (permission.from_port, permission.to_port) {
                    (Some(from), Some(to)) if from == to => from.to_string(),
                    (Some(from), Some(to)) => format!("{from}-{to}"),
                    _ => "all".to_owned(),
                };
                format!("{} {ports} from {}", permission.protocol, permission.peer)
            })
            .collect(),
        tags: tags(state, &group.id),
    }
}

fn zone(zone: &HostedZone) -> ZoneView {
    let records = zone.records.values();
    let records = records.filter(|record| !matches!(record.kind.as_str(), "NS" | "SOA"));
    ZoneView {
        id: zone.id.clone(),
        name: zone.name.clone(),
        private: zone.private,
        records: records.map(record).collect(),
    }
}

fn record(record: &RecordSet) -> RecordView {
    RecordView {
        name: record.name.clone(),
        kind: record.kind.clone(),
        ttl: record.ttl,
        values: record.values.clone(),
        alias: record.alias.as_ref().map(|alias| alias.dns_name.clone()),
        set_identifier: record
            .routing
            .as_ref()
            .map(|routing| routing.set_identifier.clone()),
    }
}
