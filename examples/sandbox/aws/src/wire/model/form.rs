//! Forms of awsQuery and ec2Query: names with dots into a tree.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Kind, Protocol, Shape,
    check::{Step, Wrong},
    decode::Decoder,
};

/// No parameter of AWS lies deeper.
const DEEPEST: usize = 40;

/// Parameters that frame a request: its action, its signature, and those of
/// the signatures of older versions.
pub fn frames(name: &str) -> bool {
    matches!(name, "Action" | "Version") || name.starts_with("X-Amz-")
}

/// A name with its value and the names below it.
#[derive(Default)]
struct Branch<'a> {
    value: Option<&'a str>,
    below: BTreeMap<&'a str, Branch<'a>>,
}

pub fn decode(
    decoder: &mut Decoder,
    shape: &Shape,
    parameters: &BTreeMap<String, String>,
) -> Value {
    let mut root = Branch::default();
    for (name, value) in parameters.iter().filter(|(name, _)| !frames(name)) {
        if name.split('.').count() > DEEPEST {
            decoder.stray(name);
            continue;
        }
        let branch = name.split('.').fold(&mut root, |branch, part| {
            branch.below.entry(part).or_default()
        });
        branch.value = Some(value);
    }
    structure(decoder, shape, &root)
}

fn structure(decoder: &mut Decoder, shape: &Shape, branch: &Branch) -> Value {
    let mut fields = Map::new();
    if let Some(text) = branch.value.filter(|text| !text.is_empty()) {
        decoder.unreadable(text, "a structure");
    }
    for (name, below) in &branch.below {
        let Some(member) = shape
            .members
            .iter()
            .find(|member| member.request() == *name)
        else {
            decoder.stray(name);
            continue;
        };
        let step = Step::Member(member.name().to_owned(), (*name).to_owned());
        let value = decoder.within(step, |decoder| {
            let shape = decoder.shape(&member.1)?;
            any(decoder, shape, below)
        });
        if let Some(value) = value {
            fields.insert(member.key(decoder.protocol()).to_owned(), value);
        }
    }
    Value::Object(fields)
}

fn any(decoder: &mut Decoder, shape: &Shape, branch: &Branch) -> Option<Value> {
    match shape.kind {
        Kind::Structure => Some(structure(decoder, shape, branch)),
        Kind::List => Some(list(decoder, shape, branch)),
        Kind::Map => Some(map(decoder, shape, branch)),
        _ => {
            for name in branch.below.keys() {
                decoder.stray(name);
            }
            match branch.value {
                Some(text) => decoder.scalar(shape, text),
                None => None,
            }
        }
    }
}

/// `Names.member.1` in awsQuery, `Name.1` in ec2Query. A list that is sent
/// empty has a name and no value.
fn list(decoder: &mut Decoder, shape: &Shape, branch: &Branch) -> Value {
    let flat = decoder.protocol() == Protocol::Ec2;
    let elements = elements(decoder, branch, (!flat).then_some(shape.item.as_str()));
    let Some(element) = decoder.shape(&shape.member) else {
        return Value::Array(Vec::new());
    };
    let values = elements
        .into_iter()
        .filter_map(|(index, branch)| {
            decoder.within(Step::Element(index), |decoder| {
                any(decoder, element, branch)
            })
        })
        .collect();
    Value::Array(values)
}

/// `Extra.entry.1.key=a&Extra.entry.1.value=b`.
fn map(decoder: &mut Decoder, shape: &Shape, branch: &Branch) -> Value {
    let mut entries = Map::new();
    let flat = decoder.protocol() == Protocol::Ec2;
    let found = elements(decoder, branch, (!flat).then_some("entry"));
    let Some(element) = decoder.shape(&shape.value) else {
        return Value::Object(entries);
    };
    for (index, branch) in found {
        for name in branch.below.keys() {
            if *name != shape.key_name && *name != shape.value_name {
                decoder.stray(name);
            }
        }
        let part = |name: &String| branch.below.get(name.as_str());
        let key = part(&shape.key_name).and_then(|key| key.value);
        let (Some(key), Some(value)) = (key, part(&shape.value_name)) else {
            decoder.within(Step::Element(index), |decoder| decoder.add(Wrong::Missing));
            continue;
        };
        let value = decoder.within(Step::Key(key.to_owned()), |decoder| {
            any(decoder, element, value)
        });
        if let Some(value) = value {
            entries.insert(key.to_owned(), value);
        }
    }
    Value::Object(entries)
}

/// The numbered branches, in order; `around` is the name before the numbers.
/// Numbers count from 1 without a hole.
fn elements<'a, 'b>(
    decoder: &mut Decoder,
    branch: &'a Branch<'b>,
    around: Option<&str>,
) -> Vec<(usize, &'a Branch<'b>)> {
    if let Some(text) = branch.value.filter(|text| !text.is_empty()) {
        decoder.unreadable(text, "a list");
    }
    let numbered = match around {
        None => Some(branch),
        Some(around) => {
            for name in branch.below.keys().filter(|name| **name != around) {
                decoder.stray(name);
            }
            branch.below.get(around)
        }
    };
    let Some(numbered) = numbered else {
        return Vec::new();
    };
    let mut found: Vec<(usize, &Branch)> = Vec::new();
    for (name, below) in &numbered.below {
        match name.parse::<usize>() {
            // One way to write a number, so that no element is given twice.
            Ok(index) if index.to_string() == *name => found.push((index, below)),
            _ => decoder.stray(name),
        }
    }
    found.sort_by_key(|(index, _)| *index);
    let hole = found
        .iter()
        .enumerate()
        .find(|(place, (index, _))| place + 1 != *index);
    if let Some((_, (index, _))) = hole {
        decoder.unreadable(
            &index.to_string(),
            "a list that is numbered from 1 without holes",
        );
    }
    found
}
