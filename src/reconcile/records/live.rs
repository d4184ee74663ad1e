//! What records need to know of load balancers and of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Reconciler;
use crate::model::desired::{Desired, Intent};
use crate::model::records::{AliasTarget, Place};
use crate::model::records_build::{self, HostRules, host_rules};
use crate::model::snapshot::Snapshot;
use crate::model::spec::{LiveLoadBalancer, LoadBalancerState, Observed, Scheme};
use crate::plan::dns::{DnsContext, KnownGroups};
use crate::plan::{current, successor};

/// The namespace whose UID tells clusters apart.
const SYSTEM_NAMESPACE: &str = "kube-system";

/// The value of `--ingress-class` that one installation in a cluster has.
const DEFAULT_CLASS: &str = "alb";

/// What of a group's load balancer matters for its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LoadBalancerOf {
    /// Where records are to point, once it serves.
    pub(super) target: Option<AliasTarget>,
    /// As live, else as desired.
    pub(super) scheme: Option<Scheme>,
    /// How far the rules for its hosts are.
    pub(super) rules: BTreeMap<String, HostRules>,
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

/// What a plan of records depends on beside them.
pub(super) fn context(
    cx: &Reconciler,
    snapshot: &Snapshot,
    groups: KnownGroups,
    spreading: BTreeSet<Place>,
) -> DnsContext {
    DnsContext {
        cluster: cx.settings.cluster_name.clone(),
        cluster_uid: cluster_uid(snapshot).map(str::to_owned),
        groups,
        sees_all: cx.parts.settings.watch_namespace.is_none()
            && cx.settings.ingress_class == DEFAULT_CLASS,
        spreading,
    }
}

/// What tells this cluster from another of the same name.
pub(super) fn cluster_uid(snapshot: &Snapshot) -> Option<&str> {
    let system = snapshot.namespaces.get(SYSTEM_NAMESPACE);
    system.and_then(|namespace| namespace.metadata.uid.as_deref())
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
