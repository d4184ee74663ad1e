//! Users who log in, at the test issuer.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::browser::{Browser, HOST_NAME, location, set_cookies};
use super::sockets::secure;
use super::world::{
    Got, Server, World, add_group, balancer_arn, fixed, forward, register, serve, set_rule,
};
use crate::state::authenticate::{Oidc, Secret, Session};
use crate::state::outside::{Issuer, Outside};
use crate::state::user_pool::PoolDomain;
use crate::state::{Action, ActionKind, State};

const ISSUER: &str = "https://idp.example.net/realms/shop";

fn oidc() -> Oidc {
    Oidc {
        issuer: ISSUER.to_owned(),
        authorization_endpoint: format!("{ISSUER}/auth"),
        token_endpoint: format!("{ISSUER}/token"),
        user_info_endpoint: format!("{ISSUER}/userinfo"),
        client_id: "alb".to_owned(),
        client_secret: Secret::new("hush".to_owned()),
        session: Session {
            cookie_name: "AWSELBAuthSessionCookie".to_owned(),
            scope: "openid email".to_owned(),
            timeout_seconds: 604_800,
            extra_parameters: BTreeMap::from([("prompt".to_owned(), "log in".to_owned())]),
            on_unauthenticated: "authenticate".to_owned(),
        },
    }
}

fn first(kind: ActionKind) -> Action {
    Action {
        order: Some(1),
        kind,
    }
}

/// Puts an action before that of a rule.
fn before(state: &mut State, path: &str, kind: ActionKind, then: Action) {
    let listener = |state: &mut State| {
        let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
        balancer.listeners.get_mut(&443).unwrap().rules.len()
    };
    let priority = 10 + u32::try_from(listener(state)).unwrap();
    set_rule(state, "web", 443, (priority, path, then));
    let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
    let rules = &mut balancer.listeners.get_mut(&443).unwrap().rules;
    let rule = rules.get_mut(&priority).unwrap();
    rule.actions.insert(0, first(kind));
}

/// A listener whose `/private*` is for users of an issuer, and a target that
/// says what it is told.
async fn private(change: impl FnOnce(&mut Oidc)) -> (World, Browser, Server) {
    let server = serve("target").await;
    let mut state = secure();
    state.outside = Outside {
        issuers: vec![Issuer::Url(ISSUER.to_owned())],
        ..Outside::default()
    };
    add_group(&mut state, "shop", "web", 443);
    register(&mut state, "shop", "10.0.48.11");
    let mut oidc = oidc();
    change(&mut oidc);
    let kind = ActionKind::AuthenticateOidc(oidc);
    before(&mut state, "/private*", kind, forward(&[("shop", 1)]));
    let (world, browser) = visited(state, &server).await;
    (world, browser, server)
}

async fn visited(state: State, server: &Server) -> (World, Browser) {
    let world = World::of(state);
    let addresses = world.plane.addresses();
    addresses
        .set("10.0.48.11:8080", Some(server.socket))
        .unwrap();
    let browser = Browser {
        balancer: world.endpoint(443).await.socket,
        issuer: world.plane.issuer().unwrap(),
        cookies: BTreeMap::new(),
    };
    (world, browser)
}

/// What the test issuer is told over its control side.
async fn settings(world: &World, body: Value) -> Got {
    use axum::body::Body;
    use axum::extract::Request;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = listener.local_addr().unwrap();
    let router = world.plane.router();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let request = Request::post("/_sim/issuer").body(Body::from(body.to_string()));
    let got = super::world::send(socket, request.unwrap()).await;
    serving.abort();
    got
}

async fn set(world: &World, body: Value) {
    let got = settings(world, body).await;
    assert_eq!(got.status, 200, "{got:?}");
}

fn told<'a>(got: &'a Got, header: &str) -> &'a str {
    let found = got.body.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        (name == header).then_some(value)
    });
    found.unwrap_or_default()
}

const PRIVATE: &str = "https://shop.example.com/private/a?x=1&y=%20";

#[tokio::test]
async fn a_user_logs_in_once_and_the_target_is_told_who_it_is() {
    let (world, mut browser, server) = private(|_| {}).await;

    let got = browser.get(PRIVATE).await;
    let to = location(&got);
    assert_eq!(got.headers["server"], "awselb/2.0");
    let (endpoint, query) = to.split_once('?').unwrap();
    assert_eq!(endpoint, format!("{ISSUER}/auth"));
    let query = crate::url_encoding::pairs(query);
    let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "client_id",
            "redirect_uri",
            "response_type",
            "scope",
            "state",
            "prompt"
        ]
    );
    assert_eq!(query[1].1, "https://shop.example.com/oauth2/idpresponse");
    assert_eq!(query[3].1, "openid email");
    assert_eq!(query[5].1, "log in");
    let nonce = set_cookies(&got.headers);
    assert_eq!(nonce.len(), 1);
    assert!(nonce[0].starts_with("AWSALBAuthNonce="), "{nonce:?}");
    assert!(
        nonce[0].ends_with("; Path=/; Secure; HttpOnly"),
        "{nonce:?}"
    );

    let callback = location(&browser.get(&to).await);
    let got = browser.get(&callback).await;
    assert_eq!(
        location(&got),
        "https://shop.example.com:443/private/a?x=1&y=%20"
    );
    let cookies = set_cookies(&got.headers);
    assert!(
        cookies[0].starts_with("AWSELBAuthSessionCookie-0="),
        "{cookies:?}"
    );
    assert!(
        cookies[0].ends_with(" GMT; Path=/; Secure; HttpOnly"),
        "{cookies:?}"
    );
    assert_eq!(server.requests.load(std::sync::atomic::Ordering::SeqCst), 0);

    let (_, got) = browser.visit(PRIVATE).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.body.contains("GET /private/a?x=1&y=%20"), "{got:?}");
    let subject = "5be86359-073c-434b-ad2d-a3932222dabe";
    assert_eq!(told(&got, "x-amzn-oidc-identity"), subject);
    assert_eq!(told(&got, "x-amzn-oidc-accesstoken").split('.').count(), 3);

    // The token is AWS's: padded, and verified by a key under its id.
    let data: Vec<&str> = told(&got, "x-amzn-oidc-data").split('.').collect();
    let json = |part: &str| -> Value {
        assert_eq!(part.len() % 4, 0, "padded");
        serde_json::from_slice(&BASE64_URL_SAFE.decode(part).unwrap()).unwrap()
    };
    let (header, claims) = (json(data[0]), json(data[1]));
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["signer"], balancer_arn("web"));
    assert_eq!(header["iss"], ISSUER);
    assert_eq!(header["client"], "alb");
    assert_eq!(claims["sub"], subject);
    assert_eq!(claims["email"], "alice@example.com");
    assert_eq!(claims["exp"], header["exp"]);
    let kid = header["kid"].as_str().unwrap();
    let url = format!("https://public-keys.auth.elb.us-east-1.amazonaws.com/{kid}");
    let pem = browser.get(&url).await;
    assert_eq!(pem.status, 200);
    let der = crate::state::x509::pem_block(&pem.body, "PUBLIC KEY").unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der[der.len() - 65..]);
    let signature = BASE64_URL_SAFE.decode(data[2]).unwrap();
    let signed = format!("{}.{}", data[0], data[1]);
    assert!(key.verify(signed.as_bytes(), &signature).is_ok());
    let unknown = url.replace(kid, "00000000-0000-0000-0000-000000000000");
    assert_eq!(browser.get(&unknown).await.status, 404);
    world.plane.stop().await;
}

#[tokio::test]
async fn sessions_end_by_their_timeout_and_no_client_makes_one_up() {
    let (world, mut browser, _server) = private(|oidc| {
        oidc.session.timeout_seconds = 600;
        oidc.session.cookie_name = "mine".to_owned();
    })
    .await;
    assert_eq!(browser.visit(PRIVATE).await.1.status, 200);
    assert!(browser.cookies.contains_key("mine-0"));
    let kept = browser.cookies.clone();
    world.state.forward(Duration::from_secs(500));
    assert_eq!(browser.get(PRIVATE).await.status, 200);
    world.state.forward(Duration::from_secs(101));
    let got = browser.get(PRIVATE).await;
    assert_eq!(got.status, 302, "it is over");
    assert!(!browser.cookies.contains_key("mine-0"), "and taken back");

    browser.cookies = kept;
    let cookie = browser.cookies.get_mut("mine-0").unwrap();
    cookie.replace_range(10..11, if &cookie[10..11] == "A" { "B" } else { "A" });
    assert_eq!(browser.get(PRIVATE).await.status, 302);
}

#[tokio::test]
async fn access_tokens_are_renewed_while_the_session_lasts() {
    let (world, mut browser, _server) = private(|_| {}).await;
    let (_, got) = browser.visit(PRIVATE).await;
    let before = told(&got, "x-amzn-oidc-accesstoken").to_owned();
    let claims = json!({"sub": "5be86359-073c-434b-ad2d-a3932222dabe", "name": "Alice New"});
    set(&world, json!({ "claims": claims })).await;
    assert_eq!(
        told(&browser.get(PRIVATE).await, "x-amzn-oidc-accesstoken"),
        before
    );
    world.state.forward(Duration::from_secs(3_601));
    let got = browser.get(PRIVATE).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(!set_cookies(&got.headers).is_empty());
    let after = told(&got, "x-amzn-oidc-accesstoken").to_owned();
    assert_ne!(after, before);
    assert_eq!(
        told(&browser.get(PRIVATE).await, "x-amzn-oidc-accesstoken"),
        after
    );

    set(&world, json!({ "token_error": "invalid_grant" })).await;
    world.state.forward(Duration::from_secs(3_601));
    let got = browser.get(PRIVATE).await;
    assert_eq!(got.status, 302, "the user has logged out there: {got:?}");
}

#[tokio::test]
async fn the_unauthenticated_are_let_through_or_denied() {
    let (_world, mut browser, server) = private(|oidc| {
        "allow".clone_into(&mut oidc.session.on_unauthenticated);
    })
    .await;
    let got = browser.get(PRIVATE).await;
    assert_eq!(got.status, 200);
    assert!(!got.body.contains("x-amzn-oidc"), "{got:?}");
    assert_eq!(server.requests.load(std::sync::atomic::Ordering::SeqCst), 1);

    let (_world, mut browser, server) = private(|oidc| {
        "deny".clone_into(&mut oidc.session.on_unauthenticated);
    })
    .await;
    let got = browser.get(PRIVATE).await;
    assert_eq!(got.status, 401);
    assert!(got.body.contains("<h1>401 Authorization Required</h1>"));
    assert_eq!(server.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_providers_get_wrong_has_its_status() {
    let (world, mut browser, _server) = private(|_| {}).await;
    let huge = json!({"sub": "a", "note": "x".repeat(12_000)});
    for (wrong, status) in [
        (json!({"error": "access_denied"}), 401),
        (json!({"error": "server_error"}), 561),
        (json!({"token_error": "invalid_client"}), 561),
        (json!({"token_error": "invalid_grant"}), 401),
        (json!({"clients": {"alb": "another secret"}}), 561),
        (json!({"user_info_error": "invalid_token"}), 561),
        (json!({"claims": huge}), 500),
    ] {
        set(&world, wrong.clone()).await;
        let (url, got) = browser.visit(PRIVATE).await;
        assert_eq!(got.status, status, "{wrong} {got:?}");
        assert!(url.contains("/oauth2/idpresponse?"), "{url}");
        let healed: Vec<String> = wrong.as_object().unwrap().keys().cloned().collect();
        set(&world, json!({ &healed[0]: null })).await;
    }
    for wrong in [
        json!({"colour": "red"}),
        json!({"error": "Not a code"}),
        json!({"claims": {"name": "nobody"}}),
    ] {
        assert_eq!(settings(&world, wrong).await.status, 400);
    }
    world.change(|state| state.outside = Outside::default());
    let (_, got) = browser.visit(PRIVATE).await;
    assert_eq!(got.status, 500, "nobody knows the issuer any more");
}

#[tokio::test]
async fn what_comes_back_has_to_be_what_was_sent() {
    let (world, mut browser, _server) = private(|_| {}).await;
    let to = location(&browser.get(PRIVATE).await);
    let callback = location(&browser.get(&to).await);
    let (path, query) = callback.split_once('?').unwrap();
    let query = crate::url_encoding::pairs(query);
    let with = |drop: &str, add: &str| {
        let left = query.iter().filter(|(name, _)| name != drop);
        let left = left.map(|(name, value)| (name.as_str(), value.as_str()));
        format!("{path}?{}{add}", crate::url_encoding::form(left))
    };
    for url in [
        with("state", ""),
        with("state", "&state=forged"),
        with("code", ""),
        with("code", "&code=forged"),
    ] {
        assert_eq!(browser.get(&url).await.status, 401, "{url}");
    }
    let cookies = std::mem::take(&mut browser.cookies);
    assert_eq!(browser.get(&callback).await.status, 401, "no nonce");
    let other = [("AWSALBAuthNonce".to_owned(), "0123456789abcdef".to_owned())];
    browser.cookies = BTreeMap::from(other);
    assert_eq!(browser.get(&callback).await.status, 401, "another nonce");
    browser.cookies = cookies.clone();
    assert_eq!(browser.get(&callback).await.status, 302);
    browser.cookies = cookies;
    assert_eq!(
        browser.get(&callback).await.status,
        401,
        "a code is good once"
    );

    let to = location(&browser.get(PRIVATE).await);
    let callback = location(&browser.get(&to).await);
    world.state.forward(Duration::from_secs(15 * 60 + 1));
    assert_eq!(browser.get(&callback).await.status, 401, "too late");
}

#[tokio::test]
async fn a_large_session_has_several_cookies() {
    let (world, mut browser, _server) = private(|_| {}).await;
    set(
        &world,
        json!({"claims": {"sub": "a", "note": "x".repeat(9_800)}}),
    )
    .await;
    let (_, got) = browser.visit(PRIVATE).await;
    assert_eq!(got.status, 200);
    assert_eq!(told(&got, "x-amzn-oidc-identity"), "a");
    let count = |browser: &Browser| {
        let parts = browser.cookies.keys();
        parts.filter(|name| name.starts_with("AWSELBAuth")).count()
    };
    assert_eq!(count(&browser), 4);
    // What is left of it after the next login, which needs less, is taken back.
    set(&world, json!({"claims": null, "refresh_tokens": false})).await;
    world.state.forward(Duration::from_secs(604_801));
    let (_, got) = browser.visit(PRIVATE).await;
    assert_eq!(got.status, 200);
    assert!(count(&browser) < 4, "{:?}", browser.cookies.keys());
}

#[tokio::test]
async fn nobody_else_tells_the_target_who_a_client_is() {
    use axum::body::Body;
    use axum::http::Request;
    let (world, _browser, _server) = private(|oidc| {
        "allow".clone_into(&mut oidc.session.on_unauthenticated);
    })
    .await;
    let request = Request::get("/private")
        .header("host", HOST_NAME)
        .header("x-amzn-oidc-identity", "root")
        .body(Body::empty());
    let socket = world.endpoint(443).await.socket;
    let config = crate::dataplane::tls::client().unwrap();
    let got = super::browser::over_tls(socket, config, HOST_NAME, request.unwrap()).await;
    assert!(!got.unwrap().body.contains("root"));
}

#[tokio::test]
async fn users_of_a_pool_log_in_at_its_domain() {
    let server = serve("target").await;
    let mut state = secure();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let pool = state
        .create_user_pool("users", serde_json::Map::new(), BTreeMap::new(), now)
        .unwrap();
    let domain = PoolDomain {
        domain: "shop-login".to_owned(),
        certificate: None,
        login_version: 1,
    };
    state.create_user_pool_domain(&pool, domain).unwrap();
    let settings = json!({
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthScopes": ["openid"],
        "CallbackURLs": ["https://shop.example.com/oauth2/idpresponse"],
        "SupportedIdentityProviders": ["COGNITO"],
    });
    let settings = settings.as_object().unwrap().clone();
    let client = state
        .create_user_pool_client(&pool, "alb", true, None, settings, now)
        .unwrap();
    let login = |scope: &str| {
        ActionKind::AuthenticateCognito(crate::state::authenticate::Cognito {
            user_pool_arn: format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{pool}"),
            user_pool_client_id: client.clone(),
            user_pool_domain: "shop-login".to_owned(),
            session: Session {
                scope: scope.to_owned(),
                extra_parameters: BTreeMap::new(),
                ..oidc().session
            },
        })
    };
    add_group(&mut state, "shop", "web", 443);
    register(&mut state, "shop", "10.0.48.11");
    before(
        &mut state,
        "/private*",
        login("openid"),
        forward(&[("shop", 1)]),
    );
    before(
        &mut state,
        "/more",
        login("openid phone"),
        fixed(200, "more"),
    );
    let (_world, mut browser) = visited(state, &server).await;
    let to = location(&browser.get(PRIVATE).await);
    let domain = "https://shop-login.auth.us-east-1.amazoncognito.com";
    assert!(
        to.starts_with(&format!("{domain}/oauth2/authorize?")),
        "{to}"
    );
    let (_, got) = browser.visit("https://shop.example.com/more").await;
    assert_eq!(got.status, 561, "a scope that the client may not have");
    let (_, got) = browser.visit(PRIVATE).await;
    assert_eq!(got.status, 200, "{got:?}");
    let data = told(&got, "x-amzn-oidc-data").split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE.decode(data).unwrap()).unwrap();
    assert_eq!(
        claims["iss"],
        format!("https://cognito-idp.us-east-1.amazonaws.com/{pool}")
    );
    assert_eq!(claims["username"], claims["sub"]);

    // Users on another host are not let back.
    let elsewhere = to.replace("shop.example.com", "other.example.com");
    assert_eq!(browser.get(&elsewhere).await.status, 400);
    let nobody = to.replace("shop-login", "nobodys");
    assert_eq!(browser.get(&nobody).await.status, 404);
}
