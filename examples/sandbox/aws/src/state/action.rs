//! Actions of listeners and rules: which ones go together, and their stored
//! form with every default filled in.

use super::{
    Answer, LoadBalancer, Protocol, Refusal, State, arn,
    authenticate::{Cognito, NewCognito, NewOidc, Oidc, Secret},
    fixed_response::{FixedResponse, NewFixedResponse},
    forward::{Forward, NewForward},
    jwt_validation::JwtValidation,
    redirect::{NewRedirect, Redirect},
};

/// One action of a listener or rule, in stored form (every default filled in).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Position among several actions, lowest first.
    pub order: Option<u32>,
    /// What is done.
    pub kind: ActionKind,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionKind {
    /// Sends the request to one of several target groups.
    Forward(Forward),
    /// Answers with another location.
    Redirect(Redirect),
    /// Answers by itself.
    FixedResponse(FixedResponse),
    /// Has the user log in at an OpenID Connect provider first.
    AuthenticateOidc(Oidc),
    /// Has the user log in at Cognito first.
    AuthenticateCognito(Cognito),
    /// Looks at the client's token first.
    JwtValidation(JwtValidation),
}

impl ActionKind {
    /// The word on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Forward(_) => "forward",
            Self::Redirect(_) => "redirect",
            Self::FixedResponse(_) => "fixed-response",
            Self::AuthenticateOidc(_) => "authenticate-oidc",
            Self::AuthenticateCognito(_) => "authenticate-cognito",
            Self::JwtValidation(_) => "jwt-validation",
        }
    }

    /// Whether it ends the handling of a request.
    pub fn is_routing(&self) -> bool {
        matches!(
            self,
            Self::Forward(_) | Self::Redirect(_) | Self::FixedResponse(_)
        )
    }
}

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
    /// OpenID Connect provider.
    pub oidc: Option<NewOidc>,
    /// Cognito user pool.
    pub cognito: Option<NewCognito>,
    /// Tokens that are good.
    pub jwt_validation: Option<JwtValidation>,
}

/// Where actions are to be put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    /// The load balancer.
    pub(super) balancer: &'a LoadBalancer,
    /// Protocol of the listener.
    pub(super) protocol: Protocol,
    /// Port of the listener.
    pub(super) port: u16,
    /// Listener or rule whose actions are replaced, if it exists already.
    pub(super) holder: Option<&'a str>,
}

/// The most actions of one rule or listener.
const MOST_ACTIONS: usize = 5;

impl State {
    /// Checks a list of actions and fills in its defaults.
    pub(super) fn resolve_actions(&self, actions: &[NewAction], site: Site) -> Answer<Vec<Action>> {
        if actions.is_empty() {
            return Err(Refusal::validation("At least one action must be specified"));
        }
        if actions.len() > MOST_ACTIONS {
            return Err(Refusal::new(
                "TooManyActions",
                format!("The maximum number of actions is '{MOST_ACTIONS}'"),
            ));
        }
        check_orders(actions)?;
        let mut resolved = actions
            .iter()
            .map(|action| self.resolve_action(action, site))
            .collect::<Answer<Vec<Action>>>()?;
        resolved.sort_by_key(|action| action.order);
        self.check_composition(&resolved)?;
        Ok(resolved)
    }

    fn resolve_action(&self, action: &NewAction, site: Site) -> Answer<Action> {
        let given = [
            ("forward", action.target_group_arn.is_some()),
            ("forward", action.forward.is_some()),
            ("redirect", action.redirect.is_some()),
            ("fixed-response", action.fixed_response.is_some()),
            ("authenticate-oidc", action.oidc.is_some()),
            ("authenticate-cognito", action.cognito.is_some()),
            ("jwt-validation", action.jwt_validation.is_some()),
        ];
        let kind = action.kind.as_str();
        if !given.iter().any(|(known, _)| *known == kind) {
            return Err(Refusal::validation(format!(
                "1 validation error detected: Value '{kind}' at 'actions.1.member.type' failed to satisfy constraint: Member must satisfy enum value set: [redirect, fixed-response, forward, authenticate-oidc, authenticate-cognito, jwt-validation]"
            )));
        }
        if let Some((other, _)) = given.iter().find(|(other, given)| *given && *other != kind) {
            return Err(invalid(format!(
                "The action of type '{kind}' has the configuration of the type '{other}'"
            )));
        }
        if !given.iter().any(|(known, given)| *known == kind && *given) {
            return Err(invalid(format!(
                "The action of type '{kind}' needs its configuration"
            )));
        }
        if arn::is_network(&site.balancer.arn) && kind != "forward" {
            return Err(invalid(format!(
                "The action type '{kind}' is not supported by network load balancers"
            )));
        }
        let routes = matches!(kind, "forward" | "redirect" | "fixed-response");
        if !routes && site.protocol != Protocol::Https {
            return Err(only_https(kind));
        }
        let kind = match action {
            NewAction {
                redirect: Some(redirect),
                ..
            } => ActionKind::Redirect(Redirect::resolve(redirect, site)?),
            NewAction {
                fixed_response: Some(fixed),
                ..
            } => ActionKind::FixedResponse(FixedResponse::resolve(fixed)?),
            NewAction {
                oidc: Some(oidc), ..
            } => ActionKind::AuthenticateOidc(oidc.resolve(self.secret_of(site.holder))?),
            NewAction {
                cognito: Some(cognito),
                ..
            } => {
                let cognito = cognito.resolve()?;
                self.check_user_pool_client(&cognito)?;
                ActionKind::AuthenticateCognito(cognito)
            }
            NewAction {
                jwt_validation: Some(jwt),
                ..
            } => {
                jwt.check()?;
                ActionKind::JwtValidation(jwt.clone())
            }
            _ => ActionKind::Forward(self.resolve_forward(action, site)?),
        };
        Ok(Action {
            order: action.order,
            kind,
        })
    }

    /// Whether a load balancer can have users log in at a pool: the pool has
    /// the client, and the client a secret.
    fn check_user_pool_client(&self, cognito: &Cognito) -> Answer<()> {
        let (arn, id) = (&cognito.user_pool_arn, &cognito.user_pool_client_id);
        let declared = self
            .outside
            .cognito
            .iter()
            .any(|client| client.user_pool_arn == *arn && client.client_id == *id);
        if declared {
            return Ok(());
        }
        let pool = self.user_pools.values().find(|pool| pool.arn == *arn);
        let Some(pool) = pool else {
            return Err(invalid(format!("The user pool '{arn}' does not exist")));
        };
        match pool.clients.get(id) {
            None => Err(invalid(format!(
                "The user pool client '{id}' does not exist"
            ))),
            Some(client) if client.secret.is_none() => Err(invalid(format!(
                "The user pool client '{id}' must have a client secret"
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Whether these actions, in order, make up a list: at most one that looks
    /// at the client, then exactly one that ends the handling.
    fn check_composition(&self, actions: &[Action]) -> Answer<()> {
        let Some((last, before)) = actions.split_last() else {
            return Ok(());
        };
        let routing = actions
            .iter()
            .filter(|action| action.kind.is_routing())
            .count();
        if routing != 1 || !last.kind.is_routing() {
            return Err(invalid(
                "Exactly one action of type 'forward', 'redirect' or 'fixed-response' must be specified, and it must be the last one",
            ));
        }
        if before.len() > 1 {
            return Err(invalid(
                "At most one action of type 'authenticate-oidc', 'authenticate-cognito' or 'jwt-validation' can be specified",
            ));
        }
        if before.is_empty() {
            return Ok(());
        }
        let version = named_groups(actions)
            .filter_map(|arn| self.target_groups.get(arn)?.protocol_version.as_deref())
            .find(|version| matches!(*version, "HTTP2" | "GRPC"));
        if let Some(version) = version {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!(
                    "Only forward actions are supported with a target group with the protocol-version '{version}'"
                ),
            ));
        }
        Ok(())
    }

    /// Whether stored actions are possible at a site whose protocol changes.
    pub(super) fn check_actions_fit(&self, actions: &[Action], site: Site) -> Answer<()> {
        for action in actions {
            match &action.kind {
                ActionKind::Forward(forward) => {
                    for group in &forward.target_groups {
                        self.check_attachable(&group.arn, site)?;
                    }
                }
                ActionKind::Redirect(redirect) => redirect.check_site(site)?,
                ActionKind::FixedResponse(_) => {}
                other if site.protocol != Protocol::Https => {
                    return Err(only_https(other.as_str()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The client secret that a listener or rule has.
    fn secret_of(&self, holder: Option<&str>) -> Option<&Secret> {
        let holder = holder?;
        let actions = match self.listener(holder) {
            Ok(listener) => &listener.default_actions,
            Err(_) => &self.rule(holder).ok()?.2.actions,
        };
        actions.iter().find_map(|action| match &action.kind {
            ActionKind::AuthenticateOidc(oidc) => Some(&oidc.client_secret),
            _ => None,
        })
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
                    target.forget_probes();
                }
            }
        }
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

/// Orders are needed among several actions, and have to differ.
fn check_orders(actions: &[NewAction]) -> Answer<()> {
    for (index, action) in actions.iter().enumerate() {
        let Some(order) = action.order else {
            if actions.len() == 1 {
                continue;
            }
            return Err(invalid(
                "An order must be specified for each of several actions",
            ));
        };
        if !(1..=50_000).contains(&order) {
            return Err(Refusal::validation(
                "The order of an action must be from 1 to 50000",
            ));
        }
        if actions[..index]
            .iter()
            .any(|other| other.order == Some(order))
        {
            return Err(invalid(format!(
                "The order '{order}' was specified for more than one action"
            )));
        }
    }
    Ok(())
}

fn only_https(kind: &str) -> Refusal {
    invalid(format!(
        "The action type '{kind}' is supported by HTTPS listeners only"
    ))
}

/// `InvalidLoadBalancerAction`.
pub(super) fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidLoadBalancerAction", text)
}
