//! Cognito, as far as authenticate-cognito actions refer to it: user pools,
//! their domains and clients.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{answers::seconds, page::Paging, params::Input};
use crate::state::{
    Answer, Refusal, State,
    user_pool::{PoolClient, PoolDomain, Settings, UserPool},
};

/// Settings of a pool that are kept as they are sent.
const POOL: [&str; 23] = [
    "Policies",
    "DeletionProtection",
    "LambdaConfig",
    "AutoVerifiedAttributes",
    "AliasAttributes",
    "UsernameAttributes",
    "SmsVerificationMessage",
    "EmailVerificationMessage",
    "EmailVerificationSubject",
    "VerificationMessageTemplate",
    "SmsAuthenticationMessage",
    "MfaConfiguration",
    "UserAttributeUpdateSettings",
    "DeviceConfiguration",
    "EmailConfiguration",
    "SmsConfiguration",
    "AdminCreateUserConfig",
    "UserPoolAddOns",
    "UsernameConfiguration",
    "AccountRecoverySetting",
    "UserPoolTier",
    "KeyConfiguration",
    "IssuerConfiguration",
];

/// Settings of a client that are kept as they are sent.
const CLIENT: [&str; 19] = [
    "RefreshTokenValidity",
    "AccessTokenValidity",
    "IdTokenValidity",
    "TokenValidityUnits",
    "ReadAttributes",
    "WriteAttributes",
    "ExplicitAuthFlows",
    "SupportedIdentityProviders",
    "CallbackURLs",
    "LogoutURLs",
    "DefaultRedirectURI",
    "AllowedOAuthFlows",
    "AllowedOAuthScopes",
    "AllowedOAuthFlowsUserPoolClient",
    "PreventUserExistenceErrors",
    "EnableTokenRevocation",
    "EnablePropagateAdditionalUserContextData",
    "AuthSessionValidity",
    "RefreshTokenRotation",
];

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    Some(match action {
        "CreateUserPool" => create_pool(input, state, now),
        "DescribeUserPool" => describe_pool(input, state),
        "UpdateUserPool" => update_pool(input, state, now),
        "DeleteUserPool" => delete_pool(input, state),
        "ListUserPools" => list_pools(input, state),
        "CreateUserPoolDomain" => create_domain(input, state),
        "DescribeUserPoolDomain" => describe_domain(input, state),
        "UpdateUserPoolDomain" => update_domain(input, state),
        "DeleteUserPoolDomain" => delete_domain(input, state),
        "CreateUserPoolClient" => create_client(input, state, now),
        "DescribeUserPoolClient" => describe_client(input, state),
        "UpdateUserPoolClient" => update_client(input, state, now),
        "DeleteUserPoolClient" => delete_client(input, state),
        "ListUserPoolClients" => list_clients(input, state),
        "TagResource" => tag(input, state),
        "UntagResource" => untag(input, state),
        "ListTagsForResource" => list_tags(input, state),
        _ => return None,
    })
}

fn settings(input: &Input, names: &[&str]) -> Settings {
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), input.whole(name)?.clone())))
        .collect()
}

fn pool_id(input: &Input) -> Answer<String> {
    input.need("UserPoolId")
}

fn write_pool(state: &State, pool: &UserPool) -> Value {
    let mut answer = Value::Object(pool.settings.clone());
    answer["Id"] = json!(pool.id);
    answer["Name"] = json!(pool.name);
    answer["Arn"] = json!(pool.arn);
    answer["CreationDate"] = seconds(pool.created);
    answer["LastModifiedDate"] = seconds(pool.modified);
    answer["EstimatedNumberOfUsers"] = json!(0);
    let tags = state.tags.get(&pool.arn).filter(|tags| !tags.is_empty());
    if let Some(tags) = tags {
        answer["UserPoolTags"] = json!(tags);
    }
    if let Some(domain) = &pool.domain {
        let name = if domain.certificate.is_some() {
            "CustomDomain"
        } else {
            "Domain"
        };
        answer[name] = json!(domain.domain);
    }
    answer
}

fn create_pool(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let name = input.need("PoolName")?;
    let mut given = settings(input, &POOL);
    if let Some(schema) = input.whole("Schema") {
        given.insert("SchemaAttributes".to_owned(), schema.clone());
    }
    let tags = input.map("UserPoolTags");
    input.done()?;
    let id = state.create_user_pool(&name, given, tags, now)?;
    Ok(json!({ "UserPool": write_pool(state, state.user_pool(&id)?) }))
}

fn describe_pool(input: &Input, state: &State) -> Answer<Value> {
    let id = pool_id(input)?;
    input.done()?;
    Ok(json!({ "UserPool": write_pool(state, state.user_pool(&id)?) }))
}

fn update_pool(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let id = pool_id(input)?;
    let given = settings(input, &POOL);
    let tags = input.has("UserPoolTags").then(|| input.map("UserPoolTags"));
    input.done()?;
    state.update_user_pool(&id, given, tags, now)?;
    Ok(json!({}))
}

fn delete_pool(input: &Input, state: &mut State) -> Answer<Value> {
    let id = pool_id(input)?;
    input.done()?;
    state.delete_user_pool(&id)?;
    Ok(json!({}))
}

fn list_pools(input: &Input, state: &State) -> Answer<Value> {
    let paging = Paging::read(input, "MaxResults", "NextToken", 60)?;
    input.done()?;
    let page = paging.cut(input, state.user_pools.values(), |pool| pool.id.clone())?;
    Ok(page.answer("NextToken", |items| {
        let shown = items.into_iter().map(|pool| {
            json!({
                "Id": pool.id,
                "Name": pool.name,
                "LambdaConfig": pool.settings.get("LambdaConfig").unwrap_or(&json!({})),
                "CreationDate": seconds(pool.created),
                "LastModifiedDate": seconds(pool.modified),
            })
        });
        json!({ "UserPools": shown.collect::<Value>() })
    }))
}

fn create_domain(input: &Input, state: &mut State) -> Answer<Value> {
    let id = pool_id(input)?;
    let custom = input.part("CustomDomainConfig");
    let domain = PoolDomain {
        domain: input.need("Domain")?,
        certificate: custom.text("CertificateArn"),
        login_version: input.number("ManagedLoginVersion")?.unwrap_or(1),
    };
    input.done()?;
    let mut answer = json!({ "ManagedLoginVersion": domain.login_version });
    if domain.certificate.is_some() {
        answer["CloudFrontDomain"] = json!(distribution(&domain.domain));
    }
    state.create_user_pool_domain(&id, domain)?;
    Ok(answer)
}

fn update_domain(input: &Input, state: &mut State) -> Answer<Value> {
    let id = pool_id(input)?;
    let domain = input.need("Domain")?;
    let certificate = input.part("CustomDomainConfig").text("CertificateArn");
    let version = input.number("ManagedLoginVersion")?;
    input.done()?;
    let own = state.update_user_pool_domain(&id, &domain, certificate, version)?;
    let mut answer = json!({ "ManagedLoginVersion": own.login_version });
    if own.certificate.is_some() {
        answer["CloudFrontDomain"] = json!(distribution(&domain));
    }
    Ok(answer)
}

/// The distribution behind a domain of one's own.
fn distribution(domain: &str) -> String {
    let letters: String = domain
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .take(13)
        .map(char::from)
        .collect();
    format!("d{letters}.cloudfront.net")
}

/// A domain that nobody has is described by nothing.
fn describe_domain(input: &Input, state: &State) -> Answer<Value> {
    let domain = input.need("Domain")?;
    input.done()?;
    let Some((pool, own)) = state.pool_of_domain(&domain) else {
        return Ok(json!({ "DomainDescription": {} }));
    };
    let mut description = json!({
        "UserPoolId": pool.id,
        "AWSAccountId": state.account,
        "Domain": own.domain,
        "Status": "ACTIVE",
        "ManagedLoginVersion": own.login_version,
    });
    if let Some(certificate) = &own.certificate {
        description["CustomDomainConfig"] = json!({ "CertificateArn": certificate });
        description["CloudFrontDistribution"] = json!(distribution(&own.domain));
    }
    Ok(json!({ "DomainDescription": description }))
}

fn delete_domain(input: &Input, state: &mut State) -> Answer<Value> {
    let id = pool_id(input)?;
    let domain = input.need("Domain")?;
    input.done()?;
    state.delete_user_pool_domain(&id, &domain)?;
    Ok(json!({}))
}

fn write_client(pool: &str, client: &PoolClient) -> Value {
    let mut answer = Value::Object(client.settings.clone());
    answer["UserPoolId"] = json!(pool);
    answer["ClientId"] = json!(client.id);
    answer["ClientName"] = json!(client.name);
    answer["CreationDate"] = seconds(client.created);
    answer["LastModifiedDate"] = seconds(client.modified);
    if let Some(secret) = &client.secret {
        answer["ClientSecret"] = json!(secret);
    }
    json!({ "UserPoolClient": answer })
}

fn create_client(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let pool = pool_id(input)?;
    let name = input.need("ClientName")?;
    let generate = input.flag("GenerateSecret")?.unwrap_or_default();
    let secret = input.text("ClientSecret");
    let given = settings(input, &CLIENT);
    input.done()?;
    let id = state.create_user_pool_client(&pool, &name, generate, secret, given, now)?;
    Ok(write_client(&pool, state.user_pool_client(&pool, &id)?))
}

fn describe_client(input: &Input, state: &State) -> Answer<Value> {
    let pool = pool_id(input)?;
    let id = input.need("ClientId")?;
    input.done()?;
    Ok(write_client(&pool, state.user_pool_client(&pool, &id)?))
}

fn update_client(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let pool = pool_id(input)?;
    let id = input.need("ClientId")?;
    let name = input.text("ClientName");
    let given = settings(input, &CLIENT);
    input.done()?;
    state.update_user_pool_client(&pool, &id, name, given, now)?;
    Ok(write_client(&pool, state.user_pool_client(&pool, &id)?))
}

fn delete_client(input: &Input, state: &mut State) -> Answer<Value> {
    let pool = pool_id(input)?;
    let id = input.need("ClientId")?;
    input.done()?;
    state.delete_user_pool_client(&pool, &id)?;
    Ok(json!({}))
}

fn list_clients(input: &Input, state: &State) -> Answer<Value> {
    let pool = pool_id(input)?;
    let paging = Paging::read(input, "MaxResults", "NextToken", 60)?;
    input.done()?;
    let clients = state.user_pool(&pool)?.clients.values();
    let page = paging.cut(input, clients, |client| client.id.clone())?;
    Ok(page.answer("NextToken", |items| {
        let shown = items.into_iter()
        .map(|client| {
            json!({ "ClientId": client.id, "UserPoolId": pool, "ClientName": client.name })
        });
        json!({ "UserPoolClients": shown.collect::<Value>() })
    }))
}

/// The ARN of a pool that exists.
fn pool_arn(input: &Input, state: &State) -> Answer<String> {
    let arn = input.need("ResourceArn")?;
    let known = state.user_pools.values().any(|pool| pool.arn == arn);
    if known {
        return Ok(arn);
    }
    Err(Refusal::new(
        "ResourceNotFoundException",
        format!("User pool {arn} does not exist."),
    ))
}

fn tag(input: &Input, state: &mut State) -> Answer<Value> {
    let arn = pool_arn(input, state)?;
    let tags = input.map("Tags");
    input.done()?;
    state.tag_user_pool(&arn, tags)?;
    Ok(json!({}))
}

fn untag(input: &Input, state: &mut State) -> Answer<Value> {
    let arn = pool_arn(input, state)?;
    let keys = input.texts("TagKeys");
    input.done()?;
    if let Some(tags) = state.tags.get_mut(&arn) {
        tags.retain(|key, _| !keys.contains(key));
    }
    Ok(json!({}))
}

fn list_tags(input: &Input, state: &State) -> Answer<Value> {
    let arn = pool_arn(input, state)?;
    input.done()?;
    Ok(json!({ "Tags": state.tags.get(&arn).cloned().unwrap_or_default() }))
}
