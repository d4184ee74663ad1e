//! `sandbox bench-console`: what the console costs its server and a browser at a
//! size: until there is a picture, and for each change of it. Figures depend on the
//! machine and are printed, not judged.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::cluster::{self, PODS, RULES, SERVICES};
use super::console_stream;
use super::process::{Candidate, Running, pause};
use crate::account::EXAMPLE_CERTIFICATE;
use crate::browser::{Browser, Look, Programs};
use crate::console::Console;
use crate::controller::ControllerProgram;
use crate::sandbox::{self, Sandbox};
use crate::terminal::Terminal;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of groups, each with ten rules and ten pods.
    pub groups: usize,
    /// The folder of ready control-plane binaries.
    pub control_plane_bin: Option<PathBuf>,
}

/// Changes that are measured, with groups folded and again with all unfolded.
const CHANGES: usize = 10;
/// The page may take so long to show something.
const LIMIT: Duration = Duration::from_mins(2);
/// Making the groups may take no longer than this, and so much for each.
const MAKING: (Duration, Duration) = (Duration::from_mins(3), Duration::from_secs(6));

/// Measures; answers the figures as a table in Markdown.
///
/// # Errors
/// The sandbox does not start, or the page does not come to show what there is.
/// Without Chromium only the server's part is measured.
pub async fn measure(options: &Options) -> anyhow::Result<String> {
    if !(1..=super::MOST_GROUPS).contains(&options.groups) {
        bail!("expected 1 to {} groups", super::MOST_GROUPS);
    }
    let mut terminal = Terminal::open();
    terminal.line("starting a sandbox ...");
    let sandbox = Sandbox::start(sandbox::Options {
        bare: true,
        console_port: Some(0),
        control_plane_bin: options.control_plane_bin.clone(),
        ..sandbox::Options::default()
    })
    .await?;
    cluster::set_up(&sandbox, options.groups, 0).await?;
    terminal.line("making the groups ...");
    let ours = Candidate::Ours(ControllerProgram::of_this_executable()?);
    let mut running = Running::start(&sandbox, &ours, false)?;
    let client = sandbox.control_plane.client()?;
    cluster::ingresses(&client, options.groups, EXAMPLE_CERTIFICATE).await?;
    let began = Instant::now();
    let limit = MAKING.0 + MAKING.1 * u32::try_from(options.groups)?;
    while !is_made(&sandbox, options.groups) {
        pause(&mut running, began, limit, "making the groups").await?;
    }
    terminal.line("measuring the page ...");
    let console = sandbox.console.as_ref().map(Console::url);
    let url = console.context("the sandbox has no console")?;
    let all = SERVICES * PODS * options.groups;
    let mut table = format!(
        "Groups: {}; pods: {all}\n\n| figure | ms |\n| --- | ---: |\n",
        options.groups
    );
    for (figure, value) in console_stream::figures(&sandbox, &url).await? {
        // Writing to a String does not fail.
        let _ = writeln!(table, "| {figure} | {value} |");
    }
    match Programs::find() {
        Some(programs) => {
            let browser = Browser::start(&programs, &[]).await?;
            let figures = figures(&sandbox, &browser, &url, options.groups).await;
            browser.close().await?;
            table.push_str(&figures?);
        }
        None => terminal.line(
            "not measured: the page, for chromium and chromedriver are not in PATH (Debian: \
             chromium, chromium-driver)",
        ),
    }
    running.end().await?;
    sandbox.stop().await;
    Ok(table)
}

fn is_made(sandbox: &Sandbox, groups: usize) -> bool {
    sandbox.account.state().read(|state| {
        let listeners = state
            .load_balancers
            .values()
            .flat_map(|balancer| balancer.listeners.values());
        let rules: usize = listeners.map(|listener| listener.rules.len()).sum();
        let target_groups = state.target_groups.values();
        let targets: usize = target_groups.map(|group| group.targets.len()).sum();
        rules >= RULES * groups && targets == SERVICES * PODS * groups
    })
}

async fn figures(
    sandbox: &Sandbox,
    browser: &Browser,
    url: &str,
    groups: usize,
) -> anyhow::Result<String> {
    browser
        .look(Look {
            width: 1280,
            height: 800,
            dark: false,
        })
        .await?;
    browser.open(url).await?;
    let shown = format!("return document.querySelectorAll('.group').length === {groups}");
    until(browser, &shown, "the picture is there").await?;
    let root = async |name: &str| {
        let script = format!("return Number(document.documentElement.dataset.{name})");
        browser.run(&script, &[]).await
    };
    let mut table = String::new();
    let mut row = |figure: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(table, "| {figure} | {value} |");
    };
    let first = root("firstPictureMs").await?;
    row(
        "from opening the page to the first picture",
        first.to_string(),
    );
    let script = root("pictureScriptMs").await?;
    row("script for it", script.to_string());
    let folded = changes(sandbox, browser, groups).await?;
    row("script for a change, groups folded, median", folded.0);
    row("the same, most", folded.1);
    browser
        .run("document.getElementById('open-all').click()", &[])
        .await?;
    let unfolded = changes(sandbox, browser, groups).await?;
    row("script for a change, all unfolded, median", unfolded.0);
    row("the same, most", unfolded.1);
    Ok(table)
}

/// Takes a pod out of a Service of one group after the other; answers the
/// median and the most that the page worked for a change.
async fn changes(
    sandbox: &Sandbox,
    browser: &Browser,
    groups: usize,
) -> anyhow::Result<(String, String)> {
    let client = sandbox.control_plane.client()?;
    let nodes: Vec<String> = sandbox
        .account
        .nodes()
        .into_iter()
        .map(|node| node.name)
        .collect();
    browser.run("performance.clearMeasures()", &[]).await?;
    for pods in [PODS - 1, PODS] {
        for change in 0..CHANGES / 2 {
            let group = change * groups / CHANGES;
            let number = "return performance.getEntriesByName('change').length";
            let before = browser.run(number, &[]).await?;
            cluster::endpoints(&client, group * SERVICES, pods, &nodes).await?;
            let more = format!("{number} > {before}");
            until(browser, &more, "a change is shown").await?;
        }
    }
    let script = "return performance.getEntriesByName('change').map((each) => each.duration).sort((a, b) => a - b)";
    let sorted = browser.run(script, &[]).await?;
    let sorted: Vec<f64> = serde_json::from_value(sorted)?;
    let most = sorted.last().context("the page tells of no change")?;
    let median = sorted.get(sorted.len() / 2).unwrap_or(most);
    Ok((format!("{median:.1}"), format!("{most:.1}")))
}

async fn until(browser: &Browser, script: &str, what: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    while browser.run(script, &[]).await? != Value::Bool(true) {
        if began.elapsed() > LIMIT {
            bail!("not within {} s: {what}", LIMIT.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
