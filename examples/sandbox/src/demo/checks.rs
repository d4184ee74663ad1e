//! The checks behind the script's claims, and what it does in between.
//!
//! Each gives what there is to show, or says what is missing.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Uri;

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

/// Installs the controller, if the demo has one.
pub async fn install(s: &Stage) -> anyhow::Result<String> {
    if !s.with_controller {
        return Ok("(left out: --no-controller)".to_owned());
    }
    // Clients that still hold a record's address get their minute only where
    // a person may be one of them.
    let grace: &[&str] = if s.once {
        &["--dns-delete-grace=0"]
    } else {
        &[]
    };
    s.sandbox.install_controller(grace).await?;
    Ok("$ kubectl apply -k deploy   # with this cluster's name, region and role".to_owned())
}

/// Applies the game, and counts calls from here on.
pub async fn apply_game(s: &Stage) -> anyhow::Result<String> {
    s.clear_calls().await?;
    s.example("2048", "apply").await
}

/// One active load balancer with both listeners, and as many healthy targets as pods.
pub fn made(s: &Stage, pods: usize) -> anyhow::Result<String> {
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

/// The host leads where the load balancer is.
pub async fn resolved(s: &Stage) -> anyhow::Result<String> {
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

/// Port 80 leads to HTTPS.
pub async fn redirected(s: &Stage) -> anyhow::Result<String> {
    let answer = s.fetch(GAME, 80, "/").await?;
    let location = answer.header("location");
    ensure!(
        answer.status == 301 && location.starts_with(&format!("https://{GAME}")),
        "status {}, location '{location}'",
        answer.status
    );
    Ok(format!("{}, location: {location}", answer.status))
}

/// The page comes, from each of the pods.
pub async fn page_from(s: &Stage, pods: usize) -> anyhow::Result<String> {
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
pub async fn browsed(s: &Stage) -> anyhow::Result<String> {
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

/// The group is a line of kubectl.
pub async fn kubectl_get_alb(s: &Stage) -> anyhow::Result<String> {
    let shown = s.kubectl(&["get", "alb"]).await?;
    let balancer = s.load_balancer("game", "game").await?;
    ensure!(
        shown.contains("arcade") && shown.contains(&balancer),
        "the group arcade is not shown with its load balancer:\n{shown}"
    );
    Ok(shown)
}

/// The game took few calls that change something.
pub async fn few_calls(s: &Stage) -> anyhow::Result<String> {
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

/// Changes the number of pods, and counts calls from here on.
pub async fn scale(s: &Stage, replicas: &str) -> anyhow::Result<String> {
    s.clear_calls().await?;
    let replicas = format!("--replicas={replicas}");
    s.kubectl(&["--namespace=game", "scale", "deployment/game", &replicas])
        .await
}

/// Nothing but targets was registered.
pub async fn only_registrations(s: &Stage) -> anyhow::Result<String> {
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

/// Both Ingresses have one load balancer, and all their pods are its targets.
pub async fn shared(s: &Stage) -> anyhow::Result<String> {
    let game = s.load_balancer("game", "game").await?;
    let scores = s.load_balancer("scores", "scores").await?;
    let count = s.account(|account| account.load_balancers.len());
    ensure!(
        game == scores && count == 1,
        "{game} and {scores}, {count} load balancers"
    );
    let healthy = s.account(|account| view::health(account, "healthy"));
    ensure!(healthy == 10, "{healthy} healthy targets of 10");
    Ok(format!("{game}, 10 healthy targets"))
}

/// The second host is answered by its own pods.
pub async fn scores_answer(s: &Stage) -> anyhow::Result<String> {
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

/// Remembers what is there, lets visitors come, and breaks an Ingress.
pub async fn break_it(s: &Stage) -> anyhow::Result<String> {
    let listener = s.listener(GAME, 443).await?;
    let holdings = s.account(view::holdings);
    {
        let mut memory = s.memory();
        memory.holdings = holdings;
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

/// An event names what is wrong.
pub async fn warned(s: &Stage) -> anyhow::Result<String> {
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

/// AWS holds what it held before, also a second after the event.
pub async fn unchanged(s: &Stage) -> anyhow::Result<String> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = s.account(view::holdings);
    ensure!(now == s.memory().holdings, "it has changed:\n{now}");
    Ok(
        "load balancer, listeners, rules, targets, security groups and records are as they were"
            .to_owned(),
    )
}

/// Six pods of the game and two of the scores are targets.
pub async fn six_targets(s: &Stage) -> anyhow::Result<String> {
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

/// No visitor went away without the page; ends the visits.
pub fn visitors_happy(s: &Stage) -> anyhow::Result<String> {
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

/// Deletes both examples, the one that was applied last first.
pub async fn delete_both(s: &Stage) -> anyhow::Result<String> {
    let group = s.example("group", "delete").await?;
    let game = s.example("2048", "delete").await?;
    Ok(format!("{group}{game}"))
}

/// No Ingress of the demo is left.
pub async fn gone(s: &Stage) -> anyhow::Result<String> {
    for (namespace, name) in [("game", "game"), ("scores", "scores")] {
        let left = s.ingress(namespace, name).await?;
        ensure!(left.is_none(), "Ingress {namespace}/{name} is still there");
    }
    s.kubectl(&["get", "ingress", "--all-namespaces"]).await
}

/// The account holds what it held at the start.
pub fn empty(s: &Stage) -> anyhow::Result<String> {
    let left = s.traces();
    let at_start = s.memory().at_start.clone();
    ensure!(left == at_start, "this is left: {left:?}");
    ensure!(
        s.account(|account| account.load_balancers.is_empty() && account.target_groups.is_empty()),
        "the account was not empty at the start"
    );
    Ok("0 load balancers, 0 target groups, 0 security groups of ours, 0 records".to_owned())
}
