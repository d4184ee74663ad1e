//! Looks at what has changed, beside looks at everything.

#![allow(clippy::unwrap_used)] // a test may fail loudly

mod world;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::apply::dns::{DnsApplied, Submitted};
use crate::model::ownership::{txt_name, txt_value};
use crate::model::records::{HostRecords, RawAlias, RecordSet};
use crate::model::records_build::HostRules;
use crate::plan::dns::effect_records;
use world::*;

#[derive(Clone, Debug)]
enum Event {
    /// Something is said of a group, or it goes.
    Said(usize, Option<Said>),
    /// Verification finds this at a host.
    Found {
        host: usize,
        zone: &'static str,
        /// Whose it is: nobody's, a group's, and where it leads.
        holder: Option<(usize, usize)>,
    },
    /// What is remembered of a host is doubted.
    Doubted(usize, &'static str),
    /// Zones are listed again.
    Listed(usize),
    /// All changes have been spread.
    Spread,
    /// A minute goes by.
    Waited,
}

/// What comes of writes and reads in a look.
#[derive(Clone, Copy, Debug)]
struct Luck {
    is_taken: bool,
    is_skipped: bool,
    is_broken: bool,
}

fn said() -> impl Strategy<Value = Said> {
    let rules = prop_oneof![
        4 => Just(Some(HostRules::Live)),
        1 => Just(Some(HostRules::Desired)),
        1 => Just(None),
    ];
    let target = prop_oneof![4 => (0..3_usize).prop_map(Some), 1 => Just(None)];
    let successor = prop_oneof![
        5 => Just(None),
        1 => (any::<bool>(), 0..3_usize).prop_map(Some),
    ];
    let rarely = || prop_oneof![5 => Just(false), 1 => Just(true)];
    let leaver = prop_oneof![3 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    let members = prop_oneof![6 => Just(true), 1 => Just(false)];
    let on_aws = (target, rarely(), rules, successor);
    (0..16_u8, members, leaver, rarely(), 0..16_u8, on_aws).prop_map(
        |(hosts, is_member, leaver, frozen, live_hosts, (target, internal, rules, successor))| {
            Said {
                hosts,
                is_member,
                leaver,
                frozen,
                live_hosts,
                target,
                internal,
                rules,
                successor,
            }
        },
    )
}

fn event() -> impl Strategy<Value = (Event, Luck)> {
    let zone = || prop::sample::select(vec!["Z1", "Z2"]);
    let found = (
        0..4_usize,
        zone(),
        prop::option::of((0..7_usize, 0..3_usize)),
    );
    let event = prop_oneof![
        8 => (0..4_usize, prop::option::weighted(0.8, said()))
            .prop_map(|(of, said)| Event::Said(of, said)),
        4 => found.prop_map(|(host, zone, holder)| Event::Found { host, zone, holder }),
        1 => (0..4_usize, zone()).prop_map(|(host, zone)| Event::Doubted(host, zone)),
        1 => (0..5_usize).prop_map(Event::Listed),
        3 => Just(Event::Spread),
        2 => Just(Event::Waited),
    ];
    let bad = || prop::bool::weighted(0.15);
    (event, (bad(), bad(), bad())).prop_map(|(event, (fails, is_skipped, is_broken))| {
        let luck = Luck {
            is_taken: !fails,
            is_skipped,
            is_broken,
        };
        (event, luck)
    })
}

/// What verification may find at a host: nothing, what is nobody's, and
/// records of groups, known ones or not.
fn found(host: usize, holder: Option<(usize, usize)>) -> HostRecords {
    let host = self::host(host);
    let Some((of, leads)) = holder else {
        return HostRecords::default();
    };
    let target = target(leads);
    let alias = RecordSet {
        name: host.clone(),
        kind: "A".to_owned(),
        ttl: None,
        values: Vec::new(),
        alias: Some(RawAlias {
            dns_name: format!("{}.", target.dns_name),
            hosted_zone_id: target.hosted_zone_id,
            evaluate_target_health: true,
        }),
        set_identifier: None,
    };
    let txt = RecordSet {
        name: txt_name(&host),
        kind: "TXT".to_owned(),
        ttl: Some(300),
        values: vec![txt_value("demo", None, &group(of))],
        alias: None,
        set_identifier: None,
    };
    let is_ours = of < 6;
    HostRecords {
        at_host: vec![alias],
        at_owner: is_ours.then_some(txt).into_iter().collect(),
    }
}

/// What comes of a plan.
fn apply(plan: &DnsPlan, luck: Luck, at: usize) -> DnsApplied {
    let places: Vec<Place> = plan.changes.iter().map(|c| c.place.clone()).collect();
    let mut applied = DnsApplied::default();
    if places.is_empty() {
    } else if luck.is_skipped {
        applied.skipped = places;
    } else if luck.is_taken {
        applied.submitted.push(Submitted {
            change: format!("C{at}"),
            places,
        });
    } else {
        applied.failed = places.into_iter().map(|place| (place, error())).collect();
    }
    applied
}

fn hear(event: &Event, world: &mut World, systems: &mut [System; 2], now: &mut Instant) {
    match event {
        Event::Said(of, said) => {
            world.say(*of, said.clone());
            for system in systems {
                system.hear(world, *of);
            }
        }
        Event::Found { host, zone, holder } => {
            let place = Place::new(self::host(*host), *zone);
            let read = found(*host, *holder);
            world.route53.insert(place.clone(), read.clone());
            for system in systems {
                if let Some(known) = system.known.get_mut(&place) {
                    *known = read.clone();
                    system.changed.insert(place.host.clone());
                }
            }
        }
        Event::Doubted(host, zone) => {
            let place = Place::new(self::host(*host), *zone);
            for system in systems {
                if system.known.contains_key(&place) {
                    system.stale.insert(place.clone());
                    system.changed.insert(place.host.clone());
                }
            }
        }
        Event::Listed(variant) => {
            world.zones = zones(*variant, world.zones.listing + 1);
        }
        Event::Spread => {
            for system in systems {
                let changes: Vec<String> = system.book.spreading.keys().cloned().collect();
                for change in changes {
                    system.book.spread(&change, *now + GRACE);
                }
            }
        }
        Event::Waited => *now += Duration::from_mins(1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_look_at_what_has_changed_finds_and_does_what_a_look_at_everything_does(
        events in prop::collection::vec(event(), 1..40),
        sees_all in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let mut world = World {
            zones: zones(0, 1),
            sees_all,
            ..World::default()
        };
        let mut systems = [System::default(), System { is_whole: true, ..System::default() }];
        for (at, (event, luck)) in events.into_iter().enumerate() {
            hear(&event, &mut world, &mut systems, &mut now);
            let [changed, whole] = &mut systems;
            let looked = changed.look(&world, luck.is_broken);
            let all = whole.look(&world, luck.is_broken);
            prop_assert_eq!(&looked.plan.changes, &all.plan.changes, "{} {:?}", at, event);
            let applied = apply(&looked.plan, luck, at);
            for submitted in &applied.submitted {
                for change in &looked.plan.changes {
                    if submitted.places.contains(&change.place) {
                        let there = world.route53.entry(change.place.clone());
                        effect_records(change, there.or_default());
                    }
                }
            }
            let news = changed.note(&looked, &applied, now);
            let of_all = whole.note(&all, &applied, now);
            prop_assert_eq!(news, of_all, "{} {:?}", at, event);
            prop_assert_eq!(&changed.book, &whole.book, "{} {:?}", at, event);
            prop_assert_eq!(changed.kept.known(), whole.kept.known(), "{} {:?}", at, event);
            prop_assert_eq!(&changed.known, &whole.known, "{} {:?}", at, event);
            prop_assert_eq!(&changed.stale, &whole.stale, "{} {:?}", at, event);
        }
    }
}

/// Where everything is looked at, nothing is proved.
#[test]
fn one_change_among_a_hundred_groups_costs_one() {
    let said = |leads: usize| Said {
        hosts: 0,
        is_member: true,
        leaver: None,
        frozen: false,
        live_hosts: 0,
        target: Some(leads),
        internal: false,
        rules: None,
        successor: None,
    };
    let mut world = World {
        zones: zones(0, 1),
        sees_all: true,
        ..World::default()
    };
    let mut system = System::default();
    for of in 0..100 {
        world.said.insert(of, said(of));
    }
    world.say(0, Some(said(0)));
    for of in 0..100 {
        let ingress = ingress(of);
        let rule = json!([{ "host": host(of) }]);
        let mut object = world.snapshot.ingresses[&ingress].as_ref().clone();
        object.spec.as_mut().unwrap().rules = serde_json::from_value(rule).unwrap();
        let ingresses = &mut world.snapshot.snapshot.ingresses;
        ingresses.insert(ingress, Arc::new(object));
    }
    for of in 0..100 {
        system.kept.set(&group(of), world.part(of));
    }
    let mut at = 0;
    let mut look = |world: &mut World, system: &mut System| {
        at += 1;
        let looked = system.look(world, false);
        let luck = Luck {
            is_taken: true,
            is_skipped: false,
            is_broken: false,
        };
        let applied = apply(&looked.plan, luck, at);
        let news = system.note(&looked, &applied, Instant::now());
        let Asked { scope, sources, .. } = &looked.asked;
        let groups = sources.membership.groups.len();
        [
            scope.hosts.len(),
            groups,
            looked.plan.changes.len(),
            news.len(),
        ]
    };
    assert_eq!(look(&mut world, &mut system), [100, 100, 100, 100]);
    // What was written is looked at once more.
    assert_eq!(look(&mut world, &mut system), [100, 100, 0, 0]);
    assert_eq!(look(&mut world, &mut system), [0, 0, 0, 0]);
    world.said.insert(7, said(200));
    system.kept.set(&group(7), world.part(7));
    assert_eq!(look(&mut world, &mut system)[..3], [1, 1, 1]);
    assert_eq!(look(&mut world, &mut system), [1, 1, 0, 0]);
    // All changes have been spread: what they were about is looked at.
    for change in ["C1", "C4"] {
        system.book.spread(change, Instant::now());
    }
    assert_eq!(look(&mut world, &mut system)[..2], [100, 100]);
    assert_eq!(look(&mut world, &mut system), [0, 0, 0, 0]);
    // A host that is read again, and is as it was not.
    let place = Place::new(host(9), "Z1");
    system.known.insert(place.clone(), HostRecords::default());
    system.changed.insert(place.host);
    assert_eq!(look(&mut world, &mut system)[..3], [1, 1, 1]);
    // Zones are listed again.
    world.zones.listing += 1;
    assert_eq!(look(&mut world, &mut system)[0], 100);
}
