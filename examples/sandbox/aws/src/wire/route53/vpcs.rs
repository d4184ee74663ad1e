//! VPCs of private hosted zones.

use jiff::Timestamp;

use super::{changed, invalid, max_items};
use crate::{
    state::{Answer, Refusal, State, dns_name},
    wire::{page, params::Input, xml::Xml},
};

/// Id and region.
fn vpc(input: &Input) -> (String, String) {
    let vpc = input.part("VPC");
    let part = |name| vpc.text(name).unwrap_or_default();
    (part("VPCId"), part("VPCRegion"))
}

fn write((id, region): &(String, String), xml: &mut Xml) {
    xml.leaf("VPCRegion", region).leaf("VPCId", id);
}

pub fn associate(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let (vpc, region) = vpc(input);
    let comment = input.text("Comment");
    input.done()?;
    let change = state.associate_zone_vpc(&id, &vpc, &region, comment, now)?;
    changed(state, &change)
}

pub fn disassociate(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let (vpc, region) = vpc(input);
    let comment = input.text("Comment");
    input.done()?;
    let change = state.disassociate_zone_vpc(&id, &vpc, &region, comment, now)?;
    changed(state, &change)
}

pub fn authorize(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let vpc = vpc(input);
    input.done()?;
    state.authorize_zone_vpc(&id, &vpc.0, &vpc.1)?;
    let mut xml = Xml::default();
    xml.leaf("HostedZoneId", &state.hosted_zone(&id)?.id)
        .nest("VPC", |xml| write(&vpc, xml));
    Ok(xml)
}

pub fn deauthorize(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let (vpc, region) = vpc(input);
    input.done()?;
    state.deauthorize_zone_vpc(&id, &vpc, &region)?;
    Ok(Xml::default())
}

pub fn list_authorized(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let token = input.text("NextToken");
    let size = input
        .text("MaxResults")
        .map_or(Ok(50), |size| size.parse::<usize>())
        .ok()
        .filter(|size| *size > 0)
        .ok_or_else(|| invalid("The value of maxresults is not valid"))?;
    input.done()?;
    let zone = state.hosted_zone(&id)?;
    let page = page::cut(
        input.operation(),
        &zone.authorized,
        |(vpc, region)| format!("{vpc} {region}"),
        token.as_deref(),
        size.min(50),
    )
    .ok_or_else(bad_token)?;
    let mut xml = Xml::default();
    xml.leaf("HostedZoneId", &zone.id)
        .maybe("NextToken", page.next.as_ref())
        .list("VPCs", "VPC", page.items, |xml, vpc| write(vpc, xml));
    Ok(xml)
}

pub fn list_zones(input: &Input, state: &State) -> Answer<Xml> {
    let vpc = input.need("VPCId")?;
    let region = input.need("VPCRegion")?;
    let size = max_items(input, 100)?;
    let token = input.text("NextToken");
    input.done()?;
    let page = page::cut(
        input.operation(),
        state.zones_of_vpc(&vpc, &region)?,
        |zone| zone.id.clone(),
        token.as_deref(),
        size.page,
    )
    .ok_or_else(bad_token)?;
    let mut xml = Xml::default();
    xml.list(
        "HostedZoneSummaries",
        "HostedZoneSummary",
        page.items,
        |xml, zone| {
            xml.leaf("HostedZoneId", &zone.id)
                .leaf("Name", dns_name::escaped(&zone.name))
                .nest("Owner", |xml| {
                    xml.leaf("OwningAccount", &zone.owner);
                });
        },
    );
    xml.leaf("MaxItems", size.asked)
        .maybe("NextToken", page.next.as_ref());
    Ok(xml)
}

fn bad_token() -> Refusal {
    Refusal::new(
        "InvalidPaginationToken",
        "The value of nexttoken is not valid",
    )
}
