//! Steps: what can be done to AWS, one call each, as data that a person can
//! read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::spec::{
    Arn, HealthCheck, Listener, LoadBalancer, Permission, Rule, Scheme, SecurityGroup,
    SecurityGroupRef, Tags, Target, TargetGroup, TargetGroupKey, TargetGroupRef,
};

/// How a step names the load balancer it works on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadBalancerRef {
    /// The one that this plan creates.
    New,
    /// An existing one.
    Arn(Arn),
}

/// How a step names the listener it works on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenerRef {
    /// The one that this plan creates on this port.
    New(u16),
    /// An existing one.
    Arn {
        /// Its ARN.
        arn: Arn,
        /// Its port, for people.
        port: u16,
    },
}

impl ListenerRef {
    /// Port of the listener.
    pub fn port(&self) -> u16 {
        match self {
            Self::New(port) | Self::Arn { port, .. } => *port,
        }
    }
}

/// One call to AWS. Imperatives; each is idempotent or refused typed by AWS
/// when it was done already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create a security group, tags inline. Its inbound rules follow as a
    /// step of their own.
    CreateSecurityGroup {
        /// `Frontend` or `Backend`.
        group: SecurityGroupRef,
        /// What it is like.
        spec: SecurityGroup,
    },
    /// Add inbound rules.
    AuthorizeIngress {
        /// Where.
        group: SecurityGroupRef,
        /// Which.
        permissions: BTreeSet<Permission>,
    },
    /// Take inbound rules away.
    RevokeIngress {
        /// Where.
        group: SecurityGroupRef,
        /// Which.
        permissions: BTreeSet<Permission>,
    },
    /// Add or overwrite tags of a security group (`CreateTags`).
    TagSecurityGroup {
        /// Id.
        id: String,
        /// Tags to add or overwrite.
        tags: Tags,
    },
    /// Remove tags of a security group (`DeleteTags`).
    UntagSecurityGroup {
        /// Id.
        id: String,
        /// Keys.
        keys: BTreeSet<String>,
    },
    /// Delete a security group.
    DeleteSecurityGroup {
        /// Id.
        id: String,
        /// Name, for people.
        name: String,
    },
    /// Create the load balancer, tags inline.
    CreateLoadBalancer(LoadBalancer),
    /// Replace the set of subnets.
    SetSubnets {
        /// Which load balancer.
        load_balancer: Arn,
        /// The whole set.
        subnets: BTreeSet<String>,
    },
    /// Replace the set of security groups.
    SetSecurityGroups {
        /// Which load balancer.
        load_balancer: Arn,
        /// The whole set.
        security_groups: BTreeSet<SecurityGroupRef>,
    },
    /// Delete a load balancer; its listeners and rules go with it.
    DeleteLoadBalancer {
        /// Which.
        arn: Arn,
        /// Name, for people.
        name: String,
        /// Scheme, for people.
        scheme: Scheme,
    },
    /// Create a listener, tags and default certificate inline.
    CreateListener {
        /// On which load balancer.
        load_balancer: LoadBalancerRef,
        /// What it is like.
        listener: Listener,
    },
    /// Change protocol, default certificate, policy or default action.
    ModifyListener {
        /// Which.
        arn: Arn,
        /// What it should be like; SNI certificates and tags are not part of
        /// the call.
        listener: Listener,
    },
    /// Add one certificate to the SNI list.
    AddListenerCertificate {
        /// Where.
        listener: ListenerRef,
        /// Which.
        certificate: Arn,
    },
    /// Remove one certificate from the SNI list.
    RemoveListenerCertificate {
        /// Where.
        listener: ListenerRef,
        /// Which.
        certificate: Arn,
    },
    /// Delete a listener with its rules.
    DeleteListener {
        /// Which.
        arn: Arn,
        /// Port, for people.
        port: u16,
    },
    /// Create a rule, tags inline.
    CreateRule {
        /// Where.
        listener: ListenerRef,
        /// Priority, 1 to 50,000.
        priority: u32,
        /// What it is like.
        rule: Rule,
    },
    /// Change conditions and action of a rule in place.
    ModifyRule {
        /// Which.
        arn: Arn,
        /// Port of its listener.
        port: u16,
        /// Its priority, for people.
        priority: u32,
        /// What it should be like; tags are not part of the call.
        rule: Rule,
    },
    /// Move rules, all of one listener in one call.
    SetRulePriorities {
        /// Port of the listener.
        port: u16,
        /// New priority by rule ARN.
        priorities: BTreeMap<Arn, u32>,
    },
    /// Delete a rule.
    DeleteRule {
        /// Which.
        arn: Arn,
        /// Port of its listener.
        port: u16,
        /// Its priority, for people.
        priority: u32,
        /// What it was like, for people.
        rule: Rule,
    },
    /// Create a target group, tags inline.
    CreateTargetGroup(TargetGroup),
    /// Change the health check of a target group.
    ModifyTargetGroup {
        /// Which.
        arn: Arn,
        /// Its key, for people.
        key: TargetGroupKey,
        /// What it should be.
        health_check: HealthCheck,
    },
    /// Delete a target group; its targets need no deregistration first.
    DeleteTargetGroup {
        /// Which.
        arn: Arn,
        /// Its key, for people.
        key: TargetGroupKey,
    },
    /// Register targets, at most 200.
    RegisterTargets {
        /// Where.
        target_group: TargetGroupRef,
        /// Its key.
        key: TargetGroupKey,
        /// Which.
        targets: BTreeSet<Target>,
    },
    /// Deregister targets, at most 200.
    DeregisterTargets {
        /// Where.
        target_group: Arn,
        /// Its key.
        key: TargetGroupKey,
        /// Which.
        targets: BTreeSet<Target>,
    },
    /// Add or overwrite tags of load balancers, listeners, rules or target
    /// groups (`AddTags`, at most 20 resources that get the same tags). Never
    /// repeats the tag `elbv2.k8s.aws/cluster` on a load balancer or target
    /// group: policies made for LBC forbid it.
    AddTags {
        /// Which resources.
        resources: BTreeSet<Arn>,
        /// Tags.
        tags: Tags,
        /// What they are, for people.
        what: String,
    },
    /// Remove tags (`RemoveTags`).
    RemoveTags {
        /// Which resources.
        resources: BTreeSet<Arn>,
        /// Keys.
        keys: BTreeSet<String>,
        /// What they are, for people.
        what: String,
    },
}

impl Step {
    /// Whether it registers or deregisters targets: work that nothing may
    /// stand in the way of, and that the digest of a group says nothing about.
    pub fn is_of_targets(&self) -> bool {
        matches!(
            self,
            Self::RegisterTargets { .. } | Self::DeregisterTargets { .. }
        )
    }
}

/// Something that a step needs and does not exist at plan time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The shared backend security group, made by its own key of work.
    BackendSecurityGroup,
    /// A port that the shared backend security group is let in at, on the
    /// groups of nodes and pods; made by its own key of work.
    BackendPort(u16),
    /// The load balancer that replaces another one (its scheme changed) must be
    /// active before the other one goes. Time makes it; the state is polled.
    ActiveLoadBalancer {
        /// Name of the new load balancer.
        name: String,
    },
    /// The records that lead to the load balancer that is replaced must be gone
    /// first, where the new one gets none; made by the key of records.
    RecordsGone,
}

impl Need {
    /// Whether the key of the shared backend group makes it.
    pub fn is_of_backend(&self) -> bool {
        matches!(self, Self::BackendSecurityGroup | Self::BackendPort(_))
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackendSecurityGroup => f.write_str("the backend security group"),
            Self::BackendPort(port) => write!(f, "port {port} open to the backend security group"),
            Self::ActiveLoadBalancer { name } => write!(f, "load balancer {name} to be active"),
            Self::RecordsGone => f.write_str("the DNS records that lead to it to be gone"),
        }
    }
}

/// Position of a step in its plan.
pub type StepId = usize;

/// A step with what must come before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The step.
    pub step: Step,
    /// Steps of the same plan that must have succeeded; always earlier ones.
    pub after: BTreeSet<StepId>,
    /// What other keys of work must have made.
    pub needs: BTreeSet<Need>,
    /// Work that can wait until nothing else is to be done (tags of rules
    /// that moved).
    pub low_priority: bool,
}

/// What is decided for one group: steps in an order that is safe one by one,
/// with edges that say what may run side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Planned>,
    /// What people call the live things that steps name by ARN: a target
    /// group by its key.
    pub names: BTreeMap<Arn, String>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
