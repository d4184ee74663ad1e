//! What the API server says when it refuses, in one line for people. `kube`
//! prints the whole status object.

use std::fmt;

/// An error of the API server, or on the way to it.
#[derive(Debug)]
pub struct Refusal(Box<kube::Error>);

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref() {
            kube::Error::Api(status) => write!(f, "{} ({})", status.message.trim(), status.code),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line() {
        let status = kube::core::Status::failure("not here\n", "NotFound").with_code(404);
        let refusal = Refusal::from(kube::Error::Api(Box::new(status)));
        assert_eq!(refusal.to_string(), "not here (404)");
    }
}
