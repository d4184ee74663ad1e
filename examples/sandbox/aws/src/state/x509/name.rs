//! Distinguished names.

use std::fmt::Write as _;

use super::der::{self, Element, dotted};

/// One attribute of a name: its key as people write it if there is one, its
/// object identifier, and its value.
struct Attribute<'a> {
    key: Option<&'static str>,
    id: String,
    value: Element<'a>,
}

/// The attributes of a name, in the sets in which they stand.
fn attributes<'a>(element: &Element<'a>) -> Option<Vec<Vec<Attribute<'a>>>> {
    let mut sets = Vec::new();
    for set in element.inside(der::SEQUENCE)? {
        let mut attributes = Vec::new();
        for attribute in set.inside(0x31)? {
            let parts = attribute.inside(der::SEQUENCE)?;
            let [id, value] = parts.as_slice() else {
                return None;
            };
            let id = dotted(id.content);
            attributes.push(Attribute {
                key: key(&id),
                id,
                value: *value,
            });
        }
        sets.push(attributes);
    }
    Some(sets)
}

fn key(id: &str) -> Option<&'static str> {
    Some(match id {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

impl Attribute<'_> {
    fn text(&self) -> String {
        String::from_utf8_lossy(self.value.content).into_owned()
    }
}

/// The attributes of a name that AWS shows, in their order.
pub(super) fn name(element: &Element) -> Option<Vec<(&'static str, String)>> {
    const SHOWN: [&str; 6] = ["CN", "C", "L", "ST", "O", "OU"];
    let all = attributes(element)?;
    let shown = all.iter().flatten().filter_map(|attribute| {
        let key = attribute.key.filter(|key| SHOWN.contains(key))?;
        Some((key, attribute.text()))
    });
    Some(shown.collect())
}

pub(super) fn joined(names: &[(&str, String)]) -> String {
    let parts: Vec<String> = names
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    parts.join(",")
}

/// A name as RFC 2253 writes it: the last part first, what would be taken for
/// syntax behind a backslash, unknown kinds by their identifier and in
/// hexadecimal.
pub(super) fn rfc2253(element: &Element) -> Option<String> {
    let sets = attributes(element)?;
    let parts: Vec<String> = sets
        .iter()
        .rev()
        .map(|set| {
            let all: Vec<String> = set.iter().map(written).collect();
            all.join("+")
        })
        .collect();
    Some(parts.join(","))
}

fn written(attribute: &Attribute) -> String {
    let Some(key) = attribute.key else {
        let hex = attribute
            .value
            .whole
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02X}");
                hex
            });
        return format!("{}=#{hex}", attribute.id);
    };
    let text = attribute.text();
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        let edge = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if edge || ",+\"\\<>;".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    format!("{key}={escaped}")
}
