//! Reserved capacity of load balancers.

use jiff::Timestamp;

use crate::{
    state::{Answer, State},
    wire::{
        params::Input,
        xml::{Xml, time},
    },
};

pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeCapacityReservation" => describe(input, state, now),
        "ModifyCapacityReservation" => modify(input, state, now),
        _ => return None,
    })
}

fn describe(input: &Input, state: &State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    input.done()?;
    answer(state, &arn, now)
}

fn modify(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let units = if input.has("MinimumLoadBalancerCapacity") {
        let capacity = input.part("MinimumLoadBalancerCapacity");
        Some(capacity.need_number("CapacityUnits")?)
    } else {
        None
    };
    let reset = input.flag("ResetCapacityReservation")?.unwrap_or(false);
    input.done()?;
    state.modify_capacity(&arn, units, reset, now)?;
    answer(state, &arn, now)
}

fn answer(state: &State, arn: &str, now: Timestamp) -> Answer<Xml> {
    let balancer = state.load_balancer(arn)?;
    let mut xml = Xml::default();
    xml.maybe(
        "LastModifiedTime",
        balancer.capacity.map(|capacity| time(capacity.modified)),
    );
    xml.leaf(
        "DecreaseRequestsRemaining",
        balancer.decreases_remaining(now),
    );
    let Some(capacity) = balancer.capacity else {
        xml.nest("CapacityReservationState", |_| {});
        return Ok(xml);
    };
    xml.nest("MinimumLoadBalancerCapacity", |xml| {
        xml.leaf("CapacityUnits", capacity.units);
    });
    xml.list(
        "CapacityReservationState",
        "member",
        balancer.zonal_capacity(),
        |xml, (zone, units)| {
            xml.nest("State", |xml| {
                xml.leaf("Code", capacity.status.as_str());
            });
            xml.leaf("AvailabilityZone", zone)
                .leaf("EffectiveCapacityUnits", format!("{units:?}"));
        },
    );
    Ok(xml)
}
