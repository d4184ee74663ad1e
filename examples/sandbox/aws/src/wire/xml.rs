//! XML: a builder for answers, a small tree for requests.

use std::fmt::{Display, Write};

use jiff::Timestamp;
use quick_xml::{Reader, events::Event};

/// An XML text in the making, with headers of the answer that it is for.
#[derive(Debug, Default)]
pub struct Xml {
    text: String,
    headers: Vec<(&'static str, String)>,
}

impl Xml {
    /// A header of the answer, such as `location`.
    pub fn header(&mut self, name: &'static str, value: impl Into<String>) -> &mut Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Takes the headers out.
    pub fn take_headers(&mut self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.headers)
    }

    /// `<name>value</name>`.
    pub fn leaf(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.open(name);
        let _ = write!(Escaped(&mut self.text), "{value}");
        self.close(name)
    }

    fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) -> &mut Self {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
        self
    }

    /// `<name>value</name>` if there is a value.
    pub fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.leaf(name, value);
        }
        self
    }

    /// `<name>…</name>`.
    pub fn nest(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(name);
        fill(self);
        self.close(name)
    }

    /// `<name xmlns="namespace">…</name>`.
    pub fn root(&mut self, name: &str, namespace: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let _ = write!(self.text, "<{name} xmlns=\"{namespace}\">");
        fill(self);
        self.close(name)
    }

    /// `<name><item>…</item>…</name>`.
    pub fn list<T>(
        &mut self,
        name: &str,
        item: &str,
        values: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.nest(name, |xml| {
            for value in values {
                xml.nest(item, |xml| fill(xml, value));
            }
        })
    }

    /// `<name><item>text</item>…</name>`.
    pub fn texts<T: Display>(
        &mut self,
        name: &str,
        item: &str,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.nest(name, |xml| {
            for value in values {
                xml.leaf(item, value);
            }
        })
    }

    /// Text that is XML already.
    pub fn embed(&mut self, xml: &str) -> &mut Self {
        self.text.push_str(xml);
        self
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A time as awsQuery, ec2Query and Route 53 write it.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Writes text into XML.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let plain =
            |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"');
        // So is nearly all of it.
        if text.bytes().all(plain) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#xD;"),
                // XML 1.0 has no way to write these.
                c if c.is_control() && !matches!(c, '\t' | '\n') => self.0.push('\u{FFFD}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// An element of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Local name.
    pub name: String,
    /// Value of `xmlns`, on the element that states it.
    pub namespace: Option<String>,
    /// Text inside.
    pub text: String,
    /// Elements inside.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document; `None` when it is not well-formed.
    pub fn parse(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => open.push(Self::opened(&start)),
                Event::Empty(start) => {
                    let element = Self::opened(&start);
                    open.last_mut()?.children.push(element);
                }
                Event::End(_) => {
                    let element = open.pop()?;
                    open.last_mut()?.children.push(element);
                }
                Event::Text(text) => {
                    open.last_mut()?.text.push_str(&text.xml10_content());
                }
                Event::CData(data) => {
                    open.last_mut()?.text.push_str(&data.xml10_content());
                }
                Event::GeneralRef(name) => {
                    open.last_mut()?.text.push(resolve(&name)?);
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let mut root = open.pop()?;
        if !open.is_empty() || root.children.len() != 1 {
            return None;
        }
        root.children.pop()
    }

    fn opened(start: &quick_xml::events::BytesStart) -> Self {
        let name = start.local_name().into_inner().to_owned();
        let whole = start.name().into_inner().to_owned();
        let declaration = match whole.split_once(':') {
            Some((prefix, _)) => format!("xmlns:{prefix}"),
            None => "xmlns".to_owned(),
        };
        let namespace = start
            .attributes()
            .flatten()
            .find(|attribute| attribute.key.into_inner() == declaration)
            .map(|attribute| attribute.value.into_owned());
        Self {
            name,
            namespace,
            ..Self::default()
        }
    }

    /// The first element inside of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first element inside of this name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    /// The elements inside the first element of this name.
    pub fn items(&self, name: &str) -> &[Self] {
        self.child(name).map_or(&[], |child| &child.children)
    }
}

/// An entity or character reference.
fn resolve(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut xml = Xml::default();
        xml.nest("A", |xml| {
            xml.leaf("B", "<&>\"'\u{1}").maybe("C", None::<u8>);
            xml.list("Ds", "D", [1, 2], |xml, n| {
                xml.leaf("N", n);
            });
        });
        let root = Element::parse(&xml.into_text()).unwrap();
        assert_eq!(root.text_of("B"), Some("<&>\"'\u{FFFD}"));
        assert_eq!(root.items("Ds").len(), 2);
    }

    #[test]
    fn bad_documents() {
        assert_eq!(Element::parse("<A><B></A>"), None);
        assert_eq!(Element::parse(""), None);
        assert_eq!(Element::parse("<A/><B/>"), None);
        let root = Element::parse("<?xml version='1.0'?><A xmlns='urn:x'>t</A>").unwrap();
        assert_eq!(root.namespace.as_deref(), Some("urn:x"));
    }
}
