//! AWS's protocols on one port: awsQuery, ec2Query, REST-XML and JSON 1.1.
//!
//! The wire tells the service, decodes parameters by the model of the
//! operation, maps them to calls on the state, and puts answers and refusals
//! into the form of the service. It holds no state of its own.

mod acm;
mod answers;
mod cbor;
mod cognito;
mod complaint;
mod credentials;
mod ec2;
mod elb;
#[cfg(test)]
mod fuzz;
mod iam;
pub(crate) mod incoming;
mod model;
mod outgoing;
mod page;
mod params;
#[cfg(test)]
mod properties;
mod route53;
pub(crate) mod service;
mod shield;
mod signature;
mod stray;
mod sts;
mod tagging;
mod waf_regional;
mod wafv2;
mod web_token;
mod xml;

use std::{cell::Cell, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State as Extract,
    http::{Request, StatusCode, request::Parts},
    response::Response,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::{debug, error, warn};

use self::{
    credentials::{Clocks, authenticate},
    incoming::{Incoming, identify},
    model::{Operation, decode},
    outgoing::{Outgoing, cut, envelope, plain, refused, slowly, written},
    params::{Input, Params},
    service::Service,
    signature::{Signature, Signed},
    stray::Stray,
    sts::Calling,
    xml::Xml,
};
use crate::{
    SharedState, Timing,
    authorization::authorize,
    callers::{Caller, Callers},
    control::Control,
    faults::{CONNECTION_RESET, Fault},
    journal::{Call, kept},
    state::{Answer, Refusal, State, lag},
    throttle::Charged,
};

/// Larger bodies are refused; AWS's own limits are far below.
const MAX_BODY: usize = 4 << 20;

/// What an operation answers.
enum Answered {
    /// In awsQuery, ec2Query and REST-XML.
    Xml(Xml),
    /// In JSON 1.1.
    Json(Value),
}

/// A request that is one to AWS.
struct Arrived {
    /// Its number and time in the journal, and the wall's time.
    noted: (u64, f64, Timestamp),
    /// Its request id.
    id: String,
    parts: Parts,
    body: Bytes,
    signature: Option<Signature>,
    incoming: Incoming,
    fault: Option<Fault>,
}

/// Serves a request to AWS.
pub async fn serve(Extract(control): Extract<Control>, request: Request<Body>) -> Response {
    let (number, started) = control.journal.begin();
    let at = Timestamp::now();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    let id = uuid();
    let signature = Signature::of(&parts.headers, parts.uri.query());
    let scope = signature
        .as_ref()
        .map(|signature| signature.service.as_str());
    let incoming = match identify(&parts.method, &parts.uri, &parts.headers, &body, scope) {
        Ok(incoming) => incoming,
        Err(stray) => return turned_away(&control, (number, started, at), *stray, id),
    };
    let fault = control
        .faults
        .meet(incoming.service.scope(), &incoming.action);
    let is_held = fault.as_ref().is_some_and(|fault| fault.held);
    let arrived = Arrived {
        noted: (number, started, at),
        id,
        parts,
        body,
        signature,
        incoming,
        fault,
    };
    if !is_held {
        return served(control, arrived).await;
    }
    // A task of its own goes on when the connection, and this with it, is gone.
    let late = tokio::spawn(async move {
        let (service, action) = (arrived.incoming.service, &arrived.incoming.action);
        if !control.faults.hold(number, service.scope(), action).await {
            return cut();
        }
        let faults = Arc::clone(&control.faults);
        let response = served(control, arrived).await;
        faults.carried_out(number);
        response
    });
    late.await.unwrap_or_else(|_| cut())
}

/// Carries a request out, notes it and answers.
async fn served(control: Control, arrived: Arrived) -> Response {
    let Arrived {
        noted: (number, started, at),
        id,
        parts,
        body,
        signature,
        incoming,
        fault,
    } = arrived;
    let request = Signed {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
        body: &body,
    };
    let (delay, slow_body) = fault
        .as_ref()
        .map_or((0, 0), |fault| (fault.delay_ms, fault.body_ms));
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let denied = Cell::new(None);
    let (caller, outcome) = match authenticated(&control, &incoming, signature.as_ref(), &request) {
        Ok(caller) => {
            let signature = signature.as_ref();
            let outcome = answer(&control, &incoming, signature, &caller, fault, &denied, &id);
            (Some(caller), outcome)
        }
        Err(refusal) => (None, Some(refused(incoming.service, &refusal, None, &id))),
    };
    let denied = denied.into_inner();
    let latency = control.state.read(|state| state.timing.latency_ms);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let call = Call {
        number,
        at,
        started,
        ended: control.journal.now(),
        service: incoming.service.scope().to_owned(),
        action: incoming.action.clone(),
        status: outcome.as_ref().map_or(0, |outgoing| outgoing.status),
        code: match &outcome {
            Some(outgoing) => outgoing.code.clone(),
            None => Some(CONNECTION_RESET.to_owned()),
        },
        caller: caller.map(|caller| caller.arn),
        request_id: id.clone(),
        denied,
        answer: outcome
            .as_ref()
            .filter(|_| !incoming.is_read() && !incoming.service.has_secrets())
            .map(|outgoing| kept(&outgoing.body)),
        parameters: incoming.shown.clone(),
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
        Some(outgoing) if slow_body > 0 => slowly(written(&incoming, outgoing, &id), slow_body),
        Some(outgoing) => written(&incoming, outgoing, &id),
        None => cut(),
    }
}

/// Who calls, or why it is not let in.
fn authenticated(
    control: &Control,
    incoming: &Incoming,
    signature: Option<&Signature>,
    request: &Signed,
) -> Result<Caller, Refusal> {
    let service = incoming.service;
    let operation = service.model().operations.get(&incoming.action);
    let unsigned = operation.is_some_and(|operation| operation.unsigned);
    let clocks = Clocks {
        wall: Timestamp::now(),
        simulated: control.state.now(),
    };
    authenticate(
        &control.callers,
        service,
        signature,
        request,
        unsigned,
        clocks,
    )
}

/// Answers a request; `None` when the answer is to be lost.
fn answer(
    control: &Control,
    incoming: &Incoming,
    signature: Option<&Signature>,
    caller: &Caller,
    fault: Option<Fault>,
    denied: &Cell<Option<String>>,
    id: &str,
) -> Option<Outgoing> {
    let service = incoming.service;
    let refuse = |refusal: &Refusal| refused(service, refusal, None, id);
    let operation = service.model().operations.get(&incoming.action);
    // A fault that only makes the call slow has been met.
    let failing = fault.and_then(|fault| Some((fault.code.clone()?, fault)));
    if let Some((code, fault)) = failing.as_ref().filter(|(_, fault)| !fault.after) {
        return injected(service, code, fault, id);
    }
    let state = place(control, service, signature, caller);
    let charged = Charged {
        account: &state.place().account,
        region: &state.place().region,
        service: service.scope(),
        action: &incoming.action,
        unfiltered: incoming.is_unfiltered(),
        changes: incoming.changes(),
    };
    if let Err(refusal) = control.throttle.take(charged, control.journal.now()) {
        return Some(refuse(&refusal));
    }
    let reading = incoming.is_read();
    let calling = Calling {
        caller,
        callers: &control.callers,
        denied,
    };
    let mut outcome = None;
    let mut change = |state: &mut State, now| {
        let answered = carry_out(incoming, operation, &calling, state, now, id);
        let changed = answered.is_ok() && !reading;
        outcome = Some(answered);
        changed
    };
    if service.looks_elsewhere() {
        state.update_with_others(&mut change);
    } else {
        state.update(&mut change);
    }
    if service == Service::Iam && !reading {
        state.share_server_certificates();
    }
    if let Some((code, fault)) = failing {
        return injected(service, &code, &fault, id);
    }
    outcome.map(|answered| answered.unwrap_or_else(|refusal| refuse(&refusal)))
}

/// The account and region that a call is for.
fn place(
    control: &Control,
    service: Service,
    signature: Option<&Signature>,
    caller: &Caller,
) -> SharedState {
    let home = control.state.home();
    let region = signature
        .map(|signature| signature.region.as_str())
        .filter(|region| !service.is_global() && !region.is_empty())
        .unwrap_or(&home.place().region)
        .to_owned();
    home.at(&caller.account, &region)
}

fn carry_out(
    incoming: &Incoming,
    operation: Option<&Operation>,
    calling: &Calling,
    state: &mut State,
    now: Timestamp,
    id: &str,
) -> Answer<Outgoing> {
    let (service, action) = (incoming.service, incoming.action.as_str());
    let unknown = || {
        warn!(service = service.scope(), action, "unknown action");
        service.unknown_action(action)
    };
    if action.is_empty() {
        return Err(Refusal::new(
            "MissingAction",
            "The request is missing an action or a required parameter.",
        ));
    }
    if let Some(version) = &incoming.other_version {
        warn!(
            service = service.scope(),
            action, version, "unknown version"
        );
        return Err(service.unknown_version(action, version));
    }
    let operation = operation.ok_or_else(unknown)?;
    let tree = match decode::decode(service.model(), operation, &incoming.content) {
        Err(malformed) => Err(Service::malformed(&malformed)),
        Ok((tree, violations)) => match service.complain(&violations) {
            Some(refusal) => Err(refusal),
            None => Ok(tree),
        },
    };
    // Whether there is such an action comes before what is wrong with its call.
    let tree = match tree {
        Err(_) if !exists(service, action) => return Err(unknown()),
        other => other?,
    };
    let caller = calling.caller;
    if let Err(denial) = authorize(caller, service.scope(), action, &tree, state) {
        calling.denied.set(Some(denial.text()));
        return Err(service.denied(&denial));
    }
    let params = Params::new(service, action, tree);
    let answer = |state: &mut State| {
        let input = params.root();
        dispatch(service, action, &input, calling, state, now)
    };
    let answered = if state.lags.are_off() {
        answer(state)
    } else {
        let call = lag::Call::new(service.scope(), action, params.tree(), incoming.is_read());
        state.with_lags(&call, now, answer)
    };
    let answered = answered.ok_or_else(unknown)??;
    let outgoing = envelope(service, action, operation, answered, id);
    // What a client could not read must not pass a test.
    if cfg!(debug_assertions) {
        let wrong = model::answer::check(service.model(), operation, &outgoing.body);
        if !wrong.is_empty() {
            let wrong = format!(
                "{action} answers what is not in its model: {}",
                wrong.join("; ")
            );
            error!(wrong);
            return Err(Refusal::new("InternalFailure", wrong));
        }
    }
    Ok(outgoing)
}

/// Whether an action is carried out at all: tried without parameters, in an
/// account that nobody has.
fn exists(service: Service, action: &str) -> bool {
    let callers = Callers::new("000000000000", "us-east-1", false);
    let mut state = State::new("000000000000", "us-east-1", Timing::default());
    let calling = Calling {
        caller: &callers.root(),
        callers: &callers,
        denied: &Cell::default(),
    };
    let nothing = Params::new(service, action, json!({}));
    let now = Timestamp::UNIX_EPOCH;
    dispatch(service, action, &nothing.root(), &calling, &mut state, now).is_some()
}

/// Carries out an action; `None` when there is no such action.
fn dispatch(
    service: Service,
    action: &str,
    input: &Input,
    calling: &Calling,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Answered>> {
    let xml = |answer: Answer<Xml>| answer.map(Answered::Xml);
    let json = |answer: Answer<Value>| answer.map(Answered::Json);
    match service {
        Service::Elb => elb::handle(action, input, state, now).map(xml),
        Service::Ec2 => ec2::handle(action, input, state, now).map(xml),
        Service::Sts => sts::handle(action, input, calling, state, now).map(xml),
        Service::Route53 => route53::handle(action, input, state, now).map(xml),
        Service::Acm => acm::handle(action, input, state, now).map(json),
        Service::WafV2 => wafv2::handle(action, input, state, now).map(json),
        Service::WafRegional => waf_regional::handle(action, input, state, now).map(json),
        Service::Shield => shield::handle(action, input, state, now).map(json),
        Service::Tagging => tagging::handle(action, input, calling, state, now).map(json),
        Service::Iam => iam::handle(action, input, state, now).map(xml),
        Service::Cognito => cognito::handle(action, input, state, now).map(json),
    }
}

fn injected(service: Service, code: &str, fault: &Fault, id: &str) -> Option<Outgoing> {
    if code == CONNECTION_RESET {
        return None;
    }
    let text = match code {
        "Throttling" | "ThrottlingException" => "Rate exceeded",
        "RequestLimitExceeded" => "Request limit exceeded.",
        _ => "A fault on demand",
    };
    let text = fault.message.as_deref().unwrap_or(text);
    let refusal = Refusal::new(code.to_owned(), text);
    Some(refused(service, &refusal, fault.status, id))
}

/// Refuses a request to a service that is not simulated, and logs it.
fn turned_away(
    control: &Control,
    (number, started, at): (u64, f64, Timestamp),
    stray: Stray,
    id: String,
) -> Response {
    warn!(
        service = stray.service,
        action = stray.action,
        "request to a service that is not simulated"
    );
    let response = stray.answer(&id);
    control.journal.record(Call {
        number,
        at,
        started,
        ended: control.journal.now(),
        service: stray.service,
        action: stray.action,
        status: stray::STATUS,
        code: Some(stray.refusal.code.into_owned()),
        caller: None,
        request_id: id,
        denied: None,
        parameters: stray.shown,
        answer: None,
    });
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
