//! Tests of load balancers, across the files that hold them.

#![allow(clippy::unwrap_used)]
use jiff::{SignedDuration, Timestamp};

use super::{
    Answer, State, load_balancer::NewLoadBalancer, load_balancer_change::NewSubnets,
    placement::SubnetMapping,
};
use crate::{Timing, World, WorldIds};

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn world() -> (State, WorldIds) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let ids = World::default().build(&mut state, START).unwrap();
    (state, ids)
}

fn application(ids: &WorldIds) -> NewLoadBalancer {
    NewLoadBalancer {
        name: "web".to_owned(),
        subnets: ids.public_subnets.clone(),
        ..NewLoadBalancer::default()
    }
}

fn network(ids: &WorldIds) -> NewLoadBalancer {
    NewLoadBalancer {
        name: "front".to_owned(),
        kind: Some("network".to_owned()),
        subnets: ids.public_subnets[..1].to_vec(),
        ..NewLoadBalancer::default()
    }
}

fn later(state: &mut State) {
    state.advance(START.checked_add(SignedDuration::from_secs(10)).unwrap());
}

fn code<T>(answer: Answer<T>) -> String {
    answer.err().unwrap().code.into_owned()
}

fn subnets(ids: &[String]) -> NewSubnets {
    NewSubnets {
        subnets: ids.to_vec(),
        ..NewSubnets::default()
    }
}

fn with_ipv6(state: &mut State, ids: &WorldIds) {
    let range = state.provide_ipv6(&ids.vpc).unwrap();
    for (number, subnet) in ids.public_subnets.iter().enumerate() {
        let base = u128::from(range.range.network()) + ((number as u128) << 64);
        let cidr = format!("{}/64", std::net::Ipv6Addr::from(base));
        state.associate_subnet_ipv6(subnet, &cidr).unwrap();
    }
}

#[test]
fn a_zone_that_is_left_keeps_its_address_for_a_while() {
    let (mut state, ids) = world();
    let arn = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    let free = |state: &State, n: usize| state.subnets[&ids.public_subnets[n]].free_addresses();
    assert_eq!(free(&state, 2), 4090);
    let two = &ids.public_subnets[..2];
    state.set_subnets(&arn, &subnets(two), START).unwrap();
    assert_eq!(state.load_balancers[&arn].subnets.len(), 2);
    assert_eq!(free(&state, 2), 4090);
    later(&mut state);
    assert_eq!((free(&state, 2), free(&state, 1)), (4091, 4090));
    let one = state.set_subnets(&arn, &subnets(&two[..1]), START);
    assert_eq!(code(one), "ValidationError");
    let before = state.load_balancers[&arn].clone();
    state.set_subnets(&arn, &subnets(two), START).unwrap();
    assert_eq!(state.load_balancers[&arn], before);
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
fn security_groups_of_the_two_types() {
    let (mut state, ids) = world();
    let web = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    let default = state.vpcs[&ids.vpc].default_security_group.clone();
    assert!(
        state.load_balancers[&web]
            .security_groups
            .contains(&default)
    );
    let front = state.create_load_balancer(network(&ids), START).unwrap();
    assert!(state.load_balancers[&front].security_groups.is_empty());
    let groups: Vec<String> = (0..6)
        .map(|n| {
            let name = format!("g{n}");
            state
                .create_security_group(&name, "x", &ids.vpc, &[])
                .unwrap()
        })
        .collect();
    let refused = state.set_security_groups(&front, &groups[..1], None);
    assert_eq!(code(refused), "InvalidConfigurationRequest");
    for (wanted, groups) in [
        ("InvalidConfigurationRequest", &groups[..]),
        ("InvalidConfigurationRequest", &[]),
        (
            "InvalidSecurityGroup",
            &["sg-0123456789abcdef0".to_owned()][..],
        ),
    ] {
        let refused = state.set_security_groups(&web, groups, None);
        assert_eq!(code(refused), wanted);
    }
    let refused = state.set_security_groups(&web, &groups[..1], Some("on"));
    assert_eq!(code(refused), "InvalidConfigurationRequest");
    state.set_security_groups(&web, &groups[..2], None).unwrap();
    let on_interfaces = |state: &State| {
        state
            .interfaces_of_balancer(&web)
            .iter()
            .map(|id| state.network_interfaces[id].security_groups.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(on_interfaces(&state), [2, 2, 2]);

    let with = NewLoadBalancer {
        name: "with".to_owned(),
        security_groups: groups[..1].to_vec(),
        ..network(&ids)
    };
    let with = state.create_load_balancer(with, START).unwrap();
    state
        .set_security_groups(&with, &groups[1..3], Some("off"))
        .unwrap();
    let balancer = &state.load_balancers[&with];
    assert_eq!(balancer.security_groups.len(), 2);
    assert!(!balancer.private_link_rules);
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
    let interfaces = state.interfaces_of_balancer(&arn);
    let [interface] = interfaces.as_slice() else {
        panic!("{interfaces:?}");
    };
    let interface = &state.network_interfaces[interface];
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
fn allocated_addresses_of_network_load_balancers() {
    let (mut state, ids) = world();
    let allocation = state.allocate_address(&[]).unwrap();
    let asking = |name: &str, allocations: &[&str]| NewLoadBalancer {
        name: name.to_owned(),
        subnets: Vec::new(),
        mappings: allocations
            .iter()
            .zip(&ids.public_subnets)
            .map(|(allocation, subnet)| SubnetMapping {
                subnet_id: subnet.clone(),
                allocation_id: Some((*allocation).to_owned()),
                ..SubnetMapping::default()
            })
            .collect(),
        ..network(&ids)
    };
    let internal = NewLoadBalancer {
        scheme: Some("internal".to_owned()),
        ..asking("front", &[&allocation])
    };
    for (wanted, new) in [
        ("AllocationIdNotFound", asking("front", &["eipalloc-1"])),
        ("InvalidConfigurationRequest", internal),
        (
            "InvalidConfigurationRequest",
            asking("front", &[&allocation, &allocation]),
        ),
    ] {
        assert_eq!(code(state.create_load_balancer(new, START)), wanted);
    }
    assert!(state.addresses[&allocation].association.is_none());
    let new = asking("front", &[&allocation]);
    let arn = state.create_load_balancer(new.clone(), START).unwrap();
    assert_eq!(state.create_load_balancer(new, START).unwrap(), arn);
    let interface = state.interfaces_of_balancer(&arn).remove(0);
    let address = &state.addresses[&allocation];
    assert_eq!(address.interface_id(), Some(interface.as_str()));
    assert_eq!(state.network_interfaces[&interface].public_ip, None);
    assert_eq!(
        state.network_interfaces[&interface].kind,
        "network_load_balancer"
    );
    let other = state.create_load_balancer(asking("other", &[&allocation]), START);
    assert_eq!(code(other), "ResourceInUse");
    state.delete_load_balancer(&arn, START).unwrap();
    assert_eq!(
        code(state.release_address(&allocation)),
        "InvalidIPAddress.InUse"
    );
    later(&mut state);
    state.release_address(&allocation).unwrap();
}

#[test]
fn address_types() {
    let (mut state, ids) = world();
    let arn = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    let refused = state.set_ip_address_type(&arn, "dualstack");
    assert_eq!(code(refused), "InvalidSubnet");
    assert_eq!(
        code(state.set_ip_address_type(&arn, "ipv6")),
        "ValidationError"
    );
    with_ipv6(&mut state, &ids);
    let addresses = |state: &State| {
        let interfaces = state.interfaces_of_balancer(&arn);
        let of = |id: &String| {
            let interface = &state.network_interfaces[id];
            (
                interface.ipv6_addresses.len(),
                interface.public_ip.is_some(),
            )
        };
        interfaces.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(addresses(&state), [(0, true); 3]);
    state.set_ip_address_type(&arn, "dualstack").unwrap();
    assert_eq!(addresses(&state), [(1, true); 3]);
    state
        .set_ip_address_type(&arn, "dualstack-without-public-ipv4")
        .unwrap();
    assert_eq!(addresses(&state), [(1, false); 3]);
    state.set_ip_address_type(&arn, "ipv4").unwrap();
    assert_eq!(addresses(&state), [(0, true); 3]);
}

#[test]
fn source_nat_prefixes_need_ipv6() {
    let (mut state, ids) = world();
    with_ipv6(&mut state, &ids);
    let asking = |prefix: Option<&str>, on: &str, address_type: &str| NewLoadBalancer {
        ip_address_type: Some(address_type.to_owned()),
        source_nat: Some(on.to_owned()),
        subnets: Vec::new(),
        mappings: vec![SubnetMapping {
            subnet_id: ids.public_subnets[0].clone(),
            source_nat_prefix: prefix.map(str::to_owned),
            ..SubnetMapping::default()
        }],
        ..network(&ids)
    };
    for new in [
        asking(None, "on", "ipv4"),
        asking(Some("auto_assigned"), "off", "dualstack"),
        asking(Some("2001:db8::/80"), "on", "dualstack"),
        asking(Some("everything"), "on", "dualstack"),
    ] {
        let refused = state.create_load_balancer(new, START);
        assert_eq!(code(refused), "InvalidConfigurationRequest");
    }
    let new = asking(Some("auto_assigned"), "on", "dualstack");
    let arn = state.create_load_balancer(new.clone(), START).unwrap();
    assert_eq!(state.create_load_balancer(new, START).unwrap(), arn);
    let addresses = state.load_balancers[&arn]
        .addresses
        .values()
        .next()
        .unwrap();
    assert_eq!(addresses.source_nat_prefix.unwrap().prefix_len(), 80);
    state.set_ip_address_type(&arn, "ipv4").unwrap();
    let balancer = &state.load_balancers[&arn];
    assert!(!balancer.source_nat);
    assert!(
        balancer
            .addresses
            .values()
            .all(|a| a.source_nat_prefix.is_none())
    );
}

#[test]
fn attributes_by_type_and_where_logs_can_go() {
    let (mut state, ids) = world();
    let web = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    let front = state.create_load_balancer(network(&ids), START).unwrap();
    let modify = |state: &mut State, arn: &str, changes: &[(&str, &str)]| {
        let changes: Vec<(String, String)> = changes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        state.modify_load_balancer_attributes(arn, &changes)
    };
    for (arn, key, value) in [
        (&web, "load_balancing.cross_zone.enabled", "false"),
        (
            &web,
            "dns_record.client_routing_policy",
            "any_availability_zone",
        ),
        (&web, "secondary_ips.auto_assigned.per_subnet", "1"),
        (&web, "idle_timeout.timeout_seconds", "4001"),
        (&web, "client_keep_alive.seconds", "59"),
        (&web, "routing.http.desync_mitigation_mode", "off"),
        (&web, "routing.http.xff_header_processing.mode", "drop"),
        (&web, "no.such.key", "1"),
        (&web, "access_logs.s3.enabled", "true"),
        (&front, "idle_timeout.timeout_seconds", "60"),
        (&front, "connection_logs.s3.enabled", "false"),
        (&front, "secondary_ips.auto_assigned.per_subnet", "8"),
    ] {
        let refused = modify(&mut state, arn, &[(key, value)]);
        assert_eq!(
            code(refused),
            "InvalidConfigurationRequest",
            "{key}={value}"
        );
    }
    modify(
        &mut state,
        &web,
        &[("load_balancing.cross_zone.enabled", "true")],
    )
    .unwrap();
    modify(
        &mut state,
        &front,
        &[("load_balancing.cross_zone.enabled", "true")],
    )
    .unwrap();
    let secondary = "secondary_ips.auto_assigned.per_subnet";
    modify(&mut state, &front, &[(secondary, "3")]).unwrap();
    let fewer = modify(&mut state, &front, &[(secondary, "2")]);
    assert_eq!(code(fewer), "InvalidConfigurationRequest");

    let logs = [
        ("access_logs.s3.enabled", "true"),
        ("access_logs.s3.bucket", "logs"),
        ("idle_timeout.timeout_seconds", "120"),
    ];
    let refused = modify(&mut state, &web, &logs).unwrap_err();
    assert_eq!(
        refused.message,
        "Access Denied for bucket: logs. Please check S3bucket permission"
    );
    assert_eq!(
        state.load_balancers[&web].attributes["idle_timeout.timeout_seconds"],
        "60"
    );
    state.outside = serde_json::from_str(r#"{"buckets": ["logs"]}"#).unwrap();
    modify(&mut state, &web, &logs).unwrap();
    let prefix = modify(&mut state, &web, &[("access_logs.s3.prefix", "a/AWSLogs")]);
    assert_eq!(code(prefix), "InvalidConfigurationRequest");
    // A bucket that is gone meanwhile does not stand in the way of other changes.
    state.outside.buckets.clear();
    modify(&mut state, &web, &[("routing.http2.enabled", "false")]).unwrap();
}

#[test]
fn what_stands_in_the_way_of_a_delete() {
    let (mut state, ids) = world();
    let arn = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    let protect = |state: &mut State, on: &str| {
        let change = ("deletion_protection.enabled".to_owned(), on.to_owned());
        state.modify_load_balancer_attributes(&arn, &[change])
    };
    protect(&mut state, "true").unwrap();
    let refused = state.delete_load_balancer(&arn, START).unwrap_err();
    assert_eq!(refused.code, "OperationNotPermitted");
    assert!(refused.message.contains("deletion protection"));
    protect(&mut state, "false").unwrap();
    let interfaces = state.interfaces_of_balancer(&arn);
    state.delete_load_balancer(&arn, START).unwrap();
    state.delete_load_balancer(&arn, START).unwrap();
    assert_eq!(code(state.load_balancer(&arn)), "LoadBalancerNotFound");
    assert!(
        interfaces
            .iter()
            .all(|id| state.network_interfaces.contains_key(id))
    );
    later(&mut state);
    assert!(
        !interfaces
            .iter()
            .any(|id| state.network_interfaces.contains_key(id))
    );
    let other = state.delete_load_balancer("arn:aws:s3:::x", START);
    assert_eq!(code(other), "ValidationError");
}

#[test]
fn pools_are_what_was_declared() {
    let (mut state, ids) = world();
    state.outside = serde_json::from_str(r#"{"ipam_pools": ["ipam-pool-1"]}"#).unwrap();
    let arn = state
        .create_load_balancer(application(&ids), START)
        .unwrap();
    let front = state.create_load_balancer(network(&ids), START).unwrap();
    let unknown = state.modify_ip_pools(&arn, Some("ipam-pool-2"), &[]);
    assert_eq!(code(unknown), "InvalidConfigurationRequest");
    let network = state.modify_ip_pools(&front, Some("ipam-pool-1"), &[]);
    assert_eq!(code(network), "InvalidConfigurationRequest");
    assert_eq!(
        code(state.modify_ip_pools(&arn, None, &[])),
        "ValidationError"
    );
    state
        .modify_ip_pools(&arn, Some("ipam-pool-1"), &[])
        .unwrap();
    let pool = |state: &State| state.load_balancers[&arn].ipam_pool.clone();
    assert_eq!(pool(&state).as_deref(), Some("ipam-pool-1"));
    state
        .modify_ip_pools(&arn, None, &["ipv4".to_owned()])
        .unwrap();
    assert_eq!(pool(&state), None);
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
