//! Names of things that did not exist at plan time: filled as steps make them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Context, Work};
use crate::aws::operations::Operation;
use crate::aws::{Class, Error};
use crate::model::spec::{Action, Arn, SecurityGroupRef, TargetGroupKey, TargetGroupRef};
use crate::observe::Memory;
use crate::plan::effect::Made;
use crate::plan::step::{ListenerRef, LoadBalancerRef, Step};

#[derive(Debug, Default)]
struct Known {
    load_balancer: Option<Arn>,
    listeners: BTreeMap<u16, Arn>,
    target_groups: BTreeMap<TargetGroupKey, Arn>,
    frontend: Option<String>,
    backend: Option<String>,
}

/// What a plan's references stand for.
#[derive(Debug)]
pub struct Names(Mutex<Known>);

impl Names {
    /// Starts with what is live: the frontend and the backend group.
    pub fn new(cx: &Context<'_>, work: Work<'_>) -> Self {
        let frontend = match work {
            Work::Group(group) => {
                let observed = cx.memory.remembered(group);
                let groups = &observed.security_groups;
                groups.first().map(|group| group.arn.to_string())
            }
            Work::Backend => None,
        };
        Self(Mutex::new(Known {
            frontend,
            ..Known::default()
        }))
    }

    /// Notes what a step has made.
    pub fn note(&self, step: &Step, made: &Made) {
        let Some(arn) = &made.arn else {
            return;
        };
        let mut known = self.known();
        match step {
            Step::CreateLoadBalancer(_) => known.load_balancer = Some(arn.clone()),
            Step::CreateListener { listener, .. } => {
                known.listeners.insert(listener.port, arn.clone());
            }
            Step::CreateTargetGroup(group) => {
                known.target_groups.insert(group.key.clone(), arn.clone());
            }
            Step::CreateSecurityGroup { group, .. } => match group {
                SecurityGroupRef::Frontend => known.frontend = Some(arn.to_string()),
                SecurityGroupRef::Backend => known.backend = Some(arn.to_string()),
                SecurityGroupRef::Id(_) => {}
            },
            _ => {}
        }
    }

    /// What exists of all that a step writes to or builds on.
    pub fn touched(&self, step: &Step) -> Vec<Arn> {
        let known = self.known();
        let listener = |reference: &ListenerRef| match reference {
            ListenerRef::Arn { arn, .. } => Some(arn.clone()),
            ListenerRef::New(port) => known.listeners.get(port).cloned(),
        };
        let target_group = |reference: &TargetGroupRef| match reference {
            TargetGroupRef::Arn(arn) => Some(arn.clone()),
            TargetGroupRef::Key(key) => known.target_groups.get(key).cloned(),
        };
        let forward = |action: &Action| match action {
            Action::Forward(group) => target_group(group),
            _ => None,
        };
        let security_group = |reference: &SecurityGroupRef| match reference {
            SecurityGroupRef::Id(id) => Some(Arn::from(id.clone())),
            SecurityGroupRef::Frontend => known.frontend.clone().map(Arn::from),
            SecurityGroupRef::Backend => None,
        };
        let some = |arns: [Option<Arn>; 2]| arns.into_iter().flatten().collect();
        match step {
            Step::CreateSecurityGroup { .. } | Step::CreateTargetGroup(_) => Vec::new(),
            Step::AuthorizeIngress { group, .. } | Step::RevokeIngress { group, .. } => {
                some([security_group(group), None])
            }
            Step::TagSecurityGroup { id, .. }
            | Step::UntagSecurityGroup { id, .. }
            | Step::DeleteSecurityGroup { id, .. } => vec![Arn::from(id.clone())],
            Step::CreateLoadBalancer(spec) => spec
                .security_groups
                .iter()
                .filter_map(security_group)
                .collect(),
            Step::SetSecurityGroups {
                load_balancer,
                security_groups,
            } => {
                let groups = security_groups.iter().filter_map(security_group);
                groups.chain([load_balancer.clone()]).collect()
            }
            Step::SetSubnets { load_balancer, .. } => vec![load_balancer.clone()],
            Step::CreateListener {
                load_balancer,
                listener,
            } => {
                let parent = match load_balancer {
                    LoadBalancerRef::Arn(arn) => Some(arn.clone()),
                    LoadBalancerRef::New => known.load_balancer.clone(),
                };
                some([parent, forward(&listener.default_action)])
            }
            Step::ModifyListener { arn, listener } => {
                some([Some(arn.clone()), forward(&listener.default_action)])
            }
            Step::AddListenerCertificate { listener: of, .. }
            | Step::RemoveListenerCertificate { listener: of, .. } => some([listener(of), None]),
            Step::CreateRule {
                listener: of, rule, ..
            } => some([listener(of), forward(&rule.action)]),
            Step::ModifyRule { arn, rule, .. } => some([Some(arn.clone()), forward(&rule.action)]),
            Step::SetRulePriorities { priorities, .. } => priorities.keys().cloned().collect(),
            Step::RegisterTargets {
                target_group: of, ..
            } => some([target_group(of), None]),
            Step::DeleteLoadBalancer { arn, .. }
            | Step::DeleteListener { arn, .. }
            | Step::DeleteRule { arn, .. }
            | Step::ModifyTargetGroup { arn, .. }
            | Step::DeleteTargetGroup { arn, .. }
            | Step::DeregisterTargets {
                target_group: arn, ..
            } => vec![arn.clone()],
            Step::AddTags { resources, .. } | Step::RemoveTags { resources, .. } => {
                resources.iter().cloned().collect()
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The load balancer that a step names.
    pub fn load_balancer(
        &self,
        operation: &Operation,
        reference: &LoadBalancerRef,
    ) -> Result<Arn, Error> {
        match reference {
            LoadBalancerRef::Arn(arn) => Ok(arn.clone()),
            LoadBalancerRef::New => self
                .known()
                .load_balancer
                .clone()
                .ok_or_else(|| missing(operation, "the load balancer")),
        }
    }

    /// The listener that a step names.
    pub fn listener(&self, operation: &Operation, reference: &ListenerRef) -> Result<Arn, Error> {
        match reference {
            ListenerRef::Arn { arn, .. } => Ok(arn.clone()),
            ListenerRef::New(port) => self
                .known()
                .listeners
                .get(port)
                .cloned()
                .ok_or_else(|| missing(operation, format_args!("the listener {port}"))),
        }
    }

    /// The target group that a step or an action names.
    pub fn target_group(
        &self,
        operation: &Operation,
        reference: &TargetGroupRef,
    ) -> Result<Arn, Error> {
        match reference {
            TargetGroupRef::Arn(arn) => Ok(arn.clone()),
            TargetGroupRef::Key(key) => self
                .known()
                .target_groups
                .get(key)
                .cloned()
                .ok_or_else(|| missing(operation, format_args!("the target group {key}"))),
        }
    }

    /// The id of the security group that a step names.
    pub fn security_group(
        &self,
        operation: &Operation,
        cx: &Context<'_>,
        reference: &SecurityGroupRef,
    ) -> Result<String, Error> {
        let known = self.known();
        let id = match reference {
            SecurityGroupRef::Id(id) => Some(id.clone()),
            SecurityGroupRef::Frontend => known.frontend.clone(),
            SecurityGroupRef::Backend => known.backend.clone().or_else(|| backend(cx)),
        };
        id.ok_or_else(|| missing(operation, format_args!("the {reference} security group")))
    }
}

fn backend(cx: &Context<'_>) -> Option<String> {
    let ready = cx.backend.borrow().group.clone();
    ready.or_else(|| Memory::backend_id(cx.memory))
}

fn missing(operation: &Operation, what: impl std::fmt::Display) -> Error {
    let message = format!("{what}, which the call names, has not been made");
    Error::here(operation, Class::LostRace, message)
}
