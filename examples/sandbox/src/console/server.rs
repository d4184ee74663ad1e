//! The console's HTTP: its page, the stream, and what the page asks for.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::account;
use super::actions::{Action, Actions};
use super::assets;
use super::guard::guard;
use super::hub::{Hub, Message};
use super::plan::{Plan, Planner};
use crate::request::{Asked, Told};

/// Lines of a log that are shown where nobody says how many.
const TAIL: i64 = 200;
/// Most lines of a log.
const MOST: i64 = 5_000;

/// What requests are answered from.
#[derive(Clone)]
pub struct Site {
    /// What is shown.
    pub hub: Hub,
    /// Kubernetes.
    pub client: Client,
    /// The AWS simulator.
    pub aws: String,
    /// What can be tried.
    pub actions: Actions,
    /// Tells what the controller would do.
    pub planner: Option<Planner>,
}

/// A refusal as the page reads it.
pub type Refused = (StatusCode, axum::Json<serde_json::Value>);

/// A refusal in a sentence.
pub fn refused(status: StatusCode, why: &str) -> Refused {
    (status, axum::Json(serde_json::json!({ "error": why })))
}

/// The console's routes, for the port that it listens on.
pub fn router(site: Arc<Site>, port: u16) -> Router {
    Router::new()
        .route("/api/stream", get(follow))
        .route("/api/pods/{namespace}/{name}/log", get(log))
        .route("/api/request", post(request))
        .route("/api/actions", get(actions))
        .route("/api/actions/{id}", post(try_out))
        .route("/api/plan", post(plan))
        .fallback(get(asset))
        .with_state(site)
        .layer(from_fn_with_state(port, guard))
}

/// A file of the page.
async fn asset(request: axum::extract::Request) -> Response {
    match assets::asset(request.uri().path()) {
        Some((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such page here\n").into_response(),
    }
}

/// All that is shown, and then what changes.
async fn follow(
    State(site): State<Arc<Site>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (first, receiver) = site.hub.subscribe();
    let following = stream::unfold((site, receiver), |(site, mut receiver)| async move {
        let messages = match receiver.recv().await {
            Ok(message) => vec![message],
            // Too slow: from the beginning.
            Err(RecvError::Lagged(_)) => {
                let (all, anew) = site.hub.subscribe();
                receiver = anew;
                all
            }
            Err(RecvError::Closed) => return None,
        };
        Some((stream::iter(messages), (site, receiver)))
    });
    let messages = stream::iter(first).chain(following.flatten());
    let events = messages.map(|Message { event, data }| {
        let event = Event::default().event(event).data(&*data);
        Ok(event)
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Sends a request through a load balancer. The body is read as JSON whatever
/// its media type says.
async fn request(State(site): State<Arc<Site>>, body: String) -> Result<axum::Json<Told>, Refused> {
    let bad = |why: &str| refused(StatusCode::BAD_REQUEST, why);
    let asked: Asked = serde_json::from_str(&body)
        .map_err(|error| bad(&format!("cannot read the request: {error}")))?;
    // Now, and not as of the last picture.
    let resources = account::resources(&site.aws)
        .await
        .map_err(|error| refused(StatusCode::BAD_GATEWAY, &format!("{error:#}")))?;
    let picture = site.hub.look(|picture, _, _| picture.clone());
    let told = crate::request::send(&site.aws, &asked, &resources, &picture).await;
    told.map(axum::Json).map_err(|why| bad(&why))
}

/// What can be tried.
async fn actions(State(site): State<Arc<Site>>) -> axum::Json<Vec<Action>> {
    axum::Json(site.actions.list(&site.hub))
}

async fn try_out(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<axum::Json<serde_json::Value>, Refused> {
    match site.actions.try_out(&site.hub, &id).await {
        Some(Ok(said)) => Ok(axum::Json(serde_json::json!({ "said": said.trim() }))),
        Some(Err(error)) => Err(refused(StatusCode::CONFLICT, &format!("{error:#}"))),
        None => Err(refused(
            StatusCode::NOT_FOUND,
            &format!("there is no '{id}' to try"),
        )),
    }
}

#[derive(Deserialize)]
struct Wanted {
    tail: Option<i64>,
}

/// The last lines of a Pod's log, of all its containers.
async fn log(
    State(site): State<Arc<Site>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<String, Refused> {
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &namespace);
    let missing = |why: String| refused(StatusCode::NOT_FOUND, &why);
    // They become a path of the API server.
    let is_name = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
    };
    if !is_name(&namespace) || !is_name(&name) {
        return Err(missing(format!("'{namespace}/{name}' can be no Pod")));
    }
    let pod = pods
        .get_opt(&name)
        .await
        .map_err(|error| refused(StatusCode::BAD_GATEWAY, &error.to_string()))?
        .ok_or_else(|| {
            missing(format!(
                "there is no Pod {namespace}/{name}; a Pod that is gone has no log"
            ))
        })?;
    let containers: Vec<String> = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| container.name.clone())
        .collect();
    let several = containers.len() > 1;
    let mut text = String::new();
    for container in containers {
        let parameters = LogParams {
            container: Some(container.clone()),
            tail_lines: Some(wanted.tail.unwrap_or(TAIL).clamp(1, MOST)),
            ..LogParams::default()
        };
        let lines = pods
            .logs(&name, &parameters)
            .await
            .map_err(|error| missing(error.to_string()))?;
        if several {
            text.extend(["# ", &container, "\n"]);
        }
        text.push_str(&lines);
    }
    Ok(text)
}

#[derive(Deserialize)]
struct Manifests {
    yaml: String,
}

/// What would change if these manifests were applied. The body is read as JSON
/// whatever its media type says.
async fn plan(State(site): State<Arc<Site>>, body: String) -> Result<Json<Plan>, Refused> {
    let manifests: Manifests = serde_json::from_str(&body).map_err(|error| {
        let why = format!("cannot read what would be applied: {error}");
        refused(StatusCode::BAD_REQUEST, &why)
    })?;
    let planner = site.planner.as_ref().ok_or_else(|| {
        let why = "the program of the controller is not known here";
        refused(StatusCode::NOT_FOUND, why)
    })?;
    let planned = planner.plan(&manifests.yaml).await;
    let why =
        |error: anyhow::Error| refused(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error:#}"));
    planned.map(Json).map_err(why)
}
