//! The running simulator: one HTTP port, the data plane, DNS.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, serve::ListenerExt};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    SharedState, State, Timing,
    callers::Callers,
    control::{self, Control},
    dataplane::Plane,
    dns,
    faults::Faults,
    journal::Journal,
    own::own_only,
    state::lag,
    throttle::Throttles,
    wire,
};

/// Open connections have this long to finish when the simulator stops.
const GRACE: Duration = Duration::from_secs(1);

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where DNS listens over UDP, on loopback; `None` for no DNS.
    pub dns: Option<SocketAddr>,
    /// The region.
    pub region: String,
    /// The account, twelve digits.
    pub account: String,
    /// Delays.
    pub timing: Timing,
    /// What later calls do not see at once.
    pub lags: lag::Settings,
    /// What all that is left to chance is drawn by.
    pub seed: u64,
    /// Whether keys that were not registered are refused.
    pub only_known_keys: bool,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: loopback,
            dns: Some(loopback),
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            timing: Timing::default(),
            lags: lag::Settings::new(),
            seed: 0,
            only_known_keys: false,
        }
    }
}

/// A running simulator; dropping it stops everything without waiting.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    control: Control,
    plane: Plane,
    dns: Option<dns::Server>,
    server: JoinHandle<()>,
    stop: DropGuard,
}

impl Simulator {
    /// Starts API, data plane and DNS; they answer when this returns.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let mut account = State::new(&options.account, &options.region, options.timing);
        account.lags.settings = options.lags;
        let callers = Callers::new(&options.account, &options.region, options.only_known_keys);
        let state = SharedState::seeded(account, options.seed);
        let control = Control {
            callers: Arc::new(callers),
            faults: Arc::new(Faults::of(state.chance().clone())),
            state,
            journal: Arc::new(Journal::default()),
            throttle: Arc::new(Throttles::default()),
        };
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {} for the AWS API", options.listen))?;
        let address = listener
            .local_addr()
            .context("the AWS API has no address")?;
        let plane = Plane::start(control.state.clone());
        let dns = match options.dns {
            Some(at) => Some(
                dns::serve(at, control.state.clone(), plane.loopbacks().clone())
                    .await
                    .with_context(|| format!("cannot listen on {at} for DNS"))?,
            ),
            None => None,
        };
        let app = Router::new()
            .fallback(wire::serve)
            .with_state(control.clone())
            .merge(control::router(control.clone()))
            .merge(plane.router())
            .layer(axum::middleware::from_fn(own_only));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        // Small answers must not wait for more to send with them.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(stopped);
            if let Err(error) = serving.await {
                tracing::error!(%error, "the AWS API has ended");
            }
        });
        Ok(Self {
            address,
            control,
            plane,
            dns,
            server,
            stop: stop.drop_guard(),
        })
    }

    /// The URL for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where DNS answers, if it does.
    pub fn dns_address(&self) -> Option<SocketAddr> {
        self.dns.as_ref().map(dns::Server::address)
    }

    /// The account.
    pub fn state(&self) -> SharedState {
        self.control.state.clone()
    }

    /// The calls that were made.
    pub fn journal(&self) -> &Journal {
        &self.control.journal
    }

    /// Keys and roles.
    pub fn callers(&self) -> &Callers {
        &self.control.callers
    }

    /// Faults on demand.
    pub fn faults(&self) -> &Faults {
        &self.control.faults
    }

    /// The data plane: where targets really listen, and the open listeners.
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// Stops everything and waits for it.
    pub async fn stop(self) {
        let Self {
            plane,
            dns,
            mut server,
            stop,
            ..
        } = self;
        drop(stop);
        if tokio::time::timeout(GRACE, &mut server).await.is_err() {
            server.abort();
        }
        if let Some(dns) = dns {
            dns.stop().await;
        }
        plane.stop().await;
    }
}
