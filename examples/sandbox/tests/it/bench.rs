//! `sandbox bench` as a person uses it; the figures are counts, times are not
//! asserted.

use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn the_smallest_size_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["bench", "--groups", "1", "--json"])
        .arg(&json)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    let figures: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let cases = figures[0]["cases"].as_array().unwrap();
    let writes = |name: &str| {
        assert!(table.contains(name), "{table}");
        let case = cases.iter().find(|case| case["case"] == name);
        let case = case.unwrap_or_else(|| panic!("no case {name}: {figures:#}"));
        assert!(case["memory_mb"].as_f64().unwrap() > 0.0);
        case["writes"].as_u64().unwrap()
    };
    assert!(writes("create all") >= 22, "{table}");
    assert_eq!(writes("nothing changed"), 0, "{table}");
    assert_eq!(writes("one edit (a rule)"), 1, "{table}");
    assert_eq!(writes("one pod"), 1, "{table}");
    assert_eq!(writes("restart"), 0, "{table}");
    assert_eq!(writes("an edit 1 s after a restart"), 1, "{table}");
}

#[tokio::test]
async fn a_controller_that_ends_is_told_with_the_end_of_its_log() {
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["bench", "--groups", "1", "--latency", "0"])
        .args(["--controller", "sh -c 'echo no such cluster; exit 3'"])
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("no such cluster"), "{said}");
}
