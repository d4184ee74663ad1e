//! `/_sim/addresses`, `/_sim/endpoints`, `/_sim/request`, `/_sim/requests` and
//! `/_sim/health`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::addresses::Addresses;
use super::ask::ask;
use super::force::force;
use super::requests::{Entry, Requests};
use super::{Endpoints, Plane};

/// A listener and the socket that serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// ARN of the load balancer.
    pub load_balancer: String,
    /// Name of the load balancer.
    pub name: String,
    /// DNS name of the load balancer.
    pub dns_name: String,
    /// Port of the listener as AWS holds it.
    pub port: u16,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// Where to connect.
    pub socket: SocketAddr,
}

pub(super) fn router(plane: &Plane) -> Router {
    let addresses = Router::new()
        .route("/_sim/addresses", get(list).post(change))
        .with_state(plane.addresses().clone());
    let endpoints = Router::new()
        .route("/_sim/endpoints", get(endpoints))
        .with_state(plane.shared.endpoints.clone());
    let asking = Router::new()
        .route("/_sim/request", post(ask))
        .with_state(plane.shared.clone());
    let requests = Router::new()
        .route("/_sim/requests", get(requests))
        .with_state(plane.shared.requests.clone());
    let health = Router::new()
        .route("/_sim/health", post(force))
        .with_state(plane.shared.state.clone());
    addresses
        .merge(endpoints)
        .merge(asking)
        .merge(requests)
        .merge(health)
        .merge(crate::issuer::router(&plane.shared.issuer))
}

async fn list(State(addresses): State<Addresses>) -> Json<BTreeMap<String, SocketAddr>> {
    Json(addresses.all())
}

/// Takes every entry or, when one is wrong, none. The body is read as JSON
/// whatever its media type says, so that plain `curl -d` works.
async fn change(
    State(addresses): State<Addresses>,
    body: Bytes,
) -> Result<Json<BTreeMap<String, SocketAddr>>, (StatusCode, String)> {
    let entries: BTreeMap<String, Option<SocketAddr>> =
        serde_json::from_slice(&body).map_err(|error| {
            let expected = r#"{"10.0.48.11:8080": "127.0.0.1:40001"}, null removes"#;
            let text = format!("cannot read the addresses: {error}; expected {expected}\n");
            (StatusCode::BAD_REQUEST, text)
        })?;
    addresses
        .set_all(&entries)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
    Ok(Json(addresses.all()))
}

async fn endpoints(State(endpoints): State<Endpoints>) -> Json<Vec<Endpoint>> {
    Json(endpoints.all())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    /// Only requests with a greater number.
    #[serde(default)]
    after: u64,
}

/// The access log, oldest first: the latest 10,000 requests to the listeners.
async fn requests(
    State(requests): State<Requests>,
    Query(After { after }): Query<After>,
) -> Json<Vec<Entry>> {
    Json(requests.after(after))
}
