//! The demo goes through where the controller does its work, and fails where
//! it is not there.

use std::process::Stdio;

use tokio::process::Command;

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
