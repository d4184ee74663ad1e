//! From the state of an account to what is told of it.

use std::collections::BTreeSet;

use super::{
    ActionView, ConditionView, HealthCheckView, ListenerView, LoadBalancerView, RecordView,
    Resources, RuleView, SecurityGroupView, TargetGroupView, TargetView, WeightView, ZoneView,
};
use crate::state::{
    Action, ActionKind, Condition, HealthCheck, HostedZone, Listener, LoadBalancer, Patterns,
    RecordSet, SecurityGroup, State, Tags, TargetGroup, target_health_check::Matcher,
};

/// What an account holds, as it is at this moment.
pub fn resources(state: &State) -> Resources {
    let used: BTreeSet<&String> = state
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
        load_balancers: state
            .load_balancer_of(group)
            .map(|balancer| balancer.arn.clone())
            .into_iter()
            .collect(),
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
