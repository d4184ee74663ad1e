//! `/_sim/issuer`: how the test issuer behaves, and tokens on demand; and
//! `/_sim/public-keys`, the key of load balancers.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Issuer;
use super::endpoints::public_key;
use super::settings::Settings;
use super::tokens::signed;

pub(crate) fn router(issuer: &Issuer) -> Router {
    Router::new()
        .route("/_sim/issuer", get(show).post(change))
        .route("/_sim/issuer/token", post(mint))
        .route("/_sim/public-keys/{id}", get(key))
        .with_state(issuer.clone())
}

type Refused = (StatusCode, String);

fn bad(why: &str) -> Refused {
    (StatusCode::BAD_REQUEST, format!("{why}\n"))
}

fn shown(issuer: &Issuer) -> Result<Json<Value>, Refused> {
    let settings = serde_json::to_value(&issuer.memory().settings);
    let mut shown = settings.map_err(|error| bad(&error.to_string()))?;
    shown["url"] = json!(issuer.url());
    Ok(Json(shown))
}

async fn show(State(issuer): State<Issuer>) -> Result<Json<Value>, Refused> {
    shown(&issuer)
}

/// Settings that are named change, `null` puts one back; all or none.
async fn change(State(issuer): State<Issuer>, body: String) -> Result<Json<Value>, Refused> {
    let given: Map<String, Value> =
        serde_json::from_str(&body).map_err(|error| bad(&error.to_string()))?;
    let mut memory = issuer.memory();
    let settings = serde_json::to_value(&memory.settings);
    let mut settings = settings.map_err(|error| bad(&error.to_string()))?;
    for (name, value) in given {
        match settings.as_object_mut() {
            Some(settings) if value.is_null() => drop(settings.remove(&name)),
            _ => settings[&name] = value,
        }
    }
    let settings: Settings =
        serde_json::from_value(settings).map_err(|error| bad(&error.to_string()))?;
    settings.check().map_err(|why| bad(&why))?;
    memory.settings = settings;
    drop(memory);
    shown(&issuer)
}

/// What a token on demand is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Claims besides `iss`, `sub`, `iat` and `exp`, or instead of them; `null`
    /// leaves one out.
    #[serde(default)]
    claims: Map<String, Value>,
    /// The key that it names, if another.
    kid: Option<String>,
}

/// A token that is signed as asked, for services that have one without a user.
async fn mint(State(issuer): State<Issuer>, body: String) -> Result<Json<Value>, Refused> {
    let wanted: Wanted = serde_json::from_str(&body).map_err(|error| bad(&error.to_string()))?;
    let now = issuer.state.now().as_second();
    let lasts = i64::from(issuer.memory().settings.expires_in);
    let mut claims = json!({
        "iss": issuer.url(),
        "sub": "service",
        "iat": now,
        "exp": now + lasts,
    });
    for (name, value) in wanted.claims {
        match claims.as_object_mut() {
            Some(claims) if value.is_null() => drop(claims.remove(&name)),
            _ => claims[&name] = value,
        }
    }
    let token = signed(&claims, wanted.kid.as_deref());
    let token = token.ok_or_else(|| bad("the key of the test issuer cannot be used"))?;
    Ok(Json(json!({ "token": token })))
}

async fn key(Path(id): Path<String>) -> Response {
    public_key(&id)
}
