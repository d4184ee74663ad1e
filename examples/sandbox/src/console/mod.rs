//! The console: one page that shows what the controller has made, what it did
//! and why, and what becomes of a request.
//!
//! ```text
//! server -> hub -> { cluster -> objects, account } -> { picture, story } -> { words, pods, model }
//! ```
//!
//! `cluster` watches Kubernetes and `account` follows the AWS simulator, both
//! by their public APIs. `picture`, `story`, `pods` and `words` are
//! pure. `plan` asks
//! the controller what it would do, on an `overlay` of the API server. `server`
//! listens on loopback; `guard` says who may ask.

mod account;
mod actions;
mod assets;
mod cluster;
mod guard;
mod hub;
pub mod model;
pub mod objects;
mod overlay;
pub mod picture;
pub mod plan;
mod pods;
mod server;
mod story;
pub mod words;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use self::actions::Actions;
pub use self::actions::Kubectl;
use self::cluster::Cluster;
use self::hub::Hub;
use self::picture::Place;
use self::plan::Planner;
use self::server::Site;

/// What a console looks at.
pub struct Sources {
    /// Kubernetes, with all rights.
    pub client: Client,
    /// The AWS simulator, `http://ADDRESS:PORT`.
    pub aws: String,
    /// How kubectl is run for what can be tried.
    pub kubectl: Kubectl,
    /// Where the picture is taken.
    pub place: Place,
    /// Tells what the controller would do; none where it is not known which
    /// program that is.
    pub planner: Option<Planner>,
}

/// A running console; ends when it is dropped.
pub struct Console {
    address: SocketAddr,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Console {
    /// Listens on `port` of loopback, on any free one for 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, sources: Sources) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("cannot listen on port {port} for the console"))?;
        let address = listener.local_addr()?;
        let cluster = Cluster::default();
        let mut tasks = cluster.watch(&sources.client);
        let hub = Hub::new(cluster);
        let site = Site {
            hub: hub.clone(),
            client: sources.client,
            aws: sources.aws.clone(),
            actions: Actions {
                kubectl: sources.kubectl,
                aws: sources.aws.clone(),
                throttling: Arc::default(),
            },
            planner: sources.planner,
        };
        let router = server::router(Arc::new(site), address.port());
        let running = hub.run(sources.place, sources.aws);
        tasks.push(AbortOnDropHandle::new(tokio::spawn(running)));
        let serving = async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the console ended: {error}");
            }
        };
        tasks.push(AbortOnDropHandle::new(tokio::spawn(serving)));
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    /// Where it is, for a browser.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}
