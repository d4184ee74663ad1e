//! Whatever is called, in whatever order and at whatever time, the account stays
//! one that AWS could be in: calls that are drawn, carried out on the pure
//! state, and what has to hold after each of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod balancing;
mod checks;
mod found;
mod health;
mod lists;
mod other_lists;
mod others;

use std::{cell::Cell, collections::BTreeMap, slice};

use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, test_runner::Config};
use serde_json::Value;

use super::{Answered, dispatch, fuzz, params::Params, service::Service, sts::Calling};
use crate::{
    Timing, World,
    callers::Callers,
    state::{Answer, State, TargetKey},
    world::WorldIds,
};

use self::health::{Event, Outcomes};

const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";

/// Numbers that a step is made of; when they are used up, zeros. Smaller ones
/// mean simpler calls, so that a failure shrinks to something that can be read.
struct Draw<'a>(slice::Iter<'a, u16>);

impl Draw<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let drawn = self.0.next().copied().unwrap_or_default();
        usize::from(drawn) % bound.max(1)
    }

    /// Rarely true; never when the numbers are used up.
    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == chances - 1
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// What most calls of a game are about: calls of many kinds at once seldom lead
/// far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    Anything,
    Health,
    Listeners,
    Rules,
    Others,
}

impl Theme {
    const ALL: [Self; 5] = [
        Self::Anything,
        Self::Health,
        Self::Listeners,
        Self::Rules,
        Self::Others,
    ];

    /// How many steps in ten are a call on load balancing and how many one on
    /// other services; the rest are probes.
    fn shares(self) -> (usize, usize) {
        match self {
            Self::Anything => (7, 1),
            Self::Health => (6, 0),
            Self::Listeners => (8, 2),
            Self::Rules => (10, 0),
            Self::Others => (2, 8),
        }
    }
}

/// What a game is made of.
type Plan = (u8, Vec<(u8, Vec<u16>)>);

/// Kinds of things that calls name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Balancer,
    Group,
    Listener,
    Rule,
    TrustStore,
    Certificate,
    WebAcl,
    IpSet,
    ClassicAcl,
    Protection,
    Pool,
    Client,
}

/// An account, and all that was ever in it.
struct Game {
    state: State,
    now: Timestamp,
    world: WorldIds,
    callers: Callers,
    /// Every name that was ever given out.
    known: BTreeMap<Thing, Vec<String>>,
    outcomes: Outcomes,
    /// What was called, for a failure.
    trace: Vec<String>,
}

impl Game {
    fn new() -> Self {
        // Health shows at once, so that it can be held against the probes.
        let timing = Timing {
            first_health_ms: 0,
            ..Timing::default()
        };
        let mut state = State::new(ACCOUNT, REGION, timing);
        let now = Timestamp::UNIX_EPOCH;
        let world = World::default().build(&mut state, now).unwrap();
        for (quota, most) in [
            ("application-load-balancers", 3),
            ("network-load-balancers", 2),
            ("target-groups", 6),
            ("targets-per-application-load-balancer", 5),
            ("targets-per-target-group", 4),
            ("target-id-registrations-per-application-load-balancer", 3),
            ("listeners-per-application-load-balancer", 3),
            ("listeners-per-network-load-balancer", 3),
            ("rules-per-application-load-balancer", 4),
            ("target-groups-per-application-load-balancer", 3),
            ("certificates-per-application-load-balancer", 2),
            ("trust-stores", 2),
            ("tags-per-resource", 4),
            ("certificates", 4),
            ("imported-certificates", 2),
            ("web-acls", 2),
            ("waf-load-balancers-per-web-acl", 1),
            ("waf-classic-web-acls", 2),
            ("shield-protections-per-resource-type", 2),
            ("user-pools", 2),
        ] {
            assert!(state.quotas.set(quota, most), "{quota}");
        }
        let bundles = &mut state.outside.ca_bundles;
        bundles.insert(
            "trust/ca.pem".to_owned(),
            others::imported(0).certificate.clone(),
        );
        bundles.insert("trust/bad.pem".to_owned(), "nonsense".to_owned());
        let mut known = BTreeMap::new();
        known.insert(Thing::Certificate, world.certificates.clone());
        Self {
            state,
            now,
            world,
            callers: Callers::new(ACCOUNT, REGION, false),
            known,
            outcomes: Outcomes::default(),
            trace: Vec::new(),
        }
    }

    /// One of the names of a kind, mostly of what is there.
    fn pick(&self, draw: &mut Draw, thing: Thing) -> String {
        let known = self.known.get(&thing).map_or(&[][..], Vec::as_slice);
        let there: Vec<&String> = known.iter().filter(|name| self.has(thing, name)).collect();
        let gone = there.is_empty() || draw.one_in(10);
        let from = if gone { known.iter().collect() } else { there };
        match from.as_slice() {
            [] => format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:nothing/{thing:?}"),
            from => (*draw.pick(from)).clone(),
        }
    }

    /// Whether there is something of this name.
    fn has(&self, thing: Thing, name: &str) -> bool {
        let state = &self.state;
        match thing {
            Thing::Balancer => state.load_balancers.contains_key(name),
            Thing::Group => state.target_groups.contains_key(name),
            Thing::Listener => state.listener(name).is_ok(),
            Thing::Rule => state.rule(name).is_ok(),
            Thing::TrustStore => state.trust_stores.contains_key(name),
            Thing::Certificate => state.certificates.contains_key(name),
            Thing::WebAcl => state.wafv2.web_acls.contains_key(name),
            Thing::IpSet => state.wafv2.ip_sets.contains_key(name),
            Thing::ClassicAcl => state.waf_regional.web_acls.contains_key(name),
            Thing::Protection => state.shield.protections.contains_key(name),
            Thing::Pool => state.user_pools.contains_key(name),
            Thing::Client => {
                let mut pools = state.user_pools.values();
                pools.any(|pool| pool.clients.contains_key(name))
            }
        }
    }

    /// Remembers what was made.
    fn keep(&mut self, thing: Thing, name: &str) {
        let known = self.known.entry(thing).or_default();
        if !known.iter().any(|other| other == name) {
            known.push(name.to_owned());
        }
    }

    /// Carries a call out. One that is refused changes nothing.
    fn call(&mut self, service: Service, action: &str, input: &Value) -> Answer<String> {
        let before = self.state.clone();
        let answered = self.carry_out(service, action, input);
        let told = match &answered {
            Ok(_) => "done".to_owned(),
            Err(refusal) => format!("{}: {}", refusal.code, refusal.message),
        };
        self.trace.push(format!("{action} {input} -> {told}"));
        if answered.is_err() {
            self.unchanged(&before, action);
        }
        answered
    }

    /// As [`call`](Self::call), for what only asks: it never changes anything.
    fn ask(&mut self, service: Service, action: &str, input: &Value) -> Answer<String> {
        let before = self.state.clone();
        let answered = self.carry_out(service, action, input);
        self.unchanged(&before, action);
        answered
    }

    fn carry_out(&mut self, service: Service, action: &str, input: &Value) -> Answer<String> {
        let params = Params::new(service, action, input.clone());
        let calling = Calling {
            caller: &self.callers.root(),
            callers: &self.callers,
            denied: &Cell::default(),
        };
        let root = params.root();
        let state = &mut self.state;
        let answered = dispatch(service, action, &root, &calling, state, self.now);
        Ok(match answered.expect("an action that there is")? {
            Answered::Xml(xml) => xml.into_text(),
            Answered::Json(value) => value.to_string(),
        })
    }

    fn unchanged(&self, before: &State, action: &str) {
        // Which ids come next is not to be seen.
        let mut before = before.clone();
        before.ids.clone_from(&self.state.ids);
        if self.state == before {
            return;
        }
        let lines = |state: &State| -> Vec<String> {
            format!("{state:#?}").lines().map(str::to_owned).collect()
        };
        let (before, after) = (lines(&before), lines(&self.state));
        let gone = before.iter().filter(|line| !after.contains(line));
        let come = after.iter().filter(|line| !before.contains(line));
        panic!(
            "{action} has changed the account: {:#?} became {:#?}\n{}",
            gone.collect::<Vec<_>>(),
            come.collect::<Vec<_>>(),
            self.story()
        );
    }

    fn story(&self) -> String {
        self.trace.join("\n")
    }

    /// Something that has to hold.
    fn hold(&self, holds: bool, what: impl FnOnce() -> String) {
        assert!(holds, "{}\n{}", what(), self.story());
    }

    /// Time passes, targets are probed, somebody calls.
    fn step(&mut self, theme: Theme, (pause, numbers): &(u8, Vec<u16>)) {
        const PAUSES_MS: [i64; 8] = [0, 0, 0, 300, 1_000, 4_000, 400_000, 7_200_000];
        let mut draw = Draw(numbers.iter());
        let pause = PAUSES_MS[usize::from(*pause) % PAUSES_MS.len()];
        let before = self.shown();
        self.now += SignedDuration::from_millis(pause);
        self.state.advance(self.now);
        self.trace.push(format!("after {pause} ms"));
        self.compare(&before, Event::Time);
        let (mine, others) = theme.shares();
        let before = self.shown();
        match draw.below(10) {
            kind if kind < mine => self.balancing(theme, &mut draw),
            kind if kind < mine + others => self.others(&mut draw),
            _ => return self.probe(&mut draw),
        }
        self.compare(&before, Event::Call);
    }

    /// All calls, checked after each.
    fn play((theme, steps): &Plan) -> Self {
        let theme = Theme::ALL[usize::from(*theme) % Theme::ALL.len()];
        let mut game = Self::new();
        game.furnish();
        for (number, step) in steps.iter().enumerate() {
            game.step(theme, step);
            game.check();
            if number % 12 == 11 || number + 1 == steps.len() {
                let before = game.state.clone();
                game.check_lists();
                game.unchanged(&before, "a look at everything");
            }
        }
        game
    }
}

/// The health of every target that is shown.
type Shown = BTreeMap<(String, TargetKey), crate::state::TargetHealth>;

fn plans(most: usize) -> impl Strategy<Value = Plan> {
    let step = (any::<u8>(), prop::collection::vec(any::<u16>(), 0..18));
    let steps = prop::collection::vec(step, most / 2..most);
    (any::<u8>(), steps)
}

/// Whether an action only asks.
fn reads(action: &str) -> bool {
    // The token is made by asking for it.
    action != "GetChangeToken"
        && ["Describe", "List", "Get", "Check", "Decode"]
            .iter()
            .any(|prefix| action.starts_with(prefix))
}

proptest! {
    #![proptest_config(Config { cases: CASES, failure_persistence: None, ..Config::default() })]

    #[test]
    fn an_account_stays_one_that_aws_could_be_in(plan in plans(80)) {
        Game::play(&plan);
    }

    #[test]
    fn the_same_calls_at_the_same_time_give_the_same_account(plan in plans(40)) {
        let once = Game::play(&plan);
        let again = Game::play(&plan);
        prop_assert_eq!(&once.trace, &again.trace);
        prop_assert!(once.state == again.state);
    }

    #[test]
    fn refused_calls_change_nothing_whatever_their_parameters(seed in any::<u64>(), plan in plans(30)) {
        let mut game = Game::play(&plan);
        let mut dice = fuzz::Dice::new(seed);
        for _ in 0..60 {
            let names: Vec<String> = game.known.values().flatten().cloned().collect();
            let (service, action, input) = fuzz::call(&mut dice, &names);
            if reads(&action) {
                let _ = game.ask(service, &action, &input);
            } else {
                let _ = game.call(service, &action, &input);
            }
        }
    }
}

/// As many as take some seconds in a debug build.
const CASES: u32 = 16;
