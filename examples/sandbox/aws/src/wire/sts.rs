//! Security Token Service: who calls, and temporary keys.

use std::{cell::Cell, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    params::Input,
    service::Service,
    web_token::WebToken,
    xml::{Xml, time},
};
use crate::{
    authorization::{self, Denial, Reason, Wish, check_policy},
    callers::{Caller, Callers, Key, Role, Session},
    state::{Answer, Refusal, State, ids::Ids, regions::partition},
};

/// Who calls, and who could.
pub struct Calling<'a> {
    /// The caller.
    pub caller: &'a Caller,
    /// Everybody.
    pub callers: &'a Callers,
    /// What was denied, in plain words, for the log.
    pub denied: &'a Cell<Option<String>>,
}

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    calling: &Calling,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    // A hint to the size of tokens, which have one size here.
    input.skip(&["MinimumSessionTokenSize"]);
    Some(match action {
        "GetCallerIdentity" => identity(input, calling),
        "AssumeRole" => assume(input, calling, state, now),
        "AssumeRoleWithWebIdentity" => assume_with_web_identity(input, calling, state, now),
        "GetSessionToken" => session_token(input, calling, state, now),
        "GetAccessKeyInfo" => access_key(input, calling, now),
        "DecodeAuthorizationMessage" => decode_message(input),
        _ => return None,
    })
}

fn identity(input: &Input, calling: &Calling) -> Answer<Xml> {
    input.done()?;
    let mut xml = Xml::default();
    xml.leaf("Arn", &calling.caller.arn)
        .leaf("UserId", &calling.caller.user_id)
        .leaf("Account", &calling.caller.account);
    Ok(xml)
}

/// The parts of a role's ARN.
struct RoleName {
    arn: String,
    account: String,
    name: String,
}

impl RoleName {
    fn read(input: &Input) -> Answer<Self> {
        let arn = input.need("RoleArn")?;
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let found = match parts.as_slice() {
            ["arn", _, "iam", "", account, path]
                if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) =>
            {
                path.strip_prefix("role/")
                    .map(|path| (path.rsplit('/').next().unwrap_or(path), *account))
                    .filter(|(name, _)| !name.is_empty())
            }
            _ => None,
        };
        let Some((name, account)) = found else {
            return Err(input.invalid(format!("{arn} is invalid")));
        };
        let (name, account) = (name.to_owned(), account.to_owned());
        Ok(Self { arn, account, name })
    }
}

/// What both ways to assume a role have in common.
struct Assumption {
    role: RoleName,
    session: String,
    seconds: i64,
    /// Whether anything was sent that takes room in the token.
    packed: bool,
    tags: BTreeMap<String, String>,
    source: Option<String>,
    /// The policy of the session, which narrows that of the role.
    policy: Option<Value>,
}

impl Assumption {
    fn read(input: &Input) -> Answer<Self> {
        let policy = match input.text("Policy") {
            Some(text) => Some(
                serde_json::from_str::<Value>(&text)
                    .ok()
                    .filter(|policy| check_policy(policy).is_ok())
                    .ok_or_else(|| {
                        Refusal::new(
                            "MalformedPolicyDocument",
                            "The policy is not in the valid JSON format.",
                        )
                    })?,
            ),
            None => None,
        };
        let mut tags = BTreeMap::new();
        for (key, value) in input.pairs("Tags")? {
            let folded = |known: &String| known.eq_ignore_ascii_case(&key);
            if tags.keys().any(folded) {
                return Err(input.invalid(format!(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive: {key}"
                )));
            }
            tags.insert(key, value);
        }
        let managed = input.list("PolicyArns");
        for policy in &managed {
            policy.text("arn");
        }
        input.skip(&["TransitiveTagKeys"]);
        Ok(Self {
            role: RoleName::read(input)?,
            session: input.need("RoleSessionName")?,
            seconds: input.number("DurationSeconds")?.unwrap_or(3600),
            packed: policy.is_some() || !tags.is_empty() || !managed.is_empty(),
            tags,
            source: input.text("SourceIdentity"),
            policy,
        })
    }

    /// Gives out the keys of the session.
    fn carry_out(
        self,
        input: &Input,
        registered: Option<Role>,
        calling: &Calling,
        state: &mut State,
        now: Timestamp,
    ) -> Answer<Xml> {
        let longest = registered
            .as_ref()
            .map_or(43_200, |role| role.max_session_seconds);
        if self.seconds > longest {
            return Err(input.invalid(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        let RoleName { arn, account, name } = self.role;
        let id = format!("AROA{}", Ids::named(&arn).capitals(17));
        let session = format!(
            "arn:{}:sts::{account}:assumed-role/{name}/{}",
            partition(&state.region),
            self.session
        );
        let user_id = format!("{id}:{}", self.session);
        let policies = registered.and_then(|role| role.policy);
        let narrowing = self.policy.clone();
        let caller = Caller {
            account,
            arn: session.clone(),
            user_id: user_id.clone(),
            key: None,
            session: Some(Session {
                role: Some(arn),
                tags: self.tags,
                policy: self.policy,
            }),
            policies: policies.into_iter().chain(narrowing).collect(),
        };
        let mut xml = Xml::default();
        give_out(&mut xml, caller, calling.callers, self.seconds, state, now);
        xml.nest("AssumedRoleUser", |xml| {
            xml.leaf("AssumedRoleId", user_id).leaf("Arn", session);
        });
        if self.packed {
            xml.leaf("PackedPolicySize", 1);
        }
        xml.maybe("SourceIdentity", self.source);
        Ok(xml)
    }
}

/// Makes temporary keys and writes them.
fn give_out(
    xml: &mut Xml,
    mut caller: Caller,
    callers: &Callers,
    seconds: i64,
    state: &mut State,
    now: Timestamp,
) {
    let expires = now
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX);
    let id = format!("ASIA{}", state.ids.capitals(16));
    let (secret, token) = (state.ids.hex(40), state.ids.hex(64));
    xml.nest("Credentials", |xml| {
        xml.leaf("AccessKeyId", &id)
            .leaf("SecretAccessKey", &secret)
            .leaf("SessionToken", &token)
            .leaf("Expiration", time(expires));
    });
    caller.key = Some(id.clone());
    let key = Key {
        secret,
        token: Some(token),
        expires: Some(expires),
        caller,
    };
    callers.give_out(id, key);
}

/// What a trust policy can ask for in conditions, from tags and identities.
fn context(assumption: &Assumption) -> BTreeMap<String, Vec<String>> {
    let mut context = BTreeMap::new();
    let mut put = |key: String, value: &str| context.insert(key, vec![value.to_owned()]);
    for (key, value) in &assumption.tags {
        put(format!("aws:RequestTag/{key}"), value);
    }
    put("sts:RoleSessionName".to_owned(), &assumption.session);
    if let Some(source) = &assumption.source {
        put("sts:SourceIdentity".to_owned(), source);
    }
    context
}

fn assume(input: &Input, calling: &Calling, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let external = input.text("ExternalId");
    let mfa = input.text("SerialNumber").or(input.text("TokenCode"));
    let assumption = Assumption::read(input)?;
    input.done()?;
    let caller = calling.caller;
    let denied = || {
        Service::Sts.denied(&Denial {
            action: "sts:AssumeRole".to_owned(),
            resource: assumption.role.arn.clone(),
            caller: caller.arn.clone(),
            reason: Reason::TrustPolicy,
        })
    };
    if mfa.is_some() {
        return Err(Refusal::new(
            "AccessDenied",
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
        ));
    }
    let registered = calling.callers.role(&assumption.role.arn, now);
    match &registered {
        Some(role) => {
            let mut wish = Wish {
                action: "sts:AssumeRole",
                kind: "AWS",
                names: names(caller),
                context: context(&assumption),
            };
            if let Some(id) = external {
                wish.context.insert("sts:ExternalId".to_owned(), vec![id]);
            }
            let trusted = role.trust_policy.as_ref();
            if !trusted.is_none_or(|policy| wish.is_granted(policy)) {
                return Err(denied());
            }
        }
        // Nobody trusts anybody for a role that does not exist.
        None => return Err(denied()),
    }
    let chained = caller
        .session
        .as_ref()
        .is_some_and(|session| session.role.is_some());
    if chained && assumption.seconds > 3600 {
        return Err(input.invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    assumption.carry_out(input, registered, calling, state, now)
}

/// The names under which a policy may call somebody.
fn names(caller: &Caller) -> Vec<String> {
    let partition = caller.arn.split(':').nth(1).unwrap_or("aws");
    let mut names = vec![
        caller.account.clone(),
        format!("arn:{partition}:iam::{}:root", caller.account),
        caller.arn.clone(),
    ];
    names.extend(
        caller
            .session
            .iter()
            .filter_map(|session| session.role.clone()),
    );
    names
}

fn assume_with_web_identity(
    input: &Input,
    calling: &Calling,
    state: &mut State,
    now: Timestamp,
) -> Answer<Xml> {
    let token = input.need("WebIdentityToken")?;
    if let Some(provider) = input.text("ProviderId") {
        return Err(input.invalid(format!("{provider} is no provider of OAuth 2.0 tokens")));
    }
    let assumption = Assumption::read(input)?;
    input.done()?;
    let token = WebToken::read(&token)?;
    let issuer = token.claim("iss").to_owned();
    let declared = state.outside.issuer(&issuer).cloned();
    if declared.is_none() && !calling.callers.trusts_issuer(&issuer) {
        return Err(Refusal::new(
            "InvalidIdentityToken",
            format!("No OpenIDConnect provider found in your account for {issuer}"),
        ));
    }
    token.check_time(now)?;
    if let Some(declared) = &declared {
        if !declared.reachable() {
            return Err(Refusal::new(
                "IDPCommunicationError",
                format!("The identity provider {issuer} could not be reached"),
            ));
        }
        if let Some(keys) = declared.jwks() {
            token.verify(keys)?;
        }
        let audiences = declared.audiences();
        if !audiences.is_empty() && !token.audiences().iter().any(|a| audiences.contains(a)) {
            return Err(Refusal::new(
                "InvalidIdentityToken",
                "Incorrect token audience",
            ));
        }
    }
    let registered = calling.callers.role(&assumption.role.arn, now);
    if !may_assume(registered.as_ref(), &assumption, &token, &issuer) {
        return Err(Refusal::new(
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        ));
    }
    let mut xml = assumption.carry_out(input, registered, calling, state, now)?;
    let audience = token.audiences().into_iter().next().unwrap_or_default();
    xml.leaf("SubjectFromWebIdentityToken", token.claim("sub"))
        .leaf("Provider", issuer)
        .leaf("Audience", audience);
    Ok(xml)
}

fn may_assume(
    role: Option<&Role>,
    assumption: &Assumption,
    token: &WebToken,
    issuer: &str,
) -> bool {
    let Some(role) = role else {
        return false;
    };
    if role
        .issuer
        .as_ref()
        .is_some_and(|trusted| trusted != issuer)
    {
        return false;
    }
    let Some(policy) = &role.trust_policy else {
        return true;
    };
    // Keys of conditions begin with the issuer without its scheme.
    let bare = issuer.trim_start_matches("https://").to_owned();
    let partition = assumption.role.arn.split(':').nth(1).unwrap_or("aws");
    let account = &assumption.role.account;
    let mut wish = Wish {
        action: "sts:AssumeRoleWithWebIdentity",
        kind: "Federated",
        names: vec![
            bare.clone(),
            format!("arn:{partition}:iam::{account}:oidc-provider/{bare}"),
        ],
        context: context(assumption),
    };
    let subject = vec![token.claim("sub").to_owned()];
    wish.context.insert(format!("{bare}:sub"), subject);
    wish.context
        .insert(format!("{bare}:aud"), token.audiences());
    wish.is_granted(policy)
}

fn session_token(
    input: &Input,
    calling: &Calling,
    state: &mut State,
    now: Timestamp,
) -> Answer<Xml> {
    let seconds = input.number("DurationSeconds")?.unwrap_or(43_200);
    let mfa = input.text("SerialNumber").or(input.text("TokenCode"));
    input.done()?;
    if mfa.is_some() {
        return Err(Refusal::new(
            "AccessDenied",
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
        ));
    }
    if calling.caller.session.is_some() {
        return Err(Refusal::new(
            "AccessDenied",
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let caller = Caller {
        session: Some(Session {
            role: None,
            tags: BTreeMap::new(),
            policy: None,
        }),
        ..calling.caller.clone()
    };
    let mut xml = Xml::default();
    give_out(&mut xml, caller, calling.callers, seconds, state, now);
    Ok(xml)
}

fn access_key(input: &Input, calling: &Calling, now: Timestamp) -> Answer<Xml> {
    let id = input.need("AccessKeyId")?;
    input.done()?;
    let known = calling.callers.key(&id, now).map(|key| key.caller);
    let owner = known.or_else(|| calling.callers.stranger(&id));
    let owner = owner.ok_or_else(|| input.invalid(format!("Invalid access key {id}")))?;
    let mut xml = Xml::default();
    xml.leaf("Account", owner.account);
    Ok(xml)
}

/// No message was encoded here, so none can be decoded.
fn decode_message(input: &Input) -> Answer<Xml> {
    let message = input.need("EncodedMessage")?;
    input.done()?;
    let decoded = authorization::decode(&message).ok_or_else(|| {
        Refusal::new(
            "InvalidAuthorizationMessageException",
            "Message is not valid",
        )
    })?;
    let mut xml = Xml::default();
    xml.leaf("DecodedMessage", decoded);
    Ok(xml)
}
