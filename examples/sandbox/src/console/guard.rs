//! Who may ask the console: its own pages, and programs of this machine. A
//! page of somebody else that is open in the same browser may not.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What a page may load: what comes from here, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Refuses what is not its own, and says to browsers what pages may do.
pub async fn guard(State(port): State<u16>, request: Request, next: Next) -> Response {
    let mut response = match refusal(port, request.method(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why a request is refused, if it is.
fn refusal(port: u16, method: &Method, headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| {
        let value = headers.get(name)?;
        Some(value.to_str().unwrap_or("?").to_ascii_lowercase())
    };
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let host = text("host").unwrap_or_default();
    if !own.contains(&host) {
        return Some(format!(
            "the console is asked for by its own address, 127.0.0.1:{port}, not as '{host}'"
        ));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    match text("origin") {
        Some(origin) if origin == format!("http://{host}") => None,
        Some(origin) => Some(format!("a page of {origin} may not change anything here")),
        // Browsers say where a request comes from, curl does not.
        None => text("sec-fetch-site").map(|site| {
            format!("a request without Origin may not come from a browser (Sec-Fetch-Site: {site})")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        refusal(9000, method, &headers).is_some()
    }

    #[test]
    fn only_its_own_pages_and_programs_of_this_machine_may_ask() {
        let own = ("host", "127.0.0.1:9000");
        let (get, post) = (&Method::GET, &Method::POST);
        assert!(!refused(get, &[own]));
        assert!(!refused(get, &[("host", "localhost:9000")]));
        for host in [
            "evil.example:9000",
            "127.0.0.1:80",
            "127.0.0.1",
            "localhost.evil.example:9000",
        ] {
            assert!(refused(get, &[("host", host)]), "{host}");
        }
        assert!(refused(get, &[]));
        assert!(!refused(post, &[own]), "curl");
        assert!(!refused(post, &[own, ("origin", "http://127.0.0.1:9000")]));
        for origin in [
            "null",
            "http://127.0.0.1:9001",
            "http://localhost:9000",
            "https://127.0.0.1:9000",
            "http://evil.example",
        ] {
            assert!(refused(post, &[own, ("origin", origin)]), "{origin}");
        }
        assert!(refused(post, &[own, ("sec-fetch-site", "cross-site")]));
        assert!(refused(post, &[own, ("sec-fetch-site", "same-origin")]));
    }
}
