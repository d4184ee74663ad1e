//! Record sets: listing and change batches.

use jiff::Timestamp;

use super::{changed, invalid, max_items};
use crate::{
    state::{
        AliasTarget, Answer, RecordKey, RecordSet, RoutingPolicy, State,
        change_batch::ChangeAction,
        dns_name,
        record_set::{Geolocation, Geoproximity, NewRecordSet},
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
    if name.is_none() && kind.is_some() {
        return Err(invalid("type can only be given with name"));
    }
    if identifier.is_some() && (name.is_none() || kind.is_none()) {
        return Err(invalid("identifier can only be given with name and type"));
    }
    if let Some(fault) = name.as_deref().and_then(dns_name::fault) {
        return Err(invalid(fault));
    }
    let start = RecordKey {
        reversed: name
            .map(|name| dns_name::reversed(&dns_name::canonical(&name)))
            .unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        set_identifier: identifier.unwrap_or_default(),
    };
    let mut records = zone.records.range(start..).map(|(_, record)| record);
    let shown: Vec<&RecordSet> = records.by_ref().take(size.page).collect();
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
    xml.leaf("MaxItems", size.asked);
    Ok(xml)
}

fn write(xml: &mut Xml, record: &RecordSet) {
    xml.leaf("Name", dns_name::escaped(&record.name))
        .leaf("Type", &record.kind);
    if let Some(routing) = &record.routing {
        xml.leaf("SetIdentifier", &routing.set_identifier);
        write_policy(xml, &routing.policy);
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

fn write_policy(xml: &mut Xml, policy: &RoutingPolicy) {
    match policy {
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
        RoutingPolicy::Geoproximity(place) => xml.nest("GeoProximityLocation", |xml| {
            xml.maybe("AWSRegion", place.region.as_ref())
                .maybe("LocalZoneGroup", place.local_zone_group.as_ref());
            if let Some((latitude, longitude)) = &place.coordinates {
                xml.nest("Coordinates", |xml| {
                    xml.leaf("Latitude", latitude).leaf("Longitude", longitude);
                });
            }
            xml.maybe("Bias", place.bias);
        }),
    };
}

pub fn change(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    let batch = input.part("ChangeBatch");
    let comment = batch.text("Comment");
    let mut asked = Vec::new();
    for change in batch.list("Changes") {
        let action = change.need("Action")?;
        asked.push((action, read(&change.part("ResourceRecordSet"))?));
    }
    input.done()?;
    // The zone is looked up before the changes are looked at.
    state.hosted_zone(&id)?;
    let mut changes = Vec::new();
    for (action, record) in asked {
        let record = record.checked(&action)?;
        changes.push((ChangeAction::parse(&action)?, record));
    }
    let change = state.change_record_sets(&id, changes, comment, now)?;
    changed(state, &change)
}

/// Reads a record set as it was asked for.
fn read(record: &Input) -> Answer<NewRecordSet> {
    let mut values = Vec::new();
    for value in record.list("ResourceRecords") {
        values.push(value.need("Value")?);
    }
    let alias = record.part("AliasTarget");
    let cidr = record.part("CidrRoutingConfig");
    cidr.text("LocationName");
    Ok(NewRecordSet {
        name: record.need("Name")?,
        kind: record.need("Type")?,
        ttl: record.number("TTL")?,
        values: record.has("ResourceRecords").then_some(values),
        alias: if record.has("AliasTarget") {
            Some(AliasTarget {
                hosted_zone_id: alias.need("HostedZoneId")?,
                dns_name: alias.need("DNSName")?,
                evaluate_target_health: alias.flag("EvaluateTargetHealth")?.unwrap_or_default(),
            })
        } else {
            None
        },
        set_identifier: record.text("SetIdentifier"),
        weight: record.number("Weight")?,
        region: record.text("Region"),
        failover: record.text("Failover"),
        multi_value: record.flag("MultiValueAnswer")?,
        geolocation: record.has("GeoLocation").then(|| {
            let place = record.part("GeoLocation");
            Geolocation {
                continent: place.text("ContinentCode"),
                country: place.text("CountryCode"),
                subdivision: place.text("SubdivisionCode"),
            }
        }),
        geoproximity: if record.has("GeoProximityLocation") {
            let place = record.part("GeoProximityLocation");
            let coordinates = place.part("Coordinates");
            Some(Geoproximity {
                region: place.text("AWSRegion"),
                local_zone_group: place.text("LocalZoneGroup"),
                coordinates: coordinates
                    .text("Latitude")
                    .zip(coordinates.text("Longitude")),
                bias: place.number("Bias")?,
            })
        } else {
            None
        },
        cidr_collection: cidr.text("CollectionId"),
        traffic_policy_instance: record.text("TrafficPolicyInstanceId"),
        health_check_id: record.text("HealthCheckId"),
    })
}
