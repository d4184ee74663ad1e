//! Small stacks for tests, and an AWS that takes every step.

use std::collections::{BTreeMap, BTreeSet};

use super::effect::{Made, effect};
use super::step::{Plan, Step};
use super::{PlanContext, diff};
use crate::model::desired::{
    Desired, DesiredListener, DesiredRule, DesiredTargetGroup, Intent, Stack,
};
use crate::model::group::GroupId;
use crate::model::limits::Limits;
use crate::model::ownership::{rule_resource, tags, target_group_key};
use crate::model::spec::{
    Action, Arn, Condition, HealthCheck, Listener, LoadBalancer, LoadBalancerState, ObjectName,
    Observed, Permission, Protocol, Rule, Scheme, SecurityGroup, SecurityGroupRef, Source, Tags,
    Target, TargetGroup, TargetGroupKey, TargetGroupRef, TargetType,
};

/// The group of all fixtures.
pub(super) fn group() -> GroupId {
    GroupId::Explicit("shop".to_owned())
}

fn tagged(resource: &str) -> Tags {
    tags("prod", &group(), resource, &Tags::new(), &Tags::new())
}

/// A rule of an Ingress `shop/<ingress>`: host and path to a service.
pub(super) fn rule(ingress: &str, host: &str, path: &str, service: &str) -> DesiredRule {
    let owner = ObjectName::new("shop", ingress);
    let key = target_group_key(&owner, service, "80");
    DesiredRule {
        owner,
        rule: Rule {
            conditions: vec![
                Condition::HostHeader(vec![host.to_owned()]),
                Condition::PathPattern(vec![path.to_owned()]),
            ],
            action: Action::Forward(TargetGroupRef::Key(key)),
            tags: Tags::new(),
        },
    }
}

/// A rule of the Ingress `shop/web` for a whole host.
pub(super) fn host_rule(host: &str, service: &str) -> DesiredRule {
    rule("web", host, "/*", service)
}

/// A rule of an Ingress that answers by itself.
pub(super) fn fixed_rule(ingress: &str, host: &str, status: &str) -> DesiredRule {
    let mut fixed = rule(ingress, host, "/*", "x");
    fixed.rule.action = not_found(status);
    fixed
}

fn not_found(status: &str) -> Action {
    Action::FixedResponse {
        status_code: status.to_owned(),
        content_type: Some("text/plain".to_owned()),
        body: None,
    }
}

/// A target group with two pods.
pub(super) fn target_group(key: &TargetGroupKey, owner: &ObjectName) -> DesiredTargetGroup {
    DesiredTargetGroup {
        owner: owner.clone(),
        service: ObjectName::new(&owner.namespace, "svc"),
        target_group: TargetGroup {
            key: key.clone(),
            name: format!("k8s-{}", key.0.replace(['/', ':'], "-")),
            target_type: TargetType::Ip,
            protocol: Protocol::Http,
            protocol_version: "HTTP1".to_owned(),
            port: 8080,
            health_check: HealthCheck {
                protocol: Protocol::Http,
                port: "traffic-port".to_owned(),
                path: "/".to_owned(),
                interval_seconds: 15,
                timeout_seconds: 5,
                healthy_threshold: 2,
                unhealthy_threshold: 2,
                success_codes: "200".to_owned(),
            },
            tags: tagged(&key.0),
        },
        targets: (1..=2).map(pod).collect(),
        backend_ports: BTreeSet::from([8080]),
    }
}

/// A pod as a target.
pub(super) fn pod(n: u8) -> Target {
    Target {
        id: format!("10.0.48.{n}"),
        port: 8080,
        outside_vpc: false,
    }
}

/// A stack with these listeners; 443 is HTTPS with the certificate `arn:cert`.
pub(super) fn stack(listeners: &[(u16, Vec<DesiredRule>)]) -> Stack {
    let mut stack = Stack {
        load_balancer: LoadBalancer {
            name: "k8s-shop-internal".to_owned(),
            scheme: Scheme::Internal,
            subnets: ["subnet-a", "subnet-b"].map(str::to_owned).into(),
            security_groups: [SecurityGroupRef::Frontend, SecurityGroupRef::Backend].into(),
            tags: tagged("LoadBalancer"),
        },
        subnets_discovered: false,
        frontend: Some(SecurityGroup {
            name: "k8s-shop-frontend".to_owned(),
            description: "frontend".to_owned(),
            tags: tagged("ManagedLBSecurityGroup"),
            ingress: listeners.iter().map(|(port, _)| open(*port)).collect(),
        }),
        listeners: BTreeMap::new(),
        target_groups: BTreeMap::new(),
        origins: Vec::new(),
    };
    for (port, rules) in listeners {
        let https = *port == 443;
        let mut listener = DesiredListener {
            listener: Listener {
                port: *port,
                protocol: if https {
                    Protocol::Https
                } else {
                    Protocol::Http
                },
                default_certificate: https.then(|| Arn::from("arn:cert")),
                sni_certificates: https.then(|| Arn::from("arn:cert")).into_iter().collect(),
                ssl_policy: https.then(|| "ELBSecurityPolicy-2016-08".to_owned()),
                default_action: not_found("404"),
                tags: tagged(&port.to_string()),
            },
            rules: rules.clone(),
        };
        for (priority, rule) in (1..).zip(&mut listener.rules) {
            rule.rule.tags = tagged(&rule_resource(*port, priority));
            if let Action::Forward(TargetGroupRef::Key(key)) = &rule.rule.action {
                stack
                    .target_groups
                    .entry(key.clone())
                    .or_insert_with(|| target_group(key, &rule.owner));
            }
        }
        stack.listeners.insert(*port, listener);
    }
    stack
}

/// Access from everywhere at a port.
pub(super) fn open(port: u16) -> Permission {
    Permission {
        protocol: "tcp".to_owned(),
        ports: Some((port, port)),
        source: Source::Cidr("0.0.0.0/0".to_owned()),
        description: String::new(),
    }
}

/// A desired state with the owners of all rules as members.
pub(super) fn desired(stack: Stack) -> Desired {
    let owners: BTreeSet<ObjectName> = stack
        .listeners
        .values()
        .flat_map(|listener| &listener.rules)
        .map(|rule| rule.owner.clone())
        .collect();
    Desired {
        group: group(),
        members: owners.into_iter().collect(),
        leavers: Vec::new(),
        frozen: BTreeSet::new(),
        held: BTreeSet::new(),
        parting: BTreeMap::new(),
        findings: Vec::new(),
        blocks_creation: Vec::new(),
        intent: Intent::Serve(Box::new(stack)),
    }
}

/// The context in which nothing is waited for.
pub(super) fn cx() -> PlanContext {
    PlanContext {
        backend: Some("sg-backend".to_owned()),
        open_ports: BTreeSet::from([8080]),
        limits: Limits::default(),
        records_go_first: false,
    }
}

/// Takes all steps, as an AWS would that never fails.
pub(super) fn run(plan: &Plan, observed: &mut Observed) {
    for planned in &plan.steps {
        take(&planned.step, observed);
    }
}

/// Takes one step.
pub(super) fn take(step: &Step, observed: &mut Observed) {
    let number = observed.load_balancers.len()
        + observed.target_groups.len()
        + observed
            .load_balancers
            .iter()
            .flat_map(|lb| lb.listeners.values())
            .map(|listener| 1 + listener.rules.len())
            .sum::<usize>();
    let arn = match step {
        Step::CreateSecurityGroup { .. } => "sg-frontend".to_owned(),
        Step::CreateTargetGroup(spec) => {
            format!("arn:aws:elb:targetgroup/{}/{number}", spec.name)
        }
        Step::CreateLoadBalancer(spec) => format!("arn:aws:elb:loadbalancer/app/{}/1", spec.name),
        step => format!("arn:{}:{number}:{step}", step.kind()),
    };
    let made = Made {
        arn: Some(Arn::from(arn)),
        state: Some(LoadBalancerState::Active),
        ..Made::default()
    };
    effect(step, &made, observed);
}

/// What AWS holds once all that is desired is made.
pub(super) fn made(desired: &Desired) -> Observed {
    let mut observed = Observed::default();
    settle(desired, &mut observed);
    observed
}

/// Plans, takes all steps, and checks that there is nothing left to plan;
/// returns the plan's text.
pub(super) fn settle(desired: &Desired, observed: &mut Observed) -> String {
    let plan = diff(desired, observed, &cx());
    run(&plan, observed);
    let again = diff(desired, observed, &cx());
    assert!(again.is_empty(), "not settled after\n{plan}\nbut\n{again}");
    plan.to_string()
}
