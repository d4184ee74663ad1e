//! What would change if these manifests were applied: the controller's own dry
//! run, on an API server that answers as if they were. Writes nothing, neither
//! to Kubernetes nor to AWS.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::overlay::Overlay;
use crate::controller::{ControllerProgram, NAME};
use crate::env_file::Environment;

/// How long the dry run may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the dry run says by its exit code, beside 0 for nothing to do.
const SOMETHING: i32 = 2;

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What was given, as `Ingress shop/web`.
    pub objects: Vec<String>,
    /// What the controller's dry run printed.
    pub lines: Vec<String>,
    /// Something would change in AWS.
    pub changes: bool,
}

/// Asks what would change.
#[derive(Clone)]
pub struct Planner {
    /// Kubernetes.
    pub client: Client,
    /// How both sides are reached.
    pub environment: Environment,
    /// The controller.
    pub controller: ControllerProgram,
}

impl Planner {
    /// What the controller would do in AWS if `manifests` (YAML or JSON, as
    /// for `kubectl apply`) were applied.
    ///
    /// # Errors
    /// In a sentence for people: the API server refuses a manifest, or the
    /// controller's dry run fails.
    pub async fn plan(&self, manifests: &str) -> anyhow::Result<Plan> {
        let objects = self.applied(manifests).await?;
        let named = objects.iter().map(named).collect();
        let overlay = Overlay::start(self.client.clone(), objects).await?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, overlay.kubeconfig())?;

        let mut dry_run = self.controller.command();
        dry_run
            .args(self.arguments().await)
            .args(["--dry-run", "--log-format=text", "--log-level=error"])
            .env("NO_COLOR", "1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        for (name, value) in self.environment.variables() {
            dry_run.env(name, value);
        }
        dry_run.env("KUBECONFIG", &kubeconfig).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, dry_run.output())
            .await
            .context("the controller's dry run takes more than a minute")?
            .context("the controller cannot be started")?;
        let changes = match output.status.code() {
            Some(0) => false,
            Some(SOMETHING) => true,
            _ => bail!(
                "the controller's dry run failed: {}",
                last_lines(&output.stderr)
            ),
        };
        let printed = String::from_utf8_lossy(&output.stdout);
        Ok(Plan {
            objects: named,
            lines: printed.lines().map(str::to_owned).collect(),
            changes,
        })
    }

    /// The objects as the API server would hold them, with its defaults.
    async fn applied(&self, manifests: &str) -> anyhow::Result<Vec<Value>> {
        let mut kubectl = Command::new(&self.environment.kubectl)
            .args(["apply", "--dry-run=server", "--output=json", "--filename=-"])
            .env("KUBECONFIG", &self.environment.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("kubectl cannot be started")?;
        let mut stdin = kubectl.stdin.take().context("kubectl reads nothing")?;
        let feeding = async move {
            // One that refuses early reads no further; what it says counts.
            let _ = stdin.write_all(manifests.as_bytes()).await;
        };
        let (output, ()) = tokio::join!(kubectl.wait_with_output(), feeding);
        let output = output?;
        ensure!(
            output.status.success(),
            "the API server would not take it: {}",
            last_lines(&output.stderr)
        );
        let said: Value =
            serde_json::from_slice(&output.stdout).context("kubectl does not answer with JSON")?;
        Ok(match said {
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                match list.remove("items") {
                    Some(Value::Array(items)) => items,
                    _ => Vec::new(),
                }
            }
            one => vec![one],
        })
    }

    /// What the installed controller is started with: a dry run with other
    /// flags would be that of another controller.
    async fn arguments(&self) -> Vec<String> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), NAME);
        let Ok(Some(deployment)) = deployments.get_opt(NAME).await else {
            return Vec::new();
        };
        let pod = deployment.spec.and_then(|spec| spec.template.spec);
        let container = pod.and_then(|pod| pod.containers.into_iter().next());
        container.and_then(|first| first.args).unwrap_or_default()
    }
}

/// An object as people call it.
fn named(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]);
    let name = text(&object["metadata"]["name"]);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The end of what a program said, in one line.
fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_and_errors_in_words() {
        let ingress =
            json!({ "kind": "Ingress", "metadata": { "namespace": "shop", "name": "web" } });
        assert_eq!(named(&ingress), "Ingress shop/web");
        let class = json!({ "kind": "IngressClass", "metadata": { "name": "alb" } });
        assert_eq!(named(&class), "IngressClass alb");
        assert_eq!(last_lines(b"1\n2\n\n3\n4\n5\n6\n"), "2; 3; 4; 5; 6");
        assert_eq!(last_lines(b""), "");
    }
}
