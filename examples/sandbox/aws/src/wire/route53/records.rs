//! Record sets: listing and change batches.

use jiff::Timestamp;

use super::{invalid, max_items, write_change};
use crate::{
    state::{
        AliasTarget, Answer, RecordKey, RecordSet, State,
        change_batch::ChangeAction,
        dns_name,
        route53::{Routing, RoutingPolicy},
    },
    wire::{params::Input, xml::Xml},
};

pub fn list(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let size = max_items(input, 300)?;
    let name = input.text("StartRecordName");
    let kind = input.text("StartRecordType");
    let identifier = input.text("StartRecordIdentifier");
    input.done()?;
    let zone = state.hosted_zone(&id)?;
    let (name, kind, identifier) = (name.as_deref(), kind.as_deref(), identifier.as_deref());
    if name.is_none() && (kind.is_some() || identifier.is_some()) {
        return Err(invalid("type and identifier can only be given with name"));
    }
    let start = RecordKey {
        reversed: name
            .map(|name| dns_name::reversed(&dns_name::canonical(name)))
            .unwrap_or_default(),
        kind: kind.unwrap_or_default().to_owned(),
        set_identifier: identifier.unwrap_or_default().to_owned(),
    };
    let mut records = zone.records.range(start..).map(|(_, record)| record);
    let shown: Vec<&RecordSet> = records.by_ref().take(size).collect();
    let next = records.next();
    let mut xml = Xml::default();
    xml.list("ResourceRecordSets", "ResourceRecordSet", shown, write);
    xml.leaf("IsTruncated", next.is_some());
    if let Some(next) = next {
        xml.leaf("NextRecordName", dns_name::escaped(&next.name))
            .leaf("NextRecordType", &next.kind)
            .maybe(
                "NextRecordIdentifier",
                next.routing.as_ref().map(|routing| &routing.set_identifier),
            );
    }
    xml.leaf("MaxItems", size);
    Ok(xml)
}

fn write(xml: &mut Xml, record: &RecordSet) {
    xml.leaf("Name", dns_name::escaped(&record.name))
        .leaf("Type", &record.kind);
    if let Some(routing) = &record.routing {
        xml.leaf("SetIdentifier", &routing.set_identifier);
        match &routing.policy {
            RoutingPolicy::Weighted(weight) => xml.leaf("Weight", weight),
            RoutingPolicy::Latency(region) => xml.leaf("Region", region),
            RoutingPolicy::Failover(role) => xml.leaf("Failover", role),
            RoutingPolicy::MultiValue => xml.leaf("MultiValueAnswer", true),
            RoutingPolicy::Geolocation {
                continent,
                country,
                subdivision,
            } => xml.nest("GeoLocation", |xml| {
                xml.maybe("ContinentCode", continent.as_ref())
                    .maybe("CountryCode", country.as_ref())
                    .maybe("SubdivisionCode", subdivision.as_ref());
            }),
        };
    }
    xml.maybe("TTL", record.ttl);
    if record.alias.is_none() {
        xml.list(
            "ResourceRecords",
            "ResourceRecord",
            &record.values,
            |xml, value| {
                xml.leaf("Value", value);
            },
        );
    }
    if let Some(alias) = &record.alias {
        xml.nest("AliasTarget", |xml| {
            xml.leaf("HostedZoneId", &alias.hosted_zone_id)
                .leaf("DNSName", dns_name::escaped(&alias.dns_name))
                .leaf("EvaluateTargetHealth", alias.evaluate_target_health);
        });
    }
    xml.maybe("HealthCheckId", record.health_check_id.as_ref());
}

pub fn change(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let batch = input.part("ChangeBatch");
    let comment = batch.text("Comment");
    let mut changes = Vec::new();
    for change in batch.list("Changes") {
        let action = ChangeAction::parse(&change.need("Action")?)?;
        changes.push((action, read(&change.part("ResourceRecordSet"))?));
    }
    input.done()?;
    let id = state.change_record_sets(&id, changes, comment, now)?;
    let mut xml = Xml::default();
    write_change(&mut xml, state.change(&id)?);
    Ok(xml)
}

/// Reads a record set into its stored form.
fn read(record: &Input) -> Answer<RecordSet> {
    let mut values = Vec::new();
    for value in record.list("ResourceRecords") {
        values.push(value.need("Value")?);
    }
    Ok(RecordSet {
        name: dns_name::canonical(&record.need("Name")?),
        kind: record.need("Type")?,
        ttl: record.number("TTL")?,
        values,
        alias: if record.has("AliasTarget") {
            Some(read_alias(&record.part("AliasTarget"))?)
        } else {
            None
        },
        routing: read_routing(record)?,
        health_check_id: record.text("HealthCheckId"),
    })
}

fn read_alias(alias: &Input) -> Answer<AliasTarget> {
    Ok(AliasTarget {
        hosted_zone_id: alias.need("HostedZoneId")?,
        dns_name: dns_name::canonical(&alias.need("DNSName")?),
        evaluate_target_health: alias.flag("EvaluateTargetHealth")?.unwrap_or_default(),
    })
}

fn read_routing(record: &Input) -> Answer<Option<Routing>> {
    let weight = record.number("Weight")?.map(RoutingPolicy::Weighted);
    let failover = record.text("Failover").map(RoutingPolicy::Failover);
    let location = record.part("GeoLocation");
    let geolocation = record
        .has("GeoLocation")
        .then(|| RoutingPolicy::Geolocation {
            continent: location.text("ContinentCode"),
            country: location.text("CountryCode"),
            subdivision: location.text("SubdivisionCode"),
        });
    let multi = record
        .flag("MultiValueAnswer")?
        .filter(|multi| *multi)
        .map(|_| RoutingPolicy::MultiValue);
    let latency = record.text("Region").map(RoutingPolicy::Latency);
    let mut policies: Vec<RoutingPolicy> = [weight, latency, failover, multi, geolocation]
        .into_iter()
        .flatten()
        .collect();
    if policies.len() > 1 {
        return Err(invalid(
            "A resource record set can have only one routing policy",
        ));
    }
    match (policies.pop(), record.text("SetIdentifier")) {
        (None, None) => Ok(None),
        (Some(policy), Some(set_identifier)) => Ok(Some(Routing {
            set_identifier,
            policy,
        })),
        _ => Err(invalid(
            "A routing policy needs a set identifier, and a set identifier a routing policy",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        state::HostedZone,
        wire::{params::Params, service::Service},
    };

    fn record(tree: Value) -> Answer<RecordSet> {
        read(&Params::new(Service::Route53, tree).root())
    }

    #[test]
    fn a_record_set_is_read_into_stored_form() {
        let record_set = record(json!({
            "Name": "\\052.Example.COM",
            "Type": "A",
            "AliasTarget": {
                "HostedZoneId": "Z1",
                "DNSName": "LB.us-east-1.elb.amazonaws.com",
                "EvaluateTargetHealth": false,
            },
        }))
        .unwrap();
        assert_eq!(record_set.name, "*.example.com.");
        assert_eq!(
            record_set.alias.as_ref().unwrap().dns_name,
            "lb.us-east-1.elb.amazonaws.com."
        );
        assert_eq!(
            HostedZone::key_of(&record_set).reversed,
            ["com", "example", "*"]
        );
        let weighted = json!({ "Name": "a.example.com", "Type": "A", "Weight": 1 });
        assert_eq!(record(weighted).unwrap_err().code, "InvalidInput");
    }
}
