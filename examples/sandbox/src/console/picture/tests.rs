//! The picture of small clusters.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use k8s_openapi::api::networking::v1 as networking;

use super::ingresses::{CLASS_ANNOTATION, CONTROLLER, LAST_APPLIED};
use super::*;

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A shop of one Ingress and one Pod, and an Ingress of another class.
fn objects() -> Objects {
    let mut objects = Objects::default();
    objects.put::<networking::IngressClass>(object(json!({
        "metadata": { "name": "alb" }, "spec": { "controller": CONTROLLER },
    })));
    objects.put::<networking::IngressClass>(object(json!({
        "metadata": { "name": "nginx" }, "spec": { "controller": "k8s.io/ingress-nginx" },
    })));
    objects.put::<networking::Ingress>(object(json!({
        "metadata": { "name": "cart", "namespace": "shop", "annotations": { LAST_APPLIED: "{}" } },
        "spec": { "ingressClassName": "alb", "rules": [{
            "host": "shop.example.com",
            "http": { "paths": [{ "path": "/cart", "pathType": "Prefix", "backend":
                { "service": { "name": "web-api", "port": { "number": 80 } } } }] },
        }] },
        "status": { "loadBalancer": { "ingress": [{ "hostname": "lb-1.elb.amazonaws.com" }] } },
    })));
    for (name, class) in [
        ("other", Some("nginx")),
        ("lost", Some("albb")),
        ("none", None),
    ] {
        objects.put::<networking::Ingress>(object(json!({
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "ingressClassName": class },
        })));
    }
    objects.put::<Pod>(object(json!({
        "metadata": { "name": "web-1", "namespace": "shop" },
        "spec": { "nodeName": "node-a", "containers": [] },
        "status": { "phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
            "name": "web", "ready": true, "restartCount": 2, "image": "", "imageID": "",
            "state": { "running": {} },
        }] },
    })));
    objects.put::<Pod>(object(json!({
        "metadata": { "name": "old", "namespace": "shop" },
        "status": { "phase": "Succeeded", "podIP": "10.0.0.1" },
    })));
    objects
}

fn tags(resource: &str) -> Value {
    json!({ CLUSTER_TAG: "c", STACK_TAG: "shop/cart", RESOURCE_TAG: resource })
}

fn resources() -> Resources {
    object(json!({
        "region": "r",
        "loadBalancers": [{
            "arn": "arn:lb", "name": "k8s-shop", "dnsName": "lb-1.elb.amazonaws.com",
            "state": "active", "scheme": "internal", "type": "application",
            "securityGroups": ["sg-1"], "tags": tags("LoadBalancer"),
            "listeners": [{ "arn": "arn:l", "port": 80, "protocol": "HTTP", "rules": [
                { "arn": "arn:r1", "priority": "1", "tags": tags("80:1"),
                  "conditions": [
                      { "field": "host-header", "values": ["shop.example.com"] },
                      { "field": "path-pattern", "values": ["/cart", "/cart/*"] },
                  ],
                  "actions": [{ "type": "forward", "targetGroups": [{ "arn": "arn:tg", "weight": 1 }] }] },
                { "arn": "arn:r0", "priority": "default",
                  "actions": [{ "type": "fixed-response", "status": 404 }] },
            ] }],
        }],
        "targetGroups": [{
            "arn": "arn:tg", "name": "k8s-web", "targetType": "ip", "protocol": "HTTP", "port": 80,
            "loadBalancers": ["arn:lb"], "tags": tags("shop/cart-web-api:80"),
            "targets": [
                { "id": "10.0.0.1", "port": 8080, "zone": "a", "health": "healthy" },
                { "id": "10.0.0.2", "port": 8080, "health": "draining" },
            ],
        }],
        "securityGroups": [{ "id": "sg-1", "name": "k8s-shop" }],
        "zones": [{ "id": "Z1", "name": "example.com.", "records": [
            { "name": "shop.example.com.", "type": "A", "alias": "lb-1.elb.amazonaws.com." },
            { "name": "_albc-a.shop.example.com.", "type": "TXT", "values":
                ["\"heritage=external-dns,external-dns/owner=albc/c,external-dns/resource=ingress/shop/cart\""] },
            { "name": "theirs.example.com.", "type": "A", "values": ["192.0.2.1"] },
            { "name": "a-theirs.example.com.", "type": "TXT", "values":
                ["\"heritage=external-dns,external-dns/owner=them\""] },
            { "name": "www.example.com.", "type": "CNAME", "values": ["x.example"] },
        ] }],
    }))
}

fn place() -> Place {
    Place {
        cluster: "c".to_owned(),
        region: "r".to_owned(),
        gateway: Some(8080),
    }
}

/// An IngressGroup of the shop.
fn says(status: Value) -> IngressGroup {
    object(json!({
        "apiVersion": "ingress.k8s.aws/v1", "kind": "IngressGroup",
        "metadata": { "name": "shop-cart-1" }, "spec": { "group": "shop/cart" }, "status": status,
    }))
}

#[test]
fn from_ingress_to_pod() {
    let picture = draw(&place(), &objects(), &resources());
    let [group] = picture.groups.as_slice() else {
        panic!("{:?}", picture.groups);
    };
    assert_eq!((group.key.as_str(), group.explicit), ("shop/cart", false));
    // No IngressGroup: another controller's work is shown all the same.
    assert_eq!(group.state, "Serving");
    let ingress = &group.ingresses[0];
    assert!(ingress.served, "{}", ingress.served_text);
    assert_eq!(ingress.hosts, ["shop.example.com"]);
    assert!(ingress.annotations.is_empty());
    let balancer = group.load_balancer.as_ref().unwrap();
    assert_eq!(balancer.security_groups, ["sg-1 (k8s-shop)"]);
    assert_eq!(
        balancer.url.as_deref(),
        Some("http://shop.example.com.localhost:8080/")
    );
    let [rule, default] = balancer.listeners[0].rules.as_slice() else {
        panic!("{balancer:?}");
    };
    assert_eq!(
        rule.conditions,
        ["host shop.example.com", "path /cart or /cart/*"]
    );
    assert_eq!(rule.action, "forward to k8s-web (Service shop/web-api:80)");
    assert_eq!(rule.ingress.as_deref(), Some("shop/cart"));
    assert_eq!(default.action, "answer 404");
    let targets = &balancer.target_groups[0];
    assert_eq!(targets.service.as_deref(), Some("shop/web-api:80"));
    assert_eq!(
        targets.counts,
        [("draining".to_owned(), 1), ("healthy".to_owned(), 1)].into()
    );
    let pod = &targets.targets[0];
    assert_eq!(
        pod.pod.as_deref(),
        Some("shop/web-1"),
        "not the one that is over"
    );
    assert_eq!(pod.node.as_deref(), Some("node-a"));
    assert_eq!(pod.container.as_deref(), Some("running, restarts: 2"));
}

#[test]
fn an_ingress_without_a_rule_is_not_served() {
    let served = |hosts: Value, with: Value| {
        let mut resources = resources();
        let rule = &mut resources.load_balancers[0].listeners[0].rules[0];
        rule.conditions[0].values = serde_json::from_value(hosts).unwrap();
        let mut objects = objects();
        let cart = objects.ingresses.get_mut("shop/cart").unwrap();
        cart.spec.as_mut().unwrap().default_backend = serde_json::from_value(with).unwrap();
        let picture = draw(&place(), &objects, &resources);
        let ingress = &picture.groups[0].ingresses[0];
        (ingress.served, ingress.served_text.clone())
    };
    let (without, text) = served(json!(["other.example.com"]), Value::Null);
    assert!(!without);
    assert!(
        text.starts_with("Not served: no rule of load balancer k8s-shop is for its hosts."),
        "{text}"
    );
    assert!(served(json!(["a.com", "Shop.example.com"]), Value::Null).0);
    // The default rule may be its own.
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    assert!(served(json!(["other.example.com"]), backend).0);
}

#[test]
fn records_say_who_owns_them() {
    let picture = draw(&place(), &objects(), &resources());
    let text = |name: &str| {
        let mut records = picture.records.iter();
        let record = records.find(|record| record.name == name).unwrap();
        (record.ours, record.owner.as_str(), record.text.as_str())
    };
    assert_eq!(
        text("shop.example.com"),
        (
            true,
            "albc/c",
            "shop.example.com leads to load balancer k8s-shop; this cluster's controller owns it, \
             for the group shop/cart."
        )
    );
    let (ours, owner, words) = text("theirs.example.com");
    assert!(
        !ours && owner == "them" && words.contains("leaves it alone"),
        "{words}"
    );
    assert_eq!(text("www.example.com").1, "nobody has marked it");
    assert_eq!(picture.groups[0].records.len(), 1);
    assert_eq!(picture.records[0].ingress.as_deref(), Some("shop/cart"));
}

#[test]
fn an_ingress_of_no_group_says_why() {
    let picture = draw(&place(), &objects(), &resources());
    let why: BTreeMap<&str, &str> = picture
        .loose
        .iter()
        .map(|ingress| (ingress.name.as_str(), ingress.served_text.as_str()))
        .collect();
    assert!(why["other"].contains("nginx is another controller's"));
    assert!(why["lost"].contains("there is no IngressClass albb"));
    assert!(why["none"].contains("names no IngressClass"));
}

#[test]
fn a_finding_is_on_its_ingress_and_its_group() {
    let mut objects = objects();
    objects.put(says(json!({
        "state": "Degraded", "members": ["shop/cart"], "waitingFor": ["the load balancer"],
        "records": [{ "host": "a.com", "state": "pending" }, { "host": "b.com", "state": "in sync" }],
        "findings": [{ "ingress": "shop/cart", "reason": "ServiceNotFound", "effect": "Degraded",
                       "message": "there is no Service web-api" }],
    })));
    let picture = draw(&place(), &objects, &resources());
    let group = &picture.groups[0];
    assert_eq!(group.state, "Degraded");
    assert_eq!(
        group.waiting_for,
        ["the load balancer", "the record of a.com: pending"]
    );
    let ingress = &group.ingresses[0];
    assert_eq!(ingress.findings, group.findings);
    assert!(ingress.served);
    assert!(
        ingress
            .served_text
            .starts_with("Served in part: there is no Service web-api")
    );
    // Nothing in AWS, and nobody who would make it.
    let nothing = draw(&place(), &self::objects(), &Resources::default());
    let text = &nothing.groups[0].ingresses[0].served_text;
    assert!(text.contains("Is one running?"), "{text}");
}

#[test]
fn only_what_has_changed_is_told() {
    let before = draw(&place(), &objects(), &resources());
    assert_eq!(difference(&before, &before), Difference::default());
    let mut resources = resources();
    resources.target_groups[0].targets[0].health = "unhealthy".to_owned();
    let after = draw(&place(), &objects(), &resources);
    let changed = difference(&before, &after);
    assert_eq!(changed.groups.len(), 1);
    assert_eq!((changed.loose, changed.records), (None, None));
    let mut fewer = objects();
    fewer.ingresses.remove("shop/cart");
    let gone = draw(&place(), &fewer, &Resources::default());
    assert_eq!(difference(&after, &gone).gone, ["shop/cart"]);
}

#[test]
fn groups_by_name_and_by_tag() {
    let mut objects = objects();
    objects.put::<networking::Ingress>(object(json!({
        "metadata": { "name": "a", "namespace": "n", "annotations": {
            "alb.ingress.kubernetes.io/group.name": "both", CLASS_ANNOTATION: "alb" } },
    })));
    let mut resources = resources();
    resources.load_balancers[0]
        .tags
        .insert(CLUSTER_TAG.to_owned(), "another".to_owned());
    let picture = draw(&place(), &objects, &resources);
    let keys: Vec<_> = picture
        .groups
        .iter()
        .map(|it| (it.key.as_str(), it.explicit))
        .collect();
    assert_eq!(keys, [("both", true), ("shop/cart", false)]);
    // Another cluster's load balancer is not ours.
    assert!(
        picture
            .groups
            .iter()
            .all(|group| group.load_balancer.is_none())
    );
}
