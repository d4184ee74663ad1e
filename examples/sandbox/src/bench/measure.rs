//! The cases, one after the other, in one life of a cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;
use sandbox_aws::State;
use sandbox_aws::journal::Call;
use serde::Serialize;

use super::cluster::{self, PODS, RULES, SERVICES};
use super::process::{Candidate, Running, pause};
use crate::sandbox::Sandbox;
use crate::terminal::Terminal;

/// So long without a call, and a case is over.
const QUIET: Duration = Duration::from_secs(5);
/// Edits of the case of many edits: the clock of a process' CPU time ticks in
/// hundredths of a second, too coarse for one of them.
pub(super) const EDITS: u8 = 50;
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
    /// All of them by operation, such as `ec2:DescribeSubnets`.
    pub calls: BTreeMap<String, usize>,
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
    /// CPU milliseconds of the controller for one edit: the mean of the case of
    /// many edits, from the first of them until AWS held the last. All that a
    /// process does meanwhile is in it, so that one reconcile takes less.
    pub edit_cpu_ms: f64,
    /// Milliseconds in which the model of all groups was built at the restart;
    /// `None` for another controller, which does not say so.
    pub model_ms: Option<u64>,
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

    /// Waits until AWS holds what is `wished`, if anything is, and then until
    /// there are no more calls, and says what it cost.
    async fn case(
        &self,
        name: &'static str,
        running: &mut Running,
        since: Since,
        wished: Option<&(dyn Fn(&Holds) -> bool + Sync)>,
    ) -> anyhow::Result<Case> {
        let mut reached = None;
        if let Some(wished) = wished {
            self.reach(name, running, since.began, wished).await?;
            reached = Some(since.began.elapsed());
        }
        self.settle(name, running, &since, reached).await
    }

    /// Waits until AWS holds what is `wished`.
    async fn reach(
        &self,
        name: &str,
        running: &mut Running,
        began: Instant,
        wished: &(dyn Fn(&Holds) -> bool + Sync),
    ) -> anyhow::Result<()> {
        let state = self.sandbox.account.state();
        while !state.read(|state| wished(&holds(state))) {
            pause(running, began, self.limit, name).await?;
        }
        Ok(())
    }

    /// Waits until there are no more calls, and says what a case cost that has
    /// reached what it was to bring about, if anything.
    async fn settle(
        &self,
        name: &'static str,
        running: &mut Running,
        since: &Since,
        reached: Option<Duration>,
    ) -> anyhow::Result<Case> {
        let (number, began) = (since.number, since.began);
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
            calls: by_operation(&calls),
            seconds: match reached {
                Some(reached) => reached.as_secs_f64(),
                None if calls.is_empty() => 0.0,
                None => until_last,
            },
            cpu_seconds: usage.cpu_seconds - since.cpu_seconds,
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

/// The Ingresses as they are edited: a rule more, or that one away again.
struct Edits<'a> {
    client: &'a Client,
    certificate: &'a str,
    /// Rules of each group.
    rules: Vec<usize>,
}

impl Edits<'_> {
    /// Edits a group, and says how many rules all groups have then if they had
    /// so many `before`.
    async fn edit(&mut self, group: usize, before: usize) -> anyhow::Result<usize> {
        let (rules, all) = match self.rules[group] {
            RULES => (RULES + 1, before + 1),
            _ => (RULES, before - 1),
        };
        cluster::ingress(self.client, group, rules, self.certificate).await?;
        self.rules[group] = rules;
        Ok(all)
    }
}

fn by_operation(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        let operation = format!("{}:{}", call.service, call.action);
        *counts.entry(operation).or_default() += 1;
    }
    counts
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

    let mut edits = Edits {
        client: &client,
        certificate,
        rules: vec![RULES; groups],
    };
    let since = bench.since(Some(&running))?;
    let rules = edits.edit(0, before.rules).await?;
    told(
        bench
            .case(
                "one edit (a rule)",
                &mut running,
                since,
                Some(&|holds| holds.rules == rules),
            )
            .await?,
    );

    let (case, edit_cpu_ms) = many_edits(&bench, &mut running, &mut edits).await?;
    told(case);

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
    let model_ms = running.model_ms();

    running.end().await?;
    let before = sandbox.account.state().read(holds);
    let mut running = Running::start(sandbox, candidate, true)?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let since = bench.since(None)?;
    let rules = edits.edit(0, before.rules).await?;
    told(
        bench
            .case(
                "edit 1 s after restart",
                &mut running,
                since,
                Some(&|holds| holds.rules == rules),
            )
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
        edit_cpu_ms,
        model_ms,
    })
}

/// One edit after the other, each in another group while there is one, and each
/// as soon as AWS holds the one before; and the CPU milliseconds of one of them.
async fn many_edits(
    bench: &Bench<'_>,
    running: &mut Running,
    edits: &mut Edits<'_>,
) -> anyhow::Result<(Case, f64)> {
    let name = "50 edits, one by one";
    let since = bench.since(Some(running))?;
    let groups = edits.rules.len();
    // The first group, which has been edited already, comes last.
    for group in (1..=EDITS).map(|edit| usize::from(edit) % groups) {
        let before = bench.sandbox.account.state().read(holds);
        let rules = edits.edit(group, before.rules).await?;
        let wished = |holds: &Holds| holds.rules == rules;
        bench.reach(name, running, since.began, &wished).await?;
    }
    let reached = since.began.elapsed();
    let cpu_seconds = running.usage()?.cpu_seconds - since.cpu_seconds;
    let case = bench.settle(name, running, &since, Some(reached)).await?;
    Ok((case, cpu_seconds * 1000.0 / f64::from(EDITS)))
}
