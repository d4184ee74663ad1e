//! Route 53: parameters in, XML answers out.

mod records;
mod zones;

use jiff::Timestamp;

use super::{
    params::Input,
    xml::{Xml, time},
};
use crate::state::{Answer, Change, Refusal, State};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateHostedZone" => zones::create(input, state, now),
        "ListHostedZones" => zones::list(input, state),
        "ListHostedZonesByName" => zones::list_by_name(input, state),
        "GetHostedZone" => zones::get(input, state),
        "DeleteHostedZone" => zones::delete(input, state, now),
        "ListTagsForResource" => zones::list_tags(input, state),
        "ListTagsForResources" => zones::list_many_tags(input, state),
        "ChangeTagsForResource" => zones::change_tags(input, state),
        "ListResourceRecordSets" => records::list(input, state),
        "ChangeResourceRecordSets" => records::change(input, state, now),
        "GetChange" => get_change(input, state),
        _ => return None,
    })
}

fn get_change(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("Id")?;
    input.done()?;
    let mut xml = Xml::default();
    write_change(&mut xml, state.change(&id)?);
    Ok(xml)
}

/// `MaxItems`, at most `most`.
fn max_items(input: &Input, most: usize) -> Answer<usize> {
    match input.text("MaxItems").map(|size| size.parse::<usize>()) {
        None => Ok(most),
        Some(Ok(size)) if size > 0 => Ok(size.min(most)),
        Some(_) => Err(invalid("The value of maxitems is not valid")),
    }
}

fn write_change(xml: &mut Xml, change: &Change) {
    xml.nest("ChangeInfo", |xml| {
        xml.leaf("Id", format!("/change/{}", change.id))
            .leaf("Status", if change.insync { "INSYNC" } else { "PENDING" })
            .leaf("SubmittedAt", time(change.submitted))
            .maybe("Comment", change.comment.as_ref());
    });
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidInput", text)
}
