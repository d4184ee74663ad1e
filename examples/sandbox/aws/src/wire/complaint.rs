//! How each family of services says that a request does not fit its model.

use std::fmt::Write;

use super::{
    model::{
        Protocol,
        check::{Path, Step, Violation, Wrong},
        decode::Malformed,
    },
    service::Service,
};
use crate::state::Refusal;

impl Service {
    /// The code for values that break the rules of the model.
    pub fn invalid_code(self) -> &'static str {
        match self {
            Self::Elb | Self::Sts | Self::Iam => "ValidationError",
            Self::Ec2 => "InvalidParameterValue",
            Self::Route53 => "InvalidInput",
            Self::Acm => "ValidationException",
            Self::WafV2 | Self::WafRegional => "WAFInvalidParameterException",
            Self::Shield | Self::Tagging | Self::Cognito => "InvalidParameterException",
        }
    }

    /// The code for parameters that have to be there and are not.
    pub fn missing_code(self) -> &'static str {
        match self {
            Self::Ec2 => "MissingParameter",
            Self::WafV2 | Self::WafRegional | Self::Shield | Self::Tagging => "ValidationException",
            _ => self.invalid_code(),
        }
    }

    /// A refusal of a value for a reason that the model does not state.
    pub fn invalid(self, text: impl Into<String>) -> Refusal {
        Refusal::new(self.invalid_code(), text)
    }

    /// The refusal of a token or marker that this service has not given out.
    pub fn bad_token(self, token: &str) -> Refusal {
        let code = match self {
            Self::Shield => "InvalidPaginationTokenException",
            other => other.invalid_code(),
        };
        Refusal::new(code, format!("The pagination token '{token}' is not valid"))
    }

    /// The refusal of a body that cannot be read as a whole.
    pub fn malformed(malformed: &Malformed) -> Refusal {
        match malformed {
            Malformed::Json(text) => Refusal::new("SerializationException", text.clone()),
            Malformed::Xml(root) => {
                let subject = root.strip_suffix("Request").unwrap_or(root);
                let subject = match subject {
                    "ChangeResourceRecordSets" => "ChangeBatch",
                    other => other,
                };
                Refusal::new(
                    "MalformedInput",
                    format!("{subject} is not valid, expected {root}"),
                )
            }
        }
    }

    /// The refusal of a request that does not fit its model.
    pub fn complain(self, violations: &[Violation]) -> Option<Refusal> {
        let first = violations.first()?;
        Some(match self.protocol() {
            Protocol::Ec2 => ec2(first),
            Protocol::Json => {
                let unreadable = violations
                    .iter()
                    .find(|violation| matches!(violation.wrong, Wrong::Unreadable { .. }));
                match unreadable.map(|violation| &violation.wrong) {
                    Some(Wrong::Unreadable { value, expected }) => Refusal::new(
                        "SerializationException",
                        format!("{value} can not be converted to {expected}"),
                    ),
                    _ => self.constraints(violations),
                }
            }
            _ => self.constraints(violations),
        })
    }

    /// All violations in one message, as the frameworks behind most services
    /// of AWS write them.
    fn constraints(self, violations: &[Violation]) -> Refusal {
        let missing = |violation: &Violation| violation.wrong == Wrong::Missing;
        let code = if violations.iter().all(missing) {
            self.missing_code()
        } else {
            self.invalid_code()
        };
        let unknown: Vec<String> = violations
            .iter()
            .filter(|violation| violation.wrong == Wrong::Unknown)
            .map(|violation| wire_name(&violation.path))
            .collect();
        if !unknown.is_empty() {
            return Refusal::new(code, format!("Unknown parameter: {}", unknown.join(", ")));
        }
        let own = violations.iter().find_map(|violation| {
            let name = model_name(&violation.path);
            let mut own = OWN_CODES.iter();
            let own = own.find(|(service, member, _)| *service == self && *member == name)?;
            Some(own.2)
        });
        let code = own.unwrap_or(code);
        let texts: Vec<String> = violations.iter().map(constraint).collect();
        let errors = if texts.len() == 1 { "error" } else { "errors" };
        let text = format!(
            "{} validation {errors} detected: {}",
            texts.len(),
            texts.join("; ")
        );
        Refusal::new(code, text)
    }
}

fn constraint(violation: &Violation) -> String {
    let at = model_name(&violation.path);
    match &violation.wrong {
        Wrong::Missing => {
            format!("Value null at '{at}' failed to satisfy constraint: Member must not be null")
        }
        Wrong::Unknown => format!("Value at '{at}' is not known to this operation"),
        Wrong::Unreadable { value, expected } => {
            format!(
                "Value '{value}' at '{at}' failed to satisfy constraint: Member must be {expected}"
            )
        }
        Wrong::Breaks { value, rule } => {
            format!("Value '{value}' at '{at}' failed to satisfy constraint: {rule}")
        }
    }
}

/// Values for which Elastic Load Balancing has a code of its own (aws.md 2.1).
const OWN_CODES: [(Service, &str, &str); 2] = [
    (Service::Elb, "scheme", "InvalidScheme"),
    (Service::Acm, "tags", "TooManyTagsException"),
];

/// EC2 names the first thing that it finds wrong.
fn ec2(violation: &Violation) -> Refusal {
    let name = wire_name(&violation.path);
    match &violation.wrong {
        Wrong::Missing => Refusal::new(
            "MissingParameter",
            format!("The request must contain the parameter {name}"),
        ),
        Wrong::Unknown => Refusal::new(
            "UnknownParameter",
            format!("The parameter {name} is not recognized"),
        ),
        Wrong::Unreadable { value, expected } => Refusal::parameter(format!(
            "Invalid value '{value}' for {name}. It must be {expected}"
        )),
        Wrong::Breaks { value, rule } => Refusal::parameter(format!(
            "Value ({value}) for parameter {name} is invalid. {rule}"
        )),
    }
}

/// `tags.1.member.key`, the way of messages to a value.
fn model_name(path: &Path) -> String {
    let mut name = String::new();
    for step in path {
        match step {
            Step::Member(member, _) => {
                if !name.is_empty() {
                    name.push('.');
                }
                let mut letters = member.chars();
                name.extend(letters.next().into_iter().flat_map(char::to_lowercase));
                name.extend(letters);
            }
            Step::Element(index) => {
                let _ = write!(name, ".{index}.member");
            }
            Step::Key(key) => {
                let _ = write!(name, ".{key}.member");
            }
        }
    }
    name
}

/// `Tag.1.Key`, the name of a parameter on the wire of EC2.
fn wire_name(path: &Path) -> String {
    let steps: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Member(_, wire) => wire.clone(),
            Step::Element(index) => index.to_string(),
            Step::Key(key) => key.clone(),
        })
        .collect();
    steps.join(".")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::model::decode::{Content, decode};

    fn refused(service: Service, action: &str, content: Content) -> Refusal {
        let model = service.model();
        match decode(model, &model.operations[action], &content) {
            Ok((_, violations)) => service.complain(&violations).unwrap(),
            Err(malformed) => Service::malformed(&malformed),
        }
    }

    fn form(text: &str) -> Content {
        Content::Form(crate::wire::params::decode_form(text))
    }

    fn says(refusal: Refusal, code: &str, text: &str) {
        assert_eq!(refusal.code, code, "{refusal}");
        assert_eq!(refusal.message, text);
    }

    #[test]
    fn elastic_load_balancing_names_every_violation() {
        says(
            refused(
                Service::Elb,
                "CreateListener",
                form("LoadBalancerArn=a&Port=70000&Protocol=FTP&DefaultActions="),
            ),
            "ValidationError",
            "2 validation errors detected: Value 'FTP' at 'protocol' failed to satisfy constraint: Member must satisfy enum value set: [HTTP, HTTPS, TCP, TLS, UDP, TCP_UDP, GENEVE, QUIC, TCP_QUIC]; Value '70000' at 'port' failed to satisfy constraint: Member must have value less than or equal to 65535",
        );
        says(
            refused(
                Service::Elb,
                "AddTags",
                form("ResourceArns.member.1=a&Tags.member.1.Value=x"),
            ),
            "ValidationError",
            "1 validation error detected: Value null at 'tags.1.member.key' failed to satisfy constraint: Member must not be null",
        );
        says(
            refused(
                Service::Elb,
                "DescribeTags",
                form("ResourceArns.member.1=a&Colour.member.1=red"),
            ),
            "ValidationError",
            "Unknown parameter: Colour",
        );
        let hole = refused(
            Service::Elb,
            "DescribeTags",
            form("ResourceArns.member.1=a&ResourceArns.member.3=b"),
        );
        assert_eq!(hole.code, "ValidationError");
    }

    #[test]
    fn ec2_names_the_first() {
        says(
            refused(Service::Ec2, "CreateSecurityGroup", form("GroupName=a")),
            "MissingParameter",
            "The request must contain the parameter GroupDescription",
        );
        says(
            refused(Service::Ec2, "DescribeVpcs", form("Vpc.1=vpc-1")),
            "UnknownParameter",
            "The parameter Vpc is not recognized",
        );
        let refusal = refused(Service::Ec2, "DescribeVpcs", form("MaxResults=many"));
        assert_eq!(refusal.code, "InvalidParameterValue");
    }

    #[test]
    fn json_services_tell_types_from_rules() {
        let json = |text: &str| Content::Json(text.to_owned());
        let list = |text: &str| refused(Service::Acm, "ListCertificates", json(text)).code;
        assert_eq!(list("[]"), "SerializationException");
        assert_eq!(list("{\"MaxItems\": \"10\"}"), "SerializationException");
        assert_eq!(list("{\"MaxItems\": 0}"), "ValidationException");
        says(
            refused(
                Service::Acm,
                "ListCertificates",
                json("{\"CertificateStatuses\": [\"GONE\"]}"),
            ),
            "ValidationException",
            "1 validation error detected: Value '[GONE]' at 'certificateStatuses' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [PENDING_VALIDATION, ISSUED, INACTIVE, EXPIRED, VALIDATION_TIMED_OUT, REVOKED, FAILED]]",
        );
        let waf = |text: &str| refused(Service::WafV2, "ListWebACLs", json(text)).code;
        assert_eq!(
            waf("{\"Scope\": \"LOCAL\"}"),
            "WAFInvalidParameterException"
        );
        assert_eq!(waf("{}"), "ValidationException");
    }

    #[test]
    fn route_53_knows_its_root() {
        let rest = |body: &str| Content::Rest {
            labels: [("Id".to_owned(), "Z1".to_owned())].into(),
            query: std::collections::BTreeMap::new(),
            body: body.to_owned(),
        };
        let change = |body: &str| refused(Service::Route53, "ChangeResourceRecordSets", rest(body));
        says(
            change("<ChangeBatch/>"),
            "MalformedInput",
            "ChangeBatch is not valid, expected ChangeResourceRecordSetsRequest",
        );
        let root = "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">";
        let end = "</ChangeResourceRecordSetsRequest>";
        assert_eq!(change(&format!("{root}{end}")).code, "InvalidInput");
        assert_eq!(
            change(&format!(
                "{root}<ChangeBatch><Changes><Changed/></Changes></ChangeBatch>{end}"
            ))
            .code,
            "InvalidInput"
        );
    }
}
