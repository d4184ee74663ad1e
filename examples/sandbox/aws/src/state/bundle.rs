//! What trust stores are made from: bundles of CA certificates and lists of
//! revoked certificates, both in PEM form.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{RootCertStore, pki_types::CertificateDer};

use super::x509::der;

/// The largest certificate in a bundle, in bytes of its DER form.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// How many certificates a bundle has; `None` when it is not one or has
/// anything in it that is neither a certificate nor a comment.
pub(super) fn count_certificates(bundle: &str) -> Option<usize> {
    let blocks = blocks(bundle, "CERTIFICATE")?;
    for der in &blocks {
        let certificate = CertificateDer::from(der.as_slice());
        if der.len() > MAX_CERTIFICATE || RootCertStore::empty().add(certificate).is_err() {
            return None;
        }
    }
    (!blocks.is_empty()).then_some(blocks.len())
}

/// How many certificates a list revokes; `None` when it is not a revocation
/// list.
pub(super) fn count_revoked(list: &str) -> Option<usize> {
    let blocks = blocks(list, "X509 CRL")?;
    let [der] = blocks.as_slice() else {
        return None;
    };
    let (0x30, list, []) = element(der)? else {
        return None;
    };
    let (0x30, mut fields, signature) = element(list)? else {
        return None;
    };
    let (0x30, _, signature) = element(signature)? else {
        return None;
    };
    let (0x03, _, []) = element(signature)? else {
        return None;
    };
    let mut tags = Vec::new();
    while !fields.is_empty() {
        let (tag, content, rest) = element(fields)?;
        tags.push((tag, content));
        fields = rest;
    }
    if tags.first()?.0 == 0x02 {
        tags.remove(0);
    }
    // Algorithm, issuer, time of this update.
    let [(0x30, _), (0x30, _), (0x17 | 0x18, _), rest @ ..] = tags.as_slice() else {
        return None;
    };
    let rest = if let [(0x17 | 0x18, _), after @ ..] = rest {
        after
    } else {
        rest
    };
    let Some((0x30, mut entries)) = rest.first().copied() else {
        return Some(0);
    };
    let mut count = 0;
    while !entries.is_empty() {
        let (0x30, _, rest) = element(entries)? else {
            return None;
        };
        count += 1;
        entries = rest;
    }
    Some(count)
}

/// Tag, content and what follows of the first DER element.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    der::first(bytes).map(|(element, rest)| (element.tag, element.content, rest))
}

/// The DER forms of all PEM blocks; `None` when there is anything else but
/// comments, which begin with `#`.
fn blocks(text: &str, label: &str) -> Option<Vec<Vec<u8>>> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match &mut open {
            Some(body) if line == end => {
                blocks.push(STANDARD.decode(&*body).ok()?);
                open = None;
            }
            Some(body) => body.push_str(line),
            None if line == begin => open = Some(String::new()),
            None if line.is_empty() || line.starts_with('#') => {}
            None => return None,
        }
    }
    open.is_none().then_some(blocks)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
        KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
    };

    use super::*;

    fn authority() -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params, KeyPair::generate().unwrap())
    }

    /// A bundle of this many authorities.
    pub fn bundle(count: usize) -> String {
        (0..count)
            .map(|_| {
                let (params, key) = authority();
                params.self_signed(&key).unwrap().pem()
            })
            .collect()
    }

    /// A list that revokes this many certificates.
    pub fn revocations(count: u64) -> String {
        let (params, key) = authority();
        let revoked = (1..=count)
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2027, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&Issuer::new(params, key))
            .unwrap()
            .pem()
            .unwrap()
    }

    #[test]
    fn bundles_hold_certificates_and_comments() {
        let two = bundle(2);
        assert_eq!(count_certificates(&two), Some(2));
        assert_eq!(count_certificates(&format!("# ours\n\n{two}")), Some(2));
        for bad in [
            "",
            "# nothing",
            "hello",
            &format!("{two}trailing"),
            &two.replace("-----END CERTIFICATE-----", ""),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &revocations(1),
        ] {
            assert_eq!(count_certificates(bad), None, "{bad}");
        }
    }

    #[test]
    fn revocation_lists_are_counted() {
        assert_eq!(count_revoked(&revocations(0)), Some(0));
        assert_eq!(count_revoked(&revocations(3)), Some(3));
        assert_eq!(count_revoked(&bundle(1)), None);
        assert_eq!(count_revoked("x"), None);
    }
}
