//! The 2048 game: one page that needs nothing but itself, and the small JSON
//! answer by which the page shows which pod served it.

use axum::Json;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Identity;

/// The page of the game.
pub const PAGE: &str = include_str!("2048.html");

/// Answers with the page at every path, so that it can be put behind any path
/// of an Ingress; `served-by` and `healthz` at the end of a path are the pod's
/// description and a health answer.
pub fn answer(identity: &Identity, request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    match request.uri().path().rsplit('/').next() {
        Some("served-by") => (
            [(header::CACHE_CONTROL, "no-store")],
            Json(json!({
                "pod": identity.pod,
                "namespace": identity.namespace,
                "node": identity.node,
                "address": identity.address,
            })),
        )
            .into_response(),
        Some("healthz") => "ok\n".into_response(),
        _ => (
            [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            PAGE,
        )
            .into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn ask(method: &str, path: &str) -> Response {
        let request = Request::builder().method(method).uri(path);
        answer(&Identity::default(), &request.body(Body::empty()).unwrap())
    }

    fn kind(response: &Response) -> &str {
        response.headers()[header::CONTENT_TYPE].to_str().unwrap()
    }

    #[test]
    fn the_page_is_served_behind_any_path() {
        assert_eq!(kind(&ask("GET", "/")), "text/html; charset=utf-8");
        assert_eq!(kind(&ask("GET", "/play/")), "text/html; charset=utf-8");
        assert_eq!(kind(&ask("GET", "/play/served-by")), "application/json");
        assert_eq!(ask("GET", "/healthz").status(), StatusCode::OK);
        assert_eq!(ask("POST", "/").status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for foreign in ["src=\"http", "href=\"http", "@import", "url(http"] {
            assert!(!PAGE.contains(foreign), "the page loads {foreign}");
        }
    }
}
