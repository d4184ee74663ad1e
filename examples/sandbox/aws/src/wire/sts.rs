//! Security Token Service: who calls, and temporary keys.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    params::Input,
    xml::{Xml, time},
};
use crate::state::{Answer, Refusal, State, regions::partition};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "GetCallerIdentity" => identity(input, state),
        "AssumeRole" => assume(input, state, now),
        "AssumeRoleWithWebIdentity" => assume_with_web_identity(input, state, now),
        _ => return None,
    })
}

fn identity(input: &Input, state: &State) -> Answer<Xml> {
    input.done()?;
    let mut xml = Xml::default();
    xml.leaf(
        "Arn",
        format!(
            "arn:{}:iam::{}:root",
            partition(&state.region),
            state.account
        ),
    )
    .leaf("UserId", &state.account)
    .leaf("Account", &state.account);
    Ok(xml)
}

fn assume(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let role = input.need("RoleArn")?;
    let session = input.need("RoleSessionName")?;
    let seconds = input.number("DurationSeconds")?;
    // Trust policies are not simulated, so an external id is taken as right.
    input.text("ExternalId");
    input.done()?;
    let mut xml = Xml::default();
    write_session(&mut xml, state, &role, &session, seconds, now)?;
    Ok(xml)
}

fn assume_with_web_identity(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let role = input.need("RoleArn")?;
    let session = input.need("RoleSessionName")?;
    let token = input.need("WebIdentityToken")?;
    let seconds = input.number("DurationSeconds")?;
    input.done()?;
    let claims = claims(&token).ok_or_else(|| {
        Refusal::new(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT.",
        )
    })?;
    if claims["exp"]
        .as_i64()
        .is_some_and(|exp| exp <= now.as_second())
    {
        return Err(Refusal::new(
            "ExpiredTokenException",
            "Token expired: current date/time must be before the expiration date/time",
        ));
    }
    let mut xml = Xml::default();
    write_session(&mut xml, state, &role, &session, seconds, now)?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    let audience = match &claims["aud"] {
        Value::Array(all) => all
            .first()
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    xml.leaf("SubjectFromWebIdentityToken", text("sub"))
        .leaf("Provider", text("iss"))
        .leaf("Audience", audience);
    Ok(xml)
}

/// The claims of a well-formed JWT. Its signature is not verified.
fn claims(token: &str) -> Option<Value> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, body, signature] = parts.as_slice() else {
        return None;
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    header["alg"].as_str()?;
    if decode(signature)?.is_empty() {
        return None;
    }
    let claims: Value = serde_json::from_slice(&decode(body)?).ok()?;
    claims["sub"].as_str()?;
    Some(claims)
}

fn write_session(
    xml: &mut Xml,
    state: &mut State,
    role: &str,
    session: &str,
    seconds: Option<i64>,
    now: Timestamp,
) -> Answer<()> {
    let parts: Vec<&str> = role.splitn(6, ':').collect();
    let name = match parts.as_slice() {
        ["arn", _, "iam", "", account, path] if account.len() == 12 => path
            .strip_prefix("role/")
            .map(|path| (path.rsplit('/').next().unwrap_or(path), *account)),
        _ => None,
    };
    let (name, account) =
        name.ok_or_else(|| Refusal::validation(format!("'{role}' is not a valid role ARN")))?;
    let good = session
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c));
    if !(2..=64).contains(&session.len()) || !good {
        return Err(Refusal::validation(format!(
            "The session name '{session}' is not valid"
        )));
    }
    let seconds = seconds.unwrap_or(3600);
    if !(900..=43_200).contains(&seconds) {
        return Err(Refusal::validation(
            "The duration must be from 900 to 43200 seconds",
        ));
    }
    let expiration = now
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX);
    let access_key = format!("ASIA{}", state.ids.capitals(16));
    let (secret, token) = (state.ids.hex(40), state.ids.hex(64));
    xml.nest("Credentials", |xml| {
        xml.leaf("AccessKeyId", access_key)
            .leaf("SecretAccessKey", secret)
            .leaf("SessionToken", token)
            .leaf("Expiration", time(expiration));
    });
    let id = format!("AROA{}", state.ids.capitals(16));
    let partition = partition(&state.region);
    xml.nest("AssumedRoleUser", |xml| {
        xml.leaf("AssumedRoleId", format!("{id}:{session}")).leaf(
            "Arn",
            format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}"),
        );
    });
    xml.leaf("PackedPolicySize", 0);
    Ok(())
}
