//! No sequence of calls on EC2 leads to an account that AWS could not be in:
//! calls drawn from a seed, and what has to hold after each of them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    InstanceState, Peer, State, address::BindTo, ec2_id::Kind, gateway::NewNatGateway, ids::Ids,
    image, instance::NewInstance, interface_addresses::Addresses,
    network_interface::InterfaceChange, peering::NewPeering, permission::NewPermission,
    prefix_list::NewPrefixList,
};
use crate::Timing;

/// A game of calls on ids that exist, that are gone, and that never were.
struct Game {
    state: State,
    now: Timestamp,
    luck: Ids,
    /// Every id that was ever given out.
    known: Vec<String>,
}

impl Game {
    fn new(seed: u64) -> Self {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        for quota in ["subnets-per-vpc", "rules-per-security-group"] {
            state.quotas.set(quota, 8);
        }
        Self {
            state,
            now: Timestamp::UNIX_EPOCH,
            luck: Ids::new(seed),
            known: Vec::new(),
        }
    }

    fn number(&mut self, below: usize) -> usize {
        let drawn = u64::from_str_radix(&self.luck.hex(8), 16).unwrap();
        usize::try_from(drawn).unwrap() % below
    }

    /// One of the known ids of a kind; mostly of late ones.
    fn pick(&mut self, kind: Kind) -> String {
        let own: Vec<String> = self
            .known
            .iter()
            .rev()
            .filter(|id| Kind::of(id) == Some(kind))
            .take(6)
            .cloned()
            .collect();
        if own.is_empty() {
            return "vpc-00000000000000000".to_owned();
        }
        let index = self.number(own.len());
        own[index].clone()
    }

    fn keep(&mut self, made: super::Answer<String>) {
        self.known.extend(made);
    }

    fn network(&mut self, which: usize) {
        let vpc = self.pick(Kind::Vpc);
        match which {
            0 => {
                let range = format!("10.{}.0.0/24", self.number(4));
                let made = self.state.create_vpc(&range, &[("a".into(), "1".into())]);
                if let Ok(id) = &made {
                    let vpc = self.state.vpcs[id].clone();
                    self.known
                        .extend([vpc.main_route_table, vpc.default_security_group]);
                }
                self.keep(made);
            }
            1 => drop(self.state.delete_vpc(&vpc)),
            2 | 3 => {
                let third = self.number(4);
                let range = format!("10.{third}.0.{}/27", self.number(8) * 32);
                let tags = [("a".into(), "1".into())];
                let made = self.state.create_subnet(&vpc, &range, None, &tags);
                self.keep(made);
            }
            4 => {
                let subnet = self.pick(Kind::Subnet);
                drop(self.state.delete_subnet(&subnet));
            }
            5 => {
                let made = self.state.create_internet_gateway(&[]);
                self.keep(made);
            }
            6 => {
                let gateway = self.pick(Kind::InternetGateway);
                drop(self.state.attach_internet_gateway(&gateway, &vpc));
            }
            7 => {
                let gateway = self.pick(Kind::InternetGateway);
                drop(self.state.detach_internet_gateway(&gateway, &vpc));
                drop(self.state.delete_internet_gateway(&gateway));
            }
            8 => {
                let made = self
                    .state
                    .create_route_table(&vpc, &[("a".into(), "1".into())]);
                self.keep(made);
            }
            9 => {
                let (table, subnet) = (self.pick(Kind::RouteTable), self.pick(Kind::Subnet));
                drop(self.state.associate_route_table(&table, &subnet));
            }
            10 => {
                let table = self.pick(Kind::RouteTable);
                drop(self.state.delete_route_table(&table));
            }
            11 => {
                let table = self.pick(Kind::RouteTable);
                let gateway = self.pick(Kind::InternetGateway);
                drop(self.state.create_route(&table, "0.0.0.0/0", &gateway));
            }
            12 => {
                let table = self.pick(Kind::RouteTable);
                let main = self
                    .state
                    .vpcs
                    .get(&vpc)
                    .map(|v| v.main_association.clone());
                drop(
                    self.state
                        .replace_association(&main.unwrap_or_default(), &table),
                );
            }
            _ => {
                let new = NewPeering {
                    vpc_id: vpc,
                    peer_vpc_id: self.pick(Kind::Vpc),
                    ..NewPeering::default()
                };
                if let Ok(id) = self.state.create_peering(&new) {
                    drop(self.state.accept_peering(&id));
                }
            }
        }
    }

    fn groups(&mut self, which: usize) {
        let group = self.pick(Kind::SecurityGroup);
        let vpc = self.pick(Kind::Vpc);
        let egress = self.number(2) == 0;
        match which {
            0 | 1 => {
                let name = format!("group-{}", self.number(5));
                let tags = [("a".into(), "1".into())];
                let made = self.state.create_security_group(&name, "x", &vpc, &tags);
                self.keep(made);
            }
            2 => drop(self.state.delete_security_group(&group)),
            3..=5 => {
                let permission = NewPermission {
                    protocol: "tcp".to_owned(),
                    from_port: Some(80),
                    to_port: Some(80 + i32::try_from(self.number(3)).unwrap()),
                    groups: vec![(self.pick(Kind::SecurityGroup), None)],
                    prefix_lists: match self.number(3) {
                        0 => vec![(self.pick(Kind::PrefixList), None)],
                        _ => Vec::new(),
                    },
                    ..NewPermission::default()
                };
                let tags = [("a".into(), "1".into())];
                if self.number(3) == 0 {
                    drop(self.state.revoke(&group, egress, &[permission], &[]));
                } else {
                    drop(self.state.authorize(&group, egress, &[permission], &tags));
                }
            }
            6 => {
                let new = NewPrefixList {
                    name: "x".to_owned(),
                    family: "IPv4".to_owned(),
                    max_entries: 2,
                    ..NewPrefixList::default()
                };
                let made = self.state.create_prefix_list(&new);
                self.keep(made);
            }
            _ => {
                let list = self.pick(Kind::PrefixList);
                drop(self.state.delete_prefix_list(&list));
            }
        }
    }

    fn hosts(&mut self, which: usize) {
        let subnet = self.pick(Kind::Subnet);
        let interface = self.pick(Kind::NetworkInterface);
        let instance = self.pick(Kind::Instance);
        let ids = [instance.clone()];
        match which {
            0 | 1 => {
                let group = [self.pick(Kind::SecurityGroup)];
                let tags = [("a".into(), "1".into())];
                let made = self
                    .state
                    .create_network_interface(&subnet, "", &group, &tags);
                self.keep(made);
            }
            2 => drop(self.state.delete_network_interface(&interface)),
            3 => {
                let wanted = Addresses {
                    ipv4_count: self.number(3),
                    ipv4_prefix_count: self.number(2),
                    ..Addresses::default()
                };
                drop(self.state.assign_addresses(&interface, &wanted));
            }
            4 => {
                let held = self.state.network_interfaces.get(&interface).cloned();
                if let Some(held) = held {
                    let last: Vec<_> = held.private_ips.last().copied().into_iter().collect();
                    let all = &held.ipv4_prefixes;
                    drop(self.state.unassign_ipv4(&interface, &last, all));
                }
            }
            5 => {
                let groups = vec![self.pick(Kind::SecurityGroup)];
                let change = InterfaceChange::Groups(groups);
                drop(self.state.modify_interface(&interface, change));
            }
            6 | 7 => {
                let new = NewInstance {
                    image_id: image::FIRST.to_owned(),
                    instance_type: Some("t3.small".to_owned()),
                    subnet_id: subnet,
                    tags: vec![("a".into(), "1".into())],
                    volume_tags: vec![("a".into(), "1".into())],
                    public: Some(self.number(2) == 0),
                    ..NewInstance::default()
                };
                let count = 1 + self.number(3);
                if let Ok(ids) = self.state.run_instances(&new, count, self.now) {
                    self.known.extend(ids);
                }
            }
            8 => drop(self.state.stop_instances(&ids, self.now)),
            9 => drop(self.state.start_instances(&ids, self.now)),
            10 => drop(self.state.terminate_instances(&ids, self.now)),
            11 => {
                let index = u32::try_from(self.number(3)).unwrap();
                drop(
                    self.state
                        .attach_interface(&interface, &instance, index, self.now),
                );
            }
            _ => {
                let attached = self.state.network_interfaces.get(&interface);
                let attachment = attached.and_then(|i| i.attachment.clone());
                if let Some(attachment) = attachment {
                    drop(self.state.detach_interface(&attachment.id));
                }
            }
        }
    }

    fn public(&mut self, which: usize) {
        let allocation_id = self.pick(Kind::Address);
        match which {
            0 => {
                let made = self.state.allocate_address(&[("a".into(), "1".into())]);
                self.keep(made);
            }
            1 => drop(self.state.release_address(&allocation_id)),
            2 => {
                let bind = BindTo {
                    allocation_id,
                    interface: Some(self.pick(Kind::NetworkInterface)),
                    ..BindTo::default()
                };
                drop(self.state.associate_address(&bind));
            }
            3 => {
                let held = self.state.addresses.get(&allocation_id);
                let association = held.and_then(|held| held.association.clone());
                if let Some(association) = association {
                    drop(self.state.disassociate_address(&association.id));
                }
            }
            4 => {
                let new = NewNatGateway {
                    subnet_id: self.pick(Kind::Subnet),
                    allocation_id: Some(allocation_id),
                    tags: vec![("a".into(), "1".into())],
                    ..NewNatGateway::default()
                };
                let made = self.state.create_nat_gateway(&new, self.now);
                self.keep(made);
            }
            _ => {
                let gateway = self.pick(Kind::NatGateway);
                drop(self.state.delete_nat_gateway(&gateway, self.now));
            }
        }
    }

    fn play(&mut self) {
        match self.number(4) {
            0 => {
                let which = self.number(14);
                self.network(which);
            }
            1 => {
                let which = self.number(8);
                self.groups(which);
            }
            2 => {
                let which = self.number(13);
                self.hosts(which);
            }
            _ => {
                let which = self.number(6);
                self.public(which);
            }
        }
        let pause = [0, 100, 1000, 4_000_000][self.number(4).min(self.number(4))];
        self.now += SignedDuration::from_millis(pause);
        self.state.advance(self.now);
        let new: Vec<String> = self.state.network_interfaces.keys().cloned().collect();
        for id in new {
            if !self.known.contains(&id) {
                self.known.push(id);
            }
        }
    }
}

/// What holds in every account.
fn check(state: &State) {
    for vpc in state.vpcs.values() {
        assert!(state.route_tables.contains_key(&vpc.main_route_table));
        assert!(
            state
                .security_groups
                .contains_key(&vpc.default_security_group)
        );
        let gateways = state.internet_gateways.values();
        let own = gateways.filter(|gateway| gateway.vpc_id.as_deref() == Some(&vpc.id));
        assert!(own.count() <= 1);
    }
    let mut associated = BTreeSet::new();
    for table in state.route_tables.values() {
        assert!(state.vpcs.contains_key(&table.vpc_id));
        for (_, holder) in &table.associations {
            assert_eq!(state.subnets[holder].vpc_id, table.vpc_id);
            assert!(associated.insert(holder), "{holder} has two tables");
        }
    }
    for group in state.security_groups.values() {
        assert!(state.vpcs.contains_key(&group.vpc_id));
        for (index, rule) in group.rules.iter().enumerate() {
            let twin = group.rules[..index]
                .iter()
                .any(|other| other.permission == rule.permission);
            assert!(!twin, "a rule stands twice");
            match &rule.permission.peer {
                Peer::Group(id) => assert!(
                    state.security_groups.contains_key(id) || {
                        // Only a group that was deleted with its peered VPC leaves its name.
                        state.peerings.values().any(|peering| {
                            [&peering.requester.vpc_id, &peering.accepter.vpc_id]
                                .contains(&&group.vpc_id)
                        })
                    }
                ),
                Peer::PrefixList(id) => assert!(state.prefix_lists.contains_key(id)),
                _ => {}
            }
        }
    }
    check_interfaces(state);
    for id in state.tags.keys() {
        let refused = state.check_resource(id);
        assert!(refused.is_ok(), "tags of {id} are left");
    }
}

fn check_interfaces(state: &State) {
    let in_vpcs = state.vpcs.values().map(|vpc| vpc.subnets.len());
    assert_eq!(in_vpcs.sum::<usize>(), state.subnets.len());
    for subnet in state.subnets.values() {
        assert!(state.vpcs[&subnet.vpc_id].subnets.contains(&subnet.id));
        for (address, holder) in &subnet.taken {
            let interface = &state.network_interfaces[holder];
            let has = interface.private_ips.contains(address)
                || interface.ipv4_prefixes.iter().any(|p| p.contains(address));
            assert!(has, "{address} of {holder} is taken by nobody");
        }
    }
    for interface in state.network_interfaces.values() {
        let subnet = &state.subnets[&interface.subnet_id];
        for address in &interface.private_ips {
            assert_eq!(subnet.taken.get(address), Some(&interface.id));
        }
        for group in &interface.security_groups {
            assert_eq!(state.security_groups[group].vpc_id, interface.vpc_id);
        }
        let instance = interface
            .attachment
            .as_ref()
            .and_then(|attachment| attachment.instance_id.as_ref());
        if let Some(instance) = instance {
            assert_ne!(state.instances[instance].state, InstanceState::Terminated);
        }
    }
    for instance in state.instances.values() {
        let mut indexes = BTreeSet::new();
        for interface in state.interfaces_of(&instance.id) {
            assert!(indexes.insert(interface.attachment.as_ref().unwrap().device_index));
        }
        let gone = instance.state == InstanceState::Terminated;
        assert_eq!(indexes.contains(&0), !gone, "{instance:?}");
    }
    let mut publics = BTreeSet::new();
    for address in state.addresses.values() {
        assert!(publics.insert(address.public_ip));
        if let Some(association) = &address.association {
            let interface = &state.network_interfaces[&association.interface_id];
            assert!(interface.private_ips.contains(&association.private_ip));
            assert!(state.internet_gateway_of(&interface.vpc_id).is_some());
        }
    }
}

#[test]
fn no_sequence_of_calls_breaks_the_account() {
    let mut made = BTreeSet::new();
    for seed in 0..40 {
        let mut game = Game::new(seed);
        for _ in 0..400 {
            game.play();
            check(&game.state);
        }
        made.extend(game.known.iter().filter_map(|id| {
            let kind = Kind::of(id)?;
            kind.resource_type()
        }));
    }
    // The game has to reach what it is about.
    for kind in [
        "instance",
        "natgateway",
        "elastic-ip",
        "network-interface",
        "prefix-list",
    ] {
        assert!(made.contains(kind), "no {kind} was ever made");
    }
}
