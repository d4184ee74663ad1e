//! What all describe calls of EC2 do alike: ids, filters, pages.

use std::collections::BTreeMap;

use super::{filter::Filters, ready};
use crate::{
    state::{Answer, Refusal, State, Tags},
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
    /// Prefix of the ids.
    pub prefix: &'static str,
    /// Code for ids that do not exist.
    pub not_found: &'static str,
    /// Code for ids of another form.
    pub malformed: &'static str,
    /// What the ids are called in texts.
    pub what: &'static str,
    /// Filters besides tags.
    pub filters: &'static [&'static str],
    /// The largest `MaxResults`.
    pub most: usize,
}

impl Listing {
    /// The elements that a call asks for. One unknown id refuses the call.
    pub fn select<'a, T>(
        &self,
        input: &Input,
        all: &'a BTreeMap<String, T>,
        state: &'a State,
        field: impl Fn(&T, &str) -> Vec<String>,
    ) -> Answer<Page<(&'a str, &'a T)>> {
        let ids = input.texts(self.ids);
        let filters = Filters::read(input, self.filters)?;
        let paging = Paging::read(input, self.most)?;
        ready(input)?;
        paging.check_alone(&ids, self.ids)?;
        for id in &ids {
            self.check_form(id)?;
            if !all.contains_key(id) {
                return Err(Refusal::new(
                    self.not_found,
                    format!("The {} '{id}' does not exist", self.what),
                ));
            }
        }
        let wanted = all.iter().filter(|(id, value)| {
            (ids.is_empty() || ids.contains(id))
                && filters.pass(state.tags.get(*id), |name| field(value, name))
        });
        paging.cut(wanted.map(|(id, value)| (id.as_str(), value)), |(id, _)| {
            (*id).to_owned()
        })
    }

    fn check_form(&self, id: &str) -> Answer<()> {
        let digits = id
            .strip_prefix(self.prefix)
            .and_then(|rest| rest.strip_prefix('-'));
        let good = digits.is_some_and(|digits| {
            matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        });
        if good {
            return Ok(());
        }
        Err(Refusal::new(
            self.malformed,
            format!("Invalid id: \"{id}\" (expecting \"{}-...\")", self.prefix),
        ))
    }
}

/// `MaxResults` and `NextToken`.
pub struct Paging {
    size: Option<usize>,
    token: Option<String>,
}

impl Paging {
    /// Reads the two parameters.
    pub fn read(input: &Input, most: usize) -> Answer<Self> {
        let size = input.number::<usize>("MaxResults")?;
        if let Some(size) = size
            && !(5..=most).contains(&size)
        {
            return Err(Refusal::parameter(format!(
                "Value ( {size} ) for parameter maxResults is invalid. Expecting a value from 5 to {most}."
            )));
        }
        Ok(Self {
            size,
            token: input.text("NextToken"),
        })
    }

    /// Refuses a page size beside ids.
    pub fn check_alone(&self, ids: &[String], name: &str) -> Answer<()> {
        if self.size.is_some() && !ids.is_empty() {
            return Err(Refusal::new(
                "InvalidParameterCombination",
                format!("The parameter {name} cannot be used with the parameter maxResults"),
            ));
        }
        Ok(())
    }

    /// Cuts the page; without `MaxResults` everything comes at once.
    pub fn cut<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Answer<Page<T>> {
        page::cut(
            items,
            key,
            self.token.as_deref(),
            self.size.unwrap_or(usize::MAX),
        )
        .ok_or_else(|| Refusal::parameter("The token is not valid"))
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
    let mut tags = Vec::new();
    for specification in input.list("TagSpecification") {
        let given = specification.need("ResourceType")?;
        if given != kind {
            return Err(Refusal::parameter(format!(
                "'{given}' is not a valid taggable resource type for this operation."
            )));
        }
        tags.extend(specification.pairs("Tag")?);
    }
    Ok(tags)
}
