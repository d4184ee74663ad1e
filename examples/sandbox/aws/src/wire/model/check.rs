//! What the shape of an operation says about the values of a request:
//! required, enumerated, long, wide, patterned.

use serde_json::Value;

use super::{Kind, Model, Shape};

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member: its name in the model and on the wire.
    Member(String, String),
    /// An element of a list, counted from 1.
    Element(usize),
    /// A value of a map.
    Key(String),
}

/// The way to a value from the whole request.
pub type Path = Vec<Step>;

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It has to be there and is not.
    Missing,
    /// The operation does not have it.
    Unknown,
    /// It cannot be read as what it has to be.
    Unreadable {
        /// The value.
        value: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// It breaks a rule.
    Breaks {
        /// The value.
        value: String,
        /// The rule as AWS words it.
        rule: String,
    },
}

/// Something wrong at some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The place.
    pub path: Path,
    /// What is wrong.
    pub wrong: Wrong,
}

/// AWS names no more than this many in one answer.
const MOST: usize = 100;

/// Checks a tree that was decoded by this shape.
pub fn check(model: &Model, shape: &str, tree: &Value) -> Vec<Violation> {
    let mut checking = Checking {
        model,
        path: Vec::new(),
        found: Vec::new(),
    };
    checking.visit(shape, tree);
    checking.found
}

struct Checking<'a> {
    model: &'a Model,
    path: Path,
    found: Vec<Violation>,
}

impl Checking<'_> {
    fn add(&mut self, wrong: Wrong) {
        if self.found.len() < MOST {
            self.found.push(Violation {
                path: self.path.clone(),
                wrong,
            });
        }
    }

    fn breaks(&mut self, value: &Value, rule: String) {
        self.add(Wrong::Breaks {
            value: shown(value),
            rule,
        });
    }

    fn visit(&mut self, name: &str, value: &Value) {
        let Some(shape) = self.model.shape(name) else {
            return;
        };
        match shape.kind {
            Kind::Structure => self.structure(shape, value),
            Kind::List => {
                let Value::Array(items) = value else { return };
                self.length(shape, value, items.len());
                self.list(shape, value, items);
            }
            Kind::Map => {
                let Value::Object(entries) = value else {
                    return;
                };
                self.length(shape, value, entries.len());
                for (key, value) in entries {
                    self.path.push(Step::Key(key.clone()));
                    self.visit(&shape.key, &Value::from(key.as_str()));
                    self.visit(&shape.value, value);
                    self.path.pop();
                }
            }
            Kind::Integer | Kind::Long | Kind::Float | Kind::Double => {
                for rule in range(shape, value) {
                    self.breaks(value, rule);
                }
            }
            Kind::String | Kind::Blob => {
                for rule in text(shape, value) {
                    self.breaks(value, rule);
                }
            }
            Kind::Boolean | Kind::Timestamp => {}
        }
    }

    fn structure(&mut self, shape: &Shape, value: &Value) {
        let Value::Object(fields) = value else {
            return;
        };
        if shape.union && fields.len() != 1 {
            self.breaks(
                value,
                "Member must have exactly one of its members set".to_owned(),
            );
        }
        for member in &shape.members {
            let found = fields.get(member.key(self.model.protocol));
            let required = shape.required.iter().any(|name| name == member.name());
            if found.is_none() && !required {
                continue;
            }
            let step = Step::Member(member.name().to_owned(), member.request().to_owned());
            self.path.push(step);
            match found {
                Some(value) => self.visit(&member.1, value),
                None => self.add(Wrong::Missing),
            }
            self.path.pop();
        }
    }

    /// The rules that elements which are texts or numbers break are named
    /// together, at the list.
    fn list(&mut self, shape: &Shape, value: &Value, items: &[Value]) {
        let Some(element) = self.model.shape(&shape.member) else {
            return;
        };
        if matches!(element.kind, Kind::Structure | Kind::List | Kind::Map) {
            for (index, item) in items.iter().enumerate() {
                self.path.push(Step::Element(index + 1));
                self.visit(&shape.member, item);
                self.path.pop();
            }
            return;
        }
        let broken = items
            .iter()
            .any(|item| !text(element, item).is_empty() || !range(element, item).is_empty());
        if broken {
            let rules = rules(element).join(", ");
            self.breaks(value, format!("Member must satisfy constraint: [{rules}]"));
        }
    }

    fn length(&mut self, shape: &Shape, value: &Value, length: usize) {
        for rule in lengths(shape, length) {
            self.breaks(value, rule);
        }
    }
}

/// Lengths and bounds are whole numbers far below the limits of `f64`.
#[allow(clippy::cast_precision_loss)]
fn lengths(shape: &Shape, length: usize) -> Vec<String> {
    let mut broken = Vec::new();
    if let Some(max) = shape.max.filter(|max| length as f64 > *max) {
        broken.push(longest(max));
    }
    if let Some(min) = shape.min.filter(|min| (length as f64) < *min) {
        broken.push(shortest(min));
    }
    broken
}

fn longest(max: f64) -> String {
    format!("Member must have length less than or equal to {max}")
}

fn shortest(min: f64) -> String {
    format!("Member must have length greater than or equal to {min}")
}

fn one_of(values: &[String]) -> String {
    format!(
        "Member must satisfy enum value set: [{}]",
        values.join(", ")
    )
}

fn matching(shape: &Shape) -> String {
    format!(
        "Member must satisfy regular expression pattern: {}",
        shape.shown_pattern()
    )
}

fn greatest(max: f64) -> String {
    format!("Member must have value less than or equal to {max}")
}

fn least(min: f64) -> String {
    format!("Member must have value greater than or equal to {min}")
}

/// The rules of a text that a value breaks.
fn text(shape: &Shape, value: &Value) -> Vec<String> {
    let Value::String(text) = value else {
        return Vec::new();
    };
    if shape.kind == Kind::Blob {
        // Four characters of base64 are three bytes.
        let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
        return lengths(shape, (text.len() / 4 * 3).saturating_sub(padding));
    }
    let mut broken = lengths(shape, text.encode_utf16().count());
    if !shape.matches(text) {
        broken.push(matching(shape));
    }
    if !shape.values.is_empty() && !shape.values.contains(text) {
        broken.push(one_of(&shape.values));
    }
    broken
}

/// The bounds that a number is outside of.
fn range(shape: &Shape, value: &Value) -> Vec<String> {
    let Some(number) = value.as_f64() else {
        return Vec::new();
    };
    let mut broken = Vec::new();
    if let Some(max) = shape.max.filter(|max| number > *max) {
        broken.push(greatest(max));
    }
    if let Some(min) = shape.min.filter(|min| number < *min) {
        broken.push(least(min));
    }
    broken
}

/// All rules of a text or number.
fn rules(shape: &Shape) -> Vec<String> {
    let mut rules = Vec::new();
    let number = matches!(
        shape.kind,
        Kind::Integer | Kind::Long | Kind::Float | Kind::Double
    );
    if let Some(max) = shape.max {
        rules.push(if number { greatest(max) } else { longest(max) });
    }
    if let Some(min) = shape.min {
        rules.push(if number { least(min) } else { shortest(min) });
    }
    if shape.pattern.is_some() {
        rules.push(matching(shape));
    }
    if !shape.values.is_empty() {
        rules.push(one_of(&shape.values));
    }
    rules
}

/// A value as AWS writes it into messages.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}={}", shown(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}
