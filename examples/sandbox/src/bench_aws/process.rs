//! The simulator as a process of its own, so that its memory and its start are
//! its alone.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::client::{Connection, Requests};

/// A simulator that runs until this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub endpoint: SocketAddr,
    /// From the start of the process to its first answer to a call.
    pub start: Duration,
}

impl Process {
    /// Starts this executable as `aws`, where nothing takes time.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub async fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program")?;
        let begin = Instant::now();
        let mut child = Command::new(program)
            .args(["aws", "--listen", "127.0.0.1:0", "--time", "instant"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the AWS")?;
        let output = child.stdout.take().context("the AWS has no output")?;
        let mut lines = BufReader::new(output).lines();
        let endpoint = loop {
            let line = lines.next_line().await?;
            let line = line.ok_or_else(|| anyhow!("the AWS has ended"))?;
            if let Some(url) = line.strip_prefix("AWS_ENDPOINT_URL=http://") {
                break url.parse()?;
            }
        };
        let mut connection = Connection::open(endpoint).await?;
        let call = [("Action", "DescribeLoadBalancers")];
        let call = Requests::to(endpoint).form("elasticloadbalancing", &call);
        connection.ask(&call).await?;
        Ok(Self {
            child,
            endpoint,
            start: begin.elapsed(),
        })
    }

    /// The most memory that it has had resident, in bytes; `None` where the
    /// system does not tell.
    pub fn peak_memory(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id()?);
        let status = std::fs::read_to_string(path).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }
}
