//! What the sandbox's pods answer: the images of the pods are not run, one of
//! two small web servers stands in for each.
//!
//! Which one is chosen by the annotation `sandbox/app` (`game` or `echo`) of
//! the pod, else by the image: `2048` in its name is the game, anything else
//! the echo. May use the network (it serves), nothing of Kubernetes or AWS.

pub mod echo;
pub mod game;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::USER_AGENT;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::kubelet::logs::Log;

/// The annotation of a pod that chooses its app over what its image says.
pub const APP_ANNOTATION: &str = "sandbox/app";

/// A web server that stands in for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// The 2048 game, to be played in a browser.
    Game,
    /// Answers each request with what it was, as JSON.
    Echo,
}

impl App {
    /// The app of a container: by annotation, else by image.
    pub fn of(image: &str, annotations: &BTreeMap<String, String>) -> Self {
        match annotations.get(APP_ANNOTATION).map(String::as_str) {
            Some("game") => Self::Game,
            Some("echo") => Self::Echo,
            _ if image.contains("2048") => Self::Game,
            _ => Self::Echo,
        }
    }
}

/// Who answers: the pod that an app plays.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Name of the pod.
    pub pod: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Node that the pod is bound to.
    pub node: String,
    /// Address of the pod in the VPC.
    pub address: String,
    /// Environment of the container, with field references resolved.
    pub environment: BTreeMap<String, String>,
}

struct Running {
    app: App,
    identity: Identity,
    log: Log,
}

/// Serves `app` on `listener` until `stop`; requests that are under way then
/// are still answered. Each request leaves a line in `log`.
///
/// # Errors
/// When the listener can take no more connections.
pub async fn serve(
    app: App,
    identity: Identity,
    listener: TcpListener,
    log: Log,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let running = Arc::new(Running { app, identity, log });
    let router = Router::new().fallback(answer).with_state(running);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn answer(State(running): State<Arc<Running>>, request: Request) -> Response {
    let line = format!(
        "{} {} host={}",
        request.method(),
        request.uri(),
        echo::host(&request)
    );
    let is_probe = is_probe(&request);
    let mut response = match running.app {
        App::Game => game::answer(&running.identity, &request),
        App::Echo => echo::answer(&running.identity, &request),
    };
    if !is_probe {
        let status = response.status().as_u16();
        running.log.line(&format!("{line} {status}"));
    }
    if let Ok(pod) = HeaderValue::from_str(&running.identity.pod) {
        response.headers_mut().insert("x-served-by", pod);
    }
    response
}

/// Probes come every second or so and would hide what people look for in a log.
fn is_probe(request: &Request) -> bool {
    request.headers().get(USER_AGENT).is_some_and(|agent| {
        let agent = agent.as_bytes();
        agent.starts_with(b"kube-probe/") || agent.starts_with(b"ELB-HealthChecker/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_wins_over_the_image() {
        let plain = BTreeMap::new();
        assert_eq!(App::of("example/2048:1", &plain), App::Game);
        assert_eq!(App::of("nginx:1.29", &plain), App::Echo);
        let echo = BTreeMap::from([(APP_ANNOTATION.to_owned(), "echo".to_owned())]);
        assert_eq!(App::of("example/2048:1", &echo), App::Echo);
        let game = BTreeMap::from([(APP_ANNOTATION.to_owned(), "game".to_owned())]);
        assert_eq!(App::of("nginx:1.29", &game), App::Game);
        let unknown = BTreeMap::from([(APP_ANNOTATION.to_owned(), "chess".to_owned())]);
        assert_eq!(App::of("example/2048:1", &unknown), App::Game);
    }
}
