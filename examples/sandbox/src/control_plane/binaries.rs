//! The programs of the control plane: found in a folder that the caller
//! names, or in the user's cache folder, or built into it ([`go_build`]).
//! Writes to the cache folder only; promises that a folder of the cache is
//! complete if it exists.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::go_build::{self, Go, pinned, recipe_key};
use crate::terminal::Terminal;

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

    /// Its package of Go.
    pub(super) fn package(self) -> &'static str {
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
                    "the folder of ready binaries {} has no executable file of the name {}",
                    folder.display(),
                    missing.join(", "),
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
    go_build::build(&go, cache, &binaries.folder, &mut terminal).await?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
        assert!(
            error.ends_with("of the name kubectl, kube-apiserver"),
            "{error}"
        );
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
