//! `sandbox up` as others use it: by its env file and by signals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hyper::Uri;
use rustix::process::{Pid, Signal, kill_process};
use sandbox::web::{self, Listener};
use sandbox_aws::dns::lookup;
use tokio::process::{Child, Command};

use crate::processes;

/// A sandbox in a process of its own.
pub struct Up {
    child: Child,
    env_file: PathBuf,
    /// Those of the env file.
    pub variables: BTreeMap<String, String>,
    folder: tempfile::TempDir,
}

impl Up {
    pub async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let env_file = folder.path().join("sandbox.env");
        let printed = std::fs::File::create(folder.path().join("printed")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
            .arg("up")
            .args(arguments)
            // As people write it: relative to where they are.
            .args(["--env-file", "sandbox.env"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(printed)
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
            folder,
        }
    }

    /// All that it has printed for people.
    async fn printed(&self) -> String {
        let file = self.folder.path().join("printed");
        let read = || std::fs::read_to_string(&file).unwrap();
        processes::eventually("all is printed", async || {
            read().contains("# Logs and data")
        })
        .await;
        read()
    }

    /// Runs printed lines in a shell, those left out whose program this
    /// machine may not have; answers what they print.
    async fn paste(&self, lines: &str) -> String {
        let there = |line: &&str| !line.starts_with("dig ") && !line.starts_with("cargo ");
        let lines: Vec<&str> = lines.lines().filter(there).collect();
        let output = Command::new("sh")
            .args(["-ec", &lines.join("\n")])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            // kubectl keeps a cache there.
            .env("HOME", self.folder.path())
            .current_dir("/")
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{lines:#?}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs kubectl; answers what it prints.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.variables["KUBECTL"])
            .args(arguments)
            .envs(&self.variables)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{arguments:?}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The temporary folder of the sandbox.
    fn data(&self) -> PathBuf {
        let kubeconfig = Path::new(&self.variables["KUBECONFIG"]);
        kubeconfig.parent().unwrap().to_owned()
    }

    /// Ends it in an orderly way.
    pub async fn end(&mut self) {
        self.signal(Signal::TERM);
        assert!(self.child.wait().await.unwrap().success());
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_leads_to_a_cluster_that_answers_and_a_signal_ends_it() {
    let mut up = Up::start(&["--bare"]).await;
    let expected = [
        "AWS_ACCESS_KEY_ID",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_VPC_ID",
        "CLUSTER_NAME",
        "KUBECONFIG",
        "KUBECTL",
        "SANDBOX_CONSOLE",
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
    let mut up = Up::start(&["--bare"]).await;
    let data = up.data();
    assert_eq!(processes::that_name(&data).len(), 2);
    up.signal(Signal::KILL);
    up.child.wait().await.unwrap();
    processes::eventually(
        "no process, no folder and no env file is left",
        async || processes::that_name(&data).is_empty() && !data.exists() && !up.env_file.exists(),
    )
    .await;
}

/// Lines of a printed text without the first one, which is no line for a shell.
fn to_paste(printed: &str) -> &str {
    printed.split_once('\n').unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_a_bare_sandbox_prints_make_it_ready_for_a_controller() {
    let up = Up::start(&["--bare"]).await;
    let printed = up.printed().await;
    up.paste(to_paste(&printed)).await;
    // Nothing is offered that only the full sandbox has.
    assert!(!printed.contains("game"), "{printed}");
    assert!(printed.contains("nobody plays them"), "{printed}");
    let shown = Command::new(&up.variables["KUBECTL"])
        .args(["get", "crd,ingressclass", "-o", "name"])
        .envs(&up.variables)
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let names: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.split_once('/'))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["ingressgroups.ingress.k8s.aws", "alb"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_a_full_sandbox_prints_put_the_game_into_a_browser() {
    let mut up = Up::start(&[]).await;
    let printed = up.printed().await;
    let told = up.paste(to_paste(&printed)).await;
    assert!(
        told.contains("ingress.networking.k8s.io/game created"),
        "{told}"
    );
    let url = printed
        .lines()
        .find_map(|line| line.strip_prefix("# In a browser: "));
    let page = async || {
        let mut url: Uri = url.unwrap().parse().unwrap();
        for _ in 0..3 {
            let gateway = Listener::plain(([127, 0, 0, 1], url.port_u16().unwrap()).into());
            let answer = web::get(&gateway, url.host().unwrap(), url.path()).await;
            let Ok(answer) = answer else {
                return false;
            };
            match answer.header("location") {
                "" => return answer.body.contains("<title>2048</title>"),
                next => url = next.parse().unwrap(),
            }
        }
        false
    };
    processes::eventually("the game is served", page).await;
    let alb = up.paste(to_paste(&printed)).await;
    assert!(alb.contains("Serving"), "{alb}");
    up.end().await;
}
