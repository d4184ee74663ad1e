//! What the demo's script acts on: the sandbox, kubectl, the web as seen
//! through the load balancers, and what was seen before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client, ResourceExt};
use sandbox_aws::State;
use sandbox_aws::dns::{Lookup, lookup};
use serde::Deserialize;

use super::view;
use super::visitors::Visitors;
use crate::controller::{NAME, repository};
use crate::sandbox::Sandbox;
use crate::web::{self, Answer, Listener};

/// A row of `GET /_sim/calls`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Call {
    /// Service, as in the signature's scope.
    pub service: String,
    /// Operation.
    pub action: String,
    /// HTTP status of the answers.
    pub status: u16,
    /// How often.
    pub count: u64,
}

impl Call {
    /// The call changes something.
    pub fn writes(&self) -> bool {
        !["Describe", "List", "Get", "AssumeRole"]
            .iter()
            .any(|verb| self.action.starts_with(verb))
    }
}

/// What an account holds that a controller may leave behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    load_balancers: usize,
    target_groups: usize,
    /// Security groups with the number of their rules.
    security_groups: BTreeMap<String, usize>,
    records: BTreeSet<String>,
}

/// What was seen earlier in the demo.
#[derive(Default)]
pub struct Memory {
    /// The account before the controller did anything.
    pub at_start: Traces,
    /// What AWS held before something was broken.
    pub holdings: String,
    /// Visitors of the game while something is broken.
    pub visitors: Option<Visitors>,
}

/// The stage of the demo.
pub struct Stage {
    /// All that runs.
    pub sandbox: Sandbox,
    /// Whether the controller is part of it.
    pub with_controller: bool,
    /// Whether the demo goes through to its end by itself.
    pub once: bool,
    client: Client,
    memory: Mutex<Memory>,
}

impl Stage {
    /// A stage on a sandbox in which nothing has happened yet.
    ///
    /// # Errors
    /// None that the caller can cause.
    pub fn new(sandbox: Sandbox, with_controller: bool, once: bool) -> anyhow::Result<Self> {
        let client = sandbox.control_plane.client()?;
        let stage = Self {
            sandbox,
            with_controller,
            once,
            client,
            memory: Mutex::default(),
        };
        stage.memory().at_start = stage.traces();
        Ok(stage)
    }

    /// What was seen earlier.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the AWS account.
    pub fn account<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.sandbox.account.state().read(look)
    }

    /// What a controller may have left in the account.
    pub fn traces(&self) -> Traces {
        self.account(|account| Traces {
            load_balancers: account.load_balancers.len(),
            target_groups: account.target_groups.len(),
            security_groups: account
                .security_groups
                .values()
                .map(|group| (group.id.clone(), group.rules.len()))
                .collect(),
            records: view::records(account)
                .map(|record| format!("{} {}", record.name, record.kind))
                .collect(),
        })
    }

    /// Runs kubectl; gives what it printed, below the command itself.
    ///
    /// # Errors
    /// When kubectl fails: what it said.
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.sandbox.control_plane.kubectl();
        let output = command.args(arguments).output().await?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        Ok(format!("$ kubectl {}\n{printed}", arguments.join(" ")))
    }

    /// Runs `kubectl VERB -k` on an example.
    ///
    /// # Errors
    /// When the example is not there or kubectl fails.
    pub async fn example(&self, name: &str, verb: &str) -> anyhow::Result<String> {
        let folder = repository().join("examples").join(name);
        let output = self
            .sandbox
            .control_plane
            .kubectl()
            .args([verb, "--wait=false", "-k"])
            .arg(&folder)
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(format!(
            "$ kubectl {verb} -k examples/{name}\n{}",
            String::from_utf8_lossy(&output.stdout)
        ))
    }

    /// The pods of a namespace.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pods(&self, namespace: &str) -> anyhow::Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        Ok(pods.list(&kube::api::ListParams::default()).await?.items)
    }

    /// Fails until exactly `count` pods of a namespace are there and ready.
    ///
    /// # Errors
    /// How many there are.
    pub async fn ready_pods(&self, namespace: &str, count: usize) -> anyhow::Result<String> {
        let pods = self.pods(namespace).await?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        ensure!(
            ready == count && pods.len() == count,
            "{ready} of {} pods in {namespace} are ready, {count} are wanted",
            pods.len()
        );
        let mut shown = String::new();
        for pod in &pods {
            let status = pod.status.as_ref();
            let address = status.and_then(|status| status.pod_ip.as_deref());
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            let (address, node) = (address.unwrap_or("-"), node.unwrap_or("-"));
            writeln!(shown, "{} {address} on {node}", pod.name_any())?;
        }
        Ok(shown)
    }

    /// The last lines of the controller's logs, for one who asks why.
    pub async fn controller_logs(&self) -> String {
        let deployment = format!("deployment/{NAME}");
        let namespace = format!("--namespace={NAME}");
        let logs = ["logs", &namespace, &deployment, "--all-pods", "--tail=15"];
        match self.kubectl(&logs).await {
            Ok(logs) => logs,
            Err(error) => format!("{error:#}"),
        }
    }

    /// Which pods of the controller are ready, and which one of them leads.
    ///
    /// # Errors
    /// When it is not two ready ones with one leader.
    pub async fn controllers(&self) -> anyhow::Result<String> {
        use k8s_openapi::api::coordination::v1::Lease;
        let pods = self.pods(NAME).await?;
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), NAME);
        let holders: Vec<String> = leases
            .list(&kube::api::ListParams::default())
            .await?
            .items
            .into_iter()
            .filter_map(|lease| lease.spec?.holder_identity)
            .collect();
        let leads = |pod: &Pod| {
            holders
                .iter()
                .any(|holder| holder.contains(&pod.name_any()))
        };
        let ready: Vec<&Pod> = pods.iter().filter(|pod| is_ready(pod)).collect();
        ensure!(ready.len() == 2, "{} replicas are ready", ready.len());
        let leaders = ready.iter().filter(|pod| leads(pod)).count();
        ensure!(leaders == 1, "{leaders} of the replicas lead");
        let mut shown = String::new();
        for pod in ready {
            let role = if leads(pod) { "leads" } else { "stands by" };
            writeln!(shown, "{} {role}", pod.name_any())?;
        }
        Ok(shown)
    }

    /// An Ingress, if it is there.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn ingress(&self, namespace: &str, name: &str) -> anyhow::Result<Option<Ingress>> {
        let ingresses: Api<Ingress> = Api::namespaced(self.client.clone(), namespace);
        Ok(ingresses.get_opt(name).await?)
    }

    /// The name of the load balancer in an Ingress' status.
    ///
    /// # Errors
    /// When there is none yet.
    pub async fn load_balancer(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        self.ingress(namespace, name)
            .await?
            .and_then(|ingress| ingress.status?.load_balancer?.ingress?.pop()?.hostname)
            .with_context(|| format!("Ingress {namespace}/{name} has no address in its status yet"))
    }

    /// Asks the sandbox's DNS.
    ///
    /// # Errors
    /// When it does not answer, or not with an address.
    pub async fn dns(&self, host: &str) -> anyhow::Result<Lookup> {
        let found = lookup(self.sandbox.account.dns(), host, "A").await?;
        ensure!(
            !found.addresses().is_empty(),
            "{host} has no address: {}",
            found.status()
        );
        Ok(found)
    }

    /// The listener of a host's load balancer, as DNS names that.
    ///
    /// # Errors
    /// When the host has no record or nothing listens on the port.
    pub async fn listener(&self, host: &str, port: u16) -> anyhow::Result<Listener> {
        let addresses = self.dns(host).await?.addresses();
        web::listeners(&self.sandbox.account.endpoint_url())
            .await?
            .into_iter()
            .find(|each| each.port == port && addresses.contains(&each.socket.ip()))
            .with_context(|| format!("nothing listens for {host} on port {port}"))
    }

    /// Fetches a path of a host as a client on the internet would.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fetch(&self, host: &str, port: u16, path: &str) -> anyhow::Result<Answer> {
        let listener = self.listener(host, port).await?;
        web::get(&listener, host, path).await
    }

    /// The calls that AWS got since they were last cleared.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn calls(&self) -> anyhow::Result<Vec<Call>> {
        web::sim(&self.sandbox.account.endpoint_url(), "/_sim/calls").await
    }

    /// Forgets the calls so far.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn clear_calls(&self) -> anyhow::Result<()> {
        web::clear_calls(&self.sandbox.account.endpoint_url()).await
    }
}

/// A table of calls.
pub fn written<'a>(calls: impl IntoIterator<Item = &'a Call>) -> String {
    let rows = calls.into_iter().map(|call| {
        let refused = if call.status < 400 {
            String::new()
        } else {
            format!(" (status {})", call.status)
        };
        format!(
            "{:>3} {} {}{refused}\n",
            call.count, call.service, call.action
        )
    });
    rows.collect()
}

fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod
            .status
            .iter()
            .filter_map(|status| status.conditions.as_ref())
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_write() {
        let call = |action: &str| Call {
            service: "elasticloadbalancing".to_owned(),
            action: action.to_owned(),
            status: 200,
            count: 2,
        };
        assert!(call("CreateRule").writes() && call("RegisterTargets").writes());
        assert!(!call("DescribeRules").writes() && !call("ListHostedZones").writes());
        assert_eq!(
            written(&[call("CreateRule")]),
            "  2 elasticloadbalancing CreateRule\n"
        );
    }
}
