//! The account is pure: no I/O, no clock, no chance.

use std::{fs, path::Path};

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

#[test]
fn the_state_touches_nothing() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for word in FORBIDDEN {
                assert!(!text.contains(word), "{} uses {word}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20);
}
