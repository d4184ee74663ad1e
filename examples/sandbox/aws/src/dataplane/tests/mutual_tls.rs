//! Client certificates and security policies, through real handshakes.

use axum::body::Body;
use axum::http::Request;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::browser::over_tls;
use super::sockets::secure;
use super::world::{
    Got, Server, World, add_group, balancer_arn, forward, listener_arn, register, send, serve,
    set_rule,
};
use crate::State;
use crate::dataplane::tls;
use crate::state::listener_tls::{MutualAuthentication, Verification};
use crate::state::outside::Object;

const NAME: &str = "main.example.com";

/// An authority for clients.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a client shows.
struct Identity {
    pem: String,
    key: String,
}

fn named(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in parts {
        name.push(kind.clone(), *value);
    }
    name
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name =
            named(&[(DnType::CountryName, "US"), (DnType::CommonName, name)]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A client's certificate that lasts to the end of this year.
    fn client(&self, serial: u64, last_year: i32) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(&[
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "Shop, Inc"),
            (DnType::CommonName, "client"),
        ]);
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 12, 31);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        Identity {
            pem: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn revokes(&self, serial: u64) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2027, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A trust store of these authorities; answers its ARN.
fn trust(state: &mut State, bundle: &str, list: Option<&str>) -> String {
    let object = |key: &str| Object {
        bucket: "b".to_owned(),
        key: key.to_owned(),
        version: None,
    };
    let (ca, crl) = (object("ca"), object("crl"));
    state
        .outside
        .ca_bundles
        .insert("b/ca".to_owned(), bundle.to_owned());
    let now = jiff::Timestamp::UNIX_EPOCH;
    let arn = state.create_trust_store("clients", ca, &[], now).unwrap();
    if let Some(list) = list {
        let lists = &mut state.outside.revocation_lists;
        lists.insert("b/crl".to_owned(), list.to_owned());
        state.add_revocations(&arn, &[crl]).unwrap();
    }
    arn
}

fn verify(trust_store_arn: String) -> MutualAuthentication {
    MutualAuthentication::Verify(Verification {
        trust_store_arn,
        ignore_expiry: false,
        advertise_names: false,
        identity_filters: Vec::new(),
    })
}

fn ask_for(state: &mut State, mutual: MutualAuthentication) {
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let listener = balancer.listeners.get_mut(&443).unwrap();
    listener.mutual_authentication = Some(mutual);
}

/// A listener in front of a target that says what it is told.
async fn told(mut state: State) -> (World, Server) {
    let server = serve("target").await;
    add_group(&mut state, "shop", "web", 443);
    register(&mut state, "shop", "10.0.48.11");
    set_rule(&mut state, "web", 443, (1, "/*", forward(&[("shop", 1)])));
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    (world, server)
}

fn config(
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let trusting = tls::client().unwrap();
    let provider = trusting.crypto_provider().clone();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(tls::whatever_is_shown(provider));
    match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { pem, key }) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.unwrap(), key).unwrap()
        }
    }
}

async fn get(world: &World, identity: Option<&Identity>) -> Result<Got, String> {
    get_by(world, identity, &[&TLS13, &TLS12]).await
}

async fn get_by(
    world: &World,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Got, String> {
    let socket = world.endpoint(443).await.socket;
    let request = Request::get("/")
        .header("host", NAME)
        .header("x-amzn-mtls-clientcert-subject", "CN=root")
        .body(Body::empty())
        .unwrap();
    over_tls(socket, config(identity, versions), NAME, request).await
}

fn line<'a>(got: &'a Got, header: &str) -> Option<&'a str> {
    got.body.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        (name == header).then_some(value)
    })
}

#[tokio::test]
async fn only_who_the_trust_store_vouches_for_comes_in() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut state = secure();
    let list = ours.revokes(8);
    let arn = trust(&mut state, &ours.pem, Some(&list));
    ask_for(&mut state, verify(arn.clone()));
    let (world, _server) = told(state).await;

    let good = ours.client(0xABCD, 2050);
    let got = get(&world, Some(&good)).await.unwrap();
    assert_eq!(got.status, 200, "{got:?}");
    for (header, value) in [
        ("x-amzn-mtls-clientcert-serial-number", "ABCD"),
        ("x-amzn-mtls-clientcert-issuer", "CN=ours,C=US"),
        (
            "x-amzn-mtls-clientcert-subject",
            r"CN=client,O=Shop\, Inc,C=US",
        ),
        (
            "x-amzn-mtls-clientcert-validity",
            "NotBefore=2020-01-01T00:00:00Z;NotAfter=2050-12-31T00:00:00Z",
        ),
    ] {
        assert_eq!(line(&got, header), Some(value), "{header}");
    }
    let leaf = line(&got, "x-amzn-mtls-clientcert-leaf").unwrap();
    assert!(
        leaf.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"),
        "{leaf}"
    );
    assert!(
        leaf.ends_with("%0A-----END%20CERTIFICATE-----%0A"),
        "{leaf}"
    );
    assert_eq!(
        crate::url_encoding::percent_decode(leaf).replace("\r\n", "\n"),
        good.pem.replace("\r\n", "\n")
    );
    assert_eq!(line(&got, "x-amzn-mtls-clientcert"), None);
    assert_eq!(
        got.body.matches("x-amzn-mtls-clientcert-subject").count(),
        1
    );

    let expired = ours.client(9, 2021);
    for (who, identity) in [
        ("nobody", None),
        ("a stranger", Some(theirs.client(1, 2050))),
        ("a revoked one", Some(ours.client(8, 2050))),
    ] {
        let refused = get(&world, identity.as_ref()).await;
        assert!(refused.is_err(), "{who}: {refused:?}");
    }
    let refused = get(&world, Some(&expired)).await.unwrap_err();
    assert!(refused.contains("CertificateExpired"), "{refused}");
    assert!(get_by(&world, None, &[&TLS12]).await.is_err());

    world.change(|state| {
        let MutualAuthentication::Verify(how) = verify(arn) else {
            unreachable!()
        };
        let ignore_expiry = true;
        ask_for(
            state,
            MutualAuthentication::Verify(Verification {
                ignore_expiry,
                ..how
            }),
        );
    });
    assert_eq!(get(&world, Some(&expired)).await.unwrap().status, 200);
    let refused = get(&world, Some(&theirs.client(2, 2021))).await;
    assert!(refused.is_err(), "expired and of a stranger");
}

#[tokio::test]
async fn chains_are_passed_through_whoever_made_them() {
    let mut state = secure();
    ask_for(&mut state, MutualAuthentication::Passthrough);
    let (world, _server) = told(state).await;
    let authority = Authority::new("anybody");
    let mut stranger = authority.client(1, 2021);
    stranger.pem.push_str(&authority.pem);
    let got = get(&world, Some(&stranger)).await.unwrap();
    assert_eq!(got.status, 200);
    let chain = line(&got, "x-amzn-mtls-clientcert").unwrap();
    assert_eq!(
        crate::url_encoding::percent_decode(chain),
        stranger.pem.replace("\r\n", "\n")
    );
    assert_eq!(line(&got, "x-amzn-mtls-clientcert-subject"), None);

    let got = get(&world, None).await.unwrap();
    assert_eq!(got.status, 200, "nobody has to show one");
    assert!(!got.body.contains("x-amzn-mtls"), "{got:?}");

    let key = "routing.http.request.x_amzn_mtls_clientcert.header_name";
    world.change(|state| {
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        let attributes = &mut balancer.listeners.get_mut(&443).unwrap().attributes;
        attributes.insert(key.to_owned(), "X-Client-Chain".to_owned());
    });
    let got = get(&world, Some(&stranger)).await.unwrap();
    assert!(line(&got, "x-client-chain").is_some(), "{got:?}");

    world.change(|state| ask_for(state, MutualAuthentication::Off));
    let got = get(&world, Some(&stranger)).await.unwrap();
    assert_eq!(line(&got, "x-client-chain"), None);
}

/// Sees which names of authorities a server tells, and shows nothing.
#[derive(Debug, Default)]
struct Hints(std::sync::Mutex<Vec<usize>>);

impl rustls::client::ResolvesClientCert for Hints {
    fn resolve(
        &self,
        names: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
        self.0.lock().unwrap().push(names.len());
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn names_of_authorities_are_told_where_that_is_wanted() {
    let bundle: String = ["a", "b", "c"]
        .map(|name| Authority::new(name).pem)
        .concat();
    let mut state = secure();
    let arn = trust(&mut state, &bundle, None);
    ask_for(&mut state, verify(arn.clone()));
    let world = World::of(state);
    let hints = std::sync::Arc::new(Hints::default());
    for advertise_names in [false, true] {
        world.change(|state| {
            let MutualAuthentication::Verify(how) = verify(arn.clone()) else {
                unreachable!()
            };
            ask_for(
                state,
                MutualAuthentication::Verify(Verification {
                    advertise_names,
                    ..how
                }),
            );
        });
        let mut config = config(None, &[&TLS13]);
        config.client_auth_cert_resolver = hints.clone();
        let socket = world.endpoint(443).await.socket;
        let request = Request::get("/").body(Body::empty()).unwrap();
        assert!(over_tls(socket, config, NAME, request).await.is_err());
    }
    assert_eq!(*hints.0.lock().unwrap(), [0, 3]);
}

#[tokio::test]
async fn traces_tell_what_becomes_of_a_certificate() {
    let ours = Authority::new("ours");
    let mut state = secure();
    let arn = trust(&mut state, &ours.pem, None);
    ask_for(&mut state, verify(arn));
    let world = World::of(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = listener.local_addr().unwrap();
    let router = world.plane.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let ask = |certificate: Value| async move {
        let body = json!({
            "listener": listener_arn("web", 443),
            "host": NAME,
            "client_certificate": certificate,
        });
        let request = Request::post("/_sim/request").body(Body::from(body.to_string()));
        send(control, request.unwrap()).await
    };
    let told = |got: Got| -> Value {
        assert_eq!(got.status, 200, "{got:?}");
        serde_json::from_str(&got.body).unwrap()
    };
    let got = told(ask(json!(ours.client(1, 2050).pem)).await);
    assert_eq!(got["answer"]["status"], 200);
    let seen = &got["trace"]["client_certificate"];
    assert_eq!(seen["mode"], "verify");
    assert_eq!(seen["accepted"], true);
    assert_eq!(seen["subject"], r"CN=client,O=Shop\, Inc,C=US");
    for (certificate, why) in [
        (json!(null), "shows no certificate"),
        (json!(ours.client(1, 2021).pem), "expired"),
        (
            json!(Authority::new("theirs").client(1, 2050).pem),
            "UnknownIssuer",
        ),
    ] {
        let got = told(ask(certificate).await);
        assert_eq!(got["answer"], Value::Null);
        let reason = got["trace"]["reason"].as_str().unwrap();
        assert!(reason.starts_with("the TLS handshake fails"), "{reason}");
        assert!(reason.contains(why), "{reason}");
        assert_eq!(got["trace"]["client_certificate"]["accepted"], false);
    }
    assert_eq!(ask(json!("no PEM")).await.status, 400);
}

#[tokio::test]
async fn versions_are_those_of_the_security_policy() {
    let world = World::of(secure());
    for (policy, old, new) in [
        ("ELBSecurityPolicy-2016-08", true, false),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", true, true),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", false, true),
        ("ELBSecurityPolicy-TLS-1-0-2015-04", true, false),
        ("ELBSecurityPolicy-TLS13-1-0-2021-06", true, true),
        (
            "ELBSecurityPolicy-TLS13-1-3-RFC9151-FIPS-2023-07",
            false,
            true,
        ),
    ] {
        world.change(|state| {
            let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
            let listener = balancer.listeners.get_mut(&443).unwrap();
            listener.ssl_policy = Some(policy.to_owned());
        });
        assert_eq!(
            get_by(&world, None, &[&TLS12]).await.is_ok(),
            old,
            "{policy}"
        );
        assert_eq!(
            get_by(&world, None, &[&TLS13]).await.is_ok(),
            new,
            "{policy}"
        );
    }
}
