//! The demo fails where the controller is not there.

use std::process::Stdio;

use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_controller_the_demo_fails() {
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["demo", "--once", "--no-controller"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("demo: only 0 of "), "{told}");
}
