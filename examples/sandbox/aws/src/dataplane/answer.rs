//! Answers that the load balancer gives itself: redirects, fixed responses, errors.
//!
//! Pure. The bodies have the exact bytes of an Application Load Balancer (a 301
//! is 134 bytes long, a 504 is 132), since people compare them.

use std::borrow::Cow;

use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SERVER, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, Uri};
use hyper::body::Bytes;

use crate::state::{FixedResponse, Redirect};

/// What the `Server` header of the load balancer's own answers says.
const SERVER_NAME: HeaderValue = HeaderValue::from_static("awselb/2.0");

/// One answer that no target gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: String,
    pub(crate) location: Option<String>,
    /// `Set-Cookie` lines.
    pub(crate) cookies: Vec<HeaderValue>,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Why it is given, in words.
    pub(crate) reason: Cow<'static, str>,
}

impl Answer {
    /// An error page of the load balancer, with the phrase that AWS uses for the status.
    pub(crate) fn error(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            content_type: Some("text/html".to_owned()),
            body: page(status),
            location: None,
            cookies: Vec::new(),
            headers: Vec::new(),
            reason: reason.into(),
        }
    }

    /// A redirect to `location`.
    pub(crate) fn redirect(status: u16, location: String) -> Self {
        Self {
            location: Some(location),
            ..Self::error(status, "the action of the rule redirects")
        }
    }

    /// The answer of a `fixed-response` action.
    pub(crate) fn fixed(response: &FixedResponse) -> Self {
        Self {
            status: response.status,
            content_type: response.content_type.clone(),
            body: response.body.clone().unwrap_or_default(),
            location: None,
            cookies: Vec::new(),
            headers: Vec::new(),
            reason: "the action of the rule is a fixed response".into(),
        }
    }

    /// The answer as HTTP. A value that cannot stand in a header makes it a 500,
    /// as an illegal result of a rule does.
    pub(crate) fn into_response(self, keep_alive: bool) -> Response<Bytes> {
        self.clone()
            .build(keep_alive)
            .or_else(|_| Self::error(500, self.reason).build(keep_alive))
            .unwrap_or_default()
    }

    fn build(self, keep_alive: bool) -> Result<Response<Bytes>, axum::http::Error> {
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.status)?)
            .header(SERVER, SERVER_NAME)
            .header(CONTENT_LENGTH, self.body.len());
        if let Some(content_type) = self.content_type {
            response = response.header(CONTENT_TYPE, content_type);
        }
        if let Some(location) = self.location {
            response = response.header(LOCATION, location);
        }
        for cookie in self.cookies {
            response = response.header(SET_COOKIE, cookie);
        }
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        if keep_alive {
            response = response.header(CONNECTION, "keep-alive");
        }
        response.body(Bytes::from(self.body))
    }
}

fn page(status: u16) -> String {
    let title = format!("{status} {}", phrase(status));
    let title = title.trim_end();
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
         <center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

fn phrase(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        401 => "Authorization Required",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        561 => "Authentication Error",
        other => StatusCode::from_u16(other)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default(),
    }
}

/// The request that a redirect is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedirectFrom<'a> {
    /// Of the listener: `http` or `https`.
    pub(crate) scheme: &'a str,
    /// Without port.
    pub(crate) host: &'a str,
    /// Of the listener, as its state says; not of the socket.
    pub(crate) port: u16,
    pub(crate) uri: &'a Uri,
}

impl RedirectFrom<'_> {
    /// The `Location` that a redirect gives for this request.
    ///
    /// The port is always written, also when it is the protocol's own; a query
    /// that is empty leaves no `?`. `#{path}` stands without its leading slash.
    pub(crate) fn location(self, to: &Redirect) -> String {
        let protocol = self.fill(&to.protocol).to_ascii_lowercase();
        let host = self.fill(&to.host);
        let port = self.fill(&to.port);
        let path = self.fill(&to.path);
        let query = self.fill(&to.query);
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{protocol}://{host}:{port}{path}{mark}{query}")
    }

    /// Replaces the placeholders of `text`, in one pass: what comes out of a
    /// request is not looked at again.
    fn fill(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("#{") {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some(end) = rest.find('}') else { break };
            let placeholder = &rest[..=end];
            match placeholder {
                "#{protocol}" => out.push_str(self.scheme),
                "#{host}" => out.push_str(self.host),
                "#{port}" => out.push_str(&self.port.to_string()),
                "#{path}" => out.push_str(self.uri.path().trim_start_matches('/')),
                "#{query}" => out.push_str(self.uri.query().unwrap_or_default()),
                other => out.push_str(other),
            }
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn same() -> Redirect {
        Redirect {
            protocol: "#{protocol}".to_owned(),
            port: "#{port}".to_owned(),
            host: "#{host}".to_owned(),
            path: "/#{path}".to_owned(),
            query: "#{query}".to_owned(),
            status: 301,
        }
    }

    fn location(to: &Redirect, uri: &str) -> String {
        let from = RedirectFrom {
            scheme: "http",
            host: "shop.example.com",
            port: 80,
            uri: &uri.parse().unwrap(),
        };
        from.location(to)
    }

    #[test]
    fn bodies_have_the_lengths_seen_at_aws() {
        assert_eq!(Answer::error(301, "x").body.len(), 134);
        assert_eq!(Answer::error(302, "x").body.len(), 110);
        assert_eq!(Answer::error(504, "x").body.len(), 132);
    }

    #[test]
    fn redirects() {
        let https = Redirect {
            protocol: "HTTPS".to_owned(),
            port: "443".to_owned(),
            ..same()
        };
        assert_eq!(
            location(&https, "/a/b?x=1&y=%20"),
            "https://shop.example.com:443/a/b?x=1&y=%20"
        );
        assert_eq!(location(&https, "/"), "https://shop.example.com:443/");
        let all = Redirect {
            host: "www.#{host}".to_owned(),
            path: "/#{port}/#{host}/#{path}/#{other}/#{".to_owned(),
            query: "#{query}&was=#{host}".to_owned(),
            ..same()
        };
        assert_eq!(
            location(&all, "/a?b=c"),
            "http://www.shop.example.com:80/80/shop.example.com/a/#{other}/#{?b=c&was=shop.example.com"
        );
        let elsewhere = Redirect {
            path: "/new".to_owned(),
            query: String::new(),
            ..same()
        };
        assert_eq!(
            location(&elsewhere, "/old?x=1"),
            "http://shop.example.com:80/new"
        );
    }

    #[test]
    fn answers_as_http() {
        let response = Answer::error(503, "x").into_response(true);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["server"], "awselb/2.0");
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.headers()["connection"], "keep-alive");
        assert!(
            std::str::from_utf8(response.body())
                .unwrap()
                .contains("503 Service Temporarily Unavailable")
        );

        let fixed = Answer::fixed(&FixedResponse {
            status: 404,
            body: None,
            content_type: Some("text/plain".to_owned()),
        })
        .into_response(false);
        assert_eq!(fixed.status(), 404);
        assert_eq!(fixed.headers()["content-length"], "0");
        assert!(!fixed.headers().contains_key("connection"));

        let broken = Answer::redirect(302, "http://a\nb/".to_owned()).into_response(false);
        assert_eq!(broken.status(), 500);
    }
}
