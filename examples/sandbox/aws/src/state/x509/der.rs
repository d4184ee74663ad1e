//! DER, as far as certificates and keys need it.

/// One element: its tag, its content, and all of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) struct Element<'a> {
    pub(in crate::state) tag: u8,
    pub(in crate::state) content: &'a [u8],
    pub(in crate::state) whole: &'a [u8],
}

pub(in crate::state) const BOOLEAN: u8 = 0x01;
pub(in crate::state) const INTEGER: u8 = 0x02;
pub(in crate::state) const BIT_STRING: u8 = 0x03;
pub(in crate::state) const OCTET_STRING: u8 = 0x04;
pub(in crate::state) const OBJECT_ID: u8 = 0x06;
pub(in crate::state) const SEQUENCE: u8 = 0x30;

/// The first element and what follows it.
pub(in crate::state) fn first(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let count = usize::from(length & 0x7F);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let whole = &bytes[..bytes.len() - rest.len()];
    Some((
        Element {
            tag,
            content,
            whole,
        },
        rest,
    ))
}

/// All elements one after another; `None` when there is something else between.
pub(in crate::state) fn all(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (element, rest) = first(bytes)?;
        elements.push(element);
        bytes = rest;
    }
    Some(elements)
}

impl<'a> Element<'a> {
    /// The elements inside, when this has the tag.
    pub(in crate::state) fn inside(&self, tag: u8) -> Option<Vec<Element<'a>>> {
        (self.tag == tag).then(|| all(self.content)).flatten()
    }

    /// The bytes of a bit string that fills its last byte.
    pub(in crate::state) fn bits(&self) -> Option<&'a [u8]> {
        let (_, bits) = self.content.split_first()?;
        (self.tag == BIT_STRING).then_some(bits)
    }

    /// The number of an integer without leading zeros.
    pub(in crate::state) fn number(&self) -> Option<&'a [u8]> {
        let zeros = self.content.iter().take_while(|byte| **byte == 0).count();
        (self.tag == INTEGER).then(|| &self.content[zeros..])
    }
}

/// An object identifier in dots.
pub(in crate::state) fn dotted(content: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for byte in content {
        number = number << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    let Some(first) = numbers.first().copied() else {
        return String::new();
    };
    let root = (first / 40).min(2);
    let mut text = format!("{root}.{}", first - root * 40);
    for number in &numbers[1..] {
        text.push('.');
        text.push_str(&number.to_string());
    }
    text
}
