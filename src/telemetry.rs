//! What people and machines see of the process: log lines, metrics, health.
//!
//! Metrics are nouns with units, all under the prefix `alb_ingress_`; there is
//! one place that names them, [`Metrics::new`].

use std::collections::BTreeMap;
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
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    service: String,
    operation: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    service: String,
    operation: String,
    code: String,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    reconcile_seconds: Seconds<ReconcileLabels>,
    plan_steps: Family<KindLabels, Counter>,
    aws_requests: Family<CallLabels, Counter>,
    aws_request_seconds: Seconds<OperationLabels>,
    kubernetes_writes: Family<KindLabels, Counter>,
    queue_depth: Gauge,
    groups: Family<StateLabels, Gauge>,
    findings: Family<ReasonLabels, Gauge>,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that are all zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("alb_ingress"),
            // 1 ms to 65 s: a run from memory, and one that waits for AWS.
            reconcile_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 9))
            }),
            plan_steps: Family::default(),
            aws_requests: Family::default(),
            // 10 ms to 20 s.
            aws_request_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.01, 2.0, 12))
            }),
            kubernetes_writes: Family::default(),
            queue_depth: Gauge::default(),
            groups: Family::default(),
            findings: Family::default(),
            leader: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "reconcile_seconds",
            "Time of one run of a key, by kind of key and result",
            metrics.reconcile_seconds.clone(),
        );
        registry.register(
            "plan_steps",
            "Steps done in AWS, by kind of step",
            metrics.plan_steps.clone(),
        );
        registry.register(
            "aws_requests",
            "Requests to AWS by service, operation and code; ok, or AWS's error code",
            metrics.aws_requests.clone(),
        );
        registry.register(
            "aws_request_seconds",
            "Time of one request to AWS, retries apart",
            metrics.aws_request_seconds.clone(),
        );
        registry.register(
            "kubernetes_writes",
            "Writes to Kubernetes by what is written, the lease left out",
            metrics.kubernetes_writes.clone(),
        );
        registry.register(
            "queue_depth",
            "Keys that are due and do not run yet",
            metrics.queue_depth.clone(),
        );
        registry.register(
            "groups",
            "Load balancer groups by state",
            metrics.groups.clone(),
        );
        registry.register(
            "findings",
            "What is wrong with Ingresses, by reason",
            metrics.findings.clone(),
        );
        registry.register(
            "leader",
            "1 while this process may write, else 0",
            metrics.leader.clone(),
        );
        registry.register(
            "build",
            "What this process was built from",
            Info::new([("version", env!("CARGO_PKG_VERSION")), ("commit", COMMIT)]),
        );
        metrics
    }

    /// Counts one run of a key: its kind, how it ended (`ok` or `error`), and
    /// its seconds.
    pub fn reconciled(&self, kind: &'static str, result: &'static str, seconds: f64) {
        self.reconcile_seconds
            .get_or_create(&ReconcileLabels { kind, result })
            .observe(seconds);
    }

    /// Counts one step done in AWS.
    pub fn plan_step(&self, kind: &str) {
        let kind = kind.to_owned();
        self.plan_steps.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts one request to AWS; `code` is `ok` or AWS's error code.
    pub fn aws_call(&self, service: &str, operation: &str, code: &str, seconds: f64) {
        let (service, operation) = (service.to_owned(), operation.to_owned());
        self.aws_requests
            .get_or_create(&CallLabels {
                service: service.clone(),
                operation: operation.clone(),
                code: code.to_owned(),
            })
            .inc();
        self.aws_request_seconds
            .get_or_create(&OperationLabels { service, operation })
            .observe(seconds);
    }

    /// Counts one write to Kubernetes: `status`, `finalizer`, `event` or
    /// `group`.
    pub fn kubernetes_write(&self, kind: &str) {
        let kind = kind.to_owned();
        self.kubernetes_writes
            .get_or_create(&KindLabels { kind })
            .inc();
    }

    /// Sets what is only known when it is asked for.
    pub fn set(&self, now: &Now) {
        self.queue_depth
            .set(i64::try_from(now.queue_depth).unwrap_or(i64::MAX));
        self.leader.set(i64::from(now.leader));
        // States and reasons that no longer occur must vanish.
        self.groups.clear();
        for (state, count) in &now.groups {
            let state = state.clone();
            self.groups
                .get_or_create(&StateLabels { state })
                .set(*count);
        }
        self.findings.clear();
        for (reason, count) in &now.findings {
            let reason = reason.clone();
            self.findings
                .get_or_create(&ReasonLabels { reason })
                .set(*count);
        }
    }

    /// All metrics in the text format of OpenMetrics.
    pub fn render(&self) -> String {
        let mut text = String::new();
        match text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a string does not fail; say so where it does.
            Err(error) => format!("# {error}\n"),
        }
    }
}

/// What is true at the moment of a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Keys that are due and do not run yet.
    pub queue_depth: usize,
    /// Whether this process may write.
    pub leader: bool,
    /// Groups by state.
    pub groups: BTreeMap<String, i64>,
    /// Findings by reason.
    pub findings: BTreeMap<String, i64>,
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
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(Arc::new(pages));
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
}

/// Binds the address that [`serve`] answers on.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "cannot listen on {address}: {error}; choose another with --bind-address or --port"
        )
    })
}

async fn metrics(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
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
    fn metrics_have_the_names_and_labels_that_dashboards_read() {
        let metrics = Metrics::new();
        metrics.reconciled("group", "ok", 0.5);
        metrics.plan_step("CreateRule");
        metrics.aws_call("elasticloadbalancing", "CreateRule", "ok", 0.1);
        metrics.kubernetes_write("status");
        metrics.set(&Now {
            queue_depth: 3,
            leader: true,
            groups: [("Serving".to_owned(), 2)].into(),
            findings: [("InvalidAnnotation".to_owned(), 1)].into(),
        });
        let text = metrics.render();
        for line in [
            "alb_ingress_reconcile_seconds_count{kind=\"group\",result=\"ok\"} 1",
            "alb_ingress_plan_steps_total{kind=\"CreateRule\"} 1",
            "alb_ingress_aws_requests_total{service=\"elasticloadbalancing\",operation=\"CreateRule\",code=\"ok\"} 1",
            "alb_ingress_aws_request_seconds_count{service=\"elasticloadbalancing\",operation=\"CreateRule\"} 1",
            "alb_ingress_kubernetes_writes_total{kind=\"status\"} 1",
            "alb_ingress_queue_depth 3",
            "alb_ingress_groups{state=\"Serving\"} 2",
            "alb_ingress_findings{reason=\"InvalidAnnotation\"} 1",
            "alb_ingress_leader 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("alb_ingress_build_info{version="), "{text}");
        metrics.set(&Now::default());
        assert!(!metrics.render().contains("Serving"));
    }

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
