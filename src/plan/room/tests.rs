#![allow(clippy::unwrap_used, clippy::panic)] // a test may fail loudly

use super::*;
use crate::model::desired::{Desired, DesiredRule, Intent};
use crate::model::limits::{Counted, Limit};
use crate::model::spec::{Condition, Observed};
use crate::plan::fixture::{cx, desired, host_rule, made, run, stack};
use crate::plan::step::Plan;
use crate::plan::{PlanContext, diff};

fn three() -> Vec<DesiredRule> {
    ["a", "b", "c"].map(|host| host_rule(host, "web")).to_vec()
}

/// A context in which AWS has said how many there may be.
fn allowing(counted: Counted, allowed: usize) -> PlanContext {
    let limit = Some(Limit { allowed, held: 0 });
    let limits = match counted {
        Counted::Rules => Limits {
            rules: limit,
            ..Limits::default()
        },
        Counted::Listeners => Limits {
            listeners: limit,
            ..Limits::default()
        },
        Counted::Certificates => Limits {
            certificates: limit,
            ..Limits::default()
        },
        Counted::TargetGroups => Limits {
            target_groups: limit,
            ..Limits::default()
        },
    };
    PlanContext { limits, ..cx() }
}

/// Plans with and without room, and says in which order two kinds of step
/// stand; with none there is an edge, too.
fn order_with(
    wished: &Desired,
    observed: &Observed,
    tight: &PlanContext,
    (old, new): (&str, &str),
) -> (bool, bool) {
    let at = |plan: &Plan, kind: &str| plan.steps.iter().position(|s| s.step.kind() == kind);
    let roomy = diff(wished, observed, &cx());
    let plan = diff(wished, observed, tight);
    let (gone, come) = (at(&plan, old).unwrap(), at(&plan, new).unwrap());
    let waits = plan.steps[come].after.contains(&gone);
    let mut observed = observed.clone();
    run(&plan, &mut observed);
    assert!(diff(wished, &observed, tight).is_empty(), "{plan}");
    (at(&roomy, old) < at(&roomy, new), waits)
}

#[test]
fn where_no_listener_more_is_allowed_the_old_one_goes_first() {
    let observed = made(&desired(stack(&[(80, three())])));
    let wished = desired(stack(&[(8080, three())]));
    let kinds = ("delete-listener", "create-listener");
    let tight = allowing(Counted::Listeners, 1);
    assert_eq!(order_with(&wished, &observed, &tight, kinds), (false, true));
    let plan = diff(&wished, &observed, &allowing(Counted::Listeners, 2));
    assert!(
        !plan
            .steps
            .iter()
            .any(|s| s.step.kind() == "delete-listener" && s.after.is_empty())
    );
}

#[test]
fn where_no_certificate_more_is_allowed_the_old_one_goes_first() {
    let with = |certificate: &str| {
        let mut stack = stack(&[(443, three())]);
        let listener = &mut stack.listeners.get_mut(&443).unwrap().listener;
        listener.sni_certificates.insert(Arn::from(certificate));
        desired(stack)
    };
    let observed = made(&with("arn:old"));
    let kinds = ("remove-listener-certificate", "add-listener-certificate");
    let tight = allowing(Counted::Certificates, 1);
    assert_eq!(
        order_with(&with("arn:new"), &observed, &tight, kinds),
        (false, true)
    );
}

#[test]
fn where_no_target_group_more_is_allowed_the_old_rule_goes_first() {
    let to = |service: &str| {
        let rule = host_rule(&format!("{service}.e"), service);
        desired(stack(&[(80, vec![rule])]))
    };
    let mut observed = made(&to("old"));
    // Another rule at its place, so that the old one is not simply changed.
    let mut wished = to("new");
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    let rules = &mut stack.listeners.get_mut(&80).unwrap().rules;
    rules[0].rule.conditions = vec![Condition::HostHeader(vec!["*.e".into()])];
    let listener = observed.load_balancers[0].listeners.get_mut(&80).unwrap();
    let rule = listener.rules.remove(&1).unwrap();
    listener.rules.insert(2, rule);
    let kinds = ("delete-rule", "create-rule");
    let tight = allowing(Counted::TargetGroups, 1);
    assert_eq!(order_with(&wished, &observed, &tight, kinds), (false, true));
}

#[test]
fn where_no_rule_more_is_allowed_the_old_one_goes_first() {
    // Two hosts in one rule become two rules: one must go first.
    let mut both = host_rule("a", "web");
    both.rule.conditions[0] = Condition::HostHeader(vec!["a".into(), "b".into()]);
    let observed = made(&desired(stack(&[(80, vec![both])])));
    let apart = ["a", "b"].map(|host| host_rule(host, "web")).to_vec();
    let apart = desired(stack(&[(80, apart)]));
    let tight = allowing(Counted::Rules, 2);
    let roomy = diff(&apart, &observed, &cx());
    let plan = diff(&apart, &observed, &tight);
    let at = |plan: &Plan, kind: &str| plan.steps.iter().position(|s| s.step.kind() == kind);
    assert!(
        at(&roomy, "create-rule") < at(&roomy, "delete-rule"),
        "{roomy}"
    );
    assert!(
        at(&plan, "delete-rule") < at(&plan, "create-rule"),
        "{plan}"
    );
    let mut observed = observed;
    run(&plan, &mut observed);
    assert!(diff(&apart, &observed, &tight).is_empty());
    // Where every rule is overwritten by another host's, nothing is over.
    let other = ["d", "e"].map(|host| host_rule(host, "web")).to_vec();
    let in_place = diff(&desired(stack(&[(80, other)])), &observed, &tight);
    let kinds = in_place.steps.iter().map(|s| s.step.kind());
    assert!(kinds.eq(["modify-rule", "modify-rule"]), "{in_place}");
}
