//! Health checks: real requests to where the targets really listen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST, TE, USER_AGENT};
use axum::http::{HeaderMap, Request, Response, Uri, Version, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::protocol::Spoken;
use super::upstream::{Answered, Failure, Way, exchange};
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
            let group = state.target_groups.get(&group)?;
            let check = group.health_check.clone();
            Some((check, Spoken::by(group), state.timing.health_scale))
        });
        let Some((check, spoken, scale)) = settings else {
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
                let asked = ask(&check, spoken, &host, socket, limit);
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
            .update(|state, now| state.record_probe(&group, &target, outcome, now));
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
    spoken: Spoken,
    host: &str,
    socket: SocketAddr,
    limit: Duration,
) -> Result<(), ProbeFailure> {
    let (Some(path), Some(matcher)) = (&check.path, &check.matcher) else {
        return connect(socket).await;
    };
    let way = Way {
        socket,
        tls: check.protocol == Protocol::Https,
        http2: spoken.is_http2(),
    };
    let request = if way.http2 {
        let scheme = if way.tls { "https" } else { "http" };
        let uri = format!("{scheme}://{host}{path}");
        Request::builder().uri(uri).version(Version::HTTP_2)
    } else {
        let uri = path.parse::<Uri>();
        let uri = uri.map_err(|_| ProbeFailure::FailedHealthChecks)?;
        Request::get(uri)
            .header(HOST, host)
            .header(CONNECTION, "close")
    };
    let request = request.header(USER_AGENT, "ELB-HealthChecker/2.0");
    let code = match matcher {
        Matcher::Http(_) => {
            let (answer, _) = send(way, request, Bytes::new(), limit).await?;
            Some(answer.status().as_u16())
        }
        Matcher::Grpc(_) => {
            let request = request
                .method("POST")
                .header(CONTENT_TYPE, "application/grpc")
                .header(TE, "trailers");
            let (answer, _) = send(way, request, Bytes::from_static(EMPTY_MESSAGE), limit).await?;
            grpc_status(answer).await
        }
    };
    match code {
        Some(code) if matcher.matches(code) => Ok(()),
        Some(code) => Err(ProbeFailure::ResponseCodeMismatch(code)),
        None => Err(ProbeFailure::FailedHealthChecks),
    }
}

/// A message of gRPC without fields: not compressed, of length 0.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

async fn send(
    way: Way,
    request: request::Builder,
    body: Bytes,
    limit: Duration,
) -> Result<Answered, ProbeFailure> {
    let request = request.body(Full::new(body));
    let request = request.map_err(|_| ProbeFailure::FailedHealthChecks)?;
    exchange(way, request, limit)
        .await
        .map_err(|failure| match failure {
            Failure::Silent => ProbeFailure::Timeout,
            _ => ProbeFailure::FailedHealthChecks,
        })
}

/// The status of a call of gRPC: at the end of the answer, or at its beginning
/// if there is nothing else in it.
async fn grpc_status(answer: Response<Incoming>) -> Option<u16> {
    let status = |headers: &HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse().ok();
    if let Some(status) = status(answer.headers()) {
        return Some(status);
    }
    let whole = answer.into_body().collect().await.ok()?;
    status(whole.trailers()?)
}

/// A TCP check: whoever takes the connection is healthy.
async fn connect(socket: SocketAddr) -> Result<(), ProbeFailure> {
    TcpStream::connect(socket)
        .await
        .map(|_| ())
        .map_err(|_| ProbeFailure::FailedHealthChecks)
}
