//! Requests to services that are not simulated: an explicit refusal in the
//! protocol of the service that was meant, since SDKs try again after anything
//! that looks like an outage (aws.md 1.8).

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Method, StatusCode},
    response::Response,
};
use serde_json::json;

use super::{
    cbor,
    outgoing::plain,
    service::{error_response, unknown_in_version},
};
use crate::state::Refusal;

/// The status of every such refusal.
pub(super) const STATUS: u16 = 400;

/// The namespace of errors of awsQuery that belong to no service.
const FAULTS: &str = "http://webservices.amazon.com/AWSFault/2005-15-09";

/// The names in the scope of signatures of services that speak REST-XML.
const REST_XML: [&str; 5] = [
    "cloudfront",
    "s3",
    "s3-object-lambda",
    "s3-outposts",
    "s3express",
];

/// How a service that is not here speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Query,
    RestXml,
    RestJson,
    Json,
    Cbor,
}

/// A request that no service here is meant by.
#[derive(Debug)]
pub struct Stray {
    /// The service that its signature names.
    pub service: String,
    /// Operation, as far as it can be told.
    pub action: String,
    /// Parameters for the log, without secrets.
    pub shown: BTreeMap<String, String>,
    /// What it is told.
    pub refusal: Refusal,
    speech: Speech,
}

impl Stray {
    /// With a target of JSON.
    pub fn of_target(scope: Option<&str>, target: &str, shown: BTreeMap<String, String>) -> Self {
        Self::new(scope, target, Speech::Json, shown)
    }

    /// With a path of rpcv2Cbor.
    pub fn in_cbor(
        scope: Option<&str>,
        prefix: &str,
        action: &str,
        shown: BTreeMap<String, String>,
    ) -> Self {
        let target = format!("{prefix}.{action}");
        Self::new(scope, &target, Speech::Cbor, shown)
    }

    /// With a form that has an action; the version may be empty.
    pub fn in_form(
        scope: Option<&str>,
        action: &str,
        version: &str,
        shown: BTreeMap<String, String>,
    ) -> Self {
        Self {
            refusal: unknown_in_version(action, version),
            ..Self::new(scope, action, Speech::Query, shown)
        }
    }

    /// With nothing but method and path.
    pub fn at_path(scope: Option<&str>, method: &Method, path: &str) -> Self {
        let speech = match scope {
            Some(service) if !REST_XML.contains(&service) => Speech::RestJson,
            _ => Speech::RestXml,
        };
        let action = format!("{method} {path}");
        Self::new(scope, &action, speech, BTreeMap::new())
    }

    fn new(
        scope: Option<&str>,
        action: &str,
        speech: Speech,
        shown: BTreeMap<String, String>,
    ) -> Self {
        let refusal = Refusal::new(
            "UnknownOperationException",
            format!("The operation {action} is not known."),
        );
        Self {
            service: scope.unwrap_or("unknown").to_owned(),
            action: action.to_owned(),
            shown,
            refusal,
            speech,
        }
    }

    /// What goes back.
    pub fn answer(&self, id: &str) -> Response {
        let (code, message) = (self.refusal.code.as_ref(), &self.refusal.message);
        let named = json!({ "__type": code, "message": message });
        let response = Response::builder()
            .status(STATUS)
            .header("x-amzn-requestid", id);
        let (content_type, body) = match self.speech {
            Speech::Query | Speech::RestXml => (
                "text/xml",
                error_response(FAULTS, &self.refusal, STATUS, id).into_bytes(),
            ),
            Speech::RestJson => ("application/json", named.to_string().into_bytes()),
            Speech::Json => ("application/x-amz-json-1.1", named.to_string().into_bytes()),
            Speech::Cbor => ("application/cbor", cbor::write(&named, None)),
        };
        let response = match self.speech {
            Speech::RestJson => response.header("x-amzn-errortype", code),
            Speech::Cbor => response.header("smithy-protocol", "rpc-v2-cbor"),
            _ => response,
        };
        response
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap_or_else(|_| {
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the answer cannot be written",
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_speak_rest_differ_in_their_refusals() {
        let speech = |scope| Stray::at_path(scope, &Method::GET, "/clusters").speech;
        assert_eq!(speech(Some("eks")), Speech::RestJson);
        assert_eq!(speech(Some("lambda")), Speech::RestJson);
        assert_eq!(speech(Some("s3")), Speech::RestXml);
        assert_eq!(speech(None), Speech::RestXml);
    }

    #[test]
    fn a_form_is_told_its_action_and_version() {
        let stray = Stray::in_form(Some("autoscaling"), "Fly", "", BTreeMap::new());
        assert_eq!(
            (stray.service.as_str(), stray.action.as_str()),
            ("autoscaling", "Fly")
        );
        assert_eq!(stray.refusal.code, "InvalidAction");
        assert_eq!(
            stray.refusal.message,
            "Could not find operation Fly for version NO_VERSION_SPECIFIED"
        );
    }
}
