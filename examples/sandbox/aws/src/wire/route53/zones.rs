//! Hosted zones.

use jiff::Timestamp;

use super::{changed, invalid, max_items, write_change};
use crate::{
    state::{
        Answer, HostedZone, Refusal, State, dns_name,
        route53::{NewZone, bare_id},
    },
    wire::{params::Input, xml::Xml},
};

fn write(xml: &mut Xml, zone: &HostedZone) {
    xml.nest("HostedZone", |xml| {
        xml.leaf("Id", format!("/hostedzone/{}", zone.id))
            .leaf("Name", dns_name::escaped(&zone.name))
            .leaf("CallerReference", &zone.caller_reference);
        xml.nest("Config", |xml| {
            xml.maybe("Comment", zone.comment.as_ref())
                .leaf("PrivateZone", zone.private);
        });
        xml.leaf("ResourceRecordSetCount", zone.records.len());
    });
}

/// Name servers of a public zone, VPCs of a private one.
fn write_delegation(xml: &mut Xml, zone: &HostedZone) {
    if zone.private {
        xml.list("VPCs", "VPC", &zone.vpcs, |xml, (id, region)| {
            xml.leaf("VPCRegion", region).leaf("VPCId", id);
        });
    } else {
        xml.nest("DelegationSet", |xml| {
            xml.texts("NameServers", "NameServer", &zone.name_servers);
        });
    }
}

pub fn create(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let vpc = input.part("VPC");
    let config = input.part("HostedZoneConfig");
    let new = NewZone {
        name: input.need("Name")?,
        caller_reference: input.need("CallerReference")?,
        comment: config.text("Comment"),
        vpc: input.has("VPC").then(|| {
            let part = |name| vpc.text(name).unwrap_or_default();
            (part("VPCId"), part("VPCRegion"))
        }),
        private: config.flag("PrivateZone")?,
    };
    let delegation_set = input.text("DelegationSetId");
    let fallback = input.flag("EnablePublicDNSFallback")?;
    input.done()?;
    if let Some(id) = delegation_set {
        return Err(no_delegation_set(&id));
    }
    if fallback == Some(true) && new.vpc.is_none() {
        return Err(invalid(
            "Public DNS fallback is supported only for private hosted zones",
        ));
    }
    let (id, change) = state.create_hosted_zone(new, now)?;
    let zone = state.hosted_zone(&id)?;
    let mut xml = Xml::default();
    write(&mut xml, zone);
    write_change(&mut xml, state.change(&change)?);
    if zone.private {
        xml.nest("VPC", |xml| {
            for (id, region) in &zone.vpcs {
                xml.leaf("VPCRegion", region).leaf("VPCId", id);
            }
        });
    } else {
        write_delegation(&mut xml, zone);
    }
    xml.header(
        "location",
        format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{id}"),
    );
    Ok(xml)
}

/// Reusable delegation sets cannot be made here.
fn no_delegation_set(id: &str) -> Refusal {
    Refusal::new(
        "NoSuchDelegationSet",
        format!("No delegation set found with ID: {}", bare_id(id)),
    )
}

pub fn get(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("Id")?;
    input.done()?;
    let zone = state.hosted_zone(&id)?;
    let mut xml = Xml::default();
    write(&mut xml, zone);
    write_delegation(&mut xml, zone);
    Ok(xml)
}

pub fn count(input: &Input, state: &State) -> Answer<Xml> {
    input.done()?;
    let mut xml = Xml::default();
    xml.leaf("HostedZoneCount", state.hosted_zones.len());
    Ok(xml)
}

pub fn update_comment(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("Id")?;
    let comment = input.text("Comment");
    input.done()?;
    state.update_zone_comment(&id, comment, now)?;
    let mut xml = Xml::default();
    write(&mut xml, state.hosted_zone(&id)?);
    Ok(xml)
}

pub fn delete(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let id = input.need("Id")?;
    input.done()?;
    let change = state.delete_hosted_zone(&id, now)?;
    changed(state, &change)
}

/// No zone is signed here.
pub fn signing(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("HostedZoneId")?;
    input.done()?;
    if state.hosted_zone(&id)?.private {
        return Err(Refusal::new(
            "InvalidArgument",
            "DNSSEC is not supported for private hosted zones",
        ));
    }
    let mut xml = Xml::default();
    xml.nest("Status", |xml| {
        xml.leaf("ServeSignature", "NOT_SIGNING");
    });
    xml.nest("KeySigningKeys", |_| {});
    Ok(xml)
}

pub fn list(input: &Input, state: &State) -> Answer<Xml> {
    let size = max_items(input, 100)?;
    let marker = input.text("Marker");
    let delegation_set = input.text("DelegationSetId");
    let only_private = input.text("HostedZoneType").is_some();
    input.done()?;
    if let Some(id) = delegation_set {
        return Err(no_delegation_set(&id));
    }
    let marker = marker.as_deref();
    let mut zones = state
        .hosted_zones
        .values()
        .filter(|zone| !only_private || zone.private)
        .skip_while(|zone| marker.is_some_and(|marker| zone.id != bare_id(marker)));
    let shown: Vec<&HostedZone> = zones.by_ref().take(size.page).collect();
    if marker.is_some() && shown.is_empty() {
        return Err(invalid("The marker is not valid"));
    }
    let next = zones.next();
    let mut xml = Xml::default();
    xml.nest("HostedZones", |xml| {
        for zone in &shown {
            write(xml, zone);
        }
    });
    xml.maybe("Marker", marker)
        .leaf("IsTruncated", next.is_some())
        .maybe("NextMarker", next.map(|zone| &zone.id))
        .leaf("MaxItems", size.asked);
    Ok(xml)
}

pub fn list_by_name(input: &Input, state: &State) -> Answer<Xml> {
    let size = max_items(input, 100)?;
    let start_name = input.text("DNSName");
    let start_id = input.text("HostedZoneId");
    input.done()?;
    let start_name = start_name.as_deref();
    let start_id = start_id.as_deref().map(bare_id);
    if start_id.is_some() && start_name.is_none() {
        return Err(invalid("hostedzoneid can only be given with dnsname"));
    }
    if let Some(name) = start_name.filter(|name| dns_name::fault(name).is_some()) {
        return Err(Refusal::new(
            "InvalidDomainName",
            format!("{name} is not a valid domain name"),
        ));
    }
    let start = start_name.map(|name| {
        let labels = dns_name::reversed(&dns_name::canonical(name));
        (labels, start_id.unwrap_or_default().to_owned())
    });
    let mut sorted: Vec<((String, String), &HostedZone)> = state
        .hosted_zones
        .values()
        .map(|zone| ((dns_name::reversed(&zone.name), zone.id.clone()), zone))
        .filter(|(key, _)| start.as_ref().is_none_or(|start| key >= start))
        .collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let next = sorted.get(size.page).map(|(_, zone)| *zone);
    let mut xml = Xml::default();
    xml.nest("HostedZones", |xml| {
        for (_, zone) in sorted.iter().take(size.page) {
            write(xml, zone);
        }
    });
    xml.maybe("DNSName", start_name)
        .maybe("HostedZoneId", start_id)
        .leaf("IsTruncated", next.is_some())
        .maybe(
            "NextDNSName",
            next.map(|zone| dns_name::escaped(&zone.name)),
        )
        .maybe("NextHostedZoneId", next.map(|zone| &zone.id))
        .leaf("MaxItems", size.asked);
    Ok(xml)
}
