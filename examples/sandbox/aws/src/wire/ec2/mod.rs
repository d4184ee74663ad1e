//! EC2: parameters in, answers out.

mod account;
mod addresses;
mod attributes;
mod catalog;
mod filter;
mod filters;
mod gateways;
mod instances;
mod interface_addresses;
mod interfaces;
mod launch;
mod listing;
mod peerings;
mod prefix_lists;
mod routes;
mod rules;
mod security;
mod subnets;
mod tags;
mod vpcs;

use jiff::Timestamp;

use super::{params::Input, xml::Xml};
use crate::state::{Answer, MadeOnce, Refusal, State};

/// Carries out an action; `None` when the service does not have it.
///
/// A dry run is carried out on a copy, so that it finds whatever would refuse
/// the call, and changes nothing.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    let dry = match input.flag("DryRun") {
        Ok(dry) => dry.unwrap_or(false),
        Err(refusal) => return Some(Err(refusal)),
    };
    if !dry {
        return carry_out(action, input, state, now);
    }
    let answer = carry_out(action, input, &mut state.clone(), now)?;
    Some(answer.and_then(|_| {
        Err(Refusal::new(
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        ))
    }))
}

fn carry_out(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    vpcs::handle(action, input, state)
        .or_else(|| subnets::handle(action, input, state))
        .or_else(|| gateways::handle(action, input, state, now))
        .or_else(|| routes::handle(action, input, state))
        .or_else(|| security::handle(action, input, state))
        .or_else(|| rules::handle(action, input, state))
        .or_else(|| interfaces::handle(action, input, state, now))
        .or_else(|| interface_addresses::handle(action, input, state))
        .or_else(|| launch::handle(action, input, state, now))
        .or_else(|| instances::handle(action, input, state, now))
        .or_else(|| attributes::handle(action, input, state))
        .or_else(|| addresses::handle(action, input, state))
        .or_else(|| prefix_lists::handle(action, input, state))
        .or_else(|| peerings::handle(action, input, state))
        .or_else(|| catalog::handle(action, input, state))
        .or_else(|| account::handle(action, input, state))
        .or_else(|| tags::handle(action, input, state))
}

/// Ends the reading of parameters.
fn ready(input: &Input) -> Answer<()> {
    input.flag("DryRun")?;
    input.done()
}

/// The answer of a plain write.
fn done() -> Xml {
    let mut xml = Xml::default();
    xml.leaf("return", true);
    xml
}

/// A text parsed, or the refusal that names the parameter.
fn parse<T: std::str::FromStr>(name: &str, text: &str) -> Answer<T> {
    text.parse()
        .map_err(|_| Refusal::parameter(format!("Value ({text}) for parameter {name} is invalid.")))
}

/// The elements of a list of texts, each parsed.
fn parse_all<T: std::str::FromStr>(name: &str, texts: &[String]) -> Answer<Vec<T>> {
    texts.iter().map(|text| parse(name, text)).collect()
}

/// The longest client token.
const TOKEN_LENGTH: usize = 64;

/// Makes something once for each client token: a repetition is answered with
/// what the first call made, and refused where it asks for something else.
fn once(
    action: &str,
    token: Option<String>,
    input: &Input,
    state: &mut State,
    make: impl FnOnce(&mut State) -> Answer<Vec<String>>,
) -> Answer<Vec<String>> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return make(state);
    };
    if token.chars().count() > TOKEN_LENGTH || !token.is_ascii() {
        return Err(Refusal::parameter(format!(
            "Invalid value for ClientToken. It must have at most {TOKEN_LENGTH} ASCII characters."
        )));
    }
    let key = format!("{action}/{token}");
    if let Some(before) = state.client_tokens.get(&key) {
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
    state.client_tokens.insert(key, made);
    Ok(ids)
}
