//! TLS of HTTPS listeners and towards HTTPS targets.
//!
//! A listener shows the certificates that its state names, chosen by SNI: an
//! imported one itself, and for one that ACM made the one that the simulator's
//! authority has issued. Versions and ciphers are those of the listener's security
//! policy, as far as they are of TLS 1.2 and later.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConfig, CommonState, DigitallySignedStruct, Error, ProtocolVersion,
    ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use super::client_certificate;
use super::course::{Session, ShownCertificate};
use super::pattern::{Backslash, Case, fits};
use super::route::listener_of;
use crate::authority;
use crate::state::{Listener, State, ssl_policy};

/// HTTP/2 in the negotiation of protocols (ALPN).
pub(crate) const HTTP2: &[u8] = b"h2";

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
        let names = self.0.iter().map(|shown| shown.names.as_slice());
        let chosen = choose(names, hello.server_name())?.0;
        Some(self.0.get(chosen)?.key.clone())
    }
}

/// Which of the certificates with these names, the default one first, is shown
/// to a client that asks for a name, and why that one.
fn choose<'a>(
    mut certificates: impl Iterator<Item = &'a [String]> + Clone,
    asked: Option<&str>,
) -> Option<(usize, &'static str)> {
    let named = asked.and_then(|asked| {
        let mut all = certificates.clone();
        all.position(|names| names.iter().any(|name| covers(name, asked)))
    });
    match (named, asked) {
        (Some(index), _) => Some((index, "it covers the name that the client asks for")),
        (None, Some(_)) => certificates
            .next()
            .map(|_| (0, "no certificate covers the name, so the default one")),
        (None, None) => certificates
            .next()
            .map(|_| (0, "the client asks for no name, so the default one")),
    }
}

/// The certificate that a client of a listener gets to see when it asks for
/// `asked`, as [`server`] shows it.
pub(crate) fn chosen(state: &State, listener: &Listener, asked: Option<&str>) -> ShownCertificate {
    let known: Vec<(&String, &[String])> = certificates(listener)
        .filter_map(|arn| {
            let names = match state.certificates.get(arn) {
                Some(certificate) => &certificate.names,
                None => &state.server_certificate_of(arn)?.names,
            };
            Some((arn, names.as_slice()))
        })
        .collect();
    match choose(known.iter().map(|(_, names)| *names), asked) {
        Some((index, why)) => ShownCertificate {
            arn: known.get(index).map(|(arn, _)| (*arn).clone()),
            why: why.to_owned(),
        },
        None => ShownCertificate {
            arn: None,
            why: "the certificates of the listener are gone, so a stopgap".to_owned(),
        },
    }
}

/// Whether the name of a certificate covers a host: `*` stands for one label.
fn covers(name: &str, host: &str) -> bool {
    let same_depth = name.split('.').count() == host.split('.').count();
    same_depth && fits(name, host, Case::Insensitive, Backslash::Literal)
}

/// How a listener does TLS now; its certificates come from the account.
///
/// Errors when a certificate or its key cannot be used.
pub(crate) fn server(state: &State, listener: &str) -> Result<ServerConfig, Error> {
    let (balancer, listener) = listener_of(state, listener)
        .ok_or_else(|| Error::General("listener is gone".to_owned()))?;
    let mut shown = Vec::new();
    for arn in certificates(listener) {
        shown.extend(shown_of(state, arn)?);
    }
    if shown.is_empty() {
        // Its certificates are gone; the listener still speaks TLS.
        let names = vec![balancer.dns_name.to_lowercase()];
        let stopgap = authority::stopgap(&balancer.arn, names).map_err(unmade)?;
        shown.push(Shown {
            names: Vec::new(),
            key: key(
                &[&stopgap.pem, authority::pem().map_err(unmade)?],
                &stopgap.key,
            )?,
        });
    }
    let (provider, versions) = served(listener.ssl_policy.as_deref());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions)?;
    let resolver = Arc::new(BySni(shown));
    let mut config = match client_certificate::verifier(state, listener, provider)? {
        None => builder.with_no_client_auth().with_cert_resolver(resolver),
        Some(verifier) => {
            let mut config = builder
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(resolver);
            // Sessions are not resumed where clients show certificates.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    let key = "routing.http2.enabled";
    let http2 = balancer.attributes.get(key).map(String::as_str) != Some("false");
    config.alpn_protocols = if http2 {
        vec![HTTP2.to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    Ok(config)
}

/// What TLS has agreed on with a client.
pub(crate) fn session(connection: &CommonState) -> Option<Session> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => return None,
    };
    let suite = openssl_name(connection.negotiated_cipher_suite()?.suite())?;
    Some(Session { version, suite })
}

/// What a certificate of ACM or IAM shows; `None` when there is none of this ARN.
fn shown_of(state: &State, arn: &str) -> Result<Option<Shown>, Error> {
    let (names, pem) = if let Some(certificate) = state.certificates.get(arn) {
        let Some(pem) = &certificate.pem else {
            let issued = authority::issued(certificate).map_err(unmade)?;
            return Ok(Some(Shown {
                names: certificate.names.clone(),
                key: key(
                    &[&issued.pem, authority::pem().map_err(unmade)?],
                    &issued.key,
                )?,
            }));
        };
        (&certificate.names, pem)
    } else if let Some(certificate) = state.server_certificate_of(arn) {
        (&certificate.names, &certificate.pem)
    } else {
        return Ok(None);
    };
    let chain = pem.chain.as_deref().unwrap_or_default();
    Ok(Some(Shown {
        names: names.clone(),
        key: key(&[&pem.certificate, chain], &pem.private_key)?,
    }))
}

/// A key with its chain.
pub(crate) fn key(chain: &[&str], key: &str) -> Result<Arc<CertifiedKey>, Error> {
    let unreadable = |error| Error::General(format!("certificate or key: {error}"));
    let chain = chain.join("\n");
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

fn unmade(error: rcgen::Error) -> Error {
    Error::General(format!("authority of the simulator: {error}"))
}

/// ARNs of the certificates of a listener, the default one first.
fn certificates(listener: &Listener) -> impl Iterator<Item = &String> {
    listener
        .certificate
        .iter()
        .chain(&listener.sni_certificates)
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What of a security policy is served: its ciphers and versions from TLS 1.2
/// on. Everything where there is no policy.
fn served(policy: Option<&str>) -> (Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>) {
    let policy = policy.and_then(|name| {
        let described = ssl_policy::described(&[name.to_owned()]);
        described.ok()?.pop()
    });
    let Some(policy) = policy else {
        return (provider(), vec![&TLS13, &TLS12]);
    };
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| {
        let name = openssl_name(suite.suite());
        name.is_some_and(|name| policy.ciphers.contains(&name))
    });
    let versions = [("TLSv1.3", &TLS13), ("TLSv1.2", &TLS12)];
    let versions = versions.into_iter();
    let versions = versions.filter(|(name, _)| policy.protocols.contains(name));
    (Arc::new(provider), versions.map(|(_, it)| it).collect())
}

/// A cipher as security policies name it.
fn openssl_name(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        _ => return None,
    })
}

/// How to speak TLS with a target: whatever certificate it shows is taken, as a
/// load balancer does. Names no protocol that is spoken inside.
///
/// # Errors
/// None that the caller can cause.
pub fn client() -> Result<ClientConfig, Error> {
    let provider = provider();
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(whatever_is_shown(provider))
        .with_no_client_auth();
    Ok(config)
}

/// Takes every certificate.
pub(super) fn whatever_is_shown(provider: Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Unverified(provider))
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
