//! `sandbox up`: everything runs, and a person or a program works with it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

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
    /// The file that tells others where everything is.
    pub env_file: Option<PathBuf>,
}

/// Starts the sandbox, says where everything is, and stays until `ended`.
///
/// # Errors
/// A part does not start, or one of them ends by itself.
pub async fn run(up: Up, ended: CancellationToken) -> anyhow::Result<()> {
    let env_file = up.env_file.as_deref().map(EnvFile::claim).transpose()?;
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
    if let Some(file) = &env_file {
        file.publish(&sandbox.environment())?;
    }
    terminal::print(&description(
        &sandbox,
        up.env_file.as_deref(),
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
fn description(sandbox: &Sandbox, env_file: Option<&Path>, seconds: f32) -> String {
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
    lines.push("# Then, for example:".to_owned());
    lines.push("$KUBECTL get ingressclasses,nodes,pods -A".to_owned());
    lines.push("curl -s $AWS_ENDPOINT_URL/_sim/endpoints  # load balancers, sockets".to_owned());
    lines.push("curl -s $AWS_ENDPOINT_URL/_sim/calls      # what AWS was asked".to_owned());
    let dns = sandbox.account.dns();
    lines.push(format!("dig @{} -p {} HOST", dns.ip(), dns.port()));
    if let Some(gateway) = &sandbox.gateway {
        lines.push(String::new());
        lines.push(format!(
            "# In a browser: http://HOST.localhost:{}/",
            gateway.address().port()
        ));
    }
    if let Some(path) = env_file {
        lines.push(String::new());
        lines.push(format!("# The same as a file: {}", path.display()));
    }
    lines.push(format!(
        "# Logs and data: {}",
        sandbox.control_plane.folder().display()
    ));
    lines.join("\n") + "\n"
}

/// A value as a shell takes it.
fn quoted(value: &str) -> String {
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
