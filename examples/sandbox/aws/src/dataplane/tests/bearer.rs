//! Tokens of services, verified by keys of the test issuer.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::browser::{HOST_NAME, over_tls};
use super::sockets::secure;
use super::world::{Got, World, balancer_arn, fixed, send};
use crate::dataplane::tls;
use crate::state::jwt_validation::{AdditionalClaim, JwtValidation};
use crate::state::{Action, ActionKind};

fn claim(format: &str, name: &str, values: &[&str]) -> AdditionalClaim {
    AdditionalClaim {
        format: format.to_owned(),
        name: name.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

/// A listener that looks at tokens of the test issuer.
struct Guarded {
    world: World,
    control: std::net::SocketAddr,
}

impl Guarded {
    async fn by(claims: Vec<AdditionalClaim>) -> Self {
        let world = World::of(secure());
        let issuer = format!("https://localhost:{}", world.plane.issuer().unwrap().port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control = listener.local_addr().unwrap();
        let router = world.plane.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let guarded = Self { world, control };
        guarded.set(JwtValidation {
            jwks_endpoint: format!("{issuer}/keys"),
            issuer,
            additional_claims: claims,
        });
        guarded
    }

    fn set(&self, jwt: JwtValidation) {
        self.world.change(|state| {
            let balancer = state.load_balancers.get_mut(&balancer_arn("web")).unwrap();
            let listener = balancer.listeners.get_mut(&443).unwrap();
            listener.rules.clear();
            let first = Action {
                order: Some(1),
                kind: ActionKind::JwtValidation(jwt),
            };
            listener.default_actions = vec![first, fixed(200, "come in")];
        });
    }

    async fn token(&self, claims: Value) -> String {
        let body = json!({ "claims": claims }).to_string();
        let request = Request::post("/_sim/issuer/token").body(Body::from(body));
        let got = send(self.control, request.unwrap()).await;
        assert_eq!(got.status, 200, "{got:?}");
        let json: Value = serde_json::from_str(&got.body).unwrap();
        json["token"].as_str().unwrap().to_owned()
    }

    async fn with(&self, authorization: Option<&str>) -> Got {
        let mut request = Request::get("/").header("host", HOST_NAME);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let request = request.body(Body::empty()).unwrap();
        let socket = self.world.endpoint(443).await.socket;
        over_tls(socket, tls::client().unwrap(), HOST_NAME, request)
            .await
            .unwrap()
    }

    async fn status(&self, claims: Value) -> u16 {
        let token = self.token(claims).await;
        self.with(Some(&format!("Bearer {token}"))).await.status
    }
}

#[tokio::test]
async fn tokens_are_good_by_signature_issuer_and_time() {
    let guarded = Guarded::by(Vec::new()).await;
    assert_eq!(guarded.status(json!({})).await, 200);
    let good = guarded.token(json!({})).await;
    assert_eq!(
        guarded.with(Some(&format!("bearer {good}"))).await.status,
        200
    );
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, other) = guarded
        .token(json!({"sub": "x"}))
        .await
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    for wrong in [
        None,
        Some(good.clone()),
        Some(format!("Basic {good}")),
        Some("Bearer".to_owned()),
        Some("Bearer a.b.c".to_owned()),
        Some(format!("Bearer {signed}.{other}")),
    ] {
        let got = guarded.with(wrong.as_deref()).await;
        assert_eq!(got.status, 401, "{wrong:?}");
        assert_eq!(got.headers["server"], "awselb/2.0");
    }
    let now = guarded.world.state.now().as_second();
    for (claims, status) in [
        (json!({"exp": now - 1}), 401),
        (json!({"exp": null}), 401),
        (json!({"exp": "tomorrow"}), 401),
        (json!({"iss": "https://other.example.com"}), 401),
        (json!({"iss": null}), 401),
        (json!({"nbf": now + 60}), 401),
        (json!({"iat": now + 60}), 401),
        (json!({"nbf": now - 60, "iat": null}), 200),
    ] {
        assert_eq!(guarded.status(claims.clone()).await, status, "{claims}");
    }
}

#[tokio::test]
async fn further_claims_are_compared_by_their_format() {
    let guarded = Guarded::by(vec![
        claim("single-string", "tenant", &["a", "b"]),
        claim("string-array", "groups", &["admin", "dev"]),
        claim("space-separated-values", "scope", &["read", "write"]),
    ])
    .await;
    let good = json!({"tenant": "b", "groups": ["x", "dev"], "scope": "write x read"});
    assert_eq!(guarded.status(good.clone()).await, 200);
    for (claim, value) in [
        ("tenant", json!("c")),
        ("tenant", json!(["a"])),
        ("tenant", json!(null)),
        ("groups", json!(["x"])),
        ("groups", json!("admin")),
        ("groups", json!([1])),
        ("scope", json!("read")),
        ("scope", json!(["read", "write"])),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        assert_eq!(guarded.status(claims.clone()).await, 401, "{claims}");
    }
}

#[tokio::test]
async fn without_keys_nobody_comes_in() {
    let guarded = Guarded::by(Vec::new()).await;
    let token = guarded.token(json!({})).await;
    let bearer = format!("Bearer {token}");
    let issuer = format!(
        "https://localhost:{}",
        guarded.world.plane.issuer().unwrap().port()
    );
    for endpoint in [
        format!("{issuer}/userinfo"),
        "https://127.0.0.1:1/keys".to_owned(),
        "https://idp.example.com/keys".to_owned(),
    ] {
        guarded.set(JwtValidation {
            jwks_endpoint: endpoint.clone(),
            issuer: issuer.clone(),
            additional_claims: Vec::new(),
        });
        assert_eq!(guarded.with(Some(&bearer)).await.status, 500, "{endpoint}");
        assert_eq!(guarded.with(None).await.status, 401, "not asked for");
    }
    // Keys that were declared for the issuer are those that count.
    guarded.world.change(|state| {
        let declared = json!({"url": issuer, "jwks": {"keys": []}});
        state.outside.issuers = vec![serde_json::from_value(declared).unwrap()];
    });
    assert_eq!(guarded.with(Some(&bearer)).await.status, 401);
}
