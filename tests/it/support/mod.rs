//! What behaviour tests share: one bare control plane for the whole run, and
//! for each test an AWS and a controller process of its own.
//!
//! A test plays the kubelet and the EndpointSlice controller itself. Its
//! Ingresses carry the annotation `kubernetes.io/ingress.class` with the
//! scene's name, which is also the name of its cluster, and its controllers
//! watch the namespace of this name only, so that scenes do not see each
//! other's. What touches what all scenes share (the class `alb`,
//! TargetGroupBindings), and what needs several namespaces
//! (`--watch-namespace=`), is done in a [`Scene::alone`].

mod cluster;
mod process;
mod proxy;

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use sandbox_aws::callers::NewKey;
use sandbox_aws::journal::Call;
use sandbox_aws::state::acm::NewCertificate;
use sandbox_aws::{Simulator, State, World, WorldIds};
use serde_json::{Value, json};
use tokio::sync::RwLock;

pub use process::{Controller, command};
pub use proxy::{Blow, Proxy, Watches, Write};

/// What a user lets the controller do.
const IAM_POLICY: &str = include_str!("../../../deploy/iam-policy.json");

/// How long something may take that takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long nothing may happen until all is said to be done.
const QUIET: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(50);

/// Arguments of a controller that verifies everything all the time.
pub const WATCHFUL: [&str; 7] = [
    "--first-verification=2s",
    "--verify-interval=2s",
    "--verify-tags-interval=2s",
    "--verify-rules-interval=2s",
    "--verify-targets-interval=2s",
    "--verify-network-interval=2s",
    "--verify-records-interval=2s",
];

/// Scenes that share the cluster, or one that has it for itself.
static CLUSTER: RwLock<()> = RwLock::const_new(());

/// A namespace, an AWS account, and the controllers that work on them.
pub struct Scene {
    /// Name of the cluster, the class, and the first namespace.
    pub name: String,
    /// The AWS.
    pub aws: Simulator,
    /// What the account has from the start.
    pub ids: WorldIds,
    /// The API server, with all rights.
    pub client: Client,
    /// Its share of the cluster, given back when it is dropped.
    _share: Box<dyn Send + Sync>,
}

impl Scene {
    /// A scene beside others.
    pub async fn new(name: &str) -> Self {
        Self::set(name, Box::new(CLUSTER.read().await)).await
    }

    /// A scene that has the cluster for itself; for what others would see, and
    /// for how calls lie in time.
    pub async fn alone(name: &str) -> Self {
        loop {
            // Not queued for: whoever comes meanwhile goes first, so that those
            // that must be alone come together at last, one after the other.
            if let Ok(all) = CLUSTER.try_write() {
                return Self::set(name, Box::new(all)).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn set(name: &str, share: Box<dyn Send + Sync>) -> Self {
        let options = sandbox_aws::Options {
            region: cluster::REGION.to_owned(),
            ..sandbox_aws::Options::default()
        };
        let aws = Simulator::start(options).await.unwrap();
        // What the published policy does not allow fails here, not at a user's.
        aws.callers().register(NewKey {
            policy: Some(serde_json::from_str(IAM_POLICY).unwrap()),
            ..NewKey::of("test", "test-secret")
        });
        let world = World {
            cluster_name: name.to_owned(),
            ..World::default()
        };
        let ids = aws
            .state()
            .write(|state, now| world.build(state, now))
            .unwrap();
        let client = cluster::client(&ids).await;
        let scene = Self {
            name: name.to_owned(),
            aws,
            ids,
            client,
            _share: share,
        };
        scene.namespace(name).await;
        scene
    }

    /// Makes a namespace; names are the test's to keep apart from others'.
    pub async fn namespace(&self, name: &str) {
        let namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &namespace)
            .await
            .unwrap();
    }

    /// Starts a controller with further arguments, and waits until it is
    /// ready. Whether it leads is another matter.
    pub async fn controller(&self, arguments: &[&str]) -> Controller {
        let controller = Controller::start(self, arguments);
        controller.ready().await;
        controller
    }

    /// Path of the kubeconfig with all rights.
    pub fn kubeconfig() -> String {
        let path = cluster::sandbox().control_plane.kubeconfig_path();
        path.to_str().unwrap().to_owned()
    }

    /// Applies manifests. `{ns}` and `{class}` stand for the scene's name,
    /// `{certificate}` for the certificate that the account has.
    pub async fn apply(&self, manifests: &str) {
        cluster::kubectl(&["apply", "-f", "-"], &self.fill(manifests)).await;
    }

    /// Deletes what manifests name, without waiting for finalizers.
    pub async fn delete(&self, manifests: &str) {
        let manifests = self.fill(manifests);
        cluster::kubectl(&["delete", "--wait=false", "-f", "-"], &manifests).await;
    }

    /// Runs kubectl and answers its standard output.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|a| self.fill(a)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        cluster::kubectl(&arguments, "").await
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{ns}", &self.name)
            .replace("{class}", &self.name)
            .replace("{certificate}", &self.ids.certificates[0])
    }

    /// Makes a Service (ClusterIP, port 80, named `http`, to 8080), a ready
    /// Pod for each address, and the EndpointSlice that says so. Called again
    /// with other addresses it changes them; Pods that are no longer named
    /// are deleted.
    pub async fn service(&self, namespace: &str, name: &str, addresses: &[&str]) {
        cluster::service(&self.client, namespace, name, addresses).await;
    }

    /// Looks at the account.
    pub fn account<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.aws.state().read(look)
    }

    /// Puts one more issued certificate into the account, and answers its ARN.
    pub fn certificate(&self, domain: &str) -> String {
        self.aws.state().write(|state, now| {
            let new = NewCertificate {
                domain_name: domain.to_owned(),
                ..NewCertificate::default()
            };
            let arn = state.request_certificate(&new, now).unwrap();
            state.issue_certificate(&arn, now);
            arn
        })
    }

    /// The calls since the last [`forget_calls`](Self::forget_calls), in
    /// order, those of STS left out.
    pub fn calls(&self) -> Vec<Call> {
        let mut calls = self.aws.journal().after(0);
        calls.retain(|call| call.service != "sts");
        calls
    }

    /// `service action` of the calls, in order.
    pub fn actions(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        calls
            .map(|c| format!("{} {}", c.service, c.action))
            .collect()
    }

    /// Begins to count anew.
    pub fn forget_calls(&self) {
        self.aws.journal().clear();
    }

    /// Waits until `check` answers `Ok`, and answers what is in it. Fails with
    /// what it said last.
    pub async fn eventually<T, E: Debug>(
        &self,
        what: &str,
        mut check: impl AsyncFnMut() -> Result<T, E>,
    ) -> T {
        let began = Instant::now();
        loop {
            match check().await {
                Ok(value) => return value,
                Err(error) if began.elapsed() > PATIENCE => {
                    panic!("{}: not in {PATIENCE:?}: {what}: {error:?}", self.name)
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Waits until a controller that leads has listed the account.
    pub async fn listed(&self, controller: &Controller) {
        self.eventually("the account is listed", async || {
            let log = controller.log();
            if log.contains("the account is listed") {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
    }

    /// Waits until there was no call to AWS for a while.
    pub async fn quiet(&self) {
        let mut seen = (u64::MAX, Instant::now());
        let began = Instant::now();
        let mut enough = QUIET;
        while seen.1.elapsed() < enough {
            assert!(began.elapsed() < PATIENCE, "{}: never quiet", self.name);
            let (last, calls) = self.aws.journal().last();
            // Whether a change of records has been spread is asked at pauses.
            let asks = last.is_some_and(|(service, _)| service == "route53");
            enough = if asks { QUIET * 2 } else { QUIET };
            if calls != seen.0 {
                seen = (calls, Instant::now());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until every fault has met its calls.
    pub async fn faults_met(&self, what: &str) {
        self.eventually(what, async || {
            let waits = self.aws.faults().all();
            if waits.is_empty() { Ok(()) } else { Err(waits) }
        })
        .await;
    }

    /// Waits until the Ingress has the name of a load balancer, and answers it.
    pub async fn address(&self, namespace: &str, ingress: &str) -> String {
        self.eventually("the Ingress has an address", async || {
            let status = cluster::ingress(&self.client, namespace, ingress).await;
            let status = status.and_then(|i| i.status).and_then(|s| s.load_balancer);
            let hostname = status.and_then(|s| s.ingress?.into_iter().next()?.hostname);
            hostname.ok_or("no hostname in the status")
        })
        .await
    }

    /// The Ingress, as the API server has it.
    pub async fn ingress(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<k8s_openapi::api::networking::v1::Ingress> {
        cluster::ingress(&self.client, namespace, name).await
    }

    /// All IngressGroups of the cluster.
    pub async fn groups(&self) -> Vec<Value> {
        cluster::groups(&self.client).await
    }

    /// The IngressGroup of a group; null where there is none.
    pub async fn group(&self, group: &str) -> Value {
        let mut all = self.groups().await.into_iter();
        all.find(|item| item["spec"]["group"] == group)
            .unwrap_or_default()
    }

    /// `reason: message` of the Warning events on an Ingress.
    pub async fn warnings(&self, namespace: &str, ingress: &str) -> Vec<String> {
        cluster::events(&self.client, namespace, ingress, Some("Warning")).await
    }

    /// `reason: message` of all events on an Ingress.
    pub async fn events(&self, namespace: &str, ingress: &str) -> Vec<String> {
        cluster::events(&self.client, namespace, ingress, None).await
    }

    /// Waits for a Warning event whose text has all of `parts`.
    pub async fn warned(&self, namespace: &str, ingress: &str, parts: &[&str]) -> String {
        self.eventually("a warning", async || {
            let events = self.warnings(namespace, ingress).await;
            let found = events
                .iter()
                .find(|event| parts.iter().all(|part| event.contains(part)));
            found
                .cloned()
                .ok_or_else(|| format!("{parts:?} not in {events:#?}"))
        })
        .await
    }

    /// Waits until an Ingress is gone from the API server.
    pub async fn gone(&self, namespace: &str, ingress: &str) {
        self.eventually("the Ingress is gone", async || {
            match self.ingress(namespace, ingress).await {
                None => Ok(()),
                Some(there) => Err(there.metadata.finalizers),
            }
        })
        .await;
    }

    /// What of ours is in the account: names of load balancers, target groups
    /// and security groups with the cluster's tag, and records that are not
    /// the zone's own.
    pub fn ours(&self) -> Vec<String> {
        self.account(|state| {
            let mut ours = Vec::new();
            ours.extend(state.load_balancers.values().map(|lb| lb.name.clone()));
            ours.extend(state.target_groups.values().map(|tg| tg.name.clone()));
            let tagged = |id: &String| {
                let tags = state.tags.get(id);
                tags.is_some_and(|tags| tags.contains_key("elbv2.k8s.aws/cluster"))
            };
            let groups = state.security_groups.iter();
            ours.extend(
                groups
                    .filter(|(id, _)| tagged(id))
                    .map(|(_, g)| g.name.clone()),
            );
            let records = state
                .hosted_zones
                .values()
                .flat_map(|zone| zone.records.values());
            let of_zone = |kind: &str| matches!(kind, "NS" | "SOA");
            let records = records.filter(|record| !of_zone(&record.kind));
            ours.extend(records.map(|record| format!("{} {}", record.kind, record.name)));
            ours
        })
    }

    /// Waits until nothing of ours is left in the account.
    pub async fn empty(&self) {
        self.eventually("the account is empty", async || {
            let ours = self.ours();
            if ours.is_empty() { Ok(()) } else { Err(ours) }
        })
        .await;
    }

    /// Deletes a namespace's Ingresses and waits until they are gone.
    pub async fn delete_ingresses(&self, namespace: &str) {
        use k8s_openapi::api::networking::v1::Ingress;
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), namespace);
        api.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default())
            .await
            .unwrap();
        self.eventually("all Ingresses are gone", async || {
            let left = api.list(&kube::api::ListParams::default()).await.unwrap();
            if left.items.is_empty() {
                Ok(())
            } else {
                Err(left.items.len())
            }
        })
        .await;
    }
}
