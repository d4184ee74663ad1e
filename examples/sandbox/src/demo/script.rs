//! The script of the demo: what is done, and what is claimed and checked.

use std::time::Duration;

use super::checks::{
    apply_game, break_it, browsed, delete_both, empty, few_calls, gone, install, kubectl_get_alb,
    made, only_registrations, page_from, redirected, resolved, scale, scores_answer, shared,
    six_targets, unchanged, visitors_happy, warned,
};
use super::claim::Step;
use super::stage::Stage;

const SOON: Duration = Duration::from_secs(20);
const IN_A_WHILE: Duration = Duration::from_mins(1);

/// The demo up to the point where a person may take over.
pub fn acts() -> Vec<Step<Stage>> {
    let mut steps = controller();
    steps.extend(game());
    steps.extend(scaling());
    steps.extend(group());
    steps.extend(breaking());
    steps
}

fn controller() -> Vec<Step<Stage>> {
    vec![
        Step::Scene(
            "The controller",
            "A Kubernetes control plane runs, three played nodes and an AWS account with a network, \
             a zone example.com and a certificate. The controller is installed from deploy/, with \
             two replicas.",
        ),
        Step::Do("Installing the controller.", |s| Box::pin(install(s))),
        Step::Claim(
            "Two replicas are ready, and one of them leads.",
            SOON,
            |s| Box::pin(s.controllers()),
        ),
    ]
}

fn game() -> Vec<Step<Stage>> {
    vec![
        Step::Scene(
            "A game on the internet",
            "examples/2048 has a Deployment of five pods, a Service, and an Ingress that wants the \
             host game.example.com, HTTPS on port 443, and a redirect to it from port 80.",
        ),
        Step::Do("Applying examples/2048.", |s| Box::pin(apply_game(s))),
        Step::Claim("The five pods of the game are ready.", IN_A_WHILE, |s| {
            Box::pin(s.ready_pods("game", 5))
        }),
        Step::Claim(
            "The Ingress has the name of a load balancer.",
            IN_A_WHILE,
            |s| Box::pin(s.load_balancer("game", "game")),
        ),
        Step::Claim(
            "AWS has a load balancer with two listeners, and all five pods are healthy targets.",
            IN_A_WHILE,
            |s| Box::pin(async { made(s, 5) }),
        ),
        Step::Claim(
            "DNS knows the host: Route 53 has a record that leads to the load balancer.",
            IN_A_WHILE,
            |s| Box::pin(resolved(s)),
        ),
        Step::Claim("http:// is redirected to https://.", SOON, |s| {
            Box::pin(redirected(s))
        }),
        Step::Claim(
            "https:// gives the page of the game, and each of the five pods serves it in turn.",
            SOON,
            |s| Box::pin(page_from(s, 5)),
        ),
        Step::Claim(
            "A browser on this machine gets there too, through the gateway and its redirects.",
            SOON,
            |s| Box::pin(browsed(s)),
        ),
        Step::Claim(
            "kubectl tells the same in one line for each load balancer.",
            SOON,
            |s| Box::pin(kubectl_get_alb(s)),
        ),
        Step::Claim(
            "It took at most 30 calls that change something in AWS.",
            SOON,
            |s| Box::pin(few_calls(s)),
        ),
    ]
}

fn scaling() -> Vec<Step<Stage>> {
    vec![
        Step::Scene(
            "More players",
            "The Deployment grows from five pods to eight.",
        ),
        Step::Do("Scaling to eight.", |s| Box::pin(scale(s, "8"))),
        Step::Claim(
            "All eight pods are healthy targets of the load balancer.",
            IN_A_WHILE,
            |s| Box::pin(async { made(s, 8).map(|_| "8 healthy".to_owned()) }),
        ),
        Step::Claim("Each of the eight serves the page.", SOON, |s| {
            Box::pin(page_from(s, 8))
        }),
        Step::Claim(
            "It took one call for each new pod at most, and no other that changes anything.",
            SOON,
            |s| Box::pin(only_registrations(s)),
        ),
    ]
}

fn group() -> Vec<Step<Stage>> {
    vec![
        Step::Scene(
            "A second Ingress on the same load balancer",
            "examples/group adds an Ingress of another namespace to the group: scores.example.com.",
        ),
        Step::Do("Applying examples/group.", |s| {
            Box::pin(s.example("group", "apply"))
        }),
        Step::Claim(
            "Both Ingresses have the same load balancer, the only one, and ten healthy targets.",
            IN_A_WHILE,
            |s| Box::pin(shared(s)),
        ),
        Step::Claim(
            "The second host has a record and answers from its own pods.",
            IN_A_WHILE,
            |s| Box::pin(scores_answer(s)),
        ),
    ]
}

fn breaking() -> Vec<Step<Stage>> {
    vec![
        Step::Scene(
            "A mistake",
            "The Ingress of the scores gets an annotation that makes no sense. It must not harm the \
             game beside it. Visitors of the game fetch its page all the time.",
        ),
        Step::Do("Breaking the Ingress of the scores.", |s| {
            Box::pin(break_it(s))
        }),
        Step::Claim(
            "The broken Ingress says what is wrong, in a Warning event.",
            SOON,
            |s| Box::pin(warned(s)),
        ),
        Step::Claim("Nothing in AWS has changed.", SOON, |s| {
            Box::pin(unchanged(s))
        }),
        Step::Claim(
            "What was served for the broken Ingress is served on.",
            SOON,
            |s| Box::pin(scores_answer(s)),
        ),
        Step::Do("Meanwhile the game shrinks to six pods.", |s| {
            Box::pin(scale(s, "6"))
        }),
        Step::Claim(
            "The game goes on changing beside the broken Ingress: six of its pods are targets.",
            IN_A_WHILE,
            |s| Box::pin(six_targets(s)),
        ),
        Step::Claim(
            "In all this time no visitor of the game went away without the page.",
            SOON,
            |s| Box::pin(async { visitors_happy(s) }),
        ),
    ]
}

/// The end of the demo: everything is deleted.
pub fn cleaning_up() -> Vec<Step<Stage>> {
    vec![
        Step::Scene(
            "The end",
            "All of it is deleted from Kubernetes, the broken Ingress too.",
        ),
        Step::Do("Deleting both examples.", |s| Box::pin(delete_both(s))),
        Step::Claim("The Ingresses are gone.", IN_A_WHILE, |s| Box::pin(gone(s))),
        Step::Claim(
            "The account is as empty as it was: no load balancer, no target group, no security \
             group of ours, no record.",
            IN_A_WHILE,
            |s| Box::pin(async { empty(s) }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::claim::claims;

    #[test]
    fn claims_are_whole_sentences() {
        let steps: Vec<_> = acts().into_iter().chain(cleaning_up()).collect();
        for step in &steps {
            if let Step::Claim(sentence, ..) | Step::Do(sentence, _) = step {
                assert!(sentence.ends_with('.'), "{sentence}");
                assert!(sentence.len() < 120, "{sentence}");
            }
        }
        assert!(claims(&steps) >= 14);
    }
}
