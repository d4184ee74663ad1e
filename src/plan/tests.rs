#![allow(clippy::unwrap_used, clippy::panic)] // a test may fail loudly

use std::collections::BTreeSet;

use super::fixture::{cx, desired, host_rule, made, open, pod, run, settle, stack};
use super::step::{Need, Plan, Step};
use super::*;
use crate::model::desired::DesiredRule;
use crate::model::spec::{Arn, LoadBalancerState, Protocol, Scheme, SecurityGroupRef, TargetType};

/// The group of the budgets: two listeners of which one redirects, ten rules,
/// five target groups, two pods each.
fn budget_stack() -> Stack {
    let rules: Vec<DesiredRule> = (0..10)
        .map(|n| host_rule(&format!("h{n}.example"), &format!("s{}", n % 5)))
        .collect();
    let mut stack = stack(&[(80, vec![]), (443, rules)]);
    let redirecting = stack.listeners.get_mut(&80).unwrap();
    redirecting.listener.default_action = Action::RedirectHttps {
        port: 443,
        status_code: "HTTP_301".to_owned(),
    };
    stack
}

fn depth(plan: &Plan) -> usize {
    let mut depths = Vec::new();
    for planned in &plan.steps {
        let before = planned.after.iter().map(|id| depths[*id]).max();
        depths.push(before.unwrap_or(0) + 1);
    }
    depths.into_iter().max().unwrap_or(0)
}

fn counted(plan: &Plan) -> (usize, usize) {
    let low = plan.steps.iter().filter(|s| s.low_priority).count();
    (plan.steps.len() - low, low)
}

/// Rewrites a stack's rules and their tags.
fn with_rules(mut rules: Vec<DesiredRule>, before: impl FnOnce(&mut Vec<DesiredRule>)) -> Desired {
    before(&mut rules);
    desired(stack(&[(80, rules)]))
}

fn three() -> Vec<DesiredRule> {
    ["a", "b", "c"].map(|host| host_rule(host, "web")).to_vec()
}

#[test]
fn a_group_is_made_within_the_budget() {
    let desired = desired(budget_stack());
    let plan = diff(&desired, &Observed::default(), &cx());
    assert!(plan.steps.len() <= 30, "{plan}");
    assert!(depth(&plan) <= 6, "{plan}");
    assert!(plan.steps.iter().all(|step| step.needs.is_empty()));
    made(&desired);
}

#[test]
fn what_other_keys_must_make_is_named() {
    let plan = diff(
        &desired(budget_stack()),
        &Observed::default(),
        &PlanContext::default(),
    );
    let needs: BTreeSet<Need> = plan.steps.iter().flat_map(|s| s.needs.clone()).collect();
    assert_eq!(
        needs,
        BTreeSet::from([Need::BackendSecurityGroup, Need::BackendPort(8080)])
    );
    assert!(plan.to_string().contains(
        "+ targets of shop/web-s0:80: 10.0.48.1:8080, 10.0.48.2:8080 \
         (needs port 8080 open to the backend security group)"
    ));
}

#[test]
fn the_text_of_a_small_group() {
    let plan = diff(
        &desired(stack(&[(80, vec![host_rule("shop.example", "web")])])),
        &Observed::default(),
        &cx(),
    );
    assert_eq!(
        plan.to_string(),
        "\
1. + security group k8s-shop-frontend (frontend)
2. + access to security group frontend: tcp 80 from 0.0.0.0/0
3. + target group shop/web-web:80 (k8s-shop-web-web-80; ip, HTTP HTTP1, port 8080)
4. + targets of shop/web-web:80: 10.0.48.1:8080, 10.0.48.2:8080
5. + load balancer k8s-shop-internal (internal; subnets subnet-a, subnet-b; security groups frontend, backend)
6. + listener 80 HTTP -> fixed response 404
7. + rule 80/1 host shop.example path /* -> forward shop/web-web:80
"
    );
}

#[test]
fn a_rule_at_the_end_is_one_call_and_anywhere_else_two() {
    let observed = made(&with_rules(three(), |_| ()));
    for (place, calls, tags) in [(3, 1, 0), (0, 2, 3), (1, 2, 2)] {
        let wished = with_rules(three(), |rules| rules.insert(place, host_rule("d", "web")));
        let plan = diff(&wished, &observed, &cx());
        assert_eq!(counted(&plan), (calls, tags), "{plan}");
        settle(&wished, &mut observed.clone());
    }
}

#[test]
fn the_text_of_a_rule_in_the_middle() {
    let mut observed = made(&with_rules(three(), |_| ()));
    let wished = with_rules(three(), |rules| rules.insert(1, host_rule("d", "web")));
    assert_eq!(
        settle(&wished, &mut observed),
        "\
1. ~ order of the rules of listener 80: 2 to 3, 3 to 4
2. + rule 80/2 host d path /* -> forward shop/web-web:80
3. ~ tags of rule 80/3: ingress.k8s.aws/resource=80:3
4. ~ tags of rule 80/4: ingress.k8s.aws/resource=80:4
"
    );
}

#[test]
fn a_rule_removed_from_the_middle() {
    let mut observed = made(&with_rules(three(), |_| ()));
    let wished = with_rules(three(), |rules| drop(rules.remove(1)));
    assert_eq!(
        settle(&wished, &mut observed),
        "\
1. ~ order of the rules of listener 80: 3 to 2, 2 to 50000
2. - rule 80/2 host b path /* -> forward shop/web-web:80
3. ~ tags of rule 80/2: ingress.k8s.aws/resource=80:2
"
    );
}

#[test]
fn a_pod_more_or_less_is_one_call() {
    let mut wished = with_rules(three(), |_| ());
    let mut observed = made(&wished);
    for targets in [vec![1, 2, 3], vec![3], vec![3, 4]] {
        let Intent::Serve(stack) = &mut wished.intent else {
            panic!("not served");
        };
        for group in stack.target_groups.values_mut() {
            group.targets = targets.iter().map(|n| pod(*n)).collect();
        }
        let plan = diff(&wished, &observed, &cx());
        assert!(plan.steps.len() <= 2 && plan.steps.iter().all(|s| s.after.is_empty()));
        settle(&wished, &mut observed);
    }
}

#[test]
fn a_certificate_added_is_one_call_and_the_default_one_none() {
    let mut wished = desired(budget_stack());
    let mut observed = made(&wished);
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    let listener = &mut stack.listeners.get_mut(&443).unwrap().listener;
    listener.sni_certificates.insert(Arn::from("arn:more"));
    assert_eq!(
        settle(&wished, &mut observed),
        "1. + certificate arn:more on listener 443\n"
    );
}

#[test]
fn another_default_certificate_keeps_the_first_for_sni() {
    let mut wished = desired(budget_stack());
    let mut observed = made(&wished);
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    let listener = &mut stack.listeners.get_mut(&443).unwrap().listener;
    listener.sni_certificates.insert(Arn::from("arn:new"));
    listener.default_certificate = Some(Arn::from("arn:new"));
    let plan = diff(&wished, &observed, &cx());
    assert_eq!(plan.steps.len(), 2, "{plan}");
    assert!(matches!(
        &plan.steps[0].step,
        Step::AddListenerCertificate { certificate, .. } if certificate.0 == "arn:cert"
    ));
    assert!(plan.steps[1].after.contains(&0));
    settle(&wished, &mut observed);
}

#[test]
fn a_protocol_changes_in_place() {
    let mut wished = with_rules(three(), |_| ());
    let mut observed = made(&wished);
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    let listener = &mut stack.listeners.get_mut(&80).unwrap().listener;
    listener.protocol = Protocol::Https;
    listener.default_certificate = Some(Arn::from("arn:cert"));
    listener.ssl_policy = Some("policy".to_owned());
    listener.sni_certificates = BTreeSet::from([Arn::from("arn:cert"), Arn::from("arn:more")]);
    assert_eq!(
        settle(&wished, &mut observed),
        "1. ~ listener 80 HTTPS certificate arn:cert policy policy -> fixed response 404\n\
         2. + certificate arn:more on listener 80\n"
    );
}

#[test]
fn a_group_removed_is_few_calls_and_the_security_group_is_last() {
    let mut wished = desired(budget_stack());
    let mut observed = made(&wished);
    wished.intent = Intent::Remove;
    wished.members.clear();
    let plan = diff(&wished, &observed, &cx());
    assert!(plan.steps.len() <= 10);
    assert!(matches!(
        plan.steps[0].step,
        Step::DeleteLoadBalancer { .. }
    ));
    let last = plan.steps.last().unwrap();
    assert!(matches!(last.step, Step::DeleteSecurityGroup { .. }));
    assert!(last.after.contains(&0));
    settle(&wished, &mut observed);
    assert!(observed.is_empty());
}

#[test]
fn a_replaced_target_group_is_filled_before_rules_turn_to_it() {
    let mut wished = with_rules(three(), |_| ());
    let mut observed = made(&wished);
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    for group in stack.target_groups.values_mut() {
        group.target_group.target_type = TargetType::Instance;
        group.target_group.name = "k8s-other".to_owned();
    }
    let plan = diff(&wished, &observed, &cx());
    let kinds: Vec<&str> = plan.steps.iter().map(|s| s.step.kind()).collect();
    assert_eq!(
        kinds,
        [
            "create-target-group",
            "register-targets",
            "modify-rule",
            "modify-rule",
            "modify-rule",
            "delete-target-group"
        ]
    );
    assert!(plan.steps[2].after.contains(&1));
    assert_eq!(plan.steps[5].after, BTreeSet::from([2, 3, 4]));
    settle(&wished, &mut observed);
    assert_eq!(observed.target_groups.len(), 1);
}

#[test]
fn a_scheme_change_makes_the_new_one_first_and_waits_until_it_is_active() {
    let mut wished = with_rules(three(), |_| ());
    let mut observed = made(&wished);
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    stack.load_balancer.scheme = Scheme::InternetFacing;
    stack.load_balancer.name = "k8s-shop-facing".to_owned();
    let plan = diff(&wished, &observed, &cx());
    let deletion = plan
        .steps
        .iter()
        .position(|s| s.step.kind() == "delete-load-balancer")
        .unwrap();
    let needs = Need::ActiveLoadBalancer {
        name: "k8s-shop-facing".to_owned(),
    };
    assert_eq!(plan.steps[deletion].needs, BTreeSet::from([needs.clone()]));
    // Where it gets no records, those of the old one go before.
    let strands = PlanContext {
        records_go_first: true,
        ..cx()
    };
    assert_eq!(
        diff(&wished, &observed, &strands).steps[deletion].needs,
        BTreeSet::from([needs, Need::RecordsGone])
    );
    // Only what forwards to the target groups waits for the old one.
    for planned in &plan.steps {
        let waits = planned.after.contains(&deletion);
        assert_eq!(
            waits,
            planned.step.kind() == "create-rule",
            "{}",
            planned.step
        );
    }
    // As apply does until the new one is active: all but what waits.
    for planned in &plan.steps[..deletion] {
        super::fixture::take(&planned.step, &mut observed);
    }
    observed.load_balancers[1].state = LoadBalancerState::Provisioning;
    observed.load_balancers[1].state = LoadBalancerState::Active;
    let serving = |observed: &Observed| current(&wished, observed).unwrap().spec.scheme;
    assert_eq!(serving(&observed), Scheme::Internal);
    let plan = diff(&wished, &observed, &cx());
    let kinds: Vec<&str> = plan.steps.iter().map(|s| s.step.kind()).collect();
    assert_eq!(
        kinds,
        [
            "delete-load-balancer",
            "create-rule",
            "create-rule",
            "create-rule"
        ]
    );
    assert!(plan.steps.iter().all(|s| s.needs.is_empty()));
    settle(&wished, &mut observed);
    assert_eq!(serving(&observed), Scheme::InternetFacing);
    assert_eq!(observed.load_balancers.len(), 1);
    assert_eq!(observed.target_groups.len(), 1);
}

#[test]
fn rules_over_the_quota_go_before_others_come() {
    let many = |start: usize| -> Vec<DesiredRule> {
        (start..start + 100)
            .map(|n| host_rule(&format!("h{n}"), "web"))
            .collect()
    };
    let mut observed = made(&desired(stack(&[(80, many(0))])));
    let wished = desired(stack(&[(80, many(2))]));
    let plan = diff(&wished, &observed, &cx());
    let mut live = 100;
    for planned in &plan.steps {
        match planned.step.kind() {
            "create-rule" => live += 1,
            "delete-rule" => live -= 1,
            _ => {}
        }
        assert!(live <= 100, "{plan}");
    }
    settle(&wished, &mut observed);
}

#[test]
fn access_is_added_before_it_is_taken_away() {
    let mut observed = made(&with_rules(three(), |_| ()));
    let wished = desired(stack(&[(8080, three())]));
    let plan = diff(&wished, &observed, &cx());
    let at = |kind: &str| plan.steps.iter().position(|s| s.step.kind() == kind);
    let (add, remove) = (
        at("authorize-ingress").unwrap(),
        at("revoke-ingress").unwrap(),
    );
    assert!(add < remove && plan.steps[remove].after.contains(&add));
    settle(&wished, &mut observed);
    assert_eq!(
        observed.security_groups[0].spec.ingress,
        BTreeSet::from([open(8080)])
    );
}

#[test]
fn given_security_groups_replace_the_managed_one_which_goes_after() {
    let mut wished = with_rules(three(), |_| ());
    let mut observed = made(&wished);
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    stack.frontend = None;
    stack.load_balancer.security_groups = [SecurityGroupRef::Id("sg-mine".to_owned())].into();
    assert_eq!(
        settle(&wished, &mut observed),
        "1. ~ load balancer k8s-shop-internal: security groups sg-mine\n\
         2. - security group k8s-shop-frontend (sg-frontend)\n"
    );
}

#[test]
fn ids_of_managed_groups_are_no_drift() {
    let wished = with_rules(three(), |_| ());
    let mut observed = made(&wished);
    observed.load_balancers[0].spec.security_groups = ["sg-frontend", "sg-backend"]
        .map(|id| SecurityGroupRef::Id(id.to_owned()))
        .into();
    assert!(diff(&wished, &observed, &cx()).is_empty());
}

#[test]
fn a_group_that_is_another_controllers_is_left_alone() {
    let mut wished = with_rules(three(), |_| ());
    let observed = made(&wished);
    wished.intent = Intent::LeaveAlone;
    assert!(diff(&wished, &observed, &cx()).is_empty());
}

#[test]
fn tags_are_reconciled_and_those_that_a_rule_moves_with_come_last() {
    let mut wished = with_rules(three(), |_| ());
    let mut observed = made(&wished);
    observed.load_balancers[0].spec.tags.insert("old", "1");
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    for rule in &mut stack.listeners.get_mut(&80).unwrap().rules {
        rule.rule.tags.insert("team", "a");
    }
    assert_eq!(
        settle(&wished, &mut observed),
        "1. ~ tags of rule 80/1, 80/2, 80/3: team=a\n\
         2. - tags of load balancer k8s-shop-internal: old\n"
    );
}

#[test]
fn a_plan_runs_in_any_order_of_its_own() {
    let plan = diff(&desired(budget_stack()), &Observed::default(), &cx());
    let mut observed = Observed::default();
    run(&plan, &mut observed);
    for (index, planned) in plan.steps.iter().enumerate() {
        assert!(planned.after.iter().all(|before| *before < index));
    }
}

#[test]
fn a_default_changes_between_new_rules_and_old_ones() {
    let mut observed = made(&with_rules(three(), |_| ()));
    let mut wished = with_rules(vec![host_rule("d", "web"), host_rule("e", "web")], |_| ());
    let Intent::Serve(stack) = &mut wished.intent else {
        panic!("not served");
    };
    let listener = &mut stack.listeners.get_mut(&80).unwrap().listener;
    listener.default_action = Action::RedirectHttps {
        port: 443,
        status_code: "HTTP_301".to_owned(),
    };
    let plan = diff(&wished, &observed, &cx());
    let at = |kind: &str| -> Vec<usize> {
        let steps = plan.steps.iter().enumerate();
        steps
            .filter(|(_, planned)| planned.step.kind() == kind)
            .map(|(id, _)| id)
            .collect()
    };
    let default = at("modify-listener")[0];
    for arrival in at("modify-rule").into_iter().chain(at("create-rule")) {
        assert!(plan.steps[default].after.contains(&arrival), "{plan}");
    }
    assert_eq!(at("delete-rule").len(), 1);
    assert!(plan.steps[at("delete-rule")[0]].after.contains(&default));
    settle(&wished, &mut observed);
}
