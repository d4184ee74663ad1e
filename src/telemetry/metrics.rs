//! All metrics of the process.

use std::collections::BTreeMap;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::COMMIT;

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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TierLabels {
    tier: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DriftLabels {
    tier: &'static str,
    kind: &'static str,
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
    verification_reads: Family<TierLabels, Counter>,
    drift_found: Family<DriftLabels, Counter>,
    drift_mended: Family<DriftLabels, Counter>,
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
            verification_reads: Family::default(),
            drift_found: Family::default(),
            drift_mended: Family::default(),
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
            "verification_reads",
            "What was read again in the background by tier: passes over all, groups, target groups, \
             records",
            metrics.verification_reads.clone(),
        );
        registry.register(
            "drift_found",
            "Things in AWS that others changed, by the tier that found them and by kind",
            metrics.drift_found.clone(),
        );
        registry.register(
            "drift_mended",
            "Those of them that are as they were again",
            metrics.drift_mended.clone(),
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

    /// Counts something that was read again in the background.
    pub fn verified(&self, tier: &'static str) {
        self.verification_reads
            .get_or_create(&TierLabels { tier })
            .inc();
    }

    /// Counts a thing in AWS that verification found to be changed by others.
    pub fn drift_found(&self, tier: &'static str, kind: &'static str) {
        let labels = DriftLabels { tier, kind };
        self.drift_found.get_or_create(&labels).inc();
    }

    /// Counts such a thing that is mended.
    pub fn drift_mended(&self, tier: &'static str, kind: &'static str) {
        let labels = DriftLabels { tier, kind };
        self.drift_mended.get_or_create(&labels).inc();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_and_labels_that_dashboards_read() {
        let metrics = Metrics::new();
        metrics.reconciled("group", "ok", 0.5);
        metrics.plan_step("CreateRule");
        metrics.aws_call("elasticloadbalancing", "CreateRule", "ok", 0.1);
        metrics.kubernetes_write("status");
        metrics.verified("fast");
        metrics.drift_found("slow", "rule");
        metrics.drift_mended("slow", "rule");
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
            "alb_ingress_verification_reads_total{tier=\"fast\"} 1",
            "alb_ingress_drift_found_total{tier=\"slow\",kind=\"rule\"} 1",
            "alb_ingress_drift_mended_total{tier=\"slow\",kind=\"rule\"} 1",
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
}
