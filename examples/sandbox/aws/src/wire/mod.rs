//! AWS's protocols on one port: awsQuery, ec2Query, REST-XML and JSON 1.1.
//!
//! The wire tells the service, maps parameters to calls on the state, and puts
//! answers and refusals into the form of the service. It holds no state of its
//! own.

mod acm;
mod ec2;
mod elb;
mod page;
mod params;
mod route53;
mod service;
mod sts;
mod xml;

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State as Extract,
    http::{HeaderMap, Method, Request, StatusCode, Uri},
    response::Response,
};
use jiff::Timestamp;
use tracing::{debug, warn};

use self::{
    params::{Dialect, Params},
    service::{Service, document, scope_of},
    xml::Xml,
};
use crate::{
    control::Control,
    faults::{CONNECTION_RESET, Fault},
    journal::Call,
    state::{Answer, Refusal, State},
};

/// Larger bodies are refused; AWS's own limits are far below.
const MAX_BODY: usize = 4 << 20;

/// A request that is known to belong to a service.
struct Incoming {
    service: Service,
    action: String,
    content: Content,
}

enum Content {
    Form(Params),
    Json(String),
    Rest(Option<route53::Request>, BTreeMap<String, String>),
}

/// What goes back.
struct Outgoing {
    status: u16,
    body: String,
    location: Option<String>,
    code: Option<String>,
}

/// Serves a request to AWS.
pub async fn serve(Extract(control): Extract<Control>, request: Request<Body>) -> Response {
    let (number, started) = control.journal.begin();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    let id = uuid();
    let Some(incoming) = identify(&parts.method, &parts.uri, &parts.headers, &body) else {
        return unknown(&control, (number, started), &parts.headers, &parts.uri, &id);
    };
    let scope = scope_of(&parts.headers, parts.uri.query());
    let outcome = answer(&control, &incoming, scope.as_deref(), &id);
    let latency = control.state.read(|state| state.timing.latency_ms);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let call = Call {
        number,
        started,
        ended: control.journal.now(),
        service: incoming.service.scope().to_owned(),
        action: incoming.action.clone(),
        status: outcome.as_ref().map_or(0, |outgoing| outgoing.status),
        code: match &outcome {
            Some(outgoing) => outgoing.code.clone(),
            None => Some(CONNECTION_RESET.to_owned()),
        },
        parameters: incoming.content.shown(),
    };
    debug!(
        service = call.service,
        action = call.action,
        status = call.status,
        code = call.code,
        "call"
    );
    control.journal.record(call);
    match outcome {
        Some(outgoing) => respond(incoming.service, outgoing, &id),
        None => cut(),
    }
}

/// Tells service and action; `None` when no service here is meant.
fn identify(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Option<Incoming> {
    let text = String::from_utf8_lossy(body);
    if let Some(target) = headers.get("x-amz-target") {
        let action = target.to_str().ok()?.strip_prefix(acm::TARGET)?;
        return Some(Incoming {
            service: Service::Acm,
            action: action.to_owned(),
            content: Content::Json(text.into_owned()),
        });
    }
    if uri.path().starts_with("/2013-04-01/") {
        let query = uri.query().unwrap_or_default();
        let request = route53::Request::parse(method.as_str(), uri.path(), query, &text);
        let action = request.as_ref().map_or_else(
            || format!("{method} {}", uri.path()),
            |request| request.action.to_owned(),
        );
        let mut shown = params::decode_form(query);
        shown.insert("path".to_owned(), uri.path().to_owned());
        if let Some(request) = &request {
            shown.extend(request.changes());
        }
        return Some(Incoming {
            service: Service::Route53,
            action,
            content: Content::Rest(request, shown),
        });
    }
    let form = if method == Method::GET {
        uri.query().unwrap_or_default()
    } else {
        &text
    };
    let mut params = Params::parse(form, Dialect::Query);
    let service = Service::of_version(params.raw("Version")?)?;
    if service == Service::Ec2 {
        params = Params::parse(form, Dialect::Ec2);
    }
    Some(Incoming {
        service,
        action: params.raw("Action").unwrap_or_default().to_owned(),
        content: Content::Form(params),
    })
}

impl Content {
    /// Parameters for the log, without secrets.
    fn shown(&self) -> BTreeMap<String, String> {
        const SECRET: [&str; 4] = [
            "WebIdentityToken",
            "PrivateKey",
            "Certificate",
            "CertificateChain",
        ];
        let mut shown = match self {
            Self::Form(params) => params.values().clone(),
            Self::Rest(_, shown) => shown.clone(),
            Self::Json(body) => match serde_json::from_str(body) {
                Ok(serde_json::Value::Object(fields)) => fields
                    .into_iter()
                    .map(|(name, value)| {
                        let text = value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned);
                        (name, text)
                    })
                    .collect(),
                _ => BTreeMap::new(),
            },
        };
        shown.retain(|name, _| {
            !SECRET.contains(&name.as_str())
                && !name.starts_with("X-Amz-")
                && !matches!(name.as_str(), "Action" | "Version")
        });
        shown
    }
}

/// Answers a request; `None` when the answer is to be lost.
fn answer(
    control: &Control,
    incoming: &Incoming,
    scope: Option<&str>,
    id: &str,
) -> Option<Outgoing> {
    let service = incoming.service;
    let refuse = |refusal: &Refusal| refused(service, refusal, None, id);
    match scope {
        None if incoming.action != "AssumeRoleWithWebIdentity" => {
            return Some(refuse(&Refusal::new(
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            )));
        }
        Some(scope) if scope != service.scope() => {
            return Some(refuse(&Refusal::new(
                "SignatureDoesNotMatch",
                format!(
                    "Credential should be scoped to correct service: '{}'.",
                    service.scope()
                ),
            )));
        }
        _ => {}
    }
    let fault = control.faults.meet(service.scope(), &incoming.action);
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.after) {
        return injected(service, fault, id);
    }
    let reads = ["Describe", "List", "Get", "AssumeRole"];
    let reading = reads
        .iter()
        .any(|prefix| incoming.action.starts_with(prefix));
    let mut outcome = None;
    control.state.update(|state, now| {
        let answered = carry_out(incoming, state, now, id);
        let changed = answered.is_ok() && !reading;
        outcome = Some(answered);
        changed
    });
    if let Some(fault) = fault {
        return injected(service, &fault, id);
    }
    outcome.map(|answered| answered.unwrap_or_else(|refusal| refuse(&refusal)))
}

fn carry_out(incoming: &Incoming, state: &mut State, now: Timestamp, id: &str) -> Answer<Outgoing> {
    let action = &incoming.action;
    let unknown = || {
        warn!(service = incoming.service.scope(), action, "unknown action");
        incoming.service.unknown_action(action)
    };
    match &incoming.content {
        Content::Form(params) => {
            let input = params.root();
            let answered = match incoming.service {
                Service::Ec2 => ec2::handle(action, &input, state, now),
                Service::Sts => sts::handle(action, &input, state, now),
                _ => elb::handle(action, &input, state, now),
            };
            let content = answered.ok_or_else(unknown)??;
            Ok(Outgoing::ok(form_answer(
                incoming.service,
                action,
                content,
                id,
            )))
        }
        Content::Json(body) => {
            let answered = acm::handle(action, body, state, now).ok_or_else(unknown)??;
            Ok(Outgoing::ok(answered.to_string()))
        }
        Content::Rest(request, _) => {
            let request = request.as_ref().ok_or_else(unknown)?;
            let done = route53::handle(request, state, now)?;
            let mut xml = Xml::default();
            let content = done.xml.into_text();
            xml.root(
                &format!("{action}Response"),
                Service::Route53.namespace(),
                |xml| {
                    xml.embed(&content);
                },
            );
            Ok(Outgoing {
                status: done.status,
                location: done.location,
                ..Outgoing::ok(document(xml))
            })
        }
    }
}

/// The envelope of awsQuery (with a result element) or ec2Query (without).
fn form_answer(service: Service, action: &str, content: Xml, id: &str) -> String {
    let content = content.into_text();
    let mut xml = Xml::default();
    xml.root(&format!("{action}Response"), service.namespace(), |xml| {
        if service == Service::Ec2 {
            xml.leaf("requestId", id).embed(&content);
            return;
        }
        xml.nest(&format!("{action}Result"), |xml| {
            xml.embed(&content);
        });
        xml.nest("ResponseMetadata", |xml| {
            xml.leaf("RequestId", id);
        });
    });
    document(xml)
}

impl Outgoing {
    fn ok(body: String) -> Self {
        Self {
            status: 200,
            body,
            location: None,
            code: None,
        }
    }
}

fn refused(service: Service, refusal: &Refusal, status: Option<u16>, id: &str) -> Outgoing {
    let status = status.unwrap_or_else(|| service.status(&refusal.code));
    Outgoing {
        status,
        body: service.error_body(refusal, status, id),
        location: None,
        code: Some(refusal.code.to_string()),
    }
}

fn injected(service: Service, fault: &Fault, id: &str) -> Option<Outgoing> {
    if fault.code == CONNECTION_RESET {
        return None;
    }
    let text = match fault.code.as_str() {
        "Throttling" | "ThrottlingException" => "Rate exceeded",
        "RequestLimitExceeded" => "Request limit exceeded.",
        _ => "A fault on demand",
    };
    let refusal = Refusal::new(fault.code.clone(), text);
    Some(refused(service, &refusal, fault.status, id))
}

fn respond(service: Service, outgoing: Outgoing, id: &str) -> Response {
    let mut response = Response::builder()
        .status(outgoing.status)
        .header("content-type", service.content_type())
        .header("x-amzn-requestid", id);
    if let Some(location) = outgoing.location {
        response = response.header("location", location);
    }
    response
        .body(Body::from(outgoing.body))
        .unwrap_or_else(|_| {
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer cannot be written",
            )
        })
}

/// An answer that breaks off: the client sees a connection that was cut.
fn cut() -> Response {
    let broken = futures::stream::once(async {
        Err::<Bytes, std::io::Error>(std::io::ErrorKind::ConnectionReset.into())
    });
    let mut response = Response::new(Body::from_stream(broken));
    response.headers_mut().insert("content-length", 1024.into());
    response
}

/// A request to a service that is not simulated: an explicit error, since SDKs
/// try again after anything that looks like an outage.
fn unknown(
    control: &Control,
    (number, started): (u64, f64),
    headers: &HeaderMap,
    uri: &Uri,
    id: &str,
) -> Response {
    let service = scope_of(headers, uri.query()).unwrap_or_else(|| "unknown".to_owned());
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    warn!(
        service,
        path = uri.path(),
        target,
        "request to a service that is not simulated"
    );
    let form = if target.is_some() {
        Service::Acm
    } else {
        Service::Elb
    };
    let action = target.unwrap_or_else(|| uri.path()).to_owned();
    let outgoing = refused(form, &form.unknown_action(&action), Some(400), id);
    control.journal.record(Call {
        number,
        started,
        ended: control.journal.now(),
        service,
        action,
        status: outgoing.status,
        code: outgoing.code.clone(),
        parameters: BTreeMap::new(),
    });
    respond(form, outgoing, id)
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// A request id.
fn uuid() -> String {
    let bytes = hex::encode(rand::random::<u128>().to_be_bytes());
    format!(
        "{}-{}-4{}-a{}-{}",
        &bytes[..8],
        &bytes[8..12],
        &bytes[13..16],
        &bytes[17..20],
        &bytes[20..]
    )
}
