//! `sandbox bench`: what a controller costs at a size: calls to AWS, seconds,
//! memory and CPU of a few cases, for ours and for another one beside it.
//!
//! ```text
//! bench -> { cluster: objects of N groups, process: the controller, measure: the cases, table }
//!          console: the console's page in a browser, with the same objects
//! ```
//!
//! Each controller gets a bare sandbox of its own, so that nothing else works
//! on the objects. Times depend on the machine; calls do not.

mod cluster;
pub mod console;
mod console_stream;
mod measure;
mod process;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use crate::controller::ControllerProgram;
use crate::sandbox::{self, Sandbox};
use crate::terminal::{self, Terminal};

pub use measure::{Case, Measured};
pub use process::Candidate;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Numbers of groups, each measured by itself.
    pub groups: Vec<usize>,
    /// A shell command that starts another controller, which is measured too.
    pub controller: Option<String>,
    /// What kubectl applies before that one starts.
    pub manifests: Vec<PathBuf>,
    /// Each answer of AWS takes so long, in milliseconds.
    pub latency_ms: u64,
    /// File that gets the figures as JSON.
    pub json: Option<PathBuf>,
    /// The folder of ready control-plane binaries.
    pub control_plane_bin: Option<PathBuf>,
}

/// Most groups: all pods must find an address in the VPC's private subnets.
pub const MOST_GROUPS: usize = 1100;

/// Measures, and prints the table.
///
/// # Errors
/// The sandbox does not start, a controller ends by itself, or a case does not
/// come to its end.
pub async fn run(options: Options, ended: CancellationToken) -> anyhow::Result<()> {
    if options
        .groups
        .iter()
        .any(|groups| !(1..=MOST_GROUPS).contains(groups))
    {
        bail!("expected 1 to {MOST_GROUPS} groups");
    }
    let mut candidates = vec![Candidate::Ours(ControllerProgram::of_this_executable()?)];
    candidates.extend(options.controller.clone().map(Candidate::Command));
    let all = async {
        let mut measured = Vec::new();
        for groups in &options.groups {
            for candidate in &candidates {
                measured.push(one(&options, candidate, *groups).await?);
            }
        }
        anyhow::Ok(measured)
    };
    let measured = tokio::select! {
        measured = all => measured?,
        () = ended.cancelled() => return Ok(()),
    };
    terminal::print(&table::text(&measured));
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&measured)?;
        std::fs::write(path, json + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Measures one controller at one size, in a sandbox of its own.
async fn one(options: &Options, candidate: &Candidate, groups: usize) -> anyhow::Result<Measured> {
    let mut terminal = Terminal::open();
    terminal.line(&format!(
        "{candidate}, groups: {groups}: starting a sandbox ..."
    ));
    let sandbox = Sandbox::start(sandbox::Options {
        bare: true,
        control_plane_bin: options.control_plane_bin.clone(),
        ..sandbox::Options::default()
    })
    .await?;
    if let Candidate::Command(_) = candidate {
        for path in &options.manifests {
            cluster::kubectl_apply(&sandbox, "-f", path).await?;
        }
    }
    cluster::set_up(&sandbox, groups, options.latency_ms).await?;
    let measuring = measure::measure(&sandbox, candidate, groups, &mut terminal);
    let measured = tokio::select! {
        measured = measuring => measured,
        error = sandbox.control_plane.failure() => Err(error),
    };
    sandbox.stop().await;
    measured
}
