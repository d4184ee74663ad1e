//! A container whose image the sandbox plays with one of its own apps.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::container::{Body, Stop};
use super::logs::{ContainerName, Log, Logs};
use super::sockets::Sockets;
use crate::apps::{self, App, Identity};

/// How long an app takes new connections after SIGTERM: a load balancer hears
/// later than the pod that it goes, and later still on a busy machine.
const SERVES_ON: Duration = Duration::from_secs(3);

/// A container that serves an app on each of its ports.
pub struct AppBody {
    /// Which app.
    pub app: App,
    /// Who it says that it is.
    pub identity: Identity,
    /// Ports of the container.
    pub ports: Vec<u16>,
    /// Address of the pod.
    pub address: Ipv4Addr,
    /// Where its listeners are entered.
    pub sockets: Sockets,
    /// Where its logs are kept.
    pub logs: Logs,
    /// Under which name.
    pub name: ContainerName,
}

/// Where images listen most often.
const USUAL_PORTS: [u16; 2] = [80, 8080];

/// The ports of a container that is alone in its pod: a declaration is only
/// information in Kubernetes, so that one without any may still serve.
pub fn or_usual(declared: Vec<u16>, alone: bool) -> Vec<u16> {
    if declared.is_empty() && alone {
        USUAL_PORTS.to_vec()
    } else {
        declared
    }
}

impl Body for AppBody {
    async fn run(&self, _restarts: i32, stop: Stop) -> (i32, String) {
        let log = Log::in_memory();
        self.logs.begin(&self.name, log.clone());
        let closing = CancellationToken::new();
        let mut servers = JoinSet::new();
        if self.ports.is_empty() {
            log.line(&format!(
                "{:?} listens on no port: none is declared",
                self.app
            ));
        }
        for &port in &self.ports {
            let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await {
                Ok(listener) => listener,
                Err(error) => return (1, format!("cannot listen for port {port}: {error}")),
            };
            match listener.local_addr() {
                Ok(socket) => self.sockets.open(self.address, port, socket),
                Err(error) => return (1, format!("cannot listen for port {port}: {error}")),
            }
            log.line(&format!("{:?} listens on port {port}", self.app));
            servers.spawn(apps::serve(
                self.app,
                self.identity.clone(),
                listener,
                log.clone(),
                closing.clone(),
            ));
        }
        let closed = async {
            stop.term.cancelled().await;
            log.line("SIGTERM");
            tokio::time::sleep(SERVES_ON).await;
            self.refuse();
            closing.cancel();
            while servers.join_next().await.is_some() {}
        };
        let exit_code = tokio::select! {
            () = closed => 0,
            () = stop.kill.cancelled() => 137,
        };
        self.refuse();
        log.end();
        (exit_code, String::new())
    }
}

impl AppBody {
    fn refuse(&self) {
        for &port in &self.ports {
            self.sockets.close(self.address, port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_declares_no_port_serves_on_the_usual_ones() {
        assert_eq!(or_usual(vec![], true), [80, 8080]);
        assert_eq!(or_usual(vec![3000], true), [3000]);
        assert!(or_usual(vec![], false).is_empty());
    }
}
