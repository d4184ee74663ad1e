//! Whom the test issuer plays for a host.

use serde_json::Value;

use super::Issuer;
use crate::State;
use crate::state::outside::Issuer as Outside;
use crate::state::user_pool::{PoolClient, UserPool};

/// An issuer that is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Realm {
    /// As in the claim `iss`.
    pub(super) issuer: String,
    /// Id of the user pool, if it is one.
    pub(super) pool: Option<String>,
}

/// A client of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// `None` where any will do.
    pub(super) secret: Option<String>,
    /// Where users may be sent back to; anywhere if `None`.
    pub(super) callbacks: Option<Vec<String>>,
    /// What may be asked for; anything if `None`.
    pub(super) scopes: Option<Vec<String>>,
    /// Whether it may have codes.
    pub(super) codes: bool,
}

/// Whether a host is the domain of a user pool.
pub(crate) fn has_domain(states: &[&State], host: &str) -> bool {
    pool_of(states, host).is_some()
}

fn pool_of<'a>(states: &[&'a State], host: &str) -> Option<&'a UserPool> {
    let declared = |state: &&'a State| {
        let prefix = host
            .strip_suffix(".amazoncognito.com")
            .and_then(|rest| rest.strip_suffix(&state.region))
            .and_then(|rest| rest.strip_suffix(".auth."));
        let found = state.pool_of_domain(prefix.unwrap_or(host));
        found.map(|(pool, _)| pool)
    };
    states.iter().find_map(declared)
}

impl Issuer {
    /// Whom it plays for an authority; `None` for a domain that no pool has.
    pub(super) fn realm(&self, authority: &str) -> Option<Realm> {
        let host = authority.split(':').next().unwrap_or_default();
        self.state.everywhere(|states| {
            if let Some(pool) = pool_of(states, host) {
                let region = pool.id.split('_').next().unwrap_or_default();
                return Some(Realm {
                    issuer: format!("https://cognito-idp.{region}.amazonaws.com/{}", pool.id),
                    pool: Some(pool.id.clone()),
                });
            }
            if host.ends_with(".amazoncognito.com") {
                return None;
            }
            let outside = &states.first()?.outside;
            let origin = format!("https://{authority}");
            let within = |url: &&str| {
                let rest = url.strip_prefix(&origin);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let declared = outside.issuers.iter().map(Outside::url);
            let issuer = declared.filter(within).max_by_key(|url| url.len());
            Some(Realm {
                issuer: issuer.map_or(origin.clone(), str::to_owned),
                pool: None,
            })
        })
    }

    /// A client; `None` when there is none of this id.
    pub(super) fn client(&self, realm: &Realm, id: &str) -> Option<Client> {
        let Some(pool) = &realm.pool else {
            let memory = self.memory();
            let clients = &memory.settings.clients;
            if !clients.is_empty() && !clients.contains_key(id) {
                return None;
            }
            return Some(Client {
                secret: clients.get(id).cloned(),
                callbacks: None,
                scopes: None,
                codes: true,
            });
        };
        self.state.everywhere(|states| {
            let mut pools = states.iter();
            let pool = pools.find_map(|state| state.user_pools.get(pool))?;
            Some(Client::from(pool.clients.get(id)?))
        })
    }
}

impl From<&PoolClient> for Client {
    fn from(client: &PoolClient) -> Self {
        let texts = |name: &str| -> Vec<String> {
            let list = client.settings.get(name).and_then(Value::as_array);
            let list = list.into_iter().flatten().filter_map(Value::as_str);
            list.map(str::to_owned).collect()
        };
        let allowed = client.settings.get("AllowedOAuthFlowsUserPoolClient");
        Self {
            secret: client.secret.clone(),
            callbacks: Some(texts("CallbackURLs")),
            scopes: Some(texts("AllowedOAuthScopes")),
            codes: allowed == Some(&Value::Bool(true))
                && texts("AllowedOAuthFlows").iter().any(|flow| flow == "code"),
        }
    }
}
