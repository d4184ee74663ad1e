//! From a wish to AWS and back: what is written reads back as it was meant,
//! and what that costs, counted at the AWS end. Kubernetes is a value here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alb_ingress_controller::apply::{self, Applied, BackendReady, Work};
use alb_ingress_controller::aws::limit::Rates;
use alb_ingress_controller::aws::{Aws, Class, Options};
use alb_ingress_controller::model;
use alb_ingress_controller::model::backend_build::{build_backend, group_ports};
use alb_ingress_controller::model::desired::{Desired, Intent};
use alb_ingress_controller::model::group::GroupId;
use alb_ingress_controller::model::limits::Limits;
use alb_ingress_controller::model::settings::Settings;
use alb_ingress_controller::model::snapshot::Snapshot;
use alb_ingress_controller::model::spec::{ObjectName, Scheme, Tags, TargetType};
use alb_ingress_controller::observe::{Memory, Periods, PodAddress, Scope};
use alb_ingress_controller::plan::backend::diff_backend;
use alb_ingress_controller::plan::step::Plan;
use alb_ingress_controller::plan::{PlanContext, diff};
use aws_config::retry::RetryConfig;
use sandbox_aws::faults::Fault;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SERVICES: usize = 5;
/// Requests for one call.
const ATTEMPTS: u32 = 2;

/// AWS and the stages that know it, without Kubernetes.
pub struct Bench {
    pub simulator: sandbox_aws::Simulator,
    pub ids: sandbox_aws::WorldIds,
    aws: Aws,
    settings: Settings,
    pub memory: Memory,
    backend: watch::Sender<BackendReady>,
}

fn group() -> GroupId {
    GroupId::Implicit(ObjectName::new("shop", "web"))
}

impl Bench {
    /// An account in which nothing was made yet.
    pub async fn start() -> Self {
        let simulator = sandbox_aws::Simulator::start(sandbox_aws::Options {
            dns: None,
            ..sandbox_aws::Options::default()
        })
        .await
        .unwrap();
        let world = sandbox_aws::World::default();
        let made = simulator
            .state()
            .write(|state, now| world.build(state, now));
        let ids = made.unwrap();
        let config = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
            .endpoint_url(simulator.endpoint())
            .region(aws_config::Region::new("us-east-1"))
            .test_credentials()
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(Duration::from_millis(1)),
            )
            .load()
            .await;
        let options = Options {
            rates: Some(Rates::unlimited()),
            ..Options::default()
        };
        let aws = Aws::with_config(&config, options);
        let settings = Settings {
            cluster_name: "sandbox".to_owned(),
            vpc_id: ids.vpc.clone(),
            ingress_class: "alb".to_owned(),
            default_scheme: Scheme::Internal,
            default_target_type: TargetType::Instance,
            default_ssl_policy: "ELBSecurityPolicy-2016-08".to_owned(),
            default_tags: Tags::new(),
            dns: None,
        };
        let memory = memory(&aws, &settings, NEVER);
        Self {
            simulator,
            ids,
            aws,
            settings,
            memory,
            backend: watch::Sender::default(),
        }
    }

    /// Everything is forgotten, as by a restart.
    fn restart(&mut self) {
        self.restart_with(NEVER);
    }

    /// The same, and it is read again as often as that.
    pub fn restart_with(&mut self, periods: Periods) {
        self.memory = memory(&self.aws, &self.settings, periods);
    }

    async fn desired(&self, snapshot: &Snapshot) -> Desired {
        self.desired_of(&group(), snapshot).await
    }

    async fn desired_of(&self, group: &GroupId, snapshot: &Snapshot) -> Desired {
        let facts = self.memory.facts().await.unwrap();
        model::build(group, snapshot, &facts, &self.settings)
    }

    /// Makes the shared group, and then these.
    pub async fn make(&self, groups: &[GroupId], snapshot: &Snapshot) {
        let first = self.desired_of(&groups[0], snapshot).await;
        self.backend(&first, snapshot).await;
        for group in groups {
            let desired = self.desired_of(group, snapshot).await;
            let plan = self.plan(&desired).await;
            let applied = self.apply(Work::Group(group), &plan).await;
            assert!(applied.is_complete(), "{group}: {applied:?}");
        }
    }

    async fn plan(&self, desired: &Desired) -> Plan {
        let observed = self.memory.recall(&desired.group).await.unwrap();
        let context = PlanContext {
            backend: self.memory.backend_id(),
            open_ports: self.backend.borrow().ports.clone(),
            limits: Limits::default(),
            records_go_first: false,
        };
        diff(desired, &observed, &context)
    }

    async fn apply(&self, work: Work<'_>, plan: &Plan) -> Applied {
        let cx = apply::Context {
            aws: &self.aws,
            memory: &self.memory,
            backend: self.backend.subscribe(),
            patience: Duration::from_secs(1),
            deferred: &BTreeMap::new(),
            announced: apply::unannounced(),
            stop: CancellationToken::new(),
        };
        apply::run(&cx, work, plan).await
    }

    /// The shared group, and its rules on the nodes' group.
    async fn backend(&self, desired: &Desired, snapshot: &Snapshot) {
        let pods: BTreeSet<PodAddress> = (0..SERVICES * 2)
            .map(|n| PodAddress {
                whose: 0,
                address: pod_address(n),
                instance: Some(self.ids.nodes[0].clone()),
                own_interface: false,
            })
            .collect();
        let instances = self.ids.nodes.iter().cloned().collect();
        let facts = self.memory.backend_facts(&instances, &pods).await.unwrap();
        let ports = group_ports(desired, None, &facts, &self.settings);
        let wished = build_backend(&[ports], snapshot, &self.settings);
        let observed = self.memory.recall_backend().await.unwrap();
        let plan = diff_backend(&wished, &observed);
        let applied = self.apply(Work::Backend, &plan).await;
        assert!(applied.is_complete(), "{applied:?}");
        self.backend.send_replace(BackendReady {
            group: self.memory.backend_id(),
            ports: BTreeSet::from([8080]),
        });
        let again = self.memory.recall_backend().await.unwrap();
        let again = diff_backend(&wished, &again);
        assert!(again.is_empty(), "{again}");
    }

    /// Calls since the last count, by action; refused ones too.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let mut calls = BTreeMap::new();
        for count in self.simulator.journal().counts() {
            *calls.entry(count.action).or_default() += count.count;
        }
        self.simulator.journal().clear();
        calls
    }
}

/// Nothing is read again.
const NEVER: Periods = Periods {
    fast: None,
    tag: None,
    slow: None,
    target: None,
    network: None,
};

fn memory(aws: &Aws, settings: &Settings, periods: Periods) -> Memory {
    Memory::new(
        aws.clone(),
        Scope {
            cluster: settings.cluster_name.clone(),
            vpc: settings.vpc_id.clone(),
            periods,
            verdict: Duration::from_hours(1),
            first_verification: Duration::from_mins(5),
        },
    )
}

fn pod_address(n: usize) -> String {
    format!("10.0.48.{}", 20 + n)
}

fn cluster(certificate: &str) -> Snapshot {
    cluster_of(certificate, &["web".to_owned()])
}

/// Ingresses with these names, each with a redirect, a certificate and ten
/// rules to five Services of two pods each.
pub fn cluster_of(certificate: &str, ingresses: &[String]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let path = |n: usize| {
        json!({
            "path": format!("/p{n}"), "pathType": "Exact",
            "backend": {"service": {"name": format!("svc{}", n % SERVICES), "port": {"number": 80}}},
        })
    };
    for ingress in ingresses {
        let name = ObjectName::new("shop", ingress);
        let ingress = json!({
            "metadata": {
                "namespace": "shop", "name": ingress, "uid": format!("u-{ingress}"),
                "annotations": {
                    "alb.ingress.kubernetes.io/scheme": "internet-facing",
                    "alb.ingress.kubernetes.io/target-type": "ip",
                    "alb.ingress.kubernetes.io/listen-ports": r#"[{"HTTP": 80}, {"HTTPS": 443}]"#,
                    "alb.ingress.kubernetes.io/ssl-redirect": "443",
                    "alb.ingress.kubernetes.io/certificate-arn": certificate,
                },
            },
            "spec": {
                "ingressClassName": "alb",
                "rules": [{"host": "shop.example.com", "http": {
                    "paths": (0..10).map(path).collect::<Vec<Value>>(),
                }}],
            },
        });
        snapshot.ingresses.insert(name, object(ingress));
    }
    let class = json!({
        "metadata": {"name": "alb"},
        "spec": {"controller": "ingress.k8s.aws/alb"},
    });
    snapshot
        .ingress_classes
        .insert("alb".to_owned(), object(class));
    for n in 0..SERVICES {
        let name = ObjectName::new("shop", format!("svc{n}"));
        let service = json!({
            "metadata": {"namespace": "shop", "name": name.name},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
        });
        snapshot.services.insert(name.clone(), object(service));
        let endpoint = |n: usize| {
            let pod = ObjectName::new("shop", format!("pod{n}"));
            json!({
                "addresses": [pod_address(n)], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod.name},
            })
        };
        let slice = json!({
            "metadata": {"namespace": "shop", "name": name.name},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [endpoint(2 * n), endpoint(2 * n + 1)],
        });
        snapshot.endpoint_slices.insert(name, vec![object(slice)]);
        for pod in [2 * n, 2 * n + 1] {
            let name = ObjectName::new("shop", format!("pod{pod}"));
            let pod = json!({
                "metadata": {"namespace": "shop", "name": name.name},
                "status": {"podIP": pod_address(pod), "conditions": [{"type": "Ready", "status": "True"}]},
            });
            snapshot.pods.insert(name, object(pod));
        }
    }
    snapshot
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

#[tokio::test]
async fn what_is_written_reads_back_and_keeps_to_its_budget() {
    let mut bench = Bench::start().await;
    let snapshot = cluster(&bench.ids.certificates[0]);
    let mut desired = bench.desired(&snapshot).await;
    assert!(desired.findings.is_empty(), "{:?}", desired.findings);
    let plan = bench.plan(&desired).await;
    bench.backend(&desired, &snapshot).await;
    let once = bench.calls();
    assert!(once.values().sum::<u64>() <= 10 + 4, "{once:?}");

    let applied = bench.apply(Work::Group(&group()), &plan).await;
    assert!(applied.is_complete(), "{applied:?}\n{plan}");
    let created = bench.calls();
    assert!(created.values().sum::<u64>() <= 30, "{created:?}");

    let again = bench.plan(&desired).await;
    assert!(again.is_empty(), "written through, but:\n{again}");
    assert_eq!(bench.calls(), BTreeMap::new());

    bench.restart();
    let again = bench.plan(&desired).await;
    assert!(again.is_empty(), "read back, but:\n{again}");
    let read = bench.calls();
    assert!(read.values().sum::<u64>() <= 15, "{read:?}");

    desired.intent = Intent::Remove;
    let plan = bench.plan(&desired).await;
    assert!(!plan.is_empty());
    let applied = bench.apply(Work::Group(&group()), &plan).await;
    let deleted = bench.calls();
    assert!(deleted.values().sum::<u64>() <= 10, "{deleted:?}");
    // The load balancer's interfaces hold the security group for a while.
    let held = applied.failed.iter();
    let held = held
        .filter(|failure| failure.error.class == Class::InUse)
        .count();
    assert_eq!(applied.failed.len(), held, "{applied:?}");
    let gone = async {
        loop {
            let plan = bench.plan(&desired).await;
            if plan.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            bench.apply(Work::Group(&group()), &plan).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_mins(1), gone).await;
    assert!(
        gone.is_ok(),
        "the security group stays: {:?}",
        bench.calls()
    );
    bench.restart();
    assert!(bench.memory.recall(&group()).await.unwrap().is_empty());
}

/// Whatever call of a creation fails, and however, the next rounds end where
/// an undisturbed one does, and nothing is there twice.
#[tokio::test]
async fn an_error_at_any_call_of_a_creation_is_recovered_from() {
    for action in [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "CreateTargetGroup",
        "RegisterTargets",
        "CreateLoadBalancer",
        "CreateListener",
        "CreateRule",
    ] {
        // Refused; answered with a fault after it was done, so that the SDK
        // does it twice; done, and no answer that says so.
        for (code, after, times) in [
            ("TooManyRules", false, 1),
            ("ServiceUnavailable", true, 1),
            ("ServiceUnavailable", true, u64::from(ATTEMPTS)),
        ] {
            let bench = Bench::start().await;
            let snapshot = cluster(&bench.ids.certificates[0]);
            let desired = bench.desired(&snapshot).await;
            let plan = bench.plan(&desired).await;
            bench.backend(&desired, &snapshot).await;
            let service = if action.contains("SecurityGroup") {
                "ec2"
            } else {
                "elasticloadbalancing"
            };
            bench.simulator.faults().add(Fault {
                service: Some(service.to_owned()),
                action: Some(action.to_owned()),
                times,
                code: Some(code.to_owned()),
                after,
                ..Fault::default()
            });
            let case = format!("{action} {code} {times}");
            let first = bench.apply(Work::Group(&group()), &plan).await;
            assert!(after || !first.is_complete(), "{case}");
            for _ in 0..3 {
                let plan = bench.plan(&desired).await;
                bench.apply(Work::Group(&group()), &plan).await;
            }
            let plan = bench.plan(&desired).await;
            assert!(plan.is_empty(), "{case}:\n{plan}");
            let observed = bench.memory.remembered(&group());
            assert_eq!(observed.load_balancers.len(), 1, "{case}");
            assert_eq!(observed.target_groups.len(), SERVICES, "{case}");
            assert_eq!(observed.security_groups.len(), 1, "{case}");
        }
    }
}
