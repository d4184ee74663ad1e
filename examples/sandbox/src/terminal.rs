//! Progress for the person who waits: whole lines, and one line that is
//! rewritten in place where the output is a terminal. May write to standard
//! error and to the controlling terminal; never fails, since progress that
//! cannot be shown is no reason to stop.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Where a status line cannot be rewritten, it is printed this often at most.
const STATUS_INTERVAL: Duration = Duration::from_secs(30);

/// The place where progress is shown.
///
/// Standard error where that is a terminal. Else the controlling terminal,
/// since test runners capture or redirect standard error and a build of
/// minutes must not look like a hang. Without any terminal, standard error.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    rewrites: bool,
    status_shown: bool,
    status_at: Option<Instant>,
}

impl Terminal {
    /// Opens the place where progress is shown.
    pub fn open() -> Self {
        if std::io::stderr().is_terminal() {
            return Self::new(Box::new(std::io::stderr()), true);
        }
        match OpenOptions::new().write(true).open("/dev/tty") {
            Ok(tty) => Self::new(Box::new(tty), true),
            Err(_) => Self::new(Box::new(std::io::stderr()), false),
        }
    }

    fn new(out: Box<dyn Write + Send>, rewrites: bool) -> Self {
        Self {
            out,
            rewrites,
            status_shown: false,
            status_at: None,
        }
    }

    /// Prints a line that stays.
    pub fn line(&mut self, text: &str) {
        let clear = if self.status_shown { "\r\x1b[K" } else { "" };
        self.status_shown = false;
        self.status_at = None;
        self.write(&format!("{clear}{text}\n"));
    }

    /// Shows what is going on now; the next line or status replaces it.
    pub fn status(&mut self, text: &str) {
        if self.rewrites {
            self.status_shown = true;
            self.write(&format!("\r\x1b[K{text}"));
            return;
        }
        let now = Instant::now();
        match self.status_at {
            // The line before the first status says enough for a while.
            None => self.status_at = Some(now),
            Some(at) if now.duration_since(at) >= STATUS_INTERVAL => {
                self.status_at = Some(now);
                self.write(&format!("{text}\n"));
            }
            Some(_) => {}
        }
    }

    fn write(&mut self, text: &str) {
        // A closed terminal must not end a build; see the module's promise.
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }
}

/// Prints what a command answers to standard output. Nobody needs to read it:
/// the sandbox runs on when the other end of a pipe is closed.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl Shown {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_shows_the_status_in_place_and_the_line_replaces_it() {
        let shown = Shown::default();
        let mut terminal = Terminal::new(Box::new(shown.clone()), true);
        terminal.line("begin");
        terminal.status("1 s");
        terminal.status("2 s");
        terminal.line("done");
        assert_eq!(shown.text(), "begin\n\r\x1b[K1 s\r\x1b[K2 s\r\x1b[Kdone\n");
    }

    #[test]
    fn a_log_is_not_flooded_with_statuses() {
        let shown = Shown::default();
        let mut terminal = Terminal::new(Box::new(shown.clone()), false);
        terminal.line("begin");
        for second in 0..20 {
            terminal.status(&format!("{second} s"));
        }
        terminal.line("done");
        assert_eq!(shown.text(), "begin\ndone\n");
    }
}
