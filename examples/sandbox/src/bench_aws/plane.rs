//! Requests through a load balancer, from many connections to a target that
//! does next to nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::client::{Connection, Requests, find};
use super::measure::{Measured, repeat};
use super::world::Balancer;

/// What the target answers.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    load_balancer: String,
    socket: SocketAddr,
}

/// Sends requests through a load balancer over this many connections for a while.
///
/// # Errors
/// One is answered by anybody but the target.
pub async fn measure(
    endpoint: SocketAddr,
    balancer: &Balancer,
    connections: usize,
    lasts: Duration,
) -> anyhow::Result<Measured> {
    let target = Target::start().await?;
    let requests = Requests::to(endpoint);
    let mut control = Connection::open(endpoint).await?;
    let addresses: BTreeMap<&String, SocketAddr> = balancer
        .targets
        .iter()
        .map(|name| (name, target.socket))
        .collect();
    let body = serde_json::to_string(&addresses)?;
    let set = requests.sim("POST", "addresses", &body);
    control.ask(&set).await?;
    let each = balancer.targets.len() / balancer.groups.len();
    for (group, targets) in balancer.groups.iter().zip(balancer.targets.chunks(each)) {
        for name in targets {
            let held = json!({ "target_group": group, "target": name, "state": "healthy" });
            let held = requests.sim("POST", "health", &held.to_string());
            control.ask(&held).await?;
        }
    }
    let open = control.ask(&requests.sim("GET", "endpoints", "")).await?;
    let open: Vec<Endpoint> = serde_json::from_slice(open)?;
    let mut open = open.into_iter();
    let listener = open
        .find(|open| open.load_balancer == balancer.arn)
        .with_context(|| format!("{} has no socket", balancer.name))?
        .socket;
    let rules = balancer.rules.len().max(1);
    repeat(listener, connections, lasts, move |draws| {
        let path = draws.below(rules);
        let request = format!(
            "GET /{path}/page?a=b HTTP/1.1\r\nhost: shop.example.com\r\nuser-agent: bench\r\n\r\n"
        );
        (request.into_bytes(), |body: &[u8]| {
            ensure!(body == b"hello\n", "another answer than the target's");
            Ok(())
        })
    })
    .await
}

/// A server that answers every request alike, until it is dropped.
struct Target {
    socket: SocketAddr,
    serving: JoinHandle<()>,
}

impl Target {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let socket = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that breaks off is none to answer.
                tokio::spawn(async move { serve(stream).await.ok() });
            }
        });
        Ok(Self { socket, serving })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(4096);
    while stream.read_buf(&mut received).await? > 0 {
        if let Some(end) = find(&received, b"\r\n\r\n") {
            received.drain(..end + 4);
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}
