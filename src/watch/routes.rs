//! From a changed object to the keys that it concerns. Pure functions over the
//! snapshot that has the change in it already.
//!
//! A change of an Ingress concerns the group that it is in, the one that it
//! was in, and those whose finalizers it carries: who leaves a group must wake
//! it. What groups share follows: the backend security group wherever targets
//! or groups may differ, the records wherever hosts may.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use crate::key::Key;
use crate::model::endpoints::Pod;
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::membership::{self, Place};
use crate::model::settings::Settings;
use crate::model::snapshot::TargetGroupBinding;
use crate::model::spec::ObjectName;

/// What a route is decided from.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// All kinds, the change included.
    pub known: &'a Indexed,
    /// Settings.
    pub settings: &'a Settings,
}

/// All keys there are: at the start, and when everything is verified.
pub fn everything(view: View<'_>) -> BTreeSet<Key> {
    let index = view.known.index();
    let groups = index.groups().chain(index.left_alone());
    let mut keys: BTreeSet<Key> = groups.cloned().map(Key::Group).collect();
    keys.insert(Key::Backend);
    keys.extend(dns(view));
    keys
}

/// An Ingress changed.
pub fn ingress(old: Option<&Ingress>, new: Option<&Ingress>, view: View<'_>) -> BTreeSet<Key> {
    let versions = || [old, new].into_iter().flatten();
    let groups: BTreeSet<GroupId> = versions()
        .flat_map(|version| groups_of(version, view))
        .collect();
    let unreadable = versions().any(|version| {
        matches!(
            membership::group_of(version, view.known, view.settings),
            Place::Unreadable(_)
        )
    });
    if groups.is_empty() && !unreadable {
        return BTreeSet::new();
    }
    let mut keys: BTreeSet<Key> = groups.into_iter().map(Key::Group).collect();
    keys.insert(Key::Backend);
    keys.extend(dns(view));
    keys
}

/// An IngressClass changed: Ingresses that name it, and those that name none
/// where it is, or was, the default one.
pub fn ingress_class(
    old: Option<&IngressClass>,
    new: Option<&IngressClass>,
    view: View<'_>,
) -> BTreeSet<Key> {
    let index = view.known.index();
    let mut keys = BTreeSet::new();
    for name in index.of_classes(old, new) {
        if let Some(changed) = view.known.ingresses.get(name) {
            keys.extend(ingress(None, Some(changed), view));
        }
        // Where it was until now is what the index says before it knows.
        keys.extend(index.groups_of(name).cloned().map(Key::Group));
    }
    keys
}

/// A Service or something about it changed: the groups of Ingresses that name
/// it.
pub fn endpoints(service: &ObjectName, view: View<'_>) -> BTreeSet<Key> {
    with_backend(view.known.index().groups_of_service(service).cloned())
}

/// A pod changed. What targets need is in EndpointSlices, which change of
/// their own; a pod matters while it is not ready there, since one that waits
/// for nothing but a readiness gate is a target already. One that comes to an
/// address, maybe later than its endpoint, matters to the backend security
/// group: by the pod it is known where its address is let in to.
pub fn pod(
    name: &ObjectName,
    old: Option<&Pod>,
    new: Option<&Pod>,
    view: View<'_>,
) -> BTreeSet<Key> {
    let index = view.known.index();
    let services = index.waiting_for_pod(name);
    let mut keys: BTreeSet<Key> = services
        .flat_map(|service| endpoints(service, view))
        .collect();
    let new = new.filter(|new| new.address.is_some()).map(place);
    if new.is_some() && new != old.map(place) && index.is_used(&name.namespace) {
        keys.insert(Key::Backend);
    }
    keys
}

/// Where a pod is reached.
fn place(pod: &Pod) -> (Option<IpAddr>, Option<&str>, bool) {
    (pod.address, pod.node.as_deref(), pod.own_interface)
}

/// A node came, went, or changed in what decisions look at: the groups with
/// instances for targets, and those with pods on it that wait for a readiness
/// gate.
pub fn node(node: &str, view: View<'_>) -> BTreeSet<Key> {
    let index = view.known.index();
    let groups = index.on_nodes().flat_map(|name| index.groups_of(name));
    let mut keys = with_backend(groups.cloned());
    let waiting = index.waiting_on_node(node);
    keys.extend(waiting.flat_map(|service| endpoints(service, view)));
    // The rules of the backend security group are on the groups of nodes.
    keys.insert(Key::Backend);
    keys
}

/// A namespace's labels changed: a class may choose its Ingresses by them.
pub fn namespace(namespace: &str, view: View<'_>) -> BTreeSet<Key> {
    // Before every name in it.
    let first = ObjectName::new(namespace, "");
    let from_here = view.known.ingresses.after(&first);
    let concerned = from_here.take_while(|(name, _)| name.namespace == namespace);
    concerned
        .flat_map(|(_, changed)| ingress(None, Some(changed), view))
        .collect()
}

/// TargetGroupBindings came, went or changed: the groups that they say they
/// are of, and the backend security group, which they may use.
pub fn bindings<'a>(
    changed: impl Iterator<Item = &'a TargetGroupBinding>,
    view: View<'_>,
) -> BTreeSet<Key> {
    let groups = changed.filter_map(membership::group_of_binding);
    let mut keys: BTreeSet<Key> = groups.map(Key::Group).collect();
    keys.insert(Key::Backend);
    keys.extend(dns(view));
    keys
}

fn dns(view: View<'_>) -> Option<Key> {
    view.settings.dns.is_some().then_some(Key::Dns)
}

/// Groups, and the backend security group if there are any.
fn with_backend(groups: impl Iterator<Item = GroupId>) -> BTreeSet<Key> {
    let mut keys: BTreeSet<Key> = groups.map(Key::Group).collect();
    if !keys.is_empty() {
        keys.insert(Key::Backend);
    }
    keys
}

/// The group that an Ingress is in, and those whose finalizers it carries.
fn groups_of(ingress: &Ingress, view: View<'_>) -> Vec<GroupId> {
    let mut groups = membership::finalizer_groups(ingress);
    if let Place::Member(group, _) = membership::group_of(ingress, view.known, view.settings) {
        groups.push(group);
    }
    groups
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::settings::DnsSettings;
    use crate::model::snapshot::snapshot_from_yaml;
    use crate::model::spec::{Scheme, TargetType};

    fn settings() -> Settings {
        Settings {
            cluster_name: "demo".to_owned(),
            vpc_id: "vpc-1".to_owned(),
            ingress_class: "alb".to_owned(),
            default_scheme: Scheme::Internal,
            default_target_type: TargetType::Instance,
            default_ssl_policy: "ELBSecurityPolicy-2016-08".to_owned(),
            default_tags: crate::model::spec::Tags::new(),
            dns: Some(DnsSettings::default()),
        }
    }

    /// `web` (alone, instances), `api` (group `public`, ip, and on its way out
    /// of group `old`), and `other` of another controller.
    const CLUSTER: &str = r"
kind: IngressClass
apiVersion: networking.k8s.io/v1
metadata: { name: alb }
spec: { controller: ingress.k8s.aws/alb }
---
kind: IngressClass
apiVersion: networking.k8s.io/v1
metadata: { name: nginx }
spec: { controller: k8s.io/ingress-nginx }
---
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: { name: web, namespace: shop }
spec:
  ingressClassName: alb
  defaultBackend: { service: { name: web, port: { number: 80 } } }
---
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata:
  name: api
  namespace: shop
  annotations: { alb.ingress.kubernetes.io/group.name: public }
  finalizers: [group.ingress.k8s.aws/old]
spec:
  ingressClassName: alb
  rules:
    - http:
        paths:
          - path: /
            pathType: Prefix
            backend: { service: { name: api, port: { number: 80 } } }
---
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: { name: other, namespace: shop }
spec:
  ingressClassName: nginx
  defaultBackend: { service: { name: web, port: { number: 80 } } }
---
kind: Service
apiVersion: v1
metadata:
  name: api
  namespace: shop
  annotations: { alb.ingress.kubernetes.io/target-type: ip }
spec: {}
---
kind: EndpointSlice
apiVersion: discovery.k8s.io/v1
metadata:
  name: api-1
  namespace: shop
  labels: { kubernetes.io/service-name: api }
addressType: IPv4
endpoints:
  - addresses: [10.0.0.1]
    nodeName: a
    conditions: { ready: false }
    targetRef: { kind: Pod, name: api-1 }
  - addresses: [10.0.0.2]
    nodeName: b
    conditions: { ready: true }
    targetRef: { kind: Pod, name: api-2 }
";

    fn cluster() -> Indexed {
        Indexed::of(snapshot_from_yaml(CLUSTER).unwrap(), &settings())
    }

    fn shop(name: &str) -> ObjectName {
        ObjectName::new("shop", name)
    }

    fn check(keys: BTreeSet<Key>, expected: &[&str]) {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(keys, expected);
    }

    const WEB: &str = "group shop/web";
    const PUBLIC: &str = "group public";
    const OLD: &str = "group old";
    const BACKEND: &str = "backend security group";
    const DNS: &str = "DNS records";

    #[test]
    fn an_ingress_wakes_the_groups_it_is_in_was_in_and_has_finalizers_of() {
        let known = cluster();
        let settings = settings();
        let view = View {
            known: &known,
            settings: &settings,
        };
        let now = &known.ingresses[&shop("api")];
        check(ingress(None, Some(now), view), &[OLD, PUBLIC, BACKEND, DNS]);
        let mut before = Ingress::clone(now);
        before.metadata.annotations = None;
        let moved = ingress(Some(&before), Some(now), view);
        check(moved, &[OLD, PUBLIC, "group shop/api", BACKEND, DNS]);
        check(ingress(Some(now), None, view), &[OLD, PUBLIC, BACKEND, DNS]);
    }

    #[test]
    fn an_ingress_that_is_not_ours_wakes_nobody_until_it_was_ours() {
        let known = cluster();
        let mut settings = settings();
        settings.dns = None;
        let view = View {
            known: &known,
            settings: &settings,
        };
        let other = &known.ingresses[&shop("other")];
        check(ingress(None, Some(other), view), &[]);
        let mut ours = Ingress::clone(other);
        ours.spec.as_mut().unwrap().ingress_class_name = Some("alb".to_owned());
        let handed_over = ingress(Some(&ours), Some(other), view);
        check(handed_over, &["group shop/other", BACKEND]);
        // Which class it is cannot be said: somebody must tell people.
        ours.spec.as_mut().unwrap().ingress_class_name = Some("typo".to_owned());
        check(ingress(None, Some(&ours), view), &[BACKEND]);
    }

    #[test]
    fn services_and_endpoints_wake_the_groups_that_use_them() {
        let known = cluster();
        let settings = settings();
        let view = View {
            known: &known,
            settings: &settings,
        };
        check(endpoints(&shop("web"), view), &[WEB, BACKEND]);
        check(endpoints(&shop("api"), view), &[OLD, PUBLIC, BACKEND]);
        check(endpoints(&shop("unused"), view), &[]);
        check(endpoints(&ObjectName::new("else", "web"), view), &[]);
    }

    #[test]
    fn a_pod_matters_only_while_its_endpoint_waits() {
        let known = cluster();
        let settings = settings();
        let view = View {
            known: &known,
            settings: &settings,
        };
        let changed = |name: &str| pod(&shop(name), None, None, view);
        check(changed("api-1"), &[OLD, PUBLIC, BACKEND]);
        check(changed("api-2"), &[]);
        check(changed("unknown"), &[]);
    }

    #[test]
    fn a_pod_that_comes_later_than_its_endpoint_is_told_to_who_opens_its_port() {
        let known = cluster();
        let settings = settings();
        let view = View {
            known: &known,
            settings: &settings,
        };
        let at = |address: &str| Pod {
            address: address.parse().ok(),
            node: Some("b".into()),
            ..Pod::default()
        };
        let (none, here, there) = (at(""), at("10.0.0.2"), at("10.0.0.3"));
        let own = Pod {
            own_interface: true,
            ..here.clone()
        };
        let name = shop("api-2");
        check(pod(&name, None, Some(&none), view), &[]);
        check(pod(&name, None, Some(&here), view), &[BACKEND]);
        check(pod(&name, Some(&none), Some(&here), view), &[BACKEND]);
        check(pod(&name, Some(&here), Some(&here), view), &[]);
        check(pod(&name, Some(&here), Some(&there), view), &[BACKEND]);
        check(pod(&name, Some(&here), Some(&own), view), &[BACKEND]);
        check(pod(&name, Some(&here), None, view), &[]);
        // Nobody sends requests to that namespace.
        let elsewhere = ObjectName::new("else", "api-2");
        check(pod(&elsewhere, None, Some(&here), view), &[]);
    }

    #[test]
    fn a_node_wakes_groups_with_instances_and_those_whose_pods_wait_on_it() {
        let known = cluster();
        let mut settings = settings();
        let view = View {
            known: &known,
            settings: &settings,
        };
        check(node("b", view), &[WEB, BACKEND]);
        check(node("a", view), &[OLD, PUBLIC, WEB, BACKEND]);
        settings.default_target_type = TargetType::Ip;
        let known = Indexed::of(known.snapshot.clone(), &settings);
        let view = View {
            known: &known,
            settings: &settings,
        };
        check(node("b", view), &[BACKEND]);
    }

    #[test]
    fn a_class_wakes_the_ingresses_that_name_it() {
        let known = cluster();
        let settings = settings();
        let view = View {
            known: &known,
            settings: &settings,
        };
        let class = known.ingress_classes["alb"].as_ref();
        let woken = ingress_class(Some(class), Some(class), view);
        check(woken, &[OLD, PUBLIC, WEB, BACKEND, DNS]);
        // Nobody is of another controller's class, and nobody is without one.
        let others = known.ingress_classes["nginx"].as_ref();
        check(ingress_class(Some(others), Some(others), view), &[]);
        check(namespace("else", view), &[]);
    }

    #[test]
    fn a_binding_wakes_the_group_of_its_labels_and_everything_is_all() {
        let known = cluster();
        let settings = settings();
        let view = View {
            known: &known,
            settings: &settings,
        };
        let binding = TargetGroupBinding {
            labels: [("ingress.k8s.aws/stack".to_owned(), "theirs".to_owned())].into(),
        };
        check(
            bindings([&binding].into_iter(), view),
            &["group theirs", BACKEND, DNS],
        );
        check(everything(view), &[OLD, PUBLIC, WEB, BACKEND, DNS]);
    }
}
