//! An AWS on paper: takes the steps of a plan and refuses what the real one
//! would refuse, so that an order that AWS does not take fails a test.

use std::collections::{BTreeMap, BTreeSet};

use alb_ingress_controller::model::spec::{
    Action, Arn, LiveListener, LoadBalancerState, Observed, Permission, Protocol, SecurityGroupRef,
    TargetGroupRef,
};
use alb_ingress_controller::plan::effect::{Made, effect};
use alb_ingress_controller::plan::step::{ListenerRef, LoadBalancerRef, Plan, Step};

/// What it holds for one group.
#[derive(Clone, Debug, Default)]
pub struct PaperAws {
    /// As the controller would read it.
    pub observed: Observed,
    /// Number of the next ARN.
    next: u32,
    /// Plan names to ARNs, of the plan that is being run.
    load_balancer: Option<Arn>,
    listeners: BTreeMap<u16, Arn>,
}

/// A refusal, as AWS's error code and what it is about.
pub type Refused = String;

impl PaperAws {
    /// Takes all steps in the order of the plan.
    pub fn run(&mut self, plan: &Plan) -> Result<(), Refused> {
        self.begin();
        plan.steps
            .iter()
            .try_for_each(|planned| self.take(&planned.step))
    }

    /// Forgets the logical names of the plan before.
    pub fn begin(&mut self) {
        self.load_balancer = None;
        self.listeners.clear();
    }

    /// Takes one step.
    pub fn take(&mut self, step: &Step) -> Result<(), Refused> {
        self.check(step).map_err(|code| format!("{code}: {step}"))?;
        self.next += 1;
        let number = self.next;
        let arn = match step {
            Step::CreateSecurityGroup { .. } => format!("sg-{number}"),
            Step::CreateTargetGroup(spec) => {
                format!("arn:aws:elb:r:1:targetgroup/{}/{number}", spec.name)
            }
            Step::CreateLoadBalancer(spec) => {
                format!("arn:aws:elb:r:1:loadbalancer/app/{}/{number}", spec.name)
            }
            step => format!("arn:aws:elb:r:1:{}/{number}", step.kind()),
        };
        let arn = Arn::from(arn);
        let parent = match step {
            Step::CreateRule { listener, .. } | Step::AddListenerCertificate { listener, .. } => {
                self.listener_arn(listener)
            }
            _ => None,
        };
        match step {
            Step::CreateLoadBalancer(_) => self.load_balancer = Some(arn.clone()),
            Step::CreateListener { listener, .. } => {
                self.listeners.insert(listener.port, arn.clone());
            }
            _ => {}
        }
        let dns_name = match step {
            Step::CreateLoadBalancer(spec) => Some(format!("{}.elb.amazonaws.com", spec.name)),
            _ => None,
        };
        let made = Made {
            arn: Some(arn),
            parent,
            dns_name,
            hosted_zone_id: Some("ZELB".to_owned()),
            state: Some(LoadBalancerState::Active),
        };
        effect(step, &made, &mut self.observed);
        Ok(())
    }

    fn check(&self, step: &Step) -> Result<(), &'static str> {
        match step {
            Step::CreateLoadBalancer(spec) => {
                let mut live = self.observed.load_balancers.iter();
                ok(
                    live.all(|l| l.spec.name != spec.name),
                    "DuplicateLoadBalancerName",
                )?;
                self.groups_exist(&spec.security_groups)
            }
            Step::SetSecurityGroups {
                security_groups,
                load_balancer,
            } => {
                self.load_balancer_exists(load_balancer)?;
                self.groups_exist(security_groups)
            }
            Step::SetSubnets { load_balancer, .. } => self.load_balancer_exists(load_balancer),
            Step::DeleteLoadBalancer { arn, .. } => self.load_balancer_exists(arn),
            Step::CreateListener {
                load_balancer,
                listener,
            } => {
                let arn = match load_balancer {
                    LoadBalancerRef::New => self.load_balancer.clone(),
                    LoadBalancerRef::Arn(arn) => Some(arn.clone()),
                };
                let arn = arn.ok_or("no load balancer yet")?;
                let mut live = self.observed.load_balancers.iter();
                let place = live.find(|l| l.arn == arn).ok_or("LoadBalancerNotFound")?;
                ok(
                    !place.listeners.contains_key(&listener.port),
                    "DuplicateListener",
                )?;
                self.may_forward(&listener.default_action, &arn)
            }
            Step::ModifyListener { arn, listener } => {
                let (place, _) = self.listener(arn).ok_or("ListenerNotFound")?;
                self.may_forward(&listener.default_action, &place)
            }
            Step::AddListenerCertificate { listener, .. }
            | Step::RemoveListenerCertificate { listener, .. } => {
                let arn = self.listener_arn(listener).ok_or("no listener yet")?;
                let (_, live) = self.listener(&arn).ok_or("ListenerNotFound")?;
                ok(
                    live.spec.protocol == Protocol::Https,
                    "certificate without HTTPS",
                )
            }
            Step::DeleteListener { arn, .. } => {
                self.listener(arn).map(|_| ()).ok_or("ListenerNotFound")
            }
            Step::CreateRule {
                listener,
                priority,
                rule,
            } => {
                let arn = self.listener_arn(listener).ok_or("no listener yet")?;
                let (place, live) = self.listener(&arn).ok_or("ListenerNotFound")?;
                ok(!live.rules.contains_key(priority), "PriorityInUse")?;
                self.may_forward(&rule.action, &place)
            }
            Step::ModifyRule { arn, rule, .. } => {
                let (place, _) = self.of_rule(arn).ok_or("RuleNotFound")?;
                self.may_forward(&rule.action, &place)
            }
            Step::DeleteRule { arn, .. } => self.of_rule(arn).map(|_| ()).ok_or("RuleNotFound"),
            Step::SetRulePriorities { priorities, .. } => self.may_move(priorities),
            Step::CreateTargetGroup(spec) => {
                let mut live = self.observed.target_groups.iter();
                ok(
                    live.all(|l| l.spec.name != spec.name),
                    "DuplicateTargetGroupName",
                )
            }
            Step::ModifyTargetGroup { arn, .. } => self
                .target_group(&TargetGroupRef::Arn(arn.clone()))
                .map(|_| ()),
            Step::DeregisterTargets { target_group, .. } => self
                .target_group(&TargetGroupRef::Arn(target_group.clone()))
                .map(|_| ()),
            Step::RegisterTargets { target_group, .. } => {
                self.target_group(target_group).map(|_| ())
            }
            Step::DeleteTargetGroup { arn, .. } => {
                self.target_group(&TargetGroupRef::Arn(arn.clone()))?;
                ok(self.users(arn).is_empty(), "ResourceInUse")
            }
            Step::CreateSecurityGroup { spec, .. } => {
                let mut live = self.observed.security_groups.iter();
                ok(
                    live.all(|l| l.spec.name != spec.name),
                    "InvalidGroup.Duplicate",
                )
            }
            Step::AuthorizeIngress { group, permissions } => {
                let live = self.permissions(group)?;
                let access = |p: &Permission| (p.protocol.clone(), p.ports, p.source.clone());
                let mut new = permissions.iter();
                ok(
                    new.all(|n| live.iter().all(|l| access(l) != access(n))),
                    "InvalidPermission.Duplicate",
                )
            }
            Step::RevokeIngress { group, permissions } => {
                let live = self.permissions(group)?;
                ok(permissions.is_subset(live), "InvalidPermission.NotFound")
            }
            Step::DeleteSecurityGroup { id, .. } => {
                let group = SecurityGroupRef::Id(id.clone());
                self.permissions(&group)?;
                let is_frontend = self.observed.security_groups[0].arn.as_str() == *id;
                let mut live = self.observed.load_balancers.iter();
                let used = live.any(|l| {
                    l.spec.security_groups.contains(&group)
                        || (is_frontend
                            && l.spec.security_groups.contains(&SecurityGroupRef::Frontend))
                });
                ok(!used, "DependencyViolation")
            }
            Step::TagSecurityGroup { id, .. } | Step::UntagSecurityGroup { id, .. } => self
                .permissions(&SecurityGroupRef::Id(id.clone()))
                .map(|_| ()),
            Step::AddTags { resources, .. } | Step::RemoveTags { resources, .. } => {
                let known = arns(&self.observed);
                ok(resources.is_subset(&known), "ResourceNotFound")
            }
        }
    }

    fn load_balancer_exists(&self, arn: &Arn) -> Result<(), &'static str> {
        let mut live = self.observed.load_balancers.iter();
        ok(live.any(|l| l.arn == *arn), "LoadBalancerNotFound")
    }

    fn groups_exist(&self, groups: &BTreeSet<SecurityGroupRef>) -> Result<(), &'static str> {
        let needs = groups.contains(&SecurityGroupRef::Frontend);
        ok(
            !needs || !self.observed.security_groups.is_empty(),
            "InvalidSecurityGroup",
        )
    }

    fn permissions(&self, group: &SecurityGroupRef) -> Result<&BTreeSet<Permission>, &'static str> {
        let mut live = self.observed.security_groups.iter();
        let found = match group {
            SecurityGroupRef::Frontend => live.next(),
            SecurityGroupRef::Id(id) => live.find(|l| l.arn.as_str() == *id),
            SecurityGroupRef::Backend => None,
        };
        found
            .map(|l| &l.spec.ingress)
            .ok_or("InvalidGroup.NotFound")
    }

    fn listener_arn(&self, listener: &ListenerRef) -> Option<Arn> {
        match listener {
            ListenerRef::Arn { arn, .. } => Some(arn.clone()),
            ListenerRef::New(port) => self.listeners.get(port).cloned(),
        }
    }

    /// A listener with the load balancer that it is on.
    fn listener(&self, arn: &Arn) -> Option<(Arn, &LiveListener)> {
        self.observed.load_balancers.iter().find_map(|lb| {
            let mut listeners = lb.listeners.values();
            let found = listeners.find(|l| l.arn == *arn)?;
            Some((lb.arn.clone(), found))
        })
    }

    fn of_rule(&self, arn: &Arn) -> Option<(Arn, &LiveListener)> {
        self.observed.load_balancers.iter().find_map(|lb| {
            let mut listeners = lb.listeners.values();
            let found = listeners.find(|l| l.rules.values().any(|r| r.arn == *arn))?;
            Some((lb.arn.clone(), found))
        })
    }

    fn target_group(&self, group: &TargetGroupRef) -> Result<Arn, &'static str> {
        let mut live = self.observed.target_groups.iter().rev();
        live.find(|l| match group {
            TargetGroupRef::Arn(arn) => l.arn == *arn,
            TargetGroupRef::Key(key) => l.spec.key == *key,
        })
        .map(|l| l.arn.clone())
        .ok_or("TargetGroupNotFound")
    }

    /// Load balancers that forward to a target group.
    fn users(&self, arn: &Arn) -> BTreeSet<Arn> {
        let forward = Action::Forward(TargetGroupRef::Arn(arn.clone()));
        let load_balancers = self.observed.load_balancers.iter();
        load_balancers
            .filter(|lb| {
                lb.listeners.values().any(|listener| {
                    listener.spec.default_action == forward
                        || listener.rules.values().any(|r| r.spec.action == forward)
                })
            })
            .map(|lb| lb.arn.clone())
            .collect()
    }

    fn may_forward(&self, action: &Action, place: &Arn) -> Result<(), &'static str> {
        let Action::Forward(group) = action else {
            return Ok(());
        };
        let arn = self.target_group(group)?;
        let mut users = self.users(&arn).into_iter();
        ok(
            users.all(|user| user == *place),
            "TargetGroupAssociationLimit",
        )
    }

    fn may_move(&self, priorities: &BTreeMap<Arn, u32>) -> Result<(), &'static str> {
        let first = priorities.keys().next().ok_or("ValidationError")?;
        let (_, listener) = self.of_rule(first).ok_or("RuleNotFound")?;
        let live: BTreeSet<&Arn> = listener.rules.values().map(|r| &r.arn).collect();
        let mut moved = priorities.keys();
        ok(moved.all(|arn| live.contains(arn)), "RuleNotFound")?;
        let after: BTreeSet<u32> = listener
            .rules
            .iter()
            .map(|(from, rule)| priorities.get(&rule.arn).copied().unwrap_or(*from))
            .collect();
        ok(after.len() == live.len(), "PriorityInUse")
    }
}

fn ok(holds: bool, code: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(code) }
}

/// All ARNs and ids in it.
pub fn arns(observed: &Observed) -> BTreeSet<Arn> {
    let mut arns = BTreeSet::new();
    arns.extend(observed.security_groups.iter().map(|l| l.arn.clone()));
    arns.extend(observed.target_groups.iter().map(|l| l.arn.clone()));
    for load_balancer in &observed.load_balancers {
        arns.insert(load_balancer.arn.clone());
        for listener in load_balancer.listeners.values() {
            arns.insert(listener.arn.clone());
            arns.extend(listener.rules.values().map(|rule| rule.arn.clone()));
        }
    }
    arns
}
