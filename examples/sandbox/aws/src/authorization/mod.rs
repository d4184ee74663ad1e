//! Whether a caller may do what it asks for: policies, and what each call
//! needs.
//!
//! Pure. A caller without a policy has all rights. Source: the aws reference,
//! section 6.

mod needs;
mod policy;
mod trust;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use self::policy::{Decision, decide};
pub use self::{policy::check as check_policy, trust::Wish};
use crate::{callers::Caller, state::State};

/// Condition keys with their values.
type Context = BTreeMap<String, Vec<String>>;

/// One action that a call needs on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Need {
    /// `service:Operation`.
    action: String,
    /// An ARN, or `*` for actions that know no resources.
    resource: String,
    /// Condition keys beside those of the caller.
    context: Context,
}

/// An action that is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// `service:Operation`.
    pub action: String,
    /// The resource that it is denied on.
    pub resource: String,
    /// Who is denied.
    pub caller: String,
    /// Why.
    pub reason: Reason,
}

/// Why something is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A statement denies it.
    Explicit,
    /// No statement allows it.
    NotAllowed,
    /// The trust policy of the role does not let the caller in.
    TrustPolicy,
}

impl Denial {
    /// The denial as AWS says it.
    pub fn text(&self) -> String {
        let Self {
            action,
            resource,
            caller,
            reason,
        } = self;
        let why = match reason {
            Reason::Explicit => " with an explicit deny in an identity-based policy".to_owned(),
            Reason::NotAllowed => {
                format!(" because no identity-based policy allows the {action} action")
            }
            Reason::TrustPolicy => String::new(),
        };
        format!(
            "User: {caller} is not authorized to perform: {action} on resource: {resource}{why}"
        )
    }
}

/// A denial in the form in which EC2 hides it from who is denied.
pub fn encode(denial: &Denial) -> String {
    let message = json!({
        "allowed": false,
        "explicitDeny": denial.reason == Reason::Explicit,
        "context": {
            "principal": { "arn": denial.caller },
            "action": denial.action,
            "resource": denial.resource,
        },
    });
    URL_SAFE_NO_PAD.encode(message.to_string())
}

/// What [`encode`] has hidden; `None` for what is no such message.
pub fn decode(message: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(message).ok()?).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    value.get("context").is_some().then_some(text)
}

/// Judges a call: `service` as in the scope of signatures, parameters as their
/// decoded tree.
///
/// # Errors
/// The first of the actions that it needs and may not do.
pub fn authorize(
    caller: &Caller,
    service: &str,
    operation: &str,
    input: &Value,
    state: &State,
) -> Result<(), Box<Denial>> {
    if caller.policies.is_empty() {
        return Ok(());
    }
    let needs = needs::of(service, operation, input, state);
    let denial = needs
        .into_iter()
        .find_map(|need| denial(caller, need, state));
    denial.map_or(Ok(()), |denial| Err(Box::new(denial)))
}

/// The resources of a TagResources or UntagResources call whose own service
/// denies the change to the caller. They fail one by one; the others are
/// changed.
pub fn denied_resources(
    caller: &Caller,
    operation: &str,
    input: &Value,
    state: &State,
) -> BTreeMap<String, Denial> {
    if caller.policies.is_empty() {
        return BTreeMap::new();
    }
    needs::of_each_tagged(operation, input, state)
        .into_iter()
        .filter_map(|need| denial(caller, need, state))
        .map(|denial| (denial.resource.clone(), denial))
        .collect()
}

/// Why a caller may not do one action, if it may not.
fn denial(caller: &Caller, mut need: Need, state: &State) -> Option<Denial> {
    need.context.extend(of_caller(caller, state));
    // Each policy binds: a session may do what its role and its own policy
    // both allow.
    let reason = caller.policies.iter().find_map(|policy| {
        match decide(policy, &need.action, &need.resource, &need.context) {
            Decision::Allowed => None,
            Decision::Denied => Some(Reason::Explicit),
            Decision::NotAllowed => Some(Reason::NotAllowed),
        }
    })?;
    Some(Denial {
        action: need.action,
        resource: need.resource,
        caller: caller.arn.clone(),
        reason,
    })
}

/// The condition keys of every call.
fn of_caller(caller: &Caller, state: &State) -> Context {
    let mut context = Context::from([
        ("aws:principalarn".to_owned(), vec![caller.arn.clone()]),
        (
            "aws:principalaccount".to_owned(),
            vec![caller.account.clone()],
        ),
        ("aws:userid".to_owned(), vec![caller.user_id.clone()]),
        ("aws:requestedregion".to_owned(), vec![state.region.clone()]),
        ("aws:sourceaccount".to_owned(), vec![state.account.clone()]),
    ]);
    let tags = caller.session.iter().flat_map(|session| &session.tags);
    for (key, value) in tags {
        context.insert(
            format!("aws:principaltag/{key}").to_lowercase(),
            vec![value.clone()],
        );
    }
    context
}

#[cfg(test)]
mod tests;
