//! X.509 certificates and private keys, read from PEM: what ACM and IAM show of
//! them, whether a key belongs to a certificate, who signed whom.

pub(super) mod der;
mod key;
mod name;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{Timestamp, civil};
use rustls::crypto::ring;

pub(super) use key::PrivateKey;

use der::{Element, dotted};
use name::{joined, name, rfc2253};

/// What is read of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Subject alternative names of DNS, else the common name; may be empty.
    pub names: Vec<String>,
    /// Common name of the subject.
    pub common_name: Option<String>,
    /// Subject as `CN=a,O=b`.
    pub subject: String,
    /// Issuer in the same form.
    pub issuer: String,
    /// Subject as RFC 2253 writes it, the last part first.
    pub subject_rfc2253: String,
    /// Issuer in the same form.
    pub issuer_rfc2253: String,
    /// The organisation of the issuer, else its common name.
    pub issuer_name: String,
    /// Serial number, hexadecimal in pairs with colons.
    pub serial: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// `RSA_2048`, `EC_prime256v1`, …; `None` for kinds that AWS does not take.
    pub key_algorithm: Option<String>,
    /// `SHA256WITHRSA`, `SHA256WITHECDSA`, …
    pub signature_algorithm: String,
    /// Key usages by AWS's names.
    pub key_usages: Vec<&'static str>,
    /// Extended key usages: AWS's name and the object identifier.
    pub extended_key_usages: Vec<(&'static str, String)>,
    /// Whether it may sign certificates.
    pub authority: bool,
    /// Whether subject and issuer are one.
    pub self_issued: bool,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    signature_id: Vec<u8>,
    key_id: Vec<u8>,
    key: Vec<u8>,
}

/// The DER bytes of the first PEM block with this label.
pub(crate) fn pem_block(text: &str, label: &str) -> Option<Vec<u8>> {
    pem_blocks(text, label).into_iter().next()?
}

/// All PEM blocks with this label; `None` for one that cannot be decoded.
pub(super) fn pem_blocks(text: &str, label: &str) -> Vec<Option<Vec<u8>>> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    text.split(&begin)
        .skip(1)
        .map(|rest| {
            let (body, _) = rest.split_once(&end)?;
            let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            STANDARD.decode(body).ok()
        })
        .collect()
}

/// All certificates of a PEM text; `None` when one of them is none, or there is
/// no certificate.
pub fn read_all(pem: &str) -> Option<Vec<Facts>> {
    let facts: Vec<Facts> = pem_blocks(pem, "CERTIFICATE")
        .into_iter()
        .map(|block| read_der(&block?))
        .collect::<Option<_>>()?;
    (!facts.is_empty()).then_some(facts)
}

/// Reads a certificate.
fn read_der(bytes: &[u8]) -> Option<Facts> {
    let (certificate, rest) = der::first(bytes)?;
    if !rest.is_empty() {
        return None;
    }
    let parts = certificate.inside(der::SEQUENCE)?;
    let [signed, signature_id, signature] = parts.as_slice() else {
        return None;
    };
    let mut fields = signed.inside(der::SEQUENCE)?;
    if fields.first()?.tag == 0xA0 {
        fields.remove(0);
    }
    let [serial, _, issuer, validity, subject, key, ..] = fields.as_slice() else {
        return None;
    };
    let validity = validity.inside(der::SEQUENCE)?;
    let [not_before, not_after] = validity.as_slice() else {
        return None;
    };
    let extensions = fields
        .iter()
        .find(|field| field.tag == 0xA3)
        .and_then(|field| der::first(field.content))
        .and_then(|(list, _)| list.inside(der::SEQUENCE))
        .unwrap_or_default();
    let extensions = Extensions::read(&extensions)?;
    let subject_names = name(subject)?;
    let issuer_names = name(issuer)?;
    let of = |names: &[(&str, String)], what: &str| {
        names
            .iter()
            .find(|(key, _)| *key == what)
            .map(|(_, value)| value.clone())
    };
    let common_name = of(&subject_names, "CN");
    let mut names = extensions.names;
    if names.is_empty() {
        names.extend(common_name.clone());
    }
    let key_parts = key.inside(der::SEQUENCE)?;
    let [key_id, key_bits] = key_parts.as_slice() else {
        return None;
    };
    Some(Facts {
        names,
        common_name,
        subject: joined(&subject_names),
        issuer: joined(&issuer_names),
        subject_rfc2253: rfc2253(subject)?,
        issuer_rfc2253: rfc2253(issuer)?,
        issuer_name: of(&issuer_names, "O")
            .or_else(|| of(&issuer_names, "CN"))
            .unwrap_or_default(),
        serial: pairs(serial.content),
        not_before: time(not_before)?,
        not_after: time(not_after)?,
        key_algorithm: key_algorithm(key_id, key_bits.bits()?),
        signature_algorithm: signature_algorithm(signature_id)?,
        key_usages: extensions.key_usages,
        extended_key_usages: extensions.extended,
        authority: extensions.authority,
        self_issued: subject.whole == issuer.whole,
        subject_der: subject.whole.to_vec(),
        issuer_der: issuer.whole.to_vec(),
        signed: signed.whole.to_vec(),
        signature: signature.bits()?.to_vec(),
        signature_id: signature_id.content.to_vec(),
        key_id: key_id.content.to_vec(),
        key: key_bits.bits()?.to_vec(),
    })
}

impl Facts {
    /// Whether `other` issued this certificate: its subject is our issuer and,
    /// where the algorithm is one that can be checked, it signed us.
    pub fn issued_by(&self, other: &Self) -> bool {
        if self.issuer_der != other.subject_der {
            return false;
        }
        let known = ring::default_provider().signature_verification_algorithms;
        let mut fitting = known
            .all
            .iter()
            .filter(|algorithm| {
                algorithm.signature_alg_id().as_ref() == self.signature_id.as_slice()
                    && algorithm.public_key_alg_id().as_ref() == other.key_id.as_slice()
            })
            .peekable();
        fitting.peek().is_none()
            || fitting.any(|algorithm| {
                algorithm
                    .verify_signature(&other.key, &self.signed, &self.signature)
                    .is_ok()
            })
    }

    /// Whether the time lies in the validity.
    pub fn valid_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// `RSA` or `EC`.
    pub fn key_family(&self) -> &str {
        self.key_algorithm
            .as_deref()
            .and_then(|algorithm| algorithm.split('_').next())
            .unwrap_or_default()
    }

    /// Whether a private key belongs to the certificate.
    pub(super) fn belongs_to(&self, key: &PrivateKey) -> bool {
        key.fits(&self.key)
    }
}

/// The extensions that matter.
#[derive(Default)]
struct Extensions {
    names: Vec<String>,
    key_usages: Vec<&'static str>,
    extended: Vec<(&'static str, String)>,
    authority: bool,
}

impl Extensions {
    fn read(extensions: &[Element]) -> Option<Self> {
        let mut found = Self::default();
        for extension in extensions {
            let parts = extension.inside(der::SEQUENCE)?;
            let (id, value) = (parts.first()?, parts.last()?);
            if id.tag != der::OBJECT_ID || value.tag != der::OCTET_STRING {
                return None;
            }
            let (value, _) = der::first(value.content)?;
            match dotted(id.content).as_str() {
                "2.5.29.17" => {
                    for name in value.inside(der::SEQUENCE)? {
                        if name.tag == 0x82 {
                            found
                                .names
                                .push(std::str::from_utf8(name.content).ok()?.to_owned());
                        }
                    }
                }
                "2.5.29.15" => found.key_usages = key_usages(value.bits()?),
                "2.5.29.37" => {
                    for usage in value.inside(der::SEQUENCE)? {
                        let id = dotted(usage.content);
                        found.extended.push((extended_usage(&id), id));
                    }
                }
                "2.5.29.19" => {
                    found.authority = value
                        .inside(der::SEQUENCE)?
                        .first()
                        .is_some_and(|flag| flag.tag == der::BOOLEAN && flag.content != [0]);
                }
                _ => {}
            }
        }
        Some(found)
    }
}

fn key_usages(bits: &[u8]) -> Vec<&'static str> {
    const NAMES: [&str; 9] = [
        "DIGITAL_SIGNATURE",
        "NON_REPUDIATION",
        "KEY_ENCIPHERMENT",
        "DATA_ENCIPHERMENT",
        "KEY_AGREEMENT",
        "CERTIFICATE_SIGNING",
        "CRL_SIGNING",
        "ENCIPHER_ONLY",
        "DECIPHER_ONLY",
    ];
    let set = |index: usize| {
        bits.get(index / 8)
            .is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
    };
    (0..)
        .zip(NAMES)
        .filter(|(n, _)| set(*n))
        .map(|(_, name)| name)
        .collect()
}

fn extended_usage(id: &str) -> &'static str {
    match id {
        "1.3.6.1.5.5.7.3.1" => "TLS_WEB_SERVER_AUTHENTICATION",
        "1.3.6.1.5.5.7.3.2" => "TLS_WEB_CLIENT_AUTHENTICATION",
        "1.3.6.1.5.5.7.3.3" => "CODE_SIGNING",
        "1.3.6.1.5.5.7.3.4" => "EMAIL_PROTECTION",
        "1.3.6.1.5.5.7.3.5" => "IPSEC_END_SYSTEM",
        "1.3.6.1.5.5.7.3.6" => "IPSEC_TUNNEL",
        "1.3.6.1.5.5.7.3.7" => "IPSEC_USER",
        "1.3.6.1.5.5.7.3.8" => "TIME_STAMPING",
        "1.3.6.1.5.5.7.3.9" => "OCSP_SIGNING",
        "2.5.29.37.0" => "ANY",
        _ => "CUSTOM",
    }
}

fn pairs(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(":")
}

/// UTCTime (two digits of the year) or GeneralizedTime (four).
fn time(element: &Element) -> Option<Timestamp> {
    let text = std::str::from_utf8(element.content).ok()?;
    let text = match element.tag {
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

fn key_algorithm(id: &Element, key: &[u8]) -> Option<String> {
    let parts = id.inside(der::SEQUENCE)?;
    match dotted(parts.first()?.content).as_str() {
        "1.2.840.113549.1.1.1" => {
            let (key, _) = der::first(key)?;
            let bits = key.inside(der::SEQUENCE)?.first()?.number()?.len() * 8;
            matches!(bits, 1024 | 2048 | 3072 | 4096).then(|| format!("RSA_{bits}"))
        }
        "1.2.840.10045.2.1" => {
            let curve = match dotted(parts.get(1)?.content).as_str() {
                "1.2.840.10045.3.1.7" => "prime256v1",
                "1.3.132.0.34" => "secp384r1",
                "1.3.132.0.35" => "secp521r1",
                _ => return None,
            };
            Some(format!("EC_{curve}"))
        }
        _ => None,
    }
}

fn signature_algorithm(id: &Element) -> Option<String> {
    let id = dotted(id.inside(der::SEQUENCE)?.first()?.content);
    let name = match id.as_str() {
        "1.2.840.113549.1.1.4" => "MD5WITHRSA",
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA",
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        _ => return Some(id),
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests;
