//! The played kubelet: Nodes that nobody runs, with pods that answer.
//!
//! It registers Nodes that stand for instances of the AWS simulator, keeps
//! them alive, and plays every Pod that the scheduler binds to one of them: an
//! address of the VPC, containers that serve on loopback, probes that are
//! really asked, a status, an end with grace. Pods of the controller's own
//! image run as real processes. Nodes and Pods of others are left alone.
//!
//! ```text
//! mod -> pod -> container -> { app_body, process, probe }     status, environment, hook: pure
//!     -> node, node_ports, server, logs, tokens               sockets -> cloud
//! ```

pub mod app_body;
pub mod cloud;
pub mod container;
pub mod environment;
pub mod hook;
pub mod logs;
pub mod node;
pub mod node_ports;
pub mod pod;
pub mod probe;
pub mod process;
pub mod server;
pub mod sockets;
pub mod status;
pub mod tokens;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::events::Recorder;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::cloud::Cloud;
use self::logs::Logs;
use self::node::PlayedNode;
use self::node_ports::NodePorts;
use self::server::LogServer;
use self::sockets::Sockets;
use self::tokens::ApiServer;
use crate::control_plane::ControlPlane;
use crate::control_plane::watchdog::Watchdog;
use crate::controller::ControllerProgram;

/// How Pods of the controller's own image are run.
#[derive(Debug, Clone)]
pub struct Controller {
    /// The program, in the place of the image's.
    pub program: ControllerProgram,
    /// Variables that the cluster gives it: AWS_ENDPOINT_URL, AWS_REGION and
    /// the like. What its Pod says wins.
    pub environment: BTreeMap<String, String>,
}

/// What a kubelet is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The nodes to play.
    pub nodes: Vec<PlayedNode>,
    /// The AWS that they stand in.
    pub cloud: Cloud,
    /// None: Pods of the controller's image wait with an error that says so.
    pub controller: Option<Controller>,
}

/// What all pods share.
pub struct Context {
    client: Client,
    events: Recorder,
    api_server: ApiServer,
    cloud: Cloud,
    sockets: Sockets,
    logs: Logs,
    controller: Option<Controller>,
    folder: PathBuf,
    watchdog: Watchdog,
    shutdown: CancellationToken,
}

/// A running kubelet.
pub struct Kubelet {
    shutdown: CancellationToken,
    playing: JoinHandle<()>,
    _background: Vec<AbortOnDropHandle<()>>,
    _server: LogServer,
}

impl Kubelet {
    /// Registers the nodes and starts to play their pods.
    ///
    /// # Errors
    /// When a node is refused or the log port cannot be opened.
    pub async fn start(plane: &ControlPlane, settings: Settings) -> anyhow::Result<Self> {
        let client = plane.client()?;
        let logs = Logs::default();
        let server =
            LogServer::start(logs.clone(), plane.kubelet_serving(), plane.ca_pem()).await?;
        let Settings {
            nodes,
            cloud,
            controller,
        } = settings;
        let sockets = Sockets::new(cloud.clone());
        node::register(&client, &nodes, server.port).await?;
        let node_ports = NodePorts {
            nodes: nodes.clone(),
            sockets: sockets.clone(),
            cloud: cloud.clone(),
        };
        let background = vec![
            AbortOnDropHandle::new(tokio::spawn(node::keep_alive(
                client.clone(),
                nodes.clone(),
            ))),
            AbortOnDropHandle::new(tokio::spawn(node_ports.serve(client.clone()))),
        ];
        let shutdown = CancellationToken::new();
        let cx = Context {
            events: Recorder::new(client.clone(), "sandbox-kubelet".into()),
            client,
            api_server: ApiServer {
                url: plane.url().to_owned(),
                ca_pem: plane.ca_pem().to_owned(),
            },
            cloud,
            sockets,
            logs,
            controller,
            folder: plane.folder().to_owned(),
            watchdog: plane.watchdog().clone(),
            shutdown: shutdown.clone(),
        };
        let playing = tokio::spawn(play_all(Arc::new(cx), nodes));
        Ok(Self {
            shutdown,
            playing,
            _background: background,
            _server: server,
        })
    }

    /// Ends all pods in an orderly way: processes get SIGTERM and some seconds.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if let Err(error) = self.playing.await {
            tracing::warn!("the played kubelet ended badly: {error}");
        }
    }
}

/// A pod that is being played.
struct Played {
    updates: watch::Sender<Arc<Pod>>,
    gone: CancellationToken,
}

/// Follows the Pods of the cluster and plays those of `nodes`.
async fn play_all(cx: Arc<Context>, nodes: Vec<PlayedNode>) {
    let nodes: BTreeMap<String, PlayedNode> = nodes
        .into_iter()
        .map(|node| (node.name.clone(), node))
        .collect();
    let pods: Api<Pod> = Api::all(cx.client.clone());
    let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff());
    let mut tasks = JoinSet::new();
    let mut played: HashMap<String, Played> = HashMap::new();
    let mut listed = HashSet::new();
    loop {
        let event = tokio::select! {
            () = cx.shutdown.cancelled() => break,
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a played pod ended badly: {error}");
                }
                continue;
            }
            event = events.next() => event,
        };
        match event {
            None => break,
            Some(Err(error)) => tracing::debug!("watch of Pods: {error}"),
            Some(Ok(Event::Init)) => listed.clear(),
            Some(Ok(Event::InitDone)) => {
                let lost: BTreeSet<_> = played
                    .keys()
                    .filter(|uid| !listed.contains(*uid))
                    .cloned()
                    .collect();
                for uid in lost {
                    forget(&mut played, &uid);
                }
            }
            Some(Ok(Event::Delete(pod))) => forget(&mut played, &pod.uid().unwrap_or_default()),
            Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => {
                let uid = pod.uid().unwrap_or_default();
                listed.insert(uid.clone());
                if let Some(played) = played.get(&uid) {
                    played.updates.send_replace(Arc::new(pod));
                } else if let Some(node) = node_of(&pod).and_then(|name| nodes.get(name)) {
                    let (updates, follow) = watch::channel(Arc::new(pod));
                    let gone = CancellationToken::new();
                    tasks.spawn(pod::play(cx.clone(), node.clone(), follow, gone.clone()));
                    played.insert(uid, Played { updates, gone });
                }
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

fn forget(played: &mut HashMap<String, Played>, uid: &str) {
    if let Some(played) = played.remove(uid) {
        played.gone.cancel();
    }
}

/// The node that a Pod is bound to, unless all of the Pod is over already.
fn node_of(pod: &Pod) -> Option<&str> {
    let over = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
    if over && pod.metadata.deletion_timestamp.is_none() {
        return None;
    }
    pod.spec.as_ref()?.node_name.as_deref()
}
