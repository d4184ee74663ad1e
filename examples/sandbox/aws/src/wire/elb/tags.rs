//! Tags and account limits.

use super::{at_most_20, nothing};
use crate::{
    state::{Answer, State},
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "AddTags" => add(input, state),
        "RemoveTags" => remove(input, state),
        "DescribeTags" => describe(input, state),
        "DescribeAccountLimits" => limits(input, state),
        _ => return None,
    })
}

fn read_arns(input: &Input) -> Answer<Vec<String>> {
    let arns = input.texts("ResourceArns");
    if arns.is_empty() {
        input.need("ResourceArns")?;
    }
    Ok(arns)
}

fn add(input: &Input, state: &mut State) -> Answer<Xml> {
    let arns = read_arns(input)?;
    let tags = input.pairs("Tags")?;
    input.done()?;
    nothing(state.add_tags(&arns, &tags))
}

fn remove(input: &Input, state: &mut State) -> Answer<Xml> {
    let arns = read_arns(input)?;
    let keys = input.texts("TagKeys");
    input.done()?;
    nothing(state.remove_tags(&arns, &keys))
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let arns = read_arns(input)?;
    input.done()?;
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

fn limits(input: &Input, state: &State) -> Answer<Xml> {
    input.done()?;
    let mut xml = Xml::default();
    let shown = state.quotas.account_limits();
    xml.list("Limits", "member", shown, |xml, (name, most)| {
        xml.leaf("Name", name).leaf("Max", most);
    });
    Ok(xml)
}
