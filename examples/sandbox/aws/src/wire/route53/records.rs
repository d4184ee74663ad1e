//! Record sets: listing and change batches.

use jiff::Timestamp;

use super::{Request, invalid, write_change};
use crate::{
    state::{
        AliasTarget, Answer, RecordKey, RecordSet, State,
        change_batch::ChangeAction,
        dns_name,
        route53::{Routing, RoutingPolicy},
    },
    wire::xml::{Element, Xml},
};

const KINDS: [&str; 12] = [
    "A", "AAAA", "CAA", "CNAME", "DS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "TXT",
];

pub fn list(request: &Request, state: &State) -> Answer<Xml> {
    request.only(&["name", "type", "identifier", "maxitems"])?;
    let zone = state.hosted_zone(&request.id)?;
    let size = request.max_items(300)?;
    let (name, kind, identifier) = (
        request.text("name"),
        request.text("type"),
        request.text("identifier"),
    );
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
            RoutingPolicy::Geoproximity(_) => xml,
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

pub fn change(request: &Request, state: &mut State, now: Timestamp) -> Answer<Xml> {
    request.only(&[])?;
    let body = request.document("ChangeResourceRecordSetsRequest")?;
    let batch = body
        .child("ChangeBatch")
        .ok_or_else(|| invalid("A change batch is needed"))?;
    if let Some(stray) = batch.stray(&["Comment", "Changes"]) {
        return Err(invalid(format!(
            "Unexpected element '{stray}' in ChangeBatch"
        )));
    }
    let comment = batch.text_of("Comment").map(str::to_owned);
    if comment
        .as_ref()
        .is_some_and(|comment| comment.chars().count() > 256)
    {
        return Err(invalid("The comment must have at most 256 characters"));
    }
    let mut changes = Vec::new();
    for change in batch.items("Changes") {
        if let Some(stray) = change.stray(&["Action", "ResourceRecordSet"]) {
            return Err(invalid(format!("Unexpected element '{stray}' in Change")));
        }
        let action = ChangeAction::parse(change.text_of("Action").unwrap_or_default())?;
        let record = change
            .child("ResourceRecordSet")
            .ok_or_else(|| invalid("A resource record set is needed in every change"))?;
        changes.push((action, read(record)?));
    }
    let id = state.change_record_sets(&request.id, changes, comment, now)?;
    let mut xml = Xml::default();
    write_change(&mut xml, state.change(&id)?);
    Ok(xml)
}

/// Reads a record set into its stored form.
fn read(element: &Element) -> Answer<RecordSet> {
    let known = [
        "Name",
        "Type",
        "SetIdentifier",
        "Weight",
        "Region",
        "GeoLocation",
        "Failover",
        "MultiValueAnswer",
        "TTL",
        "ResourceRecords",
        "AliasTarget",
        "HealthCheckId",
    ];
    if let Some(stray) = element.stray(&known) {
        return Err(invalid(format!(
            "The element '{stray}' of a resource record set is not known or not simulated"
        )));
    }
    let name = element
        .text_of("Name")
        .ok_or_else(|| invalid("A name is needed"))?;
    let kind = element.text_of("Type").unwrap_or_default();
    if !KINDS.contains(&kind) {
        return Err(invalid(format!("The record type '{kind}' is not valid")));
    }
    let ttl = match element.text_of("TTL").map(str::parse::<u32>) {
        None => None,
        Some(Ok(ttl)) if ttl <= 2_147_483_647 => Some(ttl),
        Some(_) => return Err(invalid("The TTL must be from 0 to 2147483647")),
    };
    let mut values = Vec::new();
    for record in element.items("ResourceRecords") {
        let value = record
            .text_of("Value")
            .ok_or_else(|| invalid("A resource record needs a value"))?;
        values.push(value.to_owned());
    }
    Ok(RecordSet {
        name: dns_name::canonical(name),
        kind: kind.to_owned(),
        ttl,
        values,
        alias: element.child("AliasTarget").map(read_alias).transpose()?,
        routing: read_routing(element)?,
        health_check_id: element.text_of("HealthCheckId").map(str::to_owned),
    })
}

fn read_alias(alias: &Element) -> Answer<AliasTarget> {
    let part = |name: &str| {
        alias
            .text_of(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid(format!("An alias target needs {name}")))
    };
    Ok(AliasTarget {
        hosted_zone_id: part("HostedZoneId")?.to_owned(),
        dns_name: dns_name::canonical(part("DNSName")?),
        evaluate_target_health: match part("EvaluateTargetHealth")? {
            "true" => true,
            "false" => false,
            _ => return Err(invalid("EvaluateTargetHealth must be true or false")),
        },
    })
}

fn read_routing(element: &Element) -> Answer<Option<Routing>> {
    let text = |name: &str| element.text_of(name).map(str::to_owned);
    let weight = match element.text_of("Weight").map(str::parse::<u8>) {
        None => None,
        Some(Ok(weight)) => Some(RoutingPolicy::Weighted(weight)),
        Some(Err(_)) => return Err(invalid("The weight must be from 0 to 255")),
    };
    let failover = match text("Failover") {
        Some(role) if role != "PRIMARY" && role != "SECONDARY" => {
            return Err(invalid("Failover must be PRIMARY or SECONDARY"));
        }
        role => role.map(RoutingPolicy::Failover),
    };
    let geolocation = element.child("GeoLocation").map(|location| {
        let code = |name: &str| location.text_of(name).map(str::to_owned);
        RoutingPolicy::Geolocation {
            continent: code("ContinentCode"),
            country: code("CountryCode"),
            subdivision: code("SubdivisionCode"),
        }
    });
    let multi =
        (element.text_of("MultiValueAnswer") == Some("true")).then_some(RoutingPolicy::MultiValue);
    let latency = text("Region").map(RoutingPolicy::Latency);
    let mut policies: Vec<RoutingPolicy> = [weight, latency, failover, multi, geolocation]
        .into_iter()
        .flatten()
        .collect();
    let identifier = text("SetIdentifier");
    if policies.len() > 1 {
        return Err(invalid(
            "A resource record set can have only one routing policy",
        ));
    }
    match (policies.pop(), identifier) {
        (None, None) => Ok(None),
        (Some(policy), Some(set_identifier))
            if (1..=128).contains(&set_identifier.chars().count()) =>
        {
            Ok(Some(Routing {
                set_identifier,
                policy,
            }))
        }
        _ => Err(invalid(
            "A routing policy needs a set identifier of 1 to 128 characters, and a set identifier a routing policy",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::HostedZone;

    #[test]
    fn a_record_set_is_read_into_stored_form() {
        let element = Element::parse(
            "<ResourceRecordSet><Name>\\052.Example.COM</Name><Type>A</Type><AliasTarget><HostedZoneId>Z1</HostedZoneId><DNSName>LB.us-east-1.elb.amazonaws.com</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>",
        )
        .unwrap();
        let record = read(&element).unwrap();
        assert_eq!(record.name, "*.example.com.");
        assert_eq!(
            record.alias.as_ref().unwrap().dns_name,
            "lb.us-east-1.elb.amazonaws.com."
        );
        assert_eq!(HostedZone::key_of(&record).reversed, "com.example.*.");
        let element = Element::parse(
            "<ResourceRecordSet><Name>a.example.com</Name><Type>A</Type><Weight>1</Weight></ResourceRecordSet>",
        )
        .unwrap();
        assert_eq!(read(&element).unwrap_err().code, "InvalidInput");
    }
}
