//! What the quotas are, and how much of them is used.

use super::invalid;
use crate::{
    state::{Answer, Refusal, State},
    wire::{params::Input, xml::Xml},
};

fn answer(kind: &str, limit: usize, count: usize) -> Xml {
    let mut xml = Xml::default();
    xml.nest("Limit", |xml| {
        xml.leaf("Type", kind).leaf("Value", limit);
    });
    xml.leaf("Count", count);
    xml
}

pub fn of_zone(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let kind = input.need("Type")?;
    input.done()?;
    let zone = state.hosted_zone(&id)?;
    if kind == "MAX_RRSETS_BY_ZONE" {
        let limit = state.quotas.limit("records-per-hosted-zone");
        return Ok(answer(&kind, limit, zone.records.len()));
    }
    if !zone.private {
        return Err(Refusal::new(
            "HostedZoneNotPrivate",
            format!("The hosted zone {} is not private", zone.id),
        ));
    }
    let limit = state.quotas.limit("vpcs-per-hosted-zone");
    Ok(answer(&kind, limit, zone.vpcs.len()))
}

pub fn of_account(input: &Input, state: &State) -> Answer<Xml> {
    let kind = input.need("Type")?;
    input.done()?;
    let (limit, count) = match kind.as_str() {
        "MAX_HOSTED_ZONES_BY_OWNER" => {
            (state.quotas.limit("hosted-zones"), state.hosted_zones.len())
        }
        "MAX_HEALTH_CHECKS_BY_OWNER" => (
            state.quotas.limit("health-checks"),
            state.health_checks.len(),
        ),
        // The defaults of what cannot be made here.
        "MAX_TRAFFIC_POLICIES_BY_OWNER" => (50, 0),
        "MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER" => (5, 0),
        "MAX_REUSABLE_DELEGATION_SETS_BY_OWNER" => (100, 0),
        _ => return Err(invalid(format!("There is no limit {kind}"))),
    };
    Ok(answer(&kind, limit, count))
}
