//! The dependency rule of `src/lib.rs`, held by reading the sources: within
//! one crate the compiler does not hold it.

use std::fs;
use std::path::{Path, PathBuf};

/// A stage, what its code must not name, and why.
const FORBIDDEN: [(&str, &[&str]); 8] = [
    (
        "model",
        &[
            "kube::",
            "aws_",
            "tokio",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "std::env",
            "crate::plan",
            "crate::observe",
            "crate::apply",
            "crate::report",
            "crate::watch",
            "crate::aws",
        ],
    ),
    (
        "plan",
        &[
            "kube::",
            "k8s_openapi",
            "aws_",
            "tokio",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "std::env",
            "crate::observe",
            "crate::apply",
            "crate::report",
            "crate::watch",
            "crate::aws",
            "model::snapshot",
            "model::facts",
        ],
    ),
    (
        "watch",
        &[
            "aws_sdk",
            "aws_config",
            "crate::aws",
            "crate::plan",
            "crate::observe",
            "crate::apply",
            "crate::report",
        ],
    ),
    (
        "report",
        &[
            "aws_sdk",
            "aws_config",
            "crate::aws",
            "crate::observe",
            "crate::apply",
        ],
    ),
    (
        "observe",
        &[
            "kube::",
            "crate::plan",
            "crate::apply",
            "crate::report",
            "crate::watch",
        ],
    ),
    ("apply", &["kube::", "crate::report", "crate::watch"]),
    (
        "aws",
        &[
            "kube::",
            "k8s_openapi",
            "crate::model",
            "crate::plan",
            "crate::observe",
            "crate::apply",
            "crate::report",
            "crate::watch",
        ],
    ),
    ("model/spec.rs", &["use super", "use crate"]),
];

/// Rust files below a folder, or the file itself; none where it is not there.
fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let Ok(entries) = fs::read_dir(place) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Whether the line names the thing as a word of its own: `aws_` is not in
/// `may_aws_`, and `kube::` not in `mykube::`.
fn names(line: &str, thing: &str) -> bool {
    line.match_indices(thing).any(|(at, _)| {
        !line[..at]
            .chars()
            .next_back()
            .is_some_and(|before| before.is_alphanumeric() || before == '_' || before == '"')
    })
}

/// The line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

#[test]
fn left_may_use_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for (stage, forbidden) in FORBIDDEN {
        for file in sources(&root.join(stage)) {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                for thing in forbidden {
                    if names(code(line), thing) {
                        let file = file.strip_prefix(&root).unwrap().display();
                        broken.push(format!(
                            "src/{file}:{number} names {thing}: {}",
                            line.trim()
                        ));
                    }
                }
            }
        }
    }
    assert!(
        broken.is_empty(),
        "the dependency rule of src/lib.rs:\n{}",
        broken.join("\n")
    );
}

#[test]
fn the_pure_stages_are_there_to_be_looked_at() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for stage in ["model", "plan"] {
        assert!(sources(&root.join(stage)).len() > 5, "{stage} has moved");
    }
}

#[test]
fn words_are_told_apart() {
    assert!(names("use kube::Client;", "kube::"));
    assert!(names("let x = aws_sdk_ec2::Client;", "aws_"));
    assert!(!names("fn may_aws_do() {}", "aws_"));
    assert!(!names(code("// uses tokio"), "tokio"));
}
