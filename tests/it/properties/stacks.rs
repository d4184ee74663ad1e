//! Any stack of three Ingresses, and any drift away from it.

use std::collections::{BTreeMap, BTreeSet};

use alb_ingress_controller::model::desired::{
    Desired, DesiredListener, DesiredRule, DesiredTargetGroup, Intent, Leaver, Stack,
};
use alb_ingress_controller::model::group::GroupId;
use alb_ingress_controller::model::ownership::{rule_resource, tags, target_group_key};
use alb_ingress_controller::model::spec::{
    Action, Arn, Condition, HealthCheck, Listener, LoadBalancer, ObjectName, Observed, Permission,
    Protocol, Rule, Scheme, SecurityGroup, SecurityGroupRef, Source, Tags, Target, TargetGroup,
    TargetGroupRef, TargetType,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Names that begin alike on purpose.
const INGRESSES: [&str; 3] = ["web", "web-api", "api"];
const PORTS: [u16; 3] = [80, 443, 8080];
/// Hosts of rules; the last stands for no host condition.
const HOSTS: [&str; 4] = ["a.example", "b.example", "*.example", ""];
const PATHS: [&str; 5] = ["/", "/x", "/x/*", "/*", "/y"];

/// Requests that are looked at for a rule.
pub const REQUESTS: [(&str, &str); 8] = [
    ("a.example", "/"),
    ("a.example", "/x"),
    ("a.example", "/x/1"),
    ("a.example", "/y"),
    ("b.example", "/"),
    ("b.example", "/x/1"),
    ("c.example", "/y"),
    ("elsewhere", "/x"),
];

type RuleSeed = (usize, usize, u8, u8);

#[derive(Clone, Debug)]
struct ListenerSeed {
    present: bool,
    rules: Vec<RuleSeed>,
    default: u8,
    certificates: u8,
    https: bool,
}

/// What concerns the load balancer as a whole.
#[derive(Clone, Copy, Debug)]
struct WholeSeed {
    facing: bool,
    managed: bool,
    tagged: bool,
    subnet: bool,
}

fn listener_seed() -> impl Strategy<Value = ListenerSeed> {
    let rule = (0..3usize, 0..4usize, 1..32u8, 0..5u8);
    (
        prop::bool::weighted(0.7),
        vec(rule, 0..6),
        0..5u8,
        0..8u8,
        any::<bool>(),
    )
        .prop_map(
            |(present, rules, default, certificates, https)| ListenerSeed {
                present,
                rules,
                default,
                certificates,
                https,
            },
        )
}

/// Any stack.
pub fn stack() -> impl Strategy<Value = Stack> {
    (
        vec(listener_seed(), 3),
        vec((any::<bool>(), any::<bool>(), 0..8u8), 9),
        (
            prop::bool::weighted(0.15),
            prop::bool::weighted(0.8),
            any::<bool>(),
            any::<bool>(),
        ),
    )
        .prop_map(|(listeners, services, (facing, managed, tagged, subnet))| {
            let whole = WholeSeed {
                facing,
                managed,
                tagged,
                subnet,
            };
            build(&listeners, &services, whole)
        })
}

fn group() -> GroupId {
    GroupId::Explicit("shop".to_owned())
}

fn build(
    listeners: &[ListenerSeed],
    services: &[(bool, bool, u8)],
    WholeSeed {
        facing,
        managed,
        tagged,
        subnet,
    }: WholeSeed,
) -> Stack {
    let mut extra = Tags::new();
    if tagged {
        extra.insert("team", "a");
    }
    let tags = |resource: &str| tags("prod", &group(), resource, &Tags::new(), &extra);
    let scheme = if facing {
        Scheme::InternetFacing
    } else {
        Scheme::Internal
    };
    let security_groups = if managed {
        [SecurityGroupRef::Frontend, SecurityGroupRef::Backend].into()
    } else {
        [SecurityGroupRef::Id("sg-given".to_owned())].into()
    };
    let mut stack = Stack {
        load_balancer: LoadBalancer {
            name: format!("k8s-shop-{scheme}"),
            scheme,
            subnets: ["subnet-a", if subnet { "subnet-b" } else { "subnet-c" }]
                .map(str::to_owned)
                .into(),
            security_groups,
            tags: tags("LoadBalancer"),
        },
        subnets_discovered: false,
        frontend: None,
        listeners: BTreeMap::new(),
        target_groups: BTreeMap::new(),
        origins: Vec::new(),
    };
    for (port, seed) in PORTS.iter().zip(listeners) {
        if !seed.present {
            continue;
        }
        let mut action = |ingress: usize, kind: u8| {
            let Some(service) = (kind < 3).then_some(usize::from(kind)) else {
                return fixed(if kind == 3 { "404" } else { "503" });
            };
            let owner = ObjectName::new("shop", INGRESSES[ingress]);
            let key = target_group_key(&owner, &format!("s{service}"), "80");
            let wished = target_group(&key, owner, services[ingress * 3 + service], &tags(&key.0));
            stack.target_groups.insert(key.clone(), wished);
            Action::Forward(TargetGroupRef::Key(key))
        };
        let rules = (1u32..)
            .zip(&seed.rules)
            .map(|(priority, (ingress, host, paths, kind))| DesiredRule {
                owner: ObjectName::new("shop", INGRESSES[*ingress]),
                rule: Rule {
                    conditions: conditions(*host, *paths),
                    action: action(*ingress, *kind),
                    tags: tags(&rule_resource(*port, priority)),
                },
            })
            .collect();
        let https = *port == 443 || seed.https;
        let extra: BTreeSet<Arn> = (0..3)
            .filter(|n| https && seed.certificates & (1 << n) != 0)
            .map(|n| Arn(format!("arn:cert/{n}")))
            .collect();
        let default = extra
            .first()
            .cloned()
            .or_else(|| https.then(|| Arn::from("arn:cert/9")));
        let listener = Listener {
            port: *port,
            protocol: if https {
                Protocol::Https
            } else {
                Protocol::Http
            },
            default_certificate: default,
            sni_certificates: extra,
            ssl_policy: https.then(|| "policy".to_owned()),
            default_action: action(0, seed.default),
            tags: tags(&port.to_string()),
        };
        stack
            .listeners
            .insert(*port, DesiredListener { listener, rules });
    }
    if managed {
        stack.frontend = Some(SecurityGroup {
            name: "k8s-shop-frontend".to_owned(),
            description: "frontend".to_owned(),
            tags: tags("ManagedLBSecurityGroup"),
            ingress: stack.listeners.keys().map(|port| open(*port)).collect(),
        });
    }
    stack
}

fn fixed(status: &str) -> Action {
    Action::FixedResponse {
        status_code: status.to_owned(),
        content_type: Some("text/plain".to_owned()),
        body: None,
    }
}

fn open(port: u16) -> Permission {
    Permission {
        protocol: "tcp".to_owned(),
        ports: Some((port, port)),
        source: Source::Cidr("0.0.0.0/0".to_owned()),
        description: String::new(),
    }
}

fn conditions(host: usize, paths: u8) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if !HOSTS[host].is_empty() {
        conditions.push(Condition::HostHeader(vec![HOSTS[host].to_owned()]));
    }
    let paths = (0..5).filter(|n| paths & (1 << n) != 0);
    conditions.push(Condition::PathPattern(
        paths.map(|n| PATHS[n].to_owned()).collect(),
    ));
    conditions
}

fn target_group(
    key: &alb_ingress_controller::model::spec::TargetGroupKey,
    owner: ObjectName,
    (ip, other_path, pods): (bool, bool, u8),
    tags: &Tags,
) -> DesiredTargetGroup {
    let target_type = if ip {
        TargetType::Ip
    } else {
        TargetType::Instance
    };
    DesiredTargetGroup {
        service: ObjectName::new(&owner.namespace, "svc"),
        owner,
        target_group: TargetGroup {
            key: key.clone(),
            // As the real name, it tells apart what cannot be modified.
            name: format!("k8s-{}-{target_type}", key.0.replace(['/', ':'], "-")),
            target_type,
            protocol: Protocol::Http,
            protocol_version: "HTTP1".to_owned(),
            port: 8080,
            health_check: HealthCheck {
                protocol: Protocol::Http,
                port: "traffic-port".to_owned(),
                path: if other_path { "/healthz" } else { "/" }.to_owned(),
                interval_seconds: 15,
                timeout_seconds: 5,
                healthy_threshold: 2,
                unhealthy_threshold: 2,
                success_codes: "200".to_owned(),
            },
            tags: tags.clone(),
        },
        targets: (0..3)
            .filter(|n| pods & (1 << n) != 0)
            .map(|n| Target {
                id: format!("10.0.48.{n}"),
                port: 8080,
                outside_vpc: false,
            })
            .collect(),
        backend_ports: BTreeSet::from([8080]),
    }
}

/// The desired state of all three Ingresses.
pub fn desired(stack: Stack) -> Desired {
    Desired {
        group: group(),
        members: INGRESSES
            .iter()
            .map(|name| ObjectName::new("shop", *name))
            .collect(),
        leavers: Vec::new(),
        frozen: BTreeSet::new(),
        held: BTreeSet::new(),
        parting: BTreeMap::new(),
        findings: Vec::new(),
        blocks_creation: Vec::new(),
        intent: Intent::Serve(Box::new(stack)),
    }
}

/// The same with some Ingresses frozen: as `model` does, what they wish is
/// not in it.
pub fn freeze(mut stack: Stack, which: u8) -> Desired {
    let frozen: BTreeSet<ObjectName> = (0..3)
        .filter(|n| which & (1 << n) != 0)
        .map(|n| ObjectName::new("shop", INGRESSES[n]))
        .collect();
    stack
        .target_groups
        .retain(|_, group| !frozen.contains(&group.owner));
    for listener in stack.listeners.values_mut() {
        listener.rules.retain(|rule| !frozen.contains(&rule.owner));
        if let Action::Forward(TargetGroupRef::Key(key)) = &listener.listener.default_action
            && !stack.target_groups.contains_key(key)
        {
            listener.listener.default_action = fixed("404");
        }
        let port = listener.listener.port;
        for (priority, rule) in (1..).zip(&mut listener.rules) {
            let tag = rule_resource(port, priority);
            rule.rule.tags.insert("ingress.k8s.aws/resource", &tag);
        }
    }
    let mut desired = desired(stack);
    desired.frozen = frozen;
    desired
}

/// The same with these Ingresses on their way out, and held until their
/// records are gone.
pub fn hold(stack: Stack, which: u8) -> Desired {
    let mut desired = freeze(stack, which);
    desired.held = std::mem::take(&mut desired.frozen);
    let leaving = desired.held.iter();
    desired.leavers = leaving
        .map(|ingress| Leaver {
            ingress: ingress.clone(),
            deleted: true,
        })
        .collect();
    desired.members.retain(|name| !desired.held.contains(name));
    if desired.members.is_empty() {
        desired.intent = Intent::Remove;
    }
    desired
}

/// What a person may do in the console meanwhile.
pub fn drift(observed: &mut Observed, deeds: &[(u8, usize)]) {
    for (deed, which) in deeds {
        let mut listeners: Vec<_> = observed
            .load_balancers
            .iter_mut()
            .flat_map(|lb| lb.listeners.values_mut())
            .collect();
        let count = listeners.len().max(1);
        match deed {
            0 => {
                if let Some(listener) = listeners.get_mut(which % count) {
                    // The rules in reverse, far behind.
                    let rules = std::mem::take(&mut listener.rules);
                    listener.rules = (100..).zip(rules.into_values().rev()).collect();
                }
            }
            1 => {
                if let Some(listener) = listeners.get_mut(which % count) {
                    listener.rules.pop_first();
                }
            }
            2 => {
                if let Some(listener) = listeners.get_mut(which % count)
                    && let Some(mut rule) = listener.rules.values().next().cloned()
                {
                    rule.arn = Arn(format!("{}-foreign", rule.arn));
                    rule.spec.conditions = vec![Condition::Other("source-ip".to_owned())];
                    rule.spec.action = Action::Other("weighted".to_owned());
                    listener.rules.insert(7, rule);
                }
            }
            3 => {
                for group in &mut observed.target_groups {
                    group.targets.pop_first();
                    group.spec.health_check.interval_seconds = 30;
                }
            }
            4 => {
                for group in &mut observed.security_groups {
                    group.spec.ingress.insert(open(22));
                    group.spec.tags = Tags::new();
                }
            }
            5 => {
                for lb in &mut observed.load_balancers {
                    lb.listeners.pop_last();
                    lb.spec.tags.insert("by", "hand");
                }
            }
            _ => {
                observed.load_balancers.clear();
            }
        }
    }
}
