//! Actions that look at the token of a client.
//!
//! Pure. Source: "Verify JWTs using an Application Load Balancer" of the guide;
//! how values are compared is our reading of "Format".

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::Value;

use crate::json_web_token::Token;
use crate::state::jwt_validation::{AdditionalClaim, JwtValidation};

/// The one algorithm that load balancers take.
const ALGORITHM: &str = "RS256";

/// The token that a client sends.
///
/// Errors, in words, where there is none that can be looked at.
pub(super) fn token(headers: &HeaderMap) -> Result<Token, String> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let malformed = |why: &str| Err(format!("JWTRequestFormatInvalid: {why}"));
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Err("JWTHeaderNotPresent: the client sends no token".to_owned()),
        (Some(_), Some(_)) => return malformed("there are several Authorization headers"),
        (Some(line), None) => line.to_str().unwrap_or_default(),
    };
    let text = match line.split_once(' ') {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => text.trim(),
        _ => return malformed("the Authorization header is of another kind than Bearer"),
    };
    match Token::read(text) {
        None => malformed("what the client sends is no JSON Web Token"),
        Some(token) if token.header["alg"] != ALGORITHM => malformed(&format!(
            "the token is signed by {}, and {ALGORITHM} is the only algorithm",
            token.header["alg"]
        )),
        Some(token) => Ok(token),
    }
}

/// Whether a token is good for an action.
///
/// Errors, in words, with what is wrong first.
pub(super) fn check(
    action: &JwtValidation,
    token: &Token,
    keys: &[Value],
    now: Timestamp,
) -> Result<(), String> {
    if !token.is_signed_by_one_of(keys) {
        return Err(
            "JWTSignatureValidationFailed: no key of the JWKS endpoint has signed the token"
                .to_owned(),
        );
    }
    #[allow(clippy::cast_precision_loss)]
    let now = now.as_second() as f64;
    let wrong = |claim: &str, why: &str| Err(format!("JWTClaimValueInvalid: '{claim}' {why}"));
    for claim in ["iss", "exp"] {
        if token.claims[claim].is_null() {
            return absent(claim);
        }
    }
    if token.text("iss") != action.issuer {
        return wrong("iss", "is not the issuer of the action");
    }
    for claim in ["exp", "nbf", "iat"] {
        let value = &token.claims[claim];
        if !value.is_null() && !value.is_number() {
            return misshapen(claim, "is no time");
        }
    }
    if token.seconds("exp").is_none_or(|end| end <= now) {
        return wrong("exp", "is past");
    }
    for claim in ["nbf", "iat"] {
        if token.seconds(claim).is_some_and(|start| start > now) {
            return wrong(claim, "is in the future");
        }
    }
    action
        .additional_claims
        .iter()
        .try_for_each(|claim| check_claim(claim, &token.claims[claim.name.as_str()]))
}

fn absent(claim: &str) -> Result<(), String> {
    Err(format!("JWTClaimNotPresent: the token has no '{claim}'"))
}

fn misshapen(claim: &str, why: &str) -> Result<(), String> {
    Err(format!("JWTClaimFormatInvalid: '{claim}' {why}"))
}

/// A single string is one of the values, an array has one of them, and a text
/// between spaces all of them.
fn check_claim(claim: &AdditionalClaim, value: &Value) -> Result<(), String> {
    let name = claim.name.as_str();
    let wanted = |text: &str| claim.values.iter().any(|value| value == text);
    if value.is_null() {
        return absent(name);
    }
    let good = match (claim.format.as_str(), value) {
        ("string-array", Value::Array(all)) => {
            let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
            let Some(texts) = texts else {
                return misshapen(name, "is no array of strings");
            };
            texts.into_iter().any(wanted)
        }
        ("string-array", _) => return misshapen(name, "is no array of strings"),
        ("space-separated-values", Value::String(text)) => {
            let has = |wanted: &String| text.split(' ').any(|word| word == wanted);
            claim.values.iter().all(has)
        }
        (_, Value::String(text)) => wanted(text),
        _ => return misshapen(name, "is no string"),
    };
    if good {
        return Ok(());
    }
    let wanted = claim.values.join("', '");
    Err(format!(
        "JWTClaimValueInvalid: '{name}' is not as wanted: '{wanted}' as {}",
        claim.format
    ))
}
