//! A container of the controller's own image: a real process, with what its
//! Pod says about arguments, environment and ServiceAccount.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;

use super::container::{Body, Stop};
use super::logs::{ContainerName, Log, Logs};
use super::sockets::Sockets;
use crate::control_plane::watchdog::Watchdog;
use crate::controller::ControllerProgram;

/// The part of the image's name by which the controller's Pods are known.
pub const CONTROLLER_IMAGE: &str = "alb-ingress-controller";

/// A container that is a process of this machine. The `command` of its Pod
/// names a program of the image and is not looked at.
pub struct ProcessBody {
    /// The program, in the place of the image's.
    pub program: ControllerProgram,
    /// The arguments of its Pod.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// The loopback address that it binds.
    pub loopback: IpAddr,
    /// Ports of the container.
    pub ports: Vec<u16>,
    /// Address of the pod.
    pub address: Ipv4Addr,
    /// Time from SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Where its ports are entered.
    pub sockets: Sockets,
    /// Where its logs are kept, and a file beside for each run.
    pub logs: Logs,
    /// Under which name.
    pub name: ContainerName,
    /// Folder of the log files.
    pub log_folder: PathBuf,
    /// Ends the process with the sandbox.
    pub watchdog: Watchdog,
}

impl Body for ProcessBody {
    async fn run(&self, restarts: i32, stop: Stop) -> (i32, String) {
        let log = match Log::with_file(self.log_file(restarts)) {
            Ok(log) => log,
            Err(error) => return (128, format!("cannot make the log file: {error}")),
        };
        self.logs.begin(&self.name, log.clone());
        let mut command = self.program.command();
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.log_folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match self.watchdog.spawn(command) {
            Ok(child) => child,
            Err(error) => {
                let message = format!("cannot start {}: {error}", self.program.program.display());
                log.line(&message);
                log.end();
                return (128, message);
            }
        };
        let output = tokio::spawn(copy(child.stdout.take(), log.clone()));
        let errors = tokio::spawn(copy(child.stderr.take(), log.clone()));
        for &port in &self.ports {
            let socket = (self.loopback, port).into();
            self.sockets.open(self.address, port, socket);
        }
        let ended = self.until_end(&mut child, &stop).await;
        for &port in &self.ports {
            self.sockets.close(self.address, port);
        }
        // The last lines are still in the pipes. Their ends may be held by a
        // grandchild, which must not hold up the restart.
        let rest = async { (output.await, errors.await) };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
        log.end();
        match ended {
            Ok(status) => exit_code(status),
            Err(error) => (128, format!("cannot wait for the process: {error}")),
        }
    }
}

impl ProcessBody {
    /// Waits for the end of the process; sends the signals that `stop` asks for.
    async fn until_end(&self, child: &mut Child, stop: &Stop) -> std::io::Result<ExitStatus> {
        tokio::select! {
            ended = child.wait() => return ended,
            () = stop.kill.cancelled() => {}
            () = stop.term.cancelled() => {
                terminate(child);
                tokio::select! {
                    ended = child.wait() => return ended,
                    () = stop.kill.cancelled() => {}
                    () = tokio::time::sleep(self.grace) => {}
                }
            }
        }
        child.start_kill()?;
        child.wait().await
    }

    fn log_file(&self, restarts: i32) -> PathBuf {
        let ContainerName {
            namespace,
            pod,
            container,
        } = &self.name;
        self.log_folder
            .join(format!("{namespace}_{pod}_{container}_{restarts}.log"))
    }
}

/// Arguments that make the process bind `loopback` whatever its Pod says
/// about `--bind-address`: its own address cannot be bound on this machine.
pub fn bind_to(arguments: Vec<String>, loopback: IpAddr) -> Vec<String> {
    let mut bound = Vec::with_capacity(arguments.len() + 1);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--bind-address" {
            arguments.next();
        } else if !argument.starts_with("--bind-address=") {
            bound.push(argument);
        }
    }
    bound.push(format!("--bind-address={loopback}"));
    bound
}

/// A path that lets the program find what it starts, nothing else of the
/// sandbox's own environment.
pub fn base_environment(pod: &str, folder: &Path) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("HOSTNAME".to_owned(), pod.to_owned()),
        ("HOME".to_owned(), folder.display().to_string()),
        ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
    ])
}

fn terminate(child: &Child) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now, which is what was asked for.
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn exit_code(status: ExitStatus) -> (i32, String) {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => (code, String::new()),
        (None, Some(signal)) => (128 + signal, format!("ended by signal {signal}")),
        (None, None) => (255, "ended in an unknown way".to_owned()),
    }
}

async fn copy(stream: Option<impl AsyncRead + Unpin>, log: Log) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream).split(b'\n');
    // A read error ends the log of this stream as its end does.
    while let Ok(Some(line)) = lines.next_segment().await {
        log.line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::kubelet::cloud::Cloud;

    #[test]
    fn the_loopback_address_wins_over_the_pods_own_flag() {
        let loopback = IpAddr::V4(Ipv4Addr::new(127, 200, 0, 1));
        let given = [
            "--a=1",
            "--bind-address",
            "0.0.0.0",
            "--bind-address=::",
            "b",
        ];
        assert_eq!(
            bind_to(given.map(str::to_owned).to_vec(), loopback),
            ["--a=1", "b", "--bind-address=127.200.0.1"]
        );
    }

    fn body(script: &str, folder: &Path, watchdog: &Watchdog, logs: &Logs) -> ProcessBody {
        ProcessBody {
            program: ControllerProgram::binary("/bin/sh"),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: base_environment("p", folder),
            loopback: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: vec![],
            address: Ipv4Addr::new(10, 0, 0, 1),
            grace: Duration::from_millis(200),
            sockets: Sockets::new(Cloud::default()),
            logs: logs.clone(),
            name: ContainerName {
                namespace: "n".to_owned(),
                pod: "p".to_owned(),
                container: "c".to_owned(),
            },
            log_folder: folder.to_owned(),
            watchdog: watchdog.clone(),
        }
    }

    #[tokio::test]
    async fn exit_codes_signals_and_output() {
        let folder = tempfile::tempdir().unwrap();
        let watched = tempfile::tempdir().unwrap();
        let watchdog = Watchdog::start(watched.path(), None).unwrap();
        let logs = Logs::default();
        let body = |script: &str| body(script, folder.path(), &watchdog, &logs);

        let failing = body("echo out $HOSTNAME; echo err >&2; exit 3");
        assert_eq!(failing.run(0, Stop::default()).await, (3, String::new()));
        let log = logs.of(&failing.name, false).unwrap();
        let mut lines: Vec<_> = log.since(0).into_iter().map(|line| line.text).collect();
        lines.sort();
        assert_eq!(lines, ["err", "out p"]);

        let stop = Stop::default();
        stop.term.cancel();
        let (code, _) = body("sleep 60").run(1, stop.clone()).await;
        assert_eq!(code, 143, "SIGTERM is sent");
        let deaf = body("trap '' TERM; echo deaf; sleep 60 & wait; sleep 60");
        // SIGTERM comes only once the trap stands.
        let stop = Stop::default();
        let late = async {
            let stands = || {
                let log = logs.of(&deaf.name, false);
                log.is_some_and(|log| log.since(0).iter().any(|line| line.text == "deaf"))
            };
            while !stands() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.term.cancel();
        };
        let ((code, _), ()) = tokio::join!(deaf.run(2, stop.clone()), late);
        assert_eq!(code, 137, "SIGKILL follows after the grace");
    }
}
