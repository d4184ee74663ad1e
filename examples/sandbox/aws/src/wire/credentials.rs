//! Who signs: what stands in the scope of a signature, and how each family of
//! services refuses a caller.

use axum::http::HeaderMap;

use super::{model::Protocol, params, service::Service};
use crate::state::Refusal;

/// The scope of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Access key id.
    pub key: String,
    /// Region; empty in SigV4A, whose scope has none.
    pub region: String,
    /// Service.
    pub service: String,
}

impl Credentials {
    /// Reads the scope from the header or the query string; `None` without
    /// credentials.
    pub fn of(headers: &HeaderMap, query: Option<&str>) -> Option<Self> {
        let header = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split("Credential=").nth(1))
            .and_then(|rest| rest.split([',', ' ']).next())
            .map(str::to_owned);
        let credential = header.or_else(|| {
            params::decode_form(query.unwrap_or_default()).remove("X-Amz-Credential")
        })?;
        let parts: Vec<&str> = credential.split('/').collect();
        // The service is counted from the end.
        let (key, region, service) = match parts.as_slice() {
            [key, _, region, service, "aws4_request"] => (*key, *region, *service),
            [key, _, service, "aws4_request"] => (*key, "", *service),
            _ => return None,
        };
        (!key.is_empty()).then(|| Self {
            key: key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// The refusals of callers, by protocol as in aws.md 1.7.
impl Service {
    /// No credentials at all.
    pub fn no_credentials(self) -> Refusal {
        let text = "Request is missing Authentication Token";
        match self.protocol() {
            Protocol::Query => Refusal::new("MissingAuthenticationToken", text),
            Protocol::Ec2 => Refusal::new(
                "AuthFailure",
                "AWS was not able to validate the provided access credentials",
            ),
            Protocol::RestXml => Refusal::new("InvalidClientTokenId", text),
            Protocol::Json => Refusal::new("UnrecognizedClientException", text),
        }
    }

    /// A signature that is not the right one.
    pub fn bad_signature(self, text: String) -> Refusal {
        match self.protocol() {
            Protocol::Query | Protocol::RestXml => Refusal::new("SignatureDoesNotMatch", text),
            Protocol::Ec2 => Refusal::new("AuthFailure", text),
            Protocol::Json => Refusal::new("InvalidSignatureException", text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_scope_names_key_region_and_service() {
        let mut headers = HeaderMap::new();
        assert_eq!(Credentials::of(&headers, None), None);
        headers.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=x"
                .parse()
                .unwrap(),
        );
        let found = Credentials::of(&headers, None).unwrap();
        assert_eq!(
            (
                found.key.as_str(),
                found.region.as_str(),
                found.service.as_str()
            ),
            ("AKID", "us-east-1", "ec2")
        );
        let query = "X-Amz-Credential=AKID%2F20261123%2Fs3%2Faws4_request";
        headers.clear();
        assert_eq!(
            Credentials::of(&headers, Some(query)).unwrap().service,
            "s3"
        );
    }
}
