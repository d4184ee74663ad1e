//! Certificates of ACM: requests and imports. How requests are validated stands
//! in `validation`.

mod import;
mod tags;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    Answer, Refusal, State, Transition,
    regions::partition,
    validation::{DomainOption, Validation},
};

/// For how long ACM knows an idempotency token.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// For how long a certificate of ACM is valid.
const VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 395);

/// The most octets of the first name of a request, which becomes the common name.
const COMMON_NAME: usize = 64;

/// `Status` of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatus {
    /// Waits for its validation.
    PendingValidation,
    /// Usable.
    Issued,
    /// Its validity is over.
    Expired,
    /// Was not validated within 72 hours.
    ValidationTimedOut,
}

impl CertificateStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingValidation => "PENDING_VALIDATION",
            Self::Issued => "ISSUED",
            Self::Expired => "EXPIRED",
            Self::ValidationTimedOut => "VALIDATION_TIMED_OUT",
        }
    }
}

/// A certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// `arn:aws:acm:REGION:ACCOUNT:certificate/UUID`.
    pub arn: String,
    /// First name.
    pub domain_name: String,
    /// All names, the first one included.
    pub names: Vec<String>,
    /// Pending, issued or past that.
    pub status: CertificateStatus,
    /// Brought along (`IMPORTED`), or made by ACM (`AMAZON_ISSUED`).
    pub imported: bool,
    /// `RSA_2048`, `EC_prime256v1`, …
    pub key_algorithm: String,
    /// When it was requested or imported.
    pub created: Timestamp,
    /// When it was issued, or imported for the last time.
    pub issued: Option<Timestamp>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// PEM text of an imported certificate.
    pub pem: Option<Pem>,
    /// What the certificate says about itself.
    pub details: Details,
    /// How a requested certificate is validated.
    pub validation: Option<Validation>,
    /// Whether the certificate may be exported.
    pub exportable: bool,
    /// Whether it was exported.
    pub exported: bool,
    /// `IdempotencyToken` of the request.
    pub idempotency_token: Option<String>,
}

/// Facts of a certificate that are only shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Serial number, hexadecimal in pairs with colons.
    pub serial: String,
    /// Subject.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// `SHA256WITHRSA`, …
    pub signature_algorithm: String,
    /// Key usages by AWS's names.
    pub key_usages: Vec<&'static str>,
    /// Extended key usages: AWS's name and the object identifier.
    pub extended_key_usages: Vec<(&'static str, String)>,
}

/// The PEM texts of an imported certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pem {
    /// Certificate.
    pub certificate: String,
    /// Private key; never answered.
    pub private_key: String,
    /// Chain.
    pub chain: Option<String>,
}

/// What RequestCertificate asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewCertificate {
    /// First name.
    pub domain_name: String,
    /// More names.
    pub alternative_names: Vec<String>,
    /// `DNS`, or `EMAIL` if absent.
    pub validation_method: Option<String>,
    /// Domains that get the mail for names.
    pub domain_options: Vec<DomainOption>,
    /// Key algorithm; `RSA_2048` if absent.
    pub key_algorithm: Option<String>,
    /// Whether the certificate may be exported.
    pub exportable: bool,
    /// ARN of a private authority; none exist here.
    pub authority_arn: Option<String>,
    /// Token for repeats.
    pub idempotency_token: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// A certificate by ARN, or `ResourceNotFoundException`.
    pub fn certificate(&self, arn: &str) -> Answer<&Certificate> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let named = match parts.as_slice() {
            ["arn", _, "acm", _, _, path] => path.strip_prefix("certificate/"),
            _ => None,
        };
        if named.is_none_or(str::is_empty) {
            return Err(Refusal::new(
                "InvalidArnException",
                format!("'{arn}' is not a valid certificate ARN"),
            ));
        }
        self.certificates.get(arn).ok_or_else(|| {
            Refusal::new(
                "ResourceNotFoundException",
                format!("Could not find certificate {arn}."),
            )
        })
    }

    /// RequestCertificate: pending until it is validated. Answers the ARN.
    pub fn request_certificate(&mut self, new: &NewCertificate, now: Timestamp) -> Answer<String> {
        let mut names = vec![new.domain_name.to_ascii_lowercase()];
        for name in &new.alternative_names {
            let name = name.to_ascii_lowercase();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for (index, name) in names.iter().enumerate() {
            check_domain(name, index == 0)?;
        }
        let most = self.quotas.limit("domain-names-per-certificate");
        if names.len() > most {
            return Err(Refusal::new(
                "LimitExceededException",
                format!(
                    "Error: you have reached your limit of {most} domain names per certificate."
                ),
            ));
        }
        let key_algorithm = new.key_algorithm.as_deref().unwrap_or("RSA_2048");
        if !["RSA_2048", "EC_prime256v1", "EC_secp384r1"].contains(&key_algorithm) {
            return Err(parameter(format!(
                "The key algorithm {key_algorithm} is not supported for a certificate request."
            )));
        }
        if let Some(authority) = &new.authority_arn {
            return Err(Refusal::new(
                "InvalidArnException",
                format!("The certificate authority {authority} does not exist."),
            ));
        }
        let validation = Validation::new(
            &names,
            new.validation_method.as_deref(),
            &new.domain_options,
        )?;
        let tags = self.checked_acm_tags(&new.tags)?;
        if let Some(token) = &new.idempotency_token {
            let since = now.checked_sub(TOKEN_LIFE).unwrap_or(Timestamp::MIN);
            let repeated = self.certificates.values().find(|certificate| {
                certificate.idempotency_token.as_ref() == Some(token)
                    && certificate.created > since
                    && certificate.names == names
                    && certificate.key_algorithm == key_algorithm
            });
            if let Some(certificate) = repeated {
                return Ok(certificate.arn.clone());
            }
        }
        let arn = self.new_certificate_arn(false)?;
        let certificate = Certificate {
            arn: arn.clone(),
            domain_name: names[0].clone(),
            status: CertificateStatus::PendingValidation,
            imported: false,
            key_algorithm: key_algorithm.to_owned(),
            created: now,
            issued: None,
            not_before: now,
            not_after: now,
            pem: None,
            details: Details {
                subject: format!("CN={}", names[0]),
                issuer: "Amazon".to_owned(),
                signature_algorithm: "SHA256WITHRSA".to_owned(),
                ..Details::default()
            },
            names,
            validation: Some(validation),
            exportable: new.exportable,
            exported: false,
            idempotency_token: new.idempotency_token.clone(),
        };
        self.certificates.insert(arn.clone(), certificate);
        self.tags.insert(arn.clone(), tags);
        self.await_validation(&arn, now);
        Ok(arn)
    }

    /// Issues a certificate that waits for its validation, whatever is known of it.
    pub fn issue_certificate(&mut self, arn: &str, now: Timestamp) {
        let serial = self.ids.hex(32);
        let Some(certificate) = self.certificates.get_mut(arn) else {
            return;
        };
        if certificate.status != CertificateStatus::PendingValidation {
            return;
        }
        certificate.status = CertificateStatus::Issued;
        certificate.issued = Some(now);
        // Whole days, as ACM has them.
        let day = now.to_zoned(TimeZone::UTC).start_of_day();
        certificate.not_before = day.map_or(now, |day| day.timestamp());
        let end = certificate.not_before.checked_add(VALIDITY);
        certificate.not_after = end.unwrap_or(Timestamp::MAX);
        certificate.details.serial = serial
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect::<Vec<_>>()
            .join(":");
        certificate.details.key_usages = vec!["DIGITAL_SIGNATURE", "KEY_ENCIPHERMENT"];
        certificate.details.extended_key_usages = vec![(
            "TLS_WEB_SERVER_AUTHENTICATION",
            "1.3.6.1.5.5.7.3.1".to_owned(),
        )];
        if let Some(validation) = &mut certificate.validation {
            validation.succeed();
        }
        let at = certificate.not_after;
        self.schedule_at(at, Transition::CertificateExpired(arn.to_owned(), at));
    }

    /// The end of a validity has come, unless the certificate was replaced meanwhile.
    pub(super) fn expire_certificate(&mut self, arn: &str, not_after: Timestamp) {
        if let Some(certificate) = self.certificates.get_mut(arn)
            && certificate.not_after == not_after
            && certificate.status == CertificateStatus::Issued
        {
            certificate.status = CertificateStatus::Expired;
        }
    }

    /// ARNs of all certificates that listeners of this region use.
    pub fn certificates_in_use(&self) -> BTreeSet<&str> {
        self.load_balancers
            .values()
            .flat_map(|balancer| balancer.listeners.values())
            .flat_map(|listener| {
                listener
                    .certificate
                    .iter()
                    .chain(&listener.sni_certificates)
            })
            .map(String::as_str)
            .collect()
    }

    /// ARNs of the load balancers that use a certificate of ACM or IAM.
    pub fn users_of_certificate(&self, arn: &str) -> Vec<String> {
        let mut users = self.own_users_of_certificate(arn);
        users.extend(self.elsewhere.users_of_certificate(arn));
        users
    }

    /// Those of them in this account and region.
    pub(super) fn own_users_of_certificate(&self, arn: &str) -> Vec<String> {
        self.load_balancers
            .values()
            .filter(|balancer| {
                balancer.listeners.values().any(|listener| {
                    listener.certificate.as_deref() == Some(arn)
                        || listener.sni_certificates.contains(arn)
                })
            })
            .map(|balancer| balancer.arn.clone())
            .collect()
    }

    /// Whether a listener can use a certificate of ACM or IAM.
    pub(super) fn check_listener_certificate(&self, arn: &str) -> Answer<()> {
        let key_taken = |key: &str| key != "RSA_1024";
        let fit = if let Some(certificate) = self.certificates.get(arn) {
            certificate.status == CertificateStatus::Issued
                && certificate.domain_name.contains('.')
                && key_taken(&certificate.key_algorithm)
        } else if let Some(certificate) = self.server_certificate_of(arn) {
            key_taken(&certificate.key_algorithm)
        } else {
            return Err(Refusal::new(
                "CertificateNotFound",
                format!("Certificate '{arn}' not found"),
            ));
        };
        if fit {
            return Ok(());
        }
        Err(Refusal::new(
            "UnsupportedCertificate",
            format!(
                "The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported key size."
            ),
        ))
    }

    /// DeleteCertificate: refused while a listener or the domain of a user pool
    /// uses it.
    pub fn delete_certificate(&mut self, arn: &str) -> Answer<()> {
        self.certificate(arn)?;
        let mut domains = self
            .user_pools
            .values()
            .filter_map(|pool| pool.domain.as_ref());
        let of_domain = domains.any(|domain| domain.certificate.as_deref() == Some(arn));
        if of_domain || !self.users_of_certificate(arn).is_empty() {
            return Err(Refusal::new(
                "ResourceInUseException",
                format!("Certificate {arn} in account {} is in use.", self.account),
            ));
        }
        self.certificates.remove(arn);
        self.tags.remove(arn);
        Ok(())
    }

    /// ExportCertificate: only of what ACM has issued for that. Answers the
    /// certificate.
    pub fn export_certificate(&mut self, arn: &str) -> Answer<&Certificate> {
        let certificate = self.certificate(arn)?;
        if !certificate.exportable {
            return Err(invalid(format!(
                "Certificate ARN: {arn} is not an exportable certificate."
            )));
        }
        if certificate.issued.is_none() {
            return Err(not_issued(certificate));
        }
        if let Some(certificate) = self.certificates.get_mut(arn) {
            certificate.exported = true;
        }
        self.certificate(arn)
    }

    /// UpdateCertificateOptions: only of certificates that ACM made; whether one
    /// may be exported is fixed when it is requested.
    pub fn update_certificate_options(
        &mut self,
        arn: &str,
        exportable: Option<bool>,
    ) -> Answer<()> {
        let certificate = self.certificate(arn)?;
        if certificate.imported || certificate.status != CertificateStatus::Issued {
            return Err(Refusal::new(
                "InvalidStateException",
                format!("Options of certificate {arn} cannot be changed in its state."),
            ));
        }
        if exportable.is_some_and(|exportable| exportable != certificate.exportable) {
            return Err(invalid("The option Export cannot be changed."));
        }
        Ok(())
    }

    fn new_certificate_arn(&mut self, imported: bool) -> Answer<String> {
        let quota = if imported {
            "imported-certificates"
        } else {
            "certificates"
        };
        let count = self
            .certificates
            .values()
            .filter(|certificate| certificate.imported == imported)
            .count();
        let most = self.quotas.limit(quota);
        if count >= most {
            return Err(Refusal::new(
                "LimitExceededException",
                format!("Error: you have reached your limit of {most} certificates."),
            ));
        }
        Ok(format!(
            "arn:{}:acm:{}:{}:certificate/{}",
            partition(&self.region),
            self.region,
            self.account,
            self.ids.uuid()
        ))
    }
}

/// Whether a name can stand in a request.
fn check_domain(name: &str, first: bool) -> Answer<()> {
    let labels = name.strip_prefix("*.").unwrap_or(name).split('.');
    let good = name.len() <= 253
        && labels.clone().count() >= 2
        && labels.clone().all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        && labels
            .clone()
            .next_back()
            .is_some_and(|last| last.len() >= 2 && !last.bytes().all(|b| b.is_ascii_digit()));
    if !good {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at 'domainName' failed to satisfy constraint: Member must be a fully qualified domain name"
        )));
    }
    if first && name.len() > COMMON_NAME {
        return Err(parameter(format!(
            "The domain name {name} is longer than {COMMON_NAME} octets; specify it as a subject alternative name."
        )));
    }
    Ok(())
}

/// The refusal to show a certificate that was not issued, or not yet.
pub(crate) fn not_issued(certificate: &Certificate) -> Refusal {
    let arn = &certificate.arn;
    match certificate.status {
        CertificateStatus::PendingValidation => Refusal::new(
            "RequestInProgressException",
            format!("The certificate {arn} has not been issued yet."),
        ),
        _ => Refusal::new(
            "ResourceNotFoundException",
            format!("The certificate {arn} was not issued."),
        ),
    }
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", text)
}

fn parameter(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterException", text)
}

#[cfg(test)]
mod tests;
