//! What AWS answers when it does not do what was asked.

use std::borrow::Cow;

/// A refused call: the error code and text as they go on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code that clients match on, such as `PriorityInUse`.
    pub code: Cow<'static, str>,
    /// The text for people.
    pub message: String,
}

impl Refusal {
    /// A refusal with a code and a text.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    /// `ValidationError`, the refusal of ELBv2 and STS for malformed input.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    /// `InvalidParameterValue`, the refusal of EC2 for malformed input.
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }
}

/// The result of a call on the state.
pub type Answer<T> = Result<T, Refusal>;
