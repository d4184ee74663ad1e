//! Server certificates of the pure state.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::Timing;

const LEAF: &str = include_str!("../x509/testdata/leaf.pem");
const LEAF_KEY: &str = include_str!("../x509/testdata/leaf.key");
const AUTHORITY: &str = include_str!("../x509/testdata/ca.pem");

fn now() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().unwrap()
}

fn new(name: &str) -> NewServerCertificate {
    NewServerCertificate {
        name: name.to_owned(),
        path: None,
        pem: Pem {
            certificate: LEAF.to_owned(),
            private_key: LEAF_KEY.to_owned(),
            chain: Some(AUTHORITY.to_owned()),
        },
        tags: Vec::new(),
    }
}

fn code<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    answer.map_or_else(|refusal| refusal.code.to_string(), |_| String::new())
}

#[test]
fn names_are_unique_whatever_their_case() {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    state.upload_server_certificate(new("Web"), now()).unwrap();
    let again = state.upload_server_certificate(new("web"), now());
    assert_eq!(code(again), "EntityAlreadyExists");
    let certificate = state.server_certificate("WEB").unwrap();
    assert_eq!(
        certificate.arn,
        "arn:aws:iam::123456789012:server-certificate/Web"
    );
    assert!(certificate.id.starts_with("ASCA"));
    let moved =
        state.update_server_certificate("Web", Some("/a/b/".to_owned()), Some("new".to_owned()));
    moved.unwrap();
    assert_eq!(code(state.server_certificate("Web")), "NoSuchEntity");
    let arn = "arn:aws:iam::123456789012:server-certificate/a/b/new";
    assert_eq!(state.server_certificate_of(arn).unwrap().name, "new");
    assert_eq!(state.server_certificates_below("/a/").len(), 1);
    assert!(state.server_certificates_below("/b/").is_empty());
    state.delete_server_certificate("new").unwrap();
    assert_eq!(code(state.delete_server_certificate("new")), "NoSuchEntity");
    state.quotas.set("server-certificates", 0);
    let over = state.upload_server_certificate(new("x"), now());
    assert_eq!(code(over), "LimitExceeded");
}

#[test]
fn certificate_key_and_chain_fit() {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let other = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    let pem = |change: &dyn Fn(&mut Pem)| {
        let mut new = new("x");
        change(&mut new.pem);
        new
    };
    for (new, expected) in [
        (
            pem(&|pem| pem.certificate = "x".to_owned()),
            "MalformedCertificate",
        ),
        (
            pem(&|pem| pem.private_key = "x".to_owned()),
            "MalformedCertificate",
        ),
        (
            pem(&|pem| pem.chain = Some(LEAF.to_owned())),
            "MalformedCertificate",
        ),
        (
            pem(&|pem| pem.chain = Some("x".to_owned())),
            "MalformedCertificate",
        ),
        (
            pem(&|pem| pem.private_key = other.signing_key.serialize_pem()),
            "KeyPairMismatch",
        ),
        (
            NewServerCertificate {
                path: Some("a".to_owned()),
                ..new("x")
            },
            "ValidationError",
        ),
        (new("x"), ""),
    ] {
        assert_eq!(code(state.upload_server_certificate(new, now())), expected);
    }
    let early = "2020-01-01T00:00:00Z".parse().unwrap();
    let expired = state.upload_server_certificate(new("y"), early);
    assert_eq!(code(expired), "MalformedCertificate");
}
