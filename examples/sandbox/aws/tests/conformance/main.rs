//! Runs the suite in `conformance/`, which is written in Python, against a
//! simulator in this process.
//!
//! Needs python3 with venv. Its packages are pinned in `requirements.txt` and
//! are installed once, into a virtual environment in the user's cache folder.
//! Where that cannot be done the suite is skipped, and says so, except when
//! `CI=true`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sandbox_aws::{Options, Simulator};
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

fn cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    base.join("alb-ingress-controller/python")
}

/// Runs a command; its output if it fails.
fn run(command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Err(error) => Err(format!("{command:?}: {error}")),
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!(
            "{command:?}: {}\n{}{}",
            done.status,
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        )),
    }
}

/// The interpreter of the virtual environment with the pinned packages.
fn python() -> Result<PathBuf, String> {
    let requirements = folder().join("requirements.txt");
    let pinned = fs::read(&requirements).map_err(|error| error.to_string())?;
    let name = hex::encode(&Sha256::digest(pinned)[..8]);
    let environment = cache().join(&name);
    let python = environment.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    // Made beside its place and moved there whole, so that an interrupted
    // installation is not taken for one.
    let making = cache().join(format!("{name}.{}", std::process::id()));
    fs::create_dir_all(cache()).map_err(|error| error.to_string())?;
    let made = run(Command::new("python3").args(["-m", "venv"]).arg(&making)).and_then(|()| {
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        run(Command::new(making.join("bin/python"))
            .args(pip)
            .arg(&requirements))
    });
    let moved = made.and_then(|()| match fs::rename(&making, &environment) {
        // Somebody else was faster.
        Err(_) if python.exists() => Ok(()),
        other => other.map_err(|error| error.to_string()),
    });
    let _ = fs::remove_dir_all(&making);
    moved.map(|()| python)
}

/// Past the capture of the test harness.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_in_python_passes() {
    let made = tokio::task::spawn_blocking(python).await.unwrap();
    let python = match made {
        Ok(python) => python,
        Err(problem) if env::var_os("CI").is_some_and(|ci| ci == "true") => {
            panic!("the conformance suite cannot run: {problem}")
        }
        Err(problem) => {
            say(&format!(
                "\nSKIPPED: the conformance suite of the AWS simulator. It needs python3 with venv, and its packages.\n{problem}"
            ));
            return;
        }
    };
    // Not the region of the clients, so that what is global is looked up across
    // regions, as with `sandbox aws`.
    let options = Options {
        dns: None,
        region: "us-west-2".to_owned(),
        ..Options::default()
    };
    let simulator = Simulator::start(options).await.unwrap();
    let endpoint = simulator.endpoint();
    let passed = tokio::task::spawn_blocking(move || {
        // Its output is not captured, so that failures show while others run.
        Command::new(python)
            .args(["-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"])
            .arg(folder())
            .env("SANDBOX_AWS_ENDPOINT_URL", endpoint)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .status()
    })
    .await
    .unwrap()
    .unwrap();
    assert!(passed.success(), "the conformance suite failed: see above");
    simulator.stop().await;
}
