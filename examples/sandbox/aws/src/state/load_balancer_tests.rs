//! Tests of load balancers, across the files that hold them.

#![allow(clippy::unwrap_used)]
use jiff::{SignedDuration, Timestamp};

use super::{
    Answer, State, load_balancer::NewLoadBalancer, load_balancer_change::NewSubnets,
    placement::SubnetMapping,
};
use crate::{Timing, World, WorldIds};

pub(super) const START: Timestamp = Timestamp::UNIX_EPOCH;

pub(super) fn world() -> (State, WorldIds) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let ids = World::default().build(&mut state, START).unwrap();
    (state, ids)
}

pub(super) fn application(ids: &WorldIds) -> NewLoadBalancer {
    NewLoadBalancer {
        name: "web".to_owned(),
        subnets: ids.public_subnets.clone(),
        ..NewLoadBalancer::default()
    }
}

pub(super) fn network(ids: &WorldIds) -> NewLoadBalancer {
    NewLoadBalancer {
        name: "front".to_owned(),
        kind: Some("network".to_owned()),
        subnets: ids.public_subnets[..1].to_vec(),
        ..NewLoadBalancer::default()
    }
}

pub(super) fn later(state: &mut State) {
    state.advance(START.checked_add(SignedDuration::from_secs(10)).unwrap());
}

pub(super) fn code<T>(answer: Answer<T>) -> String {
    answer.err().unwrap().code.into_owned()
}

pub(super) fn subnets(ids: &[String]) -> NewSubnets {
    NewSubnets {
        subnets: ids.to_vec(),
        ..NewSubnets::default()
    }
}

pub(super) fn with_ipv6(state: &mut State, ids: &WorldIds) {
    let range = state.provide_ipv6(&ids.vpc).unwrap();
    for (number, subnet) in ids.public_subnets.iter().enumerate() {
        let base = u128::from(range.range.network()) + ((number as u128) << 64);
        let cidr = format!("{}/64", std::net::Ipv6Addr::from(base));
        state.associate_subnet_ipv6(subnet, &cidr).unwrap();
    }
}

#[test]
fn the_same_call_again_answers_the_load_balancer_that_exists() {
    let (mut state, ids) = world();
    let arn = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    // The settings count, not how much room is left meanwhile.
    let subnet = state.subnets.get_mut(&ids.public_subnets[0]).unwrap();
    while subnet.free_addresses() > 7 {
        subnet.take("eni-other").unwrap();
    }
    let again = state.create_load_balancer(application(&ids), START);
    assert_eq!(again.unwrap(), arn);
    let mut reversed = application(&ids);
    reversed.subnets.reverse();
    assert_eq!(state.create_load_balancer(reversed, START).unwrap(), arn);
    assert_eq!(state.load_balancers.len(), 1);
    let two = NewLoadBalancer {
        subnets: ids.public_subnets[1..].to_vec(),
        ..application(&ids)
    };
    let others = [
        two.clone(),
        NewLoadBalancer {
            scheme: Some("internal".to_owned()),
            ..two.clone()
        },
        NewLoadBalancer {
            kind: Some("network".to_owned()),
            ..two.clone()
        },
        NewLoadBalancer {
            tags: vec![("a".to_owned(), "b".to_owned())],
            ..two
        },
    ];
    for other in others {
        let refused = state.create_load_balancer(other, START);
        assert_eq!(code(refused), "DuplicateLoadBalancerName");
    }
}

#[test]
fn what_a_new_load_balancer_cannot_have() {
    let (mut state, ids) = world();
    let other_vpc = state.create_vpc("10.9.0.0/16", &[]).unwrap();
    let far = state
        .create_subnet(&other_vpc, "10.9.0.0/24", Some("us-east-1b"), &[])
        .unwrap();
    let far_group = state.vpcs[&other_vpc].default_security_group.clone();
    let text = |text: &str| Some(text.to_owned());
    let base = application(&ids);
    let mapping = |n: usize| SubnetMapping {
        subnet_id: ids.public_subnets[n].clone(),
        ..SubnetMapping::default()
    };
    let cases = [
        (
            "ValidationError",
            NewLoadBalancer {
                name: "a".repeat(33),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                name: "-web".to_owned(),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                name: "web-".to_owned(),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                name: "web_1".to_owned(),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                name: "internal-web".to_owned(),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                kind: text("classic"),
                ..base.clone()
            },
        ),
        (
            "OperationNotPermitted",
            NewLoadBalancer {
                kind: text("gateway"),
                ..base.clone()
            },
        ),
        (
            "InvalidScheme",
            NewLoadBalancer {
                scheme: text("public"),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                ip_address_type: text("ipv6"),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                ip_address_type: text("dualstack"),
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                ip_address_type: text("dualstack-without-public-ipv4"),
                scheme: text("internal"),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                subnets: Vec::new(),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                mappings: vec![mapping(0)],
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                subnets: ids.public_subnets[..1].to_vec(),
                ..base.clone()
            },
        ),
        (
            "SubnetNotFound",
            NewLoadBalancer {
                subnets: vec!["subnet-1".to_owned()],
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                subnets: vec![
                    ids.public_subnets[0].clone(),
                    ids.private_subnets[0].clone(),
                ],
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                subnets: vec![ids.public_subnets[0].clone(), ids.public_subnets[0].clone()],
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                subnets: vec![ids.public_subnets[0].clone(), far],
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                subnets: Vec::new(),
                mappings: vec![
                    mapping(0),
                    SubnetMapping {
                        allocation_id: text("eipalloc-1"),
                        ..mapping(1)
                    },
                ],
                ..base.clone()
            },
        ),
        (
            "InvalidSecurityGroup",
            NewLoadBalancer {
                security_groups: vec!["sg-0123456789abcdef0".to_owned()],
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                security_groups: vec!["default".to_owned()],
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                security_groups: vec![far_group],
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                source_nat: text("on"),
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                ipam_pool: text("ipam-pool-1"),
                ..base.clone()
            },
        ),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                customer_owned_pool: text("ipv4pool-coip-1"),
                ..base.clone()
            },
        ),
        (
            "ValidationError",
            NewLoadBalancer {
                tags: vec![("aws:x".to_owned(), String::new())],
                ..base.clone()
            },
        ),
    ];
    for (number, (wanted, new)) in cases.into_iter().enumerate() {
        let refused = state.create_load_balancer(new, START);
        assert_eq!(code(refused), wanted, "case {number}");
    }
    assert!(state.load_balancers.is_empty());
    state.quotas.set("application-load-balancers", 0);
    let many = state.create_load_balancer(base, START);
    assert_eq!(code(many), "TooManyLoadBalancers");
    state.create_load_balancer(network(&ids), START).unwrap();
}

#[test]
fn network_load_balancers_have_names_and_zones_of_their_own() {
    let (mut state, ids) = world();
    let arn = state.create_load_balancer(network(&ids), START).unwrap();
    let balancer = &state.load_balancers[&arn];
    let id = arn.rsplit('/').next().unwrap();
    assert!(arn.contains(":loadbalancer/net/front/"));
    assert_eq!(
        balancer.dns_name,
        format!("front-{id}.elb.us-east-1.amazonaws.com")
    );
    assert_eq!(balancer.canonical_hosted_zone_id, "Z26RNL4JYFTOTI");
    assert_eq!(
        balancer.attributes["load_balancing.cross_zone.enabled"],
        "false"
    );
    assert!(
        !balancer
            .attributes
            .contains_key("idle_timeout.timeout_seconds")
    );
    let mut interfaces = state.interfaces_of_balancer(&arn);
    assert_eq!(interfaces.len(), 1);
    let interface = &state.network_interfaces[&interfaces.remove(0)];
    assert_eq!(interface.description, format!("ELB net/front/{id}"));
    assert!(interface.public_ip.is_some());
}

#[test]
fn private_addresses_of_network_load_balancers() {
    let (mut state, ids) = world();
    let asking = |address: &str| NewLoadBalancer {
        scheme: Some("internal".to_owned()),
        subnets: Vec::new(),
        mappings: vec![SubnetMapping {
            subnet_id: ids.public_subnets[0].clone(),
            private_ipv4: Some(address.to_owned()),
            ..SubnetMapping::default()
        }],
        ..network(&ids)
    };
    let held = state.network_interfaces.values().next().unwrap();
    let (held_subnet, held_address) = (held.subnet_id.clone(), held.private_ips[0].to_string());
    let mut taken = asking(&held_address);
    taken.mappings[0].subnet_id = held_subnet;
    for (wanted, new) in [
        ("ValidationError", asking("10.0.0")),
        ("InvalidConfigurationRequest", asking("10.200.0.9")),
        ("InvalidConfigurationRequest", asking("10.0.0.1")),
        ("ResourceInUse", taken),
        (
            "InvalidConfigurationRequest",
            NewLoadBalancer {
                scheme: None,
                ..asking("10.0.0.99")
            },
        ),
    ] {
        assert_eq!(code(state.create_load_balancer(new, START)), wanted);
    }
    let arn = state
        .create_load_balancer(asking("10.0.0.99"), START)
        .unwrap();
    let again = state.create_load_balancer(asking("10.0.0.99"), START);
    assert_eq!(again.unwrap(), arn);
    let other = state.create_load_balancer(asking("10.0.0.98"), START);
    assert_eq!(code(other), "DuplicateLoadBalancerName");
    let interface = state.interfaces_of_balancer(&arn).remove(0);
    let interface = &state.network_interfaces[&interface];
    assert_eq!(
        interface.private_ips,
        ["10.0.0.99".parse::<std::net::Ipv4Addr>().unwrap()]
    );
    assert_eq!(interface.public_ip, None);
    let subnet = &state.subnets[&ids.public_subnets[0]];
    let of_interface = subnet
        .taken
        .values()
        .filter(|holder| **holder == interface.id);
    assert_eq!(of_interface.count(), 1);

    // A zone keeps its address; one that comes along may state its own.
    let moved = NewSubnets {
        mappings: asking("10.0.0.97").mappings,
        ..NewSubnets::default()
    };
    let refused = state.set_subnets(&arn, &moved, START);
    assert_eq!(code(refused), "InvalidConfigurationRequest");
    state
        .set_subnets(&arn, &subnets(&ids.public_subnets[..2]), START)
        .unwrap();
    let balancer = &state.load_balancers[&arn];
    assert_eq!(balancer.addresses.len(), 1);
    assert_eq!(state.interfaces_of_balancer(&arn).len(), 2);
}

#[test]
fn one_unknown_name_fails_a_describe() {
    let (mut state, ids) = world();
    let arn = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    let described = |arns: &[&str], names: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let (arns, names) = (owned(arns), owned(names));
        state
            .described_load_balancers(&arns, &names)
            .map(|found| found.len())
    };
    assert_eq!(described(&[], &[]).unwrap(), 1);
    assert_eq!(described(&[&arn], &[]).unwrap(), 1);
    assert_eq!(described(&[], &["web"]).unwrap(), 1);
    let unknown = arn.replace("/web/", "/bew/");
    assert_eq!(
        code(described(&[&arn, &unknown], &[])),
        "LoadBalancerNotFound"
    );
    assert_eq!(
        code(described(&[], &["web", "bew"])),
        "LoadBalancerNotFound"
    );
    assert_eq!(code(described(&["web"], &[])), "ValidationError");
    assert_eq!(code(described(&[&arn], &["web"])), "ValidationError");
    assert_eq!(code(described(&[], &[&"a".repeat(33)])), "ValidationError");
}
