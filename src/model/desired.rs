//! The desired state of one load balancer group.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Reason};
use super::group::GroupId;
use super::spec::{
    Listener, LoadBalancer, ObjectName, Rule, SecurityGroup, Target, TargetGroup, TargetGroupKey,
};

/// What should be, for one group, and what is wrong with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The group.
    pub group: GroupId,
    /// Active members in group order, frozen ones included.
    pub members: Vec<ObjectName>,
    /// Ingresses that carry the group's finalizer and no longer belong:
    /// deleted, of another class, or in another group.
    pub leavers: Vec<Leaver>,
    /// Members for which nothing new is made and whose live parts stay.
    pub frozen: BTreeSet<ObjectName>,
    /// Leavers whose live parts stay, but for targets, which follow the pods:
    /// until DNS says that they are gone, requests still come here. None as
    /// `model` builds it.
    pub held: BTreeSet<ObjectName>,
    /// Target groups as leavers would have them now, for the targets of those
    /// that are held. Without an entry, what is live stays whole.
    pub parting: BTreeMap<TargetGroupKey, DesiredTargetGroup>,
    /// What is wrong, with the effects that `frozen` sums up.
    pub findings: Vec<Finding>,
    /// What stands in the way of a load balancer that is not made yet: a frozen
    /// member states a group-wide value, or subnets cannot be discovered. While
    /// this is not empty and AWS holds no load balancer of the desired scheme
    /// for the group, nothing is made for it (an `Intent::Serve` is treated as
    /// `Hold`) and these findings are reported besides `findings`. Where the
    /// load balancer is there already they mean nothing and are not reported.
    pub blocks_creation: Vec<Finding>,
    /// What is to be done about AWS.
    pub intent: Intent,
}

impl Desired {
    /// Whether a frozen member states a group-wide value, so that a group that
    /// is not made yet waits (`blocks_creation` says for whom).
    pub fn frozen_states_group_wide(&self) -> bool {
        self.blocks_creation
            .iter()
            .any(|finding| finding.reason == Reason::WaitingForMember)
    }

    /// Whether live parts of somebody stay whatever else is wished.
    pub fn keeps_live_parts(&self) -> bool {
        !self.frozen.is_empty() || !self.held.is_empty()
    }

    /// Target groups of leavers that are held, as they would have them now.
    pub fn held_target_groups(
        &self,
    ) -> impl Iterator<Item = (&TargetGroupKey, &DesiredTargetGroup)> {
        let parting = self.parting.iter();
        parting.filter(|(_, group)| self.held.contains(&group.owner))
    }

    /// All target groups whose targets are to be kept: those that are wished
    /// and those that are held.
    pub fn target_groups(&self) -> impl Iterator<Item = &DesiredTargetGroup> {
        let wished = match &self.intent {
            Intent::Serve(stack) => Some(stack.target_groups.values()),
            _ => None,
        };
        let held = self.held_target_groups().map(|(_, group)| group);
        wished.into_iter().flatten().chain(held)
    }
}

/// An Ingress on its way out of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// Which.
    pub ingress: ObjectName,
    /// Whether it is being deleted, rather than moved.
    pub deleted: bool,
}

/// What is to be done about AWS for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Make AWS hold this.
    Serve(Box<Stack>),
    /// The group has no members: nothing may be left but what is held.
    Remove,
    /// Every member is frozen: nothing is made or changed. What is live stays,
    /// except what can be attributed to a leaver, for deletion is never frozen.
    Hold,
    /// The group is another controller's for now.
    LeaveAlone,
}

/// A load balancer with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The load balancer.
    pub load_balancer: LoadBalancer,
    /// Whether no annotation states subnets: then a live load balancer of the
    /// same scheme keeps the ones it has.
    pub subnets_discovered: bool,
    /// The managed frontend security group; `None` where groups are given.
    pub frontend: Option<SecurityGroup>,
    /// Listeners by port, each with its rules in order. Priorities are dense:
    /// 1, 2, 3, … in that order.
    pub listeners: BTreeMap<u16, DesiredListener>,
    /// Target groups with their targets.
    pub target_groups: BTreeMap<TargetGroupKey, DesiredTargetGroup>,
    /// Which Ingress states which value, so that a refusal by AWS finds the
    /// one to blame.
    pub origins: Vec<Origin>,
}

/// A listener with its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredListener {
    /// The listener.
    pub listener: Listener,
    /// Rules in order, each with the Ingress that asks for it. The tag
    /// `ingress.k8s.aws/resource` is already set to the dense priority.
    pub rules: Vec<DesiredRule>,
}

/// A rule and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRule {
    /// The Ingress that asks for it.
    pub owner: ObjectName,
    /// The rule.
    pub rule: Rule,
}

/// A target group with its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredTargetGroup {
    /// The Ingress that asks for it.
    pub owner: ObjectName,
    /// The Service whose pods, or whose node port, the targets are.
    pub service: ObjectName,
    /// The target group.
    pub target_group: TargetGroup,
    /// Its targets.
    pub targets: BTreeSet<Target>,
    /// Ports that the shared backend security group must be let in at, on the
    /// groups of nodes or pods, before the targets can be healthy; empty where
    /// those rules are the user's business.
    pub backend_ports: BTreeSet<u16>,
}

/// A value that AWS may refuse, and who states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who.
    pub ingress: ObjectName,
    /// Annotation in short form, or `spec`.
    pub subject: String,
    /// The value that goes to AWS: a certificate ARN, a subnet id, a security
    /// group id, a policy name, …
    pub value: String,
}
