//! The command line of each program of the control plane: what it listens on
//! (loopback only), whom it trusts, and what is switched off so that it starts
//! in seconds and stays small. Starts nothing itself.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::process::Command;

use super::binaries::{Binaries, Program};
use super::certificates::{Authority, Identity, TokenKey};
use super::kubeconfig::{Credential, kubeconfig};

/// The range of the Services' cluster addresses. Nothing answers there; it
/// only must not overlap the VPC's range.
const SERVICE_RANGE: &str = "172.20.0.0/16";

/// The issuer of the tokens of ServiceAccounts, which an AWS has to know that
/// gives out keys for them.
pub const TOKEN_ISSUER: &str = "https://kubernetes.default.svc";

/// The type of a Node's address under which the API server looks for its
/// kubelet. Played Nodes have addresses of the VPC that nobody can bind, so
/// they give `localhost` under this type, which means nothing to anybody else.
pub const KUBELET_ADDRESS_TYPE: &str = "ExternalDNS";

/// The controllers of kube-controller-manager that a cluster on EKS has too
/// and that a test or a person may notice. Volumes, certificates, quotas and
/// the address ranges of nodes have no meaning here.
const CONTROLLERS: [&str; 15] = [
    "clusterrole-aggregation-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "taint-eviction-controller",
];

/// The folder, ports and credentials of one control plane, out of which the
/// command lines are made.
pub(super) struct Layout {
    folder: PathBuf,
    etcd_client: ReservedPort,
    etcd_peer: ReservedPort,
    api: ReservedPort,
    pub(super) ca_pem: String,
    pub(super) admin_kubeconfig: String,
    pub(super) kubelet: Identity,
}

impl Layout {
    /// Makes all keys and certificates and writes them into `folder`.
    pub(super) fn create(folder: &Path) -> anyhow::Result<Self> {
        for name in ["pki", "logs"] {
            fs::create_dir(folder.join(name))
                .with_context(|| format!("cannot create {name} in {}", folder.display()))?;
        }
        let authority = Authority::new()?;
        let mut layout = Self {
            folder: folder.to_owned(),
            etcd_client: ReservedPort::new()?,
            etcd_peer: ReservedPort::new()?,
            api: ReservedPort::new()?,
            ca_pem: authority.certificate_pem(),
            admin_kubeconfig: String::new(),
            kubelet: authority.server("sandbox-kubelet", &["localhost", "127.0.0.1"])?,
        };
        layout.write("pki/ca.pem", &layout.ca_pem)?;
        let token_key = TokenKey::new()?;
        layout.write("pki/tokens.pub.pem", &token_key.public_pem)?;
        layout.write("pki/tokens.key.pem", &token_key.private_pem)?;
        let loopback = ["localhost", "127.0.0.1"];
        layout.write_identity("etcd", &authority.server("sandbox-etcd", &loopback)?)?;
        let api_names = [
            "localhost",
            "127.0.0.1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        layout.write_identity("api", &authority.server("kube-apiserver", &api_names)?)?;
        layout.write_identity(
            "api-to-kubelet",
            &authority.client("kube-apiserver-kubelet-client", Some("system:masters"))?,
        )?;

        let admin = authority.client("sandbox-admin", Some("system:masters"))?;
        layout.admin_kubeconfig = layout.kubeconfig(&admin);
        layout.write("kubeconfig", &layout.admin_kubeconfig)?;
        // Its own role covers only what its controllers do not get from
        // accounts of their own; with one account for all it must be more.
        let manager = authority.client("system:kube-controller-manager", Some("system:masters"))?;
        layout.write(
            "controller-manager.kubeconfig",
            &layout.kubeconfig(&manager),
        )?;
        let scheduler = authority.client("system:kube-scheduler", None)?;
        layout.write("scheduler.kubeconfig", &layout.kubeconfig(&scheduler))?;
        Ok(layout)
    }

    /// The address of the API server.
    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api.number)
    }

    /// Where etcd will accept clients.
    pub(super) fn etcd_port(&self) -> u16 {
        self.etcd_client.number
    }

    /// The file that takes what a program prints.
    pub(super) fn log(&self, program: Program) -> PathBuf {
        self.folder
            .join("logs")
            .join(format!("{}.log", program.name()))
    }

    /// The command that starts `program`. Its ports are free from now on.
    pub(super) fn command(&mut self, program: Program, binaries: &Binaries, bare: bool) -> Command {
        let mut command = Command::new(binaries.path(program));
        command.current_dir(&self.folder);
        command.args(match program {
            Program::Etcd => self.etcd(),
            Program::ApiServer => self.api_server(bare),
            Program::ControllerManager => self.controller_manager(),
            Program::Scheduler => self.scheduler(),
            Program::Kubectl => vec![flag("kubeconfig", self.path("kubeconfig"))],
        });
        command
    }

    fn etcd(&mut self) -> Vec<String> {
        self.etcd_client.release();
        self.etcd_peer.release();
        let client = format!("https://127.0.0.1:{}", self.etcd_client.number);
        let peer = format!("https://127.0.0.1:{}", self.etcd_peer.number);
        vec![
            flag("name", "sandbox"),
            flag("data-dir", self.path("etcd")),
            flag("listen-client-urls", &client),
            flag("advertise-client-urls", &client),
            flag("listen-peer-urls", &peer),
            flag("initial-advertise-peer-urls", &peer),
            flag("initial-cluster", format!("sandbox={peer}")),
            flag("client-cert-auth", "true"),
            flag("trusted-ca-file", self.path("pki/ca.pem")),
            flag("cert-file", self.path("pki/etcd.pem")),
            flag("key-file", self.path("pki/etcd.key.pem")),
            flag("peer-client-cert-auth", "true"),
            flag("peer-trusted-ca-file", self.path("pki/ca.pem")),
            flag("peer-cert-file", self.path("pki/etcd.pem")),
            flag("peer-key-file", self.path("pki/etcd.key.pem")),
            flag("log-level", "warn"),
            // The data is gone with the sandbox; a power cut may have it.
            flag("unsafe-no-fsync", "true"),
        ]
    }

    fn api_server(&mut self, bare: bool) -> Vec<String> {
        self.api.release();
        let mut flags = vec![
            flag("bind-address", "127.0.0.1"),
            flag("advertise-address", "127.0.0.1"),
            flag("secure-port", self.api.number.to_string()),
            flag("cert-dir", self.path("pki")),
            flag("tls-cert-file", self.path("pki/api.pem")),
            flag("tls-private-key-file", self.path("pki/api.key.pem")),
            flag("client-ca-file", self.path("pki/ca.pem")),
            flag(
                "etcd-servers",
                format!("https://127.0.0.1:{}", self.etcd_client.number),
            ),
            flag("etcd-cafile", self.path("pki/ca.pem")),
            flag("etcd-certfile", self.path("pki/etcd.pem")),
            flag("etcd-keyfile", self.path("pki/etcd.key.pem")),
            flag("authorization-mode", "RBAC"),
            flag("service-account-issuer", TOKEN_ISSUER),
            flag("service-account-key-file", self.path("pki/tokens.pub.pem")),
            flag(
                "service-account-signing-key-file",
                self.path("pki/tokens.key.pem"),
            ),
            flag("service-cluster-ip-range", SERVICE_RANGE),
            flag("kubelet-certificate-authority", self.path("pki/ca.pem")),
            flag(
                "kubelet-client-certificate",
                self.path("pki/api-to-kubelet.pem"),
            ),
            flag(
                "kubelet-client-key",
                self.path("pki/api-to-kubelet.key.pem"),
            ),
            flag("kubelet-preferred-address-types", KUBELET_ADDRESS_TYPE),
            // The Service `kubernetes` cannot have a loopback endpoint.
            flag("endpoint-reconciler-type", "none"),
            flag("profiling", "false"),
        ];
        if bare {
            // Nobody makes ServiceAccounts, and nobody takes away the taint
            // that admission would give to a new Node.
            flags.push(flag(
                "disable-admission-plugins",
                "ServiceAccount,TaintNodesByCondition",
            ));
        }
        flags
    }

    fn controller_manager(&self) -> Vec<String> {
        vec![
            flag("kubeconfig", self.path("controller-manager.kubeconfig")),
            flag("controllers", CONTROLLERS.join(",")),
            flag("root-ca-file", self.path("pki/ca.pem")),
            flag("leader-elect", "false"),
            flag("secure-port", "0"),
            flag("profiling", "false"),
            // A test run makes more namespaces in a minute than most clusters
            // in a day.
            flag("kube-api-qps", "200"),
            flag("kube-api-burst", "400"),
        ]
    }

    fn scheduler(&self) -> Vec<String> {
        vec![
            flag("kubeconfig", self.path("scheduler.kubeconfig")),
            flag("leader-elect", "false"),
            flag("secure-port", "0"),
            flag("profiling", "false"),
            flag("kube-api-qps", "200"),
            flag("kube-api-burst", "400"),
        ]
    }

    fn kubeconfig(&self, identity: &Identity) -> String {
        let credential = Credential::Certificate(identity);
        kubeconfig(&self.url(), &self.ca_pem, credential, None)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        // The folder itself is closed to other users.
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn write_identity(&self, name: &str, identity: &Identity) -> anyhow::Result<()> {
        self.write(&format!("pki/{name}.pem"), &identity.certificate_pem)?;
        self.write(&format!("pki/{name}.key.pem"), &identity.key_pem)
    }
}

fn flag(name: &str, value: impl AsRef<str>) -> String {
    format!("--{name}={}", value.as_ref())
}

/// Ports below those that Linux takes for the client's end of a connection, where
/// nobody has told it otherwise, and below those of Services: what was released
/// stays free until its user has started.
const PORTS: Range<u16> = 20_000..30_000;

/// A free port of loopback, kept from others until its user starts.
struct ReservedPort {
    number: u16,
    listener: Option<TcpListener>,
}

impl ReservedPort {
    fn new() -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..100 {
            let number = rand::random_range(PORTS);
            match TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                Ok(listener) => {
                    return Ok(Self {
                        number,
                        listener: Some(listener),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        let error = last.map_or_else(String::new, |error| format!(": {error}"));
        anyhow::bail!("no free port on 127.0.0.1 among {PORTS:?}{error}")
    }

    fn release(&mut self) {
        self.listener = None;
    }
}
