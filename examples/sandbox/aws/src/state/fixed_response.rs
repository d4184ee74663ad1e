//! Fixed-response actions.

use super::{Answer, Refusal};

/// An answer of the load balancer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedResponse {
    /// 2xx, 4xx or 5xx.
    pub status: u16,
    /// At most 1024 characters.
    pub body: Option<String>,
    /// One of five media types.
    pub content_type: Option<String>,
}

/// `FixedResponseConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewFixedResponse {
    /// Status code as text.
    pub status_code: String,
    /// Body.
    pub message_body: Option<String>,
    /// Media type.
    pub content_type: Option<String>,
}

const CONTENT_TYPES: [&str; 5] = [
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
];

impl FixedResponse {
    /// Checks a fixed response.
    pub(super) fn resolve(new: &NewFixedResponse) -> Answer<Self> {
        let status = match new.status_code.parse::<u16>() {
            Ok(code) if new.status_code.len() == 3 && matches!(code / 100, 2 | 4 | 5) => code,
            _ => {
                return Err(Refusal::validation(format!(
                    "1 validation error detected: Value '{}' at 'fixedResponseConfig.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$",
                    new.status_code
                )));
            }
        };
        let long = new
            .message_body
            .as_ref()
            .is_some_and(|body| body.chars().count() > 1024);
        if long {
            return Err(Refusal::validation(
                "The message body must have at most 1024 characters",
            ));
        }
        if let Some(kind) = &new.content_type
            && !CONTENT_TYPES.contains(&kind.as_str())
        {
            return Err(Refusal::validation(format!(
                "The content type '{kind}' is not supported"
            )));
        }
        Ok(Self {
            status,
            body: new.message_body.clone(),
            content_type: new.content_type.clone(),
        })
    }
}
