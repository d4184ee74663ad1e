//! What answers in JSON have in common.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::params::Input;
use crate::state::Answer;

/// Epoch seconds with their fraction, as JSON 1.1 writes a time.
pub fn seconds(at: Timestamp) -> Value {
    let whole = at.as_second();
    let millis = at.subsec_millisecond();
    serde_json::from_str(&format!("{whole}.{millis:03}")).unwrap_or_else(|_| Value::from(whole))
}

/// Tags as lists of `Key` and `Value`.
pub fn tag_list<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    tags.into_iter()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect()
}

/// Tags what `ResourceARN` names, as Shield and WAF are asked to.
pub fn tag(
    input: &Input,
    tag: impl FnOnce(&str, &[(String, String)]) -> Answer<()>,
) -> Answer<Value> {
    let arn = input.need("ResourceARN")?;
    let tags = input.pairs("Tags")?;
    input.done()?;
    tag(&arn, &tags)?;
    Ok(json!({}))
}

/// Takes tags off what `ResourceARN` names, as Shield and WAF are asked to.
pub fn untag(input: &Input, untag: impl FnOnce(&str, &[String]) -> Answer<()>) -> Answer<Value> {
    let arn = input.need("ResourceARN")?;
    let keys = input.texts("TagKeys");
    input.done()?;
    untag(&arn, &keys)?;
    Ok(json!({}))
}
