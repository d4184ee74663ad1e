//! What a successful step does to what AWS holds: the one implementation that
//! both the memory of the running controller and the tests of the planner
//! believe in.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{ListenerRef, LoadBalancerRef, Step};
use crate::model::spec::{
    Action, Arn, Live, LiveListener, LiveLoadBalancer, LiveTargetGroup, LoadBalancerState,
    Observed, Protocol, Rule, SecurityGroup, SecurityGroupRef, Tags, TargetGroupKey,
    TargetGroupRef,
};

/// What AWS answered to a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// ARN (or id, of a security group) of what a create made.
    pub arn: Option<Arn>,
    /// ARN of the listener that a rule or certificate went to, or of the load
    /// balancer that a listener went to. Needed only where the step names it
    /// as new and two load balancers are live.
    pub parent: Option<Arn>,
    /// DNS name of a new load balancer, as answered.
    pub dns_name: Option<String>,
    /// Hosted zone id of a new load balancer.
    pub hosted_zone_id: Option<String>,
    /// State of a new load balancer.
    pub state: Option<LoadBalancerState>,
}

/// Writes the effect of a successful step into what AWS holds for the group.
///
/// A step that names something which is not there changes nothing; neither
/// does a create without an ARN.
pub fn effect(step: &Step, made: &Made, observed: &mut Observed) {
    match step {
        Step::CreateSecurityGroup { spec, .. } => {
            if let Some(arn) = made.arn.clone() {
                let ingress = BTreeSet::new();
                let spec = SecurityGroup {
                    ingress,
                    ..spec.clone()
                };
                observed.security_groups.push(Live { arn, spec });
            }
        }
        Step::AuthorizeIngress { group, permissions } => {
            if let Some(live) = security_group(observed, group) {
                live.spec.ingress.extend(permissions.iter().cloned());
            }
        }
        Step::RevokeIngress { group, permissions } => {
            if let Some(live) = security_group(observed, group) {
                live.spec.ingress.retain(|p| !permissions.contains(p));
            }
        }
        Step::TagSecurityGroup { id, tags } => {
            let group = SecurityGroupRef::Id(id.clone());
            if let Some(live) = security_group(observed, &group) {
                live.spec.tags.extend(tags);
            }
        }
        Step::UntagSecurityGroup { id, keys } => {
            let group = SecurityGroupRef::Id(id.clone());
            if let Some(live) = security_group(observed, &group) {
                live.spec.tags.retain(|key, _| !keys.contains(key));
            }
        }
        Step::DeleteSecurityGroup { id, .. } => {
            observed.security_groups.retain(|live| live.arn.0 != *id);
        }
        Step::CreateLoadBalancer(_)
        | Step::SetSubnets { .. }
        | Step::SetSecurityGroups { .. }
        | Step::DeleteLoadBalancer { .. } => on_load_balancer(step, made, observed),
        Step::CreateListener { .. }
        | Step::ModifyListener { .. }
        | Step::AddListenerCertificate { .. }
        | Step::RemoveListenerCertificate { .. }
        | Step::DeleteListener { .. } => on_listener(step, made, observed),
        Step::CreateRule { .. }
        | Step::ModifyRule { .. }
        | Step::SetRulePriorities { .. }
        | Step::DeleteRule { .. } => on_rule(step, made, observed),
        Step::CreateTargetGroup(_)
        | Step::ModifyTargetGroup { .. }
        | Step::DeleteTargetGroup { .. }
        | Step::RegisterTargets { .. }
        | Step::DeregisterTargets { .. } => on_target_group(step, made, observed),
        Step::AddTags {
            resources, tags, ..
        } => {
            for arn in resources {
                if let Some(live) = tags_of(observed, arn) {
                    live.extend(tags);
                }
            }
        }
        Step::RemoveTags {
            resources, keys, ..
        } => {
            for arn in resources {
                if let Some(live) = tags_of(observed, arn) {
                    live.retain(|key, _| !keys.contains(key));
                }
            }
        }
    }
}

fn on_load_balancer(step: &Step, made: &Made, observed: &mut Observed) {
    match step {
        Step::CreateLoadBalancer(spec) => {
            if let Some(arn) = made.arn.clone() {
                observed.load_balancers.push(LiveLoadBalancer {
                    arn,
                    spec: spec.clone(),
                    dns_name: made.dns_name.clone().unwrap_or_default(),
                    hosted_zone_id: made.hosted_zone_id.clone().unwrap_or_default(),
                    state: made.state.unwrap_or(LoadBalancerState::Provisioning),
                    listeners: BTreeMap::new(),
                });
            }
        }
        Step::SetSubnets {
            load_balancer,
            subnets,
        } => {
            if let Some(live) = load_balancer_by_arn(observed, load_balancer) {
                live.spec.subnets.clone_from(subnets);
            }
        }
        Step::SetSecurityGroups {
            load_balancer,
            security_groups,
        } => {
            if let Some(live) = load_balancer_by_arn(observed, load_balancer) {
                live.spec.security_groups.clone_from(security_groups);
            }
        }
        Step::DeleteLoadBalancer { arn, .. } => {
            observed.load_balancers.retain(|live| live.arn != *arn);
        }
        _ => {}
    }
}

fn on_listener(step: &Step, made: &Made, observed: &mut Observed) {
    match step {
        Step::CreateListener {
            load_balancer,
            listener,
        } => {
            let Some(arn) = made.arn.clone() else {
                return;
            };
            let mut spec = listener.clone();
            spec.default_action = resolved(&spec.default_action, observed);
            // Those come by calls of their own.
            spec.sni_certificates.clear();
            let place = match load_balancer {
                LoadBalancerRef::Arn(arn) => load_balancer_by_arn(observed, arn),
                LoadBalancerRef::New => observed.load_balancers.last_mut(),
            };
            if let Some(place) = place {
                let rules = BTreeMap::new();
                let live = LiveListener { arn, spec, rules };
                place.listeners.insert(listener.port, live);
            }
        }
        Step::ModifyListener { arn, listener } => {
            let mut spec = listener.clone();
            spec.default_action = resolved(&spec.default_action, observed);
            if let Some(live) = listener_by_arn(observed, arn) {
                spec.tags = std::mem::take(&mut live.spec.tags);
                spec.sni_certificates = std::mem::take(&mut live.spec.sni_certificates);
                if spec.protocol == Protocol::Http {
                    spec.sni_certificates.clear();
                }
                live.spec = spec;
            }
        }
        Step::AddListenerCertificate {
            listener,
            certificate,
        } => {
            if let Some(live) = listener_by_ref(observed, listener, made) {
                live.spec.sni_certificates.insert(certificate.clone());
            }
        }
        Step::RemoveListenerCertificate {
            listener,
            certificate,
        } => {
            if let Some(live) = listener_by_ref(observed, listener, made) {
                live.spec.sni_certificates.remove(certificate);
            }
        }
        Step::DeleteListener { arn, .. } => {
            for live in &mut observed.load_balancers {
                live.listeners.retain(|_, listener| listener.arn != *arn);
            }
        }
        _ => {}
    }
}

fn on_rule(step: &Step, made: &Made, observed: &mut Observed) {
    match step {
        Step::CreateRule {
            listener,
            priority,
            rule,
        } => {
            let Some(arn) = made.arn.clone() else {
                return;
            };
            let action = resolved(&rule.action, observed);
            let spec = Rule {
                action,
                ..rule.clone()
            };
            if let Some(live) = listener_by_ref(observed, listener, made) {
                live.rules.insert(*priority, Live { arn, spec });
            }
        }
        Step::ModifyRule { arn, rule, .. } => {
            let action = resolved(&rule.action, observed);
            if let Some(live) = rule_by_arn(observed, arn) {
                live.spec.conditions.clone_from(&rule.conditions);
                live.spec.action = action;
            }
        }
        Step::SetRulePriorities { priorities, .. } => {
            for listener in listeners(observed) {
                let rules = std::mem::take(&mut listener.rules);
                listener.rules = rules
                    .into_iter()
                    .map(|(priority, rule)| {
                        let priority = priorities.get(&rule.arn).copied().unwrap_or(priority);
                        (priority, rule)
                    })
                    .collect();
            }
        }
        Step::DeleteRule { arn, .. } => {
            for listener in listeners(observed) {
                listener.rules.retain(|_, rule| rule.arn != *arn);
            }
        }
        _ => {}
    }
}

fn on_target_group(step: &Step, made: &Made, observed: &mut Observed) {
    match step {
        Step::CreateTargetGroup(spec) => {
            if let Some(arn) = made.arn.clone() {
                observed.target_groups.push(LiveTargetGroup {
                    arn,
                    spec: spec.clone(),
                    targets: BTreeSet::new(),
                });
            }
        }
        Step::ModifyTargetGroup {
            arn, health_check, ..
        } => {
            if let Some(live) = target_group(observed, &TargetGroupRef::Arn(arn.clone())) {
                live.spec.health_check = health_check.clone();
            }
        }
        Step::DeleteTargetGroup { arn, .. } => {
            observed.target_groups.retain(|live| live.arn != *arn);
        }
        Step::RegisterTargets {
            target_group: group,
            targets,
            ..
        } => {
            if let Some(live) = target_group(observed, group) {
                live.targets.extend(targets.iter().cloned());
            }
        }
        Step::DeregisterTargets {
            target_group: arn,
            targets,
            ..
        } => {
            if let Some(live) = target_group(observed, &TargetGroupRef::Arn(arn.clone())) {
                live.targets.retain(|target| !targets.contains(target));
            }
        }
        _ => {}
    }
}

fn load_balancer_by_arn<'a>(
    observed: &'a mut Observed,
    arn: &Arn,
) -> Option<&'a mut LiveLoadBalancer> {
    observed
        .load_balancers
        .iter_mut()
        .find(|live| live.arn == *arn)
}

fn listeners(observed: &mut Observed) -> impl Iterator<Item = &mut LiveListener> {
    observed
        .load_balancers
        .iter_mut()
        .flat_map(|live| live.listeners.values_mut())
}

fn listener_by_arn<'a>(observed: &'a mut Observed, arn: &Arn) -> Option<&'a mut LiveListener> {
    listeners(observed).find(|live| live.arn == *arn)
}

/// A listener that the plan has made is on the load balancer that came last,
/// unless the answer says otherwise.
fn listener_by_ref<'a>(
    observed: &'a mut Observed,
    listener: &ListenerRef,
    made: &Made,
) -> Option<&'a mut LiveListener> {
    match (listener, &made.parent) {
        (ListenerRef::Arn { arn, .. }, _) | (ListenerRef::New(_), Some(arn)) => {
            listener_by_arn(observed, arn)
        }
        (ListenerRef::New(port), None) => observed
            .load_balancers
            .iter_mut()
            .rev()
            .find_map(|live| live.listeners.get_mut(port)),
    }
}

fn rule_by_arn<'a>(observed: &'a mut Observed, arn: &Arn) -> Option<&'a mut Live<Rule>> {
    listeners(observed)
        .flat_map(|listener| listener.rules.values_mut())
        .find(|rule| rule.arn == *arn)
}

/// A target group; one that the plan has made is the last of its key.
fn target_group<'a>(
    observed: &'a mut Observed,
    group: &TargetGroupRef,
) -> Option<&'a mut LiveTargetGroup> {
    observed
        .target_groups
        .iter_mut()
        .rev()
        .find(|live| match group {
            TargetGroupRef::Arn(arn) => live.arn == *arn,
            TargetGroupRef::Key(key) => live.spec.key == *key,
        })
}

fn arn_of(observed: &Observed, key: &TargetGroupKey) -> Option<Arn> {
    let mut live = observed.target_groups.iter().rev();
    live.find(|live| live.spec.key == *key)
        .map(|live| live.arn.clone())
}

/// The action as AWS holds it: target groups by ARN.
fn resolved(action: &Action, observed: &Observed) -> Action {
    match action {
        Action::Forward(TargetGroupRef::Key(key)) => match arn_of(observed, key) {
            Some(arn) => Action::Forward(TargetGroupRef::Arn(arn)),
            None => action.clone(),
        },
        other => other.clone(),
    }
}

/// A security group of this load balancer group; the frontend group is the
/// first one.
fn security_group<'a>(
    observed: &'a mut Observed,
    group: &SecurityGroupRef,
) -> Option<&'a mut Live<SecurityGroup>> {
    let mut groups = observed.security_groups.iter_mut();
    match group {
        SecurityGroupRef::Frontend => groups.next(),
        SecurityGroupRef::Id(id) => groups.find(|live| live.arn.0 == *id),
        SecurityGroupRef::Backend => None,
    }
}

fn tags_of<'a>(observed: &'a mut Observed, arn: &Arn) -> Option<&'a mut Tags> {
    if let Some(live) = observed
        .target_groups
        .iter_mut()
        .find(|live| live.arn == *arn)
    {
        return Some(&mut live.spec.tags);
    }
    for live in &mut observed.load_balancers {
        if live.arn == *arn {
            return Some(&mut live.spec.tags);
        }
        for listener in live.listeners.values_mut() {
            if listener.arn == *arn {
                return Some(&mut listener.spec.tags);
            }
            if let Some(rule) = listener.rules.values_mut().find(|rule| rule.arn == *arn) {
                return Some(&mut rule.spec.tags);
            }
        }
    }
    None
}
