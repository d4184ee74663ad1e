//! What targets are told of a user, signed by the load balancer.

use std::sync::{Arc, LazyLock};

use axum::http::header::HeaderName;
use jiff::Timestamp;
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

use super::login::Login;
use super::session::UserSession;
use crate::dataplane::vouched::Vouched;
use crate::json_web_token::{Padding, write};

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-amzn-oidc-accesstoken");
const IDENTITY: HeaderName = HeaderName::from_static("x-amzn-oidc-identity");
const DATA: HeaderName = HeaderName::from_static("x-amzn-oidc-data");

/// What is signed is good for this long, in seconds.
const GOOD: i64 = 120;

/// The key that load balancers sign with.
pub(crate) struct Signer {
    /// How it is named.
    pub(crate) id: String,
    /// Its public half in PEM form.
    pub(crate) public_pem: String,
    key: EcdsaKeyPair,
    random: SystemRandom,
}

static SIGNER: LazyLock<Option<Arc<Signer>>> = LazyLock::new(|| Signer::new().map(Arc::new));

/// The one key of the process, made when it is first asked for; `None` when
/// that failed.
pub(crate) fn signer() -> Option<Arc<Signer>> {
    SIGNER.clone()
}

impl Signer {
    fn new() -> Option<Self> {
        let pair = KeyPair::generate().ok()?;
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pair.serialized_der(), &random).ok()?;
        let digits: u128 = rand::random();
        let digits = format!("{digits:032x}");
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
        let id: Vec<&str> = parts.into_iter().map(|part| &digits[part]).collect();
        Some(Self {
            id: id.join("-"),
            public_pem: pair.public_key_pem(),
            key,
            random,
        })
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.key.sign(&self.random, message).ok()?;
        Some(signature.as_ref().to_vec())
    }
}

/// The names under which nobody but the load balancer speaks of users.
pub(super) fn nobody() -> Vouched {
    Vouched::under([ACCESS_TOKEN, IDENTITY, DATA])
}

/// What a target is told of a user. `balancer` is the ARN of the load balancer.
pub(super) fn told(session: &UserSession, login: &Login, balancer: &str) -> Vouched {
    let mut vouched = nobody();
    vouched.say(ACCESS_TOKEN, &session.access_token);
    vouched.say(IDENTITY, session.subject());
    if let Some(data) = signer().and_then(|signer| data(&signer, session, login, balancer)) {
        vouched.say(DATA, &data);
    }
    vouched
}

fn data(signer: &Signer, session: &UserSession, login: &Login, balancer: &str) -> Option<String> {
    // Targets go by the clock on the wall.
    let exp = Timestamp::now().as_second().saturating_add(GOOD);
    let header = json!({
        "typ": "JWT",
        "kid": signer.id,
        "alg": "ES256",
        "iss": login.issuer,
        "client": login.client_id,
        "signer": balancer,
        "exp": exp,
    });
    let mut claims = session.claims.clone();
    claims.insert("exp".to_owned(), json!(exp));
    claims.insert("iss".to_owned(), json!(login.issuer));
    let sign = |message: &[u8]| signer.sign(message);
    write(&header, &claims.into(), Padding::Kept, sign)
}
