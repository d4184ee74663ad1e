//! The demo goes through where the controller does its work, and fails where
//! it is not there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::processes;

/// Runs the demo to its end; answers the exit code and what it told.
async fn demo(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["demo", "--once"])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_of_the_demo_holds() {
    let (code, told) = demo(&[]).await;
    assert_eq!(code, Some(0), "{told}");
    let last = told.lines().last().unwrap();
    // demo: 22 of 22 claims hold in 20 s
    let words: Vec<&str> = last.split(' ').collect();
    let ["demo:", held, "of", all, "claims", "hold", "in", _, "s"] = words[..] else {
        panic!("no summary at the end:\n{told}");
    };
    assert_eq!(held, all, "{told}");
    assert!(all.parse::<usize>().unwrap() >= 20, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_controller_the_demo_fails() {
    let (code, told) = demo(&["--no-controller"]).await;
    assert_eq!(code, Some(1), "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("demo: only 0 of "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_once_it_stays_for_a_person_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("printed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&file).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let told = loop {
        let told = std::fs::read_to_string(&file).unwrap();
        if told.ends_with("/_sim/calls\n") {
            break told;
        }
        assert_eq!(child.try_wait().unwrap(), None, "it ended:\n{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (_, invitation) = told.split_once("It is yours now.").unwrap();
    assert!(
        invitation.contains("  http://game.example.com.localhost:"),
        "{invitation}"
    );

    // The lines for a shell; this machine may have no dig.
    let lines = invitation
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with("http") && !line.starts_with("dig "))
        .map(|line| line.replace("logs -f", "logs"));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let pasted = Command::new("sh")
        .args(["-ec", &lines])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        // kubectl keeps a cache there.
        .env("HOME", folder.path())
        .output()
        .await
        .unwrap();
    assert!(pasted.status.success(), "{lines}\n{pasted:?}");
    let answers = String::from_utf8(pasted.stdout).unwrap();
    for answer in [
        "arcade",
        "InvalidAnnotation",
        "ingress.networking.k8s.io/scores annotated",
        "deployment.apps/game scaled",
        "starting",
        "\"action\":",
    ] {
        assert!(answers.contains(answer), "{answer} not in\n{answers}");
    }

    let kubeconfig = lines
        .lines()
        .find_map(|line| line.strip_prefix("export KUBECONFIG="));
    let data = Path::new(kubeconfig.unwrap()).parent().unwrap();
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    assert!(child.wait().await.unwrap().success());
    assert!(!data.exists());
    assert_eq!(processes::that_name(data), Vec::<String>::new());
}
