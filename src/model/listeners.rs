//! Listeners and their rules, from what the members of a group together wish.

use std::collections::BTreeSet;

use super::annotations::PREFIX;
use super::context::Context;
use super::desired::DesiredRule;
use super::finding::{Effect, Finding, Reason};
use super::member::{Member, MemberRule};
use super::merge::{Merged, MergedPort};
use super::ownership;
use super::spec::{Action, Listener, ObjectName, Protocol, Rule};

/// The HTTPS port that HTTP listeners redirect to, where there is one.
pub(super) fn redirect(merged: &Merged) -> Option<u16> {
    merged.ssl_redirect().filter(|port| {
        merged
            .ports
            .get(port)
            .is_some_and(|listener| listener.protocol() == Protocol::Https)
    })
}

/// Members that ask for a redirect to a port where nobody listens with HTTPS.
/// A port that a frozen member listens on counts as listened on: the fault is
/// that member's. So does any port while some member's ports are unreadable.
pub(super) fn redirects_to_nowhere(
    members: &[Member],
    merged: &Merged,
    frozen: &BTreeSet<ObjectName>,
) -> Vec<Finding> {
    if merged.ssl_redirect().is_none() || redirect(merged).is_some() {
        return Vec::new();
    }
    members
        .iter()
        .filter(|member| !frozen.contains(&member.name))
        .filter_map(|member| {
            let port = member.wishes.ssl_redirect?;
            let others = members.iter().filter(|other| frozen.contains(&other.name));
            let excused = others.into_iter().any(|other| {
                !other.ports_are_known || other.wishes.ports.get(&port) == Some(&Protocol::Https)
            });
            (!excused).then(|| Finding {
                ingress: member.name.clone(),
                effect: Effect::Frozen,
                reason: Reason::InvalidAnnotation,
                message: format!(
                    "annotation {PREFIX}ssl-redirect is \"{port}\": expected a port on which the \
                     group listens with HTTPS; add it to {PREFIX}listen-ports with a certificate, \
                     or remove the redirect"
                ),
            })
        })
        .collect()
}

/// Members whose HTTP requests lead to a port on which they do not listen: a
/// redirect that one member asks for takes the rules of all from the HTTP
/// listeners, as aws-load-balancer-controller has it.
pub(super) fn redirected_away(
    served: &[&Member],
    merged: &Merged,
    redirect: Option<u16>,
) -> Vec<Finding> {
    let (Some(to), Some(by)) = (redirect, merged.ssl_redirect_by()) else {
        return Vec::new();
    };
    let serves = |member: &Member| !member.rules.is_empty() || member.default_action.is_some();
    served
        .iter()
        .filter(|member| serves(member) && !member.wishes.ports.contains_key(&to))
        .filter_map(|member| {
            let ports = member.wishes.ports.iter();
            let http: Vec<String> = ports
                .filter(|(_, protocol)| **protocol == Protocol::Http)
                .map(|(port, _)| port.to_string())
                .collect();
            let whose = if *by == member.name {
                "of this Ingress".to_owned()
            } else {
                format!("of Ingress {by}")
            };
            (!http.is_empty()).then(|| Finding {
                ingress: member.name.clone(),
                effect: Effect::Degraded,
                reason: Reason::ConflictingAnnotation,
                message: format!(
                    "it gets no rule for HTTP (port {}): annotation {PREFIX}ssl-redirect {whose} \
                     has every HTTP listener of the group redirect to HTTPS port {to}, and there \
                     this Ingress does not listen; add {{\"HTTPS\": {to}}} to its annotation \
                     {PREFIX}listen-ports, with a certificate for its hosts, or remove the \
                     redirect, or put one of the two into another group",
                    http.join(", ")
                ),
            })
        })
        .collect()
}

/// A listener, without its rules.
pub(super) fn listener(
    cx: &Context<'_>,
    port: u16,
    merged: &MergedPort,
    redirect: Option<u16>,
) -> Listener {
    let protocol = merged.protocol();
    let default_action = match (protocol, redirect) {
        (Protocol::Http, Some(port)) => Action::RedirectHttps {
            port,
            status_code: "HTTP_301".to_owned(),
        },
        _ => merged.default_action().cloned().unwrap_or_else(not_found),
    };
    let is_https = protocol == Protocol::Https;
    let mut certificates = merged.certificates.iter().filter(|_| is_https).cloned();
    Listener {
        port,
        protocol,
        default_certificate: certificates.next(),
        sni_certificates: certificates.collect(),
        ssl_policy: is_https.then(|| {
            merged
                .ssl_policy()
                .unwrap_or(&cx.settings.default_ssl_policy)
                .clone()
        }),
        default_action,
        tags: ownership::tags(
            &cx.settings.cluster_name,
            cx.group,
            &port.to_string(),
            &cx.settings.default_tags,
            &merged.tags,
        ),
    }
}

/// What a listener answers when no rule matches and no member has a default
/// backend.
fn not_found() -> Action {
    Action::FixedResponse {
        status_code: "404".to_owned(),
        content_type: Some("text/plain".to_owned()),
        body: None,
    }
}

/// A rule of a member at its place on a listener.
pub(super) fn rule(
    cx: &Context<'_>,
    member: &Member,
    rule: &MemberRule,
    port: u16,
    priority: u32,
) -> DesiredRule {
    DesiredRule {
        owner: member.name.clone(),
        rule: Rule {
            conditions: rule.conditions.clone(),
            action: rule.action.clone(),
            tags: ownership::tags(
                &cx.settings.cluster_name,
                cx.group,
                &ownership::rule_resource(port, priority),
                &cx.settings.default_tags,
                &member.wishes.tags,
            ),
        },
    }
}
