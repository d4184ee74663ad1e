//! Which protocol clients and target groups speak with each other.
//!
//! Pure. Source: the matrix in aws.md 5.8.

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, Version};

use crate::state::TargetGroup;

/// The protocol version of a target group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
    Grpc,
}

impl Spoken {
    /// What the targets of a group speak.
    pub(crate) fn by(group: &TargetGroup) -> Self {
        match group.protocol_version.as_deref() {
            Some("HTTP2") => Self::Http2,
            Some("GRPC") => Self::Grpc,
            _ => Self::Http1,
        }
    }

    /// Whether requests go to the targets over HTTP/2.
    pub(crate) fn is_http2(self) -> bool {
        self != Self::Http1
    }

    /// Why a request cannot go to the targets: the load balancer answers 464.
    pub(crate) fn unfit(self, parts: &Parts) -> Option<&'static str> {
        let http2 = parts.version == Version::HTTP_2;
        match self {
            Self::Http1 if is_grpc(parts) => {
                Some("the request is gRPC, the target group speaks HTTP/1.1")
            }
            Self::Http2 | Self::Grpc if !http2 => {
                Some("the client speaks HTTP/1.1, the target group another version")
            }
            Self::Grpc if parts.method != Method::POST => {
                Some("the target group speaks gRPC and the request is no POST")
            }
            _ => None,
        }
    }
}

/// Whether a request is one of gRPC. gRPC-Web is not.
pub(crate) fn is_grpc(parts: &Parts) -> bool {
    let content_type = parts.headers.get(CONTENT_TYPE);
    let rest = content_type.and_then(|it| it.as_bytes().strip_prefix(b"application/grpc"));
    parts.version == Version::HTTP_2
        && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn who_speaks_with_whom() {
        use Spoken::{Grpc, Http1, Http2};
        let http2 = Version::HTTP_2;
        for (version, method, content_type, fit) in [
            (Version::HTTP_11, "GET", "text/plain", [true, false, false]),
            (
                Version::HTTP_11,
                "POST",
                "application/grpc",
                [true, false, false],
            ),
            (http2, "GET", "text/plain", [true, true, false]),
            (http2, "POST", "text/plain", [true, true, true]),
            (http2, "POST", "application/grpc", [false, true, true]),
            (http2, "POST", "application/grpc+proto", [false, true, true]),
            (http2, "POST", "application/grpc-web", [true, true, true]),
        ] {
            let request = Request::builder().method(method).version(version);
            let request = request.header("content-type", content_type).body(());
            let (parts, ()) = request.unwrap().into_parts();
            let got = [Http1, Http2, Grpc].map(|spoken| spoken.unfit(&parts).is_none());
            assert_eq!(got, fit, "{method} {version:?} {content_type}");
        }
    }
}
