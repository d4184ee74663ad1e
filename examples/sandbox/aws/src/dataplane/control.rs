//! `/_sim/addresses` and `/_sim/endpoints`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::addresses::Addresses;
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
        .with_state(plane.endpoints.clone());
    addresses.merge(endpoints)
}

async fn list(State(addresses): State<Addresses>) -> Json<BTreeMap<String, SocketAddr>> {
    Json(addresses.all())
}

/// Takes every entry or, when one is wrong, none.
async fn change(
    State(addresses): State<Addresses>,
    Json(entries): Json<BTreeMap<String, Option<SocketAddr>>>,
) -> Result<Json<BTreeMap<String, SocketAddr>>, (StatusCode, String)> {
    addresses
        .set_all(&entries)
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Json(addresses.all()))
}

async fn endpoints(State(endpoints): State<Endpoints>) -> Json<Vec<Endpoint>> {
    Json(endpoints.all())
}
