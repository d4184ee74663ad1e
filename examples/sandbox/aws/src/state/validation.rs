//! How ACM finds out whether a requested certificate may be issued: by a CNAME
//! record for each domain, or by mail, which nobody answers here.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Answer, CertificateStatus, RecordSet, Refusal, State, Transition, dns_name};

/// The domain of the values of its records.
const PROOF: &str = ".acm-validations.aws.";

/// For how long a request waits for its validation.
const PATIENCE: SignedDuration = SignedDuration::from_hours(72);

/// `DomainValidationOptions` of a request: who gets the mail for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainOption {
    /// A name of the certificate.
    pub domain: String,
    /// The name itself or a domain above it.
    pub validation_domain: String,
}

/// The validation of a requested certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// By DNS, else by mail.
    pub by_dns: bool,
    /// One for each name, in their order.
    pub domains: Vec<DomainValidation>,
}

/// The validation of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainValidation {
    /// The name.
    pub name: String,
    /// The domain that gets the mail.
    pub validation_domain: String,
    /// Whether its record was seen, which ACM finds out a while later.
    proven: bool,
    /// Whether it is done.
    pub succeeded: bool,
}

impl Validation {
    /// The validation of these names by a method.
    pub(super) fn new(
        names: &[String],
        method: Option<&str>,
        options: &[DomainOption],
    ) -> Answer<Self> {
        let by_dns = match method.unwrap_or("EMAIL") {
            "DNS" => true,
            "EMAIL" => false,
            other => {
                return Err(Refusal::new(
                    "InvalidParameterException",
                    format!("The validation method {other} is not supported for this request."),
                ));
            }
        };
        for option in options {
            let domain = option.domain.to_ascii_lowercase();
            let above = option.validation_domain.to_ascii_lowercase();
            let bare = domain.strip_prefix("*.").unwrap_or(&domain);
            let fits = dns_name::is_within(&format!("{bare}."), &format!("{above}."));
            if !names.contains(&domain) || !fits {
                return Err(Refusal::new(
                    "InvalidDomainValidationOptionsException",
                    format!(
                        "The validation domain {} does not fit the domain {} of the request.",
                        option.validation_domain, option.domain
                    ),
                ));
            }
        }
        let domains = names
            .iter()
            .map(|name| {
                let chosen = options
                    .iter()
                    .find(|option| option.domain.eq_ignore_ascii_case(name));
                DomainValidation {
                    name: name.clone(),
                    validation_domain: chosen.map_or_else(
                        || name.clone(),
                        |option| option.validation_domain.to_ascii_lowercase(),
                    ),
                    proven: false,
                    succeeded: false,
                }
            })
            .collect();
        Ok(Self { by_dns, domains })
    }

    pub(super) fn succeed(&mut self) {
        for domain in &mut self.domains {
            domain.succeeded = true;
        }
    }
}

/// Name and value of the CNAME record that proves a name of an account: the
/// same for every request, and for a domain and its wildcard.
pub fn record(account: &str, name: &str) -> (String, String) {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let digest = |what: &str| hex::encode(Sha256::digest(format!("{what} {account} {bare}")));
    let (name, value) = (digest("name"), digest("value"));
    let letters: String = value
        .bytes()
        .skip(32)
        .take(10)
        .map(|digit| {
            let digit = char::from(digit).to_digit(16).unwrap_or_default();
            char::from(b'a' + u8::try_from(digit).unwrap_or_default())
        })
        .collect();
    (
        format!("_{}.{bare}.", &name[..32]),
        format!("_{}.{letters}{PROOF}", &value[..32]),
    )
}

impl State {
    /// Takes note of a record set of a zone that came, changed or went, as far as
    /// ACM looks at it.
    pub(super) fn note_proof(&mut self, zone: &str, name: &str, after: Option<&RecordSet>) {
        if !name.starts_with('_') {
            return;
        }
        let proof = after
            .and_then(|record| record.values.first())
            .map(|value| dns_name::canonical(value))
            .filter(|value| value.ends_with(PROOF));
        let key = (zone.to_owned(), name.to_owned());
        match proof {
            Some(value) => self.proofs.insert(key, value),
            None => self.proofs.remove(&key),
        };
    }

    /// Whether a CNAME record of this name and value stands in a public zone.
    fn is_proven(&self, proof: &(String, String)) -> bool {
        self.holds_proof(proof) || self.elsewhere.is_proven(proof)
    }

    /// Whether it stands in a zone of this state.
    pub(super) fn holds_proof(&self, (name, value): &(String, String)) -> bool {
        let mut proofs = self.proofs.iter();
        proofs.any(|((_, found), proof)| found == name && proof == value)
    }

    /// A request begins to wait: ACM looks at its records when some may be
    /// there, and gives up after 72 hours.
    pub(super) fn await_validation(&mut self, arn: &str, now: Timestamp) {
        let end = now.checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
        self.schedule_at(end, Transition::ValidationTimedOut(arn.to_owned()));
        self.look_at_validations(now);
    }

    /// After a change of records: lets ACM look at the requests that one of
    /// them proves.
    pub(crate) fn look_at_validations(&mut self, now: Timestamp) {
        let delay = self.timing.certificate_issue_ms;
        let mut proven = Vec::new();
        for certificate in self.certificates.values() {
            let Some(validation) = certificate.validation.as_ref().filter(|it| it.by_dns) else {
                continue;
            };
            if certificate.status != CertificateStatus::PendingValidation {
                continue;
            }
            for domain in validation.domains.iter().filter(|it| !it.proven) {
                if self.is_proven(&record(&self.account, &domain.name)) {
                    proven.push((certificate.arn.clone(), domain.name.clone()));
                }
            }
        }
        for (arn, name) in proven {
            if let Some(certificate) = self.certificates.get_mut(&arn)
                && let Some(validation) = &mut certificate.validation
            {
                for domain in &mut validation.domains {
                    domain.proven |= domain.name == name;
                }
            }
            self.schedule(now, delay, Transition::ValidationLook(arn, name));
        }
    }

    /// ACM has found the record of a name; the certificate is issued with the last.
    pub(super) fn validate_name(&mut self, arn: &str, name: &str, now: Timestamp) {
        let mut done = false;
        if let Some(certificate) = self.certificates.get_mut(arn)
            && certificate.status == CertificateStatus::PendingValidation
            && let Some(validation) = &mut certificate.validation
        {
            for domain in &mut validation.domains {
                domain.succeeded |= domain.name == name;
            }
            done = validation.domains.iter().all(|domain| domain.succeeded);
        }
        if done {
            self.issue_certificate(arn, now);
            self.note_issue(arn, now);
        }
    }

    /// Nobody has proven a request in time.
    pub(super) fn time_validation_out(&mut self, arn: &str) {
        if let Some(certificate) = self.certificates.get_mut(arn)
            && certificate.status == CertificateStatus::PendingValidation
        {
            certificate.status = CertificateStatus::ValidationTimedOut;
        }
    }

    /// ResendValidationEmail.
    pub fn resend_validation(
        &self,
        arn: &str,
        domain: &str,
        validation_domain: &str,
    ) -> Answer<()> {
        let certificate = self.certificate(arn)?;
        let validation = match &certificate.validation {
            Some(validation)
                if !validation.by_dns
                    && certificate.status == CertificateStatus::PendingValidation =>
            {
                validation
            }
            _ => {
                return Err(Refusal::new(
                    "InvalidStateException",
                    format!("Certificate {arn} does not wait for a validation by mail."),
                ));
            }
        };
        let names: Vec<String> = validation
            .domains
            .iter()
            .map(|domain| domain.name.clone())
            .collect();
        let option = DomainOption {
            domain: domain.to_owned(),
            validation_domain: validation_domain.to_owned(),
        };
        Validation::new(&names, Some("EMAIL"), &[option]).map(|_| ())
    }
}
