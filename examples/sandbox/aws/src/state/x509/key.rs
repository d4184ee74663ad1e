//! Private keys: PKCS#8, PKCS#1 and SEC 1.

use super::{
    der::{self, Element, dotted},
    pem_block,
};

/// What is needed of a private key to tell whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PrivateKey {
    /// Modulus and public exponent.
    Rsa(Vec<u8>, Vec<u8>),
    /// The public point, if the key carries it.
    Ec(Option<Vec<u8>>),
}

impl PrivateKey {
    /// Reads a key that is not encrypted; `None` for everything else.
    pub(crate) fn read(pem: &str) -> Option<Self> {
        if pem.contains("ENCRYPTED") {
            return None;
        }
        if let Some(bytes) = pem_block(pem, "RSA PRIVATE KEY") {
            return rsa(&bytes);
        }
        if let Some(bytes) = pem_block(pem, "EC PRIVATE KEY") {
            return ec(&bytes);
        }
        let bytes = pem_block(pem, "PRIVATE KEY")?;
        let (whole, _) = der::first(&bytes)?;
        let parts = whole.inside(der::SEQUENCE)?;
        let [_, algorithm, key, ..] = parts.as_slice() else {
            return None;
        };
        if key.tag != der::OCTET_STRING {
            return None;
        }
        let algorithm = algorithm.inside(der::SEQUENCE)?;
        match dotted(algorithm.first()?.content).as_str() {
            "1.2.840.113549.1.1.1" => rsa(key.content),
            "1.2.840.10045.2.1" => ec(key.content),
            _ => None,
        }
    }

    /// Whether this is the key of the public key of a certificate. A key of an
    /// elliptic curve that does not carry its point is taken at its word.
    pub(super) fn fits(&self, public: &[u8]) -> bool {
        match self {
            Self::Rsa(modulus, exponent) => der::first(public)
                .and_then(|(key, _)| key.inside(der::SEQUENCE))
                .is_some_and(|parts| {
                    let number = |at: usize| parts.get(at).and_then(Element::number);
                    number(0) == Some(modulus) && number(1) == Some(exponent)
                }),
            // A point that is not compressed begins with 4.
            Self::Ec(point) => {
                public.first() == Some(&4) && point.as_ref().is_none_or(|point| point == public)
            }
        }
    }
}

fn rsa(bytes: &[u8]) -> Option<PrivateKey> {
    let (key, _) = der::first(bytes)?;
    let numbers = key.inside(der::SEQUENCE)?;
    if numbers.len() < 9 {
        return None;
    }
    let number = |at: usize| Some(numbers.get(at)?.number()?.to_vec());
    Some(PrivateKey::Rsa(number(1)?, number(2)?))
}

fn ec(bytes: &[u8]) -> Option<PrivateKey> {
    let (key, _) = der::first(bytes)?;
    let parts = key.inside(der::SEQUENCE)?;
    if parts.get(1)?.tag != der::OCTET_STRING {
        return None;
    }
    let point = parts
        .iter()
        .find(|part| part.tag == 0xA1)
        .and_then(|part| der::first(part.content))
        .and_then(|(bits, _)| bits.bits())
        .map(<[u8]>::to_vec);
    Some(PrivateKey::Ec(point))
}
