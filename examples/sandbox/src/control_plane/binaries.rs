//! The programs of the control plane: found in a folder that the caller
//! names, or in the user's cache folder, or built into it from the Go module
//! registry. May run the Go toolchain and write to the cache folder; promises
//! that a folder of the cache is complete if it exists.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::terminal::Terminal;

const GO_MOD: &str = include_str!("../../control-plane/go.mod");
const GO_SUM: &str = include_str!("../../control-plane/go.sum");
const TOOLS_GO: &str = include_str!("../../control-plane/tools.go");

/// How many of Go's last lines stand in the message of a build that failed.
const LINES_OF_FAILURE: usize = 25;

/// A program of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The store of the API server.
    Etcd,
    /// The Kubernetes API server.
    ApiServer,
    /// Deployments, ReplicaSets, EndpointSlices, namespaces and the like.
    ControllerManager,
    /// Gives each Pod its Node.
    Scheduler,
    /// The command line of Kubernetes.
    Kubectl,
}

impl Program {
    /// All of them, the quickest to build first.
    pub const ALL: [Self; 5] = [
        Self::Etcd,
        Self::Kubectl,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
    ];

    /// Those that a bare control plane needs.
    pub const BARE: [Self; 3] = [Self::Etcd, Self::Kubectl, Self::ApiServer];

    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Scheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
        }
    }
}

/// A folder that holds the programs of the control plane.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Takes the programs from `ready`, a folder that has all of `needed`;
    /// without it from the user's cache folder, after building what is not
    /// there yet. Progress is shown on the terminal.
    ///
    /// # Errors
    /// A program is missing in `ready`; there is no Go toolchain, or one that
    /// is too old; the build failed. The message says what to do.
    pub async fn obtain(ready: Option<&Path>, needed: &[Program]) -> anyhow::Result<Self> {
        if let Some(folder) = ready {
            let missing = missing_in(folder, needed);
            if !missing.is_empty() {
                bail!(
                    "the folder of ready binaries {} lacks {}: expected there as executable files: {}",
                    folder.display(),
                    missing.join(", "),
                    needed.iter().map(|p| p.name()).collect::<Vec<_>>().join(", "),
                );
            }
            // A relative path would change its meaning with the working
            // folder of a program that is started later.
            let folder = fs::canonicalize(folder)
                .with_context(|| format!("cannot resolve the path {}", folder.display()))?;
            return Ok(Self { folder });
        }
        from_cache(&cache_folder()?).await
    }

    /// The path of one program.
    pub fn path(&self, program: Program) -> PathBuf {
        self.folder.join(program.name())
    }
}

fn missing_in(folder: &Path, needed: &[Program]) -> Vec<&'static str> {
    let executable = |name: &str| {
        fs::metadata(folder.join(name))
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    needed
        .iter()
        .map(|program| program.name())
        .filter(|name| !executable(name))
        .collect()
}

/// `alb-ingress-controller/control-plane` in the user's cache folder.
fn cache_folder() -> anyhow::Result<PathBuf> {
    // The specification of XDG_CACHE_HOME says that a relative value is void.
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
        .context("no folder for the control plane's binaries: set HOME or XDG_CACHE_HOME")?;
    Ok(home.join("alb-ingress-controller/control-plane"))
}

async fn from_cache(cache: &Path) -> anyhow::Result<Binaries> {
    let Some(go) = Go::find().await? else {
        return built_before(cache).with_context(|| {
            format!(
                "the sandbox's Kubernetes control plane is not built yet, and there is no Go \
                 toolchain to build it: install Go {} or later (https://go.dev/dl/) so that \
                 `go version` works, or pass --control-plane-bin DIR (SANDBOX_CONTROL_PLANE_BIN) \
                 with ready binaries of {}",
                pinned("go"),
                Program::ALL.map(Program::name).join(", "),
            )
        });
    };
    let folder = cache.join(go.key());
    let binaries = Binaries { folder };
    if missing_in(&binaries.folder, &Program::ALL).is_empty() {
        return Ok(binaries);
    }
    fs::create_dir_all(cache)
        .with_context(|| format!("cannot create the cache folder {}", cache.display()))?;
    let mut terminal = Terminal::open();
    // Held until the function returns; the system lets it go with the process.
    let _lock = lock(&cache.join("lock"), &mut terminal).await?;
    if missing_in(&binaries.folder, &Program::ALL).is_empty() {
        return Ok(binaries);
    }
    build(&go, cache, &binaries.folder, &mut terminal).await?;
    Ok(binaries)
}

/// Without Go its version is unknown, and any build of the recipe will do.
fn built_before(cache: &Path) -> Option<Binaries> {
    let folders = fs::read_dir(cache).ok()?;
    folders
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&recipe_key()))
        })
        .find(|folder| missing_in(folder, &Program::ALL).is_empty())
        .map(|folder| Binaries { folder })
}

async fn lock(path: &Path, terminal: &mut Terminal) -> anyhow::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open the lock file {}", path.display()))?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !said {
                    terminal.line("another process builds the control plane; waiting for it");
                    said = true;
                }
                // Asked again and again, for a blocking call would outlive a
                // sandbox that is told to stop.
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

async fn build(
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
    for (name, text) in [("go.mod", GO_MOD), ("go.sum", GO_SUM), ("tools.go", TOOLS_GO)] {
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
        let mut compile = go.command(work.path());
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
        if entry.file_name().to_string_lossy().starts_with(".building-") {
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
            "{title} of the control plane failed ({status}); Go said last:\n{}\n\
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
struct Go {
    version: String,
    platform: String,
}

impl Go {
    /// Asks the toolchain in the search path what it is; none if there is no
    /// such program.
    async fn find() -> anyhow::Result<Option<Self>> {
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
    fn key(&self) -> String {
        format!("{}_{}_{}", recipe_key(), self.version, self.platform)
    }

    fn command(&self, folder: &Path) -> Command {
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
fn recipe_key() -> String {
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
fn pinned(module: &str) -> &'static str {
    GO_MOD
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .find(|(name, _)| *name == module)
        .map_or("", |(_, version)| version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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

    #[tokio::test]
    async fn a_folder_that_lacks_programs_is_refused_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let etcd = folder.path().join("etcd");
        fs::write(&etcd, "").unwrap();
        // Not executable, which is as good as not there.
        fs::write(folder.path().join("kubectl"), "").unwrap();
        fs::set_permissions(&etcd, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Binaries::obtain(Some(folder.path()), &Program::BARE)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("lacks kubectl, kube-apiserver:"), "{error}");
    }

    #[test]
    fn without_go_a_build_of_the_same_recipe_is_used_and_no_other() {
        let cache = tempfile::tempdir().unwrap();
        let fill = |name: &str| {
            let folder = cache.path().join(name);
            fs::create_dir(&folder).unwrap();
            for program in Program::ALL {
                let file = folder.join(program.name());
                fs::write(&file, "").unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
            folder
        };
        fill("kubernetes-v1.35.0_etcd-v3.6.8_0123456789_go1.26.0_linux-amd64");
        assert!(built_before(cache.path()).is_none());
        let ours = fill(&format!("{}_go1.26.0_linux-amd64", recipe_key()));
        assert_eq!(built_before(cache.path()).unwrap().folder, ours);
    }
}
