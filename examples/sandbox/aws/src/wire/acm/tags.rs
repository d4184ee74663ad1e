//! Tags of certificates: the operations for certificates, and those for any
//! resource of ACM.

use serde_json::{Value, json};

use super::one;
use crate::{
    state::{Answer, State},
    wire::params::Input,
};

pub(super) fn add_tags(input: &Input, state: &mut State) -> Answer<Value> {
    let tags = input.pairs("Tags")?;
    let arn = one(input)?;
    state.tag_certificate(&arn, &tags)?;
    Ok(json!({}))
}

pub(super) fn remove_tags(input: &Input, state: &mut State) -> Answer<Value> {
    let mut tags = Vec::new();
    for tag in input.list("Tags") {
        tags.push((tag.need("Key")?, tag.text("Value")));
    }
    let arn = one(input)?;
    state.untag_certificate(&arn, &tags)?;
    Ok(json!({}))
}

pub(super) fn list_tags(input: &Input, state: &State) -> Answer<Value> {
    tags_of(&one(input)?, state)
}

fn tags_of(arn: &str, state: &State) -> Answer<Value> {
    state.certificate(arn)?;
    let tags: Vec<Value> = state
        .tags
        .get(arn)
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    Ok(json!({ "Tags": tags }))
}

pub(super) fn tag(input: &Input, state: &mut State) -> Answer<Value> {
    let arn = input.need("ResourceArn")?;
    let tags = input.pairs("Tags")?;
    input.done()?;
    state.tag_certificate(&arn, &tags)?;
    Ok(json!({}))
}

pub(super) fn untag(input: &Input, state: &mut State) -> Answer<Value> {
    let arn = input.need("ResourceArn")?;
    let keys = input.texts("TagKeys");
    input.done()?;
    let tags: Vec<(String, Option<String>)> = keys.into_iter().map(|key| (key, None)).collect();
    state.untag_certificate(&arn, &tags)?;
    Ok(json!({}))
}

pub(super) fn list_of_resource(input: &Input, state: &State) -> Answer<Value> {
    let arn = input.need("ResourceArn")?;
    input.done()?;
    tags_of(&arn, state)
}
