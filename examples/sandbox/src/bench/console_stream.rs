//! What the console costs its server: until a page has the first picture, and
//! until it hears of a change.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::sent_events::{Lines, Sent};
use crate::web;

/// Each figure is measured so often.
const TIMES: usize = 11;
/// Something has to come within this time.
const LIMIT: Duration = Duration::from_secs(30);

/// Measures; answers figures with their values.
pub(super) async fn figures(sandbox: &Sandbox, url: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut first = Vec::new();
    let mut bytes = 0;
    for _ in 0..TIMES {
        let began = Instant::now();
        let mut stream = Stream::open(url).await?;
        bytes = stream.next("picture").await?.data.len();
        first.push(began.elapsed());
    }
    let mut changes = Vec::new();
    let mut most = 0;
    let mut stream = Stream::open(url).await?;
    stream.next("picture").await?;
    let aws = sandbox.account.endpoint_url();
    let targets = targets(sandbox);
    for state in ["unhealthy", "healthy"] {
        for (group, target) in targets.iter().take(TIMES / 2) {
            let held = json!({ "target_group": group, "target": target, "state": state });
            let began = Instant::now();
            let answer = web::tell_sim(&aws, "/_sim/health", &held).await?;
            anyhow::ensure!(answer.status.is_success(), "{}", answer.body);
            loop {
                let told = stream.next("group").await?.data;
                if has(&told, target, state)? {
                    changes.push(began.elapsed());
                    most = most.max(told.len());
                    break;
                }
            }
        }
    }
    Ok(vec![
        (
            "server: from the request to the whole first picture, median".to_owned(),
            milliseconds(&mut first),
        ),
        ("its size".to_owned(), format!("{} KB", bytes / 1000)),
        (
            "server: from a change in AWS to its arrival, median".to_owned(),
            milliseconds(&mut changes),
        ),
        ("its size".to_owned(), format!("{} KB", most.div_ceil(1000))),
    ])
}

/// One target of each target group.
fn targets(sandbox: &Sandbox) -> Vec<(String, String)> {
    sandbox.account.state().read(|state| {
        let groups = state.target_groups.values();
        let targets = groups.filter_map(|group| {
            let key = group.targets.keys().next()?;
            Some((group.arn.clone(), format!("{}:{}", key.id, key.port)))
        });
        targets.collect()
    })
}

/// Whether a group that is told of has the target in this state.
fn has(group: &str, target: &str, state: &str) -> anyhow::Result<bool> {
    let group: Value = serde_json::from_str(group)?;
    let groups = group["loadBalancer"]["targetGroups"].as_array();
    let groups = groups.into_iter().flatten();
    let mut targets = groups.flat_map(|group| group["targets"].as_array().into_iter().flatten());
    Ok(targets.any(|it| {
        let id = it["id"].as_str().unwrap_or_default();
        it["health"] == state && format!("{id}:{}", it["port"]) == target
    }))
}

fn milliseconds(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    format!("{:.1}", median.as_secs_f64() * 1000.0)
}

/// The console's stream, as a page reads it.
struct Stream {
    body: Incoming,
    lines: Lines,
    waiting: Vec<Sent>,
}

impl Stream {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let response = web::stream_sim(url, "/api/stream").await?;
        Ok(Self {
            body: response.into_body(),
            lines: Lines::default(),
            waiting: Vec::new(),
        })
    }

    /// The next event of a kind.
    async fn next(&mut self, kind: &str) -> anyhow::Result<Sent> {
        let next = async {
            loop {
                while !self.waiting.is_empty() {
                    let event = self.waiting.remove(0);
                    if event.kind == kind {
                        return Ok(event);
                    }
                }
                let frame = self.body.frame().await.context("the stream has ended")??;
                if let Some(data) = frame.data_ref() {
                    self.waiting = self.lines.take(data);
                }
            }
        };
        tokio::time::timeout(LIMIT, next)
            .await
            .with_context(|| format!("no {kind} within {} s", LIMIT.as_secs()))?
    }
}
