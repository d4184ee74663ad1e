//! The end of everything that the sandbox starts, whatever way the sandbox
//! itself ends. May start processes; promises that none of them, and nothing
//! of the data folder, is there a second after the sandbox is gone.
//!
//! The promise must hold when the sandbox is killed outright, so that nothing
//! in this process can keep it. All children are in one process group, and a
//! shell outside of it reads from a pipe whose other end only the sandbox
//! holds. The kernel closes that end with the sandbox; then the shell kills
//! the group and removes the folder. The same happens at an orderly stop, so
//! that there is one way of ending. (The signal that Linux sends on a parent's
//! death is of no use here: it comes when the thread ends that started the
//! child.)

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// Reads until the sandbox is gone, then removes the env file `$3`, ends the
/// group `$1` and removes the folder `$2`. An env file that does not lead to
/// that folder is a later sandbox's and stays. The group is killed twice: a
/// process that was being started when the sandbox died may join the group a
/// moment later.
const SCRIPT: &str = r#"
trap '' HUP INT TERM QUIT
while read -r line; do :; done
if [ -n "$3" ] && grep -qsF -- "KUBECONFIG=$2/" "$3"; then rm -f -- "$3"; fi
kill -s KILL -- "-$1" 2>/dev/null
sleep 0.1
kill -s KILL -- "-$1" 2>/dev/null
rm -rf -- "$2"
"#;

/// Ends the processes of the sandbox with the sandbox. Clones are the same
/// watchdog; when the last one is dropped, it acts.
#[derive(Clone, Debug)]
pub struct Watchdog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    group: i32,
    /// The end of the pipe that the kernel closes with this process.
    life: Mutex<Option<io::PipeWriter>>,
    processes: Mutex<Vec<Child>>,
}

impl Watchdog {
    /// Starts to watch over this process. When it ends, or after
    /// [`end`](Self::end), `folder` is removed, and `env_file` if it leads
    /// there.
    ///
    /// # Errors
    /// The system cannot start `sh` or `cat`, or the path of the env file is
    /// empty.
    pub fn start(folder: &Path, env_file: Option<&Path>) -> io::Result<Self> {
        // The shell works elsewhere.
        let env_file = env_file.map(std::path::absolute).transpose()?;
        let (reader, writer) = io::pipe()?;
        // Founds the group and lives as long as the sandbox, so that the
        // group's number cannot go to a stranger while children come and go.
        let founder = Command::new("cat")
            .stdin(Stdio::from(reader.try_clone()?))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let group = i32::try_from(founder.id()).map_err(io::Error::other)?;
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "sandbox-watchdog"])
            .arg(group.to_string())
            .arg(folder)
            .arg(env_file.unwrap_or_default())
            .current_dir("/")
            .stdin(Stdio::from(reader))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self(Arc::new(Inner {
            group,
            life: Mutex::new(Some(writer)),
            processes: Mutex::new(vec![founder, shell]),
        })))
    }

    /// Starts a process that ends with the sandbox. A signal from the
    /// terminal (Ctrl-C) does not reach it.
    ///
    /// # Errors
    /// Those of the command itself.
    pub fn spawn(&self, mut command: tokio::process::Command) -> io::Result<tokio::process::Child> {
        command.process_group(self.0.group).spawn()
    }

    /// Ends all processes and removes the folder now, and returns when that
    /// is done. Blocks for about a tenth of a second; may be called again.
    pub fn end(&self) {
        self.0.end();
    }
}

impl Inner {
    fn end(&self) {
        drop(lock(&self.life).take());
        for process in lock(&self.processes).iter_mut() {
            // Its exit status says nothing: the founder is killed.
            let _ = process.wait();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

/// A panic while the lock was held leaves nothing half done behind it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn the_end_of_the_watchdog_ends_children_that_ignore_signals() {
        let folder = tempfile::tempdir().unwrap().keep();
        let watchdog = Watchdog::start(&folder, None).unwrap();
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", "trap '' TERM INT HUP; sleep 600 & wait"]);
        let mut child = watchdog.spawn(command).unwrap();
        std::fs::write(folder.join("data"), "x").unwrap();
        tokio::task::spawn_blocking(move || watchdog.end())
            .await
            .unwrap();
        let status = child.wait().await.unwrap();
        assert!(!status.success());
        assert!(!folder.exists());
    }

    #[test]
    fn an_env_file_goes_with_the_sandbox_that_it_leads_to() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("sandbox.env");
        for (leads_to, stays) in [("", false), ("-another", true)] {
            let folder = tempfile::tempdir().unwrap().keep();
            let text = format!("KUBECONFIG={}{leads_to}/kubeconfig\n", folder.display());
            std::fs::write(&file, text).unwrap();
            Watchdog::start(&folder, Some(&file)).unwrap().end();
            assert_eq!(file.exists(), stays);
        }
    }
}
