//! Who stated the value that AWS refused.
//!
//! A verdict names an Ingress, a subject and a value just as an
//! [`Origin`] does, so that it counts while the value is stated and no longer.

mod quota;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::model::desired::{Desired, DesiredRule, Intent, Origin, Stack};
use crate::model::finding::{NAME_TAKEN, Verdict};
use crate::model::limits::{Counted, Limits};
use crate::model::spec::{
    Action, Listener, LiveTargetGroup, ObjectName, Observed, Rule, SecurityGroupRef, Tags, Target,
    TargetGroupKey, TargetGroupRef,
};
use crate::model::verdicts::{
    listener_origin, load_balancer_origin, subnets_origin, target_origin, targets_origin,
};

use super::step::Step;

/// The annotation that states tags.
const TAGS_SUBJECT: &str = "tags";
/// The annotation that states where HTTP is redirected to.
const REDIRECT_SUBJECT: &str = "ssl-redirect";

/// What AWS said no to.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The step.
    pub step: &'a Step,
    /// AWS's error code, or [`NAME_TAKEN`].
    pub code: &'a str,
    /// AWS's message.
    pub message: &'a str,
}

/// The verdicts that follow from a refusal: one for each Ingress that states
/// the value. None where nobody states it: then the refusal is an error of
/// ours or of the account, and is tried again like any other.
///
/// `before` and `after` are what AWS held when the plan was made and when it
/// had been run. Of what is counted, as many as there were when one more was
/// refused is how many there may be: all that were there at some moment. That
/// can be too many where some went before others came; then the next refusal
/// says so, for it never says more than what was `known`.
pub fn blame(
    refusal: Refusal<'_>,
    desired: &Desired,
    known: Limits,
    before: &Observed,
    after: &Observed,
) -> Vec<Verdict> {
    let Intent::Serve(stack) = &desired.intent else {
        return Vec::new();
    };
    let found = Blame {
        stack,
        desired,
        known,
        before,
        after,
        message: refusal.message,
        code: refusal.code,
    };
    found
        .origins(refusal.step)
        .into_iter()
        .map(|origin| Verdict {
            ingress: origin.ingress,
            subject: origin.subject,
            value: origin.value,
            code: refusal.code.to_owned(),
            message: refusal.message.to_owned(),
        })
        .collect()
}

struct Blame<'a> {
    stack: &'a Stack,
    desired: &'a Desired,
    known: Limits,
    before: &'a Observed,
    after: &'a Observed,
    message: &'a str,
    code: &'a str,
}

impl Blame<'_> {
    fn origins(&self, step: &Step) -> Vec<Origin> {
        if self.code != NAME_TAKEN
            && self.is_about_tags()
            && let Some(tags) = tags_of(step)
        {
            let stated = self.of_tags(tags);
            if !stated.is_empty() {
                return stated;
            }
        }
        if let Some(counted) = self.counted() {
            return self.of_limit(step, counted);
        }
        // Targets of all count, and come and go: whoever asks for one more
        // rule states none of them, and is not to stand still for them.
        if self.is_about_targets() && !step.is_of_targets() {
            return Vec::new();
        }
        match step {
            Step::CreateRule {
                listener,
                priority,
                rule,
            } => self.of_rule(listener.port(), *priority, rule),
            Step::ModifyRule {
                port,
                priority,
                rule,
                ..
            } => self.of_rule(*port, *priority, rule),
            Step::CreateListener { listener, .. } | Step::ModifyListener { listener, .. } => {
                self.of_listener(listener)
            }
            Step::AddListenerCertificate { certificate, .. } => self.stating(&certificate.0),
            Step::AuthorizeIngress {
                group: SecurityGroupRef::Frontend,
                permissions,
            } if self.is_quota() => self.of_access(permissions.len()),
            Step::CreateLoadBalancer(_) if self.is_quota() || self.code == NAME_TAKEN => {
                self.of_load_balancer()
            }
            Step::CreateSecurityGroup { .. } => self.of_load_balancer(),
            Step::CreateLoadBalancer(spec) => {
                let groups = spec.security_groups.iter().map(ToString::to_string);
                let groups = groups.filter(|_| !self.is_about_subnets());
                let subnets = spec.subnets.iter().cloned();
                let subnets = subnets.filter(|_| !self.code.contains("SecurityGroup"));
                let stated = self.among(&subnets.chain(groups).collect::<Vec<_>>());
                if stated.is_empty() && self.is_about_subnets() {
                    return self.of_found_subnets(&spec.subnets);
                }
                stated
            }
            Step::SetSubnets { subnets, .. } => {
                self.among(&subnets.iter().cloned().collect::<Vec<_>>())
            }
            Step::SetSecurityGroups {
                security_groups, ..
            } => {
                let groups = security_groups.iter().map(ToString::to_string);
                self.among(&groups.collect::<Vec<_>>())
            }
            Step::RegisterTargets { key, targets, .. } => self.of_targets(key, targets),
            Step::CreateTargetGroup(spec) => self.of_target_group(&spec.key),
            Step::ModifyTargetGroup { key, .. } => self.of_target_group(key),
            // Removals and access: what they say comes from all members or
            // from none.
            _ => Vec::new(),
        }
    }

    /// Whether a quota is used up.
    fn is_quota(&self) -> bool {
        self.code.starts_with("TooMany") || self.code.ends_with("LimitExceeded")
    }

    /// Whether a load balancer has too many targets.
    fn is_about_targets(&self) -> bool {
        matches!(
            self.code,
            "TooManyTargets" | "TooManyRegistrationsForTargetId"
        )
    }

    fn is_about_subnets(&self) -> bool {
        self.code.contains("Subnet") || self.code.contains("AvailabilityZone")
    }

    /// What of the load balancer is counted and full.
    fn counted(&self) -> Option<Counted> {
        match self.code {
            "TooManyRules" => Some(Counted::Rules),
            "TooManyListeners" => Some(Counted::Listeners),
            "TooManyCertificates" => Some(Counted::Certificates),
            "TooManyUniqueTargetGroupsPerLoadBalancer" => Some(Counted::TargetGroups),
            _ => None,
        }
    }

    /// The one of these who comes last in the group.
    fn last_of(&self, origins: &[Origin]) -> Option<ObjectName> {
        let mut members = self.desired.members.iter().rev();
        members
            .find(|member| origins.iter().any(|origin| origin.ingress == **member))
            .cloned()
    }

    /// Keys and values are checked by one pattern; the message has the
    /// parameter's path (`tags.1.member.value`) or speaks of the tag.
    fn is_about_tags(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let spoken = ["tag key", "tag value", "tags."];
        self.code.contains("Tag") || spoken.iter().any(|words| message.contains(words))
    }

    /// Who states one of these tags: one that AWS's message quotes, else any
    /// of them, as it cannot be told.
    fn of_tags(&self, tags: &Tags) -> Vec<Origin> {
        let quotes = |text: &str| !text.is_empty() && self.message.contains(&format!("'{text}'"));
        let stated = |(key, value): (&str, &str)| {
            let value = format!("{key}={value}");
            let mut origins = self.stating(&value);
            origins.retain(|origin| origin.subject == TAGS_SUBJECT);
            origins
        };
        let quoted = tags
            .iter()
            .filter(|(key, value)| quotes(key) || quotes(value));
        let named: Vec<Origin> = quoted.flat_map(stated).collect();
        if !named.is_empty() {
            return named;
        }
        let mut any: Vec<Origin> = tags.iter().flat_map(stated).collect();
        if self.is_quota() {
            // Too many together: who comes last stands back.
            let last = self.last_of(&any);
            any.retain(|origin| Some(&origin.ingress) == last.as_ref());
        }
        any
    }

    /// Who states exactly this value.
    fn stating(&self, value: &str) -> Vec<Origin> {
        let origins = self.stack.origins.iter();
        origins
            .filter(|origin| origin.value == value)
            .cloned()
            .collect()
    }

    /// Who states one of several values: those that AWS's message names, else
    /// all of them, as it cannot be told.
    fn among(&self, values: &[String]) -> Vec<Origin> {
        let named: Vec<&String> = values
            .iter()
            .filter(|value| self.message.contains(value.as_str()))
            .collect();
        if named.is_empty() {
            return values.iter().flat_map(|v| self.stating(v)).collect();
        }
        named.into_iter().flat_map(|v| self.stating(v)).collect()
    }

    fn of_listener(&self, listener: &Listener) -> Vec<Origin> {
        let about = |text: &str| self.code.contains(text);
        let policy = listener.ssl_policy.iter().cloned();
        let certificate = listener.default_certificate.iter().map(|c| c.0.clone());
        if about("SSLPolicy") {
            return policy.flat_map(|policy| self.stating(&policy)).collect();
        }
        if about("Certificate") {
            return certificate.flat_map(|c| self.stating(&c)).collect();
        }
        let wished = self.stack.listeners.get(&listener.port);
        let action = wished.map(|wished| &wished.listener.default_action);
        if about("Target")
            && let Some(Action::Forward(TargetGroupRef::Key(key))) = action
        {
            return self.of_target_group(key);
        }
        if about("Action")
            && let Some(Action::RedirectHttps { port, .. }) = action
        {
            return self
                .stack
                .origins_of(REDIRECT_SUBJECT, &port.to_string())
                .cloned()
                .collect();
        }
        let values: Vec<String> = policy.chain(certificate).collect();
        let stated = self.among(&values);
        if stated.is_empty() {
            return self.listening(listener);
        }
        stated
    }

    /// Who listens on the port of a listener.
    fn listening(&self, listener: &Listener) -> Vec<Origin> {
        let wished = [true, false].map(|stated| {
            let nobody = ObjectName::new("", "");
            listener_origin(&nobody, listener.port, listener.protocol, stated)
        });
        let origins = self.stack.origins.iter();
        origins
            .filter(|origin| {
                let same = |w: &Origin| w.subject == origin.subject && w.value == origin.value;
                wished.iter().any(same)
            })
            .cloned()
            .collect()
    }

    /// Whose a rule is.
    fn of_rule(&self, port: u16, priority: u32, rule: &Rule) -> Vec<Origin> {
        let Some(wished) = self.wished(port, priority, rule) else {
            return Vec::new();
        };
        let value = format!("rule {}", wished.rule);
        let origins = self.stack.origins.iter();
        origins
            .filter(|origin| origin.ingress == wished.owner && origin.value == value)
            .cloned()
            .collect()
    }

    fn owner_of(&self, port: u16, priority: u32, rule: &Rule) -> Option<ObjectName> {
        Some(self.wished(port, priority, rule)?.owner.clone())
    }

    /// The wished rule that a step is about: steps name target groups by ARN,
    /// wishes by key, so the conditions have to do.
    fn wished(&self, port: u16, priority: u32, rule: &Rule) -> Option<&DesiredRule> {
        let rules = &self.stack.listeners.get(&port)?.rules;
        let at = usize::try_from(priority).ok()?.checked_sub(1)?;
        let same = |wished: &&DesiredRule| wished.rule.conditions == rule.conditions;
        rules
            .get(at)
            .filter(same)
            .or_else(|| rules.iter().find(same))
    }

    /// Everybody who is served by the load balancer.
    fn of_load_balancer(&self) -> Vec<Origin> {
        let members = self.desired.members.iter();
        members
            .map(|member| load_balancer_origin(member, &self.desired.group))
            .filter(|origin| self.stack.origins.contains(origin))
            .collect()
    }

    /// Everybody whose load balancer is in subnets that were found by their
    /// tags.
    fn of_found_subnets(&self, subnets: &BTreeSet<String>) -> Vec<Origin> {
        let members = self.desired.members.iter();
        members
            .map(|member| subnets_origin(member, subnets))
            .filter(|origin| self.stack.origins.contains(origin))
            .collect()
    }

    /// Which targets are too many, or which of them AWS does not take; where
    /// that cannot be told, the target group is blamed.
    fn of_targets(&self, key: &TargetGroupKey, targets: &BTreeSet<Target>) -> Vec<Origin> {
        let Some(owner) = self.owner_of_targets(key) else {
            return Vec::new();
        };
        if self.is_quota() {
            let of_key = |live: &&LiveTargetGroup| live.spec.key == *key;
            let registered = self.before.target_groups.iter();
            let registered = registered.chain(&self.after.target_groups).filter(of_key);
            let registered = registered.flat_map(|live| &live.targets);
            let registered: BTreeSet<_> = registered.map(|t| (&t.id, t.port)).collect();
            // The call is refused as a whole: all but one of it may fit.
            let new = targets
                .iter()
                .filter(|t| !registered.contains(&(&t.id, t.port)));
            let most = (registered.len() + new.count()).saturating_sub(1);
            return vec![targets_origin(owner, key, most)];
        }
        let named: Vec<Origin> = targets
            .iter()
            .filter(|target| names(self.message, &target.id))
            .map(|target| target_origin(owner, key, target))
            .collect();
        if named.is_empty() {
            return self.of_target_group(key);
        }
        named
    }

    /// The member that asks for a target group.
    fn owner_of_targets(&self, key: &TargetGroupKey) -> Option<&ObjectName> {
        let group = self.stack.target_groups.get(key)?;
        let mut members = self.desired.members.iter();
        members.find(|member| **member == group.owner)
    }

    /// Who asks for a target group.
    fn of_target_group(&self, key: &TargetGroupKey) -> Vec<Origin> {
        let Some(owner) = self.owner_of_targets(key) else {
            return Vec::new();
        };
        let start = format!("target group {key} ");
        let origins = self.stack.origins.iter();
        origins
            .filter(|origin| origin.ingress == *owner && origin.value.starts_with(&start))
            .cloned()
            .collect()
    }
}

/// Whether a message has an id as a word of its own.
fn names(message: &str, id: &str) -> bool {
    let part_of_an_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
    message.match_indices(id).any(|(at, _)| {
        let before = message[..at].chars().next_back();
        let after = message[at + id.len()..].chars().next();
        !before.is_some_and(|c| part_of_an_id(c) || c == '.') && !after.is_some_and(part_of_an_id)
    })
}

/// The tags that a step sets.
fn tags_of(step: &Step) -> Option<&Tags> {
    match step {
        Step::CreateLoadBalancer(spec) => Some(&spec.tags),
        Step::CreateTargetGroup(spec) => Some(&spec.tags),
        Step::CreateSecurityGroup { spec, .. } => Some(&spec.tags),
        Step::CreateListener { listener, .. } => Some(&listener.tags),
        Step::CreateRule { rule, .. } => Some(&rule.tags),
        Step::AddTags { tags, .. } | Step::TagSecurityGroup { tags, .. } => Some(tags),
        _ => None,
    }
}
