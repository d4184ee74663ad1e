//! `sandbox up` as others use it: by its env file and by signals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sandbox::web;
use sandbox_aws::dns::lookup;
use tokio::process::{Child, Command};

use crate::processes;

/// A bare sandbox in a process of its own.
struct Up {
    child: Child,
    env_file: PathBuf,
    variables: BTreeMap<String, String>,
    _folder: tempfile::TempDir,
}

impl Up {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let env_file = folder.path().join("sandbox.env");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
            .args(["up", "--bare", "--env-file"])
            .arg(&env_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&env_file) {
                break text;
            }
            assert_eq!(child.try_wait().unwrap(), None, "it ended before it was up");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        let variables = text
            .lines()
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            child,
            env_file,
            variables,
            _folder: folder,
        }
    }

    /// The temporary folder of the sandbox.
    fn data(&self) -> PathBuf {
        let kubeconfig = Path::new(&self.variables["KUBECONFIG"]);
        kubeconfig.parent().unwrap().to_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_leads_to_a_cluster_that_answers_and_a_signal_ends_it() {
    let mut up = Up::start().await;
    let expected = [
        "AWS_ACCESS_KEY_ID",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_VPC_ID",
        "CLUSTER_NAME",
        "KUBECONFIG",
        "KUBECTL",
        "SANDBOX_DNS",
    ];
    assert!(up.variables.keys().eq(expected));
    assert!(up.variables.values().all(|value| !value.is_empty()));
    let output = Command::new(&up.variables["KUBECTL"])
        .args(["get", "--raw", "/readyz"])
        .envs(&up.variables)
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok", "{output:?}");

    let calls: Vec<serde_json::Value> = web::sim(&up.variables["AWS_ENDPOINT_URL"], "/_sim/calls")
        .await
        .unwrap();
    assert_eq!(calls, Vec::<serde_json::Value>::new());
    assert!(up.variables["AWS_VPC_ID"].starts_with("vpc-"));
    let dns = up.variables["SANDBOX_DNS"].parse().unwrap();
    let answer = lookup(dns, "example.com", "NS").await.unwrap();
    assert_eq!(answer.status(), "NOERROR");

    let data = up.data();
    up.signal(Signal::TERM);
    let status = up.child.wait().await.unwrap();
    assert!(status.success(), "{status}");
    assert!(!up.env_file.exists());
    assert!(!data.exists());
    assert_eq!(processes::that_name(&data), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_killed_outright_leaves_nothing_behind() {
    let mut up = Up::start().await;
    let data = up.data();
    assert_eq!(processes::that_name(&data).len(), 2);
    up.signal(Signal::KILL);
    up.child.wait().await.unwrap();
    processes::eventually("no process and no folder is left", async || {
        processes::that_name(&data).is_empty() && !data.exists()
    })
    .await;
}
