//! The service models: what AWS itself says about names, shapes and bounds.
//!
//! `models/generate.py` cuts the models of botocore to the operations of this
//! simulator; they are compiled in and read when a service is first called.
//! Requests are decoded by the input shape of their operation into one tree
//! for all protocols ([`decode`]), the tree is checked against the shape
//! ([`check`]), and answers are checked against the output shape
//! ([`answer`]), so that no handler can say what a client cannot read.

pub mod answer;
pub mod check;
pub mod decode;
mod form;
mod json;
mod rest;

use std::{collections::HashMap, sync::OnceLock};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

pub use form::frames;
pub use rest::{NAMESPACE, Route};

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Protocol {
    /// awsQuery: a form in, XML out.
    #[default]
    #[serde(rename = "query")]
    Query,
    /// ec2Query: a form with flat lists in, XML out.
    #[serde(rename = "ec2")]
    Ec2,
    /// REST-XML: paths and XML in, XML out.
    #[serde(rename = "rest-xml")]
    RestXml,
    /// JSON 1.1.
    #[serde(rename = "json")]
    Json,
}

/// One service.
#[derive(Debug, Default, Deserialize)]
pub struct Model {
    /// How it speaks.
    pub protocol: Protocol,
    /// HTTP status of each declared error, by code.
    pub errors: HashMap<String, u16>,
    /// Operations by name.
    pub operations: HashMap<String, Operation>,
    /// Shapes by name.
    pub shapes: HashMap<String, Shape>,
}

/// One operation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Shape of its parameters.
    pub input: Option<String>,
    /// Shape of its answer.
    pub output: Option<String>,
    /// Element around the answer in awsQuery.
    pub wrapper: Option<String>,
    /// HTTP method; REST only.
    #[serde(default)]
    pub method: String,
    /// Path with `{Labels}`; REST only.
    #[serde(default)]
    pub uri: String,
    /// HTTP status of success; REST only.
    pub status: Option<u16>,
    /// Root element of the body; REST only.
    pub root: Option<String>,
    /// Whether it is called without a signature.
    #[serde(default)]
    pub unsigned: bool,
}

/// The kinds of shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Named members.
    Structure,
    /// Elements in order.
    List,
    /// Texts to values.
    Map,
    /// Text.
    String,
    /// Bytes, in base64 on the wire.
    Blob,
    /// `true` or `false`.
    Boolean,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Long,
    /// A number with fraction.
    Float,
    /// A number with fraction.
    Double,
    /// A moment.
    Timestamp,
}

/// One shape. Only the fields of its kind are set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Least length or value.
    pub min: Option<f64>,
    /// Greatest length or value.
    pub max: Option<f64>,
    /// Members of a structure.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Names of the members that have to be there.
    #[serde(default)]
    pub required: Vec<String>,
    /// Whether exactly one member has to be there.
    #[serde(default)]
    pub union: bool,
    /// Shape of the elements of a list.
    #[serde(default)]
    pub member: String,
    /// XML name of the elements of a list.
    #[serde(default)]
    pub item: String,
    /// Shape of the keys of a map.
    #[serde(default)]
    pub key: String,
    /// Shape of the values of a map.
    #[serde(default)]
    pub value: String,
    /// XML name of the keys of a map.
    #[serde(default)]
    pub key_name: String,
    /// XML name of the values of a map.
    #[serde(default)]
    pub value_name: String,
    /// The values that a text may have; empty for any.
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
    /// What the whole text has to match.
    pub pattern: Option<String>,
    /// The pattern as AWS writes it, where that is different.
    pub shown: Option<String>,
    #[serde(skip)]
    regex: OnceLock<Option<Regex>>,
}

/// A member of a structure: its name, its shape, and how it travels.
#[derive(Debug, Deserialize)]
pub struct Member(
    /// Name in the model.
    pub String,
    /// Name of the shape.
    pub String,
    #[serde(default)] Travel,
);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Travel {
    /// Name in requests, where it differs.
    request: Option<String>,
    /// Name in answers, where it differs.
    answer: Option<String>,
    /// Where it stands outside of the body: `uri`, `querystring`, `header`.
    location: Option<String>,
}

impl Member {
    /// Name in the model.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Name in requests.
    pub fn request(&self) -> &str {
        self.2.request.as_deref().unwrap_or(&self.0)
    }

    /// Name in answers.
    pub fn answer(&self) -> &str {
        self.2.answer.as_deref().unwrap_or(&self.0)
    }

    /// Where it stands outside of the body, if it does.
    pub fn location(&self) -> Option<&str> {
        self.2.location.as_deref()
    }

    /// The name by which handlers know it: that of the wire in EC2, that of the
    /// model elsewhere.
    pub fn key(&self, protocol: Protocol) -> &str {
        match protocol {
            Protocol::Ec2 => self.request(),
            _ => &self.0,
        }
    }
}

impl Shape {
    /// A structure without members: the input of operations that take none.
    fn nothing() -> Self {
        Self {
            kind: Kind::Structure,
            min: None,
            max: None,
            members: Vec::new(),
            required: Vec::new(),
            union: false,
            member: String::new(),
            item: String::new(),
            key: String::new(),
            value: String::new(),
            key_name: String::new(),
            value_name: String::new(),
            values: Vec::new(),
            pattern: None,
            shown: None,
            regex: OnceLock::new(),
        }
    }

    /// Whether the whole text matches the pattern; yes without one.
    pub fn matches(&self, text: &str) -> bool {
        self.regex().is_none_or(|pattern| pattern.is_match(text))
    }

    fn regex(&self) -> Option<&Regex> {
        let compiled = self.regex.get_or_init(|| {
            let pattern = self.pattern.as_deref()?;
            // Bounds such as {0,2048} over Unicode classes make large programs.
            RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                .size_limit(64 << 20)
                .build()
                .ok()
        });
        compiled.as_ref()
    }

    /// The pattern as AWS shows it.
    pub fn shown_pattern(&self) -> &str {
        let pattern = self.shown.as_deref().or(self.pattern.as_deref());
        pattern.unwrap_or_default()
    }
}

impl Model {
    /// Reads a model. One that cannot be read has no operations; a test reads all.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| {
            tracing::error!(%error, "a service model cannot be read");
            Self::default()
        })
    }

    /// A shape by name.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::wire::service::Service;

    #[test]
    fn every_model_is_whole() {
        for service in Service::ALL {
            let model = service.model();
            assert!(!model.operations.is_empty(), "{service:?}");
            for (name, operation) in &model.operations {
                for shape in operation.input.iter().chain(&operation.output) {
                    assert!(model.shapes.contains_key(shape), "{name}: {shape}");
                }
            }
            for (name, shape) in &model.shapes {
                let parts = shape.members.iter().map(|member| &member.1);
                let parts = parts.chain([&shape.member, &shape.key, &shape.value]);
                for part in parts.filter(|part| !part.is_empty()) {
                    assert!(model.shapes.contains_key(part), "{name}: {part}");
                }
                for required in &shape.required {
                    let known = shape.members.iter().any(|member| member.0 == *required);
                    assert!(known, "{name}: {required}");
                }
            }
        }
    }

    #[test]
    fn every_pattern_compiles() {
        for service in Service::ALL {
            for (name, shape) in &service.model().shapes {
                if shape.pattern.is_some() {
                    assert!(shape.regex().is_some(), "{service:?} {name}");
                }
            }
        }
    }

    #[test]
    fn a_pattern_has_to_match_all_of_a_text() {
        let model = Service::Sts.model();
        let session = model.shape("roleSessionNameType").unwrap();
        assert!(session.matches("web-1@x"));
        assert!(!session.matches("web 1"));
        // As in Java, \w is ASCII only.
        assert!(!session.matches("büro"));
    }
}
