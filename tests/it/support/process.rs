//! The controller as a process.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{PATIENCE, PAUSE, Scene, cluster};

/// A controller process. Killed when dropped; its log is printed when the test
/// fails.
pub struct Controller {
    child: Child,
    folder: TempDir,
    scene: String,
}

/// A command line of the controller for a scene, health and metrics aside.
pub fn command(scene: &Scene, arguments: &[&str]) -> Command {
    let sandbox = cluster::sandbox();
    let mut command = Command::new(env!("CARGO_BIN_EXE_alb-ingress-controller"));
    command
        .arg(format!("--ingress-class={}", scene.name))
        .arg(format!("--watch-namespace={}", scene.name))
        .arg(format!("--leader-election-namespace={}", scene.name))
        .arg("--dns-delete-grace=0")
        .args(arguments)
        .env("KUBECONFIG", sandbox.control_plane.kubeconfig_path())
        .env("AWS_ENDPOINT_URL", scene.aws.endpoint())
        .env("AWS_REGION", cluster::REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test-secret")
        .env("AWS_VPC_ID", &scene.ids.vpc)
        .env("CLUSTER_NAME", &scene.name)
        .kill_on_drop(true);
    command
}

impl Controller {
    /// Starts one. Later arguments win over those of [`command`].
    pub fn start(scene: &Scene, arguments: &[&str]) -> Self {
        Self::spawn(scene, command(scene, arguments))
    }

    /// Starts one without a single flag, by these variables and those that say
    /// where Kubernetes and AWS are.
    pub fn by_environment(scene: &Scene, variables: &[(&str, &str)]) -> Self {
        let sandbox = cluster::sandbox();
        let mut command = Command::new(env!("CARGO_BIN_EXE_alb-ingress-controller"));
        command
            .env_clear()
            .env("KUBECONFIG", sandbox.control_plane.kubeconfig_path())
            .env("AWS_ENDPOINT_URL", scene.aws.endpoint())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test-secret")
            .envs(variables.iter().copied())
            .kill_on_drop(true);
        Self::spawn(scene, command)
    }

    /// Runs a command with its health and metrics at a free port, which its log
    /// tells: one that was free a moment ago may be the client's end of a
    /// connection by now.
    fn spawn(scene: &Scene, mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command
            .env("ALB_INGRESS_BIND_ADDRESS", "127.0.0.1")
            .env("ALB_INGRESS_PORT", "0")
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = cluster::sandbox()
            .control_plane
            .watchdog()
            .spawn(command)
            .unwrap();
        Self {
            child,
            folder,
            scene: scene.name.clone(),
        }
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&self) {
        let began = Instant::now();
        while self
            .page("/readyz")
            .await
            .is_none_or(|(code, _)| code != 200)
        {
            assert!(began.elapsed() < PATIENCE, "not ready:\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Status and body of one of its pages; `None` while it does not answer.
    pub async fn page(&self, path: &str) -> Option<(u16, String)> {
        let log = self.log();
        let (_, address) = log.split_once("metrics and health are at ")?;
        let end = address.find(|c: char| c != ':' && c != '.' && !c.is_ascii_digit())?;
        let mut stream = TcpStream::connect(&address[..end]).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap_or_default()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and waits until it is dead.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGSTOP: it does nothing at all until [`wake`](Self::wake).
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM.
    pub fn told_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.told_to_end();
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let limit = PATIENCE + Duration::from_secs(15);
        tokio::time::timeout(limit, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("it does not end:\n{}", self.log()))
            .unwrap()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- log of the controller of {} ---\n{}",
                self.scene,
                self.log()
            );
        }
    }
}
