//! What the API server says when it refuses, in one line for people. `kube`
//! prints the whole status object.

use std::fmt;

/// An error of the API server, or on the way to it.
#[derive(Debug)]
pub struct ApiError(Box<kube::Error>);

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
    }
}

/// Whether something was not created as its namespace is being deleted.
pub fn is_of_dying_namespace(error: &kube::Error) -> bool {
    const CAUSE: &str = "NamespaceTerminating";
    let kube::Error::Api(status) = error else {
        return false;
    };
    let details = status.details.iter();
    let mut causes = details.flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == CAUSE)
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref() {
            kube::Error::Api(status) => write!(f, "{} ({})", status.message.trim(), status.code),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let status = kube::core::Status::failure("not here\n", "NotFound").with_code(404);
        let error = ApiError::from(kube::Error::Api(Box::new(status)));
        assert_eq!(error.to_string(), "not here (404)");
    }
}
