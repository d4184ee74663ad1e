//! The clients, and the one door through which every call goes.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SdkConfig;
use futures::future::BoxFuture;

use super::error::{self, Error};
use super::gate::Gate;
use super::limit::{Limits, Rates, Run};
use super::metrics::{CallObserver, Recorder};
use super::operations::{self, Operation};
use crate::lane::Turn;

/// How to reach AWS.
#[derive(Clone, Default)]
pub struct Options {
    /// Region; `None` leaves it to the SDK's chain.
    pub region: Option<String>,
    /// Writes each call at level info.
    pub log_calls: bool,
    /// Who counts the calls.
    pub observer: Option<Arc<dyn CallObserver>>,
    /// Rate limits; `None` takes [`Rates::standard`].
    pub rates: Option<Rates>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("region", &self.region)
            .field("log_calls", &self.log_calls)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

/// Whether this process may write now.
pub type Fence = Arc<dyn Fn() -> bool + Send + Sync>;

/// Clients of all services, rate limits and the fence; cheap to clone.
#[derive(Clone)]
pub struct Aws {
    /// Elastic Load Balancing v2.
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// Route 53.
    pub route53: aws_sdk_route53::Client,
    /// Resource Groups Tagging API.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    limits: Arc<Limits>,
    fence: Option<Fence>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").finish_non_exhaustive()
    }
}

/// A request of the SDK may take this long, then it is tried again.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// A call with its retries may take this long.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// Requests for one call; longer waits are the queue's.
const ATTEMPTS: u32 = 5;
/// Instance metadata is next door or not there at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

impl Aws {
    /// Clients by the SDK's chain: credentials from environment, web
    /// identity, container or instance; `AWS_ENDPOINT_URL` is honoured.
    /// Makes no call.
    pub async fn connect(options: Options) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts(ATTEMPT_TIMEOUT, CALL_TIMEOUT));
        // A name with bad characters would be refused; this one has none.
        if let Ok(name) = AppName::new("alb-ingress-controller") {
            loader = loader.app_name(name);
        }
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        Self::with_config(&loader.load().await, options)
    }

    /// Clients from a ready configuration.
    pub fn with_config(config: &SdkConfig, options: Options) -> Self {
        let rates = options.rates.unwrap_or_else(Rates::standard);
        let limits = Arc::new(Limits::new(&rates));
        let recorder = SharedInterceptor::new(Recorder::new(
            options.observer,
            Arc::clone(&limits),
            options.log_calls,
        ));
        let elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(config)
            .interceptor(recorder.clone())
            .build();
        let ec2 = aws_sdk_ec2::config::Builder::from(config)
            .interceptor(recorder.clone())
            .build();
        let route53 = aws_sdk_route53::config::Builder::from(config)
            .interceptor(recorder.clone())
            .build();
        let tagging = aws_sdk_resourcegroupstagging::config::Builder::from(config)
            .interceptor(recorder)
            .build();
        Self {
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(elb),
            ec2: aws_sdk_ec2::Client::from_conf(ec2),
            route53: aws_sdk_route53::Client::from_conf(route53),
            tagging: aws_sdk_resourcegroupstagging::Client::from_conf(tagging),
            limits,
            fence: None,
        }
    }

    /// The region that was given or found; `None` where nobody names one.
    pub fn region(&self) -> Option<&str> {
        self.ec2.config().region().map(Region::as_ref)
    }

    /// The same clients; a write is sent only while `fence` holds, asked right
    /// before each attempt. A leader gives the validity of its Lease, a dry run
    /// `|| false`.
    #[must_use]
    pub fn fenced(&self, fence: Fence) -> Self {
        let gate = SharedInterceptor::new(Gate(Arc::clone(&fence)));
        macro_rules! gated {
            ($sdk:ident, $client:ident) => {{
                let config = self.$client.config().to_builder();
                $sdk::Client::from_conf(config.interceptor(gate.clone()).build())
            }};
        }
        Self {
            elb: gated!(aws_sdk_elasticloadbalancingv2, elb),
            ec2: gated!(aws_sdk_ec2, ec2),
            route53: gated!(aws_sdk_route53, route53),
            tagging: gated!(aws_sdk_resourcegroupstagging, tagging),
            limits: Arc::clone(&self.limits),
            fence: Some(fence),
        }
    }

    /// Waits for the rate limit, asks the fence, sends, and says in our words
    /// what went wrong. `send` must not have been started. Boxed, for the
    /// SDK's futures are large.
    pub fn call<'a, T, E>(
        &'a self,
        operation: &'a Operation,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>>
    where
        E: ProvideErrorMetadata + StdError + Send + 'static,
    {
        Box::pin(async move {
            let _permit = self.limits.take(operation.bucket).await;
            if operation.writes && self.fence.as_ref().is_some_and(|fence| !fence()) {
                return Err(Error::fenced(operation));
            }
            send.await
                .map_err(|error| Error::from_sdk(operation, error))
        })
    }

    /// Says that this run is under way, until what is answered is dropped:
    /// while somebody waits for it, the calls of low lanes make way. Of a part
    /// of a run it can be said otherwise meanwhile.
    #[must_use]
    pub fn begin(&self, turn: &Turn) -> Run<'_> {
        self.limits.begin(turn)
    }

    /// The VPC that an instance is in; `None` when there is no such instance.
    pub async fn vpc_of_instance(&self, instance: &str) -> Result<Option<String>, Error> {
        let call = self.ec2.describe_instances().instance_ids(instance).send();
        let answer = match self.call(&operations::DESCRIBE_INSTANCES, call).await {
            Err(error) if error.class == super::Class::Gone => return Ok(None),
            answer => answer?,
        };
        Ok(answer
            .reservations()
            .iter()
            .flat_map(aws_sdk_ec2::types::Reservation::instances)
            .find_map(|i| i.vpc_id().map(str::to_owned)))
    }
}

/// The VPC of the instance that this process runs on, from instance metadata;
/// the error says why it cannot be had (not on an instance, metadata off, a
/// hop limit that keeps pods out).
pub async fn vpc_from_metadata() -> Result<String, String> {
    const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
    // The SDK looks at it for credentials and the region only.
    if std::env::var(DISABLED).is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(format!("switched off by {DISABLED}"));
    }
    let provider = ProviderConfig::without_region().with_http_client(http_client());
    let client = imds::Client::builder()
        .configure(&provider)
        .max_attempts(2)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .build();
    let ask = async |path: String| {
        tokio::time::timeout(2 * METADATA_TIMEOUT, client.get(path))
            .await
            .map_err(|_| "no answer from instance metadata".to_owned())?
            .map(|value| String::from(value.as_ref()).trim().to_owned())
            .map_err(|e| error::chain(&e))
    };
    let mac = ask("/latest/meta-data/mac".to_owned()).await?;
    ask(format!(
        "/latest/meta-data/network/interfaces/macs/{mac}/vpc-id"
    ))
    .await
}

/// How long a request may take, and a call with its retries.
pub(super) fn timeouts(attempt: Duration, call: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(call)
        .build()
}

/// One HTTP stack, with ring for TLS: plain HTTP works with it too.
pub(super) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https()
}
