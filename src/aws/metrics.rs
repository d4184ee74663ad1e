//! One interceptor in all clients: it measures each call, logs it on demand,
//! and tells the rate limits of retries and throttles.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_types::request_id::RequestId;
use tokio::time::Instant;

use super::class::Class;
use super::limit::Limits;
use super::operations::{self, Operation};

/// One call to AWS that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Service in the name of its signature (`elasticloadbalancing`).
    pub service: &'static str,
    /// Operation (`CreateRule`).
    pub operation: &'static str,
    /// Requests that were sent, retries of the SDK included.
    pub attempts: u32,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// `ok`, AWS's error code, or `no_answer`.
    pub outcome: String,
    /// `ok`, or the class of the error.
    pub class: &'static str,
    /// AWS's request id.
    pub request_id: Option<String>,
}

/// Who wants to know of calls; must be quick, it runs within the call.
pub trait CallObserver: Send + Sync {
    /// A call has ended.
    fn observe(&self, call: &Call);
}

/// The interceptor.
pub struct Recorder {
    observer: Option<Arc<dyn CallObserver>>,
    limits: Arc<Limits>,
    log: bool,
}

impl Recorder {
    /// `log` writes each call at level info.
    pub fn new(observer: Option<Arc<dyn CallObserver>>, limits: Arc<Limits>, log: bool) -> Self {
        Self {
            observer,
            limits,
            log,
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Started(Instant);

impl Storable for Started {
    type Storer = StoreReplace<Self>;
}

/// What a call does; `None` for one that is not in our list.
pub(super) fn operation(cfg: &ConfigBag) -> Option<&'static Operation> {
    let name = cfg.load::<Metadata>()?.name();
    operations::ALL.iter().find(|o| o.name == name)
}

#[dyn_dispatch_hint]
impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "Recorder"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(Started(Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(operation) = operation(cfg) else {
            return Ok(());
        };
        // The first attempt has paid in `Aws::call`.
        if cfg
            .load::<RequestAttempts>()
            .is_some_and(|a| a.attempts() > 1)
        {
            self.limits.charge(operation.bucket);
        }
        if context
            .response()
            .and_then(error_code)
            .is_some_and(|code| Class::of(&code, "") == Class::Throttle)
        {
            self.limits.throttled(operation.bucket);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(operation) = operation(cfg) else {
            return Ok(());
        };
        let elapsed = cfg
            .load::<Started>()
            .map_or(Duration::ZERO, |started| started.0.elapsed());
        let response = context.response();
        let (outcome, class) = match (context.output_or_error(), response) {
            (Some(Ok(_)), _) => ("ok".to_owned(), "ok"),
            (_, None) => ("no_answer".to_owned(), Class::Transient.as_str()),
            (_, Some(response)) => {
                if let Some(code) = error_code(response) {
                    let class = Class::of(&code, "").as_str();
                    (code, class)
                } else {
                    let status = response.status().as_u16();
                    (status.to_string(), Class::of_status(status).as_str())
                }
            }
        };
        let call = Call {
            service: operation.service.as_str(),
            operation: operation.name,
            attempts: cfg
                .load::<RequestAttempts>()
                .map_or(0, RequestAttempts::attempts),
            elapsed,
            outcome,
            class,
            request_id: response
                .and_then(|r| r.headers().request_id())
                .map(str::to_owned),
        };
        if self.log {
            tracing::info!(
                service = call.service,
                operation = call.operation,
                request_id = call.request_id.as_deref().unwrap_or("-"),
                milliseconds = u64::try_from(call.elapsed.as_millis()).unwrap_or(u64::MAX),
                attempts = call.attempts,
                outcome = call.outcome,
                "AWS call"
            );
        }
        if let Some(observer) = &self.observer {
            observer.observe(&call);
        }
        Ok(())
    }
}

/// The wire code in an error's body: XML with one `Code`, or JSON with a
/// `__type`. `None` for a success and for a body that is none of AWS's.
fn error_code(response: &HttpResponse) -> Option<String> {
    if response.status().is_success() {
        return None;
    }
    let body = std::str::from_utf8(response.body().bytes()?).ok()?;
    let code = match body.split_once("<Code>") {
        Some((_, rest)) => rest.split_once("</Code>")?.0,
        None => json_code(body)?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    (code.len() <= 80 && code.chars().all(plain)).then(|| code.to_owned())
}

/// The code in `"__type": "namespace#Code"`.
fn json_code(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("\"__type\"")?;
    let code = rest.trim_start().strip_prefix(':')?.trim_start();
    let code = code.strip_prefix('"')?.split_once('"')?.0;
    Some(code.rsplit('#').next().unwrap_or(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_json() {
        let plain = r#"{"__type":"ThrottledException","message":"Rate exceeded"}"#;
        assert_eq!(json_code(plain), Some("ThrottledException"));
        let long = r#"{"Message": "no", "__type" : "com.amazon#AccessDeniedException"}"#;
        assert_eq!(json_code(long), Some("AccessDeniedException"));
        assert_eq!(json_code(r#"{"message":"no"}"#), None);
    }
}
