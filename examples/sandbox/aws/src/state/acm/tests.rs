//! Certificates of the pure state.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    Timing, World,
    state::{RecordSet, change_batch::ChangeAction, validation},
};

const LEAF: &str = include_str!("../x509/testdata/leaf.pem");
const LEAF_KEY: &str = include_str!("../x509/testdata/leaf.key");
const AUTHORITY: &str = include_str!("../x509/testdata/ca.pem");

fn now() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().unwrap()
}

fn account() -> (State, String) {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let world = World {
        certificates: Vec::new(),
        ..World::default()
    };
    let ids = world.build(&mut state, now()).unwrap();
    (state, ids.hosted_zones[0].clone())
}

fn request(names: &[&str]) -> NewCertificate {
    NewCertificate {
        domain_name: names[0].to_owned(),
        alternative_names: names[1..].iter().map(|&name| name.to_owned()).collect(),
        validation_method: Some("DNS".to_owned()),
        ..NewCertificate::default()
    }
}

fn prove(state: &mut State, zone: &str, name: &str) {
    let (name, value) = validation::record("123456789012", name);
    let record = RecordSet {
        name,
        kind: "CNAME".to_owned(),
        ttl: Some(300),
        values: vec![value],
        alias: None,
        routing: None,
        health_check_id: None,
    };
    let changes = vec![(ChangeAction::Create, record)];
    state
        .change_record_sets(zone, changes, None, now())
        .unwrap();
}

fn later(hours: i64) -> Timestamp {
    now()
        .checked_add(SignedDuration::from_hours(hours))
        .unwrap()
}

fn code<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    answer.map_or_else(|refusal| refusal.code.to_string(), |_| String::new())
}

#[test]
fn a_request_is_issued_when_all_its_records_stand() {
    let (mut state, zone) = account();
    let names = ["a.example.com", "*.a.example.com", "b.example.com"];
    let arn = state.request_certificate(&request(&names), now()).unwrap();
    prove(&mut state, &zone, "a.example.com");
    state.advance(later(1));
    let certificate = state.certificate(&arn).unwrap();
    assert_eq!(certificate.status, CertificateStatus::PendingValidation);
    let done: Vec<bool> = certificate
        .validation
        .iter()
        .flat_map(|validation| &validation.domains)
        .map(|domain| domain.succeeded)
        .collect();
    assert_eq!(done, [true, true, false]);
    prove(&mut state, &zone, "b.example.com");
    state.advance(later(2));
    let certificate = state.certificate(&arn).unwrap();
    assert_eq!(certificate.status, CertificateStatus::Issued);
    assert_eq!(certificate.not_before.to_string(), "2030-01-02T00:00:00Z");
    // The records serve the next request at once.
    let again = state
        .request_certificate(&request(&names[..1]), later(2))
        .unwrap();
    state.advance(later(3));
    assert_eq!(
        state.certificate(&again).unwrap().status,
        CertificateStatus::Issued
    );
    state.advance(later(24 * 396));
    assert_eq!(
        state.certificate(&arn).unwrap().status,
        CertificateStatus::Expired
    );
}

#[test]
fn nobody_proves_in_time() {
    let (mut state, zone) = account();
    let dns = state
        .request_certificate(&request(&["a.example.com"]), now())
        .unwrap();
    let mail = NewCertificate {
        validation_method: None,
        ..request(&["b.example.com"])
    };
    let mail = state.request_certificate(&mail, now()).unwrap();
    prove(&mut state, &zone, "b.example.com");
    state.advance(later(71));
    assert_eq!(
        state.certificate(&mail).unwrap().status,
        CertificateStatus::PendingValidation
    );
    state.advance(later(73));
    for arn in [&dns, &mail] {
        assert_eq!(
            state.certificate(arn).unwrap().status,
            CertificateStatus::ValidationTimedOut
        );
    }
}

#[test]
fn what_a_request_may_ask_for() {
    let (mut state, _) = account();
    let long = format!("{}.example.com", "a".repeat(60));
    let many: Vec<String> = (0..11).map(|n| format!("h{n}.example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let option = |domain: &str, above: &str| NewCertificate {
        domain_options: vec![DomainOption {
            domain: domain.to_owned(),
            validation_domain: above.to_owned(),
        }],
        validation_method: Some("EMAIL".to_owned()),
        ..request(&["a.example.com"])
    };
    for (new, expected) in [
        (request(&["a.example.com"]), ""),
        (request(&["a.example.com", &long]), ""),
        (request(&["*.example.com"]), ""),
        (request(&["localhost"]), "ValidationException"),
        (request(&["a.*.example.com"]), "ValidationException"),
        (request(&["-a.example.com"]), "ValidationException"),
        (request(&["10.0.0.1"]), "ValidationException"),
        (request(&[&long]), "InvalidParameterException"),
        (request(&many[..10]), ""),
        (request(&many), "LimitExceededException"),
        (
            NewCertificate {
                key_algorithm: Some("RSA_4096".to_owned()),
                ..request(&["a.example.com"])
            },
            "InvalidParameterException",
        ),
        (
            NewCertificate {
                validation_method: Some("HTTP".to_owned()),
                ..request(&["a.example.com"])
            },
            "InvalidParameterException",
        ),
        (
            NewCertificate {
                authority_arn: Some("arn:aws:acm-pca:us-east-1:123456789012:x".to_owned()),
                ..request(&["a.example.com"])
            },
            "InvalidArnException",
        ),
        (option("a.example.com", "example.com"), ""),
        (
            option("a.example.com", "example.org"),
            "InvalidDomainValidationOptionsException",
        ),
        (
            option("b.example.com", "example.com"),
            "InvalidDomainValidationOptionsException",
        ),
        (
            NewCertificate {
                tags: vec![("aws:x".to_owned(), String::new())],
                ..request(&["a.example.com"])
            },
            "InvalidTagException",
        ),
    ] {
        let answer = state.request_certificate(&new, now());
        assert_eq!(code(answer), expected, "{new:?}");
    }
    state.quotas.set("certificates", 0);
    let answer = state.request_certificate(&request(&["a.example.com"]), now());
    assert_eq!(code(answer), "LimitExceededException");
}

#[test]
fn a_token_is_good_for_an_hour() {
    let (mut state, _) = account();
    let new = NewCertificate {
        idempotency_token: Some("t".to_owned()),
        ..request(&["a.example.com"])
    };
    let first = state.request_certificate(&new, now()).unwrap();
    assert_eq!(state.request_certificate(&new, now()).unwrap(), first);
    let other = NewCertificate {
        domain_name: "b.example.com".to_owned(),
        ..new.clone()
    };
    assert_ne!(state.request_certificate(&other, now()).unwrap(), first);
    assert_ne!(state.request_certificate(&new, later(1)).unwrap(), first);
}

fn rsa() -> Pem {
    Pem {
        certificate: LEAF.to_owned(),
        private_key: LEAF_KEY.to_owned(),
        chain: None,
    }
}

fn elliptic(name: &str) -> Pem {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Pem {
        certificate: made.cert.pem(),
        private_key: made.signing_key.serialize_pem(),
        chain: None,
    }
}

#[test]
fn what_can_be_imported() {
    let (mut state, _) = account();
    let chain = |chain: &str| Pem {
        chain: Some(chain.to_owned()),
        ..rsa()
    };
    let other_key = elliptic("a.example.com").private_key;
    let refused = "ValidationException";
    for (pem, expected) in [
        (rsa(), ""),
        (chain(AUTHORITY), ""),
        (elliptic("a.example.com"), ""),
        (chain(LEAF), refused),
        (chain("x"), refused),
        (chain(&elliptic("a.example.com").certificate), refused),
        (
            Pem {
                certificate: format!("{LEAF}{AUTHORITY}"),
                ..rsa()
            },
            refused,
        ),
        (
            Pem {
                certificate: "x".to_owned(),
                ..rsa()
            },
            refused,
        ),
        (
            Pem {
                private_key: "x".to_owned(),
                ..rsa()
            },
            refused,
        ),
        (
            Pem {
                private_key: other_key,
                ..rsa()
            },
            refused,
        ),
    ] {
        let answer = state.import_certificate(None, pem, &[], now());
        assert_eq!(code(answer), expected);
    }
    let early = "2020-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(
        code(state.import_certificate(None, rsa(), &[], early)),
        refused
    );
}

#[test]
fn an_import_over_another_keeps_what_it_must() {
    let (mut state, _) = account();
    let arn = state
        .import_certificate(None, elliptic("a.example.com"), &[], now())
        .unwrap();
    let mut again = |pem: Pem, tags: &[(String, String)]| {
        code(state.import_certificate(Some(&arn), pem, tags, later(1)))
    };
    assert_eq!(again(elliptic("a.example.com"), &[]), "");
    assert_eq!(again(elliptic("b.example.com"), &[]), "ValidationException");
    assert_eq!(again(rsa(), &[]), "ValidationException");
    let tags = [("a".to_owned(), "b".to_owned())];
    assert_eq!(
        again(elliptic("a.example.com"), &tags),
        "ValidationException"
    );
    let certificate = state.certificate(&arn).unwrap();
    assert_eq!(
        (certificate.created, certificate.issued),
        (now(), Some(later(1)))
    );
    let requested = state
        .request_certificate(&request(&["a.example.com"]), now())
        .unwrap();
    let over = state.import_certificate(Some(&requested), rsa(), &[], now());
    assert_eq!(code(over), "ValidationException");
    let unknown = arn.replace("certificate/", "certificate/0");
    let over = state.import_certificate(Some(&unknown), rsa(), &[], now());
    assert_eq!(code(over), "ResourceNotFoundException");
    for wrong in ["arn:aws:acm:us-east-1:123456789012:other/x", "x"] {
        assert_eq!(code(state.certificate(wrong)), "InvalidArnException");
    }
}

#[test]
fn tags_go_with_any_value_or_with_theirs() {
    let (mut state, _) = account();
    let arn = state
        .request_certificate(&request(&["a.example.com"]), now())
        .unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    state
        .tag_certificate(&arn, &[pair("a", "1"), pair("b", "2"), pair("c", "3")])
        .unwrap();
    let gone = [
        ("a".to_owned(), None),
        ("b".to_owned(), Some("2".to_owned())),
        ("c".to_owned(), Some("x".to_owned())),
    ];
    state.untag_certificate(&arn, &gone).unwrap();
    assert_eq!(state.tags[&arn].keys().collect::<Vec<_>>(), ["c"]);
    let many: Vec<_> = (0..50).map(|n| pair(&format!("k{n}"), "")).collect();
    assert_eq!(
        code(state.tag_certificate(&arn, &many)),
        "TooManyTagsException"
    );
    assert_eq!(
        code(state.tag_certificate(&arn, &[pair("a", ""), pair("a", "")])),
        "InvalidTagException"
    );
}
