//! What serves the world as it was before the latest news: the nodes of load
//! balancers and the name servers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Call, Hidden, Lag, Lags, Setting};
use crate::state::{
    HostedZone, Listener, LoadBalancer, RecordKey, RecordSet, State, Transition, arn,
};

/// Calls after which nodes act as before for a while.
const OF_LISTENERS: [&str; 10] = [
    "AddListenerCertificates",
    "CreateListener",
    "CreateRule",
    "DeleteListener",
    "DeleteRule",
    "ModifyListener",
    "ModifyListenerAttributes",
    "ModifyRule",
    "RemoveListenerCertificates",
    "SetRulePriorities",
];

/// What nodes and name servers knew before a call.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Listeners of the load balancers that the call names, by ARN.
    listeners: BTreeMap<String, Listener>,
    /// Records of the zones that the call names, by zone id.
    records: BTreeMap<String, BTreeMap<RecordKey, RecordSet>>,
}

/// How nodes know a listener.
enum Served<'a> {
    /// As the account has it.
    AsItIs,
    /// As it was before, if it was there.
    Earlier(Option<&'a Listener>),
}

impl Lags {
    /// The listener as the nodes know it.
    fn known_listener(&self, wanted: &str) -> Served<'_> {
        // The oldest news that has not come yet holds back those after it.
        let earlier = self.news.iter().find_map(|news| match &news.hidden {
            Hidden::Listener { arn, earlier } if arn == wanted => Some(earlier),
            _ => None,
        });
        match earlier {
            None => Served::AsItIs,
            Some(earlier) => Served::Earlier(earlier.as_deref()),
        }
    }
}

impl State {
    /// A listener of a load balancer as its nodes know it.
    pub fn served_listener<'a>(
        &'a self,
        balancer: &'a LoadBalancer,
        arn: &str,
    ) -> Option<&'a Listener> {
        match self.lags.known_listener(arn) {
            Served::Earlier(earlier) => earlier,
            Served::AsItIs => balancer.listeners.values().find(|it| it.arn == arn),
        }
    }

    /// The listeners of a load balancer as its nodes know them.
    pub fn served_listeners<'a>(&'a self, balancer: &'a LoadBalancer) -> Vec<&'a Listener> {
        if self.lags.news.is_empty() {
            return balancer.listeners.values().collect();
        }
        let mut served: BTreeMap<&str, Option<&Listener>> = balancer
            .listeners
            .values()
            .map(|it| (it.arn.as_str(), Some(it)))
            .collect();
        // The oldest news of a listener comes last here, and stays.
        for news in self.lags.news.iter().rev() {
            if let Hidden::Listener { arn, earlier } = &news.hidden
                && arn::load_balancer_of(arn).as_ref() == Some(&balancer.arn)
            {
                served.insert(arn, earlier.as_deref());
            }
        }
        served.into_values().flatten().collect()
    }

    /// Whether the nodes know a listener otherwise than the account does.
    pub fn is_stale(&self, listener: &str) -> bool {
        matches!(self.lags.known_listener(listener), Served::Earlier(_))
    }

    /// A hosted zone as the name servers know it.
    pub fn served_zone<'a>(&self, zone: &'a HostedZone) -> Cow<'a, HostedZone> {
        let mut served = Cow::Borrowed(zone);
        // The oldest news of a record comes last here, and stays.
        for news in self.lags.news.iter().rev() {
            if let Hidden::Record {
                zone: id,
                key,
                earlier,
            } = &news.hidden
                && *id == zone.id
            {
                let records = &mut served.to_mut().records;
                match earlier {
                    Some(earlier) => records.insert(key.clone(), RecordSet::clone(earlier)),
                    None => records.remove(key),
                };
            }
        }
        served
    }

    /// Until when what a call does stays hidden by a rule: `None` when the rule
    /// is off or not met.
    pub fn lags_until(&mut self, lag: Lag, now: Timestamp) -> Option<Timestamp> {
        let Setting { ms, probability } = self.lags.settings.get(&lag).copied()?;
        if self.draws.fraction() >= probability {
            return None;
        }
        let ms = self.timing.duration_ms(ms, self.draws.fraction());
        let lasts = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
        let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
        (until > now).then_some(until)
    }

    /// Notes what nodes and name servers know, where a call may change it.
    pub(super) fn known(&self, call: &Call) -> Known {
        let on = |lag| self.lags.settings.contains_key(&lag);
        let mut known = Known::default();
        if on(Lag::ChangeListener) && OF_LISTENERS.contains(&call.action) {
            let all = self.balancers_of(call);
            let listeners = all.flat_map(|balancer| balancer.listeners.values());
            let listeners = listeners.map(|listener| (listener.arn.clone(), listener.clone()));
            known.listeners = listeners.collect();
        }
        if on(Lag::ChangeRecords) && call.action == "ChangeResourceRecordSets" {
            let zones = self.hosted_zones.values();
            let zones = zones.filter(|zone| call.names(&zone.id));
            let records = zones.map(|zone| (zone.id.clone(), zone.records.clone()));
            known.records = records.collect();
        }
        known
    }

    fn balancers_of<'a>(&'a self, call: &Call<'a>) -> impl Iterator<Item = &'a LoadBalancer> {
        let mut arns: Vec<String> = call
            .names
            .iter()
            .filter_map(|name| arn::load_balancer_of(name))
            .chain(call.names.iter().map(|name| (*name).to_owned()))
            .collect();
        arns.sort_unstable();
        arns.dedup();
        arns.into_iter()
            .filter_map(|arn| self.load_balancers.get(&arn))
    }

    /// Notes what a call has changed for nodes and name servers.
    pub(super) fn note_served(&mut self, call: &Call, mut before: Known, now: Timestamp) {
        if self.lags.settings.contains_key(&Lag::ChangeListener)
            && OF_LISTENERS.contains(&call.action)
        {
            let present: BTreeMap<String, Listener> = self
                .balancers_of(call)
                .flat_map(|balancer| balancer.listeners.values())
                .map(|listener| (listener.arn.clone(), listener.clone()))
                .collect();
            let mut changed: Vec<(String, Option<Listener>)> = Vec::new();
            for (arn, listener) in &present {
                let earlier = before.listeners.remove(arn);
                if earlier.as_ref() != Some(listener) {
                    changed.push((arn.clone(), earlier));
                }
            }
            let gone = before.listeners.into_iter();
            changed.extend(gone.map(|(arn, earlier)| (arn, Some(earlier))));
            for (arn, earlier) in changed {
                let earlier = earlier.map(Box::new);
                let hidden = Hidden::Listener { arn, earlier };
                self.note(Lag::ChangeListener, hidden, now);
            }
        }
        for (zone, mut records) in before.records {
            let Some(present) = self.hosted_zones.get(&zone) else {
                continue;
            };
            let mut changed: Vec<(RecordKey, Option<RecordSet>)> = Vec::new();
            for (key, set) in &present.records {
                let earlier = records.remove(key);
                if earlier.as_ref() != Some(set) {
                    changed.push((key.clone(), earlier));
                }
            }
            changed.extend(records.into_iter().map(|(key, set)| (key, Some(set))));
            self.note_records(&zone, changed, now);
        }
    }

    /// Hides the changes of one batch together: at most until it is in sync.
    fn note_records(
        &mut self,
        zone: &str,
        changed: Vec<(RecordKey, Option<RecordSet>)>,
        now: Timestamp,
    ) {
        let Some(until) = self.lags_until(Lag::ChangeRecords, now) else {
            return;
        };
        let pending = self.due.iter().rev();
        let in_sync = pending
            .filter(|(_, transition)| match transition {
                Transition::ChangeInsync(id) => {
                    let change = self.changes.get(id);
                    change.is_some_and(|it| it.zone_id == zone && it.submitted == now)
                }
                _ => false,
            })
            .map(|((at, _), _)| *at)
            .next();
        let until = in_sync.map_or(now, |in_sync| until.min(in_sync));
        for (key, earlier) in changed {
            let hidden = Hidden::Record {
                zone: zone.to_owned(),
                key,
                earlier: earlier.map(Box::new),
            };
            self.hide(hidden, until, now);
        }
    }
}
