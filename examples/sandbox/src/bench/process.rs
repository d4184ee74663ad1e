//! A controller as a process, and what it uses.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::controller::ControllerProgram;
use crate::sandbox::Sandbox;

/// Who is measured.
#[derive(Clone, Debug)]
pub enum Candidate {
    /// This repository's.
    Ours(ControllerProgram),
    /// A simple shell command; it finds Kubernetes and AWS in the environment.
    Command(String),
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(_) => f.write_str("alb-ingress-controller"),
            Self::Command(command) => {
                let program = command.split_whitespace().next().unwrap_or(command);
                let name = Path::new(program).file_name().unwrap_or_default();
                f.write_str(&name.to_string_lossy())
            }
        }
    }
}

/// How long a process may take to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_mins(1);

/// What a process used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// CPU seconds so far.
    pub(super) cpu_seconds: f64,
    /// Memory of its own, in MB (`RssAnon`).
    pub(super) memory_mb: f64,
}

/// A controller that runs.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it. Ours keeps to AWS' rates only if `limited`: to make a
    /// thousand load balancers within them takes an hour and a half, whoever
    /// does it.
    pub(super) fn start(
        sandbox: &Sandbox,
        candidate: &Candidate,
        limited: bool,
    ) -> anyhow::Result<Self> {
        let log = sandbox.control_plane.folder().join("controller.log");
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let mut command = match candidate {
            Candidate::Ours(program) => {
                let mut command = program.command();
                command
                    .args(["--bind-address=127.0.0.1", "--disable-route53"])
                    // What it reads again in the background is no case here.
                    .arg("--first-verification=24h")
                    .arg("--port=0")
                    .arg(format!("--aws-rate-limits={limited}"));
                command
            }
            Candidate::Command(text) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("exec {text}"));
                command
            }
        };
        command
            .envs(sandbox.environment().variables())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true);
        let child = sandbox
            .control_plane
            .watchdog()
            .spawn(command)
            .with_context(|| format!("cannot start {candidate}"))?;
        Ok(Self { child, log })
    }

    /// Fails once it has ended by itself, with the end of its log.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "the controller has ended ({status}):\n{}",
                self.end_of_log()
            );
        }
        Ok(())
    }

    /// The last lines of its log.
    pub(super) fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Milliseconds in which it built the model of all groups when it started,
    /// if it says so in its log.
    pub(super) fn model_ms(&self) -> Option<u64> {
        model_ms(&fs::read_to_string(&self.log).ok()?)
    }

    /// What it has used.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        let id = self.child.id().context("the controller has ended")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        Ok(Usage {
            cpu_seconds: cpu_seconds(&stat).context("/proc has another form than expected")?,
            memory_mb: anonymous_mb(&status).context("/proc has another form than expected")?,
        })
    }

    /// Ends it as Kubernetes does.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("the controller has ended")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("the controller has ended")?;
        kill_process(pid, Signal::TERM)?;
        if tokio::time::timeout(END_LIMIT, self.child.wait())
            .await
            .is_err()
        {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// Waits for a pause, and fails when the controller ends meanwhile or `since`
/// is too long ago.
pub(super) async fn pause(
    running: &mut Running,
    since: Instant,
    limit: Duration,
    what: &str,
) -> anyhow::Result<()> {
    running.check()?;
    if since.elapsed() > limit {
        bail!(
            "{what} did not come to its end within {} s; the end of the controller's log:\n{}",
            limit.as_secs(),
            running.end_of_log()
        );
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}

/// CPU seconds out of `/proc/PID/stat`; Linux counts them in hundredths.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name may have spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
    Some(f64::from(ticks(11)? + ticks(12)?) / 100.0)
}

/// `RssAnon` out of `/proc/PID/status`, in MB.
fn anonymous_mb(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u32 = line.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kilobytes) * 1024.0 / 1e6)
}

/// What our controller's log says last about the time of its model.
fn model_ms(log: &str) -> Option<u64> {
    let (_, after) = log.rsplit_once("model_ms=")?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1";
        assert!((cpu_seconds(stat).unwrap() - 2.0).abs() < 1e-9);
        let status = "Name:\tx\nVmRSS:\t  9000 kB\nRssAnon:\t    2000 kB\n";
        assert!((anonymous_mb(status).unwrap() - 2.048).abs() < 1e-9);
        assert_eq!(anonymous_mb("Name:\tx\n"), None);
    }

    #[test]
    fn the_time_of_the_model_is_that_of_the_last_start() {
        let log = "INFO listed groups=0 model_ms=0\nINFO listed groups=9 model_ms=12 x=1\nend\n";
        assert_eq!(model_ms(log), Some(12));
        assert_eq!(model_ms("no word of it\n"), None);
    }

    #[test]
    fn another_controller_is_called_by_its_program() {
        let other = Candidate::Command("/opt/bin/lbc --cluster-name=x".to_owned());
        assert_eq!(other.to_string(), "lbc");
    }
}
