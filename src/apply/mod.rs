//! APPLY. Writes to AWS what a plan says.
//!
//! May use: `aws`, `plan`, `observe` (to remember what was written), `model`
//! (its types). Decides nothing: order, batches and what depends on what are
//! in the plan. It promises: a step runs when all that it comes after have
//! succeeded and all that it needs is there, side by side with whatever else
//! is ready; after a failure everything that does not depend on it still
//! runs; an answered step is remembered at once; what does not carry our
//! marks is not deleted, read once more right before.

mod adopt;
pub mod dns;
mod ec2;
mod elb;
mod listeners;
mod marks;
mod names;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::aws::class::{doubts_the_vpc, not_visible_yet};
use crate::aws::{Aws, Class, Error};
use crate::model::group::GroupId;
use crate::model::spec::LoadBalancerState;
use crate::observe::Memory;
use crate::plan::backend::effect_backend;
use crate::plan::effect::{Made, effect};
use crate::plan::step::{Need, Plan, Planned, Step, StepId};
use marks::Marks;
use names::Names;

/// Whose plan it is.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// A load balancer group's.
    Group(&'a GroupId),
    /// The shared backend security group's.
    Backend,
}

impl fmt::Display for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => group.fmt(f),
            Self::Backend => f.write_str("the backend security group"),
        }
    }
}

/// What the shared backend security group offers, for the steps of other
/// groups that need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendReady {
    /// Its id, once it exists.
    pub group: Option<String>,
    /// Ports that are open to it wherever they should be.
    pub ports: BTreeSet<u16>,
}

impl BackendReady {
    fn meets(&self, need: &Need) -> bool {
        match need {
            Need::BackendSecurityGroup => self.group.is_some(),
            Need::BackendPort(port) => self.ports.contains(port),
            Need::ActiveLoadBalancer { .. } | Need::RecordsGone => false,
        }
    }
}

/// What all runs share.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// AWS, with its fence set: whether this process may write is asked there
    /// before each call.
    pub aws: &'a Aws,
    /// Where answers are remembered.
    pub memory: &'a Memory,
    /// What the backend key of work has made so far.
    pub backend: watch::Receiver<BackendReady>,
    /// How long a step waits for what it needs of the backend key.
    pub patience: Duration,
    /// Steps that are not to be tried now, with why they failed before: they
    /// fail so again, without a call.
    pub deferred: &'a BTreeMap<StepId, Error>,
    /// Notes elsewhere that a change begins; see [`Announced`].
    pub announced: Announced,
    /// No step begins after this; those that run are finished.
    pub stop: CancellationToken,
}

/// What every step but those of targets waits for before it begins: that the
/// change is noted where the next process looks. Begun by the first of them,
/// shared by all; where it answers `false`, none of them begins.
pub type Announced = Shared<BoxFuture<'static, bool>>;

/// For changes that need not be noted.
pub fn unannounced() -> Announced {
    futures::future::ready(true).boxed().shared()
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub step: StepId,
    /// The step in words.
    pub text: String,
    /// Why.
    pub error: Error,
}

/// What has come of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Steps that succeeded, in the order in which they did.
    pub done: Vec<StepId>,
    /// Steps that failed.
    pub failed: Vec<Failure>,
    /// Steps that did not begin: one that they come after did not succeed,
    /// what they need is not there, the change could not be announced, or the
    /// process stops.
    pub skipped: Vec<StepId>,
    /// Needs that did not come in time.
    pub waiting: BTreeSet<Need>,
}

impl Applied {
    /// Whether every step succeeded.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
}

enum Outcome {
    Made(Made),
    Failed(Error),
    /// What it needs did not come.
    Short(Need),
    /// The process stops, or the change could not be announced.
    Stopped,
}

/// Runs a plan. Never returns early: what has begun is finished.
pub async fn run(cx: &Context<'_>, work: Work<'_>, plan: &Plan) -> Applied {
    let run = Run {
        cx,
        work,
        plan,
        names: Names::new(cx, work),
        marks: OnceCell::new(),
    };
    let mut states = vec![State::Waiting; plan.steps.len()];
    let mut applied = Applied::default();
    let mut running = FuturesUnordered::new();
    loop {
        for id in run.ready(&mut states, &mut applied) {
            states[id] = State::Running;
            running.push(run.step(id));
        }
        let Some((id, outcome)) = running.next().await else {
            break;
        };
        states[id] = State::Failed;
        match outcome {
            Outcome::Made(made) => {
                states[id] = State::Done;
                run.remember(id, &made);
                applied.done.push(id);
            }
            Outcome::Failed(error) => {
                run.doubt(id, &error);
                applied.failed.push(Failure {
                    step: id,
                    text: plan.steps[id].step.to_string(),
                    error,
                });
            }
            Outcome::Short(need) => {
                applied.waiting.insert(need);
                applied.skipped.push(id);
            }
            Outcome::Stopped => applied.skipped.push(id),
        }
    }
    let left = states.iter().enumerate();
    let left = left.filter(|(_, state)| **state == State::Waiting);
    applied.skipped.extend(left.map(|(id, _)| id));
    applied.skipped.sort_unstable();
    applied
}

struct Run<'a> {
    cx: &'a Context<'a>,
    work: Work<'a>,
    plan: &'a Plan,
    names: Names,
    /// Marks of what the plan deletes, read before its first deletion.
    marks: OnceCell<Result<Marks, Error>>,
}

impl Run<'_> {
    /// Steps that can begin now. Those that never can, since one that they
    /// come after failed, are marked so.
    fn ready(&self, states: &mut [State], applied: &mut Applied) -> Vec<StepId> {
        let mut ready = Vec::new();
        let mut low = Vec::new();
        let mut busy = false;
        for (id, planned) in self.plan.steps.iter().enumerate() {
            if states[id] == State::Waiting {
                // A plan names only earlier steps, so one pass sees all.
                let fate = |state| planned.after.iter().any(|before| states[*before] == state);
                if fate(State::Failed) {
                    states[id] = State::Failed;
                    applied.skipped.push(id);
                } else if !fate(State::Waiting) && !fate(State::Running) {
                    if planned.low_priority {
                        low.push(id);
                    } else {
                        ready.push(id);
                    }
                }
            }
            busy |= !planned.low_priority && matches!(states[id], State::Waiting | State::Running);
        }
        let idle = ready.is_empty() && !states.contains(&State::Running);
        if self.cx.stop.is_cancelled() {
            Vec::new()
        } else if busy && !idle {
            ready
        } else {
            low
        }
    }

    async fn step(&self, id: StepId) -> (StepId, Outcome) {
        let planned = &self.plan.steps[id];
        if let Some(error) = self.cx.deferred.get(&id) {
            return (id, Outcome::Failed(error.clone()));
        }
        for need in &planned.needs {
            if let Some(outcome) = self.wait_for(need).await {
                return (id, outcome);
            }
        }
        if !planned.step.is_of_targets() && !self.cx.announced.clone().await {
            return (id, Outcome::Stopped);
        }
        let outcome = match self.attempts(planned).await {
            Ok(made) => {
                tracing::info!(group = %self.work, step = %planned.step, "done");
                Outcome::Made(made)
            }
            Err(error) => Outcome::Failed(error),
        };
        (id, outcome)
    }

    /// Waits until the backend key has made something; `None` when it has.
    /// What only time makes is not waited for.
    async fn wait_for(&self, need: &Need) -> Option<Outcome> {
        if let Need::ActiveLoadBalancer { name } = need {
            return (!self.is_active(name)).then(|| Outcome::Short(need.clone()));
        }
        if *need == Need::RecordsGone {
            return Some(Outcome::Short(need.clone()));
        }
        let mut backend = self.cx.backend.clone();
        tokio::select! {
            () = self.cx.stop.cancelled() => Some(Outcome::Stopped),
            met = tokio::time::timeout(self.cx.patience, backend.wait_for(|b| b.meets(need))) => {
                match met {
                    Ok(Ok(_)) => None,
                    Ok(Err(_)) | Err(_) => Some(Outcome::Short(need.clone())),
                }
            }
        }
    }

    fn is_active(&self, name: &str) -> bool {
        let Work::Group(group) = self.work else {
            return false;
        };
        let observed = self.cx.memory.remembered(group);
        let mut lbs = observed.load_balancers.iter();
        lbs.any(|lb| {
            lb.spec.name == name
                && matches!(
                    lb.state,
                    LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
                )
        })
    }

    /// Runs a step, and again for a little while where AWS is only late.
    async fn attempts(&self, planned: &Planned) -> Result<Made, Error> {
        let patience = match planned.step {
            // Whoever else uses it may do so for long: that is the queue's.
            Step::DeleteTargetGroup { .. } => &DELAYS[..3],
            _ => &DELAYS,
        };
        let mut delays = patience.iter();
        loop {
            let error = match self.attempt(&planned.step).await {
                Ok(made) => return Ok(made),
                Err(error) => error,
            };
            let late = match planned.step {
                Step::DeleteTargetGroup { .. } if error.class == Class::InUse => true,
                _ => !planned.after.is_empty() && not_visible_yet(&error.code),
            };
            let Some(delay) = delays.next().filter(|_| late) else {
                return Err(error);
            };
            tokio::select! {
                () = self.cx.stop.cancelled() => return Err(error),
                () = tokio::time::sleep(*delay) => {}
            }
        }
    }

    async fn attempt(&self, step: &Step) -> Result<Made, Error> {
        let cx = self.cx;
        if let Some(deleted) = marks::deleted(step) {
            let read = || async { Marks::read(cx, self.work, self.plan).await };
            match self.marks.get_or_init(read).await {
                Ok(marks) if !marks.allow(step, &deleted)? => return Ok(Made::default()),
                Ok(_) => {}
                Err(error) => return Err(error.clone()),
            }
        }
        let answer = match step {
            Step::CreateSecurityGroup { .. }
            | Step::AuthorizeIngress { .. }
            | Step::RevokeIngress { .. }
            | Step::TagSecurityGroup { .. }
            | Step::UntagSecurityGroup { .. }
            | Step::DeleteSecurityGroup { .. } => ec2::run(cx, &self.names, step).await,
            _ => elb::run(cx, self.work, &self.names, step).await,
        };
        match answer {
            Err(error) if error.class == Class::Gone && is_removal(step) => Ok(Made::default()),
            Err(error) if error.class == Class::LostRace => {
                Err(adopt::explain(cx, step, error).await)
            }
            answer => answer,
        }
    }

    fn remember(&self, id: StepId, made: &Made) {
        let step = &self.plan.steps[id].step;
        self.names.note(step, made);
        match self.work {
            Work::Group(group) => {
                self.cx
                    .memory
                    .remember(group, |observed| effect(step, made, observed));
            }
            Work::Backend => {
                self.cx
                    .memory
                    .remember_backend(|observed| effect_backend(step, made, observed));
            }
        }
    }

    /// What a failed step says about what was believed.
    fn doubt(&self, id: StepId, error: &Error) {
        let memory = self.cx.memory;
        let vpc = doubts_the_vpc(&error.code);
        if vpc {
            memory.mark_facts_stale();
        }
        if vpc || error.class.leaves_doubt() {
            match self.work {
                Work::Group(group) => {
                    let touched = self.names.touched(&self.plan.steps[id].step);
                    memory.distrust(group, &touched);
                }
                Work::Backend => memory.mark_backend_stale(),
            }
        }
    }
}

/// Pauses of a step for which AWS is only late: about twenty seconds in all.
const DELAYS: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(6),
    Duration::from_secs(6),
];

/// Whether a step takes something away, so that its absence is success.
fn is_removal(step: &Step) -> bool {
    matches!(
        step,
        Step::DeleteSecurityGroup { .. }
            | Step::DeleteLoadBalancer { .. }
            | Step::DeleteListener { .. }
            | Step::DeleteRule { .. }
            | Step::DeleteTargetGroup { .. }
            | Step::DeregisterTargets { .. }
            | Step::RemoveTags { .. }
            | Step::UntagSecurityGroup { .. }
    )
}

#[cfg(test)]
mod tests;
