//! The account as AWS holds it: pure values and the rules that change them.
//!
//! Nothing here does I/O or reads a clock. Time comes in as an argument, ids
//! come from a seeded generator, so a sequence of calls is repeatable. A call
//! either changes the state as AWS would or refuses with AWS's code.

pub mod acm;
pub mod action;
pub mod address;
pub mod arn;
pub mod attributes;
pub mod change_batch;
pub mod cidr;
pub mod condition;
pub mod dns_name;
pub mod ec2_id;
#[cfg(test)]
mod ec2_invariants;
pub mod ec2_tags;
pub mod elsewhere;
pub mod gateway;
pub mod ids;
pub mod image;
pub mod instance;
pub mod instance_change;
mod instance_state;
pub mod instance_type;
pub mod interface_addresses;
pub mod listener;
pub mod load_balancer;
pub mod network_interface;
pub mod outside;
pub mod peering;
pub mod permission;
mod placement;
pub mod prefix_list;
pub mod quotas;
pub mod refusal;
pub mod regions;
pub mod registration;
pub mod route53;
mod route_association;
pub mod route_table;
pub mod rule;
pub mod security_group;
pub mod security_group_rule;
pub mod ssl_policy;
pub mod subnet;
pub mod tags;
pub mod target;
pub mod target_group;
pub mod vpc;
mod x509;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::timing::Timing;

pub use self::{
    acm::{Certificate, CertificateStatus},
    address::Address,
    gateway::{EgressOnlyGateway, InternetGateway, NatGateway},
    instance::{Instance, InstanceState, NetworkInterface},
    listener::{
        Action, ActionKind, FixedResponse, Forward, Listener, Protocol, Redirect,
        WeightedTargetGroup,
    },
    load_balancer::{LoadBalancer, LoadBalancerState, Scheme},
    outside::Outside,
    peering::Peering,
    prefix_list::PrefixList,
    quotas::Quotas,
    refusal::{Answer, Refusal},
    route_table::{Route, RouteTable},
    route53::{AliasTarget, Change, HostedZone, RecordKey, RecordSet},
    rule::{Condition, Patterns, QueryPair, Rule},
    security_group::SecurityGroup,
    security_group_rule::{Peer, Permission, SecurityGroupRule},
    subnet::Subnet,
    tags::Tags,
    target::{HealthState, ProbeFailure, Probed, Target, TargetHealth, TargetKey},
    target_group::{HealthCheck, Matcher, TargetGroup, TargetType},
    vpc::{AvailabilityZone, Vpc},
};

/// One AWS account in one region.
#[derive(Debug, Clone)]
pub struct State {
    /// Twelve digits.
    pub account: String,
    /// Region name.
    pub region: String,
    /// Delays of what happens later.
    pub timing: Timing,
    /// Quotas in force.
    pub quotas: Quotas,
    /// Source of ids.
    pub ids: ids::Ids,
    /// Zones of the region.
    pub availability_zones: Vec<AvailabilityZone>,
    /// Load balancers by ARN, with listeners and rules inside.
    pub load_balancers: BTreeMap<String, LoadBalancer>,
    /// Target groups by ARN, with targets inside.
    pub target_groups: BTreeMap<String, TargetGroup>,
    /// VPCs by id.
    pub vpcs: BTreeMap<String, Vpc>,
    /// Subnets by id.
    pub subnets: BTreeMap<String, Subnet>,
    /// Internet gateways by id.
    pub internet_gateways: BTreeMap<String, InternetGateway>,
    /// Egress-only internet gateways by id.
    pub egress_only_gateways: BTreeMap<String, EgressOnlyGateway>,
    /// NAT gateways by id.
    pub nat_gateways: BTreeMap<String, NatGateway>,
    /// Allocated addresses by id.
    pub addresses: BTreeMap<String, Address>,
    /// VPC peering connections by id.
    pub peerings: BTreeMap<String, Peering>,
    /// Managed prefix lists by id, Amazon's own among them.
    pub prefix_lists: BTreeMap<String, PrefixList>,
    /// Route tables by id.
    pub route_tables: BTreeMap<String, RouteTable>,
    /// Security groups by id.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// Instances by id.
    pub instances: BTreeMap<String, Instance>,
    /// Network interfaces by id.
    pub network_interfaces: BTreeMap<String, NetworkInterface>,
    /// Hosted zones by id without prefix.
    pub hosted_zones: BTreeMap<String, HostedZone>,
    /// Route 53 changes by id without prefix.
    pub changes: BTreeMap<String, Change>,
    /// Certificates by ARN.
    pub certificates: BTreeMap<String, Certificate>,
    /// What was declared of the world outside.
    pub outside: Outside,
    /// Other regions and accounts, while a call needs to know of them.
    pub elsewhere: elsewhere::Elsewhere,
    /// Tags by ARN, EC2 id or zone id.
    pub tags: BTreeMap<String, Tags>,
    /// Client tokens of calls of EC2 that made something.
    pub client_tokens: BTreeMap<String, MadeOnce>,
    /// What happens by itself, by time and a running number.
    due: BTreeMap<(Timestamp, u64), Transition>,
    scheduled: u64,
}

/// What a call with a client token asked for and made, for its repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeOnce {
    /// The parameters as sent.
    pub parameters: BTreeMap<String, String>,
    /// Ids of what was made.
    pub ids: Vec<String>,
}

/// Something that AWS does later by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Transition {
    /// A load balancer begins to serve.
    LoadBalancerActive(String),
    /// A Route 53 change has reached all name servers.
    ChangeInsync(String),
    /// A deregistered target has drained: target group and target.
    TargetGone(String, TargetKey),
    /// A network interface of a deleted load balancer is removed.
    InterfaceGone(String),
    /// A requested certificate is issued.
    CertificateIssued(String),
    /// An instance leaves this state, if it is still in it.
    Instance(String, InstanceState),
    /// A NAT gateway leaves this state, if it is still in it.
    NatGateway(String, gateway::NatState),
}

/// How long AWS goes on showing instances and NAT gateways that are gone.
const SHOWN_MS: u64 = 3_600_000;

impl State {
    /// An empty account.
    pub fn new(account: &str, region: &str, timing: Timing) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            timing,
            quotas: Quotas::default(),
            ids: ids::Ids::new(0x5EED),
            availability_zones: vpc::zones_of(region),
            load_balancers: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            vpcs: BTreeMap::new(),
            subnets: BTreeMap::new(),
            internet_gateways: BTreeMap::new(),
            egress_only_gateways: BTreeMap::new(),
            nat_gateways: BTreeMap::new(),
            addresses: BTreeMap::new(),
            peerings: BTreeMap::new(),
            prefix_lists: prefix_list::aws_lists(region),
            route_tables: BTreeMap::new(),
            security_groups: BTreeMap::new(),
            instances: BTreeMap::new(),
            network_interfaces: BTreeMap::new(),
            hosted_zones: BTreeMap::new(),
            changes: BTreeMap::new(),
            certificates: BTreeMap::new(),
            outside: Outside::default(),
            elsewhere: elsewhere::Elsewhere::default(),
            tags: BTreeMap::new(),
            client_tokens: BTreeMap::new(),
            due: BTreeMap::new(),
            scheduled: 0,
        }
    }

    /// Makes every transition that is due at `now`; tells whether there was one.
    pub fn advance(&mut self, now: Timestamp) -> bool {
        let mut changed = false;
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let transition = entry.remove();
            self.carry_out(transition, now);
            changed = true;
        }
        changed
    }

    /// An ARN of Elastic Load Balancing in this account and region.
    fn elb_arn(&self, path: &str) -> String {
        let partition = regions::partition(&self.region);
        format!(
            "arn:{partition}:elasticloadbalancing:{}:{}:{path}",
            self.region, self.account
        )
    }

    /// The end of load balancer names.
    fn dns_suffix(&self) -> &'static str {
        regions::suffix(&self.region)
    }

    /// When the next transition is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    fn schedule(&mut self, now: Timestamp, delay_ms: u64, transition: Transition) -> Timestamp {
        let delay = SignedDuration::from_millis(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let at = now.checked_add(delay).unwrap_or(Timestamp::MAX);
        self.scheduled += 1;
        self.due.insert((at, self.scheduled), transition);
        at
    }

    fn carry_out(&mut self, transition: Transition, now: Timestamp) {
        match transition {
            Transition::LoadBalancerActive(arn) => {
                if let Some(balancer) = self.load_balancers.get_mut(&arn) {
                    balancer.state = LoadBalancerState::Active;
                }
            }
            Transition::ChangeInsync(id) => {
                if let Some(change) = self.changes.get_mut(&id) {
                    change.insync = true;
                }
            }
            Transition::TargetGone(group, key) => self.finish_draining(&group, &key, now),
            Transition::InterfaceGone(id) => self.release_interface(&id),
            Transition::CertificateIssued(arn) => self.issue_certificate(&arn, now),
            Transition::Instance(id, from) => self.move_instance(&id, from, now),
            Transition::NatGateway(id, from) => self.move_nat_gateway(&id, from, now),
        }
    }
}
