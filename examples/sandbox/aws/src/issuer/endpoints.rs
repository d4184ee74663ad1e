//! The endpoints of the test issuer, as OpenID Connect has them.

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::Issuer;
use super::realm::{Client, Realm};
use super::tokens::{Grant, key_set, unguessable};
use crate::dataplane::authentication::identity::signer;
use crate::url_encoding::{form, pairs, percent_decode};

/// A code is good for this long, in seconds.
const CODE: i64 = 300;

pub(super) fn router(issuer: &Issuer) -> Router {
    Router::new().fallback(serve).with_state(issuer.clone())
}

async fn serve(
    State(issuer): State<Issuer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = uri.authority().map(Authority::as_str);
    let authority = authority.or(host).unwrap_or_default();
    let path = uri.path();
    let last = path.rsplit('/').next().unwrap_or_default();
    if authority.starts_with("public-keys.auth.elb.") {
        return public_key(last);
    }
    let Some(realm) = issuer.realm(authority) else {
        return (StatusCode::NOT_FOUND, "no user pool has this domain\n").into_response();
    };
    match (&method, last) {
        (&Method::GET, "openid-configuration") => {
            Json(configuration(&realm, authority)).into_response()
        }
        (&Method::GET, "keys" | "jwks" | "jwks.json" | "certs") => Json(key_set()).into_response(),
        (&Method::GET, "authorize" | "auth") => authorize(&issuer, &realm, &uri),
        (&Method::POST, "token") => token(&issuer, &realm, &headers, &body),
        (&Method::GET | &Method::POST, "userinfo" | "userInfo") => user_info(&issuer, &headers),
        _ => (
            StatusCode::NOT_FOUND,
            "the test issuer has no such endpoint\n",
        )
            .into_response(),
    }
}

/// The key of load balancers, where they publish theirs.
pub(super) fn public_key(id: &str) -> Response {
    match signer().filter(|signer| signer.id == id) {
        Some(signer) => {
            let header = [(CONTENT_TYPE, "application/x-pem-file")];
            (header, signer.public_pem.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn configuration(realm: &Realm, authority: &str) -> Value {
    let origin = format!("https://{authority}");
    let base = if realm.pool.is_some() {
        format!("{origin}/oauth2")
    } else {
        origin.clone()
    };
    let user_info = if realm.pool.is_some() {
        "userInfo"
    } else {
        "userinfo"
    };
    json!({
        "issuer": realm.issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/{user_info}"),
        "jwks_uri": format!("{origin}/.well-known/jwks.json"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    })
}

/// Logs the user in and sends him back.
fn authorize(issuer: &Issuer, realm: &Realm, uri: &Uri) -> Response {
    let query = pairs(uri.query().unwrap_or_default());
    let sent = |name: &str| {
        let mut pairs = query.iter();
        let found = pairs.find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let refuse = |why: &str| (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
    let id = sent("client_id");
    let Some(client) = issuer.client(realm, id) else {
        return refuse("invalid_client: there is no client of this id");
    };
    let redirect_uri = sent("redirect_uri");
    let allowed = client.callbacks.as_ref();
    if redirect_uri.is_empty() || allowed.is_some_and(|all| all.iter().all(|it| it != redirect_uri))
    {
        return refuse("redirect_mismatch: the client does not have this callback URL");
    }
    let back = |with: &[(&str, &str)]| {
        let state = sent("state");
        let state = (!state.is_empty()).then_some(("state", state));
        let mark = if redirect_uri.contains('?') { '&' } else { '?' };
        let query = form(with.iter().copied().chain(state));
        let location = format!("{redirect_uri}{mark}{query}");
        (StatusCode::FOUND, [(LOCATION, location)]).into_response()
    };
    if sent("response_type") != "code" || !client.codes {
        return back(&[("error", "unauthorized_client")]);
    }
    let scope = sent("scope");
    if !in_scope(&client, scope) {
        return back(&[
            ("error", "invalid_request"),
            ("error_description", "invalid_scope"),
        ]);
    }
    let mut memory = issuer.memory();
    if let Some(error) = memory.settings.error.clone() {
        return back(&[("error", &error)]);
    }
    let mut claims = memory.settings.claims.clone();
    if realm.pool.is_some() {
        let subject = claims["sub"].clone();
        claims.entry("username").or_insert(subject);
    }
    let grant = Grant {
        issuer: realm.issuer.clone(),
        pool: realm.pool.is_some(),
        client: id.to_owned(),
        scope: scope.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        claims,
        at: issuer.state.now().as_second(),
    };
    let code = unguessable();
    memory.codes.insert(code.clone(), grant);
    drop(memory);
    back(&[("code", &code)])
}

fn in_scope(client: &Client, scope: &str) -> bool {
    let allowed = client.scopes.as_ref();
    allowed.is_none_or(|all| {
        scope
            .split(' ')
            .all(|it| all.iter().any(|scope| scope == it))
    })
}

/// An error of the token endpoint: its status and its code.
type Refused = (StatusCode, String);

fn token(issuer: &Issuer, realm: &Realm, headers: &HeaderMap, body: &str) -> Response {
    match granted(issuer, realm, headers, body) {
        Ok(tokens) => Json(tokens).into_response(),
        Err((status, error)) => (status, Json(json!({ "error": error }))).into_response(),
    }
}

fn granted(
    issuer: &Issuer,
    realm: &Realm,
    headers: &HeaderMap,
    body: &str,
) -> Result<Value, Refused> {
    let bad = |error: &str| (StatusCode::BAD_REQUEST, error.to_owned());
    let sent: Vec<(String, String)> = pairs(body);
    let sent = |name: &str| {
        let found = sent.iter().find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    if let Some(error) = issuer.memory().settings.token_error.clone() {
        return Err((status_of(&error), error));
    }
    let basic = headers
        .get(AUTHORIZATION)
        .and_then(|it| basic(it.to_str().ok()?));
    let (id, secret) = basic.unwrap_or_else(|| {
        (
            sent("client_id").to_owned(),
            sent("client_secret").to_owned(),
        )
    });
    let client = issuer.client(realm, &id);
    let known = client.filter(|client| client.secret.as_ref().is_none_or(|own| *own == secret));
    if known.is_none() || id.is_empty() {
        return Err((StatusCode::UNAUTHORIZED, "invalid_client".to_owned()));
    }
    let failed = || (StatusCode::INTERNAL_SERVER_ERROR, "server_error".to_owned());
    let now = issuer.state.now().as_second();
    match sent("grant_type") {
        "authorization_code" => {
            let grant = issuer.memory().codes.remove(sent("code"));
            let grant = grant.filter(|grant| {
                grant.client == id
                    && grant.redirect_uri == sent("redirect_uri")
                    && now - grant.at <= CODE
            });
            let grant = grant.ok_or_else(|| bad("invalid_grant"))?;
            issuer.tokens(&grant, None).ok_or_else(failed)
        }
        "refresh_token" => {
            let token = sent("refresh_token");
            let mut grant = issuer.memory().refresh_tokens.get(token).cloned();
            if let Some(grant) = &mut grant {
                // He may have another name by now.
                let claims = issuer.memory().settings.claims.clone();
                if claims["sub"] == grant.claims["sub"] {
                    grant.claims.extend(claims);
                }
            }
            let grant = grant.filter(|grant| grant.client == id);
            let grant = grant.ok_or_else(|| bad("invalid_grant"))?;
            issuer
                .tokens(&grant, Some(token.to_owned()))
                .ok_or_else(failed)
        }
        "client_credentials" => {
            let claims: Map<String, Value> = Map::from_iter([("sub".to_owned(), json!(id))]);
            let grant = Grant {
                issuer: realm.issuer.clone(),
                pool: realm.pool.is_some(),
                client: id,
                scope: sent("scope").to_owned(),
                redirect_uri: String::new(),
                claims,
                at: now,
            };
            issuer.tokens(&grant, None).ok_or_else(failed)
        }
        _ => Err(bad("unsupported_grant_type")),
    }
}

/// Client and secret of an `Authorization` header.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(credentials).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (percent_decode(id), percent_decode(secret)))
}

fn user_info(issuer: &Issuer, headers: &HeaderMap) -> Response {
    let refused = |error: &str| (status_of(error), Json(json!({ "error": error }))).into_response();
    let error = issuer.memory().settings.user_info_error.clone();
    if let Some(error) = error {
        return refused(&error);
    }
    let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let token = header.and_then(|header| header.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token.and_then(|(_, token)| issuer.claims(token.trim())) {
        Some(claims) => Json(claims).into_response(),
        None => refused("invalid_token"),
    }
}

fn status_of(error: &str) -> StatusCode {
    match error {
        "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
        "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
        "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}
