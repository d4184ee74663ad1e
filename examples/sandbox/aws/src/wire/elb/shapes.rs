//! Attributes, which several kinds of resources of ELBv2 have.

use crate::{
    state::Answer,
    wire::{params::Input, xml::Xml},
};

/// `Key` and `Value` pairs of attributes, both needed.
pub fn read_attributes(input: &Input) -> Answer<Vec<(String, String)>> {
    input
        .list("Attributes")
        .iter()
        .map(|pair| Ok((pair.need("Key")?, pair.need("Value")?)))
        .collect()
}

/// Writes attributes.
pub fn write_attributes<'a>(
    xml: &mut Xml,
    attributes: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    xml.list("Attributes", "member", attributes, |xml, (key, value)| {
        xml.leaf("Key", key).leaf("Value", value);
    });
}
