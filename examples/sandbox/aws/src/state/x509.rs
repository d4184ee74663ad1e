//! The few facts of a certificate that ACM shows, read from its DER form.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{Timestamp, civil};

/// What ACM shows of an imported certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Subject alternative names, else the common name.
    pub names: Vec<String>,
    /// End of validity.
    pub not_after: Timestamp,
    /// `RSA_2048`, `EC_prime256v1`, …
    pub key_algorithm: String,
}

/// The DER bytes of the first PEM block with this label.
pub fn pem_block(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(body).ok()
}

/// Reads a PEM certificate; `None` when it is none.
pub fn read(pem: &str) -> Option<Facts> {
    let der = pem_block(pem, "CERTIFICATE")?;
    let (_, certificate, _) = element(&der)?;
    let (_, mut fields, _) = element(certificate)?;
    let mut parts = Vec::new();
    while let Some((tag, content, rest)) = element(fields) {
        parts.push((tag, content));
        fields = rest;
    }
    if parts.first()?.0 == 0xA0 {
        parts.remove(0);
    }
    // serial, signature, issuer, validity, subject, public key, extensions
    let (_, _, after_not_before) = element(parts.get(3)?.1)?;
    let (tag, not_after, _) = element(after_not_before)?;
    let subject = parts.get(4)?.1;
    let key = parts.get(5)?.1;
    let mut names = parts
        .iter()
        .find(|(tag, _)| *tag == 0xA3)
        .map(|(_, extensions)| alternative_names(extensions))
        .unwrap_or_default();
    if names.is_empty() {
        names.extend(common_name(subject));
    }
    if names.is_empty() {
        return None;
    }
    Some(Facts {
        names,
        not_after: time(tag, not_after)?,
        key_algorithm: key_algorithm(key)?,
    })
}

/// Tag, content and what follows of the first DER element.
pub(super) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7F);
        let (digits, rest) = rest.split_at_checked(count)?;
        if count > 4 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// What follows the first occurrence of `pattern`.
fn after<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
        .map(|at| &bytes[at + pattern.len()..])
}

/// The dNSName entries of the extension 2.5.29.17.
fn alternative_names(extensions: &[u8]) -> Vec<String> {
    let names = after(extensions, &[0x06, 0x03, 0x55, 0x1D, 0x11]).and_then(|mut rest| {
        let (mut tag, mut content, next) = element(rest)?;
        if tag == 0x01 {
            rest = next;
            (tag, content, _) = element(rest)?;
        }
        (tag == 0x04).then_some(())?;
        let (_, sequence, _) = element(content)?;
        content = sequence;
        let mut names = Vec::new();
        while let Some((tag, name, next)) = element(content) {
            if tag == 0x82 {
                names.extend(std::str::from_utf8(name).ok().map(str::to_owned));
            }
            content = next;
        }
        Some(names)
    });
    names.unwrap_or_default()
}

/// The attribute 2.5.4.3 of a name.
fn common_name(subject: &[u8]) -> Option<String> {
    let rest = after(subject, &[0x06, 0x03, 0x55, 0x04, 0x03])?;
    let (_, name, _) = element(rest)?;
    std::str::from_utf8(name).ok().map(str::to_owned)
}

/// UTCTime (two digits of the year) or GeneralizedTime (four).
fn time(tag: u8, content: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(content).ok()?;
    let text = match tag {
        0x17 => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 {
                "20"
            } else {
                "19"
            };
            format!("{century}{text}")
        }
        0x18 => text.to_owned(),
        _ => return None,
    };
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let date = civil::DateTime::new(
        text.get(..4)?.parse().ok()?,
        number(4, 6)?,
        number(6, 8)?,
        number(8, 10)?,
        number(10, 12)?,
        number(12, 14)?,
        0,
    );
    date.ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

fn key_algorithm(key: &[u8]) -> Option<String> {
    const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
    const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
    if after(key, P256).is_some() {
        return Some("EC_prime256v1".to_owned());
    }
    if after(key, P384).is_some() {
        return Some("EC_secp384r1".to_owned());
    }
    after(key, RSA)?;
    let bits = match key.len() {
        0..=200 => 1024,
        201..=350 => 2048,
        351..=480 => 3072,
        _ => 4096,
    };
    Some(format!("RSA_{bits}"))
}
