//! What all describe calls of EC2 do alike: ids, filters, pages, tags.

use std::collections::BTreeMap;

use super::{
    filter::{Filters, Known},
    ready,
};
use crate::{
    state::{
        Answer, Refusal, State, Tags,
        ec2_id::{Kind, combination},
    },
    wire::{
        page::{self, Page},
        params::Input,
        xml::Xml,
    },
};

/// How a describe call is parametrised and complains.
pub struct Listing {
    /// Parameter with ids.
    pub ids: &'static str,
    /// Kind of what it lists.
    pub kind: Kind,
    /// Filters besides tags.
    pub filters: &'static Known,
    /// The smallest and the largest `MaxResults`.
    pub sizes: (usize, usize),
}

impl Listing {
    /// The elements that a call asks for, in the order of their ids. One
    /// unknown id refuses the call.
    pub fn select<'a, T: Copy>(
        &self,
        input: &Input,
        state: &'a State,
        all: impl IntoIterator<Item = (&'a str, T)>,
        write: impl Fn(&mut Xml, T),
    ) -> Answer<Page<(&'a str, T)>> {
        let ids = input.texts(self.ids);
        let filters = Filters::read(input, self.filters, true)?;
        let paging = Paging::read(input, self.sizes)?;
        ready(input)?;
        paging.check_alone(&ids, self.ids)?;
        let all: BTreeMap<&str, T> = all.into_iter().collect();
        for id in &ids {
            self.kind.check_form(id)?;
        }
        for id in &ids {
            if !all.contains_key(id.as_str()) {
                return Err(self.kind.not_found(id));
            }
        }
        let wanted = all.into_iter().filter(|(id, value)| {
            (ids.is_empty() || ids.iter().any(|wanted| wanted == id))
                && filters.pass(state.tags.get(*id), || {
                    let mut xml = Xml::default();
                    write(&mut xml, *value);
                    xml.into_text()
                })
        });
        paging.cut(input, wanted, |(id, _)| (*id).to_owned())
    }

    /// The whole answer of a describe call: the elements in a list, and the token.
    pub fn answer<'a, T: 'a>(
        &self,
        input: &Input,
        state: &'a State,
        all: &'a BTreeMap<String, T>,
        name: &str,
        write: impl Fn(&mut Xml, &T),
    ) -> Answer<Xml> {
        let all = all.iter().map(|(id, value)| (id.as_str(), value));
        let page = self.select(input, state, all, &write)?;
        let mut xml = Xml::default();
        xml.list(name, "item", page.items, |xml, (_, value)| {
            write(xml, value);
        });
        xml.maybe("nextToken", page.next);
        Ok(xml)
    }
}

/// `MaxResults` and `NextToken`.
pub struct Paging {
    size: Option<usize>,
    token: Option<String>,
}

impl Paging {
    /// Reads the two parameters.
    pub fn read(input: &Input, (least, most): (usize, usize)) -> Answer<Self> {
        let size = input.number::<i64>("MaxResults")?;
        let size = match size {
            None => None,
            Some(given) => Some(
                usize::try_from(given)
                    .ok()
                    .filter(|size| (least..=most).contains(size))
                    .ok_or_else(|| {
                        Refusal::parameter(format!(
                            "Value ( {given} ) for parameter maxResults is invalid. Expecting a value from {least} to {most}."
                        ))
                    })?,
            ),
        };
        Ok(Self {
            size,
            token: input.text("NextToken"),
        })
    }

    /// Refuses a page size beside ids.
    pub fn check_alone(&self, ids: &[String], name: &str) -> Answer<()> {
        if self.size.is_some() && !ids.is_empty() {
            return Err(combination(format!(
                "The parameter {name} cannot be used with the parameter maxResults"
            )));
        }
        Ok(())
    }

    /// Cuts the page; without `MaxResults` everything comes at once.
    pub fn cut<T>(
        &self,
        input: &Input,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Answer<Page<T>> {
        page::cut(
            input.operation(),
            items,
            key,
            self.token.as_deref(),
            self.size.unwrap_or(usize::MAX),
        )
        .ok_or_else(|| input.bad_token(self.token.as_deref()))
    }
}

/// `<tagSet>`.
pub fn write_tags(xml: &mut Xml, tags: Option<&Tags>) {
    xml.list(
        "tagSet",
        "item",
        tags.into_iter().flatten(),
        |xml, (key, value)| {
            xml.leaf("key", key).leaf("value", value);
        },
    );
}

/// Tags of a create call for one type of resource; other types are refused.
pub fn read_tags(input: &Input, kind: &str) -> Answer<Vec<(String, String)>> {
    let mut all = read_tags_of(input, &[kind])?;
    Ok(all.remove(kind).unwrap_or_default())
}

/// Tags of a create call by type of resource; types besides these are refused.
pub fn read_tags_of(
    input: &Input,
    kinds: &[&str],
) -> Answer<BTreeMap<String, Vec<(String, String)>>> {
    let mut tags: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for specification in input.list("TagSpecification") {
        let given = specification.need("ResourceType")?;
        if !kinds.contains(&given.as_str()) {
            return Err(Refusal::parameter(format!(
                "'{given}' is not a valid taggable resource type for this operation."
            )));
        }
        let pairs = specification.pairs("Tag")?;
        if pairs.is_empty() {
            return Err(Refusal::parameter(
                "Tag specification must have at least one tag",
            ));
        }
        tags.entry(given).or_default().extend(pairs);
    }
    Ok(tags)
}
