//! The account as AWS holds it: pure values and the rules that change them.
//!
//! Nothing here does I/O or reads a clock. Time comes in as an argument, ids
//! come from a seeded generator, so a sequence of calls is repeatable. A call
//! either changes the state as AWS would or refuses with AWS's code.

pub mod acm;
pub mod action;
pub mod arn;
pub mod attributes;
pub mod change_batch;
pub mod condition;
pub mod dns_name;
pub mod elsewhere;
pub mod health_check;
pub mod ids;
pub mod instance;
mod ipv6;
pub mod listener;
pub mod load_balancer;
pub mod outside;
mod placement;
mod places;
pub mod quotas;
pub mod record_set;
mod record_value;
pub mod refusal;
pub mod regions;
pub mod registration;
pub mod route53;
pub mod rule;
pub mod security_group;
pub mod server_certificate;
pub mod ssl_policy;
pub mod tags;
pub mod target;
pub mod target_group;
pub mod user_pool;
pub mod validation;
pub mod vpc;
mod x509;
pub mod zone_vpcs;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::timing::Timing;

pub use self::{
    acm::{Certificate, CertificateStatus},
    instance::{Instance, InstanceState, NetworkInterface},
    listener::{
        Action, ActionKind, FixedResponse, Forward, Listener, Protocol, Redirect,
        WeightedTargetGroup,
    },
    load_balancer::{LoadBalancer, LoadBalancerState, Scheme},
    outside::Outside,
    quotas::Quotas,
    record_set::{AliasTarget, RecordSet, RoutingPolicy},
    refusal::{Answer, Refusal},
    route53::{Change, HostedZone, RecordKey},
    rule::{Condition, Patterns, QueryPair, Rule},
    security_group::{Peer, Permission, SecurityGroup, SecurityGroupRule},
    tags::Tags,
    target::{HealthState, ProbeFailure, Probed, Target, TargetHealth, TargetKey},
    target_group::{HealthCheck, Matcher, TargetGroup, TargetType},
    vpc::{AvailabilityZone, InternetGateway, Route, RouteTable, Subnet, Vpc},
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
    /// ACM finds the record of a name of a requested certificate.
    ValidationLook(String, String),
    /// Nobody has proven a requested certificate in time.
    ValidationTimedOut(String),
    /// The validity of a certificate, as it was at that time, is over.
    CertificateExpired(String, Timestamp),
}

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
        regions::dns_suffix(&self.region)
    }

    /// When the next transition is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    fn schedule(&mut self, now: Timestamp, delay_ms: u64, transition: Transition) -> Timestamp {
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
            Transition::ChangeInsync(id) => {
                if let Some(change) = self.changes.get_mut(&id) {
                    change.insync = true;
                }
            }
            Transition::TargetGone(group, key) => self.finish_draining(&group, &key, now),
            Transition::InterfaceGone(id) => self.release_interface(&id),
            Transition::ValidationLook(arn, name) => self.validate_name(&arn, &name, now),
            Transition::ValidationTimedOut(arn) => self.time_validation_out(&arn),
            Transition::CertificateExpired(arn, at) => self.expire_certificate(&arn, at),
        }
    }
}
