//! What load balancers ask of providers: tokens for a code, claims for a token,
//! keys.

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Map, Value};

use super::call::{Failure, call};
use super::login::{Login, Return, header_lines};
use super::session::{UserSession, taken_back_after};
use super::{Known, Learnt, Question, Refresh};
use crate::dataplane::Shared;
use crate::dataplane::answer::Answer;
use crate::json_web_token::Token;
use crate::url_encoding::{form, percent_encode};

/// The most bytes of an answer with tokens or claims that are read.
const MOST: usize = 64 * 1024;

/// The most bytes that a set of keys may have.
const MOST_OF_KEYS: usize = 150 * 1024;

/// The most keys that a set may have.
const MOST_KEYS: usize = 10;

/// Asks a provider.
pub(in crate::dataplane) async fn ask(shared: &Shared, question: Question) -> Learnt {
    match question {
        Question::LogIn(returned) => Learnt::Answer(
            log_in(shared, *returned)
                .await
                .unwrap_or_else(|refusal| refusal),
        ),
        Question::Refresh(refresh) => {
            let realm = refresh.login.realm();
            let session = renew(shared, &refresh).await.ok();
            Learnt::Known(Known::Session { realm, session })
        }
        Question::Keys { issuer, url } => {
            let keys = keys(shared, &issuer, &url).await;
            Learnt::Known(Known::Keys { url, keys })
        }
    }
}

/// Gives a user who comes back a session and sends him on to what he wanted.
///
/// Errors with the answer where the provider does not agree.
async fn log_in(shared: &Shared, returned: Return) -> Result<Answer, Answer> {
    let login = &returned.login;
    let granted = [
        ("grant_type", "authorization_code"),
        ("code", &returned.code),
        ("redirect_uri", &returned.redirect_uri),
    ];
    let tokens = tokens(shared, login, &granted).await?;
    let now = shared.state.now();
    let id_token = tokens["id_token"].as_str();
    let id_token = id_token.ok_or_else(|| {
        Answer::error(
            401,
            "the provider gives no ID token for the scope of the action",
        )
    })?;
    let id_token = Token::read(id_token).filter(|token| {
        let ends = token.claims["exp"].as_i64();
        token.text("iss") == login.issuer
            && token.audiences().contains(&login.client_id)
            && ends.is_some_and(|end| end > now.as_second())
    });
    let Some(id_token) = id_token else {
        return Err(Answer::error(
            401,
            "AuthInvalidIdToken: the ID token is of another issuer, for another client, or over",
        ));
    };
    let mut session = session(shared, login, &tokens).await?;
    if session.subject() != id_token.text("sub") {
        return Err(Answer::error(
            561,
            "AuthInvalidUserinfoResponse: the claims are those of another user than the ID token",
        ));
    }
    let lasts = i64::try_from(login.session.timeout_seconds).unwrap_or(i64::MAX);
    session.ends = now.as_second().saturating_add(lasts);
    let too_large = || {
        Answer::error(
            500,
            "AuthUserinfoResponseSizeExceeded: claims and access token have more than 11 KB",
        )
    };
    if session.is_too_large() {
        return Err(too_large());
    }
    let mut lines = session
        .cookies(login, &returned.balancer, &shared.seals, now)
        .ok_or_else(too_large)?;
    lines.extend(taken_back_after(&lines, &returned.stale));
    let mut answer = Answer::redirect(302, returned.location);
    answer.reason = "the user has logged in and is sent on".into();
    answer.cookies = header_lines(lines);
    Ok(answer)
}

/// The session as it goes on with new tokens.
async fn renew(shared: &Shared, refresh: &Refresh) -> Result<UserSession, Answer> {
    let Refresh {
        login,
        session: old,
    } = refresh;
    let refresh_token = old.refresh_token.as_deref().unwrap_or_default();
    let granted = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    let tokens = tokens(shared, login, &granted).await?;
    let mut session = session(shared, login, &tokens).await?;
    session.ends = old.ends;
    session.refresh_token = session.refresh_token.or_else(|| old.refresh_token.clone());
    if session.subject() != old.subject() || session.is_too_large() {
        return Err(Answer::error(561, "the provider speaks of another user"));
    }
    Ok(session)
}

/// What the token endpoint gives.
async fn tokens(
    shared: &Shared,
    login: &Login,
    granted: &[(&str, &str)],
) -> Result<Map<String, Value>, Answer> {
    let part = |text: &str| percent_encode(text, b"");
    let secret = login.client_secret.reveal();
    let credentials = format!("{}:{}", part(&login.client_id), part(secret));
    let request = Request::post("/")
        .header(
            AUTHORIZATION,
            format!("Basic {}", BASE64_STANDARD.encode(credentials)),
        )
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::from(form(granted.iter().copied()))));
    let (status, body) = answered(shared, login, &login.token_endpoint, request, "TokenEp").await?;
    let fields = serde_json::from_slice(&body).ok();
    if status.is_success() {
        return fields
            .filter(|fields: &Map<String, Value>| fields["access_token"].is_string())
            .ok_or_else(|| Answer::error(561, "AuthInvalidTokenResponse: it has no access token"));
    }
    let error = fields
        .as_ref()
        .and_then(|fields| fields.get("error")?.as_str())
        .unwrap_or("no error code");
    if error == "invalid_grant" {
        return Err(Answer::error(
            401,
            "AuthInvalidGrantError: the token endpoint does not take the code",
        ));
    }
    Err(Answer::error(
        561,
        format!("AuthTokenEpRequestFailed: the token endpoint answers {status}, {error}"),
    ))
}

/// A session, whose end is still to be set, by the claims of its user.
async fn session(
    shared: &Shared,
    login: &Login,
    tokens: &Map<String, Value>,
) -> Result<UserSession, Answer> {
    let access_token = tokens["access_token"].as_str().unwrap_or_default();
    let request = Request::get("/")
        .header(AUTHORIZATION, format!("Bearer {access_token}"))
        .header(ACCEPT, "application/json")
        .body(Full::default());
    let endpoint = &login.user_info_endpoint;
    let (status, body) = answered(shared, login, endpoint, request, "UserinfoEp").await?;
    if !status.is_success() {
        return Err(Answer::error(
            561,
            format!("AuthUserinfoEpRequestFailed: the user info endpoint answers {status}"),
        ));
    }
    let claims: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
    let claims = claims.filter(|claims| claims.get("sub").is_some_and(Value::is_string));
    let claims = claims
        .ok_or_else(|| Answer::error(561, "AuthInvalidUserinfoResponse: it has no claim 'sub'"))?;
    let text = |name: &str| tokens.get(name)?.as_str().map(str::to_owned);
    let lasts = tokens.get("expires_in").and_then(Value::as_i64);
    let now = shared.state.now().as_second();
    Ok(UserSession {
        realm: login.realm(),
        claims,
        access_token: access_token.to_owned(),
        expires: lasts.map(|seconds| now.saturating_add(seconds)),
        refresh_token: text("refresh_token"),
        ends: now,
    })
}

/// Whatever the endpoint of a provider answers.
async fn answered(
    shared: &Shared,
    login: &Login,
    url: &str,
    request: Result<Request<Full<Bytes>>, axum::http::Error>,
    endpoint: &str,
) -> Result<(StatusCode, Bytes), Answer> {
    let failed = |what: &dyn std::fmt::Display, kind: &str| {
        Answer::error(500, format!("Auth{endpoint}Request{kind}: {url} {what}"))
    };
    let request = request.map_err(|error| failed(&error, "Failed"))?;
    let answer = call(shared, &login.issuer, url, request, MOST).await;
    answer.map_err(|failure| {
        let kind = match failure {
            Failure::Timeout => "Timeout",
            _ => "Failed",
        };
        failed(&failure, kind)
    })
}

/// The keys at a URL, or those that were declared for the issuer.
///
/// Errors, in words, where they cannot be had.
async fn keys(shared: &Shared, issuer: &str, url: &str) -> Result<Vec<Value>, String> {
    let declared = shared.state.everywhere(|states| {
        let issuer = states.first()?.outside.issuer(issuer)?;
        issuer.jwks().filter(|_| issuer.reachable()).cloned()
    });
    let set = match declared {
        Some(set) => set,
        None => fetched(shared, issuer, url).await?,
    };
    let keys = set["keys"].as_array().cloned();
    let keys = keys.ok_or_else(|| format!("JWKSRequestFailed: {url} answers no set of keys"))?;
    if keys.len() > MOST_KEYS {
        return Err(format!(
            "JWKSResponseSizeExceeded: {url} has more than {MOST_KEYS} keys"
        ));
    }
    Ok(keys)
}

async fn fetched(shared: &Shared, issuer: &str, url: &str) -> Result<Value, String> {
    let request = Request::get("/")
        .header(ACCEPT, "application/json")
        .body(Full::default())
        .map_err(|error| error.to_string())?;
    match call(shared, issuer, url, request, MOST_OF_KEYS).await {
        Ok((status, body)) if status.is_success() => serde_json::from_slice(&body)
            .map_err(|_| format!("JWKSRequestFailed: {url} answers no JSON")),
        Ok((status, _)) => Err(format!("JWKSRequestFailed: {url} answers {status}")),
        Err(failure @ Failure::TooLarge(_)) => {
            Err(format!("JWKSResponseSizeExceeded: {url} {failure}"))
        }
        Err(failure @ Failure::Timeout) => Err(format!("JWKSRequestTimeout: {url} {failure}")),
        Err(failure) => Err(format!("JWKSRequestFailed: {url} {failure}")),
    }
}
