//! What records need to know of load balancers and of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Reconciler;
use crate::aws::Error;
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
use crate::model::membership::Membership;
use crate::model::records::{AliasTarget, Place};
use crate::model::records_build::{self, HostRules, host_rules};
use crate::model::snapshot::Snapshot;
use crate::model::spec::{LiveLoadBalancer, LoadBalancerState, Observed, Scheme};
use crate::plan::dns::DnsContext;
use crate::plan::{current, successor};

/// The namespace whose UID tells clusters apart.
const SYSTEM_NAMESPACE: &str = "kube-system";

/// The value of `--ingress-class` that one installation in a cluster has.
const DEFAULT_CLASS: &str = "alb";

/// What of a group's load balancer matters for its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LoadBalancerOf {
    /// Where records are to point, once it serves.
    target: Option<AliasTarget>,
    /// As live, else as desired.
    scheme: Option<Scheme>,
    /// How far the rules for its hosts are.
    rules: BTreeMap<String, HostRules>,
    /// What is about to replace it.
    pub(super) successor: Option<(Scheme, AliasTarget)>,
}

impl LoadBalancerOf {
    pub(super) fn group(desired: &Desired, observed: &Observed) -> Self {
        let wished = match &desired.intent {
            Intent::Serve(stack) => Some(stack.load_balancer.scheme),
            _ => None,
        };
        let load_balancer = current(desired, observed);
        let serving = load_balancer.filter(|lb| serves(lb));
        Self {
            target: serving.map(alias_of),
            scheme: load_balancer.map(|lb| lb.spec.scheme).or(wished),
            rules: host_rules(desired, load_balancer),
            successor: successor(desired, observed).map(|lb| (lb.spec.scheme, alias_of(lb))),
        }
    }
}

fn alias_of(lb: &LiveLoadBalancer) -> AliasTarget {
    AliasTarget {
        dns_name: lb.dns_name.trim_end_matches('.').to_ascii_lowercase(),
        hosted_zone_id: lb.hosted_zone_id.clone(),
    }
}

/// What of all groups' load balancers matters for records.
pub(super) struct Live(pub(super) BTreeMap<GroupId, LoadBalancerOf>);

impl Live {
    pub(super) fn of(cx: &Reconciler, all: &BTreeMap<GroupId, Desired>) -> Self {
        let groups = all.iter().map(|(group, desired)| {
            let observed = cx.memory.remembered(group);
            (group.clone(), LoadBalancerOf::group(desired, &observed))
        });
        Self(groups.collect())
    }

    pub(super) fn targets(&self) -> BTreeMap<GroupId, AliasTarget> {
        self.each(|of| of.target.clone())
    }

    pub(super) fn schemes(&self) -> BTreeMap<GroupId, Scheme> {
        self.each(|of| of.scheme)
    }

    /// How far the rules for each host are.
    pub(super) fn rules(&self) -> BTreeMap<GroupId, BTreeMap<String, HostRules>> {
        self.each(|of| Some(of.rules.clone()))
    }

    /// Load balancers that are about to replace others.
    pub(super) fn successors(&self) -> BTreeMap<GroupId, (Scheme, AliasTarget)> {
        self.each(|of| of.successor.clone())
    }

    fn each<T>(&self, of: impl Fn(&LoadBalancerOf) -> Option<T>) -> BTreeMap<GroupId, T> {
        let groups = self.0.iter();
        groups
            .filter_map(|(group, live)| Some((group.clone(), of(live)?)))
            .collect()
    }
}

/// Hosts that AWS serves for groups with frozen members.
pub(super) async fn hosts_of_frozen(
    cx: &Reconciler,
    all: &BTreeMap<GroupId, Desired>,
) -> Result<BTreeMap<GroupId, BTreeSet<String>>, Error> {
    let mut hosts = BTreeMap::new();
    for (group, _) in all.iter().filter(|(_, desired)| !desired.frozen.is_empty()) {
        let observed = cx.memory.recall(group).await?;
        hosts.insert(group.clone(), records_build::live_hosts(&observed));
    }
    Ok(hosts)
}

/// What a plan of records depends on beside them.
pub(super) fn context(
    cx: &Reconciler,
    snapshot: &Snapshot,
    membership: &Membership,
    spreading: BTreeSet<Place>,
) -> DnsContext {
    DnsContext {
        cluster: cx.settings.cluster_name.clone(),
        cluster_uid: snapshot
            .namespaces
            .get(SYSTEM_NAMESPACE)
            .and_then(|namespace| namespace.metadata.uid.clone()),
        groups: membership.groups.keys().cloned().collect(),
        sees_all: cx.parts.settings.watch_namespace.is_none()
            && cx.settings.ingress_class == DEFAULT_CLASS,
        spreading,
    }
}

/// Whether a load balancer is active and has listeners and rules.
fn serves(lb: &LiveLoadBalancer) -> bool {
    let active = matches!(
        lb.state,
        LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
    );
    active
        && lb
            .listeners
            .values()
            .any(|listener| !listener.rules.is_empty())
}

/// Whether a record of a host, in a zone for load balancers of a scheme, can
/// have led to what AWS holds: to one that is active and has a rule for the
/// host.
pub(super) fn may_lead_to(host: &str, scheme: Scheme, observed: &Observed) -> bool {
    let load_balancers = observed.load_balancers.iter();
    let mut fitting = load_balancers.filter(|lb| lb.spec.scheme == scheme && serves(lb));
    fitting.any(|lb| records_build::hosts_of_load_balancer(lb).any(|served| served == host))
}
