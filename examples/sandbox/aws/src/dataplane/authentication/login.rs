//! The way to the page where users log in, and back.
//!
//! Pure. Source: "Authenticate users using an Application Load Balancer" of
//! the guide.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::seal::{Letters, Seals};
use super::session;
use crate::dataplane::answer::Answer;
use crate::dataplane::course::Arrival;
use crate::dataplane::forwarded::{authority, without_port};
use crate::state::authenticate::{Secret, Session};
use crate::state::{ActionKind, Listener, State};
use crate::url_encoding::{form, pairs};

/// Where providers send users back to.
pub(crate) const CALLBACK: &str = "/oauth2/idpresponse";

/// The cookie that ties an answer of the provider to the browser that asked.
const NONCE: &str = "AWSALBAuthNonce";

/// A user has this long to log in.
const LOGIN: SignedDuration = SignedDuration::from_mins(15);

/// An action that has users log in, with all that it needs for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The action, as on the wire.
    pub(crate) action: &'static str,
    /// Issuer of the tokens.
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) user_info_endpoint: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) session: Session,
}

impl Login {
    /// The login that an action asks for; `None` where it asks for none, or
    /// where its user pool cannot be told from its ARN.
    pub(crate) fn of(state: &State, action: &ActionKind) -> Option<Self> {
        match action {
            ActionKind::AuthenticateOidc(oidc) => Some(Self {
                action: action.as_str(),
                issuer: oidc.issuer.clone(),
                authorization_endpoint: oidc.authorization_endpoint.clone(),
                token_endpoint: oidc.token_endpoint.clone(),
                user_info_endpoint: oidc.user_info_endpoint.clone(),
                client_id: oidc.client_id.clone(),
                client_secret: oidc.client_secret.clone(),
                session: oidc.session.clone(),
            }),
            ActionKind::AuthenticateCognito(cognito) => {
                let mut parts = cognito.user_pool_arn.splitn(6, ':').skip(3);
                let region = parts.next()?;
                let pool = parts.nth(1)?.strip_prefix("userpool/")?;
                let domain = &cognito.user_pool_domain;
                let domain = if domain.contains('.') {
                    format!("https://{domain}")
                } else {
                    format!("https://{domain}.auth.{region}.amazoncognito.com")
                };
                let client = state
                    .user_pools
                    .get(pool)
                    .and_then(|pool| pool.clients.get(&cognito.user_pool_client_id));
                let secret = client.and_then(|client| client.secret.clone());
                Some(Self {
                    action: action.as_str(),
                    issuer: format!("https://cognito-idp.{region}.amazonaws.com/{pool}"),
                    authorization_endpoint: format!("{domain}/oauth2/authorize"),
                    token_endpoint: format!("{domain}/oauth2/token"),
                    user_info_endpoint: format!("{domain}/oauth2/userInfo"),
                    client_id: cognito.user_pool_client_id.clone(),
                    client_secret: Secret::new(secret.unwrap_or_default()),
                    session: cognito.session.clone(),
                })
            }
            _ => None,
        }
    }

    /// What a session of this login is good for.
    pub(crate) fn realm(&self) -> String {
        format!("{} {}", self.issuer, self.client_id)
    }
}

/// What comes back from the provider as it was sent there.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    realm: String,
    cookie: String,
    nonce: String,
    /// What the user had asked for.
    location: String,
    /// When, in milliseconds since 1970.
    at: i64,
}

/// A user who has logged in, as far as the provider says.
#[derive(Clone, Debug)]
pub(crate) struct Return {
    pub(crate) login: Login,
    /// ARN of the load balancer.
    pub(crate) balancer: String,
    /// What the provider gives tokens for.
    pub(crate) code: String,
    /// The URL of this load balancer that the provider was told.
    pub(crate) redirect_uri: String,
    /// What the user had asked for.
    pub(crate) location: String,
    /// Lines that take back cookies of earlier sessions.
    pub(crate) stale: Vec<String>,
}

/// Sends a browser to the provider.
pub(crate) fn redirect(
    login: &Login,
    arrival: &Arrival,
    parts: &Parts,
    seals: &Seals,
    now: Timestamp,
) -> Answer {
    let host = without_port(authority(parts)).to_ascii_lowercase();
    if host.is_empty() {
        return Answer::error(401, "AuthMissingHostHeader: the request names no host");
    }
    let nonce: String = random_letters(16);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let asked = Asked {
        realm: login.realm(),
        cookie: login.session.cookie_name.clone(),
        nonce: nonce.clone(),
        location: format!("https://{host}:{}{path}", arrival.port),
        at: now.as_millisecond(),
    };
    let Some(state) = seals.seal(&arrival.balancer, &asked, Letters::Url) else {
        return Answer::error(500, "AuthUnhandledException: the state cannot be sealed");
    };
    let redirect_uri = redirect_uri(&host, arrival.port);
    let query = form(
        [
            ("client_id", login.client_id.as_str()),
            ("redirect_uri", &redirect_uri),
            ("response_type", "code"),
            ("scope", &login.session.scope),
            ("state", &state),
        ]
        .into_iter()
        .chain(
            login
                .session
                .extra_parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        ),
    );
    let endpoint = &login.authorization_endpoint;
    let mark = if endpoint.contains('?') { '&' } else { '?' };
    let mut answer = Answer::redirect(302, format!("{endpoint}{mark}{query}"));
    answer.reason = "the client has no session, so it is sent to log in".into();
    let mut lines = vec![format!("{NONCE}={nonce}; Path=/; Secure; HttpOnly")];
    lines.extend(session::taken_back(
        &login.session.cookie_name,
        &parts.headers,
    ));
    answer.cookies = header_lines(lines);
    answer
}

/// Where the provider sends users: to the host that they used, in lower case.
fn redirect_uri(host: &str, port: u16) -> String {
    if port == 443 {
        format!("https://{host}{CALLBACK}")
    } else {
        format!("https://{host}:{port}{CALLBACK}")
    }
}

/// Looks at what a provider has sent a user back with.
///
/// Errors with the answer that the user gets where that is not good.
pub(crate) fn returned(
    state: &State,
    listener: &Listener,
    arrival: &Arrival,
    parts: &Parts,
    seals: &Seals,
    now: Timestamp,
) -> Result<Return, Box<Answer>> {
    let refuse = |why: &'static str| Err(Box::new(Answer::error(401, why)));
    let query = pairs(parts.uri.query().unwrap_or_default());
    let sent = |name: &str| {
        let mut pairs = query.iter();
        pairs.find(|(it, _)| it == name).map(|(_, value)| value)
    };
    let Some(sealed) = sent("state") else {
        return refuse("AuthMissingStateParam: the provider has sent no state back");
    };
    let asked: Option<Asked> = seals.open(&arrival.balancer, sealed, Letters::Url);
    let login = asked.as_ref().and_then(|asked| {
        let mut logins = logins(state, listener);
        logins.find(|it| it.realm() == asked.realm && it.session.cookie_name == asked.cookie)
    });
    let (Some(asked), Some(login)) = (asked, login) else {
        return refuse("AuthInvalidStateParam: the state is none that this listener has sent");
    };
    let began = Timestamp::from_millisecond(asked.at).unwrap_or(Timestamp::MIN);
    if now.duration_since(began) > LOGIN {
        return refuse("the login was not completed within 15 minutes");
    }
    match cookie(&parts.headers, NONCE) {
        None => return refuse("AuthMissingAWSALBAuthNonce: the client sends no nonce"),
        Some(nonce) if nonce != asked.nonce => {
            return refuse("AuthInvalidAWSALBAuthNonce: the nonce is that of another login");
        }
        Some(_) => {}
    }
    if let Some(error) = sent("error") {
        return Err(Box::new(if error == "access_denied" {
            Answer::error(401, "the provider has denied access")
        } else {
            Answer::error(
                561,
                format!("the provider has answered the error '{error}'"),
            )
        }));
    }
    let Some(code) = sent("code") else {
        return refuse("AuthMissingCodeParam: the provider has sent no code");
    };
    let host = without_port(authority(parts)).to_ascii_lowercase();
    Ok(Return {
        balancer: arrival.balancer.clone(),
        code: code.clone(),
        redirect_uri: redirect_uri(&host, arrival.port),
        location: asked.location,
        stale: session::taken_back(&login.session.cookie_name, &parts.headers),
        login,
    })
}

/// The logins of all actions of a listener.
pub(crate) fn logins<'a>(
    state: &'a State,
    listener: &'a Listener,
) -> impl Iterator<Item = Login> + 'a {
    let rules = listener.rules.values().map(|rule| &rule.actions);
    let actions = std::iter::once(&listener.default_actions).chain(rules);
    actions
        .flatten()
        .filter_map(|action| Login::of(state, &action.kind))
}

/// The value of a cookie in a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(it, _)| *it == name)
        .map(|(_, value)| value)
}

/// What can stand in headers of these lines.
pub(super) fn header_lines(lines: Vec<String>) -> Vec<HeaderValue> {
    let lines = lines.into_iter();
    lines
        .filter_map(|line| HeaderValue::try_from(line).ok())
        .collect()
}

fn random_letters(count: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..count)
        .map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]))
        .collect()
}
