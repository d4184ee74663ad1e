//! Bodies of JSON 1.1, and of rpcv2Cbor, which says the same in CBOR.

use serde_json::{Map, Value};

use super::super::cbor;
use super::{
    Kind, Shape,
    check::Step,
    decode::{Decoder, Malformed},
};

pub fn decode(decoder: &mut Decoder, shape: &Shape, body: &str) -> Result<Value, Malformed> {
    if body.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value = serde_json::from_str(body).map_err(|error| Malformed::Json(error.to_string()))?;
    outermost(decoder, shape, value)
}

pub fn decode_cbor(decoder: &mut Decoder, shape: &Shape, body: &[u8]) -> Result<Value, Malformed> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value = cbor::read(body)
        .ok_or_else(|| Malformed::Json("The body is not well-formed CBOR".to_owned()))?;
    outermost(decoder, shape, value)
}

fn outermost(decoder: &mut Decoder, shape: &Shape, value: Value) -> Result<Value, Malformed> {
    match value {
        Value::Object(fields) => Ok(structure(decoder, shape, fields)),
        other => Err(Malformed::Json(format!(
            "Start of structure or map found where not expected: {}",
            kind_of(&other)
        ))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL_VALUE",
        Value::Bool(_) => "BOOLEAN_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    }
}

/// Members that the shape does not have are left out, as AWS does.
fn structure(decoder: &mut Decoder, shape: &Shape, fields: Map<String, Value>) -> Value {
    // A structure without members is any document.
    let mut kept = Map::new();
    for (name, value) in fields {
        let Some(member) = shape.members.iter().find(|member| member.name() == name) else {
            continue;
        };
        if value.is_null() {
            continue;
        }
        let step = Step::Member(name.clone(), name.clone());
        let value = decoder.within(step, |decoder| {
            let shape = decoder.shape(&member.1)?;
            any(decoder, shape, value)
        });
        if let Some(value) = value {
            kept.insert(name, value);
        }
    }
    Value::Object(kept)
}

fn any(decoder: &mut Decoder, shape: &Shape, value: Value) -> Option<Value> {
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(fields)) => Some(structure(decoder, shape, fields)),
        (Kind::List, Value::Array(items)) => {
            let element = decoder.shape(&shape.member)?;
            let items = items.into_iter().enumerate().filter_map(|(index, item)| {
                decoder.within(Step::Element(index + 1), |decoder| {
                    any(decoder, element, item)
                })
            });
            Some(Value::Array(items.collect()))
        }
        (Kind::Map, Value::Object(entries)) => {
            let element = decoder.shape(&shape.value)?;
            let entries = entries.into_iter().filter_map(|(key, value)| {
                let step = Step::Key(key.clone());
                let value = decoder.within(step, |decoder| any(decoder, element, value))?;
                Some((key, value))
            });
            Some(Value::Object(entries.collect()))
        }
        (Kind::Blob | Kind::Timestamp, Value::String(text)) => decoder.scalar(shape, &text),
        (Kind::String, value @ Value::String(_)) | (Kind::Boolean, value @ Value::Bool(_)) => {
            Some(value)
        }
        (Kind::Integer | Kind::Long, Value::Number(number)) => {
            decoder.scalar(shape, &number.to_string())
        }
        (Kind::Float | Kind::Double | Kind::Timestamp, value @ Value::Number(_)) => Some(value),
        (_, value) => {
            decoder.unreadable(kind_of(&value), expected(shape.kind));
            None
        }
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Structure => "a structure",
        Kind::List => "a list",
        Kind::Map => "a map",
        Kind::String => "a String",
        Kind::Blob => "a blob",
        Kind::Boolean => "a Boolean",
        Kind::Integer => "an Integer",
        Kind::Long => "a Long",
        Kind::Float | Kind::Double => "a Double",
        Kind::Timestamp => "a timestamp",
    }
}
