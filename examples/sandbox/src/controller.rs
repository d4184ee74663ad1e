//! Which program is the controller, and its installation from `deploy/`.
//! May read the repository and run kubectl; starts no controller itself: the
//! played kubelet does, as Pods ask for it.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;

use crate::control_plane::ControlPlane;

/// The subcommand of this binary that is the controller. It is not shown in
/// the help, since nobody but the sandbox has a use for it.
pub const SUBCOMMAND: &str = "controller";

/// Namespace and Deployment of the controller, as `deploy/` names them.
pub const NAME: &str = "alb-ingress-controller";

/// How long the two replicas may take until they are ready.
const ROLLOUT_LIMIT: &str = "120s";

/// How the controller is started as a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerProgram {
    /// The executable.
    pub program: PathBuf,
    /// What comes before the arguments of the Pod.
    pub leading_args: Vec<OsString>,
}

impl ControllerProgram {
    /// The controller that this very executable contains, so that a sandbox
    /// always runs the one that it was built with. Only the `sandbox` binary
    /// has it; a test names the controller's own binary instead.
    ///
    /// # Errors
    /// The system does not tell the path of the executable.
    pub fn of_this_executable() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this executable is unknown")?;
        Ok(Self {
            program,
            leading_args: vec![SUBCOMMAND.into()],
        })
    }

    /// A binary that is the controller and nothing else.
    pub fn binary(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            leading_args: Vec::new(),
        }
    }

    /// A command that starts it; the caller adds arguments and environment.
    pub fn command(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.leading_args);
        command
    }
}

/// Is the controller, if the arguments of this process say so; otherwise
/// returns and the process is the sandbox. Comes before anything else in
/// `main`: the controller has a runtime, logs and options of its own.
pub fn run_if_asked(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let _executable = args.next();
    if args.next()? != SUBCOMMAND {
        return None;
    }
    Some(alb_ingress_controller::main_with_args(
        std::iter::once(OsString::from(NAME)).chain(args),
    ))
}

/// What the manifests of `deploy/` leave to the one who installs them.
#[derive(Clone, Debug)]
pub struct Installation {
    /// `CLUSTER_NAME`.
    pub cluster_name: String,
    /// `AWS_REGION`.
    pub region: String,
    /// The role that the controller's ServiceAccount may assume.
    pub role_arn: String,
    /// Arguments beside those of `deploy/`.
    pub extra_args: Vec<String>,
}

/// The repository that this sandbox was built from; `deploy/` and `examples/`
/// are there.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Applies `deploy/` with an overlay for what a user sets, and waits until all
/// replicas are ready.
///
/// # Errors
/// The repository is gone, the API server refuses a manifest, or the replicas
/// do not become ready; then the message has what kubectl said.
pub async fn install(
    control_plane: &ControlPlane,
    installation: &Installation,
) -> anyhow::Result<()> {
    let deploy = repository().join("deploy");
    let deploy = fs::canonicalize(&deploy).with_context(|| {
        format!(
            "the manifests of the controller are not at {}: the sandbox runs from the \
             repository that it was built from",
            deploy.display()
        )
    })?;
    let folder = control_plane.folder().join("deploy");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let folder = fs::canonicalize(&folder)?;
    let overlay = overlay(installation, &relative(&folder, &deploy));
    fs::write(folder.join("kustomization.yaml"), format!("{overlay:#}\n"))
        .with_context(|| format!("cannot write the overlay in {}", folder.display()))?;

    let mut apply = control_plane.kubectl();
    apply.args(["apply", "-k"]).arg(&folder);
    run(apply, "the installation of the controller from deploy/").await?;
    let mut rollout = control_plane.kubectl();
    rollout
        .args(["--namespace", NAME, "rollout", "status"])
        .arg(format!("deployment/{NAME}"))
        .args(["--timeout", ROLLOUT_LIMIT]);
    match run(rollout, "the start of the controller").await {
        Ok(()) => Ok(()),
        Err(error) => bail!("{error:#}\n{}", what_it_does(control_plane).await),
    }
}

/// Its Pods and the ends of their logs, for a person who wonders why it does
/// not become ready.
async fn what_it_does(control_plane: &ControlPlane) -> String {
    let mut told = Vec::new();
    for question in [
        ["get", "pods", "--output=wide"],
        [
            "logs",
            "--selector=app.kubernetes.io/name=alb-ingress-controller",
            "--tail=15",
        ],
    ] {
        let mut command = control_plane.kubectl();
        command.args(["--namespace", NAME]).args(question);
        if let Ok(output) = command.output().await {
            told.push(String::from_utf8_lossy(&output.stdout).into_owned());
            told.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    told.retain(|text| !text.is_empty());
    told.join("\n")
}

/// kustomize's own way to change what others wrote; JSON is YAML too.
fn overlay(installation: &Installation, deploy: &Path) -> serde_json::Value {
    let args: Vec<_> = installation
        .extra_args
        .iter()
        .map(|arg| json!({ "op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": arg }))
        .collect();
    let environment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": NAME, "namespace": NAME },
        "spec": { "template": { "spec": { "containers": [{
            "name": "controller",
            "env": [
                { "name": "CLUSTER_NAME", "value": installation.cluster_name },
                { "name": "AWS_REGION", "value": installation.region },
            ],
        }]}}},
    });
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": NAME,
            "namespace": NAME,
            "annotations": { "eks.amazonaws.com/role-arn": installation.role_arn },
        },
    });
    let mut patches = vec![
        json!({ "patch": environment.to_string() }),
        json!({ "patch": account.to_string() }),
    ];
    if !args.is_empty() {
        patches.push(json!({
            "target": { "kind": "Deployment", "name": NAME },
            "patch": serde_json::Value::from(args).to_string(),
        }));
    }
    json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [deploy],
        "patches": patches,
    })
}

/// The way from one absolute folder to another; kustomize takes no absolute
/// path.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

async fn run(mut command: tokio::process::Command, what: &str) -> anyhow::Result<()> {
    let output = command.output().await.context("cannot start kubectl")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed; kubectl said: {}", said.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_two_folders() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(
            way("/tmp/sandbox-1/deploy", "/home/me/alb/deploy"),
            Path::new("../../../home/me/alb/deploy")
        );
        assert_eq!(way("/home/me/tmp", "/home/me/alb"), Path::new("../alb"));
    }

    #[test]
    fn only_the_subcommand_makes_this_process_the_controller() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(run_if_asked(args(&["sandbox"]).into_iter()).is_none());
        assert!(run_if_asked(args(&["sandbox", "up"]).into_iter()).is_none());
    }
}
