//! The plan as a person reads it: one line for a step. The dry run, the log
//! and the expected texts of the tests are all this text.
//!
//! `+` makes, `~` changes, `-` takes away.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Write as _};

use super::step::{ListenerRef, LoadBalancerRef, Plan, Step};
use crate::model::spec::{Action, Arn, Listener, Rule, Tags, TargetGroupRef};

/// What people call live things, by ARN.
type Names = BTreeMap<Arn, String>;

impl Step {
    /// A word for metrics and logs: the kind of the step in kebab case.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateSecurityGroup { .. } => "create-security-group",
            Self::AuthorizeIngress { .. } => "authorize-ingress",
            Self::RevokeIngress { .. } => "revoke-ingress",
            Self::TagSecurityGroup { .. } => "tag-security-group",
            Self::UntagSecurityGroup { .. } => "untag-security-group",
            Self::DeleteSecurityGroup { .. } => "delete-security-group",
            Self::CreateLoadBalancer(_) => "create-load-balancer",
            Self::SetSubnets { .. } => "set-subnets",
            Self::SetSecurityGroups { .. } => "set-security-groups",
            Self::DeleteLoadBalancer { .. } => "delete-load-balancer",
            Self::CreateListener { .. } => "create-listener",
            Self::ModifyListener { .. } => "modify-listener",
            Self::AddListenerCertificate { .. } => "add-listener-certificate",
            Self::RemoveListenerCertificate { .. } => "remove-listener-certificate",
            Self::DeleteListener { .. } => "delete-listener",
            Self::CreateRule { .. } => "create-rule",
            Self::ModifyRule { .. } => "modify-rule",
            Self::SetRulePriorities { .. } => "set-rule-priorities",
            Self::DeleteRule { .. } => "delete-rule",
            Self::CreateTargetGroup(_) => "create-target-group",
            Self::ModifyTargetGroup { .. } => "modify-target-group",
            Self::DeleteTargetGroup { .. } => "delete-target-group",
            Self::RegisterTargets { .. } => "register-targets",
            Self::DeregisterTargets { .. } => "deregister-targets",
            Self::AddTags { .. } => "add-tags",
            Self::RemoveTags { .. } => "remove-tags",
        }
    }

    /// The line, with what people call the live things in it.
    fn line(&self, names: &Names) -> String {
        match self {
            Self::CreateSecurityGroup { group, spec } => {
                format!("+ security group {} ({group})", spec.name)
            }
            Self::AuthorizeIngress { group, permissions } => {
                format!("+ access to security group {group}: {}", list(permissions))
            }
            Self::RevokeIngress { group, permissions } => {
                format!("- access to security group {group}: {}", list(permissions))
            }
            Self::TagSecurityGroup { id, tags } => {
                format!("~ tags of security group {id}: {}", tag_list(tags))
            }
            Self::UntagSecurityGroup { id, keys } => {
                format!("- tags of security group {id}: {}", list(keys))
            }
            Self::DeleteSecurityGroup { id, name } => format!("- security group {name} ({id})"),
            Self::CreateLoadBalancer(spec) => format!(
                "+ load balancer {} ({}; subnets {}; security groups {})",
                spec.name,
                spec.scheme,
                list(&spec.subnets),
                list(&spec.security_groups)
            ),
            Self::SetSubnets {
                load_balancer,
                subnets,
            } => format!(
                "~ load balancer {}: subnets {}",
                short(load_balancer, names),
                list(subnets)
            ),
            Self::SetSecurityGroups {
                load_balancer,
                security_groups,
            } => format!(
                "~ load balancer {}: security groups {}",
                short(load_balancer, names),
                list(security_groups)
            ),
            Self::DeleteLoadBalancer { name, scheme, .. } => {
                format!("- load balancer {name} ({scheme})")
            }
            Self::CreateListener {
                load_balancer,
                listener,
            } => {
                let place = match load_balancer {
                    LoadBalancerRef::New => String::new(),
                    LoadBalancerRef::Arn(arn) => format!(" on {}", short(arn, names)),
                };
                format!("+ {}{place}", listener_text(listener, names))
            }
            Self::ModifyListener { listener, .. } => {
                format!("~ {}", listener_text(listener, names))
            }
            Self::AddListenerCertificate {
                listener,
                certificate,
            } => format!("+ certificate {certificate} on {}", port_text(listener)),
            Self::RemoveListenerCertificate {
                listener,
                certificate,
            } => format!("- certificate {certificate} on {}", port_text(listener)),
            Self::DeleteListener { port, .. } => format!("- listener {port}"),
            Self::CreateRule {
                listener,
                priority,
                rule,
            } => format!(
                "+ rule {}/{priority} {}",
                listener.port(),
                rule_text(rule, names)
            ),
            Self::ModifyRule {
                port,
                priority,
                rule,
                ..
            } => format!("~ rule {port}/{priority} {}", rule_text(rule, names)),
            Self::SetRulePriorities { port, priorities } => {
                let mut moves: Vec<_> = priorities.iter().map(|(arn, to)| (to, arn)).collect();
                moves.sort();
                let moves: Vec<String> = moves
                    .into_iter()
                    .map(|(to, arn)| format!("{} to {to}", short(arn, names)))
                    .collect();
                format!(
                    "~ order of the rules of listener {port}: {}",
                    moves.join(", ")
                )
            }
            Self::DeleteRule {
                port,
                priority,
                rule,
                ..
            } => format!("- rule {port}/{priority} {}", rule_text(rule, names)),
            Self::CreateTargetGroup(spec) => format!(
                "+ target group {} ({}; {}, {} {}, port {})",
                spec.key,
                spec.name,
                spec.target_type,
                spec.protocol,
                spec.protocol_version,
                spec.port
            ),
            Self::ModifyTargetGroup {
                key, health_check, ..
            } => format!(
                "~ target group {key}: health check {} {} port {} every {} s, timeout {} s, \
                 healthy after {}, unhealthy after {}, codes {}",
                health_check.protocol,
                health_check.path,
                health_check.port,
                health_check.interval_seconds,
                health_check.timeout_seconds,
                health_check.healthy_threshold,
                health_check.unhealthy_threshold,
                health_check.success_codes
            ),
            Self::DeleteTargetGroup { key, .. } => format!("- target group {key}"),
            Self::RegisterTargets { key, targets, .. } => {
                format!("+ targets of {key}: {}", list(targets))
            }
            Self::DeregisterTargets { key, targets, .. } => {
                format!("- targets of {key}: {}", list(targets))
            }
            Self::AddTags { tags, what, .. } => format!("~ tags of {what}: {}", tag_list(tags)),
            Self::RemoveTags { keys, what, .. } => format!("- tags of {what}: {}", list(keys)),
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(&Names::new()))
    }
}

impl Display for Plan {
    /// Numbered lines, each with what other keys of work must have made for
    /// it. That a rule waits for its listener is plain and not said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.steps.len().to_string().len();
        for (index, planned) in self.steps.iter().enumerate() {
            write!(
                f,
                "{:>width$}. {}",
                index + 1,
                planned.step.line(&self.names)
            )?;
            if !planned.needs.is_empty() {
                write!(f, " (needs {})", list(&planned.needs))?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

/// `a, b, c`.
fn list<T: Display>(items: &BTreeSet<T>) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// `key=value, key=value`.
fn tag_list(tags: &Tags) -> String {
    let tags: Vec<String> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
    tags.join(", ")
}

/// What people call a live thing; else the telling part of its ARN.
fn short<'a>(arn: &'a Arn, names: &'a Names) -> &'a str {
    if let Some(name) = names.get(arn) {
        return name;
    }
    let resource = arn.as_str().rsplit(':').next().unwrap_or(arn.as_str());
    let parts: Vec<&str> = resource.split('/').collect();
    match parts.as_slice() {
        ["targetgroup", name, _] | ["loadbalancer", "app", name, _] => name,
        [.., last] => last,
        [] => resource,
    }
}

fn port_text(listener: &ListenerRef) -> String {
    format!("listener {}", listener.port())
}

fn rule_text(rule: &Rule, names: &Names) -> String {
    let mut text = String::new();
    for condition in &rule.conditions {
        text.push_str(&condition.to_string());
        text.push(' ');
    }
    text.push_str("-> ");
    text.push_str(&action_text(&rule.action, names));
    text
}

fn action_text(action: &Action, names: &Names) -> String {
    match action {
        Action::Forward(TargetGroupRef::Arn(arn)) => format!("forward {}", short(arn, names)),
        other => other.to_string(),
    }
}

fn listener_text(listener: &Listener, names: &Names) -> String {
    let mut text = format!("listener {} {}", listener.port, listener.protocol);
    if let Some(certificate) = &listener.default_certificate {
        text.push_str(" certificate ");
        text.push_str(certificate.as_str());
    }
    if let Some(policy) = &listener.ssl_policy {
        text.push_str(" policy ");
        text.push_str(policy);
    }
    text.push_str(" -> ");
    text.push_str(&action_text(&listener.default_action, names));
    text
}
