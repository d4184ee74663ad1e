//! One request at a listener: decided by the rules, answered or passed on.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, SERVER, SET_COOKIE, TE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::activity::{Activity, Watched};
use super::answer::Answer;
use super::authentication::{Learnt, Question, ask};
use super::checks::closes;
use super::course::{Arrival, Course};
use super::forwarded::{TRACE_ID, towards_target};
use super::hop_by_hop::{drop_hop_by_hop, upgrade};
use super::listener_headers::AnswerHeaders;
use super::route::{Choosing, Decision, Destination, decide, listener_of};
use super::screen::{Held, Turn};
use super::upstream::{Failure, Way, exchange, guarded, settled};
use crate::chance::Purpose;

/// What a client gets.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The longest body of a request that a function takes.
const LONGEST_FOR_FUNCTION: usize = 1024 * 1024;

/// Answers one request that came to a listener, and logs it.
pub(crate) async fn serve(
    shared: Shared,
    arrival: Arc<Arrival>,
    turn: Turn,
    request: Request<Incoming>,
) -> Result<Response<Held<UnsyncBoxBody<Bytes, io::Error>>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(turn.screened.clone());
    let http1 = parts.version < Version::HTTP_2;
    let mut open = shared.requests.begin(arrival.clone(), &parts);
    let mut reply = answer(&shared, &arrival, parts, body, &mut open.course).await;
    let switched = reply.status() == StatusCode::SWITCHING_PROTOCOLS;
    turn.decide(switched);
    if http1 && !switched {
        let state = shared.state.of_arn(&arrival.listener);
        let suspicious = !turn.screened.deviations.is_empty();
        let ends = turn.is_last()
            || suspicious
                && state.read(|state| {
                    let balancer = state.load_balancers.get(&arrival.balancer);
                    balancer.is_none_or(|balancer| closes(balancer, &turn.screened))
                });
        if ends {
            let headers = reply.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    open.answered(&reply);
    Ok(reply.map(|body| Held::new(body, turn)))
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
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let keep_alive = keeps_alive(&parts);
    let headers = shared.state.of_arn(&arrival.listener).read(|state| {
        let (_, listener) = listener_of(state, &arrival.listener)?;
        Some(AnswerHeaders::of(listener))
    });
    let headers = headers.unwrap_or_default();
    let mut known = None;
    let decided = loop {
        let decided = shared.state.of_arn(&arrival.listener).read(|state| {
            let choosing = Choosing {
                now: shared.state.now(),
                balance: &shared.balance,
                pins: &shared.pins,
                seals: &shared.seals,
                rates: &shared.rates,
                known: known.as_ref(),
            };
            let draw = |below| shared.state.chance().below_u32(Purpose::Target, below);
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
    let mut reply = match answered {
        Ok(reply) => {
            course.note(|trace| "the target has answered".clone_into(&mut trace.reason));
            reply
        }
        Err(answer) => {
            course.note(|trace| trace.reason = answer.reason.to_string());
            course.reason = Some(answer.reason.clone());
            let mut own = answer.into_response(keep_alive);
            if !headers.server {
                own.headers_mut().remove(SERVER);
            }
            own.map(|body| {
                Full::new(body)
                    .map_err(|never| match never {})
                    .boxed_unsync()
            })
        }
    };
    headers.add(reply.headers_mut());
    reply
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
    // Over HTTP/2 there is nothing to be said about it.
    parts.version == Version::HTTP_11 && !says("close")
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
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let client_version = parts.version;
    let trailers = takes_trailers(&parts.headers);
    towards_target(&mut parts, to.ingress, &to.processing).map_err(|status| {
        Answer::error(
            status.as_u16(),
            "a header for the target would not be valid",
        )
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
    if to.function {
        return Err(for_function(&parts, body).await);
    }
    let http2 = to.spoken.is_http2();
    let uri = if http2 {
        absolute_form(&mut parts, to.tls)
    } else {
        origin_form(&parts.uri)
    };
    parts.uri = uri.ok_or_else(|| Answer::error(400, "the request target is not valid"))?;
    parts.version = if http2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    if http2 && trailers {
        // Of all that speaks of one connection only, HTTP/2 has this.
        parts
            .headers
            .insert(TE, HeaderValue::from_static("trailers"));
    }
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
    let way = Way {
        socket,
        tls: to.tls,
        http2,
    };
    let request = Request::from_parts(parts, body);
    course.sent = Some(Instant::now());
    let answer = tokio::select! {
        answer = exchange(way, request, to.idle) => answer,
        () = departed.cancelled() => Err(Failure::Departed),
    };
    let failed = |failure: Failure, target: Option<&String>| {
        tracing::debug!(target, %failure, "no answer from target");
        Answer::error(failure.status(), failure.tell())
    };
    let (mut answer, activity) =
        answer.map_err(|failure| failed(failure, course.target.as_ref()))?;
    course.answered = Some(Instant::now());
    course.target_status = Some(answer.status().as_u16());

    // It is under way until the answer has gone, or what comes after a switch.
    let mut outstanding = Some(to.outstanding);
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
        let carrying = tunnel(
            client,
            server,
            to.idle,
            departed.clone(),
            shared.stop.clone(),
        );
        let outstanding = outstanding.take();
        shared.tasks.spawn(async move {
            carrying.await;
            drop(outstanding);
        });
    }
    *answer.version_mut() = client_version;
    let (parts, body) = answer.into_parts();
    if client_version == Version::HTTP_2 && body.is_end_stream() {
        // A call of gRPC that fails ends with its headers, not with an empty body.
        let body = Empty::new().map_err(|never| match never {});
        return Ok(Response::from_parts(parts, body.boxed_unsync()));
    }
    let length = body.size_hint();
    let body = guarded(body, departed, activity, to.idle, outstanding);
    let body = settled(body, length).await;
    let body = body.map_err(|failure| failed(failure, course.target.as_ref()))?;
    Ok(Response::from_parts(parts, body))
}

/// Whether the client takes the trailers of an answer.
fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TE).iter();
    let mut options = lines
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    options.any(|option| option.trim().eq_ignore_ascii_case("trailers"))
}

/// What comes of a request to a function, as far as it can come here.
async fn for_function<B>(parts: &Parts, body: B) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let length = parts.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    let long = length.is_some_and(|length| length > LONGEST_FOR_FUNCTION);
    if long
        || Limited::new(body, LONGEST_FOR_FUNCTION)
            .collect()
            .await
            .is_err()
    {
        return Answer::error(413, "the body for a function is longer than 1 MB");
    }
    Answer::error(
        502,
        "the simulator runs no functions, so that they all fail",
    )
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn origin_form(uri: &Uri) -> Option<Uri> {
    uri.path_and_query()
        .map_or(Some(Uri::default()), |path| path.as_str().parse().ok())
}

/// The request target for HTTP/2, where the host stands in it.
fn absolute_form(parts: &mut Parts, tls: bool) -> Option<Uri> {
    let host = parts.headers.remove(HOST)?;
    let uri = Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(host.as_bytes());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    uri.path_and_query(path).build().ok()
}

/// Carries bytes both ways after a switch of protocols, until one side ends,
/// both are silent for as long as `idle`, the target leaves its group or the
/// plane stops.
async fn tunnel(
    client: OnUpgrade,
    server: OnUpgrade,
    idle: Duration,
    departed: CancellationToken,
    stop: CancellationToken,
) {
    let activity = Activity::default();
    let carry = async {
        let (client, server) = tokio::try_join!(client, server)?;
        let watched = |side| Watched::new(TokioIo::new(side), activity.clone());
        let (mut client, mut server) = (watched(client), watched(server));
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
        () = activity.ceased(idle) => {}
        () = departed.cancelled() => {}
        () = stop.cancelled() => {}
    }
}
