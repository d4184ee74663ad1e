//! What goes back: answers and refusals in the protocol of their request, whole,
//! slowly, or not at all.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::Response,
};
use futures::StreamExt as _;
use serde_json::json;

use super::{
    Answered, MAX_BODY, cbor,
    incoming::Incoming,
    model::{Operation, Protocol, decode::Content},
    service::{Service, document},
    xml::Xml,
};
use crate::state::Refusal;

/// What goes back.
pub(super) struct Outgoing {
    pub(super) status: u16,
    pub(super) body: String,
    headers: Vec<(&'static str, String)>,
    /// The error code of a refusal.
    pub(super) code: Option<String>,
}

impl Outgoing {
    fn ok(body: String) -> Self {
        Self {
            status: 200,
            body,
            headers: Vec::new(),
            code: None,
        }
    }
}

/// The answer in the form of its protocol.
pub(super) fn envelope(
    service: Service,
    action: &str,
    operation: &Operation,
    answered: Answered,
    id: &str,
) -> Outgoing {
    let mut content = match answered {
        Answered::Json(value) => {
            // An operation without output has no body.
            let body = operation.output.as_ref().map(|_| value.to_string());
            return Outgoing::ok(body.unwrap_or_default());
        }
        Answered::Xml(content) => content,
    };
    let headers = content.take_headers();
    let content = content.into_text();
    let mut xml = Xml::default();
    xml.root(&format!("{action}Response"), service.namespace(), |xml| {
        match service.protocol() {
            Protocol::Query => {
                // Without output there is no result element, but in ELBv2.
                if let Some(wrapper) = &operation.wrapper {
                    xml.nest(wrapper, |xml| {
                        xml.embed(&content);
                    });
                }
                xml.nest("ResponseMetadata", |xml| {
                    xml.leaf("RequestId", id);
                });
            }
            Protocol::Ec2 => {
                xml.leaf("requestId", id).embed(&content);
            }
            Protocol::RestXml | Protocol::Json => {
                xml.embed(&content);
            }
        }
    });
    Outgoing {
        status: operation.status.unwrap_or(200),
        headers,
        ..Outgoing::ok(document(xml))
    }
}

pub(super) fn refused(
    service: Service,
    refusal: &Refusal,
    status: Option<u16>,
    id: &str,
) -> Outgoing {
    let status = status.unwrap_or_else(|| service.status(&refusal.code));
    Outgoing {
        status,
        body: service.error_body(refusal, status, id),
        headers: Vec::new(),
        code: Some(refusal.code.to_string()),
    }
}

/// An answer in the protocol of its request.
pub(super) fn written(incoming: &Incoming, outgoing: Outgoing, id: &str) -> Response {
    match incoming.content {
        Content::Cbor(_) => respond_in_cbor(incoming, outgoing, id),
        _ => respond(incoming.service, outgoing, id),
    }
}

fn respond(service: Service, outgoing: Outgoing, id: &str) -> Response {
    let mut response = Response::builder()
        .status(outgoing.status)
        .header("content-type", service.content_type())
        .header("x-amzn-requestid", id);
    for (name, value) in outgoing.headers {
        response = response.header(name, value);
    }
    response
        .body(Body::from(outgoing.body))
        .unwrap_or_else(|_| {
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer cannot be written",
            )
        })
}

/// The answer of a JSON service to a caller that speaks rpcv2Cbor.
fn respond_in_cbor(incoming: &Incoming, outgoing: Outgoing, id: &str) -> Response {
    let model = incoming.service.model();
    let operation = model.operations.get(&incoming.action);
    let output = operation
        .and_then(|operation| operation.output.as_deref())
        .and_then(|name| model.shape(name))
        .filter(|_| outgoing.code.is_none());
    let value = serde_json::from_str(&outgoing.body).unwrap_or_else(|_| json!({}));
    let body = cbor::write(&value, output.map(|shape| (model, shape)));
    let response = Response::builder()
        .status(outgoing.status)
        .header("content-type", "application/cbor")
        .header("smithy-protocol", "rpc-v2-cbor")
        .header("x-amzn-requestid", id)
        .body(Body::from(body));
    response.unwrap_or_else(|_| {
        plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the answer cannot be written",
        )
    })
}

/// An answer whose body comes in pieces over a time in milliseconds.
pub(super) fn slowly(response: Response, over_ms: u64) -> Response {
    const PIECES: u32 = 10;
    let pause = Duration::from_millis(over_ms) / PIECES;
    let (parts, body) = response.into_parts();
    let pieces = futures::stream::once(async move {
        let body = axum::body::to_bytes(body, MAX_BODY)
            .await
            .unwrap_or_default();
        let size = body.len().div_ceil(PIECES as usize).max(1);
        let pieces = body.chunks(size).map(Bytes::copy_from_slice);
        pieces.collect::<Vec<Bytes>>()
    });
    let paced = pieces
        .flat_map(futures::stream::iter)
        .then(move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<Bytes, std::io::Error>(piece)
        });
    Response::from_parts(parts, Body::from_stream(paced))
}

/// An answer that breaks off: the client sees a connection that was cut.
pub(super) fn cut() -> Response {
    let broken = futures::stream::once(async {
        Err::<Bytes, std::io::Error>(std::io::ErrorKind::ConnectionReset.into())
    });
    let mut response = Response::new(Body::from_stream(broken));
    response.headers_mut().insert("content-length", 1024.into());
    response
}

pub(super) fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
