//! Requests as fast as they are answered, for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::client::Connection;
use super::mix::Draws;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Answers.
    pub count: usize,
    /// How long it took.
    pub took: Duration,
    /// How long each answer took, in microseconds, sorted.
    latencies_us: Vec<u32>,
}

impl Measured {
    /// Answers in a second.
    pub fn per_second(&self) -> f64 {
        // Counts here are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let count = self.count as f64;
        count / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The latency that this many of 100 answers did not exceed, in milliseconds.
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let at = last * percent.min(100) / 100;
        let latency = self.latencies_us.get(at).copied().unwrap_or_default();
        f64::from(latency) / 1000.0
    }
}

/// Sends requests over this many connections, each as soon as the one before
/// is answered. `next` makes a request and says what to do with the body of
/// its answer.
///
/// # Errors
/// Those of the connections, and an answer that is no success.
pub async fn repeat<N, C>(
    address: SocketAddr,
    connections: usize,
    lasts: Duration,
    next: N,
) -> anyhow::Result<Measured>
where
    N: Fn(&mut Draws) -> (Vec<u8>, C) + Send + Sync + 'static,
    C: FnOnce(&[u8]) -> anyhow::Result<()> + Send + 'static,
{
    let next = Arc::new(next);
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let begin = Instant::now();
    let mut senders = JoinSet::new();
    for (seed, mut connection) in (1..).zip(open) {
        let next = next.clone();
        senders.spawn(async move {
            let mut draws = Draws::new(seed);
            let mut latencies = Vec::new();
            while begin.elapsed() < lasts {
                let (request, check) = next(&mut draws);
                let sent = Instant::now();
                check(connection.ask(&request).await?)?;
                let took = sent.elapsed().as_micros();
                latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
            anyhow::Ok(latencies)
        });
    }
    let mut measured = Measured::default();
    while let Some(sent) = senders.join_next().await {
        let latencies = sent.context("a sender has ended early")??;
        measured.latencies_us.extend(latencies);
    }
    measured.took = begin.elapsed();
    measured.count = measured.latencies_us.len();
    measured.latencies_us.sort_unstable();
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_percentiles() {
        let measured = Measured {
            count: 100,
            took: Duration::from_secs(2),
            latencies_us: (1..=100).map(|n| n * 1000).collect(),
        };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(measured.per_second(), 50.0));
        assert!(close(measured.percentile_ms(50), 50.0));
        assert!(close(measured.percentile_ms(100), 100.0));
        assert!(close(Measured::default().percentile_ms(99), 0.0));
    }
}
