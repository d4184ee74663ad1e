//! The certificate authority of the simulator. What ACM issues here is signed by
//! it, so that a client that trusts `GET /_sim/ca.pem` trusts the listeners.
//!
//! There is one for the process. Keys and certificates are made when they are
//! first asked for, of the algorithm that was asked for: the account itself
//! holds names and dates only.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SerialNumber, date_time_ymd,
};

use crate::state::Certificate;

/// The end of a day, counted from its beginning.
const DAY: Duration = Duration::from_secs(86_399);

/// The RSA key of all certificates here that have one: the library makes no
/// such keys. Nobody has to keep it secret, for it is worth something only to
/// clients that trust the authority of this process, on this machine.
const RSA: &str = include_str!("authority/rsa.key");

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    /// The certificate.
    pub(crate) pem: String,
    /// The private key.
    pub(crate) key: String,
}

type Made = HashMap<(String, String), Arc<Issued>>;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    made: Mutex<Made>,
}

static AUTHORITY: LazyLock<Result<Authority, Error>> = LazyLock::new(Authority::new);

/// The certificate of the authority as PEM.
pub(crate) fn pem() -> Result<&'static str, Error> {
    Ok(&authority()?.pem)
}

/// What stands behind a certificate that ACM has issued: made once for each ARN
/// and serial number.
pub(crate) fn issued(certificate: &Certificate) -> Result<Arc<Issued>, Error> {
    let serial = certificate.details.serial.clone();
    let called = (certificate.arn.clone(), serial);
    authority()?.once(called, &certificate.key_algorithm, || {
        let mut params = CertificateParams::new(certificate.names.clone())?;
        params
            .distinguished_name
            .push(DnType::CommonName, certificate.domain_name.clone());
        let day = |at: Timestamp| {
            let date = at.to_zoned(TimeZone::UTC).date();
            let part = |number: i8| u8::try_from(number).unwrap_or(1);
            date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
        };
        params.not_before = day(certificate.not_before);
        params.not_after = day(certificate.not_after) + DAY;
        let serial: Vec<u8> = certificate
            .details
            .serial
            .split(':')
            .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect();
        if !serial.is_empty() {
            params.serial_number = Some(SerialNumber::from(serial));
        }
        Ok(params)
    })
}

/// A certificate for a load balancer that has none of its own to show.
pub(crate) fn stopgap(arn: &str, names: Vec<String>) -> Result<Arc<Issued>, Error> {
    authority()?.once((arn.to_owned(), names.join(" ")), "EC_prime256v1", || {
        CertificateParams::new(names.clone())
    })
}

/// A key of an algorithm as ACM calls it.
fn key(algorithm: &str) -> Result<KeyPair, Error> {
    match algorithm {
        "EC_prime256v1" => KeyPair::generate(),
        "EC_secp384r1" => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        _ => KeyPair::from_pem(RSA),
    }
}

fn authority() -> Result<&'static Authority, Error> {
    AUTHORITY.as_ref().map_err(Clone::clone)
}

impl Authority {
    fn new() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Sandbox");
        params
            .distinguished_name
            .push(DnType::CommonName, "Sandbox Root CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
            made: Mutex::default(),
        })
    }

    fn once(
        &self,
        called: (String, String),
        algorithm: &str,
        params: impl FnOnce() -> Result<CertificateParams, Error>,
    ) -> Result<Arc<Issued>, Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(issued) = made.get(&called) {
            return Ok(issued.clone());
        }
        let mut params = params()?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = key(algorithm)?;
        let issued = Arc::new(Issued {
            pem: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        });
        made.insert(called, issued.clone());
        Ok(issued)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::x509;

    #[test]
    fn keys_are_of_the_algorithm_that_was_asked_for() {
        for algorithm in ["RSA_2048", "EC_prime256v1", "EC_secp384r1"] {
            let called = (format!("arn-{algorithm}"), String::new());
            let made = authority().unwrap().once(called, algorithm, || {
                CertificateParams::new(vec!["www.example.com".to_owned()])
            });
            let facts = x509::read_all(&made.unwrap().pem).unwrap();
            assert_eq!(facts[0].key_algorithm.as_deref(), Some(algorithm));
        }
    }
}
