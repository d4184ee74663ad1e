//! What the system says about processes.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The command lines of all processes that name `folder`, without those that
/// only watch over it.
pub fn that_name(folder: &Path) -> Vec<String> {
    all()
        .into_iter()
        .map(|(_, line)| line)
        .filter(|line| line.contains(&folder.display().to_string()))
        .filter(|line| !line.contains("sandbox-watchdog"))
        .collect()
}

/// Kills the etcd whose data is in `folder`.
pub fn kill_etcd_of(folder: &Path) {
    let mark = format!("--data-dir={}", folder.display());
    let (pid, _) = all()
        .into_iter()
        .find(|(_, line)| line.contains(&mark))
        .unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// Waits until something holds; panics with `expected` after a minute.
pub async fn eventually(expected: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(Instant::now() < deadline, "not within a minute: {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn all() -> Vec<(Pid, String)> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            Some((pid, String::from_utf8_lossy(&line).replace('\0', " ")))
        })
        .collect()
}
