//! One connection of a client: HTTP/1.1, or HTTP/2 where TLS has agreed on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::course::Arrival;
use super::gauge::Gauge;
use super::head::MOST_HEADERS;
use super::route::idle;
use super::screen::{Screen, Turns};
use super::serve::serve;
use crate::state::LoadBalancer;

/// How long requests in flight may take when their listener is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Streams of a connection at a time.
const STREAMS: u32 = 128;

/// After so many requests a connection over HTTP/2 takes no more.
const MOST_REQUESTS: u64 = 10_000;

/// After headers that are longer while compressed, neither.
const LONGEST_COMPRESSED: usize = 8 * 1024;

/// Headers that are longer are refused by the HTTP library, shorter ones here.
const LIBRARY_LIMIT: usize = 256 * 1024;

/// How long a connection lives.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// Without a request.
    idle: Duration,
    /// In all.
    whole: Duration,
}

impl Life {
    fn of(balancer: &LoadBalancer) -> Self {
        let seconds = balancer
            .attributes
            .get("client_keep_alive.seconds")
            .and_then(|value| value.parse().ok())
            .unwrap_or(3_600);
        Self {
            idle: idle(balancer),
            whole: Duration::from_secs(seconds),
        }
    }
}

/// Serves a connection to its end, or until a moment after `close`.
pub(super) async fn http<S>(
    shared: &Shared,
    arrival: Arrival,
    stream: S,
    close: CancellationToken,
    http2: bool,
) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let life = shared
        .state
        .of_arn(&arrival.listener)
        .read(|state| state.load_balancers.get(&arrival.balancer).map(Life::of));
    let Some(life) = life else {
        return Ok(());
    };
    let arrival = Arc::new(arrival);
    if http2 {
        over_http2(shared, arrival, stream, close, life).await
    } else {
        over_http1(shared, arrival, stream, close, life).await
    }
}

async fn over_http1<S>(
    shared: &Shared,
    arrival: Arc<Arrival>,
    stream: S,
    close: CancellationToken,
    life: Life,
) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let turns = Arc::new(Turns::default());
    let stream = Screen::new(stream, turns.clone(), life.idle);
    let service =
        service_fn(|request| serve(shared.clone(), arrival.clone(), turns.begin(), request));
    let connection = http1::Builder::new()
        .preserve_header_case(true)
        .max_headers(MOST_HEADERS + 1)
        .max_buf_size(LIBRARY_LIMIT)
        .timer(TokioTimer::new())
        // The silence of clients is measured before.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let expiry = sleep(life.whole);
    let mut expiry = std::pin::pin!(expiry);
    loop {
        tokio::select! {
            served = &mut connection => return Ok(served?),
            () = &mut expiry, if !turns.is_expired() => turns.expire(),
            () = close.cancelled() => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    Ok(timeout(CLOSING, connection).await??)
}

async fn over_http2<S>(
    shared: &Shared,
    arrival: Arc<Arrival>,
    stream: S,
    close: CancellationToken,
    life: Life,
) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let turns = Arc::new(Turns::default());
    let full = CancellationToken::new();
    let count = AtomicU64::new(0);
    let stream = Gauge::new(stream, LONGEST_COMPRESSED, full.clone());
    let service = service_fn(|request| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_REQUESTS {
            full.cancel();
        }
        serve(shared.clone(), arrival.clone(), turns.begin(), request)
    });
    let limit = u32::try_from(LIBRARY_LIMIT).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(limit)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = &mut connection => return Ok(served?),
        () = sleep(life.whole) => {}
        () = full.cancelled() => {}
        () = turns.idle(life.idle) => {}
        () = close.cancelled() => {}
    }
    // Says GOAWAY; what has begun goes on.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        served = &mut connection => return Ok(served?),
        () = close.cancelled() => {}
    }
    Ok(timeout(CLOSING, connection).await??)
}
