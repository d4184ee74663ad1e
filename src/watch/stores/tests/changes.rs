//! After any sequence of changes, what the index says and what is noted as
//! changed is what a look at everything from scratch finds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::IngressClass;
use proptest::prelude::*;

use super::{object as object_of, *};
use crate::model::desired::Desired;
use crate::model::facts::Facts;
use crate::model::group::GroupId;
use crate::model::index::Index;
use crate::model::membership;
use crate::model::{build, build_indexed};
use crate::watch::kinds::Binding;

/// What is said of an object: one of few variants, so that they meet.
#[derive(Clone, Copy, Debug)]
struct Step {
    kind: usize,
    name: usize,
    /// `None`: it goes.
    variant: Option<usize>,
}

fn step() -> impl Strategy<Value = Step> {
    let variant = prop_oneof![4 => (0..288_usize).prop_map(Some), 1 => Just(None)];
    (0..11_usize, 0..3_usize, variant).prop_map(|(kind, name, variant)| Step {
        kind,
        name,
        variant,
    })
}

/// One of these, by some bits of a variant; the rest of the bits is left.
fn pick<T: Clone>(variant: &mut usize, of: &[T]) -> T {
    let picked = of[*variant % of.len()].clone();
    *variant /= of.len();
    picked
}

fn ingress_of(name: usize, mut variant: usize) -> Value {
    let group = pick(&mut variant, &[None, Some("g"), Some("h"), Some("-")]);
    let class = pick(&mut variant, &[Some("alb"), Some("other"), None]);
    let service = pick(&mut variant, &["a", "b"]);
    let extra = pick(&mut variant, &[0, 1, 2, 3]);
    let more = pick(&mut variant, &[0, 1, 2]);
    let mut metadata = json!({ "namespace": "n", "name": format!("i{name}") });
    let mut annotations = json!({});
    if let Some(group) = group {
        annotations["alb.ingress.kubernetes.io/group.name"] = group.into();
    }
    if extra & 1 == 1 {
        annotations["alb.ingress.kubernetes.io/target-type"] = "ip".into();
        metadata["finalizers"] = json!(["group.ingress.k8s.aws/h"]);
    }
    if more == 1 {
        annotations["kubernetes.io/ingress.class"] = "alb".into();
    }
    if more == 2 {
        annotations["alb.ingress.kubernetes.io/security-groups"] = "sg-1".into();
    }
    if extra == 3 {
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    metadata["annotations"] = annotations;
    json!({ "metadata": metadata, "spec": {
        "ingressClassName": class,
        "rules": [{ "http": { "paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": service, "port": { "number": 80 } } },
        }] } }],
    }})
}

fn service_of(name: usize, mut variant: usize) -> Value {
    let target_type = pick(&mut variant, &[None, Some("ip"), Some("instance")]);
    let port = pick(&mut variant, &[80, 81]);
    let mut annotations = json!({});
    if let Some(target_type) = target_type {
        annotations["alb.ingress.kubernetes.io/target-type"] = target_type.into();
    }
    json!({
        "metadata": { "namespace": "n", "name": (["a", "b", "c"][name]), "annotations": annotations },
        "spec": { "type": "NodePort",
            "ports": [{ "port": port, "targetPort": 8080, "nodePort": 30080 }] },
    })
}

fn slice_of(name: usize, mut variant: usize) -> Value {
    let service = pick(&mut variant, &["a", "b"]);
    let endpoint = |pod: usize, ready: bool| {
        json!({
            "addresses": [format!("10.0.0.{pod}")], "conditions": { "ready": ready },
            "nodeName": format!("node{}", pod % 2),
            "targetRef": { "kind": "Pod", "namespace": "n", "name": format!("p{pod}") },
        })
    };
    let endpoints = [
        endpoint(name, pick(&mut variant, &[false, true])),
        endpoint((name + 1) % 3, pick(&mut variant, &[false, true])),
    ];
    json!({
        "metadata": { "namespace": "n", "name": format!("s{name}"),
            "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4", "ports": [{ "port": 8080 }],
        "endpoints": endpoints[..pick(&mut variant, &[1, 2])],
    })
}

fn pod_of(name: usize, mut variant: usize) -> Value {
    let ready = pick(&mut variant, &["True", "False"]);
    json!({
        "metadata": { "namespace": "n", "name": format!("p{name}") },
        "spec": { "nodeName": format!("node{}", name % 2), "containers": [] },
        "status": { "podIP": format!("10.0.0.{name}"),
            "conditions": [{ "type": "ContainersReady", "status": ready }] },
    })
}

fn node_of(name: usize, mut variant: usize) -> Value {
    let ready = pick(&mut variant, &["True", "False"]);
    json!({
        "metadata": { "name": format!("node{name}") },
        "spec": { "providerID": format!("aws:///z/i-{name}") },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    })
}

fn class_of(name: usize, mut variant: usize) -> Value {
    let ours = pick(
        &mut variant,
        &["ingress.k8s.aws/alb", "k8s.io/ingress-nginx"],
    );
    let default = pick(&mut variant, &["true", "false"]);
    json!({
        "metadata": { "name": (["alb", "other", "third"][name]),
            "annotations": { "ingressclass.kubernetes.io/is-default-class": default } },
        "spec": { "controller": ours },
    })
}

fn binding_of(name: usize, mut variant: usize) -> Value {
    let group = pick(&mut variant, &["g", "h", "x"]);
    json!({ "metadata": { "namespace": "n", "name": format!("t{name}"),
        "labels": { "ingress.k8s.aws/stack": group } } })
}

fn put<K: Kind>(stores: &Stores, object: Value, goes: bool) {
    let (id, object) = object_of::<K>(object);
    if goes {
        stores.forget::<K>(&id);
    } else {
        stores.keep::<K>(id, object);
    }
}

fn take(stores: &Stores, step: Step) {
    let (name, goes) = (step.name, step.variant.is_none());
    let variant = step.variant.unwrap_or_default();
    match step.kind {
        // Most of what there is are Ingresses and endpoints.
        0..=2 => put::<Ingress>(stores, ingress_of(name, variant), goes),
        3 | 4 => put::<Service>(stores, service_of(name, variant), goes),
        5 | 6 => put::<EndpointSlice>(stores, slice_of(name, variant), goes),
        7 => put::<Pod>(stores, pod_of(name, variant), goes),
        8 => put::<Node>(stores, node_of(name, variant), goes),
        9 => put::<IngressClass>(stores, class_of(name, variant), goes),
        _ => put::<Binding>(stores, binding_of(name, variant), goes),
    }
}

type All = BTreeMap<GroupId, Desired>;

/// All groups there may be, from scratch.
fn from_scratch(known: &Indexed, settings: &Settings) -> All {
    let membership = membership::groups(known, settings);
    let some = ["g", "h", "x"].map(|name| GroupId::Explicit(name.to_owned()));
    let groups = membership.groups.into_keys().chain(some);
    groups
        .map(|group| {
            let desired = build(&group, known, &Facts::default(), settings);
            (group, desired)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_kept_up_to_date_is_what_is_found_from_scratch(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let settings = settings();
        let stores = Stores::waiting_for([], Arc::clone(&settings));
        for name in ["alb", "node0"] {
            let (kind, name) = if name == "alb" { (9, 0) } else { (8, 0) };
            take(&stores, Step { kind, name, variant: Some(0) });
        }
        let mut before = from_scratch(&stores.snapshot(), &settings);
        let mut seen = stores.snapshot().changes().last();
        for step in steps {
            take(&stores, step);
            let known = stores.snapshot();
            prop_assert_eq!(known.index(), &Index::of(&known, &settings), "{:?}", step);
            let membership = membership::groups(&known, &settings);
            prop_assert!(membership.strays().eq(known.index().strays()));
            prop_assert!(membership.groups.keys().eq(known.index().groups()));
            prop_assert!(membership.left_alone.iter().eq(known.index().left_alone()));
            let after = from_scratch(&known, &settings);
            for (group, desired) in &after {
                let indexed = build_indexed(group, &known, &Facts::default(), &settings);
                prop_assert_eq!(&indexed, desired);
            }
            // Whatever is another group's work now was noted.
            let changed: BTreeSet<_> = known.changes().since(seen).unwrap().cloned().collect();
            for group in before.keys().chain(after.keys()) {
                let same = before.get(group) == after.get(group);
                prop_assert!(
                    same || changed.contains(group),
                    "{:?} changed {} and nobody said so", step, group
                );
            }
            seen = known.changes().last();
            before = after;
        }
    }
}

/// Where everything is woken, nothing is proved.
#[test]
fn a_change_concerns_those_alone_who_have_to_do_with_it() {
    let stores = Stores::waiting_for([], settings());
    put::<IngressClass>(&stores, class_of(0, 0), false);
    for group in 0..100 {
        let mut ingress = ingress_of(group, 0);
        let path = "/spec/rules/0/http/paths/0/backend/service/name";
        *ingress.pointer_mut(path).unwrap() = format!("s{group}").into();
        put::<Ingress>(&stores, ingress, false);
    }
    let changed = |change: &dyn Fn()| {
        let seen = stores.snapshot().changes().last();
        change();
        let known = stores.snapshot();
        let groups: Vec<String> = known
            .changes()
            .since(seen)
            .unwrap()
            .map(ToString::to_string)
            .collect();
        groups
    };
    let service = |name: &str| {
        let mut service = service_of(0, 0);
        service["metadata"]["name"] = name.into();
        put::<Service>(&stores, service, false);
    };
    assert_eq!(changed(&|| service("s7")), ["n/i7"]);
    assert_eq!(changed(&|| service("unused")), [""; 0]);
    let slice = |name: &str| {
        let mut slice = slice_of(0, 0);
        slice["metadata"]["labels"]["kubernetes.io/service-name"] = name.into();
        put::<EndpointSlice>(&stores, slice, false);
    };
    assert_eq!(changed(&|| slice("s8")), ["n/i8"]);
    // Its endpoint waits.
    assert_eq!(
        changed(&|| put::<Pod>(&stores, pod_of(0, 0), false)),
        ["n/i8"]
    );
    // It is another Service's now.
    assert_eq!(changed(&|| slice("s9")), ["n/i8", "n/i9"]);
    let edited = || {
        let mut ingress = ingress_of(3, 0);
        ingress["spec"]["defaultBackend"] =
            json!({ "service": { "name": "s3", "port": { "number": 80 } } });
        put::<Ingress>(&stores, ingress, false);
    };
    assert_eq!(changed(&edited), ["n/i3"]);
    assert_eq!(changed(&edited), [""; 0]);
}

/// Of a hundred groups one has nodes for targets, one is of a class of its own,
/// and one is of the default class.
#[test]
fn what_is_looked_at_for_a_node_or_a_class_are_those_that_depend_on_it() {
    let stores = Stores::waiting_for([], settings());
    put::<IngressClass>(&stores, class_of(0, 2), false);
    let class = |name: &str, default: bool| {
        let mut class = class_of(0, 0);
        class["metadata"]["name"] = name.into();
        let annotations = &mut class["metadata"]["annotations"];
        annotations["ingressclass.kubernetes.io/is-default-class"] = default.to_string().into();
        class
    };
    for group in 0..100 {
        let mut ingress = ingress_of(group, 0);
        let target_type = if group == 4 { "instance" } else { "ip" };
        ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/target-type"] =
            target_type.into();
        ingress["spec"]["ingressClassName"] = match group {
            5 => "own".into(),
            6 => Value::Null,
            _ => "alb".into(),
        };
        put::<Ingress>(&stores, ingress, false);
    }
    let names = |of: &dyn Fn(&Index) -> Vec<ObjectName>| {
        let names = of(stores.snapshot().index()).into_iter();
        names.map(|name| name.name).collect::<Vec<_>>()
    };
    let on_nodes = || names(&|index| index.on_nodes().cloned().collect());
    let of_class = |old: Option<&Value>, new: Option<&Value>| {
        let class = |class: Option<&Value>| {
            let class: Option<IngressClass> =
                class.map(|class| serde_json::from_value(class.clone()).unwrap());
            class
        };
        let (old, new) = (class(old), class(new));
        names(&|index| {
            index
                .of_classes(old.as_ref(), new.as_ref())
                .cloned()
                .collect()
        })
    };
    assert_eq!(on_nodes(), ["i4"]);
    let (own, default) = (class("own", false), class("own", true));
    assert_eq!(of_class(None, Some(&own)), ["i5"]);
    assert_eq!(of_class(Some(&own), Some(&default)), ["i5", "i6"]);
    assert_eq!(of_class(Some(&default), None), ["i5", "i6"]);
    assert_eq!(of_class(Some(&class("unused", false)), None), [""; 0]);
    assert_eq!(of_class(Some(&class("alb", false)), None).len(), 98);
    // What a Service says comes before what its Ingress says.
    let mut service = service_of(0, 0);
    service["metadata"]["annotations"]["alb.ingress.kubernetes.io/target-type"] = "instance".into();
    assert_eq!(stores.snapshot().changes().of(&group_of("i5")), 0);
    put::<IngressClass>(&stores, own, false);
    put::<IngressClass>(&stores, class("alb", true), false);
    put::<Service>(&stores, service, false);
    assert_eq!(on_nodes().len(), 100);
    let seen = stores.snapshot().changes().last();
    put::<Node>(&stores, node_of(0, 0), false);
    let known = stores.snapshot();
    assert_eq!(known.changes().since(seen).unwrap().count(), 100);
}

fn group_of(ingress: &str) -> GroupId {
    GroupId::Implicit(ObjectName::new("n", ingress))
}

/// Each that goes is told once to who asks, and one that came back is there.
#[test]
fn ingresses_that_went_are_told_by_name() {
    let stores = Stores::waiting_for([], settings());
    put::<IngressClass>(&stores, class_of(0, 0), false);
    for name in 0..3 {
        put::<Ingress>(&stores, ingress_of(name, 0), false);
    }
    let gone = |since: u64| {
        let known = stores.snapshot();
        let gone: Vec<String> = known
            .removed()
            .since(since)
            .unwrap()
            .map(|name| name.name.clone())
            .collect();
        (gone, known.removed().last())
    };
    assert_eq!(gone(0), (vec![], 0));
    put::<Ingress>(&stores, ingress_of(1, 0), true);
    put::<Ingress>(&stores, ingress_of(1, 0), false);
    put::<Ingress>(&stores, ingress_of(2, 0), true);
    assert_eq!(gone(0), (vec!["i1".to_owned(), "i2".to_owned()], 2));
    assert_eq!(gone(1), (vec!["i2".to_owned()], 2));
}
