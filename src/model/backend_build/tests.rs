#![allow(clippy::unwrap_used)] // a test may fail loudly

use super::*;
use crate::model::facts::KnownSecurityGroup;
use crate::model::fixtures::{desired, facts, member, settings, snapshot};
use crate::model::spec::{
    Arn, HealthCheck, LiveLoadBalancer, LiveTargetGroup, LoadBalancer, LoadBalancerState, Protocol,
    Scheme, Tags, TargetGroup, TargetGroupKey,
};

fn known() -> Facts {
    let mut facts = facts();
    facts
        .pod_security_groups
        .insert("10.0.48.11".into(), ["sg-nodes".to_owned()].into());
    facts
}

fn live() -> Observed {
    Observed {
        load_balancers: vec![LiveLoadBalancer {
            arn: Arn::from("lb"),
            spec: LoadBalancer {
                name: "lb".into(),
                scheme: Scheme::Internal,
                subnets: BTreeSet::new(),
                security_groups: [SecurityGroupRef::Backend].into(),
                tags: Tags::new(),
            },
            dns_name: "lb.example".into(),
            hosted_zone_id: "Z".into(),
            state: LoadBalancerState::Active,
            listeners: BTreeMap::new(),
        }],
        target_groups: vec![LiveTargetGroup {
            arn: Arn::from("tg"),
            spec: TargetGroup {
                key: TargetGroupKey("shop/old-old:80".into()),
                name: "tg".into(),
                target_type: TargetType::Ip,
                protocol: Protocol::Http,
                protocol_version: "HTTP1".into(),
                port: 1,
                health_check: HealthCheck {
                    protocol: Protocol::Http,
                    port: "9000".into(),
                    path: "/".into(),
                    interval_seconds: 15,
                    timeout_seconds: 5,
                    healthy_threshold: 2,
                    unhealthy_threshold: 2,
                    success_codes: "200".into(),
                },
                tags: Tags::new(),
            },
            targets: [Target {
                id: "10.0.48.11".into(),
                port: 7000,
                outside_vpc: false,
            }]
            .into(),
        }],
        security_groups: Vec::new(),
    }
}

fn ports(needed: &GroupPorts) -> Vec<u16> {
    needed.ports.values().flatten().copied().collect()
}

#[test]
fn what_is_desired_is_needed() {
    let desired = desired(&[member("web", "")]);
    let needed = group_ports(&desired, None, &known(), &settings());
    assert!(needed.needs_group && !needed.incomplete);
    assert_eq!(ports(&needed), [8080]);
    let given = self::desired(&[member("web", "security-groups: sg-1")]);
    assert_eq!(
        group_ports(&given, Some(&Observed::default()), &known(), &settings()),
        GroupPorts::default()
    );
}

#[test]
fn a_pod_whose_security_group_is_not_known_makes_it_incomplete() {
    let desired = desired(&[member("web", "")]);
    let needed = group_ports(&desired, None, &facts(), &settings());
    assert!(needed.incomplete && needed.ports.is_empty());
}

#[test]
fn of_several_security_groups_the_clusters_own_counts() {
    let desired = desired(&[member("web", "")]);
    let mut facts = facts();
    facts
        .pod_security_groups
        .insert("10.0.48.11".into(), ["sg-1".into(), "sg-9".into()].into());
    assert!(group_ports(&desired, None, &facts, &settings()).incomplete);
    let own = KnownSecurityGroup {
        name: "nodes".into(),
        tags: Tags::from([("kubernetes.io/cluster/harbor", "owned")]),
    };
    facts.security_groups.insert("sg-9".into(), own);
    let needed = group_ports(&desired, None, &facts, &settings());
    assert_eq!(needed.ports.keys().collect::<Vec<_>>(), ["sg-9"]);
}

#[test]
fn frozen_groups_need_what_is_live() {
    let held = desired(&[member("web", "scheme: x")]);
    let needed = group_ports(&held, Some(&live()), &known(), &settings());
    assert!(needed.needs_group && !needed.incomplete);
    assert_eq!(ports(&needed), [7000, 9000]);
    assert!(group_ports(&held, None, &known(), &settings()).incomplete);
    let partly = desired(&[member("web", ""), member("bad", "scheme: x")]);
    let needed = group_ports(&partly, Some(&live()), &known(), &settings());
    assert_eq!(ports(&needed), [7000, 8080, 9000]);
}

#[test]
fn whatever_is_looked_up_is_asked_for_before() {
    let mut known = known();
    let pod = |n: u8| format!("10.0.48.{n}");
    for n in 1..4 {
        let nodes = ["sg-nodes".to_owned()].into();
        known.pod_security_groups.insert(pod(n), nodes);
    }
    let mut observed = live();
    observed.target_groups[0].targets = [1, 2]
        .map(|n| Target {
            id: pod(n),
            port: 7000,
            outside_vpc: n == 2,
        })
        .into();
    let partly = desired(&[member("web", ""), member("bad", "scheme: x")]);
    let asked = endpoints(&partly, Some(&observed));
    let addresses: Vec<&str> = asked.addresses.iter().map(String::as_str).collect();
    assert_eq!(addresses, ["10.0.48.1", "10.0.48.11"]);
    let is_asked = |address: &String| asked.addresses.contains(address);
    known
        .pod_security_groups
        .retain(|address, _| is_asked(address));
    let needed = group_ports(&partly, Some(&observed), &known, &settings());
    assert!(!needed.incomplete);
    assert_eq!(ports(&needed), [7000, 8080, 9000]);
}

#[test]
fn what_requests_go_to_is_let_in_until_it_is_as_wished() {
    let desired = desired(&[member("web", "")]);
    let ports_of = |live: &Observed| {
        let needed = group_ports(&desired, Some(live), &known(), &settings());
        assert!(needed.needs_group && !needed.incomplete);
        ports(&needed)
    };
    // Another target group: rules lead to it until they are changed.
    assert_eq!(ports_of(&live()), [7000, 8080, 9000]);
    let wished = desired.target_groups().next().unwrap();
    let mut live = live();
    live.target_groups[0].spec = wished.target_group.clone();
    // The same one, with a target that is to go.
    assert_eq!(ports_of(&live), [7000, 8080]);
    live.target_groups[0].targets.clone_from(&wished.targets);
    assert_eq!(ports_of(&live), [8080]);
    // Its health is asked at another port.
    live.target_groups[0].spec.health_check.port = "9000".to_owned();
    assert_eq!(ports_of(&live), [8080, 9000]);
    // Without the shared group nothing comes from it.
    live.load_balancers[0].spec.security_groups.clear();
    assert_eq!(ports_of(&live), [8080]);
}

#[test]
fn what_a_load_balancer_has_is_needed_until_it_is_gone_or_has_given_it_up() {
    let mut removed = desired(&[member("web", "")]);
    removed.intent = Intent::Remove;
    let given = desired(&[member("web", "security-groups: sg-1")]);
    for desired in [removed, given] {
        let needed = group_ports(&desired, Some(&live()), &known(), &settings());
        assert!(needed.needs_group);
        assert_eq!(ports(&needed), [7000, 9000]);
        let mut after = live();
        after.load_balancers[0].spec.security_groups.clear();
        let needed = group_ports(&desired, Some(&after), &known(), &settings());
        assert_eq!(needed, GroupPorts::default());
    }
}

#[test]
fn the_union_is_one_rule_from_the_lowest_to_the_highest_port() {
    let needed = |id: &str, ports: &[u16]| GroupPorts {
        ports: [(id.to_owned(), ports.iter().copied().collect())].into(),
        needs_group: true,
        incomplete: false,
    };
    let groups = [needed("sg-a", &[8080]), needed("sg-a", &[3000, 9000])];
    let backend = build_backend(&groups, &snapshot(&[]), &settings());
    assert!(!backend.add_only);
    let rules: Vec<_> = backend.rules["sg-a"].iter().collect();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].to_string(), "tcp 3000-9000 from backend");
    assert_eq!(
        rules[0].description,
        "elbv2.k8s.aws/targetGroupBinding=shared"
    );
    let group = backend.group.unwrap();
    assert_eq!(group.name, "k8s-traffic-harbor-c1d64b2d4c");
    assert_eq!(group.tags.get("elbv2.k8s.aws/resource"), Some("backend-sg"));
    assert!(group.ingress.is_empty());
}

#[test]
fn rules_are_only_added_while_something_is_unknown() {
    let unknown = GroupPorts {
        incomplete: true,
        ..GroupPorts::default()
    };
    let backend = build_backend(&[unknown], &snapshot(&[]), &settings());
    assert!(backend.add_only);
    assert_eq!(backend.group, None);
    let binding = "---\nkind: TargetGroupBinding\nmetadata: {name: t, namespace: shop}\n";
    let snapshot = snapshot(&[binding.to_owned()]);
    assert!(build_backend(&[], &snapshot, &settings()).add_only);
    assert!(!build_backend(&[], &self::snapshot(&[]), &settings()).add_only);
}
