#![allow(clippy::unwrap_used)]

use jiff::Timestamp;

use super::*;
use crate::{
    Timing, World, WorldIds,
    state::{load_balancer::NewLoadBalancer, target_group::NewTargetGroup},
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn world() -> (State, WorldIds) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let ids = World::default().build(&mut state, NOW).unwrap();
    (state, ids)
}

fn of(found: &[Finding], problem: Problem) -> Vec<(&str, &str)> {
    found
        .iter()
        .filter(|one| one.problem == problem)
        .map(|one| (one.kind.as_str(), one.resource.as_str()))
        .collect()
}

fn look(state: &State) -> Vec<Finding> {
    audit(&[state], &Naming::default())
}

fn balancer(state: &mut State, ids: &WorldIds) -> String {
    let new = NewLoadBalancer {
        name: "web".to_owned(),
        subnets: ids.public_subnets.clone(),
        ..NewLoadBalancer::default()
    };
    state.create_load_balancer(new, NOW).unwrap()
}

#[test]
fn a_world_as_it_is_made_has_no_fault() {
    let (state, _) = world();
    assert_eq!(look(&state), []);
}

#[test]
fn what_nothing_uses_is_left_over() {
    let (mut state, ids) = world();
    let balancer = balancer(&mut state, &ids);
    let group = NewTargetGroup {
        name: "web".to_owned(),
        protocol: Some("HTTP".to_owned()),
        port: Some(80),
        vpc_id: Some(ids.vpc.clone()),
        ..NewTargetGroup::default()
    };
    let group = state.create_target_group(&group).unwrap();
    let security = state
        .create_security_group("left", "left", &ids.vpc, &[])
        .unwrap();
    let address = state.allocate_address(&[]).unwrap();
    let subnet = &ids.private_subnets[0];
    let used = [ids.node_security_group.clone()];
    let interface = state
        .create_network_interface(subnet, "", &used, &[])
        .unwrap();
    let found = look(&state);
    let all = [
        ("elastic-ip", address.as_str()),
        ("load-balancer", &balancer),
        ("network-interface", &interface),
        ("security-group", &security),
        ("target-group", &group),
    ];
    assert_eq!(of(&found, Problem::LeftOver), all);
    assert_eq!(of(&found, Problem::Unowned), all, "nor has it any tags");
    let tags = [("owner".to_owned(), "me".to_owned())];
    state.add_tags(&[balancer, group], &tags).unwrap();
    let rest = [address, interface, security];
    state.create_ec2_tags(&rest, &tags).unwrap();
    assert_eq!(of(&look(&state), Problem::Unowned), []);
}

#[test]
fn what_points_to_nothing_dangles() {
    let (mut state, ids) = world();
    let balancer = balancer(&mut state, &ids);
    let group = state
        .create_security_group("a", "a", &ids.vpc, &[])
        .unwrap();
    let source = crate::state::security_group::NewPermission {
        protocol: "-1".to_owned(),
        groups: vec![(group.clone(), None)],
        ..crate::state::security_group::NewPermission::default()
    };
    let nodes = &ids.node_security_group;
    let rule = state.authorize(nodes, false, &[source], &[]).unwrap();
    state
        .web_acl_associations
        .insert(balancer.clone(), AssociatedAcl::Classic("x".to_owned()));
    assert_eq!(
        of(&look(&state), Problem::Dangling),
        [("web-acl-association", balancer.as_str())]
    );
    // AWS lets none of these go by itself; what does is elsewhere.
    state.security_groups.remove(&group);
    state.load_balancers.remove(&balancer);
    let found = look(&state);
    assert_eq!(
        of(&found, Problem::Dangling),
        [
            ("security-group-rule", rule[0].id.as_str()),
            ("web-acl-association", &balancer),
            ("web-acl-association", &balancer),
        ]
    );
}
