//! CreateTags and DeleteTags.

use super::{done, ready};
use crate::{
    state::{Answer, State},
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateTags" => create(input, state),
        "DeleteTags" => delete(input, state),
        _ => return None,
    })
}

fn read_ids(input: &Input) -> Answer<Vec<String>> {
    let ids = input.texts("ResourceId");
    if ids.is_empty() {
        input.need("ResourceId")?;
    }
    Ok(ids)
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let ids = read_ids(input)?;
    let tags = input.pairs("Tag")?;
    if tags.is_empty() {
        input.need("Tag")?;
    }
    ready(input)?;
    state.create_ec2_tags(&ids, &tags)?;
    Ok(done())
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let ids = read_ids(input)?;
    let mut keys = Vec::new();
    for tag in input.list("Tag") {
        keys.push((tag.need("Key")?, tag.text("Value")));
    }
    ready(input)?;
    state.delete_ec2_tags(&ids, &keys)?;
    Ok(done())
}
