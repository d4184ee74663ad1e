//! EC2: parameters in, answers out.

mod filter;
mod instances;
mod listing;
mod network;
mod security;
mod tags;

use jiff::Timestamp;

use super::{params::Input, xml::Xml};
use crate::state::{Answer, MadeOnce, Refusal, State};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    network::handle(action, input, state)
        .or_else(|| security::handle(action, input, state))
        .or_else(|| instances::handle(action, input, state, now))
        .or_else(|| tags::handle(action, input, state))
}

/// Ends the reading of parameters; a dry run ends the call here.
fn ready(input: &Input) -> Answer<()> {
    let dry = input.flag("DryRun")?.unwrap_or(false);
    input.done()?;
    if dry {
        return Err(Refusal::new(
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        ));
    }
    Ok(())
}

/// The answer of a plain write.
fn done() -> Xml {
    let mut xml = Xml::default();
    xml.leaf("return", true);
    xml
}

/// Makes something once for each client token: a repetition is answered with
/// what the first call made, and refused where it asks for something else.
fn once(
    token: Option<String>,
    input: &Input,
    state: &mut State,
    make: impl FnOnce(&mut State) -> Answer<Vec<String>>,
) -> Answer<Vec<String>> {
    let Some(token) = token else {
        return make(state);
    };
    if let Some(before) = state.client_tokens.get(&token) {
        if before.parameters == input.sent() {
            return Ok(before.ids.clone());
        }
        return Err(Refusal::new(
            "IdempotentParameterMismatch",
            format!("The client token '{token}' was used with other parameters"),
        ));
    }
    let ids = make(state)?;
    let made = MadeOnce {
        parameters: input.sent(),
        ids: ids.clone(),
    };
    state.client_tokens.insert(token, made);
    Ok(ids)
}
