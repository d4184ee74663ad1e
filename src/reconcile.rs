//! One key of work, from Kubernetes to AWS and back, on one screen:
//! [`Reconciler::group`].
//!
//! May use every stage. Two more keys do what groups share: `backend` and
//! `records`. What all of them are asked to do at the start, in the
//! background and in a dry run is in `background` and `dry_run`.

mod backend;
mod background;
mod connect;
mod dry_run;
mod found;
mod held;
mod leavers;
mod models;
mod record;
mod records;
mod shares;
mod start;
mod words;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::apply::{self, Announced, Applied, BackendReady, Work as WorkOf};
use crate::aws::{Aws, Class, Error};
use crate::key::Key;
use crate::lane::{self, Lane, Turn};
use crate::model::applied::spoken_for;
use crate::model::desired::{Desired, Intent};
use crate::model::finding::{Finding, NAME_TAKEN, Reason};
use crate::model::group::GroupId;
use crate::model::index::Indexed;
use crate::model::limits::Limits;
use crate::model::settings::Settings;
use crate::model::snapshot::Snapshot;
use crate::model::spec::{ObjectName, Observed};
use crate::observe::Memory;
use crate::plan::blame::{Refusal, blame};
use crate::plan::step::{Need, Plan, Planned, Step};
use crate::plan::{self, PlanContext};
use crate::report::{Failure, GroupReport, Tried};
use crate::run::{Changes, Parts, Work};

use background::Background;
use held::{Held, is_held};
use models::Models;
use records::{OfGroup, Records};
use shares::Shares;
use start::Start;

/// How often one run plans again because AWS refused a value; each time the
/// refusal is one more input of the model.
const ROUNDS: usize = 20;
/// How long a step waits for what it needs of the backend key.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a group that waits comes again although nothing wakes it.
const WAIT: Duration = Duration::from_secs(30);

/// All that is needed to bring a key to what it should be.
pub struct Reconciler {
    parts: Parts,
    settings: Settings,
    aws: Aws,
    memory: Memory,
    /// `None` where records are switched off.
    records: Option<Records>,
    backend: watch::Sender<BackendReady>,
    /// What failed when the backend key last ran.
    backend_failures: Mutex<Vec<Failure>>,
    /// Why the backend group cannot be made, where its name is taken.
    backend_name_taken: Mutex<Option<String>>,
    held: Held,
    /// Ingresses that are known to have been served by this installation.
    ours: Mutex<leavers::Ours>,
    background: Mutex<Background>,
    /// What verification found.
    found: Mutex<found::Unmended>,
    start: Start,
    models: Models,
    /// What all groups need of the backend group; held while it is looked at.
    shares: tokio::sync::Mutex<Shares>,
    /// The last of the Ingresses that had gone when what is remembered of them
    /// was forgotten, last time and the time before.
    removed: Mutex<[u64; 2]>,
}

impl Reconciler {
    /// Brings one load balancer group to what its Ingresses ask for:
    ///
    /// 1. what Kubernetes says (memory only), and what of it should be;
    /// 2. what AWS holds, as remembered or believed since the start; read only
    ///    where that is not known, and before the first write;
    /// 3. what is to be done: a value that can be read (`info` in the log);
    /// 4. finalizers, before anything exists; records go before all else;
    /// 5. the writes. What AWS refuses becomes a verdict, and the group is
    ///    planned again at once;
    /// 6. status, events, and the finalizers of those that left, last.
    async fn group(&self, group: &GroupId) -> anyhow::Result<Option<Duration>> {
        let begun = Instant::now();
        let snapshot = self.parts.stores.snapshot();
        // What people are told of is what all rounds did.
        let mut at_first = None;
        let mut wrote = false;
        for _ in 0..ROUNDS {
            let mut desired = self.desired(group, &snapshot).await?;
            let before = self.held_by_aws(&desired).await?;
            self.drop_anothers(&mut desired, &before, &snapshot);
            let waiting = self.records_first(&mut desired, &before, &snapshot);
            let plan = self.plan(&desired, &before, &waiting);
            if !plan.is_empty() && self.memory.is_believed(group) {
                // Nothing is written by belief.
                self.memory.recall(group).await?;
                continue;
            }
            self.parts.reporter.claim(&desired, &snapshot).await?;
            let announced = self.announced(&desired, &plan);
            self.doubt_targets(&desired, &plan);
            let work = WorkOf::Group(group);
            let applied = self.apply(work, &plan, announced.clone()).await;
            let noted = announced.peek().copied();
            drop(announced);
            wrote |= !applied.done.is_empty();
            if self.judge(&desired, &before, &plan, &applied) {
                log_failed(applied.failed.iter().filter(|f| !is_held(&plan, f)));
                at_first.get_or_insert(before);
                continue;
            }
            let done = Done {
                before: at_first.unwrap_or(before),
                waiting,
                tried: (noted == Some(true)).then(|| self.tried(&desired, &plan, &applied)),
                desired,
                applied,
            };
            let complete = done.applied.is_complete();
            let members = done.desired.members.clone();
            let again = self.publish(done, &plan, &snapshot).await?;
            self.note_mended(group, &members, begun, wrote, complete, &snapshot)
                .await;
            anyhow::ensure!(noted != Some(false), "the IngressGroup cannot be written");
            return Ok(again);
        }
        anyhow::bail!("AWS refuses one value after the other; what is refused is in the events")
    }

    /// What AWS holds for a group. What is believed since the start is enough
    /// to see that nothing is to be done, unless live parts matter themselves.
    pub(super) async fn held_by_aws(&self, desired: &Desired) -> Result<Arc<Observed>, Error> {
        if spoken_for(desired).is_some()
            && let Some(believed) = self.memory.recall_believed(&desired.group).await?
        {
            return Ok(believed);
        }
        self.memory.recall(&desired.group).await
    }

    /// What should be. Where something is missed that AWS may know by now,
    /// the facts are read again, at most once a minute.
    async fn desired(&self, group: &GroupId, snapshot: &Indexed) -> anyhow::Result<Desired> {
        let facts = self.memory.facts().await?;
        let desired = self.models.of(group, snapshot, &facts, &self.settings);
        let misses = |finding: &Finding| {
            matches!(
                finding.reason,
                Reason::SubnetsNotFound | Reason::SecurityGroupNotFound
            )
        };
        let findings = desired.findings.iter().chain(&desired.blocks_creation);
        if findings.into_iter().any(misses)
            && let Some(facts) = self.memory.facts_again().await?
        {
            let desired = self.models.of(group, snapshot, &facts, &self.settings);
            return Ok(Arc::unwrap_or_clone(desired));
        }
        Ok(Arc::unwrap_or_clone(desired))
    }

    /// What is to be done. A group that goes and has nobody left to be held
    /// waits for its records as it is.
    fn plan(&self, desired: &Desired, observed: &Observed, waiting: &[String]) -> Plan {
        let goes = desired.intent == Intent::Remove && desired.held.is_empty();
        if goes && !waiting.is_empty() {
            return Plan::default();
        }
        plan::diff(desired, observed, &self.plan_context(desired, observed))
    }

    fn plan_context(&self, desired: &Desired, observed: &Observed) -> PlanContext {
        let records = self.records.as_ref();
        PlanContext {
            backend: self.memory.backend_id(),
            open_ports: self.backend.borrow().ports.clone(),
            limits: Limits::said(&desired.members, &self.memory.verdicts()),
            records_go_first: records.is_some_and(|r| r.strands(desired, observed)),
        }
    }

    /// Writes what a plan says, and counts.
    async fn apply(&self, work: WorkOf<'_>, plan: &Plan, announced: Announced) -> Applied {
        if plan.is_empty() {
            tracing::debug!("in sync");
            return Applied::default();
        }
        let deferred = self.deferred(work, plan);
        if deferred.is_empty() {
            let text = plan.to_string();
            tracing::info!(
                "plan for {work}, steps: {}\n{}",
                plan.steps.len(),
                text.trim_end()
            );
        }
        if plan.steps.iter().any(|planned| !planned.needs.is_empty()) {
            self.parts.queue.wake(Key::Backend, lane::current());
        }
        let cx = apply::Context {
            aws: &self.aws,
            memory: &self.memory,
            backend: self.backend.subscribe(),
            patience: PATIENCE,
            deferred: &deferred,
            announced,
            stop: self.parts.stopping.clone(),
        };
        let turn = turn_of(plan);
        let _under_way = self.aws.begin(&turn);
        let applied = lane::within(turn, apply::run(&cx, work, plan)).await;
        self.note_let_go(plan);
        self.held.note(plan, &deferred, &applied, Instant::now());
        for id in &applied.done {
            self.parts.metrics.plan_step(plan.steps[*id].step.kind());
        }
        // Others are told by whoever decides what comes of them.
        let held = applied.failed.iter().filter(|f| is_held(plan, f));
        log_failed(held.filter(|f| !deferred.contains_key(&f.step)));
        applied
    }

    /// Remembers what AWS refused, with the Ingress that states it. Answers
    /// whether there is something new to plan with.
    fn judge(&self, desired: &Desired, before: &Observed, plan: &Plan, applied: &Applied) -> bool {
        let observed = self.memory.remembered(&desired.group);
        let known = Limits::said(&desired.members, &self.memory.verdicts());
        let mut news = false;
        for failure in &applied.failed {
            let code = match failure.error.class {
                Class::Refused | Class::Quota => failure.error.code.as_str(),
                Class::NameTaken => NAME_TAKEN,
                _ => continue,
            };
            let refusal = Refusal {
                step: &plan.steps[failure.step].step,
                code,
                message: &failure.error.message,
            };
            for verdict in blame(refusal, desired, known, before, &observed) {
                news |= self.memory.add_verdict(&desired.group, verdict);
            }
        }
        news
    }

    /// Tells people what became of it, and lets go those that left.
    async fn publish(
        &self,
        done: Done,
        plan: &Plan,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Option<Duration>> {
        let Done {
            desired,
            before,
            mut waiting,
            tried,
            applied,
        } = done;
        let group = &desired.group;
        let observed = self.memory.remembered(group);
        let released = waiting.is_empty() && applied.is_complete();
        waiting.extend(applied.waiting.iter().map(ToString::to_string));
        waiting.extend(words::in_use(&applied));
        let OfGroup { records, findings } = match &self.records {
            Some(records) => records.of_group(&desired),
            None => OfGroup {
                records: Some(Vec::new()),
                findings: Vec::new(),
            },
        };
        let mut failures = words::failures(&applied);
        if applied.waiting.iter().any(Need::is_of_backend) {
            // What stands in the way of what is waited for.
            failures.extend(lock(&self.backend_failures).iter().cloned());
        }
        let mut more_findings = findings;
        more_findings.extend(words::protected(&desired, plan, &applied));
        more_findings.extend(words::blocking(&desired, &observed));
        let taken = lock(&self.backend_name_taken).clone();
        more_findings.extend(words::without_backend(&desired, &applied, taken.as_deref()));
        let report = GroupReport {
            desired: &desired,
            before: &before,
            observed: &observed,
            waiting,
            records,
            failures,
            more_findings,
            applied: self.record_of(&desired, &observed, &applied, snapshot),
            tried,
        };
        let reporter = &self.parts.reporter;
        reporter.publish(&report, snapshot).await?;
        if !plan.is_empty() {
            self.parts.queue.wake(Key::Backend, lane::current());
        }
        let records = self.records.as_ref();
        let is_news = records.is_some_and(|records| records.is_news(&desired, &observed));
        if is_news || !plan.is_empty() {
            self.parts.queue.wake(Key::Dns, lane::current());
        }
        let gone: Vec<ObjectName> = match desired.intent {
            Intent::LeaveAlone => Vec::new(),
            Intent::Remove if !observed.is_empty() => Vec::new(),
            _ if !released => Vec::new(),
            _ => desired.leavers.iter().map(|l| l.ingress.clone()).collect(),
        };
        let leaving = !desired.leavers.is_empty() || desired.intent == Intent::Remove;
        if leaving && (!gone.is_empty() || (released && observed.is_empty())) {
            reporter.release(&desired, &gone, snapshot).await?;
            self.let_go(group, &gone);
            if observed.is_empty() && desired.members.is_empty() {
                self.memory.forget_verdicts(group);
            }
        }
        let waits = !report.waiting.is_empty() || !applied.skipped.is_empty();
        self.again(plan, &applied, waits)
    }

    /// When a key comes again: an error, which has the queue's pauses, where
    /// a step failed that may succeed next time.
    fn again(
        &self,
        plan: &Plan,
        applied: &Applied,
        waits: bool,
    ) -> anyhow::Result<Option<Duration>> {
        let mut failed = applied.failed.iter().filter(|f| !is_held(plan, f));
        if let Some(failure) = failed.next() {
            // The first is told as the error of the key.
            log_failed(failed.clone());
            let error = anyhow::Error::new(failure.error.clone());
            return Err(error).with_context(|| match failed.count() {
                0 => failure.text.clone(),
                others => format!("{} (and {others} more)", failure.text),
            });
        }
        let held = self.held.next(plan, Instant::now());
        Ok(held.into_iter().chain(waits.then_some(WAIT)).min())
    }

    /// Reports Ingresses that are in no group.
    async fn strays(&self) {
        let snapshot = self.parts.stores.snapshot();
        let index = snapshot.index();
        let reporter = &self.parts.reporter;
        reporter.publish_strays(index.strays(), &snapshot).await;
        let is_group = |group: &GroupId| index.has_group(group);
        if let Err(error) = reporter.publish_lost(&index.lost(), is_group).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(error, "cannot take away an IngressGroup");
        }
        self.forget_removed(&snapshot);
    }

    /// All groups that there is something to do for: those of Ingresses, and
    /// those that AWS holds something for.
    async fn all_groups(&self, snapshot: &Indexed) -> anyhow::Result<BTreeSet<GroupId>> {
        let mut groups = self.memory.groups().await?;
        groups.extend(snapshot.index().groups().cloned());
        Ok(groups)
    }
}

/// Says which steps failed, and why.
fn log_failed<'a>(failed: impl Iterator<Item = &'a apply::Failure>) {
    for failure in failed {
        tracing::warn!(step = failure.text, error = %failure.error, "step failed");
    }
}

/// The turn in which a plan is carried out: who makes a load balancer waits for
/// AWS anyway, and lets those pass who do not.
fn turn_of(plan: &Plan) -> Turn {
    let turn = lane::turn();
    let makes = |planned: &Planned| matches!(planned.step, Step::CreateLoadBalancer { .. });
    if plan.steps.iter().any(makes) {
        turn.at_most(Lane::Creation)
    } else {
        turn
    }
}

/// What one run has come to.
struct Done {
    desired: Desired,
    /// What AWS held before the first round.
    before: Arc<Observed>,
    /// What the group waits for in DNS.
    waiting: Vec<String>,
    /// The change, if it was noted before it began.
    tried: Option<Tried>,
    applied: Applied,
}

impl Work for Reconciler {
    async fn begin(&self) -> BTreeSet<Key> {
        let pending = self.read_records().await;
        pending.into_iter().map(Key::Group).collect()
    }

    async fn reconcile(&self, key: &Key, turn: &Turn) -> anyhow::Result<Option<Duration>> {
        self.started().await?;
        let _under_way = self.aws.begin(turn);
        match key {
            Key::Group(group) => self.group(group).await,
            Key::Backend => {
                self.strays().await;
                self.backend().await
            }
            Key::Dns => self.dns().await,
        }
    }

    async fn tick(&self) {
        self.look_after().await;
    }

    async fn end(&self) {
        self.parts.reporter.write_late(true).await;
    }

    async fn verify(&self) {
        if self.is_started() {
            self.verify_a_little().await;
        }
    }

    fn is_throttled(error: &anyhow::Error) -> bool {
        let of_aws = |cause: &(dyn std::error::Error + 'static)| {
            let error = cause.downcast_ref::<crate::aws::Error>();
            error.is_some_and(|error| error.class == Class::Throttle)
        };
        error.chain().any(of_aws)
    }

    async fn dry_run(&self) -> anyhow::Result<Changes> {
        self.print_plans().await
    }
}

/// Locks a mutex that is never held across a panic that matters.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
