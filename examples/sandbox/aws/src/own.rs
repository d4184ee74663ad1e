//! Who may change the simulator: a page of somebody else that is open in a
//! browser on the same machine may not.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Refuses what changes something under `/_sim` when it names a host that is
/// not this machine, or comes from a page of another origin.
pub(crate) async fn own_only(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && request.uri().path().starts_with("/_sim/") {
        let host = authority(request.uri(), request.headers());
        if !is_own(&host) {
            return refused(&format!("the host '{host}' is not this machine"));
        }
        if let Some(origin) = request.headers().get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            if origin
                .split_once("://")
                .is_none_or(|(_, from)| from != host)
            {
                return refused(&format!("a page of {origin} may not change this"));
            }
        }
    }
    next.run(request).await
}

fn refused(why: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
}

fn authority(uri: &Uri, headers: &HeaderMap) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let named = uri
        .authority()
        .map(axum::http::uri::Authority::as_str)
        .or(host);
    named.unwrap_or_default().to_ascii_lowercase()
}

/// Whether an authority is this machine's loopback by name or address.
fn is_own(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_matches(|c| c == '[' || c == ']');
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_by_name_and_address() {
        for own in [
            "localhost",
            "localhost:4566",
            "127.0.0.1:1",
            "127.64.0.9",
            "[::1]:80",
            "a.localhost",
        ] {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "",
            "example.com",
            "localhost.example.com:80",
            "10.0.0.1",
            "evil:4566",
            "1.localhost.x",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
