//! Who stated the value that AWS refused.
//!
//! A verdict names an Ingress, a subject and a value just as an
//! [`Origin`] does, so that it counts while the value is stated and no longer.

use crate::model::desired::{Desired, DesiredRule, Intent, Origin, Stack};
use crate::model::finding::{NAME_TAKEN, RULES_SUBJECT, Verdict};
use crate::model::spec::{
    Action, Arn, Listener, ObjectName, Observed, Rule, Tags, TargetGroupKey, TargetGroupRef,
};

use crate::model::verdicts::load_balancer_origin;

use super::step::{ListenerRef, Step};

/// The annotation that states tags.
const TAGS_SUBJECT: &str = "tags";

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
/// `observed` is what AWS holds after the plan was run: the number of rules
/// that are live when one more is refused is how many there may be.
pub fn blame(refusal: Refusal<'_>, desired: &Desired, observed: &Observed) -> Vec<Verdict> {
    let Intent::Serve(stack) = &desired.intent else {
        return Vec::new();
    };
    let found = Blame {
        stack,
        desired,
        observed,
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
    observed: &'a Observed,
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
        match step {
            Step::CreateRule {
                listener,
                priority,
                rule,
            } => self.of_rule(listener.port(), *priority, rule, listener),
            Step::ModifyRule {
                port,
                priority,
                rule,
                arn,
            } => {
                let listener = ListenerRef::Arn {
                    arn: arn.clone(),
                    port: *port,
                };
                self.of_rule(*port, *priority, rule, &listener)
            }
            Step::CreateListener { listener, .. } | Step::ModifyListener { listener, .. } => {
                self.of_listener(listener)
            }
            Step::AddListenerCertificate { certificate, .. } => self.stating(&certificate.0),
            Step::CreateLoadBalancer(_) | Step::CreateSecurityGroup { .. }
                if self.code.starts_with("TooMany")
                    || self.code.ends_with("LimitExceeded")
                    || self.code == NAME_TAKEN =>
            {
                self.of_load_balancer()
            }
            Step::CreateLoadBalancer(spec) => {
                let groups = spec.security_groups.iter().map(ToString::to_string);
                let values: Vec<String> = spec.subnets.iter().cloned().chain(groups).collect();
                self.among(&values)
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
            Step::CreateTargetGroup(spec) => self.of_target_group(&spec.key),
            Step::ModifyTargetGroup { key, .. } | Step::RegisterTargets { key, .. } => {
                self.of_target_group(key)
            }
            // Removals and access: what they say comes from all members or
            // from none.
            _ => Vec::new(),
        }
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
        let stated = |(key, value): (&String, &String)| {
            let value = format!("{key}={value}");
            let mut origins = self.stating(&value);
            origins.retain(|origin| origin.subject == TAGS_SUBJECT);
            origins
        };
        let quoted = tags
            .iter()
            .filter(|(key, value)| quotes(key) || quotes(value));
        let named: Vec<Origin> = quoted.flat_map(stated).collect();
        if named.is_empty() {
            return tags.iter().flat_map(stated).collect();
        }
        named
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
        if about("SSLPolicy") {
            return listener
                .ssl_policy
                .iter()
                .flat_map(|policy| self.stating(policy))
                .collect();
        }
        if about("Certificate") {
            return listener
                .default_certificate
                .iter()
                .flat_map(|certificate| self.stating(&certificate.0))
                .collect();
        }
        if about("TargetGroup")
            && let Action::Forward(TargetGroupRef::Key(key)) = &listener.default_action
        {
            return self.of_target_group(key);
        }
        let mut values: Vec<String> = Vec::new();
        values.extend(listener.ssl_policy.clone());
        values.extend(listener.default_certificate.iter().map(|c| c.0.clone()));
        values.push(listener.port.to_string());
        self.among(&values)
    }

    /// Whose a rule is. A quota on rules is told as the number that there may
    /// be: which of them stay is not for this rule alone to say.
    fn of_rule(
        &self,
        port: u16,
        priority: u32,
        rule: &Rule,
        listener: &ListenerRef,
    ) -> Vec<Origin> {
        let Some(wished) = self.wished(port, priority, rule) else {
            return Vec::new();
        };
        if self.code == "TooManyRules" {
            return vec![Origin {
                ingress: wished.owner.clone(),
                subject: RULES_SUBJECT.to_owned(),
                value: self.live_rules(listener).to_string(),
            }];
        }
        let value = format!("rule {}", wished.rule);
        let origins = self.stack.origins.iter();
        let stated: Vec<Origin> = origins
            .filter(|origin| origin.ingress == wished.owner && origin.value == value)
            .cloned()
            .collect();
        stated
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

    /// Rules of the load balancer that the listener is on; of the one that
    /// has most, where the listener is a new one.
    fn live_rules(&self, listener: &ListenerRef) -> usize {
        let has = |arn: &Arn| {
            self.observed.load_balancers.iter().find(|live| {
                let mut listeners = live.listeners.values();
                listeners.any(|l| l.arn == *arn || l.rules.values().any(|r| r.arn == *arn))
            })
        };
        let found = match listener {
            ListenerRef::Arn { arn, .. } => has(arn),
            ListenerRef::New(_) => None,
        };
        let count = |live: &crate::model::spec::LiveLoadBalancer| -> usize {
            live.listeners.values().map(|l| l.rules.len()).sum()
        };
        found.map_or_else(
            || {
                self.observed
                    .load_balancers
                    .iter()
                    .map(count)
                    .max()
                    .unwrap_or(0)
            },
            count,
        )
    }

    /// Everybody who is served by the load balancer.
    fn of_load_balancer(&self) -> Vec<Origin> {
        let members = self.desired.members.iter();
        members
            .map(|member| load_balancer_origin(member, &self.desired.group))
            .filter(|origin| self.stack.origins.contains(origin))
            .collect()
    }

    /// Who asks for a target group.
    fn of_target_group(&self, key: &TargetGroupKey) -> Vec<Origin> {
        let owner: Option<&ObjectName> = self
            .stack
            .target_groups
            .get(key)
            .map(|group| &group.owner)
            .filter(|owner| self.desired.members.contains(owner));
        let Some(owner) = owner else {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::fixture::{self, host_rule};

    const WEB: (&str, &str) = ("shop", "web");

    fn desired(origins: &[(&str, &str)]) -> Desired {
        let mut stack = fixture::stack(&[(80, vec![host_rule("a.example", "web")])]);
        stack.origins = origins
            .iter()
            .map(|(subject, value)| Origin {
                ingress: ObjectName::new(WEB.0, WEB.1),
                subject: (*subject).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        fixture::desired(stack)
    }

    fn said(step: &Step, code: &str, message: &str, desired: &Desired) -> Vec<(String, String)> {
        let refusal = Refusal {
            step,
            code,
            message,
        };
        blame(refusal, desired, &Observed::default())
            .into_iter()
            .map(|verdict| (verdict.subject, verdict.value))
            .collect()
    }

    #[test]
    fn a_certificate_is_blamed_on_those_who_state_it() {
        let desired = desired(&[("certificate-arn", "arn:1"), ("certificate-arn", "arn:2")]);
        let step = Step::AddListenerCertificate {
            listener: ListenerRef::New(443),
            certificate: Arn::from("arn:2"),
        };
        assert_eq!(
            said(&step, "CertificateNotFound", "no", &desired),
            [("certificate-arn".to_owned(), "arn:2".to_owned())]
        );
    }

    #[test]
    fn a_message_that_names_a_subnet_blames_that_one() {
        let desired = desired(&[("subnets", "subnet-a"), ("subnets", "subnet-b")]);
        let step = Step::SetSubnets {
            load_balancer: Arn::from("arn:lb"),
            subnets: ["subnet-a".to_owned(), "subnet-b".to_owned()].into(),
        };
        let named = said(&step, "InvalidSubnet", "subnet-b is full", &desired);
        assert_eq!(named, [("subnets".to_owned(), "subnet-b".to_owned())]);
        assert_eq!(said(&step, "InvalidSubnet", "no", &desired).len(), 2);
    }

    #[test]
    fn a_refused_tag_is_blamed_on_those_who_state_it() {
        let desired = desired(&[
            ("tags", "note=a,b"),
            ("tags", "owner=y"),
            ("scheme", "owner=y"),
        ]);
        let adding = |tags: &[(&str, &str)]| Step::AddTags {
            resources: BTreeSet::new(),
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            what: "load balancer".to_owned(),
        };
        let stated = |value: &str| ("tags".to_owned(), value.to_owned());
        let step = adding(&[("note", "a,b"), ("owner", "y"), ("cluster", "z")]);
        let message = "Value 'a,b' at 'tags.1.member.value' failed to satisfy constraint";
        let named = said(&step, "ValidationError", message, &desired);
        assert_eq!(named, [stated("note=a,b")]);
        let any = said(&step, "TooManyTags", "no", &desired);
        assert_eq!(any, [stated("note=a,b"), stated("owner=y")]);
        let ours = adding(&[("cluster", "z")]);
        assert!(said(&ours, "TooManyTags", "no", &desired).is_empty());
    }

    #[test]
    fn a_quota_on_rules_says_how_many_there_may_be() {
        let desired = desired(&[]);
        let mut observed = fixture::made(&desired);
        let rules = |observed: &mut Observed| observed.load_balancers[0].listeners[&80].rules.len();
        assert_eq!(rules(&mut observed), 1);
        let step = Step::CreateRule {
            listener: ListenerRef::New(80),
            priority: 1,
            rule: host_rule("a.example", "web").rule,
        };
        let refusal = Refusal {
            step: &step,
            code: "TooManyRules",
            message: "no",
        };
        let verdicts = blame(refusal, &desired, &observed);
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].subject, RULES_SUBJECT);
        assert_eq!(verdicts[0].value, "1");
    }

    #[test]
    fn a_quota_on_load_balancers_is_told_to_all_who_are_served_by_it() {
        let mut desired = desired(&[("subnets", "subnet-a")]);
        let origin = load_balancer_origin(&ObjectName::new(WEB.0, WEB.1), &desired.group);
        let Intent::Serve(stack) = &mut desired.intent else {
            unreachable!("the fixture serves");
        };
        stack.origins.push(origin.clone());
        let step = Step::CreateLoadBalancer(stack.load_balancer.clone());
        let told = said(&step, "TooManyLoadBalancers", "no", &desired);
        assert_eq!(told, [(origin.subject, origin.value)]);
    }

    #[test]
    fn nobody_is_blamed_for_what_nobody_states() {
        let desired = desired(&[]);
        let step = Step::AddListenerCertificate {
            listener: ListenerRef::New(443),
            certificate: Arn::from("arn:2"),
        };
        assert!(said(&step, "CertificateNotFound", "no", &desired).is_empty());
    }
}
