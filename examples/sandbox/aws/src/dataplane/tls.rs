//! TLS of HTTPS listeners and towards HTTPS targets.
//!
//! A listener shows the certificates that its state names, chosen by SNI: an
//! imported one itself, and for one that ACM made a self-signed one with the
//! same names. TLS versions do not follow the listener's security policy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};

use super::pattern::{Backslash, Case, fits};
use crate::state::{Certificate, Listener, State, arn};

/// Self-signed certificates, made once for each ARN and its names: after a reset
/// of the account an ARN may come again with other names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    made: Arc<Mutex<Made>>,
}

type Made = HashMap<(String, Vec<String>), Arc<CertifiedKey>>;

/// A certificate of a listener with the names that it is good for.
#[derive(Clone, Debug)]
struct Shown {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// The certificates of a listener, the default one first.
#[derive(Debug)]
struct BySni(Vec<Shown>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().unwrap_or_default();
        self.0
            .iter()
            .find(|shown| shown.names.iter().any(|name| covers(name, asked)))
            .or_else(|| self.0.first())
            .map(|shown| shown.key.clone())
    }
}

/// Whether the name of a certificate covers a host: `*` stands for one label.
fn covers(name: &str, host: &str) -> bool {
    let same_depth = name.split('.').count() == host.split('.').count();
    same_depth && fits(name, host, Case::Insensitive, Backslash::Literal)
}

impl Keys {
    /// How a listener does TLS now; its certificates come from the account.
    ///
    /// Errors when an imported certificate or its key cannot be used.
    pub(crate) fn server(&self, state: &State, listener: &str) -> Result<ServerConfig, Error> {
        let balancer = arn::load_balancer_of(listener)
            .and_then(|balancer| state.load_balancers.get(&balancer))
            .ok_or_else(|| Error::General("listener is gone".to_owned()))?;
        let listener = balancer
            .listeners
            .values()
            .find(|it| it.arn == listener)
            .ok_or_else(|| Error::General("listener is gone".to_owned()))?;
        let mut shown = Vec::new();
        for certificate in certificates(listener).filter_map(|arn| state.certificates.get(arn)) {
            shown.push(Shown {
                names: certificate.names.clone(),
                key: self.key(certificate)?,
            });
        }
        if shown.is_empty() {
            // Certificates of IAM are not held here; the listener still speaks TLS.
            shown.push(Shown {
                names: Vec::new(),
                key: self.self_signed(&balancer.arn, vec![balancer.dns_name.to_lowercase()])?,
            });
        }
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(BySni(shown)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn key(&self, certificate: &Certificate) -> Result<Arc<CertifiedKey>, Error> {
        let Some(pem) = &certificate.pem else {
            return self.self_signed(&certificate.arn, certificate.names.clone());
        };
        let unreadable = |error| Error::General(format!("{}: {error}", certificate.arn));
        let chain = pem.chain.as_deref().unwrap_or_default();
        let chain = [pem.certificate.as_str(), chain].join("\n");
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        let key = PrivateKeyDer::from_pem_slice(pem.private_key.as_bytes()).map_err(unreadable)?;
        Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
    }

    fn self_signed(&self, arn: &str, names: Vec<String>) -> Result<Arc<CertifiedKey>, Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let called = (arn.to_owned(), names);
        if let Some(key) = made.get(&called) {
            return Ok(key.clone());
        }
        let unmade = |error| Error::General(format!("{arn}: {error}"));
        let signed = rcgen::generate_simple_self_signed(called.1.clone()).map_err(unmade)?;
        let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()).into();
        let chain = vec![signed.cert.der().clone()];
        let key = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        made.insert(called, key.clone());
        Ok(key)
    }
}

/// ARNs of the certificates of a listener, the default one first.
fn certificates(listener: &Listener) -> impl Iterator<Item = &String> {
    listener
        .certificate
        .iter()
        .chain(&listener.sni_certificates)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// How to speak TLS with a target: whatever certificate it shows is taken, as a
/// load balancer does.
pub(crate) fn client() -> Result<ClientConfig, Error> {
    let provider = provider();
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        .with_no_client_auth();
    Ok(config)
}

#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cover_hosts_label_by_label() {
        assert!(covers("shop.example.com", "SHOP.example.com"));
        assert!(covers("*.example.com", "a.example.com"));
        assert!(!covers("*.example.com", "a.b.example.com"));
        assert!(!covers("*.example.com", "example.com"));
    }
}
