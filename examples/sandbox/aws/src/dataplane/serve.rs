//! One request at a listener: decided by the rules, answered or passed on.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::http::header::{CONNECTION, HOST, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::answer::Answer;
use super::authentication::{Learnt, Question, ask};
use super::course::{Arrival, Course};
use super::forwarded::{TRACE_ID, drop_hop_by_hop, towards_target, upgrade};
use super::route::{Choosing, Decision, Destination, decide};
use super::upstream::{Failure, Transport, exchange, guarded};

/// What a client gets.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Answers one request that came to a listener, and logs it.
pub(crate) async fn serve(
    shared: Shared,
    arrival: Arc<Arrival>,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let (parts, body) = request.into_parts();
    let mut open = shared.requests.begin(arrival.clone(), &parts);
    let reply = answer(&shared, &arrival, parts, body, &mut open.course).await;
    open.answered(&reply);
    Ok(reply)
}

/// Decides about a request and carries it out; the one way of real and of
/// traced requests.
pub(crate) async fn answer<B>(
    shared: &Shared,
    arrival: &Arrival,
    parts: Parts,
    body: B,
    course: &mut Course,
) -> Reply
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let keep_alive = keeps_alive(&parts);
    let mut known = None;
    let decided = loop {
        let decided = shared.state.of_arn(&arrival.listener).read(|state| {
            let choosing = Choosing {
                now: shared.state.now(),
                balance: &shared.balance,
                pins: &shared.pins,
                seals: &shared.seals,
                known: known.as_ref(),
            };
            let draw = |below: u32| rand::random_range(0..below);
            match decide(state, arrival, &parts, choosing, draw, course) {
                Decision::Answer(answer) => Decided::Answer(answer),
                Decision::Ask(question) => Decided::Ask(question),
                Decision::Forward(to) => {
                    // Under the lock: the target is registered at this moment.
                    let departed = shared.departures.watch(&to.group, &to.target);
                    Decided::Forward(to, departed)
                }
            }
        });
        match decided {
            Decided::Answer(answer) => break Err(answer),
            Decided::Forward(to, departed) => break Ok((to, departed)),
            Decided::Ask(question) => match ask(shared, question).await {
                Learnt::Answer(answer) => break Err(answer),
                Learnt::Known(learnt) => known = Some(learnt),
            },
        }
    };
    let answered = match decided {
        Err(answer) => Err(answer),
        Ok((to, departed)) => forward(shared, parts, body, *to, departed, course).await,
    };
    match answered {
        Ok(reply) => {
            course.note(|trace| "the target has answered".clone_into(&mut trace.reason));
            reply
        }
        Err(answer) => {
            course.note(|trace| trace.reason = answer.reason.to_string());
            course.reason = Some(answer.reason.clone());
            answer.into_response(keep_alive).map(|body| {
                Full::new(body)
                    .map_err(|never| match never {})
                    .boxed_unsync()
            })
        }
    }
}

/// What was decided while nothing else could change.
enum Decided {
    Answer(Answer),
    Ask(Question),
    Forward(Box<Destination>, CancellationToken),
}

fn keeps_alive(parts: &Parts) -> bool {
    let says = |option: &str| {
        parts
            .headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.to_ascii_lowercase().contains(option))
    };
    parts.version >= Version::HTTP_11 && !says("close")
}

async fn forward<B>(
    shared: &Shared,
    mut parts: Parts,
    body: B,
    to: Destination,
    departed: CancellationToken,
    course: &mut Course,
) -> Result<Reply, Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    towards_target(&mut parts, to.ingress, to.processing).map_err(|status| {
        let reason = if status == 463 {
            "X-Forwarded-For has more than 30 addresses"
        } else {
            "a header for the target would not be valid"
        };
        Answer::error(status.as_u16(), reason)
    })?;
    if let Some(host) = to.rewritten.host {
        parts.headers.insert(HOST, host);
    }
    if let Some(url) = to.rewritten.url {
        parts.uri = url;
    }
    for vouched in to.vouched {
        vouched.tell(&mut parts.headers);
    }
    course.trace_id = text(parts.headers.get(&TRACE_ID));
    parts.uri = origin_form(&parts.uri)
        .ok_or_else(|| Answer::error(400, "the request target is not valid"))?;
    parts.version = Version::HTTP_11;
    let client = upgrade(&parts.headers).and_then(|_| parts.extensions.remove::<OnUpgrade>());

    let Some(socket) = shared.addresses.of(&to.target.id, to.target.port) else {
        return Err(Answer::error(
            502,
            "the target refuses: no socket is known for it (POST /_sim/addresses tells)",
        ));
    };
    course.note(|trace| {
        if let Some(target) = &mut trace.target {
            target.socket = Some(socket);
        }
    });
    let transport = if to.tls {
        Transport::Tls
    } else {
        Transport::Plain
    };
    let request = Request::from_parts(parts, body);
    course.sent = Some(Instant::now());
    let answer = tokio::select! {
        answer = exchange(socket, transport, request, to.idle) => answer,
        () = departed.cancelled() => Err(Failure::Departed),
    };
    let mut answer = answer.map_err(|failure| {
        tracing::debug!(target = course.target, %failure, "no answer from target");
        Answer::error(failure.status(), failure.tell())
    })?;
    course.answered = Some(Instant::now());
    course.target_status = Some(answer.status().as_u16());

    let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    drop_hop_by_hop(answer.headers_mut());
    to.bound.add_to(answer.headers_mut());
    for cookie in to.cookies {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    if switched {
        let Some(client) = client else {
            return Err(Answer::error(
                502,
                "the target has switched protocols, which the client did not ask for",
            ));
        };
        let server = hyper::upgrade::on(&mut answer);
        let carrying = tunnel(client, server, departed.clone(), shared.stop.clone());
        let outstanding = to.outstanding;
        shared.tasks.spawn(async move {
            carrying.await;
            drop(outstanding);
        });
        return Ok(answer.map(|body| guarded(body, departed, to.idle, ())));
    }
    Ok(answer.map(|body| guarded(body, departed, to.idle, to.outstanding)))
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn origin_form(uri: &Uri) -> Option<Uri> {
    uri.path_and_query()
        .map_or(Some(Uri::default()), |path| path.as_str().parse().ok())
}

/// Carries bytes both ways after a switch of protocols, until one side ends,
/// the target leaves its group or the plane stops.
async fn tunnel(
    client: OnUpgrade,
    server: OnUpgrade,
    departed: CancellationToken,
    stop: CancellationToken,
) {
    let carry = async {
        let (client, server) = tokio::try_join!(client, server)?;
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .map_err(anyhow::Error::from)
    };
    tokio::select! {
        carried = carry => {
            if let Err(error) = carried {
                tracing::debug!(%error, "switched connection broke");
            }
        }
        () = departed.cancelled() => {}
        () = stop.cancelled() => {}
    }
}
