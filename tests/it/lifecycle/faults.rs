//! AWS fails at each call of a create in turn. Afterwards all is there once,
//! and its deletion leaves nothing.

use sandbox_aws::faults::{CONNECTION_RESET, Fault};

use super::{holds, ingress, no_delays, picture};
use crate::support::Scene;

/// A fault at the call after `skip` others.
fn fault(code: &str, service: Option<&str>, skip: u64) -> Fault {
    Fault {
        service: service.map(str::to_owned),
        code: Some(code.to_owned()),
        after: code == CONNECTION_RESET,
        skip,
        ..Fault::default()
    }
}

/// Makes and deletes an Ingress as often as its create has calls, each time
/// with one call that fails. Answers the number of calls.
async fn at_each_call(
    name: &str,
    service: Option<&str>,
    arguments: &[&str],
    code: impl Fn(u64) -> &'static str,
) -> u64 {
    let scene = Scene::new(name).await;
    no_delays(&scene);
    scene.service(name, "web", &["10.0.48.11"]).await;
    let controller = scene.controller(arguments).await;
    let web = ingress("web", &[]);
    scene.apply(&web).await;
    scene.address(name, "web").await;
    let whole = if arguments.is_empty() { 6 } else { 4 };
    scene
        .eventually("everything is there", async || {
            let ours = scene.ours();
            if ours.len() == whole {
                Ok(())
            } else {
                Err(ours)
            }
        })
        .await;
    scene.quiet().await;
    let expected = picture(&scene);
    scene.delete(&web).await;
    scene.gone(name, "web").await;
    scene.empty().await;

    for skip in 0.. {
        scene.aws.faults().add(fault(code(skip), service, skip));
        scene.apply(&web).await;
        holds(&scene, &expected).await;
        scene.address(name, "web").await;
        let met = scene.aws.faults().all().is_empty();
        scene.aws.faults().clear();
        scene.delete(&web).await;
        scene.gone(name, "web").await;
        scene.empty().await;
        if !met {
            drop(controller);
            return skip;
        }
    }
    unreachable!("there are not as many calls")
}

const NO_DNS: [&str; 1] = ["--disable-route53"];

#[tokio::test(flavor = "multi_thread")]
async fn aws_fails_at_each_call_of_a_create() {
    // Side by side, since each waits for the rate limits of its process.
    let denied = at_each_call("lifecycle-denied", None, &NO_DNS, |_| "AccessDenied");
    let lost = at_each_call("lifecycle-lost", None, &NO_DNS, |_| CONNECTION_RESET);
    let busy = at_each_call("lifecycle-busy", None, &NO_DNS, |skip| match skip % 3 {
        0 => "Throttling",
        1 => "InternalFailure",
        _ => "ServiceUnavailable",
    });
    let in_dns = Some("route53");
    let dns_lost = at_each_call("lifecycle-dns", in_dns, &[], |_| CONNECTION_RESET);
    let dns_denied = at_each_call("lifecycle-no-dns", in_dns, &[], |_| "AccessDenied");
    let (denied, lost, busy, dns_lost, dns_denied) =
        tokio::join!(denied, lost, busy, dns_lost, dns_denied);
    assert!(
        denied >= 9 && lost >= 9 && busy >= 9,
        "{denied} {lost} {busy}"
    );
    assert!(dns_lost >= 1 && dns_denied >= 1, "{dns_lost} {dns_denied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_depend_on_a_failed_step_is_done() {
    let name = "lifecycle-branch";
    let scene = Scene::new(name).await;
    no_delays(&scene);
    scene.service(name, "web", &["10.0.48.11"]).await;
    let denied = Fault {
        action: Some("CreateTargetGroup".to_owned()),
        times: 1000,
        ..fault("AccessDenied", None, 0)
    };
    scene.aws.faults().add(denied);
    let controller = scene.controller(&NO_DNS).await;
    scene.apply(&ingress("web", &[])).await;
    let parts = ["AccessDenied", "target group", "CreateTargetGroup"];
    scene.warned(name, "web", &parts).await;
    scene.address(name, "web").await;
    scene.account(|state| {
        let lb = state.load_balancers.values().next().unwrap();
        assert!(lb.listeners[&80].rules.is_empty());
        assert!(state.target_groups.is_empty());
    });
    scene.aws.faults().clear();
    scene
        .eventually("the rest follows", async || {
            let rules = scene.account(|state| {
                let lb = state.load_balancers.values().next().unwrap();
                lb.listeners[&80].rules.len()
            });
            if rules == 1 { Ok(()) } else { Err(rules) }
        })
        .await;
    scene.delete_ingresses(name).await;
    scene.empty().await;
    drop(controller);
}
