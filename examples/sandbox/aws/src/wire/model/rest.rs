//! REST-XML: paths, query strings and bodies.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Kind, Model, Operation, Shape,
    check::Step,
    decode::{Decoder, Malformed},
};
use crate::{url_encoding::percent_decode, wire::xml::Element};

/// The namespace of Route 53, the one service of this protocol.
pub const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// An operation that a method and a path lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub action: String,
    /// The parts of the path that its labels stand for.
    pub labels: BTreeMap<String, String>,
}

impl Route {
    /// Finds the operation; `None` when no operation has such a path. Ids may
    /// stand with or without their prefix, also percent-encoded, and a slash at
    /// the end makes no difference.
    pub fn find(model: &Model, method: &str, path: &str) -> Option<Self> {
        let mut parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(percent_decode)
            .collect();
        // `hostedzone//hostedzone/Z1` and `change//change/C1`: the prefix of the id.
        if parts.len() > 3 && parts[1] == parts[2] {
            parts.remove(2);
        }
        // Fewer labels are the better match.
        model
            .operations
            .iter()
            .filter(|(_, operation)| operation.method == method)
            .filter_map(|(action, operation)| {
                let labels = labels(&operation.uri, &parts)?;
                let action = action.clone();
                Some(Self { action, labels })
            })
            .min_by_key(|route| (route.labels.len(), route.action.clone()))
    }
}

fn labels(uri: &str, parts: &[String]) -> Option<BTreeMap<String, String>> {
    let wanted: Vec<&str> = uri.split('/').filter(|part| !part.is_empty()).collect();
    if wanted.len() != parts.len() {
        return None;
    }
    let mut labels = BTreeMap::new();
    for (wanted, part) in wanted.iter().zip(parts) {
        match wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(label) => {
                let bare = part.rsplit('/').next().unwrap_or(part);
                labels.insert(label.to_owned(), bare.to_owned());
            }
            None if wanted == part => {}
            None => return None,
        }
    }
    Some(labels)
}

pub fn decode(
    decoder: &mut Decoder,
    operation: &Operation,
    shape: &Shape,
    labels: &BTreeMap<String, String>,
    query: &BTreeMap<String, String>,
    body: &str,
) -> Result<Value, Malformed> {
    let mut fields = Map::new();
    // A body of which nothing has to be given may be left out.
    let needed = shape.members.iter().any(|member| {
        member.location().is_none() && shape.required.iter().any(|name| name == member.name())
    });
    let left_out = !needed && body.trim().is_empty();
    if let Some(root) = operation.root.as_ref().filter(|_| !left_out) {
        let element = Element::parse(body)
            .filter(|element| element.name == *root)
            .filter(|element| element.namespace.as_deref() == Some(NAMESPACE))
            .ok_or_else(|| Malformed::Xml(root.clone()))?;
        if let Value::Object(read) = structure(decoder, shape, &element) {
            fields = read;
        }
    }
    for (location, values) in [("uri", labels), ("querystring", query)] {
        for member in &shape.members {
            let Some(text) = values.get(member.request()) else {
                continue;
            };
            // A query parameter without a value is none.
            if member.location() != Some(location) || (text.is_empty() && location != "uri") {
                continue;
            }
            let step = Step::Member(member.name().to_owned(), member.request().to_owned());
            let value = decoder.within(step, |decoder| {
                let shape = decoder.shape(&member.1)?;
                decoder.scalar(shape, text)
            });
            if let Some(value) = value {
                fields.insert(member.name().to_owned(), value);
            }
        }
    }
    for name in query.keys() {
        let known = shape
            .members
            .iter()
            .any(|member| member.location() == Some("querystring") && member.request() == name);
        // SDKs may add the name of the operation; a signature may stand here.
        if !known && name != "x-id" && !name.starts_with("X-Amz-") {
            decoder.stray(name);
        }
    }
    Ok(Value::Object(fields))
}

fn structure(decoder: &mut Decoder, shape: &Shape, element: &Element) -> Value {
    let mut fields = Map::new();
    if !element.text.trim().is_empty() {
        decoder.unreadable(element.text.trim(), "a structure");
    }
    for child in &element.children {
        let member = shape
            .members
            .iter()
            .find(|member| member.request() == child.name && member.location().is_none());
        let Some(member) = member else {
            decoder.stray(&child.name);
            continue;
        };
        let step = Step::Member(member.name().to_owned(), child.name.clone());
        if fields.contains_key(member.name()) {
            decoder.within(step, |decoder| {
                decoder.unreadable(&child.name, "given once");
            });
            continue;
        }
        let value = decoder.within(step, |decoder| {
            let shape = decoder.shape(&member.1)?;
            any(decoder, shape, child)
        });
        if let Some(value) = value {
            fields.insert(member.name().to_owned(), value);
        }
    }
    Value::Object(fields)
}

fn any(decoder: &mut Decoder, shape: &Shape, element: &Element) -> Option<Value> {
    match shape.kind {
        Kind::Structure => Some(structure(decoder, shape, element)),
        Kind::List => {
            let item = decoder.shape(&shape.member)?;
            let mut items = Vec::new();
            for (index, child) in element.children.iter().enumerate() {
                if child.name != shape.item {
                    decoder.stray(&child.name);
                    continue;
                }
                let value = decoder.within(Step::Element(index + 1), |decoder| {
                    any(decoder, item, child)
                });
                items.extend(value);
            }
            Some(Value::Array(items))
        }
        Kind::Map => {
            decoder.unreadable(&element.name, "of a known kind");
            None
        }
        // Blanks around a text belong to it, around a number they do not.
        Kind::String => decoder.scalar(shape, &element.text),
        _ => decoder.scalar(shape, element.text.trim()),
    }
}
