//! A small world for tests of the model: an account, and manifests in short.

#![allow(clippy::panic, clippy::unwrap_used)] // a test may fail loudly

use std::collections::{BTreeMap, BTreeSet};

use super::build::build;
use super::desired::{Desired, Intent, Stack};
use super::facts::{Facts, KnownSecurityGroup, Subnet};
use super::finding::{Effect, Reason};
use super::group::GroupId;
use super::settings::Settings;
use super::snapshot::{Snapshot, snapshot_from_yaml};
use super::spec::{
    LiveLoadBalancer, LoadBalancer, LoadBalancerState, ObjectName, Observed, Scheme, Tags,
};

/// The IngressClass `alb` and a ready node `n` with instance `i-1`.
pub(super) const WORLD: &str = "
kind: IngressClass
metadata: {name: alb}
spec: {controller: ingress.k8s.aws/alb}
---
kind: Node
metadata: {name: n}
spec: {providerID: 'aws:///eu-west-1a/i-1'}
status: {conditions: [{type: Ready, status: 'True'}]}
";

/// A Service of type NodePort with port 80 (8080 in pods, 30080 on nodes) and
/// one ready pod.
pub(super) fn service(namespace: &str, name: &str, annotations: &str) -> String {
    format!(
        "---
kind: Service
metadata: {{name: {name}, namespace: {namespace}, uid: uid-{name}, annotations: {{{annotations}}}}}
spec:
  type: NodePort
  ports: [{{name: http, port: 80, targetPort: 8080, nodePort: 30080}}]
---
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{{addresses: [10.0.48.11], targetRef: {{kind: Pod, name: p}}}}]
"
    )
}

/// An Ingress of class `alb` with host `<name>.example.com` and path `/`
/// leading to the Service of its own name. `annotations` are `short: value`
/// pairs without the prefix, one a line.
pub(super) fn ingress(namespace: &str, name: &str, annotations: &str) -> String {
    ingress_with(
        namespace,
        name,
        annotations,
        "",
        &format!(
            "rules: [{{host: {name}.example.com, http: {{paths: [{{path: /, pathType: Prefix, \
             backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}]}}}}]"
        ),
    )
}

/// An Ingress of class `alb` with more metadata and a spec of its own.
pub(super) fn ingress_with(
    namespace: &str,
    name: &str,
    annotations: &str,
    metadata: &str,
    spec: &str,
) -> String {
    let mut text = String::new();
    for line in annotations
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        text += "    alb.ingress.kubernetes.io/";
        text += line;
        text += "\n";
    }
    format!(
        "---
kind: Ingress
metadata:
  name: {name}
  namespace: {namespace}
  {metadata}
  annotations:
    other/tool: x
{text}spec:
  ingressClassName: alb
  {spec}
"
    )
}

/// An Ingress with its Service in a group of namespace `shop`, targets `ip`.
pub(super) fn member(name: &str, annotations: &str) -> String {
    service("shop", name, "")
        + &ingress(
            "shop",
            name,
            &format!("group.name: g\ntarget-type: ip\n{annotations}"),
        )
}

/// `member` with a certificate, listening on 80 and 443.
pub(super) fn secure_member(name: &str, annotations: &str) -> String {
    member(
        name,
        &format!(
            "listen-ports: '[{{\"HTTP\":80}},{{\"HTTPS\":443}}]'\ncertificate-arn: arn:{name}\n\
             {annotations}"
        ),
    )
}

pub(super) fn snapshot(manifests: &[String]) -> Snapshot {
    snapshot_from_yaml(&(WORLD.to_owned() + &manifests.concat())).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings::new("harbor", "vpc-1")
}

pub(super) fn group() -> GroupId {
    GroupId::Explicit("g".into())
}

/// Two private subnets, a public one, and security groups `sg-1`, `sg-2`.
pub(super) fn facts() -> Facts {
    let subnet = |id: &str, zone: &str, role: &str| Subnet {
        id: id.to_owned(),
        availability_zone: zone.to_owned(),
        locale: "availability-zone".to_owned(),
        available_addresses: 100,
        routed_to_internet: false,
        tags: Tags::from([(role.to_owned(), "1".to_owned())]),
    };
    let group = |name: &str| KnownSecurityGroup {
        name: name.to_owned(),
        tags: Tags::new(),
    };
    Facts {
        vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        subnets: vec![
            subnet("subnet-1", "a", "kubernetes.io/role/internal-elb"),
            subnet("subnet-2", "b", "kubernetes.io/role/internal-elb"),
            subnet("subnet-3", "a", "kubernetes.io/role/elb"),
        ],
        security_groups: [("sg-1", "one"), ("sg-2", "two")]
            .into_iter()
            .map(|(id, name)| (id.to_owned(), group(name)))
            .collect(),
        ..Facts::default()
    }
}

/// The desired state of the group `g`.
pub(super) fn desired(manifests: &[String]) -> Desired {
    build(&group(), &snapshot(manifests), &facts(), &settings())
}

pub(super) fn stack(desired: &Desired) -> &Stack {
    match &desired.intent {
        Intent::Serve(stack) => stack,
        other => panic!("not served: {other:?}, {:?}", desired.findings),
    }
}

pub(super) fn shop(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

/// Findings as (Ingress name, effect, reason).
pub(super) fn found(desired: &Desired) -> Vec<(&str, Effect, Reason)> {
    desired
        .findings
        .iter()
        .map(|finding| {
            (
                finding.ingress.name.as_str(),
                finding.effect,
                finding.reason,
            )
        })
        .collect()
}

/// Rules of a listener in order, as text.
pub(super) fn rules(desired: &Desired, port: u16) -> Vec<String> {
    stack(desired).listeners[&port]
        .rules
        .iter()
        .map(|rule| rule.rule.to_string())
        .collect()
}

/// A load balancer as AWS holds it.
pub(crate) fn live(state: LoadBalancerState) -> Observed {
    Observed {
        load_balancers: vec![LiveLoadBalancer {
            arn: "arn:lb".into(),
            spec: load_balancer(),
            dns_name: "Web-1.eu-west-1.elb.amazonaws.com".to_owned(),
            hosted_zone_id: "Z1".to_owned(),
            state,
            listeners: BTreeMap::new(),
        }],
        ..Observed::default()
    }
}

/// An internal load balancer without anything.
pub(crate) fn load_balancer() -> LoadBalancer {
    LoadBalancer {
        name: "k8s-shop-web-1".to_owned(),
        scheme: Scheme::Internal,
        subnets: BTreeSet::new(),
        security_groups: BTreeSet::new(),
        tags: Tags::new(),
    }
}
