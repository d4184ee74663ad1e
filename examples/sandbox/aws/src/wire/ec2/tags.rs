//! CreateTags, DeleteTags, DescribeTags.

use super::{
    done,
    filter::{Filters, Known},
    listing::Paging,
    ready,
};
use crate::{
    state::{Answer, State, ec2_id::Kind},
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateTags" => create(input, state),
        "DeleteTags" => delete(input, state),
        "DescribeTags" => describe(input, state),
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

/// Filters of DescribeTags.
const FILTERS: &Known = &[
    ("key", "key"),
    ("resource-id", "resourceId"),
    ("resource-type", "resourceType"),
    ("value", "value"),
];

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let filters = Filters::read(input, FILTERS, true)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    let all = state.tags.iter().flat_map(|(id, tags)| {
        let kind = Kind::of(id).and_then(Kind::resource_type);
        kind.into_iter().flat_map(move |kind| {
            tags.iter()
                .map(move |(key, value)| (id.as_str(), kind, key.as_str(), value.as_str()))
        })
    });
    let write = |xml: &mut Xml, (id, kind, key, value): (&str, &str, &str, &str)| {
        xml.leaf("resourceId", id)
            .leaf("resourceType", kind)
            .leaf("key", key)
            .leaf("value", value);
    };
    let wanted = all.filter(|tag| {
        // `tag:KEY` here means this tag, not one of the same resource.
        let own = [(tag.2.to_owned(), tag.3.to_owned())].into();
        filters.pass(Some(&own), || {
            let mut xml = Xml::default();
            write(&mut xml, *tag);
            xml.into_text()
        })
    });
    let page = paging.cut(input, wanted, |(id, _, key, _)| format!("{id} {key}"))?;
    let mut xml = Xml::default();
    xml.list("tagSet", "item", page.items, write);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}
