//! Requests of all protocols into one tree.
//!
//! The tree is JSON: structures and maps are objects, lists are arrays, texts,
//! blobs (in base64) and times are strings, numbers and booleans are
//! themselves. Members go by their name in the model, in EC2 by their name on
//! the wire.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Kind, Model, Operation, Protocol, Shape,
    check::{self, Path, Step, Violation, Wrong},
    form, json, rest,
};

/// The content of a request before its operation is looked at.
#[derive(Debug, Clone)]
pub enum Content {
    /// awsQuery and ec2Query.
    Form(BTreeMap<String, String>),
    /// JSON 1.1.
    Json(String),
    /// rpcv2Cbor.
    Cbor(Vec<u8>),
    /// REST-XML.
    Rest {
        /// Parts of the path by their label.
        labels: BTreeMap<String, String>,
        /// The query string.
        query: BTreeMap<String, String>,
        /// The body.
        body: String,
    },
}

/// A body that is nothing of the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// JSON that is none, or no object.
    Json(String),
    /// XML that is none, or has another root than this one.
    Xml(String),
}

/// Decodes and checks the parameters of an operation.
///
/// # Errors
/// When the body as a whole cannot be read.
pub fn decode(
    model: &Model,
    operation: &Operation,
    content: &Content,
) -> Result<(Value, Vec<Violation>), Malformed> {
    let empty = Shape::nothing();
    let shape = operation.input.as_deref();
    let described = shape.and_then(|name| model.shape(name)).unwrap_or(&empty);
    let mut decoder = Decoder {
        model,
        path: Vec::new(),
        found: Vec::new(),
    };
    let tree = match content {
        Content::Form(parameters) => form::decode(&mut decoder, described, parameters),
        Content::Json(body) => json::decode(&mut decoder, described, body)?,
        Content::Cbor(body) => json::decode_cbor(&mut decoder, described, body)?,
        Content::Rest {
            labels,
            query,
            body,
        } => rest::decode(&mut decoder, operation, described, labels, query, body)?,
    };
    let mut violations = decoder.found;
    // What cannot be read is not in the tree: it is not missing as well.
    let unreadable: Vec<Path> = violations.iter().map(|v| v.path.clone()).collect();
    if let Some(shape) = shape {
        let checked = check::check(model, shape, &tree);
        violations.extend(
            checked
                .into_iter()
                .filter(|violation| !unreadable.contains(&violation.path)),
        );
    }
    Ok((tree, violations))
}

/// Where the decoding is, and what it has found wrong.
pub(super) struct Decoder<'a> {
    pub(super) model: &'a Model,
    pub(super) path: Path,
    pub(super) found: Vec<Violation>,
}

impl<'a> Decoder<'a> {
    /// Notes something wrong at the present place.
    pub(super) fn add(&mut self, wrong: Wrong) {
        if self.found.len() < 100 {
            self.found.push(Violation {
                path: self.path.clone(),
                wrong,
            });
        }
    }

    /// Notes that the value here cannot be read.
    pub(super) fn unreadable(&mut self, value: &str, expected: &'static str) {
        let value = value.to_owned();
        self.add(Wrong::Unreadable { value, expected });
    }

    /// Notes a name that the structure here does not have.
    pub(super) fn stray(&mut self, name: &str) {
        self.within(Step::Member(name.to_owned(), name.to_owned()), |decoder| {
            decoder.add(Wrong::Unknown);
        });
    }

    /// Goes a step down, and back.
    pub(super) fn within<T>(&mut self, step: Step, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let done = work(self);
        self.path.pop();
        done
    }

    /// The shape of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&'a Shape> {
        self.model.shape(name)
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.model.protocol
    }

    /// A text, number, boolean, time or blob that is written as text.
    pub(super) fn scalar(&mut self, shape: &Shape, text: &str) -> Option<Value> {
        match scalar(shape.kind, text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.unreadable(text, expected);
                None
            }
        }
    }
}

fn scalar(kind: Kind, text: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::String => Ok(Value::from(text)),
        Kind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Value::from(true)),
            "false" => Ok(Value::from(false)),
            _ => Err("a boolean"),
        },
        Kind::Integer => text.parse::<i32>().map(Value::from).or(Err("an integer")),
        Kind::Long => text.parse::<i64>().map(Value::from).or(Err("a long")),
        Kind::Float | Kind::Double => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => Err("a number"),
        },
        Kind::Timestamp => match (text.parse::<Timestamp>(), text.parse::<f64>()) {
            (Ok(_), _) => Ok(Value::from(text)),
            (_, Ok(seconds)) if seconds.is_finite() => Ok(Value::from(seconds)),
            _ => Err("a timestamp"),
        },
        Kind::Blob => match STANDARD.decode(text) {
            Ok(_) => Ok(Value::from(text)),
            Err(_) => Err("base64"),
        },
        Kind::Structure => Err("a structure"),
        Kind::List => Err("a list"),
        Kind::Map => Err("a map"),
    }
}
