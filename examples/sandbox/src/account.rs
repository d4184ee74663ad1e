//! The simulated AWS as a cluster needs it: an account with a VPC, instances
//! and zones, and the network in which played Nodes and Pods stand. Starts the
//! simulator; touches Kubernetes nowhere.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use sandbox_aws::dataplane::Addresses;
use sandbox_aws::{SharedState, Simulator, World};

use crate::kubelet::cloud::{Cloud, Network};
use crate::kubelet::node::PlayedNode;

/// A running AWS. Ends when it is dropped.
pub struct Account {
    simulator: Simulator,
    region: String,
    vpc_id: String,
}

impl Account {
    /// Credentials for the account, which takes any.
    pub const ACCESS_KEY_ID: &str = "AKIASANDBOX000000000";
    /// Credentials for the account, which takes any.
    pub const SECRET_ACCESS_KEY: &str = "sandbox";

    /// Starts an AWS, on free ports, with all that a cluster of this name
    /// finds in an account: a VPC with tagged subnets, an instance for each
    /// Node, hosted zones and certificates.
    ///
    /// # Errors
    /// No port is free.
    pub async fn of_cluster(name: &str) -> anyhow::Result<Self> {
        let options = sandbox_aws::Options {
            world: Some(World::of_cluster(name)),
            ..sandbox_aws::Options::default()
        };
        Self::start(options).await
    }

    /// Starts an AWS with an empty account on `listen`.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn empty(listen: SocketAddr) -> anyhow::Result<Self> {
        let options = sandbox_aws::Options {
            listen,
            ..sandbox_aws::Options::default()
        };
        Self::start(options)
            .await
            .with_context(|| format!("cannot serve the AWS on {listen}"))
    }

    async fn start(options: sandbox_aws::Options) -> anyhow::Result<Self> {
        let simulator = Simulator::start(options)
            .await
            .context("the AWS does not start")?;
        let (region, vpc_id) = simulator.state().read(|account| {
            let vpc = account.vpcs.keys().next().cloned();
            (account.region.clone(), vpc.unwrap_or_default())
        });
        Ok(Self {
            simulator,
            region,
            vpc_id,
        })
    }

    /// One URL for all services, `http://127.0.0.1:PORT`.
    pub fn endpoint_url(&self) -> String {
        self.simulator.url()
    }

    /// Where Route 53's zones and the load balancers' names are answered, over
    /// UDP.
    pub fn dns(&self) -> SocketAddr {
        self.simulator.dns()
    }

    /// The region of the account.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The VPC of the cluster; empty in an empty account.
    pub fn vpc_id(&self) -> &str {
        &self.vpc_id
    }

    /// The role that the controller's ServiceAccount assumes by web identity.
    pub fn controller_role_arn(&self) -> String {
        let account = self.simulator.state().read(|state| state.account.clone());
        format!("arn:aws:iam::{account}:role/alb-ingress-controller")
    }

    /// All that the account holds.
    pub fn state(&self) -> &SharedState {
        self.simulator.state()
    }

    /// The network for the played kubelet.
    pub fn cloud(&self) -> Cloud {
        Cloud::new(Vpc {
            state: self.simulator.state().clone(),
            addresses: self.simulator.addresses().clone(),
        })
    }

    /// A Node for each instance of the account.
    pub fn nodes(&self) -> Vec<PlayedNode> {
        self.simulator.state().read(|account| {
            account
                .instances
                .values()
                .map(|instance| PlayedNode {
                    name: instance.private_dns_name.clone(),
                    instance: instance.id.clone(),
                    address: instance.private_ip,
                    zone: instance.availability_zone.clone(),
                    region: account.region.clone(),
                })
                .collect()
        })
    }
}

/// Addresses out of the account's subnets, and its data plane's table.
#[derive(Debug)]
struct Vpc {
    state: SharedState,
    addresses: Addresses,
}

impl Network for Vpc {
    fn assign_pod_address(&self, instance: &str) -> Result<Ipv4Addr, String> {
        self.state
            .write(|account, _now| account.assign_pod_ip(instance))
            .map_err(|refusal| refusal.to_string())
    }

    fn release_pod_address(&self, _instance: &str, address: Ipv4Addr) {
        self.state
            .write(|account, _now| account.release_pod_ip(address));
    }

    fn map(&self, target: &str, socket: Option<SocketAddr>) {
        if let Err(error) = self.addresses.set(target, socket) {
            tracing::error!("the data plane refuses an address: {error}");
        }
    }
}
