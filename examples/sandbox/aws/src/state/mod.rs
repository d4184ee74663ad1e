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
pub mod authenticate;
mod bundle;
pub mod capacity;
pub mod change_batch;
pub mod cidr;
pub mod condition;
mod condition_value;
pub mod dns_name;
pub mod ec2_id;
#[cfg(test)]
mod ec2_invariants;
pub mod ec2_tags;
pub mod elsewhere;
pub mod fixed_response;
pub mod forward;
pub mod gateway;
pub mod health_check;
pub mod ids;
pub mod image;
pub mod instance;
pub mod instance_change;
mod instance_state;
pub mod instance_type;
pub mod interface_addresses;
pub mod ip_set;
pub mod jwt_validation;
pub mod lag;
pub mod listener;
mod listener_attributes;
pub mod listener_tls;
pub mod load_balancer;
mod load_balancer_attributes;
pub mod load_balancer_change;
#[cfg(test)]
mod load_balancer_change_tests;
mod load_balancer_interface;
#[cfg(test)]
mod load_balancer_tests;
pub mod network_interface;
pub mod outside;
pub mod peering;
pub mod permission;
pub mod placement;
mod places;
pub mod prefix_list;
pub mod protocol;
pub mod quotas;
pub mod record_set;
mod record_value;
pub mod redirect;
pub mod refusal;
pub mod regex_pattern_set;
pub mod regions;
pub mod registration;
mod regular_expression;
pub mod route53;
mod route_association;
pub mod route_table;
pub mod rule;
pub mod rule_group;
pub mod security_group;
pub mod security_group_rule;
pub mod server_certificate;
pub mod shield;
pub mod ssl_policy;
pub mod subnet;
pub mod tag_store;
pub mod tagging;
pub mod tags;
pub mod target;
mod target_check;
pub mod target_group;
mod target_group_attributes;
pub mod target_health;
pub mod target_health_check;
pub mod transform;
pub mod trust_store;
pub mod user_pool;
pub mod validation;
pub mod vpc;
pub mod waf_regional;
pub mod wafv2;
pub mod web_acl;
mod web_acl_rule;
pub(crate) mod x509;
pub mod zone_vpcs;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::timing::Timing;

pub use self::{
    acm::{Certificate, CertificateStatus},
    action::{Action, ActionKind},
    address::Address,
    fixed_response::FixedResponse,
    forward::{Forward, Stickiness, WeightedTargetGroup},
    gateway::{EgressOnlyGateway, InternetGateway, NatGateway},
    instance::{Instance, InstanceState, NetworkInterface},
    listener::Listener,
    load_balancer::{LoadBalancer, LoadBalancerKind, LoadBalancerState, Scheme},
    outside::Outside,
    peering::Peering,
    prefix_list::PrefixList,
    protocol::Protocol,
    quotas::Quotas,
    record_set::{AliasTarget, RecordSet, RoutingPolicy},
    redirect::Redirect,
    refusal::{Answer, Refusal},
    route_table::{Route, RouteTable},
    route53::{Change, HostedZone, RecordKey},
    rule::{Condition, Patterns, QueryPair, Rule},
    security_group::SecurityGroup,
    security_group_rule::{Peer, Permission, SecurityGroupRule},
    subnet::Subnet,
    tags::Tags,
    target::{HealthState, ProbeFailure, Probed, Target, TargetHealth, TargetKey},
    target_group::{TargetGroup, TargetType},
    target_health_check::{HealthCheck, Matcher},
    transform::Transform,
    trust_store::{TrustStore, TrustStoreStatus},
    vpc::{AvailabilityZone, Vpc},
};

/// One AWS account in one region.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Twelve digits.
    pub account: String,
    /// Region name.
    pub region: String,
    /// Delays of what happens later.
    pub timing: Timing,
    /// What later calls do not see at once.
    pub lags: lag::Lags,
    /// Quotas in force.
    pub quotas: Quotas,
    /// Source of ids.
    pub ids: ids::Ids,
    /// Source of what is left to chance.
    pub draws: ids::Ids,
    /// Zones of the region.
    pub availability_zones: Vec<AvailabilityZone>,
    /// Load balancers by ARN, with listeners and rules inside.
    pub load_balancers: BTreeMap<String, LoadBalancer>,
    /// Target groups by ARN, with targets inside.
    pub target_groups: BTreeMap<String, TargetGroup>,
    /// Trust stores by ARN.
    pub trust_stores: BTreeMap<String, TrustStore>,
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
    /// What other accounts are to change in their zones.
    pub(crate) asked_of_others: Vec<zone_vpcs::FarAssociation>,
    /// Health checks of Route 53 by id.
    pub health_checks: BTreeMap<String, health_check::HealthCheck>,
    /// Values of the CNAME records of public zones that prove names to ACM, by
    /// zone id and name.
    pub proofs: BTreeMap<(String, String), String>,
    /// Caller references of Route 53 that were ever used.
    pub caller_references: BTreeSet<String>,
    /// Certificates by ARN.
    pub certificates: BTreeMap<String, Certificate>,
    /// Days before the expiry of certificates from which ACM tells of it.
    pub expiry_event_days: u32,
    /// Server certificates of IAM by their name in lower case.
    pub server_certificates: BTreeMap<String, server_certificate::ServerCertificate>,
    /// User pools of Cognito by id.
    pub user_pools: BTreeMap<String, user_pool::UserPool>,
    /// What was declared of the world outside.
    pub outside: Outside,
    /// Other regions and accounts, while a call needs to know of them.
    pub elsewhere: elsewhere::Elsewhere,
    /// Tags by ARN, EC2 id or zone id.
    pub tags: tag_store::TagStore,
    /// What WAFv2 has.
    pub wafv2: wafv2::Wafv2,
    /// What WAF Classic Regional has.
    pub waf_regional: waf_regional::WafRegional,
    /// The web ACLs of load balancers, by their ARN.
    pub web_acl_associations: BTreeMap<String, web_acl::AssociatedAcl>,
    /// What Shield Advanced has.
    pub shield: shield::Shield,
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
    /// Reserved capacity of a load balancer is granted.
    CapacityProvisioned(String),
    /// A trust store can be used.
    TrustStoreActive(String),
    /// A Route 53 change has reached all name servers.
    ChangeInsync(String),
    /// Something that nodes or name servers had yet to hear has reached them.
    NewsSpread,
    /// Load balancers have heard of a target: target group, target, and when it
    /// was registered.
    TargetAnnounced(String, TargetKey, Timestamp),
    /// The first health of a target shows: target group and target.
    TargetSettled(String, TargetKey),
    /// A deregistered target has drained: target group and target.
    TargetGone(String, TargetKey),
    /// A network interface of a deleted load balancer is removed.
    InterfaceGone(String),
    /// An instance leaves this state, if it is still in it.
    Instance(String, InstanceState),
    /// A NAT gateway leaves this state, if it is still in it.
    NatGateway(String, gateway::NatState),
    /// ACM finds the record of a name of a requested certificate.
    ValidationLook(String, String),
    /// Nobody has proven a requested certificate in time.
    ValidationTimedOut(String),
    /// The validity of a certificate, as it was at that time, is over.
    CertificateExpired(String, Timestamp),
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
            lags: lag::Lags::default(),
            quotas: Quotas::default(),
            ids: ids::Ids::new(0x5EED),
            draws: ids::Ids::new(0xD1CE),
            availability_zones: vpc::zones_of(region),
            load_balancers: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            trust_stores: BTreeMap::new(),
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
            asked_of_others: Vec::new(),
            health_checks: BTreeMap::new(),
            proofs: BTreeMap::new(),
            caller_references: BTreeSet::new(),
            certificates: BTreeMap::new(),
            expiry_event_days: 45,
            server_certificates: BTreeMap::new(),
            user_pools: BTreeMap::new(),
            outside: Outside::default(),
            elsewhere: elsewhere::Elsewhere::default(),
            tags: tag_store::TagStore::default(),
            wafv2: wafv2::Wafv2::default(),
            waf_regional: waf_regional::WafRegional::default(),
            web_acl_associations: BTreeMap::new(),
            shield: shield::Shield::default(),
            client_tokens: BTreeMap::new(),
            due: BTreeMap::new(),
            scheduled: 0,
        }
    }

    /// Begins what is left to chance anew, by a seed and by what account this is
    /// in what region.
    pub fn draw_by(&mut self, seed: u64) {
        let place = format!("{} {}", self.account, self.region);
        self.draws = ids::Ids::seeded(seed, &place);
    }

    /// Makes every transition that is due at `now`; tells whether there was one.
    pub fn advance(&mut self, now: Timestamp) -> bool {
        self.tags.pass(now, self.timing.tag_linger_ms);
        let mut changed = false;
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            // What follows from it counts from then, however late this is.
            let ((at, _), transition) = entry.remove_entry();
            self.carry_out(transition, at);
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
        regions::dns_suffix(&self.region)
    }

    /// When the next transition is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Schedules what takes `knob_ms` by the knobs; how long it takes in truth
    /// is drawn.
    fn schedule(&mut self, now: Timestamp, knob_ms: u64, transition: Transition) -> Timestamp {
        let drawn = self.draws.fraction();
        let delay_ms = self.timing.duration_ms(knob_ms, drawn);
        let delay = SignedDuration::from_millis(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let at = now.checked_add(delay).unwrap_or(Timestamp::MAX);
        self.schedule_at(at, transition);
        at
    }

    fn schedule_at(&mut self, at: Timestamp, transition: Transition) {
        self.scheduled += 1;
        self.due.insert((at, self.scheduled), transition);
    }

    fn carry_out(&mut self, transition: Transition, now: Timestamp) {
        match transition {
            Transition::LoadBalancerActive(arn) => {
                if let Some(balancer) = self.load_balancers.get_mut(&arn) {
                    balancer.state = LoadBalancerState::Active;
                }
            }
            Transition::CapacityProvisioned(arn) => self.grant_capacity(&arn),
            Transition::TrustStoreActive(arn) => {
                if let Some(store) = self.trust_stores.get_mut(&arn) {
                    store.status = TrustStoreStatus::Active;
                }
            }
            Transition::ChangeInsync(id) => {
                if let Some(change) = self.changes.get_mut(&id) {
                    change.insync = true;
                }
            }
            Transition::NewsSpread => self.lags.pass(now),
            Transition::TargetAnnounced(group, key, registered) => {
                self.announce_target(&group, &key, registered);
            }
            Transition::TargetSettled(group, key) => self.settle_target(&group, &key, now),
            Transition::TargetGone(group, key) => self.finish_draining(&group, &key, now),
            Transition::InterfaceGone(id) => self.release_interface(&id),
            Transition::Instance(id, from) => self.move_instance(&id, from, now),
            Transition::NatGateway(id, from) => self.move_nat_gateway(&id, from, now),
            Transition::ValidationLook(arn, name) => self.validate_name(&arn, &name, now),
            Transition::ValidationTimedOut(arn) => self.time_validation_out(&arn),
            Transition::CertificateExpired(arn, at) => self.expire_certificate(&arn, at),
        }
    }
}
