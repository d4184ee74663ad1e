//! Records in Route 53: made, kept, handed over, taken away.

mod away;
mod claims;
mod foreign;
mod hosts;
mod parting;
mod trouble;
mod zones;

use std::fmt::Debug;

use sandbox_aws::State;
use sandbox_aws::faults::Fault;
use sandbox_aws::journal::Call;
use sandbox_aws::state::change_batch::ChangeAction;
use sandbox_aws::state::load_balancer::LoadBalancer;
use sandbox_aws::state::route53::{NewZone, RecordSet};

use crate::support::{Controller, Scene};

/// With a short verification: what others do is seen soon.
const WATCHFUL: [&str; 2] = ["--verify-records-interval=2s", "--first-verification=2s"];

/// An Ingress of the scene with a rule for each host, pods of the Service
/// `web` as targets; annotations without their prefix, each on a line.
fn ingress(name: &str, hosts: &[&str], annotations: &[&str]) -> String {
    let annotations = annotations
        .iter()
        .map(|line| format!("    alb.ingress.kubernetes.io/{line}\n"));
    let annotations = annotations.collect::<Vec<_>>().concat();
    let rules = hosts.iter().map(|host| {
        format!(
            "
  - host: '{host}'
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: web, port: {{number: 80}}}}}}"
        )
    });
    let rules = rules.collect::<Vec<_>>().concat();
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: {{ns}}
  annotations:
    kubernetes.io/ingress.class: '{{class}}'
    alb.ingress.kubernetes.io/target-type: ip
{annotations}spec:
  rules:{rules}
"
    )
}

/// [`ingress`] with a public load balancer of its own.
fn public(name: &str, hosts: &[&str]) -> String {
    ingress(name, hosts, &["scheme: internet-facing"])
}

/// A scene with the Service `web`.
async fn scene(name: &str) -> Scene {
    let scene = Scene::new(name).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    scene
}

/// What is at a host in a zone: where its A record points, and the resource
/// that its owner TXT names.
fn record(scene: &Scene, zone: &str, host: &str) -> Option<(String, String)> {
    scene.account(|state| {
        let zone = state.hosted_zone(zone).ok()?;
        let find = |kind: &str, name: &str| {
            let mut records = zone.records.values();
            let found = records.find(|r| r.kind == kind && r.name == format!("{name}."));
            found.cloned()
        };
        let owner = match host.strip_prefix("*.") {
            Some(rest) => format!("_albc-a._wildcard.{rest}"),
            None => format!("_albc-a.{host}"),
        };
        let address = find("A", host)?;
        let alias = address.alias.map(|alias| alias.dns_name);
        let address = alias.unwrap_or_else(|| address.values.join(" "));
        let owner = find("TXT", &owner).map(|txt| txt.values.join(" "));
        let resource = owner.map_or(String::new(), |text| {
            let (_, resource) = text.split_once("external-dns/resource=").unwrap();
            resource.trim_end_matches('"').to_owned()
        });
        Some((address.trim_end_matches('.').to_owned(), resource))
    })
}

/// Waits until a host's record is an Ingress's own and leads to its load
/// balancer.
async fn leads(scene: &Scene, zone: &str, host: &str, ingress: &str) {
    let address = scene.address(&scene.name, ingress).await;
    let wished = Some((address, format!("ingress/{}/{ingress}", scene.name)));
    becomes(scene, &format!("the record of {host}"), || {
        (record(scene, zone, host), wished.clone())
    })
    .await;
}

/// Waits until two values that `look` answers are the same.
async fn becomes<T: PartialEq + Debug>(scene: &Scene, what: &str, look: impl Fn() -> (T, T)) {
    scene
        .eventually(what, async || {
            let (is, wished) = look();
            if is == wished {
                Ok(())
            } else {
                Err((is, wished))
            }
        })
        .await;
}

/// The changes that Route 53 took, one list for each batch.
fn batches(scene: &Scene) -> Vec<Vec<String>> {
    let calls = scene.calls().into_iter();
    calls
        .filter(|call| call.action == "ChangeResourceRecordSets" && call.status == 200)
        .map(|call| changes(&call))
        .collect()
}

/// Waits until these are the changes that Route 53 took: a call is in the
/// journal after others can see what it did.
async fn changed(scene: &Scene, wished: &[&[&str]]) {
    let wished: Vec<Vec<String>> = wished
        .iter()
        .map(|batch| batch.iter().map(|&change| change.to_owned()).collect())
        .collect();
    becomes(scene, "these changes and no others", || {
        (batches(scene), wished.clone())
    })
    .await;
}

/// Waits until an action is in the journal.
async fn comes(scene: &Scene, action: &str) {
    becomes(scene, action, || (first(scene, action).is_some(), true)).await;
}

fn changes(call: &Call) -> Vec<String> {
    let parameters = call.parameters.iter();
    parameters
        .filter(|(name, _)| name.starts_with("change."))
        .map(|(_, change)| change.clone())
        .collect()
}

/// Calls to Route 53 since they were last forgotten, polls left out.
fn dns_calls(scene: &Scene) -> Vec<String> {
    let calls = scene.calls().into_iter();
    calls
        .filter(|call| call.service == "route53" && call.action != "GetChange")
        .map(|call| call.action)
        .collect()
}

/// Makes or deletes records as other people do.
fn edit(scene: &Scene, zone: &str, action: ChangeAction, records: &[RecordSet]) {
    let changes = records.iter().map(|record| (action, record.clone()));
    let changes = changes.collect();
    scene
        .aws
        .state()
        .write(|state, now| state.change_record_sets(zone, changes, None, now))
        .unwrap();
}

fn simple(host: &str, kind: &str, value: &str) -> RecordSet {
    RecordSet {
        name: format!("{host}."),
        kind: kind.to_owned(),
        ttl: Some(60),
        values: vec![value.to_owned()],
        alias: None,
        routing: None,
        health_check_id: None,
    }
}

/// Makes a hosted zone, private where a VPC is given; answers its id.
fn zone(scene: &Scene, name: &str, vpc: Option<&str>) -> String {
    let new = NewZone {
        name: name.to_owned(),
        caller_reference: format!("{name} {vpc:?} {}", scene.account(zone_count)),
        comment: None,
        vpc: vpc.map(|vpc| (vpc.to_owned(), "us-west-2".to_owned())),
        private: None,
    };
    let made = scene
        .aws
        .state()
        .write(|state, now| state.create_hosted_zone(new, now));
    made.unwrap().0
}

fn zone_count(state: &State) -> usize {
    state.hosted_zones.len()
}

/// The load balancer with this name in DNS.
fn load_balancer(state: &State, address: &str) -> Option<LoadBalancer> {
    let mut all = state.load_balancers.values();
    let found = all.find(|lb| lb.dns_name.eq_ignore_ascii_case(address));
    found.cloned()
}

/// The status of the custom resource of an Ingress's own group.
async fn status(scene: &Scene, ingress: &str) -> serde_json::Value {
    status_of(scene, &format!("{}/{ingress}", scene.name)).await
}

/// The status of the custom resource of a group.
async fn status_of(scene: &Scene, group: &str) -> serde_json::Value {
    scene.group(group).await["status"].take()
}

/// Waits until a group says that it waits for something.
async fn waits(scene: &Scene, group: &str, words: &str) {
    scene
        .eventually(words, async || {
            let status = status_of(scene, group).await;
            if status["waitingFor"].to_string().contains(words) {
                Ok(())
            } else {
                Err(status)
            }
        })
        .await;
}

/// Waits until the custom resource says this about a host.
async fn said(scene: &Scene, ingress: &str, host: &str, state: &str) {
    let what = format!("{host} is {state}");
    scene
        .eventually(&what, async || {
            let status = status(scene, ingress).await;
            let records = status["records"].as_array().cloned().unwrap_or_default();
            let is = |r: &serde_json::Value| {
                r["host"] == host && r["state"].as_str().unwrap().starts_with(state)
            };
            if records.iter().any(is) {
                Ok(())
            } else {
                Err(status)
            }
        })
        .await;
}

fn fault(service: &str, action: &str, code: &str, times: u64) -> Fault {
    Fault {
        service: Some(service.to_owned()),
        action: Some(action.to_owned()),
        times,
        code: Some(code.to_owned()),
        ..Fault::default()
    }
}

/// Where in the order of calls an action was first taken.
fn first(scene: &Scene, action: &str) -> Option<u64> {
    let mut calls = scene.calls().into_iter();
    let call = calls.find(|call| call.action == action && call.status == 200);
    call.map(|call| call.number)
}

/// Another controller in place of this one; waits until it has looked at
/// records and has no more to do. Calls are counted from its start.
async fn restarted(scene: &Scene, mut controller: Controller) -> Controller {
    controller.terminate().await;
    scene.forget_calls();
    let controller = start(scene, &[]).await;
    comes(scene, "ListResourceRecordSets").await;
    scene.quiet().await;
    controller
}

async fn start(scene: &Scene, arguments: &[&str]) -> Controller {
    scene.controller(arguments).await
}
