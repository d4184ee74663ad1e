//! Certificates of ACM.

use jiff::Timestamp;

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
