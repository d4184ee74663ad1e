//! Mutual TLS: which client certificates a listener takes, and what it tells
//! targets of them.
//!
//! Source: "Mutual authentication with TLS" and "HTTP headers and mutual TLS"
//! of the guide.

use std::sync::Arc;

use axum::http::header::HeaderName;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::course::SeenClientCertificate;
use super::listener_headers::request_header;
use super::vouched::Vouched;
use crate::state::listener_tls::{MutualAuthentication, Verification};
use crate::state::x509::{self, Facts};
use crate::state::{Listener, State};
use crate::url_encoding::percent_encode;

/// The whole chain, of listeners that pass it through.
const CHAIN: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert");
const SERIAL_NUMBER: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-serial-number");
const ISSUER: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-issuer");
const SUBJECT: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-subject");
const VALIDITY: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-validity");
const LEAF: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-leaf");
const ALL: [HeaderName; 6] = [CHAIN, SERIAL_NUMBER, ISSUER, SUBJECT, VALIDITY, LEAF];

/// What asks the clients of a listener for certificates; `None` where nobody does.
///
/// Errors when the trust store is gone or cannot be used.
pub(super) fn verifier(
    state: &State,
    listener: &Listener,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
    Ok(match &listener.mutual_authentication {
        None | Some(MutualAuthentication::Off) => None,
        Some(MutualAuthentication::Passthrough) => Some(Arc::new(Unverified(provider))),
        Some(MutualAuthentication::Verify(verification)) => {
            let inner = trusting(state, verification, provider)?;
            Some(if verification.ignore_expiry {
                Arc::new(WhateverItsAge(inner))
            } else {
                inner
            })
        }
    })
}

fn trusting(
    state: &State,
    verification: &Verification,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let broken = |what: &dyn std::fmt::Display| Error::General(format!("trust store: {what}"));
    let store = state
        .trust_stores
        .get(&verification.trust_store_arn)
        .ok_or_else(|| broken(&"it is gone"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(store.bundle.as_bytes()) {
        roots.add(certificate.map_err(|error| broken(&error))?)?;
    }
    let lists = store
        .revocations
        .values()
        .map(|revocation| CertificateRevocationListDer::from_pem_slice(revocation.list.as_bytes()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken(&error))?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        // A list speaks of what its issuer has issued, and of nothing else.
        .allow_unknown_revocation_status();
    let builder = if verification.advertise_names {
        builder
    } else {
        builder.clear_root_hint_subjects()
    };
    builder.build().map_err(|error| broken(&error))
}

/// What a listener makes of the chain of a client, the client's own
/// certificate first; as in its handshakes. `None` where it asks for none.
pub(crate) fn judged(
    state: &State,
    listener: &Listener,
    chain: &[CertificateDer<'_>],
) -> Option<SeenClientCertificate> {
    let mode = listener
        .mutual_authentication
        .as_ref()
        .map(MutualAuthentication::mode)
        .filter(|mode| *mode != "off")?;
    let (accepted, why) = match judge(state, listener, chain) {
        Ok(why) => (true, why.to_owned()),
        Err(why) => (false, why),
    };
    Some(SeenClientCertificate {
        mode,
        subject: chain
            .first()
            .and_then(facts)
            .map(|facts| facts.subject_rfc2253),
        accepted,
        why,
    })
}

fn judge(
    state: &State,
    listener: &Listener,
    chain: &[CertificateDer<'_>],
) -> Result<&'static str, String> {
    let verifier = verifier(state, listener, super::tls::provider());
    let verifier = verifier.map_err(|error| error.to_string())?;
    match (verifier, chain.split_first()) {
        (None, _) => Ok("the listener asks for no certificate"),
        (Some(verifier), None) if verifier.client_auth_mandatory() => {
            Err("the client shows no certificate".to_owned())
        }
        (Some(_), None) => Ok("the client shows no certificate, and does not have to"),
        (Some(verifier), Some((leaf, intermediates))) => {
            let verified = verifier.verify_client_cert(leaf, intermediates, UnixTime::now());
            verified.map_err(|error| error.to_string())?;
            Ok(if listener.trust_store().is_some() {
                "the trust store vouches for it"
            } else {
                "it is passed through unverified"
            })
        }
    }
}

/// What a target is told of the client's chain.
pub(crate) fn told(listener: &Listener, chain: &[CertificateDer<'_>]) -> Vouched {
    let named = |header: &HeaderName| request_header(listener, header);
    let verified = match &listener.mutual_authentication {
        None | Some(MutualAuthentication::Off) => return Vouched::default(),
        Some(MutualAuthentication::Passthrough) => false,
        Some(MutualAuthentication::Verify(_)) => true,
    };
    let mut vouched = Vouched::under(ALL.iter().map(named));
    let Some(leaf) = chain.first() else {
        return vouched;
    };
    if !verified {
        let chain: String = chain.iter().map(pem).collect();
        vouched.say(named(&CHAIN), &percent_encode(&chain, b"+=/"));
        return vouched;
    }
    if let Some(facts) = facts(leaf) {
        vouched.say(named(&SERIAL_NUMBER), &serial(&facts));
        vouched.say(named(&ISSUER), &facts.issuer_rfc2253);
        vouched.say(named(&SUBJECT), &facts.subject_rfc2253);
        let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (from, until) = (time(facts.not_before), time(facts.not_after));
        vouched.say(
            named(&VALIDITY),
            &format!("NotBefore={from};NotAfter={until}"),
        );
    }
    vouched.say(named(&LEAF), &percent_encode(&pem(leaf), b"+=/"));
    vouched
}

fn facts(certificate: &CertificateDer<'_>) -> Option<Facts> {
    x509::read_all(&pem(certificate))?.pop()
}

/// Hexadecimal without colons, as it is without its sign.
fn serial(facts: &Facts) -> String {
    let digits = facts.serial.replace(':', "").to_ascii_uppercase();
    match digits.strip_prefix("00") {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => digits,
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let body = BASE64_STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Takes every certificate whose key the client has, and no certificate too.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ClientCertVerifier for Unverified {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes an expired certificate that was good while it lasted.
#[derive(Debug)]
struct WhateverItsAge(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for WhateverItsAge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.0.verify_client_cert(leaf, intermediates, now) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => self.0.verify_client_cert(leaf, intermediates, not_after),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
