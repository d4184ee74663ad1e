//! The command line of the sandbox.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use sandbox_aws::Profile;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::bench;
use crate::bench_aws;
use crate::controller::ControllerProgram;
use crate::demo;
use crate::open_files;
use crate::request::{Asked, Whereabouts};
use crate::sandbox::Options;
use crate::terminal::{self, Terminal};
use crate::up::{self, Up};

/// A Kubernetes cluster and an AWS on this machine, to show and to test
/// alb-ingress-controller.
///
/// The control plane is the real one, on loopback and in a temporary folder.
/// Its programs are built once, from the Go module registry, into
/// ~/.cache/alb-ingress-controller (about 8 minutes on two cores; needs Go
/// 1.26 or later). Nodes, Pods and AWS are played. Everything ends with the
/// command. LOG_LEVEL=debug in the environment shows more of what happens.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts all of it with the controller, prints where everything is, and
    /// stays until Ctrl-C.
    Up(UpArgs),
    /// Shows the controller at work, in plain words.
    ///
    /// Stays before everything is deleted again, so that you can play with
    /// kubectl and a browser, until Ctrl-C.
    Demo(DemoArgs),
    /// Sends a request through a load balancer of a sandbox that runs, and says
    /// which rule took it, why the others did not, where it went and why.
    ///
    /// Exits with 0 when there was an answer, whatever its status, and with 1
    /// else. Finds the sandbox by SANDBOX_CONSOLE or AWS_ENDPOINT_URL, in the
    /// environment or in the env file of `up --env-file`; with AWS_ENDPOINT_URL
    /// alone the names of Pods are not known.
    Request(RequestArgs),
    /// Starts an AWS alone: an empty account.
    Aws(AwsArgs),
    /// Measures what a controller costs: calls to AWS, seconds, memory, CPU.
    ///
    /// Makes groups of two listeners, ten rules, five target groups and ten
    /// pods in a sandbox of their own, and prints a table for: create, nothing
    /// changed, one edit, fifty edits, one pod, restart, an edit one second after
    /// a restart; and the CPU time of an edit and the time of a whole model.
    /// Calls are the same everywhere; times are those of this machine and this
    /// build, so build with --release.
    Bench(BenchArgs),

    /// Measures the AWS with a large account in it: calls and requests a
    /// second, memory, start. Prints a table and a line of JSON.
    ///
    /// Its goals hold for a release build: cargo run --release -p sandbox --
    /// bench-aws.
    BenchAws(BenchAwsArgs),

    /// Measures the console's page in a headless Chromium: milliseconds until
    /// there is a picture, and of script for a change of it.
    ///
    /// The page's part needs chromium and chromedriver (Debian: chromium,
    /// chromium-driver).
    BenchConsole(BenchConsoleArgs),
}

/// What every command with a control plane takes.
#[derive(Debug, Args)]
struct ControlPlaneArgs {
    /// Folder of ready binaries (etcd, kube-apiserver,
    /// kube-controller-manager, kube-scheduler, kubectl) in place of the ones
    /// that are built into the cache.
    #[arg(long, value_name = "DIR", env = "SANDBOX_CONTROL_PLANE_BIN")]
    control_plane_bin: Option<PathBuf>,

    /// Name of the cluster, part of what is made in AWS.
    #[arg(long, value_name = "NAME", default_value = "sandbox")]
    cluster_name: String,

    /// Port of the gateway for browsers, http://HOST.localhost:PORT/; 0 takes
    /// any that is free.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    gateway_port: u16,

    /// Port of the console, a page that shows all of it; 0 takes any that is
    /// free.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    console_port: u16,
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Only etcd, kube-apiserver and the AWS: no controller-manager, no
    /// scheduler, no played kubelet, no controller, no admission of
    /// ServiceAccounts. You bring Nodes, Pods and EndpointSlices.
    #[arg(long, conflicts_with = "gateway_port")]
    bare: bool,

    /// Without the controller, for one that you start yourself.
    #[arg(long)]
    no_controller: bool,

    /// File that gets KUBECONFIG, KUBECTL, AWS_ENDPOINT_URL, AWS_REGION,
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, CLUSTER_NAME, AWS_VPC_ID,
    /// SANDBOX_DNS and SANDBOX_CONSOLE as KEY=value lines. It appears, complete, once everything
    /// answers, and goes with the sandbox.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,

    #[command(flatten)]
    control_plane: ControlPlaneArgs,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Goes through to the empty account and ends, with 0 only if each claim
    /// was checked.
    #[arg(long)]
    once: bool,

    /// Without the controller: every claim fails then, and so does the demo,
    /// which shows that claims are checked.
    #[arg(long)]
    no_controller: bool,

    #[command(flatten)]
    control_plane: ControlPlaneArgs,
}

#[derive(Debug, Args)]
struct RequestArgs {
    /// What to ask for, such as https://game.example.com/top?of=all: the host
    /// is looked up in the simulated Route 53.
    url: String,

    /// Method.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    request: String,

    /// A header, such as 'X-Beta: yes'; may be given several times.
    #[arg(short = 'H', long, value_name = "HEADER", value_parser = header)]
    header: Vec<(String, String)>,

    /// Body.
    #[arg(short = 'd', long, value_name = "TEXT")]
    data: Option<String>,

    /// Address of the client, as rules and targets see it.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,

    /// Prints JSON in place of text.
    #[arg(long)]
    json: bool,

    /// Env file of the sandbox, in place of the environment.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct AwsArgs {
    /// Address and port of loopback for all services of AWS.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:4566",
        value_parser = loopback
    )]
    listen: SocketAddr,

    /// Takes only keys that were registered (POST /_sim/keys) or given out by
    /// STS. Without it any other key has all rights in account 123456789012.
    #[arg(long)]
    only_known_keys: bool,

    /// How long AWS takes for what it does later: instant; quick, a second or
    /// so where AWS takes minutes; real. Single knobs: POST /_sim/config.
    #[arg(long, value_name = "PROFILE", default_value = "quick")]
    time: Profile,

    /// What all that is left to chance is drawn by, for a run like another one;
    /// drawn if absent. It is printed, and in GET /_sim/config.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct BenchArgs {
    /// Number of groups; of several numbers each has a sandbox of its own.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,100")]
    groups: Vec<usize>,

    /// Simple shell command that starts another controller, to measure beside
    /// ours: a program and its arguments, in which $CLUSTER_NAME, $AWS_VPC_ID
    /// and the other variables of `up --env-file` may stand. It must serve the
    /// IngressClass `alb`, and begin at once, without an election.
    #[arg(long, value_name = "CMD")]
    controller: Option<String>,

    /// Manifests that are applied before the other controller starts, such as
    /// its CustomResourceDefinitions; may be given several times.
    #[arg(long, value_name = "FILE", requires = "controller")]
    manifests: Vec<PathBuf>,

    /// Milliseconds that each answer of AWS takes.
    #[arg(long, value_name = "MS", default_value_t = 20)]
    latency: u64,

    /// File that gets the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Folder of ready binaries, as for `up`.
    #[arg(long, value_name = "DIR", env = "SANDBOX_CONTROL_PLANE_BIN")]
    control_plane_bin: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct BenchConsoleArgs {
    /// Number of groups, each with ten rules and ten pods.
    #[arg(long, value_name = "N", default_value_t = 100)]
    groups: usize,

    /// Folder of ready binaries, as for `up`.
    #[arg(long, value_name = "DIR", env = "SANDBOX_CONTROL_PLANE_BIN")]
    control_plane_bin: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct BenchAwsArgs {
    /// How many there are in the account, each with five target groups and ten
    /// rules.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    load_balancers: usize,

    /// Seconds for which calls are sent, and then requests.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,

    /// Fails where a figure is not as it should be.
    #[arg(long)]
    check: bool,
}

impl Cli {
    /// Does what the command line says, until it is done or a signal asks for
    /// the end.
    ///
    /// # Errors
    /// Those of the command.
    pub async fn run(self) -> anyhow::Result<()> {
        let ended = end_on_signal()?;
        open_files::raise_limit();
        match self.command {
            Command::Up(args) => {
                let with_controller = !args.bare && !args.no_controller;
                let up = Up {
                    sandbox: Options {
                        bare: args.bare,
                        env_file: args.env_file,
                        ..args.control_plane.options()?
                    },
                    with_controller,
                };
                up::run(up, ended).await
            }
            Command::Demo(args) => {
                let options = demo::Options {
                    once: args.once,
                    with_controller: !args.no_controller,
                    sandbox: args.control_plane.options()?,
                };
                demo::run(options, ended).await
            }
            Command::Bench(args) => {
                let options = bench::Options {
                    groups: args.groups,
                    controller: args.controller,
                    manifests: args.manifests,
                    latency_ms: args.latency,
                    json: args.json,
                    control_plane_bin: args.control_plane_bin,
                };
                bench::run(options, ended).await
            }
            Command::Request(args) => {
                let asked = Asked {
                    method: Some(args.request),
                    url: Some(args.url),
                    headers: args.header.into_iter().collect(),
                    source: args.source,
                    body: args.data,
                    ..Asked::default()
                };
                let at = Whereabouts::find(args.env_file.as_deref())?;
                let told = tokio::select! {
                    told = at.send(&asked) => told?,
                    () = ended.cancelled() => return Ok(()),
                };
                let text = if args.json {
                    serde_json::to_string_pretty(&told)?
                } else {
                    told.text.join("\n")
                };
                terminal::print(&format!("{text}\n"));
                let why = told.reason.as_deref().unwrap_or("no connection");
                anyhow::ensure!(told.status.is_some(), "there was no answer: {why}");
                Ok(())
            }
            Command::Aws(args) => {
                let known = args.only_known_keys;
                // Of 32 bits, so that every reader of JSON takes it whole.
                let seed = args.seed.unwrap_or_else(|| rand::random::<u32>().into());
                let account = Account::empty(args.listen, args.time, known, seed).await?;
                terminal::print(&format!(
                    "AWS_ENDPOINT_URL={}\nAWS_REGION={}\nSANDBOX_DNS={}\nSANDBOX_SEED={seed}\n",
                    account.endpoint_url(),
                    account.region(),
                    account.dns(),
                ));
                ended.cancelled().await;
                Ok(())
            }
            Command::BenchConsole(args) => {
                let options = bench::console::Options {
                    groups: args.groups,
                    control_plane_bin: args.control_plane_bin,
                };
                tokio::select! {
                    table = bench::console::measure(&options) => terminal::print(&table?),
                    () = ended.cancelled() => {}
                }
                Ok(())
            }
            Command::BenchAws(args) => {
                let options = bench_aws::Options {
                    load_balancers: args.load_balancers,
                    lasts: Duration::from_secs(args.seconds),
                    check: args.check,
                };
                tokio::select! {
                    measured = bench_aws::run(&options) => measured,
                    () = ended.cancelled() => Ok(()),
                }
            }
        }
    }
}

impl ControlPlaneArgs {
    fn options(self) -> anyhow::Result<Options> {
        Ok(Options {
            bare: false,
            control_plane_bin: self.control_plane_bin,
            cluster_name: self.cluster_name,
            controller: Some(ControllerProgram::of_this_executable()?),
            gateway_port: self.gateway_port,
            console_port: Some(self.console_port),
            env_file: None,
        })
    }
}

/// The simulated AWS takes any credentials, and so must not be reached from
/// another machine.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "expected an address and a port, such as 127.0.0.1:4566".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("expected an address of loopback, such as 127.0.0.1".to_owned())
    }
}

/// A header as curl takes it.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("expected a name and a value, such as 'X-Beta: yes'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A signal this soon after another one is the same request: some programs
/// signal both the process and its group.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// A token that the first signal to end cancels. With a later one the process
/// does not wait for an orderly end; the watchdog sees to the rest.
fn end_on_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let ended = token.clone();
    tokio::spawn(async move {
        let mut first = None;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            let first = *first.get_or_insert_with(Instant::now);
            if first.elapsed() > ONE_REQUEST {
                Terminal::open().line("ending at once");
                std::process::exit(130);
            }
            ended.cancel();
        }
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_aws_listens_on_loopback_only() {
        assert!(Cli::try_parse_from(["sandbox", "aws", "--listen", "127.0.0.1:80"]).is_ok());
        assert!(Cli::try_parse_from(["sandbox", "aws", "--listen", "0.0.0.0:80"]).is_err());
    }

    #[test]
    fn a_request_is_written_as_for_curl() {
        let line = [
            "sandbox",
            "request",
            "-XPUT",
            "-H",
            "a: b:c",
            "http://x/",
            "--json",
        ];
        let cli = Cli::try_parse_from(line).unwrap();
        let Command::Request(args) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!((args.request.as_str(), args.json), ("PUT", true));
        assert_eq!(args.header, [("a".to_owned(), "b:c".to_owned())]);
        assert!(Cli::try_parse_from(["sandbox", "request", "-H", "a", "x"]).is_err());
        assert!(Cli::try_parse_from(["sandbox", "request"]).is_err());
    }

    #[test]
    fn bare_is_without_a_controller_and_gateway() {
        let cli = Cli::try_parse_from(["sandbox", "up", "--bare", "--env-file", "x"]).unwrap();
        assert!(matches!(
            cli.command,
            Command::Up(UpArgs { bare: true, .. })
        ));
        assert!(Cli::try_parse_from(["sandbox", "up", "--bare", "--gateway-port", "80"]).is_err());
    }
}
