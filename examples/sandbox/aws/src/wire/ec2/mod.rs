//! EC2: parameters in, answers out.

mod filter;
mod instances;
mod listing;
mod network;
mod security;
mod tags;

use jiff::Timestamp;

use super::{params::Input, xml::Xml};
use crate::state::{Answer, Refusal, State};

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
