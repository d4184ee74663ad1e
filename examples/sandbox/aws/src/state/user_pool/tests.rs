//! User pools of the pure state.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::Timing;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn account() -> (State, String) {
    let mut state = State::new("123456789012", "eu-west-1", Timing::default());
    let pool = state
        .create_user_pool("people", Settings::new(), BTreeMap::new(), NOW)
        .unwrap();
    (state, pool)
}

fn settings(value: Value) -> Settings {
    value.as_object().cloned().unwrap()
}

fn code<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    answer.map_or_else(|refusal| refusal.code.to_string(), |_| String::new())
}

#[test]
fn a_pool_goes_when_nothing_holds_it() {
    let (mut state, pool) = account();
    assert!(pool.starts_with("eu-west-1_"));
    let domain = |domain: &str| PoolDomain {
        domain: domain.to_owned(),
        certificate: None,
        login_version: 1,
    };
    assert_eq!(
        code(state.create_user_pool_domain(&pool, domain("my-aws"))),
        "InvalidParameterException"
    );
    state
        .create_user_pool_domain(&pool, domain("people"))
        .unwrap();
    assert_eq!(
        code(state.create_user_pool_domain(&pool, domain("other"))),
        "InvalidParameterException"
    );
    assert_eq!(
        code(state.delete_user_pool(&pool)),
        "InvalidParameterException"
    );
    assert_eq!(
        code(state.delete_user_pool_domain(&pool, "x")),
        "InvalidParameterException"
    );
    state.delete_user_pool_domain(&pool, "people").unwrap();
    let protect = |word: &str| settings(json!({ "DeletionProtection": word }));
    state
        .update_user_pool(&pool, protect("ACTIVE"), None, NOW)
        .unwrap();
    assert_eq!(
        code(state.delete_user_pool(&pool)),
        "InvalidParameterException"
    );
    state
        .update_user_pool(&pool, protect("INACTIVE"), None, NOW)
        .unwrap();
    state.delete_user_pool(&pool).unwrap();
    assert_eq!(
        code(state.delete_user_pool(&pool)),
        "ResourceNotFoundException"
    );
}

#[test]
fn settings_of_a_client_fit_each_other() {
    let (mut state, pool) = account();
    let code_flow = json!({
        "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": ["openid"],
        "CallbackURLs": ["https://a.example.com/oauth2/idpresponse"],
    });
    let mut create = |value: Value, secret: bool| {
        code(state.create_user_pool_client(&pool, "web", secret, None, settings(value), NOW))
    };
    assert_eq!(create(code_flow, true), "");
    let oauth = json!({ "AllowedOAuthFlowsUserPoolClient": true });
    assert_eq!(create(oauth, false), "InvalidOAuthFlowException");
    let credentials = json!({ "AllowedOAuthFlows": ["client_credentials"] });
    assert_eq!(
        create(credentials.clone(), false),
        "InvalidOAuthFlowException"
    );
    assert_eq!(create(credentials, true), "");
    let both = json!({ "AllowedOAuthFlows": ["client_credentials", "code"] });
    assert_eq!(create(both, true), "InvalidOAuthFlowException");
    let scope = json!({ "AllowedOAuthScopes": ["mine/read"] });
    assert_eq!(create(scope, false), "ScopeDoesNotExistException");
    for wrong in [
        json!({ "CallbackURLs": ["http://a.example.com"] }),
        json!({ "CallbackURLs": ["https://a.example.com#x"] }),
        json!({ "CallbackURLs": [], "DefaultRedirectURI": "https://a.example.com" }),
        json!({ "SupportedIdentityProviders": ["Google"] }),
    ] {
        assert_eq!(create(wrong, false), "InvalidParameterException");
    }
    assert_eq!(
        create(
            json!({ "CallbackURLs": ["http://localhost:8080/x"] }),
            false
        ),
        ""
    );
}

#[test]
fn secrets_and_ids_of_clients() {
    let (mut state, pool) = account();
    let mut create = |generate, secret| {
        state.create_user_pool_client(&pool, "web", generate, secret, Settings::new(), NOW)
    };
    assert_eq!(
        code(create(true, Some("x".repeat(24)))),
        "InvalidParameterException"
    );
    let without = create(false, None).unwrap();
    let with = create(true, None).unwrap();
    assert_eq!(
        state.user_pool_client(&pool, &without).unwrap().secret,
        None
    );
    let client = state.user_pool_client(&pool, &with).unwrap();
    assert_eq!(client.id.len(), 26);
    assert_eq!(client.secret.as_ref().unwrap().len(), 51);
    assert_eq!(client.settings["RefreshTokenValidity"], 30);
    assert_eq!(
        code(state.user_pool_client(&pool, "x")),
        "ResourceNotFoundException"
    );
    assert_eq!(
        code(state.user_pool_client("eu-west-1_x", &with)),
        "ResourceNotFoundException"
    );
    state.delete_user_pool_client(&pool, &with).unwrap();
    assert_eq!(
        code(state.delete_user_pool_client(&pool, &with)),
        "ResourceNotFoundException"
    );
}
