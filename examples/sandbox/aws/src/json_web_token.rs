//! JSON Web Tokens (RFC 7519) and the keys that verify them (RFC 7517).

use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

/// A well-formed token. Its signature was not looked at yet.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// Its header.
    pub(crate) header: Value,
    /// Its claims.
    pub(crate) claims: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Token {
    /// Reads a token; `None` for what is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let read = Self {
            header: json(header)?,
            claims: json(claims)?,
            signed: signed.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        };
        let whole =
            read.header["alg"].is_string() && read.claims.is_object() && !read.signature.is_empty();
        whole.then_some(read)
    }

    /// A claim that is a text; empty where it is not.
    pub(crate) fn text(&self, claim: &str) -> &str {
        self.claims[claim].as_str().unwrap_or_default()
    }

    /// A claim that is a time, in seconds since 1970.
    pub(crate) fn seconds(&self, claim: &str) -> Option<f64> {
        self.claims[claim].as_f64()
    }

    /// Whom it is for.
    pub(crate) fn audiences(&self) -> Vec<String> {
        match &self.claims["aud"] {
            Value::Array(all) => all
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            Value::String(one) => vec![one.clone()],
            _ => Vec::new(),
        }
    }

    /// Whether one of the keys of a set has signed it: the one that it names,
    /// any where it names none.
    pub(crate) fn is_signed_by_one_of(&self, keys: &[Value]) -> bool {
        let wanted =
            |key: &&Value| self.header["kid"].is_null() || key["kid"] == self.header["kid"];
        keys.iter().filter(wanted).any(|key| self.is_signed_by(key))
    }

    fn is_signed_by(&self, key: &Value) -> bool {
        let part = |name: &str| {
            let text = key[name].as_str().unwrap_or_default();
            URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
        };
        let message = self.signed.as_bytes();
        match (self.header["alg"].as_str(), key["kty"].as_str()) {
            (Some("RS256"), Some("RSA")) => {
                let (n, e) = (part("n"), part("e"));
                let key = RsaPublicKeyComponents { n: &n, e: &e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, &self.signature)
                    .is_ok()
            }
            (Some("ES256"), Some("EC")) => {
                let point = [vec![4], part("x"), part("y")].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, &self.signature).is_ok()
            }
            _ => false,
        }
    }
}

/// How the parts of a token are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// As the standard says.
    None,
    /// As load balancers do it.
    Kept,
}

/// The text of a token; `sign` makes the signature. `None` when it cannot.
pub(crate) fn write(
    header: &Value,
    claims: &Value,
    padding: Padding,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<String> {
    let encode = |bytes: &[u8]| match padding {
        Padding::None => URL_SAFE_NO_PAD.encode(bytes),
        Padding::Kept => URL_SAFE.encode(bytes),
    };
    let header = encode(header.to_string().as_bytes());
    let claims = encode(claims.to_string().as_bytes());
    let signed = format!("{header}.{claims}");
    let signature = encode(&sign(signed.as_bytes())?);
    Some(format!("{signed}.{signature}"))
}
