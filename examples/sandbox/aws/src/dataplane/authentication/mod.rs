//! Actions that look at who asks before another action has its turn:
//! `authenticate-oidc`, `authenticate-cognito` and `jwt-validation`.
//!
//! What is decided stands in `login`, `session`, `identity` and `bearer` and
//! touches no network. What has to be asked of a provider is a [`Question`],
//! which [`ask`] carries there; then it is decided anew.

mod bearer;
mod call;
mod exchange;
pub(crate) mod identity;
mod login;
mod seal;
mod session;

use axum::http::header::HeaderValue;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde_json::Value;

pub(super) use self::exchange::ask;
pub(crate) use self::login::CALLBACK;
use self::login::{Login, Return, header_lines, logins, redirect, returned};
pub(crate) use self::seal::Seals;
use self::session::UserSession;
use super::answer::Answer;
use super::course::{Arrival, Course, SeenAuthentication};
use super::vouched::Vouched;
use crate::state::jwt_validation::JwtValidation;
use crate::state::{ActionKind, Listener, State};

/// What has to be asked of a provider before it can be decided.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Tokens and claims for a user who has come back.
    LogIn(Box<Return>),
    /// New tokens and claims for a session that goes on.
    Refresh(Box<Refresh>),
    /// The keys of an issuer.
    Keys { issuer: String, url: String },
}

/// A session whose access token has expired.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    login: Login,
    session: UserSession,
}

/// What was learnt of a provider.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// The session as it goes on; `None` where it does not.
    Session {
        realm: String,
        session: Option<UserSession>,
    },
    /// The keys at a URL, or why there are none.
    Keys {
        url: String,
        keys: Result<Vec<Value>, String>,
    },
}

/// What became of a question.
#[derive(Debug)]
pub(crate) enum Learnt {
    /// It is to be decided anew with this.
    Known(Known),
    /// This is the answer to the client.
    Answer(Answer),
}

/// Why the next action does not have its turn.
#[derive(Debug)]
pub(crate) enum Stop {
    Answer(Box<Answer>),
    Ask(Question),
}

/// What goes along with a request that was let through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// For the target.
    pub(crate) vouched: Vouched,
    /// For the client.
    pub(crate) cookies: Vec<HeaderValue>,
}

/// How the load balancer can look at a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looking<'a> {
    pub(crate) seals: &'a Seals,
    /// What a provider has said, if it was asked.
    pub(crate) known: Option<&'a Known>,
    /// The simulated time.
    pub(crate) now: Timestamp,
}

/// Takes a user back from a provider; `None` for requests that are none of that.
pub(crate) fn callback(
    state: &State,
    listener: &Listener,
    arrival: &Arrival,
    parts: &Parts,
    looking: Looking<'_>,
    course: &mut Course,
) -> Option<Stop> {
    if parts.uri.path() != CALLBACK {
        return None;
    }
    let action = logins(state, listener).next()?.action;
    course.authentication = Some("authenticate");
    let Looking { seals, now, .. } = looking;
    let (stop, why) = match returned(state, listener, arrival, parts, seals, now) {
        Ok(returned) => (
            Stop::Ask(Question::LogIn(Box::new(returned))),
            "the user comes back from the provider".to_owned(),
        ),
        Err(answer) => {
            let why = answer.reason.to_string();
            (Stop::Answer(answer), why)
        }
    };
    seen(course, action, false, why);
    Some(stop)
}

/// Lets an action look at a request. Actions that look at nobody let it pass.
pub(crate) fn gate(
    state: &State,
    action: &ActionKind,
    arrival: &Arrival,
    parts: &Parts,
    looking: Looking<'_>,
    course: &mut Course,
) -> Result<Passed, Stop> {
    let (gate, why) = match action {
        ActionKind::JwtValidation(jwt) => {
            course.authentication = Some("jwt-validation");
            bearer(jwt, parts, looking)
        }
        ActionKind::AuthenticateOidc(_) | ActionKind::AuthenticateCognito(_) => {
            course.authentication = Some("authenticate");
            match Login::of(state, action) {
                Some(login) => session(&login, arrival, parts, looking),
                None => answer(500, "AuthUnhandledException: the action names no user pool"),
            }
        }
        ActionKind::Forward(_) | ActionKind::Redirect(_) | ActionKind::FixedResponse(_) => {
            return Ok(Passed::default());
        }
    };
    seen(course, action.as_str(), gate.is_ok(), why);
    gate
}

/// Whether the next action has its turn, and why, in words.
type Looked = (Result<Passed, Stop>, String);

fn seen(course: &mut Course, action: &'static str, passed: bool, why: String) {
    course.note(|trace| {
        trace.authentication = Some(SeenAuthentication {
            action,
            passed,
            why,
        });
    });
}

fn answer(status: u16, why: impl Into<String>) -> Looked {
    let why = why.into();
    (
        Err(Stop::Answer(Box::new(Answer::error(status, why.clone())))),
        why,
    )
}

fn bearer(action: &JwtValidation, parts: &Parts, looking: Looking<'_>) -> Looked {
    let token = match bearer::token(&parts.headers) {
        Ok(token) => token,
        Err(why) => return answer(401, why),
    };
    let keys = match looking.known {
        Some(Known::Keys { url, keys }) if *url == action.jwks_endpoint => keys,
        _ => {
            let question = Question::Keys {
                issuer: action.issuer.clone(),
                url: action.jwks_endpoint.clone(),
            };
            let why = "the keys of the issuer are asked for".to_owned();
            return (Err(Stop::Ask(question)), why);
        }
    };
    match keys {
        Err(why) => answer(500, why),
        Ok(keys) => match bearer::check(action, &token, keys, looking.now) {
            Err(why) => answer(401, why),
            Ok(()) => (Ok(Passed::default()), "the token is good".to_owned()),
        },
    }
}

fn session(login: &Login, arrival: &Arrival, parts: &Parts, looking: Looking<'_>) -> Looked {
    let Looking { seals, known, now } = looking;
    let balancer = &arrival.balancer;
    let kept = UserSession::of(&parts.headers, login, balancer, seals, now);
    let (session, cookies, why) = match (kept, known) {
        (Some(_), Some(Known::Session { realm, session })) if *realm == login.realm() => {
            let session = session.clone();
            let lines = session
                .as_ref()
                .and_then(|session| session.cookies(login, balancer, seals, now));
            let why = "the session was renewed by its refresh token";
            (session, header_lines(lines.unwrap_or_default()), why)
        }
        (Some(session), _) if session.is_stale(now) => {
            let question = Question::Refresh(Box::new(Refresh {
                login: login.clone(),
                session,
            }));
            let why = "the access token has expired, and there is a refresh token".to_owned();
            return (Err(Stop::Ask(question)), why);
        }
        (session, _) => (session, Vec::new(), "the client has a session"),
    };
    if let Some(session) = session {
        let passed = Passed {
            vouched: identity::told(&session, login, balancer),
            cookies,
        };
        let why = format!("{why}, of the user {}", session.subject());
        return (Ok(passed), why);
    }
    match login.session.on_unauthenticated.as_str() {
        "allow" => (
            Ok(Passed {
                vouched: identity::nobody(),
                cookies: Vec::new(),
            }),
            "the client has no session, which the action allows".to_owned(),
        ),
        "deny" => answer(401, "the client has no session, which the action denies"),
        _ => {
            let answer = redirect(login, arrival, parts, seals, now);
            let why = answer.reason.to_string();
            (Err(Stop::Answer(Box::new(answer))), why)
        }
    }
}
