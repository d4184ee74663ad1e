//! What is to happen with a request, by the rules as the account holds them.
//!
//! Pure: the account and the request come in, a decision goes out.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::answer::{Answer, RedirectFrom};
use super::authentication::{Known, Looking, Passed, Question, Seals, Stop, callback, gate};
use super::balance::{Balance, Outstanding};
use super::checks;
use super::client_certificate::{judged, told};
use super::condition::{met, seen};
use super::course::{Arrival, AskedListener, ChosenGroup, ChosenTarget, Course, SeenRule};
use super::firewall::{self, Rates, Visitor};
use super::forwarded::{
    ForwardedFor, Ingress, Processing, TLS_CIPHER_SUITE, TLS_VERSION, authority, without_port,
};
use super::listener_headers::request_header;
use super::pins::{self, Bound, Pins};
use super::protocol::Spoken;
use super::rewrite::{Rewritten, rewrite};
use super::targets::{Candidates, candidates};
use super::tls;
use super::vouched::Vouched;
use super::zones::zone_of_node;
use crate::state::{
    Action, ActionKind, Forward, Listener, LoadBalancer, Protocol, State, TargetGroup, TargetKey,
    TargetType, Transform, arn,
};

/// What happens with one request.
#[derive(Debug)]
pub(crate) enum Decision {
    /// The load balancer answers itself.
    Answer(Answer),
    /// A target answers.
    Forward(Box<Destination>),
    /// A provider is to be asked first; then it is to be decided anew.
    Ask(Question),
}

/// The target of one request and what is to be known on the way there.
#[derive(Debug)]
pub(crate) struct Destination {
    /// ARN of the target group.
    pub(crate) group: String,
    pub(crate) target: TargetKey,
    /// Whether the target speaks TLS.
    pub(crate) tls: bool,
    /// The protocol that the target speaks.
    pub(crate) spoken: Spoken,
    /// Whether the target is a function.
    pub(crate) function: bool,
    /// The request, which counts as outstanding until this is dropped.
    pub(crate) outstanding: Outstanding,
    /// `Set-Cookie` lines that bind the client to its target.
    pub(crate) bound: Bound,
    /// `Set-Cookie` lines that bind the client to its group.
    pub(crate) cookies: Vec<HeaderValue>,
    /// What the transforms of the rule make of the request.
    pub(crate) rewritten: Rewritten,
    /// What the target is told of the client.
    pub(crate) vouched: Vec<Vouched>,
    /// Where the request came in, for the headers that tell the target.
    pub(crate) ingress: Ingress,
    pub(crate) processing: Processing,
    /// For how long the target may be silent.
    pub(crate) idle: Duration,
}

/// What a choice among groups and targets depends on besides the account and
/// the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choosing<'a> {
    /// The simulated time.
    pub(crate) now: Timestamp,
    /// Whose turn it is within a group.
    pub(crate) balance: &'a Balance,
    /// Makes and recognises the cookies that bind clients.
    pub(crate) pins: &'a Pins,
    /// Seals and opens what clients keep of their logins.
    pub(crate) seals: &'a Seals,
    /// Counts requests for the rates of web ACLs.
    pub(crate) rates: &'a Rates,
    /// What a provider has said, where one was asked.
    pub(crate) known: Option<&'a Known>,
}

/// Decides for a request that came to a listener, and writes down what it
/// looked at: the one code path of real and of traced requests.
///
/// `draw` gives a number below its argument and chooses among weighted groups
/// and, by some algorithms, among targets.
pub(crate) fn decide(
    state: &State,
    arrival: &Arrival,
    parts: &Parts,
    choosing: Choosing<'_>,
    mut draw: impl FnMut(u32) -> u32,
    course: &mut Course,
) -> Decision {
    let refuse = |status, reason: &'static str| Decision::Answer(Answer::error(status, reason));
    let Some((balancer, listener)) = listener_of(state, &arrival.listener) else {
        return refuse(503, "the listener was deleted a moment ago");
    };
    course.note(|trace| {
        let tls = listener.protocol == Protocol::Https;
        trace.certificate =
            tls.then(|| tls::chosen(state, listener, arrival.server_name.as_deref()));
        trace.client_certificate = judged(state, listener, &arrival.client_chain);
        // It may be decided anew.
        trace.rules.clear();
        trace.listener = Some(AskedListener {
            arn: listener.arn.clone(),
            load_balancer: balancer.arn.clone(),
            protocol: listener.protocol.as_str(),
            port: listener.port,
        });
    });
    if let Some(answer) = checks::refusal(balancer, parts) {
        return Decision::Answer(answer);
    }
    // It is asked once, however often a request is decided about.
    if course.firewall.is_none() {
        let visitor = Visitor {
            parts,
            peer: arrival.peer.ip(),
            now: choosing.now,
            rates: choosing.rates,
        };
        if let Some(verdict) = firewall::judged(state, balancer, visitor) {
            course.firewall = Some(verdict.inserted);
            course.note(|trace| trace.web_acl = Some(verdict.seen));
            if let Some(answer) = verdict.blocked {
                return Decision::Answer(answer);
            }
        }
    }
    let host = authority(parts);
    let looking = Looking {
        seals: choosing.seals,
        known: choosing.known,
        now: choosing.now,
    };
    if let Some(stop) = callback(state, listener, arrival, parts, looking, course) {
        return stop.into();
    }
    let (actions, transforms) = actions(listener, parts, arrival.peer.ip(), course);
    let mut passed = Passed::default();
    for action in actions.iter().filter(|action| !action.kind.is_routing()) {
        match gate(state, &action.kind, arrival, parts, looking, course) {
            Ok(with) => passed = with,
            Err(stop) => return stop.into(),
        }
    }
    let mut action = actions.iter().map(|action| &action.kind);
    let action = action.rfind(|action| action.is_routing());
    course.action = action.map(ActionKind::as_str);
    course.note(|trace| trace.action = action.map(ActionKind::as_str));
    match action {
        Some(ActionKind::FixedResponse(response)) => Decision::Answer(Answer {
            cookies: passed.cookies,
            ..Answer::fixed(response)
        }),
        Some(ActionKind::Redirect(redirect)) => {
            let from = RedirectFrom {
                scheme: scheme(listener.protocol),
                host: without_port(host),
                port: listener.port,
                uri: &parts.uri,
            };
            let location = from.location(redirect);
            course.redirect = Some(location.clone());
            Decision::Answer(Answer {
                cookies: passed.cookies,
                ..Answer::redirect(redirect.status, location)
            })
        }
        Some(ActionKind::Forward(forward)) => {
            let note = |seen| course.note(|trace| trace.rewrites.push(seen));
            let rewritten = match rewrite(transforms, parts, note) {
                Ok(rewritten) => rewritten,
                Err(why) => return Decision::Answer(Answer::error(500, why)),
            };
            let Choosing { now, pins, .. } = choosing;
            let sticky = pins::of_groups(forward);
            let sent = pins::sent(&parts.headers, pins::GROUP);
            let mut groups = forward.target_groups.iter();
            let pinned = sticky.and_then(|_| groups.find(|it| pins.names(&sent, &it.arn, now)));
            let chosen = match pinned {
                Some(group) => Some((group.arn.as_str(), WhyGroup::Pinned)),
                None => weighted(forward, &mut draw),
            };
            let Some((arn, why)) = chosen else {
                return refuse(503, "every target group of the action has weight 0");
            };
            let Some(group) = state.target_groups.get(arn) else {
                return refuse(503, "the target group is gone");
            };
            course.group = Some(group.arn.clone());
            course.note(|trace| {
                trace.target_group = Some(ChosenGroup {
                    arn: group.arn.clone(),
                    name: group.name.clone(),
                    why: why.tell(forward),
                });
            });
            let ingress = Ingress {
                peer: arrival.peer,
                port: listener.port,
                scheme: scheme(listener.protocol),
                session: arrival.session,
            };
            let zone = zone_of_node(state, balancer, group, &arrival.node, now);
            let stale = state.is_stale(&arrival.listener);
            let among = Among {
                group,
                candidates: candidates(state, group, zone, stale, now),
                alone: forward.target_groups.len() == 1,
            };
            let decision = towards(
                (balancer, listener),
                &among,
                ingress,
                parts,
                choosing,
                &mut draw,
                course,
            );
            match decision {
                Decision::Forward(mut to) => {
                    to.rewritten = rewritten;
                    to.cookies.extend(passed.cookies);
                    to.vouched = vec![passed.vouched, told(listener, &arrival.client_chain)];
                    to.vouched.extend(course.firewall.clone());
                    if let Some(good) = sticky {
                        let set = pins.set(pins::GROUP, &group.arn, now, good);
                        to.cookies.extend(set);
                    }
                    Decision::Forward(to)
                }
                other => other,
            }
        }
        _ => refuse(500, "the rule has no action"),
    }
}

impl From<Stop> for Decision {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Answer(answer) => Self::Answer(*answer),
            Stop::Ask(question) => Self::Ask(question),
        }
    }
}

/// The listener with this ARN, as the nodes know it, and its load balancer.
pub(crate) fn listener_of<'a>(
    state: &'a State,
    listener: &str,
) -> Option<(&'a LoadBalancer, &'a Listener)> {
    let balancer = state
        .load_balancers
        .get(&arn::load_balancer_of(listener)?)?;
    Some((balancer, state.served_listener(balancer, listener)?))
}

fn scheme(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Https {
        "https"
    } else {
        "http"
    }
}

/// The actions of the first rule whose conditions are all met, else the
/// default ones, and the transforms beside them.
fn actions<'a>(
    listener: &'a Listener,
    parts: &Parts,
    peer: IpAddr,
    course: &mut Course,
) -> (&'a [Action], &'a [Transform]) {
    let matching = listener.rules.iter().find(|(priority, rule)| {
        let unmet = rule
            .conditions
            .iter()
            .position(|condition| !met(condition, parts, peer));
        course.note(|trace| {
            let looked_at = unmet.map_or(rule.conditions.len(), |index| index + 1);
            let looked_at = rule.conditions.iter().take(looked_at);
            trace.rules.push(SeenRule {
                priority: priority.to_string(),
                arn: rule.arn.clone(),
                matched: unmet.is_none(),
                conditions: looked_at.map(|it| seen(it, parts, peer)).collect(),
            });
        });
        unmet.is_none()
    });
    let (actions, transforms) = if let Some((priority, rule)) = matching {
        course.priority = Some(*priority);
        (rule.actions.as_slice(), rule.transforms.as_slice())
    } else {
        course.priority = Some(0);
        course.note(|trace| {
            trace.rules.push(SeenRule {
                priority: "default".to_owned(),
                arn: listener.default_rule_arn.clone(),
                matched: true,
                conditions: Vec::new(),
            });
        });
        (listener.default_actions.as_slice(), [].as_slice())
    };
    (actions, transforms)
}

/// Why a forward has chosen a group.
#[derive(Clone, Copy, Debug)]
enum WhyGroup {
    /// There is no other.
    Only,
    /// A cookie of the client names it.
    Pinned,
    /// This number below the sum of the weights was drawn.
    Drawn(u32),
}

impl WhyGroup {
    fn tell(self, forward: &Forward) -> String {
        match self {
            Self::Only => "it is the only one of the action".to_owned(),
            Self::Pinned => format!("the cookie {} of the client names it", pins::GROUP),
            Self::Drawn(drawn) => {
                let weights = forward.target_groups.iter().map(|group| group.weight);
                let sum: u32 = weights.clone().sum();
                let weights: Vec<String> = weights.map(|weight| weight.to_string()).collect();
                let weights = weights.join(", ");
                format!("{drawn} was drawn below {sum}, the sum of the weights {weights}")
            }
        }
    }
}

/// The group that gets the request; a group of weight 0 gets nothing.
fn weighted<'a>(
    forward: &'a Forward,
    draw: &mut dyn FnMut(u32) -> u32,
) -> Option<(&'a str, WhyGroup)> {
    let groups = &forward.target_groups;
    if let [only] = groups.as_slice() {
        return Some((&only.arn, WhyGroup::Only));
    }
    let sum = groups.iter().map(|group| group.weight).sum();
    if sum == 0 {
        return None;
    }
    let drawn = draw(sum);
    let mut left = drawn;
    groups
        .iter()
        .find(|group| {
            let mine = left < group.weight;
            left = left.saturating_sub(group.weight);
            mine
        })
        .map(|group| (group.arn.as_str(), WhyGroup::Drawn(drawn)))
}

/// The group among whose targets one is chosen.
struct Among<'a> {
    group: &'a TargetGroup,
    candidates: Candidates,
    /// Whether it is the only group of the action.
    alone: bool,
}

fn towards(
    (balancer, listener): (&LoadBalancer, &Listener),
    among: &Among<'_>,
    ingress: Ingress,
    parts: &Parts,
    choosing: Choosing<'_>,
    draw: &mut dyn FnMut(u32) -> u32,
    course: &mut Course,
) -> Decision {
    let Among {
        group, candidates, ..
    } = among;
    let refuse = |status, reason: &'static str| Decision::Answer(Answer::error(status, reason));
    let spoken = Spoken::by(group);
    if let Some(reason) = spoken.unfit(parts) {
        return refuse(464, reason);
    }
    let Choosing {
        now, balance, pins, ..
    } = choosing;
    let sticky = pins::of_targets(group, among.alone);
    let pinned = sticky.and_then(|sticky| {
        let sent = sticky.sent(&parts.headers);
        let names = |key: &&TargetKey| pins.names(&sent, &sticky.name_of(&group.arn, key), now);
        let pinned = candidates.targets.iter().find(names)?;
        let why = format!("the cookie {} of the client names it", sticky.cookie());
        Some((pinned.clone(), why))
    });
    let chosen = pinned.or_else(|| {
        let (target, how) = balance.choose(group, &candidates.targets, now, draw)?;
        Some((target, candidates.tell(how)))
    });
    let Some((target, why)) = chosen else {
        return Decision::Answer(Answer::error(503, candidates.tell_none(group)));
    };
    let name = format!("{}:{}", target.id, target.port);
    course.note(|trace| {
        trace.target = Some(ChosenTarget {
            target: name.clone(),
            socket: None,
            why,
        });
    });
    course.target = Some(name);
    let bound = sticky.map(|sticky| pins.bind(sticky, &group.arn, &target, now));
    Decision::Forward(Box::new(Destination {
        group: group.arn.clone(),
        outstanding: balance.begin(&group.arn, &target),
        target,
        tls: group.protocol == Some(Protocol::Https),
        spoken,
        function: group.target_type == TargetType::Lambda,
        bound: bound.unwrap_or_default(),
        cookies: Vec::new(),
        rewritten: Rewritten::default(),
        vouched: Vec::new(),
        ingress,
        processing: processing(balancer, listener),
        idle: idle(balancer),
    }))
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

fn processing(balancer: &LoadBalancer, listener: &Listener) -> Processing {
    let value = |key: &str| balancer.attributes.get(key).map(String::as_str);
    let enabled = |key: &str| value(key) == Some("true");
    let about_tls = enabled("routing.http.x_amzn_tls_version_and_cipher_suite.enabled");
    Processing {
        forwarded_for: match value("routing.http.xff_header_processing.mode") {
            Some("preserve") => ForwardedFor::Preserve,
            Some("remove") => ForwardedFor::Remove,
            _ => ForwardedFor::Append,
        },
        client_port: enabled("routing.http.xff_client_port.enabled"),
        preserve_host: enabled("routing.http.preserve_host_header.enabled"),
        drop_invalid: enabled("routing.http.drop_invalid_header_fields.enabled"),
        tls: about_tls.then(|| {
            let name = |own: &HeaderName| request_header(listener, own);
            (name(&TLS_VERSION), name(&TLS_CIPHER_SUITE))
        }),
    }
}
