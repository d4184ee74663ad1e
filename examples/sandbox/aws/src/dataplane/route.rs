//! What is to happen with a request, by the rules as the account holds them.
//!
//! Pure: the account and the request come in, a decision goes out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Method, Version};

use super::answer::{Answer, RedirectFrom};
use super::condition::met;
use super::forwarded::{ForwardedFor, Ingress, Processing, authority, without_port};
use super::targets::{Rotation, candidates};
use crate::state::{
    ActionKind, Forward, Listener, LoadBalancer, Protocol, State, TargetGroup, TargetKey, arn,
};

/// What happens with one request.
#[derive(Debug)]
pub(crate) enum Decision {
    /// The load balancer answers itself.
    Answer(Answer),
    /// A target answers.
    Forward(Destination),
}

/// The target of one request and what is to be known on the way there.
#[derive(Debug)]
pub(crate) struct Destination {
    /// ARN of the target group.
    pub(crate) group: String,
    pub(crate) target: TargetKey,
    /// Whether the target speaks TLS.
    pub(crate) tls: bool,
    /// Where the request came in, for the headers that tell the target.
    pub(crate) ingress: Ingress,
    pub(crate) processing: Processing,
    /// For how long the target may be silent.
    pub(crate) idle: Duration,
}

/// Decides for a request that came from `peer` to a listener.
///
/// `draw` gives a number below its argument and chooses among weighted groups;
/// `rotation` remembers whose turn it is within a group.
pub(crate) fn decide(
    state: &State,
    listener: &str,
    parts: &Parts,
    peer: SocketAddr,
    rotation: &Rotation,
    draw: impl FnOnce(u32) -> u32,
) -> Decision {
    let found = arn::load_balancer_of(listener)
        .and_then(|balancer| state.load_balancers.get(&balancer))
        .and_then(|balancer| {
            let listener = balancer.listeners.values().find(|it| it.arn == listener)?;
            Some((balancer, listener))
        });
    let Some((balancer, listener)) = found else {
        // Deleted a moment ago; its socket is about to close.
        return Decision::Answer(Answer::error(503));
    };
    if parts.method == Method::TRACE {
        return Decision::Answer(Answer::error(405));
    }
    let host = authority(parts);
    if host.is_empty() && parts.version >= Version::HTTP_11 {
        return Decision::Answer(Answer::error(400));
    }
    match action(listener, parts, peer.ip()) {
        Some(ActionKind::FixedResponse(response)) => Decision::Answer(Answer::fixed(response)),
        Some(ActionKind::Redirect(redirect)) => {
            let from = RedirectFrom {
                scheme: scheme(listener.protocol),
                host: without_port(host),
                port: listener.port,
                uri: &parts.uri,
            };
            Decision::Answer(Answer::redirect(redirect.status, from.location(redirect)))
        }
        Some(ActionKind::Forward(forward)) => {
            let group = weighted(forward, draw).and_then(|group| state.target_groups.get(group));
            match group {
                Some(group) => {
                    let ingress = Ingress {
                        peer,
                        port: listener.port,
                        scheme: scheme(listener.protocol),
                    };
                    towards(state, balancer, group, ingress, rotation)
                }
                None => Decision::Answer(Answer::error(503)),
            }
        }
        // Nobody is let through unseen while who asks cannot be looked at here.
        Some(_) | None => Decision::Answer(Answer::error(500)),
    }
}

fn scheme(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Https {
        "https"
    } else {
        "http"
    }
}

/// The first action of the first rule whose conditions are all met, else of
/// the default ones. It answers itself, or looks at who asks.
fn action<'a>(listener: &'a Listener, parts: &Parts, peer: IpAddr) -> Option<&'a ActionKind> {
    let actions = listener
        .rules
        .values()
        .find(|rule| {
            rule.conditions
                .iter()
                .all(|condition| met(condition, parts, peer))
        })
        .map_or(&listener.default_actions, |rule| &rule.actions);
    actions.first().map(|action| &action.kind)
}

/// The group that gets the request; a group of weight 0 gets nothing.
fn weighted(forward: &Forward, draw: impl FnOnce(u32) -> u32) -> Option<&str> {
    let groups = &forward.target_groups;
    if let [only] = groups.as_slice() {
        return Some(&only.arn);
    }
    let sum = groups.iter().map(|group| group.weight).sum();
    if sum == 0 {
        return None;
    }
    let mut left = draw(sum);
    groups
        .iter()
        .find(|group| {
            let mine = left < group.weight;
            left = left.saturating_sub(group.weight);
            mine
        })
        .map(|group| group.arn.as_str())
}

fn towards(
    state: &State,
    balancer: &LoadBalancer,
    group: &TargetGroup,
    ingress: Ingress,
    rotation: &Rotation,
) -> Decision {
    if matches!(group.protocol_version.as_deref(), Some("HTTP2" | "GRPC")) {
        // Clients speak HTTP/1.1 here.
        return Decision::Answer(Answer::error(464));
    }
    match rotation.next(&group.arn, &candidates(state, group)) {
        None => Decision::Answer(Answer::error(503)),
        Some(target) => Decision::Forward(Destination {
            group: group.arn.clone(),
            target,
            tls: group.protocol == Some(Protocol::Https),
            ingress,
            processing: processing(balancer),
            idle: idle(balancer),
        }),
    }
}

/// `idle_timeout.timeout_seconds` of a load balancer.
pub(crate) fn idle(balancer: &LoadBalancer) -> Duration {
    let seconds = balancer
        .attributes
        .get("idle_timeout.timeout_seconds")
        .and_then(|value| value.parse().ok())
        .unwrap_or(60);
    Duration::from_secs(seconds)
}

fn processing(balancer: &LoadBalancer) -> Processing {
    let value = |key: &str| balancer.attributes.get(key).map(String::as_str);
    Processing {
        forwarded_for: match value("routing.http.xff_header_processing.mode") {
            Some("preserve") => ForwardedFor::Preserve,
            Some("remove") => ForwardedFor::Remove,
            _ => ForwardedFor::Append,
        },
        client_port: value("routing.http.xff_client_port.enabled") == Some("true"),
        preserve_host: value("routing.http.preserve_host_header.enabled") == Some("true"),
    }
}
