//! Tags of all kinds of resources.

use super::{at_most_20, nothing};
use crate::{
    state::{Answer, Refusal, State},
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "AddTags" => add(input, state),
        "RemoveTags" => remove(input, state),
        "DescribeTags" => describe(input, state),
        _ => return None,
    })
}

fn add(input: &Input, state: &mut State) -> Answer<Xml> {
    let arns = input.texts("ResourceArns");
    let tags = input.pairs("Tags")?;
    input.done()?;
    nothing(state.add_tags(&arns, &tags))
}

fn remove(input: &Input, state: &mut State) -> Answer<Xml> {
    let arns = input.texts("ResourceArns");
    let keys = input.texts("TagKeys");
    input.done()?;
    nothing(state.remove_tags(&arns, &keys))
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let arns = input.texts("ResourceArns");
    input.done()?;
    if arns.is_empty() {
        return Err(Refusal::validation(
            "At least one resource ARN must be specified",
        ));
    }
    at_most_20(&arns)?;
    for arn in &arns {
        state.check_elb_resource(arn)?;
    }
    let mut xml = Xml::default();
    xml.list("TagDescriptions", "member", &arns, |xml, arn| {
        xml.leaf("ResourceArn", arn);
        xml.list(
            "Tags",
            "member",
            state.tags.get(arn).into_iter().flatten(),
            |xml, (key, value)| {
                xml.leaf("Key", key).leaf("Value", value);
            },
        );
    });
    Ok(xml)
}
