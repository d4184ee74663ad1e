//! CBOR (RFC 8949), as far as rpcv2Cbor uses it: to and from the JSON in which
//! the simulator handles parameters and answers.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::model::{Kind, Model, Shape};

/// No message of AWS is deeper.
const DEEPEST: usize = 64;

/// Reads one value; `None` when it is not well-formed or something follows.
/// Bytes become base64, and tags are passed over.
pub fn read(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// The length of a text or a list.
#[derive(Clone, Copy)]
enum Length {
    Known(usize),
    UntilBreak,
}

/// The end of a value of indefinite length.
const BREAK: u8 = 0xFF;

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn is_break(&mut self) -> bool {
        let found = self.rest.first() == Some(&BREAK);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// The number in or after a head.
    fn number(&mut self, low: u8) -> Option<u64> {
        let count = match low {
            0..=23 => return Some(u64::from(low)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let bytes = self.take(count)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    fn length(&mut self, low: u8) -> Option<Length> {
        if low == 31 {
            return Some(Length::UntilBreak);
        }
        usize::try_from(self.number(low)?).ok().map(Length::Known)
    }

    /// Whether more follows of what has a length.
    fn goes_on(&mut self, length: Length, so_far: usize) -> bool {
        match length {
            Length::Known(length) => so_far < length,
            Length::UntilBreak => !self.is_break(),
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        let head = self.byte()?;
        let (major, low) = (head >> 5, head & 0x1F);
        match major {
            0 => self.number(low).map(Value::from),
            1 => {
                let number = i64::try_from(self.number(low)?).ok()?;
                Some(Value::from(-1 - number))
            }
            2 => {
                let bytes = self.bytes(2, low)?;
                Some(Value::from(STANDARD.encode(bytes)))
            }
            3 => String::from_utf8(self.bytes(3, low)?).ok().map(Value::from),
            4 => {
                let length = self.length(low)?;
                let mut items = Vec::new();
                while self.goes_on(length, items.len()) {
                    items.push(self.value(depth + 1)?);
                }
                Some(Value::Array(items))
            }
            5 => {
                let length = self.length(low)?;
                let (mut fields, mut count) = (Map::new(), 0);
                while self.goes_on(length, count) {
                    let Value::String(name) = self.value(depth + 1)? else {
                        return None;
                    };
                    fields.insert(name, self.value(depth + 1)?);
                    count += 1;
                }
                Some(Value::Object(fields))
            }
            6 => {
                self.number(low)?;
                self.value(depth + 1)
            }
            _ => self.simple(low),
        }
    }

    /// Bytes or text, whole or in pieces.
    fn bytes(&mut self, major: u8, low: u8) -> Option<Vec<u8>> {
        if let Length::Known(length) = self.length(low)? {
            return self.take(length).map(<[u8]>::to_vec);
        }
        let mut whole = Vec::new();
        while !self.is_break() {
            let head = self.byte()?;
            if head >> 5 != major {
                return None;
            }
            let Length::Known(length) = self.length(head & 0x1F)? else {
                return None;
            };
            whole.extend(self.take(length)?);
        }
        Some(whole)
    }

    fn simple(&mut self, low: u8) -> Option<Value> {
        let float = match low {
            20 => return Some(Value::Bool(false)),
            21 => return Some(Value::Bool(true)),
            22 | 23 => return Some(Value::Null),
            25 => half(u16::try_from(self.number(25)?).ok()?),
            26 => f64::from(f32::from_bits(u32::try_from(self.number(26)?).ok()?)),
            27 => f64::from_bits(self.number(27)?),
            _ => return None,
        };
        float.is_finite().then(|| Value::from(float))
    }
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 => f64::INFINITY,
        _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Writes a value; where a shape is known its timestamps are tagged as such.
pub fn write(value: &Value, shape: Option<(&Model, &Shape)>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, value, shape);
    out
}

fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    let bytes = number.to_be_bytes();
    match number {
        0..=23 => out.push(major | bytes[7]),
        24..=0xFF => out.extend([major | 0x18, bytes[7]]),
        0x100..=0xFFFF => {
            out.push(major | 0x19);
            out.extend(&bytes[6..]);
        }
        0x1_0000..=0xFFFF_FFFF => {
            out.push(major | 0x1A);
            out.extend(&bytes[4..]);
        }
        _ => {
            out.push(major | 0x1B);
            out.extend(bytes);
        }
    }
}

fn put(out: &mut Vec<u8>, value: &Value, shape: Option<(&Model, &Shape)>) {
    let below = |name: &str| shape.and_then(|(model, _)| Some((model, model.shape(name)?)));
    match value {
        Value::Null => out.push(0xF6),
        Value::Bool(flag) => out.push(if *flag { 0xF5 } else { 0xF4 }),
        Value::Number(number) => {
            if shape.is_some_and(|(_, shape)| shape.kind == Kind::Timestamp) {
                head(out, 6, 1);
            }
            if let Some(number) = number.as_u64() {
                head(out, 0, number);
            } else if let Some(number) = number.as_i64() {
                head(out, 1, (-1 - number).unsigned_abs());
            } else {
                out.push(0xFB);
                out.extend(number.as_f64().unwrap_or_default().to_be_bytes());
            }
        }
        Value::String(text) => {
            let blob = shape.is_some_and(|(_, shape)| shape.kind == Kind::Blob);
            let bytes = STANDARD.decode(text).ok().filter(|_| blob);
            let major = if bytes.is_some() { 2 } else { 3 };
            let bytes = bytes.unwrap_or_else(|| text.as_bytes().to_vec());
            head(out, major, bytes.len() as u64);
            out.extend(bytes);
        }
        Value::Array(items) => {
            head(out, 4, items.len() as u64);
            let item = shape.and_then(|(_, shape)| below(&shape.member));
            for value in items {
                put(out, value, item);
            }
        }
        Value::Object(fields) => {
            head(out, 5, fields.len() as u64);
            for (name, value) in fields {
                put(out, &Value::from(name.as_str()), None);
                let member = shape.and_then(|(_, shape)| {
                    let mut members = shape.members.iter();
                    match members.find(|member| member.name() == name) {
                        Some(member) => below(&member.1),
                        None => below(&shape.value),
                    }
                });
                put(out, value, member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value = json!({
            "a": [1, -1, 23, 24, 255, 256, 65536, 4_294_967_296_u64, -500],
            "b": { "c": null, "d": true, "e": false, "f": 1.5, "g": "é" },
            "long": "x".repeat(300),
        });
        assert_eq!(read(&write(&value, None)), Some(value));
    }

    #[test]
    fn examples_of_the_rfc() {
        for (hexadecimal, value) in [
            ("f93c00", json!(1.0)),
            ("f97bff", json!(65504.0)),
            ("f90001", json!(5.960_464_477_539_063e-8)),
            ("fa47c35000", json!(100_000.0)),
            ("fbc010666666666666", json!(-4.1)),
            ("c11a514b67b0", json!(1_363_896_240)),
            ("4401020304", json!("AQIDBA==")),
            ("5f42010243030405ff", json!("AQIDBAU=")),
            ("7f657374726561646d696e67ff", json!("streaming")),
            ("9f018202039f0405ffff", json!([1, [2, 3], [4, 5]])),
            ("bf61610161629f0203ffff", json!({ "a": 1, "b": [2, 3] })),
        ] {
            let bytes = hex::decode(hexadecimal).unwrap();
            assert_eq!(read(&bytes), Some(value), "{hexadecimal}");
        }
        for bad in [
            "", "ff", "61", "8201", "f97c00", "a10101", "0000", "5f6161ff",
        ] {
            assert_eq!(read(&hex::decode(bad).unwrap()), None, "{bad}");
        }
        assert_eq!(read(&[0x81; 10_000]), None);
    }

    #[test]
    fn timestamps_are_tagged() {
        let model = crate::wire::service::Service::Shield.model();
        let shape = model.shape("Subscription").unwrap();
        let value = json!({ "StartTime": 1_363_896_240, "AutoRenew": "ENABLED" });
        let written = hex::encode(write(&value, Some((model, shape))));
        assert!(written.contains("c11a514b67b0"), "{written}");
    }
}
