//! Managed and given security groups, the shared one, and who else's are near.

use std::collections::BTreeSet;

use sandbox_aws::State;
use sandbox_aws::faults::Fault;
use sandbox_aws::state::{Peer, security_group::NewPermission};
use serde_json::json;

use super::{assert_in_order, count, ingress, no_delays};
use crate::support::Scene;

/// What marks our rules on groups of nodes and pods.
const MARK: &str = "elbv2.k8s.aws/targetGroupBinding=shared";

/// The shared group, if there is one.
fn shared(state: &State) -> Option<&str> {
    let mut groups = state.security_groups.values();
    let group = groups.find(|group| group.name.starts_with("k8s-traffic-"))?;
    Some(&group.id)
}

/// Port ranges that a node's group lets the shared group in at, by our mark.
fn opened(scene: &Scene) -> Vec<(i32, i32)> {
    scene.account(|state| {
        let shared = shared(state).map(|id| Peer::Group(id.to_owned()));
        state.security_groups[&scene.ids.node_security_group]
            .rules
            .iter()
            .filter(|rule| rule.description.as_deref() == Some(MARK))
            .map(|rule| {
                assert_eq!(Some(&rule.permission.peer), shared.as_ref());
                let permission = &rule.permission;
                (permission.from_port.unwrap(), permission.to_port.unwrap())
            })
            .collect()
    })
}

/// Names of the security groups that the only load balancer has.
fn attached(scene: &Scene) -> BTreeSet<String> {
    scene.account(|state| {
        let lb = state.load_balancers.values().next().unwrap();
        let names = lb.security_groups.iter();
        names
            .map(|id| state.security_groups[id].name.clone())
            .collect()
    })
}

async fn has_groups(scene: &Scene, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|n| (*n).to_owned()).collect();
    scene
        .eventually("the load balancer has its security groups", async || {
            let has = attached(scene);
            let alike = has.len() == expected.len()
                && has
                    .iter()
                    .zip(&expected)
                    .all(|(a, b)| a.starts_with(b.as_str()));
            if alike { Ok(()) } else { Err(has) }
        })
        .await;
}

async fn has_opened(scene: &Scene, expected: &[(i32, i32)]) {
    scene
        .eventually("the nodes' group lets in what is needed", async || {
            let has = opened(scene);
            if has == expected { Ok(()) } else { Err(has) }
        })
        .await;
}

/// A group of somebody else in the VPC, with a tag `Name`.
fn given(scene: &Scene, name: &str) -> String {
    scene.aws.state().write(|state, _| {
        let tags = [("Name".to_owned(), format!("{name}-tag"))];
        let vpc = &scene.ids.vpc;
        state
            .create_security_group(name, "given", vpc, &tags)
            .unwrap()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn given_groups_become_managed_ones_and_back() {
    let name = "lifecycle-given";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let by_id = given(&scene, "edge");
    given(&scene, "partners");
    let controller = scene.controller(&["--disable-route53"]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;

    let list = format!("alb.ingress.kubernetes.io/security-groups: {by_id}, partners-tag");
    let rules = "alb.ingress.kubernetes.io/manage-backend-security-group-rules: 'true'";
    scene.apply(&ingress("web", &[&list])).await;
    scene.address(name, "web").await;
    scene.quiet().await;
    has_groups(&scene, &["edge", "partners"]).await;
    assert_eq!(opened(&scene), []);
    assert!(scene.account(|state| shared(state).is_none()));

    scene.forget_calls();
    scene.apply(&ingress("web", &[&list, rules])).await;
    has_groups(&scene, &["edge", "k8s-traffic", "partners"]).await;
    has_opened(&scene, &[(8080, 8080)]).await;
    scene.quiet().await;
    // Access first: else the targets would not answer for a moment.
    assert_in_order(
        &scene.actions(),
        &[
            "ec2 CreateSecurityGroup",
            "ec2 AuthorizeSecurityGroupIngress",
            "elasticloadbalancing SetSecurityGroups",
        ],
    );

    scene.quiet().await;
    scene.forget_calls();
    scene.apply(&ingress("web", &[])).await;
    has_groups(&scene, &["k8s-lifecycl", "k8s-traffic"]).await;
    scene.quiet().await;
    assert_eq!(opened(&scene), [(8080, 8080)]);
    let calls = scene.actions();
    assert_eq!(count(&calls, "ec2 CreateSecurityGroup"), 1);
    assert_eq!(count(&calls, "ec2 RevokeSecurityGroupIngress"), 0);
    assert_eq!(calls.len(), 3, "{calls:?}");

    scene.forget_calls();
    scene.apply(&ingress("web", &[&list])).await;
    has_groups(&scene, &["edge", "partners"]).await;
    has_opened(&scene, &[]).await;
    scene.quiet().await;
    assert_in_order(
        &scene.actions(),
        &[
            "elasticloadbalancing SetSecurityGroups",
            "ec2 RevokeSecurityGroupIngress",
        ],
    );
    assert_eq!(scene.ours().len(), 2, "{:?}", scene.ours());

    scene.delete_ingresses(name).await;
    scene.empty().await;
    scene.account(|state| {
        let names = state.security_groups.values().map(|g| g.name.as_str());
        let left = names.filter(|name| ["edge", "partners"].contains(name));
        assert_eq!(left.count(), 2);
    });
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_closed_after_nothing_comes_to_it_any_more() {
    let name = "lifecycle-ports";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let controller = scene.controller(&["--disable-route53"]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    let probed = |port: u16| {
        let port = format!("alb.ingress.kubernetes.io/healthcheck-port: '{port}'");
        ingress("web", &[&port])
    };
    scene.apply(&probed(9000)).await;
    scene.address(name, "web").await;
    has_opened(&scene, &[(8080, 9000)]).await;
    scene.quiet().await;

    // The load balancer asks at the old port until this is answered.
    scene.forget_calls();
    scene.aws.faults().add(Fault {
        action: Some("ModifyTargetGroup".to_owned()),
        delay_ms: 2_000,
        ..Fault::default()
    });
    scene.apply(&probed(8090)).await;
    has_opened(&scene, &[(8080, 8090)]).await;
    scene.quiet().await;
    let calls = scene.calls();
    let call = |action: &str| calls.iter().find(|call| call.action == action).unwrap();
    let asks_elsewhere = call("ModifyTargetGroup").ended;
    let closes = call("RevokeSecurityGroupIngress").started;
    assert!(asks_elsewhere < closes, "{:#?}", scene.actions());

    // An edit comes while the one before it is carried out.
    scene.forget_calls();
    scene.aws.faults().add(Fault {
        action: Some("ModifyTargetGroup".to_owned()),
        delay_ms: 3_000,
        ..Fault::default()
    });
    scene.apply(&probed(9000)).await;
    has_opened(&scene, &[(8080, 9000)]).await;
    scene.apply(&probed(8090)).await;
    has_opened(&scene, &[(8080, 8090)]).await;
    scene.quiet().await;
    let calls = scene.calls();
    let of = |action: &'static str| calls.iter().filter(move |call| call.action == action);
    // The rule that was there before goes for the wider one in its place.
    assert_eq!(of("RevokeSecurityGroupIngress").count(), 2);
    let closes = of("RevokeSecurityGroupIngress")
        .next_back()
        .unwrap()
        .started;
    let before = of("ModifyTargetGroup").all(|call| call.ended < closes);
    assert_eq!(of("ModifyTargetGroup").count(), 2, "{:#?}", scene.actions());
    assert!(before, "{:#?}", scene.actions());
    scene.delete_ingresses(name).await;
    scene.empty().await;
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shared_group_serves_all_and_goes_with_the_last() {
    let name = "lifecycle-shared";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let controller = scene.controller(&["--disable-route53"]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    scene.apply(&ingress("web", &[])).await;
    scene.apply(&ingress("second", &[])).await;
    scene.address(name, "web").await;
    scene.address(name, "second").await;
    scene.quiet().await;
    let shared_id = scene.account(|state| shared(state).unwrap().to_owned());
    scene.account(|state| {
        let frontends = state.security_groups.values();
        let frontends = frontends.filter(|g| g.name.starts_with("k8s-lifecycl-"));
        assert_eq!(frontends.count(), 2, "one for each load balancer");
        for lb in state.load_balancers.values() {
            assert!(lb.security_groups.contains(&shared_id));
            assert_eq!(lb.security_groups.len(), 2);
        }
    });
    assert_eq!(opened(&scene), [(8080, 8080)]);

    // What others put there stays: tags and rules on the shared group, rules
    // on the nodes' group, one of which looks like ours.
    let nodes = scene.ids.node_security_group.clone();
    scene.aws.state().write(|state, _| {
        let tag = [("team".to_owned(), "network".to_owned())];
        state
            .create_ec2_tags(std::slice::from_ref(&shared_id), &tag)
            .unwrap();
        let rule = |port, groups, cidr: &[&str]| NewPermission {
            protocol: "tcp".to_owned(),
            from_port: Some(port),
            to_port: Some(port),
            groups,
            ipv4: cidr.iter().map(|c| ((*c).to_owned(), None)).collect(),
            ..NewPermission::default()
        };
        let from = |id: &str, mark: &str| vec![(id.to_owned(), Some(mark.to_owned()))];
        let marked_as_ours = rule(9000, from(&nodes, MARK), &[]);
        let from_shared = rule(9001, from(&shared_id, "by hand"), &[]);
        let rules = [marked_as_ours, from_shared];
        state.authorize(&nodes, false, &rules, &[]).unwrap();
        let on_shared = rule(22, Vec::new(), &["10.0.0.0/8"]);
        state
            .authorize(&shared_id, false, &[on_shared], &[])
            .unwrap();
    });
    let foreign = |scene: &Scene| {
        scene.account(|state| {
            let rules = state.security_groups[&nodes].rules.iter();
            let rules = rules.filter(|rule| rule.permission.from_port >= Some(9000));
            rules.count()
        })
    };

    scene.forget_calls();
    scene.delete(&ingress("second", &[])).await;
    scene.gone(name, "second").await;
    scene.quiet().await;
    let calls = scene.actions();
    assert!(calls.len() <= 10, "{calls:?}");
    assert_eq!(count(&calls, "ec2 RevokeSecurityGroupIngress"), 0);
    scene.account(|state| {
        assert_eq!(state.tags[&shared_id]["team"], "network");
        let rules = &state.security_groups[&shared_id].rules;
        assert!(
            rules
                .iter()
                .any(|rule| rule.permission.from_port == Some(22))
        );
    });
    assert_eq!(foreign(&scene), 2);

    // A rule of somebody else still names the shared group: it is held, which
    // holds up nothing else, and goes when that rule is gone.
    scene.forget_calls();
    scene.delete(&ingress("web", &[])).await;
    scene.gone(name, "web").await;
    scene.account(|state| assert!(shared(state).is_some()));
    assert_eq!(scene.ours().len(), 1, "{:?}", scene.ours());
    assert_eq!(foreign(&scene), 2);
    scene.aws.state().write(|state, _| {
        let rules = &mut state.security_groups.get_mut(&nodes).unwrap().rules;
        rules.retain(|rule| rule.permission.from_port != Some(9001));
    });
    scene.empty().await;
    assert_eq!(foreign(&scene), 1);

    // Nothing in the way: six calls more than the deletion of a group has.
    scene.apply(&ingress("web", &[])).await;
    scene.address(name, "web").await;
    scene.quiet().await;
    scene.forget_calls();
    scene.delete_ingresses(name).await;
    scene.empty().await;
    scene.quiet().await;
    let calls = scene.actions();
    assert!(calls.len() <= 16, "{calls:?}");
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_target_group_binding_keeps_the_shared_group() {
    let name = "lifecycle-binding";
    let scene = Scene::alone(name).await;
    no_delays(&scene);
    // What aws-load-balancer-controller installs.
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "targetgroupbindings.elbv2.k8s.aws" },
        "spec": {
            "group": "elbv2.k8s.aws", "scope": "Namespaced",
            "names": { "kind": "TargetGroupBinding", "plural": "targetgroupbindings",
                       "singular": "targetgroupbinding", "listKind": "TargetGroupBindingList" },
            "versions": [{ "name": "v1beta1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            }}],
        },
    })
    .to_string();
    scene.apply(&definition).await;
    let wait = ["wait", "--for=condition=Established", "crd"];
    let crd = "targetgroupbindings.elbv2.k8s.aws";
    scene.kubectl(&[&wait[..], &[crd]].concat()).await;
    let binding = "{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, \
                   metadata: {name: other, namespace: '{ns}'}, \
                   spec: {targetGroupARN: 'arn:x', serviceRef: {name: other, port: 80}}}";
    scene.apply(binding).await;

    let controller = scene.controller(&["--disable-route53"]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    scene.apply(&ingress("web", &[])).await;
    scene.address(name, "web").await;
    has_opened(&scene, &[(8080, 8080)]).await;
    scene.quiet().await;

    scene.forget_calls();
    scene.delete_ingresses(name).await;
    scene.quiet().await;
    assert_eq!(scene.ours().len(), 1, "{:?}", scene.ours());
    assert_eq!(opened(&scene), [(8080, 8080)]);
    let calls = scene.actions();
    assert_eq!(count(&calls, "ec2 RevokeSecurityGroupIngress"), 0);

    scene.delete(binding).await;
    scene.empty().await;
    assert_eq!(opened(&scene), []);
    drop(controller);
    scene.kubectl(&["delete", "crd", crd]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_load_balancer_without_an_ingress_needs_stays_open_until_it_is_gone() {
    let name = "lifecycle-torn";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    let mut controller = scene.controller(&["--disable-route53"]).await;
    scene.service(name, "web", &["10.0.48.12"]).await;
    // A health check has a port of its own.
    let port = "alb.ingress.kubernetes.io/healthcheck-port: '9090'";
    scene.apply(&ingress("web", &[])).await;
    scene.apply(&ingress("torn", &[port])).await;
    scene.address(name, "web").await;
    scene.address(name, "torn").await;
    has_opened(&scene, &[(8080, 9090)]).await;
    scene.quiet().await;

    // As people do who are told to "just remove the finalizer", while its load
    // balancer cannot go.
    let lb = scene.account(|state| {
        let mut lbs = state.load_balancers.values();
        let lb = lbs.find(|lb| lb.name.contains("-torn-")).unwrap();
        lb.arn.clone()
    });
    scene.aws.faults().add(Fault {
        action: Some("DeleteLoadBalancer".to_owned()),
        times: 10_000,
        code: Some("OperationNotPermitted".to_owned()),
        message: Some("deletion protection is enabled".to_owned()),
        ..Fault::default()
    });
    let none = r#"{"metadata": {"finalizers": []}}"#;
    let patch = [
        "patch",
        "ingress",
        "torn",
        "-n",
        name,
        "--type=merge",
        "-p",
        none,
    ];
    assert!(controller.terminate().await.success());
    scene.kubectl(&patch).await;
    scene.delete(&ingress("torn", &[port])).await;
    scene.gone(name, "torn").await;
    scene.forget_calls();
    let controller = scene.controller(&["--disable-route53"]).await;
    scene
        .eventually("its load balancer is to go", async || {
            let tries = count(&scene.actions(), "elasticloadbalancing DeleteLoadBalancer");
            if tries > 0 { Ok(()) } else { Err(tries) }
        })
        .await;
    // The rules of the shared group are looked at again.
    scene.service(name, "web", &["10.0.64.12"]).await;
    scene.quiet().await;
    assert!(scene.account(|state| state.load_balancers.contains_key(&lb)));
    assert_eq!(opened(&scene), [(8080, 9090)]);

    scene.aws.faults().clear();
    has_opened(&scene, &[(8080, 8080)]).await;
    assert!(scene.account(|state| !state.load_balancers.contains_key(&lb)));
    drop(controller);
}
