//! What containers wrote, kept for `kubectl logs`.
//!
//! Each run of a container has a [`Log`] of its own: the last lines in memory
//! and, for real processes, a file in the sandbox's folder that is started
//! anew when it grows too long. The log of the run before stays until the
//! next restart.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

/// Lines of a run that are kept in memory.
const LINES: usize = 20_000;
/// Bytes after which the file of a run is started anew.
const FILE_BYTES: u64 = 16 << 20;

/// A line and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Place in the log, counted from 0 at its start.
    pub number: u64,
    /// When the line was written.
    pub at: Timestamp,
    /// The line without its end.
    pub text: String,
}

/// What one run of a container wrote. Cheap to clone; clones are one log.
#[derive(Debug, Clone)]
pub struct Log {
    lines: Arc<Mutex<Lines>>,
    progress: watch::Sender<Progress>,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number that the next line gets.
    pub next: u64,
    /// No line follows.
    pub ended: bool,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Line>,
    next: u64,
    file: Option<(PathBuf, File, u64)>,
}

impl Default for Log {
    fn default() -> Self {
        Self::in_memory()
    }
}

impl Log {
    /// A log without a file.
    pub fn in_memory() -> Self {
        Self {
            lines: Arc::default(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// A log that also writes to a new file at `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn with_file(path: PathBuf) -> std::io::Result<Self> {
        let log = Self::in_memory();
        let file = File::create(&path)?;
        log.lines().file = Some((path, file, 0));
        Ok(log)
    }

    /// Adds a line.
    pub fn line(&self, text: &str) {
        let next = {
            let mut lines = self.lines();
            let number = lines.next;
            lines.next += 1;
            if lines.kept.len() == LINES {
                lines.kept.pop_front();
            }
            lines.kept.push_back(Line {
                number,
                at: Timestamp::now(),
                text: text.to_owned(),
            });
            lines.write_to_file(text);
            lines.next
        };
        self.progress.send_modify(|progress| progress.next = next);
    }

    /// Says that no line follows, which ends `kubectl logs -f`.
    pub fn end(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// The lines from `number` on that are still kept.
    pub fn since(&self, number: u64) -> Vec<Line> {
        let lines = self.lines();
        let first = lines.kept.front().map_or(lines.next, |line| line.number);
        let skip = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
        lines.kept.iter().skip(skip).cloned().collect()
    }

    /// The number of the first of the last `count` lines.
    pub fn tail(&self, count: u64) -> u64 {
        self.lines().next.saturating_sub(count)
    }

    /// To wait for further lines.
    pub fn follow(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// A file that fails is given up: the memory still serves `kubectl logs`.
    fn write_to_file(&mut self, text: &str) {
        let Some((path, file, written)) = &mut self.file else {
            return;
        };
        if *written > FILE_BYTES {
            let Ok(fresh) = File::create(&*path) else {
                self.file = None;
                return;
            };
            (*file, *written) = (fresh, 0);
        }
        *written += text.len() as u64 + 1;
        if writeln!(file, "{text}").is_err() {
            self.file = None;
        }
    }
}

/// Which container of which pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerName {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container in it.
    pub container: String,
}

#[derive(Debug, Default)]
struct Runs {
    current: Log,
    previous: Option<Log>,
}

/// The logs of all containers of the played kubelet.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    runs: Arc<Mutex<HashMap<ContainerName, Runs>>>,
}

impl Logs {
    /// Puts the log of a new run in the place of the one before.
    pub fn begin(&self, container: &ContainerName, log: Log) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runs) = runs.get_mut(container) {
            runs.current.end();
            runs.previous = Some(std::mem::replace(&mut runs.current, log));
        } else {
            let first = Runs {
                current: log,
                previous: None,
            };
            runs.insert(container.clone(), first);
        }
    }

    /// The log of the present run, or of the one before it.
    pub fn of(&self, container: &ContainerName, previous: bool) -> Option<Log> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = runs.get(container)?;
        if previous {
            runs.previous.clone()
        } else {
            Some(runs.current.clone())
        }
    }

    /// Forgets a container; whoever follows its log sees the end.
    pub fn forget(&self, container: &ContainerName) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runs) = runs.remove(container) {
            runs.current.end();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_log_keeps_its_last_lines_by_number() {
        let log = Log::in_memory();
        for number in 0..LINES + 5 {
            log.line(&number.to_string());
        }
        let kept = log.since(0);
        assert_eq!(kept.len(), LINES);
        assert_eq!(kept[0].text, "5");
        assert_eq!(texts(&log.since(log.tail(2))), ["20003", "20004"]);
        assert!(log.since(u64::MAX).is_empty());
    }

    #[test]
    fn a_restart_keeps_the_run_before() {
        let logs = Logs::default();
        let name = ContainerName {
            namespace: "a".to_owned(),
            pod: "b".to_owned(),
            container: "c".to_owned(),
        };
        assert!(logs.of(&name, false).is_none());
        let first = Log::in_memory();
        logs.begin(&name, first.clone());
        first.line("one");
        assert!(logs.of(&name, true).is_none());
        logs.begin(&name, Log::in_memory());
        assert_eq!(texts(&logs.of(&name, true).unwrap().since(0)), ["one"]);
        assert!(first.follow().borrow().ended);
        logs.forget(&name);
        assert!(logs.of(&name, false).is_none());
    }

    #[test]
    fn the_file_has_what_the_memory_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::with_file(path.clone()).unwrap();
        log.line("one");
        log.line("two");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    }
}
