//! Form parameters of awsQuery and ec2Query, read by name. Whatever an
//! operation has not read when it says `done` is a parameter that it does not
//! have, and refused.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use crate::state::{Answer, Refusal};

/// The two ways to spell lists and to complain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `Names.member.1`; errors are `ValidationError`.
    Query,
    /// `Name.1`; errors are `MissingParameter` and `InvalidParameterValue`.
    Ec2,
}

/// All parameters of a request.
#[derive(Debug)]
pub struct Params {
    dialect: Dialect,
    values: BTreeMap<String, String>,
    read: RefCell<BTreeSet<String>>,
}

impl Params {
    /// Decodes a form body or query string.
    pub fn parse(form: &str, dialect: Dialect) -> Self {
        Self {
            dialect,
            values: decode_form(form),
            read: RefCell::default(),
        }
    }

    /// The whole set, to read from.
    pub fn root(&self) -> Input<'_> {
        Input {
            params: self,
            prefix: String::new(),
        }
    }

    /// A parameter as sent.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All parameters as sent.
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }
}

/// Decodes `a=b&c=d` with percent signs and plus signs.
pub fn decode_form(form: &str) -> BTreeMap<String, String> {
    form.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                percent_decode(&name.replace('+', " ")),
                percent_decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

/// Resolves `%41`.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(code) = code {
            out.push(code);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A part of the parameters: the whole, a structure or one element of a list.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    params: &'a Params,
    prefix: String,
}

impl<'a> Input<'a> {
    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else if name.is_empty() {
            self.prefix.clone()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }

    /// A text, if given.
    pub fn text(&self, name: &str) -> Option<String> {
        let key = self.key(name);
        let value = self.params.values.get(&key).cloned();
        if value.is_some() {
            self.params.read.borrow_mut().insert(key);
        }
        value
    }

    /// A text that has to be given.
    pub fn need(&self, name: &str) -> Answer<String> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    /// All parameters of the request, as sent.
    pub fn sent(&self) -> &'a BTreeMap<String, String> {
        &self.params.values
    }

    /// The text of a list element.
    pub fn value(&self) -> String {
        self.text("").unwrap_or_default()
    }

    /// A number, if given.
    pub fn number<T: FromStr>(&self, name: &str) -> Answer<Option<T>> {
        self.parsed(name)
    }

    /// A number that has to be given.
    pub fn need_number<T: FromStr>(&self, name: &str) -> Answer<T> {
        self.parsed(name)?.ok_or_else(|| self.missing(name))
    }

    /// `true` or `false`, if given.
    pub fn flag(&self, name: &str) -> Answer<Option<bool>> {
        self.parsed(name)
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Answer<Option<T>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            self.malformed(format!(
                "Value ({text}) for parameter {} is invalid.",
                self.key(name)
            ))
        })
    }

    /// The elements of a list, in order. A list that is sent empty has none.
    pub fn list(&self, name: &str) -> Vec<Input<'a>> {
        let key = self.key(name);
        if self.params.values.get(&key).is_some_and(String::is_empty) {
            self.params.read.borrow_mut().insert(key.clone());
        }
        let base = match self.params.dialect {
            Dialect::Query => format!("{key}.member."),
            Dialect::Ec2 => format!("{key}."),
        };
        let indexes: BTreeSet<u32> = self
            .params
            .values
            .range(base.clone()..)
            .take_while(|(found, _)| found.starts_with(&base))
            .filter_map(|(found, _)| found[base.len()..].split('.').next()?.parse().ok())
            .collect();
        indexes
            .into_iter()
            .map(|index| Input {
                params: self.params,
                prefix: format!("{base}{index}"),
            })
            .collect()
    }

    /// The elements of a list of texts.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().map(Input::value).collect()
    }

    /// A structure.
    pub fn part(&self, name: &str) -> Input<'a> {
        Input {
            params: self.params,
            prefix: self.key(name),
        }
    }

    /// Whether anything of this name was sent.
    pub fn has(&self, name: &str) -> bool {
        let key = self.key(name);
        let below = format!("{key}.");
        self.params.values.contains_key(&key)
            || self
                .params
                .values
                .range(below.clone()..)
                .next()
                .is_some_and(|(found, _)| found.starts_with(&below))
    }

    /// `Key` and `Value` pairs of a list.
    pub fn pairs(&self, name: &str) -> Answer<Vec<(String, String)>> {
        self.list(name)
            .iter()
            .map(|pair| Ok((pair.need("Key")?, pair.text("Value").unwrap_or_default())))
            .collect()
    }

    /// The entries of a map, in the order of their keys.
    pub fn entries(&self, name: &str) -> Answer<BTreeMap<String, String>> {
        let base = format!("{}.entry.", self.key(name));
        let indexes: BTreeSet<u32> = self
            .params
            .values
            .range(base.clone()..)
            .take_while(|(found, _)| found.starts_with(&base))
            .filter_map(|(found, _)| found[base.len()..].split('.').next()?.parse().ok())
            .collect();
        let entry = |index: u32| {
            let entry = Input {
                params: self.params,
                prefix: format!("{base}{index}"),
            };
            Ok((entry.need("key")?, entry.need("value")?))
        };
        indexes.into_iter().map(entry).collect()
    }

    /// Ends the reading: refuses parameters that the operation does not have.
    pub fn done(&self) -> Answer<()> {
        let read = self.params.read.borrow();
        // A signature may stand in the query.
        let framing =
            |name: &str| matches!(name, "Action" | "Version") || name.starts_with("X-Amz-");
        let mut names = self.params.values.keys();
        let stray = names.find(|name| !read.contains(*name) && !framing(name));
        match (stray, self.params.dialect) {
            (None, _) => Ok(()),
            (Some(name), Dialect::Ec2) => Err(Refusal::new(
                "UnknownParameter",
                format!("The parameter {name} is not recognized"),
            )),
            (Some(name), Dialect::Query) => Err(Refusal::validation(format!(
                "The parameter '{name}' is not known to this operation or is not simulated"
            ))),
        }
    }

    fn missing(&self, name: &str) -> Refusal {
        let key = self.key(name);
        match self.params.dialect {
            Dialect::Query => Refusal::validation(format!(
                "1 validation error detected: Value null at '{key}' failed to satisfy constraint: Member must not be null"
            )),
            Dialect::Ec2 => Refusal::new(
                "MissingParameter",
                format!("The request must contain the parameter {key}"),
            ),
        }
    }

    fn malformed(&self, text: String) -> Refusal {
        match self.params.dialect {
            Dialect::Query => Refusal::validation(text),
            Dialect::Ec2 => Refusal::parameter(text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lists_structures_and_strays() {
        let params = Params::parse(
            "Action=X&Tags.member.1.Key=a+b&Tags.member.1.Value=%2Fc&Tags.member.10.Key=z&Tags.member.2.Key=m&Names=&Config.Port=80&Odd=1",
            Dialect::Query,
        );
        let input = params.root();
        let pairs = input.pairs("Tags").unwrap();
        assert_eq!(pairs[0], ("a b".to_owned(), "/c".to_owned()));
        assert_eq!(pairs[2].0, "z");
        assert!(input.texts("Names").is_empty());
        assert_eq!(
            input.part("Config").number::<u16>("Port").unwrap(),
            Some(80)
        );
        assert!(input.done().unwrap_err().message.contains("Odd"));
        assert_eq!(input.text("Odd").as_deref(), Some("1"));
        assert!(input.done().is_ok());
        assert_eq!(input.need("Nothing").unwrap_err().code, "ValidationError");
    }

    #[test]
    fn flat_lists_of_ec2() {
        let params = Params::parse(
            "Filter.1.Name=vpc-id&Filter.1.Value.1=a&Filter.1.Value.2=b&SubnetId.1=s",
            Dialect::Ec2,
        );
        let input = params.root();
        assert_eq!(input.list("Filter")[0].texts("Value"), ["a", "b"]);
        assert_eq!(input.done().unwrap_err().code, "UnknownParameter");
    }
}
