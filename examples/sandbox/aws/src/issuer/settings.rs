//! Who logs in at the test issuer, and what goes wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How the test issuer behaves from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// What is said of the user who logs in next; `sub` is his id.
    pub(super) claims: Map<String, Value>,
    /// Secrets of clients by their ids; any client is known if empty. Clients
    /// of user pools are those of the pools.
    pub(super) clients: BTreeMap<String, String>,
    /// The error with which users are sent back, such as `access_denied`.
    pub(super) error: Option<String>,
    /// The error that the token endpoint answers, such as `invalid_client`.
    pub(super) token_error: Option<String>,
    /// The error that the user info endpoint answers, such as `invalid_token`.
    pub(super) user_info_error: Option<String>,
    /// How long tokens are good, in seconds.
    pub(super) expires_in: u32,
    /// Whether there are refresh tokens.
    pub(super) refresh_tokens: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let claims = json!({
            "sub": "5be86359-073c-434b-ad2d-a3932222dabe",
            "name": "Alice Example",
            "email": "alice@example.com",
            "email_verified": true,
        });
        Self {
            claims: claims.as_object().cloned().unwrap_or_default(),
            clients: BTreeMap::new(),
            error: None,
            token_error: None,
            user_info_error: None,
            expires_in: 3_600,
            refresh_tokens: true,
        }
    }
}

impl Settings {
    /// Refuses settings that make no sense, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.claims.get("sub").is_none_or(|sub| !sub.is_string()) {
            return Err("\"claims\" has no \"sub\", which tells users apart".to_owned());
        }
        let word = |error: &String| {
            !error.is_empty() && error.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        let errors = [&self.error, &self.token_error, &self.user_info_error];
        if let Some(wrong) = errors.into_iter().flatten().find(|error| !word(error)) {
            return Err(format!(
                "'{wrong}' is no error code of OAuth, expected one such as access_denied"
            ));
        }
        Ok(())
    }
}
