//! ImportCertificate: what a certificate, its key and its chain have to be.

use jiff::Timestamp;

use super::{Certificate, CertificateStatus, Details, Pem, invalid};
use crate::state::{
    Answer, State, Transition,
    x509::{self, Facts, PrivateKey},
};

/// The largest private key, in bytes.
const PRIVATE_KEY: usize = 5120;

impl State {
    /// ImportCertificate: issued at once; with an ARN it replaces that
    /// certificate and keeps the ARN. Answers the ARN.
    pub fn import_certificate(
        &mut self,
        arn: Option<&str>,
        pem: Pem,
        tags: &[(String, String)],
        now: Timestamp,
    ) -> Answer<String> {
        let before = arn.map(|arn| self.certificate(arn)).transpose()?;
        let facts = importable(&pem, now)?;
        let Some(key_algorithm) = facts.key_algorithm.clone() else {
            return Err(invalid(
                "The key algorithm of the certificate is not supported.",
            ));
        };
        if let Some(before) = before {
            check_replacement(before, &facts, !tags.is_empty())?;
        }
        let created = before.map_or(now, |before| before.created);
        let tags = self.checked_acm_tags(tags)?;
        let arn = match arn {
            Some(arn) => arn.to_owned(),
            None => self.new_certificate_arn(true)?,
        };
        let names: Vec<String> = facts
            .names
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        let certificate = Certificate {
            arn: arn.clone(),
            domain_name: facts
                .common_name
                .clone()
                .filter(|name| names.contains(name))
                .or_else(|| names.first().cloned())
                .unwrap_or_default(),
            names,
            status: CertificateStatus::Issued,
            imported: true,
            key_algorithm,
            created,
            issued: Some(now),
            not_before: facts.not_before,
            not_after: facts.not_after,
            pem: Some(pem),
            details: Details {
                serial: facts.serial,
                subject: facts.subject,
                issuer: facts.issuer_name,
                signature_algorithm: facts.signature_algorithm,
                key_usages: facts.key_usages,
                extended_key_usages: facts.extended_key_usages,
            },
            validation: None,
            exportable: false,
            exported: false,
            idempotency_token: None,
        };
        let expired = Transition::CertificateExpired(arn.clone(), certificate.not_after);
        self.schedule_at(certificate.not_after, expired);
        self.certificates.insert(arn.clone(), certificate);
        self.tags.entry(arn.clone()).or_default().extend(tags);
        Ok(arn)
    }
}

/// Everything that ImportCertificate wants of a certificate, its key and its chain.
fn importable(pem: &Pem, now: Timestamp) -> Answer<Facts> {
    let unreadable = || invalid("The certificate is not in PEM form or is not valid.");
    let mut facts = x509::read_all(&pem.certificate).ok_or_else(unreadable)?;
    if facts.len() > 1 {
        return Err(invalid(
            "The certificate field contains more than one certificate. You can specify only one certificate in this field.",
        ));
    }
    let facts = facts.pop().ok_or_else(unreadable)?;
    if pem.private_key.len() > PRIVATE_KEY {
        return Err(invalid("The private key is larger than 5120 bytes."));
    }
    let key = PrivateKey::read(&pem.private_key)
        .ok_or_else(|| invalid("The private key is not supported."))?;
    if facts.key_algorithm.is_none() {
        return Err(invalid(
            "The key algorithm of the certificate is not supported.",
        ));
    }
    if !facts.belongs_to(&key) {
        return Err(invalid("The private key does not match the certificate."));
    }
    if !facts.valid_at(now) {
        return Err(invalid("The certificate is not valid yet or has expired."));
    }
    if facts.issuer.is_empty() {
        return Err(invalid("The issuer field of the certificate is empty."));
    }
    let Some(chain) = &pem.chain else {
        return Ok(facts);
    };
    let chain = x509::read_all(chain)
        .ok_or_else(|| invalid("The certificate chain is not in PEM form or is not valid."))?;
    let mut issued = &facts;
    for issuer in &chain {
        if !issued.issued_by(issuer) {
            return Err(invalid(
                "Could not validate the certificate with the certificate chain.",
            ));
        }
        issued = issuer;
    }
    if chain
        .first()
        .is_some_and(|issuer| issuer.key_family() != facts.key_family())
    {
        return Err(invalid(
            "The key algorithm of the certificate does not match that of the authority that signed it.",
        ));
    }
    Ok(facts)
}

/// What an import over an existing certificate has to keep.
fn check_replacement(before: &Certificate, facts: &Facts, tagged: bool) -> Answer<()> {
    if !before.imported {
        return Err(invalid(
            "Only an imported certificate can be imported again.",
        ));
    }
    if tagged {
        return Err(invalid(
            "You cannot apply tags when reimporting a certificate.",
        ));
    }
    if Some(&before.key_algorithm) != facts.key_algorithm.as_ref() {
        return Err(invalid(
            "The key type and size of a certificate cannot be changed by importing it again.",
        ));
    }
    let kept = |name: &String| {
        facts
            .names
            .iter()
            .any(|after| after.eq_ignore_ascii_case(name))
    };
    if !before.names.is_empty() && !before.names.iter().any(kept) {
        return Err(invalid(
            "At least one domain name of the certificate has to stay when it is imported again.",
        ));
    }
    Ok(())
}
