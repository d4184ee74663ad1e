//! Hosted zones and their tags.

use jiff::Timestamp;

use super::{Done, Request, invalid, write_change};
use crate::{
    state::{
        Answer, HostedZone, State, dns_name,
        route53::{NewZone, bare_id},
    },
    wire::xml::{Element, Xml},
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

pub fn create(request: &Request, state: &mut State, now: Timestamp) -> Answer<Done> {
    request.only(&[])?;
    let body = request.document("CreateHostedZoneRequest")?;
    let known = ["Name", "CallerReference", "HostedZoneConfig", "VPC"];
    if let Some(stray) = body.stray(&known) {
        return Err(invalid(format!("Unexpected element '{stray}'")));
    }
    let text = |element: &Element, name: &str| element.text_of(name).map(str::to_owned);
    let vpc = body.child("VPC");
    let new = NewZone {
        name: text(&body, "Name").ok_or_else(|| invalid("A name is needed"))?,
        caller_reference: text(&body, "CallerReference").unwrap_or_default(),
        comment: body
            .child("HostedZoneConfig")
            .and_then(|config| text(config, "Comment")),
        vpc: vpc.map(|vpc| {
            let part = |name| text(vpc, name).unwrap_or_default();
            (part("VPCId"), part("VPCRegion"))
        }),
        private: None,
    };
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
    Ok(Done {
        xml,
        status: 201,
        location: Some(format!(
            "https://route53.amazonaws.com/2013-04-01/hostedzone/{id}"
        )),
    })
}

pub fn get(request: &Request, state: &State) -> Answer<Xml> {
    request.only(&[])?;
    let zone = state.hosted_zone(&request.id)?;
    let mut xml = Xml::default();
    write(&mut xml, zone);
    write_delegation(&mut xml, zone);
    Ok(xml)
}

pub fn delete(request: &Request, state: &mut State, now: Timestamp) -> Answer<Xml> {
    request.only(&[])?;
    let change = state.delete_hosted_zone(&request.id, now)?;
    let mut xml = Xml::default();
    write_change(&mut xml, state.change(&change)?);
    Ok(xml)
}

pub fn list(request: &Request, state: &State) -> Answer<Xml> {
    request.only(&["marker", "maxitems", "hostedzonetype", "delegationsetid"])?;
    if request.text("delegationsetid").is_some() {
        return Err(invalid("Reusable delegation sets are not simulated"));
    }
    let size = request.max_items(100)?;
    let marker = request.text("marker");
    let only_private = match request.text("hostedzonetype") {
        None => false,
        Some("PrivateHostedZone") => true,
        Some(_) => return Err(invalid("The value of hostedzonetype is not valid")),
    };
    let mut zones = state
        .hosted_zones
        .values()
        .filter(|zone| !only_private || zone.private)
        .skip_while(|zone| marker.is_some_and(|marker| zone.id != bare_id(marker)));
    let shown: Vec<&HostedZone> = zones.by_ref().take(size).collect();
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
        .leaf("MaxItems", size);
    Ok(xml)
}

pub fn list_by_name(request: &Request, state: &State) -> Answer<Xml> {
    request.only(&["dnsname", "hostedzoneid", "maxitems"])?;
    let size = request.max_items(100)?;
    let start_name = request.text("dnsname");
    let start_id = request.text("hostedzoneid").map(bare_id);
    if start_id.is_some() && start_name.is_none() {
        return Err(invalid("hostedzoneid can only be given with dnsname"));
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
    let next = sorted.get(size).map(|(_, zone)| *zone);
    let mut xml = Xml::default();
    xml.nest("HostedZones", |xml| {
        for (_, zone) in sorted.iter().take(size) {
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
        .leaf("MaxItems", size);
    Ok(xml)
}

fn write_tag_set(xml: &mut Xml, state: &State, id: &str) {
    xml.leaf("ResourceType", "hostedzone")
        .leaf("ResourceId", id);
    let tags = state.tags.get(id).into_iter().flatten();
    xml.list("Tags", "Tag", tags, |xml, (key, value)| {
        xml.leaf("Key", key).leaf("Value", value);
    });
}

pub fn list_tags(request: &Request, state: &State) -> Answer<Xml> {
    request.only(&[])?;
    let id = &state.hosted_zone(&request.id)?.id;
    let mut xml = Xml::default();
    xml.nest("ResourceTagSet", |xml| write_tag_set(xml, state, id));
    Ok(xml)
}

pub fn list_many_tags(request: &Request, state: &State) -> Answer<Xml> {
    request.only(&[])?;
    let body = request.document("ListTagsForResourcesRequest")?;
    let ids: Vec<&str> = body
        .items("ResourceIds")
        .iter()
        .map(|item| bare_id(item.text.trim()))
        .collect();
    if ids.is_empty() || ids.len() > 10 {
        return Err(invalid("1 to 10 resource ids can be specified"));
    }
    for id in &ids {
        state.hosted_zone(id)?;
    }
    let mut xml = Xml::default();
    xml.list("ResourceTagSets", "ResourceTagSet", ids, |xml, id| {
        write_tag_set(xml, state, id);
    });
    Ok(xml)
}

pub fn change_tags(request: &Request, state: &mut State) -> Answer<Xml> {
    request.only(&[])?;
    let body = request.document("ChangeTagsForResourceRequest")?;
    let mut add = Vec::new();
    for tag in body.items("AddTags") {
        let part = |name| tag.text_of(name).unwrap_or_default().to_owned();
        add.push((part("Key"), part("Value")));
    }
    let remove: Vec<String> = body
        .items("RemoveTagKeys")
        .iter()
        .map(|key| key.text.trim().to_owned())
        .collect();
    let id = state.hosted_zone(&request.id)?.id.clone();
    state.change_route53_tags(&id, &add, &remove)?;
    Ok(Xml::default())
}
