//! What people and machines see of the process: log lines, metrics, health.
//!
//! Metrics are nouns with units, all under the prefix `alb_ingress_`; there is
//! one place that names them, [`Metrics::new`].

mod metrics;

use std::fmt;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

pub use metrics::{Metrics, Now};

/// Commit that the program was built from, where the build says so.
pub const COMMIT: &str = match option_env!("GIT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log lines are written: a level, or directives as `tracing` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// A log level that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no log level; expected error, warn, info, debug, trace or off, \
     or directives such as info,alb_ingress_controller=debug"
)]
pub struct LogFilterError(String);

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let level = matches!(
            text.as_str(),
            "error" | "warn" | "info" | "debug" | "trace" | "off"
        );
        let directives = text.contains('=') && EnvFilter::try_new(&text).is_ok();
        if level || directives {
            Ok(Self(text))
        } else {
            Err(LogFilterError(text))
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogFilter {
    /// A bare level is meant for this program; the libraries below it would
    /// drown it at `debug`, and speak only when something is wrong.
    fn directives(&self) -> String {
        match self.0.as_str() {
            level @ ("debug" | "trace") => format!("warn,alb_ingress_controller={level}"),
            "info" => "warn,alb_ingress_controller=info".to_owned(),
            other => other.to_owned(),
        }
    }
}

/// Starts writing log lines to standard error. Does nothing when the process
/// has a subscriber already (tests).
pub fn start_logging(filter: &LogFilter, format: LogFormat) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.directives()))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => subscriber.try_init(),
        // The list of spans has the current one too.
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
}

/// What the process answers over HTTP.
pub struct Pages {
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Asked at each scrape.
    pub now: Box<dyn Fn() -> Now + Send + Sync>,
    /// What readiness waits for, in words; empty when ready.
    pub waits_for: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// Serves `/metrics`, `/healthz` and `/readyz` until `shutdown`.
///
/// A standby is ready: it watches, and takes over when it must.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(Arc::new(pages));
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
}

/// Binds the address that [`serve`] answers on, and tells it: with port 0 the
/// system has chosen one.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let cannot = |error| {
        anyhow::anyhow!(
            "cannot listen on {address}: {error}; choose another with --bind-address or --port"
        )
    };
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    tracing::info!("metrics and health are at {address}");
    Ok(listener)
}

async fn metrics_page(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    pages.metrics.set(&(pages.now)());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], pages.metrics.render())
}

async fn readiness(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    let waits_for = (pages.waits_for)();
    if waits_for.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        let text = format!("waits for {}\n", waits_for.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn log_levels_are_read_as_people_write_them() {
        let filter: LogFilter = "INFO".parse().unwrap();
        assert_eq!(filter.directives(), "warn,alb_ingress_controller=info");
        assert!("info,kube=debug".parse::<LogFilter>().is_ok());
        let error = "loud".parse::<LogFilter>().unwrap_err().to_string();
        assert!(error.contains("\"loud\" is no log level"), "{error}");
    }

    #[tokio::test]
    async fn health_and_readiness_answer_apart_and_the_server_ends_when_told() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ready = Arc::new(AtomicBool::new(false));
        let shutdown = CancellationToken::new();
        let pages = Pages {
            metrics: Arc::new(Metrics::new()),
            now: Box::new(Now::default),
            waits_for: Box::new({
                let ready = Arc::clone(&ready);
                move || {
                    let waits = !ready.load(Ordering::SeqCst);
                    waits.then(|| "Ingress".to_owned()).into_iter().collect()
                }
            }),
        };
        let server = tokio::spawn(serve(listener, pages, shutdown.clone()));
        let ask = async |path: &str| {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        assert!(ask("/healthz").await.starts_with("HTTP/1.1 200"));
        let waiting = ask("/readyz").await;
        assert!(waiting.starts_with("HTTP/1.1 503"), "{waiting}");
        assert!(waiting.ends_with("waits for Ingress\n"), "{waiting}");
        ready.store(true, Ordering::SeqCst);
        assert!(ask("/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(ask("/metrics").await.contains("# EOF"));
        shutdown.cancel();
        server.await.unwrap().unwrap();
    }
}
