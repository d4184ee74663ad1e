//! Answers against the output shape of their operation. A handler that says
//! what the model does not have says it to nobody: clients skip names that
//! they do not know.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use super::{Kind, Model, Operation, Protocol, Shape};
use crate::wire::xml::Element;

/// Members that the models require and AWS leaves out: the marker of a first
/// page, the name servers of a private zone.
const LEFT_OUT: [&str; 2] = ["Marker", "DelegationSet"];

/// Values that AWS answers beside those that the models list: the state of an
/// attached internet gateway, and the type of a NAT gateway's interface.
const UNLISTED: [&str; 2] = ["available", "nat_gateway"];

/// What is wrong with an answer; nothing, as it should be.
pub fn check(model: &Model, operation: &Operation, body: &str) -> Vec<String> {
    let mut reader = Reader {
        model,
        place: String::new(),
        found: Vec::new(),
    };
    let shape = operation
        .output
        .as_deref()
        .and_then(|name| model.shape(name));
    match model.protocol {
        Protocol::Json => match (serde_json::from_str(body), shape) {
            (Ok(value), Some(shape)) => reader.json(shape, &value),
            (Ok(Value::Object(fields)), None) if fields.is_empty() => {}
            _ if body.is_empty() && shape.is_none() => {}
            _ => reader.say("the answer is not JSON, or there should be none"),
        },
        _ => match Element::parse(body) {
            None => reader.say("the answer is not well-formed"),
            Some(root) => reader.document(operation, shape, &root),
        },
    }
    reader.found
}

struct Reader<'a> {
    model: &'a Model,
    place: String,
    found: Vec<String>,
}

impl Reader<'_> {
    fn say(&mut self, what: &str) {
        self.found.push(format!("{}: {what}", self.place));
    }

    fn within(&mut self, name: &str, work: impl FnOnce(&mut Self)) {
        let length = self.place.len();
        let _ = write!(self.place, "/{name}");
        work(self);
        self.place.truncate(length);
    }

    fn document(&mut self, operation: &Operation, shape: Option<&Shape>, root: &Element) {
        let content = match &operation.wrapper {
            Some(wrapper) => root.child(wrapper),
            None => Some(root),
        };
        match (content, shape) {
            (Some(content), Some(shape)) => {
                self.structure(shape, content, operation.wrapper.is_none());
            }
            (None, Some(_)) => self.say("the result element is missing"),
            _ => {}
        }
    }

    fn structure(&mut self, shape: &Shape, element: &Element, outermost: bool) {
        // EC2 puts `return` and the request id beside the members.
        let framing =
            |name: &str| outermost && matches!(name, "requestId" | "return" | "ResponseMetadata");
        for child in &element.children {
            let member = shape.members.iter().find(|member| {
                member.answer() == child.name && member.location() != Some("header")
            });
            match member {
                Some(member) => self.within(&child.name, |reader| {
                    if let Some(shape) = reader.model.shape(&member.1) {
                        reader.element(shape, child);
                    }
                }),
                None if framing(&child.name) => {}
                None => self.say(&format!("'{}' is not in the model", child.name)),
            }
        }
        for member in &shape.members {
            let required = shape.required.iter().any(|name| name == member.name());
            let needed =
                required && member.location().is_none() && !LEFT_OUT.contains(&member.answer());
            if needed && element.child(member.answer()).is_none() {
                self.say(&format!("'{}' is missing", member.answer()));
            }
        }
    }

    fn element(&mut self, shape: &Shape, element: &Element) {
        match shape.kind {
            Kind::Structure => self.structure(shape, element, false),
            Kind::List => {
                for child in &element.children {
                    if child.name != shape.item {
                        self.say(&format!(
                            "elements are '{}', not '{}'",
                            shape.item, child.name
                        ));
                    }
                    self.within(&child.name, |reader| {
                        if let Some(shape) = reader.model.shape(&shape.member) {
                            reader.element(shape, child);
                        }
                    });
                }
            }
            Kind::Map => {
                for child in &element.children {
                    let whole = child.child(&shape.key_name).is_some()
                        && child.child(&shape.value_name).is_some();
                    if child.name != "entry" || !whole {
                        self.say("an entry of a map has a key and a value");
                    }
                }
            }
            _ if !element.children.is_empty() => self.say("there are elements in a text"),
            _ => self.text(shape, &element.text),
        }
    }

    fn text(&mut self, shape: &Shape, text: &str) {
        let readable = match shape.kind {
            Kind::Boolean => matches!(text, "true" | "false"),
            Kind::Integer => text.parse::<i32>().is_ok(),
            Kind::Long => text.parse::<i64>().is_ok(),
            Kind::Float | Kind::Double => text.parse::<f64>().is_ok(),
            Kind::Timestamp => text.parse::<Timestamp>().is_ok(),
            Kind::Blob => STANDARD.decode(text).is_ok(),
            _ => true,
        };
        if !readable {
            self.say(&format!("'{text}' is no {:?}", shape.kind));
        }
        let listed = shape.values.is_empty() || shape.values.iter().any(|value| value == text);
        if !listed && !UNLISTED.contains(&text) {
            self.say(&format!("'{text}' is not in the enumeration"));
        }
    }

    fn json(&mut self, shape: &Shape, value: &Value) {
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(fields)) => {
                for (name, value) in fields {
                    match shape.members.iter().find(|member| member.name() == name) {
                        Some(member) => self.within(name, |reader| {
                            if let Some(shape) = reader.model.shape(&member.1) {
                                reader.json(shape, value);
                            }
                        }),
                        None => self.say(&format!("'{name}' is not in the model")),
                    }
                }
                for name in &shape.required {
                    if !fields.contains_key(name) {
                        self.say(&format!("'{name}' is missing"));
                    }
                }
            }
            (Kind::List, Value::Array(items)) => {
                for item in items {
                    self.within("member", |reader| {
                        if let Some(shape) = reader.model.shape(&shape.member) {
                            reader.json(shape, item);
                        }
                    });
                }
            }
            (Kind::Map, Value::Object(entries)) => {
                for (key, value) in entries {
                    self.within(key, |reader| {
                        if let Some(shape) = reader.model.shape(&shape.value) {
                            reader.json(shape, value);
                        }
                    });
                }
            }
            (Kind::String | Kind::Blob, Value::String(text)) => self.text(shape, text),
            (Kind::Boolean, Value::Bool(_))
            | (Kind::Timestamp | Kind::Float | Kind::Double, Value::Number(_)) => {}
            (Kind::Integer | Kind::Long, Value::Number(number)) if !number.is_f64() => {}
            (kind, value) => self.say(&format!("{value} is no {kind:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::service::Service;

    fn wrong(service: Service, action: &str, body: &str) -> Vec<String> {
        let model = service.model();
        check(model, &model.operations[action], body)
    }

    #[test]
    fn xml_is_held_against_the_model() {
        let answer = |content: &str| {
            wrong(
                Service::Elb,
                "DescribeTargetGroups",
                &format!(
                    "<R><DescribeTargetGroupsResult>{content}</DescribeTargetGroupsResult></R>"
                ),
            )
        };
        let group = |content: &str| {
            answer(&format!(
                "<TargetGroups><member>{content}</member></TargetGroups>"
            ))
        };
        assert_eq!(answer(""), Vec::<String>::new());
        assert_eq!(
            group("<Port>80</Port><Protocol>HTTP</Protocol>"),
            Vec::<String>::new()
        );
        for bad in [
            group("<Colour>red</Colour>"),
            group("<Port>many</Port>"),
            group("<Protocol>FTP</Protocol>"),
            group("<HealthCheckEnabled>1</HealthCheckEnabled>"),
            answer("<TargetGroups><item/></TargetGroups>"),
            answer("<TargetGroup/>"),
            wrong(Service::Elb, "DescribeTargetGroups", "<R/>"),
            wrong(Service::Elb, "DescribeTargetGroups", "nonsense"),
        ] {
            assert_eq!(bad.len(), 1, "{bad:?}");
        }
        let zones = "<R><HostedZones/><IsTruncated>false</IsTruncated><MaxItems>1</MaxItems></R>";
        assert_eq!(
            wrong(Service::Route53, "ListHostedZones", zones),
            Vec::<String>::new()
        );
        let zones = zones.replace("<IsTruncated>false</IsTruncated>", "");
        assert_eq!(wrong(Service::Route53, "ListHostedZones", &zones).len(), 1);
    }

    #[test]
    fn json_is_held_against_the_model() {
        let answer = |body: &str| wrong(Service::Acm, "ListCertificates", body);
        let good =
            r#"{"CertificateSummaryList": [{"InUse": true, "CreatedAt": 1.5}], "NextToken": "x"}"#;
        assert_eq!(answer(good), Vec::<String>::new());
        for bad in [
            r#"{"Certificates": []}"#,
            r#"{"CertificateSummaryList": {}}"#,
            r#"{"CertificateSummaryList": [{"InUse": "yes"}]}"#,
            r#"{"CertificateSummaryList": [{"CreatedAt": "2026-11-23"}]}"#,
            r#"{"CertificateSummaryList": [{"Status": "GONE"}]}"#,
            r#"{"NextToken": null}"#,
            "[",
        ] {
            assert_eq!(answer(bad).len(), 1, "{bad}");
        }
        assert_eq!(
            wrong(Service::Acm, "DeleteCertificate", ""),
            Vec::<String>::new()
        );
        assert_eq!(
            wrong(Service::Acm, "DeleteCertificate", r#"{"a": 1}"#).len(),
            1
        );
    }
}
