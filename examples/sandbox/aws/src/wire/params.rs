//! The parameters of a request, read by name from the tree that it was decoded
//! into. What an operation has not read when it says `done` is something that
//! the simulator does not do, and refused rather than passed over.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::service::Service;
use crate::state::{Answer, Refusal};
use crate::url_encoding;

/// All parameters of a request.
#[derive(Debug)]
pub struct Params {
    service: Service,
    operation: String,
    tree: Value,
    /// Places of values that were read.
    read: RefCell<BTreeSet<String>>,
}

impl Params {
    /// Parameters that were decoded for an operation of a service.
    pub fn new(service: Service, operation: &str, tree: Value) -> Self {
        Self {
            service,
            operation: operation.to_owned(),
            tree,
            read: RefCell::default(),
        }
    }

    /// All of it as it was decoded.
    pub fn tree(&self) -> &Value {
        &self.tree
    }

    /// The whole set, to read from.
    pub fn root(&self) -> Input<'_> {
        Input {
            params: self,
            node: Some(&self.tree),
            path: String::new(),
        }
    }
}

/// Decodes `a=b&c=d` with percent signs and plus signs.
pub fn decode_form(form: &str) -> BTreeMap<String, String> {
    url_encoding::pairs(form).into_iter().collect()
}

/// A part of the parameters: the whole, a structure or one element of a list.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    params: &'a Params,
    node: Option<&'a Value>,
    path: String,
}

impl<'a> Input<'a> {
    fn below(&self, name: &str) -> Option<&'a Value> {
        self.node?.get(name)
    }

    fn key(&self, name: &str) -> String {
        match (self.path.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{name}", self.path),
        }
    }

    fn mark(&self, name: &str) {
        self.params.read.borrow_mut().insert(self.key(name));
    }

    /// The service that was called.
    pub fn service(&self) -> Service {
        self.params.service
    }

    /// All parameters of the call as they were decoded.
    pub fn tree(&self) -> &'a Value {
        &self.params.tree
    }

    /// The operation that was called.
    pub fn operation(&self) -> &'a str {
        &self.params.operation
    }

    /// A text, number or boolean as text, if given.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = plain(self.below(name)?)?;
        self.mark(name);
        Some(text)
    }

    /// A text that has to be given.
    pub fn need(&self, name: &str) -> Answer<String> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    /// All parameters by the names of their places.
    pub fn sent(&self) -> BTreeMap<String, String> {
        let mut sent = BTreeMap::new();
        leaves("", &self.params.tree, &mut |place, value| {
            sent.insert(place.to_owned(), plain(value).unwrap_or_default());
        });
        sent
    }

    /// The text of a list element.
    pub fn value(&self) -> String {
        self.mark("");
        self.node.and_then(plain).unwrap_or_default()
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
            self.invalid(format!(
                "Value ({text}) for parameter {} is invalid.",
                self.key(name)
            ))
        })
    }

    /// Bytes, if given.
    pub fn bytes(&self, name: &str) -> Answer<Option<Vec<u8>>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        STANDARD
            .decode(text)
            .map(Some)
            .map_err(|_| self.invalid(format!("The value of {name} is not base64.")))
    }

    /// The elements of a list, in order. A list that is sent empty has none.
    pub fn list(&self, name: &str) -> Vec<Input<'a>> {
        let Some(Value::Array(items)) = self.below(name) else {
            return Vec::new();
        };
        if items.is_empty() {
            self.mark(name);
        }
        let items = items.iter().enumerate();
        items
            .map(|(index, item)| Input {
                params: self.params,
                node: Some(item),
                path: self.key(&format!("{name}.{}", index + 1)),
            })
            .collect()
    }

    /// The elements of a list of texts.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().map(Input::value).collect()
    }

    /// The entries of a map of texts.
    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let Some(Value::Object(entries)) = self.below(name) else {
            return BTreeMap::new();
        };
        self.mark(name);
        entries
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), plain(value)?)))
            .collect()
    }

    /// A structure.
    pub fn part(&self, name: &str) -> Input<'a> {
        if let Some(Value::Object(fields)) = self.below(name)
            && fields.is_empty()
        {
            self.mark(name);
        }
        Input {
            params: self.params,
            node: self.below(name),
            path: self.key(name),
        }
    }

    /// Whether anything of this name was sent.
    pub fn has(&self, name: &str) -> bool {
        self.below(name).is_some()
    }

    /// `Key` and `Value` pairs of a list.
    pub fn pairs(&self, name: &str) -> Answer<Vec<(String, String)>> {
        self.list(name)
            .iter()
            .map(|pair| Ok((pair.need("Key")?, pair.text("Value").unwrap_or_default())))
            .collect()
    }

    /// A member as it was decoded, with everything below it; for what the
    /// simulator keeps whole.
    pub fn whole(&self, name: &str) -> Option<&'a Value> {
        let value = self.below(name)?;
        self.mark(name);
        Some(value)
    }

    /// Passes over members that make no difference here.
    pub fn skip(&self, names: &[&str]) {
        for name in names {
            self.mark(name);
        }
    }

    /// Ends the reading: refuses parameters that nothing was done with.
    pub fn done(&self) -> Answer<()> {
        let read = self.params.read.borrow();
        let taken = |place: &str| {
            // A place is read when it or anything around it was.
            let ends = place.match_indices('.').map(|(at, _)| at);
            ends.chain([place.len()])
                .any(|end| read.contains(&place[..end]))
        };
        let mut stray = None;
        leaves("", &self.params.tree, &mut |place, _| {
            if stray.is_none() && !taken(place) {
                stray = Some(place.to_owned());
            }
        });
        let Some(place) = stray else {
            return Ok(());
        };
        tracing::warn!(
            service = self.service().scope(),
            parameter = place,
            "parameter that is not simulated"
        );
        let text = format!("The parameter {place} is not simulated");
        Err(match self.service() {
            Service::Ec2 => Refusal::new("UnsupportedOperation", text),
            service => service.invalid(text),
        })
    }

    /// A refusal of a value with the code of the service.
    pub fn invalid(&self, text: impl Into<String>) -> Refusal {
        self.service().invalid(text)
    }

    /// The refusal of a token that was not given out.
    pub fn bad_token(&self, token: Option<&str>) -> Refusal {
        self.service().bad_token(token.unwrap_or_default())
    }

    /// The refusal of a parameter that has to be there.
    pub fn missing(&self, name: &str) -> Refusal {
        self.service().missing(&self.key(name))
    }
}

/// A text, number or boolean as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Visits everything that has nothing below it.
fn leaves(place: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    let below = |name: &str| {
        if place.is_empty() {
            name.to_owned()
        } else {
            format!("{place}.{name}")
        }
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(&below(name), value, visit);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                leaves(&below(&(index + 1).to_string()), item, visit);
            }
        }
        // A request without parameters has nothing to read.
        Value::Object(_) if place.is_empty() => {}
        _ => visit(place, value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_structures_and_what_is_left_over() {
        let params = Params::new(
            Service::Elb,
            "CreateThing",
            json!({
                "Tags": [{ "Key": "a b", "Value": "/c" }, { "Key": "m" }],
                "Names": [],
                "Config": { "Port": 80, "On": true },
                "Odd": [{ "Deep": "1" }],
            }),
        );
        let input = params.root();
        let pairs = input.pairs("Tags").unwrap();
        assert_eq!(pairs[0], ("a b".to_owned(), "/c".to_owned()));
        assert_eq!(pairs[1], ("m".to_owned(), String::new()));
        assert!(input.texts("Names").is_empty());
        let config = input.part("Config");
        assert_eq!(config.number::<u16>("Port").unwrap(), Some(80));
        assert_eq!(config.flag("On").unwrap(), Some(true));
        assert!(config.number::<u8>("Nothing").unwrap().is_none());
        let left = input.done().unwrap_err();
        assert_eq!(left.code, "ValidationError");
        assert!(left.message.contains("Odd.1.Deep"));
        assert!(input.whole("Odd").is_some());
        assert!(input.done().is_ok());
        assert_eq!(input.need("Nothing").unwrap_err().code, "ValidationError");
        assert_eq!(input.sent()["Tags.2.Key"], "m");
    }
}
