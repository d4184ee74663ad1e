//! The environment in which a controller, a test suite or a person works with
//! a running sandbox, and the file that hands it on. Touches that file only.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Everything that a program needs to know to work with a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `KUBECONFIG`: may do everything.
    pub kubeconfig: PathBuf,
    /// `KUBECTL`: kubectl of the control plane's version.
    pub kubectl: PathBuf,
    /// `AWS_ENDPOINT_URL`: one URL for every service of AWS.
    pub aws_endpoint_url: String,
    /// `AWS_REGION`.
    pub aws_region: String,
    /// `AWS_ACCESS_KEY_ID`: the simulated account takes any.
    pub aws_access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`: the simulated account takes any.
    pub aws_secret_access_key: String,
    /// `CLUSTER_NAME`: the name by which the VPC's subnets are tagged.
    pub cluster_name: String,
    /// `AWS_VPC_ID`: the VPC of the cluster.
    pub aws_vpc_id: String,
    /// `SANDBOX_DNS`: address and port that answer DNS over UDP.
    pub sandbox_dns: String,
    /// `SANDBOX_CONSOLE`: URL of the console, if there is one.
    pub sandbox_console: Option<String>,
}

impl Environment {
    /// The variables with their values, in the order of the file.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("KUBECONFIG", self.kubeconfig.display().to_string()),
            ("KUBECTL", self.kubectl.display().to_string()),
            ("AWS_ENDPOINT_URL", self.aws_endpoint_url.clone()),
            ("AWS_REGION", self.aws_region.clone()),
            ("AWS_ACCESS_KEY_ID", self.aws_access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.aws_secret_access_key.clone()),
            ("CLUSTER_NAME", self.cluster_name.clone()),
            ("AWS_VPC_ID", self.aws_vpc_id.clone()),
            ("SANDBOX_DNS", self.sandbox_dns.clone()),
        ];
        let console = self.sandbox_console.clone();
        variables.extend(console.map(|url| ("SANDBOX_CONSOLE", url)));
        variables
    }
}

/// The file that tells others that a sandbox is up, and where. It is there
/// only while that is true: gone with this value. (After a process that is
/// killed the watchdog removes it.)
#[derive(Debug)]
pub struct EnvFile {
    path: PathBuf,
    /// What was written; a later sandbox may have written something else.
    written: Option<String>,
}

impl EnvFile {
    /// Claims `path` for a sandbox that is about to start, and removes what an
    /// earlier one that was killed left there, so that nobody takes that for
    /// news.
    ///
    /// # Errors
    /// The folder is missing or may not be written to.
    pub fn claim(path: &Path) -> anyhow::Result<Self> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot remove the old {}", path.display()));
            }
        }
        let file = Self {
            path: path.to_owned(),
            written: None,
        };
        // Found out now, not after a start of seconds or a build of minutes.
        let attempt = file.unfinished();
        fs::write(&attempt, "").with_context(|| {
            format!(
                "cannot write the env file {}: expected a folder that may be written to",
                path.display()
            )
        })?;
        let _ = fs::remove_file(attempt);
        Ok(file)
    }

    /// Writes `KEY=value` lines. They appear under the path all at once.
    ///
    /// # Errors
    /// The disk is full, or a value has a line break.
    pub fn publish(&mut self, environment: &Environment) -> anyhow::Result<()> {
        let mut text = String::new();
        for (name, value) in environment.variables() {
            if value.contains(['\n', '\r']) {
                bail!("{name} cannot stand in an env file, for it has a line break: {value:?}");
            }
            text.extend([name, "=", &value, "\n"]);
        }
        let unfinished = self.unfinished();
        fs::write(&unfinished, &text)
            .and_then(|()| fs::rename(&unfinished, &self.path))
            .with_context(|| format!("cannot write the env file {}", self.path.display()))?;
        self.written = Some(text);
        Ok(())
    }

    /// In the same folder, since only there a rename is one step.
    fn unfinished(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        self.path.with_file_name(name)
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        if self.written.is_some() && self.written == fs::read_to_string(&self.path).ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn environment() -> Environment {
        Environment {
            kubeconfig: "/tmp/sandbox-1/kubeconfig".into(),
            kubectl: "/cache/kubectl".into(),
            aws_endpoint_url: "http://127.0.0.1:4000".to_owned(),
            aws_region: "us-west-2".to_owned(),
            aws_access_key_id: "AKIAEXAMPLE".to_owned(),
            aws_secret_access_key: "secret".to_owned(),
            cluster_name: "sandbox".to_owned(),
            aws_vpc_id: "vpc-1".to_owned(),
            sandbox_dns: "127.0.0.1:5353".to_owned(),
            sandbox_console: Some("http://127.0.0.1:8090/".to_owned()),
        }
    }

    #[test]
    fn the_file_has_a_line_for_each_variable_and_goes_with_the_sandbox() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.env");
        fs::write(&path, "KUBECONFIG=/of/an/earlier/one\n").unwrap();
        let mut file = EnvFile::claim(&path).unwrap();
        assert!(!path.exists(), "the old one must not be taken for news");
        file.publish(&environment()).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "KUBECONFIG=/tmp/sandbox-1/kubeconfig\n\
             KUBECTL=/cache/kubectl\n\
             AWS_ENDPOINT_URL=http://127.0.0.1:4000\n\
             AWS_REGION=us-west-2\n\
             AWS_ACCESS_KEY_ID=AKIAEXAMPLE\n\
             AWS_SECRET_ACCESS_KEY=secret\n\
             CLUSTER_NAME=sandbox\n\
             AWS_VPC_ID=vpc-1\n\
             SANDBOX_DNS=127.0.0.1:5353\n\
             SANDBOX_CONSOLE=http://127.0.0.1:8090/\n"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_a_later_sandbox_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.env");
        let mut earlier = EnvFile::claim(&path).unwrap();
        earlier.publish(&environment()).unwrap();
        let mut later = EnvFile::claim(&path).unwrap();
        let elsewhere = Environment {
            kubeconfig: "/tmp/sandbox-2/kubeconfig".into(),
            ..environment()
        };
        later.publish(&elsewhere).unwrap();
        drop(earlier);
        assert!(path.exists());
    }

    #[test]
    fn a_folder_that_is_missing_is_told_before_anything_starts() {
        let error = EnvFile::claim(Path::new("/nowhere/sandbox.env")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/sandbox.env"));
    }

    #[test]
    fn a_value_of_two_lines_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EnvFile::claim(&folder.path().join("sandbox.env")).unwrap();
        let mut environment = environment();
        environment.cluster_name = "one\ntwo".to_owned();
        assert!(file.publish(&environment).is_err());
    }
}
