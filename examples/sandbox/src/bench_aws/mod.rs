//! `sandbox bench-aws`: how fast the simulator is with a large account in it.
//!
//! The simulator runs as a process of its own; the client speaks raw HTTP to it
//! and shares its cores. Nothing is throttled, quotas are as large as the account.

mod client;
mod measure;
mod mix;
mod plane;
mod process;
mod report;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use self::client::{Connection, Requests};
use self::measure::{Measured, repeat};
use self::mix::{Draws, Kind, draw};
use self::process::Process;
use self::report::Report;
use self::world::World;
use crate::terminal::{self, Terminal};

/// Connections of the client that calls.
const CALLERS: usize = 16;

/// Connections through the load balancer.
const VISITORS: usize = 64;

/// Starts of which the median is told.
const STARTS: usize = 5;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Load balancers, each with five target groups and ten rules.
    pub load_balancers: usize,
    /// How long calls, and then requests, are sent.
    pub lasts: Duration,
    /// Whether a goal that is missed is an error.
    pub check: bool,
}

/// Measures, and prints a table and a line of JSON.
///
/// # Errors
/// The simulator does not answer as it should, or a goal is missed and they
/// are to be checked.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(
        options.load_balancers > 0,
        "there has to be a load balancer"
    );
    let mut terminal = Terminal::open();
    let mut starts = Vec::new();
    let process = loop {
        let process = Process::start().await?;
        starts.push(process.start);
        if starts.len() == STARTS {
            break process;
        }
    };
    starts.sort_unstable();

    terminal.status(&format!(
        "making an account of {} load balancers",
        options.load_balancers
    ));
    let begin = Instant::now();
    let (world, load) = World::make(process.endpoint, options.load_balancers).await?;
    let loaded = begin.elapsed();
    let world = Arc::new(world);
    each_answers_whole(&process, &world).await?;

    terminal.status("calling");
    let calls = calls(&process, world.clone(), options.lasts).await?;
    terminal.status("sending requests through a load balancer");
    let balancer = &world.balancers[0];
    let requests = plane::measure(process.endpoint, balancer, VISITORS, options.lasts).await?;

    let report = Report {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        build: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        load_balancers: world.balancers.len(),
        target_groups: world.groups(),
        rules: world.rules(),
        start_ms: starts[STARTS / 2].as_secs_f64() * 1000.0,
        load_calls_per_second: per_second(load, loaded),
        calls: calls.count,
        calls_per_second: calls.per_second(),
        call_p50_ms: calls.percentile_ms(50),
        call_p99_ms: calls.percentile_ms(99),
        requests: requests.count,
        requests_per_second: requests.per_second(),
        request_p50_ms: requests.percentile_ms(50),
        request_p99_ms: requests.percentile_ms(99),
        peak_memory_mb: process.peak_memory().map(megabytes),
    };
    let json = serde_json::to_string(&report)?;
    terminal::print(&format!("{}\n{json}\n", report.table()));
    let missed = report.missed();
    if options.check && !missed.is_empty() {
        bail!("missed: {}", missed.join(", "));
    }
    Ok(())
}

/// One call of each kind, whose answer has to hold all that was asked for: a
/// fast answer of nothing is none.
async fn each_answers_whole(process: &Process, world: &World) -> anyhow::Result<()> {
    let requests = Requests::to(process.endpoint);
    let mut connection = Connection::open(process.endpoint).await?;
    let mut draws = Draws::new(0);
    for (kind, _) in Kind::ALL {
        let drawn = draw(kind, world, &requests, &mut draws);
        let body = connection.ask(&drawn.request).await?;
        if let Some(complaint) = drawn.complaint(body) {
            bail!("{kind:?}: {complaint}");
        }
    }
    Ok(())
}

async fn calls(process: &Process, world: Arc<World>, lasts: Duration) -> anyhow::Result<Measured> {
    let requests = Requests::to(process.endpoint);
    repeat(process.endpoint, CALLERS, lasts, move |draws| {
        let kind = Kind::draw(draws);
        let drawn = draw(kind, &world, &requests, draws);
        (drawn.request, |_: &[u8]| Ok(()))
    })
    .await
}

#[allow(clippy::cast_precision_loss)]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
