//! The access log: the latest requests to the listeners, with the fields that
//! the access logs of Application Load Balancers have.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Version};
use jiff::Timestamp;
use serde::Serialize;

use super::checks::screened;
use super::course::{Arrival, Course};
use super::forwarded::{TRACE_ID, authority, without_port};
use super::protocol::is_grpc;
use super::serve::Reply;
use crate::state::Protocol;

/// The most requests that are kept; older ones are forgotten.
const KEPT: usize = 10_000;

/// The status that only the log shows: the client did not wait for the answer.
const CLIENT_LEFT: u16 = 460;

/// One request. The names are those of the fields in AWS's log files; what is
/// `-` there is absent here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Entry {
    /// Running number from 1, in the order of the answers.
    pub(crate) number: u64,
    /// `http`, `https`, `h2`, `grpcs`, `ws` or `wss`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// When the answer began, by the clock on the wall.
    pub(crate) time: Timestamp,
    /// The load balancer, as its ARN ends: `app/NAME/ID`.
    pub(crate) elb: String,
    /// Address and port of the client.
    pub(crate) client: String,
    /// Id and port of the target, if one was chosen.
    pub(crate) target: Option<String>,
    /// Seconds until the request went to the target; -1 where it did not.
    pub(crate) request_processing_time: f64,
    /// Seconds until the target's answer began; -1 where it did not.
    pub(crate) target_processing_time: f64,
    /// Seconds from then until the client's answer began; -1 where no target answered.
    pub(crate) response_processing_time: f64,
    /// The status that the client got.
    pub(crate) elb_status_code: u16,
    /// The status that the target gave.
    pub(crate) target_status_code: Option<u16>,
    /// Method, URL and version.
    pub(crate) request: String,
    pub(crate) user_agent: Option<String>,
    /// ARN of the chosen target group.
    pub(crate) target_group_arn: Option<String>,
    /// `X-Amzn-Trace-Id` as the target got it, else as the client sent it.
    pub(crate) trace_id: Option<String>,
    /// The name that the client asked for in its TLS handshake.
    pub(crate) domain_name: Option<String>,
    pub(crate) chosen_cert_arn: Option<String>,
    /// Cipher suite and version of TLS, by OpenSSL's names.
    pub(crate) ssl_cipher: Option<&'static str>,
    pub(crate) ssl_protocol: Option<&'static str>,
    /// 0 for the default rule; absent where no rule was looked at.
    pub(crate) matched_rule_priority: Option<u32>,
    /// When the request came in.
    pub(crate) request_creation_time: Timestamp,
    /// In their order, between commas.
    pub(crate) actions_executed: Option<String>,
    pub(crate) redirect_url: Option<String>,
    /// For the desync mitigation: `Acceptable`, `Ambiguous` or `Severe`.
    pub(crate) classification: Option<&'static str>,
    pub(crate) classification_reason: Option<String>,
    /// Why the load balancer has answered itself, in words; other than AWS's
    /// log files this tells it for every such answer.
    pub(crate) error_reason: Option<String>,
}

#[derive(Debug, Default)]
struct Ring {
    count: u64,
    entries: VecDeque<Entry>,
}

/// The requests that were answered. Cheap to clone; all clones are one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<Ring>>);

impl Requests {
    /// A request that has come in. It is logged once it is answered, or when
    /// the result is dropped before.
    pub(crate) fn begin(&self, arrival: Arc<Arrival>, parts: &Parts) -> Open {
        let scheme = scheme(arrival.protocol);
        let host = without_port(authority(parts));
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let port = arrival.port;
        let unreadable = screened(parts).is_some_and(|it| it.refused.is_some());
        let line = if unreadable {
            format!("- {scheme}://-:{port}- -")
        } else {
            let version = match parts.version {
                Version::HTTP_2 => "HTTP/2.0".to_owned(),
                version => format!("{version:?}"),
            };
            format!("{} {scheme}://{host}:{port}{path} {version}", parts.method)
        };
        Open {
            requests: self.clone(),
            course: Course {
                trace_id: text(&parts.headers, TRACE_ID.as_str()),
                deviations: screened(parts)
                    .map(|it| it.deviations.clone())
                    .unwrap_or_default(),
                ..Course::default()
            },
            http2: parts.version == Version::HTTP_2,
            grpc: is_grpc(parts),
            line,
            user_agent: text(&parts.headers, USER_AGENT.as_str()),
            arrival,
            created: Timestamp::now(),
            started: Instant::now(),
            logged: false,
        }
    }

    /// The requests with a greater number, oldest first.
    pub(crate) fn after(&self, number: u64) -> Vec<Entry> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let later = ring.entries.iter().filter(|entry| entry.number > number);
        later.cloned().collect()
    }

    fn add(&self, mut entry: Entry) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.count += 1;
        entry.number = ring.count;
        if ring.entries.len() == KEPT {
            ring.entries.pop_front();
        }
        ring.entries.push_back(entry);
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) course: Course,
    requests: Requests,
    arrival: Arc<Arrival>,
    line: String,
    http2: bool,
    grpc: bool,
    user_agent: Option<String>,
    created: Timestamp,
    started: Instant,
    logged: bool,
}

impl Open {
    /// Logs the request with its answer.
    pub(crate) fn answered(&mut self, reply: &Reply) {
        self.log(reply.status().as_u16());
    }

    fn log(&mut self, status: u16) {
        self.logged = true;
        let course = std::mem::take(&mut self.course);
        let switched = status == StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let secure = self.arrival.protocol == Protocol::Https;
        let between = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to).map_or(-1.0, |(from, to)| {
                to.saturating_duration_since(from).as_secs_f64()
            })
        };
        let balancer = self.arrival.balancer.rsplit_once(":loadbalancer/");
        let worst = course.deviations.iter().copied();
        let worst = worst.rev().max_by_key(|it| it.class());
        let firewall = course.firewall.as_ref().map(|_| "waf");
        let executed: Vec<&str> = firewall
            .into_iter()
            .chain(course.authentication)
            .chain(course.action)
            .collect();
        self.requests.add(Entry {
            number: 0,
            kind: match (switched, secure) {
                (false, false) => "http",
                (false, true) if self.grpc => "grpcs",
                (false, true) if self.http2 => "h2",
                (false, true) => "https",
                (true, false) => "ws",
                (true, true) => "wss",
            },
            time: Timestamp::now(),
            elb: balancer.map_or_else(String::new, |(_, elb)| elb.to_owned()),
            client: self.arrival.peer.to_string(),
            target: course.target,
            request_processing_time: between(Some(self.started), course.sent),
            target_processing_time: between(course.sent, course.answered),
            response_processing_time: between(course.answered, Some(Instant::now())),
            elb_status_code: status,
            target_status_code: course.target_status,
            request: std::mem::take(&mut self.line),
            user_agent: self.user_agent.take(),
            target_group_arn: course.group,
            trace_id: course.trace_id,
            domain_name: self.arrival.server_name.clone(),
            chosen_cert_arn: self.arrival.certificate.clone(),
            ssl_cipher: self.arrival.session.map(|session| session.suite),
            ssl_protocol: self.arrival.session.map(|session| session.version),
            matched_rule_priority: course.priority,
            request_creation_time: self.created,
            actions_executed: (!executed.is_empty()).then(|| executed.join(",")),
            redirect_url: course.redirect,
            // The reason is that of the worst class, as there is one field for it.
            classification: worst.and_then(|it| it.class().as_str()),
            classification_reason: worst.map(|it| format!("{it:?}")),
            error_reason: course.reason.map(std::borrow::Cow::into_owned),
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.logged {
            let reason = "the client closed the connection before the answer began";
            self.course.reason = Some(reason.into());
            self.log(CLIENT_LEFT);
        }
    }
}

fn scheme(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Https {
        "https"
    } else {
        "http"
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
