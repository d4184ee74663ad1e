//! Who calls: a registered key is checked, any other belongs to the configured
//! account, and each family of services refuses in its own way (aws.md 1.7).

use jiff::Timestamp;

use super::{
    model::Protocol,
    service::Service,
    signature::{Flaw, Signature, Signed},
};
use crate::{
    callers::{Caller, Callers},
    state::{Answer, Refusal},
};

/// The two clocks that credentials are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// Of the wall, for signatures.
    pub wall: Timestamp,
    /// Of the simulation, for the life of keys.
    pub simulated: Timestamp,
}

/// Finds out who calls.
///
/// # Errors
/// When there are no credentials where the operation needs some, or they are
/// not good.
pub fn authenticate(
    callers: &Callers,
    service: Service,
    signature: Option<&Signature>,
    request: &Signed,
    unsigned: bool,
    clocks: Clocks,
) -> Answer<Caller> {
    let Some(signature) = signature else {
        let header = request.headers.get("authorization").is_some();
        return match unsigned && !header {
            true => Ok(callers.root()),
            false if header => Err(service.incomplete_signature()),
            false => Err(service.no_credentials()),
        };
    };
    if signature.service != service.scope() {
        return Err(service.bad_signature(format!(
            "Credential should be scoped to correct service: '{}'.",
            service.scope()
        )));
    }
    if !is_region(&signature.region) {
        return Err(
            service.bad_signature("Credential should be scoped to a valid region.".to_owned())
        );
    }
    let Some(key) = callers.key(&signature.key, clocks.simulated) else {
        return callers
            .stranger(&signature.key)
            .ok_or_else(|| service.unknown_key());
    };
    if key.token != signature.token {
        return Err(service.unknown_key());
    }
    match signature.check(&key.secret, request, clocks.wall) {
        Ok(()) => {}
        Err(Flaw::Wrong) => {
            return Err(service.bad_signature(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
                    .to_owned(),
            ));
        }
        Err(Flaw::Stale(text)) => return Err(service.stale(text)),
    }
    if key
        .expires
        .is_some_and(|expires| expires <= clocks.simulated)
    {
        return Err(service.expired());
    }
    Ok(key.caller)
}

/// Whether a text can name a region, `us-east-1`; SigV4A names none.
fn is_region(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.is_empty()
        || (text.len() <= 32
            && text.matches('-').count() >= 2
            && text.split('-').all(part)
            && text.ends_with(|c: char| c.is_ascii_digit())
            && text == text.to_ascii_lowercase())
}

/// The refusals of callers.
impl Service {
    fn no_credentials(self) -> Refusal {
        let text = "Request is missing Authentication Token";
        match self.protocol() {
            Protocol::Query => Refusal::new("MissingAuthenticationToken", text),
            Protocol::Ec2 => Refusal::new("AuthFailure", NOT_ABLE),
            Protocol::RestXml => Refusal::new("InvalidClientTokenId", text),
            Protocol::Json => Refusal::new("UnrecognizedClientException", text),
        }
    }

    fn unknown_key(self) -> Refusal {
        let text = "The security token included in the request is invalid.";
        match self.protocol() {
            Protocol::Query | Protocol::RestXml => Refusal::new("InvalidClientTokenId", text),
            Protocol::Ec2 => Refusal::new("AuthFailure", NOT_ABLE),
            Protocol::Json => Refusal::new("UnrecognizedClientException", text),
        }
    }

    fn incomplete_signature(self) -> Refusal {
        let text = "The Authorization header does not conform to AWS standards.";
        match self.protocol() {
            Protocol::Query | Protocol::RestXml => Refusal::new("IncompleteSignature", text),
            Protocol::Ec2 => Refusal::new("AuthFailure", NOT_ABLE),
            Protocol::Json => Refusal::new("IncompleteSignatureException", text),
        }
    }

    fn bad_signature(self, text: String) -> Refusal {
        match self.protocol() {
            Protocol::Query | Protocol::RestXml => Refusal::new("SignatureDoesNotMatch", text),
            Protocol::Ec2 => Refusal::new("AuthFailure", NOT_ABLE),
            Protocol::Json => Refusal::new("InvalidSignatureException", text),
        }
    }

    fn stale(self, text: String) -> Refusal {
        match self.protocol() {
            Protocol::Query | Protocol::RestXml => Refusal::new("RequestExpired", text),
            Protocol::Ec2 => Refusal::new("AuthFailure", NOT_ABLE),
            Protocol::Json => Refusal::new("InvalidSignatureException", text),
        }
    }

    fn expired(self) -> Refusal {
        let text = "The security token included in the request is expired";
        match self.protocol() {
            Protocol::Query | Protocol::RestXml => Refusal::new("ExpiredToken", text),
            Protocol::Ec2 => Refusal::new("RequestExpired", "Request has expired."),
            Protocol::Json => Refusal::new("ExpiredTokenException", text),
        }
    }
}

/// What EC2 says about all bad credentials.
const NOT_ABLE: &str = "AWS was not able to validate the provided access credentials";

#[cfg(test)]
mod tests {
    use super::is_region;

    #[test]
    fn regions() {
        for good in [
            "us-east-1",
            "us-gov-west-1",
            "cn-north-1",
            "ap-southeast-7",
            "",
        ] {
            assert!(is_region(good), "{good}");
        }
        for bad in [
            "us-east",
            "US-EAST-1",
            "us-east-1/",
            "us--1",
            "x",
            "us-east-1a b",
        ] {
            assert!(!is_region(bad), "{bad}");
        }
    }
}
