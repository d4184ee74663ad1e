//! `sandbox bench-aws`, small. How fast it is depends on the machine and is not
//! looked at.

use std::process::Command;

#[test]
fn a_small_account_is_measured_and_told_as_json() {
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["bench-aws", "--load-balancers", "3", "--seconds", "1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{problems}");
    assert!(text.starts_with("3 load balancers, 15 target groups, 30 rules"));
    let json: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(json["target_groups"], 15);
    assert!(json["calls"].as_u64().unwrap() > 0);
    assert!(json["requests"].as_u64().unwrap() > 0);
    assert!(json["start_ms"].as_f64().unwrap() > 0.0);
}
