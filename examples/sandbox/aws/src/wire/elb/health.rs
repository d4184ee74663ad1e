//! Operations on targets.

use std::net::Ipv6Addr;

use jiff::Timestamp;

use super::nothing;
use crate::{
    state::{
        Answer, Protocol, Refusal, State, TargetGroup, TargetHealth, TargetKey,
        registration::NewTarget,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "RegisterTargets" => register(input, state, now),
        "DeregisterTargets" => deregister(input, state, now),
        "DescribeTargetHealth" => describe(input, state),
        _ => return None,
    })
}

/// Targets as they are named; an IPv6 address in its shortest spelling, so that
/// it is one target however it is written.
fn read_targets(input: &Input) -> Answer<Vec<NewTarget>> {
    input
        .list("Targets")
        .iter()
        .map(|target| {
            let id = target.need("Id")?;
            let address = id.parse::<Ipv6Addr>().ok();
            Ok(NewTarget {
                id: address.map_or(id, |address| address.to_string()),
                port: target.number("Port")?,
                availability_zone: target.text("AvailabilityZone"),
                quic_server_id: target.text("QuicServerId"),
            })
        })
        .collect()
}

fn register(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("TargetGroupArn")?;
    let targets = read_targets(input)?;
    input.done()?;
    nothing(state.register_targets(&arn, &targets, now))
}

fn deregister(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("TargetGroupArn")?;
    let targets = read_targets(input)?;
    input.done()?;
    nothing(state.deregister_targets(&arn, &targets, now))
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("TargetGroupArn")?;
    let named = read_targets(input)?;
    let include = input.texts("Include");
    input.done()?;
    let unknown = |word: &&String| !matches!(word.as_str(), "AnomalyDetection" | "All");
    if let Some(word) = include.iter().find(unknown) {
        return Err(Refusal::validation(format!(
            "1 validation error detected: Value '{word}' at 'include' failed to satisfy constraint: Member must satisfy enum value set: [AnomalyDetection, All]"
        )));
    }
    let group = state.target_group(&arn)?;
    let targets = state.described_targets(&arn, &named)?;
    let mut xml = Xml::default();
    let health = state.group_health(group);
    let zonal_shift = state.has_zonal_shift(group);
    xml.list("TargetHealthDescriptions", "member", targets, |xml, key| {
        write(xml, group, &key, &health.of(&key), zonal_shift);
        if !include.is_empty() {
            write_anomaly(xml, group);
        }
    });
    Ok(xml)
}

fn write(
    xml: &mut Xml,
    group: &TargetGroup,
    key: &TargetKey,
    health: &TargetHealth,
    zonal_shift: bool,
) {
    let target = group.targets.get(key);
    // Functions have no port.
    let port = group.port.map(|_| key.port);
    xml.nest("Target", |xml| {
        xml.leaf("Id", &key.id)
            .maybe("Port", port)
            .maybe(
                "AvailabilityZone",
                target.and_then(|target| target.availability_zone.as_ref()),
            )
            .maybe(
                "QuicServerId",
                target.and_then(|target| target.quic_server_id.as_ref()),
            );
    });
    xml.maybe("HealthCheckPort", group.health_check.port.or(port));
    xml.nest("TargetHealth", |xml| {
        xml.leaf("State", health.state.as_str())
            .maybe("Reason", health.reason)
            .maybe("Description", health.description.as_ref());
    });
    if zonal_shift {
        xml.nest("AdministrativeOverride", |xml| {
            xml.leaf("State", "no_override")
                .leaf("Reason", "AdministrativeOverride.NoOverride")
                .leaf("Description", "No override is currently active on target");
        });
    }
}

/// Nothing here behaves out of line with its neighbours.
fn write_anomaly(xml: &mut Xml, group: &TargetGroup) {
    if group.protocol.is_some_and(Protocol::is_http) {
        xml.nest("AnomalyDetection", |xml| {
            xml.leaf("Result", "normal")
                .leaf("MitigationInEffect", "no");
        });
    }
}
