//! What the resolvers between clients and name servers remember, where the rule
//! `resolver-cache` is on.

use std::collections::HashMap;
use std::time::Duration;

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use jiff::Timestamp;

use super::zone::Found;
use crate::chance::Purpose;
use crate::shared::SharedState;
use crate::state::lag::Lag;

/// More answers are not remembered.
const MOST: usize = 10_000;

/// Answers that were given, until they have lived their time.
#[derive(Debug, Default)]
pub(super) struct Cache(HashMap<(String, RecordType), Remembered>);

#[derive(Debug)]
struct Remembered {
    until: Timestamp,
    found: Found,
}

impl Cache {
    /// What is remembered, with the time that it has left to live, else what
    /// `ask` finds; and whether it was remembered.
    pub(super) fn answer(
        &mut self,
        question: &Query,
        state: &SharedState,
        ask: impl FnOnce() -> Found,
    ) -> (Found, bool) {
        let home = state.home();
        let rule = home.read(|state| {
            let setting = state.lags.settings.get(&Lag::ResolverCache).copied()?;
            let most = state.timing.duration_ms(setting.ms, 0.5);
            Some((Duration::from_millis(most), setting.probability))
        });
        let Some((most, probability)) = rule else {
            self.0.clear();
            return (ask(), false);
        };
        let now = state.now();
        let name = question.name.to_ascii().to_ascii_lowercase();
        let asked = (name, question.query_type);
        if let Some(remembered) = self.0.get(&asked) {
            let left = remembered.until.duration_since(now);
            if let Ok(left) = Duration::try_from(left)
                && !left.is_zero()
            {
                return (remembered.found.aged(left), true);
            }
            self.0.remove(&asked);
        }
        let found = ask();
        let lives = found.lives().min(most);
        let until = now.checked_add(lives).ok().filter(|until| *until > now);
        if self.0.len() >= MOST {
            self.0.retain(|_, remembered| remembered.until > now);
        }
        if let Some(until) = until
            && self.0.len() < MOST
            && state.chance().fraction(Purpose::Dns) < probability
        {
            let found = found.clone();
            self.0.insert(asked, Remembered { until, found });
        }
        (found, false)
    }
}

impl Found {
    /// How long resolvers may remember it: that there is nothing for as long as
    /// the SOA record says (RFC 2308).
    fn lives(&self) -> Duration {
        if self.code != ResponseCode::NoError && self.code != ResponseCode::NXDomain {
            return Duration::ZERO;
        }
        let seconds = if self.answers.is_empty() {
            let soas = self.authorities.iter();
            let nothing = soas.filter_map(|record| match &record.data {
                RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                _ => None,
            });
            nothing.min()
        } else {
            self.answers.iter().map(|record| record.ttl).min()
        };
        Duration::from_secs(seconds.unwrap_or(0).into())
    }

    /// The same with so much time left to live.
    fn aged(&self, left: Duration) -> Self {
        let left = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        let mut aged = self.clone();
        for record in aged.answers.iter_mut().chain(&mut aged.authorities) {
            record.ttl = record.ttl.min(left);
        }
        aged
    }
}
