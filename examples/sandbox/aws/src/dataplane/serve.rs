//! One request at a listener: decided by the rules, answered or passed on.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::answer::Answer;
use super::forwarded::{drop_hop_by_hop, towards_target, upgrade};
use super::route::{Decision, Destination, decide};
use super::upstream::{Failure, Transport, exchange, guarded};

/// What a client gets.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Answers one request that came from `peer` to the listener with this ARN.
pub(crate) async fn serve(
    shared: Shared,
    listener: String,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let (parts, body) = request.into_parts();
    let keep_alive = keeps_alive(&parts);
    let decided = shared.state.of_arn(&listener).read(|state| {
        let draw = |below: u32| rand::random_range(0..below);
        match decide(state, &listener, &parts, peer, &shared.rotation, draw) {
            Decision::Answer(answer) => Err(answer),
            Decision::Forward(to) => {
                // Under the lock: the target is registered at this moment.
                let departed = shared.departures.watch(&to.group, &to.target);
                Ok((to, departed))
            }
        }
    });
    let answered = match decided {
        Err(answer) => Err(answer),
        Ok((to, departed)) => forward(&shared, parts, body, to, departed).await,
    };
    Ok(answered.unwrap_or_else(|answer| {
        answer.into_response(keep_alive).map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        })
    }))
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

async fn forward(
    shared: &Shared,
    mut parts: Parts,
    body: Incoming,
    to: Destination,
    departed: CancellationToken,
) -> Result<Reply, Answer> {
    towards_target(&mut parts, to.ingress, to.processing)
        .map_err(|status| Answer::error(status.as_u16()))?;
    parts.uri = origin_form(&parts.uri).ok_or_else(|| Answer::error(400))?;
    parts.version = Version::HTTP_11;
    let client = upgrade(&parts.headers).and_then(|_| parts.extensions.remove::<OnUpgrade>());

    let target = format!("{}:{}", to.target.id, to.target.port);
    let Some(socket) = shared.addresses.of(&to.target.id, to.target.port) else {
        tracing::debug!(target, "no socket is known for this target, so it refuses");
        return Err(Answer::error(502));
    };
    let transport = if to.tls {
        Transport::Tls
    } else {
        Transport::Plain
    };
    let request = Request::from_parts(parts, body);
    let answer = tokio::select! {
        answer = exchange(socket, transport, request, to.idle) => answer,
        () = departed.cancelled() => Err(Failure::Departed),
    };
    let mut answer = answer.map_err(|failure| {
        tracing::debug!(target, %failure, "no answer from target");
        Answer::error(failure.status())
    })?;

    let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    drop_hop_by_hop(answer.headers_mut());
    if switched {
        let Some(client) = client else {
            // Nobody asked for another protocol.
            return Err(Answer::error(502));
        };
        let server = hyper::upgrade::on(&mut answer);
        shared.tasks.spawn(tunnel(
            client,
            server,
            departed.clone(),
            shared.stop.clone(),
        ));
    }
    Ok(answer.map(|body| guarded(body, departed, to.idle)))
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
