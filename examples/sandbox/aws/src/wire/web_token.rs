//! Web identities: JSON Web Tokens and the keys of their issuers.

use jiff::Timestamp;
use serde_json::Value;

use crate::json_web_token::Token;
use crate::state::{Answer, Refusal};

/// A token that says who was told and by whom.
#[derive(Debug, Clone)]
pub struct WebToken(Token);

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidIdentityToken", text)
}

impl WebToken {
    /// Reads a token.
    pub fn read(token: &str) -> Answer<Self> {
        let named = |token: &Token| ["sub", "iss"].iter().all(|it| token.claims[it].is_string());
        let token = Token::read(token).filter(named);
        token
            .map(Self)
            .ok_or_else(|| invalid("The ID Token provided is not a valid JWT."))
    }

    /// A claim that is a text.
    pub fn claim(&self, name: &str) -> &str {
        self.0.text(name)
    }

    /// Whom it is for.
    pub fn audiences(&self) -> Vec<String> {
        self.0.audiences()
    }

    /// Refuses a token whose time is not now.
    pub fn check_time(&self, now: Timestamp) -> Answer<()> {
        #[allow(clippy::cast_precision_loss)]
        let now = now.as_second() as f64;
        if self.0.seconds("exp").is_some_and(|end| end <= now) {
            return Err(Refusal::new(
                "ExpiredTokenException",
                "Token expired: current date/time must be before the expiration date/time",
            ));
        }
        if self.0.seconds("nbf").is_some_and(|start| start > now) {
            return Err(invalid("The ID Token provided is not valid yet."));
        }
        Ok(())
    }

    /// Verifies the signature with one of the keys of the issuer.
    pub fn verify(&self, key_set: &Value) -> Answer<()> {
        let keys = key_set["keys"].as_array().map_or(&[][..], Vec::as_slice);
        if self.0.is_signed_by_one_of(keys) {
            return Ok(());
        }
        Err(invalid(
            "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements",
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
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
