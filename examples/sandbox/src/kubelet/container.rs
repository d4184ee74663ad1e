//! The life of one container: runs it, asks its probes, restarts it with
//! growing waits, and says at every moment how it is.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::probe::{Check, Streak, Verdict};
use super::sockets::Sockets;

/// First wait of a container that ended; doubles with each end in a row. The
/// very first restart is at once, as a real kubelet has it.
const BACK_OFF: Duration = Duration::from_secs(10);
/// Longest wait of a container that ended.
const BACK_OFF_MAX: Duration = Duration::from_mins(5);
/// A run of at least this length starts the waits over.
const STABLE: Duration = Duration::from_mins(10);

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What it does now.
    pub phase: Phase,
    /// Its readiness probe passes, or it has none and runs.
    pub ready: bool,
    /// Its startup probe has passed, or it has none and runs.
    pub started: bool,
    /// How often it was started again.
    pub restarts: i32,
    /// How the run before ended.
    pub last: Option<Ended>,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not running, for this reason (a word) and message.
    Waiting(&'static str, String),
    /// Runs since then.
    Running(Timestamp),
    /// Has ended for good.
    Ended(Ended),
}

/// How a run of a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit code; 128 and the signal where a signal ended it.
    pub exit_code: i32,
    /// When the run began.
    pub since: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// Why, where the exit code does not say it.
    pub message: String,
}

impl View {
    /// A container that has not run yet.
    pub fn waiting() -> Self {
        Self {
            phase: Phase::Waiting("ContainerCreating", String::new()),
            ready: false,
            started: false,
            restarts: 0,
            last: None,
        }
    }
}

/// How a container is asked to end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// SIGTERM: finish what is under way and end.
    pub term: CancellationToken,
    /// SIGKILL: end now.
    pub kill: CancellationToken,
}

impl Stop {
    /// A stop that also ends when `self` does.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            term: self.term.child_token(),
            kill: self.kill.child_token(),
        }
    }
}

/// Something that can be run as a container again and again.
pub trait Body: Send + Sync + 'static {
    /// Runs once, until it ends by itself or is stopped; gives the exit code
    /// and a message where the code does not say enough.
    fn run(&self, restarts: i32, stop: Stop) -> impl Future<Output = (i32, String)> + Send;
}

/// The probes of a container.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Nothing else is asked before it passes.
    pub startup: Option<Check>,
    /// Whether the container gets requests.
    pub readiness: Option<Check>,
    /// Whether the container is started again.
    pub liveness: Option<Check>,
}

impl Checks {
    /// Reads the probes of a container.
    ///
    /// # Errors
    /// When a probe names a port that the container does not have.
    pub fn of(container: &Container) -> Result<Self, String> {
        let read = |probe: &Option<_>| {
            probe
                .as_ref()
                .map(|probe| Check::of(probe, container))
                .transpose()
        };
        Ok(Self {
            startup: read(&container.startup_probe)?,
            readiness: read(&container.readiness_probe)?,
            liveness: read(&container.liveness_probe)?,
        })
    }

    /// The ports that are asked.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        [&self.startup, &self.readiness, &self.liveness]
            .into_iter()
            .flatten()
            .filter_map(Check::port)
    }
}

/// Keeps `body` running until `stop`; `view` always says how it is.
pub async fn keep<B: Body>(
    body: B,
    checks: Checks,
    address: Ipv4Addr,
    sockets: Sockets,
    view: watch::Sender<View>,
    stop: Stop,
) {
    let mut wait = Duration::ZERO;
    let asked = Arc::new(Asked {
        checks,
        address,
        sockets,
    });
    for restarts in 0.. {
        let since = Timestamp::now();
        view.send_modify(|view| {
            view.phase = Phase::Running(since);
            view.restarts = restarts;
            view.ready = false;
            view.started = false;
        });
        // A liveness probe that fails ends this run only.
        let this_run = stop.child();
        let run = body.run(restarts, this_run.clone());
        tokio::pin!(run);
        let (exit_code, mut message) = tokio::select! {
            ended = &mut run => ended,
            why = asked.watch_over(&view) => {
                this_run.term.cancel();
                let (exit_code, _) = run.await;
                (exit_code, why)
            }
        };
        if message.is_empty() && exit_code != 0 {
            message = format!("exited with code {exit_code}");
        }
        let at = Timestamp::now();
        let ended = Ended {
            exit_code,
            since,
            at,
            message,
        };
        if stop.term.is_cancelled() || stop.kill.is_cancelled() {
            view.send_modify(|view| {
                view.phase = Phase::Ended(ended);
                view.ready = false;
            });
            return;
        }
        let ran = Duration::try_from(at.duration_since(since)).unwrap_or_default();
        if ran >= STABLE {
            wait = Duration::ZERO;
        }
        view.send_modify(|view| {
            view.phase = Phase::Waiting(
                "CrashLoopBackOff",
                format!("back-off {}s restarting the container", wait.as_secs()),
            );
            view.ready = false;
            view.last = Some(ended.clone());
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.term.cancelled() => {
                view.send_modify(|view| view.phase = Phase::Ended(ended.clone()));
                return;
            }
        }
        wait = next_wait(wait);
    }
}

fn next_wait(wait: Duration) -> Duration {
    if wait.is_zero() {
        BACK_OFF
    } else {
        (wait * 2).min(BACK_OFF_MAX)
    }
}

struct Asked {
    checks: Checks,
    address: Ipv4Addr,
    sockets: Sockets,
}

impl Asked {
    /// Asks the probes of a run; returns why the container must be started
    /// again, if it must.
    async fn watch_over(&self, view: &watch::Sender<View>) -> String {
        if let Some(startup) = &self.checks.startup
            && let Err(why) = self.until_verdict(startup).await
        {
            return format!("the startup probe failed: {why}");
        }
        view.send_modify(|view| view.started = true);
        let readiness = async {
            match &self.checks.readiness {
                None => {
                    view.send_modify(|view| view.ready = true);
                    std::future::pending::<()>().await;
                }
                Some(check) => {
                    self.ask_on(check, |verdict| {
                        let ready = verdict == Verdict::Passes;
                        view.send_if_modified(|view| {
                            std::mem::replace(&mut view.ready, ready) != ready
                        });
                        None::<()>
                    })
                    .await;
                }
            }
        };
        let liveness = async {
            match &self.checks.liveness {
                None => std::future::pending().await,
                Some(check) => {
                    self.ask_on(check, |verdict| (verdict == Verdict::Fails).then_some(()))
                        .await;
                }
            }
        };
        tokio::select! {
            () = readiness => {}
            () = liveness => {}
        }
        "the liveness probe failed".to_owned()
    }

    /// Asks until the answers make a verdict.
    async fn until_verdict(&self, check: &Check) -> Result<(), String> {
        tokio::time::sleep(check.initial_delay).await;
        let mut streak = Streak::default();
        loop {
            let answer = check.ask(self.socket(check)).await;
            match streak.count(answer.is_ok(), check) {
                Some(Verdict::Passes) => return Ok(()),
                Some(Verdict::Fails) => return answer,
                None => tokio::time::sleep(check.period).await,
            }
        }
    }

    /// Asks for ever and hands each verdict to `decide`, until that gives a value.
    async fn ask_on<T>(&self, check: &Check, mut decide: impl FnMut(Verdict) -> Option<T>) -> T {
        tokio::time::sleep(check.initial_delay).await;
        let mut streak = Streak::default();
        loop {
            let good = check.ask(self.socket(check)).await.is_ok();
            if let Some(value) = streak.count(good, check).and_then(&mut decide) {
                return value;
            }
            tokio::time::sleep(check.period).await;
        }
    }

    fn socket(&self, check: &Check) -> Option<std::net::SocketAddr> {
        self.sockets.of(self.address, check.port()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_minutes() {
        let mut wait = Duration::ZERO;
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                let now = wait.as_secs();
                wait = next_wait(wait);
                now
            })
            .collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }
}
