//! User pools of Cognito with their domains and clients, as far as an
//! authenticate-cognito action refers to them. Settings that only read back are
//! kept as they were sent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Answer, Refusal, State, regions::partition};

/// Settings by their names.
pub type Settings = Map<String, Value>;

/// Letters and digits as in the ids of Cognito.
const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Scopes that every pool has.
const SCOPES: [&str; 5] = [
    "openid",
    "email",
    "phone",
    "profile",
    "aws.cognito.signin.user.admin",
];

/// A user pool.
#[derive(Debug, Clone, PartialEq)]
pub struct UserPool {
    /// `REGION_…`.
    pub id: String,
    /// Name.
    pub name: String,
    /// `arn:aws:cognito-idp:REGION:ACCOUNT:userpool/ID`.
    pub arn: String,
    /// Settings with their defaults.
    pub settings: Settings,
    /// Domain.
    pub domain: Option<PoolDomain>,
    /// Clients by id.
    pub clients: BTreeMap<String, PoolClient>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed.
    pub modified: Timestamp,
}

/// The domain of a user pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolDomain {
    /// A prefix, or a name of one's own.
    pub domain: String,
    /// Certificate of a name of one's own.
    pub certificate: Option<String>,
    /// Version of the login pages.
    pub login_version: u8,
}

/// A client of a user pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolClient {
    /// 26 letters and digits.
    pub id: String,
    /// Name.
    pub name: String,
    /// Secret, if it has one.
    pub secret: Option<String>,
    /// Settings with their defaults.
    pub settings: Settings,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed.
    pub modified: Timestamp,
}

impl State {
    /// A user pool by id, or `ResourceNotFoundException`.
    pub fn user_pool(&self, id: &str) -> Answer<&UserPool> {
        self.user_pools.get(id).ok_or_else(|| no_pool(id))
    }

    fn user_pool_mut(&mut self, id: &str) -> Answer<&mut UserPool> {
        self.user_pools.get_mut(id).ok_or_else(|| no_pool(id))
    }

    /// CreateUserPool: answers the id.
    pub fn create_user_pool(
        &mut self,
        name: &str,
        mut settings: Settings,
        tags: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Answer<String> {
        let given = |name: &str| {
            settings
                .get(name)
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty())
        };
        if given("AliasAttributes") && given("UsernameAttributes") {
            return Err(parameter(
                "Only one of aliasAttributes or usernameAttributes can be set in a user pool.",
            ));
        }
        self.check_pool_tags(&tags)?;
        let most = self.quotas.limit("user-pools");
        if self.user_pools.len() >= most {
            return Err(Refusal::new(
                "LimitExceededException",
                format!("Limit of {most} user pools exceeded for this account."),
            ));
        }
        for (name, value) in [
            ("DeletionProtection", json!("INACTIVE")),
            ("LambdaConfig", json!({})),
            ("MfaConfiguration", json!("OFF")),
            ("UserPoolTier", json!("ESSENTIALS")),
            (
                "EmailConfiguration",
                json!({ "EmailSendingAccount": "COGNITO_DEFAULT" }),
            ),
            (
                "AdminCreateUserConfig",
                json!({ "AllowAdminCreateUserOnly": false, "UnusedAccountValidityDays": 7 }),
            ),
            (
                "VerificationMessageTemplate",
                json!({ "DefaultEmailOption": "CONFIRM_WITH_CODE" }),
            ),
        ] {
            settings.entry(name).or_insert(value);
        }
        let policies = settings.entry("Policies").or_insert(json!({}));
        for (name, value) in [
            ("MinimumLength", json!(8)),
            ("RequireUppercase", json!(true)),
            ("RequireLowercase", json!(true)),
            ("RequireNumbers", json!(true)),
            ("RequireSymbols", json!(true)),
            ("TemporaryPasswordValidityDays", json!(7)),
        ] {
            let password = &mut policies["PasswordPolicy"];
            if password.get(name).is_none() {
                password[name] = value;
            }
        }
        let id = format!("{}_{}", self.region, self.ids.alphanumeric(9));
        let arn = format!(
            "arn:{}:cognito-idp:{}:{}:userpool/{id}",
            partition(&self.region),
            self.region,
            self.account
        );
        let pool = UserPool {
            id: id.clone(),
            name: name.to_owned(),
            arn: arn.clone(),
            settings,
            domain: None,
            clients: BTreeMap::new(),
            created: now,
            modified: now,
        };
        self.user_pools.insert(id.clone(), pool);
        self.tags.insert(arn, tags);
        Ok(id)
    }

    /// DeleteUserPool: refused while it is protected or has a domain.
    pub fn delete_user_pool(&mut self, id: &str) -> Answer<()> {
        let pool = self.user_pool(id)?;
        if pool.settings.get("DeletionProtection") == Some(&json!("ACTIVE")) {
            return Err(parameter(
                "The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first.",
            ));
        }
        if pool.domain.is_some() {
            return Err(parameter(
                "User pool cannot be deleted. It has a domain configured that should be deleted first.",
            ));
        }
        let arn = pool.arn.clone();
        self.user_pools.remove(id);
        self.tags.remove(&arn);
        Ok(())
    }

    /// UpdateUserPool: settings that are given replace those that were, and so
    /// do tags.
    pub fn update_user_pool(
        &mut self,
        id: &str,
        settings: Settings,
        tags: Option<BTreeMap<String, String>>,
        now: Timestamp,
    ) -> Answer<()> {
        let arn = self.user_pool(id)?.arn.clone();
        if let Some(tags) = tags {
            self.check_pool_tags(&tags)?;
            self.tags.insert(arn, tags);
        }
        let pool = self.user_pool_mut(id)?;
        pool.settings.extend(settings);
        pool.modified = now;
        Ok(())
    }

    /// TagResource of Cognito, by the ARN of a pool that exists.
    pub fn tag_user_pool(&mut self, arn: &str, tags: BTreeMap<String, String>) -> Answer<()> {
        let mut after = self.tags.get(arn).cloned().unwrap_or_default();
        after.extend(tags);
        self.check_pool_tags(&after)?;
        self.tags.insert(arn.to_owned(), after);
        Ok(())
    }

    fn check_pool_tags(&self, tags: &BTreeMap<String, String>) -> Answer<()> {
        for (key, value) in tags {
            super::tags::check_lengths(key, value).map_err(parameter)?;
        }
        let most = self.quotas.limit("tags-per-resource");
        if tags.len() > most {
            return Err(parameter(format!(
                "A user pool can have at most {most} tags."
            )));
        }
        Ok(())
    }

    /// CreateUserPoolDomain.
    pub fn create_user_pool_domain(&mut self, pool: &str, domain: PoolDomain) -> Answer<()> {
        self.user_pool(pool)?;
        let custom = domain.certificate.is_some();
        let reserved = ["aws", "amazon", "cognito"];
        if !custom
            && (domain.domain.contains('.')
                || reserved.iter().any(|word| domain.domain.contains(word)))
        {
            return Err(parameter(format!(
                "The domain {} is not valid: it is reserved, or a custom domain without a certificate.",
                domain.domain
            )));
        }
        if let Some(certificate) = &domain.certificate {
            self.check_domain_certificate(certificate)?;
        }
        if self.pool_of_domain(&domain.domain).is_some() {
            return Err(parameter(
                "Domain already associated with another user pool.",
            ));
        }
        let pool = self.user_pool_mut(pool)?;
        if pool.domain.is_some() {
            return Err(parameter("User pool already has a domain configured."));
        }
        pool.domain = Some(domain);
        Ok(())
    }

    /// UpdateUserPoolDomain: another certificate or version of the login pages.
    pub fn update_user_pool_domain(
        &mut self,
        pool: &str,
        domain: &str,
        certificate: Option<String>,
        login_version: Option<u8>,
    ) -> Answer<&PoolDomain> {
        if let Some(certificate) = &certificate {
            self.check_domain_certificate(certificate)?;
        }
        let own = self.user_pool_mut(pool)?.domain.as_mut();
        let own = own
            .filter(|own| own.domain == domain)
            .ok_or_else(|| parameter("No such domain or user pool exists."))?;
        if let Some(certificate) = certificate {
            if own.certificate.is_none() {
                return Err(parameter("A prefix domain has no certificate."));
            }
            own.certificate = Some(certificate);
        }
        if let Some(version) = login_version {
            own.login_version = version;
        }
        Ok(own)
    }

    fn check_domain_certificate(&self, arn: &str) -> Answer<()> {
        let known = self.certificates.get(arn);
        if known.is_none_or(|known| known.issued.is_none()) {
            return Err(parameter(format!(
                "The certificate {arn} does not exist or is not issued."
            )));
        }
        Ok(())
    }

    /// The pool that has a domain.
    pub fn pool_of_domain(&self, domain: &str) -> Option<(&UserPool, &PoolDomain)> {
        self.user_pools.values().find_map(|pool| {
            let own = pool.domain.as_ref()?;
            (own.domain == domain).then_some((pool, own))
        })
    }

    /// DeleteUserPoolDomain.
    pub fn delete_user_pool_domain(&mut self, pool: &str, domain: &str) -> Answer<()> {
        let pool = self.user_pools.get_mut(pool);
        match pool {
            Some(pool) if pool.domain.as_ref().is_some_and(|own| own.domain == domain) => {
                pool.domain = None;
                Ok(())
            }
            _ => Err(parameter("No such domain or user pool exists.")),
        }
    }

    /// A client of a pool, or `ResourceNotFoundException`.
    pub fn user_pool_client(&self, pool: &str, id: &str) -> Answer<&PoolClient> {
        self.user_pool(pool)?
            .clients
            .get(id)
            .ok_or_else(|| no_client(id))
    }

    /// CreateUserPoolClient: answers the id.
    pub fn create_user_pool_client(
        &mut self,
        pool: &str,
        name: &str,
        generate_secret: bool,
        secret: Option<String>,
        mut settings: Settings,
        now: Timestamp,
    ) -> Answer<String> {
        self.user_pool(pool)?;
        if generate_secret && secret.is_some() {
            return Err(parameter(
                "GenerateSecret and ClientSecret cannot be specified together.",
            ));
        }
        check_client(&settings, generate_secret || secret.is_some())?;
        with_defaults(&mut settings);
        let id = self.ids.of(SMALL, 26);
        let secret = match secret {
            None if generate_secret => Some(self.ids.of(SMALL, 51)),
            secret => secret,
        };
        let client = PoolClient {
            id: id.clone(),
            name: name.to_owned(),
            secret,
            settings,
            created: now,
            modified: now,
        };
        self.user_pool_mut(pool)?.clients.insert(id.clone(), client);
        Ok(id)
    }

    /// UpdateUserPoolClient: what is not given goes back to its default.
    pub fn update_user_pool_client(
        &mut self,
        pool: &str,
        id: &str,
        name: Option<String>,
        mut settings: Settings,
        now: Timestamp,
    ) -> Answer<()> {
        let secret = self.user_pool_client(pool, id)?.secret.is_some();
        check_client(&settings, secret)?;
        with_defaults(&mut settings);
        let clients = &mut self.user_pool_mut(pool)?.clients;
        let client = clients.get_mut(id).ok_or_else(|| no_client(id))?;
        client.settings = settings;
        client.modified = now;
        if let Some(name) = name {
            client.name = name;
        }
        Ok(())
    }

    /// DeleteUserPoolClient.
    pub fn delete_user_pool_client(&mut self, pool: &str, id: &str) -> Answer<()> {
        self.user_pool_client(pool, id)?;
        self.user_pool_mut(pool)?.clients.remove(id);
        Ok(())
    }
}

fn with_defaults(settings: &mut Settings) {
    for (name, value) in [
        ("RefreshTokenValidity", json!(30)),
        ("TokenValidityUnits", json!({})),
        ("EnableTokenRevocation", json!(true)),
        ("EnablePropagateAdditionalUserContextData", json!(false)),
        ("AuthSessionValidity", json!(3)),
        ("AllowedOAuthFlowsUserPoolClient", json!(false)),
    ] {
        settings.entry(name).or_insert(value);
    }
}

/// Whether the settings of a client fit each other.
fn check_client(settings: &Settings, has_secret: bool) -> Answer<()> {
    let texts = |name: &str| -> Vec<&str> {
        let list = settings.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let (flows, scopes) = (texts("AllowedOAuthFlows"), texts("AllowedOAuthScopes"));
    let callbacks = texts("CallbackURLs");
    let flow = |text: &str| Err(Refusal::new("InvalidOAuthFlowException", text));
    let oauth = settings.get("AllowedOAuthFlowsUserPoolClient") == Some(&json!(true));
    if oauth && (flows.is_empty() || scopes.is_empty()) {
        return flow(
            "AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows.",
        );
    }
    if flows.contains(&"client_credentials") {
        if flows.len() > 1 {
            return flow(
                "client_credentials flow can not be selected along with code flow or implicit flow.",
            );
        }
        if !has_secret {
            return flow(
                "client_credentials flow can not be selected if client does not have a client secret.",
            );
        }
    }
    if let Some(scope) = scopes.iter().find(|scope| !SCOPES.contains(scope)) {
        return Err(Refusal::new(
            "ScopeDoesNotExistException",
            format!("The scope {scope} does not exist."),
        ));
    }
    for url in callbacks.iter().chain(&texts("LogoutURLs")) {
        let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
        let plain = url.starts_with("http://") && !local.iter().any(|start| url.starts_with(start));
        if plain || !url.contains(':') || url.contains('#') {
            return Err(parameter(format!(
                "{url} is not a valid URL: it must be absolute, without a fragment, and use HTTPS except on localhost."
            )));
        }
    }
    if let Some(uri) = settings.get("DefaultRedirectURI").and_then(Value::as_str)
        && !callbacks.contains(&uri)
    {
        return Err(parameter(
            "DefaultRedirectURI must be in the CallbackURLs list.",
        ));
    }
    let providers = texts("SupportedIdentityProviders");
    if let Some(provider) = providers.iter().find(|provider| **provider != "COGNITO") {
        return Err(parameter(format!(
            "The provider {provider} does not exist for this user pool."
        )));
    }
    Ok(())
}

fn no_pool(id: &str) -> Refusal {
    Refusal::new(
        "ResourceNotFoundException",
        format!("User pool {id} does not exist."),
    )
}

fn no_client(id: &str) -> Refusal {
    Refusal::new(
        "ResourceNotFoundException",
        format!("User pool client {id} does not exist."),
    )
}

fn parameter(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterException", text)
}

#[cfg(test)]
mod tests;
