//! Certificates of ACM.

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Refusal, State, Tags, Transition, regions::partition, tags::check_tag, x509};

/// `Status` of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatus {
    /// Waits for its DNS records.
    PendingValidation,
    /// Usable.
    Issued,
}

impl CertificateStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingValidation => "PENDING_VALIDATION",
            Self::Issued => "ISSUED",
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
    /// Pending or issued.
    pub status: CertificateStatus,
    /// Brought along (`IMPORTED`), or made by ACM (`AMAZON_ISSUED`).
    pub imported: bool,
    /// `RSA_2048`, `EC_prime256v1`, …
    pub key_algorithm: String,
    /// When it was requested or imported.
    pub created: Timestamp,
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// End of validity.
    pub not_after: Timestamp,
    /// PEM text of an imported certificate.
    pub pem: Option<Pem>,
    /// `IdempotencyToken` of the request.
    pub idempotency_token: Option<String>,
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
    /// Key algorithm; `RSA_2048` if absent.
    pub key_algorithm: Option<String>,
    /// Token for repeats.
    pub idempotency_token: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// A certificate by ARN, or `ResourceNotFoundException`.
    pub fn certificate(&self, arn: &str) -> Answer<&Certificate> {
        if !arn.starts_with("arn:") || !arn.contains(":acm:") {
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

    /// ImportCertificate: issued at once; with an ARN it replaces that
    /// certificate and keeps the ARN. Answers the ARN.
    pub fn import_certificate(
        &mut self,
        arn: Option<&str>,
        pem: Pem,
        tags: &[(String, String)],
        now: Timestamp,
    ) -> Answer<String> {
        let facts = x509::read(&pem.certificate).ok_or_else(|| {
            Refusal::new("ValidationException", "The certificate is not in PEM form.")
        })?;
        let key_labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
        if !key_labels
            .iter()
            .any(|label| x509::pem_block(&pem.private_key, label).is_some())
        {
            return Err(Refusal::new(
                "ValidationException",
                "The private key is not supported.",
            ));
        }
        let tags = self.checked_acm_tags(tags)?;
        let arn = match arn {
            Some(arn) => {
                if !self.certificate(arn)?.imported {
                    return Err(Refusal::new(
                        "ValidationException",
                        "Only an imported certificate can be imported again.",
                    ));
                }
                if !tags.is_empty() {
                    return Err(Refusal::new(
                        "ValidationException",
                        "You cannot apply tags when reimporting a certificate.",
                    ));
                }
                arn.to_owned()
            }
            None => self.new_certificate_arn()?,
        };
        let certificate = Certificate {
            arn: arn.clone(),
            domain_name: facts.names[0].clone(),
            names: facts.names,
            status: CertificateStatus::Issued,
            imported: true,
            key_algorithm: facts.key_algorithm,
            created: now,
            issued: Some(now),
            not_after: facts.not_after,
            pem: Some(pem),
            idempotency_token: None,
        };
        self.certificates.insert(arn.clone(), certificate);
        self.tags.entry(arn.clone()).or_default().extend(tags);
        Ok(arn)
    }

    /// RequestCertificate: pending, then issued by itself. Answers the ARN.
    pub fn request_certificate(&mut self, new: &NewCertificate, now: Timestamp) -> Answer<String> {
        let mut names = vec![new.domain_name.to_ascii_lowercase()];
        for name in &new.alternative_names {
            let name = name.to_ascii_lowercase();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for name in &names {
            let good = name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '*' | '_'));
            if !good || !name.contains('.') || name.len() > 253 {
                return Err(Refusal::new(
                    "ValidationException",
                    format!(
                        "1 validation error detected: Value '{name}' at 'domainName' failed to satisfy constraint"
                    ),
                ));
            }
        }
        if names.len() > 10 {
            return Err(Refusal::new(
                "LimitExceededException",
                "A certificate can have at most 10 names",
            ));
        }
        let tags = self.checked_acm_tags(&new.tags)?;
        if let Some(token) = &new.idempotency_token {
            let repeated = self.certificates.values().find(|certificate| {
                certificate.idempotency_token.as_ref() == Some(token) && certificate.names == names
            });
            if let Some(certificate) = repeated {
                return Ok(certificate.arn.clone());
            }
        }
        let arn = self.new_certificate_arn()?;
        let year = SignedDuration::from_hours(24 * 395);
        let certificate = Certificate {
            arn: arn.clone(),
            domain_name: names[0].clone(),
            names,
            status: CertificateStatus::PendingValidation,
            imported: false,
            key_algorithm: new
                .key_algorithm
                .clone()
                .unwrap_or_else(|| "RSA_2048".to_owned()),
            created: now,
            issued: None,
            not_after: now.checked_add(year).unwrap_or(Timestamp::MAX),
            pem: None,
            idempotency_token: new.idempotency_token.clone(),
        };
        self.certificates.insert(arn.clone(), certificate);
        self.tags.insert(arn.clone(), tags);
        let issued = Transition::CertificateIssued(arn.clone());
        self.schedule(now, self.timing.certificate_issue_ms, issued);
        Ok(arn)
    }

    /// Ends the validation of a requested certificate.
    pub fn issue_certificate(&mut self, arn: &str, now: Timestamp) {
        if let Some(certificate) = self.certificates.get_mut(arn)
            && certificate.status == CertificateStatus::PendingValidation
        {
            certificate.status = CertificateStatus::Issued;
            certificate.issued = Some(now);
        }
    }

    /// ARNs of the load balancers that use a certificate.
    pub fn users_of_certificate(&self, arn: &str) -> Vec<String> {
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

    /// DeleteCertificate: refused while a listener uses it.
    pub fn delete_certificate(&mut self, arn: &str) -> Answer<()> {
        self.certificate(arn)?;
        if !self.users_of_certificate(arn).is_empty() {
            return Err(Refusal::new(
                "ResourceInUseException",
                format!("Certificate {arn} in account {} is in use.", self.account),
            ));
        }
        self.certificates.remove(arn);
        self.tags.remove(arn);
        Ok(())
    }

    fn new_certificate_arn(&mut self) -> Answer<String> {
        if self.certificates.len() >= self.quotas.limit("certificates") {
            return Err(Refusal::new(
                "LimitExceededException",
                "The maximum number of certificates has been reached",
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

    fn checked_acm_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        for (key, value) in tags {
            check_tag(key, value).map_err(|text| Refusal::new("InvalidTagException", text))?;
        }
        let tags: Tags = tags.iter().cloned().collect();
        if tags.len() > self.quotas.limit("tags-per-resource") {
            return Err(Refusal::new(
                "TooManyTagsException",
                "A certificate can have at most 50 tags",
            ));
        }
        Ok(tags)
    }
}
