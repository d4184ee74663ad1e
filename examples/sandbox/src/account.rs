//! The simulated AWS as a cluster needs it: an account with a VPC, instances
//! and zones, and the network in which played Nodes and Pods stand. Starts the
//! simulator; touches Kubernetes nowhere.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use sandbox_aws::callers::Role;
use sandbox_aws::dataplane::Addresses;
use sandbox_aws::journal::Journal;
use sandbox_aws::state::outside::Issuer;
use sandbox_aws::{Profile, SharedState, Simulator, State, World, WorldIds};

use crate::control_plane::TOKEN_ISSUER;
use crate::kubelet::cloud::{Cloud, Network};
use crate::kubelet::node::PlayedNode;

/// The region of every account here.
const REGION: &str = "us-west-2";

/// What a user lets the controller do.
const IAM_POLICY: &str = include_str!("../../../deploy/iam-policy.json");

/// The certificate that the examples name, for a user to put another in its
/// place. In the account of a cluster it is there, so that they work as they are.
pub const EXAMPLE_CERTIFICATE: &str =
    "arn:aws:acm:us-west-2:123456789012:certificate/00000000-0000-0000-0000-000000000000";

/// A running AWS. Ends when it is dropped.
pub struct Account {
    simulator: Simulator,
    state: SharedState,
    dns: SocketAddr,
    world: WorldIds,
}

impl Account {
    /// Credentials for the account, which takes any.
    pub const ACCESS_KEY_ID: &str = "AKIASANDBOX000000000";
    /// Credentials for the account, which takes any.
    pub const SECRET_ACCESS_KEY: &str = "sandbox";

    /// Starts an AWS, on free ports, with all that a cluster of this name
    /// finds in an account: a VPC with tagged subnets, an instance for each
    /// Node, a hosted zone and a certificate, [`EXAMPLE_CERTIFICATE`].
    ///
    /// # Errors
    /// No port is free, or the name does not fit into a tag.
    pub async fn of_cluster(name: &str) -> anyhow::Result<Self> {
        let mut account = Self::start(sandbox_aws::Options::default()).await?;
        let world = World {
            cluster_name: name.to_owned(),
            ..World::default()
        };
        account.world = account
            .state
            .write(|state, now| {
                // Whose tokens the controller's role is assumed with.
                state.outside.issuers = vec![Issuer::Url(TOKEN_ISSUER.to_owned())];
                world.build(state, now).map(|mut ids| {
                    for arn in &mut ids.certificates {
                        rename_certificate(state, arn, EXAMPLE_CERTIFICATE);
                    }
                    ids
                })
            })
            .map_err(|refusal| anyhow!("the AWS refuses a cluster named '{name}': {refusal}"))?;
        // With no more rights than a user is told to give it.
        account.simulator.callers().register_role(Role {
            arn: account.controller_role_arn(),
            trust_policy: None,
            policy: Some(serde_json::from_str(IAM_POLICY).context("deploy/iam-policy.json")?),
            issuer: Some(TOKEN_ISSUER.to_owned()),
            max_session_seconds: 43_200,
        });
        Ok(account)
    }

    /// Starts an AWS with an empty account on `listen`; `only_known_keys`
    /// refuses keys that were not registered with it, what is left to chance is
    /// drawn by `seed`.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn empty(
        listen: SocketAddr,
        time: Profile,
        only_known_keys: bool,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let options = sandbox_aws::Options {
            listen,
            timing: time.timing(),
            lags: time.lags(),
            only_known_keys,
            seed,
            ..sandbox_aws::Options::default()
        };
        Self::start(options).await
    }

    async fn start(options: sandbox_aws::Options) -> anyhow::Result<Self> {
        let options = sandbox_aws::Options {
            region: REGION.to_owned(),
            ..options
        };
        let simulator = Simulator::start(options).await?;
        let dns = simulator
            .dns_address()
            .ok_or_else(|| anyhow!("the AWS answers no DNS"))?;
        Ok(Self {
            state: simulator.state(),
            simulator,
            dns,
            world: WorldIds::default(),
        })
    }

    /// One URL for all services, `http://127.0.0.1:PORT`.
    pub fn endpoint_url(&self) -> String {
        self.simulator.endpoint()
    }

    /// Where Route 53's zones and the load balancers' names are answered, over
    /// UDP.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// The region of the account.
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// The VPC of the cluster; empty in an empty account.
    pub fn vpc_id(&self) -> &str {
        &self.world.vpc
    }

    /// The ids of what [`of_cluster`](Self::of_cluster) made.
    pub fn world(&self) -> &WorldIds {
        &self.world
    }

    /// The role that the controller's ServiceAccount assumes by web identity.
    pub fn controller_role_arn(&self) -> String {
        let account = self.state.read(|state| state.account.clone());
        format!("arn:aws:iam::{account}:role/alb-ingress-controller")
    }

    /// All that the account holds.
    pub fn state(&self) -> &SharedState {
        &self.state
    }

    /// The calls that were made.
    pub fn journal(&self) -> &Journal {
        self.simulator.journal()
    }

    /// The network for the played kubelet.
    pub fn cloud(&self) -> Cloud {
        Cloud::new(Vpc {
            state: self.state.clone(),
            addresses: self.simulator.plane().addresses().clone(),
        })
    }

    /// A Node for each instance of the account.
    pub fn nodes(&self) -> Vec<PlayedNode> {
        self.state.read(|account| {
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

/// Gives another ARN to a certificate that nobody uses yet and that has no tags.
fn rename_certificate(state: &mut State, arn: &mut String, new: &str) {
    if let Some(mut certificate) = state.certificates.remove(arn) {
        new.clone_into(&mut certificate.arn);
        state.certificates.insert(new.to_owned(), certificate);
    }
    new.clone_into(arn);
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
