//! What records need to know of load balancers and of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Reconciler;
use super::super::models::Seen;
use super::parting;
use crate::aws::Error;
use crate::model::desired::{Desired, Intent};
use crate::model::facts::Facts;
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::membership::Membership;
use crate::model::records::{AliasTarget, Place};
use crate::model::records_build::{self, HostRules, host_rules};
use crate::model::snapshot::Snapshot;
use crate::model::spec::{LiveLoadBalancer, LoadBalancerState, ObjectName, Observed, Scheme};
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

/// What of a group matters for records, and what it was found by.
struct Part {
    observed: Arc<Observed>,
    load_balancer: LoadBalancerOf,
    keepers: BTreeSet<ObjectName>,
    has_frozen: bool,
}

/// What of all groups matters for records: looked at again only where
/// something has changed.
#[derive(Default)]
pub(in super::super) struct Groups {
    parts: BTreeMap<GroupId, Part>,
    seen: Option<Seen>,
}

impl Groups {
    /// Looks at the groups for which something has changed.
    pub(super) fn look(
        &mut self,
        cx: &Reconciler,
        membership: &Membership,
        snapshot: &Indexed,
        facts: &Arc<Facts>,
    ) {
        let seen = self.seen.as_ref();
        let changed = seen.and_then(|seen| seen.changed(snapshot, facts));
        let groups = &membership.groups;
        self.parts.retain(|group, _| groups.contains_key(group));
        let stale = groups.iter().filter_map(|(group, placed)| {
            let observed = cx.memory.remembered(group);
            let is_known = self.parts.get(group).is_some_and(|part| {
                // Of others' leavers AWS tells.
                placed.leavers.is_empty() && Arc::ptr_eq(&part.observed, &observed)
            });
            let changed = changed
                .as_ref()
                .is_none_or(|changed| changed.contains(group));
            (changed || !is_known).then_some((group, placed, observed))
        });
        let stale: Vec<_> = stale.collect();
        let count = stale.len();
        for (group, placed, observed) in stale {
            let models = &cx.models;
            let mut desired = models.one_of(count, group, snapshot, facts, &cx.settings);
            desired.leavers.clone_from(&placed.leavers);
            let part = Part {
                load_balancer: LoadBalancerOf::group(&desired, &observed),
                keepers: parting::keepers(&desired),
                has_frozen: !desired.frozen.is_empty(),
                observed,
            };
            self.parts.insert(group.clone(), part);
        }
        self.seen = Some(Seen::now(snapshot, facts));
    }

    /// What of all groups' load balancers matters for records.
    pub(super) fn live(&self) -> Live {
        let parts = self.parts.iter();
        Live(
            parts
                .map(|(group, part)| (group.clone(), part.load_balancer.clone()))
                .collect(),
        )
    }

    /// Ingresses whose records stay as they are.
    pub(super) fn keepers(&self) -> BTreeSet<ObjectName> {
        let parts = self.parts.values();
        parts
            .flat_map(|part| part.keepers.iter().cloned())
            .collect()
    }

    /// Groups with frozen members.
    pub(super) fn with_frozen(&self) -> Vec<GroupId> {
        let parts = self.parts.iter().filter(|(_, part)| part.has_frozen);
        parts.map(|(group, _)| group.clone()).collect()
    }
}

/// What of all groups' load balancers matters for records.
pub(super) struct Live(pub(super) BTreeMap<GroupId, LoadBalancerOf>);

impl Live {
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

/// Hosts that AWS serves for these groups, which have frozen members.
pub(super) async fn hosts_of_frozen(
    cx: &Reconciler,
    groups: Vec<GroupId>,
) -> Result<BTreeMap<GroupId, BTreeSet<String>>, Error> {
    let mut hosts = BTreeMap::new();
    for group in groups {
        let observed = cx.memory.recall(&group).await?;
        hosts.insert(group, records_build::live_hosts(&observed));
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
