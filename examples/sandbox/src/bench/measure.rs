//! The cases, one after the other, in one life of a cluster.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sandbox_aws::State;
use sandbox_aws::journal::Call;
use serde::Serialize;

use super::cluster::{self, PODS, RULES, SERVICES};
use super::process::{Candidate, Running, pause};
use crate::sandbox::Sandbox;
use crate::terminal::Terminal;

/// So long without a call, and a case is over.
const QUIET: Duration = Duration::from_secs(5);
/// A case takes no longer than this, and so much for each group.
const LIMIT: (Duration, Duration) = (Duration::from_mins(3), Duration::from_secs(6));

/// What one case cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// What happened.
    pub case: &'static str,
    /// Calls to AWS that read.
    pub reads: usize,
    /// Calls to AWS that write.
    pub writes: usize,
    /// From what happened to what it was to bring about in AWS; where it brings
    /// about nothing, to the answer of the last call.
    pub seconds: f64,
    /// CPU seconds of the controller.
    pub cpu_seconds: f64,
    /// Memory of the controller after it, in MB (`RssAnon`).
    pub memory_mb: f64,
}

/// One controller at one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The controller.
    pub controller: String,
    /// How many groups.
    pub groups: usize,
    /// Each answer of AWS took so long.
    pub latency_ms: u64,
    /// How the sandbox, and with it our controller, was built.
    pub build: &'static str,
    /// The cases in their order.
    pub cases: Vec<Case>,
}

/// What AWS holds, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holds {
    load_balancers: usize,
    rules: usize,
    targets: usize,
}

fn holds(state: &State) -> Holds {
    let load_balancers = state.load_balancers.values();
    let listeners = load_balancers.flat_map(|lb| lb.listeners.values());
    let groups = state.target_groups.values();
    Holds {
        load_balancers: state.load_balancers.len(),
        rules: listeners.map(|listener| listener.rules.len()).sum(),
        targets: groups
            .flat_map(|group| group.targets.values())
            .filter(|target| target.draining_until.is_none())
            .count(),
    }
}

/// One case under way.
struct Bench<'a> {
    sandbox: &'a Sandbox,
    limit: Duration,
}

impl Bench<'_> {
    /// The calls since a number, those of STS left out: credentials are not the
    /// controller's doing.
    fn calls(&self, since: u64) -> Vec<Call> {
        let mut calls = self.sandbox.account.journal().after(since);
        calls.retain(|call| call.service != "sts");
        calls
    }

    /// Waits until AWS holds what is `wished`, and then until there are no
    /// more calls, and says what it cost.
    async fn case(
        &self,
        name: &'static str,
        running: &mut Running,
        since: Since,
        wished: Option<&(dyn Fn(&Holds) -> bool + Sync)>,
    ) -> anyhow::Result<Case> {
        let Since {
            number,
            began,
            cpu_seconds,
        } = since;
        let state = self.sandbox.account.state();
        let mut reached = None;
        if let Some(wished) = wished {
            while !state.read(|state| wished(&holds(state))) {
                pause(running, began, self.limit, name).await?;
            }
            reached = Some(began.elapsed());
        }
        let journal = self.sandbox.account.journal();
        loop {
            let calls = self.calls(number);
            let last = calls.iter().map(|call| call.ended).fold(0.0, f64::max);
            let silent_ms = journal.now() - last;
            if began.elapsed() > QUIET && silent_ms > QUIET.as_secs_f64() * 1000.0 {
                break;
            }
            pause(running, began, self.limit, name).await?;
        }
        let calls = self.calls(number);
        let last = calls.iter().map(|call| call.ended).fold(0.0, f64::max);
        let until_last = (began.elapsed().as_secs_f64() - (journal.now() - last) / 1000.0).max(0.0);
        let reads = calls.iter().filter(|call| is_read(&call.action)).count();
        let usage = running.usage()?;
        Ok(Case {
            case: name,
            reads,
            writes: calls.len() - reads,
            seconds: match reached {
                Some(reached) => reached.as_secs_f64(),
                None if calls.is_empty() => 0.0,
                None => until_last,
            },
            cpu_seconds: usage.cpu_seconds - cpu_seconds,
            memory_mb: usage.memory_mb,
        })
    }

    fn since(&self, running: Option<&Running>) -> anyhow::Result<Since> {
        Ok(Since {
            number: self.sandbox.account.journal().begun(),
            began: Instant::now(),
            cpu_seconds: match running {
                Some(running) => running.usage()?.cpu_seconds,
                None => 0.0,
            },
        })
    }
}

/// What there was when a case began.
struct Since {
    number: u64,
    began: Instant,
    cpu_seconds: f64,
}

fn is_read(action: &str) -> bool {
    ["Describe", "Get", "List"]
        .iter()
        .any(|verb| action.starts_with(verb))
}

/// Measures all cases.
pub(super) async fn measure(
    sandbox: &Sandbox,
    candidate: &Candidate,
    groups: usize,
    terminal: &mut Terminal,
) -> anyhow::Result<Measured> {
    let client = sandbox.control_plane.client()?;
    let nodes: Vec<String> = sandbox
        .account
        .nodes()
        .into_iter()
        .map(|n| n.name)
        .collect();
    let certificates = &sandbox.account.world().certificates;
    let certificate = certificates
        .first()
        .context("the account has no certificate")?;
    let each = LIMIT.1.saturating_mul(u32::try_from(groups)?);
    let bench = Bench {
        sandbox,
        limit: LIMIT.0 + each,
    };
    let mut cases = Vec::new();
    let mut told = |case: Case| {
        terminal.line(&format!(
            "  {}: {} reads, {} writes, {:.1} s",
            case.case, case.reads, case.writes, case.seconds
        ));
        cases.push(case);
    };

    let mut running = Running::start(sandbox, candidate, false)?;
    let since = bench.since(None)?;
    cluster::ingresses(&client, groups, certificate).await?;
    let all = |holds: &Holds| {
        holds.load_balancers == groups
            && holds.rules >= groups * RULES
            && holds.targets == groups * SERVICES * PODS
    };
    told(
        bench
            .case("create all", &mut running, since, Some(&all))
            .await?,
    );

    let before = sandbox.account.state().read(holds);
    let since = bench.since(Some(&running))?;
    cluster::touch(&client, &nodes).await?;
    told(
        bench
            .case("nothing changed", &mut running, since, None)
            .await?,
    );

    let since = bench.since(Some(&running))?;
    cluster::ingress(&client, 0, RULES + 1, certificate).await?;
    let one_more = |holds: &Holds| holds.rules > before.rules;
    told(
        bench
            .case("one edit (a rule)", &mut running, since, Some(&one_more))
            .await?,
    );

    let since = bench.since(Some(&running))?;
    cluster::pod(&client, 0, PODS, &nodes).await?;
    cluster::endpoints(&client, 0, PODS + 1, &nodes).await?;
    let one_more = |holds: &Holds| holds.targets > before.targets;
    told(
        bench
            .case("one pod", &mut running, since, Some(&one_more))
            .await?,
    );

    running.end().await?;
    let since = bench.since(None)?;
    let mut running = Running::start(sandbox, candidate, true)?;
    told(bench.case("restart", &mut running, since, None).await?);

    running.end().await?;
    let before = sandbox.account.state().read(holds);
    let mut running = Running::start(sandbox, candidate, true)?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let since = bench.since(None)?;
    cluster::ingress(&client, 0, RULES, certificate).await?;
    let one_less = |holds: &Holds| holds.rules < before.rules;
    let name = "an edit 1 s after a restart";
    told(
        bench
            .case(name, &mut running, since, Some(&one_less))
            .await?,
    );
    running.end().await?;

    Ok(Measured {
        controller: candidate.to_string(),
        groups,
        latency_ms: sandbox
            .account
            .state()
            .read(|state| state.timing.latency_ms),
        build: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        cases,
    })
}
