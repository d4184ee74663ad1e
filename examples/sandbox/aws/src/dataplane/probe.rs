//! Health checks: real requests to where the targets really listen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::header::{CONNECTION, HOST, USER_AGENT};
use axum::http::{Request, Uri};
use http_body_util::Empty;
use hyper::body::Bytes;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::upstream::{Failure, Transport, exchange};
use crate::state::{
    HealthCheck, Matcher, ProbeFailure, Protocol, State, TargetGroup, TargetKey, TargetType,
};

/// Timeouts are scaled with the intervals, but a busy machine gets at least this long.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);

/// A target of a group, the group by its ARN.
pub(super) type Probed = (String, TargetKey);

/// The targets that are to be probed now.
pub(super) fn wanted(state: &State) -> BTreeSet<Probed> {
    state
        .target_groups
        .values()
        .filter(|group| group.health_check.enabled && is_reachable(group))
        .flat_map(|group| {
            let health = state.group_health(group);
            let keys = group.targets.keys();
            let probed = keys.filter(move |key| health.is_probed(key));
            probed.map(|key| (group.arn.clone(), key.clone()))
        })
        .collect()
}

/// Whether the targets of a group are somewhere: functions are not.
fn is_reachable(group: &TargetGroup) -> bool {
    group.target_type != TargetType::Lambda
}

/// The probes that run, each until it is dropped from here.
#[derive(Debug, Default)]
pub(super) struct Probes(BTreeMap<Probed, CancellationToken>);

impl Probes {
    /// Starts and ends probes so that exactly the wanted targets are probed.
    pub(super) fn follow(&mut self, shared: &Shared, wanted: BTreeSet<Probed>) {
        self.0.retain(|probed, running| {
            let wanted = wanted.contains(probed);
            if !wanted {
                running.cancel();
            }
            wanted
        });
        for probed in wanted {
            self.0.entry(probed.clone()).or_insert_with(|| {
                let running = shared.stop.child_token();
                let ended = running.clone();
                let shared = shared.clone();
                shared.tasks.clone().spawn(async move {
                    tokio::select! {
                        () = probe(&shared, probed) => {}
                        () = ended.cancelled() => {}
                    }
                });
                running
            });
        }
    }
}

/// Probes one target, at once and then at the group's interval, start to start,
/// by the simulated time: where that is moved over an interval or more, the
/// target is probed once.
async fn probe(shared: &Shared, (group, target): Probed) {
    let mut moves = shared.state.moves();
    loop {
        let started = shared.state.now();
        let state = shared.state.of_arn(&group);
        let settings = state.read(|state| {
            let check = &state.target_groups.get(&group)?.health_check;
            Some((check.clone(), state.timing.health_scale))
        });
        let Some((check, scale)) = settings else {
            return;
        };
        let limit = scaled(check.timeout_seconds, scale).max(LEAST_TIMEOUT);
        let port = check.port.unwrap_or(target.port);
        // A load balancer as a target is known by its ARN.
        let balancer = target.id.starts_with("arn:");
        let (socket, host) = if balancer {
            let socket = shared.endpoints.of(&target.id, port);
            (socket, socket.map(|socket| socket.to_string()))
        } else {
            let host = format!("{}:{port}", target.id);
            (shared.addresses.of(&target.id, port), Some(host))
        };
        let outcome = match socket.zip(host) {
            Some((socket, host)) => {
                let asked = ask(&check, &host, socket, limit);
                match timeout(limit, asked).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(ProbeFailure::Timeout),
                }
            }
            None => Err(ProbeFailure::FailedHealthChecks),
        };
        shared
            .state
            .of_arn(&group)
            .update(|state, _| state.record_probe(&group, &target, outcome));
        let interval = scaled(check.interval_seconds, scale);
        loop {
            let passed = shared.state.now().duration_since(started);
            let passed = Duration::try_from(passed).unwrap_or_default();
            let Some(left) = interval.checked_sub(passed).filter(|left| !left.is_zero()) else {
                break;
            };
            tokio::select! {
                () = sleep(left) => {}
                // Closed only with the state itself, and this holds one.
                _ = moves.changed() => {}
            }
        }
    }
}

/// `seconds` times `scale`, never so short that a probe would spin.
fn scaled(seconds: u32, scale: f64) -> Duration {
    let seconds = (f64::from(seconds) * scale).clamp(0.05, 3_600.0);
    Duration::from_secs_f64(seconds)
}

async fn ask(
    check: &HealthCheck,
    host: &str,
    socket: SocketAddr,
    limit: Duration,
) -> Result<(), ProbeFailure> {
    let (path, matcher) = match (&check.path, &check.matcher) {
        (Some(path), Some(matcher @ Matcher::Http(_))) => (path, matcher),
        // Needs HTTP/2, which no target is spoken to in.
        (_, Some(Matcher::Grpc(_))) => return Err(ProbeFailure::FailedHealthChecks),
        _ => return connect(socket).await,
    };
    let path: Uri = path.parse().map_err(|_| ProbeFailure::FailedHealthChecks)?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, "ELB-HealthChecker/2.0")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| ProbeFailure::FailedHealthChecks)?;
    let transport = if check.protocol == Protocol::Https {
        Transport::Tls
    } else {
        Transport::Plain
    };
    match exchange(socket, transport, request, limit).await {
        Ok(answer) if matcher.matches(answer.status().as_u16()) => Ok(()),
        Ok(answer) => Err(ProbeFailure::ResponseCodeMismatch(answer.status().as_u16())),
        Err(Failure::Silent) => Err(ProbeFailure::Timeout),
        Err(Failure::Broken(_) | Failure::Departed) => Err(ProbeFailure::FailedHealthChecks),
    }
}

/// A TCP check: whoever takes the connection is healthy.
async fn connect(socket: SocketAddr) -> Result<(), ProbeFailure> {
    TcpStream::connect(socket)
        .await
        .map(|_| ())
        .map_err(|_| ProbeFailure::FailedHealthChecks)
}
