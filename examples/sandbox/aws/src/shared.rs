//! The accounts behind a lock, with a signal for those who follow their changes.
//!
//! There is one [`State`] for each account and region, made when it is first
//! asked for. A handle looks at one of them; `everywhere` looks at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::{
    Timing,
    chance::Chance,
    state::{State, elsewhere::Elsewhere, ids::Ids},
};

pub use crate::state::elsewhere::Place;

type States = BTreeMap<Place, State>;

/// A cheap handle on an account. The lock is held for one closure at a time
/// and never across an `.await`.
#[derive(Debug, Clone)]
pub struct SharedState {
    states: Arc<Mutex<States>>,
    /// The configured account and region, whose settings others begin with.
    home: Arc<Place>,
    place: Arc<Place>,
    version: Arc<watch::Sender<u64>>,
    /// How far the simulated time is ahead of the wall's, in milliseconds.
    ahead_ms: Arc<watch::Sender<i64>>,
    chance: Chance,
}

/// The states, one of which has the others in its hands until this is dropped.
struct Apart<'a> {
    states: &'a mut States,
    place: &'a Place,
    state: Option<State>,
}

impl<'a> Apart<'a> {
    fn new(states: &'a mut States, place: &'a Place) -> Self {
        let mut state = states.remove(place);
        if let Some(state) = &mut state {
            state.elsewhere = Elsewhere(std::mem::take(states));
        }
        Self {
            states,
            place,
            state,
        }
    }
}

impl Drop for Apart<'_> {
    fn drop(&mut self) {
        if let Some(mut state) = self.state.take() {
            *self.states = std::mem::take(&mut state.elsewhere).0;
            self.states.insert(self.place.clone(), state);
        }
    }
}

impl SharedState {
    /// Puts an account behind a lock; what is left to chance is the same each time.
    pub fn new(state: State) -> Self {
        Self::seeded(state, 0)
    }

    /// The same, with all that is left to chance drawn by a seed.
    pub fn seeded(mut state: State, seed: u64) -> Self {
        state.draw_by(seed);
        let home = Arc::new(Place {
            account: state.account.clone(),
            region: state.region.clone(),
        });
        Self {
            states: Arc::new(Mutex::new([(Place::clone(&home), state)].into())),
            place: home.clone(),
            home,
            version: Arc::new(watch::Sender::new(0)),
            ahead_ms: Arc::new(watch::Sender::new(0)),
            chance: Chance::of(seed),
        }
    }

    /// What serves the accounts draws here.
    pub(crate) fn chance(&self) -> &Chance {
        &self.chance
    }

    /// Begins all draws anew by a seed.
    pub fn reseed(&self, seed: u64) {
        for state in self.lock().values_mut() {
            state.draw_by(seed);
        }
        self.chance.begin(seed);
    }

    /// The simulated time, which AWS's states and the expiry of tokens go by.
    /// Signatures, sockets and TLS go by the wall's.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(*self.ahead_ms.borrow());
        let now = Timestamp::now();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// Moves the simulated time forward: all that is due until then happens in
    /// its order, one account after the other where two are due at once.
    pub fn forward(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        {
            let mut states = self.lock();
            self.ahead_ms
                .send_modify(|ahead| *ahead = ahead.saturating_add(by_ms));
            let now = self.now();
            let next = |states: &States| {
                let due = states.iter();
                let due = due.filter_map(|(place, state)| Some((state.next_due()?, place.clone())));
                due.min().filter(|(at, _)| *at <= now)
            };
            while let Some((at, place)) = next(&states) {
                if let Some(state) = states.get_mut(&place) {
                    state.advance(at);
                }
            }
        }
        self.tell();
    }

    /// How far the simulated time is ahead, in milliseconds; wait on it for
    /// the next move.
    pub fn moves(&self) -> watch::Receiver<i64> {
        self.ahead_ms.subscribe()
    }

    /// A handle on another account or region. It is made when it is first used.
    #[must_use]
    pub fn at(&self, account: &str, region: &str) -> Self {
        Self {
            place: Arc::new(Place {
                account: account.to_owned(),
                region: region.to_owned(),
            }),
            ..self.clone()
        }
    }

    /// A handle on the account and region that an ARN names, if there is
    /// anything in it; else on the one that is configured.
    #[must_use]
    pub fn of_arn(&self, arn: &str) -> Self {
        let mut parts = arn.splitn(6, ':').skip(3);
        let (Some(region), Some(account)) = (parts.next(), parts.next()) else {
            return self.home();
        };
        let there = self.at(account, region);
        let known = self.lock().contains_key(&*there.place);
        if known { there } else { self.home() }
    }

    /// A handle on the account and region that are configured.
    #[must_use]
    pub fn home(&self) -> Self {
        Self {
            place: self.home.clone(),
            ..self.clone()
        }
    }

    /// The account and region of this handle.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Looks at the account.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(self.present(&mut self.lock()))
    }

    /// Looks at all accounts, the configured one first.
    pub fn everywhere<T>(&self, look: impl FnOnce(&[&State]) -> T) -> T {
        let states = self.lock();
        let home = states.get(&*self.home);
        let others = states.iter().filter(|(place, _)| **place != *self.home);
        let all: Vec<&State> = home
            .into_iter()
            .chain(others.map(|(_, state)| state))
            .collect();
        look(&all)
    }

    /// Changes the account at the present time, after what was due, and tells the followers.
    pub fn write<T>(&self, change: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let answer = {
            let mut states = self.lock();
            let state = self.present(&mut states);
            let now = self.now();
            state.advance(now);
            change(state, now)
        };
        self.tell();
        answer
    }

    /// Changes all accounts, and tells the followers.
    pub fn write_everywhere(&self, mut change: impl FnMut(&mut State, Timestamp)) {
        {
            let mut states = self.lock();
            let now = self.now();
            for state in states.values_mut() {
                state.advance(now);
                change(state, now);
            }
        }
        self.tell();
    }

    /// Changes the account; tells the followers only when `change` says that it did.
    pub fn update(&self, change: impl FnOnce(&mut State, Timestamp) -> bool) {
        let changed = {
            let mut states = self.lock();
            let state = self.present(&mut states);
            let now = self.now();
            let due = state.advance(now);
            change(state, now) || due
        };
        if changed {
            self.tell();
        }
    }

    /// As [`update`](Self::update), for what depends on other regions and
    /// accounts: the state knows of them while it is changed.
    pub(crate) fn update_with_others(&self, change: impl FnOnce(&mut State, Timestamp) -> bool) {
        let changed = {
            let mut states = self.lock();
            self.present(&mut states);
            let now = self.now();
            let mut apart = Apart::new(&mut states, &self.place);
            let Some(state) = &mut apart.state else {
                return;
            };
            let due = state.advance(now);
            let changed = change(state, now) || due;
            let asked = std::mem::take(&mut state.asked_of_others);
            drop(apart);
            for asked in asked {
                for state in states.values_mut() {
                    state.take_association(&asked);
                }
            }
            changed
        };
        if changed {
            self.tell();
        }
    }

    /// Lets every region of the account know of its server certificates, which
    /// are kept in this one.
    pub(crate) fn share_server_certificates(&self) {
        let mut states = self.lock();
        let all = self.present(&mut states).server_certificates.clone();
        for (place, state) in states.iter_mut() {
            if place.account == self.place.account && *place != *self.place {
                state.take_server_certificates(&all);
            }
        }
    }

    /// Makes the transitions that are due; tells the followers if there were any.
    pub fn advance(&self) {
        let now = self.now();
        let mut changed = false;
        for state in self.lock().values_mut() {
            changed |= state.advance(now);
        }
        if changed {
            self.tell();
        }
    }

    /// A number that grows with every change; wait on it to follow the accounts.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn tell(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of this handle; a new one has the settings of the configured one.
    fn present<'a>(&self, states: &'a mut States) -> &'a mut State {
        if !states.contains_key(&*self.place) {
            let Place { account, region } = &*self.place;
            let home = states.get(&*self.home);
            let timing = home.map(|home| home.timing).unwrap_or_default();
            let mut state = State::new(account, region, timing);
            if let Some(home) = home {
                state.quotas = home.quotas.clone();
                state.lags.settings = home.lags.settings.clone();
                state.outside = home.outside.clone();
            }
            let global = Place {
                account: account.clone(),
                region: self.home.region.clone(),
            };
            if let Some(global) = states.get(&global) {
                state.take_server_certificates(&global.server_certificates);
            }
            state.draw_by(self.chance.seed());
            // No two of them give out the same ids.
            state.ids = Ids::named(&format!("{account} {region}"));
            states.insert(Place::clone(&self.place), state);
        }
        states.entry(Place::clone(&self.place)).or_insert_with(|| {
            State::new(&self.place.account, &self.place.region, Timing::default())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn server_certificates_are_known_in_all_regions_of_an_account() {
        use crate::state::{acm::Pem, server_certificate::NewServerCertificate};
        let home = SharedState::new(State::new("123456789012", "us-west-2", Timing::default()));
        let early = home.at("123456789012", "us-east-1");
        let theirs = home.at("999999999999", "us-east-1");
        early.read(|_| ());
        theirs.read(|_| ());
        let made = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
        let new = NewServerCertificate {
            name: "web".to_owned(),
            path: None,
            pem: Pem {
                certificate: made.cert.pem(),
                private_key: made.signing_key.serialize_pem(),
                chain: None,
            },
            tags: Vec::new(),
        };
        home.write(|state, now| state.upload_server_certificate(new, now))
            .unwrap();
        home.share_server_certificates();
        let late = home.at("123456789012", "eu-west-1");
        for (there, known) in [(early, true), (late, true), (theirs, false)] {
            let found = there.read(|state| state.server_certificate("web").is_ok());
            assert_eq!(found, known);
        }
    }

    #[test]
    fn accounts_and_regions_are_kept_apart() {
        let home = SharedState::new(State::new("123456789012", "us-east-1", Timing::default()));
        let there = home.at("123456789012", "eu-west-1");
        let theirs = home.at("999999999999", "us-east-1");
        home.write(|state, _| state.quotas.set("hosted-zones", 7));
        let make =
            |place: &SharedState| place.write(|s, _| s.create_vpc("10.0.0.0/16", &[]).unwrap());
        let made = [make(&home), make(&there), make(&theirs)];
        for (place, vpc) in [&home, &there, &theirs].into_iter().zip(&made) {
            place.read(|state| assert_eq!(state.vpcs.keys().collect::<Vec<_>>(), [vpc]));
            place.read(|state| assert_eq!(state.quotas.limit("hosted-zones"), 7));
        }
        assert_ne!(made[0], made[1]);
        assert_ne!(made[1], made[2]);
        home.everywhere(|states| {
            assert_eq!(states.len(), 3);
            assert_eq!(states[0].region, "us-east-1");
            assert_eq!(states[0].account, "123456789012");
        });
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/x/1";
        assert_eq!(home.of_arn(arn).place().region, "eu-west-1");
        let nowhere = "arn:aws:elasticloadbalancing:ap-east-1:123456789012:loadbalancer/app/x/1";
        assert_eq!(home.of_arn(nowhere).place(), home.place());
        assert_eq!(home.of_arn("x").place(), home.place());
    }

    #[test]
    fn all_accounts_draw_by_one_seed() {
        let drawn = |seed| -> Vec<u64> {
            let state = State::new("123456789012", "us-east-1", Timing::default());
            let home = SharedState::seeded(state, seed);
            let there = home.at("123456789012", "eu-west-1");
            let draw = |place: &SharedState| place.write(|state, _| state.draws.below(1 << 40));
            let mut drawn = vec![draw(&home), draw(&there)];
            home.reseed(seed);
            drawn.extend([draw(&home), draw(&there)]);
            drawn
        };
        let seven = drawn(7);
        assert_eq!(seven, drawn(7));
        assert_eq!(seven[..2], seven[2..], "it begins anew");
        assert_ne!(seven[0], seven[1]);
        assert_ne!(seven, drawn(8));
    }

    #[test]
    fn what_is_elsewhere_is_seen_while_it_is_needed() {
        let home = SharedState::new(State::new("123456789012", "us-east-1", Timing::default()));
        let there = home.at("123456789012", "eu-west-1");
        let vpc = there.write(|state, _| state.create_vpc("10.0.0.0/16", &[]).unwrap());
        home.update_with_others(|state, _| {
            assert!(state.elsewhere.has_vpc("123456789012", "eu-west-1", &vpc));
            false
        });
        home.read(|state| assert!(state.elsewhere.0.is_empty()));
        home.everywhere(|states| assert_eq!(states.len(), 2));
    }

    #[test]
    fn time_moves_forward_and_what_is_due_happens_in_order() {
        let timing = Timing {
            insync_ms: 60_000,
            ..Timing::default()
        };
        let home = SharedState::new(State::new("123456789012", "us-east-1", timing));
        let change = home.write(|state, now| state.add_change("Z1", None, now));
        let insync = || home.read(|state| state.changes[&change].insync);
        home.forward(Duration::from_secs(30));
        assert!(!insync());
        home.forward(Duration::from_secs(40));
        assert!(insync());
        assert!(*home.moves().borrow() == 70_000);
    }
}
