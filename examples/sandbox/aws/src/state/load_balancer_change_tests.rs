//! Tests of what can be changed on load balancers.

#![allow(clippy::unwrap_used)]
use super::{
    State,
    load_balancer::NewLoadBalancer,
    load_balancer_tests::{START, application, code, later, network, subnets, with_ipv6, world},
    placement::SubnetMapping,
};

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
    let acl = super::web_acl::AssociatedAcl::Classic("acl".to_owned());
    state.web_acl_associations.insert(arn.clone(), acl);
    state.delete_load_balancer(&arn, START).unwrap();
    assert!(state.web_acl_associations.is_empty(), "it ends with it");
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
