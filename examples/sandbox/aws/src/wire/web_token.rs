//! Web identities: JSON Web Tokens and the keys of their issuers.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

use crate::state::{Answer, Refusal};

/// A well-formed token.
#[derive(Debug, Clone)]
pub struct WebToken {
    /// Its header.
    header: Value,
    /// Its claims.
    claims: Value,
    signed: String,
    signature: Vec<u8>,
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidIdentityToken", text)
}

impl WebToken {
    /// Reads a token.
    pub fn read(token: &str) -> Answer<Self> {
        Self::parts(token).ok_or_else(|| invalid("The ID Token provided is not a valid JWT."))
    }

    fn parts(token: &str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
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
        let whole = read.header["alg"].is_string()
            && read.claims["sub"].is_string()
            && read.claims["iss"].is_string()
            && !read.signature.is_empty();
        whole.then_some(read)
    }

    /// A claim that is a text.
    pub fn claim(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or_default()
    }

    /// Whom it is for.
    pub fn audiences(&self) -> Vec<String> {
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

    /// Refuses a token whose time is not now.
    pub fn check_time(&self, now: Timestamp) -> Answer<()> {
        let second = |name: &str| self.claims[name].as_f64();
        #[allow(clippy::cast_precision_loss)]
        let now = now.as_second() as f64;
        if second("exp").is_some_and(|end| end <= now) {
            return Err(Refusal::new(
                "ExpiredTokenException",
                "Token expired: current date/time must be before the expiration date/time",
            ));
        }
        if second("nbf").is_some_and(|start| start > now) {
            return Err(invalid("The ID Token provided is not valid yet."));
        }
        Ok(())
    }

    /// Verifies the signature with one of the keys of the issuer.
    pub fn verify(&self, key_set: &Value) -> Answer<()> {
        let keys = key_set["keys"].as_array().map_or(&[][..], Vec::as_slice);
        let wanted =
            |key: &&Value| self.header["kid"].is_null() || key["kid"] == self.header["kid"];
        if keys.iter().filter(wanted).any(|key| self.is_signed_by(key)) {
            return Ok(());
        }
        Err(invalid(
            "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements",
        ))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::json;

    use super::*;

    fn part(json: &Value) -> String {
        URL_SAFE_NO_PAD.encode(json.to_string())
    }

    #[test]
    fn a_signature_is_verified_with_the_key_of_the_issuer() {
        let random = SystemRandom::new();
        let make = || {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
        };
        let (key, other) = (make(), make());
        let signed = format!(
            "{}.{}",
            part(&json!({ "alg": "ES256", "kid": "1" })),
            part(&json!({ "sub": "s", "iss": "https://i", "aud": "a", "exp": 2_000_000_000 }))
        );
        let signature = key.sign(&random, signed.as_bytes()).unwrap();
        let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let token = WebToken::read(&text).unwrap();
        let set = |key: &EcdsaKeyPair, id: &str| {
            let point = key.public_key().as_ref();
            let (x, y) = point[1..].split_at(32);
            let coordinate = |bytes| URL_SAFE_NO_PAD.encode(bytes);
            json!({ "keys": [{ "kty": "EC", "kid": id, "x": coordinate(x), "y": coordinate(y) }] })
        };
        assert!(token.verify(&set(&key, "1")).is_ok());
        assert!(token.verify(&set(&key, "2")).is_err());
        assert!(token.verify(&set(&other, "1")).is_err());
        assert_eq!(token.audiences(), ["a"]);
        let expired = token.check_time("2034-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(expired.unwrap_err().code, "ExpiredTokenException");
        assert!(
            token
                .check_time("2026-11-23T00:00:00Z".parse().unwrap())
                .is_ok()
        );
    }

    #[test]
    fn what_is_no_token() {
        let header = part(&json!({ "alg": "RS256" }));
        let nameless = part(&json!({ "iss": "https://i" }));
        for text in ["", "a.b", "a.b.c", &format!("{header}.{nameless}.c2ln")] {
            let refused = WebToken::read(text).unwrap_err();
            assert_eq!(refused.code, "InvalidIdentityToken", "{text}");
        }
    }
}
