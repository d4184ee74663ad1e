//! The sandbox: parse, run, exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use sandbox::cli::Cli;
use tracing_subscriber::EnvFilter;

/// The client logs each request that fails as an error, and until the API
/// server is ready all of them do.
const DEFAULT_LOG: &str = "warn,kube_client::client::builder=off";

fn main() -> ExitCode {
    if let Some(code) = sandbox::controller::run_if_asked(std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    let filter =
        EnvFilter::try_from_env("LOG_LEVEL").unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sandbox: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}
