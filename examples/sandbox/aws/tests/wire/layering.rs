//! The account is pure: no I/O, no clock, no chance.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FORBIDDEN: [&str; 9] = [
    "tokio",
    "axum",
    "hyper",
    "Timestamp::now",
    "Instant",
    "SystemTime",
    "std::env",
    "rand::",
    "crate::wire",
];

/// The files of a folder and of those inside of it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_state_touches_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state");
    let files = files(&folder);
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
    assert!(files.len() > 20);
}
