//! The one error type of the AWS edge.

use std::error::Error as StdError;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use super::class::Class;
use super::gate;
use super::operations::Operation;

/// A call to AWS that did not succeed. Holds no secret: codes, AWS's message,
/// the request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Service in the name of its signature (`elasticloadbalancing`).
    pub service: &'static str,
    /// Operation (`CreateRule`).
    pub operation: &'static str,
    /// What it means.
    pub class: Class,
    /// AWS's code; empty when no answer with a code came.
    pub code: String,
    /// AWS's message, or what went wrong on the way.
    pub message: String,
    /// AWS's request id, where an answer came.
    pub request_id: Option<String>,
}

impl Error {
    /// From what the SDK returned for `operation`.
    pub fn from_sdk<E>(operation: &Operation, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let request_id = error
            .raw_response()
            .and_then(|response| response.headers().request_id())
            .or_else(|| error.meta().extra("aws_request_id"))
            .map(str::to_owned);
        let code = error.code().unwrap_or_default().to_owned();
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let (class, message) = if code.is_empty() {
            let class = status.map_or(Class::Transient, Class::of_status);
            (class, chain(&error))
        } else {
            let message = error.message().unwrap_or_default().to_owned();
            (Class::of(&code, &message), message)
        };
        Self {
            service: operation.service.as_str(),
            operation: operation.name,
            class,
            code,
            message,
            request_id,
        }
    }

    /// A call that was not sent because this process may not write.
    pub fn fenced(operation: &Operation) -> Self {
        Self::here(operation, Class::Fenced, gate::DOWN)
    }

    /// An answer of AWS that cannot be used, or a refusal of our own at the
    /// edge.
    pub fn here(operation: &Operation, class: Class, message: impl Into<String>) -> Self {
        Self {
            service: operation.service.as_str(),
            operation: operation.name,
            class,
            code: String::new(),
            message: message.into(),
            request_id: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.service, self.operation)?;
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(&self.message)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl StdError for Error {}

/// The texts of an error and its sources, outermost first: the SDK's own text
/// is only "dispatch failure" and the like.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
