//! `sandbox bench` as a person uses it; the figures are counts, times are not
//! asserted.

use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn the_smallest_size_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    // The other controller is ours again, but it comes as any other would: by a
    // command line, and it does not run without what its manifests bring.
    let manifest = folder.path().join("other.yaml");
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: of-the-other}}";
    std::fs::write(&manifest, namespace).unwrap();
    let other = folder.path().join("other-controller");
    let script = format!(
        "#!/bin/sh\nset -e\n$KUBECTL get namespace of-the-other\n\
         test $CLUSTER_NAME:$AWS_VPC_ID = $1\n\
         exec {} controller --bind-address=127.0.0.1 --port=0 --disable-route53\n",
        env!("CARGO_BIN_EXE_sandbox"),
    );
    std::fs::write(&other, script).unwrap();
    let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&other, may_run).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["bench", "--groups", "1", "--controller"])
        .arg(format!("{} $CLUSTER_NAME:$AWS_VPC_ID", other.display()))
        .arg("--manifests")
        .arg(&manifest)
        .arg("--json")
        .arg(&json)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    let figures: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let names = ["alb-ingress-controller", "other-controller"];
    for (figures, name) in figures.as_array().unwrap().iter().zip(names) {
        assert_eq!(figures["controller"], name);
        let cases = figures["cases"].as_array().unwrap();
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
        assert_eq!(writes("50 edits, one by one"), 50, "{table}");
        assert_eq!(writes("one pod"), 1, "{table}");
        assert_eq!(writes("restart"), 0, "{table}");
        assert_eq!(writes("edit 1 s after restart"), 1, "{table}");
        // Of one group it takes less than a millisecond; that it was found is
        // what counts.
        assert!(figures["model_ms"].is_u64(), "{figures:#}");
        assert!(
            figures["edit_cpu_ms"].as_f64().unwrap() > 0.0,
            "{figures:#}"
        );
    }
    assert_eq!(figures.as_array().unwrap().len(), names.len());
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
