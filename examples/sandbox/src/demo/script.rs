//! The script of the demo: what is done, and what is claimed and checked.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Uri;

use super::claim::Step;
use super::stage::{Stage, written};
use super::view;
use super::visitors::Visitors;
use crate::web::{self, Listener};

/// The host of examples/2048.
pub const GAME: &str = "game.example.com";
/// The host that examples/group adds.
const SCORES: &str = "scores.example.com";

/// Most calls that may change something for the game's load balancer: 30 for
/// a group of this kind and what is made once for a cluster.
const WRITES: u64 = 30;
/// Visits that are enough to see an outage.
const VISITS: usize = 100;

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

async fn install(s: &Stage) -> anyhow::Result<String> {
    if !s.with_controller {
        return Ok("(left out: --no-controller)".to_owned());
    }
    // Nobody in a demo remembers a record that is gone for a minute.
    s.sandbox
        .install_controller(&["--dns-delete-grace=0"])
        .await?;
    Ok("$ kubectl apply -k deploy   # with this cluster's name, region and role".to_owned())
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

async fn apply_game(s: &Stage) -> anyhow::Result<String> {
    s.clear_calls().await?;
    s.example("2048", "apply").await
}

fn made(s: &Stage, pods: usize) -> anyhow::Result<String> {
    s.account(|account| {
        let balancers: Vec<_> = account.load_balancers.values().collect();
        ensure!(balancers.len() == 1, "{} load balancers", balancers.len());
        let ports: Vec<u16> = balancers[0].listeners.keys().copied().collect();
        ensure!(ports == [80, 443], "listeners on {ports:?}");
        let state = balancers[0].state.as_str();
        ensure!(state == "active", "the load balancer is {state}");
        let healthy = view::health(account, "healthy");
        ensure!(healthy == pods, "{healthy} healthy targets of {pods}");
        Ok(view::objects(account))
    })
}

async fn resolved(s: &Stage) -> anyhow::Result<String> {
    let balancer = s.load_balancer("game", "game").await?;
    let found = s.dns(GAME).await?;
    let same = s.dns(&balancer).await?;
    ensure!(
        found.addresses() == same.addresses(),
        "{GAME} and {balancer} have different addresses"
    );
    let dns = s.sandbox.account.dns();
    Ok(format!(
        "$ dig @{} -p {} {GAME}\n{found}",
        dns.ip(),
        dns.port()
    ))
}

async fn redirected(s: &Stage) -> anyhow::Result<String> {
    let answer = s.fetch(GAME, 80, "/").await?;
    let location = answer.header("location");
    ensure!(
        answer.status == 301 && location.starts_with(&format!("https://{GAME}")),
        "status {}, location '{location}'",
        answer.status
    );
    Ok(format!("{}, location: {location}", answer.status))
}

async fn page_from(s: &Stage, pods: usize) -> anyhow::Result<String> {
    let mut served = BTreeSet::new();
    for _ in 0..pods * 4 {
        let answer = s.fetch(GAME, 443, "/").await?;
        ensure!(answer.status == 200, "status {}", answer.status);
        ensure!(
            answer.body.contains("<title>2048</title>"),
            "that is not the page of the game: {:.80}",
            answer.body
        );
        served.insert(answer.header("x-served-by").to_owned());
    }
    let by: Vec<_> = served.iter().map(String::as_str).collect();
    ensure!(
        served.len() == pods,
        "{} of {pods} pods served the page",
        served.len()
    );
    Ok(format!("served by {}", by.join(", ")))
}

/// Goes where a browser would go, from the gateway's address for the game on.
async fn browsed(s: &Stage) -> anyhow::Result<String> {
    let gateway = s.sandbox.gateway.as_ref().context("there is no gateway")?;
    let mut url: Uri = gateway.url(GAME).parse()?;
    let mut shown = String::new();
    for _ in 0..3 {
        let host = url.host().context("a redirect without a host")?;
        let at = Listener::plain(gateway.address());
        let answer = web::get(&at, host, url.path()).await?;
        writeln!(shown, "{url} {}", answer.status)?;
        if answer.status == 200 {
            ensure!(answer.body.contains("<title>2048</title>"), "another page");
            return Ok(shown);
        }
        let next: Uri = answer.header("location").parse()?;
        ensure!(
            next.port_u16() == Some(gateway.address().port()),
            "led out of the gateway, to {next}"
        );
        url = next;
    }
    anyhow::bail!("led in circles:\n{shown}")
}

async fn kubectl_get_alb(s: &Stage) -> anyhow::Result<String> {
    let shown = s.kubectl(&["get", "alb"]).await?;
    let balancer = s.load_balancer("game", "game").await?;
    ensure!(
        shown.contains("arcade") && shown.contains(&balancer),
        "the group arcade is not shown with its load balancer:\n{shown}"
    );
    Ok(shown)
}

async fn few_calls(s: &Stage) -> anyhow::Result<String> {
    let calls = s.calls().await?;
    let count = |writes| {
        let calls = calls.iter().filter(|call| call.writes() == writes);
        calls.map(|call| call.count).sum::<u64>()
    };
    let (writes, reads) = (count(true), count(false));
    ensure!(
        (1..=WRITES).contains(&writes),
        "{writes} calls that change something:\n{}",
        written(&calls)
    );
    Ok(format!(
        "{writes} that change, {reads} that read:\n{}",
        written(&calls)
    ))
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

async fn scale(s: &Stage, replicas: &str) -> anyhow::Result<String> {
    s.clear_calls().await?;
    let replicas = format!("--replicas={replicas}");
    s.kubectl(&["--namespace=game", "scale", "deployment/game", &replicas])
        .await
}

async fn only_registrations(s: &Stage) -> anyhow::Result<String> {
    let calls = s.calls().await?;
    let writes: Vec<_> = calls.iter().filter(|call| call.writes()).collect();
    let count: u64 = writes.iter().map(|call| call.count).sum();
    ensure!(
        writes.iter().all(|call| call.action == "RegisterTargets") && (1..=3).contains(&count),
        "{}",
        written(writes)
    );
    Ok(written(writes))
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
            "Both Ingresses have the same load balancer, and there is only one.",
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

async fn shared(s: &Stage) -> anyhow::Result<String> {
    let game = s.load_balancer("game", "game").await?;
    let scores = s.load_balancer("scores", "scores").await?;
    let count = s.account(|account| account.load_balancers.len());
    ensure!(
        game == scores && count == 1,
        "{game} and {scores}, {count} load balancers"
    );
    Ok(game)
}

async fn scores_answer(s: &Stage) -> anyhow::Result<String> {
    let answer = s.fetch(SCORES, 443, "/top?of=all").await?;
    ensure!(answer.status == 200, "status {}", answer.status);
    let echo: serde_json::Value =
        serde_json::from_str(&answer.body).context("that is not the echo's answer")?;
    ensure!(
        echo["namespace"] == "scores" && echo["host"] == SCORES,
        "someone else answered: {echo}"
    );
    let mut shown = String::new();
    for field in ["host", "path", "namespace", "pod"] {
        writeln!(
            shown,
            "{field}: {}",
            echo[field].as_str().unwrap_or_default()
        )?;
    }
    Ok(shown)
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
            Box::pin(async { unchanged(s) })
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

async fn break_it(s: &Stage) -> anyhow::Result<String> {
    let listener = s.listener(GAME, 443).await?;
    let objects = s.account(view::objects);
    {
        let mut memory = s.memory();
        memory.objects = objects;
        memory.visitors = Some(Visitors::begin(listener, GAME, "/"));
    }
    s.kubectl(&[
        "--namespace=scores",
        "annotate",
        "--overwrite",
        "ingress/scores",
        "alb.ingress.kubernetes.io/healthcheck-interval-seconds=often",
    ])
    .await
}

async fn warned(s: &Stage) -> anyhow::Result<String> {
    let events = s
        .kubectl(&[
            "--namespace=scores",
            "get",
            "events",
            "--field-selector=type=Warning,involvedObject.name=scores",
            "--output=custom-columns=REASON:.reason,MESSAGE:.message",
        ])
        .await?;
    ensure!(
        events.contains("healthcheck-interval-seconds") && events.contains("often"),
        "no event names the annotation and its value:\n{events}"
    );
    Ok(events)
}

fn unchanged(s: &Stage) -> anyhow::Result<String> {
    let now = s.account(view::objects);
    ensure!(now == s.memory().objects, "it has changed:\n{now}");
    Ok(
        "load balancer, listeners, rules, targets, security groups and records are as they were"
            .to_owned(),
    )
}

async fn six_targets(s: &Stage) -> anyhow::Result<String> {
    s.ready_pods("game", 6).await?;
    let of_game = s.account(|account| {
        let groups = account.target_groups.values();
        let mut counts: Vec<usize> = groups.map(|group| group.targets.len()).collect();
        counts.sort_unstable();
        counts
    });
    ensure!(
        of_game == [2, 6],
        "targets of the target groups: {of_game:?}"
    );
    Ok("6 targets of the game, 2 of the scores".to_owned())
}

fn visitors_happy(s: &Stage) -> anyhow::Result<String> {
    let mut memory = s.memory();
    let visitors = memory.visitors.as_ref().context("no visitors")?;
    let tally = visitors.tally();
    ensure!(
        tally.failures.is_empty(),
        "{} of {} visits failed, the first with: {}",
        tally.failures.len(),
        tally.failures.len() + tally.served,
        tally.failures[0]
    );
    ensure!(tally.served >= VISITS, "only {} visits yet", tally.served);
    memory.visitors = None;
    Ok(format!("{} visits, all served", tally.served))
}

/// The end of the demo: everything is deleted.
pub fn cleaning_up() -> Vec<Step<Stage>> {
    vec![
        Step::Scene(
            "The end",
            "All of it is deleted from Kubernetes, the broken Ingress too.",
        ),
        Step::Do("Deleting both examples.", |s| {
            Box::pin(s.example("group", "delete"))
        }),
        Step::Claim("The Ingresses are gone.", IN_A_WHILE, |s| Box::pin(gone(s))),
        Step::Claim(
            "The account is as empty as it was: no load balancer, no target group, no security \
             group of ours, no record.",
            IN_A_WHILE,
            |s| Box::pin(async { empty(s) }),
        ),
    ]
}

async fn gone(s: &Stage) -> anyhow::Result<String> {
    for (namespace, name) in [("game", "game"), ("scores", "scores")] {
        let left = s.ingress(namespace, name).await?;
        ensure!(left.is_none(), "Ingress {namespace}/{name} is still there");
    }
    s.kubectl(&["get", "ingress", "--all-namespaces"]).await
}

fn empty(s: &Stage) -> anyhow::Result<String> {
    let left = s.traces();
    let at_start = s.memory().at_start.clone();
    ensure!(left == at_start, "this is left: {left:?}");
    ensure!(
        s.account(|account| account.load_balancers.is_empty() && account.target_groups.is_empty()),
        "the account was not empty at the start"
    );
    Ok("0 load balancers, 0 target groups, 0 security groups of ours, 0 records".to_owned())
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
