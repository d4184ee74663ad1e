//! A real Kubernetes control plane on loopback: etcd, kube-apiserver,
//! kube-controller-manager and kube-scheduler, with kubectl beside them.
//!
//! May build the programs (once), start processes and write to a temporary
//! folder. Promises that nothing listens anywhere but on loopback, that every
//! credential is of this start only, and that all of it is gone with the
//! process, however that ends ([`watchdog`]).

pub mod binaries;
pub mod certificates;
pub mod components;
mod go_build;
pub mod kubeconfig;
pub mod watchdog;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

pub use components::{KUBELET_ADDRESS_TYPE, TOKEN_ISSUER};

use binaries::{Binaries, Program};
use certificates::Identity;
use components::Layout;
use kubeconfig::Credential;
use watchdog::Watchdog;

/// A start takes 4 to 8 seconds on an idle machine; this is for a busy one.
const START_LIMIT: Duration = Duration::from_mins(2);

/// How often is asked whether something answers.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How many lines of a program's log are shown when it ends.
const LOG_TAIL: usize = 15;

/// A port that was free may be taken by another process before its user
/// binds it.
const ATTEMPTS: usize = 3;

/// What a control plane consists of.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only etcd and the API server, without admission of ServiceAccounts:
    /// the caller brings Nodes, Pods and EndpointSlices, and nobody else
    /// touches them.
    pub bare: bool,
    /// A folder of ready binaries; none means those of the cache, which are
    /// built when they are not there.
    pub bin_dir: Option<PathBuf>,
    /// A file that tells others of this control plane. It goes with it, even
    /// when that is killed.
    pub env_file: Option<PathBuf>,
}

/// A running control plane. Ends when it is dropped.
pub struct ControlPlane {
    url: String,
    ca_pem: String,
    kubelet: Identity,
    config: kube::Config,
    folder: PathBuf,
    binaries: Binaries,
    failure: watch::Receiver<Option<String>>,
    watchdog: Watchdog,
}

impl ControlPlane {
    /// Starts a control plane and returns when it serves: the API server is
    /// ready and, unless it is bare, ServiceAccounts are being made.
    ///
    /// # Errors
    /// The binaries cannot be had, or a program ended or did not answer in
    /// time; then the message has the end of its log.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let needed: &[Program] = if options.bare {
            &Program::BARE
        } else {
            &Program::ALL
        };
        let binaries = Binaries::obtain(options.bin_dir.as_deref(), needed).await?;
        let mut attempt = 1;
        loop {
            match Self::start_once(&binaries, &options).await {
                Err(error) if attempt < ATTEMPTS && is_port_taken(&error) => attempt += 1,
                result => return result,
            }
        }
    }

    async fn start_once(binaries: &Binaries, options: &Options) -> anyhow::Result<Self> {
        let bare = options.bare;
        let folder = tempfile::Builder::new()
            .prefix("sandbox-")
            .tempdir()
            .context("cannot create a temporary folder")?;
        let watchdog = Watchdog::start(folder.path(), options.env_file.as_deref())
            .context("cannot start the watchdog")?;
        // From here on the watchdog removes it.
        let folder = folder.keep();
        let mut layout = Layout::create(&folder)?;
        let config = Kubeconfig::from_yaml(&layout.admin_kubeconfig)?;
        let config =
            kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let (failed, failure) = watch::channel(None);
        let mut processes = Processes {
            layout: &mut layout,
            binaries,
            bare,
            watchdog: &watchdog,
            failed,
            deadline: Instant::now() + START_LIMIT,
        };

        processes.start(Program::Etcd)?;
        let etcd = processes.layout.etcd_port();
        processes
            .until("etcd accepts connections", async || {
                TcpStream::connect(("127.0.0.1", etcd)).await.is_ok()
            })
            .await?;
        processes.start(Program::ApiServer)?;
        let client = Client::try_from(config.clone())?;
        processes
            .until("the API server is ready", async || is_ready(&client).await)
            .await?;
        if !bare {
            processes.start(Program::ControllerManager)?;
            processes.start(Program::Scheduler)?;
            processes
                .until("the namespace `default` is furnished", async || {
                    is_furnished(&client).await
                })
                .await?;
        }
        Ok(Self {
            url: layout.url(),
            ca_pem: layout.ca_pem,
            kubelet: layout.kubelet,
            config,
            folder,
            binaries: binaries.clone(),
            failure,
            watchdog,
        })
    }

    /// The address of the API server, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority that signed every certificate of this
    /// control plane; the API server's client certificate towards kubelets is
    /// checked against it too.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The serving certificate of the played kubelet, for `localhost`. The
    /// API server accepts it on the address that a Node gives as
    /// [`KUBELET_ADDRESS_TYPE`].
    pub fn kubelet_serving(&self) -> &Identity {
        &self.kubelet
    }

    /// A client that may do everything. Each runtime needs one of its own.
    ///
    /// # Errors
    /// None that the caller can cause.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::try_from(self.config.clone()).context("cannot make a client of Kubernetes")
    }

    /// A kubeconfig file that may do everything.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// kubectl of the same version.
    pub fn kubectl_path(&self) -> PathBuf {
        self.binaries.path(Program::Kubectl)
    }

    /// A kubectl command that may do everything.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.kubectl_path());
        command
            .env("KUBECONFIG", self.kubeconfig_path())
            .kill_on_drop(true);
        command
    }

    /// The text of a kubeconfig with the token that stands in `token_file`
    /// and is renewed there; for a Pod that runs as a process.
    pub fn kubeconfig_for_token_file(&self, token_file: &Path, namespace: &str) -> String {
        let credential = Credential::TokenFile(token_file);
        kubeconfig::kubeconfig(&self.url, &self.ca_pem, credential, Some(namespace))
    }

    /// Writes a kubeconfig of a ServiceAccount with a token for an hour, and
    /// returns its path, so that a program can run with just its rights.
    ///
    /// # Errors
    /// There is no such ServiceAccount.
    pub async fn kubeconfig_for_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let token = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for ServiceAccount {namespace}/{name}"))?
            .status
            .context("the API server gave a TokenRequest without status")?
            .token;
        let credential = Credential::Token(&token);
        let text = kubeconfig::kubeconfig(&self.url, &self.ca_pem, credential, Some(namespace));
        let path = self.folder.join(format!("{namespace}.{name}.kubeconfig"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The temporary folder of this sandbox. What is put there is removed
    /// with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts processes that must not outlive the sandbox.
    pub fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Returns when a program of the control plane has ended by itself, with
    /// the end of its log; waits for ever while all is well.
    pub async fn failure(&self) -> anyhow::Error {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(message) => anyhow!(message.clone().unwrap_or_default()),
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends all processes and removes the data, and returns when that is
    /// done.
    pub async fn stop(self) {
        let watchdog = self.watchdog.clone();
        // A panic of the watchdog's end would be a bug that its drop repeats.
        let _ = tokio::task::spawn_blocking(move || watchdog.end()).await;
    }
}

/// The processes of a control plane that is being started.
struct Processes<'a> {
    layout: &'a mut Layout,
    binaries: &'a Binaries,
    bare: bool,
    watchdog: &'a Watchdog,
    failed: watch::Sender<Option<String>>,
    deadline: Instant,
}

impl Processes<'_> {
    fn start(&mut self, program: Program) -> anyhow::Result<()> {
        let log = self.layout.log(program);
        let file =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = self.layout.command(program, self.binaries, self.bare);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = self
            .watchdog
            .spawn(command)
            .with_context(|| format!("cannot start {}", self.binaries.path(program).display()))?;
        tokio::spawn(report_end(child, program, log, self.failed.clone()));
        Ok(())
    }

    /// Asks until the answer is yes, a program has ended, or time is up.
    async fn until(&self, expected: &str, holds: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        loop {
            if let Some(message) = &*self.failed.borrow() {
                bail!("{message}");
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let logs = [
                    Program::Etcd,
                    Program::ApiServer,
                    Program::ControllerManager,
                ]
                .map(|program| tail(&self.layout.log(program)))
                .join("\n");
                bail!(
                    "the control plane did not start within {} s; waited until {expected}; \
                     the ends of the logs:\n{logs}",
                    START_LIMIT.as_secs()
                );
            }
            if let Ok(true) = tokio::time::timeout(left, holds()).await {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

async fn report_end(
    mut child: Child,
    program: Program,
    log: PathBuf,
    failed: watch::Sender<Option<String>>,
) {
    let status = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let message = format!(
        "{} ended ({status}); the end of its log:\n{}",
        program.name(),
        tail(&log)
    );
    failed.send_if_modified(|first| {
        // The others follow the first one; its log tells why.
        let is_first = first.is_none();
        if is_first {
            *first = Some(message);
        }
        is_first
    });
}

/// The last lines of a log; empty where there is none.
fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
}

fn is_port_taken(error: &anyhow::Error) -> bool {
    error.to_string().contains("address already in use")
}

async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http_get("/readyz") else {
        return false;
    };
    client.request_text(request).await.is_ok()
}

fn http_get(path: &str) -> anyhow::Result<hyper::Request<Vec<u8>>> {
    Ok(hyper::Request::get(path).body(Vec::new())?)
}

/// Pods can be admitted when their ServiceAccount is there; the certificate of
/// the authority shows that the controllers run on.
async fn is_furnished(client: &Client) -> bool {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    matches!(accounts.get_opt("default").await, Ok(Some(_)))
        && matches!(maps.get_opt("kube-root-ca.crt").await, Ok(Some(_)))
}
