//! Claims of the documents, checked by machine. `UPDATE_DOCS=1` writes the
//! generated tables anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use alb_ingress_controller::aws::operations;
use alb_ingress_controller::config::flags_markdown;
use alb_ingress_controller::model::annotations::annotations_markdown;
use alb_ingress_controller::report::GroupState;
use alb_ingress_controller::telemetry::{Metrics, Now};
use serde_json::Value;

use crate::support::Scene;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// Compares the part of the README between two marks with what is generated.
fn generated(mark: &str, text: &str) {
    let readme = read("README.md");
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let (before, rest) = readme.split_once(&begin).unwrap();
    let (there, after) = rest.split_once(&end).unwrap();
    let text = format!("\n{}\n\n", text.trim());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let readme = format!("{before}{begin}{text}{end}{after}");
        std::fs::write(path("README.md"), readme).unwrap();
    } else {
        assert_eq!(there, text, "run the test again with UPDATE_DOCS=1");
    }
}

#[test]
fn the_tables_of_the_readme_are_those_of_the_program() {
    generated("annotations", &annotations_markdown());
    generated("flags", &flags_markdown());
}

#[test]
fn the_iam_policy_allows_exactly_what_is_called() {
    let policy: Value = serde_json::from_str(&read("deploy/iam-policy.json")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let allowed: BTreeSet<&str> = statements
        .iter()
        .flat_map(|statement| statement["Action"].as_array().unwrap())
        .map(|action| action.as_str().unwrap())
        .collect();
    let needed: BTreeSet<&str> = operations::ALL
        .iter()
        .flat_map(|operation| operation.actions.iter().copied())
        .collect();
    assert_eq!(allowed, needed);
}

#[test]
fn every_write_that_makes_or_tags_is_conditional() {
    let policy: Value = serde_json::from_str(&read("deploy/iam-policy.json")).unwrap();
    let conditional = |action: &str| {
        let statements = policy["Statement"].as_array().unwrap();
        statements
            .iter()
            .filter(|statement| {
                statement["Action"]
                    .as_array()
                    .unwrap()
                    .contains(&action.into())
            })
            .all(|statement| !statement["Condition"].is_null())
    };
    for action in [
        "ec2:CreateTags",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteTags",
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:CreateTargetGroup",
        "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup",
        "iam:CreateServiceLinkedRole",
    ] {
        assert!(conditional(action), "{action}");
    }
}

#[test]
fn the_alerts_ask_for_metrics_and_states_that_there_are() {
    let metrics = Metrics::new();
    metrics.aws_call("ec2", "CreateTags", "Throttling", 0.1);
    metrics.drift_found("slow", "rule");
    let states = [GroupState::Failing.as_str().to_owned()];
    metrics.set(&Now {
        groups: states.iter().map(|state| (state.clone(), 1)).collect(),
        findings: BTreeMap::from([("InvalidAnnotation".to_owned(), 1)]),
        ..Now::default()
    });
    let page = metrics.render();
    let alerts = read("deploy/alerts.yaml");
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let asked: BTreeSet<&str> = alerts
        .split(word)
        .filter(|name| name.starts_with("alb_ingress_"))
        .collect();
    assert!(asked.len() >= 4, "{asked:?}");
    for name in asked {
        assert!(
            page.contains(&format!("\n{name}")),
            "no metric {name}:\n{page}"
        );
    }
    let states_asked = alerts.split("state=\"").skip(1);
    for state in states_asked.map(|rest| rest.split('"').next().unwrap()) {
        assert!(
            page.contains(&format!("state=\"{state}\"")),
            "no state {state}"
        );
    }
}

#[test]
fn one_rust_version_is_named_everywhere() {
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap()
        .trim_matches('"');
    assert!(read("README.md").contains(&format!("Rust ({version} or newer)")));
    let image = read("Dockerfile");
    let image = image.split("FROM rust:").nth(1).unwrap();
    let image = image.split('-').next().unwrap();
    let number = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap());
        (parts.next().unwrap(), parts.next().unwrap())
    };
    assert!(number(image) >= number(version), "{image} < {version}");
}

/// The first block of YAML in the README.
fn smallest_ingress() -> String {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_ingress_of_the_readme_works_and_the_manifests_are_accepted() {
    let scene = Scene::alone("shop").await;
    let _controller = scene.controller(&["--ingress-class=alb"]).await;
    scene.service("shop", "web", &["10.0.48.21"]).await;
    scene.apply(&smallest_ingress()).await;
    scene.address("shop", "web").await;
    scene
        .eventually("kubectl get alb shows it", async || {
            let shown = scene.kubectl(&["get", "alb"]).await;
            if shown.contains("shop/web") && shown.contains("Serving") {
                Ok(())
            } else {
                Err(shown)
            }
        })
        .await;
    scene.delete(&smallest_ingress()).await;
    scene.gone("shop", "web").await;
    scene.empty().await;

    scene.namespace("alb-ingress-controller").await;
    for manifest in ["rbac", "deployment", "ingressclass", "default-http-backend"] {
        let file = path(&format!("deploy/{manifest}.yaml"));
        let file = file.to_str().unwrap();
        scene
            .kubectl(&["apply", "--dry-run=server", "-f", file])
            .await;
    }
}
