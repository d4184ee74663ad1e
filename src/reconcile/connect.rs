//! From settings to a working [`Reconciler`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use super::Reconciler;
use super::background::Background;
use super::held::Held;
use super::models::Models;
use super::records::Records;
use super::start::Start;
use crate::aws::client::{Options, vpc_from_metadata};
use crate::aws::limit::Rates;
use crate::aws::metrics::{Call, CallObserver};
use crate::aws::{Aws, Error};
use crate::model::snapshot::Snapshot;
use crate::model::targets::instance_id;
use crate::observe::{Dns, Memory, Scope};
use crate::run::Parts;
use crate::telemetry::Metrics;

/// What AWS has refused is tried again after this where listings are switched
/// off.
const VERDICT: Duration = Duration::from_mins(5);

/// Counts calls where metrics are kept.
struct Counted(Arc<Metrics>);

impl CallObserver for Counted {
    fn observe(&self, call: &Call) {
        self.0.aws_call(
            call.service,
            call.operation,
            &call.outcome,
            call.elapsed.as_secs_f64(),
        );
    }
}

impl Reconciler {
    /// Connects to AWS and finds out which VPC the cluster is in. Reads
    /// nothing else.
    pub async fn connect(parts: Parts) -> anyhow::Result<Self> {
        let settings = Arc::clone(&parts.settings);
        let options = Options {
            region: settings.region.clone(),
            log_calls: settings.aws_debug,
            observer: Some(Arc::new(Counted(Arc::clone(&parts.metrics)))),
            rates: (!settings.aws_rate_limits).then(Rates::unlimited),
        };
        let aws = Aws::connect(options).await;
        let Some(region) = aws.region().map(str::to_owned) else {
            anyhow::bail!(
                "the region of the load balancers is not known: neither the environment nor the \
                 profile nor instance metadata names one; set AWS_REGION or --aws-region"
            );
        };
        let aws = if settings.dry_run {
            aws.fenced(Arc::new(|| false))
        } else {
            let leadership = Arc::clone(&parts.leadership);
            aws.fenced(Arc::new(move || leadership.valid()))
        };
        let mut model = settings.model.clone();
        model.vpc_id = match &settings.vpc_id {
            Some(vpc) => vpc.clone(),
            None => vpc(&aws, &parts.stores.snapshot()).await?,
        };
        tracing::info!(
            cluster = model.cluster_name,
            region,
            vpc = model.vpc_id,
            "connected"
        );
        let first_verification = settings.first_verification;
        let memory = Memory::new(
            aws.clone(),
            Scope {
                cluster: model.cluster_name.clone(),
                vpc: model.vpc_id.clone(),
                periods: settings.verification,
                verdict: settings.verification.fast.unwrap_or(VERDICT),
                first_verification,
            },
        );
        let records = model.dns.as_ref().map(|_| {
            let interval = settings.verify_records;
            let dns = Dns::new(aws.clone(), interval, first_verification);
            Records::new(dns, settings.dns_delete_grace, interval)
        });
        Ok(Self {
            parts,
            settings: model,
            aws,
            memory,
            records,
            backend: watch::Sender::default(),
            backend_failures: Mutex::default(),
            backend_name_taken: Mutex::default(),
            held: Held::default(),
            found: Mutex::default(),
            ours: Mutex::default(),
            background: Mutex::new(Background::default()),
            start: Start::default(),
            models: Models::default(),
            shares: tokio::sync::Mutex::default(),
            removed: Mutex::default(),
        })
    }
}

/// The VPC that the process is in, else the one of a node's instance.
async fn vpc(aws: &Aws, snapshot: &Snapshot) -> anyhow::Result<String> {
    let no_metadata = match vpc_from_metadata().await {
        Ok(vpc) => return Ok(vpc),
        Err(error) => error,
    };
    let instances = snapshot
        .nodes
        .values()
        .filter_map(|node| instance_id(node).ok());
    let mut last: Option<Error> = None;
    for instance in instances.take(3) {
        match aws.vpc_of_instance(&instance).await {
            Ok(Some(vpc)) => return Ok(vpc),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
    }
    let unknown = || {
        format!(
            "the VPC is not known: instance metadata says \"{no_metadata}\" and no Node's \
             instance could be looked up; set AWS_VPC_ID or --aws-vpc-id"
        )
    };
    match last {
        Some(error) => Err(error).with_context(unknown),
        None => anyhow::bail!(unknown()),
    }
}
