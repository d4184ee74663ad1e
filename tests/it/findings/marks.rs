//! Things of ours that somebody has taken the marks off.

use sandbox_aws::State;

use super::{ingress, resolved, routes, said};
use crate::support::Scene;

/// Tags of something, load balancer, target group or security group.
fn tags(scene: &Scene, id: &str) -> Vec<(String, String)> {
    scene.account(|state| state.tags[id].clone().into_iter().collect())
}

/// What people do in the console.
fn set_tags(scene: &Scene, id: &str, tags: &[(String, String)]) {
    scene.aws.state().write(|state, _| {
        let tags = tags.iter().cloned().collect();
        state.tags.insert(id.to_owned(), tags);
    });
}

/// How often something was tried to be made.
fn tries(scene: &Scene, action: &str) -> usize {
    let calls = scene.calls().into_iter();
    calls.filter(|call| call.action == action).count()
}

/// Takes a mark off, looks at what is said and done, and puts it back.
async fn without_its_mark(scene: &Scene, id: &str, name: &str, mark: &str, create: &str) {
    let ns = scene.name.clone();
    let before = tags(scene, id);
    let lost = before.iter().find(|(key, _)| key == mark).unwrap();
    let left: Vec<_> = before
        .iter()
        .filter(|(key, _)| key != mark)
        .cloned()
        .collect();
    let told = said(scene, &ns, "web", "NameTaken").await.len();
    let picture = scene.account(serves);
    scene.forget_calls();
    set_tags(scene, id, &left);
    let tag = format!("{}={}", lost.0, lost.1);
    scene
        .eventually("the name is said to be taken", async || {
            let said = said(scene, &ns, "web", "NameTaken").await;
            let last = said.iter().find(|event| {
                [name, id, &tag, "tag it again", "delete it"]
                    .iter()
                    .all(|part| event.contains(part))
            });
            last.cloned().ok_or(said)
        })
        .await;
    // It is tried again and not said again, and what is live serves on.
    scene
        .eventually("it is tried again", async || {
            let tries = tries(scene, create);
            if tries >= 3 { Ok(()) } else { Err(tries) }
        })
        .await;
    let events = said(scene, &ns, "web", "NameTaken").await;
    assert_eq!(events.len(), told + 1, "{events:#?}");
    assert_eq!(scene.account(serves), picture);

    let resolved_before = resolutions(scene).await;
    set_tags(scene, id, &before);
    scene
        .eventually("the finding is gone", async || {
            let now = resolutions(scene).await;
            if now > resolved_before {
                Ok(())
            } else {
                Err(now)
            }
        })
        .await;
    resolved(scene, &ns, "web", "NameTaken").await;
    assert_eq!(scene.account(serves), picture);
}

async fn resolutions(scene: &Scene) -> usize {
    let events = scene.events(&scene.name, "web").await;
    let of_names = |event: &&String| event.contains("NameTaken no longer applies");
    events.iter().filter(of_names).count()
}

/// What serves requests: rules with their target groups, and the security
/// groups of load balancers.
fn serves(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for lb in state.load_balancers.values() {
        lines.push(format!("{} {:?}", lb.arn, lb.security_groups));
        for listener in lb.listeners.values() {
            for rule in listener.rules.values() {
                lines.push(format!("{} {:?}", rule.arn, rule.actions));
            }
        }
    }
    lines.extend(state.target_groups.values().map(|group| {
        let targets: Vec<_> = group.targets.keys().collect();
        format!("{} {targets:?}", group.arn)
    }));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_mark_is_named_on_the_ingress_and_healed_when_it_is_back() {
    let scene = Scene::new("findings-marks").await;
    let ns = scene.name.clone();
    let mut controller = scene.controller(&["--disable-route53"]).await;
    scene.service(&ns, "web", &["10.0.48.111"]).await;
    let web = ingress(
        "{ns}",
        "web",
        &[("target-type", "ip")],
        &routes(&[("marks.example.com", "/", "web")]),
    );
    scene.apply(&web).await;
    scene.address(&ns, "web").await;
    let (lb, group, frontend, backend) = scene
        .eventually("all is made", async || {
            scene
                .account(|state| {
                    let lb = state.load_balancers.values().next()?;
                    let group = state.target_groups.values().next()?;
                    let named = |prefix: &str| {
                        let mut groups = state.security_groups.values();
                        let group = groups.find(|group| group.name.starts_with(prefix))?;
                        Some((group.id.clone(), group.name.clone()))
                    };
                    let rule = lb.listeners.values().flat_map(|l| l.rules.values()).next();
                    rule.filter(|_| !group.targets.is_empty())?;
                    Some((
                        (lb.arn.clone(), lb.name.clone()),
                        (group.arn.clone(), group.name.clone()),
                        named("k8s-findings")?,
                        named("k8s-traffic-")?,
                    ))
                })
                .ok_or("something is missing")
        })
        .await;
    scene.quiet().await;
    // What a process wrote itself it believes for a while, so: another one.
    assert!(controller.terminate().await.success());
    let controller = scene
        .controller(&[
            "--disable-route53",
            "--verify-interval=2s",
            "--verify-tags-interval=2s",
            "--first-verification=2s",
        ])
        .await;
    let resource = "ingress.k8s.aws/resource";
    let stack = "ingress.k8s.aws/stack";
    without_its_mark(&scene, &group.0, &group.1, resource, "CreateTargetGroup").await;
    without_its_mark(&scene, &lb.0, &lb.1, stack, "CreateLoadBalancer").await;
    let (id, name) = &frontend;
    without_its_mark(&scene, id, name, resource, "CreateSecurityGroup").await;
    let (id, name) = &backend;
    let shared = "elbv2.k8s.aws/resource";
    without_its_mark(&scene, id, name, shared, "CreateSecurityGroup").await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    drop(controller);
}
