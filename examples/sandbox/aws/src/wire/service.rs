//! The services, how they are told apart on one port, and the form in which
//! each says no.

use std::sync::OnceLock;

use serde_json::json;

use super::{
    model::{Model, Protocol},
    xml::Xml,
};
use crate::{
    authorization::{self, Denial},
    state::Refusal,
};

/// A service of AWS that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Elastic Load Balancing, version 2.
    Elb,
    /// EC2.
    Ec2,
    /// Security Token Service.
    Sts,
    /// Identity and Access Management: server certificates.
    Iam,
    /// Route 53.
    Route53,
    /// Certificate Manager.
    Acm,
    /// WAF.
    WafV2,
    /// WAF Classic of a region.
    WafRegional,
    /// Shield Advanced.
    Shield,
    /// Resource Groups Tagging.
    Tagging,
    /// Cognito user pools.
    Cognito,
}

/// The services that take forms, by the API version that tells them apart.
const VERSIONS: [(&str, Service); 4] = [
    ("2015-12-01", Service::Elb),
    ("2016-11-15", Service::Ec2),
    ("2011-06-15", Service::Sts),
    ("2010-05-08", Service::Iam),
];

impl Service {
    /// Whether its answers may have secrets in them.
    pub fn has_secrets(self) -> bool {
        matches!(self, Self::Sts | Self::Iam | Self::Acm | Self::Cognito)
    }

    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Elb,
        Self::Ec2,
        Self::Sts,
        Self::Iam,
        Self::Route53,
        Self::Acm,
        Self::WafV2,
        Self::WafRegional,
        Self::Shield,
        Self::Tagging,
        Self::Cognito,
    ];

    /// The name in the scope of signatures.
    pub fn scope(self) -> &'static str {
        match self {
            Self::Elb => "elasticloadbalancing",
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Route53 => "route53",
            Self::Acm => "acm",
            Self::WafV2 => "wafv2",
            Self::WafRegional => "waf-regional",
            Self::Shield => "shield",
            Self::Tagging => "tagging",
            Self::Cognito => "cognito-idp",
        }
    }

    /// Whether there is one of it for all regions.
    pub fn is_global(self) -> bool {
        matches!(self, Self::Sts | Self::Iam | Self::Route53 | Self::Shield)
    }

    /// Whether its calls name things of other regions and accounts.
    pub fn looks_elsewhere(self) -> bool {
        matches!(self, Self::Route53 | Self::Shield | Self::Acm | Self::Iam)
    }

    /// What it says about itself.
    pub fn model(self) -> &'static Model {
        static MODELS: [OnceLock<Model>; 11] = [const { OnceLock::new() }; 11];
        MODELS[self as usize].get_or_init(|| Model::read(self.model_text()))
    }

    fn model_text(self) -> &'static str {
        match self {
            Self::Elb => include_str!("../../models/elbv2.json"),
            Self::Ec2 => include_str!("../../models/ec2.json"),
            Self::Sts => include_str!("../../models/sts.json"),
            Self::Iam => include_str!("../../models/iam.json"),
            Self::Route53 => include_str!("../../models/route53.json"),
            Self::Acm => include_str!("../../models/acm.json"),
            Self::WafV2 => include_str!("../../models/wafv2.json"),
            Self::WafRegional => include_str!("../../models/waf-regional.json"),
            Self::Shield => include_str!("../../models/shield.json"),
            Self::Tagging => include_str!("../../models/resourcegroupstaggingapi.json"),
            Self::Cognito => include_str!("../../models/cognito-idp.json"),
        }
    }

    /// The XML namespace of its answers.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Elb => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
            Self::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Route53 => super::model::NAMESPACE,
            _ => "",
        }
    }

    /// The service of a form request, by its API version.
    pub fn of_version(version: &str) -> Option<Self> {
        let mut versions = VERSIONS.iter();
        versions
            .find(|(known, _)| *known == version)
            .map(|(_, service)| *service)
    }

    /// The API version of a service that takes forms; empty for the others.
    fn version(self) -> &'static str {
        let mut versions = VERSIONS.iter();
        versions
            .find(|(_, service)| *service == self)
            .map_or("", |(version, _)| *version)
    }

    /// The service and the operation of an `X-Amz-Target`.
    pub fn of_target(target: &str) -> Option<(Self, &str)> {
        let (prefix, action) = target.split_once('.')?;
        Some((Self::of_prefix(prefix)?, action))
    }

    /// The target prefix and the operation in a path of rpcv2Cbor.
    pub fn path_of_cbor(path: &str) -> Option<(&str, &str)> {
        let (_, rest) = path.split_once("/service/")?;
        rest.split_once("/operation/")
    }

    /// The service of a target prefix, if it speaks rpcv2Cbor; only some do.
    pub fn in_cbor(prefix: &str) -> Option<Self> {
        let service = Self::of_prefix(prefix)?;
        matches!(service, Self::Shield | Self::Tagging).then_some(service)
    }

    /// The service of that name in the scope of a signature.
    pub fn of_scope(scope: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|service| service.scope() == scope)
    }

    fn of_prefix(prefix: &str) -> Option<Self> {
        Some(match prefix {
            "CertificateManager" => Self::Acm,
            "AWSWAF_20190729" => Self::WafV2,
            "AWSWAF_Regional_20161128" => Self::WafRegional,
            "AWSShield_20160616" => Self::Shield,
            "ResourceGroupsTaggingAPI_20170126" => Self::Tagging,
            "AWSCognitoIdentityProviderService" => Self::Cognito,
            _ => return None,
        })
    }

    /// How it speaks.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Elb | Self::Sts | Self::Iam => Protocol::Query,
            Self::Ec2 => Protocol::Ec2,
            Self::Route53 => Protocol::RestXml,
            _ => Protocol::Json,
        }
    }

    /// The HTTP status that goes with an error code: what the service declares,
    /// else what the errors that any operation may raise have.
    pub fn status(self, code: &str) -> u16 {
        match (self.protocol(), code) {
            (Protocol::Ec2, "RequestLimitExceeded" | "Unavailable") | (_, "ServiceUnavailable") => {
                return 503;
            }
            (_, "InternalFailure" | "InternalError" | "InternalServiceException") => return 500,
            (Protocol::Ec2, "AuthFailure" | "OptInRequired") => return 401,
            (Protocol::Ec2, "DryRunOperation") => return 412,
            (Protocol::RestXml, "UnknownOperationException") => return 404,
            _ => {}
        }
        if let Some(status) = self.model().errors.get(code) {
            return *status;
        }
        match (self.protocol(), code) {
            (Protocol::Json, _) => 400,
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
        match self.protocol() {
            Protocol::Query => unknown_in_version(action, self.version()),
            Protocol::Ec2 => Refusal::new(
                "InvalidAction",
                format!("The action {action} is not valid for this web service."),
            ),
            Protocol::RestXml => Refusal::new(
                "UnknownOperationException",
                format!("There is no operation {action}."),
            ),
            Protocol::Json => Refusal::new(
                "UnknownOperationException",
                format!("The operation {action} is not known."),
            ),
        }
    }

    /// The refusal of an action in a version that the service is not served in;
    /// empty when none was sent.
    pub fn unknown_version(self, action: &str, version: &str) -> Refusal {
        match self.protocol() {
            Protocol::Query => unknown_in_version(action, version),
            _ if version.is_empty() => self.missing("Version"),
            _ => self.unknown_action(action),
        }
    }

    /// The refusal of a call that policies do not let through.
    pub fn denied(self, denial: &Denial) -> Refusal {
        match self {
            Self::Ec2 => Refusal::new(
                "UnauthorizedOperation",
                format!(
                    "You are not authorized to perform this operation. Encoded authorization failure message: {}",
                    authorization::encode(denial)
                ),
            ),
            Self::Elb | Self::Sts | Self::Iam | Self::Route53 => {
                Refusal::new("AccessDenied", denial.text())
            }
            _ => Refusal::new("AccessDeniedException", denial.text()),
        }
    }

    /// The refusal of a request without a parameter that has to be there.
    pub fn missing(self, name: &str) -> Refusal {
        match self.protocol() {
            Protocol::Ec2 => Refusal::new(
                "MissingParameter",
                format!("The request must contain the parameter {name}"),
            ),
            _ => Refusal::new(
                self.missing_code(),
                format!(
                    "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
                ),
            ),
        }
    }

    /// The body of an error answer.
    pub fn error_body(self, refusal: &Refusal, status: u16, request_id: &str) -> String {
        let (code, message) = (refusal.code.as_ref(), refusal.message.as_str());
        match self.protocol() {
            Protocol::Json => json!({ "__type": code, "message": message }).to_string(),
            Protocol::Ec2 => {
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
            Protocol::Query | Protocol::RestXml => {
                error_response(self.namespace(), refusal, status, request_id)
            }
        }
    }

    /// The content type of its answers.
    pub fn content_type(self) -> &'static str {
        match self.protocol() {
            Protocol::Json => "application/x-amz-json-1.1",
            Protocol::Ec2 => "text/xml;charset=UTF-8",
            Protocol::Query | Protocol::RestXml => "text/xml",
        }
    }
}

/// The refusal of awsQuery for what a version does not have.
pub(super) fn unknown_in_version(action: &str, version: &str) -> Refusal {
    let version = if version.is_empty() {
        "NO_VERSION_SPECIFIED"
    } else {
        version
    };
    Refusal::new(
        "InvalidAction",
        format!("Could not find operation {action} for version {version}"),
    )
}

/// The error document of awsQuery and of REST-XML.
pub(super) fn error_response(
    namespace: &str,
    refusal: &Refusal,
    status: u16,
    request_id: &str,
) -> String {
    let mut xml = Xml::default();
    let kind = if status >= 500 { "Receiver" } else { "Sender" };
    xml.root("ErrorResponse", namespace, |xml| {
        xml.nest("Error", |xml| {
            xml.leaf("Type", kind)
                .leaf("Code", refusal.code.as_ref())
                .leaf("Message", refusal.message.as_str());
        });
        xml.leaf("RequestId", request_id);
    });
    document(xml)
}

/// The text of a document.
pub fn document(xml: Xml) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
        xml.into_text()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes() {
        let refusal = Refusal::new("PriorityInUse", "a < b");
        let body = Service::Elb.error_body(&refusal, 400, "id");
        assert!(body.contains("<Code>PriorityInUse</Code><Message>a &lt; b</Message>"));
        assert!(body.contains("</Error><RequestId>id</RequestId></ErrorResponse>"));
        let body = Service::Ec2.error_body(&refusal, 400, "id");
        assert!(body.ends_with("<RequestID>id</RequestID></Response>"));
        for service in [Service::Acm, Service::WafV2] {
            let body = service.error_body(&refusal, 400, "id");
            assert_eq!(body, r#"{"__type":"PriorityInUse","message":"a < b"}"#);
        }
    }

    #[test]
    fn statuses() {
        for (service, code, status) in [
            (Service::Ec2, "RequestLimitExceeded", 503),
            (Service::Ec2, "AuthFailure", 401),
            (Service::Elb, "Throttling", 400),
            (Service::Elb, "PriorRequestNotComplete", 429),
            (Service::Elb, "InsufficientCapacity", 500),
            (Service::Elb, "AccessDenied", 403),
            (Service::Route53, "NoSuchHostedZone", 404),
            (Service::Route53, "HostedZoneAlreadyExists", 409),
            (Service::Route53, "InvalidChangeBatch", 400),
            (Service::Route53, "PriorRequestNotComplete", 400),
            (Service::WafV2, "WAFInternalErrorException", 500),
            (Service::Acm, "AccessDeniedException", 400),
            (Service::Sts, "IDPRejectedClaim", 403),
        ] {
            assert_eq!(service.status(code), status, "{service:?} {code}");
        }
    }

    #[test]
    fn the_model_agrees_on_the_protocol() {
        for service in Service::ALL {
            assert_eq!(service.protocol(), service.model().protocol, "{service:?}");
        }
    }
}
