//! Certificates of OpenSSL and rcgen.
#![allow(clippy::unwrap_used)]

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384,
};

use super::*;

const AUTHORITY: &str = include_str!("testdata/ca.pem");
const LEAF: &str = include_str!("testdata/leaf.pem");
const LEAF_KEY: &str = include_str!("testdata/leaf.key");
const LEAF_KEY_PKCS1: &str = include_str!("testdata/leaf-pkcs1.key");

fn one(pem: &str) -> Facts {
    let mut all = read_all(pem).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn an_rsa_certificate() {
    let leaf = one(LEAF);
    assert_eq!(leaf.names, ["rsa.example.net", "*.rsa.example.net"]);
    assert_eq!(leaf.common_name.as_deref(), Some("rsa.example.net"));
    assert_eq!(leaf.subject, "CN=rsa.example.net");
    assert_eq!(leaf.issuer, "C=US,O=Test Authority,CN=Test Root");
    assert_eq!(leaf.issuer_name, "Test Authority");
    assert_eq!(leaf.key_algorithm.as_deref(), Some("RSA_2048"));
    assert_eq!(leaf.key_family(), "RSA");
    assert_eq!(leaf.signature_algorithm, "SHA256WITHRSA");
    assert_eq!(leaf.key_usages, ["DIGITAL_SIGNATURE", "KEY_ENCIPHERMENT"]);
    let extended: Vec<&str> = leaf
        .extended_key_usages
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        extended,
        [
            "TLS_WEB_SERVER_AUTHENTICATION",
            "TLS_WEB_CLIENT_AUTHENTICATION"
        ]
    );
    assert_eq!(leaf.extended_key_usages[0].1, "1.3.6.1.5.5.7.3.1");
    assert!(!leaf.authority && !leaf.self_issued);
    assert!(leaf.valid_at(leaf.not_before) && leaf.valid_at(leaf.not_after));
    assert!(!leaf.valid_at(Timestamp::UNIX_EPOCH));
    let root = one(AUTHORITY);
    assert!(root.authority && root.self_issued);
    assert!(leaf.issued_by(&root) && root.issued_by(&root));
    assert!(!root.issued_by(&leaf));
}

#[test]
fn keys_belong_to_their_certificates() {
    for key in [LEAF_KEY, LEAF_KEY_PKCS1] {
        let key = PrivateKey::read(key).unwrap();
        assert!(one(LEAF).belongs_to(&key));
        assert!(!one(AUTHORITY).belongs_to(&key));
    }
    let own = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    let other = KeyPair::generate().unwrap();
    let facts = one(&own.cert.pem());
    assert_eq!(facts.key_algorithm.as_deref(), Some("EC_prime256v1"));
    assert!(facts.belongs_to(&PrivateKey::read(&own.signing_key.serialize_pem()).unwrap()));
    assert!(!facts.belongs_to(&PrivateKey::read(&other.serialize_pem()).unwrap()));
    assert!(!facts.belongs_to(&PrivateKey::read(LEAF_KEY).unwrap()));
    assert_eq!(PrivateKey::read("x"), None);
    let locked = LEAF_KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(PrivateKey::read(&locked), None);
}

#[test]
fn a_chain_is_checked_by_its_signatures() {
    let authority = |name: &str| {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        (Issuer::new(params, key), certificate.pem())
    };
    let (issuer, root) = authority("Root");
    let (_, impostor) = authority("Root");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["b.example.com".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf = one(&params.signed_by(&key, &issuer).unwrap().pem());
    assert!(leaf.issued_by(&one(&root)));
    assert!(!leaf.issued_by(&one(&impostor)));
    assert_eq!(leaf.signature_algorithm, "SHA384WITHECDSA");
    assert_eq!(one(&root).key_algorithm.as_deref(), Some("EC_secp384r1"));
}

#[test]
fn what_is_no_certificate() {
    for pem in [
        "",
        "x",
        LEAF_KEY,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ] {
        assert_eq!(read_all(pem), None);
    }
    assert_eq!(read_all(&format!("{LEAF}\n{AUTHORITY}")).unwrap().len(), 2);
    let cut = LEAF.replace("MII", "MI");
    assert_eq!(read_all(&cut), None);
}
