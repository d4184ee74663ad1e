//! Tags of hosted zones and health checks.

use super::invalid;
use crate::{
    state::{Answer, State, route53::bare_id},
    wire::{params::Input, xml::Xml},
};

/// The id under which the tags of a resource are kept.
fn resource(state: &State, kind: &str, id: &str) -> Answer<String> {
    if kind == "hostedzone" {
        return Ok(state.hosted_zone(id)?.id.clone());
    }
    Ok(state.health_check(bare_id(id))?.id.clone())
}

fn write(xml: &mut Xml, state: &State, kind: &str, id: &str) {
    xml.leaf("ResourceType", kind).leaf("ResourceId", id);
    let tags = state.tags.get(id).into_iter().flatten();
    xml.list("Tags", "Tag", tags, |xml, (key, value)| {
        xml.leaf("Key", key).leaf("Value", value);
    });
}

pub fn list(input: &Input, state: &State) -> Answer<Xml> {
    let kind = input.need("ResourceType")?;
    let id = input.need("ResourceId")?;
    input.done()?;
    let id = resource(state, &kind, &id)?;
    let mut xml = Xml::default();
    xml.nest("ResourceTagSet", |xml| write(xml, state, &kind, &id));
    Ok(xml)
}

pub fn list_many(input: &Input, state: &State) -> Answer<Xml> {
    let kind = input.need("ResourceType")?;
    let ids = input.texts("ResourceIds");
    input.done()?;
    if ids.is_empty() || ids.len() > 10 {
        return Err(invalid("1 to 10 resource ids can be specified"));
    }
    let ids: Vec<String> = ids
        .iter()
        .map(|id| resource(state, &kind, id))
        .collect::<Answer<_>>()?;
    let mut xml = Xml::default();
    xml.list("ResourceTagSets", "ResourceTagSet", ids, |xml, id| {
        write(xml, state, &kind, &id);
    });
    Ok(xml)
}

pub fn change(input: &Input, state: &mut State) -> Answer<Xml> {
    let kind = input.need("ResourceType")?;
    let id = input.need("ResourceId")?;
    let add = input.pairs("AddTags")?;
    let remove = input.texts("RemoveTagKeys");
    input.done()?;
    let id = resource(state, &kind, &id)?;
    state.change_route53_tags(&id, &add, &remove)?;
    Ok(Xml::default())
}
