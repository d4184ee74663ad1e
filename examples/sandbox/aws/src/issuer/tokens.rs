//! The key of the test issuer and what it signs.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};

use super::Issuer;
use crate::json_web_token::{Padding, Token, write};
use crate::state::x509::pem_block;

/// A key that everybody knows. It protects nothing.
const KEY: &str = include_str!("key.pem");

/// How the key is named.
const KEY_ID: &str = "sandbox";

static PAIR: LazyLock<Option<RsaKeyPair>> = LazyLock::new(|| {
    let der = pem_block(KEY, "PRIVATE KEY")?;
    RsaKeyPair::from_pkcs8(&der).ok()
});

/// What a user has granted a client.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grant {
    pub(super) issuer: String,
    pub(super) pool: bool,
    pub(super) client: String,
    pub(super) scope: String,
    pub(super) redirect_uri: String,
    pub(super) claims: Map<String, Value>,
    /// When the user has logged in, in seconds since 1970.
    pub(super) at: i64,
}

/// A token with these claims, signed by the test issuer; `kid` names the key
/// other than it is named. `None` when the key cannot be used.
pub(super) fn signed(claims: &Value, kid: Option<&str>) -> Option<String> {
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": kid.unwrap_or(KEY_ID) });
    write(&header, claims, Padding::None, |message| {
        let pair = PAIR.as_ref()?;
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        )
        .ok()?;
        Some(signature)
    })
}

/// The keys of the test issuer, a JSON Web Key Set.
pub(super) fn key_set() -> Value {
    let keys: Vec<Value> = PAIR
        .iter()
        .map(|pair| {
            let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
            json!({
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "kid": KEY_ID,
                "n": BASE64_URL_SAFE_NO_PAD.encode(&public.n),
                "e": BASE64_URL_SAFE_NO_PAD.encode(&public.e),
            })
        })
        .collect();
    json!({ "keys": keys })
}

/// A text that cannot be guessed.
pub(super) fn unguessable() -> String {
    let bytes: [u8; 24] = rand::random();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    /// What the token endpoint answers for a grant. `refresh` is the refresh
    /// token that goes on.
    pub(super) fn tokens(&self, grant: &Grant, refresh: Option<String>) -> Option<Value> {
        let now = self.state.now().as_second();
        let mut memory = self.memory();
        memory.forget();
        let lasts = i64::from(memory.settings.expires_in);
        let id = unguessable();
        let mut claims = json!({
            "iss": grant.issuer,
            "sub": grant.claims["sub"],
            "iat": now,
            "exp": now + lasts,
        });
        let openid = grant.scope.split(' ').any(|scope| scope == "openid");
        let id_token = if openid {
            let mut claims = claims.clone();
            claims["aud"] = json!(grant.client);
            if grant.pool {
                claims["token_use"] = json!("id");
            }
            Some(signed(&claims, None)?)
        } else {
            None
        };
        claims["jti"] = json!(id);
        claims["client_id"] = json!(grant.client);
        claims["scope"] = json!(grant.scope);
        if grant.pool {
            claims["token_use"] = json!("access");
        }
        let refresh = refresh.or_else(|| memory.settings.refresh_tokens.then(unguessable));
        if let Some(token) = &refresh {
            memory.refresh_tokens.insert(token.clone(), grant.clone());
        }
        memory.claims.insert(id, grant.claims.clone());
        let mut answer = json!({
            "access_token": signed(&claims, None)?,
            "token_type": "Bearer",
            "expires_in": lasts,
        });
        if let Some(token) = id_token {
            answer["id_token"] = json!(token);
        }
        if let Some(token) = refresh {
            answer["refresh_token"] = json!(token);
        }
        Some(answer)
    }

    /// The claims for an access token; `None` for one that is not good.
    pub(super) fn claims(&self, access_token: &str) -> Option<Map<String, Value>> {
        let token = Token::read(access_token)?;
        let keys = key_set();
        let now = self.state.now().as_second();
        let good = token.is_signed_by_one_of(keys["keys"].as_array()?)
            && token.claims["exp"].as_i64().is_some_and(|end| end > now);
        let memory = self.memory();
        let claims = memory.claims.get(token.text("jti"))?;
        good.then(|| claims.clone())
    }
}
