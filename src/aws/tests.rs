//! A server that answers what a test says, and tests of the edge against it:
//! real HTTP, real bodies.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use axum::Router;
use axum::http::StatusCode;

use super::limit::Rates;
use super::metrics::{Call, CallObserver};
use super::operations;
use super::{Aws, Class, Options};

/// A request as the server saw it: the action and its parameters, or method
/// and path with query for Route 53, then the body.
pub(crate) type Seen = String;
type Answer = Box<dyn Fn(&str) -> Option<(u16, String)> + Send + Sync>;

/// As those of the running controller, but shorter: three attempts, on a machine
/// that takes its time for each.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_mins(5);

/// An AWS that answers what a test says.
pub(crate) struct Server {
    /// Clients that speak to it.
    pub aws: Aws,
    seen: Arc<Mutex<Vec<Seen>>>,
    calls: Arc<Observed>,
}

#[derive(Default)]
struct Observed(Mutex<Vec<Call>>);

impl CallObserver for Observed {
    fn observe(&self, call: &Call) {
        self.0.lock().unwrap().push(call.clone());
    }
}

impl Server {
    /// Starts one; `answer` gets each request and returns status and body.
    pub(crate) async fn start(
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let answer = move |request: &str| Some(answer(request));
        // A busy machine is not one that does not answer.
        Self::with_timeouts(answer, Duration::from_mins(5), Duration::from_mins(5)).await
    }

    /// Starts one that never answers where `answer` gives `None`.
    pub(crate) async fn start_silent(
        answer: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        Self::with_timeouts(answer, ATTEMPT_TIMEOUT, CALL_TIMEOUT).await
    }

    async fn with_timeouts(
        answer: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static,
        attempt: Duration,
        call: Duration,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(Box::new(answer));
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(
            move |method: axum::http::Method, uri: axum::http::Uri, body: String| {
                let request = if body.starts_with("Action=") {
                    body
                } else {
                    format!("{method} {uri} {body}")
                };
                log.lock().unwrap().push(request.clone());
                let answer = answer(&request);
                let headers = [("x-amzn-requestid", "req-1"), ("content-type", "text/xml")];
                async move {
                    let Some((status, body)) = answer else {
                        return std::future::pending().await;
                    };
                    (StatusCode::from_u16(status).unwrap(), headers, body)
                }
            },
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .test_credentials()
            .region(Region::new("eu-west-1"))
            .endpoint_url(url)
            .http_client(super::client::http_client())
            .timeout_config(super::client::timeouts(attempt, call))
            .retry_config(
                aws_config::retry::RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(1)),
            )
            .load()
            .await;
        let calls = Arc::new(Observed::default());
        let options = Options {
            observer: Some(Arc::clone(&calls) as Arc<dyn CallObserver>),
            rates: Some(Rates::unlimited()),
            ..Options::default()
        };
        Self {
            aws: Aws::with_config(&config, options),
            seen,
            calls,
        }
    }

    /// Requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Names of the actions asked for so far, sorted.
    pub(crate) fn actions(&self) -> Vec<String> {
        let mut actions: Vec<String> = self
            .seen()
            .iter()
            .map(|request| {
                let query = request.strip_prefix("Action=").unwrap_or(request);
                query.split(['&', ' ']).next().unwrap().to_owned()
            })
            .collect();
        actions.sort();
        actions
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.0.lock().unwrap().clone()
    }
}

/// An ELBv2 error body.
pub(crate) fn error_body(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>req-1</RequestId></ErrorResponse>"
    )
}

async fn delete_rule(aws: &Aws) -> Result<(), super::Error> {
    let call = aws.elb.delete_rule().rule_arn("arn:rule").send();
    aws.call(&operations::DELETE_RULE, call).await.map(drop)
}

#[tokio::test]
async fn an_error_carries_the_wire_code_even_where_the_model_has_none() {
    let server = Server::start(|_| (400, error_body("ValidationError", "no good"))).await;
    let error = delete_rule(&server.aws).await.unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert_eq!(error.code, "ValidationError");
    assert_eq!(error.message, "no good");
    assert_eq!(
        error.to_string(),
        "elasticloadbalancing DeleteRule: ValidationError: no good (request req-1)"
    );
    let call = &server.calls()[0];
    assert_eq!(
        (call.service, call.operation),
        ("elasticloadbalancing", "DeleteRule")
    );
    assert_eq!(call.outcome, "ValidationError");
    assert_eq!(call.request_id.as_deref(), Some("req-1"));
}

#[tokio::test]
async fn errors_of_ec2_and_route53_have_their_own_envelope() {
    let server = Server::start(|request| {
        if request.starts_with("Action=") {
            let body = "<Response><Errors><Error><Code>InvalidGroup.NotFound</Code>\
                        <Message>gone</Message></Error></Errors><RequestID>r</RequestID></Response>";
            (400, body.to_owned())
        } else {
            let body = "<ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
                        <Error><Type>Sender</Type><Code>AccessDenied</Code>\
                        <Message>not authorized</Message></Error></ErrorResponse>";
            (403, body.to_owned())
        }
    })
    .await;
    let call = server
        .aws
        .ec2
        .delete_security_group()
        .group_id("sg-1")
        .send();
    let answer = server
        .aws
        .call(&operations::DELETE_SECURITY_GROUP, call)
        .await;
    assert_eq!(answer.unwrap_err().class, Class::Gone);
    let call = server.aws.route53.list_hosted_zones().send();
    let answer = server.aws.call(&operations::LIST_HOSTED_ZONES, call).await;
    assert_eq!(answer.unwrap_err().class, Class::Denied);
}

#[tokio::test]
async fn a_fault_of_the_server_is_tried_again_and_then_transient() {
    let server = Server::start(|_| (503, error_body("ServiceUnavailable", "later"))).await;
    let error = delete_rule(&server.aws).await.unwrap_err();
    assert_eq!(error.class, Class::Transient);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(server.calls().len(), 1, "one call");
    assert_eq!(server.calls()[0].attempts, 3);
}

#[tokio::test]
async fn no_answer_is_transient_and_says_why() {
    let server = Server::start(|_| (200, String::new())).await;
    let config = server.aws.elb.config().to_builder();
    let elb = aws_sdk_elasticloadbalancingv2::Client::from_conf(
        config.endpoint_url("http://127.0.0.1:1").build(),
    );
    let call = elb.delete_rule().rule_arn("arn:rule").send();
    let error = server
        .aws
        .call(&operations::DELETE_RULE, call)
        .await
        .unwrap_err();
    assert_eq!(error.class, Class::Transient);
    assert!(error.message.contains("refused"), "{}", error.message);
}

#[tokio::test]
async fn a_call_that_is_never_answered_ends_in_doubt() {
    let server = Server::start_silent(|_| None).await;
    let error = delete_rule(&server.aws).await.unwrap_err();
    assert_eq!(error.class, Class::Transient);
    assert!(error.class.leaves_doubt());
    assert!(error.message.contains("time"), "{}", error.message);
    assert!(server.seen().len() > 1, "it is tried again");
}

#[tokio::test]
async fn a_write_is_not_tried_again_when_the_fence_is_down_by_then() {
    let leads = Arc::new(AtomicBool::new(true));
    let ends = Arc::clone(&leads);
    let server = Server::start(move |_| {
        ends.store(false, Ordering::SeqCst);
        (503, error_body("ServiceUnavailable", "later"))
    })
    .await;
    let fence = move || leads.load(Ordering::SeqCst);
    let error = delete_rule(&server.aws.fenced(Arc::new(fence)))
        .await
        .unwrap_err();
    assert_eq!(server.seen().len(), 1);
    // The attempt before may have been carried out.
    assert_eq!(error.class, Class::Transient);
}

#[tokio::test]
async fn a_write_that_waited_for_its_connection_is_not_sent_when_the_fence_is_down_by_then() {
    let server = Server::start(|_| (200, String::new())).await;
    // It is asked before the call, before the attempt, and when it is written.
    let left = AtomicI32::new(2);
    let fence = move || left.fetch_sub(1, Ordering::SeqCst) > 0;
    let error = delete_rule(&server.aws.fenced(Arc::new(fence)))
        .await
        .unwrap_err();
    assert_eq!(server.seen(), [""; 0]);
    assert!(error.message.contains("may not write"), "{}", error.message);
}

#[tokio::test]
async fn a_fence_stops_writes_and_lets_reads_through() {
    let empty = "<DescribeTagsResponse><DescribeTagsResult/></DescribeTagsResponse>";
    let server = Server::start(move |_| (200, empty.to_owned())).await;
    let fenced = server.aws.fenced(Arc::new(|| false));
    let error = delete_rule(&fenced).await.unwrap_err();
    assert_eq!(error.class, Class::Fenced);
    assert_eq!(server.seen().len(), 0);
    let call = fenced.elb.describe_tags().resource_arns("arn:lb").send();
    fenced.call(&operations::DESCRIBE_TAGS, call).await.unwrap();
    assert_eq!(server.actions(), ["DescribeTags"]);
}
