//! All parts of the sandbox as one value: what `up` and `demo` start, and what
//! a test run shares.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;

use crate::account::Account;
use crate::console::picture::Place;
use crate::console::plan::Planner;
use crate::console::{self, Console};
use crate::control_plane::{self, ControlPlane};
use crate::controller::{self, ControllerProgram, Installation};
use crate::env_file::Environment;
use crate::gateway::Gateway;
use crate::kubelet::{self, Kubelet};

/// What a sandbox consists of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only etcd, the API server and the AWS: the caller brings Nodes, Pods
    /// and EndpointSlices, and nobody else touches them.
    pub bare: bool,
    /// A folder of ready control-plane binaries; none means those of the
    /// cache, which are built when they are not there.
    pub control_plane_bin: Option<PathBuf>,
    /// The name of the cluster, by which the VPC's subnets are tagged.
    pub cluster_name: String,
    /// What runs for Pods of the controller's image. None: they wait, with an
    /// event that says so.
    pub controller: Option<ControllerProgram>,
    /// The port of the gateway for people; 0 means any that is free.
    pub gateway_port: u16,
    /// The port of the console, 0 for any that is free; none for no console.
    pub console_port: Option<u16>,
    /// The file that tells others of this sandbox: it goes with it, even when
    /// that is killed. The caller writes it.
    pub env_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bare: false,
            control_plane_bin: None,
            cluster_name: "sandbox".to_owned(),
            controller: None,
            gateway_port: 0,
            console_port: None,
            env_file: None,
        }
    }
}

/// A running sandbox. Ends when it is dropped, and with the process, however
/// that ends.
pub struct Sandbox {
    /// Kubernetes.
    pub control_plane: ControlPlane,
    /// The AWS, with the network that a cluster stands in.
    pub account: Account,
    /// Plays Nodes and Pods; none in a bare sandbox.
    pub kubelet: Option<Kubelet>,
    /// Lets a browser reach the load balancers; none in a bare sandbox.
    pub gateway: Option<Gateway>,
    /// Shows all of it, if it was asked for.
    pub console: Option<Console>,
    cluster_name: String,
}

impl Sandbox {
    /// Starts everything and returns when it answers. No controller runs yet.
    ///
    /// # Errors
    /// A part does not start; the message says which and why.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let control_plane_options = control_plane::Options {
            bare: options.bare,
            bin_dir: options.control_plane_bin,
            env_file: options.env_file,
        };
        let (control_plane, account) = tokio::try_join!(
            ControlPlane::start(control_plane_options),
            Account::of_cluster(&options.cluster_name),
        )?;
        let mut sandbox = Self {
            control_plane,
            account,
            kubelet: None,
            gateway: None,
            console: None,
            cluster_name: options.cluster_name,
        };
        let controller = options.controller;
        if !options.bare {
            sandbox
                .play(controller.clone(), options.gateway_port)
                .await?;
        }
        if let Some(port) = options.console_port {
            sandbox.show(port, controller).await?;
        }
        Ok(sandbox)
    }

    /// Starts the played kubelet and the gateway.
    async fn play(
        &mut self,
        controller: Option<ControllerProgram>,
        gateway_port: u16,
    ) -> anyhow::Result<()> {
        let settings = kubelet::Settings {
            nodes: self.account.nodes(),
            cloud: self.account.cloud(),
            controller: controller.map(|program| kubelet::Controller {
                program,
                environment: self.pod_environment(),
            }),
        };
        let kubelet = Kubelet::start(&self.control_plane, settings)
            .await
            .context("the played kubelet does not start")?;
        self.kubelet = Some(kubelet);
        let gateway = Gateway::start(gateway_port, &self.account)
            .await
            .context("the gateway does not start")?;
        self.gateway = Some(gateway);
        Ok(())
    }

    /// Starts the console.
    async fn show(
        &mut self,
        port: u16,
        controller: Option<ControllerProgram>,
    ) -> anyhow::Result<()> {
        let client = self.control_plane.client()?;
        let sources = console::Sources {
            client: client.clone(),
            planner: controller.map(|controller| Planner {
                client,
                environment: self.environment(),
                controller,
            }),
            aws: self.account.endpoint_url(),
            kubectl: console::Kubectl {
                program: self.control_plane.kubectl_path(),
                kubeconfig: self.control_plane.kubeconfig_path(),
            },
            place: Place {
                cluster: self.cluster_name.clone(),
                region: self.account.region().to_owned(),
                gateway: self.gateway.as_ref().map(|it| it.address().port()),
            },
        };
        let console = Console::start(port, sources)
            .await
            .context("the console does not start")?;
        self.console = Some(console);
        Ok(())
    }

    /// Starts a sandbox on a thread and a runtime of its own, which live until
    /// the process ends: each test has its own runtime, and what one of them
    /// starts there ends with that test.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_for_process(options: Options) -> anyhow::Result<&'static Self> {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || {
                let runtime = match tokio::runtime::Runtime::new() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = tell.send(Err(error.into()));
                        return;
                    }
                };
                runtime.block_on(async {
                    let started = Self::start(options).await;
                    let failed = started.is_err();
                    // Never dropped: the watchdog ends it with the process.
                    let started = started.map(|sandbox| &*Box::leak(Box::new(sandbox)));
                    if tell.send(started).is_ok() && !failed {
                        std::future::pending::<()>().await;
                    }
                });
            })
            .context("cannot start a thread for the sandbox")?;
        told.recv().context("the thread of the sandbox ended")?
    }

    /// Installs the controller from `deploy/` and waits until it is ready.
    /// `extra_args` come after those of `deploy/`.
    ///
    /// # Errors
    /// A manifest is refused or the Pods do not become ready.
    pub async fn install_controller(&self, extra_args: &[&str]) -> anyhow::Result<()> {
        let installation = Installation {
            cluster_name: self.cluster_name.clone(),
            region: self.account.region().to_owned(),
            role_arn: self.account.controller_role_arn(),
            extra_args: extra_args.iter().map(ToString::to_string).collect(),
        };
        controller::install(&self.control_plane, &installation).await
    }

    /// What a program needs to know to work with this sandbox.
    pub fn environment(&self) -> Environment {
        Environment {
            kubeconfig: self.control_plane.kubeconfig_path(),
            kubectl: self.control_plane.kubectl_path(),
            aws_endpoint_url: self.account.endpoint_url(),
            aws_region: self.account.region().to_owned(),
            aws_access_key_id: Account::ACCESS_KEY_ID.to_owned(),
            aws_secret_access_key: Account::SECRET_ACCESS_KEY.to_owned(),
            cluster_name: self.cluster_name.clone(),
            aws_vpc_id: self.account.vpc_id().to_owned(),
            sandbox_dns: self.account.dns().to_string(),
            sandbox_console: self.console.as_ref().map(Console::url),
        }
    }

    /// Ends everything in an orderly way: processes of Pods get SIGTERM.
    pub async fn stop(self) {
        // Its watches must not see the API server go.
        drop(self.console);
        if let Some(kubelet) = self.kubelet {
            kubelet.stop().await;
        }
        self.control_plane.stop().await;
    }

    /// What the cluster adds to the environment of the controller's Pods. The
    /// credentials are not part of it: those are the web identity's.
    fn pod_environment(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("AWS_ENDPOINT_URL".to_owned(), self.account.endpoint_url()),
            ("AWS_REGION".to_owned(), self.account.region().to_owned()),
            // The simulated instances have no metadata, and the metadata of a
            // machine that is an instance itself would lead out of the sandbox.
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
            ("AWS_VPC_ID".to_owned(), self.account.vpc_id().to_owned()),
        ])
    }
}
