//! Whole lives of Ingresses while AWS takes its time: under the quick profile,
//! and under the real one at a fiftieth of its durations, with everything that
//! AWS is slow to agree about, now and then and each time. The controller gets
//! there all the same, and leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use sandbox_aws::audit::{Finding, Naming, Problem, audit};
use sandbox_aws::state::{Condition, Peer};
use sandbox_aws::{Profile, Timing};

use crate::support::Scene;

/// What real durations are multiplied by.
const SCALE: f64 = 0.02;

/// How slow AWS is to agree.
#[derive(Clone, Copy)]
enum Slowness {
    /// The quick profile.
    Quick,
    /// As AWS, in short.
    Real,
    /// As AWS, in short, and every call that may meet a lag meets it.
    Worst,
}

impl Slowness {
    fn set(self, scene: &Scene) {
        let profile = match self {
            Self::Quick => Profile::Quick,
            Self::Real | Self::Worst => Profile::Real,
        };
        let timing = match self {
            Self::Quick => profile.timing(),
            Self::Real | Self::Worst => Timing {
                scale: SCALE,
                health_scale: SCALE,
                ..profile.timing()
            },
        };
        let mut lags = profile.lags();
        if matches!(self, Self::Worst) {
            for setting in lags.values_mut() {
                setting.probability = 1.0;
            }
        }
        scene.aws.state().write_everywhere(|state, _| {
            state.timing = timing;
            state.lags.settings.clone_from(&lags);
        });
    }
}

/// An Ingress for hosts, with further annotations.
fn manifest(name: &str, hosts: &[&str], more: &[&str]) -> String {
    let more: Vec<String> = more.iter().map(|line| format!("    {line}\n")).collect();
    let more = more.concat();
    let rules: Vec<String> = hosts
        .iter()
        .map(|host| {
            format!(
                "  - host: {host}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: web, port: {{number: 80}}}}}}
"
            )
        })
        .collect();
    let rules = rules.concat();
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
    alb.ingress.kubernetes.io/scheme: internet-facing
{more}spec:
  rules:
{rules}"
    )
}

/// What the account is to hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    load_balancers: usize,
    /// Listener to the hosts of its rules.
    listeners: BTreeMap<u16, BTreeSet<String>>,
    /// Registered ones that are not on their way out, of every target group.
    targets: Vec<BTreeSet<String>>,
    /// Names of alias records.
    hosts: BTreeSet<String>,
    /// Ports that the load balancers' groups open, and to whom.
    open: BTreeSet<(Option<i32>, String)>,
}

impl Held {
    fn by(scene: &Scene) -> Self {
        scene.account(|state| {
            let mut held = Self {
                load_balancers: state.load_balancers.len(),
                ..Self::default()
            };
            for balancer in state.load_balancers.values() {
                for (port, listener) in &balancer.listeners {
                    let hosts = listener.rules.values().flat_map(|rule| &rule.conditions);
                    let hosts = hosts.filter_map(|condition| match condition {
                        Condition::HostHeader(hosts) => Some(format!("{hosts:?}")),
                        _ => None,
                    });
                    held.listeners.insert(*port, hosts.collect());
                }
                for id in &balancer.security_groups {
                    let rules = state.security_groups[id].rules.iter();
                    let incoming = rules.filter(|rule| !rule.permission.egress);
                    held.open
                        .extend(incoming.filter_map(|rule| match &rule.permission.peer {
                            Peer::Group(_) => None,
                            peer => Some((rule.permission.from_port, peer.to_string())),
                        }));
                }
            }
            for group in state.target_groups.values() {
                let staying = group
                    .targets
                    .iter()
                    .filter(|(_, target)| target.draining_until.is_none());
                held.targets
                    .push(staying.map(|(key, _)| key.id.clone()).collect());
            }
            for zone in state.hosted_zones.values() {
                let aliases = zone.records.values().filter(|record| record.kind == "A");
                held.hosts.extend(aliases.map(|record| record.name.clone()));
            }
            held
        })
    }
}

/// What is to come true, without the details of conditions.
struct Wanted<'a> {
    ports: &'a [u16],
    hosts: &'a [&'a str],
    targets: &'a [&'a str],
}

/// Waits until the account holds it and nothing more, and until it stays so.
async fn comes_true(scene: &Scene, step: &str, wanted: &Wanted<'_>) {
    let check = || {
        let held = Held::by(scene);
        let hosts: BTreeSet<String> = wanted.hosts.iter().map(|h| format!("{h}.")).collect();
        let targets: BTreeSet<String> = wanted.targets.iter().map(|t| (*t).to_owned()).collect();
        let ports = wanted.ports.iter().map(|port| Some(i32::from(*port)));
        let open = ports.map(|port| (port, "0.0.0.0/0".to_owned())).collect();
        let rules = held.listeners.values().all(|rules| {
            rules.len() == wanted.hosts.len()
                && wanted
                    .hosts
                    .iter()
                    .all(|host| rules.iter().any(|rule| rule.contains(host)))
        });
        let right = held.load_balancers == 1
            && held.listeners.keys().eq(wanted.ports)
            && rules
            && !held.targets.is_empty()
            && held.targets.iter().all(|group| *group == targets)
            && held.hosts == hosts
            && held.open == open;
        if right { Ok(()) } else { Err(held) }
    };
    let told = async || match check() {
        Ok(()) => Ok(()),
        Err(held) => Err((held, scene.events(&scene.name, "web").await)),
    };
    scene.eventually(step, told).await;
    scene.quiet().await;
    assert!(
        check().is_ok(),
        "{step} did not last: {:#?}",
        Held::by(scene)
    );
}

/// What is left over or leads nowhere.
fn litter(scene: &Scene) -> Vec<Finding> {
    let mut found = scene
        .aws
        .state()
        .everywhere(|states| audit(states, &Naming::default()));
    found.retain(|finding| finding.problem != Problem::Unowned);
    found
}

/// Create, edit, scale and delete, with the names in DNS.
async fn life(name: &str, slowness: Slowness) {
    let scene = Scene::new(name).await;
    slowness.set(&scene);
    let before = litter(&scene);
    let controller = scene.controller(&[]).await;
    scene
        .service(name, "web", &["10.0.48.11", "10.0.64.11"])
        .await;

    scene
        .apply(&manifest("web", &["shop.example.com"], &[]))
        .await;
    scene.address(name, "web").await;
    let created = Wanted {
        ports: &[80],
        hosts: &["shop.example.com"],
        targets: &["10.0.48.11", "10.0.64.11"],
    };
    comes_true(&scene, "it is created", &created).await;

    let certificate = "alb.ingress.kubernetes.io/certificate-arn: '{certificate}'";
    let both = "alb.ingress.kubernetes.io/listen-ports: '[{\"HTTP\": 80}, {\"HTTPS\": 443}]'";
    let more = [certificate, both];
    let hosts = ["shop.example.com", "new.example.com"];
    scene.apply(&manifest("web", &hosts, &more)).await;
    let edited = Wanted {
        ports: &[80, 443],
        hosts: &hosts,
        ..created
    };
    comes_true(&scene, "it is edited", &edited).await;

    let many = ["10.0.48.11", "10.0.48.12", "10.0.64.11", "10.0.64.12"];
    scene.service(name, "web", &many).await;
    let grown = Wanted {
        targets: &many,
        ..edited
    };
    comes_true(&scene, "it has grown", &grown).await;
    scene.service(name, "web", &["10.0.64.12"]).await;
    let shrunk = Wanted {
        targets: &["10.0.64.12"],
        ..grown
    };
    comes_true(&scene, "it has shrunk", &shrunk).await;

    // A certificate alone is a listener on 443 alone.
    let last = ["new.example.com"];
    scene.apply(&manifest("web", &last, &[certificate])).await;
    let less = Wanted {
        ports: &[443],
        hosts: &last,
        ..shrunk
    };
    comes_true(&scene, "a host and a listener have gone", &less).await;

    scene.delete(&manifest("web", &last, &[])).await;
    scene.gone(name, "web").await;
    scene.empty().await;
    assert_eq!(litter(&scene), before);
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_when_aws_is_quick() {
    life("life-quick", Slowness::Quick).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_when_aws_is_slow_to_agree() {
    life("life-real", Slowness::Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_when_aws_never_agrees_at_once() {
    life("life-worst", Slowness::Worst).await;
}

/// Deleted and made again under the same names, while AWS still holds on to
/// what has gone.
#[tokio::test(flavor = "multi_thread")]
async fn made_again_while_the_old_one_is_going() {
    let name = "life-again";
    let scene = Scene::new(name).await;
    Slowness::Worst.set(&scene);
    let before = litter(&scene);
    let controller = scene.controller(&[]).await;
    scene.service(name, "web", &["10.0.48.11"]).await;
    let web = manifest("web", &["shop.example.com"], &[]);
    let wanted = Wanted {
        ports: &[80],
        hosts: &["shop.example.com"],
        targets: &["10.0.48.11"],
    };

    scene.apply(&web).await;
    comes_true(&scene, "it is created", &wanted).await;
    scene.delete(&web).await;
    scene.gone(name, "web").await;
    scene.apply(&web).await;
    comes_true(&scene, "it is there again", &wanted).await;

    scene.delete(&web).await;
    scene.gone(name, "web").await;
    scene.empty().await;
    assert_eq!(litter(&scene), before);
    drop(controller);
}
