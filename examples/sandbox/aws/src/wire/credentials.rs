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
    state::{
        Answer, Refusal,
        regions::{self, Opting},
    },
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
    let standing = standing(&signature.region, callers.region());
    match standing {
        Standing::Nowhere => {
            return Err(
                service.bad_signature("Credential should be scoped to a valid region.".to_owned())
            );
        }
        // Partitions have accounts and keys of their own.
        Standing::OtherPartition => return Err(service.unknown_key()),
        Standing::Served | Standing::NotOptedIn => {}
    }
    let caller = holder(callers, service, signature, request, clocks)?;
    if standing == Standing::NotOptedIn && service.needs_opting_in() {
        return Err(service.not_opted_in());
    }
    Ok(caller)
}

/// Who holds the key of a signature.
fn holder(
    callers: &Callers,
    service: Service,
    signature: &Signature,
    request: &Signed,
    clocks: Clocks,
) -> Answer<Caller> {
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

/// What a region is to the accounts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Served,
    /// It has to be asked for, which nobody has.
    NotOptedIn,
    OtherPartition,
    Nowhere,
}

/// The standing of a region beside the one that is configured, which may be an
/// invented one. SigV4A names no region.
fn standing(region: &str, home: &str) -> Standing {
    if region.is_empty() || region == home {
        Standing::Served
    } else if !regions::exists(region) {
        Standing::Nowhere
    } else if regions::partition(region) != regions::partition(home) {
        Standing::OtherPartition
    } else if regions::opting(region) == Opting::Required {
        Standing::NotOptedIn
    } else {
        Standing::Served
    }
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

    /// Whether a region has to be asked for before it answers. What is one for
    /// all regions answers everywhere; STS has an endpoint in each.
    fn needs_opting_in(self) -> bool {
        self == Self::Sts || !self.is_global()
    }

    fn not_opted_in(self) -> Refusal {
        match self.protocol() {
            Protocol::Json => self.unknown_key(),
            _ => Refusal::new(
                "OptInRequired",
                "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.",
            ),
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
    use super::{Standing, standing};

    #[test]
    fn regions() {
        for (region, expected) in [
            ("us-east-1", Standing::Served),
            ("eu-west-3", Standing::Served),
            ("", Standing::Served),
            ("ap-east-1", Standing::NotOptedIn),
            ("il-central-1", Standing::NotOptedIn),
            ("cn-north-1", Standing::OtherPartition),
            ("us-gov-west-1", Standing::OtherPartition),
            ("us-east-9", Standing::Nowhere),
            ("US-EAST-1", Standing::Nowhere),
            ("us-east-1/", Standing::Nowhere),
            ("everywhere", Standing::Nowhere),
        ] {
            assert_eq!(standing(region, "us-east-1"), expected, "{region}");
        }
        for home in ["ap-east-1", "cn-north-1", "mars-north-1"] {
            assert_eq!(standing(home, home), Standing::Served);
        }
        assert_eq!(standing("cn-northwest-1", "cn-north-1"), Standing::Served);
        assert_eq!(
            standing("us-east-1", "cn-north-1"),
            Standing::OtherPartition
        );
    }
}
