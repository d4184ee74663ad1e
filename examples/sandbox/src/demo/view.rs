//! What an AWS account holds, as text for a person. Pure.

use std::fmt::Write;

use sandbox_aws::State;
use sandbox_aws::state::{
    Action, ActionKind, Condition, LoadBalancer, RecordSet, SecurityGroup, TargetGroup,
};

/// Tag by which the controller marks what belongs to a cluster.
pub const CLUSTER_TAG: &str = "elbv2.k8s.aws/cluster";

/// Everything that a controller makes in an account: load balancers with
/// listeners and rules, target groups with health, the cluster's security
/// groups, records.
pub fn objects(account: &State) -> String {
    text(account, Health::Shown)
}

/// The same without the health of targets, which moves by itself.
pub fn holdings(account: &State) -> String {
    text(account, Health::Left)
}

/// Whether the health of targets is part of the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Shown,
    Left,
}

fn text(account: &State, health: Health) -> String {
    let mut text = String::new();
    for balancer in account.load_balancers.values() {
        load_balancer(&mut text, account, balancer);
    }
    for group in account.target_groups.values() {
        target_group(&mut text, account, group, health);
    }
    for group in owned_security_groups(account) {
        security_group(&mut text, group);
    }
    for record in records(account) {
        line(&mut text, format_args!("record {}", written(record)));
    }
    text
}

/// The security groups that bear the cluster's tag.
pub fn owned_security_groups(account: &State) -> impl Iterator<Item = &SecurityGroup> {
    account.security_groups.values().filter(|group| {
        account
            .tags
            .get(&group.id)
            .is_some_and(|tags| tags.contains_key(CLUSTER_TAG))
    })
}

/// The record sets of all zones but those that every zone has.
pub fn records(account: &State) -> impl Iterator<Item = &RecordSet> {
    account
        .hosted_zones
        .values()
        .flat_map(|zone| zone.records.values())
        .filter(|record| !matches!(record.kind.as_str(), "NS" | "SOA"))
}

/// How many targets are in each state of health, over all target groups.
pub fn health(account: &State, state: &str) -> usize {
    account
        .target_groups
        .values()
        .flat_map(|group| {
            group
                .targets
                .keys()
                .map(|key| account.target_health(group, key).state.as_str())
        })
        .filter(|found| *found == state)
        .count()
}

fn load_balancer(text: &mut String, account: &State, balancer: &LoadBalancer) {
    line(
        text,
        format_args!(
            "load balancer {} ({}, {})",
            balancer.name,
            balancer.scheme.as_str(),
            balancer.state.as_str()
        ),
    );
    line(text, format_args!("  {}", balancer.dns_name));
    for listener in balancer.listeners.values() {
        line(
            text,
            format_args!(
                "  listener {} {}",
                listener.protocol.as_str(),
                listener.port
            ),
        );
        for (priority, rule) in &listener.rules {
            let conditions: Vec<_> = rule.conditions.iter().map(condition).collect();
            line(
                text,
                format_args!(
                    "    rule {priority}: {} -> {}",
                    conditions.join(", "),
                    actions(account, &rule.actions)
                ),
            );
        }
        let default = actions(account, &listener.default_actions);
        line(text, format_args!("    else -> {default}"));
    }
}

fn target_group(text: &mut String, account: &State, group: &TargetGroup, shown: Health) {
    line(
        text,
        format_args!(
            "target group {} ({}, checked at {})",
            group.name,
            group.target_type.as_str(),
            group.health_check.path.as_deref().unwrap_or("its port")
        ),
    );
    for key in group.targets.keys() {
        let state = match shown {
            Health::Shown => account.target_health(group, key).state.as_str(),
            Health::Left => "",
        };
        line(text, format_args!("  {}:{} {state}", key.id, key.port));
    }
}

fn security_group(text: &mut String, group: &SecurityGroup) {
    line(
        text,
        format_args!("security group {} {}", group.id, group.name),
    );
    for rule in group.rules.iter().filter(|rule| !rule.permission.egress) {
        let permission = &rule.permission;
        let ports = match (permission.from_port, permission.to_port) {
            (Some(from), Some(to)) if from == to => from.to_string(),
            (Some(from), Some(to)) => format!("{from}-{to}"),
            _ => "all".to_owned(),
        };
        line(
            text,
            format_args!(
                "  in {} {ports} from {}",
                permission.protocol, permission.peer
            ),
        );
    }
}

fn written(record: &RecordSet) -> String {
    let name = record.name.trim_end_matches('.');
    match &record.alias {
        Some(alias) => format!("{name} {} alias of {}", record.kind, alias.dns_name),
        None => format!("{name} {} {}", record.kind, record.values.join(" ")),
    }
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::HostHeader(hosts) => format!("host {}", hosts.values().join(" or ")),
        Condition::PathPattern(paths) => format!("path {}", paths.values().join(" or ")),
        other => other.field().to_owned(),
    }
}

fn actions(account: &State, actions: &[Action]) -> String {
    let actions: Vec<_> = actions
        .iter()
        .map(|action| match &action.kind {
            ActionKind::Forward(forward) => {
                let names: Vec<_> = forward
                    .target_groups
                    .iter()
                    .map(|group| {
                        account
                            .target_groups
                            .get(&group.arn)
                            .map_or(group.arn.as_str(), |group| group.name.as_str())
                    })
                    .collect();
                format!("forward to {}", names.join(", "))
            }
            ActionKind::Redirect(redirect) => format!(
                "redirect to {} {} ({})",
                redirect.protocol, redirect.port, redirect.status
            ),
            ActionKind::FixedResponse(answer) => format!("answer {}", answer.status),
            other => other.as_str().to_owned(),
        })
        .collect();
    actions.join(", ")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use sandbox_aws::state::{AliasTarget, Patterns};
    use sandbox_aws::{Timing, World};

    #[test]
    fn an_account_without_a_controller_has_nothing_to_show() {
        let mut account = State::new("123456789012", "us-west-2", Timing::default());
        let now = Timestamp::from_second(0).unwrap();
        World::default().build(&mut account, now).unwrap();
        assert_eq!(objects(&account), "");
        assert_eq!(health(&account, "healthy"), 0);
    }

    #[test]
    fn records_and_conditions_in_words() {
        let mut record = RecordSet {
            name: "game.example.com.".to_owned(),
            kind: "A".to_owned(),
            ttl: None,
            values: vec![],
            alias: Some(AliasTarget {
                hosted_zone_id: "Z1".to_owned(),
                dns_name: "lb.example.net.".to_owned(),
                evaluate_target_health: true,
            }),
            routing: None,
            health_check_id: None,
        };
        assert_eq!(
            written(&record),
            "game.example.com A alias of lb.example.net."
        );
        record.alias = None;
        record.kind = "TXT".to_owned();
        record.values = vec!["\"owner\"".to_owned()];
        assert_eq!(written(&record), "game.example.com TXT \"owner\"");
        let hosts = vec!["a.com".to_owned(), "b.com".to_owned()];
        let hosts = Condition::HostHeader(Patterns::Wildcards(hosts));
        assert_eq!(condition(&hosts), "host a.com or b.com");
    }
}
