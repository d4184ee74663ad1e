//! The services, how they are told apart on one port, and the form in which
//! each says no.

use axum::http::HeaderMap;
use serde_json::json;

use super::xml::Xml;
use crate::state::Refusal;

/// A service of AWS that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Elastic Load Balancing, version 2.
    Elb,
    /// EC2.
    Ec2,
    /// Security Token Service.
    Sts,
    /// Route 53.
    Route53,
    /// Certificate Manager.
    Acm,
}

impl Service {
    /// The name in the scope of signatures.
    pub fn scope(self) -> &'static str {
        match self {
            Self::Elb => "elasticloadbalancing",
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Route53 => "route53",
            Self::Acm => "acm",
        }
    }

    /// The XML namespace of its answers.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Elb => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
            Self::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::Route53 => "https://route53.amazonaws.com/doc/2013-04-01/",
            Self::Acm => "",
        }
    }

    /// The service of a form request, by its API version.
    pub fn of_version(version: &str) -> Option<Self> {
        match version {
            "2015-12-01" => Some(Self::Elb),
            "2016-11-15" => Some(Self::Ec2),
            "2011-06-15" => Some(Self::Sts),
            _ => None,
        }
    }

    /// The HTTP status that goes with an error code.
    pub fn status(self, code: &str) -> u16 {
        match (self, code) {
            (Self::Ec2, "RequestLimitExceeded" | "Unavailable") | (_, "ServiceUnavailable") => 503,
            (Self::Elb, "InsufficientCapacity" | "HealthUnavailable")
            | (_, "InternalFailure" | "InternalError" | "InternalServiceException") => 500,
            (Self::Elb, "PriorRequestNotComplete") => 429,
            (Self::Ec2, "AuthFailure") => 401,
            (Self::Ec2, "DryRunOperation") => 412,
            (
                Self::Route53,
                "NoSuchHostedZone"
                | "NoSuchChange"
                | "NoSuchHealthCheck"
                | "UnknownOperationException",
            ) => 404,
            (Self::Route53, "HostedZoneAlreadyExists") => 409,
            (Self::Acm, _) => 400,
            (
                _,
                "AccessDenied"
                | "UnauthorizedOperation"
                | "MissingAuthenticationToken"
                | "InvalidClientTokenId"
                | "ExpiredToken"
                | "SignatureDoesNotMatch"
                | "OptInRequired"
                | "IDPRejectedClaim",
            ) => 403,
            _ => 400,
        }
    }

    /// The refusal of an action that the service does not have.
    pub fn unknown_action(self, action: &str) -> Refusal {
        let code = match self {
            Self::Route53 | Self::Acm => "UnknownOperationException",
            _ => "InvalidAction",
        };
        Refusal::new(
            code,
            format!("The action {action} is not valid for this web service, or is not simulated"),
        )
    }

    /// The body of an error answer.
    pub fn error_body(self, refusal: &Refusal, status: u16, request_id: &str) -> String {
        let (code, message) = (refusal.code.as_ref(), refusal.message.as_str());
        match self {
            Self::Acm => json!({ "__type": code, "message": message }).to_string(),
            Self::Ec2 => {
                let mut xml = Xml::default();
                xml.nest("Response", |xml| {
                    xml.nest("Errors", |xml| {
                        xml.nest("Error", |xml| {
                            xml.leaf("Code", code).leaf("Message", message);
                        });
                    });
                    xml.leaf("RequestID", request_id);
                });
                document(xml)
            }
            _ => {
                let mut xml = Xml::default();
                let kind = if status >= 500 { "Receiver" } else { "Sender" };
                xml.root("ErrorResponse", self.namespace(), |xml| {
                    xml.nest("Error", |xml| {
                        xml.leaf("Type", kind)
                            .leaf("Code", code)
                            .leaf("Message", message);
                    });
                    xml.leaf("RequestId", request_id);
                });
                document(xml)
            }
        }
    }

    /// The content type of its answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Acm => "application/x-amz-json-1.1",
            Self::Ec2 => "text/xml;charset=UTF-8",
            _ => "text/xml",
        }
    }
}

/// The text of a document.
pub fn document(xml: Xml) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
        xml.into_text()
    )
}

/// The service in the scope of a signature, `None` without credentials.
/// SigV4A has no region in its scope, so the service is counted from the end.
pub fn scope_of(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let header = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split("Credential=").nth(1))
        .and_then(|rest| rest.split([',', ' ']).next())
        .map(str::to_owned);
    let credential = header.or_else(|| {
        super::params::decode_form(query.unwrap_or_default()).remove("X-Amz-Credential")
    })?;
    let parts: Vec<&str> = credential.split('/').collect();
    match parts.as_slice() {
        [key, .., service, "aws4_request"] if !key.is_empty() => Some((*service).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_scope_names_the_service() {
        let mut headers = HeaderMap::new();
        assert_eq!(scope_of(&headers, None), None);
        headers.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=x"
                .parse()
                .unwrap(),
        );
        assert_eq!(scope_of(&headers, None).as_deref(), Some("ec2"));
    }

    #[test]
    fn envelopes() {
        let refusal = Refusal::new("PriorityInUse", "a < b");
        let body = Service::Elb.error_body(&refusal, 400, "id");
        assert!(body.contains("<Code>PriorityInUse</Code><Message>a &lt; b</Message>"));
        assert!(body.contains("</Error><RequestId>id</RequestId></ErrorResponse>"));
        let body = Service::Ec2.error_body(&refusal, 400, "id");
        assert!(body.ends_with("<RequestID>id</RequestID></Response>"));
        let body = Service::Acm.error_body(&refusal, 400, "id");
        assert_eq!(body, r#"{"__type":"PriorityInUse","message":"a < b"}"#);
        assert_eq!(Service::Ec2.status("RequestLimitExceeded"), 503);
        assert_eq!(Service::Elb.status("Throttling"), 400);
    }
}
