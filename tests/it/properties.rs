//! What holds for every plan, whatever is desired and whatever AWS holds.

mod stacks;

use std::collections::BTreeSet;

use alb_ingress_controller::model::desired::{Desired, Intent, Stack};
use alb_ingress_controller::model::limits::Limits;
use alb_ingress_controller::model::spec::{
    Action, Arn, Condition, LiveLoadBalancer, Observed, Rule, TargetGroupRef,
};
use alb_ingress_controller::plan::step::{ListenerRef, LoadBalancerRef, Plan, Step};
use alb_ingress_controller::plan::{PlanContext, diff};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::paper_aws::{PaperAws, arns};
use stacks::{REQUESTS, desired, drift, freeze, hold, stack};

fn cx() -> PlanContext {
    PlanContext {
        backend: Some("sg-backend".to_owned()),
        open_ports: BTreeSet::from([8080]),
        limits: Limits::default(),
        records_go_first: false,
    }
}

/// Makes AWS hold a stack, then lets someone meddle with it.
fn live(stack: Stack, deeds: &[(u8, usize)]) -> PaperAws {
    let mut aws = PaperAws::default();
    let desired = desired(stack);
    aws.run(&diff(&desired, &Observed::default(), &cx()))
        .unwrap_or_else(|refused| panic!("{refused}"));
    assert_settled(&desired, &aws);
    drift(&mut aws.observed, deeds);
    aws
}

fn assert_settled(desired: &Desired, aws: &PaperAws) {
    let again = diff(desired, &aws.observed, &cx());
    assert!(again.is_empty(), "still to do:\n{again}");
}

/// Runs a plan in one of the orders that its edges allow, `choices` says in
/// which. `fails` is refused, and with it what comes after it. `look` sees
/// what AWS holds after each step.
fn run_somehow(
    plan: &Plan,
    aws: &mut PaperAws,
    choices: &[usize],
    fails: Option<usize>,
    mut look: impl FnMut(&Observed, &Step),
) {
    aws.begin();
    let mut done: BTreeSet<usize> = BTreeSet::new();
    let mut open: BTreeSet<usize> = (0..plan.steps.len()).collect();
    if let Some(fails) = fails {
        open.remove(&fails);
    }
    for turn in 0.. {
        let ready: Vec<usize> = open
            .iter()
            .copied()
            .filter(|id| plan.steps[*id].after.is_subset(&done))
            .collect();
        if ready.is_empty() {
            break;
        }
        let id = ready[choices[turn % choices.len()] % ready.len()];
        open.remove(&id);
        done.insert(id);
        let step = &plan.steps[id].step;
        aws.take(step)
            .unwrap_or_else(|refused| panic!("{refused}\nin step {} of\n{plan}", id + 1));
        look(&aws.observed, step);
    }
    assert!(
        fails.is_some() || open.is_empty(),
        "edges in a circle:\n{plan}"
    );
}

/// Ports and requests that some rule matches.
fn served(load_balancers: &[LiveLoadBalancer]) -> BTreeSet<(u16, usize)> {
    let mut served = BTreeSet::new();
    for (port, listener) in load_balancers.iter().flat_map(|lb| &lb.listeners) {
        for rule in listener.rules.values() {
            served.extend(matched(&rule.spec).map(|request| (*port, request)));
        }
    }
    served
}

fn wished(stack: &Stack) -> BTreeSet<(u16, usize)> {
    let mut wished = BTreeSet::new();
    for (port, listener) in &stack.listeners {
        for rule in &listener.rules {
            wished.extend(matched(&rule.rule).map(|request| (*port, request)));
        }
    }
    wished
}

fn matched(rule: &Rule) -> impl Iterator<Item = usize> {
    REQUESTS
        .iter()
        .enumerate()
        .filter(|(_, (host, path))| {
            rule.conditions.iter().all(|condition| match condition {
                Condition::HostHeader(values) => values.iter().any(|v| glob(v, host)),
                Condition::PathPattern(values) => values.iter().any(|v| glob(v, path)),
                Condition::Other(_) => false,
            })
        })
        .map(|(index, _)| index)
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => {
            text.len() >= before.len() + after.len()
                && text.starts_with(before)
                && text.ends_with(after)
        }
        None => pattern == text,
    }
}

/// ARNs that a step names.
fn named(step: &Step) -> BTreeSet<Arn> {
    let mut named = BTreeSet::new();
    let mut action = |action: &Action| {
        if let Action::Forward(TargetGroupRef::Arn(arn)) = action {
            named.insert(arn.clone());
        }
    };
    match step {
        Step::CreateRule { rule, .. } | Step::ModifyRule { rule, .. } => action(&rule.action),
        Step::CreateListener { listener, .. } | Step::ModifyListener { listener, .. } => {
            action(&listener.default_action);
        }
        _ => {}
    }
    match step {
        Step::SetSubnets { load_balancer, .. }
        | Step::SetSecurityGroups { load_balancer, .. }
        | Step::CreateListener {
            load_balancer: LoadBalancerRef::Arn(load_balancer),
            ..
        } => {
            named.insert(load_balancer.clone());
        }
        Step::DeleteLoadBalancer { arn, .. }
        | Step::ModifyListener { arn, .. }
        | Step::DeleteListener { arn, .. }
        | Step::ModifyRule { arn, .. }
        | Step::DeleteRule { arn, .. }
        | Step::ModifyTargetGroup { arn, .. }
        | Step::DeleteTargetGroup { arn, .. }
        | Step::AddListenerCertificate {
            listener: ListenerRef::Arn { arn, .. },
            ..
        }
        | Step::RemoveListenerCertificate {
            listener: ListenerRef::Arn { arn, .. },
            ..
        }
        | Step::CreateRule {
            listener: ListenerRef::Arn { arn, .. },
            ..
        } => {
            named.insert(arn.clone());
        }
        Step::SetRulePriorities { priorities, .. } => named.extend(priorities.keys().cloned()),
        Step::AddTags { resources, .. } | Step::RemoveTags { resources, .. } => {
            named.extend(resources.iter().cloned());
        }
        Step::DeregisterTargets { target_group, .. }
        | Step::RegisterTargets {
            target_group: TargetGroupRef::Arn(target_group),
            ..
        } => {
            named.insert(target_group.clone());
        }
        Step::DeleteSecurityGroup { id, .. }
        | Step::TagSecurityGroup { id, .. }
        | Step::UntagSecurityGroup { id, .. } => {
            named.insert(Arn::from(id.clone()));
        }
        _ => {}
    }
    named
}

/// Target groups that something forwards to.
fn used(observed: &Observed) -> BTreeSet<Arn> {
    let mut used = BTreeSet::new();
    for listener in observed
        .load_balancers
        .iter()
        .flat_map(|lb| lb.listeners.values())
    {
        let rules = listener.rules.values().map(|rule| &rule.spec.action);
        for action in rules.chain([&listener.spec.default_action]) {
            if let Action::Forward(TargetGroupRef::Arn(arn)) = action {
                used.insert(arn.clone());
            }
        }
    }
    used
}

fn drifts() -> impl Strategy<Value = Vec<(u8, usize)>> {
    prop_oneof![
        3 => Just(Vec::new()),
        2 => vec((0..6u8, 0..3usize), 1..3),
        1 => Just(vec![(6, 0)]),
    ]
}

fn choices() -> impl Strategy<Value = Vec<usize>> {
    vec(any::<usize>(), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever was there, in whichever order the edges allow: AWS takes each
    /// step, afterwards nothing is left to do, and at no moment is a request
    /// without a rule that had one and is to have one.
    #[test]
    fn converges_and_keeps_serving(
        before in stack(),
        deeds in drifts(),
        after in stack(),
        choices in choices(),
    ) {
        let mut aws = live(before.clone(), &deeds);
        let served_before = served(&aws.observed.load_balancers);
        let replaced = before.load_balancer.scheme != after.load_balancer.scheme;
        let must_be_served: BTreeSet<_> =
            wished(&after).intersection(&served_before).copied().collect();
        let wish = desired(after);
        let plan = diff(&wish, &aws.observed, &cx());
        run_somehow(&plan, &mut aws, &choices, None, |observed, step| {
            if !replaced {
                let now = served(&observed.load_balancers);
                assert!(must_be_served.is_subset(&now), "after {step} of\n{plan}");
            }
        });
        assert_settled(&wish, &aws);
        prop_assert_eq!(aws.observed.load_balancers.len(), 1);
    }

    /// A step that fails holds up what builds on it and nothing else, and the
    /// next plan gets there from wherever that ended.
    #[test]
    fn converges_after_a_failure(
        before in stack(),
        after in stack(),
        choices in choices(),
        fails in any::<prop::sample::Index>(),
    ) {
        let mut aws = live(before.clone(), &[]);
        let served_before = served(&aws.observed.load_balancers);
        let replaced = before.load_balancer.scheme != after.load_balancer.scheme;
        let must_be_served: BTreeSet<_> =
            wished(&after).intersection(&served_before).copied().collect();
        let wish = desired(after);
        let plan = diff(&wish, &aws.observed, &cx());
        let fails = (!plan.is_empty()).then(|| fails.index(plan.steps.len()));
        run_somehow(&plan, &mut aws, &choices, fails, |_, _| ());
        if !replaced {
            let now = served(&aws.observed.load_balancers);
            prop_assert!(must_be_served.is_subset(&now), "after the failure of {:?} in\n{}", fails, plan);
        }
        let next = diff(&wish, &aws.observed, &cx());
        run_somehow(&next, &mut aws, &choices, None, |_, _| ());
        assert_settled(&wish, &aws);
    }

    /// No step names what is neither there nor made by the same plan.
    #[test]
    fn touches_nothing_else(before in stack(), deeds in drifts(), after in stack()) {
        let aws = live(before, &deeds);
        let known = arns(&aws.observed);
        let plan = diff(&desired(after), &aws.observed, &cx());
        for planned in &plan.steps {
            prop_assert!(named(&planned.step).is_subset(&known), "{}", planned.step);
        }
    }

    /// The order in which AWS lists things changes nothing.
    #[test]
    fn the_order_of_a_listing_does_not_matter(before in stack(), after in stack()) {
        let aws = live(before, &[]);
        let mut turned = aws.observed.clone();
        turned.target_groups.reverse();
        let texts = |observed: &Observed| -> BTreeSet<String> {
            let plan = diff(&desired(after.clone()), observed, &cx());
            plan.steps.iter().map(|s| s.step.to_string()).collect()
        };
        prop_assert_eq!(texts(&aws.observed), texts(&turned));
    }

    /// Nothing that forwards is taken away from under a request: target groups
    /// that rules turn to are made first, those that they leave go last.
    #[test]
    fn creates_come_before_deletes(before in stack(), after in stack()) {
        prop_assume!(before.load_balancer.scheme == after.load_balancer.scheme);
        let aws = live(before, &[]);
        let plan = diff(&desired(after), &aws.observed, &cx());
        let at = |which: fn(&str) -> bool| {
            let mut ids = plan.steps.iter().enumerate();
            let first = ids.clone().find(|(_, s)| which(s.step.kind())).map(|(id, _)| id);
            let last = ids.rfind(|(_, s)| which(s.step.kind())).map(|(id, _)| id);
            (first, last)
        };
        let (_, last_create) = at(|kind| kind.starts_with("create-"));
        let (first_delete, _) = at(|kind| kind.starts_with("delete-") && kind != "delete-rule");
        if let (Some(create), Some(delete)) = (last_create, first_delete) {
            prop_assert!(create < delete, "{plan}");
        }
    }

    /// A group that is removed leaves nothing.
    #[test]
    fn removal_leaves_nothing(before in stack(), deeds in drifts(), choices in choices()) {
        let mut wish = desired(before.clone());
        let mut aws = live(before, &deeds);
        wish.intent = Intent::Remove;
        let plan = diff(&wish, &aws.observed, &cx());
        run_somehow(&plan, &mut aws, &choices, None, |_, _| ());
        prop_assert!(aws.observed.is_empty());
    }

    /// What belongs to a frozen member, or to a leaver that is held, stays as it
    /// is, and so does all that the group shares.
    #[test]
    fn frozen_members_and_held_leavers_keep_what_is_live(
        before in stack(),
        after in stack(),
        which in 1..8u8,
        choices in choices(),
        // Rules taken away by hand leave target groups that nothing uses.
        removed in vec((Just(1u8), 0..3usize), 0..3),
        leaving in any::<bool>(),
    ) {
        let mut aws = live(before, &removed);
        let wish = if leaving { hold(after, which) } else { freeze(after, which) };
        let held = aws.observed.clone();
        let plan = diff(&wish, &aws.observed, &cx());
        run_somehow(&plan, &mut aws, &choices, None, |_, _| ());
        assert_settled(&wish, &aws);

        let (old, new) = (&held.load_balancers[0], &aws.observed.load_balancers[0]);
        prop_assert_eq!(&old.arn, &new.arn);
        prop_assert_eq!(&old.spec, &new.spec);
        let is_frozen = |action: &Action| match action {
            Action::Forward(TargetGroupRef::Arn(arn)) => held
                .target_groups
                .iter()
                .find(|group| group.arn == *arn)
                .is_some_and(|group| {
                    wish.frozen.iter().chain(&wish.held).any(|ingress| {
                        // Exactly theirs: no other member's name begins so.
                        group.spec.key.0.starts_with(&format!("{ingress}-s"))
                    })
                }),
            _ => false,
        };
        for (port, listener) in &old.listeners {
            let now = &new.listeners[port];
            prop_assert_eq!(listener.spec.protocol, now.spec.protocol);
            prop_assert_eq!(&listener.spec.default_certificate, &now.spec.default_certificate);
            prop_assert_eq!(&listener.spec.default_action, &now.spec.default_action);
            prop_assert!(listener.spec.sni_certificates.is_subset(&now.spec.sni_certificates));
            for rule in listener.rules.values().filter(|rule| is_frozen(&rule.spec.action)) {
                let mut rules = now.rules.values();
                let same = rules.find(|other| other.arn == rule.arn);
                prop_assert!(same.is_some_and(|same| same.spec.same_settings(&rule.spec)), "{plan}");
            }
        }
        // What answers by itself may be anyone's.
        for (port, listener) in &old.listeners {
            let mut fixed = listener.rules.values().map(|rule| &rule.spec);
            prop_assert!(fixed.all(|rule| {
                matches!(rule.action, Action::Forward(_))
                    || new.listeners[port].rules.values().any(|now| now.spec.same_settings(rule))
            }), "{plan}");
        }
        for (old, new) in held.security_groups.iter().zip(&aws.observed.security_groups) {
            prop_assert!(old.spec.ingress.is_subset(&new.spec.ingress));
        }
        prop_assert_eq!(held.security_groups.len(), aws.observed.security_groups.len());
        let live = arns(&aws.observed);
        prop_assert!(used(&aws.observed).is_subset(&live));
        for group in held.target_groups.iter().filter(|group| {
            is_frozen(&Action::Forward(TargetGroupRef::Arn(group.arn.clone())))
        }) {
            let same = aws.observed.target_groups.iter().find(|other| other.arn == group.arn);
            prop_assert_eq!(same, Some(group));
        }
    }
}
