//! Reserved capacity of load balancers: granted a while after it is asked for.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Answer, LoadBalancer, LoadBalancerState, Refusal, State, Transition};

/// A reservation may be made smaller this often in a day.
const DECREASES_A_DAY: usize = 2;

/// A reservation of capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapacityReservation {
    /// Capacity units, for all zones together.
    pub units: u32,
    /// Capacity units that are granted already.
    pub effective: u32,
    /// How far it is.
    pub status: CapacityStatus,
    /// When it was changed last.
    pub modified: Timestamp,
}

/// `State.Code` of a reservation in each zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityStatus {
    /// Asked for.
    Pending,
    /// Granted.
    Provisioned,
    /// Granted, and being spread over other zones.
    Rebalancing,
}

impl CapacityStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Provisioned => "provisioned",
            Self::Rebalancing => "rebalancing",
        }
    }
}

impl LoadBalancer {
    /// How often its reservation may still be made smaller today.
    pub fn decreases_remaining(&self, now: Timestamp) -> usize {
        DECREASES_A_DAY.saturating_sub(self.recent_decreases(now).count())
    }

    fn recent_decreases(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let day = SignedDuration::from_hours(24);
        self.capacity_decreases
            .iter()
            .copied()
            .filter(move |at| now.duration_since(*at) < day)
    }

    /// Refuses a change while a reservation is not granted yet.
    pub(super) fn check_no_pending_capacity(&self) -> Answer<()> {
        let settled = self
            .capacity
            .is_none_or(|capacity| capacity.status == CapacityStatus::Provisioned);
        if settled {
            return Ok(());
        }
        Err(Refusal::new(
            "CapacityReservationPending",
            format!(
                "There is a pending capacity reservation for load balancer '{}'",
                self.arn
            ),
        ))
    }

    /// The zones with the capacity units that are granted in each.
    pub fn zonal_capacity(&self) -> BTreeMap<&str, f64> {
        let granted = self.capacity.map_or(0, |capacity| capacity.effective);
        let zones = u32::try_from(self.subnets.len().max(1)).unwrap_or(u32::MAX);
        self.subnets
            .keys()
            .map(|zone| (zone.as_str(), f64::from(granted) / f64::from(zones)))
            .collect()
    }
}

impl State {
    /// ModifyCapacityReservation: asks for capacity units, or gives all back.
    pub fn modify_capacity(
        &mut self,
        arn: &str,
        units: Option<i64>,
        reset: bool,
        now: Timestamp,
    ) -> Answer<()> {
        let balancer = self.load_balancer(arn)?;
        if units.is_some() == reset {
            return Err(Refusal::validation(
                "Either a minimum load balancer capacity or a reset of the capacity reservation must be specified",
            ));
        }
        let secure = |listener: &super::Listener| listener.protocol.as_str() == "TLS";
        if balancer.listeners.values().any(secure) {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                "Capacity reservations are not supported for network load balancers with TLS listeners",
            ));
        }
        if balancer.state != LoadBalancerState::Active {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!("Load balancer '{arn}' must be active to reserve capacity"),
            ));
        }
        balancer.check_no_pending_capacity()?;
        let Some(units) = units else {
            let balancer = self.load_balancer_mut(arn)?;
            balancer.capacity = None;
            return Ok(());
        };
        let units = u32::try_from(units)
            .ok()
            .filter(|units| *units > 0)
            .ok_or_else(|| {
                Refusal::validation(format!(
                    "The number of capacity units '{units}' must be positive"
                ))
            })?;
        let quota = format!(
            "capacity-units-per-{}-load-balancer",
            balancer.kind.as_str()
        );
        let most = self.quotas.limit(&quota);
        if usize::try_from(units).is_ok_and(|units| units > most) {
            return Err(Refusal::new(
                "CapacityUnitsLimitExceeded",
                format!("A load balancer can reserve at most {most} capacity units"),
            ));
        }
        let held = balancer.capacity.map_or(0, |capacity| capacity.units);
        if units == held {
            return Ok(());
        }
        if units < held && balancer.decreases_remaining(now) == 0 {
            return Err(Refusal::new(
                "CapacityDecreaseRequestLimitExceeded",
                format!(
                    "The capacity reservation can be decreased at most {DECREASES_A_DAY} times a day"
                ),
            ));
        }
        let decreases: Vec<Timestamp> = balancer.recent_decreases(now).collect();
        let effective = balancer.capacity.map_or(0, |capacity| capacity.effective);
        let balancer = self.load_balancer_mut(arn)?;
        balancer.capacity_decreases = decreases;
        if units < held {
            balancer.capacity_decreases.push(now);
        }
        balancer.capacity = Some(CapacityReservation {
            units,
            effective,
            status: CapacityStatus::Pending,
            modified: now,
        });
        self.schedule_capacity(arn, now);
        Ok(())
    }

    /// Spreads a reservation over the zones that a load balancer has now.
    pub(super) fn rebalance_capacity(&mut self, arn: &str, now: Timestamp) {
        let reserved = self
            .load_balancers
            .get_mut(arn)
            .and_then(|balancer| balancer.capacity.as_mut());
        if let Some(capacity) = reserved {
            capacity.status = CapacityStatus::Rebalancing;
            self.schedule_capacity(arn, now);
        }
    }

    fn schedule_capacity(&mut self, arn: &str, now: Timestamp) {
        self.schedule(
            now,
            self.timing.capacity_ms,
            Transition::CapacityProvisioned(arn.to_owned()),
        );
    }

    /// Grants what was asked for.
    pub(super) fn grant_capacity(&mut self, arn: &str) {
        let reserved = self
            .load_balancers
            .get_mut(arn)
            .and_then(|balancer| balancer.capacity.as_mut());
        if let Some(capacity) = reserved {
            capacity.status = CapacityStatus::Provisioned;
            capacity.effective = capacity.units;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        Timing, World,
        state::{load_balancer::NewLoadBalancer, load_balancer_change::NewSubnets},
    };

    fn after(start: Timestamp, hours: i64) -> Timestamp {
        start
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap()
    }

    #[test]
    fn a_reservation_is_granted_later_and_made_smaller_twice_a_day() {
        let start = Timestamp::UNIX_EPOCH;
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let ids = World::default().build(&mut state, start).unwrap();
        let new = NewLoadBalancer {
            name: "web".to_owned(),
            subnets: ids.public_subnets.clone(),
            ..NewLoadBalancer::default()
        };
        let arn = state.create_load_balancer(new, start).unwrap();
        let code = |answer: Answer<()>| answer.unwrap_err().code;
        let early = state.modify_capacity(&arn, Some(300), false, start);
        assert_eq!(code(early), "InvalidConfigurationRequest");
        let mut now = after(start, 1);
        state.advance(now);

        for (units, reset, wanted) in [
            (None, false, "ValidationError"),
            (Some(1), true, "ValidationError"),
            (Some(0), false, "ValidationError"),
            (Some(15_001), false, "CapacityUnitsLimitExceeded"),
        ] {
            let refused = state.modify_capacity(&arn, units, reset, now);
            assert_eq!(code(refused), wanted, "{units:?} {reset}");
        }

        state.modify_capacity(&arn, Some(300), false, now).unwrap();
        let capacity = state.load_balancers[&arn].capacity.unwrap();
        assert_eq!((capacity.units, capacity.effective), (300, 0));
        assert_eq!(capacity.status, CapacityStatus::Pending);
        let again = state.modify_capacity(&arn, Some(400), false, now);
        assert_eq!(code(again), "CapacityReservationPending");
        let two = NewSubnets {
            subnets: ids.public_subnets[..2].to_vec(),
            ..NewSubnets::default()
        };
        let moved = state.set_subnets(&arn, &two, now);
        assert_eq!(code(moved), "CapacityReservationPending");
        now = after(now, 1);
        state.advance(now);
        let zones = state.load_balancers[&arn].zonal_capacity();
        assert_eq!(zones.values().copied().collect::<Vec<_>>(), [100.0; 3]);

        for units in [200, 100] {
            state
                .modify_capacity(&arn, Some(units), false, now)
                .unwrap();
            now = after(now, 1);
            state.advance(now);
        }
        assert_eq!(state.load_balancers[&arn].decreases_remaining(now), 0);
        let third = state.modify_capacity(&arn, Some(50), false, now);
        assert_eq!(code(third), "CapacityDecreaseRequestLimitExceeded");
        state.modify_capacity(&arn, Some(100), false, now).unwrap();
        state.modify_capacity(&arn, Some(150), false, now).unwrap();
        now = after(now, 24);
        state.advance(now);
        state.modify_capacity(&arn, Some(50), false, now).unwrap();
        now = after(now, 1);
        state.advance(now);

        state.set_subnets(&arn, &two, now).unwrap();
        let status = state.load_balancers[&arn].capacity.unwrap().status;
        assert_eq!(status, CapacityStatus::Rebalancing);
        now = after(now, 1);
        state.advance(now);
        state.modify_capacity(&arn, None, true, now).unwrap();
        assert_eq!(state.load_balancers[&arn].capacity, None);
    }
}
