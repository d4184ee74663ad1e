//! The build of the control plane's programs from the Go module registry:
//! the recipe, which pins every module, and the toolchain. May run Go and
//! write to the folder that it is given; promises that the result appears
//! there as a whole or not at all.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::binaries::Program;
use crate::terminal::Terminal;

const GO_MOD: &str = include_str!("../../control-plane/go.mod");
const GO_SUM: &str = include_str!("../../control-plane/go.sum");
const TOOLS_GO: &str = include_str!("../../control-plane/tools.go");

/// How many of Go's last lines stand in the message of a build that failed.
const LINES_OF_FAILURE: usize = 25;

/// Builds all programs in `cache` and puts them under `target` when they are
/// complete. The caller holds the lock of the cache.
pub(super) async fn build(
    go: &Go,
    cache: &Path,
    target: &Path,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    remove_unfinished(cache, target)?;
    let work = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(cache)
        .with_context(|| format!("cannot create a folder in {}", cache.display()))?;
    for (name, text) in [
        ("go.mod", GO_MOD),
        ("go.sum", GO_SUM),
        ("tools.go", TOOLS_GO),
    ] {
        fs::write(work.path().join(name), text)
            .with_context(|| format!("cannot write {name} in {}", work.path().display()))?;
    }
    let bin = work.path().join("bin");
    fs::create_dir(&bin)?;

    terminal.line(&format!(
        "building the Kubernetes control plane (Kubernetes {}, etcd {}, {}): once, about 8 minutes \
         on 2 cores; later starts take it from {}",
        pinned("k8s.io/kubernetes"),
        pinned("go.etcd.io/etcd/server/v3"),
        go.version,
        target.display(),
    ));
    let start = Instant::now();
    for (index, program) in Program::ALL.into_iter().enumerate() {
        let mut compile = Go::command(work.path());
        compile
            .args(["build", "-v", "-trimpath", "-ldflags"])
            .arg(link_flags())
            .arg("-o")
            .arg(bin.join(program.name()))
            .arg(program.package());
        let title = format!(
            "{} ({} of {})",
            program.name(),
            index + 1,
            Program::ALL.len()
        );
        step(&title, compile, terminal).await?;
    }
    fs::rename(&bin, target).with_context(|| format!("cannot create {}", target.display()))?;
    terminal.line(&format!(
        "the control plane is built, in {} s",
        start.elapsed().as_secs()
    ));
    Ok(())
}

/// What a build left that was killed. The caller holds the lock, so that no
/// other build is at work.
fn remove_unfinished(cache: &Path, target: &Path) -> anyhow::Result<()> {
    if target.exists() {
        fs::remove_dir_all(target)
            .with_context(|| format!("cannot remove the incomplete {}", target.display()))?;
    }
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(".building-")
        {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Runs one command of the build. Go names each package that it compiles on a
/// line of its own, and their number is the progress that is shown; with few
/// of them to do, since the others are cached, it stays low.
async fn step(title: &str, mut command: Command, terminal: &mut Terminal) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the Go toolchain")?;
    let stderr = child.stderr.take().context("Go has no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut last = VecDeque::new();
    let mut count = 0_usize;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    terminal.line(&format!("  {title} ..."));
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    // Downloads are told in lines of the same kind.
                    count += usize::from(!line.starts_with("go: "));
                    if last.len() == LINES_OF_FAILURE {
                        last.pop_front();
                    }
                    last.push_back(line);
                }
                None => break,
            },
            _ = tick.tick() => terminal.status(&format!(
                "  {title}: {count} packages compiled, {} s", start.elapsed().as_secs()
            )),
        }
    }
    let status = child.wait().await?;
    if !status.success() {
        let said: Vec<_> = last.into();
        bail!(
            "the build of {title} failed ({status}); Go said last:\n{}\n\
             Without a connection to the Go module registry, pass --control-plane-bin DIR \
             with ready binaries.",
            said.join("\n")
        );
    }
    terminal.line(&format!(
        "  {title}: done in {} s",
        start.elapsed().as_secs()
    ));
    Ok(())
}

/// The Go toolchain that the build uses.
pub(super) struct Go {
    version: String,
    platform: String,
}

impl Go {
    /// Asks the toolchain in the search path what it is; none if there is no
    /// such program.
    pub(super) async fn find() -> anyhow::Result<Option<Self>> {
        let here = tempfile::tempdir()?;
        // With a go.mod of this version, Go itself chooses the toolchain that
        // it will build with, or says that it is too old.
        fs::write(
            here.path().join("go.mod"),
            format!("module version\n\ngo {}\n", pinned("go")),
        )?;
        let output = match Self::bare_command(here.path())
            .args(["env", "GOVERSION", "GOHOSTOS", "GOHOSTARCH"])
            .output()
            .await
        {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("cannot start the Go toolchain"),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<_> = text.split_whitespace().collect();
        match words[..] {
            [version, system, processor] if output.status.success() => Ok(Some(Self {
                version: version.to_owned(),
                platform: format!("{system}-{processor}"),
            })),
            _ => bail!(
                "the Go toolchain does not serve to build the control plane: expected Go {} or \
                 later, it said: {}{}",
                pinned("go"),
                text.trim(),
                String::from_utf8_lossy(&output.stderr).trim(),
            ),
        }
    }

    /// Names what the binaries were built from and with.
    pub(super) fn key(&self) -> String {
        format!("{}_{}_{}", recipe_key(), self.version, self.platform)
    }

    fn command(folder: &Path) -> Command {
        let mut command = Self::bare_command(folder);
        command
            .env("CGO_ENABLED", "0")
            // Only the pinned versions, whatever the user's own settings say.
            .env("GOFLAGS", "-mod=readonly -buildvcs=false");
        command
    }

    fn bare_command(folder: &Path) -> Command {
        let mut command = Command::new("go");
        command
            .current_dir(folder)
            .env("GOWORK", "off")
            .env_remove("GOFLAGS")
            .env_remove("GOOS")
            .env_remove("GOARCH");
        command
    }
}

/// Names the versions, and by a hash everything else that the result depends
/// on besides the toolchain.
pub(super) fn recipe_key() -> String {
    let mut hash = Sha256::new();
    for part in [GO_MOD, GO_SUM, TOOLS_GO, &link_flags()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!(
        "kubernetes-{}_etcd-{}_{}",
        pinned("k8s.io/kubernetes"),
        pinned("go.etcd.io/etcd/server/v3"),
        &hex::encode(hash.finalize())[..10],
    )
}

/// No symbol table, and the version stamps that a release has: clients decide
/// by the server's version.
fn link_flags() -> String {
    let version = pinned("k8s.io/kubernetes");
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    let mut flags = String::from("-s -w");
    for (name, value) in [
        ("gitVersion", version),
        ("gitMajor", major),
        ("gitMinor", minor),
        ("gitTreeState", "clean"),
    ] {
        flags.push_str(" -X k8s.io/component-base/version.");
        flags.push_str(name);
        flags.push('=');
        flags.push_str(value);
    }
    flags
}

/// The version that go.mod gives for a module, or for `go` itself.
pub(super) fn pinned(module: &str) -> &'static str {
    GO_MOD
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .find(|(name, _)| *name == module)
        .map_or("", |(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_pins_the_versions_that_the_readme_names() {
        assert_eq!(pinned("k8s.io/kubernetes"), "v1.36.3");
        assert_eq!(pinned("go.etcd.io/etcd/server/v3"), "v3.6.8");
        assert!(pinned("go").starts_with("1."));
        assert!(link_flags().contains("gitVersion=v1.36.3 "));
        assert!(link_flags().contains("gitMinor=36 "));
    }

    #[test]
    fn tools_go_imports_each_program() {
        for program in Program::ALL {
            assert!(TOOLS_GO.contains(&format!("_ \"{}\"", program.package())));
        }
    }
}
