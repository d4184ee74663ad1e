//! `sandbox up`: everything runs, and a person or a program works with it.

use std::path::Path;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::controller::repository;
use crate::env_file::EnvFile;
use crate::sandbox::{Options, Sandbox};
use crate::terminal::{self, Terminal};

/// What `up` is asked for.
#[derive(Clone, Debug)]
pub struct Up {
    /// The parts.
    pub sandbox: Options,
    /// Whether the controller is installed.
    pub with_controller: bool,
}

/// Starts the sandbox, says where everything is, and stays until `ended`.
///
/// # Errors
/// A part does not start, or one of them ends by itself.
pub async fn run(up: Up, ended: CancellationToken) -> anyhow::Result<()> {
    let path = up.sandbox.env_file.clone();
    let mut env_file = path.as_deref().map(EnvFile::claim).transpose()?;
    let mut terminal = Terminal::open();
    let start = Instant::now();
    terminal.line("starting the sandbox ...");
    let starting = async {
        let sandbox = Sandbox::start(up.sandbox).await?;
        if up.with_controller {
            terminal.line("installing the controller from deploy/ ...");
            sandbox.install_controller(&[]).await?;
        }
        anyhow::Ok(sandbox)
    };
    let sandbox = tokio::select! {
        sandbox = starting => sandbox?,
        () = ended.cancelled() => return Ok(()),
    };
    if let Some(file) = &mut env_file {
        file.publish(&sandbox.environment())?;
    }
    terminal::print(&description(
        &sandbox,
        up.with_controller,
        path.as_deref(),
        start.elapsed().as_secs_f32(),
    ));

    tokio::select! {
        error = sandbox.control_plane.failure() => Err(error),
        () = ended.cancelled() => {
            drop(env_file);
            Terminal::open().line("ending the sandbox ...");
            sandbox.stop().await;
            Ok(())
        }
    }
}

/// Where everything is, in lines that can be pasted into a shell.
fn description(
    sandbox: &Sandbox,
    with_controller: bool,
    env_file: Option<&Path>,
    seconds: f32,
) -> String {
    let mut lines = vec![
        format!("The sandbox is up, after {seconds:.1} s. Ctrl-C ends it and all that it started."),
        String::new(),
        "# In another shell:".to_owned(),
    ];
    let environment = sandbox.environment();
    for (name, value) in environment.variables() {
        lines.push(format!("export {name}={}", quoted(&value)));
    }
    lines.push(String::new());
    if let Some(console) = &environment.sandbox_console {
        lines.push("# What there is and what happens, in a browser:".to_owned());
        lines.push(format!("# console  {console}"));
        lines.push(String::new());
    }
    if with_controller {
        lines.extend(example(sandbox));
    } else {
        lines.extend(your_own_controller(sandbox));
    }
    lines.push(String::new());
    lines.push("# What AWS holds open, and what it was asked:".to_owned());
    lines.push("curl -s $AWS_ENDPOINT_URL/_sim/endpoints".to_owned());
    lines.push("curl -s $AWS_ENDPOINT_URL/_sim/calls".to_owned());
    lines.push(String::new());
    if let Some(path) = env_file {
        lines.push(format!("# The same as a file: {}", path.display()));
    }
    lines.push(format!(
        "# Logs and data: {}",
        sandbox.control_plane.folder().display()
    ));
    lines.join("\n") + "\n"
}

/// The host of `examples/2048`.
const GAME: &str = "game.example.com";

/// The game, from its manifests to a browser.
fn example(sandbox: &Sandbox) -> Vec<String> {
    let dns = sandbox.account.dns();
    let mut lines = vec![
        "# Then, for example, a game that the load balancer serves:".to_owned(),
        format!("$KUBECTL apply -k {}", in_repository("examples/2048")),
        "$KUBECTL -n game rollout status deployment/game".to_owned(),
        "$KUBECTL get alb".to_owned(),
        "$KUBECTL describe alb".to_owned(),
        format!("dig @{} -p {} {GAME}", dns.ip(), dns.port()),
    ];
    if let Some(gateway) = &sandbox.gateway {
        lines.push(format!("# In a browser: {}", gateway.url(GAME)));
    }
    lines
}

/// What someone starts with who brings the controller, or all of it.
fn your_own_controller(sandbox: &Sandbox) -> Vec<String> {
    let mut lines = Vec::new();
    if sandbox.kubelet.is_none() {
        lines.push("# Nodes, Pods and EndpointSlices are yours to make: nobody plays them.".into());
    }
    lines.extend([
        "# What deploy/ has for you: the CRD behind kubectl get alb, and a class:".to_owned(),
        format!("$KUBECTL apply -k {}", in_repository("deploy/crd")),
        format!(
            "$KUBECTL apply -f {}",
            in_repository("deploy/ingressclass.yaml")
        ),
        "# Your controller finds all that it needs in the variables. This repository's:".to_owned(),
        format!(
            "cargo run --manifest-path {} -p alb-ingress-controller -- --port=0",
            in_repository("Cargo.toml")
        ),
    ]);
    lines
}

/// A path of the repository that this sandbox was built from, as a shell takes
/// it.
fn in_repository(path: &str) -> String {
    let path = repository().join(path);
    let path = path.canonicalize().unwrap_or(path);
    quoted(&path.display().to_string())
}

/// A value as a shell takes it.
pub(crate) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.:_-@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_shell() {
        assert_eq!(
            quoted("/tmp/sandbox-1/kubeconfig"),
            "/tmp/sandbox-1/kubeconfig"
        );
        assert_eq!(quoted("/home/my self/x"), "'/home/my self/x'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
