//! What a listing of the account leaves open about a group: whether all that
//! it shows is as wished, and what the rest is then.

use super::effect::{Made, effect};
use super::step::Step;
use super::target_groups::matching;
use super::{PlanContext, diff};
use crate::model::desired::{Desired, DesiredTargetGroup, Stack};
use crate::model::spec::{Arn, LiveTargetGroup, Observed, Target};

/// What AWS holds for a group if it was made as wished: what a listing shows,
/// with listeners, rules and targets as wished. `None` where the listing shows
/// something else than is wished.
///
/// The ARNs of listeners and rules in it are not those of AWS. It answers
/// whether something is to be done; what is to be done comes from a read.
pub fn assumed(desired: &Desired, listed: &Observed, cx: &PlanContext) -> Option<Observed> {
    if listed.load_balancers.len() != 1 {
        return None;
    }
    let plan = diff(desired, listed, cx);
    let mut assumed = listed.clone();
    for (number, planned) in plan.steps.iter().enumerate() {
        if !is_inside(&planned.step) {
            return None;
        }
        let made = Made {
            arn: Some(Arn(format!("assumed:{number}"))),
            ..Made::default()
        };
        effect(&planned.step, &made, &mut assumed);
    }
    diff(desired, &assumed, cx).is_empty().then_some(assumed)
}

/// Whether a step makes what a listing does not show.
fn is_inside(step: &Step) -> bool {
    matches!(
        step,
        Step::CreateListener { .. }
            | Step::AddListenerCertificate { .. }
            | Step::CreateRule { .. }
            | Step::RegisterTargets { .. }
    )
}

/// The wished target groups that are there, each with the live one.
pub fn live_target_groups<'a>(
    stack: &'a Stack,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a DesiredTargetGroup, &'a LiveTargetGroup)> {
    let wished = stack.target_groups.values();
    wished.filter_map(|wished| Some((wished, matching(&wished.target_group, observed)?)))
}

/// Whether a live target group has the targets that are wished, and no others.
pub fn has_targets(wished: &DesiredTargetGroup, live: &LiveTargetGroup) -> bool {
    let identity = |target: &Target| (target.id.clone(), target.port);
    let live = live.targets.iter().map(identity);
    live.eq(wished.targets.iter().map(identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::Intent;
    use crate::model::spec::LiveLoadBalancer;
    use crate::plan::fixture::{cx, desired, host_rule, made, stack};

    /// Two listeners, one of them HTTPS, two rules and target groups.
    fn served() -> (Desired, Observed) {
        let rules = vec![host_rule("a.example", "a"), host_rule("b.example", "b")];
        let desired = desired(stack(&[(80, vec![]), (443, rules)]));
        let observed = made(&desired);
        (desired, observed)
    }

    /// What a listing shows of what is live.
    fn listed(observed: &Observed) -> Observed {
        let mut listed = observed.clone();
        for lb in &mut listed.load_balancers {
            lb.listeners.clear();
        }
        for group in &mut listed.target_groups {
            group.targets.clear();
        }
        listed
    }

    fn without_arns(lb: &LiveLoadBalancer) -> impl PartialEq + std::fmt::Debug + use<> {
        let listeners = lb.listeners.values();
        let listeners = listeners.map(|listener| {
            let rules = listener.rules.iter();
            let rules: Vec<_> = rules.map(|(n, rule)| (*n, rule.spec.clone())).collect();
            (listener.spec.clone(), rules)
        });
        listeners.collect::<Vec<_>>()
    }

    #[test]
    fn a_listing_that_shows_what_is_wished_leaves_the_rest_as_wished() {
        let (desired, observed) = served();
        let assumed = assumed(&desired, &listed(&observed), &cx());
        let assumed = assumed.unwrap_or_default();
        assert_eq!(assumed.target_groups, observed.target_groups);
        assert_eq!(
            without_arns(&assumed.load_balancers[0]),
            without_arns(&observed.load_balancers[0])
        );
        let Intent::Serve(stack) = &desired.intent else {
            unreachable!("it is served");
        };
        let pairs: Vec<_> = live_target_groups(stack, &assumed).collect();
        assert_eq!(pairs.len(), 2);
        for (wished, live) in pairs {
            assert!(has_targets(wished, live));
            let mut fewer = live.clone();
            fewer.targets.pop_first();
            assert!(!has_targets(wished, &fewer));
        }
    }

    #[test]
    fn whatever_a_listing_shows_to_be_different_is_not_assumed() {
        type Change = fn(&mut Observed);
        let changes: [(&str, Change); 9] = [
            ("no load balancer", |o| o.load_balancers.clear()),
            ("two load balancers", |o| {
                let mut second = o.load_balancers[0].clone();
                second.arn = Arn::from("second");
                o.load_balancers.push(second);
            }),
            ("security groups", |o| {
                o.load_balancers[0].spec.security_groups.clear();
            }),
            ("tags", |o| {
                o.load_balancers[0].spec.tags = crate::model::spec::Tags::new();
            }),
            ("a target group too few", |o| {
                o.target_groups.pop();
            }),
            ("a target group too many", |o| {
                let mut more = o.target_groups[0].clone();
                more.arn = Arn::from("more");
                more.spec.key.0.push('x');
                o.target_groups.push(more);
            }),
            ("a health check", |o| {
                o.target_groups[0].spec.health_check.path = "/x".to_owned();
            }),
            ("no frontend group", |o| o.security_groups.clear()),
            ("rules of the frontend group", |o| {
                o.security_groups[0].spec.ingress.clear();
            }),
        ];
        let (desired, observed) = served();
        for (what, change) in changes {
            let mut changed = listed(&observed);
            change(&mut changed);
            assert_eq!(assumed(&desired, &changed, &cx()), None, "{what}");
        }
    }
}
