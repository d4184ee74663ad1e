//! The data plane: each load balancer has a loopback address of its own, each
//! listener of an active one a real socket there, which routes by the rules as
//! the account holds them at the moment of the request. Targets are probed with
//! real requests and their health is written into the account.
//!
//! Touches the network (loopback only) and the clock. What is decided about a
//! request is pure and stands in `route`, `condition`, `pattern`, `answer`,
//! `rewrite`, `pins`, `forwarded`, `vouched`, `head`, `chunks`, `checks`, `protocol`,
//! `listener_headers`, `targets`, `zones` and `balance`, who asks is looked at in
//! `authentication`, `client_certificate` and `firewall`; sockets are in `listener`, `connection`,
//! `screen`, `serve`, `network`, `upstream`, `probe` and `tls`.
//!
//! Not here: datagrams, functions as targets.

mod activity;
mod addresses;
mod answer;
mod ask;
pub(crate) mod authentication;
mod balance;
mod checks;
mod chunks;
mod client_certificate;
mod condition;
mod connection;
mod control;
mod course;
mod firewall;
mod force;
mod forwarded;
mod gauge;
mod head;
mod hop_by_hop;
mod listener;
mod listener_headers;
mod loopback;
mod network;
mod pattern;
mod pins;
mod probe;
mod protocol;
mod requests;
mod rewrite;
mod route;
mod screen;
mod serve;
mod targets;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod upstream;
mod vouched;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::addresses::{AddressError, Addresses};
use self::authentication::Seals;
use self::balance::Balance;
pub use self::control::Endpoint;
use self::firewall::Rates;
use self::listener::{Open, Wanted};
pub use self::loopback::Loopbacks;
use self::pins::Pins;
use self::probe::Probes;
use self::requests::Requests;
use self::targets::Departures;
pub use self::tls::client as tls_client;
pub(crate) use self::tls::key as tls_key;
pub(crate) use self::zones::serves;
use crate::issuer::Issuer;
use crate::shared::SharedState;
use crate::state::State;

/// A socket that could not be bound is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// How many times as long as it takes to follow a change the plane rests after
/// it, so that calls come first in an account of thousands of load balancers
/// that changes all the time.
const REST: u32 = 4;

/// The running data plane of all accounts. Stopping or dropping it closes all sockets.
#[derive(Debug)]
pub struct Plane {
    loopbacks: Loopbacks,
    shared: Shared,
    stop: DropGuard,
}

/// What everything that serves the plane has in common.
#[derive(Clone, Debug)]
struct Shared {
    state: SharedState,
    addresses: Addresses,
    endpoints: Endpoints,
    balance: Balance,
    pins: Pins,
    seals: Seals,
    rates: Rates,
    issuer: Issuer,
    requests: Requests,
    departures: Departures,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The open listeners, for those who look from outside.
#[derive(Clone, Debug, Default)]
struct Endpoints(Arc<Mutex<Vec<Endpoint>>>);

impl Endpoints {
    fn all(&self) -> Vec<Endpoint> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Where a load balancer listens on a port of its own.
    fn of(&self, load_balancer: &str, port: u16) -> Option<SocketAddr> {
        let endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = endpoints
            .iter()
            .find(|endpoint| endpoint.load_balancer == load_balancer && endpoint.port == port);
        found.map(|endpoint| endpoint.socket)
    }

    fn show(&self, open: &BTreeMap<String, Open>) {
        let endpoints = open.values().map(|open| Endpoint {
            load_balancer: open.wanted.balancer.clone(),
            name: open.wanted.name.clone(),
            dns_name: open.wanted.dns_name.clone(),
            port: open.wanted.port,
            protocol: open.wanted.protocol.as_str().to_owned(),
            socket: open.socket,
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = endpoints.collect();
    }
}

impl Plane {
    /// Starts to serve the account; also makes its transitions when they are due.
    /// Has to be called within a Tokio runtime.
    pub fn start(state: SharedState) -> Self {
        let shared = Shared {
            state: state.clone(),
            addresses: Addresses::default(),
            endpoints: Endpoints::default(),
            balance: Balance::default(),
            pins: Pins::default(),
            seals: Seals::default(),
            rates: Rates::default(),
            issuer: Issuer::of(state.clone()),
            requests: Requests::default(),
            departures: Departures::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let plane = Self {
            loopbacks: Loopbacks::default(),
            shared: shared.clone(),
            stop: shared.stop.clone().drop_guard(),
        };
        let issuing = shared.issuer.clone().serve(shared.stop.clone());
        plane.shared.tasks.spawn(issuing);
        let following = follow(shared, plane.loopbacks.clone());
        plane.shared.tasks.spawn(following);
        plane
    }

    /// Where targets really listen; to be filled by whoever plays them.
    pub fn addresses(&self) -> &Addresses {
        &self.shared.addresses
    }

    /// The loopback addresses of the load balancers, for DNS.
    pub fn loopbacks(&self) -> &Loopbacks {
        &self.loopbacks
    }

    /// Where the test issuer listens for HTTPS; `None` when no port was free.
    pub fn issuer(&self) -> Option<SocketAddr> {
        self.shared.issuer.socket()
    }

    /// The listeners that are open now, with their sockets.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.shared.endpoints.all()
    }

    /// `GET` and `POST /_sim/addresses`, `GET /_sim/endpoints`, `POST
    /// /_sim/request`, `GET /_sim/requests`, `POST /_sim/health`, and the side
    /// of the test issuer under `/_sim/issuer`.
    pub fn router(&self) -> Router {
        control::router(self)
    }

    /// Closes all sockets and waits until they are closed. Requests in flight are cut.
    pub async fn stop(self) {
        drop(self.stop);
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// Keeps sockets and probes as the account wants them.
async fn follow(shared: Shared, loopbacks: Loopbacks) {
    let mut changes = shared.state.changes();
    let mut open = BTreeMap::new();
    let mut probes = Probes::default();
    loop {
        changes.borrow_and_update();
        shared.state.advance();
        let begin = Instant::now();
        let (listeners, targets, due) = shared.state.everywhere(|states| {
            shared.departures.follow(states);
            shared.balance.retain(states);
            loopbacks.retain(|arn| {
                let mut states = states.iter();
                states.any(|state| state.load_balancers.contains_key(arn))
            });
            let all = || states.iter().copied();
            let listeners: BTreeMap<_, _> = all().flat_map(listener::wanted).collect();
            let targets: BTreeSet<_> = all().flat_map(probe::wanted).collect();
            (listeners, targets, all().filter_map(State::next_due).min())
        });
        let rest = begin.elapsed() * REST;
        let complete = listen(&shared, &loopbacks, &mut open, listeners).await;
        shared.endpoints.show(&open);
        probes.follow(&shared, targets);
        tokio::select! {
            () = sleep(rest) => {}
            () = shared.stop.cancelled() => break,
        }

        let wait = if complete { Duration::MAX } else { RETRY };
        let wait = due.map_or(wait, |due| wait.min(until(due, shared.state.now())));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = sleep(wait) => {}
            () = shared.stop.cancelled() => break,
        }
    }
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default()
}

/// Closes and opens listeners; tells whether all that are wanted are open.
async fn listen(
    shared: &Shared,
    loopbacks: &Loopbacks,
    open: &mut BTreeMap<String, Open>,
    wanted: BTreeMap<String, Wanted>,
) -> bool {
    let stale: Vec<String> = open
        .iter()
        .filter(|(arn, open)| wanted.get(*arn) != Some(&open.wanted))
        .map(|(arn, _)| arn.clone())
        .collect();
    for arn in stale {
        if let Some(open) = open.remove(&arn) {
            // Its port must be free before the listener is opened anew.
            open.close().await;
            tracing::debug!(listener = arn, "listener is closed");
        }
    }
    let mut complete = true;
    for (arn, wanted) in wanted {
        if open.contains_key(&arn) {
            continue;
        }
        let address = loopbacks.of(&wanted.balancer);
        match listener::open(shared, &arn, wanted, address).await {
            Ok(opened) => {
                tracing::debug!(listener = arn, socket = %opened.socket, "listener is open");
                open.insert(arn, opened);
            }
            Err(error) => {
                tracing::warn!(listener = arn, %address, %error, "cannot open listener");
                complete = false;
            }
        }
    }
    complete
}
