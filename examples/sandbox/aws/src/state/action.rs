//! Actions as they are asked for, the checks on them, and their stored form
//! with every default filled in.

use std::collections::BTreeSet;

use super::{
    Action, ActionKind, Answer, FixedResponse, Forward, LoadBalancer, Protocol, Redirect, Refusal,
    State, WeightedTargetGroup,
};

/// An action as a caller spells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewAction {
    /// `forward`, `redirect`, `fixed-response`, …
    pub kind: String,
    /// Position.
    pub order: Option<u32>,
    /// Short form of a forward to one group.
    pub target_group_arn: Option<String>,
    /// Long form: groups with weights.
    pub forward: Option<NewForward>,
    /// Parts of a redirect.
    pub redirect: Option<NewRedirect>,
    /// Parts of a fixed response.
    pub fixed_response: Option<NewFixedResponse>,
}

/// `ForwardConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewForward {
    /// Groups with weights.
    pub target_groups: Vec<(String, Option<u32>)>,
    /// `TargetGroupStickinessConfig`: enabled, seconds.
    pub stickiness: Option<(bool, Option<u32>)>,
}

/// `RedirectConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewRedirect {
    /// Protocol.
    pub protocol: Option<String>,
    /// Port.
    pub port: Option<String>,
    /// Host.
    pub host: Option<String>,
    /// Path.
    pub path: Option<String>,
    /// Query.
    pub query: Option<String>,
    /// `HTTP_301` or `HTTP_302`.
    pub status_code: String,
}

/// `FixedResponseConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewFixedResponse {
    /// Status code as text.
    pub status_code: String,
    /// Body.
    pub message_body: Option<String>,
    /// Media type.
    pub content_type: Option<String>,
}

/// Where actions are to be put.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The load balancer.
    pub balancer: &'a LoadBalancer,
    /// Protocol of the listener.
    pub protocol: Protocol,
    /// Port of the listener.
    pub port: u16,
    /// Listener or rule whose actions are replaced, if it exists already.
    pub holder: Option<&'a str>,
}

const CONTENT_TYPES: [&str; 5] = [
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
];

impl State {
    /// Checks a list of actions and fills in its defaults.
    pub(super) fn resolve_actions(&self, actions: &[NewAction], site: Site) -> Answer<Vec<Action>> {
        let [action] = actions else {
            return Err(if actions.is_empty() {
                Refusal::validation("At least one action must be specified")
            } else if actions.len() > 5 {
                Refusal::new(
                    "TooManyActions",
                    "The maximum number of actions has been reached",
                )
            } else {
                invalid("Exactly one forward, redirect or fixed-response action is permitted")
            });
        };
        if action
            .order
            .is_some_and(|order| !(1..=50_000).contains(&order))
        {
            return Err(Refusal::validation(
                "The order of an action must be from 1 to 50000",
            ));
        }
        let forwards = action.target_group_arn.is_some() || action.forward.is_some();
        let stray = match action.kind.as_str() {
            "forward" => action.redirect.is_some() || action.fixed_response.is_some(),
            "redirect" => forwards || action.fixed_response.is_some(),
            "fixed-response" => forwards || action.redirect.is_some(),
            _ => false,
        };
        if stray {
            return Err(invalid(&format!(
                "The action of type '{}' has the configuration of another type",
                action.kind
            )));
        }
        let kind = match action.kind.as_str() {
            "forward" => ActionKind::Forward(self.resolve_forward(action, site)?),
            "redirect" => ActionKind::Redirect(resolve_redirect(action.redirect.as_ref(), site)?),
            "fixed-response" => {
                ActionKind::FixedResponse(resolve_fixed(action.fixed_response.as_ref())?)
            }
            "authenticate-oidc" | "authenticate-cognito" | "jwt-validation" => {
                return Err(invalid(&format!(
                    "The action type '{}' is not simulated",
                    action.kind
                )));
            }
            other => {
                return Err(Refusal::validation(format!(
                    "1 validation error detected: Value '{other}' at 'actions.1.member.type' failed to satisfy constraint: Member must satisfy enum value set: [redirect, fixed-response, forward, authenticate-oidc, authenticate-cognito, jwt-validation]"
                )));
            }
        };
        Ok(vec![Action {
            order: action.order,
            kind,
        }])
    }

    fn resolve_forward(&self, action: &NewAction, site: Site) -> Answer<Forward> {
        let mut forward = match (&action.forward, &action.target_group_arn) {
            (None, None) => return Err(invalid("A forward action needs a target group")),
            (None, Some(arn)) => NewForward {
                target_groups: vec![(arn.clone(), None)],
                stickiness: None,
            },
            (Some(forward), None) => forward.clone(),
            (Some(forward), Some(arn)) => {
                if forward.target_groups.len() != 1 || forward.target_groups[0].0 != *arn {
                    return Err(invalid(
                        "TargetGroupArn and ForwardConfig must name the same single target group",
                    ));
                }
                forward.clone()
            }
        };
        let most = self
            .quotas
            .limit("target-groups-per-action-on-application-load-balancer");
        if forward.target_groups.is_empty() {
            return Err(invalid("A forward action needs a target group"));
        }
        if forward.target_groups.len() > most {
            return Err(Refusal::new(
                "TooManyTargetGroups",
                format!("A forward action can have at most '{most}' target groups"),
            ));
        }
        let lone = forward.target_groups.len() == 1;
        let mut target_groups = Vec::new();
        for (arn, weight) in forward.target_groups.drain(..) {
            self.check_attachable(&arn, site)?;
            let weight = match weight {
                Some(weight) if weight > 999 => {
                    return Err(Refusal::validation(
                        "Target group weight must be from 0 to 999",
                    ));
                }
                Some(weight) => weight,
                None if lone => 1,
                None => {
                    return Err(invalid("Several target groups in one action need weights"));
                }
            };
            target_groups.push(WeightedTargetGroup { arn, weight });
        }
        let stickiness_seconds = match forward.stickiness {
            Some((true, Some(seconds))) if (1..=604_800).contains(&seconds) => Some(seconds),
            Some((true, _)) => {
                return Err(Refusal::validation(
                    "Target group stickiness needs a duration from 1 to 604800 seconds",
                ));
            }
            Some((false, _)) | None => None,
        };
        self.check_group_quotas(&target_groups, site)?;
        Ok(Forward {
            target_groups,
            stickiness_seconds,
        })
    }

    /// Whether a target group may serve this load balancer.
    fn check_attachable(&self, arn: &str, site: Site) -> Answer<()> {
        let group = self.target_group(arn)?;
        let configuration = |text: String| Refusal::new("InvalidConfigurationRequest", text);
        if let Some(other) = self.load_balancer_of(group)
            && other.arn != site.balancer.arn
        {
            return Err(Refusal::new(
                "TargetGroupAssociationLimit",
                format!(
                    "The following target groups cannot be associated with more than one load balancer: {arn}"
                ),
            ));
        }
        if group
            .vpc_id
            .as_ref()
            .is_some_and(|vpc| *vpc != site.balancer.vpc_id)
        {
            return Err(configuration(format!(
                "The target group '{arn}' is in another VPC than the load balancer"
            )));
        }
        if let Some(version @ ("HTTP2" | "GRPC")) = group.protocol_version.as_deref()
            && site.protocol == Protocol::Http
        {
            return Err(configuration(format!(
                "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{version}'"
            )));
        }
        if group.ip_address_type == "ipv6" && site.balancer.ip_address_type == "ipv4" {
            return Err(configuration(format!(
                "The IPv6 target group '{arn}' cannot be used by a load balancer with the address type 'ipv4'"
            )));
        }
        Ok(())
    }

    fn check_group_quotas(&self, added: &[WeightedTargetGroup], site: Site) -> Answer<()> {
        let mut groups: BTreeSet<&str> = site.balancer.target_groups(site.holder);
        groups.extend(added.iter().map(|group| group.arn.as_str()));
        let most = self
            .quotas
            .limit("target-groups-per-application-load-balancer");
        if groups.len() > most {
            return Err(Refusal::new(
                "TooManyUniqueTargetGroupsPerLoadBalancer",
                format!(
                    "You have reached the maximum number of unique target groups that you can associate with a load balancer of type 'application': [{most}]"
                ),
            ));
        }
        let targets: usize = groups
            .iter()
            .filter_map(|arn| self.target_groups.get(*arn))
            .map(|group| group.targets.len())
            .sum();
        let most = self.quotas.limit("targets-per-application-load-balancer");
        if targets > most {
            return Err(Refusal::new(
                "TooManyTargets",
                format!(
                    "The maximum number of targets per load balancer '{most}' has been reached"
                ),
            ));
        }
        Ok(())
    }

    /// Keeps in every target group who names it, after the actions of a
    /// listener or rule have changed. A group that falls out of use forgets
    /// what its probes found.
    pub(super) fn set_references(&mut self, holder: &str, before: &[Action], after: &[Action]) {
        for arn in named_groups(before) {
            if let Some(group) = self.target_groups.get_mut(arn) {
                group.references.remove(holder);
            }
        }
        for arn in named_groups(after) {
            if let Some(group) = self.target_groups.get_mut(arn) {
                group.references.insert(holder.to_owned());
            }
        }
        for arn in named_groups(before) {
            if let Some(group) = self.target_groups.get_mut(arn)
                && group.references.is_empty()
            {
                for target in group.targets.values_mut() {
                    target.probed = super::Probed::Registering;
                    target.streak = 0;
                }
            }
        }
    }
}

impl LoadBalancer {
    /// ARNs of the target groups that its listeners and rules name, those of
    /// one listener's default action or rule left out.
    pub fn target_groups(&self, without: Option<&str>) -> BTreeSet<&str> {
        let mut groups = BTreeSet::new();
        for listener in self.listeners.values() {
            if without != Some(listener.arn.as_str()) {
                groups.extend(named_groups(&listener.default_actions));
            }
            for rule in listener.rules.values() {
                if without != Some(rule.arn.as_str()) {
                    groups.extend(named_groups(&rule.actions));
                }
            }
        }
        groups
    }
}

/// ARNs of the target groups in a list of actions.
pub fn named_groups(actions: &[Action]) -> impl Iterator<Item = &str> {
    actions
        .iter()
        .flat_map(|action| match &action.kind {
            ActionKind::Forward(forward) => forward.target_groups.as_slice(),
            _ => &[],
        })
        .map(|group| group.arn.as_str())
}

fn resolve_redirect(redirect: Option<&NewRedirect>, site: Site) -> Answer<Redirect> {
    let Some(redirect) = redirect else {
        return Err(invalid("A redirect action needs a RedirectConfig"));
    };
    let or =
        |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    let stored = Redirect {
        protocol: or(&redirect.protocol, "#{protocol}"),
        port: or(&redirect.port, "#{port}"),
        host: or(&redirect.host, "#{host}"),
        path: or(&redirect.path, "/#{path}"),
        query: or(&redirect.query, "#{query}"),
        status: match redirect.status_code.as_str() {
            "HTTP_301" => 301,
            "HTTP_302" => 302,
            other => {
                return Err(Refusal::validation(format!(
                    "1 validation error detected: Value '{other}' at 'redirectConfig.statusCode' failed to satisfy constraint: Member must satisfy enum value set: [HTTP_301, HTTP_302]"
                )));
            }
        },
    };
    if !matches!(stored.protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        return Err(Refusal::validation(format!(
            "The redirect protocol '{}' is not valid",
            stored.protocol
        )));
    }
    let numbered = stored.port.parse::<u16>().is_ok_and(|port| port > 0);
    if stored.port != "#{port}" && !numbered {
        return Err(Refusal::validation(format!(
            "The redirect port '{}' is not valid",
            stored.port
        )));
    }
    let length = |text: &str| text.chars().count();
    if !(1..=128).contains(&length(&stored.host)) {
        return Err(Refusal::validation(
            "The redirect host must have 1 to 128 characters",
        ));
    }
    if !(1..=128).contains(&length(&stored.path)) || !stored.path.starts_with('/') {
        return Err(Refusal::validation(
            "The redirect path must have 1 to 128 characters and begin with '/'",
        ));
    }
    if length(&stored.query) > 128 || stored.query.starts_with('?') {
        return Err(Refusal::validation(
            "The redirect query must have at most 128 characters and no leading '?'",
        ));
    }
    if site.protocol == Protocol::Https && stored.protocol == "HTTP" {
        return Err(invalid("A redirect from HTTPS to HTTP is not permitted"));
    }
    let same_protocol =
        stored.protocol == "#{protocol}" || stored.protocol == site.protocol.as_str();
    let same_port = stored.port == "#{port}" || stored.port == site.port.to_string();
    if same_protocol && same_port && stored.host == "#{host}" && stored.path == "/#{path}" {
        return Err(invalid(
            "The redirect leads back to itself: at least one of protocol, host, port and path must differ",
        ));
    }
    Ok(stored)
}

fn resolve_fixed(fixed: Option<&NewFixedResponse>) -> Answer<FixedResponse> {
    let Some(fixed) = fixed else {
        return Err(invalid(
            "A fixed-response action needs a FixedResponseConfig",
        ));
    };
    let status = match fixed.status_code.parse::<u16>() {
        Ok(code) if fixed.status_code.len() == 3 && matches!(code / 100, 2 | 4 | 5) => code,
        _ => {
            return Err(Refusal::validation(format!(
                "1 validation error detected: Value '{}' at 'fixedResponseConfig.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$",
                fixed.status_code
            )));
        }
    };
    if fixed
        .message_body
        .as_ref()
        .is_some_and(|body| body.chars().count() > 1024)
    {
        return Err(Refusal::validation(
            "The message body must have at most 1024 characters",
        ));
    }
    if let Some(kind) = &fixed.content_type
        && !CONTENT_TYPES.contains(&kind.as_str())
    {
        return Err(Refusal::validation(format!(
            "The content type '{kind}' is not supported"
        )));
    }
    Ok(FixedResponse {
        status,
        body: fixed.message_body.clone(),
        content_type: fixed.content_type.clone(),
    })
}

fn invalid(text: &str) -> Refusal {
    Refusal::new("InvalidLoadBalancerAction", text)
}
