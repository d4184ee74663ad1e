//! Putting a read beside what is remembered: a read may be older than a write
//! of our own, or AWS may not show the write yet.
//!
//! Pure. Each part of a group (a rule, the targets of a target group, …) that
//! this process wrote or deleted within [`TRUST`] of the beginning of a read
//! stays as remembered, unless a later write to it failed in doubt; for
//! everything else the read is right.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::spec::{
    Arn, Live, LiveListener, LiveLoadBalancer, LiveTargetGroup, LoadBalancerState, Observed, Rule,
    SecurityGroup,
};

/// How long an answer of AWS to a write of our own is trusted over a read.
pub const TRUST: Duration = Duration::from_mins(1);
/// How long a stamp is kept: longer than a read with all its pages takes.
const KEEP: Duration = Duration::from_mins(10);

/// What a part of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    LoadBalancer,
    Listener,
    Rule,
    TargetGroup,
    Targets,
    SecurityGroup,
}

/// When this process last wrote or deleted which part.
#[derive(Clone, Debug, Default)]
pub struct Stamps(BTreeMap<(Kind, Arn), Instant>);

impl Stamps {
    /// Notes what a write changed.
    pub fn note(&mut self, before: &Observed, after: &Observed, now: Instant) {
        let before = parts(before);
        let after = parts(after);
        for (key, part) in &after {
            if before.get(key) != Some(part) {
                self.0.insert((key.0, key.1.clone()), now);
            }
        }
        for key in before.keys().filter(|key| !after.contains_key(key)) {
            self.0.insert((key.0, key.1.clone()), now);
        }
        self.0.retain(|_, at| *at + KEEP > now);
    }

    /// A write to these has failed without telling how far it came: a read is
    /// right about them, however young they are.
    pub fn distrust(&mut self, arns: &[Arn]) {
        self.0.retain(|(_, arn), _| !arns.contains(arn));
    }

    /// Whether nothing was written so lately that a read may not show it.
    pub fn are_old(&self, now: Instant) -> bool {
        self.0.values().all(|at| *at + KEEP <= now)
    }

    /// Parts that this process wrote so lately that a read that begins now may
    /// not show it.
    pub fn young(&self, begun: Instant) -> impl Iterator<Item = &Arn> {
        let young = self.0.iter().filter(move |(_, at)| **at + TRUST > begun);
        young.map(|((_, arn), _)| arn)
    }

    /// Whether what is remembered of a part beats a read that began then.
    pub fn beats(&self, kind: Kind, arn: &Arn, begun: Instant) -> bool {
        self.0
            .get(&(kind, arn.clone()))
            .is_some_and(|at| *at + TRUST > begun)
    }
}

/// What a plan looks at of a part.
#[derive(PartialEq)]
pub enum Part<'a> {
    LoadBalancer(&'a crate::model::spec::LoadBalancer),
    Listener(&'a crate::model::spec::Listener),
    Rule(u32, &'a Rule),
    TargetGroup(&'a crate::model::spec::TargetGroup),
    Targets(&'a std::collections::BTreeSet<crate::model::spec::Target>),
    SecurityGroup(&'a SecurityGroup),
}

/// All parts of a group.
pub fn parts(observed: &Observed) -> BTreeMap<(Kind, &Arn), Part<'_>> {
    let mut parts = BTreeMap::new();
    for lb in &observed.load_balancers {
        parts.insert((Kind::LoadBalancer, &lb.arn), Part::LoadBalancer(&lb.spec));
        for listener in lb.listeners.values() {
            parts.insert(
                (Kind::Listener, &listener.arn),
                Part::Listener(&listener.spec),
            );
            for (priority, rule) in &listener.rules {
                parts.insert((Kind::Rule, &rule.arn), Part::Rule(*priority, &rule.spec));
            }
        }
    }
    for group in &observed.target_groups {
        parts.insert(
            (Kind::TargetGroup, &group.arn),
            Part::TargetGroup(&group.spec),
        );
        parts.insert((Kind::Targets, &group.arn), Part::Targets(&group.targets));
    }
    for group in &observed.security_groups {
        parts.insert(
            (Kind::SecurityGroup, &group.arn),
            Part::SecurityGroup(&group.spec),
        );
    }
    parts
}

/// Whether two observations are the same as far as plans go: the order in
/// which AWS lists things and provisioning states do not count.
pub fn same(a: &Observed, b: &Observed) -> bool {
    parts(a) == parts(b)
}

/// Listeners and rules with where they are instead of their ARNs: those of
/// what is believed are made up.
pub fn with_places(observed: &Observed) -> Observed {
    let mut observed = observed.clone();
    for lb in &mut observed.load_balancers {
        for (port, listener) in &mut lb.listeners {
            listener.arn = Arn(format!("{} {port}", lb.arn));
            for (priority, rule) in &mut listener.rules {
                rule.arn = Arn(format!("{} {port} {priority}", lb.arn));
            }
        }
    }
    observed
}

/// Whether a load balancer that both know is in another provisioning state.
pub fn other_state(a: &Observed, b: &Observed) -> bool {
    let states = |observed: &Observed| -> BTreeMap<Arn, LoadBalancerState> {
        let lbs = observed.load_balancers.iter();
        lbs.map(|lb| (lb.arn.clone(), lb.state)).collect()
    };
    let before = states(b);
    states(a)
        .iter()
        .any(|(arn, state)| before.get(arn).is_some_and(|before| before != state))
}

/// Whether a listing shows all of a group as it is remembered, and nothing
/// else: then a [merge] leaves it as it is.
pub fn is_as_listed(remembered: &Observed, listed: &Observed) -> bool {
    fn alike<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
        a.len() == b.len() && a.iter().all(|a| b.iter().any(|b| same(a, b)))
    }
    let (a, b) = (remembered, listed);
    let same_lb = |a: &LiveLoadBalancer, b: &LiveLoadBalancer| {
        let named = (&a.dns_name, &a.hosted_zone_id, a.state);
        a.arn == b.arn && a.spec == b.spec && named == (&b.dns_name, &b.hosted_zone_id, b.state)
    };
    let same_tg = |a: &LiveTargetGroup, b: &LiveTargetGroup| a.arn == b.arn && a.spec == b.spec;
    alike(&a.load_balancers, &b.load_balancers, same_lb)
        && alike(&a.target_groups, &b.target_groups, same_tg)
        && alike(&a.security_groups, &b.security_groups, |a, b| a == b)
}

/// How far a read went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Load balancers, target groups and security groups, without listeners,
    /// rules and targets.
    Listing,
    /// Everything.
    Full,
}

/// What is remembered after a read that began at `begun`.
pub fn merge(
    remembered: &Observed,
    read: &Observed,
    depth: Depth,
    stamps: &Stamps,
    begun: Instant,
) -> Observed {
    Observed {
        load_balancers: keyed(
            &remembered.load_balancers,
            &read.load_balancers,
            |lb| &lb.arn,
            |arn| stamps.beats(Kind::LoadBalancer, arn, begun),
            |old, new, trusted| load_balancer(old, new, trusted, depth, stamps, begun),
        ),
        target_groups: keyed(
            &remembered.target_groups,
            &read.target_groups,
            |group| &group.arn,
            |arn| stamps.beats(Kind::TargetGroup, arn, begun),
            |old, new, trusted| target_group(old, new, trusted, depth, stamps, begun),
        ),
        security_groups: keyed(
            &remembered.security_groups,
            &read.security_groups,
            |group| &group.arn,
            |arn| stamps.beats(Kind::SecurityGroup, arn, begun),
            |old, new, trusted| if trusted { old.clone() } else { new.clone() },
        ),
    }
}

/// Merges two lists of things by ARN: where what is remembered is trusted, it
/// says whether the thing is there; else the read does.
fn keyed<T: Clone>(
    remembered: &[T],
    read: &[T],
    arn: impl Fn(&T) -> &Arn,
    trusted: impl Fn(&Arn) -> bool,
    both: impl Fn(&T, &T, bool) -> T,
) -> Vec<T> {
    let mut merged = Vec::new();
    for old in remembered {
        match read.iter().find(|new| arn(new) == arn(old)) {
            Some(new) => merged.push(both(old, new, trusted(arn(old)))),
            None if trusted(arn(old)) => merged.push(old.clone()),
            None => {}
        }
    }
    for new in read {
        let known = remembered.iter().any(|old| arn(old) == arn(new));
        if !known && !trusted(arn(new)) {
            merged.push(new.clone());
        }
    }
    merged
}

fn load_balancer(
    old: &LiveLoadBalancer,
    new: &LiveLoadBalancer,
    trusted: bool,
    depth: Depth,
    stamps: &Stamps,
    begun: Instant,
) -> LiveLoadBalancer {
    let listeners = match depth {
        Depth::Listing => old.listeners.clone(),
        Depth::Full => {
            let values = |lb: &LiveLoadBalancer| lb.listeners.values().cloned().collect::<Vec<_>>();
            keyed(
                &values(old),
                &values(new),
                |l| &l.arn,
                |arn| stamps.beats(Kind::Listener, arn, begun),
                |old, new, trusted| listener(old, new, trusted, stamps, begun),
            )
            .into_iter()
            .map(|l| (l.spec.port, l))
            .collect()
        }
    };
    LiveLoadBalancer {
        spec: if trusted { &old.spec } else { &new.spec }.clone(),
        listeners,
        ..new.clone()
    }
}

fn listener(
    old: &LiveListener,
    new: &LiveListener,
    trusted: bool,
    stamps: &Stamps,
    begun: Instant,
) -> LiveListener {
    let values = |l: &LiveListener| {
        let rules = l.rules.iter();
        rules
            .map(|(priority, rule)| (*priority, rule.clone()))
            .collect::<Vec<(u32, Live<Rule>)>>()
    };
    let rules = keyed(
        &values(old),
        &values(new),
        |(_, rule)| &rule.arn,
        |arn| stamps.beats(Kind::Rule, arn, begun),
        |old, new, trusted| if trusted { old.clone() } else { new.clone() },
    );
    LiveListener {
        arn: new.arn.clone(),
        spec: if trusted { &old.spec } else { &new.spec }.clone(),
        rules: rules.into_iter().collect(),
    }
}

fn target_group(
    old: &LiveTargetGroup,
    new: &LiveTargetGroup,
    trusted: bool,
    depth: Depth,
    stamps: &Stamps,
    begun: Instant,
) -> LiveTargetGroup {
    let keep = depth == Depth::Listing || stamps.beats(Kind::Targets, &new.arn, begun);
    LiveTargetGroup {
        arn: new.arn.clone(),
        spec: if trusted { &old.spec } else { &new.spec }.clone(),
        targets: if keep { &old.targets } else { &new.targets }.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::spec::{Tags, Target};

    fn group(id: &str, name: &str) -> Live<SecurityGroup> {
        Live {
            arn: Arn::from(id),
            spec: SecurityGroup {
                name: name.to_owned(),
                description: String::new(),
                tags: Tags::new(),
                ingress: std::collections::BTreeSet::new(),
            },
        }
    }

    fn holding(groups: &[Live<SecurityGroup>]) -> Observed {
        Observed {
            security_groups: groups.to_vec(),
            ..Observed::default()
        }
    }

    #[test]
    fn a_read_is_right_about_what_we_did_not_write_lately() {
        let now = Instant::now();
        let merged = merge(
            &holding(&[group("sg-1", "old"), group("sg-2", "gone")]),
            &holding(&[group("sg-1", "new"), group("sg-3", "found")]),
            Depth::Full,
            &Stamps::default(),
            now,
        );
        assert_eq!(
            merged,
            holding(&[group("sg-1", "new"), group("sg-3", "found")])
        );
    }

    #[test]
    fn our_own_write_beats_a_read_that_does_not_show_it() {
        let now = Instant::now();
        let before = holding(&[group("sg-1", "old"), group("sg-2", "deleted")]);
        let after = holding(&[group("sg-1", "new"), group("sg-3", "created")]);
        let mut stamps = Stamps::default();
        stamps.note(&before, &after, now);
        let late = now + Duration::from_secs(30);
        assert_eq!(merge(&after, &before, Depth::Full, &stamps, late), after);
        let later = now + Duration::from_secs(61);
        assert_eq!(merge(&after, &before, Depth::Full, &stamps, later), before);
    }

    #[test]
    fn after_a_write_that_failed_in_doubt_the_read_is_right() {
        let now = Instant::now();
        let created = holding(&[group("sg-1", "as created"), group("sg-2", "as created")]);
        let read = holding(&[group("sg-1", "changed"), group("sg-2", "changed")]);
        let mut stamps = Stamps::default();
        stamps.note(&Observed::default(), &created, now);
        stamps.distrust(&[Arn::from("sg-1")]);
        assert_eq!(
            merge(&created, &read, Depth::Full, &stamps, now),
            holding(&[group("sg-1", "changed"), group("sg-2", "as created")])
        );
    }

    fn listing() -> impl Strategy<Value = Observed> {
        let lb = |(id, name, is_active): (u8, u8, bool)| {
            let state = if is_active {
                LoadBalancerState::Active
            } else {
                LoadBalancerState::Provisioning
            };
            let mut lb = crate::report::tests::live(state).load_balancers.remove(0);
            lb.arn = Arn(format!("lb-{id}"));
            lb.spec.name = name.to_string();
            lb
        };
        let tg = |(id, port): (u8, u16)| {
            let mut spec = crate::observe::tests::target_group("ns/web-svc:80");
            spec.port = port;
            LiveTargetGroup {
                arn: Arn(format!("tg-{id}")),
                spec,
                targets: std::collections::BTreeSet::new(),
            }
        };
        let sg = |(id, name): (u8, u8)| group(&format!("sg-{id}"), &name.to_string());
        // Of each thing one.
        let lbs = prop::collection::btree_map(0..2_u8, (0..2_u8, any::<bool>()), 0..2);
        let tgs = prop::collection::btree_map(0..2_u8, 0..2_u16, 0..3);
        let sgs = prop::collection::btree_map(0..2_u8, 0..2_u8, 0..2);
        (lbs, tgs, sgs).prop_map(move |(lbs, tgs, sgs)| Observed {
            load_balancers: lbs
                .into_iter()
                .map(|(id, (name, on))| lb((id, name, on)))
                .collect(),
            target_groups: tgs.into_iter().map(tg).collect(),
            security_groups: sgs.into_iter().map(sg).collect(),
        })
    }

    proptest! {
        #[test]
        fn what_is_as_listed_is_left_as_it_is(
            before in listing(), remembered in listing(), listed in listing(), same in any::<bool>()
        ) {
            let now = Instant::now();
            let mut stamps = Stamps::default();
            stamps.note(&before, &remembered, now);
            let listed = if same { remembered.clone() } else { listed };
            let merged = merge(&remembered, &listed, Depth::Listing, &stamps, now);
            let is_as_listed = is_as_listed(&remembered, &listed);
            prop_assert!(!is_as_listed || merged == remembered);
            prop_assert_eq!(is_as_listed, remembered == listed);
        }
    }

    #[test]
    fn a_listing_leaves_targets_alone() {
        let live = |targets: &[&str]| LiveTargetGroup {
            arn: Arn::from("tg"),
            spec: crate::observe::tests::target_group("ns/web-svc:80"),
            targets: targets
                .iter()
                .map(|id| Target {
                    id: (*id).to_owned(),
                    port: 80,
                    outside_vpc: false,
                })
                .collect(),
        };
        let observed = |targets: &[&str]| Observed {
            target_groups: vec![live(targets)],
            ..Observed::default()
        };
        let now = Instant::now();
        let stamps = Stamps::default();
        let remembered = observed(&["10.0.0.1"]);
        let listed = observed(&[]);
        let merged = merge(&remembered, &listed, Depth::Listing, &stamps, now);
        assert_eq!(merged, remembered);
        assert_eq!(
            merge(&remembered, &listed, Depth::Full, &stamps, now),
            listed
        );
    }
}
