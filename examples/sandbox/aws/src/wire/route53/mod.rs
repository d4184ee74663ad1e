//! Route 53: what the operations answer.

mod health_checks;
mod limits;
mod records;
mod tags;
mod vpcs;
mod zones;

use jiff::Timestamp;

use super::{params::Input, xml::Xml};
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
        "GetHostedZoneCount" => zones::count(input, state),
        "UpdateHostedZoneComment" => zones::update_comment(input, state, now),
        "DeleteHostedZone" => zones::delete(input, state, now),
        "GetDNSSEC" => zones::signing(input, state),
        "ListHostedZonesByVPC" => vpcs::list_zones(input, state),
        "AssociateVPCWithHostedZone" => vpcs::associate(input, state, now),
        "DisassociateVPCFromHostedZone" => vpcs::disassociate(input, state, now),
        "CreateVPCAssociationAuthorization" => vpcs::authorize(input, state),
        "DeleteVPCAssociationAuthorization" => vpcs::deauthorize(input, state),
        "ListVPCAssociationAuthorizations" => vpcs::list_authorized(input, state),
        "GetHostedZoneLimit" => limits::of_zone(input, state),
        "GetAccountLimit" => limits::of_account(input, state),
        "ListTagsForResource" => tags::list(input, state),
        "ListTagsForResources" => tags::list_many(input, state),
        "ChangeTagsForResource" => tags::change(input, state),
        "ListResourceRecordSets" => records::list(input, state),
        "ChangeResourceRecordSets" => records::change(input, state, now),
        "GetChange" => get_change(input, state),
        "CreateHealthCheck" => health_checks::create(input, state),
        "UpdateHealthCheck" => health_checks::update(input, state),
        "GetHealthCheck" => health_checks::get(input, state),
        "GetHealthCheckCount" => health_checks::count(input, state),
        "ListHealthChecks" => health_checks::list(input, state),
        "DeleteHealthCheck" => health_checks::delete(input, state),
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

/// How much of a listing is asked for.
struct MaxItems {
    /// What a page holds.
    page: usize,
    /// What was asked for, which the answer repeats.
    asked: usize,
}

/// `MaxItems`; a page holds at most `most`.
fn max_items(input: &Input, most: usize) -> Answer<MaxItems> {
    let asked = match input.text("MaxItems").map(|size| size.parse::<usize>()) {
        None => most,
        Some(Ok(size)) if size > 0 => size,
        Some(_) => return Err(invalid("The value of maxitems is not valid")),
    };
    Ok(MaxItems {
        page: asked.min(most),
        asked,
    })
}

/// The answer that a change has begun.
fn changed(state: &State, change: &str) -> Answer<Xml> {
    let mut xml = Xml::default();
    write_change(&mut xml, state.change(change)?);
    Ok(xml)
}

fn write_change(xml: &mut Xml, change: &Change) {
    xml.nest("ChangeInfo", |xml| {
        xml.leaf("Id", format!("/change/{}", change.id))
            .leaf("Status", if change.insync { "INSYNC" } else { "PENDING" })
            .leaf("SubmittedAt", super::xml::time(change.submitted))
            .maybe("Comment", change.comment.as_ref());
    });
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidInput", text)
}
