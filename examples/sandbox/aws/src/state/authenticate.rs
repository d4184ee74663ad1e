//! Actions that have the user log in: at an OpenID Connect provider or at a
//! Cognito user pool.

use std::{collections::BTreeMap, fmt};

use super::{Answer, Refusal, action::invalid};

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whoever has to prove that he knows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What both ways to log in have in common, every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Name of the cookie, without the number of its part.
    pub cookie_name: String,
    /// What is asked of the provider.
    pub scope: String,
    /// Seconds, 1 to 604800.
    pub timeout_seconds: u64,
    /// Parameters for the page where users log in, at most ten.
    pub extra_parameters: BTreeMap<String, String>,
    /// `authenticate`, `allow` or `deny`.
    pub on_unauthenticated: String,
}

/// What both ways to log in have in common, as a caller spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSession {
    /// `AWSELBAuthSessionCookie` if absent.
    pub cookie_name: Option<String>,
    /// `openid` if absent.
    pub scope: Option<String>,
    /// Seven days if absent.
    pub timeout_seconds: Option<i64>,
    /// Parameters for the page where users log in.
    pub extra_parameters: BTreeMap<String, String>,
    /// `authenticate` if absent.
    pub on_unauthenticated: Option<String>,
}

/// An `authenticate-oidc` action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Issuer of the tokens.
    pub issuer: String,
    /// Where users log in.
    pub authorization_endpoint: String,
    /// Where codes are turned into tokens.
    pub token_endpoint: String,
    /// Where claims are read.
    pub user_info_endpoint: String,
    /// Client of the load balancer.
    pub client_id: String,
    /// Its secret; never answered.
    pub client_secret: Secret,
    /// The rest.
    pub session: Session,
}

/// `AuthenticateOidcConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewOidc {
    /// Issuer of the tokens.
    pub issuer: String,
    /// Where users log in.
    pub authorization_endpoint: String,
    /// Where codes are turned into tokens.
    pub token_endpoint: String,
    /// Where claims are read.
    pub user_info_endpoint: String,
    /// Client of the load balancer.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// Whether the secret stays as it is.
    pub use_existing_client_secret: bool,
    /// The rest.
    pub session: NewSession,
}

/// An `authenticate-cognito` action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cognito {
    /// ARN of the user pool.
    pub user_pool_arn: String,
    /// Client of the load balancer.
    pub user_pool_client_id: String,
    /// Prefix or name of the pool's domain.
    pub user_pool_domain: String,
    /// The rest.
    pub session: Session,
}

/// `AuthenticateCognitoConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCognito {
    /// ARN of the user pool.
    pub user_pool_arn: String,
    /// Client of the load balancer.
    pub user_pool_client_id: String,
    /// Prefix or name of the pool's domain.
    pub user_pool_domain: String,
    /// The rest.
    pub session: NewSession,
}

const LONGEST_SESSION: i64 = 604_800;
const MOST_EXTRA_PARAMETERS: usize = 10;

impl NewOidc {
    /// Checks the action. `existing` is the secret of the listener or rule
    /// that is changed.
    pub(super) fn resolve(&self, existing: Option<&Secret>) -> Answer<Oidc> {
        let endpoints = [
            ("Issuer", &self.issuer),
            ("AuthorizationEndpoint", &self.authorization_endpoint),
            ("TokenEndpoint", &self.token_endpoint),
            ("UserInfoEndpoint", &self.user_info_endpoint),
        ];
        for (name, url) in endpoints {
            check_url(name, url)?;
        }
        if self.client_id.is_empty() {
            return Err(Refusal::validation("ClientId must not be empty"));
        }
        let client_secret = match (&self.client_secret, self.use_existing_client_secret) {
            (Some(_), true) => {
                return Err(invalid(
                    "ClientSecret and UseExistingClientSecret cannot be specified at the same time",
                ));
            }
            (Some(secret), false) if secret.reveal().is_empty() => {
                return Err(Refusal::validation("ClientSecret must not be empty"));
            }
            (Some(secret), false) => secret.clone(),
            (None, true) => existing.cloned().ok_or_else(|| {
                invalid("UseExistingClientSecret needs an action that has a client secret")
            })?,
            (None, false) => {
                return Err(invalid(
                    "A client secret must be specified for an action of type 'authenticate-oidc'",
                ));
            }
        };
        Ok(Oidc {
            issuer: self.issuer.clone(),
            authorization_endpoint: self.authorization_endpoint.clone(),
            token_endpoint: self.token_endpoint.clone(),
            user_info_endpoint: self.user_info_endpoint.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            session: self.session.resolve()?,
        })
    }
}

impl NewCognito {
    /// Checks the action; whether pool and client exist is for the account to say.
    pub(super) fn resolve(&self) -> Answer<Cognito> {
        let parts: Vec<&str> = self.user_pool_arn.splitn(6, ':').collect();
        let pool = match parts.as_slice() {
            ["arn", _, "cognito-idp", _, _, path] => path.strip_prefix("userpool/"),
            _ => None,
        };
        if pool.is_none_or(str::is_empty) {
            return Err(Refusal::validation(format!(
                "'{}' is not a valid user pool ARN",
                self.user_pool_arn
            )));
        }
        for (name, value) in [
            ("UserPoolClientId", &self.user_pool_client_id),
            ("UserPoolDomain", &self.user_pool_domain),
        ] {
            if value.is_empty() {
                return Err(Refusal::validation(format!("{name} must not be empty")));
            }
        }
        Ok(Cognito {
            user_pool_arn: self.user_pool_arn.clone(),
            user_pool_client_id: self.user_pool_client_id.clone(),
            user_pool_domain: self.user_pool_domain.clone(),
            session: self.session.resolve()?,
        })
    }
}

impl NewSession {
    fn resolve(&self) -> Answer<Session> {
        let timeout = self.timeout_seconds.unwrap_or(LONGEST_SESSION);
        let timeout_seconds = u64::try_from(timeout)
            .ok()
            .filter(|_| (1..=LONGEST_SESSION).contains(&timeout))
            .ok_or_else(|| {
                Refusal::validation(format!(
                    "Session timeout '{timeout}' must be from 1 to {LONGEST_SESSION} seconds"
                ))
            })?;
        if self.extra_parameters.len() > MOST_EXTRA_PARAMETERS {
            return Err(Refusal::validation(format!(
                "At most '{MOST_EXTRA_PARAMETERS}' extra parameters of the authentication request can be specified"
            )));
        }
        let or = |given: &Option<String>, default: &str| {
            given.clone().unwrap_or_else(|| default.to_owned())
        };
        let session = Session {
            cookie_name: or(&self.cookie_name, "AWSELBAuthSessionCookie"),
            scope: or(&self.scope, "openid"),
            timeout_seconds,
            extra_parameters: self.extra_parameters.clone(),
            on_unauthenticated: or(&self.on_unauthenticated, "authenticate"),
        };
        let token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
        if session.cookie_name.is_empty() || !session.cookie_name.chars().all(token) {
            return Err(Refusal::validation(format!(
                "The session cookie name '{}' is not valid",
                session.cookie_name
            )));
        }
        if session.scope.is_empty() {
            return Err(Refusal::validation("The scope must not be empty"));
        }
        let behaviours = ["deny", "allow", "authenticate"];
        if !behaviours.contains(&session.on_unauthenticated.as_str()) {
            return Err(Refusal::validation(format!(
                "OnUnauthenticatedRequest '{}' must be one of '{}'",
                session.on_unauthenticated,
                behaviours.join(", ")
            )));
        }
        Ok(session)
    }
}

/// Refuses what is not a full URL with HTTPS.
pub(super) fn check_url(name: &str, url: &str) -> Answer<()> {
    let host = url
        .strip_prefix("https://")
        .map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let spaced = url.chars().any(|c| c.is_whitespace() || c.is_control());
    if host.is_none_or(str::is_empty) || spaced {
        return Err(Refusal::validation(format!(
            "{name} '{url}' must be a full URL, including the HTTPS protocol, the domain, and the path"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn oidc() -> NewOidc {
        NewOidc {
            issuer: "https://idp.example.com".to_owned(),
            authorization_endpoint: "https://idp.example.com/authorize".to_owned(),
            token_endpoint: "https://idp.example.com/token".to_owned(),
            user_info_endpoint: "https://idp.example.com/userinfo".to_owned(),
            client_id: "alb".to_owned(),
            client_secret: Some(Secret::new("hush".to_owned())),
            ..NewOidc::default()
        }
    }

    #[test]
    fn defaults_are_filled_in_and_the_secret_is_hidden() {
        let action = oidc().resolve(None).unwrap();
        assert_eq!(action.session.cookie_name, "AWSELBAuthSessionCookie");
        assert_eq!(action.session.scope, "openid");
        assert_eq!(action.session.timeout_seconds, 604_800);
        assert_eq!(action.session.on_unauthenticated, "authenticate");
        assert!(!format!("{action:?}").contains("hush"));
    }

    #[test]
    fn a_secret_is_kept_only_where_there_is_one() {
        let kept = NewOidc {
            client_secret: None,
            use_existing_client_secret: true,
            ..oidc()
        };
        let secret = Secret::new("old".to_owned());
        assert_eq!(kept.resolve(Some(&secret)).unwrap().client_secret, secret);
        assert!(kept.resolve(None).is_err());
        let both = NewOidc {
            use_existing_client_secret: true,
            ..oidc()
        };
        assert!(both.resolve(Some(&secret)).is_err());
        let none = NewOidc {
            client_secret: None,
            ..oidc()
        };
        assert!(none.resolve(Some(&secret)).is_err());
    }

    #[test]
    fn what_is_refused() {
        let good = |change: fn(&mut NewOidc)| {
            let mut new = oidc();
            change(&mut new);
            new.resolve(None).is_ok()
        };
        assert!(good(|_| {}));
        assert!(!good(
            |new| "http://idp.example.com".clone_into(&mut new.issuer)
        ));
        assert!(!good(|new| "https://".clone_into(&mut new.token_endpoint)));
        assert!(!good(|new| new.session.timeout_seconds = Some(604_801)));
        assert!(!good(|new| new.session.timeout_seconds = Some(0)));
        assert!(!good(
            |new| new.session.on_unauthenticated = Some("maybe".to_owned())
        ));
        assert!(!good(|new| {
            let pairs = (0..11).map(|n| (n.to_string(), String::new()));
            new.session.extra_parameters = pairs.collect();
        }));
    }

    #[test]
    fn a_user_pool_has_an_arn() {
        let mut new = NewCognito {
            user_pool_arn: "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_Ab1"
                .to_owned(),
            user_pool_client_id: "abc".to_owned(),
            user_pool_domain: "login".to_owned(),
            session: NewSession::default(),
        };
        assert!(new.resolve().is_ok());
        "us-east-1_Ab1".clone_into(&mut new.user_pool_arn);
        assert_eq!(new.resolve().unwrap_err().code, "ValidationError");
    }
}
